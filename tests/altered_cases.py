"""Questions to small panels whose answer is known by construction, for the tests of the checks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from mekeval import Panel
from mekeval.design import Rule, make_design
from mekeval.sensitivity import (
    Check,
    CityQuestion,
    RuleQuestion,
)
from mekeval.sensitivity import questions as q
from mekeval.text import LANGUAGES, Texts

YEARS = tuple(range(2010, 2020))
START = 2016
TREATED = ("t0", "t1", "t2")
OTHERS = tuple(f"c{at:02}" for at in range(20))
UNITS = (*TREATED, *OTHERS)
#: Twenty comparison units against three: C(23, 3) = 1771 treated sets, so the smallest p-value is 1/1771.
NOISE = np.random.default_rng(4).normal(0, 0.1, (len(UNITS), len(YEARS)))
AFTER = np.array([year >= START for year in YEARS], dtype=float)
LEVEL = np.linspace(30, 52, len(UNITS))[:, None]


def panel_of(
    values: np.ndarray, *, persons: np.ndarray | None = None, units: tuple[str, ...] = UNITS
) -> Panel:
    """A panel by its arrays, years from 2010 on."""
    years = tuple(range(2010, 2010 + values.shape[1]))
    people = np.full(values.shape, 1000.0) if persons is None else persons
    reasons = np.where(np.isnan(values), "missing", "ok")
    return Panel(
        units=units, periods=years, values={"y": values}, bases={"y": people}, reasons={"y": reasons}
    )


def city(
    added: dict[str, np.ndarray] | None = None,
    *,
    waves: tuple[tuple[int, int, tuple[str, ...]], ...] = ((START, 2019, TREATED),),
    persons: np.ndarray | None = None,
    unit: str | None = None,
    gaps: tuple[tuple[str, int], ...] = (),
    pre_years: int | None = None,
    partial_years: int = 0,
) -> CityQuestion:
    """Flat levels with noise; `added` to units, by name; treated ones fall by 5 from 2016 on where nothing is said."""
    values = LEVEL + NOISE
    for name, path in (dict.fromkeys(TREATED, -5 * AFTER) if added is None else added).items():
        values[UNITS.index(name)] += path
    for name, year in gaps:
        values[UNITS.index(name), YEARS.index(year)] = np.nan
    design = make_design(UNITS, waves, pre_years=pre_years, partial_years=partial_years)
    return CityQuestion(panel=panel_of(values, persons=persons), design=design, outcome="y", unit=unit)


N_CITIES, SIZE = 15, 14
AREAS = tuple(f"{chr(97 + at)}{one:02}" for at in range(N_CITIES) for one in range(SIZE))
CHOSEN = ("a12", "a13")
PRE, POST = tuple(range(2010, 2016)), tuple(range(2016, 2020))
#: Two areas of each city stand out; the others are so close that noise changes their ranks.
RULE_LEVEL = np.tile([*np.linspace(20, 23, SIZE - 2), 27.0, 28.0], N_CITIES)[:, None]


def elsewhere(
    added: dict[str, np.ndarray] | None = None,
    *,
    persons: np.ndarray | None = None,
    gaps: tuple[tuple[str, int], ...] = (),
    treated: tuple[str, ...] = CHOSEN,
) -> RuleQuestion:
    """Fifteen cities alike; the two worst areas of city a fall by 5 from 2016 on where nothing else is said."""
    rng = np.random.default_rng(8)
    values = RULE_LEVEL + rng.normal(0, 0.2, (len(AREAS), len(YEARS)))
    people = 2000 * np.exp(rng.normal(0, 0.002, values.shape)) if persons is None else persons
    for name, path in (dict.fromkeys(CHOSEN, -5 * AFTER) if added is None else added).items():
        values[AREAS.index(name)] += path
    for name, year in gaps:
        values[AREAS.index(name), YEARS.index(year)] = np.nan
    panel = Panel(
        units=AREAS,
        periods=YEARS,
        values={"y": values, "people": people},
        bases={"y": people, "people": people},
        reasons={name: np.where(np.isnan(values), "missing", "ok") for name in ("y", "people")},
    )
    return RuleQuestion(
        panel=panel,
        rule=Rule(criteria={"y": 2015}, choose=2),
        outcome="y",
        pre=PRE,
        post=POST,
        city_of={unit: unit[0] for unit in AREAS},
        target="a",
        treated=treated,
        population="people",
        discretionary=(),
        set_aside=(),
        exclude={},
        smallest_area=300.0,
        alpha=0.05,
    )


BOTH = pytest.mark.parametrize("build", [city, elsewhere])
Build = Callable[..., CityQuestion | RuleQuestion]


def heard(check: Check, passed: bool | None, reason: str) -> Check:
    """The answer expected; numbers that are finite; and a text in every language that the facts can fill."""
    assert (check.passed, check.reason) == (passed, reason), (check.facts, check.table)
    for name, value in check.facts.items():
        assert isinstance(value, str) or np.isfinite(value), name
    for language in LANGUAGES:
        assert Texts(language)(f"reason.{check.name}.{check.reason}", **check.facts)
    return check


def treated_of(question: CityQuestion | RuleQuestion) -> tuple[str, ...]:
    return q.treated_units(question)


def plus(question: CityQuestion | RuleQuestion, name: str, path: np.ndarray) -> CityQuestion | RuleQuestion:
    """The same with a path added to one unit."""
    values = question.panel.values["y"].copy()
    values[question.panel.units.index(name)] += path
    panel = replace(question.panel, values={**question.panel.values, "y": values})
    return replace(question, panel=panel)


def few(n: int) -> CityQuestion:
    """One treated unit against n others."""
    units = ("t0", *OTHERS[:n])
    rows = [UNITS.index(unit) for unit in units]
    whole = city()
    return CityQuestion(
        panel=panel_of(whole.panel.values["y"][rows], units=units),
        design=make_design(units, [(START, 2019, ["t0"])]),
        outcome="y",
    )
