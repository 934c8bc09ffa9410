"""What differs between two sets of findings: `Difference`, and how it shows itself.

In: two sides. Out: findings beside each other, and what they were made from. Never: a number of an outcome that either
side hides.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

import pandas as pd

from ..display import Shown, facts_table, frame_table, rows_table
from ..tables import Table
from .sides import Told

Cause = Literal["definition", "revised_data", "new_year", "method", "unexplained"]
#: Why an estimate changed, in the order in which a reader asks.
CAUSES: tuple[Cause, ...] = ("new_year", "revised_data", "definition", "method", "unexplained")
#: Attributes of a finding that are compared.
COMPARED = (
    "estimate",
    "low",
    "high",
    "p_value",
    "verdict",
    "certainty",
    "role",
    "method",
    "alpha",
    "n_treated",
    "n_comparison",
    "n_sets",
)
NUMBERS = ("estimate", "low", "high", "p_value")
REVISION_COLUMNS = ("indicator", "area", "year", "old", "new", "change")


@dataclass(frozen=True, kw_only=True, repr=False)
class Part(Shown):
    """A part of the change of an estimate.

    Attributes
    ----------
    causes : tuple of str
        Of `CAUSES`; more than one where they cannot be told apart.
    value : decimal.Decimal
        In the outcome's unit. The parts of an estimate add up to its change exactly.
    """

    causes: tuple[Cause, ...]
    value: Decimal


@dataclass(frozen=True, kw_only=True, repr=False)
class FindingChange(Shown):
    """One finding, then and now.

    Attributes
    ----------
    outcome, subject : str
        Name of the outcome; code of the district, or "all".
    old_year, new_year : int
    old, new : Told or None
        None where that side does not have the finding. Without numbers where either side hides them.
    hidden : bool
        Whether numbers were left out because a side hides them: its data have a gap there.
    what : tuple of str
        What differs: of `COMPARED`, "years" (those that are compared, apart from new ones), "dropped" (areas elsewhere
        that could not be used), "appeared" or "gone".
    parts : tuple of Part
        Why the estimate changed; empty where that is not known or nothing changed.
    unattributed : str
        Why it is not known: "raw_data" (not at hand), "not_reproduced", "no_estimate", "hidden" or empty.
    """

    outcome: str
    subject: str
    old_year: int
    new_year: int
    old: Told | None
    new: Told | None
    hidden: bool
    what: tuple[str, ...]
    parts: tuple[Part, ...]
    unattributed: str

    @property
    def change(self) -> Decimal | None:
        """New estimate minus old one; None where one of them is not known."""
        if self.old is None or self.new is None:
            return None
        return difference(self.old.estimate, self.new.estimate)


@dataclass(frozen=True, kw_only=True, repr=False)
class Replaced(Shown):
    """Something that both sides were made from, in which they differ.

    Attributes
    ----------
    kind : str
        "source" (a raw file), "file" (another file of the study), "definition" (a key of what the plan fixes),
        "package" or "code".
    name : str
    old, new : str
        Checksums, values as JSON, or versions; empty where it was not there.
    """

    kind: Literal["source", "file", "definition", "package", "code"]
    name: str
    old: str
    new: str


@dataclass(frozen=True, kw_only=True, repr=False)
class Difference(Shown):
    """What changed between two sets of findings, and why.

    Attributes
    ----------
    study : str
    old, new : str
        What was compared, by name.
    years : tuple of (int, int)
        Year of the old and of the new findings that stand beside each other.
    as_of : (date or None, date or None)
        Later releases were left out.
    findings : tuple of FindingChange
        All of them, changed or not.
    made_from : tuple of Replaced
    revisions : pandas.DataFrame
        Columns `REVISION_COLUMNS`: values of the study's areas that both sides show and that differ, in the indicator's
        unit. Empty where the data are not at hand.
    revisions_known : bool
        Whether the data of both sides were at hand.
    steps : tuple of str
        In which order the change was taken apart; empty where it was not.
    notes : tuple of str
        "reversed" (the old one is the newer one), "languages", "old_altered" and "new_altered" (findings.json is not as
        it was published), "outcomes" (other outcomes on the two sides), "definition_unknown" (the definition changed
        and a side does not say how), "same_data" (no earlier releases are known: last year as it is known today).
    title, city : mapping of str to str
        By language, as the new side has them.
    outcomes, areas : mapping of str to mapping
        Labels by language.
    units : mapping of str to str
    synthetic : bool
    """

    study: str
    old: str
    new: str
    years: tuple[tuple[int, int], ...]
    as_of: tuple[datetime.date | None, datetime.date | None]
    findings: tuple[FindingChange, ...]
    made_from: tuple[Replaced, ...]
    revisions: pd.DataFrame
    revisions_known: bool
    steps: tuple[str, ...]
    notes: tuple[str, ...]
    title: Mapping[str, str]
    city: Mapping[str, str]
    outcomes: Mapping[str, Mapping[str, str]]
    areas: Mapping[str, Mapping[str, str]]
    units: Mapping[str, str]
    synthetic: bool

    @property
    def changed(self) -> tuple[FindingChange, ...]:
        """Findings in which something differs."""
        return tuple(one for one in self.findings if one.what)

    @property
    def differs(self) -> bool:
        """Whether anything differs: a finding, what it was made from, or a value."""
        return bool(self.changed or self.made_from or len(self.revisions))

    def to_json(self) -> str:
        """Canonical JSON: sorted keys, the same text for the same difference."""
        days = [day.isoformat() if day else "" for day in self.as_of]
        content = {
            "study": self.study,
            "old": {"name": self.old, "as_of": days[0]},
            "new": {"name": self.new, "as_of": days[1]},
            "years": [list(pair) for pair in self.years],
            "differs": self.differs,
            "findings": [_record(one) for one in self.findings],
            "made_from": [
                {"kind": one.kind, "name": one.name, "old": one.old, "new": one.new} for one in self.made_from
            ],
            "revisions": self.revisions.to_dict("records") if self.revisions_known else None,
            "steps": list(self.steps),
            "notes": list(self.notes),
        }
        return json.dumps(content, ensure_ascii=False, sort_keys=True, indent=2, allow_nan=False) + "\n"

    def to_frame(self) -> pd.DataFrame:
        """The findings as a table: one row each, with a column for each part of the change."""
        rows = []
        for one in self.findings:
            sides = (("old", one.old), ("new", one.new))
            row: dict[str, object] = {
                "outcome": one.outcome,
                "subject": one.subject,
                "old_year": one.old_year,
                "new_year": one.new_year,
            }
            for name in ("verdict", "certainty", *NUMBERS):
                row |= {f"{side}_{name}": getattr(told, name, None) for side, told in sides}
            change = one.change
            row |= {"change": None if change is None else float(change), "what": " ".join(one.what)}
            row["why"] = "; ".join(f"{'+'.join(part.causes)} {part.value}" for part in one.parts)
            row["unattributed"] = one.unattributed
            rows.append(row)
        return pd.DataFrame(rows)

    def _shown(self) -> list[Table]:
        pairs = ", ".join(f"{old} and {new}" if old != new else str(old) for old, new in self.years)
        shown = [
            facts_table(
                [
                    ("old", self.old),
                    ("new", self.new),
                    ("years", pairs),
                    ("differs", self.differs),
                    ("findings compared", len(self.findings)),
                    ("findings changed", len(self.changed)),
                    ("values revised", len(self.revisions) if self.revisions_known else "not known"),
                    ("notes", self.notes),
                ],
                caption=f"{self.study}: what changed",
            )
        ]
        if self.changed:
            rows = [
                (
                    one.outcome,
                    one.subject,
                    *(
                        getattr(told, name, None)
                        for name in ("verdict", "estimate")
                        for told in (one.old, one.new)
                    ),
                    "; ".join(f"{' or '.join(part.causes)} {part.value:+.4g}" for part in one.parts)
                    or one.unattributed.replace("_", " "),
                )
                for one in self.changed
            ]
            heads = (
                "outcome",
                "subject",
                "old verdict",
                "new verdict",
                "old estimate",
                "new estimate",
                "why",
            )
            shown.append(
                rows_table(
                    heads,
                    rows,
                    caption=f"{self.study}: findings that changed",
                    numeric=("old estimate", "new estimate"),
                )
            )
        if self.made_from:
            made = [(one.kind, one.name, one.old[:12], one.new[:12]) for one in self.made_from]
            shown.append(
                rows_table(
                    ("kind", "name", "old", "new"), made, caption=f"{self.study}: made from other things"
                )
            )
        if len(self.revisions):
            shown.append(frame_table(self.revisions, caption=f"{self.study}: values that were revised"))
        return shown


def difference(old: float | None, new: float | None) -> Decimal | None:
    """New minus old, exact in the digits that are published; None where one is not known."""
    return None if old is None or new is None else exact(new) - exact(old)


def exact(value: float) -> Decimal:
    """A number by its twelve published digits."""
    return Decimal(f"{value:.12g}")


def _record(one: FindingChange) -> dict[str, object]:
    return {
        "outcome": one.outcome,
        "subject": one.subject,
        "old_year": one.old_year,
        "new_year": one.new_year,
        "old": _side(one.old),
        "new": _side(one.new),
        "change": None if one.change is None else float(one.change),
        "hidden": one.hidden,
        "what": list(one.what),
        "why": [{"causes": list(part.causes), "value": float(part.value)} for part in one.parts],
        "unattributed": one.unattributed,
    }


def _side(told: Told | None) -> dict[str, object] | None:
    if told is None:
        return None
    said = {name: getattr(told, name) for name in (*COMPARED, "because", "reason")}
    pre_post = told.rule_placebo
    years = {} if pre_post is None else {"pre": list(pre_post.pre), "post": list(pre_post.post)}
    return {**said, **years}
