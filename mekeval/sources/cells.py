"""What all readers share: cells of text as numbers, missing symbols, faults with places.

In: text of cells and how the file writes numbers. Out: numbers with a status each, or faults with file, row and column.
Never: a symbol for "hidden" or "missing" read as a number.
"""

from __future__ import annotations

import datetime
import decimal as decimals
import itertools
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..errors import DataError, Fault, MekevalError, Place, closest
from ..study import SourceSpec
from .labels import idle_year, label_key, split_label, year_of

#: Why a cell has no number. "suppressed" and "not_applicable" are the producer's words; "missing" is no word at
#: all; "overflow" is a number that its field could not hold.
STATUSES = ("ok", "suppressed", "not_applicable", "missing", "overflow")

#: PxWeb's symbols (Statistics Finland, "Symbols used in tables"); "-" is a true zero there.
PXWEB_SYMBOLS: Mapping[str, str] = {
    "..": "suppressed",
    ".": "not_applicable",
    "...": "missing",
    "": "missing",
}

#: What Paavo writes where it hides a number, in its forms without symbols.
HIDDEN = -1

#: Cells of text that are held in memory at once, and columns of one table.
MOST_TABLE_CELLS, MOST_COLUMNS = 4_000_000, 16_384
#: Faults of one file that are told one by one; the rest are counted.
MOST_FAULTS = 1_000

_MINUS = "\N{MINUS SIGN}"
_SPACES = " \N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}"
#: What may stand around a number. Other white space (a form feed, a separator of records) is damage.
_AROUND = _SPACES + "\t"


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """What a reader gives: every item label of the file, the cells of the wanted ones, what was found out.

    `cells` has the columns `area_label`, `item_label`, `year`, `value`, `status`, `row` and `column`; texts are
    categories. `faults` are all faults of the cells: where there is one, the cells are for no one.
    """

    labels: tuple[str, ...]
    cells: pd.DataFrame
    notes: tuple[str, ...] = ()
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Writing:
    """How a file writes numbers, and what stands where there is none.

    Attributes
    ----------
    decimal, thousands : str
        Marks in numbers; `thousands` may be empty.
    exponents : bool
        Whether a number may be written as 1e5.
    symbols : mapping of str to str
        Text of a cell -> one of `STATUSES`.
    hidden : mapping of float to str
        Numbers that stand for no number.
    nil : str
        A symbol for a true zero; empty where there is none.
    overflow : bool
        Whether a field full of asterisks is a number too long for it.
    """

    decimal: str
    thousands: str
    exponents: bool
    symbols: Mapping[str, str]
    hidden: Mapping[float, str]
    nil: str
    overflow: bool

    @property
    def form(self) -> re.Pattern[str]:
        """What a whole number looks like."""
        whole = r"\d+"
        if self.thousands:
            blank = f"[{_SPACES}]" if self.thousands == " " else re.escape(self.thousands)
            whole = rf"(?:\d{{1,3}}(?:{blank}\d{{3}})+|\d+)"
        exponent = r"(?:[eE][-+]?\d{1,3})?" if self.exponents else ""
        return re.compile(rf"[-+{_MINUS}]?{whole}(?:{re.escape(self.decimal)}\d+)?{exponent}", re.ASCII)

    @property
    def expected(self) -> str:
        """What a reader is told to have been expected."""
        marks = f"a number with decimal {self.decimal!r}" + (
            f" and thousands {self.thousands!r}" if self.thousands else " and no mark for thousands"
        )
        symbols = [symbol for symbol in (self.nil, *self.symbols) if symbol]
        return marks + (", or one of " + ", ".join(map(repr, symbols[:12])) if symbols else "")


def paavo_writing(source: SourceSpec, *, pxweb: bool, hidden: bool, exponents: bool) -> Writing:
    """Numbers as Paavo and PxWeb write them, with the symbols that the study adds."""
    own: Mapping[str, str] = PXWEB_SYMBOLS if pxweb else {"": "missing"}
    writing = Writing(
        decimal=".",
        thousands="",
        exponents=exponents,
        symbols={**own, **source.symbols},
        hidden={float(HIDDEN): "suppressed"} if hidden else {},
        nil="-" if pxweb else "",
        overflow=True,
    )
    return _with_sentinels(writing, source)


def declared_writing(source: SourceSpec) -> Writing:
    """Numbers as the study declares them."""
    writing = Writing(
        decimal=source.decimal,
        thousands=source.thousands,
        exponents=True,
        symbols={"": "missing", **source.symbols},
        hidden={},
        nil="",
        overflow=False,
    )
    return _with_sentinels(writing, source)


def _with_sentinels(writing: Writing, source: SourceSpec) -> Writing:
    """A sentinel such as -1 may also come as -1.0 from a sheet."""
    sentinels = {
        number: kind
        for text, kind in source.symbols.items()
        if (number := number_of(text, writing.form, writing)) is not None
    }
    return Writing(**{**vars(writing), "hidden": {**writing.hidden, **sentinels}})


def number_of(text: str, form: re.Pattern[str], writing: Writing) -> float | None:
    """The number that a text is, written as declared; None where it is none, or is beyond all numbers."""
    if len(text) > 400 or not form.fullmatch(text):
        return None
    if writing.thousands:
        marks = _SPACES if writing.thousands == " " else writing.thousands
        text = text.translate({ord(mark): None for mark in marks})
    number = float(text.replace(_MINUS, "-").replace(writing.decimal, "."))
    return number if math.isfinite(number) else None


def numbers(texts: Sequence[str], writing: Writing) -> tuple[NDArray[np.float64], NDArray[np.int8]]:
    """Numbers, and positions in `STATUSES`: -1 where a text is neither a number nor a symbol.

    Each distinct text is read once: a table of statistics repeats its small numbers.
    """
    at_of = {text: at for at, text in enumerate(dict.fromkeys(texts))}
    values = np.full(len(at_of), math.nan)
    status = np.zeros(len(at_of), dtype=np.int8)
    form, hidden = writing.form, bool(writing.hidden)
    states = {text: STATUSES.index(kind) for text, kind in writing.symbols.items()}
    for text, at in at_of.items():
        if text.isdecimal() and text.isascii() and len(text) < 16 and text not in states:
            number: float | None = float(text)
        else:
            text = text.strip(_AROUND)
            if text in states:
                status[at] = states[text]
                continue
            number = 0.0 if text and text == writing.nil else number_of(text, form, writing)
        if number is None:
            full = writing.overflow and text and not text.strip("*")
            status[at] = STATUSES.index("overflow") if full else -1
        elif hidden and number in writing.hidden:
            status[at] = STATUSES.index(writing.hidden[number])
        else:
            values[at] = number
    codes = np.fromiter(map(at_of.__getitem__, texts), dtype=np.intp, count=len(texts))
    return values[codes], status[codes]


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


def coded(texts: Sequence[str]) -> tuple[NDArray[np.int32], list[str]]:
    """Codes and the distinct texts, in the order in which they come."""
    at_of = {text: at for at, text in enumerate(dict.fromkeys(texts))}
    return np.fromiter(map(at_of.__getitem__, texts), dtype=np.int32, count=len(texts)), list(at_of)


@dataclass(frozen=True, kw_only=True)
class Coded:
    """Texts as codes: `names[codes]` are the texts; a name may stand twice."""

    codes: NDArray[np.int32]
    names: Sequence[str]

    @property
    def categorical(self) -> pd.Categorical:
        """The texts for a table."""
        at, names = coded(self.names)
        codes = self.codes if len(names) == len(self.names) else at[self.codes]
        return pd.Categorical.from_codes(codes, categories=pd.Index(names, dtype=object))


def cell_table(
    *,
    areas: Coded,
    items: Coded,
    years: NDArray[np.int32],
    columns: Coded,
    rows: NDArray[np.int32],
    texts: Sequence[str],
    writing: Writing,
    file: str,
) -> tuple[pd.DataFrame, tuple[Fault, ...]]:
    """The cells of a file as `Labelled.cells`, and a fault for every text that is no number."""
    values, status = numbers(texts, writing)
    bad = np.flatnonzero(status < 0)
    faults: tuple[Fault, ...] = ()
    if bad.size:
        bad = bad[np.argsort(rows[bad], kind="stable")]
        faults = counted(
            (
                not_a_number(
                    texts[at],
                    Place(file=file, row=int(rows[at]), column=columns.names[columns.codes[at]]),
                    writing,
                )
                for at in bad[:MOST_FAULTS].tolist()
            ),
            file,
            more=bad.size - MOST_FAULTS,
        )
        status[bad] = STATUSES.index("missing")
    cells = pd.DataFrame(
        {
            "area_label": areas.categorical,
            "item_label": items.categorical,
            "year": years,
            "value": values,
            "status": pd.Categorical.from_codes(status, categories=pd.Index(STATUSES, dtype=object)),
            "row": rows,
            "column": columns.categorical,
        },
        copy=False,
    )
    return cells, faults


def not_a_number(text: str, place: Place, writing: Writing) -> Fault:
    """The fault of one cell."""
    formula = text.lstrip().startswith("=")
    return Fault(
        what="A formula stands where a number is due." if formula else "Text where a number is due.",
        place=place,
        found=shown(text.strip(_AROUND)),
        expected=writing.expected,
        fix="Say in the source how numbers are written (decimal, thousands, symbols), or correct the file.",
    )


_PART_OF_YEAR = re.compile(r"((?:19|20)\d\d)\s*[-/]?\s*(M|Q|K|H|W)?\s*(\d{1,2})\*?", re.IGNORECASE)


def no_year(text: str, place: Place) -> Fault:
    """The fault of a text where a year is due; months and quarters get an answer of their own."""
    part = _PART_OF_YEAR.fullmatch(text.strip())
    if part is None:
        return Fault(
            what="Text where a year is due.",
            place=place,
            found=shown(text),
            expected="a year of four digits, or its first or last day",
        )
    column = place.column or "…"
    return Fault(
        what="Text where a year is due: a month, a quarter or a week, and studies count in years.",
        place=place,
        found=shown(text),
        expected="a year of four digits",
        fix=f'Take one of them and say its year: take = {{ "{column}" = "{shown(text.strip())}" }} and '
        f"year = {part[1]}, without `year_column`; or ask the producer for yearly figures.",
    )


def shown(text: str) -> str:
    """A text of a file as a message may show it: short, and without characters that do not print."""
    return (text if text.isprintable() else repr(text))[:60]


def counted(faults: Iterable[Fault], file: str, *, more: int = 0) -> tuple[Fault, ...]:
    """The first faults one by one, and a last one that counts the rest."""
    first = tuple(itertools.islice(faults, MOST_FAULTS))
    if more <= 0:
        return first
    return (*first, Fault(what=f"And {more:,} more faults of the same kinds.", place=Place(file=file)))


def refuse_wide(count: int, file: str, row: int | None = None) -> None:
    """A table of too many columns, before anything is done with them."""
    if count > MOST_COLUMNS:
        raise DataError.of(
            [
                Fault(
                    what="The table has more columns than a table of statistics.",
                    place=Place(file=file, row=row),
                    found=f"{count:,} columns",
                    expected=f"at most {MOST_COLUMNS:,}",
                )
            ]
        )


def refuse_twins(names: Sequence[str], file: str, row: int | None = None) -> None:
    """Columns that cannot be told apart, all of them."""
    counts = Counter(map(label_key, names))
    twice = [name for name in dict.fromkeys(names) if name.strip() and counts[label_key(name)] > 1]
    if twice:
        raise DataError.of(
            counted(
                (
                    Fault(
                        what="Two columns have one name.",
                        place=Place(file=file, row=row, column=shown(name)),
                        found=repr(name)[:200],
                    )
                    for name in twice[:MOST_FAULTS]
                ),
                file,
                more=len(twice) - MOST_FAULTS,
            )
        )


def nearest(word: str, known: Iterable[str]) -> str:
    """`closest` among the first names of a file: a damaged file may have a million, or one of a megabyte."""
    return closest(word[:100], [name[:100] for name in itertools.islice(known, 1000)])


def wide_cells(
    names: Sequence[str],
    columns: Sequence[Sequence[str]],
    *,
    area: int,
    rows: Sequence[int],
    source: SourceSpec,
    wanted: frozenset[str],
    writing: Writing,
    notes: tuple[str, ...] = (),
    faults: tuple[Fault, ...] = (),
) -> Labelled:
    """One row for each area, items as columns; the year in the name of a column or in the study.

    Columns that are not wanted may be empty.
    """
    split = [split_label(name) for name in names]
    labels = tuple(dict.fromkeys(label for at, (label, _) in enumerate(split) if at != area))
    mine = [at for at, (label, _) in enumerate(split) if at != area and label_key(label) in wanted]
    years = [split[at][1] for at in mine]
    found = [*faults]
    if mine and None not in years:
        found += idle_year(source, "the names of columns")
    for place, at in enumerate(mine):
        if years[place] is None:
            try:
                years[place] = year_of(split[at][0], source)
            except MekevalError as error:
                found += error.faults
    keys = Counter((label_key(split[at][0]), year) for at, year in zip(mine, years, strict=True))
    found += [
        Fault(
            what="Two columns hold one item and year.",
            place=Place(file=source.file, column=names[at]),
            found=f"{split[at][0]!r}, {year}",
        )
        for at, year in zip(mine, years, strict=True)
        if year is not None and keys[label_key(split[at][0]), year] > 1
    ]
    codes, areas = coded(columns[area])
    found += area_faults(codes, areas, rows, source.file, names[area])
    if not mine or any(year is None for year in years):
        return Labelled(labels=labels, cells=pd.DataFrame(), notes=notes, faults=tuple(found))
    size, count = len(rows), len(mine)
    each = np.repeat(np.arange(count, dtype=np.int32), size)
    cells, wrong = cell_table(
        areas=Coded(codes=np.tile(codes, count), names=areas),
        items=Coded(codes=each, names=[split[at][0] for at in mine]),
        years=np.array(years, dtype=np.int32)[each],
        columns=Coded(codes=each, names=[names[at] for at in mine]),
        rows=np.tile(np.asarray(rows, dtype=np.int32), count),
        texts=list(itertools.chain.from_iterable(columns[at] for at in mine)),
        writing=writing,
        file=source.file,
    )
    return Labelled(labels=labels, cells=cells, notes=notes, faults=(*found, *wrong))


def area_faults(
    codes: NDArray[np.int32], areas: Sequence[str], rows: Sequence[int], file: str, column: str
) -> tuple[Fault, ...]:
    """Rows that name no area, and names that run over a line's end: an open quote swallows rows so."""
    wrong = [at for at, text in enumerate(areas) if not text.strip() or "\n" in text or "\r" in text]
    if not wrong:
        return ()
    where = np.flatnonzero(np.isin(codes, wrong))
    return counted(
        (
            Fault(
                what="The name of an area runs over the end of a line: a quote may be open."
                if areas[codes[at]].strip()
                else "A row names no area.",
                place=Place(file=file, row=int(rows[at]), column=column),
                found=shown(areas[codes[at]]),
            )
            for at in where[:MOST_FAULTS].tolist()
        ),
        file,
        more=where.size - MOST_FAULTS,
    )
