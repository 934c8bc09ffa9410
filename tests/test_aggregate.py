"""Aggregations that did has and the others have not: balanced event times, and cohorts of several paths."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mekeval import DesignError, aggregate, build_panel, design_from_cohorts, make_design
from mekeval.estimate import Effects, callaway_santanna, group_time_att, twfe


@pytest.fixture(scope="module")
def mpdta(reference: Path) -> Effects:
    data = pd.read_csv(reference / "mpdta.csv")
    panel = build_panel(data, unit="countyreal", period="year", outcome=["lemp"])
    first = data.drop_duplicates("countyreal").set_index(data["countyreal"].drop_duplicates().astype(str))
    cohorts = [int(year) or None for year in first["first.treat"].reindex(list(panel.units))]
    return callaway_santanna(
        panel, design_from_cohorts(panel.units, cohorts, last_period=2007), outcome="lemp"
    )


def test_balanced_event_times_are_those_of_did_by_hand(mpdta: Effects) -> None:
    # did's balance_e = 1: cohorts with 2007 - g >= 1, so 2004 (20 counties) and 2006 (40) but not 2007 (131), and
    # event times up to 1; its overall is the mean of event times 0 and 1.
    att = mpdta.cells.set_index(["cohort", "period"])["att"]
    size = pd.Series({2004: int(np.sum(mpdta.group == 0)), 2006: int(np.sum(mpdta.group == 1))})
    assert size.tolist() == [20, 40]
    expected = {
        event: sum(att[g, g + event] * n for g, n in size.items() if (g, g + event) in att.index)
        / sum(n for g, n in size.items() if (g, g + event) in att.index)
        for event in (-2, -1, 0, 1)
    }
    found = aggregate(mpdta, by="event_time", balanced=1)
    assert dict(zip(found.table["key"], found.table["att"], strict=True)) == pytest.approx(expected)
    assert found.overall == pytest.approx((expected[0] + expected[1]) / 2)
    assert found.table.set_index("key").loc[[0, 1], "n_treated"].tolist() == [60, 60]
    # The errors are those of the same average in a panel without the cohort of 2007, up to the scale of n.
    entered = mpdta.group != 2
    inside = mpdta.influence[entered] * entered.mean()  # type: ignore[index]
    smaller = type(mpdta)(
        **{
            **vars(mpdta),
            "cells": mpdta.cells[mpdta.cells["group"] != 2].reset_index(drop=True),
            "units": tuple(unit for unit, kept in zip(mpdta.units, entered, strict=True) if kept),
            "group": mpdta.group[entered],
            "influence": inside[:, (mpdta.cells["group"] != 2).to_numpy()],
            "changes": None,
            "exposure": None,
        }
    )
    other = aggregate(smaller, by="event_time").table.set_index("key")
    table = found.table.set_index("key")
    for event in (0, 1):
        assert table.loc[event, "se"] == pytest.approx(other.loc[event, "se"], rel=1e-12)


@pytest.mark.parametrize(
    ("by", "balanced"),
    [("event_time", -1), ("event_time", 0.5), ("event_time", True), ("event_time", "1"), ("path", 1)],
)
def test_what_cannot_be_balanced_is_refused(mpdta: Effects, by: str, balanced: object) -> None:
    with pytest.raises(DesignError, match="Only event times are balanced"):
        aggregate(mpdta, by=by, balanced=balanced)  # type: ignore[arg-type]


def test_nothing_reaches_so_far(mpdta: Effects) -> None:
    with pytest.raises(DesignError, match="balanced 9"):
        aggregate(mpdta, by="event_time", balanced=9)


def _paths() -> Effects:
    """Years 1 to 3; a and b enter in 2 and stay, c enters in 2 and leaves, d enters in 3; e to h never do."""
    y = {"a": (0, 3, 5), "b": (0, 1, 3), "c": (0, 6, 1), "d": (0, 0, 7), "e": (0, 1, 0), "f": (0, 0, 1)}
    y |= {"g": (0, 1, 2), "h": (0, 2, 1)}
    frame = pd.DataFrame(
        [(unit, year + 1, float(value)) for unit, row in y.items() for year, value in enumerate(row)],
        columns=["unit", "year", "y"],
    )
    panel = build_panel(frame, unit="unit", period="year", outcome=["y"])
    design = make_design("abcdefgh", [(2, 3, ["a", "b"]), (2, 2, ["c"]), (3, 3, ["d"])])
    return group_time_att(panel, design, outcome="y", base_period="universal")


def test_paths_of_one_cohort_are_joined_by_their_size() -> None:
    # Never-treated: change 1 in both years. Path of a and b: (2 - 1 + 4 - 1) / 2 = 2; of c while in: 6 - 1 = 5; of d:
    # 7 - (mean change from 2 to 3 of e to h: (-1 + 1 + 1 - 1) / 4 = 0) = 7. Cohort 2: (2 * 2 + 1 * 5) / 3 = 3.
    effects = _paths()
    found = aggregate(effects, by="cohort")
    assert found.table["key"].tolist() == [2, 3]
    assert found.table["att"].tolist() == pytest.approx([3, 7])
    assert found.table["n_treated"].tolist() == [3, 1]
    assert found.tidy().columns[0] == "cohort"
    by_path = aggregate(effects, by="path")
    assert found.overall == pytest.approx((3 * 3 + 7) / 4)
    assert found.overall == pytest.approx(by_path.overall)
    assert found.influence is not None and by_path.influence is not None
    # With the shares of its paths estimated: psi = sum_k w_k psi_k + (1{i in k} - p_k) terms, as for paths.
    n, share = 8, np.array([2, 1]) / 3
    inside = (effects.group[:, None] == [0, 1]).astype(float)
    gaps = by_path.table["att"].to_numpy()[:2] - 3
    expected = by_path.influence[:, :2] @ share + inside @ gaps * n / 3
    assert found.influence[:, 0] == pytest.approx(expected)


def test_one_path_for_each_cohort_is_the_cohort(mpdta: Effects) -> None:
    paths, cohorts = aggregate(mpdta, by="path"), aggregate(mpdta, by="cohort")
    assert cohorts.table["key"].tolist() == [2004, 2006, 2007]
    pd.testing.assert_frame_equal(paths.table.drop(columns="key"), cohorts.table.drop(columns="key"))
    assert cohorts.overall_se == pytest.approx(paths.overall_se, rel=1e-12)


def test_an_effect_of_all_cohorts_has_none() -> None:
    frame = pd.DataFrame({"unit": list("aabbcc"), "year": [1, 2] * 3, "y": [0.0, 3, 0, 1, 0, 0]})
    panel = build_panel(frame, unit="unit", period="year", outcome=["y"])
    effects = twfe(panel, make_design("abc", [(2, 2, ["a"])]), outcome="y")
    with pytest.raises(DesignError, match="by cohort"):
        aggregate(effects, by="cohort")
