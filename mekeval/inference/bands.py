"""Uniform confidence bands from stored influence functions, by a multiplier bootstrap.

In: `Effects` or an `Aggregation`. Out: `Bands`. Never: an estimate twice, or a standard error for one treated unit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import ndtri  # scipy.stats would double the time to load the library

from ..display import Shown
from ..errors import DesignError, closest
from ..estimate import Aggregation, Effects
from ..panel import Floats
from .result import as_sentences, comparison_units, not_testable, refuse_settings, warnings_of_influence

Multiplier = Literal["mammen", "rademacher"]
MULTIPLIERS: tuple[Multiplier, ...] = ("mammen", "rademacher")

_NUMBERS_AT_ONCE = 1_000_000  # multipliers held at a time: 9 MB
_MAMMEN = (1 + np.sqrt(5)) / 2  # drawn with the probability of its own inverse over the root of five
_FLAT = 1e-10  # a standard error below this share of the largest is rounding
_IQR = float(ndtri(0.75) - ndtri(0.25))


@dataclass(frozen=True, kw_only=True, repr=False)
class Bands(Shown):
    """Intervals that hold one by one, and bands that hold for all estimates at once.

    Attributes
    ----------
    estimator, outcome : str
        What was estimated, with ", by event_time" and so on for an aggregation.
    table : pandas.DataFrame
        One row for each of the n_estimates, in their order: the columns that name it (`key`, or `path`, `cohort`,
        `period`, `event_time`, `phase`), `att`, `se` (from the influence functions), `se_bootstrap`, `low` and `high`
        (pointwise), `low_uniform` and `high_uniform`, all in the outcome's unit and missing where `note` says why.
        Where the bands rest on fewer than 20 treated or comparison units `note` says that they are too narrow.
    critical_value : float
        Half width of the uniform band in bootstrap standard errors; at least `pointwise_critical_value`.
    pointwise_critical_value : float
        The normal quantile.
    p_value : float
        Of the hypothesis that all estimates with a standard error are zero, by the largest of their ``|att / se|``.
    p_value_pre : float or None
        The same of those before entry alone; None where there are none.
    n_tested, n_tested_pre : int
        Estimates in the two hypotheses.
    alpha : float
    multiplier : str
    draws, seed : int
    n_units : int
    warnings : tuple of str
        Keys of `WARNINGS`, as of `infer` with "multiplier"; each `note` of a band tells them.
    """

    estimator: str
    outcome: str
    table: pd.DataFrame
    critical_value: float
    pointwise_critical_value: float
    p_value: float
    p_value_pre: float | None
    n_tested: int
    n_tested_pre: int
    alpha: float
    multiplier: Multiplier
    draws: int
    seed: int
    n_units: int
    warnings: tuple[str, ...]


def uniform_bands(
    estimates: Effects | Aggregation,
    *,
    alpha: float = 0.05,
    draws: int = 999,
    seed: int = 0,
    multiplier: Multiplier = "mammen",
) -> Bands:
    r"""Pointwise intervals and uniform bands of many effects, from one multiplier bootstrap.

    With the influence functions :math:`\psi_{ik}` of n units and multipliers :math:`V_i^b` of mean 0 and variance 1,

    .. math::
        R^b_k = \frac1n \sum_i V^b_i \psi_{ik}, \qquad
        \hat\sigma_k = \frac{q_{0.75}(R_k) - q_{0.25}(R_k)}{z_{0.75} - z_{0.25}}, \qquad
        \hat c = q_{1-\alpha}\Bigl(\max_k |R^b_k| / \hat\sigma_k\Bigr),

    the pointwise interval of an estimate is :math:`\hat\theta_k \pm z_{1-\alpha/2}\, \hat\sigma_k` and its uniform
    band :math:`\hat\theta_k \pm \hat c\, \hat\sigma_k`. The p-value of "all are zero" is the share of draws, the
    estimates among them, whose maximum is at least :math:`\max_k |\hat\theta_k| / \hat\sigma_k`.

    The draws of one seed are the same for whatever is estimated on the same units, so nothing is estimated again. Their
    matrix is never held as a whole: memory is that of the influence functions and about 20 MB. They go to the units
    by their names, so the order of a file does not matter.

    Parameters
    ----------
    estimates : Effects or Aggregation
        With influence functions. All its estimates share one band: give ``aggregate(effects, by="event_time")`` for
        the band of an event study.
    alpha : float
        One minus the coverage.
    draws : int
        Multiplier draws.
    seed : int
    multiplier : {"mammen", "rademacher"}
        Mammen's two points, which keep the third moment, as in the source; or random signs.

    Returns
    -------
    Bands
        A cell of a path of one treated unit has no standard error and is left out of band and test; so is an estimate
        that does not vary at all. `note` says so.

    Raises
    ------
    DesignError
        The estimator has no influence functions; no estimate has a standard error; `alpha`, `draws` or `seed` is out of
        range; the multiplier is unknown.

    Notes
    -----
    It rests on many treated units, as influence functions do: with fewer than twenty use `infer`, which permutes. It
    is the bootstrap of R's did (`mboot`), interquartile range and order statistics included; its C++ code draws signs
    ("rademacher"). As did, it never gives a band narrower than the pointwise intervals. It differs from `infer` in
    that it looks at many effects together.

    References
    ----------
    Callaway, B. and Sant'Anna, P. (2021). Difference-in-differences with multiple time periods. Journal of
    Econometrics 225, 200-230, section 4.1 and algorithm 1. Mammen, E. (1993). Bootstrap and wild bootstrap for high
    dimensional linear models. Annals of Statistics 21, 255-285.

    Examples
    --------
    >>> import pandas as pd
    >>> from mekeval import aggregate, build_panel, callaway_santanna, make_design
    >>> frame = pd.DataFrame({"unit": list("aabbccdd"), "year": [1, 2] * 4, "y": [1.0, 4, 0, 2, 2, 3, 0, 2]})
    >>> panel = build_panel(frame, unit="unit", period="year", outcome=["y"])
    >>> effects = callaway_santanna(panel, make_design("abcd", [(2, 2, ["a", "b"])]), outcome="y")
    >>> bands = uniform_bands(effects, draws=99)
    >>> bands.table[["period", "att"]].to_numpy().tolist(), bands.n_tested
    ([[2.0, 1.0]], 1)
    """
    refuse_settings(alpha=alpha, draws=draws, seed=seed)
    if multiplier not in MULTIPLIERS:
        raise DesignError(
            "Unknown multiplier.",
            where="multiplier",
            found=repr(multiplier),
            expected=closest(str(multiplier), MULTIPLIERS),
        )
    if not isinstance(estimates, (Effects, Aggregation)):
        raise not_testable(estimates, "effects or an aggregation")
    table, pre, effects, estimator = _rows(estimates)
    outcome = effects.outcome
    if estimates.influence is None:
        raise DesignError(
            "This estimator has no influence functions.",
            where=f"{outcome}, {estimator}",
            fix="Test it by permutation (`infer`), or by the placebos of its own.",
        )
    errors = table.pop("se").to_numpy(dtype=float, na_value=np.nan)
    notes = table.pop("note").to_numpy(dtype=object)
    flat = errors <= _FLAT * np.nanmax(errors, initial=0.0)
    errors[flat], notes[flat] = np.nan, "the estimate does not vary: no standard error exists"
    known = np.flatnonzero(~np.isnan(errors))
    if len(known) == 0:
        raise DesignError(
            "No estimate has a standard error, so there is nothing to band.",
            where=f"{outcome}, {estimator}",
            found="; ".join(dict.fromkeys(notes)),
            fix="Test it by permutation (`infer`).",
        )
    moves = multiplier_draws(
        estimates.influence[:, known], effects.units, draws=draws, seed=seed, multiplier=multiplier
    )
    quarter, rest = np.quantile(moves, [0.25, 0.75], axis=0, method="inverted_cdf")
    scale = (rest - quarter) / _IQR
    # With a handful of draws the interquartile range can be zero; such draws say nothing.
    if not np.all(scale > 0):
        raise DesignError("The draws are too few for a scale.", where="draws", found=str(draws))
    sizes = np.abs(moves) / scale
    att = table["att"].to_numpy(dtype=float)[known]
    normal = float(ndtri(1 - alpha / 2))
    warnings = warnings_of_influence(int(np.sum(effects.group >= 0)), comparison_units(effects))
    notes[known] = as_sentences(warnings)
    largest = sizes.max(axis=1)
    critical = max(float(np.quantile(largest, 1 - alpha, method="inverted_cdf")), normal)
    statistic = np.abs(att) / scale
    of_pre = pre[known]
    numbers = np.full((6, len(table)), np.nan)
    numbers[0] = errors
    numbers[1:, known] = [
        scale,
        att - normal * scale,
        att + normal * scale,
        att - critical * scale,
        att + critical * scale,
    ]
    names = ("se", "se_bootstrap", "low", "high", "low_uniform", "high_uniform")
    columns = {name: pd.array(row, dtype="Float64") for name, row in zip(names, numbers, strict=True)}
    return Bands(
        estimator=estimator,
        outcome=outcome,
        table=table.assign(**columns, note=notes),
        critical_value=critical,
        pointwise_critical_value=normal,
        p_value=_share_as_large(largest, statistic),
        p_value_pre=_share_as_large(sizes[:, of_pre].max(axis=1), statistic[of_pre])
        if of_pre.any()
        else None,
        n_tested=len(known),
        n_tested_pre=int(of_pre.sum()),
        alpha=alpha,
        multiplier=multiplier,
        draws=draws,
        seed=seed,
        n_units=len(effects.units),
        warnings=warnings,
    )


def multiplier_draws(
    influence: Floats, units: tuple[str, ...], *, draws: int, seed: int, multiplier: Multiplier
) -> Floats:
    """Draws of the estimates around their values, shape (draws, n): means of influence functions times multipliers.

    Both multipliers have two points, so a draw is a sum over the units that got the first one:
    :math:`\\sum_i V_i \\psi_i = b \\sum_i \\psi_i + (a - b) \\sum_{i: V_i = a} \\psi_i`. A multiplier costs one random
    byte, and only a byte on the edge of the probability a further number.

    Parameters
    ----------
    influence : array, shape (n_units, n)
    units : tuple of str
        Their names: the unit whose name comes first gets the first multipliers.
    """
    rng = np.random.default_rng(seed)
    first, second, share = (
        (1 - _MAMMEN, _MAMMEN, _MAMMEN / np.sqrt(5)) if multiplier == "mammen" else (1.0, -1.0, 0.5)
    )
    edge = int(256 * share)
    n_units = len(units)
    order = np.array(sorted(range(n_units), key=units.__getitem__), dtype=np.intp)
    at_once = min(n_units, max(1, _NUMBERS_AT_ONCE // draws))
    total = np.zeros((influence.shape[1], draws))
    chosen = np.empty(at_once * draws)
    for start in range(0, n_units, at_once):
        rows = influence[order[start : start + at_once]]
        count = len(rows) * draws
        words = rng.bit_generator.random_raw(-(-count // 8)).astype("<u8", copy=False)
        given, one = words.view(np.uint8)[:count], chosen[:count]
        np.less(given, edge, out=one)
        if 256 * share > edge:
            on_edge = np.flatnonzero(given == edge)
            one[on_edge] = rng.random(len(on_edge)) < 256 * share - edge
        total += rows.T @ one.reshape(len(rows), draws)
    return np.asarray(((first - second) * total.T + second * influence.sum(axis=0)) / n_units)


def _rows(
    estimates: Effects | Aggregation,
) -> tuple[pd.DataFrame, npt.NDArray[np.bool_], Effects, str]:
    """What names each estimate, with `att`, `se` and `note`; which are before entry; the effects; what they are."""
    if isinstance(estimates, Effects):
        effects, estimator, told = estimates, estimates.estimator, estimates.tidy()
        names = ["path", "cohort", "period", "event_time", "phase"]
        pre = (told["phase"] == "pre").to_numpy()
    else:
        effects, told, names = estimates.effects, estimates.table, ["key"]
        estimator = f"{effects.estimator}, by {estimates.by}"
        pre = np.zeros(len(told), dtype=bool)
        if estimates.by == "event_time":
            pre = (told["key"] < 0).to_numpy()
    table = told[[*names, "att", "se", "se_note"]].rename(columns={"se_note": "note"})
    return table.reset_index(drop=True), pre, effects, estimator


def _share_as_large(largest: Floats, statistic: Floats) -> float:
    """Share of draws, the estimates among them, whose maximum is at least that of the estimates."""
    return float((1 + np.sum(largest >= statistic.max())) / (1 + len(largest)))
