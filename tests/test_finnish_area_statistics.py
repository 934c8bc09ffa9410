"""The study that lists every data file of Paavo and the area series: its tidy table against the raw bytes."""

from __future__ import annotations

import collections
import csv
import datetime
import functools
import json
import random
import re
import struct
from pathlib import Path

import pandas as pd
import pytest

from mekeval.indicators import Indicators, clean_indicators, coverage
from mekeval.study import Study, read_study

DATA = Path(__file__).parents[1] / "data"
#: Areas of each year of population, without the row of the whole country: README of the Paavo files.
AREAS = {2013: 3036, 2014: 3036, 2015: 3036, 2016: 3030, 2017: 3026}
#: Reference years of Paavo's groups, README of the Paavo files: never the year of the release minus two.
YEARS = {
    "low_income_rate": {2012, 2013, 2014, 2015, 2016, 2019, 2020, 2021, 2022, 2023, 2024},
    "median_income": {2012, 2013, 2014, 2015, 2016, 2019, 2020, 2021, 2022, 2023, 2024},
    "unemployment_rate": {2012, 2013, 2014, 2015, 2016, 2018, 2020, 2021, 2022, 2023, 2024},
    "basic_education": {2012, 2013, 2014, 2016, 2017, 2019, 2020, 2021, 2022, 2023, 2024},
    "university_degree": {2012, 2013, 2014, 2016, 2017, 2019},
    "tertiary_education": {2020, 2021, 2022, 2023, 2024},
    "one_person_share": {2020, 2021, 2022, 2023, 2024},
    "employment_rate": {2020, 2021, 2022, 2023, 2024},
    "population_paavo": {2013, 2014, 2015, 2016, 2017, 2019, 2020, 2021, 2022, 2023, 2024},
    "workplaces_total": {2012, 2013, 2014, 2015, 2016, 2018, 2020, 2021, 2022, 2023},
    "unemployment_rate_2017": {2017},
    "population_1_january": set(range(1962, 2011)),
    "unemployed_rate": set(range(2000, 2008)),
    "no_post_basic_25_44_share": set(range(2000, 2010)),
}


@pytest.fixture(scope="session")
def study(raw: Path) -> Study:
    return read_study(DATA / "finnish-area-statistics", raw=raw)


@pytest.fixture(scope="session")
def indicators(study: Study) -> Indicators:
    return clean_indicators(study)


@pytest.fixture(scope="session")
def cells(indicators: Indicators) -> pd.DataFrame:
    table = indicators.table.set_index(["indicator", "area", "year"]).sort_index()
    assert table.index.is_unique
    return table


@pytest.fixture(scope="session")
def vantaa() -> list[str]:
    """The fixed list of Vantaa's postal areas, kept with the study of its programme."""
    with (DATA / "vantaa-mek-paavo" / "areas.csv").open(encoding="utf-8", newline="") as stream:
        return [row["code"] for row in csv.DictReader(stream) if row["level"] == "postal_area"]


def _shown(indicators: Indicators, indicator: str) -> pd.DataFrame:
    table = indicators.table
    return table[(table["indicator"] == indicator) & (table["status"] == "ok")]


# --- files


def test_every_data_file_is_listed_and_every_other_file_has_a_reason(study: Study, raw: Path) -> None:
    listed = {source.file for source in study.spec.source}
    said = (DATA / "finnish-area-statistics" / "README.md").read_text(encoding="utf-8")
    for folder in ("statfi-paavo", "aluesarjat"):
        for path in (raw / folder).rglob("*"):
            if path.is_file() and path.name != "README.md" and path.relative_to(raw).as_posix() not in listed:
                assert f"`{path.name}`" in said or f"`*{path.suffix}`" in said, path.name
    assert len(listed) == len(study.spec.source) == 57


def test_the_rows_of_each_file(indicators: Indicators, raw: Path) -> None:
    """Counted here: lines, records or features, less headers and the country's row; of cubes, lines of cells."""
    files = indicators.files.set_index("file")
    assert len(files) == 57
    for file, row in files.iterrows():
        path = raw / str(file)
        content = path.read_bytes()
        lines = content.count(b"\n") + (not content.endswith(b"\n"))
        country = content.count(b'"Finland"') + content.count(b"\nFinland;")
        if "12f7" in path.name:
            assert (lines, row["areas"]) == (3 + 84 * 107, 84)
        elif path.suffix == ".csv":
            assert row["rows"] == row["areas"] == lines - 1 - country
        elif path.suffix == ".dbf":
            assert row["rows"] == row["areas"] == struct.unpack("<I", content[4:8])[0]
        elif path.suffix == ".geojson":
            assert row["rows"] == row["areas"] == len(json.loads(content)["features"])
        elif path.suffix == ".px":
            assert row["areas"] == (70 if "VAN" in path.name else 182)
        else:
            assert row["areas"] == 3027  # README


def test_encodings_and_separators_are_found_and_said(indicators: Indicators) -> None:
    files = indicators.files.set_index("file")
    for file, form in files["form"].items():
        name = Path(str(file)).name
        if name in ("paavo_9_koko.csv", "paavo_master.csv") or name.endswith((".geojson", ".dbf")):
            assert form.startswith("UTF-8")
        elif not name.endswith(".RData"):
            assert form.startswith("ISO-8859-1")
        if name.endswith(".csv"):
            assert f"separator {';' if 'koko' in name else ','!r}" in form


# --- areas


def test_the_number_of_areas_changes_from_year_to_year(indicators: Indicators) -> None:
    table = indicators.table
    people = table[table["indicator"] == "population_paavo"].groupby("year")["area"].nunique()
    assert people[list(AREAS)].to_dict() == AREAS
    assert people[2024] == 3018
    assert people[2020] == people[2023] == 84  # Helsinki alone


def test_the_country_is_no_area(indicators: Indicators) -> None:
    names = set(indicators.areas.table["name_fi"].str.casefold())
    assert not names & {"finland", "koko maa", "suomi"}
    log = indicators.log
    dropped = log[log["rule"] == "other_areas"]
    assert len(dropped) == 42  # the theme tables and the wide one of 2018, a row each
    assert set(dropped["count"]) == {1}


def test_vantaa_by_a_fixed_list_and_not_by_the_name_of_the_municipality(
    indicators: Indicators, vantaa: list[str]
) -> None:
    assert len(vantaa) == 37
    table = indicators.table
    table = table[(table["indicator"] == "population_paavo") & table["area"].isin(vantaa)]
    for year in YEARS["population_paavo"] - {2020, 2021, 2023}:
        part = table[table["year"] == year]
        assert set(part["area"]) == set(vantaa), year  # 01490 is "(Sipoo )" in the releases of 2016 to 2019
        empty = part.loc[part["status"] != "ok", "area"].tolist()
        assert empty == ["01770"], year


def test_codes_of_two_levels_are_not_taken_for_each_other(
    indicators: Indicators,
) -> None:
    """09120 and 09220 are postal areas in Lohja, and districts of Helsinki and Vantaa."""
    names = indicators.areas.table["name_fi"]
    assert (names["09120"], names["09220"], names["vantaa-09220"]) == ("Karjalohja", "Sammatti", "Askisto")
    assert indicators.areas.table.loc["helsinki-09120", "level"] == "helsinki"
    table = indicators.table
    for indicator, codes, others in (
        ("population_paavo", {"09120", "09220"}, {"helsinki-09120", "vantaa-09220"}),
        ("population_1_january", {"helsinki-09120", "vantaa-09220"}, {"09120", "09220"}),
    ):
        known = set(table.loc[table["indicator"] == indicator, "area"])
        assert codes <= known
        assert not others & known


def test_areas_of_the_area_series_are_known_with_their_suffix_and_name(indicators: Indicators) -> None:
    areas = indicators.areas.table
    assert areas.groupby("level").size().to_dict() == {
        "helsinki": 182,
        "postal": len(areas) - 252,
        "vantaa": 70,
    }
    assert {"helsinki-091201", "helsinki-091201P"} <= set(
        areas.index
    )  # Ruoholahti, and the peruspiiri Reijola
    assert areas.loc["vantaa-09274", "name_fi"] == "Havukoski"
    assert areas.loc["00100", "name_fi"] == "Helsinki keskusta - Etu-Töölö"  # cut off in some releases


# --- years and values


@pytest.mark.parametrize("indicator", sorted(YEARS))
def test_the_years_that_the_groups_describe(indicators: Indicators, indicator: str) -> None:
    assert set(_shown(indicators, indicator)["year"]) == YEARS[indicator]


def test_the_release_of_2021_describes_three_different_years(indicators: Indicators) -> None:
    table = indicators.table[indicators.table["vintage"] == 2021]
    years = {name: set(part["year"]) for name, part in table.groupby("indicator")}
    assert years["median_income"] == years["population_paavo"] == {2019}
    assert years["unemployment_rate"] == years["workplaces_total"] == {2018}


@pytest.mark.parametrize(("year", "expected"), [(2012, 18.4), (2019, 20.8), (2024, 25.3)])
def test_low_income_in_koivukyla_havukoski(cells: pd.DataFrame, year: int, expected: float) -> None:
    assert round(cells.loc[("low_income_rate", "01360", year), "value"], 1) == expected


def test_an_empty_area_has_no_value_in_any_year(indicators: Indicators) -> None:
    rows = indicators.table[indicators.table["area"] == "01770"]
    people = rows[~rows["indicator"].str.contains("job|workplace|self_sufficiency")]
    assert len(people) > 100
    assert people["value"].isna().all()
    jobs = rows[(rows["indicator"] == "workplaces_total") & (rows["year"] == 2018)]
    assert jobs["value"].tolist() == [605]  # nobody lives there and 605 work there, in the release of 2021


def test_no_median_is_zero_and_no_base_is_under_the_limit(indicators: Indicators) -> None:
    table = indicators.table[indicators.table["status"] == "ok"]
    assert table["denominator"].min() >= 30
    assert (
        table.loc[table["indicator"].isin(["median_income", "mean_income", "living_space"]), "value"].min()
        > 0
    )
    assert indicators.table.loc[indicators.table["status"] != "ok", "value"].isna().all()


def test_releases_agree_but_for_one_border(indicators: Indicators) -> None:
    """Eighteen pairs of files tell the same values; a border between 00120 and 00130 moved after 2024."""
    log = indicators.log
    confirmed = log[log["rule"] == "confirmed"]
    assert len(confirmed) == 18
    assert "conflict" not in set(log["rule"])
    revised = log[log["rule"] == "revised"]
    assert set(revised["area"]) == {"00120", "00130"}
    assert set(revised["year"]) == {2022}


def test_jobs_of_the_geojson_of_2026_are_those_of_2022_and_are_not_taken(study: Study, raw: Path) -> None:
    """They equal the release of 2024 in every cell, where no other group does."""
    files = {
        year: raw / "statfi-paavo" / f"vintage-{year}" / "metro_neighborhoods.geojson"
        for year in (2024, 2026)
    }
    old, new = (
        {record["postinumeroalue"]: record for record in _features(path.read_bytes())}
        for path in files.values()
    )
    same = collections.Counter()
    both = collections.Counter()
    for area in set(old) & set(new):
        for name, value in old[area].items():
            if re.match(r"(he|hr|ko|pt|tp)_", name) and value not in (None, 0, -1):
                both[name[:2]] += 1
                same[name[:2]] += value == new[area].get(name)
    assert same["tp"] == both["tp"] > 3000
    assert all(same[group] < 0.1 * both[group] for group in ("he", "hr", "ko", "pt"))
    (source,) = [
        source
        for source in study.spec.source
        if source.file.endswith("vintage-2026/metro_neighborhoods.geojson")
    ]
    assert not [item for item in source.items if "jobs" in item or item == "workplaces"]


def test_what_was_known_on_a_day(study: Study) -> None:
    """At the end of 2015 only Paavo's first release and the area series were there."""
    early = clean_indicators(study, as_of=datetime.date(2015, 12, 31))
    assert set(early.files["vintage"]) == {2009, 2010, 2015}
    assert len(early.files) == 8 + 6
    assert set(_shown(early, "low_income_rate")["year"]) == {2012}
    assert set(_shown(early, "population_paavo")["year"]) == {2013}
    found = _shown(early, "population_1_january").set_index(["area", "year"])["value"]
    assert found["vantaa-092", 1971] == 82991  # the first cell of the file


# --- education, unemployment and what was not published


def test_basic_education_of_2019_and_its_change_of_level(
    indicators: Indicators, vantaa: list[str], raw: Path
) -> None:
    """The figures of the notes and of the README, from the raw files by pandas."""
    pyreadr = pytest.importorskip("pyreadr")
    frame = pyreadr.read_r(str(raw / "statfi-paavo/vintage-2021/pnro_data_20210304.RData"))["pnro.population"]
    frame = frame.set_index("pnro")[["low_income", "mid_income", "hi_income", "educated"]].astype(float)
    frame = frame.where(frame.notna())  # R's own NA makes numpy warn
    adults = frame[["low_income", "mid_income", "hi_income"]].sum(axis=1, skipna=False)
    share = {2019: (100 * (adults - frame["educated"]) / adults)[adults >= 30]}
    for year in (2012, 2017):
        path = raw / f"statfi-paavo/pxweb-themes-2012-2017/Educational_structure_{year}.csv"
        theme = pd.read_csv(path, encoding="latin-1", index_col=0, na_values=["..", "."]).drop(
            index="Finland"
        )
        theme = theme.rename(index=lambda label: label[:5]).astype(float)
        share[year] = (100 * theme.iloc[:, 1] / theme.iloc[:, 0])[theme.iloc[:, 0] >= 30]
    mine = _shown(indicators, "basic_education").pivot(index="area", columns="year", values="value")
    pd.testing.assert_series_equal(
        mine[2019].dropna(), share[2019].dropna().sort_index(), check_names=False, check_index_type=False
    )
    whole = pd.DataFrame(share).dropna()
    change = whole[2019] - whole[2017]
    beyond = change - 2 * (whole[2017] - whole[2012]) / 5
    always = mine.index[mine.loc[:, list(YEARS["basic_education"])].notna().all(axis=1)]
    for areas, size, median, within, excess in (
        (whole.index.intersection(vantaa), 36, -1.63, 19, -1.00),
        (whole.index.intersection(always[always.str.startswith("00")]), 83, -1.85, 51, -0.96),
        (whole.index, 2921, -1.72, 1428, -0.06),
    ):
        assert len(areas) == size
        assert change[areas].median() == pytest.approx(median, abs=0.005)
        assert change[areas].between(-4, -1.5).sum() == within
        assert beyond[areas].median() == pytest.approx(excess, abs=0.005)


def test_both_counts_of_adults_are_equal_where_both_are_of_one_release(raw: Path) -> None:
    """So that the adults by income class stand in for those of the education group in 2019."""
    for year in (2012, 2013, 2014):
        counts = []
        for theme, columns in (
            ("Educational_structure", slice(0, 1)),
            ("Inhabitants_disposable_monetary_income", None),
        ):
            path = raw / f"statfi-paavo/pxweb-themes-2012-2017/{theme}_{year}.csv"
            frame = pd.read_csv(path, encoding="latin-1", index_col=0, na_values=["..", "."]).drop(
                index="Finland"
            )
            own = frame.iloc[:, columns] if columns else frame.filter(like="income category")
            counts.append(own.astype(float).sum(axis=1, skipna=False))
        both = pd.concat(counts, axis=1).dropna()
        assert len(both) > 2900
        assert (both[0] == both[1]).all()


def test_the_break_of_basic_education_is_found_where_it_is(indicators: Indicators) -> None:
    """In Vantaa and Espoo; not in the whole country, whose drift it follows, and not in Helsinki, whose is steeper."""
    log = indicators.log
    found = log[
        (log["rule"] == "level_break") & (log["subject"] == "basic_education") & (log["year"] == 2019)
    ]
    assert found["area"].tolist() == ["Espoo", "Vantaa"]
    assert all("from 2017 to 2019" in text for text in found["found"])
    by_formula = log[(log["rule"] == "other_formula") & (log["subject"] == "basic_education")]
    assert by_formula["year"].tolist() == [2019]
    own = _shown(indicators, "basic_education")
    assert by_formula["count"].tolist() == [(own["year"] == 2019).sum()]


def test_degrees_do_not_jump_with_the_definition(indicators: Indicators) -> None:
    log = indicators.log
    broken = log[
        (log["rule"] == "level_break") & log["subject"].isin(["tertiary_education", "university_degree"])
    ]
    assert not set(broken["year"]) & {2019, 2020, 2022, 2024}
    degrees, tertiary = (
        _shown(indicators, name).set_index(["year", "area"])["value"]
        for name in ("university_degree", "tertiary_education")
    )
    helsinki = [
        code for code in tertiary[2020].index if code.startswith("00") and code in degrees[2019].index
    ]
    apart = tertiary[2020][helsinki] - degrees[2019][helsinki]
    assert apart.median() == pytest.approx(8.7, abs=0.05)  # as the notes say


def test_low_unemployment_is_shown(cells: pd.DataFrame) -> None:
    """Jokivarsi has 19 unemployed in 2007 (3.0 %) and 1,000 residents: a limit on the unemployed would hide it."""
    row = cells.loc["unemployed_rate", "vantaa-09285", 2007]
    assert (row["status"], row["value"]) == ("ok", 3.0)
    assert row["denominator"] == cells.loc["population_1_january", "vantaa-09285", 2007]["value"]
    rates = cells.loc["unemployed_rate"]
    assert set(rates["status"]) == {"ok", "suppressed"}
    assert (
        rates["status"] == "ok"
    ).sum() == 519  # every cell of the file with a number: 560 less 41 marked ".."


def test_nobody_is_blamed_for_what_was_not_published(indicators: Indicators) -> None:
    table = indicators.table
    years = table[table["status"] == "missing"].groupby("indicator")["year"].agg(set)
    assert not years.get("one_person_share", set())
    assert not years.get("dwelling_production", set())
    assert not table[(table["indicator"] == "one_person_share") & (table["year"] < 2020)].shape[0]
    split = table[table["status"] == "split_releases"]
    assert set(split["indicator"]) == {"employment_rate"}
    assert set(split["year"]) == {2013, 2014, 2015, 2016}
    grid = coverage(indicators)
    built = grid[(grid["indicator"] == "dwelling_production") & (grid["area"] == "vantaa-09274")]
    assert set(built.loc[built["year"] < 1990, "status"]) == {"not_published"}


# --- random cells against the raw files


#: Years of the groups in files without years in their columns: README of the Paavo files.
GROUPS = {
    "pno_tilasto_2019.dbf": dict.fromkeys(("he", "ko", "te", "ra"), 2017)
    | dict.fromkeys(("hr", "tr", "pt", "tp"), 2016)
}

Column = tuple[str, int | None]


def _features(content: bytes) -> list[dict[str, object]]:
    return [feature["properties"] for feature in json.loads(content)["features"]]


@functools.cache
def _columns(path: Path) -> tuple[dict[Column, int], dict[str, list[str]]]:
    """Columns by name and year, and rows by area, of a theme table, a wide table or the merged one."""
    encoding, separator = ("utf-8", ";") if "koko" in path.name else ("utf-8-sig", ",")
    if "themes" in path.parent.name:
        encoding = "latin-1"
    with path.open(encoding=encoding, newline="") as stream:
        header, *rows = csv.reader(stream, delimiter=separator)
    area = header.index("Postinumero") if "Postinumero" in header else 0
    columns: dict[Column, int] = {}
    for at, name in enumerate(header):
        match = re.search(r", ((?:19|20)\d\d)(?=$| \()", name)
        columns[name.replace(match[0], "") if match else name, int(match[1]) if match else None] = at
    return columns, {row[area][:5]: row for row in rows}


@functools.cache
def _records(path: Path) -> dict[str, dict[str, str]]:
    """Texts by area and name, of GeoJSON, dBASE and table 12f7."""
    content = path.read_bytes()
    if path.suffix == ".geojson":
        return {
            str(each["postinumeroalue"]): {name: str(value) for name, value in each.items()}
            for each in _features(content)
        }
    found: dict[str, dict[str, str]] = collections.defaultdict(dict)
    if path.suffix == ".csv":
        for area, name, text in list(csv.reader(content.decode("latin-1").splitlines()))[3:]:
            found[area[:5]][name] = text
        return found
    count, header, size = struct.unpack("<IHH", content[4:12])
    fields, at = [], 1
    for start in range(32, header - 32, 32):
        fields.append((content[start : start + 11].rstrip(b"\x00").decode(), at, content[start + 16]))
        at += content[start + 16]
    for number in range(count):
        record = content[header + number * size : header + (number + 1) * size]
        texts = {
            name: record[at : at + width].decode("utf-8", "replace").strip() for name, at, width in fields
        }
        found[texts["posti_alue"]] = texts
    return found


def _raw_number(path: Path, area: str, year: int, labels: tuple[str, ...]) -> float | None:
    """The number of the first label that the file has for this year, or None where it has none."""
    if "themes" in path.parent.name or path.name in ("paavo_9_koko.csv", "paavo_master.csv"):
        columns, rows = _columns(path)
        kept = [columns[key] for label in labels for key in ((label, year), (label, None)) if key in columns]
        return float(rows[area][kept[0]]) if kept else None
    record = _records(path)[area]
    label = next((label for label in labels if label in record), None)
    if label is None or GROUPS.get(path.name, {}).get(label[:2], year) != year:
        return None
    return float(record[label])


def test_random_cells_of_every_paavo_file(study: Study, indicators: Indicators, raw: Path) -> None:
    labels = {
        item.name: tuple(str(getattr(each, "text", each)) for each in item.labels) for item in study.spec.item
    }
    table = indicators.table[indicators.table["status"] == "ok"]
    chance = random.Random(20261121)
    compared: collections.Counter[str] = collections.Counter()
    for file, part in table.groupby("source", sort=True):
        path = raw / str(file)
        if path.suffix in (".px", ".RData"):
            continue  # test_real_data.py and test_px.py read these by hand
        for row in part.iloc[chance.sample(range(len(part)), min(60, len(part)))].to_dict("records"):
            spec = study.indicator(row["indicator"])
            upper, lower = (
                [_raw_number(path, row["area"], row["year"], labels[name]) for name in names.split(" + ")]
                for names in (spec.numerator or spec.value, spec.denominator or spec.base)
            )
            if None in upper or None in lower:
                continue  # from two releases
            above, below = sum(filter(None, upper)), sum(filter(None, lower))
            expected = 100 * above / below if spec.numerator else above
            assert row["value"] == pytest.approx(expected, abs=1e-9), (file, row["area"], row["indicator"])
            assert row["denominator"] == below
            compared[path.name] += 1
    # Of two files that tell the same, the later one in the study holds: some are never the source of a value.
    assert len(compared) >= 30
    assert sum(compared.values()) > 1500


def test_a_national_rate_in_all_areas_and_years(cells: pd.DataFrame, raw: Path) -> None:
    """Low income 2012 to 2014, of all areas, from the theme tables by pandas."""
    names = [f"{word} belonging to the {level} income category" for word, level in
             (("Inhabintants", "lowest"), ("Inhabitants", "middle"), ("Inhabintants", "highest"))]  # fmt: skip
    for year in (2012, 2013, 2014):
        path = (
            raw
            / "statfi-paavo"
            / "pxweb-themes-2012-2017"
            / f"Inhabitants_disposable_monetary_income_{year}.csv"
        )
        frame = pd.read_csv(path, encoding="latin-1", index_col=0, na_values=["..", "."])
        frame = frame.drop(index="Finland").rename(index=lambda label: label[:5])
        parts = frame[[f"{name}, {year} (HR)" for name in names]]
        total = parts.sum(axis=1, skipna=False)
        share = (100 * parts.iloc[:, 0] / total)[total >= 30]
        mine = cells.loc["low_income_rate"].xs(year, level="year")
        mine = mine.loc[mine["status"] == "ok", "value"]
        assert len(mine) == len(share) > 2900
        pd.testing.assert_series_equal(mine.sort_index(), share.sort_index(), check_names=False, rtol=1e-12)
