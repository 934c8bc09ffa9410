"""What inference refuses, and what it says: settings, small comparisons, missing errors, warnings in every table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mekeval import (
    DesignError,
    Panel,
    adjust,
    aggregate,
    build_panel,
    cluster_robust,
    contrast,
    group_time_att,
    infer,
    make_design,
    power_curve,
    uniform_bands,
)
from mekeval.design import Design
from mekeval.estimate import Contrast, Effects
from mekeval.inference import WARNINGS, aligned_population, permutation_bands, wild_cluster_bootstrap
from mekeval.inference.conformal import conformal


def study(sizes: list[int], n_comparison: int, *, seed: int = 3, years: int = 4) -> tuple[Panel, Design]:
    """Paths of these sizes, entering one year after each other, beside comparison units; noise alone."""
    rng = np.random.default_rng(seed)
    units = [f"u{at:03}" for at in range(sum(sizes) + n_comparison)]
    frame = pd.DataFrame(
        [(unit, year, rng.normal()) for unit in units for year in range(years)], columns=["u", "t", "y"]
    )
    panel = build_panel(frame, unit="u", period="t", outcome=["y"])
    ends = np.cumsum([0, *sizes])
    paths = [(years - 2 + at, years - 1, units[ends[at] : ends[at + 1]]) for at in range(len(sizes))]
    return panel, make_design(units, paths)


def effects_of(sizes: list[int], n_comparison: int) -> Effects:
    panel, design = study(sizes, n_comparison)
    return group_time_att(panel, design, outcome="y")


def simple(effects: Effects) -> Contrast:
    return contrast(effects, aggregate(effects, by="simple").weights[0], label=effects.outcome)


def of_changes(treated: np.ndarray, rest: np.ndarray) -> Contrast:
    """One window, with the influence function of a difference of means: deviations over the share of each side."""
    n = len(treated) + len(rest)
    group = np.repeat([0, -1], [len(treated), len(rest)])
    influence = np.r_[(treated - treated.mean()) * n / len(treated), -(rest - rest.mean()) * n / len(rest)]
    return Contrast(
        label="y",
        att=float(treated.mean() - rest.mean()),
        units=tuple(f"u{at:03}" for at in range(n)),
        group=group,
        changes=np.r_[treated, rest][:, None],
        exposure=(group == 0).astype(float)[:, None],
        group_weights=np.ones(1),
        influence=influence,
    )


# --- few comparison units ------------------------------------------------------------------------------------------


def share_rejected(n_treated: int, n_comparison: int, repeats: int, method: str) -> float:
    """How often a true null of normal changes is rejected at 5 %."""
    rng = np.random.default_rng(n_comparison)
    found = []
    for _ in range(repeats):
        one = of_changes(rng.normal(size=n_treated), rng.normal(size=n_comparison))
        found.append(infer(one, method=method, draws=999).p_value <= 0.05)
    return float(np.mean(found))


def test_influence_functions_hold_their_level_from_twenty_comparison_units_on() -> None:
    # 1,500 repeats: a share of 0.06 has a standard error of 0.006. The t distribution gives the size by hand: with five
    # units s^2 / 5 without a correction, P(|t_4| > 1.96 sqrt(4 / 5)) = 0.15 if the treated side were known.
    assert share_rejected(40, 20, 1500, "auto") < 0.08
    assert share_rejected(40, 5, 1500, "influence") > 0.10


def test_one_comparison_unit_would_reject_three_true_nulls_of_four_and_is_refused() -> None:
    # The one unit's own change enters the estimate and no variance: z = N(0, 1 + 1/40) over sqrt(1/40), so
    # P(|z| > 1.96) = 2 (1 - Phi(1.96 / sqrt(41))) = 0.76.
    rng = np.random.default_rng(1)
    beyond = 0
    for _ in range(500):
        one = of_changes(rng.normal(size=40), rng.normal(size=1))
        assert one.influence is not None
        beyond += abs(one.att) > 1.96 * np.sqrt(np.sum(one.influence**2)) / 41
    assert beyond / 500 == pytest.approx(0.76, abs=0.08)
    for method in ("auto", "influence", "multiplier"):
        with pytest.raises(DesignError, match="one comparison unit") as caught:
            infer(one, method=method)
        assert "more comparison units" in str(caught.value)
        with pytest.raises(DesignError, match="one comparison unit"):
            infer(effects_of([30], 1), method=method)


def test_few_comparison_units_are_refused_by_auto_and_warned_of_by_name() -> None:
    rng = np.random.default_rng(2)
    one = of_changes(rng.normal(size=40), rng.normal(size=19))
    with pytest.raises(DesignError, match="19 comparison units: influence functions need 20"):
        infer(one)
    for method in ("influence", "multiplier"):
        named = infer(one, method=method)
        assert named.warnings == ("few_comparison",)
        assert WARNINGS["few_comparison"] in named.tidy()["note"].iloc[0]
    enough = infer(of_changes(rng.normal(size=40), rng.normal(size=20)))
    assert (enough.method, enough.warnings) == ("influence", ())
    with pytest.raises(DesignError, match="19 comparison units"):
        infer(effects_of([40], 19))


def test_an_average_with_a_lone_unit_is_permuted_and_says_why() -> None:
    # 24 units enter in year 2 and one in year 3: the effects of the one have no standard error, nor has the average.
    effects = effects_of([24, 1], 40)
    assert aggregate(effects, by="simple").table["se"].isna().all()
    for tested in (effects, simple(effects)):
        found = infer(tested, draws=199)
        assert found.method == "permutation"
        assert "no standard error exists; so treated sets are permuted" in found.because
        for method in ("influence", "multiplier"):
            with pytest.raises(DesignError, match="no standard error exists"):
                infer(tested, method=method)


# --- a comparison smaller than the treated set ---------------------------------------------------------------------


@pytest.mark.parametrize("method", ["cr1", "cr2", "cr3", "wild", "wild_unrestricted"])
def test_regressions_refuse_a_comparison_smaller_than_the_treated_set(method: str) -> None:
    panel, design = study([4], 2)
    with pytest.raises(DesignError, match="2 comparison units, 4 treated") as caught:
        infer(panel, design, outcome="y", method=method, draws=99)
    assert method in str(caught.value)
    assert infer(*study([4], 4), outcome="y", method=method, draws=99).n_comparison == 4
    # with twenty or more on the smaller side a sum over clusters holds, whichever side is smaller
    assert infer(*study([24], 20), outcome="y", method=method, draws=99).n_comparison == 20
    assert cluster_robust(panel, design, outcome="y").warnings == ("few_treated",)


def test_a_conformal_test_needs_no_more_than_one_comparison_unit() -> None:
    rng = np.random.default_rng(0)
    units, years = ["a", "b", "c"], range(24)
    rows = [(unit, year, rng.normal()) for unit in units for year in years]
    panel = build_panel(pd.DataFrame(rows, columns=["u", "t", "y"]), unit="u", period="t", outcome=["y"])
    found = infer(panel, make_design(units, [(23, 23, ["a", "b"])]), outcome="y", method="conformal")
    assert (found.n_treated, found.n_comparison, found.n_sets) == (2, 1, 24)


# --- settings ------------------------------------------------------------------------------------------------------


def asked() -> dict[str, Callable[..., object]]:
    """Everything that takes settings, by name."""
    panel, design = study([3], 12)
    long_panel, long_design = study([1], 3, years=30)
    effects = group_time_att(panel, design, outcome="y")
    one = simple(effects)
    return {
        "infer": lambda **s: infer(one, **s),
        "power_curve": lambda **s: power_curve(one, **s),
        "adjust": lambda **s: adjust([one], **s),
        "permutation_bands": lambda **s: permutation_bands([one], **s),
        "uniform_bands": lambda **s: uniform_bands(effects, **s),
        "wild": lambda **s: wild_cluster_bootstrap(panel, design, outcome="y", **s),
        "conformal": lambda **s: conformal(long_panel, long_design, outcome="y", **s),
    }


@pytest.mark.parametrize("name", list(asked()))
@pytest.mark.parametrize(
    ("setting", "value"),
    [
        *(("alpha", value) for value in ("0.05", None, float("nan"), 0, 1, True)),
        *(("draws", value) for value in (1.5, None, float("nan"), float("inf"), 0, "9")),
        *(("seed", value) for value in (-1, 1.5, "5", None)),
    ],
)
def test_a_setting_that_cannot_be_is_refused_by_name(name: str, setting: str, value: object) -> None:
    with pytest.raises(DesignError) as caught:
        asked()[name](**{setting: value})
    (fault,) = caught.value.faults
    assert fault.where == setting
    assert fault.found == repr(value)


def test_all_wrong_settings_are_told_at_once() -> None:
    with pytest.raises(DesignError) as caught:
        infer(of_changes(np.arange(2.0), np.arange(9.0)), alpha=2, draws=0, seed=-1)
    assert [fault.where for fault in caught.value.faults] == ["alpha", "draws", "seed"]


def test_numbers_of_numpy_are_numbers() -> None:
    one = of_changes(np.arange(2.0), np.arange(9.0))
    plain = infer(one, alpha=0.25, draws=99, seed=4)
    assert infer(one, alpha=np.float64(0.25), draws=np.int64(99), seed=np.int32(4)).p_value == plain.p_value  # type: ignore[arg-type]


@pytest.mark.parametrize("population", ["many", 5, {"u000": "many"}, pd.Series({"u000": "a few"})])
def test_a_population_of_text_is_refused(population: object) -> None:
    with pytest.raises(DesignError, match="opulation"):
        aligned_population(population, ["u000"], where="y")  # type: ignore[arg-type]
    with pytest.raises(DesignError, match="opulation"):
        infer(of_changes(np.arange(2.0), np.arange(9.0)), population=population)  # type: ignore[arg-type]


def test_a_unit_with_two_populations_is_refused() -> None:
    twice = pd.Series([1.0, 2.0, 3.0], index=["a", "b", "a"])
    with pytest.raises(DesignError, match="two populations"):
        aligned_population(twice, ["a", "b"], where="y")


def test_what_cannot_be_tested_is_told_what_to_give() -> None:
    effects = effects_of([3], 12)
    whole = aggregate(effects, by="simple")
    for test in (infer, power_curve):
        with pytest.raises(DesignError, match="found: str"):
            test("x")  # type: ignore[operator]
        with pytest.raises(DesignError, match=r"contrast\(effects, aggregation\.weights\[row\]"):
            test(whole)  # type: ignore[operator]
    for many in ("x", [whole], [1.0]):
        with pytest.raises(DesignError, match="cannot be tested"):
            adjust(many)  # type: ignore[arg-type]
        with pytest.raises(DesignError, match="cannot be tested"):
            permutation_bands(many)  # type: ignore[arg-type]
    with pytest.raises(DesignError, match="cannot be tested"):
        uniform_bands("x")  # type: ignore[arg-type]
    with pytest.raises(DesignError, match="Unknown method"):
        infer(effects, method=None)  # type: ignore[arg-type]
    with pytest.raises(DesignError, match="target"):
        power_curve(effects, target="0.8")  # type: ignore[arg-type]
    with pytest.raises(DesignError, match="finite numbers"):
        power_curve(effects, effects=["much"])  # type: ignore[list-item]


# --- warnings reach every table ------------------------------------------------------------------------------------


def test_a_warning_is_not_lost_in_a_table_of_several_outcomes() -> None:
    panel, design = study([1], 23)
    shifted = panel.values["y"].copy()
    shifted[0, 2:] += 50  # a large effect, so that the outcome is rejected
    panel = replace(panel, values={"y": shifted})
    lone = infer(panel, design, outcome="y", method="cr1")
    table = adjust({"one": lone, "two": infer(panel, design, outcome="y")}, method="holm").table
    assert table["rejected"].iloc[0]
    assert table["note"].tolist() == [
        f"{WARNINGS['one_treated']}; {WARNINGS['few_treated']}",
        "",
    ]


def test_a_step_down_says_what_cannot_be_rejected_and_whose_size_is_beyond_the_comparison() -> None:
    one = of_changes(np.array([9.0]), np.arange(9.0))
    assert "smallest p-value of 10 sets is 0.1" in adjust([one]).table["note"].iloc[0]
    one = of_changes(np.array([9.0]), np.arange(24.0))
    assert adjust([one]).table["note"].tolist() == [""]
    people = {unit: 5000.0 if unit == "u000" else 1000.0 + at for at, unit in enumerate(one.units)}
    assert adjust([one], population=people).table["note"].tolist() == [WARNINGS["size_beyond_comparison"]]


def test_a_power_curve_carries_the_warnings_of_its_test() -> None:
    panel, design = study([2], 22)
    curve = power_curve(infer(panel, design, outcome="y", method="cr1"))
    assert curve.warnings == ("few_treated",)
    assert (curve.table["note"] == WARNINGS["few_treated"]).all()
    able = power_curve(of_changes(np.array([9.0]), np.arange(24.0)))
    assert able.warnings == () and (able.table["note"] == "").all()
    unable = power_curve(of_changes(np.array([9.0]), np.arange(9.0)))
    assert unable.table["note"].str.contains("not identifiable").all()


@pytest.mark.parametrize(
    ("n_treated", "n_comparison", "warnings"),
    [
        (3, 30, ("few_treated",)),
        (20, 20, ()),
        (24, 19, ("few_comparison",)),
        (4, 5, ("few_treated", "few_comparison")),
    ],
)
def test_bands_of_few_units_carry_the_warnings_of_influence_by_name(
    n_treated: int, n_comparison: int, warnings: tuple[str, ...]
) -> None:
    effects = effects_of([n_treated], n_comparison)
    bands = uniform_bands(effects, draws=199)
    assert bands.warnings == warnings == infer(effects, method="influence").warnings
    assert bands.table["low_uniform"].notna().all()
    assert (bands.table["note"] == "; ".join(WARNINGS[key] for key in warnings)).all()
