"""Items -> indicators: sums above and below the line, the worst status of the parts, what cannot be.

In: a `Grid` of cells. Out: rows of the tidy table. Never: a rate with a part missing, or too few people behind it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..study import IndicatorSpec, StudySpec
from ..study.formula import signed_terms, terms
from .cells import Bools, Floats, Grid, Ints
from .result import STATUSES, TABLE_COLUMNS, Log

_CODE = {name: np.int8(at) for at, name in enumerate(STATUSES)}
_PRODUCER = 5  # "ok" and the producer's own reasons: the first of `STATUSES`


@dataclass(frozen=True, kw_only=True)
class Sources:
    """What the table says of each source: its file and its year of publication, n_sources of each."""

    files: list[str]
    vintages: Ints


@dataclass(frozen=True, kw_only=True)
class Rows:
    """The tidy table as arrays of codes, n rows; indicator by indicator, each by area and year.

    Attributes
    ----------
    area, indicator, source : array of int, shape (n,)
        Positions in the areas of the cells, in the study's indicators and in its sources.
    year : array of int, shape (n,)
    value, numerator, denominator : array of float, shape (n,)
        NaN where `status` is not 0, the position of "ok".
    status : array of int, shape (n,)
        Positions in `STATUSES`.
    cell : array of int, shape (n,)
        A cell that stands behind the value, for the place in the file: the first that is there of the indicator's
        items.
    """

    area: Ints
    year: Ints
    indicator: Ints
    value: Floats
    numerator: Floats
    denominator: Floats
    status: npt.NDArray[np.int8]
    source: Ints
    cell: Ints


def tidy(spec: StudySpec, grid: Grid, sources: Sources, log: Log | None) -> Rows:
    """The rows of all indicators, each wherever at least one of its items was published."""
    keys = grid.key()
    most = _most_people(spec, grid)
    parts = [_rows(number, spec, grid, keys, most, sources, log) for number in range(len(spec.indicator))]

    def joined(name: str) -> npt.NDArray[np.generic]:
        return np.concatenate([part.pop(name) for part in parts]) if parts else np.empty(0)

    return Rows(**{one.name: joined(one.name) for one in fields(Rows)})  # type: ignore[arg-type]


def framed(rows: Rows, spec: StudySpec, area_names: list[str], sources: Sources) -> pd.DataFrame:
    """The rows as `Indicators.table`."""

    def texts(codes: Ints, names: list[str]) -> pd.Series:
        return pd.Series(pd.Series(names, dtype="str").array.take(codes))

    return pd.DataFrame(
        {
            "area": texts(rows.area, area_names),
            "year": rows.year.astype(np.int64),
            "indicator": texts(rows.indicator, [one.name for one in spec.indicator]),
            "value": rows.value,
            "numerator": rows.numerator,
            "denominator": rows.denominator,
            "status": texts(rows.status, list(STATUSES)),
            "source": texts(rows.source, sources.files),
            "vintage": sources.vintages[rows.source],
        },
        columns=list(TABLE_COLUMNS),
        copy=False,
    )


def _rows(
    number: int,
    spec: StudySpec,
    grid: Grid,
    keys: Ints,
    most: Floats,
    sources: Sources,
    log: Log | None,
) -> dict[str, npt.NDArray[np.generic]]:
    """One indicator, as arrays of one row for each area and year."""
    indicator = spec.indicator[number]
    items = {item.name: at for at, item in enumerate(spec.item)}
    parts = np.array([items[name] for name in indicator.items], dtype=np.int64)
    there = (grid.best[parts] >= 0).any(axis=0)
    area, year_at = np.nonzero(there)
    year = grid.years[year_at]
    best = grid.best[parts][:, area, year_at]
    lost = np.zeros(len(area), dtype=bool)
    if indicator.numerator:
        best, lost = _of_one_release(best, parts, area, year_at, grid, keys, sources)
    known = best >= 0
    reasons = np.where(known, grid.cells.status[best], _CODE["missing"])
    value_of = {
        name: np.where(known[at], grid.cells.value[best[at]], np.nan)
        for at, name in enumerate(indicator.items)
    }

    top, bottom = indicator.numerator or indicator.value, indicator.denominator or indicator.base
    numerator, denominator = _sum(top, value_of), _sum(bottom, value_of)
    status = np.zeros(len(area), dtype=np.int8)
    for reason in reversed(range(1, _PRODUCER)):
        status[(reasons == reason).any(axis=0)] = reason
    status[lost] = _CODE["missing"]
    if log is not None:
        for one, count in zip(*np.unique(year[lost], return_counts=True), strict=True):
            log.note("warning", "split_releases", year=int(one), subject=indicator.name, count=int(count))

    least = spec.study.minimum_base
    names = np.array(grid.cells.area_names, dtype=object)

    def refuse(wrong: Bools, found: list[str], expected: str) -> None:
        status[wrong] = _CODE["implausible"]
        if log is not None and wrong.any():
            log.lines(
                "warning",
                "implausible",
                {
                    **place_of(cell[wrong], grid, sources),
                    "area": names[area[wrong]],
                    "year": year[wrong],
                    "subject": indicator.name,
                    "found": [f"{text}, expected {expected}" for text in found],
                    "expected": expected,
                    "count": 1,
                },
            )

    origin = _origin(best, indicator, grid, sources)
    cell = best[(best >= 0).argmax(axis=0), np.arange(best.shape[1])]
    # No number of persons is negative; a sum would carry such a cell along unseen.
    persons = [name for _, name in signed_terms(bottom)]
    persons += [name for _, name in signed_terms(top)] if indicator.numerator else []
    lowest = np.min([value_of[name] for name in persons], axis=0)
    wrong = (status == 0) & (lowest < 0)
    refuse(wrong, [f"{value:g}" for value in lowest[wrong]], "at least 0 persons")
    wrong = (status == 0) & (denominator < 0)
    # How far below zero is not said: it is a number of people, and a small one.
    refuse(wrong, ["a negative denominator"] * int(wrong.sum()), "at least 0 persons")
    empty, people = (status == 0) & (denominator == 0), most[area, year_at]
    status[empty] = _CODE["empty_area"]
    # Somebody lives there: a release writes 0 for the parts of few people, and many may have no such part. Where the
    # people themselves are counted, 0 is what it says.
    if top != bottom:
        status[empty & (people > 0)] = _CODE["suppressed"]
        status[empty & (people >= least)] = _CODE["not_applicable"]
    status[(status == 0) & (denominator < least)] = _CODE["confidential"]
    # A release that writes 0 where nobody lives also writes a median income or a floor area of 0 there.
    if indicator.unit in ("eur", "m2"):
        status[(status == 0) & (numerator == 0)] = _CODE["empty_area"]
    value = numerator
    if indicator.numerator:
        with np.errstate(divide="ignore", invalid="ignore"):
            value = np.where(denominator > 0, 100 * numerator / denominator, np.nan)
        wrong = (status == 0) & (numerator < 0)
        refuse(wrong, _counts(numerator, denominator, wrong), "a numerator of at least 0")
    if indicator.plausible:
        low, high = indicator.plausible
        wrong = (status == 0) & ~((value >= low) & (value <= high))
        refuse(wrong, [f"{one:g}" for one in value[wrong]], f"{low:g} to {high:g}")
    if _is_share(top, bottom):
        wrong = (status == 0) & (numerator > denominator)
        refuse(wrong, _counts(numerator, denominator, wrong), "a numerator of at most the denominator")
    good = status == 0
    vintage = np.where(best >= 0, sources.vintages[grid.cells.source[best]], -1)
    oldest = np.where(best >= 0, vintage, np.iinfo(np.int64).max).min(axis=0)
    mixed = good & (oldest < vintage.max(axis=0))
    if log is not None and mixed.any():
        log.note("warning", "mixed_releases", subject=indicator.name, count=int(mixed.sum()))
    shown = np.where(good, 1.0, np.nan)
    return {
        "area": area.astype(np.int32),
        "year": year.astype(np.int32),
        "indicator": np.full(len(area), number, dtype=np.int32),
        "value": value * shown,
        "numerator": numerator * shown if indicator.numerator else np.full(len(area), np.nan),
        "denominator": denominator * shown,
        "status": status,
        "source": origin.astype(np.int32),
        "cell": cell,
    }


def _most_people(spec: StudySpec, grid: Grid) -> Floats:
    """The largest number of people that any base of an indicator counts, by area and year; 0 where none is known."""
    bases = {name for one in spec.indicator for name in terms(one.denominator or one.base)}
    most = np.zeros(grid.best.shape[1:])
    for number, item in enumerate(spec.item):
        if item.name in bases:
            best = grid.best[number]
            np.fmax(most, np.where(best >= 0, grid.cells.value[best], 0.0), out=most)
    return most


def _of_one_release(
    best: Ints, parts: Ints, area: Ints, year_at: Ints, grid: Grid, keys: Ints, sources: Sources
) -> tuple[Ints, Bools]:
    """Cells of one release for each rate: where the newest numbers come from two, the newest release that has all.

    Releases draw the boundaries of areas anew, and a numerator of one over a denominator of another is no rate of any
    area. Where no release has all, the rate is lost.
    """
    cells = grid.cells
    vintage = np.where(best >= 0, sources.vintages[cells.source[best]], -1)
    whole = ((best >= 0) & (cells.status[best] == 0)).all(axis=0)
    mixed = np.flatnonzero(whole & (vintage.min(axis=0) < vintage.max(axis=0)))
    lost = np.zeros(best.shape[1], dtype=bool)
    if not mixed.size:
        return best, lost
    _, n_areas, n_years = grid.best.shape
    place = area[mixed].astype(np.int64) * n_years + year_at[mixed]
    row_of = np.full(n_areas * n_years, -1, dtype=np.int64)
    row_of[place] = np.arange(len(mixed))
    item_of = np.full(len(grid.best), -1, dtype=np.int64)
    item_of[parts] = np.arange(len(parts))
    at = np.flatnonzero((item_of[cells.item] >= 0) & (cells.status == 0))
    row = row_of[keys[at] % (n_areas * n_years)]
    at, row = at[row >= 0], row[row >= 0]
    releases, release = np.unique(sources.vintages[cells.source[at]], return_inverse=True)
    chosen = np.full((len(mixed), len(releases), len(parts)), -1, dtype=np.int64)
    chosen[row, release, item_of[cells.item[at]]] = at  # of one release the last file, as everywhere
    complete = np.asarray((chosen >= 0).all(axis=2))
    newest_whole = len(releases) - 1 - complete[:, ::-1].argmax(axis=1)
    found = complete.any(axis=1)
    best = best.copy()
    best[:, mixed[found]] = chosen[np.flatnonzero(found), newest_whole[found]].T
    lost[mixed[~found]] = True
    return best, lost


def place_of(cell: Ints, grid: Grid, sources: Sources) -> dict[str, list[object]]:
    """File, row and column of cells, for the log."""
    cells = grid.cells
    return {
        "file": [sources.files[at] for at in cells.source[cell].tolist()],
        "row": cells.row[cell].tolist(),
        "column": [cells.columns[at] for at in cells.column[cell].tolist()],
    }


def _counts(numerator: Floats, denominator: Floats, wrong: Bools) -> list[str]:
    return [
        f"{top:.15g} of {bottom:.15g}"
        for top, bottom in zip(numerator[wrong].tolist(), denominator[wrong].tolist(), strict=True)
    ]


def _is_share(top: str, bottom: str) -> bool:
    """Whether the numerator is a part of the denominator by its formula, so that the rate is at most 100."""
    parts, whole = ({name for sign, name in signed_terms(one) if sign > 0} for one in (top, bottom))
    return parts <= whole


def _sum(expression: str, value_of: dict[str, Floats]) -> Floats:
    """A sum with signs; missing where a part is."""
    total: Floats | None = None
    for sign, name in signed_terms(expression):
        term = sign * value_of[name]
        total = term if total is None else total + term
    if total is None:
        raise ValueError(expression)
    return total


def _origin(best: Ints, indicator: IndicatorSpec, grid: Grid, sources: Sources) -> Ints:
    """The source of each row: of its parts' sources the newest; the last by the items' names where several are."""
    order = sorted(range(len(indicator.items)), key=lambda at: indicator.items[at])
    source = np.full(best.shape[1], -1, dtype=np.int64)
    vintage = np.full(best.shape[1], -1, dtype=np.int64)
    for at in order:
        there = best[at] >= 0
        own = grid.cells.source[best[at]].astype(np.int64)
        newer = there & (sources.vintages[own] >= vintage)
        source = np.where(newer, own, source)
        vintage = np.where(newer, sources.vintages[own], vintage)
    return source
