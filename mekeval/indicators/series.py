"""The known values of a tidy table as series: areas by years, and the steps from each known year to the next.

In: the tidy table, or its arrays. Out: `Block` and `Steps`, which `flags` compares. Never: a step over a gap taken for
one of a year.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.integer]


@dataclass(frozen=True, kw_only=True)
class Block:
    """The known values of one indicator on one level of areas, as areas by years.

    Attributes
    ----------
    at : array of int, shape (n_areas, n_years)
        Positions in `Known`; -1 where there is no value.
    value, numerator, denominator : array of float, shape (n_areas, n_years)
    kind : str
        "share" (a part of the denominator), "positive" (a quantity above zero, compared by ratios) or "plain".
    """

    indicator: str
    years: Ints
    at: Ints
    value: Floats
    numerator: Floats
    denominator: Floats
    kind: str


@dataclass(frozen=True, kw_only=True)
class Steps:
    """The steps of a block from each known year of an area to its next known year, n steps.

    `pair` numbers the pairs of years, which `before` and `after` give as positions in the years; `start` and `stop` are
    positions in the table.
    """

    area: Ints
    pair: Ints
    before: Ints
    after: Ints
    start: Ints
    stop: Ints
    gap: Floats


@dataclass(frozen=True, kw_only=True)
class Known:
    """The known values of a table as arrays of codes, n of them.

    Attributes
    ----------
    row : array of int, shape (n,)
        Positions in the table.
    area, indicator, source, level : array of int, shape (n,)
        Positions in `areas`, `indicators` and `sources`, and the number of the area's level.
    year : array of int, shape (n,)
    value, numerator, denominator : array of float, shape (n,)
    """

    row: Ints
    area: Ints
    indicator: Ints
    source: Ints
    level: Ints
    year: Ints
    value: Floats
    numerator: Floats
    denominator: Floats
    areas: list[str]
    indicators: list[str]
    sources: list[str]


def known_values(table: pd.DataFrame, levels: Mapping[str, str] | None) -> Known:
    """The rows of status "ok" of a tidy table."""
    row = np.flatnonzero((table["status"] == "ok").to_numpy())
    area, areas = pd.factorize(table["area"].array.take(row))
    indicator, indicators = pd.factorize(table["indicator"].array.take(row))
    source, sources = pd.factorize(table["source"].array.take(row))
    words = [(levels or {}).get(str(name), "") for name in areas]
    number = {word: at for at, word in enumerate(dict.fromkeys(words))}
    return Known(
        row=row,
        area=area,
        indicator=indicator,
        source=source,
        level=np.array([number[word] for word in words], dtype=np.int64)[area],
        year=table["year"].to_numpy()[row],
        value=table["value"].to_numpy(dtype=float)[row],
        numerator=table["numerator"].to_numpy(dtype=float)[row],
        denominator=table["denominator"].to_numpy(dtype=float)[row],
        areas=list(map(str, areas)),
        indicators=list(map(str, indicators)),
        sources=list(map(str, sources)),
    )


def within(known: Known, own: npt.NDArray[np.bool_]) -> Known:
    """Some of the known values."""
    parts = ("row", "area", "indicator", "source", "level", "year", "value", "numerator", "denominator")
    return replace(known, **{name: getattr(known, name)[own] for name in parts})


def series_of(known: Known) -> list[tuple[Block, Steps]]:
    """The blocks of a table with their steps: one for each indicator and level."""
    n_levels = int(known.level.max(initial=0)) + 1
    group = known.indicator.astype(np.int64) * n_levels + known.level
    order = np.argsort(group, kind="stable")
    blocks = [
        _block(known, part)
        for part in np.split(order, np.flatnonzero(np.diff(group[order])) + 1)
        if part.size
    ]
    return [(block, _steps(block)) for block in blocks]


def _block(known: Known, part: Ints) -> Block:
    years, year_at = np.unique(known.year[part], return_inverse=True)
    own, own_at = np.unique(known.area[part], return_inverse=True)
    shape = (len(own), len(years))
    at = np.full(shape, -1, dtype=np.int64)
    at[own_at, year_at] = part
    value, top, bottom = (np.full(shape, np.nan) for _ in range(3))
    value[own_at, year_at] = known.value[part]
    top[own_at, year_at] = known.numerator[part]
    bottom[own_at, year_at] = known.denominator[part]
    kind = "plain"
    if np.isnan(known.numerator[part]).all():
        kind = "positive" if (known.value[part] > 0).all() else "plain"
    elif ((known.numerator[part] >= 0) & (known.numerator[part] <= known.denominator[part])).all():
        kind = "share"
    return Block(
        indicator=known.indicators[int(known.indicator[part[0]])],
        years=years,
        at=at,
        value=value,
        numerator=top,
        denominator=bottom,
        kind=kind,
    )


def _steps(block: Block) -> Steps:
    area, after = np.nonzero(block.at >= 0)
    follows = np.flatnonzero(area[1:] == area[:-1]) + 1
    before, stop = after[follows - 1], after[follows]
    own = area[follows]
    _, pair = np.unique(before * len(block.years) + stop, return_inverse=True)
    return Steps(
        area=own,
        pair=pair,
        before=before,
        after=stop,
        start=block.at[own, before],
        stop=block.at[own, stop],
        gap=(block.years[stop] - block.years[before]).astype(float),
    )


def median(values: Floats) -> float:
    """The median of values without gaps; numpy's own looks for gaps first, which takes longer than the rest."""
    upper = len(values) // 2
    middle = np.partition(values, [upper - 1, upper] if len(values) % 2 == 0 else [upper])
    return float(middle[upper] if len(values) % 2 else (middle[upper - 1] + middle[upper]) / 2)


def known_medians(values: Floats) -> Floats:
    """The median of what is known in each column, shape (n_columns,); each has a value."""
    ordered, known = np.sort(values, axis=0), (~np.isnan(values)).sum(axis=0)
    at = np.arange(values.shape[1])
    return np.asarray((ordered[(known - 1) // 2, at] + ordered[known // 2, at]) / 2)


def medians_of(values: Floats, group: Ints) -> tuple[Floats, Ints]:
    """The median of each group, and its size."""
    size = np.bincount(group)
    order = np.lexsort((values, group))
    start = np.concatenate([[0], np.cumsum(size)[:-1]])
    ordered = values[order]
    return (ordered[start + (size - 1) // 2] + ordered[start + size // 2]) / 2, size
