"""Numbers -> verdict, by a written rule.

In: an inference and its checks. Out: `Finding`. Never: a verdict that the numbers do not carry, or "no effect".

The rule, in this order:

1. Nothing could be tested (no complete data, no full programme year yet, an area that the reference cities cannot
   be compared with), or the smallest p-value that the design can give exceeds alpha, or an interval has no end, or the
   city has no peer among the reference cities: **not_identifiable**.
2. p > alpha: **no_detectable_effect**, with what the interval rules out.
3. p <= alpha, and a check failed, or a required one could not answer or was not made: **fragile**; `because` names the
   first that failed, else the first without an answer. `selection` and, where it leads, `rule_placebo` are always
   required.
4. p <= alpha otherwise: **improved** or **worsened**, by the direction of the indicator.

How certain that is, after GRADE's four levels (`Finding.certainty`):

- **high**: improved or worsened, judged by the rule placebo, and every check passed, `pre_trend` and `honest` too;
- **moderate**: improved or worsened otherwise; or no detectable effect, with an interval that lies within what matters;
- **low**: fragile, because a check could not answer; or no detectable effect with a wider interval;
- **very_low**: fragile, because a check failed or the choice of the areas was not ruled out as the cause; or not
  identifiable.

How large it is (`Finding.size`), where the plan says from which size on a change matters: **trivial** below that size,
**large** from three times that size on, **moderate** between. `docs/verdicts.md` holds the cases; the tests read them.
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
Certainty = Literal["high", "moderate", "low", "very_low"]
CERTAINTIES: tuple[Certainty, ...] = ("high", "moderate", "low", "very_low")
Size = Literal["trivial", "moderate", "large", "unknown"]
#: A change so many times what matters is called large.
LARGE = 3.0
#: Checks without which nothing is called an effect.
ALWAYS_REQUIRED = ("selection",)
#: Checks without whose answer nothing is called an effect, unless a plan says otherwise.
REQUIRED = ("selection", "rule_placebo", "placebo_in_time", "leave_one_out")
#: Checks without which no certainty is called high.
FOR_HIGH = ("rule_placebo", "pre_trend", "honest")


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
    certainty : str
        One of `CERTAINTIES`.
    size : str
        "trivial", "moderate" or "large" against what matters by the plan; "unknown" where that is not said, or nothing
        could be tested.
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
    certainty: Certainty
    size: Size


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
    important: float | None = None,
    required: Sequence[str] = REQUIRED,
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
    important : float, optional
        The smallest change that matters, in the outcome's unit.
    required : sequence of str
        Checks that must have been made and have an answer before anything is called an effect, as far as they were
        made; `selection` always must.

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
            certainty=_certainty(
                verdict, inference, checks, important, compared_elsewhere=placebo is not None
            ),
            size=_size(inference, important),
        )

    if important is not None and not important > 0:
        raise DesignError(
            "What matters has a size above zero.", where=f"{outcome}, important", found=repr(important)
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
        if check.passed is None and check.name in (*ALWAYS_REQUIRED, *required):
            return finding("fragile", check.name, check.reason, check.facts)
    better = (inference.estimate > 0) == (higher_is == "better")
    return finding("improved" if better else "worsened", "p_value", "beyond_chance")


def _certainty(
    verdict: Verdict,
    inference: Inference | None,
    checks: Sequence[Check],
    important: float | None,
    *,
    compared_elsewhere: bool,
) -> Certainty:
    """How certain a verdict is, by the rule of this module."""
    if verdict == "not_identifiable":
        return "very_low"
    if verdict == "fragile":
        chosen = any(check.name == "selection" and check.passed for check in checks)
        return "low" if chosen and not any(check.passed is False for check in checks) else "very_low"
    if verdict == "no_detectable_effect":
        return "moderate" if within_what_matters(inference, important) else "low"
    passed = {check.name for check in checks if check.passed}
    every = all(check.passed for check in checks) and set(FOR_HIGH) <= passed
    return "high" if every and compared_elsewhere else "moderate"


def within_what_matters(inference: Inference | None, important: float | None) -> bool:
    """Whether the whole interval lies within changes too small to matter."""
    if inference is None or important is None or inference.low is None or inference.high is None:
        return False
    return -important < inference.low and inference.high < important


def _size(inference: Inference | None, important: float | None) -> Size:
    if inference is None or important is None:
        return "unknown"
    times = abs(inference.estimate) / important
    return "trivial" if times < 1 else "large" if times >= LARGE else "moderate"
