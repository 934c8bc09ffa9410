"""Estimates as a table for readers: rounded, with errors in brackets and the reason where there is none.

In: estimates with their standard errors. Out: `Table`, which shows itself in a notebook or is written as LaTeX.
Never: an empty cell that does not say why.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from ..errors import DesignError
from ..panel import Floats
from ..tables import Column, Table
from .inputs import is_whole

_MOST_DIGITS = 8


def digits_for(estimates: Floats, errors: Floats) -> int:
    """Digits after the decimal sign with which a typical standard error has two that count.

    Parameters
    ----------
    estimates : array, shape (n,)
        Used where there is no error: three digits of the largest then count.
    errors : array, shape (n,)
        NaN where there is none.

    Examples
    --------
    >>> digits_for(np.array([-0.0315, 0.2]), np.array([0.0136, np.nan]))
    3
    >>> digits_for(np.array([1234.5]), np.array([np.nan]))
    0
    """
    known = errors[np.isfinite(errors) & (errors > 0)]
    size = np.abs(estimates[np.isfinite(estimates)])
    scale = float(np.median(known)) if len(known) else float(size.max(initial=0.0)) / 10
    return int(np.clip(1 - np.floor(np.log10(scale)), 0, _MOST_DIGITS)) if scale > 0 else 2


def checked_digits(decimals: int | None) -> int | None:
    """Digits that a caller asks for; None leaves them to `digits_for`.

    Raises
    ------
    DesignError
        No whole number from 0 to 15.
    """
    if decimals is None or (is_whole(decimals) and 0 <= decimals <= 15):
        return None if decimals is None else int(decimals)
    raise DesignError(
        "Digits after the decimal sign are counted.",
        where="decimals",
        found=repr(decimals),
        expected="a whole number from 0 to 15, or None",
    )


def written(value: float, digits: int) -> str:
    """A number with a true minus sign and a comma at the thousands; zero has no sign."""
    text = f"{abs(value):,.{digits}f}"
    return f"\N{MINUS SIGN}{text}" if value < 0 and any(digit in text for digit in "123456789") else text


def keys_written(keys: pd.Series) -> list[str]:
    """Event times, periods, paths or units as text, a negative number with a true minus sign."""
    return [
        f"\N{MINUS SIGN}{-key}" if isinstance(key, (int, np.integer)) and key < 0 else str(key)
        for key in keys
    ]


def estimates_table(
    labels: Mapping[str, Sequence[str]],
    estimates: Floats,
    errors: Floats,
    reasons: Sequence[str],
    counts: Mapping[str, Sequence[str]],
    *,
    caption: str,
    notes: Sequence[str],
    digits: int | None = None,
) -> Table:
    """A table of estimates.

    Parameters
    ----------
    labels, counts : mapping of str to sequence of str
        Columns before and after the numbers, n texts each, by heading.
    estimates, errors : array, shape (n,)
        Errors are NaN where `reasons` says why.
    reasons : sequence of str
        Empty where there is an error.
    caption : str
    notes : sequence of str
        Sentences for under the table; the reasons follow them.
    digits : int, optional
        After the decimal sign; by the errors where it is not given (`digits_for`).
    """
    digits = digits_for(estimates, errors) if digits is None else digits
    marks = {reason: f"[{chr(ord('a') + at)}]" for at, reason in enumerate(_distinct(reasons, errors))}
    brackets = [
        f"({written(error, digits)})" if np.isfinite(error) else marks[reason or _NO_REASON]
        for error, reason in zip(errors, reasons, strict=True)
    ]
    columns = [
        *(Column(label=label) for label in labels),
        Column(label="ATT", numeric=True),
        Column(label="Std. error", numeric=True),
        *(Column(label=label, numeric=True) for label in counts),
    ]
    rows = zip(
        *labels.values(), [written(one, digits) for one in estimates], brackets, *counts.values(), strict=True
    )
    said = [*notes, *(f"{mark} {reason}." for reason, mark in marks.items())]
    return Table(caption=caption, columns=tuple(columns), rows=tuple(rows), note=" ".join(said))


_NO_REASON = "no standard error"


def _distinct(reasons: Sequence[str], errors: Floats) -> list[str]:
    lacking = [
        reason or _NO_REASON for reason, error in zip(reasons, errors, strict=True) if not np.isfinite(error)
    ]
    return list(dict.fromkeys(lacking))
