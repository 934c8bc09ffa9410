"""Optimal fixed-length intervals under a bound on how much the trend bends.

In: a covariance, event times, the effect wanted. Out: weights and half lengths for any bound. Never: a grid where the
best weights can be followed exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import ndtr, ndtri

from ...panel import Floats
from .restrictions import Times, knot_widths

_STEPS = 60


@dataclass(frozen=True, kw_only=True)
class Frontier:
    """Estimators with the smallest variance for each largest bias, from the least biased to the least noisy.

    Attributes
    ----------
    weights : array, shape (n_corners, n_coefficients)
        At the corners of the path; between two of them the best weights lie on a straight line.
    bias : array, shape (n_corners,)
        Largest bias for a bound of 1 on the bend per unit of time.
    covariance : array, shape (n_coefficients, n_coefficients)
    """

    weights: Floats
    bias: Floats
    covariance: Floats


@dataclass(frozen=True, kw_only=True)
class FixedLength:
    """The shortest interval for one bound.

    Attributes
    ----------
    weights : array, shape (n_coefficients,)
    half_length, se : float
    """

    weights: Floats
    half_length: float
    se: float


def frontier(covariance: Floats, times: Times, l_vec: Floats) -> Frontier:
    r"""Follow the best weights of the times before the base as bias is traded for noise.

    With weights :math:`v`, zero in sum for a linear trend, the bias of :math:`v'\hat\beta` is
    :math:`\sum_j q_j C_j`, where :math:`q_j` is the change of slope at time j and
    :math:`C_j = \sum_{t<j} v_t (j-t)` before the base, :math:`\sum_{t>j} l_t (t-j)` from it on. Under
    :math:`|q_j| \le M w_j` it is at most :math:`M \sum_j w_j |C_j|`. The part from the base on is fixed by the effect
    that is wanted; in terms of the others the problem is a lasso, whose path has corners only.
    """
    n_pre = len(times.pre)
    knots, widths = times.all[1:-1], knot_widths(times)
    after = np.maximum(times.post - knots[n_pre - 1 :, None], 0.0) @ l_vec
    fixed = float(np.sum(widths[n_pre - 1 :] * np.abs(after)))
    # What the weights before must undo: C at the base itself.
    target = float(l_vec @ (times.post - times.base))
    # C is piecewise linear and zero up to the first time; a weight is its change of slope.
    ends = np.r_[times.pre, times.base]
    slopes = np.diff(np.eye(n_pre + 1), axis=0) / np.diff(ends)[:, None]
    kinks = np.vstack([slopes[0], np.diff(slopes, axis=0)])[:, 1:]
    spread = kinks[:, :-1]
    start = np.r_[kinks[:, -1] * target, l_vec]
    free = np.vstack([spread, np.zeros((len(l_vec), n_pre - 1))])
    penalty = widths[: n_pre - 1]
    path = lasso_path(free.T @ covariance @ free, free.T @ covariance @ start, penalty)
    return Frontier(
        weights=start + path @ free.T,
        bias=fixed + np.abs(path) @ penalty,
        covariance=covariance,
    )


def lasso_path(quadratic: Floats, linear: Floats, penalty: Floats) -> Floats:
    """Corners of the path of min x'Qx/2 + q'x + r p'|x| as r falls from where x is zero to 0, shape (n_corners, n).

    Parameters
    ----------
    quadratic : array, shape (n, n)
        Positive semi-definite.
    linear, penalty : array, shape (n,)
        Penalties above zero.
    """
    n = len(linear)
    # In units of the penalties all of them are one.
    q, c = quadratic / np.outer(penalty, penalty), linear / penalty
    x, corners = np.zeros(n), [np.zeros(n)]
    if n == 0 or not np.abs(c).max() > 0:
        return np.zeros((1, n))
    rate = float(np.abs(c).max())
    active = [int(np.argmax(np.abs(c)))]
    signs = {active[0]: -float(np.sign(c[active[0]]))}
    for _ in range(50 * (n + 1)):
        sign = np.array([signs[one] for one in active])
        inner = q[np.ix_(active, active)]
        # x moves by `move` for each unit that the rate falls.
        move = np.linalg.lstsq(inner, sign, rcond=None)[0]
        gradient = c + q @ x
        drift = q[:, active] @ move
        best, event, at = rate, "end", -1
        for one in range(n):
            if one in signs:
                continue
            for side in (1.0, -1.0):
                # gradient + fall * drift = side * (rate - fall)
                below = drift[one] + side
                fall = (side * rate - gradient[one]) / below if abs(below) > 1e-14 else np.inf
                if 1e-12 * rate < fall < best:
                    best, event, at = fall, "enter", one
        for place, one in enumerate(active):
            fall = -x[one] / move[place] if move[place] * sign[place] < 0 else np.inf
            if 1e-12 * rate < fall < best:
                best, event, at = fall, "leave", one
        x = x.copy()
        x[active] += best * move
        rate -= best
        if event == "leave":
            x[at] = 0.0
        corners.append(x / penalty)
        if event == "end":
            break
        if event == "enter":
            slope = (c + q @ x)[at]
            active.append(at)
            signs[at] = -float(np.sign(slope))
        else:
            active.remove(at)
            del signs[at]
            if not active:
                break
    return np.array(corners)


def folded_quantile(mean: Floats, alpha: float) -> Floats:
    """The 1 - alpha quantile of abs(Z + mean) for a standard normal Z, any shape, by Newton's method."""
    mean = np.abs(mean)
    value = mean + ndtri(1 - alpha / 2)
    for _ in range(_STEPS):
        miss = ndtr(value - mean) - ndtr(-value - mean) - (1 - alpha)
        density = (np.exp(-0.5 * (value - mean) ** 2) + np.exp(-0.5 * (value + mean) ** 2)) / np.sqrt(
            2 * np.pi
        )
        step = miss / density
        value = value - step
        if np.all(np.abs(step) <= 1e-13 * (1 + value)):
            break
    return np.asarray(value)


def fixed_length(found: Frontier, size: float, alpha: float) -> FixedLength:
    """The shortest interval for the bound `size`: the best point of the frontier."""

    def weights_at(place: float) -> Floats:
        before = min(int(place), len(found.weights) - 2)
        share = place - before
        return np.asarray((1 - share) * found.weights[before] + share * found.weights[before + 1])

    def bias_at(place: float) -> float:
        return float(np.interp(place, np.arange(len(found.bias)), found.bias))

    def half_length(place: float) -> float:
        weights = weights_at(place) if len(found.weights) > 1 else found.weights[0]
        se, bias = _deviation(found, weights), size * bias_at(place)
        return se * float(folded_quantile(np.array(bias / se), alpha)) if se > 0 else bias

    last = len(found.weights) - 1
    place = 0.0
    if last:
        at_corners = [half_length(float(corner)) for corner in range(last + 1)]
        corner = int(np.argmin(at_corners))
        place, least = float(corner), at_corners[corner]
        for start in {max(corner - 1, 0), min(corner, last - 1)}:
            inner = minimize_scalar(
                half_length, bounds=(start, start + 1), method="bounded", options={"xatol": 1e-9}
            )
            if inner.fun < least:
                place, least = float(inner.x), float(inner.fun)
    weights = weights_at(place) if last else found.weights[0]
    return FixedLength(
        weights=weights,
        half_length=half_length(place),
        se=_deviation(found, weights),
    )


def _deviation(found: Frontier, weights: Floats) -> float:
    """Standard error of a weighted sum; zero where it is no more than rounding."""
    variance = float(weights @ found.covariance @ weights)
    noise = 1e-14 * float(np.abs(weights) @ np.abs(found.covariance) @ np.abs(weights))
    return float(np.sqrt(variance)) if variance > noise else 0.0
