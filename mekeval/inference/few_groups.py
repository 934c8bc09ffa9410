"""Two published tests for few treated units that know nothing of how large units are.

In: a contrast. Out: `Inference`. Never: a population; where it is known, `scaled` uses it.
"""

from __future__ import annotations

import numpy as np

from ..estimate import Contrast
from .permutation import comparison_draws, group_sizes
from .result import Inference, from_draws, from_standard_error

_ROUNDING = 1e-9


def conley_taber(contrast: Contrast, *, alpha: float, seed: int, draws: int, because: str) -> Inference:
    r"""Judge the estimate by the residuals of comparison units in the place of the treated ones.

    With :math:`\eta_{jg}` the change of comparison unit j over the window of group g less the comparison's mean, the
    noise of the estimate is distributed as :math:`\sum_g \omega_g \frac{1}{n_g} \sum_{j \in S_g} \eta_{jg}` over sets
    S of distinct comparison units. The interval is equal-tailed. All sets where they are few, else seeded draws.

    Notes
    -----
    It takes areas as equally noisy and the comparison as large: the noise of the comparison's mean is left out. With
    one treated unit it is exact. The real estimate counts as one more draw, which the source does not do, so that a
    p-value is at least 2 / (M + 1).

    References
    ----------
    Conley, T. and Taber, C. (2011). Inference with "difference in differences" with a small number of policy changes.
    Review of Economics and Statistics 93, 113-125.
    """
    sizes, rest = group_sizes(contrast), np.flatnonzero(contrast.group < 0)
    rest = rest[np.argsort(np.array(contrast.units)[rest], kind="stable")]
    residuals = (
        (contrast.changes[rest] - contrast.changes[rest].mean(axis=0)) * contrast.group_weights / sizes
    )
    positions, exact = comparison_draws(len(rest), sizes, seed=seed, draws=draws)
    noise = np.zeros(len(positions))
    for column, group in enumerate(np.repeat(np.arange(len(sizes)), sizes)):
        noise += residuals[positions[:, column], group]
    return from_draws(
        noise,
        label=contrast.label,
        estimate=contrast.att,
        equal_tailed=True,
        scale=_ROUNDING * float(np.max(np.abs(contrast.changes), initial=1e-300)),
        alpha=alpha,
        method="conley_taber",
        exact=exact,
        because=because,
        warnings=(),
        n_treated=int(sizes.sum()),
        n_comparison=len(rest),
    )


def donald_lang(contrast: Contrast, *, alpha: float, because: str) -> Inference:
    r"""t test of the collapsed changes, one for each unit, with the degrees of freedom of few groups.

    For one treated group this is the pooled two-sample t test: :math:`s^2 (1/k + 1/n_C)` with :math:`n - 2` degrees
    of freedom. With several windows :math:`\sum_g \omega_g^2 s_g^2 / n_g + \omega' S \omega / n_C`, where
    :math:`s_g^2` pools group g and the comparison, S is their covariance between windows, from the comparison, and
    the degrees of freedom are units less groups less one.

    Notes
    -----
    Exact for changes that are normal and equally variable in all units; a large area's change is less variable than a
    small one's. With several windows it is an approximation.

    References
    ----------
    Donald, S. and Lang, K. (2007). Inference with difference-in-differences and other panel data. Review of Economics
    and Statistics 89, 221-233.
    """
    sizes, weights = group_sizes(contrast), contrast.group_weights
    rest = contrast.changes[contrast.group < 0]
    n_rest = len(rest)
    deviations = rest - rest.mean(axis=0)
    own = np.array(
        [
            np.sum((one - one.mean()) ** 2)
            for one in (contrast.changes[contrast.group == at, at] for at in range(len(sizes)))
        ]
    )
    squares = np.sum(deviations**2, axis=0)
    pooled = np.sqrt((squares + own) / (n_rest + sizes - 2))
    scale = deviations / np.where(squares > 0, np.sqrt(squares), 1.0) * pooled
    # A window in which the comparison does not vary moves with no other.
    alone = np.where(squares > 0, 0.0, weights * pooled)
    between = np.sum((scale @ weights) ** 2) + np.sum(alone**2)
    variance = np.sum((weights * pooled) ** 2 / sizes) + between / n_rest
    error = float(np.sqrt(variance))
    flat = error <= _ROUNDING * float(np.max(np.abs(contrast.changes), initial=1e-300))
    return from_standard_error(
        label=contrast.label,
        estimate=contrast.att,
        se=0.0 if flat else error,
        df=int(sizes.sum()) + n_rest - len(sizes) - 1,
        alpha=alpha,
        method="donald_lang",
        because=because,
        warnings=(),
        n_treated=int(sizes.sum()),
        n_comparison=n_rest,
    )
