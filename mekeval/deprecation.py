"""Names on their way out: what is old still works, and says what to use and until when.

In: a function, or an old name. Out: the same result and a warning at the caller's line. Never: a changed result.
`docs/releasing.md` has the policy.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import ParamSpec, TypeVar

_P = ParamSpec("_P")
_R = TypeVar("_R")


class DeprecatedNameWarning(FutureWarning):
    """Something that is called by an old name; a FutureWarning, so that notebooks and terminals show it."""


def warn_of(old: str, *, use: str, since: str, removed: str, above: int = 1) -> None:
    """Warn that a name is old.

    Parameters
    ----------
    old, use : str
        The old name, and what to use instead.
    since, removed : str
        Versions: the first that warns, and the first that will not have the old name, such as "0.4".
    above : int
        How many callers stand between this call and the line to be shown.
    """
    warnings.warn(
        f"{old} is deprecated since {since} and will be gone in {removed}. Use {use}.",
        DeprecatedNameWarning,
        stacklevel=above + 2,
    )


def deprecated(*, since: str, removed: str, use: str) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]:
    """Mark a function as deprecated: each call warns, and the docstring says it.

    Parameters
    ----------
    since, removed : str
        Versions: the first that warns, and the first that will not have the function.
    use : str
        What to use instead.

    Returns
    -------
    callable
        A decorator.

    Examples
    --------
    >>> import warnings
    >>> @deprecated(since="0.2", removed="0.4", use="new_name")
    ... def old_name():
    ...     return 1
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     old_name()
    1
    >>> print(caught[0].message)
    old_name is deprecated since 0.2 and will be gone in 0.4. Use new_name.
    """

    def mark(function: Callable[_P, _R]) -> Callable[_P, _R]:
        @functools.wraps(function)
        def warned(*args: _P.args, **kwargs: _P.kwargs) -> _R:
            warn_of(function.__name__, use=use, since=since, removed=removed)
            return function(*args, **kwargs)

        said = f"Deprecated since {since}: use {use}. Gone in {removed}."
        warned.__doc__ = "\n\n".join(part for part in (function.__doc__, said) if part)
        return warned

    return mark
