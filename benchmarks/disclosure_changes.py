"""What the report on changes and the maps tell of few people: studies with a programme, two releases and small cells.

Of each study last year's and this year's maps and the report on changes are written (in Finnish) and looked through
for the planted numbers; of some also the page of `mekeval diff` against last year's report by another definition,
without that report's own pages, which are out already. Then they are attacked: every estimate of last year is a known
sum of rates, so an attacker solves for those rates that this year's data hide; what he finds is given to the attacker
by linear programming beside the tables.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from collections.abc import Collection
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import pandas as pd
from rows import Row, arguments, row, show
from scipy.optimize import linprog

from mekeval import clean_indicators, read_study
from mekeval.changes import Difference, changes_between, changes_since_last_year, earlier_evaluation
from mekeval.changes.states import State, estimates_at
from mekeval.disclosure import attack, check_outputs
from mekeval.errors import MekevalError
from mekeval.evaluation import Evaluation, evaluate
from mekeval.figures import plot_map, plot_tiles
from mekeval.indicators import Indicators, hidden_numbers
from mekeval.report.changes import changes_page
from mekeval.report.parts import Section, drawn
from mekeval.report.yearly import changes_sections
from mekeval.study import Study, study_boundaries
from mekeval.text import Texts

LEAST = 30
THEN, NOW = 2020, 2021
YEARS = tuple(range(2015, NOW + 1))
ITEMS = ("people", "women", "men", "adults", "jobless", "employed")
INDICATORS = (
    ("jobless_rate", "jobless", "jobless + employed", "worse"),
    ("employment", "employed", "adults", "better"),
    ("women_share", "women", "women + men", "neutral"),
    ("men_share", "men", "people", "neutral"),
)
#: The definition of the year before, where it is another one: of the same name, with other people behind it.
OTHER = ("jobless_rate", "jobless", "adults", "worse")
#: A rate that is known this well, in percentage points, counts as told.
NARROW = 1.0
#: Decimals of estimates of rates on the page.
PRINTED = 2


def study_of(folder: Path, seed: int, *, other: bool = False) -> Study:
    """A study whose areas come and go across the limit, from year to year and from release to release."""
    rng = np.random.default_rng([20261122, seed])
    n = int(rng.integers(9, 16))
    codes = [f"D{at:02d}" for at in range(n)]
    small = rng.random(n) < 0.35
    people = np.where(small, rng.integers(28, 75, n), rng.integers(300, 6_000, n)).astype(float)
    steps = np.where(small[:, None], rng.normal(0, 0.12, (n, len(YEARS))), 0.01).cumsum(axis=1)
    cells = [
        _counts(rng, np.maximum(people * np.exp(steps[:, at]), 3).astype(int)) for at in range(len(YEARS))
    ]
    releases = [(2021, YEARS[:-1], cells[:-1]), (2022, YEARS, _revised(rng, cells))]
    listed = ["code,level,parent,name_fi,tile_row,tile_col", "092,city,,Kaupunki,,"]
    listed += [f"{code},district,092,Alue {code}x,{at // 4},{at % 4}" for at, code in enumerate(codes)]
    features = []
    for at, code in enumerate(codes):
        x, y = 24.9 + at % 4 * 0.02, 60.4 - at // 4 * 0.01
        ring = [[x, y], [x + 0.02, y], [x + 0.02, y + 0.01], [x, y + 0.01], [x, y]]
        shape = {"type": "Polygon", "coordinates": [ring]}
        features.append({"type": "Feature", "properties": {"code": code}, "geometry": shape})
    outlines = json.dumps({"type": "FeatureCollection", "features": features})
    (folder / "areas.geojson").write_text(outlines, "utf-8")
    (folder / "areas.csv").write_text("\n".join(listed) + "\n", "utf-8")
    sources = []
    for vintage, years, tables in releases:
        lines = ["area," + ",".join(f'"{item}, {year}"' for year in years for item in ITEMS)]
        own = [[table[item] for table in tables for item in ITEMS]]
        numbers = np.array(own[0])  # one row for each year and item, a column for each area
        lines.append(",".join(["Kaupunki", *map(str, numbers.sum(axis=1).tolist())]))
        lines += [
            ",".join([code, *map(str, column)])
            for code, column in zip(codes, numbers.T.tolist(), strict=True)
        ]
        text = "\n".join(lines) + "\n"
        (folder / f"{vintage}.csv").write_text(text, "utf-8")
        sources.append((vintage, hashlib.sha256(text.encode()).hexdigest()))
    # The first and the last of the programme's areas are large or small as it comes.
    treated = [codes[at] for at in rng.choice(n, 3, replace=False)]
    (folder / "study.toml").write_text(_definition(sources, treated, other=other), "utf-8")
    return read_study(folder)


def _counts(rng: np.random.Generator, people: np.ndarray) -> dict[str, np.ndarray]:
    women, adults = rng.binomial(people, 0.5), rng.binomial(people, 0.8)
    force = rng.binomial(adults, 0.8)
    jobless = rng.binomial(force, 0.15)
    numbers = (people, women, people - women, adults, jobless, force - jobless)
    return dict(zip(ITEMS, numbers, strict=True))


def _revised(rng: np.random.Generator, cells: list[dict[str, np.ndarray]]) -> list[dict[str, np.ndarray]]:
    """Every fifth area and year counted anew, with a few people less or more."""
    again = []
    for one in cells:
        mine = rng.random(len(one["people"])) < 0.2
        fewer = np.maximum(one["people"] + rng.integers(-9, 7, len(mine)), 3)
        new = _counts(rng, fewer)
        again.append({item: np.where(mine, new[item], one[item]) for item in ITEMS})
    return again


def _definition(sources: list[tuple[int, str]], treated: list[str], *, other: bool) -> str:
    lines = [
        f'[study]\nname = "generated"\nseed = 1\nminimum_base = {LEAST}\ntitle.fi = "t"\nattribution.fi = "a"\n'
        'languages = ["fi"]',
        '[areas]\nfile = "areas.csv"\nunit = "district"\ncity.fi = "Kaupunki"',
        '[areas.boundaries]\nfile = "areas.geojson"\ncode = "code"',
        '[programme]\ntitle.fi = "t"\n[[programme.wave]]\nname = "w"\nfirst = 2019\nlast = 2022\n'
        f"areas = {json.dumps(treated)}",
        '[plan]\nprimary = ["jobless_rate", "employment"]',
    ]
    lines += [f'[[item]]\nname = "{item}"\nlabels = ["{item}"]' for item in ITEMS]
    lines += [
        f'[[indicator]]\nname = "{name}"\nnumerator = "{top}"\ndenominator = "{bottom}"\nhigher_is = "{better}"\n'
        f'unit = "percent"\nplausible = [0, 100]\nlabel.fi = "{name.replace("_", " ")}"'
        for name, top, bottom, better in ((OTHER, *INDICATORS[1:]) if other else INDICATORS)
    ]
    lines += [
        f'[[source]]\nfile = "{vintage}.csv"\nreader = "pxweb-csv"\nvintage = {vintage}\nsha256 = "{total}"\n'
        f"items = {json.dumps(list(ITEMS))}"
        for vintage, total in sources
    ]
    return "\n".join(lines) + "\n"


def publish(
    folder: Path, evaluations: Collection[Evaluation], found: Difference, *, page: bool = False
) -> None:
    """The maps of both years and the report on changes (or the page of `mekeval diff`), as a run writes them."""
    folder.mkdir()
    texts = Texts("fi")
    for one in evaluations:
        shapes = study_boundaries(one.study, one.panel.units)
        pictures: list[object] = []
        for outcome in one.study.plan.primary:
            pictures += drawn(plot_tiles, one, outcome=outcome, texts=texts)
            pictures += drawn(plot_map, one, outcome=outcome, boundaries=shapes, texts=texts)
        shown = "".join(picture._repr_html_() for picture in pictures)  # type: ignore[attr-defined]
        (folder / f"map-{one.year}.html").write_text(f"<h1>Kaupunki {one.year}</h1>{shown}", "utf-8")
    if page:
        shown = changes_page(found, texts)._repr_html_()
        (folder / "changes.json").write_text(found.to_json(), "utf-8")
        found.to_frame().to_csv(folder / "changes.csv", index=False)
    else:
        report = changes_sections(list(evaluations)[-1], found, texts)
        parts = [getattr(report, one.name) for one in fields(report)]
        shown = "".join(part._repr_html_() for part in parts if isinstance(part, Section))
    (folder / "changes.html").write_text(f"<title>Kaupunki {NOW}</title>{shown}", "utf-8")


@dataclass(frozen=True, kw_only=True)
class Told:
    """What an attacker has from last year's estimates as this year's page prints them.

    Attributes
    ----------
    unknown : int
        Rates that this year's data hide and last year's estimates could have used.
    used : int
        Those that they did use.
    rates : pandas.DataFrame
        Those that the printed estimates give to within `NARROW`, with the columns of a tidy table.
    """

    unknown: int
    used: int
    rates: pd.DataFrame


def rates_told(
    study: Study, then: Indicators, now: Indicators, found: Difference, *, then_used: Indicators | None = None
) -> Told:
    """Solve last year's printed estimates for the rates that this year's data hide.

    Parameters
    ----------
    study : Study
    then, now : Indicators
        As known then, and now.
    found : Difference
        What the page prints.
    then_used : Indicators, optional
        From what last year's estimates were made, where that is less than `then`.
    """
    place = ["indicator", "area", "year"]
    gone = now.table.loc[now.table["status"] == "confidential", place]
    had = then.table.loc[(then.table["status"] == "ok") & then.table["area"].isin(study.areas.units)]
    had = had.loc[had["indicator"].isin(study.plan.primary) & (had["year"] <= THEN)]
    open_ = had.merge(gone, on=place)
    printed = {
        (one.outcome, one.subject): round(one.old.estimate, PRINTED)
        for one in found.findings
        if one.old is not None and one.old.estimate is not None
    }
    used = then_used or then
    start = _estimates(study, used, printed)
    told, n_used = [], 0
    for outcome, cells in open_.groupby("indicator", sort=True):
        wanted = [key for key in start if key[0] == outcome]
        if not wanted:
            continue
        weights = np.zeros((len(wanted), len(cells)))
        for at, cell in enumerate(cells.to_dict("records")):
            table = used.table.copy()
            mine = (table[place] == pd.Series({name: cell[name] for name in place})).all(axis=1)
            table.loc[mine & (table["status"] == "ok"), "value"] += 1.0
            moved = _estimates(study, replace(used, table=table), printed)
            weights[:, at] = [moved[key] - start[key] for key in wanted]
        n_used += int((np.abs(weights) > 1e-9).any(axis=0).sum())
        values = cells["value"].to_numpy(dtype=float)
        # Everything else in an estimate is shown: the attacker knows the sum of the hidden rates to the last digit.
        target = np.array([printed[key] - start[key] for key in wanted]) + weights @ values
        half = 0.5 * 10.0**-PRINTED + 1e-9
        limits = np.concatenate([target + half, -(target - half)])
        for at in range(len(cells)):
            if not (np.abs(weights[:, at]) > 1e-9).any():
                continue
            ends = [
                linprog(
                    sign * np.eye(len(cells))[at],
                    A_ub=np.vstack([weights, -weights]),
                    b_ub=limits,
                    bounds=(0, 100),
                )
                for sign in (1, -1)
            ]
            if all(end.status == 0 for end in ends) and -ends[1].fun - ends[0].fun <= NARROW:
                middle = (ends[0].fun - ends[1].fun) / 2
                told.append({**cells.iloc[at][place].to_dict(), "value": middle, "status": "ok"})
    columns = [*place, "value", "numerator", "denominator", "status"]
    return Told(unknown=len(open_), used=n_used, rates=pd.DataFrame(told, columns=columns))


def _estimates(
    study: Study, indicators: Indicators, wanted: Collection[tuple[str, str]]
) -> dict[tuple[str, str], float]:
    return estimates_at(State(study=study, indicators=indicators, references=None), THEN, list(wanted))


def _found(folder: Path, study: Study, hidden: pd.DataFrame, shown: pd.DataFrame) -> int:
    try:
        check_outputs(folder, study, hidden, shown=shown)
    except MekevalError:
        return 1
    return 0


def measured_changes(n: int) -> list[Row]:
    """One row for each thing that was counted, of studies of which a report on changes can be made."""
    made = planted = leaks = unknown = used = rates = pinned = before = others = other_leaks = seed = 0
    started = time.process_time()
    while made < n:
        seed += 1
        with tempfile.TemporaryDirectory() as name, tempfile.TemporaryDirectory() as second:
            study = study_of(Path(name), seed)
            now = clean_indicators(study)
            hidden = hidden_numbers(study, indicators=now)
            small = hidden.loc[hidden["denominator"] < LEAST]
            if small.empty:
                continue
            try:
                evaluation = evaluate(study, year=NOW)
                last = evaluate(study, year=THEN)
                found = changes_since_last_year(evaluation)
            except MekevalError:
                continue
            if found is None or found.as_of[0] is None:
                continue
            made, planted = made + 1, planted + len(small)
            out = Path(name) / "out"
            publish(out, (last, evaluation), found)
            leaks += _found(out, study, hidden, now.table)
            then = clean_indicators(study, as_of=found.as_of[0])
            made_of = earlier_evaluation(evaluation)
            told = rates_told(study, then, now, found, then_used=made_of.indicators if made_of else then)
            unknown, used, rates = unknown + told.unknown, used + told.used, rates + len(told.rates)
            before += len(attack(now.table, study, areas=now.areas).pinned)
            known = attack(now.table, study, areas=now.areas, earlier=[told.rates], decimals=0)
            pinned += len(known.pinned)
            if seed % 3 == 0:
                earlier = study_of(Path(second), seed, other=True)
                try:
                    first = evaluate(earlier, year=THEN, as_of=found.as_of[0])
                    difference = changes_between(first, evaluation)
                except MekevalError:
                    continue
                others += 1
                out = Path(second) / "out"
                publish(out, (), difference, page=True)
                other_leaks += _found(out, study, hidden, now.table)
                old = hidden_numbers(earlier, indicators=first.indicators)
                other_leaks += _found(out, earlier, old, first.indicators.table)
    some = f"{made} studies"
    return [
        row(
            "changes and maps: studies with a small cell in them",
            f"{some}, {planted} cells",
            leaks,
            "studies",
            at_most=0,
        ),
        row(
            "changes by another definition: the same", f"{others} studies", other_leaks, "studies", at_most=0
        ),
        row(
            "changes: rates hidden now that an old estimate was made from",
            f"{unknown} rates",
            used,
            "rates",
            at_most=0,
        ),
        row(
            "changes: rates hidden now that old estimates give", f"{unknown} rates", rates, "rates", at_most=0
        ),
        row(
            "changes: small counts pinned with those rates",
            f"{some}, {before} without",
            pinned,
            "counts",
            at_most=0,
        ),
        row("changes and maps, CPU", some, (time.process_time() - started) / max(made, 1), "s"),
    ]


if __name__ == "__main__":
    given = arguments(__doc__ or "")
    show(measured_changes(10 if given.quick else 60), as_json=given.json)
