"""What must not be shown because it would give away a number of few people, in the same area or in a part of it.

In: the rows of the tidy table with their grid, and the parent of each area. Out: the rows, some of them confidential.
Never: a base under the limit that another indicator prints, or that a sum or a subtraction of what is shown gives; a
hidden number that all that is shown leaves less room than the limit (`mekeval.disclosure`).

This is the one place that hides. Whatever is made from the tidy table can tell no more than the table does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from ..areas import Areas
from ..disclosure.hiding import rows_to_hide
from ..disclosure.published import (
    COUNTS,
    ENOUGH,
    costs,
    is_share,
    nobody_in,
    strictest_of,
    threshold_of,
    twice,
)
from ..disclosure.system import HIDDEN, OPEN, SHOWN, Published
from ..study import IndicatorSpec, StudySpec
from ..study.formula import signed_terms
from .cells import Bools, Floats, Grid, Ints
from .rates import OTHER_FORMULA, Formulas, Rows, Sources
from .result import STATUSES, Log

_OK, _CONFIDENTIAL = STATUSES.index("ok"), STATUSES.index("confidential")
_SECRET = (_CONFIDENTIAL, STATUSES.index("suppressed"))


@dataclass(frozen=True, kw_only=True)
class _Sums:
    """The sums of items above and below the lines, n_sums of them, and which of them each row shows.

    Attributes
    ----------
    matrix : array of float, shape (n_sums, n_items)
        The sign of each item.
    is_base : array of bool, shape (n_sums,)
    top, bottom : array of int, shape (n_rows,)
        Positions of the sums; of a plain value `top` is the value.
    adds_up : array of bool, shape (n_rows,)
        Whether `top` of an area is the sum of those of its parts: a median is not.
    limit : array of int, shape (n_sums,)
        The least number of people that may be shown of each base: the strictest of its indicators.
    """

    matrix: Floats
    is_base: Bools
    top: Ints
    bottom: Ints
    adds_up: Bools
    limit: Ints


def parents_of(areas: Areas, names: list[str]) -> Ints:
    """The position of each area's parent among the names of the cells; -1 where it has none there."""
    parent = areas.table["parent"].reindex(names).fillna("").astype(object)
    return np.asarray(pd.Index(names, dtype=object).get_indexer(pd.Index(parent, dtype=object)))


def withheld(
    rows: Rows,
    spec: StudySpec,
    grid: Grid,
    formulas: Formulas,
    parents: Ints,
    log: Log | None,
    sources: Sources,
    *,
    also: Bools | None = None,
    told: pd.DataFrame | None = None,
    attacked: bool = True,
) -> Rows:
    """The rows without those that would give away what others hide; these become "confidential".

    First, where a base of any indicator is under the limit, no row of the area and year may show that number, and what
    is shown may not add up to it (`indirect` in the log). Then, where the hidden parts of an area are one, or together
    under the limit, the area less its other parts would give them, or nearly: the area is hidden, and not one more of
    its parts, because the parts are what is compared (`complementary`). Last an attacker tries all that is left, and
    what he needs is hidden too, until nothing is pinned down. Rows in `also` are hidden before all; `told` was
    published before. No attacker is tried where not `attacked`.
    """
    sums = _sums_of(rows, spec, formulas)
    year_at = np.searchsorted(grid.years, rows.year)
    small = _small_bases(rows, sums, grid, year_at, sources)
    kinds = np.zeros(len(rows.status), dtype=np.int8)
    status, wanted = rows.status.copy(), small
    if also is not None:
        status[also & (status == _OK)] = _CONFIDENTIAL
        kinds[also & (rows.status == _OK)] = 3
    while True:
        indirect = _telling(status, rows, sums, wanted, year_at)
        status[indirect] = _CONFIDENTIAL
        kinds[indirect] = 1
        complementary, given = _parents_that_tell(status, rows, sums, parents, formulas.level, grid, year_at)
        status[complementary] = _CONFIDENTIAL
        kinds[complementary] = 2
        if not complementary.any() and not (given & ~wanted).any():
            break
        wanted = wanted | given  # nor may the sums of an area be had from its other indicators
    if attacked:
        needed = _attacked(status, rows, sums, small, spec, parents, formulas.level, year_at, grid, told)
        status[needed] = _CONFIDENTIAL
        kinds[needed] = 2
    gone = kinds > 0
    if log is not None:
        for kind, rule in ((1, "indirect"), (2, "complementary")):
            own = np.flatnonzero(kinds == kind)
            pairs = np.stack([rows.indicator[own], rows.year[own]], axis=1)
            for (at, year), count in zip(*np.unique(pairs, axis=0, return_counts=True), strict=True):
                log.note("info", rule, year=int(year), subject=spec.indicator[at].name, count=int(count))
    hidden = {
        name: np.where(gone, np.nan, getattr(rows, name)) for name in ("value", "numerator", "denominator")
    }
    return replace(rows, status=status, **hidden)


def _sums_of(rows: Rows, spec: StudySpec, formulas: Formulas) -> _Sums:
    items = {item.name: at for at, item in enumerate(spec.item)}
    known: dict[frozenset[tuple[int, str]], int] = {}
    limits: dict[int, int] = {}
    top, bottom = (np.zeros(len(rows.status), dtype=np.int64) for _ in range(2))
    adds_up = np.zeros(len(rows.status), dtype=bool)

    def number_of(expression: str) -> int:
        return known.setdefault(frozenset(signed_terms(expression)), len(known))

    def place(own: Bools, one: IndicatorSpec) -> None:
        above, below = number_of(one.numerator or one.value), number_of(one.denominator or one.base)
        limits[below] = max(limits.get(below, 0), threshold_of(spec, one))
        top[own], bottom[own] = above, below
        adds_up[own] = bool(one.numerator) or one.unit in COUNTS or above == below

    for number, indicator in enumerate(spec.indicator):
        own = rows.indicator == number
        place(own, indicator)
        if (other := indicator.by_otherwise) is not None:
            at = np.flatnonzero(own)
            way = formulas.at(number, rows.area[at], rows.year[at])
            second = np.zeros(len(own), dtype=bool)
            second[at[way == OTHER_FORMULA]] = True
            place(second, other)
    matrix = np.zeros((len(known), len(items)))
    for terms, number in known.items():
        for sign, name in terms:
            matrix[number, items[name]] += sign
    limit = np.array([limits.get(number, spec.study.minimum_base) for number in range(len(known))])
    is_base = np.isin(np.arange(len(known)), list(limits))
    return _Sums(matrix=matrix, is_base=is_base, top=top, bottom=bottom, adds_up=adds_up, limit=limit)


def _small_bases(rows: Rows, sums: _Sums, grid: Grid, year_at: Ints, sources: Sources) -> Bools:
    """Where a base is under the limit, by the newest numbers or by those of a row, shape (n_sums, n_areas, n_years).

    A base of 0 is no secret: the rows that it stands behind say that there is nobody.
    """
    shape = grid.best.shape[1:]
    small = np.zeros((len(sums.matrix), *shape), dtype=bool)
    for number in np.flatnonzero(sums.is_base).tolist():
        total = np.zeros(shape)
        for item in np.flatnonzero(sums.matrix[number]).tolist():
            best = grid.best[item]
            total += sums.matrix[number, item] * np.where(best >= 0, grid.cells.value[best], np.nan)
        items = np.flatnonzero(sums.matrix[number])
        least = np.maximum(sums.limit[number], sources.limit_of(grid.best[items], grid.cells))
        small[number] = (total > 0) & (total < least)
    shown = np.where(np.isnan(rows.numerator), rows.value, rows.numerator)
    few = sums.is_base[sums.top] & (rows.status == _OK) & (shown > 0) & (shown < sums.limit[sums.top])
    small[sums.top[few], rows.area[few], year_at[few]] = True
    return small


def _telling(status: Ints, rows: Rows, sums: _Sums, wanted: Bools, year_at: Ints) -> Bools:
    """Rows that print a wanted sum of their area and year, or without which what is printed does not add up to it."""
    telling: Bools = (status == _OK) & (
        wanted[sums.top, rows.area, year_at] | wanted[sums.bottom, rows.area, year_at]
    )
    places = np.asarray(wanted.any(axis=0))
    if not places.any():
        return telling
    row = np.flatnonzero(places[rows.area, year_at])
    number = np.full(places.shape, -1, dtype=np.int64)
    number[places] = np.arange(int(places.sum()))
    targets = wanted[:, places].T
    found: dict[bytes, int] = {}
    while True:
        there = row[(status[row] == _OK) & ~telling[row]]
        at = number[rows.area[there], year_at[there]]
        shown = np.zeros(targets.shape, dtype=bool)
        shown[at, sums.top[there]] = True
        shown[at, sums.bottom[there]] = True
        patterns, of = np.unique(np.hstack([shown, targets]), axis=0, return_inverse=True)
        drop = np.array([_giving_away(one, sums.matrix, found) for one in patterns], dtype=np.int64)[
            of.ravel()
        ]
        if (drop < 0).all():
            return telling
        here = row[(status[row] == _OK)]
        gone = drop[number[rows.area[here], year_at[here]]]
        telling[here[(sums.top[here] == gone) | (sums.bottom[here] == gone)]] = True


def _giving_away(pattern: Bools, matrix: Floats, found: dict[bytes, int]) -> int:
    """The last sum of the study without which the shown sums do not add up to a wanted one; -1 where they do not."""
    key = pattern.tobytes()
    if key not in found:
        shown, targets = (np.flatnonzero(part) for part in np.split(pattern, 2))
        found[key] = -1
        for target in targets.tolist() if shown.size else []:
            weights = np.linalg.lstsq(matrix[shown].T, matrix[target], rcond=None)[0]
            if np.abs(matrix[shown].T @ weights - matrix[target]).max() < 1e-8:
                found[key] = int(shown[np.abs(weights) > 1e-8].max())
                break
    return found[key]


def _parents_that_tell(
    status: Ints, rows: Rows, sums: _Sums, parents: Ints, level: Ints, grid: Grid, year_at: Ints
) -> tuple[Bools, Bools]:
    """Rows of areas that give one hidden part by subtraction, and their sums, shape (n_sums, n_areas, n_years)."""
    given = np.zeros((len(sums.matrix), *grid.best.shape[1:]), dtype=bool)
    telling = np.zeros(len(status), dtype=bool)
    children = np.flatnonzero(parents >= 0)
    if not children.size:
        return telling, given
    shown, secret = np.zeros_like(given), np.zeros_like(given)
    number_of = np.zeros(given.shape)
    numerator = np.where(np.isnan(rows.numerator), rows.value, rows.numerator)
    everywhere = np.ones(len(status), dtype=bool)
    for part, counts, counts_of in (
        (sums.top, sums.adds_up, numerator),
        (sums.bottom, everywhere, rows.denominator),
    ):
        for those, kind in ((shown, status == _OK), (secret, np.isin(status, _SECRET))):
            own = counts & kind
            those[part[own], rows.area[own], year_at[own]] = True
            if those is shown:
                number_of[part[own], rows.area[own], year_at[own]] = counts_of[own]
    hidden = (secret & ~shown).astype(np.int64)
    # Districts and postal areas of one city are two ways to cut it: each adds up by itself. Its major areas and what
    # could not be placed are one: of all parts together, those are looked at that are not more than the area.
    levels = np.unique(level[children]).tolist()
    ways = [children[level[children] == one] for one in levels]
    for number in np.flatnonzero(hidden.any(axis=(1, 2))).tolist():
        least = number_of[number].copy()  # what is known of a hidden area: its shown parts
        for _ in range(len(levels)):
            for parts in ways:
                below = np.zeros_like(least)
                np.add.at(below, parents[parts], least[parts])
                least = np.where(shown[number], least, np.maximum(least, below))
        for parts in [*ways, children] if len(ways) > 1 else ways:
            count = np.zeros(given.shape[1:], dtype=np.int64)
            np.add.at(count, parents[parts], hidden[number][parts])
            left = number_of[number].copy()
            np.subtract.at(left, parents[parts], least[parts])
            close = shown[number] & (left >= 0) & (left < sums.limit[number])
            given[number] |= (count > 0) & close
            if parts is not children:
                given[number] |= count == 1
    for part, counts in ((sums.top, sums.adds_up), (sums.bottom, np.ones(len(status), dtype=bool))):
        telling |= (status == _OK) & counts & given[part, rows.area, year_at]
    return telling, given


def _attacked(
    status: Ints,
    rows: Rows,
    sums: _Sums,
    small: Bools,
    spec: StudySpec,
    parents: Ints,
    level: Ints,
    year_at: Ints,
    grid: Grid,
    told: pd.DataFrame | None,
) -> Bools:
    """Rows that must be hidden so that an attacker by linear programming pins no hidden number down.

    Rows of areas that have parts go first; those of the parts, which are compared, cost more. What is hidden to
    protect something else, and is large, needs no protection of its own.
    """
    secret = np.isin(status, _SECRET)
    if not secret.any():
        return np.zeros(len(status), dtype=bool)
    words = np.array(STATUSES, dtype=object)[status]
    nobody = nobody_in(words, rows.area, year_at)
    shares = np.array([is_share(one) for one in spec.indicator])[rows.indicator]
    rates = np.array([bool(one.numerator) for one in spec.indicator])[rows.indicator]
    ok = status == _OK
    above = np.where(ok, np.where(np.isnan(rows.numerator), rows.value, rows.numerator), np.nan)
    whole = np.isin(np.arange(len(parents)), parents)
    limits = strictest_of(spec)
    threshold = np.array([limits[one.name] for one in spec.indicator])[rows.indicator]
    primary = small[sums.bottom, rows.area, year_at] | (status == STATUSES.index("suppressed"))
    published = Published(
        matrix=sums.matrix,
        top=np.where(sums.adds_up, sums.top, -1),
        bottom=sums.bottom,
        area=rows.area,
        year=year_at,
        state=np.where(ok | nobody, SHOWN, np.where(secret, HIDDEN, OPEN)),
        earlier=np.zeros(len(status), dtype=bool),
        fixed=~ok,
        secret=secret & primary,
        aimed=primary | ~(rows.denominator >= ENOUGH * threshold),
        above=twice(np.where(nobody & (shares | ~rates), 0.0, above)),
        below=twice(np.where(nobody, 0.0, np.where(ok, rows.denominator, np.nan))),
        rate=np.full((len(status), 2), np.nan),
        at_most=shares,
        threshold=threshold,
        parent=parents,
        level=level,
    )
    cost = costs(~whole[rows.area], rows.denominator)
    if told is None or told.empty:
        return rows_to_hide(published, cost)
    published = _with_told(published, told, rows, spec, grid)
    more = len(published.state) - len(status)
    return rows_to_hide(published, np.append(cost, np.zeros(more)))[: len(status)]


def _with_told(
    published: Published, told: pd.DataFrame, rows: Rows, spec: StudySpec, grid: Grid
) -> Published:
    """The rows with those of earlier tables that are not shown now: they cannot be taken back."""
    shape = (len(spec.indicator), *grid.best.shape[1:])
    names = [one.name for one in spec.indicator]
    now = np.full(shape, -1, dtype=np.int64)
    now[rows.indicator, rows.area, published.year] = np.arange(len(rows.indicator))
    own = pd.Index(names).get_indexer(pd.Index(told["indicator"]))
    area = pd.Index(grid.cells.area_names, dtype=object).get_indexer(pd.Index(told["area"], dtype=object))
    year = pd.Index(grid.years).get_indexer(pd.Index(told["year"]))
    there = np.flatnonzero((own >= 0) & (area >= 0) & (year >= 0))
    like = now[own[there], area[there], year[there]]
    # What is shown now is known anyway, and may have been corrected since.
    chosen = (like >= 0) & (published.state[like] == HIDDEN)
    there, like = there[chosen], like[chosen]
    if not there.size:
        return published
    counts = told.iloc[there]
    rates = np.array([bool(one.numerator) for one in spec.indicator])[rows.indicator[like]]
    above = np.where(rates, counts["numerator"].to_numpy(float), counts["value"].to_numpy(float))
    again = replace(
        published.take(like),
        state=np.full(len(like), SHOWN),
        earlier=np.ones(len(like), dtype=bool),
        fixed=np.ones(len(like), dtype=bool),
        above=twice(above),
        below=twice(counts["denominator"].to_numpy(float)),
    )
    return published.joined(again)
