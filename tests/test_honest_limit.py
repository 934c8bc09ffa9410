"""The breakdown value against plain bisection that asks all parts at every size."""

from __future__ import annotations

import numpy as np
import pytest

from mekeval.sensitivity.honest import limit
from mekeval.sensitivity.honest.engine import Problem, interval, problem
from mekeval.sensitivity.honest.restrictions import Restriction, Times


def _plain(given: Problem, start: float) -> float:
    def excluded(size: float) -> bool:
        return limit._lets_in_zero(given, size, []) is None

    if not excluded(0.0):
        return -np.inf
    low, high = 0.0, start
    while excluded(high):
        low, high = high, 2 * high
        if high > 1e5:
            return np.inf
    while high - low > 1e-5 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if excluded(middle) else (low, middle)
    return low


@pytest.mark.parametrize("restriction", ["relative_magnitudes", "relative_smoothness"])
@pytest.mark.parametrize("seed", range(6))
def test_asking_one_part_finds_the_size_that_all_parts_give(restriction: Restriction, seed: int) -> None:
    generator = np.random.default_rng(seed)
    times = Times(pre=np.arange(-4.0, -1.0), post=np.arange(2.0), base=-1.0)
    root = generator.normal(size=(5, 5))
    given = problem(
        np.r_[generator.normal(0, 0.3, 3), generator.normal(2.5, 0.5, 2)],
        0.02 * (root @ root.T / 5 + np.eye(5)),
        times,
        np.array([0.5, 0.5]),
        restriction,
        bias=None,
        monotone=None,
        alpha=0.05,
        draws=500,
        seed=seed,
        grid_points=200,
    )
    sizes = np.array([1.0])
    found = limit.breakdown(given, sizes, 1.0)
    assert found == _plain(given, 1.0)
    one = interval(given, 1.0)
    assert limit.breakdown(given, sizes, 1.0, {1.0: one.low <= 0 <= one.high}) == found


def test_a_part_that_rejects_zero_again_at_a_larger_size_is_not_passed_over() -> None:
    """Tests of neighbouring sizes have other critical values, so that zero can be let in, left out and let in again."""
    generator = np.random.default_rng(3015)
    times = Times(pre=np.arange(-5.0, -1.0), post=np.arange(3.0), base=-1.0)
    root = generator.normal(size=(7, 7))
    given = problem(
        np.r_[generator.normal(0, 0.3, 4), generator.normal(1, 0.5, 3)],
        0.02 * (root @ root.T / 7 + np.eye(7)),
        times,
        np.ones(3) / 3,
        "relative_smoothness",
        bias=None,
        monotone="decreasing",
        alpha=0.05,
        draws=200,
        seed=3015,
        grid_points=100,
    )
    assert limit.breakdown(given, np.array([1.0]), 1.0) == _plain(given, 1.0)
