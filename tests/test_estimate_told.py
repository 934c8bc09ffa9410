"""What estimates say of themselves: what was averaged and how, notes under tables, gaps, refusals, years that count."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from mekeval import (
    DesignError,
    Panel,
    aggregate,
    build_panel,
    contrast,
    first_differences,
    group_time_att,
    infer,
    make_design,
)
from mekeval.design import Design
from mekeval.estimate import Effects
from mekeval.estimate.aggregate import unit_contrast

UNITS = [f"u{at:02}" for at in range(12)]


def _frame(years: range = range(2000, 2006)) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    return pd.DataFrame([(u, t, rng.normal()) for u in UNITS for t in years], columns=["u", "t", "y"])


def _panel(frame: pd.DataFrame) -> Panel:
    return build_panel(frame, unit="u", period="t", outcome=["y"])


def _design(**more: int) -> Design:
    return make_design(UNITS, [(2003, 2005, UNITS[:2]), (2004, 2005, UNITS[2:4])], **more)  # type: ignore[arg-type]


@pytest.fixture
def effects() -> Effects:
    return group_time_att(_panel(_frame()), _design(), outcome="y")


def test_an_average_by_district_holds_what_was_averaged(effects: Effects) -> None:
    """Of u00 by hand: the mean of 2003 to 2005 less that of the years before, against the ten never treated."""
    found = aggregate(effects, by="district")
    assert found.by == "district"
    assert found.effects is effects
    assert found.tidy()["district"].tolist() == UNITS[:4]
    assert (found.overall, found.overall_se, found.overall_se_note) == (None, None, "")
    wide = _frame().pivot(index="u", columns="t", values="y")
    change = wide[[2003, 2004, 2005]].mean(axis=1) - wide[[2000, 2001, 2002]].mean(axis=1)
    by_hand = change["u00"] - change[UNITS[4:]].mean()
    assert found.table.set_index("key")["att"]["u00"] == pytest.approx(by_hand)
    assert aggregate(effects, by="event_time").overall_se_note == ""


def test_a_contrast_can_be_tested_as_it_comes(effects: Effects) -> None:
    found = contrast(effects, aggregate(effects, by="simple").weights[0], label="y")
    assert found.group.dtype == np.int64
    assert infer(found, method="donald_lang").n_treated == 4


def test_an_area_that_did_not_enter_is_named_with_its_outcome(effects: Effects) -> None:
    with pytest.raises(DesignError, match="did not enter") as caught:
        unit_contrast(effects, "u09")
    assert (caught.value.faults[0].where, caught.value.faults[0].found) == ("y, u09", "not treated")


def test_the_notes_under_a_table_say_whether_there_are_errors(effects: Effects) -> None:
    said = str(effects)
    assert "Standard errors in brackets, from influence functions by unit." in said
    assert re.search(r"(?<!\w)Event time(?!\w)", said)
    single = first_differences(_panel(_frame()), _design(), outcome="y")
    assert single.influence is None
    assert "Standard errors in brackets" not in str(single)


def test_an_estimator_of_one_number_tells_no_effects_by_path() -> None:
    found = first_differences(_panel(_frame()), _design(), outcome="y")
    single = first_differences(_panel(_frame()), make_design(UNITS, [(2003, 2005, ["u00"])]), outcome="y")
    assert single.cells["se"].isna().all()
    assert {str(one.cells["se"].dtype) for one in (found, single)} == {"Float64"}
    with pytest.raises(DesignError, match="does not tell its effects") as caught:
        aggregate(found, by="event_time")
    assert caught.value.faults[0].fix == "Aggregate by 'simple', or estimate by path and period."


@pytest.mark.parametrize(
    ("gone", "said"),
    [
        ([], "the period before"),
        ([("u05", 2002)], "the period before; 1 difference across a gap left out"),
        ([("u05", 2002), ("u07", 2003)], "the period before; 2 differences across a gap left out"),
    ],
)
def test_differences_across_a_gap_are_counted(gone: list[tuple[str, int]], said: str) -> None:
    frame = _frame()
    kept = ~pd.MultiIndex.from_frame(frame[["u", "t"]]).isin(gone)
    found = first_differences(_panel(frame[kept]), _design(), outcome="y")
    assert found.cells["base"].tolist() == [said]


def test_a_covariate_of_the_period_is_told_to_be_explained_by_periods() -> None:
    frame = _frame().assign(x=lambda table: (table["t"] - 2000.0) ** 2)
    panel = build_panel(frame, unit="u", period="t", outcome=["y", "x"])
    with pytest.raises(DesignError) as caught:
        first_differences(panel, _design(), outcome="y", covariates=["x"])
    assert "the period effects" in str(caught.value)


def test_years_before_the_base_never_cost_a_treated_unit() -> None:
    """Two years before entry are the base. A treated unit without 2000 has the mean of 2001 and 2002, so that 2000 goes
    and the unit stays; where all years before are the base, or the last alone and the others event times, it goes."""
    frame = _frame()
    panel = _panel(frame[~((frame["u"] == "u00") & (frame["t"] == 2000))])
    found = group_time_att(panel, _design(pre_years=2), outcome="y")
    assert "u00" in found.units
    assert 2000 not in set(found.cells["period"])
    for more, base in (({}, "pre_mean"), ({"pre_years": 2}, "universal")):
        other = group_time_att(panel, _design(**more), outcome="y", base_period=base)
        assert "u00" not in other.units
        assert [(unit, year) for unit, _, year in other.dropped] == [("u00", 2000)]
