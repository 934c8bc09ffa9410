"""Intervals and identified sets under one kind of restriction.

In: coefficients with their covariance, and what is assumed of the deviations. Out: an interval for any size of them.
Never: a size whose interval rests on other draws than that of its neighbour.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ...errors import DesignError
from ...inference.ordered import quantile_of
from ...panel import Floats
from .coefficients import FIRST_STAGE
from .corners import Corners, Program
from .fixed_length import FixedLength, Frontier, fixed_length, frontier
from .moments import (
    Direction,
    FirstStage,
    Vertices,
    accepted_range,
    direction_of,
    largest_of,
    least_favourable,
    rejects,
    statistics,
    tested_part,
    vertices_of,
)
from .restrictions import Bias, Monotone, Polyhedron, Restriction, Times, polyhedra

#: Half width of the grid of values in standard errors, as in R's HonestDiD.
HALF_GRID = 20.0
_MOST_TESTED = 4_000
_ON_GRID = 1e-9
#: Each so manieth of the draws around the least favourable critical value is solved by a program at a time, and so many
#: of the others: at first, and when that many programs in a row have found no new corner.
_DENSE, _SPARSE, _IDLE = (8, 25), (25, 4), 150
_ROUNDS = 200


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Everything that does not depend on the size of the deviations.

    Attributes
    ----------
    estimates : array, shape (n_coefficients,)
    covariance : array, shape (n_coefficients, n_coefficients)
    times : Times
    l_vec : array, shape (n_post,)
    restriction, bias, monotone : str or None
    alpha : float
    draws : array, shape (n_coefficients, n_draws)
        Of the least favourable distribution, the same for every size.
    grid_points : int
    frontiers : tuple of Frontier
        That of the fixed-length intervals, with "smoothness"; else empty.
    direction : Direction
    corners : Corners
        Multipliers of the tested inequalities that leave no nuisance. Where they are too many to be listed, what
        programs find for one size is kept for the next; an interval does not depend on it.
    """

    estimates: Floats
    covariance: Floats
    times: Times
    l_vec: Floats
    restriction: Restriction
    bias: Bias | None
    monotone: Monotone | None
    alpha: float
    draws: Floats
    grid_points: int
    frontiers: tuple[Frontier, ...]
    direction: Direction
    corners: Corners

    @property
    def weights(self) -> Floats:
        """Of all coefficients in the effect as it was estimated."""
        return np.concatenate([np.zeros(len(self.times.pre)), self.l_vec])

    @property
    def method(self) -> str:
        """ "FLCI", "C-F" or "C-LF", the names of R."""
        if self.restriction != "smoothness":
            return "C-LF"
        return "FLCI" if self.bias is None and self.monotone is None else "C-F"


@dataclass(frozen=True, kw_only=True)
class Interval:
    """Confidence interval and identified set for one size; an empty one goes from inf to -inf."""

    low: float
    high: float
    set_low: float
    set_high: float


def problem(
    estimates: Floats,
    covariance: Floats,
    times: Times,
    l_vec: Floats,
    restriction: Restriction,
    *,
    bias: Bias | None,
    monotone: Monotone | None,
    alpha: float,
    draws: int,
    seed: int,
    grid_points: int,
) -> Problem:
    """Prepare what every size shares."""
    direction = direction_of(times, l_vec, restriction)
    smooth = restriction == "smoothness"
    # What follows from a time after the base is the same in every part and for every size, so the rays are.
    tested = tested_part(polyhedra(times, restriction, 1.0, bias=bias, monotone=monotone)[0], times)
    drawn = np.zeros((len(estimates), 0))
    if not smooth:
        generator = np.random.default_rng(seed)
        values, vectors = np.linalg.eigh(covariance)
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        drawn = root @ generator.standard_normal((draws, len(estimates))).T
    return Problem(
        estimates=estimates,
        covariance=covariance,
        times=times,
        l_vec=l_vec,
        restriction=restriction,
        bias=bias,
        monotone=monotone,
        alpha=alpha,
        draws=drawn,
        grid_points=grid_points,
        frontiers=(frontier(covariance, times, l_vec),) if smooth else (),
        direction=direction,
        corners=Corners(tested.rows @ direction.nuisance),
    )


def interval(given: Problem, size: float) -> Interval:
    """Confidence interval and identified set for deviations of one size."""
    parts = _parts(given, size)
    set_low, set_high = _identified(given, parts)
    if given.method == "FLCI":
        low, high = flci(given, size)
    else:
        first = first_stage(given, size)
        low, high = by_inversion(given, [PartTest(given, one, first) for one in parts])
    return Interval(low=low, high=high, set_low=set_low, set_high=set_high)


def flci(given: Problem, size: float) -> tuple[float, float]:
    """The optimal fixed-length interval."""
    found = _fixed(given, size, given.alpha)
    centre = float(found.weights @ given.estimates)
    return centre - found.half_length, centre + found.half_length


def _parts(given: Problem, size: float) -> list[Polyhedron]:
    return polyhedra(given.times, given.restriction, size, bias=given.bias, monotone=given.monotone)


def part_of(given: Problem, size: float, at: int) -> Polyhedron:
    """One of them."""
    return polyhedra(given.times, given.restriction, size, bias=given.bias, monotone=given.monotone, only=at)[
        0
    ]


def _fixed(given: Problem, size: float, alpha: float) -> FixedLength:
    return fixed_length(given.frontiers[0], size, alpha)


def first_stage(given: Problem, size: float) -> FirstStage | None:
    """The fixed-length interval of the first stage with "C-F"; None with "C-LF"."""
    if given.method != "C-F":
        return None
    fixed = _fixed(given, size, FIRST_STAGE * given.alpha)
    return FirstStage(
        weights=fixed.weights,
        half_length=fixed.half_length,
        estimate=float(fixed.weights @ given.estimates),
    )


class PartTest:
    """The hybrid test of one part of the deviations."""

    def __init__(self, given: Problem, part: Polyhedron, first: FirstStage | None) -> None:
        self.given, self.first = given, first
        self.program = Program(
            polyhedron=tested_part(part, given.times),
            direction=given.direction,
            covariance=given.covariance,
            corners=given.corners,
        )
        self.listed = given.corners.complete
        if not self.listed and not len(given.corners.rays):
            self.program.meet(self.program.left_sides(given.estimates, 0.0), -np.inf)
        self._critical: float | None = None
        self._vertices: Vertices | None = None

    def vertices(self) -> Vertices:
        """Those that are known, without a critical value."""
        rays = self.given.corners.rays
        if self._vertices is None or len(self._vertices.gains) != len(rays):
            self._vertices = vertices_of(
                self.program.polyhedron,
                rays,
                self.given.direction,
                self.given.covariance,
                # With one time after entry R's second stage does not condition on the first; it is conservative, and
                # so are we.
                truncated=len(self.given.times.post) > 1,
            )
        return self._vertices

    @property
    def critical(self) -> float:
        """The least favourable critical value; infinite where a fixed-length interval is the first stage."""
        if self._critical is None:
            if self.first is not None:
                self._critical = np.inf
            elif self.listed:
                self._critical = least_favourable(self.vertices(), self.given.draws, self._kappa)
            else:
                self._critical = self._critical_by_programs()
        return self._critical

    @property
    def _kappa(self) -> float:
        return FIRST_STAGE * self.given.alpha

    def _critical_by_programs(self) -> float:
        """The same quantile; programs look for corners at draws around it until they find no more."""
        draws = self.given.draws
        left = self.program.polyhedron.rows @ draws
        n_around = int(np.ceil(2 * self._kappa * draws.shape[1]))
        largest = largest_of(self.vertices(), draws)
        for turn in range(_ROUNDS):
            every, sample = _SPARSE if self.given.corners.idle > _IDLE else _DENSE
            around = np.argsort(largest)[-n_around:][turn % every :: every]
            others = np.arange(turn * sample, (turn + 1) * sample) % draws.shape[1]
            at = np.unique(np.r_[around, others])
            if not self.program.meet_all(left[:, at].T, largest[at]):
                break
            largest = largest_of(self.vertices(), draws)
        return quantile_of(largest, 1 - self._kappa)

    def without(self, level: float) -> tuple[float, float]:
        """Values of the effect whose statistic is at most `level`."""
        if self.listed:
            return accepted_range(self.vertices(), self.given.estimates, level)
        return self.program.within(self.given.estimates, level * self.program.spread)

    def reach(self) -> tuple[float, float]:
        """Values that the first stage does not reject."""
        if self.first is not None:
            middle, half = self.first.estimate, self.first.half_length
            return middle - half, middle + half
        return self.without(self.critical)

    def rejected(self, values: Floats) -> npt.NDArray[np.bool_]:
        """Whether each value is rejected, shape (n_values,), rising; certain at the ends of those that are not."""
        return self._beyond(values, self.critical)

    def _beyond(self, values: Floats, critical: float) -> npt.NDArray[np.bool_]:
        for _ in range(_ROUNDS):
            vertices = replace(self.vertices(), critical=critical)
            found = rejects(
                vertices,
                self.given.estimates,
                values,
                size=(self.given.alpha - self._kappa) / (1 - self._kappa),
                first=self.first,
                covariance=self.given.covariance,
            )
            if self.listed or self._checked(vertices, values[_deciding(found)]):
                return found
        raise DesignError(
            "The restrictions have too many corners for the test to be computed.",
            where="restriction",
            found=f"{len(self.given.corners.rays):,} vertices of the dual program, and more",
            fix="Give fewer event times after entry, or leave out the sign or shape.",
        )

    def _checked(self, vertices: Vertices, values: Floats) -> bool:
        _, _, low, high = statistics(
            vertices, self.given.estimates, values, first=self.first, covariance=self.given.covariance
        )
        good = [
            self.program.check(vertices, self.given.estimates, float(value), float(least), float(most))
            for value, least, most in zip(values, low, high, strict=True)
        ]
        return all(good)

    def rejects_zero(self) -> bool:
        """Whether zero is rejected."""
        if self.first is None:
            # Where the statistic is not above zero nothing is ever rejected, and no critical value is needed.
            low, high = self.without(0.0)
            if low <= 0 <= high:
                return False
            # A critical value only brings the end of the truncation nearer, and so makes the rest of the tail smaller.
            if self.listed and self._beyond(np.zeros(1), np.inf)[0]:
                return True
        else:
            low, high = self.reach()
            if not low <= 0 <= high:
                return True
        return bool(self.rejected(np.zeros(1))[0])


def _deciding(rejected: npt.NDArray[np.bool_]) -> npt.NDArray[np.intp]:
    """Places that decide where the values that are not rejected end, and a few of those beyond."""
    last = len(rejected) - 1
    kept = np.flatnonzero(~rejected)
    if not len(kept):
        return np.unique(np.linspace(0, last, 9).astype(int))
    least, most = int(kept[0]), int(kept[-1])
    beyond = np.r_[
        np.linspace(0, max(least - 1, 0), 4), np.linspace(min(most + 1, last), last, 4), least, most
    ]
    return np.unique(beyond.astype(int))


def by_inversion(given: Problem, tests: list[PartTest]) -> tuple[float, float]:
    """From the lowest to the highest value on the grid that a test of one of the parts does not reject."""
    low, high = np.inf, -np.inf
    for test in tests:
        values = grid(given, test)
        if len(values):
            kept = values[~test.rejected(values)]
            if len(kept):
                low, high = min(low, float(kept[0])), max(high, float(kept[-1]))
    return low, high


def grid(given: Problem, test: PartTest) -> Floats:
    """The values that a test is asked, rising.

    The grid goes on as far as the first stage reaches. Where that is more than `_MOST_TESTED` values to one side, every
    second, third... value is tested.
    """
    if test.first is None:
        se = float(np.sqrt(given.weights @ given.covariance @ given.weights))
        start, step = -HALF_GRID * se, 2 * HALF_GRID * se / (given.grid_points - 1)
    else:
        start = test.first.estimate - test.first.half_length
        step = 2 * test.first.half_length / (given.grid_points - 1)
    reach = test.reach()
    # Of a first stage without length there is one value.
    if step > 0:
        return np.asarray(start + step * _places(reach, test.without(0.0), start, step))
    return np.array(reach[:1])


def _places(reach: tuple[float, float], inner: tuple[float, float], start: float, step: float) -> Floats:
    """Places on the grid to be tested, rising: below and above the values whose statistic is not above zero."""
    if reach[0] > reach[1]:
        return np.zeros(0)
    bottom = np.ceil((reach[0] - start) / step - _ON_GRID)
    top = np.floor((reach[1] - start) / step + _ON_GRID)
    if inner[0] > inner[1]:
        return np.unique(_few(bottom, top))
    first_inside, last_inside = np.ceil((inner[0] - start) / step), np.floor((inner[1] - start) / step)
    return np.unique(
        np.concatenate([_few(bottom, min(top, first_inside)), _few(top, max(bottom, last_inside))])
    )


def _few(outer: float, inner: float) -> Floats:
    """Whole numbers from one to the other, rising, not too many; the inner one is among them."""
    every = max(1.0, np.ceil(abs(inner - outer) / _MOST_TESTED))
    if outer <= inner:
        return np.asarray(np.arange(inner, outer - 0.5, -every)[::-1])
    return np.asarray(np.arange(inner, outer + 0.5, every)[::-1])


def _identified(given: Problem, parts: list[Polyhedron]) -> tuple[float, float]:
    """The set of effects where the estimates are taken for the truth, and the deviations before entry with them."""
    n_pre = len(given.times.pre)
    low, high = np.inf, -np.inf
    for part in parts:
        tested = tested_part(part, given.times)
        before = ~(part.rows[:, n_pre:] != 0).any(axis=1)
        excess = part.rows[before] @ given.estimates - part.limits[before]
        scale = np.abs(part.rows[before]) @ np.abs(given.estimates)
        if (excess > 1e-9 * (scale + np.abs(part.limits[before]))).any():
            continue
        # No inequality is violated where no combination without nuisance is, however they are scaled.
        bare = np.eye(len(given.estimates))
        if given.corners.complete:
            found = accepted_range(
                vertices_of(tested, given.corners.rays, given.direction, bare, truncated=False),
                given.estimates,
                0.0,
            )
        else:
            program = Program(
                polyhedron=tested, direction=given.direction, covariance=bare, corners=given.corners
            )
            found = program.within(given.estimates, np.zeros(len(tested.rows)))
        low, high = min(low, found[0]), max(high, found[1])
    return low, high
