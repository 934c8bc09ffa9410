"""Runs: the whole matrix of the embedded study, beside a plain papermill loop over the same notebooks.

The peer executes each notebook with papermill in one process and turns it into HTML with nbconvert's own template:
what one would write in ten lines. It checks no parameter, joins no findings and publishes nothing as a set.
"""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbconvert
import papermill
from rows import Row, arguments, row, seconds, show

from mekeval import example_study, read_study, run_study
from mekeval.run import plan_jobs


def plain_loop(out: Path, *, years: list[int], districts: list[str] | None) -> int:
    """Papermill and nbconvert, one notebook after the other; the number of reports."""
    planned = plan_jobs(read_study(example_study()), years=years, districts=districts)
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


def cpu_seconds() -> float:
    """Processor time of this process and of its children that have ended."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


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
        result = run_study(example_study(), years=years, districts=districts, out=folder / "reports", jobs=2)
        ours, ours_cpu = time.perf_counter() - started, cpu_seconds() - cpu
        if result.failed:
            raise SystemExit("\n".join(result.errors.values()))
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
            "processor time for each report",
            size,
            ours_cpu / count,
            "s",
            peer=loop,
            peer_value=plain_cpu / count,
            at_most=0.5,
        ),
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
