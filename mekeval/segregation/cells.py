"""Which cells of areas and years enter, and what is refused of them.

In: arrays of persons by area and year, with their names. Out: `Entering`. Never: an area that disappears without a
reason, or a second fault hidden behind the first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from ..errors import DataError, DesignError, Fault
from ..inference.result import refuse_settings
from ..panel import Floats

#: Areas that enter: those with a value in every year that is used, or in each year those that have one.
Missing = Literal["balanced", "each_year"]
_SHOWN = 12
#: More people than live anywhere: such a count is a fault, and cannot be drawn from.
MOST_PEOPLE = 1e12
TOO_MANY = "A count is larger than any city."


@dataclass(frozen=True, kw_only=True)
class Entering:
    """The cells that enter, areas in the order of their names.

    Attributes
    ----------
    cells : (array, array)
        Rows and columns of the arrays as they were given, for `array[cells]`.
    areas : tuple of str
    periods : tuple of int
    there : array of bool, shape (n_areas, n_periods)
    gaps, dropped
        As in `Segregation`.
    """

    cells: tuple[npt.NDArray[np.intp], ...]
    areas: tuple[str, ...]
    periods: tuple[int, ...]
    there: npt.NDArray[np.bool_]
    gaps: tuple[int, ...]
    dropped: tuple[tuple[str, str, int], ...]


def entering(
    total: Floats,
    *,
    names: tuple[str, ...],
    years: tuple[int, ...],
    missing: Missing,
    reasons: npt.NDArray[np.str_] | None = None,
) -> Entering:
    """Which cells of people (n_areas, n_periods) enter; `reasons` say why some are NaN."""
    # One order of areas and years, so that a draw does not depend on the order that they came in.
    order = np.array(sorted(range(len(names)), key=lambda at: names[at]), dtype=np.intp)
    by_year = np.argsort(np.array(years), kind="stable")
    held = total[np.ix_(order, by_year)]
    why = np.where(np.isnan(held), "missing", np.where(held == 0, "empty_area", "ok")).astype("U32")
    if reasons is not None:
        given = reasons[np.ix_(order, by_year)]
        why = np.where(np.isnan(held) & (given != "ok"), given, why)
    there = why == "ok"
    used = there.mean(axis=0) >= 0.5
    lost = ~there & used
    dropped = []
    for row in np.flatnonzero(lost.any(axis=1)):
        columns = np.flatnonzero(lost[row])
        dropped += [
            (names[order[row]], str(why[row, at]), years[by_year[at]])
            for at in (columns[:1] if missing == "balanced" else columns)
        ]
    rows = ~lost.any(axis=1) if missing == "balanced" else there[:, used].any(axis=1)
    there = there[np.ix_(rows, used)]
    fewest = int(there.sum(axis=0).min()) if used.any() else 0
    if fewest < 2:
        raise DesignError(
            "Fewer than two areas have a value, so nothing can be uneven.",
            found=f"{fewest} of {len(rows)} areas",
            expected="at least two in every year that is measured",
        )
    return Entering(
        cells=np.ix_(order[rows], by_year[used]),
        areas=tuple(names[at] for at in order[rows]),
        periods=tuple(years[at] for at in by_year[used]),
        there=there,
        gaps=tuple(years[at] for at in by_year[~used]),
        dropped=tuple(dropped),
    )


def numbers_of(what: str, given: npt.ArrayLike) -> Floats:
    """An array of numbers, or a fault that says which is none."""
    try:
        raw = np.array(given)
        if raw.dtype.kind not in "biufO":
            raise ValueError(f"values of type {raw.dtype}")
        return np.array(given, dtype=float)
    except (TypeError, ValueError) as cause:
        raise DataError(
            "This is no array of numbers.",
            where=what,
            found=str(cause),
            expected="numbers, NaN where there is none",
        ) from None


def names_of(
    shape: tuple[int, ...], areas: Sequence[str] | None, periods: Sequence[int] | None
) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Names of areas and years of an array (n_areas, n_periods), checked."""
    width = len(str(shape[0]))
    names = (
        tuple(f"{number:0{width}d}" for number in range(1, shape[0] + 1))
        if areas is None
        else tuple(map(str, areas))
    )
    given = tuple(range(shape[1]) if periods is None else periods)
    faults = [
        Fault(
            what="A year is no whole number.", where="periods", found=repr(year), expected="a year, as 2024"
        )
        for year in given
        if isinstance(year, bool) or not isinstance(year, (int, np.integer))
    ]
    if faults:
        raise DataError.of(faults)
    years = tuple(int(year) for year in given)
    for what, held, needed in (("areas", names, shape[0]), ("periods", years, shape[1])):
        if len(held) != needed:
            faults.append(
                Fault(
                    what="There are not as many names as values.",
                    where=what,
                    found=str(len(held)),
                    expected=str(needed),
                )
            )
        twice = sorted({str(one) for one in held if held.count(one) > 1})
        if twice:
            faults.append(Fault(what="A name stands twice.", where=what, found=", ".join(twice[:_SHOWN])))
    if faults:
        raise DataError.of(faults)
    return names, years


def refuse_counts(group: Floats, total: Floats, names: tuple[str, ...], years: tuple[int, ...]) -> None:
    """Refuse counts that cannot be, all faults at once."""
    # A share that was carried as a floating number may overshoot its whole by rounding.
    over = group > total * (1 + 1e-9)
    faults = [
        fault
        for what, bad in (
            ("A count is negative.", (group < 0) | (total < 0)),
            ("A count is infinite.", np.isinf(group) | np.isinf(total)),
            (TOO_MANY, np.isfinite(total) & (total > MOST_PEOPLE)),
            ("The group has more people than there are.", over & (total >= 0)),
            ("Only one of both counts is there.", np.isnan(group) != np.isnan(total)),
        )
        for fault in told(what, bad, names, years)
    ]
    if not np.any(total >= 0.5):
        faults.append(
            Fault(
                what="There are no people.",
                found="a total of zero, less than one person, or none, in every area",
                expected="persons, not shares",
            )
        )
    if faults:
        raise DataError.of(faults)


def told(
    what: str, bad: npt.NDArray[np.bool_], names: tuple[str, ...], years: tuple[int, ...]
) -> list[Fault]:
    """One fault for all cells that share it."""
    cells = [f"{names[row]} in {years[column]}" for row, column in np.argwhere(bad)]
    more = f" and {len(cells) - _SHOWN} more" if len(cells) > _SHOWN else ""
    return [Fault(what=what, where=", ".join(cells[:_SHOWN]) + more)] if cells else []


def refuse_options(missing: str, *, draws: int = 100, alpha: float = 0.05, seed: int = 0) -> None:
    """Refuse what cannot be asked for, all faults at once."""
    faults: list[Fault] = []
    try:
        refuse_settings(alpha=alpha, draws=draws, seed=seed)
    except DesignError as error:
        faults += error.faults
    if missing not in ("balanced", "each_year"):
        faults.append(
            Fault(
                what="Unknown way to treat missing values.",
                where="missing",
                found=repr(missing),
                expected="'balanced' or 'each_year'",
            )
        )
    if not any(one.where == "draws" for one in faults) and draws < 100:
        faults.append(
            Fault(
                what="Too few draws for an interval.",
                where="draws",
                found=str(draws),
                expected="at least 100",
            )
        )
    if faults:
        raise DesignError.of(faults)
