"""The list of areas: what is read, what is refused, and by which names an area answers."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from mekeval.areas import Areas, areas_from_rows, fold, read_areas
from mekeval.errors import MekevalError, StudyError
from mekeval.study import Study

HEADER = "code,level,parent,name_fi,name_sv,name_en,population,tile_row,tile_col\n"
CITY = "092,city,,Vantaa,Vanda,Vantaa,197600,,\n"
TWO = "09291,district,092,Länsimäki,Västerkulla,Länsimäki,4500,6,6\n09274,district,092,Havukoski,,,3000,1,2\n"


def _write(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "areas.csv"
    path.write_bytes(text.encode(encoding))
    return path


def _faults(path: Path) -> tuple[str, ...]:
    with pytest.raises(StudyError) as caught:
        read_areas(path, unit="district")
    assert str(caught.value)
    return tuple(str(fault) for fault in caught.value.faults)


@pytest.fixture
def areas(tmp_path: Path) -> Areas:
    return read_areas(_write(tmp_path, HEADER + CITY + TWO), unit="district")


def test_a_list_is_read(areas: Areas) -> None:
    assert areas.units == ("09291", "09274")
    assert areas.table.loc["09274", "population"] == 3000
    assert areas.table["tile_row"].isna().tolist() == [True, False, False]
    assert areas.name("09291", "sv") == "Västerkulla"
    assert areas.name("09274", "sv") == "Havukoski"  # no Swedish name of its own


def test_a_byte_order_mark_and_windows_line_ends_change_nothing(tmp_path: Path, areas: Areas) -> None:
    again = _write(tmp_path, (HEADER + CITY + TWO).replace("\n", "\r\n"), encoding="utf-8-sig")
    assert read_areas(again, unit="district").table.equals(areas.table)


def test_the_embedded_list_holds_the_city_seven_major_areas_and_61_districts(example: Study) -> None:
    levels = example.areas.table["level"].value_counts()
    assert (levels["city"], levels["major_area"], levels["district"]) == (1, 7, 61)  # README beside it
    assert len(example.areas.units) == 61


@pytest.mark.parametrize(
    "name", ["Länsimäki", "länsimäki", " LANSIMAKI ", "lansimaki", "Västerkulla", "vasterkulla", "09291"]
)
def test_a_district_answers_to_its_code_and_names_with_or_without_marks(areas: Areas, name: str) -> None:
    assert areas.resolve(name) == "09291"
    assert areas.resolve(unicodedata.normalize("NFD", name)) == "09291"  # as some systems write file names


def test_folding_keeps_different_names_apart() -> None:
    assert fold("Hakunila") != fold("Hakkila")
    assert fold("Itä-Hakkila") == fold("ITA  HAKKILA")


def test_an_unknown_district_is_answered_with_the_closest(areas: Areas) -> None:
    with pytest.raises(StudyError) as caught:
        areas.resolve("Havukosski")
    fault = caught.value.faults[0]
    assert fault.found == "'Havukosski'"
    assert fault.expected == "closest: 'Havukoski'"


def test_a_city_is_no_district(areas: Areas) -> None:
    with pytest.raises(StudyError, match="no district of this name"):
        areas.resolve("Vantaa")
    with pytest.raises(StudyError, match="no district of this name"):
        areas.resolve("")


def test_a_name_of_two_areas_is_answered_with_their_codes(tmp_path: Path) -> None:
    twins = read_areas(
        _write(tmp_path, HEADER + "1,district,,Mikkola,,,,,\n2,district,,mikkola,,,,,\n"), unit="district"
    )
    with pytest.raises(StudyError, match="one of the codes 1, 2"):
        twins.resolve("Mikkola")


def test_labels_of_statistics_are_matched_by_code_first(areas: Areas) -> None:
    codes = areas.codes_of_labels(
        [
            "092 91 Something else",
            "09274",
            "Havukoski  (Vantaa )",
            "092 Vantaa",
            "01280 Länsimäki",
            "KOKO MAA",
        ]
    )
    assert list(codes.values()) == ["09291", "09274", "09274", "092", None, None]


def test_a_label_that_fits_two_areas_is_not_guessed() -> None:
    areas = areas_from_rows(
        [
            {"code": "1", "level": "major_area", "name_fi": "Korso"},
            {"code": "11", "level": "district", "name_fi": "Korso"},
        ],
        unit="district",
    )
    assert areas.codes_of_labels(["11 Korso"]) == {"11 Korso": "11"}
    with pytest.raises(StudyError) as caught:
        areas.codes_of_labels(["Korso"])
    assert "1, 11" in caught.value.faults[0].expected
    assert areas.resolve("Korso") == "11"  # among the districts there is only one


def test_all_faults_come_in_one_message_each_with_its_row(tmp_path: Path) -> None:
    faults = _faults(
        _write(
            tmp_path,
            HEADER
            + "09291,district,,Länsimäki,,,many,6,6\n"
            + "\n"
            + "09291,district,,Länsimäki,,,4500,6,-1\n"
            + ",district,,Namelos,,,1e30,,1.5\n"
            + "09299,district,,,,,,,\n"
            + "09298,district,,Short\n",
        )
    )
    expected = {
        "row 2": "population is not a whole number",
        "row 4": "listed twice",  # row 3 is empty
        "row 5": "An area has no code",
        "row 6": "An area has no name_fi",
        "row 7": "another number of cells",
    }
    for row, what in expected.items():
        assert any(row in fault and what in fault for fault in faults), (row, what, faults)
    assert len(faults) == 8  # and tile_col in row 4, population and tile_col in row 5
    assert sum("1e30" in fault for fault in faults) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "lacks columns"),
        (HEADER, "No area is on the level of the units"),
        (HEADER + CITY, "'city'"),
        ("code,name_fi\n1,Korso\n", "lacks columns"),
        ("code,code,level,name_fi\n1,2,district,Korso\n", "Two columns have one name"),
        (HEADER + '1,district,,"Korso', "cannot be read"),
        (HEADER + "1,district,\x00,Korso,,,,,\n", "cannot be read"),
    ],
)
def test_a_broken_list_is_refused(tmp_path: Path, text: str, said: str) -> None:
    assert said in "\n".join(_faults(_write(tmp_path, text)))


def test_a_list_in_another_encoding_or_not_there_is_refused(tmp_path: Path) -> None:
    assert "cannot be read" in _faults(_write(tmp_path, HEADER + TWO, encoding="latin-1"))[0]
    with pytest.raises(MekevalError, match=r"none\.csv"):
        read_areas(tmp_path / "none.csv", unit="district")
