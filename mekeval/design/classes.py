"""Areas -> a few classes by one composite of several criteria.

In: criteria of areas. Out: `AreaClasses`. Never: a class for an area whose people are too few, or a cut that hides a
tie.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..display import Shown
from ..errors import DesignError
from .selection import Floats, HigherIs, Score, select_areas


@dataclass(frozen=True, kw_only=True, repr=False)
class AreaClasses(Shown):
    """Areas in classes, the worst off first.

    Attributes
    ----------
    table : pandas.DataFrame
        One row for each area, worst first: `area`, one column for each criterion as the composite takes it, `score`,
        `rank` (1 is the worst; missing where left out), `class` (1 is the worst; missing where left out), `why_not`
        ("", "small", "missing").
    sizes : tuple of int
        Areas in each class.
    margins : tuple of float
        Score of the last area of each class minus that of the first of the next, in the unit of the score; 0 is a tie
        that the order of the codes decided.
    left_out : tuple of (str, str)
        Areas without a class, with the reason.
    """

    table: pd.DataFrame
    sizes: tuple[int, ...]
    margins: tuple[float, ...]
    left_out: tuple[tuple[str, str], ...]


def area_classes(
    areas: Sequence[str],
    criteria: pd.DataFrame,
    *,
    sizes: Sequence[int],
    population: Floats | None = None,
    minimum_population: float = 0,
    weights: Sequence[float] | None = None,
    higher_is: Sequence[HigherIs] | None = None,
    score: Score = "standardised",
) -> AreaClasses:
    """Rank areas by a composite of criteria and cut the ranking into classes.

    Helsinki compared its areas so for the Mukana programme: young people's foreign language, low income, lack of
    education and unemployment, areas with fewer than 50 persons left out, four classes of 26, 41, 30 and 25 areas. How
    the city joined the four and where it cut is not published; here the composite is that of `select_areas` and the
    classes have the sizes that are asked for.

    Parameters
    ----------
    areas : sequence of str
        n_areas names or codes, each once.
    criteria : pandas.DataFrame, shape (n_areas, n_criteria)
    sizes : sequence of int
        Areas in each class, the worst off first. Where they add up to another number than there are areas to class,
        they are taken as shares: each class gets its share of the areas, rounded so that all have a class (largest
        remainders).
    population : array, shape (n_areas,), optional
        Persons that the criteria are about; needed with `minimum_population`.
    minimum_population : float
        Areas with fewer persons are left out.
    weights, higher_is, score : optional
        As in `select_areas`.

    Returns
    -------
    AreaClasses

    Raises
    ------
    DesignError
        A size is no whole number above zero, or there are fewer areas than classes; as `select_areas`.

    Examples
    --------
    >>> rates = pd.DataFrame({"low_income": [10.0, 20, 30, 25], "unemployment": [5.0, 9, 12, 8]})
    >>> found = area_classes(["a", "b", "c", "d"], rates, sizes=(1, 2, 1))
    >>> found.table[["area", "class"]].to_dict("list")
    {'area': ['c', 'd', 'b', 'a'], 'class': [1, 2, 2, 3]}
    """
    if not sizes or any(isinstance(one, bool) or one != int(one) or one < 1 for one in sizes):
        raise DesignError(
            "Classes have sizes.", where="sizes", found=str(list(sizes)), expected="whole numbers above zero"
        )
    found = select_areas(
        areas,
        criteria,
        choose=len(sizes),  # no class may be empty
        population=population,
        minimum_population=minimum_population,
        weights=weights,
        higher_is=higher_is,
        score=score,
    ).table
    n = int(found["rank"].notna().sum())
    shares = _shared(sizes, n)
    ends = np.cumsum(shares)
    rank = found["rank"].to_numpy(dtype=float, na_value=np.nan)
    member = np.where(np.isnan(rank), np.nan, np.searchsorted(ends, np.nan_to_num(rank)) + 1)
    scores = found["score"].to_numpy(dtype=float)
    left = found.loc[found["why_not"] != ""]
    return AreaClasses(
        table=found.drop(columns="chosen").assign(**{"class": pd.array(member, dtype="Int64")}),
        sizes=tuple(int(one) for one in shares),
        margins=tuple(float(scores[end - 1] - scores[end]) for end in ends[:-1]),
        left_out=tuple(zip(left["area"], left["why_not"], strict=True)),
    )


def _shared(sizes: Sequence[int], n: int) -> list[int]:
    """How many of n areas each class gets; at least one, by largest remainders."""
    exact = np.asarray(sizes, dtype=float) / sum(sizes) * n
    shares = np.maximum(np.floor(exact), 1)
    while shares.sum() < n:
        shares[int(np.argmax(exact - shares))] += 1
    while shares.sum() > n:
        shares[int(np.argmax(np.where(shares > 1, shares - exact, -np.inf)))] -= 1
    return [int(one) for one in shares]
