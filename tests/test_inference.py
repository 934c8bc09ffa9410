"""Permutation tests against cases worked by hand and against brute force."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mekeval import DesignError, infer
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
    assert "too small" in infer(few, method="influence").because
    with pytest.raises(DesignError, match="One treated unit has no standard error"):
        infer(one_group([1.0, 2, 3], 1), method="influence")


@pytest.mark.parametrize("alpha", [0.0, 1.0, -1, 2])
def test_alpha_out_of_range_is_refused(alpha: float) -> None:
    with pytest.raises(DesignError, match="alpha"):
        infer(one_group([1.0, 2, 3, 4], 1), alpha=alpha)


def test_a_comparison_smaller_than_the_treated_set_is_refused() -> None:
    with pytest.raises(DesignError, match="smaller than the treated set"):
        infer(one_group([1.0, 2, 3, 4, 5], 3))


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
