"""p-values, intervals and the smallest effect that could have been seen, by a method that the design decides.

In: a contrast. Out: `Inference`, which says which method was used and why. Never: a cluster-robust or
influence-function standard error for a handful of treated units.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import ndtr, ndtri  # scipy.stats would double the time to load the library

from ..errors import DesignError, closest
from ..estimate import Contrast
from ..estimate.effects import standard_errors
from ..panel import Floats
from .permutation import Reference, interval, reference_distribution

Method = Literal["auto", "permutation", "influence"]
METHODS: tuple[Method, ...] = ("auto", "permutation", "influence")
#: From this many treated units on, influence functions carry inference (DESIGN, "Inference follows the design").
MANY_TREATED = 20
POWER = 0.8
_SHOWN = 2001


@dataclass(frozen=True, kw_only=True)
class Inference:
    """What the data say about one contrast.

    Attributes
    ----------
    label : str
    estimate : float
        In the outcome's unit.
    p_value : float
        Two-sided, of no effect in any unit.
    low, high : float or None
        Confidence interval by test inversion; None where the design bounds it on no side.
    alpha : float
    method : str
        "permutation" or "influence".
    exact : bool
        Whether all treated sets were enumerated.
    because : str
        Why this method.
    n_treated, n_comparison : int
        Units.
    n_sets : int
        Treated sets in the reference distribution, the real one included.
    smallest_p : float
        The smallest p-value that this design can give. Above `alpha` nothing can be concluded.
    minimum_detectable_effect : float or None
        The effect that a test at `alpha` finds with a power of 0.8, from the reference distribution.
    reference : array
        Evenly spaced quantiles of the reference distribution, for a picture; at most 2001.
    """

    label: str
    estimate: float
    p_value: float
    low: float | None
    high: float | None
    alpha: float
    method: Method
    exact: bool
    because: str
    n_treated: int
    n_comparison: int
    n_sets: int
    smallest_p: float
    minimum_detectable_effect: float | None
    reference: Floats

    @property
    def identifiable(self) -> bool:
        """Whether the design could have concluded anything."""
        return self.smallest_p <= self.alpha and self.low is not None and self.high is not None


def infer(
    contrast: Contrast, *, method: Method = "auto", alpha: float = 0.05, seed: int = 0, draws: int = 9_999
) -> Inference:
    """Test one contrast and give its interval.

    Parameters
    ----------
    contrast : Contrast
        From `mekeval.contrast` or `mekeval.unit_contrast`.
    method : {"auto", "permutation", "influence"}
        "auto": with fewer than 20 treated units permutation of the treated sets, each keeping its timing: all of
        them where there are at most ten million, else `draws` seeded ones; from 20 on the influence functions
        with a normal limit. "influence" asked for by name with fewer carries a warning in `because`.
    alpha : float
    seed, draws : int
        For drawn sets.

    Returns
    -------
    Inference

    Raises
    ------
    DesignError
        `alpha` is not between 0 and 1, the method is unknown, or the comparison is smaller than the treated set.

    Notes
    -----
    Permutation assumes that areas are exchangeable. Areas chosen because they are the worst are not: such a test
    then rejects too often, and a verdict needs the rule placebo. Areas larger than the others make it
    conservative.

    References
    ----------
    Fisher, R. A. (1935). The Design of Experiments. Rosenbaum, P. (2002). Observational Studies, section 2.
    """
    if not 0 < alpha < 1:
        raise DesignError(
            "alpha is out of range.", where="alpha", found=repr(alpha), expected="between 0 and 1"
        )
    if method not in METHODS:
        raise DesignError(
            "Unknown method.", where="method", found=repr(method), expected=closest(method, METHODS)
        )
    n_treated = int(np.sum(contrast.group >= 0))
    n_comparison = len(contrast.group) - n_treated
    if draws < 1:
        raise DesignError(
            "There is nothing to draw.", where="draws", found=repr(draws), expected="at least 1"
        )
    if n_comparison < n_treated and method != "influence":
        raise DesignError(
            "The comparison is smaller than the treated set.",
            where=contrast.label,
            found=f"{n_comparison} comparison units, {n_treated} treated",
        )
    if method == "influence" or (method == "auto" and n_treated >= MANY_TREATED):
        return _by_influence(contrast, alpha, n_treated, n_comparison)
    reference = reference_distribution(contrast, seed=seed, draws=draws)
    return _by_permutation(contrast, reference, alpha, n_treated, n_comparison)


def _by_permutation(
    contrast: Contrast, reference: Reference, alpha: float, n_treated: int, n_comparison: int
) -> Inference:
    low, high = interval(contrast.att, reference, alpha)
    ordered = np.sort(reference.statistics)
    last = len(ordered) - 1
    # To be rejected an estimate must lie beyond all but floor(alpha * n_sets) - 1 of the other sets.
    at = min(len(ordered) - math.floor(alpha * len(ordered) + 1e-9), last)
    critical = np.partition(np.abs(ordered), at)[at]
    spread = max(ordered[round(POWER * last)], -ordered[round((1 - POWER) * last)])
    smallest = reference.smallest_p
    shown = np.linspace(0, last, min(_SHOWN, len(ordered))).round().astype(int)
    return Inference(
        label=contrast.label,
        estimate=contrast.att,
        p_value=reference.share_as_large(contrast.att),
        low=low,
        high=high,
        alpha=alpha,
        method="permutation",
        exact=reference.exact,
        because=f"{n_treated} treated: fewer than {MANY_TREATED}, so treated sets are permuted",
        n_treated=n_treated,
        n_comparison=n_comparison,
        n_sets=reference.n_sets,
        smallest_p=smallest,
        minimum_detectable_effect=float(critical + spread) if smallest <= alpha else None,
        reference=ordered[shown],
    )


def _by_influence(contrast: Contrast, alpha: float, n_treated: int, n_comparison: int) -> Inference:
    if n_treated == 1:
        raise DesignError(
            "One treated unit has no standard error.", where=contrast.label, fix="Use method='permutation'."
        )
    if contrast.influence is None:
        raise DesignError("This estimate has no influence function.", where=contrast.label)
    error = float(standard_errors(contrast.influence[:, None])[0])
    reach = float(ndtri(1 - alpha / 2)) * error
    because = f"{n_treated} treated: {MANY_TREATED} or more, so influence functions hold"
    if n_treated < MANY_TREATED:
        because = (
            f"asked for by name; with {n_treated} treated units this error is too small: on real areas such tests "
            "reject a true null in 10 to 87 % of cases"
        )
    return Inference(
        label=contrast.label,
        estimate=contrast.att,
        p_value=float(2 * ndtr(-abs(contrast.att) / error)),
        low=contrast.att - reach,
        high=contrast.att + reach,
        alpha=alpha,
        method="influence",
        exact=False,
        because=because,
        n_treated=n_treated,
        n_comparison=n_comparison,
        n_sets=0,
        smallest_p=0.0,
        minimum_detectable_effect=reach + float(ndtri(POWER)) * error,
        reference=ndtri(np.linspace(0.0005, 0.9995, _SHOWN)) * error,
    )
