"""What a report says in any language, and takes long: computed once for all reports of a run.

In: an evaluation. Out: results of `segregation`, `sensitivity` and `changes`, from the run's store where they are
there. Never: a word.
"""

from __future__ import annotations

from ..changes import Difference, changes_since_last_year
from ..errors import MekevalError
from ..evaluation import Evaluation
from ..evaluation.sharing import for_evaluation
from ..segregation import GapChange, Segregation, gap_change, is_share, study_segregation


def compute_once(evaluation: Evaluation, *, city: bool = True) -> None:
    """Compute everything of this module, to have it in the store before the reports are made.

    Parameters
    ----------
    evaluation : Evaluation
    city : bool
        Whether the report of the city is among them: it alone says what changed since last year.
    """
    if city:
        changes_of(evaluation)
    for outcome in evaluation.study.plan.outcomes:
        if is_share(evaluation.study, outcome):
            for compute in (segregation_of, gap_of):
                try:
                    compute(evaluation, outcome)
                except MekevalError:
                    continue  # the report says why


def changes_of(evaluation: Evaluation) -> Difference | None:
    """As `changes_since_last_year`."""
    return for_evaluation(evaluation, "changes since last year", lambda: changes_since_last_year(evaluation))


def segregation_of(evaluation: Evaluation, outcome: str) -> Segregation:
    """As `study_segregation`."""
    return for_evaluation(
        evaluation, f"segregation {outcome}", lambda: study_segregation(evaluation, outcome)
    )


def gap_of(evaluation: Evaluation, outcome: str) -> GapChange:
    """As `gap_change` of the gap."""
    return for_evaluation(
        evaluation, f"gap {outcome}", lambda: gap_change(evaluation, outcome, measure="gap")
    )
