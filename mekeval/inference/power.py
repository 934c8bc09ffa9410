"""The power of a test, effect by effect, before anybody reads "no effect" into a large p-value.

In: a contrast or its inference. Out: `PowerCurve`. Never: power at the effect that was found, as if that were a plan.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..errors import DesignError
from ..estimate import Contrast, Effects
from ..panel import Floats
from .result import POWER, Inference
from .scaled import Population

_POINTS = 81
_HALVINGS = 60


@dataclass(frozen=True, kw_only=True)
class PowerCurve:
    """How often a test at alpha finds an effect.

    Attributes
    ----------
    label : str
    table : pandas.DataFrame
        One row for each effect: `effect` (in the outcome's unit) and `power` (share of tests that reject, 0 to 1).
    minimum_detectable_effect : float or None
        Smallest effect that is found with `target`, in either direction; None where none is ever found.
    target : float
    alpha : float
    method : str
        Of the test; see `mekeval.infer`.
    n_sets : int
        Sets or draws in the reference distribution; 0 where it is a formula's.
    """

    label: str
    table: pd.DataFrame
    minimum_detectable_effect: float | None
    target: float
    alpha: float
    method: str
    n_sets: int

    def _repr_html_(self) -> str:
        return self.table.to_html(index=False, border=0)


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

    With r the estimates of the reference distribution (what would be found without an effect) and rejection at or below
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
    At most 2001 evenly spaced values of the reference distribution stand for it, so a power is known to 0.0005. The
    treated sets overlap, so with few units the curve is coarse.

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

    if not 0 < target < 1:
        raise DesignError(
            "The target is out of range.", where="target", found=repr(target), expected="between 0 and 1"
        )
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
    at = (
        np.linspace(-2, 2, _POINTS) * (smallest or 1.0)
        if effects is None
        else np.asarray(effects, dtype=float)
    )
    if at.ndim != 1 or not np.isfinite(at).all():
        raise DesignError("Effects must be finite numbers.", where="effects", found=str(effects)[:80])
    return PowerCurve(
        label=found.label,
        table=pd.DataFrame({"effect": at, "power": power_of(found, at)}),
        minimum_detectable_effect=smallest,
        target=target,
        alpha=found.alpha,
        method=found.method,
        n_sets=found.n_sets,
    )


def power_of(found: Inference, effects: Floats) -> Floats:
    """Power of each effect, shape (n_effects,)."""
    if found.critical is None:
        return np.zeros(len(effects))
    ordered = np.sort(found.reference)
    low, high = found.critical
    tiny = 1e-9 * (high - low)
    below = np.searchsorted(ordered, low - effects + tiny, side="right")
    above = len(ordered) - np.searchsorted(ordered, high - effects - tiny, side="left")
    return np.minimum((below + above) / len(ordered), 1.0)


def _smallest(found: Inference, target: float) -> float | None:
    """The smallest effect with the power wanted whether it is positive or negative."""
    if found.critical is None:
        return None
    ordered = np.sort(found.reference)
    reach = max(abs(end) for end in (*found.critical, ordered[0], ordered[-1]))
    low, high = 0.0, 2.5 * reach
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if power_of(found, np.array([-middle, middle])).min() >= target:
            high = middle
        else:
            low = middle
    return float(high)
