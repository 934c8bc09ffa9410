"""The formulas: counts of a group by area -> how unevenly it lives, for many years and draws in one call.

In: arrays whose last axis is areas; an area with a total of 0 enters nowhere. Out: arrays of indices. Never: a loop
over years or draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import entr

from ..panel import Floats

#: What `two_group` measures, in its order.
INDICES = (
    "dissimilarity",
    "gini",
    "entropy",
    "variance_ratio",
    "isolation",
    "exposure",
    "gap",
    "ratio",
    "sd",
    "cv",
)
#: What `many_groups` measures, in its order.
MULTIGROUP_INDICES = ("dissimilarity", "gini", "entropy", "variance_ratio", "relative_diversity")
#: Least and greatest possible value of each index.
RANGES = {
    **dict.fromkeys((*INDICES, *MULTIGROUP_INDICES), (0.0, 1.0)),
    "ratio": (1.0, np.inf),
    "cv": (0.0, np.inf),
}
#: The share of all people that is called a fifth.
FIFTH = 0.2


def two_group(
    group: npt.NDArray[np.floating | np.integer],
    total: npt.NDArray[np.floating | np.integer],
    *,
    only: Sequence[str] = INDICES,
) -> Floats:
    r"""All indices of a group against the rest, of arrays over areas.

    With t the people of an area, p their share in the group, T and P those of the whole city:

    ============== ================================================================================================
    dissimilarity  :math:`\sum t |p - P| / (2 T P (1 - P))`, Duncan and Duncan: the share of the group that would have
                   to move for an even spread
    gini           :math:`\sum_i \sum_j t_i t_j |p_i - p_j| / (2 T^2 P (1 - P))`
    entropy        Theil's H: :math:`\sum t (E - e) / (T E)` with the entropies E of the city and e of an area
    variance_ratio eta squared: :math:`\sum t (p - P)^2 / (T P (1 - P))`
    isolation      xPx: the share of the group in the area of its mean member
    exposure       xPy: the share of the rest in that area, 1 - xPx
    gap            share of the group in the fifth of the people who live where it is highest, less that in the fifth
                   where it is lowest
    ratio          the first of these by the second; infinite where the second is 0
    sd, cv         standard deviation of p weighted by t, and by P
    ============== ================================================================================================

    A fifth is of people, not of areas: the area on its border counts in part.

    Parameters
    ----------
    group, total : array, shape (..., n_areas)
        Persons; `total` may lack leading axes of `group`.
    only : sequence of str
        Indices that are wanted, in this order.

    Returns
    -------
    array, shape (len(only), ...)
        NaN where nobody, or everybody, is in the group.
    """
    group, total = np.asarray(group, dtype=float), np.asarray(total, dtype=float)
    people, members = total.sum(axis=-1), group.sum(axis=-1)
    defined = (members > 0) & (members < people)
    people, members = (np.where(defined, array, np.nan) for array in (people, members))
    share = np.divide(group, total, out=np.zeros(group.shape), where=total > 0)
    whole = members / people
    apart = share - whole[..., None] if {"dissimilarity", "variance_ratio", "sd", "cv"} & set(only) else share
    # People whose group is mixed by P (1 - P) hold all the variance that could lie between areas.
    most = members * (1 - whole)
    found = {}
    if "dissimilarity" in only:
        found["dissimilarity"] = (total * np.abs(apart)).sum(axis=-1) / (2 * most)
    if {"gini", "gap", "ratio"} & set(only):
        order = np.argsort(share, axis=-1)
        ordered, sizes = _in_order(share, order), _in_order(total, order)
        if "gini" in only:
            own = ordered * sizes
            below = np.cumsum(sizes, axis=-1) - sizes, np.cumsum(own, axis=-1) - own
            pairs = (own * below[0] - sizes * below[1]).sum(axis=-1)
            found["gini"] = pairs / (members * (people - members))
        lowest, highest = fifths(ordered, sizes)
        found["gap"] = np.where(defined, highest - lowest, np.nan)
        found["ratio"] = np.where(defined, _ratio(highest, lowest), np.nan)
    if "entropy" in only:
        within = (total * (entr(share) + entr(1 - share))).sum(axis=-1)
        found["entropy"] = 1 - within / (people * (entr(whole) + entr(1 - whole)))
    if {"variance_ratio", "sd", "cv"} & set(only):
        squares = (total * apart**2).sum(axis=-1)
        found["variance_ratio"] = squares / most
        found["sd"] = np.sqrt(squares / people)
        found["cv"] = found["sd"] / whole
    if {"isolation", "exposure"} & set(only):
        found["isolation"] = (group * share).sum(axis=-1) / members
        found["exposure"] = 1 - found["isolation"]
    return np.stack([found[name] for name in only])


def many_groups(counts: npt.NDArray[np.floating | np.integer]) -> Floats:
    r"""The indices of several groups at once (Reardon and Firebaugh 2002).

    With p_m the share of group m in an area and P_m in the city, I the sum of :math:`P_m (1 - P_m)`: dissimilarity
    :math:`\sum_m \sum t |p_m - P_m| / (2 T I)`; gini with :math:`|p_{im} - p_{jm}|` of all pairs of areas; entropy
    (Theil's H) :math:`\sum_m \sum t p_m \ln(p_m / P_m) / (T E)`; variance_ratio (normalised exposure)
    :math:`\sum_m \sum t (p_m - P_m)^2 / (T (1 - P_m))`; relative_diversity :math:`\sum_m \sum t (p_m - P_m)^2 / (T I)`.
    With two groups they are those of `two_group`.

    Parameters
    ----------
    counts : array, shape (..., n_areas, n_groups)
        Persons.

    Returns
    -------
    array, shape (len(MULTIGROUP_INDICES), ...)
        NaN where everybody is in one group.
    """
    counts = np.asarray(counts, dtype=float)
    total = counts.sum(axis=-1, keepdims=True)
    people = total.sum(axis=(-2, -1))
    share = np.divide(counts, total, out=np.zeros(counts.shape), where=total > 0)
    members = counts.sum(axis=-2)
    mixed = (members > 0).sum(axis=-1) > 1
    people = np.where(mixed, people, np.nan)
    whole = members / people[..., None]
    apart = share - whole[..., None, :]
    interaction = (whole * (1 - whole)).sum(axis=-1)
    entropy = entr(whole).sum(axis=-1)
    within = (total[..., 0] * entr(share).sum(axis=-1)).sum(axis=-1)
    squares = (total * apart**2).sum(axis=-2)
    order = np.argsort(share, axis=-2, kind="stable")
    own = np.take_along_axis(counts, order, axis=-2)
    sizes = np.take_along_axis(np.broadcast_to(total, counts.shape), order, axis=-2)
    pairs = (own * (np.cumsum(sizes, axis=-2) - sizes) - sizes * (np.cumsum(own, axis=-2) - own)).sum(
        axis=(-2, -1)
    )
    return np.stack(
        [
            (total * np.abs(apart)).sum(axis=(-2, -1)) / (2 * people * interaction),
            pairs / (people**2 * interaction),
            1 - within / (people * entropy),
            (squares / (1 - whole)).sum(axis=-1) / people,
            squares.sum(axis=-1) / (people * interaction),
        ]
    )


def location_quotients(group: Floats, total: Floats) -> Floats:
    """Share of the group in each area by its share in the whole city; NaN in an area without people.

    Parameters
    ----------
    group, total : array, shape (..., n_areas)
    """
    whole = group.sum(axis=-1, keepdims=True) / total.sum(axis=-1, keepdims=True)
    return np.asarray(np.divide(group, total * whole, out=np.full(total.shape, np.nan), where=total > 0))


def fifths(values: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Mean of the lowest and of the highest fifth of the weight; `values` (..., n_areas) are in ascending order."""
    people = weights.sum(axis=-1, keepdims=True)
    each = FIFTH * people
    reached = np.cumsum(weights, axis=-1)
    some = np.where(each > 0, each, np.nan)[..., 0]
    low, high = each - (reached - weights), reached - (people - each)
    for part in (low, high):  # the people of each area who are in that fifth
        np.minimum(part, weights, out=part)
        np.maximum(part, 0, out=part)
        part *= values
    return low.sum(axis=-1) / some, high.sum(axis=-1) / some


def _in_order(values: npt.NDArray[Any], order: npt.NDArray[np.intp]) -> Floats:
    """`values` with their last axis in an order (..., n_areas); they may lack leading axes of it.

    As `numpy.take_along_axis`, in a third of its time.
    """
    n = order.shape[-1]
    starts = n * np.arange(values.size // n).reshape(*values.shape[:-1], 1)
    return np.asarray(values.ravel().take(order + starts))


def _ratio(highest: Floats, lowest: Floats) -> Floats:
    return np.asarray(np.divide(highest, lowest, out=np.full(highest.shape, np.inf), where=lowest > 0))
