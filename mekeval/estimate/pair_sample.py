"""Units by periods for 2x2 comparisons: what `callaway_santanna` reads, keeps and refuses before it estimates.

In: a panel and a design. Out: `PairSample`. Never: an estimate, or a unit that goes without its reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..design import Design
from ..errors import DataError, DesignError, closest
from ..panel import Floats, Panel
from .cells import panel_arrays
from .fixed_effects import Comparison
from .inputs import refuse_constant, why_lacking

Missing = Literal["by_cell", "drop_units"]
MISSING: tuple[Missing, ...] = ("by_cell", "drop_units")


@dataclass(frozen=True, kw_only=True)
class PairSample:
    """Units by periods, periods first so that a period is one stretch of memory.

    Attributes
    ----------
    outcome : str
    names : tuple of str
        The outcome, the covariates and the weight, where there is one.
    units : array of str, shape (n_units,)
    rows : array of int, shape (n_units,)
        Where each unit stands in the panel.
    periods : tuple of int
    group : array of int, shape (n_units,)
        Index of the path of each unit; -1 for the comparison.
    cohort : array, shape (n_units,)
        First treated period; infinity for never.
    values : array, shape (n_periods, n_units)
    there : array of bool, shape (n_periods, n_units)
        Whether the outcome has a value.
    covariates : array, shape (n_covariates, n_periods, n_units)
    weights : array, shape (n_periods, n_units), or None
        Zero where there is none: a unit of weight zero is in no 2x2.
    usable : array of bool, shape (n_periods, n_units)
        Whether all covariates have a value.
    complete : bool
        Whether every unit has every value and a weight above zero.
    """

    outcome: str
    names: tuple[str, ...]
    units: npt.NDArray[np.object_]
    rows: npt.NDArray[np.intp]
    periods: tuple[int, ...]
    group: npt.NDArray[np.int64]
    cohort: Floats
    values: Floats
    there: npt.NDArray[np.bool_]
    covariates: Floats
    weights: Floats | None
    usable: npt.NDArray[np.bool_]
    complete: bool

    def keep(
        self, units: npt.NDArray[np.bool_] | None = None, *, periods: npt.NDArray[np.bool_] | None = None
    ) -> PairSample:
        """The same for some units and periods; all by default."""
        if (units is None or units.all()) and (periods is None or periods.all()):
            return self
        columns = np.arange(len(self.units)) if units is None else np.flatnonzero(units)
        at = np.arange(len(self.periods)) if periods is None else np.flatnonzero(periods)
        both = np.ix_(at, columns)
        there, usable = self.there[both], self.usable[both]
        weights = None if self.weights is None else self.weights[both]
        return replace(
            self,
            units=self.units[columns],
            rows=self.rows[columns],
            periods=tuple(self.periods[position] for position in at),
            group=self.group[columns],
            cohort=self.cohort[columns],
            values=self.values[both],
            there=there,
            covariates=self.covariates[:, at][:, :, columns],
            weights=weights,
            usable=usable,
            complete=_complete(there, usable, weights),
        )

    @property
    def first_weights(self) -> Floats | None:
        """The weight of each unit in the first period in which it has one, shape (n_units,)."""
        if self.weights is None:
            return None
        first = np.argmax(self.weights > 0, axis=0)
        return np.asarray(self.weights[first, np.arange(len(self.units))])


def read_pairs(
    panel: Panel, design: Design, outcome: str, covariates: list[str], weights: str | None, missing: Missing
) -> tuple[PairSample, list[tuple[str, str, int]]]:
    """The arrays of a design's units over the periods of the outcome, and the units that are left out at once."""
    names = (outcome, *covariates, *([] if weights is None else [weights]))
    found = panel_arrays(panel, names, weights)
    units = np.array([*design.treated, *design.comparison], dtype=object)
    rows = pd.Index(panel.units, dtype=object).get_indexer(pd.Index(units, dtype=object))
    if np.any(rows < 0):
        unknown = str(units[rows < 0][0])
        raise DataError(
            "The panel has no such unit.", found=repr(unknown), expected=closest(unknown, panel.units)
        )
    arrays = {name: np.ascontiguousarray(values[rows].T) for name, values in found.items()}
    there = ~np.isnan(arrays[outcome])
    usable = np.ones(there.shape, dtype=bool)
    for name in covariates:
        usable &= ~np.isnan(arrays[name])
    group = np.repeat(
        np.array([*range(len(design.paths)), -1]),
        [*(len(path.units) for path in design.paths), len(design.comparison)],
    )
    first = np.array([*(float(path.first) for path in design.paths), np.inf])
    known = None if weights is None else arrays[weights]
    sample = PairSample(
        outcome=outcome,
        names=names,
        units=units,
        rows=rows,
        periods=panel.periods,
        group=group,
        cohort=first[group],
        values=arrays[outcome],
        there=there,
        covariates=np.array([arrays[name] for name in covariates]).reshape(len(covariates), *there.shape),
        weights=None if known is None else np.nan_to_num(known, nan=0.0),
        usable=usable,
        complete=False,
    )
    shown = there.mean(axis=1) >= 0.5
    if np.count_nonzero(shown) < 2:
        raise DesignError(
            "Differences need two periods in which at least half of the units have a value.",
            where=outcome,
            found=", ".join(str(year) for year, here in zip(panel.periods, shown, strict=True) if here)
            or "none",
        )
    sample = sample.keep(periods=shown)
    dropped: list[tuple[str, str, int]] = []
    if missing == "drop_units":
        whole = np.all(sample.there & sample.usable, axis=0)
        if known is not None:
            whole &= ~np.isnan(known[shown]).any(axis=0)
        dropped = [lacking(sample, panel, at) for at in np.flatnonzero(~whole).tolist()]
        sample = sample.keep(whole)
    return replace(sample, complete=_complete(sample.there, sample.usable, sample.weights)), dropped


def estimable(
    sample: PairSample,
    dropped: list[tuple[str, str, int]],
    panel: Panel,
    design: Design,
    comparison: Comparison,
    anticipation: int,
) -> tuple[PairSample, list[tuple[str, str, int]]]:
    """Leave out who has no effect to estimate, and refuse what cannot be put right by leaving out."""
    outcome = sample.outcome
    silent = np.asarray(~sample.there.any(axis=0))
    if silent.any() and not silent.all():  # who has no value at all is not there to be compared with
        dropped = [*dropped, *(lacking(sample, panel, at) for at in np.flatnonzero(silent).tolist())]
        sample = sample.keep(~silent)
    if not np.any(sample.group == -1):
        last = sample.cohort.max(initial=-np.inf)
        early = np.array(sample.periods) < last - anticipation
        if comparison == "never_treated" or not np.any(sample.cohort < last) or np.count_nonzero(early) < 2:
            raise DesignError(
                "No never-treated unit with data is left to compare with.",
                where=outcome,
                found=listed(dropped) or f"{len(sample.units)} units, all of them treated",
                fix="Where entry is staggered and two periods precede the last cohort, use 'not_yet_treated'.",
            )
        sample = sample.keep(periods=early)
        sample = replace(sample, group=np.where(sample.cohort == last, -1, sample.group))
    first_period = sample.periods[0]
    out = np.asarray(sample.cohort <= first_period)
    dropped = [
        *dropped,
        *((str(sample.units[at]), "already_treated", first_period) for at in np.flatnonzero(out)),
    ]
    for index, path in enumerate(design.paths):
        inside = (sample.group == index) & ~out
        before = [at for at, period in enumerate(sample.periods) if period + anticipation < path.first]
        after = [at for at, period in enumerate(sample.periods) if period >= path.first]
        if not inside.any():
            continue
        if not before:
            raise DesignError(
                "A path has no period before treatment that anticipation leaves alone.",
                where=f"{outcome}, {', '.join(path.units)}",
                found=f"data from {first_period}, treated from {path.first}, anticipation {anticipation}",
                expected=f"a period up to {path.first - anticipation - 1}",
                fix="Shorten the anticipation, or leave the path out of the design.",
            )
        based = inside & sample.there[before[-1]]
        if after and not np.any(based & sample.there[after].any(axis=0)):
            # Every cell after entry would be empty: the path does not enter, rather than show placebos alone.
            dropped += [lacking(sample, panel, at, before[-1]) for at in np.flatnonzero(inside).tolist()]
            out = out | inside
    sample = sample.keep(~out)
    if not np.any(sample.group >= 0):
        raise DesignError("No treated unit is left.", where=outcome, found=listed(dropped))
    refuse_constant(sample.values, outcome)
    return sample, dropped


def lacking(sample: PairSample, panel: Panel, at: int, position: int | None = None) -> tuple[str, str, int]:
    """Why a unit is left out: its first value that is not there, looked for in one period or in all."""
    row = sample.rows[at]
    wanted = sample.periods if position is None else (sample.periods[position],)
    for year in dict.fromkeys((*wanted, *sample.periods)):
        column = panel.periods.index(year)
        for name in sample.names:
            if np.isnan(panel.values[name][row, column]):
                reason = str(panel.reasons[name][row, column])
                return str(sample.units[at]), why_lacking(name, reason, sample.outcome), year
    return str(sample.units[at]), "in no comparison", wanted[0]


def listed(items: Sequence[str] | Sequence[tuple[str, str, int]]) -> str:
    """The first few cells, or units with the reason and period, and how many more."""
    words = [item if isinstance(item, str) else f"{item[0]}: {item[1]} in {item[2]}" for item in items]
    return "; ".join(words[:6]) + (f" and {len(words) - 6} more" if len(words) > 6 else "")


def _complete(there: npt.NDArray[np.bool_], usable: npt.NDArray[np.bool_], weights: Floats | None) -> bool:
    return bool(there.all() and usable.all() and (weights is None or (weights > 0).all()))
