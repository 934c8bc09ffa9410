"""Hiding more rows until no hidden count can be told from the others.

In: `Published` and what each row costs. Out: the rows that must be hidden as well. Never: a row of the areas that are
compared where one of the city as a whole would do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from .intervals import Intervals, intervals_of
from .system import HIDDEN, SHOWN, Bools, Floats, Published, cuts_of

_ROUNDS = 200
_AGAIN = 5
#: How many areas of a year are tried again, the most costly first; the others stay hidden.
_TRIES = 12


def rows_to_hide(published: Published, cost: Floats) -> Bools:
    """The rows without which no small hidden count's interval is narrower than its threshold.

    First rows of the areas above, the nearest first, then rows of the same area and year, then the cheapest row of a
    sister area, then of a part. What turns out not to be needed is given back, the most costly first. A count that an
    earlier table told stays told.

    Parameters
    ----------
    published : Published
    cost : array of float, shape (n_rows,)

    Returns
    -------
    array of bool, shape (n_rows,)
    """
    hidden = np.zeros(len(published.state), dtype=bool)
    published = replace(published, aimed=published.aimed & ~_told(published))
    if not ((published.state == HIDDEN) & published.aimed).any():
        return hidden
    # What adds up to what is read from the shown numbers, and with fewer of them it may read otherwise: once more.
    for _ in range(_AGAIN):
        now = _without(published, hidden)
        now = replace(now, cuts=cuts_of(now))
        found = intervals_of(now, exact=False)
        # Years have no relation in common: those in which nothing is told are done with.
        rows = np.flatnonzero(np.isin(now.year, found.year[found.pinned]))
        if not rows.size:
            break
        more = rows[_hidden_of(now.take(rows), cost[rows])]
        if not more.size:
            break
        hidden[more] = True
    return hidden


def _told(published: Published) -> Bools:
    """Rows whose base an earlier table showed: nothing that is hidden now helps."""
    told = published.earlier & (published.state == SHOWN) & ~np.isnan(published.below[:, 0])
    which = np.stack([published.bottom, published.area, published.year], axis=1)
    key = np.ravel_multi_index(tuple(which.T), tuple(which.max(axis=0, initial=0) + 1))
    return np.isin(key, key[told])


def _hidden_of(published: Published, cost: Floats) -> Bools:
    hidden = np.zeros(len(published.state), dtype=bool)
    now, found = published, intervals_of(published, exact=False)
    ways = (_above, _here, _beside, _below)
    for _ in range(_ROUNDS):
        more = hidden
        for way in ways:  # the dearer ways only where the cheaper ones have nothing left
            more = way(now, found, cost)
            if more.any():
                break
        if not more.any() or not found.pinned.any():
            break
        hidden = hidden | more
        now = _without(published, hidden)
        found = intervals_of(now, exact=False)
    return _given_back(published, hidden, cost, _pinned(found))


def _without(published: Published, hidden: Bools) -> Published:
    """As a reader sees it: a hidden row shows none of its numbers, whoever looks at them later."""
    gone = hidden[:, None]
    return replace(
        published,
        state=np.where(hidden, HIDDEN, published.state),
        above=np.where(gone, np.nan, published.above),
        below=np.where(gone, np.nan, published.below),
        rate=np.where(gone, np.nan, published.rate),
    )


def _pinned(found: Intervals) -> set[tuple[int, int, int]]:
    those = found.pinned
    return set(
        zip(found.sum_at[those].tolist(), found.area[those].tolist(), found.year[those].tolist(), strict=True)
    )


def _given_back(
    published: Published, hidden: Bools, cost: Floats, pinned: set[tuple[int, int, int]]
) -> Bools:
    """The rows that are needed: of each year one area at a time is shown again, and stays so if that pins nothing.

    Years have no relation in common, so that all of them try at once.
    """
    rows = np.flatnonzero(hidden)
    if not rows.size:
        return hidden
    # The rows of one area and year are tried together.
    keys, group = np.unique(
        np.stack([published.year[rows], published.area[rows]], axis=1), axis=0, return_inverse=True
    )
    group = group.ravel()
    dear = np.bincount(group, weights=cost[rows])
    order = np.lexsort((-dear, keys[:, 0]))
    first = np.flatnonzero(np.diff(keys[order, 0], prepend=-1))
    turn = np.empty(len(keys), dtype=np.int64)
    turn[order] = np.arange(len(order)) - np.repeat(first, np.diff(np.append(first, len(order))))
    hidden = hidden.copy()
    for one in range(min(int(turn.max()) + 1, _TRIES)):
        tried = rows[turn[group] == one]
        hidden[tried] = False
        worse = _pinned(intervals_of(_without(published, hidden), exact=False)) - pinned
        years = np.array(sorted({year for _, _, year in worse}), dtype=np.int64)
        hidden[tried[np.isin(published.year[tried], years)]] = True
    return hidden


def _candidates(published: Published) -> Bools:
    return np.asarray((published.state == SHOWN) & ~published.fixed)


def _sharing(published: Published, rows: Bools, items: Bools) -> Bools:
    """Those of the rows that show a sum of one of the items."""
    found = np.zeros(len(rows), dtype=bool)
    at = np.flatnonzero(rows)
    for sums in (published.top, published.bottom):
        own = at[sums[at] >= 0]
        found[own] |= (published.matrix[sums[own]][:, items] != 0).any(axis=1)
    return found


def _each(published: Published, found: Intervals, choose: Callable[[Bools, int, int, Bools], Bools]) -> Bools:
    more = np.zeros(len(published.state), dtype=bool)
    candidates = _candidates(published)
    for one in np.flatnonzero(found.pinned).tolist():
        year, area = int(found.year[one]), int(found.area[one])
        items = np.asarray(published.matrix[found.sum_at[one]] != 0)
        rows = candidates & (published.year == year)
        if rows.any():
            more |= choose(rows, area, year, items)
    return more


def _above(published: Published, found: Intervals, cost: Floats) -> Bools:
    """Rows of the nearest area above that shows a sum of the same items."""

    def choose(rows: Bools, area: int, _: int, items: Bools) -> Bools:
        parent = int(published.parent[area])
        seen = {area}
        while parent >= 0 and parent not in seen:
            own = _sharing(published, rows & (published.area == parent), items)
            if own.any():
                return own
            seen.add(parent)
            parent = int(published.parent[parent])
        return np.zeros(len(rows), dtype=bool)

    return _each(published, found, choose)


def _here(published: Published, found: Intervals, cost: Floats) -> Bools:
    """Rows of the same area and year that show a sum of the same items, or else any sum."""

    def choose(rows: Bools, area: int, _: int, items: Bools) -> Bools:
        own = rows & (published.area == area)
        sharing = _sharing(published, own, items)
        return sharing if sharing.any() else own

    return _each(published, found, choose)


def _cheapest(published: Published, rows: Bools, cost: Floats) -> Bools:
    """The rows of the area in which they cost least."""
    at = np.flatnonzero(rows)
    areas, place = np.unique(published.area[at], return_inverse=True)
    total = np.bincount(place, weights=cost[at])
    return np.asarray(rows & (published.area == areas[int(np.argmin(total))]))


def _beside(published: Published, found: Intervals, cost: Floats) -> Bools:
    """Rows of the same items in one area more with the same parent."""

    def choose(rows: Bools, area: int, _: int, items: Bools) -> Bools:
        if published.parent[area] < 0:  # no sum joins areas that are parts of nothing
            return np.zeros(len(rows), dtype=bool)
        sisters = (published.parent == published.parent[area]) & (published.level == published.level[area])
        own = _sharing(published, rows & sisters[published.area] & (published.area != area), items)
        return _cheapest(published, own, cost) if own.any() else own

    return _each(published, found, choose)


def _below(published: Published, found: Intervals, cost: Floats) -> Bools:
    """Rows of the same items in one part of the area, of each level that its parts have."""

    def choose(rows: Bools, area: int, _: int, items: Bools) -> Bools:
        inside = published.parent == area
        more = np.zeros(len(rows), dtype=bool)
        for level in np.unique(published.level[inside]).tolist():
            parts = inside & (published.level == level)
            own = _sharing(published, rows & parts[published.area], items)
            if own.any():
                more |= _cheapest(published, own, cost)
        return more

    return _each(published, found, choose)
