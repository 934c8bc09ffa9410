"""The two-way fit on untreated observations that imputation, two-stage and their pre-trend test share.

In: a panel, a design and a mask of untreated cells. Out: residuals, scores, inverse moments.
Never: an iteration.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from ..design import Design
from ..errors import DataError, DesignError, closest
from ..panel import Floats, Panel, balanced_block

AfterLeaving = Literal["impute", "fit"]
AFTER_LEAVING: tuple[AfterLeaving, ...] = ("impute", "fit")
_RANK = 1e-10  # eigenvalues of scaled moments below this share of the largest count as zero
_ROUNDING = 1e-13  # residuals below this share of the largest value are rounding


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Units, periods and values that enter an estimation.

    Attributes
    ----------
    outcome : str
    units : tuple of str
        n_units codes.
    periods : tuple of int
        n_periods years.
    group : array of int, shape (n_units,)
        Index of the path of each unit; -1 for the comparison.
    values : array, shape (n_units, n_periods)
        The outcome; 0 where not seen.
    covariates : array, shape (n_units, n_periods, n_covariates)
        0 where not seen.
    seen : array of bool, shape (n_units, n_periods)
        Whether outcome and covariates all have a value.
    dropped : tuple of (str, str, int)
        Units left out, with the reason and the period.
    """

    outcome: str
    units: tuple[str, ...]
    periods: tuple[int, ...]
    group: npt.NDArray[np.int64]
    values: Floats
    covariates: Floats
    seen: npt.NDArray[np.bool_]
    dropped: tuple[tuple[str, str, int], ...]


@dataclass(frozen=True, kw_only=True)
class UntreatedFit:
    """Least squares with unit and period effects on untreated cells.

    Parameters of the fit are the n_periods period effects and the n_covariates coefficients; unit effects are
    swept out. n_parameters is their number.

    Attributes
    ----------
    coefficients : array, shape (n_covariates,)
    residuals : array, shape (n_units, n_periods)
        Outcome less fitted values, in untreated and in treated cells.
    covariates : array, shape (n_units, n_periods, n_covariates)
        Less their unit means over untreated cells.
    unit_weights : array, shape (n_units, n_periods)
        Weights of the cells in each unit's effect: 1 / (its untreated cells) in those cells, else 0.
    scores : array, shape (n_units, n_parameters)
        Regressors times residuals, summed over the untreated cells of each unit.
    inverse : array, shape (n_parameters, n_parameters)
        Pseudo-inverse of the cross products of the regressors.
    open_periods : array, shape (n_periods, n_open)
        Orthonormal directions of the period effects that the data leave open: the common level, and one more for
        each set of periods that no unit ties to the rest.
    """

    coefficients: Floats
    residuals: Floats
    covariates: Floats
    unit_weights: Floats
    scores: Floats
    inverse: Floats
    open_periods: Floats


def draw_sample(
    panel: Panel, design: Design, outcome: str, covariates: Sequence[str], incomplete: Literal["drop", "keep"]
) -> Sample:
    """The units of a design with their values; see `mekeval.estimate.imputation.imputation` for the parameters.

    Raises
    ------
    DataError
        An outcome or a covariate is not in the panel, or a value is infinite.
    DesignError
        `incomplete` is unknown, a covariate is the outcome or named twice, or one side of the comparison is empty.
    """
    names = _names(panel, outcome, covariates, incomplete)
    units = [*design.treated, *design.comparison]
    dropped: list[tuple[str, str, int]] = []
    if incomplete == "drop":
        block = balanced_block(panel, outcome, units=units)
        units, dropped = list(block.units), list(block.dropped)
        columns = np.isin(panel.periods, block.periods)
    else:
        columns = np.ones(len(panel.periods), dtype=bool)
    place = {unit: row for row, unit in enumerate(panel.units)}
    unknown = [unit for unit in units if unit not in place]
    if unknown:
        raise DataError(
            "The panel has no such unit.", found=repr(unknown[0]), expected=closest(unknown[0], panel.units)
        )
    rows = np.array([place[unit] for unit in units])
    values = np.stack([panel.values[name][rows][:, columns] for name in names], axis=2)
    if np.isinf(values).any():
        row, column, which = (int(index[0]) for index in np.nonzero(np.isinf(values)))
        raise DataError(
            "A value is no finite number.",
            where=f"{names[which]}, {units[row]} in {np.array(panel.periods)[columns][column]}",
            found=str(values[row, column, which]),
        )
    seen = ~np.isnan(values).any(axis=2)
    years = np.array(panel.periods)[columns]
    if incomplete == "keep":
        kept = seen.any(axis=0)
        years, values, seen = years[kept], values[:, kept], seen[:, kept]
    periods = tuple(int(year) for year in years)
    usable = seen.all(axis=1) if incomplete == "drop" else _usable(seen, np.array(periods), units, design)
    for row in map(int, np.flatnonzero(~usable)):
        gap = int(np.flatnonzero(~seen[row])[0])
        which = int(np.flatnonzero(np.isnan(values[row, gap]))[0])
        reason = str(panel.reasons[names[which]][rows[row], panel.periods.index(periods[gap])])
        dropped.append((units[row], reason if which == 0 else f"{reason}: {names[which]}", periods[gap]))
    group = np.full(len(units), -1, dtype=np.int64)
    for index, path in enumerate(design.paths):
        group[np.isin(units, path.units)] = index
    group = group[usable]
    if not np.any(group == -1) or not np.any(group >= 0):
        raise DesignError(
            "No usable unit is left on one side of the comparison.",
            where=outcome,
            found="; ".join(f"{unit}: {reason} in {period}" for unit, reason, period in dropped[:6]),
        )
    values, seen = values[usable], seen[usable]
    values = np.where(seen[:, :, None], values, 0.0)
    return Sample(
        outcome=outcome,
        units=tuple(unit for unit, kept_unit in zip(units, usable, strict=True) if kept_unit),
        periods=periods,
        group=group,
        values=values[:, :, 0],
        covariates=values[:, :, 1:],
        seen=seen,
        dropped=tuple(dropped),
    )


def untreated_periods(
    sample: Sample, design: Design, *, after_leaving: AfterLeaving
) -> npt.NDArray[np.bool_]:
    """Periods in which each path is untreated, shape (n_paths + 1, n_periods); the last row is the comparison.

    Raises
    ------
    DesignError
        A path has no period before entry within reach.
    """
    periods = np.array(sample.periods)
    masks = np.ones((len(design.paths) + 1, len(periods)), dtype=bool)
    for index, path in enumerate(design.paths):
        reach = -np.inf if design.pre_years is None else path.first - design.pre_years
        masks[index] = (periods < path.first) & (periods >= reach)
        if not masks[index].any() and np.any(sample.group == index):
            raise DesignError(
                "A treated area has no data before treatment.",
                where=f"{sample.outcome}, {', '.join(path.units)}",
                found=f"first period with data {periods[0]}, treated from {path.first}",
                expected=f"a period from {int(reach) if np.isfinite(reach) else 'any year'} to {path.first - 1}",
            )
        if after_leaving == "fit":
            masks[index] |= [path.phase(int(period)) == "after" for period in periods]
    return masks


def fit_untreated(
    sample: Sample, fitted: npt.NDArray[np.bool_], covariates: Floats, names: Sequence[str]
) -> UntreatedFit:
    """Least squares on the cells of `fitted`; unit effects are swept out, so the system is n_parameters wide.

    A unit without a cell in `fitted` has no effect, and its residuals mean nothing. The cost is
    n_units x n_periods x n_parameters, whatever the gaps: there is nothing to iterate.

    Raises
    ------
    DesignError
        A covariate does not vary within units over untreated cells, or repeats others.
    """
    mask = fitted.astype(float)
    n_periods = mask.shape[1]
    weights = mask / np.maximum(mask.sum(axis=1, keepdims=True), 1)
    values = sample.values - np.sum(weights * sample.values, axis=1, keepdims=True)
    regressors = covariates - np.einsum("nt,ntk->nk", weights, covariates)[:, None, :]
    within = regressors * mask[:, :, None]
    scale = np.sqrt(np.sum(within**2, axis=(0, 1)))
    size = np.sqrt(np.sum((covariates * mask[:, :, None]) ** 2, axis=(0, 1)))
    for fixed in np.flatnonzero(scale <= 1e-10 * size):
        raise _collinear(sample, names[int(fixed)], "it does not change within units before treatment")
    regressors, within = regressors / scale, within / scale
    moments = np.zeros((n_periods + len(scale),) * 2)
    moments[:n_periods, :n_periods] = np.diag(mask.sum(axis=0)) - weights.T @ mask
    moments[:n_periods, n_periods:] = within.sum(axis=0)
    moments[n_periods:, :n_periods] = moments[:n_periods, n_periods:].T
    moments[n_periods:, n_periods:] = np.einsum("ntk,ntl->kl", within, within)
    # Period counts and unit-length covariates differ by orders of magnitude; rank is judged on an even footing.
    even = np.concatenate([np.full(n_periods, 1 / np.sqrt(mask.sum(axis=0).max())), np.ones(len(scale))])
    scaled = moments * np.outer(even, even)
    values_of, vectors = np.linalg.eigh(scaled[:n_periods, :n_periods])
    is_open = values_of <= _RANK * values_of[-1]
    of_periods = n_periods - int(is_open.sum())
    for place in range(len(scale)):
        upto = n_periods + place + 1
        if _rank(scaled[:upto, :upto]) < of_periods + place + 1:
            raise _collinear(sample, names[place], "periods and the covariates before it already tell it")
    inverse = np.linalg.pinv(scaled, rcond=_RANK, hermitian=True) * np.outer(even, even)
    target = np.concatenate([np.sum(mask * values, axis=0), np.einsum("ntk,nt->k", within, values)])
    parameters = inverse @ target
    residuals = values - parameters[:n_periods] - regressors @ parameters[n_periods:]
    residuals -= np.sum(weights * residuals, axis=1, keepdims=True)
    left = mask * residuals
    if np.abs(left).max() <= _ROUNDING * np.abs(sample.values).max():
        left = np.zeros_like(left)  # an exact fit: what is left is rounding, and no variance
    back = np.concatenate([np.ones(n_periods), 1 / scale])  # to the covariates' own units
    return UntreatedFit(
        coefficients=parameters[n_periods:] / scale,
        residuals=residuals,
        covariates=regressors * scale,
        unit_weights=weights,
        scores=np.hstack([left, np.einsum("ntk,nt->nk", within, left)]) / back,
        inverse=inverse * np.outer(back, back),
        open_periods=vectors[:, is_open],
    )


def check_leads(number: int, name: str, *, least: int) -> int:
    """A number of leads, or a `DesignError` where it is no whole number from `least` on."""
    if isinstance(number, bool) or int(number) != number or number < least:
        raise DesignError(
            "Leads are counted in whole periods.",
            where=name,
            found=repr(number),
            expected=f"a whole number from {least}",
        )
    return int(number)


def _rank(moments: Floats) -> int:
    values = np.linalg.eigvalsh(moments)
    return int(np.sum(values > _RANK * max(float(values[-1]), np.finfo(float).tiny)))


def _collinear(sample: Sample, name: str, why: str) -> DesignError:
    return DesignError(
        f"A regressor cannot be told from the unit and period effects: {why}.",
        where=f"{sample.outcome}, {name}",
        fix="Leave it out.",
    )


def _names(
    panel: Panel, outcome: str, covariates: Sequence[str], incomplete: Literal["drop", "keep"]
) -> tuple[str, ...]:
    if incomplete not in ("drop", "keep"):
        raise DesignError(
            "Incomplete units are dropped or kept.",
            where="incomplete",
            found=repr(incomplete),
            expected=closest(incomplete, ("drop", "keep")),
        )
    if isinstance(covariates, str):
        raise DesignError(
            "Covariates are a list of names.",
            where="covariates",
            found=repr(covariates),
            fix=f"Write [{covariates!r}].",
        )
    names = (outcome, *covariates)
    for name in names:
        if name not in panel.values:
            raise DataError(
                "The panel has no such outcome.", found=repr(name), expected=closest(name, panel.outcomes)
            )
    if len(set(names)) < len(names):
        raise DesignError(
            "A covariate is the outcome, or is named twice.", where="covariates", found=repr(list(covariates))
        )
    return names


def _usable(
    seen: npt.NDArray[np.bool_], periods: npt.NDArray[np.int64], units: Sequence[str], design: Design
) -> npt.NDArray[np.bool_]:
    """Which units have an untreated cell; without one a unit has no effect of its own to impute from."""
    first = np.full(len(units), np.inf)
    reach = np.full(len(units), -np.inf)
    for path in design.paths:
        rows = np.isin(units, path.units)
        first[rows] = path.first
        if design.pre_years is not None:
            reach[rows] = path.first - design.pre_years
    untreated = (periods < first[:, None]) & (periods >= reach[:, None])
    never_there = ~untreated.any(axis=1)  # told as a fault of the design, not as a gap in the data
    return np.asarray((seen & untreated).any(axis=1) | (never_there & seen.any(axis=1)))
