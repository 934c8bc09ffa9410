"""Intervals, identified sets and breakdown values under one kind of restriction.

In: coefficients with their covariance, and what is assumed of the deviations. Out: an interval for any size of them.
Never: a size whose interval rests on other draws than that of its neighbour.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ...panel import Floats
from .fixed_length import FixedLength, Frontier, fixed_length, frontier
from .moments import (
    Direction,
    FirstStage,
    Vertices,
    accepted_range,
    direction_of,
    extreme_rays,
    least_favourable,
    rejects,
    tested_part,
    vertices_of,
)
from .restrictions import Bias, Monotone, Polyhedron, Restriction, Times, polyhedra

#: Share of alpha that the first stage of a hybrid test uses, as in the source.
FIRST_STAGE = 0.1
#: Half width of the grid of values in standard errors, as in R's HonestDiD.
HALF_GRID = 20.0
_DOUBLINGS, _HALVINGS = 16, 40
_MOST_TESTED = 4_000
_ON_GRID = 1e-9
_PRECISION = 1e-5  # of a breakdown value, relative


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
    rays : array, shape (n_rays, n_rows)
        Multipliers of the tested inequalities that leave no nuisance, not yet scaled.
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
    rays: Floats

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
        rays=extreme_rays(tested.rows @ direction.nuisance),
    )


def interval(given: Problem, size: float) -> Interval:
    """Confidence interval and identified set for deviations of one size."""
    parts = _parts(given, size)
    set_low, set_high = _identified(given, parts)
    if given.method == "FLCI":
        low, high = flci(given, size)
    else:
        first = _first_stage(given, size)
        tested = [_with_critical(given, one, first) for one in _vertices(given, parts)]
        low, high = _by_inversion(given, tested, first)
    return Interval(low=low, high=high, set_low=set_low, set_high=set_high)


def flci(given: Problem, size: float) -> tuple[float, float]:
    """The optimal fixed-length interval."""
    found = _fixed(given, size, given.alpha)
    centre = float(found.weights @ given.estimates)
    return centre - found.half_length, centre + found.half_length


def excludes_zero(given: Problem, size: float) -> bool:
    """Whether the interval, from its lowest to its highest value, leaves zero out; zero itself is tested as well."""
    if given.method == "FLCI":
        low, high = flci(given, size)
        return not low <= 0 <= high
    parts = _parts(given, size)
    first = _first_stage(given, size)
    zero = np.zeros(1)
    tested = _vertices(given, parts)
    if first is None:
        # Where the statistic is not above zero nothing is ever rejected, and no critical value is needed.
        for one in tested:
            inner = accepted_range(one, given.estimates, 0.0)
            if inner[0] <= 0 <= inner[1]:
                return False
    criticised = []
    for one in tested:
        criticised.append(_with_critical(given, one, first))
        if not _rejected(given, criticised[-1], zero, first)[0]:
            return False
    low, high = _by_inversion(given, criticised, first)
    return not low <= 0 <= high


def breakdown(given: Problem, sizes: npt.NDArray[np.float64], start: float) -> float:
    """The size up to which zero is excluded, by bisection; -inf where it is not even at 0, inf where it always is.

    Parameters
    ----------
    sizes : array
        Where intervals were computed: the first of them that includes zero is an upper end.
    start : float
        A size to begin with where none of `sizes` includes zero.
    """
    if not excludes_zero(given, 0.0):
        return -np.inf
    low, high = 0.0, np.inf
    for size in np.unique(sizes[sizes > 0]):
        if not excludes_zero(given, float(size)):
            high = float(size)
            break
        low = float(size)
    step = max(start, low)
    for _ in range(_DOUBLINGS):
        if np.isfinite(high):
            break
        if excludes_zero(given, 2 * step):
            low = step = 2 * step
        else:
            high = 2 * step
    if not np.isfinite(high):
        return np.inf
    for _ in range(_HALVINGS):
        if high - low <= _PRECISION * high:
            break
        middle = (low + high) / 2
        if excludes_zero(given, middle):
            low = middle
        else:
            high = middle
    return low


def _parts(given: Problem, size: float) -> list[Polyhedron]:
    return polyhedra(given.times, given.restriction, size, bias=given.bias, monotone=given.monotone)


def _fixed(given: Problem, size: float, alpha: float) -> FixedLength:
    return fixed_length(given.frontiers[0], size, alpha)


def _vertices(given: Problem, parts: list[Polyhedron]) -> list[Vertices]:
    # With one time after entry R's second stage does not condition on the first; it is conservative, and so are we.
    truncated = len(given.times.post) > 1
    return [
        vertices_of(
            tested_part(part, given.times), given.rays, given.direction, given.covariance, truncated=truncated
        )
        for part in parts
    ]


def _first_stage(given: Problem, size: float) -> FirstStage | None:
    """The fixed-length interval of the first stage with "C-F"; None with "C-LF"."""
    if given.method != "C-F":
        return None
    fixed = _fixed(given, size, FIRST_STAGE * given.alpha)
    return FirstStage(
        weights=fixed.weights,
        half_length=fixed.half_length,
        estimate=float(fixed.weights @ given.estimates),
    )


def _with_critical(given: Problem, vertices: Vertices, first: FirstStage | None) -> Vertices:
    """The vertices with what their first stage needs."""
    if first is not None:
        return vertices
    return least_favourable(vertices, given.draws, FIRST_STAGE * given.alpha)


def _reach(given: Problem, vertices: Vertices, first: FirstStage | None) -> tuple[float, float]:
    """Values that the first stage does not reject."""
    if first is not None:
        return first.estimate - first.half_length, first.estimate + first.half_length
    return accepted_range(vertices, given.estimates, vertices.critical)


def _rejected(
    given: Problem, vertices: Vertices, values: Floats, first: FirstStage | None
) -> npt.NDArray[np.bool_]:
    kappa = FIRST_STAGE * given.alpha
    return rejects(
        vertices,
        given.estimates,
        values,
        size=(given.alpha - kappa) / (1 - kappa),
        first=first,
        covariance=given.covariance,
    )


def _by_inversion(given: Problem, tested: list[Vertices], first: FirstStage | None) -> tuple[float, float]:
    """From the lowest to the highest value on the grid that a test of one of the parts does not reject.

    The grid goes on as far as the first stage reaches. Where that is more than `_MOST_TESTED` values to one side, every
    second, third... value is tested.
    """
    if first is None:
        se = float(np.sqrt(given.weights @ given.covariance @ given.weights))
        start, step = -HALF_GRID * se, 2 * HALF_GRID * se / (given.grid_points - 1)
    else:
        start, step = first.estimate - first.half_length, 2 * first.half_length / (given.grid_points - 1)
    low, high = np.inf, -np.inf
    for one in tested:
        for places in _places(one, given, _reach(given, one, first), start, step):
            values = start + step * places
            kept = values[~_rejected(given, one, values, first)]
            if len(kept):
                low, high = min(low, float(kept[0])), max(high, float(kept[-1]))
    return low, high


def _places(
    vertices: Vertices, given: Problem, reach: tuple[float, float], start: float, step: float
) -> list[Floats]:
    """Places on the grid that are left to test, below and above the values whose statistic is not above zero."""
    if reach[0] > reach[1]:
        return []
    bottom = np.ceil((reach[0] - start) / step - _ON_GRID)
    top = np.floor((reach[1] - start) / step + _ON_GRID)
    inner = accepted_range(vertices, given.estimates, 0.0)
    if inner[0] > inner[1]:
        return [_few(bottom, top)]
    first_inside, last_inside = np.ceil((inner[0] - start) / step), np.floor((inner[1] - start) / step)
    return [_few(bottom, min(top, first_inside)), _few(top, max(bottom, last_inside))[::-1]]


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
        before = ~(part.rows[:, n_pre:] != 0).any(axis=1)
        excess = part.rows[before] @ given.estimates - part.limits[before]
        scale = np.abs(part.rows[before]) @ np.abs(given.estimates)
        if (excess > 1e-9 * (scale + np.abs(part.limits[before]))).any():
            continue
        # No inequality is violated where no combination without nuisance is, however they are scaled.
        bare = vertices_of(
            tested_part(part, given.times),
            given.rays,
            given.direction,
            np.eye(len(given.estimates)),
            truncated=False,
        )
        found = accepted_range(bare, given.estimates, 0.0)
        low, high = min(low, found[0]), max(high, found[1])
    return low, high
