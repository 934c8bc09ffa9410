"""The findings of a report as canonical data: plain types, twelve significant digits.

In: an evaluation and its findings. Out: what stands in `findings.json`. Never: bytes that depend on the machine.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import repeat

import pandas as pd

from ..costs import Cost, cost_record, costs_beside_effects
from ..evaluation import ALL, Evaluation
from ..figures.elsewhere import matching
from ..findings import Finding
from .parts import Findings


def findings_payload(
    evaluation: Evaluation, findings: Sequence[Finding], title: str, description: str
) -> Findings:
    """The findings as canonical data: plain types, twelve significant digits."""
    costs = costs_beside_effects(evaluation, [(one.outcome, one.subject) for one in findings])
    return Findings(
        records=tuple(_record(evaluation, *one) for one in zip(findings, costs, strict=True)),
        title=title,
        description=description,
    )


def _record(evaluation: Evaluation, finding: Finding, cost: Cost) -> Mapping[str, object]:
    study, result = evaluation.study, finding.inference
    numbers: dict[str, object] = {}
    if result is not None:
        numbers = {
            "estimate": _rounded(result.estimate),
            "low": _rounded(result.low),
            "high": _rounded(result.high),
            "p_value": _rounded(result.p_value),
            "alpha": result.alpha,
            "method": result.method,
            "exact": result.exact,
            "n_treated": result.n_treated,
            "n_comparison": result.n_comparison,
            "n_sets": result.n_sets,
            "smallest_p": _rounded(result.smallest_p),
            "minimum_detectable_effect": _rounded(result.minimum_detectable_effect),
        }
    if finding.plain is not None:
        numbers["plain"] = {
            "estimate": _rounded(finding.plain.estimate),
            "p_value": _rounded(finding.plain.p_value),
            "method": finding.plain.method,
        }
    if finding.placebo is not None and finding.compared is not None:
        numbers["rule_placebo"] = {
            "bias": _rounded(finding.placebo.bias),
            "se": _rounded(finding.placebo.se),
            "rank_p": _rounded(finding.placebo.rank_p),
            "n_cities": len(finding.placebo.cities) - 1,
            "pre": list(finding.compared[0]),
            "post": list(finding.compared[1]),
            "matched_by": matching(finding.placebo),
            "warnings": list(finding.placebo.warnings),
            "left_out": _counted(finding.placebo.left_out["reason"]),
            "dropped": _counted(finding.placebo.dropped["reason"], finding.placebo.dropped["n"]),
        }
    return {
        "study": study.name,
        "synthetic": study.spec.study.synthetic,
        "year": evaluation.year,
        "subject": finding.subject,
        "area": study.spec.areas.city.own
        if finding.subject == ALL
        else study.areas.name(finding.subject, "fi"),
        "outcome": finding.outcome,
        "unit": study.indicator(finding.outcome).unit,
        "role": study.plan_state.roles.get(finding.outcome, "exploratory"),
        "plan": study.plan_state.state,
        "deviations": [one.key for one in study.plan_state.deviations],
        "verdict": finding.verdict,
        "certainty": finding.certainty,
        "size": finding.size,
        "because": finding.because,
        "reason": finding.reason,
        "facts": {name: _rounded(value) for name, value in finding.facts.items()},
        "checks": [
            {
                "name": check.name,
                "passed": check.passed,
                "reason": check.reason,
                "facts": {name: _rounded(value) for name, value in check.facts.items()},
            }
            for check in finding.checks
        ],
        "cost": {name: _rounded(value) for name, value in cost_record(cost).items()},
        **numbers,
    }


def _counted(reasons: pd.Series[str], counts: pd.Series[int] | None = None) -> dict[str, int]:
    """How many of each reason, by its key."""
    totals: Counter[str] = Counter()
    for reason, count in zip(
        reasons.tolist(), repeat(1) if counts is None else counts.tolist(), strict=False
    ):
        if not pd.isna(reason):
            totals[str(reason)] += int(count)
    return dict(sorted(totals.items()))


def _rounded(value: object) -> object:
    return float(f"{value:.12g}") if isinstance(value, float) else value
