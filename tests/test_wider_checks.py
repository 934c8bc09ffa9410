"""Checks that look beyond the city's own areas and figures: other cities, new dwellings, neighbours."""

from __future__ import annotations

import csv
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from altered_cases import AFTER, AREAS, BOTH, CHOSEN, TREATED, UNITS, YEARS, Build, city, heard

from mekeval import Panel, build_panel, example_study, placebo_cities, read_study
from mekeval.design import Rule
from mekeval.sensitivity import City, CityQuestion, Surroundings, answer, city_checks_of
from mekeval.sensitivity.altered import comparison_changed
from mekeval.sensitivity.compare_cities import city_estimates
from mekeval.sensitivity.quiet import housing

PAAVO = Path(__file__).parents[1] / "data" / "vantaa-mek-paavo"
ABROAD = tuple(f"x{at:02}" for at in range(25))


def national(question: CityQuestion, drift: float) -> Panel:
    """The panel of a question and areas of other cities, which fell by `drift` from the start on."""
    rng = np.random.default_rng(12)
    values = 40 + rng.normal(0, 0.1, (len(ABROAD), len(YEARS))) - drift * AFTER
    own = question.panel
    return Panel(
        units=(*own.units, *ABROAD),
        periods=own.periods,
        values={"y": np.vstack([own.values["y"], values])},
        bases={"y": np.vstack([own.bases["y"], np.full(values.shape, 1000.0)])},
        reasons={"y": np.full((len(own.units) + len(ABROAD), len(YEARS)), "ok")},
    )


@pytest.mark.parametrize(("drift", "passed", "reason"), [(0.0, True, "steady"), (4.0, False, "hangs_on_one")])
def test_against_the_areas_of_other_cities(drift: float, passed: bool, reason: str) -> None:
    question = city()
    panel = national(question, drift)
    found = comparison_changed(question, answer(question), elsewhere=panel, others=ABROAD)
    heard(found, passed, reason)
    values = panel.values["y"]
    change = values[:, AFTER == 1].mean(axis=1) - values[:, AFTER == 0].mean(axis=1)
    treated = [panel.units.index(unit) for unit in TREATED]
    by_hand = change[treated].mean() - change[len(UNITS) :].mean()
    assert found.table["comparison"].tolist() == ["other_cities"]
    assert found.table["estimate"][0] == pytest.approx(by_hand, abs=1e-12)
    assert found.facts["variant"] == "other_cities"


def test_other_cities_that_cannot_be_asked() -> None:
    question = city()
    whole, panel = answer(question), national(question, 0.0)
    heard(comparison_changed(question, whole, elsewhere=panel), None, "unknown")
    without = replace(panel, values={}, bases={}, reasons={})
    heard(comparison_changed(question, whole, elsewhere=without, others=ABROAD), None, "error")
    parent = dict.fromkeys((*TREATED, *UNITS[3:12]), "north")
    mixed = comparison_changed(question, whole, parent=parent, elsewhere=without, others=ABROAD)
    heard(mixed, None, "not_all_answered")
    assert mixed.facts["variant"] == "other_cities"


def dwellings_of(units: tuple[str, ...], treated: tuple[str, ...], growth: float) -> np.ndarray:
    """Five hundred dwellings in each area; those of the treated grow by a share from the start on."""
    counts = 500 * np.exp(np.random.default_rng(6).normal(0, 0.002, (len(units), len(YEARS))))
    counts[[units.index(unit) for unit in treated]] *= 1 + growth * AFTER
    counts[:, 0] = np.nan
    return counts


@BOTH
@pytest.mark.parametrize(
    ("growth", "passed", "reason"),
    [(0.1, True, "too_few_newcomers"), (2.0, False, "people_moved"), (np.nan, None, "no_years")],
)
def test_new_dwellings(build: Build, growth: float, passed: bool | None, reason: str) -> None:
    question = build()
    units, treated = (UNITS, TREATED) if isinstance(question, CityQuestion) else (AREAS, CHOSEN)
    counts = dwellings_of(units, treated, growth)
    if np.isnan(growth):
        counts[:, AFTER == 1] = np.nan
    found = heard(housing(question, answer(question), counts), passed, reason)
    if reason == "no_years":
        return
    assert found.facts["growth"] == pytest.approx(100 * growth, rel=0.03)
    assert (found.facts["first"], found.facts["last"]) == (2011, 2019)
    # A change of 5 (within noise) by newcomers who are at most so large a share: needed x most = 100 x the result.
    assert float(found.facts["needed"]) * float(found.facts["most"]) == pytest.approx(500, rel=0.05)


def test_what_a_study_knows_besides_is_asked_too() -> None:
    question = city()
    panel = question.panel
    counts = dwellings_of(UNITS, TREATED, 0.1)
    with_counts = replace(question, panel=replace(panel, values={**panel.values, "dwellings": counts}))
    about = Surroundings(elsewhere=national(question, 0.0), others=ABROAD)
    checks = city_checks_of(with_counts, answer(with_counts), about)
    names = [check.name for check in checks]
    assert names[names.index("composition") + 1] == "housing"
    pools = checks[names.index("comparison_changed")].table["comparison"].tolist()
    assert "other_cities" in pools


def test_all_cities_at_once_are_each_city_by_itself() -> None:
    rng = np.random.default_rng(31)
    cities = []
    for at, n in enumerate((7, 12, 30, 9)):
        people = 3000 * np.exp(rng.normal(0, 0.5, n)) if at < 3 else np.full(n, 2000.0)
        chosen = np.zeros(n, dtype=bool)
        chosen[rng.choice(n, size=1 + at, replace=False)] = True
        cities.append(
            City(
                name=f"{at}",
                change=rng.normal(1, 2, n),
                level=rng.normal(15, 3, n),
                population=people,
                chosen=chosen,
                areas=tuple(f"{at}-{one}" for one in range(n)),
            )
        )
    a, b = 0.4, 900.0
    table = city_estimates(cities, (a, b))
    for at, one in enumerate(cities):
        v = a + b / one.population
        terms = np.column_stack([np.ones(len(v)), np.log(one.population)])
        rest, k = ~one.chosen, int(one.chosen.sum())
        root = 1 / np.sqrt(v[rest])
        inverse = np.linalg.pinv(terms[rest] * root[:, None])
        left = one.change - terms @ (inverse @ (one.change[rest] * root))
        leverage = terms[one.chosen].mean(axis=0) @ inverse * root
        phi = (np.sum(left[rest] ** 2 / v[rest]) + 10) / (rest.sum() - 2 + 10)
        expected = {
            "estimate": left[one.chosen].mean(),
            "phi": phi,
            "s2": phi * (v[one.chosen].sum() / k**2 + np.sum(leverage**2 * v[rest])),
            "gap": one.level[one.chosen].mean() - np.average(one.level[rest], weights=1 / v[rest]),
            "population": one.population.sum(),
        }
        for name, value in expected.items():
            assert table[name][at] == pytest.approx(value, rel=1e-9), (at, name)
        assert (table["n_areas"][at], table["n_chosen"][at]) == (len(v), k)
        assert table["areas"][at] == tuple(np.array(one.areas)[one.chosen])


def test_a_city_with_fewer_areas_than_counterparts_is_left_out() -> None:
    rates = {"a": 20, "b": 7, "c": 20}  # in b one is chosen, and eight more would have to stand aside
    frame = [
        {"area": f"{name}{at:02}", "year": year, "rate": 10.0 + at, "people": 2000.0}
        for name, n in rates.items()
        for at in range(n)
        for year in (2013, 2014)
    ]
    panel = build_panel(pd.DataFrame(frame), outcome=["rate", "people"])
    found = placebo_cities(
        panel,
        Rule(criteria={"rate": 2013}, choose=1),
        outcome="rate",
        pre=(2013,),
        post=(2014,),
        city_of={unit: unit[0] for unit in panel.units},
        target="a",
        treated=["a19"],
        population="people",
        set_aside=[f"a{at:02}" for at in range(10, 18)],
    )
    assert [one.name for one in found.references] == ["c"]
    assert found.left_out[["city", "reason"]].to_numpy().tolist() == [["b", "too_few_areas"]]


def test_neighbours_of_the_example_are_tiles_side_by_side() -> None:
    study = read_study(example_study())
    with (Path(example_study()) / "areas.csv").open(encoding="utf-8", newline="") as stream:
        places = {
            row["code"]: (int(row["tile_row"]), int(row["tile_col"]))
            for row in csv.DictReader(stream)
            if row["tile_row"]
        }
    for code, (row, column) in places.items():
        beside = {other for other, (up, right) in places.items() if abs(up - row) + abs(right - column) == 1}
        assert set(study.neighbours.get(code, ())) == beside


def test_neighbours_of_the_postal_areas_come_from_their_boundaries(raw: Path, tmp_path: Path) -> None:
    pytest.importorskip("shapely")
    for name in ("make_neighbours.py", "areas.csv"):
        shutil.copy(PAAVO / name, tmp_path)
    script = tmp_path / "make_neighbours.py"
    subprocess.run([sys.executable, str(script), str(raw)], check=True, capture_output=True)
    text = (tmp_path / "neighbours.csv").read_text("utf-8")
    assert text == (PAAVO / "neighbours.csv").read_text("utf-8")
    assert "\n01200,01280," in text  # Hakunila and Länsimäki
    assert "01200,01600," not in text  # Hakunila and Myyrmäki, at the two ends of the city
