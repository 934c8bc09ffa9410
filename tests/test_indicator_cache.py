"""The cache of results: the same as without, never of other files, and never believed when it is damaged."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

import mekeval.indicators.clean as clean
from mekeval import Study, example_study, read_study
from mekeval.errors import StudyError
from mekeval.indicators import Indicators, clean_indicators

pytest.importorskip("duckdb")


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return read_study(shutil.copytree(example_study(), tmp_path / "study"))


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One number for each time that the files are really read."""
    runs: list[int] = []
    whole = clean._clean

    def counting(*given: object) -> Indicators:
        runs.append(1)
        return whole(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(clean, "_clean", counting)
    return runs


def _same(one: Indicators, other: Indicators) -> None:
    for name in ("table", "log", "files", "releases"):
        pd.testing.assert_frame_equal(getattr(one, name), getattr(other, name))
    pd.testing.assert_frame_equal(one.areas.table, other.areas.table)
    assert (one.areas.unit, one.as_of, one.outcomes) == (other.areas.unit, other.as_of, other.outcomes)


def _files(cache: Path) -> list[Path]:
    return sorted(path for path in cache.rglob("*") if path.is_file())


def test_a_second_run_reads_nothing_and_gives_the_same(
    study: Study, tmp_path: Path, counted: list[int]
) -> None:
    cache = tmp_path / "cache"
    plain = clean_indicators(study)
    first, second = clean_indicators(study, cache=cache), clean_indicators(study, cache=cache)
    assert len(counted) == 2
    _same(plain, first)
    _same(plain, second)
    assert {path.suffix for path in _files(cache)} == {".parquet", ".json"}


def test_another_day_is_another_result(study: Study, tmp_path: Path, counted: list[int]) -> None:
    cache = tmp_path / "cache"
    clean_indicators(study, cache=cache)
    then = clean_indicators(study, cache=cache, as_of=2026)
    assert len(counted) == 2
    _same(then, clean_indicators(study, cache=cache, as_of=2026))
    assert len(counted) == 2


def test_a_view_of_a_study_does_not_get_the_results_of_the_whole(
    study: Study, tmp_path: Path, counted: list[int]
) -> None:
    cache = tmp_path / "cache"
    clean_indicators(study, cache=cache)
    fewer = study.spec.model_copy(update={"indicator": study.spec.indicator[:1]})
    assert clean_indicators(replace(study, spec=fewer), cache=cache).table["indicator"].nunique() == 1
    assert len(counted) == 2


def test_a_raw_file_that_changed_is_read_again(study: Study, tmp_path: Path, counted: list[int]) -> None:
    cache = tmp_path / "cache"
    before = clean_indicators(study, cache=cache)
    path = study.paths[0]
    text = path.read_bytes()
    row = next(line for line in text.split(b"\n") if b"Hakunila" in line and b"suur" not in line)
    changed = row[: row.rindex(b",") + 1] + b"1" + b"\r" * row.endswith(b"\r")
    path.write_bytes(text.replace(row, changed))
    after = clean_indicators(study, cache=cache)
    assert len(counted) == 2
    assert not after.table.equals(before.table)
    path.write_bytes(text)
    _same(before, clean_indicators(study, cache=cache))
    assert len(counted) == 2


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "gone", "text"])
def test_a_damaged_cache_is_neither_believed_nor_fatal(
    study: Study, tmp_path: Path, counted: list[int], damage: str
) -> None:
    cache = tmp_path / "cache"
    study = replace(study, spec=study.spec.model_copy(update={"indicator": study.spec.indicator[:1]}))
    plain = clean_indicators(study, cache=cache)
    for number, path in enumerate(_files(cache)):
        content = path.read_bytes()
        if damage == "gone":
            path.unlink()
        else:
            middle = len(content) // 2
            path.write_bytes(
                {
                    "cut": content[:middle],
                    "flip": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
                    "empty": b"",
                    "text": b"<html>",
                }[damage]
            )
        again = clean_indicators(study, cache=cache)
        _same(plain, again)
        assert len(counted) == number + 2, path.name


def test_a_cache_of_another_key_under_this_name_is_not_believed(
    study: Study, tmp_path: Path, counted: list[int]
) -> None:
    cache = tmp_path / "cache"
    clean_indicators(study, cache=cache)
    (facts,) = [path for path in _files(cache) if path.suffix == ".json"]
    words = json.loads(facts.read_text("utf-8").partition("\n")[2])
    body = json.dumps({**words, "key": hashlib.sha256(b"other").hexdigest()})
    facts.write_text(f"{hashlib.sha256(body.encode()).hexdigest()}\n{body}", "utf-8")
    clean_indicators(study, cache=cache)
    assert len(counted) == 2


def test_a_folder_that_cannot_be_written_keeps_nothing(study: Study, tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.write_text("no folder", "utf-8")
    _same(clean_indicators(study), clean_indicators(study, cache=place))


def test_faults_are_never_kept(study: Study, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    study.paths[0].write_bytes(b"<html>")
    for _ in range(2):
        with pytest.raises(Exception, match="web page"):
            clean_indicators(study, cache=cache)
    assert not cache.exists() or not _files(cache)
    with pytest.raises(StudyError):
        read_study(study.folder)
