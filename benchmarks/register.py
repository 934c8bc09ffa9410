"""Register microdata: 100 million synthetic person-years to area-year cells, in a process of its own.

The persons are made by DuckDB from hashes of a seed: no row comes from a register. The peer is pandas, which reads
one year of the same file and groups it; its seconds are for the years it was given, stated in the size, and its
figures are compared with ours. Peak memory is that of the process that aggregates, Python and pandas included.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from rows import Row, arguments, peak_megabytes, row, show

from mekeval.register import Condition, RegisterMeasure, aggregate_register

PERSONS, QUICK_PERSONS, AREAS, FIRST, YEARS = 5_000_000, 250_000, 3000, 2005, 20
PLAIN = [
    RegisterMeasure(name="persons", kind="count"),
    RegisterMeasure(name="income", kind="mean", column="income"),
]
ALL = [
    *PLAIN,
    RegisterMeasure(
        name="unemployed",
        kind="share",
        condition=(Condition(column="unemployed", operator="==", value=True),),
        among=(
            Condition(column="age", operator=">=", value=18),
            Condition(column="age", operator="<", value=65),
        ),
    ),
    RegisterMeasure(name="median_income", kind="median", column="income"),
    RegisterMeasure(name="lowest_decile", kind="decile_share", column="income", deciles=(1,)),
    RegisterMeasure(name="moved_in", kind="movers"),
]


def make_register(folder: Path, *, persons: int, seed: int = 20240229) -> Path:
    """Write synthetic person-years, a file a year: areas of unequal size, 4 % without an income, some who move.

    Returns the pattern that names the files.
    """
    import duckdb

    def uniform(*parts: str) -> str:
        return f"((hash({seed}, {', '.join(parts)}) % 1000003 + 0.5) / 1000003)"

    # A person keeps an area for 12 years; the square makes some areas large.
    spell = "(year + person % 12) // 12"
    place = f"floor({uniform('person', spell, '3')} ** 2 * {AREAS})::INTEGER * 7 + 100"
    normal = (
        f"sqrt(-2 * ln({uniform('person', 'year', '1')})) * cos(2 * pi() * {uniform('person', 'year', '2')})"
    )
    with duckdb.connect(config={"memory_limit": "1GB", "threads": 2}) as con:
        for year in range(FIRST, FIRST + YEARS):
            con.execute(
                f"""COPY (
                  SELECT year::SMALLINT AS year,
                         lpad(({place})::VARCHAR, 5, '0') AS area,
                         person::INTEGER AS person,
                         ((year + person) % 95)::TINYINT AS age,
                         CASE WHEN {uniform("person", "year", "5")} >= 0.04
                              THEN round(exp(10 + 0.6 * {normal}), 2) END AS income,
                         {uniform("person", "year", "4")} < 0.09 AS unemployed
                  FROM (SELECT {year} AS year, range AS person FROM range({persons}))
                ) TO '{folder / f"register_{year}.parquet"}' (FORMAT parquet, COMPRESSION zstd)"""
            )
    return folder / "register_*.parquet"


def alone(path: Path, which: str) -> tuple[float, float, Path]:
    """Seconds, peak megabytes and the cells of one aggregation in a new process."""
    out = path.with_name(f"cells_{which}.parquet")
    done = subprocess.run(
        [sys.executable, __file__, "--aggregate", str(path), which, str(out)],
        capture_output=True,
        text=True,
        check=True,
    )
    took, peak = json.loads(done.stdout)
    return took, peak, out


def aggregate(path: Path, which: str, out: Path) -> None:
    """What `alone` runs; the import of DuckDB is counted, that of pandas is not."""
    started = time.perf_counter()
    aggregate_register(
        path,
        area="area",
        year="year",
        measures=PLAIN if which == "plain" else ALL,
        minimum_count=10,
        vintage=FIRST + YEARS,
        person=None if which == "plain" else "person",
        memory_mb=650,
        threads=2,
        out=out,
    )
    print(json.dumps([time.perf_counter() - started, peak_megabytes()]))


def in_pandas(path: Path, years: list[int]) -> tuple[float, pd.DataFrame]:
    """Seconds to group years that pandas already holds, and the cells."""
    import duckdb

    took, parts = 0.0, []
    for year in years:
        with duckdb.connect(config={"memory_limit": "500MB", "threads": 2}) as con:
            query = (
                f"SELECT year, area, income FROM read_parquet('{path.with_name(f'register_{year}.parquet')}')"
            )
            started = time.perf_counter()
            frame = con.execute(query).df()
            parts.append(
                frame.groupby(["area", "year"])["income"].agg(["size", "count", "mean"]).reset_index()
            )
            took += time.perf_counter() - started
    return took, pd.concat(parts, ignore_index=True)


def largest_difference(cells: pd.DataFrame, peer: pd.DataFrame) -> float:
    """Largest relative difference of counts and means where they are shown; every cell of the peer must be there."""
    worst = 0.0
    for indicator, column in (("persons", "size"), ("income", "mean")):
        mine = cells.loc[cells["indicator"] == indicator]
        pairs = peer.merge(mine, on=["area", "year"], how="left", validate="one_to_one")
        if pairs["status"].isna().any():
            return float("inf")
        pairs = pairs.loc[pairs["status"] == "ok"]
        worst = max(worst, float(np.max(np.abs(pairs["value"] / pairs[column] - 1))))
    return worst


def measure(*, quick: bool, raw: Path | None) -> list[Row]:
    """All rows of this benchmark."""
    import duckdb

    persons = QUICK_PERSONS if quick else PERSONS
    size = f"{persons * YEARS / 1e6:g} million person-years, {YEARS} files, {AREAS} areas, 2 threads"
    goal = not quick
    years = [FIRST, FIRST + 10, FIRST + 19]
    with tempfile.TemporaryDirectory() as folder:
        path = make_register(Path(folder), persons=persons)
        load = os.getloadavg()[0]
        took, peak, out = alone(path, "plain")
        peer, expected = in_pandas(path, years)
        with duckdb.connect() as con:
            cells = con.execute(f"SELECT * FROM '{out}' WHERE year IN ({', '.join(map(str, years))})").df()
        size = f"{size}, load {load:.1f}"
        rows = [
            row("counts and means", size, took, "s", at_most=15 if goal else None),
            row("counts and means, peak memory", size, peak, "MB", at_most=1000 if goal else None),
            row(
                "counts and means, seconds a year",
                f"{len(years)} years in pandas",
                took / YEARS,
                "s",
                peer="pandas",
                peer_value=peer / len(years),
            ),
            row(
                "largest relative difference from pandas",
                f"{len(expected)} cells",
                1e9 * largest_difference(cells, expected),
                "1e-9",
                at_most=1,
            ),
        ]
        took, peak, _ = alone(path, "all")
        rows.append(row("with share, median, decile, movers, doubles", size, took, "s"))
        rows.append(row("with share, median, decile, movers, doubles, peak memory", size, peak, "MB"))
    return rows


if __name__ == "__main__":
    if sys.argv[1:2] == ["--aggregate"]:
        aggregate(Path(sys.argv[2]), sys.argv[3], Path(sys.argv[4]))
    else:
        options = arguments(__doc__ or "")
        show(measure(quick=options.quick, raw=options.raw), as_json=options.json)
