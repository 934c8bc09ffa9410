"""Choosing areas by a rule: the worst off by several criteria.

In: the level of each criterion in its base year, for every area. Out: `Selection`. Never: a look at an outcome after
the base years, or an area chosen in silence because its numbers are missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..display import Shown
from ..errors import DataError, DesignError, Fault, closest

if TYPE_CHECKING:  # design and panel are siblings: a panel is only read here, never built
    from ..panel import Panel

Floats = npt.NDArray[np.float64]
Score = Literal["standardised", "rank"]
HigherIs = Literal["worse", "better"]
_DIGITS = 11  # scores that agree to so many digits are tied: sums in another order differ in the last ones


@dataclass(frozen=True, kw_only=True)
class Rule(Shown):
    """How a programme chooses its areas.

    Attributes
    ----------
    criteria : mapping of str to int or tuple of int
        For each criterion, by the name of its outcome in a panel, the base year; of several years the mean.
    choose : int
        How many areas at most.
    higher_is : mapping of str to {"worse", "better"}
        Which way each criterion points; "worse" where it is not named.
    weights : mapping of str to float
        Weight of each criterion; 1 where it is not named.
    minimum_population : float
        Persons; smaller areas are not eligible.
    score : {"standardised", "rank"}
        Whether the score is the mean of standardised criteria or of their ranks.
    at_least : float or None
        Only areas whose score reaches it are chosen; None for no threshold.
    """

    criteria: Mapping[str, int | tuple[int, ...]]
    choose: int
    higher_is: Mapping[str, HigherIs] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)
    minimum_population: float = 0.0
    score: Score = "standardised"
    at_least: float | None = None


@dataclass(frozen=True, kw_only=True, repr=False)
class Selection(Shown):
    """The areas that a rule chooses, and how clear the choice is.

    Attributes
    ----------
    table : pandas.DataFrame
        One row for each area, worst first: `area`, one standardised column for each criterion (higher is worse; with
        ``score="rank"`` the share of eligible areas that are better off), `score` (their mean), `rank` (1 is the
        worst; missing where not eligible), `chosen` (bool), `why_not` ("", "small", "missing").
    chosen : tuple of str
        Worst first.
    margin : float
        Score of the last chosen area minus that of the first one not chosen, in the unit of the score (standard
        deviations of a criterion, or shares of areas); 0 is a tie. Infinite where every eligible area is chosen.
    tied : tuple of str
        Areas with the score of the last chosen one, when one of them is chosen and another is not: among them the
        order of the codes decided. Empty without such a tie.
    """

    table: pd.DataFrame
    chosen: tuple[str, ...]
    margin: float
    tied: tuple[str, ...]

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
    higher_is: Sequence[HigherIs] | None = None,
    score: Score = "standardised",
    at_least: float | None = None,
) -> Selection:
    r"""Choose the areas that are worst off by the mean of standardised criteria, or of their ranks.

    With :math:`z_{ij}` criterion j of area i, standardised over the eligible areas (mean 0, standard deviation 1 with
    n - 1), or the share :math:`(rank - 1/2) / n` of the eligible areas that are better off (ties share a mean rank):

    .. math:: score_i = \sum_j w_j z_{ij} / \sum_j w_j

    Parameters
    ----------
    areas : sequence of str
        n_areas names or codes, each once.
    criteria : pandas.DataFrame, shape (n_areas, n_criteria)
        Level of each criterion in its base year.
    choose : int
        How many at most.
    population : array, shape (n_areas,), optional
        Persons; needed with `minimum_population`.
    minimum_population : float
        Smaller areas are not eligible.
    weights : sequence of float, optional
        One for each criterion; equal by default.
    higher_is : sequence of {"worse", "better"}, optional
        One for each criterion; "worse" by default.
    score : {"standardised", "rank"}
    at_least : float, optional
        Only areas whose score reaches it are chosen.

    Returns
    -------
    Selection

    Raises
    ------
    DesignError
        More areas wanted than are eligible, none reaches the threshold, a criterion without variation, an area named
        twice, lengths that do not fit, criteria indexed by the areas in another order, weights that are negative or
        all zero, a number of areas that is not whole, a minimum population without populations.

    Notes
    -----
    An area without a value in some criterion is not eligible; `why_not` says so. A tie is broken by the codes of the
    areas, never by the order of the rows, and is told in `tied`. Standardised criteria let one extreme value decide;
    ranks do not, but do not see how far apart areas are.

    Examples
    --------
    >>> import pandas as pd
    >>> rates = pd.DataFrame({"low_income": [10.0, 20.0, 30.0], "unemployment": [5.0, 9.0, 8.0]})
    >>> select_areas(["a", "b", "c"], rates, choose=1).chosen
    ('c',)
    """
    names = [str(area) for area in areas]
    columns = [str(name) for name in criteria.columns]
    pointing = ["worse"] * len(columns) if higher_is is None else list(higher_is)
    share = np.ones(len(columns)) if weights is None else _numbers("weights", weights)
    values = criteria.to_numpy(dtype=np.float64, na_value=np.nan)
    people = np.full(len(names), np.inf) if population is None else _numbers("population", population)
    least = _numbers("minimum_population", [minimum_population])[0]
    if least > 0 and population is None:
        raise DesignError("A minimum population needs populations.", where="population", found="none")
    _refuse(names, criteria.index, values, share, pointing, people, choose, score)
    values = np.where(np.array(pointing) == "better", -values, values)
    missing = np.isnan(values).any(axis=1)
    small = ~(people >= minimum_population)
    eligible = ~missing & ~small
    n = int(eligible.sum())
    if n < choose:
        raise DesignError(
            "The rule chooses more areas than are eligible.",
            found=f"{choose} to choose, {n} eligible",
            expected=f"at least {choose} areas with all criteria and {minimum_population:g} people",
        )
    flat = [name for name, one in zip(columns, values[eligible].T, strict=True) if not np.ptp(one) > 0]
    if flat:
        raise DesignError("A criterion does not vary between areas.", found=", ".join(flat))
    parts = np.full(values.shape, np.nan)
    parts[eligible] = comparable(values[eligible], score)
    total = joined(parts, share)
    order = np.lexsort((np.array(names), np.where(eligible, -total, np.inf)))
    k = min(choose, n if at_least is None else int(np.sum(total[eligible] >= at_least)))
    if k == 0:
        raise DesignError(
            "No area reaches the threshold.",
            where="at_least",
            found=f"a highest score of {total[order[0]]:.3g}",
            expected=f"at least {at_least:g}",
        )
    rank = np.full(len(names), np.nan)
    rank[order[:n]] = np.arange(1, n + 1)
    table = pd.DataFrame(
        {
            "area": names,
            **{name: parts[:, at] for at, name in enumerate(columns)},
            "score": total,
            "rank": pd.array(rank, dtype="Int64"),
            "chosen": rank <= k,
            "why_not": np.where(missing, "missing", np.where(small, "small", "")),
        }
    ).iloc[order]
    margin = float(total[order[k - 1]] - total[order[k]]) if k < n else float("inf")
    tied = () if margin else tuple(names[at] for at in order[:n] if total[at] == total[order[k - 1]])
    return Selection(
        table=table.reset_index(drop=True),
        chosen=tuple(names[at] for at in order[:k]),
        margin=margin,
        tied=tied,
    )


def rule_criteria(panel: Panel, rule: Rule) -> pd.DataFrame:
    """The level of each criterion of a rule in its base years, for every unit of a panel.

    Returns
    -------
    pandas.DataFrame, shape (n_units, n_criteria)
        Indexed by unit; missing where one of the base years is.

    Raises
    ------
    DesignError
        The rule has no criterion, or names an outcome or a year that the panel does not have or has no value in.
    """
    return pd.DataFrame(criteria_columns(panel, rule), index=pd.Index(panel.units, name="area"))


def criteria_columns(panel: Panel, rule: Rule) -> dict[str, Floats]:
    """The columns of `rule_criteria`."""
    faults, columns = [], {}
    if not rule.criteria:
        faults.append(Fault(what="The rule has no criterion."))
    for part in (rule.higher_is, rule.weights):
        faults += [
            Fault(
                what="The rule speaks of a criterion that it does not have.",
                found=repr(name),
                expected=closest(name, rule.criteria),
            )
            for name in part
            if name not in rule.criteria
        ]
    for name, years in rule.criteria.items():
        wanted = (years,) if isinstance(years, int) else tuple(years)
        if name not in panel.values:
            faults.append(
                Fault(
                    what="The panel has no such criterion.",
                    found=repr(name),
                    expected=closest(name, panel.values),
                )
            )
        elif not wanted or not set(wanted) <= set(panel.periods):
            faults.append(
                Fault(
                    what="The panel does not have the base years of a criterion.",
                    where=name,
                    found=", ".join(map(str, wanted)) or "no year",
                    expected="years among " + ", ".join(map(str, panel.periods)),
                )
            )
        else:
            columns[name] = panel.values[name][:, [panel.periods.index(year) for year in wanted]].mean(axis=1)
            if np.isnan(columns[name]).all():
                faults.append(
                    Fault(
                        what="No area has a value of a criterion in its base years.",
                        where=name,
                        found=", ".join(map(str, wanted)),
                    )
                )
    if faults:
        raise DesignError.of(faults)
    return columns


def apply_rule(
    areas: Sequence[str], criteria: pd.DataFrame, rule: Rule, *, population: Floats | None = None
) -> Selection:
    """Choose areas by a `Rule`: `select_areas` with the rule's own settings.

    Parameters
    ----------
    areas : sequence of str
        n_areas codes.
    criteria : pandas.DataFrame, shape (n_areas, n_criteria)
        With a column for each criterion of the rule, as `rule_criteria` gives it.
    rule : Rule
    population : array, shape (n_areas,), optional
        Persons; needed where the rule has a minimum population.

    Returns
    -------
    Selection

    Raises
    ------
    DesignError, DataError
        As `select_areas`; a criterion has no column; the rule has a minimum population and `population` is not given.

    Examples
    --------
    >>> import pandas as pd
    >>> rates = pd.DataFrame({"low_income": [10.0, 20.0, 30.0], "employment": [75.0, 60.0, 70.0]})
    >>> rule = Rule(criteria={"low_income": 2014, "employment": 2014}, higher_is={"employment": "better"}, choose=1)
    >>> apply_rule(["a", "b", "c"], rates, rule).chosen
    ('b',)
    """
    names = list(rule.criteria)
    for name in names:
        if name not in criteria.columns:
            raise DataError(
                "A criterion has no column.",
                found=repr(name),
                expected=closest(name, map(str, criteria.columns)),
            )
    if rule.minimum_population > 0 and population is None:
        raise DesignError("The rule has a minimum population, so populations are needed.", where="population")
    return select_areas(
        areas,
        criteria[names],
        choose=rule.choose,
        population=population,
        minimum_population=rule.minimum_population,
        weights=[rule.weights.get(name, 1.0) for name in names],
        higher_is=[rule.higher_is.get(name, "worse") for name in names],
        score=rule.score,
        at_least=rule.at_least,
    )


def joined(parts: Floats, weights: Floats) -> Floats:
    """The score of areas, shape (..., n_areas), from comparable criteria of shape (..., n_areas, n_criteria).

    `weights` has shape (..., n_criteria). Rounded so that equal areas are tied whatever the order of summing.
    """
    total = np.einsum("...ap,...p->...a", parts, weights / weights.sum(axis=-1, keepdims=True))
    return np.asarray(np.round(total, _DIGITS))


def comparable(values: Floats, score: Score) -> Floats:
    """Criteria of shape (..., n_areas, n_criteria), higher is worse, brought to one scale over the areas."""
    if score == "standardised":
        centred = values - values.mean(axis=-2, keepdims=True)
        return np.asarray(centred / values.std(axis=-2, ddof=1, keepdims=True))
    n = values.shape[-2]
    order = np.argsort(values, axis=-2, kind="stable")
    ordered = np.take_along_axis(values, order, axis=-2)
    at = np.arange(n).reshape(n, 1)
    new = np.ones(values.shape, dtype=bool)
    new[..., 1:, :] = ordered[..., 1:, :] > ordered[..., :-1, :]
    last = np.ones(values.shape, dtype=bool)
    last[..., :-1, :] = new[..., 1:, :]
    start = np.maximum.accumulate(np.where(new, at, 0), axis=-2)
    end = np.flip(np.minimum.accumulate(np.flip(np.where(last, at, n), axis=-2), axis=-2), axis=-2)
    shares = np.empty(values.shape)
    np.put_along_axis(shares, order, ((start + end) / 2 + 0.5) / n, axis=-2)
    return shares


def _numbers(name: str, values: Sequence[float] | Floats) -> Floats:
    """Numbers as an array; missing ones stay missing."""
    try:
        return np.array(list(values), dtype=np.float64)
    except (TypeError, ValueError):
        raise DesignError("A number is needed.", where=name, found=repr(values)[:80]) from None


def _refuse(
    names: Sequence[str],
    index: pd.Index,
    values: Floats,
    share: Floats,
    pointing: Sequence[str],
    people: Floats,
    choose: int,
    score: str,
) -> None:
    faults = []
    if not len(names) == len(values) == len(people):
        faults.append(
            Fault(
                what="Areas, criteria and population have different lengths.",
                found=f"{len(names)}, {len(values)}, {len(people)}",
            )
        )
    if len(set(names)) < len(names):
        twice = next(name for name in names if list(names).count(name) > 1)
        faults.append(Fault(what="An area is listed twice.", found=repr(twice)))
    labels = [str(label) for label in index]
    if not isinstance(index, pd.RangeIndex) and labels != list(names) and sorted(labels) == sorted(names):
        faults.append(
            Fault(
                what="The criteria are indexed by the areas, but in another order.",
                where="criteria",
                found=", ".join(labels[:6]),
                expected=", ".join(names[:6]),
                fix="criteria.loc[areas]",
            )
        )
    if np.isinf(values).any():
        faults.append(Fault(what="A criterion is infinite."))
    if values.shape[1] == 0:
        faults.append(Fault(what="The rule has no criterion."))
    if len(share) != values.shape[1] or not (share >= 0).all() or not share.sum() > 0:
        faults.append(
            Fault(
                what="The weights do not fit.",
                where="weights",
                found=", ".join(f"{one:g}" for one in share) or "none",
                expected="one for each criterion, 0 or more, not all 0",
            )
        )
    if len(pointing) != values.shape[1] or not set(pointing) <= {"worse", "better"}:
        faults.append(
            Fault(
                what="Each criterion is higher for the worse or for the better.",
                where="higher_is",
                found=repr(list(pointing)),
                expected="'worse' or 'better' for each criterion",
            )
        )
    if score not in ("standardised", "rank"):
        faults.append(
            Fault(
                what="Unknown score.",
                where="score",
                found=repr(score),
                expected=closest(score, ["standardised", "rank"]),
            )
        )
    given: object = choose  # whatever the annotation says
    if isinstance(given, bool) or not isinstance(given, Integral):
        faults.append(
            Fault(what="The rule must choose a whole number of areas.", where="choose", found=repr(given))
        )
    elif choose < 1:
        faults.append(
            Fault(what="The rule must choose at least one area.", where="choose", found=str(choose))
        )
    if faults:
        raise DesignError.of(faults)
