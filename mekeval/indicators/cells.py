"""Cells of many files as arrays of codes: placed on the study's areas, each once, the newest of each.

In: `RawTable`s. Out: `Cells` and `Grid`. Never: a Python object for each cell; a national table has millions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..disclosure.published import strictest
from ..errors import DataError, Fault, Place
from ..sources import RawTable
from ..sources.cells import MOST_FAULTS, counted
from ..study import StudySpec
from .result import STATUSES, Log

Ints = npt.NDArray[np.integer]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

_OK = STATUSES.index("ok")
#: Cells of a grid of areas, years and items that are held as one array; a sparser study is refused.
_MOST_GRID = 400_000_000


@dataclass(frozen=True, kw_only=True)
class Cells:
    """The cells of one or more files, n of them.

    Attributes
    ----------
    area, item, year, source : array of int, shape (n,)
        Positions in the lists of codes (`area_names`), items of the study and sources; `year` is the year itself.
    value : array of float, shape (n,)
        NaN where `status` is not "ok".
    status : array of int, shape (n,)
        Positions in `STATUSES`.
    row, column : array of int, shape (n,)
        Row in the file, and position in `columns`.
    columns : list of str
    area_names : list of str
    """

    area: Ints
    item: Ints
    year: Ints
    source: Ints
    value: Floats
    status: npt.NDArray[np.int8]
    row: Ints
    column: Ints
    columns: list[str]
    area_names: list[str]

    def take(self, at: npt.NDArray[np.intp] | Bools) -> Cells:
        """Some of the cells."""
        return replace(
            self,
            area=self.area[at],
            item=self.item[at],
            year=self.year[at],
            source=self.source[at],
            value=self.value[at],
            status=self.status[at],
            row=self.row[at],
            column=self.column[at],
        )


def codes_of(column: pd.Series) -> tuple[Ints, list[str]]:
    """Positions in the list of distinct values, and the list."""
    codes, found = pd.factorize(column)
    return codes, list(map(str, found))


def compact(raw: RawTable, spec: StudySpec, *, number: int) -> Cells:
    """The cells of one file, whose areas are the labels of the file, until somebody says which areas they are."""
    frame = raw.cells
    label_at, labels = codes_of(frame["area_label"])
    item_at, item_names = codes_of(frame["item"])
    column_at, columns = codes_of(frame["column"])
    status_at, statuses = codes_of(frame["status"])
    items = {item.name: at for at, item in enumerate(spec.item)}
    return Cells(
        area=label_at.astype(np.int32),
        item=np.array([items[name] for name in item_names], dtype=np.int32)[item_at],
        year=frame["year"].to_numpy(dtype=np.int32),
        source=np.full(len(frame), number, dtype=np.int32),
        value=frame["value"].to_numpy(dtype=float),
        status=np.array([STATUSES.index(name) for name in statuses], dtype=np.int8)[status_at],
        row=frame["row"].to_numpy(dtype=np.int32),
        column=column_at.astype(np.int32),
        columns=columns,
        area_names=labels,
    )


def placed(cells: Cells, codes: Mapping[str, str | None], file: str, spec: StudySpec, log: Log) -> Cells:
    """The cells of one file on the areas of the study; what stands twice is told.

    Raises
    ------
    DataError
        A cell is told in two ways.
    """
    matched = [codes[label] for label in cells.area_names]
    names = sorted({code for code in matched if code is not None})
    position = {name: at for at, name in enumerate(names)}
    area_of = np.array([-1 if code is None else position[code] for code in matched], dtype=np.int32)
    cells = replace(cells, area=area_of[cells.area], area_names=names)
    if None in matched:
        cells = cells.take(cells.area >= 0)
    return _once(cells, file, spec, log)


def _once(cells: Cells, file: str, spec: StudySpec, log: Log) -> Cells:
    """Each area, item and year once: what is said twice in the same way is kept once, with a line in the log.

    Raises
    ------
    DataError
        A cell is told in two ways.
    """
    key = _keys(cells)
    again = np.flatnonzero(pd.Series(key).duplicated().to_numpy())
    if not again.size:
        return cells
    first_of = pd.Series(np.arange(len(key))).groupby(key, sort=False).transform("min").to_numpy()
    first = first_of[again]
    same = (cells.status[again] == cells.status[first]) & (
        (cells.value[again] == cells.value[first]) | (cells.status[again] != _OK)
    )
    if not same.all():
        twice = np.unique(first[~same])
        told = _contradictions(cells, twice[:MOST_FAULTS], first_of, file, spec)
        raise DataError.of(counted(told, file, more=twice.size - MOST_FAULTS))
    other_row = cells.row[again] != cells.row[first]
    lines = pd.DataFrame(
        {
            "row": cells.row[again],
            "column": np.where(other_row, "", np.array(cells.columns, dtype=object)[cells.column[again]]),
            "area": np.array(cells.area_names, dtype=object)[cells.area[again]],
            "found": np.where(
                other_row,
                [f"the same as row {row}" for row in cells.row[first].tolist()],
                [f"the same as column {cells.columns[at]!r}" for at in cells.column[first].tolist()],
            ),
        }
    )
    sizes = lines.groupby(list(lines.columns), sort=False).size().rename("count").reset_index()
    log.lines("warning", "duplicate_row", sizes.assign(file=file))
    kept = np.ones(len(key), dtype=bool)
    kept[again] = False
    return cells.take(kept)


def _keys(cells: Cells) -> Ints:
    """One number for each area, item and year of some cells."""
    years = cells.year - cells.year.min() if len(cells.year) else cells.year
    n_years = int(years.max()) + 1 if len(years) else 1
    return (cells.item.astype(np.int64) * len(cells.area_names) + cells.area) * n_years + years


def _contradictions(
    cells: Cells, firsts: npt.NDArray[np.intp], first_of: Ints, file: str, spec: StudySpec
) -> list[Fault]:
    faults = []
    # Of a large file only what the faults speak of is looked through again and again.
    those = np.flatnonzero(np.isin(first_of, firsts))
    low = np.flatnonzero(
        (cells.status == _OK) & (cells.value < strictest(spec)) & np.isin(cells.area, cells.area[firsts])
    )
    few = cells.take(low)
    for first in firsts.tolist():
        at = those[first_of[those] == first]
        item = spec.item[int(cells.item[first])].name
        columns = dict.fromkeys(cells.columns[column] for column in cells.column[at].tolist())
        said = [
            f"{value:.15g}" if status == _OK else STATUSES[status]
            for value, status in zip(cells.value[at].tolist(), cells.status[at].tolist(), strict=True)
        ]
        if _few_people(few, int(cells.area[first]), int(cells.year[first]), item, spec):
            said = ["not shown: too few people"]
        faults.append(
            Fault(
                what="An area stands twice for one year.",
                where=f"{file}, rows {', '.join(map(str, cells.row[at].tolist()))}, "
                f"column {' and '.join(map(repr, columns))}",
                found=f"area {cells.area_names[int(cells.area[first])]}, item {item!r}, "
                f"year {int(cells.year[first])}: {' and '.join(said)}",
                expected="one row",
                fix="Keep the right one, and write the file's new sha256 in study.toml.",
                place=Place(file=file, row=int(cells.row[at[-1]]), column=next(reversed(columns))),
            )
        )
    return faults


def _few_people(few: Cells, area: int, year: int, item: str, spec: StudySpec) -> bool:
    """Whether a base of the item is among the numbers under the limit, `few`, for an area and year of its file."""
    names = {
        base
        for indicator in spec.indicator
        for way in (indicator, indicator.by_otherwise)
        if way is not None and item in way.items
        for base in indicator.bases
    }
    bases = [number for number, one in enumerate(spec.item) if one.name in names]
    return bool(((few.area == area) & (few.year == year) & np.isin(few.item, bases)).any())


def joined(parts: Sequence[Cells]) -> Cells:
    """The cells of all files, on one list of areas."""
    names = sorted({name for part in parts for name in part.area_names})
    position = {name: at for at, name in enumerate(names)}
    columns: dict[str, int] = {}
    for part in parts:
        for name in part.columns:
            columns.setdefault(name, len(columns))

    def area(part: Cells) -> Ints:
        return np.array([position[name] for name in part.area_names], dtype=np.int32)[part.area]

    def column(part: Cells) -> Ints:
        return np.array([columns[name] for name in part.columns], dtype=np.int32)[part.column]

    return Cells(
        area=np.concatenate([area(part) for part in parts]),
        item=np.concatenate([part.item for part in parts]),
        year=np.concatenate([part.year for part in parts]),
        source=np.concatenate([part.source for part in parts]),
        value=np.concatenate([part.value for part in parts]),
        status=np.concatenate([part.status for part in parts]),
        row=np.concatenate([part.row for part in parts]),
        column=np.concatenate([column(part) for part in parts]),
        columns=list(columns),
        area_names=names,
    )


@dataclass(frozen=True, kw_only=True)
class Grid:
    """The cell that holds for each item, area and year.

    Attributes
    ----------
    best : array of int, shape (n_items, n_areas, n_years)
        Positions of cells; -1 where no file speaks of it.
    years : array of int, shape (n_years,)
    cells : Cells
    """

    best: Ints
    years: Ints
    cells: Cells

    def key(self) -> Ints:
        """The position of each cell in `best`, flattened."""
        _, n_areas, n_years = self.best.shape
        at = np.searchsorted(self.years, self.cells.year)
        return np.asarray((self.cells.item.astype(np.int64) * n_areas + self.cells.area) * n_years + at)


def newest(cells: Cells, n_items: int) -> Grid:
    """One cell for each item, area and year: the newest release that has a number; cells come oldest release first.

    A later release that hides or lacks a number does not erase an earlier one, which is kept (the log says
    `hidden_later`); a later number replaces it.
    """
    years = np.unique(cells.year).astype(np.int64)
    shape = (n_items, len(cells.area_names), len(years))
    if np.prod([float(side) for side in shape]) > _MOST_GRID:
        raise DataError(
            "The study has too many items, areas and years for one table.",
            found=f"{shape[0]} x {shape[1]} x {shape[2]}",
            expected=f"at most {_MOST_GRID:,} cells",
        )
    best = np.full(shape, -1, dtype=np.int32)
    grid = Grid(best=best, years=years, cells=cells)
    key, flat = grid.key(), best.reshape(-1)
    for there in (cells.status != _OK, cells.status == _OK):
        at = np.flatnonzero(there)
        flat[key[at]] = at  # of cells with one key the last one stays: the newest
    return grid
