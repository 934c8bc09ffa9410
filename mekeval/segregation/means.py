"""How far the means of areas lie apart, and whether those that lag catch up.

In: means or rates of areas by year, with their people. Out: `AreaInequality` and `Convergence`. Never: a return to the
mean told as catching up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import stdtr, stdtrit, xlogy

from ..display import Shown
from ..errors import DataError, DesignError, Fault
from ..inference.result import refuse_settings
from ..panel import Floats
from .cells import Missing, entering, names_of, numbers_of, refuse_options, told
from .indices import fifths

#: What `area_inequality` measures, in its order.
MEAN_INDICES = ("gini", "theil", "gap", "ratio", "sd", "cv")
_FEWEST = 5  # areas that a regression of changes on levels needs


@dataclass(frozen=True, kw_only=True, repr=False)
class AreaInequality(Shown):
    """How far the means of areas lie apart, by year.

    Attributes
    ----------
    areas : tuple of str
        n_areas that enter.
    periods : tuple of int
    table : pandas.DataFrame
        One row for each index of `MEAN_INDICES` and year: `index`, `period`, `value`, `n_areas` and `note`: "" or why
        there is no value ("not_positive": Gini, Theil, ratio and cv need means above zero).
        `gap` and `sd` in the unit of the means.
    gaps : tuple of int
        Years without a value in at least half of the areas.
    dropped : tuple of (str, str, int)
        As in `Segregation`.
    """

    areas: tuple[str, ...]
    periods: tuple[int, ...]
    table: pd.DataFrame
    gaps: tuple[int, ...]
    dropped: tuple[tuple[str, str, int], ...]

    def series(self, index: str) -> pd.DataFrame:
        """The rows of one index, by year."""
        if index not in MEAN_INDICES:
            raise DesignError("Unknown index.", found=repr(index), expected=", ".join(MEAN_INDICES))
        return self.table.loc[self.table["index"] == index].set_index("period")


@dataclass(frozen=True, kw_only=True, repr=False)
class Convergence(Shown):
    """Whether areas that start high change less (beta convergence), and whether they come closer (sigma).

    Attributes
    ----------
    beta, se, low, high, p_value : float
        Slope of the change on the level at the start by weighted least squares, with HC1 errors and t(n - 2). Below
        zero areas come closer, or return to the mean.
    corrected, corrected_se, corrected_low, corrected_high, corrected_p : float or None
        The same without the return to the mean, by `correction`; None where none was asked for.
    correction : str
        "none", "instrument" (another year's level) or "error_variance" (what is known of the levels' sampling errors).
    reliability : float or None
        Share of the variance of the levels at the start that is no sampling error; of an instrument its squared
        correlation with them. A corrected slope with a low one is hardly known.
    sd_start, sd_end : float
        Weighted standard deviation of the areas at both ends; their ratio below 1 is sigma convergence. There can be
        beta convergence without it.
    n : int
        Areas.
    alpha : float
    """

    beta: float
    se: float
    low: float
    high: float
    p_value: float
    corrected: float | None
    corrected_se: float | None
    corrected_low: float | None
    corrected_high: float | None
    corrected_p: float | None
    correction: str
    reliability: float | None
    sd_start: float
    sd_end: float
    n: int
    alpha: float


def area_inequality(
    values: npt.ArrayLike,
    weights: npt.ArrayLike,
    *,
    areas: Sequence[str] | None = None,
    periods: Sequence[int] | None = None,
    missing: Missing = "balanced",
) -> AreaInequality:
    r"""How far the means of areas lie apart, such as their mean incomes.

    Parameters
    ----------
    values : array, shape (n_areas, n_periods) or (n_areas,)
        Means or rates; NaN where there is none.
    weights : array of the same shape
        Persons behind them.
    areas, periods, missing
        As in `segregation_indices`.

    Returns
    -------
    AreaInequality
        With w the weights, W their sum and m the mean of all people: gini
        :math:`\sum_i \sum_j w_i w_j |x_i - x_j| / (2 W^2 m)`, theil :math:`\sum w x \ln(x / m) / (W m)`, gap and ratio
        of the highest to the lowest fifth of the people, sd and cv.

    Raises
    ------
    DataError
        Shapes differ, values or weights are infinite, weights are negative, only one of both is there.
    DesignError
        Fewer than two areas with a value.

    Notes
    -----
    Differences between areas alone; those of people within areas do not enter, so this is the part between areas of
    an inequality of people. There are no intervals: nothing is known of the spread within areas.

    Examples
    --------
    >>> found = area_inequality([10.0, 20.0, 30.0], [1, 1, 1])
    >>> found.series("gini")["value"].round(4).tolist()
    [0.2222]
    """
    x, w = (np.atleast_1d(numbers_of(what, one)) for what, one in (("values", values), ("weights", weights)))
    if x.shape != w.shape or x.ndim > 2:
        raise DataError("Values and weights have unequal shapes.", found=f"{x.shape} and {w.shape}")
    x, w = (one[:, None] if one.ndim == 1 else one for one in (x, w))
    names, years = names_of(x.shape, areas, periods)
    faults = [
        fault
        for what, bad in (
            ("A value or weight is infinite.", np.isinf(x) | np.isinf(w)),
            ("A weight is negative.", w < 0),
            ("A value has no weight.", ~np.isnan(x) & np.isnan(w)),
        )
        for fault in told(what, bad, names, years)
    ]
    if faults:
        raise DataError.of(faults)
    refuse_options(missing)
    known = entering(np.where(np.isnan(x), np.nan, w), names=names, years=years, missing=missing)
    x = np.where(known.there, x[known.cells], 0.0).T
    w = np.where(known.there, w[known.cells], 0.0).T
    people = w.sum(axis=-1)
    mean = (w * x).sum(axis=-1) / people
    order = np.argsort(x, axis=-1, kind="stable")
    ordered, sizes = np.take_along_axis(x, order, axis=-1), np.take_along_axis(w, order, axis=-1)
    before = np.cumsum(sizes, axis=-1) - sizes, np.cumsum(sizes * ordered, axis=-1) - sizes * ordered
    pairs = (sizes * (ordered * before[0] - before[1])).sum(axis=-1)
    lowest, highest = fifths(ordered, sizes)
    sd = np.sqrt((w * (x - mean[:, None]) ** 2).sum(axis=-1) / people)
    positive = np.where(w > 0, x, 1.0).min(axis=-1) > 0
    safe_mean, safe_lowest = (np.where(positive, one, np.nan) for one in (mean, lowest))
    relative = np.where(positive[:, None], x / np.where(positive, mean, 1.0)[:, None], 1.0)
    found = np.stack(
        [
            pairs / (people**2 * safe_mean),
            np.where(
                positive, (w * xlogy(relative, np.where(w > 0, relative, 1.0))).sum(axis=-1) / people, np.nan
            ),
            highest - lowest,
            highest / safe_lowest,
            sd,
            sd / safe_mean,
        ]
    )
    n = len(known.periods)
    return AreaInequality(
        areas=known.areas,
        periods=known.periods,
        table=pd.DataFrame(
            {
                "index": np.repeat(list(MEAN_INDICES), n),
                "period": np.tile(list(known.periods), len(MEAN_INDICES)),
                "value": found.ravel(),
                "n_areas": np.tile(known.there.sum(axis=0), len(MEAN_INDICES)),
                "note": np.where(np.isnan(found), "not_positive", "").ravel(),
            }
        ),
        gaps=known.gaps,
        dropped=known.dropped,
    )


def convergence(
    start: npt.ArrayLike,
    end: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
    *,
    instrument: npt.ArrayLike | None = None,
    error_variance: npt.ArrayLike | None = None,
    alpha: float = 0.05,
) -> Convergence:
    r"""Whether areas that start high change less than others.

    Parameters
    ----------
    start, end : array, shape (n_areas,)
        Levels at both ends; areas where any input is missing must be left out before.
    weights : array, shape (n_areas,), optional
        Persons; every area counts the same by default.
    instrument : array, shape (n_areas,), optional
        The level of another year before the start, whose errors are others than those of the start.
    error_variance : array, shape (n_areas,), optional
        Sampling variance of `start`, of a rate of n people p (1 - p) / n. Not both.
    alpha : float

    Returns
    -------
    Convergence

    Raises
    ------
    DataError
        Shapes differ, or a value is missing or not finite; weights that are not above zero, negative variances.
    DesignError
        Fewer than five areas, levels that do not vary, both corrections at once; sampling errors as large as the
        variance of the levels; an instrument that is not related to them.

    Notes
    -----
    An area that is high at the start partly by chance falls back, so the plain slope is below zero even where nothing
    comes closer: with errors of variance v in levels of variance s the slope is :math:`-v / (s + v)`. Both corrections
    take that away: the instrument where the errors of two years are independent (of a register they are not quite:
    mostly the same people live there), the variance where it is known,
    :math:`(cov(x, d) + \bar v) / (var(x) - \bar v)`. Real shocks that pass also return to the mean; no correction here
    takes those away but an instrument from a year that they have not reached.

    References
    ----------
    Barro, R. and Sala-i-Martin, X. (1992). Convergence. Journal of Political Economy 100(2). Fuller, W. A. (1987).
    Measurement error models. Quah, D. (1993). Galton's fallacy and tests of the convergence hypothesis. Scandinavian
    Journal of Economics 95(4).

    Examples
    --------
    >>> found = convergence([1.0, 2.0, 3.0, 4.0, 5.0], [1.5, 2.25, 3.0, 3.75, 4.5])
    >>> round(found.beta, 3), round(found.sd_end / found.sd_start, 3)
    (-0.25, 0.75)
    """
    x, y = numbers_of("start", start), numbers_of("end", end)
    w = np.ones(x.shape) if weights is None else numbers_of("weights", weights)
    z = None if instrument is None else numbers_of("instrument", instrument)
    v = None if error_variance is None else numbers_of("error_variance", error_variance)
    _refuse_levels(x, y, w, z, v, alpha)
    w = w / w.sum()
    n = len(x)
    moved = y - x
    centred = x - w @ x
    var = float(w @ centred**2)
    plain = _slope(w, centred, moved, x, alpha)
    better: tuple[float, float, float, float, float] | None = None
    correction, reliability = "none", None
    if z is not None:
        from_z = z - w @ z
        related = float(w @ (from_z * centred))
        reliability = related**2 / (var * float(w @ from_z**2)) if np.ptp(z) > 0 else 0.0
        if reliability < 1e-6:
            raise DesignError("The instrument is not related to the levels at the start.", where="instrument")
        better, correction = _slope(w, from_z, moved, x, alpha), "instrument"
    if v is not None:
        noise = float(w @ v)
        reliability = 1 - noise / var
        if reliability <= 0:
            raise DesignError(
                "The sampling errors are as large as the differences between areas.",
                where="error_variance",
                found=f"{noise:g}, variance of the levels {var:g}",
                fix="Join years or areas, so that levels are better known.",
            )
        slope = (float(w @ (centred * moved)) + noise) / (var - noise)
        deviation = moved - w @ moved - slope * centred
        score = w * (centred * deviation + v * (1 + slope))
        better = _tested(slope, score, var - noise, n, alpha)
        correction = "error_variance"
    some: tuple[float | None, ...] = better if better is not None else (None,) * 5
    return Convergence(
        beta=plain[0],
        se=plain[1],
        low=plain[2],
        high=plain[3],
        p_value=plain[4],
        corrected=some[0],
        corrected_se=some[1],
        corrected_low=some[2],
        corrected_high=some[3],
        corrected_p=some[4],
        correction=correction,
        reliability=reliability,
        sd_start=float(np.sqrt(var)),
        sd_end=float(np.sqrt(w @ (y - w @ y) ** 2)),
        n=n,
        alpha=alpha,
    )


def _slope(
    w: Floats, by: Floats, moved: Floats, x: Floats, alpha: float
) -> tuple[float, float, float, float, float]:
    """Slope of the change on x by a centred instrument (x itself: least squares), with its test."""
    related = float(w @ (by * (x - w @ x)))
    slope = float(w @ (by * moved)) / related
    deviation = moved - w @ moved - slope * (x - w @ x)
    return _tested(slope, w * by * deviation, related, len(x), alpha)


def _tested(
    slope: float, score: Floats, scale: float, n: int, alpha: float
) -> tuple[float, float, float, float, float]:
    """Slope, error (HC1), interval and p-value from the scores of areas."""
    se = float(np.sqrt(np.sum(score**2) * n / (n - 2)) / abs(scale))
    reach = float(stdtrit(n - 2, 1 - alpha / 2)) * se
    p_value = float(2 * stdtr(n - 2, -abs(slope) / se)) if se > 0 else float(slope == 0)
    return slope, se, slope - reach, slope + reach, p_value


def _refuse_levels(x: Floats, y: Floats, w: Floats, z: Floats | None, v: Floats | None, alpha: float) -> None:
    given = {"start": x, "end": y, "weights": w, "instrument": z, "error_variance": v}
    arrays = {name: one for name, one in given.items() if one is not None}
    if any(one.shape != x.shape for one in arrays.values()) or x.ndim != 1:
        raise DataError(
            "The inputs have unequal shapes.",
            found=", ".join(f"{name} {one.shape}" for name, one in arrays.items()),
            expected="one value for each area in each",
        )
    faults = [
        Fault(
            what="A value is missing or not finite.",
            where=name,
            found=f"{int((~np.isfinite(one)).sum())} areas",
        )
        for name, one in arrays.items()
        if not np.isfinite(one).all()
    ]
    if np.any(w <= 0):
        faults.append(Fault(what="A weight is not above zero.", where="weights", found=f"{w.min():g}"))
    if v is not None and np.any(v < 0):
        faults.append(Fault(what="A variance is negative.", where="error_variance", found=f"{v.min():g}"))
    if faults:
        raise DataError.of(faults)
    if z is not None and v is not None:
        raise DesignError(
            "Two corrections at once.", where="instrument, error_variance", fix="Give one of both."
        )
    refuse_settings(alpha=alpha)
    if len(x) < _FEWEST or not np.ptp(x) > 0:
        raise DesignError(
            "The levels cannot tell whether areas converge.",
            found=f"{len(x)} areas" if len(x) < _FEWEST else "levels that do not vary",
            expected=f"at least {_FEWEST} areas with levels that differ",
        )
