"""The list of areas: what is read, what is refused, and by which names an area answers."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

import pytest

from mekeval.areas import (
    Areas,
    areas_from_rows,
    fold,
    found_areas,
    hierarchy_rows,
    join_areas,
    read_areas,
    read_hierarchy,
)
from mekeval.errors import MekevalError, Place, StudyError
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


def test_every_label_that_is_unclear_is_told_with_its_place() -> None:
    names = [f"Alue {chr(65 + at)}" for at in range(26)]
    rows = [
        {"code": f"{letter}{at}", "level": "district", "name_fi": name}
        for at, name in enumerate(names)
        for letter in "xy"
    ]
    areas = areas_from_rows(
        [*rows, *({"code": code, "level": "district", "name_fi": code} for code in ("091201", "091201P"))],
        unit="district",
    )
    labels = [*names, "091 201 Kallio"]
    places = {label: Place(file="a.csv", row=2 + at) for at, label in enumerate(labels)}
    with pytest.raises(StudyError) as caught:
        areas.codes_of_labels(labels, places=places)
    faults = caught.value.faults
    assert [fault.found for fault in faults] == [repr(label) for label in labels]
    assert [fault.place for fault in faults] == [places[label] for label in labels]
    assert "x3, y3" in faults[3].expected
    spellings = [name.replace(" ", " " * blanks) for name in names for blanks in range(1, 42)]  # 1,066 labels
    with pytest.raises(StudyError) as caught:
        areas.codes_of_labels(spellings)
    assert len(caught.value.faults) == 1001
    assert "And 66 more" in caught.value.faults[-1].what


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


# --- levels and parents

NESTED = """092,city,,Vantaa,Vanda,,,,
0925,major_area,092,Koivukylän suuralue,,,,,
09274,district,0925,Havukoski,,,,,
01360,postal_area,092,Koivukylä-Havukoski,,,,,
"""


def test_ancestors_and_children_follow_the_parents(tmp_path: Path) -> None:
    nested = read_areas(_write(tmp_path, HEADER + NESTED), unit="district")
    assert nested.ancestors("09274") == ("0925", "092")
    assert nested.ancestors("092") == ()
    assert nested.children("092") == ("0925", "01360")
    assert nested.children("092", level="district") == ("09274",)
    assert nested.children("09274") == ()
    for call in (nested.ancestors, nested.children):
        with pytest.raises(StudyError, match="No area has this code"):
            call("09275")
    with pytest.raises(StudyError, match="No area is on this level"):
        nested.children("092", level="distrct")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("0925,Havukoski", "0926,Havukoski", "row 4, column 'parent'.*found: '0926'"),
        ("0925,Havukoski", "09274,Havukoski", "its own parent"),
        ("09274,district,0925", "09274,major_area,0925", "own level"),
        ("0925,major_area,092,", "0925,major_area,01360,", "lower level than the area"),
        ("092,city,,", "092,city,09274,", "lead back to it"),
    ],
)
def test_a_wrong_parent_is_named_with_its_row(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in NESTED
    unit = "postal_area"
    with pytest.raises(StudyError) as caught:
        read_areas(_write(tmp_path, HEADER + NESTED.replace(old, new)), unit=unit)
    assert re.search(said, str(caught.value), re.DOTALL)
    assert all(fault.place is not None for fault in caught.value.faults)


def test_parents_outside_a_list_of_one_level_are_not_looked_up(tmp_path: Path) -> None:
    flat = read_areas(_write(tmp_path, HEADER + TWO), unit="district")
    assert flat.ancestors("09291") == ()
    assert flat.table.loc["09291", "parent"] == "092"


# --- labels whose numbers are not unique

TWINS = [
    {"code": "091201", "level": "statistical_area", "name_fi": "Ruoholahti"},
    {"code": "091201P", "level": "district", "name_fi": "Reijolan peruspiiri"},
]


def test_a_letter_at_the_end_belongs_to_the_code() -> None:
    areas = areas_from_rows(TWINS, unit="district")
    labels = ["091201P", "091201P Reijola", "091 201P", "091201", "091 201"]
    assert list(areas.codes_of_labels(labels).values()) == [
        "091201P",
        "091201P",
        "091201P",
        "091201",
        "091201",
    ]
    assert areas.codes_of_labels(["09120 Pohjola"]) == {"09120 Pohjola": None}  # P of a name is no suffix


def test_a_name_decides_between_areas_of_one_number() -> None:
    areas = areas_from_rows(TWINS, unit="district")
    found = areas.codes_of_labels(["091 201 Ruoholahti", "091 201 Reijolan peruspiiri"])
    assert list(found.values()) == ["091201", "091201P"]
    with pytest.raises(StudyError, match="stands for several areas") as caught:
        areas.codes_of_labels(["091 201 Ruholahti", "091 201 Lauttasaari"])
    assert len(caught.value.faults) == 2
    only = areas.codes_of_labels(["091 201 Ruholahti"], level="statistical_area")
    assert list(only.values()) == ["091201"]  # a typo, and no other area of that number on the level


def test_two_labels_of_one_number_with_names_of_two_areas_are_refused() -> None:
    areas = areas_from_rows(TWINS[:1], unit="statistical_area")
    with pytest.raises(StudyError, match="One number stands for two areas"):
        areas.codes_of_labels(["091 201 Ruoholahti", "091 201 Reijolan peruspiiri"])
    same = areas.codes_of_labels(["091 201 Ruoholahti", "091 201 Ruholahti (Helsinki", "091201"])
    assert set(same.values()) == {"091201"}  # spellings of one name


def test_a_level_keeps_districts_and_postal_areas_apart() -> None:
    areas = areas_from_rows(
        [
            {"code": "01360", "level": "postal_area", "name_fi": "Koivukylä-Havukoski"},
            {"code": "09282", "level": "district", "name_fi": "Mikkola"},
            {"code": "01480", "level": "postal_area", "name_fi": "Mikkola"},
        ],
        unit="district",
    )
    assert areas.codes_of_labels(["Mikkola"], level="district") == {"Mikkola": "09282"}
    assert areas.codes_of_labels(["Mikkola"], level="postal_area") == {"Mikkola": "01480"}
    assert areas.codes_of_labels(["01360"], level="district") == {"01360": None}
    with pytest.raises(StudyError, match="No area is on this level"):
        areas.codes_of_labels(["01360"], level="town")


# --- areas found in labels

PATTERN = r"(?P<code>\d{5})\s+(?P<name>[^(]*?)\s*(?:\(|$)"


def test_found_areas_take_the_newest_name() -> None:
    labels = [
        "01380 Hakkila (Vantaa)",
        "KOKO MAA",
        "00100 Keskusta (Helsinki",
        "01380 Kuusikko-Hakkila  (Vantaa )",
    ]
    found = found_areas(labels, PATTERN, "postal_area")
    assert found.units == ("00100", "01380")
    assert [found.name(code, "fi") for code in found.units] == ["Keskusta", "Kuusikko-Hakkila"]
    assert found_areas(labels, r"(?P<code>\d{5})", "postal_area").name("00100", "fi") == "00100"


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("(", "no regular expression"),
        (r"\d{5}", "has not the groups"),
        (r"(?P<code>\d{5})(?P<town>.*)", "has not the groups"),
        (r"(?P<code>\d{6})", "fits no label"),
        (r"(?P<code>.*)", "may hold letters, digits"),
    ],
)
def test_a_pattern_that_finds_no_areas_is_refused(pattern: str, said: str) -> None:
    with pytest.raises(StudyError, match=said):
        found_areas(["01380 Hakkila (Vantaa)"], pattern, "postal_area")


def test_listed_areas_stay_before_found_ones() -> None:
    listed = areas_from_rows(
        [{"code": "01380", "level": "postal_area", "name_fi": "Listed"}], unit="postal_area"
    )
    joined = join_areas(
        listed, found_areas(["01380 Hakkila", "00100 Keskusta"], PATTERN, "postal_area"), unit="postal_area"
    )
    assert [joined.name(code, "fi") for code in joined.units] == ["Listed", "Keskusta"]
    other = areas_from_rows([{"code": "01380", "level": "district", "name_fi": "Other"}], unit="district")
    with pytest.raises(StudyError, match="areas of two levels"):
        join_areas(listed, other, unit="district")


# --- hierarchies as producers publish them

LEVELS_OF = {
    "091": ("city", "major_area", "district", "statistical_area"),
    "092": ("city", "major_area", "district"),
}
#: Rows that are no areas: people of no district, and two halves of Helsinki beside its districts.
NO_AREAS = ("091999", "091998", "091997", "09299")


def _codes_of_px(path: Path) -> set[str]:
    text = path.read_bytes().decode("latin-1")
    declared = re.search(r'CODES\("Alue"\)=([^;]*);', text)
    assert declared is not None
    return set(re.findall(r'"(\w+)"', declared[1]))


def test_the_published_hierarchy_gives_the_codes_of_the_statistics(raw: Path) -> None:
    series = raw / "aluesarjat"
    rows = read_hierarchy(series / "hierarchy" / "Aluehierarkia.csv", LEVELS_OF, leave_out=NO_AREAS)
    areas = areas_from_rows(rows, unit="district")
    assert len(areas.children("092", level="district")) == 61
    assert areas.ancestors("09274") == ("0925", "092")
    assert areas.name("09274", "fi") == "Havukoski"
    codes = {row["code"] for row in rows}
    vantaa = _codes_of_px(series / "px" / "C02S_VAN_Vakiluku1971.px")
    assert {code for code in codes if code.startswith("092")} == vantaa - {"09299"}
    helsinki = _codes_of_px(series / "px" / "A02S_HKI_Vakiluku1962.px")
    own = {code for code in codes if code.startswith("091")}
    # One code is not to be had by rule: 091103P has a letter although no other area has its number.
    assert own - helsinki == {"091103"}
    assert helsinki - own == {"091103P", "091997", "091998", "091999"}


def test_the_workbook_twin_gives_the_same_rows(raw: Path) -> None:
    calamine = pytest.importorskip("python_calamine")
    folder = raw / "aluesarjat" / "hierarchy"
    book = calamine.CalamineWorkbook.from_path(str(folder / "Aluehierark_Hki_Esp_Van.xlsx"))
    sheet = book.get_sheet_by_name("Vantaa").to_python()
    assert sheet[1][3:6] == ["Kunta", "Suuralue", "Kaupunginosa"]
    levels = LEVELS_OF["092"]
    twin = hierarchy_rows([row[3:6] for row in sheet[2:]], levels, leave_out=["09299"])
    assert twin == read_hierarchy(folder / "Aluehierarkia.csv", {"092": levels}, leave_out=["09299"])


def test_labels_of_the_statistics_find_their_own_codes(raw: Path) -> None:
    series = raw / "aluesarjat"
    rows = read_hierarchy(series / "hierarchy" / "Aluehierarkia.csv", LEVELS_OF, leave_out=NO_AREAS)
    areas = areas_from_rows(rows, unit="district")
    text = (series / "px" / "A02S_HKI_Vakiluku1962.px").read_bytes().decode("latin-1")
    lists = [re.search(rf'{key}\("Alue"\)=([^;]*);', text) for key in ("VALUES", "CODES")]
    labels, codes = (re.findall(r'"([^"]+)"', match[1]) for match in lists if match is not None)
    found = areas.codes_of_labels(labels)
    assert found["091 201 Ruoholahti"] == "091201"
    assert found["091 201 Reijolan peruspiiri"] == "091201P"
    wrong = {label for label, code in zip(labels, codes, strict=True) if found[label] != code}
    others = {"091 999 Muut", "091 998 Kantakaupunki", "091 997 Esikaupungit"}
    assert wrong == {"091 103 Kampinmalmin peruspiiri", *others}


def test_a_hierarchy_names_its_faults(tmp_path: Path) -> None:
    path = tmp_path / "h.csv"
    path.write_bytes(b"092 Vantaa;092 1 Ita;092 10 A\r092 Vantaa;092 2 Pohj;092 10 A\r092 Vantaa\rx;y\r")
    with pytest.raises(StudyError) as caught:
        read_hierarchy(path, ["city", "major_area", "district"], leave_out=["0929"])
    said = str(caught.value)
    for words in ("row 2", "two parents", "row 3", "another number of areas", "row 4", "no area", "0929"):
        assert words in said
    path.write_bytes(b"\xe4;")
    with pytest.raises(StudyError, match="cannot be read"):
        read_hierarchy(path, ["city", "major_area"])
