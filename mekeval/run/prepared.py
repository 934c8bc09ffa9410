"""What several jobs of a run need, made once before them: the evaluation of a study and a year, for all its reports.

In: the planned jobs. Out: preparations, each with its jobs, and what it leaves in the run's store. Never: an answer of
its own: a preparation that fails leaves nothing, and each of its jobs computes for itself and says what is wrong.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..evaluation import ALL, evaluate
from ..store import Store, filling
from .jobs import Job

#: An evaluation of all districts takes as long as one of so many single ones.
_WORTH = 5


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """An evaluation that several jobs want.

    Attributes
    ----------
    study : Path
        Folder of the study.
    raw : str
        Folder of external raw data, or nothing.
    year : int
    as_of : str
        A day, or nothing.
    city : bool
        Whether the report of the city is among the jobs.
    """

    study: Path
    raw: str
    year: int
    as_of: str
    city: bool = False


def preparations(planned: Sequence[Job]) -> dict[Preparation, tuple[int, ...]]:
    """What is worth preparing, and the places of the jobs that wait for it."""
    wanted: dict[Preparation, list[int]] = {}
    for at, job in enumerate(planned):
        if job.kind in ("city", "district", "changes"):
            wanted.setdefault(_of(job), []).append(at)
    worth = {}
    for preparation, places in wanted.items():
        kinds = Counter(planned[at].subject == ALL for at in places)
        if kinds[True] > 1 or (kinds[True] and kinds[False]) or kinds[False] >= _WORTH:
            worth[replace(preparation, city=kinds[True] > 0)] = tuple(places)
    return worth


def prepare(preparation: Preparation, store: Store) -> None:
    """Evaluate, and leave the evaluation and what its reports say in any language in the store."""
    from ..report import compute_once  # and all that reports are made with

    with filling(store):
        evaluation = evaluate(
            preparation.study,
            year=preparation.year,
            raw=preparation.raw or None,
            as_of=preparation.as_of or None,
        )
        compute_once(evaluation, city=preparation.city)


def _of(job: Job) -> Preparation:
    return Preparation(
        study=job.folder / str(job.parameters["study"]),
        raw=job.raw,
        year=job.year,
        as_of=str(job.parameters.get("as_of", "")),
    )
