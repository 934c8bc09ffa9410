"""Choosing areas by a rule, against hand calculations and the embedded programme."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from mekeval import DesignError, Study, clean_indicators, select_areas

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
