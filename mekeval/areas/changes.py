"""Areas that were split, joined or redrawn: what the areas of one year became by another.

In: a table of changes by year. Out: weights for `crosswalk`. Never: a way back from joined areas to their parts.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from ..errors import DataError, Fault, Place
from .weights import ROUNDING, read_weights


def read_changes(path: str | Path) -> pd.DataFrame:
    """Read changes from a CSV with the columns `from_code`, `to_code`, `year`, `weight` and, if wanted, `by`.

    A row says that from `year` on (data of that year have the new areas) this share of the people or of the area of
    `from_code` belongs to `to_code`; an area that goes on smaller has a row to itself. Areas that no row names are
    unchanged. An area that first appears in `to_code` only may be new, or an old one that grew: with a row to itself,
    of weight 1, it is an old one.

    Raises
    ------
    StudyError
        As `read_weights`.
    DataError
        There is no year; the weights of a change do not sum to 1.
    """
    table = read_weights(path)
    return _checked(table, Path(path).name)


def _checked(changes: pd.DataFrame, where: str) -> pd.DataFrame:
    missing = [name for name in ("from_code", "to_code", "year", "weight") if name not in changes.columns]
    if missing:
        raise DataError(
            "Changes of areas lack columns.",
            where=where,
            found=", ".join(map(str, changes.columns)),
            expected=", ".join(missing),
        )
    totals = changes.groupby(["from_code", "year"], sort=True)["weight"].sum()
    faults = [
        Fault(
            what="The parts of a changed area do not sum to 1.",
            place=Place(file=where, column="weight"),
            found=f"{code} in {year}: {total:.4g}",
            expected="1; an area that goes on smaller has a row to itself",
        )
        for code, year, total in totals[(totals - 1).abs() > ROUNDING].reset_index().itertuples(index=False)
    ]
    if faults:
        raise DataError.of(faults[:50])
    return changes


def change_weights(changes: pd.DataFrame, years: Iterable[int], *, to: int) -> pd.DataFrame:
    """Weights that carry data of several years to the areas of one year.

    Parameters
    ----------
    changes : pandas.DataFrame
        As `read_changes` gives it.
    years : iterable of int
        Years of the data.
    to : int
        The year whose areas are wanted, no earlier than any of the data: what was joined cannot be told apart.

    Returns
    -------
    pandas.DataFrame
        `from_code`, `to_code`, `year` (of the data), `weight` and `begins`, for
        ``crosswalk(..., unlisted="keep")``: areas that did not change between the two years are not named. `begins`
        is whether the changes first name the area as a part of another, after that year: data without it then lack
        nothing.

    Raises
    ------
    DataError
        As `read_changes`; a year of the data lies after `to`.

    Examples
    --------
    >>> changes = pd.DataFrame(
    ...     {"from_code": ["A", "A"], "to_code": ["A", "B"], "year": [2018, 2018], "weight": [0.7, 0.3]}
    ... )
    >>> change_weights(changes, [2017, 2018], to=2024).values.tolist()
    [['A', 'A', 2017, 0.7, False], ['A', 'B', 2017, 0.3, False]]
    """
    _checked(changes, "changes")
    wanted = sorted({int(year) for year in years})
    late = [year for year in wanted if year > to]
    if late:
        raise DataError(
            "Data cannot be carried back to the areas of an earlier year.",
            where="years",
            found=", ".join(map(str, late[:10])),
            expected=f"years up to {to}",
            fix="Take the areas of the last year, or give weights of your own to crosswalk.",
        )
    steps = {
        int(year): changes.loc[changes["year"] == year, ["from_code", "to_code", "weight"]]
        for year in changes["year"].unique()
        if int(year) <= to
    }
    # From the last year back: what an area of one step becomes in the end is what its parts become.
    later = pd.DataFrame({"from_code": [], "to_code": [], "weight": []}).astype({"weight": float})
    tables = []
    pending = sorted(steps, reverse=True)
    for year in reversed(wanted):
        while pending and pending[0] > year:
            later = _after(steps[pending.pop(0)], later)
        begins = later["from_code"].isin(_not_yet(steps, year))
        tables.append(later.assign(year=year, begins=begins))
    none = later.assign(year=pd.Series(dtype=int), begins=pd.Series(dtype=bool))
    joined = pd.concat(tables, ignore_index=True) if tables else none
    joined = joined.loc[:, ["from_code", "to_code", "year", "weight", "begins"]]
    joined = joined.astype({"year": int, "begins": bool})
    return joined.sort_values(["year", "from_code", "to_code"], ignore_index=True)


def _not_yet(steps: dict[int, pd.DataFrame], year: int) -> set[str]:
    """Areas that the changes know after a year only: their next step makes them, and no earlier one left them there."""
    there: set[str] = set()
    for at in sorted(step for step in steps if step <= year):
        there = (there - set(steps[at]["from_code"])) | set(steps[at]["to_code"])
    known, made = set(there), set[str]()
    for at in sorted(step for step in steps if step > year):
        before, after = set(steps[at]["from_code"]), set(steps[at]["to_code"])
        made |= after - before - known
        known |= before | after
    return made


def _after(step: pd.DataFrame, later: pd.DataFrame) -> pd.DataFrame:
    """A step and what becomes of its parts in later steps, together with later changes of areas it leaves alone."""
    step = step.assign(weight=step["weight"] / step.groupby("from_code")["weight"].transform("sum"))
    both = step.merge(later, left_on="to_code", right_on="from_code", how="left", suffixes=("", "_later"))
    goes_on = both["from_code_later"].isna()
    both = pd.DataFrame(
        {
            "from_code": both["from_code"],
            "to_code": both["to_code"].where(goes_on, both["to_code_later"]),
            "weight": both["weight"] * both["weight_later"].where(~goes_on, 1.0),
        }
    )
    untouched = later.loc[~later["from_code"].isin(step["from_code"])]
    return pd.concat([both, untouched]).groupby(["from_code", "to_code"])["weight"].sum().reset_index()
