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
from ..errors import DesignError, closest
from ..panel import Floats
from .effects import Effects
from .untreated import Sample

Comparison = Literal["not_yet_treated", "never_treated"]
COMPARISONS: tuple[Comparison, ...] = ("not_yet_treated", "never_treated")
StackWeights = Literal["corrective", "none"]
STACK_WEIGHTS: tuple[StackWeights, ...] = ("corrective", "none")
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Stack:
    """One clean comparison: a change of every unit, and who is on which side; each of shape (n_units,)."""

    change: Floats
    treated: Mask
    clean: Mask


@dataclass(frozen=True, kw_only=True)
class Pooled:
    """One coefficient over several stacks; `influence` sums to the coefficient's error and has no factor in it."""

    att: float
    influence: Floats
    treated: Mask
    clean: Mask


def corrective(stacks: Sequence[Stack]) -> Pooled:
    """Coefficient of the weighted stacked regression, saturated in treated x event time."""
    n_treated = sum(int(stack.treated.sum()) for stack in stacks)
    treated_weight = [stack.treated / n_treated for stack in stacks]
    clean_weight = [
        stack.clean * (stack.treated.sum() / n_treated / stack.clean.sum()) for stack in stacks
    ]  # they sum to 1 over all stacks, as the treated ones do
    means = [
        sum(float(weight @ stack.change) for weight, stack in zip(side, stacks, strict=True))
        for side in (treated_weight, clean_weight)
    ]
    influence = sum(
        on * (stack.change - means[0]) - off * (stack.change - means[1])
        for on, off, stack in zip(treated_weight, clean_weight, stacks, strict=True)
    )
    return _joined(means[0] - means[1], np.asarray(influence), stacks)


def stack_effects(stacks: Sequence[Stack], weights: Sequence[float]) -> Pooled:
    """Coefficient of treatment beside an effect for each stack, each stack with its own weight."""
    deviations = [
        (stack.treated | stack.clean)
        * (stack.treated - stack.treated.sum() / (stack.treated | stack.clean).sum())
        for stack in stacks
    ]
    parts = list(zip(weights, deviations, stacks, strict=True))
    total = sum(float(weight * (deviation @ deviation)) for weight, deviation, _ in parts)
    att = sum(float(weight * (deviation @ stack.change)) for weight, deviation, stack in parts) / total
    influence = np.zeros(len(stacks[0].change))
    for weight, deviation, stack in parts:
        mean = stack.change[stack.treated | stack.clean].mean()
        influence += weight * deviation * (stack.change - mean - att * deviation) / total
    return _joined(att, influence, stacks)


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
        n_rows=sample.values.size,
        dropped=(*sample.dropped, *trimmed),
    )


def path_effects(
    estimator: str,
    sample: Sample,
    design: Design,
    chosen: Sequence[tuple[int, int, int, Mask]],
    comparison: Comparison,
    trimmed: tuple[tuple[str, str, int], ...],
) -> Effects:
    """The 2 x 2 comparisons of (path, base position, position, clean controls), one cell each."""
    rows, changes, influence, exposure = [], [], [], []
    on = np.array(
        [[path.phase(period) == "on" for period in sample.periods] for path in design.paths]
        + [[False] * len(sample.periods)],
        dtype=float,
    )[sample.group]
    for index, base, at, clean in chosen:
        path, period, members = design.paths[index], sample.periods[at], sample.group == index
        change = sample.values[:, at] - sample.values[:, base]
        n_treated, n_clean = int(members.sum()), int(clean.sum())
        means = float(change[members].mean()), float(change[clean].mean())
        changes.append(change)
        exposure.append(on[:, at] - on[:, base])
        influence.append(members * (change - means[0]) / n_treated - clean * (change - means[1]) / n_clean)
        rows.append(
            {
                "path": path.name,
                "group": index,
                "cohort": path.first,
                "period": period,
                "event_time": period - path.first,
                "phase": path.phase(period, partial_years=design.partial_years),
                "base": str(sample.periods[base]),
                "att": means[0] - means[1],
                "n_treated": n_treated,
                "n_comparison": n_clean,
            }
        )
    permutable = comparison == "never_treated"
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
    if len(window) != 2 or any(int(end) != end for end in window):
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


def check_word(word: str, name: str, known: Sequence[str]) -> None:
    if word not in known:
        raise DesignError(f"Unknown {name}.", where=name, found=repr(word), expected=closest(word, known))
