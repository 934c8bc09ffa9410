"""An attacker with a linear program: between which numbers must a hidden count lie, by all that is published?

In: `Published`. Out: the interval of each hidden count. Never: an interval that is wider than the published numbers
allow.
"""

from __future__ import annotations

from dataclasses import dataclass

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
    contradictions : int
        Relations between published numbers that contradict each other; each was widened by as little as possible.
    """

    sum_at: Ints
    area: Ints
    year: Ints
    low: Floats
    high: Floats
    threshold: Ints
    contradictions: int

    @property
    def pinned(self) -> Bools:
        """Whether the interval is narrower than the threshold, shape (n,)."""
        return np.asarray(self.high - self.low < self.threshold)


def intervals_of(published: Published, *, exact: bool = True) -> Intervals:
    """The interval of each count that the table hides, by linear programming.

    Counts in different areas and years that no relation joins are solved in one program: its least sum is the sum of
    the least ones. So there are as many programs as the largest joined part has hidden counts, times two. Where only
    `pinned` is wanted (not `exact`), a count for which the solutions so far are as far apart as the threshold needs no
    program of its own.
    """
    known = relations_of(published)
    n_targets = len(known.known)
    low, high = known.known.copy(), known.known.copy()
    widened = 0
    if n_targets and known.matrix.shape[1]:
        known, widened = _without_contradictions(known)
        part = _part_of(known)
        inside = np.flatnonzero(part >= 0)
        order = inside[np.argsort(part[inside], kind="stable")]
        first = np.flatnonzero(np.diff(part[order], prepend=-1))
        turn = np.arange(len(order)) - np.repeat(first, np.diff(np.append(first, len(order))))
        seen = [low.copy(), high.copy()]
        if not exact:
            everything: Floats = np.asarray(known.targets.sum(axis=0), dtype=float).ravel()
            seen = [known.known + known.targets @ _solve(known, sign * everything) for sign in (1.0, -1.0)]
            seen = [np.minimum(*seen), np.maximum(*seen)]
        for one in range(int(turn.max(initial=-1)) + 1):
            those = order[turn == one]
            if not exact:
                those = those[(seen[1] - seen[0])[those] < known.threshold[those] + 1]
            if not those.size:
                continue
            for sign, ends in ((1.0, low), (-1.0, high)):
                goal = sign * np.asarray(known.targets[those].sum(axis=0)).ravel()
                numbers = known.known + known.targets @ _solve(known, goal)
                ends[those] = numbers[those]
                if not exact:
                    seen = [np.minimum(seen[0], numbers), np.maximum(seen[1], numbers)]
        if not exact:
            low[inside], high[inside] = seen[0][inside], seen[1][inside]
    low, high = np.ceil(np.round(low - _CLOSE, 6)) + 0.0, np.floor(np.round(high + _CLOSE, 6))
    high = np.where(high >= known.most / 100, np.inf, high)
    return Intervals(
        sum_at=known.sum_at,
        area=known.area,
        year=known.year,
        low=low,
        high=high,
        threshold=known.threshold,
        contradictions=widened,
    )


def _part_of(known: Relations) -> Ints:
    """The part in which each target lies; -1 where nothing of it is open."""
    part = np.full(known.targets.shape[0], -1, dtype=np.int64)
    some = np.flatnonzero(np.diff(known.targets.indptr) > 0)
    part[some] = known.part[known.targets.indices[known.targets.indptr[some]]]
    return part


def _solve(known: Relations, goal: Floats) -> Floats:
    """The counts at which the goal is least."""
    result = _program(known, goal)
    if result.status != 0:
        raise MekevalError(
            "The attack on the published numbers has no solution, so that nothing can be said of their safety.",
            found=str(result.message),
            fix="Look for numbers that contradict each other.",
        )
    return np.asarray(result.x, dtype=float)


def _program(known: Relations, goal: Floats) -> OptimizeResult:
    equal = known.low == known.high
    upper, lower = ~equal & np.isfinite(known.high), ~equal & np.isfinite(known.low)
    limits = sparse.vstack([known.matrix[upper], -known.matrix[lower]], format="csr")
    return linprog(
        goal,
        A_ub=limits if limits.shape[0] else None,
        b_ub=np.concatenate([known.high[upper], -known.low[lower]]) if limits.shape[0] else None,
        A_eq=known.matrix[equal] if equal.any() else None,
        b_eq=known.low[equal] if equal.any() else None,
        bounds=(0, known.most),
        method="highs",
    )


def _without_contradictions(known: Relations) -> tuple[Relations, int]:
    """Relations that can hold together: those that contradict each other widened by as little as possible.

    Cities' own totals come from other registers than those of their parts, and are a few persons apart.
    """
    if _program(known, np.zeros(known.matrix.shape[1])).status == 0:
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
    changed = {
        name: getattr(known, name)
        for name in ("matrix", "part", "targets", "known", "sum_at", "area", "year", "threshold", "most")
    }
    return Relations(low=known.low - more, high=known.high + more, **changed), int(wide.sum())
