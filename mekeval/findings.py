"""Numbers -> verdict, by a written rule.

In: an inference, its checks and the plan. Out: `Finding`. Never: a verdict that the numbers do not carry, or "no
effect".

The rule, in this order:

1. Nothing could be tested (no complete data, no full programme year yet, an area that the reference cities cannot
   be compared with), or the smallest p-value that the design can give exceeds alpha, or an interval has no end, or the
   city has no peer among the reference cities: **not_identifiable**.
2. p > alpha, or the interval has zero inside it: **no_detectable_effect**, with what the interval rules out.
3. A check failed, or a required one could not answer or was not made: **fragile**; `because` names the first that
   failed, else the first without an answer, else the first that is lacking. `selection` and, where it leads,
   `rule_placebo` are always required. Required only where it can be made is `rule_placebo` (not within one city, unless
   the plan compares by it) and `leave_one_out` (not of one area).
4. Otherwise: **improved** or **worsened**, by the direction of the indicator.

How certain that is, after GRADE's four levels (`Finding.certainty`):

- **high**: improved or worsened, judged by the rule placebo, and every check passed, `pre_trend` and `honest` too, and
  beyond chance also by the p-value that allows for the number of outcomes, where it is given;
- **moderate**: improved or worsened otherwise; or no detectable effect, with an interval that lies within what matters,
  where nothing is open about how the areas were chosen and compared;
- **low**: fragile, because a check has no answer; or no detectable effect otherwise;
- **very_low**: fragile, because a check failed or the choice of the areas was not ruled out as the cause; or not
  identifiable.

How large it is (`Finding.size`), where the plan says from which size on a change matters: **trivial** below that size,
**large** from three times that size on, **moderate** between. `docs/verdicts.md` holds the cases; the tests read them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from .display import Shown, facts_table, rows_table
from .errors import DesignError, Fault, closest
from .inference import Inference
from .sensitivity import Check, RulePlacebo
from .study import CHECKS, REQUIRED_CHECKS, Plan
from .tables import Table

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
REQUIRED = REQUIRED_CHECKS
#: Checks without which no certainty is called high.
FOR_HIGH = ("rule_placebo", "pre_trend", "honest")


@dataclass(frozen=True, kw_only=True, repr=False)
class Finding(Shown):
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

    def _shown(self) -> list[Table]:
        facts: list[tuple[str, object]] = [
            (name, getattr(self, name)) for name in ("verdict", "certainty", "size", "because", "reason")
        ]
        tested = self.inference
        if tested is not None:
            numbers = (
                "estimate",
                "low",
                "high",
                "p_value",
                "smallest_p",
                "minimum_detectable_effect",
                "method",
            )
            facts += [(f"inference.{name}", getattr(tested, name)) for name in numbers]
        shown = [
            facts_table([*facts, *self.facts.items()], caption=f"Finding: {self.outcome}, {self.subject}")
        ]
        if self.checks:
            checks = [(one.name, one.passed, one.reason, one.question) for one in self.checks]
            heads = ("check", "passed", "reason", "question")
            shown.append(rows_table(heads, checks, caption=f"Checks: {self.outcome}, {self.subject}"))
        return shown


def findings_table(findings: Iterable[Finding], *, names: Mapping[str, str], caption: str) -> Table:
    """One row for each finding: outcome, subject (by `names` where it has one), verdict, estimate, interval, p."""
    numbers = ("estimate", "low", "high", "p_value")
    rows = [
        [
            *(one.outcome, names.get(one.subject, one.subject), one.verdict, one.certainty),
            *(getattr(one.inference, name, None) for name in numbers),
        ]
        for one in findings
    ]
    heads = ("outcome", "subject", "verdict", "certainty", *numbers)
    return rows_table(heads, rows, caption=caption, numeric=numbers)


def conclude(
    inference: Inference | None,
    checks: Sequence[Check],
    plan: Plan | None = None,
    *,
    outcome: str,
    higher_is: str,
    subject: str = "all",
    problem: tuple[str, str] = ("data", "incomplete"),
    problem_facts: Mapping[str, float | str] | None = None,
    plain: Inference | None = None,
    placebo: RulePlacebo | None = None,
    compared: tuple[tuple[int, ...], tuple[int, ...]] | None = None,
    adjusted_p: float | None = None,
    important: float | None = None,
    required: Sequence[str] | None = None,
) -> Finding:
    """Apply the rule of this module.

    Parameters
    ----------
    inference : Inference or None
        None where nothing could be estimated; then `problem` says why.
    checks : sequence of Check
        Each name once. Checks of one's own may be among them.
    plan : Plan, optional
        Of a study (``study.plan``): what matters, which checks are required, and the level that the test must have.
    outcome, subject : str
    higher_is : {"better", "worse"}
    problem : (str, str)
        What decided and its reason, used with ``inference=None``.
    problem_facts : mapping, optional
    plain, placebo, compared : optional
        As in `Finding`.
    adjusted_p : float, optional
        The p-value that allows for the number of outcomes. The verdict goes by the plain one, a high certainty by both.
    important : float, optional
        The smallest change that matters, in the outcome's unit; by default the plan's.
    required : sequence of str, optional
        Checks that must have an answer before anything is called an effect; by default the plan's, without a plan
        `REQUIRED`. `selection` always is one.

    Returns
    -------
    Finding

    Raises
    ------
    DesignError
        `higher_is` is neither; a number is none or out of its range; a check stands twice or has another answer than
        True, False and None; a required check is not known; the test has another level than the plan.

    Examples
    --------
    >>> import pandas as pd
    >>> from mekeval import conclude
    >>> selection = Check(name="selection", passed=True, reason="", facts={}, table=pd.DataFrame())
    >>> found = conclude(None, [selection], outcome="unemployment_rate", higher_is="worse")
    >>> found.verdict, found.certainty
    ('not_identifiable', 'very_low')
    """
    if plan is not None:
        important = plan.important.get(outcome) if important is None else important
        required = plan.required if required is None else required
    required = tuple(dict.fromkeys((*ALWAYS_REQUIRED, *(REQUIRED if required is None else required))))
    _refuse(inference, checks, plan, outcome, subject, higher_is, adjusted_p, important, required)

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
                verdict, inference, checks, important, adjusted_p, elsewhere=placebo is not None
            ),
            size=_size(inference, important),
        )

    if inference is None:
        return finding("not_identifiable", *problem, problem_facts)
    if inference.smallest_p > inference.alpha:
        facts = {"smallest_p": inference.smallest_p, "alpha": inference.alpha}
        why = ("design", "few_areas") if placebo is None else ("rule_placebo", "alpha_too_small")
        return finding("not_identifiable", *why, facts)
    if (
        inference.low is None
        or inference.high is None
        or not np.isfinite([inference.low, inference.high]).all()
    ):
        return finding("not_identifiable", "design", "no_bound", {"estimate": inference.estimate})
    made = {check.name: check for check in checks}
    if placebo is not None and not placebo.identifiable:
        if "rule_placebo" in made:
            return finding(
                "not_identifiable", "rule_placebo", made["rule_placebo"].reason, made["rule_placebo"].facts
            )
        return finding("not_identifiable", "rule_placebo", "not_checked")
    if inference.p_value > inference.alpha or inference.low < 0 < inference.high or inference.estimate == 0:
        return finding("no_detectable_effect", "p_value", "within_reach_of_chance")
    for check in checks:  # a check that failed says more than one that could not answer
        if check.passed is not None and not check.passed:
            return finding("fragile", check.name, check.reason, check.facts)
    if placebo is not None and not ("rule_placebo" in made and placebo.rejects):
        return finding("fragile", "rule_placebo", "not_checked")
    for check in checks:
        if check.passed is None and check.name in required:
            return finding("fragile", check.name, check.reason, check.facts)
    # One area cannot be left out of itself, and within one city there is no rule placebo, unless the plan is of one.
    needless = {"leave_one_out"} if inference.n_treated == 1 else set()
    needless |= {"rule_placebo"} if plan is None or plan.comparison != "rule_placebo" else set()
    for name in required:
        if name not in made and name not in needless:
            return finding("fragile", name, "not_made")
    better = (inference.estimate > 0) == (higher_is == "better")
    return finding("improved" if better else "worsened", "p_value", "beyond_chance")


def _refuse(
    inference: Inference | None,
    checks: Sequence[Check],
    plan: Plan | None,
    outcome: str,
    subject: str,
    higher_is: str,
    adjusted_p: float | None,
    important: float | None,
    required: Sequence[str],
) -> None:
    """Refuse what no verdict can follow from, all faults at once."""
    faults = []
    if higher_is not in ("better", "worse"):
        faults.append(
            Fault(
                what="A verdict needs a direction.",
                where=f"{outcome}, higher_is",
                found=repr(higher_is),
                expected="better or worse",
            )
        )
    if important is not None and not 0 < important < np.inf:
        faults.append(
            Fault(
                what="What matters has a size above zero.",
                where=f"{outcome}, important",
                found=repr(important),
            )
        )
    names = [check.name for check in checks]
    for name in sorted({name for name in names if names.count(name) > 1}):
        faults.append(Fault(what="A check stands twice.", where=f"{outcome}, {subject}", found=repr(name)))
    for check in checks:
        answer: object = check.passed  # a check of one's own may bring anything
        if not (answer is None or isinstance(answer, (bool, np.bool_))):
            faults.append(
                Fault(
                    what="A check has no answer that can be read.",
                    where=f"{outcome}, {subject}, {check.name}",
                    found=repr(answer),
                    expected="True, False, or None where it could not answer",
                )
            )
    for name in required:
        if name not in CHECKS and name not in names:
            faults.append(
                Fault(
                    what="A required check is not known.",
                    where=f"{outcome}, required",
                    found=repr(name),
                    expected=closest(name, CHECKS),
                )
            )
    where = f"{outcome}, {subject}"
    numbers = {} if inference is None else {"p_value": inference.p_value, "smallest_p": inference.smallest_p}
    for name, value in {**numbers, **({} if adjusted_p is None else {"adjusted_p": adjusted_p})}.items():
        if not 0 <= value <= 1:
            faults.append(
                Fault(what="A p-value lies between 0 and 1.", where=f"{where}, {name}", found=repr(value))
            )
    if inference is not None:
        ends = [end for end in (inference.low, inference.high) if end is not None]
        if not np.isfinite(inference.estimate) or np.isnan(ends).any() or not 0 < inference.alpha < 1:
            faults.append(
                Fault(
                    what="A verdict needs numbers.",
                    where=where,
                    found=f"{inference.estimate}, {inference.low} to {inference.high}, alpha {inference.alpha}",
                )
            )
        elif len(ends) == 2 and not ends[0] <= ends[1]:
            faults.append(
                Fault(what="An interval ends before it begins.", where=where, found=f"{ends[0]} to {ends[1]}")
            )
        if plan is not None and inference.alpha != plan.alpha:
            faults.append(
                Fault(
                    what="The test has another level than the plan.",
                    where=where,
                    found=f"{inference.alpha:g}",
                    expected=f"{plan.alpha:g}",
                )
            )
    if faults:
        raise DesignError.of(faults)


def _certainty(
    verdict: Verdict,
    inference: Inference | None,
    checks: Sequence[Check],
    important: float | None,
    adjusted_p: float | None,
    *,
    elsewhere: bool,
) -> Certainty:
    """How certain a verdict is, by the rule of this module."""
    if verdict == "not_identifiable" or inference is None:
        return "very_low"
    passed = {check.name for check in checks if check.passed}
    failed = any(check.passed is not None and not check.passed for check in checks)
    if verdict == "fragile":
        return "low" if "selection" in passed and not failed else "very_low"
    if verdict == "no_detectable_effect":
        # What keeps a difference from being read as an effect can hide one as well.
        sound = passed >= {"selection", *(("rule_placebo",) if elsewhere else ())} and not failed
        return "moderate" if sound and within_what_matters(inference, important) else "low"
    every = len(passed) == len(checks) and set(FOR_HIGH) <= passed
    many = adjusted_p is not None and adjusted_p > inference.alpha
    return "high" if every and elsewhere and not many else "moderate"


def allowing_for_many(finding: Finding, adjusted_p: float | None) -> Finding:
    """A finding beside the p-value that allows for the number of outcomes, once all of them are known.

    The verdict stays; a high certainty needs that p-value to be at most alpha, too.
    """
    result = finding.inference
    if finding.certainty != "high" or result is None or adjusted_p is None or adjusted_p <= result.alpha:
        return finding
    return replace(finding, certainty="moderate")


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
