"""Stacked difference-in-differences and local projections against the regressions of their papers, and by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from mekeval import (
    DataError,
    DesignError,
    aggregate,
    build_panel,
    callaway_santanna,
    design_from_cohorts,
    group_time_att,
    make_design,
)
from mekeval.design import Design
from mekeval.estimate.stacked import local_projection, stacked
from mekeval.panel import Panel

Floats = npt.NDArray[np.float64]


def _data(reference: Path, case: str) -> tuple[pd.DataFrame, int]:
    """unit, year, y and cohort (9999 never) of a reference file, and its last year."""
    if case == "mpdta":
        names = {"countyreal": "unit", "lemp": "y", "first.treat": "cohort"}
        return pd.read_csv(reference / "mpdta.csv").rename(columns=names).replace({"cohort": {0: 9999}}), 2007
    names = {"id": "unit", "year_treated": "cohort"}
    return pd.read_csv(reference / "base_stagg.csv").rename(columns=names), 10


@pytest.fixture(scope="module", params=["mpdta", "stagg"])
def case(request: pytest.FixtureRequest, reference: Path) -> tuple[pd.DataFrame, Panel, Design]:
    data, last = _data(reference, request.param)
    return data, *_built(data, last)


@pytest.fixture(scope="module")
def mpdta(reference: Path) -> tuple[Panel, Design]:
    return _built(*_data(reference, "mpdta"))


def _built(data: pd.DataFrame, last: int) -> tuple[Panel, Design]:
    panel = build_panel(data, unit="unit", period="year", outcome=["y"])
    cohort = data.assign(unit=data["unit"].astype(str)).drop_duplicates("unit").set_index("unit")["cohort"]
    cohorts = [pd.NA if first > 9000 else int(first) for first in cohort.reindex(list(panel.units))]
    return panel, design_from_cohorts(panel.units, cohorts, last_period=last)


def _regression(
    y: Floats, x: Floats, weights: Floats, clusters: Floats, n_parameters: int
) -> tuple[Floats, Floats]:
    """Weighted least squares by the normal equations, errors clustered with fixest's factor."""
    inverse = np.linalg.pinv((x * weights[:, None]).T @ x, hermitian=True)
    coef = inverse @ (x * weights[:, None]).T @ y
    scores = (
        pd.DataFrame(x * (weights * (y - x @ coef))[:, None]).groupby(clusters).sum().to_numpy() @ inverse
    )
    groups, n = len(scores), len(y)
    factor = groups / (groups - 1) * (n - 1) / (n - n_parameters)
    return coef, np.sqrt(np.sum(scores**2, axis=0) * factor)


def _dummies(*columns: pd.Series) -> Floats:
    return np.hstack([pd.get_dummies(column).to_numpy(dtype=float) for column in columns])


def _stack(data: pd.DataFrame, low: int, high: int, comparison: str) -> pd.DataFrame:
    """The stacked data set as the authors build it, row by row."""
    parts = []
    for cohort in sorted(set(data["cohort"]) - {9999, 10000}):
        if cohort + low < data["year"].min() or cohort + high > data["year"].max():
            continue
        clean = data["cohort"] > (9000 if comparison == "never_treated" else cohort + high)
        part = data[((data["cohort"] == cohort) | clean) & data["year"].between(cohort + low, cohort + high)]
        part = part.assign(stack=cohort, event=part["year"] - cohort, treat=(part["cohort"] == cohort) * 1.0)
        parts.append(part)
    stack = pd.concat(parts, ignore_index=True)
    for side, name in ((stack["treat"], "treated"), (1 - stack["treat"], "control")):
        share = side.groupby([stack["stack"], stack["event"]]).transform("sum")
        stack[name] = share / side.groupby(stack["event"]).transform("sum")
    return stack.assign(weight=np.where(stack["treat"] == 1, 1.0, stack["treated"] / stack["control"]))


# ---------------------------------------------------------------- stacked


@pytest.mark.parametrize("comparison", ["not_yet_treated", "never_treated"])
def test_corrective_weights_are_the_authors_regression(
    case: tuple[pd.DataFrame, Panel, Design], comparison: str
) -> None:
    data, panel, design = case
    stack = _stack(data, -2, 1, comparison)
    events = [-2, 0, 1]
    x = np.hstack(
        [
            (stack["treat"].to_numpy()[:, None] * (stack["event"].to_numpy()[:, None] == events)),
            stack[["treat"]].to_numpy(),
            _dummies(stack["event"]),
        ]
    )
    coef, error = _regression(
        stack["y"].to_numpy(), x, stack["weight"].to_numpy(), stack["unit"].to_numpy(), 2 * 4
    )
    table = stacked(panel, design, outcome="y", window=(-2, 1), comparison=comparison).tidy()  # type: ignore[arg-type]
    assert list(table["event_time"]) == events
    assert table["att"].to_numpy() == pytest.approx(coef[:3], abs=1e-9)
    assert table["se"].to_numpy(dtype=float) == pytest.approx(error[:3], abs=1e-9)


def test_without_weights_it_is_the_regression_with_effects_of_each_stack(reference: Path) -> None:
    data, last = _data(reference, "stagg")
    stack = _stack(data, -2, 2, "not_yet_treated")
    n_stacks = stack["stack"].nunique()
    x = np.hstack(
        [
            (stack["treat"].to_numpy()[:, None] * (stack["event"].to_numpy()[:, None] == [-2, 0, 1, 2])),
            _dummies(stack["stack"].astype(str) + "u" + stack["unit"].astype(str)),
            _dummies(stack["stack"] * 100 + stack["event"]),
        ]
    )
    coef, error = _regression(
        stack["y"].to_numpy(), x, np.ones(len(stack)), stack["unit"].to_numpy(), 4 + 5 * n_stacks
    )
    table = stacked(*_built(data, last), outcome="y", window=(-2, 2), weights="none").tidy()
    assert table["att"].to_numpy() == pytest.approx(coef[:4], abs=1e-8)
    assert table["se"].to_numpy(dtype=float) == pytest.approx(error[:4], abs=1e-8)


def test_corrective_weights_are_the_paths_weighed_by_size(case: tuple[pd.DataFrame, Panel, Design]) -> None:
    _, panel, design = case
    pooled, paths = (
        stacked(panel, design, outcome="y", window=(-2, 1), by_path=flag) for flag in (False, True)
    )
    by_event = aggregate(paths, by="event_time").table
    assert list(by_event["key"]) == list(pooled.cells["event_time"])
    assert by_event["att"].to_numpy() == pytest.approx(pooled.cells["att"].to_numpy(), abs=1e-12)
    assert by_event["n_treated"].to_list() == pooled.cells["n_treated"].to_list()
    assert aggregate(pooled, by="simple").overall == pytest.approx(
        pooled.cells.loc[pooled.cells["phase"] == "on", "att"].mean()
    )


def test_trimmed_cohorts_are_named(mpdta: tuple[Panel, Design]) -> None:
    effects = stacked(*mpdta, outcome="y", window=(-2, 1))
    reasons = {(reason, year) for _, reason, year in effects.dropped}
    assert reasons == {("window_not_in_data", 2002), ("window_not_in_data", 2008)}  # 2004 and 2007
    assert len(effects.dropped) == 20 + 131
    assert effects.cells["n_treated"].to_list() == [40, 40, 40]
    assert effects.cells["n_comparison"].to_list() == [309] * 3


# Two cohorts, one control that is treated later, one never. Cohort 3: a, b; cohort 5: c; never: d. Periods 1 to 6.
STAGGERED = pd.DataFrame(
    {
        "unit": list("aaaaaabbbbbbccccccdddddd"),
        "year": [1, 2, 3, 4, 5, 6] * 4,
        "y": [1.0, 2, 7, 9, 9, 9, 0, 2, 5, 8, 8, 9, 3, 4, 4, 6, 11, 15, 1, 1, 3, 4, 4, 6],
    }
)
STAGGERED_DESIGN = make_design(list("abcd"), [(3, 6, ["a", "b"]), (5, 6, ["c"])])


def _panel(frame: pd.DataFrame) -> Panel:
    return build_panel(frame, unit="unit", period="year", outcome=["y"])


def test_stacked_by_hand() -> None:
    # Event time 1. Cohort 3 (from 2 to 4): a +7, b +6; clean c +2, d +3. Cohort 5 (from 4 to 6): c +9; clean d +2.
    effects = stacked(_panel(STAGGERED), STAGGERED_DESIGN, outcome="y", window=(-2, 1))
    one = effects.cells.set_index("event_time").loc[1]
    assert one["att"] == pytest.approx((2 * (6.5 - 2.5) + 1 * (9 - 2)) / 3)
    # without weights: N p (1 - p) is 4 / 4 = 1 and 2 / 4 = 1/2
    plain = stacked(_panel(STAGGERED), STAGGERED_DESIGN, outcome="y", window=(-2, 1), weights="none")
    assert plain.cells.set_index("event_time").loc[1, "att"] == pytest.approx((1 * 4 + 0.5 * 7) / 1.5)
    assert effects.cells["period"].isna().all()
    assert (effects.group == [0, 0, 0, -1]).all()


def test_years_without_data_leave_the_event_time_out_for_all() -> None:
    frame = STAGGERED[STAGGERED["year"] != 4]  # cohort 3 has no event time 1, cohort 5 no event time -1
    effects = stacked(
        _panel(frame), STAGGERED_DESIGN, outcome="y", window=(-2, 1), comparison="never_treated"
    )
    # The base is event time -2 then: cohort 3 from 1 to 3: a +6, b +5, d +2; cohort 5 from 3 to 5: c +7, d +1.
    assert effects.cells["event_time"].to_list() == [0]
    assert effects.base_period == "event time -2"
    assert effects.cells["att"].iloc[0] == pytest.approx((2 * 3.5 + 6) / 3)


def test_units_that_leave_within_the_window() -> None:
    design = make_design(list("abcd"), [(3, 6, ["a"]), (3, 3, ["b"])])
    pooled = stacked(_panel(STAGGERED), design, outcome="y", window=(-2, 1))
    assert pooled.dropped == (("b", "leaves_in_window", 4),)
    at = pooled.cells.set_index("event_time").loc[1]
    assert (at["att"], at["n_treated"]) == (pytest.approx(7 - 2.5), 1)
    assert pooled.tidy()["se"].isna().all()  # one treated unit
    paths = stacked(_panel(STAGGERED), design, outcome="y", window=(-2, 1), by_path=True)
    after = paths.cells[(paths.cells["path"] == "3-3") & (paths.cells["period"] == 4)].iloc[0]
    assert (after["phase"], after["att"]) == ("after", pytest.approx(6 - 2.5))
    local = local_projection(_panel(STAGGERED), design, outcome="y", window=(-2, 1))
    assert local.cells.set_index("event_time")["n_treated"].to_dict() == {-2: 2, 0: 2, 1: 1}
    assert local.cells.set_index("event_time").loc[1, "att"] == pytest.approx(7 - 2.5)


# ---------------------------------------------------------------- local projections


def _local(data: pd.DataFrame, horizon: int, comparison: str, reweight: bool) -> tuple[float, float]:
    """The authors' regression at one horizon, on rows built one by one."""
    wide = data.pivot(index="unit", columns="year", values="y")
    cohort = data.groupby("unit")["cohort"].first()
    parts = []
    for year in wide.columns[1:]:
        if year + horizon not in wide.columns:
            continue
        entry = cohort == year
        clean = cohort > (9000 if comparison == "never_treated" else year + max(horizon, 0))
        if reweight and not entry.any():
            continue
        share = entry.sum() / (entry | clean).sum()
        part = pd.DataFrame({"y": wide[year + horizon] - wide[year - 1], "d": entry * 1.0, "t": year})
        parts.append(part.assign(w=1 / (1 - share) if reweight else 1.0)[entry | clean])
    rows = pd.concat(parts)
    x = np.hstack([rows[["d"]].to_numpy(), _dummies(rows["t"])])
    coef, error = _regression(
        rows["y"].to_numpy(), x, rows["w"].to_numpy(), rows.index.to_numpy(), 1 + len(parts)
    )
    return coef[0], error[0]


@pytest.mark.parametrize("comparison", ["not_yet_treated", "never_treated"])
@pytest.mark.parametrize("reweight", [False, True])
def test_local_projections_are_the_authors_regressions(
    case: tuple[pd.DataFrame, Panel, Design], comparison: str, reweight: bool
) -> None:
    data, panel, design = case
    data = data[~data["unit"].astype(str).isin({unit for unit, *_ in design.set_aside})]
    effects = local_projection(
        panel,
        design,
        outcome="y",
        window=(-3, 2),
        reweight=reweight,
        comparison=comparison,  # type: ignore[arg-type]
    )
    assert list(effects.cells["event_time"]) == [-3, -2, 0, 1, 2]
    for row in effects.tidy().itertuples():
        assert (row.att, row.se) == pytest.approx(
            _local(data, row.event_time, comparison, reweight), abs=1e-9
        )


def test_reweighted_projections_are_the_paths_weighed_by_size(
    case: tuple[pd.DataFrame, Panel, Design],
) -> None:
    _, panel, design = case
    pooled = local_projection(panel, design, outcome="y", window=(-2, 2), reweight=True)
    paths = local_projection(panel, design, outcome="y", window=(-2, 2), by_path=True)
    by_event = aggregate(paths, by="event_time").table
    assert by_event["att"].to_numpy() == pytest.approx(pooled.cells["att"].to_numpy(), abs=1e-12)


def test_paths_against_the_never_treated_are_group_time_effects(mpdta: tuple[Panel, Design]) -> None:
    ours = local_projection(*mpdta, outcome="y", window=(-3, 3), comparison="never_treated", by_path=True)
    theirs = group_time_att(*mpdta, outcome="y", base_period="universal")
    joined = ours.cells.merge(theirs.cells, on=["path", "period"], suffixes=("", "_gt"))
    assert len(joined) == len(ours.cells) == 11  # the lead at -4 of cohort 2007 is outside the window
    assert np.allclose(joined["att"], joined["att_gt"], atol=1e-13)
    assert (
        aggregate(ours, by="district").table["att"].notna().all()
    )  # made of unit changes, so it can be permuted


def test_local_projection_of_one_cohort_is_two_by_two_by_hand() -> None:
    design = make_design(list("abcd"), [(3, 6, ["a", "b"])])
    for reweight in (False, True):
        effects = local_projection(
            _panel(STAGGERED),
            design,
            outcome="y",
            window=(-2, 2),
            reweight=reweight,
            comparison="never_treated",
        )
        att = effects.cells.set_index("event_time")["att"]
        # from 2: a 2 -> 1, 7, 9, 9; b 2 -> 0, 5, 8, 8; c 4 -> 3, 4, 6, 11; d 1 -> 1, 3, 4, 4
        assert att.to_dict() == pytest.approx({-2: -1.5 + 0.5, 0: 4 - 1, 1: 6.5 - 2.5, 2: 6.5 - 5})


def test_a_cohort_that_enters_in_a_year_without_data() -> None:
    frame = STAGGERED[STAGGERED["year"] != 3]
    design = make_design(list("abcd"), [(3, 6, ["a", "b"])])
    effects = local_projection(_panel(frame), design, outcome="y", window=(-2, 2), comparison="never_treated")
    assert effects.cells.set_index("event_time")["att"].to_dict() == pytest.approx(
        {-2: -1.0, 1: 4.0, 2: 1.5}
    )  # nothing at 0


# ---------------------------------------------------------------- covariates


@pytest.fixture(scope="module")
def stagg(reference: Path) -> tuple[pd.DataFrame, Panel, Design]:
    data, last = _data(reference, "stagg")
    data = data.assign(x2=np.round(data["x1"] ** 2 + data["year"] * (data["unit"] % 3), 3))
    _, design = _built(data, last)
    return data, build_panel(data, unit="unit", period="year", outcome=["y", "x1", "x2"]), design


def _at_base(stack: pd.DataFrame, base: int, names: list[str]) -> Floats:
    """Covariates of each unit in each sub-experiment at the base, for every row of the stack."""
    held = stack[stack["event"] == base].set_index(["stack", "unit"])[names]
    return held.reindex(pd.MultiIndex.from_frame(stack[["stack", "unit"]])).to_numpy()


@pytest.mark.parametrize("names", [["x1"], ["x1", "x2"]])
@pytest.mark.parametrize("weights", ["corrective", "none"])
def test_covariates_of_stacks_are_products_with_event_time(
    stagg: tuple[pd.DataFrame, Panel, Design], weights: str, names: list[str]
) -> None:
    data, panel, design = stagg
    stack = _stack(data, -2, 2, "not_yet_treated")
    n_events, n_stacks, k = 5, stack["stack"].nunique(), len(names)
    effects = stack["treat"].to_numpy()[:, None] * (stack["event"].to_numpy()[:, None] == [-2, 0, 1, 2])
    slopes = [_dummies(stack["event"]) * column[:, None] for column in _at_base(stack, -1, names).T]
    if weights == "corrective":
        parts = [stack[["treat"]].to_numpy(), _dummies(stack["event"])]
        n_parameters = (2 + k) * n_events
    else:
        parts = [
            _dummies(stack["stack"].astype(str) + "u" + stack["unit"].astype(str)),
            _dummies(stack["stack"] * 100 + stack["event"]),
        ]
        n_parameters = (n_events - 1) * (1 + k) + n_events * n_stacks
    weight = stack["weight"].to_numpy() if weights == "corrective" else np.ones(len(stack))
    x = np.hstack([effects, *slopes, *parts])
    coef, error = _regression(stack["y"].to_numpy(), x, weight, stack["unit"].to_numpy(), n_parameters)
    table = stacked(
        panel,
        design,
        outcome="y",
        window=(-2, 2),
        weights=weights,  # type: ignore[arg-type]
        covariates=names,
    ).tidy()
    assert table["att"].to_numpy() == pytest.approx(coef[:4], abs=1e-8)
    assert table["se"].to_numpy(dtype=float) == pytest.approx(error[:4], abs=1e-8)


def _clean_rows(data: pd.DataFrame, horizon: int, names: list[str]) -> pd.DataFrame:
    """Rows of one horizon: long difference, entry or clean control, covariates in the year before."""
    wide = data.pivot(index="unit", columns="year")
    cohort = data.groupby("unit")["cohort"].first()
    parts = []
    for year in range(2, 11 - max(horizon, 0)):
        if year + horizon < 1:
            continue
        part = pd.DataFrame({"y": wide["y"][year + horizon] - wide["y"][year - 1], "d": cohort == year})
        part = part.assign(t=year, **{name: wide[name][year - 1] for name in names})
        parts.append(part[(cohort == year) | (cohort > year + max(horizon, 0))])
    return pd.concat(parts).reset_index()


@pytest.mark.parametrize("names", [["x1"], ["x1", "x2"]])
def test_covariates_of_local_projections_are_regressors(
    stagg: tuple[pd.DataFrame, Panel, Design], names: list[str]
) -> None:
    data, panel, design = stagg
    effects = local_projection(panel, design, outcome="y", window=(-3, 2), covariates=names)
    assert list(effects.cells["event_time"]) == [-3, -2, 0, 1, 2]
    for row in effects.tidy().itertuples():
        rows = _clean_rows(data, int(row.event_time), names)
        x = np.hstack([rows[["d", *names]].to_numpy(dtype=float), _dummies(rows["t"])])
        coef, error = _regression(
            rows["y"].to_numpy(), x, np.ones(len(rows)), rows["unit"].to_numpy(), x.shape[1]
        )
        assert (row.att, row.se) == (pytest.approx(coef[0], abs=1e-9), pytest.approx(error[0], abs=1e-9))


@pytest.mark.parametrize("names", [["x1"], ["x1", "x2"]])
def test_covariates_of_reweighted_projections_are_adjusted_for(
    stagg: tuple[pd.DataFrame, Panel, Design], names: list[str]
) -> None:
    data, panel, design = stagg
    effects = local_projection(panel, design, outcome="y", window=(-3, 2), covariates=names, reweight=True)
    for row in effects.tidy().itertuples():
        rows = _clean_rows(data, int(row.event_time), names)
        rows = rows[rows["t"].isin(rows.loc[rows["d"], "t"])]
        z = np.hstack([_dummies(rows["t"]), rows[names].to_numpy()])
        y, entry = rows["y"].to_numpy(), rows["d"].to_numpy(dtype=bool)
        inverse = np.linalg.inv(z[~entry].T @ z[~entry])
        left = y - z @ (inverse @ z[~entry].T @ y[~entry])
        att = left[entry].mean()
        # moments of two steps, stacked: the slopes of the controls, and the mean over entries
        scores = np.where(entry, (left - att) / entry.sum(), -(z @ inverse @ z[entry].mean(axis=0)) * left)
        error = np.sqrt((pd.Series(scores).groupby(rows["unit"].to_numpy()).sum() ** 2).sum())
        assert (row.att, row.se) == (pytest.approx(att, abs=1e-9), pytest.approx(error, abs=1e-9))


@pytest.mark.parametrize("estimator", [stacked, local_projection])
def test_paths_with_covariates_are_regression_adjusted(  # type: ignore[no-untyped-def]
    estimator, stagg: tuple[pd.DataFrame, Panel, Design]
) -> None:
    _, panel, design = stagg
    ours = estimator(
        panel,
        design,
        outcome="y",
        window=(-2, 2),
        comparison="never_treated",
        covariates=["x1", "x2"],
        by_path=True,
    )
    theirs = callaway_santanna(
        panel, design, outcome="y", base_period="universal", covariates=["x1", "x2"], method="reg"
    )
    joined = ours.tidy().merge(theirs.tidy(), on=["path", "period"], suffixes=("", "_cs"))
    joined = joined[
        joined["event_time"] >= 0
    ]  # before entry R's did takes covariates from the earlier period
    assert len(joined) >= 18
    assert np.allclose(joined["att"], joined["att_cs"], atol=1e-10)
    assert np.allclose(joined["se"].astype(float), joined["se_cs"].astype(float), atol=1e-10)
    assert ours.changes is None


@pytest.mark.parametrize("estimator", [stacked, local_projection])
@pytest.mark.parametrize("kind", ["plain", "weighted", "by_path"])
def test_a_trend_along_a_covariate_is_taken_out(  # type: ignore[no-untyped-def]
    estimator, kind: str, stagg: tuple[pd.DataFrame, Panel, Design]
) -> None:
    data, _, design = stagg
    fixed = data.assign(z=data["unit"] % 7 + (data["cohort"] < 9000), drift=0.0)
    fixed["drift"] = fixed["y"] + 0.3 * fixed["z"] * fixed["year"]
    panel = build_panel(fixed, unit="unit", period="year", outcome=["y", "drift", "z"])
    switch = {"weights": "none"} if estimator is stacked else {"reweight": True}
    more = {"plain": {}, "weighted": switch, "by_path": {"by_path": True}}[kind]
    plain, moved, without = (
        estimator(panel, design, outcome=outcome, window=(-2, 1), covariates=names, **more).cells["att"]
        for outcome, names in (("y", ["z"]), ("drift", ["z"]), ("drift", []))
    )
    assert np.allclose(plain, moved, atol=1e-9)
    assert not np.allclose(moved, without, atol=1e-2)


@pytest.mark.parametrize("estimator", [stacked, local_projection])
def test_covariates_that_cannot_be_used(  # type: ignore[no-untyped-def]
    estimator, stagg: tuple[pd.DataFrame, Panel, Design]
) -> None:
    data, _, design = stagg
    data = data.assign(
        flat=1.0, twice=3 * data["x1"] - 1, side=1.0 * (data["cohort"] < 9000), hole=data["x2"]
    )
    data.loc[data["unit"] == 4, "hole"] = np.nan
    names = ["x1", "flat", "twice", "side", "hole"]
    panel = build_panel(data, unit="unit", period="year", outcome=["y", *names])

    def estimate(*covariates: str, **more: object):  # type: ignore[no-untyped-def]
        return estimator(panel, design, outcome="y", window=(-1, 1), covariates=covariates, **more)

    for wrong in ("flat", "twice"):
        for by_path in (False, True):
            with pytest.raises(DesignError, match="cannot be told") as caught:
                estimate("x1", wrong, by_path=by_path)
            assert wrong in str(caught.value)
    with pytest.raises(DesignError, match="cannot be told"):
        estimate("side", comparison="never_treated")  # it is treatment
    with pytest.raises(DesignError, match="is the outcome, or is named twice"):
        estimate("y")
    with pytest.raises(DataError, match="no such outcome"):
        estimate("x3")
    with pytest.raises(DesignError, match="list of names"):
        estimator(panel, design, outcome="y", window=(-1, 1), covariates="x1")
    assert estimate("hole").dropped[0] == ("4", "hole missing", 1)
    few = make_design(list("abcd"), [(3, 6, ["a", "b"])])
    frame = STAGGERED.assign(x=[float(at * at % 11) for at in range(24)])
    small = build_panel(frame, unit="unit", period="year", outcome=["y", "x"])
    with pytest.raises(DesignError, match="too few clean controls"):
        estimator(small, few, outcome="y", window=(-1, 1), covariates=["x"], by_path=True)


# ---------------------------------------------------------------- invariances


@pytest.mark.parametrize("estimator", [stacked, local_projection])
def test_shift_scale_order_labels_and_input(estimator, mpdta: tuple[Panel, Design]) -> None:  # type: ignore[no-untyped-def]
    panel, design = mpdta
    plain = estimator(panel, design, outcome="y", window=(-2, 1)).tidy()
    order = np.random.default_rng(2).permutation(len(panel.units))
    before = panel.values["y"].copy()
    levels = 100.0 * np.arange(len(panel.units))[:, None] + 10 * np.arange(5)
    names = tuple(f"u{row}" for row in order)
    other = Panel(
        units=names,
        periods=panel.periods,
        values={"y": (3 * panel.values["y"] + levels)[order]},
        bases=panel.bases,
        reasons={"y": panel.reasons["y"][order]},
    )
    cohort = design.cohort.reindex([panel.units[row] for row in order])
    moved = estimator(
        other, design_from_cohorts(names, list(cohort), last_period=2007), outcome="y", window=(-2, 1)
    ).tidy()
    assert np.allclose(moved["att"], 3 * plain["att"], atol=1e-9)
    assert np.allclose(moved["se"].astype(float), 3 * plain["se"].astype(float), atol=1e-9)
    assert np.array_equal(panel.values["y"], before)


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize("estimator", [stacked, local_projection])
@pytest.mark.parametrize("window", [(0, 2), (-2, -1), (-1.5, 2), (-1, 1, 2)])
def test_a_window_must_span_entry(estimator, window: tuple[int, int]) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(DesignError, match="window"):
        estimator(_panel(STAGGERED), STAGGERED_DESIGN, outcome="y", window=window)


def test_a_window_that_no_cohort_has() -> None:
    with pytest.raises(DesignError, match="No cohort has clean controls") as caught:
        stacked(_panel(STAGGERED), STAGGERED_DESIGN, outcome="y", window=(-4, 4))
    assert "cohorts 3, 5; data 1 to 6" in str(caught.value)


def test_always_treated_units() -> None:
    design = make_design(list("abcd"), [(1, 6, ["a"]), (3, 6, ["b"])])
    with pytest.raises(DesignError, match="no data before treatment") as caught:
        local_projection(_panel(STAGGERED), design, outcome="y", window=(-1, 1))
    assert "y, a" in str(caught.value)
    effects = stacked(_panel(STAGGERED), design, outcome="y", window=(-2, 1))
    assert effects.dropped == (("a", "window_not_in_data", -1),)


@pytest.mark.parametrize("estimator", [stacked, local_projection])
def test_words_values_and_gaps(estimator) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(DesignError, match="'never_treated'"):
        estimator(_panel(STAGGERED), STAGGERED_DESIGN, outcome="y", window=(-1, 1), comparison="never_treatd")
    with pytest.raises(DataError, match="no such outcome"):
        estimator(_panel(STAGGERED), STAGGERED_DESIGN, outcome="rate", window=(-1, 1))
    gap = STAGGERED[~((STAGGERED["unit"] == "d") & (STAGGERED["year"] == 6))]
    with pytest.raises(DesignError, match="one side of the comparison"):
        estimator(_panel(gap), STAGGERED_DESIGN, outcome="y", window=(-1, 1))
    with pytest.raises(DesignError, match="the same everywhere"):
        estimator(_panel(STAGGERED.assign(y=2.0)), STAGGERED_DESIGN, outcome="y", window=(-2, 1))
    trend = estimator(
        _panel(STAGGERED.assign(y=0.1 * STAGGERED["year"])), STAGGERED_DESIGN, outcome="y", window=(-2, 1)
    ).tidy()
    assert np.allclose(trend["att"], 0)
    assert trend["se"].isna().all()
    assert (trend["se_note"] != "").all()
    panel = _panel(STAGGERED)
    panel.values["y"][0, 0] = np.inf  # this panel is the test's own
    with pytest.raises(DataError, match="no finite number"):
        estimator(panel, STAGGERED_DESIGN, outcome="y", window=(-1, 1))
