"""Regressions by hand where units switch and years are missing, and what they say where they cannot be run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mekeval import DataError, DesignError, MekevalError, aggregate, build_panel, make_design
from mekeval.estimate import Effects
from mekeval.estimate.regression import (
    covariate_coefficients,
    extended_twfe,
    sun_abraham,
    twfe,
    twfe_event_study,
)
from mekeval.panel import Panel

ESTIMATORS = (twfe, twfe_event_study, sun_abraham, extended_twfe)


# Switches and irregular years, by hand

HAND = pd.DataFrame(
    {
        "unit": list("aaabbbcccdddeee"),
        "year": [1, 3, 4] * 5,
        "y": [10.0, 14, 15, 8, 11, 9, 6, 7, 12, 4, 5, 7, 2, 5, 3],
    }
)
HAND_DESIGN = make_design(list("abcde"), [(3, 3, ["a", "b"]), (4, 4, ["a", "c"])])


def _hand(frame: pd.DataFrame = HAND) -> Panel:
    return build_panel(frame, unit="unit", period="year", outcome=["y"])


def test_a_path_that_leaves_has_effects_after_it_left() -> None:
    # a 3-4, b 3 only, c 4 only, d and e never; no data for 2, so 1 is the base of a and b. Changes of d and e: 1 -> 3
    # mean (1 + 3) / 2 = 2, 1 -> 4 (3 + 1) / 2 = 2, 3 -> 4 (2 - 2) / 2 = 0, 3 -> 1 -2
    cells = sun_abraham(_hand(), HAND_DESIGN, outcome="y").cells.set_index(["path", "period"])
    expected = {
        ("3-4", 3): 4 - 2,
        ("3-4", 4): 5 - 2,
        ("3-3", 3): 3 - 2,
        ("3-3", 4): 1 - 2,
        ("4-4", 1): -1 + 2,
        ("4-4", 4): 5 - 0,
    }
    assert cells["att"].to_dict() == pytest.approx(expected)
    assert cells.loc[("3-3", 4), "phase"] == "after"
    assert cells["base"].tolist() == ["1", "1", "1", "1", "3", "3"]
    table = sun_abraham(_hand(), HAND_DESIGN, outcome="y").tidy()
    assert table["se"].isna().all()  # every path is one unit
    assert table["se_note"].str.contains("one treated unit: no standard error exists").all()


def test_districts_of_sun_abraham_are_their_own_changes() -> None:
    table = aggregate(sun_abraham(_hand(), HAND_DESIGN, outcome="y"), by="district").table.set_index("key")
    assert table["att"].to_dict() == pytest.approx({"a": 2.5, "b": 1, "c": 5})


def test_a_unit_that_left_is_untreated_to_twfe_and_partial_years_are_treated() -> None:
    # only b, which is treated in 3 alone; periods 1 and 4 are its untreated ones: 11 - (8 + 9) / 2 = 2.5 against
    # d 5 - (4 + 7) / 2 = -0.5 and e 5 - (2 + 3) / 2 = 2.5, mean 1
    design = make_design(list("bde"), [(3, 3, ["b"])], partial_years=1)
    assert twfe(_hand(), design, outcome="y").cells["att"].iloc[0] == pytest.approx(1.5)


def test_the_event_study_refuses_units_that_leave() -> None:
    with pytest.raises(DesignError, match="mix years in the programme") as caught:
        twfe_event_study(_hand(), HAND_DESIGN, outcome="y")
    assert "3-3" in str(caught.value)


def test_partial_years_are_shown_and_not_in_the_overall() -> None:
    design = make_design(list("abde"), [(3, 4, ["a", "b"])], partial_years=1)
    for estimator in (twfe_event_study, sun_abraham, extended_twfe):
        effects = estimator(_hand(), design, outcome="y")
        phases = dict(zip(effects.cells["event_time"], effects.cells["phase"], strict=True))
        assert phases == {0: "partial", 1: "on"}
        overall = aggregate(effects, by="simple").overall
        assert overall == pytest.approx(effects.cells.set_index("event_time").loc[1, "att"])


def test_the_last_year_with_data_stands_in_for_a_reference_without() -> None:
    design = make_design(list("abde"), [(3, 4, ["a", "b"])])
    effects = sun_abraham(_hand(), design, outcome="y", reference=-1)  # 2 has no data
    assert set(effects.cells["base"]) == {"1"}
    assert np.allclose(
        effects.cells["att"], sun_abraham(_hand(), design, outcome="y", reference=-2).cells["att"]
    )


# What cannot be estimated is said


def _six(**columns: list[float]) -> Panel:
    """Units a to f, years 1 to 4."""
    frame = pd.DataFrame({"unit": np.repeat(list("abcdef"), 4), "year": [1, 2, 3, 4] * 6})
    rng = np.random.default_rng(2)
    frame["y"] = rng.normal(size=24)
    for name, values in columns.items():
        frame[name] = values
    return build_panel(frame, unit="unit", period="year", outcome=["y", *columns])


SIX = make_design(list("abcdef"), [(3, 4, ["a", "b", "c"])])


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda one: one.__name__)
def test_an_outcome_that_effects_explain_has_no_error(estimator: Callable[..., Effects]) -> None:
    panel = _six()
    with pytest.raises(DesignError, match="the same everywhere"):
        estimator(replace(panel, values={"y": np.full((6, 4), 0.1)}), SIX, outcome="y")
    explained = (
        np.arange(6.0)[:, None] + 0.1 * np.arange(4.0) ** 2
    )  # unit and period effects and nothing else
    table = estimator(replace(panel, values={"y": explained}), SIX, outcome="y").tidy()
    assert table["att"].to_numpy(dtype=float) == pytest.approx(np.zeros(len(table)), abs=1e-12)
    assert table["se"].isna().all()
    assert (table["se_note"] == "the outcome does not vary beyond what the effects explain").all()


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda one: one.__name__)
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"outcome": "z"}, "no such outcome"),
        ({"covariates": ["z"]}, "no such outcome"),
        ({"covariates": ["y"]}, "cannot be the outcome"),
        ({"covariates": "y"}, "list of names"),
    ],
)
def test_wrong_names_are_refused(
    estimator: Callable[..., Effects], change: dict[str, object], words: str
) -> None:
    with pytest.raises((DataError, DesignError), match=words):
        estimator(_six(), SIX, **{"outcome": "y", **change})


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda one: one.__name__)
def test_collinear_covariates_are_named(estimator: Callable[..., Effects]) -> None:
    values = list(np.random.default_rng(4).normal(size=24))
    panel = _six(one=values, two=[2 * value + 1 for value in values])
    with pytest.raises(DesignError, match="cannot be told apart") as caught:
        estimator(panel, SIX, outcome="y", covariates=["one", "two"])
    assert "one" in str(caught.value)
    assert "two" in str(caught.value)


@pytest.mark.parametrize("estimator", ESTIMATORS[:3], ids=lambda one: one.__name__)
def test_a_covariate_that_never_changes_is_explained_by_the_units(estimator: Callable[..., Effects]) -> None:
    panel = _six(size=list(np.repeat([1.0, 2, 4, 8, 16, 33], 4)))
    with pytest.raises(DesignError, match="unit and period effects") as caught:
        estimator(panel, SIX, outcome="y", covariates=["size"])
    assert "size" in str(caught.value)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda one: one.__name__)
def test_an_infinite_value_is_refused(estimator: Callable[..., Effects]) -> None:
    panel = _six()
    values = panel.values["y"].copy()
    values[2, 1] = np.inf
    with pytest.raises(DataError, match="infinite") as caught:
        estimator(replace(panel, values={"y": values}), SIX, outcome="y")
    assert "c in 2" in str(caught.value)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda one: one.__name__)
def test_a_unit_that_is_not_in_the_panel_is_refused(estimator: Callable[..., Effects]) -> None:
    with pytest.raises(DataError, match="no such unit"):
        estimator(_six(), make_design([*"abcdef", "g"], [(3, 4, ["a", "b"])]), outcome="y")


def _without(*cells: tuple[str, int]) -> Panel:
    panel = _six()
    values, reasons = panel.values["y"].copy(), panel.reasons["y"].copy()
    for unit, year in cells:
        values["abcdef".index(unit), year - 1] = np.nan
        reasons["abcdef".index(unit), year - 1] = "confidential"
    return replace(panel, values={"y": values}, reasons={"y": reasons})


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda one: one.__name__)
def test_units_without_a_value_are_dropped_with_the_reason(estimator: Callable[..., Effects]) -> None:
    effects = estimator(_without(*(("b", year) for year in (1, 2, 3, 4)), ("e", 3)), SIX, outcome="y")
    assert effects.dropped == (("b", "confidential", 1),)
    assert effects.units == tuple("acdef")
    assert effects.n_rows == 5 * 4 - 1
    assert list(effects.cells["n_treated"].unique()) == [2]


@pytest.mark.parametrize("estimator", ESTIMATORS[1:], ids=lambda one: one.__name__)
def test_an_effect_without_a_comparison_in_its_year_is_named(estimator: Callable[..., Effects]) -> None:
    with pytest.raises(DesignError, match="cannot be told apart") as caught:
        estimator(_without(*((unit, 4) for unit in "def")), SIX, outcome="y")
    assert "in 4" in str(caught.value) or "event time 1" in str(caught.value)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda one: one.__name__)
def test_without_any_comparison_there_is_an_error(estimator: Callable[..., Effects]) -> None:
    gone = _without(*((unit, year) for unit in "def" for year in (1, 2, 3, 4)))
    with pytest.raises(DesignError):
        estimator(gone, SIX, outcome="y")


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda one: one.__name__)
def test_without_a_treated_unit_with_data_there_is_an_error(estimator: Callable[..., Effects]) -> None:
    gone = _without(*((unit, year) for unit in "abc" for year in (1, 2, 3, 4)))
    with pytest.raises(DesignError, match="No treated unit") as caught:
        estimator(gone, SIX, outcome="y")
    assert "a: confidential in 1" in str(caught.value)


@pytest.mark.parametrize("estimator", ESTIMATORS[1:], ids=lambda one: one.__name__)
def test_only_always_treated_units_are_an_error(estimator: Callable[..., Effects]) -> None:
    with pytest.raises(DesignError, match="No treated unit") as caught:
        estimator(_six(), make_design(list("abcdef"), [(1, 4, ["a", "b"])]), outcome="y")
    assert "always_treated" in str(caught.value)


def test_a_cohort_without_data_at_the_reference_is_named() -> None:
    for estimator in (twfe_event_study, sun_abraham):
        with pytest.raises(DesignError, match="no data before treatment") as caught:
            estimator(_six(), SIX, outcome="y", reference=-3)
        assert "up to 0" in str(caught.value)
        with pytest.raises(DesignError, match="must lie before entry"):
            estimator(_six(), SIX, outcome="y", reference=0)


def test_a_programme_after_the_data_has_no_effect_yet() -> None:
    later = make_design(list("abcdef"), [(9, 9, ["a", "b"])])
    for estimator in (twfe, extended_twfe):
        with pytest.raises(DesignError, match="No unit is treated in a period with data"):
            estimator(_six(), later, outcome="y")


def test_treated_units_with_data_in_their_base_alone_have_no_effect() -> None:
    panel = _without(*((unit, year) for unit in "abc" for year in (1, 3, 4)))
    for estimator in (twfe_event_study, sun_abraham, extended_twfe):
        with pytest.raises(DesignError, match="No unit is treated in a period with data"):
            estimator(panel, SIX, outcome="y")


def test_more_coefficients_than_cells_are_refused() -> None:
    frame = pd.DataFrame({"unit": list("aabb"), "year": [1, 2] * 2, "y": [1.0, 2, 3, 5], "x": [0.0, 1, 3, 0]})
    panel = build_panel(frame, unit="unit", period="year", outcome=["y", "x"])
    design = make_design(["a", "b"], [(2, 2, ["a"])])
    with pytest.raises(MekevalError):
        twfe(panel, design, outcome="y", covariates=["x"])


def test_what_has_no_calendar_year_or_district_is_not_aggregated_by_it() -> None:
    for effects in (twfe(_six(), SIX, outcome="y"), twfe_event_study(_six(), SIX, outcome="y")):
        for by in ("calendar", "district", "after_leaving"):
            with pytest.raises(DesignError):
                aggregate(effects, by=by)  # type: ignore[arg-type]


def test_unknown_words_are_answered_with_the_closest() -> None:
    with pytest.raises(DesignError, match="closest: 'never_treated'"):
        extended_twfe(_six(), SIX, outcome="y", comparison="never-treated")  # type: ignore[arg-type]
    with pytest.raises(DesignError, match="closest: 'sun_abraham'"):
        covariate_coefficients(_six(), SIX, outcome="y", covariates=["y"], estimator="sunabraham")  # type: ignore[arg-type]
    with pytest.raises(DesignError, match="No covariate is named"):
        covariate_coefficients(_six(), SIX, outcome="y", covariates=[])
