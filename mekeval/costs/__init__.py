"""Money beside effect: what a programme spent in its districts, and what that comes to for each unit of effect.

In: a study or an evaluation. Out: money by district and year, and `Cost` beside a finding. Never: money that nobody
recorded, or a cost per unit of an effect that was not shown.

The measures whose money and places are known stand where they were. The rest of a wave's `eur_per_year` is split over
its areas by population: an assumption, which `basis` states. A cost per unit is given where the verdict is "improved"
and the interval excludes zero, and nowhere else; the ends of its interval are those of the effect, with the money taken
as known without error.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..display import Shown
from ..errors import DesignError, closest
from ..evaluation import ALL, Evaluation
from ..findings import Finding, Verdict
from .money import BASES, Money, inhabitants, money_by_district, money_of

__all__ = [
    "BASES",
    "NOT_COUNTED",
    "Cost",
    "cost_beside_effect",
    "cost_record",
    "money_by_district",
]

#: What no figure of this module counts, whatever the study.
NOT_COUNTED = ("other_spending", "spillovers", "later", "other_aims")


@dataclass(frozen=True, kw_only=True, repr=False)
class Cost(Shown):
    """Money beside the effect of one finding.

    Attributes
    ----------
    outcome, subject : str
        As in the finding.
    verdict : str
    areas : tuple of str
        Codes of the areas that the finding speaks of: the money is theirs.
    years : tuple of int
        Years in the programme up to the last one evaluated: the money is of these.
    effect_years : tuple of int
        Those of them for which the effect is counted: without the first, partial years of the programme.
    assumed_years : tuple of int
        Those of `effect_years` that were not compared, mostly for lack of data; the mean effect of the others stands
        for them.
    eur : float or None
        Money of all areas and years, EUR.
    eur_per_inhabitant : float or None
        EUR for each inhabitant and year in the programme.
    basis : tuple of str
        How the money is known: of `BASES`.
    exposure : float or None
        Persons whom the outcome is about, times years: summed over areas and `effect_years`.
    effect, effect_low, effect_high : float or None
        Change in person-years by the estimate and the ends of its interval: effect / 100 x exposure. In the direction
        of the outcome: below zero where a rate fell.
    eur_per_unit, eur_per_unit_low, eur_per_unit_high : float or None
        EUR for each person-year of improvement.
    least_eur_per_unit : float or None
        Where no cost can be given: EUR for each person-year if the truth were the best end of the interval.
    worth : float or None
        What a person-year is worth by the study, EUR.
    break_even : float or None
        The effect at which the improvement would have been worth the money, in the outcome's unit and direction.
    break_even_is : str or None
        "ruled_out" (beyond the best end of the interval), "possible" (within it) or "reached" (even the worst end is
        beyond it).
    alpha : float or None
        The intervals have the level 1 - alpha.
    not_counted : tuple of str
        What the figures leave out.
    reasons : mapping of str to str
        For every field above that is None, why.
    """

    outcome: str
    subject: str
    verdict: Verdict
    areas: tuple[str, ...]
    years: tuple[int, ...]
    effect_years: tuple[int, ...]
    assumed_years: tuple[int, ...]
    eur: float | None
    eur_per_inhabitant: float | None
    basis: tuple[str, ...]
    exposure: float | None
    effect: float | None
    effect_low: float | None
    effect_high: float | None
    eur_per_unit: float | None
    eur_per_unit_low: float | None
    eur_per_unit_high: float | None
    least_eur_per_unit: float | None
    worth: float | None
    break_even: float | None
    break_even_is: str | None
    alpha: float | None
    not_counted: tuple[str, ...]
    reasons: Mapping[str, str]


def cost_beside_effect(evaluation: Evaluation, outcome: str, subject: str = ALL) -> Cost:
    """The money beside the effect of one finding, and the cost of a unit of it where the finding allows one.

    Parameters
    ----------
    evaluation : Evaluation
    outcome : str
        One of the plan.
    subject : str
        "all" or the code of a district.

    Returns
    -------
    Cost

    Raises
    ------
    DesignError
        The evaluation has no finding of this outcome and subject.

    Notes
    -----
    Estimand: the money of the areas and years in the programme, divided by the person-years by which the outcome
    improved in them.
    Assumptions: those of the finding; the money is known without error; the mean effect holds in each area, large or
    small, and in the years that were not compared; the first, partial years brought none.
    Edge cases: an outcome that is no share in per cent has no person-years, and no cost; a worsening never has one, nor
    has a programme on record with 0 EUR.
    Not covered: other spending of the city, effects outside of the areas, later benefits; the whole of the money stands
    beside each outcome, although a programme has several aims.

    References
    ----------
    Drummond, M., Sculpher, M., Claxton, K., Stoddart, G. and Torrance, G. (2015). Methods for the Economic Evaluation
    of Health Care Programmes, 4th edition. Oxford University Press.

    Examples
    --------
    >>> from mekeval import cost_beside_effect, evaluate, example_study
    >>> cost = cost_beside_effect(evaluate(example_study(), year=2025), "low_income_rate")
    >>> cost.verdict, cost.eur_per_unit, cost.reasons["eur_per_unit"]
    ('no_detectable_effect', None, 'no_detectable_effect')
    """
    return costs_beside_effects(evaluation, [(outcome, subject)])[0]


def costs_beside_effects(evaluation: Evaluation, findings: Iterable[tuple[str, str]]) -> list[Cost]:
    """As `cost_beside_effect` for several findings, by outcome and subject: the money is computed once."""
    money = money_of(evaluation.study, evaluation.year)
    people = inhabitants(evaluation.study.areas)
    return [_cost(evaluation, outcome, subject, money, people) for outcome, subject in findings]


def _cost(
    evaluation: Evaluation, outcome: str, subject: str, money: Money, counts: Mapping[str, int]
) -> Cost:
    finding = _finding(evaluation, outcome, subject)
    result, indicator = finding.inference, evaluation.study.indicator(outcome)
    areas = _areas_of(evaluation, finding)
    data_years = _years_with_data(evaluation, finding, areas)
    last = max(data_years, default=evaluation.year)
    spells = {area: _years_in(evaluation, area, last) for area in areas}
    reasons: dict[str, str] = {}
    eur, basis = _spent(money, {area: years for area, (years, _) in spells.items()}, reasons)
    whole = "measures_only" not in basis
    exposure = None
    if indicator.unit != "percent":
        reasons["exposure"] = "not_a_share"
    elif not data_years:
        reasons["exposure"] = "not_identifiable"
    else:
        exposure = _exposure(evaluation, outcome, {area: on for area, (_, on) in spells.items()}, data_years)
        if exposure is None:
            reasons["exposure"] = "no_base"
    effect: float | None = None
    low: float | None = None
    high: float | None = None
    if result is None or finding.verdict == "not_identifiable" or exposure is None:
        why = "not_identifiable" if exposure is not None else reasons["exposure"]
        reasons |= dict.fromkeys(("effect", "effect_low", "effect_high"), why)
    else:
        effect = result.estimate / 100 * exposure
        low, high = (None if end is None else end / 100 * exposure for end in (result.low, result.high))
        reasons |= {
            f"effect_{name}": "no_interval" for name, end in (("low", low), ("high", high)) if end is None
        }
    better = 1.0 if indicator.higher_is == "better" else -1.0
    best = max((better * end for end in (low, high) if end is not None), default=None)
    worst = min((better * end for end in (low, high) if end is not None), default=None)
    if low is None or high is None:
        best = worst = None
    unit, unit_low, unit_high = _per_unit(finding, eur, effect, best, worst, reasons, whole=whole)
    least = _least(finding, eur, effect, best, unit, reasons)
    worth, even, even_is = _break_even(
        evaluation, outcome, eur, exposure, better, best, worst, finding, reasons, whole=whole
    )
    if result is None:
        reasons["alpha"] = "not_identifiable"
    lived = sum(counts.get(area, 0) * len(own) for area, (own, _) in spells.items())
    per_inhabitant = eur / lived if eur is not None and all(map(counts.get, areas)) and lived else None
    if per_inhabitant is None:
        reasons["eur_per_inhabitant"] = reasons.get("eur", "no_population")
    on_years = {year for _, on in spells.values() for year in on}
    years = {year for own, _ in spells.values() for year in own}
    partial = ("first_years",) if on_years < years else ()
    return Cost(
        outcome=outcome,
        subject=subject,
        verdict=finding.verdict,
        areas=areas,
        years=tuple(sorted(years)),
        effect_years=tuple(sorted(on_years)),
        assumed_years=tuple(sorted(on_years - set(data_years))),
        eur=eur,
        eur_per_inhabitant=per_inhabitant,
        basis=basis,
        exposure=exposure,
        effect=effect,
        effect_low=low,
        effect_high=high,
        eur_per_unit=unit,
        eur_per_unit_low=unit_low,
        eur_per_unit_high=unit_high,
        least_eur_per_unit=least,
        worth=worth,
        break_even=even,
        break_even_is=even_is,
        alpha=None if result is None else result.alpha,
        not_counted=(*NOT_COUNTED, *partial),
        reasons=reasons,
    )


def cost_record(cost: Cost) -> dict[str, object]:
    """A cost as plain data: what `findings.json` says of it."""
    numbers = (
        "eur",
        "eur_per_inhabitant",
        "exposure",
        "effect",
        "effect_low",
        "effect_high",
        "eur_per_unit",
        "eur_per_unit_low",
        "eur_per_unit_high",
        "least_eur_per_unit",
        "worth",
        "break_even",
    )
    return {
        "areas": list(cost.areas),
        "years": list(cost.years),
        "effect_years": list(cost.effect_years),
        "assumed_years": list(cost.assumed_years),
        "basis": list(cost.basis),
        **{name: getattr(cost, name) for name in numbers},
        "break_even_is": cost.break_even_is,
        "reasons": dict(cost.reasons),
    }


def _finding(evaluation: Evaluation, outcome: str, subject: str) -> Finding:
    finding = evaluation.findings.get((outcome, subject))
    if finding is None:
        known = [f"{one}, {whom}" for one, whom in evaluation.findings]
        raise DesignError(
            "The evaluation has no such finding.",
            where="outcome, subject",
            found=f"{outcome}, {subject}",
            expected=closest(f"{outcome}, {subject}", known),
        )
    return finding


def _areas_of(evaluation: Evaluation, finding: Finding) -> tuple[str, ...]:
    """The areas that a finding speaks of."""
    if finding.subject != ALL:
        return (finding.subject,)
    if finding.placebo is not None:
        return tuple(str(area) for area in finding.placebo.matched["area"])
    effects = evaluation.effects.get(finding.outcome)
    left_out = {unit for unit, _, _ in effects.dropped} if effects is not None else set()
    return tuple(unit for unit in evaluation.design.treated if unit not in left_out)


def _years_with_data(evaluation: Evaluation, finding: Finding, areas: Sequence[str]) -> tuple[int, ...]:
    """The years in the programme that the effect was estimated from."""
    if finding.compared is not None:
        return finding.compared[1]
    effects = evaluation.effects.get(finding.outcome)
    if effects is None or finding.inference is None:
        return ()
    paths = {evaluation.design.path_of(area).name for area in areas}
    cells = effects.cells
    mine = cells["path"].isin(paths) & (cells["phase"] == "on")
    return tuple(sorted({int(year) for year in cells.loc[mine, "period"]}))


def _years_in(evaluation: Evaluation, area: str, last: int) -> tuple[list[int], list[int]]:
    """Years of an area in the programme up to the last, and those of them that are no partial first years."""
    design = evaluation.design
    path = design.path_of(area)
    years = [year for first, end in path.spells for year in range(first, min(end, last) + 1)]
    return years, [year for year in years if path.phase(year, partial_years=design.partial_years) == "on"]


def _spent(
    money: Money, spells: Mapping[str, Iterable[int]], reasons: dict[str, str]
) -> tuple[float | None, tuple[str, ...]]:
    """Money of areas in their years, and how it is known; a reason where it is not."""
    found = [
        money.get((area, year), (None, "not_recorded")) for area, years in spells.items() for year in years
    ]
    bases = {basis for _, basis in found}
    known = [eur for eur, _ in found if eur is not None]
    if not found or len(known) < len(found):
        reasons["eur"] = "no_population" if "no_population" in bases else "not_recorded"
        return None, ()
    return float(sum(known)), tuple(basis for basis in BASES if basis in bases)


def _exposure(
    evaluation: Evaluation, outcome: str, spells: Mapping[str, Sequence[int]], data_years: Sequence[int]
) -> float | None:
    """Persons behind the outcome times years; an area's persons are their mean over the years with data."""
    panel = evaluation.panel
    total = 0.0
    for area, years in spells.items():
        if not years:  # so far it has been in its partial years only
            continue
        columns = [panel.periods.index(year) for year in data_years if year in set(years)]
        bases = panel.bases[outcome][panel.units.index(area), columns]
        known = bases[~np.isnan(bases)]
        if not len(known):
            return None
        total += float(known.mean()) * len(years)
    return total


def _per_unit(
    finding: Finding,
    eur: float | None,
    effect: float | None,
    best: float | None,
    worst: float | None,
    reasons: dict[str, str],
    *,
    whole: bool,
) -> tuple[float | None, float | None, float | None]:
    """EUR for each person-year of improvement with its interval, or the reason why there is none."""
    why: str
    if reasons.get("exposure") == "not_a_share":
        why = "not_a_share"
    elif finding.verdict != "improved":
        why = finding.verdict
    elif eur is None:
        why = reasons["eur"]
    elif not eur:
        why = "no_money"
    elif not whole:
        why = "money_in_part"
    elif effect is None:
        why = reasons["effect"]
    elif best is None or worst is None:
        why = "no_interval"
    elif worst <= 0:
        why = "interval_holds_zero"
    else:
        return eur / abs(effect), eur / best, eur / worst
    reasons |= dict.fromkeys(("eur_per_unit", "eur_per_unit_low", "eur_per_unit_high"), why)
    return None, None, None


def _least(
    finding: Finding,
    eur: float | None,
    effect: float | None,
    best: float | None,
    unit: float | None,
    reasons: dict[str, str],
) -> float | None:
    """The cost of a unit if the truth were the best end of the interval; of an interval that can be believed."""
    if unit is not None:
        why = "cost_is_given"
    elif reasons.get("exposure") == "not_a_share":
        why = "not_a_share"
    elif finding.verdict in ("worsened", "fragile", "not_identifiable"):
        why = finding.verdict
    elif eur is None:
        why = reasons["eur"]
    elif not eur:
        why = "no_money"
    elif effect is None:
        why = reasons["effect"]
    elif best is None:
        why = "no_interval"
    elif best <= 0:
        why = "no_good_end"
    else:
        return eur / best
    reasons["least_eur_per_unit"] = why
    return None


def _break_even(
    evaluation: Evaluation,
    outcome: str,
    eur: float | None,
    exposure: float | None,
    better: float,
    best: float | None,
    worst: float | None,
    finding: Finding,
    reasons: dict[str, str],
    *,
    whole: bool,
) -> tuple[float | None, float | None, str | None]:
    """What a person-year is worth, the effect that would have been worth the money, and where it lies."""
    worth = evaluation.study.programme.worth.get(outcome)
    if worth is None:
        reasons |= dict.fromkeys(("worth", "break_even", "break_even_is"), "no_worth")
        return None, None, None
    if not eur or not exposure or not whole:
        given = "no_money" if eur == 0 else "no_base" if whole else "money_in_part"
        why = reasons.get("eur") or reasons.get("exposure") or given
        reasons |= dict.fromkeys(("break_even", "break_even_is"), why)
        return worth.eur, None, None
    needed = eur / worth.eur  # person-years
    even = better * 100 * needed / exposure
    if finding.verdict == "fragile" or best is None or worst is None:
        reasons["break_even_is"] = (
            "fragile" if finding.verdict == "fragile" else reasons.get("effect", "no_interval")
        )
        return worth.eur, even, None
    return worth.eur, even, "ruled_out" if needed > best else "reached" if needed <= worst else "possible"
