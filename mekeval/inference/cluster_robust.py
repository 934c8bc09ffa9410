"""Cluster-robust tests of the two-way fixed effects regression: CR1, CR2 with Satterthwaite's degrees of freedom, CR3.

In: a panel and a design. Out: `Inference` of the treatment's coefficient, clustered by unit. Never: dummies of units
in memory, an approximation where effects are absorbed, or an error for one treated unit that nobody asked for by name.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import linalg

from ..design import Design
from ..errors import DesignError, closest
from ..estimate.fixed_effects import Sample, take_sample, within
from ..panel import Floats, Panel
from .result import MANY_TREATED, Inference, from_standard_error, refuse_settings

Kind = Literal["cr1", "cr2", "cr3"]
KINDS: tuple[Kind, ...] = ("cr1", "cr2", "cr3")
# A direction in which the residuals of a unit have less than this share of their variance left is fitted exactly.
_FITTED = 1e-9
_COLLINEAR = 1e-10


@dataclass(frozen=True, kw_only=True)
class ClusteredFit:
    """The treatment's coefficient beside unit and period effects, with what its cluster-robust variances are made of.

    Attributes
    ----------
    sample : Sample
    estimate : float
        In the outcome's unit.
    regressors : array, shape (n_units, n_periods, 1 + n_covariates)
        Treatment and covariates net of unit and period effects.
    inverse : array, shape (1 + n_covariates, 1 + n_covariates)
        Inverse of their cross product.
    weights : array, shape (n_units, n_periods)
        The estimate is their product with the outcome, summed: treatment net of effects and covariates, over its sum
        of squares.
    residuals : array, shape (n_units, n_periods)
    period_inverse : array, shape (n_periods, n_periods)
        Pseudo-inverse of the normal equations of the period effects, units absorbed.
    n_treated, n_comparison : int
        Units treated in some cell, and the others.
    n_switching : int
        Units treated in some cells and not in others: only they carry the estimate.
    """

    sample: Sample
    estimate: float
    regressors: Floats
    inverse: Floats
    weights: Floats
    residuals: Floats
    period_inverse: Floats
    n_treated: int
    n_comparison: int
    n_switching: int

    @property
    def factor(self) -> float:
        """fixest's small-sample factor of CR1: G / (G - 1) times (N - 1) / (N - K), effects of units not counted."""
        n_units, n_periods = self.sample.values.shape
        n, k = self.sample.n_rows, self.regressors.shape[2] + n_periods
        return float(n_units / (n_units - 1) * (n - 1) / (n - k))


def cluster_robust(
    panel: Panel,
    design: Design,
    *,
    outcome: str,
    kind: Kind | None = None,
    covariates: Sequence[str] = (),
    alpha: float = 0.05,
) -> Inference:
    r"""Test the coefficient of `twfe` with a variance clustered by unit.

    With :math:`X_g` the regressors of unit g, :math:`M = (X'X)^{-1}`, :math:`H_{gg} = X_g M X_g'` and :math:`u_g` the
    residuals, the variance is the treatment's element of

    .. math::
        V_1 &= \tfrac{G}{G-1} \tfrac{N-1}{N-K}\, M {\textstyle\sum_g} X_g' u_g u_g' X_g\, M, \\
        V_2 &= M {\textstyle\sum_g} X_g' A_g u_g u_g' A_g X_g\, M, \qquad A_g = (I - H_{gg})^{+1/2}, \\
        V_3 &= \tfrac{G-1}{G} {\textstyle\sum_g} (\hat\beta_{(g)} - \hat\beta)(\hat\beta_{(g)} - \hat\beta)',

    :math:`\hat\beta_{(g)}` being the estimate without unit g. CR1 and CR3 are judged by t(G - 1), CR2 by t with
    Satterthwaite's degrees of freedom: with :math:`p_g = (I - H)_{\cdot g} A_g X_g M c`,
    :math:`\nu = (\sum_g p_g'p_g)^2 / \sum_{g,h} (p_g'p_h)^2`, which counts the units that the estimate rests upon.

    Parameters
    ----------
    panel : Panel
    design : Design
    outcome : str
    kind : {"cr1", "cr2", "cr3"}, optional
        "cr1" is what fixest prints, "cr2" the bias-reduced variance of Bell and McCaffrey, "cr3" the jackknife. By
        default "cr2", and then one treated unit is refused; a kind that is named is given, with a warning.
    covariates : sequence of str
        Other outcomes of the panel, by the value of each period.
    alpha : float

    Returns
    -------
    Inference
        `method` is the kind, `se` and `df` are those above. `warnings` holds "one_treated", and "few_treated" where
        fewer than 20 units switch or fewer than 20 do not.

    Raises
    ------
    DataError, DesignError
        As `twfe`; one treated unit and no kind named; "cr3" where the estimate rests on one unit, so that it cannot be
        left out; residuals that are all zero; alpha out of range.

    Notes
    -----
    Absorbed effects are exact, not approximate. Unit effects are nested in the clusters, so with :math:`B_g` the
    centring matrix of the unit's cells and S the normal equations of the period effects,
    :math:`I - H_{gg} = B_g - B_g S^+ B_g - W_g (W'W)^{-1} W_g'`, W being treatment and covariates net of
    both effects. The unit's own effect leaves a zero eigenvalue, which the pseudo-inverse root keeps at zero; the
    figures are those of the regression with all dummies (Pustejovsky and Tipton 2018, theorem 2). Absorbing the
    *period* effects too would not be exact, as they are not nested.

    None of the three is a remedy for a handful of treated units: on Finnish areas where nothing was done, "cr1"
    rejects in 42 to 78 % of cases with one treated area, and in 8 to 26 % with five (`docs/benchmarks.md`,
    "calibration"). CR2 knows it in part:
    its degrees of freedom fall. Use `infer` with permutation, or the rule placebo.

    References
    ----------
    Bell, R. and McCaffrey, D. (2002). Bias reduction in standard errors for linear regression with multi-stage
    samples. Survey Methodology 28, 169-181. Pustejovsky, J. and Tipton, E. (2018). Small-sample methods for
    cluster-robust variance estimation and hypothesis testing in fixed effects models. Journal of Business and
    Economic Statistics 36, 672-683. MacKinnon, J., Nielsen, M. and Webb, M. (2023). Fast and reliable jackknife and
    bootstrap methods for cluster-robust inference. Journal of Applied Econometrics 38, 671-694.

    Examples
    --------
    >>> import pandas as pd
    >>> from mekeval import build_panel, make_design
    >>> frame = pd.DataFrame({"u": list("aabbccdd"), "t": [1, 2] * 4, "y": [0.0, 3, 0, 1, 0, 0, 0, 2]})
    >>> panel = build_panel(frame, unit="u", period="t", outcome=["y"])
    >>> design = make_design("abcd", [(2, 2, ["a", "b"])])
    >>> found = cluster_robust(panel, design, outcome="y", kind="cr2")  # changes 3 and 1 against 0 and 2
    >>> found.estimate, round(found.se**2, 6), round(found.df, 6)  # variances of 2 in both: 2 / 2 + 2 / 2
    (1.0, 2.0, 2.0)
    """
    refuse_settings(alpha=alpha)
    used: Kind = "cr2" if kind is None else kind
    if used not in KINDS:
        raise DesignError("Unknown kind.", where="kind", found=repr(kind), expected=closest(str(used), KINDS))
    fit = fit_clustered(panel, design, outcome=outcome, covariates=covariates)
    if fit.n_switching == 1 and kind is None:
        raise DesignError(
            "One treated unit has no cluster-robust standard error: nothing in it varies between treated units.",
            where=outcome,
            fix="Use permutation or the rule placebo; a kind that is named is given, with a warning.",
        )
    scores = unit_scores(fit)
    df = len(scores) - 1.0
    if used == "cr1":
        variance = fit.factor * float(np.sum(scores**2))
    elif used == "cr2":
        variance, df = _bias_reduced(fit)
    else:
        variance = _jackknife(fit)
    return _inference(fit, used, variance, df, alpha)


def fit_clustered(
    panel: Panel, design: Design, *, outcome: str, covariates: Sequence[str] = ()
) -> ClusteredFit:
    """The regression of `twfe`, with the parts that variances and bootstraps by unit need.

    Raises
    ------
    DataError, DesignError
        As `take_sample`; the treatment or a covariate is explained by the effects or by the others; no degree of
        freedom is left.
    """
    sample = take_sample(panel, design, outcome=outcome, covariates=covariates, keep_always_treated=True)
    treatment = _on(sample, design)
    n_units, n_periods = treatment.shape
    ones = np.ones(n_units)
    raw = np.concatenate([treatment[..., None], sample.covariates], axis=2)
    regressors = within(raw, sample.there, ones)
    values = within(sample.values[..., None], sample.there, ones)[..., 0]
    free = sample.n_rows - raw.shape[2] - n_periods
    if free < 1 or n_units < 2:
        raise DesignError(
            "There are more coefficients than the data can carry.",
            where=outcome,
            found=f"{sample.n_rows} cells of {n_units} units, {raw.shape[2]} coefficients, {n_periods} periods",
        )
    inverse = _inverse(regressors, raw, ["treatment", *sample.names], outcome)
    coefficients = inverse @ np.einsum("itq,it->q", regressors, values)
    switching = (treatment.max(axis=1, where=sample.there, initial=0.0) > 0) & (
        treatment.min(axis=1, where=sample.there, initial=1.0) < 1
    )
    n_treated = int((treatment > 0).any(axis=1).sum())
    count = sample.there.sum(axis=1)
    equations = np.diag(sample.there.sum(axis=0)) - (sample.there / count[:, None]).T @ sample.there
    return ClusteredFit(
        sample=sample,
        estimate=float(coefficients[0]),
        regressors=regressors,
        inverse=inverse,
        weights=regressors @ inverse[:, 0],
        residuals=values - regressors @ coefficients,
        period_inverse=np.asarray(linalg.pinvh(equations)),
        n_treated=n_treated,
        n_comparison=n_units - n_treated,
        n_switching=int(switching.sum()),
    )


def too_few(fit: ClusteredFit, fewest: int) -> bool:
    """Whether fewer units than that switch, or fewer do not."""
    return min(fit.n_switching, len(fit.residuals) - fit.n_switching) < fewest


def unit_scores(fit: ClusteredFit) -> Floats:
    """What the residuals of each unit move the estimate by, shape (n_units,); they sum to zero.

    Raises
    ------
    DesignError
        All are zero: the regression fits without residuals.
    """
    scores = np.sum(fit.weights * fit.residuals, axis=1)
    size = float(np.sum(fit.weights**2) * np.sum(fit.sample.values**2))
    if np.sum(scores**2) <= 1e-24 * size:
        raise DesignError(
            "The regression fits without residuals, so there is no standard error.",
            where=fit.sample.outcome,
            fix="Is the outcome constant, or made of unit and period effects alone?",
        )
    return np.asarray(scores)


def _left_over(fit: ClusteredFit) -> tuple[Floats, Floats, npt.NDArray[np.int64]]:
    """Eigenvalues and eigenvectors of I - H of each different block, and the block of each unit.

    Without covariates units of one kind share their block. The unit's own effect is part of H, so a constant over
    the unit's cells has the eigenvalue zero.
    """
    first, block = np.unique(fit.sample.kind, return_index=True)[1], fit.sample.kind
    if fit.regressors.shape[2] > 1:
        first, block = np.arange(len(fit.residuals)), np.arange(len(fit.residuals))
    there = fit.sample.there[first].astype(float)
    at = np.arange(there.shape[1])
    centring = -there[:, :, None] * there[:, None, :] / there.sum(axis=1)[:, None, None]
    centring[:, at, at] += there
    own = fit.regressors[first]
    left = centring - centring @ fit.period_inverse @ centring - own @ fit.inverse @ own.transpose(0, 2, 1)
    values, vectors = np.linalg.eigh((left + left.transpose(0, 2, 1)) / 2)
    return values, vectors, block


def _bias_reduced(fit: ClusteredFit) -> tuple[float, float]:
    """CR2 variance of the estimate, and its degrees of freedom with errors that are independent and alike.

    The products p_g'p_h are a diagonal less a matrix of low rank, so no matrix of units by units is needed.
    """
    values, vectors, block = _left_over(fit)
    kept = values > _FITTED
    root = np.where(kept, 1 / np.sqrt(np.where(kept, values, 1.0)), 0.0)
    moved = np.einsum(
        "gts,gs->gt", (vectors * root[:, None, :])[block], _in_basis(vectors, block, fit.weights)
    )
    variance = float(np.sum(np.sum(moved * fit.residuals, axis=1) ** 2))
    there = fit.sample.there
    centred = (moved - (moved.sum(axis=1) / there.sum(axis=1))[:, None]) * there
    length = np.sum(centred**2, axis=1)
    shared = np.column_stack(
        [
            centred @ symmetric_root(fit.period_inverse),
            np.einsum("gtq,gt->gq", fit.regressors, moved) @ symmetric_root(fit.inverse),
        ]
    )
    own = np.sum(shared**2, axis=1)
    squares = np.sum(length**2) - 2 * np.sum(length * own) + np.sum((shared.T @ shared) ** 2)
    return variance, float((length.sum() - own.sum()) ** 2 / squares)


def _jackknife(fit: ClusteredFit) -> float:
    """CR3 variance of the estimate: each unit is left out in closed form, not by refitting."""
    values, vectors, block = _left_over(fit)
    kept = values > _FITTED
    n_units = len(fit.residuals)
    weights, residuals = (_in_basis(vectors, block, one) for one in (fit.weights, fit.residuals))
    size = np.linalg.norm(fit.weights)
    own = np.abs(np.where(kept[block], 0.0, weights)).max(axis=1)
    if np.any(own > 1e-6 * size):
        raise DesignError(
            "The estimate rests on one unit, so it cannot be left out.",
            where=f"{fit.sample.outcome}, {fit.sample.units[int(np.argmax(own))]}",
            found="no estimate without it",
            fix="Use another kind, or permutation.",
        )
    scale = np.where(kept, 1 / np.where(kept, values, 1.0), 0.0)[block]
    change = np.sum(weights * scale * residuals, axis=1)
    return float(np.sum(change**2) * (n_units - 1) / n_units)


def _in_basis(vectors: Floats, block: npt.NDArray[np.int64], rows: Floats) -> Floats:
    """Rows in the eigenvectors of their blocks, shape (n_units, n_periods)."""
    return np.asarray(np.einsum("gts,gt->gs", vectors[block], rows))


def symmetric_root(matrix: Floats) -> Floats:
    """R with R R' = matrix, for a symmetric matrix that is nowhere negative."""
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)))


def _on(sample: Sample, design: Design) -> Floats:
    """1 in the years in the programme, shape (n_units, n_periods); partial exposure is exposure."""
    history = np.zeros((len(design.paths) + 1, len(sample.periods)))
    for index, path in enumerate(design.paths):
        history[index] = [path.phase(int(period)) == "on" for period in sample.periods]
    treatment = history[sample.group] * sample.there
    if not treatment.any():
        raise DesignError(
            "No unit is treated in a period with data.",
            where=sample.outcome,
            found=f"data from {sample.periods[0]} to {sample.periods[-1]}",
        )
    return np.asarray(treatment)


def _inverse(regressors: Floats, raw: Floats, names: Sequence[str], outcome: str) -> Floats:
    """Inverse of the cross product, or an error that names what cannot be told apart."""
    product = np.einsum("itq,itr->qr", regressors, regressors)
    size = np.sqrt(np.diag(product))
    absorbed = size <= _COLLINEAR * np.sqrt(np.einsum("itq,itq->q", raw, raw))
    if absorbed.any():
        raise DesignError(
            "A coefficient cannot be told apart from unit and period effects.",
            where=outcome,
            found="; ".join(name for name, one in zip(names, absorbed, strict=True) if one),
            expected="variation within units that other units of the same period do not share",
        )
    values, vectors = np.linalg.eigh(product / np.outer(size, size))
    if values[0] <= _COLLINEAR:
        share = np.abs(vectors[:, 0])
        raise DesignError(
            "Coefficients cannot be told apart: each is explained by the others.",
            where=outcome,
            found="; ".join(name for name, one in zip(names, share, strict=True) if one > 0.05 * share.max()),
            fix="Leave out a collinear covariate.",
        )
    return np.asarray((vectors / values) @ vectors.T / np.outer(size, size))


def _inference(fit: ClusteredFit, kind: Kind, variance: float, df: float, alpha: float) -> Inference:
    because = f"a cluster-robust variance ({kind.upper()}), asked for by name, with t of {df:.1f} degrees of freedom"
    return from_standard_error(
        label=f"{fit.sample.outcome}, two-way fixed effects",
        estimate=fit.estimate,
        se=math.sqrt(variance),
        df=df,
        alpha=alpha,
        method=kind,
        because=because,
        warnings=(("one_treated",) if fit.n_switching == 1 else ())
        + (("few_treated",) if too_few(fit, MANY_TREATED) else ()),
        n_treated=fit.n_treated,
        n_comparison=fit.n_comparison,
    )
