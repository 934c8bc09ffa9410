"""Tables inside other containers: xlsx workbooks, Parquet files and R data; then as any table of the study.

A workbook is looked at before it is opened: a small file can announce gigabytes, hide rows, merge cells and hold
formulas whose last result is stale.
"""

from __future__ import annotations

import datetime
import decimal
import glob
import io
import math
import re
import zipfile
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd

from ..errors import DataError, StudyError, closest
from ..study import SourceSpec
from .cells import MOST_BYTES, Labelled, label_key, refuse_unreadable, refuse_web_page
from .table import MOST_TABLE_CELLS, Table, framed, table_cells

#: What a workbook may hold when it is unpacked, and how much smaller it may be packed.
MOST_UNPACKED, MOST_RATIO, MOST_PARTS, MOST_GRID = 128 * 2**20, 200, 2000, 4_000_000

_HIDDEN = re.compile(
    rb"<(?:\w+:)?(?:(row|col)\b[^>]*\shidden|sheetFormatPr\b[^>]*\szeroHeight)\s*=\s*[\"'](?:1|true)[\"'][^>]*>"
)
_MERGED = re.compile(
    rb"<(?:\w+:)?mergeCell\b[^>]*\sref\s*=\s*[\"']\$?([A-Z]+)\$?(\d+):\$?([A-Z]+)\$?(\d+)[\"']"
)
_FORMULA = re.compile(rb"<(?:\w+:)?f[\s/>]")
_CELL = re.compile(rb"<(?:\w+:)?(?:c|row)\b[^>]*?\sr\s*=\s*[\"']([A-Z]{0,4})(\d{1,9})[\"']")


def read_xlsx(path: Path, source: SourceSpec, wanted: frozenset[str]) -> Labelled:
    """Read a sheet of a workbook (`table` names it where there are several); needs the extra `xlsx`."""
    try:
        import python_calamine
    except ImportError:
        raise _needs("Workbooks", "xlsx", source.file) from None
    vetted = _vetted(path, source.file)
    try:
        book = python_calamine.CalamineWorkbook.from_filelike(vetted)
        names = list(book.sheet_names)
    except (KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except BaseException as cause:  # a panic of the reader is no Exception
        raise refuse_unreadable("a workbook", source.file, Exception(str(cause))) from None
    name = source.table or (names[0] if len(names) == 1 else "")
    if name not in names:
        raise StudyError(
            "The workbook has several sheets." if not name else "The workbook has no such sheet.",
            where=f"study.toml, source {source.file!r}, table",
            found=repr(name) if name else ", ".join(map(repr, names[:12])),
            expected=closest(name, names) if name else "table = the name of one sheet",
        )
    notes = _look(vetted, name, source)
    try:
        cells = book.get_sheet_by_name(name).to_python(skip_empty_area=False)
    except (KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except BaseException as cause:
        raise refuse_unreadable("a workbook", source.file, Exception(str(cause))) from None
    records = [(row, [_text(cell, source) for cell in line]) for row, line in enumerate(cells, start=1)]
    return table_cells(framed(records, source, (f"sheet {name!r}", *notes)), source, wanted)


def read_parquet(path: Path, source: SourceSpec, wanted: frozenset[str]) -> Labelled:
    """Read a Parquet file; needs the extra `register` (DuckDB)."""
    try:
        import duckdb
    except ImportError:
        raise _needs("Parquet files", "register", source.file) from None
    try:
        with duckdb.connect(config={"memory_limit": "1GB", "autoinstall_known_extensions": "false"}) as link:
            found = link.execute("SELECT * FROM read_parquet(?)", [glob.escape(str(path))])
            names = tuple(str(column[0]) for column in found.description or ())
            records = found.fetchmany(MOST_TABLE_CELLS // max(len(names), 1) + 1)
    except duckdb.Error as cause:
        raise refuse_unreadable("a Parquet file", source.file, cause) from None
    if len(records) * len(names) > MOST_TABLE_CELLS:
        raise DataError(
            "The table is larger than a table of statistics.",
            where=source.file,
            expected=f"at most {MOST_TABLE_CELLS:,} cells",
        )
    return table_cells(_table(names, list(zip(*records, strict=True)), source), source, wanted)


def read_rdata_table(path: Path, source: SourceSpec, wanted: frozenset[str]) -> Labelled:
    """Read a data frame of any layout from an R data file (`table` names it); needs the extra `rdata`."""
    try:
        import pyreadr
    except ImportError:
        raise _needs("R data files", "rdata", source.file) from None
    try:
        frames = pyreadr.read_r(str(path))
    except Exception as cause:  # pyreadr raises its own kinds for every fault of a file
        raise refuse_unreadable("an R data file", source.file, cause) from None
    if source.table not in frames:
        raise DataError(
            "The R data file has no such table.",
            where=source.file,
            found=repr(source.table),
            expected=closest(source.table, map(str, frames)),
        )
    frame = frames[source.table]
    columns = [frame.iloc[:, at].tolist() for at in range(frame.shape[1])]
    return table_cells(_table(tuple(map(str, frame.columns)), columns, source), source, wanted)


def _needs(what: str, extra: str, file: str) -> DataError:
    return DataError(
        f"{what} need another package.", where=file, fix=f'Install it with: pip install "mekeval[{extra}]"'
    )


def _table(names: tuple[str, ...], columns: Sequence[Iterable[object]], source: SourceSpec) -> Table:
    texts = tuple([_text(cell, source) for cell in column] for column in columns)
    if not texts or not texts[0]:
        raise DataError("The file holds no rows of data.", where=source.file)
    counts = Counter(map(label_key, names))
    twice = [name for name in names if counts[label_key(name)] > 1]
    if twice:
        raise DataError("Two columns have one name.", where=source.file, found=repr(twice[0]))
    return Table(names=names, rows=tuple(range(1, len(texts[0]) + 1)), columns=texts, notes=())


def _text(cell: object, source: SourceSpec) -> str:
    """A typed cell as the study declares numbers, so that one rule reads all formats."""
    if cell is None or cell is pd.NA or cell is pd.NaT:
        return ""
    if isinstance(cell, decimal.Decimal):
        return str(cell).replace(".", source.decimal)
    if isinstance(cell, (datetime.date, datetime.time, datetime.timedelta)):
        return cell.isoformat() if not isinstance(cell, datetime.timedelta) else str(cell)
    if isinstance(cell, float):
        if math.isnan(cell):
            return ""
        return (
            str(int(cell))
            if cell.is_integer() and abs(cell) < 1e15
            else repr(cell).replace(".", source.decimal)
        )
    return str(cell)


def _vetted(path: Path, file: str) -> io.BytesIO:
    """The workbook once more, of the parts that were unpacked within bounds: nothing else is shown to the reader."""
    if path.stat().st_size > MOST_BYTES:
        raise DataError("The file is too large.", where=file, found=f"{path.stat().st_size} bytes")
    content = path.read_bytes()
    if not content:
        raise DataError("The file is empty.", where=file)
    refuse_web_page(content, file)
    vetted = io.BytesIO()
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as packed, zipfile.ZipFile(vetted, "w") as plain:
            parts = packed.infolist()
            total = sum(part.file_size for part in parts)
            for part in parts:
                ratio = part.file_size / max(part.compress_size, 1)
                if (
                    total > MOST_UNPACKED
                    or len(parts) > MOST_PARTS
                    or (ratio > MOST_RATIO and part.file_size > 2**20)
                ):
                    raise DataError(
                        "The workbook unpacks to more than a workbook of statistics holds.",
                        where=f"{file}, {part.filename[:80]!r}",
                        found=f"{len(content)} bytes unpack to {total}, this part {ratio:.0f} times its size",
                        expected=f"at most {MOST_UNPACKED} bytes, a part at most {MOST_RATIO} times its size",
                    )
            if len({part.filename for part in parts}) < len(parts):
                raise DataError("The workbook has a part twice.", where=file)
            for part in parts:
                data = packed.read(part)
                if part.filename.lower().endswith((".xml", ".rels")) and b"\x00" in data:
                    raise DataError(
                        "A part of the workbook is not in UTF-8.", where=f"{file}, {part.filename[:80]!r}"
                    )
                if re.search(rb"<!(?:DOCTYPE|ENTITY)", data):
                    raise DataError(
                        "The workbook declares entities, which no workbook needs.",
                        where=f"{file}, {part.filename[:80]!r}",
                    )
                plain.writestr(part.filename, data)
    except (
        zipfile.BadZipFile,
        zipfile.LargeZipFile,
        NotImplementedError,
        RuntimeError,
        EOFError,
        ValueError,
    ) as cause:
        raise refuse_unreadable("a workbook", file, cause) from None
    except Exception as cause:
        if isinstance(cause, DataError):
            raise
        raise refuse_unreadable("a workbook", file, cause) from None  # zlib's own kinds of error
    vetted.seek(0)
    return vetted


def _look(vetted: io.BytesIO, name: str, source: SourceSpec) -> tuple[str, ...]:
    """Refuse what a table of values would lose or get wrong: hidden rows, merged cells, formulas, vast grids."""
    file = source.file
    with zipfile.ZipFile(vetted) as book:
        sheet = _sheet_part(book, name, file)
        data = book.read(sheet)
    first = source.header_row + source.header_rows
    place = f"{file}, sheet {name!r}"
    hidden = _HIDDEN.search(data)
    if hidden:
        kind = "columns" if hidden.group(1) == b"col" else "rows"
        number = re.search(rb"\s(?:r|min)\s*=\s*[\"'](\d+)", hidden.group())
        raise DataError(
            f"The sheet has hidden {kind}.",
            where=place + (f", {kind[:-1]} {int(number.group(1))}" if number else ""),
            fix="Show or delete them: whether they are data cannot be seen.",
        )
    notes = []
    for left, top, right, bottom in (match.groups() for match in _MERGED.finditer(data)):
        ref = f"{left.decode()}{top.decode()}:{right.decode()}{bottom.decode()}"
        if int(bottom) >= first:
            raise DataError(
                "The sheet has merged cells among the data.",
                where=f"{place}, {ref}",
                fix="Undo the merging and fill every cell.",
            )
        notes.append(ref)
    formula = _FORMULA.search(data)
    if formula:
        before = list(_CELL.finditer(data, max(0, formula.start() - 400), formula.start()))
        raise DataError(
            "A cell holds a formula: its last result may be stale.",
            where=place + (f", cell {b''.join(before[-1].groups()).decode()}" if before else ""),
            fix="Save the sheet with values instead of formulas.",
        )
    row, column = 1, 1
    for letters, digits in _CELL.findall(data):
        row = max(row, int(digits))
        number_of = 0
        for letter in letters:
            number_of = 26 * number_of + letter - 64
        column = max(column, number_of)
    if row * column > MOST_GRID:
        raise DataError(
            "The sheet is larger than a table of statistics.",
            where=place,
            found=f"{row} rows x {column} columns",
        )
    return (f"merged headings {', '.join(notes[:10])}",) if notes else ()


def _sheet_part(book: zipfile.ZipFile, name: str, file: str) -> str:
    """The part of the workbook that holds a sheet."""
    space = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
    try:
        sheets = ElementTree.fromstring(book.read("xl/workbook.xml"))
        links = ElementTree.fromstring(book.read("xl/_rels/workbook.xml.rels"))
        key = next(
            node.get(f"{space}id")
            for node in sheets.iter()
            if node.tag.endswith("}sheet") and node.get("name") == name
        )
        target = next(str(node.get("Target")) for node in links if node.get("Id") == key)
        part = target.lstrip("/") if target.startswith("/") else f"xl/{target}"
        book.getinfo(part)
    except (KeyError, StopIteration, ElementTree.ParseError) as cause:
        raise refuse_unreadable("a workbook", file, cause) from None
    return part
