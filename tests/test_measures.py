"""measures.csv: what is read, what is refused with row and column, and that the programme's facts stand in it."""

from __future__ import annotations

import datetime
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from mekeval import Study, read_measures, read_study
from mekeval.areas import read_areas, read_districts
from mekeval.errors import MekevalError
from mekeval.study import Measure, place_names, plan_state, read_spec, schema, schema_data

DATA = Path(__file__).resolve().parents[1] / "data"
HEADER = "wave,theme,name_fi,name_sv,name_en,areas,start,end,eur,source"
FIRST, SECOND = "MEK 2019-2022", "MEK 2023-2025"
Read = Callable[..., tuple[Measure, ...]]


def row(name: str = "A", *, wave: str = SECOND, theme: str = "", areas: str = "", rest: str = ",,,L") -> str:
    return f"{wave},{theme},{name},{name},{name},{areas},{rest}"


@pytest.fixture
def read(tmp_path: Path, example: Study) -> Read:
    """The measures that some lines below the header give in the embedded study."""

    def lines(*rows: str, header: str = HEADER) -> tuple[Measure, ...]:
        path = tmp_path / "measures.csv"
        path.write_text("\n".join([header, *rows]) + "\n", "utf-8")
        return read_measures(path, example.spec, example.areas)

    return lines


def faults_of(read: Read, *rows: str, header: str = HEADER) -> list[tuple[int | None, str, str, str]]:
    with pytest.raises(MekevalError) as caught:
        read(*rows, header=header)
    found = []
    for fault in caught.value.faults:
        assert fault.place is not None
        assert fault.place.file == "measures.csv"
        found.append((fault.place.row, fault.place.column, fault.what, f"{fault.found} | {fault.expected}"))
    return found


def test_a_measure_is_read_as_it_stands(read: Read) -> None:
    header = HEADER + ",theme_sv,theme_en,kind,outcomes"
    line = f"{SECOND},Teema,Nimi,Namn,Name,Hakunila; 09274,2023-03-01,2024,1200.50,Lähde"
    (one,) = read(f"{line},Tema,Theme,area_limited,unemployment_rate", header=header)
    assert (one.wave, one.name.sv, one.source, one.kind, one.row) == (
        SECOND,
        "Namn",
        "Lähde",
        "area_limited",
        2,
    )
    assert one.theme is not None
    assert one.theme.en == "Theme"
    assert one.areas == ("09294", "09274")
    assert (one.start, one.end) == (datetime.date(2023, 3, 1), datetime.date(2024, 12, 31))
    assert (one.eur, one.outcomes, one.city_wide) == (1200.5, ("unemployment_rate",), False)


def test_what_the_source_does_not_say_stays_unknown(read: Read) -> None:
    (one,) = read(row())
    assert (one.theme, one.areas, one.start, one.end, one.eur, one.kind) == (None, (), None, None, None, "")
    assert one.eur_by_year == {}
    assert read(row(areas="city"))[0].city_wide
    assert read(row(areas="City "))[0].city_wide


def test_money_is_spread_over_the_time_that_the_measure_ran(read: Read) -> None:
    (whole,) = read(row(rest="2023,2025,15000,L"))  # the leap year counts like the others
    assert whole.eur_by_year == pytest.approx({2023: 5000, 2024: 5000, 2025: 5000})
    # 73 of the 365 days of 2023 and all of 2024: 1/5 of a year and a whole one, so 1/6 and 5/6 of the money
    (part,) = read(row(rest="2023-10-20,2024,600,L"))
    assert (datetime.date(2023, 12, 31) - datetime.date(2023, 10, 20)).days + 1 == 73
    assert part.eur_by_year == pytest.approx({2023: 100, 2024: 500})
    (day,) = read(row(rest="2024-02-29,2024-02-29,7,L"))
    assert day.eur_by_year == {2024: 7}


def test_all_faults_come_at_once_with_row_and_column(read: Read) -> None:
    header = HEADER + ",kind,outcomes"
    found = faults_of(
        read,
        "MEK 2019,,A,A,A,,,,,L,,",
        row("B", areas="Hakunlia") + ",,",
        row("C", rest="2024,2023,,L") + ",,",
        row("D", rest="2018,2026,,L") + ",,",
        row("E", rest="2023,2024,-5,L") + ",,",
        row("F", rest="2023,2024,paljon,L") + ",,",
        f"{SECOND},,,,,,,,,,,",
        row("H", rest="2023,,5,L") + ",,",
        row("I") + ",big,unemployment",
        row("J", rest="2023-02-30,24,,L") + ",,",
        row("K", areas="city; Hakunila") + ",,",
        row("L", areas="Hakunila; hakunila") + ",,",
        header=header,
    )
    assert [(line, column, what) for line, column, what, _ in found] == [
        (8, "name_fi", "A cell is empty."),
        (8, "name_sv", "A cell is empty."),
        (8, "name_en", "A cell is empty."),
        (8, "source", "A cell is empty."),
        (2, "wave", "The programme has no such wave."),
        (3, "areas", "The study has no district of this name."),
        (4, "end", "A measure ends before it begins."),
        (5, "start", "A measure lies outside the years of its wave."),
        (5, "end", "A measure lies outside the years of its wave."),
        (6, "eur", "This is no sum of money."),
        (7, "eur", "This is no sum of money."),
        (9, "eur", "Money needs the years in which it was spent."),
        (10, "kind", "Unknown kind of measure."),
        (10, "outcomes", "Unknown indicator."),
        (11, "start", "This is no year and no day."),
        (11, "end", "This is no year and no day."),
        (12, "areas", "A measure of the whole city names areas, too."),
        (13, "areas", "A measure names a place twice."),
    ]
    said = {(line, column): text for line, column, _, text in found}
    assert said[2, "wave"].startswith("'MEK 2019' | closest: 'MEK 2019-2022'")
    assert "'Hakunila'" in said[3, "areas"]
    assert "2023 to 2025" in said[5, "start"]
    assert "'unemployment_rate'" in said[10, "outcomes"]


@pytest.mark.parametrize("eur", ["1e3", "nan", "inf", "1_000", "10 000", "€5", "5,5", "٣"])
def test_money_is_a_plain_number(read: Read, eur: str) -> None:
    cell = f'"{eur}"'
    ((line, column, what, _),) = faults_of(read, row(rest=f"2023,2024,{cell},L"))
    assert (line, column, what) == (2, "eur", "This is no sum of money.")


def test_a_measure_stands_once_unless_its_parts_are_elsewhere(read: Read) -> None:
    same = row("Sama", areas="Hakunila")
    for again in (row("sama", areas="Mikkola; Hakunila"), row("Sama"), row("Sama", areas="city")):
        ((line, column, what, found),) = faults_of(read, same, again)
        assert (line, column, what) == (3, "name_fi", "A measure stands twice.")
        assert "row 2" in found
    assert len(read(same, row("Sama", areas="Mikkola"), row("Sama", wave=FIRST, areas="Hakunila"))) == 3


def test_measures_cost_no_more_than_their_wave(read: Read) -> None:
    ((_, column, what, found),) = faults_of(
        read, row(rest="2023,2023,2000001,L"), row("B", rest="2025,2025,1,L")
    )
    assert (column, what) == ("eur", "The measures of a wave cost more than the wave.")
    assert found.startswith("2,000,001 EUR in 2023")
    assert len(read(row(rest="2023,2024,4000000,L"))) == 1


def test_areas_of_other_levels_are_named_with_their_level(read: Read) -> None:
    code, name = (read(row(areas=f"major_area:{said}"))[0] for said in ("0927", "hakunilan suuralue"))
    assert code.areas == name.areas == ("0927",)
    (unlisted,) = read(row(areas="statistical_area:092 270 1"))
    assert (unlisted.areas, unlisted.elsewhere) == ((), ("092 270 1",))
    for areas, what in (
        ("major_area:Itä-Vantaa", "No area of this level has this name."),
        ("major_aera:Hakunilan suuralue", "Unknown level of areas."),
        ("major_area:", "A level names no area."),
        ("Hakunilan suuralue", "The study has no district of this name."),
    ):
        assert faults_of(read, row(areas=areas))[0][2] == what


def test_a_theme_is_named_in_every_language_of_the_study(read: Read) -> None:
    found = faults_of(read, row(theme="Teema") + ",Tema,", header=HEADER + ",theme_sv,theme_en")
    assert [(line, column) for line, column, _, _ in found] == [(2, "theme_en")]


def test_columns_that_lack_are_named(read: Read) -> None:
    with pytest.raises(MekevalError, match="lacks columns") as caught:
        read("x,y", header="wave,name_fi")
    assert "eur, source" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("no.csv", "The table is not there."),
        ("raw", "A list of the study is no file."),
        ("../measures.csv", "programme.measures leaves the study folder."),
    ],
)
def test_a_list_that_is_not_there_is_refused_with_the_rest(
    tmp_path: Path, example: Study, name: str, what: str
) -> None:
    folder = tmp_path / "study"
    shutil.copytree(example.folder, folder)
    file = folder / "study.toml"
    text = file.read_text("utf-8").replace('measures = "measures.csv"', f'measures = "{name}"')
    text = text.replace("[[programme.event]]\n", '[[programme.event]]\noutcomes = ["unemployment"]\n')
    worth = '[programme.worth.low_income]\neur = 1\nsource = { fi = "L", sv = "L", en = "L" }\n'
    file.write_text(text + worth, "utf-8")
    with pytest.raises(MekevalError) as caught:
        read_study(folder)
    found = [(fault.what, fault.where) for fault in caught.value.faults]
    assert ("Unknown indicator.", "study.toml, programme.worth.low_income") in found
    assert ("Unknown indicator.", "study.toml, programme.event[1].outcomes") in found
    assert what in [one for one, _ in found]


def test_the_facts_of_the_programme(example: Study) -> None:
    """As the city's pages and the community developers' final report name them."""
    waves = Counter(one.wave for one in example.measures)
    assert waves == {FIRST: 24, SECOND: 7 + 4}
    first = [one for one in example.measures if one.wave == FIRST]
    assert all(one.theme is None and one.eur is None and one.start is not None for one in first)
    assert [one.name.fi for one in first if one.areas] == ["Yhteisötalo Hakunilaan"]
    themes = Counter(one.theme.fi for one in example.measures if one.theme)
    assert list(themes.values()) == [1, 2, 2, 2]
    developers = [one for one in example.measures if one.eur is not None]
    assert sum(one.eur for one in developers if one.eur is not None) == 60_000
    assert all(one.eur_by_year == pytest.approx({2023: 5e3, 2024: 5e3, 2025: 5e3}) for one in developers)
    places = [place_names(one, example.areas, None, "en") for one in developers]
    assert places == [[f"{name} major area"] for name in ("Hakunila", "Koivukylä", "Korso", "Myyrmäki")]
    (event,) = example.programme.event
    assert (event.date, event.outcomes) == (datetime.date(2023, 1, 1), ())
    assert all(one.name.sv and one.name.en for one in example.measures)


def test_both_studies_of_the_programme_have_one_list(example: Study) -> None:
    twin = DATA / "vantaa-mek-paavo"
    assert (twin / "measures.csv").read_bytes() == (example.folder / "measures.csv").read_bytes()
    _, _, spec = read_spec(twin)
    areas = read_areas(twin / "areas.csv", unit="postal_area")
    districts = read_districts(twin / "districts.csv")
    measures = read_measures(twin / "measures.csv", spec, areas, districts)
    house = next(one for one in measures if one.areas)
    assert (house.areas, house.districts) == (("01200",), ("09294",))
    assert place_names(house, areas, districts, "fi") == ["Hakunila"]
    assert measures[-1].elsewhere == ("Myyrmäen suuralue",)


def test_measures_money_and_events_are_no_part_of_the_locked_plan(tmp_path: Path, example: Study) -> None:
    assert example.plan_state.state == "kept"
    folder = tmp_path / "study"
    shutil.copytree(example.folder, folder, ignore=shutil.ignore_patterns("raw"))
    file = folder / "study.toml"
    text = file.read_text("utf-8").replace('measures = "measures.csv"', "")
    file.write_text(text.replace("2023-01-01\n", "2023-01-02\n"), "utf-8")
    state = plan_state(folder, read_spec(folder)[2])
    assert (state.state, state.sha256) == ("kept", example.plan_state.sha256)


def test_the_list_is_part_of_what_the_study_is(tmp_path: Path, example: Study) -> None:
    folder = tmp_path / "study"
    shutil.copytree(example.folder, folder)
    assert read_study(folder).sha256 == example.sha256
    path = folder / "measures.csv"
    path.write_text(path.read_text("utf-8").replace("Kesäruokailukokeilu", "Kesäruoka"), "utf-8")
    assert read_study(folder).sha256 != example.sha256


def test_the_schema_is_imported_from_where_it_was() -> None:
    assert schema.IndicatorSpec is schema_data.IndicatorSpec
    assert set(schema.__all__) <= set(vars(schema))


def test_one_place_by_name_and_by_code_is_named_twice(read: Read) -> None:
    ((line, column, what, _),) = faults_of(read, row(areas="Hakunila; 09294"))
    assert (line, column, what) == (2, "areas", "A measure names a place twice.")


@pytest.mark.parametrize("mark", [";", "\t"])
def test_a_list_from_a_spreadsheet_with_other_marks_says_how_to_save_it(read: Read, mark: str) -> None:
    with pytest.raises(MekevalError, match="The table lacks columns") as caught:
        read(row().replace(",", mark), header=HEADER.replace(",", mark))
    assert caught.value.faults[0].fix == "Save it as CSV with commas, in UTF-8."
    with pytest.raises(MekevalError, match="The table lacks columns") as caught:
        read(header="wave,name_fi")
    assert caught.value.faults[0].fix == ""


@pytest.mark.parametrize("change", ["\ufeff", "\r\n"])
def test_marks_of_a_spreadsheet_change_nothing(read: Read, change: str) -> None:
    plain = read(row("A"), row("B"))
    if change == "\ufeff":
        assert read(row("A"), row("B"), header=change + HEADER) == plain
    else:
        assert read(row("A") + "\r", row("B") + "\r", header=HEADER + "\r") == plain


def test_money_up_to_the_budget_of_the_wave_may_be_spent(read: Read) -> None:
    """2,000,000 EUR a year: three years of it are no fault, a euro more a year is."""
    (one,) = read(row(rest="2023,2025,6000000,L"))
    assert one.eur == 6_000_000
    faults = faults_of(read, row(rest="2023,2025,6000003,L"))
    assert {what for _, _, what, _ in faults} == {"The measures of a wave cost more than the wave."}
    assert len(faults) == 3
