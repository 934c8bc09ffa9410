"""The checks on small panels whose answer is known by construction."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mekeval.design import Design, make_design
from mekeval.panel import Panel, build_panel
from mekeval.sensitivity import Thresholds, leave_one_out, placebo_in_time, selection

TREATED = ["t1", "t2", "t3"]
OTHERS = [f"c{number}" for number in range(1, 13)]
#: Twelve comparison units that differ a little from year to year, without a trend.
WIGGLE = np.array([[0.1 * np.sin(3 * unit + 5 * year) for year in range(12)] for unit in range(15)])


def _panel(treated: np.ndarray, *, years: range = range(2010, 2020)) -> Panel:
    """Treated paths as given (units by years), comparison flat; both with the same small wiggle."""
    values = WIGGLE[:, : len(years)].copy()
    values[: len(treated)] += treated
    rows = [
        {"area": unit, "year": year, "y": values[row, column]}
        for row, unit in enumerate([*TREATED, *OTHERS])
        for column, year in enumerate(years)
    ]
    return build_panel(pd.DataFrame(rows), unit="area", period="year", outcome=["y"])


def _design(**options: int) -> Design:
    return make_design([*TREATED, *OTHERS], [(2016, 2019, TREATED)], **options)


#: A jump of 5 in 2016, the first programme year, in all three; nothing before it.
JUMP = np.tile([0.0] * 6 + [5.0] * 4, (3, 1))
#: The same end, reached by a steady drift of 1 a year from 2010 on.
DRIFT = np.tile(np.arange(10.0), (3, 1))


def test_a_jump_at_entry_is_quiet_before_it() -> None:
    check = placebo_in_time(_panel(JUMP), _design(), outcome="y", size=5.0, seed=1, alpha=0.05)
    assert (check.passed, check.reason) == (True, "quiet")
    assert abs(float(check.facts["estimate"])) < 0.2  # the wiggle is at most 0.1
    assert (check.facts["first"], check.facts["half"], check.facts["last"]) == (2010, 2013, 2015)


def test_areas_that_drifted_before_the_programme_are_told() -> None:
    check = placebo_in_time(_panel(DRIFT), _design(), outcome="y", size=5.0, seed=1, alpha=0.05)
    assert (check.passed, check.reason) == (False, "moved")
    # by hand: mean of 3, 4, 5 less mean of 0, 1, 2 is 3; the wiggle adds at most 4 * 0.1
    assert float(check.facts["estimate"]) == pytest.approx(3.0, abs=0.4)
    assert float(check.facts["p_value"]) == pytest.approx(1 / 455)  # the largest of all comb(15, 3) sets


def test_one_unit_is_asked_on_its_own() -> None:
    panel = _panel(np.vstack([DRIFT[:1], JUMP[:2]]))
    design = make_design([*TREATED, *OTHERS], [(2016, 2019, TREATED)])
    moved = placebo_in_time(panel, design, outcome="y", size=5.0, unit="t1", seed=1, alpha=0.1)
    quiet = placebo_in_time(panel, design, outcome="y", size=5.0, unit="t2", seed=1, alpha=0.1)
    assert (moved.passed, quiet.passed) == (False, True)
    assert float(moved.facts["p_value"]) == pytest.approx(
        1 / 13
    )  # one of 13: the other treated are no comparison


@pytest.mark.parametrize("first_year", [2014, 2015])
def test_too_few_years_before_cannot_answer(first_year: int) -> None:
    years = range(first_year, 2020)
    check = placebo_in_time(
        _panel(DRIFT[:, -len(years) :], years=years), _design(), outcome="y", size=5.0, seed=1, alpha=0.05
    )
    assert (check.passed, check.reason) == (None, "few_years")
    assert check.facts == {"n": 2016 - first_year}
    assert check.table.empty


def test_a_drift_before_the_base_years_of_the_plan_is_told() -> None:
    check = placebo_in_time(_panel(DRIFT), _design(pre_years=2), outcome="y", size=5.0, seed=1, alpha=0.05)
    # the plan's base is 2014 and 2015 only; the drift of the years before shows all the same
    assert (check.passed, check.reason) == (False, "moved")


def test_silence_answers_only_where_a_drift_of_that_size_would_have_been_found() -> None:
    loud = placebo_in_time(_panel(JUMP), _design(), outcome="y", size=5.0, seed=1, alpha=0.05)
    assert (loud.passed, loud.reason) == (True, "quiet")
    faint = placebo_in_time(_panel(JUMP), _design(), outcome="y", size=0.001, seed=1, alpha=0.05)
    assert (faint.passed, faint.reason) == (None, "no_power")
    assert float(faint.facts["detectable"]) > 0.001


def test_the_later_years_play_no_part_in_the_placebo() -> None:
    later = JUMP.copy()
    later[:, 6:] = 100.0
    one, two = (
        placebo_in_time(_panel(path), _design(), outcome="y", size=5.0, seed=1, alpha=0.05)
        for path in (JUMP, later)
    )
    pd.testing.assert_frame_equal(one.table, two.table)


def test_a_result_that_every_area_shares_is_steady() -> None:
    check = leave_one_out(_panel(JUMP), _design(), outcome="y", seed=1, alpha=0.05)
    assert (check.passed, check.reason) == (True, "steady")
    assert list(check.table["left_out"]) == TREATED
    assert (check.table["estimate"] - 5).abs().max() < 0.3
    # two of fourteen remain: comb(14, 2) = 91 sets, the real one the largest
    assert check.table["p_value"].tolist() == pytest.approx([1 / 91] * 3)


def test_a_result_that_hangs_on_one_area_is_told() -> None:
    alone = JUMP.copy()
    alone[1:] = 0.0
    check = leave_one_out(_panel(alone * 3), _design(), outcome="y", seed=1, alpha=0.05)
    assert (check.passed, check.reason) == (False, "hangs_on_one")
    assert check.facts["unit"] == "t1"
    assert abs(float(check.facts["estimate"])) < 0.3  # of 15 / 3 = 5 nothing is left


def test_the_share_that_must_be_left_is_the_plan_s() -> None:
    """Effects of 5, 5 and 8 are 6 on average; without the third they are 5, five sixths of it."""
    larger = JUMP.copy()
    larger[2] *= 1.6
    for share, passed in ((0.82, True), (0.85, False)):
        lines = Thresholds(share_kept=share)
        check = leave_one_out(_panel(larger), _design(), outcome="y", seed=1, alpha=0.05, thresholds=lines)
        assert check.passed is passed, share
    strict = Thresholds(
        level=0.2
    )  # a p-value of 1/91 is above a fifth of 5 %, and so is the smallest there is
    check = leave_one_out(_panel(JUMP), _design(), outcome="y", seed=1, alpha=0.05, thresholds=strict)
    assert (check.passed, check.reason) == (None, "few_areas")


def test_an_area_left_out_is_not_compared_with_either() -> None:
    far = JUMP.copy()
    far[0, 6:] = 500.0
    check = leave_one_out(_panel(far), _design(), outcome="y", seed=1, alpha=0.05)
    without = check.table.set_index("left_out")["estimate"]["t1"]
    assert without == pytest.approx(5.0, abs=0.3)  # in the comparison it would pull this down to about -36


def test_one_treated_area_cannot_be_left_out() -> None:
    design = make_design([*TREATED, *OTHERS], [(2016, 2019, ["t1"])])
    check = leave_one_out(_panel(JUMP), design, outcome="y", seed=1, alpha=0.05)
    assert (check.passed, check.reason) == (None, "one_area")


def test_a_check_that_cannot_run_is_not_passed() -> None:
    for check in (
        placebo_in_time(_panel(JUMP), _design(), outcome="z", size=5.0, seed=1, alpha=0.05),
        leave_one_out(_panel(JUMP), _design(), outcome="z", seed=1, alpha=0.05),
    ):
        assert (check.passed, check.reason) == (None, "error")
        assert check.facts["message"] == "The panel has no such outcome."


@pytest.mark.parametrize(
    ("how", "passed", "reason", "number"),
    [
        ({"t1": "rule", "t2": "rule", "t3": "discretion"}, None, "worst_areas", 2),
        ({"t1": "rule", "t2": "unknown", "t3": "unknown"}, None, "worst_areas", 1),
        ({"t1": "discretion", "t2": "unknown", "t3": "discretion"}, None, "unknown", 1),
        ({}, None, "unknown", 3),
        ({"t1": "discretion", "t2": "discretion", "t3": "discretion"}, True, "discretion", 3),
    ],
)
def test_how_areas_were_chosen(how: dict[str, str], passed: bool | None, reason: str, number: int) -> None:
    design = make_design([*TREATED, *OTHERS], [(2016, 2019, TREATED)], selected_by=how)  # type: ignore[arg-type]
    check = selection(design, design.treated)
    assert (check.passed, check.reason, check.facts) == (passed, reason, {"n": number})
    if "t3" in how:
        assert selection(design, ("t3",)).passed is (True if how["t3"] == "discretion" else None)
