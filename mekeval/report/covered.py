"""What the data cover, in cells: each indicator over its areas and its years, and what can be counted of them.

In: `Indicators`. Out: tables and counts. Never: a number of a cell, only whether there is one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import pandas as pd

from ..indicators import Indicators, coverage
from ..text import ranges


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What a cleaned study holds, in numbers.

    Attributes
    ----------
    areas, indicators : int
        With at least one number.
    listed : int
        Areas that there are, with numbers or without.
    years : str
        Years with a number, runs joined.
    share : float or None
        Share of cells (areas by indicators by the years with data of each) with a number; None where there is no cell.
    reasons : mapping of str to int
        Cells without a number by status, the most frequent first.
    """

    areas: int
    indicators: int
    listed: int
    years: str
    share: float | None
    reasons: Mapping[str, int]


def published_coverage(indicators: Indicators) -> pd.DataFrame:
    """`mekeval.indicators.coverage` of each indicator in the years that it has any cell in; texts are categories."""
    parts = [
        coverage(replace(indicators, table=own))
        for _, own in indicators.table.groupby("indicator", sort=False, observed=True)
    ]
    whole = pd.concat(parts, ignore_index=True) if parts else coverage(indicators)
    return whole.astype(dict.fromkeys(("area", "indicator", "status"), "category"))


def unit_coverage(indicators: Indicators) -> pd.DataFrame:
    """`published_coverage` without the sums (city, major areas) of indicators that the study's units have."""
    grid = published_coverage(indicators)
    unit = grid["area"].isin(indicators.areas.units)
    of_units = unit.groupby(grid["indicator"], observed=True).transform("any")
    return grid.loc[unit | ~of_units.astype(bool)].reset_index(drop=True)


def seen_of(grid: pd.DataFrame) -> Seen:
    """The numbers of the first lines, of a grid as `unit_coverage` gives it."""
    there = grid["status"] == "ok"
    good = grid.loc[there]
    gone = grid.loc[~there, "status"].astype(str).value_counts()
    return Seen(
        areas=int(good["area"].nunique()),
        indicators=int(good["indicator"].nunique()),
        listed=int(grid["area"].nunique()),
        years=ranges(int(year) for year in good["year"].unique()),
        share=float(there.mean()) if len(grid) else None,
        reasons={str(status): int(count) for status, count in gone.items()},
    )
