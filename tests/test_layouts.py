"""Raw files of layouts that the readers have not seen, taken in by study.toml alone: from the bytes to the tidy table.

Every file and every study is written here; the expected figures are the ones that were written into the file.
"""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

import pytest

from mekeval.errors import MekevalError
from mekeval.indicators import clean_indicators
from mekeval.study import read_study

STUDY = """
[study]
name = "layout"
seed = 1
minimum_base = 5
title = { fi = "Koe" }
attribution = { fi = "Kaupunki" }
[areas]
file = "areas.csv"
unit = "district"
city = { fi = "Vantaa" }
[[item]]
name = "people"
labels = PEOPLE
[[item]]
name = "poor"
labels = POOR
[[indicator]]
name = "poverty"
label = { fi = "Pienituloiset" }
higher_is = "worse"
unit = "percent"
formula = "poor / people"
"""
SOURCE = """
[[source]]
file = "raw/FILE"
vintage = 2024
sha256 = "SHA256"
items = ["people", "poor"]
"""
AREAS = "code,level,parent,name_fi\n01200,district,,Hakunila\n01280,district,,Länsimäki\n00970,district,,Mellunmäki\n"
HAKUNILA, EAST, NORTH = "01200", "01280", "00970"

Table = dict[tuple[str, int], tuple[float, float] | str]


def _clean(
    folder: Path,
    content: bytes | str,
    *sources: str,
    name: str = "luvut.csv",
    people: Sequence[str] = ("Asukkaat",),
    poor: Sequence[str] = ("Pienituloiset",),
) -> Table:
    """The study with these words on its one file: numerator and denominator, or the status, by area and year."""
    data = content.encode() if isinstance(content, str) else content
    (folder / "raw").mkdir(exist_ok=True)
    (folder / "raw" / name).write_bytes(data)
    (folder / "areas.csv").write_text(AREAS, encoding="utf-8")
    head = STUDY.replace("PEOPLE", str(list(people))).replace("POOR", str(list(poor)))
    body = "".join(SOURCE + words for words in sources).replace("FILE", name)
    (folder / "study.toml").write_text(
        head + body.replace("SHA256", hashlib.sha256(data).hexdigest()), encoding="utf-8"
    )
    table = clean_indicators(read_study(folder)).table
    found: Table = {}
    for row in table.to_dict("records"):
        good = row["status"] == "ok"
        found[row["area"], row["year"]] = (row["numerator"], row["denominator"]) if good else row["status"]
        if good:
            assert row["value"] == pytest.approx(100 * row["numerator"] / row["denominator"])
    return found


def _refused(folder: Path, content: bytes | str, words: str, **given: object) -> str:
    with pytest.raises(MekevalError) as caught:
        _clean(folder, content, words, **given)  # type: ignore[arg-type]
    message = str(caught.value)
    assert "luvut" in message
    return message


# --- names, keys and years


def test_finnish_names_no_year_more_keys_and_a_byte_order_mark(tmp_path: Path) -> None:
    text = (
        "Kunta;Postinumero;Alueen nimi;Sukupuoli;Ikäluokka;Asukkaat;Pienituloiset\r\n"
        "Vantaa;01200;Hakunila;Molemmat;Kaikki;1000;250\r\n"
        "Vantaa;01200;Hakunila;Naiset;Kaikki;510;130\r\n"
        "Vantaa;01200;Hakunila;Molemmat;0–17;200;60\r\n"
        "Vantaa;01280;Länsimäki;Molemmat;Kaikki;800;100\r\n"
        "Vantaa;01280;Länsimäki;Naiset;Kaikki;400;55\r\n"
        "Vantaa;01280;Länsimäki;Molemmat;0–17;150;30\r\n"
    )
    words = """reader = "csv"
area_column = "Postinumero"
year = 2022
take = { Sukupuoli = "Molemmat", "Ikäluokka" = "Kaikki" }
"""
    expected: Table = {(HAKUNILA, 2022): (250, 1000), (EAST, 2022): (100, 800)}
    assert _clean(tmp_path, text.encode("utf-8-sig"), words) == expected
    undecided = _refused(tmp_path, text, words.replace(', "Ikäluokka" = "Kaikki"', ""))
    assert "'Ikäluokka': 'Kaikki', '0–17'" in undecided  # the key that was left open, with its values
    unknown = _refused(tmp_path, text, words.replace("year = 2022\n", ""))
    assert "year of a column is not known" in unknown


@pytest.mark.parametrize("order", ["Arvo,Vuosi,Tieto,Alue", "Vuosi,Alue,Arvo,Tieto", "Tieto,Arvo,Alue,Vuosi"])
def test_a_long_table_with_its_columns_in_any_order(tmp_path: Path, order: str) -> None:
    rows = [
        {"Alue": "Hakunila", "Vuosi": "2019", "Tieto": "Asukkaat", "Arvo": "1000"},
        {"Alue": "Hakunila", "Vuosi": "2019", "Tieto": "Pienituloiset", "Arvo": "200"},
        {"Alue": "LÄNSIMÄKI", "Vuosi": "2020", "Tieto": "Pienituloiset", "Arvo": "90"},
        {"Alue": "LÄNSIMÄKI", "Vuosi": "2020", "Tieto": "Asukkaat", "Arvo": "800"},
        {"Alue": "LÄNSIMÄKI", "Vuosi": "2020", "Tieto": "Koirat", "Arvo": "40"},
    ]
    names = order.split(",")
    text = "\n".join([order, *(",".join(row[name] for name in names) for row in rows)])
    words = 'reader = "csv"\narea_column = "Alue"\nyear_column = "Vuosi"\n'
    words += 'item_column = "Tieto"\nvalue_column = "Arvo"\n'
    assert _clean(tmp_path, text, words) == {(HAKUNILA, 2019): (200, 1000), (EAST, 2020): (90, 800)}


def test_years_as_columns_under_the_items(tmp_path: Path) -> None:
    text = (
        "Alue,Asukkaat,,Pienituloiset,\n,2019,2020,2019,2020\n01200,1000,1010,200,210\n01280,800,790,90,95\n"
    )
    words = 'reader = "csv"\narea_column = "Alue"\nheader_rows = 2\n'
    expected: Table = {
        (HAKUNILA, 2019): (200, 1000),
        (HAKUNILA, 2020): (210, 1010),
        (EAST, 2019): (90, 800),
        (EAST, 2020): (95, 790),
    }
    assert _clean(tmp_path, text, words) == expected


def test_items_as_columns_under_the_years(tmp_path: Path) -> None:
    text = (
        "Alue,2019,,2020,\n,Asukkaat,Pienituloiset,Asukkaat,Pienituloiset\n"
        "01200,1000,200,1010,210\n01280,800,90,790,95\n"
    )
    words = 'reader = "csv"\narea_column = "Alue"\nheader_rows = 2\n'
    expected: Table = {
        (HAKUNILA, 2019): (200, 1000),
        (HAKUNILA, 2020): (210, 1010),
        (EAST, 2019): (90, 800),
        (EAST, 2020): (95, 790),
    }
    assert _clean(tmp_path, text, words) == expected


def test_one_quantity_with_years_alone_as_columns(tmp_path: Path) -> None:
    """Nothing in the file names the quantity: the study does, and says what each column means."""
    text = "Alue;2019;2020\n01200;1000;1010\n01280;800;790\n"
    poor = "Alue;2019;2020\n01200;200;210\n01280;90;95\n"
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "poor.csv").write_text(poor, encoding="utf-8")
    words = """reader = "csv"
area_column = "Alue"
years = { "2019" = 2019, "2020" = 2020 }
"""
    years = ("2019", "2020")
    first = words.replace("reader", "reader", 1)
    digest = hashlib.sha256(poor.encode()).hexdigest()
    head = STUDY.replace("PEOPLE", str(list(years))).replace("POOR", str(list(years)))
    body = SOURCE.replace("FILE", "luvut.csv").replace('["people", "poor"]', '["people"]') + first
    body += (
        SOURCE.replace("FILE", "poor.csv").replace('["people", "poor"]', '["poor"]').replace("SHA256", digest)
        + words
    )
    (tmp_path / "raw" / "luvut.csv").write_text(text, encoding="utf-8")
    (tmp_path / "areas.csv").write_text(AREAS, encoding="utf-8")
    body = body.replace("SHA256", hashlib.sha256(text.encode()).hexdigest())
    (tmp_path / "study.toml").write_text(head + body, encoding="utf-8")
    table = clean_indicators(read_study(tmp_path)).table.set_index(["area", "year"])
    assert table.loc[(HAKUNILA, 2020), ["numerator", "denominator"]].tolist() == [210, 1010]
    assert table.loc[(EAST, 2019), ["numerator", "denominator"]].tolist() == [90, 800]


ACROSS = """Alue;Tieto;2019;2020*
01200;Asukkaat;1000;1010
01200;Pienituloiset;200;210
01280;Asukkaat;800;790
01280;Pienituloiset;90;95
"""
FOUR_CELLS: Table = {
    (HAKUNILA, 2019): (200, 1000),
    (HAKUNILA, 2020): (210, 1010),
    (EAST, 2019): (90, 800),
    (EAST, 2020): (95, 790),
}


def test_years_as_columns_and_an_item_in_each_row(tmp_path: Path) -> None:
    words = 'reader = "csv"\narea_column = "Alue"\nitem_column = "Tieto"\n'
    assert _clean(tmp_path, ACROSS, words) == FOUR_CELLS
    days = ACROSS.replace("2019", "31.12.2019").replace("2020*", "31.12.2020")
    assert _clean(tmp_path, days, words) == FOUR_CELLS
    book = _book([line.split(";") for line in ACROSS.replace("*", "").splitlines()])
    assert _clean(tmp_path, book, words.replace('"csv"', '"xlsx"'), name="luvut.xlsx") == FOUR_CELLS
    # A change between two years is no year; a year with a word behind it is one that would be lost.
    change = "\n".join(
        line + ";" + ("2019-2020" if at == 0 else "1") for at, line in enumerate(ACROSS.splitlines())
    )
    assert _clean(tmp_path, change, words) == FOUR_CELLS
    lost = _refused(tmp_path, ACROSS.replace("2020*", "2020 (ennakko)"), words)
    assert "row 1, column '2020 (ennakko)'" in lost
    assert "Several rows fit" in _refused(tmp_path, ACROSS.replace("2020*", "2019*"), words)
    none = _refused(tmp_path, ACROSS.replace("2020*", "b").replace("2019", "a"), words)
    assert "`item_column` needs `value_column`" in none
    both = ACROSS.replace(";2019", ";Vuosi;2019").replace("Asukkaat;", "Asukkaat;2018;")
    both = both.replace("Pienituloiset;", "Pienituloiset;2018;")
    assert "in a column of their own" in _refused(tmp_path, both, words + 'year_column = "Vuosi"\n')


@pytest.mark.parametrize(
    "form",
    ["{}.0", "{},0", "31.12.{}", "1.1.{}", "01.01.{}", "{}-12-31", "{}-01-01T00:00:00", "31/12/{} 0:00"],
)
def test_years_as_numbers_of_a_sheet_or_as_days(tmp_path: Path, form: str) -> None:
    text = "Alue;Aika;Asukkaat;Pienituloiset\n01200;2022;1000;200\n01200;2023;1010;210\n"
    words = 'reader = "csv"\narea_column = "Alue"\nyear_column = "Aika"\n'
    for year in (2022, 2023):
        text = text.replace(f";{year};", f";{form.format(year)};")
    assert _clean(tmp_path, text, words) == {(HAKUNILA, 2022): (200, 1000), (HAKUNILA, 2023): (210, 1010)}


def test_other_days_of_a_year_are_refused(tmp_path: Path) -> None:
    text = "Alue;Aika;Asukkaat;Pienituloiset\n01200;{};1000;200\n01200;{};1010;210\n"
    words = 'reader = "csv"\narea_column = "Alue"\nyear_column = "Aika"\n'
    for day in ("30.6.2022", "1.12.2022", "2022-12-30", "31.1.2022", "2022.5", "12/31/2022"):
        message = _refused(tmp_path, text.format(day, "31.12.2023"), words)
        assert "row 2, column 'Aika'" in message
        assert day in message
    # 31 December 2022 and 1 January 2023 are two years and one night.
    assert "First and last days" in _refused(tmp_path, text.format("31.12.2022", "1.1.2023"), words)


def test_days_in_a_workbook(tmp_path: Path) -> None:
    """Days are numbers with a style in a workbook: 44561 and 44926 are the last days of 2021 and 2022."""
    rows = [
        ["Alue", "Aika", "Asukkaat", "Pienituloiset"],
        [HAKUNILA, 44561, 1000, 200],
        [HAKUNILA, 44926, 1010, 210],
    ]
    words = 'reader = "xlsx"\narea_column = "Alue"\nyear_column = "Aika"\n'
    expected: Table = {(HAKUNILA, 2021): (200, 1000), (HAKUNILA, 2022): (210, 1010)}
    assert _clean(tmp_path, _book(rows, days="B"), words, name="luvut.xlsx") == expected
    rows[2][1] = 44925
    assert "2022-12-30" in _refused(tmp_path, _book(rows, days="B"), words, name="luvut.xlsx")


def test_codes_that_became_numbers_with_a_decimal(tmp_path: Path) -> None:
    text = "Alue;Asukkaat;Pienituloiset\n1200.0;1000;200\n970,0;800;90\n"
    words = 'reader = "csv"\narea_column = "Alue"\nyear = 2020\n'
    expected: Table = {(HAKUNILA, 2020): (200, 1000), (NORTH, 2020): (90, 800)}
    assert _clean(tmp_path, text, words + "area_digits = 5\n") == expected
    assert "1200.0" in _refused(tmp_path, text, words)
    assert "1200.5" in _refused(tmp_path, text.replace("1200.0", "1200.5"), words + "area_digits = 5\n")


def test_labels_of_no_area_are_all_told_with_their_rows(tmp_path: Path) -> None:
    """Two areas of one name: each label that could be either is a fault with its row."""
    rows = "".join(f"{name};1000;200\n" for name in ("Hakunila", "Länsimäki", "hakunila", "LÄNSIMÄKI"))
    twins = AREAS + "01201,district,,Hakunila\n01281,district,,Länsimäki\n"
    words = 'reader = "csv"\narea_column = "Alue"\nyear = 2020\n'
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(globals(), "AREAS", twins)
        message = _refused(tmp_path, "Alue;Asukkaat;Pienituloiset\n" + rows, words)
    assert message.startswith("4 faults")
    for row in (2, 3, 4, 5):
        assert f"row {row}" in message


def test_marks_of_notes_in_a_cell_are_refused_with_their_place(tmp_path: Path) -> None:
    text = "Alue;Asukkaat;Pienituloiset\n01200;1000;40 *)\n"
    message = _refused(tmp_path, text, 'reader = "csv"\narea_column = "Alue"\nyear = 2020\n')
    assert "row 2, column 'Pienituloiset'" in message
    assert "40 *)" in message


def test_provisional_years_carry_an_asterisk(tmp_path: Path) -> None:
    text = "Alue,Vuosi,Asukkaat,Pienituloiset\n01200,2022,1000,200\n01200,2023*,1010,210\n"
    words = 'reader = "csv"\narea_column = "Alue"\nyear_column = "Vuosi"\n'
    assert _clean(tmp_path, text, words) == {(HAKUNILA, 2022): (200, 1000), (HAKUNILA, 2023): (210, 1010)}


# --- parts of a year

QUARTERS = """Alue;Vuosi;Neljännes;Asukkaat;Pienituloiset
01200;2022;Q1;990;190
01200;2022;Q4;1000;200
01200;2023;Q1;1005;205
01200;2023;Q4;1010;210
"""


def test_one_quarter_of_each_year_is_taken_and_several_are_refused(tmp_path: Path) -> None:
    words = 'reader = "csv"\narea_column = "Alue"\nyear_column = "Vuosi"\n'
    expected: Table = {(HAKUNILA, 2022): (200, 1000), (HAKUNILA, 2023): (210, 1010)}
    assert _clean(tmp_path, QUARTERS, words + 'take = { "Neljännes" = "Q4" }\n') == expected
    message = _refused(tmp_path, QUARTERS, words)
    assert "Several rows fit" in message
    assert "'Neljännes': 'Q1', 'Q4'" in message


@pytest.mark.parametrize("mark", ["{}Q{}", "{}M0{}", "{}-0{}", "{}/{}", "{}K0{}"])
def test_quarters_and_months_in_the_column_of_years(tmp_path: Path, mark: str) -> None:
    """No year: refused with the place; one of them can be taken for a year that the study names."""
    text = QUARTERS
    for year in (2022, 2023):
        for quarter in (1, 4):
            text = text.replace(f"{year};Q{quarter};", mark.format(year, quarter) + ";")
    text = text.replace("Vuosi;Neljännes", "Aika")
    words = 'reader = "csv"\narea_column = "Alue"\n'
    message = _refused(tmp_path, text, words + 'year_column = "Aika"\n')
    assert "Text where a year is due" in message
    assert "row 2, column 'Aika'" in message
    assert f"found: {mark.format(2022, 1)}" in message
    take = [f'{words}year = {year}\ntake = {{ Aika = "{mark.format(year, 4)}" }}\n' for year in (2022, 2023)]
    assert _clean(tmp_path, text, *take) == {(HAKUNILA, 2022): (200, 1000), (HAKUNILA, 2023): (210, 1010)}


# --- separators and encodings


@pytest.mark.parametrize("separator", ["\t", ";", "|", ","])
def test_separators_within_quotes_are_text(tmp_path: Path, separator: str) -> None:
    rows = [
        ["Alue", f'"Selite{separator} lisätieto"', "Asukkaat", "Pienituloiset"],
        ["01200", f'"itäinen{separator} ""vanha"" osa{separator}"', "1000", "200"],
        ["01280", '"rivin\nvaihto"', "800", "90"],
    ]
    text = "\n".join(separator.join(row) for row in rows) + "\n"
    words = 'reader = "csv"\narea_column = "Alue"\nyear = 2020\n'
    assert _clean(tmp_path, text, words) == {(HAKUNILA, 2020): (200, 1000), (EAST, 2020): (90, 800)}


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le-bom", "utf-16-be-bom"])
def test_text_of_two_bytes_as_spreadsheets_save_it(tmp_path: Path, encoding: str) -> None:
    text = "Alue\tVäki\tPienituloiset\r\nLänsimäki\t800\t90\r\nHakunila\t1000\t200\r\n"
    content = {
        "utf-16": text.encode("utf-16"),
        "utf-16-le-bom": b"\xff\xfe" + text.encode("utf-16-le"),
        "utf-16-be-bom": b"\xfe\xff" + text.encode("utf-16-be"),
    }[encoding]
    words = 'reader = "csv"\narea_column = "Alue"\nyear = 2020\n'
    found = _clean(tmp_path, content, words, people=("Väki",))
    assert found == {(HAKUNILA, 2020): (200, 1000), (EAST, 2020): (90, 800)}


def test_the_line_that_tells_a_spreadsheet_the_separator(tmp_path: Path) -> None:
    text = "sep=;\r\nAlue;Asukkaat;Pienituloiset\r\n01200;1000;200\r\n"
    words = 'reader = "csv"\narea_column = "Alue"\nyear = 2020\nheader_row = 2\n'
    assert _clean(tmp_path, text, words) == {(HAKUNILA, 2020): (200, 1000)}


def test_an_index_without_a_name_and_columns_without_content(tmp_path: Path) -> None:
    text = ",Alue,Asukkaat,Pienituloiset,,\n0,01200,1000,200,,\n1,01280,800,90,,\n,,,,,\n"
    words = 'reader = "csv"\narea_column = "Alue"\nyear = 2020\n'
    assert _clean(tmp_path, text, words) == {(HAKUNILA, 2020): (200, 1000), (EAST, 2020): (90, 800)}


# --- numbers, codes and what stands where a number does not


@pytest.mark.parametrize("blank", [" ", "\N{NO-BREAK SPACE}", "\N{NARROW NO-BREAK SPACE}"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "windows-1252"])
def test_decimal_commas_and_blanks_for_thousands(tmp_path: Path, blank: str, encoding: str) -> None:
    if blank == "\N{NARROW NO-BREAK SPACE}" and encoding == "windows-1252":
        pytest.skip("that blank is not in Windows-1252")
    text = f"Alue;Asukkaat;Pienituloiset\nHakunila;12{blank}345,0;1{blank}234,0\nLänsimäki;800;90,00\n"
    words = 'reader = "csv"\narea_column = "Alue"\nyear = 2020\ndecimal = ","\nthousands = " "\n'
    expected: Table = {(HAKUNILA, 2020): (1234, 12345), (EAST, 2020): (90, 800)}
    assert _clean(tmp_path, text.encode(encoding), words) == expected
    assert "row 2" in _refused(tmp_path, text.encode(encoding), words.replace('thousands = " "\n', ""))
    assert "row" in _refused(tmp_path, text.encode(encoding), words.replace('decimal = ","\n', ""))


def test_groups_of_digits_that_are_no_thousands_are_refused(tmp_path: Path) -> None:
    words = 'reader = "csv"\narea_column = "Alue"\nyear = 2020\nthousands = " "\n'
    for number in ("12 34", "1 2345", "1  234", " 1 23"):
        message = _refused(tmp_path, f"Alue;Asukkaat;Pienituloiset\n01200;{number};7\n", words)
        assert "row 2, column 'Asukkaat'" in message
        assert f"{number.strip()}\n" in message


@pytest.mark.parametrize("reader", ["csv", "xlsx"])
def test_codes_that_lost_their_zeros_on_the_way(tmp_path: Path, reader: str) -> None:
    rows: list[list[object]] = [
        ["Postinumero", "Asukkaat", "Pienituloiset"],
        [1200, 1000, 200],
        [970, 600, 60],
    ]
    words = f'reader = "{reader}"\narea_column = "Postinumero"\nyear = 2020\narea_digits = 5\n'
    if reader == "xlsx":
        pytest.importorskip("python_calamine")
        content: bytes | str = _book(rows)
    else:
        content = "\n".join(";".join(map(str, row)) for row in rows)
    name = f"luvut.{reader}"
    assert _clean(tmp_path, content, words, name=name) == {
        (HAKUNILA, 2020): (200, 1000),
        (NORTH, 2020): (60, 600),
    }
    message = _refused(tmp_path, content, words.replace("area_digits = 5\n", ""), name=name)
    assert "'1200'" in message


def test_sentinels_and_words_where_a_number_is_hidden(tmp_path: Path) -> None:
    text = (
        "Alue;Asukkaat;Pienituloiset;Vuosi\n01200;1000;-999;2019\n01200;1000;salattu;2020\n01200;1000;-999.0;2021\n"
        "01200;1000;–;2022\n01280;800;90;2019\n01280;ei tietoa;90;2020\n01280;800;9;2021\n01280;800;;2022\n"
    )
    words = """reader = "csv"
area_column = "Alue"
year_column = "Vuosi"
symbols = { "-999" = "suppressed", "salattu" = "suppressed", "–" = "not_applicable", "ei tietoa" = "missing" }
"""
    assert _clean(tmp_path, text, words) == {
        (HAKUNILA, 2019): "suppressed",
        (HAKUNILA, 2020): "suppressed",
        (HAKUNILA, 2021): "suppressed",
        (HAKUNILA, 2022): "not_applicable",
        (EAST, 2019): (90, 800),
        (EAST, 2020): "missing",
        (EAST, 2021): (9, 800),
        (EAST, 2022): "missing",
    }
    assert "found: salattu" in _refused(tmp_path, text, words.replace('"salattu" = "suppressed", ', ""))


def test_a_sentinel_that_nobody_explained_is_no_number_of_people(tmp_path: Path) -> None:
    text = "Alue;Asukkaat;Pienituloiset\n01200;1000;-999\n01280;800;90\n"
    words = 'reader = "csv"\narea_column = "Alue"\nyear = 2020\n'
    assert _clean(tmp_path, text, words) == {(HAKUNILA, 2020): "implausible", (EAST, 2020): (90, 800)}


def test_signs_of_percent_and_notes_in_a_cell_are_refused_with_their_place(tmp_path: Path) -> None:
    words = 'reader = "csv"\narea_column = "Alue"\nyear = 2020\n'
    for cell in ("20 %", "200 1)", "200*", "n. 200", "200-210", "1e999", "½", "٢٠٠", "2_000"):
        message = _refused(tmp_path, f"Alue;Asukkaat;Pienituloiset\n01200;1000;{cell}\n", words)
        assert "row 2, column 'Pienituloiset'" in message
        assert f"found: {cell}" in message


# --- what stands around a table


def test_titles_before_the_table_and_blank_rows_in_it(tmp_path: Path) -> None:
    text = (
        "Pienituloiset alueittain\n\nLähde: Kaupunki; päivitetty 1.2.2024\n"
        "Alue;Asukkaat;Pienituloiset\n\n01200;1000;200\n;;\n01280;800;90\n\n"
    )
    words = 'reader = "csv"\narea_column = "Alue"\nyear = 2020\nheader_row = 4\n'
    assert _clean(tmp_path, text, words) == {(HAKUNILA, 2020): (200, 1000), (EAST, 2020): (90, 800)}


def test_a_row_for_the_whole_city_is_dropped_only_when_the_study_says_so(tmp_path: Path) -> None:
    text = "Alue;Asukkaat;Pienituloiset\n01200;1000;200\n01280;800;90\nYhteensä;1800;290\n"
    words = 'reader = "csv"\narea_column = "Alue"\nyear = 2020\n'
    assert "'Yhteensä'" in _refused(tmp_path, text, words)
    found = _clean(tmp_path, text, words + 'other_areas = "drop"\n')
    assert found == {(HAKUNILA, 2020): (200, 1000), (EAST, 2020): (90, 800)}


def test_lines_under_the_table_are_left_out_where_the_study_counts_them(tmp_path: Path) -> None:
    text = (
        "Alue;Asukkaat;Pienituloiset\n01200;1000;200\n01280;800;90\n\nLähde: Kaupunki\nPäivitetty 1.2.2024\n"
    )
    words = 'reader = "csv"\narea_column = "Alue"\nyear = 2020\n'
    assert "footer_rows = 2" in _refused(tmp_path, text, words)
    expected: Table = {(HAKUNILA, 2020): (200, 1000), (EAST, 2020): (90, 800)}
    assert _clean(tmp_path, text, words + "footer_rows = 2\n") == expected
    cut = _refused(tmp_path, text, words + "footer_rows = 1\n")
    assert "row 5" in cut


# --- workbooks


def _book(rows: Sequence[Sequence[object]], *, merged: Sequence[str] = (), days: str = "") -> bytes:
    """A workbook of one sheet, written by hand: numbers as numbers (days in one column), texts inline."""
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    lines = []
    for number, row in enumerate(rows, start=1):
        cells = []
        for at, cell in enumerate(row):
            name = f"{chr(65 + at)}{number}"
            if isinstance(cell, str):
                cells.append(f'<c r="{name}" t="inlineStr"><is><t>{escape(cell)}</t></is></c>')
            elif cell is not None:
                style = ' s="1"' if name[0] == days else ""
                cells.append(f'<c r="{name}"{style}><v>{cell}</v></c>')
        lines.append(f'<row r="{number}">{"".join(cells)}</row>')
    merging = "".join(f'<mergeCell ref="{ref}"/>' for ref in merged)
    merging = f"<mergeCells>{merging}</mergeCells>" if merged else ""
    parts: Mapping[str, str] = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types"><Default Extension="xml" '
        'ContentType="application/xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="a" '
        f'Type="{office}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{office}"><sheets>'
        '<sheet name="Taulukko" sheetId="1" r:id="r1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" '
        f'Type="{office}/worksheet" Target="worksheets/sheet1.xml"/><Relationship Id="r2" '
        f'Type="{office}/styles" Target="styles.xml"/></Relationships>',
        "xl/styles.xml": f'<styleSheet xmlns="{main}"><cellXfs><xf numFmtId="0"/><xf numFmtId="14"/></cellXfs>'
        "</styleSheet>",
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{main}"><sheetData>{"".join(lines)}</sheetData>{merging}'
        "</worksheet>",
    }
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as book:
        for name, text in parts.items():
            book.writestr(name, text)
    return packed.getvalue()


def test_a_workbook_with_titles_and_merged_headings(tmp_path: Path) -> None:
    pytest.importorskip("python_calamine")
    rows = [
        ["Pienituloiset Vantaalla"],
        ["Lähde: kaupunki"],
        [],
        ["Alue", "Asukkaat", None, "Pienituloiset"],
        [None, 2019, 2020, 2019, 2020],
        ["Hakunila", 1000, 1010, 200, 210],
        ["Länsimäki", 800, "..", 90, 95],
    ]
    content = _book(rows, merged=("A1:E1", "A4:A5", "B4:C4", "D4:E4"))
    words = """reader = "xlsx"
area_column = "Alue"
header_row = 4
header_rows = 2
symbols = { ".." = "suppressed" }
"""
    assert _clean(tmp_path, content, words, name="luvut.xlsx") == {
        (HAKUNILA, 2019): (200, 1000),
        (HAKUNILA, 2020): (210, 1010),
        (EAST, 2019): (90, 800),
        (EAST, 2020): "suppressed",
    }


def test_a_workbook_with_areas_merged_over_their_years_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("python_calamine")
    rows = [
        ["Alue", "Vuosi", "Asukkaat", "Pienituloiset"],
        ["Hakunila", 2019, 1000, 200],
        [None, 2020, 1010, 210],
    ]
    words = 'reader = "xlsx"\narea_column = "Alue"\nyear_column = "Vuosi"\n'
    message = _refused(tmp_path, _book(rows, merged=("A2:A3",)), words, name="luvut.xlsx")
    assert "merged cells" in message
    assert "A2:A3" in message
    unmerged = _refused(tmp_path, _book(rows), words, name="luvut.xlsx")
    assert "names no area" in unmerged
    assert "row 3" in unmerged


def test_the_described_table_of_the_page_is_read(tmp_path: Path) -> None:
    """The second block of TOML in docs/study.md as a study of its own, with a small file of that layout."""
    page = (Path(__file__).parents[1] / "docs" / "study.md").read_text(encoding="utf-8")
    _, block = re.findall(r"```toml\n(.*?)```", page, re.S)[:2]
    text = "Työllisyys;;;;\n\nAlue;Tieto;Vuosi;Sukupuoli;Arvo\n" + "".join(
        f"{area};{item};{year};{sex};{value}\n"
        for area, item, year, value in (
            ("1200", "Työttömät", 2022, "1 100,0"),
            ("1200", "Työvoima", 2022, "11 000"),
            ("1280", "Työttömät", 2022, "-1"),
            ("1280", "Työvoima", 2022, "800"),
        )
        for sex in ("Yhteensä", "Naiset")
    )
    head = STUDY[: STUDY.index("[[item]]")]
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "taulu.csv").write_text(text, encoding="utf-8")
    (tmp_path / "areas.csv").write_text(AREAS, encoding="utf-8")
    digest = hashlib.sha256(text.encode()).hexdigest()
    (tmp_path / "study.toml").write_text(
        head + block.replace('sha256 = ""', f'sha256 = "{digest}"'), encoding="utf-8"
    )
    cleaned = clean_indicators(read_study(tmp_path))
    rows = cleaned.table.set_index(["area", "year"])
    assert rows.loc[(HAKUNILA, 2022), ["numerator", "denominator", "value"]].tolist() == [1100, 11000, 10]
    assert rows.loc[(EAST, 2022), "status"] == "suppressed"
    assert "left out by take, Sukupuoli: 'Naiset' (4 rows)" in cleaned.files["form"].iloc[0]
    assert cleaned.log["found"].str.contains("left out by take").any()
