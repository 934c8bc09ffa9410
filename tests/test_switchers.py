"""Effects of switching on and off, by hand and where they meet the group-time estimator."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mekeval import DataError, DesignError, aggregate, build_panel, group_time_att, make_design
from mekeval.design import Design
from mekeval.estimate import Effects
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


# ---------------------------------------------------------------- the authors' package


@pytest.fixture(scope="module")
def stagg(reference: Path) -> tuple[pd.DataFrame, Panel]:
    data = pd.read_csv(reference / "base_stagg.csv").rename(columns={"id": "unit"})
    return data, build_panel(data, unit="unit", period="year", outcome=["y", "x1"])


def _switching(data: pd.DataFrame, panel: Panel, kind: str) -> Design:
    """base_stagg as it is, with every odd unit out after three periods, or with every third unit's status reversed."""
    waves: dict[tuple[int, int], list[str]] = {}
    for unit, first in data.drop_duplicates("unit").set_index("unit")["year_treated"].items():
        number = int(str(unit))
        if kind == "mixed" and number % 3 == 0:
            spell = (1, min(first - 1, 10))
        elif first > 10:
            continue
        else:
            spell = (first, min(first + 2, 10) if kind == "exit" and number % 2 else 10)
        waves.setdefault(spell, []).append(str(number))
    return make_design(panel.units, [(*spell, units) for spell, units in sorted(waves.items())])


# Event times 0, 1, 2, 3 (effects 1 to 4 of the package) and -2, -3 (placebos 1 and 2): estimate and standard error of
# py-did-multiplegt-dyn 0.1.9, the Python version of DIDmultiplegtDYN by its authors, run on base_stagg.csv with
# DidMultiplegtDyn(outcome="y", group="id", time="year", treatment="D", effects=4, placebo=2), controls=["x1"] and
# switchers="in" where said; D is the status of `_switching`.
TIMES = [0, 1, 2, 3, -2, -3]
STAY = [
    (-5.0494315294, 0.4537110678),
    (-3.2573409682, 0.4925330273),
    (-2.1782628179, 0.5448178469),
    (-0.0374892910, 0.5060846342),
    (0.2720439422, 0.4920843726),
    (-0.7291008380, 0.6192814411),
]
STAY_X1 = [
    (-5.2019026541, 0.2395298628),
    (-3.5713480721, 0.2329707264),
    (-2.1867452887, 0.2467922572),
    (-0.8377321663, 0.3112459684),
    (0.0966265784, 0.2679834958),
    (-0.1691423762, 0.3215401148),
]
MIXED = [
    (-1.2680597891, 0.5252978784),
    (-0.7103228592, 0.5241166072),
    (0.1185633640, 0.4864507919),
    (-0.1179569249, 0.4969831810),
    (0.4185338524, 0.5031465625),
    (1.1554562895, 0.5253606036),
]
MIXED_X1 = [-1.5093452244, -1.3563486785, -0.3852981347, -0.2676932950, -0.1329566032, 0.1046645790]
MIXED_IN = [
    (-4.7234838116, 0.4997716058),
    (-2.9286118248, 0.4839658997),
    (-1.5780513852, 0.6381855772),
    (-0.0915663408, 0.4745564890),
    (0.5287317956, 0.5332929274),
    (0.3004438387, 0.7039598315),
]


def _by_event_time(effects: Effects) -> tuple[list[float], list[float]]:
    """Averages and the norms of their influence, which `aggregate` keeps to itself where a path is of one unit."""
    table = aggregate(effects, by="event_time")
    keys = list(table.table["key"])
    rows = [keys.index(time) for time in TIMES]
    assert table.influence is not None
    errors = np.sqrt(np.sum(table.influence**2, axis=0)) / effects.n_units
    return list(table.table["att"].iloc[rows]), list(errors[rows])


@pytest.mark.parametrize(
    ("kind", "switch", "expected"),
    [("stay", "first", STAY), ("mixed", "first", MIXED), ("mixed", "in", MIXED_IN)],
)
def test_estimates_and_errors_are_those_of_the_authors(
    stagg: tuple[pd.DataFrame, Panel], kind: str, switch: str, expected: list[tuple[float, float]]
) -> None:
    data, panel = stagg
    design = _switching(data, panel, kind)
    atts, errors = _by_event_time(switchers(panel, design, outcome="y", switch=switch))  # type: ignore[arg-type]
    assert atts == pytest.approx([att for att, _ in expected], abs=1e-9)
    assert errors == pytest.approx([error for _, error in expected], abs=1e-9)


def test_units_that_leave_count_on_as_in_the_package(stagg: tuple[pd.DataFrame, Panel]) -> None:
    data, panel = stagg
    design = _switching(data, panel, "exit")
    atts, errors = _by_event_time(switchers(panel, design, outcome="y", after_leaving="pooled"))
    assert atts == pytest.approx(
        [att for att, _ in STAY], abs=1e-9
    )  # who leaves has the outcomes of who stays here
    # Its less_conservative_se tells those that left in the year of effect 4 from those that did not, as paths do:
    assert errors[3] == pytest.approx(0.5193877362, abs=1e-9)


def test_estimates_with_covariates_are_those_of_the_authors(stagg: tuple[pd.DataFrame, Panel]) -> None:
    data, panel = stagg
    mixed = switchers(panel, _switching(data, panel, "mixed"), outcome="y", covariates=["x1"])
    assert _by_event_time(mixed)[0] == pytest.approx(MIXED_X1, abs=1e-9)
    stay = switchers(panel, _switching(data, panel, "stay"), outcome="y", covariates=["x1"])
    atts, _ = _by_event_time(stay)
    assert atts == pytest.approx([att for att, _ in STAY_X1], abs=1e-9)
    # The package adds to the influence of every unit what the covariate takes out of the estimate.
    taken = np.array([without - with_x for (with_x, _), (without, _) in zip(STAY_X1, STAY, strict=True)])
    table = aggregate(stay, by="event_time")
    keys = list(table.table["key"])
    assert table.influence is not None
    theirs = table.influence[:, [keys.index(time) for time in TIMES]] + taken
    assert np.sqrt(np.sum(theirs**2, axis=0)) / 95 == pytest.approx([error for _, error in STAY_X1], abs=1e-9)


def test_covariates_by_hand() -> None:
    # One cohort: a, b enter in 5 (periods 2, 3, 5, 6); c, d, e never. Until then all five are unswitched.
    rng = np.random.default_rng(8)
    frame = FRAME[FRAME["unit"] < "f"].assign(x=rng.normal(size=20))
    panel = build_panel(frame, unit="unit", period="year", outcome=["y", "x"])
    table = switchers(
        panel, make_design(list("abcde"), [(5, 6, ["a", "b"])]), outcome="y", covariates=["x"]
    ).tidy()
    y, x = (frame[name].to_numpy().reshape(5, 4) for name in "yx")
    first = np.diff(x, axis=1)
    rows = [(unit, at) for at in range(3) for unit in range(5) if at == 0 or unit >= 2]
    columns = np.array([[first[row], *(row[1] == np.arange(3))] for row in rows], dtype=float)
    change = np.array([np.diff(y, axis=1)[row] for row in rows])
    inverse = np.linalg.inv(columns.T @ columns)
    slope = inverse @ columns.T @ change
    left = change - columns @ slope
    counts = np.array([5.0 if at == 0 else 3.0 for _, at in rows])
    # influence of the slope: residuals enlarged for the mean of their period
    scores = (columns @ inverse)[:, 0] * left * np.sqrt(counts / (counts - 1))
    of_slope = np.bincount([unit for unit, _ in rows], weights=scores)
    for period, at in ((5, 2), (6, 3)):
        net = y[:, at] - y[:, 1] - slope[0] * (x[:, at] - x[:, 1])
        uneven = (x[:2, at] - x[:2, 1]).mean() - (x[2:, at] - x[2:, 1]).mean()
        psi = np.concatenate(
            [(net[:2] - net[:2].mean()) / 2 * np.sqrt(2), -(net[2:] - net[2:].mean()) / 3 * np.sqrt(3 / 2)]
        )
        row = table[table["period"] == period].iloc[0]
        assert row["att"] == pytest.approx(net[:2].mean() - net[2:].mean())
        assert row["se"] == pytest.approx(np.sqrt(np.sum((psi - uneven * of_slope) ** 2)))


@pytest.mark.parametrize("switch", ["first", "in", "out"])
def test_what_a_covariate_explains_is_taken_out(switch: str) -> None:
    rng = np.random.default_rng(3)
    waves = [
        (3, 8, list("ab")),
        (3, 5, list("cd")),
        (6, 8, list("ef")),
        (1, 4, list("gh")),
        (1, 8, list("ij")),
    ]
    units = list("abcdefghijklmno")
    frame = pd.DataFrame({"unit": np.repeat(units, 8), "year": np.tile(np.arange(1, 9), 15)})
    frame = frame.assign(y=rng.normal(size=120), x=rng.normal(size=120))
    frame["moved"] = frame["y"] + 2.5 * frame["x"]
    panel = build_panel(frame, unit="unit", period="year", outcome=["y", "x", "moved"])
    plain, moved, without = (
        switchers(panel, make_design(units, waves), outcome=outcome, covariates=names, switch=switch)  # type: ignore[arg-type]
        for outcome, names in (("y", ["x"]), ("moved", ["x"]), ("moved", []))
    )
    assert np.allclose(moved.cells["att"], plain.cells["att"])
    assert moved.influence is not None
    assert plain.influence is not None
    assert np.allclose(moved.influence, plain.influence)
    assert not np.allclose(moved.cells["att"], without.cells["att"])


def test_covariates_that_cannot_be_used(stagg: tuple[pd.DataFrame, Panel]) -> None:
    data, _ = stagg
    data = data.assign(flat=data["unit"] % 5, twice=2 * data["x1"] + 1, trend=data["year"] ** 2)
    panel = build_panel(data, unit="unit", period="year", outcome=["y", "x1", "flat", "twice", "trend"])
    design = _switching(data, panel, "stay")
    for wrong in ("flat", "twice", "trend"):
        with pytest.raises(DesignError, match="cannot be told") as caught:
            switchers(panel, design, outcome="y", covariates=["x1", wrong])
        assert wrong in str(caught.value)
    with pytest.raises(DesignError, match="named, each once"):
        switchers(panel, design, outcome="y", covariates=["x1", "x1"])
    with pytest.raises(DataError, match="no such outcome"):
        switchers(panel, design, outcome="y", covariates=["x2"])
    small = FRAME[FRAME["unit"].isin(["a", "d"])].assign(x=[1.0, 2, 5, 3, 0, 4, 1, 1])
    with pytest.raises(DesignError, match="too few units that have not switched"):
        switchers(
            build_panel(small, unit="unit", period="year", outcome=["y", "x"]),
            make_design(list("ad"), [(3, 6, ["a"])]),
            outcome="y",
            covariates=["x"],
        )


# ---------------------------------------------------------------- invariances and bad input


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
    with pytest.raises(DesignError, match="the same everywhere"):
        switchers(_panel(FRAME.assign(y=1.0)), DESIGN, outcome="y")
    flat = switchers(_panel(FRAME.assign(y=0.1 * FRAME["year"] ** 2)), DESIGN, outcome="y")
    assert np.allclose(flat.cells["att"], 0)
