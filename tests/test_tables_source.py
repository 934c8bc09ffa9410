"""Tables that the study alone describes: CSV, Sotkanet's CSV, xlsx, Parquet and R data of any layout."""

from __future__ import annotations

import io
import random
import struct
import tomllib
import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

import pytest

from mekeval.errors import MekevalError
from mekeval.sources import RawTable, read_source
from mekeval.study import SourceSpec, Study
from mekeval.study.consistency import cross_references

LABELS = {"people": ["Asukkaat", "127"], "income": ["Tulot"]}


def _read(folder: Path, content: bytes | str, reader: str = "csv", **given: object) -> RawTable:
    path = folder / "file.txt"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    words: dict[str, object] = {
        "file": "raw/file.txt", "reader": reader, "vintage": 2024, "sha256": "0" * 64,
        "items": ("people", "income"), "area_column": "Alue",
    }  # fmt: skip
    return read_source(path, SourceSpec.model_validate(words | given), LABELS)


def _cells(table: RawTable) -> dict[tuple[str, str, int], float | str]:
    return {
        (row["area_label"], row["item"], row["year"]): row["value"]
        if row["status"] == "ok"
        else row["status"]
        for row in table.cells.to_dict("records")
    }


def _refused(folder: Path, content: bytes | str, reader: str = "csv", **given: object) -> str:
    with pytest.raises(MekevalError) as caught:
        _read(folder, content, reader, **given)
    assert "raw/file.txt" in str(caught.value)
    return str(caught.value)


def _column(number: int) -> str:
    return chr(64 + number)


def _sheet(
    rows: Sequence[Sequence[object]], *, row_words: str = "", after: str = "", before: str = ""
) -> str:
    """The XML of a sheet, by hand: numbers as they are, texts inline, other things as raw XML in bytes."""
    lines = []
    for at, row in enumerate(rows, start=1):
        cells = []
        for place, cell in enumerate(row, start=1):
            name = f"{_column(place)}{at}"
            if isinstance(cell, bytes):
                cells.append(f'<c r="{name}">{cell.decode()}</c>')
            elif isinstance(cell, str):
                cells.append(f'<c r="{name}" t="inlineStr"><is><t>{escape(cell)}</t></is></c>')
            elif cell is not None:
                cells.append(f'<c r="{name}"><v>{cell}</v></c>')
        lines.append(f'<row r="{at}"{row_words if at == len(rows) else ""}>{"".join(cells)}</row>')
    space = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    return f'<worksheet xmlns="{space}">{before}<sheetData>{"".join(lines)}</sheetData>{after}</worksheet>'


def _book(*sheets: str, extra: dict[str, bytes] | None = None) -> bytes:
    """A workbook with the sheets "one", "two", written by hand from its description."""
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    names = ("one", "two", "three")[: len(sheets)]
    listed = "".join(
        f'<sheet name="{name}" sheetId="{n}" r:id="r{n}"/>' for n, name in enumerate(names, start=1)
    )
    linked = "".join(
        f'<Relationship Id="r{n}" Type="{office}/worksheet" Target="worksheets/sheet{n}.xml"/>'
        for n in range(1, len(sheets) + 1)
    )
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types"><Default Extension="xml" '
        'ContentType="application/xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="a" '
        f'Type="{office}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{office}"><sheets>{listed}</sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}/relationships">{linked}</Relationships>',
    } | {f"xl/worksheets/sheet{n}.xml": sheet for n, sheet in enumerate(sheets, start=1)}
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as book:
        for name, text in parts.items():
            book.writestr(name, text)
        for name, data in (extra or {}).items():
            book.writestr(name, data)
    return packed.getvalue()


# --- CSV


def test_a_layout_never_seen_is_taken_in_by_study_toml_alone(tmp_path: Path) -> None:
    described = tomllib.loads("""
        file = "raw/file.txt"
        reader = "csv"
        vintage = 2024
        sha256 = "0000000000000000000000000000000000000000000000000000000000000000"
        items = ["people", "income"]
        header_row = 3
        area_column = "Postinumero"
        item_column = "Tieto"
        value_column = "Lukumäärä tai euroa"
        year = 2022
        decimal = ","
        thousands = " "
        take = { Sukupuoli = "Yhteensä", "Ikä" = "kaikki" }
        symbols = { "x" = "suppressed", "-1" = "suppressed", "/" = "not_applicable" }
    """)
    path = tmp_path / "file.txt"
    text = (
        "Väestö;;;;\r\n\r\nPostinumero;Tieto;Sukupuoli;Ikä;Lukumäärä tai euroa\r\n"
        "01200;Asukkaat;Yhteensä;kaikki;12 045\r\n"
        "01200;Asukkaat;Naiset;kaikki;6 000\r\n"
        "01200;Asukkaat;Yhteensä;0-6;1 000\r\n"
        "01200;Tulot;Yhteensä;kaikki;21\N{NO-BREAK SPACE}052,50\r\n"
        "01280;Asukkaat;Yhteensä;kaikki;x\r\n"
        "01280;Tulot;Yhteensä;kaikki;-1\r\n"
        "01300;Asukkaat;Yhteensä;kaikki;\r\n"
        "01300;Tulot;Yhteensä;kaikki;/\r\n"
        "01300;Muu;Yhteensä;kaikki;ei lukua\r\n"
    )
    for encoding, found in (("utf-8-sig", "UTF-8"), ("utf-8", "UTF-8"), ("latin-1", "ISO-8859-1")):
        path.write_bytes(text.encode(encoding))
        table = read_source(path, SourceSpec.model_validate(described), LABELS)
        assert _cells(table) == {
            ("01200", "people", 2022): 12045.0,
            ("01200", "income", 2022): 21052.5,
            ("01280", "people", 2022): "suppressed",
            ("01280", "income", 2022): "suppressed",
            ("01300", "people", 2022): "missing",
            ("01300", "income", 2022): "not_applicable",
        }
        assert table.notes == (
            found,
            "separator ';'",
            "line ends CRLF",
            "left out by take, Sukupuoli: 'Naiset' (1 row)",
            "left out by take, Ikä: '0-6' (1 row)",
        )
        assert sorted(table.cells["row"]) == [4, 7, 8, 9, 10, 11]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_wide_tables_with_a_column_of_years(tmp_path: Path, separator: str, ends: str) -> None:
    rows = [["Alue", "vuosi", "Asukkaat", "Tulot"], ["a", "2019", "1", "2.5"], ["a", "2020", "3", ""]]
    text = ends.join(separator.join(row) for row in rows) + ends
    table = _read(tmp_path, text, year_column="Vuosi")
    assert _cells(table) == {
        ("a", "people", 2019): 1.0,
        ("a", "people", 2020): 3.0,
        ("a", "income", 2019): 2.5,
        ("a", "income", 2020): "missing",
    }
    assert table.notes[1] == f"separator {separator!r}"


def test_two_rows_of_names(tmp_path: Path) -> None:
    text = "Alue;Asukkaat;;Tulot;\n;2019;2020;2019;2020\n01200;1;2;3;4\n"
    table = _read(tmp_path, text, header_rows=2)
    assert _cells(table) == {
        ("01200", "people", 2019): 1.0,
        ("01200", "people", 2020): 2.0,
        ("01200", "income", 2019): 3.0,
        ("01200", "income", 2020): 4.0,
    }


def test_a_single_column_of_values_is_one_item(tmp_path: Path) -> None:
    text = "Alue,vuosi,Asukkaat\n435,2002,915\n9,2010,2770\n"
    table = _read(
        tmp_path, text, items=("people",), year_column="vuosi", value_column="Asukkaat", area_digits=3
    )
    assert _cells(table) == {("435", "people", 2002): 915.0, ("009", "people", 2010): 2770.0}


@pytest.mark.parametrize(
    ("text", "given", "value"),
    [
        ("1234,5", {"decimal": ","}, 1234.5),
        ('"1.234,5"', {"decimal": ",", "thousands": "."}, 1234.5),
        ("1'234.5", {"thousands": "'"}, 1234.5),
        ("1\N{NARROW NO-BREAK SPACE}234 567", {"thousands": " "}, 1234567),
        ("\N{MINUS SIGN}12", {}, -12),
        ("+3e2", {}, 300),
        ("1e-05", {}, 1e-5),
    ],
)
def test_numbers_as_they_are_declared(
    tmp_path: Path, text: str, given: dict[str, object], value: float
) -> None:
    assert _cells(_read(tmp_path, f"Alue;Asukkaat\na;{text}\n", items=("people",), year=2020, **given)) == {
        ("a", "people", 2020): value
    }


@pytest.mark.parametrize(
    ("text", "given"),
    [
        ("12.5", {"decimal": ","}),  # a point where a comma was declared
        ("1.234", {"decimal": ","}),
        ("12,5", {}),
        ("1 234", {}),
        ("12 34", {"thousands": " "}),
        ("1 2345", {"thousands": " "}),
        ("1.23.456", {"decimal": ",", "thousands": "."}),
        ("..", {}),
        ("-", {}),
        ("x", {"symbols": {"y": "missing"}}),
        ("nan", {}),
        ("1e999", {}),
        ("0x1A", {}),
        ("1_000", {}),
        ("\N{ARABIC-INDIC DIGIT ONE}", {}),
        ("=A1+1", {}),
        ("9" * 500, {}),
    ],
)
def test_numbers_otherwise_than_declared_are_refused(
    tmp_path: Path, text: str, given: dict[str, object]
) -> None:
    message = _refused(tmp_path, f"Alue;Asukkaat\nb;1\na;{text}\n", items=("people",), year=2020, **given)
    assert "row 3, column 'Asukkaat'" in message
    assert text[:50] in message
    assert ("formula" in message) == text.startswith("=")


WIDE = "Alue;Asukkaat;Tulot\na;1;2\nb;3;4\n"


@pytest.mark.parametrize(
    ("content", "given", "said"),
    [
        (b"", {}, ["empty"]),
        (b"<html>", {}, ["web page"]),
        (b"Alue;Asukkaat;Tulot\n", {}, ["no rows of data"]),
        (WIDE.replace("3", "\x00").encode(), {}, ["NUL byte", "row 3"]),
        (WIDE.replace("3;4", "3").encode(), {}, ["row 3", "2 cells", "3 cells", "cut off"]),
        (WIDE.replace("3;4", "3;4;5").encode(), {}, ["row 3", "4 cells"]),
        (WIDE.replace("b;3", '"b;3').encode(), {}, ["row 3", "not valid CSV"]),
        (WIDE.replace("Tulot", "ASUKKAAT").encode(), {}, ["Two columns have one name"]),
        (WIDE.replace("Tulot", "Tuloja").encode(), {}, ["item 'income'", "'Tuloja'"]),
        (WIDE.replace("\nb;", "\n;").encode(), {}, ["row 3", "names no area"]),
        (WIDE.encode(), {"area_column": "Aleu"}, ["the area", "closest: 'Alue'"]),
        (WIDE.encode(), {"year_column": "vuosi"}, ["column is not there", "'vuosi'"]),
        (WIDE.encode(), {"year_column": "Asukkaat", "items": ("income",)}, ["a year", "row 2", "found: 1"]),
        (WIDE.encode(), {"take": {"Asukkaat": "7"}, "items": ("income",)}, ["no such value", "'7'"]),
        (WIDE.encode(), {"header_row": 9}, ["no header", "row 9"]),
        (WIDE.encode(), {"year": None}, ["year of a column is not known"]),
        (WIDE.encode(), {"item_column": "Tulot"}, ["needs `value_column`"]),
        (b"Alue;Asukkaat;Tulot\na;1;" + b"9" * 200_000, {}, ["row 2", "field larger"]),
        ("Alue;Asukkaat;Tulot\nä;1;\x81\n".encode("latin-1") + b"\x81", {}, ["encoding"]),
    ],
)
def test_a_broken_table_is_refused_with_its_place(
    tmp_path: Path, content: bytes, given: dict[str, object], said: list[str]
) -> None:
    message = _refused(tmp_path, content, **({"year": 2020} | given))
    for words in said:
        assert words in message


def test_several_rows_for_one_cell_name_the_undecided_columns(tmp_path: Path) -> None:
    text = "Alue;Sukupuoli;Asukkaat;Tulot\na;Miehet;1;2\na;Naiset;3;4\n"
    message = _refused(tmp_path, text, year=2020)
    assert "'Sukupuoli': 'Miehet', 'Naiset'" in message
    assert "rows 2, 3" in message
    cells = _cells(_read(tmp_path, text, year=2020, take={"sukupuoli": "naiset"}))
    assert cells == {("a", "people", 2020): 3.0, ("a", "income", 2020): 4.0}


def test_a_file_too_large_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    with path.open("wb") as file:
        file.truncate(2**31)  # two gigabytes without a line break, which take no place on the disk
    spec = SourceSpec(file="raw/file.txt", reader="csv", vintage=2020, sha256="0" * 64, items=("people",))
    for reader in ("csv", "px", "json-stat", "xlsx"):
        if reader == "xlsx":
            pytest.importorskip("python_calamine")
        with pytest.raises(MekevalError, match="too large"):
            read_source(path, spec.model_copy(update={"reader": reader}), LABELS)


def test_a_table_of_too_many_cells_is_refused_while_it_is_read(tmp_path: Path) -> None:
    message = _refused(tmp_path, WIDE + ";" * 6_000_000)
    assert "larger than a table" in message
    assert "row 4" in message


def test_sotkanet_csv(tmp_path: Path) -> None:
    text = (
        "indicator;region;year;gender;primary value;absolute value\n"
        "127;92;2019;total;233775;233775\n127;92;2019;female;50,5;118000\n127;91;2019;total;;\n"
    )
    given = {"reader": "sotkanet-csv", "area_column": "", "items": ("people",), "decimal": ","}
    assert _cells(_read(tmp_path, text, **given, take={"gender": "total"}, area_digits=3)) == {
        ("092", "people", 2019): 233775.0,
        ("091", "people", 2019): "missing",
    }
    women = _read(tmp_path, text, **given, take={"gender": "female"}, value_column="absolute value")
    assert _cells(women) == {("92", "people", 2019): 118000.0}
    assert "'gender': 'total', 'female'" in _refused(tmp_path, text, **given)


def test_the_real_sotkanet_population(raw: Path) -> None:
    pytest.importorskip("pyreadr")
    path = raw / "sotkanet" / "sotkadata_population.rda"
    spec = SourceSpec(
        file=path.name, reader="rdata", vintage=2023, sha256="0" * 64, items=("people",), table="sotkadata_population",
        area_column="municipality_code", year_column="year", value_column="primary.value", area_digits=3,
    )  # fmt: skip
    table = read_source(path, spec, {"people": ["primary.value"]})
    assert len(table.cells) == 7107
    assert (table.cells["year"].min(), table.cells["year"].max()) == (2000, 2022)
    cells = _cells(table)
    assert cells["435", "people", 2002] == 915  # the first row of the data frame
    assert ("092", "people", 2019) in cells  # a whole number 92 in the file


def test_the_real_hierarchy_with_bare_cr_line_ends(raw: Path, tmp_path: Path) -> None:
    content = (raw / "aluesarjat" / "hierarchy" / "Aluehierarkia.csv").read_bytes()
    header = b"Kunta;Suurpiiri;Peruspiiri;Alue\r"
    message = _refused(tmp_path, header + content, items=("people",), year=2009)
    first = next(
        at for at, line in enumerate(content.split(b"\r"), start=2) if line.strip() and line.count(b";") < 3
    )
    assert f"row {first}" in message


def test_a_key_that_the_reader_does_not_know_is_refused_and_not_passed_over(tmp_path: Path) -> None:
    for reader, key, given in (
        ("pxweb-csv", "take", {"Sukupuoli": "Naiset"}),
        ("pxweb-csv", "decimal", ","),
        ("px", "header_row", 2),
        ("csv", "area_by", "label"),
        ("parquet", "header_rows", 2),
    ):
        message = _refused(tmp_path, WIDE, reader, **{key: given})
        assert f"`{key}`" in message
        assert f"'{reader}'" in message


def test_what_a_source_says_of_itself_must_fit_together(example: Study) -> None:
    def faults(**changes: object) -> str:
        source = example.spec.source[0].model_copy(update=changes)
        spec = example.spec.model_copy(update={"source": (source, *example.spec.source[1:])})
        return "\n".join(map(str, cross_references(spec, "study.toml")))

    assert faults() == faults(decimal=",", thousands=" ", take={"a": "b"}, area_column="c")
    assert "decimals and thousands" in faults(decimal=",", thousands=",")
    assert "two parts to play" in faults(area_column="a", take={"a": "b"})
    assert "two parts to play" in faults(area_column="a", value_column="a")


# --- what the file says and the study does not use

WOMEN = """Alue;Sukupuoli;{};Asukkaat;Tulot
01200;Naiset;2019;40;400
01280;Naiset;2019;50;500
"""


@pytest.mark.parametrize("name", ["Vuosi", "År", "year", "Tilanne", "Ajankohta"])
def test_the_year_of_the_study_does_not_override_that_of_the_file(tmp_path: Path, name: str) -> None:
    text = WOMEN.format(name)
    message = _refused(tmp_path, text, year=2020)
    assert f"column '{name}'" in message
    assert "found: '2019'" in message
    assert "expected: 2020" in message
    assert f'year_column = "{name}"' in message
    for words in ({"year_column": name}, {"year": 2019, "take": {name: "2019"}}):
        assert set(_read(tmp_path, text, **words).cells["year"]) == {2019}
    # The year of something else: the study says that it knows of the column.
    release = _read(tmp_path, text, year=2020, take={name: "2019"})
    assert set(release.cells["year"]) == {2020}
    assert f"taken: {name} = '2019', and the study says the year 2020" in release.notes
    assert "column" in _refused(
        tmp_path, text.replace("2019", "31.12.2019"), years={"Asukkaat": 2020, "Tulot": 2020}
    )


def test_a_column_named_as_years_are_is_used_or_taken(tmp_path: Path) -> None:
    """Even where it agrees today, or says several years of which the study would make one."""
    assert "A column of years is not used" in _refused(tmp_path, WOMEN.format("Vuosi"), year=2019)
    assert set(_read(tmp_path, WOMEN.format("Tilanne"), year=2019).cells["year"]) == {2019}
    two = WOMEN.format("Vuosi").replace("01280;Naiset;2019", "01280;Naiset;2020")
    assert "'2019', '2020'" in _refused(tmp_path, two, year=2020)


def test_a_constant_column_that_is_not_used_is_noted(tmp_path: Path) -> None:
    text = (
        WOMEN.format("Vuosi").replace("Tulot", "Tulot;Kunta;Neljännes;Koko").replace("00\n", "00;Vantaa;4;\n")
    )
    notes = _read(tmp_path, text, year_column="Vuosi").notes
    assert notes[-1] == "not used: Sukupuoli = 'Naiset', Kunta = 'Vantaa'"  # a number is an item of its own
    taken = _read(tmp_path, text, year_column="Vuosi", take={"Sukupuoli": "Naiset"}).notes
    assert taken[-1] == "not used: Kunta = 'Vantaa'"


def test_a_year_for_cells_that_have_one_is_refused(tmp_path: Path) -> None:
    across = "Alue;Asukkaat 2019;Tulot 2019\n01200;40;400\n"
    for text, words in (
        (across, {}),
        (WOMEN.format("Vuosi"), {"year_column": "Vuosi"}),
        ("Alue;Tieto;2019\n01200;Asukkaat;40\n01200;Tulot;400\n", {"item_column": "Tieto"}),
    ):
        assert set(_read(tmp_path, text, **words).cells["year"]) == {2019}
        assert "`year` would be passed over" in _refused(tmp_path, text, year=2020, **words)
    partly = _read(tmp_path, across.replace("Tulot 2019", "Tulot"), year=2020)
    assert _cells(partly) == {("01200", "people", 2019): 40, ("01200", "income", 2020): 400}


def test_rows_that_take_leaves_out_are_told(tmp_path: Path) -> None:
    """A value that is misspelt in one row is left out like the ones that are not meant."""
    text = (
        "Alue;Sukupuoli;Asukkaat;Tulot\n01200;Yhteensä;90;9\n01200;Miehet;40;4\n"
        "01280;Yhtensä;80;8\n01280;Miehet;30;3\n"
    )
    table = _read(tmp_path, text, year=2020, take={"Sukupuoli": "Yhteensä"})
    assert set(table.cells["area_label"]) == {"01200"}
    assert table.notes[-1] == "left out by take, Sukupuoli: 'Yhtensä' (1 row), 'Miehet' (2 rows)"


# --- workbooks

ROWS = [["Alue", "Asukkaat", "Tulot"], ["01200", 12, 20500.5], ["01280", "..", None]]
BOOK = {"reader": "xlsx", "year": 2020, "symbols": {"..": "suppressed"}}


def test_a_workbook(tmp_path: Path) -> None:
    pytest.importorskip("python_calamine")
    expected = {
        ("01200", "people", 2020): 12.0,
        ("01200", "income", 2020): 20500.5,
        ("01280", "people", 2020): "suppressed",
        ("01280", "income", 2020): "missing",
    }
    table = _read(tmp_path, _book(_sheet(ROWS)), **BOOK)
    assert _cells(table) == expected
    assert list(table.cells["row"]) == [2, 3, 2, 3]
    assert table.notes == ("sheet 'one'",)
    # A typed number has no mark for decimals, whatever the study says of texts.
    assert _cells(_read(tmp_path, _book(_sheet(ROWS)), **BOOK, decimal=",")) == expected
    two = _book(
        _sheet([["x"]]),
        _sheet([["Title"], [], *ROWS], after='<mergeCells><mergeCell ref="A1:C1"/></mergeCells>'),
    )
    second = _read(tmp_path, two, **BOOK, table="two", header_row=3)
    assert _cells(second) == expected
    assert second.notes == ("sheet 'two'", "merged headings A1:C1")
    numbers = _read(tmp_path, _book(_sheet([ROWS[0], [1200, -1, -1.0]])), reader="xlsx", year=2020, area_digits=5,
                    symbols={"-1": "suppressed"})  # fmt: skip
    assert _cells(numbers) == {
        ("01200", "people", 2020): "suppressed",
        ("01200", "income", 2020): "suppressed",
    }


@pytest.mark.parametrize(
    ("book", "said"),
    [
        (_book(_sheet(ROWS, row_words=' hidden="1"')), ["hidden rows", "row 3"]),
        (_book(_sheet(ROWS, before='<cols><col min="2" max="2" hidden="1"/></cols>')), ["hidden col", "column 'B'"]),
        (_book(_sheet(ROWS, before='<sheetFormatPr zeroHeight="1"/>')), ["hidden rows"]),
        (_book(_sheet(ROWS, after='<mergeCells><mergeCell ref="A2:A3"/></mergeCells>')), ["merged cells", "A2:A3"]),
        (_book(_sheet([*ROWS, ["a", b"<f>1+1</f><v>2</v>", 3]])), ["formula", "row 4, column 'B'"]),
        (_book(_sheet([*ROWS, ["a", b"<f/><v>2</v>", 3]])), ["formula", "row 4, column 'B'"]),
        (_book(_sheet([*ROWS, ["a", "=1+1", 3]])), ["formula", "row 4"]),
        (_book(_sheet(ROWS), _sheet(ROWS)), ["several sheets", "'one', 'two'"]),
        (_book(_sheet(ROWS).replace('r="C3"', "").replace('r="C2"', 'r="XFD1048576"')), ["larger than a table"]),
        (_book(_sheet(ROWS), extra={"xl/bomb.xml": bytes([32]) * 30_000_000}), ["unpacks to more", "bomb"]),
        (_book('<!DOCTYPE a [<!ENTITY b "c">]>' + _sheet(ROWS)), ["declares entities"]),
        (_book(_sheet(ROWS).encode("utf-16").decode("latin-1")), ["UTF-8"]),
        (_book(_sheet(ROWS))[:-60], ["not a workbook"]),
        (_book(_sheet(ROWS)).replace(b"xl/workbook.xml", b"xl/workbooK.xml"), ["not a workbook"]),
        (b"PK\x03\x04", ["not a workbook"]),
        (b"", ["empty"]),
        (b"<html>", ["web page"]),
        (_book(_sheet([["Alue", "Asukkaat", "Asukkaat"], ["a", 1, 2]])), ["Two columns have one name"]),
        (_book(_sheet([ROWS[0]])), ["no rows of data"]),
        (_book(_sheet([])), ["no header"]),
    ],
)  # fmt: skip
def test_a_workbook_that_hides_something_is_refused(tmp_path: Path, book: bytes, said: list[str]) -> None:
    pytest.importorskip("python_calamine")
    message = _refused(tmp_path, book, **BOOK)
    for words in said:
        assert words in message


def test_a_workbook_that_lies_about_its_sizes_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("python_calamine")
    book = bytearray(_book(_sheet(ROWS)))
    at = book.rindex(b"PK\x01\x02")  # the last entry of the directory: the sheet
    size = struct.unpack_from("<I", book, at + 24)[0]
    struct.pack_into("<I", book, at + 24, size - 10)
    assert "not a workbook" in _refused(tmp_path, bytes(book), **BOOK)


def test_the_real_workbook_of_areas(raw: Path) -> None:
    pytest.importorskip("python_calamine")
    path = raw / "aluesarjat" / "hierarchy" / "Aluehierark_Hki_Esp_Van.xlsx"
    spec = SourceSpec(
        file=path.name, reader="xlsx", vintage=2009, sha256="0" * 64, items=("people",), year=2009,
        area_column="Kaupunginosa", value_column="Suuralue", header_row=2,
    )  # fmt: skip
    labels = {"people": ["Suuralue"]}
    with pytest.raises(MekevalError, match="'Helsinki', 'Espoo', 'Vantaa'"):
        read_source(path, spec, labels)
    with pytest.raises(MekevalError, match=r"row 3, column 'Suuralue'\n  found: 092 1 Myyrmäen suuralue"):
        read_source(path, spec.model_copy(update={"table": "Vantaa"}), labels)


# --- Parquet


def test_parquet(tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    path = tmp_path / "file.txt"
    duckdb.sql(
        "SELECT * FROM (VALUES ('01200', 2019, 12, 20500.5), ('01280', 2019, -1, NULL)) AS t"
        '("Alue", "vuosi", "Asukkaat", "Tulot")'
    ).write_parquet(str(path))
    content = path.read_bytes()
    table = _read(
        tmp_path, content, "parquet", year_column="vuosi", symbols={"-1": "suppressed"}, decimal=","
    )
    assert _cells(table) == {
        ("01200", "people", 2019): 12.0,
        ("01200", "income", 2019): 20500.5,
        ("01280", "people", 2019): "suppressed",
        ("01280", "income", 2019): "missing",
    }
    (tmp_path / "many").mkdir()
    for name in ("a[1].parquet", "a1.parquet", "a*.parquet"):  # a name is a name and no pattern of names
        (tmp_path / "many" / name).write_bytes(content)
        spec = SourceSpec(
            file=name, reader="parquet", vintage=2024, sha256="0" * 64, items=("people",), area_column="Alue",
            year_column="vuosi",
        )  # fmt: skip
        assert len(read_source(tmp_path / "many" / name, spec, LABELS).cells) == 2
    for broken in (content[:-20], b"", b"Alue;Asukkaat", content[20:]):
        assert "not a Parquet file" in _refused(tmp_path, broken, "parquet", year_column="vuosi")


# --- damage


@pytest.mark.parametrize("reader", ["csv", "xlsx", "parquet"])
def test_damaged_files_are_read_or_refused(tmp_path: Path, reader: str) -> None:
    given: dict[str, object] = {"year": 2020}
    if reader == "xlsx":
        pytest.importorskip("python_calamine")
        whole, given = _book(_sheet(ROWS)), BOOK
    elif reader == "parquet":
        duckdb = pytest.importorskip("duckdb")
        duckdb.sql('SELECT \'a\' AS "Alue", 1 AS "Asukkaat", 2.5::DOUBLE AS "Tulot"').write_parquet(
            str(tmp_path / "whole")
        )
        whole, given = (tmp_path / "whole").read_bytes(), {"year": 2020}
    else:
        whole = WIDE.encode()
    chance = random.Random(20230101)
    outcomes = set()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(60 if reader == "parquet" else 300):
            broken = bytearray(whole)
            for _ in range(chance.randint(1, 2)):
                at = chance.randrange(len(broken))
                broken[at : at + chance.randint(0, 2)] = bytes(
                    chance.choices(range(256), k=chance.randint(0, 2))
                )
            if chance.random() < 0.2:
                del broken[chance.randrange(1, len(broken)) :]
            try:
                cells = _read(tmp_path, bytes(broken), **({"reader": reader} | given)).cells
            except MekevalError as error:
                assert "raw/file.txt" in str(error)
                outcomes.add("refused")
            else:
                assert (cells["value"].notna() == (cells["status"] == "ok")).all()
                outcomes.add("read")
    assert "refused" in outcomes
