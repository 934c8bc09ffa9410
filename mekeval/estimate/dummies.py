"""Dummies of treated cells, and the effects that a regression on them gives.

In: a sample and a design. Out: `Effects` and the `Fit` behind them, with a dummy for each path and period, or with
dummies that all paths share. Never: a base period in which a path has no data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from ..design import Design, Path
from ..errors import DesignError
from ..panel import Floats
from .effects import Effects, cell_names, lone_sides
from .fixed_effects import Fit, Integers, Mask, Sample, least_squares
from .inputs import is_whole, scale_of

_LONG_AGO = np.iinfo(np.int64).min


def treated_kinds(sample: Sample, design: Design) -> list[tuple[int, Path]]:
    """Kinds of treated units, each with its path."""
    return [(kind, design.paths[index]) for kind, index in enumerate(sample.kind_group) if index >= 0]


def base_periods(sample: Sample, design: Design, reference: int | None) -> dict[int, Mask]:
    """For the index of each path the periods of its base, shape (n_periods,).

    The last period with data at the reference or before it, where `reference` is an event time; all periods with
    data before entry, where it is None.

    Raises
    ------
    DesignError
        A path has no data so early.
    """
    bases = {}
    for index in sorted({int(group) for group in sample.kind_group if group >= 0}):
        path = design.paths[index]
        latest = path.first + (-1 if reference is None else reference)
        base = sample.observed(index) & (sample.periods <= latest)
        if not base.any():
            raise DesignError(
                "A treated area has no data before treatment.",
                where=f"{sample.outcome}, {', '.join(path.units)}",
                found=f"first period with data {sample.periods[sample.observed(index)][0]}, "
                f"treated from {path.first}",
                expected=f"a period up to {latest}",
            )
        if reference is not None:
            base &= sample.periods == sample.periods[base].max()
        bases[index] = base
    return bases


def check_reference(reference: object) -> int:
    """The event time of the base, or a `DesignError` where it is no whole number below zero."""
    if isinstance(reference, (int, float, np.number)) and is_whole(reference) and reference < 0:
        return int(reference)
    raise DesignError(
        "The reference must lie before entry, a whole number of years.",
        where="reference",
        found=repr(reference),
        expected="-1, the year before entry, or earlier",
    )


def treatment_effect(sample: Sample, design: Design) -> tuple[Effects, Fit]:
    """Fit one dummy for all cells in the programme."""
    column = np.full(sample.kind_there.shape, -1, dtype=np.int64)
    for kind, path in treated_kinds(sample, design):
        # without partial years a phase is "on" in those too: exposure that is partial is exposure
        column[kind, [path.phase(int(period)) == "on" for period in sample.periods]] = 0
    on = (column == 0) & sample.kind_there
    if not on.any():
        raise _nobody(sample)
    base = "unit and period effects"
    effects, fit = _pooled(sample, column, on.any(axis=1), [None], ["on"], estimator="twfe", base=base)
    # One comparison unit has no variance of its own only where nobody else switches at another time.
    histories = np.unique(column[sample.kind_group >= 0], axis=0)
    n_comparison = effects.cells["n_comparison"].to_numpy() if len(histories) == 1 else np.zeros(1, dtype=int)
    notes = lone_sides(effects.cells["n_treated"].to_numpy(), n_comparison)
    return replace(effects, cells=effects.cells.assign(se_note=notes)), fit


def event_time_effects(sample: Sample, design: Design, reference: int) -> tuple[Effects, Fit]:
    """Fit a dummy for each event time, shared by all paths."""
    bases = base_periods(sample, design, reference)
    event = np.full(sample.kind_there.shape, _LONG_AGO)
    for kind, path in treated_kinds(sample, design):
        there = sample.kind_there[kind] & ~bases[int(sample.kind_group[kind])]
        event[kind, there] = sample.periods[there] - path.first
    times = [int(time) for time in np.unique(event) if time != _LONG_AGO]
    if not times:
        raise _nobody(sample)
    column = np.where(event == _LONG_AGO, -1, np.searchsorted(times, event))
    phases = ["pre" if time < 0 else "partial" if time < design.partial_years else "on" for time in times]
    return _pooled(
        sample,
        column,
        sample.kind_group >= 0,
        times,
        phases,
        estimator="twfe_event_study",
        base=f"event time {reference}",
    )


def path_effects(
    sample: Sample, design: Design, *, reference: int | None, estimator: str, moderated: bool
) -> tuple[Effects, Fit]:
    """Fit a dummy for each path and period outside the path's base.

    Parameters
    ----------
    sample : Sample
    design : Design
    reference : int or None
        As in `base_periods`. With None units not yet treated are comparison too.
    estimator : str
    moderated : bool
        Whether trends and effects differ with the covariates; else the covariates have one coefficient each.
    """
    bases = base_periods(sample, design, reference)
    column = np.full(sample.kind_there.shape, -1, dtype=np.int64)
    mass = np.bincount(sample.kind, minlength=len(sample.kind_group))
    entry = np.array([path.first for path in design.paths] + [np.inf])[sample.kind_group]
    rows: list[dict[str, object]] = []
    places: list[tuple[int, int]] = []
    for index, base in bases.items():
        path = design.paths[index]
        members = sample.kind_group == index
        for at in np.flatnonzero(sample.observed(index) & ~base):
            period = int(sample.periods[at])
            rest = entry > period if reference is None else entry == np.inf
            column[members, at] = len(rows)
            places.append((index, int(at)))
            rows.append(
                {
                    **cell_names(design, index, period, sample.periods[base]),
                    "n_treated": int(mass @ (members & sample.kind_there[:, at])),
                    "n_comparison": int(mass @ (rest & sample.kind_there[:, at])),
                }
            )
    if not rows:
        raise _nobody(sample)
    names = [f"{row['path']} in {row['period']}" for row in rows]
    own, own_names = _moderators(sample, places, names) if moderated else (sample.covariates, sample.names)
    fit = least_squares(sample, _dummies(sample, column, len(rows)), names, own, own_names)
    effects = _effects(
        sample,
        pd.DataFrame(rows),
        fit,
        estimator=estimator,
        base="all periods before entry" if reference is None else f"event time {reference}",
        group=sample.group,
    )
    if sample.names or reference is None or not sample.balanced:
        return effects, fit
    change = _changes(sample, places, bases)
    history = np.zeros(sample.kind_there.shape)
    for kind, path in treated_kinds(sample, design):
        history[kind] = [path.phase(int(period)) == "on" for period in sample.periods]
    return replace(effects, changes=sample.values @ change, exposure=(history @ change)[sample.kind]), fit


def _changes(sample: Sample, places: Sequence[tuple[int, int]], bases: Mapping[int, Mask]) -> Floats:
    """Maps a row of values to its changes from the base to each effect's period, shape (n_periods, n_effects)."""
    change = np.zeros((len(sample.periods), len(places)))
    for number, (index, at) in enumerate(places):
        change[at, number] = 1
        change[bases[index], number] = -1
    return change


def _moderators(
    sample: Sample, places: Sequence[tuple[int, int]], names: Sequence[str]
) -> tuple[Floats, list[str]]:
    """Covariates by period, and centred covariates by effect: shape (n_units, n_periods, n), and their names."""
    columns: list[tuple[int, Floats]] = []
    own_names = []
    for number, name in enumerate(sample.names):
        values = sample.covariates[..., number].max(axis=1, where=sample.there, initial=-np.inf)
        for at in range(1, len(sample.periods)):
            columns.append((at, values))
            own_names.append(f"{name} in {sample.periods[at]}")
        for (index, at), effect in zip(places, names, strict=True):
            inside = sample.group == index
            if np.ptp(values[inside]) > 0:  # one unit, or units that are alike, have no slope and need none
                columns.append((at, np.where(inside, values - values[inside].mean(), 0.0)))
                own_names.append(f"{name} by {effect}")
    own = np.zeros((*sample.there.shape, len(columns)))
    for number, (at, values) in enumerate(columns):
        own[:, at, number] = np.where(sample.there[:, at], values, 0.0)
    return own, own_names


def _pooled(
    sample: Sample,
    column: Integers,
    treated: Mask,
    times: Sequence[int | None],
    phases: Sequence[str],
    *,
    estimator: str,
    base: str,
) -> tuple[Effects, Fit]:
    """Fit dummies that all paths share; `treated` says which kinds are, shape (n_kinds,)."""
    dummies = _dummies(sample, column, len(times))
    names = ["treatment" if time is None else f"event time {time}" for time in times]
    fit = least_squares(sample, dummies, names, sample.covariates, sample.names)
    mass = np.bincount(sample.kind, minlength=len(sample.kind_group))
    # None, not NaN: an effect of all cohorts has no cohort and no period, so none is missing
    nothing = pd.Series([None] * len(times), dtype=object)
    cells = pd.DataFrame(
        {
            "path": "all",
            "group": 0,
            "cohort": nothing,
            "period": nothing,
            "event_time": pd.Series(list(times), dtype=object if None in times else np.int64),
            "phase": phases,
            "base": base,
            "n_treated": mass @ dummies.any(axis=1).astype(np.int64),
            "n_comparison": int(mass @ ~treated),
        }
    )
    group = np.where(treated[sample.kind], 0, -1).astype(np.int64)
    return _effects(sample, cells, fit, estimator=estimator, base=base, group=group), fit


def _dummies(sample: Sample, column: Integers, n_columns: int) -> Floats:
    """Shape (n_kinds, n_periods, n_columns), from the number of each cell's dummy, -1 for none."""
    chosen = (column[..., None] == np.arange(n_columns)) & sample.kind_there[..., None]
    return np.asarray(chosen, dtype=float)


def _effects(
    sample: Sample, cells: pd.DataFrame, fit: Fit, *, estimator: str, base: str, group: Integers
) -> Effects:
    cells = cells.assign(att=fit.coefficients[: len(cells)])
    last = ["att", "n_treated", "n_comparison"]
    cells = cells[[*cells.columns.drop(last), *last]]
    return Effects(
        estimator=estimator,
        outcome=sample.outcome,
        base_period=base,
        cells=cells,
        units=sample.units,
        group=group,
        influence=fit.influence[:, : len(cells)],
        changes=None,
        exposure=None,
        shares_estimated=False,
        unit_weights=None,
        scale=scale_of(sample.values),
        n_rows=sample.n_rows,
        dropped=sample.dropped,
    )


def _nobody(sample: Sample) -> DesignError:
    return DesignError(
        "No unit is treated in a period with data.",
        where=sample.outcome,
        found=f"data from {sample.periods[0]} to {sample.periods[-1]}",
        expected="a treated unit with data outside its base periods",
    )
