"""Corners of the dual program, all of them where they are few, else those that decide.

In: the inequalities of a test. Out: extreme rays. Never: an interval given up because a list would have been long.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linprog

from ...errors import DesignError
from ...panel import Floats
from .moments import Direction, Vertices, extreme_rays
from .restrictions import Polyhedron

_ZERO, _GAP = 1e-9, 1e-7
#: Beyond so many standard deviations a normal variable is taken not to go.
_FAR = 40.0


class Corners:
    """Extreme rays of the multipliers that leave no nuisance; they are the same for every size and part.

    Attributes
    ----------
    equations : array, shape (n_rows, n_nuisance)
    complete : bool
        Whether all of them are listed; else programs add those that they meet.
    rays : array, shape (n_rays, n_rows)
    idle : int
        Draws in a row at which programs have found no new one.
    """

    def __init__(self, equations: Floats) -> None:
        found = extreme_rays(equations)
        self.equations = equations
        self.complete = found is not None
        self.rays = np.zeros((0, len(equations))) if found is None else found
        self.idle = 0
        self._met: set[bytes] = set()

    def add(self, ray: Floats) -> bool:
        """Keep a ray; whether it is a new one. An extreme ray is the only one with its support."""
        support = ray > _ZERO * ray.max()
        key = np.packbits(support).tobytes()
        if key in self._met:
            return False
        self._met.add(key)
        exact = np.where(support, ray, 0.0)
        # The multipliers anew from the equations, as a program solves them to its own tolerance only.
        _, values, right = np.linalg.svd(self.equations[support].T)
        rank = int(np.sum(values > _ZERO * max(1.0, values.max(initial=0.0))))
        if rank == int(support.sum()) - 1:
            line = right[-1] * np.sign(right[-1].sum())
            if (line > 0).all():
                exact[support] = line
        self.rays = np.vstack([self.rays, exact / exact.max()])
        return True


@dataclass(frozen=True, kw_only=True)
class Program:
    """The linear programs of one part of the deviations.

    Attributes
    ----------
    polyhedron : Polyhedron
        The inequalities that are tested.
    direction : Direction
    covariance : array, shape (n_coefficients, n_coefficients)
    corners : Corners
    """

    polyhedron: Polyhedron
    direction: Direction
    covariance: Floats
    corners: Corners

    @property
    def spread(self) -> Floats:
        """Standard deviations of the inequalities, shape (n_rows,)."""
        rows = self.polyhedron.rows
        found = np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", rows, self.covariance, rows), 0.0))
        return np.asarray(np.maximum(found, 1e-12 * found.max()))

    def left_sides(self, estimates: Floats, value: float) -> Floats:
        """By how much each inequality fails at a value of the effect, no nuisance taken off, shape (n_rows,)."""
        rows = self.polyhedron.rows
        return np.asarray(rows @ (estimates - value * self.direction.slope) - self.polyhedron.limits)

    def meet(self, left: Floats, at_least: float) -> bool:
        """Add the best corner for these left sides where it beats `at_least`; whether it was a new one."""
        spread = self.spread
        equations = self.corners.equations / spread[:, None]
        solved = linprog(
            -left / spread,
            A_eq=np.vstack([np.ones(len(left)), equations.T / np.abs(equations).max(initial=1e-300)]),
            b_eq=np.r_[1.0, np.zeros(equations.shape[1])],
            bounds=(0, None),
            method="highs-ds",
        )
        if solved.x is None or solved.fun is None:
            raise DesignError(
                "A linear program of the test could not be solved.",
                where="covariance",
                found=str(solved.message),
                fix="Give fewer event times after entry, or leave out the sign or shape.",
            )
        if -solved.fun <= at_least + _GAP * (1 + abs(at_least)):
            return False
        return self.corners.add(solved.x / spread)

    def meet_all(self, lefts: Floats, at_least: Floats) -> bool:
        """The same for several left sides, shape (n, n_rows); whether any of them brought a new corner."""
        new = sum(self.meet(left, float(least)) for left, least in zip(lefts, at_least, strict=True))
        self.corners.idle = 0 if new else self.corners.idle + len(lefts)
        return new > 0

    def within(self, estimates: Floats, allowed: Floats) -> tuple[float, float]:
        """Values of the effect for which some nuisance leaves no inequality failing by more; (inf, -inf) if none.

        Parameters
        ----------
        allowed : array, shape (n_rows,)
        """
        spread = self.spread
        moved = self.polyhedron.rows @ np.column_stack([self.direction.slope, self.direction.nuisance])
        size = np.abs(moved / spread[:, None]).max(axis=0)
        ends = []
        for sign in (1.0, -1.0):
            solved = linprog(
                sign * np.eye(moved.shape[1])[0],
                A_ub=-moved / spread[:, None] / size,
                b_ub=(allowed - self.left_sides(estimates, 0.0)) / spread,
                bounds=(None, None),
                method="highs",
            )
            if solved.status in (2, 4):
                return np.inf, -np.inf
            ends.append(-sign * np.inf if solved.fun is None else float(sign * solved.fun / size[0]))
        return ends[0], ends[1]

    def check(self, vertices: Vertices, estimates: Floats, value: float, low: float, high: float) -> bool:
        """Whether a program finds no corner that changes the test of a value; those that do are added.

        Parameters
        ----------
        low, high : float
            Between which the second stage takes the statistic to lie.
        """
        left = self.left_sides(estimates, value)
        scores = vertices.gains @ estimates - vertices.offsets - value * vertices.slopes
        best = int(np.argmax(scores))
        if self.meet(left, float(scores[best])):
            return False
        deviation = float(np.sqrt(max(vertices.covariance[best, best], 0.0)))
        if deviation == 0.0:
            return True
        along = self.polyhedron.rows @ self.covariance @ vertices.gains[best] / deviation**2
        good = True
        for end in (max(low, scores[best] - _FAR * deviation), min(high, scores[best] + _FAR * deviation)):
            good = not self.meet(left + along * (end - scores[best]), float(end)) and good
        return good
