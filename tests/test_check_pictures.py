"""What a check asks, how it shows itself, and its picture."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from altered_cases import city

from mekeval import About, DesignError, Texts, plot_check
from mekeval.sensitivity import Check, answer
from mekeval.sensitivity.check import CHECKS
from mekeval.text import LANGUAGES, keys

ABOUT = About(outcome="Rate", unit="percent", names={"a1": "North", "a2": "South"})


def check_of(name: str, column: str, rows: list[tuple[object, ...]], **facts: float | str) -> Check:
    table = pd.DataFrame(rows, columns=[column, "estimate", "low", "high", "alpha"])
    return Check(name=name, passed=True, reason="steady", facts=facts, table=table)


def test_every_check_has_a_name_and_a_question_in_every_language() -> None:
    for language in LANGUAGES:
        there = keys(language)
        for name, (question, _) in CHECKS.items():
            assert question.endswith("?")
            assert {f"check.{name}", f"check.question.{name}"} <= there


def test_a_check_knows_its_question_and_how_it_is_drawn() -> None:
    some, empty = pd.DataFrame({"year": [2020]}), pd.DataFrame()
    known = Check(name="one_year", passed=True, reason="steady", facts={}, table=some)
    assert (known.question, known.figure) == ("Does the result hang on one year?", "variants")
    assert Check(name="one_year", passed=None, reason="error", facts={}, table=empty).figure is None
    assert Check(name="definition_breaks", passed=None, reason="break", facts={}, table=some).figure is None
    own = Check(
        name="mine", passed=True, reason="fine", facts={}, table=some, question="Why?", figure="quiet"
    )
    assert (own.question, own.figure) == ("Why?", "quiet")
    assert Check(name="mine", passed=True, reason="fine", facts={}, table=some).question == ""


def test_a_check_shows_itself_and_runs_no_markup() -> None:
    rows: list[tuple[object, ...]] = [("<b>x</b>", 1.0, 0.5, 1.5, 0.05)]
    check = check_of("leave_one_out", "left_out", rows, unit="<i>y</i>")
    shown = check._repr_html_()
    assert "leave_one_out: the result holds" in shown
    assert "Does the result hang on one treated area?" in shown
    assert "<b>x" not in shown
    assert "<i>y" not in shown
    assert "&lt;b&gt;x" in shown
    unanswered = Check(name="honest", passed=None, reason="error", facts={}, table=pd.DataFrame())
    assert "not answered" in unanswered._repr_html_()
    assert "variants" not in unanswered._repr_html_()


def test_variants_are_drawn_below_the_result() -> None:
    whole = answer(city())
    rows: list[tuple[object, ...]] = [
        ("a1", -5.2, -5.6, -4.8, 0.05),
        ("a1, a2", np.nan, np.nan, np.nan, np.nan),
    ]
    check = check_of("without_neighbours", "left_out", rows)
    picture = plot_check(check, whole, said="It holds.", about=ABOUT)
    assert picture.headline == "Rate, without neighbouring areas: holds."
    assert picture.subtitle.endswith("Estimates with 95% intervals. It holds.")
    names = [row[0] for row in picture.data.rows]
    assert names == ["The result itself", "Without North", "Without North, South"]
    assert picture.data.rows[1][1:] == ("−5.2 pp", "−5.6 pp to −4.8 pp", "")
    assert picture.data.rows[2][1:] == ("", "", "could not be computed")
    assert "Without North −5.2 pp (−5.6 pp to −4.8 pp)" in picture.alt


def test_of_many_variants_those_against_the_result_are_drawn() -> None:
    rows: list[tuple[object, ...]] = [
        (f"v{at:02}", -float(at), -at - 1.0, -at + 1.0, 0.05) for at in range(1, 21)
    ]
    picture = plot_check(check_of("leave_one_comparison_out", "left_out", rows), about=ABOUT)
    assert len(picture.data.rows) == 20
    assert "the 12 of 20 that speak most against the result" in picture.subtitle
    assert "Without v12 " in picture.alt  # the result is below zero, so the smallest sizes speak against it
    assert "Without v13 " not in picture.alt


def test_silence_says_its_own_level_and_what_would_have_been_heard() -> None:
    check = check_of("anticipation", "years", [("2015", 0.1, -0.4, 0.6, 0.01)], detectable=0.7)
    picture = plot_check(check, answer(city()), about=ABOUT)
    assert "A change of at least 0.7 percentage points would have been found." in picture.subtitle
    intervals = [row[2] for row in picture.data.rows]
    assert intervals[0].endswith("(95%)")
    assert intervals[1] == "−0.4 pp to +0.6 pp (99%)"
    trend = check_of(
        "pre_trend", "years", [("2010-2015", 0.1, -0.4, 0.6, 0.01)], explaining=-0.9, detectable=0.7
    )
    rows = plot_check(trend, answer(city()), about=ABOUT).data.rows  # a trend and a result share no axis
    assert [row[0] for row in rows] == ["2010–2015, a year", "The trend that would explain the result"]
    assert rows[1][1] == "−0.9 pp"


def test_growth_is_in_per_cent_and_forms_in_half_intervals() -> None:
    people = check_of(
        "composition", "outcome", [("log population", np.log(1.1), np.log(0.9), np.log(1.3), 0.05)]
    )
    rows = plot_check(people, answer(city()), about=ABOUT).data.rows
    assert rows == (("Population", "+10.0", "−10.0 to +30.0"),)
    forms = check_of("functional_form", "form", [("rank", 0.2, 0.1, 0.3, 0.05), ("log", 0.4, 0.0, 0.8, 0.05)])
    rows = plot_check(forms, about=ABOUT).data.rows  # 0.2 / 0.1 and 0.4 / 0.4
    assert rows == (("In ranks", "+2.0", "+1.0 to +3.0"), ("In logarithms", "+1.0", "0.0 to +2.0"))


def test_bounds_have_intervals_and_no_estimate() -> None:
    table = pd.DataFrame(
        {"m": pd.array([pd.NA, 1.0], dtype="Float64"), "low": [1.0, -0.5], "high": [2.0, 3.0]}
    )
    check = Check(name="honest", passed=None, reason="breaks", facts={}, table=table)
    picture = plot_check(check, about=ABOUT)
    assert picture.headline == "Rate, deviation it would stand: not answered."
    assert [row[1:3] for row in picture.data.rows] == [("", "+1.0 pp to +2.0 pp"), ("", "−0.5 pp to +3.0 pp")]


def test_the_target_stands_among_the_cities() -> None:
    table = pd.DataFrame(
        {"name": ["A", "B", "C"], "estimate": [0.5, 1.0, -2.0], "residual": [0.1, 0.3, -4.0]}
    )
    facts: dict[str, float | str] = {"plain": 3.0, "bias": 0.2, "n_as_large": 1}
    picture = plot_check(
        Check(name="rule_placebo", passed=True, reason="compared", facts=facts, table=table), about=ABOUT
    )
    assert "Here the change was +3.0 pp; elsewhere it was +0.2 pp on the whole" in picture.alt
    assert picture.data.rows == (("A", "+0.5 pp"), ("B", "+1.0 pp"), ("C", "−2.0 pp"))


@pytest.mark.parametrize("language", LANGUAGES)
def test_pictures_speak_every_language(language: str) -> None:
    check = check_of("one_year", "left_out", [("2015", 0.1, -0.4, 0.6, 0.05)])
    picture = plot_check(check, texts=Texts(language), about=ABOUT)
    assert Texts(language)("check.question.one_year") in picture.subtitle
    assert "{" not in picture.headline + picture.subtitle + picture.alt
    assert picture.svg().startswith(b"<svg")


def test_nothing_to_draw_is_refused() -> None:
    for name in ("selection", "one_year", "somebody's own"):
        check = Check(name=name, passed=None, reason="error", facts={}, table=pd.DataFrame())
        with pytest.raises(DesignError, match="nothing to draw"):
            plot_check(check)
