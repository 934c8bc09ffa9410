"""Cluster-robust tests against R's fixest and clubSandwich, dense algebra with every dummy, and refits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mekeval import DesignError, build_panel, design_from_cohorts, make_design, twfe
from mekeval.design import Design
from mekeval.inference.cluster_robust import KINDS, cluster_robust
from mekeval.panel import Panel

R = pd.read_csv(Path(__file__).parents[1] / "reference" / "r_reference.csv")
Study = tuple[Panel, Design]


# The dense way: a dummy for every unit and period, hat-matrix blocks, matrix roots


def dense_cr2(x: np.ndarray, y: np.ndarray, cluster: np.ndarray, at: int) -> tuple[float, float, float]:
    """Coefficient, CR2 variance and Satterthwaite degrees of freedom, by the definitions and nothing else."""
    bread = np.linalg.pinv(x.T @ x)
    hat = x @ bread @ x.T
    coefficients = bread @ x.T @ y
    residuals = y - x @ coefficients
    scores, directions = [], []
    for one in np.unique(cluster):
        own = cluster == one
        values, vectors = np.linalg.eigh(np.eye(own.sum()) - hat[np.ix_(own, own)])
        root = vectors @ np.diag([0.0 if v < 1e-9 else v**-0.5 for v in values]) @ vectors.T
        weights = root @ x[own] @ bread[:, at]
        scores.append(weights @ residuals[own])
        directions.append((np.eye(len(y)) - hat)[:, own] @ weights)
    products = np.array(directions) @ np.array(directions).T
    df = np.trace(products) ** 2 / np.sum(products**2)
    return float(coefficients[at]), float(np.sum(np.square(scores))), float(df)


def dense_jackknife(x: np.ndarray, y: np.ndarray, cluster: np.ndarray, at: int) -> float:
    """CR3 by fitting again without each unit, its dummy included."""
    full = np.linalg.lstsq(x, y, rcond=None)[0][at]
    names = np.unique(cluster)
    without = [np.linalg.lstsq(x[cluster != one], y[cluster != one], rcond=None)[0][at] for one in names]
    return float(np.sum((np.array(without) - full) ** 2) * (len(names) - 1) / len(names))


def long_form(panel: Panel, design: Design, covariates: tuple[str, ...] = ()) -> tuple[np.ndarray, ...]:
    """Regressors with all dummies (the treatment first), outcome and unit of each cell with data."""
    rows = []
    for row, unit in enumerate(panel.units):
        for column, period in enumerate(panel.periods):
            cell = [panel.values[name][row, column] for name in ("y", *covariates)]
            if not np.isnan(cell).any():
                on = unit in design.treated and design.path_of(unit).phase(period) == "on"
                rows.append((row, column, float(on), *cell))
    table = np.array(rows)
    unit, period = table[:, 0].astype(int), table[:, 1].astype(int)
    x = np.column_stack(
        [table[:, 2], table[:, 4:], np.eye(len(panel.units))[unit], np.eye(len(panel.periods))[period][:, 1:]]
    )
    return x, table[:, 3], unit


def made_up(seed: int, *, gaps: bool = False, covariates: bool = False, n: int = 14) -> Study:
    """Three waves, one of which leaves, irregular years, errors that hang together within units."""
    rng = np.random.default_rng(seed)
    units = [f"u{at}" for at in range(n)]
    years = [2011, 2012, 2014, 2015, 2018, 2019]
    frame = pd.DataFrame({"u": np.repeat(units, len(years)), "t": years * n})
    frame["y"] = rng.normal(size=(n, len(years))).cumsum(axis=1).ravel() + np.repeat(rng.normal(size=n), 6)
    frame["x"] = rng.normal(size=len(frame)) + 0.4 * frame["y"]
    if gaps:
        frame.loc[rng.choice(len(frame), 9, replace=False), "y"] = np.nan
    panel = build_panel(frame, unit="u", period="t", outcome=["y", "x"] if covariates else ["y"])
    waves = [(2014, 2019, units[:2]), (2015, 2018, units[2:3]), (2018, 2019, units[3:5])]
    return panel, make_design(units, waves)


CASES = [(False, ()), (True, ()), (False, ("x",)), (True, ("x",))]


@pytest.mark.parametrize(("gaps", "covariates"), CASES)
def test_cr2_is_that_of_the_regression_with_all_dummies(gaps: bool, covariates: tuple[str, ...]) -> None:
    for seed in range(4):
        study = made_up(seed, gaps=gaps, covariates=bool(covariates))
        estimate, variance, df = dense_cr2(*long_form(*study, covariates), at=0)
        found = cluster_robust(*study, outcome="y", kind="cr2", covariates=covariates)
        assert (found.estimate, found.se, found.df) == pytest.approx(
            (estimate, np.sqrt(variance), df), rel=1e-9
        )
        reach = stats.t.ppf(0.975, df) * np.sqrt(variance)
        assert (found.low, found.high) == pytest.approx((estimate - reach, estimate + reach), rel=1e-9)
        assert found.p_value == pytest.approx(2 * stats.t.sf(abs(estimate) / np.sqrt(variance), df), rel=1e-9)


@pytest.mark.parametrize(("gaps", "covariates"), CASES)
def test_cr3_is_that_of_refits_without_each_unit(gaps: bool, covariates: tuple[str, ...]) -> None:
    for seed in range(4):
        study = made_up(seed, gaps=gaps, covariates=bool(covariates))
        found = cluster_robust(*study, outcome="y", kind="cr3", covariates=covariates)
        assert found.se == pytest.approx(np.sqrt(dense_jackknife(*long_form(*study, covariates), at=0)))
        assert found.df == 13


def test_a_period_that_only_one_unit_has_is_left_out_with_it() -> None:
    # In 2010 only u9 has data: without u9 the period's dummy is gone, and lstsq gives it zero.
    panel, design = made_up(5)
    frame = pd.DataFrame({"u": np.repeat(panel.units, 6), "t": list(panel.periods) * 14})
    frame["y"] = panel.values["y"].ravel()
    extra = pd.DataFrame({"u": ["u9"], "t": [2010], "y": [0.7]})
    study = build_panel(pd.concat([frame, extra]), unit="u", period="t", outcome=["y"]), design
    x, y, unit = long_form(*study)
    estimate, variance, df = dense_cr2(x, y, unit, at=0)
    found = cluster_robust(*study, outcome="y", kind="cr2")
    assert (found.estimate, found.se, found.df) == pytest.approx((estimate, np.sqrt(variance), df))
    jackknife = cluster_robust(*study, outcome="y", kind="cr3")
    assert jackknife.se == pytest.approx(np.sqrt(dense_jackknife(x, y, unit, at=0)))


# Against R

# R clubSandwich 0.7.0 (R 4.5.2), vcovCR(type = "CR2") and coef_test, as published among the reference values of
# diff-diff (benchmarks/data/clubsandwich_cr2_golden.json): y ~ x of five clusters of six ("balanced_small"), and
# y ~ treat_post + unit + period of 8 units and 4 periods, units 5 to 8 treated from period 2 ("absorbed_fe_did").
SLOPE_X = """
0.3721983763389289 0.04382481542415917 0.7096840182784945 0.6576903965324163 0.2498557232320309 0.3000548330601305
0.5848666259553283 0.3334671433549374 0.6220119637437165 0.5458285543136299 0.8797957301139832 0.7068747407756746
0.7319725945126265 0.9316344279795885 0.4551205944735557 0.5903197291772813 0.8204360948875546 0.2241184804588556
0.4116668293718249 0.03861056081950665 0.7007115453016013 0.9568374615628272 0.2133520019706339 0.6610615001991391
0.9233188820071518 0.7957197614014149 0.07121255435049534 0.3894077676814049 0.4064512162003666 0.6593550781253725
"""
SLOPE_Y = """
1.05667907248243 1.066947846044605 1.204576917404174 0.9393918637932542 1.177146043692329 0.7712803978302757
0.9609694640137826 0.7179921799716888 0.9795764040580304 0.9476640198770669 1.19400793499814 0.9843903995036551
1.596792196243911 1.080428664799787 1.494763722918098 1.179517769839397 1.473047550838304 1.325359020870347
0.4626772743433495 0.7001639163946355 1.038012356684575 1.221226309323235 0.2339753492538406 0.8297946161223602
0.2154287997879057 0.4532916275621509 0.1242393529242412 0.02833331953496379 0.1200535751172539 0.007748016921758638
"""
DID_Y = """
0.8675660610026393 1.974964371815635 0.6262455759968815 0.4250911204896504
0.01746049540615028 1.285747228403441 0.3303840020024503 -0.5671521618639435
-0.1142677095292809 0.2383353498523538 -0.9019587987113207 -0.7061707682056644
-0.6157969345539587 -0.2881843268354549 -0.8240764992194235 -1.200211068425945
-1.671803432337748 1.089318887196633 0.5606170281167306 -0.7090977528526379
1.811753709724553 4.592189277336034 3.604625926706315 3.458451392091618
-1.216703112388791 1.963130563935098 1.026428163741928 0.01788553114847297
0.3145236664361374 3.957995942075363 2.327538808912606 2.632995686497729
"""


def _numbers(text: str) -> np.ndarray:
    return np.array(text.split(), dtype=float)


def test_the_dense_way_is_that_of_clubsandwich() -> None:
    x = np.column_stack([np.ones(30), _numbers(SLOPE_X)])
    found = dense_cr2(x, _numbers(SLOPE_Y), np.repeat(np.arange(5), 6), at=1)
    expected = (0.4180976333279622, 0.06774697283981687, 3.575881216615637)
    assert found == pytest.approx(expected, rel=1e-12)


def test_cr2_agrees_with_clubsandwich() -> None:
    units = [f"u{at}" for at in range(1, 9)]
    frame = pd.DataFrame({"u": np.repeat(units, 4), "t": [1, 2, 3, 4] * 8, "y": _numbers(DID_Y)})
    panel = build_panel(frame, unit="u", period="t", outcome=["y"])
    found = cluster_robust(panel, make_design(units, [(2, 4, units[4:])]), outcome="y", kind="cr2")
    expected = (2.240053222690117, 0.04493732438638597, 6.0)
    assert (found.estimate, found.se**2, found.df) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("name", "unit", "outcome", "case", "quantity"),
    [
        ("mpdta", "countyreal", "lemp", "mpdta_twfe", "D"),
        ("base_stagg", "id", "y", "stagg_twfe", "D"),
        ("castle", "state", "l_homicide", "castle_twfe", "post"),
    ],
)
def test_cr1_agrees_with_fixest(
    reference: Path, name: str, unit: str, outcome: str, case: str, quantity: str
) -> None:
    data = pd.read_csv(reference / f"{name}.csv")
    if name == "castle":
        first = data[data["post"] == 1].groupby("state")["year"].min()
    else:
        column, never = ("first.treat", 0) if name == "mpdta" else ("year_treated", 10000)
        first = data[data[column] != never].groupby(unit)[column].first()
    panel = build_panel(data, unit=unit, period="year", outcome=[outcome])
    first = first.set_axis(first.index.astype(str)).reindex(list(panel.units)).astype("Int64")
    design = design_from_cohorts(panel.units, list(first), last_period=int(data["year"].max()))
    row = R[(R["case"] == case) & (R["quantity"] == quantity)].iloc[0]
    found = cluster_robust(panel, design, outcome=outcome, kind="cr1")
    assert (found.estimate, found.se) == pytest.approx((row["estimate"], row["se"]), abs=1e-7)
    assert found.df == len(panel.units) - 1


# By hand


def two_periods(treated: list[float], rest: list[float]) -> Study:
    """Two periods, the first of them zero, so that the changes are the second."""
    units = [f"u{at}" for at in range(len(treated) + len(rest))]
    frame = pd.DataFrame({"u": np.repeat(units, 2), "t": [1, 2] * len(units)})
    frame["y"] = np.column_stack([np.zeros(len(units)), [*treated, *rest]]).ravel()
    return build_panel(frame, unit="u", period="t", outcome=["y"]), make_design(
        units, [(2, 2, units[: len(treated)])]
    )


def test_two_periods_by_hand() -> None:
    # Two periods: the regression is a difference of mean changes, treated 1, 3, 5 against 0, 2.
    study = two_periods([1.0, 3.0, 5.0], [0.0, 2.0])
    # CR2 is the variance of two samples, s^2 / n each: 4 / 3 + 2 / 2, and nu = (1/3 + 1/2)^2 / (1/9/2 + 1/4/1), which
    # is Welch's formula with equal variances, as errors that are alike are assumed.
    found = cluster_robust(*study, outcome="y", kind="cr2")
    assert found.estimate == pytest.approx(2.0)
    assert found.se**2 == pytest.approx(4 / 3 + 1)
    assert found.df == pytest.approx((1 / 3 + 1 / 2) ** 2 / (1 / 18 + 1 / 4))
    # CR3: without 1, 3 or 5 the estimate is 4 - 1 = 3, 3 - 1 = 2 or 2 - 1 = 1; without 0 or 2 it is 3 - 2 = 1 or
    # 3 - 0 = 3. Deviations from 2: 1, 0, -1, -1, 1; their squares sum to 4, times 4 / 5.
    assert cluster_robust(*study, outcome="y", kind="cr3").se ** 2 == pytest.approx(16 / 5)
    # CR1: squares about the means 8 / 9 + 2 / 4, times G / (G - 1) = 5 / 4, times (N - 1) / (N - K) = 9 / 7 with N = 10
    # and K = one treatment and two periods.
    assert cluster_robust(*study, outcome="y", kind="cr1").se ** 2 == pytest.approx((8 / 9 + 1 / 2) * 45 / 28)


# Invariance, and what is refused


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_hangs_on_order_level_or_scale(kind: str) -> None:
    panel, design = made_up(3, gaps=True)
    found = cluster_robust(panel, design, outcome="y", kind=kind)
    order = np.random.default_rng(0).permutation(len(panel.units))
    turned = replace(
        panel,
        units=tuple(panel.units[at] for at in order),
        values={"y": 100 - 4 * panel.values["y"][order]},
        reasons={"y": panel.reasons["y"][order]},
    )
    before = turned.values["y"].copy()
    other = cluster_robust(turned, design, outcome="y", kind=kind)
    assert (other.estimate, other.se, other.df, other.p_value) == pytest.approx(
        (-4 * found.estimate, 4 * found.se, found.df, found.p_value)
    )
    assert np.array_equal(turned.values["y"], before, equal_nan=True)


def test_the_estimate_is_that_of_twfe() -> None:
    study = made_up(8, gaps=True, covariates=True)
    effects = twfe(*study, outcome="y", covariates=["x"])
    found = cluster_robust(*study, outcome="y", kind="cr1", covariates=["x"])
    se = np.sqrt(np.sum(effects.influence[:, 0] ** 2)) / effects.n_units
    assert (found.estimate, found.se) == pytest.approx((effects.cells["att"].iloc[0], se))
    assert (found.n_treated, found.n_comparison) == (5, 9)


def test_one_treated_unit_is_refused_unless_a_kind_is_named() -> None:
    study = two_periods([3.0], [0.0, 1.0, 2.0, 0.5])
    with pytest.raises(DesignError, match="One treated unit has no cluster-robust standard error"):
        cluster_robust(*study, outcome="y")
    assert cluster_robust(*study, outcome="y", kind="cr1").warnings == ("one_treated", "few_treated")
    assert cluster_robust(*study, outcome="y", kind="cr2").warnings == ("one_treated", "few_treated")
    with pytest.raises(DesignError, match=r"rests on one unit.*\n.*u0"):
        cluster_robust(*study, outcome="y", kind="cr3")


def test_few_treated_units_carry_a_warning_and_many_do_not() -> None:
    rng = np.random.default_rng(2)
    assert cluster_robust(*made_up(1), outcome="y").warnings == ("few_treated",)
    many = two_periods(list(rng.normal(size=20)), list(rng.normal(size=20)))
    assert cluster_robust(*many, outcome="y").warnings == ()


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda study: cluster_robust(*study, outcome="y", alpha=0), "alpha is out of range"),
        (lambda study: cluster_robust(*study, outcome="y", kind="hc2"), "Unknown kind"),
        (
            lambda study: cluster_robust(
                replace(
                    study[0], values={"y": np.arange(14.0)[:, None] + np.arange(6), "x": study[0].values["x"]}
                ),
                study[1],
                outcome="y",
            ),
            "fits without residuals",
        ),
        (
            lambda study: cluster_robust(
                replace(study[0], values={**study[0].values, "x": np.arange(14.0)[:, None] + np.arange(6)}),
                study[1],
                outcome="y",
                covariates=["x"],
            ),
            "told apart from unit and period effects",
        ),
    ],
)
def test_bad_input_is_refused(change: Callable[[Study], object], match: str) -> None:
    with pytest.raises(DesignError, match=match):
        change(made_up(0, covariates=True))
