"""Data carried from one list of areas to another, changes of areas by year, and districts in data for other areas."""

from __future__ import annotations

import html
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pandas as pd
import pytest

from mekeval import example_study, read_study
from mekeval.areas import (
    change_weights,
    crosswalk,
    read_changes,
    read_districts,
    read_weights,
    weight_totals,
)
from mekeval.errors import DataError, MekevalError, StudyError
from mekeval.evaluation import Evaluation
from mekeval.report.dilution import dilution_table, treated_name
from mekeval.report.parts import area_note, programme_section
from mekeval.study import Study
from mekeval.text import Texts

PAAVO = Path(__file__).parents[1] / "data" / "vantaa-mek-paavo"
COLUMNS = ["area", "year", "indicator", "value", "numerator", "denominator", "status", "source", "vintage"]


def rate(
    area: str, numerator: float, denominator: float, *, year: int = 2020, status: str = "ok"
) -> list[object]:
    value = 100 * numerator / denominator if status == "ok" else np.nan
    parts = [numerator, denominator] if status == "ok" else [np.nan, np.nan]
    return [area, year, "rate", value, *parts, status, f"{area}.csv", 2021]


def tidy(*rows: list[object]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=COLUMNS)


def shares(*rows: tuple[str, str, float]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=["from_code", "to_code", "weight"])


def one(table: pd.DataFrame, area: str) -> dict[str, object]:
    (row,) = table.loc[table["area"] == area].to_dict("records")
    return row


TWO = tidy(rate("A", 10, 100), rate("B", 90, 300))
HALVES = shares(("A", "X", 0.5), ("A", "Y", 0.5), ("B", "Y", 1.0))


def test_a_rate_is_made_of_shared_numerators_and_denominators() -> None:
    before = TWO.copy(deep=True), HALVES.copy(deep=True)
    carried = crosswalk(TWO, HALVES)
    # X: half of A, 5 of 50. Y: the other half and B, 95 of 350; the mean of the rates would be 20.
    assert one(carried, "X")["value"] == pytest.approx(10.0, rel=1e-12)
    assert one(carried, "Y")["value"] == pytest.approx(100 * 95 / 350, rel=1e-12)
    assert (one(carried, "Y")["numerator"], one(carried, "Y")["denominator"]) == (95, 350)
    assert one(carried, "Y")["source"] == "A.csv; B.csv"
    assert one(carried, "X")["source"] == "A.csv"
    pd.testing.assert_frame_equal(TWO, before[0])
    pd.testing.assert_frame_equal(HALVES, before[1])
    assert list(carried.columns) == COLUMNS


def by_hand(
    table: pd.DataFrame, weights: pd.DataFrame, counts: tuple[str, ...]
) -> dict[tuple[object, ...], object]:
    """The same by loops, for tables in which every value is there or suppressed."""
    cells = {(r["area"], r["indicator"], r["year"]): r for r in table.to_dict("records")}
    found: dict[tuple[object, ...], object] = {}
    for target in sorted(set(weights["to_code"])):
        parts = [(w["from_code"], w["weight"]) for w in weights.to_dict("records") if w["to_code"] == target]
        for indicator, year in {(i, y) for a, i, y in cells if a in {code for code, _ in parts}}:
            rows = [(cells.get((code, indicator, year)), weight) for code, weight in parts]
            if any(row is not None and row["status"] == "suppressed" for row, _ in rows):
                found[target, indicator, year] = "suppressed"
            elif any(row is None for row, _ in rows):
                found[target, indicator, year] = "missing"
            elif indicator in counts:
                found[target, indicator, year] = sum(w * row["value"] for row, w in rows if row is not None)
            else:
                top = sum(w * row["numerator"] for row, w in rows if row is not None)
                found[target, indicator, year] = (
                    100 * top / sum(w * r["denominator"] for r, w in rows if r is not None)
                )
    return found


def test_a_large_table_is_what_loops_make_of_it() -> None:
    rng = np.random.default_rng(5)
    areas, targets = [f"A{at:02}" for at in range(30)], [f"T{at}" for at in range(9)]
    rows: list[list[object]] = []
    for area in areas:
        for year in (2018, 2019, 2021):
            if rng.random() < 0.05:
                continue
            base = float(rng.integers(50, 900))
            status = "suppressed" if rng.random() < 0.05 else "ok"
            rows.append(rate(area, float(rng.integers(0, int(base))), base, year=year, status=status))
            rows.append([area, year, "people", base, np.nan, np.nan, "ok", "p.csv", 2022])
    table = tidy(*rows)
    weights = []
    for area in areas:
        chosen = rng.choice(targets, size=rng.integers(1, 4), replace=False)
        parts = rng.dirichlet(np.ones(len(chosen)))
        weights += [(area, str(target), float(part)) for target, part in zip(chosen, parts, strict=True)]
    listed = shares(*weights)
    expected = by_hand(table, listed, ("people",))
    carried = crosswalk(table, listed, counts=["people"])
    assert len(carried) == len(expected)
    for row in carried.to_dict("records"):
        wanted = expected[row["area"], row["indicator"], row["year"]]
        if isinstance(wanted, str):
            assert row["status"] == wanted
            assert np.isnan(row["value"])
        else:
            assert row["status"] == "ok"
            assert row["value"] == pytest.approx(wanted, rel=1e-12)
    # Rows and pairs in another order give the same table, and nobody is lost in a year that has all areas.
    again = crosswalk(
        table.sample(frac=1, random_state=1), listed.sample(frac=1, random_state=2), counts=["people"]
    )
    pd.testing.assert_frame_equal(again, carried)


def test_counts_keep_their_sum() -> None:
    table = tidy(
        *[[a, 2020, "people", n, np.nan, np.nan, "ok", "f", 2021] for a, n in (("A", 7.0), ("B", 5.0))]
    )
    carried = crosswalk(table, HALVES, counts=["people"])
    assert carried["value"].sum() == pytest.approx(12, rel=1e-12)
    assert carried["numerator"].isna().all()


def test_a_part_without_a_number_leaves_the_whole_without_one() -> None:
    table = tidy(rate("A", 10, 100, status="suppressed"), rate("B", 90, 300))
    carried = crosswalk(table, HALVES)
    assert set(carried["status"]) == {"suppressed"}
    assert carried[["value", "numerator", "denominator"]].isna().all(axis=None)
    worst = crosswalk(tidy(rate("A", 1, 9, status="missing"), rate("B", 1, 9, status="suppressed")), HALVES)
    assert (one(worst, "X")["status"], one(worst, "Y")["status"]) == ("missing", "suppressed")


def test_a_tiny_part_without_a_number_is_left_out_only_if_the_user_says_so() -> None:
    table = tidy(rate("A", 10, 100, status="suppressed"), rate("B", 90, 300))
    weights = shares(("A", "X", 0.98), ("A", "Y", 0.02), ("B", "Y", 1.0))
    assert one(crosswalk(table, weights), "Y")["status"] == "suppressed"
    little = weights.assign(share_of_target=[1.0, 0.01, 0.99])
    carried = crosswalk(table, little, tiny=0.02)
    assert (one(carried, "Y")["value"], one(carried, "X")["status"]) == (30.0, "suppressed")
    assert one(carried, "Y")["source"] == "A.csv; B.csv; left out: A (suppressed)"
    assert one(carried, "X")["source"] == "A.csv"
    # A small part of a large area may be much of a small one; where that is not known, it may be too.
    for share in (0.4, np.nan):
        much = weights.assign(share_of_target=[1.0, share, 0.6])
        assert one(crosswalk(table, much, tiny=0.02), "Y")["status"] == "suppressed"
    with pytest.raises(DataError, match="Whether a part is tiny cannot be told"):
        crosswalk(table, weights, tiny=0.02)


def test_a_tiny_part_that_is_not_in_the_table_is_named_too() -> None:
    weights = shares(("A", "X", 0.98), ("A", "Y", 0.02), ("B", "Y", 1.0))
    little = weights.assign(share_of_target=[1.0, 0.01, 0.99])
    carried = crosswalk(TWO.loc[TWO["area"] == "B"], little, tiny=0.02)
    assert one(carried, "Y")["source"] == "B.csv; left out: A (missing)"
    assert one(carried, "Y")["value"] == 30.0


def test_an_area_that_is_not_in_the_table_makes_its_target_missing() -> None:
    carried = crosswalk(TWO.loc[TWO["area"] == "B"], HALVES)
    assert one(carried, "Y")["status"] == "missing"
    assert set(carried["area"]) == {"Y"}  # of X nothing is known at all


def test_areas_where_nobody_lives_add_nothing() -> None:
    table = tidy(rate("A", 0, 1, status="empty_area"), rate("B", 90, 300))
    carried = crosswalk(table, HALVES)
    assert one(carried, "Y")["value"] == 30.0
    assert one(carried, "X")["status"] == "empty_area"


def test_too_few_people_after_sharing_are_confidential() -> None:
    carried = crosswalk(TWO, HALVES, minimum_base=51)
    assert one(carried, "X")["status"] == "confidential"
    assert np.isnan(one(carried, "X")["denominator"])
    assert one(carried, "Y")["status"] == "ok"


# --- weights


def test_a_shortfall_is_refused_or_goes_where_the_user_says() -> None:
    weights = shares(("A", "X", 0.5), ("A", "Y", 0.25), ("B", "Y", 1.0))
    assert weight_totals(weights).values.tolist() == [["A", 0.75, 0.25], ["B", 1.0, 0.0]]
    with pytest.raises(DataError, match="goes nowhere") as caught:
        crosswalk(TWO, weights)
    assert caught.value.faults[0].where == "weights, A"
    assert caught.value.faults[0].found == "0.75"
    carried = crosswalk(TWO, weights, remainder="elsewhere")
    assert one(carried, "elsewhere")["denominator"] == pytest.approx(25)
    assert carried["denominator"].sum() == pytest.approx(400)  # nobody is lost


def test_weights_rounded_to_two_digits_are_scaled() -> None:
    thirds = shares(("A", "X", 0.33), ("A", "Y", 0.33), ("A", "Z", 0.33), ("B", "Y", 1.0))
    carried = crosswalk(TWO, thirds)
    assert carried["denominator"].sum() == pytest.approx(400, rel=1e-12)
    assert one(carried, "X")["denominator"] == pytest.approx(100 / 3, rel=1e-12)


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        (shares(("A", "X", 0.7), ("A", "Y", 0.7), ("B", "Y", 1.0)), "sum to more than 1"),
        (shares(("A", "X", 1.0), ("A", "X", 0.0), ("B", "Y", 1.0)), "stands twice"),
        (shares(("A", "X", -0.5), ("B", "Y", 1.0)), "no share"),
        (shares(("A", "X", np.nan), ("B", "Y", 1.0)), "no share"),
        (shares(("A", "", 1.0), ("B", "Y", 1.0)), "has no area"),
        (shares(("A", "X", 1.0)), "do not name areas"),
        (HALVES.rename(columns={"weight": "share"}), "A column is not there"),
    ],
)
def test_wrong_weights_are_refused(weights: pd.DataFrame, said: str) -> None:
    with pytest.raises(DataError, match=said):
        crosswalk(TWO, weights)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (tidy(rate("A", 1, 10), rate("A", 1, 10), rate("B", 1, 10)), "stands twice"),
        (TWO.drop(columns="numerator"), "A column is not there"),
        (TWO.assign(value=0.1), "not 100 times"),
        (TWO.assign(numerator=[np.nan, 90]), "no number behind it"),
        (TWO.assign(indicator="median", numerator=np.nan), "plain value cannot be computed"),
    ],
)
def test_wrong_tables_are_refused(table: pd.DataFrame, said: str) -> None:
    with pytest.raises(DataError, match=said):
        crosswalk(table, HALVES)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"plain": "mean"}, "no such choice"),
        ({"unlisted": "drop"}, "no such choice"),
        ({"tiny": 2.0}, "between 0 and 1"),
        ({"counts": ["rte"]}, "closest: 'rate'"),
    ],
)
def test_wrong_choices_are_refused(options: dict[str, object], said: str) -> None:
    with pytest.raises(DataError, match=said):
        crosswalk(TWO, HALVES, **options)  # type: ignore[arg-type]


def test_plain_values_are_carried_from_the_main_part_and_say_so() -> None:
    table = TWO.assign(indicator="median", numerator=np.nan, value=[20_000.0, 30_000.0])
    carried = crosswalk(table, HALVES, plain="carry", main_part=0.8)
    # X is of A alone; Y has 50 people of A and 300 of B, 86 % of them.
    assert (one(carried, "X")["value"], one(carried, "X")["status"]) == (20_000, "carried")
    assert (one(carried, "Y")["value"], one(carried, "Y")["status"]) == (30_000, "carried")
    strict = crosswalk(table, HALVES, plain="carry", main_part=0.9)
    assert (one(strict, "X")["status"], one(strict, "Y")["status"]) == ("carried", "not_shared")
    assert np.isnan(one(strict, "Y")["value"])


def test_weights_come_from_a_file_with_every_fault_in_its_place(tmp_path: Path) -> None:
    path = tmp_path / "weights.csv"
    path.write_text("from_code,to_code,weight,by\nA,X,0.5,area\nA,Y,0.5,area\n", encoding="utf-8")
    assert read_weights(path).values.tolist() == [["A", "X", 0.5, "area"], ["A", "Y", 0.5, "area"]]
    path.write_text(
        "from_code,to_code,weight,by\nA,X,half,area\n,Y,0.5,area\nA,Z,1.5,rooms\nA\n", encoding="utf-8"
    )
    with pytest.raises(StudyError) as caught:
        read_weights(path)
    places = {(fault.place.row, fault.place.column) for fault in caught.value.faults if fault.place}
    assert places == {(2, "weight"), (3, "from_code"), (4, "weight"), (4, "by"), (5, "")}
    path.write_text("from_code,to_code,weight\nA,X,0.7\nA,Y,0.7\nA,X,0.1\n", encoding="utf-8")
    with pytest.raises(StudyError) as caught:
        read_weights(path)
    assert [fault.what for fault in caught.value.faults] == [
        "A pair of areas stands twice.",
        "The weights of an area sum to more than 1.",
    ]


# --- changes by year

SPLIT = "from_code,to_code,year,weight\nA,A,2018,0.7\nA,B,2018,0.3\nB,C,2021,1\nD,C,2021,1\n"


def test_changes_are_followed_through_the_years(tmp_path: Path) -> None:
    path = tmp_path / "changes.csv"
    path.write_text(SPLIT, encoding="utf-8")
    weights = change_weights(read_changes(path), [2017, 2018, 2020, 2021], to=2024)
    by_year = {
        year: {(f, t): w for f, t, w in part[["from_code", "to_code", "weight"]].itertuples(index=False)}
        for year, part in weights.groupby("year")
    }
    # In 2017 B is not there; in 2018 A is already without it, and C comes in 2021.
    assert by_year[2017] == {("A", "A"): 0.7, ("A", "C"): 0.3, ("B", "C"): 1.0, ("D", "C"): 1.0}
    assert by_year[2018] == by_year[2020] == {("B", "C"): 1.0, ("D", "C"): 1.0}
    assert 2021 not in by_year
    assert set(change_weights(read_changes(path), [2017], to=2018)["to_code"]) == {"A", "B"}


def test_a_series_goes_on_over_a_split_and_a_join(tmp_path: Path) -> None:
    path = tmp_path / "changes.csv"
    path.write_text(SPLIT, encoding="utf-8")
    table = tidy(
        rate("A", 100, 1000, year=2017),
        rate("D", 10, 50, year=2017),
        rate("E", 1, 10, year=2017),
        rate("A", 60, 700, year=2021),
        rate("C", 30, 350, year=2021),
        rate("E", 2, 10, year=2021),
    )
    weights = change_weights(read_changes(path), table["year"].unique(), to=2021)
    carried = crosswalk(table, weights, unlisted="keep").set_index(["area", "year"])
    assert carried.loc[("A", 2017), "denominator"] == pytest.approx(700)
    assert carried.loc[("C", 2017), "denominator"] == pytest.approx(350)  # 0.3 of A and all of D
    assert carried.loc[("C", 2017), "value"] == pytest.approx(100 * 40 / 350)
    assert carried.loc[("E", 2017), "value"] == 10
    assert carried.loc[("C", 2021), "value"] == pytest.approx(100 * 30 / 350)
    assert set(carried["status"]) == {"ok"}


#: In 2015 A is split into A and B; in 2018 B is joined to C, which was always there.
BORN = pd.DataFrame(
    {
        "from_code": ["A", "A", "B"],
        "to_code": ["A", "B", "C"],
        "year": [2015, 2015, 2018],
        "weight": [0.7, 0.3, 1.0],
    }
)


def people(*rows: tuple[str, int, float]) -> pd.DataFrame:
    return tidy(*[[area, year, "n", number, np.nan, number, "ok", "f", 2020] for area, year, number in rows])


def carried_back(table: pd.DataFrame, changes: pd.DataFrame, to: int) -> dict[tuple[str, int], float | str]:
    weights = change_weights(changes, table["year"].unique(), to=to)
    out = crosswalk(table, weights, counts=["n"], unlisted="keep")
    return {
        (row["area"], row["year"]): row["value"] if row["status"] == "ok" else row["status"]
        for row in out.to_dict("records")
    }


def test_an_area_that_is_not_there_yet_makes_nothing_missing() -> None:
    table = people(
        *[("A", 2013, 1000), ("C", 2013, 500)],
        *[("A", 2016, 700), ("B", 2016, 300), ("C", 2016, 500)],
        *[("A", 2019, 700), ("C", 2019, 800)],
    )
    # C in 2013: its own 500 and 0.3 of the 1000 of A, from which B came.
    found = carried_back(table, BORN, 2020)
    assert found == {(area, year): at for year in (2013, 2016, 2019) for area, at in (("A", 700), ("C", 800))}
    # In 2016 B is there; without it C is not whole.
    lacking = table.loc[~((table["area"] == "B") & (table["year"] == 2016))]
    assert carried_back(lacking, BORN, 2020)["C", 2016] == "missing"
    weights = change_weights(BORN, [2013, 2016], to=2020)
    begins = weights.loc[weights["begins"], ["from_code", "year"]].values.tolist()
    assert begins == [["B", 2013]]


def test_an_old_area_that_only_grew_is_still_asked_for() -> None:
    # B was there before 2015 too, and took in a part of A.
    table = people(("A", 2013, 1000), ("B", 2013, 50), ("C", 2013, 500))
    assert carried_back(table, BORN, 2020) == {("A", 2013): 700, ("C", 2013): 850}
    # With data of 2012 it was there in 2013 as well: its number of 2013 is missing.
    earlier = pd.concat([table.assign(year=2012), table.loc[table["area"] != "B"]])
    assert carried_back(earlier, BORN, 2020)["C", 2012] == 850
    assert carried_back(earlier, BORN, 2020)["C", 2013] == "missing"
    # And a row to itself says so without any data.
    itself = pd.DataFrame({"from_code": ["B"], "to_code": ["B"], "year": [2015], "weight": [1.0]})
    own = pd.concat([BORN, itself])
    assert carried_back(table.loc[table["area"] != "B"], own, 2020)["C", 2013] == "missing"


def test_an_area_that_ended_and_came_again_is_not_there_between() -> None:
    changes = pd.DataFrame(
        {
            "from_code": ["B", "A", "A", "B"],
            "to_code": ["A", "A", "B", "C"],
            "year": [2010, 2015, 2015, 2018],
            "weight": [1.0, 0.7, 0.3, 1.0],
        }
    )
    weights = change_weights(changes, [2009, 2012, 2016], to=2020)
    begins = weights.loc[weights["from_code"] == "B"].drop_duplicates(["year"]).set_index("year")["begins"]
    assert begins.to_dict() == {2009: False, 2012: True, 2016: False}
    table = people(("A", 2012, 1000), ("C", 2012, 500), ("A", 2016, 700), ("B", 2016, 300), ("C", 2016, 500))
    expected = {(area, year): at for year in (2012, 2016) for area, at in (("A", 700), ("C", 800))}
    assert carried_back(table, changes, 2020) == expected


def test_a_rest_of_an_area_that_begins_is_no_gap_either() -> None:
    weights = pd.DataFrame(
        [("A", "X", 1.0, False), ("B", "X", 0.5, True)], columns=["from_code", "to_code", "weight", "begins"]
    )
    table = people(("A", 2013, 1000))
    out = crosswalk(table, weights, counts=["n"], remainder="elsewhere")
    assert out[["area", "value", "status"]].values.tolist() == [["X", 1000.0, "ok"]]


def test_changes_that_cannot_be_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "changes.csv"
    path.write_text("from_code,to_code,year,weight\nA,A,2018,0.7\n", encoding="utf-8")
    with pytest.raises(DataError, match="do not sum to 1"):
        read_changes(path)
    path.write_text("from_code,to_code,weight\nA,A,1\n", encoding="utf-8")
    with pytest.raises(DataError, match="lack columns"):
        read_changes(path)
    path.write_text(SPLIT, encoding="utf-8")
    with pytest.raises(DataError, match="carried back"):
        change_weights(read_changes(path), [2022], to=2020)


# --- districts in data for other areas

HEAD = "district,name_fi,name_sv,area,share_of_district,share_of_area\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "districts.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_area_that_holds_most_of_a_district_stands_for_it(tmp_path: Path) -> None:
    districts = read_districts(
        written(
            tmp_path,
            HEAD + "1,Itä,Öst,X,0.3,0.9\n1,Itä,Öst,Y,0.7,0.2\n2,Länsi,,Y,1,0.5\n3,Pohja,,Z,0.3,0.1\n",
        )
    )
    found = districts.dilution("1")
    assert (found.area, found.share_of_district, found.of_people) == ("Y", 0.7, False)
    assert (found.share_of_land, found.share_of_people) == (0.2, None)  # land does not tell the people
    assert found.elsewhere == (("X", 0.3),)
    assert found.others == (("2", 0.5),)
    assert districts.find("öst") == districts.find("ITA") == districts.find("1") == "1"
    assert districts.find("Etelä") is None
    assert (districts.name("1", "sv"), districts.name("2", "sv")) == ("Öst", "Länsi")
    assert (districts.year, districts.source, districts.spread) == (None, "", "")
    with pytest.raises(StudyError, match="does not say where most"):
        districts.dilution("3")


BY = HEAD.strip() + ",by,year,source,spread\n"


def test_shares_of_people_stand_beside_those_of_land(tmp_path: Path) -> None:
    land = "1,Itä,,X,0.3,0.9,area,,,\n1,Itä,,Y,0.7,0.2,area,,,\n2,Länsi,,Y,1,0.5,area,,,\n"
    spread = (
        "1,Itä,,Y,0.7,0.6,population,2010,Register,area\n2,Länsi,,Y,1,0.4,population,2010,Register,area\n"
    )
    districts = read_districts(written(tmp_path, BY + land + spread))
    found = districts.dilution("1")
    assert (found.area, found.share_of_people, found.share_of_land) == ("Y", 0.6, 0.2)
    assert (found.share_of_district, found.of_people, found.elsewhere) == (0.7, False, (("X", 0.3),))
    assert found.others == (("2", 0.4),)
    assert (districts.year, districts.source, districts.spread) == (2010, "Register", "area")
    # Counted people know better than land where a district lies: here most of them live in X.
    counted = "1,Itä,,X,0.8,0.1,population,2010,Register,\n1,Itä,,Y,0.2,0.6,population,2010,Register,\n"
    found = read_districts(written(tmp_path, BY + land + counted)).dilution("1")
    assert (found.area, found.share_of_district, found.of_people) == ("X", 0.8, True)
    assert (found.share_of_people, found.share_of_land, found.elsewhere) == (0.1, 0.9, (("Y", 0.2),))


@pytest.mark.parametrize(
    ("rows", "column"),
    [
        ("1,A,,X,0.5,0.2,population,,Register,area\n", "year"),
        ("1,A,,X,0.5,0.2,population,now,Register,area\n", "year"),
        ("1,A,,X,0.5,0.2,population,2010,,area\n", "source"),
        ("1,A,,X,0.5,0.2,population,2010,Register,evenly\n", "spread"),
        ("1,A,,X,0.5,0.2,population,2010,R,\n1,A,,Y,0.4,0.2,population,2011,R,\n", "year"),
        ("1,A,,X,0.5,0.2,rooms,,,\n", "by"),
    ],
)
def test_shares_of_people_say_what_they_are(tmp_path: Path, rows: str, column: str) -> None:
    with pytest.raises(StudyError) as caught:
        read_districts(written(tmp_path, BY + rows))
    assert [fault.place.column for fault in caught.value.faults if fault.place] == [column]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("1,A,,X,0.5,1.2\n", "row 2, column 'share_of_area'"),
        ("1,A,,X,,0.2\n", "row 2, column 'share_of_district'"),
        ("1,,,X,0.5,0.2\n", "row 2, column 'name_fi'"),
        ("1,A,,X,0.5,0.2\n1,A,,X,0.4,0.2\n", "together twice"),
        ("1,A,,X,0.5,0.2\n1,B,,Y,0.4,0.2\n", "two names"),
        ("1,A,,X,0.7,0.2\n1,A,,Y,0.4,0.2\n", "shares of a district sum to more than 1"),
        ("1,A,,X,0.7,0.7\n2,B,,X,0.4,0.4\n", "shares of an area sum to more than 1"),
        ("1,A,,X,0.5,0.2\n1,A,,Y,0.5,0.2\n", "neither stands for it"),
        ("", "no districts"),
    ],
)
def test_a_wrong_table_of_districts_is_refused(tmp_path: Path, rows: str, said: str) -> None:
    with pytest.raises(StudyError, match=said):
        read_districts(written(tmp_path, HEAD + rows))


@pytest.fixture
def diluted_example(tmp_path: Path) -> Callable[[str, str], Path]:
    """The embedded study as if its districts were the areas of districts with other names."""

    def change(rows: str, areas: str) -> Path:
        folder = tmp_path / "study"
        shutil.copytree(example_study(), folder)
        written(folder, HEAD + rows)
        toml = (folder / "study.toml").read_text(encoding="utf-8")
        toml = toml.replace('file = "areas.csv"', 'file = "areas.csv"\ncrosswalk = "districts.csv"', 1)
        changed = re.sub(r'areas = \["Hakunila", "Havukoski"[^\]]*\]', f"areas = {areas}", toml, count=1)
        assert changed != toml
        (folder / "study.toml").write_text(changed, encoding="utf-8")
        return folder

    return change


def test_waves_may_name_districts_and_areas(diluted_example: Callable[[str, str], Path]) -> None:
    rows = "K1,Kylä,,09294,0.8,0.3\nK2,Mäki,,09294,0.9,0.2\nK3,Ranta,,09274,1,1\n"
    study = read_study(
        diluted_example(rows, '["Kylä", "Mäki", "Ranta", "Länsimäki", "Mikkola", "Martinlaakso"]')
    )
    assert study.wave_areas[0] == ("09294", "09274", "09291", "09282", "09217")
    assert study.wave_districts[0] == ("K1", "K2", "K3")
    assert study.resolve("mäki") == study.resolve("Hakunila") == "09294"


@pytest.mark.parametrize(
    ("rows", "areas", "said"),
    [
        ("K1,Kylä,,09294,0.8,0.3\n", '["Kyla", "Kylä"]', "names an area twice"),
        ("K1,Kylä,,09294,0.8,0.3\n", '["Kylmä"]', "closest: 'Kylä'"),
        ("K1,Kylä,,00970,0.8,0.3\n", '["Kylä"]', "not among the areas of the study"),
        ("K1,Kylä,,09294,0.8,3\n", '["Hakunila"]', r"districts\.csv, row 2, column 'share_of_area'"),
    ],
)
def test_districts_that_do_not_fit_the_study_are_refused(
    diluted_example: Callable[[str, str], Path], rows: str, areas: str, said: str
) -> None:
    with pytest.raises(MekevalError, match=said):
        read_study(diluted_example(rows, areas))


def test_the_table_of_districts_is_part_of_what_a_study_is(
    diluted_example: Callable[[str, str], Path],
) -> None:
    folder = diluted_example("K1,Kylä,,09294,0.8,0.3\n", '["Kylä"]')
    before = read_study(folder).sha256
    written(folder, HEAD + "K1,Kylä,,09294,0.8,0.4\n")
    assert read_study(folder).sha256 != before


# --- what reports say of it


@pytest.fixture(scope="module")
def paavo(raw: Path) -> Evaluation:
    """What reports of the real study look at when they speak of districts: the study and the year."""
    return cast("Evaluation", SimpleNamespace(study=read_study(PAAVO, raw=raw), year=2024))


def plain(markup: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", markup)).split())


#: Postal area, share of the district's land in it and share of the area's land that is the district, from README.md
#: beside the raw data; share of the area's people: residents of 1.1.2010 times the shares of land, by hand for
#: Hakunila: 11170 x 0.997 = 11136 of 11136 + 294 Kuninkaala + 855 Länsimäki + 176 Vaarala + 315 Itä-Hakkila +
#: 427 Sotunki = 13204.
README = {
    "Havukoski": ("01360", 0.95, 0.48, 0.64),
    "Länsimäki": ("01280", 0.65, 0.54, 0.48),
    "Hakunila": ("01200", 1.00, 0.16, 0.84),
    "Mikkola": ("01480", 0.87, 0.27, 0.48),
    "Myyrmäki": ("01600", 0.90, 0.94, 0.97),
}


@pytest.mark.parametrize(("language", "percent", "comma"), [("en", "%", "."), ("fi", " %", ",")])
def test_every_district_is_said_with_the_shares_of_the_table(
    paavo: Evaluation, language: str, percent: str, comma: str
) -> None:
    texts = Texts(language)
    (table,) = dilution_table(paavo, texts)
    rows = {row[0]: [cell.replace("\N{NO-BREAK SPACE}", " ") for cell in row] for row in table.rows}
    assert len(rows) == 6
    for name, (code, part, land, people) in README.items():
        said = plain(area_note(paavo, texts, code)).replace("\N{NO-BREAK SPACE}", " ")
        numbers = [
            f"{100 * part:.0f}{percent}",
            f"{100 * land:.0f}{percent}",
            f"{100 * people:.0f}{percent}",
            f"{people:.2f}".replace(".", comma),
        ]
        assert name in said
        assert f"({code})" in said
        for number in numbers:
            assert re.search(rf"(?<!\d){re.escape(number)}(?!\d)", said), (name, number, said)
        assert [rows[name][2], rows[name][3], rows[name][4], rows[name][6]] == numbers
        assert rows[name][1].endswith(f"({code})")


def test_what_else_an_area_holds_is_said(paavo: Evaluation) -> None:
    texts = Texts("en")
    for code, words in (
        ("01200", "Other people of the area live in: Länsimäki (6%)."),
        (
            "01280",
            "Other parts of the district lie in: an area outside the study, 00970 (15%) and Hakunila (15%).",
        ),
        ("01600", "Few other people live in the area."),
    ):
        assert words in plain(area_note(paavo, texts, code))
    # Rajakylä: 3860 x 0.990 of 7681; Vaarala's 2 % are not named.
    assert "Other people of the area live in: Rajakylä (50%)." in plain(area_note(paavo, texts, "01280"))


def test_the_factor_names_its_year_and_assumption_and_the_unit_it_holds_for(paavo: Evaluation) -> None:
    said = plain(area_note(paavo, Texts("en"), "01200"))
    assert (
        "An effect on a rate in the district alone would show in the figures of the area at about 0.84"
        in said
    )
    assert "1 percentage point would show as about 0.84 points" in said
    assert "does not hold for indicators that are no rates (Median income of residents)" in said
    for note in (said, dilution_table(paavo, Texts("en"))[0].note):
        assert "all residents in 2010 (Aluesarjat, C02S_VAN_Vakiluku1971)" in note
        assert "taken to live evenly on its land" in note
        assert "Where only shares of land are known" not in note
    assert "16% is the district; this share says nothing about the dilution" in said
    assert "0.16" not in said


def test_the_city_report_says_the_range_and_names_districts(paavo: Evaluation) -> None:
    texts = Texts("en")
    summary = plain(area_note(paavo, texts))
    assert "between about 48% and 98%" in summary  # Länsimäki and Mikkola, Martinlaakso
    assert "all residents in 2010" in summary
    assert "Havukoski" in plain(programme_section(paavo, texts).html)
    assert "Koivukylä" not in plain(programme_section(paavo, texts).html)
    assert treated_name(paavo, "01360", texts) == "Havukoski"


def test_only_districts_of_waves_that_have_begun_are_said(paavo: Evaluation) -> None:
    before = cast("Evaluation", SimpleNamespace(study=paavo.study, year=2022))
    (table,) = dilution_table(before, Texts("en"))
    assert {row[0] for row in table.rows} == {*README, "Martinlaakso"} - {"Myyrmäki"}
    assert area_note(before, Texts("en"), "01600") == ""


def test_a_study_of_its_own_districts_says_nothing_of_dilution(example: Study) -> None:
    own = cast("Evaluation", SimpleNamespace(study=example, year=2024))
    for language in ("fi", "sv", "en"):
        assert dilution_table(own, Texts(language)) == []
        assert area_note(own, Texts(language)) == area_note(own, Texts(language), "09294") == ""
    assert treated_name(own, "09294", Texts("en")) == "Hakunila"


def test_shares_of_land_give_no_factor(diluted_example: Callable[[str, str], Path]) -> None:
    folder = diluted_example("K1,Kylä,,09294,0.8,0.31\nK2,Ranta,,09274,1,0.92\n", '["Kylä", "Ranta"]')
    study = cast("Evaluation", SimpleNamespace(study=read_study(folder), year=2021))
    for language, unknown, digits in (("en", "not known", "0.31"), ("fi", "ei tunneta", "0,31")):
        texts = Texts(language)
        note = plain(area_note(study, texts, "09294"))
        city = plain(area_note(study, texts))
        (table,) = dilution_table(study, texts)
        assert unknown in note
        assert digits not in note
        assert "31" in note  # the share of land is there as information
        assert "31" not in city
        assert "Kylä" in city
        assert [row[4] for row in table.rows] == [row[6] for row in table.rows] == [unknown] * 2
        assert "2010" not in f"{note} {city} {table.note}"
    assert "because only shares of land are known" in plain(area_note(study, Texts("en"), "09294"))


def test_people_that_were_counted_need_no_assumption(diluted_example: Callable[[str, str], Path]) -> None:
    folder = diluted_example("K1,Kylä,,09294,0.8,0.3\n", '["Kylä"]')
    written(folder, BY + "K1,<b>Kylä</b>,,09294,0.8,0.3,population,2019,<i>Grid</i>,\n")
    toml = folder / "study.toml"
    toml.write_text(toml.read_text(encoding="utf-8").replace('["Kylä"]', '["K1"]'), encoding="utf-8")
    study = cast("Evaluation", SimpleNamespace(study=read_study(folder), year=2021))
    note = area_note(study, Texts("en"), "09294")
    assert "80% of the people of the district live in this area" in note
    assert "about 0.30 times its size" in note
    assert "The shares of people are for all residents in 2019 (&lt;i&gt;Grid&lt;/i&gt;)." in note
    assert "evenly" not in note
    assert "land" not in note
    assert "&lt;b&gt;Kylä&lt;/b&gt;" in note  # names from a file are no markup
    assert "<b>" not in note
