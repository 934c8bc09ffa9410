"""The map of a study: `[areas.boundaries]` from the study's folder to the city's report."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest
from mapped_study import mapped_study, write_map

from mekeval.errors import DataError, MekevalError, StudyError
from mekeval.run import plan_jobs
from mekeval.run.keys import study_inputs
from mekeval.run.matrix import listed_files
from mekeval.study import Study, read_study, study_boundaries

pytest.importorskip("shapely")


@pytest.fixture
def folder(example: Study, tmp_path: Path) -> Path:
    """The example with a map."""
    return mapped_study(example, tmp_path / example.folder.name)


def said(caught: pytest.ExceptionInfo[MekevalError]) -> str:
    return str(caught.value)


def test_the_citys_report_has_a_map_beside_the_tile_map(ran: Path, mapped: Path, example: Study) -> None:
    for language, word in (("fi", "Aluekartta"), ("sv", "Karta över områden"), ("en", "Map of areas")):
        without, page = (
            (reports / "vantaa-mek" / "2025" / f"city.{language}.html").read_text(encoding="utf-8")
            for reports in (ran, mapped)
        )
        n = len(example.plan.primary)
        assert len(re.findall(word, page)) == n
        assert word not in without
        assert page.count("<figure") == without.count("<figure") + n
        assert page.count('download="') == without.count('download="') + n
        assert page.count("<table") == without.count("<table") + n


def test_a_changed_map_changes_what_the_reports_are_made_from(folder: Path, example: Study) -> None:
    before = read_study(folder)
    listed = listed_files(before)
    assert "study:areas.geojson" in listed
    inputs = study_inputs(folder, None, {}, listed)
    write_map(example, folder / "areas.geojson", leave_out=example.areas.units[-1])
    assert study_inputs(folder, None, {}, listed)["study:areas.geojson"] != inputs["study:areas.geojson"]
    assert read_study(folder).sha256 != before.sha256


def test_a_map_among_the_raw_files_is_known_by_its_checksum(folder: Path) -> None:
    (folder / "areas.geojson").rename(folder / "raw" / "areas.geojson")
    definition = folder / "study.toml"
    text = definition.read_text(encoding="utf-8")
    sha = hashlib.sha256((folder / "raw" / "areas.geojson").read_bytes()).hexdigest()
    named = f'file = "raw/areas.geojson"\nsha256 = "{sha}"'
    definition.write_text(text.replace('file = "areas.geojson"', named), encoding="utf-8")
    study = read_study(folder)
    assert "raw:raw/areas.geojson" in listed_files(study)
    found = study_boundaries(study)
    assert found is not None
    assert set(found.codes) == set(study.areas.units)
    definition.write_text(
        text.replace('file = "areas.geojson"', named.replace(sha, "0" * 64)), encoding="utf-8"
    )
    with pytest.raises(StudyError, match="not the one that the study was written for"):
        read_study(folder)


def test_an_area_without_a_boundary_is_refused_before_the_run(folder: Path, example: Study) -> None:
    lost = example.areas.units[3]
    write_map(example, folder / "areas.geojson", leave_out=lost)
    with pytest.raises(MekevalError, match="no boundary") as caught:
        plan_jobs(read_study(folder), years=[2025])
    assert lost in said(caught)
    assert "areas.geojson" in said(caught)
    assert plan_jobs(read_study(folder), years=[2025], kinds=["district"])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("open", "not closed"),
        ("{}", "no GeoJSON"),
        ('{"type": "FeatureCollection", "features": []}', "no areas"),
    ],
)
def test_a_broken_map_says_where(folder: Path, example: Study, content: str, words: str) -> None:
    path = folder / "areas.geojson"
    if content == "open":
        write_map(example, path, open_ring=example.areas.units[2])
    else:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=words) as caught:
        study_boundaries(read_study(folder))
    assert "areas.geojson" in said(caught)
    if content == "open":
        assert example.areas.units[2] in said(caught)


def test_a_file_that_is_none_is_refused_when_the_study_is_read(folder: Path) -> None:
    path = folder / "areas.geojson"
    with path.open("r+b") as stream:
        stream.truncate(200_000_000)  # a hole: no bytes on the disk
    with pytest.raises(StudyError, match="too large") as caught:
        read_study(folder)
    assert "generalised" in said(caught)
    path.unlink()
    with pytest.raises(StudyError, match="boundaries is missing"):
        read_study(folder)
    path.mkdir()
    with pytest.raises(StudyError, match="no file"):
        read_study(folder)
    definition = folder / "study.toml"
    text = definition.read_text(encoding="utf-8")
    definition.write_text(text.replace('"areas.geojson"', '"../areas.geojson"'), encoding="utf-8")
    with pytest.raises(StudyError, match="leaves its folder"):
        read_study(folder)
    definition.write_text(text.replace('code = "district"', 'kode = "district"'), encoding="utf-8")
    with pytest.raises(StudyError, match="kode"):
        read_study(folder)


def test_the_wrong_property_names_those_that_there_are(folder: Path) -> None:
    definition = folder / "study.toml"
    text = definition.read_text(encoding="utf-8")
    definition.write_text(text.replace('code = "district"', 'code = "distrikt"'), encoding="utf-8")
    with pytest.raises(DataError, match="no such property") as caught:
        study_boundaries(read_study(folder))
    assert "'district'" in said(caught)
