"""The rule placebo as a result, and the checks that belong to it.

In: one question put to a national panel. Out: `Inference` and `Check`s. Never: a comparison with areas that were not
chosen as the treated ones were.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..errors import MekevalError
from ..inference import Inference
from .check import Check, not_run, variants_table
from .compare_cities import SMALLEST_P, Judgement, RulePlacebo
from .rule_placebo import asked_quickly
from .rule_question import RuleQuestion

#: Warnings of the rule placebo with which it does not count as passed, the gravest first.
CANNOT_ANSWER = (
    "criteria_after_start",
    "few_cities",
    "growth_unknown",
    "rebuilt_since",
    "rule_chooses_others",
    "gap_beyond_references",
)


def rule_placebo_inference(placebo: RulePlacebo | Judgement, *, label: str, n_treated: int) -> Inference:
    """The rule placebo in the form of every other test: the effect beyond what the rule brings about by itself.

    `p_value` is the one that may be quoted, `n_comparison` and `n_sets` count the reference cities, and `reference`
    holds their estimates as seen from their own centre.
    """
    others = placebo.estimates[1:]
    spread = np.sort(others - placebo.bias)
    return Inference(
        label=label,
        estimate=placebo.effect,
        p_value=placebo.quotable_p,
        low=placebo.low,
        high=placebo.high,
        alpha=placebo.alpha,
        method="rule_placebo",
        exact=False,
        because=f"the areas were chosen by a rule, which was applied in {len(others)} reference cities too",
        warnings=(),
        se=placebo.se,
        df=float(placebo.df),
        n_treated=n_treated,
        n_comparison=len(others),
        n_sets=len(others),
        smallest_p=SMALLEST_P,
        minimum_detectable_effect=placebo.minimum_detectable_effect,
        critical=(placebo.low - placebo.effect, placebo.high - placebo.effect),
        reference=spread,
        noise=spread,
    )


def rule_placebo_check(placebo: RulePlacebo) -> Check:
    """Do the t test and the rank of the target among all cities agree, and are there enough cities like it?

    The facts say how many cities moved at least as much in their own judgement, and what the rule brings about by
    itself.
    """
    others = placebo.cities.iloc[1:]
    residual = placebo.cities["residual"].abs().to_numpy()
    facts: dict[str, float | str] = {
        "n_cities": len(others),
        "n_as_large": int(np.sum(residual[1:] >= residual[0] - 1e-12)),
        "bias": placebo.bias,
        "plain": placebo.effect + placebo.bias,
        "rank_p": placebo.rank_p,
    }
    table = others.reset_index(drop=True)

    def answer(passed: bool | None, reason: str) -> Check:
        return Check(name="rule_placebo", passed=passed, reason=reason, facts=facts, table=table)

    if not placebo.identifiable:
        return answer(None, "rebuilt" if "treated_rebuilt" in placebo.warnings else "no_peer")
    if placebo.quotable_p <= placebo.alpha and not placebo.rejects:
        return answer(False, "rank_disagrees")
    for warning in CANNOT_ANSWER:
        if warning in placebo.warnings:
            return answer(None, warning)
    return answer(True, "compared")


def rule_placebo_before(question: RuleQuestion, *, size: float) -> Check:
    """Had the treated areas moved away from their likes elsewhere before the programme?

    The years before are cut in two and the later half is taken for the programme, in all cities. Silence counts as an
    answer only where a drift of the size of the result would have been found.
    """
    name = "placebo_in_time"
    years = question.pre
    if len(years) < 3:
        return not_run(name, "few_years", n=len(years))
    half = len(years) // 2
    try:
        found = asked_quickly(replace(question, pre=years[:half], post=years[half:]))
    except MekevalError as error:
        return not_run(name, "error", message=error.faults[0].what)
    facts: dict[str, float | str] = {
        "estimate": found.effect,
        "p_value": found.quotable_p,
        "detectable": found.minimum_detectable_effect,
        "first": years[0],
        "before": years[half - 1],
        "half": years[half],
        "last": years[-1],
    }
    label = f"{years[half]}-{years[-1]}"
    whole = rule_placebo_inference(found, label=label, n_treated=len(question.treated))
    table = variants_table("years", [(label, whole, "")])
    if found.p_value <= question.alpha:
        return Check(name=name, passed=False, reason="moved", facts=facts, table=table)
    if found.minimum_detectable_effect > abs(size):
        return Check(name=name, passed=None, reason="no_power", facts=facts, table=table)
    return Check(name=name, passed=True, reason="quiet", facts=facts, table=table)


def rule_leave_one_out(question: RuleQuestion, *, whole: RulePlacebo) -> Check:
    """Does the result hang on one treated area?

    Each is left out in turn, there and, by its rank, in the reference cities. The check fails when the effect changes
    sign or keeps no more than half of its size ("hangs_on_one"), or when the test at twice `alpha` no longer rejects
    ("beyond_chance_no_more"); half and twice are those of the question's `thresholds`.
    """
    name = "leave_one_out"
    rows = []
    try:
        for unit in question.treated:
            rest = tuple(other for other in question.treated if other != unit)
            part = replace(
                question,
                treated=rest,
                discretionary=tuple(one for one in question.discretionary if one != unit),
                set_aside=(*question.set_aside, unit),
            )
            found = rule_placebo_inference(asked_quickly(part), label=unit, n_treated=len(rest))
            rows.append((unit, found, ""))
    except MekevalError as error:
        return not_run(name, "error", message=error.faults[0].what)
    table = variants_table("left_out", rows)
    ratio, lines = table["estimate"] / whole.effect, question.thresholds
    keeps_size = bool((ratio > lines.share_kept).all())
    steady = keeps_size and bool((table["p_value"] <= lines.level * question.alpha).all())
    # Of equal p-values the smallest effect is the weakest, whatever the order of the areas.
    chance = table["p_value"].to_numpy() * keeps_size
    worst = int(np.lexsort((table["left_out"], ratio, -chance))[0])
    return Check(
        name=name,
        passed=steady,
        reason="steady" if steady else "beyond_chance_no_more" if keeps_size else "hangs_on_one",
        facts={
            "unit": str(table["left_out"].iloc[worst]),
            "estimate": float(table["estimate"].iloc[worst]),
            "p_value": float(table["p_value"].iloc[worst]),
        },
        table=table,
    )
