"""Reports: with whom a result is compared is said as it was, and no number is sharper than its method."""

from __future__ import annotations

import functools
import html
import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mekeval.errors import DataError
from mekeval.evaluation import ALL, Evaluation, refuse_year
from mekeval.figures import plot_finding, plot_verdicts
from mekeval.figures.elsewhere import neighbours
from mekeval.findings import Finding
from mekeval.report.city import city_sections
from mekeval.report.district import district_sections
from mekeval.report.parts import Report, trust_section
from mekeval.report.sentences import headline, reason, sentence
from mekeval.sensitivity import Check
from mekeval.text import Texts

HAKUNILA, MYYRMAKI, MARTINLAAKSO, MIKKOLA = "09294", "09215", "09217", "09282"
RATE = "unemployment_rate"
EN, FI = Texts("en"), Texts("fi")
PARTS = ("summary", "programme", "effect", "trust", "method")


@pytest.fixture(scope="module")
def evaluation(evaluated: Callable[..., Evaluation]) -> Evaluation:
    return evaluated(2025)


@pytest.fixture(autouse=True)
def no_situation(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test here reads the situation, and the segregation of the city takes a third of a report's time."""
    monkeypatch.setattr("mekeval.report.city.segregation_parts", lambda *_, **__: [])


@pytest.fixture(scope="module")
def of_city(evaluation: Evaluation) -> Callable[[Texts], Report]:
    """The city's report of the evaluation as it is, written once in a language."""
    return functools.cache(lambda texts: city_sections(evaluation, texts))


def shown(report: Report, *parts: str) -> str:
    text = " ".join(getattr(report, part).html for part in parts or PARTS)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", text)).split())


def windowed(evaluation: Evaluation, size: int) -> Evaluation:
    spec = evaluation.study.spec
    assert spec.reference is not None
    reference = spec.reference.model_copy(update={"window": size})
    study = replace(evaluation.study, spec=spec.model_copy(update={"reference": reference}))
    return replace(evaluation, study=study)


def changed(evaluation: Evaluation, key: tuple[str, str], change: Callable[[Finding], Finding]) -> Evaluation:
    return replace(evaluation, findings={**evaluation.findings, key: change(evaluation.findings[key])})


def only(evaluation: Evaluation, subject: str) -> Evaluation:
    """As if only one district had been asked for."""
    findings = {key: finding for key, finding in evaluation.findings.items() if key[1] == subject}
    return replace(evaluation, findings=findings, adjusted=None, choice=None, plain=())


@pytest.mark.parametrize(("texts", "words"), [(EN, "36 neighbouring districts"), (FI, "36 vierekkäisen")])
def test_windows_are_never_called_cities(evaluation: Evaluation, texts: Texts, words: str) -> None:
    other = windowed(evaluation, 36)
    for report in (city_sections(other, texts), district_sections(only(other, HAKUNILA), HAKUNILA, texts)):
        for part in ("summary", "effect", "trust", "method"):
            text = shown(report, part)
            assert words in text, part
            for cities in ("other cities", "muussa kaupungissa", "muissa kaupungeissa", "muuta kaupunkia"):
                assert cities not in text, part
    named = replace(other.study, areas=replace(other.study.areas, unit="postal_area"))
    assert neighbours(named, EN) == "36 neighbouring postal areas"
    assert neighbours(evaluation.study, texts) == ""


def test_what_was_done_elsewhere_is_not_claimed(of_city: Callable[[Texts], Report]) -> None:
    for texts, claim in ((EN, "nothing was done"), (FI, "mitään ei tehty")):
        assert claim not in shown(of_city(texts))


def test_single_areas_are_compared_by_rank_and_the_programme_by_the_rule(evaluation: Evaluation) -> None:
    whole, single, added = (evaluation.findings[RATE, subject] for subject in (ALL, HAKUNILA, MYYRMAKI))
    said = [sentence(evaluation, finding, EN) for finding in (whole, single, added)]
    assert "the same rule brings about in 24 other cities" in said[0]
    assert "the change of areas in the same position in 24 other cities" in said[1]
    assert "same rule" not in said[1] + said[2]
    assert [text.count("by discretion") for text in said] == [0, 0, 1]
    assert added.placebo is not None
    row = added.placebo.matched.iloc[0]
    assert f"by its rank, {row['rank']} of {row['n_eligible']}" in said[2]
    trust = shown(district_sections(only(evaluation, MYYRMAKI), MYYRMAKI, FI), "trust")
    assert f"sija {row['rank']}/{row['n_eligible']}" in trust


def test_an_open_comparison_is_said_where_no_effect_was_found(evaluation: Evaluation) -> None:
    finding = evaluation.findings["low_income_rate", ALL]
    assert finding.verdict == "no_detectable_effect"
    assert "Reservation" not in sentence(evaluation, finding, EN)
    checks = tuple(
        replace(check, passed=None, reason="rule_chooses_others") if check.name == "rule_placebo" else check
        for check in finding.checks
    )
    said = sentence(evaluation, replace(finding, checks=checks), EN)
    assert "Reservation: with the figures at hand the rule would have chosen other areas here" in said


def test_choice_says_where_the_rule_itself_would_choose_others(
    evaluation: Evaluation, of_city: Callable[[Texts], Report]
) -> None:
    assert "would choose" not in shown(of_city(EN), "programme")
    assert evaluation.choice is not None
    table = evaluation.choice.table.copy()
    table["area"] = table["area"].replace({MIKKOLA: MARTINLAAKSO, MARTINLAAKSO: MIKKOLA})
    other = replace(evaluation, choice=replace(evaluation.choice, table=table))
    text = shown(city_sections(other, EN), "programme")
    own = re.search(r"the rule itself would choose ([^.]*)\.", text)
    assert own is not None
    assert "Martinlaakso" in own[1]
    assert "Mikkola" not in own[1]
    assert "not among them: Mikkola." in text
    assert "slightly other figures," in text
    assert "weights" not in text


def test_people_are_counted_by_the_years_compared(evaluation: Evaluation) -> None:
    finding = evaluation.findings[RATE, HAKUNILA]
    assert finding.compared is not None
    assert finding.inference is not None
    panel = evaluation.panel
    columns = [panel.periods.index(year) for year in finding.compared[1]]
    base = panel.bases[RATE][panel.units.index(HAKUNILA), columns].mean()
    result = finding.inference
    assert result.low is not None
    assert result.high is not None
    fewer = [
        f"{abs(round(rate / 100 * base, -1)):,.0f}" for rate in (result.estimate, result.low, result.high)
    ]
    said = sentence(evaluation, finding, EN)
    assert "In people: {} fewer (95% interval: {} fewer to {} fewer)".format(*fewer) in said
    assert f"concerns {base:,.0f} people" in said


def test_no_p_value_is_sharper_than_the_comparison(
    evaluation: Evaluation, of_city: Callable[[Texts], Report]
) -> None:
    finding = evaluation.findings[RATE, ALL]
    assert finding.inference is not None
    assert finding.inference.p_value == finding.inference.smallest_p == 0.01
    text = shown(of_city(EN))
    least = "\N{LESS-THAN OR EQUAL TO}\N{NO-BREAK SPACE}"
    assert f"{least}0.010".replace("\N{NO-BREAK SPACE}", " ") in text
    assert f"{least}0.020".replace("\N{NO-BREAK SPACE}", " ") in text  # two primary outcomes, the floor twice
    picture = plot_finding(finding, evaluation=evaluation, texts=FI)
    assert "p enintään 0,010" in picture.subtitle
    assert "p enintään 0,010" in picture.alt

    def floored(finding: Finding) -> Finding:
        facts = {"unit": HAKUNILA, "estimate": -1.0, "p_value": 0.01}
        check = Check(name="leave_one_out", passed=True, reason="steady", facts=facts, table=pd.DataFrame())
        return replace(finding, checks=(*finding.checks, check))

    trust = shown(city_sections(changed(evaluation, (RATE, ALL), floored), FI), "trust")
    assert "(p enintään 0,010)" in trust


def test_what_a_result_was_made_from_is_that_of_the_comparison(
    evaluation: Evaluation, of_city: Callable[[Texts], Report]
) -> None:
    finding = evaluation.findings[RATE, HAKUNILA]
    assert finding.placebo is not None
    assert finding.compared is not None
    own = finding.placebo.target
    text = shown(district_sections(only(evaluation, HAKUNILA), HAKUNILA, EN), "method")
    rest = int(np.sum(~own.chosen))
    assert (
        f"Unemployment rate {finding.compared[0][0]}–{finding.compared[0][-1]} {rest} 24 other cities" in text
    )
    assert "choice of areas in place of the real one" not in text
    assert "p, adjusted" not in text
    assert "tests 4 differences" in text
    left = shown(district_sections(only(evaluation, MARTINLAAKSO), MARTINLAAKSO, EN), "method")
    assert "tests 8 differences" in left  # four more, of the years since it left
    untested = {
        key: replace(one, inference=None, placebo=None, compared=None, checks=())
        for key, one in evaluation.findings.items()
    }
    gone = only(replace(evaluation, findings=untested), MARTINLAAKSO)
    late = shown(district_sections(gone, MARTINLAAKSO, EN), "method")
    assert (
        "Rule placebo: the rule was applied in 24 other cities" in late
    )  # it judges the years since leaving
    assert "tests 4 differences" in late
    whole = shown(of_city(EN), "method")
    assert "choice of areas in place of the real one" in whole  # the plain readings
    assert "p, adjusted" in whole


def test_the_areas_of_every_wave_are_named_apart_from_all_that_were_ever_in_it(
    evaluation: Evaluation,
) -> None:
    finding = evaluation.findings[RATE, ALL]
    picture = plot_finding(finding, evaluation=evaluation, texts=EN)
    assert picture.headline.startswith("Areas in every wave (4), ")
    rows = plot_verdicts(evaluation, outcome=RATE, subject_order=(ALL, HAKUNILA), texts=EN).data.rows
    assert [row[0] for row in rows] == ["Areas in every wave (4)", "Hakunila"]


@pytest.mark.parametrize(("texts", "city"), [(EN, "Reference city"), (FI, "Verrokkikaupunki")])
def test_cities_have_the_names_of_the_language(evaluation: Evaluation, texts: Texts, city: str) -> None:
    picture = plot_finding(evaluation.findings[RATE, ALL], evaluation=evaluation, texts=texts)
    assert all(row[0].startswith(city) for row in picture.data.rows[1:])


def test_findings_as_data_say_what_was_left_out(
    evaluation: Evaluation, of_city: Callable[[Texts], Report]
) -> None:
    finding = evaluation.findings[RATE, ALL]
    assert finding.placebo is not None
    records = of_city(EN).findings.records
    record = next(one for one in records if (one["outcome"], one["subject"]) == (RATE, ALL))
    said = record["rule_placebo"]
    assert isinstance(said, dict)
    assert sum(said["dropped"].values()) == finding.placebo.dropped["n"].sum() > 0
    assert sum(said["left_out"].values()) == len(finding.placebo.left_out)
    assert said["matched_by"] == "rule"


def test_the_check_that_decided_is_drawn(evaluation: Evaluation) -> None:
    finding = evaluation.findings[RATE, MYYRMAKI]
    assert (finding.verdict, finding.because) == ("fragile", "comparison_changed")
    html_of = trust_section(evaluation, [finding], EN).html
    assert html_of.count("<figure") == 1
    assert "Unemployment rate, another comparison: does not hold." in html_of
    assert "Compared with areas of the same part of the city" in html_of
    # The picture of the rule placebo stands with the effect, and a p-value is no check.
    for because in ("rule_placebo", "p_value"):
        assert "<figure" not in trust_section(evaluation, [replace(finding, because=because)], EN).html


@pytest.mark.parametrize("texts", [EN, FI])
def test_the_first_points_answer_the_heading(
    evaluation: Evaluation, of_city: Callable[[Texts], Report], texts: Texts
) -> None:
    """The heading asks whether the programme has worked, so the verdicts stand before the levels."""
    for report, subject in (
        (of_city(texts), ALL),
        (district_sections(evaluation, HAKUNILA, texts=texts), HAKUNILA),
    ):
        points = re.findall(r"<li>(.*?)</li>", report.summary.html)
        primary = evaluation.study.plan.primary
        asked = [headline(evaluation, evaluation.findings[name, subject], texts) for name in primary]
        assert [html.unescape(point) for point in points[: len(primary)]] == asked


@pytest.mark.parametrize(
    ("name", "facts", "said"),
    [
        # -0.403 and 0.437 are both 0.4: "a trend of 0.4 would not have been found, only one of 0.4 would".
        ("pre_trend", {"explaining": -0.403, "detectable": 0.437}, ("−0.40", "0.44")),
        ("pre_trend", {"explaining": -0.4001, "detectable": 0.4004}, ("−0.4001", "0.4004")),
        ("pre_trend", {"explaining": -0.4, "detectable": 0.5}, ("−0.4 ", "0.5 ")),
        ("honest", {"breakdown": 0.97, "size": 1.0}, ("0.97 times",)),
        ("honest", {"breakdown": 0.9, "size": 1.0}, ("0.9 times",)),
    ],
)
def test_numbers_set_against_each_other_differ_in_print(
    evaluation: Evaluation, name: str, facts: dict[str, float], said: tuple[str, ...]
) -> None:
    finding = evaluation.findings[RATE, ALL]
    key = {"pre_trend": "no_power", "honest": "breaks"}[name]
    rest = {"estimate": 0.0, "p_value": 0.9, "first": 2014, "last": 2018} if name == "pre_trend" else {}
    text = reason(evaluation, finding, name, key, {**rest, **facts}, EN).replace("\N{NO-BREAK SPACE}", " ")
    assert all(number in text for number in said)


def test_neighbours_of_the_areas_are_asked(
    evaluation: Evaluation, of_city: Callable[[Texts], Report]
) -> None:
    names = {check.name for check in evaluation.findings[RATE, ALL].checks}
    assert {"without_neighbours", "spillover"} <= names
    said = shown(of_city(EN), "trust")
    assert "without the areas that border on the programme's, the change is" in said


def test_a_criterion_without_any_data_is_told_so(evaluated: Callable[..., Evaluation]) -> None:
    """What is expected instead of its base year is a sentence, not "one of" and nothing."""
    evaluation = evaluated(2021)
    study, indicators = evaluation.study, evaluation.indicators
    assert study.programme.rule is not None
    name = next(iter(study.programme.rule.criteria))
    without = replace(indicators, table=indicators.table.loc[indicators.table["indicator"] != name])
    with pytest.raises(DataError) as caught:
        refuse_year(study, without, 2021)
    assert "a year with data; there is none" in str(caught.value)
    assert not re.search(r"one of *$", str(caught.value), flags=re.M)
