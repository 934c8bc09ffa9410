"""The weights of synthetic comparisons, and what they are found in.

In: a panel, a design and sets of treated units. Out: weights and paths of many such sets at once.
Never: a name of a method in a result, or a table; those are in `synthetic`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..design import Design, Path
from ..errors import DataError, DesignError, closest
from ..panel import Block, Floats, Panel, balanced_block
from .inputs import check_known, names_of, refuse_constant, why_lacking
from .simplex import SimplexFit, frank_wolfe_weights, simplex_weights

SyntheticMethod = Literal["synthetic_did", "synthetic_control", "demeaned_synthetic_control"]
Solver = Literal["exact", "frank_wolfe"]
METHODS: tuple[SyntheticMethod, ...] = ("synthetic_did", "synthetic_control", "demeaned_synthetic_control")
SOLVERS: tuple[Solver, ...] = ("exact", "frank_wolfe")

_SMALL = 1e-6  # the penalty of weights that should not be penalised, in units of the noise; as in synthdid
_CHUNK = 4_000_000  # numbers in the largest array of one batch
Rows = npt.NDArray[np.intp]


@dataclass(frozen=True, kw_only=True)
class Solved:
    """Weights and paths of n_problems problems with d comparison units and n_periods periods.

    Attributes
    ----------
    unit_weights : array, shape (n_problems, d)
    time_weights : array, shape (n_problems, n_periods)
    intercept, pre_rmse : array, shape (n_problems,)
    treated, synthetic : array, shape (n_problems, n_periods)
    zeta, gap : array, shape (n_problems, 2)
    """

    unit_weights: Floats
    time_weights: Floats
    intercept: Floats
    pre_rmse: Floats
    treated: Floats
    synthetic: Floats
    zeta: Floats
    gap: Floats


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What the weights are found in: the block, who is treated in it, and which sets of units are fitted.

    Attributes
    ----------
    block : Block
        Its values are less the part of the covariates.
    group : array of int, shape (n_units,)
    paths : tuple of Path
        All paths of the design; `fits` points into them.
    fits : tuple of (int, array of int)
        For each fit the index of its path and the rows of its units.
    comparison : array of int
        Rows.
    coefficients : array, shape (n_covariates,)
    partial_years : int
    """

    block: Block
    group: npt.NDArray[np.int64]
    paths: tuple[Path, ...]
    fits: tuple[tuple[int, Rows], ...]
    comparison: Rows
    coefficients: Floats
    partial_years: int


def check_word(where: str, word: str, known: Sequence[str]) -> None:
    """Refuse a word that is not one of the known."""
    if word not in known:
        raise DesignError(f"Unknown {where}.", where=where, found=repr(word), expected=closest(word, known))


def make_setting(
    panel: Panel,
    design: Design,
    *,
    outcome: str,
    unit: str | None,
    covariates: Sequence[str] | None,
    pooled: bool,
) -> Setting:
    """The block without the part of the covariates, and the sets of treated units to be fitted."""
    treated = design.treated if unit is None else (unit,)
    if unit is not None:
        design.path_of(unit)
    block, others = _complete(panel, outcome, covariates, [*treated, *design.comparison])
    units = np.array(block.units)
    group = np.full(len(units), -1, dtype=np.int64)
    for index, path in enumerate(design.paths):
        group[np.isin(units, path.units)] = index
    comparison = np.flatnonzero(group == -1)
    if len(comparison) in (0, len(units)):
        raise DesignError(
            "No complete unit is left on one side of the comparison.",
            where=outcome,
            found="; ".join(f"{name}: {reason} in {period}" for name, reason, period in block.dropped[:6])
            or f"{len(design.treated)} treated units, {len(design.comparison)} to compare with",
        )
    present = [index for index in range(len(design.paths)) if np.any(group == index)]
    for index in present:
        _check_periods(block, design.paths[index])
    members = [(index, np.flatnonzero(group == index)) for index in present]
    fits = members if pooled else [(index, rows[[at]]) for index, rows in members for at in range(len(rows))]
    first = np.array([path.first for path in design.paths])
    untreated = (group == -1)[:, None] | (np.array(block.periods) < first[group][:, None])
    coefficients = _coefficients(block.values, others, untreated, names_of(covariates))
    centred = others - others.mean(axis=(1, 2), keepdims=True)
    return Setting(
        block=replace(block, values=block.values - np.tensordot(coefficients, centred, axes=1)),
        group=group,
        paths=design.paths,
        fits=tuple(fits),
        comparison=comparison,
        coefficients=coefficients,
        partial_years=design.partial_years,
    )


def windows(setting: Setting, index: int) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Periods before a path enters, and those in which it is fully in (partly, where there are no others)."""
    path, periods = setting.paths[index], setting.block.periods
    phases = np.array([path.phase(year, partial_years=setting.partial_years) for year in periods])
    inside = phases == "on"
    if not inside.any():
        inside = phases == "partial"
    return phases == "pre", inside if inside.any() else phases == "after"


def solve_units(
    values: Floats,
    treated: Rows,
    donors: Rows,
    before: npt.NDArray[np.bool_],
    inside: npt.NDArray[np.bool_],
    *,
    method: SyntheticMethod,
    solver: Solver,
) -> Solved:
    """Weights and paths where the rows of `treated` are compared with those of `donors`, many pairs at once.

    Parameters
    ----------
    values : array, shape (n_units, n_periods)
    treated, donors : array of int, shape (n_problems, k) and (n_problems, d)
    before, inside : array of bool, shape (n_periods,)
    """
    at_once = max(1, _CHUNK // (donors.shape[1] * max(donors.shape[1], values.shape[1])))
    parts = [
        _solve(values, treated[at : at + at_once], donors[at : at + at_once], before, inside, method, solver)
        for at in range(0, len(treated), at_once)
    ]
    return Solved(
        **{
            name: np.concatenate([getattr(part, name) for part in parts])
            for name in Solved.__dataclass_fields__
        }
    )


def _solve(
    values: Floats,
    treated: Rows,
    donors: Rows,
    before: npt.NDArray[np.bool_],
    inside: npt.NDArray[np.bool_],
    method: SyntheticMethod,
    solver: Solver,
) -> Solved:
    mean = values[treated].mean(axis=1)
    rest = values[donors]  # (n_problems, d, n_periods)
    past, past_mean = rest[:, :, before], mean[:, before]
    n_before, n_donors = past.shape[2], past.shape[1]
    noise = _noise(past)
    did = method == "synthetic_did"
    strength = (treated.shape[1] * int(inside.sum())) ** 0.25 if did else _SMALL
    zeta = np.column_stack([strength * noise, (_SMALL if did else 0.0) * noise])
    units = _weights(
        past.transpose(0, 2, 1),
        past_mean,
        ridge=n_before * zeta[:, 0] ** 2,
        intercept=method != "synthetic_control",
        noise=noise,
        solver=solver,
    )
    plain = (units.weights[:, None, :] @ rest)[:, 0, :]
    difference = mean - plain
    time_weights = np.zeros_like(mean)
    gap = np.column_stack([units.gap / n_before, np.zeros(len(mean))])
    if did:
        times = _weights(
            past,
            rest[:, :, inside].mean(axis=2),
            ridge=n_donors * zeta[:, 1] ** 2,
            intercept=True,
            noise=noise,
            solver=solver,
        )
        time_weights[:, before] = times.weights
        gap[:, 1] = times.gap / n_donors
    elif method == "demeaned_synthetic_control":
        time_weights[:, before] = 1 / n_before
    intercept = np.sum(time_weights * difference, axis=1)
    residual = difference[:, before]
    if method != "synthetic_control":
        residual = residual - residual.mean(axis=1, keepdims=True)
    return Solved(
        unit_weights=units.weights,
        time_weights=time_weights,
        intercept=intercept,
        pre_rmse=np.sqrt(np.mean(residual**2, axis=1)),
        treated=mean,
        synthetic=plain + intercept[:, None],
        zeta=zeta,
        gap=gap,
    )


def _weights(
    design: Floats, target: Floats, *, ridge: Floats, intercept: bool, noise: Floats, solver: Solver
) -> SimplexFit:
    if solver == "exact":
        return simplex_weights(design, target, ridge=ridge, intercept=intercept)
    return frank_wolfe_weights(design, target, ridge=ridge, intercept=intercept, min_decrease=1e-5 * noise)


def _noise(past: Floats) -> Floats:
    """Standard deviation of the first differences of the comparison, shape (n_problems,)."""
    steps = np.diff(past, axis=2).reshape(len(past), -1)
    return np.std(steps, axis=1, ddof=1) if steps.shape[1] > 1 else np.zeros(len(past))


def _complete(
    panel: Panel, outcome: str, covariates: Sequence[str] | None, units: Sequence[str]
) -> tuple[Block, Floats]:
    """The balanced block in which the covariates, shape (n_covariates, n_units, n_periods), have values too."""
    names = names_of(covariates)
    check_known(panel, (outcome, *names))
    if outcome in names:
        raise DataError(
            "Covariates must be a list of names other than the outcome, each once.",
            where="covariates",
            found=repr(list(names)),
        )
    block = balanced_block(panel, outcome, units=units)
    rows = pd.Index(panel.units, dtype=object).get_indexer(pd.Index(block.units, dtype=object))
    columns = np.searchsorted(panel.periods, block.periods)
    shape = (len(names), len(rows), len(columns))
    others = np.array([panel.values[name][np.ix_(rows, columns)] for name in names]).reshape(shape)
    lacking = np.isnan(others)
    dropped = list(block.dropped)
    for row in np.flatnonzero(lacking.any(axis=(0, 2))):
        which, period = (int(at) for at in np.argwhere(lacking[:, row])[0])
        reason = str(panel.reasons[names[which]][rows[row], columns[period]])
        dropped.append((block.units[row], why_lacking(names[which], reason, outcome), block.periods[period]))
    kept = ~lacking.any(axis=(0, 2))
    values, others = block.values[kept], others[:, kept]
    if not (np.isfinite(values).all() and np.isfinite(others).all()):
        raise DataError("A value is no finite number.", where=", ".join([outcome, *names]), found="infinity")
    refuse_constant(values, outcome)
    return (
        replace(
            block,
            units=tuple(name for name, keep in zip(block.units, kept, strict=True) if keep),
            values=values,
            dropped=tuple(dropped),
        ),
        others,
    )


def _check_periods(block: Block, path: Path) -> None:
    periods = np.array(block.periods)
    n_before = int(np.sum(periods < path.first))
    if n_before < 2:
        raise DesignError(
            "A synthetic comparison needs at least two periods before entry.",
            where=f"{block.outcome}, {', '.join(path.units)}",
            found=f"{n_before} before {path.first}",
            fix="Use the group-time estimator, or leave these units out.",
        )
    if n_before == len(periods):
        raise DesignError(
            "A treated area has no data after entry.",
            where=f"{block.outcome}, {', '.join(path.units)}",
            found=f"last period with data {periods[-1]}, treated from {path.first}",
        )


def _coefficients(
    values: Floats, others: Floats, untreated: npt.NDArray[np.bool_], names: Sequence[str]
) -> Floats:
    """Least squares with unit and period effects on the untreated cells: units by demeaning, periods by columns."""
    if len(others) == 0:
        return np.zeros(0)
    share = untreated / untreated.sum(axis=1, keepdims=True)

    def within(cube: Floats) -> Floats:  # (k, n_units, n_periods) -> (n_cells, k)
        return np.asarray((cube - np.sum(cube * share, axis=2, keepdims=True))[:, untreated].T)

    n_periods = values.shape[1]
    periods = np.broadcast_to(np.eye(n_periods)[:, None, :], (n_periods, *values.shape))
    dummies = within(periods)
    both = within(np.concatenate([others, values[None]]))
    left = both - dummies @ np.linalg.lstsq(dummies, both, rcond=None)[0]
    regressors, outcome = left[:, :-1], left[:, -1]
    size = np.abs(others).max(axis=(1, 2)) * np.sqrt(len(left))
    for at, name in enumerate(names):
        former = regressors[:, :at]
        alone = regressors[:, at] - former @ np.linalg.lstsq(former, regressors[:, at], rcond=None)[0]
        if np.linalg.norm(alone) <= 1e-9 * max(float(size[at]), np.finfo(float).tiny):
            raise DesignError(
                "A covariate says nothing beyond unit and period effects and the other covariates.",
                where="covariates",
                found=repr(name),
                fix="Leave it out.",
            )
    scale = np.linalg.norm(regressors, axis=0)
    return np.asarray(np.linalg.lstsq(regressors / scale, outcome, rcond=None)[0] / scale)
