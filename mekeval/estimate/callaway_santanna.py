"""Group-time average treatment effects of Callaway and Sant'Anna, with covariates, weights and gaps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..design import Design, Path
from ..errors import DataError, DesignError, Fault, closest
from ..panel import Floats, Panel
from .doubly_robust import METHODS, Method, TwoByTwo, prepare_two_by_two, two_by_two_att
from .effects import Effects

Comparison = Literal["never_treated", "not_yet_treated"]
Base = Literal["varying", "universal"]
Missing = Literal["by_cell", "drop_units"]


def callaway_santanna(
    panel: Panel,
    design: Design,
    *,
    outcome: str,
    comparison: Comparison = "never_treated",
    anticipation: int = 0,
    base_period: Base = "varying",
    covariates: Sequence[str] = (),
    method: Method = "dr",
    weights: str | None = None,
    missing: Missing = "by_cell",
) -> Effects:
    r"""ATT of each path in each period: one 2x2 for every cell, conditional on covariates where they are given.

    For path g with cohort c, period t and base b, the units of g are compared with the units C(g, t) in the change
    :math:`\Delta Y = Y_t - Y_b`. Without covariates

    .. math:: ATT(g, t) = E[\Delta Y \mid g] - E[\Delta Y \mid C(g, t)],

    with covariates X each 2x2 is estimated by `two_by_two_att`: "dr" (consistent if the outcome regression or the
    propensity score is right), "reg" (outcome regression) or "ipw" (weights that sum to one). Its influence function
    over the n' units of the 2x2 is scaled by n / n', zero for the other units.

    - Base: the last period with b + `anticipation` < c. Before entry it is the preceding period with data
      ("varying", the default of R's did), or that same one ("universal"). Within the years of anticipation "varying"
      also takes the preceding period, as did up to 2.5.1; later versions take there what "universal" takes.
    - C(g, t): the never-treated; or, with "not_yet_treated", also the units with a cohort later than
      max(t, b) + `anticipation`, other than c.
    - Covariates and weights are those of the earlier of t and b, as in did; what treatment may have changed does not
      enter, except for an effect before a universal base, where the earlier period is t.
    - Comparison units with a propensity score of 0.995 or more get no weight (DRDID); a score of 0.999 or more on
      either side is refused, since there is no overlap (did leaves such a cell missing).

    Parameters
    ----------
    panel : Panel
    design : Design
        Its `pre_years` is not used; see `base_period`.
    outcome : str
        A period belongs when at least half of the units have a value in it, as in `balanced_block`.
    comparison : {"never_treated", "not_yet_treated"}
    anticipation : int
        Calendar years before entry in which units may already react.
    base_period : {"varying", "universal"}
        The cell that is zero by construction is left out.
    covariates : sequence of str
        Other outcomes of the panel, in any unit, numeric; they enter linearly beside a constant.
    method : {"dr", "reg", "ipw"}
        Without covariates they are one.
    weights : str, optional
        An outcome of the panel with the weight of each unit, zero or more. They weight the units within each 2x2;
        `aggregate` weights paths by their number of units all the same, where did's aggte takes the weights too.
    missing : {"by_cell", "drop_units"}
        A unit that lacks a value stays out of the cells that need the value, and the influence functions are scaled
        accordingly; a cell without a unit on either side is left out, and so is a path that has no cell after entry.
        Or it stays out altogether, as in did by default. (did's `allow_unbalanced_panel`, which treats such data as
        repeated cross-sections, is not offered.)

    Returns
    -------
    Effects
        In the outcome's unit. `changes` and `exposure` are there where the estimate is a plain difference of mean
        changes against one comparison: the never-treated, no covariates, no weights, no gaps. `dropped` names units
        treated from the first period on ("already_treated") and units without the values needed.

    Raises
    ------
    DesignError
        A path has no period before entry that anticipation leaves alone; nobody is left on one side; covariates are
        collinear, separate the two sides or leave no overlap (every 2x2 concerned is named); a constant outcome.
    DataError
        An unknown outcome, covariate or weight; infinite values; negative weights.

    Notes
    -----
    It differs from `group_time_att` in its covariates, weights, gaps and comparison, and in that it has no mean of the
    years before as a base. Without covariates, against the never-treated, both give the same numbers. Units that
    leave the programme are paths of their own: their cells after leaving have the phase "after", and they never serve
    as comparison again. Units that the design sets aside (treated after its last period), and paths that enter after
    the outcome's last period, are not taken for never-treated, as did takes them. Where no unit is never treated,
    "not_yet_treated" compares with the last cohort and ends before it reacts, as did.

    References
    ----------
    Callaway, B. and Sant'Anna, P. (2021). Difference-in-differences with multiple time periods. Journal of
    Econometrics 225, 200-230. R packages did 2.5.1 (`att_gt`) and DRDID.

    Examples
    --------
    >>> from mekeval import build_panel, make_design
    >>> frame = pd.DataFrame({"unit": list("aaabbbccc"), "year": [1, 2, 3] * 3, "y": [1.0, 4, 6, 2, 3, 8, 0, 2, 3]})
    >>> panel = build_panel(frame, unit="unit", period="year", outcome=["y"])
    >>> design = make_design("abc", [(2, 3, ["a"]), (3, 3, ["b"])])
    >>> cells = callaway_santanna(panel, design, outcome="y", comparison="not_yet_treated").cells
    >>> float(cells["att"][0])  # b is not treated in 2: (4 - 1) - ((3 - 2) + (2 - 0)) / 2
    1.5
    >>> float(cells["att"][1])  # in 3 only c is left: (6 - 1) - (3 - 0)
    2.0
    """
    _check_words(comparison, anticipation, base_period, covariates, method, missing)
    sample, dropped = _read(panel, design, outcome, list(covariates), weights, missing)
    sample, dropped = _estimable(sample, dropped, panel, design, comparison, anticipation)
    cells = list(_cells(sample, design, anticipation, base_period))
    influence = np.zeros((len(sample.units), len(cells)), order="F")
    entered = np.zeros(len(sample.units), dtype=bool)
    rows: list[dict[str, object]] = []
    faults: dict[tuple[str, str, str, str], list[str]] = {}
    fitted, fitted_for = None, None
    for cell in cells:
        # Effects of one path after entry share base, covariates and often comparison: fit those once.
        later = np.count_nonzero(sample.cohort > cell.cutoff) if comparison == "not_yet_treated" else 0
        key = (cell.group, cell.early, later)
        try:
            if key != fitted_for or not sample.complete:
                fitted, fitted_for = _fit(sample, cell, comparison, covariates, method), key
        except DesignError as error:
            fault = error.faults[0]
            told = faults.setdefault((fault.what, fault.found, fault.expected, fault.fix), [])
            told.append(f"path {cell.path.name} in {sample.periods[cell.position]}")
            fitted_for = None
            continue
        if fitted is None:
            continue
        members, two_by_two = fitted
        change = sample.values[cell.position, members] - sample.values[cell.base, members]
        att, psi = two_by_two_att(two_by_two, change)
        influence[members, len(rows)] = psi / len(members)
        entered[members] = True
        rows.append(_row(sample, design, cell, att, two_by_two.treated))
    if faults:
        raise DesignError.of(
            Fault(what=what, where=f"{outcome}, {_listed(told)}", found=found, expected=expected, fix=fix)
            for (what, found, expected, fix), told in faults.items()
        )
    if not rows:
        raise DesignError("No cell has units on both sides of the comparison.", where=outcome)
    # Only where every unit has every value does each effect rest on one comparison and the same changes.
    plain = comparison == "never_treated" and not covariates and weights is None and sample.complete
    changes, exposure = _changes(sample, design, cells) if plain else (None, None)
    influence = influence[:, : len(rows)]
    if not entered.all():
        dropped += [_lacking(sample, panel, at) for at in np.flatnonzero(~entered).tolist()]
        sample, influence = sample.keep(entered), influence[entered]
    influence *= len(sample.units)
    return Effects(
        estimator="callaway_santanna",
        outcome=outcome,
        base_period=base_period,
        cells=pd.DataFrame(rows),
        units=tuple(sample.units),
        group=sample.group,
        influence=influence,
        changes=changes,
        exposure=exposure,
        shares_estimated=True,
        n_rows=int(sample.there.sum()),
        dropped=tuple(dropped),
    )


@dataclass(frozen=True, kw_only=True)
class _Sample:
    """Units by periods, periods first so that a period is one stretch of memory.

    `values` and `there` (n_periods, n_units); `covariates` (n_covariates, n_periods, n_units); `weights` or None;
    `usable`: covariates and weight are there and the weight is not zero; `cohort` with infinity for never.
    """

    outcome: str
    names: tuple[str, ...]
    units: list[str]
    rows: npt.NDArray[np.intp]
    periods: tuple[int, ...]
    group: npt.NDArray[np.int64]
    cohort: Floats
    values: Floats
    there: npt.NDArray[np.bool_]
    covariates: Floats
    weights: Floats | None
    usable: npt.NDArray[np.bool_]
    complete: bool

    def keep(
        self, units: npt.NDArray[np.bool_] | None = None, *, periods: npt.NDArray[np.bool_] | None = None
    ) -> _Sample:
        """The same for some units and periods; all by default."""
        columns = np.arange(len(self.units)) if units is None else np.flatnonzero(units)
        at = np.arange(len(self.periods)) if periods is None else np.flatnonzero(periods)
        both = np.ix_(at, columns)
        there, usable = self.there[both], self.usable[both]
        return replace(
            self,
            units=[self.units[column] for column in columns],
            rows=self.rows[columns],
            periods=tuple(self.periods[position] for position in at),
            group=self.group[columns],
            cohort=self.cohort[columns],
            values=self.values[both],
            there=there,
            covariates=self.covariates[:, at][:, :, columns],
            weights=None if self.weights is None else self.weights[both],
            usable=usable,
            complete=bool(there.all() and usable.all()),
        )


@dataclass(frozen=True, kw_only=True)
class _Cell:
    """One effect: positions of its period, its base and the earlier of both; comparison units enter after `cutoff`."""

    path: Path
    group: int
    position: int
    base: int
    early: int
    cutoff: int


def _check_words(
    comparison: str,
    anticipation: object,
    base_period: str,
    covariates: Sequence[str],
    method: str,
    missing: str,
) -> None:
    for where, word, known in (
        ("comparison", comparison, ("never_treated", "not_yet_treated")),
        ("base_period", base_period, ("varying", "universal")),
        ("method", method, METHODS),
        ("missing", missing, ("by_cell", "drop_units")),
    ):
        if word not in known:
            raise DesignError(
                f"Unknown {where.replace('_', ' ')}.",
                where=where,
                found=repr(word),
                expected=closest(str(word), known),
            )
    if isinstance(anticipation, bool) or not isinstance(anticipation, (int, np.integer)) or anticipation < 0:
        raise DesignError(
            "Anticipation is counted in whole years from 0.", where="anticipation", found=repr(anticipation)
        )
    if isinstance(covariates, str) or len(set(covariates)) < len(covariates):
        raise DesignError("Covariates must be listed, each once.", where="covariates", found=repr(covariates))


def _read(
    panel: Panel, design: Design, outcome: str, covariates: list[str], weights: str | None, missing: Missing
) -> tuple[_Sample, list[tuple[str, str, int]]]:
    """The arrays of a design's units over the periods of the outcome, and the units that are left out at once."""
    names = (outcome, *covariates, *([] if weights is None else [weights]))
    for name in names:
        if name not in panel.values:
            raise DataError(
                "The panel has no such outcome.", found=repr(name), expected=closest(name, panel.outcomes)
            )
    units = [*design.treated, *design.comparison]
    rows = pd.Index(panel.units, dtype=object).get_indexer(pd.Index(units, dtype=object))
    if np.any(rows < 0):
        unknown = units[int(np.flatnonzero(rows < 0)[0])]
        raise DataError(
            "The panel has no such unit.", found=repr(unknown), expected=closest(unknown, panel.units)
        )
    arrays = {name: np.ascontiguousarray(panel.values[name][rows].T) for name in names}
    for name, values in arrays.items():
        bad = np.isinf(values) | (values < 0) if name == weights else np.isinf(values)
        if bad.any():
            period, unit = np.argwhere(bad)[0]
            raise DataError(
                "A weight is negative or infinite." if name == weights else "A value is infinite.",
                where=f"{name}, {panel.units[rows[unit]]} in {panel.periods[period]}",
                found=str(values[period, unit]),
            )
    there = ~np.isnan(arrays[outcome])
    usable = np.ones(there.shape, dtype=bool)
    for name in names[1:]:
        usable &= ~np.isnan(arrays[name])
    group = np.repeat(
        np.array([*range(len(design.paths)), -1]),
        [*(len(path.units) for path in design.paths), len(design.comparison)],
    )
    first = np.array([*(float(path.first) for path in design.paths), np.inf])
    sample = _Sample(
        outcome=outcome,
        names=names,
        units=units,
        rows=rows,
        periods=panel.periods,
        group=group,
        cohort=first[group],
        values=arrays[outcome],
        there=there,
        covariates=np.array([arrays[name] for name in covariates]).reshape(len(covariates), *there.shape),
        weights=None if weights is None else arrays[weights],
        usable=usable,
        complete=False,
    )
    shown = there.mean(axis=1) >= 0.5
    if np.count_nonzero(shown) < 2:
        raise DesignError(
            "Differences need two periods in which at least half of the units have a value.",
            where=outcome,
            found=", ".join(str(year) for year, here in zip(panel.periods, shown, strict=True) if here)
            or "none",
        )
    sample = sample.keep(periods=shown)
    dropped: list[tuple[str, str, int]] = []
    if missing == "drop_units":
        whole = np.all(sample.there & sample.usable, axis=0)
        dropped = [_lacking(sample, panel, at) for at in np.flatnonzero(~whole).tolist()]
        sample = sample.keep(whole)
    if sample.weights is not None:  # a unit of weight zero is in no 2x2; as a gap it needs no care further on
        sample = replace(sample, usable=sample.usable & (sample.weights > 0)).keep()
    return sample, dropped


def _estimable(
    sample: _Sample,
    dropped: list[tuple[str, str, int]],
    panel: Panel,
    design: Design,
    comparison: Comparison,
    anticipation: int,
) -> tuple[_Sample, list[tuple[str, str, int]]]:
    """Leave out who has no effect to estimate, and refuse what cannot be put right by leaving out."""
    outcome = sample.outcome
    if not np.any(sample.group == -1):
        last = sample.cohort.max(initial=-np.inf)
        early = np.array(sample.periods) < last - anticipation
        if comparison == "never_treated" or not np.any(sample.cohort < last) or np.count_nonzero(early) < 2:
            raise DesignError(
                "No never-treated unit with data is left to compare with.",
                where=outcome,
                found=_listed(dropped) or f"{len(sample.units)} units, all of them treated",
                fix="Where entry is staggered and two periods precede the last cohort, use 'not_yet_treated'.",
            )
        sample = sample.keep(periods=early)
        sample = replace(sample, group=np.where(sample.cohort == last, -1, sample.group))
    first_period = sample.periods[0]
    out = np.asarray(sample.cohort <= first_period)
    dropped = [
        *dropped,
        *((sample.units[at], "already_treated", first_period) for at in np.flatnonzero(out)),
    ]
    for index, path in enumerate(design.paths):
        inside = (sample.group == index) & ~out
        before = [at for at, period in enumerate(sample.periods) if period + anticipation < path.first]
        after = [at for at, period in enumerate(sample.periods) if period >= path.first]
        if not inside.any():
            continue
        if not before:
            raise DesignError(
                "A path has no period before treatment that anticipation leaves alone.",
                where=f"{outcome}, {', '.join(path.units)}",
                found=f"data from {first_period}, treated from {path.first}, anticipation {anticipation}",
                expected=f"a period up to {path.first - anticipation - 1}",
                fix="Shorten the anticipation, or leave the path out of the design.",
            )
        based = inside & sample.there[before[-1]]
        if after and not np.any(based & sample.there[after].any(axis=0)):
            # Every cell after entry would be empty: the path does not enter, rather than show placebos alone.
            dropped += [_lacking(sample, panel, at, before[-1]) for at in np.flatnonzero(inside).tolist()]
            out = out | inside
    sample = sample.keep(~out)
    if not np.any(sample.group >= 0):
        raise DesignError("No treated unit is left.", where=outcome, found=_listed(dropped))
    seen = sample.values[sample.there]
    if np.ptp(seen) == 0:
        raise DesignError(
            "The outcome is the same everywhere: there is no change to explain.",
            where=outcome,
            found=str(seen[0]),
        )
    return sample, dropped


def _cells(sample: _Sample, design: Design, anticipation: int, base_period: Base) -> Iterator[_Cell]:
    """The cells of all paths, by path and period."""
    for index, path in enumerate(design.paths):
        if not np.any(sample.group == index):
            continue
        main = max(at for at, period in enumerate(sample.periods) if period + anticipation < path.first)
        for position, period in enumerate(sample.periods):
            base = main if base_period == "universal" or period >= path.first else position - 1
            if base < 0 or base == position:
                continue
            yield _Cell(
                path=path,
                group=index,
                position=position,
                base=base,
                early=min(base, position),
                cutoff=max(period, sample.periods[base]) + anticipation,
            )


def _fit(
    sample: _Sample, cell: _Cell, comparison: Comparison, covariates: Sequence[str], method: Method
) -> tuple[npt.NDArray[np.intp], TwoByTwo] | None:
    """The columns of the units of a 2x2, and it; None where the outcome is not there on one of its sides."""
    treated = sample.group == cell.group
    rest = sample.group == -1
    if comparison == "not_yet_treated":
        rest = rest | ((sample.cohort > cell.cutoff) & (sample.cohort != cell.path.first))
    members = treated | rest
    if not sample.complete:
        there = sample.there[cell.position] & sample.there[cell.base]
        members = members & there & sample.usable[cell.early]
        for side, name in ((treated, "treated"), (rest, "comparison")):
            if not np.any(side & there):
                return None
            if not np.any(side & members):
                raise DesignError(
                    f"No {name} unit has its covariates and a weight in the earlier period of a 2x2.",
                    found=f"{', '.join(sample.names[1:])} in {sample.periods[cell.early]}",
                    fix="Leave the covariate out, or the period.",
                )
    columns = np.flatnonzero(members)
    return columns, prepare_two_by_two(
        treated[columns],
        covariates=sample.covariates[:, cell.early, columns].T if covariates else None,
        names=covariates,
        weights=None if sample.weights is None else sample.weights[cell.early, columns],
        method=method,
    )


def _row(
    sample: _Sample, design: Design, cell: _Cell, att: float, treated: npt.NDArray[np.bool_]
) -> dict[str, object]:
    period = sample.periods[cell.position]
    n_treated = int(np.count_nonzero(treated))
    return {
        "path": cell.path.name,
        "group": cell.group,
        "cohort": cell.path.first,
        "period": period,
        "event_time": period - cell.path.first,
        "phase": cell.path.phase(period, partial_years=design.partial_years),
        "base": str(sample.periods[cell.base]),
        "att": att,
        "n_treated": n_treated,
        "n_comparison": len(treated) - n_treated,
    }


def _changes(sample: _Sample, design: Design, cells: Sequence[_Cell]) -> tuple[Floats, Floats]:
    """Change of every unit in every cell, and the same change of its own on/off history."""
    after = [cell.position for cell in cells]
    before = [cell.base for cell in cells]
    on = np.array(
        [[path.phase(period) == "on" for period in sample.periods] for path in design.paths]
        + [[False] * len(sample.periods)],  # the comparison: group -1 picks the last row
        dtype=float,
    )
    return (sample.values[after] - sample.values[before]).T, (on[:, after] - on[:, before])[sample.group]


def _lacking(sample: _Sample, panel: Panel, at: int, position: int | None = None) -> tuple[str, str, int]:
    """Why a unit is left out: its first value that is not there, looked for in one period or in all."""
    row = sample.rows[at]
    wanted = sample.periods if position is None else (sample.periods[position],)
    for year in dict.fromkeys((*wanted, *sample.periods)):
        column = panel.periods.index(year)
        for name in sample.names:
            if np.isnan(panel.values[name][row, column]):
                reason = str(panel.reasons[name][row, column])
                return sample.units[at], reason if name == sample.outcome else f"{name} {reason}", year
    return sample.units[at], "in no comparison", wanted[0]


def _listed(items: Sequence[str] | Sequence[tuple[str, str, int]]) -> str:
    """The first few cells, or units with the reason and period, and how many more."""
    words = [item if isinstance(item, str) else f"{item[0]}: {item[1]} in {item[2]}" for item in items]
    return "; ".join(words[:6]) + (f" and {len(words) - 6} more" if len(words) > 6 else "")
