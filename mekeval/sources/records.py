"""Formats that carry their own records: Paavo's GeoJSON properties, dBASE tables and R data frames."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pandas as pd

from ..errors import DataError, closest
from ..study import SourceSpec
from .cells import Labelled, column_cells, label_key, refuse_unreadable, split_label, year_of

PAAVO_SYMBOLS: Mapping[str, str] = {"": "missing"}
#: Paavo's WFS and shapefile releases write -1 where the CSV writes "..".
HIDDEN = -1


def read_geojson(path: Path, source: SourceSpec, wanted: frozenset[str]) -> Labelled:
    """Read the properties of a GeoJSON feature collection; a row is the number of the feature."""
    try:
        content = json.loads(path.read_bytes())
        records = [feature["properties"] for feature in content["features"]]
        labels = tuple(dict.fromkeys(key for record in records for key in record))
    except (ValueError, KeyError, TypeError, RecursionError) as cause:
        raise refuse_unreadable("a GeoJSON feature collection", source.file, cause) from None
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
            name = content[start : start + 11].split(b"\x00")[0].decode("ascii")
            width = content[start + 16]
            fields.append((name, offset, width))
            offset += width
        if offset != record_size or len(content) < header_size + count * record_size:
            raise ValueError(f"{len(content)} bytes, {header_size + count * record_size} announced")
    except (struct.error, ValueError, IndexError) as cause:
        raise refuse_unreadable("a whole dBASE table", source.file, cause) from None
    encoding = path.with_suffix(".cpg").read_text("ascii").strip() if path.with_suffix(".cpg").exists() else "latin-1"

    needed = [field for field in fields if label_key(field[0]) in wanted or field[0] == source.area_column]

    def records() -> Iterator[dict[str, str]]:
        for index in range(count):
            start = header_size + index * record_size
            record = content[start : start + record_size]
            yield {name: record[at : at + width].decode(encoding, "replace").strip() for name, at, width in needed}

    return _from_records(records(), tuple(name for name, _, _ in fields), source, wanted, notes=(encoding,))


def read_rdata(path: Path, source: SourceSpec, wanted: frozenset[str]) -> Labelled:
    """Read a data frame from an R data file (`table` of the source names it); needs the extra `rdata`."""
    try:
        import pyreadr  # noqa: PLC0415  an extra
    except ImportError:
        raise DataError(
            "R data files need another package.", where=source.file, fix='Install it with: pip install "mekeval[rdata]"'
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
    columns = [[_text(value) for value in frame[label].tolist()] for label in frame.columns]
    records = (dict(zip(labels, values, strict=True)) for values in zip(*columns, strict=True))
    return _from_records(records, labels, source, wanted)


def _from_records(
    records: Iterable[dict[str, str]],
    labels: tuple[str, ...],
    source: SourceSpec,
    wanted: frozenset[str],
    notes: tuple[str, ...] = (),
) -> Labelled:
    area = source.area_column
    if area not in labels:
        raise DataError(
            "A column is not there: the area.",
            where=source.file,
            found=repr(area),
            expected=closest(area, labels),
            fix="Name it in `area_column` of the source in study.toml.",
        )
    table = list(records)
    areas, rows = [record[area] for record in table], list(range(1, len(table) + 1))
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
        hidden = cells["value"] == HIDDEN
        parts.append(cells.assign(value=cells["value"].mask(hidden), status=cells["status"].mask(hidden, "suppressed")))
    return Labelled(
        labels=tuple(split_label(name)[0] for name in labels),
        cells=pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(),
        notes=notes,
    )


def _text(value: object) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return str(value)
