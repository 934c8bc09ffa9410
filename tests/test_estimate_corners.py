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
    imputation,
    imputation_pretrend_test,
    local_projection,
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
from mekeval.estimate.clean_controls import check_window, cluster_factor
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
    columns = rng.integers(-2, 3, size=(40, 3, 7)).astype(float)
    goals = 2.0 * rng.normal(size=(40, 3))
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
    """Beside the later cohort of e, who is eligible, and f, who is not, the never-treated have nobody to compare."""
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


def test_a_unit_treated_from_the_first_year_on_is_told() -> None:
    _, panel = _three_years("abcdefgh", 10)
    design = make_design("abcdefgh", [(1, 3, ["a"]), (2, 3, ["b", "c", "d"])])
    who = dict(zip("abcdefgh", [True, False, True, True] + [True, False] * 2, strict=True))
    effects = triple_difference(panel, design, outcome="y", eligible=who)
    assert effects.dropped == (("a", "already_treated", 1),)


def test_the_last_cohort_has_no_effects_before_entry_alone() -> None:
    """After cohort 5 enters nobody is left to compare it with: the never-treated x and z have a value in one year."""
    rng = np.random.default_rng(11)
    units = list("abcdefghijklxz")
    frame = pd.DataFrame({"u": np.repeat(units, 5), "t": [1, 2, 3, 4, 5] * 14, "y": rng.normal(size=70)})
    frame.loc[frame["u"].isin(["x", "z"]) & (frame["t"] > 1), "y"] = np.nan
    panel = build_panel(frame, unit="u", period="t", outcome=["y"])
    design = make_design(units, [(3, 5, units[:4]), (4, 5, units[4:8]), (5, 5, units[8:12])])
    who = dict(zip(units, [True, True, False, False] * 3 + [True, False], strict=True))
    effects = triple_difference(panel, design, outcome="y", eligible=who, comparison="not_yet_treated")
    assert effects.cells["cohort"].unique().tolist() == [3, 4]


def test_a_covariate_that_mostly_follows_the_years_is_used_among_many_units() -> None:
    """Of 1,200 units: all but a hundred millionth of its variance is the year, and the rest moves the outcome."""
    rng = np.random.default_rng(17)
    units = [f"u{at:04}" for at in range(1200)]
    moves = rng.normal(size=(1200, 3))
    years = np.arange(1.0, 4.0)
    y = rng.normal(size=(1200, 1)) + years**2 + moves
    y[0, 2] += 5.0
    frame = pd.DataFrame({"u": np.repeat(units, 3), "t": [1, 2, 3] * 1200, "y": y.ravel()})
    frame["x"] = (years + 1e-4 * moves).ravel()
    panel = build_panel(frame, unit="u", period="t", outcome=["y", "x"])
    effects = imputation(panel, make_design(units, [(3, 3, units[:1])]), outcome="y", covariates=["x"])
    assert effects.cells["att"].tolist() == pytest.approx([5.0], abs=1e-4)


def test_a_path_that_is_not_in_the_sample_does_not_stop_a_local_projection() -> None:
    """z was treated before the first year and has a gap: it is left out, and a and b are compared with the others."""
    frame, _ = _three_years("abcdez", 18)
    frame.loc[frame["u"].eq("z") & frame["t"].eq(3), "y"] = np.nan
    panel = build_panel(frame, unit="u", period="t", outcome=["y"])
    design = make_design("abcdez", [(1, 3, ["z"]), (2, 3, ["a", "b"])])
    effects = local_projection(panel, design, outcome="y", window=(-1, 0))
    wide = frame.pivot(index="u", columns="t", values="y")
    change = wide[2] - wide[1]
    by_hand = change[["a", "b"]].mean() - change[["c", "d", "e"]].mean()
    assert effects.units == ("a", "b", "c", "d", "e")
    assert effects.cells.set_index("event_time")["att"][0] == pytest.approx(by_hand)


# What is shown


def test_an_estimate_is_known_by_the_name_of_its_estimator() -> None:
    _, panel = _three_years("abcd", 12)
    assert twfe(panel, make_design("abcd", [(2, 3, ["a", "b"])]), outcome="y").estimator == "twfe"


def test_the_factor_for_few_clusters_by_hand() -> None:
    """3 clusters, 10 rows, 4 parameters: 3 / 2 times 9 / 6."""
    assert cluster_factor("y", 3, 10, 4) == pytest.approx(1.5)
    with pytest.raises(DesignError, match="too few observations") as caught:
        cluster_factor("y", 3, 4, 4)
    assert (_fault(caught).where, _fault(caught).found) == ("y", "4 rows, 4 parameters")


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
    assert table["units"].unique().tolist() == ["a"]
    assert table.set_index("comparison")["weight"][["b", "c"]].tolist() == pytest.approx([0.5, 0.5])


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
    with pytest.raises(DataError, match="no such unit") as caught:
        imputation(panel, design, outcome="y", incomplete="keep")
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


def test_a_window_that_does_not_span_entry_is_told_with_an_example() -> None:
    with pytest.raises(DesignError, match="begins before entry") as caught:
        check_window((0, 2))
    assert (_fault(caught).found, _fault(caught).expected) == ("(0, 2)", "for example (-3, 2)")


def test_one_name_for_a_list_is_told_how_to_be_written() -> None:
    _, panel = _three_years("abcd", 13)
    with pytest.raises(DesignError, match="a list of names") as caught:
        imputation(panel, make_design("abcd", [(2, 3, ["a"])]), outcome="y", covariates="x")
    assert _fault(caught).fix == "Write ['x']."


def test_a_covariate_that_does_not_change_is_to_be_left_out() -> None:
    frame, _ = _three_years("abcd", 14)
    frame["x"] = frame["u"].map({"a": 1.0, "b": 2.0, "c": 3.0, "d": 5.0})
    panel = build_panel(frame, unit="u", period="t", outcome=["y", "x"])
    with pytest.raises(DesignError, match="does not change within units") as caught:
        imputation(panel, make_design("abcd", [(3, 3, ["a"])]), outcome="y", covariates=["x"])
    assert (_fault(caught).where, _fault(caught).fix) == ("y, x", "Leave it out.")


def test_columns_and_a_target_of_other_lengths_are_told_by_their_shapes() -> None:
    with pytest.raises(DataError, match="do not fit") as caught:
        simplex_weights(np.eye(3), np.array([1.0, 2.0]))
    assert (_fault(caught).where, _fault(caught).found) == ("simplex", "shapes (3, 3) and (1, 2)")


def test_a_constant_outcome_of_a_synthetic_comparison_is_named() -> None:
    frame, _ = _three_years("abcd", 15)
    panel = build_panel(frame.assign(y=7.0), unit="u", period="t", outcome=["y"])
    with pytest.raises(DesignError, match="the same everywhere") as caught:
        synthetic_fit(panel, make_design("abcd", [(3, 3, ["a"])]), outcome="y", method="synthetic_control")
    assert (_fault(caught).where, _fault(caught).found) == ("y", "7.0")


def test_a_side_without_anybody_eligible_says_what_it_has() -> None:
    _, panel = _three_years("abcdef", 16)
    design = make_design("abcdef", [(2, 3, ["a", "b", "c"])])
    who = dict(zip("abcdef", [False, False, False, True, False, True], strict=True))
    with pytest.raises(DesignError, match="has no eligible unit") as caught:
        triple_difference(panel, design, outcome="y", eligible=who)
    assert _fault(caught).found == "3 units, all of them ineligible"


def test_a_covariate_that_separates_the_sides_is_told_so() -> None:
    treated = np.arange(8) < 4
    with pytest.raises(DesignError) as caught:
        prepare_two_by_two(treated, covariates=np.arange(8.0)[:, None], names=["x"], method="ipw")
    assert _fault(caught).what == (
        "The covariates separate the treated units from the comparison, so no propensity score exists."
    )
    assert _fault(caught).found == "4 treated and 4 comparison units"


def test_a_covariate_that_unit_effects_absorb_is_told_what_it_lacks() -> None:
    frame, _ = _three_years("abcd", 19)
    frame["x"] = frame["u"].map({"a": 1.0, "b": 2.0, "c": 3.0, "d": 5.0})
    panel = build_panel(frame, unit="u", period="t", outcome=["y", "x"])
    with pytest.raises(DesignError, match="cannot be told apart") as caught:
        twfe(panel, make_design("abcd", [(3, 3, ["a", "b"])]), outcome="y", covariates=["x"])
    expected = "variation within units that other units of the same period do not share"
    assert (_fault(caught).found, _fault(caught).expected) == ("x", expected)


def test_a_lead_of_one_treated_unit_is_counted() -> None:
    _, panel = _three_years("abcd", 20)
    with pytest.raises(DesignError, match="fewer than two treated units") as caught:
        imputation_pretrend_test(panel, make_design("abcd", [(3, 3, ["a"])]), outcome="y", leads=1)
    assert (_fault(caught).where, _fault(caught).found) == ("y, lead -1", "1 treated units")
