"""Where no standard error exists, for want of units or of variation: what the tables print, and why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest

from mekeval import aggregate, build_panel, design_from_cohorts, make_design, triple_difference
from mekeval.design import Design
from mekeval.estimate import (
    ESTIMATORS,
    Effects,
    callaway_santanna,
    first_differences,
    group_time_att,
    imputation,
    local_projection,
    repeated_cross_sections,
    stacked,
    sun_abraham,
    switchers,
    twfe,
    twfe_event_study,
)
from mekeval.panel import Panel

Study = tuple[Panel, Design]
ONE_TREATED = "one treated unit: no standard error exists"
ONE_COMPARISON = "one comparison unit: no standard error exists"
FLAT = "the outcome does not vary beyond what the effects explain"
ALL: dict[str, Callable[..., Effects]] = {
    **{
        name: estimator
        for name, estimator in ESTIMATORS.items()
        if name not in ("switchers", "first_differences", "synthetic_control", "synthetic_did")
    },
    **{
        f"first_differences, {errors}": partial(first_differences, errors=errors)
        for errors in ("iid", "hc1", "cluster")
    },
    "stacked": partial(stacked, window=(-2, 1)),
    "stacked by path": partial(stacked, window=(-2, 1), by_path=True),
    "local_projection": partial(local_projection, window=(-2, 1)),
    "local_projection by path": partial(local_projection, window=(-2, 1), by_path=True),
}


def _study(first: dict[int, int], values: np.ndarray, gaps: tuple[tuple[int, int], ...] = ()) -> Study:
    """Units u00, u01, ... over the years from 1; `first` their first treated years; (unit, year) of `gaps` are out."""
    n_units, n_years = values.shape
    rows = [
        (f"u{unit:02d}", year + 1, values[unit, year])
        for unit in range(n_units)
        for year in range(n_years)
        if (unit, year + 1) not in gaps
    ]
    frame = pd.DataFrame(rows, columns=["unit", "year", "y"])
    panel = build_panel(frame, unit="unit", period="year", outcome=["y"])
    cohorts = [first.get(int(name[1:])) for name in panel.units]
    return panel, design_from_cohorts(panel.units, cohorts, last_period=n_years)


def _noise(n_units: int, n_years: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n_units, n_years))


# One comparison unit ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_one_comparison_unit_has_no_standard_error(name: str) -> None:
    study = _study(dict.fromkeys(range(11), 4), _noise(12, 5))
    effects = ALL[name](*study, outcome="y")
    table = effects.tidy()
    assert (table["n_comparison"] == 1).all()
    assert table["se"].isna().all()
    assert table["se_note"].str.contains("no standard error exists").all()
    found = aggregate(effects, by="simple")
    assert found.table["se"].isna().all()
    assert found.overall_se is None
    assert found.overall_se_note


def test_the_error_that_is_not_printed_was_far_too_small() -> None:
    # A true effect of zero, twenty treated and one comparison unit, changes with a standard deviation of root 2: the
    # error is root(2 / 20 + 2), the norm of the influence functions holds only the first part.
    draws = [
        group_time_att(*_study(dict.fromkeys(range(20), 2), _noise(21, 2, seed)), outcome="y")
        for seed in range(60)
    ]
    spread = np.std([effects.cells["att"].iloc[0] for effects in draws])
    norm = np.mean([np.sqrt((effects.influence**2).sum()) / 21 for effects in draws])  # type: ignore[operator]
    assert spread == pytest.approx(np.sqrt(2.1), rel=0.25)
    assert norm < 0.3 * spread
    assert all(effects.tidy()["se"].isna().all() for effects in draws)


def test_a_period_with_one_unit_left_has_no_standard_error() -> None:
    # u04 is the only one not yet treated from year 4 on; in year 3 there are u02, u03 and u04.
    study = _study({0: 3, 1: 3, 2: 4, 3: 4}, _noise(5, 4))
    for estimator in (
        partial(callaway_santanna, comparison="not_yet_treated"),
        imputation,
        ESTIMATORS["extended_twfe"],
    ):
        table = estimator(*study, outcome="y").tidy()
        table = table[table["phase"] == "on"]
        assert (table["se_note"] == np.where(table["period"] == 3, "", ONE_COMPARISON)).all()
    panel, design = _study({0: 3, 1: 3, 2: 4}, _noise(4, 4))
    last = sun_abraham(panel, replace(design, comparison=()), outcome="y")  # the last cohort, u02, compares
    assert (last.tidy()["se_note"] == ONE_COMPARISON).all()


def test_cohorts_that_compare_with_each_other_have_an_error() -> None:
    study = _study({0: 3, 1: 3, 2: 4, 3: 4, 4: 4}, _noise(6, 5))
    assert twfe(*study, outcome="y").tidy()["se"].notna().all()
    # Leads and lags of cohorts are told from a trend by the never-treated alone.
    assert (twfe_event_study(*study, outcome="y").tidy()["se_note"] == ONE_COMPARISON).all()


def test_switchers_have_a_rule_of_their_own() -> None:
    # Two treated that change by 3 and 1, one control by 0: att 2. Treated about their mean with n / (n - 1):
    # (1, -1) / 2 * root 2; the control about the mean of all, 4/3, with 3 / 2: -(0 - 4/3) * root(3/2).
    study = _study({0: 2, 1: 2}, np.array([[0.0, 3], [0, 1], [0, 0]]))
    row = switchers(*study, outcome="y").tidy().iloc[0]
    assert row["att"] == 2
    assert row["se"] == pytest.approx(np.sqrt(2 * 0.5 + (16 / 9) * 1.5))
    assert row["se_note"] == ""


def test_triple_differences_say_a_side_of_one_unit() -> None:
    values = _noise(9, 3)
    first = dict.fromkeys(range(4), 2)  # u00 to u03; comparison u04 to u08, of whom one is not eligible
    panel, design = _study(first, values)
    for n_ineligible, lacking in ((1, True), (2, False)):
        eligible = {
            unit: unit not in ("u02", "u03", "u07", "u08")[: 2 + n_ineligible] for unit in panel.units
        }
        effects = triple_difference(panel, design, outcome="y", eligible=eligible)
        table = effects.tidy()
        assert table["se"].isna().all() == lacking
        assert (table["se_note"].str.contains("comparison cohort has one unit on a side") == lacking).all()
        assert (aggregate(effects, by="simple").overall_se is None) == lacking


def test_a_corner_of_one_area_has_no_standard_error() -> None:
    # Three treated areas in year 1, one of them in year 2; both sides have several areas in all.
    values = _noise(7, 3)
    study = _study(dict.fromkeys(range(3), 2), values, gaps=((1, 2), (2, 2)))
    effects = repeated_cross_sections(*study, outcome="y")
    table = effects.tidy().set_index("period")
    assert table.loc[2, "n_treated"] == 3
    assert pd.isna(table.loc[2, "se"])
    assert "one area on a side in one of the two years" in table.loc[2, "se_note"]
    assert table.loc[3, "se_note"] == ""
    assert table.loc[3, "se"] > 0
    assert aggregate(effects, by="simple").overall_se is None
    other = repeated_cross_sections(
        *_study(dict.fromkeys(range(3), 2), values, gaps=((3, 1), (4, 1), (5, 1))), outcome="y"
    )
    assert other.tidy()["se"].isna().all()  # one comparison area in the base


# Aggregations ----------------------------------------------------------------------------------------------------


def test_averages_look_at_all_their_effects_and_not_at_the_first() -> None:
    # u00 to u02 enter in 3. In 3 only u00 has a value, in 4 all have: an average over both has no error, and rests on
    # three units. Event time 1 has one.
    study = _study(dict.fromkeys(range(3), 3), _noise(9, 4), gaps=((1, 3), (2, 3)))
    effects = callaway_santanna(*study, outcome="y", base_period="universal")
    assert effects.tidy().set_index("period").loc[3, "se_note"] == ONE_TREATED
    assert effects.tidy().set_index("period").loc[4, "se_note"] == ""
    for by in ("simple", "path", "cohort"):
        found = aggregate(effects, by=by)
        (row,) = found.table.itertuples()
        assert row.n_treated == 3
        assert pd.isna(row.se)
        assert row.se_note == "an effect of one treated unit is in it: no standard error exists"
        assert (found.overall_se, found.overall_se_note) == (None, row.se_note)
    events = aggregate(effects, by="event_time")
    table = events.table.set_index("key")
    assert table.loc[0, "se_note"] == ONE_TREATED
    assert (table.loc[1, "n_treated"], table.loc[1, "se_note"]) == (3, "")
    assert table.loc[1, "se"] > 0
    assert events.overall_se_note.startswith("an effect of one treated unit is in it")
    # The other way round: the first effect has three units, the second one; the table must not print an error.
    late = callaway_santanna(
        *_study(dict.fromkeys(range(3), 3), _noise(9, 4), gaps=((1, 4), (2, 4))),
        outcome="y",
        base_period="universal",
    )
    assert aggregate(late, by="path").table["se"].isna().all()
    assert aggregate(late, by="path").overall_se is None


def test_an_effect_after_leaving_of_one_unit_does_not_take_the_others_along() -> None:
    panel, _ = _study({0: 2}, _noise(8, 4))
    design = make_design(panel.units, [(2, 2, ["u00"]), (3, 4, ["u01", "u02"])])
    after = aggregate(group_time_att(panel, design, outcome="y"), by="after_leaving")
    assert after.table["se_note"].tolist() == [
        "an effect of one treated unit is in it: no standard error exists"
    ]
    on = aggregate(group_time_att(panel, design, outcome="y"), by="path")
    assert on.table["se"].isna().tolist() == [True, False]
    assert on.table["n_treated"].tolist() == [1, 2]


# An outcome that does not vary -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_an_effect_without_a_rest_is_not_significant(name: str) -> None:
    # Levels differ and years differ, the treated rise by 0.1 for good: nothing else moves, so t would be infinite.
    values = 0.7 * np.arange(8.0)[:, None] + 0.3 * np.arange(5.0)
    values[:4, 2:] += 0.1
    effects = ALL[name](*_study(dict.fromkeys(range(4), 3), values), outcome="y")
    table = effects.tidy()
    assert table.loc[table["phase"] == "on", "att"].to_numpy(dtype=float) == pytest.approx(0.1, abs=1e-9)
    assert table["se"].isna().all()
    assert (table["se_note"] == FLAT).all()
    if effects.influence is not None:
        found = aggregate(effects, by="simple")
        assert (found.overall_se, found.overall_se_note) == (None, FLAT)


def test_small_errors_of_a_small_outcome_stay() -> None:
    values = _noise(8, 4)
    plain = group_time_att(*_study(dict.fromkeys(range(4), 3), values), outcome="y").tidy()
    tiny = group_time_att(*_study(dict.fromkeys(range(4), 3), 1e-9 * values), outcome="y").tidy()
    assert tiny["se"].to_numpy(dtype=float) == pytest.approx(1e-9 * plain["se"].to_numpy(dtype=float))
