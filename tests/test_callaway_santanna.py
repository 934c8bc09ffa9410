"""Callaway-Sant'Anna against R's did, published figures, stacked moment conditions and hand calculations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize

from mekeval import (
    DataError,
    DesignError,
    aggregate,
    build_panel,
    contrast,
    design_from_cohorts,
    group_time_att,
    make_design,
)
from mekeval.design import Design
from mekeval.estimate import Effects, unit_changes
from mekeval.estimate.callaway_santanna import callaway_santanna
from mekeval.estimate.doubly_robust import prepare_two_by_two, two_by_two_att
from mekeval.panel import Panel

TOLERANCE = 1e-7  # the reference is rounded to 8 digits
PUBLISHED = 6e-8  # seven digits
R = pd.read_csv(Path(__file__).parents[1] / "reference" / "r_reference.csv")
METHODS = ("dr", "reg", "ipw")


def _panel(frame: pd.DataFrame, last: int) -> tuple[Panel, Design]:
    """A panel of `id`, `time` and the other columns, and its design from `g`, where 0 is never."""
    outcomes = [name for name in frame.columns if name not in ("id", "time", "g")]
    panel = build_panel(frame, unit="id", period="time", outcome=outcomes)
    first = frame.drop_duplicates("id").set_index("id")["g"]
    first.index = first.index.astype(str)
    cohorts = [pd.NA if first[unit] == 0 else int(first[unit]) for unit in panel.units]
    return panel, design_from_cohorts(panel.units, cohorts, last_period=last)


@pytest.fixture(scope="module")
def mpdta(reference: Path) -> tuple[Panel, Design]:
    """County teen employment: 500 counties, 2003-2007, cohorts 2004, 2006, 2007 and never (0 in the file)."""
    data = pd.read_csv(reference / "mpdta.csv")
    frame = data.rename(columns={"countyreal": "id", "year": "time", "first.treat": "g"})
    return _panel(frame[["id", "time", "g", "lemp", "lpop"]], 2007)


def _formula(
    n_units: int, cohorts: Sequence[int], n_periods: int = 4
) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Ids from 1 in equal blocks of cohorts, times from 1; for panels that a formula defines."""
    frame = pd.DataFrame(
        {
            "id": np.repeat(np.arange(1, n_units + 1), n_periods),
            "time": np.tile(np.arange(1, n_periods + 1), n_units),
            "g": np.repeat(cohorts, n_units // len(cohorts) * n_periods),
        }
    )
    return frame, frame["id"].to_numpy(), frame["time"].to_numpy()


def _cells(effects: Effects) -> dict[tuple[int, int], tuple[float, float]]:
    return {(row.cohort, row.period): (row.att, row.se) for row in effects.tidy().itertuples()}


def _norms(effects: Effects) -> dict[tuple[int, int], float]:
    """Norms of the influence functions: what did prints as errors, where none is printed here too."""
    assert effects.influence is not None
    norms = np.sqrt((effects.influence**2).sum(axis=0)) / effects.n_units
    return {(row.cohort, row.period): norms[at] for at, row in enumerate(effects.cells.itertuples())}


# --- R's did on mpdta ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("case", "comparison"), [("mpdta_cs_never", "never_treated"), ("mpdta_cs_notyet", "not_yet_treated")]
)
def test_every_figure_agrees_with_r(mpdta: tuple[Panel, Design], case: str, comparison: str) -> None:
    effects = callaway_santanna(*mpdta, outcome="lemp", comparison=comparison)
    found = {f"att_{cohort}_{period}": figures for (cohort, period), figures in _cells(effects).items()}
    for by, quantity in (
        ("simple", "simple"),
        ("path", "group_overall"),
        ("calendar", "calendar_overall"),
        ("event_time", "dynamic_overall"),
    ):
        one = aggregate(effects, by=by)
        found[quantity] = (one.overall, one.overall_se)
    for row in aggregate(effects, by="event_time").table.itertuples():
        found[f"es_{row.key}"] = (row.att, row.se)
    expected = R[R["case"] == case].set_index("quantity")
    assert set(found) == set(expected.index)
    for quantity, figures in found.items():
        row = expected.loc[quantity]
        assert figures == pytest.approx((row["estimate"], row["se"]), abs=TOLERANCE), quantity


# What Stata's csdid prints for `csdid lemp lpop, method(dripw)`, as published by its author (F. Rios-Avila, "Event
# Study: Difference-in-differences with multiple periods"); the doubly robust default of did, analytic errors.
STATA = {
    (2004, 2004): (-0.0145297, 0.0221292),
    (2004, 2005): (-0.0764219, 0.0286713),
    (2004, 2006): (-0.1404483, 0.0353782),
    (2004, 2007): (-0.1069039, 0.0328865),
    (2006, 2004): (-0.0004721, 0.0222234),
    (2006, 2005): (-0.0062025, 0.0184957),
    (2006, 2006): (0.0009606, 0.0194002),
    (2006, 2007): (-0.0412939, 0.0197211),
    (2007, 2004): (0.0267278, 0.0140657),
    (2007, 2005): (-0.0045766, 0.0157178),
    (2007, 2006): (-0.0284475, 0.0181809),
    (2007, 2007): (-0.0287814, 0.016239),
}
STATA_AGGREGATED = {
    "simple": {"simple": (-0.0417518, 0.0115028)},
    "calendar": {
        2004: (-0.0145297, 0.0221292),
        2005: (-0.0764219, 0.0286713),
        2006: (-0.0461757, 0.0212107),
        2007: (-0.0395822, 0.0129299),
    },
    "path": {
        "2004-2007": (-0.0845759, 0.0245649),
        "2006-2007": (-0.0201666, 0.0174696),
        "2007-2007": (-0.0287814, 0.016239),
    },
    "event_time": {
        -3: (0.0267278, 0.0140657),
        -2: (-0.0036165, 0.0129283),
        -1: (-0.023244, 0.0144851),
        0: (-0.0210604, 0.0114942),
        1: (-0.0530032, 0.0163465),
        2: (-0.1404483, 0.0353782),
        3: (-0.1069039, 0.0328865),
    },
}


def test_published_figures_with_a_covariate(mpdta: tuple[Panel, Design]) -> None:
    effects = callaway_santanna(*mpdta, outcome="lemp", covariates=["lpop"])
    found = _cells(effects)
    assert set(found) == set(STATA)
    for cell, figures in STATA.items():
        assert found[cell] == pytest.approx(figures, abs=PUBLISHED), cell
    for by, rows in STATA_AGGREGATED.items():
        table = aggregate(effects, by=by).table.set_index("key")  # type: ignore[arg-type]
        assert set(table.index) == set(rows)
        for key, figures in rows.items():
            assert (table.loc[key, "att"], table.loc[key, "se"]) == pytest.approx(figures, abs=PUBLISHED), key


def test_published_figures_with_a_covariate_against_the_not_yet_treated(mpdta: tuple[Panel, Design]) -> None:
    # The reference manual of did, example of att_gt with xformla = ~lpop and control_group = "notyettreated"; its
    # standard errors are drawn, so only the estimates are compared.
    printed = {
        2004: (-0.0212, -0.0816, -0.1382, -0.1069),
        2006: (-0.0075, -0.0046, 0.0087, -0.0413),
        2007: (0.0269, -0.0042, -0.0284, -0.0288),
    }
    found = _cells(
        callaway_santanna(*mpdta, outcome="lemp", covariates=["lpop"], comparison="not_yet_treated")
    )
    for cohort, row in printed.items():
        for period, att in zip(range(2004, 2008), row, strict=True):
            assert found[cohort, period][0] == pytest.approx(att, abs=5.1e-5)


# --- R's did 2.5.1 on a panel with covariates and weights that change over time ------------------------------------
# Figures that did 2.5.1 prints (weightsname = "wt", xformla = ~ x1 + x2, never-treated, analytic errors), from the
# conformance fixtures of the Stata package csdid (f012). The panel is a formula, so nothing is drawn.
R_WEIGHTED: Mapping[str, Sequence[tuple[float, float]]] = {
    "dr": (
        (-0.0004243887820231, 0.00286483314650577),
        (0.74957378216886, 0.00297066751350164),
        (0.849186423350562, 0.00598154387513642),
        (0.000327940253460675, 0.00312055100706893),
        (0.000323868734767775, 0.00303959611884181),
        (0.790288459924418, 0.00296480374101673),
    ),
    "reg": (
        (-0.00038086105952384, 0.00285680166857273),
        (0.74960624740915, 0.00295735426098901),
        (0.84923754184824, 0.00595657324646777),
        (0.000316613264452925, 0.00312402728570099),
        (0.00031462657038267, 0.00304450360638337),
        (0.79028206080408, 0.00296882431496197),
    ),
    "ipw": (
        (-0.000471960649096215, 0.00287414674713495),
        (0.749520095942257, 0.00299128900996349),
        (0.849079118683498, 0.0060320992831737),
        (0.000371827211615106, 0.00314301081351749),
        (0.000365333944360502, 0.0030481384825474),
        (0.790323249722081, 0.00296102195915948),
    ),
}
R_CELLS = ((3, 2), (3, 3), (3, 4), (4, 2), (4, 3), (4, 4))


@pytest.fixture(scope="module")
def weighted() -> tuple[Panel, Design]:
    frame, i, t = _formula(48, [3, 4, 0])
    g = frame["g"].to_numpy()
    x1, x2 = np.sin(0.5 * (i % 6)) + 0.12 * t, np.cos(0.7 * (i % 5)) - 0.08 * t
    effect = np.where((g > 0) & (t >= g), 0.75 + 0.1 * (t - g) + 0.04 * (g == 4), 0)
    y = 0.4 * t + 0.32 * x1 - 0.18 * x2 + 0.03 * (i % 4) + effect + 0.04 * np.sin(0.8 * i + 0.3 * t)
    return _panel(frame.assign(y=y, x1=x1, x2=x2, wt=1 + 0.015 * i + 0.18 * t + 0.04 * (g == 4)), 4)


@pytest.mark.parametrize("method", METHODS)
def test_covariates_and_weights_of_the_earlier_period_agree_with_r(
    weighted: tuple[Panel, Design], method: str
) -> None:
    effects = callaway_santanna(*weighted, outcome="y", covariates=["x1", "x2"], weights="wt", method=method)
    for cell, figures in zip(R_CELLS, R_WEIGHTED[method], strict=True):
        assert _cells(effects)[cell] == pytest.approx(figures, abs=1e-10)


def test_weights_without_covariates_agree_with_r(weighted: tuple[Panel, Design]) -> None:
    figures = (
        (0.000113441463401335, 0.00298268989817142),
        (0.750134735504571, 0.00296633254792058),
        (0.850284453386405, 0.00585739237363678),
        (5.78745248702572e-05, 0.00297233320806865),
        (6.61989588388607e-05, 0.00295921882988167),
        (0.790067776139315, 0.00295848747477299),
    )
    for method in METHODS:  # without covariates they are one
        found = _cells(callaway_santanna(*weighted, outcome="y", weights="wt", method=method))
        for cell, expected in zip(R_CELLS, figures, strict=True):
            assert found[cell] == pytest.approx(expected, abs=1e-10)


# The same panel and package, `aggte` of the doubly robust fit with covariates (analytic errors), from the same
# fixtures: overall, then each key. Paths are weighted by the weights of the first period.
R_WEIGHTED_AGGREGATED = {
    "simple": (
        (0.795945722509615, 0.00347450942033638),
        {"simple": (0.795945722509615, 0.00347450942033638)},
    ),
    "path": (
        (0.79439461640357, 0.00316065284547395),
        {"3-4": (0.799380102759711, 0.0044653293473591), "4-4": (0.790288459924418, 0.00296480374101673)},
    ),
    "calendar": (
        (0.783231481526723, 0.00415437169542333),
        {3: (0.74957378216886, 0.00297066751350164), 4: (0.816889180884585, 0.00634694802196143)},
    ),
    "event_time": (
        (0.810543237636559, 0.00441748303782696),
        {
            -2: (0.000327940253460675, 0.00312055100706893),
            -1: (-1.40748587396752e-05, 0.00247295241734717),
            0: (0.771900051922556, 0.00434682080165418),
            1: (0.849186423350562, 0.00598154387513642),
        },
    ),
}


def test_weighted_aggregations_agree_with_r(weighted: tuple[Panel, Design]) -> None:
    effects = callaway_santanna(*weighted, outcome="y", covariates=["x1", "x2"], weights="wt")
    for by, (overall, rows) in R_WEIGHTED_AGGREGATED.items():
        found = aggregate(effects, by=by)  # type: ignore[arg-type]
        assert (found.overall, found.overall_se) == pytest.approx(overall, abs=1e-10), by
        table = found.table.set_index("key")
        assert set(table.index) == set(rows)
        for key, figures in rows.items():
            assert (table.loc[key, "att"], table.loc[key, "se"]) == pytest.approx(figures, abs=1e-10), (
                by,
                key,
            )


def test_weighted_shares_by_hand(weighted: tuple[Panel, Design]) -> None:
    # Weights of period 1 are 1.18 + 0.015 i for units 1 to 16 (cohort 3), 1.22 + 0.015 i for 17 to 32 (cohort 4):
    # 16 * 1.18 + 0.015 * 136 = 20.92 and 16 * 1.22 + 0.015 * 392 = 25.4. Cells after entry: (3, 3), (3, 4), (4, 4).
    effects = callaway_santanna(*weighted, outcome="y", weights="wt")
    att = {cell: figures[0] for cell, figures in _cells(effects).items()}
    expected = (20.92 * (att[3, 3] + att[3, 4]) + 25.4 * att[4, 4]) / (2 * 20.92 + 25.4)
    assert aggregate(effects, by="simple").overall == pytest.approx(expected, abs=1e-12)


# did 2.5.1, the same fixtures, `fix_weights`: cells with covariates ("dr"), and the simple average with its error.
R_FIXED = {
    "base_period": (
        (
            (-0.000427004074509558, 0.00286785451039121),
            (0.74957378216886, 0.00297066751350164),
            (0.849186423350562, 0.00598154387513642),
            (0.000330535688119265, 0.00311563292126302),
            (0.000323967324384181, 0.00303764793341178),
            (0.790288459924418, 0.00296480374101673),
        ),
        (0.795945722509615, 0.00347450942033638),
    ),
    "first_period": (
        (
            (-0.0004243887820231, 0.00286483314650577),
            (0.749578354412873, 0.00296747729850011),
            (0.849197116365173, 0.00597574312934197),
            (0.000327940253460675, 0.00312055100706893),
            (0.000324013837291926, 0.0030420124690802),
            (0.790291144230033, 0.00296777459879809),
        ),
        (0.795951485903027, 0.00347161985894316),
    ),
}


@pytest.mark.parametrize("fix_weights", list(R_FIXED))
def test_fixed_weights_agree_with_r(weighted: tuple[Panel, Design], fix_weights: str) -> None:
    effects = callaway_santanna(
        *weighted, outcome="y", covariates=["x1", "x2"], weights="wt", fix_weights=fix_weights
    )
    cells, simple = R_FIXED[fix_weights]
    for cell, figures in zip(R_CELLS, cells, strict=True):
        assert _cells(effects)[cell] == pytest.approx(figures, abs=1e-10)
    found = aggregate(effects, by="simple")
    assert (found.overall, found.overall_se) == pytest.approx(simple, abs=1e-10)


def test_fixed_weights_are_those_of_one_period(weighted: tuple[Panel, Design]) -> None:
    # With the weights of one period in all of them, every choice is the same.
    panel, design = weighted
    still = np.repeat(panel.values["wt"][:, :1], 4, axis=1)
    flat = _with(panel, flat=still)
    expected = callaway_santanna(flat, design, outcome="y", weights="flat").tidy()
    first = callaway_santanna(panel, design, outcome="y", weights="wt", fix_weights="first_period").tidy()
    pd.testing.assert_frame_equal(first, expected)
    based = callaway_santanna(flat, design, outcome="y", weights="flat", fix_weights="base_period").tidy()
    pd.testing.assert_frame_equal(based, expected)


@pytest.mark.parametrize("base_period", ["varying", "universal"])
def test_anticipation_agrees_with_r(base_period: str) -> None:
    # did 2.5.1, from the same fixtures (f009): a dip of 0.4 in the year before entry. With one year of anticipation
    # the effects are 0.4 smaller, since the base moves before the dip. did's errors are zero
    # where nothing varies; such an error is left out here, with the reason.
    frame, i, t = _formula(60, [3, 5, 0], 5)
    g = frame["g"].to_numpy()
    dip = np.where((g > 0) & (t == g - 1), -0.4, 0)
    effect = np.where((g > 0) & (t >= g), 0.9 + 0.15 * (t - g), 0)
    panel, design = _panel(frame.assign(y=0.07 * (i % 9) + 0.25 * t + dip + effect + 0.015 * i * (t == 5)), 5)
    expected = {
        0: {(3, 2): -0.4, (3, 3): 1.3, (3, 4): 1.45, (3, 5): 1.0, (5, 3): 0.0, (5, 4): -0.4, (5, 5): 1.0},
        1: {(3, 2): -0.4, (3, 3): 0.9, (3, 4): 1.05, (3, 5): 0.6, (5, 2): 0.0, (5, 4): -0.4, (5, 5): 0.6},
    }
    for anticipation, figures in expected.items():
        effects = callaway_santanna(
            panel, design, outcome="y", anticipation=anticipation, base_period=base_period, method="reg"
        )
        found, norms = _cells(effects), _norms(effects)
        for cell, att in figures.items():
            if base_period == "universal" and cell[1] < cell[0]:
                continue
            assert found[cell][0] == pytest.approx(att, abs=1e-12), cell
            error = 0.0273518737932157 if cell[1] == 5 else 0.0
            assert norms[cell] == pytest.approx(error, abs=1e-12), cell
            assert pd.isna(found[cell][1]) == (error == 0), cell


# --- an implementation of another kind: stacked moment conditions --------------------------------------------------


def _stacked(
    change: np.ndarray, treated: np.ndarray, x: np.ndarray, w: np.ndarray, method: str
) -> tuple[float, np.ndarray]:
    """ATT and influence function as an M-estimator: psi = -A^-1 g with a numerical Jacobian A of the mean moments.

    Parameters: logit coefficients, coefficients of the comparison's regression, the two (weighted) means.
    """
    n, k = len(change), x.shape[1] + 1
    design = np.column_stack([np.ones(n), x])
    d = treated.astype(float)

    def moments(theta: np.ndarray) -> np.ndarray:
        gamma, beta, (on, off) = theta[:k], theta[k : 2 * k], theta[2 * k :]
        p = 1 / (1 + np.exp(-design @ gamma))
        r = change if method == "ipw" else change - design @ beta
        odds = w * (1 - d) * p / (1 - p) * (p < 0.995)
        return np.column_stack(
            [
                (w * (d - p))[:, None] * design,
                (w * (1 - d) * (change - design @ beta))[:, None] * design,
                w * d * (r - on),
                odds * (r - off) if method != "reg" else -np.full(n, off),
            ]
        )

    def loss(gamma: np.ndarray) -> float:
        eta = design @ gamma
        return float(w @ (np.logaddexp(0, eta) - d * eta))

    gamma = minimize(loss, np.zeros(k), method="BFGS", options={"gtol": 1e-9}).x
    for _ in range(3):  # polished by plain Newton steps
        p = 1 / (1 + np.exp(-design @ gamma))
        gamma = gamma + np.linalg.solve(
            design.T @ ((w * p * (1 - p))[:, None] * design), design.T @ (w * (d - p))
        )
    root = np.sqrt(w * (1 - d))
    beta = np.linalg.lstsq(root[:, None] * design, root * change, rcond=None)[0]
    p = 1 / (1 + np.exp(-design @ gamma))
    r = change if method == "ipw" else change - design @ beta
    odds = w * (1 - d) * p / (1 - p) * (p < 0.995)
    off = 0.0 if method == "reg" else np.average(r, weights=odds)
    theta = np.concatenate([gamma, beta, [np.average(r, weights=w * d), off]])
    step = 1e-6
    jacobian = np.column_stack(
        [
            (moments(theta + step * unit).mean(axis=0) - moments(theta - step * unit).mean(axis=0))
            / (2 * step)
            for unit in np.eye(len(theta))
        ]
    )
    psi = -np.linalg.solve(jacobian, moments(theta).T).T
    return theta[-2] - theta[-1], psi[:, -2] - psi[:, -1]


@pytest.fixture(scope="module")
def drawn() -> tuple[Panel, Design]:
    """120 units over seven years, one of them without data; x moves with the trend and with who is treated."""
    rng = np.random.default_rng(7)
    n, years = 120, np.array([2001, 2002, 2004, 2005, 2006, 2007])
    z = rng.normal(size=n)
    g = np.array([2004, 2006, 2007, 0])[
        np.minimum(3, np.floor(rng.uniform(0, 4, n) + 0.4 * (z < 0)).astype(int))
    ]
    x = z[:, None] + 0.3 * rng.normal(size=(n, len(years)))
    weight = rng.uniform(0.5, 2, size=(n, len(years)))
    on = (g[:, None] > 0) & (years >= g[:, None])
    y = z[:, None] * (years - 2000) / 10 + rng.normal(size=(n, 1)) + on + rng.normal(size=(n, len(years))) / 2
    frame = pd.DataFrame(
        {
            "id": np.repeat(np.arange(n), len(years)),
            "time": np.tile(years, n),
            "g": np.repeat(g, len(years)),
            "y": y.ravel(),
            "x": x.ravel(),
            "x2": (x**2).ravel(),
            "w": weight.ravel(),
        }
    )
    return _panel(frame, 2007)


@pytest.mark.parametrize("weights", [None, "w"])
@pytest.mark.parametrize("method", METHODS)
def test_every_cell_agrees_with_stacked_moments(
    drawn: tuple[Panel, Design], method: str, weights: str | None
) -> None:
    panel, design = drawn
    effects = callaway_santanna(
        panel,
        design,
        outcome="y",
        comparison="not_yet_treated",
        base_period="universal",
        covariates=["x", "x2"],
        method=method,
        weights=weights,
    )
    assert effects.units == (*design.treated, *design.comparison)
    rows = [panel.units.index(unit) for unit in effects.units]
    cohort = design.cohort.reindex(list(effects.units)).astype("Float64").fillna(np.inf).to_numpy(dtype=float)
    for at, cell in enumerate(effects.cells.itertuples()):
        base, period = int(cell.base), cell.period
        rest = (cohort > max(period, base)) & (cohort != cell.cohort)
        inside = (cohort == cell.cohort) | rest
        here = np.array(rows)[inside]
        column, before = panel.periods.index(period), panel.periods.index(base)
        early = min(column, before)
        change = panel.values["y"][here, column] - panel.values["y"][here, before]
        x = np.column_stack([panel.values[name][here, early] for name in ("x", "x2")])
        w = np.ones(len(here)) if weights is None else panel.values[weights][here, early]
        att, psi = _stacked(change, cohort[inside] == cell.cohort, x, w / w.mean(), method)
        assert cell.att == pytest.approx(att, abs=1e-9)
        assert (cell.n_treated, cell.n_comparison) == (len(here) - rest.sum(), rest.sum())
        assert effects.influence is not None
        expected = np.zeros(effects.n_units)
        expected[inside] = effects.n_units / len(here) * psi
        assert effects.influence[:, at] == pytest.approx(expected, abs=1e-5)
        assert effects.influence[:, at].sum() == pytest.approx(0, abs=1e-8)


def test_comparison_units_that_are_almost_surely_treated_get_no_weight() -> None:
    # The covariate is 0 for 10 treated and 10 comparison units, 1 for 399 treated and one comparison unit, whose score
    # is 399/400 = 0.9975: trimmed. The other ten have odds of 1, so the comparison is their plain mean.
    treated = np.array([True] * 10 + [False] * 10 + [True] * 399 + [False])
    x = np.repeat([0.0, 1.0], [20, 400])[:, None]
    change = np.concatenate([np.full(10, 2.0), np.arange(10.0), np.full(399, 5.0), [1000.0]])
    att, _ = two_by_two_att(prepare_two_by_two(treated, covariates=x, names=["x"], method="ipw"), change)
    assert att == pytest.approx((10 * 2 + 399 * 5) / 409 - 4.5, abs=1e-9)


# --- comparison, base and paths by hand ----------------------------------------------------------------------------
# Unit a enters in 3, b in 4, c in 5, d and e never; period 2 has no data.
HAND = pd.DataFrame(
    {
        "id": np.repeat(list("abcde"), 4),
        "time": [1, 3, 4, 5] * 5,
        "y": [10.0, 14, 15, 19, 8, 11, 9, 12, 6, 7, 12, 20, 4, 5, 7, 8, 2, 5, 3, 6],
    }
)
STAGGERED = [(3, 5, ["a"]), (4, 5, ["b"]), (5, 5, ["c"])]


def _hand(
    waves: Sequence[tuple[int, int, Sequence[str]]] = STAGGERED, units: str = "abcde"
) -> tuple[Panel, Design]:
    return build_panel(HAND, unit="id", period="time", outcome=["y"]), make_design(list(units), waves)


def test_the_not_yet_treated_by_hand() -> None:
    found = _cells(callaway_santanna(*_hand(), outcome="y", comparison="not_yet_treated"))
    assert found[3, 3][0] == pytest.approx(4 - (3 + 1 + 1 + 3) / 4)  # 1 -> 3 of a against b, c, d, e
    assert found[3, 4][0] == pytest.approx(5 - (6 + 3 + 1) / 3)  # 1 -> 4 of a against c, d, e
    assert found[3, 5][0] == pytest.approx(9 - (4 + 4) / 2)
    assert found[4, 3][0] == pytest.approx(3 - (1 + 1 + 3) / 3)  # before entry: 1 -> 3 of b against c, d, e
    assert found[5, 3][0] == pytest.approx(1 - (3 + 1 + 3) / 3)  # b is not treated in 3 yet
    assert found[5, 4][0] == pytest.approx(5 - (2 - 2) / 2)


def test_anticipation_moves_base_and_comparison() -> None:
    # With a year of anticipation b may react in 3 and c in 4, so in 3 a has only c, d, e to be compared with; the
    # last period before b reacts is 1 (its cohort 4 minus 1 is 3), and a, who enters in 3, has 1 as well.
    found = callaway_santanna(*_hand(), outcome="y", comparison="not_yet_treated", anticipation=1)
    cells = _cells(found)
    assert cells[3, 3][0] == pytest.approx(4 - (1 + 1 + 3) / 3)
    assert cells[3, 4][0] == pytest.approx(5 - (3 + 1) / 2)
    assert cells[4, 4][0] == pytest.approx(1 - (3 + 1) / 2)  # 1 -> 4 of b against d, e: c may react in 4
    assert cells[5, 5][0] == pytest.approx(13 - (3 + 1) / 2)  # 3 -> 5
    assert dict(zip(found.cells["cohort"], found.cells["base"], strict=True)) == {3: "1", 4: "1", 5: "3"}


def test_years_of_anticipation_take_the_preceding_period_or_the_universal_base() -> None:
    for base_period, base in (("varying", "3"), ("universal", "1")):
        panel, design = _hand([(5, 5, ["c"])], "cde")
        cells = callaway_santanna(panel, design, outcome="y", anticipation=2, base_period=base_period).cells
        at = cells.set_index("period")
        assert at.loc[4, "base"] == base
        assert at.loc[4, "phase"] == "pre"
        assert at.loc[5, "base"] == "1"


def test_a_universal_base_before_entry() -> None:
    # c, base 4: the effect in 1 is the change back, 4 -> 1; the comparison must not be treated in 4 either: d, e.
    cells = callaway_santanna(
        *_hand(), outcome="y", comparison="not_yet_treated", base_period="universal"
    ).cells
    at = cells.set_index(["cohort", "period"])
    assert at.loc[(5, 1), "att"] == pytest.approx((6 - 12) - ((4 - 7) + (2 - 3)) / 2)
    assert at.loc[(5, 1), "n_comparison"] == 2
    assert (5, 4) not in at.index  # zero by construction
    assert list(cells["phase"].unique()) == ["on", "pre"]


def test_the_last_cohort_stands_in_where_nobody_is_never_treated() -> None:
    panel, design = _hand()
    everybody = replace(design, comparison=())
    effects = callaway_santanna(panel, everybody, outcome="y", comparison="not_yet_treated")
    found = _cells(effects)
    assert set(found) == {
        (3, 3),
        (3, 4),
        (4, 3),
        (4, 4),
    }  # c is comparison only, and its first treated year goes
    assert found[3, 4][0] == pytest.approx(5 - 6)
    assert effects.group[effects.units.index("c")] == -1
    with pytest.raises(DesignError, match="No never-treated unit"):
        callaway_santanna(panel, everybody, outcome="y")
    with pytest.raises(DesignError, match="No never-treated unit"):
        callaway_santanna(panel, everybody, outcome="y", comparison="not_yet_treated", anticipation=3)


def test_units_that_leave_have_a_path_of_their_own_and_never_serve_as_comparison() -> None:
    panel, design = _hand([(3, 5, ["a"]), (3, 3, ["b"]), (5, 5, ["c"])])
    cells = callaway_santanna(panel, design, outcome="y", comparison="not_yet_treated").cells
    at = cells.set_index(["path", "period"])
    assert list(cells.loc[cells["path"] == "3-3", "phase"]) == ["on", "after", "after"]
    assert at.loc[("3-3", 4), "att"] == pytest.approx(1 - (6 + 3 + 1) / 3)
    assert at.loc[("3-5", 4), "n_comparison"] == 3  # c, d, e; not b, who left
    assert at.loc[("3-5", 3), "n_comparison"] == 3  # nor b in its own first year


def test_a_unit_alone_has_no_standard_error_and_says_so() -> None:
    table = callaway_santanna(*_hand(), outcome="y").tidy()
    assert table["se"].isna().all()
    assert table["se_note"].str.contains("one treated unit").all()


# --- gaps ----------------------------------------------------------------------------------------------------------


def _without(panel: Panel, name: str, gaps: Sequence[tuple[str, int]]) -> Panel:
    values, reasons = panel.values[name].copy(), panel.reasons[name].copy()
    for unit, year in gaps:
        at = panel.units.index(unit), panel.periods.index(year)
        values[at], reasons[at] = np.nan, "confidential"
    return replace(panel, values={**panel.values, name: values}, reasons={**panel.reasons, name: reasons})


def test_a_gap_leaves_out_only_the_cells_that_need_it() -> None:
    panel, design = _hand([(4, 5, ["a", "b"])], "abcde")
    gappy = _without(_without(panel, "y", [("d", 4)]), "y", [("b", 1)])
    effects = callaway_santanna(gappy, design, outcome="y")
    cells = effects.cells.set_index("period")
    assert cells.loc[3, "att"] == pytest.approx(4 - (1 + 1 + 3) / 3)  # 1 -> 3: a; c, d, e
    assert cells.loc[4, "att"] == pytest.approx((1 - 2) / 2 - (5 - 2) / 2)  # 3 -> 4: a, b; c, e
    assert cells.loc[5, "att"] == pytest.approx((5 + 1) / 2 - (13 + 3 + 1) / 3)
    assert list(cells["n_treated"]) == [1, 2, 2]
    assert list(cells["n_comparison"]) == [3, 2, 3]
    assert effects.n_rows == 18
    assert effects.dropped == ()
    assert effects.changes is None
    # 3 -> 4: deviations +-1.5 of two treated (1, -2), +-3.5 of two comparison units (5, -2): variance of each mean is
    # 2 * 1.5**2 / 2**2 and 2 * 3.5**2 / 2**2 with divisor n, as in did.
    assert effects.tidy().set_index("period").loc[4, "se"] == pytest.approx(np.sqrt((1.5**2 + 3.5**2) / 2))
    assert effects.influence is not None
    assert effects.influence[effects.units.index("d"), 1] == 0


def test_units_with_gaps_can_be_dropped_whole_as_did_does_by_default(drawn: tuple[Panel, Design]) -> None:
    panel, design = drawn
    treated, never = design.paths[0].units[0], design.comparison[0]
    gappy = _without(_without(panel, "y", [(treated, 2005)]), "x", [(never, 2002)])
    options = {"outcome": "y", "covariates": ["x"]}
    effects = callaway_santanna(gappy, design, missing="drop_units", **options)  # type: ignore[arg-type]
    assert effects.dropped == ((treated, "confidential", 2005), (never, "x confidential", 2002))
    smaller = replace(
        design,
        paths=(replace(design.paths[0], units=design.paths[0].units[1:]), *design.paths[1:]),
        comparison=design.comparison[1:],
    )
    whole = callaway_santanna(panel, smaller, **options)  # type: ignore[arg-type]
    pd.testing.assert_frame_equal(effects.cells, whole.cells)
    assert effects.influence == pytest.approx(whole.influence)
    by_cell = callaway_santanna(gappy, design, **options)  # type: ignore[arg-type]
    assert by_cell.n_units == len(panel.units)
    at = by_cell.cells.set_index(["cohort", "period"])
    full = effects.cells.set_index(["cohort", "period"])
    assert at.loc[(2004, 2007), "n_treated"] == full.loc[(2004, 2007), "n_treated"] + 1
    assert at.loc[(2004, 2005), "n_treated"] == full.loc[(2004, 2005), "n_treated"]


def test_a_path_without_its_base_does_not_enter_and_says_why() -> None:
    panel, design = _hand()
    effects = callaway_santanna(_without(panel, "y", [("b", 3)]), design, outcome="y")
    assert effects.dropped == (("b", "confidential", 3),)
    assert "b" not in effects.units
    assert set(effects.cells["cohort"]) == {3, 5}


def test_weights_of_zero_take_a_unit_out() -> None:
    panel, design = _hand([(4, 5, ["a", "b"])])
    weight = np.ones_like(panel.values["y"])
    weight[panel.units.index("c")] = 0
    gappy = replace(
        panel,
        values={**panel.values, "w": weight},
        reasons={**panel.reasons, "w": np.full(weight.shape, "ok", dtype="U32")},
    )
    effects = callaway_santanna(gappy, design, outcome="y", weights="w")
    assert effects.dropped == (("c", "in no comparison", 1),)
    without = replace(design, comparison=("d", "e"))
    assert list(effects.cells["att"]) == pytest.approx(
        list(callaway_santanna(panel, without, outcome="y").cells["att"])
    )


# --- agreement and invariances -------------------------------------------------------------------------------------


@pytest.mark.parametrize("base_period", ["varying", "universal"])
def test_without_covariates_it_is_the_group_time_estimator(
    drawn: tuple[Panel, Design], base_period: str
) -> None:
    one = callaway_santanna(*drawn, outcome="y", base_period=base_period)
    other = group_time_att(*drawn, outcome="y", base_period=base_period)
    pd.testing.assert_frame_equal(one.cells, other.cells)
    assert (one.units, one.n_rows, one.dropped) == (other.units, other.n_rows, other.dropped)
    assert np.array_equal(one.group, other.group)
    for name in ("influence", "changes", "exposure"):
        assert getattr(one, name) == pytest.approx(getattr(other, name))


def test_changes_are_there_only_where_the_estimate_is_made_of_them(drawn: tuple[Panel, Design]) -> None:
    plain = callaway_santanna(*drawn, outcome="y")
    weights = aggregate(plain, by="simple").weights[0]
    assert contrast(plain, weights, label="all").att == pytest.approx(aggregate(plain, by="simple").overall)
    for options in ({"comparison": "not_yet_treated"}, {"covariates": ["x"]}, {"weights": "w"}):
        effects = callaway_santanna(*drawn, outcome="y", **options)  # type: ignore[arg-type]
        with pytest.raises(DesignError, match="not made of unit changes"):
            unit_changes(effects)


@pytest.mark.parametrize("method", METHODS)
def test_scales_do_not_matter(drawn: tuple[Panel, Design], method: str) -> None:
    panel, design = drawn
    options = {"outcome": "y", "covariates": ["x", "x2"], "weights": "w", "method": method}
    before = callaway_santanna(panel, design, **options)  # type: ignore[arg-type]
    scaled = replace(
        panel,
        values={
            "y": 3 * panel.values["y"] + 7,
            "x": 1e6 * panel.values["x"] - 4e7,  # euros beside shares
            "x2": 1e-4 * panel.values["x2"],
            "w": 50 * panel.values["w"],
        },
    )
    after = callaway_santanna(scaled, design, **options)  # type: ignore[arg-type]
    assert list(after.cells["att"]) == pytest.approx(list(3 * before.cells["att"]), abs=1e-8)
    assert after.influence == pytest.approx(3 * before.influence, abs=1e-6)


def test_order_and_names_of_units_do_not_matter(drawn: tuple[Panel, Design]) -> None:
    panel, design = drawn
    order = np.random.default_rng(3).permutation(len(panel.units))
    renamed = {unit: f"area {unit}" for unit in panel.units}
    shuffled = replace(
        panel,
        units=tuple(renamed[panel.units[row]] for row in order),
        values={name: values[order] for name, values in panel.values.items()},
        bases={name: values[order] for name, values in panel.bases.items()},
        reasons={name: values[order] for name, values in panel.reasons.items()},
    )
    cohort = design.cohort
    other = design_from_cohorts(shuffled.units, [cohort[panel.units[row]] for row in order], last_period=2007)
    options = {"outcome": "y", "covariates": ["x"], "comparison": "not_yet_treated"}
    one = callaway_santanna(panel, design, **options).tidy()  # type: ignore[arg-type]
    two = callaway_santanna(shuffled, other, **options).tidy()  # type: ignore[arg-type]
    pd.testing.assert_frame_equal(one.drop(columns="path"), two.drop(columns="path"))


def test_what_comes_in_stays_as_it_was(drawn: tuple[Panel, Design]) -> None:
    panel, design = drawn
    before = {name: values.copy() for name, values in panel.values.items()}
    callaway_santanna(panel, design, outcome="y", covariates=["x"], weights="w")
    assert all(np.array_equal(panel.values[name], values) for name, values in before.items())


@pytest.mark.parametrize("comparison", ["never_treated", "not_yet_treated"])
def test_units_treated_from_the_first_period_are_dropped_with_the_reason(
    drawn: tuple[Panel, Design], comparison: str
) -> None:
    panel, design = drawn
    always = design.comparison[:3]
    cohort = design.cohort.copy()
    cohort.loc[list(always)] = [1999, 2001, 2001]
    more = design_from_cohorts(panel.units, list(cohort.reindex(list(panel.units))), last_period=2007)
    effects = callaway_santanna(panel, more, outcome="y", comparison=comparison)
    assert set(effects.dropped) == {(unit, "already_treated", 2001) for unit in always}
    fewer = replace(design, comparison=design.comparison[3:])
    expected = callaway_santanna(panel, fewer, outcome="y", comparison=comparison)
    same = ["path", "period", "att", "se", "n_treated", "n_comparison"]
    pd.testing.assert_frame_equal(effects.tidy()[same], expected.tidy()[same])


# --- bad input -----------------------------------------------------------------------------------------------------


def test_a_path_that_anticipation_leaves_without_a_period_is_named() -> None:
    with pytest.raises(DesignError, match="no period before treatment") as caught:
        callaway_santanna(*_hand(), outcome="y", anticipation=2)
    assert "y, a" in str(caught.value)
    assert "treated from 3, anticipation 2" in str(caught.value)


def test_nobody_left_to_treat_or_to_compare_with() -> None:
    with pytest.raises(DesignError, match="No treated unit") as caught:
        callaway_santanna(*_hand([(1, 5, ["b"])]), outcome="y")
    assert "b: already_treated in 1" in str(caught.value)
    panel, design = _hand([(3, 5, ["a", "b"])], "abde")
    gone = _without(panel, "y", [("d", 3), ("e", 4)])
    with pytest.raises(DesignError, match="No never-treated unit") as caught:
        callaway_santanna(gone, design, outcome="y", missing="drop_units")
    assert "d: confidential in 3" in str(caught.value)


def _with(panel: Panel, **outcomes: np.ndarray) -> Panel:
    reasons = {name: np.full(values.shape, "ok", dtype="U32") for name, values in outcomes.items()}
    return replace(panel, values={**panel.values, **outcomes}, reasons={**panel.reasons, **reasons})


@pytest.mark.parametrize("method", METHODS)
def test_collinear_covariates_are_named(drawn: tuple[Panel, Design], method: str) -> None:
    panel, design = drawn
    x = panel.values["x"]
    broken = _with(panel, same=2 * x + 1, still=np.full(x.shape, 0.3))
    for covariates, guilty in ((["x", "same"], "'same'"), (["still", "x"], "'still'")):
        with pytest.raises(DesignError, match="collinear") as caught:
            callaway_santanna(broken, design, outcome="y", covariates=covariates, method=method)
        assert guilty in str(caught.value)
        assert "path 2004-2007 in 2002" in str(caught.value)


def test_more_covariates_than_comparison_units() -> None:
    panel, design = _hand([(4, 5, ["a", "b"])])
    many = _with(panel, **{f"x{k}": np.random.default_rng(k).normal(size=(5, 4)) for k in range(3)})
    with pytest.raises(DesignError, match="3 comparison units for 4 coefficients"):
        callaway_santanna(many, design, outcome="y", covariates=["x0", "x1", "x2"], method="reg")


@pytest.mark.parametrize("method", ["dr", "ipw"])
def test_a_propensity_score_that_does_not_exist_is_told(drawn: tuple[Panel, Design], method: str) -> None:
    panel, design = drawn
    treated = np.isin(panel.units, design.treated)[:, None]
    noise = np.random.default_rng(5).uniform(size=panel.values["y"].shape)
    perfect = _with(panel, apart=noise + 2 * treated)
    # Quasi-separation: everybody with a 1 is a comparison unit, among those with 0 both sides stand.
    quasi = _with(panel, some=np.where(~treated & (noise > 0.5), 1.0, 0.0))
    for broken, name in ((perfect, "apart"), (quasi, "some")):
        with pytest.raises(DesignError, match="separate the treated") as caught:
            callaway_santanna(broken, design, outcome="y", covariates=[name], method=method)
        assert "the method 'reg'" in str(caught.value)
        callaway_santanna(broken, design, outcome="y", covariates=[name], method="reg")


def test_no_overlap_is_told(drawn: tuple[Panel, Design]) -> None:
    panel, design = drawn
    treated = np.isin(panel.units, design.treated)[:, None]
    noise = np.random.default_rng(5).normal(size=panel.values["y"].shape)
    with pytest.raises(DesignError, match="do not overlap") as caught:
        callaway_santanna(_with(panel, far=noise + 4 * treated), design, outcome="y", covariates=["far"])
    assert "all below 0.999" in str(caught.value)


def test_a_covariate_that_is_never_there_in_a_base_year_is_named(drawn: tuple[Panel, Design]) -> None:
    panel, design = drawn
    gone = _without(panel, "x", [(unit, 2005) for unit in panel.units])
    with pytest.raises(DesignError, match="No treated unit has its covariates") as caught:
        callaway_santanna(gone, design, outcome="y", covariates=["x"])
    assert "x in 2005" in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"comparison": "never_treatd"}, "closest: 'never_treated'"),
        ({"base_period": "pre_mean"}, "one of: 'varying', 'universal'"),
        ({"method": "drdid"}, "Unknown method"),
        ({"missing": "drop"}, "Unknown missing"),
        ({"anticipation": -1}, "whole years"),
        ({"anticipation": 0.5}, "whole years"),
        ({"covariates": "x"}, "list of names"),
        ({"covariates": ["x", "x"]}, "each once"),
        ({"weights": "w", "fix_weights": "varying"}, "one of: 'base_period', 'first_period'"),
        ({"fix_weights": "base_period"}, "no weights to fix"),
        ({"covariates": ["xx"]}, "no such outcome"),
        ({"weights": "population"}, "no such outcome"),
        ({"outcome": "Y"}, "no such outcome"),
    ],
)
def test_words_and_names_are_checked(
    drawn: tuple[Panel, Design], options: dict[str, object], message: str
) -> None:
    with pytest.raises((DesignError, DataError), match=message):
        callaway_santanna(*drawn, **{"outcome": "y", **options})  # type: ignore[arg-type]


def test_values_that_cannot_be_used_are_named(drawn: tuple[Panel, Design]) -> None:
    panel, design = drawn
    for name, bad in (("y", np.inf), ("x", -np.inf), ("w", -1.0)):
        values = panel.values[name].copy()
        values[4, 2] = bad
        broken = replace(panel, values={**panel.values, name: values})
        with pytest.raises(DataError) as caught:
            callaway_santanna(broken, design, outcome="y", covariates=["x"], weights="w")
        assert f"{name}, {panel.units[4]} in {panel.periods[2]}" in str(caught.value)
    constant = replace(panel, values={**panel.values, "y": np.full_like(panel.values["y"], 4.0)})
    with pytest.raises(DesignError, match="same everywhere"):
        callaway_santanna(constant, design, outcome="y")
    one_year = replace(
        panel, values={**panel.values, "y": np.where(np.arange(6) == 2, panel.values["y"], np.nan)}
    )
    with pytest.raises(DesignError, match="two periods"):
        callaway_santanna(one_year, design, outcome="y")
    with pytest.raises(DataError, match="no such unit"):
        callaway_santanna(panel, make_design(["0", "elsewhere"], [(2004, 2007, ["0"])]), outcome="y")
