"""Corners of the estimators: weights that are not unique, sides without units, refusals, and names of what is shown."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from mekeval import (
    DataError,
    DesignError,
    build_panel,
    callaway_santanna,
    make_design,
    repeated_cross_sections,
    side_by_side,
    synthetic_fit,
    triple_difference,
    twfe,
)
from mekeval.design import Design
from mekeval.errors import Fault, MekevalError
from mekeval.estimate import Effects
from mekeval.estimate.doubly_robust import prepare_two_by_two
from mekeval.estimate.shown import estimates_table
from mekeval.estimate.simplex import frank_wolfe_weights, simplex_weights
from mekeval.panel import Panel

# Weights that sum to one


def least_norm_by_brute_force(columns: np.ndarray, goal: np.ndarray) -> tuple[np.ndarray, int]:
    """Of the best weights those with the least sum of squares, by trying every support; and how many do as well.

    The conditions of the first order of one support, solved with the least norm: where several weights fit alike, the
    least of them.
    """
    best: list[tuple[float, float, np.ndarray]] = []
    n = columns.shape[1]
    for size in range(1, n + 1):
        for chosen in map(list, itertools.combinations(range(n), size)):
            part = columns[:, chosen]
            conditions = np.block(
                [[part.T @ part, np.ones((size, 1))], [np.ones((1, size)), np.zeros((1, 1))]]
            )
            solved = np.linalg.pinv(conditions, rcond=1e-10) @ np.append(part.T @ goal, 1.0)
            if solved[:size].min() >= -1e-9:
                weights = np.zeros(n)
                weights[chosen] = solved[:size]
                best.append(
                    (float(np.sum((columns @ weights - goal) ** 2)), float(weights @ weights), weights)
                )
    least = min(value for value, *_ in best)
    alike = [(norm, weights) for value, norm, weights in best if value < least + 1e-9]
    return min(alike, key=lambda one: one[0])[1], len(alike)


def test_problems_solved_together_each_have_the_best_weights_of_least_norm() -> None:
    rng = np.random.default_rng(5)
    columns = np.round(rng.normal(size=(40, 4, 7)))
    goals = rng.normal(size=(40, 4))
    found = simplex_weights(columns, goals)
    by_hand = [least_norm_by_brute_force(*one) for one in zip(columns, goals, strict=True)]
    assert sum(n_alike > 1 for _, n_alike in by_hand) > 5
    assert found.weights == pytest.approx(np.array([weights for weights, _ in by_hand]), abs=1e-6)


def test_a_penalty_that_vanishes_beside_the_data_leaves_the_least_norm() -> None:
    """3 is the mean of 0, 2, 4 and 6: equal weights meet it, and no others have so small a sum of squares."""
    fit = simplex_weights(np.array([[0.0, 2.0, 4.0, 6.0]]), np.array([3.0]), ridge=1e-20)
    assert fit.weights[0] == pytest.approx([0.25] * 4, abs=1e-9)


def test_frank_wolfe_fits_no_constant_unless_asked() -> None:
    """1 = 0.75 * 0 + 0.25 * 4, on a line that one step reaches; a constant alone would meet one target with any."""
    fit = frank_wolfe_weights(np.array([[0.0, 4.0]]), np.array([1.0]))
    assert fit.weights[0] == pytest.approx([0.75, 0.25])
    assert frank_wolfe_weights(np.array([[0.0, 4.0]]), np.array([1.0]), intercept=True).weights[
        0
    ] == pytest.approx([0.5, 0.5])


# Triple differences


def _three_years(units: str, seed: int) -> tuple[pd.DataFrame, Panel]:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"u": np.repeat(list(units), 3), "t": [1, 2, 3] * len(units)})
    frame["y"] = rng.normal(size=len(frame))
    return frame, build_panel(frame, unit="u", period="t", outcome=["y"])


def _triple_by_hand(frame: pd.DataFrame, eligible: str, ineligible: str, others: tuple[str, str]) -> float:
    """Of two periods: the change of the treated who are eligible and are not, less that of the comparison."""
    wide = frame.pivot(index="u", columns="t", values="y")
    change = wide[2] - wide[1]
    treated = change[list(eligible)].mean() - change[list(ineligible)].mean()
    return float(treated - (change[list(others[0])].mean() - change[list(others[1])].mean()))


def test_a_comparison_without_an_ineligible_unit_takes_no_part() -> None:
    """Beside the later cohort e, f of one eligible and one ineligible unit, the never-treated g has nobody to compare."""
    frame, panel = _three_years("abcdefg", 1)
    design = make_design("abcdefg", [(2, 3, list("abcd")), (3, 3, list("ef"))])
    who = dict(zip("abcdefg", [True, True, False, False, True, False, True], strict=True))
    effects = triple_difference(panel, design, outcome="y", eligible=who, comparison="not_yet_treated")
    (cell,) = effects.cells[(effects.cells["cohort"] == 2) & (effects.cells["period"] == 2)].to_dict(
        "records"
    )
    assert cell["att"] == pytest.approx(_triple_by_hand(frame, "ab", "cd", ("e", "f")))


def test_units_of_the_panel_outside_the_design_take_no_part() -> None:
    frame, panel = _three_years("abcdefghxz", 2)
    design = make_design("abcdefgh", [(2, 3, list("abcd"))])
    who = dict(zip("abcdefgh", [True, True, False, False] * 2, strict=True))
    effects = triple_difference(panel, design, outcome="y", eligible=who)
    assert effects.units == tuple("abcdefgh")
    assert effects.cells.set_index("period")["att"][2] == pytest.approx(
        _triple_by_hand(frame, "ab", "cd", ("ef", "gh"))
    )


# What is shown


def test_reasons_without_an_error_are_lettered_in_turn() -> None:
    table = estimates_table(
        {"Path": ["p", "q", "r", "s"]},
        np.array([1.0, 2.0, 3.0, 4.0]),
        np.array([np.nan, 0.5, np.nan, np.nan]),
        ["one unit", "", "no gap", "one unit"],
        {},
        caption="c",
        notes=["Note."],
        digits=1,
    )
    assert [row[2] for row in table.rows] == ["[a]", "(0.5)", "[b]", "[a]"]
    assert table.note == "Note. [a] one unit. [b] no gap."


def test_an_estimator_that_refuses_has_its_row_with_its_name_and_reason() -> None:
    _, panel = _three_years("abcd", 3)

    def refuses(panel: Panel, design: Design, *, outcome: str) -> Effects:
        raise DesignError("Not for these data.")

    design = make_design("abcd", [(2, 3, ["a", "b"])])
    table = side_by_side(panel, design, outcome="y", estimators={"twfe": twfe, "mine": refuses})
    assert table["estimator"].tolist() == ["twfe", "mine"]
    assert table["note"][1] == "Not for these data."
    assert pd.isna(table["estimate"][1])


def test_the_weights_of_a_synthetic_comparison_by_name() -> None:
    """The treated area is half of b and half of c before it enters."""
    values = {"a": [1.0, 2, 3, 9], "b": [0.0, 2, 2, 4], "c": [2.0, 2, 4, 4], "d": [9.0, 1, 9, 1]}
    frame = pd.DataFrame(
        [(u, t, y) for u, row in values.items() for t, y in enumerate(row)], columns=["u", "t", "y"]
    )
    panel = build_panel(frame, unit="u", period="t", outcome=["y"])
    fit = synthetic_fit(panel, make_design("abcd", [(3, 3, ["a"])]), outcome="y", method="synthetic_control")
    table = fit.weights()
    assert table.columns.tolist() == ["units", "comparison", "weight"]
    assert table["units"].tolist() == ["a", "a"]
    assert dict(zip(table["comparison"], table["weight"], strict=True)) == pytest.approx({"b": 0.5, "c": 0.5})


@pytest.mark.parametrize("base_period", ["varying", "universal"])
def test_cross_sections_say_which_base_they_took(base_period: str) -> None:
    _, panel = _three_years("abcd", 4)
    design = make_design("abcd", [(2, 3, ["a", "b"])])
    effects = repeated_cross_sections(panel, design, outcome="y", base_period=base_period)  # type: ignore[arg-type]
    assert effects.base_period == base_period


# Refusals


def _fault(caught: pytest.ExceptionInfo[MekevalError]) -> Fault:
    (fault,) = caught.value.faults
    return fault


def test_one_year_of_persons_is_named() -> None:
    frame, _ = _three_years("abcd", 5)
    frame["n"] = np.where(frame["t"] == 2, 10.0, 0.0)
    panel = build_panel(frame, unit="u", period="t", outcome=["y", "n"])
    with pytest.raises(DesignError, match="two periods with data") as caught:
        repeated_cross_sections(panel, make_design("abcd", [(2, 3, ["a", "b"])]), outcome="y", count="n")
    assert _fault(caught).found == "2"


def test_scores_that_are_all_trimmed_are_told_with_the_limit() -> None:
    """A covariate that says nothing: the score is the share of the treated, 400 of 402."""
    treated = np.arange(402) < 400
    says_nothing = np.where(np.arange(402) % 2, 1.0, -1.0)[:, None]
    with pytest.raises(DesignError, match="are trimmed") as caught:
        prepare_two_by_two(treated, covariates=says_nothing, names=["x"], method="ipw")
    assert (_fault(caught).found, _fault(caught).expected) == ("scores from 0.9950", "below 0.995")


def test_a_unit_that_the_panel_lacks_is_told_with_the_nearest() -> None:
    _, panel = _three_years("abcd", 6)
    frame = pd.DataFrame(
        {"u": np.repeat(["Hakunila", "Korso", "Rekola"], 3), "t": [1, 2, 3] * 3, "y": range(9)}
    )
    panel = build_panel(frame, unit="u", period="t", outcome=["y"])
    design = make_design(["Hakunlia", "Korso", "Rekola"], [(2, 3, ["Hakunlia"])])
    with pytest.raises(DataError, match="no such unit") as caught:
        twfe(panel, design, outcome="y")
    assert (_fault(caught).found, _fault(caught).expected) == ("'Hakunlia'", "closest: 'Hakunila'")


def test_a_path_without_a_year_before_what_is_anticipated_is_named() -> None:
    _, panel = _three_years("abcd", 7)
    design = make_design("abcd", [(2, 3, ["a", "b"])])
    with pytest.raises(DesignError) as caught:
        callaway_santanna(panel, design, outcome="y", anticipation=1)
    fault = _fault(caught)
    assert fault.what == "A path has no period before treatment that anticipation leaves alone."
    assert fault.where == "y, a, b"
    assert fault.found == "data from 1, treated from 2, anticipation 1"


def test_a_synthetic_comparison_without_years_after_entry_names_the_area() -> None:
    _, panel = _three_years("abcd", 8)
    with pytest.raises(DesignError, match="no data after entry") as caught:
        synthetic_fit(panel, make_design("abcd", [(4, 5, ["a"])]), outcome="y", method="synthetic_control")
    assert _fault(caught).where == "y, a"


def test_an_unknown_synthetic_method_is_told_by_its_option() -> None:
    _, panel = _three_years("abcd", 9)
    design = make_design("abcd", [(3, 3, ["a"])])
    with pytest.raises(DesignError) as caught:
        synthetic_fit(panel, design, outcome="y", method="synthetic_contrl")  # type: ignore[arg-type]
    assert (_fault(caught).what, _fault(caught).where) == ("Unknown method.", "method")
