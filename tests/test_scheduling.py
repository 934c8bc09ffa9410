"""The recipes of docs/scheduling.md: each is taken from the page and tried, as far as that can be done here.

Commands of `mekeval` run as they stand there; only the notebooks do not run, but one: a stand-in makes each outcome.
"""

from __future__ import annotations

import configparser
import contextlib
import functools
import importlib
import json
import os
import re
import shlex
import shutil
import socketserver
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType

import click
import papermill
import pytest
import yaml
from click.testing import CliRunner

from mekeval import Indicators, clean_indicators, example_study, read_study
from mekeval.cli import main, runs
from mekeval.report import FINDINGS_TYPE
from mekeval.run import asked, going, matrix, one
from mekeval.run.jobs import Job, Outcome
from mekeval.shipped import shipped

PAGE = Path(__file__).resolve().parents[1] / "docs" / "scheduling.md"
HOME = "/srv/mekeval"
TOOLS = Path(sys.executable).parent
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="recipes for POSIX systems")

#: In the place of `venv/bin/mekeval`: it has the test's own process do what it is asked, where all is loaded.
COMMAND = """#!{python} -IS
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as link:
    link.connect({address!r})
    link.sendall(json.dumps([os.getcwd(), sys.argv[1:]]).encode() + b"\\n")
    answer = json.loads(link.makefile().read())
sys.stdout.write(answer["said"])
sys.exit(answer["code"])
"""


def execute(job: Job, **_: object) -> Outcome:
    """A report without its notebook."""
    finding = {"year": job.year, "subject": job.subject, "outcome": "low_income_rate", "verdict": "fragile"}
    return Outcome(
        job=job,
        html=f"<html><h1>{job.name}</h1></html>",
        notebook='{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}',
        findings=() if job.kind in ("quality", "changes") else (finding,),
        error="",
    )


def execute_all(planned: list[Job], *, finished: Callable[[Outcome], Outcome], **_: object) -> list[Outcome]:
    return [finished(execute(job)) for job in planned]


class Server(socketserver.ThreadingUnixStreamServer):
    """Answers the stand-in of the command."""

    daemon_threads = True


class Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        folder, words = json.loads(self.rfile.readline())
        with contextlib.chdir(folder):
            result = CliRunner().invoke(main, words)
        self.wfile.write(json.dumps({"said": result.output, "code": result.exit_code}).encode())


@functools.cache
def cleaned(_: str) -> Indicators:
    """The example's cleaned data: every test has the same."""
    return clean_indicators(read_study(example_study()))


def recipes() -> dict[str, tuple[str, str]]:
    """Language and text of every block of the page, by the first line of its comment."""
    found = {}
    for language, text in re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.read_text("utf-8"), flags=re.M | re.S):
        first = next(line for line in text.splitlines() if line.startswith("# "))
        name = first.removeprefix("# ").split(":")[0].rpartition("/")[2]
        assert name not in found
        found[name] = (language, text)
    return found


RECIPES = recipes()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """What the page assumes in /srv/mekeval, with a study of one language."""
    monkeypatch.setattr(going, "execute_all", execute_all)
    monkeypatch.setattr(one, "execute", execute)
    monkeypatch.setattr(matrix, "clean_indicators", lambda study, as_of: cleaned(study.folder.name))
    for module, name in (
        (matrix, "look_elsewhere"),
        (matrix, "reference_areas"),
        (going, "hidden_numbers"),
        (going, "check_outputs"),
    ):
        monkeypatch.setattr(module, name, lambda *_, **__: None)
    for module in (asked, going):  # the checkout may be worked on meanwhile
        monkeypatch.setattr(module, "source_sha256", lambda: "the code")
    (tmp_path / "venv" / "bin").mkdir(parents=True)
    study = Path(shutil.copytree(example_study(), tmp_path / "data" / "vantaa-mek"))
    text = (study / "study.toml").read_text("utf-8")
    assert text.count('languages = ["fi", "sv", "en"]') == 1
    (study / "study.toml").write_text(
        text.replace('languages = ["fi", "sv", "en"]', 'languages = ["en"]'), "utf-8"
    )
    with tempfile.TemporaryDirectory(prefix="mk-") as short:  # the name of a socket has to be short
        address = f"{short}/s"
        executable(
            tmp_path / "venv" / "bin" / "mekeval", COMMAND.format(python=sys.executable, address=address)
        )
        with Server(address, Handler) as server:
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
            yield tmp_path
            server.shutdown()


def executable(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8")
    path.chmod(0o755)
    return path


def written(place: Path, name: str) -> Path:
    """A recipe as a file below `place`, which stands for /srv/mekeval."""
    return executable(place / name, RECIPES[name][1].replace(HOME, str(place)))


def called(*words: object, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in words],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def states(place: Path) -> list[str]:
    """What became of each report of the last run."""
    told = json.loads((place / "reports" / "vantaa-mek.run.json").read_text("utf-8"))
    return [one["state"] for one in told["jobs"]]


def test_the_page_has_the_recipes_that_it_promises() -> None:
    assert RECIPES.keys() == {
        "nightly.sh",
        "mekeval",
        "mekeval.service",
        "mekeval.timer",
        "reports.yml",
        "mekeval_reports.py",
        "array.sh",
        "submit.sh",
        "On one machine",
        "On each machine that works, as often as it has processors to spare",
        "Where the reports are wanted",
    }


def test_the_exit_codes_are_those_of_the_command() -> None:
    page = {
        int(code)
        for row in re.findall(r"^\| ([\d, ]+) \|", PAGE.read_text("utf-8"), flags=re.M)
        for code in row.split(",")
    }
    said = {
        int(code)
        for code in re.findall(
            r"^(\d+) {2,}|(?<=^130  ended by SIGINT, )(\d+)", runs.__doc__ or "", flags=re.M
        )
        for code in code
        if code
    }
    assert page == said == {0, 1, 2, 3, 130, 143}


@pytest.mark.parametrize("name", [name for name, (language, _) in RECIPES.items() if language == "bash"])
def test_scripts_have_no_fault_that_shellcheck_knows(name: str, tmp_path: Path) -> None:
    script = tmp_path / "script.sh"
    script.write_text(RECIPES[name][1], "utf-8")
    assert called("bash", "-n", script, folder=tmp_path).returncode == 0
    checked = called(TOOLS / "shellcheck", "--shell=bash", script, folder=tmp_path)
    assert checked.returncode == 0, checked.stdout


# cron and systemd


@pytest.mark.parametrize(
    ("codes", "end", "calls", "speaks"),
    [("0", 0, 1, False), ("1", 1, 1, True), ("3 0", 0, 2, False), ("3 3", 3, 2, True)],
)
def test_the_nightly_script_speaks_only_to_call_a_person(
    tmp_path: Path, codes: str, end: int, calls: int, speaks: bool
) -> None:
    (tmp_path / "venv" / "bin").mkdir(parents=True)
    script = written(tmp_path, "nightly.sh")
    (tmp_path / "codes").write_text("\n".join(codes.split()) + "\n")
    executable(
        tmp_path / "venv" / "bin" / "mekeval",
        '#!/bin/bash\necho "$@" >>calls\necho said\ncode=$(head -n1 codes)\nsed -i 1d codes\nexit "$code"\n',
    )
    done = called(script, "2025", folder=tmp_path, MEKEVAL_WAIT="0")
    assert done.returncode == end
    made = (tmp_path / "calls").read_text().splitlines()
    assert made == ["run data/vantaa-mek --year 2025 --out reports --quiet"] * calls
    assert (f"mekeval ended with {end}:\nsaid" in done.stdout) is speaks
    assert bool(done.stdout) is speaks


def test_the_nightly_script_makes_reports_and_then_finds_nothing_to_do(place: Path) -> None:
    script = written(place, "nightly.sh")
    for state in ("made", "unchanged"):
        done = called(script, "2025", folder=place)
        assert (done.returncode, done.stdout) == (0, ""), done.stdout
        assert set(states(place)) == {state}
    assert (place / "reports" / "vantaa-mek" / "index.html").is_file()


def test_the_crontab_has_a_time_a_user_and_the_script() -> None:
    (line,) = (one for one in RECIPES["mekeval"][1].splitlines() if one.startswith(tuple("0123456789*")))
    *times, user, command = line.split(maxsplit=6)
    assert len(times) == 5
    assert all(re.fullmatch(r"\*|\d+", one) for one in times)
    assert user == "mekeval"
    assert command.split()[0] == f"{HOME}/nightly.sh"
    assert "%" not in command  # which cron reads as the end of the line


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
def test_systemd_knows_every_word_of_the_units(tmp_path: Path) -> None:
    executable(tmp_path / "nightly.sh", "#!/bin/bash\n")
    units = [written(tmp_path, name) for name in ("mekeval.service", "mekeval.timer")]
    for unit in units:
        unit.chmod(0o644)
    checked = called("systemd-analyze", "verify", "--man=no", *units, folder=tmp_path)
    ours = [line for line in checked.stderr.splitlines() if "mekeval" in line and "Failed to" not in line]
    assert not ours, checked.stderr
    timer = configparser.ConfigParser(strict=True)
    timer.read(units[1])
    calendar = called("systemd-analyze", "calendar", timer["Timer"]["OnCalendar"], folder=tmp_path)
    assert calendar.returncode == 0, calendar.stderr


# GitHub Actions


def test_the_workflow_keeps_to_githubs_schema_and_its_steps_give_the_published_set(place: Path) -> None:
    file = written(place, "reports.yml")
    schema = ("--builtin-schema", "vendor.github-workflows")
    checked = called(TOOLS / "check-jsonschema", *schema, file, folder=place)
    assert checked.returncode == 0, checked.stdout
    (job,) = yaml.safe_load(RECIPES["reports.yml"][1])["jobs"].values()
    commands = [step["run"] for step in job["steps"] if "run" in step]
    assert commands.pop(0) == "pip install ."
    path = f"{place / 'venv' / 'bin'}:{os.environ['PATH']}"
    for command in commands:
        done = called("bash", "-e", "-c", command, folder=place, PATH=path)
        assert done.returncode == 0, done.stderr
    (upload,) = (step for step in job["steps"] if "upload-artifact" in step.get("uses", ""))
    published = place / upload["with"]["path"]
    assert (published / "manifest.json").is_file()
    assert not any(one.is_symlink() for one in [published, *published.rglob("*")])


# Airflow: stand-ins that take the arguments of its own classes, as the sources of its providers name them

OPERATOR = {"task_id", "retries", "retry_delay"}
ARGUMENTS = {
    "BashOperator": OPERATOR
    | {
        "bash_command",
        "env",
        "append_env",
        "output_encoding",
        "skip_on_exit_code",
        "cwd",
        "output_processor",
    },
    "PapermillOperator": OPERATOR
    | {
        "input_nb",
        "output_nb",
        "parameters",
        "kernel_name",
        "language_name",
        "kernel_conn_id",
        "log_output",
        "nbconvert",
        "nbconvert_args",
    },
    "DAG": {"dag_id", "schedule", "start_date", "catchup", "max_active_runs"},
}
WHERE = {
    "BashOperator": "airflow.providers.standard.operators.bash",
    "PapermillOperator": "airflow.providers.papermill.operators.papermill",
    "DAG": "airflow.sdk",
}


class Recorded:
    """An Airflow object that only remembers what it was given."""

    made: list[Recorded]

    def __init__(self, **given: object) -> None:
        unknown = given.keys() - ARGUMENTS[type(self).__name__]
        assert not unknown, unknown
        self.given, self.after = given, list[Recorded]()
        self.made.append(self)

    def __enter__(self) -> Recorded:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def __rshift__(self, other: Recorded) -> Recorded:
        self.after.append(other)
        return other


def dag(place: Path, monkeypatch: pytest.MonkeyPatch) -> Mapping[str, Recorded]:
    """The tasks of the page's DAG, by their names."""
    made: list[Recorded] = []
    for name, module in WHERE.items():
        stand_in = ModuleType(module)
        setattr(stand_in, name, type(name, (Recorded,), {"made": made}))
        monkeypatch.setitem(sys.modules, module, stand_in)
        parts = module.split(".")
        for end in range(1, len(parts)):
            parent = ".".join(parts[:end])
            if parent not in sys.modules:
                monkeypatch.setitem(sys.modules, parent, ModuleType(parent))
    text = RECIPES["mekeval_reports.py"][1].replace(HOME, str(place))
    exec(compile(text, "mekeval_reports.py", "exec"), {"__name__": "dag"})
    return {str(one.given["task_id"]): one for one in made if "task_id" in one.given}


def test_the_tasks_of_the_dag_publish_and_verify(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = dag(place, monkeypatch)
    assert list(tasks) == ["run", "verify", "city"]
    assert tasks["run"].after == [tasks["verify"]]
    assert tasks["verify"].after == [tasks["city"]]
    for name in ("run", "verify"):
        given = tasks[name].given
        assert given["skip_on_exit_code"] is None
        done = called("bash", "-c", given["bash_command"], folder=Path(str(given["cwd"])))
        assert done.returncode == 0, done.stderr
    assert "Everything is as it was published." in done.stdout


def test_the_papermill_task_executes_the_shipped_notebook(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(shipped("notebooks"), place / "notebooks")
    one_outcome(place / "data" / "vantaa-mek" / "study.toml")
    given = dag(place, monkeypatch)["city"].given
    # As PapermillOperator.execute does.
    papermill.execute_notebook(
        given["input_nb"],
        given["output_nb"],
        parameters=given["parameters"],
        progress_bar=False,
        report_mode=True,
        kernel_name=given["kernel_name"],
        language=given["language_name"],
    )
    made = json.loads(Path(str(given["output_nb"])).read_text("utf-8"))
    shown = [output.get("data", {}) for cell in made["cells"] for output in cell.get("outputs", [])]
    (bundle,) = (one[FINDINGS_TYPE] for one in shown if FINDINGS_TYPE in one)
    assert {one["year"] for one in bundle["findings"]} == {2025}


def one_outcome(file: Path) -> None:
    """Leave one outcome in a copy of the example study, so that an evaluation is quick."""
    text = file.read_text("utf-8")
    for old, new in (
        ('primary = ["low_income_rate", "unemployment_rate"]', 'primary = ["low_income_rate"]'),
        ('secondary = ["basic_education_25_44", "median_income"]', "secondary = []"),
        (
            "important = { low_income_rate = 1.0, unemployment_rate = 0.7, ",
            "important = { low_income_rate = 1.0 }  # ",
        ),
    ):
        assert old in text
        text = text.replace(old, new)
    file.write_text(text, "utf-8")


# SLURM

SBATCH = r"""#!/bin/bash
# In the place of SLURM: the tasks of an array one after the other, and then what depends on them.
set -eu
echo "$*" >>sbatch.calls
range=$(printf '%s\n' "$@" | sed -n 's/^--array=0-//p')
wrapped=$(printf '%s\n' "$@" | sed -n 's/^--wrap=//p')
if [ -n "$range" ]; then
    for task in $(seq 0 "$range"); do SLURM_ARRAY_TASK_ID=$task bash "${!#}" >>array.log; done
    echo 77
else
    bash -c "$wrapped" >>publish.log
fi
"""


def test_the_array_makes_the_reports_one_by_one_and_the_last_run_publishes_them(place: Path) -> None:
    submit, _ = (written(place, name) for name in ("submit.sh", "array.sh"))
    (place / "bin").mkdir()
    executable(place / "bin" / "sbatch", SBATCH)
    path = f"{place / 'bin'}:{os.environ['PATH']}"
    done = called(submit, folder=place, PATH=path)
    assert done.returncode == 0, done.stderr
    reports = states(place)
    assert set(reports) == {"found"}  # made by run-one, none by the run that publishes
    assert len((place / "array.log").read_text().splitlines()) == len(reports) > 3
    array, publish = (place / "sbatch.calls").read_text().splitlines()
    assert f"--array=0-{len(reports) - 1} " in array
    assert "--dependency=afterany:77 " in publish
    assert (place / "reports" / "vantaa-mek" / "index.html").is_file()
    # Nothing has changed: nothing is planned, and nothing submitted.
    assert called(submit, folder=place, PATH=path).returncode == 0
    assert len((place / "sbatch.calls").read_text().splitlines()) == 2
    assert not list((place / "specs").glob("*.json"))


# Dask


def test_the_commands_of_dask_and_mekeval_take_their_options() -> None:
    pytest.importorskip("distributed")
    for language, text in RECIPES.values():
        for line in text.splitlines():
            words = shlex.split(line, comments=True) if language == "bash" else []
            if words[:1] == ["dask"]:
                command = importlib.import_module(f"distributed.cli.dask_{words[1]}").main
                given = command.make_context(words[1], words[2:]).params
                assert given.get("nthreads", 1) == 1
            elif words[:2] == ["mekeval", "run"]:
                command = main.commands["run"]
                given = command.make_context("run", words[2:]).params
                assert str(given["scheduler"]).startswith("tcp://")
    assert isinstance(main, click.Group)
