"""Effects of switching on and off, by hand and where they meet the group-time estimator."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mekeval import DataError, DesignError, aggregate, build_panel, group_time_att, make_design
from mekeval.estimate.switchers import switch_average, switchers
from mekeval.panel import Panel

# Periods 2, 3, 5, 6 (4 has no data). a enters in 3 and stays; b enters in 3, leaves after 5; c enters in 6;
# d and e never; f is in from the start and leaves after 3; g is in throughout.
FRAME = pd.DataFrame(
    {
        "unit": [unit for unit in "abcdefg" for _ in range(4)],
        "year": [2, 3, 5, 6] * 7,
        "y": [
            *(1.0, 5, 8, 9),
            *(2, 4, 9, 6),
            *(0, 2, 3, 9),
            *(3, 4, 6, 6),
            *(1, 0, 2, 4),
            *(7, 9, 6, 8),
            *(5, 6, 8, 10),
        ],
    }
)
DESIGN = make_design(
    list("abcdefg"), [(3, 6, ["a"]), (3, 5, ["b"]), (6, 6, ["c"]), (1, 3, ["f"]), (1, 6, ["g"])]
)


def _panel(frame: pd.DataFrame = FRAME) -> Panel:
    return build_panel(frame, unit="unit", period="year", outcome=["y"])


def test_switches_in_by_hand() -> None:
    effects = switchers(_panel(), DESIGN, outcome="y", switch="in")
    cells = effects.cells.set_index(["path", "period"])["att"]
    # From 2, out so far: c, d, e in 3 (+2, +1, -1) and 5 (+3, +3, +1), d, e in 6 (+3, +3).
    assert cells["3-6", 3] == pytest.approx(4 - 2 / 3)
    assert cells["3-6", 5] == pytest.approx(7 - 7 / 3)
    assert cells["3-6", 6] == pytest.approx(8 - 3)
    assert cells["3-5", 3] == pytest.approx(2 - 2 / 3)
    assert cells["3-5", 5] == pytest.approx(7 - 7 / 3)
    assert cells["3-5", 6] == pytest.approx(4 - 3)  # has left by then
    assert cells["6-6", 6] == pytest.approx(6 - (0 + 2) / 2)  # from 5: d +0, e +2
    phase = effects.cells.set_index(["path", "period"])["phase"]
    assert (phase["3-5", 6], phase["3-6", 6]) == ("after", "on")
    # c's first placebo, from 5 back to 3, needs a period after 6 - 1 as its mirror: 6, with d and e: -1, -(2 + 2) / 2
    assert cells["6-6", 3] == pytest.approx(-1 + 2)
    assert ("6-6", 2) not in cells  # its mirror would lie beyond the data


def test_first_switches_hold_switches_out_of_units_that_began_in() -> None:
    first = switchers(_panel(), DESIGN, outcome="y").cells
    ins = switchers(_panel(), DESIGN, outcome="y", switch="in").cells
    outs = first[~first["path"].isin(ins["path"])].set_index("period")
    pd.testing.assert_frame_equal(first[first["path"].isin(ins["path"])].reset_index(drop=True), ins)
    # f left in 4: from 3, stayer g +2 in 5 and +4 in 6, f -3 and -1; the effect is that of being in
    assert outs["path"].unique().tolist() == ["1-3, out"]
    assert outs.loc[[5, 6], "att"].to_list() == [pytest.approx(2 + 3), pytest.approx(4 + 1)]
    assert outs.loc[[5, 6], "event_time"].to_list() == [1, 2]
    assert outs.loc[[5, 6], "cohort"].to_list() == [4, 4]
    assert outs.loc[2, "att"] == pytest.approx(-1 + 2)  # placebo: g 5 - 6, f 7 - 9
    assert outs.loc[2, "phase"] == "pre"


def test_switches_out_by_hand() -> None:
    effects = switchers(_panel(), DESIGN, outcome="y", switch="out")
    cells = effects.cells.set_index(["path", "period"])
    # b left in 6; a entered with it and stays: from 5, a +1, b -3
    assert cells.loc[("3-5, out", 6), "att"] == pytest.approx(1 + 3)
    assert cells.loc[("3-5, out", 6), "n_comparison"] == 1  # g has another history
    assert cells.loc[("3-5, out", 3), "att"] == pytest.approx((5 - 8) - (4 - 9))  # placebo
    assert set(cells.index.get_level_values("path")) == {"3-5, out", "1-3, out"}
    # event time 0 is b in 6, event time 1 is f in 5
    table = aggregate(effects, by="event_time").table.set_index("key")
    assert table.loc[[0, 1, 2], "att"].to_list() == pytest.approx([4, 5, 5])
    assert aggregate(effects, by="simple").overall == pytest.approx((4 + 5 + 5) / 3)


def test_years_after_leaving_apart_or_pooled() -> None:
    apart = aggregate(switchers(_panel(), DESIGN, outcome="y", switch="in"), by="event_time").table
    pooled_effects = switchers(_panel(), DESIGN, outcome="y", switch="in", after_leaving="pooled")
    pooled = aggregate(pooled_effects, by="event_time").table
    assert apart.set_index("key").loc[3, "att"] == pytest.approx(5)  # a in 6
    assert pooled.set_index("key").loc[3, "att"] == pytest.approx((5 + 1) / 2)  # a and b in 6
    assert "after" not in set(pooled_effects.cells["phase"])


def test_standard_errors_by_hand() -> None:
    # One cohort of two, three controls: sqrt(s2_D / 2 + s2_C / 3) with unbiased variances.
    design = make_design(list("abcde"), [(5, 6, ["a", "b"])])
    table = switchers(_panel(FRAME[FRAME["unit"] < "f"]), design, outcome="y").tidy().set_index("period")
    treated, clean = np.array([3.0, 5]), np.array([1.0, 2, 2])  # from 3 to 5
    error = np.sqrt(treated.var(ddof=1) / 2 + clean.var(ddof=1) / 3)
    assert table.loc[5, "att"] == pytest.approx(4 - 5 / 3)
    assert table.loc[5, "se"] == pytest.approx(error)


def test_a_control_alone_is_centred_on_both_sides() -> None:
    design = make_design(list("abd"), [(3, 6, ["a", "b"])])
    table = switchers(_panel(FRAME[FRAME["unit"].isin(["a", "b", "d"])]), design, outcome="y").tidy()
    row = table[table["period"] == 3].iloc[0]
    # changes 4, 2 and 1: treated about 3, twice 1/2 sqrt(2); the control about 7/3, sqrt(3/2)
    assert row["se"] == pytest.approx(np.sqrt(2 * (0.5**2 * 2) + (4 / 3) ** 2 * 1.5))


def test_a_unit_that_switches_alone_has_no_standard_error() -> None:
    table = switchers(_panel(), DESIGN, outcome="y").tidy()
    assert table["se"].isna().all()
    assert table["se_note"].str.contains("no standard error exists").all()


def test_without_exit_and_with_one_cohort_it_is_the_group_time_estimator(reference: Path) -> None:
    data = pd.read_csv(reference / "mpdta.csv")
    data = data[data["first.treat"].isin([0, 2006])]
    panel = build_panel(data, unit="countyreal", period="year", outcome=["lemp"])
    treated = data.loc[data["first.treat"] == 2006, "countyreal"].astype(str).unique()
    design = make_design(panel.units, [(2006, 2007, list(treated))])
    ours = switchers(panel, design, outcome="lemp").tidy()
    theirs = group_time_att(panel, design, outcome="lemp", base_period="universal").tidy()
    joined = ours.merge(theirs, on="period")
    assert list(joined["period"]) == [2003, 2004, 2006, 2007]
    assert np.allclose(joined["att_x"], joined["att_y"], atol=1e-13)
    # theirs has no small-sample factor: each side has n - 1 here
    assert np.allclose(joined["se_x"].astype(float), joined["se_y"].astype(float), rtol=0.02)


def test_did_m_by_hand() -> None:
    average = switch_average(_panel(), DESIGN, outcome="y")
    table = average.table.set_index(["period", "direction"])
    # 3 in: a +4, b +2; stay out c +2, d +1, e -1
    assert table.loc[(3, "in"), "att"] == pytest.approx(3 - 2 / 3)
    # 5 out: f -3; stay in a +3, b +5, g +2
    assert table.loc[(5, "out"), "att"] == pytest.approx(10 / 3 + 3)
    # 6 in: c +6; stay out d +0, e +2, f +2; 6 out: b -3; stay in a +1, g +2
    assert table.loc[(6, "in"), "att"] == pytest.approx(6 - 4 / 3)
    assert table.loc[(6, "out"), "att"] == pytest.approx(1.5 + 3)
    assert list(table["weight"]) == pytest.approx([2 / 5, 1 / 5, 1 / 5, 1 / 5])
    assert average.att == pytest.approx((2 * (7 / 3) + 19 / 3 + 14 / 3 + 4.5) / 5)
    # Errors by unit, weights as given: deviations from the mean of a side, over its size, times sqrt(n / (n - 1));
    # those that switch alone deviate from the mean of both sides: f 7/4 of four units, c 5/2 of four, b 0 of three.
    two, three, four = np.sqrt(2), np.sqrt(3 / 2), np.sqrt(4 / 3)
    psi = {
        "a": 2 * (4 - 3) / 2 * two + (3 - 10 / 3) / 3 * three + (1 - 1.5) / 2 * two,
        "b": 2 * (2 - 3) / 2 * two + (5 - 10 / 3) / 3 * three - (-3 - 0) * three,
        "c": -2 * (2 - 2 / 3) / 3 * three + (6 - 5 / 2) * four,
        "d": -2 * (1 - 2 / 3) / 3 * three - (0 - 4 / 3) / 3 * three,
        "e": -2 * (-1 - 2 / 3) / 3 * three - (2 - 4 / 3) / 3 * three,
        "f": -(-3 - 7 / 4) * four - (2 - 4 / 3) / 3 * three,
        "g": (2 - 10 / 3) / 3 * three + (2 - 1.5) / 2 * two,
    }
    assert average.se == pytest.approx(np.sqrt(sum((one / 5) ** 2 for one in psi.values())))


def test_did_m_of_a_unit_that_comes_back() -> None:
    frame = pd.DataFrame(
        {"unit": list("aaaabbbb"), "year": [1, 2, 3, 4] * 2, "y": [0.0, 2, 1, 4, 0, 1, 1, 2]}
    )
    design = make_design(["a", "b"], [(2, 2, ["a"]), (4, 4, ["a"])])
    average = switch_average(_panel(frame), design, outcome="y")
    # in 2: 2 - 1; out 3: nobody stays in, said; in 4: 3 - 1
    assert average.att == pytest.approx((1 + 2) / 2)
    out = average.table.iloc[1]
    assert (out["direction"], out["weight"], out["note"]) == (
        "out",
        0.0,
        "no unit keeps the status that these leave",
    )
    assert pd.isna(out["att"])
    assert average.se is None
    assert "no standard error exists" in average.se_note


@pytest.mark.parametrize("switch", ["first", "in", "out"])
def test_invariances(switch: str) -> None:
    plain = switchers(_panel(), DESIGN, outcome="y", switch=switch).cells  # type: ignore[arg-type]
    other = FRAME.assign(y=5 * FRAME["y"] + FRAME["unit"].map(ord) + 2 * FRAME["year"]).sample(
        frac=1, random_state=4
    )
    before = other.copy(deep=True)
    moved = switchers(_panel(other), DESIGN, outcome="y", switch=switch).cells  # type: ignore[arg-type]
    assert np.allclose(moved["att"], 5 * plain["att"])
    pd.testing.assert_frame_equal(other, before)
    average, scaled = (switch_average(_panel(one), DESIGN, outcome="y") for one in (FRAME, other))
    assert scaled.att == pytest.approx(5 * average.att)
    assert scaled.se == pytest.approx(5 * (average.se or 0))


def test_switches_that_cannot_be_compared() -> None:
    stay = make_design(list("abcdefg"), [(3, 6, ["a"])])
    with pytest.raises(DesignError, match="No unit switches so"):
        switchers(_panel(), stay, outcome="y", switch="out")
    alone = make_design(list("abcdefg"), [(3, 5, ["a"])])
    with pytest.raises(DesignError, match="No switch can be compared"):
        switchers(_panel(), alone, outcome="y", switch="out")
    always = make_design(list("abcdefg"), [(1, 6, ["a"])])
    with pytest.raises(DesignError, match="No unit switches so"):
        switchers(_panel(), always, outcome="y")
    with pytest.raises(DesignError, match="No unit switches between"):
        switch_average(_panel(), always, outcome="y")


def test_words_values_and_gaps() -> None:
    with pytest.raises(DesignError, match="one of: 'first', 'in', 'out'"):
        switchers(_panel(), DESIGN, outcome="y", switch="exit")  # type: ignore[arg-type]
    with pytest.raises(DesignError, match="'pooled'"):
        switchers(_panel(), DESIGN, outcome="y", after_leaving="pool")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="no such outcome"):
        switch_average(_panel(), DESIGN, outcome="rate")
    gap = FRAME[~(FRAME["unit"].isin(["d", "e"]) & (FRAME["year"] == 5))]
    with pytest.raises(DesignError, match="one side of the comparison"):
        switchers(_panel(gap), DESIGN, outcome="y")
    flat = switchers(_panel(FRAME.assign(y=1.0)), DESIGN, outcome="y")
    assert np.allclose(flat.cells["att"], 0)
