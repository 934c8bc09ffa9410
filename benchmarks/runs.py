"""Runs: the whole matrix of the embedded study, beside a plain papermill loop over the same notebooks.

The last rows run a notebook of two lines many times: the time of ten times as many jobs should be ten times as long,
and what all processes of the run hold together should not grow. Processor time "once warm" is that of the run less that
of starting and stopping the processes.

The peer executes each notebook with papermill in one process and turns it into HTML with nbconvert's own template:
what one would write in ten lines. It checks no parameter, joins no findings and publishes nothing as a set.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbconvert
import nbformat
import papermill
from rows import Row, arguments, row, seconds, show

from mekeval import example_study, read_study, run_study
from mekeval.run import plan_jobs
from mekeval.run.kernels import NO_LIMITS, can_fork, run_notebook
from mekeval.run.pool import WarmPool

KINDS = ("city", "district", "quality")


def plain_loop(out: Path, *, years: list[int], districts: list[str] | None) -> int:
    """Papermill and nbconvert, one notebook after the other; the number of reports."""
    planned = plan_jobs(read_study(example_study()), years=years, districts=districts, kinds=KINDS)
    exporter = nbconvert.HTMLExporter()
    for at, job in enumerate(planned):
        target = out / f"{at}.ipynb"
        papermill.execute_notebook(
            str(job.notebook),
            str(target),
            parameters=dict(job.parameters),
            cwd=str(job.folder),
            progress_bar=False,
        )
        html, _ = exporter.from_filename(str(target))
        target.with_suffix(".html").write_text(html, encoding="utf-8")
    return len(planned)


def second_run(out: Path, years: list[int], districts: list[str] | None) -> None:
    """The same run as a command, in a process of its own: nothing has changed, and it must notice that."""
    words = [f"--year={year}" for year in years] + [f"--district={one}" for one in districts or ()]
    words += [f"--kind={kind}" for kind in KINDS]
    command = [
        sys.executable,
        "-m",
        "mekeval",
        "run",
        str(example_study()),
        *words,
        f"--out={out}",
        "--quiet",
    ]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    if not done.stdout.startswith("0 reports made"):
        raise SystemExit(f"The second run made something: {done.stdout}")


def cpu_seconds() -> float:
    """Processor time of this process and of its children that have ended."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def start_and_stop() -> None:
    """The processes of a run, and no job."""
    with WarmPool(2) as pool:
        for future in [pool.submit(pow, 2, 10) for _ in range(2)]:
            future.result()


def held() -> float:
    """Megabytes that this process and its descendants hold, shared pages divided among those who share them."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    family = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= more
    total = 0
    for pid in family:
        try:
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    return total / 1024


def many_small_jobs(folder: Path, count: int) -> tuple[float, float]:
    """Seconds for so many notebooks of two lines with 2 workers, and the most megabytes held meanwhile."""
    path = folder / "small.ipynb"
    cells = [
        nbformat.v4.new_code_cell("x: int = 1", metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell("x + 1"),
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    given = {"folder": folder, "environment": {}, "limits": NO_LIMITS}
    with WarmPool(2) as pool:
        for future in [pool.submit(run_notebook, path, parameters={"x": 0}, **given) for _ in range(2)]:
            future.result()
        started, most = time.perf_counter(), 0.0
        futures = [pool.submit(run_notebook, path, parameters={"x": x}, **given) for x in range(count)]
        for number, future in enumerate(futures):
            future.result()
            if number % max(1, count // 10) == 0:
                most = max(most, held())
        return time.perf_counter() - started, most


def rows_of_small_jobs(folder: Path, *, few: int) -> list[Row]:
    """Time and memory of few jobs and of ten times as many."""
    time_few, memory_few = many_small_jobs(folder, few)
    time_many, memory_many = many_small_jobs(folder, 10 * few)
    size = f"{10 * few} jobs of two lines, 2 workers"
    than = f"{few} jobs"
    return [
        row("small jobs, jobs per second", size, 10 * few / time_many, "1/s"),
        row(
            "small jobs, time",
            size,
            time_many,
            "s",
            peer=f"10 times {than}",
            peer_value=10 * time_few,
            ratio_at_most=1.2,
        ),
        row(
            "small jobs, memory held",
            size,
            memory_many,
            "MB",
            peer=than,
            peer_value=memory_few,
            ratio_at_most=1.1,
        ),
    ]


def measure(*, quick: bool, raw: Path | None) -> list[Row]:
    """All rows of this benchmark."""
    del raw  # only the embedded study is run here
    years = [2025] if quick else [2023, 2024, 2025]
    districts = ["Hakunila"] if quick else None
    folder = Path(tempfile.mkdtemp(prefix="mekeval-bench-"))
    try:
        cpu, started = cpu_seconds(), time.perf_counter()
        count = plain_loop(folder, years=years, districts=districts)
        plain, plain_cpu = time.perf_counter() - started, cpu_seconds() - cpu
        cpu, started = cpu_seconds(), time.perf_counter()
        result = run_study(
            example_study(), years=years, districts=districts, kinds=KINDS, out=folder / "reports", jobs=2
        )
        ours, ours_cpu = time.perf_counter() - started, cpu_seconds() - cpu
        if result.failed:
            raise SystemExit("\n".join(result.errors.values()))
        again = seconds(lambda: second_run(folder / "reports", years, districts), repeat=3)
        cpu = cpu_seconds()
        idle = 0.0
        small: list[Row] = []
        if can_fork():
            start_and_stop()
            idle = cpu_seconds() - cpu
            small = rows_of_small_jobs(folder, few=6 if quick else 30)
    finally:
        shutil.rmtree(folder)
    size = f"{count} reports"
    loop = "plain papermill loop"
    version = [sys.executable, "-m", "mekeval", "--help"]
    imported = [sys.executable, "-c", "import mekeval"]
    repeat = 3 if quick else 7
    return [
        row("matrix, wall clock, 2 jobs", size, ours, "s", peer=loop, peer_value=plain, ratio_at_most=1 / 6),
        row(
            "processor time for each report, once warm",
            size,
            (ours_cpu - idle) / count,
            "s",
            peer=loop,
            peer_value=plain_cpu / count,
            at_most=0.5,
        ),
        row("second run, nothing changed, as a command", size, again, "s", at_most=1.5),
        row("processor time of starting and stopping the processes", "2 jobs", idle, "s"),
        *small,
        row(
            "mekeval --help",
            "",
            seconds(lambda: subprocess.run(version, check=True, capture_output=True), repeat=repeat),
            "s",
            at_most=0.35,
        ),
        row(
            "import mekeval",
            "",
            seconds(lambda: subprocess.run(imported, check=True), repeat=repeat),
            "s",
            at_most=0.8,
        ),
    ]


if __name__ == "__main__":
    options = arguments(__doc__ or "")
    show(measure(quick=options.quick, raw=options.raw), as_json=options.json)
