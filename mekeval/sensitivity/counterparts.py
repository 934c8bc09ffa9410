"""A rule's order of the areas of every city, and which areas elsewhere stand for the treated ones.

In: the cities of a panel's areas, the eligible ones and what the rule looks at. Out: areas from the worst on, and
ranks. Never: an order worked out again for a question that has the same areas and criteria.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from ..design import Rule
from ..design.selection import Score, comparable, joined
from ..errors import DesignError
from ..panel import Floats
from .cities import Rows

#: What of a rule decides an order, besides the values: weights, score, how many are chosen, and from which score on.
Settings = tuple[tuple[float, ...], Score, int, float | None]


@dataclass(frozen=True, kw_only=True, eq=False)
class Ground:
    """Which areas lie in which city, whatever is asked about them.

    Attributes
    ----------
    units : array of str, shape (n_units,)
    row_of : mapping of str to int
        The row of each unit.
    rows_of : mapping of str to array of int
        Rows of each city's areas in the order of their codes; cities in the order of their names.
    """

    units: npt.NDArray[np.object_]
    row_of: Mapping[str, int]
    rows_of: Mapping[str, Rows]


@lru_cache(maxsize=16)
def ground_of(units: tuple[str, ...], cities: tuple[str | None, ...]) -> Ground:
    """The map of a panel; many questions are put to the same one."""
    rows: dict[str, list[int]] = {}
    for at in sorted(range(len(units)), key=units.__getitem__):
        name = cities[at]
        if name is not None:
            rows.setdefault(name, []).append(at)
    return Ground(
        units=np.array(units, dtype=object),
        row_of={unit: at for at, unit in enumerate(units)},
        rows_of={name: np.array(rows[name], dtype=np.intp) for name in sorted(rows)},
    )


def settings_of(rule: Rule) -> Settings:
    """What of a rule decides an order, besides the values."""
    return (
        tuple(rule.weights.get(name, 1.0) for name in rule.criteria),
        rule.score,
        rule.choose,
        rule.at_least,
    )


@lru_cache(maxsize=64)
def orders_by(
    ground: Ground,
    eligible: bytes,
    values: bytes,
    weights: tuple[float, ...],
    score: Score,
    choose: int,
    at_least: float | None,
) -> dict[str, tuple[Rows, int]]:
    """The eligible rows of each city as `ranked` gives them, cities with as many of them at once.

    Most questions about one result differ in years, outcomes or treated areas and not in these orders.

    Parameters
    ----------
    ground : Ground
    eligible : bytes
        Of an array of bool, shape (n_units,).
    values : bytes
        Of an array of float, shape (n_units, n_criteria); higher is worse.
    weights, score, choose, at_least
        As `settings_of` gives them.
    """
    may = np.frombuffer(eligible, dtype=bool)
    given = np.frombuffer(values).reshape(len(may), len(weights))
    same: dict[int, list[str]] = {}
    rows_of = {name: rows[may[rows]] for name, rows in ground.rows_of.items()}
    for name, rows in rows_of.items():
        same.setdefault(len(rows), []).append(name)
    found: dict[str, tuple[Rows, int]] = {}
    for names in same.values():
        stacked = np.stack([rows_of[name] for name in names])
        found.update(zip(names, _ranked(stacked, given, weights, score, choose, at_least), strict=True))
    return found


def ranked(rows: Rows, values: Floats, rule: Rule) -> list[tuple[Rows, int]]:
    """Eligible rows of each city from the worst on, and how many the rule chooses; none where a criterion is flat.

    The array form of `mekeval.select_areas`, for cities with equally many areas; `rows`, shape (n_cities, n_areas), are
    in the order of the codes, which breaks ties.
    """
    return _ranked(rows, values, *settings_of(rule))


def _ranked(
    rows: Rows,
    values: Floats,
    weights: tuple[float, ...],
    score: Score,
    choose: int,
    at_least: float | None,
) -> list[tuple[Rows, int]]:
    own = values[rows]
    if rows.shape[1] < 2:
        return [(one[:0], 0) for one in rows]
    varies = (np.ptp(own, axis=1) > 0).all(axis=1)
    scores = np.zeros(rows.shape)
    scores[varies] = joined(comparable(own[varies], score), np.array(weights))
    order = np.argsort(-scores, axis=1, kind="stable")
    reached = np.full(len(rows), rows.shape[1]) if at_least is None else (scores >= at_least).sum(axis=1)
    return [
        (one[at], min(choose, int(n))) if good else (one[:0], 0)
        for one, at, n, good in zip(rows, order, reached, varies, strict=True)
    ]


@dataclass(frozen=True, kw_only=True)
class Matched:
    """How the treated areas find their counterparts.

    Attributes
    ----------
    areas : tuple of str
        The treated ones.
    ranks : tuple of int or None
        Of each; None where it is not eligible.
    chosen : tuple of bool
        Whether the rule chooses it.
    ways : tuple of str
        "rule" or "rank".
    """

    areas: tuple[str, ...]
    ranks: tuple[int | None, ...]
    chosen: tuple[bool, ...]
    ways: tuple[str, ...]

    @property
    def whole(self) -> bool:
        """Whether the rule's whole choice is one of the ways."""
        return "rule" in self.ways

    @property
    def by_rank(self) -> tuple[int, ...]:
        """Ranks of the areas that are matched by them."""
        return tuple(
            at for at, way in zip(self.ranks, self.ways, strict=True) if way == "rank" and at is not None
        )

    @property
    def others(self) -> bool:
        """Whether the rule would have chosen others than those matched by it."""
        return any(way == "rule" and not one for way, one in zip(self.ways, self.chosen, strict=True))


def match(
    rank: Mapping[str, int], wholes: tuple[int, int], treated: Sequence[str], extra: Sequence[str]
) -> Matched:
    """How each treated area finds its counterparts.

    `wholes`: how many areas the rule chooses in the target, and how many it may choose at most.
    """
    ruled = [unit for unit in treated if unit not in extra]
    whole = len(ruled) > 0 and len(ruled) in wholes
    ways = tuple("rule" if whole and unit in ruled else "rank" for unit in treated)
    lost = [unit for unit, way in zip(treated, ways, strict=True) if way == "rank" and unit not in rank]
    if lost:
        raise DesignError(
            "A treated area has no rank under the rule, so it has no counterpart elsewhere.",
            found=", ".join(lost),
            expected="an area with all criteria and the minimum population",
        )
    return Matched(
        areas=tuple(treated),
        ranks=tuple(rank.get(unit) for unit in treated),
        chosen=tuple(rank.get(unit, np.inf) <= wholes[0] for unit in treated),
        ways=ways,
    )


@lru_cache(maxsize=4096)
def nearest(
    ranks: tuple[int, ...], taken: tuple[int, ...], choose: int, n_own: int, n_here: int
) -> tuple[int, ...]:
    """The free ranks of another city that are nearest to the given ones of the target, the worst first."""
    free, found = sorted(set(range(1, n_here + 1)).difference(taken)), []
    for rank in sorted(ranks):
        if not free:
            break  # the city is too small, and is left out for it
        wanted = float(rank)
        if rank > choose:
            wanted = choose + (rank - choose) * (n_here - choose) / (n_own - choose)
        at = bisect_left(free, wanted)
        nearest = min(free[max(at - 1, 0) : at + 1], key=lambda one: (abs(one - wanted), one))
        found.append(nearest)
        free.remove(nearest)
    return tuple(found)
