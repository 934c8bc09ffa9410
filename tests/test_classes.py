"""Classes of areas: the composite by hand, sizes, shares, ties, areas left out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mekeval import DesignError, area_classes

MUKANA = (26, 41, 30, 25)  # Helsinki's city board, 28.1.2019


def _areas(n: int) -> tuple[list[str], pd.DataFrame, np.ndarray]:
    rng = np.random.default_rng(3)
    rates = pd.DataFrame(rng.normal(20, 5, (n, 4)), columns=["language", "income", "education", "work"])
    return [f"a{at:03d}" for at in range(n)], rates, rng.integers(51, 900, n).astype(float)


def test_four_classes_of_122_areas_and_the_small_left_out() -> None:
    names, rates, people = _areas(130)
    people[:8] = [49, 10, 0, 49.9, 1, 2, 3, 4]  # fewer than 50 persons
    found = area_classes(names, rates, sizes=MUKANA, population=people, minimum_population=50)
    assert found.sizes == MUKANA
    assert found.table["class"].value_counts().sort_index().tolist() == list(MUKANA)
    assert {area for area, why in found.left_out if why == "small"} == set(names[:8])
    inside = rates[people >= 50]
    by_hand = ((inside - inside.mean()) / inside.std()).mean(axis=1).sort_values(ascending=False)
    worst = {names[at] for at in by_hand.index[:26]}
    assert set(found.table.loc[found.table["class"] == 1, "area"]) == worst
    cut = by_hand.to_numpy()
    assert found.margins == pytest.approx([cut[25] - cut[26], cut[66] - cut[67], cut[96] - cut[97]])


def test_sizes_are_shares_where_there_are_other_numbers_of_areas() -> None:
    """84 of 122: 26, 41, 30, 25 become 17.90, 28.23, 20.66, 17.21; whole parts 17 + 28 + 20 + 17 = 82, two to give."""
    names, rates, _ = _areas(84)
    assert area_classes(names, rates, sizes=MUKANA).sizes == (18, 28, 21, 17)
    assert area_classes(names[:4], rates[:4], sizes=(1, 100, 1, 1)).sizes == (1, 1, 1, 1)


def test_order_and_units_do_not_matter() -> None:
    names, rates, _ = _areas(40)
    one = area_classes(names, rates, sizes=(10, 20, 10)).table.set_index("area")["class"]
    turned = rates[::-1].reset_index(drop=True)
    other = area_classes(names[::-1], 3 + 7 * turned, sizes=(10, 20, 10)).table.set_index("area")["class"]
    pd.testing.assert_series_equal(one.sort_index(), other.sort_index())


def test_a_tie_at_a_cut_is_told() -> None:
    same = pd.DataFrame({"x": [3.0, 2, 2, 1]})
    assert area_classes(["a", "b", "c", "d"], same, sizes=(2, 2)).margins == (0.0,)


def test_weights_directions_and_ranks_change_the_order() -> None:
    """a is worst by x, c by y; y counts nothing, then all, then the other way round; ranks hide how far a is off."""
    rates = pd.DataFrame({"x": [9.0, 2, 1], "y": [1.0, 2, 9]})

    def worst(**options: object) -> str:
        return str(area_classes(["a", "b", "c"], rates, sizes=(1, 2), **options).table["area"].iloc[0])  # type: ignore[arg-type]

    assert worst(weights=[1, 0]) == "a"
    assert worst(weights=[0, 1]) == "c"
    assert worst(weights=[0, 1], higher_is=["worse", "better"]) == "a"
    # by x alone the margin is in standard deviations of x; by ranks it is one place of three
    alone = area_classes(["a", "b", "c"], rates[["x"]], sizes=(1, 2))
    assert alone.margins == pytest.approx([(9 - 2) / np.std([9, 2, 1], ddof=1)])
    ranks = area_classes(["a", "b", "c"], rates[["x"]], sizes=(1, 2), score="rank")
    again = area_classes(["a", "b", "c"], np.sqrt(rates[["x"]]), sizes=(1, 2), score="rank")
    assert ranks.margins == again.margins  # which no monotone change of the data moves
    assert ranks.margins != alone.margins


def test_a_missing_criterion_leaves_out() -> None:
    rates = pd.DataFrame({"x": [3.0, np.nan, 2, 1]})
    found = area_classes(["a", "b", "c", "d"], rates, sizes=(1, 2))
    assert found.left_out == (("b", "missing"),)
    assert found.table["class"].isna().sum() == 1


@pytest.mark.parametrize(
    ("sizes", "said"),
    [((), "sizes"), ((0, 3), "above zero"), ((1.5, 2), "whole"), ((1, 1, 1, 1, 1), "eligible")],
)
def test_what_cannot_be_cut_is_refused(sizes: tuple[int, ...], said: str) -> None:
    with pytest.raises(DesignError, match=said):
        area_classes(["a", "b", "c"], pd.DataFrame({"x": [1.0, 2, 3]}), sizes=sizes)
