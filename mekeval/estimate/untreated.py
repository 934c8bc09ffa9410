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
import pandas as pd

from ..design import Design
from ..errors import DataError, DesignError, closest
from ..panel import Floats, Panel, balanced_block
from .fixed_effects import Sample as Sample  # its users find it here too
from .fixed_effects import kinds_of_units
from .inputs import check_known, check_word, is_whole, names_of, refuse_constant, why_lacking

AfterLeaving = Literal["impute", "fit"]
AFTER_LEAVING: tuple[AfterLeaving, ...] = ("impute", "fit")
_RANK = 1e-10  # eigenvalues of scaled moments below this share of the largest count as zero
_ROUNDING = 1e-13  # residuals below this share of the largest value are rounding


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
    panel: Panel,
    design: Design,
    outcome: str,
    covariates: Sequence[str] | None,
    incomplete: Literal["drop", "keep"],
) -> Sample:
    """The units of a design with their values; see `mekeval.estimate.imputation.imputation` for the parameters.

    Raises
    ------
    DataError
        An outcome or a covariate is not in the panel, or a value is infinite.
    DesignError
        `incomplete` is unknown, a covariate is the outcome or named twice, or one side of the comparison is empty; a
        constant outcome.
    """
    names = _names(panel, outcome, covariates, incomplete)
    units = np.array([*design.treated, *design.comparison], dtype=object)
    sizes = [len(path.units) for path in design.paths]
    group = np.repeat(np.array([*range(len(sizes)), -1]), [*sizes, len(design.comparison)])
    dropped: list[tuple[str, str, int]] = []
    columns = np.ones(len(panel.periods), dtype=bool)
    if incomplete == "drop":
        block = balanced_block(panel, outcome, units=list(units))
        dropped = list(block.dropped)
        columns = np.isin(panel.periods, block.periods)
        if dropped:
            inside = pd.Index(block.units, dtype=object).get_indexer(pd.Index(units, dtype=object)) >= 0
            units, group = units[inside], group[inside]
    rows = pd.Index(panel.units, dtype=object).get_indexer(pd.Index(units, dtype=object))
    if np.any(rows < 0):
        unknown = str(units[rows < 0][0])
        raise DataError(
            "The panel has no such unit.", found=repr(unknown), expected=closest(unknown, panel.units)
        )
    values = np.stack([panel.values[name][rows][:, columns] for name in names], axis=2)
    if np.isinf(values).any():
        row, column, which = (int(index[0]) for index in np.nonzero(np.isinf(values)))
        raise DataError(
            "A value is no finite number.",
            where=f"{names[which]}, {units[row]} in {np.array(panel.periods)[columns][column]}",
            found=str(values[row, column, which]),
        )
    there = np.asarray(~np.isnan(values).any(axis=2))
    periods = np.array(panel.periods, dtype=np.int64)[columns]
    if incomplete == "keep":
        kept = there.any(axis=0)
        periods, values, there = periods[kept], values[:, kept], there[:, kept]
    usable = there.all(axis=1) if incomplete == "drop" else _usable(there, periods, group, design)
    for row in map(int, np.flatnonzero(~usable)):
        gap = int(np.flatnonzero(~there[row])[0])
        which = int(np.flatnonzero(np.isnan(values[row, gap]))[0])
        reason = str(panel.reasons[names[which]][rows[row], panel.periods.index(int(periods[gap]))])
        dropped.append((str(units[row]), why_lacking(names[which], reason, outcome), int(periods[gap])))
    if not usable.all():
        units, group, values, there = units[usable], group[usable], values[usable], there[usable]
    if not np.any(group == -1) or not np.any(group >= 0):
        raise DesignError(
            "No usable unit is left on one side of the comparison.",
            where=outcome,
            found="; ".join(f"{unit}: {reason} in {period}" for unit, reason, period in dropped[:6])
            or f"{len(design.treated)} treated units, {len(design.comparison)} to compare with",
        )
    refuse_constant(values[:, :, 0][there], outcome)
    values = np.where(there[:, :, None], values, 0.0)
    kind, kind_group, kind_there = kinds_of_units(group, there)
    return Sample(
        outcome=outcome,
        units=tuple(units.tolist()),
        periods=periods,
        values=values[:, :, 0],
        there=there,
        covariates=values[:, :, 1:],
        names=tuple(names[1:]),
        group=group,
        kind=kind,
        kind_group=kind_group,
        kind_there=kind_there,
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
    periods = sample.periods
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
    if not is_whole(number) or number < least:
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
    panel: Panel, outcome: str, covariates: Sequence[str] | None, incomplete: Literal["drop", "keep"]
) -> tuple[str, ...]:
    check_word(incomplete, "incomplete", ("drop", "keep"))
    others = names_of(covariates)
    check_known(panel, (outcome, *others))
    if outcome in others:
        raise DesignError(
            "A covariate is the outcome, or is named twice.", where="covariates", found=repr(list(others))
        )
    return (outcome, *others)


def _usable(
    there: npt.NDArray[np.bool_], periods: npt.NDArray[np.int64], group: npt.NDArray[np.int64], design: Design
) -> npt.NDArray[np.bool_]:
    """Which units have an untreated cell; without one a unit has no effect of its own to impute from."""
    entry = np.array([*(path.first for path in design.paths), np.inf])[group]  # -1 picks infinity: never
    reach = np.full(len(group), -np.inf)
    if design.pre_years is not None:
        reach = np.where(group >= 0, entry - design.pre_years, reach)
    untreated = (periods < entry[:, None]) & (periods >= reach[:, None])
    never_there = ~untreated.any(axis=1)  # told as a fault of the design, not as a gap in the data
    return np.asarray((there & untreated).any(axis=1) | (never_there & there.any(axis=1)))
