"""What a run computes once for several notebooks: the same bytes as without, and nothing read that is not its own."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextvars import copy_context
from multiprocessing import get_context
from pathlib import Path

import pytest

from mekeval import Evaluation, Indicators, Study, clean_indicators, district_report, evaluate, read_study
from mekeval.evaluation.sharing import evaluation_key
from mekeval.indicators.cache import key_of
from mekeval.report import Report, city_report
from mekeval.run import plan_jobs
from mekeval.run.prepared import preparations, prepare
from mekeval.run.workers import execute_all
from mekeval.store import SHARED_VARIABLE, Store, at_hand, filling, hold, run_store, shared

YEAR = 2021
SECTIONS = ("summary", "situation", "programme", "effect", "trust", "quality", "method")


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    with run_store() as made:
        yield made


@pytest.fixture(scope="module")
def prepared(small: Path, store: Store) -> Store:
    """The store after the preparation that the run makes before the reports of a year."""
    (preparation,) = preparations(plan_jobs(read_study(small), years=[YEAR]))
    prepare(preparation, store)
    return store


def shown(report: Report) -> list[object]:
    return [getattr(report, name)._repr_html_() for name in SECTIONS] + [report.findings._repr_mimebundle_()]


def test_reports_are_the_same_bytes_with_shared_work_and_without(
    small: Path, prepared: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reports() -> list[list[object]]:
        return [
            shown(city_report(small, year=YEAR, language="sv")),
            shown(district_report(small, year=YEAR, language="fi", district="Hakunila")),
        ]

    alone = reports()
    monkeypatch.setenv(SHARED_VARIABLE, prepared.text())
    before = sorted(prepared.folder.iterdir())
    monkeypatch.setattr("mekeval.evaluation._evaluate", None)  # whoever computes now fails
    assert reports() == alone
    assert sorted(prepared.folder.iterdir()) == before


def test_a_run_gives_the_same_outcomes_with_shared_work_and_without(small: Path) -> None:
    planned = plan_jobs(read_study(small), years=[YEAR], districts=["Hakunila"], languages=["fi", "en"])
    planned = [job for job in planned if job.language == "fi" and job.kind != "quality"]
    assert preparations(planned)
    one, other = (
        execute_all(planned, jobs=2, executor=None, progress=False, share=share) for share in (True, False)
    )
    for first, second in zip(one, other, strict=True):
        assert not first.error, first.error
        assert dict(first.files) == dict(second.files)
        assert first.findings == second.findings


def test_another_executor_may_be_handed_in_and_a_job_that_cannot_be_prepared_says_why(small: Path) -> None:
    planned = plan_jobs(read_study(small), years=[YEAR], districts=["Hakunila"])
    lost = [dataclasses.replace(job, folder=job.folder / "away") for job in planned[:2]]
    assert preparations(lost)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor:
        outcomes = execute_all(lost, jobs=None, executor=executor, progress=False)
    assert all(outcome.error for outcome in outcomes)


def test_only_what_several_jobs_want_is_prepared(example: Study) -> None:
    planned = plan_jobs(example, years=[2024, 2025], districts=["Hakunila"], languages=["fi", "sv"])
    both = preparations(planned)
    assert [one.year for one in both] == [2024, 2025]
    places = [at for some in both.values() for at in some]
    assert sorted(places) == [at for at, job in enumerate(planned) if job.kind != "quality"]
    districts = [job for job in planned if job.kind == "district"]
    assert not preparations(districts)  # two reports of one district: less than the evaluation of all


def test_an_evaluation_is_stored_under_everything_that_decides_it(small: Path, tmp_path: Path) -> None:
    study = read_study(small)

    def key(one: Study, year: int = YEAR, **more: object) -> str | None:
        return evaluation_key(one, year=year, as_of=None, **more)  # type: ignore[arg-type]

    moved = tmp_path / "vantaa-mek"
    shutil.copytree(small, moved)
    assert key(read_study(moved)) == key(study) is not None  # the same study, wherever it lies
    changed = [
        dataclasses.replace(study, wave_areas=tuple(codes[1:] for codes in study.wave_areas)),
        dataclasses.replace(study, discretionary=study.treated),
        dataclasses.replace(study, measures=study.measures[1:]),
        dataclasses.replace(
            study, spec=study.spec.model_copy(update={"other_estimates": None, "fetch": None})
        ),
    ]
    known = {key(study), key(study, 2022)} | {key(one) for one in changed[:3]}
    assert len(known) == 5
    raw = next(path for path in read_study(moved).paths)
    raw.write_bytes(raw.read_bytes() + b"\n")
    assert key(dataclasses.replace(study, paths=(raw, *study.paths[1:]))) not in known
    raw.unlink()
    assert key(dataclasses.replace(study, paths=(raw, *study.paths[1:]))) is None


def _raw_cell(folder: Path) -> None:
    raw = folder / "raw" / "pienituloiset.csv"
    before = raw.read_bytes()
    raw.write_bytes(before.replace(b"197500", b"197501", 1))
    _definition(folder, *(hashlib.sha256(one).hexdigest() for one in (before, raw.read_bytes())))


def _definition(folder: Path, old: str, new: str) -> None:
    text = (folder / "study.toml").read_text(encoding="utf-8")
    assert old in text
    (folder / "study.toml").write_text(text.replace(old, new, 1), encoding="utf-8")


def _name(folder: Path) -> None:
    areas = folder / "areas.csv"
    areas.write_text(areas.read_text("utf-8").replace("Gruvsta", "Gruvstad", 1), encoding="utf-8")


def _earlier(folder: Path) -> None:
    told = clean_indicators(read_study(folder)).table
    (folder / "told.csv").write_text(told.loc[told["status"] == "ok"].head(40).to_csv(index=False), "utf-8")
    _definition(folder, "[study]", '[study]\nearlier = ["told.csv"]')


CHANGES: dict[str, Callable[[Path], None]] = {
    "a raw cell": _raw_cell,
    "a name": _name,
    "the least base": lambda folder: _definition(folder, "minimum_base = 30", "minimum_base = 300"),
    "public": lambda folder: _definition(folder, "[study]", "[study]\npublic = true"),
    "earlier": _earlier,
}


def _same(one: Indicators, other: Indicators) -> bool:
    """Every cell, type and name."""
    frames = ("table", "log", "files", "releases")
    same = all(getattr(one, name).equals(getattr(other, name)) for name in frames)
    kinds = all((getattr(one, name).dtypes == getattr(other, name).dtypes).all() for name in frames)
    rest = (one.as_of, one.outcomes, one.areas.unit) == (other.as_of, other.outcomes, other.areas.unit)
    return same and kinds and rest and one.areas.table.equals(other.areas.table)


@pytest.mark.parametrize("change", CHANGES)
def test_cleaned_data_of_a_study_that_was_changed_are_not_taken_from_the_store(
    small: Path, store: Store, tmp_path: Path, change: str
) -> None:
    folder = tmp_path / "vantaa-mek"
    shutil.copytree(small, folder)
    with filling(store):
        before = clean_indicators(read_study(folder))
    CHANGES[change](folder)
    alone = clean_indicators(read_study(folder))
    with filling(store):
        assert _same(clean_indicators(read_study(folder)), alone)
    # "earlier" and "public" change what is hidden, which here is nothing: there the key is all that can be seen.
    assert not _same(before, alone) or key_of(read_study(folder), None) != key_of(read_study(small), None)


def test_cleaned_data_are_taken_whatever_the_plan_and_as_they_were_computed(
    small: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = read_study(small)
    alone, early = clean_indicators(study), clean_indicators(study, as_of=2026)
    with filling(store):
        clean_indicators(study), clean_indicators(study, as_of=2026)
        monkeypatch.setattr("mekeval.indicators.clean._clean", None)  # whoever computes now fails
        plan = study.plan.model_copy(update={"primary": ("unemployment_rate",)})
        other = dataclasses.replace(study, spec=study.spec.model_copy(update={"plan": plan}))
        assert _same(clean_indicators(study), alone)
        assert _same(clean_indicators(study, as_of=2026), early)  # two days in one run
        assert clean_indicators(other).outcomes == ("unemployment_rate",)
    assert alone.as_of != early.as_of


def test_a_store_gives_back_what_was_put_there_and_only_a_run_puts(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not at_hand()
    with filling(store):
        assert shared("number", lambda: 1) == 1
        assert shared("number", lambda: 2) == 1
    assert shared("number", lambda: 3) == 3  # no store is named
    monkeypatch.setenv(SHARED_VARIABLE, store.text())
    assert shared("number", lambda: 4) == 1
    assert shared("other", lambda: 5) == 5
    assert store.get("other") is None  # a notebook only reads


class Bomb:
    """Would leave a trace if it were read."""

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return os.mkdir, ("bomb",)


def test_nothing_is_read_that_the_run_has_not_signed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with run_store() as mine, run_store() as other:
        other.put("key", Bomb())
        shutil.copy(other.folder / "key", mine.folder / "key")
        assert mine.get("key") is None
        mine.put("key", Bomb())
        (mine.folder / "key").rename(mine.folder / "second")
        assert mine.get("second") is None  # signed for another key
        mine.put("third", [1, 2])
        content = (mine.folder / "third").read_bytes()
        (mine.folder / "third").write_bytes(content[:-1])
        assert mine.get("third") is None
        (mine.folder / "third").write_bytes(b"")
        assert mine.get("third") is None
    assert not (tmp_path / "bomb").exists()
    assert mine.get("third") is None and not mine.folder.exists()
    mine.put("third", 1)  # a store that is gone keeps nothing, and says nothing


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_a_folder_that_others_can_open_is_not_trusted(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    folder.mkdir(mode=0o700)
    store = Store(folder=folder, token="t")
    store.put("key", 1)
    assert store.get("key") == 1
    link = tmp_path / "link"
    link.symlink_to(folder)
    assert Store(folder=link, token="t").get("key") is None
    folder.chmod(0o750)
    assert store.get("key") is None


def test_a_mistaken_variable_is_no_store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for text in ("x", ":", f":{tmp_path}", "token:", f"token:{tmp_path / 'gone'}"):
        monkeypatch.setenv(SHARED_VARIABLE, text)
        assert shared("key", lambda: 7) == 7


def test_the_evaluation_of_a_district_is_taken_from_that_of_all(
    small: Path, prepared: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = evaluate(small, year=YEAR, district="Hakunila")
    monkeypatch.setenv(SHARED_VARIABLE, prepared.text())
    taken = evaluate(small, year=YEAR, district="Hakunila")
    assert taken.findings.keys() == alone.findings.keys()
    for name in (field.name for field in dataclasses.fields(Evaluation)):
        assert type(getattr(taken, name)) is type(getattr(alone, name)), name
    assert (taken.choice, taken.adjusted, taken.plain, taken.others) == (None, None, (), {})
    assert taken.study.folder == alone.study.folder


def test_what_is_held_is_not_read_again_and_only_for_its_own_store(tmp_path: Path) -> None:
    def kept() -> tuple[object, object, object]:
        folder, other = tmp_path / "one", tmp_path / "two"
        for place in (folder, other):
            place.mkdir(mode=0o700)
        store = Store(folder=folder, token="t")
        store.put("key", [1])
        (folder / "forged").write_bytes(b"0" * 40)
        hold(store.text())
        (folder / "key").unlink()
        found = store.get("key"), store.get("forged"), Store(folder=folder, token="u").get("key")
        hold(Store(folder=other, token="t").text())
        assert store.get("key") is None  # forgotten for the other
        return found

    assert copy_context().run(kept) == ([1], None, None)
