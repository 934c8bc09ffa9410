"""Triple differences: the difference-in-differences of those whom a programme reaches minus that of the others.

In: a panel, a design, and who is not eligible: another outcome of the same areas, or some of the units.
Out: `Effects`. Never: comparison cohorts pooled, which biases triple differences.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..design import Design
from ..errors import DesignError, Fault
from ..panel import Floats, Panel, balanced_block
from .callaway_santanna import callaway_santanna
from .cells import (
    Base,
    Cell,
    cell_row,
    check_options,
    effect_cells,
    joined,
    panel_arrays,
)
from .doubly_robust import Method, TwoByTwo, prepare_two_by_two, two_by_two_att
from .effects import Effects, lone_sides
from .fixed_effects import Comparison
from .inputs import refuse_constant, scale_of


def triple_difference(
    panel: Panel,
    design: Design,
    *,
    outcome: str,
    ineligible_outcome: str | None = None,
    eligible: Mapping[str, bool] | pd.Series | None = None,
    comparison: Comparison = "never_treated",
    anticipation: int = 0,
    base_period: Base = "varying",
    covariates: Sequence[str] | None = (),
    method: Method = "dr",
    weights: str | None = None,
) -> Effects:
    r"""ATT of each path in each period where only some of the people, or of the units, are eligible.

    With :math:`\Delta` the change from the base to the period t, g a path, C its comparison, and e and i the eligible
    and the ineligible,

    .. math::
        ATT(g, t) = E[\Delta Y \mid g, e] - E[\Delta Y \mid C, e]
        - \left(E[\Delta Y \mid g, i] - E[\Delta Y \mid C, i]\right).

    Who is not eligible is said in one of two ways.

    `ineligible_outcome`
        The areas are the units, and a second outcome measures the same thing among people of the same area whom the
        programme does not reach. The estimate is that of `callaway_santanna` on the difference of both outcomes.
    `eligible`
        The units themselves are eligible or not: schools of two kinds, or an area and age group each. In the design
        every unit of an area that enters the programme belongs to the path of its area, eligible or not, and every unit
        of an area that never does to the comparison. Only the eligible units of a path count as treated. For each
        comparison cohort c the estimate is the sum of three 2x2, each by `two_by_two_att` with the eligible of g as the
        treated,

        .. math:: ATT_c = DiD(g e, g i) + DiD(g e, c e) - DiD(g e, c i),

        so that covariates have the distribution of the eligible of g throughout; the difference of two conditional DiD,
        of the eligible and of the ineligible, has not, and is biased.

    With `eligible` and "not_yet_treated" there may be several comparison cohorts: the never-treated, and each cohort
    that enters after max(t, b) + `anticipation`, b being the base. Pooled they would be biased, since the shares of
    eligible units differ between cohorts and so do their trends. Each gives its own estimate instead, and these are
    averaged with the weights of least variance :math:`w = \Omega^{-1} 1 / (1'\Omega^{-1} 1)`, with :math:`\Omega` the
    covariance of their influence functions (GMM, section 4 of the source). A cohort with one unit on a side would seem
    to have no variance there: it takes part only where no comparison cohort has two on both sides.

    Without covariates and with one cohort it is the coefficient of the triple interaction in a regression with all
    lower interactions.

    Parameters
    ----------
    panel : Panel
    design : Design
        Its `pre_years` is not used; see `base_period`.
    outcome : str
        Of the eligible (or of all units, with `eligible`).
    ineligible_outcome : str, optional
        The same of those whom the programme does not reach, in the same unit.
    eligible : mapping of str to bool, or pandas.Series, optional
        For each unit of the design whether it is eligible; a series is read by its index. Others in it are not looked
        at.
    comparison : {"never_treated", "not_yet_treated"}
    anticipation : int
        Calendar years before entry in which units may already react.
    base_period : {"varying", "universal"}
        As in `callaway_santanna`; the cell that is zero by construction is left out.
    covariates : sequence of str
        Other outcomes of the panel; those of the earlier of t and b, linear beside a constant.
    method : {"dr", "reg", "ipw"}
        Doubly robust, outcome regression, or weighting by the propensity score; without covariates they are one.
    weights : str, optional
        An outcome of the panel with the weight of each unit, zero or more; as in `callaway_santanna`.

    Returns
    -------
    Effects
        In the outcome's unit. With `ineligible_outcome` all is as from `callaway_santanna`. With `eligible`, `group` is
        -1 for all but the eligible units of paths, `n_treated` counts the eligible units of the path, `n_comparison`
        the units of the other sides; paths are weighted in `aggregate` by their eligible units (P(S = g | Q = 1), as
        the paper defines it). `influence` is None where a path with several eligible units has one ineligible unit,
        since the variance of that side is unknown; an effect whose comparison cohorts all have one unit on a side has
        no standard error either. `dropped` names units without a value, covariate or weight in
        some period.

    Raises
    ------
    DesignError
        Not exactly one of `ineligible_outcome` and `eligible`; a unit without a word on its eligibility; a path, or the
        comparison, without eligible or without ineligible units; no period before entry that anticipation leaves
        alone; covariates that are collinear, separate two sides or leave no overlap; a constant outcome.
    DataError
        An unknown outcome, covariate or weight; infinite values; negative weights.

    Notes
    -----
    Estimand: The mean effect in t on the eligible of path g.
    Assumptions: Without the programme the gap between eligible and ineligible would have changed equally in g and in
    each comparison cohort, given the covariates of the eligible of g (neither difference-in-differences alone needs
    parallel trends); no anticipation beyond `anticipation`; no spillover to the ineligible, which would be subtracted
    from the effect.
    Standard error: Influence functions by unit; weights of cohorts and trimming are taken as given, and no factor
    n / (n - 1) enters. With `ineligible_outcome` the unit is the area, so that its two outcomes may move together. With
    `eligible` units of one area are taken as independent: where they are not, sum the influence functions over areas.
    Edge cases: A unit with a gap is left out; one treated from the first period on is in `dropped`; a comparison
    cohort without units on both sides is passed over; where nobody is never treated, "not_yet_treated" ends before the
    last cohort reacts; a path without a comparison after entry has no effects; one ineligible unit of a path leaves no
    standard error.
    Not covered: Repeated cross-sections, gaps by cell, machine learning for the nuisances, clusters above the unit.

    It differs from R's triplediff 0.2 in three ways. Aggregations weight paths by their eligible units, not by all
    units of the cohort. The error of a cell with several comparison cohorts does not depend on how many units of
    other cohorts there are; triplediff scales that influence function by the units of the cell but divides by all, so
    that its errors are too small where some cohorts take no part. And paths may leave the programme.

    References
    ----------
    Ortiz-Villavicencio, M. and Sant'Anna, P. (2025). Better understanding triple differences estimators. arXiv
    2505.09942; R package triplediff. Olden, A. and Møen, J. (2022). The triple difference estimator. Econometrics
    Journal 25, 531-553.

    Examples
    --------
    >>> from mekeval import build_panel, make_design
    >>> frame = pd.DataFrame({"area": list("aabb"), "year": [1, 2] * 2, "young": [1.0, 6, 2, 3], "old": [1.0, 2, 4, 4]})
    >>> panel = build_panel(frame, unit="area", period="year", outcome=["young", "old"])
    >>> design = make_design("ab", [(2, 2, ["a"])])
    >>> effects = triple_difference(panel, design, outcome="young", ineligible_outcome="old")
    >>> float(effects.cells["att"][0])  # (5 - 1) - (1 - 0)
    3.0
    """
    covariates = check_options(comparison, anticipation, base_period, covariates, method)
    if (ineligible_outcome is None) == (eligible is None):
        raise DesignError(
            "Who is not eligible must be said in one way.",
            where="ineligible_outcome, eligible",
            found="neither" if eligible is None else "both",
            expected="a second outcome of the same units, or for each unit whether it is eligible",
        )
    if ineligible_outcome is not None:
        _refuse_unknown(panel, outcome, ineligible_outcome, covariates, weights)
        difference = f"{outcome} minus {ineligible_outcome}"
        while difference in panel.values:
            difference += "'"
        effects = callaway_santanna(
            _with_difference(panel, outcome, ineligible_outcome, difference),
            design,
            outcome=difference,
            comparison=comparison,
            anticipation=anticipation,
            base_period=base_period,
            covariates=covariates,
            method=method,
            weights=weights,
            missing="drop_units",
        )
        both = np.concatenate([panel.values[outcome], panel.values[ineligible_outcome]])
        return replace(effects, estimator="triple_difference", outcome=outcome, scale=scale_of(both))
    sample, dropped = _read(panel, design, outcome, list(covariates), weights, _eligibility(eligible))
    _refuse_empty_sides(sample, design, comparison)
    found: list[tuple[Cell, dict[str, object], Floats, npt.NDArray[np.bool_]]] = []
    faults: dict[Fault, list[str]] = {}
    fits: dict[tuple[int, int, float], list[TwoByTwo]] = {}
    for cell in effect_cells(design, sample.group, sample.periods, anticipation, base_period):
        try:
            estimate = _estimate(sample, cell, comparison, covariates, method, fits)
        except DesignError as error:
            place = f"path {cell.path.name} in {sample.periods[cell.position]}"
            faults.setdefault(error.faults[0], []).append(place)
            continue
        if estimate is None:
            continue
        att, influence, members, alone = estimate
        n_treated = int(np.count_nonzero((sample.group == cell.group) & sample.eligible))
        n_comparison = int(np.count_nonzero(members)) - n_treated
        row = cell_row(cell, design, sample.periods, att=att, n_treated=n_treated, n_comparison=n_comparison)
        if alone:
            row["se_note"] = "a comparison cohort has one unit on a side: no standard error exists"
        else:
            row["se_note"] = str(lone_sides(np.array(n_treated), np.array(n_comparison)))
        found.append((cell, row, influence, members))
    if faults:
        raise joined(faults, outcome)
    last = sample.periods[-1]
    estimated = {cell.group for cell, row, *_ in found if row["phase"] != "pre" or cell.path.first > last}
    found = [one for one in found if one[0].group in estimated]
    if not found:
        raise DesignError(
            "No path has a comparison after its entry.",
            where=outcome,
            found=f"{len(sample.units)} units with data from {sample.periods[0]} to {last}",
            fix="Where entry is staggered, use 'not_yet_treated'.",
        )
    entered = np.any([members for *_, members in found], axis=0)
    for at in np.flatnonzero(~entered):
        dropped.append((sample.units[at], "in no comparison", sample.periods[0]))
    group = np.where(sample.eligible & np.isin(sample.group, list(estimated)), sample.group, -1)[entered]
    alone = any(
        np.count_nonzero((sample.group == one) & ~sample.eligible) == 1
        and np.count_nonzero((sample.group == one) & sample.eligible) > 1
        for one in estimated
    )
    cells = pd.DataFrame([row for _, row, *_ in found])
    if alone:
        cells["se_note"] = "a path has one ineligible unit: the variance of that side is unknown"
    n = int(entered.sum())
    return Effects(
        estimator="triple_difference",
        outcome=outcome,
        base_period=base_period,
        cells=cells,
        units=tuple(unit for unit, inside in zip(sample.units, entered, strict=True) if inside),
        group=group,
        influence=None if alone else n * np.column_stack([psi[entered] for _, _, psi, _ in found]),
        changes=None,
        exposure=None,
        shares_estimated=True,
        unit_weights=None if sample.weights is None else sample.weights[0, entered],
        scale=scale_of(sample.values),
        n_rows=n * len(sample.periods),
        dropped=tuple(dropped),
    )


@dataclass(frozen=True, kw_only=True)
class _Sample:
    """Complete units by periods, periods first.

    `values` (n_periods, n_units); `covariates` (n_covariates, n_periods, n_units); `weights` (n_periods, n_units) or
    None; `group`: path of the unit's area or -1; `cohort` with infinity for never.
    """

    units: list[str]
    periods: tuple[int, ...]
    values: Floats
    covariates: Floats
    weights: Floats | None
    group: npt.NDArray[np.int64]
    cohort: Floats
    eligible: npt.NDArray[np.bool_]


def _eligibility(eligible: object) -> Mapping[Hashable, object]:
    """Who is eligible by unit: of a mapping, or of a series by its index."""
    if isinstance(eligible, Mapping):
        return eligible
    if isinstance(eligible, pd.Series) and eligible.index.is_unique:
        return {str(unit): value for unit, value in eligible.items()}
    twice = isinstance(eligible, pd.Series)
    raise DesignError(
        "The index of the series names a unit twice."
        if twice
        else "Who is eligible is a mapping, or a series, of units.",
        where="eligible",
        found=repr(eligible.index[eligible.index.duplicated()][0])
        if isinstance(eligible, pd.Series)
        else type(eligible).__name__,
        expected="True or False for each unit, by its name",
    )


def _refuse_unknown(
    panel: Panel, outcome: str, ineligible_outcome: str, covariates: Sequence[str], weights: str | None
) -> None:
    """Names are looked for in the panel as it came, before it has an outcome more."""
    panel_arrays(panel, (outcome, ineligible_outcome), None)
    panel_arrays(panel, [*covariates, *([] if weights is None else [weights])], weights)


def _with_difference(panel: Panel, outcome: str, ineligible_outcome: str, name: str) -> Panel:
    """The panel with the difference of two outcomes as one more, under a name of its own."""
    if outcome == ineligible_outcome:
        raise DesignError(
            "The outcome of the ineligible is that of the eligible.",
            where="ineligible_outcome",
            found=repr(outcome),
            expected="the same thing among people whom the programme does not reach",
        )
    reasons = panel.reasons[outcome]
    reasons = np.where(reasons == "ok", panel.reasons[ineligible_outcome], reasons)
    difference = panel.values[outcome] - panel.values[ineligible_outcome]
    return replace(
        panel,
        values={**panel.values, name: difference},
        reasons={**panel.reasons, name: reasons},
    )


def _read(
    panel: Panel,
    design: Design,
    outcome: str,
    covariates: list[str],
    weights: str | None,
    eligible: Mapping[Hashable, object],
) -> tuple[_Sample, list[tuple[str, str, int]]]:
    """The complete units of a design with their eligibility, and who is left out."""
    silent = [
        unit
        for unit in (*design.treated, *design.comparison)
        if not isinstance(eligible.get(unit), (bool, np.bool_))
    ]
    if silent:
        raise DesignError(
            "It must be said of every unit whether it is eligible.",
            where="eligible",
            found=", ".join(f"{unit!r}: {eligible.get(unit, 'nothing')!r}" for unit in silent[:6])
            + (f" and {len(silent) - 6} more" if len(silent) > 6 else ""),
            expected="True or False",
        )
    others = [*covariates, *([] if weights is None else [weights])]
    every = panel_arrays(panel, [outcome, *others], weights)
    block = balanced_block(panel, outcome, units=[*design.treated, *design.comparison])
    dropped = list(block.dropped)
    rows = pd.Index(panel.units, dtype=object).get_indexer(pd.Index(block.units, dtype=object))
    columns = np.array([panel.periods.index(period) for period in block.periods])
    arrays = {name: every[name][np.ix_(rows, columns)] for name in others}
    first = {unit: (at, path.first) for at, path in enumerate(design.paths) for unit in path.units}
    group = np.array([first.get(unit, (-1, 0))[0] for unit in block.units])
    cohort = np.array([first.get(unit, (-1, np.inf))[1] for unit in block.units], dtype=float)
    keep = np.ones(len(block.units), dtype=bool)
    for name in others:
        lacking = np.isnan(arrays[name]) | ((arrays[name] == 0) if name == weights else False)
        for row in np.flatnonzero(lacking.any(axis=1) & keep):
            column = int(np.argmax(lacking[row]))
            reason = str(panel.reasons[name][rows[row], columns[column]])
            reason = f"{name} {'is zero' if reason == 'ok' else reason}"
            dropped.append((block.units[row], reason, block.periods[column]))
        keep &= ~lacking.any(axis=1)
    for row in np.flatnonzero(keep & (cohort <= block.periods[0])):
        dropped.append((block.units[row], "already_treated", block.periods[0]))
        keep[row] = False
    refuse_constant(block.values, outcome)
    units = [unit for unit, kept in zip(block.units, keep, strict=True) if kept]
    sample = _Sample(
        units=units,
        periods=block.periods,
        values=np.ascontiguousarray(block.values[keep].T),
        covariates=np.array([arrays[name][keep].T for name in covariates]).reshape(
            len(covariates), len(block.periods), len(units)
        ),
        weights=None if weights is None else np.ascontiguousarray(arrays[weights][keep].T),
        group=group[keep],
        cohort=cohort[keep],
        eligible=np.array([bool(eligible[unit]) for unit in units], dtype=bool),
    )
    return sample, dropped


def _refuse_empty_sides(sample: _Sample, design: Design, comparison: Comparison) -> None:
    """All sides that have nobody, at once."""
    sides = [(f"Path {path.name}", sample.group == at) for at, path in enumerate(design.paths)]
    sides = [(name, members) for name, members in sides if members.any()]
    if not sides:
        raise DesignError(
            "No treated unit with data is left.",
            found=f"{len(design.treated)} treated units",
            expected=f"a unit with data in every period that enters after {sample.periods[0]}",
        )
    if comparison == "never_treated":
        sides.append(("The never-treated comparison", sample.group == -1))
    faults = [
        Fault(
            what=f"{name} has no {kind} unit with data.",
            where="eligible",
            found=f"{int(members.sum())} units, all of them {'in' if kind == 'eligible' else ''}eligible"
            if members.any()
            else "no unit",
            expected="eligible and ineligible units on both sides",
        )
        for name, members in sides
        for kind, side in (("eligible", sample.eligible), ("ineligible", ~sample.eligible))
        if not np.any(members & side)
    ]
    if faults:
        raise DesignError.of(faults)


def _estimate(
    sample: _Sample,
    cell: Cell,
    comparison: Comparison,
    covariates: Sequence[str],
    method: Method,
    fits: dict[tuple[int, int, float], list[TwoByTwo]],
) -> tuple[float, Floats, npt.NDArray[np.bool_], bool] | None:
    """ATT of a cell, its influence function divided by the number of units, the units in it, and whether a side of its
    comparison is one unit."""
    on = sample.group == cell.group
    cohorts, sizes = _comparison_cohorts(sample, cell, comparison)
    if not cohorts:
        return None
    if max(sizes) > 1:
        cohorts = [one for one, size in zip(cohorts, sizes, strict=True) if size > 1]
    change = sample.values[cell.position] - sample.values[cell.base]
    parts = []
    for cohort in cohorts:
        off = sample.cohort == cohort
        treated = on & sample.eligible
        sides = ((on & ~sample.eligible, 1), (off & sample.eligible, 1), (off & ~sample.eligible, -1))
        members = [np.flatnonzero(treated | side) for side, _ in sides]
        key = (cell.group, cell.early, cohort)
        if key not in fits:
            fits[key] = [
                prepare_two_by_two(
                    treated[inside],
                    covariates=sample.covariates[:, cell.early, inside].T if covariates else None,
                    names=covariates,
                    weights=None if sample.weights is None else sample.weights[cell.early, inside],
                    method=method,
                )
                for inside in members
            ]
        att, influence = 0.0, np.zeros(len(change))
        for fitted, inside, (_, sign) in zip(fits[key], members, sides, strict=True):
            did, psi = two_by_two_att(fitted, change[inside])
            att += sign * did
            influence[inside] += sign * psi / len(inside)
        parts.append((att, influence))
    weights = _least_variance(np.column_stack([psi for _, psi in parts]))
    att = float(weights @ [one for one, _ in parts])
    influence = np.column_stack([psi for _, psi in parts]) @ weights
    return att, influence, on | np.isin(sample.cohort, cohorts), max(sizes) == 1


def _comparison_cohorts(sample: _Sample, cell: Cell, comparison: Comparison) -> tuple[list[float], list[int]]:
    """First periods of the cohorts to compare with (infinity for never), each with the size of its smaller side."""
    later = sample.cohort > (cell.cutoff if comparison == "not_yet_treated" else np.finfo(float).max)
    cohorts, sizes = [], []
    for cohort in np.unique(sample.cohort[later & (sample.cohort != cell.path.first)]).tolist():
        inside = sample.cohort == cohort
        n_eligible = int(np.count_nonzero(inside & sample.eligible))
        size = min(n_eligible, int(np.count_nonzero(inside)) - n_eligible)
        if size > 0:
            cohorts.append(cohort)
            sizes.append(size)
    return cohorts, sizes


def _least_variance(influence: Floats) -> Floats:
    """Weights that sum to one and make the variance of a weighted mean least; equal ones where it makes no difference.

    The conditions of the first order are solved by least squares, so that estimates with the same influence function,
    or with none, are no obstacle.
    """
    k = influence.shape[1]
    if k == 1:
        return np.ones(1)
    omega = influence.T @ influence
    scale = np.trace(omega)
    conditions = np.ones((k + 1, k + 1))
    conditions[:k, :k] = omega / scale if scale > 0 else 0.0
    conditions[k, k] = 0.0
    solution = np.linalg.lstsq(conditions, np.append(np.zeros(k), 1.0), rcond=1e-12)[0]
    return np.asarray(solution[:k] / solution[:k].sum())
