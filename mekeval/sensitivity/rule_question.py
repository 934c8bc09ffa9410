"""What the rule placebo is asked.

In: a national panel, a rule and who was treated. Out: `RuleQuestion`. Never: years, areas or cities that are not there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ..design import Rule
from ..errors import DataError, DesignError, Fault, closest
from ..panel import Panel
from .check import USUAL, Thresholds

#: Persons. Smaller areas enter nowhere: one household moves their rates.
SMALLEST_AREA = 300.0
#: Share a year, up or down. An area whose population moves faster before the programme is being built or emptied: its
#: people afterwards are not those before, and no area elsewhere is its peer.
MOST_GROWTH = 0.10


@dataclass(frozen=True, kw_only=True)
class RuleQuestion:
    """What `rule_placebo` and `placebo_cities` are asked: their arguments, and the `thresholds` of its checks."""

    panel: Panel
    rule: Rule
    outcome: str
    pre: tuple[int, ...]
    post: tuple[int, ...]
    city_of: Mapping[str, str]
    target: str
    treated: tuple[str, ...]
    population: str
    discretionary: tuple[str, ...] = ()
    set_aside: tuple[str, ...] = ()
    exclude: Mapping[str, str] = field(default_factory=dict)
    smallest_area: float = SMALLEST_AREA
    most_growth: float | None = MOST_GROWTH
    variance: tuple[float, float] | None = None
    alpha: float = 0.05
    thresholds: Thresholds = USUAL


def refuse(asked: RuleQuestion, rows_of: Mapping[str, npt.NDArray[np.intp]]) -> None:
    """Refuse years, areas or cities that are not there, all faults at once.

    Parameters
    ----------
    asked : RuleQuestion
    rows_of : mapping of str to array of int
        Rows of the areas of each city in the panel.

    Raises
    ------
    DesignError, DataError
        As `placebo_cities`.
    """
    faults = []
    for name in (asked.outcome, asked.population):
        if name not in asked.panel.values:
            raise DataError(
                "The panel has no such outcome.",
                found=repr(name),
                expected=closest(name, asked.panel.outcomes),
            )
    years = [*asked.pre, *asked.post]
    unknown = [str(year) for year in years if year not in asked.panel.periods]
    if (
        not asked.pre
        or not asked.post
        or unknown
        or len(set(years)) < len(years)
        or max(asked.pre) >= min(asked.post)
    ):
        faults.append(
            Fault(
                what="The years before and after do not fit.",
                where="pre, post",
                found=f"before {list(asked.pre)}, after {list(asked.post)}",
                expected="each once, before ahead of after, among "
                + ", ".join(map(str, asked.panel.periods)),
            )
        )
    if asked.target in rows_of and asked.rule.choose > len(rows_of[asked.target]):
        faults.append(
            Fault(
                what="The rule chooses more areas than there are.",
                where=asked.target,
                found=f"{asked.rule.choose} to choose, {len(rows_of[asked.target])} areas",
            )
        )
    if asked.rule.choose < 1 or asked.rule.score not in ("standardised", "rank"):
        faults.append(
            Fault(
                what="The rule cannot be applied.", found=f"{asked.rule.choose} areas by {asked.rule.score}"
            )
        )
    if any(not weight >= 0 for weight in asked.rule.weights.values()) or (
        asked.rule.criteria and not any(asked.rule.weights.get(name, 1.0) > 0 for name in asked.rule.criteria)
    ):
        faults.append(Fault(what="The weights of the rule do not fit.", found=str(dict(asked.rule.weights))))
    if asked.target not in rows_of:
        raise DesignError(
            "The target is no city of the panel.",
            found=repr(asked.target),
            expected=closest(asked.target, rows_of),
        )
    own = [asked.panel.units[row] for row in rows_of[asked.target]]
    if not asked.treated or len(set(asked.treated)) < len(asked.treated):
        faults.append(Fault(what="Treated areas must be named, each once.", found=repr(list(asked.treated))))
    for unit in (*asked.treated, *asked.set_aside):
        if unit not in own:
            faults.append(
                Fault(
                    what="An area is not in the target.",
                    where=asked.target,
                    found=repr(unit),
                    expected=closest(unit, own),
                )
            )
    stray = [unit for unit in asked.discretionary if unit not in asked.treated]
    both = [unit for unit in asked.set_aside if unit in asked.treated]
    if stray or both:
        faults.append(
            Fault(
                what="Discretionary areas are among the treated, areas set aside are not.",
                found=", ".join(map(repr, [*stray, *both])),
            )
        )
    for name in asked.exclude:
        if name not in rows_of or name == asked.target:
            faults.append(
                Fault(
                    what="An excluded city is no reference city.",
                    found=repr(name),
                    expected=closest(name, [one for one in rows_of if one != asked.target]),
                )
            )
    if faults:
        raise DesignError.of(faults)
