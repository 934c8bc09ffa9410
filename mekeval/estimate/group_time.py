"""Group-time average treatment effects against never-treated units.

In: a panel and a design. Out: `Effects` by path and period, those that reports use. Never: a unit of the programme in
the comparison, or a covariate.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..design import Design, Path
from ..errors import DataError, DesignError
from ..panel import Block, Floats, Panel, balanced_block
from .effects import Effects, cell_names
from .inputs import check_known, check_word, refuse_constant, scale_of

BasePeriod = Literal["pre_mean", "varying", "universal"]
BASE_PERIODS: tuple[BasePeriod, ...] = ("pre_mean", "varying", "universal")


def group_time_att(
    panel: Panel, design: Design, *, outcome: str, base_period: BasePeriod = "pre_mean"
) -> Effects:
    r"""ATT of each path in each period against the never-treated, without covariates.

    For path g, period t and base b the estimate is

    .. math:: ATT(g, t) = \bar Y_{g,t} - \bar Y_{g,b} - (\bar Y_{C,t} - \bar Y_{C,b})

    and its influence function, with n units in all,

    .. math::
        \psi_i = \frac{n}{n_g} 1\{i \in g\}(\Delta_i - \bar\Delta_g)
        - \frac{n}{n_C} 1\{i \in C\}(\Delta_i - \bar\Delta_C).

    With a path for each cohort and `base_period` "varying" or "universal" this is the estimator of Callaway and
    Sant'Anna without covariates; paths add units that leave or enter again.

    Parameters
    ----------
    panel : Panel
    design : Design
    outcome : str
    base_period : {"pre_mean", "varying", "universal"}
        The base of a change: the mean of the years before entry (at most `design.pre_years` far), which is
        quieter in small areas; the last period before entry, and for earlier effects the period before each
        ("varying", the default of R's did); the last period before entry throughout ("universal").

    Returns
    -------
    Effects
        In the outcome's unit. With "universal" and "varying" the cell that is zero by construction is left out.

    Raises
    ------
    DesignError
        A path has no period before entry within reach; no unit of any path, or of the comparison, is complete; a
        constant outcome.
    DataError
        The panel has no such outcome or unit; a value is infinite.

    Notes
    -----
    Estimand: ATT(g, t), the mean effect on the units of path g in period t, years after leaving included; before
    entry, a placebo.
    Assumptions: Without the programme the path and the never-treated would have changed alike from the base to t;
    nobody reacts in the base; no spillover to the comparison.
    Standard error: From the influence functions: units independent, no small-sample factor, as in did; averages add
    the estimation of the paths' shares.
    Edge cases: A unit with a gap is left out and named in `dropped`; a path without a period before entry, and so a
    unit always treated, is refused, and so is a constant outcome; one unit on a side has no standard error.
    Not covered: Covariates, weights and not-yet-treated comparisons (`callaway_santanna`); clusters above the unit.

    References
    ----------
    Callaway, B. and Sant'Anna, P. (2021). Difference-in-differences with multiple time periods. Journal of
    Econometrics 225, 200-230.

    Examples
    --------
    >>> import pandas as pd
    >>> from mekeval import build_panel, make_design
    >>> frame = pd.DataFrame({"unit": list("aabbcc"), "year": [1, 2] * 3, "y": [1.0, 4.0, 2.0, 3.0, 0.0, 2.0]})
    >>> panel = build_panel(frame, unit="unit", period="year", outcome=["y"])
    >>> effects = group_time_att(panel, make_design("abc", [(2, 2, ["a"])]), outcome="y")
    >>> float(effects.cells["att"].iloc[-1])  # (4 - 1) - ((3 - 2) + (2 - 0)) / 2
    1.5
    """
    check_word(base_period, "base_period", BASE_PERIODS)
    check_known(panel, [outcome])
    entry = min(path.first for path in design.paths)
    block = balanced_block(
        panel,
        outcome,
        units=[*design.treated, *design.comparison],
        protected=design.treated,
        needed_from=None
        if design.pre_years is None or base_period != "pre_mean"
        else entry - design.pre_years,
    )
    units = np.array(block.units)
    group = np.full(len(units), -1, dtype=np.int64)
    for index, path in enumerate(design.paths):
        group[np.isin(units, path.units)] = index
    n_comparison = int(np.sum(group == -1))
    if n_comparison == 0 or n_comparison == len(units):
        raise DesignError(
            "No complete unit is left on one side of the comparison.",
            where=outcome,
            found="; ".join(f"{unit}: {reason} in {period}" for unit, reason, period in block.dropped[:6])
            or f"{len(design.treated)} treated units, {len(design.comparison)} to compare with",
        )
    if np.isinf(block.values).any():
        row, column = np.argwhere(np.isinf(block.values))[0]
        raise DataError(
            "A value is infinite.",
            where=f"{outcome}, {block.units[row]} in {block.periods[column]}",
            found=str(block.values[row, column]),
        )
    refuse_constant(block.values, outcome)
    on = _history(block, design, group)
    parts = [
        _path_cells(block, path, index, design, base_period)
        for index, path in enumerate(design.paths)
        if np.any(group == index)
    ]
    cells = pd.concat([part for part, _ in parts], ignore_index=True)
    weights = np.hstack(
        [matrix for _, matrix in parts]
    )  # (n_periods, n_effects): one column maps a row to a change
    # Weights of a change sum to 0: levels go out first, so that a constant outcome changes by 0 and not by rounding.
    changes = (block.values - block.values[:, :1]) @ weights
    membership = group[:, None] == cells["group"].to_numpy()
    rest = (group == -1)[:, None]
    n_treated = membership.sum(axis=0)
    treated_mean = np.sum(changes * membership, axis=0) / n_treated
    rest_mean = np.sum(changes * rest, axis=0) / n_comparison
    influence = len(units) * (
        membership * (changes - treated_mean) / n_treated - rest * (changes - rest_mean) / n_comparison
    )
    return Effects(
        estimator="group_time",
        outcome=outcome,
        base_period=base_period,
        cells=cells.assign(att=treated_mean - rest_mean, n_treated=n_treated, n_comparison=n_comparison),
        units=block.units,
        group=group,
        influence=influence,
        changes=changes,
        exposure=on @ weights,
        shares_estimated=True,
        unit_weights=None,
        scale=scale_of(block.values),
        n_rows=block.values.size,
        dropped=block.dropped,
    )


def _history(block: Block, design: Design, group: npt.NDArray[np.int64]) -> Floats:
    """On/off history of every unit, shape (n_units, n_periods)."""
    histories = np.array(
        [[path.phase(period) == "on" for period in block.periods] for path in design.paths]
        + [[False] * len(block.periods)],
        dtype=float,
    )
    return np.asarray(histories[group])  # -1 picks the last row: never on


def _path_cells(
    block: Block, path: Path, index: int, design: Design, base_period: BasePeriod
) -> tuple[pd.DataFrame, Floats]:
    """The estimable cells of one path, and for each the weights of the periods in its change."""
    periods = np.array(block.periods)
    reach = (
        -np.inf if design.pre_years is None or base_period != "pre_mean" else path.first - design.pre_years
    )
    before = np.flatnonzero((periods < path.first) & (periods >= reach))
    if len(before) == 0:
        raise DesignError(
            "A treated area has no data before treatment.",
            where=f"{block.outcome}, {', '.join(path.units)}",
            found=f"first period with data {periods[0]}, treated from {path.first}",
            expected=f"a period from {int(reach) if np.isfinite(reach) else 'any year'} to {path.first - 1}",
        )
    rows, columns = [], []
    for position, period in enumerate(block.periods):
        base = _base(position, before, base_period)
        if base == [position] or (position in base and base_period != "pre_mean"):
            continue  # zero by construction
        weight = np.zeros(len(periods))
        weight[base] -= 1 / len(base)
        weight[position] += 1
        columns.append(weight)
        rows.append(cell_names(design, index, period, [block.periods[at] for at in base]))
    return pd.DataFrame(rows), np.column_stack(columns)


def _base(position: int, before: npt.NDArray[np.intp], base_period: BasePeriod) -> list[int]:
    """Positions of the base periods for an effect at a position."""
    if base_period == "pre_mean":
        return [int(at) for at in before]
    last_before = int(before[-1])
    if base_period == "varying" and position <= last_before:
        return [max(position - 1, 0)]
    return [last_before]
