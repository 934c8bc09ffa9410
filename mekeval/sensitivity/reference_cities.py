"""Reference cities: the programme's own rule applied where no programme ran.

In: a national panel, a rule and the city of each area. Out: `PlaceboCities`, the target and its references in the form
that `compare_with_cities` judges. Never: a city or an area left out without a reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..design import Rule, rule_criteria
from ..design.selection import comparable, joined
from ..errors import DataError, DesignError, Fault, closest
from ..panel import Floats, Panel

#: A city needs this many eligible areas beside the chosen ones.
SPARE_AREAS = 5
#: Persons. Smaller areas enter nowhere: one household moves their rates.
SMALLEST_AREA = 300.0
#: Share a year, up or down. An area whose population moves faster before the programme is being built or emptied: its
#: people afterwards are not those before, and no area elsewhere is its peer.
MOST_GROWTH = 0.10
#: Years before the programme over which growth is measured at least, where the base is shorter.
_GROWTH_YEARS = 5
Rows = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class City:
    """One city, with the areas that the rule chooses in it.

    Attributes
    ----------
    name : str
    change : array, shape (n_areas,)
        Mean after minus mean before, of each area, in the outcome's unit.
    level : array, shape (n_areas,)
        Mean before.
    population : array, shape (n_areas,)
        Persons in the last year before.
    chosen : array of bool, shape (n_areas,)
        The areas that the rule chooses; in the target the treated ones.
    areas : tuple of str
        n_areas codes; empty where they are not known.
    """

    name: str
    change: Floats
    level: Floats
    population: Floats
    chosen: Mask
    areas: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PlaceboCities:
    """The target and the cities in which the same rule was applied.

    Attributes
    ----------
    target : City
        Its `chosen` areas are the treated ones.
    references : tuple of City
        In the order of their names.
    left_out : pandas.DataFrame
        One row for each city that is no reference: `city`, `reason` ("excluded", "too_few_areas",
        "criterion_does_not_vary", "below_threshold") and `note` (the reason given for an exclusion, or what was
        counted).
    dropped : pandas.DataFrame
        For each city and reason the number of areas that did not enter: `city`, `reason` ("small", "missing_year",
        "no_population", "rebuilt", "set_aside") or that entered but could not be chosen ("criterion_missing",
        "below_minimum"), and `n`.
    matched : pandas.DataFrame
        One row for each treated area: `area`, `rank` (under the rule in the target; missing where the area is not
        eligible there), `n_eligible`, `by_rule` (whether the rule with these criteria chooses it) and `matched_by`:
        "rule" (compared with the areas that the rule chooses elsewhere) or "rank" (with the area elsewhere whose rank
        is nearest to its own).
    warnings : tuple of str
        Keys: "treated_rebuilt" (the population of a treated area moved by more than the limit a year before the
        programme: not identifiable), "rebuilt_since" (it did so since), "growth_unknown" (populations of one year
        only), "rule_chooses_others" (with these criteria the rule does not choose the areas that are said to be chosen
        by it), "criteria_after_start" (the rule looks at years from the first one after on: areas elsewhere are then
        chosen by the changes that are judged).
    """

    target: City
    references: tuple[City, ...]
    left_out: pd.DataFrame
    dropped: pd.DataFrame
    matched: pd.DataFrame
    warnings: tuple[str, ...]


def placebo_cities(
    panel: Panel,
    rule: Rule,
    *,
    outcome: str,
    pre: Sequence[int],
    post: Sequence[int],
    city_of: Mapping[str, str],
    target: str,
    treated: Sequence[str],
    population: str,
    discretionary: Sequence[str] = (),
    set_aside: Sequence[str] = (),
    exclude: Mapping[str, str] | None = None,
    smallest_area: float = SMALLEST_AREA,
    most_growth: float | None = MOST_GROWTH,
) -> PlaceboCities:
    """Apply a programme's rule in every city of a national panel.

    In each reference city the rule ranks the eligible areas of that city and chooses its worst ones. Treated areas that
    the rule chose are compared with those. A discretionary one, or one of several that the rule chose, is compared with
    the area whose rank is nearest to its own: the same rank among the chosen ones, and below them the same place
    between the last chosen area and the last of all.

    Parameters
    ----------
    panel : Panel
        Its units are the areas of all cities.
    rule : Rule
    outcome : str
    pre, post : sequence of int
        Years before and after; a change is the difference of their means.
    city_of : mapping of str to str
        City of each area; areas that it does not name enter nowhere. Real municipalities, or `contiguous_windows`.
    target : str
        The city of the programme.
    treated : sequence of str
        Its treated areas. When those that are not discretionary are as many as the rule chooses, they are compared as
        a whole; a part of them, such as a single district, is compared rank by rank.
    population : str
        The outcome of the panel that holds the persons of an area; its last count up to the last year before, or the
        first one after it, is the area's size.
    discretionary : sequence of str
        Treated areas that the rule did not choose.
    set_aside : sequence of str
        Areas of the target that are no comparison, because they are treated at another time. Where they have a rank,
        their counterparts in the reference cities are no comparison either.
    exclude : mapping of str to str, optional
        Cities that are no reference, each with the reason, such as a programme of their own.
    smallest_area : float
        Persons; smaller areas enter nowhere.
    most_growth : float or None
        Share a year. Areas whose population grew or fell faster over the years before enter nowhere; a treated one
        stays, and the result is not identifiable. None keeps them all.

    Returns
    -------
    PlaceboCities

    Raises
    ------
    DesignError
        Years, areas or cities that are not there; treated areas outside the target, without a value in a needed year,
        or without a rank where one is needed; fewer than five more eligible areas in the target than treated ones.

    Notes
    -----
    An area without a value in a needed year leaves the city before the rule is applied, and is counted in `dropped`.
    An area without some criterion, or below the rule's minimum population, stays in the comparison but is not chosen.
    Areas that were being built explain why a city may have no peer: see `benchmarks/calibration.py`.
    """
    rows_of = _cities(panel, city_of)
    excluded = dict(exclude or {})
    _refuse(
        panel,
        rule,
        rows_of,
        outcome=outcome,
        population=population,
        pre=pre,
        post=post,
        target=target,
        treated=treated,
        discretionary=discretionary,
        set_aside=set_aside,
        excluded=excluded,
    )
    before, after = ([panel.periods.index(year) for year in years] for years in (pre, post))
    level = panel.values[outcome][:, before].mean(axis=1)
    change = panel.values[outcome][:, after].mean(axis=1) - level
    people = _last_count(panel, population, max(pre))
    criteria = rule_criteria(panel, rule)
    signs = [-1.0 if rule.higher_is.get(name) == "better" else 1.0 for name in rule.criteria]
    values = criteria.to_numpy(dtype=float) * signs
    weights = np.array([rule.weights.get(name, 1.0) for name in rule.criteria])
    units = np.array(panel.units, dtype=object)
    reach = min(*pre, max(pre) - _GROWTH_YEARS)
    moved = _growth(panel, population, [year for year in panel.periods if reach <= year <= max(pre)])
    since = _growth(panel, population, [year for year in panel.periods if max(pre) <= year <= max(post)])
    is_treated: Mask = np.asarray(np.isin(units, list(treated)))
    limit = np.inf if most_growth is None else np.log1p(most_growth)
    reason = np.array([""] * len(units), dtype="U32")
    reason[(moved > limit) & ~is_treated] = "rebuilt"
    reason[~np.isfinite(change)] = "missing_year"
    reason[~(people >= smallest_area)] = "small"
    reason[~np.isfinite(people)] = "no_population"
    missing: Mask = np.asarray(np.isnan(values).any(axis=1))
    eligible = (reason == "") & ~missing & (people >= rule.minimum_population)
    faults = [
        Fault(what="A treated area does not enter.", where=str(units[at]), found=str(reason[at]))
        for at in np.flatnonzero(is_treated & (reason != ""))
    ]
    if faults:
        raise DesignError.of(faults)
    aside = np.isin(units, list(set_aside))

    def city(name: str, rows: Rows, chosen: Rows, without: Rows) -> City:
        kept = rows[(reason[rows] == "") & ~np.isin(rows, without)]
        return City(
            name=name,
            change=change[kept],
            level=level[kept],
            population=people[kept],
            chosen=np.isin(kept, chosen),
            areas=tuple(units[kept]),
        )

    own = rows_of[target]
    own_ranked, n_own = ranked(own[eligible[own]], values, weights, rule)
    matched, by_rule = _match(own_ranked, (n_own, rule.choose), units, treated, discretionary)
    by_rank = matched.loc[matched["matched_by"] == "rank", "rank"].astype(int).tolist()
    aside_ranks = [at for at, row in enumerate(own_ranked, start=1) if aside[row]]
    k = len(treated)
    if own_ranked.size < k + SPARE_AREAS:
        raise DesignError(
            "The target has too few areas for the rule.",
            where=target,
            found=f"{own_ranked.size} eligible areas, {k} treated",
            expected=f"at least {SPARE_AREAS} more than the treated ones",
        )
    references, left_out = [], []
    for name in sorted(rows_of):
        if name == target:
            continue
        rows = rows_of[name]
        may = rows[eligible[rows]]
        if name in excluded:
            left_out.append((name, "excluded", excluded[name]))
            continue
        if len(may) < k + SPARE_AREAS:
            left_out.append((name, "too_few_areas", f"{len(may)} eligible, {k + SPARE_AREAS} needed"))
            continue
        order, n_chosen = ranked(may, values, weights, rule)
        if not order.size:
            left_out.append((name, "criterion_does_not_vary", ""))
            continue
        if by_rule and not n_chosen:
            left_out.append((name, "below_threshold", f"no area scores {rule.at_least:g}"))
            continue
        top = list(range(1, n_chosen + 1)) if by_rule else []
        ranks = [*top, *_nearest(by_rank, top, rule.choose, own_ranked.size, order.size)]
        also = _nearest(aside_ranks, ranks, rule.choose, own_ranked.size, order.size)
        if len(may) < k + len(also) + SPARE_AREAS:
            left_out.append(
                (name, "too_few_areas", f"{len(may)} eligible, {k + len(also) + SPARE_AREAS} needed")
            )
            continue
        references.append(city(name, rows, *(order[np.array(one, dtype=int) - 1] for one in (ranks, also))))
    rows = np.concatenate([rows_of[name] for name in sorted(rows_of)])
    told = reason[rows].copy()
    told[(told == "") & aside[rows]] = "set_aside"
    told[(told == "") & missing[rows]] = "criterion_missing"
    told[(told == "") & ~eligible[rows]] = "below_minimum"
    dropped = pd.DataFrame({"city": [city_of[unit] for unit in units[rows]], "reason": told})
    others = ~matched.loc[matched["matched_by"] == "rule", "by_rule"]
    warnings = {
        "treated_rebuilt": bool((moved[is_treated] > limit).any()),
        "rebuilt_since": bool((since[is_treated] > limit).any()),
        "growth_unknown": bool(np.isnan(moved[is_treated]).any()) and most_growth is not None,
        "rule_chooses_others": bool(others.any()),
        "criteria_after_start": _last_base_year(rule) >= min(post),
    }
    return PlaceboCities(
        target=city(target, own, np.flatnonzero(is_treated), np.flatnonzero(aside)),
        references=tuple(references),
        left_out=pd.DataFrame(left_out, columns=["city", "reason", "note"]),
        dropped=dropped.loc[dropped["reason"] != ""].groupby(["city", "reason"]).size().reset_index(name="n"),
        matched=matched,
        warnings=tuple(key for key, holds in warnings.items() if holds),
    )


def ranked(rows: Rows, values: Floats, weights: Floats, rule: Rule) -> tuple[Rows, int]:
    """Eligible rows from the worst on, and how many of them the rule chooses; none where a criterion is flat.

    The array form of `mekeval.select_areas`; `rows` are in the order of the codes, which breaks ties.
    """
    own = values[rows]
    if len(rows) < 2 or not (np.ptp(own, axis=0) > 0).all():
        return rows[:0], 0
    score = joined(comparable(own, rule.score), weights)
    order = np.argsort(-score, kind="stable")
    reached = len(rows) if rule.at_least is None else int(np.sum(score >= rule.at_least))
    return rows[order], min(rule.choose, reached)


def _last_count(panel: Panel, population: str, year: int) -> Floats:
    """The last known count of each area's people up to a year, or the first after it; missing where there is none."""
    people = panel.values[population]
    early = [at for at, period in enumerate(panel.periods) if period <= year][::-1]
    late = [at for at, period in enumerate(panel.periods) if period > year]
    ordered = people[:, [*early, *late]]
    known = np.isfinite(ordered)
    return np.where(known.any(axis=1), ordered[np.arange(len(ordered)), known.argmax(axis=1)], np.nan)


def _last_base_year(rule: Rule) -> int:
    """The last year that the rule looks at."""
    return max(max((years,) if isinstance(years, int) else years) for years in rule.criteria.values())


def _growth(panel: Panel, population: str, years: Sequence[int]) -> Floats:
    """Absolute log change of each area's population a year, between the first and the last of the years known for it.

    Missing where it is known in one year only; of an area that was empty, infinite.
    """
    people = panel.values[population][:, [panel.periods.index(year) for year in years]]
    known = np.isfinite(people)
    first, last = known.argmax(axis=1), people.shape[1] - 1 - known[:, ::-1].argmax(axis=1)
    at = np.arange(len(people))
    span = np.array(years, dtype=float)[last] - np.array(years, dtype=float)[first]
    growth = np.full(len(people), np.nan)
    ok = (span > 0) & known.any(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        growth[ok] = np.abs(np.log(people[at, last] / people[at, first]))[ok] / span[ok]
    return growth


def _cities(panel: Panel, city_of: Mapping[str, str]) -> dict[str, Rows]:
    """Rows of each city's areas, in the order of their codes."""
    rows: dict[str, list[int]] = {}
    for at in np.argsort(np.array(panel.units), kind="stable"):
        name = city_of.get(panel.units[at])
        if name is not None:
            rows.setdefault(name, []).append(int(at))
    return {name: np.array(own, dtype=np.intp) for name, own in rows.items()}


def _match(
    order: Rows,
    wholes: tuple[int, int],
    units: npt.NDArray[np.object_],
    treated: Sequence[str],
    extra: Sequence[str],
) -> tuple[pd.DataFrame, bool]:
    """How each treated area finds its counterparts, and whether the rule's whole choice is one of the ways.

    `wholes`: how many areas the rule chooses in the target, and how many it may choose at most.
    """
    rank = {str(units[row]): at for at, row in enumerate(order, start=1)}
    ruled = [unit for unit in treated if unit not in extra]
    whole = len(ruled) > 0 and len(ruled) in wholes
    matched = pd.DataFrame(
        {
            "area": list(treated),
            "rank": pd.array([rank.get(unit) for unit in treated], dtype="Int64"),
            "n_eligible": order.size,
            "by_rule": [rank.get(unit, np.inf) <= wholes[0] for unit in treated],
            "matched_by": ["rule" if whole and unit in ruled else "rank" for unit in treated],
        }
    )
    lost = matched.loc[(matched["matched_by"] == "rank") & matched["rank"].isna(), "area"]
    if len(lost):
        raise DesignError(
            "A treated area has no rank under the rule, so it has no counterpart elsewhere.",
            found=", ".join(lost),
            expected="an area with all criteria and the minimum population",
        )
    return matched, whole


def _nearest(ranks: Sequence[int], taken: Sequence[int], choose: int, n_own: int, n_here: int) -> list[int]:
    """The free ranks of another city that are nearest to the given ones of the target, the worst first."""
    found: list[int] = []
    for rank in sorted(ranks):
        wanted = float(rank)
        if rank > choose:
            wanted = choose + (rank - choose) * (n_here - choose) / (n_own - choose)
        free = [one for one in range(1, n_here + 1) if one not in taken and one not in found]
        found.append(min(free, key=lambda one: (abs(one - wanted), one)))
    return found


def _refuse(
    panel: Panel,
    rule: Rule,
    rows_of: Mapping[str, Rows],
    *,
    outcome: str,
    population: str,
    pre: Sequence[int],
    post: Sequence[int],
    target: str,
    treated: Sequence[str],
    discretionary: Sequence[str],
    set_aside: Sequence[str],
    excluded: Mapping[str, str],
) -> None:
    faults = []
    for name in (outcome, population):
        if name not in panel.values:
            raise DataError(
                "The panel has no such outcome.", found=repr(name), expected=closest(name, panel.outcomes)
            )
    years = [*pre, *post]
    unknown = [str(year) for year in years if year not in panel.periods]
    if not pre or not post or unknown or len(set(years)) < len(years) or max(pre) >= min(post):
        faults.append(
            Fault(
                what="The years before and after do not fit.",
                where="pre, post",
                found=f"before {list(pre)}, after {list(post)}",
                expected="each once, before ahead of after, among " + ", ".join(map(str, panel.periods)),
            )
        )
    if target in rows_of and rule.choose > len(rows_of[target]):
        faults.append(
            Fault(
                what="The rule chooses more areas than there are.",
                where=target,
                found=f"{rule.choose} to choose, {len(rows_of[target])} areas",
            )
        )
    if rule.choose < 1 or rule.score not in ("standardised", "rank"):
        faults.append(Fault(what="The rule cannot be applied.", found=f"{rule.choose} areas by {rule.score}"))
    if any(not weight >= 0 for weight in rule.weights.values()) or (
        rule.criteria and not any(rule.weights.get(name, 1.0) > 0 for name in rule.criteria)
    ):
        faults.append(Fault(what="The weights of the rule do not fit.", found=str(dict(rule.weights))))
    if target not in rows_of:
        raise DesignError(
            "The target is no city of the panel.", found=repr(target), expected=closest(target, rows_of)
        )
    own = [panel.units[row] for row in rows_of[target]]
    if not treated or len(set(treated)) < len(treated):
        faults.append(Fault(what="Treated areas must be named, each once.", found=repr(list(treated))))
    for unit in (*treated, *set_aside):
        if unit not in own:
            faults.append(
                Fault(
                    what="An area is not in the target.",
                    where=target,
                    found=repr(unit),
                    expected=closest(unit, own),
                )
            )
    stray = [unit for unit in discretionary if unit not in treated]
    both = [unit for unit in set_aside if unit in treated]
    if stray or both:
        faults.append(
            Fault(
                what="Discretionary areas are among the treated, areas set aside are not.",
                found=", ".join(map(repr, [*stray, *both])),
            )
        )
    for name in excluded:
        if name not in rows_of or name == target:
            faults.append(
                Fault(
                    what="An excluded city is no reference city.",
                    found=repr(name),
                    expected=closest(name, [one for one in rows_of if one != target]),
                )
            )
    if faults:
        raise DesignError.of(faults)
