"""What the group-time estimators share: which effects there are, and how a fault of several of them is told.

In: a design and the periods with data. Out: for each path and period the base and who may be compared. Never: a value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from ..design import Design, Path
from ..errors import DataError, DesignError, Fault, MekevalError
from ..panel import Floats, Panel
from .doubly_robust import METHODS
from .effects import cell_names
from .inputs import check_known, check_word, names_of

Base = Literal["varying", "universal"]


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One effect of a path: positions of its period, its base and the earlier of both.

    Who enters treatment after `cutoff` is not yet treated, nor reacting, in either.
    """

    path: Path
    group: int
    position: int
    base: int
    early: int
    cutoff: int


def check_options(
    comparison: str, anticipation: object, base_period: str, covariates: Sequence[str] | None, method: str
) -> tuple[str, ...]:
    """The names of the covariates; words and numbers that no group-time estimator knows are refused."""
    check_word(comparison, "comparison", ("never_treated", "not_yet_treated"))
    check_word(base_period, "base_period", ("varying", "universal"))
    check_word(method, "method", METHODS)
    if isinstance(anticipation, bool) or not isinstance(anticipation, (int, np.integer)) or anticipation < 0:
        raise DesignError(
            "Anticipation is counted in whole years from 0.", where="anticipation", found=repr(anticipation)
        )
    return names_of(covariates)


def effect_cells(
    design: Design,
    group: npt.NDArray[np.int64],
    periods: Sequence[int],
    anticipation: int,
    base_period: Base,
) -> list[Cell]:
    """The cells of all paths that have a unit, by path and period, with bases as in `callaway_santanna`."""
    cells, faults = [], []
    for index, path in enumerate(design.paths):
        if not np.any(group == index):
            continue
        before = [at for at, period in enumerate(periods) if period + anticipation < path.first]
        if not before:
            faults.append(
                Fault(
                    what="A path has no period before treatment that anticipation leaves alone.",
                    where=f"{path.name}: {', '.join(path.units[:6])}",
                    found=f"data from {periods[0]}, treated from {path.first}, anticipation {anticipation}",
                    expected=f"a period up to {path.first - anticipation - 1}",
                    fix="Shorten the anticipation, or leave the path out of the design.",
                )
            )
            continue
        for position, period in enumerate(periods):
            base = before[-1] if base_period == "universal" or period >= path.first else position - 1
            if base >= 0 and base != position:
                cells.append(
                    Cell(
                        path=path,
                        group=index,
                        position=position,
                        base=base,
                        early=min(base, position),
                        cutoff=max(period, periods[base]) + anticipation,
                    )
                )
    if faults:
        raise DesignError.of(faults)
    return cells


def cell_row(
    cell: Cell, design: Design, periods: Sequence[int], *, att: float, n_treated: int, n_comparison: int
) -> dict[str, object]:
    """A row of `Effects.cells`."""
    return {
        **cell_names(design, cell.group, periods[cell.position], [periods[cell.base]]),
        "att": att,
        "n_treated": n_treated,
        "n_comparison": n_comparison,
    }


def panel_arrays(panel: Panel, names: Sequence[str], weights: str | None) -> dict[str, Floats]:
    """Outcomes of a panel by name; an error where one is not there, holds infinity, or a weight below zero."""
    check_known(panel, names)
    for name in names:
        values = panel.values[name]
        bad = np.isinf(values) | (values < 0) if name == weights else np.isinf(values)
        if bad.any():
            row, column = np.argwhere(bad)[0]
            raise DataError(
                "A weight is negative or infinite." if name == weights else "A value is infinite.",
                where=f"{name}, {panel.units[row]} in {panel.periods[column]}",
                found=str(values[row, column]),
            )
    return {name: panel.values[name] for name in names}


def joined(faults: Mapping[Fault, Sequence[str]], outcome: str) -> MekevalError:
    """One error for the faults of several cells; the cells are told where the fault is."""
    return DesignError.of(
        Fault(
            what=fault.what,
            where=f"{outcome}, {'; '.join(cells[:6])}"
            + (f" and {len(cells) - 6} more" if len(cells) > 6 else ""),
            found=fault.found,
            expected=fault.expected,
            fix=fault.fix,
        )
        for fault, cells in faults.items()
    )
