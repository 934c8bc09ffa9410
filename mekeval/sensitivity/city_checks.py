"""The checks of a result inside one city, and how its areas were chosen.

In: a panel and a design. Out: `Check`s, each with what it asked and what it found. Never: a check that could not be run
counted as passed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from ..design import Design
from ..errors import MekevalError
from ..estimate import group_time_att
from ..inference import Inference, infer
from ..inference.permutation import MOST_ASSIGNMENTS
from ..panel import Panel
from .check import USUAL, Check, Thresholds, not_run, variants_table
from .questions import moved, only, overall, panel_of_years


def selection(design: Design, units: tuple[str, ...], *, compared: bool = False) -> Check:
    """Were the areas chosen because they were the worst?

    Such areas drift for reasons of their own and fall back for others, so a comparison with better-off areas shows
    changes that no programme made: on real Finnish areas permutation then rejects a true null in 3 to 20 % of
    cases. Only reference cities, where the same rule chose areas and nothing was done, can tell the two apart.
    """
    if compared:
        return Check(
            name="selection",
            passed=True,
            reason="compared",
            facts={"n": len(units)},
            table=pd.DataFrame(),
        )
    by_rule = [unit for unit in units if design.selected_by.get(unit) == "rule"]
    if by_rule:
        return Check(
            name="selection",
            passed=None,
            reason="worst_areas",
            facts={"n": len(by_rule)},
            table=pd.DataFrame(),
        )
    unknown = [unit for unit in units if design.selected_by.get(unit) != "discretion"]
    if unknown:
        return Check(
            name="selection", passed=None, reason="unknown", facts={"n": len(unknown)}, table=pd.DataFrame()
        )
    return Check(
        name="selection", passed=True, reason="discretion", facts={"n": len(units)}, table=pd.DataFrame()
    )


def placebo_in_time(
    panel: Panel,
    design: Design,
    *,
    outcome: str,
    size: float,
    unit: str | None = None,
    seed: int = 0,
    alpha: float = 0.05,
    population: Mapping[str, float] | None = None,
) -> Check:
    """Had the treated areas moved away from the others before the programme?

    All years before the first entry are cut in two, the later half is taken for the programme, and the same
    estimate and test are made. A difference there was made by something else. Silence counts as an answer only
    where a drift of the size of the result would have been found.

    Parameters
    ----------
    panel : Panel
    design : Design
    outcome : str
    size : float
        The result that is checked, in the outcome's unit.
    unit : str, optional
        One treated unit instead of all.
    seed : int
    alpha : float
    population : mapping of str to float, optional
        Persons of each unit, where the result was tested with them.
    """
    name = "placebo_in_time"
    first = min(path.first for path in design.paths) if unit is None else design.path_of(unit).first
    try:
        effects = group_time_att(panel, only(design, unit), outcome=outcome)
        base = {int(year) for text in effects.cells["base"] for year in str(text).split(", ")}
        years = sorted(year for year in base | set(effects.cells["period"].astype(int)) if year < first)
        if len(years) < 3:
            return not_run(name, "few_years", n=len(years))
        half = years[len(years) // 2]
        early = moved(only(design, unit), start=half, end=first - 1)
        cut = panel_of_years(panel, range(years[0], first))
        placebo = infer(
            overall(group_time_att(cut, early, outcome=outcome), unit),
            alpha=alpha,
            seed=seed,
            population=population,
            most_sets=MOST_ASSIGNMENTS,
        )
    except MekevalError as error:
        return not_run(name, "error", message=error.faults[0].what)
    if not placebo.identifiable or placebo.minimum_detectable_effect is None:
        return not_run(name, "few_areas", smallest_p=placebo.smallest_p)
    facts = {
        "estimate": placebo.estimate,
        "p_value": placebo.p_value,
        "detectable": placebo.minimum_detectable_effect,
        "first": years[0],
        "before": years[len(years) // 2 - 1],
        "half": half,
        "last": years[-1],
    }
    table = variants_table("years", [(f"{half}-{years[-1]}", placebo, "")])
    if placebo.p_value <= alpha:
        return Check(name=name, passed=False, reason="moved", facts=facts, table=table)
    if placebo.minimum_detectable_effect > abs(size):
        return Check(name=name, passed=None, reason="no_power", facts=facts, table=table)
    return Check(name=name, passed=True, reason="quiet", facts=facts, table=table)


def leave_one_out(
    panel: Panel,
    design: Design,
    *,
    outcome: str,
    seed: int = 0,
    alpha: float = 0.05,
    population: Mapping[str, float] | None = None,
    thresholds: Thresholds = USUAL,
) -> Check:
    """Does the result hang on one treated area?

    Each treated area is left out in turn. The check fails when the estimate changes sign or keeps no more than half
    of its size without one of them ("hangs_on_one"), or when the test at twice `alpha` no longer rejects
    ("beyond_chance_no_more"): one area fewer makes any test weaker.
    Half and twice are those of `thresholds`. Where so few areas are left that no test at that
    level can reject, there is no answer ("few_areas").
    """
    if len(design.treated) < 2:
        return not_run("leave_one_out", "one_area")

    def asked(part: Design) -> Inference:
        return infer(
            overall(group_time_att(panel, part, outcome=outcome), None),
            alpha=alpha,
            seed=seed,
            population=population,
            most_sets=MOST_ASSIGNMENTS,
        )

    try:
        whole = asked(design)
        parts = [asked(_without(design, unit)) for unit in design.treated]
    except MekevalError as error:
        return not_run("leave_one_out", "error", message=error.faults[0].what)
    table = variants_table(
        "left_out", [(unit, part, "") for unit, part in zip(design.treated, parts, strict=True)]
    )
    if whole.estimate == 0:
        return not_run("leave_one_out", "no_difference")
    ratio = table["estimate"] / whole.estimate
    passed: bool | None = False
    reason, chance = "hangs_on_one", np.zeros(len(table))
    if (ratio > thresholds.share_kept).all():
        able = np.array([part.smallest_p <= thresholds.level * alpha for part in parts])
        chance = table["p_value"].to_numpy()
        weak = able & (chance > thresholds.level * alpha)
        chance = np.where(weak, chance, -1.0) if weak.any() else chance
        reason = "beyond_chance_no_more" if weak.any() else "steady" if able.all() else "few_areas"
        passed = False if weak.any() else True if able.all() else None
    # Of equal p-values the smallest estimate is the weakest, whatever the order of the areas.
    worst = int(np.lexsort((table["left_out"], ratio, -chance))[0])
    return Check(
        name="leave_one_out",
        passed=passed,
        reason=reason,
        facts={
            "unit": str(table["left_out"].iloc[worst]),
            "estimate": float(table["estimate"].iloc[worst]),
            "p_value": float(table["p_value"].iloc[worst]),
        },
        table=table,
    )


def _without(design: Design, unit: str) -> Design:
    paths = (
        replace(path, units=tuple(other for other in path.units if other != unit)) for path in design.paths
    )
    return replace(design, paths=tuple(path for path in paths if path.units))
