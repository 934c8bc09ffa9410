"""The checks of a result: how long it takes to ask all of them.

A made-up city of 60 areas and 15 years with five treated areas, a clear effect, neighbours, parts of the city, homes
and 24 other cities, so that every check is made: judged within the city by permutation, and by the rule placebo. Then
the embedded example as a whole: every outcome, for the programme and each of its districts. Ours is the median of three
runs (one with --quick) in one process with one thread of linear algebra; no package that we know of has such checks.
"""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")

from pathlib import Path

import numpy as np
from rows import Row, arguments, row, seconds, show

from mekeval import Panel, evaluate, example_study
from mekeval.design import Rule, make_design
from mekeval.sensitivity import (
    CityQuestion,
    RuleQuestion,
    Surroundings,
    answer,
    ask,
    city_checks_of,
    rule_checks_of,
)

AREAS, YEARS, CITIES, K = 60, tuple(range(2010, 2025)), 25, 5
START, EFFECT = 2019, -3.0
TARGET = "city 00"


def country(seed: int = 8) -> Panel:
    """Cities of as many areas; the five worst of the first fall by the effect, and everything else is noise."""
    rng = np.random.default_rng(seed)
    n, t = AREAS * CITIES, len(YEARS)
    units = tuple(f"{at // AREAS:02}{at % AREAS:02}" for at in range(n))
    people = np.round(
        4000 * np.exp(rng.normal(0, 0.4, (n, 1)) + 0.005 * rng.normal(size=(n, t)).cumsum(axis=1))
    )
    rate = 15 + 3 * rng.normal(size=(n, 1)) + 0.4 * rng.normal(size=(n, t))
    after = np.array(YEARS) >= START
    rate[worst(rate)] += EFFECT * after
    values = {"rate": rate, "persons": people, "dwellings": np.round(people / 2)}
    return Panel(
        units=units,
        periods=YEARS,
        values=values,
        bases=dict.fromkeys(values, people),
        reasons={name: np.full((n, t), "ok") for name in values},
    )


def worst(rate: np.ndarray) -> np.ndarray:
    """The areas of the first city that the rule chooses."""
    return np.argsort(-rate[:AREAS, YEARS.index(START - 1)], kind="stable")[:K]


def questions(panel: Panel) -> tuple[CityQuestion, RuleQuestion, Surroundings]:
    """The same programme judged within its city and against the others."""
    own = panel.units[:AREAS]
    at = np.flatnonzero(panel.values["rate"][:AREAS, -1] < panel.values["rate"][:AREAS, 0] + EFFECT / 2)
    treated = tuple(own[one] for one in at[:K])
    part = {name: values[:AREAS] for name, values in panel.values.items()}
    alone = Panel(
        units=own,
        periods=YEARS,
        values=part,
        bases=dict.fromkeys(part, part["persons"]),
        reasons={name: np.full(values.shape, "ok") for name, values in part.items()},
    )
    within = CityQuestion(panel=alone, design=make_design(own, [(START, YEARS[-1], treated)]), outcome="rate")
    beyond = RuleQuestion(
        panel=panel,
        rule=Rule(criteria={"rate": START - 1}, choose=K),
        outcome="rate",
        pre=tuple(year for year in YEARS if year < START),
        post=tuple(year for year in YEARS if year >= START),
        city_of={unit: f"city {unit[:2]}" for unit in panel.units},
        target=TARGET,
        treated=treated,
        population="persons",
    )
    beside = {unit: (own[(one + 1) % AREAS], own[one - 1]) for one, unit in enumerate(own)}
    about = Surroundings(
        neighbours=beside,
        parent={unit: f"part {one % 3}" for one, unit in enumerate(own)},
        breaks=(2005,),
        elsewhere=panel,
        others=panel.units[AREAS:],
    )
    return within, beyond, about


def measure(*, quick: bool, raw: Path | None) -> list[Row]:
    """All rows of this benchmark."""
    del raw  # all data are made up
    repeat = 1 if quick else 3
    within, beyond, about = questions(country())
    whole, placebo = answer(within), ask(beyond)
    asked = {
        "within the city": lambda: city_checks_of(within, whole, about),
        "rule placebo, 24 cities": lambda: rule_checks_of(beyond, placebo, about),
    }
    rows = []
    for name, work in asked.items():
        n = len(work())
        size = f"{AREAS} areas, {len(YEARS)} years, {name}"
        rows.append(
            row(f"all {n} checks of one outcome", size, seconds(work, repeat=repeat), "s", at_most=3.0)
        )
    study = example_study()
    spent = seconds(lambda: evaluate(study, year=2025), repeat=repeat)
    rows.append(
        row("all outcomes of the embedded study, with cleaning", "28 findings", spent, "s", at_most=10.0)
    )
    return rows


if __name__ == "__main__":
    options = arguments(__doc__ or "")
    show(measure(quick=options.quick, raw=options.raw), as_json=options.json)
