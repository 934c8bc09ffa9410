"""Numbers -> verdict, by a written rule.

In: an inference and its checks. Out: `Finding`. Never: a verdict that the numbers do not carry, or "no effect".

The rule, in this order:

1. Nothing could be tested (no complete data, no full programme year yet, an area that the reference cities cannot
   be compared with), or the smallest p-value that the design can give exceeds alpha, or an interval has no end, or the
   city has no peer among the reference cities: **not_identifiable**.
2. p > alpha: **no_detectable_effect**, with what the interval rules out.
3. p <= alpha, and a check failed, could not answer or was not made though it must be (`selection`): **fragile**;
   `because` names the first that failed, else the first without an answer.
4. p <= alpha and every check passed: **improved** or **worsened**, by the direction of the indicator.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from .errors import DesignError
from .inference import Inference
from .sensitivity import Check, RulePlacebo

Verdict = Literal["improved", "worsened", "no_detectable_effect", "fragile", "not_identifiable"]
VERDICTS: tuple[Verdict, ...] = (
    "improved",
    "worsened",
    "no_detectable_effect",
    "fragile",
    "not_identifiable",
)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What may be said about one outcome.

    Attributes
    ----------
    outcome : str
    subject : str
        Code of the district, or "all" for the programme as a whole.
    verdict : str
        One of `VERDICTS`.
    because : str
        What decided: "p_value", the name of a check, or "design", "data" or "too_early".
    reason : str
        Key of the reason within `because`.
    facts : mapping
        Numbers that the reason speaks of.
    inference : Inference or None
        None where nothing could be tested.
    plain : Inference or None
        The same difference tested within the city alone, where the rule placebo leads.
    placebo : RulePlacebo or None
        The rule placebo, where it leads: `inference` is then its effect beyond what the rule brings about by itself.
    compared : (tuple of int, tuple of int) or None
        Years before and after that the rule placebo compares: those with data in all cities.
    checks : tuple of Check
    """

    outcome: str
    subject: str
    verdict: Verdict
    because: str
    reason: str
    facts: Mapping[str, float | str]
    inference: Inference | None
    plain: Inference | None
    placebo: RulePlacebo | None
    compared: tuple[tuple[int, ...], tuple[int, ...]] | None
    checks: tuple[Check, ...]


def conclude(
    inference: Inference | None,
    checks: Sequence[Check],
    *,
    outcome: str,
    subject: str,
    higher_is: str,
    problem: tuple[str, str] = ("data", "incomplete"),
    problem_facts: Mapping[str, float | str] | None = None,
    plain: Inference | None = None,
    placebo: RulePlacebo | None = None,
    compared: tuple[tuple[int, ...], tuple[int, ...]] | None = None,
) -> Finding:
    """Apply the rule of this module.

    Parameters
    ----------
    inference : Inference or None
        None where nothing could be estimated; then `problem` says why.
    checks : sequence of Check
    outcome, subject : str
    higher_is : {"better", "worse"}
    problem : (str, str)
        What decided and its reason, used with ``inference=None``.
    problem_facts : mapping, optional
    plain, placebo, compared : optional
        As in `Finding`.

    Returns
    -------
    Finding

    Raises
    ------
    DesignError
        `higher_is` is neither.
    """
    if higher_is not in ("better", "worse"):
        raise DesignError(
            "A verdict needs a direction.",
            where=f"{outcome}, higher_is",
            found=repr(higher_is),
            expected="better or worse",
        )

    def finding(
        verdict: Verdict, because: str, reason: str, facts: Mapping[str, float | str] | None = None
    ) -> Finding:
        return Finding(
            outcome=outcome,
            subject=subject,
            verdict=verdict,
            because=because,
            reason=reason,
            facts=facts or {},
            inference=inference,
            plain=plain,
            placebo=placebo,
            compared=compared,
            checks=tuple(checks),
        )

    if inference is None:
        return finding("not_identifiable", *problem, problem_facts)
    if not np.isfinite([inference.estimate, inference.p_value]).all():
        raise DesignError(
            "A verdict needs numbers.",
            where=f"{outcome}, {subject}",
            found=f"{inference.estimate}, p {inference.p_value}",
        )
    if inference.smallest_p > inference.alpha and placebo is not None:
        facts = {"smallest_p": inference.smallest_p, "alpha": inference.alpha}
        return finding("not_identifiable", "rule_placebo", "alpha_too_small", facts)
    if inference.smallest_p > inference.alpha:
        facts = {"smallest_p": inference.smallest_p, "alpha": inference.alpha}
        return finding("not_identifiable", "design", "few_areas", facts)
    if not inference.identifiable:
        return finding("not_identifiable", "design", "no_bound", {"estimate": inference.estimate})
    judged = [check for check in checks if check.name == "rule_placebo"]
    if placebo is not None and not placebo.identifiable:
        if judged:
            return finding("not_identifiable", "rule_placebo", judged[0].reason, judged[0].facts)
        return finding("not_identifiable", "rule_placebo", "not_checked")
    if inference.p_value > inference.alpha:
        return finding("no_detectable_effect", "p_value", "within_reach_of_chance")
    for check in checks:  # a check that failed says more than one that could not answer
        if check.passed is False:
            return finding("fragile", check.name, check.reason, check.facts)
    if not any(check.name == "selection" for check in checks):
        return finding("fragile", "selection", "not_made")
    if placebo is not None and not (judged and placebo.rejects):
        return finding("fragile", "rule_placebo", "not_checked")
    for check in checks:
        if check.passed is None:
            return finding("fragile", check.name, check.reason, check.facts)
    better = (inference.estimate > 0) == (higher_is == "better")
    return finding("improved" if better else "worsened", "p_value", "beyond_chance")
