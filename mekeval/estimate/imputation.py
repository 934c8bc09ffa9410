"""Effects as observed minus imputed outcomes: imputation and two-stage.

In: a panel and a design. Out: `Effects` by path and period. Never: a treated observation in the fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..design import Design
from ..errors import DesignError
from ..panel import Floats, Panel
from .effects import Effects, cell_names
from .inputs import check_word, scale_of
from .untreated import (
    AFTER_LEAVING,
    AfterLeaving,
    Sample,
    UntreatedFit,
    check_leads,
    draw_sample,
    fit_untreated,
    untreated_periods,
)


def imputation(
    panel: Panel,
    design: Design,
    *,
    outcome: str,
    covariates: Sequence[str] | None = (),
    pretrend_leads: int = 0,
    after_leaving: AfterLeaving = "impute",
    incomplete: Literal["drop", "keep"] = "drop",
) -> Effects:
    r"""ATT of each path in each period: observed less imputed outcomes (Borusyak, Jaravel and Spiess).

    Unit effects, period effects and, where asked, covariates are fitted by least squares on the untreated
    observations :math:`\Omega_0` alone,

    .. math:: Y_{it} = \alpha_i + \lambda_t + X_{it}'\beta + \varepsilon_{it}, \qquad (i, t) \in \Omega_0,

    and for the :math:`n_k` units of path g that have a value in period t

    .. math::
        \hat\tau_{it} = Y_{it} - \hat\alpha_i - \hat\lambda_t - X_{it}'\hat\beta, \qquad
        ATT_k = \frac{1}{n_k} \sum_{i \in g} \hat\tau_{it}.

    Parameters
    ----------
    panel : Panel
    design : Design
        With `pre_years`, only that many years before entry are fitted for treated units; the comparison keeps all.
    outcome : str
    covariates : sequence of str
        Other outcomes of the panel that vary over time within units. They must not be moved by treatment.
    pretrend_leads : int
        Adds cells of phase "pre" for the last so many observed periods before entry: a path keeps at least one
        earlier period. They come from a fit without those periods, so that they are placebo effects of the very same
        estimator; the other cells do not change. See `imputation_pretrend_test` for the test in the source.
    after_leaving : {"impute", "fit"}
        Units that leave: by default only observations before the first entry are fitted, and later years are
        imputed ("after"), as an effect may last. "fit" takes periods outside every spell as untreated (no lasting
        effect) and yields no cell for them.
    incomplete : {"drop", "keep"}
        Units without a value in some period: left out with the reason (as in the other estimators), or kept with the
        cells they have; then each cell is the mean over the units seen in it, and `aggregate` still weighs paths by
        all their units, where didimputation weighs by observations.

    Returns
    -------
    Effects
        In the outcome's unit. `n_comparison` counts the untreated units seen in the period, those treated later
        included. `changes` is None: an imputed effect is no difference of two means.

    Raises
    ------
    DesignError
        A path has no untreated observation before entry; a period has no untreated unit or cannot be tied to the
        others; a covariate does not vary within units or repeats another; no path has the two periods of a lead.
    DataError
        The panel has no such outcome or covariate; a value is infinite.

    Notes
    -----
    Estimand: ATT(g, t) from entry on, years after leaving included.
    Assumptions: Parallel trends in every untreated period (given covariates that treatment does not move), no
    anticipation, no spillover. More precise than `group_time_att` where errors are independent over time, less so where
    they drift. `two_stage` has the same estimates.
    Standard error: From :math:`\psi^k_i = n \sum_t v^k_{it} \tilde\varepsilon_{it}`, v being the weights of outcomes in
    the estimate, with fitted residuals where untreated and :math:`\hat\tau_{it}` less the mean of the cell where
    treated: conservative when effects differ between units. (The source's weighted mean is the same in `aggregate`,
    where units of a cell weigh alike.) Units independent, shares of paths as given, no small-sample factor.
    Edge cases: Units with gaps are left out or kept (`incomplete`); a unit always treated is refused, and so is a
    design without a never-treated unit; one treated unit, or one untreated in the period, has no standard error.
    Not covered: Weights, unit trends, the source's leave-one-out variance, comparison with later cohorts alone.

    References
    ----------
    Borusyak, K., Jaravel, X. and Spiess, J. (2024). Revisiting event-study designs: robust and efficient estimation.
    Review of Economic Studies 91, 3253-3285. R package didimputation.

    Examples
    --------
    >>> from mekeval import build_panel, make_design
    >>> frame = pd.DataFrame({"unit": list("aabbcc"), "year": [1, 2] * 3, "y": [1.0, 4.0, 2.0, 3.0, 0.0, 2.0]})
    >>> panel = build_panel(frame, unit="unit", period="year", outcome=["y"])
    >>> atts = imputation(panel, make_design("abc", [(2, 2, ["a"])]), outcome="y").cells["att"]
    >>> round(float(atts.iloc[0]), 12)  # (4 - 1) - ((3 - 2) + (2 - 0)) / 2
    1.5
    """
    return _impute(
        panel,
        design,
        outcome,
        covariates,
        check_leads(pretrend_leads, "pretrend_leads", least=0),
        after_leaving,
        incomplete,
        estimator="imputation",
        shares_estimated=False,
    )


def two_stage(
    panel: Panel,
    design: Design,
    *,
    outcome: str,
    covariates: Sequence[str] | None = (),
    after_leaving: AfterLeaving = "impute",
    incomplete: Literal["drop", "keep"] = "drop",
) -> Effects:
    r"""ATT of each path in each period by Gardner's two-stage regression, with its GMM standard errors.

    First stage: unit and period effects on untreated observations. Second stage: the residualised outcome
    :math:`\tilde Y` on treatment dummies :math:`D`. The estimates are those of `imputation`; the influence function is

    .. math::
        \psi_i = n (D'D)^{-1} \Bigl(D_i' \hat u_i - D' Z (Z_0' Z_0)^{-1} Z_{0i}' \hat\varepsilon_i\Bigr),

    with :math:`\hat u` the second-stage residuals.

    Parameters
    ----------
    panel, design, outcome, covariates, after_leaving, incomplete
        As in `imputation`; units that leave are treated in the same way.

    Returns
    -------
    Effects
        In the outcome's unit; as in `imputation`, with ``shares_estimated`` True.

    Raises
    ------
    DesignError, DataError
        As in `imputation`.

    Notes
    -----
    Estimand, Assumptions: As in `imputation`.
    Standard error: Clustered by unit, of both stages, no small-sample factor. With a dummy for each cell :math:`\hat u`
    are deviations from the cell mean; with one for all treated observations, or for an event time, they hold
    differences between cells too. `aggregate` adds that term (``shares_estimated``), so that "simple" and "event_time"
    have the errors of R's did2s: above or below those of `imputation` as effects differ between paths.
    Edge cases, Not covered: As in `imputation`.

    References
    ----------
    Gardner, J. (2022). Two-stage differences in differences. arXiv:2207.05943. R package did2s.

    Examples
    --------
    >>> from mekeval import build_panel, make_design
    >>> frame = pd.DataFrame({"unit": list("aabbcc"), "year": [1, 2] * 3, "y": [1.0, 4.0, 2.0, 3.0, 0.0, 2.0]})
    >>> panel = build_panel(frame, unit="unit", period="year", outcome=["y"])
    >>> round(float(two_stage(panel, make_design("abc", [(2, 2, ["a"])]), outcome="y").cells["att"].iloc[0]), 12)
    1.5
    """
    return _impute(
        panel,
        design,
        outcome,
        covariates,
        0,
        after_leaving,
        incomplete,
        estimator="two_stage",
        shares_estimated=True,
    )


def _impute(
    panel: Panel,
    design: Design,
    outcome: str,
    covariates: Sequence[str] | None,
    leads: int,
    after_leaving: AfterLeaving,
    incomplete: Literal["drop", "keep"],
    *,
    estimator: str,
    shares_estimated: bool,
) -> Effects:
    check_word(after_leaving, "after_leaving", AFTER_LEAVING)
    sample = draw_sample(panel, design, outcome, covariates, incomplete)
    masks = untreated_periods(sample, design, after_leaving=after_leaving)
    present = [index for index in range(len(design.paths)) if np.any(sample.group == index)]
    targets = np.zeros_like(masks)
    for index in present:
        path = design.paths[index]
        for position, period in enumerate(sample.periods):
            phase = path.phase(period)
            targets[index, position] = phase == "on" or (phase == "after" and after_leaving == "impute")
    parts = [_cells(sample, design, masks, targets)]
    if leads:
        without, placebo = masks.copy(), np.zeros_like(masks)
        for index in present:
            before = np.flatnonzero(masks[index] & (np.array(sample.periods) < design.paths[index].first))
            last = before[max(1, len(before) - leads) :]
            without[index, last], placebo[index, last] = False, True
        if not placebo.any():
            raise DesignError(
                "No path has two untreated periods before entry, which a lead needs.",
                where=f"{outcome}, pretrend_leads",
                found=f"{leads} leads",
            )
        parts.append(_cells(sample, design, without, placebo))
    cells = pd.concat([table for table, _ in parts], ignore_index=True)
    influence = np.hstack([psi for _, psi in parts])
    order = cells.sort_values(["group", "period"], kind="stable").index.to_numpy()
    return Effects(
        estimator=estimator,
        outcome=outcome,
        base_period="untreated",
        cells=cells.loc[order].reset_index(drop=True),
        units=sample.units,
        group=sample.group,
        influence=influence[:, order],
        changes=None,
        exposure=None,
        shares_estimated=shares_estimated,
        unit_weights=None,
        scale=scale_of(sample.values),
        n_rows=int(sample.there.sum()),
        dropped=sample.dropped,
    )


def _cells(
    sample: Sample,
    design: Design,
    masks: npt.NDArray[np.bool_],
    targets: npt.NDArray[np.bool_],
) -> tuple[pd.DataFrame, Floats]:
    """The cells of (path, period) in `targets`, imputed from the fit on `masks`, and their influence functions."""
    fitted = masks[sample.group] & sample.there
    fit = fit_untreated(sample, fitted, sample.covariates, sample.names)
    # A unit whose untreated cells are all leads, or missing, has no effect of its own to impute from.
    usable = sample.there & np.any(fitted, axis=1, keepdims=True)
    seen = [
        (int(index), int(position))
        for index, position in zip(*np.nonzero(targets), strict=True)
        if np.any(usable[sample.group == index, position])
    ]
    rows = [
        cell_names(
            design,
            index,
            sample.periods[position],
            [sample.periods[at] for at in np.flatnonzero(masks[index])],
        )
        for index, position in seen
    ]
    if not rows:
        raise DesignError(
            "No treated period has data.",
            where=sample.outcome,
            found=f"periods to {sample.periods[-1]}",
            expected=f"{min(path.first for path in design.paths)} or later",
        )
    table = pd.DataFrame(rows)
    at = np.searchsorted(sample.periods, table["period"].to_numpy())
    n_comparison = fitted.sum(axis=0)[at]
    if np.any(n_comparison == 0):
        raise DesignError(
            "A period has no untreated unit to impute from.",
            where=f"{sample.outcome}, {table['period'][n_comparison == 0].iloc[0]}",
        )
    members = [
        np.flatnonzero((sample.group == index) & usable[:, place])
        for index, place in zip(table["group"], at, strict=True)
    ]
    att = np.array([fit.residuals[inside, place].mean() for inside, place in zip(members, at, strict=True)])
    influence = -fit.scores @ (fit.inverse @ _loadings(sample, fit, members, at, table))
    for column, (inside, place) in enumerate(zip(members, at, strict=True)):
        influence[inside, column] += (fit.residuals[inside, place] - att[column]) / len(inside)
    n_treated = np.array([len(inside) for inside in members])
    return (
        table.assign(att=att, n_treated=n_treated, n_comparison=n_comparison),
        len(sample.units) * influence,
    )


def _loadings(
    sample: Sample,
    fit: UntreatedFit,
    members: Sequence[npt.NDArray[np.intp]],
    at: npt.NDArray[np.intp],
    table: pd.DataFrame,
) -> Floats:
    """How each cell depends on period effects and coefficients, shape (n_parameters, n_effects)."""
    of_periods = -np.stack([fit.unit_weights[rows].mean(axis=0) for rows in members], axis=1)
    of_periods[at, np.arange(len(at))] += 1
    of_covariates = np.stack(
        [fit.covariates[rows, place].mean(axis=0) for rows, place in zip(members, at, strict=True)], axis=1
    )
    # A cell is estimable when it is orthogonal to what the fit leaves open; otherwise its period hangs in the air.
    loose = np.abs(fit.open_periods.T @ of_periods).max(axis=0, initial=0.0) > 1e-7
    if loose.any():
        row = table.loc[loose].iloc[0]
        raise DesignError(
            "A period cannot be tied to the others: no unit is seen untreated in it and in an earlier one.",
            where=f"{sample.outcome}, {row['path']} in {row['period']}",
            fix="Leave the period out, or use units that are complete.",
        )
    return np.vstack([of_periods, of_covariates])
