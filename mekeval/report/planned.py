"""Whether an analysis keeps to the plan that was locked, and which results the plan does not rest on.

In: an evaluation. Out: warnings, paragraphs and a table. Never: a deviation without a word.
"""

from __future__ import annotations

import datetime
import json
import re

from ..evaluation import Evaluation
from ..shipped import version
from ..study import PlanState, Study
from ..tables import Column, Table
from ..text import Texts

#: Values longer than this are cut in the table of deviations: `mekeval plan show` has them whole.
_LONGEST = 160


class _OfCandidates(Texts):
    """Texts in which areas without a programme are called candidates: own ones, else others with words exchanged.

    Only words of the texts are exchanged: a name that is filled in stays as it is.
    """

    def __init__(self, language: str) -> None:
        super().__init__(language)
        given = self._strings
        words = dict(pair.split(" => ", 1) for pair in given["candidate.words"].split(" | "))
        # The longest first, each place once.
        every = re.compile("|".join(map(re.escape, sorted(words, key=len, reverse=True))))
        exchanged = {
            key: text if key.startswith("plan.") else every.sub(lambda found: words[found.group()], text)
            for key, text in given.items()
        }
        start = "candidate."
        own = {key.removeprefix(start): text for key, text in given.items() if key.startswith(start)}
        self._strings = {**exchanged, **own}


def worded(study: Study, texts: Texts) -> Texts:
    """The texts of a study: of one whose areas are only candidates without a programme that they had been in."""
    return _OfCandidates(texts.language) if study.programme.hypothetical else texts


def outcome_label(study: Study, outcome: str, texts: Texts) -> str:
    """What an indicator is called, with its role where the plan does not count it among the primary ones."""
    return marked(study, outcome, study.indicator(outcome).label.text(texts.language), texts)


def marked(study: Study, outcome: str, said: str, texts: Texts) -> str:
    """What is said of an indicator, with its role where the plan does not count it among the primary ones."""
    role = study.plan_state.roles.get(outcome, "exploratory")
    return said if role == "primary" else texts("plan.labelled", said=said, role=texts(f"plan.role.{role}"))


def first_warnings(evaluation: Evaluation, texts: Texts) -> list[str]:
    """What a reader must know before any result: that there is no programme, or no plan that was kept."""
    none = [texts("plan.warning.hypothetical")] if evaluation.study.programme.hypothetical else []
    planned = plan_warning(evaluation, texts)
    return [*none, *([planned] if planned else [])]


def plan_warning(evaluation: Evaluation, texts: Texts) -> str:
    """What a reader must know before any result, where no plan was locked, or late, or it was changed; else nothing."""
    state = evaluation.study.plan_state
    if state.state == "unlocked" or state.date is None:
        return texts("plan.warning.unlocked")
    if state.state != "changed":
        known, total = _published(evaluation.study, state.date)
        return texts("plan.warning.late", date=texts.date(state.date)) if known == total else ""
    keys = "; ".join(state.unexplained)
    return texts("plan.warning.changed", date=texts.date(state.date), keys=keys)


def plan_paragraphs(evaluation: Evaluation, texts: Texts) -> list[str]:
    """When the plan was locked, whether the analysis keeps to it, and what the lock can vouch for."""
    study, state = evaluation.study, evaluation.study.plan_state
    roles = set(state.roles.values())
    lines = [texts(f"plan.means.{role}") for role in ("secondary", "exploratory") if role in roles]
    if state.date is None:
        return [texts("plan.unlocked"), *lines]
    said = [texts("plan.locked", date=texts.date(state.date), commit=_commit(state, texts))]
    if state.earlier:
        days = texts.join([texts.date(day) for day in dict.fromkeys(state.earlier)])
        said.append(texts("plan.again", dates=days))
    known, total = _published(study, state.date)
    case = "none" if not known else "all" if known == total else "some"
    said.append(texts(f"plan.seen.{case}", n=texts.number(known), total=texts.number(total)))
    began = min((wave.first for wave in study.spec.waves), default=state.date.year + 1)
    if began <= state.date.year:
        said.append(texts("plan.began", year=began))
    if state.version != version():
        said.append(texts("plan.version", locked=state.version, now=version()))
    said.append(texts(f"plan.{state.state}"))
    return [" ".join(said), *lines]


def deviation_table(evaluation: Evaluation, texts: Texts) -> list[Table]:
    """Each place that differs from the locked plan, with its reason; nothing where none does."""
    state = evaluation.study.plan_state
    if not state.deviations:
        return []
    rows = []
    for one in state.deviations:
        reason = one.reason.text(texts.language) if one.reason else texts("plan.no_reason")
        day = f" ({texts.date(one.date)})" if one.date else ""
        rows.append((one.key, _written(one.locked, texts), _written(one.now, texts), reason + day))
    return [
        Table(
            caption=texts("plan.caption"),
            columns=tuple(
                Column(label=texts(f"plan.column.{name}")) for name in ("key", "locked", "now", "reason")
            ),
            rows=tuple(rows),
        )
    ]


def _commit(state: PlanState, texts: Texts) -> str:
    if not state.commit:
        return texts("plan.commit.none")
    return texts("plan.commit.dirty" if state.dirty else "plan.commit.clean", commit=state.commit[:12])


def _published(study: Study, day: datetime.date) -> tuple[int, int]:
    """How many of the raw files with the outcomes may have been public by a day, and how many files there are.

    Where only the year of publication is known, the whole year counts.
    """
    items = {item for outcome in study.spec.outcomes for item in study.indicator(outcome).items}
    first = {
        source.file: source.published or datetime.date(source.vintage, 1, 1)
        for source in study.spec.source
        if items & set(source.items)
    }
    return sum(one <= day for one in first.values()), len(first)


def _written(value: str, texts: Texts) -> str:
    """A value of a plan, as JSON, in a reader's form: lists with commas, a list of areas by its file and hash."""
    if not value:
        return texts("plan.absent")
    content = json.loads(value)
    if isinstance(content, dict):
        said = ", ".join(
            f"{name}: {str(part)[:12] if name == 'sha256' else part}" for name, part in content.items()
        )
    elif isinstance(content, list):
        said = ", ".join(map(str, content))
    else:
        said = "" if content is None else str(content)
    said = said if len(said) <= _LONGEST else said[: _LONGEST - 1] + "\N{HORIZONTAL ELLIPSIS}"
    return said or texts("plan.absent")
