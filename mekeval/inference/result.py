"""What every inference returns, and the words that belong to it.

In: numbers of a method. Out: `Inference`. Never: a number without its method, or a warning that gets lost.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import ndtr, ndtri, stdtr, stdtrit  # scipy.stats would double the time to load the library

from ..display import Shown, facts_table
from ..errors import DesignError, Fault
from ..estimate import Aggregation, Effects
from ..panel import Floats
from ..tables import Table

Method = Literal[
    "permutation",
    "studentised",
    "scaled",
    "ferman_pinto",
    "conley_taber",
    "donald_lang",
    "influence",
    "multiplier",
    "cr1",
    "cr2",
    "cr3",
    "wild",
    "wild_unrestricted",
    "conformal",
    "rule_placebo",
]
#: From this many treated units on, influence functions carry inference (DESIGN, "Inference follows the design").
MANY_TREATED = 20
#: From this many comparison units on as well: they enter the error in the same way.
MANY_COMPARISON = 20
POWER = 0.8
SHOWN = 2001
_ROUNDING = 1e-9

#: Every warning that an inference may carry, as a sentence for a table.
WARNINGS = {
    "few_treated": "with fewer than 20 treated units this error is too small: on real areas such tests reject a "
    "true null in 8 to 78 % of cases",
    "one_treated": "one treated unit: this error holds nothing of how the treated unit varies, so the interval is "
    "too narrow and the p-value too small",
    "few_comparison": "with fewer than 20 comparison units this error is too small and the test rejects a true null "
    "too often",
    "few_treated_wild": "with few treated units a wild bootstrap rejects far too seldom where the null is imposed "
    "and far too often where it is not",
    "size_beyond_comparison": "a treated unit is larger or smaller than every comparison unit: its trend and its "
    "variance are extrapolated",
}


@dataclass(frozen=True, kw_only=True, repr=False)
class Inference(Shown):
    """What the data say about one contrast.

    Attributes
    ----------
    label : str
    estimate : float
        What was tested, in the outcome's unit. "scaled" and "ferman_pinto" adjust it for log population, so that
        it is not the plain difference of the contrast.
    p_value : float
        Two-sided, of no effect in any unit.
    low, high : float or None
        Confidence interval by test inversion; None where the design bounds it on no side.
    alpha : float
    method : str
        The name in `METHODS`.
    exact : bool
        Whether all treated sets were enumerated.
    because : str
        Why this method.
    warnings : tuple of str
        Keys of `WARNINGS`. A table that shows the numbers shows these too.
    se : float or None
        Standard error in the outcome's unit, where the method has one.
    df : float or None
        Degrees of freedom, where the method uses a t distribution.
    n_treated, n_comparison : int
        Units.
    n_sets : int
        Treated sets, or draws, in the reference distribution, the real one included; 0 where there are none.
    smallest_p : float
        The smallest p-value that this design can give. Above `alpha` nothing can be concluded.
    minimum_detectable_effect : float or None
        The effect that a test at `alpha` finds with a power of 0.8, from the reference distribution.
    critical : (float, float) or None
        Without an effect, an estimate at or below the first or at or above the second is rejected at `alpha`; in the
        outcome's unit. None where none is, or where the method has no such pair.
    reference : array
        Evenly spaced quantiles of the reference distribution, for a picture; at most 2001.
    noise : array
        The same with the effect that was found taken out of the treated units: what would be found without one.
        `critical`, the minimum detectable effect and `power_curve` come from it, so that a large effect does not hide
        what the design can see.
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
    warnings: tuple[str, ...]
    se: float | None
    df: float | None
    n_treated: int
    n_comparison: int
    n_sets: int
    smallest_p: float
    minimum_detectable_effect: float | None
    critical: tuple[float, float] | None
    reference: Floats
    noise: Floats

    @property
    def identifiable(self) -> bool:
        """Whether the design could have concluded anything."""
        return self.smallest_p <= self.alpha and self.low is not None and self.high is not None

    def tidy(self) -> pd.DataFrame:
        """One row: `label`, `estimate`, `se`, `p_value`, `low`, `high`, `alpha`, `minimum_detectable_effect`, `method`,
        `n_treated`, `n_comparison`, `n_sets`, `note` (every warning as a sentence; why nothing can be concluded)."""
        numbers = ("estimate", "se", "p_value", "low", "high", "alpha", "minimum_detectable_effect")
        return pd.DataFrame(
            {
                "label": [self.label],
                **{name: pd.array([getattr(self, name)], dtype="Float64") for name in numbers},
                "method": [self.method],
                "n_treated": [self.n_treated],
                "n_comparison": [self.n_comparison],
                "n_sets": [self.n_sets],
                "note": [note_of(self)],
            }
        )

    def _shown(self) -> list[Table]:
        wanted = (
            "estimate",
            "low",
            "high",
            "p_value",
            "alpha",
            "method",
            "n_treated",
            "n_comparison",
            "smallest_p",
        )
        facts = [(name, getattr(self, name)) for name in (*wanted, "minimum_detectable_effect")]
        note = note_of(self)
        return [
            facts_table(
                facts,
                caption=f"Inference: {self.label}",
                note=f"{note[:1].upper()}{note[1:]}." if note else "",
            )
        ]


def note_of(found: Inference) -> str:
    """Every warning of an inference as a sentence, and why nothing can be concluded; empty where there is neither."""
    notes = [as_sentences(found.warnings)] if found.warnings else []
    if found.smallest_p > found.alpha:
        notes.append(f"not identifiable: the smallest p-value of this design is {found.smallest_p:.3g}")
    elif not found.identifiable:
        notes.append("not identifiable: the interval has no end")
    return "; ".join(notes)


def as_sentences(warnings: Sequence[str]) -> str:
    """Keys of `WARNINGS` as text for a table."""
    return "; ".join(WARNINGS[key] for key in warnings)


def warnings_of_influence(n_treated: int, n_comparison: int) -> tuple[str, ...]:
    """What must be said of influence functions of so many units."""
    few = ("few_treated",) if n_treated < MANY_TREATED else ()
    return (*few, "few_comparison") if n_comparison < MANY_COMPARISON else few


def comparison_units(effects: Effects) -> int:
    """Units that effects while treated are compared with: those of the comparison, or, where units not yet treated
    serve as one, as many as the effect has that has most."""
    of_cells = effects.cells.loc[effects.cells["phase"] == "on", "n_comparison"]
    return max(int(np.sum(effects.group < 0)), 0 if of_cells.empty else int(of_cells.max()))


def from_standard_error(
    *,
    label: str,
    estimate: float,
    se: float,
    df: float | None,
    alpha: float,
    method: Method,
    because: str,
    warnings: tuple[str, ...],
    n_treated: int,
    n_comparison: int,
) -> Inference:
    """The inference of an estimate with a standard error above zero, by t with `df` degrees of freedom (None: normal).

    The interval is ``estimate -+ q se`` with q the 1 - alpha/2 quantile, and the minimum detectable effect
    ``(q + q_.80) se``.

    Raises
    ------
    DesignError
        The standard error is zero or no number.
    """
    if not (math.isfinite(se) and se > 0):
        raise DesignError(
            "There is no standard error.",
            where=f"{label}, method {method!r}",
            found=f"{se:g}",
            expected="above 0",
        )
    levels = np.r_[1 - alpha / 2, POWER, np.linspace(0.0005, 0.9995, SHOWN)]
    quantiles = np.asarray(ndtri(levels) if df is None else stdtrit(df, levels), dtype=np.float64)
    ratio = -abs(estimate) / se
    reach = float(quantiles[0]) * se
    return Inference(
        label=label,
        estimate=estimate,
        p_value=float(2 * (ndtr(ratio) if df is None else stdtr(df, ratio))),
        low=estimate - reach,
        high=estimate + reach,
        alpha=alpha,
        method=method,
        exact=False,
        because=because,
        warnings=warnings,
        se=se,
        df=df,
        n_treated=n_treated,
        n_comparison=n_comparison,
        n_sets=0,
        smallest_p=0.0,
        minimum_detectable_effect=reach + float(quantiles[1]) * se,
        critical=(-reach, reach),
        reference=quantiles[2:] * se,
        noise=quantiles[2:] * se,
    )


def from_draws(
    statistics: Floats,
    *,
    label: str,
    estimate: float,
    equal_tailed: bool,
    scale: float,
    alpha: float,
    method: Method,
    exact: bool,
    because: str,
    warnings: tuple[str, ...],
    n_treated: int,
    n_comparison: int,
) -> Inference:
    r"""The inference of an estimate whose noise is drawn, and does not depend on the effect.

    With M draws r the estimate counts as one more, so that no p-value is below 1 / (M + 1): two-sided
    :math:`p = (1 + \#\{|r| \ge |a|\}) / (M + 1)`, or equal-tailed twice the smaller of both one-sided shares. The
    interval holds every t for which a - t is not rejected, so test and interval agree.

    Parameters
    ----------
    statistics : array, shape (M,)
        Draws of the noise in the estimate, in the outcome's unit.
    equal_tailed : bool
        Half of alpha on each side, whatever the shape; else the size alone counts.
    scale : float
        What counts as a rounding error in `statistics`.
    """
    ordered = np.sort(statistics)
    n_sets = len(ordered) + 1
    size = np.sort(np.abs(ordered))
    if equal_tailed:
        above = len(ordered) - int(np.searchsorted(ordered, estimate - scale, side="left"))
        below = int(np.searchsorted(ordered, estimate + scale, side="right"))
        p_value, smallest = min(1.0, 2 * (1 + min(above, below)) / n_sets), min(1.0, 2 / n_sets)
        beyond = math.floor(alpha / 2 * n_sets + _ROUNDING)
        critical = (float(ordered[beyond - 1]), float(ordered[-beyond])) if beyond else None
    else:
        as_large = len(size) - int(np.searchsorted(size, abs(estimate) - scale, side="left"))
        p_value, smallest = (1 + as_large) / n_sets, 1 / n_sets
        beyond = math.floor(alpha * n_sets + _ROUNDING)
        critical = (-float(size[-beyond]), float(size[-beyond])) if beyond else None
    last = len(ordered) - 1
    upper, lower = ordered[round(POWER * last)], ordered[round((1 - POWER) * last)]
    return Inference(
        label=label,
        estimate=estimate,
        p_value=p_value,
        low=estimate - critical[1] if critical else None,
        high=estimate - critical[0] if critical else None,
        alpha=alpha,
        method=method,
        exact=exact,
        because=because,
        warnings=warnings,
        se=None,
        df=None,
        n_treated=n_treated,
        n_comparison=n_comparison,
        n_sets=n_sets,
        smallest_p=smallest,
        minimum_detectable_effect=float(max(critical[1] - lower, upper - critical[0])) if critical else None,
        critical=critical,
        reference=shown(ordered),
        noise=shown(ordered),
    )


def refuse_settings(*, alpha: float, draws: int = 1, seed: int = 0) -> None:
    """Refuse an alpha outside (0, 1), nothing to draw, or a seed that does not repeat the draws: all faults at once."""
    faults = [fault_of_share("alpha", alpha)]
    if not _whole(draws) or draws < 1:
        faults.append(
            Fault(
                what="There is nothing to draw."
                if _whole(draws)
                else "The number of draws is not a whole number.",
                where="draws",
                found=repr(draws),
                expected="a whole number, at least 1",
            )
        )
    if not _whole(seed) or seed < 0:
        faults.append(
            Fault(
                what="The seed is not a whole number from 0 on, so the draws could not be repeated.",
                where="seed",
                found=repr(seed),
                expected="a whole number, 0 or more",
            )
        )
    if any(faults):
        raise DesignError.of(one for one in faults if one)


def not_testable(tested: object, expected: str) -> DesignError:
    """The error for what is not what a test works on."""
    fix = ""
    if isinstance(tested, Aggregation):
        fix = (
            "Give the effects, or contrast(effects, aggregation.weights[row], label=...) for one of its rows."
        )
    return DesignError(
        "This cannot be tested.", where="tested", found=type(tested).__name__, expected=expected, fix=fix
    )


def refuse_others(tested: object, kinds: tuple[type, ...], expected: str) -> None:
    """Refuse what is not a sequence of these kinds."""
    if isinstance(tested, str) or not isinstance(tested, Sequence):
        raise not_testable(tested, expected)
    for one in tested:
        if not isinstance(one, kinds):
            raise not_testable(one, expected)


def fault_of_share(name: str, value: object) -> Fault | None:
    """What is wrong with a share that must lie between 0 and 1, both excluded; None where nothing is."""
    if isinstance(value, (float, int, np.floating)) and 0 < value < 1:
        return None
    return Fault(
        what=f"{name} is out of range.", where=name, found=repr(value), expected="a number between 0 and 1"
    )


def _whole(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def shown(ordered: Floats) -> Floats:
    """At most 2001 evenly spaced values of an ordered reference distribution."""
    return np.asarray(ordered[shown_ranks(len(ordered))])


def shown_ranks(n: int) -> npt.NDArray[np.intp]:
    """The places of these values among n, from 0."""
    return np.linspace(0, n - 1, min(SHOWN, n)).round().astype(int)
