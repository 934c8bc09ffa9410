"""Tests for few treated units: scaled for population, by residuals of comparison units, and by t of few groups."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mekeval import DesignError, build_panel, group_time_att, infer, make_design
from mekeval.estimate import Contrast


def contrast_of(
    changes: np.ndarray, group: np.ndarray, weights: tuple[float, ...] = (1.0,), prefix: str = "u"
) -> Contrast:
    """A contrast of units with one column of changes for each group; its estimate by plain means."""
    table = changes.reshape(len(changes), -1)
    att = sum(
        weight * (table[group == at, at].mean() - table[group < 0, at].mean())
        for at, weight in enumerate(weights)
    )
    return Contrast(
        label="test",
        att=float(att),
        units=tuple(f"{prefix}{i:03}" for i in range(len(group))),
        group=group,
        changes=table,
        exposure=(group[:, None] == np.arange(table.shape[1])) * 1.0,
        group_weights=np.array(weights),
        influence=None,
    )


def sized(seed: int, n: int = 36, k: int = 2, noise: float = 1.0) -> tuple[Contrast, np.ndarray]:
    """Areas whose changes trend with log population and vary as 0.2 + 3000 / population; the largest are treated."""
    rng = np.random.default_rng(seed)
    population = np.sort(rng.lognormal(7.5, 0.8, size=n))[::-1].round() + 50
    drift = 0.7 * np.log(population)
    changes = drift + noise * rng.normal(size=n) * np.sqrt(0.2 + 3000 / population)
    return contrast_of(changes, np.where(np.arange(n) < k, 0, -1)), population


def by_hand(changes: np.ndarray, population: np.ndarray, k: int) -> tuple[float, float, np.ndarray, float]:
    """Estimate, standard error, standardised residuals and own spread by explicit matrices; the first k treated."""
    y, n = changes[k:], population[k:]
    Z, X = np.column_stack([np.ones(len(n)), np.log(n)]), np.column_stack([np.ones(len(n)), 1 / n])
    v = np.ones(len(n))
    for _ in range(2):
        hat = Z @ np.linalg.inv(Z.T @ np.diag(1 / v) @ Z) @ Z.T @ np.diag(1 / v)
        squares = ((np.eye(len(n)) - hat) @ y) ** 2 / (1 - np.diag(hat))
        fit = np.linalg.lstsq(X, squares, rcond=None)[0]
        if fit.min() < 0:  # one of two columns alone, whichever leaves less
            alone = [(X[:, at] @ squares) / (X[:, at] @ X[:, at]) for at in (0, 1)]
            left = [np.sum((squares - X[:, at] * alone[at]) ** 2) for at in (0, 1)]
            fit = np.eye(2)[int(np.argmin(left))] * alone[int(np.argmin(left))]
        v = X @ fit
    W = np.diag(1 / v)
    beta = np.linalg.solve(Z.T @ W @ Z, Z.T @ W @ y)
    mine = np.column_stack([np.ones(k), np.log(population[:k])])
    estimate = float(np.mean(changes[:k] - mine @ beta))
    h = mine.mean(axis=0) @ np.linalg.solve(Z.T @ W @ Z, Z.T @ W)
    own = np.sum(fit[0] + fit[1] / population[:k]) / k**2
    hat = Z @ np.linalg.solve(Z.T @ W @ Z, Z.T @ W)
    residuals = (y - Z @ beta) / np.sqrt(v * (1 - np.diag(hat)))
    return estimate, float(np.sqrt(own + np.sum(h**2 * v))), residuals, float(np.sqrt(own))


@pytest.mark.parametrize("seed", range(6))
def test_scaled_is_the_algorithm_written_out(seed: int) -> None:
    contrast, population = sized(seed, k=1 + seed % 3)
    found = infer(contrast, method="scaled", population=population, alpha=0.1)
    estimate, error, _, _ = by_hand(contrast.changes[:, 0], population, 1 + seed % 3)
    df = 36 - (1 + seed % 3) - 3
    assert found.estimate == pytest.approx(estimate, rel=1e-9)
    assert found.se == pytest.approx(error, rel=1e-9)
    assert found.df == df
    assert found.p_value == pytest.approx(2 * stats.t.sf(abs(estimate) / error, df), rel=1e-9)
    assert found.low == pytest.approx(estimate - stats.t.ppf(0.95, df) * error, rel=1e-9)
    assert found.high == pytest.approx(estimate + stats.t.ppf(0.95, df) * error, rel=1e-9)
    assert found.minimum_detectable_effect == pytest.approx(
        (stats.t.ppf(0.95, df) + stats.t.ppf(0.8, df)) * error, rel=1e-9
    )


def test_ferman_pinto_of_one_unit_walks_over_the_comparison() -> None:
    contrast, population = sized(3, n=30, k=1)
    found = infer(contrast, method="ferman_pinto", population=population)
    estimate, error, residuals, own = by_hand(contrast.changes[:, 0], population, 1)
    noise = np.abs(residuals) * own * (error / own)
    assert (found.n_sets, found.exact) == (30, True)
    assert found.p_value == pytest.approx((1 + np.sum(noise >= abs(estimate))) / 30)
    # 0.05 * 30 = 1.5: one of 30 may be as large, so the effect kept furthest away is at the largest residual.
    assert found.high == pytest.approx(estimate + noise.max(), rel=1e-9)
    assert found.low == pytest.approx(estimate - noise.max(), rel=1e-9)


def test_ferman_pinto_of_two_units_walks_over_all_ordered_pairs() -> None:
    contrast, population = sized(4, n=16, k=2)
    found = infer(contrast, method="ferman_pinto", population=population, alpha=0.1)
    estimate, error, residuals, own = by_hand(contrast.changes[:, 0], population, 2)
    changes, n = contrast.changes[:, 0], population
    assert len(changes) == 16
    assert found.n_sets == 14 * 13 + 1
    # Own spread^2 is (v1 + v2) / 4 by the same fit, so v1 and v2 come from two calls with one treated unit.
    spread = [by_hand(np.r_[changes[at], changes[2:]], np.r_[n[at], n[2:]], 1)[3] / 2 for at in (0, 1)]
    assert math.hypot(*spread) == pytest.approx(own)
    noise = [
        abs(spread[0] * residuals[one] + spread[1] * residuals[two]) * error / own
        for one, two in itertools.permutations(range(14), 2)
    ]
    assert found.p_value == pytest.approx((1 + np.sum(np.array(noise) >= abs(estimate))) / 183)
    reach = sorted(noise)[-math.floor(0.1 * 183)]
    assert found.high == pytest.approx(estimate + reach, rel=1e-9)


def test_one_treated_of_twenty_has_a_p_value_of_at_least_one_in_twenty() -> None:
    contrast, population = sized(1, n=20, k=1)
    changes = contrast.changes[:, 0].copy()
    changes[0] += 1e6
    found = infer(contrast_of(changes, contrast.group), method="ferman_pinto", population=population)
    assert found.p_value == pytest.approx(1 / 20)
    assert found.identifiable
    short = infer(
        contrast_of(changes[:19], contrast.group[:19]), method="ferman_pinto", population=population[:19]
    )
    assert short.smallest_p == pytest.approx(1 / 19)
    assert not short.identifiable
    assert (short.low, short.high, short.minimum_detectable_effect) == (None, None, None)


def test_two_windows_that_are_one_give_what_one_group_gives() -> None:
    contrast, population = sized(8, k=3)
    group = contrast.group.copy()
    group[2] = 1  # groups of two and one, the same window
    two = contrast_of(np.column_stack([contrast.changes] * 2), group, (2 / 3, 1 / 3))
    one, same = (infer(some, method="scaled", population=population) for some in (contrast, two))
    assert (same.estimate, same.se) == (pytest.approx(one.estimate), pytest.approx(one.se))


def test_windows_that_have_nothing_in_common_add_their_variances() -> None:
    # Two groups whose windows are independent: the variance is close to the sum of both parts'.
    rng = np.random.default_rng(0)
    n = 400
    population = rng.lognormal(7.5, 0.8, size=n)
    changes = rng.normal(size=(n, 2)) * np.sqrt(0.2 + 3000 / population)[:, None]
    group = np.full(n, -1)
    group[:2], group[2:3] = 0, 1
    both = infer(contrast_of(changes, group, (0.5, 0.5)), method="scaled", population=population)
    parts = []
    for at in (0, 1):
        keep = (group < 0) | (group == at)
        alone = contrast_of(changes[keep, at], np.where(group[keep] == at, 0, -1))
        parts.append(infer(alone, method="scaled", population=population[keep]).se)
    assert both.se == pytest.approx(0.5 * math.hypot(*[part or 0 for part in parts]), rel=0.01)


@pytest.mark.parametrize(
    ("method", "k"), [("scaled", 1), ("scaled", 3), ("ferman_pinto", 1), ("ferman_pinto", 2)]
)
def test_p_values_hold_their_level_where_large_areas_trend_differently(method: str, k: int) -> None:
    # 500 data sets: a rate of 5 % has a Monte Carlo error of 1 point. ferman_pinto of one of 36 rejects in steps of
    # 1/36, so that 5 % allow one set: 2.8 %.
    p_values = []
    for seed in range(500):
        contrast, population = sized(seed, k=k)
        p_values.append(infer(contrast, method=method, population=population, draws=199).p_value)
    nominal = 1 / 36 if (method, k) == ("ferman_pinto", 1) else 0.05
    assert abs(np.mean(np.array(p_values) <= 0.05) - nominal) < 3.5 * math.sqrt(0.05 * 0.95 / 500)
    assert abs(np.mean(np.array(p_values) <= 0.5) - 0.5) < 3.5 * math.sqrt(0.25 / 500)


def test_without_the_size_of_the_areas_the_same_data_are_misjudged() -> None:
    p_values: dict[str, list[float]] = {"permutation": [], "scaled": []}
    for seed in range(150):
        contrast, population = sized(seed, k=3, noise=0.4)
        for method, found in p_values.items():
            found.append(infer(contrast, method=method, population=population).p_value)
    rates = {method: np.mean(np.array(found) <= 0.05) for method, found in p_values.items()}
    assert rates["permutation"] > 0.3  # large areas trend differently: taken for an effect
    assert abs(rates["scaled"] - 0.05) < 3.5 * math.sqrt(0.05 * 0.95 / 150)


@pytest.mark.parametrize("method", ["scaled", "ferman_pinto", "conley_taber", "donald_lang"])
def test_interval_excludes_zero_exactly_when_the_test_rejects(method: str) -> None:
    decided = set()
    for seed in range(60):
        contrast, population = sized(seed, n=44, k=2)
        changes = contrast.changes[:, 0] + np.where(contrast.group == 0, 1.1 * (seed % 3), 0)
        found = infer(
            contrast_of(changes, contrast.group),
            method=method,
            population=population,
            draws=999,
        )
        assert found.low is not None
        assert found.high is not None
        assert (found.p_value <= 0.05) == (found.low > 0 or found.high < 0)
        decided.add(found.p_value <= 0.05)
    assert decided == {True, False}


def test_conley_taber_by_hand() -> None:
    # Treated 9; comparison 0..5, mean 2.5: residuals -2.5 .. 2.5, estimate 6.5. Nothing is as large: of 7 one-sided
    # shares the smaller is 1/7, so p = 2/7. With alpha = 0.6, floor(0.3 * 7) = 2: from -1.5 to 1.5.
    found = infer(
        contrast_of(np.array([9.0, 0, 1, 2, 3, 4, 5]), np.array([0] + [-1] * 6)), method="conley_taber"
    )
    assert found.p_value == pytest.approx(2 / 7)
    assert not found.identifiable
    wide = infer(
        contrast_of(np.array([9.0, 0, 1, 2, 3, 4, 5]), np.array([0] + [-1] * 6)),
        method="conley_taber",
        alpha=0.6,
    )
    assert (wide.low, wide.high) == (pytest.approx(5.0), pytest.approx(8.0))
    # A change of 4 lies at residual 1.5: 1 comparison unit is as high or higher by 1.5 and 2.5, so 2 + 1 of 7.
    inner = infer(
        contrast_of(np.array([4.0, 0, 1, 2, 3, 4, 5]), np.array([0] + [-1] * 6)), method="conley_taber"
    )
    assert inner.p_value == pytest.approx(2 * 3 / 7)


def test_conley_taber_of_two_windows_by_brute_force() -> None:
    rng = np.random.default_rng(6)
    group = np.array([0, 0, 1, *[-1] * 9])
    changes = rng.normal(size=(12, 2))
    contrast = contrast_of(changes, group, (0.7, 0.3))
    found = infer(contrast, method="conley_taber")
    residuals = changes[3:] - changes[3:].mean(axis=0)
    noise = [
        0.7 * residuals[list(pair), 0].mean() + 0.3 * residuals[one, 1]
        for pair in itertools.combinations(range(9), 2)
        for one in range(9)
        if one not in pair
    ]
    assert found.n_sets == len(noise) + 1 == 36 * 7 + 1
    above, below = (np.sum(np.array(noise) >= contrast.att), np.sum(np.array(noise) <= contrast.att))
    assert found.p_value == pytest.approx(min(1, 2 * (1 + min(above, below)) / 253))
    ordered = sorted(noise)
    assert found.low == pytest.approx(contrast.att - ordered[-6])  # floor(0.025 * 253) = 6
    assert found.high == pytest.approx(contrast.att - ordered[5])


def test_conley_taber_of_one_unit_is_exact() -> None:
    rng = np.random.default_rng(1)
    group = np.array([0] + [-1] * 19)  # p is at least 2/20, so the level that can be held is 10 %
    p_values = [
        infer(contrast_of(rng.standard_t(3, size=20), group), method="conley_taber").p_value
        for _ in range(600)
    ]
    assert abs(np.mean(np.array(p_values) <= 0.1 + 1e-9) - 0.1) < 3.5 * math.sqrt(0.09 / 600)


@pytest.mark.parametrize("k", [1, 2, 5])
def test_donald_lang_is_the_pooled_t_test(k: int) -> None:
    changes = np.random.default_rng(k).normal(size=18)
    found = infer(contrast_of(changes, np.where(np.arange(18) < k, 0, -1)), method="donald_lang")
    expected = stats.ttest_ind(changes[:k], changes[k:], equal_var=True)
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-10)
    bounds = expected.confidence_interval(0.95)
    assert (found.low, found.high) == (pytest.approx(bounds.low), pytest.approx(bounds.high))
    assert found.df == 16


def test_donald_lang_of_two_windows_holds_its_level() -> None:
    rng = np.random.default_rng(3)
    group = np.array([0, 0, 1, 1, *[-1] * 16])
    common = rng.normal(size=(600, 20, 1))
    changes = common + 0.7 * rng.normal(size=(600, 20, 2))
    p_values = [infer(contrast_of(one, group, (0.5, 0.5)), method="donald_lang").p_value for one in changes]
    assert abs(np.mean(np.array(p_values) <= 0.05) - 0.05) < 3.5 * math.sqrt(0.05 * 0.95 / 600)


def test_the_design_chooses_and_says_why() -> None:
    contrast, population = sized(2)
    assert infer(contrast).method == "permutation"
    found = infer(contrast, population=population)
    assert found.method == "scaled"
    assert "fewer than 20" in found.because
    assert infer(contrast, population=population, method="permutation").because.startswith(
        "asked for by name"
    )
    flat = contrast_of(np.r_[1.0, 2.0, np.full(30, 0.3)], np.where(np.arange(32) < 2, 0, -1))
    fallen = infer(flat, population=population[:32])
    assert fallen.method == "permutation"
    assert "does not vary" in fallen.because
    few = infer(contrast_of(np.arange(6.0), np.where(np.arange(6) < 1, 0, -1)), population=population[:6])
    assert (few.method, few.identifiable) == ("permutation", False)


def test_population_by_name_or_in_order_and_units_in_any_order() -> None:
    contrast, population = sized(5, n=60, k=3)
    named = dict(zip(contrast.units, population, strict=True))
    first = infer(contrast, population=population, method="ferman_pinto", seed=3)
    assert not first.exact
    order = np.random.default_rng(0).permutation(60)
    turned = Contrast(
        label="turned",
        att=contrast.att,
        units=tuple(contrast.units[at] for at in order),
        group=contrast.group[order],
        changes=contrast.changes[order],
        exposure=contrast.exposure[order],
        group_weights=contrast.group_weights,
        influence=None,
    )
    for given in (named, pd.Series(named)):
        again = infer(turned, population=given, method="ferman_pinto", seed=3)
        assert again.p_value == first.p_value
        assert again.low == pytest.approx(first.low, rel=1e-9)
    assert infer(contrast, population=population, method="ferman_pinto", seed=4).low != first.low


def test_a_thousand_persons_as_the_unit_changes_nothing() -> None:
    contrast, population = sized(7)
    one = infer(contrast, population=population)
    other = infer(contrast, population=population / 1000)
    assert (other.estimate, other.se) == (pytest.approx(one.estimate), pytest.approx(one.se))


def test_a_unit_beyond_the_sizes_of_the_comparison_is_told() -> None:
    contrast, population = sized(1)  # the two largest are treated
    assert infer(contrast, population=population).warnings == ("size_beyond_comparison",)
    assert infer(contrast, population=population[::-1].copy()).warnings == ("size_beyond_comparison",)
    middle = np.r_[population[10:12], population[:10], population[12:]]
    assert infer(contrast, population=middle).warnings == ()


def test_populations_that_are_all_alike_are_no_reason_to_fail() -> None:
    contrast, _ = sized(2, n=30, k=1)
    found = infer(contrast, population=np.full(30, 500))
    plain = contrast.changes[:, 0]
    assert found.estimate == pytest.approx(plain[0] - plain[1:].mean())


@pytest.mark.parametrize("bad", [0.0, -5.0, float("nan"), float("inf")])
def test_a_population_that_is_none_is_refused(bad: float) -> None:
    contrast, population = sized(0)
    population = population.copy()
    population[7] = bad
    with pytest.raises(DesignError, match="u007"):
        infer(contrast, population=population)


def test_missing_populations_are_named_and_methods_say_what_they_need() -> None:
    contrast, population = sized(0)
    named = dict(zip(contrast.units, population, strict=True))
    del named["u004"]
    with pytest.raises(DesignError, match="u004"):
        infer(contrast, population=named)
    with pytest.raises(DesignError, match="one population for each unit"):
        infer(contrast, population=population[:-1])
    with pytest.raises(DesignError, match="needs the population"):
        infer(contrast, method="scaled")
    with pytest.raises(DesignError, match="do not vary"):
        infer(
            contrast_of(np.r_[1.0, np.zeros(19)], np.where(np.arange(20) < 1, 0, -1)),
            method="scaled",
            population=population[:20],
        )
    with pytest.raises(DesignError, match="Too few comparison units"):
        infer(
            contrast_of(np.arange(6.0), np.where(np.arange(6) < 1, 0, -1)),
            method="scaled",
            population=population[:6],
        )
    with pytest.raises(DesignError, match="no standard error"):
        infer(contrast_of(np.zeros(12), np.where(np.arange(12) < 1, 0, -1)), method="donald_lang")


def test_effects_and_panels_are_tested_by_their_average() -> None:
    rng = np.random.default_rng(2)
    units = [f"u{i:02}" for i in range(30)]
    frame = pd.DataFrame(
        {"u": units * 4, "t": np.repeat([1, 2, 3, 4], 30), "y": rng.normal(size=120)},
    )
    panel = build_panel(frame, unit="u", period="t", outcome=["y"])
    design = make_design(units, [(3, 4, units[:3])])
    population = {unit: 1000 + 37 * at for at, unit in enumerate(units)}
    effects = group_time_att(panel, design, outcome="y")
    wide = frame.pivot(index="u", columns="t", values="y")
    change = (wide[[3, 4]].mean(axis=1) - wide[[1, 2]].mean(axis=1)).to_numpy()
    for method in ("permutation", "scaled", "donald_lang"):
        of_effects = infer(effects, method=method, population=population)
        of_panel = infer(panel, design, outcome="y", method=method, population=population)
        by_hand_one = infer(
            contrast_of(change, np.where(np.arange(30) < 3, 0, -1)),
            method=method,
            population=np.array(list(population.values())),
        )
        assert of_effects.p_value == of_panel.p_value == pytest.approx(by_hand_one.p_value)
        assert of_effects.estimate == pytest.approx(by_hand_one.estimate)
    with pytest.raises(DesignError, match="a design and an outcome"):
        infer(panel, method="permutation")
    with pytest.raises(DesignError, match="a design and an outcome"):
        infer(effects, method="cr2")
