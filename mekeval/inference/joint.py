"""Several estimates under the same treated sets, and event-study bands that hold for all of them at once.

In: effects, or contrasts of the same treated units. Out: `JointBands`, and for `adjust` the joint draws. Never: another
treated set for another estimate.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..display import Shown
from ..errors import DesignError
from ..estimate import Contrast, Effects, aggregate
from ..estimate.effects import unit_changes
from ..panel import Floats
from .permutation import Positions, subset_sums, treated_sets
from .result import refuse_others, refuse_settings

#: Statistics (sets times estimates) up to which all sets of one window are listed.
MOST_STATISTICS = 8_000_000
_ROUNDING = 1e-9


_Table = tuple[Floats, Floats, Floats, npt.NDArray[np.bool_]]


@dataclass(frozen=True, kw_only=True)
class Joint:
    """Estimates under the same treated sets.

    Attributes
    ----------
    labels : tuple
        Of the n_estimates.
    att : array, shape (n_estimates,)
    statistics : array, shape (n_sets, n_estimates)
        Each estimate with each set in the place of the treated, the real one among them. Infinite where an estimate
        has no value for a whole group of a set: such a set counts against rejection.
    slopes : array, shape (n_sets, n_estimates)
        What an effect of 1 in the truly treated units adds.
    exact : bool
        Whether these are all sets.
    n_treated, n_comparison : int
        Units.
    """

    labels: tuple[str | int, ...]
    att: Floats
    statistics: Floats
    slopes: Floats
    exact: bool
    n_treated: int
    n_comparison: int

    @property
    def smallest_p(self) -> float:
        """Share of sets that count whatever the outcome: the real one and its mirror image."""
        return float(np.mean((np.abs(self.slopes) >= 1 - _ROUNDING).all(axis=1)))


@dataclass(frozen=True, kw_only=True, repr=False)
class JointBands(Shown):
    """Intervals one by one, and bands that hold for all estimates at once, by permutation of treated sets.

    Attributes
    ----------
    outcome : str
    table : pandas.DataFrame
        One row for each estimate: `key` (event time, or the contrast's label), `att`, `spread` (standard deviation
        over the sets, effects taken out), `p_value` (of no effect), `p_joint` (the same, adjusted for looking at
        all of them), `low` and `high` (interval), `low_uniform` and `high_uniform` (band); in the outcome's unit,
        limits missing where no effect is ever rejected.
    p_value : float
        Of the hypothesis that all are zero, by the largest of their sizes over their spread.
    p_value_pre : float or None
        The same of event times before entry alone; None where there are none.
    alpha : float
    exact : bool
        Whether all treated sets were enumerated.
    n_sets : int
    n_treated, n_comparison : int
    smallest_p : float
        The smallest p-value that the design can give; above `alpha` the bands have no limits.
    """

    outcome: str
    table: pd.DataFrame
    p_value: float
    p_value_pre: float | None
    alpha: float
    exact: bool
    n_sets: int
    n_treated: int
    n_comparison: int
    smallest_p: float


def permutation_bands(
    tested: Effects | Sequence[Contrast], *, alpha: float = 0.05, seed: int = 0, draws: int = 9_999
) -> JointBands:
    r"""Bands of an event study that hold jointly with few treated units.

    Each treated set S gives estimates :math:`a_{Sm}` at all event times m together. With :math:`b_{Sm}` what an effect
    of 1 in the truly treated units adds to them, :math:`r_{Sm} = a_{Sm} - \hat a_m b_{Sm}` and
    :math:`\sigma_m` their root mean square, the band is :math:`\hat a_m - d_+ \sigma_m` to
    :math:`\hat a_m + d_- \sigma_m`, where :math:`d_+` is the largest d such that the effects
    :math:`\hat a_m - d \sigma_m` are not rejected by

    .. math:: \#\{S : \max_m |r_{Sm} / \sigma_m + d\, b_{Sm}| \ge d\} > \alpha\, n_{sets},

    and :math:`d_-` the same on the other side. For a single estimate this is the interval of `infer`.

    Parameters
    ----------
    tested : Effects or sequence of Contrast
        Effects are taken by event time. Contrasts must have the same treated units.
    alpha : float
        One minus the coverage of each interval, and of all bands together.
    seed, draws : int
        For drawn sets; all are listed where there are few enough (of one window 8 million statistics, of several
        50,000 sets).

    Returns
    -------
    JointBands

    Raises
    ------
    DesignError
        Treated units differ between contrasts; the estimator is not made of unit changes; the comparison is smaller
        than the treated set; alpha, draws or seed out of range.

    Notes
    -----
    `p_value` and `p_joint` are exact for exchangeable units. The bands invert that test along effects that deviate by
    the same number of spreads at every time; other patterns of deviation are covered about as often, not exactly.
    With waves the units of all of them are permuted together, also at an event time that one wave alone has. A time
    that hangs on one unit of n makes bands wide, or endless, where 1 / n is near alpha. It
    differs from `uniform_bands`, which rests on influence functions and many treated units. Areas chosen because they
    are the worst are not exchangeable.

    References
    ----------
    Romano, J. and Wolf, M. (2005). Exact and approximate stepdown methods for multiple hypothesis testing. Journal of
    the American Statistical Association 100, 94-108. Westfall, P. and Young, S. (1993). Resampling-based multiple
    testing.

    Examples
    --------
    >>> import pandas as pd
    >>> from mekeval import build_panel, group_time_att, make_design
    >>> units = [f"u{number:02}" for number in range(21)]
    >>> values = [0.0] * 42 + [30.0, *range(20)] + [40.0, *range(19, -1, -1)]
    >>> frame = pd.DataFrame({"u": units * 4, "t": [1] * 21 + [2] * 21 + [3] * 21 + [4] * 21, "y": values})
    >>> panel = build_panel(frame, unit="u", period="t", outcome=["y"])
    >>> bands = permutation_bands(group_time_att(panel, make_design(units, [(3, 4, ["u00"])]), outcome="y"))
    >>> bands.exact, bands.n_sets, round(bands.p_value * 21, 9)
    (True, 21, 1.0)
    """
    refuse_settings(alpha=alpha, draws=draws, seed=seed)
    if isinstance(tested, Effects):
        joint, outcome = _by_event_time(tested, seed, draws), tested.outcome
    else:
        refuse_others(tested, (Contrast,), "effects, or a list of contrasts")
        joint = joint_of_contrasts(list(tested), seed=seed, draws=draws)
        outcome = ""
    n_sets = len(joint.statistics)
    needed = math.floor(alpha * n_sets + _ROUNDING) + 1
    spread = root_mean_square(joint.statistics)
    relative = np.abs(joint.statistics) / spread
    own = np.abs(joint.att) / spread
    left = joint.statistics - joint.att * joint.slopes
    scale = root_mean_square(left)
    limits = {}
    for name, side in (("low", 1), ("high", -1)):
        reach = _reach(side * left / scale, joint.slopes)
        each = np.partition(reach, n_sets - needed, axis=0)[n_sets - needed]
        together = np.partition(reach.max(axis=1), n_sets - needed)[n_sets - needed]
        for key, many in ((name, each), (f"{name}_uniform", np.full(len(each), together))):
            limit = joint.att - side * np.where(np.isfinite(many), many, 0.0) * scale
            limits[key] = pd.array(np.where(np.isfinite(many), limit, np.nan), dtype="Float64")
    keys = np.array(joint.labels)
    pre = keys < 0 if keys.dtype.kind == "i" else np.zeros(len(keys), dtype=bool)
    return JointBands(
        outcome=outcome,
        table=pd.DataFrame(
            {
                "key": list(joint.labels),
                "att": joint.att,
                "spread": scale,
                "p_value": np.mean(relative >= own * (1 - _ROUNDING), axis=0),
                "p_joint": [float(np.mean(relative.max(axis=1) >= one * (1 - _ROUNDING))) for one in own],
                **{name: limits[name] for name in ("low", "high", "low_uniform", "high_uniform")},
            }
        ),
        p_value=_share(relative, own),
        p_value_pre=_share(relative[:, pre], own[pre]) if pre.any() else None,
        alpha=alpha,
        exact=joint.exact,
        n_sets=n_sets,
        n_treated=joint.n_treated,
        n_comparison=joint.n_comparison,
        smallest_p=joint.smallest_p,
    )


def joint_of_contrasts(contrasts: Sequence[Contrast], *, seed: int, draws: int) -> Joint:
    """All contrasts under the same treated sets.

    Comparison units that a contrast lacks take part in the sets, and are left out of that contrast's means.

    Raises
    ------
    DesignError
        No contrast, or treated units or groups that differ between them.
    """
    if not contrasts:
        raise DesignError("There is nothing to test.", where="contrasts")
    first = contrasts[0]
    units = tuple(sorted({unit for one in contrasts for unit in one.units}))
    at = {unit: row for row, unit in enumerate(units)}
    group = np.full(len(units), -1, dtype=np.int64)
    n_groups = first.changes.shape[1]
    for unit, of in zip(first.units, first.group, strict=True):
        group[at[unit]] = of
    tables = []
    for one in contrasts:
        rows = np.array([at[unit] for unit in one.units])
        there = np.zeros(len(units), dtype=bool)
        there[rows] = True
        same = one.changes.shape[1] == n_groups and np.array_equal(group[rows], one.group)
        if not same or not there[group >= 0].all():
            treated = [unit for unit, of in zip(one.units, one.group, strict=True) if of >= 0]
            raise DesignError(
                "The contrasts do not have the same treated units and groups, so they share no treated sets.",
                where=one.label,
                found=", ".join(treated),
                expected="those of " + first.label,
            )
        filled = np.zeros((2, len(units), n_groups))
        filled[0, rows], filled[1, rows] = one.changes, one.exposure
        tables.append((filled[0], filled[1], one.group_weights, there))
    return _joint(
        tuple(one.label for one in contrasts),
        np.array([one.att for one in contrasts]),
        tables,
        units,
        group,
        seed,
        draws,
    )


def root_mean_square(statistics: Floats) -> Floats:
    """Spread of each estimate over the sets, shape (n_estimates,); 1 where there is none."""
    finite = np.isfinite(statistics)
    squares = np.where(finite, statistics, 0.0) ** 2
    spread = np.sqrt(squares.sum(axis=0) / finite.sum(axis=0))
    return np.where(spread > 0, spread, 1.0)


def _by_event_time(effects: Effects, seed: int, draws: int) -> Joint:
    changes, _ = unit_changes(effects)
    whole = aggregate(effects, by="event_time")
    of_effect = effects.cells["group"].to_numpy()
    n_groups = int(effects.group.max()) + 1
    own = (effects.group[:, None] == np.arange(n_groups)).astype(float)
    tables = []
    for weights in whole.weights:
        masked = np.where(of_effect[:, None] == np.arange(n_groups), weights[:, None], 0.0)
        total = masked.sum(axis=0)
        values = changes @ (masked / np.where(total == 0, 1.0, total))
        tables.append((values, own, total, np.ones(len(values), dtype=bool)))
    keys = tuple(int(key) for key in whole.table["key"])
    att = whole.table["att"].to_numpy(dtype=float)
    return _joint(keys, att, tables, effects.units, effects.group, seed, draws)


def _joint(
    labels: tuple[str | int, ...],
    att: Floats,
    tables: Sequence[_Table],
    units: tuple[str, ...],
    group: npt.NDArray[np.int64],
    seed: int,
    draws: int,
) -> Joint:
    sizes = np.bincount(group[group >= 0])
    n_treated = int(sizes.sum())
    if len(group) - n_treated < n_treated:
        raise DesignError(
            "The comparison is smaller than the treated set.",
            found=f"{len(group) - n_treated} comparison units, {n_treated} treated",
        )
    complete = all(there.all() for _, _, _, there in tables)
    if len(sizes) == 1 and complete and math.comb(len(group), n_treated) * len(tables) <= MOST_STATISTICS:
        exact = True
        made = [[_all(one[:, 0], n_treated) * weights[0] for one in two] for *two, weights, _ in tables]
    else:
        orders, exact = treated_sets(units, group, seed=seed, draws=draws)
        made = [
            [_of_sets(one, weights, there, sizes, orders) for one in two] for *two, weights, there in tables
        ]
    statistics = np.column_stack([one for one, _ in made])
    noise = _ROUNDING * np.array([np.abs(values).max(initial=0.0) for values, *_ in tables])
    statistics[np.abs(statistics) <= noise] = 0.0
    return Joint(
        labels=labels,
        att=np.where(np.abs(att) <= noise, 0.0, att),
        statistics=statistics,
        slopes=np.column_stack([two for _, two in made]),
        exact=exact,
        n_treated=n_treated,
        n_comparison=len(group) - n_treated,
    )


def _all(values: Floats, k: int) -> Floats:
    """Mean of each set of k less the mean of the rest."""
    rest = len(values) - k
    return np.asarray(subset_sums(values, k) * (1 / k + 1 / rest) - values.sum() / rest)


def _of_sets(
    values: Floats, weights: Floats, there: npt.NDArray[np.bool_], sizes: Positions, orders: Positions
) -> Floats:
    """The statistic of each set: weighted means of its groups less those of all other units that are there."""
    values = values * there[:, None]
    weighted = values @ weights
    treated = np.repeat(np.arange(len(sizes)), sizes)
    inside = np.zeros((len(sizes), len(orders)))
    count, moved, present = np.zeros_like(inside), np.zeros(len(orders)), there.astype(float)
    for column, of in enumerate(treated):
        at = orders[:, column]
        inside[of] += values[at, of]
        count[of] += present[at]
        moved += weighted[at]
    empty = (count == 0) & (weights != 0)[:, None]
    means = inside / np.maximum(count, 1.0)
    total = weights @ means - (weighted.sum() - moved) / (present.sum() - count.sum(axis=0))
    return np.where(empty.any(axis=0), np.inf, total)


def _reach(left: Floats, slopes: Floats) -> Floats:
    """How far an effect can lie from the estimate, in spreads, for a set to count: shape (n_sets, n_estimates)."""
    one, two = np.abs(1 - slopes) < _ROUNDING, np.abs(1 + slopes) < _ROUNDING
    always = (one & (left >= -_ROUNDING)) | (two & (left <= _ROUNDING)) | (np.abs(slopes) > 1 + _ROUNDING)
    inner = np.where(one | two | always, 0.0, slopes)
    ends = np.maximum(left / (1 - inner), -left / (1 + inner))
    return np.where(always, np.inf, np.where(one | two, np.abs(left) / 2, ends))


def _share(relative: Floats, own: Floats) -> float:
    """Share of sets whose largest estimate is at least that of the real set."""
    return float(np.mean(relative.max(axis=1) >= own.max() * (1 - _ROUNDING)))
