"""The effect from the regression of first differences on the change of treatment.

In: a panel and a design. Out: `Effects` of one cell. Never: a gap that is taken for a year, or an error that is called
an influence function and is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from ..design import Design
from ..errors import DesignError
from ..panel import Floats, Panel
from .clean_controls import inverse_of
from .effects import FLAT, Effects, is_rounding
from .fixed_effects import Integers, Sample, take_sample
from .inputs import check_word, scale_of

Errors = Literal["iid", "hc1", "cluster"]
ERRORS: tuple[Errors, ...] = ("iid", "hc1", "cluster")
Gaps = Literal["skip", "span", "refuse"]
GAPS: tuple[Gaps, ...] = ("skip", "span", "refuse")
_ROUNDING = 1e-13  # an outcome whose share outside the period effects is below this is rounding


@dataclass(frozen=True, kw_only=True)
class _Differences:
    """Which cells are compared: unit and the positions of both periods, each of shape (n_rows,)."""

    unit: Integers
    start: Integers
    end: Integers

    def of(self, values: Floats) -> Floats:
        """Differences of an array of shape (n_units, n_periods, ...), shape (n_rows, ...)."""
        return np.asarray(values[self.unit, self.end] - values[self.unit, self.start])


def first_differences(
    panel: Panel,
    design: Design,
    *,
    outcome: str,
    covariates: Sequence[str] | None = (),
    errors: Errors = "iid",
    gaps: Gaps = "skip",
) -> Effects:
    r"""The coefficient of the change of treatment in a pooled regression of first differences with period effects.

    .. math:: \Delta Y_{it} = \delta_t + \beta \, \Delta D_{it} + \Delta X_{it}'\gamma + \Delta\varepsilon_{it}

    where D is 1 in a unit's years in the programme, partial years included. A unit that enters has
    :math:`\Delta D = 1` in that period, one that leaves has -1, all others 0: leavers need no treatment of their own.

    What it averages: with N units in period t, of which a share :math:`p_t` enters and nobody leaves,

    .. math::
        \beta = \sum_t \omega_t \bigl(\overline{\Delta Y}_{t}^{enter} - \overline{\Delta Y}_{t}^{rest}\bigr), \qquad
        \omega_t \propto N_t \, p_t (1 - p_t),

    the effect in the period of entry itself, on positive weights. What comes later is not in the estimate; worse, units
    that entered earlier are among the rest, and where effects still grow their growth is subtracted. It is right where
    an effect comes at once and stays as it is, goes at once on leaving, and trends are parallel from each period to the
    next. Compared with `twfe`: with two periods both give the same number; with more, `twfe` compares all periods with
    all, this one neighbours, so it is the better of the two where errors are close to a random walk, and it forgives no
    anticipation in the last period before entry. `local_projection` at horizon 0 leaves treated units out of the rest
    and is the mend.

    Parameters
    ----------
    panel : Panel
    design : Design
    outcome : str
    covariates : sequence of str
        Other outcomes of the panel, by their first differences. One that treatment moves takes a part of the effect
        away; one that never changes within a unit is refused.
    errors : {"iid", "hc1", "cluster"}
        With :math:`\tilde D` the change of treatment net of the other regressors, :math:`\hat u` the residuals, N
        differences, K coefficients (period effects included) and G units, the variance is
        :math:`\hat\sigma^2 / \sum \tilde D^2` with :math:`\hat\sigma^2 = \sum \hat u^2 / (N - K)`, the usual error of
        least squares ("iid": errors of all differences alike and independent);
        :math:`\frac{N}{N-K} \sum \tilde D^2 \hat u^2 / (\sum \tilde D^2)^2` ("hc1": independent, not alike); or
        :math:`\frac{G}{G-1} \frac{N-1}{N-K} \sum_i (\sum_t \tilde D_{it} \hat u_{it})^2 / (\sum \tilde D^2)^2`
        ("cluster": independent between units only).
    gaps : {"skip", "span", "refuse"}
        What to do where a unit lacks a period that others have. "skip": a difference needs two neighbouring periods of
        the data, so both differences at the gap are left out. "span": the difference from the last value before the
        gap to the first after it enters, with the sum of the period effects it spans as its own, and with the same
        error variance as any other. "refuse": a `DesignError` that names the units. A year that the data lack for
        all is no gap here: neighbours are then two years apart for every unit alike, and the period effect takes that
        up. `base` says how many differences were left out or span a gap.

    Returns
    -------
    Effects
        In the outcome's unit, one cell as in `twfe`: `path` "all", no cohort, period or event time. `n_rows` counts the
        differences, `n_treated` the units that switch in one of them.
        Only "cluster" has influence functions: the other two errors are not sums over units, and no influence function
        of a unit has them as its norm. For those `influence` is None, `cells` itself holds `se` and `se_note`, `tidy`
        prints them, and `aggregate` and `infer` have no error to work with. With one switching unit, or one
        that stays in the periods of a switch, any error would be that of the other side alone; it is missing then,
        "iid" too, with the reason.

    Raises
    ------
    DataError
        The panel lacks an outcome or a unit; a covariate is the outcome; a value is infinite.
    DesignError
        No unit switches between two periods with data, or all that have data do; a covariate is collinear; no degree of
        freedom is left; a gap, with "refuse".

    Notes
    -----
    Estimand: The effect in the period of a switch, in or out with its sign, on positive weights by the variance of
    switching within each period; a constant effect where there is one.
    Assumptions: Parallel trends from each period to the next (given the changes of covariates) of units that switch and
    all others, treated ones included; an effect that comes and goes at once and does not change; no anticipation; no
    spillover.
    Standard error: As asked for: the usual one of least squares ("iid"), robust to unequal variances ("hc1"), or
    clustered by unit with fixest's factor ("cluster"); only the last has influence functions.
    Edge cases: Units that leave have a change of -1; units always in, or without a switch between two periods with
    data, are comparison; gaps are left out, spanned or refused by name; one switching unit, or one that
    stays, has no standard error; periods in which all units switch add nothing, and only such periods are refused.
    Not covered: Clusters other than the unit, models of serial correlation, sampling weights, unit trends (an effect of
    each unit in the differences).

    References
    ----------
    Papke, L. (1994). Tax policy and urban development: evidence from the Indiana enterprise zone program. Journal of
    Public Economics 54, 37-49. Wooldridge, J. M., Introductory Econometrics, example 13.8.

    Examples
    --------
    >>> from mekeval import build_panel, make_design
    >>> y = [1.0, 4, 5, 2, 3, 4, 0, 2, 3]
    >>> frame = pd.DataFrame({"u": list("aaabbbccc"), "t": [1, 2, 3] * 3, "y": y})
    >>> panel = build_panel(frame, unit="u", period="t", outcome=["y"])
    >>> effects = first_differences(panel, make_design("abc", [(2, 3, ["a"])]), outcome="y")
    >>> round(float(effects.cells["att"].iloc[0]), 6)  # only period 2 has a switch: 3 - (1 + 2) / 2
    1.5
    """
    check_word(errors, "errors", ERRORS)
    check_word(gaps, "gaps", GAPS)
    sample = take_sample(panel, design, outcome=outcome, covariates=covariates, keep_always_treated=True)
    rows, remark = _differences(sample, gaps)
    histories = [[path.phase(int(period)) == "on" for period in sample.periods] for path in design.paths]
    on = np.array([*histories, [False] * len(sample.periods)], dtype=float)[sample.group]
    change = rows.of(on)
    entered, switches = np.zeros((2, len(sample.units)), dtype=bool)
    entered[rows.unit] = True
    switches[rows.unit[change != 0]] = True
    if not switches.any():
        raise DesignError(
            "No unit switches between two periods with data.",
            where=outcome,
            found=f"{len(change)} differences from {sample.periods[0]} to {sample.periods[-1]}",
            expected="a treated unit with data just before entry and just after",
        )
    raw = np.column_stack([change, rows.of(sample.covariates)])
    net, rank = _net_of_periods(np.column_stack([rows.of(sample.values), raw]), rows, len(sample.periods))
    target, regressors = net[:, 0], net[:, 1:]
    if np.linalg.norm(target) <= _ROUNDING * np.linalg.norm(sample.values):
        target = np.zeros_like(target)
    inverse = inverse_of(
        regressors,
        raw,
        ["the change of treatment", *sample.names],
        where=outcome,
        net_of="the period effects",
    )
    coefficients = inverse @ (regressors.T @ target)
    scores = (regressors @ inverse[:, 0]) * (target - regressors @ coefficients)
    n_rows, n_units = len(target), int(entered.sum())
    free = n_rows - rank - len(inverse)
    if free < 1 or n_units < 2:
        raise DesignError(
            "There are too few observations for the regression.",
            where=outcome,
            found=f"{n_rows} differences of {n_units} units, {rank + len(inverse)} coefficients",
        )
    cells = pd.DataFrame(
        {
            "path": ["all"],
            "group": 0,
            "cohort": pd.Series([None], dtype=object),
            "period": pd.Series([None], dtype=object),
            "event_time": pd.Series([None], dtype=object),
            "phase": "on",
            "base": "the period before" + remark,
            "att": coefficients[0],
            "n_treated": int(switches.sum()),
            "n_comparison": int((entered & ~switches).sum()),
        }
    )
    # In a period without a switch nobody is compared.
    compared = np.isin(rows.end, rows.end[change != 0]) & (change == 0)
    note = (
        "one unit switches: no standard error exists"
        if switches.sum() == 1
        else "one unit stays in the periods of a switch: no standard error exists"
        if len(np.unique(rows.unit[compared])) == 1
        else ""
    )
    cells = cells.assign(se_note=note)
    influence = None
    if errors == "cluster":
        factor = np.sqrt(n_units / (n_units - 1) * (n_rows - 1) / free)
        by_unit = np.bincount(rows.unit, weights=scores, minlength=len(sample.units))
        influence = (n_units * factor * by_unit[entered])[:, None]
    else:
        squares = (
            inverse[0, 0] * np.sum((target - regressors @ coefficients) ** 2) / free
            if errors == "iid"
            else n_rows / free * np.sum(scores**2)
        )
        error = np.sqrt([squares])
        if not note and is_rounding(error, scale_of(sample.values)).all():
            note = FLAT
        cells = cells.assign(se=pd.array([pd.NA if note else float(error[0])], dtype="Float64"), se_note=note)
    return Effects(
        estimator="first_differences",
        outcome=outcome,
        base_period=f"the period before; {errors} standard errors",
        cells=cells,
        units=tuple(unit for unit, inside in zip(sample.units, entered, strict=True) if inside),
        group=np.where(switches[entered], 0, -1).astype(np.int64),
        influence=influence,
        changes=None,
        exposure=None,
        shares_estimated=False,
        unit_weights=None,
        scale=scale_of(sample.values),
        n_rows=n_rows,
        dropped=(
            *sample.dropped,
            *(
                (sample.units[row], "no_difference", int(sample.periods[sample.there[row]][0]))
                for row in np.flatnonzero(~entered)
            ),
        ),
    )


def _differences(sample: Sample, gaps: Gaps) -> tuple[_Differences, str]:
    """The differences that enter, and a remark on those at a gap."""
    places = np.arange(len(sample.periods))
    latest = np.maximum.accumulate(np.where(sample.there, places, -1), axis=1)
    before = np.full(sample.there.shape, -1)
    before[:, 1:] = latest[:, :-1]
    kept = sample.there & (before >= 0)
    across = kept & (before < places - 1)
    if gaps == "refuse" and across.any():
        units = [f"{sample.units[row]} before {sample.periods[at]}" for row, at in np.argwhere(across)[:6]]
        raise DesignError(
            "Units have gaps between their periods.",
            where=sample.outcome,
            found="; ".join(units),
            fix="Choose `gaps`: 'skip' leaves those differences out, 'span' takes them with all period effects "
            "between.",
        )
    if gaps == "skip":
        kept &= ~across
    unit, end = np.nonzero(kept)
    remark = ""
    if across.any():
        number = int(across.sum())
        remark = f"; {number} {'difference' if number == 1 else 'differences'} across a gap " + (
            "left out" if gaps == "skip" else "with the sum of the period effects spanned"
        )
    return _Differences(unit=unit, start=before[unit, end], end=end), remark


def _net_of_periods(columns: Floats, rows: _Differences, n_periods: int) -> tuple[Floats, int]:
    """Residuals of columns on the period effects, shape (n_rows, n_columns), and the rank of those.

    With an effect for each period in levels a difference has the effect of its end less that of its start, whatever it
    spans, so the normal equations are the Laplacian of the graph that differences draw between periods.
    """
    counts = np.zeros((n_periods, n_periods))
    np.add.at(counts, (rows.start, rows.end), 1.0)
    counts += counts.T
    laplacian = np.diag(counts.sum(axis=1)) - counts
    values, vectors = np.linalg.eigh(laplacian)
    used = values > 1e-10 * max(float(values[-1]), 1.0)
    sums = np.stack(
        [
            np.bincount(rows.end, weights=column, minlength=n_periods)
            - np.bincount(rows.start, weights=column, minlength=n_periods)
            for column in columns.T
        ],
        axis=1,
    )
    effects = (vectors[:, used] / values[used]) @ (vectors[:, used].T @ sums)
    return columns - (effects[rows.end] - effects[rows.start]), int(used.sum())
