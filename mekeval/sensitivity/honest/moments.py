"""The test of Andrews, Roth and Pakes of linear moment inequalities with nuisance parameters.

In: normal coefficients, a polyhedron of deviations, a value of the effect. Out: whether the value is rejected. Never: a
linear program solved again for another value, as all of them share the vertices of one dual.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import log_ndtr

from ...errors import DesignError
from ...inference.ordered import quantile_of
from ...panel import Floats
from .restrictions import Polyhedron, Restriction, Times, free_of

#: Vertices up to which the dual is listed, and work up to which they are sought.
MOST_RAYS = 1_000
_MOST_TRIPLES = 100_000_000
_ROUNDING = 1e-9


@dataclass(frozen=True, kw_only=True)
class Direction:
    """The effect that is tested, and how the moments depend on it and on what is not known.

    Attributes
    ----------
    slope : array, shape (n_coefficients,)
        How the deviations fall as the effect rises, the nuisance held.
    nuisance : array, shape (n_coefficients, n_post - 1)
    """

    slope: Floats
    nuisance: Floats


@dataclass(frozen=True, kw_only=True)
class Vertices:
    """The dual of the test statistic, in terms of the coefficients.

    The statistic at the value t is the largest of ``gains @ estimates - offsets - slopes * t``.

    Attributes
    ----------
    gains : array, shape (n_vertices, n_coefficients)
    offsets, slopes : array, shape (n_vertices,)
    covariance : array, shape (n_vertices, n_vertices)
        Of the values of the vertices.
    critical : float
        Least favourable critical value of the first stage; infinite where it is another one.
    truncated : bool
        Whether the second stage conditions on having passed the first.
    """

    gains: Floats
    offsets: Floats
    slopes: Floats
    covariance: Floats
    critical: float
    truncated: bool


@dataclass(frozen=True, kw_only=True)
class FirstStage:
    """A fixed-length interval as the first stage: weights over the coefficients, half its length, its estimate."""

    weights: Floats
    half_length: float
    estimate: float


def direction_of(times: Times, l_vec: Floats, restriction: Restriction) -> Direction:
    """A basis in which what restricts the time after the base is as sparse as can be."""
    back = np.linalg.inv(free_of(times, restriction))
    weights = l_vec @ back
    pivot = int(np.argmax(np.abs(weights)))
    chosen = np.zeros(len(weights))
    chosen[pivot] = 1 / weights[pivot]
    rest = np.delete(np.eye(len(weights)), pivot, axis=1)
    rest[pivot] = -np.delete(weights, pivot) / weights[pivot]
    pad = np.zeros((len(times.pre), 1))
    return Direction(
        slope=np.r_[pad[:, 0], back @ chosen],
        nuisance=np.vstack([np.repeat(pad, rest.shape[1], axis=1), back @ rest]),
    )


def tested_part(polyhedron: Polyhedron, times: Times) -> Polyhedron:
    """The inequalities that the test uses.

    With one time after the base all of them, with more only those that speak of times after it, as in R.
    """
    if len(times.post) == 1:
        return polyhedron
    kept = (polyhedron.rows[:, len(times.pre) :] != 0).any(axis=1)
    return Polyhedron(rows=polyhedron.rows[kept], limits=polyhedron.limits[kept])


def extreme_rays(equations: Floats) -> Floats | None:
    """Extreme rays of {g >= 0, equations' g = 0}, shape (n_rays, n_rows), by the double description method.

    None where they are too many to be listed.

    Parameters
    ----------
    equations : array, shape (n_rows, n_equations)
    """
    n_rows, n_equations = equations.shape
    rays = np.eye(n_rows)
    left = list(range(n_equations))
    while left:
        values = rays @ equations[:, left]
        values[np.abs(values) <= _ROUNDING * np.abs(equations[:, left]).max(axis=0)] = 0.0
        pairs = (values > 0).sum(axis=0) * (values < 0).sum(axis=0)
        at = int(np.argmin(pairs))
        value = values[:, at]
        left.pop(at)
        up, down = np.flatnonzero(value > 0), np.flatnonzero(value < 0)
        support = rays > 0
        new = [rays[value == 0]]
        if len(up) * len(down) * len(rays) > _MOST_TRIPLES:
            return None
        inside = support.astype(np.float32)
        for one in up:
            # Two rays are neighbours where no third one lies within the support of both.
            union = support[one] | support[down]
            within = (inside @ (~union).T.astype(np.float32) == 0).sum(axis=0) == 2
            near = down[within]
            made = value[one] * rays[near] - value[near, None] * rays[one]
            new.append(made / made.max(axis=1, keepdims=True) if len(near) else made)
        rays = np.vstack(new)
        if len(rays) > MOST_RAYS:
            return None
    return rays


def vertices_of(
    polyhedron: Polyhedron,
    rays: Floats,
    direction: Direction,
    covariance: Floats,
    *,
    truncated: bool,
) -> Vertices:
    """Vertices of the dual with multipliers whose standard deviations sum to one."""
    spread = np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", polyhedron.rows, covariance, polyhedron.rows), 0.0))
    total = rays @ spread
    size = np.sqrt(np.abs(covariance).max()) * np.abs(polyhedron.rows).max()
    if not (total > 1e-10 * size).all():
        raise DesignError(
            "A combination of the coefficients that the test needs does not vary, so it cannot be tested.",
            where="covariance",
            fix="Give a covariance of full rank: more units, or fewer event times.",
        )
    multipliers = rays / total[:, None]
    gains = multipliers @ polyhedron.rows
    return Vertices(
        gains=gains,
        offsets=multipliers @ polyhedron.limits,
        slopes=gains @ direction.slope,
        covariance=gains @ covariance @ gains.T,
        critical=np.inf,
        truncated=truncated,
    )


def least_favourable(vertices: Vertices, draws: Floats, kappa: float) -> float:
    """The critical value of the first stage: the statistic's quantile where all moments are zero.

    Parameters
    ----------
    draws : array, shape (n_coefficients, n_draws)
        Normal with mean zero and the covariance of the coefficients.
    kappa : float
        Size of the first stage.
    """
    return quantile_of(largest_of(vertices, draws), 1 - kappa)


def largest_of(vertices: Vertices, draws: Floats) -> Floats:
    """The statistic of each draw where all limits are zero, shape (n_draws,)."""
    largest = np.full(draws.shape[1], -np.inf)
    for start in range(0, len(vertices.gains), 256):
        np.maximum(largest, (vertices.gains[start : start + 256] @ draws).max(axis=0), out=largest)
    return largest


def accepted_range(vertices: Vertices, estimates: Floats, level: float) -> tuple[float, float]:
    """Values whose statistic is at most `level`: an interval, as the statistic is convex; (inf, -inf) where none."""
    left = vertices.gains @ estimates - vertices.offsets - level
    tolerance = _ROUNDING * (1 + np.abs(left).max())
    flat = np.abs(vertices.slopes) <= 1e-12 * np.abs(vertices.slopes).max()
    if (left[flat] > tolerance).any():
        return np.inf, -np.inf
    up, down = (vertices.slopes > 0) & ~flat, (vertices.slopes < 0) & ~flat
    low = np.max(left[up] / vertices.slopes[up], initial=-np.inf)
    high = np.min(left[down] / vertices.slopes[down], initial=np.inf)
    slack = _ROUNDING * max(1e-300, abs(low) if np.isfinite(low) else 0.0)
    if low > high + slack:
        return np.inf, -np.inf
    return float(low), float(max(low, high))


def rejects(
    vertices: Vertices,
    estimates: Floats,
    values: Floats,
    *,
    size: float,
    first: FirstStage | None,
    covariance: Floats,
) -> npt.NDArray[np.bool_]:
    r"""Whether each value of the effect is rejected, shape (n_values,).

    Parameters
    ----------
    size : float
        Of the second stage, given that the first has passed.
    first : FirstStage or None
        A fixed-length interval; None where the least favourable critical value is the first stage.
    """
    found = np.zeros(len(values), dtype=bool)
    for start in range(0, len(values), 512):
        chunk = values[start : start + 512]
        top, deviation, low, high = statistics(vertices, estimates, chunk, first=first, covariance=covariance)
        outside = top > vertices.critical
        if first is not None:
            outside = outside | (np.abs(first.estimate - chunk) > first.half_length)
        still = deviation == 0
        divisor = np.where(still, 1.0, deviation)
        tail = _tail_share(top / divisor, np.minimum(low, top) / divisor, np.maximum(high, top) / divisor)
        found[start : start + 512] = outside | ((top > 0) & (still | (tail < size)))
    return found


def statistics(
    vertices: Vertices,
    estimates: Floats,
    values: Floats,
    *,
    first: FirstStage | None,
    covariance: Floats,
) -> tuple[Floats, Floats, Floats, Floats]:
    r"""The statistic of each value, its standard deviation, and between what the second stage takes it to lie.

    The statistic :math:`\hat\eta` is the largest :math:`v' y` over vertices v. Given the vertex where it is reached and
    the part of y that is independent of it, it is normal, truncated to where that vertex stays the best:
    for another vertex w with the regression coefficient :math:`b_w = w'\Sigma v / v'\Sigma v` that is
    :math:`c \ge (w'y - b_w v'y) / (1 - b_w)` where :math:`b_w < 1` and at most that where :math:`b_w > 1`.

    Returns
    -------
    top, deviation, low, high : array, shape (n_values,)
        A deviation of zero where the vertex does not vary.
    """
    scores = vertices.gains @ estimates - vertices.offsets - values[:, None] * vertices.slopes
    best = np.argmax(scores, axis=1)
    variance = np.diag(vertices.covariance)[best]
    top = scores[np.arange(len(best)), best]
    still = variance <= _ROUNDING**2 * max(np.diag(vertices.covariance).max(), 1e-300)
    divisor = np.where(still, 1.0, variance)
    slope = vertices.covariance[best] / divisor[:, None]
    share = 1 - slope
    same = np.abs(share) <= _ROUNDING
    bound = (scores - slope * top[:, None]) / np.where(same, 1.0, share)
    low = np.where(~same & (share > 0), bound, -np.inf).max(axis=1)
    high = np.where(~same & (share < 0), bound, np.inf).min(axis=1)
    if first is not None:
        gap = first.estimate - values
        with_first = (vertices.gains @ covariance @ first.weights)[best] / divisor
        moving = np.abs(with_first) > 1e-12 * np.sqrt(np.abs(covariance).max() / divisor)
        rate = np.where(moving, with_first, 1.0)
        ends = np.stack([(side * first.half_length - gap) / rate + top for side in (-1.0, 1.0)])
        low = np.where(moving, np.maximum(low, ends.min(axis=0)), low)
        high = np.where(moving, np.minimum(high, ends.max(axis=0)), high)
    elif vertices.truncated:
        high = np.minimum(high, vertices.critical)
    return top, np.where(still, 0.0, np.sqrt(divisor)), low, high


def _tail_share(value: Floats, low: Floats, high: Floats) -> Floats:
    """P(Z > value) of a standard normal Z between `low` and `high`, exact far out in the tails."""
    over, under, all_over = (log_ndtr(-one) for one in (value, high, low))
    above = np.exp(over - all_over) * -np.expm1(np.minimum(under - over, 0.0))
    whole = -np.expm1(np.minimum(under - all_over, 0.0))
    return np.where(whole > 0, above / np.where(whole > 0, whole, 1.0), 1.0)
