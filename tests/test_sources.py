"""Readers: both PxWeb layouts, wide tables, GeoJSON, dBASE and R data; what they read and what they refuse."""

from __future__ import annotations

import json
import random
import struct
import warnings
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pyreadr
import pytest

from mekeval.errors import DataError, MekevalError, StudyError
from mekeval.sources import READERS, STATUSES, RawTable, read_source
from mekeval.sources.labels import split_label
from mekeval.study import SourceSpec, Study

LABELS = {
    "people": ["Inhabitants, total (HE)", "Asuntoväestö", "he_vakiy", "people"],
    "income": ["Median income (HR)", "hr_mtu", "income"],
}
THEME = '"Area","Inhabitants, total, 2016 (HE)","Median income, 2015 (HR)"\n'


def _spec(reader: str, **given: object) -> SourceSpec:
    words: dict[str, object] = {
        "file": "raw/file.txt", "reader": reader, "vintage": 2020, "sha256": "0" * 64, "items": ("people", "income")
    }  # fmt: skip
    return SourceSpec.model_validate(words | given)


def _read(folder: Path, content: bytes | str, reader: str = "pxweb-csv", **given: object) -> RawTable:
    path = folder / "file.txt"
    path.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
    return read_source(path, _spec(reader, **given), LABELS)


def _cells(table: RawTable) -> dict[tuple[str, str, int], float | str]:
    """(area, item, year) -> the number, or why there is none."""
    return {
        (row["area_label"], row["item"], row["year"]): row["value"]
        if row["status"] == "ok"
        else row["status"]
        for row in table.cells.to_dict("records")
    }


def _refused(folder: Path, content: bytes | str, reader: str = "pxweb-csv", **given: object) -> str:
    with pytest.raises(MekevalError) as caught:
        _read(folder, content, reader, **given)
    message = str(caught.value)
    assert "raw/file.txt" in message
    return message


def _dbf(fields: Mapping[str, int], rows: list[list[bytes]], *, flags: bytes = b"") -> bytes:
    """A dBASE III table, written by hand from its description."""
    flags = flags or b" " * len(rows)
    header = b"\x03\x7a\x01\x01" + struct.pack(
        "<IHH", len(rows), 33 + 32 * len(fields), 1 + sum(fields.values())
    )
    header += bytes(20)
    for name, width in fields.items():
        header += name.encode().ljust(11, b"\x00") + b"C" + bytes(4) + bytes([width, 0]) + bytes(14)
    body = b"".join(
        bytes([flag]) + b"".join(cell.ljust(width) for cell, width in zip(row, fields.values(), strict=True))
        for flag, row in zip(flags, rows, strict=True)
    )
    return header + b"\x0d" + body + b"\x1a"


def _geojson(*properties: object) -> str:
    return json.dumps(
        {"type": "FeatureCollection", "features": [{"properties": each} for each in properties]}
    )


# --- what is read


def test_the_theme_layout(tmp_path: Path) -> None:
    table = _read(tmp_path, THEME + '"01200 Hakunila",12045,21052\n"01770 Empty",0,0\n')
    assert _cells(table) == {
        ("01200 Hakunila", "people", 2016): 12045.0,
        (
            "01770 Empty",
            "people",
            2016,
        ): 0.0,  # a zero is passed on as it is: what it means is not decided here
        ("01200 Hakunila", "income", 2015): 21052.0,
        ("01770 Empty", "income", 2015): 0.0,
    }
    assert (table.file, table.vintage, table.notes) == ("raw/file.txt", 2020, ("UTF-8", "separator ','"))
    assert list(table.cells["row"]) == [2, 3, 2, 3]
    assert table.cells["column"].iloc[0] == "Inhabitants, total, 2016 (HE)"


def test_the_long_layout_with_its_title_and_empty_line(tmp_path: Path) -> None:
    table = _read(
        tmp_path,
        '"12f7 -- 9. All data groups, 2020-2021"\r\n\r\n"Area","Information","2020","2021"\r\n'
        '"00100  Helsinki","Inhabitants, total (HE)",18373,18400\r\n'
        '"00100  Helsinki","Surface area",1,1\r\n'
        '"00100  Helsinki","Median income (HR)","..",30000\r\n',
    )
    assert _cells(table) == {
        ("00100  Helsinki", "people", 2020): 18373.0,
        ("00100  Helsinki", "people", 2021): 18400.0,
        ("00100  Helsinki", "income", 2020): "suppressed",
        ("00100  Helsinki", "income", 2021): 30000.0,
    }
    assert sorted(table.cells["row"]) == [4, 4, 6, 6]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_wide_table_with_its_area_column_and_one_year(tmp_path: Path, separator: str) -> None:
    text = "\n".join(
        separator.join(row) for row in (["he_vakiy", "code", "hr_mtu"], ["12", "01200", "-1"], [])
    )
    table = _read(tmp_path, text, "paavo-wide", area_column="code", year=2022)
    assert _cells(table) == {("01200", "people", 2022): 12.0, ("01200", "income", 2022): "suppressed"}
    assert table.notes[1] == f"separator {separator!r}"


def test_years_by_item_by_group_and_for_all(tmp_path: Path) -> None:
    text = "code;he_vakiy;hr_mtu\n01200;12;3\n"
    for years in (
        {"HE": 2017, "HR": 2016},
        {"he_vakiy": 2017, "hr_mtu": 2016},
        {"hr": 2016, "HE_VAKIY": 2017},
    ):
        table = _read(tmp_path, text, "paavo-wide", years=years)
        assert set(_cells(table)) == {("01200", "people", 2017), ("01200", "income", 2016)}
    table = _read(tmp_path, text, "paavo-wide", years={"HR": 2016}, year=2019)
    assert set(_cells(table)) == {("01200", "people", 2019), ("01200", "income", 2016)}


def test_geojson_properties(tmp_path: Path) -> None:
    text = _geojson(
        {"code": "01200", "he_vakiy": 12, "hr_mtu": 20500.5},
        {"code": "01300", "he_vakiy": -1, "hr_mtu": None},
        {"code": "01400", "hr_mtu": 0},
    )
    for content in (text.encode(), b"\xef\xbb\xbf" + text.encode()):
        table = _read(tmp_path, content, "paavo-geojson", area_column="code", year=2022)
        assert _cells(table) == {
            ("01200", "people", 2022): 12.0,
            ("01300", "people", 2022): "suppressed",
            ("01400", "people", 2022): "missing",  # the feature does not speak of it
            ("01200", "income", 2022): 20500.5,
            ("01300", "income", 2022): "missing",
            ("01400", "income", 2022): 0.0,
        }


def test_dbase_fields(tmp_path: Path) -> None:
    content = _dbf(
        {"code": 5, "nimi": 9, "he_vakiy": 5, "hr_mtu": 5},
        [
            [b"01200", "Länsimäki".encode()[:9], b"   12", b"20500"],
            [b"01300", b"", b"   -1", b""],
            [b"01770", b"", b"    0", b"*****"],
            [b"01999", b"deleted", b"    7", b"    7"],
        ],
        flags=b"   *",
    )
    table = _read(tmp_path, content, "paavo-dbf", area_column="code", year=2017)
    assert _cells(table) == {
        ("01200", "people", 2017): 12.0,
        ("01300", "people", 2017): "suppressed",
        ("01770", "people", 2017): 0.0,
        ("01200", "income", 2017): 20500.0,
        ("01300", "income", 2017): "missing",
        ("01770", "income", 2017): "overflow",
    }


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_names_in_a_dbase_table_tell_their_encoding(tmp_path: Path, encoding: str) -> None:
    content = _dbf({"nimi": 12, "he_vakiy": 5, "hr_mtu": 5}, [["Länsimäki".encode(encoding), b"1", b"2"]])
    (tmp_path / "file.cpg").write_bytes(
        b"no such encoding \xff"
    )  # not covered by the checksum, so not believed
    table = _read(tmp_path, content, "paavo-dbf", area_column="nimi", year=2017)
    assert set(table.cells["area_label"]) == {"Länsimäki"}


def test_r_data(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"code": ["01200", "01300"], "people": [12.0, float("nan")], "income": [-1.0, 20500.0]}
    )
    path = tmp_path / "file.RData"
    pyreadr.write_rdata(str(path), frame, df_name="pnro")
    given = {"file": "file.RData", "area_column": "code", "year": 2019}
    table = read_source(path, _spec("paavo-rdata", table="pnro", **given), LABELS)
    assert _cells(table) == {
        ("01200", "people", 2019): 12.0,
        ("01300", "people", 2019): "missing",
        ("01200", "income", 2019): "suppressed",
        ("01300", "income", 2019): 20500.0,
    }
    with pytest.raises(DataError, match="closest: 'pnro'"):
        read_source(path, _spec("paavo-rdata", table="pno", **given), LABELS)
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(DataError, match="not an R data file"):
        read_source(path, _spec("paavo-rdata", table="pnro", **given), LABELS)


def test_every_missing_symbol_of_pxweb_is_kept_apart(tmp_path: Path) -> None:
    marks = ["..", ".", "...", "", "-", "0", "*****", "7"]
    table = _read(tmp_path, THEME + "".join(f"a{n},{mark},1\n" for n, mark in enumerate(marks)))
    people = table.cells[table.cells["item"] == "people"]
    assert list(people["status"]) == [
        "suppressed", "not_applicable", "missing", "missing", "ok", "ok", "overflow", "ok"
    ]  # fmt: skip
    assert people["value"].fillna(-9).tolist() == [-9, -9, -9, -9, 0, 0, -9, 7]  # "-" is PxWeb's true zero
    assert set(table.cells["status"]) <= set(STATUSES)


@pytest.mark.parametrize(
    ("encoding", "name", "found"),
    [
        ("latin-1", "Länsimäki", "ISO-8859-1"),
        ("utf-8", "Länsimäki", "UTF-8"),
        ("utf-8-sig", "Länsimäki", "UTF-8"),
        ("windows-1252", "Länsimäki – Šakki", "WINDOWS-1252"),
    ],
)
def test_encodings_are_found_and_said(tmp_path: Path, encoding: str, name: str, found: str) -> None:
    table = _read(
        tmp_path, f'"Area","Asuntoväestö, 2016","hr_mtu"\n"{name}",1,2\n'.encode(encoding), years={"HR": 2016}
    )
    assert set(table.cells["area_label"]) == {name}
    assert table.notes[0] == found


def test_labels_match_whatever_their_case_and_spaces(tmp_path: Path) -> None:
    table = _read(tmp_path, THEME.replace("Median income", "MEDIAN   income ") + "a,1,2\n")
    assert _cells(table)["a", "income", 2015] == 2.0


@pytest.mark.parametrize(
    ("header", "item", "year"),
    [
        ("Median income of inhabitants, 2015 (HR)", "Median income of inhabitants (HR)", 2015),
        ("Asuntoväestö, 2010", "Asuntoväestö", 2010),
        ("25-44-vuotiaat, ei tutkintoa, 2024", "25-44-vuotiaat, ei tutkintoa", 2024),
        ("hr_mtu", "hr_mtu", None),
        ("Postinumero 01200", "Postinumero 01200", None),
    ],
)  # fmt: skip
def test_years_in_column_names(header: str, item: str, year: int | None) -> None:
    assert split_label(header) == (item, year)


# --- what is refused


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", ["empty"]),
        (b" \n \n", ["empty"]),
        (b"\xef\xbb\xbf", ["empty"]),
        (b"<!DOCTYPE html><html><body>Service unavailable", ["web page", "<!DOCTYPE html>"]),
        (b"\xef\xbb\xbf\n<html><head>", ["web page"]),
        (THEME.encode() + b"a,1,2\nb,\x00,3\n", ["NUL byte", "row 3"]),
        (THEME.encode(), ["no rows of data", "header only"]),
        (b'"Area","Information","2020"\n', ["no rows of data", "header only"]),
        (THEME.encode() + b"a,1,2\nb,1\n", ["row 3", "2 cells", "3 cells", "cut off"]),
        (THEME.encode() + b'a,1,2\n"b,1,', ["row 3", "cut off", "not valid CSV"]),
        (THEME.encode() + b"a,1,2,3\n", ["row 2", "4 cells"]),
        (THEME.encode() + b"a,1,2\nb,many,3\n", ["row 3", "'Inhabitants, total, 2016 (HE)'", "found: many"]),
        (THEME.encode() + b"a,1,2\nb,2,nan\n", ["row 3", "found: nan"]),
        (THEME.encode() + b"a,1e999,2\n", ["row 2", "found: 1e999"]),
        (THEME.encode() + b'a,"1 200",2\n', ["row 2", "found: 1 200"]),
        (THEME.encode() + b'a,"12,5",2\n', ["row 2", "found: 12,5"]),
        (THEME.encode() + b"a,\x81,2\n\xe4", ["encoding of the file is not known"]),
        (THEME.replace("Median income, 2015", "Inhabitants, total, 2016").replace("HR", "HE").encode() + b"a,1,2\n",
         ["Two columns have one name", "row 1", "Inhabitants"]),
        (THEME.replace("Median", "Mean").encode() + b"a,1,2\n",
         ["item 'income'", "Mean income", "'Median income (HR)'"]),
        (THEME.replace(", 2015", "").encode() + b"a,1,2\n",
         ["year of a column is not known", "Median income (HR)", "HR"]),
        (b"one column\nonly\n", ["no header row"]),
    ],
    ids=lambda value: "" if isinstance(value, bytes) else value[0],
)  # fmt: skip
def test_a_broken_csv_is_refused_with_its_place(tmp_path: Path, content: bytes, said: list[str]) -> None:
    message = _refused(tmp_path, content)
    for words in said:
        assert words in message


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("<html>502 Bad Gateway</html>", ["web page"]),
        ("", ["empty"]),
        ('{"features": [{"properties": {"co', ["GeoJSON"]),
        ('{"type": "Feature"}', ["GeoJSON", "features"]),
        ('{"features": {"a": 1}}', ["GeoJSON"]),
        ("[1]", ["GeoJSON"]),
        ("[" * 100_000, ["GeoJSON"]),
        (_geojson(None), ["GeoJSON"]),
        (_geojson(["code", "he_vakiy", "hr_mtu"]), ["GeoJSON"]),
        (_geojson(), ["no rows of data"]),
        ('{"features": [{"properties": {"code": 1, "code": 2}}]}', ["'code'", "twice"]),
        (_geojson({"code": "1", "hr_mtu": 1}), ["item 'people'", "'he_vakiy'"]),
        (_geojson({"cod": "1", "he_vakiy": 1, "hr_mtu": 1}), ["the area", "'code'", "closest: 'cod'"]),
        (_geojson({"code": "1", "he_vakiy": 1, "hr_mtu": 1}, {"code": "2", "he_vakiy": [2], "hr_mtu": 1}),
         ["row 2", "'he_vakiy'", "[2]"]),
        (_geojson({"code": "1", "he_vakiy": True, "hr_mtu": 1}), ["row 1", "True"]),
        ('{"features": [{"properties": {"code": "1", "he_vakiy": Infinity, "hr_mtu": 1}}]}', ["row 1", "inf"]),
    ],
)  # fmt: skip
def test_a_broken_geojson_is_refused_with_its_place(tmp_path: Path, content: str, said: list[str]) -> None:
    message = _refused(tmp_path, content, "paavo-geojson", area_column="code", year=2020)
    for words in said:
        assert words in message


def test_a_broken_dbase_table_is_refused(tmp_path: Path) -> None:
    given = {"reader": "paavo-dbf", "area_column": "code", "year": 2020}
    fields = {"code": 5, "he_vakiy": 4, "hr_mtu": 4}
    whole = _dbf(fields, [[b"01200", b"1", b"2"], [b"01300", b"1", b"x"]])
    assert "row 2, column 'hr_mtu'" in _refused(tmp_path, whole, **given)
    for cut in (0, 3, 20, 40, 100, len(whole) - 6):
        assert "not a whole dBASE table" in _refused(tmp_path, whole[:cut], **given)
    assert "no rows of data" in _refused(tmp_path, _dbf(fields, []), **given)
    assert "the area" in _refused(tmp_path, whole, **(given | {"area_column": "cod"}))
    twice = _dbf({"code": 5, "he_vakiy": 4, "HE_VAKIY": 4, "hr_mtu": 4}, [[b"1", b"1", b"2", b"3"]])
    assert "Two columns have one name" in _refused(tmp_path, twice, **given)


def test_a_column_that_is_not_there_is_answered_with_the_closest(tmp_path: Path) -> None:
    text = "Postinumero,he_vakiy,hr_mtu\n01200,1,2\n"
    message = _refused(tmp_path, text, "paavo-wide", area_column="Postinumeor", year=2020)
    assert "closest: 'Postinumero'" in message


def test_a_key_of_years_that_fits_no_column_is_refused(tmp_path: Path) -> None:
    text = "code,he_vakiy,hr_mtu\n01200,1,2\n"
    message = _refused(tmp_path, text, "paavo-wide", years={"HT": 2019}, year=2020)  # HR was meant
    assert "`years`" in message
    assert "'HT'" in message


@pytest.mark.parametrize(
    ("reader", "text"),
    [
        ("pxweb-csv", '"Area","Asuntoväestö, 2016","hr_mtu, 2016"\n"01200",1,2\n'),
        ("paavo-wide", '"Area","Asuntoväestö, 2016","hr_mtu, 2016"\n"01200",1,2\n'),
        ("pxweb-csv", '"Area","Item","2016"\n"01200","Asuntoväestö",1\n"01200","hr_mtu",2\n'),
    ],
)
def test_a_year_for_columns_that_carry_their_own_is_refused(tmp_path: Path, reader: str, text: str) -> None:
    assert set(_read(tmp_path, text, reader).cells["year"]) == {2016}
    for words in ({"year": 2020}, {"years": {"HR": 2020, "Asuntoväestö": 2020}}):
        message = _refused(tmp_path, text, reader, **words)
        assert f"`{next(iter(words))}` would be passed over" in message


def test_a_year_for_a_cube_with_a_dimension_of_years_is_refused(tmp_path: Path) -> None:
    axes = {"Alue": ["01200"], "Tieto": ["Asuntoväestö", "hr_mtu"], "Vuosi": ["2019"]}
    cube = {
        "version": "2.0",
        "class": "dataset",
        "id": list(axes),
        "size": [1, 2, 1],
        "dimension": {name: {"category": {"index": codes}} for name, codes in axes.items()},
        "value": [7, 8],
    }
    words = {"area_column": "Alue", "item_column": "Tieto", "year_column": "Vuosi"}
    assert set(_read(tmp_path, json.dumps(cube), "json-stat", **words).cells["year"]) == {2019}
    message = _refused(tmp_path, json.dumps(cube), "json-stat", year=2020, **words)
    assert "`year` would be passed over" in message
    assert "dimension 'Vuosi'" in message


def test_an_unknown_reader_is_answered_with_the_closest(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="closest: 'pxweb-csv'"):
        _read(tmp_path, THEME + "a,1,2\n", "pxweb_csv")


def test_two_items_of_one_file_cannot_share_a_label(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text(THEME + "a,1,2\n")
    labels = {"people": ["Inhabitants, total (HE)"], "income": ["inhabitants,  total (HE)"]}
    with pytest.raises(StudyError, match="same label"):
        read_source(path, _spec("pxweb-csv"), labels)


@pytest.mark.parametrize("reader", sorted(READERS))
def test_a_file_that_is_not_there_or_a_folder_is_told(tmp_path: Path, reader: str) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(DataError, match=r"raw/file\.txt"):
            read_source(path, _spec(reader, area_column="code", year=2020, table="t"), LABELS)


# --- random damage: a number, a reason or a MekevalError, never anything else

PIECES = [
    b"\x00",
    b'"',
    b",",
    b";",
    b"\n",
    b"\r",
    b"..",
    b"-1",
    b"nan",
    b"1e999",
    b"9" * 400,
    b"\xff",
    b"\x85",
    b"[",
    b"{",
]


def _damaged(content: bytes, chance: random.Random) -> bytes:
    broken = bytearray(content)
    for _ in range(chance.choice([1, 1, 2, 10])):
        at = chance.randrange(len(broken) + 1)
        length = chance.choice([0, 1, 5, 200])
        new = chance.choice(
            [chance.choice(PIECES), bytes([chance.randrange(256)]), bytes(broken[at : at + length]), b""]
        )
        broken[at : at + length] = new
    return bytes(broken)


@pytest.mark.parametrize("reader", ["pxweb-csv", "long", "paavo-wide", "paavo-geojson", "paavo-dbf"])
def test_damaged_files_are_read_or_refused(tmp_path: Path, reader: str) -> None:
    whole = {
        "pxweb-csv": (THEME + '"01200 Hakunila",12,3\n"01300 Tikkurila","..",5\n').encode(),
        "long": b'"T"\r\n\r\n"A","I","2020"\r\n"1","he_vakiy",7\r\n"1","hr_mtu",".."\r\n',
        "paavo-wide": b"code;he_vakiy;hr_mtu\n01200;12;-1\n01300;;5\n",
        "paavo-geojson": _geojson({"code": "01200", "he_vakiy": 12, "hr_mtu": None}).encode(),
        "paavo-dbf": _dbf(
            {"code": 5, "he_vakiy": 4, "hr_mtu": 4}, [[b"01200", b"12", b"-1"], [b"01300", b"", b"****"]]
        ),
    }[reader]  # fmt: skip
    name = "pxweb-csv" if reader == "long" else reader
    given = {} if name == "pxweb-csv" else {"area_column": "code", "year": 2020}
    chance = random.Random(20230101)
    outcomes = set()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(300):
            try:
                cells = _read(tmp_path, _damaged(whole, chance), name, **given).cells
            except MekevalError as error:
                assert str(error)
                outcomes.add("refused")
            else:
                assert (cells["value"].notna() == (cells["status"] == "ok")).all()
                outcomes.add("read")
    assert outcomes == {"read", "refused"}


def test_the_embedded_files_when_damaged_are_read_or_refused(tmp_path: Path, example: Study) -> None:
    labels = {item.name: item.labels for item in example.spec.item}
    chance = random.Random(20230101)
    refused = 0
    for path, source in list(zip(example.paths, example.spec.source, strict=True)) * 12:
        broken = tmp_path / path.name
        broken.write_bytes(_damaged(path.read_bytes(), chance))
        try:
            cells = read_source(broken, source, labels).cells
        except MekevalError as error:
            assert source.file in str(error)
            refused += 1
        else:
            assert (cells["value"].notna() == (cells["status"] == "ok")).all()
    assert 0 < refused < 12 * len(example.paths)
