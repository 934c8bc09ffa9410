"""The panel for exploring: the library's own numbers, honest about the plan, and errors in place of tracebacks."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

import ipywidgets
import numpy as np
import pytest

import mekeval as mk
from mekeval.lab import COMPARISONS, Asked, Ready, answer, answer_html, explore, make_ready

HAKUNILA, MYYRMAKI = "09294", "09215"
HOSTILE = "<script>alert('x')</script>\"&"
EN = mk.Texts("en")


@pytest.fixture(scope="module")
def ready(example: mk.Study) -> Ready:
    return make_ready(example)


@pytest.fixture(scope="module")
def evaluation(evaluated: Callable[..., mk.Evaluation]) -> mk.Evaluation:
    return evaluated(2025)


def asked(**changes: object) -> Asked:
    plain: dict[str, object] = {
        "outcome": "unemployment_rate",
        "district": "all",
        "comparison": "never_treated",
        "first": 2010,
        "last": 2025,
    }
    return Asked(**{**plain, **changes})  # type: ignore[arg-type]


def same(one: mk.Inference | None, other: mk.Inference | None) -> bool:
    """Whether two inferences are one but for the order in which numbers were added up."""
    assert one is not None
    assert other is not None
    names = ("estimate", "low", "high", "p_value", "smallest_p", "minimum_detectable_effect", "n_sets")
    for name in names:
        assert getattr(one, name) == pytest.approx(getattr(other, name), rel=1e-9), name
    return one.method == other.method


@pytest.mark.parametrize("outcome", ["low_income_rate", "median_income"])
@pytest.mark.parametrize("district", ["all", HAKUNILA, MYYRMAKI])
def test_the_choices_of_the_plan_give_the_inference_of_the_evaluation(
    ready: Ready, evaluation: mk.Evaluation, outcome: str, district: str
) -> None:
    found = answer(ready, asked(outcome=outcome, district=district))
    finding = evaluation.findings[outcome, district]
    assert found.unplanned == ()
    assert same(found.inference, finding.inference)
    assert same(found.plain, finding.plain)
    assert found.placebo is not None
    assert found.inference is not None
    assert found.estimate == found.inference.estimate


def test_an_earlier_year_gives_the_inference_of_an_evaluation_of_that_year(ready: Ready) -> None:
    found = answer(ready, asked(district=HAKUNILA, last=2021))
    finding = mk.evaluate(ready.study, year=2021, district=HAKUNILA).findings["unemployment_rate", HAKUNILA]
    assert found.unplanned == ("years",)
    assert same(found.inference, finding.inference)


def test_other_years_are_estimated_on_those_years_alone(ready: Ready) -> None:
    found = answer(ready, asked(district=HAKUNILA, first=2016, last=2022))
    table = mk.clean_indicators(ready.study).table
    panel = mk.build_panel(table.loc[table["year"] >= 2016], units=ready.study.areas.units, last_period=2022)
    effects = mk.group_time_att(
        panel, mk.study_design(ready.study, last_period=2022), outcome="unemployment_rate"
    )
    expected = mk.infer(mk.unit_contrast(effects, HAKUNILA), seed=ready.study.spec.study.seed)
    assert found.plain is not None
    for name in ("estimate", "p_value", "low", "high"):
        assert getattr(found.plain, name) == pytest.approx(getattr(expected, name), abs=1e-12), name
    assert set(found.effects.cells["period"]) == set(range(2016, 2023))


def test_without_other_cities_the_city_itself_is_compared_with(
    ready: Ready, evaluation: mk.Evaluation
) -> None:
    found = answer(replace(ready, elsewhere=None), asked())
    assert same(found.inference, evaluation.findings["unemployment_rate", "all"].plain)
    assert (found.plain, found.placebo) == (None, None)


@pytest.mark.parametrize("name", [name for name in COMPARISONS if name != "never_treated"])
def test_other_comparisons_give_what_the_estimator_gives(ready: Ready, name: str) -> None:
    found = answer(ready, asked(comparison=name))
    design = mk.study_design(ready.study, last_period=2025)
    table = mk.side_by_side(
        ready.panel, design, outcome="unemployment_rate", estimators={name: COMPARISONS[name]}
    )
    assert found.estimate == pytest.approx(table["estimate"].iloc[0], abs=1e-12)
    assert found.unplanned == ("comparison",)
    assert found.placebo is None
    assert (found.inference is None) == (found.effects.changes is None) == bool(found.untested)


def test_a_district_beside_areas_not_yet_in_the_programme_by_hand(ready: Ready) -> None:
    """Mean over 2020 to 2025 of the change since 2018 less the comparison's, with Myyrmäki in it to 2022."""
    found = answer(ready, asked(district=HAKUNILA, comparison="not_yet_treated"))
    design = mk.study_design(ready.study, last_period=2025)
    values = ready.panel.values["unemployment_rate"]
    row = {unit: number for number, unit in enumerate(ready.panel.units)}
    column = {period: number for number, period in enumerate(ready.panel.periods)}
    differences = []
    for year in range(2020, 2026):
        units = [*design.comparison, *([MYYRMAKI] if year < 2023 else [])]
        change = values[:, column[year]] - values[:, column[2018]]
        rest = change[[row[unit] for unit in units]]
        differences.append(change[row[HAKUNILA]] - rest[~np.isnan(rest)].mean())
    assert found.estimate == pytest.approx(np.mean(differences), abs=1e-12)
    on = found.effects.cells.loc[found.effects.cells["phase"] == "on", "att"]
    np.testing.assert_allclose(on, differences, atol=1e-12)


def test_what_differs_from_the_plan_is_named(ready: Ready) -> None:
    other = asked(outcome="foreign_language_0_6", comparison="twfe", first=2012)
    assert answer(ready, other).unplanned == ("outcome", "comparison", "years")
    html = answer_html(ready, other, EN)
    assert (
        "Exploration: not the planned analysis (another outcome, another comparison and other years)." in html
    )
    assert "Exploration" not in answer_html(ready, asked(), EN)


@pytest.mark.parametrize(
    ("language", "planned", "other"),
    [
        ("en", "The choices of the plan.", "Exploration: not the planned analysis"),
        ("fi", "Suunnitelman mukaiset valinnat.", "Tutkiskelua: ei suunnitelman mukainen analyysi"),
        ("sv", "Val enligt planen.", "Utforskning: inte den planerade analysen"),
    ],
)
def test_an_answer_speaks_its_language(ready: Ready, language: str, planned: str, other: str) -> None:
    texts = mk.Texts(language)
    assert planned in answer_html(ready, asked(), texts)
    assert other in answer_html(ready, asked(first=2014), texts)


def test_a_comparison_that_does_not_allow_for_the_choice_of_areas_says_so(ready: Ready) -> None:
    said = "The areas were chosen for what they were like."
    assert said in answer_html(replace(ready, elsewhere=None), asked(), EN)
    assert said not in answer_html(ready, asked(), EN)
    assert "Judged against 24 other cities" in answer_html(ready, asked(), EN)
    by_discretion = asked(district=MYYRMAKI, comparison="sun_abraham")
    assert said not in answer_html(ready, by_discretion, EN)


def test_a_test_that_cannot_reject_concludes_nothing(ready: Ready) -> None:
    """Of one treated and 51 comparison areas with data the smallest p is 1/52 = 0.019: above a level of 0.01."""
    study = ready.study
    strict = study.spec.model_copy(update={"plan": study.plan.model_copy(update={"alpha": 0.01})})
    few = replace(ready, elsewhere=None, study=replace(study, spec=strict))
    found = answer(few, asked(district=HAKUNILA))
    assert found.inference is not None
    assert found.inference.smallest_p == pytest.approx(1 / 52)
    said = answer_html(few, asked(district=HAKUNILA), EN)
    assert "Nothing can be concluded: p cannot fall below 0.019 in this comparison" in said


def test_too_few_other_cities_leave_the_answer_untested(ready: Ready) -> None:
    assert ready.elsewhere is not None
    cities = sorted(set(ready.elsewhere.city_of.values()) - {ready.elsewhere.target})[:3]
    kept = {
        unit: city
        for unit, city in ready.elsewhere.city_of.items()
        if city in (ready.elsewhere.target, *cities)
    }
    found = answer(replace(ready, elsewhere=replace(ready.elsewhere, city_of=kept)), asked())
    assert found.inference is None
    assert found.plain is not None
    assert found.untested
    assert "not tested" in str(found)


def without_hakunila(ready: Ready, *years: int) -> Ready:
    """The same without these years of one district; without all of them where none is named."""
    row = ready.panel.units.index(HAKUNILA)
    gone = [not years or period in years for period in ready.panel.periods]
    values = {name: one.copy() for name, one in ready.panel.values.items()}
    reasons = {name: one.copy() for name, one in ready.panel.reasons.items()}
    values["unemployment_rate"][row, gone], reasons["unemployment_rate"][row, gone] = np.nan, "suppressed"
    return replace(ready, panel=replace(ready.panel, values=values, reasons=reasons))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"outcome": "unemployment"}, "Unknown outcome."),
        ({"comparison": "magic"}, "Unknown comparison."),
        ({"district": "09210"}, "The district is not in the programme, so far."),
        ({"district": MYYRMAKI, "last": 2022}, "The district is not in the programme, so far."),
        ({"district": HAKUNILA, "last": 2019}, "No full year in the programme is among the years chosen."),
        (
            {"district": HAKUNILA, "comparison": "not_yet_treated", "last": 2019},
            "No full year in the programme",
        ),
        ({"first": 1950, "last": 1960}, "There are no data in these years."),
        ({"first": 2021}, "A treated area has no data before treatment."),
        ({"last": 2012}, "No area is in the programme yet."),
        ({"comparison": "imputation", "first": 2020}, "A treated area has no data before"),
    ],
    ids=str,
)
def test_what_cannot_be_answered_is_said_in_words(
    ready: Ready, changes: dict[str, object], said: str
) -> None:
    with pytest.raises(mk.MekevalError, match=said):
        answer(ready, asked(**changes))
    html = answer_html(ready, asked(**changes), EN)
    assert html.startswith('<div role="alert"><p><strong>These choices cannot be answered.')
    assert "Traceback" not in html
    assert "<img" not in html


def test_a_gap_of_a_district_is_named(ready: Ready) -> None:
    html = answer_html(without_hakunila(ready, 2022), asked(district=HAKUNILA), EN)
    assert 'role="alert"' in html
    assert "The district has no data for a year that is needed." in html
    assert "suppressed in 2022" in html


@pytest.mark.parametrize("comparison", COMPARISONS)
def test_a_district_without_data_is_an_error_in_words(ready: Ready, comparison: str) -> None:
    html = answer_html(without_hakunila(ready), asked(district=HAKUNILA, comparison=comparison), EN)
    assert 'role="alert"' in html


def test_names_are_text(ready: Ready) -> None:
    study = ready.study
    table = study.areas.table.assign(name_en=HOSTILE, name_fi=HOSTILE)
    hostile = replace(ready, study=replace(study, areas=replace(study.areas, table=table)))
    html = answer_html(hostile, asked(district=HAKUNILA), EN)
    assert "<script" not in html
    assert "&lt;script&gt;" in html


@pytest.mark.parametrize("year", [1999, 2031])
def test_a_year_without_data_is_refused(example: mk.Study, year: int) -> None:
    with pytest.raises(mk.DataError, match="The year has no data"):
        make_ready(example, year=year)


def test_every_choice_of_the_panel_redraws_it(ready: Ready) -> None:
    box = explore(ready.study)
    assert isinstance(box, ipywidgets.VBox)
    outcome, district, comparison, years, shown = box.children
    assert shown.value == answer_html(ready, asked(outcome="low_income_rate"), EN)
    assert [value for _, value in outcome.options][:4] == list(ready.study.plan.outcomes)
    assert next(value for _, value in district.options) == "all"
    assert set(COMPARISONS) == {value for _, value in comparison.options}
    district.value = HAKUNILA
    outcome.value = "unemployment_rate"
    assert shown.value == answer_html(ready, asked(district=HAKUNILA), EN)
    years.value = (2013, 2023)
    comparison.value = "sun_abraham"
    last = asked(district=HAKUNILA, comparison="sun_abraham", first=2013, last=2023)
    assert shown.value == answer_html(ready, last, EN)
    years.value = (2022, 2023)
    assert 'role="alert"' in shown.value
    years.value = (2010, 2025)
    assert 'role="status"' in shown.value


def test_the_panel_speaks_its_language(example: mk.Study) -> None:
    box = explore(example, language="fi")
    assert isinstance(box, ipywidgets.VBox)
    assert [one.description for one in box.children[:4]] == ["Tulosmuuttuja", "Alue", "Vertailu", "Vuodet"]
    assert all(label and not label.startswith("lab.") for label, _ in box.children[2].options)


def test_without_the_extra_it_is_named(example: mk.Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    with pytest.raises(mk.MekevalError, match=r"mekeval\[lab\]"):
        explore(example)


def test_the_library_loads_no_widgets() -> None:
    code = (
        "import sys, mekeval; print('matplotlib' in sys.modules, 'pandas' in sys.modules);"
        "mekeval.explore; print('ipywidgets' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False", "False"]
