"""The rule from numbers to verdicts, as a table of cases: numbers in, words out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mekeval.errors import DesignError
from mekeval.findings import FOR_HIGH, VERDICTS, Finding, conclude
from mekeval.inference import Inference
from mekeval.sensitivity import Check, City, RulePlacebo, compare_with_cities, rule_placebo_check


def _numbers(
    estimate: float, p: float, *, low: float | None = -9.0, high: float | None = 9.0, smallest_p: float = 0.01
) -> Inference:
    return Inference(
        label="all",
        estimate=estimate,
        p_value=p,
        low=low,
        high=high,
        alpha=0.05,
        method="permutation",
        exact=True,
        because="",
        warnings=(),
        se=None,
        df=None,
        n_treated=5,
        n_comparison=31,
        n_sets=376_992,
        smallest_p=smallest_p,
        minimum_detectable_effect=2.8,
        critical=(-2.0, 2.0),
        reference=np.zeros(1),
        noise=np.zeros(1),
    )


def _check(name: str, passed: bool | None, reason: str = "r") -> Check:
    return Check(name=name, passed=passed, reason=reason, facts={"n": 4.0}, table=pd.DataFrame())


GOOD = [_check("selection", True), _check("placebo_in_time", True), _check("leave_one_out", True)]
FAILED = _check("leave_one_out", False, "hangs_on_one")
MOVED = _check("placebo_in_time", False, "moved")
OPEN = _check("selection", None, "worst_areas")
FEW = _check("placebo_in_time", None, "few_years")

PAGE = Path(__file__).resolve().parents[1] / "docs" / "verdicts.md"


def _cases() -> list[dict[str, str]]:
    """The rows of the table of cases on the page, by the names of its columns."""
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    head = next(at for at, row in enumerate(rows) if row[0] == "estimate")
    width = len(rows[head])
    return [dict(zip(rows[head], row, strict=True)) for row in rows[head + 2 :] if len(row) == width]


def _checks_of(text: str) -> list[Check]:
    checks = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        if part == "core":
            checks += GOOD
            continue
        name, answer, *reason = part.split()
        passed = {"passed": True, "failed": False, "open": None}[answer]
        # A check that is named again after "core" takes the place of the one there.
        checks = [check for check in checks if check.name != name] + [_check(name, passed, *reason)]
    return checks


@pytest.mark.parametrize("case", _cases(), ids=lambda case: f"{case['estimate']} {case['checks']}"[:60])
def test_numbers_in_verdict_out(case: dict[str, str]) -> None:
    numbers = None
    if case["estimate"]:
        numbers = _numbers(
            float(case["estimate"]),
            float(case["p"]),
            low=float(case["low"]) if case["low"] else None,
            high=float(case["high"]) if case["high"] else None,
            smallest_p=float(case["smallest p"]),
        )
    checks = _checks_of(case["checks"])
    finding = conclude(
        numbers,
        checks,
        outcome="rate",
        subject="all",
        higher_is=case["higher is"],
        important=float(case["matters from"]) if case["matters from"] else None,
    )
    found = (finding.verdict, f"{finding.because}.{finding.reason}", finding.certainty, finding.size)
    assert found == (case["verdict"], case["because"], case["certainty"], case["size"])
    assert (finding.inference, finding.checks) == (numbers, tuple(checks))
    assert (finding.outcome, finding.subject) == ("rate", "all")


def test_the_page_has_every_verdict_and_size() -> None:
    cases = _cases()
    assert len(cases) >= 30
    assert {case["verdict"] for case in cases} == set(VERDICTS)
    assert {case["size"] for case in cases} == {"trivial", "moderate", "large", "unknown"}


def test_nothing_is_highly_certain_without_reference_cities_and_the_checks_that_it_takes() -> None:
    every = [*GOOD, *(_check(name, True) for name in FOR_HIGH)]
    assert _conclude(_numbers(-2.0, 0.01), every, "worse").certainty == "moderate"


@pytest.mark.parametrize("left_out", ["", *FOR_HIGH[1:]])
def test_what_high_certainty_takes(placebo: RulePlacebo, left_out: str) -> None:
    names = ("placebo_in_time", "leave_one_out", "pre_trend", "honest")
    checks = [_check("selection", True), rule_placebo_check(placebo)]
    checks += [_check(name, True) for name in names if name != left_out]
    finding = conclude(
        _numbers(-2.0, 0.01), checks, outcome="rate", subject="all", higher_is="worse", placebo=placebo
    )
    assert finding.verdict == "improved"
    assert finding.certainty == ("moderate" if left_out else "high")


@pytest.mark.parametrize("important", [0.0, -1.0, float("nan")])
def test_what_matters_has_a_size(important: float) -> None:
    with pytest.raises(DesignError, match="above zero"):
        conclude(
            _numbers(-2.0, 0.01), GOOD, outcome="rate", subject="all", higher_is="worse", important=important
        )


def _conclude(inference: Inference | None, checks: list[Check], higher_is: str) -> Finding:
    return conclude(inference, checks, outcome="rate", subject="all", higher_is=higher_is)


@pytest.mark.parametrize("name", ["selection", "placebo_in_time", "leave_one_out"])
@pytest.mark.parametrize("passed", [None, False])
def test_no_single_check_that_did_not_pass_lets_a_difference_through(name: str, passed: bool | None) -> None:
    checks = [check if check.name != name else _check(name, passed) for check in GOOD]
    for estimate in (-2.0, 2.0):
        for higher_is in ("better", "worse"):
            finding = _conclude(_numbers(estimate, 0.001), checks, higher_is)
            assert (finding.verdict, finding.because) == ("fragile", name)


def test_the_naive_reading_of_the_real_data_is_fragile_for_the_selection() -> None:
    """Low incomes rose 2.1 points more in the five areas, p = 0.037: the programme did not do that."""
    finding = _conclude(_numbers(2.07, 0.037), [OPEN, *GOOD[1:]], "worse")
    assert (finding.verdict, finding.because, finding.reason) == ("fragile", "selection", "worst_areas")
    assert finding.facts == {"n": 4.0}


def test_why_nothing_could_be_tested_is_handed_on() -> None:
    finding = conclude(
        None, (), outcome="rate", subject="01600", higher_is="worse",
        problem=("too_early", "no_full_year"), problem_facts={"message": "m"},
    )  # fmt: skip
    assert (finding.verdict, finding.because, finding.reason) == (
        "not_identifiable",
        "too_early",
        "no_full_year",
    )
    assert finding.facts == {"message": "m"}


def test_the_smallest_p_is_among_the_facts_of_a_design_that_cannot_conclude() -> None:
    finding = _conclude(_numbers(-2.0, 0.5, smallest_p=1 / 13), GOOD, "worse")
    assert finding.facts == {"smallest_p": 1 / 13, "alpha": 0.05}


@pytest.mark.parametrize("direction", ["neutral", "", "worst"])
def test_an_outcome_without_a_direction_is_refused(direction: str) -> None:
    with pytest.raises(DesignError, match="A verdict needs a direction") as caught:
        _conclude(_numbers(-2.0, 0.01), GOOD, direction)
    assert caught.value.faults[0].where == "rate, higher_is"


# --- where the rule placebo leads -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def placebo() -> RulePlacebo:
    """A target far beyond twenty reference cities, so that only the case of a test keeps it from a verdict."""
    rng = np.random.default_rng(2)

    def city(name: str, effect: float) -> City:
        chosen = np.arange(24) < 3
        return City(
            name=name,
            change=rng.normal(size=24) + effect * chosen,
            level=rng.normal(10, 1, size=24) + 3 * chosen,
            population=rng.uniform(1500, 4000, size=24),
            chosen=chosen,
        )

    return compare_with_cities(city("target", -9.0), [city(f"city {at}", 0.0) for at in range(20)])


def _concluded(placebo: RulePlacebo, checks: list[Check]) -> Finding:
    numbers = _numbers(placebo.effect, placebo.quotable_p)
    return conclude(numbers, checks, outcome="y", subject="all", higher_is="worse", placebo=placebo)


def test_a_placebo_that_holds_carries_a_verdict(placebo: RulePlacebo) -> None:
    assert placebo.rejects
    found = _concluded(placebo, [*GOOD, rule_placebo_check(placebo)])
    assert (found.verdict, found.because) == ("improved", "p_value")


@pytest.mark.parametrize(
    ("warning", "verdict"),
    [
        ("treated_rebuilt", "not_identifiable"),
        ("larger_than_references", "not_identifiable"),
        ("criteria_after_start", "fragile"),
        ("few_cities", "fragile"),
        ("growth_unknown", "fragile"),
        ("rebuilt_since", "fragile"),
        ("rule_chooses_others", "fragile"),
        ("gap_beyond_references", "fragile"),
    ],
)
def test_no_warning_of_the_placebo_lets_a_verdict_through(
    placebo: RulePlacebo, warning: str, verdict: str
) -> None:
    warned = replace(placebo, warnings=(warning,))
    assert _concluded(warned, [*GOOD, rule_placebo_check(warned)]).verdict == verdict
    assert _concluded(warned, GOOD).verdict not in (
        "improved",
        "worsened",
    )  # nor where the check is not handed in


def test_a_placebo_whose_rank_disagrees_is_fragile(placebo: RulePlacebo) -> None:
    disagreeing = replace(placebo, rank_p=0.3)
    found = _concluded(disagreeing, [*GOOD, rule_placebo_check(disagreeing)])
    assert (found.verdict, found.because, found.reason) == ("fragile", "rule_placebo", "rank_disagrees")
    assert _concluded(disagreeing, GOOD).verdict == "fragile"


def test_a_level_below_what_the_placebo_can_tell_is_not_identifiable(placebo: RulePlacebo) -> None:
    numbers = replace(_numbers(-9.0, 0.01), alpha=0.005)
    found = conclude(
        numbers,
        [*GOOD, rule_placebo_check(placebo)],
        outcome="y",
        subject="all",
        higher_is="worse",
        placebo=placebo,
    )
    assert (found.verdict, found.reason) == ("not_identifiable", "alpha_too_small")
