"""Permutation of treated sets by a studentised statistic, and its interval by inversion.

In: a contrast. Out: `Inference`. Never: a limit that the test at the same alpha rejects further in.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..estimate import Contrast
from ..panel import Floats
from .permutation import Positions, Reference, assigned, group_sizes, joined, rank_of_critical, treated_sets
from .result import POWER, Inference, shown

_ROUNDING = 1e-9
# The interval is searched outwards in steps of a root of two, from 1/16 to 2^16 of the largest statistic.
_STEPS = 2.0 ** (np.arange(-8, 33) / 2)
_HALVINGS = 45


def studentised_permutation(
    contrast: Contrast, *, alpha: float, seed: int, draws: int, because: str
) -> Inference:
    r"""Permute treated sets and compare :math:`a_S / s_S`, each set over its own standard error.

    .. math:: s_S^2 = \sum_g \omega_g^2 \frac{s^2_{S_g}}{n_g} + \frac{s^2_{C(S)}}{n_C}

    with :math:`s^2_{S_g}` the variance of the changes of the group, and :math:`s^2_{C(S)}` that of the weighted changes
    of all other units; a group of one unit takes the variance of the others. All assignments where there are at most
    50,000, else seeded draws.

    Notes
    -----
    The plain test is of no effect in any unit and takes all units as equally variable. This one holds its level
    asymptotically for the mean effect where the treated vary more or less than the others, and stays exact for units
    that are exchangeable. With one treated unit both are the same test. The p-value of an effect need not fall at
    every step away from the estimate, so the interval reaches to the outermost effect that is not rejected.

    References
    ----------
    Janssen, A. (1997). Studentized permutation tests for non-i.i.d. hypotheses. Statistics and Probability Letters
    36, 9-21. Chung, E. and Romano, J. (2013). Exact and asymptotically robust permutation tests. Annals of Statistics
    41, 484-507.
    """
    contrast = joined(contrast)
    orders, exact = treated_sets(contrast.units, contrast.group, seed=seed, draws=draws)
    sizes = group_sizes(contrast)
    real = np.argsort(np.where(contrast.group < 0, len(sizes), contrast.group), kind="stable")
    real = real[None, : int(sizes.sum())]
    changes, exposure = contrast.changes, contrast.exposure
    a, b = (assigned(contrast, sizes, orders, table) for table in (changes, exposure))
    moments = _variances(contrast, sizes, orders)
    real_moments = [float(one[0]) for one in _variances(contrast, sizes, real)]
    scale = (_ROUNDING * max(float(np.abs(changes).max()), 1e-300)) ** 2

    squares, variances = np.column_stack([a * a, a * b, b * b]), np.column_stack(moments)

    def p_value(effect: float) -> float:
        powers = np.array([1.0, -2 * effect, effect**2])
        left = squares @ (powers * max(float(powers @ real_moments), 0.0))
        right = variances @ (powers * (contrast.att - effect) ** 2)
        return np.count_nonzero(left >= right * (1 - _ROUNDING) - scale**2) / len(a)

    slopes = Reference(
        statistics=a, slopes=b, sizes=np.ones(len(b), dtype=np.intp), exact=exact, scale=np.sqrt(scale)
    )
    smallest = slopes.smallest_p
    able = smallest <= alpha
    error = float(np.sqrt(real_moments[0]))
    unit = max(error, float(np.abs(a).max()), 1e-300)
    limits = [_limit(p_value, contrast.att, side, unit, alpha) if able else None for side in (-1, 1)]
    flat = moments[0] <= scale
    ratio = np.where(flat, 0.0, a / np.sqrt(np.where(flat, 1.0, moments[0])))
    ordered = np.sort(ratio) * error
    last = len(ordered) - 1
    # What the sets would give had the treated units not had the effect that was found: power is read from that.
    powers = np.array([1.0, -2 * contrast.att, contrast.att**2])
    calm = variances @ powers
    still = calm <= scale
    noise = np.where(still, 0.0, (a - contrast.att * b) / np.sqrt(np.where(still, 1.0, calm)))
    noise = np.sort(noise) * float(np.sqrt(max(float(powers @ real_moments), 0.0)))
    size = np.sort(np.abs(noise))
    critical = float(size[rank_of_critical(len(size), alpha)])
    spread = float(max(noise[round(POWER * last)], -noise[round((1 - POWER) * last)]))
    return Inference(
        label=contrast.label,
        estimate=contrast.att,
        p_value=p_value(0.0),
        low=limits[0],
        high=limits[1],
        alpha=alpha,
        method="studentised",
        exact=exact,
        because=because,
        warnings=(),
        se=error,
        df=None,
        n_treated=int(sizes.sum()),
        n_comparison=len(contrast.group) - int(sizes.sum()),
        n_sets=len(a),
        smallest_p=smallest,
        minimum_detectable_effect=critical + spread if able else None,
        critical=(-critical, critical) if able else None,
        reference=shown(ordered),
        noise=shown(noise),
    )


def _variances(contrast: Contrast, sizes: Positions, orders: Positions) -> tuple[Floats, Floats, Floats]:
    """Variance of each set's statistic, its covariance with that of the exposure, and the variance of the latter.

    So the variance of changes less t times exposure is ``first - 2 t second + t**2 third``; each of shape (n_sets,).
    """
    rest = len(contrast.group) - orders.shape[1]
    edges, weights = np.concatenate([[0], np.cumsum(sizes)]), contrast.group_weights
    tables = [
        (one, one @ weights) for one in (contrast.changes - contrast.changes.mean(axis=0), contrast.exposure)
    ]
    found = []
    for (one, one_sum), (two, two_sum) in (
        (tables[0], tables[0]),
        (tables[0], tables[1]),
        (tables[1], tables[1]),
    ):
        total = _outside(one_sum, two_sum, orders, rest) / rest
        for group, size in enumerate(sizes):
            if size == 1:
                own = _outside(one[:, group], two[:, group], orders, rest)
            else:
                chosen = orders[:, edges[group] : edges[group + 1]]
                first, second = one[chosen, group], two[chosen, group]
                centred = first - first.mean(axis=1, keepdims=True)
                own = np.einsum("sk,sk->s", centred, second) / (size - 1)
            total += weights[group] ** 2 * own / size
        found.append(total)
    return found[0], found[1], found[2]


def _outside(one: Floats, two: Floats, orders: Positions, rest: int) -> Floats:
    """Covariance of two columns over the units that are in no group of a set, shape (n_sets,)."""
    if rest < 2:
        return np.zeros(len(orders))
    products = (one * two).sum() - (one * two)[orders].sum(axis=1)
    first, second = one.sum() - one[orders].sum(axis=1), two.sum() - two[orders].sum(axis=1)
    return np.asarray((products - first * second / rest) / (rest - 1))


def _limit(
    p_value: Callable[[float], float], estimate: float, side: int, unit: float, alpha: float
) -> float | None:
    """The outermost effect on one side with a p-value above alpha; None where there is no such limit."""
    # No effect is among the steps, so that the interval holds zero wherever the test does not reject it.
    steps = np.sort(np.append(_STEPS * unit, abs(estimate)))
    kept = [at for at, step in enumerate(steps) if p_value(estimate + side * step) > alpha]
    if kept and kept[-1] == len(steps) - 1:
        return None
    low = float(steps[kept[-1]]) if kept else 0.0
    high = float(steps[kept[-1] + 1 if kept else 0])
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if p_value(estimate + side * middle) > alpha:
            low = middle
        else:
            high = middle
    return estimate + side * low
