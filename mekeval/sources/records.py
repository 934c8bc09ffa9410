"""Formats that carry their own records: Paavo's GeoJSON properties, dBASE tables and R data frames.

In: a file. Out: `Labelled`, as from every reader. Never: code from a file run, or a length in it believed.
"""

from __future__ import annotations

import codecs
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import DataError, Fault, Place
from ..study import SourceSpec
from .cells import (
    MOST_FAULTS,
    MOST_TABLE_CELLS,
    Labelled,
    counted,
    nearest,
    paavo_writing,
    plain_text,
    refuse_twins,
    refuse_wide,
    wide_cells,
)
from .files import MOST_BYTES, checked_size, read_json, unreadable
from .labels import label_key, split_label
from .rdata import read_frame

_END_OF_FIELDS, _DELETED, _LIVE = 0x0D, 0x2A, 0x20
#: Kinds of fields that hold text: characters, numbers, days, yes or no.
_TEXT_FIELDS = b"CNFDL"


def read_geojson(path: Path, source: SourceSpec, wanted: frozenset[str]) -> Labelled:
    """Read the properties of a GeoJSON feature collection; a row is the number of the feature."""
    content = read_json(path, source.file, "a GeoJSON feature collection", constants=True)
    features = content.get("features") if isinstance(content, dict) else None
    if not isinstance(features, list):
        raise DataError(
            "The file is not a GeoJSON feature collection.",
            where=source.file,
            found="no list `features`",
        )
    if not features:
        raise DataError("The file holds no rows of data.", where=source.file, found="no features")
    records = [each.get("properties") if isinstance(each, dict) else None for each in features]
    broken = [row for row, record in enumerate(records, start=1) if not isinstance(record, dict)]
    if broken:
        raise DataError.of(
            counted(
                (
                    Fault(
                        what="A feature of the GeoJSON has no properties.",
                        place=Place(file=source.file, row=row),
                    )
                    for row in broken[:MOST_FAULTS]
                ),
                source.file,
                more=len(broken) - MOST_FAULTS,
            )
        )
    labels = tuple(dict.fromkeys(key for record in records if isinstance(record, dict) for key in record))
    area = _area(labels, source)
    columns = [
        [plain_text(record.get(name)) for record in records if isinstance(record, dict)]
        if at == area or label_key(split_label(name)[0]) in wanted
        else []
        for at, name in enumerate(labels)
    ]
    return _cells(labels, columns, range(1, len(records) + 1), area, source, wanted, ("UTF-8",))


def read_dbf(path: Path, source: SourceSpec, wanted: frozenset[str]) -> Labelled:
    """Read a dBASE III table; a row is the number of the record. Fields full of asterisks are overflow.

    Read here and not by a package, because packages turn blank, asterisks and text alike into None.
    """
    checked_size(path, source.file, MOST_BYTES)
    content = path.read_bytes()
    try:
        fields, header_size, count, record_size = _fields(content)
    except (struct.error, ValueError, IndexError) as cause:
        raise unreadable("a whole dBASE table", source.file, cause) from None
    if not count:
        raise DataError("The file holds no rows of data.", where=source.file, found="columns only")
    names = tuple(name for name, _, _, _ in fields)
    area = _area(names, source)
    table = np.frombuffer(content, dtype=np.uint8, count=count * record_size, offset=header_size)
    table = table.reshape(count, record_size)
    odd = np.flatnonzero((table[:, 0] != _LIVE) & (table[:, 0] != _DELETED))
    faults = [
        Fault(
            what="A record is marked neither as there nor as deleted.",
            place=Place(file=source.file, row=int(row) + 1),
            found=repr(bytes(table[row, :1])),
        )
        for row in odd[:MOST_FAULTS]
    ]
    live = np.flatnonzero(table[:, 0] != _DELETED)
    if not live.size:
        raise DataError("The file holds no rows of data.", where=source.file, found="deleted records only")
    raw: dict[int, list[bytes]] = {}
    for at, (name, kind, first, width) in enumerate(fields):
        if at != area and label_key(split_label(name)[0]) not in wanted:
            continue
        if kind not in _TEXT_FIELDS or not width:
            faults.append(
                Fault(
                    what="A field of the dBASE table is no text.",
                    place=Place(file=source.file, column=name),
                    found=f"kind {chr(kind)!r}, {width} bytes",
                    expected="a field of characters or of a number as text",
                )
            )
            continue
        # What is left of a cell before its first NUL is followed by blanks: numpy cuts NULs at the end only.
        block = np.ascontiguousarray(table[live, first : first + width]).view(f"S{width}").ravel()
        raw[at] = block.tolist()
    # A .cpg file beside it is not covered by the checksum, so the bytes themselves tell the encoding.
    strange = {cell for column in raw.values() for cell in set(column) if not cell.isascii()}
    encoding = "UTF-8" if all(map(_is_utf8, strange)) else "ISO-8859-1"
    columns = [
        [cell.decode(encoding, "ignore").strip(" ") for cell in raw[at]] if at in raw else []
        for at in range(len(fields))
    ]
    if area not in raw:
        raise DataError.of(faults)
    kept = [name if at in raw else "" for at, name in enumerate(names)]
    found = _cells(kept, columns, (live + 1).tolist(), area, source, wanted, (encoding,), tuple(faults))
    labels = tuple(dict.fromkeys(split_label(name)[0] for at, name in enumerate(names) if at != area))
    return Labelled(labels=labels, cells=found.cells, notes=found.notes, faults=found.faults)


def _fields(content: bytes) -> tuple[list[tuple[str, int, int, int]], int, int, int]:
    """Name, kind, offset and width of each field; the header's size, the number of records and the size of one."""
    count, header_size, record_size = struct.unpack_from("<IHH", content, 4)
    fields = []
    offset = 1
    for start in range(32, header_size, 32):
        if content[start] == _END_OF_FIELDS:
            break
        name = content[start : start + 11].split(b"\x00")[0].decode("ascii")
        if not name.isprintable():
            raise ValueError(f"the name {name!r} of a field")
        width = content[start + 16]
        fields.append((name, content[start + 11], offset, width))
        offset += width
    else:
        raise ValueError("the list of fields has no end")
    whole = header_size + count * record_size
    # A count that is too small would leave areas out unseen, so nothing may stand after the records.
    if offset != record_size or content[whole:] not in (b"", b"\x1a") or len(content) < whole:
        raise ValueError(f"{len(content)} bytes, {count} records of {record_size} bytes announced")
    return fields, header_size, count, record_size


def _is_utf8(cell: bytes) -> bool:
    """Whether a field of fixed width is UTF-8; its last letter may be cut off."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(cell)
    except UnicodeDecodeError:
        return False
    return True


def read_rdata(path: Path, source: SourceSpec, wanted: frozenset[str]) -> Labelled:
    """Read a data frame from an R data file (`table` of the source names it)."""
    frame = read_frame(path, source.table, source.file)
    if not frame.size:
        raise DataError("The file holds no rows of data.", where=source.file, found="columns only")
    area = _area(frame.names, source)
    columns: list[list[str]] = []
    for at, (name, column) in enumerate(zip(frame.names, frame.columns, strict=True)):
        if at != area and label_key(split_label(name)[0]) not in wanted:
            columns.append([])
        elif column is None:
            raise DataError(
                "A column of the data frame holds neither numbers nor texts.",
                where=f"{source.file}, column {name!r}",
            )
        else:
            columns.append([plain_text(value) for value in column])
    return _cells(frame.names, columns, range(1, frame.size + 1), area, source, wanted)


def _area(labels: Sequence[str], source: SourceSpec) -> int:
    """The position of the area's column, among columns that can be told apart."""
    refuse_wide(len(labels), source.file)
    refuse_twins(labels, source.file)
    if source.area_column not in labels:
        raise DataError(
            "A column is not there: the area.",
            where=source.file,
            found=repr(source.area_column),
            expected=nearest(source.area_column, labels),
            fix="Name it in `area_column` of the source in study.toml.",
        )
    return labels.index(source.area_column)


def _cells(
    names: Sequence[str],
    columns: Sequence[Sequence[str]],
    rows: Sequence[int],
    area: int,
    source: SourceSpec,
    wanted: frozenset[str],
    notes: tuple[str, ...] = (),
    faults: tuple[Fault, ...] = (),
) -> Labelled:
    if sum(map(len, columns)) > MOST_TABLE_CELLS:
        raise DataError(
            "The table is larger than a table of statistics.",
            where=source.file,
            expected=f"at most {MOST_TABLE_CELLS:,} cells",
        )
    writing = paavo_writing(source, pxweb=False, hidden=True, exponents=True)
    return wide_cells(
        names,
        columns,
        area=area,
        rows=rows,
        source=source,
        wanted=wanted,
        writing=writing,
        notes=notes,
        faults=faults,
    )
