"""A study of one's own municipality from national data: who is in it, what is assumed, and that it runs."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from mekeval import begin as begun
from mekeval import clean_indicators, copy_example, new_study, read_study
from mekeval.begin import moved_areas
from mekeval.begin.paavo import Municipality
from mekeval.begin.paavo import municipality as described
from mekeval.begin.written import _tiles, _value
from mekeval.cli import main
from mekeval.errors import RunError, StudyError
from mekeval.report import city_report

LIST = "statfi-paavo/pxweb-themes-2012-2017/Population_structure_2017.csv"
INCOME = "statfi-paavo/pxweb-themes-2012-2017/Inhabitants_disposable_monetary_income_2016.csv"
CODED = "statfi-paavo/vintage-2019/pno_tilasto_2019.dbf"


def municipality(raw: Path, wanted: str) -> Municipality:
    return described(raw, wanted, {str(one["file"]): str(one["sha256"]) for one in begun._tables()})


@pytest.fixture(scope="module")
def some(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that list the areas, and those of two more releases; not that of the rest of the country."""
    folder = tmp_path_factory.mktemp("raw")
    wanted = [LIST, CODED, "statfi-paavo/vintage-2026/paavo_master.csv"]
    wanted += [str(one.relative_to(raw)) for one in (raw / LIST).parent.glob("*_2012.csv")]
    for file in wanted:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(raw / file, folder / file)
    return folder


@pytest.fixture(scope="module")
def turku(some: Path, tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    return new_study(tmp_path_factory.mktemp("new") / "turku", municipality_of="853", raw=some)


def test_a_municipality_is_found_by_name_and_by_code(some: Path, raw: Path) -> None:
    """Codes of Statistics Finland's classification: Turku 853, Tampere 837, Vantaa 092."""
    for name, code in (("Turku", "853"), ("tampere", "837"), ("VANTAA", "092")):
        by_name, by_code = municipality(some, name), municipality(some, code)
        assert by_name.code == by_code.code == code
        pd.testing.assert_frame_equal(by_name.table, by_code.table)
    vantaa = municipality(raw, "92")
    own = pd.read_csv(Path(__file__).parents[1] / "data" / "vantaa-mek-paavo" / "areas.csv", dtype=str)
    listed = set(own.loc[own["level"] == "postal_area", "code"])
    assert listed - set(vantaa.table["code"]) == {"01490"}  # Sipoo's by its last label, and named
    assert [code for code, _, _ in vantaa.moved] == ["01490"]
    assert vantaa.moved[0][2] == "Vantaa 2013; Sipoo 2014-2017"
    assert moved_areas(vantaa) == ["Vantaa 2013; Sipoo 2014-2017 (not in areas.csv): 01490 Nikinmäki"]


def test_a_municipality_has_its_swedish_name(some: Path) -> None:
    turku = municipality(some, "åbo")
    assert (turku.code, turku.name, turku.name_sv) == ("853", "Turku", "Åbo")
    assert municipality(some, "Kuopio").name_sv == "Kuopio"  # Swedish has no name of its own


def test_areas_that_ended_or_came_by_a_merger_are_told_together(raw: Path) -> None:
    """Maaninka joined Kuopio in 2015 and Juankoski in 2017; the postal areas of Kuusamo 93630, 93680, ... ended."""
    kuopio, kuusamo = municipality(raw, "Kuopio"), municipality(raw, "Kuusamo")
    maaninka, juankoski = moved_areas(kuopio)
    assert maaninka.startswith("Maaninka 2013; Kuopio 2014-2017 (in areas.csv): 71660 Leinolanlahti, ")
    assert juankoski.startswith("Juankoski 2013-2014; Kuopio 2015-2017 (in areas.csv): 73460 Muuruvesi, ")
    assert "93630" not in set(kuusamo.table["code"])
    (ended,) = [line for line in moved_areas(kuusamo) if "93630 Kuoliovaara" in line]
    assert ended.startswith("Kuusamo 2013-2015; then no area of its own (not in areas.csv)")


def test_the_candidates_are_the_worst_off_by_hand(turku, some: Path) -> None:  # type: ignore[no-untyped-def]
    """The mean of three standardised rates over areas with at least 800 adults, from the study's own indicators."""
    table = clean_indicators(read_study(turku.folder, raw=some)).table
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
    assert len(turku.candidates.chosen) == 5


def test_the_study_runs_and_says_that_there_is_no_programme(turku, some: Path) -> None:  # type: ignore[no-untyped-def]
    report = city_report(turku.folder, year=turku.year, language="sv", raw=some)
    said = report.summary._repr_html_()
    assert "Åbo 2024: provutvärdering av kandidatområdena" in said
    assert "Bakom denna rapport finns inget program" in said
    assert "candidates" in (turku.folder / "README.md").read_text("utf-8")


def test_the_notebooks_are_of_the_study_and_those_without_one_stay_away(turku, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    names = dict(zip(turku.municipality.table["code"], turku.municipality.table["name_fi"], strict=True))
    worst = names[turku.candidates.chosen[0]]
    copy_example(tmp_path / "example")
    for notebooks, study, year, district in (
        (turku.folder.parents[1] / "notebooks", "turku-areas", "2024", worst),
        (tmp_path / "example" / "notebooks", "vantaa-mek", "2025", "Hakunila"),
    ):
        found = {one.stem: one.read_text("utf-8") for one in notebooks.iterdir()}
        assert {"new_city", "targeting", "city_report", "district_report"} <= set(found)
        assert not {"community_quarter", "community_year"} & set(found)  # of records that are not there
        text = found["district_report"]
        assert f"../data/{study}" + '\\"' in text
        assert f"year: int = {year}" in text
        assert f'district: str = \\"{district}\\"' in text


def test_real_areas_may_be_given(raw: Path, tmp_path: Path) -> None:
    areas = ["Hervanta", "33580", "hervanta"]
    made = new_study(tmp_path / "t", municipality_of="Tampere", raw=raw, areas=areas, first=2019)
    study = read_study(made.folder, raw=raw)
    assert not study.programme.hypothetical
    assert study.wave_areas == (("33720", "33580"),)
    assert study.spec.reference is not None  # all files are there
    assert study.programme.wave[0].first == 2019
    assert all(year < 2019 for year in study.programme.rule.criteria.values())
    assert study.programme.rule.choose == 2  # what the rule does elsewhere is compared with as many areas
    assert study.spec.areas.city.text("sv") == "Tammerfors"


def test_few_files_are_enough_and_what_is_missing_is_told(turku) -> None:  # type: ignore[no-untyped-def]
    assert turku.year == 2024
    assert INCOME in turku.left_out
    text = (turku.folder / "study.toml").read_text("utf-8")
    assert "[reference]" not in text  # the file of the rest of the country is not there
    assert "scope" not in text


def test_unknown_areas_and_years_leave_nothing_behind(some: Path, tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="Hervantaa") as caught:
        new_study(tmp_path / "t", municipality_of="Tampere", raw=some, areas=["Hervantaa", "Tesoma", "01200"])
    assert [fault.found for fault in caught.value.faults] == ["'Hervantaa'", "'01200'"]
    assert all(fault.where == "--area, Tampere" for fault in caught.value.faults)
    for year, said in ((2012, "before the programme"), (2025, "since the programme")):
        with pytest.raises(RunError, match=said) as caught:
            new_study(tmp_path / "t", municipality_of="Tampere", raw=some, first=year)
        assert "from 2013 to 2024" in str(caught.value)
    assert not (tmp_path / "t").exists()


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("fault", [KeyboardInterrupt, OSError, StudyError])
def test_what_is_broken_off_is_no_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool, fault: type[BaseException]
) -> None:
    def broken(into: Path) -> None:
        assert (into / "data" / "vantaa-mek" / "study.toml").is_file()
        assert not (tmp_path / "x" / "data").exists()  # killed here, the study is not in its place
        raise fault("stop")

    if there:
        (tmp_path / "x").mkdir()
    monkeypatch.setattr(begun, "_copy_notebooks", broken)
    with pytest.raises(RunError if fault is OSError else fault):
        copy_example(tmp_path / "x")
    assert (tmp_path / "x").exists() == there
    assert not there or not list((tmp_path / "x").iterdir())


def test_a_list_of_areas_that_is_another_file_is_refused(some: Path, tmp_path: Path) -> None:
    some = shutil.copytree(some, tmp_path / "raw")
    content = (some / LIST).read_bytes()
    for change in ("changed", "folder", "gone"):
        (some / LIST).rmdir() if (some / LIST).is_dir() else (some / LIST).unlink(missing_ok=True)
        if change == "changed":
            (some / LIST).write_bytes(content.replace(b"Lahti", b"Lehti"))
        elif change == "folder":
            (some / LIST).mkdir()
        said = {"changed": "not the one known", "folder": "is no file", "gone": "is missing"}[change]
        with pytest.raises(RunError, match=said):
            new_study(tmp_path / "t", municipality_of="Lahti", raw=some)


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
    for wanted, said in (("Turkuu", "closest: 'Turku'"), ("Ähtäri", "too few postal areas")):
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
