"""What was reported elsewhere, held against what was recorded.

In: figures of a report, each with its source. Out: the same beside our counts. Never: one of two figures that
contradict each other chosen in silence.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from ..areas import Areas
from ..areas.tables import filled, numbers, read_listed, refuse
from ..errors import DataError, Fault, Place, closest
from .personal import harmless, personal_data
from .schema import MonitoringSpec

COLUMNS = ("measure", "area", "years", "value", "qualifier", "source")
QUALIFIERS = ("exact", "over", "at_most")
#: Where a figure stands, in Finnish and, where given, in other languages.
SOURCES = ("source", "source_sv", "source_en")
#: Measures beside the types of activity: all events, and what they cost in EUR.
EVENTS, COST = "events", "cost"
#: Stands for every area with a developer, or every year of the programme, each by itself.
EACH = "each"


def read_reported(path: Path, spec: MonitoringSpec, areas: Areas) -> pd.DataFrame:
    """Read the reported figures.

    Parameters
    ----------
    path : Path
        CSV with the columns of `COLUMNS`: `measure` is a type of activity, "events" or "cost"; `area` a code, a name,
        or "each"; `years` "2023-2025", "2024", or "each"; `qualifier` "exact", "over" or "at_most"; `source` in
        Finnish, and if wanted `source_sv` and `source_en`.
    spec, areas

    Returns
    -------
    pandas.DataFrame
        One row for each figure, area and span of years: `row`, `measure`, `area`, `first`, `last` (years), `value`,
        `qualifier`, `source`, `source_sv`, `source_en` (empty where not given), `conflict` (whether
        another row gives another figure for the same).

    Raises
    ------
    StudyError
        The table lacks columns.
    DataError
        All faults of its cells, with their rows.
    """
    faults: list[Fault] = []
    listed = read_listed(path, COLUMNS, optional=("source_sv", "source_en", "note"), faults=faults)
    faults = [harmless(fault) for fault in faults]
    private = [
        Fault(
            what=f"The cell holds personal data: {', '.join(found)}.",
            place=Place(file=listed.file, row=line, column="" if personal_data(column) else column),
            fix="Remove them at the source, and from every copy of the file; they are not repeated here.",
        )
        for line, cells in listed.rows
        for column, cell in cells.items()
        if (found := personal_data(cell))
    ]
    refuse(private, DataError)
    filled(listed, COLUMNS, faults)
    values = numbers(listed, "value", lambda one: one >= 0, "a number from 0 on", faults)
    measures = [one.name for one in spec.type] + [EVENTS, COST]
    known = [*spec.areas.codes, spec.areas.city]
    names = {str(areas.table.loc[code, "name_fi"]): code for code in known} | {code: code for code in known}
    span = (spec.monitoring.first.year, spec.monitoring.last.year)
    rows = []
    for (line, cells), value in zip(listed.rows, values, strict=True):
        for column, among in (
            ("measure", measures),
            ("area", [*names, EACH]),
            ("qualifier", list(QUALIFIERS)),
        ):
            if cells[column] and cells[column] not in among:
                faults.append(
                    Fault(
                        what="The word is not in the list.",
                        place=Place(file=listed.file, row=line, column=column),
                        found=repr(cells[column]),
                        expected=closest(cells[column], among),
                    )
                )
        years = _years(cells["years"], span)
        if not years and cells["years"]:
            faults.append(
                Fault(
                    what="The years are not those of the programme.",
                    place=Place(file=listed.file, row=line, column="years"),
                    found=repr(cells["years"]),
                    expected=f"{span[0]}-{span[1]}, a part of it, or {EACH}",
                )
            )
        own = spec.areas.codes if cells["area"] == EACH else (names.get(cells["area"], ""),)
        sources = [cells.get(name, "") for name in SOURCES]
        rows += [
            (line, cells["measure"], area, *some, value, cells["qualifier"], *sources)
            for area in own
            for some in years
        ]
    refuse(faults, DataError)
    frame = pd.DataFrame(
        rows, columns=["row", "measure", "area", "first", "last", "value", "qualifier", *SOURCES]
    )
    key = ["measure", "area", "first", "last"]
    said = frame["value"].astype(str) + frame["qualifier"]
    frame["conflict"] = said.groupby([frame[one] for one in key]).transform("nunique") > 1
    return frame


def compare_reported(activities: pd.DataFrame, reported: pd.DataFrame, spec: MonitoringSpec) -> pd.DataFrame:
    """Hold what was recorded against what was reported.

    Parameters
    ----------
    activities, reported : pandas.DataFrame
        As in `Monitoring`; not changed.
    spec : MonitoringSpec

    Returns
    -------
    pandas.DataFrame
        The rows of `reported` with `recorded` (events, or EUR of the events with a known cost), `unknown` (events
        without a cost, where the measure is the cost; 0 elsewhere), `difference` (recorded - reported) and `agrees`
        (boolean, as the qualifier says: equal, over, or at most; <NA> where costs that are not known decide it). A
        figure of the whole city holds all events.

    Notes
    -----
    Where `conflict` is true the source contradicts itself: one of its figures may agree by that alone.
    """
    found = []
    names = ["measure", "area", "first", "last"]
    for measure, area, first, last in reported[names].itertuples(index=False, name=None):
        mine = activities.loc[activities["year"].between(int(first), int(last))]
        mine = mine if area == spec.areas.city else mine.loc[mine["area"] == area]
        if measure == COST:
            found.append((float(mine["cost"].sum()), int(mine["cost"].isna().sum())))
        else:
            counted = mine if measure == EVENTS else mine.loc[mine["type"] == measure]
            found.append((float(len(counted)), 0))
    table = reported.assign(recorded=[one for one, _ in found], unknown=[one for _, one in found])
    table["difference"] = table["recorded"] - table["value"]
    sizes = table["difference"].round(2)
    agrees = (
        ((table["qualifier"] == "exact") & (sizes == 0))
        | ((table["qualifier"] == "over") & (sizes > 0))
        | ((table["qualifier"] == "at_most") & (sizes <= 0))
    )
    # What is not known can only add: a sum that is over stays over, any other is open.
    open_ = (table["unknown"] > 0) & (sizes <= 0)
    table["agrees"] = agrees.astype("boolean").mask(open_)
    return table


def _years(text: str, span: tuple[int, int]) -> list[tuple[int, int]]:
    """Spans of years; none where they are not in the programme."""
    if text == EACH:
        return [(year, year) for year in range(span[0], span[1] + 1)]
    first, _, last = text.replace("\N{EN DASH}", "-").partition("-")
    last = last or first
    if not (first.isdecimal() and last.isdecimal()):
        return []
    years = (int(first), int(last))
    return [years] if span[0] <= years[0] <= years[1] <= span[1] else []
