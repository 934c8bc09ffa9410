"""All the checks of a result, as many as its study has data for.

In: a question, its answer, and what the study knows of its areas. Out: `Check`s, in the order in which a verdict asks
for them. Never: a check made where nothing was found to check.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ..inference import Inference
from ..panel import Floats, Panel
from .altered import (
    comparison_changed,
    functional_form,
    leave_one_comparison_out,
    one_year,
    without_neighbours,
)
from .check import USUAL, Check, Thresholds
from .city_checks import leave_one_out, placebo_in_time
from .compare_cities import RulePlacebo
from .questions import CityQuestion, Question
from .quiet import (
    anticipation,
    composition,
    definition_breaks,
    honest,
    housing,
    pre_trend,
    spillover,
    stricter,
)
from .rule_checks import (
    rule_leave_one_out,
    rule_placebo_before,
    rule_placebo_check,
    rule_placebo_inference,
)
from .rule_question import RuleQuestion

#: The indicator that counts the dwellings of an area, as the catalogue of Paavo names them.
HOUSING = "dwellings"


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What a study knows of its areas and its outcome besides the values.

    Attributes
    ----------
    neighbours : mapping of str to collection of str
        For each unit those that border on it; empty where that is not known.
    parent : mapping of str to str
        The part of the city in which each unit lies.
    breaks : tuple of int
        The first year of each new definition of the outcome.
    honest_size : float
        Mbar that a result must survive.
    thresholds : Thresholds
        Where the other checks draw their lines.
    elsewhere : Panel or None
        The study's own areas and those of other cities, for results that were judged within the city.
    others : tuple of str
        Units of `elsewhere` that lie in other cities.
    """

    neighbours: Mapping[str, Collection[str]] = field(default_factory=dict)
    parent: Mapping[str, str] = field(default_factory=dict)
    breaks: Sequence[int] = ()
    honest_size: float = 1.0
    thresholds: Thresholds = USUAL
    elsewhere: Panel | None = None
    others: Sequence[str] = ()


def rule_checks_of(
    question: RuleQuestion, placebo: RulePlacebo, about: Surroundings | None = None
) -> tuple[Check, ...]:
    """The checks of a result that was judged against reference cities; within chance only its own.

    Parameters
    ----------
    question : RuleQuestion
    placebo : RulePlacebo
        Its answer.
    about : Surroundings, optional
    """
    about = about or Surroundings()
    question = replace(question, thresholds=about.thresholds)
    own = rule_placebo_check(placebo)
    if placebo.quotable_p > question.alpha:  # the others ask whether a difference holds
        return (own,)
    whole = rule_placebo_inference(placebo, label="", n_treated=len(question.treated))
    before = rule_placebo_before(_strict(question), size=placebo.effect)
    alone = [rule_leave_one_out(question, whole=placebo)] if len(question.treated) > 1 else []
    return (own, before, *alone, *_general(question, whole, about))


def city_checks_of(
    question: CityQuestion, whole: Inference, about: Surroundings | None = None
) -> tuple[Check, ...]:
    """The checks of a result that was judged within its own city; none of one that is within chance.

    Parameters
    ----------
    question : CityQuestion
    whole : Inference
        Its answer.
    about : Surroundings, optional
    """
    if whole.p_value > whole.alpha:
        return ()
    about = about or Surroundings()
    question = replace(question, thresholds=about.thresholds)
    before = _before(question, whole, alpha=question.alpha / question.thresholds.quiet)
    if before.reason == "few_areas" and float(before.facts["smallest_p"]) <= question.alpha:
        before = _before(question, whole, alpha=float(before.facts["smallest_p"]))  # as all quiet checks
    alone = (
        [
            leave_one_out(
                question.panel,
                question.design,
                outcome=question.outcome,
                seed=question.seed,
                alpha=question.alpha,
                population=question.population,
                thresholds=question.thresholds,
            )
        ]
        if question.unit is None
        else []
    )
    return (before, *alone, *_general(question, whole, about))


def _before(question: CityQuestion, whole: Inference, *, alpha: float) -> Check:
    return placebo_in_time(
        question.panel,
        question.design,
        outcome=question.outcome,
        size=whole.estimate,
        unit=question.unit,
        seed=question.seed,
        alpha=alpha,
        population=question.population,
    )


def _strict(question: RuleQuestion) -> RuleQuestion:
    asked = stricter(question)
    return asked if isinstance(asked, RuleQuestion) else question


def _medians(values: Floats) -> Floats:
    """The median of what is known in each row; missing where nothing is."""
    ordered, known = np.sort(values, axis=1), (~np.isnan(values)).sum(axis=1)
    at = np.arange(len(values))
    return np.asarray((ordered[at, np.maximum(known - 1, 0) // 2] + ordered[at, known // 2]) / 2)


def _general(question: Question, whole: Inference, about: Surroundings) -> Iterator[Check]:
    panel = question.panel
    persons = (
        panel.values[question.population]
        if isinstance(question, RuleQuestion)
        else panel.bases.get(
            question.outcome, np.full_like(panel.values[question.outcome], np.nan, dtype=np.float64)
        )
    )
    middle = _medians(persons).tolist()
    yield leave_one_comparison_out(question, whole)
    yield comparison_changed(
        question,
        whole,
        size=dict(zip(panel.units, middle, strict=True)),
        parent=about.parent,
        elsewhere=about.elsewhere,
        others=about.others,
    )
    yield one_year(question, whole)
    yield functional_form(question, whole)
    yield anticipation(question, whole)
    yield pre_trend(question, whole)
    yield composition(question, whole, persons)
    if HOUSING in panel.values:
        yield housing(question, whole, panel.values[HOUSING])
    if about.neighbours:
        yield without_neighbours(question, whole, about.neighbours)
        yield spillover(question, whole, about.neighbours)
    yield definition_breaks(question, about.breaks)
    yield honest(question, whole, size=about.honest_size)
