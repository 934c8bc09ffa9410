"""PC-Axis files: the quirks of the real ones, every form the format allows, and what is refused."""

from __future__ import annotations

import hashlib
import math
import random
import re
import warnings
from pathlib import Path

import numpy as np
import pytest

from mekeval import clean_indicators, read_study
from mekeval.errors import DataError, MekevalError
from mekeval.sources import RawTable, read_source
from mekeval.sources.px import read_cube
from mekeval.study import SourceSpec, Study

LABELS = {"unemployed": ["Työttömät", "Arbetslösa"], "rate": ["Työttömyysaste"]}

#: The dimensions of the files beside the checkout, from the README there.
REAL = {
    "C04S_VANS_Tyottomat_Sukupuoli": (70, 3, 2, 8),
    "C02S_VAN_Vakiluku1971": (70, 14, 40),
    "A01S_HKI_Vaesto_koulutusaste": (182, 5, 6, 3, 10),
    "A02S_HKI_Vakiluku1962": (182, 14, 49),
    "A01S_HKI_Vakiluku": (182, 2, 3, 37, 19),
    "C01VAN_Astuot_hper_rahoitus_talotyyppi": (70, 6, 4, 4, 9, 2, 10),
}

#: Two areas, two sexes in the stub; two measures and two years in the heading.
SMALL = """CHARSET="ANSI";
AXIS-VERSION="2006";
LANGUAGE="fi";
LANGUAGES="fi","sv";
DECIMALS=1;
SHOWDECIMALS=0;
CONTENTS="Työttömät; 31.12.";
UNITS="henkilö";
UNITS[sv]="person";
STUB="Alue","Sukupuoli";
STUB[sv]="Område","Kön";
HEADING="Tieto","Vuosi";
HEADING[sv]="Uppgift","År";
VALUES("Alue")="092 Vantaa","092 74 "
"Havukoski";
VALUES[sv]("Område")="092 Vanda","092 74 Havukoski";
VALUES("Sukupuoli")="Yhteensä","Naiset";
VALUES[sv]("Kön")="Totalt","Kvinnor";
VALUES("Tieto")="Työttömät","Työttömyysaste";
VALUES[sv]("Uppgift")="Arbetslösa","Arbetslöshetsgrad";
VALUES("Vuosi")="2000","2001";
VALUES[sv]("År")="2000","2001";
TIMEVAL("Vuosi")=TLIST(A1),"2000","2001";
CODES("Alue")="092","09274";
CODES("Sukupuoli")="all","2";
PRECISION("Tieto","Työttömyysaste")=1;
SOURCE="Tilasto
keskus";
NOTE="Selitykset:#.. (kaksi pistettä);#"
"ei tietoa";
DATA=
10 11 1.5 1.25
20 21 2.5 2.6
".." "." "-" 3
-4 0 .5 4
;
"""


def _spec(**given: object) -> SourceSpec:
    words: dict[str, object] = {
        "file": "raw/file.px",
        "reader": "px",
        "vintage": 2010,
        "sha256": "0" * 64,
        "items": ("unemployed", "rate"),
        "area_column": "Alue",
        "item_column": "Tieto",
        "take": {"Sukupuoli": "Yhteensä"},
    }
    return SourceSpec.model_validate(words | given)


def _read(folder: Path, content: bytes | str, **given: object) -> RawTable:
    path = folder / "file.px"
    path.write_bytes(content.encode("latin-1") if isinstance(content, str) else content)
    return read_source(path, _spec(**given), LABELS)


def _cells(table: RawTable) -> dict[tuple[str, str, int], float | str]:
    return {
        (row["area_label"], row["item"], row["year"]): row["value"]
        if row["status"] == "ok"
        else row["status"]
        for row in table.cells.to_dict("records")
    }


def _refused(folder: Path, content: bytes | str, **given: object) -> str:
    with pytest.raises(MekevalError) as caught:
        _read(folder, content, **given)
    assert "raw/file.px" in str(caught.value)
    return str(caught.value)


EXPECTED = {
    ("092", "unemployed", 2000): 10.0,
    ("092", "unemployed", 2001): 11.0,
    ("092", "rate", 2000): 1.5,
    ("092", "rate", 2001): 1.25,
    ("09274", "unemployed", 2000): "suppressed",
    ("09274", "unemployed", 2001): "not_applicable",
    ("09274", "rate", 2000): 0.0,
    ("09274", "rate", 2001): 3.0,
}


# --- the real files


@pytest.mark.parametrize("name", REAL)
def test_every_cell_of_the_real_files(raw: Path, name: str) -> None:
    content = (raw / "aluesarjat" / "px" / f"{name}.px").read_bytes()
    cube = read_cube(content, _spec())
    assert tuple(len(dimension.codes) for dimension in cube.dimensions) == REAL[name]
    # Read once more without numpy: every part between blanks, by Python's own float.
    tokens = content.decode("latin-1").split("DATA=")[1].strip().rstrip(";").split()
    assert len(tokens) == math.prod(REAL[name]) == cube.values.size
    kinds = {'".."': 1, '"."': 2}
    expected = np.array([math.nan if token in kinds else float(token) for token in tokens])
    np.testing.assert_array_equal(cube.values, expected)
    assert cube.status.tolist() == [kinds.get(token, 0) for token in tokens]


def test_the_quirks_of_the_real_unemployment_file(raw: Path) -> None:
    path = raw / "aluesarjat" / "px" / "C04S_VANS_Tyottomat_Sukupuoli.px"
    spec = _spec(item_column="Työttömyys", take={"Sukupuoli": "Molemmat sukupuolet"})
    table = read_source(path, spec, LABELS)
    cells = _cells(table)
    # The first line of cells: 7283 ... 6645 unemployed and 7.2 ... 6.2 per cent in the whole city.
    assert [cells["092", "unemployed", year] for year in (2000, 2007)] == [7283, 6645]
    assert [cells["092", "rate", year] for year in (2000, 2007)] == [7.2, 6.2]
    assert len(table.cells) == 70 * 2 * 8
    assert cells["09274", "unemployed", 2000] > 0  # label "092 74 Havukoski", code "09274"
    assert int((read_cube(path.read_bytes(), spec).status == 1).sum()) == 737
    assert table.notes[0] == "ISO-8859-1 (the file says CHARSET 'ANSI')"
    said = " | ".join(table.notes)
    for words in (
        "line ends LF",
        "DECIMALS 1, SHOWDECIMALS 0",
        "PRECISION of 'Työttömyysaste' 1",
        "UNITS: henkilö",
        "SOURCE: Tilastokeskus",
        ".. (kaksi pistettä), tietoa ei ole saatu",
    ):
        assert words in said
    lines = path.read_text(encoding="latin-1").splitlines()
    place = table.cells[(table.cells["area_label"] == "09274") & (table.cells["year"] == 2003)].iloc[0]
    assert f"{place['value']:g}" == lines[place["row"] - 1].split()[3]


def test_numbers_in_labels_of_the_real_files_are_not_unique_and_codes_are(raw: Path) -> None:
    path = raw / "aluesarjat" / "px" / "A02S_HKI_Vakiluku1962.px"
    spec = _spec(items=("people",), item_column="", take={"Ikäryhmä": "all"})
    table = read_source(path, spec, {"people": ["Helsingin väkiluku ikäryhmittäin 1. tammikuuta"]})
    assert not table.cells.duplicated(["area_label", "year"]).any()
    assert any("CRLF" in note for note in table.notes)
    labels = read_source(
        path, _spec(**spec.model_dump() | {"area_by": "label"}), {"people": table_titles(path)}
    )
    numbers = labels.cells["area_label"].drop_duplicates().str.extract(r"^([\d ]*\d)(?= |$)")[0]
    assert numbers[numbers == "091 201"].size == 2  # Ruoholahti, and the peruspiiri Reijola


def table_titles(path: Path) -> list[str]:
    """The CONTENTS of a file, by a pattern of its own."""
    return re.findall(r'^CONTENTS="([^"]*)"', path.read_text(encoding="latin-1"), re.MULTILINE)


def test_an_undecided_dimension_of_a_real_file_is_named_with_its_values(raw: Path) -> None:
    path = raw / "aluesarjat" / "px" / "A01S_HKI_Vaesto_koulutusaste.px"
    given = {"items": ("total", "basic"), "item_column": "Koulutusaste"}
    labels = {"total": ["Ikäryhmä yhteensä"], "basic": ["Ei perusasteen jälk. tutkintoa tai tuntematon"]}
    with pytest.raises(MekevalError, match=r"'Ikä' is left undecided[\s\S]*'25-44-vuotiaat'"):
        read_source(path, _spec(**given, take={"Sukupuoli": "ALL"}), labels)
    take = {"Sukupuoli": "ALL", "Ikä": "25-44-vuotiaat"}
    cells = _cells(read_source(path, _spec(**given, take=take), labels))
    tokens = path.read_text(encoding="latin-1").split("DATA=")[1].split()
    # Helsinki is the first of 182 areas; 25-44 the third of 5 ages, each with 6 lines of 30 cells.
    assert cells["091", "total", 2000] == float(tokens[2 * 6 * 30])
    assert cells["091", "basic", 2009] == float(tokens[2 * 6 * 30 + 5 * 30 + 9])


# --- the format


def test_both_kinds_of_symbols_line_ends_and_encodings_give_the_same(tmp_path: Path) -> None:
    bare = SMALL.replace('".."', "..").replace('"."', ".").replace('"-"', "-")
    for text in (SMALL, bare, SMALL.replace("\n", "\r\n"), bare.replace("\n-4", " -4")):
        for encoding in ("latin-1", "utf-8", "utf-8-sig", "iso-8859-15", "windows-1252"):
            assert _cells(_read(tmp_path, text.encode(encoding))) == EXPECTED


def test_places_and_notes(tmp_path: Path) -> None:
    table = _read(tmp_path, SMALL)
    lines = SMALL.splitlines()
    for row in table.cells.to_dict("records"):
        wanted = {"092": "10 11", "09274": '".." "."'}[row["area_label"]]
        assert lines[row["row"] - 1].startswith(wanted)
    assert set(table.cells["column"]) == {
        f"{name}, {year}" for name in ("Työttömät", "Työttömyysaste") for year in (2000, 2001)
    }
    said = " | ".join(table.notes)
    for words in (
        "languages fi, sv",
        "UNITS[sv]: person",
        "SOURCE: Tilasto keskus",
        "NOTE: Selitykset: .. (kaksi pistettä); ei tietoa",
        "year: dimension 'Vuosi'",
    ):
        assert words in said


def test_names_and_values_in_any_language_or_by_code(tmp_path: Path) -> None:
    for given in (
        {"take": {"Kön": "Totalt"}},
        {
            "take": {"sukupuoli": "ALL"},
            "area_column": "Område",
            "item_column": "uppgift",
            "year_column": "År",
        },
    ):
        assert _cells(_read(tmp_path, SMALL, **given)) == EXPECTED
    women = _cells(_read(tmp_path, SMALL, take={"Kön": "Kvinnor"}, area_by="label"))
    assert women["092 74 Havukoski", "unemployed", 2000] == -4  # a label continued over two strings
    assert women["092 74 Havukoski", "rate", 2000] == 0.5
    swedish = {"unemployed": ["Arbetslösa"], "rate": ["Arbetslöshetsgrad"]}
    path = tmp_path / "file.px"
    assert _cells(read_source(path, _spec(), swedish)) == EXPECTED


def test_iso_8859_15_is_believed_where_it_is_declared(tmp_path: Path) -> None:
    text = SMALL.replace('CHARSET="ANSI";', 'CHARSET="ANSI";\nCODEPAGE="iso-8859-15";')
    content = text.replace("Yhteensä", "Yhteensä Š€").encode("iso-8859-15")
    assert _cells(_read(tmp_path, content, take={"Sukupuoli": "Yhteensä Š€"})) == EXPECTED


def test_keyed_rows_in_any_order_with_rows_of_zeros_left_out(tmp_path: Path) -> None:
    head = SMALL.split("DATA=")[0]
    keyed = head + 'KEYS("Alue")=CODES;\nKEYS("Sukupuoli")=VALUES;\nDATA=\n'
    rows = [
        '"09274","Naiset",-4 0 .5 4',
        '"09274","Yhteensä",".." "." "-" 3',
        '"092","Yhteensä",10 11 1.5 1.25',
    ]
    table = _read(tmp_path, keyed + "\n".join(rows) + ";\n")
    assert _cells(table) == EXPECTED
    assert any("1 of 4 rows are left out" in note for note in table.notes)
    women = _cells(_read(tmp_path, keyed + "\n".join(rows) + ";\n", take={"Sukupuoli": "2"}))
    assert women["092", "unemployed", 2000] == 0  # the row that the file leaves out
    for change, said in (
        (rows[0].replace("09274", "09275"), "'09275'"),
        ('"092","Naiset",1 2 3 4 5', "5 cells"),
        (rows[1], "stands twice"),
        ("1 2 3 4", "keys of the stub"),
    ):
        message = _refused(tmp_path, keyed + "\n".join([*rows, change]) + ";\n")
        assert said in message
        assert f"row {keyed.count(chr(10)) + 4}" in message
    assert "has no keys" in _refused(tmp_path, keyed.replace('KEYS("Alue")=CODES;', "") + rows[0] + ";")


def test_the_order_of_stub_and_heading_is_the_order_of_the_cells(tmp_path: Path) -> None:
    cells = SMALL.split("DATA=")[1].rstrip(";\n").split()
    cube = np.array(cells, dtype=object).reshape(2, 2, 2, 2)  # area, sex, measure, year
    turned = SMALL.split("DATA=")[0]
    turned = turned.replace('STUB="Alue","Sukupuoli"', 'STUB="Vuosi","Tieto"')
    turned = turned.replace('HEADING="Tieto","Vuosi"', 'HEADING="Sukupuoli","Alue"')
    turned = re.sub(r"^\w+\[sv\].*\n", "", turned, flags=re.MULTILINE)
    text = turned + "DATA=\n" + " ".join(cube.transpose(3, 2, 1, 0).ravel()) + ";"
    assert _cells(_read(tmp_path, text)) == EXPECTED


def test_symbols_that_the_study_explains(tmp_path: Path) -> None:
    text = SMALL.replace('".."', '"...."')
    assert "found: ...." in _refused(tmp_path, text)
    assert (
        _cells(_read(tmp_path, text, symbols={"....": "missing"}))["09274", "unemployed", 2000] == "missing"
    )


def test_numbers_with_exponents_are_numbers(tmp_path: Path) -> None:
    cells = _cells(_read(tmp_path, SMALL.replace("10 11", "1e1 1.1E+1")))
    assert cells == EXPECTED


# --- what is refused


def test_a_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    whole = SMALL.encode("latin-1").rstrip()
    for cut in range(0, len(whole), 7):
        _refused(tmp_path, whole[:cut])


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("10 11", "10", ["15 cells", "16 cells", "2 x 2 x 2 x 2"]),
        ("10 11", "10 11 12", ["17 cells", "16 cells"]),
        ("1.5 1.25", "1,5 1,25", ["found: 1,5", "row 32", "decimal point"]),
        ("10 11", "1-0 11", ["found: 1-0", "row 32"]),
        ("10 11", "1.0.1 11", ["found: 1.0.1", "row 32"]),
        ("10 11", "nan 11", ["found: nan", "row 32"]),
        ("10 11", "inf 11", ["found: inf", "row 32"]),
        ("10 11", "1e999 11", ["found: 1e999", "row 32"]),
        ("10 11", "0x10 11", ["found: 0x10", "row 32"]),
        ("20 21", '"x" 21', ["row 33", "found: x"]),
        ("20 21", '"20 21', ["row 33"]),
        ("-4 0", '"?" 0', ["row 35", "found: ?"]),  # after symbols of other rows
        ("\n;\n", "\n", ["cut off"]),
        ("\n;\n", "\n;\n5", ["after the cells"]),
        ("DATA=", "DAT=", ["DATA"]),
        ("DATA=", "DATA=\x00", ["NUL byte", "row 31"]),
        ('HEADING="Tieto","Vuosi";', 'HEADING="Tieto";', ["'Vuosi'", "neither in STUB nor in HEADING"]),
        ('CODES("Alue")="092","09274"', 'CODES("Alue")="092"', ["1 and 2", "'Alue'"]),
        ('CODES("Alue")="092","09274"', 'CODES("Alue")="092","092"', ["cannot be told apart", "'092'"]),
        ('VALUES("Sukupuoli")="Yhteensä","Naiset";', "", ["no VALUES", "'Sukupuoli'"]),
        ('VALUES("Vuosi")="2000","2001"', 'VALUES("Vuosi")="2000","2000"', ["cannot be told apart"]),
        ('VALUES("Vuosi")="2000","2001"', 'VALUES("Vuosi")="2000","kesä"', ["a year is due", "found: kesä"]),
        ('UNITS="henkilö"', "UNITS=henkilö;;", ["cannot be read", "row 8"]),
        ('STUB="Alue","Sukupuoli";', 'STUB="Alue","Sukupuoli";\nSTUB="Alue";', ["stands twice", "row 11"]),
        ('CHARSET="ANSI"', 'CODEPAGE="utf-8"', ["not in the encoding that it declares"]),
        (SMALL, "<html>502 Bad Gateway</html>", ["web page"]),
        (SMALL, " ", ["empty"]),
    ],
)
def test_a_broken_file_is_refused_with_its_place(tmp_path: Path, old: str, new: str, said: list[str]) -> None:
    assert old in SMALL
    message = _refused(tmp_path, SMALL.replace(old, new, 1))
    for words in said:
        assert words in message


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"take": {}}, ["'Sukupuoli' is left undecided", "'Yhteensä', 'Naiset'"]),
        ({"take": {"Sukupoli": "Yhteensä"}}, ["no such dimension", "closest: 'Sukupuoli'"]),
        ({"take": {"Sukupuoli": "Naise"}}, ["no such value", "closest: 'Naiset'"]),
        ({"take": {"Sukupuoli": "all", "Kön": "2"}}, ["two parts to play"]),
        ({"item_column": "Alue"}, ["two parts to play"]),
        ({"area_column": ""}, ["areas is not known", "'Alue', 'Sukupuoli', 'Tieto', 'Vuosi'"]),
        ({"item_column": ""}, ["'Tieto' is left undecided"]),
    ],
)
def test_a_study_that_leaves_open_what_it_means_is_refused(
    tmp_path: Path, given: dict[str, object], said: list[str]
) -> None:
    message = _refused(tmp_path, SMALL, **given)
    for words in said:
        assert words in message


def test_an_announced_product_does_not_take_memory(tmp_path: Path) -> None:
    values = ",".join(f'"{n}"' for n in range(3000))
    head = 'STUB="A","B";HEADING="C";' + "".join(f'VALUES("{name}")={values};' for name in "ABC")
    for keys in ("", 'KEYS("A")=VALUES;KEYS("B")=VALUES;'):
        with pytest.raises(DataError, match="too many cells"):
            read_cube((head + keys + "DATA=1;").encode(), _spec())


def test_damaged_files_are_read_or_refused(tmp_path: Path, raw: Path) -> None:
    real = raw / "aluesarjat" / "px" / "C04S_VANS_Tyottomat_Sukupuoli.px"
    chance = random.Random(20230101)
    outcomes = set()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for count in range(400):
            whole = bytearray(SMALL.encode("latin-1") if count % 4 else real.read_bytes())
            for _ in range(chance.randint(1, 3)):
                at = chance.randrange(len(whole))
                kind = chance.choice(["cut", "drop", "change", "insert", "double"])
                if kind == "cut":
                    del whole[at + 20 :]
                elif kind == "drop":
                    del whole[at : at + chance.randint(1, 9)]
                elif kind == "change":
                    whole[at] = chance.randrange(256)
                elif kind == "insert":
                    whole[at:at] = bytes([chance.choice(b'";=,()[]\n\x00 ."-1e')])
                else:
                    whole[at:at] = whole[at : at + 30]
                if not whole:
                    break
            given = {} if count % 4 else {"item_column": "Työttömyys", "take": {"Sukupuoli": "Naiset"}}
            try:
                cells = _read(tmp_path, bytes(whole), **given).cells
            except MekevalError as error:
                assert "raw/file.px" in str(error)
                outcomes.add("refused")
            else:
                assert (cells["value"].notna() == (cells["status"] == "ok")).all()
                outcomes.add("read")
    assert outcomes == {"read", "refused"}


# --- in a study

STUDY = """
[study]
name = "from-px"
seed = 1
minimum_base = 10
title = { fi = "Koe" }
attribution = { fi = "Helsingin seudun aluesarjat" }
raw = "external"
[areas]
file = "areas.csv"
unit = "district"
city = { fi = "Vantaa" }
[programme]
title = { fi = "Koe" }
[[programme.wave]]
name = "2005"
first = 2005
last = 2007
areas = ["Havukoski"]
[[item]]
name = "children"
labels = ["0-6-vuotiaat"]
[[item]]
name = "people"
labels = ["Väestö yhteensä"]
[[indicator]]
name = "children_share"
label = { fi = "Lasten osuus" }
higher_is = "better"
unit = "percent"
numerator = "children"
denominator = "people"
[[source]]
file = "px/C02S_VAN_Vakiluku1971.px"
reader = "px"
vintage = 2010
sha256 = "SHA256"
items = ["children", "people"]
area_column = "Alue"
item_column = "Ikäryhmä"
other_areas = "drop"
[plan]
primary = ["children_share"]
"""


def test_a_study_reads_a_real_file_by_its_study_toml_alone(tmp_path: Path, raw: Path, example: Study) -> None:
    path = raw / "aluesarjat" / "px" / "C02S_VAN_Vakiluku1971.px"
    (tmp_path / "areas.csv").write_bytes((example.folder / "areas.csv").read_bytes())
    text = STUDY.replace("SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    (tmp_path / "study.toml").write_text(text, encoding="utf-8")
    table = clean_indicators(read_study(tmp_path, raw=raw / "aluesarjat")).table
    found = table.set_index(["area", "year"])
    # 14 lines of 40 years for each area; the first line counts all, the second children of 0-6 years.
    lines = path.read_text(encoding="latin-1").split("DATA=")[1].split()
    codes = re.search(r'CODES\("Alue"\)=([^;]*);', path.read_text(encoding="latin-1"))
    assert codes is not None
    at = codes[1].replace("\n", "").replace('"', "").split(",").index("09274") * 14 * 40 + (2009 - 1971)
    assert found.loc[("09274", 2009), "denominator"] == float(lines[at])
    assert found.loc[("09274", 2009), "numerator"] == float(lines[at + 40])
    assert found.loc[("09274", 2009), "value"] == pytest.approx(
        100 * float(lines[at + 40]) / float(lines[at])
    )
