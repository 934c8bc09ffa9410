"""Releases: each by itself, what later ones changed, and what was known at a day."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from mekeval import read_study
from mekeval.errors import DataError
from mekeval.indicators import clean_indicators, compare_releases
from mekeval.study import Study

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
[[item]]
name = "people"
labels = ["People"]
[[item]]
name = "poor"
labels = ["Poor"]
[[indicator]]
name = "poor_rate"
formula = "poor / people"
higher_is = "worse"
unit = "percent"
label.fi = "r"
"""
AREAS = "code,level,parent,name_fi\n01,district,,Hakunila\n02,district,,Mikkola\n03,district,,Korso\n"
HEADER = '"Area","People, 2018","Poor, 2018"\n'
FIRST = HEADER + "01 Hakunila,500,100\n02 Mikkola,300,30\n03 Korso,28,9\n"
SECOND = HEADER + "01 Hakunila,500,110\n02 Mikkola,300,30\n03 Korso,40,9\n"

Make = Callable[..., Study]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def build(files: Mapping[int, str], *, published: Mapping[int, str] | None = None) -> Study:
        words = STUDY
        for vintage, text in files.items():
            (tmp_path / f"{vintage}.csv").write_text(text, "utf-8")
            day = (published or {}).get(vintage)
            words += (
                f'[[source]]\nfile = "{vintage}.csv"\nreader = "pxweb-csv"\nvintage = {vintage}\n'
                f'items = ["people", "poor"]\nsha256 = "{hashlib.sha256(text.encode()).hexdigest()}"\n'
                + (f"published = {day}\n" if day else "")
            )
        (tmp_path / "areas.csv").write_text(AREAS, "utf-8")
        (tmp_path / "study.toml").write_text(words, "utf-8")
        return read_study(tmp_path)

    return build


def test_each_release_stands_by_itself_where_two_speak_of_a_value(make: Make) -> None:
    releases = clean_indicators(make({2020: FIRST, 2021: SECOND})).releases
    at = releases.set_index(["area", "vintage"])
    assert at.loc[("01", 2020), "value"] == 100 * 100 / 500
    assert at.loc[("01", 2021), "value"] == 100 * 110 / 500
    assert at.loc[("03", 2020), "status"] == "confidential"  # 28 people
    assert at["value"].isna().tolist() == (at["status"] != "ok").tolist()
    assert clean_indicators(make({2020: FIRST})).releases.empty


def test_a_value_that_is_hidden_now_is_hidden_in_every_release(make: Make) -> None:
    releases = clean_indicators(make({2020: SECOND, 2021: FIRST})).releases
    korso = releases[releases["area"] == "03"]
    assert korso["status"].tolist() == ["confidential"] * 2
    assert korso["value"].isna().all()


def test_what_a_release_changed_is_counted_and_its_largest_change_named(make: Make) -> None:
    (row,) = compare_releases(clean_indicators(make({2020: FIRST, 2021: SECOND}))).to_dict("records")
    assert (row["indicator"], row["year"], row["vintage_old"], row["vintage_new"]) == (
        "poor_rate", 2018, 2020, 2021
    )  # fmt: skip
    assert (row["areas"], row["changed"], row["largest_area"]) == (2, 1, "01")  # Korso has one value only
    assert row["largest_change"] == pytest.approx(100 * 10 / 500)
    assert compare_releases(clean_indicators(make({2020: FIRST}))).empty


def test_last_years_numbers_come_back_with_the_day(make: Make) -> None:
    study = make({2020: FIRST, 2021: SECOND})
    now, then = clean_indicators(study), clean_indicators(study, as_of=2020)
    assert then.as_of == datetime.date(2020, 12, 31)
    assert now.as_of is None

    def value(result: object) -> float:
        table = result.table  # type: ignore[attr-defined]
        return float(table.loc[table["area"] == "01", "value"].iloc[0])

    assert (value(then), value(now)) == (20.0, 22.0)
    alone = clean_indicators(make({2020: FIRST}))
    assert then.table.equals(alone.table)
    assert then.log.equals(alone.log)
    assert then.files["file"].tolist() == ["2020.csv"]


@pytest.mark.parametrize(("day", "expected"), [("2021-05-31", 20.0), ("2021-06-01", 22.0)])
def test_the_day_of_publication_counts_where_it_is_known(make: Make, day: str, expected: float) -> None:
    study = make({2020: FIRST, 2021: SECOND}, published={2021: "2021-06-01"})
    table = clean_indicators(study, as_of=datetime.date.fromisoformat(day)).table
    assert table.loc[table["area"] == "01", "value"].iloc[0] == expected


def test_a_day_before_every_release_is_refused(make: Make) -> None:
    with pytest.raises(DataError, match="No source was published") as caught:
        clean_indicators(make({2020: FIRST}), as_of=2019)
    assert "2020-12-31" in caught.value.faults[0].expected
