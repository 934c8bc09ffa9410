"""Levels of areas, and lists of areas from the tables in which producers publish their hierarchy.

In: rows that go from the whole to its parts, "092 Vantaa;092 5 Koivukylän suuralue;092 74 Havukoski". Out: rows as in
areas.csv. Never: a parent that is not there, or an area in itself.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd

from ..errors import Fault, Place, StudyError
from .tables import MOST_BYTES

#: Levels whose order is known, from the whole to its parts. A list may have others; postal areas cross the rest.
LEVELS = ("city", "major_area", "district", "statistical_area", "postal_area")
_CELL = re.compile(r"\s*(\d[\d ]*(?<=\d)[A-Za-z]?)\s+(\S.*?)\s*")


def above(code: str, parents: pd.Series[str]) -> tuple[str, ...]:
    """Codes of the listed areas above one, the nearest first; `parents` are known by code and have no circles."""
    found: list[str] = []
    while True:
        code = str(parents.loc[code])
        if code not in parents.index:
            return tuple(found)
        found.append(code)


def parent_faults(table: Mapping[str, Sequence[str]], lines: Sequence[int], where: str) -> Iterator[Fault]:
    """What is wrong with the parents of a list, given as its columns."""
    levels = dict(zip(table["code"], table["level"], strict=True))
    parents = dict(zip(table["code"], table["parent"], strict=True))
    several = len(set(levels.values())) > 1
    for line, code, level, parent in zip(lines, table["code"], table["level"], table["parent"], strict=True):
        if not parent or not code:
            continue
        of = levels.get(parent)
        said = ""
        if of is None:
            said = "The parent of an area is not listed." if several else ""
        elif parent == code:
            said = "An area is its own parent."
        elif _goes_round(code, parents):
            said = "The parents of an area lead back to it."
        elif of == level:
            said = "The parent of an area is on the area's own level."
        elif of in LEVELS and level in LEVELS and LEVELS.index(of) > LEVELS.index(level):
            said = "The parent of an area is on a lower level than the area."
        if said:
            yield Fault(
                what=said,
                place=Place(file=where, row=line, column="parent"),
                found=repr(parent) + (f", a {of}" if of else ""),
                expected=f"the code of a listed area that the {level} {code} lies in, or nothing",
            )


def _goes_round(code: str, parents: Mapping[str, str]) -> bool:
    """Whether the way up from an area comes back to it."""
    seen = {code}
    at = parents[code]
    while at in parents and at not in seen:
        seen.add(at)
        at = parents[at]
    return at == code


def hierarchy_rows(
    rows: Iterable[Sequence[str]],
    levels: Sequence[str] | Mapping[str, Sequence[str]],
    *,
    leave_out: Collection[str] = (),
    twin: str = "P",
    where: str = "hierarchy",
) -> list[dict[str, str]]:
    """Rows as in areas.csv (code, level, parent, name_fi) from rows that go from the whole to its parts.

    Producers number areas of different levels alike: "091 201 Ruoholahti" lies in "091 103 Kampinmalmin peruspiiri",
    and there is a "091 201 Reijolan peruspiiri". Where a number stands for areas of two levels, the lower level
    keeps it and the code of the higher one gets a letter, as in the codes of the Helsinki region's area series.

    Parameters
    ----------
    rows : iterable of sequences of str
        Cells "code name"; empty cells at the end are left out.
    levels : sequence of str, or mapping of str to such
        The level of each cell; a mapping gives them by the code of the first cell, and rows of other cities are
        left out.
    leave_out : collection of str
        Codes of cells whose rows are no areas ("092 99 Muut", the people of no district); one that no row has is a
        fault.
    twin : str
        The letter.
    where : str
        The name of the table, for messages.

    Raises
    ------
    StudyError
        All faults at once: a cell without code and name, another number of cells than levels, two parents or two
        names of one area.

    Examples
    --------
    >>> rows = [["092 Vantaa", "092 5 Koivukylän suuralue", "092 74 Havukoski"]]
    >>> for row in hierarchy_rows(rows, ["city", "major_area", "district"]):
    ...     print(",".join(row.values()))
    092,city,,Vantaa
    0925,major_area,092,Koivukylän suuralue
    09274,district,0925,Havukoski
    """
    known: dict[
        tuple[str, str], tuple[str, str, tuple[str, str] | None]
    ] = {}  # (level, number): name, …, parent
    faults: list[Fault] = []
    left, unused = frozenset(leave_out), set(leave_out)
    for line, row in enumerate(rows, start=1):
        cells = [str(cell).strip() for cell in row]
        while cells and not cells[-1]:
            cells.pop()
        matches = [_CELL.fullmatch(cell) for cell in cells]
        if not cells:
            continue
        place = Place(file=where, row=line)
        bad = next((cell for cell, match in zip(cells, matches, strict=True) if match is None), None)
        if bad is not None:
            expected = 'a code and a name, like "092 74 Havukoski"'
            faults.append(
                Fault(what="A cell is no area.", place=place, found=repr(bad[:80]), expected=expected)
            )
            continue
        parts = [(match[1].replace(" ", ""), match[2]) for match in matches if match is not None]
        if not left.isdisjoint(number for number, _ in parts):
            unused -= {number for number, _ in parts}
            continue
        wanted = levels.get(parts[0][0]) if isinstance(levels, Mapping) else levels
        if wanted is None:
            continue
        if len(parts) != len(wanted):
            faults.append(
                Fault(
                    what="A row has another number of areas than there are levels.",
                    place=place,
                    found=f"{len(parts)}: {'; '.join(cells)[:80]}",
                    expected=f"{len(wanted)}: {', '.join(wanted)}",
                )
            )
            continue
        parent: tuple[str, str] | None = None
        for level, (number, name) in zip(wanted, parts, strict=True):
            key = (level, number)
            before = known.setdefault(key, (name, number, parent))
            if before[0] != name or before[2] != parent:
                what = "An area has two names." if before[0] != name else "An area has two parents."
                one, other = (
                    (before[0], name)
                    if before[0] != name
                    else ((before[2] or ("", ""))[1], (parent or ("", ""))[1])
                )
                faults.append(
                    Fault(what=what, place=place, found=f"{number}: {one!r} and {other!r}", expected="one")
                )
            parent = key
    if unused:
        found = ", ".join(sorted(unused))
        faults.append(Fault(what="A code is left out that no row has.", where=where, found=found))
    if not known and not faults:
        expected = (
            "one of the cities " + ", ".join(levels) if isinstance(levels, Mapping) else "rows of areas"
        )
        faults.append(Fault(what="The hierarchy has no area.", where=where, expected=expected))
    if faults:
        raise StudyError.of(faults[:50])
    order = [*dict.fromkeys(level for level, _ in known)]
    lowest = {number: max(order.index(level) for level, one in known if one == number) for _, number in known}
    codes = {
        (level, number): number if order.index(level) == lowest[number] else number + twin
        for level, number in known
    }
    return [
        {"code": codes[key], "level": key[0], "parent": codes[parent] if parent else "", "name_fi": name}
        for key, (name, _, parent) in sorted(known.items(), key=lambda one: order.index(one[0][0]))
    ]


def read_hierarchy(
    path: Path,
    levels: Sequence[str] | Mapping[str, Sequence[str]],
    *,
    separator: str = ";",
    leave_out: Collection[str] = (),
    twin: str = "P",
) -> list[dict[str, str]]:
    """Read a hierarchy from a text file of any line ends (LF, CRLF, bare CR); see `hierarchy_rows`.

    Raises
    ------
    StudyError
        As `hierarchy_rows`; the file cannot be read as UTF-8.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise csv.Error(f"it has more than {MOST_BYTES:,} bytes")
        text = path.read_bytes().decode("utf-8-sig")
        if "\x00" in text:
            raise csv.Error("it has a NUL byte")
        lines = io.StringIO(re.sub(r"\r\n?", "\n", text), newline="\n")
        rows = list(csv.reader(lines, delimiter=separator, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as cause:
        raise StudyError("The hierarchy cannot be read.", where=str(path), found=str(cause)) from None
    return hierarchy_rows(rows, levels, leave_out=leave_out, twin=twin, where=path.name)
