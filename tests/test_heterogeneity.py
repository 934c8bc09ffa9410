"""Do districts differ, and does effect go with dose: against brute force, theory and calculations by hand."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2, norm

from mekeval import Study, build_panel, group_time_att, infer, make_design
from mekeval.design import study_design
from mekeval.errors import DesignError
from mekeval.estimate import Effects, unit_contrast
from mekeval.evaluation import ALL
from mekeval.figures import About
from mekeval.figures.doses import plot_doses
from mekeval.findings import conclude
from mekeval.indicators import clean_indicators
from mekeval.report.heterogeneity import heterogeneity_parts
from mekeval.sensitivity.heterogeneity import (
    DoseResponse,
    UnitEffects,
    dose_response,
    effect_spread,
    rescaled_by_share,
    unit_effects,
)
from mekeval.text import LANGUAGES, Texts

FIVE = {"t0": 1.0, "t1": 2.0, "t2": 4.0, "t3": 7.0, "t4": 11.0}


def effects_of(changes: Mapping[str, float], treated: Sequence[str]) -> Effects:
    """Two periods, so that the change of each unit is what is given."""
    frame = pd.DataFrame({"u": [*changes] * 2, "t": [1] * len(changes) + [2] * len(changes)})
    frame["y"] = [0.0] * len(changes) + list(changes.values())
    panel = build_panel(frame, unit="u", period="t", outcome=["y"])
    return group_time_att(panel, make_design(list(changes), [(2, 2, list(treated))]), outcome="y")


def city(own: Sequence[float], rest: Sequence[float]) -> Effects:
    changes = {f"t{at}": value for at, value in enumerate(own)} | {
        f"c{at:03}": value for at, value in enumerate(rest)
    }
    return effects_of(changes, [f"t{at}" for at in range(len(own))])


def side_by_side(own: Sequence[float], rest: Sequence[float]) -> UnitEffects:
    return unit_effects(city(own, rest))


@pytest.fixture(scope="module")
def noise() -> np.ndarray:
    return np.random.default_rng(5).normal(size=31)


def slope_of(doses: Sequence[float], estimates: Sequence[float]) -> float:
    return float(np.polyfit(doses, estimates, 1)[0])


# --- side by side


def test_estimates_and_noise_by_hand() -> None:
    found = side_by_side([5.0, 7.0], [0.0, 1.0, 5.0])
    assert found.units == ("t0", "t1")
    assert found.estimates.tolist() == [3.0, 5.0]  # less the mean of 0, 1 and 5
    np.testing.assert_allclose(found.noise, np.array([[-2, -2], [-1, -1], [3, 3]]), atol=1e-12)
    np.testing.assert_allclose(found.noise_sd, math.sqrt((4 + 1 + 9) / 2))
    assert not found.enough_comparison


def test_each_unit_has_its_own_window() -> None:
    # a is treated in 2 and 3, b in 3 alone; base 1 for a, the mean of 1 and 2 for b
    values = {"a": [0, 4, 8], "b": [0, 2, 7], "c": [0, 2, 0], "d": [0, 0, 2]}
    frame = pd.DataFrame([(u, t + 1, float(y)) for u, ys in values.items() for t, y in enumerate(ys)])
    frame.columns = ["u", "t", "y"]
    panel = build_panel(frame, unit="u", period="t", outcome=["y"])
    design = make_design("abcd", [(2, 3, ["a"]), (3, 3, ["b"])])
    found = unit_effects(group_time_att(panel, design, outcome="y"))
    # a: (4 + 8) / 2 = 6; c: (2 + 0) / 2 = 1; d: (0 + 2) / 2 = 1. b: 7 - 1 = 6; c: 0 - 1 = -1; d: 2 - 0 = 2
    np.testing.assert_allclose(found.estimates, [6 - 1, 6 - 0.5])
    np.testing.assert_allclose(found.noise, [[0.0, -1.5], [0.0, 1.5]], atol=1e-12)


def test_a_unit_without_a_full_year_is_named() -> None:
    frame = pd.DataFrame(
        {"u": list("abcd") * 3, "t": [1] * 4 + [2] * 4 + [3] * 4, "y": [*np.arange(12.0) ** 2]}
    )
    panel = build_panel(frame, unit="u", period="t", outcome=["y"])
    design = make_design("abcd", [(2, 3, ["a"]), (3, 3, ["b"])], partial_years=1)
    effects = group_time_att(panel, design, outcome="y")
    found = unit_effects(effects)
    assert (found.units, found.left_out) == (("a",), ("b",))
    late = make_design("abcd", [(3, 3, ["a"])], partial_years=1)
    with pytest.raises(DesignError, match="full year"):
        unit_effects(group_time_att(panel, late, outcome="y"))


def test_populations_give_the_estimates_of_the_scaled_test(noise: np.ndarray) -> None:
    effects = city([1.0, 3.0, 2.0], noise)
    persons = {unit: 500.0 * (at + 2) for at, unit in enumerate(effects.units)}
    found = unit_effects(effects, population=persons)
    for at, unit in enumerate(found.units):
        tested = infer(unit_contrast(effects, unit), method="scaled", population=persons)
        assert found.estimates[at] == pytest.approx(tested.estimate, rel=1e-12)
    in_order = unit_effects(effects, population=list(persons.values()))
    np.testing.assert_array_equal(in_order.noise, found.noise)
    # The same residuals at the size of each unit: columns differ by the ratio of the standard deviations alone.
    ratio = found.noise[:, 1] / found.noise[:, 0]
    np.testing.assert_allclose(ratio, found.noise_sd[1] / found.noise_sd[0])


def test_intervals_are_those_of_the_largest_changes(noise: np.ndarray) -> None:
    found = side_by_side([1.0, 2.0], noise)
    # floor(0.05 * 32) = 1: the largest of 31 sizes
    reach = np.abs(noise - noise.mean()).max()
    for ends, estimate in zip(found.intervals(), found.estimates, strict=True):
        assert ends == pytest.approx((estimate - reach, estimate + reach))
    assert side_by_side([1.0, 2.0], noise[:18]).intervals() == (None, None)  # 1 of 19 is more than 5 %


# --- do they differ?


def sets_of(rest: Sequence[float], k: int) -> list[np.ndarray]:
    """Every ordered set, over the standard deviation of the units outside it, times that of all."""
    found = []
    for chosen in itertools.permutations(range(len(rest)), k):
        outside = [one for at, one in enumerate(rest) if at not in chosen]
        values = np.array([rest[at] for at in chosen]) - np.mean(rest)
        found.append(values * np.std(rest, ddof=1) / np.std(outside, ddof=1))
    return found


def test_spread_against_every_set(noise: np.ndarray) -> None:
    own, rest = [0.0, 1.5, 2.0, 3.5], noise[:8]
    found = effect_spread(side_by_side(own, rest))
    sets = [np.var(one, ddof=1) for one in sets_of(rest, 4)]
    expected = (1 + sum(one >= np.var(own, ddof=1) - 1e-12 for one in sets)) / (len(sets) + 1)
    assert (found.exact, found.n_sets) == (True, 8 * 7 * 6 * 5 + 1)
    assert found.p_value == pytest.approx(max(expected, 1 / 71))
    assert found.smallest_p == 1 / 71  # 70 different sets of 4 of 8
    assert found.noise_sd == pytest.approx(np.std(rest, ddof=1))
    assert found.sd == pytest.approx(np.std(own, ddof=1))


@pytest.mark.parametrize("observed", [0.8, 1.6, 3.0])
def test_limits_and_power_are_those_of_normal_theory(observed: float) -> None:
    rest = norm.ppf((np.arange(400) + 0.5) / 400)
    pattern = np.array([-1.0, -0.5, 0.0, 0.5, 1.0])
    own = observed * pattern / pattern.std(ddof=1)
    found = effect_spread(side_by_side(own, rest), draws=19_999)
    variance, ratio = observed**2, 4 * observed**2
    assert found.p_value == pytest.approx(chi2.sf(ratio, 4), abs=0.012)
    assert found.sd_high == pytest.approx(math.sqrt(ratio / chi2.ppf(0.05, 4) - 1), rel=0.05)
    low = ratio / chi2.ppf(0.95, 4) - 1
    # Near zero the limit moves fast: 1 % of the variance ratio moves it by 0.05.
    assert found.sd_low == pytest.approx(math.sqrt(low) if low > 0 else 0.0, abs=0.06)
    expected = math.sqrt(chi2.ppf(0.95, 4) / chi2.ppf(0.2, 4) - 1)
    assert found.minimum_detectable_sd == pytest.approx(expected, rel=0.05)
    assert round(expected, 1) == 2.2  # what the docstring says
    assert found.verdict == ("difference" if variance > chi2.ppf(0.95, 4) / 4 else "no_detectable_difference")


def test_estimates_closer_than_noise_lets_them_have_no_upper_limit(noise: np.ndarray) -> None:
    found = effect_spread(side_by_side([1.0, 1.001, 1.002, 1.0, 1.001], noise))
    assert found.sd_high is None
    assert found.sd_low == 0.0
    assert found.verdict == "no_detectable_difference"


def test_shrunken_estimates_are_james_and_steins_where_variances_are_equal(noise: np.ndarray) -> None:
    own = [0.0, 6.0, 3.0, 9.0, 2.0]
    units = side_by_side(own, noise)
    found = effect_spread(units).shrunken
    assert found is not None
    v, mean = noise.var(ddof=1), units.estimates.mean()
    total = np.sum((units.estimates - mean) ** 2)
    np.testing.assert_allclose(found, mean + (1 - (5 - 3) * v / total) * (units.estimates - mean))
    # Closer than noise: A = 0 and the factor is (k - 3) / (k - 1).
    near = side_by_side([0.0, 0.1, 0.0, 0.1, 0.2], noise)
    near_mean = near.estimates.mean()
    pulled = effect_spread(near).shrunken
    np.testing.assert_allclose(pulled, near_mean + 0.5 * (near.estimates - near_mean))
    assert effect_spread(side_by_side(own[:3], noise)).shrunken is None


def test_a_common_effect_changes_no_spread(noise: np.ndarray) -> None:
    one = effect_spread(side_by_side([0.0, 1.0, 3.0], noise))
    two = effect_spread(side_by_side([100.0, 101.0, 103.0], noise))
    assert (one.p_value, one.sd) == pytest.approx((two.p_value, two.sd))
    assert two.sd_high == pytest.approx(one.sd_high)


def test_what_cannot_be_said_of_a_spread(noise: np.ndarray) -> None:
    one = effect_spread(side_by_side([3.0], noise))
    assert (one.reason, one.verdict, one.sd, one.p_value) == ("few_units", "not_identifiable", None, None)
    few = effect_spread(side_by_side([1.0, 2.0, 9.0], noise[:5]))
    assert (few.reason, few.p_value) == ("small_comparison", None)
    strict = effect_spread(side_by_side([1.0, 2.0], noise[:6]), alpha=0.05)  # 15 sets: at best 1 / 16
    assert (strict.reason, strict.smallest_p, strict.verdict) == (
        "few_arrangements",
        1 / 16,
        "not_identifiable",
    )
    assert strict.sd_high is strict.minimum_detectable_sd is None
    with pytest.raises(DesignError, match="alpha"):
        effect_spread(side_by_side([1.0, 2.0], noise), alpha=1.5)


# --- does effect go with dose?


def test_permutation_against_all_120_arrangements(noise: np.ndarray) -> None:
    own = [0.3, 2.0, 1.0, 4.0, 3.5]
    found = dose_response(side_by_side(own, noise), FIVE)
    doses = list(FIVE.values())
    slopes = np.array([slope_of(one, own) for one in itertools.permutations(doses)])
    assert found.slope == pytest.approx(slope_of(doses, own), rel=1e-9)
    assert found.p_permutation == pytest.approx(np.mean(np.abs(slopes) >= abs(slopes[0]) - 1e-12))
    assert (found.n_arrangements, found.smallest_p) == (120, 1 / 120)

    def p_at(slope: float) -> float:
        left = np.array(own) - slope * np.array(doses)
        moved = np.array([slope_of(one, left.tolist()) for one in itertools.permutations(doses)])
        return float(np.mean(np.abs(moved) >= abs(moved[0]) - 1e-12))

    assert found.permutation_low is not None
    assert found.permutation_high is not None
    width = found.permutation_high - found.permutation_low
    for inside in (found.permutation_low + 1e-6 * width, found.permutation_high - 1e-6 * width, found.slope):
        assert inside is not None
        assert p_at(inside) > 0.05
    for outside in (found.permutation_low - 1e-6 * width, found.permutation_high + 1e-6 * width):
        assert p_at(outside) <= 0.05


def test_noise_test_against_every_set(noise: np.ndarray) -> None:
    own, rest = [0.0, 0.5, 2.5], noise[:7]
    found = dose_response(side_by_side(own, rest), {"t0": 1.0, "t1": 2.0, "t2": 4.0})
    sets = sets_of(rest, 3)
    slopes = np.array([slope_of([1, 2, 4], one.tolist()) for one in sets])
    as_large = np.sum(np.abs(slopes) >= abs(slope_of([1, 2, 4], own)) - 1e-12)
    assert found.n_sets == 7 * 6 * 5 + 1
    assert found.p_noise == pytest.approx((1 + as_large) / 211)
    # floor(0.05 * 211) = 10: the tenth largest size is the reach of the interval
    reach = np.sort(np.abs(slopes))[-10]
    assert found.slope is not None
    assert (found.noise_low, found.noise_high) == pytest.approx((found.slope - reach, found.slope + reach))
    squares = [np.corrcoef([1, 2, 4], one)[0, 1] ** 2 for one in sets]
    assert found.r_squared_by_chance == pytest.approx(np.quantile(squares, 0.95))
    assert (found.verdict, found.reason) == ("not_identifiable", "few_arrangements")  # 6 arrangements at most


@pytest.mark.parametrize(
    ("doses", "arrangements", "smallest"),
    [
        ((1, 2, 4, 7, 11), 120, 1 / 120),
        ((1, 2, 3, 4, 5), 120, 2 / 120),  # mirrored about their mean they are the same
        ((1, 2, 3, 4), 24, 2 / 24),
        ((1, 2, 4, 7), 24, 1 / 24),
        ((7, 7, 7, 7, 4, 3), 30, 1 / 30),  # 6! / 4!
        ((0, 1, 0, 1), 6, 2 / 6),
        ((-5, -1, 0, 2, 20), 120, 1 / 120),  # doses may be below zero
        ((0.1 + 0.2, 0.3, 0.3, 1.0), 4, 1 / 4),  # equal but for rounding
    ],
)
def test_the_smallest_p_that_arrangements_can_give(
    doses: tuple[float, ...], arrangements: int, smallest: float, noise: np.ndarray
) -> None:
    # Estimates that are the doses: no arrangement has a larger slope, so the p-value is the smallest there is.
    units = side_by_side([float(one) for one in doses], 0.001 * noise)
    found = dose_response(units, dict(zip(units.units, map(float, doses), strict=True)))
    assert (found.n_arrangements, found.smallest_p) == (arrangements, pytest.approx(smallest))
    assert found.p_permutation == pytest.approx(smallest)
    assert found.identifiable == (smallest <= 0.05)
    assert found.verdict == ("gradient" if smallest <= 0.05 else "not_identifiable")
    assert found.reason == ("" if smallest <= 0.05 else "few_arrangements")


def test_line_leverage_and_leave_one_out_by_hand(noise: np.ndarray) -> None:
    # doses 0, 1, 2, 5: mean 2, centred -2, -1, 0, 3, squares 14. Estimates 0, 2, 1, 9 (less the mean of the rest)
    units = side_by_side([0.0, 2.0, 1.0, 9.0], noise - noise.mean())
    found = dose_response(units, {"t0": 0.0, "t1": 1.0, "t2": 2.0, "t3": 5.0})
    assert found.slope == pytest.approx((-2 * 0 - 1 * 2 + 0 + 3 * 9) / 14)
    assert found.intercept == pytest.approx(3 - 2 * 25 / 14)
    np.testing.assert_allclose(found.leverage, [0.25 + 4 / 14, 0.25 + 1 / 14, 0.25, 0.25 + 9 / 14])
    assert sum(found.leverage) == pytest.approx(2)
    # without t3: doses -1, 0, 1 about their mean, slope (1 - 0) / 2
    assert found.leave_one_out[3] == pytest.approx(0.5)
    assert found.carried_by == "t3"
    # sum of squares of the estimates: 9 + 1 + 4 + 36 = 50; of the line: (25 / 14)^2 * 14
    assert found.r_squared == pytest.approx(25**2 / 14 / 50)


def test_a_dose_that_one_unit_alone_has(noise: np.ndarray) -> None:
    units = side_by_side([0.0, 1.0, 2.0, 5.0], noise)
    found = dose_response(units, {"t0": 2.0, "t1": 2.0, "t2": 2.0, "t3": 4.0})
    assert found.leave_one_out[3] is None
    assert (found.carried_by, found.n_distinct, found.n_arrangements) == ("t3", 2, 4)


def both_reject(slope: float, sets: np.ndarray, doses: np.ndarray, critical: float) -> float:
    """Share of sets in which every other arrangement and the noise both reject, by brute force."""
    centred = doses - doses.mean()
    orders = np.array(list(itertools.permutations(range(len(doses)))))
    moved = (sets + slope * doses) @ (centred[orders] / (centred @ centred)).T
    size = np.abs(moved)
    p = np.mean(size >= size[:, :1] - 1e-12, axis=1)
    return float(np.mean((p <= 0.05) & (size[:, 0] >= critical - 1e-12)))


def test_the_minimum_detectable_slope_has_a_power_of_80_per_cent(noise: np.ndarray) -> None:
    doses = np.array([1.0, 2.0, 4.0, 7.0])
    rest = noise[:8]
    found = dose_response(side_by_side([0.0] * 4, rest), {f"t{at}": one for at, one in enumerate(doses)})
    sets = np.array(sets_of(rest, 4))
    slopes = np.sort(np.abs(sets @ ((doses - doses.mean()) / np.sum((doses - doses.mean()) ** 2))))
    critical = slopes[-math.floor(0.05 * (len(sets) + 1))]
    smallest = found.minimum_detectable_slope
    assert smallest is not None
    power = min(both_reject(side * smallest, sets, doses, critical) for side in (-1, 1))
    assert power == pytest.approx(0.8, abs=0.04)  # 500 of the 1,680 sets stand for all
    assert both_reject(0.7 * smallest, sets, doses, critical) < 0.75
    assert found.minimum_detectable_difference == pytest.approx(6 * smallest)


def test_doses_scale_and_shift(noise: np.ndarray) -> None:
    units = side_by_side([0.3, 2.0, 1.0, 4.0, 3.5], noise)
    one = dose_response(units, FIVE)
    ten = dose_response(units, {unit: 10 * dose for unit, dose in FIVE.items()})
    moved = dose_response(units, {unit: dose - 100 for unit, dose in FIVE.items()})
    for name in ("slope", "low", "high", "minimum_detectable_slope"):
        assert getattr(ten, name) == pytest.approx(getattr(one, name) / 10)
        assert getattr(moved, name) == pytest.approx(getattr(one, name))
    for name in ("p_permutation", "p_noise", "r_squared", "minimum_detectable_difference"):
        assert getattr(ten, name) == pytest.approx(getattr(one, name))
    back = dose_response(units, {unit: -dose for unit, dose in FIVE.items()})
    assert (back.slope, back.low, back.high) == pytest.approx((-one.slope, -one.high, -one.low))


def test_the_order_of_units_is_of_no_meaning(noise: np.ndarray) -> None:
    changes = {f"c{at:03}": float(one) for at, one in enumerate(noise)}
    changes |= dict(zip(FIVE, [0.3, 2.0, 1.0, 4.0, 3.5], strict=True))
    names = list(changes)
    np.random.default_rng(3).shuffle(names)
    results = []
    for order in (list(changes), names):
        units = unit_effects(effects_of({unit: changes[unit] for unit in order}, [*FIVE][::-1]))
        results.append((dose_response(units, FIVE), effect_spread(units)))
    (line, spread), (again, spread_again) = results
    assert line.units == again.units
    for name in ("slope", "low", "high", "p_permutation", "p_noise", "minimum_detectable_slope"):
        assert getattr(line, name) == pytest.approx(getattr(again, name), rel=1e-12)
    assert spread.p_value == spread_again.p_value
    assert spread.sd_high == pytest.approx(spread_again.sd_high, rel=1e-9)


def test_interval_and_verdict_agree(noise: np.ndarray) -> None:
    rng = np.random.default_rng(11)
    seen = set()
    for slope in (0.0, 0.3, 0.6, 1.0):
        for _ in range(6):
            own = rng.normal(size=5) + slope * np.array(list(FIVE.values()))
            found = dose_response(side_by_side(own.tolist(), noise), FIVE, draws=999)
            assert found.low is not None
            assert found.high is not None
            assert (found.verdict == "gradient") == (not found.low <= 0 <= found.high)
            seen.add(found.verdict)
    assert seen == {"gradient", "no_detectable_gradient"}


def test_many_units_are_drawn_and_repeat(noise: np.ndarray) -> None:
    own = np.arange(8.0) + noise[:8]
    units = side_by_side(own.tolist(), noise)
    doses = {f"t{at}": float(at**2) for at in range(8)}  # 40,320 arrangements
    one, two = (dose_response(units, doses, draws=799, seed=4) for _ in range(2))
    assert one.n_arrangements == 800
    assert one.p_permutation == two.p_permutation
    assert one.verdict == "gradient"


def test_what_cannot_be_said_of_a_dose(noise: np.ndarray) -> None:
    same = dose_response(side_by_side([1.0, 2.0, 3.0], noise), dict.fromkeys(("t0", "t1", "t2"), 40.0))
    assert (same.reason, same.verdict, same.slope, same.p_value) == (
        "equal_doses",
        "not_identifiable",
        None,
        None,
    )
    assert same.carried_by is same.minimum_detectable_difference is None
    zero = dose_response(side_by_side([1.0, 2.0, 3.0], noise), dict.fromkeys(("t0", "t1", "t2"), 0.0))
    assert zero.reason == "equal_doses"
    assert dose_response(side_by_side([1.0], noise), {"t0": 3.0}).reason == "few_units"
    assert dose_response(side_by_side([1.0, 2.0], noise), {"t0": 3.0, "t1": 4.0}).reason == "few_units"
    small = dose_response(side_by_side([0.3, 2.0, 1.0, 4.0, 3.5], noise[:9]), FIVE)
    assert (small.reason, small.p_noise, small.low) == ("small_comparison", None, None)
    assert "never a verdict" in same.caveat


def test_all_faults_of_doses_at_once(noise: np.ndarray) -> None:
    wrong: dict[str, Any] = {"t0": math.nan, "t1": None, "t2": "7", "t4": True, "other": 3.0}
    with pytest.raises(DesignError) as caught:
        dose_response(side_by_side([0.3, 2.0, 1.0, 4.0, 3.5], noise), wrong)
    assert {fault.where for fault in caught.value.faults} == {"t0", "t1", "t2", "t3", "t4"}
    assert [fault.what for fault in caught.value.faults if fault.where == "t3"] == ["A unit has no dose."]
    with pytest.raises(DesignError, match="finite"):
        dose_response(side_by_side([1.0, 2.0, 3.0], noise), {"t0": 1.0, "t1": 2.0, "t2": math.inf})
    with pytest.raises(DesignError, match="seed"):
        dose_response(side_by_side([1.0, 2.0, 3.0], noise), {"t0": 1.0, "t1": 2.0, "t2": 3.0}, seed=-1)


# --- the share of an area that is the district


def test_rescaled_by_hand(noise: np.ndarray) -> None:
    effects = city([2.0, 3.0], noise)
    tested = {unit: infer(unit_contrast(effects, unit)) for unit in ("t0", "t1")}
    table = rescaled_by_share(tested, {"t0": 0.25, "t1": None, "else": 9.0}).set_index("unit")
    assert table.loc["t0", "rescaled"] == pytest.approx(4 * tested["t0"].estimate)
    assert table.loc["t0", "rescaled_low"] == pytest.approx(4 * tested["t0"].low)
    assert table.loc["t0", "rescaled_high"] == pytest.approx(4 * tested["t0"].high)
    assert table.loc["t1", ["share", "rescaled", "rescaled_low"]].isna().all()
    with pytest.raises(DesignError) as caught:
        rescaled_by_share(tested, {"t0": 0.0})
    assert len(caught.value.faults) == 2
    unbounded = replace(tested["t0"], low=None)
    assert rescaled_by_share({"x": unbounded}, {"x": 1.0})["rescaled_low"].isna().all()


# --- in pictures and words


def line_of(noise: np.ndarray, doses: Mapping[str, float]) -> DoseResponse:
    return dose_response(side_by_side([0.3, 2.0, 1.0, 4.0, 3.5], noise), doses)


@pytest.mark.parametrize("language", LANGUAGES)
def test_picture_says_what_it_holds(language: str, noise: np.ndarray) -> None:
    texts = Texts(language)
    about = About(outcome="Rate", unit="percent", names={"t0": "Ala", "t3": "Yli"})
    picture = plot_doses(line_of(noise, FIVE), dose="EUR", texts=texts, about=about)
    assert "EUR" in picture.headline
    assert "Ala" in picture.alt
    assert not picture.alt.endswith("..")
    assert len(picture.data.rows) == 5
    assert [row[1] for row in picture.data.rows] == ["1", "2", "4", "7", "11"]


def test_picture_of_equal_doses_side_by_side_and_of_none(noise: np.ndarray) -> None:
    grouped = line_of(noise, {"t0": 7.0, "t1": 7.0, "t2": 7.0, "t3": 7.0, "t4": 3.0})
    axes = plot_doses(grouped).figure.axes[0]
    assert "t3\nt1\nt2\nt0" in [text.get_text() for text in axes.texts]  # the highest first
    (points,) = (line for line in axes.lines if line.get_marker() == "o")
    assert len(set(np.round(points.get_xdata(), 6))) == 5
    assert plot_doses(grouped).svg() == plot_doses(grouped).svg()
    open_points = dose_response(side_by_side([0.3, 2.0, 1.0, 4.0, 3.5], noise[:12]), FIVE)
    assert "Open points" in plot_doses(open_points).subtitle
    with pytest.raises(DesignError, match="no line"):
        plot_doses(line_of(noise, dict.fromkeys(FIVE, 1.0)))


@pytest.fixture(scope="module")
def evaluation(example: Study) -> Any:
    """What the report needs of an evaluation, without its checks, which take most of the time."""
    indicators = clean_indicators(example)
    panel = build_panel(indicators.table, units=example.areas.units, last_period=2025)
    design = study_design(example, last_period=2025)
    outcomes = example.plan.primary
    effects = {outcome: group_time_att(panel, design, outcome=outcome) for outcome in outcomes}
    findings = {
        (outcome, subject): conclude(
            None if subject == ALL else infer(unit_contrast(effects[outcome], subject)),
            (),
            outcome=outcome,
            subject=subject,
            higher_is="worse",
            problem=("data", "incomplete") if subject == ALL else None,
        )
        for outcome in outcomes
        for subject in (ALL, *design.treated)
    }
    return SimpleNamespace(
        study=example, year=2025, panel=panel, design=design, effects=effects, findings=findings
    )


@pytest.mark.parametrize("language", LANGUAGES)
def test_report_says_what_could_have_been_seen(evaluation: Any, language: str) -> None:
    texts = Texts(language)
    parts = heterogeneity_parts(evaluation, texts)
    said = " ".join(
        re.sub("<[^>]+>", "", one) if isinstance(one, str) else one._repr_html_() for one in parts
    )
    assert texts("heterogeneity.doses.heading") in said
    assert texts("heterogeneity.doses.caveat")[:40] in said
    assert ".." not in re.sub(r"<img[^>]*>", "", said)
    assert "nan" not in re.sub("<[^>]+>", "", said).lower().split()
    # The areas of the first wave that stayed got 341 EUR each: one dose, and so 6! / 4! arrangements for six areas.
    tables = [one for one in parts if hasattr(one, "rows")]
    money = sorted(row[1] for row in tables[0].rows)
    assert len(set(money)) == 3
    assert len(tables) == len(evaluation.study.plan.primary)
    pictures = [one for one in parts if hasattr(one, "figure")]
    assert len(pictures) == len(evaluation.study.plan.primary)


def test_report_is_silent_on_one_district_and_says_why_money_says_nothing(
    evaluation: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = Texts("en")
    none = SimpleNamespace(**{**vars(evaluation), "effects": {}})
    assert heterogeneity_parts(none, texts) == []
    treated = evaluation.design.treated
    same = pd.DataFrame(
        {"area": list(treated), "year": 2023, "eur_per_inhabitant": 40.0, "basis": "split_by_population"}
    )
    monkeypatch.setattr("mekeval.report.heterogeneity.money_by_district", lambda _: same)
    said = " ".join(one for one in heterogeneity_parts(evaluation, texts) if isinstance(one, str))
    assert "the same in all areas (40) and nothing can be compared" in said
    assert "EUR per inhabitant in all: the effects" not in said
    unknown = same.assign(
        eur_per_inhabitant=pd.array([None] * len(same), dtype="Float64"), basis="not_recorded"
    )
    monkeypatch.setattr("mekeval.report.heterogeneity.money_by_district", lambda _: unknown)
    said = " ".join(one for one in heterogeneity_parts(evaluation, texts) if isinstance(one, str))
    assert texts("heterogeneity.doses.money_unknown") in said


def test_money_that_is_spent_after_the_last_effects_is_no_dose(
    evaluation: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """30 EUR in 2023 and 40 in 2025; where effects end in 2024 the dose is 30, and the years are those until then."""
    treated = evaluation.design.treated
    money = pd.DataFrame(
        {"area": [*treated] * 2, "year": [2023] * len(treated) + [2025] * len(treated), "basis": "measures"}
    ).assign(eur_per_inhabitant=[30.0] * len(treated) + [40.0] * len(treated))
    monkeypatch.setattr("mekeval.report.heterogeneity.money_by_district", lambda _: money)

    def shown(effects: Any) -> list[tuple[str, str]]:
        parts = heterogeneity_parts(SimpleNamespace(**{**vars(evaluation), "effects": effects}), Texts("en"))
        rows = next(one for one in parts if hasattr(one, "rows")).rows
        return sorted((row[1], row[2]) for row in rows)

    table = clean_indicators(evaluation.study).table
    panel = build_panel(table, units=evaluation.study.areas.units, last_period=2024)
    early = {
        outcome: group_time_att(panel, evaluation.design, outcome=outcome) for outcome in evaluation.effects
    }
    assert shown(evaluation.effects) == [("70", "3"), ("70", "4"), *[("70", "7")] * 4]
    assert shown(early) == [("30", "2"), ("30", "4"), *[("30", "6")] * 4]


def test_where_nothing_varies_the_report_and_the_picture_promise_no_power() -> None:
    """No noise and equal effects: no slope is beyond chance, and none that would be found is known."""
    still = UnitEffects(
        outcome="y",
        units=tuple("abcde"),
        estimates=np.ones(5),
        noise=np.zeros((20, 5)),
        noise_sd=np.zeros(5),
        comparison=tuple(f"c{at}" for at in range(20)),
        scaled=False,
        left_out=(),
    )
    line = dose_response(still, {unit: at for at, unit in enumerate(still.units)})
    assert line.verdict == "no_detectable_gradient"
    assert line.minimum_detectable_difference is None
    assert "cannot show" in plot_doses(line).headline


@pytest.mark.parametrize("dose", [1e13, -1e200, 1e-13])
def test_doses_beyond_all_measure_are_refused(dose: float) -> None:
    still = UnitEffects(
        outcome="y",
        units=tuple("abc"),
        estimates=np.ones(3),
        noise=np.eye(6, 3),
        noise_sd=np.ones(3),
        comparison=tuple("uvwxyz"),
        scaled=False,
        left_out=(),
    )
    with pytest.raises(DesignError, match="beyond what can be reckoned with") as caught:
        dose_response(still, {"a": dose, "b": 1.0, "c": dose})
    assert [fault.where for fault in caught.value.faults] == ["a", "c"]
