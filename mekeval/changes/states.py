"""Estimates of a study with the data of one day and by the definition of one day: what a change is taken apart with.

In: studies and days. Out: estimates by outcome and subject, without checks and verdicts, which take most of the time.
Never: an estimate other than the one that `evaluate` gives.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from ..design import Design, study_design
from ..errors import MekevalError
from ..estimate import Effects, aggregate, contrast, group_time_att, unit_contrast
from ..evaluation import ALL, Evaluation
from ..evaluation.beside import in_every_wave
from ..evaluation.elsewhere import Elsewhere, judge, look_elsewhere, speaks_of
from ..indicators import Indicators, clean_indicators
from ..panel import build_panel
from ..reference import ReferenceAreas, reference_areas
from ..study import Study
from .sides import raw_inputs, twelve


@dataclass(frozen=True, kw_only=True)
class State:
    """A definition with the data that it reads.

    Attributes
    ----------
    study : Study
    indicators : Indicators
    references : ReferenceAreas or None
    """

    study: Study
    indicators: Indicators
    references: ReferenceAreas | None


def state_of(study: Study, day: datetime.date | None) -> State:
    """Read the data of a study that were published by a day; raises as `clean_indicators`."""
    return State(
        study=study,
        indicators=clean_indicators(study, as_of=day),
        references=reference_areas(study, as_of=day),
    )


def state_behind(evaluation: Evaluation) -> State:
    """What an evaluation was made from."""
    return State(study=evaluation.study, indicators=evaluation.indicators, references=evaluation.references)


def estimates_at(
    state: State, year: int, wanted: Collection[tuple[str, str]]
) -> dict[tuple[str, str], float]:
    """Estimates as `evaluate` would give them.

    Parameters
    ----------
    state : State
    year : int
    wanted : collection of (str, str)
        Outcomes and subjects.

    Returns
    -------
    dict
        Without those that cannot be estimated; empty where the year cannot be evaluated.
    """
    study = state.study
    try:
        panel = build_panel(state.indicators.table, units=study.areas.units, last_period=year)
        design = study_design(study, last_period=year)
        elsewhere = None
        if study.plan.comparison != "city":
            elsewhere = look_elsewhere(study, state.indicators, state.references, year=year)
    except MekevalError:
        return {}
    found = {}
    for outcome in dict.fromkeys(outcome for outcome, _ in wanted):
        try:
            effects = group_time_att(panel, design, outcome=outcome)
        except MekevalError:
            continue
        for subject in (subject for name, subject in wanted if name == outcome):
            try:
                found[outcome, subject] = _estimate(study, design, effects, elsewhere, outcome, subject, year)
            except MekevalError:
                continue
    return {key: value for key, value in found.items() if twelve(value) is not None}


def _estimate(
    study: Study,
    design: Design,
    effects: Effects,
    elsewhere: Elsewhere | None,
    outcome: str,
    subject: str,
    year: int,
) -> float:
    if elsewhere is not None and speaks_of(elsewhere, outcome):
        treated = in_every_wave(study, design, year) if subject == ALL else (subject,)
        result = judge(
            elsewhere,
            design,
            outcome=outcome,
            treated=treated,
            label=subject,
            year=year,
            alpha=study.plan.alpha,
            checked=False,
        )
        return float(result.inference.estimate)
    if subject == ALL:
        return float(contrast(effects, aggregate(effects, by="simple").weights[0], label=ALL).att)
    return float(unit_contrast(effects, subject).att)


def with_sources(study: Study, inputs: Mapping[str, str]) -> Study | None:
    """A study that reads only the raw files a set was made from; None where one of them is not at hand as it was.

    Parameters
    ----------
    study : Study
    inputs : mapping of str to str
        sha256 by "raw:" and name, as in a manifest.
    """
    wanted = {name: sha for name, sha in inputs.items() if name.startswith("raw:")}
    here = raw_inputs(study, None)
    if not wanted or any(here.get(name) != sha for name, sha in wanted.items()):
        return None
    keep = [at for at, one in enumerate(study.spec.source) if f"raw:{one.file}" in wanted]
    return _reading(study, study, keep)


def with_data_of(study: Study, other: Study) -> Study:
    """The definition of one study on the raw files of another, as far as it knows their items."""
    return _reading(study, other, range(len(other.spec.source)))


def _reading(study: Study, other: Study, keep: Collection[int]) -> Study:
    known = {item.name for item in study.spec.item}
    sources, paths = [], []
    for at in keep:
        source = other.spec.source[at]
        items = tuple(name for name in source.items if name in known)
        if items or not source.items:
            sources.append(source.model_copy(update={"items": type(source.items)(items)}))
            paths.append(other.paths[at])
    spec = study.spec.model_copy(update={"source": type(study.spec.source)(sources)})
    return replace(study, spec=spec, paths=tuple(paths))
