"""The decomposition against R's bacondecomp, the coefficient itself, and hand calculations."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mekeval import DataError, DesignError, build_panel, design_from_cohorts, make_design
from mekeval.design import Design
from mekeval.estimate.bacon import bacon_decomposition
from mekeval.estimate.regression import twfe
from mekeval.panel import Panel

TOLERANCE = 1e-7  # the reference is rounded to 8 digits
R = pd.read_csv(Path(__file__).parents[1] / "reference" / "r_reference.csv").set_index(["case", "quantity"])[
    "estimate"
]


def _study(data: pd.DataFrame, unit: str, outcome: str, first: pd.Series) -> tuple[Panel, Design]:
    panel = build_panel(data, unit=unit, period="year", outcome=[outcome])
    first = first.set_axis(first.index.astype(str)).reindex(list(panel.units)).astype("Int64")
    return panel, design_from_cohorts(panel.units, list(first), last_period=int(data["year"].max()))


@pytest.fixture(scope="module")
def castle(reference: Path) -> tuple[Panel, Design]:
    """Castle-doctrine laws: 50 states, 2000-2010, treated from the first year with post = 1."""
    data = pd.read_csv(reference / "castle.csv")
    return _study(data, "state", "l_homicide", data[data["post"] == 1].groupby("state")["year"].min())


@pytest.fixture(scope="module")
def mpdta(reference: Path) -> tuple[Panel, Design]:
    """County teen employment: cohorts 2004, 2006, 2007 and never (0 in the file)."""
    data = pd.read_csv(reference / "mpdta.csv")
    first = data.groupby("countyreal")["first.treat"].first()
    return _study(data, "countyreal", "lemp", first[first > 0])


def test_every_row_of_castle_agrees_with_r(castle: tuple[Panel, Design]) -> None:
    parts = bacon_decomposition(*castle, outcome="l_homicide")
    table = parts.by_type()
    assert list(table["type"]) == [
        "Treated vs Untreated",
        "Earlier vs Later Treated",
        "Later vs Earlier Treated",
    ]
    for row in table.itertuples():
        assert row.weight == pytest.approx(R["castle_bacon", f"weight_{row.type}"], abs=TOLERANCE)
        assert row.estimate == pytest.approx(R["castle_bacon", f"est_{row.type}"], abs=TOLERANCE)
    total = (table["weight"] * table["estimate"]).sum()
    assert total == pytest.approx(R["castle_bacon", "sum"], abs=TOLERANCE)
    assert parts.estimate == pytest.approx(R["castle_twfe", "post"], abs=TOLERANCE)
    # five cohorts: 5 * 4 comparisons among them and 5 with the never-treated
    assert len(parts.table) == 25
    assert (parts.n_units, parts.n_periods) == (50, 11)


def test_mpdta_sums_to_its_coefficient(mpdta: tuple[Panel, Design]) -> None:
    parts = bacon_decomposition(*mpdta, outcome="lemp")
    assert parts.table["weight"].sum() == pytest.approx(1, abs=1e-12)
    total = (parts.table["weight"] * parts.table["estimate"]).sum()
    assert total == pytest.approx(R["mpdta_twfe", "D"], abs=TOLERANCE)
    assert total == pytest.approx(twfe(*mpdta, outcome="lemp").cells["att"].iloc[0], abs=1e-12)
    assert len(parts.table) == 9
    counts = parts.table.query("treated == 2004 and comparison.isna()")[["n_treated", "n_comparison"]]
    assert counts.to_numpy().tolist() == [[20, 309]]


def test_each_comparison_is_the_twfe_of_its_own_subsample(mpdta: tuple[Panel, Design]) -> None:
    panel, design = mpdta
    table = bacon_decomposition(panel, design, outcome="lemp").table
    members = {path.first: path.units for path in design.paths}
    for row in table.itertuples():
        never = row.comparison is pd.NA
        rest = design.comparison if never else members[row.comparison]
        # the window in which the comparison does not switch
        later = not never and row.comparison > row.treated
        window = [
            year
            for year in panel.periods
            if never or ((year < row.comparison) if later else (year >= row.comparison))
        ]
        columns = [panel.periods.index(year) for year in window]
        part = replace(
            panel,
            periods=tuple(window),
            values={"lemp": panel.values["lemp"][:, columns]},
            bases={},
            reasons={"lemp": panel.reasons["lemp"][:, columns]},
        )
        pair = make_design([*members[row.treated], *rest], [(row.treated, 2007, members[row.treated])])
        assert row.estimate == pytest.approx(twfe(part, pair, outcome="lemp").cells["att"].iloc[0], abs=1e-12)


# a is treated from 2, b from 4, c always, d and e never; year 3 has no data
HAND = pd.DataFrame(
    {
        "unit": list("aaabbbcccdddeee"),
        "year": [1, 2, 4] * 5,
        "y": [0.0, 3, 4, 1, 1, 5, 2, 3, 9, 0, 1, 1, 2, 1, 3],
    }
)
HAND_DESIGN = make_design(list("abcde"), [(2, 4, ["a"]), (4, 4, ["b"]), (1, 4, ["c"])])


def _hand(frame: pd.DataFrame = HAND) -> Panel:
    return build_panel(frame, unit="unit", period="year", outcome=["y"])


def test_by_hand_with_irregular_years_and_a_unit_always_treated() -> None:
    parts = bacon_decomposition(_hand(), HAND_DESIGN, outcome="y")
    table = parts.table.assign(comparison=parts.table["comparison"].fillna(0)).set_index(
        ["treated", "comparison"]
    )
    # share of years treated: a 2/3, b 1/3, c 1, never 0; a, b, c one unit each, never two. Times 5 * 5 * 9:
    # c -> a, a later than always: 1 * 1 * 2/3 * (1 - 2/3) * 9 = 2, c -> b: 1/3 * 2/3 * 9 = 2,
    # a before b: (1 - 2/3) * (2/3 - 1/3) * 9 = 1, b after a: 1/3 * 1/3 * 9 = 1,
    # a, never: 2 * 1/3 * 2/3 * 9 = 4, b, never: 4; in all 14.
    # Never: 1, 1, 2. a: 0, 3, 4; b: 1, 1, 5; c: 2, 3, 9.
    expected = {
        (2, 1): (2, "Later vs Always Treated", (3.5 - 0) - (6 - 2)),
        (4, 1): (2, "Later vs Always Treated", (5 - 1) - (9 - 2.5)),
        (2, 4): (1, "Earlier vs Later Treated", 3 - 0),
        (4, 2): (1, "Later vs Earlier Treated", (5 - 1) - (4 - 3)),
        (2, 0): (4, "Treated vs Untreated", 3.5 - (1.5 - 1)),
        (4, 0): (4, "Treated vs Untreated", 4 - (2 - 1)),
    }
    assert set(table.index) == set(expected)
    for key, (weight, kind, estimate) in expected.items():
        assert table.loc[key, "type"] == kind
        assert table.loc[key, "weight"] == pytest.approx(weight / 14)
        assert table.loc[key, "estimate"] == pytest.approx(estimate)
    by_hand = sum(weight * estimate for weight, _, estimate in expected.values()) / 14
    assert parts.estimate == pytest.approx(by_hand)
    assert twfe(_hand(), HAND_DESIGN, outcome="y").cells["att"].iloc[0] == pytest.approx(by_hand)


def test_random_panels_sum_to_the_coefficient() -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        n, n_periods = int(rng.integers(4, 40)), int(rng.integers(3, 12))
        units = [f"u{number}" for number in range(n)]
        frame = pd.DataFrame(
            [(unit, year) for unit in units for year in range(n_periods)], columns=["unit", "year"]
        )
        frame["y"] = rng.normal(size=len(frame)) * 10.0 ** rng.integers(-3, 4)
        first = [int(rng.integers(-1, n_periods + 1)) or None for _ in units]
        first[:2] = [1, None]
        design = design_from_cohorts(units, first, last_period=n_periods - 1)
        panel = _hand(frame)
        parts = bacon_decomposition(panel, design, outcome="y")
        assert (parts.table["weight"] > 0).all()
        assert parts.table["weight"].sum() == pytest.approx(1)
        total = (parts.table["weight"] * parts.table["estimate"]).sum()
        assert total == pytest.approx(parts.estimate)
        assert total == pytest.approx(twfe(panel, design, outcome="y").cells["att"].iloc[0])


def test_row_order_scale_and_shift() -> None:
    plain = bacon_decomposition(_hand(), HAND_DESIGN, outcome="y").table
    mixed = bacon_decomposition(_hand(HAND.sample(frac=1, random_state=1)), HAND_DESIGN, outcome="y").table
    pd.testing.assert_frame_equal(plain, mixed)
    moved = bacon_decomposition(_hand(HAND.assign(y=3 * HAND["y"] + 7)), HAND_DESIGN, outcome="y").table
    assert np.allclose(moved["estimate"], 3 * plain["estimate"])
    assert np.allclose(moved["weight"], plain["weight"])


def test_a_unit_with_a_gap_is_left_out_and_named() -> None:
    panel = _hand(HAND.drop(index=13))  # e in 2
    parts = bacon_decomposition(panel, HAND_DESIGN, outcome="y")
    assert parts.dropped == (("e", "not_published", 2),)
    assert parts.n_units == 4


def test_units_that_leave_are_refused() -> None:
    with pytest.raises(DesignError, match="stays on") as caught:
        bacon_decomposition(_hand(), make_design(list("abcde"), [(2, 2, ["a"])]), outcome="y")
    assert "2-2" in str(caught.value)


def test_treatment_that_does_not_vary_is_refused() -> None:
    design = replace(make_design(list("abcde"), [(2, 4, ["a", "b"])]), comparison=())
    with pytest.raises(DesignError, match="does not vary"):
        bacon_decomposition(_hand(), design, outcome="y")
    with pytest.raises(DesignError, match="does not vary"):
        bacon_decomposition(_hand(), make_design(list("abcde"), [(1, 4, ["a"])]), outcome="y")


def test_wrong_data_are_refused() -> None:
    with pytest.raises(DataError, match="no such outcome"):
        bacon_decomposition(_hand(), HAND_DESIGN, outcome="z")
    panel = _hand()
    values = panel.values["y"].copy()
    values[1, 1] = -np.inf
    with pytest.raises(DataError, match="infinite") as caught:
        bacon_decomposition(replace(panel, values={"y": values}), HAND_DESIGN, outcome="y")
    assert "b in 2" in str(caught.value)
