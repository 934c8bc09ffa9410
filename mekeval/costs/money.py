"""What a programme spent in each area and year.

In: a study: its waves, and its measures whose money is known. Out: money with the way in which it is known. Never: a
sum that nobody recorded.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import pandas as pd

from ..areas import Areas
from ..evaluation import Evaluation
from ..study import Measure, Study

#: Money, where it is known, and its basis, by area and year.
Money = dict[tuple[str, int], tuple[float | None, str]]
#: How the money of an area and year is known; the last two are reasons why it is not.
BASES = (
    "split_by_population",
    "measures",
    "measures_and_split",
    "measures_only",
    "no_population",
    "not_recorded",
)


def money_by_district(given: Study | Evaluation) -> pd.DataFrame:
    """What the programme spent in each area and year.

    Parameters
    ----------
    given : Study or Evaluation
        Of an evaluation only the years up to its own.

    Returns
    -------
    pandas.DataFrame
        One row for each area and year in which a wave or a measure spent there, in the order of the areas: `area`
        (code), `year`, `eur` (EUR of that year; <NA> where it is not known), `eur_per_inhabitant` (by the `population`
        of areas.csv, the same in every year; <NA> where one of them is not known) and `basis`: "split_by_population"
        (the wave's money, split over its areas by population), "measures" (of measures that name their money and the
        area), "measures_and_split" (both), "measures_only" (the wave's own money is not on record), "no_population"
        (it cannot be split) or "not_recorded".

    Raises
    ------
    StudyError
        The study has no programme.

    Notes
    -----
    Measures are part of their wave's money: what they take, in its areas or elsewhere in the city, is not split. A
    measure in several areas, or in an area of a higher level, is split over them by population. Money of a measure
    without a place is part of what is split.

    Examples
    --------
    >>> from mekeval import example_study, money_by_district, read_study
    >>> money = money_by_district(read_study(example_study()))
    >>> first = money[money["year"] == 2019]
    >>> float(first["eur"].sum()), set(first["basis"])
    (2000000.0, {'split_by_population'})
    """
    study, last = (given, None) if isinstance(given, Study) else (given.study, given.year)
    people = inhabitants(study.areas)
    order = {code: at for at, code in enumerate(study.areas.units)}
    rows = [
        (area, year, eur, None if eur is None or not people.get(area) else eur / people[area], basis)
        for (area, year), (eur, basis) in money_of(study, last).items()
    ]
    rows.sort(key=lambda row: (order[row[0]], row[1]))
    areas, years, eur, each, bases = zip(*rows, strict=True) if rows else ((),) * 5
    return pd.DataFrame(
        {
            "area": pd.Series(areas, dtype=str),
            "year": pd.Series(years, dtype="int64"),
            "eur": pd.Series(eur, dtype="Float64"),
            "eur_per_inhabitant": pd.Series(each, dtype="Float64"),
            "basis": pd.Series(bases, dtype=str),
        }
    )


def money_of(study: Study, last: int | None) -> Money:
    """Money and basis of each area and year."""
    people, within, compared = inhabitants(study.areas), _within(study.areas), study.areas.units
    named: dict[tuple[str, int], float] = defaultdict(float)
    split: dict[tuple[str, int], float] = defaultdict(float)
    lacking: dict[tuple[str, int], str] = {}
    for wave, codes in zip(study.programme.wave, study.wave_areas, strict=True):
        own = [one for one in study.measures if one.wave == wave.name and one.eur is not None]
        units = {one.row: _units(one, compared, within) for one in own}
        shares = {row: _shares(some, people) for row, some in units.items()}
        for year in range(wave.first, min(wave.last, wave.last if last is None else last) + 1):
            rest = wave.eur_per_year
            for one in own:
                eur = one.eur_by_year.get(year, 0.0)
                if eur and shares[one.row] is None:
                    lacking |= {(area, year): "no_population" for area in units[one.row]}
                for area, share in (shares[one.row] or {}).items():
                    named[area, year] += eur * share
                if rest is not None and (one.city_wide or one.areas or one.elsewhere):
                    rest -= eur
            parts = _shares(codes, people)
            for code in codes:
                if rest is None:
                    lacking.setdefault((code, year), "not_recorded")
                elif parts is None:
                    lacking[code, year] = "no_population"
                else:
                    split[code, year] += max(rest, 0.0) * parts[code]
    found: dict[tuple[str, int], tuple[float | None, str]] = {}
    for key in {**named, **split, **lacking}:
        has, parted = named.get(key, 0.0) > 0, key in split
        if lacking.get(key) == "no_population" or (key in lacking and not has and not parted):
            found[key] = (None, lacking[key])
        elif key in lacking:
            found[key] = (named.get(key, 0.0) + split.get(key, 0.0), "measures_only")
        elif has or parted:
            basis = "measures_and_split" if has and parted else "measures" if has else "split_by_population"
            found[key] = (named.get(key, 0.0) + split.get(key, 0.0), basis)
    return found


def inhabitants(areas: Areas) -> dict[str, int]:
    """Inhabitants of each unit, where they are known."""
    counts = areas.table["population"].dropna().to_dict()
    return {code: int(counts[code]) for code in areas.units if code in counts}


def _shares(codes: Sequence[str], people: Mapping[str, int]) -> dict[str, float] | None:
    """The share of each area by population; None where a population is not known or nobody lives in any of several."""
    if len(codes) == 1:
        return {codes[0]: 1.0}
    counts = [people.get(code) for code in codes]
    known = [count for count in counts if count is not None]
    total = sum(known)
    if len(known) < len(counts) or not total:
        return None
    return {code: count / total for code, count in zip(codes, known, strict=True)}


def _within(areas: Areas) -> dict[str, tuple[str, ...]]:
    """Each listed area with those that it lies in, itself first."""
    parents = {str(code): str(parent) for code, parent in areas.table["parent"].items()}
    found: dict[str, tuple[str, ...]] = {}
    for code in parents:
        chain = [code]
        while parents[chain[-1]] in parents:
            chain.append(parents[chain[-1]])
        found[code] = tuple(chain)
    return found


def _units(measure: Measure, units: Sequence[str], within: Mapping[str, tuple[str, ...]]) -> list[str]:
    """The compared areas in which a measure took place: those that it names, that hold those, or that lie in them."""
    found: dict[str, None] = {}
    for code in measure.areas:
        around = [one for one in within[code] if one in units]
        found |= dict.fromkeys(around or [unit for unit in units if code in within[unit]])
    return list(found)
