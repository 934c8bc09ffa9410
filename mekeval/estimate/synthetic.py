"""Synthetic control and synthetic difference-in-differences: a comparison that is weighted to resemble the treated.

In: a balanced block and a design. Out: `SyntheticFit` with the weights and both paths, and from it `Effects`.
Never: a weight from a year after entry into the unit weights, or anything estimated twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..design import Design
from ..display import Shown
from ..panel import Floats, Panel
from .effects import Effects
from .inputs import names_of, scale_of
from .synthetic_weights import (
    METHODS,
    SOLVERS,
    Setting,
    Solved,
    Solver,
    SyntheticMethod,
    check_word,
    make_setting,
    solve_units,
    windows,
)

_BASE = {
    "synthetic_did": "time_weighted",
    "synthetic_control": "none",
    "demeaned_synthetic_control": "pre_mean",
}


@dataclass(frozen=True, kw_only=True, repr=False)
class SyntheticFit(Shown):
    """A treated path beside its synthetic counterpart, for each of n_fits sets of treated units.

    Attributes
    ----------
    method, solver, outcome : str
    covariates : tuple of str
    coefficients : array, shape (n_covariates,)
        Of the covariates, in units of the outcome per unit of the covariate.
    treated : tuple of tuple of str
        Units of each fit.
    comparison : tuple of str
        The n_comparison units that could get weight.
    periods : tuple of int
    unit_weights : array, shape (n_fits, n_comparison)
        Not negative, summing to 1.
    time_weights : array, shape (n_fits, n_periods)
        The base: summing to 1 over the periods before entry, 0 after; all zero for plain synthetic control.
    intercept : array, shape (n_fits,)
        Level of the treated above the weighted comparison in the base, in the outcome's unit; part of `synthetic`.
    treated_path, synthetic_path : array, shape (n_fits, n_periods)
        Mean of the treated, and intercept plus weighted comparison: what it would have been. Less the part of the
        covariates' deviations from their means, where there are any.
    pre_rmse : array, shape (n_fits,)
        Root mean squared difference of treated and weighted comparison before entry, around its mean where the
        method allows a difference in level; in the outcome's unit.
    zeta : array, shape (n_fits, 2)
        Penalties of the unit and the time weights, in the outcome's unit.
    gap : array, shape (n_fits, 2)
        How far the mean squared error plus penalty of the unit and the time weights is above its minimum, at most
        (squared unit of the outcome; 0 where no weights were sought).
    setting : Setting
        What was fitted.
    """

    method: SyntheticMethod
    solver: Solver
    outcome: str
    covariates: tuple[str, ...]
    coefficients: Floats
    treated: tuple[tuple[str, ...], ...]
    comparison: tuple[str, ...]
    periods: tuple[int, ...]
    unit_weights: Floats
    time_weights: Floats
    intercept: Floats
    treated_path: Floats
    synthetic_path: Floats
    pre_rmse: Floats
    zeta: Floats
    gap: Floats
    setting: Setting

    def effects(self) -> Effects:
        """The ATT of each path in each period: treated less synthetic, averaged over the units of the path.

        Cells before entry are residuals of the fit, not a test of it. There are no influence functions and no
        unit changes, since the weights are estimated: test with `synthetic_placebos`.
        """
        setting, block = self.setting, self.setting.block
        cells = pd.concat(
            [self._cells(index) for index in dict.fromkeys(index for index, _ in setting.fits)],
            ignore_index=True,
        )
        return Effects(
            estimator=self.method,
            outcome=self.outcome,
            base_period=_BASE[self.method],
            cells=cells,
            units=block.units,
            group=setting.group,
            influence=None,
            changes=None,
            exposure=None,
            shares_estimated=False,
            unit_weights=None,
            scale=scale_of(block.values),
            n_rows=block.values.size,
            dropped=block.dropped,
        )

    def _cells(self, index: int) -> pd.DataFrame:
        path = self.setting.paths[index]
        chosen = [at for at, (of, _) in enumerate(self.setting.fits) if of == index]
        size = np.array([len(self.treated[at]) for at in chosen])
        gaps = (self.treated_path - self.synthetic_path)[chosen]
        based = (self.time_weights[chosen] > 0).any(axis=0)
        base = ", ".join(str(self.periods[column]) for column in np.flatnonzero(based))
        years = np.array(self.periods)
        return pd.DataFrame(
            {
                "path": path.name,
                "group": index,
                "cohort": path.first,
                "period": years,
                "event_time": years - path.first,
                "phase": [
                    path.phase(year, partial_years=self.setting.partial_years) for year in self.periods
                ],
                "base": base or "none",
                "att": size @ gaps / size.sum(),
                "n_treated": int(size.sum()),
                "n_comparison": len(self.comparison),
            }
        )

    def tidy(self) -> pd.DataFrame:
        """Both paths, one row for each fit and period."""
        parts = []
        for at, (index, _) in enumerate(self.setting.fits):
            path = self.setting.paths[index]
            parts.append(
                pd.DataFrame(
                    {
                        "path": path.name,
                        "units": ", ".join(self.treated[at]),
                        "period": self.periods,
                        "phase": [
                            path.phase(year, partial_years=self.setting.partial_years)
                            for year in self.periods
                        ],
                        "treated": self.treated_path[at],
                        "synthetic": self.synthetic_path[at],
                        "att": self.treated_path[at] - self.synthetic_path[at],
                        "time_weight": self.time_weights[at],
                    }
                )
            )
        return pd.concat(parts, ignore_index=True)

    def weights(self) -> pd.DataFrame:
        """Unit weights above zero, the largest first, one row for each fit and comparison unit."""
        rows = [
            (", ".join(self.treated[at]), self.comparison[unit], float(self.unit_weights[at, unit]))
            for at in range(len(self.treated))
            for unit in np.argsort(-self.unit_weights[at], kind="stable")
            if self.unit_weights[at, unit] > 0
        ]
        return pd.DataFrame(rows, columns=["units", "comparison", "weight"])


def synthetic_did(
    panel: Panel,
    design: Design,
    *,
    outcome: str,
    unit: str | None = None,
    covariates: Sequence[str] | None = (),
    pooled: bool = True,
    solver: Solver = "frank_wolfe",
) -> Effects:
    r"""Synthetic difference-in-differences: parallel trends to a weighted comparison, from weighted base years.

    For a path with treated mean :math:`\bar Y_{g,t}`, comparison units C and :math:`T_0` periods before entry

    .. math::
        \hat\omega &= \arg\min_{\omega_0,\omega}\ \sum_{t \le T_0} \Bigl(\omega_0 + \sum_{i \in C} \omega_i Y_{it}
        - \bar Y_{g,t}\Bigr)^2 + \zeta^2 T_0 \|\omega\|^2, \\
        \hat\lambda &= \arg\min_{\lambda_0,\lambda}\ \sum_{i \in C} \Bigl(\lambda_0 + \sum_{t \le T_0} \lambda_t Y_{it}
        - \bar Y_{i,on}\Bigr)^2 + \zeta_\lambda^2 |C| \|\lambda\|^2, \\
        ATT(g, t) &= \bar Y_{g,t} - \sum_i \hat\omega_i Y_{it}
        - \sum_{s \le T_0} \hat\lambda_s \Bigl(\bar Y_{g,s} - \sum_i \hat\omega_i Y_{is}\Bigr),

    with weights that are not negative and sum to one. The penalty is :math:`\zeta = (n_g T_{on})^{1/4} \sigma`,
    sigma being the standard deviation of the first differences of the comparison before entry, and
    :math:`\zeta_\lambda = 10^{-6} \sigma`. Staggered entry: each path is fitted by itself against the
    never-treated, and `aggregate(..., by="simple")` averages over treated unit-periods.

    A unit that leaves is weighted as any other: the target of its time weights are its full years in the programme
    (or the partial ones, where there are no full ones yet), and its years after leaving are cells of phase "after".
    All periods before entry enter; `design.pre_years` is for bases that are plain means.

    It differs from `group_time_att` in that neither the comparison units nor the base years count alike; from
    `synthetic_control` in that a constant difference in level is allowed and the base years are weighted.

    Parameters
    ----------
    panel : Panel
    design : Design
    outcome : str
    unit : str, optional
        One treated unit by itself; all by default.
    covariates : sequence of str
        Other outcomes of the panel. Their part is taken out first (Kranz 2022): their coefficients come from a
        regression with unit and period effects on all cells that are not treated yet or never will be. It is not
        the joint search that R's synthdid does.
    pooled : bool
        Whether the mean of a path's units is fitted (default), or each of them by itself and then averaged.
    solver : {"frank_wolfe", "exact"}
        "frank_wolfe" stops where R's synthdid stops, so that its figures are repeated: -15.60382787 for
        California's Proposition 99. That is not the optimum of the problem above, which is "exact" and gives
        -15.60539792. The difference is small beside any standard error here, but it is the slow solver's alone, and
        "exact" is some fifty times as fast. How far a fit is from its optimum stands in `SyntheticFit.gap`.

    Returns
    -------
    Effects
        In the outcome's unit. For the weights and both paths see `synthetic_fit`.

    Raises
    ------
    DesignError
        A path has fewer than two periods before entry or none after it, no complete unit is left on one side, the
        covariates are collinear.
    DataError
        An outcome is not in the panel or not finite.

    Notes
    -----
    Estimand: The mean effect on the units of path g in period t; "simple" is the mean over treated unit-periods, each
    path fitted by itself.
    Assumptions: Weights of comparison units and of years before entry make trends parallel, as in a factor model with
    little noise; no anticipation; no spillover.
    Standard error: None from influence functions, as weights are estimated: `synthetic_placebos`, which needs the
    treated to be exchangeable with the comparison.
    Edge cases: Fewer than two periods before entry, or none after it, are refused; a unit with a gap is left out and
    named; where many weightings fit alike "exact" takes the one with the least squares; a constant outcome has no
    effect.
    Not covered: Jackknife and bootstrap errors of the source, not-yet-treated units as comparison, sampling weights,
    the joint search for covariates.

    References
    ----------
    Arkhangelsky, D., Athey, S., Hirshberg, D., Imbens, G. and Wager, S. (2021). Synthetic difference-in-differences.
    American Economic Review 111, 4088-4118. Clarke, D., Pailanir, D., Athey, S. and Imbens, G. (2024). On synthetic
    difference-in-differences and related estimation methods in Stata. Stata Journal 24, 557-598 (staggered). Kranz,
    S. (2022). Synthetic difference-in-differences with time-varying covariates.

    Examples
    --------
    >>> from mekeval import build_panel, make_design
    >>> frame = pd.DataFrame({"unit": list("aaabbbccc"), "year": [1, 2, 3] * 3})
    >>> frame["y"] = [5.0, 6.0, 9.0, 1.0, 2.0, 3.0, 1.0, 4.0, 7.0]
    >>> panel = build_panel(frame, unit="unit", period="year", outcome=["y"])
    >>> effects = synthetic_did(panel, make_design("abc", [(3, 3, ["a"])]), outcome="y", solver="exact")
    >>> effects.cells["period"].tolist(), effects.base_period
    ([1, 2, 3], 'time_weighted')
    """
    return synthetic_fit(
        panel, design, outcome=outcome, unit=unit, covariates=covariates, pooled=pooled, solver=solver
    ).effects()


def synthetic_control(
    panel: Panel,
    design: Design,
    *,
    outcome: str,
    unit: str | None = None,
    covariates: Sequence[str] | None = (),
    pooled: bool = True,
    demean: bool = False,
    solver: Solver = "exact",
) -> Effects:
    r"""Synthetic control: the treated against the weighted comparison that was nearest to them before entry.

    .. math::
        \hat\omega = \arg\min_\omega\ \sum_{t \le T_0} \Bigl(\sum_{i \in C} \omega_i Y_{it} - \bar Y_{g,t}\Bigr)^2
        + \zeta^2 T_0 \|\omega\|^2, \qquad ATT(g, t) = \bar Y_{g,t} - \sum_i \hat\omega_i Y_{it},

    weights not negative, summing to one; :math:`\zeta = 10^{-6} \sigma` as in R's synthdid, so small that it only
    chooses between weights that fit alike (many do where units outnumber periods and the treated lie among them):
    those spread most evenly. All outcomes before entry are the predictors. It assumes that the treated are within
    reach of the comparison: look at `SyntheticFit.pre_rmse` first. Paths that leave, `design.pre_years`, other
    parameters and errors are as in `synthetic_did`.

    Parameters
    ----------
    demean : bool
        Fit the paths around their own means before entry: a constant difference in level is allowed, every year
        before entry counts alike in the base (Doudchenko and Imbens; Ferman and Pinto).
    solver : {"exact", "frank_wolfe"}
        With "frank_wolfe" R's `sc_estimate` is repeated (-19.61966 for Proposition 99); the optimum is -19.51363.

    Returns
    -------
    Effects
        In the outcome's unit.

    Notes
    -----
    Estimand: The mean effect on the units of path g in period t, as in `synthetic_did`.
    Assumptions: The untreated path of the treated lies within reach of the comparison, so that the weights that fit
    before entry fit after it; no anticipation; no spillover.
    Standard error: None from influence functions: `synthetic_placebos`.
    Edge cases: As in `synthetic_did`; a treated unit outside the reach of the comparison is not refused:
    `SyntheticFit.pre_rmse` tells.
    Not covered: Predictors other than the outcomes before entry and their weights V (R's Synth), conformal intervals,
    bias corrections.

    References
    ----------
    Abadie, A., Diamond, A. and Hainmueller, J. (2010). Synthetic control methods for comparative case studies.
    Journal of the American Statistical Association 105, 493-505. Ferman, B. and Pinto, C. (2021). Synthetic controls
    with imperfect pretreatment fit. Quantitative Economics 12, 1197-1221.

    Examples
    --------
    >>> from mekeval import build_panel, make_design
    >>> frame = pd.DataFrame({"unit": list("aaabbbccc"), "year": [1, 2, 3] * 3})
    >>> frame["y"] = [2.0, 3.0, 9.0, 1.0, 2.0, 3.0, 3.0, 4.0, 5.0]
    >>> panel = build_panel(frame, unit="unit", period="year", outcome=["y"])
    >>> effects = synthetic_control(panel, make_design("abc", [(3, 3, ["a"])]), outcome="y")
    >>> round(float(effects.cells["att"].iloc[-1]), 6)  # 9 - (3 + 5) / 2
    5.0
    """
    return synthetic_fit(
        panel,
        design,
        outcome=outcome,
        method="demeaned_synthetic_control" if demean else "synthetic_control",
        unit=unit,
        covariates=covariates,
        pooled=pooled,
        solver=solver,
    ).effects()


def synthetic_fit(
    panel: Panel,
    design: Design,
    *,
    outcome: str,
    method: SyntheticMethod = "synthetic_did",
    unit: str | None = None,
    covariates: Sequence[str] | None = (),
    pooled: bool = True,
    solver: Solver | None = None,
) -> SyntheticFit:
    """The fit behind `synthetic_did` and `synthetic_control`: weights, both paths, and how good it is.

    `synthetic_fit(...).effects()` is what those two return. Parameters and errors are theirs.

    Parameters
    ----------
    method : {"synthetic_did", "synthetic_control", "demeaned_synthetic_control"}
    solver : {"exact", "frank_wolfe"}, optional
        By default that of the estimator: "frank_wolfe" for synthetic difference-in-differences, else "exact".
    """
    check_word("method", method, METHODS)
    used: Solver = solver or ("frank_wolfe" if method == "synthetic_did" else "exact")
    check_word("solver", used, SOLVERS)
    setting = make_setting(panel, design, outcome=outcome, unit=unit, covariates=covariates, pooled=pooled)
    block = setting.block
    solved = []
    for index in dict.fromkeys(index for index, _ in setting.fits):
        rows = np.stack([rows for of, rows in setting.fits if of == index])
        donors = np.broadcast_to(setting.comparison, (len(rows), len(setting.comparison)))
        before, inside = windows(setting, index)
        solved.append(solve_units(block.values, rows, donors, before, inside, method=method, solver=used))
    joined = {
        name: np.concatenate([getattr(one, name) for one in solved]) for name in Solved.__dataclass_fields__
    }
    return SyntheticFit(
        method=method,
        solver=used,
        outcome=outcome,
        covariates=names_of(covariates),
        coefficients=setting.coefficients,
        treated=tuple(tuple(block.units[row] for row in rows) for _, rows in setting.fits),
        comparison=tuple(block.units[row] for row in setting.comparison),
        periods=block.periods,
        unit_weights=joined["unit_weights"],
        time_weights=joined["time_weights"],
        intercept=joined["intercept"],
        treated_path=joined["treated"],
        synthetic_path=joined["synthetic"],
        pre_rmse=joined["pre_rmse"],
        zeta=joined["zeta"],
        gap=joined["gap"],
        setting=setting,
    )
