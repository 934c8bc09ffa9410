"""The 2x2 difference-in-differences with covariates: outcome regression, weighting by the propensity score, or both.

In: who is treated, covariates and weights of the units of one 2x2, and the change of each unit's outcome.
Out: the ATT and its influence function. Never: a panel or a design; which units belong to a 2x2 is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.linalg import LinAlgError, cho_factor, cho_solve, qr, solve_triangular
from scipy.special import expit

from ..errors import DesignError
from ..panel import Floats

Method = Literal["dr", "reg", "ipw"]
METHODS: tuple[Method, ...] = ("dr", "reg", "ipw")

#: Comparison units with a propensity score from here on get no weight (DRDID, `trim.level`).
TRIM = 0.995
#: A fitted propensity score from here on means that the two sides do not overlap (did refuses the cell).
OVERLAP = 0.999

_RANK_TOLERANCE = (
    1e-8  # of standardised columns; did's own limit on the reciprocal condition is the square of it
)
_NEWTON_STEPS = 100
_NEWTON_TOLERANCE = 1e-9  # of the linear predictor; the step after it would be of the order of its square


@dataclass(frozen=True, kw_only=True)
class TwoByTwo:
    """The units of a 2x2 with everything that does not depend on the outcome, so that it is fitted once.

    Attributes
    ----------
    method : {"dr", "reg", "ipw"}
    treated : array of bool, shape (n,)
    weights : array, shape (n,)
        Weights of the units, positive, with mean 1.
    design : array, shape (n, k), or None
        A constant and the standardised covariates; None without covariates, where all methods are one.
    regression : array, shape (k, n_comparison), or None
        Maps square-root-weighted changes of the comparison units to the coefficients of the outcome regression.
    score : array, shape (n,), or None
        Fitted propensity scores.
    score_inverse : array, shape (k, k), or None
        Inverse of the information matrix of the propensity score.
    """

    method: Method
    treated: npt.NDArray[np.bool_]
    weights: Floats
    design: Floats | None
    regression: Floats | None
    score: Floats | None
    score_inverse: Floats | None


def prepare_two_by_two(
    treated: npt.NDArray[np.bool_],
    *,
    covariates: Floats | None = None,
    names: Sequence[str] = (),
    weights: Floats | None = None,
    method: Method = "dr",
) -> TwoByTwo:
    """Fit what a 2x2 needs before it sees a change: the regression's projection and the propensity score.

    Covariates are centred and scaled first. The estimates do not change by it, since there is a constant; the
    conditioning does, so that incomes in euros and shares in per cent may stand side by side.

    Parameters
    ----------
    treated : array of bool, shape (n,)
        Both sides must hold a unit.
    covariates : array, shape (n, n_covariates), optional
        In any unit; without a constant.
    names : sequence of str
        Of the covariates, for messages.
    weights : array, shape (n,), optional
        Positive.
    method : {"dr", "reg", "ipw"}

    Returns
    -------
    TwoByTwo

    Raises
    ------
    DesignError
        The covariates are collinear, separate the treated from the comparison, or leave no overlap.
    """
    normalised = np.ones(len(treated)) if weights is None else weights / weights.mean()
    if covariates is None or covariates.shape[1] == 0:
        return TwoByTwo(
            method=method,
            treated=treated,
            weights=normalised,
            design=None,
            regression=None,
            score=None,
            score_inverse=None,
        )
    design = _standardised(covariates)
    regression = score = score_inverse = None
    if method == "ipw":
        _projection(design, names, who="units")
    else:
        rest = ~treated
        root = np.sqrt(normalised[rest])[:, None]
        regression = _projection(root * design[rest], names, who="comparison units")
    if method != "reg":
        score, score_inverse = _propensity(design, treated, normalised)
        if not np.any(score[~treated] < TRIM):
            raise DesignError(
                "No comparison unit is left: all their propensity scores are trimmed.",
                found=f"scores from {score[~treated].min():.4f}",
                expected=f"below {TRIM}",
            )
    return TwoByTwo(
        method=method,
        treated=treated,
        weights=normalised,
        design=design,
        regression=regression,
        score=score,
        score_inverse=score_inverse,
    )


def two_by_two_att(sample: TwoByTwo, change: Floats) -> tuple[float, Floats]:
    r"""The ATT of one 2x2 and its influence function.

    With weights :math:`w`, :math:`w^1 = w D`, the odds :math:`w^0 = w (1 - D)\, p(X) / (1 - p(X))` of comparison
    units with :math:`p(X) < 0.995`, and the residual :math:`r = \Delta Y - X'\hat\beta` of the regression of the
    comparison's changes,

    .. math::
        ATT_{reg} = \frac{\sum w^1 r}{\sum w^1}, \qquad
        ATT_{dr} = \frac{\sum w^1 r}{\sum w^1} - \frac{\sum w^0 r}{\sum w^0},

    and "ipw" is the second with :math:`\hat\beta = 0`. The influence function is the two ratios' own minus what the
    estimation of :math:`\hat\beta` (weighted least squares) and of :math:`p` (logit, maximum likelihood) adds.

    Parameters
    ----------
    sample : TwoByTwo
    change : array, shape (n,)
        Change of each unit's outcome.

    Returns
    -------
    att : float
        In the unit of `change`.
    influence : array, shape (n,)
        With ``se = sqrt(sum(influence**2)) / n``; its mean is zero.

    References
    ----------
    Sant'Anna, P. and Zhao, J. (2020). Doubly robust difference-in-differences estimators. Journal of Econometrics
    219, 101-122; R package DRDID: `drdid_panel`, `reg_did_panel`, `std_ipw_did_panel`.

    Examples
    --------
    >>> treated = np.array([True, True, False, False])
    >>> att, influence = two_by_two_att(prepare_two_by_two(treated), np.array([3.0, 5.0, 1.0, 2.0]))
    >>> att, influence.round(6)
    (2.5, array([-2.,  2.,  1., -1.]))
    """
    n, treated, design = len(change), sample.treated, sample.design
    on_treated = np.where(treated, sample.weights, 0.0)
    on_rest = sample.weights - on_treated
    if design is None:
        att, influence = _mean(on_treated, change)
        rest, rest_influence = _mean(on_rest, change)
        return att - rest, influence - rest_influence
    residual = change
    if sample.regression is not None:
        beta = sample.regression @ (np.sqrt(sample.weights[~treated]) * change[~treated])
        residual = change - design @ beta
    att, influence = _mean(on_treated, residual)
    leverage = (
        design.T @ on_treated / on_treated.sum()
    )  # how far the estimate moves with the coefficients, negative
    if sample.score is not None and sample.score_inverse is not None:
        kept = np.where(~treated & (sample.score < TRIM), sample.weights, 0.0)
        odds = kept * sample.score / (1 - sample.score)
        rest, rest_influence = _mean(odds, residual)
        slope = design.T @ (odds * (residual - rest)) / odds.sum()
        from_score = (
            sample.weights * (treated - sample.score) * (design @ (n * (sample.score_inverse @ slope)))
        )
        att, influence = att - rest, influence - rest_influence - from_score
        leverage = leverage - design.T @ odds / odds.sum()
    if sample.regression is not None:
        gram_inverse = sample.regression @ sample.regression.T
        influence = influence - on_rest * residual * (design @ (n * (gram_inverse @ leverage)))
    return att, influence


def _mean(weights: Floats, values: Floats) -> tuple[float, Floats]:
    """A weighted mean and its influence function."""
    total = weights.sum()
    mean = float(weights @ values / total)
    return mean, len(values) * weights * (values - mean) / total


def _standardised(covariates: Floats) -> Floats:
    """A constant and the centred, scaled covariates; a covariate that does not vary becomes zeros."""
    centred = covariates - covariates.mean(axis=0)
    scale = np.sqrt(np.mean(centred**2, axis=0))
    varies = scale > 1e-12 * np.abs(covariates).max(axis=0)
    standard = np.where(varies, centred / np.where(varies, scale, 1.0), 0.0)
    return np.column_stack([np.ones(len(covariates)), standard])


def _projection(design: Floats, names: Sequence[str], *, who: str) -> Floats:
    """Pseudo-inverse of a design of full column rank, shape (k, n), by pivoted QR; an error where it is not."""
    n, k = design.shape
    fault = "The covariates are collinear in a 2x2."
    if n < k:
        raise DesignError(
            fault, found=f"{n} {who} for {k} coefficients", fix="Use fewer covariates, or the method 'ipw'."
        )
    q, r, pivot = qr(design, mode="economic", pivoting=True)
    size = np.abs(np.diag(r))
    if size[-1] <= _RANK_TOLERANCE * size[0]:
        limit = _RANK_TOLERANCE * float(np.linalg.norm(design, axis=0).max())
        ranks = [np.linalg.matrix_rank(design[:, : at + 1], tol=limit) for at in range(k)]
        guilty = [name for name, before, now in zip(names, ranks, ranks[1:], strict=False) if now == before]
        raise DesignError(
            fault,
            found=f"{', '.join(map(repr, guilty)) or 'a covariate'}: among the {who} constant or given by the others",
            fix="Leave it out.",
        )
    inverse = np.empty((k, n))
    inverse[pivot] = solve_triangular(r, q.T)
    return inverse


def _propensity(design: Floats, treated: npt.NDArray[np.bool_], weights: Floats) -> tuple[Floats, Floats]:
    """Fitted logit probabilities of treatment and the inverse information matrix, by damped Newton steps.

    Where a covariate separates the two sides, the likelihood has no maximum: the steps do not settle, or the
    information matrix loses its rank. Both are told, never papered over by a convergence tolerance.
    """
    separated = DesignError(
        "The covariates separate the treated units from the comparison, so no propensity score exists.",
        found=f"{int(treated.sum())} treated and {int((~treated).sum())} comparison units",
        fix="Use fewer covariates, or the method 'reg'.",
    )
    share = float(weights[treated].sum() / weights.sum())
    beta = np.zeros(design.shape[1])
    beta[0] = np.log(share / (1 - share))
    predictor = design @ beta
    loss = _loss(predictor, treated, weights)
    for _ in range(_NEWTON_STEPS):
        score = expit(predictor)
        information = design.T @ ((weights * score * (1 - score))[:, None] * design)
        try:
            factor = cho_factor(information)
        except LinAlgError:
            raise separated from None
        step = design @ cho_solve(factor, design.T @ (weights * (treated - score)))
        length = 1.0
        while (trial := _loss(predictor + length * step, treated, weights)) > loss * (
            1 + 1e-12
        ) and length > 1e-6:
            length /= 2
        predictor, loss = predictor + length * step, trial
        if np.max(np.abs(step)) < _NEWTON_TOLERANCE:
            break
    else:
        raise separated
    score = expit(predictor)
    if score.max() >= OVERLAP:
        if np.max(score[~treated]) < 1 - OVERLAP < OVERLAP < np.min(score[treated]):
            raise separated
        raise DesignError(
            "Treated and comparison units do not overlap in the covariates.",
            found=f"propensity scores up to {score.max():.4f}",
            expected=f"all below {OVERLAP}",
            fix="Use fewer covariates, or the method 'reg'.",
        )
    information = design.T @ ((weights * score * (1 - score))[:, None] * design)
    return score, np.asarray(cho_solve(cho_factor(information), np.eye(design.shape[1])))


def _loss(predictor: Floats, treated: npt.NDArray[np.bool_], weights: Floats) -> float:
    """Minus the log likelihood of a logit."""
    return float(weights @ np.logaddexp(0.0, np.where(treated, -predictor, predictor)))
