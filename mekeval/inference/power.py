"""The power of a test, effect by effect, before anybody reads "no effect" into a large p-value.

In: a contrast or its inference. Out: `PowerCurve`. Never: power at the effect that was found, as if that were a plan.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..display import Shown
from ..errors import DesignError
from ..estimate import Contrast, Effects
from ..panel import Floats
from .result import POWER, Inference, fault_of_share, note_of
from .scaled import Population

_POINTS = 81
_HALVINGS = 60


@dataclass(frozen=True, kw_only=True, repr=False)
class PowerCurve(Shown):
    """How often a test at alpha finds an effect.

    Attributes
    ----------
    label : str
    table : pandas.DataFrame
        One row for each effect: `effect` (in the outcome's unit), `power` (share of tests that reject, 0 to 1) and
        `note` (every warning of the test as a sentence; why nothing can be concluded).
    minimum_detectable_effect : float or None
        Smallest effect that is found with `target`, in either direction; None where none is ever found.
    target : float
    alpha : float
    method : str
        Of the test; see `mekeval.infer`.
    n_sets : int
        Sets or draws in the reference distribution; 0 where it is a formula's.
    warnings : tuple of str
        Keys of `WARNINGS`, those of the inference; the column `note` tells them.
    """

    label: str
    table: pd.DataFrame
    minimum_detectable_effect: float | None
    target: float
    alpha: float
    method: str
    n_sets: int
    warnings: tuple[str, ...]


def power_curve(
    tested: Contrast | Effects | Inference,
    *,
    effects: Sequence[float] | Floats | None = None,
    target: float = POWER,
    alpha: float = 0.05,
    seed: int = 0,
    draws: int = 9_999,
    method: str = "auto",
    population: Population | None = None,
) -> PowerCurve:
    r"""The share of tests that would reject if the treated units had an effect of each size.

    With r what would be found without an effect (`Inference.noise`) and rejection at or below
    :math:`c_1` or at or above :math:`c_2`, the power of an effect :math:`\delta` is

    .. math:: \#\{r : r + \delta \le c_1 \text{ or } r + \delta \ge c_2\} / \#\{r\}.

    Parameters
    ----------
    tested : Contrast, Effects or Inference
        An inference brings its own alpha and method.
    effects : sequence of float, optional
        In the outcome's unit; by default 81 from minus to plus twice the minimum detectable effect.
    target : float
        Power of the minimum detectable effect.
    alpha, seed, draws, method, population
        As in `infer`.

    Returns
    -------
    PowerCurve
        Power is zero throughout where the design can reject nothing.

    Raises
    ------
    DesignError
        As `infer`; effects that are not finite; a target outside (0, 1); a method without a reference distribution.

    Notes
    -----
    With "permutation" and "studentised" the power is read from the null distribution of the other sets: how the
    treated units would have moved is taken from how other units did, not from repeated data. With one treated unit of n
    only n values stand behind it, so it moves in steps of 1 / n and is as uncertain as a share of n cases; the sets of
    more units overlap, and say less than their number. At most 2001 evenly spaced values stand for the distribution,
    which adds an error of 0.0005.

    Examples
    --------
    >>> import numpy as np
    >>> from mekeval.estimate import Contrast
    >>> group = np.array([0] + [-1] * 24)
    >>> change = np.arange(25.0)[:, None]
    >>> one = Contrast(label="y", att=-12.5, units=tuple(map(str, range(25))), group=group, changes=change,
    ...     exposure=(group == 0)[:, None] * 1.0, group_weights=np.ones(1), influence=None)
    >>> power_curve(one, effects=[0.0, 100.0]).table["power"].tolist()  # only both outermost of 25 are beyond
    [0.08, 1.0]
    """
    from . import infer  # it stands above this module

    fault = fault_of_share("target", target)
    if fault:
        raise DesignError.of([fault])
    found = tested
    if not isinstance(found, Inference):
        found = infer(found, method=method, alpha=alpha, seed=seed, draws=draws, population=population)
    if found.smallest_p <= found.alpha and found.critical is None:
        raise DesignError(
            "This method has no critical values that hold for every effect.",
            where=f"{found.label}, method {found.method!r}",
            fix="Inject effects into the data and test them.",
        )
    smallest = _smallest(found, target)
    at = np.linspace(-2, 2, _POINTS) * (smallest or 1.0) if effects is None else _numbers(effects)
    return PowerCurve(
        label=found.label,
        table=pd.DataFrame({"effect": at, "power": power_of(found, at), "note": note_of(found)}),
        minimum_detectable_effect=smallest,
        target=target,
        alpha=found.alpha,
        method=found.method,
        n_sets=found.n_sets,
        warnings=found.warnings,
    )


def _numbers(effects: Sequence[float] | Floats) -> Floats:
    try:
        at = np.asarray(effects, dtype=np.float64)
    except (TypeError, ValueError):
        at = np.array([np.nan])
    if at.ndim != 1 or not np.isfinite(at).all():
        raise DesignError("Effects must be finite numbers.", where="effects", found=str(effects)[:80])
    return at


def power_of(found: Inference, effects: Floats) -> Floats:
    """Power of each effect, shape (n_effects,)."""
    if found.critical is None:
        return np.zeros(len(effects))
    ordered = np.sort(found.noise)
    low, high = found.critical
    tiny = 1e-9 * (high - low)
    below = np.searchsorted(ordered, low - effects + tiny, side="right")
    above = len(ordered) - np.searchsorted(ordered, high - effects - tiny, side="left")
    return np.minimum((below + above) / len(ordered), 1.0)


def _smallest(found: Inference, target: float) -> float | None:
    """The smallest effect with the power wanted whether it is positive or negative."""
    if found.critical is None:
        return None
    ordered = np.sort(found.noise)
    reach = max(abs(end) for end in (*found.critical, ordered[0], ordered[-1]))
    low, high = 0.0, 2.5 * reach
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if power_of(found, np.array([-middle, middle])).min() >= target:
            high = middle
        else:
            low = middle
    return float(high)
