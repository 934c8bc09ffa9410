"""What a run loads itself, and that its kernels do not hang on how mekeval was installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from mekeval import example_study
from mekeval.run.kernels import can_fork

pytestmark = pytest.mark.skipif(not can_fork("fork"), reason="processes cannot be forked here")

#: Only jobs, their workers and their kernels need these.
HEAVY = (
    "matplotlib",
    "papermill",
    "nbconvert",
    "nbclient",
    "jupyter_client",
    "scipy.stats",
    "mekeval.report",
)


def said(code: str, *args: str, folder: Path) -> list[str]:
    """The lines that a process of its own prints."""
    environment = {**os.environ, "MEKEVAL_KERNELS": "fork"}
    ended = subprocess.run(
        [sys.executable, "-c", code, *args],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.split("\n")


def test_a_run_whose_workers_do_the_jobs_loads_neither_papermill_nor_the_drawing_library(
    tmp_path: Path,
) -> None:
    code = f"""
import sys
from mekeval import run_study
result = run_study(sys.argv[1], years=[2025], kinds=["quality"], languages=["en"], out="out", jobs=1)
print(len(result.done), len(result.failed))
print([name for name in {HEAVY} if name in sys.modules])
"""
    assert said(code, str(example_study()), folder=tmp_path)[:2] == ["1 0", "[]"]


def test_a_failed_report_and_its_page_load_none_of_it_either(tmp_path: Path) -> None:
    parameters = nbformat.v4.new_code_cell(
        'study: str = ""\nlanguage: str = "fi"', metadata={"tags": ["parameters"]}
    )
    cells = [parameters, nbformat.v4.new_code_cell("1 / 0")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "data_quality.ipynb")
    code = f"""
import sys
from mekeval import run_study
result = run_study(
    sys.argv[1], years=[2025], kinds=["quality"], languages=["en"], out="out", jobs=1, notebooks="."
)
print(len(result.done), len(result.failed), "ZeroDivisionError" in str(result.errors))
print([name for name in {HEAVY} if name in sys.modules])
"""
    assert said(code, str(example_study()), folder=tmp_path)[:2] == ["0 1 True", "[]"]


def test_kernels_are_forked_where_no_entry_point_is_registered(tmp_path: Path) -> None:
    """As in an installation that is older than the name of our provisioner."""
    cells = [
        nbformat.v4.new_code_cell("x: int = 1", metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell("import os; print(os.getppid())"),
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "notebook.ipynb")
    code = """
import importlib.metadata
importlib.metadata.entry_points = lambda **_: importlib.metadata.EntryPoints(())
import os
from pathlib import Path
from mekeval.run.kernels import Limits, own_warm, run_notebook
executed = run_notebook(
    Path("notebook.ipynb"), parameters={"x": 2}, folder=Path.cwd(), environment={}, limits=Limits(kernels="fork")
)
(parent,) = [int(output.text) for cell in executed.cells for output in cell.get("outputs", [])]
print(parent == own_warm()._process.pid, parent == os.getpid())
"""
    assert said(code, folder=tmp_path)[0] == "True False"
