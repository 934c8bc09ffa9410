"""Calibration: how often each method finds an effect where no programme ran.

Placebo programmes on real statistics (Paavo, 2012 to 2017, areas of at least 300 people, three years before and two
after): in every city k areas are declared treated, drawn at random or chosen because they are the worst, and each
method is asked. No programme ran there, so every rejection is false and an honest test at 5 % rejects in 5 %. Coverage
is that of the true effect, 0, by the 95 % interval that belongs to the test. Cities are windows of 36 or 60 postal
areas that follow each other, and municipalities. A draw is a target city with its treated areas; where the worst are
chosen nothing is drawn, and the windows begin at several places instead (the seed moves them; of municipalities there
is one set), so those targets overlap. `independent` counts the targets that share no area: whole cities where the worst
are chosen, sets of k areas where areas are drawn; outcomes of the same areas count once. The Monte Carlo error of a
share comes from that number, not from the draws. `refused` counts the targets that `rule_placebo` calls not
identifiable, because a chosen area was being built or emptied, or because the city has far more areas than any other;
they are not in its rejections. "size not refused" and "no growth limit" show what these two criteria do.

In: the folder of the real raw data (`paavo_rates` reads it). Out: rows pooled over outcomes, power and every single
cell; `summary` shows all but the cells. The real programme is asked by `first_wave.py`.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from closed_forms import checked, methods, scaled
from paavo_rates import BETTER, COMPOSITE, MINIMUM, Statistics, changes, statistics
from scipy.special import stdtr

from mekeval import DesignError, MekevalError
from mekeval.design import Rule
from mekeval.run.cluster import as_here, on_cluster
from mekeval.sensitivity import City, RulePlacebo, compare_with_cities, contiguous_windows, placebo_cities
from mekeval.sensitivity.compare_cities import LARGEST
from mekeval.sensitivity.counterparts import ranked
from mekeval.sensitivity.rule_question import MOST_GROWTH

EIGHT = (
    "low_income",
    "unemployment",
    "basic_education",
    "log_median_income",
    "higher_education",
    "rented",
    "high_income",
    "employment",
)
KS = (1, 2, 5)
DRAWN = ("random", "large")
WORST = ("own level", "mean level", "composite", "two years before")
#: Kinds of target city, each with its own column in the rows of `worst`.
TARGETS = ("urban third", "largest-gap third", "nine largest cities")
#: Areas of a window; 0 for municipalities.
KINDS = {36: "windows of 36", 60: "windows of 60", 0: "municipalities"}
INJECTED = 2.0
#: What is said of a cell where nothing was tested.
REFUSED = "all refused"
INDEPENDENT = "independent (error of 5 %, points)"
#: Areas by which a seed moves the windows, modulo their distance: it has no divisor in common with 36 or 60.
STRIDE = 7


@dataclass(frozen=True, kw_only=True)
class Row:
    """Rejections at nominal 5 % and coverage at nominal 95 %, in per cent; `outcome` is "pooled" or one outcome.

    Where all targets were refused nothing was tested: `rejection` and `met` are None and `note` says so.
    """

    outcome: str
    selection: str
    k: str
    method: str
    cities: str
    rejection: float | None
    coverage: float | None
    draws: int
    independent: int
    refused: int
    goal: str
    met: bool | None
    note: str


def city_maps(data: Statistics, kind: int, offsets: int, seed: int) -> list[dict[str, str]]:
    """City of each area, for each place where windows may begin; seed 1 begins with the first area."""
    if not kind:
        return [{unit: data.municipality[unit] for unit in data.panel.units}]
    shift = STRIDE * (seed - 1) % (kind // offsets)
    return [
        contiguous_windows(data.panel.units, kind, offset=at * kind // offsets + shift)
        for at in range(offsets)
    ]


def rule_of(selection: str, outcome: str, pre: Sequence[int], k: int) -> Rule:
    """The rule of a selection."""
    criteria: dict[str, int | tuple[int, ...]] = {
        "own level": {outcome: pre[-1]},
        "mean level": {outcome: tuple(pre)},
        "composite": dict.fromkeys(COMPOSITE, 2014),
        "two years before": {outcome: pre[0]},
    }[selection]
    higher = {name: "better" for name in criteria if name in BETTER}
    return Rule(criteria=criteria, choose=k, minimum_population=MINIMUM, higher_is=higher)


def all_cities(
    data: Statistics, city_of: Mapping[str, str], outcome: str, rule: Rule, most_growth: float | None
) -> list[City]:
    """Every city with the areas that the rule chooses in it: one of them asked as the target."""
    pre, post = data.years[outcome]
    people = data.panel.values["population"][:, data.panel.periods.index(max(pre))]
    sizes = pd.Series(
        [city_of.get(unit) for unit, n in zip(data.panel.units, people, strict=True) if n >= MINIMUM]
    )
    target = str(sizes.value_counts().sort_index(kind="stable").idxmax())
    ask = partial(
        placebo_cities,
        data.panel,
        rule,
        outcome=outcome,
        pre=pre,
        post=post,
        city_of=city_of,
        target=target,
        population="population",
        most_growth=most_growth,
    )
    rows = np.array([at for at, unit in enumerate(data.panel.units) if city_of.get(unit) == target])
    first = data.panel.values["population"][:, data.panel.periods.index(min(pre))]
    growth = np.abs(np.log(people / first)) / (max(pre) - min(pre))
    limit = np.inf if most_growth is None else np.log1p(most_growth)
    rows = rows[(people[rows] >= MINIMUM) & ~(growth[rows] > limit)]
    values = np.column_stack(
        [
            data.panel.values[name][:, [data.panel.periods.index(y) for y in np.atleast_1d(years)]].mean(
                axis=1
            )
            * (-1 if rule.higher_is.get(name) == "better" else 1)
            for name, years in rule.criteria.items()
        ]
    )
    order, k = ranked(rows[None], values, rule)[0]
    found = ask(treated=[data.panel.units[at] for at in order[:k]])
    return [found.target, *found.references]


def worst(data: Statistics, outcome: str, seed: int, offsets: int, draws: int) -> pd.DataFrame:
    """One row for each target and method where the worst areas are chosen."""
    found = []
    pre, _ = data.years[outcome]
    change, _ = changes(data, outcome)
    people = data.panel.values["population"][:, data.panel.periods.index(max(pre))]
    first = data.panel.values["population"][:, data.panel.periods.index(min(pre))]
    at = {unit: row for row, unit in enumerate(data.panel.units)}
    rebuilt = np.abs(np.log(people / first)) / (max(pre) - min(pre)) > np.log1p(MOST_GROWTH)
    for kind, k, selection in itertools.product(KINDS, KS, WORST):
        rng = np.random.default_rng([seed, kind, k])
        for offset, city_of in enumerate(city_maps(data, kind, offsets, seed)):
            rule = rule_of(selection, outcome, pre, k)
            settled = _each(compare_with_cities(*_split(all_cities(data, city_of, outcome, rule, None))))
            kept = _each(compare_with_cities(*_split(all_cities(data, city_of, outcome, rule, MOST_GROWTH))))
            refused = {
                name for name, areas in settled["areas"].items() if any(rebuilt[at[unit]] for unit in areas)
            }
            base = {"kind": kind, "k": k, "selection": selection, "offset": offset, "outcome": outcome}
            built = np.array([name in refused for name in kept.index])
            ours = kept.assign(refused=built | kept["large"], method="rule placebo", **base)
            found += [
                ours,
                ours.assign(p=ours["verdict_p"], method="rule placebo, verdict"),
                ours.assign(refused=built, method="rule placebo, size not refused"),
                settled.assign(refused=False, method="rule placebo, no growth limit", **base),
            ]
            rows_of = pd.Series(np.arange(len(data.panel.units))).groupby(
                [city_of.get(unit, "") for unit in data.panel.units]
            )
            sized: dict[int, list[str]] = {}
            for name in settled.index:
                sized.setdefault(len(rows_of.groups[name]), []).append(name)
            for names in sized.values():
                rows = np.array([rows_of.groups[name] for name in names])
                chosen = np.array(
                    [
                        np.isin(row, [at[unit] for unit in settled.loc[name, "areas"]])
                        for name, row in zip(names, rows, strict=True)
                    ]
                )
                each = methods(change[rows], people[rows], chosen, n_periods=5, rng=rng, draws=draws)
                same = settled.loc[names]
                found += [
                    same.assign(p=p, refused=False, method=method, **base) for method, p in each.items()
                ]
    return pd.concat(found).reset_index()


def _split(cities: Sequence[City]) -> tuple[City, Sequence[City]]:
    return cities[0], cities[1:]


def _each(found: RulePlacebo) -> pd.DataFrame:
    """Every city judged against the others: the test, its verdict, and the kind of target that it is."""
    table = found.cities.set_index("name")
    size = table["residual"].abs()
    p = 2 * stdtr(found.df, -size.to_numpy())
    rank_p = np.array([(size >= one - 1e-12).mean() for one in size])
    areas = table["n_areas"].to_numpy()
    most = np.array([np.delete(areas, at).max() for at in range(len(areas))])
    verdict = np.where(rank_p <= max(0.10, 1 / len(table)), p, 1.0)
    return pd.DataFrame(
        {
            "p": p,
            "verdict_p": verdict,
            "df": found.df,
            "effect": table["effect"],
            "se": table["se"],
            "areas": table["areas"],
            "large": areas > LARGEST * most,
            "urban third": table["population"].rank(pct=True) > 2 / 3,
            "largest-gap third": table["gap"].abs().rank(pct=True) > 2 / 3,
            "nine largest cities": table["population"].rank(ascending=False) <= 9,
        }
    )


def drawn(data: Statistics, outcome: str, seed: int, offsets: int, draws: int, sets: int) -> pd.DataFrame:
    """One row for each draw and method where areas are drawn: any, or among the largest third of their city."""
    found = []
    change, _ = changes(data, outcome)
    people = data.panel.values["population"][:, data.panel.periods.index(max(data.years[outcome][0]))]
    for kind, k, selection in itertools.product(KINDS, KS, DRAWN):
        rng = np.random.default_rng([seed, kind, k, DRAWN.index(selection)])
        cities: dict[int, list[np.ndarray]] = {}
        count = 0
        maps = city_maps(data, kind, offsets, seed)
        disjoint = 0
        for city_of in maps:
            groups = pd.Series(np.arange(len(data.panel.units))).groupby(
                [city_of.get(unit, "") for unit in data.panel.units]
            )
            for name, rows in groups.groups.items():
                if name and np.sum(people[rows] >= MINIMUM) >= k + 5:
                    cities.setdefault(len(rows), []).append(np.asarray(rows))
                    count += 1
                    disjoint += int(np.sum(people[rows] >= MINIMUM)) // k if city_of is maps[0] else 0
        for rows_of in cities.values():
            times = rng.multinomial(round(draws * len(rows_of) / count), [1 / len(rows_of)] * len(rows_of))
            rows = np.repeat(np.array(rows_of), times, axis=0)
            if not len(rows):
                continue
            size = people[rows]
            fits = size >= MINIMUM
            if selection == "large":
                place = np.argsort(np.argsort(-size, axis=1), axis=1)
                fits &= place < max(k, math.ceil(rows.shape[1] / 3))
            fits &= fits.sum(axis=1, keepdims=True) >= k
            rows, size, fits = (one[fits.any(axis=1)] for one in (rows, size, fits))
            order = np.argsort(np.where(fits, rng.random(rows.shape), 2.0), axis=1)
            chosen = np.zeros(rows.shape, dtype=bool)
            np.put_along_axis(chosen, order[:, :k], True, axis=1)
            each = methods(change[rows], size, chosen, n_periods=5, rng=rng, draws=sets)
            estimate, se, _ = scaled(change[rows], size, chosen)
            rest = rows.shape[1] - k - 3
            found += [
                pd.DataFrame({"p": p, "effect": estimate, "se": se, "df": rest}).assign(
                    kind=kind,
                    k=k,
                    selection=selection,
                    method=method,
                    outcome=outcome,
                    refused=False,
                    disjoint=max(1, round(disjoint / (3 if selection == "large" else 1))),
                )
                for method, p in each.items()
            ]
    return pd.concat(found)


def of_outcome(
    outcome: str, data: Statistics, seed: int, offsets: int, draws: int, sets: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """All placebo programmes of one outcome."""
    return drawn(data, outcome, seed, offsets, draws, sets), worst(data, outcome, seed, offsets, sets)


def tabulate(drawn_rows: pd.DataFrame, worst_rows: pd.DataFrame) -> Iterator[Row]:
    """Pooled rows first, then power, then every cell."""
    default = {"random": "scaled", "large": "scaled", "worst": "rule placebo"}
    both = pd.concat(
        [drawn_rows.assign(group=drawn_rows["selection"]), worst_rows.assign(group="worst")],
        ignore_index=True,
    )
    for (group, kind, k, method), part in both.groupby(["group", "kind", "k", "method"], sort=False):
        level = (3.5, 6.5) if method == default[group] else None
        yield _row(part, "pooled", group, k, method, KINDS[kind], within=level)
    ours = worst_rows.loc[worst_rows["method"].str.startswith("rule placebo")]
    for what in TARGETS:
        among = ours.loc[ours[what] & ((ours["kind"] == 0) | (what != "nine largest cities"))]
        for (k, method), part in among.groupby(["k", "method"], sort=False):
            where = "municipalities" if what == "nine largest cities" else "all kinds"
            yield _row(
                part,
                "pooled",
                f"worst, {what}",
                k,
                method,
                where,
                most=7.5 if method == "rule placebo" else None,
            )
    capital = ours.loc[ours["name"] == "Helsinki"]
    for (k, method), part in capital.groupby(["k", "method"], sort=False):
        yield _row(
            part,
            "pooled",
            "worst, Helsinki",
            k,
            method,
            KINDS[0],
            most=10.0 if method == "rule placebo" else None,
        )
    yield from power(drawn_rows, worst_rows)
    for (outcome, selection, kind, k, method), part in both.groupby(
        ["outcome", "selection", "kind", "k", "method"], sort=False
    ):
        yield _row(part, outcome, selection, k, method, KINDS[kind])


def power(drawn_rows: pd.DataFrame, worst_rows: pd.DataFrame) -> Iterator[Row]:
    """How often an effect of two points is found in five areas of 36, mean of both signs.

    The effect is added to the estimate; the variance model is not fitted anew.
    """
    shares = {}
    for name, rows, method in (("random", drawn_rows, "scaled"), ("worst", worst_rows, "rule placebo")):
        part = rows.loc[
            (rows["kind"] == 36) & (rows["k"] == 5) & (rows["method"] == method) & ~rows["refused"]
        ]
        if name == "random":
            part = part.loc[part["selection"] == "random"]
        p = [
            2 * stdtr(part["df"], -np.abs((part["effect"] + sign * INJECTED) / part["se"]))
            for sign in (-1, 1)
        ]
        shares[name] = 100 * float(np.mean(np.array(p) <= 0.05)) if len(part) else None
        goal = "" if name == "random" else "at least 90 % of the scaled test's"
        yield Row(
            outcome="pooled",
            selection=f"{name}, effect of {INJECTED:g}",
            k="5",
            method=f"{method}, power",
            cities=KINDS[36],
            rejection=None if shares[name] is None else round(shares[name], 1),
            coverage=None,
            draws=2 * len(part),
            independent=independent(part),
            refused=0,
            goal=goal,
            met=None
            if name == "random" or None in shares.values()
            else shares["worst"] >= 0.9 * shares["random"],
            note="" if len(part) else REFUSED,
        )


def _row(
    part: pd.DataFrame,
    outcome: str,
    selection: str,
    k: int,
    method: str,
    cities: str,
    *,
    within: tuple[float, float] | None = None,
    most: float | None = None,
) -> Row:
    kept = part.loc[~part["refused"].astype(bool)]
    share = 100 * float((kept["p"] <= 0.05).mean()) if len(kept) else 0.0
    goal, met = "", None
    if within is not None:
        goal, met = f"{within[0]:g} to {within[1]:g} %", within[0] <= round(share, 1) <= within[1]
    if most is not None:
        goal, met = f"at most {most:g} %", round(share, 1) <= most
    if not len(kept):
        met = None
    return Row(
        outcome=outcome,
        selection=selection,
        k=str(k),
        method=method,
        cities=cities,
        rejection=round(share, 1) if len(kept) else None,
        coverage=round(100 - share, 1) if len(kept) else None,
        draws=len(kept),
        independent=independent(kept),
        refused=len(part) - len(kept),
        goal=goal,
        met=met,
        note="" if len(kept) else REFUSED,
    )


def independent(kept: pd.DataFrame) -> int:
    """Targets that share no area, of those that were tested: cities of one question, or disjoint sets of areas."""
    if not len(kept):
        return 0
    drawn_sets = int(kept["disjoint"].fillna(0).max()) if "disjoint" in kept else 0
    if drawn_sets or "name" not in kept:
        return min(drawn_sets, len(kept))
    asked = [name for name in ("kind", "offset", "outcome", "selection", "k", "method") if name in kept]
    return int(kept.groupby(asked)["name"].nunique().max())


def measure(
    *,
    quick: bool,
    raw: Path,
    seed: int = 1,
    outcomes: Sequence[str] = EIGHT,
    draws: int = 2000,
    jobs: int = 2,
    executor: Executor | None = None,
) -> list[Row]:
    """All rows of this benchmark; `draws` for each drawn cell, `jobs` processes. Quick: four outcomes, 400 draws.

    Each outcome is a call of its own with random numbers of its own: the rows are the same in any number of processes,
    and in any `executor` in their place.
    """
    if quick:
        left, wanted = list(outcomes[4:]), draws
        outcomes, draws = outcomes[:4], min(draws, 400)
        print(
            f"quick: {draws} of {wanted} draws, windows at one place; left out: {', '.join(left) or 'no outcome'}",
            file=sys.stderr,
        )
    data = statistics(raw, outcomes)
    difference_found = checked(data, seed)
    if difference_found > 1e-8:
        raise DesignError(
            "The closed forms of this benchmark differ from the library.", found=f"{difference_found:g}"
        )
    work = partial(
        of_outcome, data=data, seed=seed, offsets=1 if quick else 4, draws=draws, sets=199 if quick else 499
    )
    if executor is not None:
        parts = list(executor.map(work, outcomes))
    elif jobs == 1:
        parts = [work(outcome) for outcome in outcomes]
    else:
        with ProcessPoolExecutor(max_workers=jobs) as pool:
            parts = list(pool.map(work, outcomes))
    return list(tabulate(pd.concat([one[0] for one in parts]), pd.concat([one[1] for one in parts])))


def summary(rows: Sequence[Row]) -> str:
    """The pooled rows as four Markdown tables, a line for each selection, kind of city and k.

    The method with a goal comes first; behind it stand the rejections of the others, in per cent. Coverage is 100
    minus the rejections and is left out. Beside the number of independent targets stands the standard error that a
    share of 5 % has over so many, in points.
    """
    lines: dict[tuple[str, str, str], dict[str, Row]] = {}
    finds = []
    for one in rows:
        if one.outcome == "pooled" and one.method.endswith(", power"):
            finds.append(one)
        elif one.outcome == "pooled":
            lines.setdefault((one.selection, one.cities, one.k), {})[one.method] = one
    parts = (
        ("Areas drawn at random, any or among the largest third of their city", "scaled", DRAWN),
        ("The worst areas", "rule placebo", ("worst",)),
        (
            "The worst areas, by kind of target",
            "rule placebo",
            [f"worst, {what}" for what in (*TARGETS, "Helsinki")],
        ),
    )
    text = []
    for title, ours, selections in parts:
        chosen = {key: each for key, each in lines.items() if key[0] in selections}
        others = list(dict.fromkeys(name for each in chosen.values() for name in each if name != ours))
        table = [
            [
                "selection",
                "cities",
                "k",
                f"{ours}, %",
                "goal",
                "met",
                "draws",
                INDEPENDENT,
                "refused",
                *others,
            ]
        ]
        table += [
            [*key, *_cells(each[ours]), *(_percent(each[name]) if name in each else "" for name in others)]
            for key, each in chosen.items()
        ]
        text += [f"{title}: rejections.", _markdown(table)]
    table = [
        ["selection", "cities", "k", "method", "found, %", "goal", "met", "draws", INDEPENDENT, "refused"]
    ]
    table += [[one.selection, one.cities, one.k, one.method, *_cells(one)] for one in finds]
    return "\n\n".join([*text, f"Power: an effect of {INJECTED:g} points is found.", _markdown(table)])


def _cells(one: Row) -> list[str]:
    """Rejections, goal, met, draws, independent targets and refused; a goal is neither met nor missed where nothing
    was tested."""
    met = {True: "yes", False: "no", None: ""}[one.met]
    error = f" ({100 * math.sqrt(0.05 * 0.95 / one.independent):.1f})" if one.independent else ""
    return [_percent(one), one.goal, met, str(one.draws), f"{one.independent}{error}", str(one.refused)]


def _percent(one: Row) -> str:
    return one.note if one.rejection is None else f"{one.rejection:.1f}"


def _markdown(table: Sequence[Sequence[str]]) -> str:
    head, *body = table
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *body))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--raw", type=Path, required=True, help="folder of the real raw data")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--outcomes", default=",".join(EIGHT), help="names, or 'label / label', with commas")
    parser.add_argument("--draws", type=int, default=2000, help="for each drawn cell")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument(
        "--scheduler", help="tcp://host:port of a Dask scheduler; its workers have this PYTHONPATH"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON list")
    parser.add_argument("--quick", action="store_true", help="end in under 60 s")
    options = parser.parse_args()
    for name, least in (("seed", 0), ("draws", 1), ("jobs", 1)):
        if getattr(options, name) < least:
            parser.error(f"--{name} must be {least} or more, not {getattr(options, name)}")
    try:
        with on_cluster(options.scheduler, as_here()) if options.scheduler else nullcontext() as pool:
            rows = measure(
                quick=options.quick,
                raw=options.raw,
                seed=options.seed,
                outcomes=[name.strip() for name in options.outcomes.split(",")],
                draws=options.draws,
                jobs=options.jobs,
                executor=pool,
            )
    except (MekevalError, OSError) as error:
        parser.exit(2, f"{error}\n")
    print(json.dumps([asdict(one) for one in rows], indent=1) if options.json else summary(rows))
