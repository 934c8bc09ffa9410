"""Verdicts on simulated studies whose truth is known.

A simulated country has a city of 50 areas with a programme and 24 cities of 50 areas without one, over 15 years. Areas
differ in level and size; rates of small areas are noisy; the worse an area is, the more it drifts upwards, everywhere.
The five areas that are worst by the rule are treated from the ninth year on. Every study goes the same way as a report:
the rule placebo, its checks, `conclude`. The minimum detectable effect is that of the same study before anything is
added to it. Scenarios:

- one outlier district: one of the five falls by 7.5 times that effect, the others not at all
- anticipation: twice the effect, from three years before the start on
- spillover: ten areas of the comparison, which border on the treated ones, fall as much as these
- composition: no effect on residents; new housing adds 45 % people whose rate is a third of theirs
- harder: for information, a country that is less like what the method assumes: 14 other cities of 30 to 80 areas, areas
  that differ more in size, twice the drift, a drift that differs from city to city by a half, shocks that fade (0.7 of
  one is left after a year) and noise with heavy tails (t with 4 degrees of freedom)

In: nothing. Out: for each scenario how often each verdict was given; `--write` puts it into docs/verdicts.md.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from mekeval import MekevalError
from mekeval.design import Rule
from mekeval.findings import VERDICTS, Finding, conclude
from mekeval.panel import Floats, Panel
from mekeval.run.cluster import as_here, on_cluster
from mekeval.sensitivity import Check, RuleQuestion, Surroundings, ask, rule_checks_of, rule_placebo_inference

YEARS = tuple(range(2010, 2025))
START, PRE, POST = 2018, tuple(range(2011, 2018)), tuple(range(2019, 2025))
AREAS = 50
BEGIN, END = "<!-- written by benchmarks/verdicts.py -->", "<!-- end -->"
K = 5


@dataclass(frozen=True)
class World:
    """A simulated country before any programme: rates in per cent, persons, and how areas lie."""

    rates: Floats
    persons: Floats
    units: tuple[str, ...]
    city: tuple[str, ...]
    chosen: tuple[int, ...]
    beside: tuple[int, ...]


@dataclass(frozen=True)
class Setting:
    """What a simulated country is like.

    Attributes
    ----------
    sizes : tuple of int
        Areas of each city without a programme.
    spread : float
        Standard deviation of log persons.
    drift : float
        Points a year by which an area drifts for each standard deviation that it is worse.
    between : float
        Standard deviation of the drift between cities, in times the drift.
    kept : float
        How much of a year's shock is left a year later; 1 is a random walk.
    tails : float
        Degrees of freedom of the noise; infinite is normal.
    """

    sizes: tuple[int, ...] = (50,) * 24
    spread: float = 0.6
    drift: float = 0.06
    between: float = 0.0
    kept: float = 1.0
    tails: float = np.inf


HARDER = Setting(
    sizes=tuple(int(size) for size in np.linspace(30, 80, 14)),
    spread=0.9,
    drift=0.12,
    between=0.5,
    kept=0.7,
    tails=4.0,
)


def world(rng: np.random.Generator, like: Setting | None = None) -> World:
    """One country: persistent levels, drift that grows with disadvantage, noise that falls with size."""
    like = like or Setting()
    sizes = [AREAS, *like.sizes]
    city = np.repeat([f"city {at:02d}" for at in range(len(sizes))], sizes)
    n = len(city)
    persons = np.exp(rng.normal(np.log(3_000), like.spread, n)).clip(500, 20_000)
    level = rng.normal(15, 3.5, n).clip(4, 35)
    worse = (level - 15) / 3.5
    steps = rng.normal(0, 0.25, (n, len(YEARS)))
    for at in range(1, len(YEARS)):
        steps[:, at] += like.kept * steps[:, at - 1]
    slope = np.full(n, like.drift)
    if like.between:
        slope *= np.repeat(rng.normal(1, like.between, len(sizes)), sizes)
    drift = (slope * worse + rng.normal(0, 0.03, n))[:, None] * np.arange(len(YEARS))
    common = rng.normal(0, 0.5, len(YEARS)).cumsum()
    noise = rng.normal(0, 1, (n, len(YEARS))) * np.sqrt(level * (100 - level) / persons)[:, None]
    if np.isfinite(like.tails):  # a t distribution of the same variance
        noise *= np.sqrt((like.tails - 2) / rng.chisquare(like.tails, noise.shape))
    rates = (level[:, None] + steps + drift + common + noise).clip(0.5, 90)
    growth = rng.normal(0.005, 0.01, n)[:, None] * np.arange(len(YEARS))
    own = np.flatnonzero(city == "city 00")
    base = rates[own, YEARS.index(PRE[-1])]
    order = own[np.argsort(-base, kind="stable")]
    chosen = tuple(int(at) for at in order[:K])
    return World(
        rates=rates,
        persons=persons[:, None] * np.exp(growth),
        units=tuple(f"{at:05d}" for at in range(n)),
        city=tuple(city),
        chosen=chosen,
        beside=tuple(int(at) for at in order[10:20]),
    )


def question_of(simulated: World, rates: Floats, persons: Floats) -> RuleQuestion:
    """What a study would ask of this country."""
    values = {"rate": rates, "persons": persons}
    panel = Panel(
        units=simulated.units,
        periods=YEARS,
        values=values,
        bases=dict.fromkeys(values, persons),
        reasons={name: np.full(rates.shape, "ok") for name in values},
    )
    return RuleQuestion(
        panel=panel,
        rule=Rule(criteria={"rate": PRE[-1]}, choose=K),
        outcome="rate",
        pre=PRE,
        post=POST,
        city_of=dict(zip(simulated.units, simulated.city, strict=True)),
        target="city 00",
        treated=tuple(simulated.units[at] for at in simulated.chosen),
        population="persons",
        discretionary=(),
        set_aside=(),
        exclude={},
        smallest_area=300.0,
        alpha=0.05,
    )


def _after(since: int = START) -> Floats:
    return np.array([float(year >= since) for year in YEARS])


def nothing(simulated: World, size: float) -> tuple[Floats, Floats]:
    """No effect; the worst areas drift as they do everywhere."""
    return simulated.rates, simulated.persons


def effect(simulated: World, size: float) -> tuple[Floats, Floats]:
    """Every treated area falls by the size, from the start on."""
    rates = simulated.rates.copy()
    rates[list(simulated.chosen)] -= size * _after()
    return rates, simulated.persons


def outlier(simulated: World, size: float) -> tuple[Floats, Floats]:
    """One treated area falls by five times the size, the others not at all."""
    rates = simulated.rates.copy()
    rates[simulated.chosen[0]] -= K * size * _after()
    return rates, simulated.persons


def early(simulated: World, size: float) -> tuple[Floats, Floats]:
    """The change begins three years before the start."""
    rates = simulated.rates.copy()
    rates[list(simulated.chosen)] -= size * _after(START - 3)
    return rates, simulated.persons


def spilt(simulated: World, size: float) -> tuple[Floats, Floats]:
    """The areas beside the treated ones fall by as much."""
    rates = simulated.rates.copy()
    rates[[*simulated.chosen, *simulated.beside]] -= size * _after()
    return rates, simulated.persons


def newcomers(simulated: World, size: float) -> tuple[Floats, Floats]:
    """No effect on residents: new housing brings people whose rate is a third of theirs."""
    rates, persons = simulated.rates.copy(), simulated.persons.copy()
    for at in simulated.chosen:
        share = 0.45 * (np.arange(len(YEARS)) - YEARS.index(START) + 1).clip(0) / 7
        persons[at] = persons[at] * (1 + share)
        rates[at] = rates[at] * (1 + share / 3) / (1 + share)
    return rates, persons


@dataclass(frozen=True)
class Scenario:
    """What was done to a country, how large against its minimum detectable effect, and what must be said of it."""

    change: Callable[[World, float], tuple[Floats, Floats]]
    times: float
    expected: tuple[str, ...] = ()
    at_least: float | None = None
    at_most: float | None = None

    @property
    def goal(self) -> str:
        """The goal in words; none for a scenario that is only shown."""
        words = " or ".join(self.expected)
        if self.at_least is not None:
            return f"{words} in at least {100 * self.at_least:g} %"
        return "" if self.at_most is None else f"{words} in at most {100 * self.at_most:g} %"

    def met(self, share: float) -> bool | str:
        """Whether a share reaches the goal; empty without one."""
        if self.at_least is not None:
            return share >= self.at_least
        return "" if self.at_most is None else share <= self.at_most


BOTH = ("improved", "worsened")
SCENARIOS: dict[str, Scenario] = {
    "no effect, drifting worst areas": Scenario(nothing, 0.0, BOTH, at_most=0.07),
    "twice the minimum detectable effect": Scenario(effect, 2.0, ("improved",), at_least=0.9),
    "the minimum detectable effect": Scenario(effect, 1.0),
    "one outlier district": Scenario(outlier, 1.5, ("fragile",), at_least=0.8),
    "anticipation": Scenario(early, 2.0, ("fragile",), at_least=0.8),
    "spillover": Scenario(spilt, 2.0, BOTH, at_most=0.2),
    "composition": Scenario(newcomers, 0.0, BOTH, at_most=0.07),
}
#: In a country of the setting `HARDER`; without goals.
SHOWN = {
    "harder: no effect, drifting worst areas": Scenario(nothing, 0.0, BOTH),
    "harder: twice the minimum detectable effect": Scenario(effect, 2.0, ("improved",)),
}


def verdict_of(simulated: World, rates: Floats, persons: Floats) -> Finding:
    """The finding that a report would print."""
    question = question_of(simulated, rates, persons)
    placebo = ask(question)
    inference = rule_placebo_inference(placebo, label="all", n_treated=K)
    selection = Check(name="selection", passed=True, reason="compared", facts={}, table=pd.DataFrame())
    neighbours = {
        simulated.units[one]: [simulated.units[at] for at in simulated.beside] for one in simulated.chosen
    }
    checks = rule_checks_of(question, placebo, Surroundings(neighbours=neighbours))
    return conclude(
        inference,
        (selection, *checks),
        outcome="rate",
        subject="all",
        higher_is="worse",
        placebo=placebo,
        compared=(PRE, POST),
    )


def one_draw(seed: int, draw: int) -> list[tuple[str, str, str]]:
    """Scenario, verdict and what decided, of one simulated country of each setting."""
    given = []
    for number, (like, scenarios) in enumerate(((Setting(), SCENARIOS), (HARDER, SHOWN))):
        simulated = world(np.random.default_rng([seed, draw, number][: 2 + number]), like)
        found = ask(question_of(simulated, simulated.rates, simulated.persons))
        for name, scenario in scenarios.items():
            changed = scenario.change(simulated, scenario.times * found.minimum_detectable_effect)
            finding = verdict_of(simulated, *changed)
            given.append((name, finding.verdict, f"{finding.because}.{finding.reason}"))
    return given


def table(
    *, draws: int, seed: int, workers: int | None = None, executor: Executor | None = None
) -> pd.DataFrame:
    """One row for each scenario: the share of each verdict, and what decided most often where it was fragile.

    Each country has random numbers of its own: the table is the same in any number of processes, and in any `executor`
    in their place.
    """
    own: AbstractContextManager[Executor]
    own = ProcessPoolExecutor(workers) if executor is None else nullcontext(executor)
    with own as pool:
        given = [one for part in pool.map(partial(one_draw, seed), range(draws)) for one in part]
    found = pd.DataFrame(given, columns=["scenario", "verdict", "because"])
    rows = []
    for name, scenario in {**SCENARIOS, **SHOWN}.items():
        own = found.loc[found["scenario"] == name]
        share = {verdict: float((own["verdict"] == verdict).mean()) for verdict in VERDICTS}
        fragile = Counter(own.loc[own["verdict"] == "fragile", "because"]).most_common(3)
        reached = sum(share[verdict] for verdict in scenario.expected)
        rows.append(
            {
                "scenario": name,
                **{verdict: round(100 * value, 1) for verdict, value in share.items()},
                "fragile because": ", ".join(f"{key} {n}" for key, n in fragile),
                "goal": scenario.goal,
                "met": scenario.met(reached),
            }
        )
    return pd.DataFrame(rows)


def as_markdown(found: pd.DataFrame, *, draws: int, seed: int) -> str:
    """The table for docs/verdicts.md."""
    lines = [
        f"{draws} countries, seed {seed}; per cent of verdicts.",
        "",
        "| " + " | ".join(found.columns) + " |",
        "| " + " | ".join("---" for _ in found.columns) + " |",
    ]
    for one in found.to_dict("records"):
        cells = ["yes" if cell is True else "no" if cell is False else str(cell) for cell in one.values()]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def write_page(text: str) -> None:
    """Put the table between its marks in docs/verdicts.md."""
    page = Path(__file__).resolve().parents[1] / "docs" / "verdicts.md"
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    page.write_text(before + BEGIN + "\n" + text + "\n" + END + rest.partition(END)[2], encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, help="processes; as many as there are processors")
    parser.add_argument(
        "--scheduler", help="tcp://host:port of a Dask scheduler; its workers have this PYTHONPATH"
    )
    parser.add_argument("--quick", action="store_true", help="ten draws; end in under 60 s")
    parser.add_argument("--json", action="store_true", help="print one JSON list")
    parser.add_argument("--write", action="store_true", help="write the table into docs/verdicts.md")
    options = parser.parse_args()
    n = 10 if options.quick else options.draws
    try:
        with on_cluster(options.scheduler, as_here()) if options.scheduler else nullcontext() as pool:
            result = table(draws=n, seed=options.seed, workers=options.workers, executor=pool)
    except MekevalError as error:
        parser.exit(2, f"{error}\n")
    text = as_markdown(result, draws=n, seed=options.seed)
    print(result.to_json(orient="records", indent=1) if options.json else text)
    if options.write:
        write_page(text)
