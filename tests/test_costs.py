"""Money beside effect: every figure against a calculation by hand, and none where the finding allows none."""

from __future__ import annotations

import datetime
import html
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mekeval import Cost, Study, cost_beside_effect, money_by_district
from mekeval.costs import cost_record
from mekeval.errors import DesignError
from mekeval.evaluation import ALL, Evaluation
from mekeval.findings import Finding
from mekeval.report.costs import cost_part, measures_part
from mekeval.report.parts import Part
from mekeval.report.records import findings_payload
from mekeval.study import Measure, Words, Worth
from mekeval.text import LANGUAGES, Texts

HAKUNILA, MIKKOLA, MARTINLAAKSO, MYYRMAKI = "09294", "09282", "09217", "09215"
RATE = "unemployment_rate"
EN = Texts("en")
#: `population` of areas.csv: Hakunila, Havukoski, Länsimäki, Mikkola; then Martinlaakso, Myyrmäki.
STAYED = 11_200 + 7_800 + 5_700 + 3_300
FIRST, SECOND = STAYED + 11_400, STAYED + 15_100
OPTIONAL = [
    "eur",
    "eur_per_inhabitant",
    "exposure",
    "effect",
    "effect_low",
    "effect_high",
    "eur_per_unit",
    "eur_per_unit_low",
    "eur_per_unit_high",
    "least_eur_per_unit",
    "worth",
    "break_even",
    "break_even_is",
    "alpha",
]


def measure(
    eur: float | None, *areas: str, wave: str = "MEK 2023-2025", city: bool = False, at: int = 2
) -> Measure:
    return Measure(
        wave=wave,
        theme=None,
        name=Words(fi=f"T{at}", sv=f"T{at}", en=f"M{at}"),
        areas=areas,
        districts=(),
        elsewhere=(),
        city_wide=city,
        start=datetime.date(2023, 1, 1),
        end=datetime.date(2025, 12, 31),
        eur=eur,
        source="L",
        kind="",
        outcomes=(),
        row=at,
    )


def with_money(study: Study, *money: float | None, worth: float | None = None) -> Study:
    """The study with other money for its waves, and a worth of the outcome."""
    waves = tuple(
        wave.model_copy(update={"eur_per_year": eur})
        for wave, eur in zip(study.programme.wave, money, strict=True)
    )
    words = Words(fi="Lähde", sv="Källa", en="Source X")
    values = {} if worth is None else {RATE: Worth(eur=worth, source=words)}
    programme = study.programme.model_copy(update={"wave": waves, "worth": values})
    return replace(study, spec=study.spec.model_copy(update={"programme": programme}))


def without_people(study: Study, code: str) -> Study:
    table = study.areas.table.copy()
    table.loc[code, "population"] = pd.NA
    return replace(study, areas=replace(study.areas, table=table))


def money(study: Study | Evaluation) -> dict[tuple[str, int], tuple[object, object, str]]:
    frame = money_by_district(study)
    return {(row.area, row.year): (row.eur, row.eur_per_inhabitant, row.basis) for row in frame.itertuples()}


def test_the_wave_is_split_by_population(example: Study) -> None:
    found = money(example)
    first = {key: value for key, value in found.items() if key[1] == 2019}
    assert len(first) == 5
    eur, each, basis = first[HAKUNILA, 2019]
    assert eur == pytest.approx(2_000_000 * 11_200 / FIRST)
    assert each == pytest.approx(2_000_000 / FIRST)
    assert basis == "split_by_population"
    assert sum(float(str(one[0])) for one in first.values()) == pytest.approx(2_000_000)


def test_measures_with_money_stand_where_they_were_and_the_rest_is_split(example: Study) -> None:
    """5,000 EUR a year in each of four major areas; Hakunila's has 28,800 people, Myyrmäki's 50,900 in districts."""
    found = money(example)
    rest = 2_000_000 - 4 * 5_000
    assert found[HAKUNILA, 2023][0] == pytest.approx(rest * 11_200 / SECOND + 5_000 * 11_200 / 28_800)
    assert found[HAKUNILA, 2023][2] == "measures_and_split"
    assert found[MARTINLAAKSO, 2023][0] == pytest.approx(5_000 * 11_400 / 50_900)  # it has left the programme
    assert found[MARTINLAAKSO, 2023][2] == "measures"
    frame = money_by_district(example)
    for year in (2023, 2024, 2025):
        assert frame.loc[frame["year"] == year, "eur"].sum() == pytest.approx(2_000_000)
    assert not frame.duplicated(["area", "year"]).any()
    assert list(frame.columns) == ["area", "year", "eur", "eur_per_inhabitant", "basis"]


def test_money_elsewhere_in_the_city_is_not_split(example: Study) -> None:
    plain = money(replace(example, measures=()))[HAKUNILA, 2024][0]
    assert plain == pytest.approx(2_000_000 * 11_200 / SECOND)
    city = money(replace(example, measures=(measure(300_000, city=True),)))[HAKUNILA, 2024]
    assert city[0] == pytest.approx((2_000_000 - 100_000) * 11_200 / SECOND)
    assert city[2] == "split_by_population"
    placeless = money(replace(example, measures=(measure(300_000),)))[HAKUNILA, 2024]
    assert placeless[0] == pytest.approx(plain)
    unknown = money(replace(example, measures=(measure(None, HAKUNILA),)))[HAKUNILA, 2024]
    assert unknown == (pytest.approx(plain), pytest.approx(2_000_000 / SECOND), "split_by_population")
    beyond = money(replace(example, measures=(measure(9_000_000, city=True),)))[HAKUNILA, 2024]
    assert beyond == (0, 0, "split_by_population")  # more than the wave has: nothing is left, and never less


def test_money_that_nobody_recorded_is_not_there(example: Study) -> None:
    study = replace(with_money(example, None, None), measures=(measure(300, HAKUNILA, MIKKOLA),))
    found = money(study)
    assert found[HAKUNILA, 2019][::2] == (pd.NA, "not_recorded")
    assert found[HAKUNILA, 2023][0] == pytest.approx(100 * 11_200 / 14_500)
    assert found[HAKUNILA, 2023][2] == "measures_only"
    assert found[MYYRMAKI, 2023][2] == "not_recorded"
    lacking = money(without_people(example, MIKKOLA))
    assert {value[::2] for key, value in lacking.items() if key[1] == 2019} == {(pd.NA, "no_population")}


def test_the_order_of_measures_changes_nothing_and_money_scales(example: Study) -> None:
    one = money_by_district(example)
    pd.testing.assert_frame_equal(one, money_by_district(replace(example, measures=example.measures[::-1])))
    doubled = tuple(
        replace(some, eur=None if some.eur is None else 2 * some.eur) for some in example.measures
    )
    two = money_by_district(replace(with_money(example, 4_000_000, 4_000_000), measures=doubled))
    np.testing.assert_allclose(two["eur"].astype(float), 2 * one["eur"].astype(float))


# The cost of one district, by hand. Money: a wave of 3,940,000 EUR a year for 39,400 people is 100 EUR each, so
# Hakunila with 11,200 people has 1,120,000 EUR a year, and 3,360,000 EUR in 2019, 2020 and 2021. Effect: 1,000 people
# in the labour force in 2020 and 2021 (2019 is the partial year) are 2,000 person-years; -2.5 points of them are -50,
# and the interval of -4 to -1 points is -80 to -20.
PER_YEAR, TOTAL = 3_940_000.0, 3_360_000.0


@pytest.fixture(scope="module")
def evaluation(evaluated: Callable[..., Evaluation]) -> Evaluation:
    found = evaluated(2025, "Hakunila")
    bases = found.panel.bases[RATE].copy()
    bases[found.panel.units.index(HAKUNILA)] = 1_000.0
    panel = replace(found.panel, bases={**found.panel.bases, RATE: bases})
    return replace(found, panel=panel, study=with_money(found.study, PER_YEAR, PER_YEAR))


def having(
    evaluation: Evaluation,
    estimate: float = -2.5,
    low: float | None = -4.0,
    high: float | None = -1.0,
    *,
    verdict: str = "improved",
    post: tuple[int, ...] = (2020, 2021),
    worth: float | None = None,
    subject: str = HAKUNILA,
) -> Evaluation:
    finding = evaluation.findings[RATE, HAKUNILA]
    assert finding.inference is not None
    inference = replace(finding.inference, estimate=estimate, low=low, high=high)
    other = replace(finding, subject=subject, inference=inference, compared=((2018,), post))
    object.__setattr__(other, "verdict", verdict)
    study = with_money(evaluation.study, PER_YEAR, PER_YEAR, worth=worth)
    return replace(evaluation, study=study, findings={**evaluation.findings, (RATE, subject): other})


def check(evaluation: Evaluation, subject: str = HAKUNILA) -> Cost:
    cost = cost_beside_effect(evaluation, RATE, subject)
    assert set(cost.reasons) == {name for name in OPTIONAL if getattr(cost, name) is None}
    return cost


def test_the_cost_of_a_unit_by_hand(evaluation: Evaluation) -> None:
    cost = check(having(evaluation))
    assert cost.years == (2019, 2020, 2021)
    assert cost.effect_years == (2020, 2021)
    assert cost.assumed_years == ()
    assert cost.eur == pytest.approx(TOTAL)
    assert cost.eur_per_inhabitant == pytest.approx(100)
    assert cost.exposure == pytest.approx(2_000)
    assert (cost.effect, cost.effect_low, cost.effect_high) == pytest.approx((-50, -80, -20))
    assert cost.eur_per_unit == pytest.approx(67_200)  # 3,360,000 / 50
    assert (cost.eur_per_unit_low, cost.eur_per_unit_high) == pytest.approx((42_000, 168_000))  # / 80, / 20
    assert cost.reasons["least_eur_per_unit"] == "cost_is_given"
    assert cost.not_counted == ("other_spending", "spillovers", "later", "other_aims", "first_years")
    assert cost.basis == ("split_by_population",)


def test_years_without_data_take_the_mean_of_the_others(evaluation: Evaluation) -> None:
    """Data in 2021 and 2024 only: money of 2019 to 2024, effect of 2020 to 2024, 5,000 person-years."""
    cost = check(having(evaluation, post=(2021, 2024)))
    assert cost.years == tuple(range(2019, 2025))
    assert cost.assumed_years == (2020, 2022, 2023)
    assert cost.exposure == pytest.approx(5_000)
    assert cost.effect == pytest.approx(-125)
    first, later = (
        3 * TOTAL / 3 + 1_120_000,
        2 * (PER_YEAR - 20_000) * 11_200 / SECOND + 2 * 5_000 * 11_200 / 28_800,
    )
    assert cost.eur == pytest.approx(first + later)


def test_where_no_effect_was_shown_there_is_a_bound_and_no_cost(evaluation: Evaluation) -> None:
    cost = check(having(evaluation, -0.5, -2.0, 1.0, verdict="no_detectable_effect"))
    assert cost.eur_per_unit is None
    assert cost.reasons["eur_per_unit"] == "no_detectable_effect"
    assert cost.least_eur_per_unit == pytest.approx(84_000)  # 3,360,000 / (2 points of 2,000)
    bad = check(having(evaluation, 0.5, 0.0, 1.0, verdict="no_detectable_effect"))
    assert bad.reasons["least_eur_per_unit"] == "no_good_end"
    open_end = check(having(evaluation, -0.5, None, 1.0, verdict="no_detectable_effect"))
    assert open_end.reasons["least_eur_per_unit"] == open_end.reasons["effect_low"] == "no_interval"


def test_a_part_of_the_money_gives_a_bound_and_no_cost(evaluation: Evaluation) -> None:
    """Waves without money on record, and a measure of 300 EUR in Hakunila over 2023 to 2025: 100 EUR a year."""
    parts = tuple(
        measure(eur, HAKUNILA, wave=wave, at=at)
        for at, (eur, wave) in enumerate([(300, "MEK 2023-2025"), (400, "MEK 2019-2022")], start=2)
    )
    first = replace(parts[1], start=datetime.date(2019, 1, 1), end=datetime.date(2022, 12, 31))
    other = having(evaluation, worth=60_000)
    study = replace(with_money(other.study, None, None, worth=60_000), measures=(parts[0], first))
    cost = check(replace(other, study=study))
    assert (cost.eur, cost.basis) == (300, ("measures_only",))  # of 2019, 2020 and 2021
    assert cost.reasons["eur_per_unit"] == cost.reasons["break_even"] == "money_in_part"
    assert cost.least_eur_per_unit == pytest.approx(300 / 80)
    text = said(cost_part(replace(other, study=study), [other.findings[RATE, HAKUNILA]], EN))
    assert "Even at the best end of the interval at least EUR 4." in text
    assert "what else the programme spent is not" in text


@pytest.mark.parametrize("verdict", ["worsened", "fragile", "not_identifiable"])
def test_no_other_verdict_has_a_cost(evaluation: Evaluation, verdict: str) -> None:
    sign = -1 if verdict == "worsened" else 1
    ends = sorted((sign * -4.0, sign * -1.0))
    cost = check(having(evaluation, sign * -2.5, *ends, verdict=verdict))
    assert cost.eur_per_unit is cost.least_eur_per_unit is None
    assert cost.reasons["eur_per_unit"] == verdict
    assert cost.reasons["least_eur_per_unit"] == verdict
    assert cost.eur == pytest.approx(TOTAL)


def test_improved_with_an_interval_that_holds_zero_has_no_cost(evaluation: Evaluation) -> None:
    cost = check(having(evaluation, -2.5, -5.0, 0.0))
    assert cost.reasons["eur_per_unit"] == "interval_holds_zero"
    assert cost.least_eur_per_unit == pytest.approx(TOTAL / 100)


@pytest.mark.parametrize(
    ("worth", "change", "where"),
    [
        (30_000, -5.6, "ruled_out"),  # 3,360,000 / 30,000 = 112 person-years, more than 80
        (42_000, -4.0, "possible"),  # 80, the best end itself
        (60_000, -2.8, "possible"),  # 56
        (168_000, -1.0, "reached"),  # 20, the worst end itself
        (200_000, -0.84, "reached"),  # 16.8
    ],
)
def test_breaking_even(evaluation: Evaluation, worth: float, change: float, where: str) -> None:
    cost = check(having(evaluation, worth=worth))
    assert cost.break_even == pytest.approx(change)
    assert cost.break_even_is == where
    fragile = check(having(evaluation, worth=worth, verdict="fragile"))
    assert fragile.break_even == pytest.approx(change)
    assert fragile.break_even_is is None


def test_an_outcome_that_is_better_when_higher_has_the_same_cost(evaluation: Evaluation) -> None:
    plain = check(having(evaluation, worth=60_000))
    spec = evaluation.study.spec
    turned = tuple(
        one.model_copy(update={"higher_is": "better"}) if one.name == RATE else one for one in spec.indicator
    )
    other = having(evaluation, 2.5, 1.0, 4.0, worth=60_000)
    study = replace(other.study, spec=other.study.spec.model_copy(update={"indicator": turned}))
    cost = check(replace(other, study=study))
    for name in ("eur_per_unit", "eur_per_unit_low", "eur_per_unit_high", "break_even_is"):
        assert getattr(cost, name) == getattr(plain, name)
    assert cost.effect == pytest.approx(50)
    assert cost.break_even == pytest.approx(2.8)


def test_the_programme_has_the_money_of_the_areas_that_are_judged(evaluation: Evaluation) -> None:
    """Hakunila and Mikkola: (11,200 + 3,300) x 100 EUR in each of three years; 1,000 + 500 people, two years."""
    other = having(evaluation, subject=ALL)
    finding = other.findings[RATE, ALL]
    assert finding.placebo is not None
    matched = pd.DataFrame({"area": [HAKUNILA, MIKKOLA]})
    placebo = replace(finding.placebo, matched=matched)
    bases = other.panel.bases[RATE].copy()
    bases[other.panel.units.index(MIKKOLA)] = 500.0
    other = replace(
        other,
        panel=replace(other.panel, bases={**other.panel.bases, RATE: bases}),
        findings={(RATE, ALL): replace(finding, placebo=placebo)},
    )
    cost = check(other, ALL)
    assert cost.areas == (HAKUNILA, MIKKOLA)
    assert cost.eur == pytest.approx(14_500 * 100 * 3)
    assert cost.exposure == pytest.approx(3_000)
    assert cost.eur_per_unit == pytest.approx(4_350_000 / 75)
    assert EN("costs.alike") in said(cost_part(other, [other.findings[RATE, ALL]], EN))


def test_a_district_that_has_left_has_money_only_until_then(evaluation: Evaluation) -> None:
    bases = evaluation.panel.bases[RATE].copy()
    bases[evaluation.panel.units.index(MARTINLAAKSO)] = 1_000.0
    panel = replace(evaluation.panel, bases={**evaluation.panel.bases, RATE: bases})
    other = having(replace(evaluation, panel=panel), subject=MARTINLAAKSO, post=(2020, 2021, 2022))
    cost = check(other, MARTINLAAKSO)
    assert cost.years == (2019, 2020, 2021, 2022)
    assert cost.eur == pytest.approx(4 * 11_400 * 100)
    assert cost.exposure == pytest.approx(3_000)


def test_what_is_no_share_has_money_and_no_person_years(evaluation: Evaluation) -> None:
    cost = cost_beside_effect(evaluation, "median_income", HAKUNILA)
    assert cost.eur is not None
    assert {cost.reasons[name] for name in OPTIONAL[2:10]} == {"not_a_share"}
    assert set(cost.reasons) == {name for name in OPTIONAL if getattr(cost, name) is None}


def test_nothing_tested_and_nothing_recorded_have_their_reasons(evaluation: Evaluation) -> None:
    other = having(evaluation, verdict="not_identifiable")
    untested = replace(other.findings[RATE, HAKUNILA], inference=None, placebo=None, compared=None)
    cost = check(replace(other, findings={(RATE, HAKUNILA): untested}))
    assert cost.reasons["exposure"] == cost.reasons["effect"] == cost.reasons["alpha"] == "not_identifiable"
    poor = replace(other, study=with_money(example_with(other), None, None))
    assert check(poor).reasons["eur"] == "not_recorded"
    hidden = replace(other, study=without_people(other.study, MIKKOLA))
    assert check(hidden).reasons["eur"] == "no_population"
    blank = {RATE: np.full_like(other.panel.bases[RATE], np.nan)}
    bare = replace(other, panel=replace(other.panel, bases=blank))
    assert check(bare).reasons["exposure"] == "no_base"


def example_with(evaluation: Evaluation) -> Study:
    return replace(evaluation.study, measures=())


def test_a_finding_that_is_not_there_is_named(evaluation: Evaluation) -> None:
    with pytest.raises(DesignError, match="no such finding") as caught:
        cost_beside_effect(evaluation, "unemployment", HAKUNILA)
    assert RATE in caught.value.faults[0].expected


def test_findings_carry_the_cost_as_plain_data(evaluation: Evaluation) -> None:
    other = having(evaluation)
    finding: Finding = other.findings[RATE, HAKUNILA]
    (record,) = findings_payload(other, [finding], "", "").records
    cost = record["cost"]
    assert isinstance(cost, dict)
    assert json.loads(json.dumps(cost, allow_nan=False)) == cost
    assert cost["eur_per_unit"] == pytest.approx(67_200)
    assert cost.keys() == cost_record(check(other)).keys()


def said(parts: Sequence[Part]) -> str:
    text = " ".join(part if isinstance(part, str) else part._repr_html_() for part in parts)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", text)).split())


def test_the_report_says_the_cost_its_basis_and_its_limits(evaluation: Evaluation) -> None:
    other = having(evaluation, worth=60_000)
    text = said(cost_part(other, [other.findings[RATE, HAKUNILA]], EN))
    assert (
        "EUR 3,360,000 (2019–2021) EUR 100 −50 (−80 to −20) EUR 67,000 (EUR 42,000 to EUR 170,000)." in text
    )
    assert "At EUR 60,000 for a person-year" in text
    assert "a change of −2.80 percentage points; the interval neither rules that out" in text
    assert "split between the programme’s areas by their population, which is an assumption" in text
    assert "Source X" in text
    assert "must not be added up" in text


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    "verdict", ["improved", "worsened", "no_detectable_effect", "fragile", "not_identifiable"]
)
def test_every_case_has_its_words(evaluation: Evaluation, language: str, verdict: str) -> None:
    texts = Texts(language)
    for ends in ((-4.0, -1.0), (-4.0, 1.0), (1.0, 4.0), (None, None)):
        for worth in (None, 60_000):
            other = having(evaluation, -2.5, *ends, verdict=verdict, worth=worth)
            text = said(cost_part(other, [other.findings[RATE, HAKUNILA]], texts))
            given = " ".join(texts("unit.eur.level", number=texts.number(67_000)).split())
            assert (given in text) == (verdict == "improved" and ends == (-4.0, -1.0))


def test_the_least_cost_is_never_rounded_up(evaluation: Evaluation) -> None:
    """3,360,000 EUR by 2.3 points of 2,000 people, 46 person-years: 73,043 EUR; by 2.2, 44: 76,364 EUR."""
    for best, least in ((-2.3, "EUR 73,000"), (-2.2, "EUR 76,000"), (-2.15, "EUR 78,000")):  # 78,140
        other = having(evaluation, -0.5, best, 1.0, verdict="no_detectable_effect")
        assert f"at least {least}." in said(cost_part(other, [other.findings[RATE, HAKUNILA]], EN))
    other = having(evaluation, -0.5, -2.19, 1.0, verdict="no_detectable_effect")  # 76,712
    assert "at least EUR 76,000." in said(cost_part(other, [other.findings[RATE, HAKUNILA]], EN))


def test_money_of_zero_has_no_cost(evaluation: Evaluation) -> None:
    for verdict in ("improved", "no_detectable_effect"):
        other = having(evaluation, verdict=verdict, worth=60_000)
        other = replace(other, study=replace(with_money(other.study, 0, 0, worth=60_000), measures=()))
        cost = check(other)
        assert (cost.eur, cost.eur_per_inhabitant, cost.worth) == (0, 0, 60_000)
        assert cost.reasons["least_eur_per_unit"] == cost.reasons["break_even"] == "no_money"
        assert cost.reasons["eur_per_unit"] == ("no_money" if verdict == "improved" else verdict)
        text = said(cost_part(other, [other.findings[RATE, HAKUNILA]], EN))
        assert "None: the money on record is 0." in text
        assert "paid for itself" not in text


def test_only_what_was_taken_for_granted_is_said(evaluation: Evaluation) -> None:
    def text_of(other: Evaluation, subject: str) -> str:
        return said(cost_part(other, [other.findings[RATE, subject]], EN))

    alike, years = EN("costs.alike"), "years that were not compared (2020, 2022–2023)"
    one = text_of(having(evaluation, post=(2021, 2024)), HAKUNILA)
    assert alike not in one
    assert years in one
    assert "not compared" not in text_of(having(evaluation), HAKUNILA)


def test_without_money_there_is_no_part(evaluation: Evaluation) -> None:
    poor = having(evaluation)
    poor = replace(poor, study=with_money(example_with(poor), None, None))
    assert cost_part(poor, [poor.findings[RATE, HAKUNILA]], EN) == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_measures_and_events_stand_in_the_report(evaluation: Evaluation, language: str) -> None:
    texts = Texts(language)
    text = said(measures_part(evaluation, texts))
    for one in evaluation.study.measures:
        assert one.name.text(language) in text
    assert " ".join(texts.number(60_000).split()) in text
    assert evaluation.study.programme.event[0].name.text(language) in text
    early = replace(evaluation, year=2022)
    shown = said(measures_part(early, texts))
    assert texts("measures.themes", n=4) not in shown
    assert evaluation.study.programme.event[0].name.text(language) not in shown


def test_a_district_has_the_measures_of_its_own_waves_and_places(evaluation: Evaluation) -> None:
    left, here = (said(measures_part(evaluation, EN, code)) for code in (MARTINLAAKSO, HAKUNILA))
    assert "24 measures" not in left
    assert "23 measures" in left  # without the community house in Hakunila
    assert "4 themes" not in left
    assert "A community house in Hakunila (Hakunila)" in here
    assert "Hakunila major area; EUR 15,000 in 2023–2025" in here
    assert measures_part(replace(evaluation, study=replace(evaluation.study, measures=())), EN)[0] == (
        "<h3>Beside the programme</h3>"
    )


def test_a_measure_that_begins_later_is_not_among_those_done(evaluation: Evaluation) -> None:
    late = replace(measure(None, HAKUNILA), start=datetime.date(2025, 1, 1))
    study = replace(evaluation.study, measures=(late,))
    for year, there in ((2024, False), (2025, True)):
        text = said(measures_part(replace(evaluation, study=study, year=year), EN))
        assert ("M2 (Hakunila; 2025)" in text) == there


def test_years_of_a_measure_are_said_where_they_hold_for_all_its_places(evaluation: Evaluation) -> None:
    here = replace(measure(None, HAKUNILA), start=datetime.date(2024, 5, 1))
    there = replace(measure(None, MIKKOLA), start=datetime.date(2024, 9, 1))

    def text_of(*measures: Measure) -> str:
        return said(
            measures_part(replace(evaluation, study=replace(evaluation.study, measures=measures)), EN)
        )

    assert "M2 (Hakunila and Mikkola; 2024–2025)" in text_of(here, there)
    other = replace(there, start=datetime.date(2025, 1, 1))
    assert "M2 (Hakunila and Mikkola)" in text_of(here, other)
    open_end = [replace(one, end=None) for one in (here, there)]
    assert "M2 (Hakunila and Mikkola; from 2024)" in text_of(*open_end)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("<b>&", "&lt;b&gt;&amp;"),
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ('=HYPERLINK("http://x")', "=HYPERLINK(&quot;http://x&quot;)"),
        ("{areas}", "{areas}"),
    ],
)
def test_names_are_escaped(evaluation: Evaluation, name: str, shown: str) -> None:
    hostile = replace(measure(1, HAKUNILA), name=Words(fi=name, sv=name, en=name))
    parts = measures_part(replace(evaluation, study=replace(evaluation.study, measures=(hostile,))), EN)
    assert shown in "".join(map(str, parts))
    assert shown == name or name not in "".join(map(str, parts))
