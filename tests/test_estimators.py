"""What all estimators have in common: one signature, one result, one answer where theory says so."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mekeval import DesignError, aggregate, build_panel, make_design
from mekeval.design import Design
from mekeval.estimate import ESTIMATORS, Effects
from mekeval.panel import Panel


def staggered(seed: int = 1, *, effect: float = 2.0) -> tuple[Panel, Design]:
    """Twelve units over eight years; two enter in year 5, two in year 7, and each gains `effect` from then on."""
    rng = np.random.default_rng(seed)
    units = [f"u{at:02d}" for at in range(12)]
    first = {"u00": 5, "u01": 5, "u02": 7, "u03": 7}
    rows = [
        (unit, year, level + 0.3 * year + effect * (year >= first.get(unit, 99)) + rng.normal(scale=0.05))
        for unit, level in zip(units, rng.normal(size=12), strict=True)
        for year in range(1, 9)
    ]
    panel = build_panel(
        pd.DataFrame(rows, columns=["unit", "year", "y"]), unit="unit", period="year", outcome=["y"]
    )
    return panel, make_design(units, [(5, 8, ["u00", "u01"]), (7, 8, ["u02", "u03"])])


@pytest.mark.parametrize("name", ESTIMATORS)
def test_every_estimator_has_one_signature_and_finds_a_plain_effect(name: str) -> None:
    panel, design = staggered()
    before = panel.values["y"].copy()
    effects = ESTIMATORS[name](panel, design, outcome="y")
    assert isinstance(effects, Effects)
    assert effects.outcome == "y"
    assert np.isfinite(effects.cells["att"].to_numpy(dtype=float)).all()
    overall = aggregate(effects, by="simple").overall
    assert overall == pytest.approx(2.0, abs=0.25)  # the noise of a cell is about 0.05
    assert np.array_equal(panel.values["y"], before)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_every_estimator_scales_with_the_outcome(name: str) -> None:
    panel, design = staggered()
    scaled = Panel(
        units=panel.units,
        periods=panel.periods,
        values={"y": 10 * panel.values["y"] - 3},
        bases=panel.bases,
        reasons=panel.reasons,
    )
    plain, larger = (ESTIMATORS[name](one, design, outcome="y").cells["att"] for one in (panel, scaled))
    np.testing.assert_allclose(larger.to_numpy(float), 10 * plain.to_numpy(float), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_every_estimator_refuses_a_treated_area_without_a_year_before(name: str) -> None:
    panel, _ = staggered()
    with pytest.raises(DesignError):
        ESTIMATORS[name](panel, make_design(panel.units, [(1, 8, ["u00", "u01"])]), outcome="y")


def test_estimators_agree_where_theory_says_so() -> None:
    panel, design = staggered(seed=4)
    overall = {
        name: aggregate(ESTIMATORS[name](panel, design, outcome="y"), by="simple").overall
        for name in ("imputation", "two_stage", "extended_twfe", "sun_abraham", "callaway_santanna")
    }
    assert overall["imputation"] == pytest.approx(overall["two_stage"], abs=1e-9)
    assert overall["imputation"] == pytest.approx(overall["extended_twfe"], abs=1e-9)
    assert overall["sun_abraham"] == pytest.approx(overall["callaway_santanna"], abs=1e-9)
