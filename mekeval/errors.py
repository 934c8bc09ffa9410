"""What a reader may see when something is wrong.

In: the facts of a fault. Out: an exception whose text names what is wrong, where, what was found, what was
expected and what to do. Never: a traceback for a user's mistake, or a second fault hidden behind the first.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

#: Faults that a message tells one by one; `MekevalError.faults` holds them all.
_SHOWN = 20


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where in a table a fault is: the name of the file, the row (from 1) and the column, as far as they are known."""

    file: str
    row: int | None = None
    column: str = ""

    def __str__(self) -> str:
        row = "" if self.row is None else f", row {self.row}"
        return f"{self.file}{row}" + (f", column {self.column!r}" if self.column else "")


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One thing that is wrong.

    Attributes
    ----------
    what : str
        The fault in one sentence.
    where : str
        File, row, key or parameter; empty when there is no place to name. A `place` writes it by itself.
    found, expected, fix : str
        What stands there, what should, and what to do; empty when it would add nothing.
    place : Place or None
        The place in a table of data, for lists of faults; None elsewhere.
    """

    what: str
    where: str = ""
    found: str = ""
    expected: str = ""
    fix: str = ""
    place: Place | None = None

    def __post_init__(self) -> None:
        if self.place is not None and not self.where:
            object.__setattr__(self, "where", str(self.place))

    def __str__(self) -> str:
        details = [
            f"  {name}: {value}"
            for name, value in (
                ("where", self.where),
                ("found", self.found),
                ("expected", self.expected),
                ("to do", self.fix),
            )
            if value
        ]
        return "\n".join([self.what, *details])


class MekevalError(Exception):
    """A fault that a user can mend, told without a traceback.

    Parameters
    ----------
    what, where, found, expected, fix : str
        As in `Fault`.

    Examples
    --------
    >>> print(MekevalError("The year has no data.", where="--year", found="2031", expected="2010 to 2025"))
    The year has no data.
      where: --year
      found: 2031
      expected: 2010 to 2025
    """

    def __init__(
        self, what: str, *, where: str = "", found: str = "", expected: str = "", fix: str = ""
    ) -> None:
        self.faults: tuple[Fault, ...] = (
            Fault(what=what, where=where, found=found, expected=expected, fix=fix),
        )
        super().__init__(what)

    def __str__(self) -> str:
        if len(self.faults) == 1:
            return str(self.faults[0])
        shown = [f"{number}. {fault}" for number, fault in enumerate(self.faults[:_SHOWN], start=1)]
        rest = [f"… and {len(self.faults) - _SHOWN} more."] if len(self.faults) > _SHOWN else []
        return "\n".join([f"{len(self.faults)} faults:", *shown, *rest])

    def __reduce__(self) -> tuple[object, ...]:  # pickled on its way out of a worker process
        return (_rebuild, (type(self), self.faults))

    @classmethod
    def of(cls, faults: Iterable[Fault]) -> MekevalError:
        """Join all faults found in one place, so that a user mends them in one go."""
        error = cls("")
        error.faults = tuple(faults)
        error.args = (str(error),)
        return error


class StudyError(MekevalError):
    """The study's own files are wrong: study.toml, areas.csv, a checksum."""


class DataError(MekevalError):
    """A raw or tidy table is wrong: a missing column, a duplicate row, text where a number is due."""


class DesignError(MekevalError):
    """The question cannot be put to these data: nobody treated, nothing to compare with, no year before."""


class RunError(MekevalError):
    """A run was refused or failed: a parameter, a notebook, a folder."""


def _rebuild(kind: type[MekevalError], faults: tuple[Fault, ...]) -> MekevalError:
    return kind.of(faults)


def closest(word: object, known: Iterable[str]) -> str:
    """Name the known words nearest to a wrong one, as text for `Fault.expected`.

    Examples
    --------
    >>> closest("Hakunlia", ["Hakunila", "Hakkila", "Korso"])
    "closest: 'Hakunila', 'Hakkila'"
    >>> closest("x", ["Hakunila"])
    "one of: 'Hakunila'"
    >>> closest(None, ["Hakunila"])  # what is no text is compared as it is written
    "one of: 'Hakunila'"
    """
    words = list(dict.fromkeys(known))
    folded = {candidate.casefold(): candidate for candidate in reversed(words)}
    near = difflib.get_close_matches(str(word).casefold(), list(folded), n=3, cutoff=0.6)
    if near:
        return "closest: " + ", ".join(repr(folded[match]) for match in near)
    shown = ", ".join(repr(candidate) for candidate in words[:12])
    return f"one of: {shown}" + (f" and {len(words) - 12} more" if len(words) > 12 else "")
