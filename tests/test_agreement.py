"""What theory asks of every estimator alike: invariances, agreement, and an answer in words to bad input."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mekeval import (
    DataError,
    DesignError,
    MekevalError,
    aggregate,
    build_panel,
    design_from_cohorts,
    make_design,
)
from mekeval.design import Design
from mekeval.estimate import ESTIMATORS, Effects, callaway_santanna, local_projection, stacked
from mekeval.panel import Panel

Study = tuple[Panel, Design]
Estimator = Callable[..., Effects]
#: Every estimator under one signature; the two that need a window take one that two cohorts have.
ALL: Mapping[str, Estimator] = {
    **ESTIMATORS,
    "stacked": partial(stacked, window=(-2, 1)),
    "local_projection": partial(local_projection, window=(-2, 1)),
}
EVERY = pytest.mark.parametrize("name", ALL)
YEARS = range(2001, 2009)
FIRST: Mapping[str, int] = {"u00": 2004, "u01": 2004, "u02": 2004, "u03": 2006, "u04": 2006}
SOLVER = 1e-6  # of weights that a solver finds; everything else is linear algebra
ITERATED = ("synthetic_control", "synthetic_did")


def _frame(seed: int = 1, *, effect: float = 2.0) -> pd.DataFrame:
    """Fourteen units over eight years, three entering in 2004 and two in 2006; x is a covariate that changes."""
    rng = np.random.default_rng(seed)
    rows = [
        (unit, year, level + 0.3 * year + effect * (year >= FIRST.get(unit, 9999)) + rng.normal(scale=0.1))
        for unit, level in ((f"u{at:02d}", rng.normal()) for at in range(14))
        for year in YEARS
    ]
    frame = pd.DataFrame(rows, columns=["unit", "year", "y"])
    return frame.assign(x=rng.normal(size=len(frame)))


def _study(frame: pd.DataFrame, first: Mapping[str, int] = FIRST) -> Study:
    outcomes = [name for name in frame.columns if name not in ("unit", "year")]
    panel = build_panel(frame, unit="unit", period="year", outcome=outcomes)
    cohorts = [first.get(unit) for unit in panel.units]
    return panel, design_from_cohorts(panel.units, cohorts, last_period=max(YEARS))


def _figures(
    effects: Effects, key: Callable[[str], str] = str
) -> dict[tuple[object, ...], tuple[float, float]]:
    """Estimate and error (NaN where none) of each cell, by what the cell is."""
    return {
        (row.path, str(row.cohort), str(row.period), str(row.event_time)): (
            float(row.att),
            float("nan") if pd.isna(row.se) else float(row.se),
        )
        for row in effects.tidy().itertuples()
    }


def _same(one: Effects, other: Effects, name: str, *, factor: float = 1.0, errors: bool = True) -> None:
    tolerance = SOLVER if name in ITERATED else 1e-9
    first, second = _figures(one), _figures(other)
    assert first
    assert set(first) == set(second)
    for cell, (att, error) in first.items():
        assert second[cell][0] == pytest.approx(factor * att, rel=tolerance, abs=tolerance * factor), cell
        if errors:
            assert second[cell][1] == pytest.approx(
                factor * error, rel=tolerance, abs=tolerance * factor, nan_ok=True
            ), cell


# One signature ---------------------------------------------------------------------------------------------------


@EVERY
def test_every_estimator_has_one_signature_and_finds_a_plain_effect(name: str) -> None:
    effects = ALL[name](*_study(_frame()), outcome="y")
    assert isinstance(effects, Effects)
    assert (effects.outcome, effects.n_units) == ("y", 14)
    assert np.isfinite(effects.cells["att"].to_numpy(dtype=float)).all()
    assert aggregate(effects, by="simple").overall == pytest.approx(
        2.0, abs=0.3
    )  # the noise of a cell is 0.1


# Invariances -----------------------------------------------------------------------------------------------------


@EVERY
def test_row_order_does_not_matter(name: str) -> None:
    frame = _frame()
    shuffled = frame.sample(frac=1, random_state=7)
    _same(ALL[name](*_study(frame), outcome="y"), ALL[name](*_study(shuffled), outcome="y"), name)


@EVERY
def test_names_and_order_of_units_do_not_matter(name: str) -> None:
    frame = _frame()
    rename = {f"u{at:02d}": f"v{(5 * at) % 14:02d}" for at in range(14)}
    other = frame.assign(unit=frame["unit"].map(rename)).sort_values(["unit", "year"])
    first = {rename[unit]: year for unit, year in FIRST.items()}
    _same(ALL[name](*_study(frame), outcome="y"), ALL[name](*_study(other, first), outcome="y"), name)


@EVERY
@pytest.mark.parametrize(("factor", "shift"), [(10.0, -3.0), (-1.0, 0.0), (1e-6, 0.0), (1e6, 1e6)])
def test_effects_and_errors_scale_with_the_outcome(name: str, factor: float, shift: float) -> None:
    frame = _frame()
    scaled = frame.assign(y=factor * frame["y"] + shift)
    plain, larger = (ALL[name](*_study(one), outcome="y") for one in (frame, scaled))
    tolerance = SOLVER if name in ITERATED else 1e-8
    left, right = _figures(plain), _figures(larger)
    for cell, (att, error) in left.items():
        size = abs(factor)
        assert right[cell][0] == pytest.approx(factor * att, rel=tolerance, abs=tolerance * size), cell
        assert right[cell][1] == pytest.approx(
            size * error, rel=tolerance, abs=tolerance * size, nan_ok=True
        ), cell


@EVERY
def test_what_comes_in_stays_as_it_was(name: str) -> None:
    frame = _frame()
    before = frame.copy(deep=True)
    panel, design = _study(frame)
    values = {outcome: array.copy() for outcome, array in panel.values.items()}
    written = repr(design)
    for array in panel.values.values():
        array.setflags(write=False)
    ALL[name](panel, design, outcome="y")
    pd.testing.assert_frame_equal(frame, before)
    assert repr(design) == written
    for outcome, array in values.items():
        assert np.array_equal(panel.values[outcome], array)


def _with_a_unit(frame: pd.DataFrame, like: str) -> pd.DataFrame:
    """The same and a unit "new" with the values of another and a drift of its own."""
    new = frame[frame["unit"] == like].assign(unit="new")
    return pd.concat([frame, new.assign(y=new["y"] + 0.1 * (new["year"] - 2001))], ignore_index=True)


#: What an estimator does with a unit that is treated from the first period on. "left out": not there, not missed.
#: "refused": nothing before entry to compare with. "compares": without a change of status it helps to tell the
#: periods apart, as a never-treated unit does. "no switch": it is compared with its like alone, and has none.
ALWAYS_TREATED: Mapping[str, str] = {
    "group_time": "refused",
    "callaway_santanna": "left out",
    "repeated_cross_sections": "left out",
    "twfe": "compares",
    "first_differences": "compares",
    "twfe_event_study": "left out",
    "sun_abraham": "left out",
    "extended_twfe": "left out",
    "imputation": "refused",
    "two_stage": "refused",
    "switchers": "no switch",
    "synthetic_control": "refused",
    "synthetic_did": "refused",
    "stacked": "left out",
    "local_projection": "refused",
}


@EVERY
def test_an_always_treated_unit(name: str) -> None:
    frame = _frame()
    larger = _with_a_unit(frame, "u09")
    panel, design = _study(larger, {**FIRST, "new": 2001})
    does = ALWAYS_TREATED[name]
    if does == "refused":
        with pytest.raises(DesignError) as caught:
            ALL[name](panel, design, outcome="y")
        assert "new" in str(caught.value)
        return
    effects = ALL[name](panel, design, outcome="y")
    if does == "compares":
        _same(ALL[name](*_study(larger), outcome="y"), effects, name)  # the same unit, never treated
        return
    if does == "left out":
        assert "new" in {unit for unit, _, _ in effects.dropped}
    _same(ALL[name](*_study(frame), outcome="y"), effects, name)


#: Estimators for which one cohort does not make the sizes of the two sides irrelevant: unit weights are penalised by
#: their squares, and a weight that is spread over copies has a smaller square.
PENALISED = ("synthetic_did",)
#: Where only the never-treated are compared with, copies of all of them change no estimate of a staggered design.
NEVER_TREATED_ONLY = (
    "group_time",
    "callaway_santanna",
    "repeated_cross_sections",
    "sun_abraham",
    "synthetic_control",
)


@pytest.mark.parametrize("name", [name for name in ALL if name not in PENALISED])
def test_copies_of_the_never_treated_change_no_estimate(name: str) -> None:
    for first in (FIRST, dict.fromkeys(list(FIRST)[:3], 2004)):
        if len(set(first.values())) > 1 and name not in NEVER_TREATED_ONLY:
            continue  # there the sizes of cohorts and comparison are part of the weights
        frame = _frame()
        frame = frame[~frame["unit"].isin(["u03", "u04"])] if len(first) < len(FIRST) else frame
        copies = frame[~frame["unit"].isin(list(first))]
        both = pd.concat([frame, copies.assign(unit="copy of " + copies["unit"])], ignore_index=True)
        plain, more = (ALL[name](*_study(one, first), outcome="y") for one in (frame, both))
        _same(plain, more, name, errors=False)


# Agreement -------------------------------------------------------------------------------------------------------


@EVERY
def test_two_by_two_is_a_difference_of_differences(name: str) -> None:
    # changes from 2003 to 2004 of a, b: 3, 1; of c, d, e: 1, 2, 0. (3 + 1) / 2 - (1 + 2 + 0) / 3 = 1
    y = [1.0, 4, 2, 3, 0, 1, 5, 7, 3, 3]
    frame = pd.DataFrame({"unit": list("aabbccddee"), "year": [2003, 2004] * 5, "y": y})
    panel = build_panel(frame, unit="unit", period="year", outcome=["y"])
    design = make_design("abcde", [(2004, 2004, ["a", "b"])])
    if name in ITERATED:  # a path of one year tells nothing about who moves alike
        with pytest.raises(DesignError, match="at least two periods"):
            ALL[name](panel, design, outcome="y")
        return
    estimator = partial(ALL[name], window=(-1, 0)) if isinstance(ALL[name], partial) else ALL[name]
    effects = estimator(panel, design, outcome="y")
    assert list(effects.cells["att"][effects.cells["phase"] == "on"]) == pytest.approx([1.0], abs=1e-10)
    assert aggregate(effects, by="simple").overall == pytest.approx(1.0, abs=1e-10)


@pytest.fixture(scope="module")
def mpdta(reference: Path) -> Study:
    """County teen employment: 500 counties, 2003-2007, cohorts 2004, 2006, 2007 and never (0 in the file)."""
    data = pd.read_csv(reference / "mpdta.csv")
    panel = build_panel(data, unit="countyreal", period="year", outcome=["lemp"])
    first = data.drop_duplicates("countyreal").set_index(data["countyreal"].drop_duplicates().astype(str))
    cohorts = [int(year) or None for year in first["first.treat"].reindex(list(panel.units))]
    return panel, design_from_cohorts(panel.units, cohorts, last_period=2007)


@pytest.mark.parametrize("data", ["made", "mpdta"])
def test_estimators_agree_where_theory_says_so(request: pytest.FixtureRequest, data: str) -> None:
    study, outcome = (
        (request.getfixturevalue("mpdta"), "lemp") if data == "mpdta" else (_study(_frame(4)), "y")
    )
    found = {
        name: {
            by: aggregate(ESTIMATORS[name](*study, outcome=outcome), by=by) for by in ("simple", "event_time")
        }  # type: ignore[arg-type]
        for name in ("imputation", "two_stage", "extended_twfe", "sun_abraham", "callaway_santanna")
    }
    for one, other in (
        ("imputation", "two_stage"),
        ("imputation", "extended_twfe"),
        ("sun_abraham", "callaway_santanna"),
    ):
        left, right = found[one], found[other]
        assert left["simple"].overall == pytest.approx(right["simple"].overall, abs=1e-10)
        tables = [each["event_time"].table.query("key >= 0")["att"].tolist() for each in (left, right)]
        assert tables[0] == pytest.approx(tables[1], abs=1e-10)


@EVERY
def test_one_cohort_and_one_period_before_leave_one_answer(name: str) -> None:
    frame = _frame().query("year >= 2003")
    frame = frame[~frame["unit"].isin(["u03", "u04"])]
    panel, design = _study(frame, dict.fromkeys(list(FIRST)[:3], 2004))
    if name in ITERATED:
        return  # refused, as above
    estimator = partial(ALL[name], window=(-1, 4)) if isinstance(ALL[name], partial) else ALL[name]
    wide = frame.pivot(index="unit", columns="year", values="y")
    change = wide.sub(wide[2003], axis=0)[list(range(2004, 2009))]
    treated = change.index.isin(list(FIRST))
    expected = (change[treated].mean() - change[~treated].mean()).tolist()
    effects = estimator(panel, design, outcome="y")
    if name == "twfe":
        expected = [float(np.mean(expected))]
    elif name == "first_differences":
        expected = expected[:1]  # the change at entry is all it looks at
    atts = effects.cells.loc[effects.cells["phase"] == "on", "att"].tolist()
    assert atts == pytest.approx(expected, abs=1e-10)


# Bad input -------------------------------------------------------------------------------------------------------
# Each case is a study and options. The answer is an error in words, or a result in which nothing is undefined
# without a reason; what else a case must bring stands beside it.


def _options(name: str, options: Mapping[str, object]) -> Mapping[str, object]:
    """Those that an estimator has; None of them where it takes no covariates."""
    target = ALL[name].func if isinstance(ALL[name], partial) else ALL[name]
    return {key: value for key, value in options.items() if key in inspect.signature(target).parameters}


def _raw(panel: Panel, values: np.ndarray) -> Panel:
    """A panel with other values of y, unchecked: what code rather than a file may hand in."""
    return replace(panel, values={**panel.values, "y": values})


def _no_comparison() -> Study:
    panel, design = _study(_frame(), dict.fromkeys(list(FIRST)[:3], 2004))
    return panel, replace(design, comparison=())


def _no_never_treated() -> Study:
    panel, design = _study(_frame())
    return panel, replace(design, comparison=())


def _cohort_without_a_period_before() -> Study:
    return _study(_frame(), {**FIRST, "u10": 2001, "u11": 2001})


def _only_always_treated() -> Study:
    return _study(_frame(), {"u00": 2001, "u01": 2001})


def _alone_in_its_cohort() -> Study:
    return _study(_frame(), {**FIRST, "u10": 2005})


def _alone() -> Study:
    return _study(_frame(), {"u00": 2005})


def _one_comparison_unit() -> Study:
    frame = _frame()
    return _study(frame[frame["unit"] <= "u05"])


def _missing_cells() -> Study:
    frame = _frame()
    gone = ((frame["unit"] == "u00") & (frame["year"] == 2005)) | (
        (frame["unit"] == "u09") & (frame["year"] == 2003)
    )
    return _study(frame[~gone])


def _a_cohort_without_its_last_period_before() -> Study:
    frame = _frame()
    return _study(frame[~(frame["unit"].isin(["u03", "u04"]) & (frame["year"] == 2005))])


def _no_value_of_the_treated_after() -> Study:
    frame = _frame()
    return _study(frame[~(frame["unit"].isin(list(FIRST)) & (frame["year"] >= 2004))])


def _no_value_of_the_comparison() -> Study:
    frame = _frame()
    return _study(frame.assign(y=frame["y"].where(frame["unit"].isin(list(FIRST)))))


def _no_value_at_all() -> Study:
    return _study(_frame().assign(y=np.nan))


def _constant() -> Study:
    return _study(_frame().assign(y=3.0))


def _constant_to_rounding() -> Study:
    return _study(_frame().assign(y=0.1 + 0.2))


def _infinite() -> Study:
    panel, design = _study(_frame())
    values = panel.values["y"].copy()
    values[2, 3] = np.inf
    return _raw(panel, values), design


def _one_period() -> Study:
    return _study(_frame().query("year == 2004"))


def _nothing_after() -> Study:
    return _study(_frame().query("year < 2004"))


def _nothing_before() -> Study:
    return _study(_frame().query("year >= 2006"))


def _three_periods() -> Study:
    return _study(_frame().query("2003 <= year <= 2005"), dict.fromkeys(list(FIRST)[:3], 2004))


def _entry_after_the_data() -> Study:
    panel, _ = _study(_frame())
    return panel, make_design(panel.units, [(2015, 2020, ["u00"])])


def _unknown_unit() -> Study:
    panel, _ = _study(_frame())
    return panel, make_design([*panel.units, "nowhere"], [(2004, 2008, ["u00", "nowhere"])])


def _with(**columns: Callable[[pd.DataFrame], object]) -> Study:
    return _study(_frame().assign(**columns))


def _collinear() -> Study:
    return _with(z=lambda frame: 2 * frame["x"] + 1)


def _constant_covariate() -> Study:
    return _with(z=1.0)  # type: ignore[arg-type]


def _separating() -> Study:
    return _with(z=lambda frame: frame["unit"].isin(list(FIRST)) * 1.0)


def _separating_and_changing() -> Study:
    return _with(z=lambda frame: frame["unit"].isin(list(FIRST)) * 10.0 + frame["x"])


def _covariate_never_there() -> Study:
    return _with(z=np.nan)  # type: ignore[arg-type]


def _infinite_covariate() -> Study:
    panel, design = _with(z=lambda frame: frame["x"])
    values = panel.values["z"].copy()
    values[2, 3] = -np.inf
    return replace(panel, values={**panel.values, "z": values}), design


BAD: Mapping[str, tuple[Callable[[], Study], Sequence[str]]] = {
    "no comparison": (_no_comparison, ()),
    "no never-treated": (_no_never_treated, ()),
    "a cohort without a period before": (_cohort_without_a_period_before, ()),
    "only always treated": (_only_always_treated, ()),
    "alone in its cohort": (_alone_in_its_cohort, ()),
    "alone": (_alone, ()),
    "one comparison unit": (_one_comparison_unit, ()),
    "missing cells": (_missing_cells, ()),
    "a cohort without its last period before": (_a_cohort_without_its_last_period_before, ()),
    "no value of the treated after": (_no_value_of_the_treated_after, ()),
    "no value of the comparison": (_no_value_of_the_comparison, ()),
    "no value at all": (_no_value_at_all, ()),
    "constant": (_constant, ()),
    "constant to rounding": (_constant_to_rounding, ()),
    "infinite": (_infinite, ()),
    "one period": (_one_period, ()),
    "nothing after": (_nothing_after, ()),
    "nothing before": (_nothing_before, ()),
    "three periods": (_three_periods, ()),
    "entry after the data": (_entry_after_the_data, ()),
    "unknown unit": (_unknown_unit, ()),
    "collinear covariates": (_collinear, ("x", "z")),
    "a constant covariate": (_constant_covariate, ("z",)),
    "perfect separation": (_separating, ("z",)),
    "perfect separation by what changes": (_separating_and_changing, ("z",)),
    "a covariate that is never there": (_covariate_never_there, ("z",)),
    "an infinite covariate": (_infinite_covariate, ("z",)),
}

#: Where no estimator has anything to say.
REFUSED = (
    "no comparison",
    "only always treated",
    "no value at all",
    "constant",
    "constant to rounding",
    "infinite",
    "one period",
    "nothing before",
    "unknown unit",
    "collinear covariates",
    "a constant covariate",
    "a covariate that is never there",
    "an infinite covariate",
)
#: Where one unit is never treated these still compare cohorts with each other, pool them, or have a rule of their own
#: for a unit alone.
SEVERAL_COMPARE = ("twfe", "first_differences", "switchers", "stacked", "local_projection")
TAKES_COVARIATES = tuple(name for name in ALL if "covariates" in _options(name, {"covariates": ()}))


@pytest.mark.parametrize(
    ("case", "name"),
    [
        pytest.param(case, name, id=f"{name}: {case}")
        for case, (_, covariates) in BAD.items()
        for name in (TAKES_COVARIATES if covariates else ALL)
    ],
)
def test_bad_input_is_answered_in_words(case: str, name: str) -> None:
    make, covariates = BAD[case]
    panel, design = make()
    try:
        effects = ALL[name](panel, design, outcome="y", **({"covariates": covariates} if covariates else {}))
    except MekevalError as error:
        for fault in error.faults:
            assert fault.what.endswith("."), fault
            assert fault.where or fault.found, fault
            assert fault.found or fault.expected or fault.fix, fault
        return
    assert case not in REFUSED
    table = effects.tidy()
    assert len(table) > 0
    assert np.isfinite(table["att"].to_numpy(dtype=float)).all()
    assert (table["n_treated"] > 0).all()
    assert (table["n_comparison"] > 0).all() or name in ("twfe", "first_differences")  # cohorts compare
    errors = table["se"].to_numpy(dtype=float, na_value=np.nan)
    assert (np.isfinite(errors) | (table["se_note"] != "").to_numpy()).all()
    missing = {*design.treated, *design.comparison} - set(effects.units)
    assert missing <= {unit for unit, _, _ in effects.dropped}
    if case == "one comparison unit" and name not in SEVERAL_COMPARE:
        assert np.isnan(errors[table["n_comparison"] == 1]).all()
        assert (table["n_comparison"] == 1).any()
    if case == "alone":
        assert np.isnan(errors).all()
        one = aggregate(effects, by="simple") if (table["phase"] == "on").any() else None
        assert one is None or one.overall_se is None or np.isnan(one.overall_se)


def test_a_score_that_separates_is_refused_and_a_regression_is_not() -> None:
    panel, design = _separating_and_changing()
    for method in ("dr", "ipw"):
        with pytest.raises(DesignError, match="separate"):
            callaway_santanna(panel, design, outcome="y", covariates=["z"], method=method)  # type: ignore[arg-type]
    effects = callaway_santanna(panel, design, outcome="y", covariates=["z"], method="reg")
    assert np.isfinite(effects.cells["att"].to_numpy(dtype=float)).all()


@EVERY
def test_an_outcome_that_is_not_there_is_answered_with_the_closest(name: str) -> None:
    with pytest.raises(DataError, match=r"closest: 'x'|one of: 'y'"):
        ALL[name](*_study(_frame()), outcome="xx")
