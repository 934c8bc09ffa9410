"""One question to a panel, and the same question altered.

In: treated units and those they are compared with, in their own city (`CityQuestion`) or elsewhere (`RuleQuestion`).
Out: the answer as an `Inference`, or another question. Never: an altered panel that the caller's own is made from.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from ..design import Design, Path, rule_criteria
from ..errors import DesignError
from ..estimate import Contrast, Effects, aggregate, contrast, group_time_att, unit_contrast
from ..estimate.inputs import check_known
from ..inference import Inference, infer
from ..inference.permutation import MOST_ASSIGNMENTS, MOST_SETS
from ..panel import Floats, Panel
from .check import USUAL, Thresholds
from .reference_cities import cities_of
from .rule_checks import rule_placebo_inference
from .rule_placebo import asked_quickly
from .rule_question import RuleQuestion


@dataclass(frozen=True, kw_only=True)
class CityQuestion:
    """Did the treated units change more than the others of their own city?

    Attributes
    ----------
    panel : Panel
    design : Design
    outcome : str
    unit : str or None
        One treated unit; None asks for all of them.
    alpha : float
    seed : int
    population : mapping of str to float or None
        Persons of each unit, for the test that scales by size; None permutes plainly.
    thresholds : Thresholds
        Of the checks of its answer.
    """

    panel: Panel
    design: Design
    outcome: str
    unit: str | None = None
    alpha: float = 0.05
    seed: int = 0
    population: Mapping[str, float] | None = None
    thresholds: Thresholds = USUAL


Question = CityQuestion | RuleQuestion
T = TypeVar("T")


def answer(question: Question, *, most_sets: int = MOST_SETS) -> Inference:
    """The estimate of a question with its test and interval.

    Parameters
    ----------
    question : CityQuestion or RuleQuestion
    most_sets : int
        Of a `CityQuestion`, as in `infer`.

    Raises
    ------
    DesignError, DataError
        As `group_time_att` and `infer`, or `rule_placebo`.
    """
    if isinstance(question, RuleQuestion):
        return rule_placebo_inference(
            asked_quickly(question), label=", ".join(question.treated), n_treated=len(question.treated)
        )
    return infer(
        overall(_effects(question), question.unit),
        alpha=question.alpha,
        seed=question.seed,
        population=question.population,
        most_sets=most_sets,
    )


def quickly(question: Question) -> Inference:
    """The answer as checks ask for it: where there are more than 50,000 treated sets, 9,999 of them are drawn.

    There are dozens of altered questions to each result; millions of sets for each would say no more.
    """
    return answer(question, most_sets=MOST_ASSIGNMENTS)


def treated_units(question: Question) -> tuple[str, ...]:
    """The treated units that a question is about."""
    if isinstance(question, RuleQuestion):
        return question.treated
    return question.design.treated if question.unit is None else (question.unit,)


def compared_units(question: Question) -> tuple[str, ...]:
    """The units of the same city that the treated ones are compared with."""
    if isinstance(question, CityQuestion):
        return question.design.comparison
    left = {*question.treated, *question.set_aside}
    return tuple(
        unit
        for unit in question.panel.units
        if question.city_of.get(unit) == question.target and unit not in left
    )


def entered(question: Question) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Of the treated units, and of those of the same city that they are compared with, those that have their data.

    Raises
    ------
    DesignError, DataError
        As `answer`.
    """
    inside = _inside(question)
    of_treated, of_compared = (
        tuple(unit for unit in units if unit in inside)
        for units in (treated_units(question), compared_units(question))
    )
    return of_treated, of_compared


def years_compared(question: Question) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The years before and after that the answer rests on, in order.

    Of several paths the years before are those before the first entry.

    Raises
    ------
    DesignError
        Nothing can be estimated, or nobody has a full year in the programme.
    """
    if isinstance(question, RuleQuestion):
        return tuple(sorted(question.pre)), tuple(sorted(question.post))
    used = _effects(question).cells
    first = int(used["cohort"].min())
    post = tuple(sorted({int(year) for year in used.loc[used["phase"] == "on", "period"]}))
    if not post:
        raise DesignError("No area has a full year in the programme yet.", where=question.outcome)
    bases = {year for text in used["base"] for year in _years(text)}
    return tuple(sorted(year for year in bases if year < first)), post


def years_before(question: Question) -> tuple[int, ...]:
    """All years before the first entry with data, in order: also those that the plan leaves out of the base.

    Raises
    ------
    DesignError
        Nothing can be estimated.
    """
    if isinstance(question, RuleQuestion):
        return tuple(sorted(question.pre))
    used = _effects(question).cells
    years = {year for text in used["base"] for year in _years(text)} | set(used["period"].astype(int))
    return tuple(sorted(year for year in years if year < int(used["cohort"].min())))


def years_apart(question: Question) -> float:
    """How many years lie between before and after: a trend of 1 a year would give this answer.

    Raises
    ------
    DesignError
        Nothing can be estimated, or nobody has a full year in the programme.
    """
    if isinstance(question, RuleQuestion):
        return float(np.mean(question.post) - np.mean(question.pre))
    effects = _effects(question)
    weights = aggregate(effects, by="simple").weights[0]
    apart = effects.cells["period"] - [float(np.mean(_years(text))) for text in effects.cells["base"]]
    return float(weights @ apart.to_numpy(dtype=float))


def values_of(question: Question) -> Floats:
    """The outcome of a question, shape (n_units, n_periods).

    Raises
    ------
    DataError
        The panel has no such outcome.
    """
    check_known(question.panel, [question.outcome])
    return question.panel.values[question.outcome]


def without_units(question: Question, units: Collection[str]) -> Question:
    """The same question without some units of the comparison, in their own city or elsewhere; the treated ones stay.

    Where the rule ranks the areas of the city, it then ranks those that are left.

    Raises
    ------
    DesignError
        Nobody is left to compare with.
    """
    gone = set(units) - set(treated_units(question))
    if isinstance(question, RuleQuestion):
        city_of = {unit: city for unit, city in question.city_of.items() if unit not in gone}
        left = set(city_of.values())
        return replace(
            question,
            city_of=city_of,
            set_aside=tuple(unit for unit in question.set_aside if unit not in gone),
            exclude={city: why for city, why in question.exclude.items() if city in left},
        )
    rest = tuple(unit for unit in question.design.comparison if unit not in gone)
    return replace(question, design=replace(question.design, comparison=_somebody(rest)))


def without_years(question: Question, years: Collection[int]) -> Question:
    """The same question to the same units as if some years had not been counted.

    Raises
    ------
    DesignError
        No year before, or none after, is left, or nothing can be estimated.
    """
    gone = set(years)
    pre, post = ([year for year in part if year not in gone] for part in years_compared(question))
    if isinstance(question, RuleQuestion):
        return between(question, pre, post)
    _refuse_years(pre, post)
    same = same_units(question)
    return replace(same, panel=panel_of_years(question.panel, set(question.panel.periods) - gone))


def between(
    question: Question, pre: Sequence[int], post: Sequence[int], *, values: Floats | None = None
) -> Question:
    """The same units, those that have their data in the question as it stands, with other years before and after.

    All treated units enter in the first year after. `values`, shape (n_units, n_periods), are asked about in the place
    of the outcome's.

    Raises
    ------
    DesignError
        No year before, or none after, years that overlap or are not in the panel, or nothing can be estimated.
    """
    _refuse_years(pre, post)
    unknown = [str(year) for year in (*pre, *post) if year not in question.panel.periods]
    if unknown:
        raise DesignError("A year is not in the panel.", found=", ".join(unknown))
    same = same_units(question)
    if values is not None:
        same = with_values(same, values)
    if isinstance(same, RuleQuestion):
        return replace(same, pre=tuple(pre), post=tuple(post))
    return replace(
        same,
        panel=panel_of_years(same.panel, {*pre, *post}),
        design=moved(only(same.design, same.unit), start=min(post), end=max(post)),
    )


def with_values(question: Question, values: Floats) -> Question:
    """The same question about other values, shape (n_units, n_periods), in the place of its outcome's.

    Raises
    ------
    DesignError
        The values have another shape.
    """
    panel, name = question.panel, question.outcome
    shape = (len(panel.units), len(panel.periods))
    if np.shape(values) != shape:
        raise DesignError(
            "There must be a value for each unit and period.",
            found=str(np.shape(values)),
            expected=str(shape),
        )
    # The rule goes on choosing by what it chose by, and counts people as it did.
    kept = isinstance(question, RuleQuestion) and name in {*question.rule.criteria, question.population}
    new = f"{name}, altered" if kept else name
    reasons = np.where(np.isnan(values), "missing", "ok")
    changed = replace(
        panel,
        values={**panel.values, new: values},
        bases={**panel.bases, new: panel.bases.get(name, np.full(shape, np.nan))},
        reasons={**panel.reasons, new: reasons},
    )
    return replace(question, panel=changed, outcome=new)


def of_other_units(question: Question, stand_for: Mapping[str, str]) -> Question:
    """The same question about other units of the city, as if they had been treated; the treated ones are set aside.

    Parameters
    ----------
    question : CityQuestion or RuleQuestion
    stand_for : mapping of str to str
        Units of the comparison, each with the treated one in whose years it is put. Those that the rule cannot rank
        (too small, without a value or a criterion) are set aside too: nobody elsewhere is like them.

    Raises
    ------
    DesignError
        None of them is in the comparison, or nobody is left beside them.
    """
    chosen = [unit for unit in compared_units(question) if unit in stand_for]
    if isinstance(question, RuleQuestion):
        ranked = _ranked(question, chosen)
        beside = tuple(unit for unit in chosen if unit not in ranked)
        _somebody(ranked, "None of these units can be ranked by the rule.")
        return replace(
            question,
            treated=ranked,
            discretionary=ranked,
            set_aside=(*question.set_aside, *question.treated, *beside),
        )
    _somebody(chosen, "None of these units is in the comparison.")
    design = only(question.design, question.unit)
    paths = (
        replace(path, units=tuple(unit for unit in chosen if stand_for[unit] in path.units))
        for path in design.paths
    )
    taken = tuple(path for path in paths if path.units)
    _somebody(taken, "No unit stands for a treated one.")
    aside = tuple((unit, "treated") for unit in treated_units(question))
    return replace(
        question,
        unit=None,
        design=replace(
            design,
            paths=taken,
            comparison=_somebody([unit for unit in design.comparison if unit not in chosen]),
            set_aside=(*design.set_aside, *aside),
            selected_by=dict.fromkeys(chosen, "unknown"),
        ),
    )


def same_units(question: Question) -> Question:
    """The question to those units alone that have their data now: with other years or values others would come in.

    Raises
    ------
    DesignError
        Nothing can be estimated.
    """
    panel = question.panel
    if isinstance(question, RuleQuestion):
        columns = [panel.periods.index(year) for year in (*question.pre, *question.post)]
        there = np.isfinite(values_of(question)[:, columns]).all(axis=1)
        return without_units(question, {panel.units[row] for row in np.flatnonzero(~there)})
    inside = set(_effects(question).units)
    design = only(question.design, question.unit)
    paths = (
        replace(path, units=tuple(unit for unit in path.units if unit in inside)) for path in design.paths
    )
    return replace(
        question,
        design=replace(
            design,
            paths=tuple(path for path in paths if path.units),
            comparison=tuple(unit for unit in design.comparison if unit in inside),
        ),
    )


def overall(effects: Effects, unit: str | None) -> Contrast:
    """The average while treated, of one unit or of all."""
    if unit is not None:
        return unit_contrast(effects, unit)
    return contrast(effects, aggregate(effects, by="simple").weights[0], label="all")


def only(design: Design, unit: str | None) -> Design:
    """The design of one treated unit; the other treated ones stay out of the comparison."""
    if unit is None:
        return design
    path = design.path_of(unit)
    return replace(design, paths=(replace(path, units=(unit,)),))


def moved(design: Design, *, start: int, end: int) -> Design:
    """The same areas, as if the programme had run in other years, for all of them at once."""
    path = Path(name=f"{start}-{end}", spells=((start, end),), units=design.treated)
    return replace(design, paths=(path,), partial_years=0, pre_years=None)


def panel_of_years(panel: Panel, years: Collection[int]) -> Panel:
    """A panel of some of its years."""
    keep = np.array([year in years for year in panel.periods])
    return replace(
        panel,
        periods=tuple(year for year in panel.periods if year in years),
        values={name: values[:, keep] for name, values in panel.values.items()},
        bases={name: values[:, keep] for name, values in panel.bases.items()},
        reasons={name: values[:, keep] for name, values in panel.reasons.items()},
    )


def _effects(question: CityQuestion) -> Effects:
    return group_time_att(question.panel, only(question.design, question.unit), outcome=question.outcome)


def _inside(question: Question) -> set[str]:
    """The units of the city that have their data."""
    return set(
        cities_of(question).areas.cities()[0].areas
        if isinstance(question, RuleQuestion)
        else _effects(question).units
    )


def _years(text: object) -> list[int]:
    """The years that a base is written as."""
    return [int(year) for year in str(text).split(", ")]


def _ranked(question: RuleQuestion, units: Sequence[str]) -> tuple[str, ...]:
    """Those of some areas of the target that enter and that the rule can rank."""
    target = cities_of(question).areas.cities()[0]
    persons = dict(zip(target.areas, target.population, strict=True))
    known = rule_criteria(question.panel, question.rule).notna().all(axis=1)
    return tuple(
        unit
        for unit in units
        if persons.get(unit, -1.0) >= question.rule.minimum_population and bool(known.loc[unit])
    )


def _somebody(left: Sequence[T], what: str = "Nothing is left to compare with.") -> tuple[T, ...]:
    if not left:
        raise DesignError(what, found="no units")
    return tuple(left)


def _refuse_years(pre: Sequence[int], post: Sequence[int]) -> None:
    if not pre or not post or max(pre) >= min(post):
        raise DesignError(
            "A comparison needs years before and later years after.",
            found=f"{', '.join(map(str, pre)) or 'none'} before, {', '.join(map(str, post)) or 'none'} after",
        )
