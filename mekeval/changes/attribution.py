"""Why an estimate changed: the way from the old one to the new one in steps, each with one thing changed.

In: the old and the new definition and data. Out: parts that add up to the change exactly. Never: a part that was
guessed: what cannot be told apart is one part with several causes, and what cannot be evaluated has none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ..errors import MekevalError
from ..evaluation import Evaluation
from ..study import Study, planned
from .compared import definitions
from .difference import CAUSES, Cause, FindingChange, Part, exact
from .sides import Side
from .states import State, estimates_at, state_behind, state_of, with_data_of, with_sources

_Estimates = Mapping[tuple[str, str], float]


@dataclass(frozen=True, kw_only=True)
class Step:
    """What is changed to reach a state, and the state with its year; no state is the published new estimate."""

    causes: tuple[Cause, ...]
    state: State | None
    year: int


@dataclass(frozen=True, kw_only=True)
class Behind:
    """What stands behind two sides, as far as it is at hand.

    Attributes
    ----------
    old : State
        The old data by the old definition, or by the new one where the old one is not at hand (`old_definition`).
    between : State or None
        The new data by the old definition; None where that cannot be read.
    new : State
    same_data, same_definition : bool
    old_definition : bool
    evaluated : bool
        Whether the sides are evaluations of now, so that their estimates need not be found again.
    """

    old: State
    between: State | None
    new: State
    same_data: bool
    same_definition: bool
    old_definition: bool
    evaluated: bool


def behind_evaluations(old: Evaluation, new: Evaluation) -> Behind:
    """What stands behind two evaluations."""
    states = state_behind(old), state_behind(new)
    same_definition = _same_definition(old.study, new.study)
    same_data = old.indicators.as_of == new.indicators.as_of and old.study.paths == new.study.paths
    return Behind(
        old=states[0],
        between=states[1] if same_definition else _between(old.study, new.study, states, same_data),
        new=states[1],
        same_data=same_data,
        same_definition=same_definition,
        old_definition=True,
        evaluated=True,
    )


def behind_sets(old: Side, new: Side, study: Study, old_study: Study | None) -> Behind | None:
    """What stands behind two published sets; None where a raw file of either is not at hand as it was."""
    before = with_sources(old_study or study, old.inputs)
    now = with_sources(study, new.inputs)
    if before is None or now is None:
        return None
    same_definition = old_study is None and _as_published(old, study)
    if old_study is not None:
        same_definition = _same_definition(old_study, study)
    raws = [
        {name: sha for name, sha in side.inputs.items() if name.startswith("raw:")} for side in (old, new)
    ]
    same_data = raws[0] == raws[1] and old.as_of == new.as_of
    try:
        state = state_of(now, new.as_of)
        alike = same_data and (same_definition or old_study is None)
        first = state if alike else state_of(before, old.as_of)
    except MekevalError:
        return None
    known = old_study is not None or same_definition
    states = (first, state)
    return Behind(
        old=first,
        between=state if same_definition or not known else _between(before, now, states, same_data),
        new=state,
        same_data=same_data,
        same_definition=same_definition,
        old_definition=known,
        evaluated=False,
    )


def _between(old: Study, new: Study, states: tuple[State, State], same_data: bool) -> State | None:
    """The old definition on the new data."""
    if same_data:
        return states[0]
    try:
        return state_of(with_data_of(old, new), states[1].indicators.as_of)
    except MekevalError:
        return None


def _same_definition(old: Study, new: Study) -> bool:
    if old is new or old.sha256 == new.sha256:
        return True
    plans = (planned(one.folder, one.spec) for one in (old, new))
    return not list(definitions(*plans))


def _as_published(side: Side, study: Study) -> bool:
    """Whether a study is still what a set was made from."""
    if side.definition == study.sha256:
        return True
    return side.planned is not None and not list(definitions(side.planned, planned(study.folder, study.spec)))


def steps_of(behind: Behind, old: Side, new: Side, years: tuple[int, int]) -> list[Step]:
    """The way from the old estimate to the new one."""
    same_code = (old.code, old.version, old.packages) == (new.code, new.version, new.packages)
    method: Cause = "unexplained" if same_code else "method"
    steps = []
    if not behind.evaluated:
        causes: tuple[Cause, ...] = (method,)
        if not behind.old_definition:
            causes = ("definition",) if same_code else ("definition", "method")
        steps.append(Step(causes=causes, state=behind.old, year=years[0]))
    carried: tuple[Cause, ...] = ()
    if not behind.same_data:
        carried = ("revised_data",)
    if behind.between is not None:
        if carried:
            steps.append(Step(causes=carried, state=behind.between, year=years[0]))
            carried = ()
        if years[0] != years[1]:
            steps.append(Step(causes=("new_year",), state=behind.between, year=years[1]))
    elif years[0] != years[1]:
        carried = (*carried, "new_year")
    if behind.old_definition and not behind.same_definition:
        carried = (*carried, "definition")
    if behind.evaluated:
        # The last state is the new evaluation itself.
        steps = steps if carried else steps[:-1]
        last = carried or (
            ("new_year",) if years[0] != years[1] else () if behind.same_data else ("revised_data",)
        )
        return [*steps, Step(causes=last, state=None, year=years[1])] if last else []
    if carried:
        steps.append(Step(causes=carried, state=behind.new, year=years[1]))
    return [*steps, Step(causes=(method,), state=None, year=years[1])]


def attributed(changes: Iterable[FindingChange], behind: Behind, old: Side, new: Side) -> list[FindingChange]:
    """Findings with the parts of their change, where they have estimates on both sides."""
    changes = list(changes)
    open_ = [at for at, one in enumerate(changes) if one.change and not one.hidden]
    wanted = tuple(dict.fromkeys((changes[at].outcome, changes[at].subject) for at in open_))
    known: dict[tuple[int, int], _Estimates] = {}
    for at in open_:
        one = changes[at]
        levels: list[tuple[Step, _Estimates | None]] = []
        for step in steps_of(behind, old, new, (one.old_year, one.new_year)):
            if step.state is None:
                levels.append((step, None))
                continue
            place = (id(step.state), step.year)
            if place not in known:
                known[place] = estimates_at(step.state, step.year, wanted)
            levels.append((step, known[place]))
        parts = _parts(one, levels)
        told = any(part.causes != ("unexplained",) for part in parts)
        changes[at] = replace(one, parts=parts if told else (), unattributed="" if told else "not_reproduced")
    return changes


def _parts(one: FindingChange, levels: Sequence[tuple[Step, _Estimates | None]]) -> tuple[Part, ...]:
    """Differences between neighbouring states; over a state that has no estimate, causes are joined."""
    if one.old is None or one.new is None or one.old.estimate is None or one.new.estimate is None:
        return ()
    before = exact(one.old.estimate)
    found: dict[tuple[Cause, ...], Part] = {}
    waiting: tuple[Cause, ...] = ()
    for step, estimates in levels:
        waiting = tuple(dict.fromkeys((*waiting, *step.causes)))
        level = one.new.estimate if estimates is None else estimates.get((one.outcome, one.subject))
        if level is None:
            continue
        value = exact(level) - before
        causes = tuple(sorted(waiting, key=CAUSES.index))
        earlier = found.get(causes)
        found[causes] = Part(causes=causes, value=value + (earlier.value if earlier else 0))
        before, waiting = exact(level), ()
    parts = [part for part in found.values() if part.value]
    return tuple(sorted(parts, key=lambda part: [CAUSES.index(cause) for cause in part.causes]))
