"""Synthetic comparisons against R's synthdid, published figures, hand calculations and an independent solver."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import nnls

from mekeval import (
    DataError,
    DesignError,
    aggregate,
    build_panel,
    design_from_cohorts,
    group_time_att,
    make_design,
)
from mekeval.design import Design
from mekeval.estimate.simplex import TOLERANCE, frank_wolfe_weights, simplex_weights
from mekeval.estimate.synthetic import SyntheticFit, synthetic_control, synthetic_did, synthetic_fit
from mekeval.estimate.synthetic_placebos import synthetic_placebos
from mekeval.panel import Floats, Panel

R = pd.read_csv(Path(__file__).parents[1] / "reference" / "r_reference.csv").set_index(["case", "quantity"])[
    "estimate"
]
PACKS = "PacksPerCapita"


def _panel(values: Floats, *, periods: range | list[int] | None = None, **others: Floats) -> Panel:
    """Units a, b, ... in rows; further outcomes by name."""
    n_units, n_periods = values.shape
    frame = pd.DataFrame(
        {
            "unit": np.repeat([f"u{row:03d}" for row in range(n_units)], n_periods),
            "year": np.tile(list(periods or range(1, n_periods + 1)), n_units),
            "y": values.ravel(),
            **{name: other.ravel() for name, other in others.items()},
        }
    )
    return build_panel(frame, unit="unit", period="year", outcome=["y", *others])


def _factors(n_units: int = 20, n_periods: int = 9, seed: int = 4) -> Floats:
    rng = np.random.default_rng(seed)
    trend = rng.normal(size=(n_units, 2)) @ rng.normal(size=(2, n_periods)).cumsum(axis=1)
    return trend + rng.normal(size=(n_units, n_periods)) + 3 * rng.normal(size=(n_units, 1))


@pytest.fixture(scope="module")
def prop99(reference: Path) -> tuple[Panel, Design]:
    """Cigarette packs per head, 39 states, 1970-2000, California treated from 1989."""
    data = pd.read_csv(reference / "california_prop99.csv", sep=";")
    panel = build_panel(data, unit="State", period="Year", outcome=[PACKS])
    return panel, make_design(panel.units, [(1989, 2000, ["California"])])


@pytest.fixture(scope="module")
def staggered(reference: Path) -> tuple[Panel, Design]:
    """95 units, 10 periods, cohorts 3 to 10 and never; the cohort of 2, with one period before entry, is left out."""
    data = pd.read_csv(reference / "base_stagg.csv").query("year_treated != 2")
    panel = build_panel(data, unit="id", period="year", outcome=["y", "x1"])
    first = data.drop_duplicates("id")["year_treated"]
    return panel, design_from_cohorts(panel.units, [None if t > 10 else t for t in first], last_period=10)


# The solver ------------------------------------------------------------------------------------------------------


def test_weights_by_hand() -> None:
    # (w - 0)^2 with penalty r: w2^2 + r (w1^2 + w2^2), w1 = 1 - w2, gives w2 = r / (1 + 2 r)
    fit = simplex_weights(np.array([[0.0, 1.0]]), np.array([0.0]), ridge=0.5)
    assert fit.weights[0] == pytest.approx([0.75, 0.25], abs=1e-14)
    assert fit.objective[0] == pytest.approx(0.25**2 + 0.5 * (0.75**2 + 0.25**2))
    # out of reach: the nearest corner
    assert simplex_weights(np.array([[1.0, 2.0, 5.0]]), np.array([-3.0])).weights[0] == pytest.approx(
        [1, 0, 0]
    )
    # with an intercept only the slopes 1, 3 count, and 2.5 = 0.25 * 1 + 0.75 * 3
    slopes = simplex_weights(np.array([[7.0, 0.0], [8.0, 3.0]]), np.array([50.0, 52.5]), intercept=True)
    assert slopes.weights[0] == pytest.approx([0.25, 0.75], abs=1e-12)


def test_of_many_optima_the_one_with_the_least_norm() -> None:
    # -1, 1, -1, 1 meet 0 whenever half of the weight is on each side
    fit = simplex_weights(np.array([[-1.0, 1.0, -1.0, 1.0]]), np.array([0.0]))
    assert fit.weights[0] == pytest.approx([0.25] * 4, abs=1e-10)
    # -1 (weight a each of two) and 3 (weight b): 2 a + b = 1, -2 a + 3 b = 0
    fit = simplex_weights(np.array([[-1.0, 3.0, -1.0]]), np.array([0.0]))
    assert fit.weights[0] == pytest.approx([0.375, 0.25, 0.375], abs=1e-10)
    # nothing to choose by: all alike
    flat = simplex_weights(np.full((3, 5), 7.0), np.full(3, 7.0), intercept=True)
    assert flat.weights[0] == pytest.approx([0.2] * 5)


@pytest.mark.parametrize(
    ("rows", "columns", "ridge"),
    [(30, 40, 0.0), (30, 40, 1e-9), (30, 40, 50.0), (8, 60, 4.0), (60, 8, 0.0), (1, 3, 0.1), (20, 1, 0.0)],
)
@pytest.mark.parametrize("intercept", [False, True])
def test_weights_agree_with_an_independent_solver(
    rows: int, columns: int, ridge: float, intercept: bool
) -> None:
    rng = np.random.default_rng(rows * columns)
    count = 12
    common = rng.normal(size=(count, rows, 3))
    design = 500 + common @ rng.normal(size=(count, 3, columns)) + rng.normal(size=(count, rows, columns))
    target = 500 + (common @ rng.normal(size=(count, 3, 1)))[:, :, 0] + rng.normal(size=(count, rows))
    if rows == 1 and intercept:
        target = target * 0 + design[:, :, 0]
    fit = simplex_weights(design, target, ridge=ridge, intercept=intercept)
    assert np.all(fit.weights >= 0)
    assert fit.weights.sum(axis=1) == pytest.approx(np.ones(count), abs=1e-14)
    for problem in range(count):
        apart = design[problem] - target[problem][:, None]
        if intercept:
            apart = apart - apart.mean(axis=0)
        stacked = np.vstack([apart, np.sqrt(ridge) * np.eye(columns)])
        # minimising |S w| over the simplex is the non-negative problem [S; 1'] x = [0; 1], x rescaled
        scaled = stacked / max(np.abs(stacked).max(), 1e-300)
        other, _ = nnls(np.vstack([scaled, np.ones(columns)]), np.append(np.zeros(len(stacked)), 1.0))
        other /= other.sum()
        size = np.sum(stacked**2) / columns
        assert fit.objective[problem] <= np.sum((stacked @ other) ** 2) + 1e-12 * size
        assert fit.gap[problem] <= TOLERANCE * size
        if not (rows == 1 and intercept):  # else every weight fits
            assert fit.weights[problem] == pytest.approx(other, abs=1e-5 if ridge == 1e-9 else 1e-9)


def test_a_batch_is_its_problems_one_by_one() -> None:
    rng = np.random.default_rng(1)
    design, target = rng.normal(size=(300, 12, 25)), rng.normal(size=(300, 12))
    ridge = rng.uniform(0, 2, size=300)
    together = simplex_weights(design, target, ridge=ridge)
    for problem in range(0, 300, 60):
        alone = simplex_weights(design[problem], target[problem], ridge=float(ridge[problem]))
        assert together.weights[problem] == pytest.approx(alone.weights[0], abs=1e-12)
    shared = simplex_weights(design[0], target)
    assert shared.weights[7] == pytest.approx(simplex_weights(design[0], target[7]).weights[0], abs=1e-12)


def test_weights_do_not_depend_on_level_scale_or_order() -> None:
    rng = np.random.default_rng(2)
    design, target = rng.normal(size=(10, 30)), rng.normal(size=10) / 10  # within reach: many optima
    plain = simplex_weights(design, target).weights[0]
    assert np.abs(design @ plain - target).max() < 1e-10
    assert simplex_weights(design + 1e5, target + 1e5).weights[0] == pytest.approx(plain, abs=1e-6)
    assert simplex_weights(design * 1e-7, target * 1e-7).weights[0] == pytest.approx(plain, abs=1e-9)
    order = rng.permutation(30)
    assert simplex_weights(design[:, order], target).weights[0] == pytest.approx(plain[order], abs=1e-9)
    twice = simplex_weights(np.hstack([design, design]), target).weights[0]  # a copy shares the weight
    assert twice[:30] == pytest.approx(twice[30:], abs=1e-9)


def test_frank_wolfe_comes_to_the_optimum_when_let() -> None:
    rng = np.random.default_rng(3)
    design, target = rng.normal(size=(30, 6)), rng.normal(size=30)
    exact = simplex_weights(design, target, ridge=2.0, intercept=True)
    slow = frank_wolfe_weights(design, target, ridge=2.0, intercept=True, max_iterations=30_000)
    assert slow.weights[0] == pytest.approx(exact.weights[0], abs=2e-3)
    above = slow.objective[0] - exact.objective[0]
    assert -1e-12 * exact.objective[0] <= above <= slow.gap[0] + 1e-12


@pytest.mark.parametrize(
    ("design", "target", "ridge"),
    [
        (np.array([[np.inf, 1.0]]), np.zeros(1), 0.0),
        (np.array([[1.0, np.nan]]), np.zeros(1), 0.0),
        (np.ones((2, 3)), np.zeros(3), 0.0),
        (np.ones((2, 0)), np.zeros(2), 0.0),
        (np.ones((2, 3)), np.zeros(2), -1.0),
    ],
)
def test_the_solver_refuses_what_it_cannot_weigh(design: Floats, target: Floats, ridge: float) -> None:
    with pytest.raises(DataError):
        simplex_weights(design, target, ridge=ridge)


# Figures ---------------------------------------------------------------------------------------------------------


def test_proposition_99_agrees_with_r(prop99: tuple[Panel, Design]) -> None:
    effects = synthetic_did(*prop99, outcome=PACKS)
    assert aggregate(effects, by="simple").overall == pytest.approx(R["prop99", "sdid"], abs=1e-7)
    plain = group_time_att(*prop99, outcome=PACKS)
    assert aggregate(plain, by="simple").overall == pytest.approx(R["prop99", "did"], abs=1e-7)


def test_proposition_99_agrees_with_what_was_published(prop99: tuple[Panel, Design]) -> None:
    # Arkhangelsky et al. (2021), table 1: synthetic control -19.6, demeaned (difp) -11.1. Vignette of synthdid: SC
    # -19.61966, time weights 0.366, 0.206, 0.427, unit weights 0.124, 0.105, 0.078.
    as_in_r = synthetic_control(*prop99, outcome=PACKS, solver="frank_wolfe")
    assert aggregate(as_in_r, by="simple").overall == pytest.approx(-19.61966, abs=5e-6)
    demeaned = synthetic_control(*prop99, outcome=PACKS, demean=True)
    assert aggregate(demeaned, by="simple").overall == pytest.approx(-11.1, abs=0.05)
    fit = synthetic_fit(*prop99, outcome=PACKS)
    years = fit.periods.index(1986), fit.periods.index(1987), fit.periods.index(1988)
    assert fit.time_weights[0, list(years)] == pytest.approx([0.366, 0.206, 0.427], abs=6e-4)
    assert list(fit.weights()["comparison"][:3]) == ["Nevada", "New Hampshire", "Connecticut"]
    assert list(fit.weights()["weight"][:3]) == pytest.approx([0.124, 0.105, 0.078], abs=6e-4)


def test_the_exact_optimum_is_better_than_where_r_stops(prop99: tuple[Panel, Design]) -> None:
    fits = {
        solver: synthetic_fit(*prop99, outcome=PACKS, solver=solver) for solver in ("exact", "frank_wolfe")
    }
    objective = {}
    for solver, fit in fits.items():
        past = fit.setting.block.values[:, np.array(fit.periods) < 1989]
        difference = past[fit.setting.comparison].T @ fit.unit_weights[0] - past[fit.setting.group == 0][0]
        penalty = fit.zeta[0, 0] ** 2 * np.sum(fit.unit_weights[0] ** 2)
        objective[solver] = np.mean((difference - difference.mean()) ** 2) + penalty
        assert fit.pre_rmse[0] == pytest.approx(np.std(difference))
    assert objective["exact"] < objective["frank_wolfe"] <= objective["exact"] + fits["frank_wolfe"].gap[0, 0]
    assert fits["exact"].gap.max() < 1e-10 < fits["frank_wolfe"].gap[0, 0]


def test_staggered_agrees_with_another_package(staggered: tuple[Panel, Design]) -> None:
    # The Python package synthdid 0.10.1 (a port of Stata's sdid) on the same file: cohorts 3 to 10, and its ATT.
    theirs = [1.774730, 0.965764, -2.077549, -3.259356, -4.351478, -3.777017, -7.350206, -9.656106]
    effects = synthetic_did(*staggered, outcome="y")
    assert list(aggregate(effects, by="path").table["att"]) == pytest.approx(theirs, abs=6e-7)
    assert aggregate(effects, by="simple").overall == pytest.approx(-1.6915934955, abs=1e-9)
    # by treated unit-periods: five units in each cohort, 8, 7, ..., 1 periods
    assert np.average(theirs, weights=range(8, 0, -1)) == pytest.approx(-1.6915934955, abs=1e-6)


def test_synthetic_did_by_hand() -> None:
    # Before entry a rises by 2, b by 1, c by 3: half of each. Between b and c the rise to period 2 (1, 4) is what
    # period 3 goes on from (2, 8): all base weight on period 2. 10 - (2 + 8) / 2 - (3 - (1 + 4) / 2) = 4.5
    panel = _panel(np.array([[1.0, 3, 10], [0, 1, 2], [1, 4, 8]]))
    design = make_design(panel.units, [(3, 3, ["u000"])])
    fit = synthetic_fit(panel, design, outcome="y", solver="exact")
    assert fit.unit_weights[0] == pytest.approx([0.5, 0.5])
    assert fit.time_weights[0] == pytest.approx([0, 1, 0], abs=1e-9)
    assert fit.intercept[0] == pytest.approx(0.5)
    assert fit.effects().cells["att"].iloc[-1] == pytest.approx(4.5)
    # demeaned: the base is the mean of both periods, 10 - 5 - ((1 - 0.5) + (3 - 2.5)) / 2 = 4.5
    demeaned = synthetic_control(panel, design, outcome="y", demean=True)
    assert demeaned.cells["att"].iloc[-1] == pytest.approx(4.5)
    assert (demeaned.base_period, demeaned.cells["base"].iloc[0]) == ("pre_mean", "1, 2")


def test_synthetic_control_by_hand() -> None:
    # (2, 3) = 0.5 (1, 2) + 0.5 (3, 4); the far unit gets nothing; effects 9 - 4 and 1 - 6
    panel = _panel(
        np.array([[2.0, 3, 9, 1], [1, 2, 3, 4], [3, 4, 5, 8], [90, 10, 0, 0]]), periods=[1, 2, 5, 9]
    )
    fit = synthetic_fit(
        panel, make_design(panel.units, [(4, 9, ["u000"])]), outcome="y", method="synthetic_control"
    )
    assert fit.unit_weights[0] == pytest.approx([0.5, 0.5, 0], abs=1e-9)
    assert list(fit.synthetic_path[0]) == pytest.approx([2, 3, 4, 6])
    assert list(fit.effects().cells["att"]) == pytest.approx([0, 0, 5, -5], abs=1e-8)
    assert list(fit.effects().cells["event_time"]) == [-3, -2, 1, 5]
    assert set(fit.effects().cells["base"]) == {"none"}
    assert fit.pre_rmse[0] == pytest.approx(0, abs=1e-8)
    assert fit.intercept[0] == 0


# Several units, paths, covariates --------------------------------------------------------------------------------


@pytest.mark.parametrize("estimator", [synthetic_did, synthetic_control])
def test_one_unit_is_the_design_with_that_unit(estimator: type) -> None:
    panel = _panel(_factors())
    both = make_design(panel.units, [(6, 9, ["u000", "u001"]), (8, 9, ["u002"])])
    one = make_design(panel.units, [(6, 9, ["u000"]), (10, 10, ["u001", "u002"])], last_period=9)
    alone = estimator(panel, both, outcome="y", unit="u000", solver="exact")
    assert alone.cells["att"].to_numpy() == pytest.approx(
        estimator(panel, one, outcome="y", solver="exact").cells["att"].to_numpy()
    )
    each = estimator(panel, both, outcome="y", pooled=False, solver="exact").cells
    other = estimator(panel, both, outcome="y", unit="u001", solver="exact").cells
    first = each[each["path"] == "6-9"]
    assert first["att"].to_numpy() == pytest.approx((alone.cells["att"] + other["att"]).to_numpy() / 2)
    assert (first["n_treated"] == 2).all()
    assert list(dict.fromkeys(each["path"])) == ["6-9", "8-9"]


def test_years_after_leaving_neither_enter_the_weights_nor_are_lost() -> None:
    values = _factors()
    panel = _panel(values)
    leaves = make_design(panel.units, [(5, 7, ["u000", "u001"])])
    effects = synthetic_did(panel, leaves, outcome="y", solver="exact")
    short = synthetic_did(_panel(values[:, :7]), leaves, outcome="y", solver="exact")
    assert list(effects.cells["phase"]) == ["pre"] * 4 + ["on"] * 3 + ["after"] * 2
    assert effects.cells["att"].to_numpy()[:7] == pytest.approx(short.cells["att"].to_numpy())
    assert list(aggregate(effects, by="after_leaving").table["att"]) == pytest.approx(
        [effects.cells["att"].iloc[7:].mean()]
    )


def test_covariates_are_taken_out_by_the_regression_on_untreated_cells() -> None:
    rng = np.random.default_rng(6)
    values, first, second = _factors(), rng.normal(size=(20, 9)), rng.normal(size=(20, 9)).cumsum(axis=1)
    outcome = values + 2 * first - 5 * second
    panel = _panel(outcome, x=first, z=second)
    design = make_design(panel.units, [(6, 9, ["u000", "u001"]), (8, 9, ["u002"])])
    fit = synthetic_fit(panel, design, outcome="y", covariates=["x", "z"], solver="exact")
    # the same regression with a column for every unit and period
    units, periods = np.repeat(np.arange(20), 9), np.tile(np.arange(9), 20)
    entry = np.array([5, 5, 7] + [99] * 17)
    free = periods < entry[units]
    dummies = [units[:, None] == np.arange(20), periods[:, None] == np.arange(1, 9)]
    regressors = np.column_stack([first.ravel(), second.ravel(), *dummies]).astype(float)
    slopes = np.linalg.lstsq(regressors[free], outcome.ravel()[free], rcond=None)[0][:2]
    assert fit.coefficients == pytest.approx(slopes, abs=1e-9)
    adjusted = _panel(outcome - slopes[0] * first - slopes[1] * second)
    assert fit.effects().cells["att"].to_numpy() == pytest.approx(
        synthetic_did(adjusted, design, outcome="y", solver="exact").cells["att"].to_numpy(), abs=1e-8
    )


# Placebos --------------------------------------------------------------------------------------------------------


def test_one_treated_unit_has_as_many_placebos_as_comparison_units(prop99: tuple[Panel, Design]) -> None:
    panel, design = prop99
    result = synthetic_placebos(panel, design, outcome=PACKS, draws=5_000)
    assert (result.n_possible, result.enumerated, len(result.placebos)) == (38, True, 38)
    assert {unit for (unit,) in result.assignments} == set(design.comparison)
    assert 9 < result.se < 10  # with thousands of draws of these 38, others print 9 to 10
    # each is the estimate on the panel without California
    for at in (0, 17, 37):
        (stand_in,) = result.assignments[at]
        others = list(design.comparison)
        again = synthetic_did(
            panel, make_design(others, [(1989, 2000, [stand_in])]), outcome=PACKS, solver="exact"
        )
        assert result.placebos[at] == pytest.approx(aggregate(again, by="simple").overall, abs=1e-9)
    beyond = np.sum(np.abs(result.placebos) >= abs(result.att))
    assert result.p_value == (1 + beyond) / 39
    assert result.se == pytest.approx(np.sqrt(np.mean((result.placebos - result.placebos.mean()) ** 2)))


@pytest.mark.parametrize("pooled", [True, False])
def test_placebos_of_a_staggered_design(pooled: bool) -> None:
    panel = _panel(_factors(n_units=9))
    design = make_design(panel.units, [(6, 8, ["u000", "u001"]), (8, 9, ["u002"])])
    result = synthetic_placebos(panel, design, outcome="y", pooled=pooled)
    # two of six for the first path (one at a time: in order), one of the remaining four for the second
    assert result.n_possible == (6 * 5 / (2 if pooled else 1)) * 4
    assert result.enumerated
    assert len(set(result.assignments)) == result.n_possible
    effects = synthetic_did(panel, design, outcome="y", pooled=pooled, solver="exact")
    assert result.att == pytest.approx(aggregate(effects, by="simple").overall)
    at = 31
    first, second, third = result.assignments[at]
    again = synthetic_did(
        panel,
        make_design(design.comparison, [(6, 8, [first, second]), (8, 9, [third])]),
        outcome="y",
        pooled=pooled,
        solver="exact",
    )
    assert result.placebos[at] == pytest.approx(aggregate(again, by="simple").overall)
    assert result.cell_placebos[at] == pytest.approx(again.cells["att"].to_numpy(), abs=1e-9)
    assert result.cells["se"].to_numpy() == pytest.approx(result.cell_placebos.std(axis=0))


def test_draws_are_different_and_repeat_with_the_seed() -> None:
    panel = _panel(_factors(n_units=16))
    design = make_design(panel.units, [(6, 9, ["u000", "u001", "u002"])])
    results = [synthetic_placebos(panel, design, outcome="y", draws=60, seed=seed) for seed in (1, 1, 2)]
    assert all(len(set(result.assignments)) == 60 and not result.enumerated for result in results)
    assert results[0].n_possible == 286  # three of thirteen
    assert np.array_equal(results[0].placebos, results[1].placebos)
    assert not np.array_equal(results[0].placebos, results[2].placebos)
    nearly_all = synthetic_placebos(panel, design, outcome="y", draws=285)
    assert len(set(nearly_all.assignments)) == 285


def test_the_ratio_of_errors_by_hand() -> None:
    # a: (2, 4) against b (1, 3) and c (1, 3): before entry 1 and 1 off; then 5 off. Ratio 5.
    panel = _panel(np.array([[2.0, 4, 10], [1, 3, 5], [1, 3, 5]]))
    design = make_design(panel.units, [(3, 3, ["u000"])])
    result = synthetic_placebos(panel, design, outcome="y", method="synthetic_control")
    assert result.rmse_ratio == pytest.approx(5)
    assert list(result.rmse_ratios) == [0, 0]  # b and c are each other's copy: nothing before, nothing after
    assert result.rmse_ratio_p_value == pytest.approx(1 / 3)


# Invariances -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("solver", ["exact", "frank_wolfe"])
@pytest.mark.parametrize("estimator", [synthetic_did, synthetic_control])
def test_invariances(estimator: type, solver: str) -> None:
    values = _factors()
    panel = _panel(values)
    before = panel.values["y"].copy()
    design = make_design(panel.units, [(6, 9, ["u000", "u001"]), (8, 9, ["u002"])])
    att = estimator(panel, design, outcome="y", solver=solver).cells["att"].to_numpy()
    assert np.array_equal(panel.values["y"], before)
    scaled = estimator(_panel(1e4 - 300 * values), design, outcome="y", solver=solver).cells["att"].to_numpy()
    # below the noise of the last digits the slow solver may stop a step earlier or later
    assert scaled == pytest.approx(-300 * att, abs=300 * (1e-7 if solver == "exact" else 1e-4))
    years = [1990, 1991, 1993, 1996, 1997, 1999, 2003, 2004, 2010]
    irregular = make_design(panel.units, [(1999, 2010, ["u000", "u001"]), (2004, 2010, ["u002"])])
    apart = estimator(_panel(values, periods=years), irregular, outcome="y", solver=solver).cells
    assert apart["att"].to_numpy() == pytest.approx(att, abs=1e-12)
    order = np.random.default_rng(0).permutation(20)
    mixed = Panel(
        units=tuple(panel.units[row] for row in order),
        periods=panel.periods,
        values={"y": values[order]},
        bases={"y": panel.bases["y"]},
        reasons={"y": panel.reasons["y"]},
    )
    other = make_design(mixed.units, [(6, 9, ["u001", "u000"]), (8, 9, ["u002"])])
    shuffled = estimator(mixed, other, outcome="y", solver=solver).cells["att"].to_numpy()
    assert shuffled == pytest.approx(att, abs=1e-7)


def test_levels_of_units_do_not_matter_to_synthetic_did() -> None:
    values = _factors()
    panel, raised = _panel(values), _panel(values + np.arange(20)[:, None] ** 2)
    design = make_design(panel.units, [(6, 9, ["u000", "u001"])])
    for demean in (True, False):
        pair = [
            synthetic_control(some, design, outcome="y", demean=True)
            if demean
            else synthetic_did(some, design, outcome="y", solver="exact")
            for some in (panel, raised)
        ]
        assert pair[0].cells["att"].to_numpy() == pytest.approx(pair[1].cells["att"].to_numpy(), abs=1e-7)


def test_what_a_fit_says_hangs_together(staggered: tuple[Panel, Design]) -> None:
    fit = synthetic_fit(*staggered, outcome="y", solver="exact")
    assert fit.unit_weights.sum(axis=1) == pytest.approx(np.ones(8))
    assert fit.time_weights.sum(axis=1) == pytest.approx(np.ones(8))
    table, effects = fit.tidy(), fit.effects()
    assert table["att"].to_numpy() == pytest.approx(effects.cells["att"].to_numpy())
    before = table[table["phase"] == "pre"]
    weighted = (before["att"] * before["time_weight"]).groupby(before["path"]).sum()
    assert weighted.to_numpy() == pytest.approx(np.zeros(8), abs=1e-10)  # the base is where the paths meet
    assert (effects.tidy()["se_note"] == "no influence function").all()
    with pytest.raises(dataclasses.FrozenInstanceError):
        fit.solver = "exact"  # type: ignore[misc]
    with pytest.raises(DesignError, match="not made of unit changes"):
        aggregate(effects, by="district")
    assert isinstance(fit, SyntheticFit)


# Bad input -------------------------------------------------------------------------------------------------------


def _bad(values: Floats | None = None, **others: Floats) -> tuple[Panel, Design]:
    panel = _panel(_factors(6) if values is None else values, **others)
    return panel, make_design(panel.units, [(6, 9, ["u000"])])


def test_a_trend_that_all_share_has_no_effect() -> None:
    panel, design = _bad(np.full((6, 9), 0.1))
    for estimator in (synthetic_did, synthetic_control, synthetic_placebos):
        with pytest.raises(DesignError, match="the same everywhere"):
            estimator(panel, design, outcome="y")
    panel, design = _bad(np.tile(np.arange(9.0), (6, 1)))
    for solver in ("exact", "frank_wolfe"):
        fit = synthetic_fit(panel, design, outcome="y", solver=solver)  # type: ignore[arg-type]
        assert fit.unit_weights[0] == pytest.approx([0.2] * 5)
        assert fit.effects().cells["att"].to_numpy() == pytest.approx(np.zeros(9), abs=1e-14)


def test_missing_cells_leave_units_out_by_name() -> None:
    values, other = _factors(6), np.random.default_rng(1).normal(size=(6, 9))
    values[2, 3], other[4, 5] = np.nan, np.nan
    panel, design = _bad(values, x=other)
    effects = synthetic_did(panel, design, outcome="y", covariates=["x"])
    assert effects.dropped == (("u002", "missing", 4), ("u004", "x missing", 6))
    assert effects.units == ("u000", "u001", "u003", "u005")
    values[0, 0] = np.nan
    panel, design = _bad(values)
    with pytest.raises(DesignError, match="u000: missing in 1"):
        synthetic_did(panel, design, outcome="y")


def test_periods_that_are_not_there_are_named() -> None:
    panel, _ = _bad()
    for first in (1, 2):  # always treated; one period before entry
        with pytest.raises(DesignError, match="at least two periods before entry") as caught:
            synthetic_did(panel, make_design(panel.units, [(first, 9, ["u003"])]), outcome="y")
        assert "u003" in str(caught.value)
    with pytest.raises(DesignError, match="no data after entry"):
        synthetic_control(panel, make_design(panel.units, [(12, 13, ["u000"])]), outcome="y")
    with pytest.raises(DesignError, match="not treated"):
        synthetic_did(panel, make_design(panel.units, [(6, 9, ["u000"])]), outcome="y", unit="u001")


def test_infinite_values_are_refused() -> None:
    panel, design = _bad()
    values = panel.values["y"].copy()
    values[1, 1] = np.inf
    broken = dataclasses.replace(panel, values={"y": values})
    with pytest.raises(DataError, match="no finite number"):
        synthetic_did(broken, design, outcome="y")


def test_covariates_that_cannot_be_used_are_named() -> None:
    rng = np.random.default_rng(8)
    good = rng.normal(size=(6, 9))
    columns = {
        "good": good,
        "twin": 3 * good + 1,
        "fixed": np.repeat(rng.normal(size=(6, 1)), 9, axis=1) + 2000,
        "common": np.tile(np.arange(9.0), (6, 1)),
    }
    panel, design = _bad(**columns)
    for names in (["good", "twin"], ["fixed"], ["common"]):
        with pytest.raises(DesignError, match=f"says nothing beyond(.|\n)*{names[-1]}"):
            synthetic_did(panel, design, outcome="y", covariates=names)
    with pytest.raises(DataError, match="closest: 'good'"):
        synthetic_did(panel, design, outcome="y", covariates=["goud"])
    for wrong in (["y"], ["good", "good"], "good"):
        with pytest.raises((DataError, DesignError), match=r"list of names|each once"):
            synthetic_did(panel, design, outcome="y", covariates=wrong)


def test_words_and_numbers_that_are_not_known_are_refused() -> None:
    panel, design = _bad()
    with pytest.raises(DesignError, match="closest: 'synthetic_control'"):
        synthetic_fit(panel, design, outcome="y", method="synthetic_controls")  # type: ignore[arg-type]
    with pytest.raises(DesignError, match="closest: 'exact'"):
        synthetic_did(panel, design, outcome="y", solver="exactly")  # type: ignore[arg-type]
    with pytest.raises(DesignError, match="At least one placebo"):
        synthetic_placebos(panel, design, outcome="y", draws=0)


def test_placebos_need_a_comparison_unit_that_remains() -> None:
    panel = _panel(_factors(4))
    design = make_design(panel.units, [(6, 9, ["u000", "u001"])])
    with pytest.raises(DesignError, match="at least 3 comparison units"):
        synthetic_placebos(panel, design, outcome="y")
    early = make_design(panel.units, [(9, 12, ["u000"])], partial_years=2)
    with pytest.raises(DesignError, match="full year"):
        synthetic_placebos(panel, early, outcome="y")
    # one comparison unit is enough for an estimate: the plain difference from the weighted base
    pair = _panel(_factors(2))
    fit = synthetic_fit(pair, make_design(pair.units, [(6, 9, ["u000"])]), outcome="y", solver="exact")
    assert fit.unit_weights.tolist() == [[1.0]]
