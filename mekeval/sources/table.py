"""Tables of any layout, described in the study alone: CSV, and what xlsx, Parquet and R data files hold.

In: named columns of text and the study's words on them. Out: `Labelled`. Wide: one row for each area (and year),
items as columns. Long: one row for each value, `item_column` and `value_column`, or years as columns instead of the
latter. Never: a number that is not written as declared, a row among several that fit, or a year that the file
contradicts.
"""

from __future__ import annotations

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
    Coded,
    Labelled,
    area_faults,
    cell_table,
    coded,
    counted,
    declared_writing,
    nearest,
    no_year,
    refuse_twins,
    refuse_wide,
    shown,
)
from .delimited import csv_records, open_end, short_last_area, whole_rows
from .files import read_text
from .labels import YEAR_NAMES, idle_year, label_key, split_label, year_in, year_of

#: Columns of Sotkanet's CSV and JSON.
SOTKANET: Mapping[str, tuple[str, ...]] = {
    "area_column": ("region",),
    "item_column": ("indicator",),
    "year_column": ("year",),
    "value_column": ("primary value", "primary.value", "value"),
}
#: A year that something follows, but not "2019-2020": a change is none.
_BEGINS_WITH_YEAR = re.compile(r"(?:19|20)\d\d(?!\d|\s*[-–/]\s*\d)")
_DECIMAL_CODE = re.compile(r"(\d+)[.,]0+")


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
    return table_cells(csv_table(path, source), source, wanted)


def read_sotkanet_csv(path: Path, source: SourceSpec, wanted: frozenset[str]) -> Labelled:
    """Read Sotkanet's CSV: indicator, region, year, gender, primary value, absolute value.

    The item is the number of the indicator. The study says with `value_column = "absolute value"` that counts are
    meant, and with `take` which gender.
    """
    table = csv_table(path, source)
    given = {
        key: next((name for name in known if name in table.names), "")
        for key, known in SOTKANET.items()
        if not getattr(source, key)
    }
    return table_cells(table, source.model_copy(update=given), wanted)


def csv_table(path: Path, source: SourceSpec) -> Table:
    """Delimited text as named columns; the separator and the encoding are found out."""
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
    across = _across(table, source, {area, item}, place) if item is not None and value is None else []
    if not table.rows:
        return Labelled(labels=(), cells=pd.DataFrame(), notes=table.notes, faults=table.faults)
    keep, taken, notes = _kept(table, source, place)
    notes = (*table.notes, *notes)
    fixed = {at for at in (area, year_at, item, value, *taken) if at is not None}
    everything = np.flatnonzero(keep)
    item_codes, item_texts = np.zeros(0, dtype=np.int32), [""]
    if item is not None:
        item_codes, item_texts = coded([text.strip() for text in table.columns[item]])
        mine = np.array([label_key(text) in wanted for text in item_texts], dtype=bool)[item_codes] & keep
        # An item is there where a row that is kept speaks of it.
        labels = tuple(item_texts[at] for at in dict.fromkeys(item_codes[everything].tolist()))
        chosen, everything = [value] if value is not None else across, np.flatnonzero(mine)
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
        return Labelled(labels=labels, cells=pd.DataFrame(), notes=notes, faults=tuple(faults))
    size, count = everything.size, len(chosen)
    each = np.repeat(np.arange(count, dtype=np.int32), size)
    years, told, wrong_years = _years(
        table, source, chosen, everything, year_at, item_codes, item_texts, across=bool(across)
    )
    faults += wrong_years
    used = fixed | set(chosen)
    said = None if told or wrong_years else set(np.unique(years).tolist())
    passed, contradicted = _passed_over(table, source, np.flatnonzero(keep), used, said)
    notes += passed
    faults += contradicted
    long = item is not None
    index = everything.tolist()
    texts = [column[at] for column in (table.columns[place] for place in chosen) for at in index]
    names = [table.names[at] for at in chosen]
    cells, wrong = cell_table(
        areas=Coded(codes=np.tile(codes[everything], count), names=areas),
        items=Coded(codes=np.tile(item_codes[everything], count), names=item_texts)
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
        _refuse_undecided(table, cells, used, place, wide=item is None and value is None)
    return Labelled(labels=labels, cells=cells, notes=notes, faults=tuple(faults))


def _across(table: Table, source: SourceSpec, used: set[int | None], place: str) -> list[int]:
    """The columns that are named by years and hold the values of the item of their row.

    Raises
    ------
    StudyError
        There are none; the years are told twice; a name begins with a year and goes on with something else.
    """
    free = [(at, name) for at, name in enumerate(table.names) if at not in used]
    found = [at for at, name in free if year_in(name)]
    if not found:
        raise StudyError(
            "`item_column` needs `value_column`.",
            where=place,
            found=repr(source.item_column),
            expected="value_column, or columns that are named by years and nothing else",
        )
    if source.year_column:
        raise StudyError(
            "The years are in the names of columns and in a column of their own.",
            where=place,
            found=f"{table.names[found[0]]!r} and year_column = {source.year_column!r}",
            fix="Name `value_column` if each row is one value, or leave `year_column` out.",
        )
    odd = [name for at, name in free if at not in found and _BEGINS_WITH_YEAR.match(name.strip())]
    if odd:
        raise StudyError.of(
            Fault(
                what="A column's name begins with a year and goes on: its values would be passed over.",
                place=Place(file=source.file, row=source.header_row, column=shown(name)),
                expected="a year; provisional ones may carry a star, as 2024*",
                fix="Correct the name in the file and write the new sha256 in study.toml.",
            )
            for name in odd[:MOST_FAULTS]
        )
    return found


def _kept(
    table: Table, source: SourceSpec, place: str
) -> tuple[NDArray[np.bool_], set[int], tuple[str, ...]]:
    """The rows that have all the values of `take`, its columns, and what was left out: one may be misspelt."""
    keep = np.ones(len(table.rows), dtype=bool)
    taken = set()
    notes = []
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
        counts = np.bincount(codes[~fits], minlength=len(texts))
        rare = [each for each in np.argsort(counts, kind="stable").tolist() if counts[each]]
        if rare:
            some = ", ".join(f"{shown(texts[each].strip())!r} ({_rows(counts[each])})" for each in rare[:8])
            more = f" and {len(rare) - 8} more values" if len(rare) > 8 else ""
            notes.append(f"left out by take, {table.names[at]}: {some}{more}")
        year = year_in(given)
        if year and source.year not in (None, year[0]):
            notes.append(f"taken: {table.names[at]} = {given!r}, and the study says the year {source.year}")
    if not keep.any():
        raise StudyError("No row has all the values of `take`.", where=place, found=str(dict(source.take)))
    return keep, taken, tuple(notes)


def _passed_over(
    table: Table,
    source: SourceSpec,
    index: NDArray[np.intp],
    used: set[int],
    said: set[int] | None,
) -> tuple[tuple[str, ...], list[Fault]]:
    """What the columns that nobody uses say of all rows, and a fault where it is another year than the study says.

    `said` are the years that the study says; None where the file tells them.
    """
    notes, faults = [], []
    rows = index.tolist()
    for at, name in enumerate(table.names):
        if at in used or not name.strip():
            continue
        found: dict[str, tuple[int, str] | None] = {}
        for text in map(table.columns[at].__getitem__, rows):
            if text not in found:
                found[text] = year_in(text)
                if len(found) > 1 and None in found.values():
                    break
        years = {each[0] for each in found.values() if each}
        only = next(iter(found), "").strip()
        named = label_key(name) in YEAR_NAMES
        if said is not None and (
            named or (len(rows) > 1 and len(years) == 1 and None not in found.values() and years != said)
        ):
            key = "year" if source.year is not None else "years"
            faults.append(
                Fault(
                    what="A column of years is not used, and the study says the year."
                    if named
                    else "A column that is not used holds one year, and the study says another.",
                    place=Place(file=source.file, column=name),
                    found=", ".join(repr(shown(text.strip())) for text in list(found)[:3]),
                    expected=", ".join(map(str, sorted(said)[:6])),
                    fix=f'Write year_column = "{name}" in place of `{key}`; or, if it is the year of something else, '
                    f'say so: take = {{ "{name}" = "{shown(only)}" }}.',
                )
            )
        elif len({text.strip() for text in found}) == 1 and only and not _numeric(only):
            notes.append(f"{name} = {shown(only)!r}")
    more = f" and {len(notes) - 12} more columns" if len(notes) > 12 else ""
    return (("not used: " + ", ".join(notes[:12]) + more,) if notes else ()), faults


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
    *,
    across: bool,
) -> tuple[NDArray[np.int32], bool, tuple[Fault, ...]]:
    """The year of every cell, and whether the file tells it: its own column, the names of columns, or the study."""
    file = source.file
    if year is not None:
        codes, texts = coded([table.columns[year][at] for at in index.tolist()])
        read = [year_in(text) for text in texts]
        values = np.array([each[0] if each else -1 for each in read], dtype=np.int32)[codes]
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
        faults += idle_year(source, f"the column {table.names[year]!r}")
        if len({each[1] for each in read if each and each[1]}) > 1:
            faults += (
                Fault(
                    what="First and last days of years stand in one column: they would be two days of one night.",
                    place=Place(file=file, column=table.names[year]),
                    found=", ".join(shown(text) for text in texts[:4]),
                    expected="days of one kind, 1.1. or 31.12.",
                ),
            )
        return np.tile(values, len(chosen)), True, faults
    if across:
        named = [found[0] for at in chosen if (found := year_in(table.names[at]))]
        idle = idle_year(source, "the names of columns")
        return np.repeat(np.array(named, dtype=np.int32), index.size), True, idle
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
        return by_item[item_codes[index]], False, tuple(wrong)
    split = [split_label(table.names[at]) for at in chosen]
    own = all(year is not None for _, year in split)
    wrong += idle_year(source, "the names of columns") if own else ()
    years = [year if year is not None else of(label) for label, year in split]
    return np.repeat(np.array(years, dtype=np.int32), index.size), own, tuple(wrong)


def _filled(text: str, source: SourceSpec) -> str:
    """A code at its full length; a sheet may have made a number of it, and a decimal of the number."""
    number = _DECIMAL_CODE.fullmatch(text) if source.area_digits else None
    text = number[1] if number else text
    return text.zfill(source.area_digits) if source.area_digits and text.isdigit() else text


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


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count:,} rows"


def _numeric(text: str) -> bool:
    return bool(re.fullmatch(r"[-+]?[\d.,  ]*", text))
