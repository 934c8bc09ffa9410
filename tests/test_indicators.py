"""Raw tables -> indicators: rates that can be rebuilt, values that are hidden, and a log that keeps nothing back."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd
import pytest

from mekeval.errors import DataError, MekevalError
from mekeval.indicators import LOG_COLUMNS, STATUSES, Indicators, clean_indicators
from mekeval.panel import build_panel
from mekeval.study import Study, read_study

Make = Callable[..., Study]

AREAS = """code,level,parent,name_fi
092,city,,Kaupunki
0921,major_area,092,Suuralue
09211,district,0921,Hakunila
09212,district,0921,Mikkola
09213,district,0921,Korso
"""
STUDY = """
[study]
name = "small"
seed = 1
minimum_base = 30
title.fi = "t"
attribution.fi = "a"
[areas]
file = "areas.csv"
unit = "district"
city.fi = "Kaupunki"
[programme]
title.fi = "t"
[[programme.wave]]
name = "w"
first = 2019
last = 2020
areas = ["Hakunila"]
[[item]]
name = "people"
labels = ["People"]
[[item]]
name = "poor"
labels = ["Poor"]
[[item]]
name = "income_eur"
labels = ["Income"]
[[indicator]]
name = "poor_rate"
numerator = "poor"
denominator = "people"
higher_is = "worse"
unit = "percent"
plausible = [0, 100]
label.fi = "r"
[[indicator]]
name = "income"
value = "income_eur"
base = "people"
higher_is = "better"
unit = "eur"
label.fi = "i"
[plan]
primary = ["poor_rate"]
"""
HEADER = '"Area","People, 2018","Poor, 2018","Income, 2018"\n'
USUAL = """092 Kaupunki,1050,130,20000
09211 Hakunila,500,100,18000
09212 Mikkola,300,20,21000
09213 Korso,250,10,25000
"""


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A small study from the texts of its raw files, each published in the year that is its name."""

    def build(files: Mapping[int, str], *, other_areas: str = "refuse", definition: str = STUDY) -> Study:
        sources = ""
        for vintage, text in files.items():
            (tmp_path / f"{vintage}.csv").write_text(text, "utf-8")
            sources += (
                f'[[source]]\nfile = "{vintage}.csv"\nreader = "pxweb-csv"\nvintage = {vintage}\n'
                f'items = ["people", "poor", "income_eur"]\nother_areas = "{other_areas}"\n'
                f'sha256 = "{hashlib.sha256(text.encode()).hexdigest()}"\n'
            )
        (tmp_path / "areas.csv").write_text(AREAS, "utf-8")
        (tmp_path / "study.toml").write_text(definition.replace("[plan]", sources + "[plan]"), "utf-8")
        return read_study(tmp_path)

    return build


def _row(indicators: Indicators, area: str, indicator: str = "poor_rate", year: int = 2018) -> pd.Series:
    table = indicators.table
    rows = table[(table["area"] == area) & (table["indicator"] == indicator) & (table["year"] == year)]
    assert len(rows) == 1
    return rows.iloc[0]


def _logged(indicators: Indicators, rule: str) -> list[dict[str, object]]:
    return indicators.log[indicators.log["rule"] == rule].to_dict("records")


def _refused(study: Study) -> MekevalError:
    with pytest.raises(DataError) as caught:
        clean_indicators(study)
    return caught.value


# --- the embedded study


@pytest.fixture(scope="module")
def cleaned(example: Study) -> Indicators:
    return clean_indicators(example)


def test_rates_can_be_rebuilt_from_their_parts(cleaned: Indicators) -> None:
    table = cleaned.table
    rates = table[(table["status"] == "ok") & (table["indicator"] != "median_income")]
    assert len(rates) > 3000
    rebuilt = 100 * rates["numerator"] / rates["denominator"]
    pd.testing.assert_series_equal(rates["value"], rebuilt, check_names=False)
    assert (rates["numerator"] % 1 == 0).all()


def test_what_is_not_ok_shows_nothing_and_what_is_ok_has_people_behind_it(
    cleaned: Indicators, example: Study
) -> None:
    table = cleaned.table
    hidden = table[table["status"] != "ok"]
    assert hidden[["value", "numerator", "denominator"]].isna().all(axis=None)
    assert set(table["status"]) <= set(STATUSES)
    shown = table[table["status"] == "ok"]
    assert shown["value"].notna().all()
    assert shown["denominator"].min() >= example.spec.study.minimum_base


def test_the_cells_of_one_district_stand_in_the_raw_file(cleaned: Indicators, example: Study) -> None:
    with (example.folder / "raw" / "pienituloiset.csv").open(encoding="latin-1", newline="") as stream:
        rows = {row["Alue"]: row for row in csv.DictReader(stream)}
    raw = rows["092 94 Hakunila"]
    for year in range(2010, 2026):
        row = _row(cleaned, "09294", "low_income_rate", year)
        assert row["denominator"] == float(raw[f"Asuntoväestö, {year}"])
        assert row["numerator"] == float(raw[f"Pienituloiset, {year}"])


def test_hidden_and_empty_cells_are_counted_as_the_raw_file_has_them(
    cleaned: Indicators, example: Study
) -> None:
    with (example.folder / "raw" / "koulutus.csv").open(encoding="latin-1", newline="") as stream:
        header, *body = csv.reader(stream)
    at = header.index("25-44-vuotiaat, ei perusasteen jälkeistä tutkintoa, 2020")
    codes = {f"{code[:3]} {code[3:]} " for code in example.areas.units}
    units = [row for row in body if row[0][:7] in codes]
    assert len(units) == 61
    assert {"..", "."} <= {row[at] for row in units}
    table = cleaned.table
    part = table[
        (table["indicator"] == "basic_education_25_44")
        & (table["year"] == 2020)
        & table["area"].isin(example.areas.units)
    ]
    assert (part["status"] == "suppressed").sum() == sum(row[at] == ".." for row in units)
    assert (part["status"] == "not_applicable").sum() == sum(row[at] == "." for row in units)


def test_sums_of_the_city_and_its_parts_are_no_units(cleaned: Indicators, example: Study) -> None:
    assert {"092", "0921"} <= set(cleaned.table["area"])
    panel = build_panel(cleaned.table, units=example.areas.units)
    assert panel.units == example.areas.units
    assert not {"092", "0921"} & set(panel.units)
    assert len(panel.units) == 61  # README of the study


def test_every_year_of_the_files_has_values(cleaned: Indicators) -> None:
    assert cleaned.years == tuple(range(2010, 2026))
    assert tuple(cleaned.log.columns) == LOG_COLUMNS


# --- small studies


def test_a_rate_and_a_value_by_hand(make: Make) -> None:
    indicators = clean_indicators(make({2020: HEADER + USUAL}))
    rate = _row(indicators, "09211")
    assert (rate["value"], rate["numerator"], rate["denominator"]) == (20.0, 100.0, 500.0)  # 100 * 100 / 500
    assert (rate["source"], rate["vintage"]) == ("2020.csv", 2020)
    income = _row(indicators, "09211", "income")
    assert (income["value"], income["denominator"]) == (18000.0, 500.0)
    assert pd.isna(income["numerator"])


@pytest.mark.parametrize(
    ("cells", "status"),
    [
        ("30,3,18000", "ok"),  # 30 is the study's limit
        ("29,3,18000", "confidential"),
        ("1,1,18000", "confidential"),
        ("0,0,0", "empty_area"),
        ("500,..,18000", "suppressed"),
        ("..,..,..", "suppressed"),
        (".,.,.", "not_applicable"),
        ("500,,18000", "missing"),
        ("500,*****,18000", "overflow"),
        ("..,.,5", "suppressed"),  # the first reason in the order of STATUSES
        ("500,501,18000", "implausible"),  # 100.2 %
        ("500,-1,18000", "implausible"),
        ("-500,10,18000", "implausible"),  # not "confidential": no such number of people
    ],
)
def test_why_a_rate_is_not_there(make: Make, cells: str, status: str) -> None:
    indicators = clean_indicators(make({2020: HEADER + USUAL.replace("300,20,21000", cells)}))
    row = _row(indicators, "09212")
    assert row["status"] == status
    assert row[["value", "numerator", "denominator"]].isna().tolist() == [status != "ok"] * 3


def test_an_income_of_zero_is_never_a_value(make: Make) -> None:
    indicators = clean_indicators(make({2020: HEADER + USUAL.replace("300,20,21000", "300,20,0")}))
    row = _row(indicators, "09212", "income")
    assert row["status"] == "empty_area"
    assert pd.isna(row["value"])
    assert _row(indicators, "09212")["status"] == "ok"


def test_a_plain_value_of_zero_is_a_value_where_it_is_no_money(make: Make) -> None:
    definition = STUDY.replace('unit = "eur"', 'unit = "index"')
    indicators = clean_indicators(
        make({2020: HEADER + USUAL.replace("300,20,21000", "300,20,0")}, definition=definition)
    )
    assert _row(indicators, "09212", "income")[["status", "value"]].tolist() == ["ok", 0.0]


def test_implausible_values_are_logged_once_and_removed(make: Make) -> None:
    indicators = clean_indicators(make({2020: HEADER + USUAL.replace("300,20", "300,600")}))
    (line,) = _logged(indicators, "implausible")
    assert (line["level"], line["area"], line["year"], line["subject"]) == (
        "warning",
        "09212",
        2018,
        "poor_rate",
    )
    assert line["found"] == "200, expected 0 to 100"
    assert line["count"] == 1


def test_nothing_of_a_confidential_area_stands_anywhere(make: Make) -> None:
    small = USUAL.replace("300,20,21000", "28,17,12345")
    indicators = clean_indicators(
        make({2020: HEADER + small, 2021: HEADER + small.replace("28,17", "29,19")})
    )
    assert _row(indicators, "09212")["status"] == "confidential"
    assert _row(indicators, "09212", "income")["status"] == "confidential"
    text = indicators.table.to_csv() + indicators.log.drop(columns=["row", "count"]).to_csv()
    for secret in ("28", "29", "17", "19", "12345"):
        assert f",{secret}," not in text
        assert f",{secret}.0" not in text
        assert f"{secret} ->" not in text
        assert f"-> {secret}" not in text
    lines = _logged(indicators, "revised")
    assert {line["subject"] for line in lines} == {"people", "poor"}  # the change itself is told
    assert all("not shown" in str(line["found"]) for line in lines)


def test_a_base_that_was_under_the_limit_once_stays_out_of_the_log(make: Make) -> None:
    old, new = USUAL.replace("300,20", "25,9"), USUAL.replace("300,20", "35,11")
    indicators = clean_indicators(make({2020: HEADER + old, 2021: HEADER + new}))
    assert _row(indicators, "09212")["status"] == "ok"
    assert all("not shown" in str(line["found"]) for line in _logged(indicators, "revised"))


def test_the_newest_number_wins_and_the_log_says_old_and_new(make: Make) -> None:
    files = {
        2021: HEADER + USUAL.replace("300,20", "300,24"),
        2020: HEADER + USUAL,  # the order of the sources does not matter
    }
    indicators = clean_indicators(make(files))
    row = _row(indicators, "09212")
    assert (row["value"], row["vintage"]) == (8.0, 2021)  # 100 * 24 / 300
    (line,) = _logged(indicators, "revised")
    assert line["found"] == "20 -> 24 (2021.csv)"
    assert (line["file"], line["row"], line["area"], line["year"], line["subject"]) == (
        "2020.csv", 4, "09212", 2018, "poor"
    )  # fmt: skip
    (confirmed,) = _logged(indicators, "confirmed")
    assert (confirmed["file"], confirmed["found"], confirmed["count"]) == (
        "2020.csv",
        "2021.csv",
        11,
    )  # of 12


def test_small_changes_of_large_numbers_are_told_in_full(make: Make) -> None:
    files = {
        2020: HEADER + USUAL.replace("300,20", "12345678,20"),
        2021: HEADER + USUAL.replace("300,20", "12345679,20"),
    }
    (line,) = _logged(clean_indicators(make(files)), "revised")
    assert line["found"] == "12345678 -> 12345679 (2021.csv)"


def test_a_number_hidden_later_is_not_erased(make: Make) -> None:
    files = {2020: HEADER + USUAL, 2021: HEADER + USUAL.replace("300,20,21000", "..,..,..")}
    indicators = clean_indicators(make(files))
    assert _row(indicators, "09212")[["status", "value"]].tolist() == ["ok", pytest.approx(100 * 20 / 300)]
    assert _logged(indicators, "revised") == []


def test_a_number_that_comes_later_fills_the_gap(make: Make) -> None:
    files = {2020: HEADER + USUAL.replace("300,20", "300,.."), 2021: HEADER + USUAL}
    row = _row(clean_indicators(make(files)), "09212")
    assert row[["status", "vintage"]].tolist() == ["ok", 2021]


def test_two_files_of_one_year_that_differ_are_a_conflict(make: Make) -> None:
    study = make({2020: HEADER + USUAL, 2021: HEADER + USUAL.replace("300,20", "300,24")})
    file = study.folder / "study.toml"
    file.write_text(file.read_text("utf-8").replace("vintage = 2021", "vintage = 2020"), "utf-8")
    (line,) = _logged(clean_indicators(read_study(study.folder)), "conflict")
    assert line["found"] == "20 -> 24 (2021.csv)"


def test_an_area_that_stands_twice_is_named_with_its_rows(make: Make) -> None:
    error = _refused(make({2020: HEADER + USUAL + "09212 Mikkola (Kaupunki),301,20,21000\n"}))
    fault = error.faults[0]
    assert fault.what == "An area stands twice for one year."
    assert "2020.csv, rows 4, 6, column 'People, 2018'" in fault.where
    assert "09212" in fault.found
    assert "2018" in fault.found


def test_two_columns_of_one_item_are_told_by_their_names(make: Make) -> None:
    definition = STUDY.replace('labels = ["Poor"]', 'labels = ["Poor", "Pooor"]')
    text = HEADER.replace("Income, 2018", 'Income, 2018","Pooor, 2018') + "09211 Hakunila,500,100,18000,100\n"
    error = _refused(make({2020: text}, definition=definition))
    assert "column 'Poor, 2018' and 'Pooor, 2018'" in error.faults[0].where


def test_an_area_that_the_study_does_not_list_is_named_with_its_row(make: Make) -> None:
    error = _refused(make({2020: HEADER + USUAL + "09219 Mikola,1,1,1\n"}))
    fault = error.faults[0]
    assert fault.what == "The data have an area that the study does not list."
    assert fault.where == "2020.csv, row 6"
    assert fault.found == "'09219 Mikola'"
    assert "'Mikkola'" in fault.expected


def test_other_areas_may_be_dropped_and_are_counted(make: Make) -> None:
    text = HEADER + USUAL + "09219 Mikola,1,1,1\nKOKO MAA,5,5,5\n"
    indicators = clean_indicators(make({2020: text}, other_areas="drop"))
    assert "09219" not in set(indicators.table["area"])
    assert _logged(indicators, "other_areas")[0]["count"] == 2


def test_a_file_with_other_areas_only_is_refused(make: Make) -> None:
    error = _refused(make({2020: HEADER + "01200 Elsewhere,1,1,1\n"}, other_areas="drop"))
    assert error.faults[0].what == "The file speaks of no area of the study."
    assert "'01200 Elsewhere'" in error.faults[0].found


def test_faults_of_several_files_come_in_one_message(make: Make) -> None:
    files = {
        2020: HEADER + USUAL.replace("500", "many"),
        2021: HEADER + USUAL + "09219 Mikola,1,1,1\n",
        2022: "<html>",
    }
    error = _refused(make(files))
    assert [fault.where.split(",")[0] for fault in error.faults] == ["2020.csv", "2021.csv", "2022.csv"]


def test_areas_that_never_appear_and_years_without_them_are_logged(make: Make) -> None:
    later = HEADER.replace("2018", "2019") + "09211 Hakunila,500,90,18000\n"
    indicators = clean_indicators(
        make({2020: HEADER + USUAL.replace("09213 Korso,250,10,25000\n", ""), 2021: later})
    )
    absent = {(line["area"], line["subject"]) for line in _logged(indicators, "absent")}
    assert absent == {("09213", "poor_rate"), ("09213", "income")}
    gaps = {(line["subject"], line["year"], line["count"]) for line in _logged(indicators, "not_published")}
    assert gaps == {("poor_rate", 2019, 1), ("income", 2019, 1)}  # Mikkola, in 2018 but not in 2019


def test_an_indicator_without_any_district_names_them_all(make: Make) -> None:
    indicators = clean_indicators(make({2020: HEADER + "092 Kaupunki,1050,130,20000\n"}))
    absent = [line["area"] for line in _logged(indicators, "absent") if line["subject"] == "poor_rate"]
    assert absent == ["09211", "09212", "09213"]


def test_a_label_of_two_areas_is_refused(make: Make) -> None:
    study = make({2020: HEADER + USUAL.replace("09211 Hakunila", "Hakunila")})
    file = study.folder / "areas.csv"
    file.write_text(AREAS.replace("Suuralue", "Hakunila"), "utf-8")
    error = _refused(read_study(study.folder))
    assert error.faults[0].where == "2020.csv"
    assert "0921, 09211" in error.faults[0].expected
