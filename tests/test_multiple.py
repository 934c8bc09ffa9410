"""Several outcomes and several event times under the same treated sets, by hand, by brute force and by simulation."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest

from mekeval import DesignError, build_panel, group_time_att, infer, make_design
from mekeval.estimate import Contrast, Effects
from mekeval.inference import Inference, adjust, permutation_bands
from mekeval.inference.multiple import holm, step_down

# p-values and what statsmodels 0.15.0 gives for them, statsmodels.stats.multitest.multipletests.
P_VALUES = [0.01, 0.013, 0.014, 0.19, 0.35, 0.5, 0.63, 0.67, 0.75, 0.81, 0.021]
HOLM = [0.11, 0.13, 0.13, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.168]
BONFERRONI = [0.11, 0.143, 0.154, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.231]


def outcome(
    changes: list[float] | np.ndarray, k: int, label: str, units: list[int] | None = None
) -> Contrast:
    """One outcome; the first k units treated."""
    values = np.asarray(changes, dtype=float)
    group = np.where(np.arange(len(values)) < k, 0, -1)
    return Contrast(
        label=label,
        att=float(values[:k].mean() - values[k:].mean()),
        units=tuple(f"u{i:02}" for i in (units or range(len(values)))),
        group=group,
        changes=values[:, None],
        exposure=(group == 0)[:, None] * 1.0,
        group_weights=np.ones(1),
        influence=None,
    )


def with_p(label: str, p_value: float) -> Inference:
    found = infer(outcome(range(8), 1, label))
    return Inference(**{**found.__dict__, "p_value": p_value})


def test_romano_wolf_by_hand() -> None:
    # Five units, the first treated; a unit's estimate is 5/4 of its deviation from the mean (all means are zero), and
    # the root mean squares are 2.5, 1.25 sqrt 2 twice. So in spreads, unit by unit:
    #   a  2.000  0.500  0.500  0.500  0.500
    #   b  1.414  1.414  0.707  0.707  0.000
    #   c  0.707  0.707  0.000  1.414  1.414
    # a: the largest of each unit reaches 2 in one of five. b: the largest of b and c reaches 1.414 in four. c: 0.707 is
    # reached in four.
    found = adjust(
        [
            outcome([4, -1, -1, -1, -1], 1, "a"),
            outcome([2, -2, 1, -1, 0], 1, "b"),
            outcome([1, -1, 0, 2, -2], 1, "c"),
        ]
    )
    assert (found.exact, found.n_sets) == (True, 5)
    assert found.table["p_value"].to_numpy() == pytest.approx([1 / 5, 2 / 5, 4 / 5])
    assert found.table["p_adjusted"].to_numpy() == pytest.approx([1 / 5, 4 / 5, 4 / 5])
    assert not found.table["rejected"].any()


def test_holm_and_bonferroni_are_those_of_statsmodels() -> None:
    tested = [with_p(f"y{at}", p_value) for at, p_value in enumerate(P_VALUES)]
    for method, expected in (("holm", HOLM), ("bonferroni", BONFERRONI)):
        found = adjust(tested, method=method)
        assert found.table["p_adjusted"].to_numpy() == pytest.approx(expected, abs=1e-12)
        assert list(found.table["label"]) == [f"y{at}" for at in range(11)]


def test_holm_by_hand() -> None:
    # 0.01 x 4, 0.02 x 3, 0.03 x 2 = 0.06, 0.04 x 1 raised to 0.06
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])


def test_romano_wolf_is_between_the_raw_values_and_bonferroni_and_rises() -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        table = rng.normal(size=(14, 5)) @ rng.normal(size=(5, 5)) + np.r_[np.ones((2, 5)), np.zeros((12, 5))]
        found = adjust([outcome(column, 2, f"y{at}") for at, column in enumerate(table.T)])
        raw, adjusted = found.table["p_value"].to_numpy(), found.table["p_adjusted"].to_numpy()
        assert (adjusted >= raw - 1e-12).all()
        assert (adjusted <= np.minimum(1, 5 * raw.max()) + 1e-12).all()
        sizes = [
            abs(one[:2].mean() - one[2:].mean()) / one.std() for one in table.T
        ]  # the spread over all sets is proportional to the standard deviation of the units
        assert (np.diff(adjusted[np.argsort(sizes)[::-1]]) >= 0).all()
        for at, column in enumerate(table.T):
            assert raw[at] == pytest.approx(infer(outcome(column, 2, "")).p_value)


def test_romano_wolf_of_outcomes_that_are_one_is_no_adjustment() -> None:
    column = np.random.default_rng(3).normal(size=15)
    found = adjust([outcome(column * scale, 2, f"y{scale}") for scale in (1, 5, 100)])
    assert found.table["p_adjusted"].to_numpy() == pytest.approx(found.table["p_value"].to_numpy())


def test_no_outcome_is_rejected_by_chance_more_often_than_alpha() -> None:
    # Ten outcomes, none with an effect: any rejection is false. 400 data sets: Monte Carlo error 1.1 points.
    rng = np.random.default_rng(4)
    loading = rng.normal(size=(10, 10))
    any_false = {"romano_wolf": 0, "raw": 0}
    for _ in range(400):
        table = rng.normal(size=(20, 10)) @ loading
        found = adjust([outcome(column, 2, f"y{at}") for at, column in enumerate(table.T)]).table
        any_false["romano_wolf"] += found["rejected"].any()
        any_false["raw"] += (found["p_value"] <= 0.05).any()
    assert abs(any_false["romano_wolf"] / 400 - 0.05) < 3.5 * math.sqrt(0.05 * 0.95 / 400)
    assert any_false["raw"] / 400 > 0.2


def test_step_down_finds_a_second_outcome_that_a_single_step_misses() -> None:
    # 20 sets. The first outcome is the largest in its own set; the second is reached by the first outcome in two other
    # sets, so a single step gives 3/20, but once the first is rejected only its own set counts.
    statistics = np.zeros((20, 2))
    statistics[0] = [5, 3]
    statistics[1:3, 0] = 4
    assert step_down(statistics, statistics[0]) == pytest.approx([1 / 20, 1 / 20])
    assert np.mean(statistics.max(axis=1) >= 3) == pytest.approx(3 / 20)


def test_primary_outcomes_are_a_family_of_their_own() -> None:
    tested = {name: with_p(name, p_value) for name, p_value in (("a", 0.02), ("b", 0.03), ("c", 0.04))}
    found = adjust(tested, method="holm", primary=["c"])
    assert list(found.table["family"]) == ["secondary", "secondary", "primary"]
    assert found.table["p_adjusted"].to_numpy() == pytest.approx([0.04, 0.04, 0.04])


def test_comparison_units_that_an_outcome_lacks_are_left_out_of_its_means() -> None:
    rng = np.random.default_rng(6)
    full, short = rng.normal(size=9), rng.normal(size=8)
    units = [0, 1, 2, 3, 4, 5, 6, 8]  # unit 7 has no second outcome
    found = adjust([outcome(full, 2, "full"), outcome(short, 2, "short", units)])
    as_large = 0
    for chosen in itertools.combinations(range(9), 2):
        inside = np.array([unit in chosen for unit in units])
        as_large += (
            abs(short[inside].mean() - short[~inside].mean())
            >= abs(short[:2].mean() - short[2:].mean()) - 1e-12
        )
    assert found.n_sets == 36
    assert found.table["p_value"].iloc[1] == pytest.approx(as_large / 36)
    assert found.table["p_value"].iloc[0] == pytest.approx(infer(outcome(full, 2, "")).p_value)


def test_a_set_without_a_value_counts_against_rejection() -> None:
    # One treated unit; the set of the unit that the outcome lacks has no estimate.
    values = np.r_[100.0, np.arange(8)]
    found = adjust(
        [outcome(np.r_[100.0, np.arange(9)], 1, "full"), outcome(values, 1, "short", list(range(9)))]
    )
    assert found.table["p_value"].tolist() == [pytest.approx(1 / 10), pytest.approx(2 / 10)]


def test_with_populations_the_draws_are_the_scaled_ones() -> None:
    rng = np.random.default_rng(9)
    population = dict(
        zip([f"u{i:02}" for i in range(24)], rng.uniform(500, 9000, size=24).round(), strict=True)
    )
    tested = [outcome(rng.normal(size=24) + np.r_[3 * at, np.zeros(23)], 1, f"y{at}") for at in range(3)]
    found = adjust(tested, population=population)
    singles = [infer(one, method="ferman_pinto", population=population) for one in tested]
    assert found.table["p_value"].tolist() == pytest.approx([one.p_value for one in singles])
    assert found.table["estimate"].tolist() == pytest.approx([one.estimate for one in singles])
    assert (found.table["p_adjusted"] >= found.table["p_value"] - 1e-12).all()


def test_what_cannot_be_adjusted_is_refused() -> None:
    one, other = outcome(range(9), 2, "a"), outcome(range(9), 1, "b")
    with pytest.raises(DesignError, match="same treated units"):
        adjust([one, other])
    with pytest.raises(DesignError, match="stands twice"):
        adjust([one, one])
    with pytest.raises(DesignError, match="nothing to adjust"):
        adjust([])
    with pytest.raises(DesignError, match="needs contrasts"):
        adjust([one, with_p("b", 0.1)])
    with pytest.raises(DesignError, match="primary outcome"):
        adjust([one], primary=["x"])
    with pytest.raises(DesignError, match="romano_wolf"):
        adjust([one], method="romano-wolf")
    with pytest.raises(DesignError, match="alpha"):
        adjust([one], alpha=1.0)


def study(values: np.ndarray, waves: list[tuple[int, int, list[str]]]) -> Effects:
    """Effects of units named u00, u01, ... over years 1, 2, ..."""
    units = [f"u{at:02}" for at in range(len(values))]
    years = range(1, values.shape[1] + 1)
    frame = pd.DataFrame(
        [(unit, year, values[at, year - 1]) for at, unit in enumerate(units) for year in years],
        columns=["u", "t", "y"],
    )
    panel = build_panel(frame, unit="u", period="t", outcome=["y"])
    return group_time_att(panel, make_design(units, waves), outcome="y", base_period="universal")


def test_bands_of_one_estimate_are_its_interval() -> None:
    for seed in range(5):
        one = outcome(np.random.default_rng(seed).normal(size=22) + np.r_[1.5, 1.5, np.zeros(20)], 2, "y")
        found, row = infer(one), permutation_bands([one]).table.iloc[0]
        assert (row["p_value"], row["p_joint"]) == (
            pytest.approx(found.p_value),
            pytest.approx(found.p_value),
        )
        for limit in ("low", "high"):
            assert row[limit] == row[f"{limit}_uniform"] == pytest.approx(getattr(found, limit))


def test_joint_p_value_by_hand() -> None:
    # The three outcomes of the Romano-Wolf case: the largest of a unit reaches 2 in one of five, 1.414 in four of five
    # (units 1, 2, 4, 5) and 0.707 in all.
    found = permutation_bands(
        [
            outcome([4, -1, -1, -1, -1], 1, "a"),
            outcome([2, -2, 1, -1, 0], 1, "b"),
            outcome([1, -1, 0, 2, -2], 1, "c"),
        ]
    )
    assert found.p_value == pytest.approx(1 / 5)
    assert found.table["p_joint"].tolist() == pytest.approx([1 / 5, 4 / 5, 1.0])
    assert found.table[["low", "high_uniform"]].isna().all().all()  # 1/5 > 0.05
    assert found.smallest_p == pytest.approx(1 / 5)


def test_bands_of_an_event_study_are_made_of_its_contrasts() -> None:
    values = np.random.default_rng(2).normal(size=(24, 6)).cumsum(axis=1)
    effects = study(values, [(4, 6, ["u00", "u01"])])
    bands = permutation_bands(effects)
    changes = values - values[:, [2]]
    assert list(bands.table["key"]) == [-3, -2, 0, 1, 2]
    for key, column in zip(bands.table["key"], changes[:, [0, 1, 3, 4, 5]].T, strict=True):
        single = infer(outcome(column, 2, ""))
        row = bands.table.set_index("key").loc[key]
        assert row["p_value"] == pytest.approx(single.p_value)
        assert (row["low"], row["high"]) == (pytest.approx(single.low), pytest.approx(single.high))
        assert row["low_uniform"] <= row["low"]
        assert row["high_uniform"] >= row["high"]
    assert (bands.exact, bands.n_sets) == (True, math.comb(24, 2))
    assert bands.p_value_pre is not None
    pre = permutation_bands([outcome(column, 2, f"{at}") for at, column in enumerate(changes[:, :2].T)])
    assert bands.p_value_pre == pytest.approx(pre.p_value)


@pytest.mark.parametrize(
    "waves", [[(4, 6, ["u00", "u01"])], [(4, 6, ["u00", "u01"]), (5, 6, ["u02", "u03"])]]
)
def test_bands_hold_for_all_event_times_together(waves: list[tuple[int, int, list[str]]]) -> None:
    # Random walks; an effect that grows with the years. All event times are covered in 95 % of the data sets, and none
    # differs from zero by the joint test in 95 % of those without an effect. 80 data sets: 2.4 points.
    rng = np.random.default_rng(7)
    covered, pointwise, rejected, bounded = 0, 0, 0, 0
    for _ in range(80):
        values = rng.normal(size=(24, 6)).cumsum(axis=1)
        rejected += permutation_bands(study(values, waves), draws=499).p_value <= 0.05
        for first, last, units in waves:
            for unit in units:
                values[int(unit[1:]), first - 1 : last] += 1.5 * np.arange(1, last - first + 2)
        table = permutation_bands(study(values, waves), draws=499).table
        true = np.where(table["key"] < 0, 0.0, 1.5 * (table["key"] + 1))
        low, high = table["low_uniform"].fillna(-np.inf), table["high_uniform"].fillna(np.inf)
        covered += bool(((low <= true) & (true <= high)).all())
        bounded += bool(np.isfinite(high - low).all())
        low, high = table["low"].fillna(-np.inf), table["high"].fillna(np.inf)
        pointwise += bool(((low <= true) & (true <= high)).all())
    error = 3.5 * math.sqrt(0.05 * 0.95 / 80)
    assert abs(rejected / 80 - 0.05) < error
    assert covered / 80 > 0.95 - error
    assert bounded > 60
    if len(waves) == 1:
        assert covered < 80
    assert pointwise < covered - 2


def test_draws_repeat_with_a_seed() -> None:
    values = np.random.default_rng(5).normal(size=(60, 5))
    waves = [(3, 5, ["u00", "u01"]), (4, 5, ["u02"])]
    effects = study(values, waves)
    first, again, other = (permutation_bands(effects, seed=seed, draws=299) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(first.table, again.table)
    assert not first.exact
    assert not first.table.equals(other.table)


def test_contrasts_of_other_units_and_a_small_comparison_are_refused() -> None:
    with pytest.raises(DesignError, match="same treated units"):
        permutation_bands([outcome(range(9), 2, "a"), outcome(range(9), 1, "b")])
    with pytest.raises(DesignError, match="smaller than the treated"):
        permutation_bands([outcome(range(5), 3, "a")])
    with pytest.raises(DesignError, match="nothing to test"):
        permutation_bands([])
