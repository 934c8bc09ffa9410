"""Inference that knows that small areas are noisy and that large areas trend differently.

In: a contrast and the population of its units. Out: `Inference`. Never: a unit without a population, or a variance
that the comparison units do not show.

The comparison units of the city itself say how much a change varies at each size. That scale judges the treated
units, by a t distribution ("scaled") or by the comparison units' own scaled residuals ("ferman_pinto").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import nnls

from ..errors import DesignError
from ..estimate import Contrast
from ..panel import Floats
from .permutation import comparison_draws
from .result import Inference, from_draws, from_standard_error

Population = (
    Mapping[str, float] | pd.Series | Sequence[float] | npt.NDArray[np.float64] | npt.NDArray[np.int64]
)
#: With fewer comparison units a line, a variance and a size effect cannot be told apart.
FEWEST_COMPARISON = 6
_PASSES = 2
_ROUNDING = 1e-9


@dataclass(frozen=True, kw_only=True)
class Scaled:
    """A contrast adjusted for log population, with the noise that its comparison units imply.

    Attributes
    ----------
    estimate : float
        Weighted mean residual of the treated units, in the outcome's unit.
    se : float
        Its standard error.
    df : int
        Comparison units less three.
    spread : array, shape (n_treated,)
        What each treated unit's standardised noise moves the estimate, treated units by group and name.
    residuals : array, shape (n_comparison, n_groups)
        Standardised residuals of the comparison units, by name, over the window of each group.
    variance : array, shape (n_groups, 2)
        a and b of the variance a + b/n in each window: squared unit of the outcome, and that times persons.
    groups : array of int, shape (n_treated,)
        Group of each entry of `spread`.
    """

    estimate: float
    se: float
    df: int
    spread: Floats
    residuals: Floats
    variance: Floats
    groups: npt.NDArray[np.int64]


def aligned_population(population: Population, units: Sequence[str], *, where: str) -> Floats:
    """Persons of each unit, shape (n_units,), in the order of the units.

    Parameters
    ----------
    population : mapping of unit to persons, pandas.Series by unit, or array, shape (n_units,)
    units : sequence of str
    where : str
        For the error.

    Raises
    ------
    DesignError
        A unit has no population, two, one that is no number or not above zero; an array has another length than the
        units.

    Examples
    --------
    >>> aligned_population({"b": 200, "a": 100, "c": 5}, ["a", "b"], where="")
    array([100., 200.])
    """
    given: object = population  # whatever the annotation says
    if isinstance(given, str) or not isinstance(given, (Mapping, pd.Series, Sequence, np.ndarray)):
        raise DesignError(
            "A population is needed for each unit.",
            where=where,
            found=repr(given)[:80],
            expected="a mapping or pandas.Series from unit to persons, or an array in the order of the units",
        )
    if isinstance(population, pd.Series) and not population.index.is_unique:
        twice = population.index[population.index.duplicated()].unique().astype(str)
        raise DesignError("A unit has two populations.", where=where, found=", ".join(twice[:6]))
    if isinstance(population, (Mapping, pd.Series)):
        missing = [unit for unit in units if unit not in population]
        if missing:
            raise DesignError(
                "A unit has no population.",
                where=where,
                found=", ".join(missing[:6]),
                expected=f"persons for all {len(units)} units",
            )
        found: Sequence[object] = [population[unit] for unit in units]
    else:
        found = list(population)
    if len(found) != len(units):
        raise DesignError(
            "There must be one population for each unit.",
            where=where,
            found=str(len(found)),
            expected=str(len(units)),
            fix="Give a mapping from unit to persons.",
        )
    numbers = [isinstance(one, Real) and not isinstance(one, bool) for one in found]
    text = [
        f"{unit}: {one!r}"
        for unit, one, number in zip(units, found, numbers, strict=True)
        if not number and one is not None and one is not pd.NA
    ]
    if text:
        raise DesignError(
            "A population is not a number.",
            where=where,
            found=", ".join(text)[:200],
            expected="persons, more than 0",
        )
    persons = np.array(
        [one if number else np.nan for one, number in zip(found, numbers, strict=True)], dtype=np.float64
    )
    wrong = ~(np.isfinite(persons) & (persons > 0))
    if wrong.any():
        named = [f"{unit}: {one:g}" for unit, one, bad in zip(units, persons, wrong, strict=True) if bad]
        raise DesignError(
            "A population is missing or not above zero.",
            where=where,
            found=", ".join(named[:6]),
            expected="persons, more than 0",
        )
    return persons


def scaled_estimate(contrast: Contrast, population: Population) -> Scaled:
    r"""Adjust a contrast for log population and find its noise from the comparison units.

    With w the change of a unit over the window of a group and n its population, w is regressed on (1, log n) over
    the comparison units, weights 1/v. The variance v = a + b/n is fitted to squared residuals over (1 - leverage) by
    non-negative least squares, in two passes, the regression of the first unweighted. With T the k treated units of one
    group,
    :math:`h = \bar z_T' (Z'WZ)^{-1} Z'W` and u the residuals of all units,

    .. math:: a = \bar u_T, \qquad s^2 = \frac{1}{k^2} \sum_T v_i + \sum_C h_i^2 v_i.

    With several windows the estimate is the weighted sum over groups, and the comparison units' part of the variance
    :math:`\sum_i q_i' R q_i` with :math:`q_{ig} = \omega_g h_{ig} \sqrt{v_{ig}}` and R the correlation of their
    standardised residuals between windows.

    Parameters
    ----------
    contrast : Contrast
    population : mapping of unit to persons, or array, shape (n_units,)

    Returns
    -------
    Scaled

    Raises
    ------
    DesignError
        Fewer than six comparison units, changes without variation among them, or a population that is missing.
    """
    persons = aligned_population(population, contrast.units, where=contrast.label)
    names = np.array(contrast.units)
    rest = np.flatnonzero(contrast.group < 0)
    rest = rest[np.argsort(names[rest], kind="stable")]
    if len(rest) < FEWEST_COMPARISON:
        raise DesignError(
            "Too few comparison units to fit a variance by size.",
            where=contrast.label,
            found=str(len(rest)),
            expected=f"at least {FEWEST_COMPARISON}",
        )
    n_groups = contrast.changes.shape[1]
    # Centred, so that intercept and slope are told apart whatever the sizes; what is estimated stays the same.
    logs = np.log(persons) - np.log(persons[rest]).mean()
    terms = np.column_stack([np.ones(len(persons)), logs])
    by_size = np.column_stack([np.ones(len(persons)), 1 / persons])
    variance, parts, groups = np.empty((n_groups, 2)), [], []
    residuals, moved = np.empty((len(rest), n_groups)), np.empty((len(rest), n_groups))
    estimate = 0.0
    for group in range(n_groups):
        chosen = np.flatnonzero(contrast.group == group)
        chosen = chosen[np.argsort(names[chosen], kind="stable")]
        change, share = contrast.changes[:, group], float(contrast.group_weights[group])
        variance[group] = fit_variance(change[rest], persons[rest], where=contrast.label)
        v = by_size @ variance[group]
        fit, inverse, left = _line(terms[rest], change[rest], v[rest])
        estimate += share * float(np.mean(change[chosen] - terms[chosen] @ fit))
        h = terms[chosen].mean(axis=0) @ inverse @ (terms[rest] / v[rest, None]).T
        moved[:, group] = share * h * np.sqrt(v[rest])
        residuals[:, group] = (change[rest] - terms[rest] @ fit) / np.sqrt(v[rest] * left)
        parts.append(share * np.sqrt(v[chosen]) / len(chosen))
        groups.append(np.full(len(chosen), group))
    spread = np.concatenate(parts)
    size = np.sqrt(np.mean(residuals**2, axis=0))
    together = (residuals / size).T @ (residuals / size) / len(rest)
    return Scaled(
        estimate=estimate,
        se=float(np.sqrt(np.sum(spread**2) + np.einsum("ig,gk,ik->", moved, together, moved))),
        df=len(rest) - 3,
        spread=spread,
        residuals=residuals,
        variance=variance,
        groups=np.concatenate(groups),
    )


def fit_variance(change: Floats, population: Floats, *, where: str) -> Floats:
    """a and b of the variance a + b/n of changes, shape (2,), neither negative.

    Raises
    ------
    DesignError
        The changes do not vary beyond what log population explains.
    """
    terms = np.column_stack([np.ones(len(change)), np.log(population) - np.log(population).mean()])
    by_size = np.column_stack([np.ones(len(change)), 1 / population])
    weight = np.ones(len(change))
    found = np.zeros(2)
    for _ in range(_PASSES):
        fit, _, left = _line(terms, change, weight)
        squares = (change - terms @ fit) ** 2 / left
        if np.sqrt(squares.max()) <= _ROUNDING * np.abs(change).max():
            squares[:] = 0.0
        found, _ = nnls(by_size, squares)
        weight = by_size @ found
        if not np.all(weight > 0):
            raise DesignError(
                "The changes of the comparison units do not vary.",
                where=where,
                found="a variance of zero",
                fix="Is the outcome constant? Else use method='permutation'.",
            )
    return np.asarray(found)


def scaled_t(contrast: Contrast, population: Population, *, alpha: float, because: str) -> Inference:
    """The contrast adjusted for log population over its standard error, by t with n_comparison - 3 df.

    See `scaled_estimate`.
    """
    found = scaled_estimate(contrast, population)
    return from_standard_error(
        label=contrast.label,
        estimate=found.estimate,
        se=found.se,
        df=found.df,
        alpha=alpha,
        method="scaled",
        because=because,
        warnings=size_warnings(contrast, population),
        n_treated=len(found.spread),
        n_comparison=len(found.residuals),
    )


def ferman_pinto(
    contrast: Contrast, population: Population, *, alpha: float, seed: int, draws: int, because: str
) -> Inference:
    """The same estimate, judged by the comparison units' residuals at the treated units' sizes.

    Each draw puts standardised residuals of comparison units, distinct ones, in the place of the treated units'
    noise, times the standard deviation that the treated unit's population implies. The draws are widened by the share
    of the comparison's own noise in the standard error. All assignments where they are few, else seeded draws.

    Notes
    -----
    Ferman and Pinto (2019) draw with replacement and leave the comparison's noise to the draw. Here the real estimate
    counts as one more, so one treated unit with M comparison units has p of at least 1 / (M + 1).

    References
    ----------
    Ferman, B. and Pinto, C. (2019). Inference in differences-in-differences with few treated groups and
    heteroskedasticity. Review of Economics and Statistics 101, 452-467.
    """
    found = scaled_estimate(contrast, population)
    positions, exact = comparison_draws(
        len(found.residuals), np.ones(len(found.spread), dtype=np.intp), seed=seed, draws=draws
    )
    return from_draws(
        scaled_draws(found, positions),
        label=contrast.label,
        estimate=found.estimate,
        equal_tailed=False,
        scale=_ROUNDING * found.se,
        alpha=alpha,
        method="ferman_pinto",
        exact=exact,
        because=because,
        warnings=size_warnings(contrast, population),
        n_treated=len(found.spread),
        n_comparison=len(found.residuals),
    )


def scaled_draws(found: Scaled, positions: npt.NDArray[np.intp]) -> Floats:
    """Noise of the estimate with residuals of these comparison units, shape (n_sets,), in the outcome's unit.

    Parameters
    ----------
    found : Scaled
    positions : array of int, shape (n_sets, n_treated)
        Rows of `found.residuals`.
    """
    total = np.zeros(len(positions))
    for column, (spread, group) in enumerate(zip(found.spread, found.groups, strict=True)):
        total += spread * found.residuals[positions[:, column], group]
    return np.asarray(total * (found.se / np.sqrt(np.sum(found.spread**2))))


def size_warnings(contrast: Contrast, population: Population) -> tuple[str, ...]:
    """The warning that a treated unit lies beyond the sizes of the comparison."""
    persons = aligned_population(population, contrast.units, where=contrast.label)
    treated, rest = persons[contrast.group >= 0], persons[contrast.group < 0]
    beyond = treated.max() > rest.max() or treated.min() < rest.min()
    return ("size_beyond_comparison",) if beyond else ()


def _line(terms: Floats, values: Floats, variance: Floats) -> tuple[Floats, Floats, Floats]:
    """Coefficients by weights 1/variance, the inverse of the cross product, and 1 - leverage of each unit."""
    weighted = terms / variance[:, None]
    inverse = np.linalg.pinv(weighted.T @ terms, hermitian=True)
    leverage = np.einsum("ij,jk,ik->i", terms, inverse, weighted)
    return (
        inverse @ (weighted.T @ values),
        np.asarray(inverse, dtype=np.float64),
        np.maximum(1 - leverage, _ROUNDING),
    )
