"""Had anything happened where nothing should have?

In: a question and its answer. Out: one `Check` for each place or time where the programme did nothing. Never: silence
taken for an answer where nothing could have been heard.

Silence is an answer only if a change of the size in question would have been found. There are several such questions,
and each is asked at a fifth of `alpha` (`Thresholds.quiet`): together they raise a false alarm no more often than one
test does. Where the units are too few for a test at that level, it is made at the smallest level that they can reach,
at most `alpha`: the alarm then goes off more often, but there is an answer.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from ..errors import DesignError, MekevalError
from ..estimate import Effects, aggregate, group_time_att
from ..inference import Inference
from ..panel import Floats
from .altered import beside
from .check import Check, not_run, variants_table
from .honest import HonestBounds, honest_bounds
from .questions import (
    Question,
    between,
    entered,
    of_other_units,
    only,
    quickly,
    same_units,
    values_of,
    with_values,
    without_years,
    years_apart,
    years_before,
    years_compared,
)
from .rule_placebo import asked_quickly
from .rule_question import RuleQuestion

#: A population that grew by less than this share more than elsewhere did not: the rest is rounding.
_NOBODY = 1e-9


def anticipation(question: Question, whole: Inference) -> Check:
    """Had something happened already in the last year before the start?

    The last year before is taken for the programme and compared with the earlier ones. Silence counts only where a
    change of the size of the result would have been found.
    """
    name = "anticipation"
    try:
        pre = years_before(question)
        if len(pre) < 3:
            return not_run(name, "few_years", n=len(pre))
        found = strictly(between(question, pre[:-1], pre[-1:]))
    except MekevalError as error:
        return not_run(name, "error", message=error.faults[0].what)
    return _quiet(name, found, whole, share=1.0, column="years", label=str(pre[-1]), year=pre[-1])


def pre_trend(question: Question, whole: Inference) -> Check:
    """Was there a trend before that would explain the result, and would it have been seen?

    The slope of each unit over all years before is what is compared. The trend that would explain the result is the
    one that, carried on in a straight line from the middle of the base to the middle of the years after, arrives at it
    (Roth 2022: a test without the power to see that trend says nothing); of several paths, on the average of the
    treated.

    References
    ----------
    Roth, J. (2022). Pretest with caution: event-study estimates after testing for parallel trends. American Economic
    Review: Insights 4(3).
    """
    name = "pre_trend"
    try:
        pre = years_before(question)
        if len(pre) < 3:
            return not_run(name, "few_years", n=len(pre))
        explaining = whole.estimate / years_apart(question)
        found = strictly(_slopes(question, pre))
    except MekevalError as error:
        return not_run(name, "error", message=error.faults[0].what)
    facts: dict[str, float | str] = {
        "estimate": found.estimate,
        "p_value": found.p_value,
        "explaining": explaining,
        "first": pre[0],
        "last": pre[-1],
    }
    table = variants_table("years", [(f"{pre[0]}-{pre[-1]}", found, "")])
    if not found.identifiable or found.minimum_detectable_effect is None:
        return Check(name=name, passed=None, reason="few_areas", facts=facts, table=table)
    facts["detectable"] = found.minimum_detectable_effect
    if found.p_value <= found.alpha:
        return Check(name=name, passed=False, reason="moved", facts=facts, table=table)
    if found.minimum_detectable_effect > abs(explaining):
        return Check(name=name, passed=None, reason="no_power", facts=facts, table=table)
    return Check(name=name, passed=True, reason="quiet", facts=facts, table=table)


def spillover(question: Question, whole: Inference, neighbours: Mapping[str, Collection[str]]) -> Check:
    """Did the areas that border on the treated ones change too?

    They are put in the place of the treated ones, each in the years of the one it borders on (of several the one that
    entered first), and those are set aside. A change there means that the comparison was touched, and the result is
    too small or too large. Silence counts as an answer only where a change of half the size of the result would have
    been found.
    """
    name = "spillover"
    try:
        touching = beside(question, neighbours)
        pool = entered(question)[1]
        bordering = {unit: one for unit, one in touching.items() if unit in pool}
        if not bordering:
            return not_run(name, "no_neighbours")
        found = strictly(of_other_units(question, bordering))
    except MekevalError as error:
        return not_run(name, "error", message=error.faults[0].what)
    return _quiet(name, found, whole, share=0.5, column="units", label=", ".join(bordering))


def composition(question: Question, whole: Inference, population: Floats) -> Check:
    """Could other people living there explain the result?

    The population of the treated areas is put in the place of the outcome, in logarithms. If it grew by a share s more
    than elsewhere, newcomers must differ from the residents by at least the result divided by s to bring it about (of
    a fall, those who left). The check passes where even the end of the interval of s that lies furthest from zero would
    need people who differ more than, in any one year compared, the best area of the city differs from its worst. It
    fails where s is beyond chance and, as estimated, could bring the result about; between the two it has no answer.

    Parameters
    ----------
    question : CityQuestion or RuleQuestion
    whole : Inference
    population : array, shape (n_units, n_periods)
        Persons in each unit and period of the question's panel.
    """
    return _newcomers("composition", question, whole, population, question, "log population")


def housing(question: Question, whole: Inference, dwellings: Floats) -> Check:
    """Could the people in new dwellings explain the result?

    As `composition`, with the dwellings of each area in the place of its people: they are there before the people are,
    and where homes are pulled down others move in. Only those of the years compared count in which at least half of the
    areas have a number. It is no further question to the level at which silence is asked for: homes and people move
    together.

    Parameters
    ----------
    question : CityQuestion or RuleQuestion
    whole : Inference
    dwellings : array, shape (n_units, n_periods)
        Dwellings in each unit and period of the question's panel.
    """
    name, panel = "housing", question.panel
    try:
        pre, post = years_compared(question)
        rows = [panel.units.index(unit) for part in entered(question) for unit in part]
        known = np.isfinite(dwellings[rows]).mean(axis=0) >= 0.5
        gone = [year for year in (*pre, *post) if not known[panel.periods.index(year)]]
        before, after = (sorted(set(years) - set(gone)) for years in (pre, post))
        if not before or not after:
            return not_run(name, "no_years")
        part = without_years(question, gone) if gone else question
    except MekevalError as error:
        return not_run(name, "error", message=error.faults[0].what)
    columns = [panel.periods.index(year) for year in part.panel.periods]
    found = _newcomers(name, question, whole, dwellings[:, columns], part, "log dwellings")
    return replace(found, facts={**found.facts, "first": before[0], "last": after[-1]})


def _newcomers(
    name: str, question: Question, whole: Inference, counts: Floats, part: Question, label: str
) -> Check:
    """Could newcomers explain the result, if there are as many as `counts` grew by, asked in the years of `part`?"""
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.where(counts > 0, np.log(counts), np.nan)
    try:
        spread = _spread(question)
        found = strictly(with_values(same_units(part), logs))
    except MekevalError as error:
        return not_run(name, "error", message=error.faults[0].what)
    if found.n_treated < whole.n_treated:
        return not_run(name, "gap", n=whole.n_treated - found.n_treated)
    if not found.identifiable or found.low is None or found.high is None:
        return not_run(name, "few_areas", smallest_p=found.smallest_p)
    most = float(np.expm1(max(abs(found.low), abs(found.high))))
    facts: dict[str, float | str] = {
        "growth": 100 * float(np.expm1(found.estimate)),
        "most": 100 * most,
        "spread": spread,
        "p_value": found.p_value,
    }

    def answer(passed: bool | None, reason: str) -> Check:
        table = variants_table("outcome", [(label, found, "")])
        return Check(name=name, passed=passed, reason=reason, facts=facts, table=table)

    if most < _NOBODY:
        facts |= {"growth": 0.0, "most": 0.0}
        return answer(True, "nobody_moved")
    facts["needed"] = abs(whole.estimate) / most
    if abs(whole.estimate) / most > spread:
        return answer(True, "too_few_newcomers")
    if found.p_value <= found.alpha and abs(whole.estimate) <= spread * abs(np.expm1(found.estimate)):
        return answer(False, "people_moved")
    return answer(None, "no_power")


def definition_breaks(question: Question, breaks: Sequence[int]) -> Check:
    """Was the outcome measured in another way somewhere between the first year before and the last one after?

    Parameters
    ----------
    question : CityQuestion or RuleQuestion
    breaks : sequence of int
        The first year of each new definition or level.
    """
    name = "definition_breaks"
    try:
        pre, post = years_compared(question)
    except MekevalError as error:
        return not_run(name, "error", message=error.faults[0].what)
    within = sorted(year for year in set(breaks) if pre[0] < year <= post[-1])
    table = pd.DataFrame({"year": within})
    if within:
        return Check(name=name, passed=None, reason="break", facts={"year": within[0]}, table=table)
    return Check(name=name, passed=True, reason="none", facts={"n": len(set(breaks))}, table=table)


def honest(question: Question, whole: Inference, *, size: float = 1.0) -> Check:
    """How far may the trends have been from parallel before the result is lost?

    HonestDiD with relative magnitudes: the deviation may move from year to year by at most Mbar times the most that it
    moved before. The check passes where the interval lies on the side of the result at `size`, and fails where it lies
    on the other: against the last year before the change is then the opposite of what it is against all of them.

    Parameters
    ----------
    question : CityQuestion or RuleQuestion
        Of the latter the effect of each year beyond what the rule brings about elsewhere is taken, and the covariance
        of the reference cities' own.
    whole : Inference
    size : float
        Mbar.

    References
    ----------
    Rambachan, A. and Roth, J. (2023). A more credible approach to parallel trends. Review of Economic Studies 90(5).
    """
    name = "honest"
    try:
        found = event_bounds(question, sizes=(size,))
    except MekevalError as error:
        return not_run(name, "error", message=error.faults[0].what)
    bounds = found.table.iloc[0]
    if bounds[["low", "high"]].isna().any():
        return not_run(name, "error", message=str(bounds["note"]))
    side = 1.0 if whole.estimate > 0 else -1.0
    ends = sorted(side * float(bounds[end]) for end in ("low", "high"))
    broken = found.breakdown
    facts: dict[str, float | str] = {
        "size": size,
        "low": float(bounds["low"]),
        "high": float(bounds["high"]),
    }
    if broken is None or np.isfinite(broken):
        facts["breakdown"] = broken or 0.0
    # The years one by one are noisier than their mean, so a bound that holds nothing says little against the result.
    passed: bool | None = None
    if whole.estimate == 0:
        reason = "no_difference"
    elif ends[0] > 0:
        passed, reason = True, "holds" if "breakdown" in facts else "holds_any"
    elif ends[1] < 0:
        passed, reason = False, "turns"
    else:
        reason = "never_held" if broken is None or side * found.estimate < 0 else "breaks"
    return Check(name=name, passed=passed, reason=reason, facts=facts, table=found.tidy())


def event_bounds(question: Question, *, sizes: Sequence[float] = (0.0, 0.5, 1.0, 1.5, 2.0)) -> HonestBounds:
    """HonestDiD's intervals of the mean effect of a question; see `honest`.

    Raises
    ------
    DesignError
        Too few years before, or too few reference cities with all of them.
    """
    question = same_units(question)
    if not isinstance(question, RuleQuestion):
        effects = group_time_att(
            question.panel, only(question.design, question.unit), outcome=question.outcome
        )
        return honest_bounds(
            effects, l_vec=_while_on(effects), sizes=sizes, alpha=question.alpha, seed=question.seed
        )
    pre, post = years_compared(question)
    base = pre[-1]
    years = [*pre[:-1], *post]
    # Of an earlier year it is the change from there to the base, with the opposite sign.
    asked = [
        asked_quickly(replace(question, pre=(min(base, year),), post=(max(base, year),))) for year in years
    ]
    signs = np.array([1.0 if year > base else -1.0 for year in years])
    estimates = signs * np.array([found.effect for found in asked])
    errors = np.array([found.se for found in asked])
    residuals = [dict(zip(found.names[1:], found.columns["residual"][1:], strict=True)) for found in asked]
    common = [name for name in residuals[0] if all(name in others for others in residuals)]
    table = np.array([[of_year[name] for name in common] for of_year in residuals]).T * signs
    if len(table) <= len(years) + 1:
        raise DesignError(
            "There are too few reference cities for the covariance of so many years.",
            found=f"{len(table)} cities, {len(years)} years",
            expected=f"at least {len(years) + 2} cities",
        )
    correlation = np.corrcoef(table, rowvar=False)
    covariance = correlation * np.outer(errors, errors)
    times = [float(year - base - 1) for year in years]
    found = honest_bounds(
        estimates,
        covariance,
        times,
        l_vec="average",
        sizes=sizes,
        base=-1.0,
        df=len(table) - 1,
        alpha=question.alpha,
    )
    note = f"The covariance is that of the reference distribution, the residuals of {len(table)} reference cities."
    return replace(found, covariance="comparison", n_comparison=len(table), notes=(note, *found.notes))


def _while_on(effects: Effects) -> dict[int, float]:
    """Weights of event times whose sum of effects is the average while treated; years of partial exposure have none."""
    cells = effects.cells.assign(weight=aggregate(effects, by="simple").weights[0])
    on = cells.loc[cells["phase"] == "on"]
    return {
        int(str(time)): float(weight) for time, weight in on.groupby("event_time")["weight"].sum().items()
    }


def stricter(question: Question) -> Question:
    """The same question at the level of those to which silence is the right answer."""
    return replace(question, alpha=question.alpha / question.thresholds.quiet)


def strictly(question: Question) -> Inference:
    """The answer at that level, or at the smallest one up to the question's own at which it can be tested."""
    found = quickly(stricter(question))
    if found.identifiable or not found.alpha < found.smallest_p <= question.alpha:
        return found
    return quickly(replace(question, alpha=found.smallest_p))


def _quiet(
    name: str, found: Inference, whole: Inference, *, share: float, column: str, label: str, **more: float
) -> Check:
    """Silence where nothing should have happened; it counts where a share of the result would have been heard."""
    facts: dict[str, float | str] = {"estimate": found.estimate, "p_value": found.p_value, **more}
    table = variants_table(column, [(label, found, "")])
    if not found.identifiable or found.minimum_detectable_effect is None:
        return Check(name=name, passed=None, reason="few_areas", facts=facts, table=table)
    facts["detectable"] = found.minimum_detectable_effect
    if found.p_value <= found.alpha:
        return Check(name=name, passed=False, reason="moved", facts=facts, table=table)
    if found.minimum_detectable_effect > share * abs(whole.estimate):
        return Check(name=name, passed=None, reason="no_power", facts=facts, table=table)
    return Check(name=name, passed=True, reason="quiet", facts=facts, table=table)


def _slopes(question: Question, pre: Sequence[int]) -> Question:
    """The question about slopes: the first year before holds a unit's mean of all of them, the last its slope more."""
    values = values_of(question)
    columns = [question.panel.periods.index(year) for year in pre]
    years = np.array(pre, dtype=float) - float(np.mean(pre))
    slope = values[:, columns] @ years / (years @ years)
    level = values[:, columns].mean(axis=1)
    changed = np.full(values.shape, np.nan)
    # The level stays in, as cities whose chosen areas stand out more are less alike.
    changed[:, columns[0]], changed[:, columns[-1]] = np.where(np.isnan(slope), np.nan, level), level + slope
    return between(question, pre[:1], pre[-1:], values=changed)


def _spread(question: Question) -> float:
    """The largest difference between two areas of the city in one of the years compared."""
    panel = question.panel
    rows = [panel.units.index(unit) for part in entered(question) for unit in part]
    columns = [panel.periods.index(year) for part in years_compared(question) for year in part]
    return float(np.ptp(values_of(question)[np.ix_(rows, columns)], axis=0).max())
