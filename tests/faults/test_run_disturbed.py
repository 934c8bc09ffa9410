"""What happens beside a run, or is done to what it left: locks, clocks, other hands, lost workers, another mekeval."""

from __future__ import annotations

import json
import os
import shutil
import signal
import tempfile
import textwrap
import time
from pathlib import Path
from types import ModuleType

import nbformat
import pytest

from mekeval import RunError, Study
from mekeval.run import asked, compose, going, jobs, plan_jobs, publish, work
from mekeval.run.kernels import Limits, run_notebook
from mekeval.run.keys import sealed
from mekeval.run.pool import WarmPool
from mekeval.run.publish import PublicationError, publication
from mekeval.run.verify import verify_set
from mekeval.run.whole import remove_torn, write_whole
from mekeval.store import run_store, scratch_folder

# Other runs, other hands


def test_a_second_run_of_a_study_is_refused_while_the_first_goes_on(
    calls: ModuleType, published: Path
) -> None:
    before = calls.contents(published / calls.SET)
    with pytest.raises(ZeroDivisionError), publication(published, calls.SET) as (new, _):
        with pytest.raises(RunError, match="Another run of this study is going on"):
            calls.publish(published.parent, calls.WORDS[1], published)
        assert new.is_dir()  # nobody swept it away
        raise ZeroDivisionError
    assert calls.contents(published / calls.SET) == before
    calls.publish(published.parent, calls.WORDS[1], published)


def test_a_folder_that_is_made_anew_meanwhile_is_not_published_into(
    calls: ModuleType, published: Path
) -> None:
    with (
        pytest.raises(PublicationError, match="removed during the run"),
        publication(published, calls.SET) as (new, _),
    ):
        shutil.rmtree(published)
        new.mkdir(parents=True)
    assert not (published / calls.SET).exists()


@pytest.mark.parametrize("content", [None, "[]", "[{"])
def test_findings_that_another_hand_changed_are_made_again(
    calls: ModuleType, published: Path, content: str | None
) -> None:
    good = calls.contents(published / calls.SET)
    path = published / calls.SET / "findings.json"
    if content is None:
        path.write_text(path.read_text().replace("fragile", "improved"))
    else:
        path.write_text(content)
    calls.publish(published.parent, calls.WORDS[0], published)
    assert calls.contents(published / calls.SET) == good
    assert verify_set(published) == ()


def test_an_outcome_that_would_be_written_elsewhere_is_not_taken(tmp_path: Path) -> None:
    kept = work.Kept(key="a", name="x", files={"html": b"x"}, findings=(), seconds=1.0, made="now")
    work.keep(tmp_path, "basis", kept)
    (path,) = tmp_path.glob("*.json")
    said = json.loads(path.read_text())
    said["files"] = {"html/../../../elsewhere": said["files"]["html"]}
    path.write_text(json.dumps(sealed(said)))
    assert work.find(tmp_path, "basis", "a") is None
    path.write_text("[" * 100_000)
    assert work.find(tmp_path, "basis", "a") is None


def test_what_a_kill_tore_goes_and_what_is_being_written_stays(tmp_path: Path) -> None:
    import fcntl

    torn, written = (tmp_path / f".torn-a.json.{name}" for name in ("torn", "written"))
    torn.write_text("{")
    with written.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        remove_torn(tmp_path, "*")
        assert [path.name for path in tmp_path.iterdir()] == [written.name]
    write_whole(tmp_path / "a.json", "{}")
    remove_torn(tmp_path, "a.json")
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_links_and_folders_of_a_swap_that_was_not_done_are_swept_away(
    calls: ModuleType, published: Path
) -> None:
    store = published / ".store"
    (store / f"{calls.SET}.abcdefgh").mkdir()
    (store / f"{calls.SET}.abcdefgh.link").symlink_to(f"{calls.SET}.abcdefgh")
    (store / f"{calls.SET}.ijklmnop.link").symlink_to("nowhere")
    calls.publish(published.parent, calls.WORDS[1], published)
    assert calls.torn_files(published) == []


def test_a_signal_just_behind_the_swap_leaves_what_is_published(
    calls: ModuleType, published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    swap = publish._swap

    def then_a_signal(*args: Path) -> None:
        swap(*args)
        raise SystemExit(143)

    before = calls.contents(published / calls.SET)
    with monkeypatch.context() as patched:
        patched.setattr(publish, "_swap", then_a_signal)
        with pytest.raises(SystemExit):
            calls.publish(published.parent, calls.WORDS[1], published)
    now = calls.contents(published / calls.SET)
    assert now != before and verify_set(published) == ()
    calls.publish(published.parent, calls.WORDS[1], published)
    assert calls.contents(published / calls.SET) == now


def test_a_run_that_has_nothing_to_do_tidies_up_behind_one_that_was_killed(
    calls: ModuleType, published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise SystemExit(137)

    with monkeypatch.context() as patched:
        patched.setattr(publish, "_settle", killed)  # behind the swap
        with pytest.raises(SystemExit):
            calls.publish(published.parent, calls.WORDS[1], published)
    assert len(calls.torn_files(published)) == 2  # the earlier set, and outcomes that are published
    now = calls.contents(published / calls.SET)
    calls.publish(published.parent, calls.WORDS[1], published)
    assert calls.torn_files(published) == []
    assert calls.contents(published / calls.SET) == now


# Clocks


@pytest.mark.parametrize("hours", [("2031-05-01", "1999-01-01"), ("1970-01-01", "2100-12-31")])
def test_a_clock_that_jumps_changes_no_report(
    calls: ModuleType, published: Path, monkeypatch: pytest.MonkeyPatch, hours: tuple[str, str]
) -> None:
    good = calls.contents(published / calls.SET)
    calls.publish(published.parent, calls.WORDS[1], published)
    for module, hour in zip((going, compose), hours, strict=True):  # began then, ended then
        monkeypatch.setattr(module, "utc_now", lambda hour=hour: f"{hour}T00:00:00+00:00")
    monkeypatch.setattr(time, "time", lambda: 0.0)
    calls.publish(published.parent, calls.WORDS[0], published)
    manifest = json.loads((published / calls.SET / "manifest.json").read_text())
    assert (manifest["begun"][:10], manifest["ended"][:10]) == hours
    assert calls.contents(published / calls.SET) == good
    assert verify_set(published) == ()
    assert calls.torn_files(published) == []


def test_folders_of_killed_processes_go_and_those_in_use_stay_whatever_the_clock_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    left, young = tmp_path / "mekeval-shared-left", tmp_path / "mekeval-shared-young"
    for folder in (left, young):
        folder.mkdir(mode=0o700)
        (folder / "a").write_text("a")
    os.utime(left, (0, 0))
    with run_store() as store:
        assert set(tmp_path.iterdir()) == {young, store.folder}
        monkeypatch.setattr(time, "time", lambda: 4e9)
        with scratch_folder("mekeval-shared-") as other:
            assert set(tmp_path.iterdir()) == {store.folder, other}


# Workers and kernels


def notebook(folder: Path, *cells: str) -> Path:
    folder.mkdir(exist_ok=True)
    names = ("study", "raw", "as_of", "language")
    head = "\n".join(f'{name}: str = ""' for name in names)
    made = [nbformat.v4.new_code_cell(head, metadata={"tags": ["parameters"]})]
    made += [nbformat.v4.new_code_cell(textwrap.dedent(cell)) for cell in cells]
    nbformat.write(nbformat.v4.new_notebook(cells=made), folder / "data_quality.ipynb")
    return folder


def said(executed: nbformat.NotebookNode) -> str:
    return "".join(
        str(output.text) for cell in executed.cells for output in cell.get("outputs", []) if "text" in output
    )


def test_a_forked_parent_that_dies_is_replaced() -> None:
    with WarmPool(1) as pool:
        parent = pool.submit(os.getppid).result()
        lost = pool.submit(time.sleep, 60)
        os.kill(parent, signal.SIGKILL)
        with pytest.raises(RunError, match="worker of this job was ended"):
            lost.result()
        assert pool.submit(os.getppid).result() not in (parent, os.getpid())


def test_a_job_whose_kernel_is_killed_fails_with_its_cell(tmp_path: Path, example: Study) -> None:
    cell = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    folder = notebook(tmp_path / "own", cell)
    (job,) = plan_jobs(example, years=[], kinds=["quality"], languages=["fi"], notebooks=folder)
    outcome = jobs.execute(job, limits=Limits(kernels="fork"))
    assert "The kernel died" in outcome.error
    assert cell in outcome.error
    assert outcome.files.keys() == {"html"}  # its error page
    assert "The kernel died" in outcome.html


@pytest.mark.parametrize("kernels", ["ordinary", "fork"])
def test_a_kernel_has_the_mekeval_of_its_run_and_says_nothing_on_its_own(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], kernels: str
) -> None:
    for place in ("here", "there"):
        (tmp_path / place / "mekeval").mkdir(parents=True)
        (tmp_path / place / "mekeval" / "__init__.py").write_text('raise RuntimeError("another mekeval")')
    (tmp_path / "here" / "helper.py").write_text("word = 'from the folder of the study'")
    (tmp_path / "here" / "ipykernel_launcher.py").write_text('raise RuntimeError("another kernel")')
    path = notebook(
        tmp_path / "own",
        "import helper, mekeval, mekeval.run.keys as keys",
        "print(mekeval.__file__, keys.source_sha256(), helper.word)",
    )
    executed = run_notebook(
        path / "data_quality.ipynb",
        parameters={},
        folder=tmp_path / "here",
        environment={"PYTHONPATH": str(tmp_path / "there")},
        limits=Limits(kernels=kernels),
    )
    place, code, *word = said(executed).split()
    assert Path(place) == Path(asked.__file__).parents[1] / "__init__.py"
    assert len(code) == 64
    assert " ".join(word) == "from the folder of the study"
    assert capfd.readouterr().err == ""
