"""Numbers of activities: what was done, for how many, with whom and at what cost; and as the dose of an area.

In: the events. Out: a row for each area and period. Never: an unknown number counted as zero.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from ..areas import Areas
from ..display import Shown
from ..errors import DataError, Fault, closest
from .intake import SEPARATOR
from .schema import MonitoringSpec

#: The code of the row that stands for all areas together.
ALL = "all"
Period = Literal["quarter", "year"]


def activity_indicators(activities: pd.DataFrame, spec: MonitoringSpec, *, by: Period) -> pd.DataFrame:
    """Count what was done in each area and period.

    Parameters
    ----------
    activities : pandas.DataFrame
        As in `Monitoring.activities`.
    spec : MonitoringSpec
    by : {"quarter", "year"}

    Returns
    -------
    pandas.DataFrame
        One row for each area with a developer, the whole city (events of no area alone) and ``"all"``, and each
        period of the programme, also where nothing was recorded:

        - `area`, `year`, `quarter` (0 where the period is a year), `running` (bool: the work in the area had begun
          by the end of the period; where it is false, nothing is not zero);
        - `events`, and of them `network_meetings`, `trainings`, `workshops`;
        - `participants` (of events with a known number), `participants_unknown` (events without one);
        - `languages` (different ones), `multilingual` (events in several), `languages_unknown` (events);
        - `accessible`, `accessibility_known` (events), `accessible_share` (0 to 1; <NA> where none is known);
        - `partners` (different ones), `partners_returned` (those that were there in an earlier period too; <NA>
          where nothing was recorded before);
        - `cost` (EUR, of events with a known cost), `cost_unknown` (events);
        - `cost_per_participant` (EUR, over the events of which both are known; <NA> where nobody came).

    Notes
    -----
    Participants are visits, not persons: who came twice is counted twice. Partners are known by their names alone, so
    that another spelling is another partner.

    Examples
    --------
    >>> from mekeval.monitoring import example_monitoring, read_monitoring
    >>> known = read_monitoring(example_monitoring())
    >>> table = activity_indicators(known.activities, known.spec, by="year")
    >>> int(table.loc[(table["area"] == "all"), "network_meetings"].sum())
    92
    """
    periods = programme_periods(spec, by)
    kinds = {one.name: one.kind for one in spec.type}
    frame = activities.assign(
        kind=activities["type"].map(kinds),
        quarter=activities["quarter"] if by == "quarter" else 0,
        spoken=activities["languages"].map(lambda text: text.count(SEPARATOR) + bool(text)),
    )
    frame = pd.concat([frame, frame.assign(area=ALL)], ignore_index=True)
    both = frame["participants"].notna() & frame["cost"].notna()
    marked = frame.assign(
        events=1,
        network_meetings=frame["kind"] == "network",
        trainings=frame["kind"] == "training",
        workshops=frame["kind"] == "workshop",
        participants_unknown=frame["participants"].isna(),
        participants=frame["participants"].fillna(0),
        multilingual=frame["spoken"] > 1,
        languages_unknown=frame["spoken"] == 0,
        accessibility_known=frame["accessible"].notna(),
        accessible=frame["accessible"].fillna(False),
        cost_unknown=frame["cost"].isna(),
        cost=frame["cost"].fillna(0.0),
        paid=frame["cost"].where(both, 0.0),
        served=frame["participants"].where(both, 0),
    )
    counts = [
        "events",
        "network_meetings",
        "trainings",
        "workshops",
        "participants",
        "participants_unknown",
        "multilingual",
        "languages_unknown",
        "accessible",
        "accessibility_known",
        "cost_unknown",
        "served",
    ]
    keys = ["area", "year", "quarter"]
    grid = pd.MultiIndex.from_tuples(
        [(area, *period) for area in (*spec.areas.codes, spec.areas.city, ALL) for period in periods],
        names=keys,
    )
    numbers = marked.astype(dict.fromkeys(counts, "int64") | {"cost": float, "paid": float})
    sums = numbers.groupby(keys)[[*counts, "cost", "paid"]].sum().reindex(grid, fill_value=0)
    sums["languages"] = _distinct(frame, "languages", keys).reindex(grid, fill_value=0)
    sums["partners"] = _distinct(frame, "partner", keys).reindex(grid, fill_value=0)
    sums["partners_returned"] = _returned(frame, keys).reindex(grid)
    sums["partners_returned"] = sums["partners_returned"].fillna(0).astype("Int64")
    at = sums.index.get_level_values("year") * 4 + sums.index.get_level_values("quarter")
    first = (4 * frame["year"] + frame["quarter"]).groupby(frame["area"]).min()
    start = sums.index.get_level_values("area").map(first.to_dict())
    sums.loc[start.isna() | (at <= start), "partners_returned"] = pd.NA
    known = sums["accessibility_known"].where(sums["accessibility_known"] > 0)
    sums["accessible_share"] = (sums["accessible"] / known).astype("Float64")
    served = sums["served"].where(sums["served"] > 0)
    sums["cost_per_participant"] = (sums["paid"] / served).astype("Float64")
    sums["running"] = [
        _end(year, quarter) >= spec.areas.since.get(area, spec.monitoring.first)
        for area, year, quarter in sums.index.to_list()
    ]
    order = [
        "running",
        *counts[:-1],
        "languages",
        "accessible_share",
        "partners",
        "partners_returned",
        "cost",
    ]
    return sums[[*order, "cost_per_participant"]].reset_index()


def programme_periods(spec: MonitoringSpec, by: Period) -> list[tuple[int, int]]:
    """Years and quarters of the programme; the quarter is 0 where the period is a year."""
    first, last = spec.monitoring.first, spec.monitoring.last
    if by == "year":
        return [(year, 0) for year in range(first.year, last.year + 1)]
    start, end = 4 * first.year + (first.month - 1) // 3, 4 * last.year + (last.month - 1) // 3
    return [(at // 4, at % 4 + 1) for at in range(start, end + 1)]


def _end(year: int, quarter: int) -> datetime.date:
    """A day in the last month of a period, after which no other month of it begins."""
    return datetime.date(year, 3 * quarter or 12, 28)


def _distinct(frame: pd.DataFrame, column: str, keys: list[str]) -> pd.Series:
    """Different words of a column whose cells hold several."""
    return _split(frame, column, keys).drop_duplicates().groupby(keys).size()


def _split(frame: pd.DataFrame, column: str, keys: list[str]) -> pd.DataFrame:
    words = frame.assign(word=frame[column].str.split(SEPARATOR)).explode("word")
    return words.loc[words["word"] != "", [*keys, "word"]]


def _returned(frame: pd.DataFrame, keys: list[str]) -> pd.Series:
    """Partners of a period that were in an earlier period of the area."""
    words = _split(frame, "partner", keys).drop_duplicates()
    words = words.assign(at=4 * words["year"] + words["quarter"])
    back = words["at"] > words.groupby(["area", "word"])["at"].transform("min")
    return words.loc[back].groupby(keys).size()


@dataclass(frozen=True, kw_only=True, repr=False)
class Intensity(Shown):
    """How much was done in each area for its people, by year: the dose of an analysis of effects.

    Attributes
    ----------
    table : pandas.DataFrame
        One row for each area and year: `area`, `year`, `events`, `participants` (of events with a known number),
        `participants_unknown` (events), `population` (persons), `events_per_1000`, `participants_per_1000`.
    unplaced : int
        Events of these years that belong to none of the areas and are in no row.
    """

    table: pd.DataFrame
    unplaced: int

    def dose(
        self,
        measure: Literal["events", "participants"] = "events",
        *,
        years: Sequence[int] | None = None,
        lower_bound: bool = False,
    ) -> dict[str, float]:
        """The dose of each area: its mean by year, per 1,000 inhabitants.

        Parameters
        ----------
        measure : {"events", "participants"}
        years : sequence of int, optional
            The years that count; all of the table by default.
        lower_bound : bool
            Whether participants may be those of the events with a known number, where others have none.

        Returns
        -------
        dict of str to float
            Area -> dose; 0 where nothing was recorded.

        Raises
        ------
        DataError
            A year is not there; participants are asked for and some are not known.
        """
        chosen = sorted(set(years)) if years is not None else sorted(set(self.table["year"]))
        known = set(self.table["year"])
        if not chosen or not known.issuperset(chosen):
            raise DataError(
                "There are no activities for these years.",
                where="years",
                found=", ".join(map(str, chosen)) or "none",
                expected=", ".join(map(str, sorted(known))),
            )
        rows = self.table.loc[self.table["year"].isin(chosen)]
        unknown = rows.loc[rows["participants_unknown"] > 0]
        if measure == "participants" and len(unknown) and not lower_bound:
            raise DataError.of(
                Fault(
                    what="Participants of some events are not known: their number is a lower bound.",
                    where=f"{row.area}, {row.year}",
                    found=f"{row.participants_unknown} of {row.events} events without a number",
                    fix='Take measure="events", or say lower_bound=True and tell it to the reader.',
                )
                for row in unknown.itertuples()
            )
        column = f"{measure}_per_1000"
        if column not in rows:
            raise DataError(
                "There is no such measure.",
                found=repr(measure),
                expected=closest(measure, ("events", "participants")),
            )
        return {str(area): float(dose) for area, dose in rows.groupby("area")[column].mean().items()}


def activity_intensity(
    activities: pd.DataFrame,
    areas: Areas,
    population: Mapping[str, float] | pd.DataFrame,
    *,
    level: str = "major_area",
    years: Sequence[int] | None = None,
) -> Intensity:
    """Events and participants per 1,000 inhabitants, by area and year.

    Parameters
    ----------
    activities : pandas.DataFrame
        As in `Monitoring.activities`.
    areas : Areas
    population : mapping of str to float, or pandas.DataFrame
        Persons by area, or a table with the columns `area`, `year` and `population`; the areas in it are those of the
        result, also without any event.
    level : str
        Level of these areas: that of `area` or that of `district` of the activities.
    years : sequence of int, optional
        By default those from the first to the last event.

    Returns
    -------
    Intensity
        Its `dose` gives a mapping from area to dose.

    Raises
    ------
    DataError
        A population is missing, not above zero or of an area that is not on the level; no year is there.

    Notes
    -----
    A dose that was not drawn by lot has to be read with care. Activities went to where the need was seen, so that
    areas with more of them differ from the others without them too. The records are those of the developers
    themselves. Participants are visits and not residents of the area: who came from elsewhere is counted, and who
    came twice is counted twice. With four areas no dose-response can be told from chance.

    Examples
    --------
    >>> from mekeval.monitoring import example_monitoring, read_monitoring
    >>> known = read_monitoring(example_monitoring())
    >>> people = {code: known.areas.table.loc[code, "population"] for code in known.spec.areas.codes}
    >>> sorted(activity_intensity(known.activities, known.areas, people).dose())
    ['0921', '0925', '0926', '0927']
    """
    table = areas.table
    on_level = set(table.index[table["level"] == level])
    own = activities["district"] if len(on_level & set(activities["district"])) else activities["area"]
    if years is None:
        found = sorted(activities["year"].unique())
        years = range(found[0], found[-1] + 1) if found else ()
    if not len(years):
        raise DataError("There is no event.", where="activities")
    chosen = [int(year) for year in sorted(set(years))]
    people = _population(population, chosen, on_level, level)
    events = activities.assign(area=own)
    events = events.loc[events["year"].isin(chosen)]
    here = events.loc[events["area"].isin(set(people.index.get_level_values("area")))]
    grouped = here.groupby(["area", "year"])
    result = pd.DataFrame({"population": people})
    result["events"] = grouped.size().reindex(people.index, fill_value=0)
    visits = here["participants"].fillna(0).astype("int64").groupby([here["area"], here["year"]]).sum()
    result["participants"] = visits.reindex(people.index, fill_value=0)
    unknown = here["participants"].isna().groupby([here["area"], here["year"]]).sum()
    result["participants_unknown"] = unknown.reindex(people.index, fill_value=0)
    for name in ("events", "participants"):
        result[f"{name}_per_1000"] = 1000 * result[name] / result["population"]
    names = ["area", "year", "events", "participants", "participants_unknown", "population"]
    result = result.reset_index()[[*names, "events_per_1000", "participants_per_1000"]]
    return Intensity(table=result, unplaced=len(events) - len(here))


def _population(
    given: Mapping[str, float] | pd.DataFrame, years: list[int], known: set[str], level: str
) -> pd.Series:
    """Persons by area and year, checked."""
    if isinstance(given, pd.DataFrame):
        people = given.set_index(["area", "year"])["population"].astype(float)
        codes = sorted(set(people.index.get_level_values("area")))
    else:
        codes = sorted(given)
        values = {(code, year): float(given[code]) for code in codes for year in years}
        people = pd.Series(values, dtype=float)
    index = pd.MultiIndex.from_product([codes, years], names=["area", "year"])
    twice = people.index.duplicated().any()
    people = people if twice else people.reindex(index)
    bad = people.loc[~(people > 0) | ~np.isfinite(people)] if not twice else people
    faults = [
        Fault(
            what="The population is not a number above zero.",
            where=f"population, {area}, {year}",
            found=f"{value:g}",
        )
        for (area, year), value in zip(bad.index.to_list(), bad.to_list(), strict=True)
    ]
    if twice:
        faults = [Fault(what="An area and year is there twice.", where="population")]
    faults += [
        Fault(
            what=f"No {level} has this code.",
            where="population",
            found=repr(code),
            expected=closest(code, sorted(known)),
        )
        for code in codes
        if code not in known
    ]
    if faults or not codes:
        raise DataError.of(faults or [Fault(what="There is no population.", where="population")])
    return people
