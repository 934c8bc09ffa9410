"""Do the treated units' effects differ more than unaffected units differ among each other?

In: `UnitEffects`. Out: `EffectSpread`. Never: a rank of units, or one called the best.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ...display import Shown
from ...inference.result import POWER, refuse_settings
from ...panel import Floats
from .changes import Reason, UnitEffects, drawn_sets, smallest

#: Fewer units cannot be pulled towards their mean by what they say of each other.
FEWEST_SHRUNKEN = 4
_ROUNDING = 1e-9


@dataclass(frozen=True, kw_only=True, repr=False)
class EffectSpread(Shown):
    """How much the effects of the treated units differ, beyond noise.

    Attributes
    ----------
    outcome : str
    units : tuple of str
    estimates : array, shape (n_units,)
        In the outcome's unit, as are all numbers below but shares.
    mean : float
        Of the estimates.
    sd : float or None
        Standard deviation of the estimates (n - 1), noise included; None with one unit.
    noise_sd : float or None
        What unaffected units give in their place: root mean square of `UnitEffects.noise_sd`.
    p_value : float or None
        Share of sets that differ as much among each other, the real one counted; None where `reason` is not empty.
    smallest_p : float
        The smallest p-value that this design can give: the comparison units hold so many different sets.
    sd_low, sd_high : float or None
        One-sided limits of the true standard deviation of effects, each at 1 - alpha, were these drawn from a normal
        distribution. `sd_low` is 0 where the p-value is above alpha. None where the design cannot give one, and
        `sd_high` also where the estimates lie closer to each other than noise alone lets them.
    minimum_detectable_sd : float or None
        True standard deviation that the test finds with a power of 0.8, likewise.
    shrunken : array of shape (n_units,) or None
        Empirical Bayes estimates, as information; None with fewer than four units.
    alpha : float
    n_sets : int
        Sets of comparison units, the real one included.
    exact : bool
        Whether these are all.
    n_comparison : int
    identifiable : bool
        Whether the test could have concluded anything.
    reason : str
        Why not: "few_units" (one), "small_comparison" (fewer than six comparison units, or than two for each treated
        one), "few_arrangements" (too few sets for alpha); else empty.
    """

    outcome: str
    units: tuple[str, ...]
    estimates: Floats
    mean: float
    sd: float | None
    noise_sd: float | None
    p_value: float | None
    smallest_p: float
    sd_low: float | None
    sd_high: float | None
    minimum_detectable_sd: float | None
    shrunken: Floats | None
    alpha: float
    n_sets: int
    exact: bool
    n_comparison: int
    identifiable: bool
    reason: Reason

    @property
    def verdict(self) -> Literal["not_identifiable", "no_detectable_difference", "difference"]:
        """Whether the units differ beyond noise; nothing about which."""
        if not self.identifiable or self.p_value is None:
            return "not_identifiable"
        return "difference" if self.p_value <= self.alpha else "no_detectable_difference"


def effect_spread(
    found: UnitEffects, *, alpha: float = 0.05, seed: int = 0, draws: int = 9_999
) -> EffectSpread:
    r"""Test whether the treated units' effects are all the same.

    The statistic is the variance :math:`V = \sum_u (\hat\theta_u - \bar\theta)^2 / (k - 1)` of the k estimates. Its
    reference are sets of k distinct comparison units in the place of the treated, each over the window, and where
    populations are known at the size, of the unit it stands for: a common effect moves no difference between units.
    With M sets, :math:`p = (1 + \#\{V_S \ge V\}) / (M + 1)`. Each set stands in units of the noise of the comparison
    units outside it, as the treated units do.

    Parameters
    ----------
    found : UnitEffects
    alpha : float
    seed, draws : int
        Sets are all taken where there are at most 50,000 assignments, else drawn.

    Returns
    -------
    EffectSpread

    Raises
    ------
    DesignError
        A setting is out of range.

    Notes
    -----
    The limits of the true standard deviation :math:`\tau` come from inversion: V among the sets plus normal draws of
    standard deviation :math:`\tau`, the same draws for every :math:`\tau`. With five units and normal noise of standard
    deviation s the test finds :math:`\tau` of 2.2 s with a power of 0.8: "no difference seen" is not "no difference".

    Shrunken estimates are those of Morris (1983): with noise variance :math:`v_u`,
    :math:`A = \max(0, V - \bar v)`, :math:`\mu = \sum w_u \hat\theta_u / \sum w_u`, :math:`w_u = 1 / (v_u + A)`,

    .. math:: \tilde\theta_u = \mu + (1 - B_u)(\hat\theta_u - \mu), \qquad B_u = \frac{k - 3}{k - 1} v_u w_u.

    With equal variances and :math:`V \ge v` that is the estimator of James and Stein towards the mean. They say how far
    single estimates should be trusted; they are no ranking.

    In simulated cities with 31 comparison areas (`benchmarks/doses.py`) it rejects in 4 to 10 % where nothing differs,
    most where noise has heavy tails; where the treated are the largest areas in 0 to 1 % without populations and in 4
    to 6 % with them. Areas that were chosen because they are the worst may differ among each other more than others
    do, whatever is done: the test takes them as exchangeable with the comparison, up to size.

    References
    ----------
    Morris, C. N. (1983). Parametric empirical Bayes inference: theory and applications. Journal of the American
    Statistical Association 78, 47-55. Efron, B. and Morris, C. (1973). Stein's estimation rule and its competitors.
    Journal of the American Statistical Association 68, 117-130.

    Examples
    --------
    >>> import numpy as np
    >>> from mekeval.sensitivity.heterogeneity import UnitEffects
    >>> noise = np.random.default_rng(1).normal(size=(20, 1)) @ np.ones((1, 4))
    >>> found = UnitEffects(outcome="y", units=tuple("abcd"), estimates=np.array([0.0, 0, 9, 9]), noise=noise,
    ...     noise_sd=noise.std(axis=0), comparison=tuple("efghijklmnopqrstuvwx"), scaled=False, left_out=())
    >>> spread = effect_spread(found)
    >>> spread.verdict, round(spread.sd, 6), spread.smallest_p == 1 / 4846  # 4845 sets of 4 of 20
    ('difference', 5.196152, True)
    """
    refuse_settings(alpha=alpha, draws=draws, seed=seed)
    k, estimates = len(found.units), found.estimates
    reason: Reason = "few_units" if k < 2 else "" if found.enough_comparison else "small_comparison"
    p_value = sd = noise_sd = low = high = smallest_sd = None
    n_sets, exact, smallest = 0, False, 1.0
    if k > 1:
        sd = float(np.std(estimates, ddof=1))
    if not reason:
        noise, exact = drawn_sets(found, seed=seed, draws=draws)
        n_sets = len(noise) + 1
        smallest = 1 / min(n_sets, math.comb(len(found.comparison), k) + 1)
        variances = noise.var(axis=1, ddof=1)
        noise_sd = float(np.sqrt(np.mean(found.noise_sd**2)))
        own = float(np.var(estimates, ddof=1))
        tiny = _ROUNDING * max(own, noise_sd**2)
        p_value = max(smallest, (1 + int(np.count_nonzero(variances >= own - tiny))) / n_sets)
        if smallest > alpha:
            reason = "few_arrangements"
        else:
            low, high, smallest_sd = _limits(noise, own + tiny, alpha, seed, draws, p_value)
    return EffectSpread(
        outcome=found.outcome,
        units=found.units,
        estimates=estimates,
        mean=float(estimates.mean()),
        sd=sd,
        noise_sd=noise_sd,
        p_value=p_value,
        smallest_p=smallest,
        sd_low=low,
        sd_high=high,
        minimum_detectable_sd=smallest_sd,
        shrunken=shrunken(estimates, found.noise_sd) if k >= FEWEST_SHRUNKEN else None,
        alpha=alpha,
        n_sets=n_sets,
        exact=exact,
        n_comparison=len(found.comparison),
        identifiable=reason == "",
        reason=reason,
    )


def shrunken(estimates: Floats, noise_sd: Floats) -> Floats:
    """Estimates pulled towards their mean as far as noise explains their spread; see `effect_spread`."""
    k, noise = len(estimates), np.asarray(noise_sd) ** 2
    between = max(0.0, float(np.var(estimates, ddof=1) - noise.mean()))
    total = noise + between
    if not np.all(total > 0):
        return np.array(estimates, dtype=np.float64)
    mean = float(np.sum(estimates / total) / np.sum(1 / total))
    return np.asarray(mean + (1 - (k - 3) / (k - 1) * noise / total) * (estimates - mean))


def _limits(
    noise: Floats, own: float, alpha: float, seed: int, draws: int, p_value: float
) -> tuple[float | None, float | None, float | None]:
    """Limits of the true standard deviation, and the one that is found with the power wanted."""
    noise = np.tile(noise, (-(-min(draws, 2_000) // len(noise)), 1))  # few sets meet several draws of effects
    effect = np.random.default_rng(seed).standard_normal(noise.shape)
    centred, moved = (one - one.mean(axis=1, keepdims=True) for one in (noise, effect))
    df, n = noise.shape[1] - 1, len(noise) + 1
    parts = [np.einsum("sk,sk->s", one, two) / df for one, two in ((centred, centred), (centred, moved))]
    still, cross, pure = *parts, np.einsum("sk,sk->s", moved, moved) / df
    beyond = math.floor(alpha * n + _ROUNDING)
    critical = float(np.sort(still)[-beyond]) if beyond else math.inf

    def variance(sd: float) -> Floats:
        return np.asarray(still + 2 * sd * cross + sd**2 * pure)

    def as_small(sd: float) -> bool:
        return bool((1 + np.count_nonzero(variance(sd) <= own)) / n < alpha)

    def as_large(sd: float) -> bool:
        return bool((1 + np.count_nonzero(variance(sd) >= own * (1 - _ROUNDING))) / n > alpha)

    def seen(sd: float) -> bool:
        return bool(np.mean(variance(sd) >= critical * (1 - _ROUNDING)) >= POWER)

    reach = math.sqrt(max(own, float(still.max())))
    low = 0.0 if p_value > alpha else smallest(as_large, reach)
    high = None if as_small(0.0) else smallest(as_small, reach)
    return low, high, smallest(seen, reach) if reach > 0 else None
