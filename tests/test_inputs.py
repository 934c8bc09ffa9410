"""What a caller may hand in: names in any collection, and an answer in words to everything else."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest

from mekeval import DataError, DesignError, MekevalError, aggregate, build_panel, design_from_cohorts
from mekeval.design import Design
from mekeval.errors import closest
from mekeval.estimate import (
    ESTIMATORS,
    Effects,
    callaway_santanna,
    covariate_coefficients,
    extended_twfe,
    group_time_att,
    imputation,
    imputation_pretrend_test,
    local_projection,
    repeated_cross_sections,
    stacked,
    sun_abraham,
    switchers,
    triple_difference,
    twfe,
    twfe_event_study,
)
from mekeval.panel import Panel

Study = tuple[Panel, Design]
FIRST: Mapping[str, int] = {"u00": 4, "u01": 4, "u02": 4, "u03": 5, "u04": 5}
ALL: dict[str, Callable[..., Effects]] = {
    **ESTIMATORS,
    "stacked": partial(stacked, window=(-2, 1)),
    "local_projection": partial(local_projection, window=(-2, 1)),
}
WITH_COVARIATES = [name for name in ALL if name != "group_time"]


def _study(without: tuple[tuple[str, int, str], ...] = ()) -> Study:
    """Twelve units over six years with outcomes y, x and z; (unit, year, outcome) of `without` are missing."""
    rng = np.random.default_rng(3)
    frame = pd.DataFrame(
        [(f"u{at:02d}", year) for at in range(12) for year in range(1, 7)], columns=["unit", "year"]
    )
    frame[["y", "x", "z"]] = rng.normal(size=(72, 3))
    for unit, year, name in without:
        frame.loc[(frame["unit"] == unit) & (frame["year"] == year), name] = np.nan
    panel = build_panel(frame, unit="unit", period="year", outcome=["y", "x", "z"])
    return panel, design_from_cohorts(panel.units, [FIRST.get(unit) for unit in panel.units], last_period=6)


@pytest.mark.parametrize("name", WITH_COVARIATES)
def test_covariates_may_come_in_any_collection(name: str) -> None:
    study = _study()
    plain = ALL[name](*study, outcome="y", covariates=["x"]).cells["att"].to_numpy(dtype=float)
    for same in (("x",), pd.Index(["x"]), np.array(["x"]), pd.Series(["x"]), {"x": 1}.keys()):
        other = ALL[name](*study, outcome="y", covariates=same).cells["att"].to_numpy(dtype=float)
        assert np.array_equal(plain, other)
    none = ALL[name](*study, outcome="y").cells["att"].to_numpy(dtype=float)
    for same in (None, [], pd.Index([]), np.array([])):
        other = ALL[name](*study, outcome="y", covariates=same).cells["att"].to_numpy(dtype=float)
        assert np.array_equal(none, other)
    for wrong in ("x", 3, ["x", "x"], [1.5], [["x"]], [None]):
        with pytest.raises(MekevalError):
            ALL[name](*study, outcome="y", covariates=wrong)


def test_other_readers_of_covariates_take_them_too() -> None:
    study = _study()
    names = np.array(["x"])
    assert covariate_coefficients(*study, outcome="y", covariates=names).table["covariate"].tolist() == ["x"]
    plain = imputation_pretrend_test(*study, outcome="y", leads=1, covariates=["x"])
    assert imputation_pretrend_test(*study, outcome="y", leads=1, covariates=names).p_value == plain.p_value
    for nobody in (None, np.array([])):
        with pytest.raises(DesignError, match="No covariate"):
            covariate_coefficients(*study, outcome="y", covariates=nobody)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("outcome", [None, ["y"], 3, ("y", "x")])
def test_an_outcome_is_one_name(name: str, outcome: object) -> None:
    with pytest.raises(DataError, match="no such outcome"):
        ALL[name](*_study(), outcome=outcome)


@pytest.mark.parametrize("word", [None, 3, ["never_treated"], np.array(["a", "b"])])
def test_an_option_is_a_word(word: object) -> None:
    study = _study()
    for estimator in (
        callaway_santanna,
        extended_twfe,
        repeated_cross_sections,
        partial(stacked, window=(-2, 1)),
        partial(local_projection, window=(-2, 1)),
    ):
        with pytest.raises(DesignError, match="Unknown comparison"):
            estimator(*study, outcome="y", comparison=word)
    with pytest.raises(DesignError, match="Unknown base_period"):
        group_time_att(*study, outcome="y", base_period=word)  # type: ignore[arg-type]
    with pytest.raises(DesignError, match="Unknown switch"):
        switchers(*study, outcome="y", switch=word)  # type: ignore[arg-type]
    with pytest.raises(DesignError, match="Unknown by"):
        aggregate(group_time_att(*study, outcome="y"), by=word)  # type: ignore[arg-type]
    if not isinstance(word, np.ndarray) and word is not None:
        with pytest.raises(DataError, match="no such outcome"):
            callaway_santanna(*study, outcome="y", weights=word)  # type: ignore[arg-type]


def test_the_closest_word_to_what_is_no_word() -> None:
    assert closest(3, ["mean"]) == "one of: 'mean'"
    assert closest(None, ["None", "x"]) == "closest: 'None'"


@pytest.mark.parametrize("estimator", [sun_abraham, twfe_event_study])
@pytest.mark.parametrize("reference", [None, 0, 2, -1.5, "-1", True, float("nan"), -float("inf")])
def test_a_reference_is_a_whole_number_before_entry(
    estimator: Callable[..., Effects], reference: object
) -> None:
    with pytest.raises(DesignError, match="reference must lie before entry"):
        estimator(*_study(), outcome="y", reference=reference)
    same = [
        estimator(*_study(), outcome="y", reference=one).cells["att"].to_numpy(float) for one in (-1, -1.0)
    ]
    assert np.array_equal(*same)


@pytest.mark.parametrize("estimator", [stacked, local_projection])
@pytest.mark.parametrize(
    "window", [None, 3, "ab", ("a", 1), (-1, float("nan")), (-1, float("inf")), (-1,), (-1.5, 1)]
)
def test_a_window_is_two_whole_numbers(estimator: Callable[..., Effects], window: object) -> None:
    with pytest.raises(DesignError, match="A window is two whole numbers"):
        estimator(*_study(), outcome="y", window=window)


@pytest.mark.parametrize("leads", [None, float("nan"), float("inf"), "1", 0.5, -1, True])
def test_leads_are_counted(leads: object) -> None:
    with pytest.raises(DesignError, match="Leads are counted"):
        imputation(*_study(), outcome="y", pretrend_leads=leads)  # type: ignore[arg-type]


@pytest.mark.parametrize("decimals", [-1, 1.5, "2", 99, float("nan")])
def test_decimals_are_counted(decimals: object) -> None:
    effects = group_time_att(*_study(), outcome="y")
    for shown in (effects, aggregate(effects, by="path")):
        with pytest.raises(DesignError, match="Digits after the decimal sign"):
            shown.to_latex(decimals=decimals)  # type: ignore[arg-type]
        assert "tabular" in shown.to_latex(decimals=0)


# Who is left out, and why ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in WITH_COVARIATES if name != "repeated_cross_sections"])
def test_a_missing_covariate_is_told_with_its_name_and_year(name: str) -> None:
    gaps = tuple(("u09", year, "x") for year in range(1, 7))
    effects = ALL[name](*_study(gaps), outcome="y", covariates=["x"])
    assert ("u09", "x missing", 1) in effects.dropped
    of_outcome = ALL[name](*_study(tuple(("u09", year, "y") for year in range(1, 7))), outcome="y")
    assert ("u09", "missing", 1) in of_outcome.dropped


def test_a_path_without_an_effect_after_entry_does_not_enter() -> None:
    # u03 and u04 enter in 5; one has no value from then on, the other none in the base: no unit has both.
    gaps = (("u03", 5, "y"), ("u03", 6, "y"), ("u04", 4, "y"))
    study = _study(gaps)
    effects = callaway_santanna(*study, outcome="y", comparison="not_yet_treated")
    assert set(effects.cells["cohort"]) == {4}
    assert set(effects.group.tolist()) <= {0, -1}
    left = {*study[1].treated, *study[1].comparison} - set(effects.units)
    assert left <= {unit for unit, _, _ in effects.dropped}
    # Placebos of a path whose effects lack a covariate: every other cell stays as it was.
    lacking = tuple((unit, 4, "x") for unit in ("u03", "u04"))
    with pytest.raises(DesignError, match="has its covariates"):
        callaway_santanna(*_study(lacking), outcome="y", covariates=["x"], base_period="universal")
    # No comparison unit has a value in 5 and 6 together with 4, so the path of 5 has placebos alone.
    nobody = tuple((f"u{at:02d}", year, "y") for at in range(5, 12) for year in ((4,) if at % 2 else (5, 6)))
    found = callaway_santanna(*_study(nobody), outcome="y", comparison="never_treated")
    assert set(found.cells["cohort"]) == {4}


def test_never_treated_without_a_value_are_none() -> None:
    silent = tuple((f"u{at:02d}", year, "y") for at in range(5, 12) for year in range(1, 7))
    panel, design = _study(silent)
    # At least half of the units must have a value, so that only two of them are silent here.
    few = [unit for unit in design.comparison if unit in ("u05", "u06")]
    design = replace(design, comparison=tuple(few))
    found = [
        callaway_santanna(panel, design, outcome="y", comparison="not_yet_treated", missing=missing)  # type: ignore[arg-type]
        for missing in ("by_cell", "drop_units")
    ]
    pd.testing.assert_frame_equal(found[0].tidy(), found[1].tidy())
    assert found[0].units == found[1].units
    assert {unit for unit, _, _ in found[0].dropped} >= {"u05", "u06"}
    for missing in ("by_cell", "drop_units"):
        with pytest.raises(DesignError, match="No never-treated unit with data"):
            callaway_santanna(panel, design, outcome="y", missing=missing)  # type: ignore[arg-type]


# Triple differences ----------------------------------------------------------------------------------------------


def test_the_difference_of_outcomes_takes_no_name_that_is_there() -> None:
    panel, design = _study()
    plain = triple_difference(panel, design, outcome="y", ineligible_outcome="z").tidy()
    taken = replace(
        panel,
        values={**panel.values, "y minus z": 100 * panel.values["x"]},
        reasons={**panel.reasons, "y minus z": panel.reasons["x"]},
    )
    again = triple_difference(taken, design, outcome="y", ineligible_outcome="z").tidy()
    pd.testing.assert_frame_equal(plain, again)
    own = triple_difference(taken, design, outcome="y", ineligible_outcome="z", covariates=["y minus z"])
    named = replace(
        taken,
        values={**taken.values, "w": taken.values["y minus z"]},
        reasons={**taken.reasons, "w": taken.reasons["x"]},
    )
    other = triple_difference(named, design, outcome="y", ineligible_outcome="z", covariates=["w"])
    assert own.cells["att"].to_numpy() == pytest.approx(other.cells["att"].to_numpy())
    for wrong in ({"covariates": ["y minus zz"]}, {"weights": "y minus zz"}):
        with pytest.raises(DataError) as caught:
            triple_difference(panel, design, outcome="y", ineligible_outcome="z", **wrong)  # type: ignore[arg-type]
        assert "'y minus z'" not in str(caught.value)


def test_eligibility_is_a_mapping_or_a_series() -> None:
    panel, design = _study()
    eligible = {unit: int(unit[1:]) % 2 == 0 for unit in panel.units}
    plain = triple_difference(panel, design, outcome="y", eligible=eligible).tidy()
    series = pd.Series(eligible).sample(frac=1, random_state=1)
    pd.testing.assert_frame_equal(
        plain, triple_difference(panel, design, outcome="y", eligible=series).tidy()
    )
    for wrong in (list(eligible), list(eligible.values()), np.array(list(eligible.values())), "u00"):
        with pytest.raises(DesignError, match="a mapping, or a series"):
            triple_difference(panel, design, outcome="y", eligible=wrong)  # type: ignore[arg-type]
    with pytest.raises(DesignError, match="names a unit twice"):
        triple_difference(panel, design, outcome="y", eligible=pd.concat([series, series.iloc[:1]]))
    with pytest.raises(DesignError, match="said of every unit"):
        triple_difference(panel, design, outcome="y", eligible=series.reset_index(drop=True))


# Other -----------------------------------------------------------------------------------------------------------


def test_a_cross_section_does_not_explain_itself() -> None:
    with pytest.raises(DesignError, match="among its own covariates"):
        repeated_cross_sections(*_study(), outcome="y", covariates=["x", "y"])


@pytest.mark.parametrize("name", ALL)
def test_a_constant_outcome_is_refused(name: str) -> None:
    panel, design = _study()
    flat = replace(panel, values={**panel.values, "y": np.full_like(panel.values["y"], 0.1)})
    with pytest.raises(DesignError, match="the same everywhere"):
        ALL[name](flat, design, outcome="y")


def test_units_that_would_share_a_name_are_refused() -> None:
    frame = pd.DataFrame({"unit": [1, 1, "1", "1", 2, 2], "year": [1, 2, 3, 4, 1, 2], "y": range(6)})
    with pytest.raises(DataError, match="one name") as caught:
        build_panel(frame, unit="unit", period="year", outcome=["y"])
    assert "int 1 and str '1'" in str(caught.value)
    numbers = frame.assign(unit=[1, 1, 1.0, 1.0, 2, 2])
    assert len(build_panel(numbers, unit="unit", period="year", outcome=["y"]).units) == 2


def test_twfe_reads_its_covariates_once() -> None:
    # An iterator is used up by a first look: names are taken from it once.
    study = _study()
    plain = twfe(*study, outcome="y", covariates=["x", "z"]).cells["att"]
    assert np.array_equal(plain, twfe(*study, outcome="y", covariates=iter(["x", "z"])).cells["att"])  # type: ignore[arg-type]


def test_latex_needs_no_command_that_plain_latex_lacks() -> None:
    from mekeval.tables import latex_text

    assert latex_text('"A"') == r"\textquotedblright{}A\textquotedblright{}"
    # --, ---, ``, '', ?`, !` and ,, are one sign each in TeX's fonts; apart they stay what they are.
    for pair in ("--", "``", "''", "?`", "!`", ",,"):
        assert latex_text(pair) == "{}".join(pair)
    assert latex_text("---") == "-{}-{}-"
    assert latex_text("2005\N{EN DASH}2010") == "2005--2010"
    assert latex_text("\N{EN DASH}-") == "--{}-"
    assert re.fullmatch(r"it's a-b", latex_text("it's a-b"))
