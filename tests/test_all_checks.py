"""All the checks of a result: their order, what they do not depend on, and the words for their reasons."""

from __future__ import annotations

import ast
import string
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from altered_cases import (
    BOTH,
    START,
    TREATED,
    UNITS,
    Build,
    city,
    elsewhere,
    few,
    heard,
    panel_of,
    treated_of,
)

from mekeval import Panel
from mekeval.design import Design, make_design
from mekeval.inference import Inference
from mekeval.sensitivity import (
    Check,
    CityQuestion,
    RuleQuestion,
    Surroundings,
    altered,
    answer,
    ask,
    city_checks_of,
    quiet,
    rule_checks_of,
    rule_placebo_inference,
)
from mekeval.sensitivity import questions as q
from mekeval.text import LANGUAGES, Texts, keys

# All of them


NAMES = (
    "leave_one_comparison_out",
    "comparison_changed",
    "one_year",
    "functional_form",
    "anticipation",
    "pre_trend",
    "composition",
    "without_neighbours",
    "spillover",
    "definition_breaks",
    "honest",
)


def all_checks(question: CityQuestion | RuleQuestion, about: Surroundings) -> tuple[Check, ...]:
    if isinstance(question, RuleQuestion):
        return rule_checks_of(question, ask(question), about)
    return city_checks_of(question, answer(question), about)


def around(question: CityQuestion | RuleQuestion) -> Surroundings:
    others = q.compared_units(question)
    return Surroundings(
        neighbours={treated_of(question)[0]: others[3:5]},
        parent=dict.fromkeys((*treated_of(question), *others[:8]), "north"),
        breaks=(2013,),
    )


@BOTH
def test_all_checks_in_their_order(build: Build) -> None:
    question = build()
    first = ("placebo_in_time", "leave_one_out")
    checks = all_checks(question, around(question))
    own = ("rule_placebo",) if build is elsewhere else ()
    assert tuple(check.name for check in checks) == (*own, *first, *NAMES)
    by_name = {check.name: check for check in checks}
    assert by_name["definition_breaks"].passed is None
    assert all(check.passed is not False for check in checks)
    without = all_checks(question, Surroundings())
    assert {check.name for check in without} == {check.name for check in checks} - {
        "without_neighbours",
        "spillover",
    }


@BOTH
def test_within_chance_nothing_is_asked(build: Build) -> None:
    question = build({})
    assert [check.name for check in all_checks(question, Surroundings())] == (
        ["rule_placebo"] if build is elsewhere else []
    )


def test_one_unit_of_a_city_is_asked_at_the_level_it_can_reach() -> None:
    checks = {check.name: check for check in city_checks_of(few(20), answer(few(20)))}
    assert (checks["placebo_in_time"].passed, checks["anticipation"].passed) == (True, True)
    one = replace(city(), unit="t0")
    names = [check.name for check in city_checks_of(one, answer(one))]
    assert "leave_one_out" not in names
    assert names[0] == "placebo_in_time"


def test_with_populations_every_check_tests_as_the_result_was_tested() -> None:
    persons = dict(zip(UNITS, np.linspace(900, 3000, len(UNITS)), strict=True))
    question = replace(city(), population=persons)
    whole = answer(question)
    assert whole.method == "scaled"
    checks = {check.name: check for check in city_checks_of(question, whole)}
    alone = answer(replace(question, design=_without(question.design, "t1")))
    table = checks["leave_one_out"].table.set_index("left_out")
    assert table["p_value"]["t1"] == pytest.approx(alone.p_value)
    early = q.between(question, (2010, 2011, 2012), (2013, 2014, 2015))
    assert checks["placebo_in_time"].facts["p_value"] == pytest.approx(answer(early).p_value)


def _without(design: Design, unit: str) -> Design:
    (path,) = design.paths
    return replace(design, paths=(replace(path, units=tuple(one for one in path.units if one != unit)),))


def shuffled(question: CityQuestion | RuleQuestion) -> CityQuestion | RuleQuestion:
    """The same units in another order."""
    panel = question.panel
    order = np.random.default_rng(3).permutation(len(panel.units))
    units = tuple(panel.units[at] for at in order)
    mixed = Panel(
        units=units,
        periods=panel.periods,
        values={name: array[order] for name, array in panel.values.items()},
        bases={name: array[order] for name, array in panel.bases.items()},
        reasons={name: array[order] for name, array in panel.reasons.items()},
    )
    if isinstance(question, RuleQuestion):
        city_of = {unit: question.city_of[unit] for unit in units}
        return replace(question, panel=mixed, city_of=city_of, treated=question.treated[::-1])
    return replace(question, panel=mixed, design=make_design(units, [(START, 2019, TREATED[::-1])]))


@BOTH
def test_neither_order_nor_unit_of_the_outcome_matters(build: Build) -> None:
    question = build()
    about = around(question)
    values = {name: array.copy() for name, array in question.panel.values.items()}
    checks = {check.name: check for check in all_checks(question, about)}
    mixed = {check.name: check for check in all_checks(shuffled(question), about)}
    scaled = replace(
        question,
        panel=replace(
            question.panel, values={**question.panel.values, "y": 1000 * question.panel.values["y"]}
        ),
    )
    larger = {check.name: check for check in all_checks(scaled, about)}
    for name, check in checks.items():
        assert (mixed[name].passed, mixed[name].reason) == (check.passed, check.reason), name
        assert (larger[name].passed, larger[name].reason) == (check.passed, check.reason), name
        if "estimate" in check.facts:
            assert mixed[name].facts["estimate"] == pytest.approx(check.facts["estimate"], rel=1e-6)
            assert larger[name].facts["estimate"] == pytest.approx(1000 * float(check.facts["estimate"]))
        if "p_value" in check.facts:
            assert mixed[name].facts["p_value"] == pytest.approx(check.facts["p_value"])
            assert larger[name].facts["p_value"] == pytest.approx(check.facts["p_value"])
    for name, array in values.items():
        np.testing.assert_array_equal(question.panel.values[name], array)
    assert set(question.panel.values) == set(values)


@BOTH
def test_whatever_is_missing_no_check_that_cannot_be_run_passes(build: Build) -> None:
    question = build()
    whole = answer(question)
    panel = question.panel
    rng = np.random.default_rng(6)
    holes = panel.values["y"].copy()
    holes[rng.random(holes.shape) < 0.5] = np.nan
    empty = np.full(holes.shape, np.nan)
    for values in (holes, empty):
        broken = replace(question, panel=replace(panel, values={**panel.values, "y": values}))
        for check in (
            altered.leave_one_comparison_out(broken, whole),
            altered.one_year(broken, whole),
            altered.functional_form(broken, whole),
            altered.comparison_changed(broken, whole, size=dict.fromkeys(panel.units, 1.0)),
            altered.without_neighbours(
                broken, whole, {treated_of(question)[0]: q.compared_units(question)[:2]}
            ),
            quiet.anticipation(broken, whole),
            quiet.pre_trend(broken, whole),
            quiet.spillover(broken, whole, {treated_of(question)[0]: q.compared_units(question)[:2]}),
            quiet.composition(broken, whole, np.full(holes.shape, 1000.0)),
            quiet.honest(broken, whole),
        ):
            heard(check, None, check.reason if values is holes else "error")


def test_of_very_many_sets_some_are_drawn() -> None:
    units = tuple(f"u{at:02}" for at in range(40))
    values = np.random.default_rng(5).normal(0, 1, (40, 10))
    question = CityQuestion(
        panel=panel_of(values, units=units),
        design=make_design(units, [(START, 2019, units[:5])]),
        outcome="y",
    )
    exact, drawn = answer(question), q.quickly(question)
    assert (exact.n_sets, drawn.n_sets) == (658_008, 10_000)  # C(40, 5), and 9,999 draws beside the real set
    assert (exact.exact, drawn.exact) == (True, False)
    assert drawn.estimate == exact.estimate
    # a share of 9,999 draws: within four standard errors
    assert (
        abs(drawn.p_value - exact.p_value) < 4 * np.sqrt(exact.p_value * (1 - exact.p_value) / 9_999) + 1e-4
    )
    assert q.quickly(city()).n_sets == 1771


def test_the_inference_that_is_checked_is_left_as_it_was() -> None:
    question = elsewhere()
    placebo = ask(question)
    whole = rule_placebo_inference(placebo, label="", n_treated=2)
    assert isinstance(whole, Inference)
    assert answer(question).estimate == whole.estimate == placebo.effect


# The words


SHARED = {
    "compare_variants": (
        "leave_one_comparison_out",
        "without_neighbours",
        "comparison_changed",
        "one_year",
    ),
    "_quiet": ("anticipation", "spillover"),
    "_newcomers": ("composition", "housing"),
}
FILES = ("altered.py", "quiet.py", "city_checks.py", "rule_checks.py")


def reason_keys() -> set[tuple[str, str]]:
    """Every (check, reason) that the source can give: keys of `not_run`, of `reason=` and of what is named reason."""
    found = set()
    for file in FILES:
        folder = Path(altered.__file__).parent
        for function in ast.parse((folder / file).read_text(encoding="utf-8")).body:
            if not isinstance(function, ast.FunctionDef):
                continue
            names = SHARED.get(function.name, (function.name.removeprefix("rule_"),))
            names = {"placebo_before": ("placebo_in_time",), "placebo_check": ("rule_placebo",)}.get(
                names[0], names
            )
            texts: set[str] = set()
            for node in ast.walk(function):
                parts: list[ast.expr] = []
                called = getattr(node.func, "id", "") if isinstance(node, ast.Call) else ""
                if isinstance(node, ast.Call) and called in ("not_run", "answer") and node.args[1:]:
                    parts = [node.args[1]]
                elif isinstance(node, ast.keyword) and node.arg == "reason":
                    parts = [node.value]
                elif isinstance(node, ast.Assign):
                    for target in node.targets:
                        if isinstance(target, ast.Name) and target.id == "reason":
                            parts.append(node.value)
                        if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                            parts += [
                                value
                                for one, value in zip(target.elts, node.value.elts, strict=True)
                                if isinstance(one, ast.Name) and one.id == "reason"
                            ]
                for part in parts:
                    texts |= _texts(part)
            found |= {(name, text) for name in names for text in texts}
    return found


def _texts(node: ast.expr) -> set[str]:
    """The texts that an expression may give; not those that it asks about."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return {node.value}
    if isinstance(node, ast.IfExp):
        return _texts(node.body) | _texts(node.orelse)
    return set()


def test_every_reason_of_every_check_has_its_words() -> None:
    found = reason_keys()
    assert {name for name, _ in found} >= {*NAMES, "placebo_in_time", "leave_one_out", "selection"}
    assert {
        ("one_year", "steady"),
        ("honest", "holds_any"),
        ("anticipation", "moved"),
        ("leave_one_out", "few_areas"),
        ("pre_trend", "no_power"),
        ("functional_form", "turns"),
    } <= found
    for language in LANGUAGES:
        there = keys(language)
        missing = sorted(f"reason.{name}.{key}" for name, key in found if f"reason.{name}.{key}" not in there)
        assert not missing
        assert {f"check.{name}" for name, _ in found} <= there


def test_both_languages_speak_of_the_same_facts() -> None:
    fi, en = (Texts(language) for language in ("fi", "en"))
    for name, key in reason_keys():
        parts = [
            {
                field
                for _, field, _, _ in string.Formatter().parse(texts._strings[f"reason.{name}.{key}"])
                if field
            }
            for texts in (fi, en)
        ]
        if name in NAMES:
            assert parts[0] == parts[1], (name, key)
