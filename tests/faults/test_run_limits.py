"""What a job may use: a notebook that hangs or fills the memory is one failed report, and the run ends."""

from __future__ import annotations

import json
import sys
import textwrap
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import nbformat
import pytest
from click.testing import CliRunner

from mekeval import RunError, Study, example_study, run_study
from mekeval.cli import main
from mekeval.run import going, jobs, plan_jobs, workers
from mekeval.run.limits import USUAL_SECONDS, Limits, limits_of, within
from mekeval.run.verify import verify_set

HANGS = "import time; time.sleep(3600)"  # one that hangs and takes a processor is in test_kernels
FILLS = "much = bytearray(3 * 10**9)"
PAGE, ERROR = "data_quality.fi.html", "data_quality.fi.error.html"
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limit is Linux's")


def notebook(folder: Path, *cells: str) -> Path:
    """A folder with a notebook in the place of the report on the data."""
    folder.mkdir(exist_ok=True)
    head = "\n".join(f'{name}: str = ""' for name in ("study", "raw", "as_of", "language"))
    shows = """
        from IPython.display import HTML
        display(HTML("<h1>a report</h1>"))
        found = {"title": "T", "description": "D", "findings": []}
        display({"application/vnd.mekeval.findings+json": found}, raw=True)
    """
    made = [nbformat.v4.new_code_cell(head, metadata={"tags": ["parameters"]})]
    made += [nbformat.v4.new_code_cell(textwrap.dedent(cell).strip()) for cell in (*cells, shows)]
    for number, cell in enumerate(made):
        cell.id = f"cell-{number}"
    nbformat.write(nbformat.v4.new_notebook(cells=made), folder / "data_quality.ipynb")
    return folder


class _Here(Executor):
    """Every call at once, in this thread."""

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(function(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


@pytest.mark.parametrize(
    ("kernels", "cell", "limits", "words"),
    [
        ("fork", HANGS, {"time_limit": 4.0}, "more time than it may have: 4 s"),
        ("ordinary", HANGS, {"time_limit": 4.0}, "more time than it may have: 4 s"),
        pytest.param("fork", FILLS, {"memory": 2.0}, "more memory than it may have: 2 GB", marks=linux),
    ],
)
@pytest.mark.usefixtures("planned_once")
def test_a_job_beyond_its_limits_fails_and_its_last_good_report_stays(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kernels: str,
    cell: str,
    limits: dict[str, float],
    words: str,
) -> None:
    monkeypatch.setenv("MEKEVAL_KERNELS", kernels)
    asked: dict[str, Any] = {"kinds": ["quality"], "languages": ["fi"], "out": tmp_path / "out"}
    asked |= {"executor": _Here(), **limits}
    good = run_study(example_study(), notebooks=notebook(tmp_path / "own"), **asked)
    assert good.done == ("data_quality.fi",), good.errors
    page = (good.index.parent / PAGE).read_bytes()
    bad = run_study(example_study(), notebooks=notebook(tmp_path / "own", cell), **asked)
    assert [one.state for one in bad.states] == ["kept"]
    said = bad.errors["data_quality.fi"]
    assert words in said and "--time-limit" in said
    assert (bad.index.parent / PAGE).read_bytes() == page
    assert words in (bad.index.parent / ERROR).read_text()
    assert verify_set(bad.index.parent) == ()


@pytest.mark.usefixtures("planned_once")
def test_the_commands_take_limits_and_end_with_1(tmp_path: Path) -> None:
    folder = notebook(tmp_path / "own", HANGS)
    words = ["run", str(example_study()), "--kind", "quality", "--language", "fi", "--notebooks", str(folder)]
    words += ["--out", str(tmp_path / "out"), "--time-limit", "3", "--jobs", "1", "--quiet"]
    runner = CliRunner()
    planned = runner.invoke(main, [*words, "--dry-run", "--specs", str(tmp_path / "specs")])
    assert planned.exit_code == 0, planned.output
    (spec,) = (tmp_path / "specs").iterdir()
    assert {name: json.loads(spec.read_text())[name] for name in ("memory", "seconds")} == {
        "memory": 0.0,
        "seconds": 3.0,
    }
    one = runner.invoke(main, ["run-one", str(spec), "--time-limit", "2"])
    assert one.exit_code == 1
    assert "FAILED data_quality.fi: The notebook needs more time than it may have: 2 s." in one.output
    result = runner.invoke(main, words)
    assert result.exit_code == 1, result.output
    assert "FAILED data_quality.fi: The notebook needs more time than it may have: 3 s." in result.output
    assert (tmp_path / "out" / "vantaa-mek" / ERROR).is_file()


def test_limits_that_cannot_be_are_refused_all_at_once(tmp_path: Path) -> None:
    words = ["run", str(example_study()), "--kind", "quality", "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(main, [*words, "--memory", "0.1", "--time-limit", "-1"])
    assert result.exit_code == 2
    assert "found: 0.1 GB" in result.output and "found: -1 s" in result.output
    beyond = [(1e12, 0.0), (0.0, 1e300)]  # more than a system can count: no kernel would start
    for memory, seconds in [
        (-1.0, 0.0),
        (float("nan"), 0.0),
        (float("inf"), 0.0),
        (0.0, float("nan")),
        *beyond,
    ]:
        with pytest.raises(RunError):
            limits_of(memory=memory, time_limit=seconds)
    assert limits_of(memory=0, time_limit=0) == Limits()
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("planned_once")
def test_where_nobody_says_how_long_a_job_may_take_it_is_not_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Limits] = []

    def stand_in(planned: list[jobs.Job], *, limits: Limits, **_: object) -> list[jobs.Outcome]:
        given.append(limits)
        return [jobs.failed(one, "not run") for one in planned]

    monkeypatch.setattr(going, "execute_all", stand_in)
    run_study(example_study(), kinds=["quality"], languages=["fi"], out=tmp_path / "out")
    assert [(one.memory, one.seconds) for one in given] == [(0.0, USUAL_SECONDS)]
    page = (Path(__file__).parents[2] / "docs" / "scheduling.md").read_text(encoding="utf-8")
    assert f"{USUAL_SECONDS:g} seconds" in page


@pytest.mark.skipif(sys.platform == "win32", reason="has no such timer")
def test_shared_work_that_hangs_is_given_up_and_its_jobs_go_on(
    example: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[str] = []

    def hang(*_: object) -> None:
        try:
            time.sleep(60)
        except TimeoutError as error:
            ended.append(str(error))
            raise

    monkeypatch.setattr(workers, "prepare", hang)
    monkeypatch.setattr(workers, "execute", lambda job, **_: jobs.failed(job, "its own reason"))
    planned = plan_jobs(example, years=[2025], kinds=["city"], languages=["fi", "en"])
    outcomes = workers.execute_all(
        planned, jobs=1, executor=_Here(), progress=False, limits=Limits(seconds=0.2)
    )
    assert [one.error for one in outcomes] == ["its own reason"] * 2
    assert ended == ["more than 0.2 s"]
    with within(0.05):
        pass
    time.sleep(0.1)  # a timer that was left would end the test
