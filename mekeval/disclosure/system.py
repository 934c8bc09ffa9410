"""What is published, as linear relations between counts that are not known.

In: rows of a tidy table with the sums that each shows. Out: `Relations`, sparse. Never: a number that the rows hide.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sparse
from scipy.sparse.csgraph import connected_components

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.integer]
Bools = npt.NDArray[np.bool_]

#: By how much of an area the sum of its parts may differ from it and still be taken for it.
_APART = 0.002
#: What a row of the table says of its counts: their numbers, that they are hidden, or nothing.
SHOWN, HIDDEN, OPEN = range(3)


@dataclass(frozen=True, kw_only=True)
class Published:
    """A published table as arrays, n_rows rows; the counts behind it are sums of items.

    Attributes
    ----------
    matrix : array of float, shape (n_sums, n_items)
        The sign of each item in each sum; 0 for items that are no counts.
    top, bottom : array of int, shape (n_rows,)
        Positions of the sums above and below the line; -1 where the number is no count, as a median is not.
    area, year : array of int, shape (n_rows,)
        Positions.
    state : array of int, shape (n_rows,)
        `SHOWN`, `HIDDEN` or `OPEN`.
    earlier : array of bool, shape (n_rows,)
        Rows of a table that was published before.
    fixed : array of bool, shape (n_rows,)
        Rows that cannot be hidden: they were published before, or say that there is nobody.
    secret : array of bool, shape (n_rows,)
        Hidden rows whose counts must not be told however large they turn out to be.
    aimed : array of bool, shape (n_rows,)
        Rows whose counts are tried where they are hidden; those that are known to be large need not be.
    above, below : array of float, shape (n_rows, 2)
        Between which numbers the two counts lie by what is shown; NaN where it is not shown. Exact numbers twice.
    rate : array of float, shape (n_rows, 2)
        Between which percentages 100 * above / below lies, where only a rounded rate is shown; NaN elsewhere.
    at_most : array of bool, shape (n_rows,)
        Whether everybody knows that the count above is at most the one below.
    threshold : array of int, shape (n_rows,)
        Persons.
    parent, level : array of int, shape (n_areas,)
        Position of each area's parent, or -1; number of its level.
    cuts : tuple of (int, array of int) or None
        Areas with the parts that add up to them; None: as the shown numbers tell.
    """

    matrix: Floats
    top: Ints
    bottom: Ints
    area: Ints
    year: Ints
    state: Ints
    earlier: Bools
    fixed: Bools
    secret: Bools
    aimed: Bools
    above: Floats
    below: Floats
    rate: Floats
    at_most: Bools
    threshold: Ints
    parent: Ints
    level: Ints
    cuts: tuple[tuple[int, Ints], ...] | None = None

    def take(self, rows: Ints) -> Published:
        """Some of the rows."""
        return replace(self, **{name: getattr(self, name)[rows] for name in self._of_rows()})

    def joined(self, other: Published) -> Published:
        """The rows, and then those of another table of the same sums, areas and years."""
        rows: dict[str, Any] = {
            name: np.concatenate([getattr(self, name), getattr(other, name)]) for name in self._of_rows()
        }
        return replace(self, **rows)

    @staticmethod
    def _of_rows() -> tuple[str, ...]:
        return (
            "top",
            "bottom",
            "area",
            "year",
            "state",
            "earlier",
            "fixed",
            "secret",
            "aimed",
            "above",
            "below",
            "rate",
            "at_most",
            "threshold",
        )


@dataclass(frozen=True, kw_only=True)
class Relations:
    """``low <= matrix @ x <= high`` over the counts x >= 0 that are not known.

    Attributes
    ----------
    matrix : sparse array, shape (n_relations, n_unknown)
    low, high : array of float, shape (n_relations,)
    part : array of int, shape (n_unknown,)
        Unknowns of different parts have no relation in common.
    targets : sparse array, shape (n_targets, n_unknown)
    known : array of float, shape (n_targets,)
        What is already known of each target: a constant to be added.
    sum_at, area, year : array of int, shape (n_targets,)
        Which count each target is.
    threshold : array of int, shape (n_targets,)
    secret, is_base : array of bool, shape (n_targets,)
        Whether it must not be told however large it is; whether any indicator has it as its base.
    bases : array of int, shape (n_pairs, 2)
        Targets above a line, with the targets below it.
    most : float
        An upper limit for every count, larger than any that was shown.
    """

    matrix: sparse.csr_array
    low: Floats
    high: Floats
    part: Ints
    targets: sparse.csr_array
    known: Floats
    sum_at: Ints
    area: Ints
    year: Ints
    threshold: Ints
    secret: Bools
    is_base: Bools
    bases: Ints
    most: float


def relations_of(published: Published) -> Relations:
    """The relations between the counts that the table leaves open, what it gives by itself taken out."""
    matrix, low, high = _shown_relations(published)
    cuts = cuts_of(published) if published.cuts is None else published.cuts
    whole = _wholes(cuts, _there(published))
    matrix = sparse.vstack([matrix, whole], format="csr")
    low, high = (np.concatenate([ends, np.zeros(whole.shape[0])]) for ends in (low, high))
    number, values = _solved(matrix, low, high)
    aimed = _targets(published)
    sums, areas, years = aimed.sum_at, aimed.area, aimed.year
    aims = _spread(published, sums, areas.astype(np.int64) * _n_years(published) + years)
    # A hidden count that no relation holds is open, and not nobody.
    number = np.union1d(number, np.setdiff1d(aims.indices, matrix.indices))
    known = aims @ values
    # What is fixed goes to the other side; relations in which nothing is open say nothing more.
    shift = matrix @ values
    left = matrix[:, number]
    open_rows = np.flatnonzero(np.diff(left.indptr) > 0)
    left, low, high = left[open_rows], (low - shift)[open_rows], (high - shift)[open_rows]
    aims = sparse.csr_array(aims[:, number])
    links = abs(left.T) @ abs(left) + abs(aims.T) @ abs(aims)
    part = connected_components(links, directed=False)[1] if len(number) else np.zeros(0, dtype=np.int64)
    largest = np.concatenate([published.above.ravel(), published.below.ravel(), [1.0]])
    return Relations(
        matrix=left,
        low=low,
        high=high,
        part=part,
        targets=aims,
        known=known,
        sum_at=sums,
        area=areas,
        year=years,
        threshold=aimed.threshold,
        secret=aimed.secret,
        is_base=np.isin(sums, published.bottom),
        bases=aimed.bases,
        most=max(1e6, 100 * float(np.nanmax(largest))),
    )


def cuts_of(published: Published) -> tuple[tuple[int, Ints], ...]:
    """Each area with parts that add up to it: those of one level, or of two.

    Districts and postal areas of one city are two ways to cut it; its major areas and what could not be placed are
    one. The numbers tell which, to us as to the attacker: where an area and all these parts are shown, they are
    compared. Where that is nowhere, the parts of one level are taken to add up if they are at least two.
    """
    matrix, low, high = _shown_relations(published)
    there = _there(published)
    left, values = _solved(matrix, low, high)
    used = np.zeros(matrix.shape[1], dtype=bool)
    used[matrix.indices] = True
    used[left] = False
    known = np.where(used, values, np.nan).reshape(there.shape)
    found = []
    children = np.flatnonzero(published.parent >= 0)
    for parent in np.unique(published.parent[children]).tolist():
        own = children[published.parent[children] == parent]
        levels = np.unique(published.level[own]).tolist()
        taken: set[int] = set()
        for chosen in [*combinations(levels, 1), *combinations(levels, 2)]:
            if len(chosen) == 2 and taken & set(chosen):
                continue
            parts = own[np.isin(published.level[own], chosen)]
            cells = np.where(there[:, parts], known[:, parts], 0.0).sum(axis=1)
            whole = known[:, parent]
            seen = np.isfinite(cells) & (whole > 0) & there[:, parts].any(axis=1)
            apart = np.abs(cells[seen] - whole[seen]) / whole[seen]
            if np.median(apart) <= _APART if apart.size else len(chosen) == 1 and len(parts) > 1:
                taken |= set(chosen)
                found.append((parent, parts))
    return tuple(found)


def _n_years(published: Published) -> int:
    return int(published.year.max(initial=-1)) + 1


def _spread(published: Published, sums: Ints, places: Ints) -> sparse.csr_array:
    """A row for each sum at a place (area and year), over all items, areas and years."""
    n_places = len(published.parent) * _n_years(published)
    chosen = sparse.csr_array(published.matrix)[sums].tocoo()
    columns = chosen.coords[1].astype(np.int64) * n_places + places[chosen.coords[0]]
    shape = (len(sums), published.matrix.shape[1] * n_places)
    return sparse.csr_array((chosen.data, (chosen.coords[0], columns)), shape=shape)


def _there(published: Published) -> Bools:
    """Which items stand in a row, shape (n_items, n_areas, n_years)."""
    there = np.zeros((published.matrix.shape[1], len(published.parent), _n_years(published)), dtype=bool)
    for sums in (published.top, published.bottom):
        own = np.flatnonzero(sums >= 0)
        row, item = np.nonzero(published.matrix[sums[own]] != 0)
        there[item, published.area[own[row]], published.year[own[row]]] = True
    return there


def _shown_relations(published: Published) -> tuple[sparse.csr_array, Floats, Floats]:
    """What the rows say by themselves: numbers, rounded rates, and counts that are at most another."""
    places = published.area.astype(np.int64) * _n_years(published) + published.year
    blocks: list[tuple[sparse.csr_array, Floats, Floats]] = []

    def spread(sums: Ints, own: Ints) -> sparse.csr_array:
        return _spread(published, sums[own], places[own])

    for sums, shown in ((published.top, published.above), (published.bottom, published.below)):
        own = np.flatnonzero((published.state == SHOWN) & (sums >= 0) & ~np.isnan(shown[:, 0]))
        blocks.append((spread(sums, own), shown[own, 0], shown[own, 1]))
    own = np.flatnonzero((published.state == SHOWN) & ~np.isnan(published.rate[:, 0]))
    tops, bottoms, none = spread(published.top, own), spread(published.bottom, own), np.zeros(len(own))
    for end, low, high in ((0, none, none + np.inf), (1, none - np.inf, none)):
        factor = sparse.diags_array(published.rate[own, end]) if own.size else sparse.csr_array((0, 0))
        blocks.append((sparse.csr_array(100 * tops - factor @ bottoms), low, high))
    own = np.flatnonzero(published.at_most & (published.top >= 0) & (published.bottom >= 0))
    none = np.zeros(len(own))
    blocks.append((spread(published.top, own) - spread(published.bottom, own), none - np.inf, none))
    return (
        sparse.vstack([block for block, _, _ in blocks], format="csr"),
        np.concatenate([low for _, low, _ in blocks]),
        np.concatenate([high for _, _, high in blocks]),
    )


def _wholes(cuts: tuple[tuple[int, Ints], ...], there: Bools) -> sparse.csr_array:
    """An area less its parts, item by item and year by year: 0."""
    n_items, n_areas, n_years = there.shape
    rows, columns = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
    signs, count = [np.zeros(0)], 0
    for parent, parts in cuts:
        item, year = np.nonzero(there[:, parent] & there[:, parts].any(axis=1))
        at = count + np.arange(len(item))
        count += len(item)
        which, one = np.nonzero(there[:, parts][item, :, year])
        rows += [at, at[which]]
        columns.append((item * n_areas + parent) * n_years + year)
        columns.append((item[which] * n_areas + parts[one]) * n_years + year[which])
        signs += [np.ones(len(item)), -np.ones(len(which))]
    return sparse.csr_array(
        (np.concatenate(signs), (np.concatenate(rows), np.concatenate(columns))),
        shape=(count, n_items * n_areas * n_years),
    )


def _solved(matrix: sparse.csr_array, low: Floats, high: Floats) -> tuple[Ints, Floats]:
    """The unknowns that are open, and the values of the others: relations with one unknown left, again and again."""
    values = np.zeros(matrix.shape[1])
    used = np.zeros(matrix.shape[1], dtype=bool)
    used[matrix.indices] = True
    unknown = used.copy()
    exact = matrix[np.flatnonzero(low == high)]
    right = low[low == high]
    pattern = exact.copy()
    pattern.data = np.ones_like(pattern.data)
    while True:
        left = pattern @ unknown.astype(float)
        rest = right - exact @ values
        # Zero, made of counts of one sign that cannot be negative: all of them are zero.
        nothing = (np.abs(rest) < 1e-9) & (left > 1)
        if nothing.any():
            nothing &= np.abs(exact @ unknown.astype(float)) == abs(exact) @ unknown.astype(float)
        # A count below nobody is a contradiction between what is shown, and none of this function's.
        one = np.flatnonzero(((left == 1) & (rest * (exact @ unknown.astype(float)) > -1e-9)) | nothing)
        if not one.size:
            return np.flatnonzero(unknown), values
        those = exact[one].tocoo()
        row, column = those.coords
        kept = unknown[column]
        row, column, sign = row[kept], column[kept], those.data[kept]
        values[column] = rest[one][row] / sign
        unknown[column] = False


@dataclass(frozen=True, kw_only=True)
class _Targets:
    """The hidden counts; as in `Relations`."""

    sum_at: Ints
    area: Ints
    year: Ints
    threshold: Ints
    secret: Bools
    bases: Ints


def _targets(published: Published) -> _Targets:
    """The counts that rows hide and that no row of the same area and year gives."""
    n_years = _n_years(published)
    hidden = (published.state == HIDDEN) & published.aimed
    shown = (published.state == SHOWN) & ~published.earlier
    place = published.area.astype(np.int64) * n_years + published.year
    own = np.flatnonzero(hidden)
    limit: dict[tuple[int, int], int] = {}
    secrets: set[tuple[int, int]] = set()
    pairs: set[tuple[int, int, int]] = set()
    rows = (place, published.top, published.bottom, published.threshold, published.secret)
    for at, top, bottom, least, secret in zip(*(one[own].tolist() for one in rows), strict=True):
        for one in {top, bottom} - {-1}:
            limit[at, one] = max(limit.get((at, one), 0), least)
            if secret:
                secrets.add((at, one))
        if top >= 0 and bottom >= 0 and top != bottom:
            pairs.add((at, top, bottom))
    given: dict[int, set[int]] = {}
    for sums, numbers in ((published.top, published.above), (published.bottom, published.below)):
        exact = shown & (numbers[:, 0] == numbers[:, 1])
        own = np.flatnonzero(exact & (sums >= 0) & np.isin(place, place[hidden]))
        for at, one in zip(place[own].tolist(), sums[own].tolist(), strict=True):
            given.setdefault(at, set()).add(one)
    found: dict[tuple[tuple[int, ...], int], bool] = {}
    kept = []
    for at, one in sorted(limit):
        there = tuple(sorted(given.get(at, ())))
        if (there, one) not in found:
            found[there, one] = _adds_up(published.matrix, there, one)
        if not found[there, one]:
            kept.append((at, one))
    table = np.array(kept, dtype=np.int64).reshape(-1, 2)
    number = {which: position for position, which in enumerate(kept)}
    # A base that the rows of the area show is no secret, and so is none of the counts above it.
    bases = [
        (number[at, top], number[at, bottom])
        for at, top, bottom in sorted(pairs)
        if (at, top) in number and (at, bottom) in number
    ]
    return _Targets(
        sum_at=table[:, 1],
        area=table[:, 0] // n_years,
        year=table[:, 0] % n_years,
        threshold=np.array([limit[which] for which in kept], dtype=np.int64),
        secret=np.array([which in secrets for which in kept], dtype=bool),
        bases=np.array(bases, dtype=np.int64).reshape(-1, 2),
    )


def _adds_up(matrix: Floats, shown: tuple[int, ...], target: int) -> bool:
    """Whether the shown sums add up to the target, whatever the numbers are."""
    if not shown:
        return False
    parts = matrix[list(shown)].T
    weights = np.linalg.lstsq(parts, matrix[target], rcond=None)[0]
    return bool(np.abs(parts @ weights - matrix[target]).max() < 1e-8)
