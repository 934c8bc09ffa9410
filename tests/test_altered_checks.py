"""Altered questions and the checks that put them, on small panels whose answer is known by construction."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from altered_cases import (
    AFTER,
    AREAS,
    BOTH,
    N_CITIES,
    NOISE,
    OTHERS,
    POST,
    PRE,
    RULE_LEVEL,
    SIZE,
    START,
    TREATED,
    UNITS,
    YEARS,
    Build,
    city,
    elsewhere,
    few,
    heard,
    panel_of,
    plus,
    treated_of,
)

from mekeval import DesignError, build_panel
from mekeval.design import make_design
from mekeval.sensitivity import (
    CityQuestion,
    RuleQuestion,
    Thresholds,
    altered,
    answer,
    ask,
    contiguous_windows,
    leave_one_out,
    quiet,
)
from mekeval.sensitivity import questions as q

# Questions


def test_the_answer_is_the_difference_of_mean_changes() -> None:
    question = city()
    values = question.panel.values["y"]
    change = values[:, 6:].mean(axis=1) - values[:, :6].mean(axis=1)
    found = answer(question)
    assert found.estimate == pytest.approx(change[:3].mean() - change[3:].mean())
    assert found.p_value == pytest.approx(1 / 1771)
    alone = answer(replace(question, unit="t1"))
    assert alone.estimate == pytest.approx(change[1] - change[3:].mean())  # t0 and t2 are no comparison
    assert alone.n_comparison == 20


def test_years_of_an_answer_that_rests_on_few() -> None:
    question = city(pre_years=2, partial_years=1)
    assert q.years_compared(question) == ((2014, 2015), (2017, 2018, 2019))
    assert q.years_before(question) == tuple(range(2010, 2016))
    assert q.years_apart(question) == pytest.approx(2018 - 2014.5)
    rule = replace(elsewhere(), pre=(2013, 2011), post=(2019, 2017))
    assert q.years_compared(rule) == ((2011, 2013), (2017, 2019))
    assert q.years_before(rule) == (2011, 2013)
    assert q.years_apart(rule) == pytest.approx(2018 - 2012)


@pytest.mark.parametrize("options", [{}, {"pre_years": 2}, {"partial_years": 1}])
@pytest.mark.parametrize(
    "waves",
    [
        ((2016, 2019, TREATED),),
        ((2016, 2017, ("t0",)), (2014, 2019, ("t1", "t2"))),
        ((2013, 2014, ("t0",)), (2016, 2019, TREATED)),
    ],
)
def test_a_trend_of_one_a_year_gives_the_years_apart(waves: tuple, options: dict) -> None:  # type: ignore[type-arg]
    trend = np.arange(len(YEARS), dtype=float)
    with_trend = city(dict.fromkeys(TREATED, trend), waves=waves, **options)
    without = city({}, waves=waves, **options)
    gained = answer(with_trend).estimate - answer(without).estimate
    assert q.years_apart(with_trend) == pytest.approx(gained)


def test_units_with_a_gap_do_not_come_back_when_its_year_is_left_out() -> None:
    path = {"t0": -5 * AFTER, "t1": -5 * AFTER, "t2": 90 * AFTER, "c03": 90 * AFTER}
    question = city(path, gaps=(("t2", 2019), ("c03", 2018)))
    assert q.entered(question) == (("t0", "t1"), tuple(unit for unit in OTHERS if unit != "c03"))
    for changed in (
        q.without_years(question, [2019]),
        q.without_years(question, [2018]),
        q.between(question, (2010, 2011), (2016,)),
    ):
        found = answer(changed)
        assert (found.n_treated, found.n_comparison) == (2, 19)
        assert found.estimate == pytest.approx(-5, abs=0.3)
    rule = elsewhere(gaps=(("a05", 2019),))
    assert "a05" not in q.entered(rule)[1]
    left = ask(q.without_years(rule, [2019]))  # type: ignore[arg-type]
    assert "a05" not in left.target.areas
    assert (
        left.target.change[-1]
        == pytest.approx(  # by hand, of the last area
            np.mean(rule.panel.values["y"][13, 6:9]) - np.mean(rule.panel.values["y"][13, :6])
        )
    )


def test_without_a_year_is_as_if_it_had_not_been_counted() -> None:
    question = city()
    rows = [
        {"area": unit, "year": year, "y": question.panel.values["y"][row, at]}
        for row, unit in enumerate(UNITS)
        for at, year in enumerate(YEARS)
        if year != 2017
    ]
    by_hand = replace(question, panel=build_panel(pd.DataFrame(rows), unit="area", outcome=["y"]))
    assert answer(q.without_years(question, [2017])).estimate == pytest.approx(answer(by_hand).estimate)


def test_between_takes_all_paths_in_at_once() -> None:
    question = city(waves=((2016, 2019, ("t0",)), (2014, 2015, ("t1", "t2"))))
    changed = q.between(question, (2010, 2011), (2012, 2013))
    assert isinstance(changed, CityQuestion)
    (path,) = changed.design.paths
    assert (path.spells, path.units) == (((2012, 2013),), ("t1", "t2", "t0")) or set(path.units) == set(
        TREATED
    )
    change = question.panel.values["y"][:, 2:4].mean(axis=1) - question.panel.values["y"][:, :2].mean(axis=1)
    assert answer(changed).estimate == pytest.approx(change[:3].mean() - change[3:].mean())


def test_other_values_of_a_criterion_do_not_change_whom_the_rule_chooses() -> None:
    question = elsewhere()
    upside_down = q.with_values(question, 100 - question.panel.values["y"])
    assert isinstance(upside_down, RuleQuestion)
    one, two = ask(question), ask(upside_down)
    assert one.cities["areas"].tolist() == two.cities["areas"].tolist()
    assert two.effect == pytest.approx(-one.effect)
    assert q.with_values(replace(question, outcome="people"), question.panel.values["y"]).outcome != "people"


def test_other_units_take_the_years_of_those_they_stand_for() -> None:
    question = city(waves=((2016, 2019, ("t0",)), (2013, 2015, ("t1", "t2"))))
    changed = q.of_other_units(question, {"c00": "t0", "c01": "t2"})
    rest = [unit for unit in OTHERS if unit not in ("c00", "c01")]
    by_hand = make_design(["c00", "c01", *rest], [(2016, 2019, ["c00"]), (2013, 2015, ["c01"])])
    assert isinstance(changed, CityQuestion)
    assert answer(changed).estimate == pytest.approx(answer(replace(question, design=by_hand)).estimate)
    assert changed.design.comparison == tuple(rest)


def test_of_other_units_elsewhere_those_without_a_rank_are_set_aside() -> None:
    question = elsewhere()
    people = question.panel.values["people"].copy()
    people[AREAS.index("a03")] = 100.0  # too small to enter anywhere
    people[AREAS.index("a04")] = 700.0  # below the minimum of the rule: compared, but without a rank
    panel = replace(question.panel, values={**question.panel.values, "people": people})
    rule = replace(question.rule, minimum_population=1000)
    changed = q.of_other_units(
        replace(question, panel=panel, rule=rule), dict.fromkeys(("a02", "a03", "a04"), "a12")
    )
    assert isinstance(changed, RuleQuestion)
    assert changed.treated == changed.discretionary == ("a02",)
    assert set(changed.set_aside) == {"a03", "a04", "a12", "a13"}
    assert ask(changed).target.areas == ("a00", "a01", "a02", *(f"a{at:02}" for at in range(5, 12)))


def test_without_units_leaves_the_rest_of_the_question_whole() -> None:
    question = replace(elsewhere(), set_aside=("a05",), exclude={"o": "a programme"})
    gone = {"a05", "a12", *(unit for unit in AREAS if unit[0] == "o")}
    changed = q.without_units(question, gone)
    assert isinstance(changed, RuleQuestion)
    assert (changed.set_aside, changed.exclude) == ((), {})
    assert "a12" in changed.city_of  # treated ones stay
    assert len(ask(changed).cities) == N_CITIES - 1


@BOTH
def test_bad_questions_are_refused(build: Build) -> None:
    question = build()
    for pre, post in (((), (2018,)), ((2012,), ()), ((2012, 2016), (2015, 2018)), ((1999,), (2018,))):
        with pytest.raises(DesignError):
            q.between(question, pre, post)
    with pytest.raises(DesignError, match="years before"):
        q.without_years(question, POST)
    with pytest.raises(DesignError, match="years before"):
        q.without_years(question, PRE)
    with pytest.raises(DesignError, match="value for each unit"):
        q.with_values(question, np.zeros((2, 2)))
    with pytest.raises(DesignError):
        q.of_other_units(question, {"nobody": treated_of(question)[0]})
    with pytest.raises(DesignError):
        answer(q.without_units(question, question.panel.units))


def test_nobody_with_a_full_year_has_no_years_to_compare() -> None:
    question = city(partial_years=4)
    with pytest.raises(DesignError, match="full year"):
        q.years_compared(question)
    whole = answer(city())
    for check in (
        quiet.definition_breaks(question, [2017]),
        altered.one_year(question, whole),
        quiet.pre_trend(question, whole),
        altered.functional_form(question, whole),
    ):
        heard(check, None, "error")


# Altered questions


@BOTH
def test_a_result_that_all_share_does_not_hang_on_one(build: Build) -> None:
    question = build()
    whole = answer(question)
    check = heard(altered.leave_one_comparison_out(question, whole), True, "steady")
    expected = list(OTHERS) if build is city else [chr(97 + at) for at in range(1, N_CITIES)]
    assert check.table["left_out"].tolist() == expected
    assert check.facts["n"] == len(expected)
    one = expected[3]
    members = [one] if build is city else [unit for unit in AREAS if unit[0] == one]
    row = check.table.set_index("left_out").loc[one]
    if isinstance(question, CityQuestion):
        kept = [at for at, unit in enumerate(UNITS) if unit not in members]
        values = question.panel.values["y"][kept]
        change = values[:, 6:].mean(axis=1) - values[:, :6].mean(axis=1)
        by_hand = change[:3].mean() - change[3:].mean()
        assert row["p_value"] == pytest.approx(1 / 1540)  # C(22, 3)
    else:  # the city named as one that has a programme of its own
        by_hand = ask(replace(question, exclude={one: ""})).effect
    assert row["estimate"] == pytest.approx(by_hand)
    heard(altered.one_year(question, whole), True, "steady")


def test_a_result_that_hangs_on_one_comparison_unit() -> None:
    question = city({"c00": -100 * AFTER, **dict.fromkeys(TREATED, -2 * AFTER)})
    # c00 lowers the mean of the others by 100 / 20 = 5: the treated seem to gain 3, and without it they lose 2.
    check = altered.leave_one_comparison_out(question, replace(answer(question), p_value=0.01))
    heard(check, False, "hangs_on_one")
    assert check.facts["variant"] == "c00"
    assert check.facts["estimate"] == pytest.approx(-2, abs=0.2)


@BOTH
def test_a_result_that_hangs_on_one_year(build: Build) -> None:
    once = -5 * np.array([year == 2018 for year in YEARS], dtype=float)
    treated = treated_of(build())
    question = build(dict.fromkeys(treated, once))
    check = heard(altered.one_year(question, answer(question)), False, "hangs_on_one")
    assert check.facts["variant"] == "2018"
    assert check.table["left_out"].tolist() == [str(year) for year in YEARS]


def test_years_that_the_answer_does_not_rest_on_are_not_left_out() -> None:
    question = city(pre_years=1)
    check = heard(altered.one_year(question, answer(question)), True, "steady")
    assert check.table["left_out"].tolist() == [
        "2016",
        "2017",
        "2018",
        "2019",
    ]  # 2015 is the only year before
    question = city(waves=((2016, 2016, TREATED),))
    heard(altered.one_year(question, answer(question)), None, "one_year_after")


def test_a_variant_that_cannot_be_computed_is_not_one_that_agrees() -> None:
    # The base of the second path is 2017 alone; without it that path has no year before.
    question = city(
        {"t0": -5 * AFTER, "t1": -5 * AFTER, "t2": -5 * np.array([year >= 2018 for year in YEARS])},
        waves=((2016, 2019, ("t0", "t1")), (2018, 2019, ("t2",))),
        pre_years=2,
    )
    question = replace(question, design=replace(question.design, pre_years=1))
    waves = city(waves=((2016, 2019, ("t0", "t1")), (2018, 2019, ("t2",))), pre_years=1)
    check = altered.one_year(replace(question, design=waves.design), answer(question))
    assert check.table.loc[check.table["estimate"].isna(), "left_out"].tolist() == ["2017"]
    heard(check, None, "not_all_answered")
    assert check.facts["variant"] == "2017"
    assert check.facts["n_not_answered"] == 1


@BOTH
def test_a_comparison_with_nobody_left_cannot_answer(build: Build) -> None:
    question = build()
    whole = answer(question)
    nobody: list[altered.Variant] = []
    heard(altered.compare_variants("one_year", "year", whole, nobody), None, "no_variant")
    heard(
        altered.compare_variants("one_year", "year", whole, [("x", lambda: q.without_years(question, POST))]),
        None,
        "error",
    )
    flat = replace(whole, estimate=0.0)
    heard(altered.leave_one_comparison_out(question, flat), None, "no_difference")
    heard(altered.functional_form(question, flat), None, "no_difference")
    heard(quiet.honest(question, flat), None, "no_difference")
    for broken in (replace(question, outcome="nothing"),):
        for check in (
            altered.leave_one_comparison_out(broken, whole),
            altered.one_year(broken, whole),
            altered.without_neighbours(broken, whole, {}),
            altered.comparison_changed(broken, whole),
            quiet.anticipation(broken, whole),
            quiet.pre_trend(broken, whole),
            quiet.honest(broken, whole),
            quiet.spillover(broken, whole, {}),
        ):
            if check.reason not in (
                "few_years",
                "no_neighbours",
            ):  # of a rule's years nothing need be computed
                heard(check, None, "error")


def test_eight_reference_cities_cannot_be_one_fewer() -> None:
    question = elsewhere()
    question = replace(question, exclude={chr(97 + at): "" for at in range(9, N_CITIES)})
    check = heard(altered.leave_one_comparison_out(question, answer(question)), None, "error")
    assert "Too few reference cities" in str(check.facts["message"])


def test_too_few_units_for_any_test_is_no_failure() -> None:
    question = few(20)
    whole = answer(question)
    assert whole.p_value == pytest.approx(1 / 21)
    part = {unit: "north" if at < 7 else "south" for at, unit in enumerate(question.panel.units)}
    check = altered.comparison_changed(question, whole, parent=part)
    heard(check, None, "few_areas")  # of six others the smallest p-value is 1/7, above 0.1
    assert check.table["p_value"].tolist() == pytest.approx([1 / 7])
    neighbours = {"t0": OTHERS[:13]}
    heard(altered.without_neighbours(question, whole, neighbours), None, "few_areas")
    at_tenth = replace(few(8), alpha=0.2)
    heard(
        altered.leave_one_comparison_out(replace(at_tenth, alpha=0.06), replace(whole, alpha=0.06)),
        None,
        "few_areas",
    )
    heard(altered.one_year(few(8), replace(whole, alpha=0.05)), None, "few_areas")
    # t0 and t1 against eight: C(10, 2) = 45 sets, and without one of them 9, so at best 1/9
    pair = city()
    units = ("t0", "t1", *OTHERS[:8])
    design = make_design(units, [(START, 2019, units[:2])])
    heard(leave_one_out(pair.panel, design, outcome="y", seed=1, alpha=0.05), None, "few_areas")


@BOTH
def test_beyond_chance_no_more(build: Build) -> None:
    question = build()
    whole = answer(question)
    rng = np.random.default_rng(1)
    own = [question.panel.units.index(unit) for unit in treated_of(question)]
    noisy = question.panel.values["y"].copy()
    rest = [row for row in range(len(noisy)) if row not in own]
    shift = rng.normal(0, 16, (len(rest), 1))
    if isinstance(question, CityQuestion):
        shift -= shift.mean()
    else:  # what is added in the own city sums to nothing, so that the size stays about the same
        home = [at for at, row in enumerate(rest) if row < SIZE]
        shift[home] = 0.0
        shift -= shift.mean()
        shift[home] = 0.0
    noisy[np.ix_(rest, range(6, 10))] += shift
    check = altered.compare_variants(
        "without_neighbours", "left_out", whole, [("noise", lambda: q.with_values(question, noisy))]
    )
    heard(check, False, "beyond_chance_no_more")


@BOTH
def test_neighbours_out_of_the_comparison(build: Build) -> None:
    question = build()
    treated = treated_of(question)
    others = list(q.compared_units(question))
    whole = answer(question)
    near = {treated[0]: others[-2:], others[0]: [treated[1]]}  # from either side of the list
    check = heard(altered.without_neighbours(question, whole, near), True, "steady")
    assert check.table["left_out"].tolist() == [", ".join([others[0], *others[-2:]])]
    heard(altered.without_neighbours(question, whole, {}), None, "no_neighbours")
    heard(altered.without_neighbours(question, whole, {treated[0]: others[1:]}), None, "small_pool")
    for unit in others[-2:]:
        question = plus(question, unit, 60.0 * AFTER)  # type: ignore[assignment]
    whole = answer(question)
    heard(altered.without_neighbours(question, whole, near), False, "hangs_on_one")


def test_a_neighbour_that_does_not_enter_is_not_left_out() -> None:
    question = city(gaps=(("c00", 2017),))
    check = altered.without_neighbours(question, answer(question), {"t0": ["c00"]})
    heard(check, None, "no_neighbours")


@BOTH
def test_comparison_with_areas_of_the_same_size_or_part(build: Build) -> None:
    question = build()
    whole = answer(question)
    treated, others = treated_of(question), q.compared_units(question)
    size = dict.fromkeys(treated, 1000.0) | {
        unit: 2000.0 if at < 8 else 2001.0 for at, unit in enumerate(others)
    }
    part = dict.fromkeys((*treated, *others[:7]), "north") | dict.fromkeys(others[7:], "south")
    check = altered.comparison_changed(question, whole, size=size, parent=part)
    heard(check, True, "steady")
    assert check.table["comparison"].tolist() == ["same_size", "same_part"]
    if isinstance(question, CityQuestion):
        values = question.panel.values["y"]
        change = values[:, 6:].mean(axis=1) - values[:, :6].mean(axis=1)
        assert check.table["estimate"].tolist() == pytest.approx(
            [change[:3].mean() - change[3 : 3 + n].mean() for n in (8, 7)]
        )
    heard(altered.comparison_changed(question, whole), None, "unknown")
    heard(altered.comparison_changed(question, whole, size={}, parent={"x": "north"}), None, "unknown")
    same = dict.fromkeys(question.panel.units, 500.0)
    heard(altered.comparison_changed(question, whole, size=same), None, "same_pool")
    alone = size | dict.fromkeys(others[5:], 9000.0)
    small = heard(altered.comparison_changed(question, whole, size=alone), None, "small_pool")
    assert small.facts["n"] == 5
    unknown = size | {treated[0]: np.nan}  # wherever it stands among the treated
    other = size | {treated[-1]: np.nan}
    for sizes in (unknown, other):
        assert len(altered.comparison_changed(question, whole, size=sizes).table) == 1
    turned = question
    for unit in others[:7]:
        turned = plus(turned, unit, -6.0 * AFTER)  # type: ignore[assignment]
    # against all others the treated fall, against those of their own part they rise by one
    check = altered.comparison_changed(turned, replace(whole, estimate=-3.0), parent=part)
    heard(check, False, "hangs_on_one")


@BOTH
def test_a_fall_is_one_in_ranks_and_logarithms_too(build: Build) -> None:
    treated = treated_of(build())
    question = build(dict.fromkeys(treated, -12 * AFTER))
    check = altered.functional_form(question, answer(question))
    assert check.table["form"].tolist() == ["rank", "log"]
    if isinstance(question, CityQuestion):
        values = question.panel.values["y"]
        ranks = np.array([[np.mean(values[:, t] < x) for t, x in enumerate(row)] for row in values])
        for form, changed in zip(("rank", "log"), (ranks, np.log(values)), strict=True):
            change = changed[:, 6:].mean(axis=1) - changed[:, :6].mean(axis=1)
            expected = change[:3].mean() - change[3:].mean()
            assert check.table.set_index("form")["estimate"][form] == pytest.approx(expected)
    else:
        heard(check, True, "steady")


def test_a_rank_that_does_not_change_says_nothing() -> None:
    top = dict.fromkeys(("t0", "t1", "t2"), 60 - 5 * AFTER)  # far above all others before and after
    question = city(top)
    check = heard(altered.functional_form(question, answer(question)), None, "beyond_chance_no_more")
    assert check.facts["variant"] == "rank"


def test_a_fall_that_is_a_rise_in_logarithms() -> None:
    # The treated fall from 52 to 50.4, others from 30 to 28: by hand log(50.4/52) = -0.031, log(28/30) = -0.069.
    values = np.full((len(UNITS), len(YEARS)), 30.0)
    values[:3] = 52.0
    values[3:] -= 2.0 * AFTER
    values[:3] -= 2.5 * AFTER
    values += NOISE / 10
    question = replace(city(), panel=panel_of(values))
    whole = answer(question)
    assert whole.estimate == pytest.approx(-0.5, abs=0.05)
    check = heard(altered.functional_form(question, whole), False, "turns")
    assert check.facts["variant"] == "log"


def test_a_unit_that_comes_moves_no_rank() -> None:
    question = city(gaps=tuple((unit, year) for unit in OTHERS[:4] for year in YEARS[:6]))
    check = altered.functional_form(question, answer(question))
    kept = [at for at, unit in enumerate(UNITS) if unit not in OTHERS[:4]]
    values = question.panel.values["y"][kept]
    ranks = np.array([[np.mean(values[:, t] < x) for t, x in enumerate(row)] for row in values])
    change = ranks[:, 6:].mean(axis=1) - ranks[:, :6].mean(axis=1)
    assert check.table["estimate"][0] == pytest.approx(change[:3].mean() - change[3:].mean())


def test_forms_that_cannot_be_computed() -> None:
    question = elsewhere()
    whole = answer(question)
    values = question.panel.values["y"].copy()
    values[0, 0] = 0.0
    zero = replace(question, panel=replace(question.panel, values={**question.panel.values, "y": values}))
    assert altered.functional_form(zero, whole).table["form"].tolist() == ["rank"]
    broken = replace(question, target="nowhere")
    heard(altered.functional_form(broken, whole), None, "error")
    # Where only the treated areas change their rank, no city elsewhere differs from another in ranks.
    calm = RULE_LEVEL + (question.panel.values["y"] - RULE_LEVEL) / 100
    quiet_country = q.with_values(question, calm)
    check = heard(altered.functional_form(quiet_country, answer(quiet_country)), None, "not_all_answered")
    assert check.facts["variant"] == "rank"


def test_windows_of_areas_are_left_out_one_by_one() -> None:
    question = elsewhere()
    own = {unit: "a" for unit in AREAS if unit[0] == "a"}
    windows = contiguous_windows(AREAS, 12, target=own)
    changed = replace(question, city_of=windows)
    check = heard(altered.leave_one_comparison_out(changed, answer(changed)), True, "steady")
    assert check.table["left_out"].tolist() == sorted(set(windows.values()) - {"a"})


def test_in_a_part_of_the_city_that_is_too_unsteady_it_is_within_chance() -> None:
    swings = np.array([9.0, -9.0, 8.0, -8.0, 7.0, -7.0])
    added = dict.fromkeys(TREATED, -5 * AFTER) | {
        unit: swing * AFTER for unit, swing in zip(OTHERS, swings, strict=False)
    }
    question = city(added)
    part = dict.fromkeys((*TREATED, *OTHERS[:6]), "north")
    check = altered.comparison_changed(question, answer(question), parent=part)
    heard(check, False, "beyond_chance_no_more")
    # by brute force: of all comb(9, 3) = 84 sets those that differ from the others at least as much
    values = question.panel.values["y"][:9]
    change = values[:, 6:].mean(axis=1) - values[:, :6].mean(axis=1)
    sizes = [
        abs(change[list(chosen)].mean() - np.delete(change, chosen).mean())
        for chosen in itertools.combinations(range(9), 3)
    ]
    assert check.facts["p_value"] == pytest.approx(np.mean(np.array(sizes) >= sizes[0] - 1e-9))


@BOTH
def test_a_plan_may_draw_the_lines_elsewhere(build: Build) -> None:
    """The same variants, judged by another share that must be left, and by another level of their tests."""
    question = build()
    whole = answer(question)
    values = q.values_of(question).copy()
    rows = [question.panel.units.index(unit) for unit in treated_of(question)]
    columns = [question.panel.periods.index(year) for year in POST]
    values[np.ix_(rows, columns)] -= 0.3 * whole.estimate  # seven tenths of the result are left
    variants = [("less", lambda: q.with_values(question, values))]

    def asked(**lines: float) -> tuple[bool | None, str]:
        check = altered.compare_variants("x", "left_out", whole, variants, thresholds=Thresholds(**lines))
        assert check.table["estimate"].item() == pytest.approx(0.7 * whole.estimate, rel=1e-3)
        return check.passed, check.reason

    assert asked() == (True, "steady")
    assert asked(share_kept=0.69) == (True, "steady")
    assert asked(share_kept=0.71) == (False, "hangs_on_one")
    chance = altered.compare_variants("x", "left_out", whole, variants).table["p_value"].item()
    assert asked(level=1.01 * chance / whole.alpha)[1] == "steady"
    assert asked(level=0.99 * chance / whole.alpha)[1] in ("beyond_chance_no_more", "few_areas")
