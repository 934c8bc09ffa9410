"""Disclosure control: which cells may leave.

In: cells with their bases, numerators and extremes. Out: a status for each. Never: a cell that shows a group under
the threshold, alone, by its complement, or as the difference to what stands beside it in the same table.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .groups import deductions, families
from .measures import RegisterMeasure


def statuses(cells: pd.DataFrame, measures: Sequence[RegisterMeasure], minimum: int) -> pd.Series:
    """The status of each row of the long table of cells.

    Parameters
    ----------
    cells : pandas.DataFrame
        One row for each area, year and measure, the areas and years of each measure in one order: `a`, `y`, `m`
        (position of the measure), `persons` (all persons of the cell), `n` (base; missing where the measure has none
        that year), `k` (numerator; missing where there is none), `left` (persons outside `among`), `others` (persons
        with a value other than 0), `low`, `high`, `exposed` (bool: a mean of two values of which one belongs to few,
        or one person has half of the sum).
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
    # The sum of a mean belongs to those whose value is not 0; a mean of two values is a share in disguise, and one
    # person with half of the sum is nearly the sum.
    small |= (cells["others"] < minimum) | cells["exposed"]
    # A median parts the cell in two halves; each must be a group.
    small |= (kinds == "median") & (base < 2 * minimum)

    present = ~absent & ~missing
    small |= _whole(cells, minimum)
    small &= present
    small |= _together(cells.assign(shown=present & ~small), measures, minimum)
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


def _together(cells: pd.DataFrame, measures: Sequence[RegisterMeasure], minimum: int) -> pd.Series:
    """Measures that, with those before them, give a group away that is too small: the later one goes.

    Those over 64 and those over 65 are two large groups; their difference is the persons of 65. All persons less
    those of three languages are those of the fourth. A group of nobody counts where a measure asked for it.
    """
    # Every measure has the same cells in the same order: an array with a row for each measure.
    order = np.argsort(cells["m"].to_numpy(), kind="stable")
    table = {part: cells[part].to_numpy(dtype=float)[order].reshape(len(measures), -1) for part in "nk"}
    asked = ~cells["shown"].to_numpy(dtype=bool)[order].reshape(len(measures), -1)
    shown = ~asked
    for m in range(len(measures)):
        bad = np.zeros(shown.shape[1], dtype=bool)
        for family in families(measures, m):
            for seen, here in _patterns(shown[family], shown[m]):
                for one in deductions(measures, m, [j for j, yes in zip(family, seen, strict=True) if yes]):
                    size = sum(factor * table[part][j, here] for j, part, factor in one.terms)
                    bad[here] |= (size > 0.5) & (size < minimum - 0.5)
                    for j in one.asked_by:
                        bad[here] |= asked[j, here] & (np.abs(size) < 0.5)
        shown[m] &= ~bad
    hidden = np.zeros(len(cells), dtype=bool)
    hidden[order] = (~shown & ~asked).ravel()
    return pd.Series(hidden, index=cells.index)


def _patterns(
    family: NDArray[np.bool_], shown: NDArray[np.bool_]
) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.int64]]]:
    """The cells in which a measure is shown, by which of its family are shown beside it."""
    here = np.flatnonzero(shown)
    codes = np.zeros(len(here), dtype=np.int64)
    for one in family:
        codes = 2 * codes + one[here]
        if codes.size and codes.max() > 2**60:
            codes = np.unique(codes, return_inverse=True)[1].astype(np.int64)
    for code in np.unique(codes):
        cells = here[codes == code]
        yield family[:, cells[0]], cells


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
