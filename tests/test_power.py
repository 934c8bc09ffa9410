"""Power curves against formulas and against effects injected into data."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from mekeval import DesignError, infer
from mekeval.estimate import Contrast
from mekeval.inference import power_curve


def one_group(changes: np.ndarray, k: int, influence: np.ndarray | None = None) -> Contrast:
    group = np.where(np.arange(len(changes)) < k, 0, -1)
    return Contrast(
        label="y",
        att=float(changes[:k].mean() - changes[k:].mean()),
        units=tuple(f"u{i:02}" for i in range(len(changes))),
        group=group,
        changes=changes[:, None],
        exposure=(group == 0)[:, None] * 1.0,
        group_weights=np.ones(1),
        influence=influence,
    )


def test_power_of_a_normal_test_is_the_formula() -> None:
    psi = np.random.default_rng(0).normal(size=60)
    found = infer(one_group(np.arange(60.0), 25, psi))
    error = found.se or 0.0
    effects = np.array([-2.0, 0.0, 0.5, 1.0, 3.0]) * error
    curve = power_curve(found, effects=effects)
    z = stats.norm.ppf(0.975)
    expected = stats.norm.sf(z - effects / error) + stats.norm.cdf(-z - effects / error)
    assert curve.table["power"].to_numpy() == pytest.approx(expected, abs=1e-3)
    assert curve.minimum_detectable_effect == pytest.approx((z + stats.norm.ppf(0.8)) * error, rel=1e-3)


@pytest.mark.parametrize(
    "method", ["permutation", "studentised", "scaled", "ferman_pinto", "conley_taber", "donald_lang"]
)
def test_the_curve_and_the_inference_name_the_same_smallest_effect(method: str) -> None:
    rng = np.random.default_rng(4)
    contrast, population = one_group(rng.normal(size=60), 3), rng.uniform(500, 9000, size=60)
    found = infer(contrast, method=method, population=population, draws=1999)
    curve = power_curve(contrast, method=method, population=population, draws=1999)
    assert curve.method == found.method == method
    assert curve.minimum_detectable_effect == pytest.approx(found.minimum_detectable_effect, rel=5e-3)
    power = power_curve(found, effects=[found.minimum_detectable_effect or 0.0]).table["power"].iloc[0]
    assert power == pytest.approx(0.8, abs=0.01) or power > 0.8


def test_power_by_hand() -> None:
    # Changes 0..24, the first treated; without its effect it moves like the mean of the others, 12.5. So the sets give
    # 25/24 (i - 12.5) for i = 1..24, from -11.5 to 11.5 steps, and 0. At alpha 0.1 two of 25 may be as large: both
    # ends, so rejection is from 11.5 on. An effect of one step takes the second largest there as well and leaves the
    # lowest short of it: 2 of 25. An effect of six steps takes seven.
    step = 25 / 24
    curve = power_curve(one_group(np.arange(25.0), 1), effects=[0.0, step, 6 * step, -step], alpha=0.1)
    assert curve.table["power"].to_numpy() == pytest.approx([2 / 25, 2 / 25, 7 / 25, 2 / 25])
    # 0.8 of 25 are 20 sets: twelve above 0, the 0 and seven below it, to -6.5: 18 steps short of 11.5.
    assert curve.minimum_detectable_effect == pytest.approx(18 * step)


def test_power_is_that_of_injected_effects() -> None:
    # The effect is added to random sets of the same areas, and each is tested: 300 sets.
    rng = np.random.default_rng(8)
    changes = rng.normal(size=30)
    effects = np.array([0.6, 1.2])
    expected = power_curve(one_group(changes, 3), effects=effects).table["power"].to_numpy()
    for effect, share in zip(effects, expected, strict=True):
        rejected = []
        for _ in range(300):
            drawn = rng.permutation(changes)
            drawn[:3] += effect
            rejected.append(infer(one_group(drawn, 3)).p_value <= 0.05)
        assert abs(np.mean(rejected) - share) < 0.10 + 3 * math.sqrt(0.25 / 300)


def test_a_curve_rises_with_the_size_of_the_effect_and_spans_twice_the_smallest() -> None:
    curve = power_curve(one_group(np.random.default_rng(3).normal(size=36), 2))
    effect, power = (curve.table[name].to_numpy() for name in ("effect", "power"))
    assert curve.minimum_detectable_effect is not None
    assert effect[-1] == pytest.approx(2 * curve.minimum_detectable_effect)
    assert (np.diff(power[effect >= 0]) >= -0.03).all()
    assert power[-1] > 0.95
    assert power.min() < 0.1


def test_a_design_that_can_conclude_nothing_has_no_power() -> None:
    curve = power_curve(one_group(np.arange(10.0), 1), effects=[0.0, 1e6])
    assert curve.table["power"].tolist() == [0.0, 0.0]
    assert curve.minimum_detectable_effect is None


def test_bad_targets_and_effects_are_refused() -> None:
    contrast = one_group(np.arange(30.0), 1)
    for target in (0.0, 1.0):
        with pytest.raises(DesignError, match="target"):
            power_curve(contrast, target=target)
    with pytest.raises(DesignError, match="finite"):
        power_curve(contrast, effects=[float("nan")])
    with pytest.raises(DesignError, match="alpha"):
        power_curve(contrast, alpha=0.0)
