"""Checks where nothing should have happened, and the bounds, on panels whose answer is known by construction."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from altered_cases import (
    AFTER,
    BOTH,
    CHOSEN,
    N_CITIES,
    PRE,
    TREATED,
    UNITS,
    YEARS,
    Build,
    city,
    elsewhere,
    few,
    heard,
    plus,
    treated_of,
)

from mekeval import DesignError
from mekeval.sensitivity import (
    CityQuestion,
    altered,
    answer,
    ask,
    quiet,
)
from mekeval.sensitivity import questions as q

# Where nothing should have happened


def test_the_level_of_quiet_checks_is_a_fifth_or_what_can_be_reached() -> None:
    assert quiet.strictly(city()).alpha == pytest.approx(0.01)
    assert quiet.strictly(elsewhere()).alpha == pytest.approx(0.01)
    alone = quiet.strictly(few(20))
    assert alone.alpha == alone.smallest_p == pytest.approx(1 / 21)  # above 0.01 and below 0.05
    assert alone.identifiable
    assert quiet.strictly(few(18)).alpha == pytest.approx(0.01)  # 1/19 is above 0.05 as well
    assert not quiet.strictly(few(18)).identifiable


@BOTH
def test_anticipation(build: Build) -> None:
    treated = treated_of(build())
    question = build()
    check = heard(quiet.anticipation(question, answer(question)), True, "quiet")
    assert check.facts["year"] == 2015
    assert check.table["years"].tolist() == ["2015"]
    if isinstance(question, CityQuestion):
        values = question.panel.values["y"]
        change = values[:, 5] - values[:, :5].mean(axis=1)
        assert check.facts["estimate"] == pytest.approx(change[:3].mean() - change[3:].mean())
    early = build(dict.fromkeys(treated, -5 * np.array([year >= 2015 for year in YEARS], dtype=float)))
    check = heard(quiet.anticipation(early, answer(early)), False, "moved")
    assert check.facts["estimate"] == pytest.approx(-5, abs=0.5)
    faint = replace(answer(question), estimate=-0.001)
    heard(quiet.anticipation(question, faint), None, "no_power")


def test_anticipation_without_years_or_areas() -> None:
    question = city(waves=((2012, 2019, TREATED),))
    check = heard(quiet.anticipation(question, answer(question)), None, "few_years")
    assert check.facts == {"n": 2}
    heard(quiet.pre_trend(question, answer(question)), None, "few_years")
    for check in (quiet.anticipation, quiet.pre_trend):
        heard(check(few(18), answer(few(18))), None, "few_areas")
    rule = replace(elsewhere(), pre=(2014, 2015))
    heard(quiet.anticipation(rule, answer(rule)), None, "few_years")
    heard(quiet.pre_trend(rule, answer(rule)), None, "few_years")
    # Of the plan's base of two years the earlier ones are asked all the same.
    heard(quiet.anticipation(city(pre_years=2), answer(city(pre_years=2))), True, "quiet")


@BOTH
def test_pre_trend(build: Build) -> None:
    treated = treated_of(build())
    question = build()
    whole = answer(question)
    check = heard(quiet.pre_trend(question, whole), True, "quiet")
    # From the middle of 2010 to 2015 to that of 2016 to 2019 are 5 years: a fall of 5 is one of 1 a year.
    assert check.facts["explaining"] == pytest.approx(whole.estimate / 5)
    assert check.facts["explaining"] == pytest.approx(-1, abs=0.1)
    if isinstance(question, CityQuestion):
        slopes = np.polyfit(np.arange(6.0), question.panel.values["y"][:, :6].T, 1)[0]
        assert check.facts["estimate"] == pytest.approx(slopes[:3].mean() - slopes[3:].mean())
    drift = build(dict.fromkeys(treated, -0.5 * np.arange(len(YEARS))))
    check = heard(quiet.pre_trend(drift, answer(drift)), False, "moved")
    assert check.facts["estimate"] == pytest.approx(-0.5, abs=0.1)
    # The trend that explains a result that a trend made is that trend.
    assert check.facts["explaining"] == pytest.approx(-0.5, abs=0.1)
    heard(quiet.pre_trend(question, replace(whole, estimate=-0.01)), None, "no_power")


def test_pre_trend_over_years_with_a_gap_and_a_short_base() -> None:
    question = city(pre_years=2)
    full = question.panel
    panel = q.panel_of_years(full, set(YEARS) - {2012})
    gappy = replace(question, panel=panel)
    check = quiet.pre_trend(gappy, answer(gappy))
    years = np.array([2010, 2011, 2013, 2014, 2015])
    slopes = np.polyfit(years - 2012.0, panel.values["y"][:, :5].T, 1)[0]
    assert check.facts["estimate"] == pytest.approx(slopes[:3].mean() - slopes[3:].mean())
    # The base is 2014 and 2015, the years after are centred on 2017.5: three years apart.
    assert check.facts["explaining"] == pytest.approx(answer(gappy).estimate / 3)


def test_the_slope_keeps_how_far_the_chosen_areas_stood_out() -> None:
    question = elsewhere()
    found = ask(quiet._slopes(question, PRE))  # type: ignore[arg-type]
    # the areas compared are weighted by the noise of a slope instead of a change, so not exactly as far
    assert found.cities["gap"].tolist() == pytest.approx(ask(question).cities["gap"].tolist(), rel=0.01)


@BOTH
def test_spillover(build: Build) -> None:
    question = build()
    treated, others = treated_of(question), q.compared_units(question)
    near = {treated[0]: [others[2], others[5]]}
    check = heard(quiet.spillover(question, answer(question), near), True, "quiet")
    assert check.table["units"].tolist() == [f"{others[2]}, {others[5]}"]
    touched = plus(plus(question, others[2], -5 * AFTER), others[5], -5 * AFTER)
    check = heard(quiet.spillover(touched, answer(touched), near), False, "moved")
    assert check.facts["estimate"] == pytest.approx(-5, abs=0.6)
    heard(quiet.spillover(question, answer(question), {}), None, "no_neighbours")
    faint = replace(answer(question), estimate=-0.001)
    heard(quiet.spillover(question, faint, near), None, "no_power")


def test_spillover_counts_where_half_of_the_result_would_have_been_heard() -> None:
    question = city()
    near = {"t0": ["c02", "c05"]}
    whole = answer(question)
    detectable = float(quiet.spillover(question, whole, near).facts["detectable"])
    barely, hardly = (replace(whole, estimate=times * detectable) for times in (-2.01, -1.99))
    heard(quiet.spillover(question, barely, near), True, "quiet")
    heard(quiet.spillover(question, hardly, near), None, "no_power")


def test_spillover_to_few_areas_and_over_several_paths() -> None:
    heard(quiet.spillover(few(18), answer(few(18)), {"t0": ["c00"]}), None, "few_areas")
    # c00 borders on the later path, c01 on both: it is put in the years of the earlier one.
    question = city(waves=((2018, 2019, ("t0",)), (2014, 2019, ("t1", "t2"))))
    near = {"t0": ["c00", "c01"], "t1": ["c01"]}
    assert altered.beside(question, near) == {"c00": "t0", "c01": "t1"}
    values = question.panel.values["y"]
    rest = values[5:]
    late = values[3, 8:].mean() - values[3, :8].mean() - (rest[:, 8:].mean() - rest[:, :8].mean())
    early = values[4, 4:].mean() - values[4, :4].mean() - (rest[:, 4:].mean() - rest[:, :4].mean())
    check = quiet.spillover(question, answer(question), near)
    # the average over years while treated: two of the one, six of the other
    assert check.facts["estimate"] == pytest.approx((2 * late + 6 * early) / 8)


@BOTH
def test_composition(build: Build) -> None:
    question = build()
    treated = treated_of(question)
    whole = answer(question)
    people = 1000 * np.exp(np.random.default_rng(2).normal(0, 0.002, question.panel.values["y"].shape))
    check = heard(quiet.composition(question, whole, people), True, "too_few_newcomers")
    found = quiet.strictly(q.with_values(question, np.log(people)))
    assert found.low is not None and found.high is not None
    most = np.exp(max(-found.low, found.high)) - 1
    assert check.facts["most"] == pytest.approx(100 * most)
    assert check.facts["needed"] == pytest.approx(abs(whole.estimate) / most)
    own = [question.panel.units.index(unit) for part in q.entered(question) for unit in part]
    values = question.panel.values["y"][own]
    assert check.facts["spread"] == pytest.approx(max(np.ptp(values[:, t]) for t in range(len(YEARS))))
    newcomers = people.copy()
    for unit in treated:
        newcomers[question.panel.units.index(unit), 6:] *= 2
    check = heard(quiet.composition(question, whole, newcomers), False, "people_moved")
    assert check.facts["growth"] == pytest.approx(100, abs=1)
    unsettled = 1000 * np.exp(np.random.default_rng(2).normal(0, 0.8, people.shape))
    heard(quiet.composition(question, whole, unsettled), None, "no_power")


@BOTH
def test_growth_that_could_explain_only_at_the_end_of_its_interval_is_no_failure(build: Build) -> None:
    """By the rule in words: from the far end of its interval it must be unable, as estimated it must be able."""
    question = build()
    whole = answer(question)
    noise = np.random.default_rng(5).normal(0, 0.03, question.panel.values["y"].shape)
    own = [question.panel.units.index(unit) for part in q.entered(question) for unit in part]
    spread = max(np.ptp(question.panel.values["y"][own, t]) for t in range(len(YEARS)))
    rows = [question.panel.units.index(unit) for unit in treated_of(question)]
    heard_of = set()
    for growth in np.linspace(0.0, 2 * abs(whole.estimate) / spread, 15):
        people = 1000 * np.exp(noise)
        people[rows, 6:] *= 1 + growth
        found = quiet.strictly(q.with_values(question, np.log(people)))
        assert found.low is not None and found.high is not None
        far, likely = np.exp(max(-found.low, found.high)) - 1, abs(np.exp(found.estimate) - 1)
        expected: bool | None = None
        if far * spread < abs(whole.estimate):
            expected = True
        elif found.p_value <= found.alpha and likely * spread >= abs(whole.estimate):
            expected = False
        check = quiet.composition(question, whole, people)
        assert check.passed is expected, growth
        heard_of.add((expected, found.p_value <= found.alpha))
    assert {(False, True), (None, True)} <= heard_of  # beyond chance, and yet not able to explain


def test_composition_that_cannot_answer() -> None:
    question = city()
    whole = answer(question)
    people = np.full(question.panel.values["y"].shape, 1000.0) * np.linspace(1, 2, len(UNITS))[:, None]
    check = heard(quiet.composition(question, whole, people), True, "nobody_moved")
    heard(quiet.composition(question, whole, np.full(people.shape, np.nan)), None, "error")
    heard(quiet.composition(question, whole, people[:2]), None, "error")
    people[1, 4] = 0.0  # t1 stood empty for a year
    check = heard(quiet.composition(question, whole, people), None, "gap")
    assert check.facts == {"n": 1}
    small = few(18)
    grown = 1000 * np.exp(np.random.default_rng(2).normal(0, 0.01, small.panel.values["y"].shape))
    heard(quiet.composition(small, answer(small), grown), None, "few_areas")


@BOTH
def test_definition_breaks(build: Build) -> None:
    question = build()
    check = heard(quiet.definition_breaks(question, [2010, 2014, 2012, 2025]), None, "break")
    assert check.facts == {"year": 2012}
    assert check.table["year"].tolist() == [2012, 2014]
    heard(
        quiet.definition_breaks(question, [2010, 2020]), True, "none"
    )  # new before the first, or after the last
    heard(quiet.definition_breaks(question, []), True, "none")
    # What the answer does not rest on may break.
    heard(quiet.definition_breaks(city(pre_years=2), [2014]), True, "none")


# The bounds


@BOTH
def test_the_path_behind_the_bounds_is_the_one_that_was_built(build: Build) -> None:
    treated = treated_of(build())
    path = np.array([0.0, -0.6, 0.4, -0.3, 0.5, 0.1, -3.0, -4.0, -5.0, -6.0])
    found = quiet.event_bounds(build(dict.fromkeys(treated, path)), sizes=(0.0,))
    assert found.event_times == (-6, -5, -4, -3, -2, 0, 1, 2, 3)
    assert found.base == -1
    # without a deviation the mean effect after is -4.5 against 0.1 in the last year before
    assert found.estimate == pytest.approx(
        -4.5 - (0.1 if build is elsewhere else np.mean(path[:6])), abs=0.35
    )
    assert found.table["low"][0] < -4.6 < found.table["high"][0]


@pytest.mark.parametrize("up", [-1.0, 1.0])
def test_the_coefficients_before_have_the_sign_of_the_path(
    up: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = up * np.array([4.0, 3.0, 2.0, 1.0, 0.5, 0.0, -3.0, -4.0, -5.0, -6.0])
    given: dict[str, np.ndarray] = {}
    original = quiet.honest_bounds

    def watched(estimates: np.ndarray, covariance: np.ndarray, times: list[float], **more: object) -> object:
        given.update(estimates=estimates, covariance=covariance, times=np.array(times))
        return original(estimates, covariance, times, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(quiet, "honest_bounds", watched)
    question = elsewhere(dict.fromkeys(CHOSEN, path))
    quiet.event_bounds(question, sizes=(0.0,))
    assert given["estimates"] == pytest.approx(
        np.delete(path, 5), abs=0.5
    )  # against 2015, where the path is 0
    # Coefficients against one noisy base move together: half of each one's variance is the base's.
    scale = np.sqrt(np.diag(given["covariance"]))
    correlation = given["covariance"] / np.outer(scale, scale)
    off = correlation[~np.eye(len(scale), dtype=bool)]
    assert 0.2 < np.median(off) < 0.8
    assert np.mean(off > 0) > 0.8
    for at, year in enumerate([2010, 2011, 2012, 2013, 2014, 2016]):
        alone = ask(replace(question, pre=(min(year, 2015),), post=(max(year, 2015),)))
        assert scale[at] == pytest.approx(alone.se)


@BOTH
def test_honest(build: Build) -> None:
    treated = treated_of(build())
    question = build()
    check = heard(quiet.honest(question, answer(question)), True, "holds")
    assert float(check.facts["high"]) < 0
    assert float(check.facts["breakdown"]) > 1
    drift = build(dict.fromkeys(treated, -0.5 * np.arange(len(YEARS))))
    check = heard(quiet.honest(drift, answer(drift)), None, "breaks")
    assert (
        0 < float(check.facts["breakdown"]) < 1.2
    )  # steps of half a point go on: at Mbar = 1 nothing is left
    none = build({})
    assert quiet.honest(none, replace(answer(none), estimate=-1.0)).reason in ("never_held",)
    heard(quiet.honest(question, answer(question), size=-1.0), None, "error")
    rise = replace(answer(question), estimate=2.0)
    heard(quiet.honest(question, rise), False, "turns")


def test_years_of_partial_exposure_have_no_weight_in_the_bounds() -> None:
    path = np.array([0, 0, 0, 0, 0, 0, 50.0, -4.0, -5.0, -6.0])
    found = quiet.event_bounds(city(dict.fromkeys(TREATED, path), partial_years=1), sizes=(0.0,))
    assert found.estimate == pytest.approx(-5, abs=0.3)
    assert found.l_vec == pytest.approx((0, 1 / 3, 1 / 3, 1 / 3))


def test_bounds_without_enough_cities() -> None:
    question = replace(elsewhere(), exclude={chr(97 + at): "" for at in range(10, N_CITIES)})
    with pytest.raises(DesignError, match="too few reference cities"):
        quiet.event_bounds(question)
    heard(quiet.honest(question, answer(question)), None, "error")


@pytest.mark.parametrize(
    ("low", "high", "breakdown", "passed", "reason"),
    [
        (-6.0, -4.0, np.inf, True, "holds_any"),
        (np.nan, np.nan, np.inf, None, "error"),
        (-6.0, 1.0, 0.4, None, "breaks"),
        (-6.0, 1.0, None, None, "never_held"),
        (1.0, 2.0, 3.0, False, "turns"),
    ],
)
def test_bounds_of_every_kind(
    low: float,
    high: float,
    breakdown: float | None,
    passed: bool | None,
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    question = city()
    found = quiet.event_bounds(question, sizes=(1.0,))
    table = found.table.assign(low=low, high=high).astype({"low": "Float64", "high": "Float64"})
    made = replace(found, table=table, breakdown=breakdown)
    monkeypatch.setattr(quiet, "event_bounds", lambda *_, **__: made)
    heard(quiet.honest(question, answer(question)), passed, reason)
