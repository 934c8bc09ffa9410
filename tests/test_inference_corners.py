"""Corners of inference: sets that mirror the treated, changes that do not vary, what refusals and notes say."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mekeval import DesignError, adjust, build_panel, cluster_robust, group_time_att, infer, make_design
from mekeval.estimate import Contrast
from mekeval.inference import permutation_bands
from mekeval.inference.conformal import conformal
from mekeval.inference.result import note_of


def of_changes(changes: list[float] | np.ndarray, n_treated: int, label: str = "y") -> Contrast:
    """One window; the first units are treated."""
    values = np.asarray(changes, dtype=float)
    group = np.where(np.arange(len(values)) < n_treated, 0, -1)
    return Contrast(
        label=label,
        att=float(values[:n_treated].mean() - values[n_treated:].mean()),
        units=tuple(f"u{at:03}" for at in range(len(values))),
        group=group,
        changes=values[:, None],
        exposure=(group == 0).astype(float)[:, None],
        group_weights=np.ones(1),
        influence=None,
    )


def of_two_windows(changes: np.ndarray, sizes: tuple[int, int], label: str = "y") -> Contrast:
    group = np.full(len(changes), -1)
    group[: sizes[0]], group[sizes[0] : sum(sizes)] = 0, 1
    att = [changes[group == at, at].mean() - changes[group < 0, at].mean() for at in (0, 1)]
    return Contrast(
        label=label,
        att=float(np.mean(att)),
        units=tuple(f"u{at:03}" for at in range(len(changes))),
        group=group,
        changes=changes,
        exposure=(group[:, None] == np.arange(2)) * 1.0,
        group_weights=np.full(2, 0.5),
        influence=None,
    )


# --- permutation


@pytest.mark.parametrize("changes", [[3.0, 5.0, 1.0, 0.0], [1.0, 2.0, 1.5, 0.0], [0.0, 0.3, 0.1, 0.9]])
def test_a_band_of_half_the_units_counts_the_mirror_image(changes: list[float]) -> None:
    """Two of four: the other two are the mirror image. An effect is kept where more than 0.4 of the six sets, so three
    or more, lie at least as far out as the treated, once it is taken from them."""
    values = np.array(changes)

    def p_value(effect: float) -> float:
        left = values - effect * np.array([1, 1, 0, 0])
        found = [
            abs(left[list(one)].mean() - np.delete(left, one).mean())
            for one in itertools.combinations(range(4), 2)
        ]
        return float(np.mean(np.array(found) >= found[0] - 1e-9))

    row = permutation_bands([of_changes(values, 2)], alpha=0.4).table.iloc[0]
    for low, high in (("low", "high"), ("low_uniform", "high_uniform")):
        assert p_value(row[low] + 1e-6) > 0.4 >= p_value(row[low] - 1e-6)
        assert p_value(row[high] - 1e-6) > 0.4 >= p_value(row[high] + 1e-6)
    assert row["p_value"] == pytest.approx(p_value(0.0))


def test_an_interval_of_two_windows_counts_sets_that_give_the_same_estimate() -> None:
    """Whole numbers, so that other sets tie with the real one: all 30 ways to choose one unit for each window."""
    changes = np.array([[3, 1], [0, 4], [3, 1], [0, 4], [0, 1], [2, 2]], dtype=float)
    for alpha in (0.1, 0.2, 0.3):
        found = infer(of_two_windows(changes, (1, 1)), method="permutation", alpha=alpha)

        def p_value(effect: float) -> float:
            left = changes - effect * np.array([[1, 0], [0, 1], *[[0, 0]] * 4])
            sums = []
            for first, second in itertools.permutations(range(6), 2):
                rest = [at for at in range(6) if at not in (first, second)]
                sums.append(left[first, 0] - left[rest, 0].mean() + left[second, 1] - left[rest, 1].mean())
            return float(np.mean(np.abs(sums) >= abs(sums[0]) - 1e-9))

        assert found.p_value == pytest.approx(p_value(0.0))
        for limit, side in ((found.low, -1), (found.high, 1)):
            if limit is None:
                assert p_value(found.estimate + side * 1e6) > alpha
            else:
                assert p_value(limit - side * 1e-6) > alpha >= p_value(limit + side * 1e-6)


@pytest.mark.parametrize("method", ["permutation", "studentised"])
def test_the_minimum_detectable_effect_is_the_smallest_that_is_found_eight_times_of_ten(method: str) -> None:
    """Counted: an effect is found where it moves what would be found without it to a critical value or beyond."""
    found = infer(of_changes(np.random.default_rng(8).normal(size=21), 1), method=method)
    assert found.critical is not None
    assert found.minimum_detectable_effect is not None
    low, high = found.critical

    def power(effect: float) -> float:
        tiny = 1e-9 * high
        moved = found.noise + effect
        return float(np.mean((moved <= low + tiny) | (moved >= high - tiny)))

    smallest = found.minimum_detectable_effect
    assert min(power(smallest), power(-smallest)) >= 0.8
    assert min(power(0.999 * smallest), power(-0.999 * smallest)) < 0.8


def test_groups_with_one_window_are_one_group() -> None:
    changes = np.random.default_rng(4).normal(size=(14, 1)) + np.r_[2, 2, 2, np.zeros(11)][:, None]
    group = np.array([0, 1, 1, *[-1] * 11])
    two = replace(
        of_changes(changes[:, 0], 3),
        group=group,
        changes=np.hstack([changes, changes]),
        exposure=(group >= 0)[:, None] * np.ones(2),
        group_weights=np.array([1 / 3, 2 / 3]),
    )
    one, both = infer(of_changes(changes[:, 0], 3), method="permutation"), infer(two, method="permutation")
    assert (both.n_sets, both.p_value) == (364, pytest.approx(one.p_value))  # 14 * 13 * 12 / 6
    assert (both.low, both.high) == (pytest.approx(one.low), pytest.approx(one.high))


def test_the_treated_themselves_are_among_the_sets_that_are_drawn() -> None:
    """An effect that no other set comes near: the p-value is one of so many draws and itself, and never zero."""
    changes = np.random.default_rng(6).normal(size=(30, 2))
    changes[:6] += 1000
    found = infer(of_two_windows(changes, (3, 3)), method="permutation", draws=199)
    assert (found.exact, found.n_sets, found.p_value) == (False, 200, 1 / 200)


def test_half_of_the_units_can_be_permuted_where_influence_functions_cannot_hold() -> None:
    """One treated unit has a window of its own, so that no error exists; 20 of 40 are treated."""
    changes = np.random.default_rng(7).normal(size=(40, 2))
    contrast = replace(of_two_windows(changes, (1, 19)), influence=np.ones(40))
    found = infer(contrast, draws=99)
    assert found.method == "permutation"
    assert found.because.startswith("one treated unit has a window of its own: no standard error exists; so")


def test_drawn_joint_sets_hang_on_the_seed_alone() -> None:
    rng = np.random.default_rng(5)
    outcomes = [of_two_windows(rng.normal(size=(30, 2)), (3, 3), label) for label in "ab"]
    one, same, other = (
        adjust(outcomes, seed=seed, draws=199).table["p_adjusted"].tolist() for seed in (1, 1, 2)
    )
    assert one == same != other


def test_the_smallest_p_value_may_be_alpha_and_not_above_it() -> None:
    """1 of 20 is 0.05, and can just be found; 1 of 19 cannot."""
    changes = np.arange(20.0)[::-1]
    assert note_of(infer(of_changes(changes, 1), alpha=1 / 20)) == ""
    note = note_of(infer(of_changes(changes[:19], 1), alpha=1 / 20))
    assert note == "not identifiable: the smallest p-value of this design is 0.0526"


# --- few groups


def test_donald_lang_of_a_comparison_that_does_not_vary_is_the_pooled_t_test_too() -> None:
    """1 and 3 against 5 zeros: s^2 = 2 / 5, and its error the root of 2 / 5 (1 / 2 + 1 / 5)."""
    changes = [1.0, 3.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    found = infer(of_changes(changes, 2), method="donald_lang")
    assert found.se == pytest.approx(np.sqrt(2 / 5 * (1 / 2 + 1 / 5)), rel=1e-12)
    assert found.p_value == pytest.approx(stats.ttest_ind(changes[:2], changes[2:]).pvalue, rel=1e-10)


def test_donald_lang_of_two_windows_of_which_one_comparison_does_not_vary() -> None:
    """By hand. First window: treated 1 and 3, comparison 0: s^2 = 2 / (4 + 2 - 2). Second: treated 2 and 4, comparison
    -1, 1, -1, 1: s^2 = (2 + 4) / 4. The comparison's means have no covariance."""
    changes = np.array([[1, 0], [3, 0], [0, 2], [0, 4], [0, -1], [0, 1], [0, -1], [0, 1]], dtype=float)
    found = infer(of_two_windows(changes, (2, 2)), method="donald_lang")
    expected = 0.25 * (2 / 4) * (1 / 2 + 1 / 4) + 0.25 * (6 / 4) * (1 / 2 + 1 / 4)
    assert found.se == pytest.approx(np.sqrt(expected), rel=1e-12)


def test_changes_that_differ_by_rounding_alone_have_no_error() -> None:
    """0.1 + 0.2 is not 0.3 on a computer, and no unit moved otherwise than another."""
    with pytest.raises(DesignError, match="no standard error") as caught:
        infer(of_changes([0.3, 0.1 + 0.2, 0.3, 0.1 + 0.2, 0.3, 0.3], 2), method="donald_lang")
    assert caught.value.faults[0].found == "0"


# --- what is said


def test_what_cannot_be_adjusted_is_told_by_its_name() -> None:
    with pytest.raises(DesignError) as caught:
        adjust([])
    assert (caught.value.faults[0].what, caught.value.faults[0].where) == (
        "There is nothing to adjust.",
        "tested",
    )
    with pytest.raises(DesignError) as caught:
        adjust([of_changes(np.arange(12.0), 1, label) for label in ("a", "b", "b")])
    assert caught.value.faults[0].found == "'b'"


def test_contrasts_of_other_treated_units_are_told() -> None:
    with pytest.raises(DesignError) as caught:
        permutation_bands([of_changes(np.arange(12.0), 1, "a"), of_changes(np.arange(12.0), 2, "b")])
    (fault,) = caught.value.faults
    assert fault.what == (
        "The contrasts do not have the same treated units and groups, so they share no treated sets."
    )
    assert (fault.where, fault.found, fault.expected) == ("b", "u000, u001", "those of a")


def test_regressions_need_a_panel_and_say_what_they_are() -> None:
    with pytest.raises(DesignError) as caught:
        infer(of_changes(np.arange(12.0), 1), method="cr2")
    (fault,) = caught.value.faults
    assert (fault.where, fault.found) == ("method 'cr2'", "Contrast")
    units = [f"u{at:02}" for at in range(12)]
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(
        [(unit, year, rng.normal()) for unit in units for year in range(4)], columns=["u", "t", "y"]
    )
    panel = build_panel(frame, unit="u", period="t", outcome=["y"])
    found = cluster_robust(panel, make_design(units, [(2, 3, units[:2])]), outcome="y", kind="cr2")
    assert found.because.startswith("a cluster-robust variance (CR2), asked for by name, with t of ")
    with pytest.raises(DesignError) as caught:
        cluster_robust(panel, make_design(units, [(2, 3, units[:1])]), outcome="y")
    assert caught.value.faults[0].fix == (
        "Use permutation or the rule placebo; a kind that is named is given, with a warning."
    )
    effects = group_time_att(panel, make_design(units, [(2, 3, units[:3])]), outcome="y")
    with pytest.raises(DesignError, match="no influence function") as caught:
        infer(replace(effects, influence=None), method="influence")
    assert caught.value.faults[0].where == "y"


def test_settings_and_populations_that_lack_are_told() -> None:
    one = of_changes(np.arange(12.0), 1)
    with pytest.raises(DesignError) as caught:
        infer(one, draws=0)
    fault = caught.value.faults[0]
    assert (fault.where, fault.found, fault.expected) == ("draws", "0", "a whole number, at least 1")
    with pytest.raises(DesignError) as caught:
        infer(one, method="scaled")
    assert caught.value.faults[0].where == "y, method 'scaled'"


def test_a_regression_says_what_it_cannot_tell_apart() -> None:
    units = [f"u{at:02}" for at in range(10)]
    frame = pd.DataFrame([(unit, year) for unit in units for year in range(2000, 2004)], columns=["u", "t"])
    rng = np.random.default_rng(1)
    values = frame.assign(y=rng.normal(size=40), x=frame["t"] * 2.0, z=rng.normal(size=40))
    panel = build_panel(values, unit="u", period="t", outcome=["y", "x", "z"])
    design = make_design(units, [(2002, 2003, units[:3])])
    with pytest.raises(DesignError) as caught:
        cluster_robust(panel, design, outcome="y", covariates=["x", "z"])
    assert (caught.value.faults[0].where, caught.value.faults[0].found) == ("y", "x")
    with pytest.raises(DesignError) as caught:
        cluster_robust(panel, make_design(units, [(2010, 2011, units[:3])]), outcome="y")
    (fault,) = caught.value.faults
    assert (fault.what, fault.where, fault.found) == (
        "No unit is treated in a period with data.",
        "y",
        "data from 2000 to 2003",
    )


def test_years_that_are_too_few_for_a_conformal_test_are_told_the_way_out() -> None:
    """4 years, of which one in the programme: the smallest p-value is 1 / 4."""
    rng = np.random.default_rng(2)
    units = ["a", "b", "c"]
    frame = pd.DataFrame([(u, t, rng.normal()) for u in units for t in range(4)], columns=["u", "t", "y"])
    panel = build_panel(frame, unit="u", period="t", outcome=["y"])
    for permutations, more in (
        ("iid", "."),
        (
            "moving_block",
            "; or permutations='iid', if errors of one year do not hang together with those of the next.",
        ),
    ):
        with pytest.raises(DesignError) as caught:
            conformal(panel, make_design(units, [(3, 3, ["a"])]), outcome="y", permutations=permutations)
        (fault,) = caught.value.faults
        assert fault.found == "3 years before entry and 1 in the programme, smallest p-value 0.25"
        assert (fault.expected, fault.fix) == (
            "at most 0.05",
            f"Use permutation of areas or the rule placebo{more}",
        )
