"""Which comparisons the two-way fixed-effects coefficient is made of.

In: a panel and a design whose treatment stays on. Out: `Decomposition`, every 2x2 with weight and estimate.
Never: a panel with gaps, for which the weights are not these.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..design import Design
from ..display import Shown
from ..errors import DataError, DesignError
from ..panel import Floats, Panel, balanced_block
from .inputs import check_known

EARLIER, LATER = "Earlier vs Later Treated", "Later vs Earlier Treated"
UNTREATED, ALWAYS = "Treated vs Untreated", "Later vs Always Treated"


@dataclass(frozen=True, kw_only=True, repr=False)
class Decomposition(Shown):
    """The two-way fixed-effects coefficient as a weighted mean of 2x2 comparisons.

    Attributes
    ----------
    outcome : str
    table : pandas.DataFrame
        One row for each comparison: `type` ("Treated vs Untreated", "Earlier vs Later Treated", "Later vs Earlier
        Treated" or "Later vs Always Treated", the words of R's bacondecomp), `treated` and `comparison` (cohorts;
        <NA> for never treated), `weight` (they sum to 1), `estimate` (in the outcome's unit), `n_treated` and
        `n_comparison` (units).
    estimate : float
        The coefficient itself, from the regression.
    n_units, n_periods : int
        Of the balanced block.
    dropped : tuple of (str, str, int)
        Units of the design that did not enter, each with the reason and the period that lacks a value.
    """

    outcome: str
    table: pd.DataFrame
    estimate: float
    n_units: int
    n_periods: int
    dropped: tuple[tuple[str, str, int], ...]

    def by_type(self) -> pd.DataFrame:
        """Weight and weighted mean estimate of each type, largest weight first: `type`, `weight`, `estimate`."""
        parts = self.table.assign(estimate=self.table["weight"] * self.table["estimate"])
        summed = parts.groupby("type", sort=False)[["weight", "estimate"]].sum()
        summed["estimate"] /= summed["weight"]
        return summed.sort_values("weight", ascending=False, kind="stable").reset_index()


def bacon_decomposition(panel: Panel, design: Design, *, outcome: str) -> Decomposition:
    r"""Take the two-way fixed-effects coefficient apart into 2x2 comparisons.

    For cohorts k and l with shares :math:`n_k, n_l` of the units and :math:`\bar D_k > \bar D_l` of the periods
    treated, the coefficient holds two comparisons. The earlier cohort against the later one before that is treated,
    and the later one against the earlier while that is treated already, have the weights

    .. math::
        s_{kl}^k = \frac{n_k n_l (1 - \bar D_k)(\bar D_k - \bar D_l)}{\hat V^D}, \qquad
        s_{kl}^l = \frac{n_k n_l \bar D_l (\bar D_k - \bar D_l)}{\hat V^D}

    where :math:`\hat V^D` is the variance of treatment net of unit and period effects. A never-treated group is an l
    with :math:`\bar D_l = 0`, an always-treated one a k with :math:`\bar D_k = 1`. All weights are positive, but the
    second kind subtracts a change of a treated cohort's effect: where effects grow or fade with time it pulls
    the coefficient away from every effect, to the wrong sign if need be. Its weight says how much of `twfe` rests on
    that; a large weight is a reason to read `group_time_att`, `sun_abraham` or `extended_twfe` in its place.

    Parameters
    ----------
    panel : Panel
    design : Design
        Treatment that stays on within the data; years of partial exposure count as treated, as in `twfe`.
    outcome : str
        A unit without a value in every period is left out and named in `dropped`.

    Returns
    -------
    Decomposition

    Raises
    ------
    DataError
        The panel has no such outcome or unit; a value is infinite.
    DesignError
        A unit leaves the programme; no unit is complete; treatment does not vary net of unit and period effects.

    Notes
    -----
    Estimand: The coefficient of `twfe` without covariates, as the sum of weight times estimate over all 2x2
    comparisons.
    Assumptions: None for the identity. A comparison is an effect only under parallel trends, and where its comparison
    is treated already, only if effects do not change.
    Standard error: None: it is an identity; that of the coefficient is with `twfe`.
    Edge cases: A unit with a gap is left out and named; units that leave are refused; units always treated are a
    comparison of their own; treatment that does not vary net of the effects is refused.
    Not covered: Covariates, weights, panels with gaps, treatment that switches off.

    References
    ----------
    Goodman-Bacon, A. (2021). Difference-in-differences with variation in treatment timing. Journal of Econometrics
    225, 254-277, theorem 1. Checked against R's bacondecomp.

    Examples
    --------
    >>> from mekeval import build_panel, design_from_cohorts
    >>> frame = pd.DataFrame({"u": list("aaabbbccc"), "t": [1, 2, 3] * 3, "y": [1.0, 3, 4, 2, 2, 5, 0, 1, 1]})
    >>> panel = build_panel(frame, unit="u", period="t", outcome=["y"])
    >>> parts = bacon_decomposition(panel, design_from_cohorts("abc", [2, 3, None], last_period=3), outcome="y")
    >>> parts.table[["type", "weight", "estimate"]].round(3).values.tolist()[:2]  # (3 - 1) - 0; (5 - 2) - (4 - 3)
    [['Earlier vs Later Treated', 0.167, 2.0], ['Later vs Earlier Treated', 0.167, 2.0]]
    >>> round(parts.estimate, 6), round(float((parts.table["weight"] * parts.table["estimate"]).sum()), 6)
    (2.0, 2.0)
    """
    check_known(panel, [outcome])
    block = balanced_block(panel, outcome, units=[*design.treated, *design.comparison])
    if np.isinf(block.values).any():
        row, column = np.argwhere(np.isinf(block.values))[0]
        raise DataError(
            "A value is infinite.",
            where=f"{outcome}, {block.units[row]} in {block.periods[column]}",
            found="inf",
        )
    leaving = [
        path.name for path in design.paths if any(path.phase(period) == "after" for period in block.periods)
    ]
    if leaving:
        raise DesignError(
            "The decomposition is of treatment that stays on, but units leave.",
            where=outcome,
            found="paths " + ", ".join(leaving),
            fix="Leave those units out, or read the effects by path (`group_time_att`).",
        )
    cohort = design.cohort.reindex(list(block.units))
    firsts = [int(first) for first in sorted(set(cohort.dropna()))]
    members = [(cohort == first).fillna(False).to_numpy(dtype=bool) for first in firsts]
    if cohort.isna().any():
        members.append(cohort.isna().to_numpy())
    periods = np.array(block.periods)
    means = np.vstack([block.values[inside].mean(axis=0) for inside in members])
    counts = np.array([int(inside.sum()) for inside in members])
    share = counts / counts.sum()
    treated = np.zeros(means.shape)
    treated[: len(firsts)] = periods >= np.array(firsts)[:, None]
    net = treated - treated.mean(axis=1, keepdims=True)
    net -= share @ net
    variance = float(share @ (net**2).mean(axis=1))
    if variance < 1e-12:
        raise DesignError(
            "Treatment does not vary net of unit and period effects.",
            where=outcome,
            found=f"cohorts {', '.join(map(str, firsts))}, data from {periods[0]} to {periods[-1]}",
            expected="units that are treated at different times, or never",
        )
    fraction = treated.mean(axis=1)
    rows = []
    for early in range(len(firsts)):
        for late in range(early + 1, len(members)):
            both = share[early] * share[late] * (fraction[early] - fraction[late]) / variance
            pair = (
                # weight, treated, comparison, periods of the comparison
                (both * (1 - fraction[early]), early, late, treated[late] == 0),
                (both * fraction[late], late, early, treated[early] == 1),
            )
            for weight, one, other, window in pair:
                if weight > 0:
                    change = _change(means[one] - means[other], treated[one] == 1, window)
                    rows.append(
                        (*_labels(one, other, firsts, fraction), weight, change, counts[one], counts[other])
                    )
    columns = ["type", "treated", "comparison", "weight", "estimate", "n_treated", "n_comparison"]
    table = pd.DataFrame(rows, columns=columns).astype({"treated": "Int64", "comparison": "Int64"})
    return Decomposition(
        outcome=outcome,
        table=table,
        estimate=float(share @ (net * means).mean(axis=1)) / variance,
        n_units=len(block.units),
        n_periods=len(periods),
        dropped=block.dropped,
    )


def _change(gap: Floats, on: np.ndarray[tuple[int], np.dtype[np.bool_]], window: np.ndarray) -> float:
    """Change of a gap from the untreated to the treated periods of a window."""
    return float(gap[on & window].mean() - gap[~on & window].mean())


def _labels(one: int, other: int, firsts: list[int], fraction: Floats) -> tuple[str, int, int | None]:
    """Type, treated cohort and comparison cohort of a comparison; None for never treated."""
    if other >= len(firsts) or fraction[other] == 0:
        kind = UNTREATED
    elif fraction[other] == 1:
        kind = ALWAYS
    else:
        kind = EARLIER if one < other else LATER
    return kind, firsts[one], firsts[other] if other < len(firsts) else None
