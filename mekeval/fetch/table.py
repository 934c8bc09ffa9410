"""The one raw file that a download becomes: a CSV in the 12f7 layout, the same bytes for the same data.

In: blocks of areas x items x years. Out: a file that the reader `pxweb-csv` takes. Never: a number that was parsed
and printed again, or two rows under one name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from ..sources.labels import label_key

_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
_YEAR = re.compile(r"((?:19|20)\d\d)\*?")


@dataclass(frozen=True, kw_only=True)
class Heads:
    """What stands around the cells: title, names of the two label columns, labels of items and years.

    `items` has one label for each item and `years` one for each year, in the order of the blocks' axes.
    """

    title: str
    area: str
    item: str
    items: tuple[str, ...]
    years: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Block:
    """Some areas, whole.

    Attributes
    ----------
    areas : tuple of str
        Labels.
    cells : array of object, shape (areas, items, years)
        The text of each cell: a number as it was sent, a symbol, or nothing.
    """

    areas: tuple[str, ...]
    cells: NDArray[np.object_]


def area_label(code: str, text: str) -> str:
    """The label of an area begins with a code, as Statistics Finland writes it; where it does not, it gets its own.

    Examples
    --------
    >>> area_label("01360", "01360  Koivukylä-Havukoski (Vantaa)"), area_label("092", "Vantaa")
    ('01360  Koivukylä-Havukoski (Vantaa)', '092 Vantaa')
    >>> area_label("SSS", "WHOLE COUNTRY")
    'WHOLE COUNTRY'
    """
    return text if text.strip()[:1].isdigit() or not code.isdigit() else f"{code} {text}"


def year_label(code: str, text: str, where: str) -> str:
    """The year that a value of the time dimension stands for; a mark of preliminary data is left out."""
    for word in (text.strip(), code.strip()):
        match = _YEAR.fullmatch(word)
        if match:
            return match[1]
    raise DataError(
        "A value of the time dimension is no year.",
        where=where,
        found=repr(text),
        expected="a year like 2020",
    )


def refuse_twins(labels: Sequence[str], what: str, where: str) -> None:
    """Two areas or two items under one name could not be told apart in the file."""
    seen: set[str] = set()
    for label in labels:
        key = label_key(label)
        if key in seen:
            raise DataError(
                f"Two {what} have one name.",
                where=where,
                found=repr(label),
                fix="Choose one of them by its code in `select`.",
            )
        seen.add(key)


def write_table(path: Path, heads: Heads, blocks: Iterable[Block]) -> int:
    """Write the file; block after block, so that memory holds one of them.

    Returns
    -------
    cells : int
        How many there are.
    """
    count = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(f"{_quoted(heads.title)}\n\n")
        file.write(",".join(map(_quoted, (heads.area, heads.item, *heads.years))) + "\n")
        for block in blocks:
            for area, rows in zip(block.areas, block.cells, strict=True):
                for item, row in zip(heads.items, rows, strict=True):
                    file.write(",".join([_quoted(area), _quoted(item), *map(_cell, row)]) + "\n")
            count += block.cells.size
    return count


def _cell(text: str) -> str:
    return text if _NUMBER.fullmatch(text) else _quoted(text)


def _quoted(text: str) -> str:
    """A cell of text; a line break or a NUL in a label would break rows."""
    bare = re.sub(r"[\x00\r\n]+", " ", text)
    return '"' + bare.replace('"', '""') + '"'
