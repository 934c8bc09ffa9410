"""What changed between two sets of findings, and why: new data, revised data, another definition, another method.

In: two published sets, or two evaluations of one study. Out: `Difference`. Never: a number that one of the two
hides, or a cause that was guessed.
"""

from __future__ import annotations

from .between import changes_between
from .difference import CAUSES, Difference, FindingChange, Part, Replaced
from .earlier import changes_since_last_year, earlier_evaluation, require_earlier_year
from .sides import Told

__all__ = [
    "CAUSES",
    "Difference",
    "FindingChange",
    "Part",
    "Replaced",
    "Told",
    "changes_between",
    "changes_since_last_year",
    "earlier_evaluation",
    "require_earlier_year",
]
