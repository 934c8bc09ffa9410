"""Tables of any layout, described in the study alone: CSV, and what xlsx, Parquet and R data files hold.

In: named columns of text and the study's words on them. Out: `Labelled`. Wide: one row for each area (and year),
items as columns. Long: one row for each value, `item_column` and `value_column`. Never: a number that is not
written as declared, or a row among several that fit.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..errors import DataError, StudyError, closest
from ..study import SourceSpec
from .cells import STATUSES, Labelled, label_key, read_text, split_label, year_of

#: Columns of Sotkanet's CSV and JSON.
SOTKANET: Mapping[str, tuple[str, ...]] = {
    "area_column": ("region",),
    "item_column": ("indicator",),
    "year_column": ("year",),
    "value_column": ("primary value", "primary.value", "value"),
}
#: Cells of text that are held in memory at once.
MOST_TABLE_CELLS = 5_000_000
_MINUS = "\N{MINUS SIGN}"
_SPACES = " \N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}"
_YEAR = re.compile(r"(?:19|20)\d\d")


@dataclass(frozen=True, kw_only=True)
class Table:
    """Named columns of text; `rows` are lines or rows in the file."""

    names: tuple[str, ...]
    rows: tuple[int, ...]
    columns: tuple[Sequence[str], ...]
    notes: tuple[str, ...]


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
    text, encoding = read_text(path, source.file)
    ends = "CRLF" if "\r\n" in text[:4096] else "LF" if "\n" in text else "CR"
    lines = text[: 2**16].splitlines()[source.header_row - 1 : source.header_row + source.header_rows + 20]
    bare = [re.sub(r'"[^"]*"', "", line) for line in lines]
    # The separator parts every line alike; a decimal comma does so only by chance, and never in the header.
    separator = max(";\t,|", key=lambda mark: bare[0].count(mark) if bare else 0)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    records: list[tuple[int, list[str]]] = []
    try:
        size = 0
        for row in reader:
            records.append((reader.line_num, row))
            size += len(row)
            if size > MOST_TABLE_CELLS:
                raise DataError(
                    "The table is larger than a table of statistics.",
                    where=f"{source.file}, row {reader.line_num}",
                    expected=f"at most {MOST_TABLE_CELLS:,} cells",
                )
    except csv.Error as cause:
        raise DataError(
            "The file is not valid CSV: it may be cut off.",
            where=f"{source.file}, row {reader.line_num}",
            found=str(cause),
        ) from None
    return framed(records, source, (encoding, f"separator {separator!r}", f"line ends {ends}"))


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
    if len(header) < source.header_rows or not any(len(cells) > 1 for cells in header):
        raise DataError(
            "The file has no header with several columns where the study says.",
            where=f"{file}, row {first}",
            found=repr(header[0][0][:60]) if header and header[0] else "nothing",
            fix="Give the row of the first column names: header_row = …",
        )
    width = max(map(len, header))
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
    counts = Counter(map(label_key, names))
    for name in names:
        if name and counts[label_key(name)] > 1:
            raise DataError("Two columns have one name.", where=f"{file}, row {first}", found=repr(name))
    if not body:
        raise DataError("The file holds no rows of data.", where=file, found="a header only")
    for row, cells in body:
        if len(cells) != width and not (len(cells) > width and not any(cells[width:])):
            raise DataError(
                "A row has another number of cells than the header: the file may be cut off.",
                where=f"{file}, row {row}",
                found=f"{len(cells)} cells, the first {cells[0][:40]!r}",
                expected=f"{width} cells",
            )
    columns = tuple([cells[at] for _, cells in body] for at in range(width))
    return Table(names=tuple(names), rows=tuple(row for row, _ in body), columns=columns, notes=notes)


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
    keep = np.ones(len(table.rows), dtype=bool)
    taken = {}
    for name, given in source.take.items():
        at = _column(table, name, "take", place)
        texts = [label_key(text) for text in table.columns[at]]
        fits = np.array([text == label_key(given) for text in texts], dtype=bool)
        if not fits.any():
            raise StudyError(
                "A column has no such value.",
                where=f"{place}, column {name!r}",
                found=repr(given),
                expected=closest(given, list(dict.fromkeys(table.columns[at]))[:1000]),
            )
        keep &= fits
        taken[at] = given
    if not keep.any():
        raise StudyError("No row has all the values of `take`.", where=place, found=str(dict(source.take)))
    fixed = {at for at in (area, year_at, item, value, *taken) if at is not None}
    if item is not None and value is not None:
        groups = _long(table, item, value, keep, wanted)
        labels = tuple(dict.fromkeys(text.strip() for text in table.columns[item]))
    elif value is not None:
        label = split_label(table.names[value])[0]
        groups = [(label, value, np.flatnonzero(keep))] if label_key(label) in wanted else []
        labels = (label,)
    else:
        split = [(at, split_label(name)[0]) for at, name in enumerate(table.names) if at not in fixed]
        groups = [(label, at, np.flatnonzero(keep)) for at, label in split if label_key(label) in wanted]
        labels = tuple(dict.fromkeys(label for _, label in split if label))
    parts = [
        _part(table, source, label=label, column=at, index=index, area=area, year=year_at)
        for label, at, index in groups
    ]
    if not parts:
        return Labelled(labels=labels, cells=pd.DataFrame(), notes=table.notes)
    cells = pd.concat(parts, ignore_index=True)
    used = fixed | {at for _, at, _ in groups}
    _refuse_undecided(table, cells, used, place, wide=item is None and value is None)
    return Labelled(labels=labels, cells=cells, notes=table.notes)


def _column(table: Table, name: str, key: str, place: str) -> int:
    names = [label_key(each) for each in table.names]
    if not name or label_key(name) not in names:
        raise StudyError(
            "A column is not there" + (": the area." if key == "area_column" else "."),
            where=f"{place}, {key}",
            found=repr(name),
            expected=closest(name, [each for each in table.names[:1000] if each]),
        )
    return names.index(label_key(name))


def _long(
    table: Table, item: int, value: int, keep: NDArray[np.bool_], wanted: frozenset[str]
) -> list[tuple[str, int, NDArray[np.intp]]]:
    texts = pd.Series([text.strip() for text in table.columns[item]], dtype=object)
    codes, labels = pd.factorize(texts)
    return [
        (str(label), value, np.flatnonzero((codes == at) & keep))
        for at, label in enumerate(labels)
        if label_key(str(label)) in wanted and ((codes == at) & keep).any()
    ]


def _part(
    table: Table,
    source: SourceSpec,
    *,
    label: str,
    column: int,
    index: NDArray[np.intp],
    area: int,
    year: int | None,
) -> pd.DataFrame:
    at = index.tolist()
    rows = [table.rows[each] for each in at]
    name = table.names[column]
    areas = [_filled(table.columns[area][each].strip(), source) for each in at]
    for row, text in zip(rows, areas, strict=True):
        if not text:
            raise DataError(
                "A row names no area.", where=f"{source.file}, row {row}, column {table.names[area]!r}"
            )
    own = split_label(name)[1] if source.item_column == "" else None
    if year is not None:
        years = [
            _year(table.columns[year][each].strip(), source, row, table.names[year])
            for each, row in zip(at, rows, strict=True)
        ]
    else:
        years = [own if own is not None else year_of(label, source)] * len(at)
    values, status = numbers([table.columns[column][each] for each in at], rows, name, source)
    return pd.DataFrame(
        {
            "area_label": pd.Series(areas, dtype=object),
            "item_label": label,
            "year": np.array(years, dtype=np.int64),
            "value": values,
            "status": status,
            "row": rows,
            "column": name,
        }
    )


def _filled(text: str, source: SourceSpec) -> str:
    return text.zfill(source.area_digits) if source.area_digits and text.isdigit() else text


def _year(text: str, source: SourceSpec, row: int, column: str) -> int:
    if _YEAR.fullmatch(text):
        return int(text)
    raise DataError(
        "Text where a year is due.",
        where=f"{source.file}, row {row}, column {column!r}",
        found=repr(text[:40]),
        expected="a year of four digits",
    )


def numbers(
    texts: Sequence[str], rows: Sequence[int], column: str, source: SourceSpec
) -> tuple[NDArray[np.float64], NDArray[np.object_]]:
    """Numbers written as the study declares, and the status of each cell; each distinct text is read once."""
    mark = re.escape(source.decimal)
    whole = r"\d+"
    if source.thousands:
        blank = f"[{_SPACES}]" if source.thousands == " " else re.escape(source.thousands)
        whole = rf"(?:\d{{1,3}}(?:{blank}\d{{3}})+|\d+)"
    form = re.compile(rf"[-+{_MINUS}]?{whole}(?:{mark}\d+)?(?:[eE][-+]?\d{{1,3}})?", re.ASCII)
    symbols: dict[str, str] = {"": "missing", **source.symbols}
    # A sentinel such as -1 may also come as -1.0 from a sheet.
    sentinels = {
        number: kind
        for text, kind in source.symbols.items()
        if (number := _plain(text, form, source)) is not None
    }
    codes, unique = pd.factorize(pd.Series([text.strip() for text in texts], dtype=object))
    values, states = np.empty(len(unique)), np.empty(len(unique), dtype=object)
    for at, text in enumerate(unique):
        number = _plain(text, form, source)
        if text in symbols:
            values[at], states[at] = math.nan, symbols[text]
        elif number is None:
            row = rows[int(np.flatnonzero(codes == at)[0])]
            raise DataError(
                "A formula stands where a number is due."
                if text.startswith("=")
                else "Text where a number is due.",
                where=f"{source.file}, row {row}, column {column!r}",
                found=repr(text[:60]),
                expected=f"a number with decimal {source.decimal!r}"
                + (
                    f" and thousands {source.thousands!r}"
                    if source.thousands
                    else " and no mark for thousands"
                )
                + "".join(f", or {symbol!r}" for symbol in source.symbols),
                fix="Say in the source how numbers are written: decimal, thousands, symbols.",
            )
        elif number in sentinels:
            values[at], states[at] = math.nan, sentinels[number]
        else:
            values[at], states[at] = number, STATUSES[0]
    return values[codes], states[codes]


def _plain(text: str, form: re.Pattern[str], source: SourceSpec) -> float | None:
    if len(text) > 400 or not form.fullmatch(text):
        return None
    if source.thousands:
        marks = _SPACES if source.thousands == " " else source.thousands
        text = text.translate({ord(mark): None for mark in marks})
    number = float(text.replace(_MINUS, "-").replace(source.decimal, "."))
    return number if math.isfinite(number) else None


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
