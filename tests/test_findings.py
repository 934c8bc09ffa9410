"""The rule from numbers to verdicts, as a table of cases: numbers in, words out."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mekeval.errors import DesignError
from mekeval.evaluation import Evaluation
from mekeval.findings import (
    CERTAINTIES,
    FOR_HIGH,
    VERDICTS,
    Finding,
    allowing_for_many,
    conclude,
    findings_table,
    within_what_matters,
)
from mekeval.inference import Inference
from mekeval.report.sentences import headline, sentence
from mekeval.sensitivity import Check, City, RulePlacebo, compare_with_cities, rule_placebo_check
from mekeval.study import Plan
from mekeval.text import LANGUAGES, Texts


def _numbers(
    estimate: float,
    p: float,
    *,
    smallest_p: float = 0.01,
    low: float | None = None,
    high: float | None = None,
) -> Inference:
    """A result; its interval reaches from half the estimate to one and a half, if nothing else is said."""
    return Inference(
        label="all",
        estimate=estimate,
        p_value=p,
        low=estimate - abs(estimate) / 2 if low is None else low,
        high=estimate + abs(estimate) / 2 if high is None else high,
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
MOVED = _check("placebo_in_time", False, "moved")
OPEN = _check("selection", None, "worst_areas")
FEW = _check("placebo_in_time", None, "few_years")

EN = Texts("en")
PAGE = Path(__file__).resolve().parents[1] / "docs" / "verdicts.md"


def _tables(first: str) -> list[list[dict[str, str]]]:
    """The tables of the page whose first column has this name: rows by the names of the columns."""
    tables: list[list[dict[str, str]]] = []
    head: list[str] = []
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if not line.startswith("|"):
            head = []
            continue
        row = [cell.strip() for cell in line.strip("|").split("|")]
        if not head:
            head = row
            if head[0] == first:
                tables.append([])
        elif head[0] == first and set(line) - set("-| "):
            tables[-1].append(dict(zip(head, row, strict=True)))
    return tables


def _cases() -> list[dict[str, str]]:
    return [case for table in _tables("estimate") for case in table]


def _checks_of(text: str, placebo: RulePlacebo) -> list[Check]:
    checks: list[Check] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        if part == "core":
            checks += GOOD
            continue
        name, *answer = part.split()
        if not answer:
            checks.append(rule_placebo_check(placebo))
            continue
        passed = {"passed": True, "failed": False, "open": None}[answer[0]]
        # A check that is named again after "core" takes the place of the one there.
        checks = [check for check in checks if check.name != name] + [_check(name, passed, *answer[1:])]
    return checks


def _placebo_of(text: str, placebo: RulePlacebo) -> RulePlacebo | None:
    if text in ("", "holds"):
        return placebo if text else None
    return replace(placebo, rank_p=0.3) if text == "rank disagrees" else replace(placebo, warnings=(text,))


def _number(text: str) -> float | None:
    return float(text) if text else None


@pytest.mark.parametrize("case", _cases(), ids=lambda case: " ".join(list(case.values())[:-3])[:90])
def test_numbers_in_verdict_out(case: dict[str, str], placebo: RulePlacebo) -> None:
    leads = _placebo_of(case.get("placebo", ""), placebo)
    numbers = None
    if case["estimate"]:
        numbers = replace(
            _numbers(float(case["estimate"]), float(case["p"]), smallest_p=float(case["smallest p"])),
            low=_number(case["low"]),
            high=_number(case["high"]),
            alpha=float(case.get("alpha", "0.05")),
            n_treated=int(case.get("areas", "5")),
        )
    checks = _checks_of(case["checks"], leads or placebo)
    required = case.get("required", "")
    finding = conclude(
        numbers,
        checks,
        outcome="rate",
        higher_is=case.get("higher is", "worse"),
        placebo=leads,
        adjusted_p=_number(case.get("adjusted p", "")),
        important=_number(case.get("matters from", "")),
        required=tuple(required.split(", ")) if required else None,
    )
    found = (finding.verdict, f"{finding.because}.{finding.reason}", finding.certainty)
    assert found == (case["verdict"], case["because"], case["certainty"])
    assert finding.size == case.get("size", finding.size)
    assert (finding.inference, finding.checks) == (numbers, tuple(checks))
    assert (finding.outcome, finding.subject) == ("rate", "all")


def test_the_page_has_every_verdict_certainty_and_size() -> None:
    plain, planned, elsewhere = _tables("estimate")
    assert (len(plain) >= 45, len(planned) >= 18, len(elsewhere) >= 23) == (True, True, True)
    assert {case["verdict"] for case in plain} == set(VERDICTS)
    assert {case["size"] for case in plain} == {"trivial", "moderate", "large", "unknown"}
    assert {case["certainty"] for case in _cases()} == set(CERTAINTIES)


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
    assert found.placebo is placebo


def test_a_finding_holds_what_it_was_made_from() -> None:
    numbers, plain = _numbers(-2.0, 0.01), _numbers(-1.5, 0.02)
    found = conclude(
        numbers,
        GOOD,
        outcome="rate",
        subject="09294",
        higher_is="worse",
        plain=plain,
        compared=((2017, 2018), (2020,)),
    )
    assert (found.outcome, found.subject, found.checks) == ("rate", "09294", tuple(GOOD))
    assert found.inference is numbers
    assert found.plain is plain
    assert (found.placebo, found.compared) == (None, ((2017, 2018), (2020,)))


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


# --- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"estimate": float("nan")}, "A verdict needs numbers."),
        ({"estimate": float("inf")}, "A verdict needs numbers."),
        ({"low": float("nan")}, "A verdict needs numbers."),
        ({"high": float("nan")}, "A verdict needs numbers."),
        ({"alpha": 0.0}, "A verdict needs numbers."),
        ({"alpha": float("nan")}, "A verdict needs numbers."),
        ({"p_value": float("nan")}, "between 0 and 1"),
        ({"p_value": 1.2}, "between 0 and 1"),
        ({"p_value": -0.1}, "between 0 and 1"),
        ({"smallest_p": float("nan")}, "between 0 and 1"),
        ({"low": -1.0, "high": -3.0}, "An interval ends before it begins."),
    ],
)
def test_no_verdict_follows_from_what_is_no_number(change: dict[str, float], words: str) -> None:
    numbers = replace(_numbers(-2.0, 0.01), **change)
    with pytest.raises(DesignError, match=words) as caught:
        _conclude(numbers, GOOD, "worse")
    (fault,) = caught.value.faults
    (name, value), *_ = change.items()
    if words == "between 0 and 1":
        assert (fault.where, fault.found) == (f"rate, all, {name}", repr(value))
    else:
        assert fault.what == words
        ends = f"{numbers.low} to {numbers.high}"
        given = f"{numbers.estimate}, {ends}, alpha {numbers.alpha}"
        assert (fault.where, fault.found) == ("rate, all", ends if "ends" in words else given)


def test_the_ends_of_what_a_p_value_can_be_are_p_values() -> None:
    assert _conclude(_numbers(-2.0, 1.0), GOOD, "worse").verdict == "no_detectable_effect"
    assert _conclude(_numbers(-2.0, 0.0), GOOD, "worse").verdict == "improved"


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(DesignError) as caught:
        conclude(
            replace(_numbers(-2.0, 0.01), p_value=2.0),
            [*GOOD, GOOD[0], _check("own", "yes")],  # type: ignore[arg-type]
            outcome="rate",
            higher_is="up",
            adjusted_p=-1.0,
            important=-1.0,
            required=("selection", "leave_one_ot"),
        )
    assert [(fault.what, fault.where, fault.found) for fault in caught.value.faults] == [
        ("A verdict needs a direction.", "rate, higher_is", "'up'"),
        ("What matters has a size above zero.", "rate, important", "-1.0"),
        ("A check stands twice.", "rate, all", "'selection'"),
        ("A check has no answer that can be read.", "rate, all, own", "'yes'"),
        ("A required check is not known.", "rate, required", "'leave_one_ot'"),
        ("A p-value lies between 0 and 1.", "rate, all, p_value", "2.0"),
        ("A p-value lies between 0 and 1.", "rate, all, adjusted_p", "-1.0"),
    ]
    direction, size, twice, answer, required, *_ = (fault.expected or "" for fault in caught.value.faults)
    assert (direction, size, twice) == ("better or worse", "", "")
    assert answer == "True, False, or None where it could not answer"
    assert "leave_one_out" in required
    assert "leave_one_out" in str(caught.value)


def test_what_matters_is_not_endless() -> None:
    with pytest.raises(DesignError, match="has a size above zero") as caught:
        conclude(_numbers(-2.0, 0.01), GOOD, outcome="rate", higher_is="worse", important=float("inf"))
    assert caught.value.faults[0].found == "inf"


def test_an_answer_from_an_array_is_an_answer() -> None:
    """A check of one's own may compare arrays: numpy's False is not Python's."""
    no = _check("own", np.bool_(False))  # type: ignore[arg-type]
    yes = _check("own", np.bool_(True))  # type: ignore[arg-type]
    assert _conclude(_numbers(-2.0, 0.01), [*GOOD, no], "worse").verdict == "fragile"
    assert _conclude(_numbers(-2.0, 0.01), [*GOOD, yes], "worse").verdict == "improved"


def test_a_check_of_ones_own_can_be_required() -> None:
    own = _check("own", None)
    found = conclude(
        _numbers(-2.0, 0.01), [*GOOD, own], outcome="rate", higher_is="worse", required=("selection", "own")
    )
    assert (found.verdict, found.because) == ("fragile", "own")


# --- the plan ---------------------------------------------------------------------------------------------------------


def test_a_plan_gives_what_matters_the_required_checks_and_the_level() -> None:
    plan = Plan(
        primary=("rate",), alpha=0.1, important={"rate": 3.0}, required=("selection", "definition_breaks")
    )
    numbers = replace(_numbers(-2.0, 0.08), alpha=0.1)
    found = conclude(numbers, GOOD, plan, outcome="rate", higher_is="worse")
    assert (found.verdict, found.because, found.reason) == ("fragile", "definition_breaks", "not_made")
    assert found.size == "trivial"
    whole = conclude(
        numbers, [*GOOD, _check("definition_breaks", True)], plan, outcome="rate", higher_is="worse"
    )
    assert whole.verdict == "improved"
    other = conclude(numbers, GOOD, plan, outcome="other", higher_is="worse", required=("selection",))
    assert (other.verdict, other.size) == ("improved", "unknown")  # the plan says nothing of this outcome
    given = conclude(
        numbers, GOOD, plan, outcome="rate", higher_is="worse", important=1.5, required=("selection",)
    )
    assert (given.verdict, given.size) == ("improved", "moderate")  # what is given goes before the plan
    with pytest.raises(DesignError, match="another level than the plan") as caught:
        conclude(_numbers(-2.0, 0.01), GOOD, plan, outcome="rate", higher_is="worse")
    (fault,) = caught.value.faults
    assert fault.what == "The test has another level than the plan."
    assert (fault.where, fault.found, fault.expected) == ("rate, all", "0.05", "0.1")


def test_a_plan_to_compare_by_the_rule_placebo_is_not_kept_within_one_city() -> None:
    plan = Plan(primary=("rate",), comparison="rule_placebo")
    found = conclude(_numbers(-2.0, 0.01), GOOD, plan, outcome="rate", higher_is="worse")
    assert (found.verdict, found.because, found.reason) == ("fragile", "rule_placebo", "not_made")
    for way in ("auto", "city"):
        other = plan.model_copy(update={"comparison": way})
        assert (
            conclude(_numbers(-2.0, 0.01), GOOD, other, outcome="rate", higher_is="worse").verdict
            == "improved"
        )


def test_many_outcomes_lower_a_high_certainty_and_leave_the_verdict(placebo: RulePlacebo) -> None:
    every = [*GOOD, rule_placebo_check(placebo), _check("pre_trend", True), _check("honest", True)]
    found = conclude(_numbers(-9.0, 0.01), every, outcome="rate", higher_is="worse", placebo=placebo)
    assert found.certainty == "high"
    assert allowing_for_many(found, 0.05) is found
    assert allowing_for_many(found, None) is found
    many = allowing_for_many(found, 0.06)
    assert (many.verdict, many.certainty) == ("improved", "moderate")
    lower = conclude(_numbers(-9.0, 0.01), GOOD, outcome="rate", higher_is="worse")
    assert allowing_for_many(lower, 0.06) is lower


@pytest.mark.parametrize(
    ("low", "high", "important", "within"),
    [
        (-0.9, 0.9, 1.0, True),
        (-1.0, 0.9, 1.0, False),  # a change of exactly what matters would matter
        (-0.9, 1.0, 1.0, False),
        (-1.1, 0.9, 1.0, False),
        (-0.9, 1.1, 1.0, False),
        (0.1, 0.9, 1.0, True),
        (-0.9, 0.9, None, False),
        # a side without an end reaches everything
        (None, 0.9, 1.0, False),
        (-0.9, None, 1.0, False),
        (None, None, 1.0, False),
    ],
)
def test_an_interval_is_too_small_to_matter_as_a_whole(
    low: float | None, high: float | None, important: float | None, within: bool
) -> None:
    assert within_what_matters(replace(_numbers(0.5, 0.4), low=low, high=high), important) is within
    assert within_what_matters(None, 1.0) is False


def test_a_table_of_findings_has_each_number_in_its_column() -> None:
    tested = replace(
        _conclude(_numbers(-2.0, 0.03, low=-3.25, high=-0.5), GOOD, "worse"), subject="09294", certainty="low"
    )
    open_one = replace(_conclude(None, GOOD, "worse"), certainty="low")
    table = findings_table([tested, open_one], names={"09294": "Hakunila"}, caption="Of 2025")
    assert table.caption == "Of 2025"
    assert [(one.label, one.numeric) for one in table.columns] == [
        *[(name, False) for name in ("outcome", "subject", "verdict", "certainty")],
        *[(name, True) for name in ("estimate", "low", "high", "p_value")],
    ]
    assert table.rows == (
        (
            "rate",
            "Hakunila",
            "improved",
            "low",
            "\N{MINUS SIGN}2",
            "\N{MINUS SIGN}3.25",
            "\N{MINUS SIGN}0.5",
            "0.03",
        ),
        ("rate", "all", "not_identifiable", "low", "none", "none", "none", "none"),
    )


def test_a_finding_shows_what_it_rests_on() -> None:
    numbers = _numbers(-2.0, 0.03, low=-3.25, high=-0.5)
    found = replace(_conclude(numbers, [MOVED], "worse"), facts={"years": 4})
    facts, checks = found._shown()
    assert (facts.caption, checks.caption) == ("Finding: rate, all", "Checks: rate, all")
    said = dict(facts.rows)
    assert [said[name] for name in ("verdict", "because", "reason")] == [
        "fragile",
        "placebo_in_time",
        "moved",
    ]
    assert {said[name] for name in ("certainty", "size")} == {found.certainty, found.size}
    for name, value in {
        "estimate": "\N{MINUS SIGN}2",
        "low": "\N{MINUS SIGN}3.25",
        "high": "\N{MINUS SIGN}0.5",
        "p_value": "0.03",
        "smallest_p": "0.01",
        "minimum_detectable_effect": "2.8",
        "method": "permutation",
    }.items():
        assert said[f"inference.{name}"] == value
    assert said["years"] == "4"
    assert [one.label for one in checks.columns] == ["check", "passed", "reason", "question"]
    assert [row[:3] for row in checks.rows] == [("placebo_in_time", "no", "moved")]
    (alone,) = replace(found, inference=None, checks=())._shown()
    assert not [name for name, _ in alone.rows if name.startswith("inference")]


# --- the words --------------------------------------------------------------------------------------------------------

#: What no sentence may say: significance as importance, and absence of evidence as evidence of absence.
FORBIDDEN = re.compile(
    r"signifi[ck]a|merkitsev|no effect|had no|did not work|ei vaikut|ei ollut vaikut|ingen effekt|saknar effekt"
    r"|\*\*|\.\.|  ",
    re.IGNORECASE,
)


def test_the_words_on_the_page_are_those_of_the_reports() -> None:
    (grid,) = _tables("verdict")
    assert len(grid) == 22
    for row in grid:
        size, _, direction = row["size"].partition(", ")
        parts = (row["verdict"], row["certainty"], direction, "" if size == "any" else size)
        for language, name in (("en", "English"), ("fi", "Finnish"), ("sv", "Swedish")):
            if language in LANGUAGES:
                said = Texts(language)("sentence." + ".".join(filter(None, parts)), outcome="x")
                assert said == f"x: {row[name]}."


def test_certainty_and_size_are_in_the_words_of_the_first_sentence() -> None:
    """GRADE guideline 26: no two cells of the grid that differ in what may be said have the same words."""
    (grid,) = _tables("verdict")
    for name in ("English", "Finnish", "Swedish"):
        assert len({row[name] for row in grid}) == len(grid)
        assert max(len(row[name]) for row in grid) <= 110


@pytest.fixture(scope="module")
def evaluation(evaluated: Callable[..., Evaluation]) -> Evaluation:
    return evaluated(2025, "09294")


def _any_finding(rng: np.random.Generator, evaluation: Evaluation) -> tuple[Evaluation, Finding]:
    """A finding by the rule, from numbers and checks drawn at random, and the plan that it goes by."""
    keys = sorted(evaluation.findings)
    given = evaluation.findings[keys[rng.integers(len(keys))]]
    assert given.inference is not None
    unit = 400.0 if given.outcome == "median_income" else 1.0
    estimate, half = unit * rng.normal(0, 2), unit * rng.exponential(1.5)
    numbers = replace(
        given.inference,
        estimate=estimate,
        low=None if rng.random() < 0.05 else estimate - half,
        high=estimate + half,
        p_value=0.01 if abs(estimate) > half else 0.4,
        smallest_p=0.5 if rng.random() < 0.05 else 0.01,
    )
    placebo = given.placebo if rng.random() < 0.6 else None
    checks = [
        replace(check, passed=[True, True, True, False, None][rng.integers(5)])
        for check in given.checks
        if rng.random() < 0.95 and (placebo is not None or check.name != "rule_placebo")
    ]
    important = unit * rng.uniform(0.3, 4) if rng.random() < 0.7 else None
    plan = evaluation.study.plan.model_copy(
        update={"important": {} if important is None else {given.outcome: important}}
    )
    study = replace(evaluation.study, spec=evaluation.study.spec.model_copy(update={"plan": plan}))
    finding = conclude(
        numbers,
        checks,
        plan,
        outcome=given.outcome,
        subject=given.subject,
        higher_is=study.indicator(given.outcome).higher_is,
        placebo=placebo,
        compared=given.compared,
    )
    return replace(evaluation, study=study), finding


def test_no_sentence_says_more_than_its_numbers(evaluation: Evaluation) -> None:
    rng = np.random.default_rng(5)
    seen = set()
    for _ in range(400):
        known, finding = _any_finding(rng, evaluation)
        seen.add((finding.verdict, finding.certainty, finding.size))
        result, higher_is = finding.inference, evaluation.study.indicator(finding.outcome).higher_is
        important = known.study.plan.important.get(finding.outcome)
        assert result is not None
        for language in LANGUAGES:
            texts = Texts(language)
            said = sentence(known, finding, texts)
            assert not FORBIDDEN.search(said), said
            assert "{" not in said
            assert said.endswith(".")
            first = headline(known, finding, texts)
            assert said.startswith(first)
            assert not re.search(r"\d", first.removeprefix(_label_of(known, finding, language)))
        said = sentence(known, finding, Texts("en"))
        first = headline(known, finding, Texts("en"))
        better = (result.estimate > 0) == (higher_is == "better")
        assert ("improve" in first) <= better
        assert ("worse" in first) <= (not better)
        assert ("probably" in first) == (finding.certainty == "moderate")
        assert (" may " in first) == (finding.certainty == "low" and finding.verdict == "fragile")
        if "little or no difference" in first:
            assert important is not None
            assert result.low is not None
            assert result.high is not None
            assert max(-result.low, result.high) < important
        if "large" in first or "much" in first:
            assert important is not None
            assert abs(result.estimate) >= 3 * important
        if "a little" in first:
            assert important is not None
            assert abs(result.estimate) < important
        rate = evaluation.study.indicator(finding.outcome).unit == "percent"
        assert ("In people:" in said) == (rate and finding.verdict != "not_identifiable")
        if finding.verdict == "no_detectable_effect":
            assert "the data rule out" in said
            assert "This holds" in said
    assert len(seen) >= 15  # the draws reach most of the grid


def _label_of(evaluation: Evaluation, finding: Finding, language: str) -> str:
    """What an outcome is called, which may have figures in it (ages)."""
    return evaluation.study.indicator(finding.outcome).label.text(language)


def test_what_the_interval_rules_out_is_said_in_the_unit_and_in_people(evaluation: Evaluation) -> None:
    """Of 6,000 people 1.5 and 2.5 points are 90 and 150."""
    key = ("unemployment_rate", "09294")
    given = evaluation.findings[key]
    assert given.inference is not None
    bases = {**evaluation.panel.bases, key[0]: np.full_like(evaluation.panel.bases[key[0]], 6_000.0)}
    known = replace(evaluation, panel=replace(evaluation.panel, bases=bases))
    numbers = replace(given.inference, estimate=-0.5, low=-2.5, high=1.5, p_value=0.6)
    finding = conclude(
        numbers, (), outcome=key[0], subject=key[1], higher_is="worse", placebo=given.placebo,
        compared=given.compared,
    )  # fmt: skip
    said = sentence(known, finding, EN).replace("\N{NO-BREAK SPACE}", " ")
    assert "rule out a rise of more than 1.5 pp and a fall of more than 2.5 pp." in said
    assert (
        "In people: 30 fewer (95% interval: 150 fewer to 90 more); the figure concerns 6,000 people" in said
    )
    tiny = replace(finding, inference=replace(numbers, estimate=0.01))
    assert "In people: hardly any (" in sentence(known, tiny, EN)
    finnish = sentence(known, finding, Texts("fi")).replace("\N{NO-BREAK SPACE}", " ")
    assert "sulkee pois nousun, joka on yli 1,5 %‑yks., ja laskun, joka on yli 2,5 %‑yks. (" in finnish


def test_a_required_check_that_was_not_made_is_the_reason_in_words(evaluation: Evaluation) -> None:
    given = evaluation.findings["unemployment_rate", "09294"]
    made = [check for check in given.checks if check.name != "one_year"]
    finding = conclude(
        given.inference, made, outcome=given.outcome, subject=given.subject, higher_is="worse",
        placebo=given.placebo, compared=given.compared, required=("selection", "one_year"),
    )  # fmt: skip
    assert (finding.verdict, finding.certainty) == ("fragile", "low")
    assert "Why: the plan requires a check that was not made, “Each year left out in turn”." in sentence(
        evaluation, finding, EN
    )
