"""Rates of Finnish postal areas, read from the real theme files of Paavo.

In: the folder of the raw data and the names of rates. Out: `Statistics`, the national panel of those rates with the
municipality of each area; or the theme tables as they are (`read_themes`). A rate has a name (`RATES`, `LOGS`) or is
written "label / label", with "+" between labels that are summed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from mekeval import DataError, Panel, build_panel

ADULTS, HOUSEHOLDS, PEOPLE = "aged 18 or over, total", "households, total", "inhabitants, total"
#: Theme tables by name and year.
Tables = Mapping[tuple[str, int], pd.DataFrame]
#: Numerators and denominator, by their labels in the theme files; any other rate is named "numerator / denominator".
RATES: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "low_income": (("inhabitants belonging to the lowest income category",), (ADULTS,)),
    "high_income": (("inhabitants belonging to the highest income category",), (ADULTS,)),
    "low_income_households": (("households belonging to the lowest income category",), (HOUSEHOLDS,)),
    "high_income_households": (("households belonging to the highest income category",), (HOUSEHOLDS,)),
    "unemployment": (("unemployed",), ("employed", "unemployed")),
    "employment": (("employed",), ("inhabitants",)),
    "students": (("students",), ("inhabitants",)),
    "pensioners": (("pensioners",), ("inhabitants",)),
    "outside_work": (("others",), ("inhabitants",)),
    "basic_education": (("basic level studies",), (ADULTS,)),
    "matriculation": (("matriculation examination",), (ADULTS,)),
    "higher_education": (
        (
            "academic degree - lower level university degree",
            "academic degree - higher level university degree",
        ),
        (ADULTS,),
    ),
    "rented": (("households living in rented dwellings",), (HOUSEHOLDS,)),
    "households_with_children": (("households with children",), (HOUSEHOLDS,)),
    "young_singles": (("young single persons",), (HOUSEHOLDS,)),
    "pensioner_households": (("pensioner households",), (HOUSEHOLDS,)),
    "children": (("0-2 years", "3-6 years", "7-12 years", "13-15 years"), (PEOPLE,)),
    "flats": (("dwellings in blocks of flats",), ("dwellings",)),
}
#: 100 times the logarithm, so that a change is in per cent.
LOGS = {
    "log_median_income": "median income of inhabitants",
    "log_median_household_income": "median income of households",
}
#: Rates of which more is better.
BETTER = {
    "high_income",
    "high_income_households",
    "employment",
    "higher_education",
    "log_median_income",
    "log_median_household_income",
}
#: The criteria that stand for those of a city's own programme.
COMPOSITE = ("low_income", "unemployment", "basic_education", "rented")
#: People: the least for an area that a rule may choose, and for an area that is read at all.
MINIMUM, SMALLEST = 1000.0, 300.0


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """The national panel: areas with all years of all outcomes and at least 300 people in 2014.

    `municipality` gives the name by postal code; `years` the three years before and the two after, by outcome.
    """

    panel: Panel
    municipality: Mapping[str, str]
    years: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]]


def read_themes(raw: Path) -> Tables:
    """Theme tables by name and year, indexed by postal code, labels without year; the municipality as a column.

    `mekeval.sources` would want every label of every rate in a study; here any two columns may make a rate.
    """
    folder = raw / "statfi-paavo" / "pxweb-themes-2012-2017"
    tables = {}
    for path in sorted(folder.glob("*_201?.csv")):
        if path.stem.startswith("Labour_Market"):
            continue
        table = pd.read_csv(path, encoding="latin-1", na_values=["..", "."], dtype={0: str})
        label = table.iloc[:, 0].str.strip()
        area = label.str.match(r"\d{5}")
        table = table.loc[area].set_axis(label[area].str[:5])
        town = label[area].str.extract(r"\(\s*([^()]*?)\s*\)?\s*$")[0]
        table = table.iloc[:, 1:].apply(pd.to_numeric)
        table.columns = [
            re.sub(r", (19|20)\d\d \(\w\w\)$", "", name).replace("Inhabintants", "Inhabitants").lower()
            for name in table
        ]
        tables[path.stem[:-5], int(path.stem[-4:])] = table.assign(municipality=town.to_numpy())
    if not tables:
        raise DataError("The theme files are not there.", where=str(folder.name), fix="Give --raw.")
    return tables


def per_cent(table: pd.DataFrame, numerator: Sequence[str], denominator: Sequence[str]) -> pd.Series:
    """100 times the sum of some columns over the sum of others; missing where a part is, or the denominator is 0."""
    top = table[list(numerator)].sum(axis=1, skipna=False)
    bottom = table[list(denominator)].sum(axis=1, skipna=False)
    return 100 * top / bottom.where(bottom > 0)


def municipalities(tables: Tables, year: int) -> pd.Series:
    """Name of the municipality by postal code, in the boundaries of one year."""
    return tables["Population_structure", year]["municipality"].str.replace(r"\s+", " ", regex=True)


def statistics(raw: Path, outcomes: Sequence[str]) -> Statistics:
    """Rates of the outcomes and of the composite's criteria, with population and municipality."""
    tables = read_themes(raw)
    themes = sorted({theme for theme, _ in tables})
    columns, years = {}, {}
    for name in dict.fromkeys((*outcomes, *COMPOSITE)):
        rate = ((LOGS[name],), ()) if name in LOGS else RATES.get(name)
        if rate is None:
            parts = [tuple(one.strip().lower() for one in side.split("+")) for side in name.split("/")]
            if len(parts) != 2:
                raise DataError(
                    "Unknown outcome.",
                    found=name,
                    expected=", ".join([*RATES, *LOGS]) + ", or 'label / label'",
                )
            rate = (parts[0], parts[1])
        wanted = {*rate[0], *rate[1]}
        of = {
            theme: sorted(
                year for (one, year), table in tables.items() if one == theme and wanted <= {*table}
            )
            for theme in themes
        }
        theme = max(themes, key=lambda one: len(of[one]))
        if len(of[theme]) < 5:
            raise DataError("No theme has this rate in five years.", found=name)
        years[name] = (tuple(of[theme][:3]), tuple(of[theme][-2:]))
        for year in of[theme]:
            table = tables[theme, year]
            if name in LOGS:
                level = table[LOGS[name]]
                columns[name, year] = 100 * np.log(level.where(level > 0))
            else:
                columns[name, year] = per_cent(table, *rate)
    for year in range(2013, 2018):
        columns["population", year] = tables["Population_structure", year][PEOPLE]
    columns["population", 2012] = tables["Main_type_of_activity", 2012]["inhabitants"]
    wide = pd.DataFrame(columns)
    needed = [(name, year) for name in years for side in years[name] for year in side]
    kept = wide.loc[wide[needed].notna().all(axis=1) & (wide["population", 2014] >= SMALLEST)]
    tidy = kept.stack([0, 1], future_stack=True).dropna().rename("value").reset_index()
    tidy.columns = ["area", "indicator", "year", "value"]
    return Statistics(
        panel=build_panel(tidy, units=sorted(kept.index)),
        municipality=municipalities(tables, 2014).to_dict(),
        years=years,
    )


def changes(data: Statistics, outcome: str) -> tuple[np.ndarray, np.ndarray]:
    """Change of every area, mean after minus mean before, and its level before; both in the panel's order."""
    before, after = ([data.panel.periods.index(year) for year in side] for side in data.years[outcome])
    values = data.panel.values[outcome]
    level = values[:, before].mean(axis=1)
    return values[:, after].mean(axis=1) - level, level
