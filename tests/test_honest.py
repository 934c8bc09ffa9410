"""HonestDiD against R's published figures, the Python port moderndid, and tests written anew by linear programs."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import linprog, minimize
from scipy.stats import norm, truncnorm
from scipy.stats import t as student

from mekeval import (
    DesignError,
    aggregate,
    build_panel,
    group_time_att,
    imputation,
    local_projection,
    make_design,
)
from mekeval.figures import About
from mekeval.figures.honest import plot_honest
from mekeval.sensitivity.honest import HonestBounds, honest_bounds
from mekeval.sensitivity.honest.coefficients import from_vector, widened
from mekeval.sensitivity.honest.engine import flci, interval, problem
from mekeval.sensitivity.honest.restrictions import Times
from mekeval.text import Texts

# The event study of R HonestDiD's README: health insurance and the Medicaid expansion of 2014, two-way fixed effects
# with 2013 left out, states clustered (data of Mixtape-Sessions/Advanced-DID, restricted as there). Inputs, no results.
ACA = np.array(
    [-0.0052853545, -0.0112973246, -0.0026759918, -0.0014193123, 0.0003396635, 0.0464468542, 0.0692061755]
)
ACA_COVARIANCE = 1e-5 * np.array(
    [
        [7.488484, 6.039874, 4.44462, 3.385765, 4.328011, 4.76588, 2.425129],
        [6.039874, 7.266501, 3.78933, 2.866578, 4.543321, 4.42885, 2.824655],
        [4.44462, 3.78933, 5.052052, 2.673679, 2.778194, 3.060644, 0.963753],
        [3.385765, 2.866578, 2.673679, 4.003222, 2.41286, 2.380868, 0.292388],
        [4.328011, 4.543321, 2.778194, 2.41286, 5.462662, 3.682531, 0.972295],
        [4.76588, 4.42885, 3.060644, 2.380868, 3.682531, 8.375669, 6.321398],
        [2.425129, 2.824655, 0.963753, 0.292388, 0.972295, 6.321398, 10.712352],
    ]
)
ACA_TIMES = [-6, -5, -4, -3, -2, 0, 1]
BC_TIMES = [-5, -4, -3, -2, 0, 1, 2, 3]


def ends(found: HonestBounds) -> np.ndarray:
    return found.table[["low", "high"]].to_numpy(dtype=float)


def same_digits(found: np.ndarray, printed: list[tuple[str, str]]) -> None:
    """Every number as R prints it: equal when rounded to as many decimals."""
    for row, texts in zip(found, printed, strict=True):
        for value, text in zip(row, texts, strict=True):
            assert f"{value:.{len(text.split('.')[1])}f}" == text


# --- published figures -------------------------------------------------------------------------------------------


def test_relative_magnitudes_of_the_readme() -> None:
    """R HonestDiD, README.md, "Sensitivity analysis using relative magnitudes restrictions"."""
    found = honest_bounds(ACA, ACA_COVARIANCE, ACA_TIMES, sizes=[0.5, 1, 1.5, 2])
    same_digits(
        ends(found),
        [("0.0240", "0.0672"), ("0.0170", "0.0720"), ("0.00824", "0.0797"), ("-0.000916", "0.0881")],
    )
    assert found.method == "C-LF" and found.delta == "RM"
    # "The breakdown value is Mbar = 2": the interval at 1.5 excludes zero, that at 2 does not.
    assert found.breakdown is not None and 1.5 < found.breakdown < 2


def test_average_effect_of_the_stata_readme() -> None:
    """mcaceresb/stata-honestdid, README.md, l_vec (0.5, 0.5): three decimals."""
    found = honest_bounds(ACA, ACA_COVARIANCE, ACA_TIMES, sizes=[0, 0.5, 1, 1.5, 2], l_vec="average")
    same_digits(np.array([[found.original_low, found.original_high]]), [("0.040", "0.075")])
    printed = [(0.041, 0.075), (0.033, 0.080), (0.020, 0.090), (0.006, 0.103), (-0.008, 0.117)]
    # A step of the grid is 0.04 standard errors; the other draws of that program move an end by one of them at most.
    assert np.abs(ends(found) - printed).max() < 0.0005 + 40 * found.se / 999


def test_smoothness_of_the_readme() -> None:
    """R HonestDiD, README.md, "Sensitivity Analysis Using Smoothness Restrictions"."""
    found = honest_bounds(
        ACA, ACA_COVARIANCE, ACA_TIMES, restriction="smoothness", sizes=[0, 0.01, 0.02, 0.03, 0.04, 0.05]
    )
    printed = [(0.0259, 0.0607), (0.0132, 0.0787), (0.00286, 0.0907), (-0.00714, 0.101), (-0.0171, 0.111)]
    printed += [(-0.0271, 0.121)]
    # R took the folded normal's quantile from a million draws, which moves an end by up to 3e-5.
    assert np.abs(ends(found)[:, 0] - np.array(printed)[:, 0]).max() < 1.2e-4
    same_digits(
        ends(found)[:, 1:], [("0.0607",), ("0.0787",), ("0.0907",), ("0.101",), ("0.111",), ("0.121",)]
    )
    assert found.method == "FLCI" and found.breakdown is not None and 0.02 < found.breakdown < 0.03


def test_original_interval_of_the_stata_readme() -> None:
    found = honest_bounds(ACA, ACA_COVARIANCE, ACA_TIMES, sizes=[0])
    same_digits(np.array([[found.original_low, found.original_high]]), [("0.029", "0.064")])


# What R and Stata print on the coefficients of Benzarti and Carloni: mcaceresb/stata-honestdid,
# test/unit-tests-consistency.R.log (R HonestDiD) and test/unit-tests-consistency.do.log (Stata honestdid).


def test_relative_magnitudes_in_the_log_of_r(bc: tuple[np.ndarray, np.ndarray]) -> None:
    """Mbar at R's default, seq(0, 2, length.out = 10); from 1.78 on its grid ends before the interval does."""
    found = honest_bounds(*bc, BC_TIMES, sizes=np.linspace(0, 2, 10))
    printed = [(0.159, 0.233), (0.143, 0.248), (0.123, 0.266), (0.102, 0.287), (0.0786, 0.308)]
    printed += [(0.0551, 0.329), (0.0315, 0.352), (0.00722, 0.376)]
    step = 40 * found.se / 999  # the grid is the same, the draws are not: one step, and three digits
    assert np.abs(ends(found)[:8] - printed).max() < step + 0.0005
    assert np.abs(ends(found)[8:, 0] - (-0.0171, -0.0422)).max() < step + 0.0005


def test_a_later_effect_in_the_log_of_stata(bc: tuple[np.ndarray, np.ndarray]) -> None:
    found = honest_bounds(*bc, BC_TIMES, sizes=[0, 0.5, 1, 1.5, 2], l_vec=[0, 0, 1, 0])
    printed = [(0.212, 0.273), (0.071, 0.414), (-0.091, 0.576), (-0.253, 0.737), (-0.434, 0.919)]
    # Its grid, given there, has 100 points from -1 to 1: its ends lie within ours, by less than a step of it.
    inside = (np.array(printed) - ends(found)) * (1, -1)
    assert inside.min() > -0.001 and inside.max() < 2 / 99 + 0.001


def test_fixed_length_intervals_in_the_log_of_stata(bc: tuple[np.ndarray, np.ndarray]) -> None:
    sizes = np.linspace(0, 0.202169869297069, 10)  # its default: up to DeltaSD_upperBound_Mpre
    found = honest_bounds(*bc, BC_TIMES, restriction="smoothness", sizes=sizes)
    printed = [(0.131, 0.216), (0.183, 0.327), (0.174, 0.363), (0.152, 0.386), (0.130, 0.408)]
    printed += [(0.107, 0.431), (0.085, 0.453), (0.062, 0.476), (0.040, 0.498), (0.017, 0.521)]
    assert np.abs(ends(found) - printed).max() < 0.0007
    later = honest_bounds(
        *bc, BC_TIMES, restriction="smoothness", sizes=[0, 0.1, 0.2, 0.3], l_vec=[0, 0, 1, 0]
    )
    printed = [(0.144, 0.260), (-0.244, 1.161), (-0.844, 1.761), (-1.444, 2.361)]
    assert np.abs(ends(later) - printed).max() < 0.0007


def test_one_time_after_the_base_in_the_log_of_r(bc: tuple[np.ndarray, np.ndarray]) -> None:
    times = [*range(-8, -1), 0]
    found = ends(honest_bounds(*bc, times, sizes=[0, 0.5, 1, 1.5, 2]))
    printed = [(0.0713, 0.181), (-0.0315, 0.306), (-0.151, 0.441)]
    step = 40 * np.sqrt(bc[1][7, 7]) / 999
    assert np.abs(found[:3] - printed).max() < step + 0.0005
    assert np.abs(found[3:, 0] - (-0.278, -0.411)).max() < step + 0.0005  # above, R's grid ends at 0.552
    smooth = ends(honest_bounds(*bc, times, restriction="smoothness", sizes=[0, 0.1, 0.2, 0.3]))
    assert np.abs(smooth - [(-0.182, -0.106), (0.192, 0.539), (0.092, 0.639), (-0.008, 0.739)]).max() < 0.0006


# --- moderndid 0.2.0 and diff-diff 3.13.0 on the coefficients of Benzarti and Carloni ------------------------------


def test_relative_restrictions_against_moderndid(bc: tuple[np.ndarray, np.ndarray]) -> None:
    """moderndid 0.2.0, create_sensitivity_results_rm(betahat, sigma, 4, 4, m_bar_vec=[0, .5, 1, 1.5, 2]).

    It leaves the earliest step before entry out of the largest ones, which does not matter here; R and we do not.
    """
    parallel = [(0.159877, 0.232046), (0.118331, 0.271073), (0.067787, 0.318622), (0.013757, 0.369180)]
    linear = [(0.210775, 0.327005), (0.149383, 0.411227), (0.066868, 0.507897), (-0.025180, 0.607792)]
    for restriction, theirs in (
        ("relative_magnitudes", [*parallel, (-0.041726, 0.423947)]),
        ("relative_smoothness", [*linear, (-0.122572, 0.707446)]),
    ):
        found = honest_bounds(*bc, BC_TIMES, restriction=restriction, sizes=[0, 0.5, 1, 1.5, 2])
        # Their grid lies elsewhere: an end may differ by one step of either, 0.04 standard errors each.
        assert np.abs(ends(found) - theirs).max() < 1.5 * 40 * found.se / 999


def test_breakdown_of_the_vignette(bc: tuple[np.ndarray, np.ndarray]) -> None:
    """R HonestDiD, vignette: "the breakdown value of Mbar is about 1.5", on a grid of sizes by 0.5."""
    found = honest_bounds(*bc, BC_TIMES, restriction="relative_smoothness", sizes=[0, 0.5, 1, 1.5, 2])
    assert found.table["excludes_zero"].tolist() == [True, True, True, False, False]
    assert found.breakdown is not None and 1 < found.breakdown < 1.5


@pytest.mark.parametrize(
    ("assumed", "theirs"),
    [
        (
            {"bias": "positive"},
            [(0.193933, 0.233742), (0.118721, 0.232168), (0.019684, 0.228122), (-0.079934, 0.227772)],
        ),
        (
            {"bias": "negative"},
            [(0.205948, 0.234349), (0.163886, 0.418520), (0.164201, 0.518267), (0.164265, 0.617886)],
        ),
        (
            {"monotone": "decreasing"},
            [(0.205948, 0.234470), (0.163886, 0.418520), (0.164201, 0.518267), (0.164265, 0.617886)],
        ),
        (
            {"monotone": "increasing"},
            [(0.193933, 0.233742), (0.118721, 0.232168), (0.019684, 0.228122), (-0.079934, 0.227772)],
        ),
    ],
)
def test_smoothness_with_a_sign_or_shape_against_moderndid(
    bc: tuple[np.ndarray, np.ndarray], assumed: dict[str, str], theirs: list[tuple[float, float]]
) -> None:
    """moderndid 0.2.0, create_sensitivity_results_sm(..., m_vec=[0, .1, .2, .3]), its default hybrid test."""
    found = honest_bounds(*bc, BC_TIMES, restriction="smoothness", sizes=[0, 0.1, 0.2, 0.3], **assumed)
    assert found.method == "C-F"
    assert np.abs(ends(found) - theirs).max() < 2e-4  # a step of the grid of the first stage's interval


def test_fixed_length_intervals_against_diff_diff(bc: tuple[np.ndarray, np.ndarray]) -> None:
    """diff-diff 3.13.0, honest_did._compute_optimal_flci."""
    first = honest_bounds(*bc, BC_TIMES, restriction="smoothness", sizes=[0, 0.1, 0.2, 0.3])
    theirs = [(0.131459616, 0.216119694), (0.119397938, 0.418554276), (0.019397938, 0.518554276)]
    assert np.allclose(ends(first), [*theirs, (-0.080602062, 0.618554276)], atol=1e-8, rtol=0)
    mean = honest_bounds(*bc, BC_TIMES, restriction="smoothness", sizes=[0, 0.05, 0.1], l_vec="average")
    theirs = [(0.133248135, 0.230304739), (0.063574716, 0.738304744), (-0.186425284, 0.988304744)]
    assert np.allclose(ends(mean), theirs, atol=1e-7, rtol=0)


# --- by linear programs and by brute force, written here anew -------------------------------------------------------


def differences(n_pre: int, n_post: int, order: int) -> np.ndarray:
    """First or second differences of years that follow each other, without the column of the base."""
    return np.delete(np.diff(np.eye(n_pre + 1 + n_post), n=order, axis=0), n_pre, axis=1)


def parts_of_rm(n_pre: int, n_post: int, size: float, order: int) -> list[np.ndarray]:
    """Rows with rows @ deviation <= 0, one matrix for each largest difference before entry and its sign."""
    whole = differences(n_pre, n_post, order)
    n_before = len(whole) - n_post
    factor = np.r_[np.ones(n_before), np.full(n_post, size)][:, None]
    return [
        np.vstack([side * whole - factor * sign * whole[at] for side in (1, -1)])
        for at, sign in product(range(n_before), (1, -1))
    ]


def by_program(
    rows: np.ndarray, limits: np.ndarray, estimates: np.ndarray, weights: np.ndarray
) -> list[float]:
    """Ends of {l'(estimate - deviation)}, the deviations before entry being the estimates; empty if there is none."""
    n_post = len(weights)
    n_pre = len(estimates) - n_post
    found = []
    for sign in (1, -1):
        solved = linprog(
            sign * np.r_[np.zeros(n_pre), weights],
            A_ub=rows,
            b_ub=limits,
            bounds=[(one, one) for one in estimates[:n_pre]] + [(None, None)] * n_post,
        )
        if solved.status != 0:
            return []
        found.append(weights @ estimates[n_pre:] - sign * solved.fun)
    return sorted(found)


@pytest.mark.parametrize("order", [1, 2])
def test_identified_set_of_relative_restrictions_by_linear_programs(
    bc: tuple[np.ndarray, np.ndarray], order: int
) -> None:
    weights = np.array([0.5, 0.2, -0.4, 0.7])
    ours = honest_bounds(
        *bc,
        BC_TIMES,
        restriction=("relative_magnitudes", "relative_smoothness")[order - 1],
        sizes=[0, 0.7, 2],
        l_vec=weights,
    ).table
    for size, low, high in zip(ours["m"], ours["set_low"], ours["set_high"], strict=True):
        found = [
            by_program(rows, np.full(len(rows), 1e-12), bc[0], weights)
            for rows in parts_of_rm(4, 4, size, order)
        ]
        assert low == pytest.approx(min(one[0] for one in found if one), abs=1e-7)
        assert high == pytest.approx(max(one[1] for one in found if one), abs=1e-7)


@pytest.mark.parametrize(("bias", "side"), [(None, 0), ("positive", -1), ("negative", 1)])
def test_identified_set_of_smoothness_by_a_linear_program(
    bc: tuple[np.ndarray, np.ndarray], bias: str | None, side: int
) -> None:
    rows = np.vstack([differences(4, 4, 2), -differences(4, 4, 2), side * np.eye(8)[4:]])
    ours = honest_bounds(*bc, BC_TIMES, restriction="smoothness", bias=bias, sizes=[0.05, 0.25]).table
    # The coefficients before entry bend by 0.126 at most, 0.0363 - 2 * (-0.0065): no path bends by 0.05 only.
    assert pd.isna(ours["set_low"].iloc[0]) and "empty" in ours["note"].iloc[0]
    limits = np.r_[np.full(14, 0.25), np.zeros(4)]
    low, high = by_program(rows, limits, bc[0], np.eye(4)[0])
    assert ours["set_low"].iloc[1] == pytest.approx(low, abs=1e-9)
    assert ours["set_high"].iloc[1] == pytest.approx(high, abs=1e-9)


def rejected_by_programs(
    y: np.ndarray, nuisance: np.ndarray, covariance: np.ndarray, critical: float, alpha: float
) -> bool:
    """The hybrid test of Andrews, Roth and Pakes (2023), each maximum a linear program, ends by bisection."""
    spread = np.sqrt(np.diag(covariance))
    equal = np.column_stack([spread, nuisance]).T
    right = np.r_[1.0, np.zeros(nuisance.shape[1])]

    def best(objective: np.ndarray) -> tuple[float, np.ndarray]:
        solved = linprog(-objective, A_eq=equal, b_eq=right, bounds=(0, None), method="highs-ds")
        return -solved.fun, solved.x

    eta, multipliers = best(y)
    if eta > critical or eta <= 0:
        return eta > critical
    deviation = float(np.sqrt(multipliers @ covariance @ multipliers))
    along = covariance @ multipliers / deviation**2
    rest = y - along * (multipliers @ y)

    def end(outer: float) -> float:
        inner = eta
        if abs(best(rest + along * outer)[0] - outer) < 1e-9:
            return outer
        for _ in range(26):
            middle = (outer + inner) / 2
            if abs(best(rest + along * middle)[0] - middle) < 1e-9:
                inner = middle
            else:
                outer = middle
        return inner

    low, high = end(eta - 40 * deviation), min(end(eta + 40 * deviation), critical)
    size = (alpha - alpha / 10) / (1 - alpha / 10)
    return eta > max(0.0, deviation * truncnorm.ppf(1 - size, low / deviation, high / deviation))


@pytest.mark.parametrize(("bias", "side"), [(None, 0), ("positive", -1)])
def test_hybrid_test_by_linear_programs(
    bc: tuple[np.ndarray, np.ndarray], bias: str | None, side: int
) -> None:
    """Beside the ends of our interval the test by programs changes its mind too; the critical value from own draws."""
    estimates, covariance = bc[0][1:7], bc[1][1:7, 1:7]  # three before, three after
    found = honest_bounds(estimates, covariance, BC_TIMES[1:7], bias=bias, sizes=[1.0], l_vec=[1, 0, 0])
    step = 40 * found.se / 999
    draws = np.random.default_rng(5).multivariate_normal(np.zeros(6), covariance, size=40)
    prepared = []
    for rows in parts_of_rm(3, 3, 1.0, 1):
        rows = np.vstack([rows, side * np.eye(6)[3:]])
        rows = rows[(np.abs(rows[:, 3:]) > 0).any(axis=1)]
        varies = rows @ covariance @ rows.T
        equal = np.column_stack([np.sqrt(np.diag(varies)), rows[:, 4:]]).T
        maxima = [
            -linprog(-rows @ one, A_eq=equal, b_eq=[1, 0, 0], bounds=(0, None), method="highs-ds").fun
            for one in draws
        ]
        # Forty draws place the 99.5 % quantile only roughly: a normal tail beyond their mean does.
        prepared.append((rows, varies, float(np.mean(maxima) + norm.ppf(0.995) * np.std(maxima))))

    def rejected(value: float) -> bool:
        return all(
            rejected_by_programs(rows @ estimates - rows[:, 3] * value, rows[:, 4:], varies, critical, 0.05)
            for rows, varies, critical in prepared
        )

    low, high = ends(found)[0]
    assert not rejected(low + 2 * step) and not rejected(high - 2 * step)
    assert rejected(low - 3 * step) and rejected(high + 3 * step)


def largest_bias(weights: np.ndarray, times: np.ndarray, n_pre: int) -> float:
    """Of sum of weights and deviation over every path that bends by 1 a year at most, by a linear program."""
    whole = np.insert(times, n_pre, -1.0)
    slopes = np.diff(np.eye(len(whole)), axis=0) / np.diff(whole)[:, None]
    gaps = np.diff(whole)
    rows = np.delete(np.diff(slopes, axis=0) / ((gaps[1:] + gaps[:-1]) / 2)[:, None], n_pre, axis=1)
    solved = linprog(
        -weights, A_ub=np.vstack([rows, -rows]), b_ub=np.ones(2 * len(rows)), bounds=(None, None)
    )
    return np.inf if solved.status == 3 else -solved.fun


@pytest.mark.parametrize("l_vec", [(1.0, 0, 0), (0.2, 0.3, 0.5), (1.0, 0, -1.0)])
@pytest.mark.parametrize("times", [(-5.0, -4, -3, -2, 0, 1, 2), (-7.0, -6, -3, -2, 0, 3, 4)])
def test_fixed_length_interval_is_the_best_of_all(
    bc: tuple[np.ndarray, np.ndarray], l_vec: tuple[float, ...], times: tuple[float, ...]
) -> None:
    """Against a general minimiser over the weights before entry, the largest bias by a linear program.

    R and diff-diff add the bias at the base twice too often where sum l_t t < 0, as with (1, 0, -1).
    """
    estimates, covariance = bc[0][:7], bc[1][:7, :7]
    size = 0.03
    found = honest_bounds(estimates, covariance, times, restriction="smoothness", sizes=[size], l_vec=l_vec)
    half = float(np.diff(ends(found)[0])[0]) / 2

    def weights_of(free: np.ndarray) -> np.ndarray:
        # The last weight before entry undoes what a linear trend would add.
        after = np.array(times[4:]) + 1
        before = np.array(times[:4]) + 1
        last = -(np.array(l_vec) @ after + free @ before[:3]) / before[3]
        return np.r_[free, last, l_vec]

    def half_length(free: np.ndarray) -> float:
        weights = weights_of(free)
        se = np.sqrt(weights @ covariance @ weights)
        mean = size * largest_bias(weights, np.array(times), 4) / se
        grid = np.linspace(0, mean + 6, 20_001)
        cover = norm.cdf(grid - mean) - norm.cdf(-grid - mean)
        return float(se * np.interp(0.95, cover, grid))

    best = min(
        minimize(half_length, start, method="Nelder-Mead", options={"maxfev": 120, "xatol": 1e-4}).fun
        for start in (np.zeros(3),)
    )
    assert half <= best + 1e-6
    assert half >= 0.97 * best


# --- what must not change the answer --------------------------------------------------------------------------------


KINDS: list[dict[str, str]] = [
    {"restriction": "relative_magnitudes"},
    {"restriction": "relative_smoothness"},
    {"restriction": "smoothness"},
    {"restriction": "smoothness", "monotone": "decreasing"},
    {"restriction": "relative_magnitudes", "bias": "negative"},
]


@pytest.mark.parametrize("kind", KINDS)
def test_units_signs_and_order_do_not_matter(bc: tuple[np.ndarray, np.ndarray], kind: dict[str, str]) -> None:
    sizes = np.array([0.5, 1.0]) * (0.1 if kind["restriction"] == "smoothness" else 1.0)
    unit = 1000.0 if kind["restriction"] == "smoothness" else 1.0
    found = honest_bounds(*bc, BC_TIMES, sizes=sizes, draws=999, **kind)
    scaled = honest_bounds(1000 * bc[0], 1e6 * bc[1], BC_TIMES, sizes=unit * sizes, draws=999, **kind)
    assert np.allclose(ends(scaled), 1000 * ends(found), rtol=1e-6)
    assert scaled.breakdown == pytest.approx(unit * found.breakdown, rel=1e-3)
    order = np.random.default_rng(0).permutation(8)
    mixed = honest_bounds(
        bc[0][order], bc[1][np.ix_(order, order)], np.array(BC_TIMES)[order], sizes=sizes, draws=999, **kind
    )
    assert np.array_equal(ends(mixed), ends(found))
    opposite = {"negative": "positive", "decreasing": "increasing"}
    turned = {name: opposite.get(word, word) for name, word in kind.items()}
    flipped = honest_bounds(-bc[0], bc[1], BC_TIMES, sizes=sizes, draws=8_000, **turned)
    again = honest_bounds(*bc, BC_TIMES, sizes=sizes, draws=8_000, **kind)
    assert np.abs(ends(flipped) + ends(again)[:, ::-1]).max() < 1.01 * 40 * found.se / 999


def test_larger_sizes_are_never_narrower_and_none_is_linear_extrapolation() -> None:
    sizes = np.linspace(0, 0.06, 13)
    found = honest_bounds(ACA, ACA_COVARIANCE, ACA_TIMES, restriction="smoothness", sizes=sizes)
    assert (np.diff(ends(found)[:, 0]) < 0).all() and (np.diff(ends(found)[:, 1]) > 0).all()
    # With one coefficient before the base, size 0 extends the line through both: at 0 it has its negative.
    two = honest_bounds(
        [0.3, 1.0], [[0.04, 0.01], [0.01, 0.09]], [-2, 0], restriction="smoothness", sizes=[0]
    )
    se = np.sqrt(0.04 + 0.09 + 2 * 0.01)
    assert np.allclose(ends(two)[0], 1.3 + norm.ppf([0.025, 0.975]) * se)


def test_breakdown_is_where_the_interval_lets_zero_in() -> None:
    for kind, near in (
        ({}, 40 / 999),
        ({"restriction": "smoothness"}, 1e-3),
        ({"restriction": "smoothness", "bias": "positive"}, 40 / 999),
    ):
        first = honest_bounds(ACA, ACA_COVARIANCE, ACA_TIMES, sizes=[0.0], **kind)
        at = first.breakdown
        below, above = honest_bounds(
            ACA, ACA_COVARIANCE, ACA_TIMES, sizes=[0.99 * at, 1.01 * at], **kind
        ).table.itertuples()
        assert below.low > 0 and below.excludes_zero
        assert above.low < near * first.se  # at most a step of the grid above zero
    negative = honest_bounds(ACA, ACA_COVARIANCE, ACA_TIMES, restriction="smoothness", bias="negative")
    assert negative.breakdown == np.inf and "every M" in negative.breakdown_note
    none = honest_bounds([0.0, 0.1], np.eye(2), [-2, 0], sizes=[0])
    assert none.breakdown is None and "already" in none.breakdown_note


def test_even_years_in_other_units_give_the_same() -> None:
    """Half-years counted as 0.5: steps double and bends fourfold, relative sizes stay."""
    times = (np.array(ACA_TIMES) + 1) / 2 - 1
    for restriction, factor in (("relative_magnitudes", 1), ("relative_smoothness", 1), ("smoothness", 4)):
        size = 0.02 if restriction == "smoothness" else 1.0
        whole = honest_bounds(ACA, ACA_COVARIANCE, ACA_TIMES, restriction=restriction, sizes=[size])
        half = honest_bounds(ACA, ACA_COVARIANCE, times, restriction=restriction, sizes=[factor * size])
        assert np.allclose(ends(half), ends(whole), atol=1e-9)
        assert half.notes and not whole.notes


def test_a_linear_trend_across_a_missing_year_is_undone_exactly() -> None:
    times = np.array([-6, -4, -3, -2, 0, 2, 3])
    trend = 0.4 * (times + 1.0)
    truth = trend + np.where(times >= 0, 1.0, 0.0)
    covariance = 1e-8 * (np.eye(7) + 0.5)
    found = honest_bounds(truth, covariance, times, restriction="smoothness", sizes=[0], l_vec={2: 1})
    assert np.allclose(ends(found)[0], 1, atol=1e-3)
    # By relative magnitudes with Mbar 1 the deviation at 2 is up to 3 years of 0.4: between 2.2 - 1.2 and 2.2 + 1.2.
    relative = honest_bounds(truth, covariance, times, sizes=[1], l_vec={2: 1}).table.iloc[0]
    assert relative["set_low"] == pytest.approx(1.0) and relative["set_high"] == pytest.approx(3.4)


def test_coverage_of_the_true_effect() -> None:
    """Deviations of just the size allowed, 200 draws: at most three standard errors below 95 %."""
    rng = np.random.default_rng(11)
    times = np.array([-4.0, -3, -2, 0, 1])
    root = rng.normal(size=(5, 9))
    covariance = 0.01 * root @ root.T / 9
    zigzag = 0.15 * np.array([1.0, 0, 1, 1, 0])  # steps of 0.15 all along: Mbar = 1 is exact
    kink = (
        0.05 * np.array([3.0, 2, 1, 0, 0])
        + 0.05 * np.array([0.0, 0, 0, 1, 3])
        - 0.05 * np.array([0, 0, 0, 2, 4])
    )
    cases = (("relative_magnitudes", zigzag, 1.0), ("smoothness", kink, 0.1))
    for restriction, deviation, size in cases:
        hit = 0
        for one in rng.multivariate_normal(deviation, covariance, size=200):
            posed = problem(
                one,
                covariance,
                Times(pre=times[:3], post=times[3:], base=-1.0),
                np.array([1.0, 0.0]),
                restriction,
                bias=None,
                monotone=None,
                alpha=0.05,
                draws=500,
                seed=0,
                grid_points=200,
            )
            found = interval(posed, size)
            hit += found.low <= 0 <= found.high
        assert hit / 200 > 0.95 - 3 * np.sqrt(0.05 * 0.95 / 200)


# --- effects --------------------------------------------------------------------------------------------------------


def panel_of(n_treated: int, n_units: int, *, years: list[int] | None = None):
    rng = np.random.default_rng(3)
    years = years or list(range(2010, 2018))
    values = rng.normal(size=(n_units, len(years))) + rng.normal(size=(n_units, 1))
    values[:n_treated, np.array(years) >= 2015] += 2.0
    units = [f"u{at:03}" for at in range(n_units)]
    frame = pd.DataFrame(
        {"unit": np.repeat(units, len(years)), "year": np.tile(years, n_units), "y": values.ravel()}
    )
    panel = build_panel(frame, unit="unit", period="year", outcome=["y"])
    return panel, make_design(units, [(2015, years[-1], units[:n_treated])])


def test_effects_are_their_coefficients_and_influence_functions() -> None:
    panel, design = panel_of(25, 80)
    effects = group_time_att(panel, design, outcome="y", base_period="universal")
    found = honest_bounds(effects, sizes=[0, 1])
    shown = aggregate(effects, by="event_time")
    covariance = shown.influence.T @ shown.influence / len(shown.influence) ** 2
    direct = honest_bounds(shown.table["att"], covariance, shown.table["key"], sizes=[0, 1])
    assert np.array_equal(ends(found), ends(direct)) and found.breakdown == direct.breakdown
    assert (found.covariance, direct.covariance) == ("influence", "given")
    assert (found.n_treated, found.n_comparison, found.outcome) == (25, 55, "y")
    assert np.array_equal(ends(honest_bounds(shown, sizes=[0, 1])), ends(found))


def test_the_mean_of_several_years_as_base_is_turned_to_one_base() -> None:
    panel, design = panel_of(25, 80)
    universal = honest_bounds(group_time_att(panel, design, outcome="y", base_period="universal"), sizes=[1])
    effects = group_time_att(panel, design, outcome="y", base_period="pre_mean")
    mean = honest_bounds(effects, sizes=[1])
    assert np.allclose(ends(mean), ends(universal), rtol=1e-9)
    assert mean.event_times == universal.event_times and "measured anew" in mean.notes[0]
    # The original is that of the effects as they were estimated.
    first = effects.cells.loc[effects.cells["event_time"] == 0, "att"].iloc[0]
    assert mean.estimate == pytest.approx(first) and mean.estimate != pytest.approx(universal.estimate)


def test_local_projections_are_against_the_last_year_before_entry() -> None:
    panel, design = panel_of(25, 80)
    found = honest_bounds(local_projection(panel, design, outcome="y", window=(-4, 2)), sizes=[1])
    assert found.base == -1 and found.event_times == (-4, -3, -2, 0, 1, 2)
    # One cohort and nobody treated later: at each time the difference of mean changes since that year.
    universal = honest_bounds(group_time_att(panel, design, outcome="y", base_period="universal"), sizes=[1])
    assert found.estimate == pytest.approx(universal.estimate)


def test_a_path_with_one_year_before_entry_is_against_that_already() -> None:
    """mpdta-like: the first cohort has one period before it, so its mean is its last period."""
    rng = np.random.default_rng(8)
    units = [f"u{at:03}" for at in range(120)]
    frame = pd.DataFrame({"unit": np.repeat(units, 6), "year": np.tile(np.arange(1, 7), 120)})
    frame["y"] = rng.normal(size=720)
    panel = build_panel(frame, unit="unit", period="year", outcome=["y"])
    design = make_design(units, [(2, 6, units[:30]), (4, 6, units[30:60])])
    universal, mean = (
        honest_bounds(group_time_att(panel, design, outcome="y", base_period=base), sizes=[1])
        for base in ("universal", "pre_mean")
    )
    assert np.allclose(ends(mean), ends(universal), rtol=1e-9)


def test_few_treated_units_take_the_covariance_of_the_reference_distribution() -> None:
    panel, design = panel_of(3, 43)
    effects = group_time_att(panel, design, outcome="y", base_period="universal")
    found = honest_bounds(effects, sizes=[0], l_vec="average")
    assert found.covariance == "comparison" and "reference distribution" in found.notes[0]
    # By hand: the change of each comparison unit, averaged over the three years; 3 such units less the mean of 40.
    rest = effects.changes[effects.group < 0][:, effects.cells["event_time"] >= 0].mean(axis=1)
    assert found.se == pytest.approx(np.std(rest, ddof=1) * np.sqrt(1 / 3 + 1 / 40))
    named = honest_bounds(effects, "influence", sizes=[0])
    assert named.covariance == "influence" and "asked for by name" in named.notes[0]


def test_a_covariance_of_few_units_makes_intervals_wider() -> None:
    panel, design = panel_of(3, 43)
    effects = group_time_att(panel, design, outcome="y", base_period="universal")
    found = honest_bounds(effects, sizes=[0], restriction="smoothness")
    assert found.df == 39  # 40 comparison units
    reach = student.ppf(0.975, 39) * found.se
    assert (found.original_low, found.original_high) == pytest.approx(
        (found.estimate - reach, found.estimate + reach)
    )
    with pytest.raises(DesignError, match="bring their own"):
        honest_bounds(effects, sizes=[0], df=10)
    known = honest_bounds(ACA, ACA_COVARIANCE, ACA_TIMES, sizes=[0.5])
    many, few = (honest_bounds(ACA, ACA_COVARIANCE, ACA_TIMES, sizes=[0.5], df=df) for df in (1e9, 12))
    assert known.df is None and np.allclose(ends(many), ends(known), rtol=1e-6)
    assert np.diff(ends(few)[0]) > 1.05 * np.diff(ends(known)[0])


def test_coverage_with_a_covariance_of_twelve_units() -> None:
    """Unit changes that are normal, 400 draws: without degrees of freedom about a fifth would miss the truth."""
    rng = np.random.default_rng(6)
    times = [-5, -4, -3, -2, 0, 1]
    root = np.linalg.cholesky(np.eye(6) + 1)  # coefficients against one noisy base
    missed = {None: 0, 11.0: 0}
    for _ in range(400):
        estimates = root @ rng.normal(size=6)
        changes = root @ rng.normal(size=(6, 11))
        for df in missed:
            given = from_vector(estimates, changes @ changes.T / 11, times, -1, df)
            posed = problem(
                estimates,
                widened(given, "smoothness", 0.05),
                given.times,
                np.array([0.5, 0.5]),
                "smoothness",
                bias=None,
                monotone=None,
                alpha=0.05,
                draws=1,
                seed=0,
                grid_points=50,
            )
            low, high = flci(posed, 0.0)
            missed[df] += not low <= 0 <= high
    assert missed[11.0] / 400 < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 400)
    assert missed[None] / 400 > 0.12


def test_years_without_data_are_said() -> None:
    panel, design = panel_of(25, 80, years=[2010, 2011, 2013, 2014, 2015, 2017])
    found = honest_bounds(group_time_att(panel, design, outcome="y", base_period="universal"), sizes=[1])
    assert found.event_times == (-5, -4, -2, 0, 2)
    assert "not evenly spaced" in found.notes[-1]


# --- bad input ------------------------------------------------------------------------------------------------------


def test_a_covariance_that_is_none_is_refused_with_its_eigenvalue() -> None:
    # Eigenvalues of [[1, 2], [2, 1]]: 3 and -1.
    with pytest.raises(DesignError, match=r"positive semi-definite[^$]*smallest eigenvalue -1"):
        honest_bounds([0.1, 1.0], [[1, 2], [2, 1]], [-2, 0])
    with pytest.raises(DesignError, match="not symmetric"):
        honest_bounds([0.1, 1.0], [[1, 0.5], [0, 1]], [-2, 0])


@pytest.mark.parametrize(
    ("given", "settings", "match"),
    [
        (([0.1, 1.0], np.eye(3), [-2, 0]), {}, r"shape \(3, 3\)"),
        (([0.1, 1.0], np.eye(2), [-2, 0, 1]), {}, "3 times, 2 estimates"),
        (([np.nan, 1.0], np.eye(2), [-2, 0]), {}, "missing or infinite"),
        (([0.1, 1.0], np.eye(2), [-2, -2]), {}, "given twice"),
        (([0.1, 1.0], np.eye(2), [0, 1]), {}, "no coefficient before"),
        (([0.1, 1.0], np.eye(2), [-3, -2]), {}, "no coefficient after"),
        (([0.1, 0.2, 1.0], np.eye(3), [-2, -1, 0]), {}, "base is not zero"),
        (([0.1, 1.0], np.diag([1.0, 0.0]), [-2, 0]), {}, "no variance"),
        (([0.1, 1.0], np.eye(2), [-2, 0]), {"restriction": "relative_smoothness"}, "two or more"),
        (([0.1, 1.0], np.eye(2), [-2, 0]), {"l_vec": [0.0]}, "single out no effect"),
        (([0.1, 1.0], np.eye(2), [-2, 0]), {"l_vec": [1.0, 0.0]}, "as many weights"),
        (([0.1, 1.0], np.eye(2), [-2, 0]), {"l_vec": {3: 1.0}}, "without an effect"),
        (([0.1, 1.0], np.eye(2), [-2, 0]), {"alpha": 1.0}, "alpha is out of range"),
        (([0.1, 1.0], np.eye(2), [-2, 0]), {"sizes": [-1.0]}, "0 or more"),
        (([0.1, 1.0], np.eye(2), [-2, 0]), {"restriction": "RM"}, "relative_magnitudes"),
        (([0.1, 1.0], np.eye(2), [-2, 0]), {"bias": "positive", "monotone": "increasing"}, "not offered"),
        (([0.1, 1.0], np.eye(2), [-2, 0]), {"grid_points": 5}, "too coarse"),
        (([0.1, 1.0], np.eye(2), [-2, 0]), {"sizes": ["a"]}, "0 or more"),
        (([0.1, 1.0], np.eye(2), [-2, 0]), {"l_vec": [1e-300]}, "single out no effect"),
        (([0.1, 1.0], np.eye(2), [-2, 0]), {"base": "-1"}, "out of range[^$]*base"),
        (([0.1, 1.0], np.eye(2), [-2, 0]), {"base": np.nan}, "out of range[^$]*base"),
        (([0.1, 1.0], np.eye(2), [-2, 0]), {"df": 0}, "out of range[^$]*df"),
        (([0.1, 1.0], np.eye(2), [-2, 0]), {"df": np.nan}, "out of range[^$]*df"),
        (([0.1, 0.2, 1.0], np.eye(3), [-3, -2, 0]), {"df": 2, "restriction": "smoothness"}, "too few for so"),
        (([0.1, 1.0],), {}, "covariance and event_times"),
    ],
)
def test_bad_input_is_refused_with_its_reason(given: tuple, settings: dict, match: str) -> None:
    with pytest.raises(DesignError, match=match):
        honest_bounds(*given, **settings)


def test_effects_without_one_base_are_refused_with_what_to_do() -> None:
    panel, design = panel_of(25, 80)
    with pytest.raises(DesignError, match="universal"):
        honest_bounds(group_time_att(panel, design, outcome="y", base_period="varying"))
    with pytest.raises(DesignError, match="what was predicted"):
        honest_bounds(imputation(panel, design, outcome="y"))
    effects = group_time_att(panel, design, outcome="y", base_period="universal")
    with pytest.raises(DesignError, match="by 'simple'"):
        honest_bounds(aggregate(effects, by="simple"))
    few, alone = panel_of(3, 9)
    with pytest.raises(DesignError, match="too few"):
        honest_bounds(group_time_att(few, alone, outcome="y", base_period="universal"))


def test_the_base_may_be_given_with_its_zero() -> None:
    padded = np.zeros((3, 3))
    padded[np.ix_([0, 2], [0, 2])] = [[0.04, 0.01], [0.01, 0.09]]
    with_base = honest_bounds([0.3, 0.0, 1.0], padded, [-2, -1, 0], sizes=[1])
    without = honest_bounds([0.3, 1.0], [[0.04, 0.01], [0.01, 0.09]], [-2, 0], sizes=[1])
    assert np.array_equal(ends(with_base), ends(without))


def test_what_is_given_is_not_changed() -> None:
    estimates, covariance = ACA.copy(), ACA_COVARIANCE.copy()
    honest_bounds(estimates, covariance, ACA_TIMES, sizes=[0])
    assert np.array_equal(estimates, ACA) and np.array_equal(covariance, ACA_COVARIANCE)


def test_an_effect_of_many_standard_errors_is_inside_its_interval() -> None:
    """The grid of R ends at 20 standard errors; ours goes on."""
    found = honest_bounds([0.1, -0.1, 100.0], np.eye(3), [-3, -2, 0], sizes=[1])
    assert found.table["low"].iloc[0] < 100 < found.table["high"].iloc[0]


def test_a_singular_covariance_does_for_fixed_lengths_and_is_refused_by_tests_that_need_more() -> None:
    together = np.outer([1.0, -1.0], [1.0, -1.0])
    found = honest_bounds([0.0, 1.0], together, [-2, 0], restriction="smoothness", sizes=[0.0, 0.5])
    # The weights (1, 1) sum to no variance: what remains is the bend, 0.5 at most.
    assert np.allclose(ends(found), [(1.0, 1.0), (0.5, 1.5)])
    with pytest.raises(DesignError, match="does not vary"):
        honest_bounds([0.0, 1.0], together, [-2, 0], sizes=[1.0])
    # Five coefficients that move as one: for M = 0 the first stage has no length.
    one = np.full((5, 5), 0.01)
    signed = honest_bounds(
        [0.1, -0.1, 0.05, 1.0, 1.2],
        one,
        [-4, -3, -2, 0, 1],
        restriction="smoothness",
        bias="positive",
        sizes=[0.1],
    )
    assert signed.table["low"].iloc[0] > 0 and signed.breakdown > 0.1


# --- the picture ------------------------------------------------------------------------------------------------------


def test_picture_says_where_the_finding_breaks_and_shows_the_usual_interval_first() -> None:
    found = honest_bounds(ACA, ACA_COVARIANCE, ACA_TIMES, sizes=[0.5, 1, 1.5, 2])
    english = plot_honest(found, about=About(outcome="Insured"))
    finnish = plot_honest(found, texts=Texts("fi"))
    assert f"Mbar = {found.breakdown:.2f}" in english.headline and english.headline in english.alt
    assert english.data.rows[0][1] == "+0.0285 to +0.0644"
    assert english.data.rows[1][1] == "+0.0240 to +0.0672"
    assert finnish.alt != english.alt and "{" not in finnish.alt + finnish.subtitle + finnish.headline
    never = honest_bounds(ACA, ACA_COVARIANCE, ACA_TIMES, restriction="smoothness", bias="negative")
    assert "however large" in plot_honest(never).headline
    already = honest_bounds([0.0, 0.1], np.eye(2), [-2, 0], sizes=[0, 1])
    assert "Mbar = 0" in plot_honest(already).headline
