"""Disclosure control: which cells may leave.

In: cells with their bases, numerators and extremes. Out: a status for each. Never: a cell that shows a group under
the threshold, alone, by its complement, or as the difference to what stands beside it in the same table.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import pandas as pd

from .measures import Condition, RegisterMeasure, Scalar, role_of, values_of


def statuses(cells: pd.DataFrame, measures: Sequence[RegisterMeasure], minimum: int) -> pd.Series:
    """The status of each row of the long table of cells.

    Parameters
    ----------
    cells : pandas.DataFrame
        One row for each area, year and measure: `a`, `y`, `m` (position of the measure), `persons` (all persons of
        the cell), `n` (base; missing where the measure has none that year), `k` (numerator; missing where there is
        none), `left` (persons outside `among`), `others` (persons with a value other than 0), `low`, `high`,
        `two_valued_unsafe` (bool).
    measures : sequence of RegisterMeasure
    minimum : int
        Persons.

    Returns
    -------
    pandas.Series of str
        "ok", "confidential", "missing" (nobody in the country has a value that year) or "not_applicable" (movers
        without a year before).
    """
    kinds = cells["m"].map(dict(enumerate(measure.kind for measure in measures)))
    absent = (kinds == "movers") & cells["n"].isna()
    base = cells["n"].fillna(0)
    missing = ~absent & (base.groupby([cells["m"], cells["y"]]).transform("sum") == 0)

    small = (base < minimum) | (cells["left"] < minimum)
    small |= (cells["k"] < minimum) | (base - cells["k"] < minimum)
    # All values alike: the figure is the value of each person.
    small |= cells["low"].notna() & (cells["low"] == cells["high"])
    # The sum of a mean belongs to those whose value is not 0; a mean of two values is a share in disguise.
    small |= (cells["others"] < minimum) | cells["two_valued_unsafe"]
    # A median parts the cell in two halves; each must be a group.
    small |= (kinds == "median") & (base < 2 * minimum)

    present = ~absent & ~missing
    small |= _whole(cells, minimum)
    small &= present
    small |= _nested(cells.assign(shown=present & ~small), measures, minimum)
    small |= _complement(cells.assign(small=small & present, shown=present & ~small), minimum)
    status = pd.Series("ok", index=cells.index, dtype=object)
    status[small] = "confidential"
    status[missing] = "missing"
    status[absent] = "not_applicable"
    return status


def _whole(cells: pd.DataFrame, minimum: int) -> pd.Series:
    """All figures of the smallest other area of a year, where one area alone, or too few persons, are hidden.

    Its persons would otherwise show as the base of some figure, and a national number would give the rest.
    """
    areas = cells.drop_duplicates(["y", "a"])
    hidden = areas.loc[areas["persons"] < minimum].groupby("y")["persons"].agg(["size", "sum"])
    years = hidden.index[(hidden["size"] == 1) | (hidden["sum"] < minimum)]
    large = areas.loc[areas["y"].isin(years) & (areas["persons"] >= minimum)]
    first = large.sort_values(["persons", "a"], kind="stable").drop_duplicates("y")
    chosen = pd.MultiIndex.from_frame(first[["y", "a"]])
    return pd.Series(pd.MultiIndex.from_frame(cells[["y", "a"]]).isin(chosen), index=cells.index)


def _nested(cells: pd.DataFrame, measures: Sequence[RegisterMeasure], minimum: int) -> pd.Series:
    """Measures whose groups differ by too few persons, or leave too few between them: the later one goes.

    Those over 64 and those over 65 are two large groups; their difference is the persons of 65.
    """
    hidden = pd.Series(False, index=cells.index)
    rows = cells.reset_index(names="row").set_index(["y", "a"])
    by_measure = [rows.loc[rows["m"] == m] for m in range(len(measures))]
    for earlier, later in combinations(range(len(measures)), 2):
        relation = _relation(measures[earlier], measures[later])
        if relation is None:
            continue
        two = by_measure[later]
        one = by_measure[earlier].reindex(two.index)
        if relation == "inside":
            # On one and the same base, n differs only by those without a value.
            parts = ["k"] if measures[earlier].among == measures[later].among else ["k", "n"]
            gaps = [(one[part] - two[part]).abs() for part in parts]
        else:
            gaps = [(two["n"] - one["k"] - two["k"]).abs()]
        close = pd.concat([gap.between(1, minimum - 1) for gap in gaps], axis=1).any(axis=1)
        both = two["shown"].astype(bool) & one["shown"].eq(True)
        hidden[two.loc[close & both, "row"]] = True
    return hidden


def _relation(one: RegisterMeasure, two: RegisterMeasure) -> str | None:
    """ "inside" if the one group may lie in the other, "beside" if they may share no one, None if neither shows."""
    alike = {"count": "share"}
    if alike.get(one.kind, one.kind) != alike.get(two.kind, two.kind) or one.column != two.column:
        return None
    if not _chained(one.among, two.among):
        return None
    tenths = set(one.deciles), set(two.deciles)
    if one.deciles:
        return "beside" if tenths[0].isdisjoint(tenths[1]) else _inside(*tenths)
    if len(one.condition) == len(two.condition) == 1 and one.among == two.among:
        return _compared(one.condition[0], two.condition[0])
    return "inside" if _chained(one.condition, two.condition) else None


def _chained(ones: Sequence[Condition], twos: Sequence[Condition]) -> bool:
    """Whether each condition of the shorter list has one in the longer that lies in it or around it."""
    shorter, longer = sorted((ones, twos), key=len)
    return all(any(_compared(one, two) == "inside" for two in longer) for one in shorter)


def _compared(one: Condition, two: Condition) -> str | None:
    if one.column != two.column or role_of(one) != role_of(two):
        return None
    signs = {"<": "below", "<=": "below", ">": "above", ">=": "above"}
    if one.operator in signs and two.operator in signs:
        return "inside" if signs[one.operator] == signs[two.operator] else "beside"
    negated = {"!=", "not in"}
    if one.operator in signs or two.operator in signs:
        return None
    sets = set(values_of(one)), set(values_of(two))
    if (one.operator in negated) != (two.operator in negated):
        return "beside" if _inside(*sets) else "inside"
    if _inside(*sets):
        return "inside"
    return "beside" if one.operator not in negated and sets[0].isdisjoint(sets[1]) else None


def _inside(one: set[Scalar] | set[int], two: set[Scalar] | set[int]) -> str | None:
    return "inside" if one <= two or two <= one else None


def _complement(cells: pd.DataFrame, minimum: int) -> pd.Series:
    """The smallest other cell of a measure and year, where a national total would give away what is hidden.

    It would if one cell is hidden, or if all hidden ones together are under the threshold.
    """
    cells = cells.assign(rest=cells["n"] - cells["k"])
    hidden = cells.loc[cells["small"]].groupby(["m", "y"])
    together = hidden[["n", "k", "rest"]].sum(min_count=1)
    given_away = (hidden.size() == 1) | (together < minimum).any(axis=1)
    keys = pd.MultiIndex.from_frame(cells[["m", "y"]])
    candidates = cells.loc[cells["shown"] & keys.isin(given_away.index[given_away])]
    first = candidates.sort_values(["n", "a"], kind="stable").drop_duplicates(["m", "y"]).index
    return pd.Series(cells.index.isin(first), index=cells.index)
