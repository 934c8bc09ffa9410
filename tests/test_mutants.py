"""Damaged raw files: every reader reads them right or refuses them, within bounds, and tells all faults at once.

The thousand mutants of the real files are in `benchmarks/faults.py`; here are small files of every reader.
"""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import re
import struct
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mekeval.errors import DataError, MekevalError, Place
from mekeval.sources import READERS, STATUSES, RawTable, read_source
from mekeval.sources.rdata import read_frame
from mekeval.study import SourceSpec

LABELS = {"people": ["Asukkaat", "he_vakiy", "127"], "income": ["Tulot", "hr_mtu"]}
AREAS = ("01200", "01280", "01300", "01360")
PEOPLE = (12045, 5120, 7300, 9001)
INCOME = (21052, 20500, 23001, 19870)


def _dbf() -> bytes:
    fields = {"code": 5, "he_vakiy": 6, "hr_mtu": 6}
    head = b"\x03\x7a\x01\x01" + struct.pack(
        "<IHH", len(AREAS), 33 + 32 * len(fields), 1 + sum(fields.values())
    )
    head += bytes(20)
    for name, width in fields.items():
        head += name.encode().ljust(11, b"\0") + b"N" + bytes(4) + bytes([width, 0]) + bytes(14)
    lines = [
        f" {area}{people:6d}{income:6d}" for area, people, income in zip(AREAS, PEOPLE, INCOME, strict=True)
    ]
    return head + b"\r" + "".join(lines).encode() + b"\x1a"


def _px() -> bytes:
    listed = ",".join(f'"{area}"' for area in AREAS)
    lines = "\n".join(f"{people} {income}" for people, income in zip(PEOPLE, INCOME, strict=True))
    return (
        f'CHARSET="ANSI";\nSTUB="Alue";\nHEADING="Tieto";\nVALUES("Alue")={listed};\n'
        f'VALUES("Tieto")="Asukkaat","Tulot";\nDATA=\n{lines};\n'
    ).encode()


def _jsonstat() -> bytes:
    return json.dumps(
        {
            "class": "dataset", "version": "2.0", "id": ["Tiedot", "Alue"], "size": [2, 4],
            "role": {"geo": ["Alue"], "metric": ["Tiedot"]},
            "dimension": {
                "Tiedot": {"category": {"index": ["Asukkaat", "Tulot"]}},
                "Alue": {"category": {"index": list(AREAS)}},
            },
            "value": [*PEOPLE, *INCOME],
        }
    ).encode()  # fmt: skip


def _words(string: str) -> bytes:
    return struct.pack(">ii", 9 | 64 << 12, len(string)) + string.encode()


def _symbol(string: str) -> bytes:
    return struct.pack(">i", 1) + _words(string)


def _rdata() -> bytes:
    """A data frame as R Internals describes it, by hand: texts, doubles, whole numbers."""
    texts = struct.pack(">ii", 16, 4) + b"".join(map(_words, AREAS))
    doubles = struct.pack(">ii4d", 14, 4, *PEOPLE)
    whole = struct.pack(">ii4i", 13, 4, *INCOME)
    names = struct.pack(">ii", 16, 3) + b"".join(map(_words, ("code", "he_vakiy", "hr_mtu")))
    rows = struct.pack(">ii2i", 13, 2, -(2**31), -4)
    kind = struct.pack(">ii", 16, 1) + _words("data.frame")
    tagged = struct.pack(">i", 2 | 1024)
    attributes = b"".join(
        tagged + _symbol(name) + value
        for name, value in (("names", names), ("row.names", rows), ("class", kind))
    ) + struct.pack(">i", 254)
    frame = struct.pack(">ii", 19 | 256 | 512, 3) + texts + doubles + whole + attributes
    return (
        b"RDX2\nX\n" + struct.pack(">iii", 2, 0x030501, 0x020300) + tagged + _symbol("t") + frame
        + struct.pack(">i", 254)
    )  # fmt: skip


def _sheet(cells: str, shared: str = "") -> bytes:
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types"/>',
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="a" '
        f'Type="{office}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{office}"><sheets><sheet name="one" sheetId="1" '
        'r:id="r1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" '
        f'Type="{office}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{main}"><sheetData>{cells}</sheetData></worksheet>',
    } | ({"xl/sharedStrings.xml": f'<sst xmlns="{main}">{shared}</sst>'} if shared else {})
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as book:
        for name, text in parts.items():
            book.writestr(name, text)
    return out.getvalue()


def _line(number: int, *cells: object, kind: str = "") -> str:
    written = "".join(
        f'<c r="{letter}{number}"{kind}><v>{cell}</v></c>'
        if not isinstance(cell, str)
        else f'<c r="{letter}{number}" t="inlineStr"><is><t>{cell}</t></is></c>'
        for letter, cell in zip("ABCDEF", cells, strict=False)
    )
    return f'<row r="{number}">{written}</row>'


def _xlsx() -> bytes:
    rows = zip(AREAS, PEOPLE, INCOME, strict=True)
    body = "".join(_line(at, *row) for at, row in enumerate(rows, start=2))
    return _sheet(_line(1, "code", "Asukkaat", "Tulot") + body)


def _csv(mark: str, *head: str) -> bytes:
    rows = zip(AREAS, PEOPLE, INCOME, strict=True)
    return "".join(f"{mark.join(map(str, row))}\n" for row in [head, *rows]).encode()


def _long() -> bytes:
    lines = [
        f'"{area}","{name}",{value}\r\n'
        for area, people, income in zip(AREAS, PEOPLE, INCOME, strict=True)
        for name, value in (("Asukkaat", people), ("Tulot", income))
    ]
    return ('"T"\r\n\r\n"A","I","2020"\r\n' + "".join(lines)).encode()


def _sotkanet() -> list[dict[str, object]]:
    return [
        {"indicator": 127, "region": int(area), "year": 2020, "gender": "total", "value": people}
        for area, people in zip(AREAS, PEOPLE, strict=True)
    ]


def _sotkanet_csv() -> bytes:
    lines = [";".join(map(str, record.values())) for record in _sotkanet()]
    return "\n".join(["indicator;region;year;gender;value", *lines, ""]).encode()


CODE: Mapping[str, object] = {"area_column": "code", "year": 2020}
#: Name -> reader, the file and the study's words on it.
FILES: Mapping[str, tuple[str, Callable[[], bytes], Mapping[str, object]]] = {
    "theme": ("pxweb-csv", lambda: _csv(",", "Alue", '"Asukkaat, 2020"', '"Tulot, 2020"'), {}),
    "long": ("pxweb-csv", _long, {}),
    "wide": ("paavo-wide", lambda: _csv(";", "code", "he_vakiy", "hr_mtu"), CODE),
    "geojson": (
        "paavo-geojson",
        lambda: json.dumps({"features": [
            {"properties": {"code": area, "he_vakiy": people, "hr_mtu": income}}
            for area, people, income in zip(AREAS, PEOPLE, INCOME, strict=True)
        ]}).encode(),
        CODE,
    ),
    "dbf": ("paavo-dbf", _dbf, CODE),
    "paavo-rdata": ("paavo-rdata", lambda: gzip.compress(_rdata()), {**CODE, "table": "t"}),
    "rdata": ("rdata", _rdata, {**CODE, "table": "t", "items": ("people", "income")}),
    "px": ("px", _px, {"area_column": "Alue", "item_column": "Tieto", "year": 2020}),
    "json-stat": ("json-stat", _jsonstat, {"year": 2020}),
    "sotkanet-json": (
        "sotkanet-json",
        lambda: json.dumps(_sotkanet()).encode(),
        {"items": ("people",), "area_digits": 5, "take": {"gender": "total"}},
    ),
    "sotkanet-csv": (
        "sotkanet-csv",
        _sotkanet_csv,
        {"items": ("people",), "area_digits": 5},
    ),
    "csv": ("csv", lambda: _csv(";", "code", "Asukkaat", "Tulot"), CODE),
    "xlsx": ("xlsx", _xlsx, CODE),
}  # fmt: skip


def _read(content: bytes, name: str, **changes: object) -> RawTable:
    reader, _, given = FILES[name]
    words = {
        "file": "raw/file",
        "reader": reader,
        "vintage": 2024,
        "sha256": "0" * 64,
        "items": ("people", "income"),
    }
    labels = LABELS if name != "rdata" else {"people": ["he_vakiy"], "income": ["hr_mtu"]}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        path.write_bytes(content)
        return read_source(path, SourceSpec.model_validate({**words, **given, **changes}), labels)


def _cells(table: RawTable) -> dict[tuple[str, str, int], float | str]:
    return {
        (row["area_label"], row["item"], row["year"]): row["value"]
        if row["status"] == "ok"
        else row["status"]
        for row in table.cells.to_dict("records")
    }


def _refusal(content: bytes, name: str, **changes: object) -> MekevalError:
    with pytest.raises(MekevalError) as caught:
        _read(content, name, **changes)
    assert "raw/file" in str(caught.value)
    return caught.value


EXPECTED = {
    (area, item, 2020): float(value)
    for item, values in (("people", PEOPLE), ("income", INCOME))
    for area, value in zip(AREAS, values, strict=True)
}


@pytest.mark.parametrize("name", FILES)
def test_every_small_file_is_read_as_it_was_written(name: str) -> None:
    expected = {
        key: value for key, value in EXPECTED.items() if not name.startswith("sotkanet") or key[1] == "people"
    }
    assert _cells(_read(FILES[name][1](), name)) == expected


# --- damage

EDITS = st.lists(
    st.tuples(
        st.integers(0, 2**31),
        st.sampled_from([0, 1, 1, 2, 7, 40]),
        st.one_of(
            st.binary(max_size=3),
            st.sampled_from(
                [
                    b"\x00",
                    b'"',
                    b",",
                    b";",
                    b"\n",
                    b"\r\n",
                    b"<html>",
                    b"..",
                    b"-1",
                    b"1e999",
                    b"9" * 400,
                    b"\xff\xff\xff\xff",
                ]
            ),
        ),
    ),
    min_size=1,
    max_size=4,
)


@pytest.mark.parametrize("name", FILES)
@settings(
    max_examples=60, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
@given(edits=EDITS)
def test_a_damaged_file_is_read_or_refused(name: str, edits: list[tuple[int, int, bytes]]) -> None:
    broken = bytearray(FILES[name][1]())
    for at, gone, new in edits:
        place = at % (len(broken) + 1)
        broken[place : place + gone] = new
    try:
        cells = _read(bytes(broken), name).cells
    except MekevalError as error:
        assert str(error)
        assert all(fault.what for fault in error.faults)
    else:
        assert (cells["value"].notna() == (cells["status"] == "ok")).all()
        assert set(cells["status"]) <= set(STATUSES)
        assert len(cells)


@pytest.mark.parametrize("name", [name for name in FILES if name not in ("paavo-rdata", "xlsx", "rdata")])
def test_a_changed_digit_changes_its_own_cell_and_no_other(name: str) -> None:
    whole = FILES[name][1]()
    for area, people in zip(AREAS, PEOPLE, strict=True):
        old = str(people).encode()
        assert whole.count(old) == 1
        new = old[:-1] + (b"8" if old[-1:] != b"8" else b"7")
        found = _cells(_read(whole.replace(old, new), name))
        assert found.pop((area, "people", 2020)) == float(new)
        assert found == {key: EXPECTED[key] for key in found}
        assert len(found) == len(EXPECTED) - 1 or name.startswith("sotkanet")


@pytest.mark.parametrize("name", FILES)
def test_a_file_cut_anywhere_never_gives_another_number(name: str) -> None:
    whole = FILES[name][1]()
    for cut in range(1, len(whole), 1 if len(whole) < 400 else 7):
        try:
            table = _read(whole[:cut], name)
        except MekevalError:
            continue
        wrong = {key for key, value in _cells(table).items() if EXPECTED.get(key) != value}
        # A table of unknown make may end without a line's end: then it is said.
        said = any("no end" in note for note in table.notes)
        assert not wrong or (said and len(wrong) == 1 and name in ("csv", "sotkanet-csv"))


def test_the_makers_that_end_every_line_are_held_to_it() -> None:
    for name in ("theme", "long", "wide"):
        error = _refusal(FILES[name][1]().rstrip(), name)
        assert "last line has no end" in str(error)
        assert error.faults[0].place is not None
    assert _read(FILES["csv"][1]().rstrip(), "csv").notes[-1].startswith("the last line has no end")


def test_a_long_table_cut_between_two_rows_of_its_last_area_is_refused() -> None:
    whole = FILES["long"][1]()
    cut = whole[: whole.rstrip().rindex(b"\n") + 1]
    assert "last area has fewer rows" in str(_refusal(cut, "long"))


# --- all faults at once


@pytest.mark.parametrize(
    "name", ["theme", "long", "wide", "geojson", "dbf", "px", "csv", "json-stat", "sotkanet-json"]
)
def test_all_bad_cells_are_told_at_once_with_their_places(name: str) -> None:
    whole = FILES[name][1]()
    for people in PEOPLE[:3]:
        text = str(people).encode()
        bad = b"x" * len(text)
        quoted = name in ("geojson", "json-stat", "sotkanet-json")
        whole = whole.replace(text, b'"' + bad + b'"' if quoted else bad)
    error = _refusal(whole, name)
    assert [fault.found for fault in error.faults] == ["xxxxx", "xxxx", "xxxx"]
    places = [fault.place for fault in error.faults]
    assert all(isinstance(place, Place) and place.file == "raw/file" and place.row for place in places)
    rows = [place.row for place in places if place is not None]
    assert rows == sorted(set(rows))


def test_the_faults_of_a_file_are_bounded_and_the_rest_is_counted() -> None:
    lines = "".join(f"{n},many,1\n" for n in range(1500))
    error = _refusal(('Alue,"Asukkaat, 2020","Tulot, 2020"\n' + lines).encode(), "theme")
    assert len(error.faults) == 1001
    assert "500 more faults" in error.faults[-1].what
    assert error.faults[999].place == Place(file="raw/file", row=1001, column="Asukkaat, 2020")


def test_ragged_rows_bad_cells_and_missing_columns_come_together() -> None:
    text = b"code;Asukkaat;Tuloja\na;1;2\nb;1\nc;x;3\n;4;5\n"
    said = str(_refusal(text, "csv"))
    for words in (
        "4 faults",
        "row 3",
        "2 cells",
        "row 4, column 'Asukkaat'",
        "found: x",
        "row 5",
        "names no area",
        "item 'income'",
    ):
        assert words in said


# --- text: encodings, ends, quotes


def test_text_in_several_encodings() -> None:
    text = FILES["csv"][1]().decode().replace("01200", "01200 Länsimäki")
    for encoding, said in (("utf-16", "UTF-16"), ("utf-8-sig", "UTF-8"), ("latin-1", "ISO-8859-1")):
        table = _read(text.encode(encoding), "csv")
        assert table.notes[0] == said
        assert "01200 Länsimäki" in set(table.cells["area_label"])
    assert "UTF-16" in str(_refusal(text.encode("utf-16-le"), "csv"))
    mixed = text.replace("01280", "01280 Myyrmäki").encode().replace("ä".encode(), b"\xe4", 1)
    error = str(_refusal(mixed, "csv"))
    assert "UTF-8 but for some bytes" in error
    assert "row 2" in error


def test_white_space_that_no_file_has_is_damage() -> None:
    for mark in ("\x0c", "\x1c", "\x85", "\x0b"):
        assert "row 2" in str(_refusal(FILES["csv"][1]().replace(b"12045", f"1204{mark}".encode()), "csv"))


def test_an_open_quote_swallows_no_rows() -> None:
    text = FILES["csv"][1]().replace(b"01280", b'"01280').replace(b"01300", b'01300"')
    assert "row 3" in str(_refusal(text, "csv"))


def test_notes_under_the_table_are_left_out_where_the_study_says_so() -> None:
    text = FILES["csv"][1]() + "\nLähde: Tilastokeskus\n".encode()
    assert "footer_rows = 1" in str(_refusal(text, "csv"))
    table = _read(text, "csv", footer_rows=1)
    assert _cells(table) == EXPECTED
    assert "1 rows at the end left out, from row 7" in table.notes


def test_months_and_quarters_are_refused_with_what_to_do() -> None:
    text = b"code;aika;Asukkaat;Tulot\na;2020M03;1;2\nb;2020Q1;3;4\n"
    error = _refusal(text, "csv", year_column="aika", year=None)
    assert len(error.faults) == 2
    assert "month" in error.faults[0].what
    assert 'take = { "aika" = "2020M03" } and year = 2020' in error.faults[0].fix
    assert _cells(_read(text, "csv", take={"aika": "2020M03"})) == {
        ("a", "people", 2020): 1.0,
        ("a", "income", 2020): 2.0,
    }
    provisional = _read(
        text.replace(b"2020M03", b"2020*").replace(b"2020Q1", b"2021"), "csv", year_column="aika", year=None
    )
    assert {year for _, _, year in _cells(provisional)} == {2020, 2021}


def test_symbols_of_the_study_are_known_to_every_reader() -> None:
    for name in ("theme", "long", "wide", "dbf"):
        hidden = FILES[name][1]().replace(b"12045", b"   :x"[-5:])
        assert "found: :x" in str(_refusal(hidden, name))
        assert (
            _cells(_read(hidden, name, symbols={":x": "suppressed"}))["01200", "people", 2020] == "suppressed"
        )


# --- bounds


@pytest.mark.parametrize("reader", READERS)
def test_no_reader_opens_a_file_of_two_gigabytes(tmp_path: Path, reader: str) -> None:
    path = tmp_path / "file"
    with path.open("wb") as file:
        file.truncate(2**31)  # takes no place on the disk
    spec = SourceSpec(
        file="raw/file", reader=reader, vintage=2020, sha256="0" * 64, items=("people",), table="t"
    )
    with pytest.raises(DataError, match="too large"):
        read_source(path, spec, LABELS)


@pytest.mark.parametrize("name", ["theme", "wide", "csv", "sotkanet-csv"])
def test_a_table_of_very_many_columns_is_refused(name: str) -> None:
    names = ",".join(f"c{n}" for n in range(50_000))
    assert "more columns" in str(_refusal(f"code,{names}\n1{',1' * 50_000}\n".encode(), name))


@pytest.mark.parametrize("name", ["json-stat", "sotkanet-json", "geojson"])
def test_json_that_is_deep_or_heavy_is_refused(name: str) -> None:
    for content in (b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 100_000 + b"1" + b"}" * 100_000):
        assert "JSON" in str(_refusal(content, name))
    assert "lists and objects" in str(_refusal(b"[" + b"[]," * 4_200_000 + b"[]]", name))


def test_a_product_of_dimensions_beyond_all_numbers_is_refused() -> None:
    values = ",".join(f'"{n}"' for n in range(700))
    names = ",".join(f'"D{n}"' for n in range(1600))
    many = "".join(f'VALUES("D{n}")={values};' for n in range(1600))
    assert "too many cells" in str(
        _refusal(f'STUB={names};HEADING="D0x";VALUES("D0x")="1";{many}DATA=1;'.encode(), "px")
    )
    huge = b"9" * 4000
    sizes = b'{"class":"dataset","id":["a","b"],"size":[' + huge + b"," + huge + b'],"dimension":{}}'
    assert "too many cells" in str(_refusal(sizes, "json-stat"))


def test_lines_of_a_px_file_that_make_up_for_each_other_are_refused() -> None:
    lines = "\n".join(f"{n} {n + 1}" for n in range(10, 40))
    areas = ",".join(f'"{n}"' for n in range(30))
    text = f'STUB="Alue";HEADING="Tieto";VALUES("Alue")={areas};VALUES("Tieto")="Asukkaat","Tulot";\nDATA=\n{lines};\n'
    assert len(_read(text.encode(), "px").cells) == 60
    moved = text.replace("\n12 13\n", "\n12\n").replace("\n25 26\n", "\n25 26 13\n")
    error = _refusal(moved.encode(), "px")
    assert [fault.found for fault in error.faults] == ["1 cells", "3 cells"]


def test_a_dbase_table_that_announces_other_numbers_than_it_holds_is_refused() -> None:
    whole = _dbf()
    for count in (0, 3, 5, 4_000_000_000):
        broken = whole[:4] + struct.pack("<I", count) + whole[8:]
        assert "dBASE" in str(_refusal(broken, "dbf")) or "no rows" in str(_refusal(broken, "dbf"))
    binary = whole[: 32 + 32 + 11] + b"I" + whole[32 + 32 + 12 :]
    error = _refusal(binary, "dbf")
    assert "no text" in error.faults[0].what
    assert error.faults[0].place == Place(file="raw/file", column="he_vakiy")
    start = 33 + 32 * 3
    flagged = whole[:start] + b"x" + whole[start + 1 :]
    assert "row 1" in str(_refusal(flagged, "dbf"))


def test_a_record_of_sotkanet_with_a_misspelt_key_is_not_passed_over() -> None:
    for key in ("indicator", "gender", "region", "year", "value"):
        records = _sotkanet()
        records[2][key + "x"] = records[2].pop(key)
        assert f"row 3, column '{key}'" in str(_refusal(json.dumps(records).encode(), "sotkanet-json"))


# --- workbooks


def test_workbooks_name_every_formula_and_every_error() -> None:
    pytest.importorskip("python_calamine")
    head = _line(1, "code", "Asukkaat", "Tulot")
    formulas = (
        head
        + _line(2, "a", 1, 2).replace("<v>1", "<f>1</f><v>1")
        + _line(3, "b", 1, 2).replace("<v>2", "<f/><v>2")
    )
    error = _refusal(_sheet(formulas), "xlsx")
    assert [fault.place for fault in error.faults] == [
        Place(file="raw/file", row=2, column="B"),
        Place(file="raw/file", row=3, column="C"),
    ]
    wrong = head + _line(2, "a", 1, 2).replace('<c r="B2"><v>1', '<c r="B2" t="e"><v>#DIV/0!')
    said = _refusal(_sheet(wrong), "xlsx")
    assert "error of the spreadsheet" in str(said)
    assert said.faults[0].place == Place(file="raw/file", row=2, column="B")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('r="B2"', 'r="Bl"', "place of a cell"),
        ('r="B2"', 'r="C2"', "stands twice"),
        ("<v>1</v>", "<w>1</w>", "<w>"),
    ],
)
def test_cells_that_a_reader_of_workbooks_would_skip_are_refused(old: str, new: str, said: str) -> None:
    pytest.importorskip("python_calamine")
    cells = _line(1, "code", "Asukkaat", "Tulot") + _line(2, "a", 1, 2)
    assert old in cells
    assert said in str(_refusal(_sheet(cells.replace(old, new)), "xlsx"))


def test_a_text_that_many_cells_share_is_counted_as_often() -> None:
    pytest.importorskip("python_calamine")
    cells = "".join(f'<row r="{n}"><c r="A{n}" t="s"><v>0</v></c></row>' for n in range(1, 3000))
    error = _refusal(_sheet(cells, f"<si><t>{'x' * 200_000}</t></si>"), "xlsx")
    assert "unpacks to more" in str(error)


# --- R data


def test_r_data_is_read_as_pyreadr_reads_it(tmp_path: Path) -> None:
    pyreadr = pytest.importorskip("pyreadr")
    frame = pd.DataFrame(
        {
            "text": ["01200 Länsimäki", "b", "c"],
            "double": [1.5, float("nan"), -1e300],
            "whole": pd.array([1, 2, 3], dtype="int32"),
            "truth": [True, False, True],
        }
    )
    for compress in ("gzip", None):
        path = tmp_path / f"{compress}.RData"
        pyreadr.write_rdata(str(path), frame, df_name="t", compress=compress)
        found = read_frame(path, "t", "raw/file")
        assert found.names == tuple(frame.columns)
        assert found.columns == (
            ["01200 Länsimäki", "b", "c"], [1.5, None, -1e300], [1, 2, 3], [True, False, True]
        )  # fmt: skip


def test_the_real_r_data_are_read_as_pyreadr_reads_them(raw: Path) -> None:
    pyreadr = pytest.importorskip("pyreadr")
    path = raw / "sotkanet" / "sotkadata_population.rda"
    theirs = pyreadr.read_r(str(path))["sotkadata_population"]
    ours = read_frame(path, "sotkadata_population", path.name)
    assert ours.names == tuple(theirs.columns)
    assert [list(column or ()) for column in ours.columns] == [theirs[name].tolist() for name in theirs]


def _with_class(column: bytes, kind: str) -> bytes:
    """A double vector with a class, instead of the one without attributes."""
    attributes = (
        struct.pack(">i", 2 | 1024)
        + _symbol("class")
        + struct.pack(">ii", 16, 1)
        + _words(kind)
        + struct.pack(">i", 254)
    )
    return struct.pack(">i", 14 | 256 | 512) + column[4:] + attributes


def test_numbers_of_64_bits_in_r_are_no_doubles() -> None:
    old = struct.pack(">ii4d", 14, 4, *PEOPLE)
    new = _with_class(struct.pack(">ii4q", 14, 4, 12045, -(2**63), 7300, 2**40), "integer64")
    whole = _rdata()
    # Symbols that stand once already are named by number in R's own files; a second symbol is as good.
    cells = _cells(_read(whole.replace(old, new), "rdata"))
    assert [cells[area, "people", 2020] for area in AREAS] == [12045.0, "missing", 7300.0, float(2**40)]


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_r_data_are_unpacked_within_bounds(
    pack: Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mekeval.sources.rdata.MOST_UNPACKED", 1_000_000)
    assert _cells(_read(pack(_rdata()), "rdata")) == EXPECTED
    assert "unpacks to more" in str(_refusal(pack(b"RDX2\nX\n" + bytes(1_100_000)), "rdata"))
    packed = bytearray(pack(_rdata() + bytes(200)))
    packed[-3] ^= 1  # the sum over the content
    assert "not an R data file" in str(_refusal(bytes(packed), "rdata"))


def test_r_data_with_lengths_that_the_file_does_not_hold_are_refused() -> None:
    head = b"RDX2\nX\n" + struct.pack(">iii", 2, 0, 0) + struct.pack(">i", 2 | 1024) + _symbol("t")
    for tail in (
        struct.pack(">ii", 14, 2**31 - 1),
        struct.pack(">iiii", 14, -1, 2, 0),
        struct.pack(">ii", 16, 2**30),
        struct.pack(">ii", 19, 1) * 5_000,
        struct.pack(">i", 255 | 77 << 8),
        struct.pack(">i", 21),
        b"",
    ):
        assert "not an R data file" in str(_refusal(head + tail, "rdata"))
    for start in (b"RDA3\nA\n", b"RDB3\nB\n", b"PK\x03\x04"):
        assert "not an R data file" in str(_refusal(start + bytes(40), "rdata"))


# --- Parquet


def test_parquet_within_bounds(tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    words = {
        "file": "raw/file",
        "reader": "parquet",
        "vintage": 2024,
        "sha256": "0" * 64,
        "items": ("people",),
    }
    spec = SourceSpec.model_validate({**words, "area_column": "a", "year": 2020})
    path = tmp_path / "file"
    for query, said in (
        ("SELECT 1 AS a, 2 AS Asukkaat FROM range(6000000)", "larger than a table"),
        ("SELECT repeat('x', 100000) AS a, 2 AS Asukkaat FROM range(50)", "longer than the texts"),
        ("SELECT 'x' AS a, 2 AS Asukkaat WHERE false", "no rows"),
        ("SELECT 'x' AS a, 2 AS Asukkaat, 3 AS ASUKKAAT_ FROM range(2)", "several"),
    ):
        duckdb.sql(query).write_parquet(str(path))
        with pytest.raises(MekevalError, match=said if said != "several" else "Several rows"):
            read_source(path, spec, LABELS)
    duckdb.sql("SELECT 'x' AS a, 2 AS Asukkaat, [1, 2] AS list, 'b'::BLOB AS shape").write_parquet(str(path))
    table = read_source(path, spec, LABELS)
    assert _cells(table) == {("x", "people", 2020): 2.0}
    assert re.search("left aside: list.*shape", table.notes[-1])
