"""The cells of a PC-Axis file: most of its bytes, read as numbers at once.

In: the bytes between DATA and the semicolon. Out: numbers, statuses and lines. Never: two cells read as one, or a
symbol that nobody explained.
"""

from __future__ import annotations

import array
import math
import re
import warnings
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, Fault, MekevalError, Place
from .cells import MOST_FAULTS, STATUSES, counted, shown
from .cube import Rows

_QUOTED = re.compile(rb'"([^"\r\n]*+)"')
_MARK = re.compile(rb'"([^"\r\n]*+)"|(?<![^\s])(\.++|-)(?![^\s])')
_TOKEN = re.compile(rb'"[^"\r\n]*+"|[^\s"]++|"')
_NUMBER = re.compile(rb"-?(?:\d++(?:\.\d*+)?|\.\d++)(?:[eE][+-]?\d{1,3})?")


def read_numbers(
    body: bytes, first: int, symbols: Mapping[str, str], file: str, *, most: int, width: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.int8], Rows]:
    """Every cell as a number and a status, and the row of the file for positions of cells.

    The numbers are read by numpy in one go. That is safe only if every part between blanks is exactly one number:
    the alphabet and the count are checked, and where they do not fit the parts are looked at one by one. Of more
    cells than `most` only the count is true; `width` is how many a line holds where most lines hold so many.
    """
    quoted = body.count(b'"') // 2
    if quoted > most:
        return (
            np.zeros(quoted),
            np.zeros(0, dtype=np.int8),
            _rows(body, np.zeros(quoted, dtype=np.intp), first),
        )
    text, marks = _blanked(_QUOTED, body)
    if (
        b"." in text or b"-" in text
    ):  # perhaps symbols without quotes, which the slower pattern tells from numbers
        text, marks = _blanked(_MARK, body)
    solid = np.frombuffer(b" " + text, dtype=np.uint8) > ord(" ")
    starts = np.flatnonzero(solid[1:] & ~solid[:-1])
    odd = text.translate(None, b"0123456789.- \t\r\n") != b"nan" * len(marks)
    values = np.empty(0)
    if not odd and starts.size > most:
        return np.zeros(starts.size), np.zeros(0, dtype=np.int8), _rows(text, starts, first)
    if not odd:
        with warnings.catch_warnings():
            warnings.simplefilter("error", DeprecationWarning)
            try:
                values = np.fromstring(text.decode("ascii"), sep=" ")
            except (DeprecationWarning, ValueError):
                odd = True
    missing = np.flatnonzero(~np.isfinite(values))
    if odd or values.size != starts.size or missing.size != len(marks):
        return _numbers_one_by_one(body, first, symbols, file, most=most)
    rows = _rows(text, starts, first)
    status = np.zeros(values.size, dtype=np.int8)
    known = {mark: _status(mark, symbols) for mark in set(marks)}
    if None in known.values():
        wrong = [(int(at), mark) for at, mark in zip(missing, marks, strict=True) if known[mark] is None]
        lines = rows(np.array([at for at, _ in wrong], dtype=np.intp)).tolist()
        raise _unknown_marks(
            [(row, mark) for row, (_, mark) in zip(lines, wrong, strict=True)], symbols, file
        )
    if width and starts.size == most:
        _refuse_uneven(text, starts, first, width, file)
    found = np.array([known[mark] for mark in marks], dtype=np.int8)
    status[missing] = found
    values[missing[found == 0]] = 0.0
    return values, status, rows


def _blanked(pattern: re.Pattern[bytes], body: bytes) -> tuple[bytes, list[bytes]]:
    """The cells with "nan" for each symbol, and the symbols."""
    marks: list[bytes] = []

    def blank(match: re.Match[bytes]) -> bytes:
        marks.append(match.group(match.lastindex or 1))
        return b" nan "

    return pattern.sub(blank, body), marks


def _status(mark: bytes, symbols: Mapping[str, str]) -> int | None:
    """Position in `STATUSES`: 0 for "-", which is a true zero; None for a symbol that nobody explained."""
    text = mark.strip().decode("latin-1")
    if text in symbols:
        return STATUSES.index(symbols[text])
    return 0 if text == "-" else None


def _rows(text: bytes, starts: NDArray[np.intp], first: int) -> Rows:
    breaks = np.flatnonzero(np.frombuffer(text, dtype=np.uint8) == ord("\n"))
    return lambda at: np.asarray(np.searchsorted(breaks, starts[at]) + first)


def _refuse_uneven(text: bytes, starts: NDArray[np.intp], first: int, width: int, file: str) -> None:
    """Lines that hold more or fewer cells than all others: two faults that make up for each other in the count."""
    breaks = np.flatnonzero(np.frombuffer(text, dtype=np.uint8) == ord("\n"))
    counts = np.diff(np.concatenate([[0], np.searchsorted(starts, breaks), [starts.size]]))
    uneven = np.flatnonzero((counts != width) & (counts != 0))
    if uneven.size and uneven.size < 0.1 * np.count_nonzero(counts):
        raise DataError.of(
            counted(
                (
                    Fault(
                        what="A line has another number of cells than nearly all others.",
                        place=Place(file=file, row=first + at),
                        found=f"{counts[at]} cells",
                        expected=f"{width} cells",
                    )
                    for at in uneven[:MOST_FAULTS].tolist()
                ),
                file,
                more=uneven.size - MOST_FAULTS,
            )
        )


def _unknown_marks(
    wrong: Sequence[tuple[int, bytes]], symbols: Mapping[str, str], file: str, *, more: int = 0
) -> MekevalError:
    """Rows with cells that are neither a number nor a known symbol."""
    return DataError.of(
        counted(
            (
                Fault(
                    what="A cell is neither a number nor a known symbol.",
                    place=Place(file=file, row=row),
                    found=shown(mark[:40].decode("latin-1")),
                    expected="a number with a decimal point, '-', or "
                    + ", ".join(repr(each) for each in symbols if each),
                    fix='If the producer explains the symbol, say so: symbols = { "…" = "missing" } in the source.',
                )
                for row, mark in wrong[:MOST_FAULTS]
            ),
            file,
            more=len(wrong) + more - MOST_FAULTS,
        )
    )


def _numbers_one_by_one(
    body: bytes, first: int, symbols: Mapping[str, str], file: str, *, most: int
) -> tuple[NDArray[np.float64], NDArray[np.int8], Rows]:
    values, status, starts = array.array("d"), array.array("b"), array.array("q")
    known: dict[bytes, tuple[float, int]] = {}
    wrong: list[tuple[int, bytes]] = []
    row, last, unsaid = first, 0, 0
    for match in _TOKEN.finditer(body):
        token = match.group()
        found = known.get(token)
        if found is None:
            found = known[token] = _cell(token, symbols)
        number, state = found
        if state < 0:
            if len(wrong) < MOST_FAULTS:
                row += body.count(b"\n", last, match.start())
                last = match.start()
                wrong.append((row, token))
            else:
                unsaid += 1
        values.append(number)
        status.append(state)
        starts.append(match.start())
        if len(values) > most + MOST_FAULTS:
            break
    if wrong:
        raise _unknown_marks(wrong, symbols, file, more=unsaid)
    rows = _rows(body, np.array(starts, dtype=np.intp), first)
    return np.array(values, dtype=float), np.array(status, dtype=np.int8), rows


def _cell(token: bytes, symbols: Mapping[str, str]) -> tuple[float, int]:
    """The number and the position in `STATUSES` of one cell; -1 where it is neither number nor symbol."""
    mark = token.strip(b'"') if token.startswith(b'"') and len(token) > 1 else token
    if mark is token and _NUMBER.fullmatch(token):
        number = float(token)
        return (number, 0) if math.isfinite(number) else (math.nan, -1)
    state = _status(mark, symbols)
    return (0.0 if state == 0 else math.nan), -1 if state is None else state
