"""Does a result survive when the question is put a little differently?

In: a question and its answer. Out: one `Check` for each way to alter it. Never: a variant that could not be computed
counted as one that agreed.

An altered answer agrees when it keeps the sign and more than half of the size, and a test at twice `alpha` still
rejects: any variant has fewer data than the whole, so its test is weaker. Where the units left are too few for any test
at that level to reject, or a variant could not be computed, the check has no answer, unless another variant disagrees.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ..errors import DesignError, MekevalError
from ..inference import Inference
from ..panel import Floats, Panel
from .check import USUAL, Check, Thresholds, not_run, variants_table
from .cities import CityAreas
from .compare_cities import judged
from .questions import (
    CityQuestion,
    Question,
    compared_units,
    entered,
    quickly,
    treated_units,
    values_of,
    with_values,
    without_units,
    without_years,
    years_compared,
)
from .reference_cities import cities_of
from .rule_checks import rule_placebo_inference
from .rule_question import RuleQuestion

#: An area is of the same size class when its persons are at most so many times the largest treated area's, and at
#: least the smallest's divided by it.
SIZE_CLASS = 2.0
#: A pool with fewer comparison units says more of its few units than of the programme.
SMALLEST_POOL = 6
Variant = tuple[str, Callable[[], Question | Inference]]
Mask = npt.NDArray[np.bool_]


def compare_variants(
    name: str,
    column: str,
    whole: Inference,
    variants: Iterable[Variant],
    *,
    thresholds: Thresholds = USUAL,
) -> Check:
    """Put every variant of a question and ask whether the result is in them too.

    Parameters
    ----------
    name : str
        Of the check.
    column : str
        What tells the variants apart, as a column of the table.
    whole : Inference
        The result that is checked.
    variants : iterable of (str, callable)
        Label, and what makes the question, or its answer: it may refuse with a `MekevalError`, which becomes the
        row's `note`.

    Returns
    -------
    Check
        ``passed`` is None where no variant disagrees, and one could not be answered or tested. Its table has `column`,
        `estimate`, `low`, `high`, `p_value`, `alpha` and `note`.
    """
    if whole.estimate == 0:
        return not_run(name, "no_difference")
    asked = [(label, *_asked(make)) for label, make in variants]
    if not asked:
        return not_run(name, "no_variant")
    table = variants_table(column, asked)
    answered = table.dropna(subset=["estimate"])
    if answered.empty:
        return not_run(name, "error", message=str(table["note"].iloc[0]))
    level = thresholds.level * whole.alpha
    ratio = answered["estimate"].to_numpy() / whole.estimate
    chance = answered["p_value"].to_numpy()
    able = np.array([found.smallest_p <= level for _, found, _ in asked if found is not None])
    unanswered = table.loc[table["estimate"].isna(), column]
    passed: bool | None = False
    if not (ratio > thresholds.share_kept).all():
        reason = "hangs_on_one"
    elif (able & (chance > level)).any():
        reason = "beyond_chance_no_more"
    elif not able.all():
        passed, reason = None, "few_areas"
    elif len(unanswered):
        passed, reason = None, "not_all_answered"
    else:
        passed, reason = True, "steady"
    # The weakest is named: the smallest where it hangs on one, else the least sure; the same whatever their order.
    weak = able | (reason != "beyond_chance_no_more")
    by_chance = -np.where(weak, chance, -1.0) * (reason != "hangs_on_one")
    worst = answered.iloc[np.lexsort((answered[column], ratio, by_chance))[0]]
    facts: dict[str, float | str] = {
        "n": len(answered),
        "n_not_answered": len(unanswered),
        "variant": str(unanswered.iloc[0] if reason == "not_all_answered" else worst[column]),
        "estimate": float(worst["estimate"]),
        "p_value": float(worst["p_value"]),
    }
    return Check(name=name, passed=passed, reason=reason, facts=facts, table=table)


def leave_one_comparison_out(question: Question, whole: Inference) -> Check:
    """Does the result hang on one of the units, or of the reference cities, that it is compared with?

    Units of the same city are left out one by one where that city alone is compared; elsewhere each reference city.
    """
    name = "leave_one_comparison_out"
    variants: list[Variant]
    try:
        if isinstance(question, RuleQuestion):
            areas = cities_of(question).areas
            variants = [(name, _without_city(question, areas, name)) for name in areas.names[1:]]
        else:
            variants = [(unit, _without(question, [unit])) for unit in entered(question)[1]]
    except MekevalError as error:
        return not_run(name, "error", message=error.faults[0].what)
    return compare_variants(name, "left_out", whole, variants, thresholds=question.thresholds)


def without_neighbours(
    question: Question, whole: Inference, neighbours: Mapping[str, Collection[str]]
) -> Check:
    """Is the result there without the areas that border on the treated ones, where something may have spilt over?

    Parameters
    ----------
    question : CityQuestion or RuleQuestion
    whole : Inference
    neighbours : mapping of str to collection of str
        For each unit those that border on it.
    """
    name = "without_neighbours"
    try:
        pool = entered(question)[1]
    except MekevalError as error:
        return not_run(name, "error", message=error.faults[0].what)
    touching = beside(question, neighbours)
    bordering = [unit for unit in pool if unit in touching]
    if not bordering:
        return not_run(name, "no_neighbours")
    if len(pool) - len(bordering) < SMALLEST_POOL:
        return not_run(name, "small_pool", n=len(pool) - len(bordering))
    left = [(", ".join(bordering), _without(question, bordering))]
    return compare_variants(name, "left_out", whole, left, thresholds=question.thresholds)


def comparison_changed(
    question: Question,
    whole: Inference,
    *,
    size: Mapping[str, float] | None = None,
    parent: Mapping[str, str] | None = None,
    elsewhere: Panel | None = None,
    others: Sequence[str] = (),
) -> Check:
    """Is the result there when other areas are compared: of the same size, the same part of the city, or other cities?

    Parameters
    ----------
    question : CityQuestion or RuleQuestion
    whole : Inference
    size : mapping of str to float, optional
        Persons of each unit: the size class lies within a factor of two of the treated units.
    parent : mapping of str to str, optional
        The part of the city in which each unit lies.
    elsewhere : Panel, optional
        Of a `CityQuestion`: its units and those of other cities, with the same outcome. Against these the years are
        compared that most units of all cities have; the test is one of plain permutation.
    others : sequence of str
        Units of other cities, which all take the place of the comparison at once.
    """
    name = "comparison_changed"
    try:
        treated, pool = entered(question)
    except MekevalError as error:
        return not_run(name, "error", message=error.faults[0].what)
    sizes = [one for unit in treated if not np.isnan(one := (size or {}).get(unit, np.nan))]
    parts = {parent[unit] for unit in treated if parent.get(unit)} if parent else set()
    pools: dict[str, list[str]] = {}
    if size and sizes:
        low, high = min(sizes) / SIZE_CLASS, max(sizes) * SIZE_CLASS
        pools["same_size"] = [unit for unit in pool if low <= size.get(unit, np.nan) <= high]
    if parent and parts:
        pools["same_part"] = [unit for unit in pool if parent.get(unit) in parts]
    abroad: list[Variant] = []
    if elsewhere is not None and others and isinstance(question, CityQuestion):
        abroad = [("other_cities", lambda: _against(question, elsewhere, others))]
    if not pools and not abroad:
        return not_run(name, "unknown")
    smaller = {label: kept for label, kept in pools.items() if len(kept) < len(pool)}
    if not smaller and not abroad:
        return not_run(name, "same_pool", n=len(pool))
    variants: list[Variant] = [
        (label, _without(question, [unit for unit in pool if unit not in set(kept)]))
        for label, kept in smaller.items()
        if len(kept) >= SMALLEST_POOL
    ]
    variants += abroad
    if not variants:
        return not_run(name, "small_pool", n=max(map(len, smaller.values())))
    return compare_variants(name, "comparison", whole, variants, thresholds=question.thresholds)


def one_year(question: Question, whole: Inference) -> Check:
    """Does the result hang on one year, such as 2020?

    Each year that the answer rests on is left out in turn, unless it is the only one before; the units stay the same.
    """
    name = "one_year"
    try:
        pre, post = years_compared(question)
    except MekevalError as error:
        return not_run(name, "error", message=error.faults[0].what)
    if len(post) < 2:
        return not_run(name, "one_year_after", n=len(post))
    return compare_variants(
        name,
        "left_out",
        whole,
        [(str(year), _without_year(question, year)) for year in (*(pre if len(pre) > 1 else ()), *post)],
        thresholds=question.thresholds,
    )


def functional_form(question: Question, whole: Inference) -> Check:
    """Is the direction the same in logarithms and in ranks?

    A programme that takes a tenth off a high rate and areas that take a tenth off a low one agree in logarithms and
    differ in levels. Sizes in other units cannot be compared, so only signs and tests are: the check fails where
    another form says the opposite beyond chance, and cannot answer where one says nothing (an area that was by far the
    worst improves without a change of rank). There are no logarithms where a value is zero or below.
    """
    name = "functional_form"
    if whole.estimate == 0:
        return not_run(name, "no_difference")
    panel = question.panel
    if isinstance(question, RuleQuestion):
        city = np.array([question.city_of.get(unit, "") for unit in panel.units])
    else:
        city = np.zeros(len(panel.units), dtype=str)
    try:
        values = values_of(question)
        used = [panel.periods.index(year) for part in years_compared(question) for year in part]
    except MekevalError as error:
        return not_run(name, "error", message=error.faults[0].what)
    complete: Mask = np.asarray(np.isfinite(values[:, used]).all(axis=1))
    forms: dict[str, Floats] = {"rank": _ranks(values, city, complete)}
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(values)
    if (np.isfinite(logs) == np.isfinite(values))[complete].all():
        forms["log"] = np.where(np.isfinite(logs), logs, np.nan)
    asked = [
        (label, *_asked(lambda changed=changed: with_values(question, changed)))  # type: ignore[misc]
        for label, changed in forms.items()
    ]
    table = variants_table("form", asked)
    answered = table.dropna(subset=["estimate"])
    if answered.empty:
        return not_run(name, "error", message=str(table["note"].iloc[0]))
    same = (np.sign(answered["estimate"]) == np.sign(whole.estimate)).to_numpy()
    chance = answered["p_value"].to_numpy()
    heard = chance <= question.thresholds.level * whole.alpha
    turned, shown = ~same & heard, same & heard
    passed: bool | None = None
    if turned.any():
        passed, reason, at = False, "turns", int(np.where(turned, chance, np.inf).argmin())
    elif not shown.all():
        reason, at = "beyond_chance_no_more", int(np.where(shown, -1.0, chance).argmax())
    else:
        reason, at = "not_all_answered", int(chance.argmax())
        if len(answered) == len(table):
            passed, reason = True, "steady"
    variant = table.loc[table["estimate"].isna(), "form"].iloc[0] if reason == "not_all_answered" else None
    worst = answered.iloc[at]
    return Check(
        name=name,
        passed=passed,
        reason=reason,
        facts={"variant": str(variant or worst["form"]), "p_value": float(worst["p_value"])},
        table=table,
    )


def _asked(make: Callable[[], Question | Inference]) -> tuple[Inference | None, str]:
    """The answer to a variant, or why there is none."""
    try:
        made = make()
        return (made if isinstance(made, Inference) else quickly(made)), ""
    except MekevalError as error:
        return None, error.faults[0].what


def _without(question: Question, units: Sequence[str]) -> Callable[[], Question]:
    return lambda: without_units(question, units)


def _against(question: CityQuestion, elsewhere: Panel, others: Sequence[str]) -> CityQuestion:
    """The same question with the areas of other cities in the place of the comparison."""
    unknown = [unit for unit in others if unit not in set(elsewhere.units)]
    if unknown or question.outcome not in elsewhere.values:
        raise DesignError(
            "The panel of other cities lacks what is asked for.",
            found=", ".join(unknown[:5]) or question.outcome,
        )
    used = {*question.design.treated, *others}
    rows = [at for at, unit in enumerate(elsewhere.units) if unit in used]
    panel = Panel(
        units=tuple(elsewhere.units[at] for at in rows),
        periods=elsewhere.periods,
        values={question.outcome: elsewhere.values[question.outcome][rows]},
        bases={name: array[rows] for name, array in elsewhere.bases.items() if name == question.outcome},
        reasons={name: array[rows] for name, array in elsewhere.reasons.items() if name == question.outcome},
    )
    design = replace(question.design, comparison=tuple(others))
    return replace(question, panel=panel, design=design, population=None)


def _without_city(question: RuleQuestion, areas: CityAreas, name: str) -> Callable[[], Inference]:
    """The answer without one reference city: what the rule chooses in the others does not depend on it."""
    return lambda: rule_placebo_inference(
        judged(areas.without(name), alpha=question.alpha), label=name, n_treated=len(question.treated)
    )


def _without_year(question: Question, year: int) -> Callable[[], Question]:
    return lambda: without_years(question, [year])


def beside(question: Question, neighbours: Mapping[str, Collection[str]]) -> dict[str, str]:
    """The comparison units that border on a treated one, from either side of the list, each with the treated one.

    Of several treated ones it is the one that entered first.
    """
    treated = list(treated_units(question))
    if isinstance(question, CityQuestion):
        treated.sort(key=lambda unit: question.design.path_of(unit).first)
    near = {unit: set(neighbours.get(unit, ())) for unit in (*treated, *compared_units(question))}
    return {
        unit: next(one for one in treated if unit in near[one] or one in near[unit])
        for unit in compared_units(question)
        if any(unit in near[one] or one in near[unit] for one in treated)
    }


def _ranks(values: Floats, city: npt.NDArray[np.str_], complete: Mask) -> Floats:
    """Each value's rank among the complete units of its city in its year, from 0 to 1; ties share the mean of theirs.

    A unit that comes or goes would move the ranks of all others, so others have no rank: they do not enter, and hold
    the middle where they have a value.
    """
    ranks = np.where(np.isnan(values), np.nan, 0.5)
    _, group = np.unique(city, return_inverse=True)
    row, year = np.nonzero(~np.isnan(values) & complete[:, None])
    own = group[row] * values.shape[1] + year
    found = values[row, year]
    order = np.lexsort((found, own))
    # Runs of equal values in one city and year, and where they and the city's year begin in this order.
    new_group = np.diff(own[order], prepend=-1) != 0
    new_run = new_group | np.append(True, found[order][1:] != found[order][:-1])[: len(order)]
    place = np.arange(len(order))
    starts = np.flatnonzero(new_run)
    ends = np.append(starts[1:], len(order))
    middle = np.repeat((starts + ends) / 2, ends - starts)
    begin = np.maximum.accumulate(np.where(new_group, place, 0))
    ranks[row[order], year[order]] = (middle - begin) / np.bincount(own)[own[order]]
    return ranks
