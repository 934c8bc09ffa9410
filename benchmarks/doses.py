"""Do districts differ, and does effect go with dose: how often the tests say so where nothing of it is true.

Simulated cities whose truth is known: k treated areas and 31 others, one change for each area. The effect is the same
in all treated areas, except where a scenario says otherwise. Noise is normal with standard deviation 1 ("even"); t with
4 df ("tails"); of variance 0.25 + 1500 / population with the largest areas treated ("large"), or with a dose that
falls with population ("size as dose", as money for each inhabitant does). "other reasons": effects differ with a
standard deviation of 1, not by dose. "by dose": the slope is the minimum detectable one that the same data give.
Doses are 5 or 4 different ones, or the years of Vantaa's six districts (7, 7, 7, 7, 4, 3).

Columns are rejections in per cent at nominal 5: of the spread, and of the slope by arrangements of the doses, by sets
of comparison areas, and by both (what `dose_response` concludes by); "scaled" ones know the populations. "above" and
"below": how often the true standard deviation of effects lies beyond its one-sided limits (at most 5 is honest); as
populations are alike but for "large" and "size as dose", so are scaled ones nearly. A share of 1,000 draws has a Monte
Carlo error of 0.7 at 5 per cent, one of 300 of 1.3.

    .venv/bin/python benchmarks/doses.py [--quick] [--json] [--draws 300] [--seed 1]
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd

from mekeval import build_panel, make_design
from mekeval.estimate import Effects, group_time_att
from mekeval.sensitivity.heterogeneity import dose_response, effect_spread, unit_effects

REST, SETS = 31, 999
DOSES = {
    "5 different": [1.0, 2.0, 4.0, 7.0, 11.0],
    "4 different": [1.0, 2.0, 4.0, 7.0],
    "7, 7, 7, 7, 4, 3": [7.0, 7.0, 7.0, 7.0, 4.0, 3.0],
}
SCENARIOS = ("even", "tails", "large", "size as dose", "other reasons", "by dose")
COLUMNS = (
    "spread",
    "spread scaled",
    "permutation",
    "noise",
    "noise scaled",
    "both",
    "both scaled",
    "above",
    "below",
)


def effects_of(k: int) -> Effects:
    """Effects of k treated areas and the others, whose changes are replaced in every draw."""
    units = [f"u{number:02}" for number in range(k + REST)]
    frame = pd.DataFrame({"u": units * 2, "t": [1] * len(units) + [2] * len(units)})
    frame["y"] = np.arange(len(frame)) ** 0.5
    panel = build_panel(frame, unit="u", period="t", outcome=["y"])
    return group_time_att(panel, make_design(units, [(2, 2, units[:k])]), outcome="y")


def draw(
    rng: np.random.Generator, scenario: str, doses: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Changes and populations of all areas, the treated first, and the doses."""
    k, n = len(doses), len(doses) + REST
    persons = rng.lognormal(8.0, 0.6, n)
    noise = rng.standard_normal(n)
    doses = rng.permutation(doses)
    if scenario == "tails":
        noise = rng.standard_t(4, n)
    if scenario in ("large", "size as dose"):
        if scenario == "large":
            largest = np.argsort(-persons)[: n // 3]
            treated = rng.choice(largest, k, replace=False)
            persons = np.concatenate([persons[treated], np.delete(persons, treated)])
        else:
            order = np.argsort(-persons[:k])
            doses = np.sort(doses)[np.argsort(order)]
        noise *= np.sqrt(0.25 + 1500 / persons)
    if scenario == "other reasons":
        noise[:k] += rng.standard_normal(k)
    return noise, persons, doses


def cell(scenario: str, name: str, *, draws: int, seed: int) -> dict[str, object]:
    """One row: shares in per cent."""
    base = np.array(DOSES[name])
    rng, template = np.random.default_rng([seed, SCENARIOS.index(scenario), len(base)]), effects_of(len(base))
    found: dict[str, list[bool]] = {column: [] for column in COLUMNS}
    for _ in range(draws):
        changes, persons, doses = draw(rng, scenario, base)
        dose_of = dict(zip(template.units, doses.tolist(), strict=False))
        effects = replace(template, changes=changes[:, None])
        plain = unit_effects(effects)
        if scenario == "by dose":
            slope = dose_response(plain, dose_of, draws=SETS).minimum_detectable_slope
            if slope is None:
                continue
            changes = changes + np.concatenate([slope * doses, np.zeros(REST)])
            effects = replace(template, changes=changes[:, None])
            plain = unit_effects(effects)
        scaled = unit_effects(effects, population=dict(zip(template.units, persons.tolist(), strict=True)))
        spreads = [effect_spread(one, draws=SETS) for one in (plain, scaled)]
        lines = [dose_response(one, dose_of, draws=SETS) for one in (plain, scaled)]
        truth = 1.0 if scenario == "other reasons" else 0.0
        for column, one in zip(("spread", "spread scaled"), spreads, strict=True):
            found[column].append(one.verdict == "difference")
        found["permutation"].append((lines[0].p_permutation or 1) <= 0.05)
        for column, line in zip(("noise", "noise scaled"), lines, strict=True):
            found[column].append((line.p_noise or 1) <= 0.05)
        for column, line in zip(("both", "both scaled"), lines, strict=True):
            found[column].append(line.verdict == "gradient")
        found["above"].append(spreads[0].sd_high is not None and spreads[0].sd_high < truth)
        found["below"].append(spreads[0].sd_low is not None and spreads[0].sd_low > truth)
    shares = {column: round(100 * float(np.mean(hit)), 1) if hit else None for column, hit in found.items()}
    return {"scenario": scenario, "doses": name, "draws": len(found["spread"]), **shares}


def rows(*, draws: int, seed: int) -> Iterator[dict[str, object]]:
    """Every scenario with every set of doses."""
    for scenario in SCENARIOS:
        for name in DOSES:
            yield cell(scenario, name, draws=draws, seed=seed)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="100 draws")
    parser.add_argument("--json", action="store_true", help="one list instead of a table")
    parser.add_argument("--draws", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    made = []
    for one in rows(draws=100 if options.quick else options.draws, seed=options.seed):
        made.append(one)
        print(*one.values(), sep=" | ", file=sys.stderr)
    if options.json:
        print(json.dumps(made))
    else:
        print(pd.DataFrame(made).to_string(index=False))
