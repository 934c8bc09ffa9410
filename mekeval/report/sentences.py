"""Findings in words: amounts, reasons and the sentence of a verdict."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..evaluation import ALL, Evaluation
from ..findings import Finding
from ..inference import Inference
from ..text import NO_BREAK, Texts

_DECIMALS = {"percent": 1, "eur": 0, "persons": 0, "index": 1}


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
    number = texts.number(value, _DECIMALS[unit] + extra_digits if _DECIMALS[unit] else 0, sign=sign)
    text = texts(f"unit.{unit}.{form}", number=number)
    return text.replace(f"{number} ", f"{number}{NO_BREAK}", 1)


def p_value(texts: Texts, value: float, *, least: float = 0.0) -> str:
    """A p-value with three digits; never below what they, or the method with its `least`, can tell apart."""
    if least and value <= least:
        return f"\N{LESS-THAN OR EQUAL TO}{NO_BREAK}{texts.number(least, 3)}"
    return f"<{NO_BREAK}{texts.number(0.001, 3)}" if value < 0.001 else texts.number(value, 3)


def p_of(texts: Texts, result: Inference) -> str:
    """The p-value of a result as it may be quoted."""
    return p_value(texts, result.p_value, least=result.smallest_p if result.method == "rule_placebo" else 0.0)


def reason(
    evaluation: Evaluation,
    outcome: str,
    because: str,
    key: str,
    facts: Mapping[str, float | str],
    texts: Texts,
) -> str:
    """Why, in words."""
    unit = evaluation.study.indicator(outcome).unit
    parts: dict[str, object] = dict(facts)
    if "estimate" in parts:
        parts["estimate"] = amount(texts, float(str(parts["estimate"])), unit, sign=True)
    if "detectable" in parts:
        parts["detectable"] = amount(texts, float(str(parts["detectable"])), unit)
    for name in ("bias", "plain"):
        if name in parts:
            parts[name] = amount(texts, float(str(parts[name])), unit, sign=True)
    for name in ("p_value", "smallest_p", "rank_p"):
        if name in parts:
            parts[name] = p_value(texts, float(str(parts[name])))
    if "unit" in parts:
        parts["unit"] = evaluation.study.areas.name(str(parts["unit"]), texts.language)
    if "status" in parts:
        parts["status"] = texts(f"status.{parts['status']}")
    return texts(f"reason.{because}.{key}", **parts)


def sentence(evaluation: Evaluation, finding: Finding, texts: Texts) -> str:
    """The sentence of a verdict, with its numbers and, for a rate, the size in people."""
    indicator = evaluation.study.indicator(finding.outcome)
    label = indicator.label.text(texts.language)
    why = _why(evaluation, finding, texts)
    result = finding.inference
    if finding.verdict == "not_identifiable" or result is None or result.low is None or result.high is None:
        return texts("sentence.not_identifiable", outcome=label, reason=why)
    ruled = finding.placebo is not None
    text = texts(
        f"sentence.{finding.verdict}_rule" if ruled else f"sentence.{finding.verdict}",
        n=result.n_comparison,
        outcome=label,
        estimate=amount(texts, result.estimate, indicator.unit, sign=True),
        low=amount(texts, result.low, indicator.unit, form="short", sign=True),
        high=amount(texts, result.high, indicator.unit, form="short", sign=True),
        level=texts.short(100 * (1 - result.alpha)),
        proviso=texts("sentence.proviso.rule" if _by_rule(finding) else "sentence.proviso.plain"),
        reason=why,
    )
    if finding.verdict == "no_detectable_effect" and result.minimum_detectable_effect is not None:
        size = amount(texts, result.minimum_detectable_effect, indicator.unit)
        return text + texts("sentence.detectable", amount=size)
    return text + _people(evaluation, finding, result.estimate, texts)


def _why(evaluation: Evaluation, finding: Finding, texts: Texts) -> str:
    """What decided; of a fragile result also how the areas were chosen, where that is open too."""
    if f"reason.{finding.because}.{finding.reason}" not in texts:
        return ""
    decided = reason(evaluation, finding.outcome, finding.because, finding.reason, finding.facts, texts)
    if finding.verdict != "fragile" or finding.because == "selection":
        return decided
    also = [check for check in finding.checks if check.name == "selection" and check.passed is not True]
    return "; ".join(
        [
            *(reason(evaluation, finding.outcome, one.name, one.reason, one.facts, texts) for one in also),
            decided,
        ]
    )


def _by_rule(finding: Finding) -> bool:
    return any(check.reason == "worst_areas" for check in finding.checks)


def _people(evaluation: Evaluation, finding: Finding, estimate: float, texts: Texts) -> str:
    """The size of a difference in a rate as people of the district, by the latest base."""
    if evaluation.study.indicator(finding.outcome).unit != "percent" or finding.subject == ALL:
        return ""
    bases = evaluation.panel.bases[finding.outcome][evaluation.panel.units.index(finding.subject)]
    known = bases[~np.isnan(bases)]
    if len(known) == 0:
        return ""
    people = abs(estimate) / 100 * known[-1]
    return texts("sentence.people", people=texts.number(round(people, -1)), base=texts.number(known[-1]))
