"""The community developers' indicators: intake, personal data, intervals, agreement, small cells, pages."""

from __future__ import annotations

import csv
import io
import itertools
import json
import math
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from scipy.optimize import linprog
from scipy.stats import binomtest

from mekeval import (
    DataError,
    MekevalError,
    Monitoring,
    activity_indicators,
    activity_intensity,
    bootstrap_mean,
    coded_answers,
    coder_agreement,
    community_quarter,
    community_year,
    compare_reported,
    example_monitoring,
    feedback_indicators,
    krippendorff_alpha,
    personal_data,
    read_monitoring,
    response_rates,
    wilson_interval,
)
from mekeval.cli import main
from mekeval.errors import Fault, Place
from mekeval.figures.monitoring import plot_events
from mekeval.monitoring.feedback import withheld_cells
from mekeval.monitoring.personal import check_character, harmless
from mekeval.report.monitoring import YearReport
from mekeval.text import LANGUAGES

#: Persons whom the Digital and Population Data Services Agency made up for tests, with every new sign; and its sample.
CODES = [
    "131052-308T",
    "010594Y9032",
    "010594Y9021",
    "020594X903P",
    "020594X902N",
    "030594W903B",
    "030694W9024",
    "040594V9030",
    "040594V902Y",
    "050594U903M",
    "050594U902L",
    "010516B903X",
    "010516B902W",
    "020516C903K",
    "020516C902J",
    "030516D9037",
    "030516D9026",
    "010501E9032",
    "020502E902X",
    "020503F9037",
    "020504A902E",
    "020504B904H",
]


@pytest.fixture(scope="module")
def known() -> Monitoring:
    return read_monitoring(example_monitoring())


@pytest.fixture(scope="module")
def year_pages(known: Monitoring) -> dict[str, YearReport]:
    return {language: community_year(known, year=2025, language=language) for language in LANGUAGES}


# Personal data


@pytest.mark.parametrize("code", CODES)
def test_check_characters_are_those_of_the_authority(code: str) -> None:
    assert check_character(code[:6], code[7:10]) == code[10]
    assert personal_data(f"Soittakaa, tunnus {code}.") == ("a personal identity code",)


@pytest.mark.parametrize(
    "text",
    [
        "131052\N{EN DASH}308T",
        "131052 -308t",
        "131052+308T",
        "１３１０５２-３０８Ｔ",
        "131052308T",  # without its sign, as forms store it
        "131052-308K",  # a slip of the pen: still a person
        "hetu:131052-308T;",
        "hetu131052-308Tssa",  # in a word
        "131052-\r\n308T",
        "131052\N{NO-BREAK SPACE}\N{EN DASH}\N{NO-BREAK SPACE}308T",
        "13.10.1952-308T",
        "13 10 52 308T",
        "131052_308 T",
        "1 3 1 0 5 2 - 3 0 8 T",
    ],
)
def test_codes_are_found_however_written(text: str) -> None:
    assert "a personal identity code" in personal_data(text)


@pytest.mark.parametrize(
    "text",
    [
        "maija.meikalainen@example.fi",
        "Kysy: m.m+x@mail.example.co.uk!",
        "maija (at) example.fi",
        "maija[at]example[piste]fi",
        "maija\u200b@example.fi",
        "maija@v\xe4in\xf6l\xe4.fi",
        "maija\uff20example\uff0efi",
        "maija&#64;example.fi",
        "maija%40example.fi",
        "maija at example dot fi",
        "maija (a) example.fi",
        "maija miukumauku example.fi",
    ],
)
def test_addresses_are_found(text: str) -> None:
    assert personal_data(text) == ("an e-mail address",)


@pytest.mark.parametrize(
    "text",
    [
        "+358 40 123 4567",
        "+358401234567",
        "00358 40 1234567",
        "+358 (0)40 123 4567",
        "040 123 4567",
        "040-1234567",
        "0401234567",
        "(040) 1234567",
        "0457 123 4567",
        "p. 050.123.4567",
        "09 839 2000",
        "019-123 4567",
        "+46 70 123 45 67",
        "puh040 1234567",
        "358 40 1234567",
        "(0)40 1234567",
        "(09)123456",
        "040\N{NO-BREAK SPACE}\N{EN DASH}\N{NO-BREAK SPACE}123\N{NARROW NO-BREAK SPACE}4567",
        "040_123_4567",
        "040\N{MIDDLE DOT}123\N{MIDDLE DOT}4567",
        "401234567",  # alone in the cell of a spreadsheet that took it for a number
    ],
)
def test_telephone_numbers_are_found(text: str) -> None:
    assert personal_data(text) == ("a telephone number",)


@pytest.mark.parametrize(
    "text",
    [
        "13.10.2024",
        "3.5.2024-31.12.2025",
        "2024-05-03T18:00",
        "01-05-2024",
        "09 12 2024",
        "01012024",
        "20240503",
        "010124",
        "010124-310124",
        "klo 09:00-10:30",
        "09-10.30",
        "5 000 EUR",
        "60 000,00 €",
        "+20 000 EUR",
        "+1 000 000 €",
        "5 050 000 EUR",
        "150324-200 €",
        "1 000 000 000",
        "01300 Vantaa",
        "01300 01360",
        "0921, 09274",
        "0124610-9",  # the city's own business identity code
        "32/16/30/12",
        "120 120 osallistujaa",
        "0,0912345678",
        "ISBN 978-952-03-1234-5",
        "0927 0925 0926 0921",
        "Tavattiin @kirjastolla. Hyvin meni",
        "13.10.2024 120 T",
        "we met at vantaa.fi",
        "2023-2025",
        "",
    ],
)
def test_dates_amounts_and_codes_of_places_pass(text: str) -> None:
    assert personal_data(text) == ()


def test_a_fault_of_a_reader_repeats_nothing() -> None:
    place = Place(file="a.csv", row=3, column="maija@example.fi")
    shown = str(harmless(Fault(what="Cells.", place=place, found="3 cells, the first 'maija@exam'")))
    assert "maija" not in shown
    assert "row 3" in shown
    assert "3 cells" in shown


# Intake

ACTIVITIES = """date,major_area,district,type,theme,partner,participants,languages,accessible,cost
2024-01-10,Hakunila,Länsimäki,network_coffee,trust,A;B,10,fi;so,yes,100
12.1.2024,Hakunila,,Verkostokahvit,,A,,fi,,
2024-02-01,Korso,Mikkola,art_workshop,together,C,5,,no,"50,50"
2024-04-02,Hakunila,,joint_event,,B;D,20,en,yes,0
"""
FEEDBACK = """date,major_area,district,activity,trust,inclusion,embedding,language,text,codes
2024-01-10,Hakunila,,network_coffee,5,4,,fi,,
"""


def _folder(tmp_path: Path, activities: str | bytes = ACTIVITIES, feedback: str = FEEDBACK) -> Path:
    folder = tmp_path / "records"
    shutil.copytree(example_monitoring(), folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "reported.csv").write_text("measure,area,years,value,qualifier,source\n", encoding="utf-8")
    (folder / "feedback.csv").write_text(feedback, encoding="utf-8")
    if isinstance(activities, str):
        (folder / "activities.csv").write_text(activities, encoding="utf-8")
    else:
        (folder / "activities.xlsx").write_bytes(activities)
        toml = folder / "monitoring.toml"
        toml.write_text(toml.read_text("utf-8").replace('"activities.csv"', '"activities.xlsx"'), "utf-8")
    return folder


def _refused(tmp_path: Path, activities: str | bytes = ACTIVITIES, feedback: str = FEEDBACK) -> MekevalError:
    with pytest.raises(MekevalError) as caught:
        read_monitoring(_folder(tmp_path, activities, feedback))
    return caught.value


def _book(text: str) -> bytes:
    """A workbook of one sheet; whole numbers are numbers, the first column a date (44562 is 1 January 2022)."""
    sheet = io.StringIO()
    for r, row in enumerate(csv.reader(io.StringIO(text)), start=1):
        sheet.write(f'<row r="{r}">')
        for c, cell in enumerate(row):
            ref = f"{chr(65 + c)}{r}"
            days = (pd.Timestamp(cell) - pd.Timestamp("2022-01-01")).days if c == 0 and "-" in cell else None
            if days is not None:
                sheet.write(f'<c r="{ref}" s="1"><v>{44562 + days}</v></c>')
            elif cell.isdecimal():
                sheet.write(f'<c r="{ref}"><v>{cell}</v></c>')
            elif cell:
                sheet.write(f'<c r="{ref}" t="inlineStr"><is><t>{cell}</t></is></c>')
        sheet.write("</row>")
    main_ns = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{kind}.sheet.main+xml"/>'
        f'<Override PartName="/xl/styles.xml" ContentType="{kind}.styles+xml"/>'
        f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{kind}.worksheet+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" '
        f'Type="{office}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main_ns}" xmlns:r="{office}"><sheets>'
        '<sheet name="S" sheetId="1" r:id="r1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}/relationships">'
        f'<Relationship Id="r1" Type="{office}/worksheet" Target="worksheets/sheet1.xml"/>'
        f'<Relationship Id="r2" Type="{office}/styles" Target="styles.xml"/></Relationships>',
        "xl/styles.xml": f'<styleSheet xmlns="{main_ns}"><cellXfs count="2"><xf numFmtId="0"/>'
        '<xf numFmtId="14" applyNumberFormat="1"/></cellXfs></styleSheet>',
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{main_ns}"><sheetData>{sheet.getvalue()}'
        "</sheetData></worksheet>",
    }
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as book:
        for name, content in parts.items():
            book.writestr(name, content)
    return stream.getvalue()


def test_records_are_read_by_name_label_or_code(tmp_path: Path) -> None:
    frame = read_monitoring(_folder(tmp_path)).activities
    assert frame["type"].tolist() == ["network_coffee", "network_coffee", "art_workshop", "joint_event"]
    assert frame["area"].tolist() == ["0927", "0927", "0926", "0927"]
    assert frame["district"].tolist() == ["09291", "", "09282", ""]
    assert frame["participants"].tolist() == [10, pd.NA, 5, 20]
    assert frame["cost"].tolist() == [100.0, pd.NA, 50.5, 0.0]
    assert frame["accessible"].tolist() == [True, pd.NA, False, True]
    assert frame["date"].dt.strftime("%Y-%m-%d").tolist()[1] == "2024-01-12"


def test_a_workbook_holds_the_same_as_a_csv(tmp_path: Path) -> None:
    text = ACTIVITIES.replace("12.1.2024", "2024-01-12")
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one = read_monitoring(_folder(tmp_path / "a", text)).activities
    other = read_monitoring(_folder(tmp_path / "b", _book(text))).activities
    pd.testing.assert_frame_equal(one, other)


def test_every_fault_is_told_at_once_with_its_place(tmp_path: Path) -> None:
    bad = (
        ACTIVITIES
        + """2022-12-31,Hakunila,,network_coffee,,,1,fi,,
2024-13-01,Hakunila,,network_coffee,,,1,fi,,
2024-03-01,Hakunlia,,network_coffee,,,1,fi,,
2024-03-02,Hakunila,Mikkola,network_coffee,,,1,fi,,
2024-03-03,Hakunila,,coffee,,,1,fi,,
2024-03-04,Hakunila,,network_coffee,love,,1,fi,,
2024-03-05,Hakunila,,network_coffee,,,-3,fi,,
2024-03-06,Hakunila,,network_coffee,,,many,fi,,
2024-03-07,Hakunila,,network_coffee,,,1,fi,,-5
2024-03-08,Hakunila,,network_coffee,,,1,qqq,,
2024-03-09,Hakunila,,network_coffee,,,1,fi,perhaps,
2024-04-02,Hakunila,,joint_event,,D;B,21,en,yes,1
,Hakunila,,network_coffee,,,1,fi,,
"""
    )
    error = _refused(tmp_path, bad)
    told = {(fault.place.row, fault.place.column): fault.what for fault in error.faults if fault.place}
    assert told == {
        (6, "date"): "The day lies outside the programme.",
        (7, "date"): "This is no day.",
        (8, "major_area"): "The area is not known.",
        (9, "district"): "The district lies in another area.",
        (10, "type"): "The word is not in the list.",
        (11, "theme"): "The word is not in the list.",
        (12, "participants"): "The number is below zero.",
        (13, "participants"): "Text where a number is due.",
        (14, "cost"): "The number is below zero.",
        (15, "languages"): "This is no code of a language.",
        (16, "accessible"): "This is neither yes nor no.",
        (17, ""): "The event is there twice.",
        (18, "date"): "A cell is empty.",
    }
    shown = {fault.place.row: fault for fault in error.faults if fault.place}
    assert "'Hakunila'" in shown[8].expected
    assert shown[17].found == "the same as row 5"
    assert shown[13].found == "'many'"


def test_two_events_of_a_day_are_told_apart(tmp_path: Path) -> None:
    rows = "date,event,major_area,district,type,theme,partner,participants,languages,accessible,cost\n"
    rows += "".join(f"2024-05-02,{at},Korso,,art_workshop,,,5,fi,yes,\n" for at in ("10:00", "13:00"))
    feedback = FEEDBACK.splitlines()[0] + "\n2024-05-02,Korso,,,5,,,,,\n"
    assert len(read_monitoring(_folder(tmp_path, rows, feedback)).activities) == 2


@pytest.mark.parametrize("form", [str.encode, _book])
@pytest.mark.parametrize(
    ("private", "word"),
    [("131052-308T", "308T"), ("maija@example.fi", "maija"), ("040 123 4567", "123 4567")],
)
def test_personal_data_are_refused_and_not_repeated(
    tmp_path: Path, form: Any, private: str, word: str
) -> None:
    text = ACTIVITIES.replace("12.1.2024", "2024-01-12").replace("trust,A;B", f"trust,Ask {private}")
    text = text.replace("Korso,Mikkola,art_workshop", f"{private},Mikkola,{private}")
    error = _refused(tmp_path, text if form is str.encode else _book(text))
    places = {(fault.place.row, fault.place.column) for fault in error.faults if fault.place}
    assert places == {(2, "partner"), (4, "major_area"), (4, "type")}
    assert word not in str(error)
    assert word not in repr(error.faults)
    assert "personal data" in str(error)


def test_free_text_with_personal_data_is_refused(tmp_path: Path) -> None:
    error = _refused(
        tmp_path, feedback=FEEDBACK + "2024-01-10,Hakunila,,network_coffee,5,4,,fi,Soita 0401234567,\n"
    )
    assert [(f.place.row, f.place.column) for f in error.faults if f.place] == [(3, "text")]
    assert "0401234567" not in str(error)


def test_names_of_files_and_of_sheets_repeat_no_personal_data(tmp_path: Path) -> None:
    """The manifest lists the files; a definition is quoted in its faults."""
    toml = _folder(tmp_path) / "monitoring.toml"
    whole = toml.read_text("utf-8")
    for old, new in (
        ('"activities.csv"', '"maija@example.fi.csv"'),
        ("minimum_answers = 5", 'minimum_answers = "maija@example.fi"'),
        ('city = "092"', 'city = "maija@example.fi"'),
    ):
        toml.write_text(whole.replace(old, new), "utf-8")
        with pytest.raises(MekevalError) as caught:
            read_monitoring(toml)
        assert "maija" not in str(caught.value).replace(str(tmp_path), "")


def test_headings_and_broken_rows_repeat_no_personal_data(tmp_path: Path) -> None:
    text = ACTIVITIES.replace("date,", "maija@example.fi,", 1) + "maija@example.fi,1\n"
    assert "maija" not in str(_refused(tmp_path, text))


def test_columns_that_nobody_asked_for_are_refused(tmp_path: Path) -> None:
    text = "\n".join(
        line + ("," + ("name" if at == 0 else "x")) for at, line in enumerate(ACTIVITIES.splitlines())
    )
    assert "nobody asked for" in str(_refused(tmp_path, text + "\n"))


def test_answers_must_fit_events_scale_and_codebook(tmp_path: Path) -> None:
    rows = [
        "2024-01-11,Hakunila,,network_coffee,5,4,,fi,,",  # no such event
        "2024-01-10,Hakunila,,network_coffee,6,x,,fi,,",
        "2024-01-10,Hakunila,,network_coffee,,,,fi,,",
        "2024-01-10,Hakunila,,network_coffee,4,,,fi,Hyvä,kind",
        "2024-01-10,Hakunila,,network_coffee,4,,,fi,,met_people",
    ]
    said = str(_refused(tmp_path, feedback=FEEDBACK + "\n".join(rows[1:]) + "\n"))
    assert said.count("not on the scale") == 2
    for what in ("neither an item nor a text", "not in the codebook", "beside an empty text"):
        assert what in said
    (tmp_path / "b").mkdir()
    many = rows[0] + "\n" + "2024-02-01,Korso,,art_workshop,4,,,,,\n" * 6
    error = _refused(tmp_path / "b", feedback=FEEDBACK + many)
    assert [fault.what for fault in error.faults] == [
        "There is no such event among the activities.",
        "An event has more answers than participants.",
    ]


def test_a_wrong_definition_is_told(tmp_path: Path) -> None:
    folder = _folder(tmp_path)
    toml = folder / "monitoring.toml"
    toml.write_text(toml.read_text("utf-8").replace("minimum_answers = 5", "minimum_answers = 1"), "utf-8")
    with pytest.raises(MekevalError, match=r"monitoring\.minimum_answers"):
        read_monitoring(folder)
    with pytest.raises(MekevalError, match="no monitoring here"):
        read_monitoring(tmp_path)


# Indicators of activities


def test_indicators_by_hand(tmp_path: Path) -> None:
    """Hakunila in the first quarter of 2024: two coffees; one has 10 participants and cost 100, one neither."""
    one = read_monitoring(_folder(tmp_path))
    table = activity_indicators(one.activities, one.spec, by="quarter").set_index(["area", "year", "quarter"])
    row = table.loc[("0927", 2024, 1)]
    assert row[["events", "network_meetings", "workshops", "trainings"]].tolist() == [2, 2, 0, 0]
    assert row[["participants", "participants_unknown", "cost", "cost_unknown"]].tolist() == [10, 1, 100, 1]
    assert row[["languages", "multilingual", "languages_unknown"]].tolist() == [2, 1, 0]
    assert row[["accessible", "accessibility_known", "accessible_share"]].tolist() == [1, 1, 1.0]
    assert row["partners"] == 2
    assert row["partners_returned"] is pd.NA  # nothing came before
    assert row["cost_per_participant"] == 10.0
    second = table.loc[("0927", 2024, 2)]  # B was there before, D was not
    assert second[["partners", "partners_returned", "cost_per_participant"]].tolist() == [2, 1, 0.0]
    every = table.loc[("all", 2024, 1)]
    assert every[["events", "participants", "workshops", "languages_unknown"]].tolist() == [3, 15, 1, 1]
    assert every["cost_per_participant"] == pytest.approx(150.5 / 15)
    assert table.loc[("0921", 2024, 1), "events"] == 0
    assert table.loc[("0921", 2024, 1), "accessible_share"] is pd.NA


def test_nothing_before_the_work_began_is_not_zero(known: Monitoring) -> None:
    """Hakunila began in the summer of 2023, Koivukylä in March: "–" and a number in the first quarter."""
    table = activity_indicators(known.activities, known.spec, by="quarter")
    first = table.loc[(table["year"] == 2023) & (table["quarter"] == 1)].set_index("area")["running"]
    assert first.to_dict() == {
        "0927": False,
        "0925": True,
        "0926": False,
        "0921": True,
        "092": True,
        "all": True,
    }
    rows = {row[0]: row[1:] for row in plot_events(table, areas=["0927", "0925"], year=2023).data.rows}
    assert rows["Q1 2023"] == ("\N{EN DASH}", "3")
    assert rows["Q3 2023"][0] == "6"


def test_indicators_do_not_depend_on_the_order_of_rows(known: Monitoring) -> None:
    mixed = known.activities.sample(frac=1, random_state=3)
    before = mixed.copy()
    one = activity_indicators(mixed, known.spec, by="quarter")
    pd.testing.assert_frame_equal(one, activity_indicators(known.activities, known.spec, by="quarter"))
    pd.testing.assert_frame_equal(mixed, before)
    answers = known.feedback.sample(frac=1, random_state=3)
    pd.testing.assert_frame_equal(
        feedback_indicators(answers, known.spec, by="quarter"),
        feedback_indicators(known.feedback, known.spec, by="quarter"),
    )


def test_intensity_by_hand(tmp_path: Path) -> None:
    """Hakunila: 3 events in 2024, 2,000 people: 1.5 for each 1,000; in 2023 none: a mean of 0.75."""
    one = read_monitoring(_folder(tmp_path))
    people = {"0927": 2000.0, "0926": 500.0, "0921": 100.0}
    found = activity_intensity(one.activities, one.areas, people, years=[2023, 2024])
    assert found.dose(years=[2024]) == {"0921": 0.0, "0926": 2.0, "0927": 1.5}
    assert found.dose()["0927"] == 0.75
    assert found.unplaced == 0
    with pytest.raises(DataError, match="lower bound"):
        found.dose("participants", years=[2024])
    assert found.dose("participants", years=[2024], lower_bound=True)["0927"] == 15.0
    part = activity_intensity(one.activities, one.areas, {"09291": 1000.0}, level="district")
    assert (part.dose(), part.unplaced) == ({"09291": 1.0}, 3)
    by_year = pd.DataFrame({"area": ["0926"], "year": [2024], "population": [250.0]})
    assert activity_intensity(one.activities, one.areas, by_year, years=[2024]).dose() == {"0926": 4.0}
    for bad in ({"0927": 0.0}, {"0999": 10.0}, {}):
        with pytest.raises(DataError):
            activity_intensity(one.activities, one.areas, bad)
    with pytest.raises(DataError, match="2031"):
        found.dose(years=[2031])


# Intervals


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_is_that_of_newcombe(k: int, n: int, low: float, high: float) -> None:
    """Newcombe (1998), Statistics in Medicine 17, 857-872, table I, method 3."""
    found = wilson_interval(k, n)
    assert (found.low, found.high) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


def test_wilson_by_its_formula() -> None:
    """(p + z²/2n ± z √(p(1-p)/n + z²/4n²)) / (1 + z²/n) with z = 1.959964."""
    for k, n in ((7, 9), (3, 5), (5, 5)):
        z, p = 1.959963984540054, k / n
        half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        ends = [(p + z * z / (2 * n) + sign * half) / (1 + z * z / n) for sign in (-1, 1)]
        found = wilson_interval(k, n)
        assert [found.low, found.high] == pytest.approx(ends, abs=1e-12)
    with pytest.raises(DataError):
        wilson_interval(3, 2)


@pytest.mark.parametrize("alpha", [0.05, 0.1])
def test_wilson_is_that_of_scipy(alpha: float) -> None:
    for k, n in ((0, 1), (1, 1), (0, 7), (3, 7), (7, 7), (29, 263)):
        theirs = binomtest(k, n).proportion_ci(confidence_level=1 - alpha, method="wilson")
        found = wilson_interval(k, n, alpha=alpha)
        assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=1e-14)


@pytest.mark.parametrize("counts", [[0, 1, 0, 2, 2], [1, 0, 0, 0, 4], [2, 1, 1, 1, 1]])
@pytest.mark.parametrize("alpha", [0.2, 0.05])
def test_bootstrap_is_that_of_all_samples(counts: list[int], alpha: float) -> None:
    """Every one of the n^n samples drawn, and the quantiles of their means."""
    answers = np.repeat(np.arange(1, 6), counts)
    samples = np.array(list(itertools.product(answers, repeat=len(answers))))
    means = np.sort(samples.mean(axis=1))
    tail = alpha / 2
    low, high = (np.quantile(means, share, method="inverted_cdf") for share in (tail, 1 - tail))
    found = bootstrap_mean(np.array(counts), 1, alpha=alpha)
    assert (found.estimate, found.low, found.high) == pytest.approx((answers.mean(), low, high), abs=1e-12)


def test_bootstrap_of_answers_that_are_alike_has_no_ends() -> None:
    found = bootstrap_mean(np.array([0, 0, 0, 7, 0]), 1)
    assert (found.estimate, found.low, found.high, found.n) == (4.0, None, None, 7)
    with pytest.raises(DataError):
        bootstrap_mean(np.zeros(5, dtype=int), 1)


# Agreement of coders

NA = math.nan
#: Krippendorff (2011), Computing Krippendorff's alpha-reliability: examples A, B and C.
A = [[0, 1, 0, 0, 0, 0, 0, 0, 1, 0], [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]]
B = [["aabbdcccedda".index(one) for one in word] for word in ("aabbdcccedda", "babbbccceddd")]
C = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, NA, NA, NA],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NA, 3],
    [NA, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NA],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NA],
]


def test_alpha_is_that_of_krippendorff() -> None:
    assert krippendorff_alpha(A) == pytest.approx(0.095, abs=5e-4)
    assert krippendorff_alpha(B) == pytest.approx(0.692, abs=5e-4)
    assert krippendorff_alpha(C) == pytest.approx(0.743, abs=5e-4)
    assert krippendorff_alpha(C, level="ordinal") == pytest.approx(0.815, abs=5e-4)


def test_alpha_without_variation_or_package(monkeypatch: pytest.MonkeyPatch) -> None:
    assert krippendorff_alpha([[1, 1], [1, 1]]) is None
    assert krippendorff_alpha([[1, NA], [NA, 2]]) is None
    with pytest.raises(MekevalError, match="at least two coders"):
        krippendorff_alpha([[1, 2]])
    with pytest.raises(MekevalError, match="level of measurement"):
        krippendorff_alpha(A, level="interval")  # type: ignore[arg-type]
    monkeypatch.setitem(sys.modules, "krippendorff", None)
    with pytest.raises(DataError, match=r"mekeval\[monitoring\]"):
        krippendorff_alpha(A)


def test_coders_are_compared_code_by_code(known: Monitoring) -> None:
    """Of four texts two coders disagree on one: of the code "a" 1100 and 1000.

    Coincidences: 2 units with pairs (0,0), 1 with (1,1), 1 with (0,1): observed disagreement 2/8; 3 ones and 5 zeros
    of 8: expected 2·3·5/(8·7); alpha = 1 - (2/8) / (30/56) = 0.5333.
    """
    codes = ["met_people", "met_people", "", ""]
    others = ["met_people", "was_heard", "", ""]
    frame = pd.DataFrame({"codes": [*codes, "barrier"], "codes_b": [*others, pd.NA]})
    about = known.spec.monitoring.model_copy(update={"minimum_answers": 3})
    spec = known.spec.model_copy(update={"monitoring": about})
    table = coder_agreement(frame, spec).set_index("code")
    assert table.loc["met_people", "texts"] == 4
    assert table.loc["met_people", "alpha"] == pytest.approx(1 - (2 / 8) / (30 / 56))
    assert table.loc["barrier", "alpha"] is pd.NA
    assert coder_agreement(frame, known.spec)["alpha"].isna().all()  # fewer texts than the minimum


# Small cells


def test_small_cells_by_hand() -> None:
    """Areas 3, 9, 20 and their sum 32: the 3 is small, and 32 - 9 - 20 would give it; the 9 goes too."""
    counts = np.array([[3], [9], [20], [32]])
    assert withheld_cells(counts, [(2024, 0)], 5).ravel().tolist() == [True, True, False, False]
    # 3 and 1 are both small and together fewer than five: their sum would tell that.
    counts = np.array([[3], [1], [20], [24]])
    assert withheld_cells(counts, [(2024, 0)], 5).ravel().tolist() == [True, True, True, False]
    counts = np.array([[3], [4], [20], [27]])
    assert withheld_cells(counts, [(2024, 0)], 5).ravel().tolist() == [True, True, False, False]
    # All five are said to be withheld and not empty: five with a sum of five hold one answer each.
    counts = np.array([[1], [1], [1], [1], [1], [5]])
    assert withheld_cells(counts, [(2024, 0)], 5).all()
    counts = np.array([[7], [0], [20], [27]])
    assert not withheld_cells(counts, [(2024, 0)], 5).any()


@pytest.mark.parametrize("seed", [0, 31, 60, 63, 77, 148])  # in all but the first, single sums are not enough
def test_no_small_cell_can_be_computed_from_what_is_shown(seed: int) -> None:
    """All shown sums leave a small cell room (by linear programme) and give no sum of a few small ones (by rank)."""
    rng = np.random.default_rng(seed)
    periods = [(2024, 0), (2024, 1), (2024, 2), (2024, 3), (2024, 4)]
    quarters = rng.poisson(rng.choice([0.5, 2, 8], size=(4, 4)))
    inner = np.hstack([quarters.sum(axis=1, keepdims=True), quarters])
    counts = np.vstack([inner, inner.sum(axis=0)])
    hidden = withheld_cells(counts, periods, 5)
    shape = counts.shape
    rows, ends = [], []
    for lines, _, total in [([(a, p) for a in range(4)], None, (4, p)) for p in range(5)] + [
        ([(a, p) for p in range(1, 5)], None, (a, 0)) for a in range(5)
    ]:
        row = np.zeros(shape)
        for one in lines:
            row[one] = 1
        row[total] = -1
        rows.append(row.ravel())
        ends.append(0.0)
    # Who reads "withheld" knows that it is not empty.
    bounds = [
        (1, None) if h else (int(c), int(c)) for h, c in zip(hidden.ravel(), counts.ravel(), strict=True)
    ]
    for at in np.flatnonzero(((counts > 0) & (counts < 5)).ravel()):
        assert hidden.ravel()[at]
        cost = np.zeros(counts.size)
        cost[at] = 1
        least, most = (
            linprog(sign * cost, A_eq=np.array(rows), b_eq=ends, bounds=bounds).fun * sign for sign in (1, -1)
        )
        assert most - least > 0.5

    sums = np.array(rows)[:, hidden.ravel()]
    held = counts.ravel()[hidden.ravel()]
    rank = np.linalg.matrix_rank(sums)
    few = np.flatnonzero(held < 5)
    for size in (1, 2, 3, 4):
        for group in itertools.combinations(few, size):
            if held[list(group)].sum() < 5:
                one = np.isin(np.arange(len(held)), group).astype(float)
                assert np.linalg.matrix_rank(np.vstack([sums, one])) > rank


def test_nothing_small_leaves_the_example(known: Monitoring) -> None:
    minimum = known.spec.monitoring.minimum_answers
    table = feedback_indicators(known.feedback, known.spec, by="quarter")
    shown = table.loc[table["status"] == "ok"]
    assert len(shown) and (shown["n"] >= minimum).all()
    numbers = table.loc[table["status"] == "withheld"].drop(
        columns=["area", "year", "quarter", "item", "status"]
    )
    assert len(numbers) and numbers.isna().all(axis=None)
    yearly = feedback_indicators(known.feedback, known.spec, by="year")
    same = table.loc[table["quarter"] == 0].reset_index(drop=True)
    pd.testing.assert_frame_equal(
        yearly.sort_values(["item", "area", "year"], ignore_index=True),
        same.sort_values(["item", "area", "year"], ignore_index=True),
    )
    codes = coded_answers(known.feedback, known.spec, by="year")
    given = codes.loc[codes["status"] == "ok", "given"]
    assert not given.between(1, minimum - 1).any()
    rates = response_rates(known.feedback, known.activities, known.spec, by="quarter")
    assert not rates["answers"].between(1, minimum - 1).any()


def test_response_rate_by_hand(tmp_path: Path) -> None:
    """Six answers about the coffee of ten participants: 6 of 10; the coffee without a number is left out."""
    rows = "".join(f"2024-01-10,Hakunila,,network_coffee,{at % 5 + 1},,,,,\n" for at in range(5))
    one = read_monitoring(
        _folder(tmp_path, feedback=FEEDBACK + rows + "2024-01-12,Hakunila,,network_coffee,3,,,,,\n")
    )
    table = response_rates(one.feedback, one.activities, one.spec, by="year")
    row = table.loc[(table["area"] == "0927") & (table["year"] == 2024)].iloc[0]
    assert row[["status", "answers", "events", "events_answered", "participants", "rate"]].tolist() == [
        "ok",
        6,
        3,
        1,
        10,
        0.6,
    ]


# What was reported


def test_the_shipped_figures_are_those_of_the_source(known: Monitoring) -> None:
    """Network coffees 32, 16, 30 and 12 and two pilots; 4, 6 and 44; 5,000 an area a year are 60,000 in all."""
    table = known.reported
    coffees = table.loc[table["measure"] == "network_coffee"].set_index("area")["value"].to_dict()
    assert coffees == {"0927": 32, "0925": 16, "0926": 30, "0921": 12}
    cost = table.loc[table["measure"] == "cost"]
    own = cost.loc[cost["area"] != "092"]
    assert (len(own), own["value"].sum()) == (12, 60_000)
    assert cost.loc[(cost["area"] == "092") & (cost["first"] == cost["last"]), "value"].sum() == 60_000
    doubtful = table.loc[table["conflict"]]
    assert doubtful[["measure", "value", "qualifier"]].values.tolist() == [
        ["events", 200, "over"],
        ["events", 100, "over"],
    ]


def test_synthetic_records_agree_with_what_was_reported(known: Monitoring) -> None:
    compared = compare_reported(known.activities, known.reported, known.spec)
    known_costs = compared["unknown"] == 0
    assert compared.loc[known_costs, "agrees"].all()
    assert compared.loc[~known_costs, "agrees"].isna().all()  # 3,262 EUR and two unknown ones: at most 5,000?
    coffee = known.activities["type"] == "network_coffee"
    assert known.activities.loc[coffee].groupby("area").size().to_dict() == {
        "0927": 32,
        "0925": 16,
        "0926": 30,
        "0921": 12,
    }


def test_differences_are_found(known: Monitoring) -> None:
    mine = known.activities
    lost = mine.drop(mine.index[(mine["type"] == "network_coffee") & (mine["area"] == "0926")][:3])
    wrong = compare_reported(lost, known.reported, known.spec).loc[lambda table: table["agrees"].eq(False)]
    assert wrong[["measure", "area", "recorded", "value", "difference"]].values.tolist() == [
        ["network_coffee", "0926", 27.0, 30.0, -3.0]
    ]
    dear = mine.assign(cost=mine["cost"].where(mine.index != mine.index[0], 9_999.0))
    wrong = compare_reported(dear, known.reported, known.spec).loc[lambda table: table["agrees"].eq(False)]
    assert set(wrong["measure"]) == {"cost"}


def test_reported_figures_are_checked(tmp_path: Path) -> None:
    folder = _folder(tmp_path)
    head = "measure,area,years,value,qualifier,source\n"
    rows = "coffee,Hakunila,2024,1,exact,x\nevents,Turku,2024,1,exact,x\nevents,Korso,2019,-1,about,\n"
    (folder / "reported.csv").write_text(head + rows, encoding="utf-8")
    with pytest.raises(DataError) as caught:
        read_monitoring(folder)
    assert {(f.place.row, f.place.column) for f in caught.value.faults if f.place} == {
        (2, "measure"),
        (3, "area"),
        (4, "years"),
        (4, "value"),
        (4, "qualifier"),
        (4, "source"),
    }


def test_reported_figures_hold_no_personal_data_either(tmp_path: Path) -> None:
    folder = _folder(tmp_path)
    head = "measure,area,years,value,qualifier,source\n"
    row = "events,Turku,2024,1,exact,maija@example.fi\n"
    (folder / "reported.csv").write_text(head + row, encoding="utf-8")
    with pytest.raises(DataError, match="personal data") as caught:
        read_monitoring(folder)
    assert "maija" not in str(caught.value)


def test_the_example_is_what_its_script_makes(tmp_path: Path) -> None:
    script = example_monitoring() / "make_example.py"
    subprocess.run([sys.executable, str(script), str(tmp_path)], check=True, capture_output=True)
    for name in ("activities.csv", "feedback.csv"):
        assert (tmp_path / name).read_bytes() == (example_monitoring() / name).read_bytes()


# Pages


def test_pages_can_be_made_before_anything_was_asked(tmp_path: Path) -> None:
    folder = _folder(tmp_path)
    toml = folder / "monitoring.toml"
    toml.write_text(toml.read_text("utf-8").replace('"feedback.csv"', '""'), "utf-8")
    one = read_monitoring(folder)
    assert "There is no feedback." in community_year(one, year=2024, language="en").summary.html
    quarter = community_quarter(one, area="Hakunila", year=2023, quarter=1, language="en")
    assert "No events were recorded." in quarter.summary.html


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_page_says_the_conflict_and_shows_no_answer(
    known: Monitoring, year_pages: dict[str, YearReport], language: str
) -> None:
    year = year_pages[language]
    made_up = {"fi": "keksittyjä", "sv": "påhittade", "en": "invented"}[language]
    assert made_up in year.reported.html  # that records agree with the source proves nothing
    quarter = community_quarter(known, area="Hakunila", year=2024, quarter=2, language=language)
    for report in (year, quarter):
        pages = [part._repr_html_() for part in vars(report).values() if hasattr(part, "_repr_html_")]
        html = "".join(pages)
        assert 'class="warning"' in pages[0]
        for claim in ("200", "100"):
            assert claim in pages[0]
        assert {"fi": "SYNTEETTI", "sv": "SYNTETI", "en": "SYNTHETI"}[language] in html.upper()
        for text in set(known.feedback["text"]) - {""}:
            assert text not in html
        assert not re.search(r"\bnan\b", html, re.IGNORECASE)
        assert "&lt;NA&gt;" not in html


def test_what_an_area_may_spend_stands_under_what_it_spent(year_pages: dict[str, YearReport]) -> None:
    amount = {"fi": "5\u00a0000 euroa", "sv": "5\u00a0000 euro", "en": "EUR 5,000"}
    for language, report in year_pages.items():
        assert amount[language] in "".join(
            part._repr_html_() for part in vars(report).values() if hasattr(part, "_repr_html_")
        )


def test_small_samples_are_said_as_counts(known: Monitoring, year_pages: dict[str, YearReport]) -> None:
    """City-wide events of 2025: fewer than twenty answers, so "k of n", never a percentage alone."""
    table = feedback_indicators(known.feedback, known.spec, by="quarter")
    row = table.loc[(table["area"] == "092") & (table["year"] == 2025) & (table["quarter"] == 0)].iloc[0]
    assert row["status"] == "ok"
    assert row["n"] < 20
    html = year_pages["en"].feedback.html
    assert f"{row['good']} of {row['n']} (" in html


@pytest.mark.parametrize("year", [2019, 2026])
def test_periods_outside_the_programme_are_refused(known: Monitoring, year: int) -> None:
    with pytest.raises(MekevalError, match="did not run then"):
        community_year(known, year=year, language="en")
    with pytest.raises(MekevalError, match="did not run then"):
        community_quarter(known, area="Korso", year=year, quarter=1, language="en")
    with pytest.raises(MekevalError, match="no developer"):
        community_quarter(known, area="Tikkurila", year=2024, quarter=1, language="en")


def test_the_command_publishes_a_set_and_keeps_it(tmp_path: Path) -> None:
    folder = _folder(tmp_path, (example_monitoring() / "activities.csv").read_text(encoding="utf-8"))
    for name in ("feedback.csv", "reported.csv"):
        shutil.copy(example_monitoring() / name, folder / name)
    out = tmp_path / "out"
    words = [
        "monitor",
        str(folder),
        "--year",
        "2024",
        "--quarter",
        "4",
        "--area",
        "Korso",
        "--language",
        "en",
    ]
    done = CliRunner().invoke(main, [*words, "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert "SYNTHETIC" in done.output
    made = out / "vantaa-community-developers" / "2024-q4-0926"
    manifest = json.loads((made / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["synthetic"] is True
    assert manifest["areas"] == ["0926"]
    page = (made / "0926-korso.en.html").read_text(encoding="utf-8")
    assert "Korso, Q4 2024" in page
    assert "synthetic" in page
    published = "".join(path.read_text(encoding="utf-8") for path in made.iterdir() if path.suffix != ".json")
    assert "Synteettinen vastaus" not in published  # no free text leaves
    tables = [path for path in made.iterdir() if path.suffix == ".csv"]
    assert len(tables) == 6
    assert all("synthetic" in path.read_text(encoding="utf-8").splitlines()[0] for path in tables)

    with (folder / "activities.csv").open("a", encoding="utf-8") as stream:
        stream.write("2024-03-01,Nowhere,,network_coffee,,,1,fi,,\n")
    again = CliRunner().invoke(main, [*words, "--out", str(out)])
    assert again.exit_code == 2
    assert "The area is not known." in again.output
    assert (made / "0926-korso.en.html").read_text(encoding="utf-8") == page


def test_the_command_asks_for_a_quarter_where_areas_are_named(tmp_path: Path) -> None:
    words = [
        "monitor",
        str(example_monitoring()),
        "--year",
        "2024",
        "--area",
        "Korso",
        "--out",
        str(tmp_path),
    ]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 2
    assert "--quarter" in done.output
    assert not list(tmp_path.iterdir())
