"""What the outputs tell of few people: small cells planted in generated studies, a scan of their outputs, an attacker.

Each study is a city with major areas and districts, in some also postal areas, indicators that share denominators, a
numerator that is another's denominator, complements, and two releases. It is cleaned; what is published is written as
`mekeval clean` and the reports do (CSV, JSON, a page with its table, alternative text and embedded data), looked
through for the planted numbers, and attacked by linear programming. The same attacker on the primary rule alone, and
the same scan with each number written out once, show that nothing found means something. The report on changes and the
maps have studies of their own: `disclosure_changes.py`.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from disclosure_changes import measured_changes
from rows import Row, arguments, row, show

from mekeval import clean_indicators, read_study
from mekeval.disclosure import attack, check_outputs, secure
from mekeval.errors import MekevalError
from mekeval.indicators import Indicators, hidden_numbers
from mekeval.study import Study

LEAST = 30
ITEMS = ("people", "women", "men", "adults", "force", "jobless", "employed", "shops", "children", "speakers")
INDICATORS = (
    ("women_share", "women", "women + men"),
    ("men_share", "men", "people"),
    ("jobless_rate", "jobless", "jobless + employed"),
    ("employment", "employed", "adults"),
    ("shops_share", "shops", "employed"),
    ("speakers_share", "speakers", "children"),
)


def study_of(folder: Path, seed: int) -> Study:
    """A generated study in a folder, with small cells in it."""
    rng = np.random.default_rng(seed)
    n_major, years = int(rng.integers(2, 5)), range(2018, 2018 + int(rng.integers(1, 3)))
    shape = int(rng.integers(0, 3))  # city > districts; city > major areas > districts; also postal areas
    listed, leaves, parent = ["code,level,parent,name_fi", "092,city,,Kaupunki"], [], {}
    for major in range(n_major):
        above = f"M{major}" if shape else "092"
        if shape:
            listed.append(f"{above},major_area,092,Suuralue {'ABCDE'[major]}")
            parent[above] = "092"
        for district in range(int(rng.integers(3, 7))):
            code = f"D{major}{district}"
            listed.append(f"{code},district,{above},Alue {code}x")
            parent[code] = above
            leaves.append(code)
    postal = [f"P{number}" for number in range(4)] if shape == 2 else []
    for code in postal:
        listed.append(f"{code},postal,092,Posti {code}x")
        parent[code] = "092"
    small, large = rng.integers(8, 70, len(leaves)), rng.integers(150, 6_000, len(leaves))
    size = np.where(rng.random(len(leaves)) < 0.12, small, large)
    releases = []
    tables: dict[int, dict[str, dict[str, int]]] = {}
    for year in years:
        cells = {code: _counts(rng, int(number)) for code, number in zip(leaves, size, strict=True)}
        at = rng.integers(0, max(len(postal), 1), len(leaves))
        for leaf, number in zip(leaves, at.tolist(), strict=True):
            above = parent[leaf]
            while above:
                _add(cells.setdefault(above, dict.fromkeys(ITEMS, 0)), cells[leaf])
                above = parent.get(above, "")
            if postal:
                _add(cells.setdefault(postal[number], dict.fromkeys(ITEMS, 0)), cells[leaf])
        tables[year] = cells
    several = rng.random() < 0.4
    for vintage in (2021, 2022) if several else (2022,):
        names = [f'"{item}, {year}"' for year in years for item in ITEMS]
        lines = ["area," + ",".join(names)]
        for code in ["092", *parent]:
            own = [tables[year].get(code, dict.fromkeys(ITEMS, 0))[item] for year in years for item in ITEMS]
            hidden = rng.random(len(own)) < (0.02 if code[0] == "D" and vintage == 2022 else 0)
            texts = [".." if gone else str(one) for one, gone in zip(own, hidden, strict=True)]
            lines.append(",".join([code, *texts]))
        text = "\n".join(lines) + "\n"
        (folder / f"{vintage}.csv").write_text(text, "utf-8")
        releases.append((vintage, hashlib.sha256(text.encode()).hexdigest()))
    (folder / "areas.csv").write_text("\n".join(listed) + "\n", "utf-8")
    (folder / "study.toml").write_text(_definition(releases), "utf-8")
    return read_study(folder)


def _counts(rng: np.random.Generator, people: int) -> dict[str, int]:
    women = int(rng.binomial(people, 0.5))
    adults = int(rng.binomial(people, 0.75))
    force = int(rng.binomial(adults, 0.7))
    jobless = int(rng.binomial(force, 0.12))
    children = int(rng.binomial(people - adults, 0.4))
    return {
        "people": people,
        "women": women,
        "men": people - women,
        "adults": adults,
        "force": force,
        "jobless": jobless,
        "employed": force - jobless,
        "shops": int(rng.binomial(force - jobless, 0.1)),
        "children": children,
        "speakers": int(rng.binomial(children, 0.3)),
    }


def _add(total: dict[str, int], part: dict[str, int]) -> None:
    for item in ITEMS:
        total[item] += part[item]


def _definition(releases: list[tuple[int, str]]) -> str:
    lines = [
        f'[study]\nname = "generated"\nseed = 1\nminimum_base = {LEAST}\ntitle.fi = "t"\nattribution.fi = "a"',
        '[areas]\nfile = "areas.csv"\nunit = "district"\ncity.fi = "Kaupunki"',
    ]
    lines += [f'[[item]]\nname = "{item}"\nlabels = ["{item}"]' for item in ITEMS]
    lines += [
        f'[[indicator]]\nname = "{name}"\nnumerator = "{top}"\ndenominator = "{bottom}"\nhigher_is = "neutral"\n'
        f'unit = "percent"\nplausible = [0, 100]\nlabel.fi = "{name.replace("_", " ")}"'
        for name, top, bottom in INDICATORS
    ]
    lines.append(
        '[[indicator]]\nname = "residents"\nvalue = "people"\nbase = "people"\nhigher_is = "neutral"\n'
        'unit = "persons"\nlabel.fi = "residents"'
    )
    lines += [
        f'[[source]]\nfile = "{vintage}.csv"\nreader = "pxweb-csv"\nvintage = {vintage}\nsha256 = "{total}"\n'
        f"items = {json.dumps(list(ITEMS))}"
        for vintage, total in releases
    ]
    return "\n".join(lines) + "\n"


def publish(folder: Path, study: Study, indicators: Indicators) -> None:
    """What is published of a study: tidy outputs, and a page with table, alternative text and embedded data."""
    folder.mkdir()
    for name in ("table", "releases", "log"):
        getattr(indicators, name).to_csv(folder / f"{name}.csv", index=False)
    table = indicators.table
    records = table.astype(object).where(table.notna(), None).to_dict("records")
    (folder / "findings.json").write_text(json.dumps(records), "utf-8")
    rows = [
        f"<tr><th scope='row'>{html.escape(study.areas.name(one['area'], 'fi'))}</th><td>{one['year']}</td>"
        f"<td>{one['indicator']}</td>"
        f"<td>{'confidential' if one['value'] is None else format(one['value'], '.1f')}</td></tr>"
        for one in records
    ]
    data = base64.b64encode(table.to_csv(index=False).encode()).decode()
    spoken = "; ".join(
        f"{study.areas.name(one['area'], 'fi')} {one['year']}: {one['value']:.1f} %"
        for one in records[:40]
        if one["value"]
    )
    (folder / "page.html").write_text(
        "<h1>Kaupunki</h1><table><tr><th>Area</th><th>Year</th><th>Indicator</th><th>Value</th></tr>"
        f"{''.join(rows)}</table><img alt='{html.escape(spoken)}' src='data:image/svg+xml;base64,PHN2Zy8+'>"
        f"<a download='data.csv' href='data:text/csv;base64,{data}'>CSV</a>",
        "utf-8",
    )


def primary_only(study: Study, indicators: Indicators, hidden: pd.DataFrame) -> pd.DataFrame:
    """The table as it would be if only bases under the limit were hidden."""
    place = ["area", "year", "indicator"]
    large = hidden.loc[hidden["denominator"] >= LEAST].drop_duplicates(place)
    table = indicators.table.merge(large, on=place, how="left", suffixes=("", "_true"))
    again = table["value_true"].notna() & (table["status"] == "confidential")
    for name in ("value", "numerator", "denominator"):
        table[name] = table[name].where(~again, table[f"{name}_true"])
    table["status"] = table["status"].where(~again, "ok")
    return table[list(indicators.table.columns)]


def leaks_of(study: Study, one: dict[str, object]) -> dict[str, str]:
    """A hidden count written out in all ways in which it could be told, by the name of the file."""
    area, year, number = study.areas.name(str(one["area"]), "fi"), one["year"], f"{one['denominator']:g}"
    svg = f"<svg><text>{area} {year}</text><text>{number}</text></svg>"
    data = base64.b64encode(svg.encode()).decode()
    download = base64.b64encode(f"area,year,n\n{one['area']},{year},{number}\n".encode()).decode()
    output = {"output_type": "stream", "text": [f"{area} {year}: {number} persons\n"]}
    return {
        "long.csv": f"area,year,indicator,n\n{one['area']},{year},{one['indicator']},{number}\n",
        "wide.csv": f"area,{year}\n{area},{number}\n",
        "facts.json": json.dumps([{"area": one["area"], "year": year, "n": one["denominator"]}]),
        "table.html": f"<table><tr><th></th><th>{year}</th></tr><tr><th>{area}</th><td>{number}</td></tr></table>",
        "spoken.html": f'<p>x</p><img alt="{area} {year}: {number} persons" src="data:,">',
        "picture.html": f'<img alt="x" src="data:image/svg+xml;base64,{data}">',
        "download.html": f'<a href="data:text/csv;base64,{download}">CSV</a>',
        "book.ipynb": json.dumps({"cells": [{"cell_type": "code", "source": "", "outputs": [output]}]}),
        "feed.xml": f"<rss><item><title>{area} {year}</title><description>{number}</description></item></rss>",
        "words.txt": f"{area} {year}: {number} persons.\n",
    }


def truth_of(study: Study, hidden: pd.DataFrame) -> dict[tuple[str, int, str], tuple[float, bool]]:
    """The hidden counts by area, year and sum, each with whether few people stand behind it."""
    specs = {one.name: one for one in study.spec.indicator}
    found: dict[tuple[str, int, str], tuple[float, bool]] = {}
    for one in hidden.to_dict("records"):
        spec, few = specs[one["indicator"]], one["denominator"] < LEAST
        counts = {
            spec.denominator or spec.base: one["denominator"],
            spec.numerator or spec.value: one["numerator"],
        }
        for name, count in counts.items():
            key = one["area"], one["year"], name
            if count == count:
                found[key] = count, few or found.get(key, (0, False))[1]
    return found


def measured(n_scanned: int, n_attacked: int) -> list[Row]:
    """One row for each thing that was counted."""
    planted = found = counts = pinned = attacked = without = missed = tried = lost = shown = 0
    told = wrong = narrow = known = before = again = 0
    seconds = cleaning = scanning = 0.0
    rng = np.random.default_rng(20261122)
    for seed in range(n_scanned):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            study = study_of(folder, seed)
            started = time.process_time()
            indicators = clean_indicators(study)
            cleaning = max(cleaning, time.process_time() - started)
            hidden = hidden_numbers(study, indicators=indicators)
            small = hidden.loc[hidden["denominator"] < LEAST]
            planted += len(small)
            lost += int((indicators.table["status"] == "confidential").sum())
            shown += int((indicators.table["status"] == "ok").sum())
            out = folder / "out"
            publish(out, study, indicators)
            started = time.process_time()
            found += _found(out, study, hidden, indicators)
            scanning += time.process_time() - started
            if seed % 10 == 0 and len(small):
                one = small.iloc[int(rng.integers(len(small)))].to_dict()
                for file, text in leaks_of(study, one).items():
                    place = folder / file.replace(".", "-")
                    place.mkdir()
                    (place / file).write_text(text, "utf-8")
                    tried += 1
                    missed += 1 - _found(place, study, hidden, indicators)
            if seed < n_attacked:
                started = time.process_time()
                result = attack(indicators.table, study, areas=indicators.areas)
                seconds += time.process_time() - started
                attacked += 1
                counts += len(result.cells)
                pinned += len(result.pinned)
                narrow += int(result.cells["narrow"].sum())
                truth = truth_of(study, hidden)
                for cell in result.cells.to_dict("records"):
                    true, few = truth.get((cell["area"], cell["year"], cell["count"]), (np.nan, False))
                    told += bool(few and cell["narrow"])
                    known += bool(true == true)
                    wrong += bool(true < cell["low"] or true > cell["high"])
                open_table = primary_only(study, indicators, hidden)
                without += len(attack(open_table, study, areas=indicators.areas).pinned)
                if seed % 10 == 0:
                    # Last year's report showed the whole city and its major areas.
                    totals = open_table.loc[~open_table["area"].isin(list(indicators.areas.units))]
                    earlier = {"areas": indicators.areas, "earlier": [totals]}
                    before += len(attack(indicators.table, study, **earlier).pinned)
                    again += len(attack(secure(indicators.table, study, **earlier), study, **earlier).pinned)
    some = f"{attacked} studies, {counts} counts"
    return [
        row(
            "studies with a small cell in outputs",
            f"{n_scanned}, {planted} cells",
            found,
            "studies",
            at_most=0,
        ),
        row("leaks written out that the scan missed", f"{tried} leaks", missed, "leaks", at_most=0),
        row("small hidden counts pinned down", some, pinned, "counts", at_most=0),
        row("the same, small by the true numbers", some, told, "counts", at_most=0),
        row("intervals without the true count", f"{known} counts", wrong, "counts", at_most=0),
        row("large counts hidden for others, told again", some, narrow - pinned, "counts"),
        row("pinned with the primary rule alone", f"{attacked} studies", without, "counts"),
        row("pinned with last year's totals", "each tenth study", before, "counts"),
        row("the same after `secure`", "each tenth study", again, "counts", at_most=0),
        row("values hidden, of all", f"{n_scanned} studies", 100 * lost / (lost + shown), "%"),
        row("one attack, CPU", f"{attacked} studies", seconds / max(attacked, 1), "s", at_most=5),
        row("longest cleaning, CPU", f"{n_scanned} studies", cleaning, "s"),
        row("one scan, CPU", f"{n_scanned} studies", scanning / n_scanned, "s"),
    ]


def _found(folder: Path, study: Study, hidden: pd.DataFrame, indicators: Indicators) -> int:
    try:
        check_outputs(folder, study, hidden, shown=indicators.table)
    except MekevalError:
        return 1
    return 0


if __name__ == "__main__":
    given = arguments(__doc__ or "")
    found = measured(*((40, 20) if given.quick else (1_000, 300)))
    show([*found, *measured_changes(5 if given.quick else 60)], as_json=given.json)
