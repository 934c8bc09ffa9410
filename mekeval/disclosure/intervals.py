"""An attacker with a linear program: between which numbers must a hidden count lie, by all that is published?

In: `Published`. Out: the interval of each hidden count. Never: an interval that is wider than the published numbers
allow.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sparse
from scipy.optimize import OptimizeResult, linprog

from ..errors import MekevalError
from .system import Bools, Floats, Ints, Published, Relations, relations_of

_CLOSE = 1e-6


@dataclass(frozen=True, kw_only=True)
class Intervals:
    """The feasible interval of each hidden count, n of them.

    Attributes
    ----------
    sum_at, area, year : array of int, shape (n,)
        Which count.
    low, high : array of float, shape (n,)
        Least and largest whole number that fits; infinite where nothing published limits it.
    threshold : array of int, shape (n,)
    pinned : array of bool, shape (n,)
        Whether the interval is narrower than the threshold and the count may be a small one.
    contradictions : int
        Relations between published numbers that contradict each other; each was widened by as little as possible.
    """

    sum_at: Ints
    area: Ints
    year: Ints
    low: Floats
    high: Floats
    threshold: Ints
    pinned: Bools
    contradictions: int

    @property
    def narrow(self) -> Bools:
        """Whether the interval is narrower than the threshold, be the count as large as it may, shape (n,)."""
        return np.asarray(self.high - self.low < self.threshold)


def intervals_of(published: Published, *, exact: bool = True) -> Intervals:
    """The interval of each count that the table hides, by linear programming.

    Counts in different areas and years that no relation joins are solved in one program: its least sum is the sum of
    the least ones. So there are as many programs as the largest joined part has hidden counts, times two. Where only
    `pinned` is wanted (not `exact`), a count for which the solutions so far are as far apart as the threshold needs no
    program of its own.
    """
    known = relations_of(published)
    low, high = known.known.copy(), known.known.copy()
    widened = 0
    if len(known.known) and known.matrix.shape[1]:
        known, widened = _without_contradictions(known)
        low, high = _ends(known, exact=exact)
    low, high = _whole(known, low, high)
    return Intervals(
        sum_at=known.sum_at,
        area=known.area,
        year=known.year,
        low=low,
        high=high,
        threshold=known.threshold,
        pinned=_pinned(known, low, high),
        contradictions=widened,
    )


def _ends(known: Relations, *, exact: bool) -> tuple[Floats, Floats]:
    """The least and the largest number of each target; where not `exact`, numbers between them that are enough."""
    part = _part_of(known)
    inside = np.flatnonzero(part >= 0)
    order = inside[np.argsort(part[inside], kind="stable")]
    first = np.flatnonzero(np.diff(part[order], prepend=-1))
    turn = np.full(len(part), -1)
    turn[order] = np.arange(len(order)) - np.repeat(first, np.diff(np.append(first, len(order))))
    ends = np.stack([known.known, known.known])
    if not inside.size:
        return ends[0], ends[1]
    if exact:
        program = _Program(known)
        for one in range(int(turn.max()) + 1):
            those = np.flatnonzero(turn == one)
            for side, sign in enumerate((1.0, -1.0)):
                numbers = program.numbers(those, sign * np.ones(len(those)))
                ends[side, those] = numbers[those]
        return ends[0], ends[1]
    ends[0, inside], ends[1, inside] = np.inf, -np.inf

    def solve(those: Ints, signs: Floats) -> None:
        program = _Program(known, np.unique(part[those]))
        there = np.flatnonzero(np.isin(part, np.unique(part[those])))
        for sign in (1.0, -1.0):
            numbers = program.numbers(those, sign * signs)[there]
            ends[0, there] = np.minimum(ends[0, there], numbers)
            ends[1, there] = np.maximum(ends[1, there], numbers)

    # The first ones pull all counts of a part up or down together; then one of each part that is still near.
    solve(inside, np.ones(len(inside)))
    tried = np.zeros(len(part), dtype=bool)
    while True:
        near = inside[~tried[inside] & ((ends[1] - ends[0])[inside] < known.threshold[inside] + 1)]
        if not near.size:
            break
        those = near[np.unique(part[near], return_index=True)[1]]
        tried[those] = True
        solve(those, np.ones(len(those)))
    # A count above a line matters where the one below it may be small: its least number must be known.
    low, high = _whole(known, *ends)
    above, below = known.bases.T
    open_ = below[(high - low < known.threshold)[above] & (low >= known.threshold)[below]]
    for one in np.unique(turn[open_[turn[open_] >= 0]]).tolist():
        those = np.unique(open_[turn[open_] == one])
        solve(those, np.ones(len(those)))
    return ends[0], ends[1]


def _whole(known: Relations, low: Floats, high: Floats) -> tuple[Floats, Floats]:
    """The whole numbers between two ends."""
    low, high = np.ceil(np.round(low - _CLOSE, 6)) + 0.0, np.floor(np.round(high + _CLOSE, 6))
    return low, np.where(high >= known.most / 100, np.inf, high)


def _pinned(known: Relations, low: Floats, high: Floats) -> Bools:
    """Which targets are told: a narrow interval that does not say that the people are many."""
    small = low < known.threshold
    few = known.is_base.copy()
    above, below = known.bases.T
    few[above[small[below] | known.secret[below]]] = True
    return np.asarray((high - low < known.threshold) & (known.secret | (small & few)))


def _part_of(known: Relations) -> Ints:
    """The part in which each target lies; -1 where nothing of it is open."""
    part = np.full(known.targets.shape[0], -1, dtype=np.int64)
    some = np.flatnonzero(np.diff(known.targets.indptr) > 0)
    part[some] = known.part[known.targets.indices[known.targets.indptr[some]]]
    return part


class _Program:
    """The linear program of what is published; its goal changes."""

    def __init__(self, known: Relations, parts: Ints | None = None) -> None:
        self._targets, self._known, matrix, low, high = (
            known.targets,
            known.known,
            known.matrix,
            known.low,
            known.high,
        )
        self._own = np.arange(matrix.shape[1])
        if parts is not None:
            inside = np.isin(known.part, parts)
            self._own = np.flatnonzero(inside)
            # The relations of other parts say nothing of these.
            rows = np.flatnonzero(abs(matrix) @ inside.astype(float) > 0)
            matrix, low, high = matrix[rows][:, self._own], low[rows], high[rows]
        equal = low == high
        upper, lower = ~equal & np.isfinite(high), ~equal & np.isfinite(low)
        limits = sparse.vstack([matrix[upper], -matrix[lower]], format="csr")
        self._limits = limits if limits.shape[0] else None
        self._upper = np.concatenate([high[upper], -low[lower]]) if limits.shape[0] else None
        self._equal = matrix[equal] if equal.any() else None
        self._right = low[equal] if equal.any() else None
        self._most = known.most

    def result(self, goal: Floats) -> OptimizeResult:
        """The answer of the solver."""
        return linprog(
            goal,
            A_ub=self._limits,
            b_ub=self._upper,
            A_eq=self._equal,
            b_eq=self._right,
            bounds=(0, self._most),
            method="highs",
        )

    def numbers(self, those: Ints, signs: Floats) -> Floats:
        """What all targets are where the sum of some, with their signs, is least; those of other parts are wrong."""
        goal = np.asarray(self._targets[those].T @ signs, dtype=float).ravel()
        result = self.result(goal[self._own])
        if result.status != 0:
            raise MekevalError(
                "The attack on the published numbers has no solution, so that nothing can be said of their safety.",
                found=str(result.message),
                fix="Look for numbers that contradict each other.",
            )
        solution = np.zeros(len(goal))
        solution[self._own] = result.x
        return np.asarray(self._known + self._targets @ solution)


def _without_contradictions(known: Relations) -> tuple[Relations, int]:
    """Relations that can hold together: those that contradict each other widened by as little as possible.

    Cities' own totals come from other registers than those of their parts, and are a few persons apart.
    """
    if _Program(known).result(np.zeros(known.matrix.shape[1])).status == 0:
        return known, 0
    n_rows, n_open = known.matrix.shape
    upper, lower = np.isfinite(known.high), np.isfinite(known.low)
    soft = sparse.eye_array(n_rows, format="csr")
    limits = sparse.vstack(
        [
            sparse.hstack([known.matrix[upper], -soft[upper]]),
            sparse.hstack([-known.matrix[lower], -soft[lower]]),
        ],
        format="csr",
    )
    result = linprog(
        np.concatenate([np.zeros(n_open), np.ones(n_rows)]),
        A_ub=limits,
        b_ub=np.concatenate([known.high[upper], -known.low[lower]]),
        bounds=[(0, known.most)] * n_open + [(0, None)] * n_rows,
        method="highs",
    )
    if result.status != 0:
        raise MekevalError(
            "The attack on the published numbers has no solution, so that nothing can be said of their safety.",
            found=str(result.message),
        )
    slack = np.asarray(result.x, dtype=float)[n_open:]
    wide = slack > _CLOSE
    if not wide.any():
        return known, 0
    more = np.where(wide, slack + _CLOSE, 0.0)
    return replace(known, low=known.low - more, high=known.high + more), int(wide.sum())
