"""Who is treated when, against whom, and how the areas were chosen.

In: units and the waves of a programme. Out: `Design`. Never: a look at an outcome.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from ..display import Shown, written
from ..errors import DesignError, closest
from ..study import Study
from ..tables import Column, Table
from .classes import AreaClasses, area_classes
from .selection import (
    Rule,
    Selection,
    apply_rule,
    rule_criteria,
    select_areas,
)
from .stability import SelectionStability, selection_stability

__all__ = [
    "AreaClasses",
    "Design",
    "Path",
    "Phase",
    "Rule",
    "SelectedBy",
    "Selection",
    "SelectionStability",
    "apply_rule",
    "area_classes",
    "design_from_cohorts",
    "make_design",
    "plain_design",
    "rule_criteria",
    "select_areas",
    "selection_stability",
    "study_design",
]

Phase = Literal["pre", "partial", "on", "after"]
#: How an area came into the programme. Only "rule" and "unknown" make its own drift part of the comparison.
SelectedBy = Literal["rule", "discretion", "unknown"]


@dataclass(frozen=True, kw_only=True)
class Path:
    """Units that share one on/off history.

    Attributes
    ----------
    name : str
        Its years, for example "2019-2025".
    spells : tuple of (int, int)
        First and last year of each stretch in the programme, both inclusive, in order.
    units : tuple of str
    """

    name: str
    spells: tuple[tuple[int, int], ...]
    units: tuple[str, ...]

    @property
    def first(self) -> int:
        """First treated period: the cohort."""
        return self.spells[0][0]

    def phase(self, period: int, *, partial_years: int = 0) -> Phase:
        """Where a period stands: before, in the first years of a spell, on, or after it (also between spells)."""
        if period < self.first:
            return "pre"
        for first, last in self.spells:
            if first <= period <= last:
                return "partial" if period < first + partial_years else "on"
        return "after"


@dataclass(frozen=True, kw_only=True, repr=False)
class Design(Shown):
    """A comparison that can be estimated.

    Attributes
    ----------
    paths : tuple of Path
        The treated units, by on/off history.
    comparison : tuple of str
        Units that no wave ever treats.
    set_aside : tuple of (str, str)
        Units on neither side, each with the reason.
    selected_by : mapping of str to str
        For each treated unit "rule", "discretion" or "unknown".
    pre_years : int or None
        The base of a change is the mean of the years at most this far before entry; None means all of them.
    partial_years : int
        Years at the start of a spell that are neither before nor after.
    """

    paths: tuple[Path, ...]
    comparison: tuple[str, ...]
    set_aside: tuple[tuple[str, str], ...]
    selected_by: Mapping[str, SelectedBy]
    pre_years: int | None
    partial_years: int

    @property
    def treated(self) -> tuple[str, ...]:
        """All treated units, path by path."""
        return tuple(unit for path in self.paths for unit in path.units)

    @property
    def cohort(self) -> pd.Series:
        """First treated period of every treated and comparison unit, <NA> for never, indexed by unit."""
        first = {unit: path.first for path in self.paths for unit in path.units}
        units = [*self.treated, *self.comparison]
        return pd.Series([first.get(unit) for unit in units], index=units, dtype="Int64", name="cohort")

    def _shown(self) -> list[Table]:
        ways = {unit: self.selected_by.get(unit, "unknown") for unit in self.treated}
        rows = [
            (
                path.name,
                str(path.first),
                str(len(path.units)),
                ", ".join(f"{one} ({ways[one]})" for one in path.units),
            )
            for path in self.paths
        ]
        rows.append(("never treated", "never", str(len(self.comparison)), written(self.comparison)))
        for reason in dict.fromkeys(why for _, why in self.set_aside):
            units = [unit for unit, why in self.set_aside if why == reason]
            rows.append((f"set aside: {reason}", "", str(len(units)), written(units)))
        heads = ("In the programme", "First year", "Units", "Which (chosen by)")
        columns = tuple(Column(label=head, numeric=head == "Units") for head in heads)
        base = (
            "all years before"
            if self.pre_years is None
            else f"the mean of at most {self.pre_years} years before"
        )
        note = f"Base: {base} entry. Partial years at the start of a spell: {self.partial_years}."
        return [
            Table(
                caption="Design: who is treated when, against whom",
                columns=columns,
                rows=tuple(rows),
                note=note,
            )
        ]

    def path_of(self, unit: str) -> Path:
        """The path of a treated unit; a `DesignError` where it has none."""
        for path in self.paths:
            if unit in path.units:
                return path
        raise DesignError("The unit is not treated.", found=repr(unit), expected=closest(unit, self.treated))


def make_design(
    units: Sequence[str],
    waves: Sequence[tuple[int, int, Sequence[str]]],
    *,
    last_period: int | None = None,
    pre_years: int | None = None,
    partial_years: int = 0,
    selected_by: Mapping[str, SelectedBy] | None = None,
) -> Design:
    """Turn the waves of a programme into paths and a never-treated comparison.

    Parameters
    ----------
    units : sequence of str
        All units of the panel.
    waves : sequence of (first, last, units)
        Years inclusive. Waves that follow each other without a gap make one spell.
    last_period : int, optional
        The year of the evaluation: what a programme did later is not used, but units it treats later stay out of
        the comparison.
    pre_years, partial_years, selected_by
        As in `Design`.

    Returns
    -------
    Design

    Raises
    ------
    DesignError
        A wave names a unit that is not there or ends before it begins; a unit is listed twice; nobody is treated
        yet; nobody is left to compare with.

    Examples
    --------
    >>> design = make_design(["a", "b", "c", "d"], [(2019, 2022, ["a", "b"]), (2023, 2025, ["a", "c"])])
    >>> [(path.name, path.units) for path in design.paths], design.comparison
    ([('2019-2025', ('a',)), ('2019-2022', ('b',)), ('2023-2025', ('c',))], ('d',))
    """
    if len(set(units)) < len(units):
        twice = next(unit for unit in units if list(units).count(unit) > 1)
        raise DesignError("A unit is listed twice.", where="units", found=repr(twice))
    if (pre_years is not None and pre_years < 1) or partial_years < 0:
        raise DesignError(
            "The years of a comparison are counted from 1, partial years from 0.",
            where="pre_years, partial_years",
            found=f"{pre_years}, {partial_years}",
        )
    known = frozenset(units)
    spells: dict[str, list[tuple[int, int]]] = {}
    ever: dict[str, None] = {}
    for first, last, members in waves:
        if last < first:
            raise DesignError("A wave ends before it begins.", where="waves", found=f"{first} to {last}")
        for unit in members:
            if unit not in known:
                raise DesignError(
                    "A treated unit is not among the units.", found=repr(unit), expected=closest(unit, units)
                )
            ever[unit] = None
            if last_period is None or first <= last_period:
                spells.setdefault(unit, []).append(
                    (first, last if last_period is None else min(last, last_period))
                )
    if not spells:
        starts = min((first for first, _, members in waves if members), default=None)
        if starts is None:
            raise DesignError("No wave treats a unit.", where="waves")
        raise DesignError(
            "No area is in the programme yet.",
            found=f"evaluated as of {last_period}",
            expected=f"{starts} or later",
        )
    comparison = tuple(unit for unit in units if unit not in ever)
    if not comparison:
        raise DesignError(
            "Every unit is treated: nothing is left to compare with.", found=f"{len(units)} units"
        )
    histories: dict[tuple[tuple[int, int], ...], list[str]] = {}
    for unit, parts in spells.items():
        histories.setdefault(_joined(parts), []).append(unit)
    paths = tuple(
        Path(
            name=", ".join(f"{first}-{last}" for first, last in history), spells=history, units=tuple(members)
        )
        for history, members in histories.items()
    )
    treated = {unit for path in paths for unit in path.units}
    chosen = selected_by or {}
    return Design(
        paths=paths,
        comparison=comparison,
        set_aside=tuple((unit, "treated_later") for unit in ever if unit not in treated),
        selected_by={unit: chosen.get(unit, "unknown") for unit in treated},
        pre_years=pre_years,
        partial_years=partial_years,
    )


def design_from_cohorts(units: Sequence[str], cohort: Sequence[object], *, last_period: int) -> Design:
    """A staggered design without exit, from each unit's first treated period; missing means never.

    Parameters
    ----------
    units : sequence of str
    cohort : sequence of int or missing
        For each unit; <NA>, NaN or None for never. Zero and infinity are refused: say never plainly.
    last_period : int
        The last period of the data. Units treated only after it are set aside: no comparison, and no effect yet.

    Raises
    ------
    DesignError
        A cohort is not a whole number, or there is not one for each unit.
    """
    cohorts = list(cohort)
    if len(cohorts) != len(units):
        raise DesignError(
            "There must be one cohort for each unit.",
            where="cohort",
            found=f"{len(cohorts)} cohorts",
            expected=f"{len(units)}",
        )
    waves: dict[int, list[str]] = {}
    for unit, first in zip(units, cohorts, strict=True):
        if first is None or first is pd.NA or first is pd.NaT:
            continue
        number = float(first) if isinstance(first, (int, float, np.integer, np.floating)) else math.inf
        if math.isnan(number):
            continue
        if isinstance(first, bool) or number == 0 or not number.is_integer():
            raise DesignError(
                "A cohort is no period.",
                where=f"unit {unit!r}",
                found=repr(first),
                expected="a whole number, or <NA> for never treated",
            )
        waves.setdefault(int(number), []).append(unit)
    return make_design(
        units,
        [(first, max(first, last_period), members) for first, members in sorted(waves.items())],
        last_period=last_period,
    )


def study_design(study: Study, *, last_period: int | None = None) -> Design:
    """The design of a study's programme up to a year; see `make_design`."""
    plan = study.plan
    selected: dict[str, SelectedBy] = {}
    if study.programme.rule:
        selected = {unit: "discretion" if unit in study.discretionary else "rule" for unit in study.treated}
    return make_design(
        study.areas.units,
        [
            (wave.first, wave.last, codes)
            for wave, codes in zip(study.programme.wave, study.wave_areas, strict=True)
        ],
        last_period=last_period,
        pre_years=plan.pre_years,
        partial_years=plan.partial_years,
        selected_by=selected,
    )


def plain_design(
    design: Design, units: Sequence[str], treated: Sequence[str], *, first: int, last: int
) -> Design:
    """The reading that slides show: some treated units against everybody else, whoever is treated there.

    The comparison holds units that are treated at other times; that is what makes it plain, not right.
    """
    return make_design(
        units,
        [(first, last, treated)],
        pre_years=design.pre_years,
        partial_years=design.partial_years,
        selected_by=design.selected_by,
    )


def _joined(spells: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Stretches that touch or overlap become one."""
    joined: list[tuple[int, int]] = []
    for first, last in sorted(spells):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(last, joined[-1][1]))
        else:
            joined.append((first, last))
    return tuple(joined)
