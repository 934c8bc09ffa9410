"""How far the trend may have deviated before the finding breaks: HonestDiD.

In: event-study coefficients with their covariance, or `Effects`. Out: `HonestBounds`. Never: a plug-in interval that
takes the estimates before entry for the truth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral

import numpy as np
import pandas as pd
from scipy.special import ndtri, stdtrit

from ...display import Shown
from ...errors import DesignError, Fault, closest
from ...estimate import Aggregation, Effects
from ...inference.result import refuse_settings
from ...panel import Floats
from .coefficients import Coefficients, Covariance, LVec, from_effects, from_vector, weights_of, widened
from .engine import Problem, interval, problem
from .limit import breakdown
from .restrictions import (
    BIASES,
    MONOTONES,
    RESTRICTIONS,
    Bias,
    Monotone,
    Restriction,
    Times,
    bends,
    delta_name,
)

__all__ = ["HonestBounds", "honest_bounds"]

_RELATIVE = (0.0, 0.5, 1.0, 1.5, 2.0)
_SMOOTH = 6
_FEWEST_GRID = 50


@dataclass(frozen=True, kw_only=True, repr=False)
class HonestBounds(Shown):
    """Intervals that hold for any deviation from parallel trends of a given kind and size.

    Attributes
    ----------
    outcome : str
        Empty where coefficients were given.
    restriction : str
        "smoothness", "relative_magnitudes" or "relative_smoothness".
    bias, monotone : str or None
        What else is assumed of the deviations.
    delta : str
        Name of the set in the source: "SD", "SDPB", "SDNB", "SDI", "SDD", and so with "RM" and "SDRM".
    method : str
        "FLCI", "C-LF" or "C-F" (the hybrid tests, with the least favourable critical value or the fixed-length interval
        as the first stage), as R names them.
    event_times : tuple of float
        Of the coefficients, the base left out.
    base : float
        Event time whose deviation is zero.
    l_vec : tuple of float
        Weights of the effects after the base.
    estimate, se : float
        Of the effect, as it was estimated; in the outcome's unit.
    original_low, original_high : float
        Its interval by a normal distribution, or a t distribution where `df` is given, which takes trends to be
        parallel.
    table : pandas.DataFrame
        One row for each size: `m` (M, or Mbar where `restriction` is relative), `low` and `high` (the interval),
        `set_low` and `set_high` (the identified set, were the estimates the truth), in the outcome's unit and missing
        where `note` says why; `excludes_zero`.
    breakdown : float or None
        The largest size whose interval still excludes zero, by bisection; infinite where no size includes it, None
        where even size 0 does.
    breakdown_note : str
        That in a sentence.
    alpha : float
    covariance : str
        "given"; "influence"; or "comparison", the reference distribution of few treated units.
    n_treated, n_comparison : int or None
        Units; None where coefficients were given.
    df : float or None
        Degrees of freedom of the covariance, which all intervals are widened for; None where it is taken for known.
    draws, seed : int
        Of the least favourable critical value.
    grid_points : int
        Values that a hybrid test was inverted on; see `honest_bounds`.
    notes : tuple of str
        What a reader must know of the covariance, the base and the spacing of the years.
    """

    outcome: str
    restriction: Restriction
    bias: Bias | None
    monotone: Monotone | None
    delta: str
    method: str
    event_times: tuple[float, ...]
    base: float
    l_vec: tuple[float, ...]
    estimate: float
    se: float
    original_low: float
    original_high: float
    table: pd.DataFrame
    breakdown: float | None
    breakdown_note: str
    alpha: float
    covariance: Covariance
    n_treated: int | None
    n_comparison: int | None
    df: float | None
    draws: int
    seed: int
    grid_points: int
    notes: tuple[str, ...]

    def tidy(self) -> pd.DataFrame:
        """The table, the original interval first with a missing `m`."""
        first = {
            "m": pd.NA,
            "low": self.original_low,
            "high": self.original_high,
            "set_low": pd.NA,
            "set_high": pd.NA,
            "excludes_zero": not self.original_low <= 0 <= self.original_high,
            "note": "original",
        }
        table = self.table.astype({"m": "Float64"})
        return pd.concat([pd.DataFrame([first]).astype(table.dtypes), table], ignore_index=True)


def honest_bounds(
    tested: Effects | Aggregation | Sequence[float] | Floats,
    covariance: str | Floats | pd.DataFrame = "auto",
    event_times: Sequence[float] | Floats | None = None,
    *,
    restriction: Restriction = "relative_magnitudes",
    bias: Bias | None = None,
    monotone: Monotone | None = None,
    sizes: Sequence[float] | None = None,
    l_vec: LVec = "first",
    base: float = -1,
    df: float | None = None,
    alpha: float = 0.05,
    draws: int = 10_000,
    seed: int = 0,
    grid_points: int = 1_000,
) -> HonestBounds:
    r"""Bound an effect under deviations from parallel trends, and find the size at which the finding breaks.

    The coefficients are :math:`\hat\beta \sim N(\delta + \tau, \Sigma)`: before the base nothing but the deviation
    :math:`\delta`, after it the effects as well. For :math:`\theta = l'\tau_{post}` the interval covers with
    probability :math:`1 - \alpha` for every :math:`\delta` in

    .. math::
        \Delta^{SD}(M) &= \{|(\delta_{t+1} - \delta_t) - (\delta_t - \delta_{t-1})| \le M\}, \\
        \Delta^{RM}(\bar M) &= \{|\delta_{t+1} - \delta_t| \le \bar M \max_{s < 0} |\delta_{s+1} - \delta_s|
        \text{ for } t \ge 0\},

    or, with "relative_smoothness", the bends of the first bounded as the steps of the second are.

    Parameters
    ----------
    tested : Effects, Aggregation by event time, or array of shape (n_coefficients,)
        Effects are averaged by event time. Coefficients of other software stand in the order of `event_times`.
    covariance : "auto", "influence", "comparison", or array of shape (n_coefficients, n_coefficients)
        Of coefficients a matrix. Of effects "influence" takes the influence functions; "comparison" the changes of the
        comparison units, which is what remains with few treated units; "auto" the first from 20 treated and 20
        comparison units on.
    event_times : array, shape (n_coefficients,)
        With coefficients; the base is left out, or has an estimate and a variance of zero.
    restriction : {"relative_magnitudes", "smoothness", "relative_smoothness"}
    bias : {"positive", "negative"}, optional
        The deviations after the base have that sign.
    monotone : {"increasing", "decreasing"}, optional
        The deviations rise, or fall, throughout. With `bias` it is not offered, as in the source.
    sizes : sequence of float, optional
        Values of M (outcome's unit per unit of time, squared) or of Mbar. By default 0 to 2 by halves for relative
        restrictions, else 0 to the largest bend that the coefficients before entry allow for.
    l_vec : sequence, mapping of event time to weight, "first" or "average"
        Weights of the effects after the base.
    base : float
        With coefficients, the event time that they are measured against. Times after it count as treated: with a year
        of anticipation the base is -2.
    df : float, optional
        With coefficients, the degrees of freedom of their covariance where few units gave it: one less than these. It
        is taken for known by default, as in the source; effects of few treated units bring their own.
    alpha : float
    draws, seed : int
        For the least favourable critical value.
    grid_points : int
        A hybrid test is inverted on as many values over 20 standard errors to either side of zero (over the first
        stage's interval with "C-F"), as R does; an end of the interval is the outermost value that is not rejected.

    Returns
    -------
    HonestBounds

    Raises
    ------
    DesignError
        Estimates, covariance or times that do not belong together; a covariance that is not symmetric or not positive
        semi-definite (the smallest eigenvalue is named); no coefficient on a side of the base, or fewer than two before
        it with "relative_smoothness"; weights that are all zero; effects that are not measured against one period
        ("varying", "untreated"); units that are too few for a covariance; settings out of range.

    Notes
    -----
    *Methods.* Smoothness alone: the fixed-length interval that is shortest, its critical value the quantile of a folded
    normal. With a sign or a shape, and with relative restrictions: the hybrid test of Andrews, Roth and Pakes, its
    first stage of size alpha / 10. The effect is tested through the vertices of one dual program, listed once for all
    sizes; where they are more than a thousand, as with a sign or a shape and a dozen times after the base, linear
    programs look for those that decide, which takes seconds to a minute. Values that are not rejected may have a gap
    between them; the interval goes over it. Differences to R's `HonestDiD`: the folded normal's quantile is exact, not
    simulated; the least favourable critical value has its own draws, and ten times as many; weights with :math:`\sum_t
    l_t (t - base) < 0` get the largest bias that there is in a fixed-length interval, where R counts the part at the
    base three times. As in R, with one time after the base the second stage takes in the coefficients before and is
    not truncated at the first: it is conservative.

    *Base.* Effects against the mean of several periods are measured anew, path by path, against the last period before
    entry: the mean drops out of every difference, and the restrictions are on differences. The original estimate is
    left as it was.

    *Irregular years.* With a distance of h between two times a step is a change per unit of time. A bend at a time with
    h before and k after is the change between the two slopes, over (h + k) / 2: every path whose yearly bends are at
    most M meets it, so the interval holds; a few more paths do, so it is not the narrowest. Where years follow each
    other this is the source's definition.

    *Few treated units.* The covariance then comes from the reference distribution, and `notes` say so. The methods take
    it for known: from 12 units, the fixed-length interval with 4 coefficients before would miss a true effect about
    every fifth time instead of every twentieth (`tests/test_honest.py` simulates it). So the covariance is enlarged for
    its degrees of freedom. Changes are still taken to be normal.

    The interval of a larger size is nearly always the wider one, but a conditional test does not promise it;
    `breakdown` is the first size at which bisection finds zero let in.

    References
    ----------
    Rambachan, A. and Roth, J. (2023). A more credible approach to parallel trends. Review of Economic Studies 90(5),
    2555-2591. Andrews, I., Roth, J. and Pakes, A. (2023). Inference for linear conditional moment inequalities. Review
    of Economic Studies 90(6), 2763-2791.

    Examples
    --------
    >>> found = honest_bounds([0.1, -0.1, 1.0], np.diag([0.01, 0.01, 0.01]), [-3, -2, 0], sizes=[0, 1])
    >>> found.table["excludes_zero"].tolist(), 1 < found.breakdown < 4
    ([True, True], True)
    """
    _refuse(restriction, bias, monotone, grid_points)
    refuse_settings(alpha=alpha, draws=draws, seed=seed)
    given = _coefficients(tested, covariance, event_times, base, df)
    if restriction == "relative_smoothness" and len(given.times.pre) < 2:
        raise DesignError(
            "No bend before entry can be seen, so none afterwards can be measured by it.",
            where="relative_smoothness",
            found="1 coefficient before the base",
            expected="two or more",
            fix="Take 'relative_magnitudes' or 'smoothness', or estimate with more periods before entry.",
        )
    weights = weights_of(l_vec, given.times)
    wanted = _sizes(sizes, restriction, given, alpha)
    posed = problem(
        given.estimates,
        widened(given, restriction, alpha),
        given.times,
        weights,
        restriction,
        bias=bias,
        monotone=monotone,
        alpha=alpha,
        draws=draws,
        seed=seed,
        grid_points=grid_points,
    )
    estimate = float(weights @ given.post)
    se = float(np.sqrt(weights @ given.post_covariance @ weights))
    rows = {float(size): _row(posed, float(size)) for size in wanted}
    table = pd.DataFrame([rows[float(size)] for size in wanted])
    scale = float(np.sqrt(np.diag(given.covariance).max()))
    held = {size: not row["excludes_zero"] for size, row in rows.items()}
    broken = breakdown(posed, wanted, 1.0 if restriction != "smoothness" else scale, held)
    reach = float(ndtri(1 - alpha / 2) if given.df is None else stdtrit(given.df, 1 - alpha / 2)) * se
    return HonestBounds(
        outcome=given.outcome,
        restriction=restriction,
        bias=bias,
        monotone=monotone,
        delta=delta_name(restriction, bias, monotone),
        method=posed.method,
        event_times=tuple(float(time) for time in (*given.times.pre, *given.times.post)),
        base=given.times.base,
        l_vec=tuple(float(weight) for weight in weights),
        estimate=estimate,
        se=se,
        original_low=estimate - reach,
        original_high=estimate + reach,
        table=table.astype(dict.fromkeys(("low", "high", "set_low", "set_high"), "Float64")),
        breakdown=None if broken == -np.inf else float(broken),
        breakdown_note=_breakdown_note(broken, restriction),
        alpha=alpha,
        covariance=given.source,
        n_treated=given.n_treated,
        n_comparison=given.n_comparison,
        df=given.df,
        draws=draws,
        seed=seed,
        grid_points=grid_points,
        notes=(*given.notes, *_spacing(given.times)),
    )


def _coefficients(
    tested: Effects | Aggregation | Sequence[float] | Floats,
    covariance: str | Floats | pd.DataFrame,
    event_times: Sequence[float] | Floats | None,
    base: float,
    df: float | None,
) -> Coefficients:
    numbers: dict[str, object] = {"base": base, "df": df}
    for name, number in numbers.items():
        if number is not None and not (
            isinstance(number, (int, float, np.integer, np.floating))
            and (number == number if name == "base" else number > 0)
        ):
            raise DesignError(
                "A setting is out of range.",
                where=name,
                found=repr(number),
                expected="an event time" if name == "base" else "a number above 0",
            )
    if isinstance(tested, (Effects, Aggregation)):
        if isinstance(tested, Aggregation) and tested.by != "event_time":
            raise DesignError(
                "Deviations are followed over event time.",
                where="tested",
                found=f"an aggregation by {tested.by!r}",
                fix="Give the effects, or aggregate by 'event_time'.",
            )
        if event_times is not None or df is not None or not isinstance(covariance, str):
            raise DesignError(
                "Effects bring their own event times, covariance and degrees of freedom.",
                where="event_times" if event_times is not None else "df" if df is not None else "covariance",
                fix="Leave them out, or give the coefficients as an array.",
            )
        return from_effects(tested, covariance)
    lacking = [
        name
        for name, absent in (
            ("covariance", isinstance(covariance, str)),
            ("event_times", event_times is None),
        )
        if absent
    ]
    if lacking:
        raise DesignError(
            "Coefficients need a covariance matrix and their event times.",
            where=" and ".join(lacking),
            fix="honest_bounds(estimates, covariance, event_times=[-3, -2, 0, 1])",
        )
    return from_vector(tested, covariance, event_times, base, df)


def _row(posed: Problem, size: float) -> dict[str, object]:
    found = interval(posed, size)
    notes = []
    empty_set = found.set_low > found.set_high
    empty = found.low > found.high
    if empty:
        notes.append("no value of the effect is compatible with the estimates and this restriction")
    if empty_set:
        notes.append("the estimates before entry lie outside this restriction: the identified set is empty")
    return {
        "m": size,
        "low": np.nan if empty else found.low,
        "high": np.nan if empty else found.high,
        "set_low": np.nan if empty_set else found.set_low,
        "set_high": np.nan if empty_set else found.set_high,
        "excludes_zero": not found.low <= 0 <= found.high,
        "note": "; ".join(notes),
    }


def _sizes(
    sizes: Sequence[float] | None, restriction: Restriction, given: Coefficients, alpha: float
) -> Floats:
    """The sizes asked for, or those that the coefficients before entry suggest."""
    if sizes is None and restriction != "smoothness":
        return np.array(_RELATIVE)
    if sizes is None:
        n_pre = len(given.times.pre)
        seen = bends(given.times)[: n_pre - 1]
        spread = np.sqrt(np.einsum("ij,jk,ik->i", seen, given.covariance, seen))
        reach = np.abs(seen @ given.estimates) + float(ndtri(1 - alpha)) * spread
        largest = float(reach.max()) if n_pre > 1 else float(np.sqrt(given.covariance[0, 0]))
        # In steps of two digits, so that they can be read.
        step = largest / (_SMOOTH - 1)
        unit = 10.0 ** (np.floor(np.log10(step)) - 1)
        return np.asarray(np.ceil(step / unit) * unit * np.arange(_SMOOTH))
    try:
        wanted = np.asarray(sizes, dtype=float)
    except (TypeError, ValueError):
        wanted = np.zeros(0)
    if wanted.ndim != 1 or len(wanted) == 0 or not np.isfinite(wanted).all() or (wanted < 0).any():
        raise DesignError(
            "The sizes of the deviations are out of range.",
            where="sizes",
            found=repr(sizes),
            expected="finite numbers, 0 or more",
        )
    return wanted


def _refuse(restriction: str, bias: str | None, monotone: str | None, grid_points: object) -> None:
    faults = [
        Fault(what="Unknown word.", where=name, found=repr(value), expected=closest(str(value), known))
        for name, value, known in (
            ("restriction", restriction, RESTRICTIONS),
            ("bias", bias, BIASES),
            ("monotone", monotone, MONOTONES),
        )
        if value not in known and (value is not None or name == "restriction")
    ]
    if bias is not None and monotone is not None:
        faults.append(
            Fault(
                what="A sign and a shape together are not offered.",
                where="bias and monotone",
                fix="Give one of them: deviations that rise from zero are positive after entry.",
            )
        )
    if not isinstance(grid_points, Integral) or grid_points < _FEWEST_GRID:
        faults.append(
            Fault(
                what="The grid is too coarse.",
                where="grid_points",
                found=repr(grid_points),
                expected=f"a whole number, {_FEWEST_GRID} or more",
            )
        )
    if faults:
        raise DesignError.of(faults)


def _breakdown_note(broken: float, restriction: Restriction) -> str:
    size = "M" if restriction == "smoothness" else "Mbar"
    if broken == -np.inf:
        return f"Zero lies inside the interval already at {size} = 0."
    if broken == np.inf:
        return f"Zero lies outside the interval at every {size}."
    return f"Zero lies outside the interval up to {size} = {broken:.4g}."


def _spacing(times: Times) -> tuple[str, ...]:
    if times.even:
        return ()
    return (
        "The event times are not evenly spaced by one: steps are taken per unit of time, and bends as the change of "
        "that over half the distance of the neighbouring times.",
    )
