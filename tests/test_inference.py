"""Permutation tests against cases worked by hand and against brute force."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mekeval import DesignError, Panel, aggregate, build_panel, group_time_att, infer, make_design
from mekeval.design import Design
from mekeval.estimate import Contrast
from mekeval.inference.permutation import subset_sums


def one_group(changes: list[float], n_treated: int) -> Contrast:
    """A contrast with the first units treated and a constant exposure of one."""
    values = np.array(changes)
    group = np.where(np.arange(len(values)) < n_treated, 0, -1)
    rest = values[n_treated:]
    return Contrast(
        label="test",
        att=float(values[:n_treated].mean() - rest.mean()),
        units=tuple(f"u{i}" for i in range(len(values))),
        group=group,
        changes=values[:, None],
        exposure=(group == 0).astype(float)[:, None],
        group_weights=np.ones(1),
        influence=np.zeros(len(values)),
    )


def brute(changes: np.ndarray, n_treated: int, effect: float = 0.0) -> float:
    """The p-value of a constant effect, by walking over every treated set."""
    adjusted = changes.copy()
    adjusted[:n_treated] -= effect

    def statistic(chosen: tuple[int, ...]) -> float:
        inside = np.isin(np.arange(len(adjusted)), chosen)
        return abs(float(adjusted[inside].mean() - adjusted[~inside].mean()))

    real = statistic(tuple(range(n_treated)))
    sets = list(itertools.combinations(range(len(adjusted)), n_treated))
    return sum(statistic(chosen) >= real - 1e-9 for chosen in sets) / len(sets)


def test_all_fifteen_sets_of_two_of_six() -> None:
    # Changes 5, 4, 1, 2, 3, 0: the treated pair sums to 9, the total is 15. A pair of sum s gives s/2 - (15 - s)/4,
    # which is 3 for s = 9. As large in size: s = 9 (5 + 4) and s = 1 (1 + 0, giving 1/2 - 14/4 = -3): 2 of 15.
    result = infer(one_group([5.0, 4.0, 1.0, 2.0, 3.0, 0.0], 2))
    assert (result.n_sets, result.exact) == (15, True)
    assert result.estimate == pytest.approx(3.0)
    assert result.p_value == pytest.approx(2 / 15)
    assert result.smallest_p == pytest.approx(1 / 15)
    assert not result.identifiable  # 1/15 > 0.05: this design can conclude nothing
    assert result.minimum_detectable_effect is None


def test_one_treated_of_twenty_can_just_conclude() -> None:
    result = infer(one_group([100.0, *range(19)], 1))
    assert result.p_value == pytest.approx(1 / 20)
    assert result.smallest_p == pytest.approx(1 / 20)
    assert result.identifiable
    assert not infer(one_group([100.0, *range(18)], 1)).identifiable  # 1/19 > 0.05


def test_subset_sums_are_all_there() -> None:
    values = np.array([1.0, 10, 100, 1000, 10000])
    for size in range(1, 6):
        expected = sorted(sum(chosen) for chosen in itertools.combinations(values, size))
        assert sorted(subset_sums(values, size)) == expected


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 3),
    st.lists(st.integers(-1000, 1000), min_size=8, max_size=10),
    st.sampled_from([0.05, 0.1, 0.2]),
)
def test_p_value_and_interval_agree_with_brute_force(
    n_treated: int, numbers: list[int], alpha: float
) -> None:
    changes = np.array(numbers, dtype=float) / 10
    result = infer(one_group(list(changes), n_treated), alpha=alpha)
    assert result.p_value == pytest.approx(brute(changes, n_treated))
    for limit, outward in ((result.low, -1), (result.high, 1)):
        if limit is None:
            assert brute(changes, n_treated, result.estimate + outward * 1e6) > alpha
        else:
            assert brute(changes, n_treated, limit + outward * 1e-4) <= alpha
            assert brute(changes, n_treated, limit - outward * 1e-4) > alpha or limit == pytest.approx(
                result.estimate, abs=1e-3
            )


def test_interval_excludes_zero_exactly_when_the_test_rejects() -> None:
    rng = np.random.default_rng(11)
    for _ in range(200):
        result = infer(one_group(list(rng.normal(size=24) + np.repeat([0.8, 0], [3, 21])), 3))
        assert result.low is not None
        assert result.high is not None
        assert (result.p_value <= 0.05) == (result.low > 0 or result.high < 0)


def test_p_values_are_uniform_when_nothing_was_done() -> None:
    # 400 exchangeable data sets, C(14, 3) = 364 sets: a rejection rate of 5 % has a Monte Carlo error of 1.1 points.
    rng = np.random.default_rng(5)
    p_values = np.array([infer(one_group(list(rng.normal(size=14)), 3)).p_value for _ in range(400)])
    assert abs(np.mean(p_values <= 0.05) - 0.05) < 3.5 * math.sqrt(0.05 * 0.95 / 400)
    assert abs(np.mean(p_values <= 0.5) - 0.5) < 3.5 * math.sqrt(0.25 / 400)


def two_groups(seed: int, effect: float) -> Contrast:
    """Two groups of two with their own windows among 30 units, and a constant effect while treated."""
    rng = np.random.default_rng(seed)
    group = np.full(30, -1)
    group[:2], group[2:4] = 0, 1
    exposure = np.column_stack([(group == 0) * 1.0, (group == 1) * 1.0])
    exposure[group == 0, 1] = -0.5  # the first group left before the second entered
    changes = rng.normal(size=(30, 2)) + effect * exposure
    weights = np.array([0.6, 0.4])
    att = sum(
        weight * (changes[group == index, index].mean() - changes[group == -1, index].mean())
        for index, weight in enumerate(weights)
    )
    return Contrast(
        label="two",
        att=float(att),
        units=tuple(map(str, range(30))),
        group=group,
        changes=changes,
        exposure=exposure,
        group_weights=weights,
        influence=np.zeros(30),
    )


def test_drawn_sets_repeat_with_a_seed_and_hold_their_level() -> None:
    first, again, other = (infer(two_groups(1, 0.0), seed=seed) for seed in (7, 7, 8))
    assert (first.p_value, first.low, first.high) == (again.p_value, again.low, again.high)
    assert first.p_value != other.p_value
    assert not first.exact
    assert first.n_sets == 10_000
    covered = []
    for seed in range(300):
        result = infer(two_groups(seed, 1.5), seed=3, draws=999)
        assert result.low is not None
        assert result.high is not None
        covered.append(result.low <= 1.5 <= result.high)
    assert abs(np.mean(covered) - 0.95) < 3.5 * math.sqrt(0.05 * 0.95 / 300)


def test_minimum_detectable_effect_is_found_eight_times_of_ten() -> None:
    rng = np.random.default_rng(2)
    changes = rng.normal(size=60)
    size = infer(one_group(list(changes), 5)).minimum_detectable_effect
    assert size is not None
    found = []
    for _ in range(300):
        drawn = rng.permutation(changes)
        drawn[:5] += size
        found.append(_rejects(drawn, 5))
    assert 0.7 < np.mean(found) < 0.93


def _rejects(changes: np.ndarray, n_treated: int) -> bool:
    """A permutation test by its critical value over 400 random sets: independent of the library."""
    rng = np.random.default_rng(0)
    n = len(changes)

    def difference(order: np.ndarray) -> float:
        return float(changes[order[:n_treated]].mean() - changes[order[n_treated:]].mean())

    real = abs(difference(np.arange(n)))
    return bool(np.mean([abs(difference(rng.permutation(n))) >= real for _ in range(400)]) <= 0.05)


def test_many_treated_units_use_influence_functions_and_few_carry_a_warning() -> None:
    rng = np.random.default_rng(4)
    many = one_group(list(rng.normal(size=80)), 25)
    influence = np.where(many.group == 0, many.changes[:, 0] * 80 / 25, -many.changes[:, 0] * 80 / 55)
    many = Contrast(**{**many.__dict__, "influence": influence})
    assert infer(many).method == "influence"
    few = Contrast(**{**one_group(list(rng.normal(size=30)), 3).__dict__, "influence": rng.normal(size=30)})
    assert infer(few).method == "permutation"
    named = infer(few, method="influence")
    assert "too small" in named.because
    assert named.warnings == ("few_treated",)
    alone = Contrast(**{**one_group(list(rng.normal(size=30)), 1).__dict__, "influence": rng.normal(size=30)})
    assert infer(alone).method == "permutation"
    with pytest.raises(DesignError, match="no standard error exists"):
        infer(alone, method="influence")
    with pytest.raises(DesignError, match="no influence function"):
        infer(Contrast(**{**alone.__dict__, "influence": None}), method="influence")


def test_a_multiplier_bootstrap_of_many_units_is_close_to_the_normal_limit() -> None:
    rng = np.random.default_rng(8)
    many = one_group(list(rng.normal(size=300)), 100)
    values = many.changes[:, 0]
    psi = np.where(many.group == 0, (values - values[:100].mean()) * 3, -(values - values[100:].mean()) * 1.5)
    many = Contrast(**{**many.__dict__, "influence": psi})
    limit, drawn = infer(many), infer(many, method="multiplier", seed=1)
    assert limit.method == "influence"
    assert limit.se == pytest.approx(math.sqrt(values[:100].var() / 100 + values[100:].var() / 200))
    assert drawn.se == limit.se
    assert (drawn.low, drawn.high) == (
        pytest.approx(limit.low, abs=0.03),
        pytest.approx(limit.high, abs=0.03),
    )
    assert drawn.p_value == pytest.approx(limit.p_value, abs=0.02)
    assert drawn.warnings == limit.warnings == ()


@pytest.mark.parametrize("alpha", [0.0, 1.0, -1, 2])
def test_alpha_out_of_range_is_refused(alpha: float) -> None:
    with pytest.raises(DesignError, match="alpha"):
        infer(one_group([1.0, 2, 3, 4], 1), alpha=alpha)


def test_a_comparison_smaller_than_the_treated_set_is_refused() -> None:
    with pytest.raises(DesignError, match="smaller than the treated set"):
        infer(one_group([1.0, 2, 3, 4, 5], 3))


def welch(changes: np.ndarray, chosen: tuple[int, ...]) -> float:
    """|difference of means| over its standard error with a variance for each side; of one unit that of the others."""
    inside = np.isin(np.arange(len(changes)), chosen)
    rest = changes[~inside].var(ddof=1)
    own = changes[inside].var(ddof=1) if inside.sum() > 1 else rest
    error = math.sqrt(own / inside.sum() + rest / (~inside).sum())
    return abs(float(changes[inside].mean() - changes[~inside].mean())) / error


def brute_studentised(changes: np.ndarray, n_treated: int, effect: float = 0.0) -> float:
    adjusted = changes.copy()
    adjusted[:n_treated] -= effect
    real = welch(adjusted, tuple(range(n_treated)))
    sets = list(itertools.combinations(range(len(adjusted)), n_treated))
    return sum(welch(adjusted, chosen) >= real * (1 - 1e-9) for chosen in sets) / len(sets)


@pytest.mark.parametrize("seed", range(8))
def test_studentised_permutation_agrees_with_brute_force(seed: int) -> None:
    rng = np.random.default_rng(seed)
    changes = (
        rng.normal(size=9) * np.r_[3, 3, 3, np.ones(6)] + np.r_[np.full(3, 2.0 * (seed % 3)), np.zeros(6)]
    )
    result = infer(one_group(list(changes), 3), method="studentised", alpha=0.1)
    assert (result.n_sets, result.exact) == (84, True)
    assert result.p_value == pytest.approx(brute_studentised(changes, 3))
    for limit, outward in ((result.low, -1), (result.high, 1)):
        assert limit is not None
        assert brute_studentised(changes, 3, limit - outward * 1e-6) > 0.1
        for further in (1e-6, 0.3, 1.0, 4.0, 50.0):
            assert brute_studentised(changes, 3, limit + outward * further) <= 0.1


def test_studentised_permutation_of_one_unit_is_the_plain_one() -> None:
    rng = np.random.default_rng(3)
    for _ in range(10):
        contrast = one_group(list(rng.normal(size=25) + np.r_[2.0, np.zeros(24)]), 1)
        plain, other = infer(contrast), infer(contrast, method="studentised")
        assert other.p_value == pytest.approx(plain.p_value)


def test_studentised_intervals_and_tests_agree_with_two_windows() -> None:
    decided = set()
    for seed in range(12):
        result = infer(two_groups(seed, 0.9 * (seed % 3)), method="studentised", draws=499)
        assert result.low is not None
        assert result.high is not None
        assert (result.p_value > 0.05) == (result.low <= 0 <= result.high)
        decided.add(result.p_value > 0.05)
    assert decided == {True, False}


def test_only_the_studentised_test_holds_for_a_noisy_treated_group() -> None:
    # Five treated units vary three times as much as seventeen others, and their mean effect is zero.
    rng = np.random.default_rng(12)
    p_values = {"permutation": [], "studentised": []}
    for _ in range(80):
        changes = rng.normal(size=22) * np.where(np.arange(22) < 5, 3.0, 1.0)
        for method, found in p_values.items():
            found.append(infer(one_group(list(changes), 5), method=method, draws=499).p_value)
    plain, studentised = (float(np.mean(np.array(found) <= 0.05)) for found in p_values.values())
    assert plain > 0.15
    assert studentised < 0.12


def test_sets_in_blocks_give_what_sets_one_by_one_give() -> None:
    # A treated unit whose exposure is a hair off takes the general road, over each set alone.
    rng = np.random.default_rng(21)
    for k in (1, 2, 4):
        contrast = one_group(list(rng.normal(size=18)), k)
        general = Contrast(**{**contrast.__dict__, "exposure": contrast.exposure * (1 + 1e-4)})
        one, two = infer(contrast, alpha=0.15), infer(general, alpha=0.15)
        assert two.p_value == pytest.approx(one.p_value)
        assert two.minimum_detectable_effect == pytest.approx(one.minimum_detectable_effect, rel=1e-3)
        assert (two.low, two.high) == (pytest.approx(one.low, rel=1e-3), pytest.approx(one.high, rel=1e-3))


def test_critical_values_are_where_the_test_begins_to_reject() -> None:
    # One treated of 25: with its effect taken out it moves like the mean of the others, and the test begins to reject
    # beyond the largest of the 24 others (0.05 * 25: one of 25 may be as large).
    rng = np.random.default_rng(5)
    contrast = one_group(list(rng.normal(size=25)), 1)
    result = infer(contrast)
    assert result.critical is not None
    calm = contrast.changes[:, 0].copy()
    calm[0] = calm[1:].mean()
    assert result.critical[1] == pytest.approx(np.max(np.abs(calm - calm.mean())) * 25 / 24)


@pytest.mark.parametrize("method", ["permutation", "studentised"])
@pytest.mark.parametrize("k", [1, 3])
def test_what_could_have_been_found_does_not_depend_on_what_was(method: str, k: int) -> None:
    base = np.random.default_rng(9).normal(size=24)
    found = []
    for effect in (0.0, 2.0, 30.0):
        contrast = one_group(list(base + effect * (np.arange(24) < k)), k)
        result = infer(contrast, method=method)
        found.append((result.minimum_detectable_effect, result.critical))
    assert found[1] == (pytest.approx(found[0][0]), pytest.approx(found[0][1]))
    assert found[2] == (pytest.approx(found[0][0]), pytest.approx(found[0][1]))


def small_study(n_treated: int, years: int = 4) -> tuple[Panel, Design]:
    rng = np.random.default_rng(n_treated)
    units = [f"u{at:02}" for at in range(24)]
    frame = pd.DataFrame(
        [(unit, year, rng.normal()) for unit in units for year in range(years)], columns=["u", "t", "y"]
    )
    panel = build_panel(frame, unit="u", period="t", outcome=["y"])
    return panel, make_design(units, [(years - 2, years - 1, units[:n_treated])])


@pytest.mark.parametrize("method", ["cr1", "cr2", "cr3", "wild", "wild_unrestricted"])
def test_cluster_robust_methods_by_name_carry_their_warning_into_the_table(method: str) -> None:
    panel, design = small_study(2)
    found = infer(panel, design, outcome="y", method=method, draws=199)
    assert found.method == method
    assert found.warnings
    assert "reject" in found.tidy()["note"].iloc[0]
    assert infer(panel, design, outcome="y").method == "permutation"


def test_one_treated_unit_gets_a_cluster_robust_error_by_name_alone() -> None:
    panel, design = small_study(1)
    assert infer(panel, design, outcome="y").method == "permutation"
    found = infer(panel, design, outcome="y", method="cr1")
    assert "one_treated" in found.warnings
    assert "one treated unit" in found.tidy()["note"].iloc[0]


def test_a_conformal_test_is_one_of_years() -> None:
    panel, design = small_study(1, years=30)
    found = infer(panel, design, outcome="y", method="conformal")
    assert (found.method, found.n_sets) == ("conformal", 30)


def test_a_design_that_can_conclude_nothing_says_so_in_its_table() -> None:
    table = infer(one_group([5.0, 4.0, 1.0, 2.0, 3.0, 0.0], 2)).tidy()
    assert "smallest p-value of this design is 0.0667" in table["note"].iloc[0]
    assert table["se"].isna().all()


def test_an_average_of_effects_by_influence_is_that_of_aggregate() -> None:
    panel, design = small_study(3)
    effects = group_time_att(panel, design, outcome="y")
    found = infer(effects, method="influence")
    row = aggregate(effects, by="simple").table.iloc[0]
    assert (found.estimate, found.se) == (pytest.approx(row["att"]), pytest.approx(row["se"]))
    assert infer(panel, design, outcome="y", method="influence").p_value == found.p_value


@pytest.mark.parametrize("draws", [0, -1])
def test_nothing_to_draw_is_refused(draws: int) -> None:
    with pytest.raises(DesignError, match="draw"):
        infer(one_group([1.0, 2, 3, 4], 1), draws=draws)


def test_an_unknown_method_is_answered_with_the_nearest() -> None:
    with pytest.raises(DesignError, match="permutation"):
        infer(one_group([1.0, 2, 3, 4], 1), method="permutaton")


def test_constant_changes_give_a_p_value_of_one() -> None:
    result = infer(one_group([0.1] * 30, 2))
    assert result.p_value == 1.0
    assert (result.low, result.high) == (pytest.approx(0.0, abs=1e-9), pytest.approx(0.0, abs=1e-9))


@pytest.mark.parametrize("n", [31, 36, 52, 61])
def test_minimum_detectable_effect_of_one_area(n: int) -> None:
    # Add the effect to each area in turn and count how often all other changes are smaller in enough cases: by hand,
    # without the library's test. With n = 31 and alpha = 0.05 the estimate must lie beyond every other area.
    rng = np.random.default_rng(n)
    shares = []
    for _ in range(40):
        changes = rng.normal(size=n)
        size = infer(one_group(list(changes), 1)).minimum_detectable_effect
        assert size is not None
        for at in range(n):
            moved = changes.copy()
            moved[at] += size
            each = moved - (moved.sum() - moved) / (n - 1)  # each area against the mean of the others
            shares.append(np.mean(np.abs(each) >= np.abs(each[at]) - 1e-12) <= 0.05)
    assert 0.72 < np.mean(shares) < 0.92


def test_an_effect_outside_the_programme_years_has_an_interval_of_its_own() -> None:
    # One unit of twenty after it left: its exposure is zero while the window is tested. By brute force over t.
    rng = np.random.default_rng(9)
    changes = rng.normal(size=40)
    changes[0] += 4
    contrast = one_group(list(changes), 1)
    result = infer(contrast)
    assert result.smallest_p == pytest.approx(1 / 40)
    assert brute(changes, 1, (result.low or 0) - 1e-4) <= 0.05
    assert brute(changes, 1, (result.high or 0) + 1e-4) <= 0.05


def test_few_assignments_of_two_groups_are_all_listed_and_depend_on_no_seed() -> None:
    some = two_groups(1, 0.0)
    keep = np.r_[0, 2, 4:16]  # one unit in each group and twelve others: 14 * 13 = 182 assignments
    small = Contrast(
        label="small",
        att=float(
            0.6 * (some.changes[0, 0] - some.changes[4:16, 0].mean())
            + 0.4 * (some.changes[2, 1] - some.changes[4:16, 1].mean())
        ),
        units=tuple(some.units[at] for at in keep),
        group=some.group[keep],
        changes=some.changes[keep],
        exposure=some.exposure[keep],
        group_weights=some.group_weights,
        influence=None,
    )
    first, second = infer(small, seed=1), infer(small, seed=2)
    assert (first.n_sets, first.exact) == (182, True)
    assert first.p_value == second.p_value
    table, n = small.changes, 14
    as_large = 0
    for one, two in itertools.permutations(range(n), 2):
        rest = [at for at in range(n) if at not in (one, two)]
        value = 0.6 * (table[one, 0] - table[rest, 0].mean()) + 0.4 * (table[two, 1] - table[rest, 1].mean())
        as_large += abs(value) >= abs(small.att) - 1e-9
    assert first.p_value == pytest.approx(as_large / 182)


def test_the_order_of_the_units_does_not_change_a_drawn_result() -> None:
    some = two_groups(3, 0.0)
    order = np.random.default_rng(0).permutation(30)
    turned = Contrast(
        label="turned",
        att=some.att,
        units=tuple(some.units[at] for at in order),
        group=some.group[order],
        changes=some.changes[order],
        exposure=some.exposure[order],
        group_weights=some.group_weights,
        influence=None,
    )
    assert infer(turned, seed=5).p_value == infer(some, seed=5).p_value
