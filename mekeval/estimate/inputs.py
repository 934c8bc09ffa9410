"""What a caller asks for, checked in one way for all estimators: names, words, numbers, and an outcome that varies.

In: an argument as it came. Out: it in one form, or an error in words. Never: an estimate.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from ..errors import DataError, DesignError, closest
from ..panel import Floats, Panel


def names_of(names: object, where: str = "covariates") -> tuple[str, ...]:
    """Names from a list, an index or an array of them; None is none.

    Raises
    ------
    DesignError
        One name alone, or what is no collection; a name that is no text; a name given twice.

    Examples
    --------
    >>> names_of(None), names_of(np.array(["x", "z"]))
    ((), ('x', 'z'))
    """
    if names is None:
        return ()
    if isinstance(names, (str, bytes)) or not isinstance(names, Iterable):
        raise DesignError(
            "Covariates are a list of names.",
            where=where,
            found=repr(names),
            fix=f"Write [{names!r}]." if isinstance(names, str) else "",
        )
    listed = list(names)
    if not all(isinstance(name, str) for name in listed) or len(set(listed)) < len(listed):
        raise DesignError(
            "Covariates must be named, each once.",
            where=where,
            found=repr(listed),
            expected="names of outcomes of the panel",
        )
    return tuple(map(str, listed))


def check_known(panel: Panel, names: Iterable[object]) -> None:
    """Refuse a name that is no outcome of the panel, with the closest ones."""
    for name in names:
        if not isinstance(name, str) or name not in panel.values:
            raise DataError(
                "The panel has no such outcome.", found=repr(name), expected=closest(name, panel.outcomes)
            )


def check_word(word: object, name: str, known: Sequence[str]) -> None:
    """Refuse an option that is none of the known words."""
    if not isinstance(word, str) or word not in known:
        raise DesignError(f"Unknown {name}.", where=name, found=repr(word), expected=closest(word, known))


def is_whole(number: object) -> bool:
    """Whether it is a whole number: 3 and 3.0 are; True, NaN, infinity and "3" are not."""
    if isinstance(number, (int, np.integer)):
        return not isinstance(number, bool)
    return isinstance(number, (float, np.floating)) and float(number).is_integer()


def refuse_constant(values: Floats, outcome: str) -> None:
    """Refuse an outcome that is the same in every cell; NaN is no cell."""
    seen = values[~np.isnan(values)]
    if seen.size and np.ptp(seen) == 0:
        raise DesignError(
            "The outcome is the same everywhere: there is no change to explain.",
            where=outcome,
            found=str(seen[0]),
        )


def scale_of(values: Floats) -> float:
    """The largest absolute value; 0 where there is none."""
    return float(np.nanmax(np.abs(values), initial=0.0))


def why_lacking(name: str, reason: str, outcome: str) -> str:
    """The reason a value is not there, with the name of the variable where it is not the outcome.

    Examples
    --------
    >>> why_lacking("y", "missing", "y"), why_lacking("x", "missing", "y")
    ('missing', 'x missing')
    """
    return reason if name == outcome else f"{name} {reason}"
