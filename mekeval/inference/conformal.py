"""Conformal tests of synthetic comparisons: the counterfactual is fitted under the null, and time is permuted.

In: a panel and a design with one path of treated units. Out: `Conformal`, with a test of no effect in any year, an
interval of a constant effect, and one of each year. Never: weights from the years before entry alone, which make the
residuals before and after different by construction, or a p-value that so few years cannot give.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from ..design import Design
from ..display import Shown
from ..errors import DesignError
from ..estimate.simplex import simplex_weights
from ..estimate.synthetic_weights import Setting, check_word, make_setting, windows
from ..panel import Floats, Panel
from .result import Inference, refuse_settings, shown

Proxy = Literal[
    "synthetic_control", "demeaned_synthetic_control", "constrained_lasso", "difference_in_differences"
]
Permutations = Literal["moving_block", "iid"]
PROXIES: tuple[Proxy, ...] = (
    "synthetic_control",
    "demeaned_synthetic_control",
    "constrained_lasso",
    "difference_in_differences",
)
PERMUTATIONS: tuple[Permutations, ...] = ("moving_block", "iid")
_TIE = 1e-7  # weights are found to within this, so statistics nearer than this are alike
_STEPS = 0.02 * 1.5 ** np.arange(28)
_HALVINGS = 34


@dataclass(frozen=True, kw_only=True, repr=False)
class Conformal(Shown):
    """A conformal test of one synthetic comparison.

    Attributes
    ----------
    proxy, permutations : str
    treated, comparison : tuple of str
        The units whose mean is compared, and those it is compared with.
    p_value : float
        Of no effect in any year in the programme: the share of permutations in which the absolute residuals of the
        last `n_on` places sum to at least as much.
    average : Inference
        Of an effect that is the same in every year in the programme, in the outcome's unit, by the absolute sum of
        the residuals. Its estimate is the effect under which they sum to zero, which is never rejected; the mean of
        `periods` is the effect that `synthetic_control` and its like report, fitted to the years before alone.
    periods : pandas.DataFrame
        One row for each year in the programme: `period`, `att`, `low`, `high`, `p_value`, and `note`, which says why
        limits are missing.
    n_before, n_on : int
        Years that were used. Years of partial exposure and years after leaving are not.
    """

    proxy: Proxy
    permutations: Permutations
    treated: tuple[str, ...]
    comparison: tuple[str, ...]
    p_value: float
    average: Inference
    periods: pd.DataFrame
    n_before: int
    n_on: int


def conformal(
    panel: Panel,
    design: Design,
    *,
    outcome: str,
    unit: str | None = None,
    proxy: Proxy = "synthetic_control",
    permutations: Permutations = "moving_block",
    draws: int = 9_999,
    alpha: float = 0.05,
    seed: int = 0,
) -> Conformal:
    r"""Test a synthetic comparison by permuting the years of its residuals.

    Under the null of the effects :math:`\theta_t` the outcomes without treatment are known,
    :math:`Y_{1t} - \theta_t`. The proxy :math:`\hat P_t` is fitted to them over *all* years, so that residuals
    :math:`\hat u_t = Y_{1t} - \theta_t - \hat P_t` before and after entry are exchangeable, and with :math:`\Pi` the
    permutations

    .. math::
        \hat p = \frac{1}{|\Pi|} \#\{\pi \in \Pi : S(\hat u_\pi) \ge S(\hat u)\}, \qquad
        S(\hat u) = {\textstyle\sum_{t\ on}} |\hat u_t| \ \text{ or }\ \bigl|\sum_{t\ on} \hat u_t\bigr| .

    The first statistic is that of no effect in any year, the second that of an effect that is the same in every
    year; its interval, and that of each year by itself (with the years before entry), hold all effects that are not
    rejected. The proxies are

    - "synthetic_control": weights :math:`w \ge 0`, :math:`\sum w = 1`, by least squares;
    - "demeaned_synthetic_control": the same beside a constant;
    - "constrained_lasso": a constant and weights with :math:`\sum |w| \le 1`;
    - "difference_in_differences": a constant and equal weights.

    Parameters
    ----------
    panel : Panel
    design : Design
    outcome : str
    unit : str, optional
        One treated unit by itself; by default the mean of all, who must share one path.
    proxy : {"synthetic_control", "demeaned_synthetic_control", "constrained_lasso", "difference_in_differences"}
    permutations : {"moving_block", "iid"}
        "moving_block": the n_periods shifts of the years around a circle, which hold where errors of one year hang
        together with those of the next. "iid": all sets of `n_on` years where they are no more than `draws`, else
        so many random ones and the real one; for errors that do not.
    draws : int
    alpha : float
    seed : int

    Returns
    -------
    Conformal
        In its `average` `n_sets` are the permutations, the real order among them.

    Raises
    ------
    DesignError
        The years are too few: even the smallest p-value is above alpha. Several paths and no unit named. No complete
        unit on one side, fewer than two years before entry. An outcome that does not vary; a word that is unknown;
        alpha, draws or seed out of range.
    DataError
        The outcome is not in the panel or not finite.

    Notes
    -----
    It differs from `synthetic_placebos` in that time is permuted, not units: one treated unit is enough, but many years
    are needed, 20 for moving blocks at 5 %. The interval of one year needs 19 years before entry; where there are
    fewer its limits are missing, and the note says so.

    Where the comparison units outnumber the years and the treated lie among them, a synthetic control fits every year
    under every null near the estimate: residuals are zero, p-values one and intervals wide. That is the honest answer
    of this proxy to short panels; the others ask for less. Weighted base years, as synthetic difference-in-differences
    has, tell before from after and so cannot be used.

    References
    ----------
    Chernozhukov, V., Wuethrich, K. and Zhu, Y. (2021). An exact and robust conformal inference method for
    counterfactual and synthetic controls. Journal of the American Statistical Association 116, 1849-1864; the
    authors' R package scinference.

    Examples
    --------
    >>> import pandas as pd
    >>> from mekeval import build_panel, make_design
    >>> frame = pd.DataFrame({"u": ["a"] * 20 + ["b"] * 20, "t": [*range(1, 21)] * 2})
    >>> frame["y"] = [0.0, 1] * 9 + [0.0, 6] + [0.0] * 20  # twenty years, the last one treated
    >>> panel = build_panel(frame, unit="u", period="t", outcome=["y"])
    >>> design = make_design("ab", [(20, 20, ["a"])])
    >>> found = conformal(panel, design, outcome="y", proxy="difference_in_differences")
    >>> found.p_value, round(found.average.estimate, 6)  # the largest of twenty residuals; 6 - 9 / 19
    (0.05, 5.526316)
    """
    refuse_settings(alpha=alpha, draws=draws, seed=seed)
    check_word("proxy", proxy, PROXIES)
    check_word("permutations", permutations, PERMUTATIONS)
    setting = make_setting(panel, design, outcome=outcome, unit=unit, covariates=(), pooled=True)
    target, rest, n_before, periods = _series(setting)
    n_on = len(target) - n_before
    twins = 2 if proxy != "synthetic_control" and n_before == n_on else 1  # residuals that sum to zero
    chosen, exact = _sets(len(target), n_on, permutations, draws, seed)
    smallest = twins / len(chosen)
    if smallest > alpha:
        raise DesignError(
            "The years are too few for a conformal test: even the smallest p-value is above alpha.",
            where=outcome,
            found=f"{n_before} years before entry and {n_on} in the programme, smallest p-value {smallest:.3g}",
            expected=f"at most {alpha:g}",
            fix="Use permutation of areas or the rule placebo"
            + (
                "; or permutations='iid', if errors of one year do not hang together with those of the next."
                if permutations == "moving_block"
                else "."
            ),
        )
    scale = math.sqrt(np.mean(np.var(target[:, None] - rest, axis=0)))
    if scale <= 1e-12 * float(np.abs(target).max(initial=0) + np.abs(rest).max()):
        raise DesignError("The treated and their comparison do not differ in any year.", where=outcome)
    tie = _TIE * scale
    att = target[n_before:] - _before_alone(target, rest, n_before, proxy)

    def of_average(effects: Floats) -> Floats:
        moved = np.repeat(target[None], len(effects), axis=0)
        moved[:, n_before:] -= effects[:, None]
        sums = np.abs(_residuals(moved, rest[None].repeat(len(effects), axis=0), proxy) @ chosen.T)
        return np.asarray(np.mean(sums >= sums[:, :1] - tie, axis=1))

    def of_period(effects: Floats) -> Floats:
        # problem k asks for period k modulo n_on, beside the years before entry
        at = n_before + np.arange(len(effects)) % n_on
        before = np.repeat(target[None, :n_before], len(effects), axis=0)
        moved = np.column_stack([before, target[at] - effects])
        past = np.repeat(rest[None, :n_before], len(effects), axis=0)
        sizes = np.abs(_residuals(moved, np.concatenate([past, rest[at][:, None]], axis=1), proxy))
        return np.asarray(np.mean(sizes >= sizes[:, -1:] - tie, axis=1))

    none = _residuals(target[None], rest[None], proxy)[0]
    sums = np.abs(none) @ chosen.T
    centre = _centre(target, rest, n_before, proxy, float(att.mean()), scale)
    low, high = _limits(of_average, np.array([centre]), scale, alpha)
    p_average = float(of_average(np.zeros(1))[0])
    signed = np.sort(none @ chosen.T) / n_on
    average = Inference(
        label=f"{outcome}, {unit or setting.paths[setting.fits[0][0]].name}",
        estimate=centre,
        p_value=p_average,
        low=_finite(low[0]),
        high=_finite(high[0]),
        alpha=alpha,
        method="conformal",
        exact=exact,
        because=f"a conformal test, asked for by name: {len(chosen)} permutations of {len(target)} years",
        warnings=(),
        se=None,
        df=None,
        n_treated=len(setting.fits[0][1]),
        n_comparison=len(setting.comparison),
        n_sets=len(chosen),
        smallest_p=smallest,
        minimum_detectable_effect=None,
        critical=None,
        reference=shown(signed),
        noise=shown(signed),
    )
    return Conformal(
        proxy=proxy,
        permutations=permutations,
        treated=tuple(setting.block.units[row] for row in setting.fits[0][1]),
        comparison=tuple(setting.block.units[row] for row in setting.comparison),
        p_value=float(np.mean(sums >= sums[0] - tie)),
        average=average,
        periods=_by_period(of_period, periods[n_before:], att, n_before, scale, alpha),
        n_before=n_before,
        n_on=n_on,
    )


def _series(setting: Setting) -> tuple[Floats, Floats, int, tuple[int, ...]]:
    """Mean of the treated, shape (T,), the comparison, (T, n_comparison), and the T years, those before entry first."""
    if len(setting.fits) > 1:
        raise DesignError(
            "Several paths have no single counterfactual.",
            where=setting.block.outcome,
            found="; ".join(setting.paths[index].name for index, _ in setting.fits),
            fix="Name one treated unit, or test a design with one path.",
        )
    index, rows = setting.fits[0]
    before, inside = windows(setting, index)
    columns = np.concatenate([np.flatnonzero(before), np.flatnonzero(inside)])
    values = setting.block.values[:, columns]
    years = tuple(setting.block.periods[column] for column in columns)
    return values[rows].mean(axis=0), values[setting.comparison].T, int(before.sum()), years


def _residuals(targets: Floats, rests: Floats, proxy: Proxy) -> Floats:
    """Residuals of each problem's own fit, shape (n_problems, T), from (n_problems, T) and (n_problems, T, n)."""
    left, _ = _fit(targets, rests, proxy)
    return left


def _fit(targets: Floats, rests: Floats, proxy: Proxy) -> tuple[Floats, Callable[[Floats], Floats]]:
    """Residuals, and what the proxy says of other years, given the comparison there, (n_problems, m, n)."""
    constant = proxy != "synthetic_control"
    if proxy == "difference_in_differences":
        weights = np.full((len(targets), rests.shape[2]), 1 / rests.shape[2])
    elif proxy == "constrained_lasso":
        # weights of either sign with a sum of sizes up to one: the simplex over both signs of a column and a zero
        both = np.concatenate([rests, -rests, np.zeros_like(rests[:, :, :1])], axis=2)
        solved = simplex_weights(both, targets, intercept=True).weights
        n = rests.shape[2]
        weights = solved[:, :n] - solved[:, n : 2 * n]
    else:
        weights = simplex_weights(rests, targets, intercept=constant).weights
    left = targets - (rests @ weights[:, :, None])[:, :, 0]
    level = left.mean(axis=1, keepdims=True) if constant else np.zeros((len(left), 1))
    return left - level, lambda other: np.asarray((other @ weights[:, :, None])[:, :, 0] + level)


def _before_alone(target: Floats, rest: Floats, n_before: int, proxy: Proxy) -> Floats:
    """The counterfactual of the years in the programme, fitted to the years before entry."""
    _, elsewhere = _fit(target[None, :n_before], rest[None, :n_before], proxy)
    return np.asarray(elsewhere(rest[None, n_before:])[0])


def _sets(
    n_periods: int, n_on: int, permutations: Permutations, draws: int, seed: int
) -> tuple[Floats, bool]:
    """Which years stand in for those in the programme, 0 or 1, shape (n_sets, n_periods), the real ones first."""
    real = np.arange(n_periods - n_on, n_periods)
    exact = True
    if permutations == "moving_block":
        places = (real + np.arange(n_periods)[:, None]) % n_periods
    elif math.comb(n_periods, n_on) <= draws:
        listed = np.array(list(itertools.combinations(range(n_periods), n_on)))
        places = listed[::-1]  # the last combination is the real one
    else:
        exact = False
        shuffled = np.argsort(np.random.default_rng(seed).random((draws, n_periods)), axis=1)[:, :n_on]
        places = np.vstack([real, shuffled])
    chosen = np.zeros((len(places), n_periods))
    np.put_along_axis(chosen, places, 1.0, axis=1)
    return chosen, exact


def _centre(
    target: Floats, rest: Floats, n_before: int, proxy: Proxy, estimate: float, scale: float
) -> float:
    """The constant effect under which the residuals in the programme sum to zero, so that its p-value is one.

    A fit is a projection onto a convex set, so the sum falls as the effect grows, and halving finds the zero.
    """

    def total(effect: float) -> float:
        moved = target.copy()
        moved[n_before:] -= effect
        return float(_residuals(moved[None], rest[None], proxy)[0, n_before:].sum())

    if abs(total(estimate)) <= _TIE * scale:  # where every year is fitted so are those of many effects
        return estimate
    low, high = estimate - scale, estimate + scale
    while total(low) < 0:
        low -= high - low
    while total(high) > 0:
        high += high - low
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if total(middle) > 0 else (low, middle)
    return (low + high) / 2


def _limits(
    p_value: Callable[[Floats], Floats], centre: Floats, scale: float, alpha: float
) -> tuple[Floats, Floats]:
    """The lowest and the highest effects that are not rejected, each of shape (n,), infinite where all are kept.

    `p_value` takes effects in turn for each of the n centres: n of them, or a multiple of n.
    """
    n = len(centre)
    sides = np.repeat([-scale, scale], n)
    middle = np.tile(centre, 2)
    accepted = np.array([p_value(middle + sides * step) > alpha for step in _STEPS])
    last = np.where(accepted.any(axis=0), len(_STEPS) - 1 - np.argmax(accepted[::-1], axis=0), -1)
    open_ended = last == len(_STEPS) - 1
    reach = np.concatenate([[0.0], _STEPS, _STEPS[-1:]])
    inside, outside = middle + sides * reach[last + 1], middle + sides * reach[last + 2]
    for _ in range(_HALVINGS):
        halfway = (inside + outside) / 2
        kept = p_value(halfway) > alpha
        inside, outside = np.where(kept, halfway, inside), np.where(kept, outside, halfway)
    ends = np.where(open_ended, np.sign(sides) * np.inf, inside)
    return ends[:n], ends[n:]


def _by_period(
    p_value: Callable[[Floats], Floats],
    years: tuple[int, ...],
    att: Floats,
    n_before: int,
    scale: float,
    alpha: float,
) -> pd.DataFrame:
    """The effect of each year by itself; the estimate leaves no residual in its year, so that its p-value is one."""
    enough = 1 / (n_before + 1) <= alpha
    low, high = (
        _limits(p_value, att, scale, alpha)
        if enough
        else (np.full(len(att), np.inf), np.full(len(att), np.inf))
    )
    note = "" if enough else f"{n_before} years before entry, {math.ceil(1 / alpha - 1e-9) - 1} are needed"
    bounded = np.isfinite(low) & np.isfinite(high)
    return pd.DataFrame(
        {
            "period": years,
            "att": att,
            "low": pd.array([_finite(one) for one in low], dtype="Float64"),
            "high": pd.array([_finite(one) for one in high], dtype="Float64"),
            "p_value": p_value(np.zeros(len(att))),
            "note": [note or ("" if one else "no effect on one side is ever rejected") for one in bounded],
        }
    )


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
