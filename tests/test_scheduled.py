"""Runs by a scheduler: what has not changed is not made, a kill costs little, and a set proves what it is.

The notebooks do not run here: a stand-in makes each outcome from the job alone. Real kernels are in test_run.
"""

from __future__ import annotations

import errno
import functools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from filelock import FileLock

import mekeval.indicators
from mekeval import RunError, Study, example_study, run_study
from mekeval.cli import main
from mekeval.run import RunResult, asked, going, matrix, one, plan_jobs, publish, work
from mekeval.run.asked import ask
from mekeval.run.jobs import Job, Outcome, failed
from mekeval.run.keys import PARTS, differing, sealed
from mekeval.run.leaks import machine_paths, redacted, refuse_leaks, refuse_secret
from mekeval.run.publish import PublicationError
from mekeval.run.verify import Mismatch, rerun_set, verify_set
from mekeval.shipped import shipped

CITY, DISTRICT, QUALITY = "2025/city.fi", "2025/09291-lansimaki.fi", "data_quality.fi"
KINDS = ["city", "district", "quality"]


class Stand:
    """In the place of papermill: what each job makes, and which jobs were run."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.breaks: dict[str, str] = {}
        self.before: Callable[[str], None] = lambda name: None

    def execute(self, job: Job, **_: object) -> Outcome:
        self.ran.append(job.name)
        self.before(job.name)
        if job.name in self.breaks:
            return failed(job, self.breaks[job.name])
        source = json.dumps([job.name, dict(job.parameters), job.notebook_sha256], sort_keys=True)
        cell = {"cell_type": "markdown", "metadata": {}, "source": source}
        content = json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
        finding = {
            "year": job.year,
            "subject": job.subject,
            "outcome": "low_income_rate",
            "verdict": "fragile",
        }
        return Outcome(
            job=job,
            html=f"<html><h1>{job.name}</h1></html>",
            notebook=content,
            findings=() if job.kind in ("quality", "changes") else (finding,),
            error="",
            seconds=0.25,
        )

    def execute_all(
        self, planned: list[Job], *, finished: Callable[[Outcome], Outcome], **_: object
    ) -> list[Outcome]:
        return [finished(self.execute(job)) for job in reversed(planned)][::-1]


@pytest.fixture
def stand(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stand]:
    stand = Stand()
    monkeypatch.setattr(going, "execute_all", stand.execute_all)
    monkeypatch.setattr(one, "execute", stand.execute)
    for module in (asked, going):  # the checkout may be worked on meanwhile
        monkeypatch.setattr(module, "source_sha256", lambda: "the code")
    monkeypatch.setattr(matrix, "clean_indicators", lambda study, as_of: _cleaned(study.folder.name, as_of))
    monkeypatch.setattr(going, "hidden_numbers", lambda study, **_: _hidden(study.folder.name))
    monkeypatch.setattr(matrix, "look_elsewhere", lambda *_, **__: None)
    monkeypatch.setattr(matrix, "reference_areas", lambda *_, **__: None)
    return stand


@functools.cache
def _cleaned(_: str, as_of: object) -> object:
    study = mekeval.read_study(example_study())
    return mekeval.indicators.clean_indicators(study, as_of=as_of)  # type: ignore[arg-type]


@functools.cache
def _hidden(_: str) -> pd.DataFrame:
    return mekeval.indicators.hidden_numbers(mekeval.read_study(example_study()))


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A copy of the example study that a test may change."""
    return Path(shutil.copytree(example_study(), tmp_path / "vantaa-mek"))


def made(study: Path, tmp_path: Path, **options: object) -> RunResult:
    given: dict[str, object] = {"years": [2025], "districts": ["Länsimäki"], "languages": ["fi"]}
    given["kinds"] = KINDS
    return run_study(study, **{**given, "out": tmp_path / "out", **options})  # type: ignore[arg-type]


def states(result: RunResult) -> dict[str, str]:
    return {one.name: one.state for one in result.states}


def tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def own_notebooks(folder: Path, **more: str) -> Path:
    """The shipped notebooks, with lines added to the parameters cell of some."""
    folder.mkdir(exist_ok=True)
    for kind in ("city_report", "district_report", "data_quality"):
        content = nbformat.read(shipped("notebooks", f"{kind}.ipynb"), as_version=4)
        content.cells[0].source += "\n" + more.get(kind, "")
        nbformat.write(content, folder / f"{kind}.ipynb")
    return folder


# What has changed


def test_what_has_not_changed_is_not_made_again_and_pandas_is_not_loaded_for_it(
    stand: Stand, study: Path, tmp_path: Path
) -> None:
    assert states(made(study, tmp_path)) == {CITY: "made", DISTRICT: "made", QUALITY: "made"}
    before = tree(tmp_path / "out" / "vantaa-mek")
    again = made(study, tmp_path)
    assert states(again) == {CITY: "unchanged", DISTRICT: "unchanged", QUALITY: "unchanged"}
    assert len(stand.ran) == 3
    assert tree(tmp_path / "out" / "vantaa-mek") == before
    code = (
        "import sys; from mekeval.run import asked, run_study; asked.source_sha256 = lambda: 'the code';"
        f"r = run_study({str(study)!r}, years=[2025], districts=['Länsimäki'], languages=['fi'],"
        f" kinds={KINDS}, out={str(tmp_path / 'out')!r});"
        "print([one.state for one in r.states], sorted({'pandas', 'papermill', 'pydantic'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['unchanged', 'unchanged', 'unchanged'] []"


def test_another_year_is_added_and_the_first_is_taken_over(stand: Stand, study: Path, tmp_path: Path) -> None:
    made(study, tmp_path)
    result = made(study, tmp_path, years=[2024, 2025])
    assert states(result)[CITY] == "unchanged"
    assert states(result)["2024/city.fi"] == "made"
    assert sorted(stand.ran) == sorted([CITY, DISTRICT, QUALITY, "2024/city.fi", "2024/09291-lansimaki.fi"])
    # Both questions are answered by this set, without a look at the data.
    for years in ([2025], [2024, 2025]):
        wanted = {"districts": ["Länsimäki"], "languages": ["fi"], "kinds": KINDS}
        question = ask(study, years=years, out=tmp_path / "out", **wanted)  # type: ignore[arg-type]
        assert asked.standing(question) is not None


def test_a_comparison_without_an_earlier_year_is_not_made_and_says_why(
    stand: Stand, study: Path, tmp_path: Path
) -> None:
    result = made(study, tmp_path, years=[2019, 2025], kinds=["city", "changes"])
    assert states(result) == {
        CITY: "made",
        "2019/city.fi": "made",
        "2025/changes.fi": "made",
        "2019/changes.fi": "not made",
    }
    assert (result.failed, len(result.done)) == ((), 3)
    assert "no area was in the programme by 2018" in mekeval.run.status.status_table(result.states, why=False)
    assert states(made(study, tmp_path, years=[2019, 2025], kinds=["city", "changes"])) == dict.fromkeys(
        [CITY, "2019/city.fi", "2025/changes.fi"], "unchanged"
    )


def _edit_notebook(study: Path, tmp_path: Path) -> dict[str, object]:
    return {"notebooks": own_notebooks(tmp_path / "own", district_report="scale: float = 1.0")}


def _edit_definition(study: Path, tmp_path: Path) -> dict[str, object]:
    with (study / "study.toml").open("a", encoding="utf-8") as stream:
        stream.write("\n# a remark\n")
    return {}


def _drop_lock(study: Path, tmp_path: Path) -> dict[str, object]:
    (study / "plan.lock").unlink()
    return {}


@pytest.mark.parametrize(
    ("change", "why", "again"),
    [
        (_edit_notebook, "changed: the notebook", {CITY, DISTRICT, QUALITY}),
        (_edit_definition, "changed: the study's definition (study.toml)", {CITY, DISTRICT, QUALITY}),
        (_drop_lock, "changed: the plan's lock", {CITY, DISTRICT, QUALITY}),
    ],
)
def test_a_dry_run_says_which_part_changed_and_writes_nothing(
    stand: Stand,
    study: Path,
    tmp_path: Path,
    change: Callable[[Path, Path], dict[str, object]],
    why: str,
    again: set[str],
) -> None:
    made(study, tmp_path)
    options = change(study, tmp_path)
    before = tree(tmp_path / "out")
    result = made(study, tmp_path, dry_run=True, **options)
    assert tree(tmp_path / "out") == before
    assert {one.name: one.why for one in result.states if one.state == "would run"} == dict.fromkeys(
        again, why
    )
    assert len(stand.ran) == 3


@pytest.mark.parametrize(("place", "value", "why"), [
    ("source_sha256", "other code", "mekeval's own code"),
    ("packages", {"numpy": "0.0"}, "the versions of packages"),
])  # fmt: skip
def test_other_code_or_packages_make_all_again(
    stand: Stand,
    study: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
    value: object,
    why: str,
) -> None:
    made(study, tmp_path)
    monkeypatch.setattr(asked, place, lambda: value)
    result = made(study, tmp_path, dry_run=True)
    assert {one.state for one in result.states} == {"would run"}
    assert all(why in one.why for one in result.states)


def test_changed_raw_data_are_named(stand: Stand, study: Path, tmp_path: Path) -> None:
    import hashlib

    made(study, tmp_path)
    raw, toml = study / "raw" / "tulot.csv", study / "study.toml"
    old = hashlib.sha256(raw.read_bytes()).hexdigest()
    raw.write_bytes(raw.read_bytes() + b"\n")
    new = hashlib.sha256(raw.read_bytes()).hexdigest()
    toml.write_text(toml.read_text("utf-8").replace(old, new), encoding="utf-8")
    result = made(study, tmp_path, dry_run=True)
    assert {one.why for one in result.states} == {
        "changed: the raw data (raw/tulot.csv), the study's definition (study.toml)"
    }


def test_a_report_changed_by_hand_is_made_again_and_never_taken_over(
    stand: Stand, study: Path, tmp_path: Path
) -> None:
    made(study, tmp_path)
    page = tmp_path / "out" / "vantaa-mek" / f"{CITY}.html"
    good = page.read_bytes()
    page.write_bytes(b"<h1>It worked!</h1>")
    result = made(study, tmp_path)
    assert states(result) == {CITY: "made", DISTRICT: "unchanged", QUALITY: "unchanged"}
    assert f"{CITY}.html is changed" in next(one.why for one in result.states if one.name == CITY)
    assert page.read_bytes() == good
    # One that the next run does not ask for leaves the set.
    page.write_bytes(b"<h1>It worked!</h1>")
    assert states(made(study, tmp_path, kinds=["district"])) == {DISTRICT: "unchanged", CITY: "dropped"}
    assert not page.exists()


def test_a_set_holds_reports_of_one_data_state(stand: Stand, study: Path, tmp_path: Path) -> None:
    made(study, tmp_path, years=[2024])
    _edit_definition(study, tmp_path)
    result = made(study, tmp_path)
    gone = {one.name for one in result.states if one.state == "dropped"}
    assert gone == {"2024/city.fi", "2024/09291-lansimaki.fi"}
    assert not (tmp_path / "out" / "vantaa-mek" / "2024").exists()


# What goes wrong


def test_what_failed_keeps_its_last_good_report_and_only_it_is_made_again(
    stand: Stand, study: Path, tmp_path: Path
) -> None:
    made(study, tmp_path)
    good = (tmp_path / "out" / "vantaa-mek" / f"{CITY}.html").read_bytes()
    _edit_definition(study, tmp_path)
    stand.breaks = {CITY: "The well ran dry.\nin a cell", QUALITY: "No water."}
    result = made(study, tmp_path)
    assert states(result) == {CITY: "kept", DISTRICT: "made", QUALITY: "kept"}
    assert result.errors[CITY] == "The well ran dry.\nin a cell"
    folder = tmp_path / "out" / "vantaa-mek"
    assert (folder / f"{CITY}.html").read_bytes() == good
    assert "The well ran dry." in (folder / f"{CITY}.error.html").read_text("utf-8")
    entry = next(
        one for one in json.loads((folder / "manifest.json").read_text())["reports"] if one["name"] == CITY
    )
    assert (entry["failed"], entry["stale"], entry["verdicts"]) == (
        True,
        True,
        [["low_income_rate", "primary", "fragile"]],
    )
    stand.ran, stand.breaks = [], {QUALITY: "No water."}
    result = run_study(study, languages=["fi"], out=tmp_path / "out", only_failed=True)
    assert sorted(stand.ran) == sorted([CITY, QUALITY])
    assert states(result) == {CITY: "made", QUALITY: "kept"}
    assert not (folder / f"{CITY}.error.html").exists()
    stand.ran, stand.breaks = [], {}
    assert states(made(study, tmp_path)) == {CITY: "unchanged", DISTRICT: "unchanged", QUALITY: "made"}
    assert stand.ran == [QUALITY]
    nothing = run_study(study, languages=["fi"], out=tmp_path / "out", only_failed=True)
    assert nothing.states == ()


def test_only_failed_is_refused_where_all_is_out_of_date(stand: Stand, study: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no earlier run"):
        made(study, tmp_path, only_failed=True)
    stand.breaks = {CITY: "no"}
    made(study, tmp_path)
    _edit_definition(study, tmp_path)
    with pytest.raises(RunError, match="out of date") as caught:
        made(study, tmp_path, only_failed=True)
    assert "study:study.toml" in str(caught.value)


def test_a_run_that_is_stopped_is_resumed(stand: Stand, study: Path, tmp_path: Path) -> None:
    def stop(name: str) -> None:
        if name == CITY:  # the last one: the stand-in goes backwards
            raise KeyboardInterrupt

    stand.before = stop
    with pytest.raises(KeyboardInterrupt):
        made(study, tmp_path)
    assert not (tmp_path / "out" / "vantaa-mek").exists()
    stand.before, stand.ran = (lambda name: None), []
    assert states(made(study, tmp_path)) == {CITY: "made", DISTRICT: "found", QUALITY: "found"}
    assert stand.ran == [CITY]
    assert not (tmp_path / "out" / ".store" / "vantaa-mek.work").exists()
    undisturbed = made(study, tmp_path, out=tmp_path / "other")
    assert not undisturbed.failed
    first, second = (tree(tmp_path / name / "vantaa-mek") for name in ("out", "other"))
    assert first.keys() == second.keys()
    for name in first.keys() - {"manifest.json", "feed.xml", "feed.sv.xml", "feed.en.xml"}:
        assert first[name] == second[name], name


def test_a_torn_outcome_is_not_taken(stand: Stand, study: Path, tmp_path: Path) -> None:
    kept = work.Kept(key="a", name="x", files={"html": b"\xff\x00"}, findings=(), seconds=1.0, made="now")
    work.keep(tmp_path / "work", "basis", kept)
    assert work.find(tmp_path / "work", "basis", "a") == kept
    assert work.find(tmp_path / "work", "other", "a") is None
    (path,) = (tmp_path / "work").glob("*.json")
    whole = path.read_text()
    for torn in (whole[:-9], whole.replace('"x"', '"y"'), ""):
        path.write_text(torn)
        assert work.find(tmp_path / "work", "basis", "a") is None
    work.clear(tmp_path / "work", "another basis", [])
    assert not (tmp_path / "work").exists()


def test_a_full_disk_ends_the_run_with_its_own_code_and_what_was_published_stays(
    stand: Stand, study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(study, tmp_path)
    before = tree(tmp_path / "out" / "vantaa-mek")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(going, "keep", full)
    words = ["--year", "2024", "--district", "Länsimäki", "--language", "fi", "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(main, ["run", str(study), *words])
    assert result.exit_code == 3, result.output
    assert "No space left on device" in result.output
    assert "Make room and run again" in result.output
    assert tree(tmp_path / "out" / "vantaa-mek") == before


def test_an_output_folder_that_vanishes_ends_the_run_in_words(
    stand: Stand, study: Path, tmp_path: Path
) -> None:
    stand.before = lambda name: shutil.rmtree(tmp_path / "out") if name == CITY else None
    with pytest.raises(PublicationError):
        made(study, tmp_path)


def test_a_folder_that_cannot_be_written_is_refused_before_anything_runs(
    stand: Stand, study: Path, tmp_path: Path
) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(RunError, match="cannot be written"):
        made(study, tmp_path)
    assert not stand.ran


def test_a_study_edited_during_the_run_is_not_published(stand: Stand, study: Path, tmp_path: Path) -> None:
    stand.before = lambda name: _edit_definition(study, tmp_path) and None  # type: ignore[func-returns-value]
    with pytest.raises(PublicationError, match="changed during the run") as caught:
        made(study, tmp_path)
    assert "study.toml" in str(caught.value)
    assert not (tmp_path / "out" / "vantaa-mek").exists()


@pytest.mark.parametrize("when", ["read", "planned"])
def test_a_study_edited_while_it_is_read_or_planned_is_not_published(
    stand: Stand, study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """The pages would have the names of before, under the checksums of now."""
    areas, real = study / "areas.csv", matrix.read_study

    def edit() -> None:
        areas.write_text(areas.read_text("utf-8").replace("Länsimäki", "Westhill"), "utf-8")

    def read_first(*given: object, **options: object) -> Study:
        found = real(*given, **options)  # type: ignore[arg-type]
        edit()
        return found

    def edit_first(*_: object, **__: object) -> None:
        edit()

    if when == "read":
        monkeypatch.setattr(matrix, "read_study", read_first)
    else:
        monkeypatch.setattr(matrix, "reference_areas", edit_first)
    with pytest.raises(PublicationError, match="changed during the run") as caught:
        made(study, tmp_path)
    assert "areas.csv" in str(caught.value)
    assert not (tmp_path / "out" / "vantaa-mek").exists()


def test_a_run_that_finds_no_room_for_temporary_files_is_refused(
    stand: Stand, study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tempfile.mkdtemp", full)
    result = CliRunner().invoke(main, ["run", str(study), "--year", "2025", "--out", str(tmp_path / "out")])
    assert result.exit_code == 2, result.output
    assert "TMPDIR" in result.output and "No space left on device" in result.output
    assert not stand.ran


def test_reports_among_the_files_that_decide_about_them_are_refused(
    stand: Stand, study: Path, tmp_path: Path
) -> None:
    before = tree(study)
    with pytest.raises(RunError, match="cannot lie among the files of the study"):
        made(study, tmp_path, out=study)
    assert tree(study) == before
    assert not stand.ran
    assert not made(study, tmp_path, out=study / "reports").failed


def test_what_another_run_keeps_is_not_cleared_away(stand: Stand, study: Path, tmp_path: Path) -> None:
    """The lock is free again when a set has been published: the next run may have begun before the first tidies."""
    kept, locks = tmp_path / "out" / ".store" / "vantaa-mek.work" / "another.key.json", []

    def begin(*_: object, **__: object) -> list[object]:
        kept.parent.mkdir(exist_ok=True)
        kept.write_text("{}")
        locks.append(FileLock(tmp_path / "out" / ".store" / "vantaa-mek.lock"))
        locks[0].acquire(timeout=0)
        return []

    with pytest.MonkeyPatch.context() as patch:
        settle = publish._sweep
        calls = []

        def sweep(store: Path, name: str) -> None:
            settle(store, name)
            calls.append(name)

        patch.setattr(publish, "_sweep", sweep)
        lock_release = FileLock.release

        def release(self: FileLock, force: bool = False) -> None:
            lock_release(self, force)
            if len(calls) == 2 and not locks:  # behind the swap
                begin()

        patch.setattr(FileLock, "release", release)
        assert not made(study, tmp_path).failed
    assert locks and kept.is_file()
    locks[0].release()


def test_languages_that_cannot_be_are_refused_all_at_once(stand: Stand, study: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError) as caught:
        made(study, tmp_path, languages=["de", "fi", "xx"])
    assert [(fault.where, fault.found) for fault in caught.value.faults] == [
        ("--language", "'de'"),
        ("--language", "'xx'"),
    ]


def test_a_notebook_edited_during_the_run_fails_with_that_reason(tmp_path: Path, example: Study) -> None:
    from mekeval.run.jobs import execute

    folder = own_notebooks(tmp_path / "own")
    (job,) = plan_jobs(example, years=[], kinds=["quality"], languages=["fi"], notebooks=folder)
    job.notebook.write_text(job.notebook.read_text("utf-8").replace("report.summary", "1 / 0"), "utf-8")
    outcome = execute(job)
    assert "The notebook was changed during the run." in outcome.error
    assert outcome.files.keys() == {"html"}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_a_run_cleanly(
    stand: Stand, study: Path, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    stand.before = lambda name: os.kill(os.getpid(), number) if name == CITY else None
    words = ["--year", "2025", "--district", "Länsimäki", "--language", "fi", "--out", str(tmp_path / "out")]
    before = signal.getsignal(number)
    result = CliRunner().invoke(main, ["run", str(study), *words, "--quiet"])
    assert result.exit_code == code
    assert signal.getsignal(number) is before
    left = [path.name for path in (tmp_path / "out" / ".store").iterdir() if path.is_dir()]
    assert left == ["vantaa-mek.work"]


# Parameters and secrets


def cli(study: Path, tmp_path: Path, *words: str) -> Result:
    return CliRunner().invoke(main, ["run", str(study), *words, "--out", str(tmp_path / "out")])


def test_a_parameter_reaches_the_notebooks_that_have_it_and_no_other(
    stand: Stand, study: Path, tmp_path: Path
) -> None:
    folder = own_notebooks(tmp_path / "own", data_quality='tone: str = "calm"', city_report="depth: int = 1")
    words = ["--year", "2025", "--district", "Länsimäki", "--language", "fi", "--notebooks", str(folder)]
    result = cli(study, tmp_path, *words, "-p", "tone=loud", "-p", "depth=3", "--quiet")
    assert result.exit_code == 0, result.output
    manifest = json.loads((tmp_path / "out" / "vantaa-mek" / "manifest.json").read_text())
    given = {one["name"]: one["parameters"] for one in [*manifest["reports"], *manifest["quality"]]}
    assert {name: one.get("tone") for name, one in given.items()} == {
        CITY: None,
        DISTRICT: None,
        "2025/changes.fi": None,
        QUALITY: "loud",
    }
    assert {name: one["depth"] for name, one in given.items() if "depth" in one} == {CITY: 3}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-p", "statfin_token=abc"], ["A secret is no parameter", "STATFIN_TOKEN"]),
        (["-p", "tone=calm"], ["no such parameter", "'tone'"]),
        (["-p", "year=2024", "-p", "year=2025"], ["given twice"]),
        (["--kind", "quality", "-p", "district=Hakunila"], ["The run itself sets this parameter"]),
        (["--specs", "x"], ["--dry-run"]),
        (["--notebooks", "nowhere"], ["none of the notebooks of a run", "data_quality.ipynb"]),
    ],
)
def test_what_cannot_be_asked_is_refused(
    stand: Stand, study: Path, tmp_path: Path, words: list[str], said: list[str]
) -> None:
    result = cli(study, tmp_path, "--year", "2025", *words)
    assert result.exit_code == 2, result.output
    for word in said:
        assert word in result.output
    assert not (tmp_path / "out").exists()
    assert not stand.ran


def test_a_run_without_a_year_is_refused(study: Path, tmp_path: Path) -> None:
    result = cli(study, tmp_path)
    assert result.exit_code == 2
    assert "No year is given." in result.output


def test_the_specification_of_a_notebook_says_what_its_parameters_may_be(
    stand: Stand, example: Study
) -> None:
    cleaned = matrix.clean_indicators(example, as_of=None)
    notebook = shipped("notebooks", "district_report.ipynb")
    found = matrix.specification(notebook, example, cleaned, languages=("fi", "sv", "en"))
    assert {name: one.kind for name, one in found.items()} == {
        "study": str,
        "district": str,
        "year": int,
        "language": str,
        "as_of": str,
    }
    assert {"Hakunila", "09294", "Håkansböle"} <= set(found["district"].allowed)
    assert (found["year"].allowed[0], found["year"].allowed[-1]) == (2010, 2025)
    assert found["language"].allowed == ("fi", "sv", "en")
    faults = matrix.value_faults({"year": 2031, "district": "Hakunlia", "language": "fi"}, found, where="x")
    assert [fault.where for fault in faults] == ["x, year", "x, district"]
    assert "'Hakunila'" in faults[1].expected


def test_names_of_secrets() -> None:
    for name in ("token", "API_KEY", "db_password", "statfin_token", "my_secret", "credentials"):
        with pytest.raises(RunError, match="no parameter"):
            refuse_secret(name, where="x")
    for name in ("year", "keys", "tokens_per_area", "keyboard", "monkey"):
        refuse_secret(name, where="x")


@pytest.mark.parametrize(
    "form", ["s3cr3t&<value>", "s3cr3t&amp;&lt;value&gt;", "s3cr3t%26%3Cvalue%3E", "czNjcjN0Jjx2YWx1ZT4"]
)
def test_the_value_of_a_secret_does_not_leave(monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    monkeypatch.setenv("STATFIN_TOKEN", "s3cr3t&<value>")
    with pytest.raises(RunError, match="value of a secret") as caught:
        refuse_leaks({"html": f"<p>{form}</p>".encode()}, ())
    assert "STATFIN_TOKEN" in str(caught.value)
    assert "s3cr3t" not in str(caught.value)
    refuse_leaks({"html": b"<p>s3cr3t</p>"}, ())
    assert redacted("it was s3cr3t&<value>!", ()) == "it was [STATFIN_TOKEN]!"


def test_a_job_that_shows_a_secret_or_a_folder_fails_without_showing_it(
    stand: Stand, study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DB_PASSWORD", "hunter2hunter2")
    stand.breaks = {CITY: f"{tmp_path}/secret/place: hunter2hunter2 was wrong"}
    real = stand.execute

    def shows(job: Job, **_: object) -> Outcome:
        outcome = real(job)
        return outcome if job.name != QUALITY else replace(outcome, html=f"<p>{study}/raw</p>")

    stand.execute = shows  # type: ignore[method-assign]
    result = made(study, tmp_path)
    assert states(result) == {CITY: "failed", DISTRICT: "made", QUALITY: "failed"}
    assert "names a folder of this machine" in result.errors[QUALITY]
    for content in tree(tmp_path / "out" / "vantaa-mek").values():
        assert b"hunter2" not in content
        assert str(tmp_path).encode() not in content
    assert machine_paths("/srv", "/srv/city", None) == ("/srv/city",)


# Proof


def test_the_manifest_says_what_made_what_and_holds_no_finding(
    stand: Stand, study: Path, tmp_path: Path
) -> None:
    made(study, tmp_path)
    folder = tmp_path / "out" / "vantaa-mek"
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    assert manifest == sealed(manifest)
    assert set(manifest["files"]) == set(tree(folder)) - {"manifest.json"}
    assert set(manifest["machine"]) == {"system", "processor", "python", "implementation"}
    assert manifest["seed"] > 0
    assert manifest["made_from"]["inputs"].keys() >= {
        "study:study.toml",
        "study:plan.lock",
        "raw:raw/tulot.csv",
    }
    for report in [*manifest["reports"], *manifest["quality"]]:
        assert report["parts"].keys() == PARTS.keys()
        assert differing(report["parts"], report["parts"]) == ()
    assert [one["findings"] for one in manifest["reports"]] == [
        ["2025/09291/low_income_rate"],
        ["2025/all/low_income_rate"],
    ]
    for beside in ("vantaa-mek.run.json", "vantaa-mek.log.jsonl"):
        assert (tmp_path / "out" / beside).is_file()
    said = json.loads((tmp_path / "out" / "vantaa-mek.run.json").read_text("utf-8"))
    assert {one["name"]: one["state"] for one in said["jobs"]} == dict.fromkeys(
        (CITY, DISTRICT, QUALITY), "made"
    )
    events = [
        json.loads(line)["event"]
        for line in (tmp_path / "out" / "vantaa-mek.log.jsonl").read_text("utf-8").splitlines()
    ]
    assert events == ["begun", "made", "made", "made", "published"]


def test_reports_that_contradict_each_other_are_not_published(
    stand: Stand, study: Path, tmp_path: Path
) -> None:
    real = stand.execute

    def says(job: Job, **_: object) -> Outcome:
        outcome = real(job)
        finding = {"year": 2025, "subject": "all", "outcome": "o", "verdict": job.kind}
        return replace(outcome, findings=(finding,))

    stand.execute = says  # type: ignore[method-assign]
    with pytest.raises(RunError, match="Two reports of one run disagree"):
        made(study, tmp_path)


def test_a_report_that_gives_a_small_count_away_is_not_published(
    stand: Stand, study: Path, tmp_path: Path
) -> None:
    made(study, tmp_path, years=[2024])
    before = tree(tmp_path / "out" / "vantaa-mek")
    example = mekeval.read_study(example_study())
    hidden = _hidden("vantaa-mek").iloc[0]
    where = f"{example.areas.name(hidden['area'], 'fi')} {hidden['year']}"
    real = stand.execute

    def tells(job: Job, **_: object) -> Outcome:
        table = f"<table><tr><th>{where}</th><td>{hidden['numerator']:.0f}</td></tr></table>"
        return replace(real(job), html=f"<html lang='fi'><body>{table}</body></html>")

    stand.execute = tells  # type: ignore[method-assign]
    with pytest.raises(PublicationError):
        made(study, tmp_path)
    assert tree(tmp_path / "out" / "vantaa-mek") == before


def test_verify_names_what_is_missing_changed_or_extra(stand: Stand, study: Path, tmp_path: Path) -> None:
    made(study, tmp_path)
    folder = tmp_path / "out" / "vantaa-mek"
    done = CliRunner().invoke(main, ["verify", str(tmp_path / "out")])
    assert (done.exit_code, done.output) == (0, "Everything is as it was published.\n")
    (folder / f"{CITY}.html").write_text("other")
    (folder / f"{DISTRICT}.ipynb").unlink()
    (folder / "new.txt").write_text("x")
    assert set(verify_set(folder)) == {
        Mismatch(name=f"{CITY}.html", what="changed"),
        Mismatch(name=f"{DISTRICT}.ipynb", what="missing"),
        Mismatch(name="new.txt", what="extra"),
    }
    done = CliRunner().invoke(main, ["verify", str(tmp_path / "out")])
    assert done.exit_code == 1
    assert f"changed: vantaa-mek/{CITY}.html" in done.output
    manifest = folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"seed": ', '"seed": 1'))
    assert Mismatch(name="manifest.json", what="changed") in verify_set(folder)
    done = CliRunner().invoke(main, ["verify", str(tmp_path)])
    assert done.exit_code == 2


def test_verify_makes_the_reports_again_and_names_what_differs(
    stand: Stand, study: Path, tmp_path: Path
) -> None:
    made(study, tmp_path)
    made(study, tmp_path, years=[2024], kinds=["city"])
    folder = tmp_path / "out" / "vantaa-mek"
    stand.ran = []
    assert rerun_set(folder, study) == ()
    assert sorted(stand.ran) == sorted(["2024/city.fi", CITY, DISTRICT, QUALITY])
    _edit_definition(study, tmp_path)
    real = stand.execute

    def other(job: Job, **_: object) -> Outcome:
        outcome = real(job)
        return replace(outcome, html="<p>other</p>") if job.name == CITY else outcome

    stand.execute = other  # type: ignore[method-assign]
    assert set(rerun_set(folder, study)) == {
        Mismatch(name="inputs: study:study.toml", what="made from"),
        Mismatch(name=f"{CITY}.html", what="made otherwise"),
    }


# One job at a time


def test_jobs_run_one_by_one_are_gathered(stand: Stand, study: Path, tmp_path: Path) -> None:
    specs = tmp_path / "specs"
    made(study, tmp_path, dry_run=True, specs=specs)
    paths = sorted(specs.iterdir())
    assert [path.name for path in paths] == [
        "0001-2025-city.fi.json",
        "0002-2025-09291-lansimaki.fi.json",
        "0003-data_quality.fi.json",
    ]
    assert not (tmp_path / "out").exists()
    stand.breaks = {DISTRICT: "No."}
    runner = CliRunner()
    codes = [runner.invoke(main, ["run-one", str(path)]).exit_code for path in paths]
    assert codes == [0, 1, 0]
    again = runner.invoke(main, ["run-one", str(paths[0])])
    assert "found" in again.output
    stand.ran, stand.breaks = [], {}
    assert states(made(study, tmp_path)) == {CITY: "found", DISTRICT: "made", QUALITY: "found"}
    assert stand.ran == [DISTRICT]


def test_a_job_planned_with_other_data_or_another_package_is_refused(
    stand: Stand, study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    specs = tmp_path / "specs"
    made(study, tmp_path, dry_run=True, specs=specs)
    path = specs / "0001-2025-city.fi.json"
    monkeypatch.setattr(asked, "source_sha256", lambda: "another version")
    result = CliRunner().invoke(main, ["run-one", str(path)])
    assert result.exit_code == 2
    assert "mekeval's own code changed" in result.output
    monkeypatch.setattr(asked, "source_sha256", lambda: "the code")
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "parameters": {**content["parameters"], "year": 2024}}))
    result = CliRunner().invoke(main, ["run-one", str(path)])
    assert result.exit_code == 2
    assert "the parameters changed" in result.output
    path.write_text(json.dumps({**content, "mekeval": "0.0.1"}))
    result = CliRunner().invoke(main, ["run-one", str(path)])
    assert result.exit_code == 2
    assert "planned with another mekeval" in result.output and "0.0.1" in result.output
    path.write_text(json.dumps({**content, "colour": "red"}))
    assert "colour" in CliRunner().invoke(main, ["run-one", str(path)]).output
    path.write_text("{")
    assert CliRunner().invoke(main, ["run-one", str(path)]).exit_code == 2
    assert not stand.ran


def test_every_state_has_words() -> None:
    from mekeval.run.status import STATES, JobState, status_table

    lines = status_table(
        [JobState(name="a", state=state, why="", seconds=0) for state in STATES]
    ).splitlines()
    assert [re.split(r"\s{2,}", line)[1] for line in lines[1:]] == list(STATES)
