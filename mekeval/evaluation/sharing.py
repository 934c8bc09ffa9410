"""Evaluations that a run has made already: under which key they are stored, and what of them one district needs.

In: a study, a year and a day. Out: a key, or a part of an evaluation. Never: the evaluation of a study that differs in
anything that is looked at.
"""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel

from ..indicators.cache import key_of, words_of
from ..shipped import version
from ..store import at_hand, shared
from ..study import Study

if TYPE_CHECKING:
    from . import Evaluation

Result = TypeVar("Result")


def evaluation_key(study: Study, *, year: int, as_of: datetime.date | None) -> str | None:
    """What decides an evaluation, as one checksum; None where a raw file is gone.

    A study is compared as it is, not as its files are: one that was altered in memory has another key.
    """
    data = key_of(study, as_of)
    if data is None:
        return None
    lists = (None if one is None else one.table for one in (study.reference_areas, study.districts))
    words = {
        "data": data,
        "version": version(),
        "year": year,
        "waves": study.wave_areas,
        "districts": study.wave_districts,
        "discretionary": study.discretionary,
        "neighbours": study.neighbours,
        "measures": study.measures,
        "plan": study.plan_state,
        "lists": ["" if table is None else words_of(table) for table in lists],
        "spread": study.districts and [study.districts.year, study.districts.source, study.districts.spread],
    }
    return hashlib.sha256(json.dumps(words, sort_keys=True, default=_plain).encode()).hexdigest()


def of_district(whole: Evaluation, code: str) -> Evaluation:
    """What `evaluate` gives for one district, taken from the evaluation of all."""
    return replace(
        whole,
        findings={key: found for key, found in whole.findings.items() if key[1] == code},
        choice=None,
        adjusted=None,
        after={key: found for key, found in whole.after.items() if key[1] == code},
        plain=(),
        others={},
    )


def for_evaluation(evaluation: Evaluation, what: str, compute: Callable[[], Result]) -> Result:
    """What is computed from an evaluation alone, once for the reports of a run.

    Parameters
    ----------
    evaluation : Evaluation
    what : str
        Says what is computed, with everything besides the evaluation that it depends on.
    compute : callable
        Without arguments.
    """
    if not at_hand():
        return compute()
    key = evaluation._key
    if key is None:
        return compute()
    mark = hashlib.sha256(what.encode()).hexdigest()
    return shared(f"{key}-{mark}", compute)


def _plain(one: object) -> object:
    """A value as JSON can say it: all fields of what has fields, whatever it shows of itself."""
    if is_dataclass(one):
        return {field.name: getattr(one, field.name) for field in fields(one)}
    if isinstance(one, BaseModel):
        return one.model_dump(mode="json")
    return dict(one) if isinstance(one, Mapping) else str(one)
