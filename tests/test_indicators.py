"""Raw tables -> indicators: rates that can be rebuilt, values that are hidden, and a log that keeps nothing back."""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd
import pytest

from mekeval.errors import DataError, MekevalError
from mekeval.indicators import (
    LOG_COLUMNS,
    STATUSES,
    Indicators,
    clean_indicators,
    coverage,
    failures_table,
    interpolate,
)
from mekeval.panel import build_panel
from mekeval.study import Study, read_study
from mekeval.text import Texts

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

    def build(
        files: Mapping[int, str],
        *,
        other_areas: str = "refuse",
        definition: str = STUDY,
        levels: Mapping[int, str] | None = None,
        items: str = '"people", "poor", "income_eur"',
    ) -> Study:
        sources = ""
        for vintage, text in files.items():
            (tmp_path / f"{vintage}.csv").write_text(text, "utf-8")
            level = (levels or {}).get(vintage, "postal" if "areas.found" in definition else "")
            sources += (
                (f'[[source]]\nlevel = "{level}"\n' if level else "[[source]]\n")
                + f'file = "{vintage}.csv"\nreader = "pxweb-csv"\nvintage = {vintage}\n'
                f'items = [{items}]\nother_areas = "{other_areas}"\n'
                f'sha256 = "{hashlib.sha256(text.encode()).hexdigest()}"\n'
            )
        (tmp_path / "areas.csv").write_text(AREAS, "utf-8")
        (tmp_path / "study.toml").write_text(
            re.sub(r"\[plan\]|# sources", lambda mark: sources + mark[0], definition), "utf-8"
        )
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


def test_a_zero_income_of_few_people_is_confidential_and_not_empty(make: Make) -> None:
    indicators = clean_indicators(make({2020: HEADER + USUAL.replace("300,20,21000", "17,3,0")}))
    assert _row(indicators, "09212", "income")["status"] == "confidential"


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
    assert fault.found == "area 09212, item 'people', year 2018: 300 and 301"
    assert fault.place is not None
    assert (fault.place.file, fault.place.row, fault.place.column) == ("2020.csv", 6, "People, 2018")


def test_two_columns_of_one_item_are_told_by_their_names(make: Make) -> None:
    definition = STUDY.replace('labels = ["Poor"]', 'labels = ["Poor", "Pooor"]')
    text = HEADER.replace("Income, 2018", 'Income, 2018","Pooor, 2018') + "09211 Hakunila,500,100,18000,{}\n"
    error = _refused(make({2020: text.format(101)}, definition=definition))
    assert "column 'Poor, 2018' and 'Pooor, 2018'" in error.faults[0].where
    assert error.faults[0].found.endswith("100 and 101")
    same = clean_indicators(make({2020: text.format(100)}, definition=definition))
    assert _row(same, "09211")["value"] == 20.0
    (line,) = _logged(same, "duplicate_row")
    assert (line["column"], line["found"], line["count"]) == (
        "Pooor, 2018",
        "the same as column 'Poor, 2018'",
        1,
    )


def test_a_row_that_stands_twice_alike_is_kept_once_and_logged(make: Make) -> None:
    twice = clean_indicators(make({2020: HEADER + USUAL + "09212 Mikkola (Kaupunki),300,20,21000\n"}))
    once = clean_indicators(make({2020: HEADER + USUAL}))
    pd.testing.assert_frame_equal(twice.table, once.table)
    (line,) = _logged(twice, "duplicate_row")
    assert (line["file"], line["row"], line["area"], line["count"]) == ("2020.csv", 6, "09212", 3)
    assert line["found"] == "the same as row 4"


def test_what_a_contradiction_says_of_few_people_stays_hidden(make: Make) -> None:
    small = USUAL.replace("300,20,21000", "28,17,12345")
    error = _refused(make({2020: HEADER + small + "09212 Mikkola,28,19,12345\n"}))
    assert [fault.found for fault in error.faults] == [
        "area 09212, item 'poor', year 2018: not shown: too few people"
    ]


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
    files_of = [fault.where.split(",")[0] for fault in error.faults]
    assert list(dict.fromkeys(files_of)) == ["2020.csv", "2021.csv", "2022.csv"]
    # "500" stands in a count and inside 25000: every bad cell is told, not the first of a file
    assert files_of.count("2020.csv") == (HEADER + USUAL).count("500")


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
    assert error.faults[0].where == "2020.csv, row 3"
    assert "0921, 09211" in error.faults[0].expected


# --- formulas, found areas, failures, gaps

SHARE = STUDY.replace(
    'numerator = "poor"\ndenominator = "people"', 'formula = "(people - poor) / people"'
).replace("plausible = [0, 100]\n", "")


def test_a_formula_with_a_minus_sign_by_hand(make: Make) -> None:
    row = _row(clean_indicators(make({2020: HEADER + USUAL}, definition=SHARE)), "09212")
    assert (row["numerator"], row["value"]) == (280.0, 100 * 280 / 300)


def test_a_part_below_zero_is_implausible_and_told_with_its_numbers(make: Make) -> None:
    indicators = clean_indicators(make({2020: HEADER + USUAL.replace("300,20", "300,301")}, definition=SHARE))
    assert _row(indicators, "09212")["status"] == "implausible"
    (line,) = _logged(indicators, "implausible")
    assert line["found"] == "-1 of 300, expected a numerator of at least 0"
    failures = failures_table(indicators)
    assert failures.loc[0, ["file", "row", "column", "value", "rule", "expected"]].tolist() == [
        "2020.csv", 4, "People, 2018", "-1 of 300", "implausible", "a numerator of at least 0"
    ]  # fmt: skip


def test_an_area_of_few_people_whose_parts_are_zero_is_not_called_empty(make: Make) -> None:
    definition = STUDY.replace("[plan]", INHABITED + "[plan]").replace(
        "[[item]]", '[[item]]\nname = "residents"\nlabels = ["Residents"]\n[[item]]', 1
    )
    text = HEADER.replace("Income, 2018", 'Income, 2018","Residents, 2018')
    rows = "09211 Hakunila,500,100,18000,510\n09212 Mikkola,0,0,0,7\n09213 Korso,0,0,0,0\n"
    held = '"people", "poor", "income_eur", "residents"'
    indicators = clean_indicators(make({2020: text + rows}, definition=definition, items=held))
    assert _row(indicators, "09212")["status"] == "suppressed"  # seven people, and zeros in their place
    assert _row(indicators, "09213")["status"] == "empty_area"
    many = text + rows.replace("0,0,0,7", "0,0,0,70")
    indicators = clean_indicators(make({2020: many}, definition=definition, items=held))
    assert _row(indicators, "09212")["status"] == "not_applicable"  # seventy people, none of whom is counted


def test_a_rate_comes_from_one_release(make: Make) -> None:
    # Newest parts of Mikkola: 300 people of 2021 and 30 poor of 2020; only 2020 has both.
    files = {
        2020: HEADER + USUAL.replace("300,20", "200,30"),
        2021: HEADER + USUAL.replace("300,20", "300,.."),
    }
    row = _row(clean_indicators(make(files)), "09212")
    assert row[["value", "numerator", "denominator", "vintage"]].tolist() == [15.0, 30.0, 200.0, 2020]


def test_a_rate_whose_parts_no_release_has_together_has_no_value_and_is_counted(make: Make) -> None:
    files = {
        2020: HEADER + USUAL.replace("300,20", "..,30"),
        2021: HEADER + USUAL.replace("300,20", "300,.."),
    }
    indicators = clean_indicators(make(files))
    assert _row(indicators, "09212")["status"] == "split_releases"
    assert pd.isna(_row(indicators, "09212")["value"])
    (line,) = _logged(indicators, "split_releases")
    assert (line["subject"], line["year"], line["count"]) == ("poor_rate", 2018, 1)


INHABITED = """
[[indicator]]
name = "poor_residents"
numerator = "poor"
denominator = "residents"
higher_is = "worse"
unit = "percent"
label.fi = "p"
"""


def test_the_faults_of_an_error_are_a_table_with_places(make: Make) -> None:
    with pytest.raises(DataError) as caught:
        clean_indicators(make({2020: HEADER + USUAL + "09219 Mikola,1,1,1\n09220 Nobody,1,1,1\n"}))
    table = failures_table(caught.value)
    assert table["row"].tolist() == [6, 7]
    assert table["file"].tolist() == ["2020.csv"] * 2
    assert table["value"].tolist() == ["'09219 Mikola'", "'09220 Nobody'"]
    assert (table["fix"] != "").all()


def test_coverage_speaks_of_every_area_indicator_and_year(make: Make) -> None:
    later = HEADER.replace("2018", "2019") + "09211 Hakunila,500,90,18000\n09212 Mikkola,..,3,..\n"
    grid = coverage(clean_indicators(make({2020: HEADER + USUAL, 2021: later})))
    assert len(grid) == 4 * 2 * 2  # the city and three districts, two indicators, two years
    at = grid.set_index(["area", "indicator", "year"])["status"]
    assert at[("09212", "poor_rate", 2019)] == "suppressed"
    assert at[("09213", "poor_rate", 2019)] == "not_published"
    assert at[("09213", "income", 2018)] == "ok"


def test_a_gap_is_filled_on_the_line_between_its_neighbours_and_nowhere_else(make: Make) -> None:
    years = {2018: "300,20", 2019: "300,..", 2021: "300,50", 2022: "300,.."}
    files = {
        year + 2: HEADER.replace("2018", str(year)) + USUAL.replace("300,20", cells)
        for year, cells in years.items()
    }
    indicators = clean_indicators(make(files))
    with pytest.raises(DataError, match="outcome of the plan"):
        interpolate(indicators, "poor_rate")
    before = indicators.table.copy()
    filled = interpolate(indicators, "poor_rate", allow_outcome=True)
    pd.testing.assert_frame_equal(indicators.table, before)
    new = filled.table[filled.table["status"] == "interpolated"]
    assert new[["area", "year"]].to_numpy().tolist() == [["09212", 2019]]
    # a third of the way from 100 * 20 / 300 to 100 * 50 / 300
    assert new["value"].tolist() == pytest.approx([100 * 30 / 300])
    assert new[["numerator", "denominator"]].isna().all(axis=None)
    (line,) = _logged(filled, "interpolated")
    assert (line["area"], line["year"], line["subject"]) == ("09212", 2019, "poor_rate")
    assert _row(filled, "09212", year=2022)["status"] == "suppressed"
    with pytest.raises(DataError, match="beyond the first or last"):
        interpolate(indicators, "poor_rate", years=[2017], allow_outcome=True)
    at = ("09212",), [2018, 2019, 2021, 2022].index(2019)
    plain = build_panel(filled.table, units=at[0])
    asked = build_panel(filled.table, units=at[0], interpolated=True)
    assert pd.isna(plain.values["poor_rate"][0, at[1]])
    assert plain.reasons["poor_rate"][0, at[1]] == "interpolated"
    assert asked.values["poor_rate"][0, at[1]] == pytest.approx(10.0)


def test_a_year_without_any_row_can_be_filled_when_it_is_asked_for(make: Make) -> None:
    later = HEADER.replace("2018", "2020") + USUAL.replace("300,20", "300,40")
    filled = interpolate(
        clean_indicators(make({2020: HEADER + USUAL, 2022: later})),
        "poor_rate",
        years=[2019],
        areas=["09212"],
        allow_outcome=True,
    )
    assert _row(filled, "09212", year=2019)["value"] == pytest.approx(100 * 30 / 300)
    assert (filled.table["year"] == 2019).sum() == 1


def test_areas_are_found_in_the_labels_of_their_level(make: Make) -> None:
    rows = "01200 Hakunila  (Vantaa),500,100,18000\n01280 Länsimäki (Vantaa ),300,20,21000\nKOKO MAA,9,9,9\n"
    study = make({2020: HEADER + rows}, other_areas="drop", definition=_found_study())
    indicators = clean_indicators(study)
    assert indicators.areas.units == ("01200", "01280")
    assert indicators.areas.name("01280", "fi") == "Länsimäki"
    assert _row(indicators, "01280")["value"] == 100 * 20 / 300
    assert indicators.files[["areas", "rows", "cells", "years", "items"]].to_dict("records") == [
        {"areas": 2, "rows": 2, "cells": 6, "years": "2018", "items": 3}
    ]


def test_a_code_of_two_levels_is_refused_and_a_prefix_parts_them(make: Make) -> None:
    files = {
        2020: HEADER + "09220 Sammatti  (Lohja),500,100,18000\n",
        2021: HEADER + "09220 Askisto,300,20,21000\n",
    }
    district = "[[areas.found]]\nlevel = \"district\"\nlabel = '(?P<code>\\d{5}) (?P<name>.*)'\n"
    for prefix in ("", 'prefix = "vantaa-"\n'):
        definition = _found_study().replace("[[item]]", district + prefix + "[[item]]", 1)
        study = make(files, definition=definition, levels={2021: "district"})
        if not prefix:
            with pytest.raises(MekevalError, match="two levels"):
                clean_indicators(study)
    indicators = clean_indicators(study)
    assert _row(indicators, "09220")["denominator"] == 500
    assert _row(indicators, "vantaa-09220")["denominator"] == 300
    assert indicators.areas.units == ("09220",)


def _found_study() -> str:
    """The small study without programme, plan and list of areas."""
    head, rest = STUDY.split("[areas]")
    items = rest[rest.index("[[item]]") : rest.index("[plan]")]
    areas = (
        '[areas]\nunit = "postal"\ncity.fi = "Kaupunki"\n[[areas.found]]\nlevel = "postal"\n'
        "label = '(?P<code>\\d{5}) (?P<name>[^(]*?)\\s*(?:\\(|$)'\n"
    )
    return head + areas + items + "# sources"


# --- subtraction

WHOLE = "092 Kaupunki,1050,130,20000\n0921 Suuralue,1050,130,20000\n"
PARTS = "09211 Hakunila,500,100,18000\n09212 Mikkola,300,20,21000\n09213 Korso,250,10,25000\n"


def test_an_area_less_its_shown_parts_does_not_give_the_hidden_one(make: Make) -> None:
    parts = PARTS.replace("250,10", "250,..")
    indicators = clean_indicators(make({2020: HEADER + WHOLE + parts}))
    for area in ("0921", "092"):  # the major area goes, and so does the city that has no other
        row = _row(indicators, area)
        assert row["status"] == "confidential"
        assert row[["value", "numerator", "denominator"]].isna().all()
        # Korso's people stand in this row of Korso's: nothing is hidden.
        assert _row(indicators, area, "income")["denominator"] == 1050.0
    assert [_row(indicators, area)["status"] for area in ("09211", "09212")] == ["ok", "ok"]
    (line,) = _logged(indicators, "complementary")
    assert (line["level"], line["subject"], line["year"], line["count"]) == ("info", "poor_rate", 2018, 2)


def test_the_base_of_a_value_is_not_had_by_subtraction_either(make: Make) -> None:
    parts = PARTS.replace("250,10,25000", "28,10,25000")
    indicators = clean_indicators(make({2020: HEADER + WHOLE.replace("1050", "828") + parts}))
    for name in ("poor_rate", "income"):
        statuses = [_row(indicators, area, name)["status"] for area in ("092", "0921", "09211", "09213")]
        assert statuses == ["confidential", "confidential", "ok", "confidential"]


@pytest.mark.parametrize(
    "parts",
    [
        PARTS,
        PARTS.replace("250,10", "250,..").replace("300,20", "300,.."),  # 30 in both together
        PARTS.replace("250,10,25000", "0,0,0"),  # nobody is hidden
        PARTS.replace("250,10,25000", ".,.,."),
    ],
)
def test_an_area_of_which_not_exactly_one_part_is_hidden_stays(make: Make, parts: str) -> None:
    indicators = clean_indicators(make({2020: HEADER + WHOLE + parts}))
    for area in ("092", "0921"):
        assert _row(indicators, area)["numerator"] == 130.0
    assert not _logged(indicators, "complementary")


def test_no_hidden_district_of_the_example_is_had_by_subtraction(cleaned: Indicators, example: Study) -> None:
    table = cleaned.table.assign(parent=cleaned.table["area"].map(example.areas.table["parent"]))
    hidden = table["status"].isin(["suppressed", "confidential"])
    assert hidden.sum() > 100
    parts = table[hidden & (table["parent"] != "")]
    alone = parts.groupby(["indicator", "year", "parent"]).size().loc[lambda sizes: sizes == 1]
    statuses = table.set_index(["indicator", "year", "area"])["status"]
    assert len(alone) > 50
    assert {statuses[place] for place in alone.index} == {"confidential"}
    # The districts themselves, which are compared, lose nothing.
    assert "confidential" not in set(table.loc[table["area"].isin(example.areas.units), "status"])


def test_strangers_are_told_one_by_one_and_then_counted(make: Make) -> None:
    strangers = "".join(f"X{number} Nowhere {number},500,10,20000\n" for number in range(1_003))
    faults = _refused(make({2020: HEADER + USUAL + strangers})).faults
    assert len(faults) == 1_001
    assert faults[-1].what.startswith("And 3 more")


def test_two_ways_to_cut_a_city_add_up_each_by_itself(make: Make, tmp_path: Path) -> None:
    study = make(
        {
            2020: HEADER
            + WHOLE
            + PARTS.replace("250,10", "250,..")
            + "09219 Postala,600,..,20000\n09218 Postila,450,60,2\n"
        }
    )
    cut = "09219,postal,0921,Postala\n09218,postal,0921,Postila\n"
    (tmp_path / "areas.csv").write_text(AREAS + cut, "utf-8")
    indicators = clean_indicators(read_study(study.folder))
    assert _row(indicators, "0921")["status"] == "confidential"


@pytest.mark.parametrize(
    ("years", "told", "last"), [(2, 12, "An area stands twice"), (200, 1_001, "And 200 more")]
)
def test_what_stands_twice_is_told_one_by_one_and_then_counted(
    make: Make, years: int, told: int, last: str
) -> None:
    columns = [
        f'"{item}, {year}"' for item in ("People", "Poor", "Income") for year in range(1900, 1900 + years)
    ]
    lines = [
        f"{area}," + ",".join([number] * len(columns))
        for number in ("500", "600")
        for area in ("09211", "09212")
    ]
    faults = _refused(make({2020: "\n".join(['"Area",' + ",".join(columns), *lines]) + "\n"})).faults
    assert len(faults) == told
    assert faults[-1].what.startswith(last)


@pytest.mark.parametrize("language", ["fi", "sv", "en"])
def test_the_rules_of_disclosure_have_words(language: str) -> None:
    texts = Texts(language)
    for rule in ("complementary", "indirect"):
        for key in ("report.rule", "quality.name", "quality.rule"):
            assert f"{key}.{rule}" in texts
