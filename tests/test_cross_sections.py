"""Repeated cross-sections against R's did and DRDID, least squares on persons, and derivatives of the estimate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mekeval import DataError, DesignError, aggregate, build_panel, design_from_cohorts, make_design
from mekeval.design import Design
from mekeval.estimate import Effects
from mekeval.estimate.callaway_santanna import callaway_santanna
from mekeval.estimate.cross_sections import cross_section_att, repeated_cross_sections
from mekeval.estimate.doubly_robust import prepare_two_by_two
from mekeval.panel import Panel

METHODS = ("dr", "reg", "ipw")
TOLERANCE = 1e-10


def _panel(frame: pd.DataFrame) -> tuple[Panel, Design]:
    """A panel of `id`, `time` and the other columns, and its design from `g`, where 0 is never."""
    outcomes = [name for name in frame.columns if name not in ("id", "time", "g")]
    panel = build_panel(frame, unit="id", period="time", outcome=outcomes)
    first = frame.drop_duplicates("id").set_index("id")["g"]
    first.index = first.index.astype(str)
    cohorts = [pd.NA if first[unit] == 0 else int(first[unit]) for unit in panel.units]
    return panel, design_from_cohorts(panel.units, cohorts, last_period=int(frame["time"].max()))


def _figures(effects: Effects) -> list[tuple[float, float]]:
    return [(row.att, row.se) for row in effects.tidy().itertuples()]


# --- R's did 2.5.1: an unbalanced panel -----------------------------------------------------------------------------
# From the conformance fixtures of the Stata package csdid (f016): allow_unbalanced_panel = TRUE, never-treated,
# analytic errors. The data are a formula; the third column is the error with clustervars = "cl".
R_UNBALANCED: Mapping[tuple[str | None, bool, str], tuple[float, float, float]] = {
    (None, False, "dr"): (0.339811277326796, 0.118188527648279, 0.119165177778761),
    (None, False, "reg"): (0.339811277326799, 0.118188527648278, 0.119165177778761),
    (None, False, "ipw"): (0.339811277326801, 0.118188527648278, 0.11916517777876),
    ("wt", False, "dr"): (0.331897635399304, 0.115471388088848, 0.116825703761795),
    ("wt", False, "reg"): (0.331897635399305, 0.115471388088848, 0.116825703761795),
    ("wt", False, "ipw"): (0.331897635399304, 0.115471388088848, 0.116825703761795),
    (None, True, "dr"): (0.336391616724823, 0.0367444691612467, 0.0337476746611702),
    (None, True, "reg"): (0.533758531386937, 0.0807272521826659, 0.0766366639171474),
    (None, True, "ipw"): (0.361131747269431, 0.0996921958205819, 0.100396223790619),
    ("wt", True, "dr"): (0.341559354893139, 0.0360716383320436, 0.0331599160588103),
    ("wt", True, "reg"): (0.535233710546198, 0.0809203330490885, 0.0755289078836352),
    ("wt", True, "ipw"): (0.358602082954079, 0.0983278027358056, 0.0983251950808025),
}


def _two_periods() -> pd.DataFrame:
    """12 treated and 14 other units in two periods; four of them lack the first."""
    i = np.repeat(np.r_[1:13, 21:35], 2)
    t = np.tile([1, 2], 26)
    x1, x2 = np.sin(0.31 * i) + 0.2 * t + 0.05 * (i % 3), np.cos(0.17 * i) - 0.1 * t + 0.03 * (i % 4)
    y = np.where(i <= 12, 0.2 * i + 0.7 * t + 1.1 * (t == 2), -0.1 * i + 0.4 * t + 0.03 * i * (t == 2))
    frame = pd.DataFrame(
        {
            "id": i,
            "time": t,
            "g": np.where(i <= 12, 2, 0),
            "y": y + 0.35 * x1 - 0.18 * x2,
            "x1": x1,
            "x2": x2,
            "wt": 1 + 0.02 * i + 0.15 * t + 0.1 * (i <= 12),
        }
    )
    return frame[~(frame["id"].isin([3, 4, 22, 23]) & (frame["time"] == 1))]


@pytest.mark.parametrize("case", R_UNBALANCED)
def test_an_unbalanced_panel_agrees_with_r(case: tuple[str | None, bool, str]) -> None:
    count, with_covariates, method = case
    att, se, clustered = R_UNBALANCED[case]
    effects = repeated_cross_sections(
        *_panel(_two_periods()),
        outcome="y",
        count=count,
        covariates=["x1", "x2"] if with_covariates else [],
        method=method,
    )
    assert effects.cells["att"].tolist() == pytest.approx([att], abs=TOLERANCE)
    assert (effects.n_units, effects.n_rows) == (26, 48)
    if with_covariates and method == "dr":
        return  # see below
    assert effects.influence is not None
    assert effects.tidy()["se"].tolist() == pytest.approx([se], abs=TOLERANCE)
    group = [(int(unit) - 1) % 6 for unit in effects.units]
    sums = pd.Series(effects.influence[:, 0]).groupby(group).sum()
    assert np.sqrt(np.sum(sums**2)) / effects.n_units == pytest.approx(clustered, abs=TOLERANCE)


@pytest.mark.parametrize("count", [None, "wt"])
def test_the_doubly_robust_error_of_r_has_one_term_with_the_wrong_sign(count: str | None) -> None:
    # The estimate falls with the regression of the comparison in the earlier period by the gap between the covariates
    # of the comparison, weighted by its odds, and those of the treated. `drdid_rc` adds that gap instead. Turning the
    # sign of the term gives R's figures; the derivative of the estimate (below) says which sign is right.
    frame = _two_periods()
    after, treated = (frame["time"] == 2).to_numpy(), (frame["g"] == 2).to_numpy()
    y, x = frame["y"].to_numpy(), frame[["x1", "x2"]].to_numpy()
    w = np.ones(len(y)) if count is None else (frame["wt"] / frame["wt"].mean()).to_numpy()
    _, influence = cross_section_att(y, after, treated, covariates=x, names=["x1", "x2"], weights=w)
    score = prepare_two_by_two(treated, covariates=x, names=["x1", "x2"], weights=w, method="ipw").score
    assert score is not None
    design = np.column_stack([np.ones(len(y)), x])
    corner = np.where(~treated & ~after, w, 0.0)
    odds, on = corner * score / (1 - score), np.where(treated & ~after, w, 0.0)
    gap = design.T @ on / on.sum() - design.T @ odds / odds.sum()
    gram = design.T @ (corner[:, None] * design)
    residual = y - design @ np.linalg.solve(gram, design.T @ (corner * y))
    term = len(y) * corner * residual * (design @ np.linalg.solve(gram, gap))
    _, se, clustered = R_UNBALANCED[count, True, "dr"]
    for unit, figure in ((frame["id"], se), ((frame["id"] - 1) % 6, clustered)):
        sums = pd.Series(influence - 2 * term).groupby(unit.to_numpy()).sum()
        assert np.sqrt(np.sum(sums**2)) / len(y) == pytest.approx(figure, abs=TOLERANCE)


# --- R's did 2.5.1: rows without an identifier ----------------------------------------------------------------------
# The same fixtures (f012): panel = FALSE, weightsname = "wt". Each row is a unit of its own, seen once.
R_ROWS: Mapping[tuple[bool, str], Sequence[tuple[float, float]]] = {
    (False, "dr"): (
        (4.29187537029989e-05, 0.0960218221044726),
        (0.750067729284452, 0.0965157423283353),
        (0.850146365894537, 0.0965990521738307),
        (1.98883005249162e-05, 0.0856496098031567),
        (3.09626176572078e-05, 0.0856769739510865),
        (0.790034969659802, 0.0858082847114732),
    ),
    (True, "dr"): (
        (-0.004938840815309, 0.0200255228088933),
        (0.746060985235324, 0.019948807605122),
        (0.843532468774119, 0.0210168244831684),
        (0.00737846233737642, 0.0218174189152352),
        (0.00936682159918095, 0.0214865640304839),
        (0.800829257904874, 0.0211163723520694),
    ),
    (True, "reg"): (
        (0.0545454334499061, 0.0694309782353928),
        (0.805537205479917, 0.0694311962453448),
        (0.961828433384446, 0.0693516098417155),
        (0.0552943879696917, 0.05431675035899),
        (0.056292241302819, 0.0534340786555054),
        (0.847196949224896, 0.0528004532646663),
    ),
    (True, "ipw"): (
        (-0.000546480042541986, 0.0930150792752423),
        (0.749453647259222, 0.0933878488373747),
        (0.848975844286264, 0.0933734750376608),
        (0.000372873906707705, 0.0855605876855841),
        (0.000360969418337298, 0.0857829335377316),
        (0.790315722110555, 0.0860736106406295),
    ),
}


def _four_periods() -> pd.DataFrame:
    """48 units in four periods; a third each enters in 3, in 4 and never."""
    i, t = np.repeat(np.arange(1, 49), 4), np.tile(np.arange(1, 5), 48)
    g = np.repeat([3, 4, 0], 64)
    x1, x2 = np.sin(0.5 * (i % 6)) + 0.12 * t, np.cos(0.7 * (i % 5)) - 0.08 * t
    effect = np.where((g > 0) & (t >= g), 0.75 + 0.1 * (t - g) + 0.04 * (g == 4), 0)
    y = 0.4 * t + 0.32 * x1 - 0.18 * x2 + 0.03 * (i % 4) + effect + 0.04 * np.sin(0.8 * i + 0.3 * t)
    wt = 1 + 0.015 * i + 0.18 * t + 0.04 * (g == 4)
    return pd.DataFrame({"id": i, "time": t, "g": g, "y": y, "x1": x1, "x2": x2, "wt": wt})


@pytest.mark.parametrize("case", R_ROWS)
def test_rows_without_an_identifier_agree_with_r(case: tuple[bool, str]) -> None:
    with_covariates, method = case
    frame = _four_periods()
    effects = repeated_cross_sections(
        *_panel(frame.assign(id=np.arange(len(frame)))),
        outcome="y",
        count="wt",
        covariates=["x1", "x2"] if with_covariates else [],
        method=method,
    )
    for (att, se), (r_att, r_se) in zip(_figures(effects), R_ROWS[case], strict=True):
        assert att == pytest.approx(r_att, abs=TOLERANCE)
        if case == (True, "dr"):
            assert se == pytest.approx(r_se, rel=0.003)  # the sign above; here it matters little
        else:
            assert se == pytest.approx(r_se, abs=TOLERANCE)


def test_aggregations_of_rows_agree_with_r() -> None:
    frame = _four_periods()
    effects = repeated_cross_sections(
        *_panel(frame.assign(id=np.arange(len(frame)))), outcome="y", count="wt"
    )
    figures = {
        "simple": (0.796374601753203, 0.0615249959150715),
        "path": (0.794660501809463, 0.0602862529115465),
        "calendar": (0.783854221023843, 0.0638910579150157),
        "event_time": (0.810913328375114, 0.0691823083380894),
    }
    for by, figure in figures.items():
        found = aggregate(effects, by=by)
        assert (found.overall, found.overall_se) == pytest.approx(figure, abs=TOLERANCE)
    table = aggregate(effects, by="event_time").table.set_index("key")
    assert table.loc[0, ["att", "se"]].tolist() == pytest.approx(
        [0.771680290855693, 0.0541970816213665], abs=TOLERANCE
    )
    assert table.loc[-1, ["att", "se"]].tolist() == pytest.approx(
        [3.64533904695016e-05, 0.0541244462288537], abs=TOLERANCE
    )


R_UNBALANCED_AVERAGES: Mapping[tuple[bool, str], Mapping[str, tuple[float, float]]] = {
    (False, "dr"): {
        "simple": (0.793545874392244, 0.00969119717264744),
        "path": (0.788266081203794, 0.009910115531914),
        "calendar": (0.783412833809979, 0.00952927556864113),
        "event_time": (0.809872678671527, 0.0102850098455174),
    },
    (True, "reg"): {
        "simple": (0.86296280340363, 0.0082385610651837),
        "path": (0.855114889441518, 0.00894725534772896),
        "calendar": (0.846367323034457, 0.00848935370323354),
        "event_time": (0.888764728582458, 0.00794608362063818),
    },
    (True, "ipw"): {
        "simple": (0.792959637307208, 0.0106935023546415),
        "path": (0.788309394898445, 0.0102391657996639),
        "calendar": (0.783024031129256, 0.0104131059744026),
        "event_time": (0.80835047659481, 0.0122644071992407),
    },
}


@pytest.mark.parametrize("case", R_UNBALANCED_AVERAGES)
def test_aggregations_of_an_unbalanced_panel_agree_with_r(case: tuple[bool, str]) -> None:
    with_covariates, method = case
    frame = _four_periods()
    gone = {1: [2, 5, 18, 35, 39], 2: [7, 24, 41], 4: [10, 29, 45]}
    frame = frame[~np.any([(frame["time"] == t) & frame["id"].isin(ids) for t, ids in gone.items()], axis=0)]
    effects = repeated_cross_sections(
        *_panel(frame),
        outcome="y",
        count="wt",
        covariates=["x1", "x2"] if with_covariates else [],
        method=method,
    )
    # With an identifier did counts a unit by the mean of its weights, whatever its number of rows.
    mean = frame.groupby("id")["wt"].mean()
    effects = replace(effects, unit_weights=np.array([mean[int(unit)] for unit in effects.units]))
    for by, figure in R_UNBALANCED_AVERAGES[case].items():
        found = aggregate(effects, by=by)
        assert (found.overall, found.overall_se) == pytest.approx(figure, abs=1e-9)


# --- persons, areas and derivatives ---------------------------------------------------------------------------------


def _drawn(seed: int = 3, n: int = 40) -> pd.DataFrame:
    """Areas in five years with counts of 1 to 6 persons; a tenth of the cells is missing."""
    rng = np.random.default_rng(seed)
    g = np.repeat(np.array([0, 3, 4, 0])[np.arange(n) % 4], 5)
    frame = pd.DataFrame(
        {
            "id": np.repeat(np.arange(n), 5),
            "time": np.tile(np.arange(1, 6), n),
            "g": g,
            "y": np.repeat(rng.normal(size=n), 5) + rng.normal(size=5 * n),
            "x1": rng.normal(size=5 * n) + 0.3 * (g > 0),
            "n": rng.integers(1, 7, size=5 * n),
        }
    )
    return frame[rng.uniform(size=len(frame)) > 0.1]


def test_it_is_least_squares_on_persons_clustered_by_area() -> None:
    frame = _drawn()
    effects = repeated_cross_sections(
        *_panel(frame), outcome="y", count="n", comparison="not_yet_treated", base_period="universal"
    )
    persons = frame.loc[frame.index.repeat(frame["n"])]
    for row in effects.tidy().itertuples():
        base, later = int(row.base), max(int(row.base), row.period)
        inside = (persons["g"] == row.cohort) | (persons["g"] == 0) | (persons["g"] > later)
        sample = persons[inside & persons["time"].isin([base, row.period])]
        d, t = (sample["g"] == row.cohort).to_numpy(float), (sample["time"] == row.period).to_numpy(float)
        x = np.column_stack([np.ones(len(sample)), d, t, d * t])
        y = sample["y"].to_numpy()
        bread = np.linalg.inv(x.T @ x)
        beta = bread @ (x.T @ y)
        scores = pd.DataFrame(x * (y - x @ beta)[:, None]).groupby(sample["id"].to_numpy()).sum().to_numpy()
        se = np.sqrt((bread @ (scores.T @ scores) @ bread)[-1, -1])
        assert (row.att, row.se) == pytest.approx((beta[-1], se), abs=1e-10)
        areas = sample.groupby("id")["g"].first()
        assert (row.n_treated, row.n_comparison) == (np.sum(areas == row.cohort), np.sum(areas != row.cohort))
    total = persons.groupby("id").size()
    assert effects.unit_weights is not None
    assert effects.unit_weights.tolist() == [total[int(unit)] for unit in effects.units]
    assert effects.n_rows == len(frame)


@pytest.mark.parametrize("method", METHODS)
def test_a_cell_stands_for_its_persons(method: str) -> None:
    frame = _drawn()
    persons = frame.loc[frame.index.repeat(frame["n"])]
    found = []
    for sample, weights in ((frame, frame["n"]), (persons, None)):
        pair = sample[sample["time"].isin([2, 3]) & sample["g"].isin([0, 3])]
        att, influence = cross_section_att(
            pair["y"].to_numpy(),
            (pair["time"] == 3).to_numpy(),
            (pair["g"] == 3).to_numpy(),
            covariates=pair[["x1"]].to_numpy(),
            names=["x1"],
            weights=None if weights is None else weights[pair.index].to_numpy(float),
            method=method,
        )
        sums = pd.Series(influence / len(pair)).groupby(pair["id"].to_numpy()).sum()
        found.append([att, *sums])
    assert found[0] == pytest.approx(found[1], abs=1e-9)
    effects = repeated_cross_sections(
        *_panel(frame), outcome="y", count="n", covariates=["x1"], method=method
    )
    at = effects.cells.index[(effects.cells["cohort"] == 3) & (effects.cells["period"] == 3)][0]
    se = np.sqrt(np.sum(np.square(found[1][1:])))
    assert (effects.cells["att"][at], effects.tidy()["se"][at]) == pytest.approx((found[1][0], se), abs=1e-9)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_influence_functions_are_derivatives_in_the_weights(method: str, weighted: bool) -> None:
    # Raise the weight of one row a little: the estimate moves by its influence function. Nothing but estimates enters.
    rng = np.random.default_rng(11)
    n = 60
    after, treated = np.arange(n) % 2 == 1, np.arange(n) % 5 < 2
    x = rng.normal(size=(n, 2)) + 0.5 * treated[:, None]
    y = x @ [1.0, -0.5] + x[:, 0] ** 2 + treated * after + rng.normal(size=n)
    w = rng.uniform(0.5, 2, size=n) if weighted else np.ones(n)

    def estimate(weights: np.ndarray) -> tuple[float, np.ndarray]:
        return cross_section_att(
            y, after, treated, covariates=x, names=["a", "b"], weights=weights, method=method
        )

    _, influence = estimate(w)
    step = 1e-5
    slopes = [
        n * (estimate(w * (1 + step * row))[0] - estimate(w * (1 - step * row))[0]) / (2 * step)
        for row in np.eye(n)
    ]
    assert influence == pytest.approx(np.array(slopes), abs=1e-6)
    assert influence.sum() == pytest.approx(0, abs=1e-8)


@pytest.mark.parametrize("method", METHODS)
def test_a_balanced_panel_of_equal_counts_gives_the_estimates_of_the_panel(method: str) -> None:
    frame = _four_periods()
    frame["x1"] = frame.groupby("id")["x1"].transform("first")
    frame["k"] = 1.0 + frame["id"] % 7
    panel, design = _panel(frame)
    for comparison in ("never_treated", "not_yet_treated"):
        for base_period in ("varying", "universal"):
            options = {
                "comparison": comparison,
                "base_period": base_period,
                "method": method,
                "anticipation": 1,
            }
            plain = [
                repeated_cross_sections(panel, design, outcome="y", **options),
                callaway_santanna(panel, design, outcome="y", **options),
            ]
            assert _figures(plain[0]) == [pytest.approx(one, abs=1e-12) for one in _figures(plain[1])]
            adjusted = [
                repeated_cross_sections(panel, design, outcome="y", count="k", covariates=["x1"], **options),
                callaway_santanna(panel, design, outcome="y", weights="k", covariates=["x1"], **options),
            ]
            found, expected = (one.cells["att"].to_numpy() for one in adjusted)
            assert found == pytest.approx(expected, abs=1e-9)
            same = ["path", "cohort", "period", "event_time", "phase", "base", "n_treated", "n_comparison"]
            assert adjusted[0].cells[same].equals(adjusted[1].cells[same])
    simple = [aggregate(one, by="simple") for one in plain]
    assert simple[0].overall_se == pytest.approx(simple[1].overall_se, abs=1e-12)


# --- what enters, and what is refused -------------------------------------------------------------------------------


def test_what_has_no_cell_is_told() -> None:
    frame = _drawn()
    frame.loc[frame["id"] == 4, "n"] = 0
    frame.loc[frame["id"] == 5, "x1"] = np.nan
    first = frame.loc[frame["id"] == 4, "time"].min(), frame.loc[frame["id"] == 5, "time"].min()
    panel, _ = _panel(frame)
    waves = [(1, 5, ["6"]), (3, 5, ["1", "2", "9"]), (4, 5, ["3", "7"])]
    effects = repeated_cross_sections(
        panel, make_design(panel.units, waves), outcome="y", count="n", covariates=["x1"], method="reg"
    )
    assert ("6", "already_treated", 1) in effects.dropped
    assert ("4", "n is zero", first[0]) in effects.dropped or ("4", "not_published", 1) in effects.dropped
    assert ("5", "x1 missing", first[1]) in effects.dropped or ("5", "not_published", 1) in effects.dropped
    assert len(effects.dropped) == 3
    assert effects.n_units == 37


def test_a_path_without_cells_after_entry_is_left_out_but_may_be_compared_with() -> None:
    frame = pd.DataFrame(
        {
            "id": list("aaaabbbbccccdddd"),
            "time": [1, 2, 3, 4] * 4,
            "g": np.repeat([2, 3, 0, 0], 4),
            "y": [1.0, 4, 5, 6, 2, 3, np.nan, np.nan, 0, 2, 2, 5, 1, 1, 4, 4],
        }
    )
    effects = repeated_cross_sections(*_panel(frame), outcome="y", comparison="not_yet_treated")
    assert set(effects.cells["cohort"]) == {2}
    # Period 2: the means of b, c and d; later b, which has no data, is no comparison
    assert effects.cells["att"].tolist() == pytest.approx(
        [3 - (6 / 3 - 3 / 3), 4 - (3 - 0.5), 5 - (4.5 - 0.5)]
    )
    assert effects.group[list(effects.units).index("b")] == -1
    assert effects.dropped == ()
    alone = repeated_cross_sections(*_panel(frame), outcome="y")
    assert alone.dropped == (("b", "missing", 3),)


def test_order_and_scale_do_not_matter() -> None:
    frame = _drawn()
    options = {"outcome": "y", "count": "n", "covariates": ["x1"], "comparison": "not_yet_treated"}
    first = repeated_cross_sections(*_panel(frame), **options)
    mixed = frame.sample(frac=1, random_state=1).assign(
        y=3 - 2 * frame["y"], n=10 * frame["n"], x1=5 + 9 * frame["x1"]
    )
    panel, design = _panel(mixed)
    values = panel.values["n"].copy()
    second = repeated_cross_sections(panel, design, **options)
    assert -2 * first.cells["att"].to_numpy() == pytest.approx(second.cells["att"].to_numpy(), abs=1e-9)
    assert 2 * first.tidy()["se"].to_numpy(float) == pytest.approx(
        second.tidy()["se"].to_numpy(float), abs=1e-9
    )
    assert np.array_equal(values, panel.values["n"], equal_nan=True)


def test_one_treated_area_has_no_error() -> None:
    frame = _drawn()
    panel, _ = _panel(frame)
    effects = repeated_cross_sections(
        panel, make_design(panel.units, [(3, 5, ["1"])]), outcome="y", count="n"
    )
    assert effects.tidy()["se"].isna().all()


def test_what_cannot_be_answered_is_refused() -> None:
    frame = _drawn()
    frame = frame.assign(x2=2 * frame["x1"], below=-frame["n"], apart=(frame["g"] > 0) + 0.01 * frame["x1"])
    panel, design = _panel(frame)
    ask = {"outcome": "y", "count": "n"}
    for options, message in (
        ({"comparison": "never"}, "Unknown comparison"),
        ({"base_period": "first"}, "Unknown base_period"),
        ({"method": "ols"}, "Unknown method"),
        ({"anticipation": 0.5}, "whole years"),
        ({"anticipation": 2}, "anticipation leaves alone"),
        ({"covariates": "x1"}, "list of names"),
        ({"covariates": ["x1", "x2"]}, "collinear"),
        ({"covariates": ["x1", "x2"], "method": "reg"}, r"cells of one side in the (earlier|later) period"),
        ({"covariates": ["apart"], "method": "ipw"}, "separate"),
    ):
        with pytest.raises(DesignError, match=message):
            repeated_cross_sections(panel, design, **{**ask, **options})
    for options in ({"outcome": "z"}, {"count": "z"}, {"covariates": ["z"]}, {"count": "below"}):
        with pytest.raises(DataError):
            repeated_cross_sections(panel, design, **{**ask, **options})
    with pytest.raises(DesignError, match="same everywhere"):
        repeated_cross_sections(*_panel(frame.assign(y=1.0)), outcome="y")
    nobody = frame.assign(y=frame["y"].where(frame["g"] > 0))
    with pytest.raises(DesignError, match="No never-treated"):
        repeated_cross_sections(*_panel(nobody), outcome="y")
    late = repeated_cross_sections(*_panel(nobody), outcome="y", comparison="not_yet_treated")
    assert [(row.cohort, row.period) for row in late.cells.itertuples()] == [(3, 2), (3, 3)]
    with pytest.raises(DesignError, match="two periods"):
        repeated_cross_sections(*_panel(frame.assign(y=frame["y"].where(frame["time"] == 3))), outcome="y")
