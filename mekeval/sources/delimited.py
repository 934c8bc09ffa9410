"""Delimited text: PxWeb's CSV exports in the theme and the 12f7 layout, and Paavo's wide tables.

In: bytes, and what the study says of them. Out: the rows of a source. Never: a row of another width taken silently.

Theme layout: the first column names the area, every other column an item with its year.
12f7 layout: a title and an empty line may come first; area, item, then one column for each year.
Wide layout: as the theme layout, but the year may stand in the study instead of the column name.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..errors import DataError, Fault, Place
from ..study import SourceSpec
from .cells import (
    MOST_FAULTS,
    MOST_TABLE_CELLS,
    Coded,
    Labelled,
    area_faults,
    cell_table,
    coded,
    counted,
    nearest,
    paavo_writing,
    refuse_twins,
    refuse_wide,
    shown,
    wide_cells,
)
from .files import read_text
from .labels import YEAR, idle_year, label_key

#: Lines of a file with their cells.
Records = list[tuple[int, list[str]]]

_QUOTED = re.compile(r'"[^"]*"')


def read_pxweb_csv(path: Path, source: SourceSpec, wanted: frozenset[str]) -> Labelled:
    """Read a CSV export of PxWeb in the theme or the 12f7 layout; see the module."""
    _, header, records, notes, faults = _table(path, source)
    years = [position for position, name in enumerate(header) if YEAR.fullmatch(name.strip())]
    if years and len(header) - len(years) == 2:
        return _long_cells(header, years, records, source, wanted, notes, faults)
    return _wide(header, 0, records, source, wanted, notes, faults, hidden=False)


def read_wide_csv(path: Path, source: SourceSpec, wanted: frozenset[str]) -> Labelled:
    """Read a wide table with one row for each area; `area_column` of the source names the area's column."""
    line, header, records, notes, faults = _table(path, source)
    area = 0
    if source.area_column:
        names = [name.strip() for name in header]
        if source.area_column not in names:
            raise DataError(
                "A column is not there: the area.",
                where=f"{source.file}, row {line}",
                found=repr(source.area_column),
                expected=nearest(source.area_column, names),
            )
        area = names.index(source.area_column)
    return _wide(header, area, records, source, wanted, notes, faults, hidden=True)


def csv_records(text: str, separator: str, file: str) -> Records:
    """The lines of a text and their cells, within bounds; a quoted cell may run over several lines."""
    if text.count('"') % 2:  # the csv module takes a quote amid a cell as a letter, and reads on
        odd = next(at for at, line in enumerate(text.splitlines(), start=1) if line.count('"') % 2)
        raise DataError(
            "The file is not valid CSV: it may be cut off, or a quote is open.",
            where=f"{file}, row {odd}",
            found="a quote without its other half",
        )
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    records: Records = []
    size = last = 0
    try:
        for row in reader:
            records.append((last + 1, row))
            last = reader.line_num
            size += len(row) + 2  # a row takes room of its own
            if size > MOST_TABLE_CELLS:
                raise DataError(
                    "The table is larger than a table of statistics.",
                    where=f"{file}, row {last}",
                    expected=f"at most {MOST_TABLE_CELLS:,} cells",
                )
    except csv.Error as cause:
        raise DataError(
            "The file is not valid CSV: it may be cut off, or a quote is open.",
            where=f"{file}, row {last + 1}",
            found=str(cause),
        ) from None
    return records


def whole_rows(
    records: Records, width: int, file: str, fix: str = ""
) -> tuple[list[int], list[list[str]], tuple[Fault, ...]]:
    """The rows as wide as the header, their lines, and a fault for every other row."""
    ragged = [(line, row) for line, row in records if len(row) != width]
    sound = [(line, row) for line, row in records if len(row) == width] if ragged else records
    faults = counted(
        (
            Fault(
                what="A row has another number of cells than the header: the file may be cut off.",
                place=Place(file=file, row=line),
                found=f"{len(row)} cells, the first {row[0][:60]!r}",
                expected=f"{width} cells",
                fix=fix,
            )
            for line, row in ragged[:MOST_FAULTS]
        ),
        file,
        more=len(ragged) - MOST_FAULTS,
    )
    return [line for line, _ in sound], [row for _, row in sound], faults


def open_end(text: str) -> bool:
    """Whether the text may be cut inside its last cell: it ends neither with a line's end nor with a quote."""
    return not text.endswith(("\n", "\r", '"', "\x1a"))


def short_last_area(
    areas: NDArray[np.int32], rows: Sequence[int], file: str, column: str
) -> tuple[Fault, ...]:
    """A long table whose last area alone has fewer rows than every other one has: it was cut at a line's end."""
    counts = np.bincount(areas)
    last = areas[-1] if areas.size else 0
    others = np.delete(counts, last)
    if others.size < 2 or others.min() != others.max() or counts[last] >= others.min():
        return ()
    return (
        Fault(
            what="The last area has fewer rows than every other one: the file may be cut off.",
            place=Place(file=file, row=int(rows[-1]), column=column),
            found=f"{counts[last]} rows",
            expected=f"{others.min()} rows",
        ),
    )


def _table(
    path: Path, source: SourceSpec
) -> tuple[int, list[str], Records, tuple[str, ...], tuple[Fault, ...]]:
    """Line and cells of the header, the rows below it, what was found out and what is wrong."""
    file = source.file
    text, encoding = read_text(path, file)
    # The separator stands most often outside quotes in the first lines.
    bare = _QUOTED.sub("", "\n".join(text[: 2**16].splitlines()[:5]))
    separator = max(",;\t", key=bare.count)
    records = csv_records(text, separator, file)
    first = next((at for at, (_, row) in enumerate(records) if len(row) > 1), None)
    if first is None:
        raise DataError("The file has no header row with several columns.", where=file)
    line, header = records[first]
    refuse_wide(len(header), file, line)
    refuse_twins(header, file, line)
    body = [(at, row) for at, row in records[first + 1 :] if row]
    if not body:
        raise DataError("The file holds no rows of data.", where=file, found="a header only")
    faults: tuple[Fault, ...] = ()
    if open_end(text):
        faults = (
            Fault(
                what="The last line has no end: the file may be cut inside its last number.",
                place=Place(file=file, row=body[-1][0], column=header[-1]),
                found=shown(body[-1][1][-1]),
                expected="a line's end, as PxWeb and Paavo write it",
                fix="Download it again. If it is whole, end its last line and write the new sha256 in study.toml.",
            ),
        )
    return line, header, body, (encoding, f"separator {separator!r}"), faults


def _wide(
    header: list[str],
    area: int,
    records: Records,
    source: SourceSpec,
    wanted: frozenset[str],
    notes: tuple[str, ...],
    faults: tuple[Fault, ...],
    *,
    hidden: bool,
) -> Labelled:
    lines, rows, ragged = whole_rows(records, len(header), source.file)
    columns: list[tuple[str, ...]] = list(zip(*rows, strict=True)) or [()] * len(header)
    return wide_cells(
        header,
        columns,
        area=area,
        rows=lines,
        source=source,
        wanted=wanted,
        writing=paavo_writing(source, pxweb=True, hidden=hidden, exponents=False),
        notes=notes,
        faults=(*ragged, *faults),
    )


def _long_cells(
    header: list[str],
    years: list[int],
    records: Records,
    source: SourceSpec,
    wanted: frozenset[str],
    notes: tuple[str, ...],
    faults: tuple[Fault, ...],
) -> Labelled:
    file = source.file
    area, item = (position for position in range(len(header)) if position not in years)
    lines, rows, ragged = whole_rows(records, len(header), file)
    columns: list[tuple[str, ...]] = list(zip(*rows, strict=True)) or [()] * len(header)
    area_codes, areas = coded(columns[area])
    item_codes, labels = coded([text.strip() for text in columns[item]])
    told = idle_year(source, "the names of columns")
    found = (*ragged, *faults, *told, *area_faults(area_codes, areas, lines, file, header[area]))
    if rows and not ragged:
        found += short_last_area(area_codes, lines, file, header[area])
    mine = np.flatnonzero(np.array([label_key(label) in wanted for label in labels], dtype=bool)[item_codes])
    if not mine.size:
        return Labelled(labels=tuple(labels), cells=pd.DataFrame(), notes=notes, faults=found)
    at, count = mine.tolist(), len(years)
    each = np.repeat(np.arange(count, dtype=np.int32), mine.size)
    cells, wrong = cell_table(
        areas=Coded(codes=np.tile(area_codes[mine], count), names=areas),
        items=Coded(codes=np.tile(item_codes[mine], count), names=labels),
        years=np.array([int(header[position].strip()[:4]) for position in years], dtype=np.int32)[each],
        columns=Coded(codes=each, names=[header[position] for position in years]),
        rows=np.tile(np.asarray(lines, dtype=np.int32)[mine], count),
        texts=[columns[position][row] for position in years for row in at],
        writing=paavo_writing(source, pxweb=True, hidden=False, exponents=False),
        file=file,
    )
    return Labelled(labels=tuple(labels), cells=cells, notes=notes, faults=(*found, *wrong))
