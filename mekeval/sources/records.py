"""Formats that carry their own records: Paavo's GeoJSON properties, dBASE tables and R data frames."""

from __future__ import annotations

import codecs
import json
import math
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from ..errors import DataError, closest
from ..study import SourceSpec
from .cells import (
    Labelled,
    column_cells,
    hide,
    label_key,
    refuse_unreadable,
    refuse_web_page,
    split_label,
    year_of,
)

PAAVO_SYMBOLS: Mapping[str, str] = {"": "missing"}
_END_OF_FIELDS, _DELETED = 0x0D, 0x2A


def read_geojson(path: Path, source: SourceSpec, wanted: frozenset[str]) -> Labelled:
    """Read the properties of a GeoJSON feature collection; a row is the number of the feature."""
    text = path.read_bytes()
    refuse_web_page(text, source.file)
    try:
        content = json.loads(text, object_pairs_hook=_no_key_twice)
        records = [dict(feature["properties"].items()) for feature in content["features"]]
        labels = tuple(dict.fromkeys(key for record in records for key in record))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as cause:
        raise refuse_unreadable("a GeoJSON feature collection", source.file, cause) from None
    if not records:
        raise DataError("The file holds no rows of data.", where=source.file, found="no features")
    texts = ({key: _text(record.get(key)) for key in labels} for record in records)
    return _from_records(texts, labels, source, wanted)


def read_dbf(path: Path, source: SourceSpec, wanted: frozenset[str]) -> Labelled:
    """Read a dBASE III table; a row is the number of the record. Fields full of asterisks are overflow.

    Read here and not by a package, because packages turn blank, asterisks and text alike into None.
    """
    content = path.read_bytes()
    try:
        count, header_size, record_size = struct.unpack_from("<IHH", content, 4)
        fields = []
        offset = 1
        for start in range(32, header_size - 1, 32):
            if content[start] == _END_OF_FIELDS:
                break
            name = content[start : start + 11].split(b"\x00")[0].decode("ascii")
            width = content[start + 16]
            fields.append((name, offset, width))
            offset += width
        if offset != record_size or len(content) < header_size + count * record_size:
            raise ValueError(f"{len(content)} bytes, {header_size + count * record_size} announced")
    except (struct.error, ValueError, IndexError) as cause:
        raise refuse_unreadable("a whole dBASE table", source.file, cause) from None
    needed = [
        field
        for field in fields
        if label_key(split_label(field[0])[0]) in wanted or field[0] == source.area_column
    ]
    starts = range(header_size, header_size + count * record_size, record_size)
    live = [at for at in starts if content[at] != _DELETED]
    numbers = [(at - header_size) // record_size + 1 for at in live]
    cells = [[content[at + first : at + first + width] for _, first, width in needed] for at in live]
    # A .cpg file beside it is not covered by the checksum, so the bytes themselves tell the encoding.
    encoding = "UTF-8" if all(_is_utf8(cell) for row in cells for cell in row) else "ISO-8859-1"
    records = (
        {
            name: cell.decode(encoding, "ignore").strip(" \x00")
            for (name, _, _), cell in zip(needed, row, strict=True)
        }
        for row in cells
    )
    labels = tuple(name for name, _, _ in fields)
    return _from_records(records, labels, source, wanted, rows=numbers, notes=(encoding,))


def _is_utf8(cell: bytes) -> bool:
    """Whether a field of fixed width is UTF-8; its last letter may be cut off."""
    if cell.isascii():
        return True
    try:
        codecs.getincrementaldecoder("utf-8")().decode(cell)
    except UnicodeDecodeError:
        return False
    return True


def _no_key_twice(pairs: list[tuple[str, object]]) -> dict[str, object]:
    keys = dict(pairs)
    if len(keys) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} stands twice in one object")
    return keys


def read_rdata(path: Path, source: SourceSpec, wanted: frozenset[str]) -> Labelled:
    """Read a data frame from an R data file (`table` of the source names it); needs the extra `rdata`."""
    try:
        import pyreadr
    except ImportError:
        raise DataError(
            "R data files need another package.",
            where=source.file,
            fix='Install it with: pip install "mekeval[rdata]"',
        ) from None
    try:
        frames = pyreadr.read_r(str(path))
    except Exception as cause:  # pyreadr raises its own kinds for every fault of a file
        raise refuse_unreadable("an R data file", source.file, cause) from None
    if source.table not in frames:
        raise DataError(
            "The R data file has no such table.",
            where=source.file,
            found=repr(source.table),
            expected=closest(source.table, frames),
        )
    frame = frames[source.table]
    labels = tuple(map(str, frame.columns))
    columns = [
        [_text(value) for value in frame.iloc[:, position].tolist()] for position in range(len(labels))
    ]
    records = (dict(zip(labels, values, strict=True)) for values in zip(*columns, strict=True))
    return _from_records(records, labels, source, wanted)


def _from_records(
    records: Iterable[dict[str, str]],
    labels: tuple[str, ...],
    source: SourceSpec,
    wanted: frozenset[str],
    *,
    rows: list[int] | None = None,
    notes: tuple[str, ...] = (),
) -> Labelled:
    area = source.area_column
    twice = [label for label in labels if list(map(label_key, labels)).count(label_key(label)) > 1]
    if twice:
        raise DataError("Two columns have one name.", where=source.file, found=repr(twice[0]))
    if area not in labels:
        raise DataError(
            "A column is not there: the area.",
            where=source.file,
            found=repr(area),
            expected=closest(area, labels),
            fix="Name it in `area_column` of the source in study.toml.",
        )
    table = list(records)
    if not table:
        raise DataError("The file holds no rows of data.", where=source.file, found="columns only")
    areas = [record[area] for record in table]
    rows = rows or list(range(1, len(table) + 1))
    parts = []
    for name in labels:
        label, year = split_label(name)
        if label_key(label) not in wanted:
            continue
        cells = column_cells(
            areas,
            rows,
            [record[name] for record in table],
            label=label,
            year=year if year is not None else year_of(label, source),
            column=name,
            symbols=PAAVO_SYMBOLS,
            file=source.file,
        )
        parts.append(hide(cells))
    return Labelled(
        labels=tuple(split_label(name)[0] for name in labels),
        cells=pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(),
        notes=notes,
    )


def _text(value: object) -> str:
    if value is None or value is pd.NA or value is pd.NaT:
        return ""
    return "" if isinstance(value, float) and math.isnan(value) else str(value)
