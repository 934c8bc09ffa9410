"""Triple differences against R's triplediff, hand calculations, least squares and derivatives of the estimate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.special import ndtri

from mekeval import DataError, DesignError, aggregate, build_panel, design_from_cohorts, make_design
from mekeval.design import Design
from mekeval.estimate import Effects
from mekeval.estimate.callaway_santanna import callaway_santanna
from mekeval.estimate.triple import triple_difference
from mekeval.panel import Panel

Case = tuple[Panel, Design, Mapping[str, bool]]
X = ("x0", "x1", "x2", "x3")


def _case(
    y: np.ndarray, cohort: Sequence[int], eligible: Sequence[int], covariates: np.ndarray | None = None
) -> Case:
    """Units from 0 in periods from 1; cohort 0 is never."""
    n, n_periods = y.shape
    frame = pd.DataFrame(
        {
            "id": np.repeat(np.arange(n), n_periods),
            "time": np.tile(np.arange(1, n_periods + 1), n),
            "y": y.ravel(),
        }
    )
    names = []
    if covariates is not None:
        names = [f"x{at}" for at in range(covariates.shape[1])]
        frame = frame.assign(
            **{name: np.repeat(column, n_periods) for name, column in zip(names, covariates.T, strict=True)}
        )
    panel = build_panel(frame, unit="id", period="time", outcome=["y", *names])
    design = design_from_cohorts(
        panel.units, [pd.NA if c == 0 else int(c) for c in cohort], last_period=n_periods
    )
    return panel, design, {str(at): bool(one) for at, one in enumerate(eligible)}


def _cells(effects: Effects) -> dict[tuple[int, int], tuple[float, float]]:
    return {(row.cohort, row.period): (row.att, row.se) for row in effects.tidy().itertuples()}


# --- R's triplediff 0.2 on the simulated data of its README ---------------------------------------------------------
# The data are drawn after set.seed(1234), so R's generator is needed: the Mersenne twister with R's seeding, normal
# deviates by inversion. The first rows of the data, which the README prints, show that they are the same.


class _R:
    """R's random numbers."""

    def __init__(self, seed: int) -> None:
        key = []
        for at in range(50 + 625):
            seed = (69069 * seed + 1) % 2**32
            if at > 50:
                key.append(seed)
        self.bits = np.random.MT19937()
        self.bits.state = {
            "bit_generator": "MT19937",
            "state": {"key": np.array(key, dtype=np.uint32), "pos": 624},
        }

    def uniform(self, n: int) -> np.ndarray:
        return self.bits.random_raw(n) * 2.3283064365386963e-10

    def normal(self, n: int) -> np.ndarray:
        high, low = self.uniform(2 * n).reshape(n, 2).T
        return ndtri((np.floor(2**27 * high) + low) / 2**27)


def _r_covariates(r: _R, n: int) -> np.ndarray:
    x1, x2, x3, x4 = (r.normal(n) for _ in range(4))
    z = np.column_stack(
        [np.exp(x1 / 2), x2 / (1 + np.exp(x1)) + 10, (x1 * x3 / 25 + 0.6) ** 3, (x1 + x4 + 20) ** 2]
    )
    mean = [np.exp(0.125), 10, 0.21887, 402]
    spread = [np.sqrt((np.exp(0.25) - 1) * np.exp(0.25)), 0.54164, 0.04453, 56.63891]
    return (z - mean) / spread


def test_two_periods_agree_with_r() -> None:
    # gen_dgp_2periods(size = 500, dgp_type = 1); ddd(..., est_method = "dr") prints 0.0439 (0.2626).
    n, r = 500, _R(1234)
    z = _r_covariates(r, n)
    index = [
        0.2 * z @ [-1, 0.5, -0.25, -0.1],
        0.2 * z @ [-0.5, 2, 0.5, -0.2],
        0.05 * z @ [3, -1.5, 0.75, -0.3],
    ]
    odds = np.exp(np.column_stack(index))
    share = np.cumsum(odds / (1 + odds.sum(axis=1, keepdims=True)), axis=1)
    kind = np.sum(r.uniform(n)[:, None] > share, axis=1)
    state, eligible = kind // 2, kind % 2
    trend = 210 + z @ np.array([[27.4, 13.7, 13.7, 13.7], [6.85, 3.43, 3.43, 3.43]]).T
    trend = np.where(state == 1, trend[:, 0], trend[:, 1])
    level = trend + eligible * trend + r.normal(n)
    before, untreated, treated = (level + r.normal(n) for _ in range(3))
    y = np.column_stack([before, trend + np.where(state * eligible == 1, treated, untreated)])
    printed = [[216.3097, 430.9374], [186.5831, 375.9393], [425.6606, 639.5013]]
    assert y[:3] == pytest.approx(np.array(printed), abs=5e-5)
    assert np.bincount(kind).tolist() == [120, 116, 133, 131]
    panel, design, who = _case(y, 2 * state, eligible, z)
    row = triple_difference(panel, design, outcome="y", eligible=who, covariates=X).tidy().iloc[0]
    assert row["att"] == pytest.approx(0.0439, abs=5e-5)
    assert row["se"] * np.sqrt(n / (n - 1)) == pytest.approx(
        0.2626, abs=5e-5
    )  # R takes the sd of the influence
    assert (row["n_treated"], row["n_comparison"]) == (131, 369)


@pytest.fixture(scope="module")
def staggered() -> Case:
    """gen_dgp_mult_periods(size = 500, dgp_type = 1)."""
    n, r = 500, _R(1234)
    z = _r_covariates(r, n)
    w2, w3, w0 = z @ [-1, 0.5, -0.25, -0.1], z @ [-0.5, 1, -0.1, -0.25], z @ [-0.25, 0.1, -1, -0.1]
    index = [1.25 + w2, 0.5 - w2, 2 + w3, 1.25 - w3, -0.5 + w0]
    odds = np.exp(0.4 * np.column_stack(index))
    share = odds / (1 + odds.sum(axis=1, keepdims=True))
    share = np.column_stack([share, 1 - share.sum(axis=1)])
    order = np.argsort(-share, axis=1, kind="stable")  # sample() goes from the most likely down
    drawn = np.sum(
        r.uniform(n)[:, None] > np.cumsum(np.take_along_axis(share, order, axis=1), axis=1), axis=1
    )
    kind = order[np.arange(n), drawn]
    cohort, eligible = np.array([2, 2, 3, 3, 0, 0])[kind], 1 - kind % 2
    line = 210 + z @ [27.4, 13.7, 13.7, 13.7]
    own = cohort * line + eligible * line + r.normal(n)
    first = line + eligible * line + own
    noise = [r.normal(n) for _ in range(7)]  # period 1; then never, cohort 2, cohort 3 in 2 and in 3
    on2, on3 = eligible * (cohort == 2), eligible * (cohort == 3)
    second = first + own / 10 + line + np.where(on2, noise[2] + 10, noise[1])
    third = (
        first + own / 5 + 2 * line + np.select([on2 == 1, on3 == 1], [noise[5] + 20, noise[6] + 25], noise[4])
    )
    y = np.column_stack([first + noise[0], second, third])
    assert y[:2] == pytest.approx(
        np.array([[1371.1923, 1690.9157, 2034.5661], [934.0812, 1189.5495, 1444.1072]]), abs=5e-5
    )
    assert np.bincount(cohort).tolist() == [107, 0, 195, 198]
    return _case(y, cohort, eligible, z)


def test_staggered_entry_agrees_with_r(staggered: Case) -> None:
    panel, design, who = staggered
    printed = {
        (2, 2): (10.4901, 0.3613),
        (2, 3): (20.5986, 0.3868),
        (3, 1): (-0.4593, 0.366),
        (3, 3): (24.5983, 0.3333),
    }
    effects = triple_difference(
        panel, design, outcome="y", eligible=who, covariates=X, base_period="universal"
    )
    found = _cells(effects)
    assert set(found) == set(printed)
    for cell, figures in printed.items():
        assert found[cell] == pytest.approx(figures, abs=5.1e-5)
    # triplediff weights cohorts by all their units: 17.5980 (0.4095) on entry. Here they are weighted by those treated.
    path = {unit: at for at, one in enumerate(design.paths) for unit in one.units}
    everyone = replace(effects, group=np.array([path.get(unit, -1) for unit in effects.units]))
    table = aggregate(everyone, by="event_time").table.set_index("key")
    assert table.loc[0, ["att", "se"]].tolist() == pytest.approx([17.5980, 0.4095], abs=5.1e-5)
    assert aggregate(everyone, by="event_time").overall == pytest.approx(19.0983, abs=5.1e-5)
    assert aggregate(everyone, by="event_time").overall_se == pytest.approx(0.3213, abs=5.1e-5)
    treated = {c: sum(who[u] for one in design.paths if one.first == c for u in one.units) for c in (2, 3)}
    mine = aggregate(effects, by="event_time").table.set_index("key").loc[0]
    by_hand = (treated[2] * found[2, 2][0] + treated[3] * found[3, 3][0]) / (treated[2] + treated[3])
    assert mine["att"] == pytest.approx(by_hand, abs=1e-12)
    assert mine["n_treated"] == treated[2] + treated[3]


def test_the_weighted_comparison_cohorts_agree_with_r(staggered: Case) -> None:
    panel, design, who = staggered
    effects = triple_difference(
        panel,
        design,
        outcome="y",
        eligible=who,
        covariates=X,
        base_period="universal",
        comparison="not_yet_treated",
    )
    found = _cells(effects)
    assert found[2, 2][0] == pytest.approx(10.1894, abs=5e-5)
    assert found[2, 2][1] * np.sqrt(500 / 499) == pytest.approx(0.2759, abs=5e-5)
    assert found[2, 3] == pytest.approx((20.5986, 0.3868), abs=5.1e-5)  # only the never-treated are left


# --- by hand, by least squares, by derivatives ----------------------------------------------------------------------


def test_eight_means_by_hand() -> None:
    y = np.array([[1.0, 6], [2, 5], [1, 2], [3, 6], [0, 1], [4, 7], [2, 2], [1, 2]])
    panel, design, who = _case(y, [2, 2, 2, 2, 0, 0, 0, 0], [1, 1, 0, 0, 1, 1, 0, 0])
    effects = triple_difference(panel, design, outcome="y", eligible=who)
    # changes 5, 3 | 1, 3 | 1, 3 | 0, 1: (4 - 2) - (2 - 0.5)
    assert effects.cells["att"].tolist() == pytest.approx([0.5])
    # each side's variance of a mean is sum(d^2) / 4 with two units: 2/4 + 2/4 + 2/4 + 0.5/4
    assert effects.tidy()["se"].tolist() == pytest.approx([np.sqrt(6.5 / 4)])
    assert effects.group.tolist() == [0, 0, -1, -1, -1, -1, -1, -1]
    assert effects.n_rows == 16


def _drawn(n: int = 60, seed: int = 5) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    cohort = np.array([0, 3, 4])[np.arange(n) % 3]
    eligible = (rng.uniform(size=n) < 0.5 + 0.15 * (cohort == 3)).astype(int)
    x = rng.normal(size=(n, 2))
    y = rng.normal(size=(n, 5)).cumsum(axis=1) + 0.3 * x[:, :1] * np.arange(5)
    return y, cohort, eligible, x


def test_without_covariates_it_is_the_triple_interaction() -> None:
    y, cohort, eligible, _ = _drawn()
    keep = cohort != 4
    y, cohort, eligible = y[keep], cohort[keep], eligible[keep]
    panel, design, who = _case(y, cohort, eligible)
    found = _cells(triple_difference(panel, design, outcome="y", eligible=who))
    on = (cohort == 3).astype(float)
    for period in (3, 4, 5):
        outcome = np.concatenate([y[:, 1], y[:, period - 1]])
        s, q, t = np.tile(on, 2), np.tile(eligible, 2), np.repeat([0.0, 1.0], len(y))
        design_matrix = np.column_stack([np.ones_like(t), s, q, t, s * q, s * t, q * t, s * q * t])
        coefficient = np.linalg.lstsq(design_matrix, outcome, rcond=None)[0][-1]
        assert found[3, period][0] == pytest.approx(coefficient, abs=1e-10)


def test_two_outcomes_of_an_area_are_two_units_of_it() -> None:
    # An eligible and an ineligible unit of each area give the estimates of the areas' two outcomes, and their influence
    # functions summed over the area are those of the area.
    rng = np.random.default_rng(8)
    young, old = rng.normal(size=(2, 30, 5))
    cohort = np.array([0, 3, 4])[np.arange(30) % 3]
    frame = pd.DataFrame(
        {
            "id": np.repeat(np.arange(30), 5),
            "time": np.tile(np.arange(1, 6), 30),
            "young": young.ravel(),
            "old": old.ravel(),
        }
    )
    panel = build_panel(frame, unit="id", period="time", outcome=["young", "old"])
    design = design_from_cohorts(panel.units, [pd.NA if c == 0 else int(c) for c in cohort], last_period=5)
    of_areas = triple_difference(panel, design, outcome="young", ineligible_outcome="old")
    stacked, both, who = _case(np.vstack([young, old]), np.tile(cohort, 2), np.repeat([1, 0], 30))
    of_units = triple_difference(stacked, both, outcome="y", eligible=who)
    assert of_units.cells["att"].to_numpy() == pytest.approx(of_areas.cells["att"].to_numpy(), abs=1e-12)
    assert of_areas.influence is not None
    assert of_units.influence is not None
    summed = pd.DataFrame(of_units.influence).groupby([int(unit) % 30 for unit in of_units.units]).sum()
    assert summed.to_numpy() / 60 == pytest.approx(
        of_areas.influence[np.argsort([int(unit) for unit in of_areas.units])] / 30, abs=1e-12
    )
    plain = callaway_santanna(
        build_panel(
            frame.assign(gap=frame["young"] - frame["old"]), unit="id", period="time", outcome=["gap"]
        ),
        design,
        outcome="gap",
    )
    assert of_areas.cells.equals(plain.cells)
    assert (of_areas.estimator, of_areas.outcome) == ("triple_difference", "young")
    assert of_areas.changes is not None  # so that treated sets can be permuted


def test_pooled_cohorts_are_biased_and_these_are_not() -> None:
    # Trends differ between cohorts and between eligible and ineligible, but not in their interaction; the effect is 1.
    # Cohorts differ in their shares of eligible units, so pooling the two comparison cohorts mixes their trends.
    sizes = {(3, 1): 2, (3, 0): 2, (5, 1): 6, (5, 0): 2, (0, 1): 2, (0, 0): 6}
    cohort, eligible = np.array([key for key, size in sizes.items() for _ in range(size)]).T
    t = np.arange(1, 6)
    slope = np.select([cohort == 3, cohort == 5], [0.5, 2.0], 1.0) + 0.7 * eligible
    y = slope[:, None] * t + ((cohort[:, None] > 0) & (t >= cohort[:, None]) & (eligible[:, None] == 1))
    panel, design, who = _case(y, cohort, eligible)
    pooled = np.mean(y[(cohort != 3) & (eligible == 1), 2] - y[(cohort != 3) & (eligible == 1), 1])
    pooled -= np.mean(y[(cohort != 3) & (eligible == 0), 2] - y[(cohort != 3) & (eligible == 0), 1])
    assert 1.7 - pooled == pytest.approx(
        0.5
    )  # 1 + 0.7, less 0.7 and the mix of slopes: half the effect is gone
    for comparison in ("never_treated", "not_yet_treated"):
        found = _cells(triple_difference(panel, design, outcome="y", eligible=who, comparison=comparison))
        assert [found[3, period][0] for period in (3, 4, 5)] == pytest.approx([1, 1, 1], abs=1e-12)
        assert found[5, 5][0] == pytest.approx(1, abs=1e-12)
        assert found[5, 3][0] == pytest.approx(0, abs=1e-12)


def test_comparison_cohorts_are_weighted_for_least_variance() -> None:
    y, cohort, eligible, _ = _drawn()
    panel, design, who = _case(y, cohort, eligible)
    both = triple_difference(panel, design, outcome="y", eligible=who, comparison="not_yet_treated")
    alone = []
    for keep, never in (
        (cohort != 4, 0),
        (cohort != 0, 4),
    ):  # against the never-treated, against cohort 4, each alone
        case = _case(y[keep], np.where(cohort == never, 0, cohort)[keep], eligible[keep])
        effects = triple_difference(*case[:2], outcome="y", eligible=case[2])
        at = [(row.cohort, row.period) for row in effects.cells.itertuples()].index((3, 3))
        assert effects.influence is not None
        psi = np.zeros(len(y))
        psi[np.flatnonzero(keep)[[int(unit) for unit in effects.units]]] = (
            effects.influence[:, at] / keep.sum()
        )
        alone.append((float(effects.cells["att"][at]), psi))
    (a, psi_a), (b, psi_b) = alone
    share = (psi_b @ psi_b - psi_a @ psi_b) / ((psi_a - psi_b) @ (psi_a - psi_b))
    mix = share * psi_a + (1 - share) * psi_b
    assert _cells(both)[3, 3] == pytest.approx((share * a + (1 - share) * b, np.sqrt(mix @ mix)), abs=1e-12)


@pytest.mark.parametrize("method", ["dr", "reg", "ipw"])
def test_influence_functions_are_derivatives_in_the_weights(method: str) -> None:
    # Raise the weight of one unit a little: the estimate moves by its influence function. Nothing but estimates enters.
    y, cohort, eligible, x = _drawn(45)
    panel, design, who = _case(y, cohort, eligible, x)
    weight = np.random.default_rng(2).uniform(0.5, 2, size=len(y))

    def estimate(weights: np.ndarray) -> Effects:
        values = {**panel.values, "w": np.repeat(weights[:, None], 5, axis=1)}
        reasons = {**panel.reasons, "w": panel.reasons["y"]}
        return triple_difference(
            replace(panel, values=values, reasons=reasons),
            design,
            outcome="y",
            eligible=who,
            covariates=["x0", "x1"],
            method=method,
            weights="w",
        )

    effects = estimate(weight)
    assert effects.influence is not None
    step = 1e-5
    for row in range(0, effects.n_units, 4):
        at = int(effects.units[row])
        moved = [estimate(weight * np.where(np.arange(len(y)) == at, 1 + sign * step, 1)) for sign in (1, -1)]
        slope = (moved[0].cells["att"] - moved[1].cells["att"]).to_numpy() / (2 * step)
        assert effects.influence[row] == pytest.approx(effects.n_units * slope, abs=1e-5)


def test_a_weight_of_two_is_a_copy() -> None:
    y, cohort, eligible, x = _drawn()
    weight = 1 + np.arange(len(y)) % 2
    panel, design, who = _case(y, cohort, eligible, np.column_stack([x, weight]))
    weighted = triple_difference(panel, design, outcome="y", eligible=who, covariates=X[:2], weights="x2")
    copies = np.repeat(np.arange(len(y)), weight)
    panel, design, who = _case(y[copies], cohort[copies], eligible[copies], x[copies])
    plain = triple_difference(panel, design, outcome="y", eligible=who, covariates=X[:2])
    assert weighted.cells["att"].to_numpy() == pytest.approx(plain.cells["att"].to_numpy(), abs=1e-9)
    overall = aggregate(weighted, by="simple").overall
    assert overall == pytest.approx(aggregate(plain, by="simple").overall, abs=1e-9)


# --- invariances and edge cases -------------------------------------------------------------------------------------


def test_a_cohort_that_takes_no_part_changes_no_error() -> None:
    # With a cohort that entered before, cell (4, 4) has the same estimate and the same standard error.
    y, cohort, eligible, _ = _drawn()
    early = cohort == 3
    cases = [_case(y, cohort, eligible), _case(y[~early], cohort[~early], eligible[~early])]
    found = [
        _cells(triple_difference(panel, design, outcome="y", eligible=who, comparison="not_yet_treated"))
        for panel, design, who in cases
    ]
    assert found[0][4, 4] == pytest.approx(found[1][4, 4], abs=1e-12)


def test_order_scale_and_names_do_not_matter() -> None:
    y, cohort, eligible, x = _drawn()
    panel, design, who = _case(y, cohort, eligible, x)
    options = {"outcome": "y", "covariates": X[:2], "comparison": "not_yet_treated"}
    first = triple_difference(panel, design, eligible=who, **options)
    order = np.random.default_rng(0).permutation(len(y))
    panel, design, who = _case(3 - 2 * y[order], cohort[order], eligible[order], 10 + 100 * x[order])
    values = panel.values["y"].copy()
    second = triple_difference(panel, design, eligible=who, **options)
    assert -2 * first.cells["att"].to_numpy() == pytest.approx(second.cells["att"].to_numpy(), abs=1e-9)
    assert 2 * first.tidy()["se"].to_numpy(float) == pytest.approx(
        second.tidy()["se"].to_numpy(float), abs=1e-9
    )
    assert np.array_equal(values, panel.values["y"])


def test_a_comparison_cohort_of_single_units_takes_no_part_beside_larger_ones() -> None:
    rng = np.random.default_rng(4)
    cohort = np.array([2] * 6 + [0] * 6 + [3] * 2)
    eligible = np.array([1, 0] * 7)
    y = rng.normal(size=(14, 3))
    panel, design, who = _case(y, cohort, eligible)
    either = [
        _cells(triple_difference(panel, design, outcome="y", eligible=who, comparison=comparison))[2, 2]
        for comparison in ("never_treated", "not_yet_treated")
    ]
    assert either[0] == pytest.approx(either[1], abs=1e-12)
    # Where the never-treated are as few, both take part, and with nothing to weight by they count alike.
    few = np.r_[0:6, 6:8, 12:14]
    panel, design, who = _case(y[few], cohort[few], eligible[few])
    att = _cells(triple_difference(panel, design, outcome="y", eligible=who, comparison="not_yet_treated"))[
        2, 2
    ][0]
    change = (y[:, 1] - y[:, 0])[few]
    rest = (change[6] - change[7] + change[8] - change[9]) / 2
    assert att == pytest.approx(np.mean(change[0:6:2]) - np.mean(change[1:6:2]) - rest, abs=1e-12)


def test_one_ineligible_unit_of_a_path_leaves_no_error() -> None:
    rng = np.random.default_rng(4)
    panel, design, who = _case(rng.normal(size=(9, 3)), [2] * 4 + [0] * 5, [1, 1, 1, 0, 1, 1, 1, 0, 0])
    effects = triple_difference(panel, design, outcome="y", eligible=who)
    assert effects.influence is None
    table = effects.tidy()
    assert table["se"].isna().all()
    assert table["se_note"].str.contains("one ineligible unit").all()
    assert aggregate(effects, by="event_time").table["se"].isna().all()


def test_the_last_cohort_serves_where_nobody_is_never_treated() -> None:
    rng = np.random.default_rng(6)
    y = rng.normal(size=(16, 4))
    y[8:, :] = np.nan  # the never-treated have no data
    y[8:, 0] = 1.0
    cohort, eligible = np.array([2] * 4 + [4] * 4 + [0] * 8), np.array([1, 1, 0, 0] * 4)
    panel, design, who = _case(y, cohort, eligible)
    effects = triple_difference(panel, design, outcome="y", eligible=who, comparison="not_yet_treated")
    assert [(row.cohort, row.period) for row in effects.cells.itertuples()] == [(2, 2), (2, 3)]
    assert effects.group.tolist() == [0, 0, -1, -1, -1, -1, -1, -1]
    assert len(effects.dropped) == 8
    with pytest.raises(DesignError, match="never-treated comparison has no"):
        triple_difference(panel, design, outcome="y", eligible=who)


def test_units_with_a_gap_are_told() -> None:
    y, cohort, eligible, x = _drawn()
    y[4, 2] = np.nan
    x[7, 0] = np.nan
    panel, design, who = _case(y, cohort, eligible, x)
    effects = triple_difference(panel, design, outcome="y", eligible=who, covariates=["x0"])
    assert effects.dropped == (("4", "missing", 3), ("7", "x0 missing", 1))
    assert effects.n_units == len(y) - 2


def test_units_that_leave_have_their_own_phase() -> None:
    rng = np.random.default_rng(1)
    panel, _, who = _case(rng.normal(size=(8, 4)), [2] * 4 + [0] * 4, [1, 0] * 4)
    design = make_design(panel.units, [(2, 3, list(panel.units[:4]))])
    phases = triple_difference(panel, design, outcome="y", eligible=who).cells["phase"].tolist()
    assert phases == ["on", "on", "after"]


def test_what_cannot_be_answered_is_refused() -> None:
    y, cohort, eligible, x = _drawn()
    panel, design, who = _case(y, cohort, eligible, np.column_stack([x, 2 * x[:, 0], -np.abs(x[:, 0])]))
    ask = {"outcome": "y", "eligible": who}
    for options, message in (
        ({"eligible": None}, "in one way"),
        ({"ineligible_outcome": "x0"}, "in one way"),
        ({"eligible": {**who, "3": None}}, "every unit"),
        ({"eligible": {unit: one for unit, one in who.items() if unit != "3"}}, "'3': 'nothing'"),
        ({"eligible": dict.fromkeys(who, True)}, "3 faults"),
        ({"comparison": "never"}, "Unknown comparison"),
        ({"base_period": "first"}, "Unknown base_period"),
        ({"method": "ols"}, "Unknown method"),
        ({"anticipation": -1}, "whole years"),
        ({"anticipation": 2}, "anticipation leaves alone"),
        ({"covariates": ["x0", "x2"]}, "collinear"),
        ({"eligible": None, "ineligible_outcome": "y"}, "is that of the eligible"),
    ):
        with pytest.raises(DesignError, match=message):
            triple_difference(panel, design, **{**ask, **options})
    for options in ({"outcome": "z"}, {"covariates": ["z"]}, {"weights": "z"}, {"weights": "x3"}):
        with pytest.raises(DataError):
            triple_difference(panel, design, **{**ask, **options})
    with pytest.raises(DataError, match="no such outcome"):
        triple_difference(panel, design, outcome="y", ineligible_outcome="z")
    flat, design, who = _case(np.ones((12, 3)), [2] * 6 + [0] * 6, [1, 0] * 6)
    with pytest.raises(DesignError, match="same everywhere"):
        triple_difference(flat, design, outcome="y", eligible=who)
