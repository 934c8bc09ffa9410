"""Write the synthetic statistics of the Mukana example: raw files, reference cities, hidden effects.

    python make_example.py [OUTDIR]          (default: the folder of this script, which also holds areas.csv)

No figure written here describes a real area. The areas, their names, their size class, the programme's years and
target areas are real; everything else follows from the equation below and the seed.

For area i, year t = 2012..2024 and indicator k, with s = t - 2012:

    y[i,t,k] = base[k] + load[k] * d[i] + own[i,k]      the level: d is a latent disadvantage score
             + trend[k] * s + drift[k] * d[i] * s       the city's course; the worse off drift away from it
             + shock[k] * decay[t]                      2020, halved in 2021, a fifth left in 2022
             + effect[i,t,k]                            what the programme did; written to truth.csv
             + noise[i,t,k]                             variance 0.1 + 300 / people in the base, independent

The young of an area are 18% of its people, the young of the labour force 10%, each constant and rounded. A numerator
is round(base * y / 100). Where the base is under 50 persons the numerator is "..": the programme's own comparison left
out such areas.

Reference cities: 20 invented cities in which nothing was done follow the same equation, without effects: 24 to 36 areas
each, six of them disadvantaged as the six of the programme are.
"""

import csv
import hashlib
import sys
from pathlib import Path

import numpy as np

SEED = 20190128
YEARS = np.arange(2012, 2025)
MINIMUM_BASE = 50
TARGETS = ("Kontula", "Meri-Rastila", "Mellunmäki", "Malmi", "Kannelmäki", "Malminkartano")
ME_SCHOOLS = ("Mellunmäki", "Malmi", "Kannelmäki")
CITIES = 20

SHARES = {"nuoret": 0.18, "nuori_tyovoima": 0.10}
# indicator: base, load, own, trend, drift, shock; its base and the column of its numerator
INDICATORS = {
    "young_foreign_language": ((22.0, 7.0, 1.5, 0.8, 0.15, 0.0), "nuoret", "vieraskieliset"),
    "young_low_income": ((24.0, 4.0, 1.0, 0.1, 0.08, 0.0), "nuoret", "pienituloiset"),
    "young_without_qualification": ((16.0, 4.5, 0.8, -0.1, 0.06, 0.0), "nuoret", "ilman_tutkintoa"),
    "young_unemployment": ((13.0, 3.5, 0.6, 0.0, 0.10, 5.0), "nuori_tyovoima", "tyottomat"),
}
DECAY = np.array([{2020: 1.0, 2021: 0.5, 2022: 0.2}.get(int(year), 0.0) for year in YEARS])


def effect(indicator, area, year):
    """What the programme adds to an indicator of a target area, in points.

    Unemployment falls in all six. The young without a qualification become fewer in the areas of the Me schools alone,
    and stay so: the treatment differs by measure.
    """
    if year < 2019:
        return 0.0
    if indicator == "young_unemployment":
        return -1.0 if year == 2019 else -3.0 if year <= 2021 else -1.0
    if indicator == "young_without_qualification" and area in ME_SCHOOLS:
        return 0.0 if year == 2019 else -2.5
    return 0.0


def read_areas():
    """The areas of areas.csv, without the city."""
    with (Path(__file__).resolve().parent / "areas.csv").open(encoding="utf-8", newline="") as stream:
        return [row for row in csv.DictReader(stream) if row["level"] == "district"]


def reference_city(number):
    """The rows of one invented city, as in areas.csv."""
    rng = np.random.default_rng([SEED, number])
    size = int(rng.integers(24, 37))
    people = np.rint(rng.lognormal(np.log(7500), 0.35, size) / 100).astype(int) * 100
    code = f"{900 + number}"
    city = (f"Verrokkikaupunki {number}", f"Jämförelsestad {number}", f"Reference city {number}")
    parts = ("alue", "område", "area")
    rows = [[code, "city", "", *city, people.sum()]]
    for at, persons in enumerate(people, 1):
        names = [f"{name}, {part} {at}" for name, part in zip(city, parts, strict=True)]
        rows.append([f"{code}{at:02d}", "district", code, *names, persons])
    return rows


def simulate(rng, names, sizes, targets):
    """Rows of a raw file: bases and numerators of every area and year. The `targets` are disadvantaged."""
    d = rng.normal(-0.35, 0.5, len(names)).clip(-1.3, 0.7)
    d[targets] = rng.uniform(1.3, 2.1, len(targets))
    bases = {name: np.rint(sizes * share).astype(int) for name, share in SHARES.items()}
    columns = {}
    s = YEARS - YEARS[0]
    for indicator, ((base, load, own, trend, drift, shock), of, column) in INDICATORS.items():
        level = base + load * d + rng.normal(0.0, own, len(names))
        sd = np.sqrt(0.1 + 300 / np.maximum(bases[of], 1))[:, None]
        rate = level[:, None] + trend * s + drift * d[:, None] * s + shock * DECAY
        rate += np.array(
            [[effect(indicator, name, year) if name in TARGETS else 0 for year in YEARS] for name in names]
        )
        rate += sd * rng.normal(size=rate.shape)
        columns[column] = np.rint(bases[of][:, None] * rate.clip(1, 95) / 100).astype(int), bases[of]
    return bases, columns


def write_raw(path, codes, bases, columns):
    """One row for each area and year."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["alue", "vuosi", *SHARES, *columns])
        for i, code in enumerate(codes):
            for t, year in enumerate(YEARS):
                cells = [n[i, t] if of[i] >= MINIMUM_BASE else ".." for n, of in columns.values()]
                writer.writerow([code, year, *(base[i] for base in bases.values()), *cells])
    print(f"{path.name}  sha256 {hashlib.sha256(path.read_bytes()).hexdigest()}")


def main(outdir):
    areas = read_areas()
    names = [row["name_fi"] for row in areas]
    sizes = np.array([float(row["population"]) for row in areas])
    (outdir / "raw").mkdir(parents=True, exist_ok=True)
    made = simulate(np.random.default_rng(SEED), names, sizes, [names.index(name) for name in TARGETS])
    write_raw(outdir / "raw" / "nuoret.csv", [row["code"] for row in areas], *made)

    listed, codes, cities = [], [], []
    for number in range(1, CITIES + 1):
        rows = reference_city(number)
        listed += rows
        codes += [row[0] for row in rows[1:]]
        rng = np.random.default_rng([SEED, number, 1])
        sizes = np.array([float(row[-1]) for row in rows[1:]])
        cities.append(simulate(rng, [row[3] for row in rows[1:]], sizes, rng.permutation(len(sizes))[:6]))
    bases = {name: np.concatenate([city[0][name] for city in cities]) for name in SHARES}
    columns = {
        name: tuple(np.concatenate([city[1][name][part] for city in cities]) for part in (0, 1))
        for _, _, name in INDICATORS.values()
    }
    write_raw(outdir / "raw" / "reference_nuoret.csv", codes, bases, columns)
    with (outdir / "reference_areas.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["code", "level", "parent", "name_fi", "name_sv", "name_en", "population"])
        writer.writerows(listed)
    with (outdir / "truth.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["indicator", "area", "year", "effect"])
        for indicator in INDICATORS:
            for name in TARGETS:
                writer.writerows(
                    [indicator, name, year, effect(indicator, name, year)] for year in YEARS[YEARS >= 2019]
                )


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent)
