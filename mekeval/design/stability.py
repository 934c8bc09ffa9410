"""How stable a choice of areas is under errors of the data and other weights.

In: criteria and a rule. Out: `SelectionStability`. Never: an error whose size nobody gave.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral, Real

import numpy as np
import pandas as pd

from ..display import Shown
from ..errors import DataError, DesignError, Fault, closest
from .selection import Floats, Rule, apply_rule, comparable, joined


@dataclass(frozen=True, kw_only=True, repr=False)
class SelectionStability(Shown):
    """How stable a choice is under errors of the data and other weights.

    Attributes
    ----------
    table : pandas.DataFrame
        One row for each eligible area, worst first: `area`, `rank`, `chosen`, `share_chosen` (of the draws in which
        the rule chooses it), `rank_low` and `rank_high` (the 5 and 95 % quantiles of its rank).
    margin : float
        As in `Selection`.
    same_choice : float
        Share of the draws in which the rule chooses exactly the areas that it chooses from the figures as given; a
        programme may have chosen others.
    draws : int
    error : str
        Where the errors of the data come from: "given", "sampling" (binomial, from the persons behind each value) or
        "none".
    weight_spread : float
        Standard deviation of the logarithm of each weight between draws; 0 for fixed weights.
    """

    table: pd.DataFrame
    margin: float
    same_choice: float
    draws: int
    error: str
    weight_spread: float


def selection_stability(
    areas: Sequence[str],
    criteria: pd.DataFrame,
    rule: Rule,
    *,
    population: Floats | None = None,
    error_sd: pd.DataFrame | None = None,
    persons: pd.DataFrame | None = None,
    weight_spread: float = 0.0,
    draws: int = 2_000,
    seed: int = 0,
) -> SelectionStability:
    r"""How often each area is chosen when the data err and the weights are others.

    Each draw adds a normal error to every value and multiplies every weight by :math:`\exp(\tau e)`, e standard
    normal, and applies the rule anew. The standard deviation of an error is given, or that of a rate p in per cent over
    n persons, :math:`\sqrt{p (100 - p) / n}`: a register has no sampling, but next year's rate of the same area varies
    at least so much.

    Parameters
    ----------
    areas, criteria, rule, population
        As in `apply_rule`.
    error_sd : pandas.DataFrame, shape (n_areas, n_criteria), optional
        Standard deviation of each value, in its unit.
    persons : pandas.DataFrame, shape (n_areas, n_criteria), optional
        Persons behind each value, which must be per cent; instead of `error_sd`. Either table has the index of
        `criteria`, or is indexed by `areas`; its rows may then stand in any order.
    weight_spread : float
        The tau above; 0.5 lets the ratio of two equal weights leave 0.25 to 4 in one of twenty draws.
    draws, seed : int

    Returns
    -------
    SelectionStability

    Raises
    ------
    DesignError
        As `apply_rule`; both `error_sd` and `persons` are given, or no error and no spread; draws or seed that are not
        whole numbers from 1 and 0 on.
    DataError
        A standard deviation is negative or missing, or a rate is not between 0 and 100; a table of errors lacks an area
        or a criterion.
    """
    chosen = apply_rule(areas, criteria, rule, population=population)
    names = list(rule.criteria)
    _refuse(both=error_sd is not None and persons is not None, spread=weight_spread, draws=draws, seed=seed)
    if error_sd is None and persons is None and weight_spread == 0:
        raise DesignError(
            "Nothing varies between the draws.", fix="Give error_sd, persons or a weight_spread."
        )
    eligible = chosen.table.loc[chosen.table["why_not"] == "", "area"].tolist()
    rows = pd.Index([str(area) for area in areas]).get_indexer(pd.Index(eligible))
    values = criteria[names].to_numpy(dtype=float)[rows]
    spread = np.zeros_like(values)
    if error_sd is not None:
        spread = _aligned("error_sd", error_sd, areas, criteria, names)[rows]
    if persons is not None:
        counts = _aligned("persons", persons, areas, criteria, names)[rows]
        with np.errstate(divide="ignore", invalid="ignore"):
            spread = np.sqrt(values * (100 - values) / counts)
    if not (np.isfinite(spread).all() and (spread >= 0).all()):
        raise DataError(
            "The error of a value is not known.",
            found="a standard deviation that is negative or missing, or a rate outside 0 to 100 per cent",
        )
    rng = np.random.default_rng(seed)
    # The draws follow the codes, not the rows or the ranks: another order of the areas gives the same answer.
    by_code = np.argsort(np.array(eligible), kind="stable")
    noise = np.empty((draws, *values.shape))
    noise[:, by_code] = rng.standard_normal((draws, *values.shape))
    signs = np.array([-1.0 if rule.higher_is.get(name) == "better" else 1.0 for name in names])
    share = np.array([rule.weights.get(name, 1.0) for name in names])
    weights = share * np.exp(weight_spread * rng.standard_normal((draws, len(names))))
    score = joined(comparable(signs * (values + spread * noise), rule.score), weights)
    order = np.argsort(-score, axis=1, kind="stable")  # a tie goes to the area that the rule ranks first
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.arange(1, len(eligible) + 1)[None, :], axis=1)
    picked = rank <= rule.choose
    if rule.at_least is not None:
        picked &= score >= rule.at_least
    table = chosen.table.loc[chosen.table["why_not"] == "", ["area", "rank", "chosen"]].reset_index(drop=True)
    low, high = np.quantile(rank, [0.05, 0.95], axis=0, method="inverted_cdf")
    return SelectionStability(
        table=table.assign(
            share_chosen=picked.mean(axis=0), rank_low=low.astype(int), rank_high=high.astype(int)
        ),
        margin=chosen.margin,
        same_choice=float(np.mean((picked == table["chosen"].to_numpy()).all(axis=1))),
        draws=draws,
        error="given" if error_sd is not None else "sampling" if persons is not None else "none",
        weight_spread=float(weight_spread),
    )


def _refuse(*, both: bool, spread: object, draws: object, seed: object) -> None:
    faults = []
    if both:
        faults.append(Fault(what="Errors come from `error_sd` or from `persons`, not from both."))
    if not isinstance(spread, Real) or not 0 <= float(spread) < np.inf:
        faults.append(
            Fault(
                what="The spread of the weights is a number from 0 on.",
                where="weight_spread",
                found=repr(spread),
            )
        )
    for name, value, least in (("draws", draws, 1), ("seed", seed, 0)):
        if isinstance(value, bool) or not isinstance(value, Integral) or int(value) < least:
            faults.append(
                Fault(what=f"A whole number from {least} on is needed.", where=name, found=repr(value))
            )
    if faults:
        raise DesignError.of(faults)


def _aligned(
    what: str, table: pd.DataFrame, areas: Sequence[str], criteria: pd.DataFrame, names: Sequence[str]
) -> Floats:
    """The criteria of a table of errors in the order of the areas, shape (n_areas, n_criteria)."""
    given: object = table  # whatever the annotation says
    if not isinstance(given, pd.DataFrame):
        raise DataError("A table is needed.", where=what, found=type(given).__name__)
    for name in names:
        if name not in table.columns:
            raise DataError(
                "A criterion has no column.",
                where=what,
                found=repr(name),
                expected=closest(name, map(str, table.columns)),
            )
    if not table.index.equals(criteria.index):
        wanted, labels = pd.Index([str(area) for area in areas]), table.index.astype(str)
        if isinstance(table.index, pd.RangeIndex) or not wanted.isin(labels).all():
            wanted, labels = criteria.index, table.index
        missing = wanted[~wanted.isin(labels)]
        if len(missing) or not labels.is_unique:
            raise DataError(
                "The rows do not fit the areas.",
                where=what,
                found=f"{len(table)} rows, "
                + (
                    "some index twice" if not len(missing) else "none for " + ", ".join(map(str, missing[:6]))
                ),
                expected=f"the index of the criteria, or one row for each of {len(areas)} areas",
            )
        table = table.iloc[labels.get_indexer(wanted)]
    return np.asarray(table[list(names)].to_numpy(dtype=np.float64, na_value=np.nan))
