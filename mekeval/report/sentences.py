"""Findings in words: amounts, reasons and the sentence of a verdict.

In: a finding and the texts of a language. Out: text, in which the verb is as certain as the verdict. Never: a word that
the numbers do not carry.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..evaluation import ALL, Evaluation
from ..figures.elsewhere import city_names, matching, neighbours, references
from ..findings import Finding, within_what_matters
from ..inference import Inference
from ..sensitivity import Check
from ..text import DIGITS, NO_BREAK, Texts

#: Facts that the words of a reason call larger and smaller: equal after rounding they would contradict these.
_SET_AGAINST = (("explaining", "detectable"), ("needed", "spread"), ("breakdown", "size"))


def amount(
    texts: Texts,
    value: float,
    unit: str,
    *,
    form: str = "difference",
    sign: bool = False,
    extra_digits: int = 0,
) -> str:
    """A number with its unit: a level, a difference, or a difference in short for tables."""
    number = texts.number(value, DIGITS[unit] + extra_digits if DIGITS[unit] else 0, sign=sign)
    text = texts(f"unit.{unit}.{form}", number=number)
    text = text.replace(f"{number} ", f"{number}{NO_BREAK}", 1)
    if unit == "log" and form == "difference":  # which says little until it is a percentage
        percent = texts.number(100 * math.expm1(value), 1, sign=sign)
        text += f" ({texts('unit.percent.level', number=percent)})"
    return text


def p_value(texts: Texts, value: float, *, least: float = 0.0) -> str:
    """A p-value with three digits; never below what they, or the method with its `least`, can tell apart."""
    if least and value <= least:
        return f"\N{LESS-THAN OR EQUAL TO}{NO_BREAK}{texts.number(least, 3)}"
    return f"<{NO_BREAK}{texts.number(0.001, 3)}" if value < 0.001 else texts.number(value, 3)


def p_of(texts: Texts, result: Inference) -> str:
    """The p-value of a result as it may be quoted."""
    return p_value(texts, result.p_value, least=result.smallest_p if result.method == "rule_placebo" else 0.0)


def at_floor(result: Inference | None) -> bool:
    """Whether a p-value is no more than the least that the comparison with areas elsewhere can tell apart."""
    return result is not None and result.method == "rule_placebo" and result.p_value <= result.smallest_p


def decimals_of(unit: str) -> int:
    """Digits after the decimal sign of an amount."""
    return DIGITS[unit]


def reason(
    evaluation: Evaluation,
    finding: Finding,
    because: str,
    key: str,
    facts: Mapping[str, float | str],
    texts: Texts,
) -> str:
    """Why, in words; `because`, `key` and `facts` are those of the finding or of one of its checks."""
    unit = evaluation.study.indicator(finding.outcome).unit
    parts: dict[str, object] = dict(facts)
    for names, sign in (
        (("estimate", "bias", "plain", "explaining"), True),
        (("detectable", "needed", "spread"), False),
    ):
        for name in names:
            if name in parts:
                more = _more_digits(facts, name, DIGITS[unit])
                parts[name] = amount(texts, float(str(parts[name])), unit, sign=sign, extra_digits=more)
    for name in ("growth", "most", "breakdown", "size"):
        if name in parts:
            parts[name] = texts.number(float(str(parts[name])), 1 + _more_digits(facts, name, 1))
    if "variant" in parts:
        parts["variant"] = _variant(evaluation, str(parts["variant"]), texts)
    for name in ("p_value", "smallest_p", "rank_p"):
        if name in parts:
            parts[name] = _p_in_words(finding, name, float(str(parts[name])), texts)
    if "unit" in parts:
        parts["unit"] = evaluation.study.areas.name(str(parts["unit"]), texts.language)
    if "status" in parts:
        parts["status"] = texts(f"status.{parts['status']}")
    if finding.placebo is not None:
        parts |= elsewhere_parts(evaluation, finding, texts) | _rank(finding)
    return texts(f"reason.{because}.{_case(evaluation, finding, because, key, facts)}", **parts)


def _more_digits(facts: Mapping[str, float | str], name: str, digits: int) -> int:
    """Further digits (at most 3) with which a number can be told from the one that its reason sets it against."""
    for pair in _SET_AGAINST:
        if name in pair and all(one in facts for one in pair):
            one, other = (abs(float(facts[of])) for of in pair)
            apart = (f"{one:.{digits + more}f}" != f"{other:.{digits + more}f}" for more in range(4))
            return next((more for more, differ in enumerate(apart) if differ), 0)
    return 0


def _variant(evaluation: Evaluation, variant: str, texts: Texts) -> str:
    """What was left out or changed: a form, a year, an area by its name, or a group of areas elsewhere."""
    if f"check.variant.{variant}" in texts:
        return texts(f"check.variant.{variant}")
    known = evaluation.study.areas.table.index
    codes = variant.split(", ")
    if all(code in known for code in codes):
        return ", ".join(evaluation.study.areas.name(code, texts.language) for code in codes)
    return city_names(evaluation.study, texts.language).get(variant, variant)


def elsewhere_parts(evaluation: Evaluation, finding: Finding, texts: Texts) -> dict[str, str]:
    """What the areas elsewhere are called with which a finding was compared, in the forms that texts need."""
    if finding.placebo is None:
        return {}
    groups_of, n = neighbours(evaluation.study, texts), texts.number(len(finding.placebo.cities) - 1)
    forms = {"where": "in", "of": "of", "against": "against", "count": "count", "rest": "rest"}
    said = {part: references(form, groups_of, texts, n=n) for part, form in forms.items()}
    return {**said, "likes": texts(f"elsewhere.likes.{matching(finding.placebo)}")}


def _p_in_words(finding: Finding, name: str, value: float, texts: Texts) -> str:
    """A p-value in a sentence; beside areas elsewhere never below what that comparison can tell apart."""
    result = finding.inference
    if (
        name == "p_value"
        and finding.placebo is not None
        and result is not None
        and value <= result.smallest_p
    ):
        return texts("number.at_most", number=texts.number(result.smallest_p, 3))
    return p_value(texts, value)


def _case(
    evaluation: Evaluation, finding: Finding, because: str, key: str, facts: Mapping[str, float | str]
) -> str:
    """The key of a reason, by how the areas elsewhere were found and whether any moved as much."""
    if finding.placebo is None or key != "compared":
        return key
    if because == "rule_placebo":
        return key if facts["n_as_large"] else "compared_none"
    way, single = matching(finding.placebo), finding.subject != ALL
    if way == "rank" and single and added_by_discretion(evaluation, finding):
        return "compared_discretion"
    return {"rule": key, "rank": "compared_rank" if single else "compared_ranks", "mixed": "compared_mixed"}[
        way
    ]


def added_by_discretion(evaluation: Evaluation, finding: Finding) -> bool:
    """Whether a finding is of an area that was added to the programme by discretion."""
    return evaluation.design.selected_by.get(finding.subject) == "discretion"


def headline(evaluation: Evaluation, finding: Finding, texts: Texts, *, label: str = "") -> str:
    """The verdict in one line: how large in the words, how certain in the verb; docs/verdicts.md has the grid.

    Parameters
    ----------
    label : str
        What the indicator is called; by default as the study does.
    """
    indicator = evaluation.study.indicator(finding.outcome)
    parts: list[str] = [finding.verdict, finding.certainty]
    if finding.verdict == "fragile" and finding.certainty == "low" and finding.inference is not None:
        better = (finding.inference.estimate > 0) == (indicator.higher_is == "better")
        parts.append("improved" if better else "worsened")
    if finding.verdict in ("improved", "worsened") or len(parts) > 2:
        parts.append(finding.size if finding.size in ("large", "trivial") else "plain")
    key = ".".join(parts)
    if evaluation.study.programme.hypothetical:  # nobody did anything there, so nothing is put down to it
        key = f"candidate.{parts[0]}"
    return texts(f"sentence.{key}", outcome=label or indicator.label.text(texts.language))


def sentence(evaluation: Evaluation, finding: Finding, texts: Texts) -> str:
    """A verdict in words: first the verdict in one line, then why, the numbers, and what they leave open.

    For a rate the size and its interval are told in people, too.
    """
    text = headline(evaluation, finding, texts)
    result = finding.inference
    if finding.verdict == "not_identifiable" or result is None or result.low is None or result.high is None:
        return text + _because(evaluation, finding, texts)
    if finding.verdict == "fragile":
        text += _because(evaluation, finding, texts)
    text += _numbers(evaluation, finding, result, texts)
    text += _against_what_matters(evaluation, finding, texts)
    if finding.verdict == "no_detectable_effect":
        text += texts(f"sentence.proviso.{_assumed(finding)}")
    text += _people(evaluation, finding, result, texts)
    text += _discretion(evaluation, finding, texts)
    if finding.verdict == "no_detectable_effect":
        if finding.certainty == "low" and result.minimum_detectable_effect is not None:
            unit = evaluation.study.indicator(finding.outcome).unit
            size = amount(texts, result.minimum_detectable_effect, unit)
            text += texts("sentence.detectable", amount=size)
        text += _reservation(evaluation, finding, texts)
    return text


def _because(evaluation: Evaluation, finding: Finding, texts: Texts) -> str:
    """What decided, as a sentence of its own."""
    why = _why(evaluation, finding, texts)
    return texts("sentence.why", reason=why) if why else ""


def _numbers(evaluation: Evaluation, finding: Finding, result: Inference, texts: Texts) -> str:
    """The estimate with its interval; where no effect could be shown, what the interval rules out."""
    unit = evaluation.study.indicator(finding.outcome).unit
    low, high = float(result.low or 0.0), float(result.high or 0.0)
    short = {
        "low": amount(texts, low, unit, form="short", sign=True),
        "high": amount(texts, high, unit, form="short", sign=True),
        "level": texts.short(100 * (1 - result.alpha)),
    }
    parts = {"estimate": amount(texts, result.estimate, unit, sign=True)}
    case = "" if finding.placebo is None else "_rule"
    if finding.placebo is not None:
        where = elsewhere_parts(evaluation, finding, texts)["where"]
        parts["baseline"] = texts(f"sentence.baseline.{matching(finding.placebo)}", where=where)
    if finding.verdict != "no_detectable_effect":
        return texts(f"sentence.change{case}", **parts, **short)
    if low < 0 < high:
        rise, fall = (amount(texts, size, unit, form="short") for size in (high, -low))
        out = texts("sentence.rules_out", level=short["level"], rise=rise, fall=fall)
    else:  # a test and an interval can differ by a hair, where few sets are counted out
        out = texts("sentence.rules_out_other", **short)
    return texts(f"sentence.change_alone{case}", **parts) + out


def _against_what_matters(evaluation: Evaluation, finding: Finding, texts: Texts) -> str:
    """How a result and its interval compare with the smallest change that matters by the plan."""
    important, result = evaluation.study.plan.important.get(finding.outcome), finding.inference
    if important is None or result is None or result.low is None or result.high is None:
        return ""
    within = within_what_matters(result, important)
    nearest = 0.0 if result.low <= 0 <= result.high else min(abs(result.low), abs(result.high))
    if finding.verdict == "no_detectable_effect":
        case = "within" if within else "matters_possible"
    elif finding.verdict not in ("improved", "worsened"):
        return ""
    elif finding.size == "trivial":
        case = "trivial" if within else "matters_possible"
    elif nearest < important:
        case = "small_possible"
    elif finding.size == "large":
        case = "large"
    else:
        return ""
    unit = evaluation.study.indicator(finding.outcome).unit
    return texts(f"sentence.{case}", important=amount(texts, important, unit))


def _assumed(finding: Finding) -> str:
    """What must hold for an interval to rule anything out."""
    if finding.placebo is not None:
        return "rule"
    return "chosen" if any(check.reason == "worst_areas" for check in finding.checks) else "plain"


def _discretion(evaluation: Evaluation, finding: Finding, texts: Texts) -> str:
    """That an area was added by discretion, and the rank by which it was compared with areas elsewhere."""
    rank = _rank(finding)
    if not rank or not added_by_discretion(evaluation, finding):
        return ""
    return texts("sentence.discretion", **rank)


def _rank(finding: Finding) -> dict[str, object]:
    """The rank of a single area under the rule, and among how many."""
    if finding.placebo is None or finding.subject == ALL or matching(finding.placebo) != "rank":
        return {}
    row = finding.placebo.matched.iloc[0]
    return {"rank": int(row["rank"]), "n": int(row["n_eligible"])}


def _reservation(evaluation: Evaluation, finding: Finding, texts: Texts) -> str:
    """What the comparison with areas elsewhere leaves open, where no effect could be shown."""
    return "".join(
        texts(
            "sentence.reservation",
            reason=reason(evaluation, finding, one.name, one.reason, one.facts, texts),
        )
        for one in finding.checks
        if one.name == "rule_placebo" and one.passed is not True
    )


def _why(evaluation: Evaluation, finding: Finding, texts: Texts) -> str:
    """What decided; of a fragile result also how the areas were chosen, where that is open too."""
    if f"reason.{finding.because}.{finding.reason}" not in texts:
        name = f"check.{finding.because}"
        known = finding.reason == "not_made" and name in texts
        return texts("sentence.not_made", check=texts(name)) if known else ""
    decided = reason(evaluation, finding, finding.because, finding.reason, finding.facts, texts)
    if finding.verdict != "fragile":
        return decided

    def open_too(check: Check) -> bool:
        """Whether a check says something that did not decide: how the areas were chosen, or compared."""
        asked = check.name in ("selection", "rule_placebo") and check.passed is not True
        return asked and check.name != finding.because

    also = [check for check in finding.checks if open_too(check)]
    said = [reason(evaluation, finding, one.name, one.reason, one.facts, texts) for one in also]
    return "; ".join([*said, decided])


def _people(evaluation: Evaluation, finding: Finding, result: Inference, texts: Texts) -> str:
    """A difference in a rate and its interval as people of the district, by the mean base of the years compared."""
    said = people_of(evaluation, finding, result, texts)
    if said is None:
        return ""
    return texts(
        "sentence.in_people",
        estimate=said.estimate,
        low=said.low,
        high=said.high,
        level=texts.short(100 * (1 - result.alpha)),
        base=texts.number(said.base),
    )


@dataclass(frozen=True, kw_only=True)
class People:
    """A difference in a rate as people, in words.

    Attributes
    ----------
    number : float
        Of the estimate, in tens.
    ends : tuple of two float, or None
        Of the interval, the lower first, in tens; None where an end is open.
    estimate, low, high : str
    base : float
        How many people the rate is about, the mean of the years compared.
    """

    number: float
    ends: tuple[float, float] | None
    estimate: str
    low: str
    high: str
    base: float


def people_of(evaluation: Evaluation, finding: Finding, result: Inference, texts: Texts) -> People | None:
    """A difference in a rate of a district and its interval as people; None for anything else."""
    if evaluation.study.indicator(finding.outcome).unit != "percent" or finding.subject == ALL:
        return None
    panel = evaluation.panel
    if finding.compared is not None:
        years = list(finding.compared[1])
    else:
        cells = evaluation.effects[finding.outcome].cells
        mine = (cells["path"] == evaluation.design.path_of(finding.subject).name) & (cells["phase"] == "on")
        years = [int(year) for year in cells.loc[mine, "period"]]
    columns = [panel.periods.index(year) for year in years]
    bases = panel.bases[finding.outcome][panel.units.index(finding.subject), columns]
    known = bases[~np.isnan(bases)]
    if len(known) == 0:
        return None
    base = float(known.mean())

    def tens(rate: float) -> float:
        return float(round(rate / 100 * base, -1))

    def people(rate: float | None) -> str:
        number = tens(rate or 0.0)
        if number == 0:
            return texts("sentence.people.few")
        return texts(f"sentence.people.{'more' if number > 0 else 'fewer'}", n=texts.number(abs(number)))

    estimate, low, high = (people(rate) for rate in (result.estimate, result.low, result.high))
    ends = None if result.low is None or result.high is None else (tens(result.low), tens(result.high))
    return People(number=tens(result.estimate), ends=ends, estimate=estimate, low=low, high=high, base=base)
