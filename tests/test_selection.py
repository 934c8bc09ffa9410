"""Choosing areas by a rule, against hand calculations and the embedded programme."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from mekeval import DataError, DesignError, Study, build_panel, clean_indicators, select_areas
from mekeval.design import Rule, apply_rule, rule_criteria, selection_stability

# Two criteria over four areas. low: 1, 2, 3, 6, mean 3, sd sqrt(14/3); jobs: 4, 8, 8, 4, mean 6, sd sqrt(16/3).
RATES = pd.DataFrame({"low": [1.0, 2, 3, 6], "jobs": [4.0, 8, 8, 4]})
LOW, JOBS = math.sqrt(14 / 3), math.sqrt(16 / 3)


def test_scores_by_hand() -> None:
    result = select_areas(list("abcd"), RATES, choose=2)
    scores = result.table.set_index("area")["score"]
    assert scores["c"] == pytest.approx((0 / LOW + 2 / JOBS) / 2)  # 0.433
    assert scores["d"] == pytest.approx((3 / LOW - 2 / JOBS) / 2)  # 0.261
    assert scores["b"] == pytest.approx((-1 / LOW + 2 / JOBS) / 2)  # 0.202
    assert result.chosen == ("c", "d")
    assert result.margin == pytest.approx(float(scores["d"] - scores["b"]))
    assert [result.rank_of(area) for area in "cdba"] == [1, 2, 3, 4]


def test_weights_change_the_choice() -> None:
    assert select_areas(list("abcd"), RATES, choose=1, weights=[3, 1]).chosen == ("d",)
    assert select_areas(list("abcd"), RATES, choose=2, weights=[0, 1]).chosen == ("b", "c")
    assert select_areas(list("abcd"), RATES, choose=1, weights=[0, 1]).margin == pytest.approx(
        0
    )  # b and c tie


def test_small_and_incomplete_areas_are_not_eligible_and_say_why() -> None:
    rates = RATES.copy()
    rates["jobs"] = [3.0, 8, np.nan, 4]
    people = np.array([2000.0, 900, 2000, 2000])
    result = select_areas(list("abcd"), rates, choose=1, population=people, minimum_population=1000)
    assert result.chosen == ("d",)
    assert dict(zip(result.table["area"], result.table["why_not"], strict=True)) == {
        "d": "",
        "a": "",
        "b": "small",
        "c": "missing",
    }
    assert result.rank_of("c") is None


def test_choosing_everyone_has_no_margin() -> None:
    assert select_areas(list("abcd"), RATES, choose=4).margin == float("inf")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"choose": 5}, "more areas than are eligible"),
        ({"choose": 0}, "at least one"),
        ({"choose": 1, "weights": [1]}, "weights do not fit"),
        ({"choose": 1, "weights": [1, -1]}, "weights do not fit"),
        ({"choose": 1, "population": np.ones(3)}, "different lengths"),
        ({"choose": 1.5}, "whole number of areas"),
        ({"choose": "2"}, "whole number of areas"),
        ({"choose": None}, "whole number of areas"),
        ({"choose": 1, "minimum_population": 1000}, "minimum population needs populations"),
        ({"choose": 1, "population": ["a", "b", "c", "d"]}, "A number is needed"),
        ({"choose": 1, "weights": ["much", 1]}, "A number is needed"),
    ],
)
def test_rules_that_cannot_be_applied(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(DesignError, match=words):
        select_areas(list("abcd"), RATES, **arguments)  # type: ignore[arg-type]


def test_a_criterion_without_variation_is_named() -> None:
    with pytest.raises(DesignError, match="jobs"):
        select_areas(list("abcd"), RATES.assign(jobs=1.0), choose=1)


def test_the_programmes_rule_finds_the_four_districts_of_the_embedded_study(example: Study) -> None:
    table = clean_indicators(example).table
    rule = example.spec.programme.rule
    assert rule is not None
    units = example.areas.units
    criteria = pd.DataFrame(
        {
            name: table[(table["indicator"] == name) & (table["year"] == year)]
            .set_index("area")["value"]
            .reindex(units)
            for name, year in rule.criteria.items()
        }
    )
    people = example.areas.table.loc[list(units), "population"].to_numpy(dtype=float, na_value=0)
    result = select_areas(units, criteria, choose=4, population=people, minimum_population=1000)
    names = {example.areas.name(code, "fi") for code in result.chosen}
    assert names == {"Havukoski", "Länsimäki", "Hakunila", "Mikkola"}
    assert example.areas.name(str(result.table["area"].iloc[4]), "fi") == "Martinlaakso"


def test_scores_of_ranks_by_hand() -> None:
    # low: shares better off 0.125, 0.375, 0.625, 0.875. jobs: 4, 8, 8, 4 are tied in pairs: mean ranks 1.5 and 3.5,
    # so shares (1.5 - 0.5) / 4 = 0.25 and (3.5 - 0.5) / 4 = 0.75.
    result = select_areas(list("abcd"), RATES, choose=2, score="rank")
    scores = result.table.set_index("area")["score"]
    assert scores.to_dict() == pytest.approx({"a": 0.1875, "b": 0.5625, "c": 0.6875, "d": 0.5625})
    assert result.chosen == ("c", "b")
    assert result.margin == 0.0
    assert result.tied == ("b", "d")


def test_a_tie_does_not_hang_on_the_order_of_the_rows() -> None:
    backwards = select_areas(list("dcba"), RATES.iloc[::-1], choose=2, score="rank")
    assert backwards.chosen == ("c", "b")
    assert backwards.tied == ("b", "d")


def test_a_criterion_that_is_higher_for_the_better_is_turned_around() -> None:
    turned = RATES.assign(jobs=-RATES["jobs"])
    one = select_areas(list("abcd"), RATES, choose=2)
    two = select_areas(list("abcd"), turned, choose=2, higher_is=["worse", "better"])
    assert one.table["score"].tolist() == two.table["score"].tolist()
    assert one.chosen == two.chosen


def test_at_most_so_many_and_only_beyond_the_threshold() -> None:
    # Scores 0.433, 0.261, 0.202, ... as above.
    result = select_areas(list("abcd"), RATES, choose=3, at_least=0.25)
    assert result.chosen == ("c", "d")
    assert result.margin == pytest.approx((3 / LOW - 2 / JOBS) / 2 - (-1 / LOW + 2 / JOBS) / 2)
    assert select_areas(list("abcd"), RATES, choose=1, at_least=0.25).chosen == ("c",)
    with pytest.raises(DesignError, match="reaches the threshold"):
        select_areas(list("abcd"), RATES, choose=1, at_least=0.5)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"score": "median"}, "Unknown score"),
        ({"higher_is": ["worse"]}, "worse or for the better"),
        ({"higher_is": ["worse", "up"]}, "worse or for the better"),
    ],
)
def test_words_that_are_not_known(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(DesignError, match=words):
        select_areas(list("abcd"), RATES, choose=1, **arguments)  # type: ignore[arg-type]


def test_an_area_listed_twice_and_an_infinite_value_are_refused() -> None:
    with pytest.raises(DesignError, match="listed twice"):
        select_areas(list("abca"), RATES, choose=1)
    with pytest.raises(DesignError, match="infinite"):
        select_areas(list("abcd"), RATES.assign(low=[1.0, 2, 3, np.inf]), choose=1)


RULE = Rule(
    criteria={"low": 2014, "jobs": (2013, 2014)}, choose=2, weights={"low": 3.0}, minimum_population=10
)


def test_a_rule_takes_its_criteria_from_a_panel() -> None:
    frame = pd.DataFrame(
        {
            "area": list("abcd") * 2,
            "year": [2013] * 4 + [2014] * 4,
            "low": [9.0, 9, 9, 9, *RATES["low"]],
            "jobs": [*(RATES["jobs"] - 1), *(RATES["jobs"] + 1)],
            "people": 100.0,
        }
    )
    panel = build_panel(frame, outcome=["low", "jobs", "people"])
    criteria = rule_criteria(panel, RULE)
    np.testing.assert_array_equal(criteria.to_numpy(), RATES.to_numpy())
    chosen = apply_rule(panel.units, criteria, RULE, population=np.full(4, 100.0))
    assert chosen.chosen == select_areas(list("abcd"), RATES, choose=2, weights=[3, 1]).chosen
    with pytest.raises(DesignError, match="populations are needed"):
        apply_rule(panel.units, criteria, RULE)
    with pytest.raises(DataError, match="no column"):
        apply_rule(panel.units, criteria[["low"]], RULE, population=np.full(4, 100.0))
    gone = frame.assign(low=frame["low"].where(frame["year"] == 2013))
    with pytest.raises(DesignError, match="No area has a value"):
        rule_criteria(build_panel(gone, outcome=["low", "jobs"]), RULE)


def test_how_often_the_nearer_of_two_areas_is_chosen_under_error() -> None:
    # One criterion, values 0, 1 and 10, an error of 1: the higher one of a and b is chosen beside c, and that is b
    # with probability Phi(1 / sqrt(2)) = 0.7602. Draws: 4,000, so the share errs by 0.0068.
    rates = pd.DataFrame({"low": [0.0, 1.0, 10.0]})
    found = selection_stability(
        list("abc"), rates, Rule(criteria={"low": 1}, choose=2), error_sd=rates * 0 + 1, draws=4000, seed=5
    )
    share = found.table.set_index("area")["share_chosen"]
    assert share["c"] == 1.0
    assert share["b"] == pytest.approx(0.7602, abs=4 * 0.0068)
    assert share.sum() == pytest.approx(2.0)
    assert found.same_choice == share["b"]
    assert found.table.set_index("area").loc["b", ["rank_low", "rank_high"]].tolist() == [2, 3]
    assert (found.error, found.draws) == ("given", 4000)


def test_errors_of_sampling_are_binomial() -> None:
    # 50 % of 10,000 and 51 % of 10,000 persons: standard deviations 0.5 and 0.4999 points, so the second is higher with
    # probability Phi(1 / 0.70704) = 0.9214.
    rates = pd.DataFrame({"low": [50.0, 51.0, 20.0]})
    found = selection_stability(
        list("abc"),
        rates,
        Rule(criteria={"low": 1}, choose=1),
        persons=rates * 0 + 10_000,
        draws=4000,
        seed=6,
    )
    assert found.table.set_index("area")["share_chosen"]["b"] == pytest.approx(0.9214, abs=4 * 0.0043)
    assert found.error == "sampling"


def test_other_weights_change_the_choice_only_between_areas_that_the_criteria_rank_differently() -> None:
    rates = pd.DataFrame({"low": [10.0, 9, 1, 2, 3], "jobs": [9.0, 10, 1, 2, 3]})
    rule = Rule(criteria={"low": 1, "jobs": 1}, choose=1)
    found = selection_stability(list("abcde"), rates, rule, weight_spread=0.5, draws=4000, seed=7)
    share = found.table.set_index("area")["share_chosen"]
    # a leads where the weight of low is the larger, b where that of jobs is: each in half of the draws
    assert share["a"] == pytest.approx(0.5, abs=4 * 0.008)
    assert share["a"] + share["b"] == pytest.approx(1.0)
    again = selection_stability(list("abcde"), rates, rule, weight_spread=0.5, draws=4000, seed=7)
    pd.testing.assert_frame_equal(found.table, again.table)
    turned = selection_stability(list("edcba"), rates.iloc[::-1], rule, weight_spread=0.5, draws=4000, seed=7)
    pd.testing.assert_frame_equal(found.table, turned.table)


def test_stability_without_a_source_of_change_is_refused() -> None:
    rule = Rule(criteria={"low": 1, "jobs": 1}, choose=1)
    with pytest.raises(DesignError, match="Nothing varies"):
        selection_stability(list("abcd"), RATES, rule, seed=1)
    with pytest.raises(DesignError, match="Errors come from"):
        selection_stability(list("abcd"), RATES, rule, error_sd=RATES, persons=RATES, seed=1)
    with pytest.raises(DataError, match="not known"):
        selection_stability(list("abcd"), RATES, rule, error_sd=-RATES, seed=1)
    with pytest.raises(DataError, match="not known"):
        selection_stability(list("abcd"), RATES + 100, rule, persons=RATES, seed=1)


def test_weights_are_told_as_numbers() -> None:
    with pytest.raises(DesignError, match="weights do not fit") as caught:
        select_areas(list("abcd"), RATES, choose=1, weights=[1.5, float("nan")])
    assert "found: 1.5, nan" in str(caught.value)


def test_criteria_by_area_in_another_order_are_refused() -> None:
    named = RATES.set_axis(list("abcd"))
    assert select_areas(list("abcd"), named, choose=1).chosen == ("c",)
    with pytest.raises(DesignError, match="another order"):
        select_areas(list("dcba"), named, choose=1)


def test_errors_go_to_the_areas_by_their_index() -> None:
    # Only b and c are near each other: an error of b alone moves the choice, wherever its row stands in the table.
    rates = pd.DataFrame({"low": [0.0, 9.0, 10.0, 1.0]}, index=list("abcd"))
    rule = Rule(criteria={"low": 1}, choose=1)
    errors = pd.DataFrame({"low": [0.0, 3.0, 0.0, 0.0]}, index=list("abcd"))
    settings = {"draws": 4000, "seed": 4}
    one = selection_stability(list("abcd"), rates, rule, error_sd=errors, **settings)  # type: ignore[arg-type]
    turned = selection_stability(list("abcd"), rates, rule, error_sd=errors.iloc[::-1], **settings)  # type: ignore[arg-type]
    # b exceeds c with probability 1 - Phi(1 / 3) = 0.3694; standard error 0.0076
    assert one.table.set_index("area").loc["b", "share_chosen"] == pytest.approx(0.3694, abs=4 * 0.0076)
    pd.testing.assert_frame_equal(one.table, turned.table)
    plain = rates.reset_index(drop=True)  # rows by position, errors by area
    by_area = selection_stability(list("abcd"), plain, rule, error_sd=errors.iloc[::-1], **settings)  # type: ignore[arg-type]
    pd.testing.assert_frame_equal(one.table, by_area.table)


@pytest.mark.parametrize("name", ["error_sd", "persons"])
def test_a_table_of_errors_that_does_not_fit_is_refused(name: str) -> None:
    rates = RATES.set_axis(list("abcd"))
    rule = Rule(criteria={"low": 1, "jobs": 1}, choose=1)
    for table, words in (
        (rates.iloc[:2], "none for c, d"),
        (rates[["low"]], "'jobs'"),
        (RATES, "none for a, b, c, d"),
        (rates.iloc[[0, 0, 1, 2, 3]], "index twice"),
        (rates.to_numpy(), "A table is needed"),
    ):
        with pytest.raises(DataError, match=words):
            selection_stability(list("abcd"), rates, rule, seed=1, **{name: table})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("setting", "value"),
    [("seed", None), ("seed", -1), ("seed", 1.5), ("draws", 0), ("draws", 2.5), ("weight_spread", "much")],
)
def test_settings_of_stability_that_cannot_be(setting: str, value: object) -> None:
    settings = {"seed": 1, "draws": 9, "weight_spread": 0.5} | {setting: value}
    with pytest.raises(DesignError) as caught:
        selection_stability(list("abcd"), RATES, Rule(criteria={"low": 1, "jobs": 1}, choose=1), **settings)  # type: ignore[arg-type]
    assert [fault.where for fault in caught.value.faults] == [setting]
