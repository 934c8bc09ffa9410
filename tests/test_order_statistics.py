"""Shortcuts against what they stand for: a full sort, numpy's quantile, the median of each rest, pandas' ranks."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mekeval.inference.ordered import order_statistics, quantile_of
from mekeval.sensitivity.altered import _ranks
from mekeval.sensitivity.compare_cities import _medians_of_others


@pytest.mark.parametrize("digits", [None, 3, 0])  # with 0 nearly everything is a tie, and all is sorted
@pytest.mark.parametrize("sizes", [(150_000,), (90_000, 1, 0, 17, 60_000), (40_000, 40_000, 40_000), (3, 2)])
def test_the_values_of_ranks_are_those_of_a_full_sort(sizes: tuple[int, ...], digits: int | None) -> None:
    generator = np.random.default_rng(len(sizes))
    parts = [np.sort(generator.normal(at, 1 + at, size)) for at, size in enumerate(sizes)]
    if digits is not None:
        parts = [np.round(part, digits) for part in parts]
    n = sum(sizes)
    ranks = np.r_[0, n - 1, generator.integers(0, n, 300), np.linspace(0, n - 1, 200).astype(int)]
    assert np.array_equal(order_statistics(parts, ranks), np.sort(np.concatenate(parts))[ranks])


def test_a_quantile_is_that_of_numpy_to_the_last_bit() -> None:
    generator = np.random.default_rng(1)
    for n in (2, 3, 10, 999, 1_000):
        values = generator.normal(size=n)
        for share in (0.0, 0.001, 0.3, 0.5, 0.995, 1.0, *generator.random(20)):
            assert quantile_of(values, share) == np.quantile(values, share)


@pytest.mark.parametrize("n", [2, 3, 8, 9, 24])
def test_the_median_of_all_others_is_that_without_one(n: int) -> None:
    values = np.round(np.random.default_rng(n).normal(size=n), 1)  # with ties
    alone = [np.median(np.delete(values, at)) for at in range(n)]
    assert _medians_of_others(values).tolist() == alone


@pytest.mark.parametrize("seed", range(6))
def test_ranks_within_a_city_and_year_are_those_of_pandas(seed: int) -> None:
    generator = np.random.default_rng(seed)
    values = np.round(generator.normal(size=(50, 4)), seed % 3)
    values[generator.random(values.shape) < 0.1 * (seed % 2)] = np.nan
    city, complete = generator.integers(0, 4, 50).astype(str), generator.random(50) < 0.8
    wanted = np.where(np.isnan(values), np.nan, 0.5)
    for name in set(city):
        rows = (city == name) & complete
        part = pd.DataFrame(values[rows])
        wanted[rows] = (part.rank() - 0.5) / part.notna().sum().clip(1)
    np.testing.assert_array_equal(_ranks(values, city, complete), wanted)
