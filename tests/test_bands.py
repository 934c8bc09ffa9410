"""Uniform bands against explicit multipliers, analytic errors, published bands and simulated coverage."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from mekeval import DesignError, aggregate, build_panel, design_from_cohorts, make_design, synthetic_did
from mekeval.design import Design
from mekeval.estimate import Effects
from mekeval.estimate.callaway_santanna import callaway_santanna
from mekeval.inference.bands import multiplier_draws, uniform_bands
from mekeval.panel import Panel

MULTIPLIERS = ("mammen", "rademacher")


def _mpdta(reference: Path) -> tuple[Panel, Design]:
    data = pd.read_csv(reference / "mpdta.csv")
    panel = build_panel(data, unit="countyreal", period="year", outcome=["lemp"])
    first = data.drop_duplicates("countyreal")["first.treat"]
    cohorts = [None if cohort == 0 else int(cohort) for cohort in first]
    return panel, design_from_cohorts(panel.units, cohorts, last_period=2007)


@pytest.fixture(scope="module")
def mpdta(reference: Path) -> Effects:
    """Group-time effects on county teen employment."""
    return callaway_santanna(*_mpdta(reference), outcome="lemp")


def _noise(seed: int, n_units: int = 80, n_periods: int = 6) -> tuple[Panel, Design]:
    """A panel of pure noise around unit levels: every effect is zero. Cohorts 4, 5 and never."""
    rng = np.random.default_rng(seed)
    y = rng.normal(size=(n_units, 1)) + rng.normal(size=(n_units, n_periods))
    frame = pd.DataFrame(
        {
            "u": np.repeat([f"u{unit:03d}" for unit in range(n_units)], n_periods),
            "t": np.tile(np.arange(1, n_periods + 1), n_units),
            "y": y.ravel(),
        }
    )
    panel = build_panel(frame, unit="u", period="t", outcome=["y"])
    cohorts = [(4, 5, None, None)[unit % 4] for unit in range(n_units)]
    return panel, design_from_cohorts(panel.units, cohorts, last_period=n_periods)


def _multipliers(units: tuple[str, ...], draws: int, seed: int, multiplier: str) -> np.ndarray:
    """The multipliers themselves, shape (draws, n): what an influence function of n for one unit alone moves."""
    n = len(units)
    return multiplier_draws(n * np.eye(n), units, draws=draws, seed=seed, multiplier=multiplier)  # type: ignore[arg-type]


# --- the multipliers -----------------------------------------------------------------------------------------------


def test_multipliers_have_the_moments_of_their_law() -> None:
    units = tuple(f"u{at}" for at in range(300))
    golden = (1 + np.sqrt(5)) / 2
    # Mammen: 1 - golden with probability golden / sqrt 5, else golden: mean 0, variance 1, third moment 1.
    laws = {"mammen": ([1 - golden, golden], golden / np.sqrt(5), 1.0), "rademacher": ([1, -1], 0.5, 0.0)}
    for multiplier, (points, share, third) in laws.items():
        drawn = _multipliers(units, 4000, 3, multiplier)  # 1.2 million: errors of a mean are about 0.001
        assert np.allclose(np.sort(np.unique(drawn.round(12))), np.sort(points), atol=1e-11)
        assert np.mean(np.isclose(drawn, points[0])) == pytest.approx(share, abs=0.002)
        assert np.mean(drawn) == pytest.approx(0, abs=0.005)
        assert np.mean(drawn**2) == pytest.approx(1, abs=0.005)
        assert np.mean(drawn**3) == pytest.approx(third, abs=0.01)
        # Units and draws are independent: correlations between units are those of chance.
        worst = np.abs(np.corrcoef(drawn.T) - np.eye(300)).max()
        assert worst < 5.5 / np.sqrt(4000)


@pytest.mark.parametrize("multiplier", MULTIPLIERS)
def test_draws_are_the_means_of_multiplied_influence_functions(multiplier: str) -> None:
    rng = np.random.default_rng(8)
    units = tuple(f"u{at:04d}" for at in rng.permutation(2300))  # more than one stretch of memory
    influence = rng.normal(size=(2300, 3))
    drawn = _multipliers(units, 999, 5, multiplier)
    found = multiplier_draws(influence, units, draws=999, seed=5, multiplier=multiplier)  # type: ignore[arg-type]
    brute = np.array([[np.mean(row * column) for column in influence.T] for row in drawn])
    assert np.allclose(found, brute, rtol=0, atol=1e-13)


def test_bands_are_those_of_the_source_worked_draw_by_draw(mpdta: Effects) -> None:
    few = aggregate(mpdta, by="event_time")
    bands = uniform_bands(few, draws=199, seed=4, alpha=0.1)
    drawn = _multipliers(mpdta.units, 199, 4, "mammen")
    moves = np.array([[np.mean(row * column) for column in few.influence.T] for row in drawn])
    ordered = np.sort(moves, axis=0)  # R's quantile of type 1: the smallest with a share of at least p below
    scale = (ordered[149] - ordered[49]) / (
        norm.ppf(0.75) - norm.ppf(0.25)
    )  # ceil(199 * 0.75), ceil(199 * 0.25)
    largest = np.sort(np.abs(moves / scale).max(axis=1))
    critical = largest[179]  # ceil(199 * 0.9) = 180
    att = few.table["att"].to_numpy()
    table = bands.table
    assert bands.critical_value == pytest.approx(critical, abs=1e-10)
    assert table["se_bootstrap"].to_numpy(dtype=float) == pytest.approx(scale, abs=1e-12)
    assert table["low"].to_numpy(dtype=float) == pytest.approx(att - norm.ppf(0.95) * scale, abs=1e-12)
    assert table["high_uniform"].to_numpy(dtype=float) == pytest.approx(att + critical * scale, abs=1e-12)
    size = np.abs(att) / scale
    assert bands.p_value == pytest.approx((1 + np.sum(largest >= size.max())) / 200)
    before = (few.table["key"] < 0).to_numpy()
    of_pre = np.abs(moves / scale)[:, before].max(axis=1)
    assert bands.p_value_pre == pytest.approx((1 + np.sum(of_pre >= size[before].max())) / 200)
    assert (bands.n_tested, bands.n_tested_pre) == (7, 3)


# --- what is known of the answer -----------------------------------------------------------------------------------


@pytest.mark.parametrize("multiplier", MULTIPLIERS)
def test_bootstrap_errors_agree_with_the_analytic_ones(mpdta: Effects, multiplier: str) -> None:
    known = mpdta.tidy()["se"].to_numpy(dtype=float)
    moves = multiplier_draws(mpdta.influence, mpdta.units, draws=20_000, seed=0, multiplier=multiplier)  # type: ignore[arg-type]
    # Their variance is the analytic one exactly, whatever the multiplier; 20,000 draws have an error of 0.5 %.
    assert np.abs(moves.std(axis=0) / known - 1).max() < 0.025
    table = uniform_bands(mpdta, draws=20_000, multiplier=multiplier).table  # type: ignore[arg-type]
    # The interquartile range scales a normal: with 20 treated units (cohort 2004) the draws are none quite.
    ratio = table["se_bootstrap"].to_numpy(dtype=float) / known
    many = (mpdta.cells["n_treated"] > 20).to_numpy()
    assert np.abs(ratio[many] - 1).max() < 0.05
    assert np.abs(ratio - 1).max() < 0.08
    assert table["se"].to_numpy(dtype=float) == pytest.approx(known)


def test_one_estimate_has_the_normal_critical_value(mpdta: Effects) -> None:
    bands = uniform_bands(aggregate(mpdta, by="simple"), draws=20_000, multiplier="rademacher")
    assert bands.critical_value == pytest.approx(1.96, abs=0.05)
    assert bands.critical_value >= bands.pointwise_critical_value == pytest.approx(1.959964, abs=1e-6)
    t = abs(bands.table["att"][0]) / bands.table["se"][0]
    assert bands.p_value == pytest.approx(2 * norm.sf(t), abs=0.002)
    assert bands.p_value_pre is None


def test_the_critical_value_agrees_with_published_bands(mpdta: Effects) -> None:
    # The vignette of R's did prints for `att_gt(..., est_method = "reg")` on mpdta, 1,000 draws: standard error and
    # band of each cell. Half the width over the error is its critical value; it has an error of chance of about 0.06.
    errors = [0.0235, 0.0328, 0.0378, 0.0331, 0.0236, 0.0205, 0.0192, 0.0200, 0.0162, 0.0174, 0.0194, 0.0178]
    low = [-747, -1600, -2403, -1912, -578, -587, -570, -959, -138, -501, -840, -746]
    high = [537, 192, -342, -104, 708, 532, 478, 134, 748, 446, 219, 225]
    printed = np.median((np.array(high) - np.array(low)) / 20_000 / np.array(errors))
    bands = uniform_bands(mpdta, draws=9_999, multiplier="rademacher")
    assert bands.critical_value == pytest.approx(printed, abs=0.15)
    # Nothing known is far from independent normals either: twelve of them have 2.86, and correlation lowers it.
    assert 2.5 < bands.critical_value < norm.ppf((1 + 0.95 ** (1 / 12)) / 2) + 0.1


def test_the_band_covers_all_effects_at_once_and_single_intervals_do_not() -> None:
    runs, joint, single, rejected = 240, 0, 0, 0
    for seed in range(runs):
        effects = callaway_santanna(*_noise(seed, n_units=160), outcome="y")
        bands = uniform_bands(aggregate(effects, by="event_time"), draws=299, seed=seed)
        table = bands.table
        joint += bool(((table["low_uniform"] <= 0) & (table["high_uniform"] >= 0)).all())
        single += bool(((table["low"] <= 0) & (table["high"] >= 0)).all())
        rejected += bands.p_value <= 0.05
    # 0.95 with an error of 0.014; six intervals of 95 % hold together in about 0.75.
    assert 0.90 <= joint / runs <= 0.99
    assert single / runs < 0.85
    assert 0.01 <= rejected / runs <= 0.10


# --- invariances ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("multiplier", MULTIPLIERS)
def test_neither_the_order_of_units_nor_company_matters(mpdta: Effects, multiplier: str) -> None:
    order = np.random.default_rng(1).permutation(mpdta.n_units)
    shuffled = replace(
        mpdta,
        units=tuple(mpdta.units[at] for at in order),
        group=mpdta.group[order],
        influence=mpdta.influence[order],
    )
    one = uniform_bands(mpdta, draws=499, multiplier=multiplier)  # type: ignore[arg-type]
    two = uniform_bands(shuffled, draws=499, multiplier=multiplier)  # type: ignore[arg-type]
    pd.testing.assert_frame_equal(one.table, two.table, rtol=1e-9)
    assert one.critical_value == pytest.approx(two.critical_value, rel=1e-9)
    alone = replace(mpdta, cells=mpdta.cells.iloc[:4], influence=mpdta.influence[:, :4])
    first = uniform_bands(alone, draws=499, multiplier=multiplier).table  # type: ignore[arg-type]
    assert first["se_bootstrap"].tolist() == pytest.approx(one.table["se_bootstrap"][:4].tolist(), rel=1e-9)


def test_a_seed_repeats_and_another_does_not(mpdta: Effects) -> None:
    one, same, other = (uniform_bands(mpdta, draws=199, seed=seed) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(one.table, same.table)
    assert one.critical_value != other.critical_value


def test_scale_and_shift_of_the_outcome(mpdta: Effects) -> None:
    tenfold = replace(
        mpdta, cells=mpdta.cells.assign(att=10 * mpdta.cells["att"]), influence=10 * mpdta.influence
    )
    one, ten = uniform_bands(mpdta, draws=199), uniform_bands(tenfold, draws=199)
    assert ten.critical_value == pytest.approx(one.critical_value, rel=1e-9)
    assert ten.p_value == one.p_value
    assert ten.table["low_uniform"].tolist() == pytest.approx(
        (10 * one.table["low_uniform"]).tolist(), rel=1e-9
    )


def test_what_comes_in_stays_as_it_was(mpdta: Effects) -> None:
    one = aggregate(mpdta, by="calendar")
    before, influence = one.table.copy(), one.influence.copy()
    uniform_bands(one, draws=99)
    pd.testing.assert_frame_equal(one.table, before)
    assert np.array_equal(one.influence, influence)


# --- what has no standard error ------------------------------------------------------------------------------------


def test_a_path_of_one_unit_is_left_out_with_the_reason() -> None:
    panel, design = _noise(5)
    rest = [unit for path in design.paths for unit in path.units][1:]
    lonely = make_design(panel.units, [(3, 6, [rest[0]]), (5, 6, rest[1:])])
    effects = callaway_santanna(panel, lonely, outcome="y")
    bands = uniform_bands(effects, draws=199)
    alone = (effects.cells["n_treated"] == 1).to_numpy()
    assert alone.sum() == 5
    left = bands.table.loc[alone]
    assert left[["se", "se_bootstrap", "low", "high", "low_uniform", "high_uniform"]].isna().all(axis=None)
    assert left["note"].str.contains("one treated unit").all()
    kept = bands.table.loc[~alone]
    assert kept["low_uniform"].notna().all() and (kept["note"] == "").all()
    assert bands.n_tested == len(kept)
    others = replace(effects, cells=effects.cells.loc[~alone], influence=effects.influence[:, ~alone])
    assert uniform_bands(others, draws=199).critical_value == bands.critical_value
    single = make_design(panel.units, [(3, 6, [rest[0]])])
    with pytest.raises(DesignError, match="nothing to band") as caught:
        uniform_bands(callaway_santanna(panel, single, outcome="y"))
    assert "infer" in str(caught.value)


def test_an_estimate_that_does_not_vary_is_left_out_with_the_reason() -> None:
    panel, design = _noise(6)
    still = panel.values["y"].copy()
    still[:, 1] = still[:, 0]  # nobody moves from period 1 to 2
    effects = callaway_santanna(replace(panel, values={"y": still}), design, outcome="y")
    flat = (effects.cells["period"] == 2).to_numpy()
    bands = uniform_bands(effects, draws=199)
    assert bands.table.loc[flat, "note"].str.contains("does not vary").all()
    assert bands.table.loc[flat, "low_uniform"].isna().all()
    assert bands.table.loc[~flat, "low_uniform"].notna().all()


def test_bad_input_is_told(mpdta: Effects) -> None:
    for options, message in (
        ({"alpha": 0.0}, "alpha"),
        ({"alpha": 1.5}, "alpha"),
        ({"draws": 0}, "nothing to draw"),
        ({"draws": 10.5}, "not a whole number"),
        ({"draws": 1}, "too few"),
        ({"multiplier": "webb"}, "one of: 'mammen', 'rademacher'"),
    ):
        with pytest.raises(DesignError, match=message):
            uniform_bands(mpdta, **options)  # type: ignore[arg-type]
    panel, design = _noise(7)
    with pytest.raises(DesignError, match="no influence functions") as caught:
        uniform_bands(synthetic_did(panel, design, outcome="y"))
    assert "y, synthetic_did" in str(caught.value)
