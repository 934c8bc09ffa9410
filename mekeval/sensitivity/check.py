"""What every check returns.

In: nothing; checks fill it. Out: `Check`, an answer (held, failed, or open with the reason) and the figures behind it.
Never: "could not answer" in the form of "passed".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import pandas as pd

from ..display import Shown, facts_table, frame_table
from ..tables import Table

#: How a check's table is drawn: "variants" (the result under each change, with intervals), "forms" (the same in other
#: units), "quiet" (what was found where nothing should have happened), "growth" (of people and dwellings), "cities"
#: (the target among the reference cities), "breakdown" (intervals by the size of the deviation).
Figure = Literal["variants", "forms", "quiet", "growth", "cities", "breakdown"]

#: What each check asks, and how it is drawn; None where it has no numbers to draw.
CHECKS: Mapping[str, tuple[str, Figure | None]] = {
    "selection": ("Were the areas chosen because they were the worst?", None),
    "rule_placebo": ("Did the areas change more than those that the same rule chooses elsewhere?", "cities"),
    "placebo_in_time": ("Had the treated areas moved away from the others before the programme?", "quiet"),
    "leave_one_out": ("Does the result hang on one treated area?", "variants"),
    "leave_one_comparison_out": ("Does the result hang on one of those compared with?", "variants"),
    "comparison_changed": ("Is the result there when others are compared with?", "variants"),
    "one_year": ("Does the result hang on one year?", "variants"),
    "functional_form": ("Is the direction the same in logarithms and in ranks?", "forms"),
    "anticipation": ("Had something happened already in the last year before the start?", "quiet"),
    "pre_trend": ("Was there a trend before that would explain the result, and would it be seen?", "quiet"),
    "composition": ("Could other people living there explain the result?", "growth"),
    "housing": ("Could the people in new dwellings explain the result?", "growth"),
    "without_neighbours": (
        "Is the result there without the areas that border on the treated ones?",
        "variants",
    ),
    "spillover": ("Did the areas that border on the treated ones change too?", "quiet"),
    "definition_breaks": ("Was the outcome measured in another way within the years compared?", None),
    "honest": ("How far may trends have been from parallel before the result is lost?", "breakdown"),
}
_ANSWERS = {True: "the result holds", False: "the result does not hold", None: "not answered"}
NUMBERS = ("estimate", "low", "high", "p_value", "alpha")


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """Where checks draw their lines; a plan may draw them elsewhere, before outcomes are seen.

    Attributes
    ----------
    share_kept : float
        Share of a result's size that must be left when an area, a comparison or a year is left out.
    level : float
        Level of the test of an altered question, in times alpha: one area fewer makes any test weaker.
    quiet : float
        By what alpha is divided for questions to which silence is the right answer: placebo in time, anticipation,
        pre-trend, spillover and population together raise a false alarm no more often than one test does.
    """

    share_kept: float = 0.5
    level: float = 2.0
    quiet: float = 5.0


#: Where a study draws no lines of its own.
USUAL = Thresholds()


@dataclass(frozen=True, kw_only=True, repr=False)
class Check(Shown):
    """One question put to a result; in a notebook it shows itself.

    Attributes
    ----------
    name : str
        Such as "selection" or "placebo_in_time"; the texts of reports are found by it: ``check.<name>``.
    passed : bool or None
        None when the check could not answer; then it never counts as passed.
    reason : str
        Key of the reason, for the texts of reports: ``reason.<name>.<key>``.
    facts : mapping of str to float or str
        The numbers that the reason speaks of, all finite.
    table : pandas.DataFrame
        What was computed, one row for each variant; empty where nothing was.
    question : str
        What is asked, in plain English; of the checks of this library that of `CHECKS` where none is given.
    figure : str or None
        How `plot_check` draws the table, one of `Figure`; None where there is nothing to draw. Of the checks of this
        library that of `CHECKS` where none is given and the table has rows.
    """

    name: str
    passed: bool | None
    reason: str
    facts: Mapping[str, float | str]
    table: pd.DataFrame
    question: str = ""
    figure: Figure | None = None

    def __post_init__(self) -> None:
        question, figure = CHECKS.get(self.name, ("", None))
        object.__setattr__(self, "question", self.question or question)
        if self.figure is None and len(self.table):
            object.__setattr__(self, "figure", figure)

    def _shown(self) -> list[Table]:
        asked = [("question", self.question), ("reason", self.reason), *self.facts.items()]
        tables = [facts_table(asked, caption=f"{self.name}: {_ANSWERS[self.passed]}")]
        return tables + (
            [frame_table(self.table, caption=f"{self.name}: variants")] if len(self.table) else []
        )


class _Tested(Protocol):
    """What has an estimate with its test, such as an `Inference`."""

    @property
    def estimate(self) -> float: ...


def not_run(name: str, reason: str, **facts: float | str) -> Check:
    """A check that could not answer, and why."""
    return Check(name=name, passed=None, reason=reason, facts=facts, table=pd.DataFrame())


def variants_table(column: str, rows: Iterable[tuple[str, _Tested | None, str]]) -> pd.DataFrame:
    """The table of a check: `column`, `estimate`, `low`, `high`, `p_value`, `alpha` (of the interval) and `note`.

    Parameters
    ----------
    column : str
        What tells the rows apart.
    rows : iterable of (str, Inference or None, str)
        Label, answer, and why there is none; numbers that there are none of are missing.
    """
    listed = list(rows)
    numbers = {
        name: np.array([_number(getattr(found, name, None)) for _, found, _ in listed], dtype=float)
        for name in NUMBERS
    }
    return pd.DataFrame(
        {column: [label for label, _, _ in listed], **numbers, "note": [note for _, _, note in listed]}
    )


def _number(value: float | None) -> float:
    return np.nan if value is None else float(value)
