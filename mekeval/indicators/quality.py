"""The quality of the data as tables: every failure, what is there and what is not, and what later releases changed.

In: `Indicators`, or the error that stood in their way. Out: data frames. Never: a number that the tidy table hides.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ..errors import Fault, MekevalError
from .result import Indicators

FAILURE_COLUMNS = (
    "file",
    "row",
    "column",
    "value",
    "rule",
    "expected",
    "fix",
    "area",
    "year",
    "subject",
)
COVERAGE_COLUMNS = ("area", "indicator", "year", "status")
COMPARISON_COLUMNS = (
    "indicator",
    "year",
    "vintage_old",
    "vintage_new",
    "areas",
    "changed",
    "median_change",
    "largest_change",
    "largest_area",
)
#: Rules of the log that are failures, and what to do about each.
_FIXES = {
    "implausible": "Compare the cell with the publication; widen `plausible` only if the value is right.",
    "outlier": "Compare the cell with the publication and the years around it.",
    "level_break": "Say it in the `note` of the indicator; compare no years across it.",
    "unit_break": "Compare the unit of the file with the unit of the indicator.",
    "duplicate_row": "Nothing: it was counted once.",
    "conflict": "Two files of one release differ: keep the right one.",
}


def failures_table(source: Indicators | MekevalError) -> pd.DataFrame:
    """Every failure, one row each: faults that stopped the cleaning, or what the log holds against the data.

    Parameters
    ----------
    source : Indicators or MekevalError
        What `clean_indicators` gave or raised.

    Returns
    -------
    pandas.DataFrame
        Columns `FAILURE_COLUMNS`: `file`, `row` (from 1, or <NA>), `column`, `value` (what was found, as text), `rule`
        (the log's rule, or the fault in one sentence), `expected` and `fix`; then `area`, `year` and `subject`, where
        the log knows them. Files in alphabetical order, rows in theirs.

    Examples
    --------
    >>> from mekeval import DataError
    >>> failures_table(DataError("The file is empty.", where="a.csv"))[["file", "rule"]].to_dict("records")
    [{'file': 'a.csv', 'rule': 'The file is empty.'}]
    """
    if isinstance(source, MekevalError):
        rows = [_of_fault(fault) for fault in source.faults]
        frame = pd.DataFrame(rows, columns=list(FAILURE_COLUMNS))
    else:
        lines = source.log.loc[source.log["rule"].isin(list(_FIXES))]
        found, expected = _texts(lines["found"]), _texts(lines["expected"])
        frame = pd.DataFrame(
            {
                "file": _texts(lines["file"]),
                "row": lines["row"],
                "column": _texts(lines["column"]),
                "value": [
                    text.removesuffix(f", expected {due}") for text, due in zip(found, expected, strict=True)
                ],
                "rule": lines["rule"],
                "expected": expected,
                "fix": lines["rule"].map(_FIXES),
                "area": lines["area"],
                "year": lines["year"],
                "subject": lines["subject"],
            },
            columns=list(FAILURE_COLUMNS),
        )
    for name in ("row", "year"):
        frame[name] = pd.to_numeric(frame[name]).astype("Int64")
    return frame.sort_values(["file", "row"], kind="stable", na_position="first").reset_index(drop=True)


def _texts(column: pd.Series) -> list[str]:
    return ["" if text is None or pd.isna(text) else str(text) for text in column.tolist()]


def _of_fault(fault: Fault) -> dict[str, object]:
    place = fault.place
    return {
        "file": place.file if place else fault.where,
        "row": place.row if place else None,
        "column": place.column if place else "",
        "value": fault.found,
        "rule": fault.what,
        "expected": fault.expected,
        "fix": fault.fix,
    }


def coverage(indicators: Indicators) -> pd.DataFrame:
    """What is there and why the rest is not, for each area, indicator and year.

    Parameters
    ----------
    indicators : Indicators

    Returns
    -------
    pandas.DataFrame
        `area`, `indicator`, `year` and `status`: one of `STATUSES`, or "not_published" where no source speaks of it.
        Each indicator over all areas of the levels that it has data on, and over all years of the table.

    Examples
    --------
    >>> from mekeval import clean_indicators, example_study, read_study
    >>> grid = coverage(clean_indicators(read_study(example_study())))
    >>> {"ok", "suppressed", "not_applicable"} <= set(grid["status"])
    True
    """
    table, areas = indicators.table, indicators.areas.table
    years = np.unique(table["year"].to_numpy())
    codes = pd.Index(areas.index)
    at, level_at = codes.get_indexer(table["area"]), areas["level"].to_numpy(dtype=object)
    parts = []
    for name in table["indicator"].unique():
        own = (table["indicator"] == name).to_numpy()
        levels = set(level_at[at[own]])
        rows = np.flatnonzero([level in levels for level in level_at])
        place = np.full(len(codes), -1)
        place[rows] = np.arange(len(rows))
        status = np.full((len(rows), len(years)), "not_published", dtype=object)
        status[place[at[own]], np.searchsorted(years, table["year"].to_numpy()[own])] = table[
            "status"
        ].to_numpy(dtype=object)[own]
        parts.append(
            pd.DataFrame(
                {
                    "area": np.repeat(codes[rows].to_numpy(dtype=object), len(years)),
                    "indicator": name,
                    "year": np.tile(years, len(rows)),
                    "status": status.reshape(-1),
                }
            )
        )
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(COVERAGE_COLUMNS))


def compare_releases(indicators: Indicators) -> pd.DataFrame:
    """What each later release changed of the one before it.

    Parameters
    ----------
    indicators : Indicators

    Returns
    -------
    pandas.DataFrame
        One row for each indicator, year and pair of releases that follow each other: `indicator`, `year`,
        `vintage_old`, `vintage_new`, `areas` (with a value in both), `changed` (of them), `median_change` and
        `largest_change` (new minus old, of those changed, in the indicator's unit; 0 where none is) and
        `largest_area` (its code).
    """
    releases = indicators.releases.loc[indicators.releases["status"] == "ok"]
    place = ["indicator", "area", "year"]
    releases = releases.sort_values([*place, "vintage"], kind="stable")
    before = releases.groupby(place, sort=False)[["value", "vintage"]].shift()
    pairs = releases.assign(vintage_old=before["vintage"], change=releases["value"] - before["value"])
    pairs = pairs.loc[pairs["vintage_old"].notna()].rename(columns={"vintage": "vintage_new"})
    rows = []
    group = ["indicator", "year", "vintage_old", "vintage_new"]
    for key, part in pairs.groupby(group, sort=True):
        # A share of two unchanged numbers is the same to the last digit but a few.
        moved = part.loc[part["change"].abs() > 1e-9]
        largest = int(moved["change"].abs().to_numpy().argmax()) if len(moved) else -1
        rows.append(
            {
                **dict(zip(group, key, strict=True)),
                "areas": len(part),
                "changed": len(moved),
                "median_change": float(moved["change"].median()) if len(moved) else 0.0,
                "largest_change": float(moved["change"].iloc[largest]) if len(moved) else 0.0,
                "largest_area": str(moved["area"].iloc[largest]) if len(moved) else "",
            }
        )
    frame = pd.DataFrame(rows, columns=list(COMPARISON_COLUMNS))
    return frame.astype(dict.fromkeys(("year", "vintage_old", "vintage_new", "areas", "changed"), "int64"))
