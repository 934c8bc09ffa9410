"""Reference cities: the programme's own rule applied where no programme ran.

In: a national panel, a rule and the city of each area. Out: `PlaceboCities`, the target and its references in the form
that `compare_with_cities` judges. Never: a city or an area left out without a reason.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..design import Rule, rule_criteria
from ..design.selection import comparable, joined
from ..display import Shown
from ..errors import DesignError, Fault
from ..panel import Floats, Panel
from .rule_question import MOST_GROWTH, SMALLEST_AREA, RuleQuestion, refuse

#: A city needs this many eligible areas beside the chosen ones.
SPARE_AREAS = 5
#: Years before the programme over which growth is measured at least, where the base is shorter.
_GROWTH_YEARS = 5
Rows = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, repr=False)
class City(Shown):
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


@dataclass(frozen=True, kw_only=True, repr=False)
class PlaceboCities(Shown):
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
    return cities_of(
        RuleQuestion(
            panel=panel,
            rule=rule,
            outcome=outcome,
            pre=tuple(pre),
            post=tuple(post),
            city_of=city_of,
            target=target,
            treated=tuple(treated),
            population=population,
            discretionary=tuple(discretionary),
            set_aside=tuple(set_aside),
            exclude=exclude or {},
            smallest_area=smallest_area,
            most_growth=most_growth,
        )
    )


def cities_of(question: RuleQuestion) -> PlaceboCities:
    """The target and the reference cities of a question; see `placebo_cities`."""
    panel, rule, treated = question.panel, question.rule, question.treated
    pre, post, target = question.pre, question.post, question.target
    rows_of = _cities(panel, question.city_of)
    refuse(question, rows_of)
    before, after = ([panel.periods.index(year) for year in years] for years in (pre, post))
    level = panel.values[question.outcome][:, before].mean(axis=1)
    change = panel.values[question.outcome][:, after].mean(axis=1) - level
    people = _last_count(panel, question.population, max(pre))
    signs = [-1.0 if rule.higher_is.get(name) == "better" else 1.0 for name in rule.criteria]
    values = rule_criteria(panel, rule).to_numpy(dtype=float) * signs
    units = np.array(panel.units, dtype=object)
    reach = min(*pre, max(pre) - _GROWTH_YEARS)
    moved, since = (
        _growth(panel, question.population, [year for year in panel.periods if first <= year <= last])
        for first, last in ((reach, max(pre)), (max(pre), max(post)))
    )
    is_treated, aside = (_among(units, some) for some in (treated, question.set_aside))
    limit = np.inf if question.most_growth is None else np.log1p(question.most_growth)
    reason = np.array([""] * len(units), dtype="U32")
    reason[(moved > limit) & ~is_treated] = "rebuilt"
    reason[~np.isfinite(change)] = "missing_year"
    reason[~(people >= question.smallest_area)] = "small"
    reason[~np.isfinite(people)] = "no_population"
    enters: Mask = np.asarray(reason == "")
    missing: Mask = np.asarray(np.isnan(values).any(axis=1))
    eligible = enters & ~missing & (people >= rule.minimum_population)
    faults = [
        Fault(what="A treated area does not enter.", where=str(units[at]), found=str(reason[at]))
        for at in np.flatnonzero(is_treated & ~enters)
    ]
    if faults:
        raise DesignError.of(faults)

    def city(name: str, rows: Rows, chosen: Rows, without: Rows) -> City:
        kept, picked = enters.copy(), np.zeros(len(units), dtype=bool)
        kept[without], picked[chosen] = False, True
        kept_rows = rows[kept[rows]]
        return City(
            name=name,
            change=change[kept_rows],
            level=level[kept_rows],
            population=people[kept_rows],
            chosen=picked[kept_rows],
            areas=tuple(units[kept_rows]),
        )

    names = sorted(rows_of)
    may = {name: rows[eligible[rows]] for name, rows in rows_of.items()}
    orders = _ranked_all(may, values, rule)
    own_ranked, n_own = orders[target]
    matched = _match(own_ranked, (n_own, rule.choose), units, treated, question.discretionary)
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
    for name in names:
        if name == target:
            continue
        n_here, (order, n_chosen) = len(may[name]), orders[name]
        if name in question.exclude:
            left_out.append((name, "excluded", question.exclude[name]))
            continue
        if n_here < k + SPARE_AREAS:
            left_out.append((name, "too_few_areas", f"{n_here} eligible, {k + SPARE_AREAS} needed"))
            continue
        if not order.size:
            left_out.append((name, "criterion_does_not_vary", ""))
            continue
        if matched.whole and not n_chosen:
            left_out.append((name, "below_threshold", f"no area scores {rule.at_least:g}"))
            continue
        top = list(range(1, n_chosen + 1)) if matched.whole else []
        ranks = [*top, *_nearest(matched.ranks, top, rule.choose, own_ranked.size, order.size)]
        also = _nearest(aside_ranks, ranks, rule.choose, own_ranked.size, order.size)
        if n_here < k + len(also) + SPARE_AREAS:
            left_out.append(
                (name, "too_few_areas", f"{n_here} eligible, {k + len(also) + SPARE_AREAS} needed")
            )
            continue
        chosen, without = (order[np.array(one, dtype=int) - 1] for one in (ranks, also))
        references.append(city(name, rows_of[name], chosen, without))
    told = reason.copy()
    told[(told == "") & aside] = "set_aside"
    told[(told == "") & missing] = "criterion_missing"
    told[(told == "") & ~eligible] = "below_minimum"
    warnings = {
        "treated_rebuilt": bool((moved[is_treated] > limit).any()),
        "rebuilt_since": bool((since[is_treated] > limit).any()),
        "growth_unknown": bool(np.isnan(moved[is_treated]).any()) and question.most_growth is not None,
        "rule_chooses_others": matched.others,
        "criteria_after_start": _last_base_year(rule) >= min(post),
    }
    return PlaceboCities(
        target=city(target, rows_of[target], np.flatnonzero(is_treated), np.flatnonzero(aside)),
        references=tuple(references),
        left_out=pd.DataFrame(left_out, columns=["city", "reason", "note"]),
        dropped=_counted({name: told[rows_of[name]] for name in names}),
        matched=matched.table,
        warnings=tuple(key for key, holds in warnings.items() if holds),
    )


def _among(units: npt.NDArray[np.object_], some: Sequence[str]) -> Mask:
    """Which units are among some."""
    wanted = set(some)
    return np.fromiter((unit in wanted for unit in units), dtype=bool, count=len(units))


def _counted(told: Mapping[str, npt.NDArray[np.str_]]) -> pd.DataFrame:
    """How many areas of each city each reason kept out, by city and reason; as `PlaceboCities.dropped`."""
    rows = [
        (name, reason, n)
        for name, reasons in told.items()
        for reason, n in sorted(Counter(reasons[reasons != ""].tolist()).items())
    ]
    return pd.DataFrame(rows, columns=["city", "reason", "n"])


def _ranked_all(rows_of: Mapping[str, Rows], values: Floats, rule: Rule) -> dict[str, tuple[Rows, int]]:
    """The eligible rows of each city as `ranked` gives them, cities with as many of them at once."""
    same: dict[int, list[str]] = {}
    for name, rows in rows_of.items():
        same.setdefault(len(rows), []).append(name)
    found: dict[str, tuple[Rows, int]] = {}
    for names in same.values():
        rows = np.stack([rows_of[name] for name in names])
        found.update(zip(names, ranked(rows, values, rule), strict=True))
    return found


def ranked(rows: Rows, values: Floats, rule: Rule) -> list[tuple[Rows, int]]:
    """Eligible rows of each city from the worst on, and how many the rule chooses; none where a criterion is flat.

    The array form of `mekeval.select_areas`, for cities with equally many areas; `rows`, shape (n_cities, n_areas), are
    in the order of the codes, which breaks ties.
    """
    own = values[rows]
    if rows.shape[1] < 2:
        return [(one[:0], 0) for one in rows]
    varies = (np.ptp(own, axis=1) > 0).all(axis=1)
    weights = np.array([rule.weights.get(name, 1.0) for name in rule.criteria])
    score = np.zeros(rows.shape)
    score[varies] = joined(comparable(own[varies], rule.score), weights)
    order = np.argsort(-score, axis=1, kind="stable")
    reached = (
        np.full(len(rows), rows.shape[1]) if rule.at_least is None else (score >= rule.at_least).sum(axis=1)
    )
    return [
        (one[at], min(rule.choose, int(n))) if good else (one[:0], 0)
        for one, at, n, good in zip(rows, order, reached, varies, strict=True)
    ]


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


@dataclass(frozen=True, kw_only=True)
class _Matched:
    """How the treated areas find their counterparts.

    Attributes
    ----------
    table : pandas.DataFrame
        As `PlaceboCities.matched`.
    whole : bool
        Whether the rule's whole choice is one of the ways.
    ranks : list of int
        Of the areas that are matched by their rank.
    others : bool
        Whether the rule would have chosen others than those matched by it.
    """

    table: pd.DataFrame
    whole: bool
    ranks: list[int]
    others: bool


def _match(
    order: Rows,
    wholes: tuple[int, int],
    units: npt.NDArray[np.object_],
    treated: Sequence[str],
    extra: Sequence[str],
) -> _Matched:
    """How each treated area finds its counterparts.

    `wholes`: how many areas the rule chooses in the target, and how many it may choose at most.
    """
    rank = {str(units[row]): at for at, row in enumerate(order, start=1)}
    ruled = [unit for unit in treated if unit not in extra]
    whole = len(ruled) > 0 and len(ruled) in wholes
    ways = ["rule" if whole and unit in ruled else "rank" for unit in treated]
    chosen = [rank.get(unit, np.inf) <= wholes[0] for unit in treated]
    lost = [unit for unit, way in zip(treated, ways, strict=True) if way == "rank" and unit not in rank]
    if lost:
        raise DesignError(
            "A treated area has no rank under the rule, so it has no counterpart elsewhere.",
            found=", ".join(lost),
            expected="an area with all criteria and the minimum population",
        )
    ranks = [rank.get(unit) for unit in treated]
    matched = pd.DataFrame(
        {
            "area": list(treated),
            "rank": pd.array(ranks, dtype="Int64"),
            "n_eligible": order.size,
            "by_rule": chosen,
            "matched_by": ways,
        }
    )
    return _Matched(
        table=matched,
        whole=whole,
        ranks=[at for at, way in zip(ranks, ways, strict=True) if way == "rank" and at is not None],
        others=any(way == "rule" and not one for way, one in zip(ways, chosen, strict=True)),
    )


def _nearest(ranks: Sequence[int], taken: Sequence[int], choose: int, n_own: int, n_here: int) -> list[int]:
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
    return found
