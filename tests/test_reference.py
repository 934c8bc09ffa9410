"""Reference cities of a study: who they are, who is none, and what the rule finds with them."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mekeval import (
    Evaluation,
    MekevalError,
    Study,
    Texts,
    build_panel,
    evaluate,
    example_study,
    read_study,
    run_study,
)
from mekeval.evaluation.elsewhere import SIZE, look_elsewhere, rule_before
from mekeval.indicators import clean_indicators
from mekeval.reference import reference_areas
from mekeval.report.city import city_sections
from mekeval.store import Store, filling

ROOT = Path(__file__).resolve().parents[1]
Edit = Callable[..., Path]


@pytest.fixture
def edit(tmp_path: Path) -> Edit:
    """Copy the embedded study and replace texts in one of its files, each of which must stand there."""

    def change(*pairs: tuple[str, str], file: str = "study.toml") -> Path:
        folder = tmp_path / "study"
        if not folder.exists():
            shutil.copytree(example_study(), folder)
        text = (folder / file).read_text(encoding="utf-8")
        for old, new in pairs:
            assert old in text
            text = text.replace(old, new)
        (folder / file).write_text(text, encoding="utf-8")
        return folder

    return change


@pytest.fixture(scope="module")
def evaluation(evaluated: Callable[..., Evaluation]) -> Evaluation:
    return evaluated(2025)


def test_the_example_has_24_cities_and_none_of_their_areas_is_its_own(example: Study) -> None:
    references = reference_areas(example)
    assert references is not None
    assert len(set(references.city_of.values())) == 24
    assert not set(references.city_of) & set(example.areas.table.index)
    assert set(references.indicators.table["area"]) == set(references.city_of)


def test_a_reference_value_is_that_of_its_file(example: Study) -> None:
    # The first row of raw/reference_pienituloiset.csv: base and counted of 2010 for area 90101.
    first = (
        (example.folder / "raw" / "reference_pienituloiset.csv")
        .read_bytes()
        .decode("latin-1")
        .splitlines()[1]
    )
    base, counted = (float(cell) for cell in first.split(",")[-32:-30])
    references = reference_areas(example)
    assert references is not None
    table = references.indicators.table
    row = table.loc[
        (table["area"] == "90101") & (table["year"] == 2010) & (table["indicator"] == "low_income_rate")
    ]
    assert row["value"].item() == pytest.approx(100 * counted / base, abs=1e-12)


def judged(*outcomes: str) -> tuple[tuple[str, str], ...]:
    """What `edit` takes for a plan of these outcomes alone, so that an evaluation takes half the time or less."""
    line = (
        "important = { low_income_rate = 1.0, unemployment_rate = 0.7, "
        "basic_education_25_44 = 1.3, median_income = 500 }"
    )
    important = ", ".join(re.findall(rf"(?:{'|'.join(outcomes)}) = [\d.]+", line))
    return (
        ('primary = ["low_income_rate", "unemployment_rate"]', f'primary = ["{outcomes[0]}"]'),
        (
            'secondary = ["basic_education_25_44", "median_income"]',
            "secondary = [" + ", ".join(f'"{one}"' for one in outcomes[1:]) + "]",
        ),
        (line, f"important = {{ {important} }}"),
    )


def test_a_study_without_reference_cities_has_none_and_says_that_selection_is_open(edit: Edit) -> None:
    file = edit(*judged("low_income_rate")) / "study.toml"
    text = file.read_text(encoding="utf-8")
    start = text.index("[reference]")
    text = text[:start] + text[text.index("# An item is", start) :]
    start = text.index('[[source]]\nfile = "raw/reference_')  # they stand last, before the plan
    file.write_text(text[:start] + text[text.index("[plan]") :], encoding="utf-8")
    study = read_study(file)
    assert reference_areas(study) is None
    found = evaluate(study, year=2025).findings["low_income_rate", "all"]
    assert (found.verdict, found.placebo) == ("fragile", None)
    assert [check.passed for check in found.checks if check.name == "selection"] == [None]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (('areas = "reference_areas.csv"', 'areas = "../reference_areas.csv"'), "leaves the study folder"),
        (('areas = "reference_areas.csv"', 'areas = "elsewhere.csv"'), "list of areas is not there"),
        (('areas = "reference_areas.csv"', ""), "come from a list or from a source"),
        (
            (
                'areas = "reference_areas.csv"',
                'areas_from = "raw/kieli.csv"\nlabel = "(?P<code>.)(?P<city>.)"',
            ),
            "names no source",
        ),
        (
            (
                'areas = "reference_areas.csv"',
                'areas_from = "raw/reference_kieli.csv"\nlabel = "(?P<code>.)"',
            ),
            "lacks a group",
        ),
        (
            ('areas = "reference_areas.csv"', 'areas_from = "raw/reference_kieli.csv"\nlabel = "("'),
            "is no pattern",
        ),
        (('population = "low_income_rate"', 'population = "low_incom_rate"'), "closest: 'low_income_rate'"),
        (('population = "low_income_rate"', ""), "need the rule"),
        (('scope = "reference"', 'scope = "references"'), "wrong value"),
        (('scope = "reference"', ""), "No source speaks of the reference cities"),
        (
            ('items = ["labour_force", "unemployed"]\nscope', 'items = ["labour_force"]\nscope'),
            "which the rule needs",
        ),
    ],
)
def test_a_fault_in_the_study_is_named(edit: Edit, change: tuple[str, str], expected: str) -> None:
    with pytest.raises(MekevalError) as caught:
        read_study(edit(change))
    assert expected in str(caught.value)


def test_an_excluded_city_is_gone_and_an_unknown_one_is_refused(edit: Edit) -> None:
    reasons = 'reason.fi = "oma"\nreason.sv = "eget"\nreason.en = "own"\n'
    exclusion = f'\n[[reference.exclude]]\ncity = "{{}}"\n{reasons}\n# An item is'
    folder = edit(("\n# An item is", exclusion.format("Verrokkikaupunki 3")))
    references = reference_areas(read_study(folder))
    assert references is not None
    assert "Verrokkikaupunki 3" not in references.city_of.values()
    assert len(set(references.city_of.values())) == 23
    assert references.excluded[0][0] == "Verrokkikaupunki 3"
    with pytest.raises(MekevalError, match="not among the reference cities"):
        reference_areas(read_study(edit(("Verrokkikaupunki 3", "Verrokkikaupunki 33"))))


def test_an_area_whose_city_is_not_listed_is_refused(edit: Edit) -> None:
    folder = edit(("90101,district,901,", "90101,district,999,"), file="reference_areas.csv")
    with pytest.raises(MekevalError, match="parent of an area is not listed") as caught:
        reference_areas(read_study(folder))
    assert "90101" in str(caught.value)
    folder = edit(("90101,district,999,", "90101,district,,"), file="reference_areas.csv")
    with pytest.raises(MekevalError, match="has no city") as caught:
        reference_areas(read_study(folder))
    assert "90101" in str(caught.value)


def test_two_cities_of_one_name_and_areas_of_the_own_city_are_refused(edit: Edit) -> None:
    folder = edit(("Verrokkikaupunki 2,", "Verrokkikaupunki 1,"), file="reference_areas.csv")
    with pytest.raises(MekevalError, match="Two reference cities have one name"):
        reference_areas(read_study(folder))


def test_an_area_of_the_own_city_is_no_reference(edit: Edit) -> None:
    folder = edit(("90101,district,901,", "09294,district,901,"), file="reference_areas.csv")
    with pytest.raises(MekevalError, match="lies in the study's own city") as caught:
        reference_areas(read_study(folder))
    assert "09294" in str(caught.value)


def test_a_run_refuses_what_is_wrong_with_the_references_before_it_starts(edit: Edit, tmp_path: Path) -> None:
    window = ("minimum_population = 300", "minimum_population = 300\nwindow = 900")
    with pytest.raises(MekevalError, match="No reference city is left"):
        run_study(edit(window), years=[2025], out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_base_year_without_data_is_refused(edit: Edit) -> None:
    folder = edit(("low_income_rate = 2019", "low_income_rate = 2100"))
    with pytest.raises(MekevalError, match="no data in its base year") as caught:
        evaluate(folder, year=2025)
    assert "2100" in str(caught.value)
    assert "2025" in str(caught.value)


def test_labels_that_name_no_city_are_refused(edit: Edit) -> None:
    label = 'areas_from = "raw/reference_kieli.csv"\nlabel = "(?P<code>[0-9]+)(?P<city>ZZ)?.*"'
    folder = edit(('areas = "reference_areas.csv"', label))
    with pytest.raises(MekevalError, match="names no city"):
        reference_areas(read_study(folder))


# --- what the rule placebo finds in data whose effects are known ------------------------------------------------------


def test_the_known_effects_lie_in_the_intervals(evaluation: Evaluation) -> None:
    # truth.csv is written by make_example.py from the equations, before any noise.
    truth = pd.read_csv(evaluation.study.folder / "truth.csv")
    inside, wrong = [], []
    for (outcome, subject), finding in evaluation.findings.items():
        assert finding.inference is not None
        assert finding.compared is not None
        path = evaluation.design.path_of(subject if subject != "all" else evaluation.study.treated[0]).name
        rows = truth.loc[
            (truth["indicator"] == outcome)
            & (truth["path"] == path)
            & truth["year"].isin(finding.compared[1])
        ]
        effect = rows["effect"].mean()
        inside.append(finding.inference.low <= effect <= finding.inference.high)
        if finding.verdict in ("improved", "worsened"):
            better = effect != 0 and finding.verdict == "improved"
            wrong += [] if better else [(outcome, subject, effect)]
    assert len(inside) == 28
    assert (
        sum(inside) >= 25
    )  # 95 % intervals: 3 or more misses of 28 happen in one of six sets, 4 in one of twenty
    assert wrong == []


def test_the_naive_reading_that_the_rule_placebo_corrects(evaluation: Evaluation) -> None:
    finding = evaluation.findings["low_income_rate", "all"]
    assert finding.plain is not None
    assert finding.inference is not None
    assert finding.plain.p_value <= 0.05 < finding.inference.p_value  # the true effect is 0
    assert finding.verdict == "no_detectable_effect"
    work = evaluation.findings["unemployment_rate", "all"]  # the true effect is -2.5
    assert work.verdict == "improved"
    assert {check.name for check in work.checks} == {
        "selection",
        "rule_placebo",
        "placebo_in_time",
        "leave_one_out",
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
    }


def test_the_effect_is_the_plain_change_less_what_the_rule_does_elsewhere(evaluation: Evaluation) -> None:
    for finding in evaluation.findings.values():
        assert finding.placebo is not None
        assert finding.inference is not None
        own = finding.placebo.cities.iloc[0]["estimate"]
        assert finding.inference.estimate == pytest.approx(own - finding.placebo.bias, abs=1e-12)


def test_p_values_of_the_whole_are_adjusted_by_holm(evaluation: Evaluation) -> None:
    assert evaluation.adjusted is not None
    table = evaluation.adjusted.table.set_index("label")
    for family in (evaluation.study.plan.primary, evaluation.study.plan.secondary):
        first, second = sorted(family, key=lambda outcome: table.loc[outcome, "p_value"])
        low, high = table.loc[first, "p_value"], table.loc[second, "p_value"]
        assert table.loc[first, "p_adjusted"] == pytest.approx(min(2 * low, 1))
        assert table.loc[second, "p_adjusted"] == pytest.approx(max(2 * low, high))  # never below the first


def test_the_choice_of_areas_is_the_programme_s(evaluation: Evaluation) -> None:
    assert evaluation.choice is not None
    table = evaluation.choice.table
    chosen = {evaluation.study.areas.name(code, "fi") for code in table.loc[table["chosen"], "area"]}
    assert chosen == {"Hakunila", "Havukoski", "Länsimäki", "Mikkola"}  # README of the example
    assert table["share_chosen"].sum() == pytest.approx(4)  # four in each draw


@pytest.mark.parametrize("language", ["fi", "sv", "en"])
def test_the_city_report_shows_what_the_rule_does_elsewhere(
    evaluation: Evaluation, evaluations: Store, language: str
) -> None:
    texts = Texts(language)
    with filling(evaluations):  # what languages share
        report = city_sections(evaluation, texts)
    effect, programme = report.effect.html, report.programme.html
    finding = evaluation.findings["unemployment_rate", "all"]
    assert finding.placebo is not None
    for value in (
        finding.placebo.effect,
        finding.placebo.bias,
        finding.placebo.effect + finding.placebo.bias,
    ):
        assert texts.number(value, 1, sign=True) in effect
    assert texts("report.effect.rule_caption") in effect
    assert texts("report.choice.heading") in programme
    assert "{" not in re.sub(r"<style.*?</style>|<svg.*?</svg>", "", effect, flags=re.DOTALL)
    record = next(
        one
        for one in report.findings.records
        if (one["outcome"], one["subject"]) == ("unemployment_rate", "all")
    )
    assert record["rule_placebo"]["n_cities"] == 24  # type: ignore[index]
    assert record["plain"]["method"] == "permutation"  # type: ignore[index]


def test_the_rule_is_applied_to_years_before_the_programme(evaluation: Evaluation) -> None:
    elsewhere = evaluation.elsewhere
    assert elsewhere is not None
    assert set(rule_before(elsewhere, 2019).criteria.values()) == {2018}
    assert rule_before(elsewhere, 2023).criteria == elsewhere.rule.criteria  # 2019 to 2021: known by then


def test_after_leaving_the_rule_s_own_doing_is_taken_away_too(evaluation: Evaluation) -> None:
    # Martinlaakso left after 2022. truth.csv: 0 for income, -1.2 for unemployment in 2023 to 2025.
    income, work = (evaluation.after[outcome, "09217"] for outcome in ("median_income", "unemployment_rate"))
    assert income.method == work.method == "rule_placebo"
    assert income.low is not None
    assert income.high is not None
    assert work.low is not None
    assert work.high is not None
    assert income.low <= 0 <= income.high
    assert work.low <= -1.2 <= work.high


def test_no_area_of_the_programme_is_a_comparison(evaluation: Evaluation) -> None:
    elsewhere = evaluation.elsewhere
    assert elsewhere is not None
    finding = evaluation.findings["unemployment_rate", "all"]
    assert finding.placebo is not None
    target = finding.placebo.cities.iloc[0]
    assert sorted(target["areas"]) == sorted(evaluation.design.paths[0].units)
    # 61 districts and "Muut", less two treated at another time, small ones and those without a value.
    assert target["n_areas"] <= 62 - 2


def test_a_later_year_is_not_used(example: Study) -> None:
    indicators = clean_indicators(example)
    early = look_elsewhere(example, indicators, reference_areas(example), year=2020)
    assert early is not None
    assert max(early.panel.periods) == 2020
    assert early.rule.criteria["foreign_language_0_6"] == 2020  # the study's 2021 is not known yet
    assert early.rule.criteria["low_income_rate"] == 2019


def test_the_size_of_an_area_stands_until_the_next_count(evaluation: Evaluation) -> None:
    elsewhere = evaluation.elsewhere
    assert elsewhere is not None
    known = elsewhere.panel.bases["low_income_rate"]
    size = elsewhere.panel.values[SIZE]
    assert np.array_equal(size[~np.isnan(known)], known[~np.isnan(known)])
    assert not np.isnan(size[~np.isnan(known).all(axis=1)]).any()


def test_an_outcome_that_the_reference_cities_lack_is_judged_within_the_city(edit: Edit) -> None:
    items = 'items = ["adults", "median_income_eur"]\nscope = "reference"'
    folder = edit((items, items.replace("reference", "city")), *judged("unemployment_rate", "median_income"))
    with pytest.raises(MekevalError, match=r"no area of the study|does not list"):
        evaluate(folder, year=2025)  # a file of other cities is no source of this one
    text = (folder / "study.toml").read_text(encoding="utf-8")
    start = text.index('[[source]]\nfile = "raw/reference_tulot.csv"')
    (folder / "study.toml").write_text(text[:start] + text[text.index("\n[plan]", start) :], encoding="utf-8")
    found = evaluate(folder, year=2025).findings
    assert found["median_income", "all"].placebo is None
    assert found["median_income", "all"].verdict == "fragile"
    assert found["unemployment_rate", "all"].placebo is not None


# --- the real study -------------------------------------------------------------------------------------------------


def test_postal_areas_of_the_country_by_the_labels_of_a_release(raw: Path) -> None:
    study = read_study(ROOT / "data" / "vantaa-mek-paavo", raw=raw)
    references = reference_areas(study)
    assert references is not None
    own = set(study.areas.units)
    assert not own & set(references.city_of)
    assert "Vantaa" not in references.city_of.values()
    assert "Helsinki" not in references.city_of.values()
    assert references.city_of["02100"] == "Espoo"
    # 3,026 areas in the release of 2019 (README of the data), less 36 of Vantaa, 84 of Helsinki and 01490, which the
    # study counts to Vantaa and this release to Sipoo.
    assert len(references.city_of) == 3026 - 36 - 84 - 1
    panel = build_panel(references.indicators.table)
    assert {2012, 2019, 2024} <= set(panel.periods)
