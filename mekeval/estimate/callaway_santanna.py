"""Group-time average treatment effects of Callaway and Sant'Anna, with covariates, weights and gaps.

In: a panel and a design. Out: `Effects` by path and period. Never: a 2x2 in which a unit that is treated by then is
compared with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..design import Design
from ..errors import DesignError, Fault
from ..panel import Floats, Panel
from .cells import Base, Cell, cell_row, check_options, effect_cells, joined
from .doubly_robust import Method, TwoByTwo, prepare_two_by_two, two_by_two_att
from .effects import Effects
from .fixed_effects import Comparison
from .inputs import check_word, scale_of
from .pair_sample import MISSING, Missing, PairSample, estimable, lacking, read_pairs

FixWeights = Literal["base_period", "first_period"]
FIX_WEIGHTS: tuple[FixWeights, ...] = ("base_period", "first_period")


def callaway_santanna(
    panel: Panel,
    design: Design,
    *,
    outcome: str,
    comparison: Comparison = "never_treated",
    anticipation: int = 0,
    base_period: Base = "varying",
    covariates: Sequence[str] | None = (),
    method: Method = "dr",
    weights: str | None = None,
    fix_weights: FixWeights | None = None,
    missing: Missing = "by_cell",
) -> Effects:
    r"""ATT of each path in each period: one 2x2 for every cell, conditional on covariates where they are given.

    For path g with cohort c, period t and base b, the units of g are compared with the units C(g, t) in the change
    :math:`\Delta Y = Y_t - Y_b`. Without covariates

    .. math:: ATT(g, t) = E[\Delta Y \mid g] - E[\Delta Y \mid C(g, t)],

    with covariates X each 2x2 is estimated by `two_by_two_att`: "dr" (consistent if the outcome regression or the
    propensity score is right), "reg" (outcome regression) or "ipw" (weights that sum to one). Its influence function
    over the n' units of the 2x2 is scaled by n / n', zero for the other units.

    - Base: the last period with b + `anticipation` < c. Before entry it is the preceding period with data
      ("varying", the default of R's did), or that same one ("universal"). Within the years of anticipation "varying"
      also takes the preceding period, as did up to 2.5.1; later versions take there what "universal" takes.
    - C(g, t): the never-treated; or, with "not_yet_treated", also the units with a cohort later than
      max(t, b) + `anticipation`, other than c.
    - Covariates and weights are those of the earlier of t and b, as in did; what treatment may have changed does not
      enter, except for an effect before a universal base, where the earlier period is t. For weights see
      `fix_weights`.
    - Comparison units with a propensity score of 0.995 or more get no weight (DRDID); a score of 0.999 or more on
      either side is refused, since there is no overlap (did leaves such a cell missing).

    Parameters
    ----------
    panel : Panel
    design : Design
        Its `pre_years` is not used; see `base_period`.
    outcome : str
        A period belongs when at least half of the units have a value in it, as in `balanced_block`.
    comparison : {"never_treated", "not_yet_treated"}
    anticipation : int
        Calendar years before entry in which units may already react.
    base_period : {"varying", "universal"}
        The cell that is zero by construction is left out.
    covariates : sequence of str
        Other outcomes of the panel, in any unit, numeric; they enter linearly beside a constant. The outcome itself may
        be among them: trends then differ with its level in the earlier period.
    method : {"dr", "reg", "ipw"}
        Without covariates they are one.
    weights : str, optional
        An outcome of the panel with the weight of each unit, zero or more. They weight the units within each 2x2, and
        those of the first period (of a unit's first, where it lacks that) the paths in `aggregate`, as in did.
    fix_weights : {"base_period", "first_period"}, optional
        Weights that change over time are by default those of the earlier period of each 2x2. "base_period": those of
        the last period before entry that anticipation leaves alone, in all cells of a path; "first_period": those of
        the first period of the data, in all cells; both as in did. (did's "varying", which weights each period by its
        own and treats the panel as repeated cross-sections, is not offered.)
    missing : {"by_cell", "drop_units"}
        A unit that lacks a value stays out of the cells that need the value, and the influence functions are scaled
        accordingly; a cell without a unit on either side is left out, and so is a path that has no cell after entry.
        Or it stays out altogether, as in did by default. (did's `allow_unbalanced_panel`, which treats such data as
        repeated cross-sections, is not offered.)

    Returns
    -------
    Effects
        In the outcome's unit. `changes` and `exposure` are there where the estimate is a plain difference of mean
        changes against one comparison: the never-treated, no covariates, no weights, no gaps. `dropped` names units
        treated from the first period on ("already_treated") and units without the values needed.

    Raises
    ------
    DesignError
        A path has no period before entry that anticipation leaves alone; nobody is left on one side; covariates are
        collinear, separate the two sides or leave no overlap (every 2x2 concerned is named); a constant outcome.
    DataError
        An unknown outcome, covariate or weight; infinite values; negative weights.

    Notes
    -----
    Estimand: ATT(g, t) as in `group_time_att`; with covariates, over the covariates of the units of path g.
    Assumptions: Parallel trends (given covariates) between the path and the comparison asked for; no reaction earlier
    than `anticipation`; no spillover; with covariates overlap, and a right outcome regression ("reg"), propensity
    score ("ipw") or one of the two ("dr").
    Standard error: From influence functions that carry the estimation of regression and score, units independent, no
    small-sample factor; averages add the estimation of the paths' shares.
    Edge cases: Units treated from the first period on are left out and named; a gap costs the cells that need the
    value; collinear covariates, separation and lack of overlap are refused, every 2x2 named, and so is a constant
    outcome; one unit on a side has no standard error.
    Not covered: Gaps taken for repeated cross-sections (`repeated_cross_sections`), improved doubly robust weights,
    clusters above the unit.

    It differs from `group_time_att` in its covariates, weights, gaps and comparison, and in that it has no mean of the
    years before as a base. Without covariates, against the never-treated, both give the same numbers. Units that
    leave the programme are paths of their own: their cells after leaving have the phase "after", and they never serve
    as comparison again. Units that the design sets aside (treated after its last period), and paths that enter after
    the outcome's last period, are not taken for never-treated, as did takes them. Where no unit is never treated,
    "not_yet_treated" compares with the last cohort and ends before it reacts, as did.

    References
    ----------
    Callaway, B. and Sant'Anna, P. (2021). Difference-in-differences with multiple time periods. Journal of
    Econometrics 225, 200-230. R packages did 2.5.1 (`att_gt`) and DRDID.

    Examples
    --------
    >>> from mekeval import build_panel, make_design
    >>> frame = pd.DataFrame({"unit": list("aaabbbccc"), "year": [1, 2, 3] * 3, "y": [1.0, 4, 6, 2, 3, 8, 0, 2, 3]})
    >>> panel = build_panel(frame, unit="unit", period="year", outcome=["y"])
    >>> design = make_design("abc", [(2, 3, ["a"]), (3, 3, ["b"])])
    >>> cells = callaway_santanna(panel, design, outcome="y", comparison="not_yet_treated").cells
    >>> float(cells["att"][0])  # b is not treated in 2: (4 - 1) - ((3 - 2) + (2 - 0)) / 2
    1.5
    >>> float(cells["att"][1])  # in 3 only c is left: (6 - 1) - (3 - 0)
    2.0
    """
    covariates = check_options(comparison, anticipation, base_period, covariates, method)
    check_word(missing, "missing", MISSING)
    if fix_weights is not None:
        check_word(fix_weights, "fix_weights", FIX_WEIGHTS)
        if weights is None:
            raise DesignError("There are no weights to fix.", where="fix_weights", fix="Name the weights.")
    sample, dropped = read_pairs(panel, design, outcome, list(covariates), weights, missing)
    sample, dropped = estimable(sample, dropped, panel, design, comparison, anticipation)
    cells = effect_cells(design, sample.group, sample.periods, anticipation, base_period)
    weighted = _weight_periods(cells, sample, design, anticipation, fix_weights)
    influence = np.zeros((len(sample.units), len(cells)), order="F")
    inside: list[npt.NDArray[np.intp]] = []  # the units of each effect
    rows: list[dict[str, object]] = []
    faults: dict[Fault, list[str]] = {}
    fitted, fitted_for = None, None
    for cell, weighted_at in zip(cells, weighted, strict=True):
        # Effects of one path after entry share base, covariates and often comparison: fit those once.
        later = np.count_nonzero(sample.cohort > cell.cutoff) if comparison == "not_yet_treated" else 0
        key = (cell.group, cell.early, later)
        try:
            if key != fitted_for or not sample.complete:
                fitted = _fit(sample, cell, weighted_at, comparison, covariates, method)
                fitted_for = key
        except DesignError as error:
            told = f"path {cell.path.name} in {sample.periods[cell.position]}"
            faults.setdefault(error.faults[0], []).append(told)
            fitted_for = None
            continue
        if fitted is None:
            continue
        members, two_by_two = fitted
        change = sample.values[cell.position, members] - sample.values[cell.base, members]
        att, psi = two_by_two_att(two_by_two, change)
        influence[members, len(rows)] = psi * (len(sample.units) / len(members))
        inside.append(members)
        n_treated = int(np.count_nonzero(two_by_two.treated))
        n_comparison = len(members) - n_treated
        rows.append(
            cell_row(cell, design, sample.periods, att=att, n_treated=n_treated, n_comparison=n_comparison)
        )
    if faults:
        raise joined(faults, outcome)
    if not rows:
        raise DesignError("No cell has units on both sides of the comparison.", where=outcome)
    kept, estimated = _with_effects_after_entry(rows, design, sample.periods[-1])
    if not kept:
        raise DesignError(
            "No path has an effect after its entry.",
            where=outcome,
            found=f"{len(sample.units)} units with data from {sample.periods[0]} to {sample.periods[-1]}",
            expected="values of a path and of its comparison, in the base period and after entry",
        )
    entered = np.zeros(len(sample.units), dtype=bool)
    for at in kept:
        entered[inside[at]] = True
    # Only where every unit has every value does each effect rest on one comparison and the same changes.
    plain = comparison == "never_treated" and not covariates and weights is None and sample.complete
    changes, exposure = _changes(sample, design, cells) if plain else (None, None)
    influence = influence[:, kept]
    if len(kept) < len(rows):  # units of a path that has gone still compare until their entry
        rows = [rows[at] for at in kept]
        sample = replace(sample, group=np.where(np.isin(sample.group, estimated), sample.group, -1))
    if not entered.all():
        dropped += [lacking(sample, panel, at) for at in np.flatnonzero(~entered).tolist()]
        sample, influence = sample.keep(entered), influence[entered] * entered.mean()
    return Effects(
        estimator="callaway_santanna",
        outcome=outcome,
        base_period=base_period,
        cells=pd.DataFrame(rows),
        units=tuple(sample.units.tolist()),
        group=sample.group,
        influence=influence,
        changes=changes,
        exposure=exposure,
        shares_estimated=True,
        unit_weights=sample.first_weights,
        scale=scale_of(sample.values),
        n_rows=int(sample.there.sum()),
        dropped=tuple(dropped),
    )


def _with_effects_after_entry(
    rows: Sequence[Mapping[str, object]], design: Design, last: int
) -> tuple[list[int], list[int]]:
    """Which rows belong to a path with an effect after entry, or one that enters after the data; and those paths."""
    estimated = [
        index
        for index, path in enumerate(design.paths)
        if path.first > last or any(row["group"] == index and row["phase"] != "pre" for row in rows)
    ]
    return [at for at, row in enumerate(rows) if row["group"] in estimated], estimated


def _weight_periods(
    cells: Sequence[Cell],
    sample: PairSample,
    design: Design,
    anticipation: int,
    fix_weights: FixWeights | None,
) -> list[int]:
    """For each cell the position of the period whose weights it takes."""
    if fix_weights is None:
        return [cell.early for cell in cells]
    if fix_weights == "first_period":
        return [0] * len(cells)
    years = np.array(sample.periods) + anticipation
    last = {index: int(np.sum(years < path.first)) - 1 for index, path in enumerate(design.paths)}
    return [last[cell.group] for cell in cells]


def _fit(
    sample: PairSample,
    cell: Cell,
    weighted: int,
    comparison: Comparison,
    covariates: Sequence[str],
    method: Method,
) -> tuple[npt.NDArray[np.intp], TwoByTwo] | None:
    """The columns of the units of a 2x2, and it; None where the outcome is not there on one of its sides."""
    treated = sample.group == cell.group
    rest = sample.group == -1
    if comparison == "not_yet_treated":
        rest = rest | ((sample.cohort > cell.cutoff) & (sample.cohort != cell.path.first))
    members = treated | rest
    if not sample.complete:
        there = sample.there[cell.position] & sample.there[cell.base]
        members = members & there & sample.usable[cell.early]
        if sample.weights is not None:
            members &= sample.weights[weighted] > 0
        for side, name in ((treated, "treated"), (rest, "comparison")):
            if not np.any(side & there):
                return None
            if not np.any(side & members):
                raise DesignError(
                    f"No {name} unit has its covariates and a weight in the earlier period of a 2x2.",
                    found=f"{', '.join(sample.names[1:])} in {sample.periods[cell.early]}",
                    fix="Leave the covariate out, or the period.",
                )
    columns = np.flatnonzero(members)
    return columns, prepare_two_by_two(
        treated[columns],
        covariates=sample.covariates[:, cell.early, columns].T if covariates else None,
        names=covariates,
        weights=None if sample.weights is None else sample.weights[weighted, columns],
        method=method,
    )


def _changes(sample: PairSample, design: Design, cells: Sequence[Cell]) -> tuple[Floats, Floats]:
    """Change of every unit in every cell, and the same change of its own on/off history."""
    after = [cell.position for cell in cells]
    before = [cell.base for cell in cells]
    on = np.array(
        [[path.phase(period) == "on" for period in sample.periods] for path in design.paths]
        + [[False] * len(sample.periods)],  # the comparison: group -1 picks the last row
        dtype=float,
    )
    change = sample.values[after]
    for row, base in enumerate(before):
        change[row] -= sample.values[base]
    return change.T, (on[:, after] - on[:, before])[sample.group]
