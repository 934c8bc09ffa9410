"""Tables inside other containers: xlsx workbooks, Parquet files and R data; then as any table of the study.

In: bytes, and what the study says of them. Out: the rows of a source. Never: a formula calculated.

A workbook is looked at before it is opened: a small file can announce gigabytes, hide rows, merge cells and hold
formulas whose last result is stale.
"""

from __future__ import annotations

import glob
import io
import itertools
import re
import threading
import zipfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import numpy as np

from ..errors import DataError, Fault, Place, StudyError
from ..study import SourceSpec
from .cells import (
    MOST_FAULTS,
    MOST_TABLE_CELLS,
    Labelled,
    counted,
    nearest,
    plain_text,
    refuse_twins,
    refuse_wide,
)
from .files import checked_size, refuse_web_page, unreadable
from .rdata import read_frame
from .table import Table, framed, table_cells

if TYPE_CHECKING:
    import duckdb

#: What a workbook may be, what it may hold when it is unpacked, and how much smaller it may be packed.
MOST_PACKED, MOST_UNPACKED, MOST_RATIO, MOST_PARTS, MOST_GRID = 24 * 2**20, 96 * 2**20, 200, 2000, 2_000_000
#: Characters of one text (a cell of a workbook has no room for more), and of all texts of a sheet.
MOST_TEXT, MOST_TEXTS = 32_767, 64 * 2**20
#: Seconds after which the reading of a Parquet file is given up.
MOST_SECONDS = 4.0

_HIDDEN = re.compile(
    rb"<(?:\w+:)?(?:(row|col)\b[^<>]*\shidden|sheetFormatPr\b[^<>]*\szeroHeight)\s*=\s*[\"'](?:1|true)[\"'][^<>]*>"
)
_NUMBERED = re.compile(rb"\s(?:r|min)\s*=\s*[\"'](\d{1,9})")
_MERGED = re.compile(
    rb"<(?:\w+:)?mergeCell\b[^<>]*\sref\s*=\s*[\"']\$?([A-Z]{1,4})\$?(\d{1,9}):\$?([A-Z]{1,4})\$?(\d{1,9})[\"']"
)
_CELL = re.compile(rb"<(?:\w+:)?(?:c|row)\b[^<>]*?\sr\s*=\s*[\"']([A-Z]{0,4})(\d{1,9})[\"']")
#: A cell with a formula, or with one of a spreadsheet's words for an error, which the reader would pass over.
_FORMULA, _ERROR = re.compile(rb"<(?:\w+:)?f[\s/>]"), re.compile(rb"<(?:\w+:)?c\b[^<>]*\st\s*=\s*[\"']e[\"']")
_PLACE, _REFERENCE = (
    re.compile(rb"<(?:\w+:)?c\b[^<>]*?\sr\s*=\s*[\"']([^\"']*)"),
    re.compile(rb"[A-Z]{1,3}[1-9]\d{0,6}"),
)
_ROWS, _TAG = (
    re.compile(rb"<(?:\w+:)?sheetData\b.*</(?:\w+:)?sheetData>", re.DOTALL),
    re.compile(rb"<(?:\w+:)?([A-Za-z]\w*)"),
)
#: What the rows of a sheet are made of: cells with values or texts, and what marks up a part of a text.
_TAGS = frozenset(
    b"sheetData row c v f is t r rPr rPh phoneticPr extLst ext b i u strike sz color rFont family scheme "
    b"vertAlign charset outline shadow condense extend".split()
)
_SHARED = re.compile(rb"<(?:\w+:)?c\b[^<>]*\st\s*=\s*[\"']s[\"'][^<>]*>\s*<(?:\w+:)?v>\s*(\d{1,9})")


def read_xlsx(path: Path, source: SourceSpec, wanted: frozenset[str]) -> Labelled:
    """Read a sheet of a workbook (`table` names it where there are several); needs the extra `xlsx`."""
    return table_cells(xlsx_table(path, source), source, wanted)


def xlsx_table(path: Path, source: SourceSpec) -> Table:
    """A sheet of a workbook as named columns of text."""
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
        raise unreadable("a workbook", source.file, Exception(str(cause))) from None
    name = source.table or (names[0] if len(names) == 1 else "")
    if name not in names:
        raise StudyError(
            "The workbook has several sheets." if not name else "The workbook has no such sheet.",
            where=f"study.toml, source {source.file!r}, table",
            found=repr(name) if name else ", ".join(map(repr, names[:12])),
            expected=nearest(name, names) if name else "table = the name of one sheet",
        )
    notes = _look(vetted, name, source)
    try:
        cells = book.get_sheet_by_name(name).to_python(skip_empty_area=False)
    except (KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except BaseException as cause:
        raise unreadable("a workbook", source.file, Exception(str(cause))) from None
    records = [
        (row, [plain_text(cell, source.decimal) for cell in line]) for row, line in enumerate(cells, start=1)
    ]
    return framed(records, source, (f"sheet {name!r}", *notes))


def read_parquet(path: Path, source: SourceSpec, wanted: frozenset[str]) -> Labelled:
    """Read a Parquet file; needs the extra `register` (DuckDB)."""
    try:
        import duckdb
    except ImportError:
        raise _needs("Parquet files", "register", source.file) from None
    checked_size(path, source.file)
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": "400MB",
        "threads": "1",
        "autoinstall_known_extensions": "false",
    }
    try:
        with duckdb.connect(config=config) as link:
            # Whatever a file makes of its pages, the reading ends.
            alarm = threading.Timer(MOST_SECONDS, link.interrupt)
            alarm.start()
            try:
                return table_cells(_parquet_table(link, glob.escape(str(path)), source), source, wanted)
            finally:
                alarm.cancel()
    except (duckdb.Error, UnicodeDecodeError, ValueError, OverflowError, SystemError) as cause:
        raise unreadable("a Parquet file", source.file, cause) from None


def _parquet_table(link: duckdb.DuckDBPyConnection, name: str, source: SourceSpec) -> Table:
    """All columns as text; how many rows there are, and how long their texts, is asked first."""
    relation = "read_parquet(?, hive_partitioning = false)"
    rows = link.execute("SELECT sum(num_rows) FROM parquet_file_metadata(?)", [name]).fetchone()
    described = link.execute(f"DESCRIBE SELECT * FROM {relation}", [name]).fetchall()
    names, kinds = tuple(str(each[0]) for each in described), [str(each[1]) for each in described]
    size = int(rows[0] or 0) if rows else 0
    refuse_wide(len(names), source.file)
    if not 0 <= size <= MOST_TABLE_CELLS // max(len(names), 1):
        raise DataError(
            "The table is larger than a table of statistics.",
            where=source.file,
            found=f"{size:,} rows of {len(names)} columns",
            expected=f"at most {MOST_TABLE_CELLS:,} cells",
        )
    if not size:
        raise DataError("The file holds no rows of data.", where=source.file)
    texts = [name for name, kind in zip(names, kinds, strict=True) if kind == "VARCHAR"]
    if texts:
        longest = ", ".join(f"max(strlen({_quoted(each)}))" for each in texts)
        found = link.execute(f"SELECT {longest} FROM {relation}", [name]).fetchone() or ()
        if any(each is not None and each > MOST_TEXT for each in found):
            raise DataError(
                "A text is longer than the texts of statistics.",
                where=source.file,
                found=f"{max(each or 0 for each in found):,} bytes",
                expected=f"at most {MOST_TEXT:,} bytes",
            )
    odd = [
        f"{name}: {kind}"
        for name, kind in zip(names, kinds, strict=True)
        if kind == "BLOB" or kind.endswith("]") or kind.startswith(("STRUCT", "MAP", "UNION"))
    ]
    chosen = ", ".join(
        "NULL"
        if kind == "BLOB" or kind.endswith("]") or kind.startswith(("STRUCT", "MAP", "UNION"))
        else _quoted(name)
        for name, kind in zip(names, kinds, strict=True)
    )
    records = link.execute(f"SELECT {chosen} FROM {relation}", [name]).fetchmany(size + 1)
    if len(records) != size:
        raise ValueError(f"{len(records)} rows, {size} announced")
    table = _table(names, list(zip(*records, strict=True)), source)
    return replace(table, notes=(f"columns left aside: {', '.join(odd[:12])}",)) if odd else table


def _quoted(name: str) -> str:
    """A name of a column in SQL."""
    return '"' + name.replace('"', '""') + '"'


def read_rdata_table(path: Path, source: SourceSpec, wanted: frozenset[str]) -> Labelled:
    """Read a data frame of any layout from an R data file (`table` names it)."""
    frame = read_frame(path, source.table, source.file)
    names = tuple(name for name, column in zip(frame.names, frame.columns, strict=True) if column is not None)
    columns = [column for column in frame.columns if column is not None]
    return table_cells(_table(names, columns, source), source, wanted)


def _needs(what: str, extra: str, file: str) -> DataError:
    return DataError(
        f"{what} need another package.", where=file, fix=f'Install it with: pip install "mekeval[{extra}]"'
    )


def _table(names: tuple[str, ...], columns: Sequence[Iterable[object]], source: SourceSpec) -> Table:
    refuse_wide(len(names), source.file)
    refuse_twins(names, source.file)
    texts = tuple([plain_text(cell, source.decimal) for cell in column] for column in columns)
    if not texts or not texts[0]:
        raise DataError("The file holds no rows of data.", where=source.file)
    return Table(names=names, rows=range(1, len(texts[0]) + 1), columns=texts, notes=())


def _vetted(path: Path, file: str) -> io.BytesIO:
    """The workbook once more, of the parts that were unpacked within bounds: nothing else is shown to the reader."""
    checked_size(path, file, MOST_PACKED)
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
    except DataError:
        raise
    except Exception as cause:  # a damaged zip fails in many ways, zlib's own among them
        raise unreadable("a workbook", file, cause) from None
    vetted.seek(0)
    return vetted


def _look(vetted: io.BytesIO, name: str, source: SourceSpec) -> tuple[str, ...]:
    """Refuse what a table of values would lose or get wrong: hidden rows, merged cells, formulas, vast grids."""
    file = source.file
    with zipfile.ZipFile(vetted) as book:
        sheet = _sheet_part(book, name, file)
        data = book.read(sheet)
        shared = next((part for part in book.namelist() if part.lower() == "xl/sharedstrings.xml"), "")
        _refuse_long_texts(data, book.read(shared) if shared else b"", file)
    first = source.header_row + source.header_rows
    faults = []
    for hidden in itertools.islice(_HIDDEN.finditer(data), MOST_FAULTS):
        kind = "columns" if hidden.group(1) == b"col" else "rows"
        match = _NUMBERED.search(hidden.group())
        number = int(match.group(1)) if match else 0
        faults.append(
            Fault(
                what=f"The sheet has hidden {kind}.",
                place=Place(
                    file=file,
                    row=number if number and kind == "rows" else None,
                    column=_letters(number) if number and kind == "columns" else "",
                ),
                found=f"sheet {name!r}",
                fix="Show or delete them: whether they are data cannot be seen.",
            )
        )
    notes = []
    for left, top, right, bottom in itertools.islice(
        (match.groups() for match in _MERGED.finditer(data)), MOST_FAULTS
    ):
        ref = f"{left.decode()}{top.decode()}:{right.decode()}{bottom.decode()}"
        notes.append(ref)
        if int(bottom) >= first:
            faults.append(
                Fault(
                    what="The sheet has merged cells among the data.",
                    place=Place(file=file, row=int(top), column=left.decode()),
                    found=f"{ref} of sheet {name!r}",
                    fix="Undo the merging and fill every cell.",
                )
            )
    for what, pattern, fix in (
        (
            "A cell holds a formula: its last result may be stale.",
            _FORMULA,
            "Save the sheet with values instead of formulas.",
        ),
        ("A cell holds an error of the spreadsheet.", _ERROR, "Correct it, or leave the cell empty."),
    ):
        for found in itertools.islice(pattern.finditer(data), MOST_FAULTS):
            before = list(_CELL.finditer(data, max(0, found.start() - 400), found.end()))
            column, row = before[-1].groups() if before else (b"", b"0")
            faults.append(
                Fault(
                    what=what,
                    place=Place(file=file, row=int(row) or None, column=column.decode()),
                    found=f"sheet {name!r}",
                    fix=fix,
                )
            )
    faults += _damaged(data, name, file)
    if faults:
        raise DataError.of(counted(faults, file, more=len(faults) - MOST_FAULTS))
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
            where=f"{file}, sheet {name!r}",
            found=f"{row} rows x {column} columns",
        )
    return (f"merged headings {', '.join(notes[:10])}",) if notes else ()


def _damaged(data: bytes, name: str, file: str) -> list[Fault]:
    """Cells without a place of their own, and parts of rows that no workbook has: the reader would skip them."""
    places = _PLACE.findall(data)
    counts = Counter(places)
    wrong = [place for place in counts if counts[place] > 1 or not _REFERENCE.fullmatch(place)]
    rows = _ROWS.search(data)
    strange = sorted(set(_TAG.findall(rows.group())) - _TAGS) if rows else []
    return [
        *(
            Fault(
                what="The place of a cell cannot be read, or stands twice.",
                place=Place(file=file),
                found=f"{place[:20].decode('latin-1')!r} in sheet {name!r}",
            )
            for place in wrong[:MOST_FAULTS]
        ),
        *(
            Fault(
                what="The rows of the sheet hold something that is no cell.",
                place=Place(file=file),
                found=f"<{tag[:20].decode('latin-1')}> in sheet {name!r}",
            )
            for tag in strange[:MOST_FAULTS]
        ),
    ]


def _refuse_long_texts(sheet: bytes, shared: bytes, file: str) -> None:
    """Texts stand once in a workbook and in memory as often as cells name them."""
    sizes = np.array([len(text) for text in re.split(rb"</(?:\w+:)?si>", shared)], dtype=np.int64)
    used = np.array([int(each) for each in _SHARED.findall(sheet)], dtype=np.int64)
    total = int(sizes[used[used < sizes.size]].sum())
    if total > MOST_TEXTS:
        raise DataError(
            "The workbook unpacks to more than a workbook of statistics holds.",
            where=file,
            found=f"texts of {total:,} bytes",
            expected=f"at most {MOST_TEXTS:,} bytes",
        )


def _letters(number: int) -> str:
    """The name of a column: 1 is A, 27 is AA."""
    name = ""
    while number:
        number, letter = divmod(number - 1, 26)
        name = chr(65 + letter) + name
    return name


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
        raise unreadable("a workbook", file, cause) from None
    return part
