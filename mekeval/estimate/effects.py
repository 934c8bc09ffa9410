"""What every estimator returns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import DesignError
from ..panel import Floats


@dataclass(frozen=True, kw_only=True)
class Effects:
    """ATT by path and period, with what is needed to aggregate and to test them.

    Attributes
    ----------
    estimator, outcome, base_period : str
        What was estimated, on what, against which base.
    cells : pandas.DataFrame
        One row for each of the n_effects estimates: `path` (name), `group` (index of the path), `cohort` (first
        treated period), `period`, `event_time` (years since the cohort), `phase` ("pre", "partial", "on",
        "after"), `base` (periods of the base, text), `att` (in the outcome's unit), `n_treated` and
        `n_comparison` (units).
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
    n_rows: int
    dropped: tuple[tuple[str, str, int], ...]

    @property
    def n_units(self) -> int:
        """Units that entered, treated and comparison."""
        return len(self.units)

    def tidy(self) -> pd.DataFrame:
        """The estimates with standard errors from the influence functions, shape (n_effects, columns).

        A path of one unit has no treated-side variance in its influence function, so its standard error is
        missing and `se_note` says so; such an effect is tested by permutation (`mekeval.infer`).
        """
        table = self.cells.drop(columns="group").copy()
        table["se"], table["se_note"] = errors_with_reasons(self.influence, table["n_treated"].to_numpy())
        return table

    def _repr_html_(self) -> str:
        return self.tidy().to_html(index=False, border=0)


def errors_with_reasons(
    influence: Floats | None, n_treated: npt.NDArray[np.int64]
) -> tuple[pd.api.extensions.ExtensionArray, npt.NDArray[np.str_]]:
    """Standard errors of shape (n,), missing where there is none, and why they are missing."""
    if influence is None:
        return pd.array([pd.NA] * len(n_treated), dtype="Float64"), np.full(
            len(n_treated), "no influence function"
        )
    alone = n_treated == 1
    errors = pd.array(np.where(alone, np.nan, standard_errors(influence)), dtype="Float64")
    return errors, np.where(alone, "a path of one treated unit: no standard error exists", "")


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
