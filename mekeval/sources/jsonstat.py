"""JSON-stat 2.0, and Sotkanet's JSON: statistics as JSON text."""

from __future__ import annotations

import json
import math
import reprlib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from ..study import SourceSpec
from .cells import PXWEB_SYMBOLS, STATUSES, Labelled, decoded, read_bytes
from .cube import MOST_CELLS, Cube, Dimension, checked_dimension, take_cells
from .table import SOTKANET, Table, table_cells

#: JSON takes many times its size in memory.
MOST_JSON = 24 * 2**20
_ROLES = {"geo": "area", "metric": "item", "time": "year"}


def read_jsonstat(path: Path, source: SourceSpec, wanted: frozenset[str]) -> Labelled:
    """Read a JSON-stat 2.0 dataset; a row is the position of a cell, from 1.

    `value` may be an array or an object of the cells that are there; `status` an array, an object or one word for
    all; a category index an array of codes, an object of positions, or left out where there is one category only.
    """
    content = _json(path, source.file)
    return take_cells(_cube(content, source), source, wanted)


def read_sotkanet_json(path: Path, source: SourceSpec, wanted: frozenset[str]) -> Labelled:
    """Read Sotkanet's JSON: a list of records with indicator, region, year, gender, value and absValue."""
    content = _json(path, source.file)
    if not isinstance(content, list) or not all(isinstance(record, dict) for record in content):
        raise _broken("a list of records", source.file, content)
    if not content:
        raise DataError("The file holds no rows of data.", where=source.file)
    names = tuple(dict.fromkeys(key for record in content for key in record))
    for row, record in enumerate(content, start=1):
        for name, cell in record.items():
            if isinstance(cell, (list, dict, bool)):
                raise DataError(
                    "A record holds something else than a number or a text.",
                    where=f"{source.file}, row {row}, column {name!r}",
                    found=reprlib.repr(cell)[:60],
                )
    table = Table(
        names=names,
        rows=tuple(range(1, len(content) + 1)),
        columns=tuple([_text(record.get(name), source.decimal) for record in content] for name in names),
        notes=("UTF-8",),
    )
    return table_cells(table, source.model_copy(update=_defaults(source, names)), wanted)


def _defaults(source: SourceSpec, names: tuple[str, ...]) -> dict[str, str]:
    """Sotkanet's own names of columns, where the study gives none and the file has them."""
    return {
        key: next((name for name in known if name in names), "")
        for key, known in SOTKANET.items()
        if not getattr(source, key)
    }


def _text(cell: object, decimal: str) -> str:
    if cell is None:
        return ""
    return repr(cell).replace(".", decimal) if isinstance(cell, float) else str(cell)


def _json(path: Path, file: str) -> object:
    content = read_bytes(path, file)
    if len(content) > MOST_JSON:
        raise DataError(
            "The file is too large.",
            where=file,
            found=f"{len(content)} bytes",
            expected=f"at most {MOST_JSON} bytes",
        )
    text, _ = decoded(content, file)

    def refuse(word: str) -> object:
        raise ValueError(f"{word} is no number of JSON")

    def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        found = dict(pairs)
        if len(found) < len(pairs):
            twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
            raise ValueError(f"the key {twice!r} stands twice in one object")
        return found

    try:
        parsed: object = json.loads(text, parse_constant=refuse, object_pairs_hook=once)
    except json.JSONDecodeError as cause:
        raise DataError(
            "The file is not whole JSON: it may be cut off.",
            where=f"{file}, row {cause.lineno}",
            found=f"{cause.msg}, column {cause.colno}",
        ) from None
    except (ValueError, RecursionError) as cause:
        raise DataError(
            "The file is not JSON that can be read.", where=file, found=str(cause)[:200]
        ) from None
    return parsed


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
    size = math.prod(sizes)
    if size > MOST_CELLS:
        raise DataError("The file announces too many cells.", where=file, found=str(size))
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
    values, status, marks = _cells(content, size, {**PXWEB_SYMBOLS, **source.symbols}, file)
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
    content: Mapping[str, object], size: int, symbols: Mapping[str, str], file: str
) -> tuple[NDArray[np.float64], NDArray[np.int8], list[str]]:
    """Numbers, statuses and what the file marks without hiding it ("p" for preliminary, say)."""
    numbers = _spread(content.get("value"), size, "value", file)
    words = content.get("status")
    said = (
        [words] * size
        if isinstance(words, str)
        else _spread({} if words is None else words, size, "status", file)
    )
    kinds = set(map(type, numbers))
    if not kinds <= {int, float, type(None)}:
        at = next(at for at, each in enumerate(numbers) if type(each) not in (int, float, type(None)))
        raise DataError(
            "A value is no number.",
            where=f"{file}, row {at + 1}",
            found=repr(numbers[at])[:60],
            expected="a number",
        )
    try:
        values = np.array([math.nan if each is None else each for each in numbers], dtype=float)
    except OverflowError:
        values = np.array([math.inf])
    status = np.zeros(size, dtype=np.int8)
    missing = np.array([each is None for each in numbers], dtype=bool)
    if not np.isfinite(values[~missing] if values.size == size else values).all():
        raise DataError("A value is too large for a number.", where=file)
    for at in np.flatnonzero(missing).tolist():
        mark = said[at]
        text = "" if mark is None else str(mark).strip()
        if text == "-":
            values[at] = 0.0
        elif text in symbols:
            status[at] = STATUSES.index(symbols[text])
        else:
            raise DataError(
                "A missing value has a status that nobody explained.",
                where=f"{file}, row {at + 1}",
                found=repr(text[:40]),
                expected=", ".join(repr(each) for each in symbols if each),
                fix='If the producer explains it, say so: symbols = { "…" = "missing" } in the source.',
            )
    marked: dict[str, int] = {}
    for mark, gone in zip(said, missing.tolist(), strict=True):
        if mark is not None and mark != "" and not gone:
            marked[str(mark)] = marked.get(str(mark), 0) + 1
    for mark in marked:
        if symbols.get(mark, ""):
            raise DataError(
                "A value is there and marked as missing.",
                where=file,
                found=f"status {mark!r} of {marked[mark]} values",
            )
    return (
        values,
        status,
        [f"{count} values with status {mark!r}" for mark, count in list(marked.items())[:20]],
    )


def _spread(given: object, size: int, name: str, file: str) -> list[object]:
    """An array as it is; an object of positions spread over all cells, None where it is silent."""
    if isinstance(given, list):
        if len(given) != size:
            raise DataError(
                "The cells are not as many as the dimensions say.",
                where=f"{file}, {name}",
                found=f"{len(given)} cells",
                expected=f"{size} cells",
            )
        return given
    if not isinstance(given, dict):
        raise _broken(f"{name} as an array or an object", file, given)
    cells: list[object] = [None] * size
    for key, value in given.items():
        if not (key.isascii() and key.isdigit() and len(key) < 12 and int(key) < size):
            raise DataError(
                "A position lies outside the cells.",
                where=f"{file}, {name}",
                found=repr(key)[:40],
                expected=f"0 to {size - 1}",
            )
        cells[int(key)] = value
    return cells
