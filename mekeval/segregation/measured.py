"""Counts by area and year -> indices with what chance adds to them and intervals.

In: persons of a group, or of several, by area and year. Out: `Segregation`. Never: a missing cell that is passed over
in silence, or an index of small areas without what chance alone would give.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..display import Shown
from ..errors import DataError, DesignError, closest
from ..panel import Floats
from .cells import (
    MOST_PEOPLE,
    TOO_MANY,
    Missing,
    entering,
    names_of,
    numbers_of,
    refuse_counts,
    refuse_options,
    told,
)
from .indices import INDICES, MULTIGROUP_INDICES, RANGES, location_quotients, many_groups, two_group

#: Draws from a city without segregation; their mean needs fewer than an interval does.
CHANCE_DRAWS = 200
_BATCH = 200_000  # cells drawn at once: bounds the memory, and what a processor keeps at hand


@dataclass(frozen=True, kw_only=True, repr=False)
class IndexChange(Shown):
    """How an index changed between two years, corrected for small areas.

    Attributes
    ----------
    index : str
    first, last : int
    change, low, high : float
        Last less first, in the unit of the index, with its interval.
    alpha : float
    """

    index: str
    first: int
    last: int
    change: float
    low: float
    high: float
    alpha: float

    @property
    def clear(self) -> bool:
        """Whether the interval leaves out zero."""
        return not self.low <= 0 <= self.high


@dataclass(frozen=True, kw_only=True, repr=False)
class Segregation(Shown):
    """How unevenly a group, or several, live in a city, by year.

    Attributes
    ----------
    areas : tuple of str
        n_areas that enter.
    periods : tuple of int
        n_periods years that are measured.
    indices : tuple of str
        n_indices names, see `two_group` and `many_groups`.
    table : pandas.DataFrame
        One row for each index and year: `index`, `period`, `value` (as counted), `corrected` (less the bias of small
        areas), `low`, `high` (of the corrected one), `by_chance` (what the index would be on average if everybody
        were put into the areas by lot), `n_areas`, and `note`: "" or "lowest_fifth_is_zero" (no ratio), "not_stable"
        (some draws have no such index, so there is no interval).
        All of them shares from 0 to 1 but `ratio` and `cv`; missing where `note` says why.
    location_quotients : array, shape (n_areas, n_periods)
        Share of the group in an area by that in the city; of several groups empty.
    total : array, shape (n_areas, n_periods)
        Persons; NaN where an area does not enter.
    gaps : tuple of int
        Years without a value in at least half of the areas; they are not measured.
    dropped : tuple of (str, str, int)
        Areas that are left out, each with the reason and the year that lacks a value; of all years where the panel was
        balanced, else of that year.
    draws : array, shape (n_draws, n_indices, n_periods)
        The indices of the draws that intervals come from.
    alpha : float
    missing : str
        "balanced" or "each_year".
    """

    areas: tuple[str, ...]
    periods: tuple[int, ...]
    indices: tuple[str, ...]
    table: pd.DataFrame
    location_quotients: Floats
    total: Floats
    gaps: tuple[int, ...]
    dropped: tuple[tuple[str, str, int], ...]
    draws: Floats
    alpha: float
    missing: Missing

    def series(self, index: str) -> pd.DataFrame:
        """The rows of one index, by year."""
        _known(index, self.indices)
        return self.table.loc[self.table["index"] == index].set_index("period")

    def change(self, index: str, first: int | None = None, last: int | None = None) -> IndexChange:
        """How an index changed between two measured years, by default the first and the last.

        The draws of two years are independent, as if other people lived there in the other year. Mostly they are the
        same people, so the interval is rather too wide than too narrow.

        Raises
        ------
        DesignError
            The index or a year is not there; the index has no value in one of them.
        """
        _known(index, self.indices)
        years = self.periods[0] if first is None else first, self.periods[-1] if last is None else last
        for year in years:
            if year not in self.periods:
                raise DesignError(
                    "The year is not measured.",
                    found=str(year),
                    expected="one of " + ", ".join(map(str, self.periods)),
                )
        at = [self.periods.index(year) for year in years]
        values = self.series(index)["value"].to_numpy()[at]
        drawn = self.draws[:, self.indices.index(index), :][:, at]
        if not (np.isfinite(values).all() and np.isfinite(drawn).all()):
            raise DesignError(
                "The index has no value, or no interval, in a year.",
                where=f"{index}, {years[0]} and {years[1]}",
                fix="Take another index: a ratio needs somebody of the group in the lowest fifth.",
            )
        moved, moves = float(values[1] - values[0]), drawn[:, 1] - drawn[:, 0]
        low, high = 2 * moved - np.quantile(moves, [1 - self.alpha / 2, self.alpha / 2])
        return IndexChange(
            index=index,
            first=years[0],
            last=years[1],
            change=2 * moved - float(moves.mean()),
            low=float(low),
            high=float(high),
            alpha=self.alpha,
        )


def segregation_indices(
    group: npt.ArrayLike,
    total: npt.ArrayLike,
    *,
    areas: Sequence[str] | None = None,
    periods: Sequence[int] | None = None,
    missing: Missing = "balanced",
    draws: int = 1000,
    alpha: float = 0.05,
    seed: int = 0,
) -> Segregation:
    r"""How unevenly a group lives in the areas of a city, by year.

    Parameters
    ----------
    group, total : array, shape (n_areas, n_periods) or (n_areas,)
        Persons in the group, and all; NaN where there is no value.
    areas : sequence of str, optional
        Their names; "1", "2" and so on by default.
    periods : sequence of int, optional
        Years, each once; 0, 1 and so on by default.
    missing : {"balanced", "each_year"}
        Areas without a value in a year, or without people, drop out of all years, so that years can be compared; or of
        that year alone. A year without a value in at least half of the areas is a gap and costs no area.
    draws : int
        Of the bootstrap, at least 100.
    alpha : float
        Of the intervals.
    seed : int

    Returns
    -------
    Segregation
        The indices of `mekeval.segregation.INDICES`.

    Raises
    ------
    DataError
        Shapes differ; negative or infinite counts, or more in the group than there are people; one of both is missing;
        names or years are not as many as the areas and years, or stand twice. All faults at once.
    DesignError
        Fewer than two areas; a year in which nobody or everybody is in the group.

    Notes
    -----
    Small areas differ by chance alone, so every index is too large: with areas of n people by the order of 1/n. The
    correction is that of the bootstrap: the group of each area is drawn anew from a binomial distribution with the
    area's own share, the draws lie above the value as the value lies above the truth, and 2 value - mean(draws) takes
    that away. Intervals are 2 value - quantile(draws). Where there is hardly any segregation the correction takes
    away too little (`by_chance` shows how large the index would be by lot).

    Registers count everybody, so there is no sampling error in the usual sense. The interval is for the shares that
    areas tend to, of which the people who live there this year are one outcome (a superpopulation). People are taken
    as independent of each other; households are not, so intervals are rather too narrow for that. They are too narrow
    in tiny areas as well, because the correction itself varies: 95 % intervals of dissimilarity cover the truth in 88 %
    with areas of 30 people, in 92 % with 200 and in 94 % with 1,000 (`benchmarks/apart.py`).

    References
    ----------
    Allen, R., Burgess, S., Davidson, R. and Windmeijer, F. (2015). More reliable inference for the dissimilarity index
    of segregation. The Econometrics Journal 18(1). Duncan, O. D. and Duncan, B. (1955). A methodological analysis of
    segregation indexes. American Sociological Review 20(2). Massey, D. and Denton, N. (1988). The dimensions of
    residential segregation. Social Forces 67(2). Winship, C. (1977). A revaluation of indexes of residential
    segregation. Social Forces 55(4).

    Examples
    --------
    >>> found = segregation_indices([[10, 20], [30, 30], [60, 70]], [[100, 100], [100, 100], [100, 100]])
    >>> found.series("dissimilarity")["value"].round(3).tolist()
    [0.4, 0.417]
    """
    counts = [np.atleast_1d(numbers_of(what, one)) for what, one in (("group", group), ("total", total))]
    if counts[0].shape != counts[1].shape or counts[0].ndim > 2:
        raise DataError(
            "The counts of the group and of all people have unequal shapes.",
            found=f"{counts[0].shape} and {counts[1].shape}",
            expected="areas by years, twice",
        )
    own, people = (one[:, None] if one.ndim == 1 else one for one in counts)
    names, years = names_of(people.shape, areas, periods)
    refuse_counts(own, people, names, years)
    return measure(
        np.stack([own, people - own], axis=-1),
        names=names,
        years=years,
        several=False,
        missing=missing,
        draws=draws,
        alpha=alpha,
        seed=seed,
    )


def multigroup_segregation(
    counts: npt.ArrayLike,
    *,
    areas: Sequence[str] | None = None,
    periods: Sequence[int] | None = None,
    missing: Missing = "balanced",
    draws: int = 1000,
    alpha: float = 0.05,
    seed: int = 0,
) -> Segregation:
    """How unevenly several groups live in the areas of a city, by year.

    Parameters
    ----------
    counts : array, shape (n_areas, n_periods, n_groups) or (n_areas, n_groups)
        Persons; everybody is in one group. NaN in any group: the area has no value that year.
    areas, periods, missing, draws, alpha, seed
        As in `segregation_indices`; groups are drawn from a multinomial distribution.

    Returns
    -------
    Segregation
        The indices of `mekeval.segregation.MULTIGROUP_INDICES`.

    Raises
    ------
    DataError, DesignError
        As `segregation_indices`; fewer than two groups.

    References
    ----------
    Reardon, S. F. and Firebaugh, G. (2002). Measures of multigroup segregation. Sociological Methodology 32(1).

    Examples
    --------
    >>> found = multigroup_segregation([[10, 20, 70], [30, 30, 40], [50, 40, 10]])
    >>> float(found.series("dissimilarity")["value"].iloc[0].round(3))
    0.303
    """
    held = numbers_of("counts", counts)
    if held.ndim not in (2, 3) or held.shape[-1] < 2:
        raise DataError(
            "Counts of several groups are areas by years by groups.",
            found=f"shape {held.shape}",
            expected="at least two groups in the last place",
        )
    held = held[:, None, :] if held.ndim == 2 else held
    names, years = names_of(held.shape[:2], areas, periods)
    faults = []
    for what, bad in (
        ("A count is negative.", held < 0),
        ("A count is infinite.", np.isinf(held)),
        (TOO_MANY, np.isfinite(held) & (held > MOST_PEOPLE)),
    ):
        faults += told(what, np.asarray(bad.any(axis=-1)), names, years)
    if faults:
        raise DataError.of(faults)
    held = np.where(np.isnan(held).any(axis=-1, keepdims=True), np.nan, held)
    return measure(
        held, names=names, years=years, several=True, missing=missing, draws=draws, alpha=alpha, seed=seed
    )


def measure(
    counts: Floats,
    *,
    names: tuple[str, ...],
    years: tuple[int, ...],
    several: bool,
    missing: Missing,
    draws: int,
    alpha: float,
    seed: int,
    reasons: npt.NDArray[np.str_] | None = None,
) -> Segregation:
    """Measure checked counts (n_areas, n_periods, n_groups); `reasons` (n_areas, n_periods) say why some are NaN."""
    refuse_options(missing, draws=draws, alpha=alpha, seed=seed)
    known = entering(counts.sum(axis=-1), names=names, years=years, missing=missing, reasons=reasons)
    names, periods, there = known.areas, known.periods, known.there
    held = np.where(there[..., None], counts[known.cells], 0.0)
    members = held.sum(axis=0)
    flat = (members > 0).sum(axis=-1) < 2
    if flat.any():
        raise DesignError(
            "Everybody is in one group, so nothing can be uneven.",
            where=", ".join(str(year) for year, one in zip(periods, flat, strict=True) if one),
            found="; ".join(" and ".join(f"{n:g}" for n in members[at]) for at in np.flatnonzero(flat)[:3]),
        )
    by_area = np.moveaxis(held, 0, 1)  # years, areas, groups
    values = many_groups(by_area) if several else two_group(by_area[..., 0], by_area.sum(axis=-1))
    people = np.rint(by_area.sum(axis=-1)).astype(np.int64)
    own = shares_of(by_area)
    city = np.broadcast_to((members / members.sum(axis=-1, keepdims=True))[:, None, :], own.shape)
    generator = np.random.default_rng(seed)
    drawn = redrawn(generator, people, own, draws, several=several)
    by_lot = redrawn(generator, people, city, CHANCE_DRAWS, several=several)
    indices = MULTIGROUP_INDICES if several else INDICES
    return Segregation(
        areas=names,
        periods=periods,
        indices=indices,
        table=_table(indices, periods, values, drawn, by_lot, alpha, there.sum(axis=0)),
        location_quotients=np.empty((0, len(periods)))
        if several
        else location_quotients(by_area[..., 0], by_area.sum(axis=-1)).T,
        total=np.where(there, held.sum(axis=-1), np.nan),
        gaps=known.gaps,
        dropped=known.dropped,
        draws=drawn,
        alpha=alpha,
        missing=missing,
    )


def shares_of(counts: Floats) -> Floats:
    """Shares of groups in each area (..., n_areas, n_groups); 0 in one without people."""
    total = counts.sum(axis=-1, keepdims=True)
    return np.asarray(np.divide(counts, total, out=np.zeros(counts.shape), where=total > 0))


def redrawn(
    generator: np.random.Generator,
    people: npt.NDArray[np.int64],
    shares: Floats,
    n: int,
    *,
    several: bool = False,
    only: Sequence[str] = INDICES,
) -> Floats:
    """Indices (n, n_indices, ...) of counts drawn from the shares (..., n_areas, n_groups) of people (..., n_areas).

    `only` some of them, where there are not several groups.
    """
    found = []
    each = max(1, _BATCH // shares.size)
    for start in range(0, n, each):
        size = min(each, n - start)
        if several:
            filled = np.where(people[..., None] > 0, shares, 1 / shares.shape[-1])
            counts = generator.multinomial(people, filled, size=(size, *people.shape))
            found.append(np.moveaxis(many_groups(counts), 0, 1))
        else:
            own = generator.binomial(people, np.clip(shares[..., 0], 0, 1), size=(size, *people.shape))
            found.append(np.moveaxis(two_group(own, people, only=only), 0, 1))
    return np.concatenate(found)


def _table(
    indices: Sequence[str],
    periods: Sequence[int],
    values: Floats,
    drawn: Floats,
    by_lot: Floats,
    alpha: float,
    n_areas: npt.NDArray[np.integer],
) -> pd.DataFrame:
    """One row for each index and year; arrays are (n_indices, n_periods), of draws with these before."""
    known, stable = np.isfinite(values), np.isfinite(drawn).all(axis=0)
    safe, lots = (np.where(np.isfinite(array), array, 0.0) for array in (drawn, by_lot))
    low, high = 2 * values - np.quantile(safe, [1 - alpha / 2, alpha / 2], axis=0)
    least, greatest = (np.array([RANGES[name][end] for name in indices])[:, None] for end in (0, 1))
    parts = [np.clip(one, least, greatest) for one in (2 * values - safe.mean(axis=0), low, high)]
    parts = [np.where(known & stable, one, np.nan) for one in parts]
    chance = np.where(np.isfinite(by_lot).all(axis=0), lots.mean(axis=0), np.nan)
    note = np.where(known, np.where(stable, "", "not_stable"), "lowest_fifth_is_zero")
    n = len(periods)
    return pd.DataFrame(
        {
            "index": np.repeat(list(indices), n),
            "period": np.tile(list(periods), len(indices)),
            "value": np.where(known, values, np.nan).ravel(),
            **{name: one.ravel() for name, one in zip(("corrected", "low", "high"), parts, strict=True)},
            "by_chance": chance.ravel(),
            "n_areas": np.tile(n_areas, len(indices)),
            "note": note.ravel(),
        }
    )


def _known(index: str, indices: Sequence[str]) -> None:
    if index not in indices:
        raise DesignError(
            "Unknown index.", where="index", found=repr(index), expected=closest(index, indices)
        )
