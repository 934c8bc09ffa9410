"""Runs on a Dask cluster: the same bytes as here, whatever worker is lost; refused where a worker would make others."""

from __future__ import annotations

import gc
import os
import shutil
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
from mekeval.run.cluster import Patience, as_here, on_cluster
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


@pytest.fixture(scope="module", autouse=True)
def collected() -> Iterator[None]:
    """What Dask leaves open is collected while the filters of this file hold."""
    yield
    gc.collect()


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A scheduler with two worker processes, which are started again when they are killed."""
    with (
        pytest.MonkeyPatch.context() as patch,
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
    ):
        # Kernels of workers that are soon killed start quicker without a warm process.
        patch.setenv("MEKEVAL_KERNELS", "ordinary")
        with distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=50
        ) as started:
            yield started.scheduler_address


@pytest.fixture
def threads() -> Iterator[object]:
    """A scheduler and a worker in this very process: quick to start and to end."""
    with distributed.LocalCluster(
        n_workers=1,
        threads_per_worker=1,
        processes=False,
        protocol="tcp://",
        dashboard_address=":0",
        silence_logs=50,
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


# What a worker is asked to do


def refuse() -> None:
    raise MekevalError("The well ran dry.", where="Mikkola")


def test_calls_run_elsewhere_and_bring_back_what_they_return_or_raise(address: str) -> None:
    with on_cluster(address, as_here()) as executor:
        assert isinstance(executor, Executor)
        assert executor.submit(os.getpid).result() != os.getpid()
        assert list(executor.map(pow, [2, 3], [10, 2])) == [1024, 9]
        with pytest.raises(MekevalError, match="The well ran dry") as error:
            executor.submit(refuse).result()
        assert error.value.faults[0].where == "Mikkola"
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit(pow, 2, 10)


def test_a_run_whose_worker_is_killed_gives_the_bytes_of_one_on_this_machine(
    address: str, tmp_path: Path
) -> None:
    flag = tmp_path / "flag"
    ends = f"""
if district == "Mikkola" and not Path({str(flag)!r}).exists():
    Path({str(flag)!r}).touch()
    os.kill(python_of_worker(), signal.SIGKILL)
"""
    folder = notebooks(tmp_path / "notebooks", ends)
    districts = ["Hakunila", "Mikkola", "Länsimäki"]
    there = run(tmp_path / "there", folder, districts, scheduler=address)
    assert flag.exists()
    assert not there.failed, there.errors
    with ThreadPoolExecutor(1) as threads:
        here = run(tmp_path / "here", folder, districts, executor=threads)
    assert not here.failed, here.errors
    first, second = (tree(tmp_path / place / "vantaa-mek") for place in ("here", "there"))
    assert len([name for name in first if name.endswith(".html")]) > 3
    assert first == second


def test_a_job_that_kills_workers_fails_alone(address: str, tmp_path: Path) -> None:
    ends = 'if district == "Mikkola":\n    os.kill(python_of_worker(), signal.SIGKILL)'
    folder = notebooks(tmp_path / "notebooks", ends)
    arguments = ["run", str(example_study()), "--year", "2025", "--language", "fi", "--kind", "district"]
    for district in ("Hakunila", "Mikkola", "Länsimäki"):
        arguments += ["--district", district]
    arguments += ["--notebooks", str(folder), "--out", str(tmp_path / "out"), "--quiet"]
    result = CliRunner().invoke(main, [*arguments, "--scheduler", address])
    assert result.exit_code == 1, result.output
    assert "2 reports made, 0 unchanged, 1 failed" in result.output
    assert "FAILED 2025/09282-mikkola.fi: Every worker that took this job was ended." in result.output


def test_a_notebook_that_hangs_on_a_worker_fails_alone(address: str, tmp_path: Path) -> None:
    hangs = 'import time\nif district == "Mikkola":\n    time.sleep(3600)'
    folder = notebooks(tmp_path / "notebooks", hangs)
    result = run(
        tmp_path / "out", folder, ["Hakunila", "Mikkola"], scheduler=address, memory=3.0, time_limit=8.0
    )
    assert result.done == ("2025/09294-hakunila.fi",), result.errors
    assert "more time than it may have: 8 s" in result.errors["2025/09282-mikkola.fi"]


# Refused before anything runs


def silent() -> socket.socket:
    """A server that accepts and says nothing."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    return listening


def test_an_address_that_does_not_answer_ends_with_2_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "Patience", partial(Patience, scheduler=0.3))
    study = str(example_study())
    with silent() as listening:
        quiet = f"tcp://127.0.0.1:{listening.getsockname()[1]}"
        for given, said in (
            ("tcp://127.0.0.1:9", "The scheduler does not answer."),
            (quiet, "The scheduler does not answer."),
            ("localhost", "This is no address of a scheduler."),
        ):
            arguments = ["run", study, "--year", "2025", "--kind", "quality", "--out", str(tmp_path / "out")]
            result = CliRunner().invoke(main, [*arguments, "--scheduler", given])
            assert result.exit_code == 2, result.output
            assert result.output.startswith(f"Nothing was published. {said}")
            assert "--scheduler" in result.output
    assert not (tmp_path / "out").exists()


def test_a_scheduler_and_other_places_for_the_jobs_exclude_each_other(tmp_path: Path) -> None:
    for more in ({"jobs": 2}, {"executor": ThreadPoolExecutor(1)}):
        with pytest.raises(RunError, match="Where do the jobs run"):
            run_study(example_study(), years=[2025], out=tmp_path, scheduler="tcp://127.0.0.1:9", **more)  # type: ignore[arg-type]


def test_a_worker_with_another_mekeval_is_refused_by_its_number(address: str, tmp_path: Path) -> None:
    package = Path(mekeval.__file__).parent
    shutil.copytree(package, tmp_path / "mekeval", ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / "mekeval" / "dates.py").open("a", encoding="utf-8") as stream:
        stream.write("# another line\n")
    command = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--nthreads", "1"]
    other = subprocess.Popen(
        [*command, "--no-nanny", "--no-dashboard", "--name", "other"],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        with distributed.Client(address, set_as_default=False) as client:
            client.wait_for_workers(3, timeout=60)
        with pytest.raises(RunError) as error, on_cluster(address, as_here()):
            pytest.fail("the cluster was accepted")
    finally:
        other.kill()
        other.wait()
    (fault,) = error.value.faults
    assert fault.what == "A worker has another version of what makes the reports."
    assert fault.found == "mekeval's own code"
    assert fault.where.startswith("worker ")
    assert " of 3" in fault.where
    for word in (socket.gethostname(), "127.0.0.1", "tcp:"):
        assert word not in str(fault)
    with distributed.Client(address, set_as_default=False) as client:  # it has left before the next test
        end = time.monotonic() + 30
        while len(client.scheduler_info()["workers"]) > 2 and time.monotonic() < end:
            time.sleep(0.05)


def test_other_packages_and_files_are_told_all_at_once(address: str, tmp_path: Path) -> None:
    there = tmp_path / "there.csv"
    there.write_text("a\n", encoding="utf-8")
    files = {"raw:there.csv": (str(there), "0" * 64), "study:areas.csv": (str(tmp_path / "no.csv"), "0" * 64)}
    wanted = as_here(files=files)
    wanted = replace(wanted, mekeval="9.9", packages={**wanted.packages, "pandas": "1.0"})
    with pytest.raises(RunError) as error, on_cluster(address, wanted):
        pytest.fail("the cluster was accepted")
    faults = error.value.faults
    assert [fault.where.split(",")[0] for fault in faults] == ["worker 1 of 2"] * 3 + ["worker 2 of 2"] * 3
    version, missing, changed = faults[:3]
    assert f"pandas {__import__('pandas').__version__}" in version.found
    assert version.expected == "mekeval 9.9, pandas 1.0, as here"
    assert (missing.what, missing.found) == ("A worker does not see files of the study.", "areas.csv")
    assert (changed.what, changed.found) == (
        "A worker sees other contents of files of the study.",
        "there.csv",
    )
    assert str(tmp_path) not in str(error.value)


def test_a_file_that_changes_is_noticed_where_a_job_begins(threads: object, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a\n", encoding="utf-8")
    wanted = as_here(
        files={"raw:a.csv": (str(path), "87428fc522803d31065e7bce3cf03fe475096631e5e07bbd7a0fde60c4cf25c7")}
    )
    with on_cluster(threads.scheduler_address, wanted, patience=SHORT) as executor:  # type: ignore[attr-defined]
        assert executor.submit(pow, 2, 3).result() == 8
        path.write_text("another\n", encoding="utf-8")
        with pytest.raises(RunError, match="A worker sees other contents of files of the study"):
            executor.submit(pow, 2, 3).result()


# Nobody left


def test_a_scheduler_without_workers_is_refused(threads: object) -> None:
    threads.scale(0)  # type: ignore[attr-defined]
    with distributed.Client(threads, set_as_default=False) as client:
        while client.scheduler_info()["workers"]:
            time.sleep(0.02)
    with (
        pytest.raises(RunError, match="The scheduler has no worker"),
        on_cluster(threads.scheduler_address, as_here(), patience=SHORT),  # type: ignore[attr-defined]
    ):
        pytest.fail("the cluster was accepted")


@pytest.mark.parametrize(
    ("end", "said"), [("scale", "No worker was left"), ("close", "The scheduler was lost")]
)
def test_a_run_that_nobody_can_end_is_given_up(threads: object, end: str, said: str) -> None:
    stop = threading.Event()
    waiting.append(stop)
    # A scheduler that closes loses its workers first, and on a busy machine long before it is gone.
    patience = replace(SHORT, workers=60) if end == "close" else SHORT
    with on_cluster(threads.scheduler_address, as_here(), patience=patience) as executor:  # type: ignore[attr-defined]
        open_ones: list[Future[None]] = [executor.submit(sleep_in_this_process) for _ in range(2)]
        assert started.wait(10)
        getattr(threads, end)(*((0,) if end == "scale" else ()))
        done, left = wait(open_ones, timeout=20)
        stop.set()
        assert not left
        for one in done:
            with pytest.raises(PublicationError, match=said):
                one.result()


waiting: list[threading.Event] = []
started = threading.Event()


def sleep_in_this_process() -> None:
    started.set()
    waiting[-1].wait(20)
