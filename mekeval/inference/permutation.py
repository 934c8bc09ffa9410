"""The reference distribution of a contrast under permutation of the treated sets, and intervals by inversion."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from ..estimate import Contrast
from ..panel import Floats

Positions = npt.NDArray[np.intp]
#: All treated sets are enumerated up to this many; of several groups, whose sets are listed one by one, fewer.
MOST_SETS = 10_000_000
MOST_ASSIGNMENTS = 50_000
_ROUNDING = 1e-9


@dataclass(frozen=True, kw_only=True)
class Reference:
    """Estimates that the same arithmetic gives for other treated sets.

    Attributes
    ----------
    statistics : array, shape (n_sets,)
        The estimate with each set in the place of the treated; the real set among them.
    slopes : array, shape (n_sets,)
        What a constant effect of 1 in the truly treated units adds to each of them.
    exact : bool
        Whether these are all sets.
    scale : float
        Size of a rounding error in `statistics`, in their unit.
    """

    statistics: Floats
    slopes: Floats
    exact: bool
    scale: float

    @property
    def n_sets(self) -> int:
        """Sets in the distribution, the real one included."""
        return len(self.statistics)

    @property
    def smallest_p(self) -> float:
        """The share of sets that count whatever the outcome: the real one, its mirror image, and such that a true
        effect moves more than the real one (see `interval`)."""
        return float(np.mean(np.abs(self.slopes) >= 1 - _ROUNDING))

    def share_as_large(self, estimate: float) -> float:
        """Share of sets whose estimate is at least as large in size."""
        return float(np.mean(np.abs(self.statistics) >= abs(estimate) - self.scale))


def reference_distribution(contrast: Contrast, *, seed: int, draws: int) -> Reference:
    """All treated sets where they are few enough, else seeded draws; groups with one window are one group."""
    contrast = _joined(contrast)
    sizes = np.bincount(contrast.group[contrast.group >= 0])
    n = len(contrast.group)
    scale = _ROUNDING * float(np.max(np.abs(contrast.changes), initial=1e-300))
    if len(sizes) == 1 and math.comb(n, int(sizes[0])) <= MOST_SETS:
        k = int(sizes[0])
        totals = subset_sums(contrast.changes[:, 0], k)
        slopes = subset_sums(contrast.exposure[:, 0], k)
        return Reference(
            statistics=_difference(totals, contrast.changes[:, 0], k),
            slopes=_difference(slopes, contrast.exposure[:, 0], k),
            exact=True,
            scale=scale,
        )
    few = len(sizes) > 1 and _assignments(n, sizes) <= MOST_ASSIGNMENTS
    # By the names of the units, so that the order of a file does not change what is drawn.
    names = np.argsort(np.array(contrast.units), kind="stable")
    orders = _listed(n, tuple(int(size) for size in sizes)) if few else names[_shuffled(n, seed, draws)]
    if not few:
        real = np.argsort(np.where(contrast.group < 0, len(sizes), contrast.group), kind="stable")
        orders = np.vstack([real, orders])
    statistics, slopes = _assigned(contrast, sizes, orders[:, : int(sizes.sum())])
    return Reference(statistics=statistics, slopes=slopes, exact=few, scale=scale)


def interval(estimate: float, reference: Reference, alpha: float) -> tuple[float | None, float | None]:
    """All effects that the permutation test at `alpha` does not reject, in closed form.

    Under a constant effect t the statistic of a set S is a_S - t b_S, and of the real set ``estimate - t``. S counts
    against rejection where ``|a_S - t b_S| >= |estimate - t|``: with |b_S| <= 1 an interval of t between
    (estimate - a_S) / (1 - b_S) and (estimate + a_S) / (1 + b_S) that holds `estimate`. So the p-value falls to both
    sides of the estimate, and each limit is an order statistic of the ends of these intervals. A set with |b_S| > 1,
    which needs another group in the programme in the base years, counts far away on both sides; it is taken to count
    everywhere, which makes the interval wider, never narrower.

    Returns
    -------
    low, high : float or None
        None where no effect on that side is ever rejected.
    """
    a, b = reference.statistics, reference.slopes
    one = _root(estimate - a, 1 - b, reference.scale)
    two = _root(estimate + a, 1 + b, reference.scale)
    ends_low, ends_high = np.minimum(one, two), np.maximum(one, two)
    both = ((np.abs(1 - b) < _ROUNDING) & (np.abs(estimate - a) <= reference.scale)) | (
        (np.abs(1 + b) < _ROUNDING) & (np.abs(estimate + a) <= reference.scale)
    )
    both |= np.abs(b) > 1 + _ROUNDING
    ends_low[both], ends_high[both] = -np.inf, np.inf
    needed = math.floor(alpha * reference.n_sets + _ROUNDING) + 1  # so many sets keep an effect unrejected
    low = float(np.partition(ends_low, needed - 1)[needed - 1])
    high = float(-np.partition(-ends_high, needed - 1)[needed - 1])
    return (low if math.isfinite(low) else None, high if math.isfinite(high) else None)


def subset_sums(values: Floats, k: int) -> Floats:
    """Sums of all subsets of size k, shape (comb(n, k),), in colexicographic order.

    Each value is added to all sums of smaller subsets that end before it, so the work is one addition for each
    subset of at most k values, and the memory that of the result.

    Examples
    --------
    >>> subset_sums(np.array([1.0, 2.0, 4.0]), 2)
    array([3., 5., 6.])
    """
    n = len(values)
    sums = [np.zeros(1)] + [np.empty(math.comb(n, size)) for size in range(1, k + 1)]
    for index, value in enumerate(values):
        for size in range(min(k, index + 1), 0, -1):
            start, smaller = math.comb(index, size), math.comb(index, size - 1)
            np.add(sums[size - 1][:smaller], value, out=sums[size][start : start + smaller])
    return np.asarray(sums[k])


def _difference(totals: Floats, values: Floats, k: int) -> Floats:
    """Mean of each set minus mean of the rest."""
    rest = len(values) - k
    return np.asarray(totals * (1 / k + 1 / rest) - values.sum() / rest)


def _joined(contrast: Contrast) -> Contrast:
    """Groups whose windows are the same are exchangeable as one group, and their sets can be enumerated."""
    sizes = np.bincount(contrast.group[contrast.group >= 0])
    same = all(np.allclose(table, table[:, :1]) for table in (contrast.changes, contrast.exposure))
    if len(sizes) == 1 or not same or not np.allclose(contrast.group_weights, sizes / sizes.sum()):
        return contrast
    return replace(
        contrast,
        group=np.where(contrast.group >= 0, 0, -1),
        changes=contrast.changes[:, :1],
        exposure=contrast.exposure[:, :1],
        group_weights=np.ones(1),
    )


def _assigned(contrast: Contrast, sizes: npt.NDArray[np.intp], orders: Positions) -> tuple[Floats, Floats]:
    """The statistic and its slope for each assignment; `orders` holds the treated positions, group by group."""
    rest = len(contrast.group) - orders.shape[1]
    edges = np.concatenate([[0], np.cumsum(sizes)])
    results = []
    for table in (contrast.changes, contrast.exposure):
        total = np.zeros(len(orders))
        for index, weight in enumerate(contrast.group_weights):
            chosen = table[:, index][orders]
            inside = chosen[:, edges[index] : edges[index + 1]].mean(axis=1)
            outside = (table[:, index].sum() - chosen.sum(axis=1)) / rest
            total += weight * (inside - outside)
        results.append(total)
    return results[0], results[1]


def _assignments(n: int, sizes: npt.NDArray[np.intp]) -> int:
    """How many ways there are to choose all groups."""
    count, left = 1, n
    for size in sizes:
        count *= math.comb(left, int(size))
        left -= int(size)
    return count


@lru_cache(maxsize=8)
def _listed(n: int, sizes: tuple[int, ...]) -> Positions:
    """Every way to choose the groups, shape (n_assignments, treated units)."""

    def ways(left: tuple[int, ...], groups: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        if not groups:
            yield ()
            return
        for chosen in itertools.combinations(left, groups[0]):
            others = tuple(at for at in left if at not in chosen)
            for following in ways(others, groups[1:]):
                yield chosen + following

    listed = np.array(list(ways(tuple(range(n)), sizes)), dtype=np.intp)
    listed.flags.writeable = False
    return listed


@lru_cache(maxsize=8)
def _shuffled(n: int, seed: int, draws: int) -> Positions:
    """Shuffled positions, shape (draws, n): the same for every outcome, so that tests of one study are joint."""
    shuffled = np.argsort(np.random.default_rng(seed).random((draws, n)), axis=1)
    shuffled.flags.writeable = False
    return shuffled


def _root(numerator: Floats, denominator: Floats, scale: float) -> Floats:
    """numerator / denominator, with a signed infinity where the denominator vanishes."""
    flat = np.abs(denominator) < _ROUNDING
    if not flat.any():
        return np.asarray(numerator / denominator)
    roots = numerator / np.where(flat, 1.0, denominator)
    roots[flat] = np.where(np.abs(numerator[flat]) <= scale, 0.0, np.copysign(np.inf, numerator[flat]))
    return np.asarray(roots)
