"""What stands beside the verdicts and changes none: plain differences, and what other estimators say.

In: a study, its panel and design. Out: `PlainReading`s and tables. Never: a verdict.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from ..design import Design, plain_design
from ..display import Shown
from ..errors import DesignError
from ..estimate import ESTIMATORS, aggregate, contrast, group_time_att, known_estimators, side_by_side
from ..inference import Inference, infer
from ..panel import Panel
from ..study import Study


@dataclass(frozen=True, kw_only=True, repr=False)
class PlainReading(Shown):
    """A difference as slides show it: the named areas against everybody else, no path, no check.

    Attributes
    ----------
    outcome : str
    areas : tuple of str
    pre, post : tuple of int
        Years whose means are compared.
    inference : Inference
    """

    outcome: str
    areas: tuple[str, ...]
    pre: tuple[int, ...]
    post: tuple[int, ...]
    inference: Inference


def plain_readings(study: Study, panel: Panel, design: Design, outcome: str, year: int) -> list[PlainReading]:
    """The first wave's areas, and those that stayed in every wave, each against all the rest."""
    waves = study.programme.wave
    first_wave = study.wave_areas[0]
    always = in_every_wave(study, design, year)
    stayed = tuple(code for code in first_wave if code in always)
    readings = []
    for areas in dict.fromkeys((first_wave, stayed)):
        try:
            plain = plain_design(design, study.areas.units, areas, first=waves[0].first, last=year)
            effects = group_time_att(panel, plain, outcome=outcome)
            tested = contrast(effects, aggregate(effects, by="simple").weights[0], label=", ".join(areas))
            result = infer(tested, alpha=study.plan.alpha, seed=study.spec.study.seed)
        except DesignError:
            continue  # the findings of the same outcome say why it cannot be estimated
        used = effects.cells
        readings.append(
            PlainReading(
                outcome=outcome,
                areas=tuple(
                    unit for unit, group in zip(effects.units, effects.group, strict=True) if group >= 0
                ),
                pre=tuple(int(base) for base in str(used["base"].iloc[0]).split(", ")),
                post=tuple(int(period) for period in used.loc[used["phase"] == "on", "period"]),
                inference=result,
            )
        )
    return readings


def other_estimates(
    study: Study, panel: Panel, design: Design, outcomes: Iterable[str]
) -> dict[str, pd.DataFrame]:
    """What the study's other estimators say of each outcome; empty where it names none.

    Raises
    ------
    DesignError
        A name is no estimator.
    """
    wanted = study.spec.other_estimates
    if wanted is None:
        return {}
    known = known_estimators(wanted.estimators, ESTIMATORS, where="study.toml, other_estimates.estimators")
    return {name: side_by_side(panel, design, outcome=name, estimators=known) for name in outcomes}


def in_every_wave(study: Study, design: Design, year: int) -> tuple[str, ...]:
    """The areas that were in the programme in every wave so far; those of the first wave where there are none."""
    begun = [
        set(codes)
        for wave, codes in zip(study.programme.wave, study.wave_areas, strict=True)
        if wave.first <= year
    ]
    always = set.intersection(*begun)
    return tuple(unit for unit in design.treated if unit in (always or begun[0]))
