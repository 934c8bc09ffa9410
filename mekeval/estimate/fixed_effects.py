"""Least squares with unit and period effects, and scores by unit.

In: a panel, a design and the regressors of interest. Out: `Fit`, coefficients with influence functions clustered by
unit. Never: dummies for units, an iteration, or a coefficient that the data do not identify.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import linalg, sparse

from ..design import Design
from ..errors import DataError, DesignError, closest
from ..panel import Floats, Panel
from .inputs import check_known, names_of, refuse_constant, why_lacking

#: Whom treated units are compared with: those that no wave ever treats, or those that are not treated yet as well.
Comparison = Literal["not_yet_treated", "never_treated"]
COMPARISONS: tuple[Comparison, ...] = ("not_yet_treated", "never_treated")

Integers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

# An outcome whose share outside unit and period effects is below this is rounding error, and is set to zero.
_ROUNDING = 1e-13
# A regressor whose share outside the effects, or outside the other regressors, is below this has no coefficient.
_COLLINEAR = 1e-10


@dataclass(frozen=True, kw_only=True)
class Sample:
    """The cells that a regression uses.

    Attributes
    ----------
    outcome : str
    units : tuple of str
        n_units units with at least one cell.
    periods : array of int, shape (n_periods,)
        Years with at least one cell, ascending.
    values : array, shape (n_units, n_periods)
        The outcome; 0 where there is no cell.
    there : array of bool, shape (n_units, n_periods)
        Whether the outcome and every covariate have a value.
    covariates : array, shape (n_units, n_periods, n_covariates)
        0 where there is no cell.
    names : tuple of str
        Of the covariates.
    group : array of int, shape (n_units,)
        Index of the path of each unit; -1 for the comparison.
    kind : array of int, shape (n_units,)
        Units of one kind share path and cells. On a balanced panel a kind is a path.
    kind_group : array of int, shape (n_kinds,)
    kind_there : array of bool, shape (n_kinds, n_periods)
    dropped : tuple of (str, str, int)
        Units of the design that did not enter, each with the reason and a period.
    """

    outcome: str
    units: tuple[str, ...]
    periods: Integers
    values: Floats
    there: Mask
    covariates: Floats
    names: tuple[str, ...]
    group: Integers
    kind: Integers
    kind_group: Integers
    kind_there: Mask
    dropped: tuple[tuple[str, str, int], ...]

    @property
    def balanced(self) -> bool:
        """Whether every unit has a cell in every period."""
        return bool(self.kind_there.all())

    @property
    def n_rows(self) -> int:
        """Cells used."""
        return int(self.there.sum())

    def observed(self, index: int) -> Mask:
        """Whether a path (-1: the comparison) has a cell in each period, shape (n_periods,)."""
        return np.asarray(self.kind_there[self.kind_group == index].any(axis=0))


@dataclass(frozen=True, kw_only=True)
class Fit:
    """Coefficients beside unit and period effects.

    Attributes
    ----------
    coefficients : array, shape (n_regressors,)
    influence : array, shape (n_units, n_regressors)
        With ``se = sqrt(sum(influence**2)) / n_units``, the small-sample factor inside.
    """

    coefficients: Floats
    influence: Floats


def take_sample(
    panel: Panel,
    design: Design,
    *,
    outcome: str,
    covariates: Sequence[str] | None = (),
    before_entry: bool = False,
    keep_always_treated: bool = False,
    last_cohort_compares: bool = False,
) -> Sample:
    """The cells of treated and comparison units that have an outcome and all covariates.

    Parameters
    ----------
    panel : Panel
    design : Design
    outcome : str
    covariates : sequence of str
        Other outcomes of the panel.
    before_entry : bool
        A covariate enters by the unit's earliest value before entry, the same in every period, in place of the
        value of each period.
    keep_always_treated : bool
        Whether units treated since the first period with data stay. Where not, `dropped` names them.
    last_cohort_compares : bool
        Without a never-treated unit the last cohort is the comparison, and its own treated periods are left out.

    Raises
    ------
    DataError
        The panel lacks an outcome, a covariate or a unit; a covariate is the outcome; a value is
        infinite.
    DesignError
        No treated unit, or no period but one, is left; a constant outcome; a covariate is named twice.
    """
    names = _checked_names(panel, outcome, covariates)
    units = np.array([*design.treated, *design.comparison], dtype=object)
    rows = pd.Index(panel.units, dtype=object).get_indexer(pd.Index(units, dtype=object))
    if np.any(rows < 0):
        name = str(units[rows < 0][0])
        raise DataError("The panel has no such unit.", found=repr(name), expected=closest(name, panel.units))
    sizes = [len(path.units) for path in design.paths]
    group = np.repeat(np.array([*range(len(sizes)), -1]), [*sizes, len(design.comparison)])
    first = np.array([path.first for path in design.paths] + [np.inf])  # -1 picks infinity: never
    entry = first[group]
    years = np.array(panel.periods, dtype=np.int64)
    values = np.asarray(panel.values[outcome][rows], dtype=float)
    others = [np.asarray(panel.values[name][rows], dtype=float) for name in names]
    for name, array in zip([outcome, *names], [values, *others], strict=True):
        if np.isinf(array).any():
            row, column = np.argwhere(np.isinf(array))[0]
            raise DataError(
                "A value is infinite.",
                where=f"{name}, {units[row]} in {years[column]}",
                found=str(array[row, column]),
            )
    there = ~np.isnan(values)
    if before_entry:
        others = [_earliest(array, years < entry[:, None]) for array in others]
    for array in others:
        there &= ~np.isnan(array)
    keep = there.any(axis=1)
    always = np.zeros(len(units), dtype=bool)
    columns = there.any(axis=0)
    while (
        not keep_always_treated and columns.any()
    ):  # without these units a first period may have no cell left
        found = (entry <= years[columns][0]) & ~always
        if not found.any():
            break
        always |= found
        columns = there[keep & ~always].any(axis=0)
    dropped = [
        (str(units[row]), "always_treated", int(panel.periods[0]))
        if always[row]
        else (str(units[row]), *_reason(panel, [outcome, *names], int(rows[row])))
        for row in np.flatnonzero(always | ~keep)
    ]
    keep &= ~always
    columns = there[keep].any(axis=0)
    if last_cohort_compares and keep.any() and not np.any(group[keep] == -1):
        last = entry[keep].max()
        group = np.where(entry == last, -1, group)
        columns &= years < last
        keep &= there[:, columns].any(axis=1)
    if not np.any(group[keep] >= 0) or columns.sum() < 2:
        raise DesignError(
            "No treated unit, or only one period, is left to estimate from.",
            where=outcome,
            found="; ".join(f"{unit}: {reason} in {period}" for unit, reason, period in dropped[:6])
            or f"{int(columns.sum())} periods with data",
            expected="a treated unit with data before and after entry, and units to compare it with",
        )
    if not (keep.all() and columns.all()):
        units, group, values, there = (
            units[keep],
            group[keep],
            values[keep][:, columns],
            there[keep][:, columns],
        )
        others = [array[keep][:, columns] for array in others]
    refuse_constant(values[there], outcome)
    kind, kind_group, kind_there = kinds_of_units(group, there)
    shape = (*there.shape, len(names))
    stacked = np.stack(others, axis=2) if names else np.zeros(shape)
    return Sample(
        outcome=outcome,
        units=tuple(map(str, units)),
        periods=years[columns],
        values=np.where(there, values, 0.0),
        there=there,
        covariates=np.where(there[..., None], stacked, 0.0),
        names=tuple(names),
        group=group,
        kind=kind,
        kind_group=kind_group,
        kind_there=kind_there,
        dropped=tuple(dropped),
    )


def within(values: Floats, there: Mask, mass: Floats) -> Floats:
    r"""Residuals of columns on row and period effects, exactly and without an iteration.

    Where every row has every period this is double demeaning,
    :math:`v_{it} - \bar v_{i\cdot} - \bar v_{\cdot t} + \bar v`. Else rows are demeaned over their own periods and
    the period effects :math:`\gamma` solve the n_periods normal equations
    :math:`(\mathrm{diag}(\sum_i m_i a_i) - \sum_i m_i a_i a_i' / T_i) \gamma = \sum_i m_i \dot v_i`, where
    :math:`a_i` says which periods row i has, :math:`T_i` how many, and :math:`m_i` for how many units it stands.
    Periods are few, so this is cheaper and more exact than alternating projections or a sparse solver.

    Parameters
    ----------
    values : array, shape (n_rows, n_periods, n_columns)
    there : array of bool, shape (n_rows, n_periods)
        At least one period in each row.
    mass : array, shape (n_rows,)
        Units that each row stands for.

    Returns
    -------
    array, shape (n_rows, n_periods, n_columns)
        0 where there is no cell.
    """
    if there.all():
        left = values - values.mean(axis=1, keepdims=True)
        left -= np.tensordot(mass, left, axes=1) / mass.sum()
        return np.asarray(left)
    count = there.sum(axis=1)
    left = np.where(there[..., None], values, 0.0)
    left -= (left.sum(axis=1) / count[:, None])[:, None]
    left *= there[..., None]
    equations = np.diag(mass @ there) - (there * (mass / count)[:, None]).T @ there
    effects = linalg.pinvh(equations) @ np.tensordot(mass, left, axes=1)
    left -= effects
    left += ((there @ effects) / count[:, None])[:, None]
    left *= there[..., None]
    return np.asarray(left)


def least_squares(
    sample: Sample, shared: Floats, shared_names: Sequence[str], own: Floats, own_names: Sequence[str]
) -> Fit:
    r"""Regress the outcome on regressors, unit effects and period effects; scores clustered by unit.

    With :math:`\tilde X_i` the regressors of unit i net of both effects and :math:`\hat u_i` its residuals,

    .. math::
        \psi_i = n \sqrt{c}\, (\textstyle\sum_j \tilde X_j' \tilde X_j)^{-1} \tilde X_i' \hat u_i, \qquad
        c = \frac{G}{G - 1} \frac{N - 1}{N - K}

    where G is the number of units, N of cells and K of regressors and periods: fixest's default, which leaves out
    effects that are nested in the cluster. Units with one cell count in G and N, as they do there.
    Dummies of paths are the same for all units of a kind, so they are held once for each kind: memory grows with the
    units times the regressors, not with the cells times the regressors.

    Parameters
    ----------
    sample : Sample
    shared : array, shape (n_kinds, n_periods, n_shared)
        Regressors that all units of a kind share.
    shared_names, own_names : sequence of str
        What an error calls them.
    own : array, shape (n_units, n_periods, n_own)
        Regressors of the units themselves, such as covariates.

    Returns
    -------
    Fit
        First the shared regressors, then the others.

    Raises
    ------
    DesignError
        A regressor is explained by the effects or by other regressors; no degree of freedom is left.
    """
    n_units, n_periods = sample.values.shape
    n_kinds, n_shared, n_own = len(sample.kind_group), shared.shape[2], own.shape[2]
    mass = np.bincount(sample.kind, minlength=n_kinds).astype(float)
    ones = np.ones(n_units)
    of_kind = within(shared, sample.kind_there, mass)
    of_unit = within(own, sample.there, ones) if n_own else np.zeros((n_units, n_periods, 0))
    outcome = within(sample.values[..., None], sample.there, ones)[..., 0]
    if linalg.norm(outcome) <= _ROUNDING * linalg.norm(sample.values):
        outcome = np.zeros_like(outcome)
    flat = of_kind.reshape(n_kinds * n_periods, n_shared)
    flat_own = of_unit.reshape(n_units * n_periods, n_own)
    weighted = flat * np.repeat(mass, n_periods)[:, None]
    cross = flat.T @ _kind_sums(sample.kind, of_unit, n_kinds).reshape(n_kinds * n_periods, n_own)
    normal = np.block([[weighted.T @ flat, cross], [cross.T, flat_own.T @ flat_own]])
    right = np.concatenate(
        [flat.T @ _kind_sums(sample.kind, outcome, n_kinds).ravel(), flat_own.T @ outcome.ravel()]
    )
    raw = np.concatenate(
        [
            np.sqrt(
                np.tensordot(mass, np.where(sample.kind_there[..., None], shared, 0) ** 2, axes=1).sum(axis=0)
            ),
            np.sqrt(np.einsum("itq,itq->q", own, own)),
        ]
    )
    inverse = _inverse(normal, raw, [*shared_names, *own_names], sample.outcome)
    coefficients = inverse @ right
    residuals = outcome - (of_kind @ coefficients[:n_shared])[sample.kind] - of_unit @ coefficients[n_shared:]
    residuals *= sample.there
    scores = np.empty((n_units, n_shared + n_own))
    order = np.argsort(sample.kind, kind="stable")
    for kind, members in enumerate(np.split(order, np.cumsum(mass.astype(int))[:-1])):
        scores[members, :n_shared] = residuals[members] @ of_kind[kind]
    scores[:, n_shared:] = np.einsum("itq,it->iq", of_unit, residuals)
    free = sample.n_rows - (n_shared + n_own + n_periods)
    if free < 1 or n_units < 2:
        raise DesignError(
            "There are more coefficients than the data can carry.",
            where=sample.outcome,
            found=f"{sample.n_rows} cells of {n_units} units, {n_shared + n_own} coefficients, {n_periods} periods",
            fix="Fewer covariates, or an estimator with fewer effects.",
        )
    factor = np.sqrt(n_units / (n_units - 1) * (sample.n_rows - 1) / free)
    return Fit(coefficients=coefficients, influence=scores @ inverse * (n_units * factor))


def _kind_sums(kind: Integers, values: Floats, n_kinds: int) -> Floats:
    """Sums of (n_units, ...) values over the units of each kind, shape (n_kinds, product of the rest)."""
    n_units = len(values)
    members = sparse.csr_array((np.ones(n_units), (kind, np.arange(n_units))), shape=(n_kinds, n_units))
    return np.asarray(members @ values.reshape(n_units, math.prod(values.shape[1:])))


def _inverse(normal: Floats, raw: Floats, names: Sequence[str], outcome: str) -> Floats:
    """Inverse of the normal equations, or an error that names what cannot be told apart."""
    size = np.sqrt(np.maximum(np.diag(normal), 0))
    absorbed = np.flatnonzero(size <= _COLLINEAR * raw)
    if len(absorbed):
        raise DesignError(
            "A coefficient cannot be told apart from unit and period effects.",
            where=outcome,
            found="; ".join(names[at] for at in absorbed[:6]),
            expected="variation within units that other units of the same period do not share",
            fix="An effect needs treated units with data before entry and comparison units with data in its year; "
            "a covariate that never changes within a unit belongs to `extended_twfe`.",
        )
    values, vectors = linalg.eigh(normal / np.outer(size, size))
    if values[0] <= _COLLINEAR:
        share = np.abs(vectors[:, 0])
        raise DesignError(
            "Coefficients cannot be told apart: each is explained by the others.",
            where=outcome,
            found="; ".join(names[at] for at in np.flatnonzero(share > 0.05 * share.max())[:6]),
            fix="Leave out a collinear covariate, or give the comparison data in the periods named.",
        )
    return np.asarray((vectors / values) @ vectors.T / np.outer(size, size))


def _checked_names(panel: Panel, outcome: str, covariates: Sequence[str] | None) -> list[str]:
    names = names_of(covariates)
    check_known(panel, (outcome, *names))
    if outcome in names:
        raise DataError(
            "Covariates must be named, each once, and cannot be the outcome.",
            where="covariates",
            found=repr(list(names)),
        )
    return list(names)


def _earliest(values: Floats, allowed: Mask) -> Floats:
    """The earliest allowed value of each unit in every period; NaN where there is none."""
    usable = allowed & ~np.isnan(values)
    at = usable.argmax(axis=1)
    one = np.where(usable.any(axis=1), values[np.arange(len(values)), at], np.nan)
    return np.repeat(one[:, None], values.shape[1], axis=1)


def _reason(panel: Panel, names: Sequence[str], row: int) -> tuple[str, int]:
    """Why a unit has no cell: the first value that is not there, outcome before covariates, and its period."""
    for name in names:
        for reason, period in zip(panel.reasons[name][row], panel.periods, strict=True):
            if reason != "ok":
                return why_lacking(name, str(reason), names[0]), period
    return "missing", panel.periods[0]


def kinds_of_units(group: Integers, there: Mask) -> tuple[Integers, Integers, Mask]:
    """Units that share path and cells: kind of each unit, and path and cells of each kind."""
    if there.all():
        kind_group, kind = np.unique(group, return_inverse=True)
        return kind.astype(np.int64), kind_group, np.ones((len(kind_group), there.shape[1]), dtype=bool)
    packed = np.column_stack([group, np.packbits(there, axis=1).astype(np.int64)])
    _, at, kind = np.unique(packed, axis=0, return_index=True, return_inverse=True)
    return kind.ravel().astype(np.int64), group[at], there[at]
