"""Delimited text: PxWeb's CSV exports in the theme and the 12f7 layout, and Paavo's wide tables.

Theme layout: the first column names the area, every other column an item with its year.
12f7 layout: a title and an empty line may come first; area, item, then one column for each year.
Wide layout: as the theme layout, but the year may stand in the study instead of the column name.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from ..errors import DataError, closest
from ..study import SourceSpec
from .cells import PXWEB_SYMBOLS, Labelled, column_cells, hide, label_key, read_text, split_label, year_of

_YEAR = re.compile(r"(?:19|20)\d\d")


def read_pxweb_csv(path: Path, source: SourceSpec, wanted: frozenset[str]) -> Labelled:
    """Read a CSV export of PxWeb in the theme or the 12f7 layout; see the module."""
    text, encoding = read_text(path, source.file)
    rows, separator = _rows(text, source.file)
    _, header = _header(rows, source.file)
    notes = (encoding, f"separator {separator!r}")
    years = [position for position, name in enumerate(header) if _YEAR.fullmatch(name.strip())]
    if years and len(header) - len(years) == 2:
        labels, cells = _long_cells(rows, header, years, source, wanted)
    else:
        labels, cells = _wide_cells(rows, header, 0, source, wanted)
    return Labelled(labels=labels, cells=cells, notes=notes)


def read_wide_csv(path: Path, source: SourceSpec, wanted: frozenset[str]) -> Labelled:
    """Read a wide table with one row for each area; `area_column` of the source names the area's column."""
    text, encoding = read_text(path, source.file)
    rows, separator = _rows(text, source.file)
    header_line, header = _header(rows, source.file)
    area = 0
    if source.area_column:
        names = [name.strip() for name in header]
        if source.area_column not in names:
            raise DataError(
                "A column is not there: the area.",
                where=f"{source.file}, row {header_line}",
                found=repr(source.area_column),
                expected=closest(source.area_column, names),
            )
        area = names.index(source.area_column)
    labels, cells = _wide_cells(rows, header, area, source, wanted)
    return Labelled(
        labels=labels,
        cells=hide(cells) if len(cells) else cells,
        notes=(encoding, f"separator {separator!r}"),
    )


def _rows(text: str, file: str) -> tuple[Iterator[tuple[int, list[str]]], str]:
    """Line numbers and cells; the separator is the one that stands most often outside quotes in the header."""
    bare = re.sub(r'"[^"]*"', "", "\n".join(text.splitlines()[:5]))
    separator = max(",;\t", key=bare.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)

    def numbered() -> Iterator[tuple[int, list[str]]]:
        try:
            for row in reader:
                yield reader.line_num, row
        except csv.Error as cause:
            raise DataError(
                "The file is not valid CSV: it may be cut off.",
                where=f"{file}, row {reader.line_num}",
                found=str(cause),
            ) from None

    return numbered(), separator


def _header(rows: Iterator[tuple[int, list[str]]], file: str) -> tuple[int, list[str]]:
    """The first row with more than one cell: a title and an empty line may stand before it."""
    for line, row in rows:
        if len(row) > 1:
            keys = [label_key(name) for name in row]
            repeated = [name for name, key in zip(row, keys, strict=True) if key and keys.count(key) > 1]
            if repeated:
                raise DataError(
                    "Two columns have one name.", where=f"{file}, row {line}", found=repr(repeated[0])
                )
            return line, row
    raise DataError("The file has no header row with several columns.", where=file)


def _checked(rows: Iterator[tuple[int, list[str]]], width: int, file: str) -> Iterator[tuple[int, list[str]]]:
    for line, row in rows:
        if not row:
            continue
        if len(row) != width:
            raise DataError(
                "A row has another number of cells than the header: the file may be cut off.",
                where=f"{file}, row {line}",
                found=f"{len(row)} cells, the first {row[0]!r}",
                expected=f"{width} cells",
            )
        yield line, row


def _wide_cells(
    rows: Iterator[tuple[int, list[str]]],
    header: list[str],
    area: int,
    source: SourceSpec,
    wanted: frozenset[str],
) -> tuple[tuple[str, ...], pd.DataFrame]:
    split = [split_label(name) for name in header]
    lines, table = _table(_checked(rows, len(header), source.file), source.file)
    areas = [row[area] for row in table]
    parts = [
        column_cells(
            areas,
            lines,
            [row[position] for row in table],
            label=label,
            year=year if year is not None else year_of(label, source),
            column=header[position],
            symbols=PXWEB_SYMBOLS,
            file=source.file,
        )
        for position, (label, year) in enumerate(split)
        if position != area and label_key(label) in wanted
    ]
    labels = dict.fromkeys(label for position, (label, _) in enumerate(split) if position != area)
    return tuple(labels), pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _long_cells(
    rows: Iterator[tuple[int, list[str]]],
    header: list[str],
    years: list[int],
    source: SourceSpec,
    wanted: frozenset[str],
) -> tuple[tuple[str, ...], pd.DataFrame]:
    area, item = (position for position in range(len(header)) if position not in years)
    lines, table = _table(_checked(rows, len(header), source.file), source.file)
    labels = tuple(dict.fromkeys(row[item].strip() for row in table))
    parts = []
    for label in labels:
        if label_key(label) not in wanted:
            continue
        at = [index for index, row in enumerate(table) if row[item].strip() == label]
        parts += [
            column_cells(
                [table[index][area] for index in at],
                [lines[index] for index in at],
                [table[index][position] for index in at],
                label=label,
                year=int(header[position]),
                column=header[position],
                symbols=PXWEB_SYMBOLS,
                file=source.file,
            )
            for position in years
        ]
    return labels, pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _table(rows: Iterator[tuple[int, list[str]]], file: str) -> tuple[list[int], list[list[str]]]:
    numbered = list(rows)
    if not numbered:
        raise DataError("The file holds no rows of data.", where=file, found="a header only")
    return [line for line, _ in numbered], [row for _, row in numbered]
