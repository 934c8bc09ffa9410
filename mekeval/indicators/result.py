"""What cleaning gives: the tidy table, the log of everything that was noticed, and the words that both use.

In: rows and lines of the log. Out: `Indicators`. Never: a missing value without a status.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from ..areas import Areas
from ..display import Shown, frame_table
from ..tables import Table

#: Why a value is not there. Four are said of cells: "suppressed" (hidden), "not_applicable" (it does not exist),
#: "missing" (left open) and "overflow" (no readable number). Two of them are said without the producer's word as well:
#: "missing" where a part has no cell for this area although other areas of its level have one that year, and
#: "suppressed" or "not_applicable" where the base is 0 in an area in which people are known to live.
#: "empty_area" is a zero base where nobody lives; "confidential" is our own disclosure threshold, or a row that would
#: give away what another hides (`disclosure`); "implausible" lies outside the study's plausible range, or is no count;
#: "split_releases" is a rate whose parts no release gives together; "interpolated" has a value that no source holds:
#: `interpolate` wrote it, on request. Where a part has no cell for any area of the level in a year, there is no row,
#: which `coverage` and `Panel` call "not_published".
STATUSES = (
    "ok",
    "suppressed",
    "not_applicable",
    "missing",
    "overflow",
    "empty_area",
    "confidential",
    "implausible",
    "split_releases",
    "interpolated",
)
LOG_COLUMNS = (
    "level",
    "rule",
    "file",
    "row",
    "column",
    "area",
    "year",
    "subject",
    "found",
    "expected",
    "count",
)
TABLE_COLUMNS = (
    "area",
    "year",
    "indicator",
    "value",
    "numerator",
    "denominator",
    "status",
    "source",
    "vintage",
)
FILE_COLUMNS = (
    "file",
    "reader",
    "vintage",
    "published",
    "form",
    "rows",
    "cells",
    "areas",
    "years",
    "items",
)
RELEASE_COLUMNS = ("area", "year", "indicator", "value", "status", "vintage")


@dataclass(frozen=True, kw_only=True, repr=False)
class Indicators(Shown):
    """The tidy table of a study and what was noticed on the way.

    Attributes
    ----------
    table : pandas.DataFrame
        One row for each area, year and indicator that a source speaks of, in years in which sources give every part of
        the indicator for some area of the level: `area` (code), `year`, `indicator`,
        `value` (in the indicator's unit; missing where `status` is neither "ok" nor "interpolated"), `numerator`,
        `denominator` (persons; for a plain value the base that stands behind it is `denominator`), `status` (one of
        `STATUSES`), `source` (file) and `vintage` (year of publication). Rates are
        ``100 * numerator / denominator``.
    log : pandas.DataFrame
        Columns `LOG_COLUMNS`: level ("info" or "warning"), rule, place (file, row, column), area, year, subject
        (indicator or item), what was found, what was expected, how many cells. Texts are missing where they say
        nothing; `row` and `year` are whole numbers or <NA>.
    areas : Areas
        The areas that the study lists, then those found in the labels of its files.
    files : pandas.DataFrame
        One row for each source: `file`, `reader`, `vintage`, `published` (day or empty), `form` (encoding, separator
        and what else was found out), how many `rows` and `cells` of wanted items it has, of how many `areas` of the
        study, the `years` as text ("2012-2016"), and of how many `items`.
    releases : pandas.DataFrame
        `area`, `year`, `indicator`, `value`, `status` and `vintage`, each release by itself, where two or more speak
        of a value.
    as_of : datetime.date or None
        Only what was published by this day was read; None: everything.
    outcomes : tuple of str
        The outcomes of the study's plan: `interpolate` leaves them alone.
    """

    table: pd.DataFrame
    log: pd.DataFrame
    areas: Areas
    files: pd.DataFrame
    releases: pd.DataFrame
    as_of: datetime.date | None
    outcomes: tuple[str, ...]

    @property
    def years(self) -> tuple[int, ...]:
        """Years with at least one value."""
        return tuple(int(year) for year in np.unique(self.table.loc[self.table["status"] == "ok", "year"]))

    def _shown(self) -> list[Table]:
        """Of each indicator how many areas, years and values there are, and how many have none; no value itself."""
        by = self.table.groupby("indicator", sort=False, observed=True)
        there = self.table["status"].isin(["ok", "interpolated"])
        frame = pd.DataFrame(
            {"areas": by["area"].nunique(), "first": by["year"].min(), "last": by["year"].max()}
        )
        frame["values"] = there.groupby(self.table["indicator"], observed=True).sum()
        frame["without a value"] = by.size() - frame["values"]
        warned = int((self.log["level"] == "warning").sum())
        note = f"Entries in the log: {len(self.log):,}, of them {warned:,} warnings; `coverage` says what is not there."
        caption = f"Indicators from {len(self.files):,} files"
        return [frame_table(frame.rename_axis("indicator").reset_index(), caption=caption, note=note)]


def spans(years: Iterable[int]) -> str:
    """Years as text: 2012-2014, 2016."""
    found: list[list[int]] = []
    for year in years:
        if found and year == found[-1][1] + 1:
            found[-1][1] = year
        else:
            found.append([year, year])
    return ", ".join(f"{first}" if first == last else f"{first}-{last}" for first, last in found)


@dataclass(kw_only=True)
class Log:
    """Lines of the log, as they come: one by one, or many of one rule at once."""

    parts: list[pd.DataFrame | dict[str, object]] = field(default_factory=list)

    def note(self, level: str, rule: str, **facts: object) -> None:
        """Add one line."""
        self.parts.append({"level": level, "rule": rule, **facts})

    def lines(self, level: str, rule: str, facts: Mapping[str, object] | pd.DataFrame) -> None:
        """Add a line for each row of the facts."""
        frame = pd.DataFrame(facts)
        if len(frame):
            self.parts.append(frame.assign(level=level, rule=rule))

    def frame(self) -> pd.DataFrame:
        """All lines, in the order in which they came."""
        columns: dict[str, list[object]] = {name: [] for name in LOG_COLUMNS}
        for part in self.parts:
            for name, values in columns.items():
                if isinstance(part, dict):
                    values.append(part.get(name))
                else:
                    values += part[name].tolist() if name in part else [None] * len(part)
        frame = pd.DataFrame(columns, columns=list(LOG_COLUMNS))
        kinds = {"row": "Int64", "year": "Int64", "count": "int64"}
        return frame.astype({name: kinds.get(name, "str") for name in LOG_COLUMNS})
