"""Kernels that are forked from a warm process: they give what ordinary ones give, and nothing of them stays behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import papermill
import pytest

from mekeval import RunError
from mekeval.run.kernels import Limits, Warm, can_fork, run_notebook, start_warm
from mekeval.run.pool import WarmPool

pytestmark = pytest.mark.skipif(not can_fork("fork"), reason="processes cannot be forked here")
FORKED, ORDINARY = Limits(kernels="fork"), Limits(kernels="ordinary")


def notebook(folder: Path, *cells: str) -> Path:
    """A notebook with a parameter and these cells."""
    path = folder / "notebook.ipynb"
    made = [nbformat.v4.new_code_cell("x: int = 1", metadata={"tags": ["parameters"]})]
    made += [nbformat.v4.new_code_cell(textwrap.dedent(cell)) for cell in cells]
    nbformat.write(nbformat.v4.new_notebook(cells=made), path)
    return path


def run(path: Path, limits: Limits, **environment: str) -> nbformat.NotebookNode:
    return run_notebook(path, parameters={"x": 2}, folder=path.parent, environment=environment, limits=limits)


def said(executed: nbformat.NotebookNode) -> list[str]:
    """What the cells printed."""
    return [
        str(output.text).strip()
        for cell in executed.cells
        for output in cell.get("outputs", [])
        if "text" in output
    ]


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.fixture(scope="module")
def warm() -> Iterator[Warm]:
    process = start_warm()
    yield process
    process.close()


def test_both_kinds_of_kernels_give_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPLBACKEND", "agg")  # as many servers have it, and then no picture would be shown
    path = notebook(
        tmp_path,
        """
        import os, sys, warnings
        import matplotlib.pyplot as plt
        line = plt.plot([1, 2], [x, 3], label="å")
        """,
        "import matplotlib; matplotlib.get_backend()",
        """
        from IPython.display import HTML, display
        display(HTML(f"<p>{x}</p>"))
        print(sys.path[0], os.getcwd(), __name__, os.environ.get("ONE"), len(sys.argv))
        """,
        "warnings.warn('mind')",
        """
        import numpy as np, pandas as pd
        pd.DataFrame({"a": np.random.default_rng(x).normal(size=3)})
        """,
        "!echo from a shell",
        "import signal; signal.getsignal(signal.SIGTERM), sys.flags.dont_write_bytecode",
    )
    forked, ordinary = (nbformat.writes(run(path, limits, ONE="1")) for limits in (FORKED, ORDINARY))
    assert forked == ordinary
    assert (
        "UserWarning: mind" in forked and "ipykernel" not in forked
    )  # the number of the process, and a folder
    assert "image/png" in forked and "from a shell" in forked and "module://matplotlib_inline" in forked


def test_a_backend_that_the_caller_asks_for_is_obeyed(tmp_path: Path) -> None:
    path = notebook(tmp_path, "import matplotlib; print(matplotlib.get_backend())")
    for limits in (FORKED, ORDINARY):
        assert said(run(path, limits, MPLBACKEND="svg")) == ["svg"]


def test_forked_kernels_share_no_random_numbers(tmp_path: Path) -> None:
    path = notebook(
        tmp_path,
        "import random, uuid, numpy as np; print(np.random.rand(), random.random(), uuid.uuid4())",
    )
    first, second = (said(run(path, FORKED))[0].split() for _ in range(2))
    assert all(one != other for one, other in zip(first, second, strict=True))


def test_a_forked_kernel_is_a_child_of_the_warm_process_and_an_ordinary_one_of_this(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = notebook(tmp_path, "import os; print(os.getppid())")
    assert said(run(path, FORKED)) != [str(os.getpid())]
    assert said(run(path, ORDINARY)) == [str(os.getpid())]
    monkeypatch.setenv("MEKEVAL_KERNELS", "ordinary")
    assert said(run(path, Limits())) == [str(os.getpid())]


def test_the_warm_process_has_one_thread(warm: Warm) -> None:
    assert warm.ask({"do": "threads"}) == {"threads": 1}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limit is Linux's")
@pytest.mark.parametrize("kernels", ["fork", "ordinary"])
def test_a_job_that_needs_too_much_memory_fails_with_its_cell_and_the_limit(
    tmp_path: Path, kernels: str
) -> None:
    path = notebook(tmp_path, "fine = 1", "much = bytearray(2 * 10**9)")
    with pytest.raises(RunError, match=r"more memory than it may have: 1\.5 GB(.|\n)*much = bytearray"):
        run(path, Limits(memory=1.5, kernels=kernels))
    assert run(notebook(tmp_path, "fine = 1"), Limits(memory=1.5, kernels=kernels))


@pytest.mark.parametrize("kernels", ["fork", "ordinary"])
def test_a_job_that_hangs_is_ended_with_its_cell_and_the_limit(tmp_path: Path, kernels: str) -> None:
    path = notebook(tmp_path, "fine = 1", "while True: pass")
    for seconds in (2, 20, 200):  # on a busy machine a kernel may still be on its way to that cell
        with pytest.raises(RunError, match=f"more time than it may have: {seconds} s") as caught:
            run(path, Limits(seconds=seconds, kernels=kernels))
        if "in the cell:\nwhile True: pass" in str(caught.value):
            return
    pytest.fail("the cell is not named")


@pytest.mark.parametrize(
    ("kernels", "shown", "most"),
    [
        ("fork", "print('x' * 10**6)", None),  # the limit as it is
        ("ordinary", "print('x' * 10**6)", 20),
        ("fork", "display(HTML('x' * 10**6))", 20),
        ("ordinary", "display(HTML('x' * 10**6))", 20),
    ],
)
def test_a_job_that_shows_without_end_is_ended_before_it_fills_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kernels: str, shown: str, most: int | None
) -> None:
    if most is not None:
        monkeypatch.setattr("mekeval.run.kernels.notebook._MOST_SHOWN", most * 10**6)
    path = notebook(tmp_path, "from IPython.display import HTML", f"while True: {shown}")
    with pytest.raises(RunError, match=rf"shows more than a report may: {most or 100} MB(.|\n)*while True"):
        run(path, Limits(seconds=200, kernels=kernels))


@pytest.mark.parametrize("wanted", ["ordinry", "forked"])
def test_kernels_that_are_not_known_are_refused(monkeypatch: pytest.MonkeyPatch, wanted: str) -> None:
    monkeypatch.setenv("MEKEVAL_KERNELS", wanted)
    with pytest.raises(RunError, match="MEKEVAL_KERNELS"):
        can_fork()
    monkeypatch.setenv("MEKEVAL_KERNELS", "")  # as where it is not set
    assert can_fork() == sys.platform.startswith("linux")


def test_a_kernel_that_is_killed_is_one_failure_that_names_the_cell(tmp_path: Path) -> None:
    path = notebook(tmp_path, "import os, signal", "os.kill(os.getpid(), signal.SIGKILL)")
    with pytest.raises(RunError, match=r"The kernel died(.|\n)*os\.kill"):
        run(path, FORKED)
    assert run(notebook(tmp_path, "fine = 1"), FORKED)


@pytest.mark.parametrize("limits", [FORKED, ORDINARY])
def test_what_a_kernel_started_ends_with_it(tmp_path: Path, limits: Limits) -> None:
    path = notebook(
        tmp_path, "import os, subprocess; print(os.getpid(), subprocess.Popen(['sleep', '600']).pid)"
    )
    pids = [int(pid) for pid in said(run(path, limits))[0].split()]
    wait_for(lambda: not any(alive(pid) for pid in pids))


@pytest.mark.parametrize("limits", [FORKED, ORDINARY])
def test_what_a_notebook_leaves_in_its_temporary_folder_goes_with_it(tmp_path: Path, limits: Limits) -> None:
    """A notebook that fills the disk would leave no room for the jobs behind it."""
    path = notebook(tmp_path, "import tempfile; handle, name = tempfile.mkstemp(); print(name)")
    (name,) = said(run(path, limits))
    assert not Path(name).exists()


@pytest.mark.parametrize("limits", [FORKED, ORDINARY])
def test_a_folder_for_temporary_files_with_a_long_path_is_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limits: Limits
) -> None:
    """Paths of sockets are limited to some 100 bytes; schedulers name folders by user, date and job."""
    place = tmp_path / ("x" * 120)
    place.mkdir()
    monkeypatch.setenv("TMPDIR", str(place))
    monkeypatch.setattr("tempfile.tempdir", None)
    assert said(run(notebook(tmp_path, "print(x + 1)"), limits)) == ["3"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limit is Linux's")
def test_a_limit_that_the_system_has_already_is_not_raised() -> None:
    code = (
        "import os, resource; from mekeval.run.kernels.link import limit_memory\n"
        "resource.setrlimit(resource.RLIMIT_DATA, (2 * 10**9, 2 * 10**9))\n"
        "limit_memory(os.getpid(), 3 * 10**9); print(resource.getrlimit(resource.RLIMIT_DATA)[0])\n"
        "limit_memory(os.getpid(), 10**9); print(resource.getrlimit(resource.RLIMIT_DATA)[0])\n"
        "limit_memory(os.getpid(), 0); print(resource.getrlimit(resource.RLIMIT_DATA)[0])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.split() == [str(2 * 10**9), str(10**9), str(10**9)]


def test_papermill_takes_the_kernel_from_any_kernelspec_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "kernels" / "quick"
    folder.mkdir(parents=True)
    spec = {
        "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": "Quick",
        "language": "python",
        "metadata": {"kernel_provisioner": {"provisioner_name": "mekeval-fork"}},
    }
    (folder / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    monkeypatch.setenv("MEKEVAL_KERNELS", "fork")
    path = notebook(tmp_path, "import os; print(os.getppid())")
    executed = papermill.execute_notebook(
        str(path), None, parameters={"x": 3}, kernel_name="quick", language="python", progress_bar=False
    )
    assert said(executed) != [str(os.getpid())]


def test_a_warm_process_that_is_still_loading_ends_with_the_run() -> None:
    process = start_warm()
    assert process._process is not None
    time.sleep(0.3)  # it loads for longer than that
    process._link.close()
    assert process._process.wait(timeout=_LONG) == 0


def test_a_worker_that_dies_costs_its_call_and_no_other() -> None:
    with WarmPool(1) as pool:
        killed = pool.submit(os.kill, 0, signal.SIGKILL)  # 0: the worker's own group
        fine = pool.submit(pow, 2, 10)
        with pytest.raises(RunError, match="worker of this job was ended"):
            killed.result()
        assert fine.result() == 1024
        with pytest.raises(ZeroDivisionError):
            pool.submit(divmod, 1, 0).result()
        first = pool.submit(os.getpid).result()
    assert not alive(first)


#: Seconds to wait at most for what takes less than one at rest: what is asked is whether it happens, not how soon.
_LONG = 300
RUNNER = """
import sys, time
from pathlib import Path
from mekeval.run.kernels import Limits, run_notebook
from mekeval.run.pool import WarmPool
pool = WarmPool(1)
path = Path(sys.argv[1])
limits = Limits(kernels="fork")
pool.submit(run_notebook, path, parameters={"x": 1}, folder=path.parent, environment={}, limits=limits)
time.sleep(3600)
"""


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="looks at processes where Linux shows them")
@pytest.mark.parametrize("victim", ["runner", "warm process", "worker"])
def test_nobody_outlives_the_one_who_is_killed(tmp_path: Path, victim: str) -> None:
    path = notebook(
        tmp_path,
        """
        import os, pathlib, subprocess, time
        pathlib.Path("pids.new").write_text(f"{os.getppid()} {os.getpid()}")
        os.replace("pids.new", "pids")
        time.sleep(3600)
        """,
    )
    with subprocess.Popen([sys.executable, "-c", RUNNER, str(path)]) as runner:
        try:
            wait_for(lambda: (tmp_path / "pids").exists() or runner.poll() is not None)
            parent, kernel = map(int, (tmp_path / "pids").read_text().split())
            children = [child for child in children_of(parent) if child != kernel]
            assert len(children) == 1
            (worker,) = children
            dead = {"runner": runner.pid, "warm process": parent, "worker": worker}[victim]
            assert all(map(alive, (parent, worker, kernel)))
            os.kill(dead, signal.SIGKILL)
            gone = (worker, kernel) if victim == "worker" else (parent, worker, kernel)
            wait_for(lambda: not any(map(alive, gone)))
        finally:
            runner.kill()


def children_of(pid: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + _LONG
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)
