"""National scale: a study of every municipality with at least 12 postal areas, written and reported by the same calls.

For each municipality `new_study` writes a study from Paavo, whose rule proposes the five worst areas, and `run_study`
makes the report of the city (with --districts also of the five areas) in one language, two municipalities at a time.
No programme ran in most of them, and every report says so. A municipality with too few areas that are large enough
for the rule is refused in words, and counted. The time of all is set against that of the first few, and
what all processes hold against what they held by then. Each municipality is named on standard error as it is done.
"""

from __future__ import annotations

import argparse
import functools
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from paavo_rates import statistics
from rows import Row, row, show
from runs import held

from mekeval import MekevalError, run_study
from mekeval.begin import new_study
from mekeval.run.kernels import can_fork
from mekeval.run.pool import WarmPool

QUICK = ("Turku", "Kuopio", "Vantaa")
#: What `new_study` asks for: twice the areas that its rule chooses, and two more.
FEWEST = 12


@dataclass(frozen=True, kw_only=True)
class Done:
    """What became of one municipality; `error` is empty where all went well.

    Refused is one of which no study can be made, in words: too few areas that are large enough for the rule.
    """

    name: str
    reports: int
    written: float
    run: float
    error: str
    refused: bool = False


def municipalities(raw: Path) -> list[str]:
    """Names of the municipalities with enough postal areas, the largest first."""
    city_of = statistics(raw, ("low_income",)).municipality
    names = sorted(set(city_of.values()))
    counts = {name: sum(one == name for one in city_of.values()) for name in names}
    return sorted((name for name in names if counts[name] >= FEWEST), key=lambda name: (-counts[name], name))


def one_city(name: str, *, raw: Path, folder: Path, kinds: Sequence[str]) -> Done:
    """Write the study of a municipality and make its reports."""
    begun = time.perf_counter()
    written = 0.0
    try:
        try:
            made = new_study(folder / name, municipality_of=name, raw=raw)
        except MekevalError as cause:
            spent = time.perf_counter() - begun
            return Done(name=name, reports=0, written=spent, run=0.0, error=str(cause), refused=True)
        written = time.perf_counter() - begun
        result = run_study(
            made.folder,
            years=[made.year],
            languages=["fi"],
            kinds=kinds,
            raw=raw,
            out=folder / name / "reports",
            **({"executor": own_pool()} if can_fork() else {"jobs": 1}),
        )
        error = "; ".join(f"{job}: {message}" for job, message in result.errors.items())
        reports = len(result.done)
    except MekevalError as cause:
        error, reports = str(cause), 0
    except Exception as cause:  # a fault of ours, which must not stop the others
        error, reports = f"{type(cause).__name__}: {cause}", 0
    shutil.rmtree(folder / name, ignore_errors=True)
    ran = time.perf_counter() - begun - written
    return Done(name=name, reports=reports, written=written, run=ran, error=error)


@functools.cache
def own_pool() -> Executor:
    """One warm worker of this process, for all its municipalities."""
    return WarmPool(1)


def measure(
    *, quick: bool, raw: Path, kinds: Sequence[str] = ("city",), jobs: int = 2, most: int = 0
) -> list[Row]:
    """All rows of this benchmark; `most` limits the municipalities, 0 does not."""
    names = list(QUICK) if quick else municipalities(raw)[: most or None]
    folder = Path(tempfile.mkdtemp(prefix="mekeval-national-"))
    over = threading.Event()
    sizes: list[tuple[float, float]] = []

    def watch() -> None:
        while not over.wait(1.0):
            sizes.append((time.perf_counter(), held()))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    work = partial(one_city, raw=raw, folder=folder, kinds=kinds)
    started = time.perf_counter()
    done: list[Done] = []
    ends: list[float] = []
    try:
        with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
            for one in pool.map(work, names):
                done.append(one)
                ends.append(time.perf_counter())
                state = one.error or f"{one.reports} reports"
                print(
                    f"{one.name}: {one.written:.1f} + {one.run:.1f} s, {state}", file=sys.stderr, flush=True
                )
    finally:
        over.set()
        watcher.join()
        shutil.rmtree(folder, ignore_errors=True)
    return rows_of(done, ends, sizes, started=started, jobs=jobs)


def rows_of(
    done: Sequence[Done],
    ends: Sequence[float],
    sizes: Sequence[tuple[float, float]],
    *,
    started: float,
    jobs: int,
) -> list[Row]:
    """Rows from what became of each municipality, when, and what was held at which time."""
    count, reports = len(done), sum(one.reports for one in done)
    total = ends[-1] - started
    size = f"{count} municipalities, {reports} reports, {jobs} at a time"
    few = max(1, count // 5)
    early = max((held_then for at, held_then in sizes if at <= ends[few - 1]), default=0.0)
    return [
        row("national, reports per second", size, reports / total, "1/s"),
        row(
            "national, time",
            size,
            total,
            "s",
            peer=f"{count / few:g} times the first {few}",
            peer_value=(ends[few - 1] - started) * count / few,
            ratio_at_most=1.2,
        ),
        row(
            "national, memory held",
            size,
            max((held_then for _, held_then in sizes), default=0.0),
            "MB",
            peer=f"the first {few}",
            peer_value=early,
            ratio_at_most=1.2,
        ),
        row("national, no study possible", size, sum(one.refused for one in done), "municipalities"),
        row(
            "national, failed",
            size,
            sum(bool(one.error) and not one.refused for one in done),
            "municipalities",
            at_most=0,
        ),
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON list")
    parser.add_argument("--quick", action="store_true", help="three cities, in under 60 s")
    parser.add_argument("--raw", type=Path, required=True, help="folder of the real raw data")
    parser.add_argument("--districts", action="store_true", help="the reports of the five areas too")
    parser.add_argument("--jobs", type=int, default=2, help="municipalities at a time")
    parser.add_argument("--most", type=int, default=0, help="only so many, the largest first")
    options = parser.parse_args()
    try:
        found = measure(
            quick=options.quick,
            raw=options.raw,
            kinds=("city", "district") if options.districts else ("city",),
            jobs=options.jobs,
            most=options.most,
        )
    except (MekevalError, OSError) as error:
        parser.exit(2, f"{error}\n")
    show(found, as_json=options.json)
