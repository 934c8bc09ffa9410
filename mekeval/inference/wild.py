"""The wild cluster bootstrap of the two-way fixed effects regression, with the null imposed or not.

In: a panel and a design. Out: `Inference` with the interval by inversion of the test. Never: a regression for each
draw, a p-value of zero, or a handful of treated units without a warning.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..design import Design
from ..errors import DesignError, closest
from ..panel import Floats, Panel
from .cluster_robust import ClusteredFit, fit_clustered, symmetric_root, too_few, unit_scores
from .result import POWER, Inference, refuse_settings, shown

Weights = Literal["rademacher", "webb", "mammen"]
WEIGHTS: tuple[Weights, ...] = ("rademacher", "webb", "mammen")
#: With fewer units that switch, or fewer that do not, a warning is given.
FEW_TREATED = 8
_ROUNDING = 1e-9
_CHUNK = 1_000_000  # numbers in one block of draws
_STEPS = 0.25 * 1.35 ** np.arange(
    32
)  # distances from the estimate at which effects are tried, in standard errors
_HALVINGS = 40


@dataclass(frozen=True, kw_only=True)
class _Draws:
    """What each draw gives, as polynomials in d, the distance of the estimate from the effect that is tested.

    The estimate of a draw, less the effect tested, is ``level + d slope``, and the sum of its squared scores
    ``q00 + 2 d q01 + d^2 q11``. Each has shape (n_draws,). Draws count `copies` times, and the data themselves
    `own` times beside them.
    """

    level: Floats
    slope: Floats
    q00: Floats
    q01: Floats
    q11: Floats
    copies: int
    own: int

    @property
    def n_sets(self) -> int:
        """Statistics in the reference distribution, that of the data included."""
        return self.own + self.copies * len(self.level)


def wild_cluster_bootstrap(
    panel: Panel,
    design: Design,
    *,
    outcome: str,
    restricted: bool = True,
    weights: Weights = "rademacher",
    draws: int = 9_999,
    covariates: Sequence[str] = (),
    alpha: float = 0.05,
    seed: int = 0,
) -> Inference:
    r"""Test the coefficient of `twfe` by giving the residuals of whole units random signs or weights.

    With :math:`\ddot u_g` the residuals of unit g under the effect that is tested (`restricted`, WCR) or without one
    (WCU), a draw of weights :math:`v_g` gives the outcomes :math:`\hat y_g + v_g \ddot u_g`, and from them

    .. math::
        t^* = \frac{\sum_g v_g w_g'\ddot u_g}{\sqrt{\sum_g (w_g' u_g^*)^2}}, \qquad
        w_g' u_g^* = v_g w_g'\ddot u_g - w_g' \sum_h H_{gh} \ddot u_h v_h,

    where :math:`w` makes the estimate, :math:`\hat\beta = \sum_g w_g' y_g`, and H is the hat matrix. The p-value is
    the share of :math:`|t^*|` at least as large as :math:`|t|` of the data, which is counted too; both have the
    small-sample factor of CR1, which cancels. With the null imposed an effect :math:`\theta` changes the residuals in
    proportion, so :math:`t^*(\theta)` of all draws are ratios of five numbers each: the interval holds all effects
    that are not rejected, and is found without another draw.

    Parameters
    ----------
    panel : Panel
    design : Design
    outcome : str
    restricted : bool
        Whether the effect that is tested is imposed on the draws: the better choice as a rule.
    weights : {"rademacher", "webb", "mammen"}
        Signs; Webb's six points, for about ten units or fewer; Mammen's two points, which keep the third moment.
    draws : int
        Where all 2^G signs are no more than that, each is used once and `seed` does not matter.
    covariates : sequence of str
        Other outcomes of the panel, by the value of each period.
    alpha : float
    seed : int

    Returns
    -------
    Inference
        `method` is "wild" or "wild_unrestricted"; `n_sets` counts the draws and the data, `exact` says whether all
        signs were used. `warnings` holds "few_treated_wild" where fewer than 8 units switch, or fewer than 8 do
        not. A limit is None where no effect on that side is ever rejected.

    Raises
    ------
    DataError, DesignError
        As `twfe`; the regression fits without residuals; alpha, weights, draws or seed out of range.

    Notes
    -----
    *Cost.* H is of low rank once units are centred: n_periods and the regressors. So a draw costs n_units times that
    rank and never touches a cell (Roodman et al.).

    *Ties.* All signs alike give the data back, so with the null imposed at least two of the 2^G draws are as
    extreme as the data, and the smallest p-value is 2 / 2^G: five units never reject at 5 %. Stata's and R's
    boottest leave these two out, so their p-value of a full enumeration is smaller by 2 / 2^G.

    *Few treated units.* With the null imposed the residuals of few treated units follow their own mean, :math:`t^*`
    grows with :math:`t`, and the test hardly ever rejects; without it those residuals are next to nothing, and the
    test rejects far too often (MacKinnon and Webb 2017). Both at once, a large restricted and a tiny unrestricted
    p-value, say that the data cannot tell by this road: use permutation or the rule placebo.

    References
    ----------
    Cameron, A. C., Gelbach, J. and Miller, D. (2008). Bootstrap-based improvements for inference with clustered
    errors. Review of Economics and Statistics 90, 414-427. Roodman, D., MacKinnon, J., Nielsen, M. and Webb, M.
    (2019). Fast and wild: bootstrap inference in Stata using boottest. Stata Journal 19, 4-60. MacKinnon, J. and
    Webb, M. (2017). Wild bootstrap inference for wildly different cluster sizes. Journal of Applied Econometrics 32,
    233-254. Webb, M. (2023). Reworking wild bootstrap-based inference for clustered errors. Canadian Journal of
    Economics 56, 839-858. Mammen, E. (1993). Annals of Statistics 21, 255-285.

    Examples
    --------
    >>> import pandas as pd
    >>> from mekeval import build_panel, make_design
    >>> frame = pd.DataFrame({"u": list("aabbccdd"), "t": [1, 2] * 4, "y": [0.0, 5, 0, 5, 0, 0, 0, 1]})
    >>> panel = build_panel(frame, unit="u", period="t", outcome=["y"])
    >>> found = wild_cluster_bootstrap(panel, make_design("abcd", [(2, 2, ["a", "b"])]), outcome="y")
    >>> found.exact, found.n_sets, found.smallest_p  # all signs of four units
    (True, 16, 0.125)
    """
    refuse_settings(alpha=alpha, draws=draws, seed=seed)
    if weights not in WEIGHTS:
        raise DesignError(
            "Unknown weights.", where="weights", found=repr(weights), expected=closest(str(weights), WEIGHTS)
        )
    fit = fit_clustered(panel, design, outcome=outcome, covariates=covariates)
    scores = unit_scores(fit)
    total = float(np.sum(scores**2))
    drawn = _draw(fit, restricted=restricted, weights=weights, draws=draws, seed=seed)

    def p_value(distance: float) -> float:
        """Of the effect that lies `distance` below the estimate."""
        level, squares = drawn.level, drawn.q00
        if restricted:
            level = level + distance * drawn.slope
            squares = squares + distance * (2 * drawn.q01 + distance * drawn.q11)
        count = np.count_nonzero(level**2 * total >= distance**2 * (1 - _ROUNDING) * squares)
        return (drawn.own + drawn.copies * int(count)) / drawn.n_sets

    null = fit.estimate if restricted else 0.0
    spread = np.maximum(drawn.q00 + null * (2 * drawn.q01 + null * drawn.q11), 1e-20 * total)
    statistics = (drawn.level + null * drawn.slope) * np.sqrt(total / spread)
    if drawn.copies == 2:
        statistics = np.concatenate([statistics, -statistics])
    ordered = np.sort(statistics)
    if restricted:
        error = math.sqrt(fit.factor * total)
        above, below = (_reach(p_value, side * error, alpha) for side in (-1, 1))
    else:
        below = _critical(ordered, drawn, alpha)
        above = None if below is None else -below
    smallest = (drawn.own or 2) / drawn.n_sets  # two sets of signs give the data back
    critical = _critical(ordered, drawn, alpha)
    last = len(ordered) - 1
    power = float(max(ordered[round(POWER * last)], -ordered[round((1 - POWER) * last)]))
    exact = drawn.copies == 2
    what = "all signs" if exact else f"{draws} draws of {weights} weights"
    return Inference(
        label=f"{outcome}, two-way fixed effects",
        estimate=fit.estimate,
        p_value=p_value(fit.estimate),
        low=None if below is None else fit.estimate - below,
        high=None if above is None else fit.estimate - above,
        alpha=alpha,
        method="wild" if restricted else "wild_unrestricted",
        exact=exact,
        because=f"a wild cluster bootstrap, asked for by name, with {what} of {len(scores)} units",
        warnings=("few_treated_wild",) if too_few(fit, FEW_TREATED) else (),
        se=None,
        df=None,
        n_treated=fit.n_treated,
        n_comparison=fit.n_comparison,
        n_sets=drawn.n_sets,
        smallest_p=smallest,
        minimum_detectable_effect=None if critical is None or smallest > alpha else critical + power,
        # with the null imposed the critical value moves with the estimate
        critical=None if critical is None or restricted else (-critical, critical),
        reference=shown(ordered),
        noise=shown(ordered),
    )


def _draw(fit: ClusteredFit, *, restricted: bool, weights: Weights, draws: int, seed: int) -> _Draws:
    """All draws; units are taken in the order of their names, so that the order of a file does not change them."""
    order = np.argsort(np.array(fit.sample.units), kind="stable")
    # The treatment net of everything else is in proportion to the weights of the estimate.
    treatment = (fit.weights / np.sum(fit.weights**2))[order]
    estimate, residuals, regressors = fit.weights[order], fit.residuals[order], fit.regressors[order]
    period_root, root = symmetric_root(fit.period_inverse), symmetric_root(fit.inverse)

    def low_rank(rows: Floats) -> Floats:
        return np.hstack([rows @ period_root, np.einsum("gtq,gt->gq", regressors, rows) @ root])

    left = low_rank(estimate)
    parts = [(np.sum(estimate * rows, axis=1), low_rank(rows)) for rows in (residuals, treatment)]
    n_units = len(order)
    enumerated = weights == "rademacher" and 2**n_units <= draws
    count = 2 ** (n_units - 1) if enumerated else draws
    five = np.zeros((5, count))
    at = 0
    for block in _blocks(n_units, count, weights, seed, enumerated=enumerated):
        here = slice(at, at + len(block))
        at += len(block)
        moved = []
        for number, (own, right) in enumerate(parts[: 2 if restricted else 1]):
            five[number, here] = block @ own
            after = block * own
            after -= (block @ right) @ left.T
            moved.append(after)
        five[2, here] = np.einsum("bg,bg->b", moved[0], moved[0])
        if restricted:
            five[3, here] = np.einsum("bg,bg->b", moved[0], moved[1])
            five[4, here] = np.einsum("bg,bg->b", moved[1], moved[1])
    return _Draws(
        level=five[0],
        slope=five[1],
        q00=five[2],
        q01=five[3],
        q11=five[4],
        copies=2 if enumerated else 1,
        own=0 if enumerated and restricted else 1,
    )


def _blocks(n_units: int, count: int, weights: Weights, seed: int, *, enumerated: bool) -> Iterator[Floats]:
    """Blocks of draws, each of shape (n, n_units)."""
    rng = np.random.default_rng(seed)
    at_once = max(1, _CHUNK // n_units)
    for start in range(0, count, at_once):
        shape = (min(at_once, count - start), n_units)
        if enumerated:  # with the first sign fixed: turning all signs around changes no |t|
            numbers = np.arange(start, start + shape[0])[:, None]
            signs = 1 - 2 * (numbers >> np.arange(n_units - 1) & 1)
            yield np.hstack([np.ones_like(numbers), signs]).astype(float)
        elif weights == "rademacher":
            bits = np.unpackbits(np.frombuffer(rng.bytes(-(-math.prod(shape) // 8)), dtype=np.uint8))
            yield np.asarray(2.0 * bits[: math.prod(shape)] - 1.0).reshape(shape)
        elif weights == "webb":
            sizes = np.sqrt(np.array([0.5, 1.0, 1.5]))
            points: Floats = np.concatenate([-sizes, sizes])
            yield np.asarray(points[rng.integers(0, 6, shape, dtype=np.int8)])
        else:
            golden = (1 + math.sqrt(5)) / 2
            low = rng.random(shape) < golden / math.sqrt(5)
            yield np.asarray(np.where(low, 1 - golden, golden))


def _reach(p_value: Callable[[float], float], step: float, alpha: float) -> float | None:
    """The farthest distance on the side of `step` at which the test does not reject; None where it never does."""
    accepted = [p_value(float(step * one)) > alpha for one in _STEPS]
    if accepted[-1]:
        return None
    at = max((number for number, one in enumerate(accepted) if one), default=-1)
    inside, outside = (0.0 if at < 0 else float(step * _STEPS[at])), float(step * _STEPS[at + 1])
    for _ in range(_HALVINGS):
        middle = (inside + outside) / 2
        if p_value(middle) > alpha:
            inside = middle
        else:
            outside = middle
    return inside


def _critical(ordered: Floats, drawn: _Draws, alpha: float) -> float | None:
    """The largest statistic that is not rejected, in the outcome's unit; None where none is ever rejected."""
    needed = math.floor(alpha * drawn.n_sets - drawn.own + _ROUNDING) + 1  # draws that keep it unrejected
    if needed <= 0:
        return None
    sizes = np.abs(ordered)
    return float(np.partition(sizes, len(sizes) - needed)[len(sizes) - needed])
