"""Small tables that people write by hand: read as text, every fault with its row and column.

In: a UTF-8 CSV and the names of its columns. Out: rows of text with their line numbers, and numbers from them.
Never: a guess for a missing column, or the first fault only.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..definition import LANGUAGES
from ..errors import DataError, Fault, Place, StudyError

#: A list by hand has no more characters than this.
MOST_BYTES = 50_000_000
#: The columns with the name of an area or a district in each language.
NAMES = tuple(f"name_{language}" for language in LANGUAGES)


@dataclass(frozen=True, kw_only=True)
class Listed:
    """The rows of a small table.

    Attributes
    ----------
    file : str
        Name of the file, for messages.
    header : tuple of str
    rows : tuple of (int, dict)
        Line number and cells by column, stripped; columns that are not asked for are kept.
    """

    file: str
    header: tuple[str, ...]
    rows: tuple[tuple[int, dict[str, str]], ...]


def read_listed(
    path: Path, columns: Sequence[str], *, optional: Sequence[str] = (), faults: list[Fault]
) -> Listed:
    """Read a small CSV; rows of another length than the header become faults.

    Raises
    ------
    StudyError
        It cannot be read at all, or lacks columns.
    """
    lines = [one for one in csv_lines(path, "The table") if any(cell.strip() for cell in one[1])]
    header = [name.strip() for name in lines[0][1]] if lines else []
    twice = sorted({name for name in header if name and header.count(name) > 1})
    wrong = [
        Fault(what="Two columns have one name.", place=Place(file=path.name, row=1, column=name))
        for name in twice
    ]
    if any(column not in header for column in columns):
        more = f"; and, if wanted, {', '.join(optional)}" if optional else ""
        wrong.append(
            Fault(
                what="The table lacks columns.",
                place=Place(file=path.name, row=1),
                found=", ".join(header) or "no columns",
                expected=", ".join(columns) + more,
                fix="Save it as CSV with commas, in UTF-8."
                if len(header) == 1 and (";" in header[0] or "\t" in header[0])
                else "",
            )
        )
    if wrong:
        raise StudyError.of(wrong)
    faults += ragged(lines, path.name)
    rows = tuple(
        (line, {name: cell.strip() for name, cell in zip(header, row, strict=True)})
        for line, row in lines[1:]
        if len(row) == len(header)
    )
    return Listed(file=path.name, header=tuple(header), rows=rows)


def csv_lines(path: Path, called: str) -> list[tuple[int, list[str]]]:
    """The rows of a small CSV in UTF-8 that have a cell, each with its line; StudyError where it cannot be read."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise csv.Error(f"it has more than {MOST_BYTES:,} bytes")
        with path.open(encoding="utf-8-sig", newline="") as stream:
            text = stream.read()
        if "\x00" in text:
            raise csv.Error("it has a NUL byte")
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        return [(reader.line_num, row) for row in reader if row]
    except FileNotFoundError:
        raise StudyError(f"{called} is not there.", where=str(path), expected="a CSV file in UTF-8") from None
    except (OSError, UnicodeDecodeError, csv.Error) as cause:
        raise StudyError(f"{called} cannot be read.", where=str(path), found=str(cause)) from None


def ragged(lines: Sequence[tuple[int, Sequence[str]]], file: str) -> list[Fault]:
    """A fault for each row of another length than the first, which is the header."""
    return [
        Fault(
            what="A row has another number of cells than the header.",
            place=Place(file=file, row=line),
            found=f"{len(row)} cells, the first {row[0]!r}",
            expected=f"{len(lines[0][1])} cells",
        )
        for line, row in lines[1:]
        if len(row) != len(lines[0][1])
    ]


def own_name(columns: Container[str]) -> str:
    """The column, of those that are there, whose name stands in every language that has none of its own."""
    return next((one for one in (NAMES[0], "name", *NAMES[1:]) if one in columns), NAMES[0])


def numbers(
    listed: Listed, column: str, fits: Callable[[float], bool], expected: str, faults: list[Fault]
) -> list[float]:
    """The numbers of a column; what is none, or does not fit, is a fault and comes out as NaN."""
    found = []
    for line, row in listed.rows:
        try:
            number = float(row[column])
        except ValueError:
            number = math.nan
        if not (math.isfinite(number) and fits(number)):
            faults.append(
                Fault(
                    what=f"{column} is not what it must be.",
                    place=Place(file=listed.file, row=line, column=column),
                    found=repr(row[column]),
                    expected=expected,
                )
            )
            number = math.nan
        found.append(number)
    return found


def filled(listed: Listed, columns: Sequence[str], faults: list[Fault]) -> None:
    """Note the empty cells of columns that may have none."""
    faults += [
        Fault(
            what="A cell is empty.",
            place=Place(file=listed.file, row=line, column=column),
            expected="a value",
        )
        for line, row in listed.rows
        for column in columns
        if not row.get(column)
    ]


def refuse(faults: list[Fault], kind: type[StudyError] | type[DataError] = StudyError) -> None:
    """Raise all faults, if there are any."""
    if faults:
        raise kind.of(faults)
