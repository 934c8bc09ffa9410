"""The first wave of Vantaa's programme: its effect on the share of residents in the lowest income category.

Before is 2012 to 2016, after is 2024, from the real theme files and the national file of 2026. The programme's own
criteria of that wave are not published; four rates of 2014 or 2016 stand for them. In: the folder of the real raw data.
Out: the plain comparison inside Vantaa with its exact permutation, the rule placebo with several reference cities and
criteria, what the rule alone predicts, and what the city's own past can tell.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from paavo_rates import COMPOSITE, MINIMUM, PEOPLE, RATES, SMALLEST, municipalities, per_cent, read_themes

from mekeval import Panel, build_panel
from mekeval.design import Rule
from mekeval.sensitivity import RulePlacebo, contiguous_windows
from mekeval.sensitivity.rule_placebo import regression_to_mean, rule_placebo, rule_placebo_in_time

TREATED = {
    "01200": "Hakunila",
    "01280": "Länsimäki",
    "01360": "Koivukylä-Havukoski",
    "01480": "Mikkola",
    "01620": "Martinlaakso",
}
BEFORE, AFTER = tuple(range(2012, 2017)), 2024


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One rule placebo, in percentage points. `n_cities` counts Vantaa; `elsewhere` is the mean of the references."""

    references: str
    criteria: int
    without: str
    n_cities: int
    effect: float
    low: float
    high: float
    p_value: float
    rank_p: float
    elsewhere: float
    plain: float
    warnings: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class FirstWave:
    """All that is asked of the first wave, in percentage points; `change` and what follows belong to the first answer.

    `naive` is the difference of the mean changes inside Vantaa, `permutation_p` its share among all choices of as many
    areas. Of `change`, `by_rule` is what the rule alone predicts and `by_level` what levels inside Vantaa predict.
    """

    n_treated: int
    n_others: int
    naive: float
    permutation_p: float
    answers: tuple[Answer, ...]
    change: float
    by_rule: float | None
    by_rule_se: float | None
    by_level: float
    by_level_se: float
    in_time: str


def national(raw: Path) -> tuple[Panel, dict[str, str]]:
    """The criteria and population to 2016 and the outcome of 2024, all areas of 2016; and the city of each area."""
    tables = read_themes(raw)
    rows = []
    for (theme, year), table in tables.items():
        for name in COMPOSITE:
            top, bottom = RATES[name]
            if year <= BEFORE[-1] and {*top, *bottom} <= {*table}:
                rate = per_cent(table, top, bottom)
                rows.append(pd.DataFrame({"year": year, "indicator": name, "value": rate}))
        if theme == "Population_structure" and year <= BEFORE[-1]:
            rows.append(pd.DataFrame({"year": year, "indicator": "population", "value": table[PEOPLE]}))
    first = tables["Main_type_of_activity", 2012]["inhabitants"]
    rows.append(pd.DataFrame({"year": 2012, "indicator": "population", "value": first}))
    late = pd.read_csv(raw / "statfi-paavo" / "vintage-2026" / "paavo_master.csv", dtype={"Postinumero": str})
    late = late.set_index(late["Postinumero"].str.zfill(5))
    poor = per_cent(
        late, ["Alimpaan tuloluokkaan kuuluvat asukkaat (HR)"], ["18 vuotta täyttäneet yhteensä (HR)"]
    )
    rows.append(pd.DataFrame({"year": AFTER, "indicator": "low_income", "value": poor}))
    people = late["Asukkaat yhteensä (HE)"]
    rows.append(pd.DataFrame({"year": AFTER, "indicator": "population", "value": people}))
    table = pd.concat(rows).rename_axis("area").reset_index().dropna()
    panel = build_panel(table, units=sorted(tables["Population_structure", 2016].index))
    towns = municipalities(tables, 2016)
    # By municipality text 01490 Nikinmäki would be lost: it was in Vantaa before and after, but not in these releases.
    return panel, {unit: "Vantaa" if unit == "01490" else str(towns[unit]) for unit in panel.units}


def low_income_changes(panel: Panel) -> pd.Series:
    """Change by area, where no year is missing and at least 300 people lived in 2016; in the panel's order."""
    share = panel.values["low_income"]
    before = share[:, [panel.periods.index(year) for year in BEFORE]]
    after = share[:, panel.periods.index(AFTER)]
    size = panel.values["population"][:, panel.periods.index(2016)]
    kept = np.isfinite(before).all(axis=1) & np.isfinite(after) & (size >= SMALLEST)
    return pd.Series(after - before.mean(axis=1), index=panel.units)[kept]


def permutation(change: pd.Series, treated: np.ndarray) -> tuple[float, float]:
    """Difference of mean changes, and the share of all choices of as many areas with one at least as large."""
    k, n = int(treated.sum()), len(change)
    sums = np.array([sum(one) for one in itertools.combinations(change.to_numpy(), k)])
    difference = change[treated].mean() - change[~treated].mean()
    every = sums * (1 / k + 1 / (n - k)) - change.sum() / (n - k)
    return float(difference), float(np.mean(np.abs(every) >= abs(difference) - 1e-12))


def asked(
    panel: Panel, city_of: Mapping[str, str], listed: Sequence[str]
) -> list[tuple[Answer, RulePlacebo]]:
    """The rule placebo for each choice of reference cities and criteria; windows are made of the listed areas."""
    own = {unit: "Vantaa" for unit, name in city_of.items() if name == "Vantaa"}
    ask = partial(
        rule_placebo,
        panel,
        outcome="low_income",
        pre=BEFORE,
        post=(AFTER,),
        target="Vantaa",
        population="population",
    )
    maps = {"municipalities": city_of} | {
        f"windows of {size}": contiguous_windows(
            [unit for unit in panel.units if unit in {*listed, *own}], size, target=own
        )
        for size in (36, 60)
    }
    helsinki, myyrmaki = {"exclude": {"Helsinki": "Mukana, from 2019"}}, {"set_aside": ["01600"]}
    variants: list[tuple[str, int, str, Mapping[str, object]]] = [
        ("municipalities", 2016, "", {}),
        ("municipalities", 2014, "", {}),
        ("municipalities", 2016, "growth limit", {"most_growth": None}),
        ("municipalities", 2016, "Helsinki (a programme of its own)", helsinki),
        ("municipalities", 2016, "Myyrmäki (treated from 2023)", myyrmaki),
        ("windows of 36", 2016, "", {}),
        ("windows of 60", 2016, "", {}),
    ]
    found = []
    for references, year, without, settings in variants:
        rule = Rule(criteria=dict.fromkeys(COMPOSITE, year), choose=5, minimum_population=MINIMUM)
        one = ask(rule=rule, city_of=maps[references], treated=list(TREATED), **settings)  # type: ignore[arg-type]
        answer = Answer(
            references=references,
            criteria=year,
            without=without,
            n_cities=one.df + 1,
            effect=one.effect,
            low=one.low,
            high=one.high,
            p_value=one.p_value,
            rank_p=one.rank_p,
            elsewhere=one.bias,
            plain=one.effect + one.bias,
            warnings=tuple(one.warnings),
        )
        found.append((answer, one))
    return found


def first_wave(raw: Path) -> FirstWave:
    """Everything above on the real data."""
    panel, city_of = national(raw)
    own = [unit for unit, name in city_of.items() if name == "Vantaa"]
    change = low_income_changes(panel)
    inside = change[change.index.isin(own)]
    treated = inside.index.isin(list(TREATED))
    naive, p = permutation(inside, treated)
    found = asked(panel, city_of, list(change.index))
    main = found[0][1]
    back = regression_to_mean(main.target, main)
    past = rule_placebo_in_time(
        panel,
        Rule(criteria=dict.fromkeys(COMPOSITE, 2016), choose=5, minimum_population=MINIMUM),
        outcome="low_income",
        pre=BEFORE,
        post=(AFTER,),
        first=2019,
        areas=own,
        treated=list(TREATED),
        population="population",
    )
    return FirstWave(
        n_treated=int(treated.sum()),
        n_others=int((~treated).sum()),
        naive=naive,
        permutation_p=p,
        answers=tuple(answer for answer, _ in found),
        change=back.change,
        by_rule=back.by_rule,
        by_rule_se=back.by_rule_se,
        by_level=back.by_level,
        by_level_se=back.by_level_se,
        in_time=past.statement,
    )


def markdown(found: FirstWave) -> str:
    """The same as text with one Markdown table."""
    lines = [
        f"Naive: {found.n_treated} areas against {found.n_others} others of Vantaa: {found.naive:+.2f} points, "
        f"exact permutation p = {found.permutation_p:.3f}.",
        "",
        "| references | criteria | without | C | effect | 95 % interval | p | rank p | elsewhere | plain | warnings |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for one in found.answers:
        cells = [one.references, str(one.criteria), one.without, str(one.n_cities), f"{one.effect:+.2f}"]
        cells += [f"{one.low:+.2f} to {one.high:+.2f}", f"{one.p_value:.3f}", f"{one.rank_p:.3f}"]
        cells += [f"{one.elsewhere:+.2f}", f"{one.plain:+.2f}", ", ".join(one.warnings)]
        lines.append("| " + " | ".join(cells) + " |")
    lines += [
        "",
        f"Regression to the mean: of {found.change:+.2f} points the rule alone predicts {found.by_rule:+.2f} "
        f"(standard error {found.by_rule_se:.2f}), levels inside Vantaa {found.by_level:+.2f} "
        f"({found.by_level_se:.2f}).",
    ]
    return "\n".join([*lines, "", f"In time: {found.in_time}"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--raw", type=Path, required=True, help="folder of the real raw data")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    answer = first_wave(options.raw)
    print(json.dumps(asdict(answer), indent=1, ensure_ascii=False) if options.json else markdown(answer))
