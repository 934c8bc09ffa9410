"""Write the synthetic statistics of the Vantaa example: raw files, reference cities, neighbours, hidden effects.

    python make_example.py [OUTDIR]          (default: the folder of this script, which also holds areas.csv)

No figure written here describes a real area. The areas, their names, their size class and the programme's
years are real; everything else follows from the equations below and the seed.

For district i, year t = 2010..2025 and indicator k, with s = t - 2010:

    y[i,t,k] = base[k] + load[k] * d[i] + own[i,k]           the level: d is a latent disadvantage score
             + trend[k] * s + cycle[k] * sin(2 pi (t - 2012) / 9)   shared by the whole city
             + drift[k] * d[i] * s                           cumulative disadvantage: the gap widens
             + shock[k] * (1 + harder[k] * d[i]) * decay[t]  2020, halved in 2021, a fifth left in 2022
             + effect[path(i), t, k]                         what the programme did; written to truth.csv
             + noise[i,t,k]
    noise[i,t,k] = 0.5 * noise[i,t-1,k] + innovation,  Var(noise) = a[k] + b[k] / n[i]

Median income is the exception: its deterministic part is a product, because incomes grow by a rate,
    base * (1 - load * d[i]) * (1 + own[i]) * (1 + growth - drift * d[i]) ** s
         * (1 - dip * (1 + harder * d[i]) * decay[t])
and the effect and the noise (in EUR) are added to it.

Persons: population[i,t] = n[i] * exp(g[i] * s + h[i] * s * (15 - s) / 100), rounded. Each denominator is a
fixed share of it (the share varies a little between districts), rounded; each numerator is
round(denominator * y / 100). A rate is therefore exactly the ratio of two published integers.

Reference cities: 24 invented cities in which nothing was done follow the same equations, cumulative disadvantage
included, without effects. Each has 18 to 45 districts, one in eight of them disadvantaged (d from 1.0 to 2.4), the
others with d as in Vantaa. Each city has a random stream of its own, so Vantaa's figures do not depend on them.

A row of the city or of a major area is the sum of its districts, those included whose own cells are hidden;
its median income is the mean of the districts' medians weighted by their adults. Neighbours are the districts whose
tiles share a side on the tile map; nothing spills over between them. ".." hides a numerator or a
median whose base is under 30 persons; "." fills the row of an area without inhabitants.
"""

import csv
import hashlib
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

SEED = 20230101
YEARS = np.arange(2010, 2026)
MINIMUM_BASE = 30
RHO = 0.5

# The four areas the rule chose, the fifth that left, one added at discretion, and runners-up that make the
# choice a close enough call to be worth testing. All other districts draw their score.
DISADVANTAGE = {
    "Havukoski": 2.35,
    "Länsimäki": 2.25,
    "Hakunila": 2.15,
    "Mikkola": 2.05,
    "Martinlaakso": 1.75,
    "Rajakylä": 1.30,
    "Koivukylä": 1.20,
    "Korso": 1.15,
    "Myyrmäki": 1.05,
}
FOREIGN_LANGUAGE_EXTRA = {"Myyrmäki": 6.0}  # the reason given for adding it

PATHS = {
    "2019-2025": ("Hakunila", "Havukoski", "Länsimäki", "Mikkola"),
    "2019-2022": ("Martinlaakso",),
    "2023-2025": ("Myyrmäki",),
}

SHARES = {"population": 1.0, "labour_force": 0.50, "aged_25_44": 0.28, "aged_0_6": 0.07, "adults": 0.79}


class Rate(NamedTuple):
    """The parameters of one rate, in per cent and percentage points; names as in the equations above."""

    denominator: str
    base: float
    load: float
    own_sd: float
    trend: float
    cycle: float
    drift: float
    shock: float
    harder: float
    a: float
    b: float


RATES = {
    # denominator, base, load, own_sd, trend, cycle, drift, shock, harder, a, b
    "low_income_rate": Rate("population", 13.8, 2.8, 0.5, 0.08, 0.0, 0.12, -0.3, 0.0, 0.03, 500.0),
    "unemployment_rate": Rate("labour_force", 9.0, 2.0, 0.4, 0.0, 1.3, 0.05, 4.0, 0.08, 0.05, 700.0),
    "basic_education_25_44": Rate("aged_25_44", 21.0, 4.6, 0.8, -0.10, 0.0, 0.05, 0.0, 0.0, 0.05, 1000.0),
    "foreign_language_0_6": Rate("aged_0_6", 17.0, 4.6, 1.5, 1.25, 0.0, 0.30, 0.0, 0.0, 0.30, 6000.0),
}


class Income:
    """The parameters of median income: EUR, and shares of the level."""

    denominator = "adults"
    base = 23_600.0
    load = 0.060
    own_sd = 0.012
    growth = 0.018
    drift = 0.0012
    dip = 0.012
    harder = 0.10
    a = 2_500.0
    b = 4.0e7


# The rule of the second wave: the worst by the mean z-score of these, each in its base year.
RULE = (
    ("low_income_rate", 2019),
    ("basic_education_25_44", 2020),
    ("unemployment_rate", 2019),
    ("foreign_language_0_6", 2021),
)
RULE_MINIMUM = 1000  # persons; the small districts' rates are mostly noise

# file -> (indicator, layout, title, label of the base, label of the counted or measured quantity)
FILES = {
    "pienituloiset.csv": ("low_income_rate", "theme", "", "Asuntoväestö", "Pienituloiset"),
    "tyolliset.csv": (
        "unemployment_rate",
        "12f7",
        "SYNTEETTINEN ESIMERKKI -- Työvoima ja työttömät alueittain, 2010-2025",
        "Työvoima",
        "Työttömät",
    ),
    "koulutus.csv": (
        "basic_education_25_44",
        "theme",
        "",
        "25-44-vuotiaat yhteensä",
        "25-44-vuotiaat, ei perusasteen jälkeistä tutkintoa",
    ),
    "kieli.csv": (
        "foreign_language_0_6",
        "12f7",
        "SYNTEETTINEN ESIMERKKI -- 0-6-vuotiaat kielen mukaan alueittain, 2010-2025",
        "0-6-vuotiaat yhteensä",
        "0-6-vuotiaat, vieraskieliset",
    ),
    "tulot.csv": ("median_income", "theme", "", "18 vuotta täyttäneet yhteensä", "Asukkaiden mediaanitulot"),
}


REFERENCE_CITIES = 24
REFERENCE_LIST = "reference_areas.csv"


def reference_city(number):
    """The rows of one invented city as in areas.csv, and the score of each of its districts."""
    rng = np.random.default_rng([SEED, number])
    size = int(rng.integers(18, 46))
    people = np.maximum(np.rint(rng.lognormal(np.log(2800), 0.75, size) / 100).astype(int) * 100, 200)
    d = rng.normal(-0.30, 0.55, size).clip(-1.25, 0.95)
    worse = rng.choice(np.flatnonzero(people >= RULE_MINIMUM), size=max(5, size // 8), replace=False)
    d[worse] = rng.uniform(1.0, 2.4, len(worse))
    city = f"{900 + number}"
    rows = [
        {
            "code": f"{city}{at + 1:02d}",
            "level": "district",
            "parent": city,
            "name_fi": f"Verrokkikaupunki {number}, alue {at + 1}",
            "name_sv": f"Jämförelsestad {number}, område {at + 1}",
            "name_en": f"Reference city {number}, area {at + 1}",
            "population": str(persons),
        }
        for at, persons in enumerate(people)
    ]
    names = (f"Verrokkikaupunki {number}", f"Jämförelsestad {number}", f"Reference city {number}")
    top = dict(zip(("name_fi", "name_sv", "name_en"), names, strict=True))
    return [{"code": city, "level": "city", "parent": "", **top, "population": str(people.sum())}, *rows], d


def read_areas(path):
    """The rows of areas.csv as dictionaries, in file order (which is also the order of every raw file)."""
    with path.open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def effect(indicator, path, year):
    """What the programme adds to the indicator of a district on this path: in points or EUR."""
    first, last = (int(part) for part in path.split("-"))
    if year < first:
        return 0.0
    if indicator == "unemployment_rate":
        return -1.0 if year == first else -2.5 if year <= last else -1.2
    if indicator == "median_income":
        return 350.0 if first < year <= last else 0.0
    return 0.0


def effects_by_district(names, indicator):
    """Array (district, year) of the known effects; zero for districts that were never in the programme.

    In a reference city nobody was.
    """
    effects = np.zeros((len(names), len(YEARS)))
    for path, members in PATHS.items():
        for name in members if members[0] in names else ():
            effects[names.index(name)] = [effect(indicator, path, year) for year in YEARS]
    return effects


def draw_disadvantage(rng, names):
    """The score of each district: given for the named ones, drawn below the runners-up for the rest."""
    drawn = rng.normal(-0.30, 0.55, len(names)).clip(-1.25, 0.95)
    return np.array([DISADVANTAGE.get(name, value) for name, value in zip(names, drawn, strict=True)])


def draw_persons(rng, sizes):
    """Whole persons in each denominator: name -> array (district, year)."""
    s = YEARS - YEARS[0]
    growth = rng.normal(0.010, 0.008, len(sizes))[:, None]
    bend = rng.normal(0.0, 0.06, len(sizes))[:, None]
    population = sizes[:, None] * np.exp(growth * s + bend * s * (15 - s) / 100)
    persons = {}
    for name, share in SHARES.items():
        varied = share * (1 + (rng.normal(0.0, 0.05, len(sizes)) if share < 1 else np.zeros(len(sizes))))
        persons[name] = np.rint(population * varied[:, None]).astype(int)
    return persons


def draw_noise(rng, sizes, a, b):
    """Stationary AR(1); its variance falls with the size of the district, as that of any share of persons."""
    sd = np.sqrt(a + b / np.maximum(sizes, 1.0))[:, None]
    innovations = rng.normal(size=(len(sizes), len(YEARS)))
    noise = innovations.copy()
    for t in range(1, len(YEARS)):
        noise[:, t] = RHO * noise[:, t - 1] + np.sqrt(1 - RHO**2) * innovations[:, t]
    return sd * noise


def shock_decay():
    """How much of the shock of 2020 is left in each year."""
    return np.array([{2020: 1.0, 2021: 0.5, 2022: 0.2}.get(int(year), 0.0) for year in YEARS])


def draw_rate(rng, indicator, names, sizes, d):
    """A rate in per cent, array (district, year)."""
    p = RATES[indicator]
    s = YEARS - YEARS[0]
    own = rng.normal(0.0, p.own_sd, len(names))
    # Named districts get no deviation of their own: their rank is part of the example's story.
    own = np.where([name in DISADVANTAGE for name in names], 0.0, own)
    if indicator == "foreign_language_0_6":
        own = own + [FOREIGN_LANGUAGE_EXTRA.get(name, 0.0) for name in names]
    level = p.base + p.load * d + own
    common = p.trend * s + p.cycle * np.sin(2 * np.pi * (YEARS - 2012) / 9)
    shock = p.shock * (1 + p.harder * d[:, None]) * shock_decay()
    rate = level[:, None] + common + p.drift * d[:, None] * s + shock
    rate = rate + effects_by_district(names, indicator) + draw_noise(rng, sizes, p.a, p.b)
    return rate.clip(1.0, 95.0)  # reached only where a handful of people live


def draw_income(rng, names, sizes, d):
    """Median income in whole EUR, array (district, year)."""
    p = Income
    s = YEARS - YEARS[0]
    own = rng.normal(0.0, p.own_sd, len(names))
    level = p.base * (1 - p.load * d) * (1 + own)
    grown = level[:, None] * (1 + p.growth - p.drift * d[:, None]) ** s
    grown = grown * (1 - p.dip * (1 + p.harder * d[:, None]) * shock_decay())
    noise = draw_noise(rng, sizes, p.a, p.b)
    return np.rint(grown + effects_by_district(names, "median_income") + noise).astype(int)


def simulate(areas, rng, d=None):
    """indicator -> (persons in the base, persons counted or EUR), both arrays (district, year)."""
    names = [area["name_fi"] for area in areas]
    sizes = np.array([float(area["population"]) for area in areas])
    d = draw_disadvantage(rng, names) if d is None else d
    persons = draw_persons(rng, sizes)
    drawn = {}
    for indicator, p in RATES.items():
        base = persons[p.denominator]
        rate = draw_rate(rng, indicator, names, sizes, d)
        drawn[indicator] = base, np.rint(base * rate / 100).astype(int)
    drawn["median_income"] = persons[Income.denominator], draw_income(rng, names, sizes, d)
    return drawn


def rank_by_rule(areas, drawn):
    """Districts from the worst off to the best by the programme's rule, as (mean z-score, name)."""
    districts = [i for i, area in enumerate(areas) if area["level"] == "district"]
    kept = [i for i in districts if int(areas[i]["population"]) >= RULE_MINIMUM]
    scores = np.zeros(len(kept))
    for indicator, year in RULE:
        base, counted = drawn[indicator]
        share = (counted[kept] / base[kept])[:, year - YEARS[0]]
        scores += (share - share.mean()) / share.std(ddof=1) / len(RULE)
    return sorted(((float(z), areas[i]["name_fi"]) for z, i in zip(scores, kept, strict=True)), reverse=True)


def rows_of_file(rows, areas, base, value, is_median):
    """For every row of areas.csv its label and two lists of cells: the base and the value of each year."""
    for row in rows:
        code = row["code"]
        label = " ".join(part for part in (code[:3], code[3:], row["name_fi"]) if part)
        parts = [i for i, a in enumerate(areas) if code in ("092", a["code"], a["parent"])]
        persons = base[parts].sum(axis=0)
        if not persons.any():
            yield label, ["."] * len(YEARS), ["."] * len(YEARS)
            continue
        values = value[parts].sum(axis=0)
        if is_median:
            values = np.rint((value[parts] * base[parts]).sum(axis=0) / np.maximum(persons, 1)).astype(int)
        shown = [int(v) if n >= MINIMUM_BASE else ".." for v, n in zip(values, persons, strict=True)]
        yield label, [int(n) for n in persons], shown


def format_file(layout, title, base_label, value_label, body):
    """The text of one raw file in one of the two layouts in which the statistics service exports tables."""

    def line(cells):
        return ",".join(str(cell) if isinstance(cell, int) else f'"{cell}"' for cell in cells)

    if layout == "theme":  # years and quantities side by side, one line for each area
        header = ["Alue"]
        for year in YEARS:
            header += [f"{base_label}, {year}", f"{value_label}, {year}"]
        lines = [line(header)]
        for label, bases, values in body:
            lines.append(line([label, *(cell for pair in zip(bases, values, strict=True) for cell in pair)]))
        return "\n".join(lines) + "\n"
    lines = [line([title]), "", line(["Alue", "Tiedot", *map(str, YEARS)])]
    for label, bases, values in body:
        lines += [line([label, base_label, *bases]), line([label, value_label, *values])]
    return "\r\n".join(lines) + "\r\n"


def format_truth():
    """The known effects as CSV text: every path and every year from the path's first year to 2025."""
    lines = ["indicator,path,year,effect"]
    for indicator in (*RATES, "median_income"):
        for path in PATHS:
            for year in range(int(path[:4]), int(YEARS[-1]) + 1):
                lines.append(f"{indicator},{path},{year},{effect(indicator, path, year)}")
    return "\n".join(lines) + "\n"


def format_neighbours(rows):
    """Pairs of districts whose tiles share a side on the tile map of areas.csv, as CSV text, each pair once."""
    places = {(int(row["tile_row"]), int(row["tile_col"])): row["code"] for row in rows if row["tile_row"]}
    pairs = {
        tuple(sorted((code, places[beside])))
        for (row, column), code in places.items()
        for beside in ((row + 1, column), (row, column + 1))
        if beside in places
    }
    return "\n".join(["area,neighbour", *(",".join(pair) for pair in sorted(pairs))]) + "\n"


def write_raw(outdir, prefix, rows, areas, drawn):
    """The five raw files of some areas; `rows` may hold sums of them as well."""
    (outdir / "raw").mkdir(parents=True, exist_ok=True)
    for file, (indicator, layout, title, base_label, value_label) in FILES.items():
        base, value = drawn[indicator]
        body = rows_of_file(rows, areas, base, value, is_median=indicator == "median_income")
        data = format_file(layout, title, base_label, value_label, body).encode("iso-8859-1")
        (outdir / "raw" / f"{prefix}{file}").write_bytes(data)
        print(f"raw/{prefix}{file}  {len(data)} bytes  sha256 {hashlib.sha256(data).hexdigest()}")


def main(outdir):
    rows = read_areas(Path(__file__).resolve().parent / "areas.csv")
    areas = [row for row in rows if row["level"] in ("district", "unallocated")]  # these sum to the city
    drawn = simulate(areas, np.random.default_rng(SEED))

    ranking = rank_by_rule(areas, drawn)
    if {name for _, name in ranking[:4]} != set(PATHS["2019-2025"]):
        raise SystemExit(f"The rule no longer picks the programme's four districts: {ranking[:6]}")
    print("rule:", "; ".join(f"{name} {z:.2f}" for z, name in ranking[:8]))

    write_raw(outdir, "", rows, areas, drawn)

    listed, districts, parts = [], [], []
    for number in range(1, REFERENCE_CITIES + 1):
        city, d = reference_city(number)
        listed += city
        districts += city[1:]
        parts.append(simulate(city[1:], np.random.default_rng([SEED, number, 1]), d))
    joined = {
        indicator: tuple(np.concatenate([part[indicator][which] for part in parts]) for which in (0, 1))
        for indicator in drawn
    }
    write_raw(outdir, "reference_", districts, districts, joined)
    with (outdir / REFERENCE_LIST).open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, list(listed[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(listed)
    print(f"{REFERENCE_LIST}  {len(listed) - len(districts)} cities, {len(districts)} districts")
    truth = format_truth().encode("utf-8")
    (outdir / "truth.csv").write_bytes(truth)
    print(f"truth.csv  {len(truth)} bytes")
    (outdir / "neighbours.csv").write_text(format_neighbours(rows), encoding="utf-8", newline="")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent)
