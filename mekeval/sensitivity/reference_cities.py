"""Reference cities: the programme's own rule applied where no programme ran.

In: a national panel, a rule and the city of each area. Out: `PlaceboCities`, the target and its references in the form
that `compare_with_cities` judges. Never: a city or an area left out without a reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..design import Rule
from ..design.selection import criteria_columns
from ..display import Shown
from ..errors import DesignError, Fault
from ..panel import Floats, Panel
from .cities import City, CityAreas, Mask, Rows
from .counterparts import Ground, Matched, Settings, ground_of, match, nearest, orders_by, settings_of
from .rule_question import MOST_GROWTH, SMALLEST_AREA, RuleQuestion, refuse

#: A city needs this many eligible areas beside the chosen ones.
SPARE_AREAS = 5
#: Years before the programme over which growth is measured at least, where the base is shorter.
_GROWTH_YEARS = 5
#: Why an area does not enter, or could not be chosen; as numbers in arrays.
_REASONS = (
    "",
    "rebuilt",
    "missing_year",
    "small",
    "no_population",
    "set_aside",
    "criterion_missing",
    "below_minimum",
)


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


@dataclass(frozen=True, kw_only=True, eq=False)
class RuleApplied:
    """`PlaceboCities` before its tables are made: of hundreds of altered questions only the numbers are needed.

    Attributes
    ----------
    areas : CityAreas
        The target first.
    left_out : tuple of (str, str, str)
        Rows of `PlaceboCities.left_out`.
    reason : array of int, shape (n_units,)
        Why areas were dropped, as places in a list of words.
    rows_of : mapping of str to array of int
        The areas of each city.
    matched : Matched
    n_ranked : int
        Eligible areas of the target.
    warnings : tuple of str
    """

    areas: CityAreas
    left_out: tuple[tuple[str, str, str], ...]
    reason: npt.NDArray[np.int8]
    rows_of: Mapping[str, Rows]
    matched: Matched
    n_ranked: int
    warnings: tuple[str, ...]

    def told(self) -> PlaceboCities:
        """With its tables."""
        target, *references = self.areas.cities()
        dropped = [
            (name, reason, n)
            for name, rows in self.rows_of.items()
            for reason, n in sorted(Counter(_REASONS[at] for at in self.reason[rows].tolist() if at).items())
        ]
        found = self.matched
        return PlaceboCities(
            target=target,
            references=tuple(references),
            left_out=pd.DataFrame(list(self.left_out), columns=["city", "reason", "note"]),
            dropped=pd.DataFrame(dropped, columns=["city", "reason", "n"]),
            matched=pd.DataFrame(
                {
                    "area": list(found.areas),
                    "rank": pd.array(found.ranks, dtype="Int64"),
                    "n_eligible": self.n_ranked,
                    "by_rule": found.chosen,
                    "matched_by": found.ways,
                }
            ),
            warnings=self.warnings,
        )


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
    ).told()


def cities_of(question: RuleQuestion) -> RuleApplied:
    """The target and the reference cities of a question, as arrays; see `placebo_cities`."""
    panel, rule, treated = question.panel, question.rule, question.treated
    pre, post, target = question.pre, question.post, question.target
    ground = ground_of(panel.units, tuple(map(question.city_of.get, panel.units)))
    refuse(question, ground.rows_of)
    before, after = ([panel.periods.index(year) for year in years] for years in (pre, post))
    level = panel.values[question.outcome][:, before].mean(axis=1)
    change = panel.values[question.outcome][:, after].mean(axis=1) - level
    counts = panel.values[question.population]
    people = _last_count(counts, panel.periods, max(pre))
    signs = [-1.0 if rule.higher_is.get(name) == "better" else 1.0 for name in rule.criteria]
    values = np.array(list(criteria_columns(panel, rule).values())).T * signs
    ours, beside = (
        np.array([ground.row_of[unit] for unit in some], dtype=np.intp)
        for some in (treated, question.set_aside)
    )
    reach = min(*pre, max(pre) - _GROWTH_YEARS)
    moved = _growth(counts, panel.periods, reach, max(pre))
    since = _growth(counts[ours], panel.periods, max(pre), max(post))
    limit = np.inf if question.most_growth is None else np.log1p(question.most_growth)
    rebuilt = moved > limit
    rebuilt[ours] = False
    reason = np.zeros(len(panel.units), dtype=np.int8)
    for name, holds in (
        ("rebuilt", rebuilt),
        ("missing_year", ~np.isfinite(change)),
        ("small", ~(people >= question.smallest_area)),
        ("no_population", ~np.isfinite(people)),
    ):
        reason[holds] = _REASONS.index(name)
    enters = reason == 0
    missing: Mask = np.asarray(np.isnan(values).any(axis=1))
    eligible = enters & ~missing & (people >= rule.minimum_population)
    faults = [
        Fault(what="A treated area does not enter.", where=panel.units[at], found=_REASONS[reason[at]])
        for at in np.sort(ours)
        if not enters[at]
    ]
    if faults:
        raise DesignError.of(faults)
    made = _chosen(
        ground,
        eligible.tobytes(),
        values.tobytes(),
        settings_of(rule),
        target,
        treated,
        question.discretionary,
        question.set_aside,
        tuple(question.exclude.items()),
    )
    kept, picked = enters.copy(), np.zeros(len(panel.units), dtype=bool)
    kept[beside] = kept[made.aside] = False
    picked[ours] = picked[made.picked] = True
    enter = kept[made.rows]
    rows = made.rows[enter]
    reason[beside[reason[beside] == 0]] = _REASONS.index("set_aside")
    reason[(reason == 0) & missing] = _REASONS.index("criterion_missing")
    reason[(reason == 0) & ~eligible] = _REASONS.index("below_minimum")
    warnings = {
        "treated_rebuilt": bool((moved[ours] > limit).any()),
        "rebuilt_since": bool((since > limit).any()),
        "growth_unknown": bool(np.isnan(moved[ours]).any()) and question.most_growth is not None,
        "rule_chooses_others": made.matched.others,
        "criteria_after_start": _last_base_year(rule) >= min(post),
    }
    return RuleApplied(
        areas=CityAreas(
            names=made.used,
            change=change[rows],
            level=level[rows],
            population=people[rows],
            chosen=picked[rows],
            n=np.bincount(made.city[enter], minlength=len(made.used)),
            codes=ground.units[rows],
        ),
        left_out=made.left_out,
        reason=reason,
        rows_of=ground.rows_of,
        matched=made.matched,
        n_ranked=made.n_ranked,
        warnings=tuple(key for key, holds in warnings.items() if holds),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Chosen:
    """What the rule does in every city, whatever the outcome and its years.

    Attributes
    ----------
    used : tuple of str
        The target and the references.
    rows, city : array of int, shape (n_areas,)
        Their areas, and the place of each area's city in `used`.
    picked, aside : array of int
        Rows of the areas that are chosen elsewhere, and of those that stand for what is set aside in the target.
    left_out, matched, n_ranked
        As in `RuleApplied`.
    """

    used: tuple[str, ...]
    rows: Rows
    city: Rows
    picked: Rows
    aside: Rows
    left_out: tuple[tuple[str, str, str], ...]
    matched: Matched
    n_ranked: int


@lru_cache(maxsize=64)
def _chosen(
    ground: Ground,
    eligible: bytes,
    values: bytes,
    settings: Settings,
    target: str,
    treated: tuple[str, ...],
    discretionary: tuple[str, ...],
    set_aside: tuple[str, ...],
    excluded: tuple[tuple[str, str], ...],
) -> _Chosen:
    """Apply a rule to every city; most questions about one result differ in nothing of this."""
    orders = orders_by(ground, eligible, values, *settings)
    may, exclude = np.frombuffer(eligible, dtype=bool), dict(excluded)
    choose, at_least = settings[2:]
    own_ranked, n_own = orders[target]
    rank = {str(ground.units[row]): at for at, row in enumerate(own_ranked.tolist(), start=1)}
    matched = match(rank, (n_own, choose), treated, discretionary)
    others = set(set_aside)
    aside_ranks = tuple(at for unit, at in rank.items() if unit in others)
    k = len(treated)
    if own_ranked.size < k + SPARE_AREAS:
        raise DesignError(
            "The target has too few areas for the rule.",
            where=target,
            found=f"{own_ranked.size} eligible areas, {k} treated",
            expected=f"at least {SPARE_AREAS} more than the treated ones",
        )
    picked, aside, used = [], [], [target]
    left_out: list[tuple[str, str, str]] = []
    for name, rows in ground.rows_of.items():
        if name == target:
            continue
        n_here, (order, n_chosen) = int(may[rows].sum()), orders[name]
        if name in exclude:
            left_out.append((name, "excluded", exclude[name]))
            continue
        if n_here < k + SPARE_AREAS:
            left_out.append((name, "too_few_areas", f"{n_here} eligible, {k + SPARE_AREAS} needed"))
            continue
        if not order.size:
            left_out.append((name, "criterion_does_not_vary", ""))
            continue
        if matched.whole and not n_chosen:
            left_out.append((name, "below_threshold", f"no area scores {at_least:g}"))
            continue
        top = tuple(range(1, n_chosen + 1)) if matched.whole else ()
        ranks = (*top, *nearest(matched.by_rank, top, choose, own_ranked.size, order.size))
        also = nearest(aside_ranks, ranks, choose, own_ranked.size, order.size)
        if n_here < k + len(also) + SPARE_AREAS:
            left_out.append(
                (name, "too_few_areas", f"{n_here} eligible, {k + len(also) + SPARE_AREAS} needed")
            )
            continue
        picked += [order[at - 1] for at in ranks]
        aside += [order[at - 1] for at in also]
        used.append(name)
    parts = [ground.rows_of[name] for name in used]
    return _Chosen(
        used=tuple(used),
        rows=np.concatenate(parts),
        city=np.repeat(np.arange(len(used)), [len(part) for part in parts]),
        picked=np.array(picked, dtype=np.intp),
        aside=np.array(aside, dtype=np.intp),
        left_out=tuple(left_out),
        matched=matched,
        n_ranked=own_ranked.size,
    )


def _last_count(people: Floats, periods: Sequence[int], year: int) -> Floats:
    """The last known count of each area's people up to a year, or the first after it; missing where there is none."""
    early = [at for at, period in enumerate(periods) if period <= year][::-1]
    late = [at for at, period in enumerate(periods) if period > year]
    ordered = people[:, [*early, *late]]
    known = np.isfinite(ordered)
    return np.where(known.any(axis=1), ordered[np.arange(len(ordered)), known.argmax(axis=1)], np.nan)


def _last_base_year(rule: Rule) -> int:
    """The last year that the rule looks at."""
    return max(max((years,) if isinstance(years, int) else years) for years in rule.criteria.values())


def _growth(counts: Floats, periods: Sequence[int], start: int, end: int) -> Floats:
    """Absolute log change of each area's population a year, between the first and the last count in these years.

    Missing where it is known in one year only; of an area that was empty, infinite.
    """
    columns = [at for at, year in enumerate(periods) if start <= year <= end]
    people, years = counts[:, columns], np.array(periods, dtype=float)[columns]
    known = np.isfinite(people)
    first, last = known.argmax(axis=1), people.shape[1] - 1 - known[:, ::-1].argmax(axis=1)
    at = np.arange(len(people))
    span = years[last] - years[first]
    growth = np.full(len(people), np.nan)
    ok = (span > 0) & known.any(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        growth[ok] = np.abs(np.log(people[at, last] / people[at, first]))[ok] / span[ok]
    return growth
