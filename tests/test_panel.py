"""Units by periods: irregular years, gaps with their reasons, nothing misplaced."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mekeval.errors import DataError, DesignError
from mekeval.panel import Panel, balanced_block, build_panel

TIDY = pd.DataFrame(
    {
        "area": ["b", "b", "b", "a", "a", "c", "a"],
        "year": [2012, 2016, 2019, 2012, 2019, 2019, 2016],
        "indicator": ["rate"] * 7,
        "value": [1.0, 2.0, 4.0, 3.0, 5.0, np.nan, np.nan],
        "denominator": [100.0, 110.0, 130.0, 200.0, 210.0, np.nan, np.nan],
        "status": ["ok", "ok", "ok", "ok", "ok", "confidential", "suppressed"],
    },
    index=[10, 11, 12, 13, 14, 15, 16],
)


@pytest.fixture
def panel() -> Panel:
    return build_panel(TIDY)


def test_a_tidy_table_with_irregular_years(panel: Panel) -> None:
    assert panel.units == ("b", "a", "c")  # the order of the table
    assert panel.periods == (2012, 2016, 2019)
    assert panel.outcomes == ("rate",)
    np.testing.assert_array_equal(panel.values["rate"], [[1, 2, 4], [3, np.nan, 5], [np.nan, np.nan, np.nan]])
    np.testing.assert_array_equal(
        panel.bases["rate"], [[100, 110, 130], [200, np.nan, 210], [np.nan, np.nan, np.nan]]
    )


def test_every_gap_has_its_reason(panel: Panel) -> None:
    assert panel.reasons["rate"].tolist() == [
        ["ok", "ok", "ok"],
        ["ok", "suppressed", "ok"],
        ["not_published", "not_published", "confidential"],
    ]


def test_the_callers_frame_is_unchanged() -> None:
    before = TIDY.copy(deep=True)
    build_panel(TIDY, units=["a", "c"], last_period=2016)
    pd.testing.assert_frame_equal(TIDY, before)


def test_units_in_the_order_asked_for_also_without_data() -> None:
    panel = build_panel(TIDY, units=["c", "x", "a"])
    assert panel.units == ("c", "x", "a")
    assert panel.periods == (2012, 2016, 2019)
    assert panel.reasons["rate"][1].tolist() == ["not_published"] * 3
    assert panel.values["rate"][2, 0] == 3.0


def test_nothing_after_the_last_period_enters() -> None:
    panel = build_panel(TIDY, last_period=2016)
    assert panel.periods == (2012, 2016)
    assert "c" not in panel.units


def test_a_value_whose_status_is_not_ok_does_not_enter() -> None:
    table = TIDY.assign(value=TIDY["value"].fillna(9.0))
    assert np.isnan(build_panel(table).values["rate"][2, 2])


def test_a_wide_table_and_whole_numbers_of_any_kind() -> None:
    wide = pd.DataFrame({"city": [7, 7, 8], "t": ["1", "3", "3"], "y": [1, 2, 3], "z": [1.5, None, 0.5]})
    panel = build_panel(wide, unit="city", period="t", outcome=["y", "z"])
    assert panel.units == ("7", "8")
    assert panel.periods == (1, 3)
    np.testing.assert_array_equal(panel.values["y"], [[1, 2], [np.nan, 3]])
    assert panel.reasons["z"].tolist() == [["ok", "missing"], ["not_published", "ok"]]


def test_a_unit_that_stands_twice_is_named_with_its_rows() -> None:
    table = pd.concat([TIDY, TIDY.loc[[11]].rename(index={11: 99})])
    with pytest.raises(DataError) as caught:
        build_panel(table)
    assert caught.value.faults[0].where == "rows 11, 99"
    assert caught.value.faults[0].found == "area b, year 2016"


@pytest.mark.parametrize("wrong", [2012.5, None, "spring", np.inf, 1e12])
def test_a_period_that_is_no_whole_number_is_refused(wrong: object) -> None:
    table = TIDY.assign(year=TIDY["year"].astype(object))
    table.loc[13, "year"] = wrong
    with pytest.raises(DataError, match="A period is no whole number") as caught:
        build_panel(table)
    assert "row 13" in caught.value.faults[0].where


@pytest.mark.parametrize("wrong", ["many", np.inf, -np.inf])
@pytest.mark.parametrize("column", ["value", "denominator"])
def test_a_value_that_is_no_finite_number_is_refused(column: str, wrong: object) -> None:
    table = TIDY.assign(**{column: TIDY[column].astype(object)})
    table.loc[13, column] = wrong
    with pytest.raises(DataError, match="no finite number") as caught:
        build_panel(table)
    assert "row 13" in caught.value.faults[0].where


def test_a_row_without_a_unit_and_units_named_twice_are_refused() -> None:
    table = TIDY.copy()
    table.loc[13, "area"] = None
    with pytest.raises(DataError, match="A row has no unit"):
        build_panel(table)
    with pytest.raises(DataError, match="named twice"):
        build_panel(TIDY, units=["a", "a"])


def test_a_column_that_is_not_there_is_answered_with_the_closest() -> None:
    with pytest.raises(DataError, match="closest: 'area'"):
        build_panel(TIDY, unit="aera")
    with pytest.raises(DataError, match="closest: 'denominator'"):
        build_panel(TIDY, outcome=["denominatr"])


def test_nothing_left_is_said() -> None:
    with pytest.raises(DataError, match="no rows up to 2000"):
        build_panel(TIDY, last_period=2000)
    with pytest.raises(DataError, match="No data are left"):
        build_panel(TIDY.iloc[:0])
    with pytest.raises(DataError, match="Outcomes must be named"):
        build_panel(TIDY, outcome=[])
    with pytest.raises(DataError, match="Outcomes must be named"):
        build_panel(TIDY, outcome=["value", "value"])


# --- the balanced part


def test_a_block_drops_units_with_the_reason_and_the_period() -> None:
    block = balanced_block(build_panel(TIDY), "rate", units=["a", "b"])
    # 2016: b only, which is half of the two units; a lacks it and is left out
    assert block.periods == (2012, 2016, 2019)
    assert block.units == ("b",)
    assert block.values.tolist() == [[1.0, 2.0, 4.0]]
    assert block.dropped == (("a", "suppressed", 2016),)


def test_a_period_that_most_units_lack_is_left_out(panel: Panel) -> None:
    block = balanced_block(panel, "rate")  # values in 2 of 3 units, 1 of 3, 2 of 3
    assert block.periods == (2012, 2019)
    assert block.units == ("b", "a")
    assert block.values.tolist() == [[1.0, 4.0], [3.0, 5.0]]
    assert block.dropped == (("c", "not_published", 2012),)


def test_a_block_without_a_complete_unit_is_refused(panel: Panel) -> None:
    with pytest.raises(DesignError, match="No unit has a value in every year"):
        balanced_block(panel, "rate", units=["c"])


def test_a_unit_or_outcome_that_the_panel_lacks_is_refused(panel: Panel) -> None:
    with pytest.raises(DataError, match="no such unit") as caught:
        balanced_block(panel, "rate", units=["a", "x"])
    assert caught.value.faults[0].found == "'x'"
    with pytest.raises(DataError, match="closest: 'rate'"):
        balanced_block(panel, "rates")
    for wrong in ([], ["a", "a"]):
        with pytest.raises(DataError, match="each once"):
            balanced_block(panel, "rate", units=wrong)


def test_an_early_year_does_not_cost_a_treated_area() -> None:
    frame = pd.DataFrame(
        {
            "unit": ["a"] * 3 + ["b"] * 4 + ["c"] * 4 + ["d"] * 3,
            "year": [2, 3, 4] + [1, 2, 3, 4] * 2 + [2, 3, 4],
            "y": np.arange(14.0),
        }
    )
    panel = build_panel(frame, unit="unit", period="year", outcome=["y"])
    plain = balanced_block(panel, "y")
    assert (plain.units, plain.periods) == (("b", "c"), (1, 2, 3, 4))
    kept = balanced_block(panel, "y", protected=["a"], needed_from=2)
    assert (kept.units, kept.periods) == (("a", "b", "c", "d"), (2, 3, 4))
    assert kept.dropped == ()
    late = balanced_block(
        panel, "y", protected=["b"], needed_from=2
    )  # b has the early year: others may be lost
    assert (late.units, late.periods) == (("b", "c"), (1, 2, 3, 4))
