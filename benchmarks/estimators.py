"""Estimators: staggered panels, beside diff-diff, pyfixest and csdid.

Peers run in an environment of their own (`make bench-env`); without it their columns stay empty. Each figure is the
median of five runs after one that warms up (of one, where that takes over ten seconds), in a process of its own, with
one thread for BLAS; the compiled loops of the peers take the threads that they like, ours has one. Everybody starts
from the same table in memory. Ours is timed twice: "from the panel", since a panel and its design are built once for
all estimators (the goals are for this), and "from the table", which builds both each time. A peer counts only where
its estimates are ours to 1e-6; the fastest that is right has the ratio with the goal. "CPU" is processor time of the
same runs; "peak memory" is the largest resident size of a process that imports the package, makes the table and does
the task once.

Synthetic DiD is solved exactly by us. diff-diff stops Frank-Wolfe where R's synthdid stops, as our solver
"frank_wolfe" does, and the estimates of those two are held against each other. That solver repeats published figures;
it is slower than diff-diff's compiled loop, since every step of it is a few small array operations.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
from rows import Row, arguments, row, show

ROOT = Path(__file__).resolve().parents[1]
PEER_PYTHON = ROOT / ".venv-bench" / "bin" / "python"
THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
SIZES = ((100, 12), (3_000, 15), (100_000, 10))
DRAWS = 999
SAME = 1e-6

#: For each task the peers that do it, and the largest ratio that is wanted.
TASKS: dict[str, tuple[tuple[str, ...], float]] = {
    "Callaway-Sant'Anna, 999 draws, uniform bands": (("diff-diff", "csdid"), 0.5),
    "TWFE event study, clustered": (("pyfixest",), 0.5),
    "Sun-Abraham": (("diff-diff",), 0.5),
    "imputation": (("diff-diff",), 0.5),
}
SYNTHETIC = "synthetic DiD, 200 placebos"

Estimates = dict[int, float]


def staggered(n_units: int, n_periods: int) -> pd.DataFrame:
    """A long table of units that enter in five waves or never; the effect grows with the years in treatment."""
    rng = np.random.default_rng(20_250_101)
    waves = np.linspace(3, n_periods, 5).astype(int)
    cohort = rng.choice([0, *waves], size=n_units, p=[0.4, *[0.12] * 5])[:, None]
    period = np.arange(1, n_periods + 1)
    effect = np.where((cohort > 0) & (period >= cohort), 0.5 + 0.1 * (period - cohort), 0.0)
    noise = rng.normal(size=(n_units, n_periods))
    y = rng.normal(size=(n_units, 1)) + 0.2 * period + effect + noise
    return pd.DataFrame(
        {
            "unit": np.repeat(np.arange(n_units), n_periods),
            "period": np.tile(period, n_units),
            "cohort": np.repeat(cohort.ravel(), n_periods),
            "y": y.ravel(),
        }
    )


def block(n_units: int = 60, n_periods: int = 15, n_treated: int = 5) -> pd.DataFrame:
    """A long table with two common factors; the first units are treated in the last five periods."""
    rng = np.random.default_rng(20_250_101)
    factors = rng.normal(size=(n_units, 2)) @ rng.normal(size=(2, n_periods)).cumsum(axis=1)
    y = factors + 2 * rng.normal(size=(n_units, 1)) + rng.normal(size=(n_units, n_periods))
    y[:n_treated, n_periods - 5 :] += 1.5
    return pd.DataFrame(
        {
            "unit": np.repeat(np.arange(n_units), n_periods),
            "period": np.tile(np.arange(1, n_periods + 1), n_units),
            "treated": np.repeat(np.arange(n_units) < n_treated, n_periods).astype(int),
            "y": y.ravel(),
        }
    )


# --- what each package does; a function makes the work, which returns estimates by event time -----------------------


def ours(task: str, table: pd.DataFrame, *, start: str) -> Callable[[], Estimates]:
    """Our work on a task; `start` is "panel" or "table", and for synthetic DiD the solver."""
    import mekeval

    def panel() -> Any:
        return mekeval.build_panel(table, unit="unit", period="period", outcome=["y"])

    if task == SYNTHETIC:
        made = panel()
        design = mekeval.make_design(made.units, [(11, 15, made.units[:5])])

        def placebos() -> Estimates:
            result = mekeval.synthetic_placebos(made, design, outcome="y", draws=200, solver=start)
            return {0: result.att}

        return placebos

    def both() -> tuple[Any, Any]:
        made = panel()
        first = table.drop_duplicates("unit")["cohort"].to_numpy()
        cohorts = [int(one) if one else None for one in first]
        return made, mekeval.design_from_cohorts(made.units, cohorts, last_period=made.periods[-1])

    ready = None if start == "table" else both()

    def estimate() -> Estimates:
        made, design = ready or both()
        if task.startswith("Callaway"):
            from mekeval.inference.bands import uniform_bands

            effects = mekeval.callaway_santanna(made, design, outcome="y")
            bands = uniform_bands(mekeval.aggregate(effects, by="event_time"), draws=DRAWS)
            return dict(zip(bands.table["key"], bands.table["att"], strict=True))
        if task.startswith("TWFE"):
            cells = mekeval.twfe_event_study(made, design, outcome="y").tidy()
            return dict(zip(cells["event_time"], cells["att"], strict=True))
        estimator = mekeval.sun_abraham if task == "Sun-Abraham" else mekeval.imputation
        averages = mekeval.aggregate(estimator(made, design, outcome="y"), by="event_time")
        return dict(zip(averages.table["key"], averages.table["att"], strict=True))

    return estimate


def diff_diff(task: str, table: pd.DataFrame) -> Callable[[], Estimates]:
    """diff-diff's work on a task."""
    import diff_diff as package

    names = {"outcome": "y", "unit": "unit", "time": "period"}

    def synthetic() -> Estimates:
        fit = package.SyntheticDiD(variance_method="placebo", n_bootstrap=200, seed=1)
        return {0: fit.fit(table, **names, treatment="treated", post_periods=list(range(11, 16))).att}

    def estimate() -> Estimates:
        if task.startswith("Callaway"):
            fit = package.CallawaySantAnna(n_bootstrap=DRAWS, bootstrap_weights="mammen", seed=1)
            result = fit.fit(table, **names, first_treat="cohort", aggregate="event_study")
        elif task == "Sun-Abraham":
            result = package.SunAbraham().fit(table, **names, first_treat="cohort")
        else:
            result = package.ImputationDiD().fit(
                table, **names, first_treat="cohort", aggregate="event_study"
            )
        return {int(time): float(one["effect"]) for time, one in result.event_study_effects.items()}

    return synthetic if task == SYNTHETIC else estimate


def pyfixest(task: str, table: pd.DataFrame) -> Callable[[], Estimates]:
    """pyfixest's work on the event study; event times are a column of its table from the start."""
    import pyfixest as pf

    del task
    times = (table["period"] - table["cohort"]).where(table["cohort"] > 0, -1)
    table = table.assign(time=times)

    def estimate() -> Estimates:
        fit = pf.feols("y ~ i(time, ref=-1) | unit + period", data=table, vcov={"CRV1": "unit"})
        return {int(name.rpartition("::")[2].rstrip("]")): float(att) for name, att in fit.coef().items()}

    return estimate


def csdid(task: str, table: pd.DataFrame) -> Callable[[], Estimates]:
    """csdid's work: its tables are printed as it goes, which is kept off the output."""
    from csdid.att_gt import ATTgt

    del task
    names = {"yname": "y", "gname": "cohort", "idname": "unit", "tname": "period", "xformla": "y~1"}

    def estimate() -> Estimates:
        fit = ATTgt(**names, data=table.copy(), biters=DRAWS, cband=True).fit(est_method="reg")
        found = fit.aggte("dynamic").atte
        return {int(time): float(att) for time, att in zip(found["egt"], found["att_egt"], strict=True)}

    return estimate


PEERS = {"diff-diff": diff_diff, "pyfixest": pyfixest, "csdid": csdid}


# --- one process for each figure -----------------------------------------------------------------------------------


def child(options: argparse.Namespace) -> None:
    """Run one task and print its figures; the parent reads the last line."""
    import contextlib
    import io
    import warnings

    warnings.simplefilter("ignore")
    table = block() if options.task == SYNTHETIC else staggered(options.units, options.periods)
    with contextlib.redirect_stdout(io.StringIO()):
        if options.who in PEERS:
            work = PEERS[options.who](options.task, table)
        else:
            work = ours(options.task, table, start=options.who)
        started = time.perf_counter()
        estimates = work()
        slow = time.perf_counter() - started > 10
        wall, cpu = [], []
        for _ in range(min(options.repeat, 1) if slow else options.repeat):
            started, used = time.perf_counter(), time.process_time()
            work()
            wall.append(time.perf_counter() - started)
            cpu.append(time.process_time() - used)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    figures = {"wall": median(wall) if wall else None, "cpu": median(cpu) if cpu else None, "peak": peak}
    version = metadata.version(options.who) if options.who in PEERS else ""
    told = {int(at): float(att) for at, att in estimates.items()}
    print(json.dumps(figures | {"estimates": told, "name": f"{options.who} {version}"}))


def run(who: str, task: str, size: tuple[int, int], *, repeat: int, timeout: float) -> dict[str, Any] | None:
    """The figures of a process of its own; None where the package is not there, fails or takes too long."""
    python = sys.executable if who not in PEERS else str(PEER_PYTHON)
    if not Path(python).exists():
        return None
    words = ["--who", who, "--task", task, "--units", str(size[0]), "--periods", str(size[1])]
    command = [python, str(Path(__file__).resolve()), "--child", *words, "--repeat", str(repeat)]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=timeout,
            env={**os.environ, **THREADS},
            check=False,
        )
    except subprocess.TimeoutExpired:
        print(f"{who}, {task}, {size[0]} x {size[1]}: not done in {timeout:g} s", file=sys.stderr)
        return None
    if done.returncode != 0:
        last = done.stderr.strip().splitlines()[-1:] or ["no message"]
        print(f"{who}, {task}, {size[0]} x {size[1]}: {last[0]}", file=sys.stderr)
        return None
    figures: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return figures


def same(one: dict[str, Any], two: dict[str, Any]) -> bool:
    """Whether estimates agree wherever both packages give one; those that are zero by construction do not count."""
    a, b = one["estimates"], two["estimates"]
    shared = [time for time in a if time in b and b[time] != 0]
    return bool(shared) and all(abs(a[time] - b[time]) <= SAME for time in shared)


def measure(*, quick: bool, raw: Path | None) -> list[Row]:
    """All rows of this benchmark."""
    del raw  # the data are drawn
    repeat, timeout = (3, 20.0) if quick else (5, 600.0)
    rows: list[Row] = []
    for task, (names, limit) in TASKS.items():
        for size in SIZES[1:2] if quick else SIZES:
            rows += _side_by_side(task, size, names, limit, repeat=repeat, timeout=timeout)
        grown = (300, 3_000, 15) if quick else (10_000, 100_000, 10)
        starts = ("panel",) if quick else ("panel", "table")
        rows += _growth(task, *grown, starts=starts, repeat=repeat, timeout=timeout)
    if not quick:
        for task, (names, _) in TASKS.items():
            rows.append(_memory(task, SIZES[-1], names[0], timeout=timeout))
    return rows + _synthetic(repeat=repeat, timeout=timeout)


def _side_by_side(
    task: str, size: tuple[int, int], names: tuple[str, ...], limit: float, *, repeat: int, timeout: float
) -> list[Row]:
    """Wall clock and processor time of a task, ours from the panel and from the table."""
    told = f"{size[0]:,} x {size[1]}"
    panel, table = (_own(start, task, size, repeat=repeat, timeout=timeout) for start in ("panel", "table"))
    peers = [one for name in names if (one := run(name, task, size, repeat=repeat, timeout=timeout))]
    rows = [
        row(f"{task}: other estimates, not compared", told, panel["wall"], "s", peer=one["name"])
        for one in peers
        if not same(panel, one)
    ]
    right = sorted((one for one in peers if same(panel, one)), key=lambda one: one["wall"])
    best, others = (right[0] if right else {}), right[1:]
    name = best.get("name", "")
    wall, cpu = best.get("wall"), best.get("cpu")
    at = f"{task}, from the panel"
    rows.append(row(f"{at}, wall", told, panel["wall"], "s", peer=name, peer_value=wall, ratio_at_most=limit))
    rows.append(row(f"{at}, CPU", told, panel["cpu"], "s", peer=name, peer_value=cpu))
    rows.append(row(f"{task}, from the table, wall", told, table["wall"], "s", peer=name, peer_value=wall))
    rows += [
        row(f"{at}, wall", told, panel["wall"], "s", peer=one["name"], peer_value=one["wall"])
        for one in others
    ]
    return rows


def _growth(
    task: str, few: int, many: int, n_periods: int, *, starts: tuple[str, ...], repeat: int, timeout: float
) -> list[Row]:
    """How many times the processor time ten times the units take."""
    rows = []
    for start in starts:
        small, large = (
            _own(start, task, (n_units, n_periods), repeat=repeat, timeout=timeout)["cpu"]
            for n_units in (few, many)
        )
        name = f"{task}, from the {start}: times the CPU time for ten times the units"
        rows.append(row(name, f"{few:,} to {many:,} x {n_periods}", large / small, "times", at_most=12))
    return rows


def _memory(task: str, size: tuple[int, int], name: str, *, timeout: float) -> Row:
    """Peak memory of a process that does a task once."""
    once = _own("table", task, size, repeat=0, timeout=timeout)
    peer = run(name, task, size, repeat=0, timeout=timeout) or {"name": "", "peak": None}
    told = f"{size[0]:,} x {size[1]}"
    return row(
        f"{task}, peak memory",
        told,
        once["peak"],
        "MB",
        peer=peer["name"],
        peer_value=peer["peak"],
        at_most=600,
    )


def _synthetic(*, repeat: int, timeout: float) -> list[Row]:
    """Synthetic DiD with placebos, by both solvers."""
    size = (60, 15)
    exact, slow = (
        _own(solver, SYNTHETIC, size, repeat=repeat, timeout=timeout) for solver in ("exact", "frank_wolfe")
    )
    peer = run("diff-diff", SYNTHETIC, size, repeat=repeat, timeout=timeout)
    if peer is not None and not same(slow, peer):
        return [
            row(
                f"{SYNTHETIC}: other estimates, not compared",
                "60 x 15",
                exact["wall"],
                "s",
                peer=peer["name"],
            )
        ]
    rows = []
    for solver, one in (("exact", exact), ("frank_wolfe", slow)):
        for kind, label in (("wall", "wall"), ("cpu", "CPU")):
            rows.append(
                row(
                    f'{SYNTHETIC}, solver "{solver}", {label}',
                    "60 x 15, 5 treated",
                    one[kind],
                    "s",
                    peer=peer["name"] if peer else "",
                    peer_value=peer[kind] if peer else None,
                    ratio_at_most=0.25 if kind == "wall" else None,
                )
            )
    return rows


def _own(start: str, task: str, size: tuple[int, int], *, repeat: int, timeout: float) -> dict[str, Any]:
    figures = run(start, task, size, repeat=repeat, timeout=timeout)
    if figures is None:
        raise SystemExit(f"{task}, {size[0]} x {size[1]}: our own run failed")
    return figures


if __name__ == "__main__":
    if "--child" in sys.argv:
        parser = argparse.ArgumentParser()
        parser.add_argument("--child", action="store_true")
        for name in ("--who", "--task"):
            parser.add_argument(name)
        for name in ("--units", "--periods", "--repeat"):
            parser.add_argument(name, type=int)
        child(parser.parse_args())
    else:
        options = arguments(__doc__ or "")
        show(measure(quick=options.quick, raw=options.raw), as_json=options.json)
