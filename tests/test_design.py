"""Who is treated when, against whom: paths, set-aside units, cohorts."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mekeval.design import Design, design_from_cohorts, make_design, plain_design, study_design
from mekeval.errors import DesignError
from mekeval.study import Study

UNITS = ["stay", "leave", "enter", "never", "other"]
WAVES = [(2019, 2022, ["stay", "leave"]), (2023, 2025, ["stay", "enter"])]


def _paths(design: Design) -> dict[str, tuple[str, ...]]:
    return {path.name: path.units for path in design.paths}


def test_paths_of_units_that_stay_leave_and_enter() -> None:
    design = make_design(UNITS, WAVES)
    assert _paths(design) == {"2019-2025": ("stay",), "2019-2022": ("leave",), "2023-2025": ("enter",)}
    assert design.comparison == ("never", "other")
    assert design.set_aside == ()
    assert design.treated == ("stay", "leave", "enter")


def test_a_gap_between_spells_is_kept() -> None:
    design = make_design(["a", "b"], [(2010, 2012, ["a"]), (2015, 2016, ["a"])])
    (path,) = design.paths
    assert (path.name, path.spells) == ("2010-2012, 2015-2016", ((2010, 2012), (2015, 2016)))
    years = [2009, 2010, 2011, 2012, 2013, 2014, 2015, 2016, 2017]
    phases = ["pre", "partial", "on", "on", "after", "after", "partial", "on", "after"]
    assert [path.phase(year, partial_years=1) for year in years] == phases
    assert [path.phase(year) for year in (2010, 2015)] == ["on", "on"]


def test_waves_that_touch_or_overlap_are_one_spell_whatever_their_order() -> None:
    for waves in (
        [(2013, 2016, ["a"]), (2010, 2012, ["a"])],
        [(2010, 2014, ["a"]), (2012, 2016, ["a", "a"])],
    ):
        (path,) = make_design(["a", "b"], waves).paths
        assert path.spells == ((2010, 2016),)
        assert path.units == ("a",)


def test_what_comes_after_the_year_of_the_evaluation_is_not_used_but_not_compared_with_either() -> None:
    design = make_design(UNITS, WAVES, last_period=2021)
    assert _paths(design) == {"2019-2021": ("stay", "leave")}
    assert design.set_aside == (("enter", "treated_later"),)
    assert design.comparison == ("never", "other")
    assert _paths(make_design(UNITS, WAVES, last_period=2023)) == {
        "2019-2023": ("stay",), "2019-2022": ("leave",), "2023-2023": ("enter",)
    }  # fmt: skip


def test_never_treated_is_missing_and_no_number() -> None:
    cohort = make_design(UNITS, WAVES).cohort
    assert cohort.dtype == "Int64"
    assert cohort["enter"] == 2023
    assert cohort[["never", "other"]].isna().all()
    assert not (cohort == 0).fillna(False).any()


def test_how_units_were_chosen_is_unknown_unless_said() -> None:
    design = make_design(UNITS, WAVES, selected_by={"stay": "rule", "enter": "discretion"})
    assert design.selected_by == {"stay": "rule", "leave": "unknown", "enter": "discretion"}


def test_the_path_of_a_unit() -> None:
    design = make_design(UNITS, WAVES)
    assert design.path_of("leave").first == 2019
    with pytest.raises(DesignError, match="closest: 'leave'"):
        design.path_of("leaves")


@pytest.mark.parametrize(
    ("units", "waves", "options", "said"),
    [
        (UNITS, [(2019, 2022, ["sty"])], {}, "closest: 'stay'"),
        (UNITS, WAVES, {"last_period": 2018}, "2019 or later"),
        (UNITS, [], {}, "No wave treats a unit"),
        (UNITS, [(2019, 2022, [])], {"last_period": 2018}, "No wave treats a unit"),
        (["stay"], [(2019, 2022, ["stay"])], {}, "nothing is left to compare with"),
        (UNITS, [(2022, 2019, ["stay"])], {}, "ends before it begins"),
        ([*UNITS, "never"], WAVES, {}, "listed twice"),
        (UNITS, WAVES, {"pre_years": 0}, "counted from 1"),
        (UNITS, WAVES, {"partial_years": -1}, "counted from 1"),
    ],
)
def test_a_question_that_cannot_be_put_is_refused(
    units: list[str], waves: list[tuple[int, int, list[str]]], options: dict[str, int], said: str
) -> None:
    with pytest.raises(DesignError, match=said):
        make_design(units, waves, **options)


# --- staggered designs


@pytest.mark.parametrize("never", [None, pd.NA, np.nan, pd.NaT])
@pytest.mark.parametrize("first", [2004, 2004.0, np.int64(2004), np.float32(2004)])
def test_cohorts_of_any_kind_of_whole_number(never: object, first: object) -> None:
    design = design_from_cohorts(["a", "b", "c"], [first, never, 2006], last_period=2007)
    assert _paths(design) == {"2004-2007": ("a",), "2006-2007": ("c",)}
    assert design.comparison == ("b",)
    assert design.cohort["b"] is pd.NA


@pytest.mark.parametrize("wrong", [0, 0.0, np.inf, -np.inf, 2004.5, "2004", "never", True, np.True_])
def test_a_cohort_that_is_no_period_is_refused(wrong: object) -> None:
    with pytest.raises(DesignError, match="A cohort is no period") as caught:
        design_from_cohorts(["a", "b"], [wrong, None], last_period=2007)
    assert "unit 'a'" in caught.value.faults[0].where
    assert "<NA>" in caught.value.faults[0].expected


def test_units_treated_after_the_data_end_are_neither_treated_nor_compared_with() -> None:
    design = design_from_cohorts(["a", "b", "c"], [2004, 2010, None], last_period=2007)
    assert _paths(design) == {"2004-2007": ("a",)}
    assert design.set_aside == (("b", "treated_later"),)
    assert design.comparison == ("c",)


def test_there_is_one_cohort_for_each_unit() -> None:
    with pytest.raises(DesignError, match="one cohort for each unit"):
        design_from_cohorts(["a", "b"], [2004], last_period=2007)


# --- the study's design


def test_the_design_of_the_embedded_study(example: Study) -> None:
    design = study_design(example, last_period=2024)
    named = {
        name: [example.areas.name(code, "fi") for code in codes] for name, codes in _paths(design).items()
    }
    assert named == {
        "2019-2024": ["Hakunila", "Havukoski", "Länsimäki", "Mikkola"],
        "2019-2022": ["Martinlaakso"],
        "2023-2024": ["Myyrmäki"],
    }
    assert len(design.comparison) == 61 - 6
    by = {example.areas.name(code, "fi"): how for code, how in design.selected_by.items()}
    assert by.pop("Myyrmäki") == "discretion"
    assert set(by.values()) == {"rule"}
    assert (design.pre_years, design.partial_years) == (5, 1)
    early = study_design(example, last_period=2022)
    assert [example.areas.name(code, "fi") for code, _ in early.set_aside] == ["Myyrmäki"]


def test_the_plain_reading_compares_with_everybody_else(example: Study) -> None:
    design = study_design(example, last_period=2024)
    first = example.wave_areas[0]
    plain = plain_design(design, example.areas.units, first, first=2019, last=2024)
    assert plain.treated == first
    assert len(plain.comparison) == 61 - 5  # Myyrmäki, treated from 2023, among them
    assert plain.set_aside == ()
    assert (plain.pre_years, plain.partial_years) == (design.pre_years, design.partial_years)
