"""The rule placebo against the worked example: twelve municipalities, target Vantaa, two areas."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mekeval import DataError, DesignError
from mekeval.sensitivity import City, compare_with_cities
from mekeval.sensitivity.rule_placebo import regression_to_mean

TOLERANCE = 1e-8


@pytest.fixture(scope="module")
def example_file(reference: Path) -> dict:  # type: ignore[type-arg]
    return json.loads((reference / "rule_placebo_example.json").read_text(encoding="utf-8"))


def cities_of(example: dict) -> tuple[City, list[City]]:  # type: ignore[type-arg]
    cities = [
        City(
            name=city["name"],
            change=np.array(city["change"]),
            level=np.array(city["level"]),
            population=np.array(city["population"]),
            chosen=np.isin(city["postal_codes"], city["treated"]),
        )
        for city in example["cities"]
    ]
    target = next(city for city in cities if city.name == example["target"])
    return target, [city for city in cities if city is not target]


def test_the_worked_example(example_file: dict) -> None:  # type: ignore[type-arg]
    target, references = cities_of(example_file)
    model = example_file["variance_model"]
    result = compare_with_cities(target, references, variance=(model["a"], model["b"]))
    expected = example_file["expected"]
    for name, field in (
        ("effect", "effect"),
        ("se", "se"),
        ("bias", "bias"),
        ("p", "p_value"),
        ("low", "low"),
    ):
        assert getattr(result, field) == pytest.approx(expected[name], abs=TOLERANCE)
    assert result.high == pytest.approx(expected["high"], abs=TOLERANCE)
    assert result.rank_p == pytest.approx(expected["rank_p"], abs=TOLERANCE)
    assert result.df == expected["df"]
    for city in example_file["cities"]:
        row = result.cities.set_index("name").loc[city["name"]]
        assert row["estimate"] == pytest.approx(city["expected"]["a"], abs=TOLERANCE)
        assert row["s2"] == pytest.approx(city["expected"]["s2"], abs=TOLERANCE)
        assert row["gap"] == pytest.approx(city["expected"]["gap"], abs=TOLERANCE)
        assert row["phi"] == pytest.approx(city["expected"]["phi"], abs=TOLERANCE)


def test_the_order_of_the_references_does_not_matter(example_file: dict) -> None:  # type: ignore[type-arg]
    target, references = cities_of(example_file)
    first, second = compare_with_cities(target, references), compare_with_cities(target, references[::-1])
    assert (first.effect, first.se, first.rank_p) == pytest.approx((second.effect, second.se, second.rank_p))


def test_every_city_is_judged_as_if_it_were_the_target(example_file: dict) -> None:  # type: ignore[type-arg]
    target, references = cities_of(example_file)
    cities = [target, *references]
    table = compare_with_cities(target, references).cities.set_index("name")
    for at, city in enumerate(cities):
        alone = compare_with_cities(city, [*cities[:at], *cities[at + 1 :]])
        row = table.loc[city.name]
        assert row["effect"] == pytest.approx(alone.effect, abs=1e-10)
        assert row["se"] == pytest.approx(alone.se, abs=1e-10)
        residuals = alone.cities.set_index("name")["residual"]
        assert alone.rank_p == pytest.approx((residuals.abs() >= abs(row["residual"]) - 1e-9).mean())
    assert table["weight"].sum() == pytest.approx(1.0)
    assert table["weight"].iloc[0] == 0.0


def test_bias_and_its_standard_error_by_hand(example_file: dict) -> None:  # type: ignore[type-arg]
    target, references = cities_of(example_file)
    result = compare_with_cities(target, references)
    others = result.cities.iloc[1:]
    precision = 1 / others["variance"]
    spread = (precision * (others["estimate"] - result.bias) ** 2).sum() / result.df
    assert result.bias_se == pytest.approx(np.sqrt(spread / precision.sum()), abs=1e-12)
    own = result.cities["variance"].iloc[0]
    assert result.se == pytest.approx(np.sqrt(spread * own + result.bias_se**2), abs=1e-12)


def test_what_the_rule_alone_predicts_is_the_bias(example_file: dict) -> None:  # type: ignore[type-arg]
    target, references = cities_of(example_file)
    result = compare_with_cities(target, references)
    found = regression_to_mean(target, result)
    assert (found.by_rule, found.by_rule_se, found.n_references) == (result.bias, result.bias_se, 11)
    assert found.change == pytest.approx(result.effect + result.bias, abs=1e-12)
    with pytest.raises(DesignError, match="another city"):
        regression_to_mean(references[0], result)


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.1, float("nan")])
def test_alpha_outside_its_range(example_file: dict, alpha: float) -> None:  # type: ignore[type-arg]
    target, references = cities_of(example_file)
    with pytest.raises(DesignError, match="alpha"):
        compare_with_cities(target, references, alpha=alpha)


def test_cities_that_are_not_whole_are_refused(example_file: dict) -> None:  # type: ignore[type-arg]
    target, references = cities_of(example_file)
    short = replace(target, level=target.level[1:])
    with pytest.raises(DataError, match="different lengths"):
        compare_with_cities(short, references)
    gap = replace(target, change=np.where(target.chosen, np.nan, target.change))
    with pytest.raises(DataError, match="not finite"):
        compare_with_cities(gap, references)
    nobody = replace(references[0], chosen=np.zeros(len(references[0].chosen), dtype=bool))
    with pytest.raises(DesignError, match="too few areas"):
        compare_with_cities(target, [nobody, *references[1:]])


def test_few_cities_are_refused_or_warned_about(example_file: dict) -> None:  # type: ignore[type-arg]
    target, references = cities_of(example_file)
    with pytest.raises(DesignError, match="Too few reference cities"):
        compare_with_cities(target, references[:7])
    assert "few_cities" in compare_with_cities(target, references[:8]).warnings


def test_the_target_among_its_references_is_refused(example_file: dict) -> None:  # type: ignore[type-arg]
    target, references = cities_of(example_file)
    with pytest.raises(DesignError, match="among its own references"):
        compare_with_cities(target, [*references, target])


def test_a_gap_beyond_every_reference_is_said(example_file: dict) -> None:  # type: ignore[type-arg]
    target, references = cities_of(example_file)
    extreme = replace(target, level=np.where(target.chosen, target.level + 100, target.level))
    assert "gap_beyond_references" in compare_with_cities(extreme, references).warnings


def test_a_target_with_far_more_areas_than_any_reference_is_not_identifiable() -> None:
    rng = np.random.default_rng(4)
    cities = [made_up(rng, str(at), drift=0.0) for at in range(10)]  # 36 areas each
    parts = [made_up(rng, str(at), drift=0.0) for at in range(2)]

    def joined(n: int) -> City:
        arrays = {
            name: np.concatenate([getattr(part, name) for part in parts])[:n]
            for name in ("change", "level", "population", "chosen")
        }
        return City(name="large", **arrays)

    assert compare_with_cities(joined(54), cities).identifiable  # 1.5 times 36
    found = compare_with_cities(joined(55), cities)
    assert "larger_than_references" in found.warnings
    assert not found.identifiable


def made_up(rng: np.random.Generator, name: str, drift: float, effect: float = 0.0) -> City:
    """A city whose areas drift in proportion to their level, and whose five worst are chosen."""
    n = 36
    population = rng.integers(500, 15_000, n).astype(float)
    disadvantage = rng.normal(size=n)
    level = 15 + 4 * disadvantage + rng.normal(size=n) * np.sqrt(0.1 + 400 / population)
    chosen = level >= np.sort(level)[-5]
    change = drift * disadvantage + rng.normal(size=n) * np.sqrt(0.2 + 1300 / population) + effect * chosen
    return City(name=name, change=change, level=level, population=population, chosen=chosen)


def test_drift_of_the_worst_areas_is_not_called_an_effect() -> None:
    # 300 draws of 25 cities in which nothing was done and the worst drift by 0.5 per standard deviation: the plain
    # difference of the target is far from zero on average, the corrected one is not, and the test keeps its level.
    rng = np.random.default_rng(1)
    results = []
    for _ in range(300):
        cities = [made_up(rng, str(at), drift=0.5) for at in range(25)]
        results.append(compare_with_cities(cities[0], cities[1:]))
    assert np.mean([one.bias for one in results]) > 0.4
    assert abs(np.mean([one.effect for one in results])) < 0.08
    rejected = np.mean([one.p_value <= 0.05 for one in results])
    assert abs(rejected - 0.05) < 3.5 * np.sqrt(0.05 * 0.95 / 300)


def test_a_true_effect_is_found_and_covered() -> None:
    rng = np.random.default_rng(2)
    covered, found = [], []
    for _ in range(200):
        cities = [made_up(rng, str(at), drift=0.5, effect=-2.0 if at == 0 else 0.0) for at in range(25)]
        result = compare_with_cities(cities[0], cities[1:])
        covered.append(result.low <= -2 <= result.high)
        found.append(result.rejects)
    assert abs(np.mean(covered) - 0.95) < 3.5 * np.sqrt(0.05 * 0.95 / 200)
    assert np.mean(found) > 0.8
