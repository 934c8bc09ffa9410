"""JSON-stat 2.0, and Sotkanet's JSON: statistics as JSON text.

In: bytes, and what the study says of them. Out: the rows of a source. Never: a position guessed.
"""

from __future__ import annotations

import json
import math
import reprlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, Fault, Place
from ..study import SourceSpec
from .cells import (
    MOST_FAULTS,
    MOST_TABLE_CELLS,
    PXWEB_SYMBOLS,
    STATUSES,
    Labelled,
    coded,
    counted,
    plain_text,
    refuse_twins,
    refuse_wide,
    shown,
)
from .cube import Cube, Dimension, announced, checked_dimension, take_cells
from .files import read_json
from .table import SOTKANET, Table, table_cells

_ROLES = {"geo": "area", "metric": "item", "time": "year"}


def read_jsonstat(path: Path, source: SourceSpec, wanted: frozenset[str]) -> Labelled:
    """Read a JSON-stat 2.0 dataset; a row is the position of a cell, from 1.

    `value` may be an array or an object of the cells that are there; `status` an array, an object or one word for
    all; a category index an array of codes, an object of positions, or left out where there is one category only.
    """
    content = read_json(path, source.file, "a JSON-stat dataset")
    return take_cells(_cube(content, source), source, wanted)


def read_sotkanet_json(path: Path, source: SourceSpec, wanted: frozenset[str]) -> Labelled:
    """Read Sotkanet's JSON: a list of records with indicator, region, year, gender, value and absValue."""
    content = read_json(path, source.file, "Sotkanet's JSON")
    if not isinstance(content, list) or not all(isinstance(record, dict) for record in content):
        raise _broken("a list of records", source.file, content)
    if not content:
        raise DataError("The file holds no rows of data.", where=source.file)
    names = tuple(dict.fromkeys(key for record in content for key in record))
    refuse_wide(len(names), source.file)
    if len(names) * len(content) > MOST_TABLE_CELLS:
        raise DataError(
            "The table is larger than a table of statistics.",
            where=source.file,
            expected=f"at most {MOST_TABLE_CELLS:,} cells",
        )
    odd = [
        Fault(
            what="A record holds something else than a number or a text.",
            place=Place(file=source.file, row=row, column=shown(name)),
            found=reprlib.repr(cell)[:60],
        )
        for row, record in enumerate(content, start=1)
        for name, cell in record.items()
        if isinstance(cell, (list, dict, bool))
    ]
    if odd:
        raise DataError.of(counted(odd, source.file, more=len(odd) - MOST_FAULTS))
    table = Table(
        names=names,
        rows=range(1, len(content) + 1),
        columns=tuple([plain_text(record.get(name), source.decimal) for record in content] for name in names),
        notes=(
            "UTF-8",
            "areas are Sotkanet's own numbers of regions, unless the file was fetched with codes",
        ),
    )
    refuse_twins(names, source.file)
    described = source.model_copy(update=_defaults(source, names))
    # A record with a key misspelt would be passed over as one of another indicator or gender, or without a value.
    # Sotkanet itself leaves an absolute value out where it has none.
    own = {described.area_column, described.item_column, described.year_column}
    own |= set() if source.value_column else {described.value_column}
    needed = (own | set(source.take)) & set(names)
    bare = [
        Fault(
            what="A record lacks a key that the others have.",
            place=Place(file=source.file, row=row, column=name),
            found=reprlib.repr(list(record))[:60],
        )
        for row, record in enumerate(content, start=1)
        for name in sorted(needed - set(record))
    ]
    if bare:
        raise DataError.of(counted(bare, source.file, more=len(bare) - MOST_FAULTS))
    return table_cells(table, described, wanted)


def _defaults(source: SourceSpec, names: tuple[str, ...]) -> dict[str, str]:
    """Sotkanet's own names of columns, where the study gives none and the file has them."""
    return {
        key: next((name for name in known if name in names), "")
        for key, known in SOTKANET.items()
        if not getattr(source, key)
    }


def _broken(what: str, file: str, found: object) -> DataError:
    return DataError(
        f"The file is not a JSON-stat dataset: {what} is due." if "records" not in what else f"Not {what}.",
        where=file,
        found=reprlib.repr(found)[:80],
    )


def _cube(content: object, source: SourceSpec) -> Cube:
    file = source.file
    if isinstance(content, dict) and "class" not in content and isinstance(content.get("dataset"), dict):
        raise DataError(
            "The file is JSON-stat of an older version.",
            where=file,
            found="a bundle with the key 'dataset'",
            fix="Ask the server for json-stat2.",
        )
    if not isinstance(content, dict) or content.get("class") != "dataset":
        found = content.get("class") if isinstance(content, dict) else content
        raise _broken('an object with class "dataset"', file, found)
    ids, sizes, described = content.get("id"), content.get("size"), content.get("dimension")
    if not (
        isinstance(ids, list)
        and isinstance(sizes, list)
        and isinstance(described, dict)
        and len(ids) == len(sizes)
        and ids
        and all(isinstance(name, str) for name in ids)
        and all(isinstance(size, int) and not isinstance(size, bool) and size > 0 for size in sizes)
        and len(set(ids)) == len(ids)
    ):
        raise _broken("id and size, equally long, and dimension", file, {"id": ids, "size": sizes})
    size = announced(sizes, file)
    roles = content.get("role") or {}
    role_of = {
        name: _ROLES[kind]
        for kind, names in (roles.items() if isinstance(roles, dict) else ())
        if kind in _ROLES and isinstance(names, list)
        for name in names
        if isinstance(name, str)
    }
    dimensions = tuple(
        _dimension(name, described.get(name), announced, role_of.get(name, ""), file)
        for name, announced in zip(ids, sizes, strict=True)
    )
    values, status, marks = _cells(content, size, {**PXWEB_SYMBOLS, **source.symbols}, source)
    notes = ["JSON-stat " + str(content.get("version", "")).strip(), *marks]
    for key in ("label", "source", "updated", "note", "extension"):
        if content.get(key):
            said = content[key]
            notes.append(
                f"{key}: " + (said if isinstance(said, str) else json.dumps(said, ensure_ascii=False))[:2000]
            )
    for name, each in described.items():
        category = each.get("category") if isinstance(each, dict) else None
        units = category.get("unit") if isinstance(category, dict) else None
        if units:
            notes.append(f"unit of {name!r}: {json.dumps(units, ensure_ascii=False)[:2000]}")
    return Cube(
        dimensions=dimensions,
        titles=(str(content.get("label") or ""),),
        values=values,
        status=status,
        rows=lambda at: at + 1,
        notes=tuple(notes),
    )


def _dimension(name: str, described: object, size: int, role: str, file: str) -> Dimension:
    place = f"dimension {name!r} with a category of {size}"
    category = described.get("category") if isinstance(described, dict) else None
    if not isinstance(described, dict) or not isinstance(category, dict):
        raise _broken(place, file, described)
    labels, index = category.get("label") or {}, category.get("index")
    if index is None:
        index = list(labels) if isinstance(labels, dict) and len(labels) == 1 else None
    if isinstance(index, dict):
        places = list(index.values())
        if any(isinstance(at, bool) or not isinstance(at, int) for at in places) or sorted(places) != list(
            range(len(index))
        ):
            raise _broken(f"an index of {name!r} that counts from 0", file, index)
        index = sorted(index, key=index.__getitem__)
    if (
        not isinstance(index, list)
        or not all(isinstance(code, str) for code in index)
        or not isinstance(labels, dict)
        or len(index) != size
    ):
        raise _broken(place, file, index)
    texts = [labels.get(code, code) for code in index]
    if not all(isinstance(text, str) for text in texts):
        raise _broken(f"a text as label in {name!r}", file, texts)
    title = described.get("label")
    names = (title, name) if isinstance(title, str) and title else (name,)
    return checked_dimension(names, index, [texts], role=role, file=file)


def _cells(
    content: Mapping[str, object], size: int, symbols: Mapping[str, str], source: SourceSpec
) -> tuple[NDArray[np.float64], NDArray[np.int8], list[str]]:
    """Numbers, statuses and what the file marks without hiding it ("p" for preliminary, say)."""
    file = source.file
    at, given = _spread(content.get("value"), size, "value", file)
    odd = [place for place, each in enumerate(given) if type(each) not in (int, float, type(None))]
    if odd:
        raise DataError.of(
            counted(
                (
                    Fault(
                        what="A value is no number.",
                        place=Place(file=file, row=int(at[place]) + 1),
                        found=shown(str(given[place])[:60]),
                        expected="a number",
                    )
                    for place in odd[:MOST_FAULTS]
                ),
                file,
                more=len(odd) - MOST_FAULTS,
            )
        )
    values = np.full(size, math.nan)
    try:
        values[at] = np.array(given, dtype=float)  # None becomes a missing number
    except OverflowError:
        values[at[:1]] = math.inf
    if np.isinf(values).any():
        raise DataError("A value is too large for a number.", where=file)
    missing = np.isnan(values)
    words = content.get("status")
    if isinstance(words, str):
        names, marks = [words], np.zeros(size, dtype=np.int32)
    else:
        where, said = _spread({} if words is None else words, size, "status", file)
        codes, names = coded(["" if each is None else str(each).strip() for each in said])
        names = ["", *names]
        marks = np.zeros(size, dtype=np.int32)
        marks[where] = codes + 1
    states = [
        0 if name == "-" and name not in symbols else STATUSES.index(symbols[name]) if name in symbols else -1
        for name in names
    ]
    status = np.where(missing, np.array(states, dtype=np.int8)[marks], 0).astype(np.int8)
    values[missing & (status == 0)] = 0.0
    faults = _marked_wrong(status, missing, marks, names, symbols, file)
    if faults:
        raise DataError.of(faults)
    there = np.bincount(marks[~missing], minlength=len(names)).tolist()
    notes = [
        f"{count} values with status {name!r}"
        for name, count in zip(names, there, strict=True)
        if name and count
    ]
    return values, status, notes[:20]


def _marked_wrong(
    status: NDArray[np.int8],
    missing: NDArray[np.bool_],
    marks: NDArray[np.int32],
    names: Sequence[str],
    symbols: Mapping[str, str],
    file: str,
) -> tuple[Fault, ...]:
    """Missing values with a status that nobody explained, and values that are marked as missing."""
    unknown = np.flatnonzero(status < 0)
    both = np.array([bool(name) and name in symbols for name in names], dtype=bool)[marks] & ~missing
    listed = [
        Fault(
            what="A missing value has a status that nobody explained.",
            place=Place(file=file, row=at + 1),
            found=shown(names[marks[at]]),
            expected=", ".join(repr(each) for each in symbols if each),
            fix='If the producer explains it, say so: symbols = { "…" = "missing" } in the source.',
        )
        for at in unknown[:MOST_FAULTS].tolist()
    ]
    listed += [
        Fault(
            what="A value is there and marked as missing.",
            place=Place(file=file, row=at + 1),
            found=f"status {names[marks[at]]!r}",
        )
        for at in np.flatnonzero(both)[:MOST_FAULTS].tolist()
    ]
    return counted(listed, file, more=unknown.size + int(both.sum()) - MOST_FAULTS)


def _spread(given: object, size: int, name: str, file: str) -> tuple[NDArray[np.intp], list[object]]:
    """Positions and what stands there: all of an array, those of an object."""
    if isinstance(given, list):
        if len(given) != size:
            raise DataError(
                "The cells are not as many as the dimensions say.",
                where=f"{file}, {name}",
                found=f"{len(given)} cells",
                expected=f"{size} cells",
            )
        return np.arange(size), given
    if not isinstance(given, dict):
        raise _broken(f"{name} as an array or an object", file, given)
    for key in given:
        # "01" would be a second name of the cell 1.
        if not (
            key.isascii() and key.isdigit() and len(key) < 12 and int(key) < size and str(int(key)) == key
        ):
            raise DataError(
                "A position lies outside the cells.",
                where=f"{file}, {name}",
                found=repr(key[:40]),
                expected=f"0 to {size - 1}",
            )
    return np.array([int(key) for key in given], dtype=np.intp), list(given.values())
