"""The estimate of each treated unit, and what unaffected units give in its place.

In: effects. Out: `UnitEffects`. Never: a treated unit among those that show the noise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from ...display import Shown
from ...errors import DesignError, Fault
from ...estimate import Effects, unit_contrast
from ...inference import Inference
from ...inference.permutation import comparison_draws
from ...inference.scaled import Population, scaled_estimate
from ...panel import Floats

#: Why nothing can be said, if so: keys for a table or a text.
Reason = Literal["", "few_units", "small_comparison", "equal_doses", "few_arrangements"]
#: Fewer comparison units do not show how much unaffected units differ.
FEWEST_COMPARISON = 6
_HALVINGS = 30


@dataclass(frozen=True, kw_only=True, repr=False)
class UnitEffects(Shown):
    """The treated units' estimates side by side, with the noise that the comparison shows.

    Attributes
    ----------
    outcome : str
    units : tuple of str
        The treated units with a full year in the programme, by name.
    estimates : array, shape (n_units,)
        Of each alone against the comparison (`mekeval.unit_contrast`), in the outcome's unit; adjusted for log
        population where `scaled`.
    noise_sd : array, shape (n_units,)
        Standard deviation of what an unaffected unit in its place changes by, in the outcome's unit.
    noise : array, shape (n_comparison, n_units)
        What each comparison unit changed by over the window of each treated unit, less the mean of the comparison;
        where `scaled`, the residual from log population, brought to the treated unit's size.
    comparison : tuple of str
        By name.
    scaled : bool
        Whether the noise is that of units of the treated units' sizes.
    left_out : tuple of str
        Treated units without a full year in the programme yet.
    """

    outcome: str
    units: tuple[str, ...]
    estimates: Floats
    noise_sd: Floats
    noise: Floats
    comparison: tuple[str, ...]
    scaled: bool
    left_out: tuple[str, ...]

    def intervals(self, alpha: float = 0.05) -> tuple[tuple[float, float] | None, ...]:
        """The interval of each unit by itself, by the size of what the comparison units give in its place.

        None where there are too few of them for alpha.
        """
        size = np.sort(np.abs(self.noise), axis=0)
        beyond = math.floor(alpha * (len(size) + 1) + 1e-9)
        if not beyond:
            return (None,) * len(self.units)
        reach = size[-beyond]
        return tuple(
            (float(one - far), float(one + far)) for one, far in zip(self.estimates, reach, strict=True)
        )

    @property
    def enough_comparison(self) -> bool:
        """Whether there are six comparison units, and two for each treated one."""
        return len(self.comparison) >= max(FEWEST_COMPARISON, 2 * len(self.units))


def unit_effects(effects: Effects, *, population: Population | None = None) -> UnitEffects:
    """Put the treated units' estimates side by side.

    Parameters
    ----------
    effects : Effects
        Of an estimator whose effects are means of the units' changes, such as `group_time_att`.
    population : mapping of unit to persons, pandas.Series by unit, or array, optional
        Then estimates are adjusted for log population and the noise is that of units of the same size, as in
        ``infer(..., method="scaled")``.

    Returns
    -------
    UnitEffects

    Raises
    ------
    DesignError
        No treated unit has a full year in the programme; a population is missing; with populations, fewer than six
        comparison units.

    Examples
    --------
    >>> import pandas as pd
    >>> from mekeval import build_panel, group_time_att, make_design
    >>> frame = pd.DataFrame({"u": list("abcde") * 2, "t": [1] * 5 + [2] * 5, "y": [0.0] * 5 + [5.0, 7, 0, 1, 2]})
    >>> panel = build_panel(frame, unit="u", period="t", outcome=["y"])
    >>> effects = group_time_att(panel, make_design("abcde", [(2, 2, ["a", "b"])]), outcome="y")
    >>> found = unit_effects(effects)
    >>> found.estimates.tolist(), found.noise[:, 0].tolist(), found.noise_sd.tolist()
    ([4.0, 6.0], [-1.0, 0.0, 1.0], [1.0, 1.0])
    """
    treated = sorted(unit for unit, group in zip(effects.units, effects.group, strict=True) if group >= 0)
    on = set(effects.cells.loc[effects.cells["phase"] == "on", "group"])
    known = [unit for unit in treated if effects.group[effects.units.index(unit)] in on]
    if not known:
        raise DesignError(
            "No treated unit has a full year in the programme with data yet.",
            where=effects.outcome,
            found=", ".join(treated[:6]) or "no treated unit",
        )
    contrasts = [unit_contrast(effects, unit) for unit in known]
    names = contrasts[0].units
    rest = sorted(unit for unit, group in zip(names, contrasts[0].group, strict=True) if group < 0)
    if population is None:
        rows = [[one.units.index(unit) for unit in rest] for one in contrasts]
        changes = np.column_stack([one.changes[row, 0] for one, row in zip(contrasts, rows, strict=True)])
        noise = changes - changes.mean(axis=0)
        spread = noise.std(axis=0, ddof=1) if len(rest) > 1 else np.zeros(len(known))
        estimates = np.array([one.att for one in contrasts])
    else:
        if not isinstance(population, (Mapping, pd.Series)):
            population = dict(zip(effects.units, population, strict=False))
        parts = [scaled_estimate(one, population) for one in contrasts]
        spread = np.array([one.spread[0] for one in parts])
        noise = np.column_stack([one.residuals[:, 0] * one.spread[0] for one in parts])
        estimates = np.array([one.estimate for one in parts])
    return UnitEffects(
        outcome=effects.outcome,
        units=tuple(known),
        estimates=estimates,
        noise_sd=np.asarray(spread),
        noise=np.asarray(noise),
        comparison=tuple(rest),
        scaled=population is not None,
        left_out=tuple(unit for unit in treated if unit not in known),
    )


def drawn_sets(found: UnitEffects, *, seed: int, draws: int) -> tuple[Floats, bool]:
    """What sets of distinct comparison units give in the place of the treated ones, shape (n_sets, n_units).

    The treated units are judged by the noise of all comparison units, which these few do not show exactly. So each set
    is judged by that of the others too: it is brought to the same scale by the ratio of the standard deviation of all
    comparison units to that of those outside the set. Without it the tests reject too often.

    Returns
    -------
    noise : array, shape (n_sets, n_units)
    exact : bool
        Whether these are all assignments.
    """
    n, k = found.noise.shape
    positions, exact = comparison_draws(n, np.ones(k, dtype=np.intp), seed=seed, draws=draws)
    standard = found.noise / np.where(found.noise_sd > 0, found.noise_sd, 1.0)
    squares, sums = (standard**2).sum(axis=1), standard.sum(axis=0)
    inside = squares[positions].sum(axis=1)
    left = sums - sum(standard[positions[:, column]] for column in range(k))
    outside = (squares.sum() - inside - (left**2).sum(axis=1) / (n - k)) / (n - k - 1)
    everywhere = float(squares.sum() - (sums**2).sum() / n) / (n - 1)
    # Where all but a set are alike, it stands out without end; a finite ratio keeps the arithmetic clean.
    ratio = (
        np.sqrt(everywhere / np.maximum(outside, 1e-12 * everywhere))
        if everywhere > 0
        else np.ones(len(left))
    )
    return found.noise[positions, np.arange(k)] * ratio[:, None], exact


def smallest(holds: Callable[[float], bool], unit: float) -> float | None:
    """The smallest number from which on something holds, sought from a unit on; None where it never does."""
    high = unit
    for _ in range(_HALVINGS):
        if holds(high):
            break
        high *= 2
    else:
        return None
    low = 0.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if holds(middle):
            high = middle
        else:
            low = middle
    return high


def rescaled_by_share(findings: Mapping[str, Inference], shares: Mapping[str, float | None]) -> pd.DataFrame:
    """What an effect in part of an area would be there, were there none in the rest of it.

    Parameters
    ----------
    findings : mapping of str to Inference
        By area.
    shares : mapping of str to float or None
        Share of the area's people who live where the programme works, above 0 and at most 1; None where unknown.

    Returns
    -------
    pandas.DataFrame
        One row for each area, in the order of `findings`: `unit`, `share`, `estimate`, `low`, `high` as they were, and
        `rescaled`, `rescaled_low`, `rescaled_high` (each divided by the share); <NA> where something is not known.

    Raises
    ------
    DesignError
        An area has no share in the mapping, or one outside (0, 1].

    Notes
    -----
    A rate of an area is the mean of the rates of its parts, weighted by people. If the programme works on the residents
    of its district alone, an effect there shows in the area at the share of its people who live in the district. That
    is an assumption, not a finding: services have other users, and neighbours meet. It holds for rates, not for medians
    or counts. The interval grows with the estimate, so nothing is found this way that was not found before.

    Examples
    --------
    >>> import pandas as pd
    >>> from mekeval import build_panel, infer, make_design
    >>> frame = pd.DataFrame({"u": [*range(40)] * 2, "t": [1] * 40 + [2] * 40, "y": [0.0] * 40 + [*range(40)]})
    >>> panel = build_panel(frame, unit="u", period="t", outcome=["y"])
    >>> tested = infer(panel, make_design(panel.units, [(2, 2, ["39"])]), outcome="y")
    >>> rescaled_by_share({"39": tested}, {"39": 0.5})[["estimate", "rescaled"]].iloc[0].tolist()
    [20.0, 40.0]
    """
    faults = [
        Fault(what="An area has no share.", where=unit, expected="a number above 0, or None if unknown")
        for unit in findings
        if unit not in shares
    ]
    faults += [
        Fault(
            what="A share is out of range.",
            where=unit,
            found=repr(share),
            expected="above 0, at most 1; None if unknown",
        )
        for unit, share in shares.items()
        if unit in findings and share is not None and not 0 < share <= 1
    ]
    if faults:
        raise DesignError.of(faults)
    table = pd.DataFrame({"unit": list(findings)})
    table["share"] = pd.array([shares[unit] for unit in findings], dtype="Float64")
    for name in ("estimate", "low", "high"):
        table[name] = pd.array([getattr(one, name) for one in findings.values()], dtype="Float64")
    for name, new in (("estimate", "rescaled"), ("low", "rescaled_low"), ("high", "rescaled_high")):
        table[new] = table[name] / table["share"]
    return table
