"""Runs on a Dask cluster: the same bytes as here, whatever worker is lost; refused where a worker would make others."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from functools import partial
from pathlib import Path

import nbformat
import pytest
from click.testing import CliRunner

import mekeval
from mekeval import MekevalError, RunError, example_study, run_study
from mekeval.cli import main
from mekeval.run import cluster
from mekeval.run.cluster import Patience, Wanted, as_here, on_cluster
from mekeval.run.publish import PublicationError

distributed = pytest.importorskip("distributed")
dask = pytest.importorskip("dask")
pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="workers are killed by SIGKILL"),
    # Dask's own sockets and loops, which a killed worker leaves to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
SHORT = Patience(scheduler=3, workers=1, beat=0.05)

# A report of two cells: no evaluation, so that a run takes no longer than its kernels.
HEAD = 'study: str = "x"\ndistrict: str = "x"\nyear: int = 1\nlanguage: str = "fi"'
SAYS = """
import os, signal
from pathlib import Path

def above(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])

def python_of_worker():
    pid = above(os.getpid())
    return above(pid) if b"warm" in Path(f"/proc/{pid}/cmdline").read_bytes() else pid
"""
SHOWS = """
bundle = {"title": district, "description": f"{district} {year}", "findings": [
    {"year": year, "subject": district, "outcome": "low_income_rate", "verdict": "fragile"}]}
display({"application/vnd.mekeval.findings+json": bundle, "text/html": f"<h1>{district}</h1>"}, raw=True)
"""


def notebooks(folder: Path, *cells: str) -> Path:
    """A folder with a district notebook of our making."""
    folder.mkdir(parents=True)
    made = [nbformat.v4.new_code_cell(HEAD, metadata={"tags": ["parameters"]})]
    made += [nbformat.v4.new_code_cell(cell.strip()) for cell in (SAYS, *cells, SHOWS)]
    for number, cell in enumerate(made):
        cell.id = f"cell-{number}"
    nbformat.write(nbformat.v4.new_notebook(cells=made), folder / "district_report.ipynb")
    return folder


def tree(folder: Path) -> dict[str, bytes]:
    """Every published file but the manifest and the feeds, which hold times."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "manifest.json" and path.suffix != ".xml"
    }


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A scheduler with two worker processes, which are started again when they are killed."""
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50
        ) as started,
    ):
        yield started.scheduler_address


@pytest.fixture
def threads() -> Iterator[object]:
    """A scheduler and a worker in this very process: quick to start and to end."""
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None, silence_logs=50
    ) as started:
        yield started


def run(out: Path, folder: Path, districts: list[str], **options: object) -> mekeval.run.RunResult:
    return run_study(
        example_study(),
        years=[2025],
        districts=districts,
        languages=["fi"],
        kinds=["district"],
        notebooks=folder,
        out=out,
        **options,  # type: ignore[arg-type]
    )
