"""Imputation and two-stage estimates against R's didimputation, dense algebra and hand calculations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from scipy import stats

from mekeval import (
    DataError,
    DesignError,
    aggregate,
    build_panel,
    design_from_cohorts,
    make_design,
)
from mekeval.design import Design
from mekeval.estimate import Effects
from mekeval.estimate.imputation import imputation, two_stage
from mekeval.estimate.pretrend import imputation_pretrend_test
from mekeval.panel import Panel

Floats = npt.NDArray[np.float64]
TOLERANCE = 1e-7  # the reference is rounded to 8 digits
R = pd.read_csv(Path(__file__).parents[1] / "reference" / "r_reference.csv")

# Unit a is treated 3-4, b in 3 only, c in 4 only; d and e never. Period 2 has no data.
HAND = pd.DataFrame(
    {
        "unit": list("aaabbbcccdddeee"),
        "year": [1, 3, 4] * 5,
        "y": [10.0, 14, 15, 8, 11, 9, 6, 7, 12, 4, 5, 7, 2, 5, 3],
        "x": [1.0, 2, 4, 2, 1, 1, 0, 3, 1, 5, 2, 2, 1, 1, 2],
    }
)
HAND_DESIGN = make_design(list("abcde"), [(3, 3, ["a", "b"]), (4, 4, ["a", "c"])])


def _panel(frame: pd.DataFrame, outcomes: Sequence[str] = ("y",)) -> Panel:
    return build_panel(frame, unit="unit", period="year", outcome=list(outcomes))


def _staggered(data: pd.DataFrame, unit: str, first: str, never: int, last: int, panel: Panel) -> Design:
    cohort = data.assign(unit=data[unit].astype(str)).drop_duplicates("unit").set_index("unit")[first]
    cohorts = cohort.reindex(list(panel.units)).astype("Int64").replace(never, pd.NA)
    return design_from_cohorts(panel.units, list(cohorts), last_period=last)


@pytest.fixture(scope="module")
def mpdta(reference: Path) -> tuple[Panel, Design]:
    data = pd.read_csv(reference / "mpdta.csv")
    panel = build_panel(data, unit="countyreal", period="year", outcome=["lemp", "lpop"])
    return panel, _staggered(data, "countyreal", "first.treat", 0, 2007, panel)


@pytest.fixture(scope="module")
def stagg(reference: Path) -> tuple[Panel, Design]:
    data = pd.read_csv(reference / "base_stagg.csv")
    panel = build_panel(data, unit="id", period="year", outcome=["y", "x1"])
    return panel, _staggered(data, "id", "year_treated", 10000, 10, panel)


def _r(quantity: str) -> tuple[float, float]:
    row = R[(R["case"] == "mpdta_imputation") & (R["quantity"] == quantity)].iloc[0]
    return float(row["estimate"]), float(row["se"])


class Dense:
    """The same model by dummies for every unit and period: slow, plain, and written apart from the library."""

    def __init__(self, panel: Panel, design: Design, outcome: str, covariates: Sequence[str] = ()) -> None:
        units = [*design.treated, *design.comparison]
        rows = [panel.units.index(unit) for unit in units]
        first = {unit: path.first for path in design.paths for unit in path.units}
        self.entry = np.repeat([first.get(unit, 9999) for unit in units], len(panel.periods))
        self.unit = np.repeat(np.arange(len(units)), len(panel.periods))
        self.period = np.tile(panel.periods, len(units))
        self.y = panel.values[outcome][rows].ravel()
        dummies = [
            self.unit[:, None] == np.arange(len(units)),
            self.period[:, None] == np.array(panel.periods[1:]),
        ]
        extra = [panel.values[name][rows].ravel()[:, None] for name in covariates]
        self.z = np.hstack([*dummies, *extra]).astype(float)
        self.treated = self.period >= self.entry
        self.z0 = self.z * ~self.treated[:, None]
        self.inverse = np.linalg.pinv(self.z0.T @ self.z0, hermitian=True)
        self.tau = self.y - self.z @ (self.inverse @ self.z0.T @ self.y)

    def borusyak(self, weights: Floats) -> tuple[float, float]:
        """Estimate and standard error with the source's own centring, sum(v^2 tau) / sum(v^2)."""
        weights = weights / weights.sum()
        v = weights - self.z0 @ (self.inverse @ self.z.T @ weights)
        frame = pd.DataFrame(
            {"cohort": self.entry, "period": self.period, "v2": v**2, "v2t": v**2 * self.tau}
        )
        sums = frame.groupby(["cohort", "period"])[["v2", "v2t"]].transform("sum")
        centre = np.where(
            self.treated & (sums["v2"] > 0), sums["v2t"] / sums["v2"].where(sums["v2"] > 0, 1), 0
        )
        by_unit = pd.Series(v * (self.tau - centre)).groupby(self.unit).sum()
        return float(weights @ self.tau), float(np.sqrt(np.sum(by_unit**2)))

    def gardner(self, dummies: Floats) -> tuple[Floats, Floats]:
        """Second-stage coefficients on dummies of treated cells, and standard errors of both stages."""
        inverse = np.linalg.inv(dummies.T @ dummies)
        coef = inverse @ dummies.T @ self.tau
        second = dummies * (self.treated * (self.tau - dummies @ coef))[:, None]
        first = (self.z0 * self.tau[:, None]) @ (self.inverse @ self.z.T @ dummies)
        scores = pd.DataFrame((second - first) @ inverse).groupby(self.unit).sum().to_numpy()
        return coef, np.sqrt(np.sum(scores**2, axis=0))


# ---------------------------------------------------------------- reference figures


def test_the_average_agrees_with_didimputation(mpdta: tuple[Panel, Design]) -> None:
    effects = imputation(*mpdta, outcome="lemp")
    overall = aggregate(effects, by="simple")
    assert (overall.overall, overall.overall_se) == pytest.approx(_r("att"), abs=TOLERANCE)


def test_every_event_time_agrees_with_didimputation(mpdta: tuple[Panel, Design]) -> None:
    table = aggregate(imputation(*mpdta, outcome="lemp"), by="event_time").table
    assert list(table["key"]) == [0, 1, 2, 3]
    for row in table.itertuples():
        assert (row.att, row.se) == pytest.approx(_r(f"es_{row.key}"), abs=TOLERANCE)


# ---------------------------------------------------------------- dense algebra


@pytest.mark.parametrize("covariates", [[], ["x1"]])
def test_standard_errors_are_those_of_the_source_for_every_aggregation(
    stagg: tuple[Panel, Design], covariates: list[str]
) -> None:
    dense = Dense(*stagg, "y", covariates)
    effects = imputation(*stagg, outcome="y", covariates=covariates)
    overall = aggregate(effects, by="simple")
    assert (overall.overall, overall.overall_se) == pytest.approx(
        dense.borusyak(dense.treated * 1.0), abs=1e-9
    )
    for row in aggregate(effects, by="event_time").table.itertuples():
        weights = (dense.period - dense.entry == row.key) * 1.0
        assert (row.att, row.se) == pytest.approx(dense.borusyak(weights), abs=1e-9)
    for row in effects.tidy().itertuples():
        weights = ((dense.entry == row.cohort) & (dense.period == row.period)) * 1.0
        assert (row.att, row.se) == pytest.approx(dense.borusyak(weights), abs=1e-9)


@pytest.mark.parametrize("covariates", [[], ["x1"]])
def test_two_stage_errors_are_those_of_the_stacked_moments(
    stagg: tuple[Panel, Design], covariates: list[str]
) -> None:
    dense = Dense(*stagg, "y", covariates)
    effects = two_stage(*stagg, outcome="y", covariates=covariates)
    static = aggregate(effects, by="simple")
    coef, error = dense.gardner(dense.treated[:, None] * 1.0)
    assert (static.overall, static.overall_se) == pytest.approx((coef[0], error[0]), abs=1e-9)
    table = aggregate(effects, by="event_time").table
    coef, error = dense.gardner(((dense.period - dense.entry)[:, None] == table["key"].to_numpy()) * 1.0)
    assert table["att"].to_numpy() == pytest.approx(coef, abs=1e-9)
    assert table["se"].to_numpy(dtype=float) == pytest.approx(error, abs=1e-9)


@pytest.mark.parametrize(("case", "outcome"), [("mpdta", "lemp"), ("stagg", "y")])
def test_imputation_is_two_stage_is_extended_twfe(
    case: str, outcome: str, request: pytest.FixtureRequest
) -> None:
    panel, design = request.getfixturevalue(case)
    cells = imputation(panel, design, outcome=outcome).cells
    assert np.allclose(cells["att"], two_stage(panel, design, outcome=outcome).cells["att"], atol=1e-13)
    values = panel.values[outcome]
    rows = [panel.units.index(unit) for unit in [*design.treated, *design.comparison]]
    first = np.array([*design.cohort.fillna(9999)])
    # Unit effects are swept out by hand; then periods and one dummy for each cohort and period from entry on.
    columns = [np.tile(np.array(panel.periods) == period, (len(rows), 1)) for period in panel.periods[1:]]
    columns += [
        np.outer(first == row.cohort, np.array(panel.periods) == row.period) for row in cells.itertuples()
    ]
    within = [column - column.mean(axis=1, keepdims=True) for column in columns]
    target = values[rows] - values[rows].mean(axis=1, keepdims=True)
    coef = np.linalg.lstsq(np.stack([w.ravel() for w in within], axis=1), target.ravel(), rcond=None)[0]
    assert np.allclose(cells["att"], coef[len(panel.periods) - 1 :], atol=1e-9)


def test_one_cohort_is_the_mean_of_pre_periods_against_the_never_treated(
    mpdta: tuple[Panel, Design],
) -> None:
    panel, design = mpdta
    one = make_design(
        [*design.paths[1].units, *design.comparison], [(2006, 2007, list(design.paths[1].units))]
    )
    att = imputation(panel, one, outcome="lemp").cells["att"]
    values = {unit: panel.values["lemp"][row] for row, unit in enumerate(panel.units)}
    means = [
        np.mean([values[unit] for unit in side], axis=0)
        for side in (design.paths[1].units, design.comparison)
    ]
    gap = means[0] - means[1]
    assert list(att) == pytest.approx([gap[3] - gap[:3].mean(), gap[4] - gap[:3].mean()], abs=1e-12)


# ---------------------------------------------------------------- by hand: irregular years, units that leave


def test_paths_that_leave_by_hand() -> None:
    # Fitted: a1, b1, c1, c3 and all of d, e. Period 4 is fitted by d and e alone, so they inform period 3 by their
    # changes from 1 to 3 only, as c does: lambda_3 = (1 + 1 + 3) / 3 = 5/3. Unit effects (lambda_1 = 0): mean of d and
    # e (3 + 5 - 5/3) / 2 = 19/6, so lambda_4 = 5 - 19/6 = 11/6; c: (6 + 7 - 5/3) / 2 = 17/3.
    effects = imputation(_panel(HAND), HAND_DESIGN, outcome="y")
    cells = effects.cells.set_index(["path", "period"])
    assert cells.loc[("3-4", 3), "att"] == pytest.approx(14 - 10 - 5 / 3)
    assert cells.loc[("3-4", 4), "att"] == pytest.approx(15 - 10 - 11 / 6)
    assert cells.loc[("3-3", 3), "att"] == pytest.approx(11 - 8 - 5 / 3)
    assert cells.loc[("3-3", 4), "att"] == pytest.approx(9 - 8 - 11 / 6)
    assert cells.loc[("4-4", 4), "att"] == pytest.approx(12 - 17 / 3 - 11 / 6)
    assert dict(cells["phase"]) == {
        ("3-4", 3): "on",
        ("3-4", 4): "on",
        ("3-3", 3): "on",
        ("3-3", 4): "after",
        ("4-4", 4): "on",
    }
    assert dict(cells["n_comparison"]) == {
        ("3-4", 3): 3,
        ("3-4", 4): 2,
        ("3-3", 3): 3,
        ("3-3", 4): 2,
        ("4-4", 4): 2,
    }
    assert cells.loc[("4-4", 4), "base"] == "1, 3"
    assert effects.tidy()["se"].isna().all()
    assert (effects.tidy()["se_note"] == "one treated unit: no standard error exists").all()
    assert aggregate(effects, by="after_leaving").table["att"].iloc[0] == pytest.approx(-5 / 6)


def test_years_after_leaving_join_the_fit_when_told() -> None:
    # With one never-treated unit e less: units b (8, -, 9) and d (4, 5, 7), entry of b in 3 only.
    # Fitted: b1, b4, d1, d3, d4. d3 alone fits lambda_3; 1 to 4 changes: 1 and 3, so lambda_4 = 2.
    # d's effect: (4 + 7 - 2) / 2 = 4.5, lambda_3 = 0.5; b's: (8 + 9 - 2) / 2 = 7.5; effect in 3: 11 - 7.5 - 0.5.
    frame = HAND[HAND["unit"].isin(["b", "d"])]
    design = make_design(["b", "d"], [(3, 3, ["b"])])
    cells = imputation(_panel(frame), design, outcome="y", after_leaving="fit").cells
    assert list(cells["period"]) == [3]
    assert cells["att"].iloc[0] == pytest.approx(3.0)
    assert cells["base"].iloc[0] == "1, 4"


def test_pre_years_and_partial_years_of_the_design_are_kept() -> None:
    frame = pd.DataFrame(
        {"unit": list("aaaabbbb"), "year": [1, 2, 3, 4] * 2, "y": [9.0, 1, 4, 6, 0, 0, 1, 2]}
    )
    design = make_design(["a", "b"], [(3, 4, ["a"])], pre_years=1, partial_years=1)
    cells = imputation(_panel(frame), design, outcome="y").cells
    assert list(cells["att"]) == pytest.approx([4 - 1 - 1, 6 - 1 - 2])  # year 1 of a is out of reach
    assert list(cells["phase"]) == ["partial", "on"]


# ---------------------------------------------------------------- gaps


def test_incomplete_units_are_dropped_with_the_reason_or_kept() -> None:
    frame = pd.DataFrame(
        {
            "unit": [*"aaabbbccc", "d", "d"],
            "year": [1, 2, 3] * 3 + [1, 3],
            "y": [1.0, 2, 8, 2, 4, 9, 0, 1, 1, 5, 9],
        }
    )
    design = make_design(list("abcd"), [(3, 3, ["a", "b"])])
    dropped = imputation(_panel(frame), design, outcome="y")
    assert dropped.dropped == (("d", "not_published", 2),)
    # c alone: lambda_2 = 1 from a, b, c jointly ((1 + 2 + 1) / 3 = 4/3), lambda_3 by c: 1 - (0 + 1 - 4/3) / 2 = 7/6
    assert dropped.cells["att"].iloc[0] == pytest.approx(
        (8 - (3 - 4 / 3) / 2 + 9 - (6 - 4 / 3) / 2) / 2 - 7 / 6
    )
    kept = imputation(_panel(frame), design, outcome="y", incomplete="keep")
    assert kept.units == ("a", "b", "c", "d")
    assert kept.n_rows == 11
    # the same by dummies, on the eleven cells that are there
    index = {unit: row for row, unit in enumerate("abcd")}
    z = np.zeros((len(frame), 6))
    z[np.arange(len(frame)), frame["unit"].map(index)] = 1
    z[frame["year"] == 2, 4] = 1
    z[frame["year"] == 3, 5] = 1
    treated = ((frame["year"] == 3) & frame["unit"].isin(["a", "b"])).to_numpy()
    coef = np.linalg.lstsq(z[~treated], frame["y"][~treated], rcond=None)[0]
    assert kept.cells["att"].iloc[0] == pytest.approx(np.mean(frame["y"][treated] - z[treated] @ coef))


def test_kept_units_with_gaps_follow_the_sources_variance(stagg: tuple[Panel, Design]) -> None:
    panel, design = stagg
    rng = np.random.default_rng(5)
    values = panel.values["y"].copy()
    values[:, 1:][rng.random(values[:, 1:].shape) < 0.1] = np.nan  # period 1 stays, so every unit has a base
    effects = imputation(_with(panel, "y", values), design, outcome="y", incomplete="keep")
    dense = Dense(_with(panel, "y", np.nan_to_num(values)), design, "y")
    rows = [panel.units.index(unit) for unit in [*design.treated, *design.comparison]]
    there = ~np.isnan(values[rows]).ravel()
    for name in ("entry", "unit", "period", "y", "z", "treated"):
        setattr(dense, name, getattr(dense, name)[there])
    dense.z0 = dense.z * ~dense.treated[:, None]
    dense.inverse = np.linalg.pinv(dense.z0.T @ dense.z0, hermitian=True)
    dense.tau = dense.y - dense.z @ (dense.inverse @ dense.z0.T @ dense.y)
    for row in effects.tidy().itertuples():
        weights = ((dense.entry == row.cohort) & (dense.period == row.period)) * 1.0
        estimate, error = dense.borusyak(weights)
        assert row.att == pytest.approx(estimate, abs=1e-9)
        assert row.n_treated == weights.sum()
        if row.n_treated > 1:
            assert row.se == pytest.approx(error, abs=1e-9)


def test_a_period_that_nothing_ties_to_the_others_is_named() -> None:
    # c and d are seen in 1 and 2 or in 3 only: nobody untreated links 3 to the years before.
    frame = pd.DataFrame(
        {"unit": list("aaabbcd"), "year": [1, 2, 3, 1, 2, 3, 3], "y": [1.0, 2, 8, 2, 4, 0, 1]}
    )
    design = make_design(list("abcd"), [(3, 3, ["a"])])
    with pytest.raises(DesignError, match="cannot be tied") as caught:
        imputation(_panel(frame), design, outcome="y", incomplete="keep")
    assert "3-3 in 3" in str(caught.value)


# ---------------------------------------------------------------- pre-trends


def test_leads_are_the_estimator_before_entry(mpdta: tuple[Panel, Design]) -> None:
    panel, design = mpdta
    plain, leads = (imputation(panel, design, outcome="lemp", pretrend_leads=k) for k in (0, 2))
    on = (leads.cells["phase"] == "on").to_numpy()
    pd.testing.assert_frame_equal(leads.cells[on].reset_index(drop=True), plain.cells)
    assert plain.influence is not None and leads.influence is not None
    assert np.array_equal(leads.influence[:, on], plain.influence)
    # 2004 has one year before entry and so no lead; the others have two, dated as if they entered in that year.
    pre = leads.cells[~on]
    assert list(zip(pre["cohort"], pre["event_time"], strict=True)) == [
        (2006, -2),
        (2006, -1),
        (2007, -2),
        (2007, -1),
    ]
    earlier = make_design(
        [*design.treated, *design.comparison],
        [
            (2004, 2007, list(design.paths[0].units)),
            (2004, 2007, list(design.paths[1].units)),
            (2005, 2007, list(design.paths[2].units)),
        ],
    )
    shifted = imputation(panel, earlier, outcome="lemp")
    third = shifted.cells[(shifted.cells["cohort"] == 2005) & (shifted.cells["period"] <= 2006)]
    assert np.allclose(pre["att"].iloc[2:], third["att"], atol=1e-12)


def test_the_pretrend_test_is_the_clustered_regression(mpdta: tuple[Panel, Design]) -> None:
    panel, design = mpdta
    test = imputation_pretrend_test(panel, design, outcome="lemp", leads=2)
    dense = Dense(panel, design, "lemp")
    keep = ~dense.treated
    leads = np.stack([(dense.entry - dense.period == p)[keep] for p in (1, 2)], axis=1).astype(float)
    z = np.hstack([leads, dense.z[keep]])
    inverse = np.linalg.pinv(z.T @ z, hermitian=True)
    coef = inverse @ z.T @ dense.y[keep]
    scores = pd.DataFrame(z * (dense.y[keep] - z @ coef)[:, None]).groupby(dense.unit[keep]).sum().to_numpy()
    n, k = int(keep.sum()), 2 + 5
    covariance = (inverse @ scores.T @ scores @ inverse)[:2, :2] * 500 / 499 * (n - 1) / (n - k)
    statistic = coef[:2] @ np.linalg.solve(covariance, coef[:2]) / 2
    assert test.table["coef"].to_numpy() == pytest.approx(coef[:2], abs=1e-10)
    assert test.covariance == pytest.approx(covariance, abs=1e-12)
    assert test.statistic == pytest.approx(statistic, abs=1e-8)
    assert (test.df, test.n_units, test.n_rows) == ((2, 499), 500, 2209)
    assert test.p_value == pytest.approx(stats.f.sf(statistic, 2, 499), abs=1e-10)
    assert list(test.table["n_treated"]) == [191, 171]


def test_the_pretrend_test_finds_a_trend_and_ignores_the_effect(stagg: tuple[Panel, Design]) -> None:
    panel, design = stagg
    entry = {unit: path.first for path in design.paths for unit in path.units}
    first = np.array([entry.get(unit, 99) for unit in panel.units])[:, None]
    time = np.array(panel.periods) - first
    drift = np.where((time < 0) & (time > -3) & (first < 99), 3.0 * (time + 3), 0.0)
    drifting = imputation_pretrend_test(
        _with(panel, "y", panel.values["y"] + drift), design, outcome="y", leads=2
    )
    assert drifting.p_value < 1e-6
    plain, moved = (
        imputation_pretrend_test(_with(panel, "y", values), design, outcome="y", leads=2)
        for values in (panel.values["y"], panel.values["y"] + 100 * (time >= 0) * (first < 99))
    )
    assert moved.statistic == pytest.approx(plain.statistic, abs=1e-9)


@pytest.mark.parametrize(
    ("leads", "design", "says"),
    [
        (1, make_design(list("abcde"), [(3, 4, ["a", "b"])]), "No treated unit has a period before"),
        (1, make_design(list("abcde"), [(4, 4, ["a"])]), "fewer than two treated units"),
        (0, make_design(list("abcde"), [(4, 4, ["a", "b"])]), "whole periods"),
    ],
)
def test_a_pretrend_test_that_cannot_be_made_says_why(leads: int, design: Design, says: str) -> None:
    with pytest.raises(DesignError, match=says):
        imputation_pretrend_test(_panel(HAND), design, outcome="y", leads=leads)


def test_a_constant_outcome_has_no_pretrend_test() -> None:
    design = make_design(list("abcde"), [(4, 4, ["a", "b"])])
    with pytest.raises(DesignError, match="the same everywhere"):
        imputation_pretrend_test(_panel(HAND.assign(y=7.0)), design, outcome="y", leads=1)


def test_a_lead_needs_two_periods_before_entry() -> None:
    design = make_design(list("abcde"), [(3, 4, ["a", "b"])])
    with pytest.raises(DesignError, match="two untreated periods"):
        imputation(_panel(HAND), design, outcome="y", pretrend_leads=1)


# ---------------------------------------------------------------- invariances


def _with(panel: Panel, name: str, values: Floats) -> Panel:
    return Panel(
        units=panel.units,
        periods=panel.periods,
        values={**panel.values, name: values},
        bases=panel.bases,
        reasons=panel.reasons,
    )


def _simple(effects: Effects) -> tuple[float | None, float | None]:
    one = aggregate(effects, by="simple")
    return one.overall, one.overall_se


@pytest.mark.parametrize("estimator", [imputation, two_stage])
def test_shift_scale_and_unit_levels(estimator, mpdta: tuple[Panel, Design]) -> None:  # type: ignore[no-untyped-def]
    panel, design = mpdta
    plain = _simple(estimator(panel, design, outcome="lemp"))
    levels = 1e5 * np.arange(len(panel.units))[:, None] + 1e3 * np.arange(5)
    moved = _simple(
        estimator(_with(panel, "lemp", 3 * panel.values["lemp"] + levels), design, outcome="lemp")
    )
    assert moved == pytest.approx((3 * plain[0], 3 * plain[1]), abs=1e-7)


def test_units_of_a_covariate_do_not_matter(stagg: tuple[Panel, Design]) -> None:
    panel, design = stagg
    plain = imputation(panel, design, outcome="y", covariates=["x1"])
    scaled = imputation(
        _with(panel, "x1", 1e6 * panel.values["x1"] + 1e6), design, outcome="y", covariates=["x1"]
    )
    assert _simple(scaled) == pytest.approx(_simple(plain), abs=1e-8)


@pytest.mark.parametrize("estimator", [imputation, two_stage])
def test_row_order_and_labels_do_not_matter(estimator, mpdta: tuple[Panel, Design]) -> None:  # type: ignore[no-untyped-def]
    panel, design = mpdta
    order = np.random.default_rng(1).permutation(len(panel.units))
    names = [f"u{row}" for row in order]
    other = Panel(
        units=tuple(names),
        periods=panel.periods,
        values={"lemp": panel.values["lemp"][order]},
        bases=panel.bases,
        reasons={"lemp": panel.reasons["lemp"][order]},
    )
    cohort = design.cohort.reindex([panel.units[row] for row in order])
    relabelled = design_from_cohorts(names, list(cohort), last_period=2007)
    assert _simple(estimator(other, relabelled, outcome="lemp")) == pytest.approx(
        _simple(estimator(panel, design, outcome="lemp")), abs=1e-12
    )


def test_calendar_gaps_do_not_matter_and_the_input_stays(mpdta: tuple[Panel, Design]) -> None:
    panel, design = mpdta
    before = panel.values["lemp"].copy()
    years = {2003: 1990, 2004: 1996, 2005: 1997, 2006: 2010, 2007: 2012}
    stretched = Panel(
        units=panel.units,
        periods=tuple(years.values()),
        values=panel.values,
        bases=panel.bases,
        reasons=panel.reasons,
    )
    cohort = [pd.NA if pd.isna(first) else years[int(first)] for first in design.cohort]
    moved = design_from_cohorts(list(design.cohort.index), cohort, last_period=2012)
    plain, irregular = (
        imputation(*both, outcome="lemp").cells["att"] for both in ((panel, design), (stretched, moved))
    )
    assert np.allclose(plain, irregular, atol=1e-13)
    assert np.array_equal(panel.values["lemp"], before)


# ---------------------------------------------------------------- bad input


def test_an_outcome_that_does_not_vary_has_no_error() -> None:
    # The same everywhere is refused; fitted without a rest (a trend that all share) has an effect of 0, and no error.
    design = make_design(list("abcde"), [(3, 4, ["a", "b"])])
    with pytest.raises(DesignError, match="the same everywhere"):
        imputation(_panel(HAND.assign(y=7.0)), design, outcome="y")
    table = imputation(_panel(HAND.assign(y=0.1 * HAND["year"] ** 2)), design, outcome="y").tidy()
    assert np.allclose(table["att"], 0)
    assert table["se"].isna().all()
    assert (table["se_note"] == "the outcome does not vary beyond what the effects explain").all()


def test_an_always_treated_area_is_named() -> None:
    with pytest.raises(DesignError, match="no data before treatment") as caught:
        imputation(_panel(HAND), make_design(list("abcde"), [(1, 4, ["b"]), (4, 4, ["a"])]), outcome="y")
    assert ", b" in str(caught.value)


def test_no_complete_comparison_is_said_with_the_gaps() -> None:
    frame = HAND[~(HAND["unit"].isin(["d", "e"]) & (HAND["year"] == 4))]
    with pytest.raises(DesignError, match="one side of the comparison") as caught:
        imputation(_panel(frame), HAND_DESIGN, outcome="y")
    assert "d: not_published in 4" in str(caught.value)


def test_a_gap_in_a_covariate_is_a_reason() -> None:
    frame = HAND.assign(x=HAND["x"].where(HAND.index != 10))  # d in 3
    effects = imputation(_panel(frame, ["y", "x"]), HAND_DESIGN, outcome="y", covariates=["x"])
    assert effects.dropped == (("d", "x missing", 3),)


@pytest.mark.parametrize(
    ("x", "covariates", "says"),
    [
        (HAND["unit"].map(ord).astype(float), ["x"], "does not change within units"),
        (HAND["year"].astype(float), ["x"], "already tell it"),
        (HAND["x"], ["x", "x"], "named, each once"),
        (HAND["x"], ["y"], "is the outcome"),
        (HAND["x"], "x", "list of names"),
    ],
)
def test_covariates_that_cannot_be_used(x: pd.Series, covariates: list[str], says: str) -> None:
    with pytest.raises(DesignError, match=says):
        imputation(_panel(HAND.assign(x=x), ["y", "x"]), HAND_DESIGN, outcome="y", covariates=covariates)


def test_a_covariate_that_repeats_another_is_named(stagg: tuple[Panel, Design]) -> None:
    panel, design = stagg
    doubled = _with(panel, "x2", 2 * panel.values["x1"] + np.arange(10))
    with pytest.raises(DesignError, match="already tell it") as caught:
        imputation(doubled, design, outcome="y", covariates=["x1", "x2"])
    assert "y, x2" in str(caught.value)


def test_unknown_words_and_names_are_answered_with_the_closest() -> None:
    panel = _panel(HAND)
    with pytest.raises(DataError, match="one of: 'y'"):
        imputation(panel, HAND_DESIGN, outcome="z")
    with pytest.raises(DataError, match="no such outcome"):
        imputation(panel, HAND_DESIGN, outcome="y", covariates=["lpop"])
    with pytest.raises(DesignError, match="'impute'"):
        imputation(panel, HAND_DESIGN, outcome="y", after_leaving="imputed")  # type: ignore[arg-type]
    with pytest.raises(DesignError, match="'keep'"):
        imputation(panel, HAND_DESIGN, outcome="y", incomplete="kept")  # type: ignore[arg-type]
    with pytest.raises(DesignError, match="whole periods"):
        imputation(panel, HAND_DESIGN, outcome="y", pretrend_leads=-1)
    with pytest.raises(DataError, match="no such unit"):
        imputation(panel, make_design(list("abcdz"), [(3, 4, ["z"])]), outcome="y", incomplete="keep")


def test_an_infinite_value_is_refused() -> None:
    panel = _panel(HAND)
    values = panel.values["y"].copy()
    values[1, 2] = np.inf
    with pytest.raises(DataError, match="no finite number") as caught:
        imputation(_with(panel, "y", values), HAND_DESIGN, outcome="y")
    assert "b in 4" in str(caught.value)
