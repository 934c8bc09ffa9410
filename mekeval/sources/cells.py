"""What all readers share: one cell of a file, missing symbols, labels that carry a year, text of unknown encoding."""

from __future__ import annotations

import codecs
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ..errors import DataError, MekevalError
from ..study import SourceSpec

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

#: Text files of area statistics are a few megabytes; a larger one would fill the memory before its fault is seen.
MOST_BYTES = 64 * 2**20

_YEAR_LABEL = re.compile(r"^(?P<item>.*?),?\s+(?P<year>(?:19|20)\d\d)(?P<group>\s*\([A-Z]{2}\))?$")
_GROUP = re.compile(r"\(([A-Z]{2})\)$|^([a-z]{2})_")


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """What a reader gives: every item label of the file, the cells of the wanted ones, what was found out.

    `cells` has the columns `area_label`, `item_label`, `year`, `value`, `status`, `row` and `column`.
    """

    labels: tuple[str, ...]
    cells: pd.DataFrame
    notes: tuple[str, ...] = ()


def label_key(label: str) -> str:
    """The form in which labels are compared: spaces joined, case ignored."""
    return " ".join(label.split()).casefold()


def split_label(header: str) -> tuple[str, int | None]:
    """The item and the year in a column name.

    Examples
    --------
    >>> split_label("Median income of inhabitants, 2015 (HR)")
    ('Median income of inhabitants (HR)', 2015)
    >>> split_label("hr_mtu")
    ('hr_mtu', None)
    """
    match = _YEAR_LABEL.match(header.strip())
    if not match:
        return header.strip(), None
    group = (match["group"] or "").strip()
    return f"{match['item'].strip()} {group}".strip(), int(match["year"])


def group_of(label: str) -> str:
    """The group of statistics that a label names, as Paavo writes it; nothing where it names none.

    Examples
    --------
    >>> group_of("Median income of inhabitants (HR)"), group_of("hr_mtu"), group_of("income")
    ('HR', 'HR', '')
    """
    match = _GROUP.search(label)
    return (match.group(1) or match.group(2)).upper() if match else ""


def year_of(label: str, source: SourceSpec) -> int:
    """The year that an item without a year in its name describes, from the study: by item, by group, or for all.

    Groups of one release describe different years (Paavo 2021: income of 2019, activity of 2018), so a release
    year minus two is never assumed.
    """
    group = group_of(label)
    years = {label_key(key): year for key, year in source.years.items()}
    for key in (label_key(label), label_key(group)):
        if key in years:
            return years[key]
    if source.year is not None:
        return source.year
    raise DataError(
        "The year of a column is not known.",
        where=f"{source.file}, column {label!r}",
        expected="a year in the column's name, or in study.toml `year = …`"
        + (f" or `years = {{ {group} = … }}`" if group else f" or `years = {{ {label} = … }}`"),
    )


def column_cells(
    areas: Sequence[str],
    rows: Sequence[int],
    texts: Sequence[str],
    *,
    label: str,
    year: int,
    column: str,
    symbols: Mapping[str, str],
    file: str,
) -> pd.DataFrame:
    """The cells of one column: a number and "ok", or no number and the reason, for each row.

    Raises
    ------
    DataError
        A text is neither a finite number nor one of the symbols; file, row and column are named.
    """
    stripped = [text.strip() for text in texts]
    values = pd.to_numeric(pd.Series(stripped, dtype=object), errors="coerce").to_numpy(
        dtype=float, copy=True
    )
    status = np.full(len(stripped), "ok", dtype=object)
    for at in np.flatnonzero(~np.isfinite(values)).tolist():
        text = stripped[at]
        if text == "-":
            values[at] = 0.0
        elif text in symbols:
            values[at], status[at] = math.nan, symbols[text]
        elif text and not text.strip("*"):
            values[at], status[at] = math.nan, "overflow"
        else:
            raise DataError(
                "Text where a number is due.",
                where=f"{file}, row {rows[at]}, column {column!r}",
                found=repr(text),
                expected="a number, or " + ", ".join(repr(symbol) for symbol in symbols if symbol),
            )
    return pd.DataFrame(
        {
            "area_label": pd.Series(areas, dtype=object),
            "item_label": label,
            "year": year,
            "value": values,
            "status": status,
            "row": rows,
            "column": column,
        }
    )


def read_bytes(path: Path, file: str) -> bytes:
    """The bytes of a text file: not empty, not a server's error page, without NUL, and not too large to hold."""
    if path.stat().st_size > MOST_BYTES:
        raise DataError(
            "The file is too large.",
            where=file,
            found=f"{path.stat().st_size} bytes",
            expected=f"at most {MOST_BYTES} bytes",
        )
    content = path.read_bytes()
    bare = (
        content[:4096].removeprefix(codecs.BOM_UTF8).strip() or content.removeprefix(codecs.BOM_UTF8).strip()
    )
    if not bare:
        raise DataError("The file is empty.", where=file)
    at = content.find(b"\x00")
    if at >= 0:
        line = content.count(b"\n", 0, at) + 1
        raise DataError(
            "The file has a NUL byte: it is no text.",
            where=f"{file}, row {line}",
            found=f"byte {at}",
        )
    refuse_web_page(bare, file)
    return content


def decoded(content: bytes, file: str) -> tuple[str, str]:
    """Text of an encoding that nobody declared: UTF-8 where the bytes are, else ISO-8859-1 or Windows-1252.

    Returns
    -------
    text, encoding : str
    """
    try:
        return content.decode("utf-8-sig"), "UTF-8"
    except UnicodeDecodeError:
        # 0x80-0x9F are control codes in ISO-8859-1 and letters in Windows-1252: their presence tells them apart.
        encoding = "windows-1252" if re.search(rb"[\x80-\x9f]", content) else "iso-8859-1"
        try:
            return content.decode(encoding), encoding.upper()
        except UnicodeDecodeError as cause:
            raise DataError("The encoding of the file is not known.", where=file, found=str(cause)) from None


def read_text(path: Path, file: str) -> tuple[str, str]:
    """A text file and its encoding; see `read_bytes` and `decoded`."""
    return decoded(read_bytes(path, file), file)


def refuse_web_page(content: bytes, file: str) -> None:
    """A server's error page under the name of a data file is told as what it is."""
    start = content.removeprefix(codecs.BOM_UTF8).lstrip()[:40]
    if start.lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        raise DataError(
            "The file is a web page, not data.",
            where=file,
            found=repr(start.decode("latin-1")),
            fix="Download it again; the server probably answered with an error page.",
        )


def hide(cells: pd.DataFrame) -> pd.DataFrame:
    """Paavo's WFS, shapefile and merged releases write -1 where PxWeb writes ".."."""
    hidden = cells["value"] == HIDDEN
    return cells.assign(value=cells["value"].mask(hidden), status=cells["status"].mask(hidden, "suppressed"))


def refuse_unreadable(kind: str, file: str, cause: Exception, problems: Iterable[str] = ()) -> MekevalError:
    """The error for a file that is not of its declared form."""
    return DataError(
        f"The file is not {kind}.",
        where=file,
        found="; ".join(problems) or f"{type(cause).__name__}: {cause}"[:200],
    )
