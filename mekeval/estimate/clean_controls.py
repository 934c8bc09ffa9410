"""Clean 2 x 2 comparisons and the regressions that pool them: what stacked and local projections share.

In: changes of all units with their sides. Out: coefficients, scores, `Effects`. Never: a choice of who is clean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..design import Design
from ..errors import DesignError
from ..panel import Floats
from .effects import Effects, cell_names
from .fixed_effects import Comparison
from .inputs import is_whole, scale_of
from .untreated import Sample

StackWeights = Literal["corrective", "none"]
STACK_WEIGHTS: tuple[StackWeights, ...] = ("corrective", "none")
Mask = npt.NDArray[np.bool_]
_COLLINEAR = 1e-10  # a share of a regressor outside the others below this is none


@dataclass(frozen=True, kw_only=True)
class Stack:
    """One clean comparison.

    Attributes
    ----------
    change : array, shape (n_units,)
        From the base to the period of the effect.
    treated, clean : array of bool, shape (n_units,)
        Who is on which side; a unit may be on neither.
    covariates : array, shape (n_units, n_covariates)
        Their values in the base.
    """

    change: Floats
    treated: Mask
    clean: Mask
    covariates: Floats


@dataclass(frozen=True, kw_only=True)
class Pooled:
    """One coefficient over several stacks; `influence` sums to the coefficient's error and has no factor in it."""

    att: float
    influence: Floats
    treated: Mask
    clean: Mask


def corrective(stacks: Sequence[Stack], names: Sequence[str], where: str) -> Pooled:
    """Coefficient of the weighted stacked regression, saturated in treated x event time and covariate x event time."""
    sizes = np.array([[stack.treated.sum(), stack.clean.sum()] for stack in stacks], dtype=float)
    share = sizes / sizes.sum(axis=0)
    weights = [
        stack.treated + stack.clean * (on / off) for stack, (on, off) in zip(stacks, share, strict=True)
    ]
    return _coefficient(stacks, weights, names, where, common=True)


def stack_effects(
    stacks: Sequence[Stack], weights: Sequence[float], names: Sequence[str], where: str
) -> Pooled:
    """Coefficient of treatment beside covariates and an effect for each stack, each stack with its own weight."""
    each = [weight * (stack.treated | stack.clean) for weight, stack in zip(weights, stacks, strict=True)]
    return _coefficient(stacks, each, names, where, common=False)


def _coefficient(
    stacks: Sequence[Stack],
    weights: Sequence[npt.NDArray[np.floating]],
    names: Sequence[str],
    where: str,
    *,
    common: bool,
) -> Pooled:
    """Coefficient of treatment in weighted least squares over all rows, with one intercept or one for each stack."""
    unit, part, data = _rows(stacks, [stack.treated | stack.clean for stack in stacks])
    weight = np.array(weights)[part, unit]
    columns = np.column_stack(
        [data[:, 0], np.array([stack.treated for stack in stacks])[part, unit], data[:, 1:]]
    )
    if common:
        part = np.zeros_like(part)
    net = columns - _means(columns, part, weight)[part]
    root = np.sqrt(weight)[:, None]
    inverse = inverse_of(
        root * net[:, 1:],
        root * columns[:, 1:],
        ["treatment", *names],
        where=where,
        net_of="the effects of period and sub-experiment",
    )
    coefficients = inverse @ (net[:, 1:].T @ (weight * net[:, 0]))
    scores = weight * (net[:, 1:] @ inverse[:, 0]) * (net[:, 0] - net[:, 1:] @ coefficients)
    influence = np.asarray(np.bincount(unit, weights=scores, minlength=len(stacks[0].change)), dtype=float)
    return _joined(float(coefficients[0]), influence, stacks)


def adjusted(stacks: Sequence[Stack], names: Sequence[str], where: str) -> Pooled:
    """Mean over the treated of their change less what the clean units of the stacks predict (regression adjustment).

    The prediction is least squares among the clean, an effect for each stack and common slopes.
    """
    stacks = [stack for stack in stacks if stack.treated.any()]
    n_stacks, n_units, k = len(stacks), len(stacks[0].change), stacks[0].covariates.shape[1]
    unit, part, treated = _rows(stacks, [stack.treated for stack in stacks])
    unit_clean, part_clean, clean = _rows(stacks, [stack.clean for stack in stacks])
    if k and len(clean) <= n_stacks + k:
        raise DesignError(
            "There are too few clean controls for the covariates.",
            where=where,
            found=f"{len(clean)} controls in {n_stacks} comparisons, {k} covariates",
            fix="Fewer covariates, or a regression in which all units help to estimate their slopes.",
        )
    centre = _means(clean, part_clean, np.ones(len(clean)))
    net, distance = clean - centre[part_clean], treated - centre[part]
    inverse = inverse_of(
        net[:, 1:], clean[:, 1:], names, where=where, net_of="the means of the clean controls"
    )
    slopes = inverse @ (net[:, 1:].T @ net[:, 0])
    gaps = distance[:, 0] - distance[:, 1:] @ slopes
    left = net[:, 0] - net[:, 1:] @ slopes
    # What each clean row weighs in the prediction for the mean treated row.
    share = np.bincount(part) / len(treated) / np.bincount(part_clean)
    weight = share[part_clean] + net[:, 1:] @ (inverse @ distance[:, 1:].mean(axis=0))
    att = float(gaps.mean())
    influence = np.bincount(unit, weights=(gaps - att) / len(treated), minlength=n_units) - np.bincount(
        unit_clean, weights=weight * left, minlength=n_units
    )
    return _joined(att, np.asarray(influence, dtype=float), stacks)


def _rows(
    stacks: Sequence[Stack], members: Sequence[Mask]
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], Floats]:
    """Unit, number of the stack, and change beside covariates, of the members of all stacks, one row for each."""
    part, unit = np.nonzero(np.array(members))
    columns = np.array([np.column_stack([stack.change, stack.covariates]) for stack in stacks])
    return unit, part, columns[part, unit]


def inverse_of(net: Floats, raw: Floats, names: Sequence[str], *, where: str, net_of: str) -> Floats:
    """Inverse of the cross products of regressors, or an error that names what cannot be told apart.

    Parameters
    ----------
    net, raw : array, shape (n_rows, n_regressors)
        Regressors without and with what is absorbed; `raw` gives the size that rounding is judged by.
    names : sequence of str
    where, net_of : str
        For the error: the outcome, and what is absorbed.

    Raises
    ------
    DesignError
        A regressor is absorbed, or the ones before it tell it.
    """
    size = np.sqrt(np.sum(net**2, axis=0))
    absorbed = size <= _COLLINEAR * np.sqrt(np.sum(raw**2, axis=0))
    if absorbed.any():
        raise _collinear(where, names[int(absorbed.argmax())], net_of)
    scaled = (net / size).T @ (net / size)
    for at in range(1, len(size)):
        if np.linalg.eigvalsh(scaled[: at + 1, : at + 1])[0] <= _COLLINEAR:
            raise _collinear(where, names[at], f"{net_of} and the regressors before it")
    return np.asarray(np.linalg.inv(scaled) / np.outer(size, size)) if len(size) else scaled


def _collinear(where: str, name: str, net_of: str) -> DesignError:
    return DesignError(
        "A regressor cannot be told from the others.",
        where=f"{where}, {name}",
        found=f"{net_of} already tell it",
        fix="Leave it out.",
    )


def _means(columns: Floats, part: npt.NDArray[np.intp], weight: Floats) -> Floats:
    """Weighted means of columns over the rows of each part, shape (n_parts, n_columns)."""
    total = np.bincount(part, weights=weight)
    sums = [np.bincount(part, weights=weight * column) for column in columns.T]
    return np.stack(sums, axis=1) / total[:, None] if sums else np.zeros((len(total), 0))


def _joined(att: float, influence: Floats, stacks: Sequence[Stack]) -> Pooled:
    with_entries = [stack for stack in stacks if stack.treated.any()]
    return Pooled(
        att=att,
        influence=influence,
        treated=np.any([stack.treated for stack in with_entries], axis=0),
        clean=np.any([stack.clean for stack in with_entries], axis=0),
    )


def pooled_effects(
    estimator: str,
    sample: Sample,
    design: Design,
    events: Sequence[int],
    pooled: Sequence[Pooled],
    factors: Sequence[float],
    base: str,
    trimmed: tuple[tuple[str, str, int], ...],
) -> Effects:
    """One row for each event time. Units that are treated but never an entry get a group without a row."""
    entries = np.any([one.treated for one in pooled], axis=0)
    missing = pd.array([pd.NA] * len(events), dtype="Int64")
    cells = pd.DataFrame(
        {
            "path": "all",
            "group": 0,
            "cohort": missing,
            "period": missing,
            "event_time": list(events),
            "phase": [
                "pre" if event < 0 else "partial" if event < design.partial_years else "on"
                for event in events
            ],
            "base": base,
            "att": [one.att for one in pooled],
            "n_treated": [int(one.treated.sum()) for one in pooled],
            "n_comparison": [int(one.clean.sum()) for one in pooled],
        }
    )
    influence = np.column_stack([one.influence * factor for one, factor in zip(pooled, factors, strict=True)])
    return Effects(
        estimator=estimator,
        outcome=sample.outcome,
        base_period=base,
        cells=cells,
        units=sample.units,
        group=np.where(entries, 0, np.where(sample.group >= 0, 1, -1)).astype(np.int64),
        influence=len(sample.units) * influence,
        changes=None,
        exposure=None,
        shares_estimated=False,
        unit_weights=None,
        scale=scale_of(sample.values),
        n_rows=sample.values.size,
        dropped=(*sample.dropped, *trimmed),
    )


def path_effects(
    estimator: str,
    sample: Sample,
    design: Design,
    chosen: Sequence[tuple[int, int, int, Mask]],
    names: Sequence[str],
    comparison: Comparison,
    trimmed: tuple[tuple[str, str, int], ...],
) -> Effects:
    """The 2 x 2 comparisons of (path, base position, position, clean controls), regression-adjusted, one cell each."""
    rows, changes, influence, exposure = [], [], [], []
    on = np.array(
        [[path.phase(period) == "on" for period in sample.periods] for path in design.paths]
        + [[False] * len(sample.periods)],
        dtype=float,
    )[sample.group]
    for index, base, at, clean in chosen:
        path, period, members = design.paths[index], sample.periods[at], sample.group == index
        change = sample.values[:, at] - sample.values[:, base]
        stack = Stack(change=change, treated=members, clean=clean, covariates=sample.covariates[:, base])
        cell = adjusted([stack], names, f"{sample.outcome}, {path.name} in {period}")
        changes.append(change)
        exposure.append(on[:, at] - on[:, base])
        influence.append(cell.influence)
        rows.append(
            {
                **cell_names(design, index, period, [sample.periods[base]]),
                "att": cell.att,
                "n_treated": int(members.sum()),
                "n_comparison": int(clean.sum()),
            }
        )
    permutable = comparison == "never_treated" and not names
    return Effects(
        estimator=estimator,
        outcome=sample.outcome,
        base_period="last period before entry",
        cells=pd.DataFrame(rows),
        units=sample.units,
        group=sample.group,
        influence=len(sample.units) * np.column_stack(influence),
        changes=np.column_stack(changes) if permutable else None,
        exposure=np.column_stack(exposure) if permutable else None,
        shares_estimated=True,
        unit_weights=None,
        scale=scale_of(sample.values),
        n_rows=sample.values.size,
        dropped=(*sample.dropped, *trimmed),
    )


def entry_and_exit(sample: Sample, design: Design) -> tuple[Floats, Floats]:
    """First year in, and last year of the first spell, of every unit; infinite for the comparison."""
    first = np.array([*(path.spells[0][0] for path in design.paths), np.inf])[sample.group]
    last = np.array([*(path.spells[0][1] for path in design.paths), np.inf])[sample.group]
    return first, last


def cohorts(first: Floats) -> list[int]:
    return [int(year) for year in np.unique(first[np.isfinite(first)])]


def cluster_factor(outcome: str, n_clusters: int, n_rows: int, n_parameters: int) -> float:
    if n_rows <= n_parameters:
        raise DesignError(
            "There are too few observations for the regression.",
            where=outcome,
            found=f"{n_rows} rows, {n_parameters} parameters",
        )
    return float(np.sqrt(n_clusters / (n_clusters - 1) * (n_rows - 1) / (n_rows - n_parameters)))


def check_window(window: Sequence[int]) -> tuple[int, int]:
    """First and last event time of a window; a `DesignError` where it does not span entry."""
    if not isinstance(window, (tuple, list)) or len(window) != 2 or not all(map(is_whole, window)):
        raise DesignError("A window is two whole numbers.", where="window", found=repr(window))
    low, high = (int(end) for end in window)
    if not low < 0 <= high:
        raise DesignError(
            "A window begins before entry and ends after it.",
            where="window",
            found=repr(window),
            expected="for example (-3, 2)",
        )
    return low, high
