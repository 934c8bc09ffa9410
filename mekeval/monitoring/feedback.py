"""Feedback: how many answered, what they answered, how certain that is, and what of it may leave.

In: the answers. Out: means and shares with intervals, by area and period. Never: a cell of fewer answers than the
minimum, alone or as the difference of two others, or a number that looks more certain than a few answers are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, linprog, milp
from scipy.special import ndtri  # scipy.stats would take a third of a second to load

from ..display import Shown
from ..errors import DataError
from .activities import ALL, Period, programme_periods
from .schema import MonitoringSpec

#: Below so many answers a share is said as a count: "7 of 9".
COUNTED_BELOW = 20
_EDGE = 1e-12


@dataclass(frozen=True, kw_only=True, repr=False)
class Interval(Shown):
    """An estimate with its interval.

    Attributes
    ----------
    estimate : float
    low, high : float or None
        None where the data do not allow an interval.
    alpha : float
        0.05 for an interval of 95 %.
    n : int
        Answers.
    """

    estimate: float
    low: float | None
    high: float | None
    alpha: float
    n: int


def wilson_interval(k: int, n: int, *, alpha: float = 0.05) -> Interval:
    """The share k of n with Wilson's score interval.

    Parameters
    ----------
    k, n : int
        0 <= k <= n, n >= 1.
    alpha : float
        0.05 for an interval of 95 %.

    Returns
    -------
    Interval
        Shares from 0 to 1.

    Raises
    ------
    DataError
        k or n is out of bounds.

    Notes
    -----
    The interval holds for answers drawn at random from those who might have answered; it knows nothing of those who
    chose not to.

    References
    ----------
    Wilson, E. B. (1927). Probable inference, the law of succession, and statistical inference. Journal of the American
    Statistical Association 22, 209-212.

    Examples
    --------
    >>> share = wilson_interval(7, 9)
    >>> round(share.low, 3), round(share.high, 3)
    (0.453, 0.937)
    """
    if not (n >= 1 and 0 <= k <= n):
        raise DataError("This is no share.", found=f"{k} of {n}", expected="0 <= k <= n, n >= 1")
    z = float(ndtri(1 - alpha / 2))
    middle = (k + z**2 / 2) / (n + z**2)
    half = z / (n + z**2) * np.sqrt(k * (n - k) / n + z**2 / 4)
    low, high = (0.0 if k == 0 else middle - half), (1.0 if k == n else middle + half)
    return Interval(estimate=k / n, low=float(low), high=float(high), alpha=alpha, n=int(n))


def bootstrap_mean(counts: NDArray[np.int64], low: int, *, alpha: float = 0.05) -> Interval:
    """The mean of answers on a scale with its bootstrap interval, by all samples at once.

    Parameters
    ----------
    counts : array of int, shape (n_steps,)
        Number of answers on each step of the scale.
    low : int
        The first step; each next one is one more.
    alpha : float
        0.05 for an interval of 95 %.

    Returns
    -------
    Interval
        Ends are quantiles of the bootstrap means; None where all answers are alike or there is one only, because the
        answers then say nothing about how far others would differ.

    Raises
    ------
    DataError
        There is no answer, or a count is below zero.

    Notes
    -----
    The sum of a bootstrap sample is a sum of n independent answers of known probabilities, so its distribution is
    computed in full instead of drawn: no seed, and the order of answers does not matter. With few answers the
    percentile interval is too narrow; pages say the number of answers beside it.

    References
    ----------
    Efron, B. and Tibshirani, R. J. (1993). An Introduction to the Bootstrap. Chapman & Hall, chapters 6 and 13.

    Examples
    --------
    >>> mean = bootstrap_mean(np.array([0, 0, 1, 1, 2]), 1)
    >>> mean.estimate, mean.low, mean.high
    (4.25, 3.5, 5.0)
    """
    n = int(counts.sum())
    if n < 1 or (counts < 0).any():
        raise DataError("There is no answer.", found=f"counts {counts.tolist()}")
    steps = np.arange(len(counts))
    mean = low + float(steps @ counts) / n
    if n < 2 or np.count_nonzero(counts) < 2:
        return Interval(estimate=mean, low=None, high=None, alpha=alpha, n=n)
    one, total, power = counts / n, np.ones(1), n
    while power:  # the n-fold convolution, by squaring
        if power & 1:
            total = np.convolve(total, one)
        power >>= 1
        if power:
            one = np.convolve(one, one)
    below = np.cumsum(total)
    tail = alpha / 2
    ends = [int(np.searchsorted(below, share - _EDGE)) for share in (tail, 1 - tail)]
    return Interval(estimate=mean, low=low + ends[0] / n, high=low + ends[1] / n, alpha=alpha, n=n)


def feedback_indicators(
    feedback: pd.DataFrame, spec: MonitoringSpec, *, by: Period, alpha: float = 0.05
) -> pd.DataFrame:
    """What was answered, by area, period and item; small cells withheld.

    Parameters
    ----------
    feedback : pandas.DataFrame
        As in `Monitoring`.
    spec : MonitoringSpec
    by : {"quarter", "year"}
        By quarter the rows of the years are there too, with `quarter` 0. What is withheld is the same either way:
        both are published, so both are guarded together.
    alpha : float
        0.05 for an interval of 95 %.

    Returns
    -------
    pandas.DataFrame
        One row for each area and ``"all"``, period and item: `area`, `year`, `quarter`, `item`, `status` ("ok",
        "none" or "withheld"), `n` (answers), `mean`, `mean_low`, `mean_high` (on the scale), `good` (answers that
        agree), `share`, `share_low`, `share_high` (0 to 1). Numbers of a withheld cell are <NA>. `n` is not known of
        a withheld cell.

    Notes
    -----
    A cell of 1 to `minimum_answers` - 1 answers is withheld, and so is the next smallest of its sum as long as the
    withheld ones could be computed from the others: areas add up to all, quarters add up to the year. What is withheld
    for the number of answers is withheld for every item; an item that few of many answered is withheld by itself.
    """
    periods = all_periods(spec)
    areas = [*spec.areas.codes, spec.areas.city, ALL]
    low, high = spec.scale.low, spec.scale.high
    steps = np.arange(low, high + 1)
    rows = []
    guarded = guarded_cells(feedback, spec, periods)
    for item in (one.name for one in spec.item):
        counts = _counts(feedback, item, areas, periods, steps)
        hidden = withheld_cells(counts.sum(axis=2), periods, spec.monitoring.minimum_answers, also=guarded)
        for at, area in enumerate(areas):
            for p, (year, quarter) in enumerate(periods):
                if quarter and by == "year":
                    continue
                cell = counts[at, p]
                row: dict[str, object] = {"area": area, "year": year, "quarter": quarter, "item": item}
                n = int(cell.sum())
                row["status"] = "withheld" if hidden[at, p] else "ok" if n else "none"
                row["n"] = pd.NA if hidden[at, p] else n
                if row["status"] == "ok":
                    row |= _numbers(cell, steps, spec, alpha)
                rows.append(row)
    names = ["mean", "mean_low", "mean_high", "good", "share", "share_low", "share_high"]
    frame = pd.DataFrame(rows, columns=["area", "year", "quarter", "item", "status", "n", *names])
    kinds = dict.fromkeys(names, "Float64") | {"n": "Int64", "good": "Int64"}
    frame[names] = frame[names].astype(object).where(frame[names].notna(), None)
    return frame.astype(kinds)


def response_rates(
    feedback: pd.DataFrame, activities: pd.DataFrame, spec: MonitoringSpec, *, by: Period
) -> pd.DataFrame:
    """How many of those who came answered, over the events about which anybody answered.

    Parameters
    ----------
    feedback, activities : pandas.DataFrame
        As in `Monitoring`.
    spec, by
        As in `feedback_indicators`.

    Returns
    -------
    pandas.DataFrame
        One row for each area and ``"all"`` and each period: `area`, `year`, `quarter`, `status`, `answers`, `events`
        (all), `events_answered` (with at least one answer and a known number of participants), `participants` (of
        these), `rate` (0 to 1; <NA> where there is none or `answers` is withheld).

    Notes
    -----
    Answers are joined to events by day, area and type; several such events of a day are one. Answers about no event
    are left out of the rate. Who answers is not drawn by lot, so the rate has no interval.
    """
    key = ["date", "area", "type"]
    held = activities.groupby(key, as_index=False).agg(
        participants=("participants", lambda some: some.sum(min_count=len(some)))
    )
    given = feedback.loc[feedback["activity"] != ""].rename(columns={"activity": "type"})
    joined = given.groupby(key).size().rename("answers").reset_index().merge(held, on=key)
    joined = joined.loc[joined["participants"].notna()].astype({"participants": "int64"})
    periods = all_periods(spec)
    areas = [*spec.areas.codes, spec.areas.city, ALL]
    grid = pd.MultiIndex.from_tuples(
        [(area, *period) for area in areas for period in periods], names=["area", "year", "quarter"]
    )
    table = _summed(joined.assign(events_answered=1), ["answers", "events_answered", "participants"]).reindex(
        grid, fill_value=0
    )
    events = _summed(activities[["date", "area"]].assign(events=1), ["events"])
    table["events"] = events["events"].reindex(grid, fill_value=0)
    counts = table["answers"].to_numpy().reshape(len(areas), len(periods))
    guarded = guarded_cells(feedback, spec, periods)
    hidden = withheld_cells(counts, periods, spec.monitoring.minimum_answers, also=guarded).ravel()
    table["status"] = np.where(hidden, "withheld", np.where(table["answers"] > 0, "ok", "none"))
    some = table["participants"].where(table["participants"] > 0)
    table["rate"] = (table["answers"] / some).astype("Float64")
    for name in ("answers", "events_answered", "participants"):
        table[name] = table[name].astype("Int64")
    table.loc[hidden, ["answers", "rate", "participants", "events_answered"]] = pd.NA
    names = ["status", "answers", "events", "events_answered", "participants", "rate"]
    table = table[names].reset_index()
    return table if by == "quarter" else table.loc[table["quarter"] == 0].reset_index(drop=True)


def all_periods(spec: MonitoringSpec) -> list[tuple[int, int]]:
    """The years of the programme (quarter 0) and its quarters."""
    return programme_periods(spec, "year") + programme_periods(spec, "quarter")


def guarded_cells(
    feedback: pd.DataFrame, spec: MonitoringSpec, periods: list[tuple[int, int]]
) -> NDArray[np.bool_]:
    """The cells that are withheld for the number of answers as such, and so for every item.

    Returns
    -------
    array of bool, shape (n_areas + 1, n_periods)
        As `withheld_cells`.
    """
    areas = [*spec.areas.codes, spec.areas.city, ALL]
    one = np.zeros(1, dtype=np.int64)
    counts = _counts(feedback.assign(answers=0), "answers", areas, periods, one).sum(axis=2)
    return withheld_cells(counts, periods, spec.monitoring.minimum_answers)


def withheld_cells(
    counts: NDArray[np.int64],
    periods: list[tuple[int, int]],
    minimum: int,
    *,
    also: NDArray[np.bool_] | None = None,
) -> NDArray[np.bool_]:
    """Which cells of a table may not be shown, because they are small or others would give small ones away.

    Parameters
    ----------
    counts : array of int, shape (n_areas + 1, n_periods)
        Answers; the last row is the sum of the others.
    periods : list of (year, quarter)
        Of the columns; quarter 0 is the sum of the quarters of the year, where these are there.
    minimum : int
    also : array of bool, shape (n_areas + 1, n_periods), optional
        Cells that are withheld for another reason.

    Returns
    -------
    array of bool, shape (n_areas + 1, n_periods)
    """
    small = (counts > 0) & (counts < minimum)
    hidden = small.copy() if also is None else small | also
    for year in sorted({year for year, _ in periods}):  # no sum goes beyond a year
        lines = _sums(len(counts), periods, year)
        while _hide_more(hidden, counts, minimum, lines) or _hide_for(
            _given_away(hidden, counts, minimum, lines), hidden, counts, lines
        ):
            pass
    return hidden


_Line = list[tuple[int, int]]


def _sums(n_areas: int, periods: list[tuple[int, int]], year: int) -> list[_Line]:
    """Cells of a year that add up: those of a line without its last one give the last one."""
    quarters = [at for at, (one, quarter) in enumerate(periods) if one == year and quarter]
    whole = [at for at, period in enumerate(periods) if period == (year, 0)]
    lines = [[(area, at) for area in range(n_areas)] for at in quarters + whole]
    if quarters and whole:
        lines += [[(area, at) for at in quarters + whole] for area in range(n_areas)]
    return lines


def _hide_more(
    hidden: NDArray[np.bool_], counts: NDArray[np.int64], minimum: int, lines: list[_Line]
) -> bool:
    """Hide one more cell of each line whose hidden cells are one alone, or together under the minimum."""
    changed = False
    for line in lines:
        cells = [one for one in line if hidden[one]]
        if not cells:
            continue
        # Shown parts taken from a shown sum leave the sum of what is hidden.
        rest = sum(int(counts[one]) for one in line[:-1] if hidden[one])
        if len(cells) == 1 or (not hidden[line[-1]] and rest < minimum):
            changed |= _hide_next(hidden, counts, line)
    return changed


def _given_away(
    hidden: NDArray[np.bool_], counts: NDArray[np.int64], minimum: int, lines: list[_Line]
) -> list[tuple[int, int]]:
    """Small hidden cells that all lines together still give: as the sum of a few of them, or for want of room.

    A group of cells is known where its sum is a combination of the lines, whose other cells are shown. A number is
    known, too, where no other one fits: nobody takes an empty cell for withheld, so that five withheld cells with a sum
    of five hold one answer each.
    """
    cells = sorted({one for line in lines for one in line if hidden[one]})
    if not cells:
        return []
    place = {one: at for at, one in enumerate(cells)}
    sums = np.zeros((len(lines), len(cells)))
    for row, line in enumerate(lines):
        for one in line:
            if one in place:
                sums[row, place[one]] = -1.0 if one == line[-1] else 1.0
    held = np.array([counts[one] for one in cells], dtype=float)
    group = _known_group(sums, held, minimum)
    if group.any():
        return [one for one in cells if group[place[one]]]
    small = [place[one] for one in cells if 0 < counts[one] < minimum]
    return [cells[at] for at in _fixed(sums, held, small)]


def _known_group(sums: NDArray[np.float64], held: NDArray[np.float64], minimum: int) -> NDArray[np.bool_]:
    """A group of cells with 1 to `minimum` - 1 answers whose sum the lines give; none where there is no such."""
    n_lines, n = sums.shape
    small = held < minimum
    # Whether a cell is in the group (0 or 1), and how often each line is taken.
    taken = LinearConstraint(np.hstack([np.eye(n), -sums.T]), 0, 0)
    answers = LinearConstraint(np.concatenate([held, np.zeros(n_lines)])[None, :], 1, minimum - 1)
    found = milp(
        np.concatenate([held, np.zeros(n_lines)]),
        integrality=np.concatenate([np.ones(n), np.zeros(n_lines)]),
        bounds=Bounds(
            np.concatenate([np.zeros(n), np.full(n_lines, -np.inf)]),
            np.concatenate([small.astype(float), np.full(n_lines, np.inf)]),
        ),
        constraints=[taken, answers],
    )
    return np.asarray(found.x[:n] > 0.5) if found.x is not None else np.zeros(n, dtype=np.bool_)


def _fixed(sums: NDArray[np.float64], held: NDArray[np.float64], among: list[int]) -> list[int]:
    """The cells into which no other number fits, where none may fall below 1 (or below 0 if empty)."""
    bounds = [(0.0 if own <= 1 else -1.0, 1.0) for own in held]

    def still(cells: list[int], weights: NDArray[np.float64]) -> list[int]:
        """Those that do not move where all are pushed at once."""
        goal = np.zeros(len(held))
        goal[cells] = weights
        moved = linprog(goal, A_eq=sums, b_eq=np.zeros(len(sums)), bounds=bounds).x
        return [at for at in cells if moved is not None and abs(moved[at]) < 1e-6]

    for sign in (-1.0, 1.0):  # most move with the others, and need no look by themselves
        if among:
            among = still(among, sign * np.linspace(1, 2, len(among)))
    return [at for at in among if still([at], -np.ones(1)) and still([at], np.ones(1))]


def _hide_for(
    known: list[tuple[int, int]],
    hidden: NDArray[np.bool_],
    counts: NDArray[np.int64],
    lines: list[_Line],
) -> bool:
    """Hide one more cell beside cells that are given away, or elsewhere in the year; False where there is none."""
    beside = [line for one in known for line in lines if one in line]
    return bool(known) and any(_hide_next(hidden, counts, line) for line in [*beside, *lines])


def _hide_next(hidden: NDArray[np.bool_], counts: NDArray[np.int64], line: _Line) -> bool:
    """Hide the smallest shown cell of a line that is not empty, its sum last; False where there is none."""
    shown = [one for one in line if not hidden[one] and counts[one] > 0]
    if not shown:
        return False
    hidden[min(shown, key=lambda one: (one == line[-1], int(counts[one]), one))] = True
    return True


def _counts(
    feedback: pd.DataFrame,
    item: str,
    areas: list[str],
    periods: list[tuple[int, int]],
    steps: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Answers on each step by year and by quarter, shape (n_areas, n_periods, n_steps); the last area is all."""
    given = feedback.loc[feedback[item].notna()]
    counts = np.zeros((len(areas), len(periods), len(steps)), dtype=np.int64)
    at_of = {area: at for at, area in enumerate(areas)}
    period_of = {period: at for at, period in enumerate(periods)}
    place = given["area"].map(at_of).to_numpy(dtype=int)
    step = given[item].to_numpy(dtype=int) - int(steps[0])
    for quarter in (0, 1):
        when = [
            period_of[int(year), int(one) if quarter else 0]
            for year, one in zip(given["year"], given["quarter"], strict=True)
        ]
        at = np.array(when, dtype=int)
        np.add.at(counts, (place, at, step), 1)
        np.add.at(counts, (np.full(len(at), len(areas) - 1), at, step), 1)
    return counts


def _numbers(
    cell: NDArray[np.int64], steps: NDArray[np.int64], spec: MonitoringSpec, alpha: float
) -> dict[str, object]:
    mean = bootstrap_mean(cell, int(steps[0]), alpha=alpha)
    good = int(cell[steps >= spec.scale.good].sum())
    share = wilson_interval(good, mean.n, alpha=alpha)
    return {
        "mean": mean.estimate,
        "mean_low": mean.low,
        "mean_high": mean.high,
        "good": good,
        "share": share.estimate,
        "share_low": share.low,
        "share_high": share.high,
    }


def _summed(frame: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """Sums by area and all, by year and by quarter."""
    dated = frame.assign(year=frame["date"].dt.year, quarter=frame["date"].dt.quarter)
    every = pd.concat([dated, dated.assign(quarter=0)])
    every = pd.concat([every, every.assign(area=ALL)])
    return every.groupby(["area", "year", "quarter"])[names].sum()
