"""Cubes: files whose cells lie in the product of dimensions (PC-Axis, JSON-stat) -> the cells a study wants.

In: the dimensions with codes and labels in every language, one number and one status for each cell, and the
study's words on which dimension is the area, the item and the year. Out: `Labelled`. Never: a sum over a
dimension, or a guess which value of it was meant.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..errors import DataError, Place, StudyError
from ..study import SourceSpec
from .cells import STATUSES, Coded, Labelled, nearest, no_year
from .labels import YEAR, idle_year, label_key, year_of

#: More cells than any table of area statistics has; they are held in memory as numbers.
MOST_CELLS = 2**23
#: Dimensions of one cube; more would say nothing to anybody.
MOST_DIMENSIONS = 30


#: Line or number in the file for positions of cells.
Rows = Callable[[NDArray[np.intp]], NDArray[np.intp]]


@dataclass(frozen=True, kw_only=True)
class Dimension:
    """One dimension of a cube.

    Attributes
    ----------
    names : tuple of str
        Its name in every language, and its code where it has one.
    codes : tuple of str
        One for each value; the labels of the first language where the file has no codes.
    labels : tuple of tuple of str
        For each language one label for each value.
    coded : bool
        Whether the codes are the file's own.
    role : str
        "area", "item" or "year" where the file itself says so, else empty.
    """

    names: tuple[str, ...]
    codes: tuple[str, ...]
    labels: tuple[tuple[str, ...], ...]
    coded: bool
    role: str


@dataclass(frozen=True, kw_only=True)
class Cube:
    """A file as a cube.

    Attributes
    ----------
    dimensions : tuple of Dimension
        The last one runs fastest.
    titles : tuple of str
        What the cells count, in every language: the item of a cube without a dimension for items.
    values : numpy.ndarray of float, shape (cells,)
        Missing where `status` is not 0.
    status : numpy.ndarray of int8, shape (cells,)
        Positions in `STATUSES`.
    rows : Rows
        Line or number in the file for positions of cells.
    notes : tuple of str
    """

    dimensions: tuple[Dimension, ...]
    titles: tuple[str, ...]
    values: NDArray[np.float64]
    status: NDArray[np.int8]
    rows: Rows
    notes: tuple[str, ...]


def announced(sizes: Sequence[int], file: str) -> int:
    """The number of cells, which is refused before it is written out where it is beyond all sense."""
    size = 1
    for at, each in enumerate(sizes, start=1):
        size *= each
        if size > MOST_CELLS or at > MOST_DIMENSIONS:
            parts = " x ".join(str(one) if one < 10**12 else "…" for one in sizes[:12])
            raise DataError(
                "The file announces too many cells.",
                where=file,
                found=f"the product of {parts}" + (" x …" if len(sizes) > 12 else ""),
                expected=f"at most {MOST_CELLS:,} cells",
            )
    return size


def checked_dimension(
    names: Sequence[str], codes: Sequence[str], labels: Sequence[Sequence[str]], *, role: str, file: str
) -> Dimension:
    """A dimension whose values can be told apart: by their codes, or by their labels where there are no codes."""
    unique = tuple(codes) or tuple(labels[0])
    keys = [label_key(code) for code in unique]
    if len(set(keys)) < len(keys):
        counts = Counter(keys)
        twice = next(code for code, key in zip(unique, keys, strict=True) if counts[key] > 1)
        raise DataError(
            "Two values of a dimension cannot be told apart.",
            where=f"{file}, dimension {names[0]!r}",
            found=repr(twice),
        )
    return Dimension(
        names=tuple(dict.fromkeys(names)),
        codes=unique,
        labels=tuple(map(tuple, labels)),
        coded=bool(codes),
        role=role,
    )


def take_cells(cube: Cube, source: SourceSpec, wanted: frozenset[str]) -> Labelled:
    """The cells of the wanted items, for every area and year.

    Raises
    ------
    StudyError
        The study names a dimension or a value that the cube has not, or leaves a dimension with several values
        undecided.
    DataError
        A value of the dimension of years is no year.
    """
    place = f"study.toml, source {source.file!r}"
    area, item, year, taken, notes = _parts(cube, source, place)
    sizes = [len(dimension.codes) for dimension in cube.dimensions]
    strides = [int(np.prod(sizes[at + 1 :], dtype=np.intp)) for at in range(len(sizes))]
    offset = sum(value * strides[at] for at, value in taken.items())

    spaces = cube.dimensions[area]
    by_code = source.area_by != "label" and (spaces.coded or source.area_by == "code")
    areas = [name.zfill(source.area_digits) for name in (spaces.codes if by_code else spaces.labels[0])]
    items, labels = _items(cube, item, source, wanted)
    positions = np.array([value for value, _ in items], dtype=np.intp)
    names = np.array([name for _, name in items], dtype=object)
    if year is None:
        years = np.array([[year_of(name, source)] for _, name in items], dtype=np.int64).reshape(-1, 1)
        steps = np.zeros(1, dtype=np.intp)
    else:
        idle = idle_year(source, f"the dimension {cube.dimensions[year].names[0]!r}")
        if idle:
            raise StudyError.of(idle)
        found = _years(cube.dimensions[year], source)
        years = np.broadcast_to(np.array(found, dtype=np.int64), (len(items), len(found)))
        steps = np.arange(len(found), dtype=np.intp) * strides[year]
    shape = (len(items), len(steps), len(areas))
    first = (positions * (strides[item] if item is not None else 0)).reshape(-1, 1, 1)
    flat = (
        offset + first + steps.reshape(1, -1, 1) + (np.arange(len(areas)) * strides[area]).reshape(1, 1, -1)
    ).ravel()
    columns = [f"{name}, {each}" for name, row in zip(names, years.tolist(), strict=True) for each in row]
    at_item = np.arange(len(items), dtype=np.int32).reshape(-1, 1, 1)
    at_column = np.arange(len(columns), dtype=np.int32).reshape(len(items), -1, 1)
    at_area = np.arange(len(areas), dtype=np.int32)
    cells = pd.DataFrame(
        {
            "area_label": Coded(codes=np.broadcast_to(at_area, shape).ravel(), names=areas).categorical,
            "item_label": Coded(codes=np.broadcast_to(at_item, shape).ravel(), names=list(names)).categorical,
            "year": np.broadcast_to(years.reshape(len(items), -1, 1), shape).ravel().astype(np.int32),
            "value": cube.values[flat],
            "status": pd.Categorical.from_codes(
                cube.status[flat], categories=pd.Index(STATUSES, dtype=object)
            ),
            "row": cube.rows(flat).astype(np.int32),
            "column": Coded(codes=np.broadcast_to(at_column, shape).ravel(), names=columns).categorical,
        }
    )
    return Labelled(labels=labels, cells=cells, notes=(*cube.notes, *notes))


def _parts(
    cube: Cube, source: SourceSpec, place: str
) -> tuple[int, int | None, int | None, dict[int, int], tuple[str, ...]]:
    """Positions of the dimensions of area, item and year; the taken value of every other one."""
    notes: list[str] = []
    given = {
        role: _dimension(cube, name, place) if name else None
        for role, name in (
            ("area", source.area_column),
            ("item", source.item_column),
            ("year", source.year_column),
        )
    }
    taken = {
        (at := _dimension(cube, name, place)): _value(cube.dimensions[at], value, place)
        for name, value in source.take.items()
    }
    used = [at for at in (*given.values(), *taken) if at is not None]
    for at in used:
        if used.count(at) > 1 or len(taken) < len(source.take):
            raise StudyError(
                "A dimension has two parts to play.", where=place, found=repr(cube.dimensions[at].names[0])
            )
    for role in ("area", "item", "year"):
        free = [at for at in range(len(cube.dimensions)) if at not in used]
        said = [at for at in free if cube.dimensions[at].role == role]
        if role == "year" and not said and source.year is None and not source.years:
            said = [at for at in free if all(map(YEAR.fullmatch, cube.dimensions[at].labels[0]))]
        if given[role] is None and len(said) == 1:
            given[role] = said[0]
            used.append(said[0])
            notes.append(f"{role}: dimension {cube.dimensions[said[0]].names[0]!r}")
    free = [at for at in range(len(cube.dimensions)) if at not in used]
    if given["area"] is None:
        raise StudyError(
            "The dimension of the areas is not known.",
            where=place,
            found="the dimensions " + ", ".join(repr(each.names[0]) for each in cube.dimensions),
            fix="Name it in `area_column`.",
        )
    for at in free:
        dimension = cube.dimensions[at]
        if len(dimension.codes) > 1:
            shown = ", ".join(map(repr, dimension.labels[0][:8]))
            more = f" and {len(dimension.codes) - 8} more" if len(dimension.codes) > 8 else ""
            raise StudyError(
                f"The dimension {dimension.names[0]!r} is left undecided.",
                where=place,
                found=f"the values {shown}{more}",
                fix=f'Say which value is wanted: take = {{ "{dimension.names[0]}" = "…" }}, or name the '
                "dimension in `item_column` or `year_column`.",
            )
        taken[at] = 0
    return given["area"], given["item"], given["year"], taken, tuple(notes)


def _dimension(cube: Cube, name: str, place: str) -> int:
    for at, dimension in enumerate(cube.dimensions):
        if label_key(name) in map(label_key, dimension.names):
            return at
    names = [each for dimension in cube.dimensions for each in dimension.names]
    raise StudyError(
        "The file has no such dimension.", where=place, found=repr(name), expected=nearest(name, names)
    )


def _value(dimension: Dimension, wanted: str, place: str) -> int:
    """The position of a value by its code, else by its label in any language."""
    key = label_key(wanted)
    found = [at for at, code in enumerate(dimension.codes) if label_key(code) == key]
    found = found or sorted(
        {at for labels in dimension.labels for at, label in enumerate(labels) if label_key(label) == key}
    )
    if len(found) == 1:
        return found[0]
    raise StudyError(
        "A dimension has no such value." if not found else "Two values of a dimension have this label.",
        where=f"{place}, dimension {dimension.names[0]!r}",
        found=repr(wanted),
        expected=nearest(wanted, (*dimension.labels[0][:500], *dimension.codes[:500]))
        if not found
        else "one of the codes " + ", ".join(repr(dimension.codes[at]) for at in found),
    )


def _items(
    cube: Cube, item: int | None, source: SourceSpec, wanted: frozenset[str]
) -> tuple[list[tuple[int, str]], tuple[str, ...]]:
    """Wanted values of the dimension of items with the label that was wanted, and all labels of the file."""
    if item is None:
        candidates = [cube.titles]
    else:
        dimension = cube.dimensions[item]
        candidates = [
            (*names, code) if dimension.coded else names
            for names, code in zip(zip(*dimension.labels, strict=True), dimension.codes, strict=True)
        ]
    items, labels = [], []
    for at, names in enumerate(candidates):
        match = next((name for name in names if label_key(name) in wanted), None)
        labels.append(match or names[0])
        if match is not None:
            items.append((at, match))
    counts = Counter(label_key(name) for _, name in items)
    for _, name in items:
        if counts[label_key(name)] > 1:
            raise DataError(
                "Two values of the dimension of items have one label.",
                where=source.file,
                found=repr(name),
                fix="Name the item by its code in the item's labels.",
            )
    return items, tuple(dict.fromkeys(labels))


def _years(dimension: Dimension, source: SourceSpec) -> list[int]:
    years, faults = [], []
    for code, label in zip(dimension.codes, dimension.labels[0], strict=True):
        match = YEAR.fullmatch(label.strip()) or YEAR.fullmatch(code.strip())
        if match is None:
            faults.append(no_year(label, Place(file=source.file, column=dimension.names[0])))
        else:
            years.append(int(match.group(1)))
    if faults:
        raise DataError.of(faults[:20])
    if len(set(years)) < len(years):
        raise DataError(
            "A year stands twice in the dimension of years.", where=f"{source.file}, {dimension.names[0]!r}"
        )
    return years
