"""Permutation of treated sets: the reference distribution of a contrast, and its interval by inversion.

In: a contrast. Out: `Inference`. Never: more memory than a few numbers for each set.
"""

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
from .ordered import order_statistics
from .result import POWER, Inference, shown_ranks

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
        The estimate with each set in the place of the treated; the real set among them. Where blocks are larger than
        one set each block is in ascending order.
    slopes : array, shape (n_blocks,)
        What a constant effect of 1 in the truly treated units adds to the sets of each block.
    sizes : array of int, shape (n_blocks,)
        Sets in each block; blocks follow each other in `statistics`.
    exact : bool
        Whether these are all sets.
    scale : float
        Size of a rounding error in `statistics`, in their unit.
    """

    statistics: Floats
    slopes: Floats
    sizes: Positions
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
        return float(self.sizes[np.abs(self.slopes) >= 1 - _ROUNDING].sum()) / self.n_sets

    def blocks(self, *, without: float = 0.0) -> list[Floats]:
        """The statistics in parts that rise, as if the truly treated units had not had an effect."""
        if len(self.sizes) == self.n_sets:
            return [np.sort(self.statistics - without * self.slopes)]
        parts = np.split(self.statistics, np.cumsum(self.sizes)[:-1])
        if without == 0:
            return parts
        return [part - without * slope for part, slope in zip(parts, self.slopes, strict=True)]

    def share_as_large(self, estimate: float) -> float:
        """Share of sets whose estimate is at least as large in size."""
        size = abs(estimate) - self.scale
        if size <= 0:
            return 1.0
        if len(self.sizes) == self.n_sets:
            return float(np.count_nonzero(np.abs(self.statistics) >= size)) / self.n_sets
        parts = self.blocks()
        count = sum(
            len(one) - int(one.searchsorted(size)) + int(one.searchsorted(-size, "right")) for one in parts
        )
        return float(count) / self.n_sets


def plain_permutation(
    contrast: Contrast, *, alpha: float, seed: int, draws: int, because: str, most_sets: int = MOST_SETS
) -> Inference:
    """Permute treated sets and compare their estimates by size.

    Notes
    -----
    The critical value, the minimum detectable effect and the power are read from the null distribution of the other
    sets, the effect that was found taken out of the treated units (`Reference.without`). With one treated unit of n
    only n values stand behind them: the power goes in steps of 1 / n.
    """
    reference = reference_distribution(contrast, seed=seed, draws=draws, most_sets=most_sets)
    low, high = interval(contrast.att, reference, alpha)
    able, n_treated = reference.smallest_p <= alpha, int(group_sizes(contrast).sum())
    n_sets = reference.n_sets
    seen = order_statistics(reference.blocks(), shown_ranks(n_sets))
    noise = reference.blocks(without=contrast.att)
    last, places = n_sets - 1, shown_ranks(n_sets)
    upper, lower = round(POWER * last), round((1 - POWER) * last)
    found = order_statistics(noise, np.concatenate([places, [upper, lower]]))
    spread = float(max(found[-2], -found[-1]))
    both = [half for part in noise for half in _sizes(part)]
    at = np.array([rank_of_critical(n_sets, alpha)])
    critical = abs(float(order_statistics(both, at)[0]))
    return Inference(
        label=contrast.label,
        estimate=contrast.att,
        p_value=reference.share_as_large(contrast.att),
        low=low,
        high=high,
        alpha=alpha,
        method="permutation",
        exact=reference.exact,
        because=because,
        warnings=(),
        se=None,
        df=None,
        n_treated=n_treated,
        n_comparison=len(contrast.group) - n_treated,
        n_sets=reference.n_sets,
        smallest_p=reference.smallest_p,
        minimum_detectable_effect=critical + spread if able else None,
        critical=(-critical, critical) if able else None,
        reference=seen,
        noise=found[:-2],
    )


def _sizes(ordered: Floats) -> list[Floats]:
    """The sizes of ordered values, in two parts that rise: of those below zero, and of the others."""
    at = int(np.searchsorted(ordered, 0.0))
    return [-ordered[:at][::-1], ordered[at:]]


def rank_of_critical(n_sets: int, alpha: float) -> int:
    """Position, in ascending order of size, of the smallest estimate that is rejected: it must lie beyond all but
    floor(alpha * n_sets) - 1 of the other sets."""
    return min(n_sets - math.floor(alpha * n_sets + _ROUNDING), n_sets - 1)


def reference_distribution(
    contrast: Contrast, *, seed: int, draws: int, most_sets: int = MOST_SETS
) -> Reference:
    """All treated sets where they are few enough, else seeded draws; groups with one window are one group."""
    contrast = joined(contrast)
    sizes = group_sizes(contrast)
    scale = _ROUNDING * float(np.max(np.abs(contrast.changes), initial=1e-300))
    if len(sizes) == 1 and math.comb(len(contrast.group), int(sizes[0])) <= most_sets:
        return _all_sets(contrast, int(sizes[0]), scale)
    orders, exact = treated_sets(contrast.units, contrast.group, seed=seed, draws=draws)
    return Reference(
        statistics=assigned(contrast, sizes, orders, contrast.changes),
        slopes=assigned(contrast, sizes, orders, contrast.exposure),
        sizes=np.ones(len(orders), dtype=np.intp),
        exact=exact,
        scale=scale,
    )


def group_sizes(contrast: Contrast) -> Positions:
    """Units in each treated group."""
    return np.bincount(contrast.group[contrast.group >= 0])


def treated_sets(
    units: tuple[str, ...], group: npt.NDArray[np.int64], *, seed: int, draws: int
) -> tuple[Positions, bool]:
    """Units in the place of the treated, group by group: all assignments where they are few, else seeded draws.

    Returns
    -------
    orders : array of int, shape (n_sets, n_treated)
        Positions in `units`; the first columns are the first group. The real assignment is among them: of draws the
        first row.
    exact : bool
    """
    sizes = np.bincount(group[group >= 0])
    n, k = len(group), int(sizes.sum())
    if assignments(n, sizes) <= MOST_ASSIGNMENTS:
        return _listed(n, tuple(int(size) for size in sizes)), True
    # By the names of the units, so that the order of a file does not change what is drawn.
    names = np.argsort(np.array(units), kind="stable")
    real = np.argsort(np.where(group < 0, len(sizes), group), kind="stable")[:k]
    return np.vstack([real, names[shuffled(n, seed, draws)[:, :k]]]), False


def comparison_draws(n_comparison: int, sizes: Positions, *, seed: int, draws: int) -> tuple[Positions, bool]:
    """Comparison units to stand in for the treated ones, group by group, of shape (n_sets, n_treated).

    All of them where they are few, else seeded draws; positions are those of the comparison units by name. The order
    within a group is of no meaning: let each group be of one unit where it has one.
    """
    if assignments(n_comparison, sizes) <= MOST_ASSIGNMENTS:
        return _listed(n_comparison, tuple(int(size) for size in sizes)), True
    return shuffled(n_comparison, seed, draws)[:, : int(sizes.sum())], False


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
    needed = math.floor(alpha * reference.n_sets + _ROUNDING) + 1  # so many sets keep an effect unrejected
    if len(reference.sizes) < reference.n_sets:
        return _by_bisection(estimate, reference, needed)
    a, b = reference.statistics, reference.slopes
    one = _root(estimate - a, 1 - b, reference.scale)
    two = _root(estimate + a, 1 + b, reference.scale)
    ends_low, ends_high = np.minimum(one, two), np.maximum(one, two)
    both = ((np.abs(1 - b) < _ROUNDING) & (np.abs(estimate - a) <= reference.scale)) | (
        (np.abs(1 + b) < _ROUNDING) & (np.abs(estimate + a) <= reference.scale)
    )
    both |= np.abs(b) > 1 + _ROUNDING
    ends_low[both], ends_high[both] = -np.inf, np.inf
    low = float(np.partition(ends_low, needed - 1)[needed - 1])
    high = float(-np.partition(-ends_high, needed - 1)[needed - 1])
    return (low if math.isfinite(low) else None, high if math.isfinite(high) else None)


def _by_bisection(estimate: float, reference: Reference, needed: int) -> tuple[float | None, float | None]:
    """The same limits from ordered blocks: their sets are counted by bisection, for millions in no more memory."""
    always, parts = 0, []
    for values, slope in zip(
        np.split(reference.statistics, np.cumsum(reference.sizes)[:-1]), reference.slopes, strict=True
    ):
        if abs(slope) >= 1 - _ROUNDING:  # the real set and its mirror image: |estimate - t| whatever t is
            always += len(values)
        else:
            parts.append((values, float(slope)))
    if always >= needed:
        return None, None
    widest = max(
        (abs(estimate) + max(abs(values[0]), abs(values[-1]))) / (1 - abs(slope)) for values, slope in parts
    )

    def count(effect: float) -> int:
        size = abs(estimate - effect)
        found = always
        for values, slope in parts:
            found += len(values) - int(values.searchsorted(slope * effect + size, "left"))
            found += int(values.searchsorted(slope * effect - size, "right"))
        return found

    limits = []
    for side in (-1, 1):
        kept, rejected = 0.0, 2 * widest + reference.scale
        while True:
            middle = (kept + rejected) / 2
            if not kept < middle < rejected or rejected - kept <= 1e-16 * widest:
                break
            if count(estimate + side * middle) >= needed:
                kept = middle
            else:
                rejected = middle
        limits.append(estimate + side * kept)
    return limits[0], limits[1]


def subset_sums(values: Floats, k: int) -> Floats:
    """Sums of all subsets of size k, shape (comb(n, k),), in colexicographic order.

    Each value is added to all sums of smaller subsets that end before it, so the work is one addition for each
    subset of at most k values, and the memory that of the result.

    Examples
    --------
    >>> subset_sums(np.array([1.0, 2.0, 4.0]), 2)
    array([3., 5., 6.])
    """
    return _sums_by_size(values, k)[k]


def _sums_by_size(values: Floats, k: int) -> list[Floats]:
    """Sums of all subsets of each size up to k."""
    n = len(values)
    sums = [np.zeros(1)] + [np.empty(math.comb(n, size)) for size in range(1, k + 1)]
    for index, value in enumerate(values):
        for size in range(min(k, index + 1), 0, -1):
            start, smaller = math.comb(index, size), math.comb(index, size - 1)
            np.add(sums[size - 1][:smaller], value, out=sums[size][start : start + smaller])
    return sums


def _all_sets(contrast: Contrast, k: int, scale: float) -> Reference:
    """Every set of k units, one block for each number of truly treated units in it: these share their slope.

    The sums of a block are those of treated subsets plus those of comparison subsets, so nothing but the statistics
    themselves is of the size of the result.
    """
    values, exposure, rest = contrast.changes[:, 0], contrast.exposure[:, 0], len(contrast.group) - k
    treated = contrast.group >= 0
    if not np.allclose(exposure, treated):
        statistics, slopes = (_difference(subset_sums(column, k), column, k) for column in (values, exposure))
        return Reference(
            statistics=statistics,
            slopes=slopes,
            sizes=np.ones(len(slopes), dtype=np.intp),
            exact=True,
            scale=scale,
        )
    inside, outside = _sums_by_size(np.sort(values[treated]), k), _sums_by_size(np.sort(values[~treated]), k)
    overlap = np.array([at for at in range(k + 1) if k - at <= rest])
    sizes = np.array([len(inside[at]) * len(outside[k - at]) for at in overlap], dtype=np.intp)
    statistics = np.empty(sizes.sum())
    for at, part in zip(overlap, np.split(statistics, np.cumsum(sizes)[:-1]), strict=True):
        np.add.outer(inside[at], outside[k - at], out=part.reshape(len(inside[at]), -1))
        part *= 1 / k + 1 / rest
        part -= values.sum() / rest
        part.sort()
    return Reference(
        statistics=statistics,
        slopes=overlap * (1 / k + 1 / rest) - k / rest,
        sizes=sizes,
        exact=True,
        scale=scale,
    )


def _difference(totals: Floats, values: Floats, k: int) -> Floats:
    """Mean of each set minus mean of the rest."""
    rest = len(values) - k
    return np.asarray(totals * (1 / k + 1 / rest) - values.sum() / rest)


def joined(contrast: Contrast) -> Contrast:
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


def assigned(contrast: Contrast, sizes: Positions, orders: Positions, table: Floats) -> Floats:
    """The statistic of each assignment; `orders` holds the treated positions, group by group."""
    rest = len(contrast.group) - orders.shape[1]
    weighted = table * contrast.group_weights
    total = np.full(len(orders), -weighted.sum() / rest)
    outside = weighted.sum(axis=1) / rest  # what a treated unit would add to the mean of the others
    inside = weighted / sizes + outside[:, None]
    for column, group in enumerate(np.repeat(np.arange(len(sizes)), sizes)):
        total += inside[orders[:, column], group]
    return total


def assignments(n: int, sizes: Positions) -> int:
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
def shuffled(n: int, seed: int, draws: int) -> Positions:
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
