"""The wild cluster bootstrap against a regression for every draw, R's boottest, and cases worked by hand."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mekeval import DesignError, build_panel, make_design
from mekeval.design import Design
from mekeval.inference.wild import wild_cluster_bootstrap
from mekeval.panel import Panel

Study = tuple[Panel, Design]


def made_up(seed: int, *, n: int = 6, treated: int = 3, gaps: bool = False, effect: float = 0.0) -> Study:
    """Two waves, irregular years, a covariate, errors that hang together within units."""
    rng = np.random.default_rng(seed)
    units = [f"u{at}" for at in range(n)]
    years = [2011, 2012, 2014, 2015, 2018]
    waves = [(2014, 2018, units[: treated - 1]), (2015, 2015, units[treated - 1 : treated])]
    design = make_design(units, [wave for wave in waves if wave[2]])
    frame = pd.DataFrame({"u": np.repeat(units, len(years)), "t": years * n})
    frame["y"] = rng.normal(size=(n, len(years))).cumsum(axis=1).ravel() + np.repeat(rng.normal(size=n), 5)
    on = [
        u in design.treated and design.path_of(u).phase(t) == "on"
        for u, t in zip(frame.u, frame.t, strict=True)
    ]
    frame["y"] += effect * np.array(on)
    frame["x"] = rng.normal(size=len(frame))
    if gaps:
        frame.loc[[3, 11, 17], "y"] = np.nan
    return build_panel(frame, unit="u", period="t", outcome=["y", "x"]), design


# The slow way: a regression with all dummies for every draw


def regression(panel: Panel, design: Design, covariates: tuple[str, ...] = ()) -> tuple[np.ndarray, ...]:
    """Regressors with all dummies (the treatment first), outcome and unit of each cell with data."""
    rows = []
    for row, unit in enumerate(panel.units):
        for column, period in enumerate(panel.periods):
            cell = [panel.values[name][row, column] for name in ("y", *covariates)]
            if not np.isnan(cell).any():
                on = unit in design.treated and design.path_of(unit).phase(period) == "on"
                rows.append((row, column, float(on), *cell))
    table = np.array(rows)
    unit, period = table[:, 0].astype(int), table[:, 1].astype(int)
    dummies = [np.eye(len(panel.units))[unit], np.eye(len(panel.periods))[period][:, 1:]]
    return np.column_stack([table[:, 2], table[:, 4:], *dummies]), table[:, 3], unit


def t_statistic(x: np.ndarray, y: np.ndarray, unit: np.ndarray, null: float) -> float:
    """Of the first coefficient, with scores summed by unit and no small-sample factor."""
    bread = np.linalg.inv(x.T @ x)
    coefficients = bread @ x.T @ y
    scores = bread[0] @ x.T * (y - x @ coefficients)
    by_unit = np.bincount(unit, weights=scores)
    return float((coefficients[0] - null) / np.sqrt(np.sum(by_unit**2)))


def slow(
    x: np.ndarray, y: np.ndarray, unit: np.ndarray, draws: np.ndarray, *, restricted: bool, null: float
) -> float:
    """How many draws have a statistic at least as large as that of the data."""
    moved = y - null * x[:, 0]
    used = x[:, 1:] if restricted else x
    fitted = used @ np.linalg.lstsq(used, moved, rcond=None)[0]
    centre = 0.0 if restricted else float(np.linalg.lstsq(x, moved, rcond=None)[0][0])
    real = abs(t_statistic(x, moved, unit, 0.0))
    statistics = [t_statistic(x, fitted + v[unit] * (moved - fitted), unit, centre) for v in draws]
    return float(np.sum(np.abs(statistics) >= real - 1e-9))


def all_signs(n: int) -> np.ndarray:
    return np.array(list(itertools.product([1.0, -1.0], repeat=n)))


@pytest.mark.parametrize(("gaps", "covariates"), [(False, ()), (True, ()), (False, ("x",)), (True, ("x",))])
def test_all_signs_give_the_share_of_regressions_run_one_by_one(
    gaps: bool, covariates: tuple[str, ...]
) -> None:
    shares = set()
    for seed in range(3):
        study = made_up(seed, gaps=gaps, effect=1.5)
        cells = regression(*study, covariates)
        for restricted in (True, False):
            found = wild_cluster_bootstrap(*study, outcome="y", restricted=restricted, covariates=covariates)
            count = slow(*cells, all_signs(6), restricted=restricted, null=0.0)
            expected = count / 64 if restricted else (1 + count) / 65
            assert (found.p_value, found.exact) == (pytest.approx(expected), True)
            assert found.smallest_p == (2 / 64 if restricted else 1 / 65)
            shares.add(expected)
    assert len(shares) > 3


@pytest.mark.parametrize("restricted", [True, False])
def test_the_interval_ends_where_the_slow_test_begins_to_reject(restricted: bool) -> None:
    alpha = 0.15
    for seed in range(3):
        study = made_up(seed, gaps=seed == 1)
        x, y, unit = regression(*study)
        found = wild_cluster_bootstrap(*study, outcome="y", restricted=restricted, alpha=alpha)
        assert found.low is not None
        assert found.high is not None
        assert found.low < found.estimate < found.high
        step = 1e-5 * (found.high - found.low)
        for null, kept in (
            (found.low + step, True),
            (found.low - step, False),
            (found.high - step, True),
            (found.high + step, False),
        ):
            count = slow(x, y, unit, all_signs(6), restricted=restricted, null=null)
            assert ((count / 64 if restricted else (1 + count) / 65) > alpha) == kept


# R's fwildclusterboot (boottest, restricted, Rademacher, all 64 signs), as published among the reference values of
# diff-diff (benchmarks/data/wild_cluster_boot_golden.json and _test_data.csv): y ~ treated + post + treated:post, 6
# clusters of 8 observations before and 8 after, in turn.
BOOTTEST_Y = """
0.467900024557135 5.28330432772302 6.21815961331612 8.91123549413264 1.6036031176057 5.93987635703142 5.51552308604298
12.5845789538936 10.043533800938 -0.529572566385062 11.6147463969497 4.90478267058331 0.0195534899449052
-0.623734360455213 4.62408114371322 1.77824940819063
1.44117212105917 11.8287065860359 2.48612322817247 0.79272738518101 0.25664105566934 5.46071019138058 5.45585277762759
1.72888361535044 1.64819641981181 -2.16930041278279 -8.65527307341515 -0.820012214512376 2.00788152825625
1.35027289877691 -4.22739944639098 2.96495871691995
12.4088103290406 3.86455596416874 -3.77098700413387 8.74834074024986 7.63806603679012 5.21226192690189 10.3553929570071
5.02404351098283 0.0773467620776902 3.8454453091425 4.92829011733396 8.18058751908359 2.32327478678745
3.85791466127983 3.9943310874897 5.63626346312242
3.98548370346126 2.08705100717492 11.9671637110292 8.50781843122744 9.45919061415933 9.17729331028167 7.13828833203314
3.60329239073677 8.91231705393201 6.51778257944759 11.8343546913714 5.85077180326843 5.99854630042171
3.83363405966151 0.1722050079041 13.599136275248
7.39942475667185 6.67760744120808 8.06177241503042 2.99574273253755 4.17388457897458 8.58064165732133 1.35389122978994
10.4092188896989 10.0502116052792 -0.0952531532868699 -0.95058168214624 2.07486027363059 8.73683838173143
6.20299878058477 8.71918261324184 6.78513130717663
5.0782224773697 2.95137909543423 -0.00135445066279938 2.94611250473384 2.51953938488589 -1.52349046695107
0.164141843016002 1.29757869447802 2.59101825926055 4.68185771046451 0.988240247965372 -3.44776984931728
7.81515777811177 -4.39325130500531 1.60122778317178 0.151072360378801
"""


def test_all_signs_agree_with_boottest() -> None:
    # The treatment is constant within a cluster and period, so the means of those cells carry the same estimate and,
    # but for a factor that cancels, the same scores.
    cells = np.array(BOOTTEST_Y.split(), dtype=float).reshape(6, 8, 2).mean(axis=1)
    frame = pd.DataFrame({"u": np.repeat(list("abcdef"), 2), "t": [1, 2] * 6, "y": cells.ravel()})
    study = (
        build_panel(frame, unit="u", period="t", outcome=["y"]),
        make_design("abcdef", [(2, 2, list("abc"))]),
    )
    found = wild_cluster_bootstrap(*study, outcome="y")
    assert found.estimate == pytest.approx(2.23239205609, abs=1e-7)  # the means themselves give 2.23239207898
    # boottest leaves out the two sets of signs that give the data back
    assert found.p_value == pytest.approx(0.03125 + 2 / 64)
    # and so its test at 0.05 rejects up to 3 of 64, which here are 5 of 64: between 0.0625 and 0.09375
    wider = wild_cluster_bootstrap(*study, outcome="y", alpha=0.08)
    # (boottest finds the ends by a search that stops about 1e-4 from the jump of the p-value)
    assert (wider.low, wider.high) == pytest.approx((0.226920726858, 4.86871767596), abs=1e-4)


# By hand


def test_two_against_two_by_hand() -> None:
    # Two periods, changes 5 and 5 of the treated, 0 and 1 of the others: the estimate is 4.5. Under no effect the
    # residuals are the changes less their mean 2.75: 2.25, 2.25, -2.75, -1.75. All 16 signs, and t* by difference of
    # means over the root of the summed squared deviations from both means. Signs of the residuals r give group means
    # m1, m2: t*^2 = (m1 - m2)^2 / (d1^2 + d2^2), with d half the difference within each pair. The data: 4.5^2 / 0.5^2.
    frame = pd.DataFrame({"u": list("aabbccdd"), "t": [1, 2] * 4, "y": [0.0, 5, 0, 5, 0, 0, 0, 1]})
    study = build_panel(frame, unit="u", period="t", outcome=["y"]), make_design("abcd", [(2, 2, ["a", "b"])])
    residuals = np.array([2.25, 2.25, -2.75, -1.75])
    count = 0
    for signs in all_signs(4):
        a, b, c, d = signs * residuals
        count += ((a + b - c - d) / 2) ** 2 >= 81 * ((a - b) ** 2 + (c - d) ** 2) / 4 - 1e-9
    found = wild_cluster_bootstrap(*study, outcome="y")
    assert (found.p_value, found.n_sets) == (count / 16, 16)
    assert found.p_value == 2 / 16  # nothing but the data and their mirror image is so extreme
    assert (found.low, found.high, found.identifiable) == (None, None, False)  # 2 / 16 > 0.05
    assert found.minimum_detectable_effect is None


@pytest.mark.parametrize("restricted", [True, False])
@pytest.mark.parametrize("n", [6, 7])
def test_what_can_be_found_is_the_critical_value_and_the_80_percent_of_all_signs(
    n: int, restricted: bool
) -> None:
    # In the unit of the outcome: t* of every set of signs times the error of the data. With 64 or 128 sets the value
    # next to the one nearest to 80 % is another.
    study = made_up(2, n=n, effect=1.0)
    x, y, unit = regression(*study)
    estimate = float(np.linalg.lstsq(x, y, rcond=None)[0][0])
    error = estimate / t_statistic(x, y, unit, 0.0)
    used = x[:, 1:] if restricted else x
    fitted = used @ np.linalg.lstsq(used, y, rcond=None)[0]
    centre = 0.0 if restricted else estimate
    found_by_signs = error * np.array(
        [t_statistic(x, fitted + signs[unit] * (y - fitted), unit, centre) for signs in all_signs(n)]
    )
    sizes = np.abs(found_by_signs)
    own = 0 if restricted else 1
    kept = [one for one in sizes if (own + np.sum(sizes >= one - 1e-9)) / (own + 2**n) > 0.05]
    strong = np.sort(found_by_signs)[[round(0.8 * (2**n - 1)) + step for step in (-1, 0, 1)]]
    found = wild_cluster_bootstrap(*study, outcome="y", restricted=restricted)
    assert found.minimum_detectable_effect == pytest.approx(max(kept) + strong[1])
    assert np.diff(strong).min() > 1e-3


# Draws


@pytest.mark.parametrize("weights", ["rademacher", "webb", "mammen"])
@pytest.mark.parametrize("restricted", [True, False])
def test_drawn_weights_agree_with_regressions_run_one_by_one(weights: str, restricted: bool) -> None:
    # 4,000 draws here and 1,500 other ones the slow way: shares differ by less than 4 standard errors.
    study = made_up(4, n=9, treated=4, effect=1.0)
    rng = np.random.default_rng(7)
    golden = (1 + math.sqrt(5)) / 2
    drawn = {
        "rademacher": rng.choice([-1.0, 1.0], (1500, 9)),
        "webb": rng.choice([-1.0, 1.0], (1500, 9)) * np.sqrt(rng.choice([0.5, 1.0, 1.5], (1500, 9))),
        "mammen": rng.choice(
            [1 - golden, golden], (1500, 9), p=[golden / math.sqrt(5), 1 - golden / math.sqrt(5)]
        ),
    }[weights]
    slow_share = slow(*regression(*study), drawn, restricted=restricted, null=0.0) / 1500
    found = wild_cluster_bootstrap(
        *study,
        outcome="y",
        restricted=restricted,
        weights=weights,
        draws=4000 if weights != "rademacher" else 400,
    )
    error = math.sqrt(max(slow_share * (1 - slow_share), 0.002) * (1 / 1500 + 1 / (found.n_sets - 1)))
    assert abs(found.p_value - slow_share) < 4 * error
    assert found.exact is False
    assert found.smallest_p == 1 / found.n_sets


def test_draws_repeat_with_a_seed_and_do_not_hang_on_order_level_or_scale() -> None:
    panel, design = made_up(5, n=20, treated=9)
    found = wild_cluster_bootstrap(panel, design, outcome="y", seed=3, draws=999)
    order = np.random.default_rng(0).permutation(20)
    turned = replace(
        panel,
        units=tuple(panel.units[at] for at in order),
        values={"y": 50 - 3 * panel.values["y"][order]},
        reasons={"y": panel.reasons["y"][order]},
    )
    other = wild_cluster_bootstrap(turned, design, outcome="y", seed=3, draws=999)
    assert other.p_value == found.p_value
    assert (other.low, other.high) == pytest.approx((-3 * found.high, -3 * found.low))
    assert wild_cluster_bootstrap(panel, design, outcome="y", seed=4, draws=999).p_value != found.p_value
    assert (found.p_value <= 0.05) == (found.low > 0 or found.high < 0)


def test_many_units_are_drawn_in_blocks() -> None:
    # 1,200 units: a block of draws holds fewer than all 2,000; the share is that of a normal limit.
    rng = np.random.default_rng(1)
    units = [f"u{at:04d}" for at in range(1200)]
    frame = pd.DataFrame({"u": np.repeat(units, 2), "t": [1, 2] * 1200, "y": rng.normal(size=2400)})
    panel = build_panel(frame, unit="u", period="t", outcome=["y"])
    found = wild_cluster_bootstrap(panel, make_design(units, [(2, 2, units[:500])]), outcome="y", draws=2000)
    change = np.diff(frame["y"].to_numpy().reshape(-1, 2))[:, 0]
    error = math.sqrt(change[:500].var(ddof=1) / 500 + change[500:].var(ddof=1) / 700)
    p_value = math.erfc(abs(change[:500].mean() - change[500:].mean()) / error / math.sqrt(2))
    assert abs(found.p_value - p_value) < 0.04
    assert found.warnings == ()


# What few treated units do to it


def test_with_one_treated_unit_it_is_useless_both_ways_and_says_so() -> None:
    # No effect: the restricted test should reject in 5 % and never does, the other one does most of the time.
    rejected = {True: 0, False: 0}
    for seed in range(40):
        study = made_up(100 + seed, n=25, treated=1)
        for restricted in rejected:
            found = wild_cluster_bootstrap(*study, outcome="y", restricted=restricted, draws=199)
            assert found.warnings == ("few_treated_wild",)
            rejected[restricted] += found.p_value <= 0.05
    assert rejected[True] == 0
    assert rejected[False] > 20


def test_with_many_treated_units_it_holds_its_level() -> None:
    # 300 data sets without an effect, 15 of 30 treated: the Monte Carlo error of 5 % is 1.3 points.
    for restricted in (True, False):
        rejected = [
            wild_cluster_bootstrap(
                *made_up(500 + seed, n=30, treated=15), outcome="y", restricted=restricted, draws=199
            ).p_value
            <= 0.05
            for seed in range(300)
        ]
        assert abs(np.mean(rejected) - 0.05) < 3.5 * math.sqrt(0.05 * 0.95 / 300)


# Bad input


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"alpha": 1.0}, "alpha is out of range"),
        ({"weights": "rademacker"}, "Unknown weights"),
        ({"draws": 0}, "nothing to draw"),
    ],
)
def test_bad_options_are_refused(options: dict[str, object], match: str) -> None:
    with pytest.raises(DesignError, match=match):
        wild_cluster_bootstrap(*made_up(0), outcome="y", **options)


def test_an_outcome_of_unit_and_period_effects_alone_is_refused() -> None:
    panel, design = made_up(0)
    additive = np.arange(6.0)[:, None] + np.arange(5)
    with pytest.raises(DesignError, match="fits without residuals"):
        wild_cluster_bootstrap(replace(panel, values={"y": additive}), design, outcome="y")
