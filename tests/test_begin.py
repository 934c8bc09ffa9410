"""A study of one's own municipality from national data: who is in it, what is assumed, and that it runs."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from mekeval import clean_indicators, new_study, read_study
from mekeval.begin.paavo import municipality
from mekeval.begin.written import _tiles, _value
from mekeval.cli import main
from mekeval.errors import RunError
from mekeval.report import city_report


@pytest.fixture(scope="module")
def turku(raw: Path, tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    return new_study(tmp_path_factory.mktemp("new") / "turku", municipality_of="853", raw=raw)


def test_a_municipality_is_found_by_name_and_by_code(raw: Path) -> None:
    """Codes of Statistics Finland's classification: Turku 853, Tampere 837, Vantaa 092."""
    for name, code in (("Turku", "853"), ("tampere", "837"), ("VANTAA", "092")):
        by_name, by_code = municipality(raw, name), municipality(raw, code)
        assert by_name.code == by_code.code == code
        pd.testing.assert_frame_equal(by_name.table, by_code.table)
    vantaa = municipality(raw, "92")
    own = pd.read_csv(Path(__file__).parents[1] / "data" / "vantaa-mek-paavo" / "areas.csv", dtype=str)
    listed = set(own.loc[own["level"] == "postal_area", "code"])
    assert listed - set(vantaa.table["code"]) == {"01490"}  # Sipoo's by its last label, and named
    assert [code for code, _, _ in vantaa.moved] == ["01490"]
    assert "Sipoo (4 of 5 releases)" in vantaa.moved[0][2]


def test_the_candidates_are_the_worst_off_by_hand(turku, raw: Path) -> None:  # type: ignore[no-untyped-def]
    """The mean of three standardised rates over areas with at least 800 adults, from the study's own indicators."""
    table = clean_indicators(read_study(turku.folder, raw=raw)).table
    rule = tomllib.loads((turku.folder / "study.toml").read_text("utf-8"))["programme"]["rule"]
    rates, adults = {}, None
    for name, year in rule["criteria"].items():
        one = table[(table["indicator"] == name) & (table["year"] == year) & (table["status"] == "ok")]
        rates[name] = one.set_index("area")["value"]
    latest = rule["criteria"]["low_income_rate"]
    income = table[(table["indicator"] == "low_income_rate") & (table["year"] == latest)]
    adults = (
        income.set_index("area")["denominator"]
        if "denominator" in income
        else income.set_index("area")["base"]
    )
    frame = pd.DataFrame(rates).dropna()
    frame = frame[adults.reindex(frame.index) >= 800]
    score = ((frame - frame.mean()) / frame.std()).mean(axis=1).sort_values(ascending=False)
    assert tuple(score.index[:5]) == turku.candidates.chosen


def test_the_study_runs_and_says_that_there_is_no_programme(turku, raw: Path) -> None:  # type: ignore[no-untyped-def]
    report = city_report(turku.folder, year=turku.year, language="en", raw=raw)
    assert "There is no programme behind this report" in report.summary._repr_html_()
    assert "candidates" in (turku.folder / "README.md").read_text("utf-8")
    assert (turku.folder.parents[1] / "notebooks" / "new_city.ipynb").is_file()


def test_real_areas_may_be_given(raw: Path, tmp_path: Path) -> None:
    made = new_study(
        tmp_path / "t", municipality_of="Tampere", raw=raw, areas=["Hervanta", "33580"], first=2019
    )
    study = read_study(made.folder, raw=raw)
    assert not study.programme.hypothetical
    assert study.wave_areas[0][1] == "33580"
    assert study.programme.wave[0].first == 2019
    assert all(year < 2019 for year in study.programme.rule.criteria.values())


def test_an_unknown_area_leaves_nothing_behind(raw: Path, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="Hervantaa"):
        new_study(tmp_path / "t", municipality_of="Tampere", raw=raw, areas=["Hervantaa"])
    assert not (tmp_path / "t").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--from", "paavo"], "Which municipality?"),
        (["--municipality", "Turku"], "--from paavo"),
        (["--from", "paavo", "--municipality", "Turku", "--raw", "no/such/folder"], "no/such/folder"),
    ],
)
def test_a_wrong_call_is_told(tmp_path: Path, words: list[str], said: str) -> None:
    done = CliRunner().invoke(main, ["new", str(tmp_path / "x"), *words])
    assert done.exit_code == 2
    assert said in done.output
    assert not (tmp_path / "x").exists()


def test_what_is_not_there_is_told(raw: Path, tmp_path: Path) -> None:
    for wanted, said in (("Turkuu", "closest: 'Turku'"), ("Sottunga", "too few postal areas")):
        with pytest.raises(RunError, match=said):
            new_study(tmp_path / "x", municipality_of=wanted, raw=raw)
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunError, match="A file of Paavo is missing"):
        new_study(tmp_path / "x", municipality_of="Turku", raw=tmp_path / "empty")
    shutil.rmtree(tmp_path / "empty")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    with pytest.raises(RunError, match="not empty"):
        new_study(tmp_path / "full", municipality_of="Turku", raw=raw)
    assert (tmp_path / "full" / "mine.txt").read_text() == "mine"


def test_tiles_keep_north_above_south_and_west_before_east() -> None:
    rows, columns = _tiles(np.array([0.0, 1, 0, 1]), np.array([9.0, 8, 1, 2]))
    assert list(zip(rows, columns, strict=True)) == [(0, 0), (0, 1), (1, 0), (1, 1)]


@pytest.mark.parametrize("value", ['a"b\\c', "ä–", 3, 2.5, True, ["x", "y"], {"HR": 2016, "a b": ["z"]}])
def test_values_are_written_as_toml_reads_them(value: object) -> None:
    assert tomllib.loads(f"x = {_value(value)}")["x"] == value
