"""Items -> indicators: sums above and below the line, the worst status of the parts, what cannot be.

In: a `Grid` of cells. Out: rows of the tidy table. Never: a rate with a part missing, or too few people behind it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..disclosure.published import threshold_of
from ..study import IndicatorSpec, StudySpec
from ..study.formula import signed_terms
from .cells import Bools, Cells, Floats, Grid, Ints
from .result import STATUSES, TABLE_COLUMNS, Log, spans

#: How an indicator is made in a year on a level of areas: not at all, by its formula, by its other one.
NO_FORMULA, ITS_FORMULA, OTHER_FORMULA = 0, 1, 2
_CODE = {name: np.int8(at) for at, name in enumerate(STATUSES)}
_PRODUCER = 5  # "ok" and the producer's own reasons: the first of `STATUSES`


@dataclass(frozen=True, kw_only=True)
class Sources:
    """What is said of each source: its file, its year of publication and its own limit, n_sources of each."""

    files: list[str]
    vintages: Ints
    limits: Ints

    def limit_of(self, best: Ints, cells: Cells) -> Ints:
        """The highest limit that a source of the cells asks for, over the first axis; 0 where none does."""
        own = np.where(best >= 0, self.limits[cells.source[best]], 0)
        return np.asarray(own.max(axis=0))


@dataclass(frozen=True, kw_only=True)
class Rows:
    """The tidy table as arrays of codes, n rows; indicator by indicator, each by area and year.

    Attributes
    ----------
    area, indicator, source : array of int, shape (n,)
        Positions in the areas of the cells, in the study's indicators and in its sources.
    year : array of int, shape (n,)
    value, numerator, denominator : array of float, shape (n,)
        NaN where `status` is not 0, the position of "ok".
    status : array of int, shape (n,)
        Positions in `STATUSES`.
    cell : array of int, shape (n,)
        A cell that stands behind the value, for the place in the file: the first that is there of the indicator's
        items.
    """

    area: Ints
    year: Ints
    indicator: Ints
    value: Floats
    numerator: Floats
    denominator: Floats
    status: npt.NDArray[np.int8]
    source: Ints
    cell: Ints


@dataclass(frozen=True, kw_only=True)
class Formulas:
    """By which formula each indicator is made.

    Attributes
    ----------
    which : array of int, shape (n_indicators, n_levels, n_years)
        `NO_FORMULA`, `ITS_FORMULA` or `OTHER_FORMULA`.
    level : array of int, shape (n_areas,)
        The level of each area of the cells.
    years : array of int, shape (n_years,)
    """

    which: npt.NDArray[np.int8]
    level: Ints
    years: Ints

    def at(self, number: int, areas: Ints, years: Ints) -> npt.NDArray[np.int8]:
        """The formula of one indicator for areas (positions) and years."""
        found: npt.NDArray[np.int8] = self.which[
            number, self.level[areas], np.searchsorted(self.years, years)
        ]
        return found


def formulas_of(spec: StudySpec, grid: Grid, level: Ints) -> Formulas:
    """Its own formula where each item has a cell for some area of the level in the year, else the other one if it has.

    A formula of which a whole item was not published gives nothing for anybody; that is no gap of the producer's.
    """
    n_items, _, n_years = grid.best.shape
    held = np.zeros((n_items, int(level.max(initial=0)) + 1, n_years), dtype=bool)
    for one in range(held.shape[1]):
        held[:, one] = (grid.best[:, level == one] >= 0).any(axis=1)
    position = {item.name: at for at, item in enumerate(spec.item)}
    which = np.full((len(spec.indicator), *held.shape[1:]), NO_FORMULA, dtype=np.int8)
    for number, indicator in enumerate(spec.indicator):
        ways = ((OTHER_FORMULA, indicator.by_otherwise), (ITS_FORMULA, indicator))
        for way, formula in ways:
            if formula is not None:
                which[number][held[[position[name] for name in formula.items]].all(axis=0)] = way
    return Formulas(which=which, level=level, years=grid.years)


def tidy(
    spec: StudySpec,
    grid: Grid,
    sources: Sources,
    formulas: Formulas,
    log: Log | None,
    used: Bools | None = None,
) -> Rows:
    """The rows of all indicators, each wherever one of its items was published and a formula can be followed.

    `used`, where given, is set to true at the cells that stand behind a row.
    """
    keys = grid.key()
    most = _most_people(spec, grid)
    parts = []
    for number, indicator in enumerate(spec.indicator):
        ways = [(ITS_FORMULA, indicator), (OTHER_FORMULA, indicator.by_otherwise)]
        made = [
            _rows(number, formula, way, spec, grid, keys, most, sources, formulas, log, used)
            for way, formula in ways
            if formula is not None
        ]
        if log is not None:
            _log_formulas(indicator, number, made, spec, grid, formulas, log)
        parts.append(_in_order(made))

    def joined(name: str) -> npt.NDArray[np.generic]:
        return np.concatenate([part.pop(name) for part in parts]) if parts else np.empty(0)

    return Rows(**{one.name: joined(one.name) for one in fields(Rows)})  # type: ignore[arg-type]


def framed(rows: Rows, spec: StudySpec, area_names: list[str], sources: Sources) -> pd.DataFrame:
    """The rows as `Indicators.table`."""

    def texts(codes: Ints, names: list[str]) -> pd.Series:
        return pd.Series(pd.Series(names, dtype="str").array.take(codes))

    return pd.DataFrame(
        {
            "area": texts(rows.area, area_names),
            "year": rows.year.astype(np.int64),
            "indicator": texts(rows.indicator, [one.name for one in spec.indicator]),
            "value": rows.value,
            "numerator": rows.numerator,
            "denominator": rows.denominator,
            "status": texts(rows.status, list(STATUSES)),
            "source": texts(rows.source, sources.files),
            "vintage": sources.vintages[rows.source],
        },
        columns=list(TABLE_COLUMNS),
        copy=False,
    )


def _in_order(made: list[dict[str, npt.NDArray[np.generic]]]) -> dict[str, npt.NDArray[np.generic]]:
    """The rows of an indicator by both formulas, by area and year."""
    if len(made) == 1:
        return made[0]
    joined = {name: np.concatenate([part[name] for part in made]) for name in made[0]}
    order = np.lexsort((joined["year"], joined["area"]))
    return {name: column[order] for name, column in joined.items()}


def _log_formulas(
    indicator: IndicatorSpec,
    number: int,
    made: list[dict[str, npt.NDArray[np.generic]]],
    spec: StudySpec,
    grid: Grid,
    formulas: Formulas,
    log: Log,
) -> None:
    """The years of the other formula, and those in which a part of the indicator was not published."""
    if len(made) > 1:
        good = made[1]["year"][made[1]["status"] == 0]
        for year, count in zip(*np.unique(good, return_counts=True), strict=True):
            log.note(
                "info",
                "other_formula",
                year=int(year),
                subject=indicator.name,
                found=indicator.otherwise,
                count=int(count),
            )
    position = {item.name: at for at, item in enumerate(spec.item)}
    there = grid.best[[position[name] for name in indicator.items]] >= 0
    some: Bools = np.asarray(there.any(axis=0))
    lacking: dict[tuple[str, ...], dict[int, int]] = {}
    for level, year in zip(*np.nonzero(formulas.which[number] == NO_FORMULA), strict=True):
        own = formulas.level == level
        count = int(some[own, year].sum())
        if count:
            given = np.count_nonzero(there[:, own, year], axis=1)
            names = tuple(name for name, areas in zip(indicator.items, given, strict=True) if not areas)
            counts = lacking.setdefault(names, {})
            counts[int(grid.years[year])] = counts.get(int(grid.years[year]), 0) + count
    for names, counts in lacking.items():
        found = f"no source gives {', '.join(names)} in {spans(sorted(counts))}"
        log.note("info", "not_published", subject=indicator.name, found=found, count=sum(counts.values()))


def _rows(
    number: int,
    indicator: IndicatorSpec,
    way: int,
    spec: StudySpec,
    grid: Grid,
    keys: Ints,
    most: Floats,
    sources: Sources,
    formulas: Formulas,
    log: Log | None,
    used: Bools | None,
) -> dict[str, npt.NDArray[np.generic]]:
    """One indicator by one of its formulas, as arrays of one row for each area and year."""
    items = {item.name: at for at, item in enumerate(spec.item)}
    parts = np.array([items[name] for name in indicator.items], dtype=np.int64)
    there = (grid.best[parts] >= 0).any(axis=0)
    area, year_at = np.nonzero(there)
    kept = formulas.at(number, area, grid.years[year_at]) == way
    area, year_at = area[kept], year_at[kept]
    year = grid.years[year_at]
    best = grid.best[parts][:, area, year_at]
    lost, older = (np.zeros(len(area), dtype=bool) for _ in range(2))
    if indicator.numerator:
        best, lost, older = _of_one_release(best, parts, area, year_at, grid, keys, sources)
    if used is not None:
        used[best[best >= 0]] = True
    known = best >= 0
    reasons = np.where(known, grid.cells.status[best], _CODE["missing"])
    value_of = {
        name: np.where(known[at], grid.cells.value[best[at]], np.nan)
        for at, name in enumerate(indicator.items)
    }

    top, bottom = indicator.numerator or indicator.value, indicator.denominator or indicator.base
    numerator, denominator = _sum(top, value_of), _sum(bottom, value_of)
    status = np.zeros(len(area), dtype=np.int8)
    for reason in reversed(range(1, _PRODUCER)):
        status[(reasons == reason).any(axis=0)] = reason
    status[lost] = _CODE["split_releases"]
    if log is not None:
        for rule, those in (("split_releases", lost), ("older_release", older)):
            for one, count in zip(*np.unique(year[those], return_counts=True), strict=True):
                log.note("warning", rule, year=int(one), subject=indicator.name, count=int(count))

    least = np.maximum(threshold_of(spec, indicator), sources.limit_of(best, grid.cells))
    names = np.array(grid.cells.area_names, dtype=object)

    def refuse(wrong: Bools, found: list[str], expected: str) -> None:
        status[wrong] = _CODE["implausible"]
        if log is not None and wrong.any():
            log.lines(
                "warning",
                "implausible",
                {
                    **place_of(cell[wrong], grid, sources),
                    "area": names[area[wrong]],
                    "year": year[wrong],
                    "subject": indicator.name,
                    "found": [f"{text}, expected {expected}" for text in found],
                    "expected": expected,
                    "count": 1,
                },
            )

    origin = _origin(best, indicator, grid, sources)
    cell = best[(best >= 0).argmax(axis=0), np.arange(best.shape[1])]
    # No number of persons is negative; a sum would carry such a cell along unseen.
    persons = [name for _, name in signed_terms(bottom)]
    persons += [name for _, name in signed_terms(top)] if indicator.numerator else []
    lowest = np.min([value_of[name] for name in persons], axis=0)
    wrong = (status == 0) & (lowest < 0)
    refuse(wrong, [f"{value:g}" for value in lowest[wrong]], "at least 0 persons")
    # 1.234 read with a decimal point is a thousand people or nobody; a rate of it would look like any other.
    counts = np.array([value_of[name] for name in persons])
    broken = counts != np.round(counts)
    wrong = (status == 0) & broken.any(axis=0)
    first = counts[broken.argmax(axis=0), np.arange(len(area))]
    refuse(wrong, [f"{value:.15g}" for value in first[wrong]], "a whole number of persons")
    wrong = (status == 0) & (denominator < 0)
    # How far below zero is not said: it is a number of people, and a small one.
    refuse(wrong, ["a negative denominator"] * int(wrong.sum()), "at least 0 persons")
    empty, people = (status == 0) & (denominator == 0), most[area, year_at]
    # A base of a value need not count people: no unemployed and no dwellings do not make an empty area. Where nothing
    # else is known of its people, all that can be said is that there is nothing to measure.
    counts_people = bool(indicator.numerator) or top == bottom
    status[empty] = _CODE["empty_area" if counts_people else "not_applicable"]
    # Somebody lives there: a release writes 0 for the parts of few people, and many may have no such part. Where the
    # people themselves are counted, 0 is what it says.
    if top != bottom:
        status[empty & (people == 0)] = _CODE["empty_area"]
        status[empty & (people > 0)] = _CODE["suppressed"]
        status[empty & (people >= least)] = _CODE["not_applicable"]
    status[(status == 0) & (denominator < least)] = _CODE["confidential"]
    # A release that writes 0 where nobody lives also writes a median income or a floor area of 0 there.
    if indicator.unit in ("eur", "m2"):
        status[(status == 0) & (numerator == 0)] = _CODE["empty_area"]
    value = numerator
    if indicator.numerator:
        with np.errstate(divide="ignore", invalid="ignore"):
            value = np.where(denominator > 0, 100 * numerator / denominator, np.nan)
        wrong = (status == 0) & (numerator < 0)
        refuse(wrong, _counts(numerator, denominator, wrong), "a numerator of at least 0")
    if indicator.plausible:
        low, high = indicator.plausible
        wrong = (status == 0) & ~((value >= low) & (value <= high))
        refuse(wrong, [f"{one:g}" for one in value[wrong]], f"{low:g} to {high:g}")
    if _is_share(top, bottom):
        wrong = (status == 0) & (numerator > denominator)
        refuse(wrong, _counts(numerator, denominator, wrong), "a numerator of at most the denominator")
    good = status == 0
    vintage = np.where(best >= 0, sources.vintages[grid.cells.source[best]], -1)
    oldest = np.where(best >= 0, vintage, np.iinfo(np.int64).max).min(axis=0)
    mixed = good & (oldest < vintage.max(axis=0))
    if log is not None and mixed.any():
        log.note("warning", "mixed_releases", subject=indicator.name, count=int(mixed.sum()))
    shown = np.where(good, 1.0, np.nan)
    return {
        "area": area.astype(np.int32),
        "year": year.astype(np.int32),
        "indicator": np.full(len(area), number, dtype=np.int32),
        "value": value * shown,
        "numerator": numerator * shown if indicator.numerator else np.full(len(area), np.nan),
        "denominator": denominator * shown,
        "status": status,
        "source": origin.astype(np.int32),
        "cell": cell,
    }


def _most_people(spec: StudySpec, grid: Grid) -> Floats:
    """How many people are known to live in each area and year; NaN where nothing is known.

    A count of residents says it; where there is none, the largest base of a rate does. Bases of values are left out:
    they may count dwellings, or the unemployed alone.
    """
    residents = {one.base for one in spec.indicator if one.unit == "persons" and one.value == one.base}
    below = {name for one in spec.indicator if one.denominator for name in one.bases}
    known = []
    for names in (residents, below):
        most = np.full(grid.best.shape[1:], np.nan)
        for number, item in enumerate(spec.item):
            if item.name in names:
                best = grid.best[number]
                np.fmax(most, np.where(best >= 0, grid.cells.value[best], np.nan), out=most)
        known.append(most)
    return np.where(np.isnan(known[0]), known[1], known[0])


def _of_one_release(
    best: Ints, parts: Ints, area: Ints, year_at: Ints, grid: Grid, keys: Ints, sources: Sources
) -> tuple[Ints, Bools, Bools]:
    """Cells of one release for each rate: where the newest numbers come from two, the newest release that has all.

    Releases draw the boundaries of areas anew, and a numerator of one over a denominator of another is no rate of any
    area. Then come the rates that are lost, because no release has all, and those of an older release than the newest
    number.
    """
    cells = grid.cells
    vintage = np.where(best >= 0, sources.vintages[cells.source[best]], -1)
    whole = ((best >= 0) & (cells.status[best] == 0)).all(axis=0)
    mixed = np.flatnonzero(whole & (vintage.min(axis=0) < vintage.max(axis=0)))
    lost, older = (np.zeros(best.shape[1], dtype=bool) for _ in range(2))
    if not mixed.size:
        return best, lost, older
    _, n_areas, n_years = grid.best.shape
    place = area[mixed].astype(np.int64) * n_years + year_at[mixed]
    row_of = np.full(n_areas * n_years, -1, dtype=np.int64)
    row_of[place] = np.arange(len(mixed))
    item_of = np.full(len(grid.best), -1, dtype=np.int64)
    item_of[parts] = np.arange(len(parts))
    at = np.flatnonzero((item_of[cells.item] >= 0) & (cells.status == 0))
    row = row_of[keys[at] % (n_areas * n_years)]
    at, row = at[row >= 0], row[row >= 0]
    releases, release = np.unique(sources.vintages[cells.source[at]], return_inverse=True)
    chosen = np.full((len(mixed), len(releases), len(parts)), -1, dtype=np.int64)
    chosen[row, release, item_of[cells.item[at]]] = at  # of one release the last file, as everywhere
    complete = np.asarray((chosen >= 0).all(axis=2))
    newest_whole = len(releases) - 1 - complete[:, ::-1].argmax(axis=1)
    found = complete.any(axis=1)
    best = best.copy()
    best[:, mixed[found]] = chosen[np.flatnonzero(found), newest_whole[found]].T
    lost[mixed[~found]] = True
    older[mixed[found]] = True
    return best, lost, older


def place_of(cell: Ints, grid: Grid, sources: Sources) -> dict[str, list[object]]:
    """File, row and column of cells, for the log."""
    cells = grid.cells
    return {
        "file": [sources.files[at] for at in cells.source[cell].tolist()],
        "row": cells.row[cell].tolist(),
        "column": [cells.columns[at] for at in cells.column[cell].tolist()],
    }


def _counts(numerator: Floats, denominator: Floats, wrong: Bools) -> list[str]:
    return [
        f"{top:.15g} of {bottom:.15g}"
        for top, bottom in zip(numerator[wrong].tolist(), denominator[wrong].tolist(), strict=True)
    ]


def _is_share(top: str, bottom: str) -> bool:
    """Whether the numerator is a part of the denominator by its formula, so that the rate is at most 100."""
    parts, whole = ({name for sign, name in signed_terms(one) if sign > 0} for one in (top, bottom))
    return parts <= whole


def _sum(expression: str, value_of: dict[str, Floats]) -> Floats:
    """A sum with signs; missing where a part is."""
    total: Floats | None = None
    for sign, name in signed_terms(expression):
        term = sign * value_of[name]
        total = term if total is None else total + term
    if total is None:
        raise ValueError(expression)
    return total


def _origin(best: Ints, indicator: IndicatorSpec, grid: Grid, sources: Sources) -> Ints:
    """The source of each row: of its parts' sources the newest; the last by the items' names where several are."""
    order = sorted(range(len(indicator.items)), key=lambda at: indicator.items[at])
    source = np.full(best.shape[1], -1, dtype=np.int64)
    vintage = np.full(best.shape[1], -1, dtype=np.int64)
    for at in order:
        there = best[at] >= 0
        own = grid.cells.source[best[at]].astype(np.int64)
        newer = there & (sources.vintages[own] >= vintage)
        source = np.where(newer, own, source)
        vintage = np.where(newer, sources.vintages[own], vintage)
    return source
