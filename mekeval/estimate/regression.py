"""Estimators that are one regression with unit and period effects.

In: a panel and a design. Out: `Effects` with scores clustered by unit. Never: an aggregation, which is
`aggregate`'s, or a silent mixture: each docstring says what its coefficients average.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from ..design import Design
from ..display import Shown
from ..errors import DesignError, closest
from ..panel import Floats, Panel
from .dummies import check_reference, event_time_effects, path_effects, treated_kinds, treatment_effect
from .effects import Effects, standard_errors
from .fixed_effects import COMPARISONS, Comparison, Fit, take_sample
from .inputs import check_word, names_of

WithCovariates = Literal["twfe", "twfe_event_study", "sun_abraham"]
WITH_COVARIATES: tuple[WithCovariates, ...] = ("twfe", "twfe_event_study", "sun_abraham")


@dataclass(frozen=True, kw_only=True, repr=False)
class CovariateCoefficients(Shown):
    """What a regression says of its covariates.

    Attributes
    ----------
    estimator, outcome : str
    table : pandas.DataFrame
        One row for each covariate: `covariate`, `estimate` (outcome's unit per unit of the covariate), `se`
        (clustered by unit).
    units : tuple of str
        n_units.
    influence : array, shape (n_units, n_covariates)
        With ``se = sqrt(sum(influence**2)) / n_units``.
    n_rows : int
        Unit-period cells used.
    """

    estimator: str
    outcome: str
    table: pd.DataFrame
    units: tuple[str, ...]
    influence: Floats
    n_rows: int


def twfe(panel: Panel, design: Design, *, outcome: str, covariates: Sequence[str] | None = ()) -> Effects:
    r"""The coefficient of treatment beside unit and period effects (two-way fixed effects).

    .. math:: Y_{it} = \alpha_i + \lambda_t + \beta D_{it} + X_{it}'\delta + \varepsilon_{it}

    where D is 1 in a unit's years in the programme, partial years included, and 0 before, after and between.

    What it averages: with :math:`\tilde D` as D net of both effects,
    :math:`\beta = \sum \tilde D_{it} Y_{it} / \sum \tilde D_{it}^2`, every comparison of units that switch with
    units that do not at that time, more weight where treatment varies most (mid-panel cohorts), not by size alone.
    Among the comparisons are later against earlier cohorts, treated already: where effects grow, fade or differ
    between cohorts, some effects enter with negative weight, and :math:`\beta` can lie outside all of them, with the
    wrong sign even (Goodman-Bacon 2021, see `bacon_decomposition`; de Chaisemartin and D'Haultfoeuille 2020). It is
    right with one cohort that stays, or with one constant effect. It is here to be held against the others.

    Units that leave count as untreated from then on, so an effect that lasts is taken for the absence of one; read
    "after_leaving" of `group_time_att` for them. Units that are always treated stay in, as in other packages: their
    trend, effects included, then serves as a comparison.

    Parameters
    ----------
    panel : Panel
    design : Design
    outcome : str
    covariates : sequence of str
        Other outcomes of the panel, by the value of each period.

    Returns
    -------
    Effects
        In the outcome's unit, one cell: `path` "all", `phase` "on"; `cohort`, `period` and `event_time` are None, for
        it belongs to no single one, so `aggregate` knows it by "simple" and "path" only. `group` is 0 for units
        treated in some period of the data, else -1. Every cell with data is used; scores are clustered by unit with
        fixest's small-sample factor (see `least_squares`).

    Raises
    ------
    DataError, DesignError
        As `take_sample` and `least_squares`.

    Notes
    -----
    Estimand: One coefficient: a mean of 2x2 comparisons weighted by the variance of treatment, in which effects of
    cohorts treated earlier can count negatively.
    Assumptions: Parallel trends in all periods, no anticipation, no spillover, and one constant effect (or one cohort
    that stays).
    Standard error: Clustered by unit with fixest's factor G/(G-1) (N-1)/(N-K), unit effects not counted in K.
    Edge cases: Cells with gaps are used as they are; units always treated stay as a comparison; where nobody is never
    treated, cohorts compare with each other and `n_comparison` is 0; treatment that the effects explain is refused;
    one treated unit has no standard error, nor has one comparison unit where all others enter together.
    Not covered: Weights, clusters other than the unit, trends by unit.

    References
    ----------
    Goodman-Bacon, A. (2021). Difference-in-differences with variation in treatment timing. Journal of Econometrics
    225, 254-277. Checked against R's fixest, `feols(y ~ D | unit + period)`.

    Examples
    --------
    >>> from mekeval import build_panel, make_design
    >>> frame = pd.DataFrame({"u": list("aabbcc"), "t": [1, 2] * 3, "y": [1.0, 4.0, 2.0, 3.0, 0.0, 2.0]})
    >>> panel = build_panel(frame, unit="u", period="t", outcome=["y"])
    >>> effects = twfe(panel, make_design("abc", [(2, 2, ["a"])]), outcome="y")
    >>> round(float(effects.cells["att"].iloc[0]), 6)  # two periods, one cohort: the difference in differences
    1.5
    """
    return _twfe(panel, design, outcome, covariates)[0]


def twfe_event_study(
    panel: Panel, design: Design, *, outcome: str, reference: int = -1, covariates: Sequence[str] | None = ()
) -> Effects:
    r"""Coefficients of the years since entry beside unit and period effects, all cohorts pooled.

    .. math:: Y_{it} = \alpha_i + \lambda_t + \sum_{e \ne r} \beta_e 1\{t - g_i = e\} + X_{it}'\delta + \varepsilon_{it}

    What it averages: :math:`\beta_e` is the effect at event time e only if every cohort has the same course of
    effects. Else it is a mixture of effects at all event times, with weights that sum to one over e, to minus one
    over the reference and to zero over the others: leads can be far from zero without any trend before
    entry, and close to zero with one (Sun and Abraham 2021). With one cohort it equals `sun_abraham`; with more, use
    that.

    Units always treated are left out, and named in `dropped`; a path that leaves within the data is refused, as years
    since entry would mix years in the programme with years after it.

    Parameters
    ----------
    panel : Panel
    design : Design
    outcome : str
    reference : int
        Event time that effects are relative to, negative. Where a path has no data in that year (irregular years),
        its last year with data before it takes its place.
    covariates : sequence of str
        Other outcomes of the panel, by the value of each period.

    Returns
    -------
    Effects
        In the outcome's unit, a cell for each event time but the reference: `path` "all"; `cohort` and `period` are
        None; `phase` by event time. `group` is 0 for treated units, -1 for the comparison.

    Raises
    ------
    DataError, DesignError
        As `take_sample` and `least_squares`; a path leaves; `reference` is no negative whole number, or a path has no
        data so early.

    Notes
    -----
    Estimand: A coefficient for each event time: the effect there only if every cohort has the same course of effects,
    else a mixture over event times.
    Assumptions: Parallel trends in all periods, no anticipation in the reference, no spillover, and one course of
    effects for all cohorts.
    Standard error: Clustered by unit with fixest's factor, as in `twfe`.
    Edge cases: Units always treated are left out and named; paths that leave are refused; where nobody is never
    treated, event times and periods are collinear, which is refused and named; one unit on a side has no error.
    Not covered: Binned event times, a window of them, weights, clusters other than the unit.

    References
    ----------
    Sun, L. and Abraham, S. (2021). Estimating dynamic treatment effects in event studies with heterogeneous treatment
    effects. Journal of Econometrics 225, 175-199. In R's fixest
    `feols(y ~ i(event_time, treated, ref) | unit + period)`.

    Examples
    --------
    >>> from mekeval import build_panel, make_design
    >>> frame = pd.DataFrame({"u": list("aaabbb"), "t": [1, 2, 3] * 2, "y": [1.0, 2.0, 5.0, 0.0, 3.0, 1.0]})
    >>> panel = build_panel(frame, unit="u", period="t", outcome=["y"])
    >>> effects = twfe_event_study(panel, make_design("ab", [(3, 3, ["a"])]), outcome="y")
    >>> effects.cells[["event_time", "att"]].round(6).values.tolist()
    [[-2.0, 2.0], [0.0, 5.0]]
    """
    return _event_study(panel, design, outcome, reference, covariates)[0]


def sun_abraham(
    panel: Panel, design: Design, *, outcome: str, reference: int = -1, covariates: Sequence[str] | None = ()
) -> Effects:
    r"""Effects of each path in each period from a regression saturated in both, against the never-treated.

    .. math::
        Y_{it} = \alpha_i + \lambda_t + \sum_g \sum_{t \ne g + r} \delta_{gt} 1\{i \in g\} 1\{t\} + X_{it}'\gamma
        + \varepsilon_{it}

    The event study of the source is ``aggregate(effects, by="event_time")``, its overall effect ``by="simple"``: the
    weights are the shares of the paths, taken as given (`shares_estimated` is False), as in fixest.
    Without covariates and gaps :math:`\delta_{gt}` is that of `group_time_att` with the universal base; the standard
    errors differ by the small-sample factor and by the shares. `extended_twfe` uses all periods before entry
    as base and is the more precise where trends are parallel throughout.

    Paths take the place of cohorts, so a path that leaves has its own effects, those after it left included
    (phase "after"). Units always treated are left out and named in `dropped`. Without a never-treated unit the last
    cohort is the comparison and the periods from its entry on are left out, as in the source.

    Parameters
    ----------
    panel : Panel
    design : Design
    outcome : str
    reference : int
        Event time that effects are relative to, negative. Where a path has no data in that year (irregular years),
        its last year with data before it takes its place; the column `base` names it.
    covariates : sequence of str
        Other outcomes of the panel, by the value of each period, with one coefficient each
        (`covariate_coefficients`). One that treatment itself moves takes a part of the effect away.

    Returns
    -------
    Effects
        In the outcome's unit. `changes` and `exposure` are there without covariates and gaps, where the effects are
        made of unit changes. On a panel with gaps `aggregate` still weighs paths by their units, fixest by their cells.

    Raises
    ------
    DataError, DesignError
        As `take_sample` and `least_squares`; `reference` is no negative whole number, or a path has no data so early.

    Notes
    -----
    Estimand: ATT(g, t) relative to the reference year; by event time, their mean over paths by number of units.
    Assumptions: Parallel trends against the never-treated (or the last cohort), no anticipation in the reference, no
    spillover; covariates enter linearly and are not moved by treatment.
    Standard error: Clustered by unit with fixest's factor, as in `twfe`; shares of paths taken as given.
    Edge cases: Units always treated are left out and named; where nobody is never treated, the last cohort compares
    and the periods from its entry on are left out; cells with gaps are used as they are; one unit on a side has no
    standard error.
    Not covered: Binned cohorts or periods, weights, clusters other than the unit, several reference years.

    References
    ----------
    Sun, L. and Abraham, S. (2021). Estimating dynamic treatment effects in event studies with heterogeneous treatment
    effects. Journal of Econometrics 225, 175-199. Checked against R's fixest, `sunab`.

    Examples
    --------
    >>> from mekeval import aggregate, build_panel, design_from_cohorts
    >>> frame = pd.DataFrame({"u": list("aaabbbccc"), "t": [1, 2, 3] * 3, "y": [1.0, 3, 4, 2, 2, 5, 0, 1, 1]})
    >>> panel = build_panel(frame, unit="u", period="t", outcome=["y"])
    >>> design = design_from_cohorts("abc", [2, 3, None], last_period=3)
    >>> table = aggregate(sun_abraham(panel, design, outcome="y"), by="event_time").table
    >>> table[["key", "att"]].round(6).values.tolist()  # at 0: (1 + 3) / 2
    [[-2.0, 1.0], [0.0, 2.0], [1.0, 2.0]]
    """
    return _sun_abraham(panel, design, outcome, reference, covariates)[0]


def extended_twfe(
    panel: Panel,
    design: Design,
    *,
    outcome: str,
    covariates: Sequence[str] | None = (),
    comparison: Comparison = "not_yet_treated",
) -> Effects:
    r"""Two-way fixed effects with an effect of its own for each path and period from entry on.

    .. math::
        Y_{it} = \alpha_i + \lambda_t + \sum_g \sum_{t \ge g} 1\{i \in g\} 1\{t\} (\tau_{gt}
        + (X_i - \bar X_g)'\rho_{gt}) + X_i'\pi_t + \varepsilon_{it}

    The mend for `twfe` is not another method but a regression that lets effects differ (Wooldridge). Units not yet
    treated help to estimate the period effects, and every period before entry is base. So it is more precise than
    `sun_abraham` where trends are parallel throughout, and more biased where they are so only shortly before entry.
    Without covariates its estimates on a balanced panel are those of imputation (Borusyak, Jaravel and Spiess;
    Gardner), its standard errors are not. There are no effects before entry to look at: `comparison` "never_treated"
    has them, relative to the last period before entry, and without covariates is `sun_abraham`.

    Paths take the place of cohorts; years after a path left have their own effects (phase "after") and are no
    comparison. Units always treated are left out and named in `dropped`. Without a never-treated unit
    the last cohort is the comparison and the periods from its entry on are left out.

    Parameters
    ----------
    panel : Panel
    design : Design
    outcome : str
    covariates : sequence of str
        Other outcomes of the panel, each by the unit's earliest value before entry, :math:`X_i`: what treatment may
        have moved is no covariate. Trends may differ with them (:math:`\pi_t`), and so may effects. The means
        :math:`\bar X_g` are over the units of the path and taken as given by the standard errors.
    comparison : {"not_yet_treated", "never_treated"}

    Returns
    -------
    Effects
        In the outcome's unit, at the path's mean of the covariates. `n_comparison` counts the units untreated in the
        period ("not_yet_treated") or never treated. Shares of paths are taken as given.

    Raises
    ------
    DataError, DesignError
        As `take_sample` and `least_squares`; more covariates than the units of a path can carry.

    Notes
    -----
    Estimand: ATT(g, t) from entry on, at the path's mean of the covariates.
    Assumptions: Parallel trends in every period, given covariates as they were before entry; no anticipation; no
    spillover; trends and effects linear in the covariates.
    Standard error: Clustered by unit with fixest's factor, as in `twfe`; shares of paths and means of covariates taken
    as given. R's etwfe has cohort effects in place of unit effects and counts them, which changes the factor alone.
    Edge cases: Units always treated are left out and named; where nobody is never treated, the last cohort compares; a
    path with fewer units than its slopes need is refused; one unit on a side has no standard error.
    Not covered: Logit and Poisson forms of the source, covariates that change over time, weights, clusters other than
    the unit.

    References
    ----------
    Wooldridge, J. M. (2021). Two-way fixed effects, the two-way Mundlak regression, and difference-in-differences
    estimators. SSRN 3906345; Empirical Economics 69 (2025), 2545-2587. Checked against R's etwfe and didimputation.

    Examples
    --------
    >>> from mekeval import build_panel, design_from_cohorts
    >>> frame = pd.DataFrame({"u": list("aaabbbccc"), "t": [1, 2, 3] * 3, "y": [1.0, 3, 4, 2, 2, 5, 0, 1, 1]})
    >>> panel = build_panel(frame, unit="u", period="t", outcome=["y"])
    >>> design = design_from_cohorts("abc", [2, 3, None], last_period=3)
    >>> effects = extended_twfe(panel, design, outcome="y")
    >>> effects.cells[["cohort", "period", "att"]].round(6).values.tolist()
    [[2.0, 2.0, 1.5], [2.0, 3.0, 2.25], [3.0, 3.0, 2.5]]
    """
    check_word(comparison, "comparison", COMPARISONS)
    sample = take_sample(
        panel, design, outcome=outcome, covariates=covariates, before_entry=True, last_cohort_compares=True
    )
    reference = None if comparison == "not_yet_treated" else -1
    return path_effects(sample, design, reference=reference, estimator="extended_twfe", moderated=True)[0]


def covariate_coefficients(
    panel: Panel,
    design: Design,
    *,
    outcome: str,
    covariates: Sequence[str] | None,
    estimator: WithCovariates = "sun_abraham",
    reference: int = -1,
) -> CovariateCoefficients:
    """The coefficients of the covariates in a regression whose effects `Effects` holds.

    They are associations given the effects, not effects of their own; they are kept apart so that no aggregation takes
    them for an ATT.

    Parameters
    ----------
    panel, design, outcome, covariates, reference
        As in the estimator; `twfe` has no reference and takes no notice of it.
    estimator : {"twfe", "twfe_event_study", "sun_abraham"}

    Raises
    ------
    DataError, DesignError
        As the estimator; no covariate is named; the estimator is unknown.

    Examples
    --------
    >>> from mekeval import build_panel, make_design
    >>> y, x = [1.0, 4.0, 2.0, 3.0, 0.0, 2.0], [0.0, 1.0, 1.0, 1.0, 0.0, 2.0]
    >>> frame = pd.DataFrame({"u": list("aabbcc"), "t": [1, 2] * 3, "y": y, "x": x})
    >>> panel = build_panel(frame, unit="u", period="t", outcome=["y", "x"])
    >>> design = make_design("abc", [(2, 2, ["a"])])
    >>> of_x = covariate_coefficients(panel, design, outcome="y", covariates=["x"], estimator="twfe")
    >>> round(float(of_x.table["estimate"].iloc[0]), 6)  # b and c: changes of y 1 and 2, of x 0 and 2
    0.5
    """
    if estimator not in WITH_COVARIATES:
        raise DesignError(
            "The estimator has no such coefficients.",
            where="estimator",
            found=repr(estimator),
            expected=closest(estimator, WITH_COVARIATES),
        )
    names = names_of(covariates)
    if not names:
        raise DesignError("No covariate is named.", where="covariates")
    if estimator == "twfe":
        effects, fit = _twfe(panel, design, outcome, names)
    elif estimator == "twfe_event_study":
        effects, fit = _event_study(panel, design, outcome, reference, names)
    else:
        effects, fit = _sun_abraham(panel, design, outcome, reference, names)
    influence = fit.influence[:, len(effects.cells) :]
    return CovariateCoefficients(
        estimator=estimator,
        outcome=outcome,
        table=pd.DataFrame(
            {
                "covariate": list(names),
                "estimate": fit.coefficients[len(effects.cells) :],
                "se": standard_errors(influence),
            }
        ),
        units=effects.units,
        influence=influence,
        n_rows=effects.n_rows,
    )


def _twfe(
    panel: Panel, design: Design, outcome: str, covariates: Sequence[str] | None
) -> tuple[Effects, Fit]:
    sample = take_sample(panel, design, outcome=outcome, covariates=covariates, keep_always_treated=True)
    return treatment_effect(sample, design)


def _event_study(
    panel: Panel, design: Design, outcome: str, reference: int, covariates: Sequence[str] | None
) -> tuple[Effects, Fit]:
    reference = check_reference(reference)
    sample = take_sample(panel, design, outcome=outcome, covariates=covariates)
    leaving = [
        path.name
        for _, path in treated_kinds(sample, design)
        if any(path.phase(int(period)) == "after" for period in sample.periods)
    ]
    if leaving:
        raise DesignError(
            "Years since entry would mix years in the programme with years after it.",
            where=outcome,
            found="paths that leave: " + "; ".join(dict.fromkeys(leaving)),
            fix="Use `sun_abraham` or `group_time_att`, which keep paths and phases apart.",
        )
    return event_time_effects(sample, design, reference)


def _sun_abraham(
    panel: Panel, design: Design, outcome: str, reference: int, covariates: Sequence[str] | None
) -> tuple[Effects, Fit]:
    reference = check_reference(reference)
    sample = take_sample(panel, design, outcome=outcome, covariates=covariates, last_cohort_compares=True)
    return path_effects(sample, design, reference=reference, estimator="sun_abraham", moderated=False)
