"""Regressions against what R's fixest, etwfe and didimputation print, dense least squares, and hand calculations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mekeval import aggregate, build_panel, design_from_cohorts, group_time_att, make_design
from mekeval.design import Design
from mekeval.estimate import Effects
from mekeval.estimate.regression import (
    covariate_coefficients,
    extended_twfe,
    sun_abraham,
    twfe,
    twfe_event_study,
)
from mekeval.panel import Panel

TOLERANCE = 1e-7  # the reference is rounded to 8 digits
R = pd.read_csv(Path(__file__).parents[1] / "reference" / "r_reference.csv")
Study = tuple[Panel, Design]
ESTIMATORS = (twfe, twfe_event_study, sun_abraham, extended_twfe)


def _r(case: str, quantity: str) -> tuple[float, float]:
    row = R[(R["case"] == case) & (R["quantity"] == quantity)].iloc[0]
    return float(row["estimate"]), float(row["se"])


def _study(data: pd.DataFrame, unit: str, outcomes: list[str], first: pd.Series) -> Study:
    panel = build_panel(data, unit=unit, period="year", outcome=outcomes)
    first = first.set_axis(first.index.astype(str)).reindex(list(panel.units)).astype("Int64")
    return panel, design_from_cohorts(panel.units, list(first), last_period=int(data["year"].max()))


@pytest.fixture(scope="module")
def mpdta(reference: Path) -> Study:
    """County teen employment: 500 counties, 2003-2007, cohorts 2004, 2006, 2007 and never (0 in the file)."""
    data = pd.read_csv(reference / "mpdta.csv")
    first = data.groupby("countyreal")["first.treat"].first()
    return _study(data, "countyreal", ["lemp", "lpop"], first[first > 0])


@pytest.fixture(scope="module")
def stagg(reference: Path) -> Study:
    """fixest's simulated panel: 95 units, periods 1-10, cohorts 2 to 10 of five units each (10000 is never)."""
    data = pd.read_csv(reference / "base_stagg.csv")
    first = data.groupby("id")["year_treated"].first()
    return _study(data, "id", ["y", "x1"], first[first < 10000])


@pytest.fixture(scope="module")
def castle(reference: Path) -> Study:
    """Castle-doctrine laws: 50 states, 2000-2010; a cohort is the first year with post = 1; 2005 is one state."""
    data = pd.read_csv(reference / "castle.csv")
    return _study(data, "state", ["l_homicide"], data[data["post"] == 1].groupby("state")["year"].min())


# Against R


@pytest.mark.parametrize(
    ("name", "outcome", "case", "quantity"),
    [
        ("mpdta", "lemp", "mpdta_twfe", "D"),
        ("stagg", "y", "stagg_twfe", "D"),
        ("castle", "l_homicide", "castle_twfe", "post"),
    ],
)
def test_twfe_agrees_with_r(
    request: pytest.FixtureRequest, name: str, outcome: str, case: str, quantity: str
) -> None:
    effects = twfe(*request.getfixturevalue(name), outcome=outcome)
    simple = aggregate(effects, by="simple")
    assert (simple.overall, simple.overall_se) == pytest.approx(_r(case, quantity), abs=TOLERANCE)
    (row,) = effects.tidy().itertuples()
    assert (row.att, row.se) == pytest.approx(_r(case, quantity), abs=TOLERANCE)
    assert (row.path, row.phase, row.cohort, row.period, row.event_time) == ("all", "on", None, None, None)


@pytest.mark.parametrize(
    ("name", "outcome", "covariates", "case"),
    [("mpdta", "lemp", [], "mpdta_sunab"), ("stagg", "y", ["x1"], "stagg_sunab_x1")],
)
def test_sun_abraham_agrees_with_r(
    request: pytest.FixtureRequest, name: str, outcome: str, covariates: list[str], case: str
) -> None:
    effects = sun_abraham(*request.getfixturevalue(name), outcome=outcome, covariates=covariates)
    table = aggregate(effects, by="event_time").table
    quantities = R.loc[(R["case"] == case) & R["quantity"].str.startswith("es_"), "quantity"]
    assert [f"es_{key}" for key in table["key"]] == list(quantities)
    for row in table.itertuples():
        assert (row.att, row.se) == pytest.approx(_r(case, f"es_{row.key}"), abs=TOLERANCE)
    simple = aggregate(effects, by="simple")
    assert (simple.overall, simple.overall_se) == pytest.approx(_r(case, "att"), abs=TOLERANCE)
    assert not effects.shares_estimated


def test_the_coefficient_of_a_covariate_agrees_with_r(stagg: Study) -> None:
    coefficients = covariate_coefficients(*stagg, outcome="y", covariates=["x1"])
    (row,) = coefficients.table.itertuples()
    assert row.covariate == "x1"
    assert (row.estimate, row.se) == pytest.approx(_r("stagg_sunab_x1", "x1"), abs=TOLERANCE)
    assert coefficients.influence.shape == (95, 1)


def test_extended_twfe_has_the_estimates_of_imputation_in_r(mpdta: Study) -> None:
    effects = extended_twfe(*mpdta, outcome="lemp")
    assert aggregate(effects, by="simple").overall == pytest.approx(
        _r("mpdta_imputation", "att")[0], abs=TOLERANCE
    )
    table = aggregate(effects, by="event_time").table
    assert list(table["key"]) == [0, 1, 2, 3]
    for row in table.itertuples():
        assert row.att == pytest.approx(_r("mpdta_imputation", f"es_{row.key}")[0], abs=TOLERANCE)


# Coefficients and standard errors on mpdta that the tests of R's etwfe take for known (inst/tinytest/test_etwfe.R).
ETWFE = {
    "not_yet_treated": {
        (2004, 2004): (-0.0193723636759116, 0.0223952764912568),
        (2004, 2005): (-0.0783190990620529, 0.030506236091693),
        (2004, 2006): (-0.136078114440309, 0.0354768817979489),
        (2004, 2007): (-0.104707471576594, 0.0338947465597152),
        (2006, 2006): (0.00251386194191313, 0.0199448451562706),
        (2006, 2007): (-0.0391927355917248, 0.0240232361043774),
        (2007, 2007): (-0.0431060328087001, 0.0184422693090335),
    },
    "never_treated": {
        (2004, 2004): (-0.0105032462209509, 0.0233633078987137),
        (2004, 2005): (-0.0704231581031381, 0.0311343819027016),
        (2004, 2006): (-0.137258738889396, 0.0366116000064794),
        (2004, 2007): (-0.100811363085397, 0.0345251351219756),
        (2006, 2003): (-0.00376929367371485, 0.0314933678411734),
        (2006, 2004): (0.00275081875051886, 0.0196530028296998),
        (2006, 2006): (-0.00459460695286396, 0.0178409306056071),
        (2006, 2007): (-0.041224471546218, 0.0203268606975245),
        (2007, 2003): (0.00330635669251332, 0.0245699429153858),
        (2007, 2004): (0.033813012275807, 0.0212312006908406),
        (2007, 2005): (0.0310871193896906, 0.0179638358765074),
        (2007, 2007): (-0.0260544107191967, 0.0167358589135634),
    },
    "not_yet_treated, lpop": {
        (2004, 2004): (-0.0212480022225509, 0.0217240175852948),
        (2004, 2005): (-0.0818499992698647, 0.0273693782016555),
        (2004, 2006): (-0.137870386660852, 0.0307883605600032),
        (2004, 2007): (-0.10953945536511, 0.0323152812535003),
        (2006, 2006): (0.00253680638189265, 0.0188790276715869),
        (2006, 2007): (-0.04509347225369, 0.0219826417092899),
        (2007, 2007): (-0.0459545277368072, 0.017971446660356),
    },
}


@pytest.mark.parametrize("case", ETWFE)
def test_extended_twfe_agrees_with_r(mpdta: Study, case: str) -> None:
    comparison, *covariates = case.split(", ")
    effects = extended_twfe(*mpdta, outcome="lemp", covariates=covariates, comparison=comparison)  # type: ignore[arg-type]
    table = effects.tidy().set_index(["cohort", "period"])
    assert list(table.index) == list(ETWFE[case])
    # etwfe has effects of the 4 cohorts in place of units, and with lpop its slope for each cohort; fixest counts them:
    # K = effects (+ their slopes) + 4 cohorts + 5 periods - 1 (+ 4 slopes by cohort + 4 by period). Here units are
    # nested in the cluster and not counted: K = effects (+ their slopes + 4 slopes by period) + 5 periods.
    n_effects = len(ETWFE[case])
    theirs = 2 * n_effects + 8 + 8 if covariates else n_effects + 8
    ours = 2 * n_effects + 4 + 5 if covariates else n_effects + 5
    factor = np.sqrt((2500 - ours) / (2500 - theirs))
    for key, (estimate, error) in ETWFE[case].items():
        assert table.loc[key, "att"] == pytest.approx(estimate, abs=1e-10)
        assert table.loc[key, "se"] * factor == pytest.approx(error, abs=1e-9)


# Against dense least squares with a dummy for each unit and period


def _dense(
    y: np.ndarray, regressors: np.ndarray, unit: np.ndarray, period: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Estimates and standard errors clustered by unit, the long way."""
    fixed = np.column_stack(
        [unit[:, None] == np.unique(unit), period[:, None] == np.unique(period)[1:]]
    ).astype(float)
    both = np.column_stack([regressors, fixed])
    coefficients = np.linalg.lstsq(both, y, rcond=None)[0]
    residuals = y - both @ coefficients
    net = regressors - fixed @ np.linalg.lstsq(fixed, regressors, rcond=None)[0]
    scores = np.vstack([(net * residuals[:, None])[unit == one].sum(axis=0) for one in np.unique(unit)])
    bread = np.linalg.inv(net.T @ net)
    n_clusters, n, k = len(scores), len(y), regressors.shape[1] + len(np.unique(period))
    factor = n_clusters / (n_clusters - 1) * (n - 1) / (n - k)
    return coefficients[: regressors.shape[1]], np.sqrt(factor * np.diag(bread @ scores.T @ scores @ bread))


def _random(*, gaps: float, seed: int = 5) -> tuple[pd.DataFrame, Study]:
    """36 units, 7 years of which 2014 has no data; cohorts 2013, 2015, 2016 (2015 in two paths) and never."""
    rng = np.random.default_rng(seed)
    units = [f"u{number:02d}" for number in range(36)]
    years = [2011, 2012, 2013, 2015, 2016, 2017]
    frame = pd.DataFrame([(unit, year) for unit in units for year in years], columns=["unit", "year"])
    frame["x"] = rng.normal(size=len(frame)).cumsum() / 3
    frame["y"] = rng.normal(size=len(frame)) + frame["x"] + np.repeat(rng.normal(size=36), 6)
    waves = [
        (2013, 2017, units[:5]),
        (2015, 2017, units[5:11]),
        (2015, 2016, units[11:15]),
        (2016, 2017, units[15:20]),
    ]
    kept = frame[rng.random(len(frame)) >= gaps].reset_index(drop=True)
    panel = build_panel(kept, unit="unit", period="year", outcome=["y", "x"])
    return kept, (panel, make_design(units, waves))


def _first_and_last(frame: pd.DataFrame, design: Design) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Entry, last year and path of the unit of each row; entry is infinite and path -1 where never."""
    of = {
        unit: (path.spells[0][0], path.spells[-1][1], index)
        for index, path in enumerate(design.paths)
        for unit in path.units
    }
    three = np.array([of.get(unit, (np.inf, np.inf, -1)) for unit in frame["unit"]])
    return three[:, 0], three[:, 1], three[:, 2]


@pytest.mark.parametrize("gaps", [0.0, 0.15])
@pytest.mark.parametrize("covariates", [[], ["x"]])
@pytest.mark.parametrize("estimator", [twfe, sun_abraham, extended_twfe], ids=lambda one: one.__name__)
def test_estimates_and_errors_are_those_of_dense_least_squares(
    estimator: Callable[..., Effects], covariates: list[str], gaps: float
) -> None:
    frame, (panel, design) = _random(gaps=gaps)
    effects = estimator(panel, design, outcome="y", covariates=covariates)
    first, last, path = _first_and_last(frame, design)
    year = frame["year"].to_numpy()
    if estimator is twfe:
        columns = [(year >= first) & (year <= last)]
    else:
        columns = [(path == row.group) & (year == row.period) for row in effects.cells.itertuples()]
    regressors = np.column_stack(columns).astype(float)
    if covariates and estimator is not extended_twfe:
        regressors = np.column_stack([regressors, frame["x"]])
    elif covariates:  # by the earliest value before entry: the trend, and the slope of each effect
        ordered = frame[year < first].drop_duplicates("unit").set_index("unit")["x"]
        kept = frame["unit"].isin(ordered.index).to_numpy()  # a unit without one is dropped
        assert set(effects.units) == set(frame["unit"][kept])
        frame, year, path, regressors = frame[kept], year[kept], path[kept], regressors[kept]
        before = frame["unit"].map(ordered).to_numpy()
        mean = pd.Series(before, index=path)[~frame["unit"].duplicated().to_numpy()].groupby(level=0).mean()
        slopes = [before * (year == one) for one in np.unique(year)[1:]]
        centred = regressors * (before - mean.reindex(path).to_numpy())[:, None]
        regressors = np.column_stack([regressors, *slopes, centred])
    estimates, errors = _dense(frame["y"].to_numpy(), regressors, frame["unit"].to_numpy(), year)
    n = len(effects.cells)
    assert np.allclose(effects.cells["att"], estimates[:n], atol=1e-10)
    influence = np.asarray(effects.influence)
    assert np.allclose(np.sqrt((influence**2).sum(axis=0)) / effects.n_units, errors[:n], atol=1e-10)
    assert effects.n_rows == len(frame)
    if covariates and estimator is not extended_twfe:
        table = covariate_coefficients(
            panel, design, outcome="y", covariates=["x"], estimator=estimator.__name__
        ).table  # type: ignore[arg-type]
        assert table.loc[0, ["estimate", "se"]].tolist() == pytest.approx([estimates[-1], errors[-1]])


@pytest.mark.parametrize("gaps", [0.0, 0.15])
def test_the_event_study_is_that_of_dense_least_squares(gaps: float) -> None:
    frame, (panel, _) = _random(gaps=gaps)
    units = sorted(set(frame["unit"]))
    design = make_design(units, [(2013, 2017, units[:6]), (2016, 2017, units[6:15])])
    effects = twfe_event_study(panel, design, outcome="y", covariates=["x"])
    first, _, _ = _first_and_last(frame, design)
    event = frame["year"].to_numpy() - first
    times = sorted(
        set(event[np.isfinite(event)]) - {-1}
    )  # 2012 and 2015 have data: every cohort has event time -1
    assert list(effects.cells["event_time"]) == times
    regressors = np.column_stack([*(event == time for time in times), frame["x"]]).astype(float)
    estimates, errors = _dense(
        frame["y"].to_numpy(), regressors, frame["unit"].to_numpy(), frame["year"].to_numpy()
    )
    assert np.allclose(effects.cells["att"], estimates[:-1], atol=1e-10)
    assert np.allclose(effects.tidy()["se"].astype(float), errors[:-1], atol=1e-10)


# Where theory says that estimators agree


def test_sun_abraham_is_the_never_treated_extended_twfe_and_callaway_santanna(mpdta: Study) -> None:
    for panel, design, outcome in ((*mpdta, "lemp"), (*_random(gaps=0)[1], "y")):
        saturated = sun_abraham(panel, design, outcome=outcome)
        extended = extended_twfe(panel, design, outcome=outcome, comparison="never_treated")
        simple = group_time_att(panel, design, outcome=outcome, base_period="universal")
        keys = ["path", "period", "phase"]
        for other in (extended, simple):
            pd.testing.assert_frame_equal(saturated.cells[keys], other.cells[keys])
            assert np.allclose(saturated.cells["att"], other.cells["att"], atol=1e-12)
            assert np.allclose(saturated.changes, other.changes)
            assert np.allclose(saturated.exposure, other.exposure)
        assert np.allclose(np.asarray(saturated.influence), np.asarray(extended.influence))
        # without a covariate the scores are the same too, up to the small-sample factor
        ratio = np.sqrt(
            np.sum(np.asarray(saturated.influence) ** 2, axis=0) / np.sum(simple.influence**2, axis=0)
        )
        n, rows, k = saturated.n_units, saturated.n_rows, len(saturated.cells) + len(set(panel.periods))
        assert np.allclose(ratio, np.sqrt(n / (n - 1) * (rows - 1) / (rows - k)))


def test_extended_twfe_imputes() -> None:
    frame, (panel, design) = _random(gaps=0)
    first, _, path = _first_and_last(frame, design)
    untreated = frame["year"].to_numpy() < first
    unit, year = frame["unit"].to_numpy(), frame["year"].to_numpy()
    dummies = np.column_stack(
        [unit[:, None] == np.unique(unit), year[:, None] == np.unique(year)[1:]]
    ).astype(float)
    fitted = np.linalg.lstsq(dummies[untreated], frame["y"].to_numpy()[untreated], rcond=None)[0]
    gap = frame["y"].to_numpy() - dummies @ fitted
    effects = extended_twfe(panel, design, outcome="y")
    for row in effects.cells.itertuples():
        assert row.att == pytest.approx(gap[(path == row.group) & (year == row.period)].mean(), abs=1e-10)
    assert set(effects.cells["phase"]) == {"on", "after"}


def test_twfe_is_a_weighted_sum_of_the_saturated_effects(mpdta: Study) -> None:
    """With D~ net of unit and period effects: sum(n_g D~_gt ATT_gt) / sum(n_g D~_gt^2), the base's ATT being 0."""
    cells = sun_abraham(*mpdta, outcome="lemp").cells
    years = np.arange(2003, 2008)
    cohorts, sizes = np.array([2004, 2006, 2007, 9999]), np.array([20, 40, 131, 309])
    on = (years >= cohorts[:, None]).astype(float)
    net = on - on.mean(axis=1, keepdims=True)
    net -= sizes @ net / sizes.sum()
    weights = sizes[:, None] * net / (sizes @ net**2).sum()
    total = sum(
        weights[list(cohorts).index(row.cohort), row.period - 2003] * row.att for row in cells.itertuples()
    )
    assert total == pytest.approx(_r("mpdta_twfe", "D")[0], abs=TOLERANCE)


def test_with_one_cohort_the_event_study_is_sun_abraham_and_averages_to_twfe(mpdta: Study) -> None:
    panel, design = mpdta
    one = make_design(
        [*design.paths[1].units, *design.comparison], [(2006, 2007, design.paths[1].units)]
    )  # the cohort of 2006
    pooled, saturated = (
        estimator(panel, one, outcome="lemp") for estimator in (twfe_event_study, sun_abraham)
    )
    assert np.allclose(pooled.cells["att"], saturated.cells["att"], atol=1e-12)
    assert np.allclose(np.asarray(pooled.influence), np.asarray(saturated.influence))
    att = pooled.cells.set_index("event_time")["att"]
    expected = (att[0] + att[1]) / 2 - (att[-3] + att[-2] + 0) / 3
    assert twfe(panel, one, outcome="lemp").cells["att"].iloc[0] == pytest.approx(expected, abs=1e-12)


# Why the pooled regressions mislead, by hand and without noise


def test_twfe_is_negative_where_every_effect_is_positive() -> None:
    # a is treated from 2, b from 3, no trend. Effects: a 1 then 6, b 1. Half the weight is on a against b before b is
    # treated (1), half on b against a while a is treated: 1 - (6 - 1) = -4. (1 - 4) / 2 = -1.5
    frame = pd.DataFrame({"u": list("aaabbb"), "year": [1, 2, 3] * 2, "y": [0.0, 1, 6, 0, 0, 1]})
    panel = build_panel(frame, unit="u", period="year", outcome=["y"])
    design = make_design(["a", "b", "none"], [(2, 3, ["a"]), (3, 3, ["b"])])
    effects = twfe(panel, replace(design, comparison=()), outcome="y")
    assert effects.cells["att"].iloc[0] == pytest.approx(-1.5)
    assert effects.cells[["n_treated", "n_comparison"]].values.tolist() == [[2, 0]]


def test_a_lead_of_the_event_study_is_not_zero_where_trends_are_parallel() -> None:
    units = list("abcdef")
    frame = pd.DataFrame([(unit, year) for unit in units for year in range(1, 7)], columns=["u", "year"])
    entry = frame["u"].map({"a": 3, "b": 3, "c": 5, "d": 5}).fillna(99)
    slope = frame["u"].map({"a": 4.0, "b": 4.0, "c": 1.0, "d": 1.0}).fillna(0)
    frame["y"] = 10 + frame["year"] + slope * (frame["year"] - entry + 1).clip(lower=0)
    panel = build_panel(frame, unit="u", period="year", outcome=["y"])
    design = make_design(units, [(3, 6, ["a", "b"]), (5, 6, ["c", "d"])])
    leads = twfe_event_study(panel, design, outcome="y").cells.query("event_time < 0")["att"]
    assert leads.abs().max() > 0.1
    saturated = sun_abraham(panel, design, outcome="y").cells
    assert np.allclose(saturated.query("event_time < 0")["att"], 0)
    expected = [
        (4.0 if row.cohort == 3 else 1.0) * max(row.event_time + 1, 0) for row in saturated.itertuples()
    ]
    assert np.allclose(saturated["att"], expected)


# Always treated, and no never-treated


@pytest.mark.parametrize(
    "estimator", [twfe_event_study, sun_abraham, extended_twfe], ids=lambda one: one.__name__
)
def test_units_always_treated_are_left_out_and_named(estimator: Callable[..., Effects]) -> None:
    frame, (panel, _) = _random(gaps=0)
    waves = [(2013, 2017, panel.units[:5]), (2016, 2017, panel.units[5:12])]
    plain = estimator(panel, make_design(panel.units[:30], waves), outcome="y")
    design = make_design(panel.units, [*waves, (2010, 2017, panel.units[30:])])
    added = estimator(panel, design, outcome="y")
    assert np.allclose(plain.cells["att"], added.cells["att"])
    assert added.dropped == tuple((unit, "always_treated", 2011) for unit in panel.units[30:])
    assert len(frame) - added.n_rows == 6 * 6


def test_twfe_keeps_units_always_treated_as_other_packages_do() -> None:
    frame, (panel, _) = _random(gaps=0)
    waves = [(2013, 2017, panel.units[:5]), (2010, 2017, panel.units[30:])]
    effects = twfe(panel, make_design(panel.units, waves), outcome="y")
    on = (frame["unit"].isin(panel.units[:5]) & (frame["year"] >= 2013)) | frame["unit"].isin(
        panel.units[30:]
    )
    estimates, errors = _dense(
        frame["y"].to_numpy(),
        on.to_numpy(dtype=float)[:, None],
        frame["unit"].to_numpy(),
        frame["year"].to_numpy(),
    )
    assert effects.tidy()[["att", "se"]].astype(float).values.tolist() == [
        pytest.approx([estimates[0], errors[0]])
    ]


@pytest.mark.parametrize("estimator", [sun_abraham, extended_twfe], ids=lambda one: one.__name__)
def test_without_a_never_treated_unit_the_last_cohort_compares(estimator: Callable[..., Effects]) -> None:
    frame, (panel, _) = _random(gaps=0)
    waves = [(2013, 2017, panel.units[:8]), (2016, 2017, panel.units[8:])]
    design = replace(make_design([*panel.units, "none"], waves), comparison=())
    effects = estimator(panel, design, outcome="y")
    early = build_panel(frame[frame["year"] < 2016], unit="unit", period="year", outcome=["y"])
    same = estimator(early, make_design(panel.units, waves[:1]), outcome="y")
    assert np.allclose(effects.cells["att"], same.cells["att"])
    assert np.allclose(np.asarray(effects.influence), np.asarray(same.influence))
    assert effects.cells["n_comparison"].eq(28).all()


# Invariances


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda one: one.__name__)
def test_invariances(estimator: Callable[..., Effects]) -> None:
    frame, (panel, _) = _random(gaps=0.1)
    waves = [(2013, 2017, panel.units[:6]), (2016, 2017, panel.units[6:15])]
    design = make_design(panel.units, waves)
    before = frame.copy(deep=True), panel.values["y"].copy(), panel.values["x"].copy()
    plain = estimator(panel, design, outcome="y", covariates=["x"])
    columns = [column for column in plain.cells if column != "att"]

    def compare(data: pd.DataFrame, other: Design, factor: float = 1.0) -> None:
        moved = build_panel(data, unit="unit", period="year", outcome=["y", "x"])
        again = estimator(moved, other, outcome="y", covariates=["x"])
        pd.testing.assert_frame_equal(plain.cells[columns], again.cells[columns])
        assert np.allclose(again.cells["att"], factor * plain.cells["att"], atol=1e-9)
        assert np.allclose(
            again.tidy()["se"].astype(float), factor * plain.tidy()["se"].astype(float), atol=1e-9
        )

    compare(frame.sample(frac=1, random_state=3), design)
    compare(frame.assign(y=3 * frame["y"] + 1000, x=frame["x"] / 50 - 7), design, factor=3)
    compare(
        frame.assign(unit="z" + frame["unit"].str[::-1]),
        make_design(
            ["z" + unit[::-1] for unit in panel.units],
            [(first, last, ["z" + unit[::-1] for unit in members]) for first, last, members in waves],
        ),
    )
    pd.testing.assert_frame_equal(frame, before[0])
    assert np.array_equal(panel.values["y"], before[1], equal_nan=True)
    assert np.array_equal(panel.values["x"], before[2], equal_nan=True)


def test_a_copy_of_the_never_treated_changes_no_estimate() -> None:
    frame, (panel, design) = _random(gaps=0)
    copy = frame[frame["unit"].isin(design.comparison)].assign(unit=lambda rows: "copy of " + rows["unit"])
    both = build_panel(pd.concat([frame, copy]), unit="unit", period="year", outcome=["y"])
    wider = replace(
        design, comparison=(*design.comparison, *(f"copy of {unit}" for unit in design.comparison))
    )
    one, two = (sun_abraham(*each, outcome="y").cells["att"] for each in ((panel, design), (both, wider)))
    assert np.allclose(one, two)
