"""The rule of a study: who is chosen, how clearly, and who would be next; the composite is redone by hand."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pandas as pd
import pytest

from mekeval import DesignError, clean_indicators, example_study, read_study, targeting
from mekeval.choice import Targeting


@pytest.fixture(scope="module")
def found() -> Targeting:
    return targeting(example_study())


@pytest.fixture(scope="module")
def rates() -> pd.DataFrame:
    table = clean_indicators(read_study(example_study())).table
    return table.loc[table["status"] == "ok"]


def _by_hand(rates: pd.DataFrame, years: dict[str, int], people: pd.Series) -> pd.Series:
    """The mean of the standardised criteria over areas with at least 1,000 persons, worst first."""
    units = set(read_study(example_study()).areas.units)
    parts = {
        name: rates[(rates["indicator"] == name) & (rates["year"] == year)].set_index("area")["value"]
        for name, year in years.items()
    }
    frame = pd.DataFrame(parts).dropna()
    frame = frame[frame.index.isin(units)]
    frame = frame[people.reindex(frame.index) >= 1_000]
    return ((frame - frame.mean()) / frame.std()).mean(axis=1).sort_values(ascending=False)


def _people(rates: pd.DataFrame, year: int) -> pd.Series:
    own = rates[(rates["indicator"] == "low_income_rate") & (rates["year"] <= year)]
    return own.sort_values("year").groupby("area")["denominator"].last()


def test_the_ranking_by_hand(found: Targeting, rates: pd.DataFrame) -> None:
    years = {name: int(str(base)) for name, base in found.rule.criteria.items()}
    score = _by_hand(rates, years, _people(rates, years["low_income_rate"]))
    assert found.selection.chosen == tuple(score.index[:4])
    own = found.table.dropna(subset="rank").set_index("area")["score"]
    pd.testing.assert_series_equal(own, score, check_names=False)
    assert found.selection.margin == pytest.approx(score.iloc[3] - score.iloc[4])


def test_the_programme_s_own_areas_are_found_but_for_those_added_by_discretion(found: Targeting) -> None:
    """PROGRAMMES: the four worst off by the criteria are Havukoski, Länsimäki, Hakunila and Mikkola."""
    agreed = found.agreement.set_index("name")
    assert set(agreed.index[agreed["by_rule"]]) == {"Havukoski", "Länsimäki", "Hakunila", "Mikkola"}
    assert set(agreed.index[~agreed["by_rule"]]) == {"Martinlaakso", "Myyrmäki"}
    assert agreed["in_programme"].all()


def test_who_is_next_by_hand(found: Targeting, rates: pd.DataFrame) -> None:
    years = {name: int(rates.loc[rates["indicator"] == name, "year"].max()) for name in found.rule.criteria}
    assert dict(found.next_rule.criteria) == years
    score = _by_hand(rates, years, _people(rates, years["low_income_rate"]))
    assert found.next_selection.chosen == tuple(score.index[:4])
    assert found.next_table.loc[found.next_table["was_chosen"], "area"].isin(found.selection.chosen).all()


def test_alternatives_by_hand(found: Targeting, rates: pd.DataFrame) -> None:
    ways = found.alternatives.set_index("way")
    base = {name: int(str(year)) for name, year in found.rule.criteria.items()}
    people = _people(rates, base["low_income_rate"])
    rest = {name: year for name, year in base.items() if name != "unemployment_rate"}
    alone = {"foreign_language_0_6": base["foreign_language_0_6"]}  # sizes stay those of the low-income year
    early = {**base, "low_income_rate": 2012}
    for way, years, sizes in (
        ("without unemployment_rate", rest, people),
        ("foreign_language_0_6 alone", alone, people),
        ("low_income_rate of 2012", early, _people(rates, 2012)),
    ):
        score = _by_hand(rates, years, sizes)
        row = ways.loc[way]
        assert row["shared"] == len(set(score.index[:4]) & set(found.selection.chosen))
        assert row["margin"] == pytest.approx(score.iloc[3] - score.iloc[4])
    assert {"by ranks", "low_income_rate alone"} <= set(ways.index)
    assert len([way for way in ways.index if " of " in way]) >= 4 * 5
    assert (ways["problem"] == "").all()
    assert not [name for name, year in base.items() if f"{name} of {year}" in ways.index]


def test_a_year_sets_the_limit(found: Targeting) -> None:
    early = targeting(example_study(), year=2022, seed=1)
    assert all(int(str(base)) <= 2022 for base in early.next_rule.criteria.values())
    assert early.selection.chosen == found.selection.chosen
    again = targeting(example_study(), year=2022, seed=1)
    assert early.stability is not None
    assert again.stability is not None
    pd.testing.assert_frame_equal(early.stability.table, again.stability.table)


def test_a_criterion_of_which_more_is_better_counts_the_other_way(
    tmp_path: Path, rates: pd.DataFrame
) -> None:
    """The four lowest median incomes of 2019 of areas with at least 1,000 persons; incomes have no counting error."""
    folder = tmp_path / "study"
    shutil.copytree(example_study(), folder, ignore=shutil.ignore_patterns("plan.lock"))
    text = (folder / "study.toml").read_text("utf-8")
    text = re.sub(r"(?m)^criteria = .*$", "criteria = { median_income = 2019 }", text, count=1)
    (folder / "study.toml").write_text(text, "utf-8")
    poorest = targeting(folder)
    units = set(read_study(folder).areas.units)
    income = rates[(rates["indicator"] == "median_income") & (rates["year"] == 2019)].set_index("area")[
        "value"
    ]
    people = _people(rates, 2019).reindex(income.index)
    lowest = income[(people >= 1_000) & income.index.isin(units)].sort_values().index[:4]
    assert poorest.selection.chosen == tuple(lowest)
    assert poorest.stability is None


def test_a_study_without_a_rule_is_refused() -> None:
    with pytest.raises(DesignError, match="no rule"):
        targeting(Path(__file__).parents[1] / "data" / "indiana-zones")


def test_the_real_proxies_find_the_programme_s_areas(raw: Path) -> None:
    """The six postal areas of the programme are the six worst off of Vantaa by the three proxies of Paavo."""
    real = targeting(Path(__file__).parents[1] / "data" / "vantaa-mek-paavo", raw=raw)
    assert real.agreement["in_programme"].all()
    assert sorted(real.agreement["rank"]) == [1, 2, 3, 4, 5, 6]
    assert real.selection.chosen[:2] == ("01200", "01360")
