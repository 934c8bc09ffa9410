"""Register microdata: figures against pandas, disclosure by hand, and nothing of a person in a table or an error.

All persons here are made up from a seed.
"""

from __future__ import annotations

import contextlib
import gzip
import itertools
import operator
import os
import sys
import threading
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest
from filelock import FileLock

import mekeval.register
from mekeval import DataError
from mekeval.register import Condition, RegisterMeasure, aggregate_register
from mekeval.register.engine import engine, run
from mekeval.register.measures import Kind

SECRET = "010101-123A"
KEYS = {"area": "area", "year": "year", "vintage": 2024}
COUNT = RegisterMeasure(name="persons", kind="count")
MEAN = RegisterMeasure(name="income", kind="mean", column="income")
WORKING = (Condition(column="age", operator=">=", value=30), Condition(column="age", operator="<", value=65))
JOBLESS = (Condition(column="jobless", operator="==", value=True),)
SEVERAL = [
    COUNT,
    MEAN,
    RegisterMeasure(
        name="women", kind="count", condition=(Condition(column="sex", operator="==", value="f"),)
    ),
    RegisterMeasure(name="jobless", kind="share", condition=JOBLESS, among=WORKING),
    RegisterMeasure(name="middle", kind="median", column="income", among=WORKING),
    RegisterMeasure(name="lowest", kind="decile_share", column="income", deciles=(1, 2)),
    RegisterMeasure(name="moved", kind="movers", among=WORKING),
]


def people(*, seed: int = 1, persons: int = 6000, areas: int = 8) -> pd.DataFrame:
    """Person-years 2019-2021 with gaps: no area, no income, unknown work, some absent in a year."""
    random = np.random.default_rng(seed)
    home = random.integers(areas, size=persons)
    parts = []
    for year in (2019, 2020, 2021):
        home = np.where(random.random(persons) < 0.2, random.integers(areas, size=persons), home)
        frame = pd.DataFrame(
            {
                "id": np.arange(persons),
                "year": year,
                "area": [f"0{1360 + one}" for one in home],
                "age": random.integers(0, 95, size=persons),
                "sex": random.choice(["f", "m"], size=persons),
                "income": np.round(random.lognormal(10, 0.6, size=persons), 2),
                "jobless": pd.array(random.random(persons) < 0.3, dtype="boolean"),
            }
        )
        frame.loc[random.random(persons) < 0.05, "area"] = None
        frame.loc[random.random(persons) < 0.05, "income"] = np.nan
        frame.loc[random.random(persons) < 0.05, "jobless"] = pd.NA
        parts.append(frame.loc[random.random(persons) < 0.95])
    return pd.concat(parts, ignore_index=True)


def write(frame: pd.DataFrame, path: Path) -> Path:
    with duckdb.connect() as con:
        texts = frame.select_dtypes(["object", "string"]).columns
        con.register("frame", frame.astype(dict.fromkeys(texts, object)))
        con.execute(f"COPY (SELECT * FROM frame) TO '{path}'")
    return path


def cells_of(
    tmp_path: Path, frame: pd.DataFrame, measures: list[RegisterMeasure], **more: object
) -> pd.DataFrame:
    arguments = {**KEYS, "minimum_count": 5, **more}
    return aggregate_register(write(frame, tmp_path / "people.parquet"), measures=measures, **arguments)  # type: ignore[arg-type]


def one_year(areas: dict[str, list[float]]) -> pd.DataFrame:
    """Persons of one year: for each area the values of `x`."""
    rows = [(area, 2020, x) for area, values in areas.items() for x in values]
    return pd.DataFrame(rows, columns=["area", "year", "x"])


def status(table: pd.DataFrame, indicator: str) -> dict[str, str]:
    part = table.loc[table["indicator"] == indicator]
    return dict(zip(part["area"], part["status"], strict=True))


def in_pandas(frame: pd.DataFrame) -> dict[tuple[str, str, int], tuple[float, float]]:
    """(value, denominator) of `SEVERAL`, person by person with pandas and plain ranks."""
    result: dict[tuple[str, str, int], tuple[float, float]] = {}
    for year, everybody in frame.groupby("year"):
        ordered = np.sort(everybody["income"].dropna().to_numpy())
        bound = ordered[-(-2 * len(ordered) // 10) - 1]  # the ceiling of 2 n / 10, as a rank
        before = frame.loc[frame["year"] == year - 1].set_index("id")["area"].dropna()
        for area, cell in everybody.groupby("area"):
            work = cell.loc[(cell["age"] >= 30) & (cell["age"] < 65)]
            known = work.dropna(subset="jobless")
            income = cell["income"].dropna()
            stayed = work.loc[work["id"].isin(before.index)]
            moved = (before.reindex(stayed["id"]).to_numpy() != stayed["area"].to_numpy()).sum()
            figures = {
                "persons": (len(cell), len(cell)),
                "income": (income.mean(), len(income)),
                "women": ((cell["sex"] == "f").sum(), len(cell)),
                "jobless": (100 * known["jobless"].astype(float).mean(), len(known)),
                "middle": (work["income"].median(), work["income"].notna().sum()),
                "lowest": (100 * (income <= bound).mean(), len(income)),
                "moved": (100 * moved / max(len(stayed), 1), len(stayed)),
            }
            result |= {(name, str(area), int(year)): pair for name, pair in figures.items()}  # type: ignore[call-overload]
    return result


@pytest.mark.parametrize("layout", ["one", "by year", "by half", "csv"])
def test_figures_are_those_of_pandas_by_year(tmp_path: Path, layout: str) -> None:
    frame = people()
    shuffled = frame.sample(frac=1, random_state=3)
    if layout == "one":
        source = [write(shuffled, tmp_path / "a.parquet")]
    elif layout == "csv":
        source = [write(shuffled, tmp_path / "a.csv")]
    else:
        parts = frame.groupby("year" if layout == "by year" else frame.index % 2)
        source = [write(part, tmp_path / f"a{i}.parquet") for i, (_, part) in enumerate(parts)]
    table = aggregate_register(source, measures=SEVERAL, minimum_count=5, person="id", **KEYS)
    expected = in_pandas(frame)
    assert len(table) == len(expected) == 7 * 8 * 3
    for row in table.to_dict("records"):
        value, base = expected[row["indicator"], row["area"], row["year"]]
        if row["indicator"] == "moved" and row["year"] == 2019:
            assert row["status"] == "not_applicable"
            assert np.isnan([row["value"], row["numerator"], row["denominator"]]).all()
            continue
        assert row["status"] == "ok"
        assert row["value"] == pytest.approx(value, rel=1e-9)
        assert row["denominator"] == base
    assert list(table.columns) == [
        "area", "year", "indicator", "value", "numerator", "denominator", "status", "source", "vintage"
    ]  # fmt: skip


def test_source_names_the_files_of_the_year(tmp_path: Path) -> None:
    frame = people(persons=800, areas=2)
    for year, part in frame.groupby("year"):
        write(part, tmp_path / f"people_{year}.parquet")
    table = aggregate_register(
        str(tmp_path / "people_*.parquet"), measures=[COUNT], minimum_count=5, years=[2020, 2021], **KEYS
    )
    assert set(zip(table["year"], table["source"], strict=True)) == {
        (2020, "people_2020.parquet"),
        (2021, "people_2021.parquet"),
    }
    assert set(table["vintage"]) == {2024}


def test_movers_of_one_year_look_at_the_year_before(tmp_path: Path) -> None:
    frame = people()
    moved = [SEVERAL[-1]]
    every = cells_of(tmp_path, frame, moved, person="id")
    alone = cells_of(tmp_path, frame, moved, person="id", years={2020})
    expected = every.loc[every["year"] == 2020].reset_index(drop=True)
    pd.testing.assert_frame_equal(alone, expected)
    without = cells_of(tmp_path, frame.loc[frame["year"] != 2020], moved, person="id")
    assert set(without["status"]) == {"not_applicable"}


def test_deciles_are_ranks_and_never_part_equal_values(tmp_path: Path) -> None:
    # Values with ties. Bound d is the value of rank ceil(d n / 10); decile = 1 + number of bounds below.
    sizes = {1900 + n: n for n in (40, 47, 101, 110, 210)}
    people_of = {year: np.random.default_rng(n).integers(0, 30, size=n) for year, n in sizes.items()}
    frame = pd.concat(
        one_year({"01": values.tolist()}).assign(year=year) for year, values in people_of.items()
    )
    wanted = {"low": (1,), "some": (3, 7), "high": (10,)}
    measures = [
        RegisterMeasure(name=name, kind="decile_share", column="x", deciles=deciles)
        for name, deciles in wanted.items()
    ]
    table = cells_of(tmp_path, frame, measures, minimum_count=3)
    for row in table.to_dict("records"):
        values, n = people_of[row["year"]], sizes[row["year"]]
        bounds = [np.sort(values)[-(-d * n // 10) - 1] for d in range(1, 10)]
        mine = 1 + sum((values > bound).astype(int) for bound in bounds)
        expected = np.isin(mine, wanted[row["indicator"]]).sum()
        if 3 <= expected <= n - 3:
            assert row["numerator"] == expected
        else:
            assert row["status"] == "confidential"
    assert (table["status"] == "ok").sum() > 10


def test_deciles_are_of_the_whole_country_also_of_those_without_an_area(tmp_path: Path) -> None:
    # 50 persons with 1..50 live in 01, 50 with 51..100 have no area: the lowest five tenths end at 50.
    frame = pd.DataFrame({"area": ["01"] * 50 + [None] * 50, "year": 2020, "x": np.arange(1, 101)})
    lowest = RegisterMeasure(name="d", kind="decile_share", column="x", deciles=(1, 2, 3, 4))
    table = cells_of(tmp_path, frame, [lowest])
    assert table["area"].tolist() == ["01"]
    assert table["value"].tolist() == [80.0]


def test_missing_values_by_measure(tmp_path: Path) -> None:
    # Area 01: 10 persons; x is missing for 2 (one NaN), flag for 3.
    frame = pd.DataFrame(
        {
            "area": ["01"] * 20,
            "year": 2020,
            "x": [np.nan, np.nan, *range(1, 19)],
            "flag": pd.array([None] * 3 + [True] * 5 + [False] * 12, dtype="boolean"),
        }
    )
    flagged = Condition(column="flag", operator="==", value=True)
    measures = [
        RegisterMeasure(name="count", kind="count"),
        RegisterMeasure(name="mean", kind="mean", column="x"),
        RegisterMeasure(name="share", kind="share", condition=(flagged,)),
        RegisterMeasure(name="among", kind="mean", column="x", among=(flagged,)),
    ]
    table = cells_of(tmp_path, frame, measures).set_index("indicator")
    # 1..18 have mean 9.5; 5 of 17 known; persons 4 to 8 have x = 2..6, mean 4.
    assert table["value"].tolist() == pytest.approx([20, 9.5, 100 * 5 / 17, 4.0])
    assert table["denominator"].tolist() == [20, 18, 17, 5]


def test_a_year_without_any_value_is_missing(tmp_path: Path) -> None:
    frame = people(persons=900, areas=3)
    frame.loc[frame["year"] == 2020, "income"] = np.nan
    for measure in (MEAN, RegisterMeasure(name="d", kind="decile_share", column="income", deciles=(1,))):
        table = cells_of(tmp_path, frame, [measure])
        assert set(table.loc[table["year"] == 2020, "status"]) == {"missing"}
        assert set(table.loc[table["year"] != 2020, "status"]) == {"ok"}


# Disclosure control, by hand; the threshold is 5.


def test_a_small_area_goes_and_takes_the_smallest_other_along(tmp_path: Path) -> None:
    x = [float(one) for one in range(1, 31)]
    frame = one_year({"01": x[:4], "02": x[:12], "03": x[:11], "04": x})
    measures = [COUNT, RegisterMeasure(name="mean", kind="mean", column="x")]
    table = cells_of(tmp_path, frame, measures)
    expected = {"01": "confidential", "02": "ok", "03": "confidential", "04": "ok"}
    assert status(table, "persons") == status(table, "mean") == expected
    hidden = table.loc[table["status"] == "confidential", ["value", "numerator", "denominator"]]
    assert hidden.isna().all().all()


def test_two_small_areas_with_enough_persons_need_no_third(tmp_path: Path) -> None:
    frame = one_year({"01": [1.0] * 4, "02": [1.0] * 3, "03": [1.0] * 9})
    assert status(cells_of(tmp_path, frame, [COUNT]), "persons")["03"] == "ok"
    frame = one_year({"01": [1.0] * 2, "02": [1.0] * 2, "03": [1.0] * 9, "04": [1.0] * 15})
    assert status(cells_of(tmp_path, frame, [COUNT]), "persons") == {
        "01": "confidential",
        "02": "confidential",
        "03": "confidential",
        "04": "ok",
    }


def test_an_area_that_hides_another_is_hidden_in_all_figures(tmp_path: Path) -> None:
    # 03 hides 01 among the counts. The smallest base of the mean is that of 02; the base of 03 would tell its count.
    x = [float(one) for one in range(1, 41)]
    frame = one_year({"01": x[:3], "02": x[:10] + [np.nan] * 20, "03": x[:20], "04": x})
    table = cells_of(tmp_path, frame, [COUNT, RegisterMeasure(name="mean", kind="mean", column="x")])
    expected = {"01": "confidential", "02": "ok", "03": "confidential", "04": "ok"}
    assert status(table, "persons") == status(table, "mean") == expected


@pytest.mark.parametrize(
    ("ones", "hidden"),
    [
        ({"a": (2, 20), "b": (10, 30), "c": (9, 40)}, "ab"),  # alone, a would follow from the total
        ({"a": (0, 20), "b": (0, 20), "c": (10, 40), "d": (10, 50)}, "abc"),  # a and b together have none
        ({"a": (20, 20), "b": (20, 20), "c": (10, 40), "d": (10, 50)}, "abc"),  # a and b together have all
        ({"a": (4, 20), "b": (3, 20), "c": (10, 40), "d": (10, 50)}, "ab"),  # 7 and 33 of 40: two groups
    ],
)
def test_what_a_national_total_would_give_away(
    tmp_path: Path, ones: dict[str, tuple[int, int]], hidden: str
) -> None:
    frame = one_year({area: [1.0] * k + [0.0] * (n - k) for area, (k, n) in ones.items()})
    met = (Condition(column="x", operator="==", value=1),)
    found = status(cells_of(tmp_path, frame, [RegisterMeasure(name="m", kind="share", condition=met)]), "m")
    assert found == {area: "confidential" if area in hidden else "ok" for area in ones}


@pytest.mark.parametrize("kind", ["share", "count", "mean"])
def test_small_groups_and_their_complements_are_not_shown(tmp_path: Path, kind: Kind) -> None:
    # For each number of ones a year of two areas alike, so that no national total gives one away; 20 persons each.
    frame = pd.concat(
        one_year({area: [1.0] * ones + [0.0] * (20 - ones) for area in ("01", "02")}).assign(year=2000 + ones)
        for ones in range(21)
    )
    met = (Condition(column="x", operator="==", value=1),)
    measure = (
        RegisterMeasure(name="m", kind="mean", column="x")
        if kind == "mean"
        else RegisterMeasure(name="m", kind=kind, condition=met)
    )
    table = cells_of(tmp_path, frame, [measure])
    shown = table["year"].isin(range(2005, 2016))
    assert table["status"].tolist() == ["ok" if one else "confidential" for one in shown]


def test_a_mean_of_two_other_values_is_a_share_too(tmp_path: Path) -> None:
    two = [7.5] * 18 + [9.5] * 2
    three = [7.5] * 18 + [9.5] * 1 + [8.5] * 2  # the same sum above the lowest, but three values
    frame = one_year({"01": two, "02": two, "03": three})
    assert status(cells_of(tmp_path, frame, [RegisterMeasure(name="m", kind="mean", column="x")]), "m") == {
        "01": "confidential",
        "02": "confidential",
        "03": "ok",
    }


def test_a_sum_that_belongs_to_few_is_not_shown(tmp_path: Path) -> None:
    few = [0.0] * 30 + [10.0, 20.0, 30.0, 40.0]
    many = [0.0] * 30 + [10.0, 20.0, 30.0, 40.0, 50.0]
    frame = one_year({"01": few, "02": few, "03": many})
    found = status(cells_of(tmp_path, frame, [RegisterMeasure(name="m", kind="mean", column="x")]), "m")
    assert found == {"01": "confidential", "02": "confidential", "03": "ok"}


def test_a_median_needs_two_groups_and_two_values(tmp_path: Path) -> None:
    frame = one_year({"01": list(range(9)), "02": list(range(9)), "03": list(range(10)), "04": [3] * 40})
    found = status(cells_of(tmp_path, frame, [RegisterMeasure(name="m", kind="median", column="x")]), "m")
    assert found == {"01": "confidential", "02": "confidential", "03": "ok", "04": "confidential"}


def test_those_left_out_are_a_group_too(tmp_path: Path) -> None:
    # 4 of 40 persons of "4" are under 1, none of "0": the mean of all would give theirs away, or that there are none.
    grown = (Condition(column="x", operator=">=", value=1),)
    frame = one_year({str(few): [0.0] * few + list(range(1, 41 - few)) for few in (0, 4, 5)})
    mean = RegisterMeasure(name="m", kind="mean", column="x", among=grown)
    found = status(cells_of(tmp_path, frame, [mean]), "m")
    assert found == {"0": "confidential", "4": "confidential", "5": "ok"}


def over(age: float, name: str, operator: str = ">=") -> RegisterMeasure:
    return RegisterMeasure(
        name=name, kind="share", condition=(Condition(column="x", operator=operator, value=age),)
    )


@pytest.mark.parametrize(
    ("second", "shown"),
    [
        (over(66, "second"), False),  # 2 persons of 65
        (over(70, "second"), True),  # 10 persons of 65 to 69
        (over(64, "second", "<"), False),  # 2 persons of 64 between the two groups
        (over(65, "second", "<"), True),  # the complement shows nothing new
    ],
)
def test_groups_that_differ_by_few_are_not_both_shown(
    tmp_path: Path, second: RegisterMeasure, shown: bool
) -> None:
    ages = [float(age) for age in range(50, 80) for _ in range(2)]
    frame = one_year({"01": ages, "02": ages})
    table = cells_of(tmp_path, frame, [over(65, "first"), second])
    assert set(status(table, "first").values()) == {"ok"}
    assert set(status(table, "second").values()) == {"ok" if shown else "confidential"}


def test_nothing_small_is_shown_or_follows_from_a_national_total(tmp_path: Path) -> None:
    minimum = 6
    for seed in range(4):
        frame = people(seed=seed, persons=400, areas=25)
        table = cells_of(tmp_path, frame, SEVERAL, person="id", minimum_count=minimum)
        shown = table.loc[table["status"] == "ok"]
        assert 0 < len(shown) < len(table)
        assert (shown["denominator"] >= minimum).all()
        parts = shown.dropna(subset="numerator")
        assert (parts["numerator"] >= minimum).all()
        assert (parts["denominator"] - parts["numerator"] >= minimum).all()
        assert table.loc[table["status"] != "ok", ["value", "numerator", "denominator"]].isna().all().all()
        hidden = table.loc[table["status"] == "confidential"].groupby(["indicator", "year"]).size()
        assert (hidden >= 2).all()
        women = frame.dropna(subset="area").assign(k=frame["sex"] == "f")
        truth = women.groupby(["area", "year"])["k"].agg(["sum", "size"])
        gone = table.loc[(table["indicator"] == "women") & (table["status"] == "confidential")]
        lost = gone.join(truth, on=["area", "year"]).groupby("year")[["sum", "size"]].sum()
        assert (lost["sum"] >= minimum).all()
        assert (lost["size"] - lost["sum"] >= minimum).all()


# Files.


def test_csv_keeps_zeros_and_knows_its_marks(tmp_path: Path) -> None:
    lines = [
        "alue;vuosi;tulo",
        *(f"01360;2020;{one},5" for one in range(20)),
        "01360;2020;-",
        "01360;2020;NA",
    ]
    text = "\N{BYTE ORDER MARK}" + "\r\n".join(lines) + "\r\n"
    plain, packed = tmp_path / "people.csv", tmp_path / "people.csv.gz"
    plain.write_bytes(text.encode())
    packed.write_bytes(gzip.compress(text.encode()))
    measure = [RegisterMeasure(name="m", kind="mean", column="tulo")]
    for path in (plain, packed):
        table = aggregate_register(
            path, area="alue", year="vuosi", measures=measure, minimum_count=5, vintage=2021, decimal=",",
            missing=("-", "NA"),
        )  # fmt: skip
        # 0.5, 1.5, ..., 19.5 have mean 10.
        assert table[["area", "value", "denominator"]].to_numpy().tolist() == [["01360", 10.0, 20.0]]


def test_areas_may_be_numbers_and_years_may_differ_in_type(tmp_path: Path) -> None:
    frame = people(persons=600, areas=2).dropna(subset="area")
    old = frame.loc[frame["year"] == 2019].astype({"year": "int16"})
    new = frame.loc[frame["year"] == 2020].astype({"year": "int64", "id": str})
    files = [write(old, tmp_path / "1.parquet"), write(new, tmp_path / "2.parquet")]
    table = aggregate_register(files, measures=SEVERAL, minimum_count=5, person="id", **KEYS)
    whole = cells_of(tmp_path, frame.loc[frame["year"] < 2021], SEVERAL, person="id")
    pd.testing.assert_frame_equal(table.drop(columns="source"), whole.drop(columns="source"))
    numbers = cells_of(tmp_path, frame.assign(area=frame["area"].astype(int)), [COUNT])
    assert set(numbers["area"]) == {"1360", "1361"}


def test_hostile_names_and_values_are_only_names_and_values(tmp_path: Path) -> None:
    area, x, evil = 'a"; DROP TABLE t; --', "x') FROM y; --", "'; ATTACH 'gone.db'; --"
    frame = pd.DataFrame({area: [evil] * 10 + ["$1 {0} %s"] * 10, "year": 2020, x: ["it's", evil] * 10})
    folder = tmp_path / "it's [1] {x}"
    folder.mkdir()
    path = folder / "peo*ple [2]?'.parquet"
    write(frame, tmp_path / "plain.parquet").rename(path)
    write(frame, tmp_path / "plain.parquet").rename(
        folder / "peoXple 2Z'.parquet"
    )  # what the pattern would match
    measure = RegisterMeasure(
        name=evil, kind="share", condition=(Condition(column=x, operator="in", value=(evil,)),)
    )
    out = folder / "o'ut;.parquet"
    table = aggregate_register(
        path, area=area, year="year", measures=[measure], minimum_count=5, vintage=1, out=out
    )
    assert table[["area", "indicator", "value"]].to_numpy().tolist() == [
        ["$1 {0} %s", evil, 50],
        [evil, evil, 50],
    ]
    assert len(list(tmp_path.iterdir())) == 1
    assert sorted(one.name for one in folder.iterdir()) == [
        "o'ut;.parquet",
        "peo*ple [2]?'.parquet",
        "peoXple 2Z'.parquet",
    ]


def test_a_file_outside_the_folder_a_link_and_a_file_twice_are_refused(tmp_path: Path) -> None:
    inside = tmp_path / "in"
    inside.mkdir()
    path = write(people(persons=300, areas=2), tmp_path / "people.parquet")
    link = inside / "link.parquet"
    link.symlink_to(path)
    for source in (path, link, inside / ".." / "people.parquet"):
        with pytest.raises(DataError, match="outside the folder"):
            aggregate_register(source, measures=[COUNT], minimum_count=5, within=inside, **KEYS)
    with pytest.raises(DataError, match="stands twice"):
        aggregate_register([path, link], measures=[COUNT], minimum_count=5, **KEYS)
    with pytest.raises(DataError, match=r"closest: 'people\.parquet'"):
        aggregate_register(tmp_path / "poeple.parquet", measures=[COUNT], minimum_count=5, **KEYS)
    with pytest.raises(DataError, match="A folder is no file"):
        aggregate_register(inside, measures=[COUNT], minimum_count=5, **KEYS)


# Faults; none tells of a person.


def fault(
    tmp_path: Path, content: str | pd.DataFrame, measures: list[RegisterMeasure], **more: object
) -> str:
    """The text of the error, after a look for the secret in it and in everything that hangs on it."""
    if isinstance(content, str):
        path = tmp_path / "people.csv"
        path.write_text(content, encoding="utf-8")
    else:
        path = write(content, tmp_path / "people.parquet")
    with pytest.raises(DataError) as caught:
        aggregate_register(path, measures=measures, **{**KEYS, "minimum_count": 5, **more})  # type: ignore[arg-type]
    error: BaseException | None = caught.value
    seen = []
    while error is not None:
        seen.append(f"{error} {error.args}")
        assert error.__cause__ is None
        error = error.__context__
    assert SECRET not in " ".join(seen)
    assert "98765" not in " ".join(seen)
    return str(caught.value)


GOOD = "".join(f"01,2020,{one}\n" for one in range(20))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (f"01,2020,{SECRET}\n" + GOOD, "none of the columns"),
        ("area,year,income\n" + GOOD + f"01,2020,{SECRET}\n", "1 rows; what stands there is not shown"),
        ("area,year,income\n" + GOOD + "01,2020,inf\n01,2020,1_0\n", "2 rows"),
        ("area,year,income\n" + GOOD + f"01,{SECRET},5\n", "no year"),
        ("area,year,income\n" + GOOD + "01,9876,5\n", "other numbers"),
        ("area,year,income\n" + GOOD + f"01,2020,5,{SECRET}\n", "cannot be read"),
        ("area,year,income\n" + GOOD + f'01,2020,"{SECRET}\n', "cannot be read"),
        ("area,year,income\n" + GOOD + "01,2020\n" + GOOD, "cannot be read"),
        ("area,year,income\n" + GOOD + f"01,2020,{SECRET * 300_000}\n", "cannot be read"),
        ("area,year,Area,income\n" + GOOD, "one name"),
        ("area,year,incom\n" + GOOD, "closest: 'incom'"),
        ("", "empty"),
        ("area,year,income\n", "no person"),
    ],
)
def test_bad_csv(tmp_path: Path, content: str, says: str) -> None:
    assert says in fault(tmp_path, content, [COUNT, MEAN])


def test_bad_bytes_are_not_quoted(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    for content in (
        b"area,year,income\n" + GOOD.encode() + b"\xe4" + SECRET.encode() + b",2020,5\n",
        b"\0\xff",
    ):
        path.write_bytes(content)
        with pytest.raises(DataError) as caught:
            aggregate_register(path, measures=[COUNT, MEAN], minimum_count=5, **KEYS)
        assert SECRET not in repr((str(caught.value), caught.value.__context__))
    cut = write(people(), tmp_path / "whole.parquet").read_bytes()[:-2000]
    (tmp_path / "cut.parquet").write_bytes(cut)
    with pytest.raises(DataError, match="cannot be read"):
        aggregate_register(tmp_path / "cut.parquet", measures=[COUNT], minimum_count=5, **KEYS)


def test_all_missing_columns_and_wrong_types_at_once(tmp_path: Path) -> None:
    measures = [
        RegisterMeasure(name="a", kind="mean", column="incme"),
        RegisterMeasure(name="b", kind="mean", column="sex"),
        RegisterMeasure(name="c", kind="mean", column="jobless"),
        RegisterMeasure(
            name="d", kind="share", condition=(Condition(column="age", operator="==", value="5"),)
        ),
    ]
    text = fault(tmp_path, people(persons=300), measures)
    assert text.startswith("4 faults:")
    assert "closest: 'income'" in text
    assert "'sex' cannot be read as numbers" in text
    assert "'age' cannot be read as text" in text
    assert "'area' cannot be read" in fault(tmp_path, people(persons=300).assign(area=1.5), [COUNT])


def test_persons_twice_and_areas_of_one_person_are_refused(tmp_path: Path) -> None:
    frame = people(persons=300, areas=2).astype({"id": str})
    frame.loc[0, "id"] = SECRET
    text = fault(tmp_path, pd.concat([frame, frame.iloc[:3]]), [COUNT], person="id")
    assert "3 rows too many" in text
    assert "fewer persons than may be shown" in fault(tmp_path, frame, [COUNT], area="id")
    assert "no such year" in fault(tmp_path, frame, [COUNT], years=[2018])
    infinite = frame.assign(income=np.where(frame.index == 5, np.inf, 1.0))
    assert "finite number" in fault(tmp_path, infinite, [MEAN])


def condition(operator: str, value: object) -> RegisterMeasure:
    return RegisterMeasure(
        name="m",
        kind="share",
        condition=(Condition(column="age", operator=operator, value=value),),  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("measures", "says"),
    [
        ([], "No measure"),
        ([COUNT, COUNT], "one name"),
        ([RegisterMeasure(name="m", kind="sum")], "No such kind"),  # type: ignore[arg-type]
        ([RegisterMeasure(name="m", kind="mean")], "needs `column`"),
        ([RegisterMeasure(name="m", kind="share")], "needs `condition`"),
        (
            [RegisterMeasure(name="m", kind="mean", column="income", condition=JOBLESS)],
            "takes no `condition`",
        ),
        (
            [RegisterMeasure(name="m", kind="decile_share", column="income", deciles=(0, 11))],
            "deciles are wrong",
        ),
        ([RegisterMeasure(name="m", kind="movers")], "Give `person`"),
        ([condition("like", "x")], "No such operator"),
        ([condition("<", "x")], "Only numbers have an order"),
        ([condition("in", 5)], "a tuple"),
        ([condition("==", (5,))], "one value"),
        ([condition("in", (5, "x"))], "several types"),
        ([condition("==", None)], "another type"),
        ([condition("==", float("nan"))], "finite"),
        ([condition("==", 10**400)], "finite"),
        ([condition("==", "a\0b")], "no file can hold"),
    ],
)
def test_bad_measures(tmp_path: Path, measures: list[RegisterMeasure], says: str) -> None:
    assert says in fault(tmp_path, "", measures)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"minimum_count": 2}, "at least 3"),
        ({"minimum_count": True}, "at least 3"),
        ({"threads": 0}, "`threads`"),
        ({"memory_mb": 5}, "`memory_mb`"),
        ({"decimal": ";"}, "`decimal`"),
        ({"missing": "NA"}, "`missing`"),
        ({"years": []}, "`years`"),
        ({"person": "area"}, "not three columns"),
        ({"person": "age"}, "single persons out"),
        ({"area": ""}, "no usable name"),
        ({"area": "a\0"}, "no usable name"),
    ],
)
def test_bad_arguments(tmp_path: Path, more: dict[str, object], says: str) -> None:
    measures = [over(5, "m")] if "person" not in more else [condition(">", 5)]
    assert says in fault(tmp_path, "", measures, **more)


# What is written.


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_the_table_is_written_whole(tmp_path: Path, ending: str) -> None:
    out = tmp_path / f"cells.{ending}"
    table = cells_of(tmp_path, people(persons=300, areas=2), SEVERAL, person="id", out=out)
    with duckdb.connect() as con:
        kind = "read_csv" if ending == "csv" else "read_parquet"
        back = con.execute(
            f"SELECT * FROM {kind}('{out}'{', types={area: VARCHAR}' if ending == 'csv' else ''})"
        ).df()
    assert back["area"].tolist() == table["area"].tolist()
    assert back["value"].to_numpy() == pytest.approx(table["value"].to_numpy(), rel=1e-15, nan_ok=True)
    assert sorted(one.name for one in tmp_path.iterdir()) == sorted([out.name, "people.parquet"])


@pytest.mark.parametrize("cause", [KeyboardInterrupt, OSError])
def test_an_interrupted_run_leaves_the_old_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cause: type[BaseException]
) -> None:
    def half(_: pd.DataFrame, path: Path, **__: object) -> None:
        path.write_text("area,ye", encoding="utf-8")
        raise cause

    out = tmp_path / "cells.csv"
    out.write_text("old", encoding="utf-8")
    monkeypatch.setattr(pd.DataFrame, "to_csv", half)
    with pytest.raises(DataError if cause is OSError else KeyboardInterrupt):
        cells_of(tmp_path, people(persons=300, areas=2), [COUNT], out=out)
    assert out.read_text(encoding="utf-8") == "old"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["cells.csv", "people.parquet"]


def test_the_register_itself_is_never_written_over(tmp_path: Path) -> None:
    frame = people(persons=300, areas=2)
    for out, says in (
        ("people.parquet", "one of the files"),
        ("a.xlsx", "type of `out`"),
        ("no/a.csv", "folder"),
    ):
        assert says in fault(tmp_path, frame, [COUNT], out=tmp_path / out)


def test_nothing_is_spilled_but_where_it_may_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spill, work = tmp_path / "spill", tmp_path / "work"
    spill.mkdir()
    work.mkdir()
    monkeypatch.chdir(work)
    frame = people(persons=300, areas=2)
    plain = cells_of(tmp_path, frame, SEVERAL, person="id")
    pd.testing.assert_frame_equal(
        plain, cells_of(tmp_path, frame, SEVERAL, person="id", spill=spill, threads=1)
    )
    assert not list(work.iterdir())
    assert not list(spill.iterdir())
    assert "cannot be written" in fault(tmp_path, frame, [COUNT], spill=tmp_path / "none")


def test_without_duckdb_the_error_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(people(persons=300, areas=2), tmp_path / "people.parquet")
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(DataError, match=r"mekeval\[register\]"):
        aggregate_register(path, measures=[COUNT], minimum_count=5, **KEYS)


def test_a_comment_mark_is_an_area_and_no_row_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_text("area,year\n" + "#1,2020\n" * 20 + "01,2020\n" * 20, encoding="utf-8")
    table = aggregate_register(path, measures=[COUNT], minimum_count=5, **KEYS)
    assert table[["area", "value"]].to_numpy().tolist() == [["#1", 20], ["01", 20]]


def test_areas_as_text_here_and_as_numbers_there_are_refused(tmp_path: Path) -> None:
    frame = people(persons=300, areas=2).dropna(subset="area")
    files = [write(frame, tmp_path / "1.parquet"), write(frame.astype({"area": int}), tmp_path / "2.parquet")]
    with pytest.raises(DataError, match="would be two areas"):
        aggregate_register(files, measures=[COUNT], minimum_count=5, **KEYS)


# Several figures of one cell, put together.


def asks(column: str, operator: str, value: object, *more: tuple[str, str, object]) -> RegisterMeasure:
    conditions = [(column, operator, value), *more]
    return RegisterMeasure(
        name=str(conditions),
        kind="count",
        condition=tuple(Condition(column=c, operator=o, value=v) for c, o, v in conditions),  # type: ignore[arg-type]
    )


def spread(cells: dict[str, dict[tuple[str, float], int]]) -> pd.DataFrame:
    """Persons of one year: for each area how many there are of (language, age)."""
    rows = [
        (area, 2020, language, age)
        for area, groups in cells.items()
        for (language, age), persons in groups.items()
        for _ in range(persons)
    ]
    return pd.DataFrame(rows, columns=["area", "year", "language", "age"])


def hidden_of(table: pd.DataFrame) -> list[str]:
    """Measures, in their order, with a letter for each area: o shown, c confidential."""
    parts = table.groupby("indicator", sort=False)["status"]
    return ["".join(status[0] for status in part) for _, part in parts]


def test_all_groups_but_one_give_that_one_away(tmp_path: Path) -> None:
    # 40 + 20 + 30 of 92: two speak another language. One of the three that are large enough has to go.
    group = {("fi", 1.0): 40, ("sv", 1.0): 20, ("ru", 1.0): 30, ("so", 1.0): 2}
    frame = spread({"01": group, "02": group})
    three = [asks("language", "==", one) for one in ("fi", "sv", "ru")]
    assert hidden_of(cells_of(tmp_path, frame, three)) == ["oo", "oo", "cc"]
    assert hidden_of(cells_of(tmp_path, frame, [*three, asks("language", "==", "so")])) == [
        "oo",
        "oo",
        "cc",
        "cc",
    ]
    assert hidden_of(cells_of(tmp_path, frame, [asks("language", "==", "so"), *three])) == [
        "cc",
        "oo",
        "oo",
        "cc",
    ]


def test_that_there_is_nobody_follows_only_where_it_was_asked(tmp_path: Path) -> None:
    group = {("fi", 1.0): 40, ("sv", 1.0): 20}
    frame = spread({"01": group, "02": group})
    two = [asks("language", "==", "fi"), asks("language", "==", "sv")]
    assert hidden_of(cells_of(tmp_path, frame, two)) == ["oo", "oo"]
    assert hidden_of(cells_of(tmp_path, frame, [*two, asks("language", "==", "ru")])) == ["oo", "cc", "cc"]


def test_a_group_between_two_bounds_leaves_the_last_one(tmp_path: Path) -> None:
    # Children and people of working age; the two who are older are the rest.
    group = {("fi", 5.0): 30, ("fi", 40.0): 30, ("fi", 70.0): 2}
    frame = spread({"01": group, "02": group})
    measures = [asks("age", "<", 18), asks("age", ">=", 18, ("age", "<", 65))]
    assert hidden_of(cells_of(tmp_path, frame, measures)) == ["oo", "cc"]


def test_all_deciles_but_one_give_that_one_away(tmp_path: Path) -> None:
    # 400 persons with 1..400; the tenth decile of each area has 20 persons but in area 01, where it has 2.
    values = np.arange(1, 401)
    area = np.where(values % 2 == 0, "01", "02").astype(object)
    area[(values > 360) & (values % 2 == 0) & (values < 397)] = "02"
    frame = pd.DataFrame({"area": area, "year": 2020, "x": values})
    measures = [
        RegisterMeasure(name=str(one), kind="decile_share", column="x", deciles=(one,))
        for one in range(1, 11)
    ]
    found = hidden_of(cells_of(tmp_path, frame, measures))
    assert found == ["oo"] * 8 + ["cc", "cc"]


def test_many_groups_of_one_column_leave_no_small_rest(tmp_path: Path) -> None:
    # 20 age groups of 10 persons and 3 who are older: more kinds of persons than are tried in full.
    group = {("fi", 5.0 * at): 10 for at in range(20)} | {("fi", 100.0): 3}
    frame = spread({"01": group, "02": group})
    measures = [asks("age", ">=", 5 * at, ("age", "<", 5 * at + 5)) for at in range(20)]
    assert hidden_of(cells_of(tmp_path, frame, measures)) == ["oo"] * 19 + ["cc"]


@pytest.mark.parametrize("seed", range(6))
def test_no_sum_or_difference_of_what_is_shown_is_a_small_group(tmp_path: Path, seed: int) -> None:
    """Every sum and difference of the figures of a cell, tried out on the persons themselves."""
    random = np.random.default_rng(seed)
    languages, ages = ["fi", "sv", "ru", "so"], [5.0, 20.0, 40.0, 70.0]
    kinds = [(language, age) for language in languages for age in ages]
    cells = {
        f"{area:02}": {kind: int(random.choice([0, 1, 2, 6, 9, 30])) for kind in kinds} for area in range(12)
    }
    possible = [
        *(asks("language", "==", one) for one in languages),
        asks("age", "<", 18),
        asks("age", ">=", 18, ("age", "<", 65)),
        asks("age", ">=", 65),
        asks("language", "in", ("fi", "sv")),
        asks("language", "==", "fi", ("age", "<", 18)),
        asks("language", "!=", "fi", ("age", "<", 65)),
    ]
    measures = [possible[at] for at in random.permutation(len(possible))[:6]]
    table = cells_of(tmp_path, spread(cells), measures)

    def holds(condition: Condition, value: object) -> bool:
        signs = {"==": operator.eq, "!=": operator.ne, "<": operator.lt, ">=": operator.ge}
        if condition.operator == "in":
            return value in condition.value  # type: ignore[operator]
        return bool(signs[condition.operator](value, condition.value))

    every = [(language, age) for language in [*languages, "another"] for age in ages]
    groups = {
        measure.name: np.array(
            [
                all(holds(one, kind[0 if one.column == "language" else 1]) for one in measure.condition)
                for kind in every
            ]
        )
        for measure in measures
    }
    shown = table.loc[table["status"] == "ok"]
    assert len(shown)
    for area, part in shown.groupby("area"):
        persons = np.array([cells[str(area)].get(kind, 0) for kind in every])
        rows = np.array(
            [np.ones(len(every), dtype=bool), *(groups[name] for name in part["indicator"])]
        ).astype(int)
        signs = np.array(list(itertools.product((-1, 0, 1), repeat=len(rows))))
        sums = signs @ rows
        sizes = sums[((sums == 0) | (sums == 1)).all(axis=1)] @ persons
        assert not ((sizes > 0) & (sizes < 5)).any()


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ([100.0, *range(10, 20)], True),  # 100 of 245
        ([150.0, *range(10, 20)], False),  # 150 of 295
        ([-150.0, *range(-19, -9)], False),
        ([150.0, *range(-19, -9)], False),  # 150 of 295 without signs, 5 with them
        ([20.0, -15.0, *range(-19, -9), *range(10, 20)], True),  # 20 of 325, 5 with signs
    ],
)
def test_a_sum_of_which_one_person_has_half_is_not_shown(
    tmp_path: Path, values: list[float], shown: bool
) -> None:
    frame = one_year({area: [float(one) for one in values] for area in ("01", "02")})
    table = cells_of(tmp_path, frame, [RegisterMeasure(name="m", kind="mean", column="x")])
    assert set(table["status"]) == {"ok" if shown else "confidential"}


# Trouble on the way.


def test_numbers_that_cannot_be_added_are_no_mean(tmp_path: Path) -> None:
    frame = one_year({"01": [1e308] * 10 + [9e307] * 10, "02": list(range(20))})
    assert "too large to be added" in fault(
        tmp_path, frame, [RegisterMeasure(name="m", kind="mean", column="x")]
    )


def test_a_file_that_changes_while_it_is_read_is_no_register(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = mekeval.register._cells
    frame = people(persons=300, areas=2)

    def slowly(*arguments: object) -> object:
        result = cells(*arguments)  # type: ignore[arg-type]
        write(frame.iloc[:100], tmp_path / "people.parquet")
        return result

    monkeypatch.setattr("mekeval.register._cells", slowly)
    out = tmp_path / "cells.csv"
    assert "changed while it was read" in fault(tmp_path, frame, [COUNT], out=out)
    assert not out.exists()


def test_a_first_line_that_is_half_a_person_is_not_shown(tmp_path: Path) -> None:
    assert "it may hold a person" in fault(
        tmp_path, f"area,{SECRET},01,2020\n" + "01,a,01,2020\n" * 9, [COUNT]
    )


def test_what_does_not_fit_into_memory_is_spilled_unreadably(tmp_path: Path) -> None:
    seen = []
    with engine(memory_mb=100, threads=1, spill=tmp_path) as con:
        stop = threading.Event()

        def watch() -> None:
            while not stop.wait(0.01):
                for path in tmp_path.rglob("*.tmp"):
                    with contextlib.suppress(OSError):
                        seen.append(path.read_bytes())
                if len(seen) > 3:
                    return

        watcher = threading.Thread(target=watch)
        watcher.start()
        query = f"SELECT count(DISTINCT p) AS n FROM (SELECT '{SECRET}' || range AS p FROM range(1_500_000))"
        assert run(con, query, where="x")["n"].tolist() == [1_500_000]
        stop.set()
        watcher.join()
    assert any(seen)
    if tuple(map(int, duckdb.__version__.split(".")[:2])) >= (1, 4):
        assert not any(SECRET.encode() in content for content in seen)
    assert not list(tmp_path.iterdir())


def test_what_a_killed_call_spilled_is_removed_by_the_next(tmp_path: Path) -> None:
    spill = tmp_path / "spill"
    old, used, fresh, other = (
        spill / f"{name}"
        for name in ("mekeval-register.1", "mekeval-register.2", "mekeval-register.3", "mine")
    )
    for folder in (old, used, fresh, other):
        folder.mkdir(parents=True)
        (folder / "rows.tmp").write_text(SECRET, encoding="utf-8")
        if folder is not fresh:
            os.utime(folder, (1, 1))
    with FileLock(used / "lock"):
        os.utime(used, (1, 1))
        cells_of(tmp_path, people(persons=300, areas=2), [COUNT], spill=spill)
    assert {path.name for path in spill.iterdir()} == {used.name, fresh.name, other.name}
