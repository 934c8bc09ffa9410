"""Weighted means of effects and their influence functions: the arithmetic behind `aggregate`.

In: effects and which of them are averaged. Out: weights and an influence function. Never: which belong together.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..panel import Floats
from .effects import Effects

Chosen = npt.NDArray[np.bool_]


def mean_of(
    effects: Effects,
    members: npt.NDArray[np.int64],
    estimates: Floats,
    chosen: Chosen,
    *,
    equal: bool,
) -> tuple[Floats, Floats]:
    """Weights of the chosen effects, and the influence function of their weighted mean; `members` and `estimates` are
    the columns `group` and `att` of the cells."""
    at = np.flatnonzero(chosen)
    if equal:
        weights = chosen / chosen.sum()
        return weights, _influence(effects) @ weights
    share, of_shares = _shares(effects, members[at], estimates[at])
    weights = np.zeros(len(chosen))
    weights[at] = share
    if effects.influence is None:
        return weights, of_shares
    return weights, effects.influence[:, at] @ share + of_shares


def mean_by_size(
    effects: Effects,
    members: npt.NDArray[np.int64],
    estimates: Floats,
    paths: list[Chosen],
) -> tuple[Floats, Floats]:
    """The means of paths, each over its own effects, joined by the sizes of the paths."""
    means = [mean_of(effects, members, estimates, chosen, equal=True) for chosen in paths]
    weights = np.vstack([weight for weight, _ in means])
    share, of_shares = _shares(
        effects, np.array([members[chosen][0] for chosen in paths]), weights @ estimates
    )
    return share @ weights, np.column_stack([psi for _, psi in means]) @ share + of_shares


def _shares(effects: Effects, groups: npt.NDArray[np.int64], att: Floats) -> tuple[Floats, Floats]:
    """Weights of estimates by the size of their group, shape (k,), summing to 1; and what the estimation of the sizes
    adds to the influence function of the weighted mean, shape (n_units,). Sizes count units, or their weights."""
    weight = np.ones(effects.n_units)
    if effects.unit_weights is not None:
        weight = effects.unit_weights / effects.unit_weights.mean()
    size = np.bincount(effects.group + 1, weights=weight, minlength=int(groups.max()) + 2)[groups + 1]
    total = size.sum()
    if not effects.shares_estimated:
        return size / total, np.zeros(effects.n_units)
    # The term above, summed over the estimates of each group: it is the same for all units of a group.
    of_group = np.bincount(
        groups + 1, weights=att - att @ size / total, minlength=int(effects.group.max()) + 2
    )
    return size / total, weight * of_group[effects.group + 1] * (effects.n_units / total)


def _influence(effects: Effects) -> Floats:
    """Influence functions, or zeros in their place; without them no standard error leaves this module."""
    if effects.influence is None:
        return np.zeros((effects.n_units, len(effects.cells)))
    return effects.influence
