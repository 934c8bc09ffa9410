"""Tables of any layout, described in the study alone: CSV, and what xlsx, Parquet and R data files hold.

In: named columns of text and the study's words on them. Out: `Labelled`. Wide: one row for each area (and year),
items as columns. Long: one row for each value, `item_column` and `value_column`. Never: a number that is not
written as declared, or a row among several that fit.
"""

from __future__ import annotations

import datetime
import decimal as decimals
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..errors import DataError, Fault, MekevalError, Place, StudyError
from ..study import SourceSpec
from .cells import (
    MOST_FAULTS,
    YEAR,
    Coded,
    Labelled,
    area_faults,
    cell_table,
    coded,
    counted,
    declared_writing,
    label_key,
    nearest,
    no_year,
    refuse_twins,
    refuse_wide,
    shown,
    split_label,
    year_of,
)
from .delimited import csv_records, open_end, short_last_area, whole_rows
from .files import read_text

#: Columns of Sotkanet's CSV and JSON.
SOTKANET: Mapping[str, tuple[str, ...]] = {
    "area_column": ("region",),
    "item_column": ("indicator",),
    "year_column": ("year",),
    "value_column": ("primary value", "primary.value", "value"),
}


@dataclass(frozen=True, kw_only=True)
class Table:
    """Named columns of text; `rows` are lines or rows in the file, `faults` what is wrong with rows left out."""

    names: tuple[str, ...]
    rows: Sequence[int]
    columns: tuple[Sequence[str], ...]
    notes: tuple[str, ...]
    faults: tuple[Fault, ...] = ()


def read_csv(path: Path, source: SourceSpec, wanted: frozenset[str]) -> Labelled:
    """Read delimited text of any layout; see the module and `SourceSpec`."""
    return table_cells(_csv_table(path, source), source, wanted)


def read_sotkanet_csv(path: Path, source: SourceSpec, wanted: frozenset[str]) -> Labelled:
    """Read Sotkanet's CSV: indicator, region, year, gender, primary value, absolute value.

    The item is the number of the indicator. The study says with `value_column = "absolute value"` that counts are
    meant, and with `take` which gender.
    """
    table = _csv_table(path, source)
    given = {
        key: next((name for name in known if name in table.names), "")
        for key, known in SOTKANET.items()
        if not getattr(source, key)
    }
    return table_cells(table, source.model_copy(update=given), wanted)


def _csv_table(path: Path, source: SourceSpec) -> Table:
    file = source.file
    text, encoding = read_text(path, file)
    ends = "CRLF" if "\r\n" in text[:4096] else "LF" if "\n" in text else "CR"
    lines = text[: 2**16].splitlines()[source.header_row - 1 : source.header_row + source.header_rows + 20]
    bare = [re.sub(r'"[^"]*"', "", line) for line in lines]
    # The separator parts every line alike; a decimal comma does so only by chance, and never in the header.
    separator = max(";\t,|", key=lambda mark: bare[0].count(mark) if bare else 0)
    records = csv_records(text, separator, file)
    notes: tuple[str, ...] = (encoding, f"separator {separator!r}", f"line ends {ends}")
    if open_end(text):
        notes += ("the last line has no end: a cut inside its last cell would not be seen",)
    return framed(records, source, notes)


def framed(records: Sequence[tuple[int, Sequence[str]]], source: SourceSpec, notes: tuple[str, ...]) -> Table:
    """Rows of cells as a table: the header where the study says it is, every row as wide as the header.

    Of several header rows the upper ones hold for the columns to their right until the next name, as merged
    headings do.
    """
    file = source.file
    first = source.header_row
    header = [cells for row, cells in records if first <= row < first + source.header_rows]
    body = [
        (row, cells)
        for row, cells in records
        if row >= first + source.header_rows and any(map(str.strip, cells))
    ]
    footer = body[-source.footer_rows :] if source.footer_rows else []
    body = body[: len(body) - len(footer)]
    if footer:
        notes += (f"{len(footer)} rows at the end left out, from row {footer[0][0]}",)
    if len(header) < source.header_rows or not any(len(cells) > 1 for cells in header):
        raise DataError(
            "The file has no header with several columns where the study says.",
            where=f"{file}, row {first}",
            found=repr(header[0][0][:60]) if header and header[0] else "nothing",
            fix="Give the row of the first column names: header_row = …",
        )
    width = max(map(len, header))
    refuse_wide(width, file, first)
    rows = []
    for level, cells in enumerate(header):
        padded = [" ".join(cell.split()) for cell in cells] + [""] * (width - len(cells))
        if level < len(header) - 1:
            for at in range(1, width):
                padded[at] = padded[at] or padded[at - 1]
        rows.append(padded)
    names = [", ".join(dict.fromkeys(part for part in parts if part)) for parts in zip(*rows, strict=True)]
    while (
        names
        and not names[-1]
        and all(len(cells) < len(names) or not cells[len(names) - 1] for _, cells in body)
    ):
        names.pop()  # columns without name or content, as spreadsheets leave them
    width = len(names)
    refuse_twins(names, file, first)
    # Next year's file may have a note less, and a row of data would go in its place.
    full = [
        Fault(
            what="`footer_rows` would leave out a row of data.",
            place=Place(file=file, row=row),
            found=shown(" | ".join(cells[:6])),
            expected="notes under the table, in a cell or two",
            fix=f"Correct it in the source: footer_rows = {source.footer_rows}",
        )
        for row, cells in footer
        if (filled := sum(bool(cell.strip()) for cell in cells)) > 1 and filled > width / 2
    ]
    if full:
        raise DataError.of(counted(full, file))
    if not body:
        raise DataError("The file holds no rows of data.", where=file, found="a header only")
    trimmed = [
        (row, list(cells[:width]) if len(cells) > width and not any(cells[width:]) else list(cells))
        for row, cells in body
    ]
    notes_below = 0  # rows at the end with one cell only: "Source: …"
    for _, cells in reversed(trimmed):
        if len(cells) == width or sum(map(bool, cells)) > 1:
            break
        notes_below += 1
    fix = f"If notes stand under the table, leave them out: footer_rows = {source.footer_rows + notes_below}"
    lines, sound, faults = whole_rows(trimmed, width, file, fix if notes_below else "")
    columns = tuple(zip(*sound, strict=True)) or ((),) * width
    return Table(names=tuple(names), rows=lines, columns=columns, notes=notes, faults=faults)


def table_cells(table: Table, source: SourceSpec, wanted: frozenset[str]) -> Labelled:
    """The cells of the wanted items.

    Raises
    ------
    StudyError
        The study names a column or a value that the table has not, or several rows fit one cell and the study
        does not say which.
    DataError
        A cell is neither a number as declared nor a known symbol.
    """
    place = f"study.toml, source {source.file!r}"
    area = _column(table, source.area_column, "area_column", place)
    year_at = _column(table, source.year_column, "year_column", place) if source.year_column else None
    item = _column(table, source.item_column, "item_column", place) if source.item_column else None
    value = _column(table, source.value_column, "value_column", place) if source.value_column else None
    if item is not None and value is None:
        raise StudyError("`item_column` needs `value_column`.", where=place, found=repr(source.item_column))
    if not table.rows:
        return Labelled(labels=(), cells=pd.DataFrame(), notes=table.notes, faults=table.faults)
    keep, taken = _kept(table, source, place)
    fixed = {at for at in (area, year_at, item, value, *taken) if at is not None}
    everything = np.flatnonzero(keep)
    item_codes, item_texts = np.zeros(0, dtype=np.int32), [""]
    if item is not None and value is not None:
        item_codes, item_texts = coded([text.strip() for text in table.columns[item]])
        mine = np.array([label_key(text) in wanted for text in item_texts], dtype=bool)[item_codes] & keep
        # An item is there where a row that is kept speaks of it.
        labels = tuple(item_texts[at] for at in dict.fromkeys(item_codes[everything].tolist()))
        chosen, everything = [value], np.flatnonzero(mine)
    else:
        split = [(at, split_label(name)[0]) for at, name in enumerate(table.names) if at not in fixed]
        split = [(value, split_label(table.names[value])[0])] if value is not None else split
        labels = tuple(dict.fromkeys(label for _, label in split if label))
        chosen = [at for at, label in split if label_key(label) in wanted]
    faults = [*table.faults]
    codes, raw_areas = coded(table.columns[area])
    areas = [_filled(text.strip(), source) for text in raw_areas]
    kept_rows = [table.rows[at] for at in np.flatnonzero(keep).tolist()]
    faults += area_faults(codes[keep], areas, kept_rows, source.file, table.names[area])
    if item is not None:
        unnamed = np.flatnonzero(np.array([not text for text in item_texts], dtype=bool)[item_codes] & keep)
        faults += counted(
            (
                Fault(
                    what="A row names no item.",
                    place=Place(file=source.file, row=table.rows[at], column=table.names[item]),
                )
                for at in unnamed[:MOST_FAULTS].tolist()
            ),
            source.file,
            more=unnamed.size - MOST_FAULTS,
        )
    if item is not None and not table.faults and keep.all():
        faults += short_last_area(codes, table.rows, source.file, table.names[area])
    if not chosen or not everything.size:
        return Labelled(labels=labels, cells=pd.DataFrame(), notes=table.notes, faults=tuple(faults))
    size, count = everything.size, len(chosen)
    each = np.repeat(np.arange(count, dtype=np.int32), size)
    years, wrong_years = _years(table, source, chosen, everything, year_at, item_codes, item_texts)
    faults += wrong_years
    long = item is not None
    index = everything.tolist()
    texts = [column[at] for column in (table.columns[place] for place in chosen) for at in index]
    names = [table.names[at] for at in chosen]
    cells, wrong = cell_table(
        areas=Coded(codes=np.tile(codes[everything], count), names=areas),
        items=Coded(codes=item_codes[everything], names=item_texts)
        if long
        else Coded(codes=each, names=[split_label(name)[0] for name in names]),
        years=years,
        columns=Coded(codes=each, names=names),
        rows=np.tile(np.asarray(table.rows, dtype=np.int32)[everything], count),
        texts=texts,
        writing=declared_writing(source),
        file=source.file,
    )
    faults += wrong
    if not faults:
        used = fixed | set(chosen)
        _refuse_undecided(table, cells, used, place, wide=item is None and value is None)
    return Labelled(labels=labels, cells=cells, notes=table.notes, faults=tuple(faults))


def _kept(table: Table, source: SourceSpec, place: str) -> tuple[NDArray[np.bool_], set[int]]:
    """The rows that have all the values of `take`, and its columns."""
    keep = np.ones(len(table.rows), dtype=bool)
    taken = set()
    for name, given in source.take.items():
        at = _column(table, name, "take", place)
        codes, texts = coded(table.columns[at])
        fits = np.array([label_key(text) == label_key(given) for text in texts], dtype=bool)[codes]
        if not fits.any():
            raise StudyError(
                "A column has no such value.",
                where=f"{place}, column {name!r}",
                found=repr(given),
                expected=nearest(given, texts),
            )
        keep &= fits
        taken.add(at)
    if not keep.any():
        raise StudyError("No row has all the values of `take`.", where=place, found=str(dict(source.take)))
    return keep, taken


def _column(table: Table, name: str, key: str, place: str) -> int:
    names = [label_key(each) for each in table.names]
    if not name or label_key(name) not in names:
        raise StudyError(
            "A column is not there" + (": the area." if key == "area_column" else "."),
            where=f"{place}, {key}",
            found=repr(name),
            expected=nearest(name, [each for each in table.names if each]),
        )
    return names.index(label_key(name))


def _years(
    table: Table,
    source: SourceSpec,
    chosen: Sequence[int],
    index: NDArray[np.intp],
    year: int | None,
    item_codes: NDArray[np.int32],
    items: Sequence[str],
) -> tuple[NDArray[np.int32], tuple[Fault, ...]]:
    """The year of every cell: from its own column, from the name of its column, or from the study."""
    file = source.file
    if year is not None:
        codes, texts = coded([table.columns[year][at] for at in index.tolist()])
        found = [int(text.strip()[:4]) if YEAR.fullmatch(text.strip()) else -1 for text in texts]
        values = np.array(found, dtype=np.int32)[codes]
        bad = np.flatnonzero(values < 0)
        faults = counted(
            (
                no_year(
                    texts[codes[at]], Place(file=file, row=table.rows[index[at]], column=table.names[year])
                )
                for at in bad[:MOST_FAULTS].tolist()
            ),
            file,
            more=bad.size - MOST_FAULTS,
        )
        return np.tile(values, len(chosen)), faults
    wrong: list[Fault] = []

    def of(label: str) -> int:
        try:
            return year_of(label, source)
        except MekevalError as error:
            wrong.extend(error.faults)
            return 0

    if source.item_column:
        used = np.unique(item_codes[index]).tolist()
        by_item = np.zeros(len(items), dtype=np.int32)
        by_item[used] = [of(items[at]) for at in used]
        return by_item[item_codes[index]], tuple(wrong)
    years = []
    for at in chosen:
        label, own = split_label(table.names[at])
        years.append(own if own is not None else of(label))
    return np.repeat(np.array(years, dtype=np.int32), index.size), tuple(wrong)


def _filled(text: str, source: SourceSpec) -> str:
    return text.zfill(source.area_digits) if source.area_digits and text.isdigit() else text


def plain_text(cell: object, decimal: str = ".") -> str:
    """A typed cell as text, with the decimal mark of the study, so that one rule reads all formats."""
    if cell is None or cell is pd.NA or cell is pd.NaT:
        return ""
    if isinstance(cell, str):
        return cell
    if isinstance(cell, float):
        if math.isnan(cell):
            return ""
        if cell.is_integer() and abs(cell) < 1e15:
            return str(int(cell))
        return repr(cell).replace(".", decimal)
    if isinstance(cell, decimals.Decimal):
        return str(cell).replace(".", decimal)
    if isinstance(cell, (datetime.date, datetime.time)):
        return cell.isoformat()
    return str(cell)


def _refuse_undecided(table: Table, cells: pd.DataFrame, used: set[int], place: str, *, wide: bool) -> None:
    """Several rows for one cell: the study has to say which one is meant."""
    twice = cells.duplicated(["area_label", "item_label", "year"], keep=False)
    if not twice.any():
        return
    lines = set(cells.loc[twice, "row"].tolist())
    index = [at for at, row in enumerate(table.rows) if row in lines]
    undecided = []
    for at, name in enumerate(table.names):
        distinct = list(dict.fromkeys(table.columns[at][each].strip() for each in index))
        if at not in used and 1 < len(distinct) <= 200 and not (wide and all(map(_numeric, distinct))):
            undecided.append(
                f"{name!r}: " + ", ".join(map(repr, distinct[:6])) + (" …" if len(distinct) > 6 else "")
            )
    first = cells.loc[twice].iloc[0]
    raise StudyError(
        "Several rows fit one area, item and year.",
        where=f"{place}, rows {', '.join(map(str, sorted(lines)[:4]))}",
        found=f"{first['area_label']!r}, {first['item_label']!r}, {first['year']}; undecided columns "
        + ("; ".join(undecided[:6]) or "none"),
        fix='Say which value is wanted: take = { "column" = "value" }, or name `year_column`.',
    )


def _numeric(text: str) -> bool:
    return bool(re.fullmatch(r"[-+]?[\d.,  ]*", text))
