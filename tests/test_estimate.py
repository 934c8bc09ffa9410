"""Estimates against what R's did prints (reference/r_reference.csv) and against hand calculations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mekeval import (
    DesignError,
    aggregate,
    build_panel,
    contrast,
    design_from_cohorts,
    group_time_att,
    make_design,
    unit_contrast,
)
from mekeval.design import Design
from mekeval.estimate import Effects
from mekeval.panel import Panel

TOLERANCE = 1e-7  # the reference is rounded to 8 digits
R = pd.read_csv(Path(__file__).parents[1] / "reference" / "r_reference.csv")


@pytest.fixture(scope="module")
def mpdta(reference: Path) -> tuple[Panel, Design]:
    """County teen employment: 500 counties, 2003-2007, cohorts 2004, 2006, 2007 and never (0 in the file)."""
    data = pd.read_csv(reference / "mpdta.csv")
    panel = build_panel(data, unit="countyreal", period="year", outcome=["lemp"])
    first = data.drop_duplicates("countyreal").set_index(data["countyreal"].drop_duplicates().astype(str))
    cohorts = first["first.treat"].reindex(list(panel.units)).astype("Int64").replace(0, pd.NA)
    return panel, design_from_cohorts(panel.units, list(cohorts), last_period=2007)


@pytest.fixture(scope="module")
def effects(mpdta: tuple[Panel, Design]) -> Effects:
    return group_time_att(*mpdta, outcome="lemp", base_period="varying")


def _r(quantity: str) -> tuple[float, float]:
    row = R[(R["case"] == "mpdta_cs_never") & (R["quantity"] == quantity)].iloc[0]
    return float(row["estimate"]), float(row["se"])


def test_every_group_time_effect_agrees_with_r(effects: Effects) -> None:
    table = effects.tidy()
    assert len(table) == 12
    for row in table.itertuples():
        estimate, error = _r(f"att_{row.cohort}_{row.period}")
        assert row.att == pytest.approx(estimate, abs=TOLERANCE)
        assert row.se == pytest.approx(error, abs=TOLERANCE)


@pytest.mark.parametrize(
    ("by", "quantity"),
    [
        ("simple", "simple"),
        ("path", "group_overall"),
        ("calendar", "calendar_overall"),
        ("event_time", "dynamic_overall"),
    ],
)
def test_every_overall_aggregation_agrees_with_r(effects: Effects, by: str, quantity: str) -> None:
    aggregation = aggregate(effects, by=by)  # type: ignore[arg-type]
    assert (aggregation.overall, aggregation.overall_se) == pytest.approx(_r(quantity), abs=TOLERANCE)


def test_every_event_time_agrees_with_r(effects: Effects) -> None:
    table = aggregate(effects, by="event_time").table
    assert list(table["key"]) == [-3, -2, -1, 0, 1, 2, 3]
    for row in table.itertuples():
        assert (row.att, row.se) == pytest.approx(_r(f"es_{row.key}"), abs=TOLERANCE)


# A panel worked by hand. Unit a is treated 3-4, b in 3 only, c in 4 only; d and e never. Period 2 has no data.
HAND = pd.DataFrame(
    {
        "unit": list("aaabbbcccdddeee"),
        "year": [1, 3, 4] * 5,
        "y": [10.0, 14, 15, 8, 11, 9, 6, 7, 12, 4, 5, 7, 2, 5, 3],
    }
)


@pytest.fixture
def by_hand() -> Effects:
    panel = build_panel(HAND, unit="unit", period="year", outcome=["y"])
    design = make_design(list("abcde"), [(3, 3, ["a", "b"]), (4, 4, ["a", "c"])])
    return group_time_att(panel, design, outcome="y")


def test_paths_that_stay_leave_and_enter(by_hand: Effects) -> None:
    # comparison d, e: 1 -> 3: (1 + 3) / 2 = 2; 1 -> 4: (3 + 1) / 2 = 2; mean of 1 and 3 -> 4: 2.5, 0 -> (2.5 - 0.5) / 2
    cells = by_hand.cells.set_index(["path", "period"])
    assert cells.loc[("3-4", 3), "att"] == pytest.approx((14 - 10) - 2)
    assert cells.loc[("3-4", 4), "att"] == pytest.approx((15 - 10) - 2)
    assert cells.loc[("3-3", 3), "att"] == pytest.approx((11 - 8) - 2)
    assert cells.loc[("3-3", 4), "att"] == pytest.approx((9 - 8) - 2)
    assert cells.loc[("3-3", 4), "phase"] == "after"
    # d: 7 - (4 + 5) / 2 = 2.5; e: 3 - (2 + 5) / 2 = -0.5; mean 1.0
    assert cells.loc[("4-4", 4), "att"] == pytest.approx((12 - (6 + 7) / 2) - 1.0)


def test_aggregations_by_hand(by_hand: Effects) -> None:
    # while treated: a in 3 (2) and 4 (3), b in 3 (1), c in 4 (4.5); each path is one unit
    assert aggregate(by_hand, by="simple").overall == pytest.approx((2 + 3 + 1 + 4.5) / 4)
    assert aggregate(by_hand, by="path").overall == pytest.approx((2.5 + 1 + 4.5) / 3)
    assert list(aggregate(by_hand, by="calendar").table["att"]) == pytest.approx([(2 + 1) / 2, (3 + 4.5) / 2])
    assert list(aggregate(by_hand, by="after_leaving").table["att"]) == pytest.approx([-1])
    districts = aggregate(by_hand, by="district").table
    assert list(districts["key"]) == ["a", "b", "c"]
    assert list(districts["att"]) == pytest.approx([2.5, 1, 4.5])


def test_a_unit_alone_has_no_standard_error_and_says_so(by_hand: Effects) -> None:
    table = by_hand.tidy()
    assert table["se"].isna().all()
    assert (table["se_note"] == "one treated unit: no standard error exists").all()


def test_district_effects_average_to_the_path(effects: Effects) -> None:
    districts = aggregate(effects, by="district").table.set_index("key")["att"]
    cohorts = {str(unit): group for unit, group in zip(effects.units, effects.group, strict=True)}
    of_first = [districts[unit] for unit, group in cohorts.items() if group == 0]
    assert np.mean(of_first) == pytest.approx(aggregate(effects, by="path").table["att"].iloc[0])


def test_a_contrast_repeats_the_estimate(effects: Effects, by_hand: Effects) -> None:
    for some in (effects, by_hand):
        weights = aggregate(some, by="simple").weights[0]
        one = contrast(some, weights, label="all")
        difference = 0.0
        for group, weight in enumerate(one.group_weights):
            inside = one.changes[one.group == group, group].mean()
            difference += weight * (inside - one.changes[one.group == -1, group].mean())
        assert difference == pytest.approx(one.att)
    assert unit_contrast(by_hand, "c").att == pytest.approx(4.5)


def test_invariances(mpdta: tuple[Panel, Design]) -> None:
    panel, design = mpdta
    plain = group_time_att(panel, design, outcome="lemp").cells["att"]
    shifted = Panel(
        units=panel.units,
        periods=panel.periods,
        values={"lemp": 3 * panel.values["lemp"] + 7},
        bases=panel.bases,
        reasons=panel.reasons,
    )
    assert np.allclose(group_time_att(shifted, design, outcome="lemp").cells["att"], 3 * plain, atol=1e-12)


def test_row_order_does_not_matter() -> None:
    design = make_design(list("abcde"), [(3, 3, ["a", "b"]), (4, 4, ["a", "c"])])
    frames = (HAND, HAND.sample(frac=1, random_state=3))
    atts = []
    for frame in frames:
        panel = build_panel(frame, unit="unit", period="year", outcome=["y"])
        atts.append(
            group_time_att(panel, design, outcome="y").cells.set_index(["path", "period"])["att"].sort_index()
        )
    pd.testing.assert_series_equal(*atts)


def test_the_frame_that_comes_in_stays_as_it_was() -> None:
    before = HAND.copy(deep=True)
    panel = build_panel(HAND, unit="unit", period="year", outcome=["y"])
    values = panel.values["y"].copy()
    group_time_att(panel, make_design(list("abcde"), [(3, 4, ["a"])]), outcome="y")
    pd.testing.assert_frame_equal(HAND, before)
    assert np.array_equal(panel.values["y"], values)


def test_a_treated_area_without_data_before_treatment_is_named() -> None:
    panel = build_panel(HAND, unit="unit", period="year", outcome=["y"])
    with pytest.raises(DesignError, match="no data before treatment") as caught:
        group_time_att(panel, make_design(list("abcde"), [(1, 4, ["b"])]), outcome="y")
    assert "b" in str(caught.value)
    assert "treated from 1" in str(caught.value)


def test_unknown_words_are_answered_with_the_closest(by_hand: Effects) -> None:
    with pytest.raises(DesignError, match="closest: 'event_time'"):
        aggregate(by_hand, by="event-time")  # type: ignore[arg-type]
