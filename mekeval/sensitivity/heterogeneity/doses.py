"""Does more of the programme go with more effect? And how little a handful of units can say about it.

In: `UnitEffects` and a dose for each unit. Out: `DoseResponse`. Never: a slope read as what more money would do.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Literal

import numpy as np

from ...display import Shown
from ...errors import DesignError, Fault
from ...inference.permutation import Reference, interval
from ...inference.result import POWER, from_draws, refuse_settings
from ...panel import Floats
from .changes import Reason, UnitEffects, drawn_sets, smallest

#: What must be said beside every slope.
CAVEAT = (
    "Doses were not drawn by lot: they follow how units were chosen. A slope mixes what the dose does with why it was "
    "given, and so many units as a programme has carry little. It is information, never a verdict on the programme."
)
FEWEST_UNITS = 3
MOST_ARRANGEMENTS = 5_040
_POWER_SETS, _POWER_CELLS = 500, 2_000_000
_ROUNDING = 1e-9
_LEAST, _MOST = (
    1e-12,
    1e12,
)  # of a dose: squares of others leave the range of numbers, or their sums lose digits


@dataclass(frozen=True, kw_only=True, repr=False)
class DoseResponse(Shown):
    """How the treated units' effects go with their doses.

    Numbers are None where `reason` says why they cannot be had. A slope is in the outcome's unit for one unit of dose.

    Attributes
    ----------
    outcome : str
    units : tuple of str
    doses, estimates : array, shape (n_units,)
    intervals : tuple of ((float, float) or None)
        Of each unit by itself, as `UnitEffects.intervals` gives them.
    n_distinct : int
        Different doses.
    slope, intercept : float or None
        Of the least-squares line, every unit alike.
    low, high : float or None
        All slopes that one of both tests does not reject: the interval that belongs to the verdict.
    p_permutation, p_noise : float or None
        Of no slope: against other arrangements of the same doses among the treated units; against sets of comparison
        units that are given the doses.
    permutation_low, permutation_high, noise_low, noise_high : float or None
        The interval of each test alone.
    n_arrangements, n_sets : int
        Arrangements of the doses, and sets of comparison units, the real one included in both.
    smallest_p : float
        The smallest p-value that the arrangements of these doses can give, whatever was found.
    minimum_detectable_slope : float or None
        Found by both tests with a power of 0.8, did effects differ by dose alone; noise as that of the comparison.
    r_squared : float or None
        Share of the estimates' variance that the line explains. A line through few points always explains much:
    r_squared_by_chance : float or None
        The value that sets of comparison units with these doses exceed in 5 %.
    leverage : tuple of float
        Share of its own estimate in the line's value at each unit, 1 / n_units to 1; empty without a line.
    leave_one_out : tuple of (float or None)
        The slope without each unit; None where the other doses are all equal. Empty without a line.
    alpha : float
    identifiable : bool
        Whether the tests could have concluded anything.
    reason : str
        Why not: "few_units" (fewer than three), "equal_doses", "small_comparison" (fewer than six comparison units, or
        than two for each treated one), "few_arrangements" (`smallest_p` is above alpha); else empty.
    caveat : str
        What must be said beside the numbers.
    """

    outcome: str
    units: tuple[str, ...]
    doses: Floats
    estimates: Floats
    intervals: tuple[tuple[float, float] | None, ...]
    n_distinct: int
    slope: float | None
    intercept: float | None
    low: float | None
    high: float | None
    p_permutation: float | None
    p_noise: float | None
    permutation_low: float | None
    permutation_high: float | None
    noise_low: float | None
    noise_high: float | None
    n_arrangements: int
    n_sets: int
    smallest_p: float
    minimum_detectable_slope: float | None
    r_squared: float | None
    r_squared_by_chance: float | None
    leverage: tuple[float, ...]
    leave_one_out: tuple[float | None, ...]
    alpha: float
    identifiable: bool
    reason: Reason
    caveat: str

    @property
    def p_value(self) -> float | None:
        """The larger of both p-values: a gradient must be seen by both tests."""
        if self.p_permutation is None or self.p_noise is None:
            return None
        return max(self.p_permutation, self.p_noise)

    @property
    def verdict(self) -> Literal["not_identifiable", "no_detectable_gradient", "gradient"]:
        """Whether effects go with doses beyond chance; what the doses did it does not say (`caveat`)."""
        if not self.identifiable or self.p_value is None:
            return "not_identifiable"
        return "gradient" if self.p_value <= self.alpha else "no_detectable_gradient"

    @property
    def minimum_detectable_difference(self) -> float | None:
        """The smallest slope that would be seen, between the least and the largest dose, in the outcome's unit."""
        if self.minimum_detectable_slope is None:
            return None
        return self.minimum_detectable_slope * float(np.ptp(self.doses))

    @property
    def carried_by(self) -> str | None:
        """The unit without which the slope changes most, or cannot be had; None without a line."""
        if self.slope is None:
            return None
        moves = [math.inf if one is None else abs(one - self.slope) for one in self.leave_one_out]
        return self.units[int(np.argmax(moves))]


def dose_response(
    found: UnitEffects,
    doses: Mapping[str, float],
    *,
    alpha: float = 0.05,
    seed: int = 0,
    draws: int = 9_999,
) -> DoseResponse:
    r"""Regress the treated units' estimates on their doses, and say how little that shows.

    With doses d and :math:`c_u = d_u - \bar d` the slope is :math:`\sum c_u \hat\theta_u / \sum c_u^2`. Two tests:

    *Permutation.* Every different arrangement of the same doses among the treated units; exact where the units'
    estimates are exchangeable but for the dose, whatever else their effects differ by. Five different doses have 120
    arrangements, four 24; equal doses fewer. An arrangement that mirrors the real one counts as it does.

    *Noise.* Sets of comparison units in the place of the treated, with their doses. There are many, and small treated
    units have their own noise where populations are known; but it takes effects as equal in all units but for the dose.
    Each set stands in units of the noise of the comparison units outside it.

    A gradient must be seen by both. The interval holds every slope that one of them does not reject.

    Parameters
    ----------
    found : UnitEffects
    doses : mapping of str to float
        A finite number for each unit, of any sign: EUR per inhabitant, years in the programme, share of people reached.
        Others than the units' are not used. Round first what differs by less than matters: cents between two units
        make more arrangements, and no more information.
    alpha : float
    seed, draws : int
        For sets of comparison units, taken all where there are at most 50,000, and for arrangements where there are
        more than 5,040.

    Returns
    -------
    DoseResponse
        With equal doses, or fewer than three units, there is no line, and `reason` says so.

    Raises
    ------
    DesignError
        A unit has no dose, or one that is not a finite number or is beyond all measure: all faults at once. A setting
        is out of range.

    Notes
    -----
    Doses were not drawn by lot. Where need was greater more was given, and areas in greater need change otherwise than
    others for reasons of their own; years in the programme are those of a wave, which chose its areas. So a slope is
    information about how the effects lie, never about what another euro would do, and no verdict on the programme rests
    on it.

    In simulated cities with 31 comparison areas where no effect depends on the dose (`benchmarks/doses.py`), the
    permutation rejects in 2 to 7 % and the noise test in 1 to 9 %, but in 13 to 19 % where effects differ for reasons
    other than the dose. Together they reject in 0 to 3 %. That costs hardly any power, as the arrangements bind:
    at the minimum detectable slope both find it in 77 to 83 %, the permutation alone in 78 to 83 %.

    References
    ----------
    Callaway, B., Goodman-Bacon, A. and Sant'Anna, P. (2024). Difference-in-differences with a continuous treatment.
    NBER Working Paper 32117. Pitman, E. J. G. (1937). Significance tests which may be applied to samples from any
    populations II: the correlation coefficient test. Supplement to the Journal of the Royal Statistical Society 4,
    225-232.

    Examples
    --------
    >>> import numpy as np
    >>> from mekeval.sensitivity.heterogeneity import UnitEffects
    >>> noise = np.random.default_rng(1).normal(size=(20, 1)) @ np.ones((1, 4))
    >>> found = UnitEffects(outcome="y", units=tuple("abcd"), estimates=np.array([0.0, 2, 4, 7]), noise=noise,
    ...     noise_sd=noise.std(axis=0), comparison=tuple("efghijklmnopqrstuvwx"), scaled=False, left_out=())
    >>> same = dose_response(found, dict.fromkeys("abcd", 40.0))
    >>> same.verdict, same.reason
    ('not_identifiable', 'equal_doses')
    >>> line = dose_response(found, {"a": 1, "b": 2, "c": 3, "d": 4})
    >>> round(line.slope, 6), line.n_arrangements, round(line.smallest_p, 6), line.verdict  # 2 of 24: the mirror counts
    (2.3, 24, 0.083333, 'not_identifiable')
    """
    refuse_settings(alpha=alpha, draws=draws, seed=seed)
    given, estimates, k = _doses(found.units, doses), found.estimates, len(found.units)
    centred = given - given.mean()
    flat = bool(np.ptp(given) <= _ROUNDING * np.abs(given).max())
    reason: Reason = "few_units" if k < FEWEST_UNITS else "equal_doses" if flat else ""
    if reason:
        return _without_line(found, given, alpha, reason)
    total = float(centred @ centred)
    contrast = centred / total
    slope = float(contrast @ estimates)
    codes = np.unique(given, return_inverse=True)[1]
    orders, exact = _arrangements(codes, seed=seed, draws=draws)
    arranged = centred[orders] / total
    by_dose = Reference(
        statistics=arranged @ estimates,
        slopes=arranged @ centred,
        sizes=np.ones(len(orders), dtype=np.intp),
        exact=exact,
        scale=_ROUNDING * float(np.abs(estimates).max()) / math.sqrt(total),
    )
    low, high = interval(slope, by_dose, alpha)
    if not found.enough_comparison:
        reason = "small_comparison"
    elif by_dose.smallest_p > alpha:
        reason = "few_arrangements"
    p_noise = noise_low = noise_high = smallest_slope = by_chance = None
    n_sets = 0
    if found.enough_comparison:
        noise, all_sets = drawn_sets(found, seed=seed, draws=draws)
        slopes = noise @ contrast
        by_noise = from_draws(
            slopes,
            label=found.outcome,
            estimate=slope,
            equal_tailed=False,
            scale=by_dose.scale,
            alpha=alpha,
            method="permutation",
            exact=all_sets,
            because="",
            warnings=(),
            n_treated=k,
            n_comparison=len(found.comparison),
        )
        p_noise, noise_low, noise_high = by_noise.p_value, by_noise.low, by_noise.high
        n_sets = by_noise.n_sets
        varied = noise.var(axis=1) * k
        explained = np.divide(slopes**2 * total, varied, out=np.zeros(len(varied)), where=varied > 0)
        by_chance = float(np.quantile(explained, 0.95))
        if not reason and by_noise.critical is not None:
            smallest_slope = _detectable(noise, arranged, by_dose, by_noise.critical[1], alpha)
    ends = (low, high, noise_low, noise_high)
    bounded = all(end is not None for end in ends)
    varied_own = float(np.var(estimates) * k)
    return DoseResponse(
        outcome=found.outcome,
        units=found.units,
        doses=given,
        estimates=estimates,
        intervals=found.intervals(alpha),
        n_distinct=int(codes.max()) + 1,
        slope=slope,
        intercept=float(estimates.mean() - slope * given.mean()),
        low=min(low, noise_low) if bounded and low is not None and noise_low is not None else None,
        high=max(high, noise_high) if bounded and high is not None and noise_high is not None else None,
        p_permutation=by_dose.share_as_large(slope),
        p_noise=p_noise,
        permutation_low=low,
        permutation_high=high,
        noise_low=noise_low,
        noise_high=noise_high,
        n_arrangements=len(orders),
        n_sets=n_sets,
        smallest_p=by_dose.smallest_p,
        minimum_detectable_slope=smallest_slope,
        r_squared=slope**2 * total / varied_own if varied_own > 0 else None,
        r_squared_by_chance=by_chance,
        leverage=tuple((1 / k + centred**2 / total).tolist()),
        leave_one_out=_leave_one_out(given, estimates),
        alpha=alpha,
        identifiable=reason == "",
        reason=reason,
        caveat=CAVEAT,
    )


def _doses(units: tuple[str, ...], doses: Mapping[str, float]) -> Floats:
    """Doses in the order of the units."""
    given: Mapping[str, object] = doses  # whatever the annotation says
    missing = [unit for unit in units if unit not in given]
    faults = [Fault(what="A unit has no dose.", where=unit, expected="a finite number") for unit in missing]
    known = [(unit, given[unit]) for unit in units if unit not in missing]
    faults += [
        Fault(
            what="A dose is not a finite number.",
            where=unit,
            found=repr(one),
            expected="a finite number",
            fix="Find it out, or leave the unit out of the effects; a dose that is not known is not 0.",
        )
        for unit, one in known
        if isinstance(one, bool) or not isinstance(one, Real) or not math.isfinite(float(one))
    ]
    faults += [
        Fault(
            what="A dose is beyond what can be reckoned with.",
            where=unit,
            found=repr(one),
            expected=f"0, or a number from {_LEAST:g} to {_MOST:g}",
            fix="Give it in another unit.",
        )
        for unit, one in known
        if not isinstance(one, bool)
        and isinstance(one, Real)
        and math.isfinite(float(one))
        and one
        and not _LEAST <= abs(float(one)) <= _MOST
    ]
    if faults:
        raise DesignError.of(faults)
    # Sums that differ by rounding alone are one dose.
    return np.array([float(f"{float(doses[unit]):.12g}") for unit in units])


def _without_line(found: UnitEffects, doses: Floats, alpha: float, reason: Reason) -> DoseResponse:
    """What can be said where there is no line."""
    return DoseResponse(
        outcome=found.outcome,
        units=found.units,
        doses=doses,
        estimates=found.estimates,
        intervals=found.intervals(alpha),
        n_distinct=1 if reason == "equal_doses" else len(np.unique(doses)),
        slope=None,
        intercept=None,
        low=None,
        high=None,
        p_permutation=None,
        p_noise=None,
        permutation_low=None,
        permutation_high=None,
        noise_low=None,
        noise_high=None,
        n_arrangements=0,
        n_sets=0,
        smallest_p=1.0,
        minimum_detectable_slope=None,
        r_squared=None,
        r_squared_by_chance=None,
        leverage=(),
        leave_one_out=(),
        alpha=alpha,
        identifiable=False,
        reason=reason,
        caveat=CAVEAT,
    )


def _arrangements(codes: np.ndarray, *, seed: int, draws: int) -> tuple[np.ndarray, bool]:
    """Positions of the doses in each different arrangement, the real one first, shape (n_arrangements, n_units)."""
    counts = Counter(codes.tolist())
    number = math.factorial(len(codes)) // math.prod(math.factorial(n) for n in counts.values())
    first = {code: int(np.flatnonzero(codes == code)[0]) for code in counts}
    real = np.array([[first[code] for code in codes.tolist()]], dtype=np.intp)
    if number > MOST_ARRANGEMENTS:
        drawn = np.argsort(np.random.default_rng(seed).random((draws, len(codes))), axis=1)
        return np.vstack([real, real[0][drawn]]), False

    def ways(left: Counter[int], places: int) -> Iterator[tuple[int, ...]]:
        if not places:
            yield ()
            return
        for code in sorted(left):
            if left[code]:
                for following in ways(left - Counter([code]), places - 1):
                    yield (first[code], *following)

    every = np.array(list(ways(counts, len(codes))), dtype=np.intp)
    own = np.all(every == real, axis=1)
    return np.vstack([every[own], every[~own]]), True


def _leave_one_out(doses: Floats, estimates: Floats) -> tuple[float | None, ...]:
    """The slope without each unit."""
    slopes: list[float | None] = []
    for at in range(len(doses)):
        dose, estimate = np.delete(doses, at), np.delete(estimates, at)
        centred = dose - dose.mean()
        flat = np.ptp(dose) <= _ROUNDING * np.abs(doses).max()
        slopes.append(None if flat else float(centred @ estimate / (centred @ centred)))
    return tuple(slopes)


def _detectable(
    noise: Floats, arranged: Floats, by_dose: Reference, critical: float, alpha: float
) -> float | None:
    """The slope that both tests find with the power wanted, in either direction.

    `arranged` has the real arrangement first. Evenly spaced sets stand for all of them.
    """
    n_sets = min(_POWER_SETS, len(noise), max(50, _POWER_CELLS // len(arranged)))
    chosen = np.linspace(0, len(noise) - 1, n_sets).round().astype(int)
    still = noise[chosen] @ arranged.T
    most = math.floor(alpha * len(arranged) + _ROUNDING)

    def power(slope: float) -> float:
        size = np.abs(still + slope * by_dose.slopes)
        own = size[:, 0]
        as_large = np.count_nonzero(size >= own[:, None] - by_dose.scale, axis=1)
        return float(np.mean((as_large <= most) & (own >= critical - by_dose.scale)))

    return smallest(lambda slope: min(power(slope), power(-slope)) >= POWER, critical)
