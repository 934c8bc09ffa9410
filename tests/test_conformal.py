"""Conformal tests against cases worked by hand, closed forms with two comparison units, and simulation."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import optimize

from mekeval import DesignError, build_panel, make_design
from mekeval.design import Design
from mekeval.inference.conformal import PROXIES, conformal
from mekeval.panel import Panel

Study = tuple[Panel, Design]


def study(series: dict[str, np.ndarray], *, treated: list[str], n_on: int) -> Study:
    """Series of yearly values, the treated in the programme in the last years."""
    n_periods = len(next(iter(series.values())))
    frame = pd.DataFrame(
        [(unit, 2000 + at, value) for unit, values in series.items() for at, value in enumerate(values)],
        columns=["u", "t", "y"],
    )
    panel = build_panel(frame, unit="u", period="t", outcome=["y"])
    wave = (2000 + n_periods - n_on, 2000 + n_periods - 1, treated)
    return panel, make_design(panel.units, [wave])


def drawn(seed: int, *, n_periods: int = 24, n_on: int = 3, effect: float = 0.0, n: int = 3) -> Study:
    """One treated unit and others with a common course; errors are independent and alike."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(n, n_periods)) + rng.normal(size=n_periods).cumsum()
    values[0, -n_on:] += effect
    names = [f"u{at}" for at in range(n)]
    return study(dict(zip(names, values, strict=True)), treated=names[:1], n_on=n_on)


def two_donor_residuals(y: np.ndarray, a: np.ndarray, b: np.ndarray, proxy: str) -> np.ndarray:
    """Closed forms: with two comparison units there is one weight, clipped to [0, 1]."""
    if proxy == "difference_in_differences":
        gap = y - (a + b) / 2
        return gap - gap.mean()
    if proxy == "demeaned_synthetic_control":
        y, a, b = y - y.mean(), a - a.mean(), b - b.mean()
    w = np.clip((y - b) @ (a - b) / ((a - b) @ (a - b)), 0, 1)
    return y - w * a - (1 - w) * b


def brute(residuals: np.ndarray, n_on: int, permutations: str, *, signed: bool) -> float:
    """The p-value by walking over the permutations."""
    n = len(residuals)
    sets = (
        [[(at + shift) % n for at in range(n - n_on, n)] for shift in range(n)]
        if permutations == "moving_block"
        else list(itertools.combinations(range(n), n_on))
    )

    def statistic(chosen: list[int]) -> float:
        inside = residuals[list(chosen)]
        return float(abs(inside.sum()) if signed else np.abs(inside).sum())

    real = statistic(list(range(n - n_on, n)))
    return sum(statistic(list(chosen)) >= real - 1e-6 for chosen in sets) / len(sets)


# By hand


def test_one_year_by_hand() -> None:
    # Twenty years, one comparison unit at zero: differences in differences leaves the treated less their mean. The
    # last value is 4, the mean of 1, -1, ..., 9 times each, 6, 4 is 0.5: residuals 0.5 (9 times), -1.5 (9), 5.5, 3.5.
    # In size 3.5 is the second of twenty.
    treated = np.array([1.0, -1.0] * 9 + [6.0, 4.0])
    found = conformal(
        *study({"a": treated, "b": np.zeros(20)}, treated=["a"], n_on=1),
        outcome="y",
        proxy="difference_in_differences",
        alpha=0.1,
    )
    assert found.p_value == found.average.p_value == 2 / 20
    assert (found.n_before, found.n_on, found.average.n_sets, found.average.smallest_p) == (19, 1, 20, 1 / 20)
    # the mean before is 6 / 19, and the effect that leaves no residual is 4 less that
    assert found.average.estimate == pytest.approx(4 - 6 / 19)
    assert found.periods["att"].iloc[0] == pytest.approx(4 - 6 / 19)
    # An effect e makes the last value v = 4 - e; with m = (6 + v) / 20 the mean, |v - m| must be among the largest two
    # to be rejected at 0.1: larger than all but 6 - m. Upwards the rest is 1 - m or m + 1 in size, m > 0: the limit is
    # v - m = m + 1, so v = 2 (6 + v) / 20 + 1, v = 1.6 / 0.9; downwards m - v = 1 + m gives v = -1.
    assert found.average.low == pytest.approx(4 - 1.6 / 0.9, abs=1e-6)
    assert found.average.high == pytest.approx(5.0, abs=1e-6)
    row = found.periods.iloc[0]
    assert (row["low"], row["high"]) == pytest.approx((found.average.low, found.average.high))


def test_two_years_of_blocks_by_hand() -> None:
    # Residuals of 20 years are 18 times +-1 in turn, then 3 and -3, and sum to zero as they are. Absolute sums of two
    # neighbours: 2 for 17 pairs, 1 + 3, 3 + 3, and 3 + 1 around the circle. Signed, 3 - 3 = 0 is the smallest there is.
    treated = np.array([1.0, -1.0] * 9 + [3.0, -3.0])
    both = study({"a": treated, "b": np.zeros(20)}, treated=["a"], n_on=2)
    found = conformal(*both, outcome="y", proxy="difference_in_differences")
    assert found.p_value == 1 / 20
    assert found.average.p_value == 1.0
    # of all 190 pairs only this one has 6
    other = conformal(*both, outcome="y", proxy="difference_in_differences", permutations="iid")
    assert (other.p_value, other.average.n_sets, other.average.exact) == (1 / 190, 190, True)


# Closed forms


def closed_form(
    y: np.ndarray, a: np.ndarray, b: np.ndarray, n_on: int, proxy: str, permutations: str
) -> Callable[[float], float]:
    """The p-value of a constant effect in the last years."""
    on = np.arange(len(y)) >= len(y) - n_on
    return lambda effect: brute(
        two_donor_residuals(y - effect * on, a, b, proxy), n_on, permutations, signed=True
    )


@pytest.mark.parametrize("permutations", ["moving_block", "iid"])
@pytest.mark.parametrize(
    "proxy", ["synthetic_control", "demeaned_synthetic_control", "difference_in_differences"]
)
def test_p_values_and_limits_agree_with_closed_forms(proxy: str, permutations: str) -> None:
    for seed in range(4):
        panel, design = drawn(seed, effect=1.5)
        found = conformal(panel, design, outcome="y", proxy=proxy, permutations=permutations, alpha=0.1)
        y, a, b = panel.values["y"]
        assert found.p_value == pytest.approx(
            brute(two_donor_residuals(y, a, b, proxy), 3, permutations, signed=False)
        )
        share = closed_form(y, a, b, 3, proxy, permutations)
        assert found.average.p_value == pytest.approx(share(0.0))
        assert share(found.average.estimate) == 1.0
        step = 1e-5 * (found.average.high - found.average.low)
        assert share(found.average.low + step) > 0.1 >= share(found.average.low - step)
        assert share(found.average.high - step) > 0.1 >= share(found.average.high + step)
        for at, row in enumerate(found.periods.itertuples()):
            some = np.r_[0:21, 21 + at]
            of_year = closed_form(y[some], a[some], b[some], 1, proxy, "moving_block")
            assert row.p_value == pytest.approx(of_year(0.0))
            assert of_year(row.att) == 1.0
            assert of_year(row.low + step) > 0.1 >= of_year(row.low - step)
            assert of_year(row.high - step) > 0.1 >= of_year(row.high + step)


def test_the_constrained_lasso_is_a_clipped_slope_with_one_comparison_unit() -> None:
    slopes = []
    for seed, pull in enumerate((-2.0, -0.4, 0.3, 2.0)):
        rng = np.random.default_rng(seed)
        a = rng.normal(size=24)
        y = 3 + pull * a + rng.normal(size=24)
        found = conformal(
            *study({"y": y, "a": a}, treated=["y"], n_on=2), outcome="y", proxy="constrained_lasso"
        )
        centred = a - a.mean()
        slopes.append(np.clip(centred @ y / (centred @ centred), -1, 1))
        residuals = y - y.mean() - slopes[-1] * centred
        assert found.p_value == pytest.approx(brute(residuals, 2, "moving_block", signed=False))
    assert min(slopes) == -1
    assert max(slopes) == 1
    assert any(abs(slope) < 0.9 for slope in slopes)


def test_proposition_99_against_another_solver(reference: Path) -> None:
    # 38 comparison states, 31 years: weights by scipy's non-negative least squares with a heavy row for their sum.
    data = pd.read_csv(reference / "california_prop99.csv", sep=";")
    panel = build_panel(data, unit="State", period="Year", outcome=["PacksPerCapita"])
    design = make_design(panel.units, [(1989, 2000, ["California"])])
    found = conformal(panel, design, outcome="PacksPerCapita", alpha=0.1)
    values = panel.values["PacksPerCapita"]
    at = panel.units.index("California")
    y, rest = values[at], np.delete(values, at, axis=0).T
    heavy = 1e5
    weights, _ = optimize.nnls(np.vstack([rest, np.full(38, heavy)]), np.append(y, heavy))
    residuals = y - rest @ weights
    assert found.p_value == pytest.approx(brute(residuals, 12, "moving_block", signed=False))
    assert found.average.p_value == pytest.approx(brute(residuals, 12, "moving_block", signed=True))
    # the years by themselves are those of synthetic control (tests/test_synthetic_control.py): -19.51363 on average
    assert found.periods["att"].mean() == pytest.approx(-19.51363, abs=1e-5)
    assert found.average.low < found.average.estimate < found.average.high < 0


# Simulation


@pytest.mark.parametrize("n_on", [1, 3])
def test_p_values_are_uniform_when_nothing_was_done(n_on: int) -> None:
    found = [
        conformal(*drawn(900 + seed, n_on=n_on), outcome="y", proxy="difference_in_differences", alpha=0.1)
        for seed in range(200)
    ]
    for p_values in ([one.p_value for one in found], [one.average.p_value for one in found]):
        # 24 shifts: a p-value of at most 2 / 24 has that probability, of at most 12 / 24 one half
        for level in (2 / 24, 12 / 24):
            rate = np.mean(np.array(p_values) <= level + 1e-9)
            assert abs(rate - level) < 3.5 * math.sqrt(level * (1 - level) / 200)
    covered = [one.average.low <= 0 <= one.average.high for one in found]
    assert np.mean(covered) > 0.9 - 3.5 * math.sqrt(0.09 / 200)


def test_random_sets_agree_with_all_sets() -> None:
    both = drawn(3, n_on=4, effect=0.8)
    exact = conformal(*both, outcome="y", proxy="difference_in_differences", permutations="iid", draws=20_000)
    assert (exact.average.n_sets, exact.average.exact) == (math.comb(24, 4), True)
    some = conformal(*both, outcome="y", proxy="difference_in_differences", permutations="iid", draws=5_000)
    assert (some.average.n_sets, some.average.exact) == (5_001, False)
    for one, other in (
        (some.p_value, exact.p_value),
        (some.average.p_value, exact.average.p_value),
    ):
        assert abs(one - other) < 4 * math.sqrt(max(other * (1 - other), 1e-3) / 5_000)
    again = conformal(*both, outcome="y", proxy="difference_in_differences", permutations="iid", draws=5_000)
    assert again.average.p_value == some.average.p_value


# Invariance


@pytest.mark.parametrize("proxy", PROXIES)
def test_nothing_hangs_on_order_or_scale(proxy: str) -> None:
    panel, design = drawn(7, n=5, effect=1.0)
    found = conformal(panel, design, outcome="y", proxy=proxy)
    order = [3, 0, 4, 2, 1]
    turned = replace(
        panel,
        units=tuple(panel.units[at] for at in order),
        values={"y": 20 - 3 * panel.values["y"][order]},
        reasons={"y": panel.reasons["y"][order]},
    )
    other = conformal(turned, design, outcome="y", proxy=proxy)
    assert (other.p_value, other.average.p_value) == (found.p_value, found.average.p_value)
    assert other.average.estimate == pytest.approx(-3 * found.average.estimate, abs=1e-6)
    assert (other.average.low, other.average.high) == pytest.approx(
        (-3 * found.average.high, -3 * found.average.low), abs=1e-4
    )
    assert list(other.periods["p_value"]) == list(found.periods["p_value"])


def test_the_mean_of_the_treated_is_compared_and_years_after_leaving_are_not_used() -> None:
    rng = np.random.default_rng(4)
    values = rng.normal(size=(5, 26))
    names = list("abcde")
    frame = pd.DataFrame(
        [(name, at, values[row, at]) for row, name in enumerate(names) for at in range(26)],
        columns=["u", "t", "y"],
    )
    panel = build_panel(frame, unit="u", period="t", outcome=["y"])
    found = conformal(
        panel, make_design(names, [(20, 22, ["a", "b"])]), outcome="y", proxy="difference_in_differences"
    )
    gap = (values[:2].mean(axis=0) - values[2:].mean(axis=0))[:23]
    assert found.p_value == brute(gap - gap.mean(), 3, "moving_block", signed=False)
    assert list(found.periods["period"]) == [20, 21, 22]
    assert (found.treated, found.comparison) == (("a", "b"), ("c", "d", "e"))
    alone = conformal(
        panel,
        make_design(names, [(20, 22, ["a", "b"])]),
        outcome="y",
        unit="b",
        proxy="difference_in_differences",
    )
    assert alone.treated == ("b",)


# What it refuses, and what it cannot say


def test_too_few_years_are_refused_with_the_way_out() -> None:
    short = drawn(1, n_periods=12, n_on=3)
    with pytest.raises(DesignError, match=r"years are too few[\s\S]*0\.0833[\s\S]*permutations='iid'"):
        conformal(*short, outcome="y")
    found = conformal(*short, outcome="y", permutations="iid")  # 220 sets of three years
    assert found.average.smallest_p == 1 / 220
    assert found.average.identifiable
    assert found.periods["low"].isna().all()
    assert set(found.periods["note"]) == {"9 years before entry, 19 are needed"}
    with pytest.raises(DesignError, match="years are too few"):
        conformal(*drawn(1, n_periods=6, n_on=1), outcome="y", permutations="iid")


def test_equal_halves_have_a_twin_where_residuals_sum_to_zero() -> None:
    # 3 of 6 years: 20 sets, but the other half has the same absolute sum, so no p-value is below 2 / 20.
    half = drawn(2, n_periods=6, n_on=3, effect=50.0)
    found = conformal(*half, outcome="y", proxy="difference_in_differences", permutations="iid", alpha=0.1)
    assert found.average.smallest_p == found.average.p_value == 2 / 20


def test_a_comparison_that_fits_every_year_rejects_nothing() -> None:
    # 30 comparison units around the treated one, 8 years: any course within reach is met without a residual.
    rng = np.random.default_rng(5)
    rest = rng.normal(size=(30, 8)) * 5
    series = {f"c{at}": row for at, row in enumerate(rest)} | {"y": rest.mean(axis=0) + rng.normal(size=8)}
    found = conformal(*study(series, treated=["y"], n_on=3), outcome="y", permutations="iid")
    assert (found.p_value, found.average.p_value) == (1.0, 1.0)
    assert found.average.estimate == pytest.approx(found.periods["att"].mean())


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"proxy": "synthetic_did"}, "Unknown proxy"),
        ({"permutations": "block"}, "Unknown permutations"),
        ({"alpha": 0.0}, "alpha is out of range"),
        ({"draws": 0}, "nothing to draw"),
    ],
)
def test_bad_options_are_refused(options: dict[str, object], match: str) -> None:
    with pytest.raises(DesignError, match=match):
        conformal(*drawn(0), outcome="y", **options)


def test_several_paths_and_units_that_are_the_same_are_refused() -> None:
    panel, _ = drawn(0, n=5)
    two = make_design(panel.units, [(2020, 2023, ["u0"]), (2022, 2023, ["u1"])])
    with pytest.raises(DesignError, match="Several paths"):
        conformal(panel, two, outcome="y")
    assert conformal(panel, two, outcome="y", unit="u1").n_on == 2
    same = replace(panel, values={"y": np.tile(panel.values["y"][0], (5, 1))})
    with pytest.raises(DesignError, match="do not differ in any year"):
        conformal(same, two, outcome="y", unit="u1")
