"""Flags: jumps of level, changes of unit and typing errors are found, and quiet series stay quiet."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mekeval.indicators import (
    Indicators,
    clean_indicators,
    failures_table,
    level_breaks,
    outliers,
    unit_breaks,
)
from mekeval.sources import read_source
from mekeval.store import Store, filling
from mekeval.study import read_study

YEARS = range(2010, 2022)
ROOT = Path(__file__).parents[1]


def _table(
    values: np.ndarray, *, years: range | list[int] = YEARS, people: float = 5000.0, rate: bool = True
) -> pd.DataFrame:
    """A tidy table of one indicator from areas by years."""
    n_areas, n_years = values.shape
    value = values.reshape(-1)
    return pd.DataFrame(
        {
            "area": np.repeat([f"a{number:02}" for number in range(n_areas)], n_years),
            "year": np.tile(list(years), n_areas),
            "indicator": "x",
            "value": value,
            "numerator": value * people / 100 if rate else np.nan,
            "denominator": people,
            "status": "ok",
            "source": "a.csv",
            "vintage": 2022,
        }
    )


def _quiet(seed: int, *, areas: int = 30, noise: float = 0.4, years: int = 12) -> np.ndarray:
    """Rates around 20 with a drift of -0.2 a year, common shocks and noise of their own."""
    draws = np.random.default_rng(seed)
    level = 20 + 4 * draws.standard_normal((areas, 1))
    common = np.cumsum(-0.2 + 0.15 * draws.standard_normal(years))
    return np.asarray(level + common + noise * draws.standard_normal((areas, years)))


# --- level breaks


@pytest.mark.parametrize("size", [-2.5, 2.5])
def test_a_jump_of_all_areas_is_found_at_its_year_with_its_size(size: float) -> None:
    values = _quiet(1)
    values[:, 6:] += size
    (found,) = level_breaks(_table(values)).to_dict("records")
    assert (found["year_before"], found["year"], found["areas"]) == (2015, 2016, 30)
    # by hand: the median over areas of the change between the two years
    assert found["change"] == pytest.approx(np.median(values[:, 6] - values[:, 5]))
    assert np.sign(found["score"]) == np.sign(size)


def test_quiet_series_rarely_cry() -> None:
    cried = [len(level_breaks(_table(_quiet(seed)))) for seed in range(60)]
    assert sum(cried) <= 0.01 * 60 * 11  # one step in a hundred, of 60 series with 11 steps each


def test_a_gap_of_years_may_drift_for_as_long() -> None:
    years = [2010, 2011, 2012, 2013, 2014, 2015, 2020, 2021]
    drift = np.array(years) - 2010
    values = _quiet(3, years=8, noise=0.3)
    table = _table(values - 0.8 * drift, years=years)
    assert level_breaks(table).empty  # four points in five years, and 0.8 in every other
    values[:, 6:] -= 3
    (found,) = level_breaks(_table(values - 0.8 * drift, years=years)).to_dict("records")
    assert (found["year_before"], found["year"]) == (2015, 2020)


def test_a_jump_of_a_few_areas_is_no_break_of_level() -> None:
    values = _quiet(4)
    values[:10, 6:] += 6
    assert level_breaks(_table(values)).empty


def test_breaks_do_not_depend_on_the_order_of_rows_and_levels_are_not_mixed() -> None:
    values = _quiet(5)
    values[:15, 6:] += 3
    table = _table(values)
    levels = {area: "north" if area < "a15" else "south" for area in table["area"].unique()}
    shuffled = table.sample(frac=1, random_state=1)
    found = level_breaks(table, levels=levels)
    pd.testing.assert_frame_equal(found, level_breaks(shuffled, levels=levels))
    assert found["areas"].tolist() == [15]
    assert level_breaks(table).empty


def test_quantities_are_compared_by_ratios() -> None:
    values = 30_000 * np.exp(_quiet(6) / 100)
    values[:, 6:] *= 1.2
    (found,) = level_breaks(_table(values, rate=False)).to_dict("records")
    assert found["scale"] == "percent"
    assert found["change"] == pytest.approx(20, abs=0.6)


# --- units


@pytest.mark.parametrize("ratio", [0.001, 0.01, 10, 1000])
def test_a_change_of_unit_is_found_with_its_ratio(ratio: float) -> None:
    values = _quiet(7)
    values[:, 8:] *= ratio
    (found,) = unit_breaks(_table(values, rate=False)).to_dict("records")
    assert (found["year"], found["areas"], found["area"]) == (2018, 30, "")
    assert found["ratio"] == pytest.approx(ratio, rel=0.1)


def test_a_file_in_another_unit_is_found_on_the_way_in_and_out() -> None:
    values = 30_000 * np.exp(_quiet(8) / 100)
    values[:, 4] /= 1000
    table = _table(values, rate=False)
    table.loc[table["year"] == 2014, "source"] = "b.csv"
    found = unit_breaks(table)
    assert found[["source_before", "source"]].to_numpy().tolist() == [["a.csv", "b.csv"], ["b.csv", "a.csv"]]


def test_one_area_in_another_unit_is_named_and_doubling_is_no_unit() -> None:
    values = 30_000 * np.exp(np.full((30, 12), 0.02).cumsum(axis=1))
    values[3, 8:] /= 1000
    values[4, 8:] *= 2
    (found,) = unit_breaks(_table(values, rate=False)).to_dict("records")
    assert (found["area"], found["year"]) == ("a03", 2018)
    assert found["ratio"] == pytest.approx(0.001, rel=0.05)  # and one year's growth


# --- outliers


def test_a_typing_error_is_found_and_its_neighbours_are_not() -> None:
    values = _quiet(9)
    expected = (values[7, 4] + values[7, 6]) / 2
    values[7, 5] *= 2.5
    table = _table(values)
    found = outliers(table)
    assert found[["area", "year"]].to_numpy().tolist() == [["a07", 2015]]
    assert found["expected"].iloc[0] == pytest.approx(expected, abs=1.5)
    assert found.index.tolist() == table.index[(table["area"] == "a07") & (table["year"] == 2015)].tolist()


def test_an_error_in_the_last_year_is_found_too() -> None:
    values = _quiet(10)
    values[2, -1] *= 3
    assert outliers(_table(values))[["area", "year"]].to_numpy().tolist() == [["a02", 2021]]


def test_small_areas_may_move_more() -> None:
    draws = np.random.default_rng(11)
    people = np.where(np.arange(40) < 20, 10_000.0, 60.0)
    counts = draws.binomial(people.astype(int)[:, None], 0.2, size=(40, 12))
    table = _table(100 * counts / people[:, None])
    table["denominator"] = np.repeat(people, 12)
    table["numerator"] = counts.reshape(-1).astype(float)
    assert outliers(table).empty
    small = np.abs(np.diff(table["value"].to_numpy().reshape(40, 12), axis=1))[20:].max()
    at = (table["area"] == "a03") & (table["year"] == 2015)
    table.loc[at, ["value", "numerator"]] += [
        small,
        100 * small,
    ]  # as far as a small area went, in a large one
    assert outliers(table)[["area", "year"]].to_numpy().tolist() == [["a03", 2015]]


def test_a_year_that_moves_everybody_is_no_outlier() -> None:
    values = _quiet(12)
    values[:, 6] += 5
    assert outliers(_table(values)).empty


def test_flags_change_nothing_and_take_what_has_nothing_in_it() -> None:
    table = _table(_quiet(13))
    before = table.copy()
    for flag in (level_breaks, unit_breaks, outliers):
        flag(table)
        assert flag(table.iloc[:0]).empty
        assert flag(table.assign(status="suppressed")).empty
        assert flag(table.loc[table["area"] == "a01"]).empty
    pd.testing.assert_frame_equal(table, before)


# --- real data


@pytest.fixture(scope="module")
def vantaa(raw: Path, evaluations: Store) -> Indicators:
    with filling(evaluations):
        return clean_indicators(read_study(ROOT / "data" / "vantaa-mek-paavo", raw=raw))


def test_the_break_of_basic_education_in_vantaa_between_2017_and_2019(vantaa: Indicators, raw: Path) -> None:
    # Of 2019 a release made into an R table has adults by income class and those with education after basic school:
    # the rest is basic education (README of the raw data). There is no other source of that year.
    study = read_study(ROOT / "data" / "vantaa-mek-paavo", raw=raw)
    number = next(at for at, path in enumerate(study.paths) if path.suffix == ".RData")
    source = study.spec.source[number].model_copy(
        update={"items": ("low", "middle", "high", "educated"), "years": {}, "year": 2019}
    )
    labels = {
        "low": ["low_income"],
        "middle": ["mid_income"],
        "high": ["hi_income"],
        "educated": ["educated"],
    }
    cells = read_source(study.paths[number], source, labels).cells
    wide = cells.astype({"area_label": str}).pivot_table(
        index="area_label", columns="item", values="value", observed=True
    )
    wide = wide.reindex([unit for unit in study.areas.units if unit in wide.index])
    adults = wide["low"] + wide["middle"] + wide["high"]
    basic = adults - wide["educated"]
    added = pd.DataFrame(
        {
            "area": wide.index,
            "year": 2019,
            "indicator": "basic_education",
            "value": (100 * basic / adults).to_numpy(),
            "numerator": basic.to_numpy(),
            "denominator": adults.to_numpy(),
            "status": np.where(adults >= 30, "ok", "confidential"),
            "source": source.file,
            "vintage": 2021,
        }
    )
    own = vantaa.table[vantaa.table["indicator"] == "basic_education"]
    (found,) = level_breaks(pd.concat([own, added], ignore_index=True)).to_dict("records")
    assert (found["year_before"], found["year"]) == (2017, 2019)
    assert -4 < found["change"] < -1.5  # the median of the areas; 19 of 36 are in this range
    assert found["share"] > 0.9


def test_what_is_flagged_in_vantaa_as_it_is(vantaa: Indicators) -> None:
    flagged = vantaa.log[vantaa.log["rule"].isin(["level_break", "unit_break", "outlier"])]
    # The pandemic years are not in these files; unemployment turned round between 2016 and 2018.
    assert flagged[["rule", "subject", "year"]].to_numpy().tolist() == [
        ["level_break", "unemployment_rate", 2018]
    ]


def test_a_planted_typing_error_in_real_data_is_found_with_its_cell(raw: Path, vantaa: Indicators) -> None:
    table = vantaa.table.copy()
    at = (table["area"] == "01360") & (table["year"] == 2014) & (table["indicator"] == "median_income")
    before = table.loc[at, "value"].iloc[0]
    assert outliers(table).empty
    for wrong in (before * 10, before + 10_000):
        table.loc[at, "value"] = wrong
        found = outliers(table)
        assert found[["area", "year", "indicator"]].to_numpy().tolist() == [["01360", 2014, "median_income"]]
        assert found["expected"].iloc[0] == pytest.approx(before, rel=0.05)


def test_flags_are_failures_with_their_numbers(vantaa: Indicators) -> None:
    (row,) = failures_table(vantaa).to_dict("records")
    assert (row["rule"], row["subject"], row["year"]) == ("level_break", "unemployment_rate", 2018)
    assert "from 2016 to 2018 in 36 areas" in row["value"]
    assert row["expected"].startswith("about +")
