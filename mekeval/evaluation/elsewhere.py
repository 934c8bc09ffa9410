"""The rule placebo of a study: the programme's areas against those that the same rule chooses in other cities.

In: a study's own indicators and those of its reference cities. Out: for an outcome and a subject a `RuleResult`.
Never: a year after the year of the evaluation, or an area of the programme among the comparison.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from ..design import Design, Phase, Rule, SelectionStability, rule_criteria, selection_stability
from ..display import Shown
from ..errors import DesignError, MekevalError, StudyError
from ..indicators import Indicators
from ..inference import Inference
from ..panel import Panel, build_panel
from ..reference import ReferenceAreas
from ..sensitivity import (
    Check,
    RulePlacebo,
    RuleQuestion,
    Surroundings,
    ask,
    contiguous_windows,
    rule_checks_of,
    rule_placebo_inference,
)
from ..study import Study

#: Why the rule placebo could not be made, by what its error says.
REASONS = {
    "The reference cities have no data for the years that are compared.": "no_years",
    "A treated area does not enter.": "area_left_out",
    "A treated area has no rank under the rule, so it has no counterpart elsewhere.": "no_rank",
    "Too few reference cities: nothing can be told apart from the rule's own doing.": "too_few_cities",
    "The target has too few areas for the rule.": "too_few_areas",
}
#: The outcome of the national panel that holds the size of an area.
SIZE = "persons behind the rule's rate"


@dataclass(frozen=True, kw_only=True, repr=False)
class Elsewhere(Shown):
    """The areas of all cities, up to the year of the evaluation.

    Attributes
    ----------
    panel : Panel
        The study's own areas, then those of the reference cities; with the outcome `SIZE`.
    rule : Rule
        Its base years are those of the study, or the last before them with data everywhere.
    city_of : dict of str to str
    target : str
        The study's own city.
    smallest_area : float
        Persons; smaller areas enter nowhere.
    """

    panel: Panel
    rule: Rule
    city_of: dict[str, str]
    target: str
    smallest_area: float


def other_areas(elsewhere: Elsewhere) -> tuple[str, ...]:
    """The areas of the reference cities."""
    return tuple(
        unit for unit in elsewhere.panel.units if elsewhere.city_of.get(unit) not in (None, elsewhere.target)
    )


def speaks_of(elsewhere: Elsewhere, outcome: str) -> bool:
    """Whether the reference cities have any data on an outcome."""
    others = set(other_areas(elsewhere))
    rest = [unit in others for unit in elsewhere.panel.units]
    return outcome in elsewhere.panel.values and not np.isnan(elsewhere.panel.values[outcome][rest]).all()


@dataclass(frozen=True, kw_only=True)
class RuleResult:
    """What the rule placebo says of one outcome and subject.

    Attributes
    ----------
    treated : tuple of str
        The areas that were judged.
    pre, post : tuple of int
        Years with data everywhere, before and in the programme.
    placebo : RulePlacebo
    inference : Inference
        The same in the form of a test: the effect beyond what the rule brings about by itself.
    checks : tuple of Check
    """

    treated: tuple[str, ...]
    pre: tuple[int, ...]
    post: tuple[int, ...]
    placebo: RulePlacebo
    inference: Inference
    checks: tuple[Check, ...]


def look_elsewhere(
    study: Study, indicators: Indicators, references: ReferenceAreas | None, *, year: int
) -> Elsewhere | None:
    """Join the study's own areas and those of its reference cities; None where it has no reference cities."""
    rule, spec = study.programme.rule, study.spec.reference
    if references is None or rule is None or spec is None:
        return None
    own = study.areas.units
    table = pd.concat([indicators.table, references.indicators.table], ignore_index=True)
    panel = build_panel(table, units=[*own, *references.city_of], last_period=year)
    size = panel.bases[rule.population]
    panel = replace(
        panel,
        values={**panel.values, SIZE: size},
        bases={**panel.bases, SIZE: size},
        reasons={**panel.reasons, SIZE: np.where(np.isnan(size), "missing", "ok")},
    )
    target = study.spec.areas.city.own
    mine = dict.fromkeys(own, target)
    city_of = {**references.city_of, **mine}
    if spec.window is not None:
        large = _large(panel, spec.minimum_population)
        order = [unit for unit in sorted(city_of) if unit in large]
        city_of = contiguous_windows(order, spec.window, target=mine) | mine
    if not set(city_of.values()) - {target}:
        raise StudyError(
            "No reference city is left.",
            where="study.toml, reference",
            found=f"{len(references.city_of)} areas of other cities"
            + (f", windows of {spec.window}" if spec.window else ""),
            fix="Make the window or the minimum population smaller.",
        )
    return Elsewhere(
        panel=panel,
        rule=Rule(
            criteria={name: _base_year(panel, own, name, base) for name, base in rule.criteria.items()},
            choose=rule.choose,
            higher_is={
                name: "better" for name in rule.criteria if study.indicator(name).higher_is == "better"
            },
            minimum_population=rule.minimum_population,
        ),
        city_of=city_of,
        target=target,
        smallest_area=spec.minimum_population,
    )


def judge(
    elsewhere: Elsewhere,
    design: Design,
    *,
    outcome: str,
    treated: Sequence[str],
    label: str,
    year: int,
    alpha: float,
    phase: Phase = "on",
    about: Surroundings | None = None,
    checked: bool = True,
) -> RuleResult:
    """Judge treated areas by the rule placebo: in the programme, with its checks, or in another phase.

    The checks take most of the time; without `checked` there are none.

    Raises
    ------
    DesignError
        No year before or in the programme has data everywhere; what `rule_placebo` raises: fewer than eight reference
        cities above all.
    """
    paths = {design.path_of(unit).name: design.path_of(unit) for unit in treated}
    first = max(path.first for path in paths.values())
    reach = first - (design.pre_years or first)
    common = _years_everywhere(elsewhere, outcome)
    pre = tuple(known for known in common if reach <= known < first)
    post = tuple(
        known
        for known in common
        if first <= known <= year
        and all(path.phase(known, partial_years=design.partial_years) == phase for path in paths.values())
    )
    if not pre or not post:
        raise DesignError(
            "The reference cities have no data for the years that are compared.",
            where=outcome,
            found=", ".join(map(str, common)) or "no year with data everywhere",
            expected=f"years from {reach} to {first - 1} and from {first} on",
        )
    others = {unit for unit, _ in design.set_aside} | set(design.treated)
    question = RuleQuestion(
        panel=elsewhere.panel,
        rule=rule_before(elsewhere, first),
        outcome=outcome,
        pre=pre,
        post=post,
        city_of=elsewhere.city_of,
        target=elsewhere.target,
        treated=tuple(treated),
        population=SIZE,
        discretionary=tuple(unit for unit in treated if design.selected_by.get(unit) == "discretion"),
        set_aside=tuple(sorted(others - set(treated))),
        exclude={},
        smallest_area=elsewhere.smallest_area,
        alpha=alpha,
    )
    placebo = ask(question)
    return RuleResult(
        treated=tuple(treated),
        pre=pre,
        post=post,
        placebo=placebo,
        inference=rule_placebo_inference(placebo, label=label, n_treated=len(treated)),
        # What was found in another phase is shown and not called an effect: nothing is asked of it.
        checks=rule_checks_of(question, placebo, about) if checked and phase == "on" else (),
    )


def how_clear(elsewhere: Elsewhere, *, seed: int) -> SelectionStability | None:
    """How clear the rule's choice in the study's own city was; None where a criterion is not a rate in per cent.

    The errors are those of counting: next year's rate of the same area varies at least so much.
    """
    panel, rule = elsewhere.panel, elsewhere.rule
    own = [unit for unit in panel.units if elsewhere.city_of.get(unit) == elsewhere.target]
    criteria = rule_criteria(panel, rule).loc[own]
    rows = [panel.units.index(unit) for unit in own]
    columns = {name: panel.periods.index(int(str(base))) for name, base in rule.criteria.items()}
    persons = pd.DataFrame(
        {name: panel.bases[name][rows, column] for name, column in columns.items()}, index=criteria.index
    )
    counts = pd.DataFrame(panel.values[SIZE][rows][:, : max(columns.values()) + 1])
    size = counts.ffill(axis=1).iloc[:, -1].to_numpy()
    try:
        return selection_stability(own, criteria, rule, population=size, persons=persons, seed=seed)
    except MekevalError:
        return None


def _large(panel: Panel, least: float) -> set[str]:
    """Areas whose first count has so many people; windows are drawn once, for all outcomes and years."""
    counts = panel.values[SIZE]
    first = counts[np.arange(len(counts)), (~np.isnan(counts)).argmax(axis=1)]
    return {panel.units[row] for row in np.flatnonzero(first >= least)}


def rule_before(elsewhere: Elsewhere, first: int) -> Rule:
    """The rule as it could have been applied before a year.

    A rule that looks at years of the programme would choose areas elsewhere by the very changes that are judged.
    """
    own = [unit for unit in elsewhere.panel.units if elsewhere.city_of.get(unit) == elsewhere.target]
    criteria = {
        name: _base_year(elsewhere.panel, own, name, min(int(str(base)), first - 1))
        for name, base in elsewhere.rule.criteria.items()
    }
    return replace(elsewhere.rule, criteria=criteria)


def _years_everywhere(elsewhere: Elsewhere, outcome: str) -> list[int]:
    """Years in which at least half of the areas have a value, both in the target and elsewhere."""
    panel = elsewhere.panel
    there = ~np.isnan(panel.values[outcome])
    own = np.array([elsewhere.city_of.get(unit) == elsewhere.target for unit in panel.units])
    rest = np.array([unit in elsewhere.city_of for unit in panel.units]) & ~own
    both = (there[own].mean(axis=0) >= 0.5) & (there[rest].mean(axis=0) >= 0.5)
    return [period for period, enough in zip(panel.periods, both, strict=True) if enough]


def _base_year(panel: Panel, own: Sequence[str], name: str, base: int) -> int:
    """The base year of a criterion, or the last year before it in which most areas have a value, here and elsewhere."""
    if name not in panel.values:
        return base
    there = ~np.isnan(panel.values[name])
    inside = set(own)
    mine = np.array([unit in inside for unit in panel.units])
    both = (there[mine].mean(axis=0) >= 0.5) & (there[~mine].mean(axis=0) >= 0.5)
    known = [period for period, enough in zip(panel.periods, both, strict=True) if enough and period <= base]
    return max(known, default=base)
