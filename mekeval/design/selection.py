"""Choosing areas by a rule: the worst off by several criteria.

In: the level of each criterion in its base year, for every area. Out: `Selection`. Never: a look at an outcome after
the base years, or an area chosen in silence because its numbers are missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import DesignError, Fault

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The areas that a rule chooses, and how clear the choice is.

    Attributes
    ----------
    table : pandas.DataFrame
        One row for each area, worst first: `area`, one standardised column for each criterion (higher is worse),
        `score` (their mean), `rank` (1 is the worst; missing where not eligible), `chosen` (bool), `why_not`
        ("", "small", "missing").
    chosen : tuple of str
        Worst first.
    margin : float
        Score of the last chosen area minus that of the first one not chosen, in standard deviations of a criterion;
        0 is a tie. Infinite where every eligible area is chosen.
    """

    table: pd.DataFrame
    chosen: tuple[str, ...]
    margin: float

    def rank_of(self, area: str) -> int | None:
        """Rank of an area, or None where it was not eligible."""
        rank = self.table.loc[self.table["area"] == area, "rank"].dropna()
        return None if rank.empty else int(rank.iloc[0])


def select_areas(
    areas: Sequence[str],
    criteria: pd.DataFrame,
    *,
    choose: int,
    population: Floats | None = None,
    minimum_population: float = 0,
    weights: Sequence[float] | None = None,
) -> Selection:
    """Choose the areas that are worst off by the mean of standardised criteria.

    Each criterion is standardised over the eligible areas (mean 0, standard deviation 1 with n - 1), and the score is
    the weighted mean. Ties are broken by the order of the areas and show in the margin.

    Parameters
    ----------
    areas : sequence of str
        n_areas names or codes.
    criteria : pandas.DataFrame, shape (n_areas, n_criteria)
        Level of each criterion in its base year, higher meaning worse off (turn others around first).
    choose : int
        How many.
    population : array, shape (n_areas,), optional
        Persons; needed with `minimum_population`.
    minimum_population : float
        Smaller areas are not eligible.
    weights : sequence of float, optional
        One for each criterion; equal by default.

    Returns
    -------
    Selection

    Raises
    ------
    DesignError
        More areas wanted than are eligible, a criterion without variation, lengths that do not fit, weights that are
        negative or all zero.

    Notes
    -----
    An area without a value in some criterion is not eligible; `why_not` says so.

    Examples
    --------
    >>> import pandas as pd
    >>> rates = pd.DataFrame({"low_income": [10.0, 20.0, 30.0], "unemployment": [5.0, 9.0, 8.0]})
    >>> select_areas(["a", "b", "c"], rates, choose=1).chosen
    ('c',)
    """
    names = np.array(list(areas), dtype=object)
    values = criteria.to_numpy(dtype=np.float64, na_value=np.nan)
    share = np.ones(values.shape[1]) if weights is None else np.array(list(weights), dtype=float)
    people = np.full(len(names), np.inf) if population is None else np.asarray(population, dtype=float)
    _refuse(names, values, share, people, choose)
    missing = np.isnan(values).any(axis=1)
    small = ~(people >= minimum_population)
    eligible = ~missing & ~small
    if eligible.sum() < choose:
        raise DesignError(
            "The rule chooses more areas than are eligible.",
            found=f"{choose} to choose, {int(eligible.sum())} eligible",
            expected=f"at least {choose} areas with all criteria and {minimum_population:g} people",
        )
    spread = values[eligible].std(axis=0, ddof=1) if eligible.sum() > 1 else np.zeros(values.shape[1])
    flat = [str(name) for name, one in zip(criteria.columns, spread, strict=True) if not one > 0]
    if flat:
        raise DesignError("A criterion does not vary between areas.", found=", ".join(flat))
    standardised = (values - values[eligible].mean(axis=0)) / spread
    score = standardised @ share / share.sum()
    order = [int(at) for at in np.argsort(np.where(eligible, -score, np.inf), kind="stable")]
    rank = np.full(len(names), np.nan)
    rank[order[: int(eligible.sum())]] = np.arange(1, int(eligible.sum()) + 1)
    table = pd.DataFrame(
        {
            "area": names,
            **{str(name): standardised[:, at] for at, name in enumerate(criteria.columns)},
            "score": score,
            "rank": pd.array(rank, dtype="Int64"),
            "chosen": rank <= choose,
            "why_not": np.where(missing, "missing", np.where(small, "small", "")),
        }
    ).iloc[order]
    last, following = order[choose - 1], order[choose : choose + 1]
    margin = (
        float(score[last] - score[following[0]]) if following and eligible[following[0]] else float("inf")
    )
    return Selection(
        table=table.reset_index(drop=True),
        chosen=tuple(str(names[at]) for at in order[:choose]),
        margin=margin,
    )


def _refuse(
    names: npt.NDArray[np.object_], values: Floats, share: Floats, people: Floats, choose: int
) -> None:
    faults = []
    if not len(names) == len(values) == len(people):
        faults.append(
            Fault(
                what="Areas, criteria and population have different lengths.",
                found=f"{len(names)}, {len(values)}, {len(people)}",
            )
        )
    if values.shape[1] == 0:
        faults.append(Fault(what="The rule has no criterion."))
    if len(share) != values.shape[1] or (share < 0).any() or not share.sum() > 0:
        faults.append(
            Fault(what="The weights do not fit.", found=str(list(share)), expected="one for each criterion")
        )
    if choose < 1:
        faults.append(Fault(what="The rule must choose at least one area.", found=str(choose)))
    if faults:
        raise DesignError.of(faults)
