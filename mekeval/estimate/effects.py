"""What every estimator returns.

In: nothing; estimators fill it. Out: `Effects`, estimates by path and period with influence functions and the changes
of all units, from which all else follows. Never: an estimate without its numbers of units, or an error unexplained.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..design import Design
from ..display import Shown
from ..errors import DesignError
from ..panel import Floats
from ..tables import Table, table_latex
from .shown import checked_digits, estimates_table, keys_written

Notes = npt.NDArray[np.object_]

_MANY = 20  # treated units from which on influence functions hold
_ROUNDING = 1e-12  # a standard error below this share of the outcome's largest value is rounding

#: Why an effect has no standard error.
ONE_TREATED = "one treated unit: no standard error exists"
ONE_COMPARISON = "one comparison unit: no standard error exists"
ONE_IN_CORNER = "one area on a side in one of the two years: no standard error exists"
FLAT = "the outcome does not vary beyond what the effects explain"


@dataclass(frozen=True, kw_only=True, repr=False)
class Effects(Shown):
    """ATT by path and period, with what is needed to aggregate and to test them.

    Attributes
    ----------
    estimator, outcome, base_period : str
        What was estimated, on what, against which base.
    cells : pandas.DataFrame
        One row for each of the n_effects estimates: `path` (name), `group` (index of the path), `cohort` (first
        treated period), `period`, `event_time` (years since the cohort), `phase` ("pre", "partial", "on",
        "after"), `base` (periods of the base, text), `att` (in the outcome's unit), `n_treated` and
        `n_comparison` (units). Where an estimator has a rule of its own for effects without an error, `se_note` says
        which they are (empty for the others); without that column they are those with one unit on a side. Where
        `influence` is None and the error is of another kind (`first_differences`), `se` as well.
    units : tuple of str
        The n_units units that entered.
    group : array of int, shape (n_units,)
        Index of the path of each unit; -1 for the comparison.
    influence : array, shape (n_units, n_effects), or None
        Influence functions psi with ``se = sqrt(sum(psi**2)) / n_units``; a small-sample factor of the estimator, where
        it has one, is in them. None where the estimator has none.
    changes : array, shape (n_units, n_effects), or None
        Change of every unit, treated or not, from the base to the period of each effect, such that each effect is the
        mean over its path minus the mean over the comparison. None where an estimator is not made of unit changes.
    exposure : array, shape (n_units, n_effects), or None
        The same change of the unit's own on/off history: what a constant effect of 1 would add to `changes`.
    shares_estimated : bool
        Whether aggregations carry the estimation of the paths' shares in their standard errors (Callaway-Sant'Anna do,
        Sun-Abraham take the shares as given).
    unit_weights : array, shape (n_units,), or None
        Sampling weights, zero or more, by which aggregations count the sizes of paths; None where each unit counts
        as one.
    scale : float
        Largest absolute value of the outcome, in its unit: what rounding is judged by.
    n_rows : int
        Unit-period cells used.
    dropped : tuple of (str, str, int)
        Units of the design that did not enter, each with the reason and the period that lacks a value.
    """

    estimator: str
    outcome: str
    base_period: str
    cells: pd.DataFrame
    units: tuple[str, ...]
    group: npt.NDArray[np.int64]
    influence: Floats | None
    changes: Floats | None
    exposure: Floats | None
    shares_estimated: bool
    unit_weights: Floats | None
    scale: float
    n_rows: int
    dropped: tuple[tuple[str, str, int], ...]

    @property
    def n_units(self) -> int:
        """Units that entered, treated and comparison."""
        return len(self.units)

    def tidy(self) -> pd.DataFrame:
        """The estimates with standard errors from the influence functions, shape (n_effects, columns).

        A side of one unit, treated or comparison, has no variance in the influence function, so the standard error
        is missing and `se_note` says so; such an effect is tested by permutation (`mekeval.infer`). Missing too is
        one that is rounding and no more.
        """
        table = self.cells.drop(columns="group").copy()
        if "se" not in table:
            errors, notes = errors_with_reasons(self.influence, reasons_of(self), self.scale)
            table = table.drop(columns="se_note", errors="ignore").assign(se=errors, se_note=notes)
        return table

    def to_latex(self, *, caption: str = "", label: str = "", decimals: int | None = None) -> str:
        """The estimates as a LaTeX table with rules of booktabs, standard errors in brackets beside them.

        Parameters
        ----------
        caption : str
            One is made from outcome and estimator when empty.
        label : str
            What the document refers to it by; none when empty.
        decimals : int, optional
            Digits after the decimal sign; by default two digits of a typical standard error count.

        Returns
        -------
        str
            A ``table`` environment; notes give units, estimator, base and why an error is missing. Names from files are
            escaped.
        """
        path = self.cells["path"].to_numpy()
        starts = np.flatnonzero(path[1:] != path[:-1]) + 1
        return table_latex(
            self._table(caption=caption, decimals=checked_digits(decimals)),
            label=label,
            rules_before=starts.tolist(),
        )

    def _shown(self) -> list[Table]:
        return [self._table()]

    def _table(self, *, caption: str = "", decimals: int | None = None) -> Table:
        cells = self.tidy()
        labels = {
            name: keys_written(cells[column])
            for name, column in (("Path", "path"), ("Period", "period"), ("Event time", "event_time"))
            if column == "path" or cells[column].notna().all()
        }
        if not cells["phase"].isin(["pre", "on"]).all():
            labels["Phase"] = [str(phase) for phase in cells["phase"]]
        return estimates_table(
            labels,
            cells["att"].to_numpy(dtype=float),
            cells["se"].to_numpy(dtype=float, na_value=np.nan),
            list(cells["se_note"]),
            {"Treated": _counts(cells["n_treated"]), "Comparison": _counts(cells["n_comparison"])},
            caption=caption or f"{self.outcome}: effect on the treated (ATT), {words(self.estimator)}",
            notes=notes_on(self),
            digits=decimals,
        )


def notes_on(effects: Effects) -> list[str]:
    """Sentences for under a table: what was used, how, against which base."""
    n_treated = int(np.sum(effects.group >= 0))
    notes = [
        f"{effects.n_units:,} units ({n_treated:,} treated), {effects.n_rows:,} unit-periods.",
        f"Estimator: {words(effects.estimator)}. Base: {words(effects.base_period)}.",
    ]
    if effects.influence is not None:
        notes.append("Standard errors in brackets, from influence functions by unit.")
        if n_treated < _MANY:
            notes.append(f"With fewer than {_MANY} treated units such errors are too small.")
    if effects.dropped:
        notes.append(f"Units left out for want of data: {len({unit for unit, _, _ in effects.dropped}):,}.")
    return notes


def words(code: str) -> str:
    """The code of an estimator or a base as words."""
    return code.replace("_", " ")


def _counts(column: pd.Series) -> list[str]:
    return [f"{int(count):,}" for count in column]


def lone_sides(n_treated: npt.NDArray[np.int64], n_comparison: npt.NDArray[np.int64]) -> Notes:
    """Why effects of so many units have no standard error, shape (n,); empty where they have one."""
    return np.where(n_treated == 1, ONE_TREATED, np.where(n_comparison == 1, ONE_COMPARISON, "")).astype(
        object
    )


def reasons_of(effects: Effects) -> Notes:
    """Why each effect has no standard error for want of units, shape (n_effects,); empty where it has one."""
    cells = effects.cells
    if "se_note" in cells:
        return np.asarray(cells["se_note"].to_numpy(dtype=object))
    if effects.influence is None:
        return np.full(len(cells), "", dtype=object)
    return lone_sides(cells["n_treated"].to_numpy(), cells["n_comparison"].to_numpy())


def errors_with_reasons(
    influence: Floats | None, notes: Notes, scale: float
) -> tuple[pd.api.extensions.ExtensionArray, Notes]:
    """Standard errors of shape (n,), missing where there is none, and why they are missing.

    Parameters
    ----------
    influence : array, shape (n_units, n), or None
    notes : array of str, shape (n,)
        Why there is none, where that is known.
    scale : float
        Of the outcome; an error far below it is rounding.
    """
    if influence is None:
        missing = pd.array([pd.NA] * len(notes), dtype="Float64")
        return missing, np.where(notes == "", "no influence function", notes).astype(object)
    errors = standard_errors(influence)
    notes = np.where((notes == "") & is_rounding(errors, scale), FLAT, notes).astype(object)
    return pd.array(np.where(notes == "", errors, np.nan), dtype="Float64"), notes


def is_rounding(errors: Floats, scale: float) -> npt.NDArray[np.bool_]:
    """Whether standard errors are no more than rounding of an outcome of that scale, shape (n,)."""
    return np.asarray(errors <= _ROUNDING * scale)


def standard_errors(influence: Floats) -> Floats:
    """Standard errors from influence functions of shape (n_units, n)."""
    return np.asarray(np.sqrt(np.sum(influence**2, axis=0)) / len(influence))


def unit_changes(effects: Effects) -> tuple[Floats, Floats]:
    """Changes and exposure of every unit, each of shape (n_units, n_effects); an error where an estimator has none."""
    if effects.changes is None or effects.exposure is None:
        raise DesignError(
            "This estimator is not made of unit changes, so treated sets cannot be permuted.",
            where=f"{effects.outcome}, {effects.estimator}",
            fix="Test it by its influence functions, or use the group-time estimator.",
        )
    return effects.changes, effects.exposure


def cell_names(design: Design, group: int, period: int, base: Iterable[int]) -> dict[str, object]:
    """What names an effect in `Effects.cells`: the path at position `group`, a period, and the periods of its base."""
    path = design.paths[group]
    return {
        "path": path.name,
        "group": group,
        "cohort": path.first,
        "period": period,
        "event_time": period - path.first,
        "phase": path.phase(period, partial_years=design.partial_years),
        "base": ", ".join(map(str, base)),
    }
