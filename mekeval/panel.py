"""Tidy indicators -> arrays of units by periods, with every gap said.

In: a long table. Out: `Panel`, and from it the balanced `Block` of one outcome that the estimators work on.
Never: a filled gap, or a unit that disappears without a reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from .display import Shown
from .errors import DataError, DesignError, closest
from .tables import Column, Table

Floats = npt.NDArray[np.float64]
_LAST_PERIOD = 1_000_000


@dataclass(frozen=True, kw_only=True, repr=False)
class Panel(Shown):
    """Outcomes of units over periods.

    Attributes
    ----------
    units : tuple of str
        n_units codes.
    periods : tuple of int
        n_periods calendar years in ascending order; gaps between them are ordinary.
    values : mapping of str to array, shape (n_units, n_periods)
        For each outcome its values in the outcome's unit; NaN where `reasons` says why.
    bases : mapping of str to array, shape (n_units, n_periods)
        Persons behind each value, where known.
    reasons : mapping of str to array of str, shape (n_units, n_periods)
        "ok", or why there is no value; "not_published" where the data do not speak of the cell at all.
    """

    units: tuple[str, ...]
    periods: tuple[int, ...]
    values: Mapping[str, Floats]
    bases: Mapping[str, Floats]
    reasons: Mapping[str, npt.NDArray[np.str_]]

    @property
    def outcomes(self) -> tuple[str, ...]:
        """Names of the outcomes."""
        return tuple(self.values)

    def _shown(self) -> list[Table]:
        """How many units have a value of each outcome in each period."""
        grid = {one: (np.asarray(self.reasons[one]) == "ok").sum(axis=0).tolist() for one in self.values}
        years = tuple(Column(label=str(period), numeric=True) for period in self.periods)
        rows = tuple((one, *map(str, counts)) for one, counts in grid.items())
        return [
            Table(
                caption=f"Panel: how many of {len(self.units)} units have a value",
                columns=(Column(label="Outcome"), *years),
                rows=rows,
                note="`reasons` says of every cell why it has none.",
            )
        ]


@dataclass(frozen=True, kw_only=True, repr=False)
class Block(Shown):
    """The balanced part of one outcome.

    Attributes
    ----------
    outcome : str
    units : tuple of str
        n_units codes that have a value in every period of the block.
    periods : tuple of int
        n_periods years.
    values : array, shape (n_units, n_periods)
    dropped : tuple of (str, str, int)
        Units that are left out, each with the reason and the period that lacks a value.
    """

    outcome: str
    units: tuple[str, ...]
    periods: tuple[int, ...]
    values: Floats
    dropped: tuple[tuple[str, str, int], ...]


def build_panel(
    table: pd.DataFrame,
    *,
    unit: str = "area",
    period: str = "year",
    outcome: str | Sequence[str] = "indicator",
    units: Sequence[str] | None = None,
    last_period: int | None = None,
    interpolated: bool = False,
) -> Panel:
    """Arrange a table as units by periods.

    Parameters
    ----------
    table : pandas.DataFrame
        Either tidy, with a column that names the outcome (`outcome` is its name, and a column `value` holds the
        numbers), or one row for each unit and period with one column for each outcome (`outcome` is their list).
    unit, period : str
        Columns that hold them. Periods are whole numbers.
    outcome : str or sequence of str
        See `table`.
    units : sequence of str, optional
        Units to keep, in this order; all by default, in the order of the table.
    last_period : int, optional
        Nothing after it enters: what an evaluation of that year could know.
    interpolated : bool
        Whether values of status "interpolated" (see `interpolate`) enter; by default they are gaps like others.

    Returns
    -------
    Panel

    Raises
    ------
    DataError
        A column is not there, a unit stands twice in one period or has no name, two units would have one name (1 and
        "1"), a period is no whole number, a value is no number, nothing is left.

    Examples
    --------
    >>> frame = pd.DataFrame({"city": ["a", "a", "b", "b"], "year": [1, 3, 1, 3], "rate": [1.0, 2.0, 3.0, 5.0]})
    >>> build_panel(frame, unit="city", outcome=["rate"]).values["rate"]
    array([[1., 2.],
           [3., 5.]])
    """
    tidy = isinstance(outcome, str)
    names = [outcome, "value"] if isinstance(outcome, str) else list(outcome)
    for column in (unit, period, *names):
        if column not in table.columns:
            raise DataError(
                "A column is not there.",
                found=repr(column),
                expected=closest(column, map(str, table.columns)),
            )
    if not names or len(set(names)) < len(names):
        raise DataError("Outcomes must be named, each once.", where="outcome", found=repr(names))
    wanted = None if units is None else list(map(str, units))
    if wanted is not None and len(set(wanted)) < len(wanted):
        twice = next(name for name in wanted if wanted.count(name) > 1)
        raise DataError("A unit is named twice.", where="units", found=repr(twice))
    if table[unit].isna().any():
        row = table.index[table[unit].isna()][0]
        raise DataError("A row has no unit.", where=f"column {unit!r}, row {row}")
    table = table.assign(**{period: _periods(table[period], period)})
    frame = table if last_period is None else table.loc[table[period] <= last_period]
    if wanted is not None:
        frame = frame.loc[frame[unit].astype(str).isin(wanted)]
    if frame.empty:
        raise DataError(
            "No data are left.",
            found=f"no rows up to {last_period}" if last_period is not None else "no rows",
        )
    coded = _coded(frame[unit])
    kept = tuple(wanted if wanted is not None else dict.fromkeys(coded[1]))
    periods = tuple(int(year) for year in np.unique(frame[period].to_numpy()))
    parts = (
        {str(name): part for name, part in frame.groupby(names[0], sort=False)}
        if tidy
        else dict.fromkeys(names, frame)
    )
    values, bases, reasons = {}, {}, {}
    for name, part in parts.items():
        codes, named = _coded(part[unit]) if tidy else coded
        cell = (
            pd.Index(kept, dtype=object).get_indexer(pd.Index(named, dtype=object))[codes],
            np.searchsorted(periods, part[period].to_numpy()),
        )
        _refuse_twice(part, cell, unit=unit, period=period, n_periods=len(periods))
        shape = (len(kept), len(periods))
        values[name] = _fill(shape, cell, _numbers(part["value" if tidy else name], name))
        bases[name] = np.full(shape, np.nan)
        if "denominator" in part:
            bases[name] = _fill(shape, cell, _numbers(part["denominator"], "denominator"))
        reason = np.full(shape, "not_published", dtype="U32")
        reason[cell] = part["status"].astype(str) if "status" in part else "ok"
        entering = ["ok", "interpolated"] if interpolated else ["ok"]
        reason[np.isnan(values[name]) & np.isin(reason, entering)] = "missing"
        values[name][~np.isin(reason, entering)] = np.nan
        reasons[name] = reason
    return Panel(units=kept, periods=periods, values=values, bases=bases, reasons=reasons)


def balanced_block(
    panel: Panel,
    outcome: str,
    *,
    units: Sequence[str] | None = None,
    protected: Sequence[str] = (),
    needed_from: int | None = None,
) -> Block:
    """The units that have a value in every period in which the outcome was published.

    A period belongs to the block when at least half of the units have a value in it; a unit without a value in
    one of those periods is left out, with the reason and the period. A period before `needed_from` that would cost
    a protected unit (a treated one) is left out instead.

    Raises
    ------
    DataError
        The panel has no such outcome or unit.
    DesignError
        No unit is complete.
    """
    if outcome not in panel.values:
        raise DataError(
            "The panel has no such outcome.", found=repr(outcome), expected=closest(outcome, panel.outcomes)
        )
    kept = pd.Index(panel.units if units is None else list(units), dtype=object)
    if kept.empty or kept.has_duplicates:
        raise DataError(
            "Units must be named, each once.", where="units", found=repr(list(kept[kept.duplicated()]))
        )
    rows = pd.Index(panel.units, dtype=object).get_indexer(kept)
    if np.any(rows < 0):
        name = str(kept[rows < 0][0])
        raise DataError("The panel has no such unit.", found=repr(name), expected=closest(name, panel.units))
    values = panel.values[outcome][rows]
    there = ~np.isnan(values)
    columns = there.mean(axis=0) >= 0.5
    if needed_from is not None:
        early = np.array(panel.periods) < needed_from
        columns &= ~early | there[kept.isin(list(protected))].all(axis=0)
    complete = there[:, columns].all(axis=1)
    dropped = []
    for row in np.flatnonzero(~complete):
        column = int(np.flatnonzero(columns & ~there[row])[0])
        reason = str(panel.reasons[outcome][rows[row], column])
        dropped.append((panel.units[rows[row]], reason, panel.periods[column]))
    if not columns.any() or not complete.any():
        raise DesignError("No unit has a value in every year.", where=outcome, fix="Look at the quality log.")
    return Block(
        outcome=outcome,
        units=tuple(panel.units[row] for row in rows[complete]),
        periods=tuple(int(year) for year in np.array(panel.periods)[columns]),
        values=values[np.ix_(complete, columns)],
        dropped=tuple(dropped),
    )


def _coded(column: pd.Series) -> tuple[npt.NDArray[np.intp], list[str]]:
    """Positions into a list of names: each unit is written out once, not once for each of its rows."""
    codes, found = pd.factorize(column)
    named = pd.Series(found).astype(str)
    if named.duplicated().any():
        name = named[named.duplicated()].iloc[0]
        kinds = [f"{type(one).__name__} {one!r}" for one in pd.Series(found)[(named == name).to_numpy()]]
        raise DataError(
            "Two units would have one name.",
            where=f"column {column.name!r}",
            found=" and ".join(kinds),
            expected="units of one type",
            fix="Write the column as text, or as numbers, throughout.",
        )
    return codes, named.to_numpy(dtype=object).tolist()


def _fill(
    shape: tuple[int, int], cell: tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]], values: Floats
) -> Floats:
    filled = np.full(shape, np.nan)
    filled[cell] = values
    return filled


def _periods(column: pd.Series, name: str) -> pd.Series:
    numbers = pd.to_numeric(column, errors="coerce").astype("Float64")
    bad = (
        (numbers.isna() | (numbers % 1 != 0) | (numbers.abs() > _LAST_PERIOD))
        .fillna(True)
        .to_numpy(dtype=bool)
    )
    if bad.any():
        raise DataError(
            "A period is no whole number.",
            where=f"column {name!r}, row {column.index[bad][0]}",
            found=repr(column[bad].iloc[0]),
        )
    return numbers.astype("int64")


def _numbers(column: pd.Series, name: str) -> Floats:
    numbers = pd.to_numeric(column, errors="coerce")
    bad = column.notna() & (numbers.isna() | np.isinf(numbers.to_numpy(dtype=float, na_value=np.nan)))
    if bad.any():
        raise DataError(
            "A value is no finite number.",
            where=f"column {name!r}, row {column.index[bad][0]}",
            found=repr(column[bad].iloc[0]),
        )
    return numbers.to_numpy(dtype=float, na_value=np.nan)


def _refuse_twice(
    part: pd.DataFrame,
    cell: tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]],
    *,
    unit: str,
    period: str,
    n_periods: int,
) -> None:
    index = cell[0] * n_periods + cell[1]
    if np.bincount(index).max() == 1:
        return
    twice = part.loc[pd.Series(index).duplicated(keep=False).to_numpy()]
    first = twice.iloc[0]
    raise DataError(
        "A unit stands twice in one period.",
        where="rows "
        + ", ".join(map(str, twice.index[(twice[unit] == first[unit]) & (twice[period] == first[period])])),
        found=f"{unit} {first[unit]}, {period} {first[period]}",
        expected="one row",
    )
