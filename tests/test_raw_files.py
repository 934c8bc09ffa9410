"""The quirks that the README files beside the raw data list, each on the real file.

Expected values are read from the raw bytes here, with the csv module, json and plain slicing, never by our readers.
"""

from __future__ import annotations

import collections
import csv
import functools
import json
import math
import re
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd
import pytest

from mekeval.areas import areas_from_rows
from mekeval.errors import MekevalError
from mekeval.sources import RawTable, read_source
from mekeval.study import SourceSpec

#: Areas of each year of population (HE), beside the row of the whole country: README of the Paavo files.
AREAS = {2013: 3036, 2014: 3036, 2015: 3036, 2016: 3030, 2017: 3026}
#: What the five MEK districts are called in Vantaa's statistics: README of the raw data.
MEK_DISTRICTS = {
    "09274": "092 74 Havukoski",
    "09291": "092 91 Länsimäki",
    "09294": "092 94 Hakunila",
    "09282": "092 82 Mikkola",
    "09215": "092 15 Myyrmäki",
}
THEMES = "pxweb-themes-2012-2017"
SYMBOLS = {"..": "suppressed", ".": "not_applicable", "": "missing"}


@pytest.fixture(scope="module")
def paavo(raw: Path) -> Path:
    return raw / "statfi-paavo"


@pytest.fixture(scope="module")
def px(raw: Path) -> Path:
    return raw / "aluesarjat" / "px"


def _read(path: Path, labels: Sequence[str], reader: str, **given: object) -> RawTable:
    """The columns of a file, each by its label; the n-th label is the item `i<n>`."""
    names = [f"i{at}" for at in range(len(labels))]
    words: dict[str, object] = {
        "file": path.name, "reader": reader, "vintage": 2020, "sha256": "0" * 64, "items": tuple(names)
    }  # fmt: skip
    spec = SourceSpec.model_validate(words | given)
    return read_source(path, spec, {name: [label] for name, label in zip(names, labels, strict=True)})


def _columns(table: RawTable, labels: Sequence[str]) -> Iterator[tuple[str, pd.DataFrame]]:
    parts = dict(iter(table.cells.groupby("item", sort=False)))
    for at, label in enumerate(labels):
        yield label, parts[f"i{at}"]


def _matches(part: pd.DataFrame, areas: list[str], texts: Sequence[str], *, hidden: bool) -> None:
    """A column as it was read against the texts of the raw file, cell by cell."""
    assert part["area_label"].tolist() == areas
    expected = [_cell(text, hidden) for text in texts]
    found = zip(part["value"].tolist(), part["status"].tolist(), strict=True)
    assert [value if status == "ok" else status for value, status in found] == expected
    assert part["value"].notna().sum() == (part["status"] == "ok").sum()


@functools.cache
def _cell(text: str, hidden: bool) -> float | str:
    """The number of a cell, or by the README why there is none; -1 hides a number in the releases of the WFS."""
    text = text.strip()
    if text and not text.strip("*"):
        return "overflow"
    if text in SYMBOLS:
        return SYMBOLS[text]
    number = float(text)
    return "suppressed" if hidden and number == -1 else number


def _rows(path: Path, *, encoding: str, separator: str = ",", skip: int = 0) -> list[list[str]]:
    with path.open(encoding=encoding, newline="") as stream:
        return list(csv.reader(stream, delimiter=separator))[skip:]


# --- Paavo: theme tables of PxWeb


def _theme_files(paavo: Path) -> list[Path]:
    files = sorted((paavo / THEMES).glob("*.csv"))
    assert len(files) == 41  # README
    return files


def test_every_cell_of_the_theme_tables_with_its_year_and_symbol(paavo: Path) -> None:
    """Years stand in the column names; ".." and "." are kept apart; the country is one row among the areas."""
    for path in _theme_files(paavo):
        header, *rows = _rows(path, encoding="latin-1")
        split = [re.fullmatch(r"(.+), ((?:19|20)\d\d)( \([A-Z]{2}\))?", name) for name in header[1:]]
        labels = [f"{match[1]}{match[3] or ''}" for match in split if match]
        assert len(labels) == len(header) - 1
        table = _read(path, labels, "pxweb-csv")
        assert {"ISO-8859-1", "separator ','"} <= set(table.notes)
        assert {match[2] for match in split if match} == {path.stem[-4:]}
        assert set(table.cells["year"]) == {int(path.stem[-4:])}
        areas, *columns = map(list, zip(*rows, strict=True))
        for (_, part), texts in zip(_columns(table, labels), columns, strict=True):
            _matches(part, areas, texts, hidden=False)
        assert part["row"].tolist() == list(range(2, len(rows) + 2))


def test_the_number_of_areas_changes_and_the_country_is_no_area(paavo: Path) -> None:
    for year, number in AREAS.items():
        path = paavo / THEMES / f"Population_structure_{year}.csv"
        table = _read(path, ["Inhabitants, total (HE)"], "pxweb-csv")
        labels = table.cells["area_label"]
        assert len(labels) == labels.nunique() == number + 1
        assert labels[~labels.str.match(r"\d{5} ")].tolist() == ["Finland"]
        # The sum of the areas is not the country: areas under the limit and people without an area are only there.
        areas = table.cells.set_index("area_label")["value"]
        assert areas["Finland"] > areas.drop("Finland").sum() > 0.98 * areas["Finland"]


def test_the_wide_table_writes_the_country_as_the_theme_tables_do(paavo: Path) -> None:
    path = paavo / "vintage-2018" / "paavo_9_koko.csv"
    table = _read(path, ["Inhabitants, total (HE)"], "paavo-wide")
    assert len(table.cells) == 3031  # README: with the country's row
    outside = table.cells[~table.cells["area_label"].str.match(r"\d{5} ")]
    assert outside["area_label"].tolist() == ["Finland"]


def test_labels_of_one_area_in_all_their_spellings_are_one_code(paavo: Path) -> None:
    """Spaces, brackets and municipalities come and go; the five digits stay, as text with its zeros."""
    spellings = collections.defaultdict(set)
    for path in _theme_files(paavo):
        for row in _rows(path, encoding="latin-1")[1:]:
            spellings[row[0][:5]].add(row[0])
    for path in sorted((paavo / "pxweb-12f7-helsinki-2020-2023").glob("*.csv")):
        for row in _rows(path, encoding="latin-1")[3:]:
            spellings[row[0][:5]].add(row[0])
    assert {"01280 Länsimäki  (Vantaa)", "01280 Länsimäki   (Vantaa )"} <= spellings["01280"]
    assert {
        "00100 Helsinki Keskusta - Etu-Töölö   (Helsinki",  # cut off, without its bracket
        "00100  Helsinki keskusta - Etu-Töölö (Helsinki)",
    } <= spellings["00100"]
    assert any("(Sipoo" in label for label in spellings["01490"])
    assert any("(Vantaa" in label for label in spellings["01490"])
    codes = ("00100", "01280", "01490", "53130")
    areas = areas_from_rows(
        [{"code": code, "level": "postal", "name_fi": code} for code in codes], unit="postal"
    )
    labels = [label for variants in spellings.values() for label in variants]
    found = areas.codes_of_labels(labels)
    for code in codes:
        assert {label for label, known in found.items() if known == code} == spellings[code]
    assert found["Finland"] is None


def test_the_three_releases_that_write_zero_where_the_others_write_a_point(paavo: Path) -> None:
    """01770 has no people: releases of 2015, 2017 and 2018 write ".", those of 2016 and 2019 write 0."""
    expected = {2012: ".", 2013: "0", 2014: ".", 2015: ".", 2016: "0"}
    for year, text in expected.items():
        path = paavo / THEMES / f"Inhabitants_disposable_monetary_income_{year}.csv"
        header, *rows = _rows(path, encoding="latin-1")
        at = header.index(f"Median income of inhabitants, {year} (HR)")
        assert next(row[at] for row in rows if row[0].startswith("01770")) == text
        cells = _read(path, ["Median income of inhabitants (HR)"], "pxweb-csv").cells
        (cell,) = cells[cells["area_label"].str.startswith("01770")].to_dict("records")
        assert cell["status"] == ("not_applicable" if text == "." else "ok")
        assert cell["value"] != cell["value"] if text == "." else cell["value"] == 0


def test_a_typing_error_in_the_column_names_must_be_spelt_as_it_is(paavo: Path) -> None:
    path = paavo / THEMES / "Inhabitants_disposable_monetary_income_2012.csv"
    wrong, right = (
        f"{word} belonging to the lowest income category (HR)" for word in ("Inhabintants", "Inhabitants")
    )
    assert len(_read(path, [wrong], "pxweb-csv").cells) == 3037
    with pytest.raises(MekevalError, match="Inhabintants belonging to the lowest"):
        _read(path, [right], "pxweb-csv")
    later = paavo / "pxweb-12f7-helsinki-2020-2023" / "009_12f7_2020_all.csv"
    assert len(_read(later, [right], "pxweb-csv").cells) == 84
    with pytest.raises(MekevalError, match="Inhabintants belonging to the lowest"):
        _read(later, [wrong], "pxweb-csv")


@pytest.mark.parametrize(
    ("early", "late"),
    [
        ("Occupancy rate (TE)", "Average floor area per person (TE)"),
        ("Academic degree - Lower level university degree (KO)",
         "Academic degree - Lowest level tertiary and lower university level degrees (KO)"),
        ("Inhabitants (PT)", "Inhabitants, total (PT)"),
        ("Workplaces (TP)", "Workplaces, total (TP)"),
        ("Young single persons (TE)", "Young one-person households (TE)"),
    ],
)  # fmt: skip
def test_spellings_drift_between_the_theme_tables_and_12f7(paavo: Path, early: str, late: str) -> None:
    themes = {"TE": "Size_and_stage_in_life_of_households_2016", "KO": "Educational_structure_2016",
              "PT": "Main_type_of_activity_2016", "TP": "Workplace_structure_2016"}  # fmt: skip
    first = paavo / THEMES / f"{themes[early[-3:-1]]}.csv"
    last = paavo / "pxweb-12f7-helsinki-2020-2023" / "009_12f7_2023_all.csv"
    assert len(_read(first, [early], "pxweb-csv").cells) in (3027, 3031)
    assert len(_read(last, [late], "pxweb-csv").cells) == 84
    for path, label in ((first, late), (last, early)):
        with pytest.raises(MekevalError, match="A column is not there"):
            _read(path, [label], "pxweb-csv")


def test_the_labour_force_is_published_until_2015_and_is_the_sum_of_its_parts(paavo: Path) -> None:
    labels = [
        "Labour force (PT)",
        "Employed (PT)",
        "Unemployed (PT)",
        "Persons outside the labour force (PT)",
    ]
    for year in range(2012, 2016):
        table = _read(paavo / THEMES / f"Main_type_of_activity_{year}.csv", labels, "pxweb-csv")
        wide = table.cells.pivot(index="area_label", columns="item", values="value").dropna()
        assert len(wide) > 2800
        # The country's row is the people of the country and not the sum of what is shown.
        assert ((wide["i1"] + wide["i2"]) == wide["i0"]).all()
    path = paavo / THEMES / "Main_type_of_activity_2016.csv"
    assert len(_read(path, labels[1:3], "pxweb-csv").cells) == 2 * 3027
    for label in (labels[0], labels[3]):
        with pytest.raises(MekevalError, match="A column is not there"):
            _read(path, [label], "pxweb-csv")


def test_the_labour_market_table_of_2017_is_another_table(paavo: Path) -> None:
    path = paavo / THEMES / "Labour_Market_2017.csv"
    table = _read(path, ["Unemployment rate %", "Inhabitants aged 18-64"], "pxweb-csv")
    assert set(table.cells["year"]) == {2017}
    rate = table.cells[table.cells["item"] == "i0"].set_index("area_label")["value"]
    row = next(row for row in _rows(path, encoding="latin-1") if row[0].startswith("01200"))
    assert rate[row[0]] == float(row[4])
    with pytest.raises(MekevalError, match="A column is not there"):  # rates only: no persons to divide
        _read(path, ["Unemployed (PT)"], "pxweb-csv")


# --- Paavo: one table for all groups


def test_every_cell_of_the_wide_table_of_2018(paavo: Path) -> None:
    path = paavo / "vintage-2018" / "paavo_9_koko.csv"
    assert b"\r\n" in path.read_bytes()[:20_000]
    header, *rows = _rows(path, encoding="utf-8", separator=";")
    assert (len(rows), len(header)) == (3031, 107)  # README
    split = [re.fullmatch(r"(.+), (\d{4}) (\([A-Z]{2}\))", name) for name in header]
    at_of = {f"{match[1]} {match[3]}": (at, int(match[2])) for at, match in enumerate(split) if match}
    assert len(at_of) == 103  # all but the area, two coordinates and the surface
    table = _read(path, list(at_of), "paavo-wide", area_column="Postal code area")
    assert {"UTF-8", "separator ';'"} <= set(table.notes)
    years = collections.defaultdict(set)
    for label, part in _columns(table, list(at_of)):
        at, year = at_of[label]
        years[label[-3:-1]] |= set(part["year"])
        assert set(part["year"]) == {year}
        _matches(part, [row[0] for row in rows], [row[at] for row in rows], hidden=True)
    # README: the education of this release is a year ahead of its income, activity and jobs.
    assert years == {"HE": {2016}, "KO": {2016}, "TE": {2016}, "RA": {2016}, "HR": {2015}, "TR": {2015},
                     "TP": {2015}, "PT": {2015}}  # fmt: skip


def test_every_cell_of_the_dbase_table_of_2019(paavo: Path) -> None:
    path = paavo / "vintage-2019" / "pno_tilasto_2019.dbf"
    content = path.read_bytes()
    count, header, size = struct.unpack("<IHH", content[4:12])
    fields = [
        (content[at : at + 11].rstrip(b"\x00").decode(), content[at + 16])
        for at in range(32, header - 32, 32)
    ]
    assert (count, len(fields)) == (3026, 108)  # README
    assert path.with_suffix(".cpg").read_text() == "UTF-8"
    starts, at = {}, 1
    for name, width in fields:
        starts[name] = (at, width)
        at += width
    texts = {
        name: [
            content[header + n * size + at : header + n * size + at + width].decode("utf-8", "replace")
            for n in range(count)
        ]
        for name, (at, width) in starts.items()
    }
    labels = [name for name, _ in fields if re.match(r"(he|ko|hr|te|tr|ra|tp|pt)_", name)]
    table = _read(path, labels, "paavo-dbf", area_column="posti_alue", year=2017)
    areas = [text.strip() for text in texts["posti_alue"]]
    for label, part in _columns(table, labels):
        _matches(part, areas, texts[label], hidden=True)
    # README: 16 or more empty areas overflow their field; -1 hides.
    overflow = table.cells[table.cells["status"] == "overflow"]
    assert overflow["area_label"].nunique() >= 16
    assert "01770" in set(overflow["area_label"])
    assert (table.cells["status"] == "suppressed").sum() == sum(
        bool(re.fullmatch(r"-1(\.0+)?", text.strip())) for label in labels for text in texts[label]
    )


@pytest.mark.parametrize(("vintage", "number"), [(2024, 168), (2026, 330)])
def test_every_paavo_cell_of_the_geojson_files(paavo: Path, vintage: int, number: int) -> None:
    """null, -1 and 0 stand side by side; the municipality is its code, and the area's code is text."""
    path = paavo / f"vintage-{vintage}" / "metro_neighborhoods.geojson"
    records = [feature["properties"] for feature in json.loads(path.read_text("utf-8"))["features"]]
    assert len(records) == number
    assert sum(record["kunta"] == "092" for record in records) == 37
    labels = [name for name in records[0] if re.match(r"(he|ko|hr|te|tr|ra|tp|pt)_", name)]
    table = _read(path, labels, "paavo-geojson", area_column="postinumeroalue", year=vintage - 2)
    areas = [record["postinumeroalue"] for record in records]
    for label, part in _columns(table, labels):
        texts = ["" if record.get(label) is None else str(record[label]) for record in records]
        _matches(part, areas, texts, hidden=True)
    kinds = set(table.cells["status"])
    # README: the release of 2026 mixes null, -1 and 0; in that of 2024 there are zeros alone.
    assert kinds == ({"ok", "suppressed", "missing"} if vintage == 2026 else {"ok"})
    empty = table.cells[
        (table.cells["area_label"] == "01770") & (table.cells["item"] == f"i{labels.index('hr_mtu')}")
    ]
    assert empty["value"].tolist() == [0.0]  # as published; what it means is decided later


@pytest.mark.parametrize("vintage", [2024, 2026])
def test_the_rate_that_the_geojson_files_bring_along_is_no_unemployment_rate(
    paavo: Path, vintage: int
) -> None:
    """`unemployment_rate` there is unemployed / all inhabitants, which is why it is no item of ours."""
    path = paavo / f"vintage-{vintage}" / "metro_neighborhoods.geojson"
    labels = ["unemployment_rate", "pt_tyott", "he_vakiy", "pt_tyoll"]
    cells = _read(path, labels, "paavo-geojson", area_column="postinumeroalue", year=vintage - 2).cells
    cells = cells.astype({"area_label": str, "item": str})
    wide = cells.pivot(index="area_label", columns="item", values="value").loc["00100":"02000"].dropna()
    wide = wide[wide["i2"] > 0]
    share, rate = 100 * wide["i1"] / wide["i2"], 100 * wide["i1"] / (wide["i1"] + wide["i3"])
    assert (share - wide["i0"]).abs().quantile(0.95) <= 0.051  # one decimal
    assert (rate - wide["i0"]).median() > 1.5


def test_the_arrays_of_years_in_the_geojson_of_2026_are_refused(paavo: Path) -> None:
    path = paavo / "vintage-2026" / "metro_neighborhoods.geojson"
    with pytest.raises(MekevalError, match=r"row 1, column 'income_history'"):
        _read(path, ["income_history"], "paavo-geojson", area_column="postinumeroalue", year=2024)


def test_every_cell_of_the_merged_table_of_2026(paavo: Path) -> None:
    """A byte order mark, Finnish names, no year, and the code once by itself and twice within a label."""
    path = paavo / "vintage-2026" / "paavo_master.csv"
    assert path.read_bytes().startswith(b"\xef\xbb\xbf")
    header, *rows = _rows(path, encoding="utf-8-sig")
    assert (len(rows), len(header)) == (3018, 75)  # README
    assert all(row[header.index("Postinumeroalue_x")][:5] == row[header.index("Postinumero")] for row in rows)
    labels = [name for name in header if re.search(r"\([A-Z]{2}\)$", name)]
    areas = [row[header.index("Postinumero")] for row in rows]
    for reader, wanted in (("paavo-wide", labels), ("csv", labels[::12])):
        table = _read(path, wanted, reader, area_column="Postinumero", year=2024)
        assert "UTF-8" in table.notes
        for label, part in _columns(table, wanted):
            at = header.index(label)
            _matches(part, areas, [row[at] for row in rows], hidden=False)
    with pytest.raises(MekevalError, match="year of a column is not known"):
        _read(path, labels[:1], "paavo-wide", area_column="Postinumero")


def test_zeros_of_the_merged_table_of_2026_hide_small_areas(paavo: Path) -> None:
    """It writes 0 where the GeoJSON of the same statistics hides a number with -1."""
    path = paavo / "vintage-2026" / "metro_neighborhoods.geojson"
    records = [feature["properties"] for feature in json.loads(path.read_text("utf-8"))["features"]]
    rows = _rows(paavo / "vintage-2026" / "paavo_master.csv", encoding="utf-8-sig")
    at = rows[0].index("Asukkaiden mediaanitulot (HR)")
    code = rows[0].index("Postinumero")
    merged = {row[code]: row[at] for row in rows[1:]}
    hidden = [record["postinumeroalue"] for record in records if record["hr_mtu"] in (-1, None)]
    assert hidden
    assert {float(merged[area]) for area in hidden if area in merged} == {0.0}


@pytest.mark.parametrize("year", [2020, 2021, 2022, 2023])
def test_every_cell_of_table_12f7(paavo: Path, year: int) -> None:
    path = paavo / "pxweb-12f7-helsinki-2020-2023" / f"009_12f7_{year}_all.csv"
    content = path.read_bytes()
    assert b"\r\n\r\n" in content[:200]  # a title and an empty line
    header, *rows = _rows(path, encoding="latin-1", skip=2)
    assert header[2] == str(year)
    items = list(dict.fromkeys(row[1] for row in rows))
    assert len(items) == 107
    assert len({row[0][:5] for row in rows}) == 84
    table = _read(path, items, "pxweb-csv")
    assert set(table.cells["year"]) == {year}
    for label, part in _columns(table, items):
        mine = [(at, row) for at, row in enumerate(rows, start=4) if row[1] == label]
        _matches(part, [row[0] for _, row in mine], [row[2] for _, row in mine], hidden=False)
        assert list(part["row"]) == [at for at, _ in mine]
    assert not {row[0] for row in rows} & {"KOKO MAA", "Finland"}  # no country here


# --- area series: PC-Axis


def _parts(path: Path) -> tuple[dict[str, list[str]], list[str]]:
    """Lists of a PC-Axis file, by keyword, and the texts of its cells."""
    head, cells = path.read_text("latin-1").split("DATA=")
    lists = {
        key: re.findall(r'"([^"]*)"', value)
        for key, value in re.findall(
            r"^((?:VALUES|CODES|STUB|HEADING|CONTENTS)[^=]*)=([^;]*);", head, re.MULTILINE
        )
    }
    return lists, cells.strip().rstrip(";").split()


POPULATION = "C02S_VAN_Vakiluku1971.px"


def _population(path: Path, title: str = "Väestö yhteensä") -> dict[tuple[str, int], float]:
    cells = _read(path, [title], "px", area_column="Alue", item_column="Ikäryhmä").cells
    return {(row["area_label"], row["year"]): row["value"] for row in cells.to_dict("records")}


def test_codes_stand_beside_labels_that_hold_a_number_too(px: Path) -> None:
    lists, cells = _parts(px / POPULATION)
    label_of = dict(zip(lists['CODES("Alue")'], lists['VALUES("Alue")'], strict=True))
    assert {code: label_of[code] for code in MEK_DISTRICTS} == MEK_DISTRICTS  # README
    read = _population(px / POPULATION)
    for code in MEK_DISTRICTS:
        at = lists['CODES("Alue")'].index(code) * 14 * 40
        assert [read[code, year] for year in range(1971, 2011)] == [
            float(text) for text in cells[at : at + 40]
        ]


def test_levels_are_mixed_in_one_dimension_and_length_of_codes_tells_them_apart(px: Path) -> None:
    """The city is its 7 major areas and "Muut"; a major area is the districts that follow it in the file."""
    read = _population(px / POPULATION)
    lists, _ = _parts(px / POPULATION)
    codes = lists['CODES("Alue")']
    assert sorted(codes) == sorted({code for code, _ in read})
    levels = collections.Counter(map(len, codes))
    assert levels == {3: 1, 4: 7, 5: 62}  # 61 districts and "092 99 Muut"
    parts: dict[str, list[str]] = {}
    for code in codes[1:]:
        if len(code) == 4:
            parts[code] = []
        elif code != "09299":
            parts[list(parts)[-1]].append(code)
    for year in range(1971, 2011):
        assert read["092", year] == sum(read[code, year] for code in (*parts, "09299"))
        for major, districts in parts.items():
            known = [read[code, year] for code in districts if not math.isnan(read[code, year])]
            short = read[major, year] - sum(
                known
            )  # districts were split in time; before, they have no number
            assert short == 0 if len(known) == len(districts) else short >= 0, (major, year)


def test_some_codes_of_helsinki_carry_a_suffix_and_stay_apart(px: Path) -> None:
    path = px / "A02S_HKI_Vakiluku1962.px"
    lists, cells = _parts(path)
    codes = lists['CODES("Alue")']
    suffixed = [code for code in codes if code[-1] == "P"]
    assert "091103P" in suffixed
    assert len(codes) == len(set(codes)) == 182
    twins = [code for code in suffixed if code[:-1] in codes]
    assert twins  # without the letter another area would be meant
    read = _population(path)
    for code in (*twins, *(twin[:-1] for twin in twins)):
        at = codes.index(code) * 14 * 49
        for year, text in enumerate(cells[at : at + 49], start=1962):
            assert repr(read[code, year]) == ("nan" if text.startswith('"') else repr(float(text)))
    assert all(read[twin, 2005] != read[twin[:-1], 2005] for twin in twins)


def test_population_is_of_1_january_and_unemployment_of_31_december(px: Path) -> None:
    """The day stands in the table's name alone; a reader says it, and the years are as printed."""
    for name, dimension, title, day in (
        (POPULATION, "Ikäryhmä", "Väestö yhteensä", "1.tammikuuta"),
        ("C04S_VANS_Tyottomat_Sukupuoli.px", "Työttömyys", "Työttömät", "31. joulukuuta"),
    ):
        lists, _ = _parts(px / name)
        assert day in "".join(lists["CONTENTS"])
        take = {"Sukupuoli": "Molemmat sukupuolet"} if dimension == "Työttömyys" else {}
        table = _read(px / name, [title], "px", area_column="Alue", item_column=dimension, take=take)
        years = [int(year) for year in lists['VALUES("Vuosi")']]
        assert sorted(set(table.cells["year"])) == years


def test_the_quoted_symbol_is_no_number_and_a_bare_zero_is(px: Path) -> None:
    path = px / "C04S_VANS_Tyottomat_Sukupuoli.px"
    lists, cells = _parts(path)
    assert collections.Counter(cells)['".."'] == 737  # README
    read = _read(path, ["Työttömät", "Työttömyysaste"], "px", area_column="Alue", item_column="Työttömyys",
                 take={"Sukupuoli": "Miehet"}).cells  # fmt: skip
    size = 2 * 8
    for area, code in enumerate(lists['CODES("Alue")']):
        mine = cells[(area * 3 + 1) * size : (area * 3 + 2) * size]
        for item in (0, 1):
            part = read[(read["area_label"] == code) & (read["item"] == f"i{item}")].sort_values("year")
            for text, value, status in zip(
                mine[item * 8 : item * 8 + 8], part["value"], part["status"], strict=True
            ):
                assert (status == "suppressed") == (text == '".."')
                assert status == "suppressed" or value == float(text)


def test_decimals_are_those_of_the_cells_whatever_is_to_be_shown(px: Path) -> None:
    """DECIMALS=1 with SHOWDECIMALS=0: the rate keeps its decimal."""
    path = px / "C04S_VANS_Tyottomat_Sukupuoli.px"
    head = path.read_text("latin-1").split("DATA=")[0]
    assert "DECIMALS=1;" in head.split("SHOWDECIMALS=0;")[0]
    cells = _read(path, ["Työttömyysaste"], "px", area_column="Alue", item_column="Työttömyys",
                  take={"Sukupuoli": "Molemmat sukupuolet"}).cells  # fmt: skip
    assert (cells["value"].dropna() % 1 != 0).mean() > 0.5


@pytest.mark.parametrize(
    ("name", "ends"),
    [
        ("C04S_VANS_Tyottomat_Sukupuoli", "LF"),
        ("C02S_VAN_Vakiluku1971", "CRLF"),
        ("C01VAN_Astuot_hper_rahoitus_talotyyppi", "CRLF"),
        ("A01S_HKI_Vaesto_koulutusaste", "CRLF"),
        ("A02S_HKI_Vakiluku1962", "CRLF"),
        ("A01S_HKI_Vakiluku", "CRLF"),
    ],
)
def test_characters_and_line_ends_of_each_file_are_found_and_said(px: Path, name: str, ends: str) -> None:
    path = px / f"{name}.px"
    content = path.read_bytes()
    assert (b"\r\n" in content) == (ends == "CRLF")
    with pytest.raises(UnicodeDecodeError):
        content.decode("utf-8")
    lists, _ = _parts(path)
    dimensions = lists["STUB"] + lists["HEADING"]
    others = [each for each in dimensions if each not in ("Alue", "Vuosi")]
    item, *rest = others
    take = {each: lists[f'VALUES("{each}")'][0] for each in rest}
    label = lists[f'VALUES("{item}")'][0]
    table = _read(path, [label], "px", area_column="Alue", item_column=item, take=take)
    assert f"line ends {ends}" in table.notes
    assert table.notes[0] == "ISO-8859-1 (the file says CHARSET 'ANSI')"
    by_label = _read(path, [label], "px", area_column="Alue", item_column=item, take=take, area_by="label")
    assert list(by_label.cells["area_label"].drop_duplicates()) == lists['VALUES("Alue")']
    assert set(table.cells["area_label"]) == set(lists['CODES("Alue")'])


def test_the_six_major_categories_of_dwellings_are_left_to_the_study(px: Path) -> None:
    """Seven dimensions: with one left open the file is refused, and the product is 1,209,600 cells."""
    path = px / "C01VAN_Astuot_hper_rahoitus_talotyyppi.px"
    lists, cells = _parts(path)
    assert len(cells) == 1_209_600
    take = {"Talotyyppi": "Asuinkerrostalot", "Hallintaperuste": "Vuokra-asunnot", "Rahoitusmuoto": "Yhteensä",
            "Huoneistotyyppi": "Yhteensä"}  # fmt: skip
    given = {"area_column": "Alue", "item_column": "Yksikkö"}
    with pytest.raises(MekevalError, match="'Huoneistotyyppi' is left undecided"):
        _read(path, ["Asuntojen lukumäärä"], "px", take=dict(list(take.items())[:3]), **given)
    read = _read(path, ["Asuntojen lukumäärä"], "px", take=take, **given).cells
    area = lists['CODES("Alue")'].index("09215")
    at = ((area * 6 + 4) * 4 + 2) * 4 * 9 * 2 * 10
    mine = read[read["area_label"] == "09215"].sort_values("year")
    assert mine["value"].tolist() == [float(text) for text in cells[at : at + 10]]


# --- Sotkanet, and what no reader takes


def test_sotkanet_codes_are_whole_numbers_and_row_names_are_no_column(raw: Path) -> None:
    pyreadr = pytest.importorskip("pyreadr")
    path = raw / "sotkanet" / "sotkadata_population.rda"
    frame = pyreadr.read_r(str(path))["sotkadata_population"]
    given = {"reader": "rdata", "table": "sotkadata_population", "area_column": "municipality_code",
             "year_column": "year", "value_column": "primary.value"}  # fmt: skip
    cells = _read(path, ["primary.value"], **given, area_digits=3).cells
    vantaa = frame[frame["municipality_code"] == 92].set_index("year")["primary.value"]
    mine = cells[cells["area_label"] == "092"].set_index("year")["value"]
    assert mine.sort_index().tolist() == vantaa.sort_index().tolist()
    assert len(mine) == 23
    assert "92" in set(_read(path, ["primary.value"], **given).cells["area_label"])  # without area_digits
    with pytest.raises(MekevalError, match="'127'"):
        _read(path, ["127"], **given)


@pytest.mark.parametrize("reader", ["sotkanet-json", "json-stat", "paavo-geojson", "csv"])
def test_one_object_of_codes_and_shares_is_refused_in_words(raw: Path, reader: str) -> None:
    """{"00100": 9.5, …} has no names for its parts: no layout that study.toml can describe."""
    path = raw / "okm-foreign-language-2020" / "foreign_language_pct.json"
    assert len(json.loads(path.read_text("utf-8"))) == 3009  # README
    with pytest.raises(MekevalError, match=r"foreign_language_pct\.json"):
        _read(path, ["share"], reader, area_column="code", year=2020)


def test_the_flat_hierarchy_has_bare_cr_line_ends_and_rows_of_two_widths(raw: Path) -> None:
    path = raw / "aluesarjat" / "hierarchy" / "Aluehierarkia.csv"
    content = path.read_bytes()
    assert b"\n" not in content
    rows = [line for line in content.decode("utf-8").split("\r") if line.strip()]
    assert len(rows) == 293
    assert sum(row.startswith("092") for row in rows) == 62
    # Cities end with "Muut" (others), which has no place between the city and itself.
    widths = collections.Counter((row[:3] == "092", row.rstrip(";").count(";")) for row in rows)
    assert widths == {(True, 2): 61, (True, 1): 1, (False, 3): 227, (False, 1): 4}
    with pytest.raises(MekevalError, match=r"Aluehierarkia\.csv"):
        _read(path, ["x"], "csv", area_column="092 Vantaa", year=2009)
