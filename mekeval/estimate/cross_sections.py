"""Group-time effects from repeated cross-sections: other people in every year, told by area.

In: a panel whose cells are samples (the mean of an outcome and the number of persons behind it), and a design.
Out: `Effects` by area, the cluster. Never: the change of a single area, which these estimators do not need.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..design import Design
from ..errors import DataError, DesignError, Fault, closest
from ..panel import Floats, Panel
from .cells import Base, cell_row, check_options, effect_cells, joined, panel_arrays
from .doubly_robust import TRIM, Method, prepare_two_by_two
from .effects import ONE_IN_CORNER, Effects, lone_sides
from .fixed_effects import Comparison
from .inputs import refuse_constant, scale_of, why_lacking


def repeated_cross_sections(
    panel: Panel,
    design: Design,
    *,
    outcome: str,
    count: str | None = None,
    comparison: Comparison = "never_treated",
    anticipation: int = 0,
    base_period: Base = "varying",
    covariates: Sequence[str] | None = (),
    method: Method = "dr",
) -> Effects:
    r"""ATT of each path in each period from four means of persons, where the persons differ from year to year.

    For path g, period t, base b and comparison C, with means over persons

    .. math::
        ATT(g, t) = E[Y_t \mid g] - E[Y_b \mid g] - \left(E[Y_t \mid C] - E[Y_b \mid C]\right),

    with covariates each 2x2 by `cross_section_att`. A cell of the panel is one area in one year: the mean of the
    outcome over `count` persons. It stands for that many persons with the same outcome and covariates; within-area
    variation is not needed, since areas are the clusters of the standard error. Areas may lack years.

    Parameters
    ----------
    panel : Panel
    design : Design
        Its `pre_years` is not used; see `base_period`.
    outcome : str
        Mean of the persons of the area in the year. A period belongs when any area has a cell in it.
    count : str, optional
        An outcome of the panel with the number of persons behind each cell (or the sum of their weights). A cell
        whose count is zero or missing is none. By default each cell counts as one: R's did calls that
        ``allow_unbalanced_panel = TRUE``.
    comparison : {"never_treated", "not_yet_treated"}
        The latter adds the areas that enter after max(t, b) + `anticipation`.
    anticipation : int
        Calendar years before entry in which persons may already react.
    base_period : {"varying", "universal"}
        As in `callaway_santanna`; the cell that is zero by construction is left out.
    covariates : sequence of str
        Other outcomes of the panel, means of the area in the year; each cell enters with its own, as in did.
    method : {"dr", "reg", "ipw"}
        Locally efficient doubly robust, outcome regression, or weights that sum to one; one without covariates.

    Returns
    -------
    Effects
        In the outcome's unit. `influence` holds the sums over the persons of each area; `n_treated` and `n_comparison`
        count areas, `n_rows` cells. An effect is left out where one of its four corners has no cell, and so is a path
        without an effect after its entry. `unit_weights` are the persons of each area in all years, by which
        `aggregate` counts the size of paths (the share of rows, as in did with ``panel = FALSE``); without `count`
        it is None: each area counts as one, as in did with an identifier. `dropped` names areas without any cell,
        treated from the first period on ("already_treated"), or in no comparison. `changes` and `exposure` are None.

    Raises
    ------
    DesignError
        A path has no period before entry that anticipation leaves alone; no comparison, or no effect, is left;
        covariates are collinear, separate the two sides or leave no overlap, or hold the outcome itself; a constant
        outcome.
    DataError
        An unknown outcome, covariate or count; infinite values; negative counts.

    Notes
    -----
    Estimand: The mean effect in t on the persons of path g.
    Assumptions: Parallel trends of the means, given covariates; no anticipation beyond `anticipation`; a stable
    composition: the persons of b and of t come from one population on each side, given covariates. A programme that
    makes people move breaks the last.
    Standard error: Cluster-robust by area, from influence functions summed over the persons of an area, without a
    factor for few clusters, as did gives with an identifier. With few treated areas it is too small. That of "dr"
    with covariates differs from did's: see `cross_section_att`.
    Edge cases: A cell without outcome, covariate or count, or with a count of zero, is none; an effect without a cell
    in one of its four corners is left out, and so is a path without an effect after entry, whose areas may still be
    compared with; areas treated from the first period on are in `dropped`; where nobody is never treated,
    "not_yet_treated" ends before the last cohort reacts; one area on a side, in one of the two years too, has no
    standard error.
    Not covered: Sampling within areas (each area is one draw), clusters above the area, permutation of treated sets,
    weights of areas beside the counts.

    It differs from `callaway_santanna` in that levels enter, not changes of an area: where areas have gaps, their
    levels move these estimates and cancel in those. On a balanced panel with one count for each area in all years, and
    covariates that do not change, both give the same estimates; without covariates the same errors. With an identifier
    did counts an area by the mean of its weights in aggregations, here it is by their sum: the persons.

    References
    ----------
    Callaway, B. and Sant'Anna, P. (2021). Difference-in-differences with multiple time periods. Journal of
    Econometrics 225, 200-230, appendix B. Sant'Anna, P. and Zhao, J. (2020). Doubly robust
    difference-in-differences estimators. Journal of Econometrics 219, 101-122. R package did 2.5.1 (`att_gt` with
    `panel = FALSE` or `allow_unbalanced_panel = TRUE`).

    Examples
    --------
    >>> from mekeval import build_panel, make_design
    >>> frame = pd.DataFrame(
    ...     {"area": list("aabbcc"), "year": [1, 2] * 3, "y": [1.0, 4, 2, 3, 0, 2], "n": [5, 5, 1, 1, 3, 1]}
    ... )
    >>> panel = build_panel(frame, unit="area", period="year", outcome=["y", "n"])
    >>> effects = repeated_cross_sections(panel, make_design("abc", [(2, 2, ["a"])]), outcome="y", count="n")
    >>> float(effects.cells["att"][0])  # (4 - 1) - ((3 + 2) / 2 - (1 * 2 + 3 * 0) / 4)
    1.0
    """
    covariates = check_options(comparison, anticipation, base_period, covariates, method)
    if outcome in covariates:
        raise DesignError(
            "The outcome is among its own covariates.",
            where="covariates",
            found=repr(outcome),
            fix="In a cross-section the outcome of the same year would explain itself; leave it out.",
        )
    sample = _read(panel, design, outcome, list(covariates), count)
    if comparison == "never_treated" and not sample.filled[:, sample.group == -1].any():
        raise DesignError(
            "No never-treated unit with data is left to compare with.",
            where=outcome,
            found=f"{len(design.comparison)} areas, none of them with a cell",
            fix="Where entry is staggered, use 'not_yet_treated'.",
        )
    found: list[tuple[int, dict[str, object], Floats, npt.NDArray[np.bool_]]] = []
    faults: dict[Fault, list[str]] = {}
    for cell in effect_cells(design, sample.group, sample.periods, anticipation, base_period):
        treated = sample.group == cell.group
        rest = sample.group == -1
        if comparison == "not_yet_treated":
            rest = rest | ((sample.cohort > cell.cutoff) & (sample.cohort != cell.path.first))
        corners = [
            side & sample.filled[position]
            for side in (treated, rest)
            for position in (cell.base, cell.position)
        ]
        if not all(corner.any() for corner in corners):
            continue
        rows = [np.flatnonzero(corners[later] | corners[2 + later]) for later in (0, 1)]  # before, after
        at = np.repeat([cell.base, cell.position], [len(rows[0]), len(rows[1])])
        area = np.concatenate(rows)
        try:
            att, psi = cross_section_att(
                sample.values[at, area],
                np.repeat([False, True], [len(rows[0]), len(rows[1])]),
                treated[area],
                covariates=sample.covariates[:, at, area].T if covariates else None,
                names=covariates,
                weights=sample.weights[at, area],
                method=method,
            )
        except DesignError as error:
            place = f"path {cell.path.name} in {sample.periods[cell.position]}"
            faults.setdefault(error.faults[0], []).append(place)
            continue
        influence = np.bincount(area, psi / len(area), minlength=len(sample.units)).astype(np.float64)
        inside = np.bincount(area, minlength=len(sample.units)) > 0
        row = cell_row(
            cell,
            design,
            sample.periods,
            att=att,
            n_treated=int(np.sum(inside & treated)),
            n_comparison=int(np.sum(inside & rest)),
        )
        alone = any(np.count_nonzero(corner) == 1 for corner in corners)
        lone = str(lone_sides(np.array(row["n_treated"]), np.array(row["n_comparison"])))
        row["se_note"] = lone or (ONE_IN_CORNER if alone else "")
        found.append((cell.group, row, influence, inside))
    if faults:
        raise joined(faults, outcome)
    last = sample.periods[-1]
    first = {index: path.first for index, path in enumerate(design.paths)}
    estimated = {index for index, row, *_ in found if row["phase"] != "pre" or first[index] > last}
    found = [one for one in found if one[0] in estimated]
    if not found:
        raise DesignError(
            "No path has an effect with cells in all its four corners.",
            where=outcome,
            found=f"{int(sample.filled.sum())} cells from {sample.periods[0]} to {last}",
            expected="cells of a path and of its comparison, in the base period and after entry",
        )
    # An area of an estimated path, or never treated, counts in the shares even where its years are in no 2x2.
    entered = np.isin(sample.group, [-1, *estimated]) & sample.filled.any(axis=0)
    entered |= np.any([inside for *_, inside in found], axis=0)
    n = int(entered.sum())
    return Effects(
        estimator="repeated_cross_sections",
        outcome=outcome,
        base_period=base_period,
        cells=pd.DataFrame([row for _, row, *_ in found]),
        units=tuple(unit for unit, inside in zip(sample.units, entered, strict=True) if inside),
        group=np.where(np.isin(sample.group, list(estimated)), sample.group, -1)[entered],
        influence=n * np.column_stack([psi[entered] for _, _, psi, _ in found]),
        changes=None,
        exposure=None,
        shares_estimated=True,
        unit_weights=None if count is None else sample.weights[:, entered].sum(axis=0),
        scale=scale_of(sample.values[sample.filled]),
        n_rows=int(sample.filled[:, entered].sum()),
        dropped=(
            *sample.dropped,
            *(_lacking(sample, panel, at) for at in np.flatnonzero(~entered).tolist()),
        ),
    )


def cross_section_att(
    values: Floats,
    after: npt.NDArray[np.bool_],
    treated: npt.NDArray[np.bool_],
    *,
    covariates: Floats | None = None,
    names: Sequence[str] = (),
    weights: Floats | None = None,
    method: Method = "dr",
) -> tuple[float, Floats]:
    r"""The ATT of one 2x2 from two cross-sections, and its influence function by row.

    With weights :math:`w`, :math:`D` the treated, :math:`T` the later period, :math:`w^{1}_T = w D 1\{T\}`, the odds
    :math:`w^0_T = w (1 - D) 1\{T\}\, p(X) / (1 - p(X))` of comparison rows with :math:`p(X) < 0.995`, regressions
    :math:`\mu_{d,T}` of the outcome in each of the four corners, :math:`r = Y - \mu_{0,T}(X)` and :math:`M[w; z]` a
    weighted mean,

    .. math::
        ATT_{reg} &= M[w^1_1; Y] - M[w^1_0; Y] - M[w D; \mu_{0,1} - \mu_{0,0}] \\
        ATT_{ipw} &= M[w^1_1; Y] - M[w^1_0; Y] - (M[w^0_1; Y] - M[w^0_0; Y]) \\
        ATT_{dr} &= M[w^1_1; r] - M[w^1_0; r] - (M[w^0_1; r] - M[w^0_0; r]) \\
        &\quad + M[w D; \delta_1] - M[w^1_1; \delta_1] - (M[w D; \delta_0] - M[w^1_0; \delta_0]),
        \qquad \delta_T = \mu_{1,T} - \mu_{0,T}.

    Parameters
    ----------
    values : array, shape (n,)
        The outcome of each row: a person, or a cell that stands for `weights` persons.
    after, treated : array of bool, shape (n,)
        Each of the four corners must hold a row.
    covariates : array, shape (n, n_covariates), optional
        In any unit; without a constant.
    names : sequence of str
        Of the covariates, for messages.
    weights : array, shape (n,), optional
        Positive.
    method : {"dr", "reg", "ipw"}

    Returns
    -------
    att : float
        In the unit of `values`.
    influence : array, shape (n,)
        With ``se = sqrt(sum(influence**2)) / n`` where rows are independent; summed by cluster where they are not.

    Raises
    ------
    DesignError
        The covariates are collinear in a corner, separate the treated from the comparison, or leave no overlap.

    Notes
    -----
    The influence function of "dr" is the derivative of the estimate in the weights of the rows. `drdid_rc`, as did 2.5
    uses it, enters the regression of the comparison in the earlier period with the opposite sign. What that multiplies
    vanishes in large samples where the propensity score is right, so that both errors are valid there; in small
    samples they differ. Estimates, and the errors of "reg" and "ipw", are those of DRDID.

    References
    ----------
    Sant'Anna, P. and Zhao, J. (2020), equations 2.4 and 3.4; R package DRDID: `drdid_rc`, `reg_did_rc`,
    `std_ipw_did_rc`.

    Examples
    --------
    >>> after = np.array([False, True, False, True])
    >>> treated = np.array([True, True, False, False])
    >>> cross_section_att(np.array([1.0, 5.0, 2.0, 3.0]), after, treated)[0]
    3.0
    """
    n = len(values)
    w = np.ones(n) if weights is None else weights / weights.mean()
    on = [np.where(treated & (after == later), w, 0.0) for later in (False, True)]
    rest = [np.where(~treated & (after == later), w, 0.0) for later in (False, True)]
    if covariates is None or covariates.shape[1] == 0:
        return _combine(
            [(on[1], values, 1), (on[0], values, -1), (rest[1], values, -1), (rest[0], values, 1)]
        )
    # Whether a covariate varies at all, and its scale, are those of all rows, so that all fits share one design.
    fits = {
        (side, later): _corner(treated if side else ~treated, after, later, covariates, names, w)
        for side in ((True, False) if method == "dr" else (False,) if method == "reg" else ())
        for later in (False, True)
    }
    both = np.where(treated, w, 0.0)
    if method == "reg":
        fitted = [fits[False, later].predict(values) for later in (False, True)]
        att, influence = _combine(
            [(on[1], values, 1), (on[0], values, -1), (both, fitted[1], -1), (both, fitted[0], 1)]
        )
        for later, sign in ((True, -1), (False, 1)):
            influence += fits[False, later].leverage(values, sign * both)
        return att, influence
    score = prepare_two_by_two(treated, covariates=covariates, names=names, weights=w, method="ipw")
    p, x = np.asarray(score.score), np.asarray(score.design)
    kept = np.where(~treated & (p < TRIM), p / (1 - p), 0.0)
    odds = [kept * side for side in rest]
    if not all(side.any() for side in odds):
        raise DesignError(
            "No comparison cell is left in one of both periods: all propensity scores are trimmed.",
            expected=f"below {TRIM}",
        )
    residual, fitted = values, [values, values]
    if method == "dr":
        fitted = [fits[False, later].predict(values) for later in (False, True)]
        residual = values - np.where(after, fitted[1], fitted[0])
    terms = [(on[1], residual, 1), (on[0], residual, -1), (odds[1], residual, -1), (odds[0], residual, 1)]
    if method == "dr":
        gap = [fits[True, later].predict(values) - fitted[later] for later in (False, True)]
        terms += [(both, gap[1], 1), (on[1], gap[1], -1), (both, gap[0], -1), (on[0], gap[0], 1)]
    att, influence = _combine(terms)
    slope = np.zeros(x.shape[1])
    for side, sign in ((odds[1], -1), (odds[0], 1)):
        mean = side @ residual / side.sum()
        slope += sign * (x.T @ (side * (residual - mean))) / side.sum()
    influence += n * w * (treated - p) * (x @ (np.asarray(score.score_inverse) @ slope))
    if method == "dr":
        for later, sign in ((True, 1), (False, -1)):
            influence += fits[False, later].leverage(values, sign * odds[later], -sign * both)
            influence += fits[True, later].leverage(values, sign * both, -sign * on[later])
    return att, influence


@dataclass(frozen=True, kw_only=True)
class _Regression:
    """A weighted regression in one corner: `fit` maps its root-weighted values to coefficients of `design`."""

    corner: npt.NDArray[np.bool_]
    weights: Floats
    design: Floats
    fit: Floats

    def predict(self, values: Floats) -> Floats:
        """Fitted values of all rows."""
        root = np.sqrt(self.weights[self.corner])
        return np.asarray(self.design @ (self.fit @ (root * values[self.corner])))

    def leverage(self, values: Floats, *means: Floats) -> Floats:
        """What the estimation of the coefficients adds to the influence function of sums of means of the fit."""
        gradient = np.sum([self.design.T @ mean / abs(mean.sum()) for mean in means], axis=0)
        weighted = np.where(self.corner, self.weights * (values - self.predict(values)), 0.0)
        return np.asarray(len(values) * weighted * (self.design @ (self.fit @ (self.fit.T @ gradient))))


def _corner(
    side: npt.NDArray[np.bool_],
    after: npt.NDArray[np.bool_],
    later: bool,
    covariates: Floats,
    names: Sequence[str],
    weights: Floats,
) -> _Regression:
    corner = side & (after == later)
    period = "later" if later else "earlier"
    try:
        fitted = prepare_two_by_two(
            ~corner, covariates=covariates, names=names, weights=weights, method="reg"
        )
    except DesignError as error:
        fault = error.faults[0]
        raise DesignError(
            fault.what,
            found=fault.found.replace("comparison units", f"cells of one side in the {period} period"),
            fix=fault.fix,
        ) from None
    return _Regression(
        corner=corner,
        weights=fitted.weights,
        design=np.asarray(fitted.design),
        fit=np.asarray(fitted.regression),
    )


def _combine(terms: Sequence[tuple[Floats, Floats, int]]) -> tuple[float, Floats]:
    """A signed sum of weighted means, and its influence function with the weights taken as given."""
    att, influence = 0.0, np.zeros(len(terms[0][0]))
    for weights, values, sign in terms:
        total = weights.sum()
        mean = float(weights @ values / total)
        att += sign * mean
        influence += sign * len(values) * weights * (values - mean) / total
    return att, influence


@dataclass(frozen=True, kw_only=True)
class _Sample:
    """Cells as periods by units: `values`, `weights` (0 where `filled` is False), `covariates` first by covariate."""

    names: tuple[str, ...]
    units: list[str]
    rows: npt.NDArray[np.intp]
    periods: tuple[int, ...]
    group: npt.NDArray[np.int64]
    cohort: Floats
    values: Floats
    weights: Floats
    covariates: Floats
    filled: npt.NDArray[np.bool_]
    dropped: tuple[tuple[str, str, int], ...]


def _read(panel: Panel, design: Design, outcome: str, covariates: list[str], count: str | None) -> _Sample:
    """The cells of a design's areas, and who is left out at once."""
    names = (outcome, *covariates, *([] if count is None else [count]))
    arrays = panel_arrays(panel, names, count)
    units = [*design.treated, *design.comparison]
    rows = pd.Index(panel.units, dtype=object).get_indexer(pd.Index(units, dtype=object))
    if np.any(rows < 0):
        unknown = units[int(np.flatnonzero(rows < 0)[0])]
        raise DataError(
            "The panel has no such unit.", found=repr(unknown), expected=closest(unknown, panel.units)
        )
    inside = {name: values[rows].T for name, values in arrays.items()}
    filled = np.all([~np.isnan(values) for values in inside.values()], axis=0)
    if count is not None:
        filled &= inside[count] > 0
    shown = filled.any(axis=1)
    if np.count_nonzero(shown) < 2:
        raise DesignError(
            "Differences need two periods with data.",
            where=outcome,
            found=", ".join(str(year) for year, here in zip(panel.periods, shown, strict=True) if here)
            or "none",
            expected=f"periods in which an area has {', '.join(names)}",
        )
    periods = tuple(period for period, here in zip(panel.periods, shown, strict=True) if here)
    first = np.array([*(float(path.first) for path in design.paths), np.inf])
    group = np.repeat(
        np.array([*range(len(design.paths)), -1]),
        [*(len(path.units) for path in design.paths), len(design.comparison)],
    )
    already = first[group] <= periods[0]
    filled = filled[shown]
    seen = inside[outcome][shown][:, ~already][filled[:, ~already]]
    if not np.any(filled[:, ~already & (group >= 0)]):
        raise DesignError(
            "No treated area with data is left.",
            where=outcome,
            found=f"{len(design.treated)} treated areas, {int(np.sum(already))} of them from the first period on",
            expected=f"an area that enters after {periods[0]}",
        )
    refuse_constant(seen, outcome)
    weights = np.ones(filled.shape) if count is None else inside[count][shown]
    kept = np.flatnonzero(~already)
    return _Sample(
        names=names,
        units=[units[at] for at in kept],
        rows=rows[kept],
        periods=periods,
        group=group[kept],
        cohort=first[group[kept]],
        values=inside[outcome][shown][:, kept],
        weights=np.where(filled, weights, 0.0)[:, kept],
        covariates=np.array([inside[name][shown][:, kept] for name in covariates]).reshape(
            len(covariates), len(periods), len(kept)
        ),
        filled=filled[:, kept],
        dropped=tuple((units[at], "already_treated", periods[0]) for at in np.flatnonzero(already)),
    )


def _lacking(sample: _Sample, panel: Panel, at: int) -> tuple[str, str, int]:
    """Why an area is left out: its first value that is not there."""
    if not sample.filled[:, at].all():
        year = sample.periods[int(np.argmin(sample.filled[:, at]))]
        column = panel.periods.index(year)
        for name in sample.names:
            if np.isnan(panel.values[name][sample.rows[at], column]):
                reason = str(panel.reasons[name][sample.rows[at], column])
                return sample.units[at], why_lacking(name, reason, sample.names[0]), year
        return sample.units[at], f"{sample.names[-1]} is zero", year
    return sample.units[at], "in no comparison", sample.periods[0]
