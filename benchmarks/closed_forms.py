"""The methods of the calibration in closed form, on many placebo programmes at once.

In: W, the change of each area; N, its people; T, whether it is treated; each of shape (draws, n_areas). Out: one
p-value for each draw. `checked` compares them with the library, which answers one programme at a time.
"""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
from paavo_rates import Statistics, changes
from scipy.special import ndtr, stdtr

from mekeval import DesignError, build_panel, contrast, group_time_att, infer, make_design
from mekeval.estimate import aggregate
from mekeval.inference.cluster_robust import cluster_robust
from mekeval.inference.scaled import scaled_estimate
from mekeval.inference.wild import wild_cluster_bootstrap

Floats = np.ndarray


def scaled(W: Floats, N: Floats, T: Floats) -> tuple[Floats, Floats, Floats]:
    """Estimate, standard error and p-value of mekeval's default for few areas that no rule chose."""
    C, n_rest = ~T, (~T).sum(axis=1)
    logs = np.log(N)
    v = np.ones_like(W)
    for _ in range(2):
        _, residual, leverage = _line(W, logs, v, C)
        squares = np.where(C, residual**2 / np.where(C, 1 - leverage, 1.0), 0.0)
        v = _variance(squares, 1 / N, C)
    (s0, s1, s2, determinant), residual, _ = _line(W, logs, v, C)
    k = T.sum(axis=1)
    estimate = (residual * T).sum(axis=1) / k
    mean_log = (logs * T).sum(axis=1) / k
    first, second = (s2 - mean_log * s1) / determinant, (mean_log * s0 - s1) / determinant
    h = (first[:, None] + second[:, None] * logs) / v
    se = np.sqrt((v * T).sum(axis=1) / k**2 + (h**2 * v * C).sum(axis=1))
    return estimate, se, 2 * stdtr(n_rest - 3, -np.abs(estimate / se))


def _line(W: Floats, logs: Floats, v: Floats, C: Floats) -> tuple[tuple[Floats, ...], Floats, Floats]:
    """Weighted regression of W on (1, log n) over C: moments, residuals of all areas and leverage."""
    w = C / v
    s0, s1, s2 = w.sum(axis=1), (w * logs).sum(axis=1), (w * logs**2).sum(axis=1)
    y0, y1 = (w * W).sum(axis=1), (w * W * logs).sum(axis=1)
    determinant = s0 * s2 - s1**2
    slope = (s0 * y1 - s1 * y0) / determinant
    intercept = (y0 - slope * s1) / s0
    leverage = (s2[:, None] - 2 * logs * s1[:, None] + logs**2 * s0[:, None]) / determinant[:, None] / v
    residual = W - intercept[:, None] - slope[:, None] * logs
    return (s0, s1, s2, determinant), residual, leverage


def _variance(squares: Floats, inverse: Floats, C: Floats) -> Floats:
    """a + b / n by non-negative least squares: both terms, or the one that explains more if the other is negative."""
    n = C.sum(axis=1)
    x = np.where(C, inverse, 0.0)
    sx, sxx, sy, sxy = x.sum(axis=1), (x**2).sum(axis=1), squares.sum(axis=1), (x * squares).sum(axis=1)
    b = (n * sxy - sx * sy) / (n * sxx - sx**2)
    a = (sy - b * sx) / n
    only_a, only_b = sy**2 / n, sxy**2 / sxx  # what each alone explains
    flat = only_a >= only_b
    inside = (a >= 0) & (b >= 0)
    a, b = (
        np.where(inside, a, np.where(flat, sy / n, 0.0)),
        np.where(inside, b, np.where(flat, 0.0, sxy / sxx)),
    )
    return a[:, None] + b[:, None] * inverse


def difference(W: Floats, T: Floats) -> tuple[Floats, Floats]:
    """The plain difference of mean changes, and the residuals of both groups."""
    k = T.sum(axis=1, keepdims=True)
    treated = (W * T).sum(axis=1, keepdims=True) / k
    rest = (W * ~T).sum(axis=1, keepdims=True) / (W.shape[1] - k)
    return (treated - rest)[:, 0], W - np.where(T, treated, rest)


def cluster_p(W: Floats, T: Floats, n_periods: int) -> Floats:
    """CR1 as fixest prints it: two-way fixed effects, clustered by area, t(G - 1).

    Over a balanced block the score of an area is its centred treatment times the residual of its change.
    """
    effect, residual = difference(W, T)
    n = W.shape[1]
    centred = T - T.mean(axis=1, keepdims=True)
    rows, used = n * n_periods, 1 + n_periods
    factor = n / (n - 1) * (rows - 1) / (rows - used)
    variance = factor * (centred**2 * residual**2).sum(axis=1) / (centred**2).sum(axis=1) ** 2
    return 2 * stdtr(n - 1, -np.abs(effect) / np.sqrt(variance))


def influence_p(W: Floats, T: Floats) -> Floats:
    """Influence functions of the group-time estimator, normal limit."""
    effect, residual = difference(W, T)
    k = T.sum(axis=1, keepdims=True)
    psi = residual * np.where(T, 1 / k, 1 / (W.shape[1] - k))
    return 2 * ndtr(-np.abs(effect) / np.sqrt((psi**2).sum(axis=1)))


def permutation_p(W: Floats, T: Floats, sets: Floats) -> Floats:
    """Share of treated sets, the real one counted, whose difference is at least as large; sets of one size."""
    k, n = int(T[0].sum()), W.shape[1]
    moved = (W @ sets.T) * (1 / k + 1 / (n - k)) - W.sum(axis=1, keepdims=True) / (n - k)
    effect, _ = difference(W, T)
    return (1 + np.sum(np.abs(moved) >= np.abs(effect)[:, None] - 1e-12, axis=1)) / (1 + len(sets))


def wild_p(W: Floats, T: Floats, signs: Floats) -> Floats:
    """Restricted wild cluster bootstrap of the same regression, Rademacher signs of shape (draws, n_areas)."""
    centred = T - T.mean(axis=1, keepdims=True)
    a = centred / (centred**2).sum(axis=1, keepdims=True)
    effect, residual = difference(W, T)
    t = effect / np.sqrt((a**2 * residual**2).sum(axis=1))
    null = W - W.mean(axis=1, keepdims=True)
    b = (a * null) @ signs.T
    mean = null @ signs.T / W.shape[1]
    # sum of a^2 (v r - mean - b c)^2, multiplied out; the square of a sign is 1
    squares = (
        (a**2 * null**2).sum(axis=1, keepdims=True)
        - 2 * mean * ((a**2 * null) @ signs.T)
        - 2 * b * ((a**2 * centred * null) @ signs.T)
        + mean**2 * (a**2).sum(axis=1, keepdims=True)
        + 2 * mean * b * (a**2 * centred).sum(axis=1, keepdims=True)
        + b**2 * (a**2 * centred**2).sum(axis=1, keepdims=True)
    )
    drawn = b / np.sqrt(np.maximum(squares, 1e-300))
    return (1 + np.sum(np.abs(drawn) >= np.abs(t)[:, None] - 1e-9, axis=1)) / (1 + len(signs))


def methods(
    W: Floats, N: Floats, T: Floats, *, n_periods: int, rng: np.random.Generator, draws: int
) -> dict[str, Floats]:
    """p-value of every method that asks the city alone."""
    n, k = W.shape[1], int(T[0].sum())
    sets = (np.argsort(np.argsort(rng.random((draws, n)), axis=1), axis=1) < k).astype(float)
    signs = rng.choice([-1.0, 1.0], size=(draws, n))
    return {
        "scaled": scaled(W, N, T)[2],
        "cluster-robust": cluster_p(W, T, n_periods),
        "influence function": influence_p(W, T),
        "permutation": permutation_p(W, T, sets),
        "wild bootstrap": wild_p(W, T, signs),
    }


def checked(data: Statistics, seed: int) -> float:
    """Largest difference of the closed forms here from the library, on one drawn programme of two areas."""
    rng = np.random.default_rng(seed)
    units = data.panel.units[:40]
    treated = [units[at] for at in rng.choice(40, 2, replace=False)]
    pre, post = data.years["low_income"]
    rows = [
        (unit, year, data.panel.values["low_income"][at, data.panel.periods.index(year)])
        for at, unit in enumerate(units)
        for year in (*pre, *post)
    ]
    panel = build_panel(pd.DataFrame(rows, columns=["area", "year", "rate"]), outcome=["rate"])
    design = make_design(units, [(post[0], post[-1], treated)])
    effects = group_time_att(panel, design, outcome="rate")
    simple = contrast(effects, aggregate(effects, by="simple").weights[0], label="check")
    W = changes(data, "low_income")[0][None, :40]
    N = data.panel.values["population"][None, :40, data.panel.periods.index(2014)]
    T = np.isin(units, treated)[None, :]
    people = dict(zip(units, N[0], strict=True))
    library = scaled_estimate(simple, people)
    ours = scaled(W, N, T)
    signs = rng.choice([-1.0, 1.0], size=(2999, 40))
    wild = wild_cluster_bootstrap(panel, design, outcome="rate", draws=99_999, seed=seed).p_value
    if abs(wild - wild_p(W, T, signs)[0]) > 0.04:
        raise DesignError("The wild bootstrap of this benchmark differs from the library's.")
    real = np.flatnonzero(T[0])
    others = [pair for pair in itertools.combinations(range(40), 2) if set(pair) != set(real)]
    sets = np.zeros((len(others), 40))
    np.put_along_axis(sets, np.array(others), 1.0, axis=1)
    differences = [
        permutation_p(W, T, sets)[0] - infer(simple, method="permutation").p_value,
        ours[0][0] - library.estimate,
        ours[1][0] - library.se,
        cluster_p(W, T, 5)[0] - cluster_robust(panel, design, outcome="rate", kind="cr1").p_value,
        influence_p(W, T)[0] - infer(simple, method="influence").p_value,
    ]
    return max(map(abs, differences))
