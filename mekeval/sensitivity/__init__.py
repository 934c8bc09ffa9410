"""The same question under altered assumptions.

In: a panel and a design. Out: `Check`s, each with what it asked and what it found. Never: a check that could not
be run counted as passed.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from ..design import Design
from ..errors import MekevalError
from ..estimate import Contrast, Effects, aggregate, contrast, group_time_att, unit_contrast
from ..inference import Inference, infer
from ..panel import Panel
from .check import Check, not_run
from .compare_cities import RulePlacebo, compare_with_cities, variance_model
from .honest import HonestBounds, honest_bounds
from .reference_cities import City, PlaceboCities, placebo_cities
from .rule_checks import (
    RuleQuestion,
    ask,
    rule_leave_one_out,
    rule_placebo_before,
    rule_placebo_check,
    rule_placebo_inference,
)
from .rule_placebo import (
    RegressionToMean,
    RulePlaceboInTime,
    regression_to_mean,
    rule_placebo,
    rule_placebo_in_time,
)
from .windows import contiguous_windows

__all__ = [
    "Check",
    "City",
    "HonestBounds",
    "PlaceboCities",
    "RegressionToMean",
    "RulePlacebo",
    "RulePlaceboInTime",
    "RuleQuestion",
    "ask",
    "compare_with_cities",
    "contiguous_windows",
    "honest_bounds",
    "leave_one_out",
    "placebo_cities",
    "placebo_in_time",
    "regression_to_mean",
    "rule_leave_one_out",
    "rule_placebo",
    "rule_placebo_before",
    "rule_placebo_check",
    "rule_placebo_in_time",
    "rule_placebo_inference",
    "selection",
    "variance_model",
]


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
    """
    name = "placebo_in_time"
    first = min(path.first for path in design.paths) if unit is None else design.path_of(unit).first
    try:
        effects = group_time_att(panel, _only(design, unit), outcome=outcome)
        base = {int(year) for text in effects.cells["base"] for year in str(text).split(", ")}
        years = sorted(year for year in base | set(effects.cells["period"].astype(int)) if year < first)
        if len(years) < 3:
            return not_run(name, "few_years", n=len(years))
        half = years[len(years) // 2]
        early = _moved(_only(design, unit), start=half, end=first - 1)
        cut = _between(panel, years[0], first - 1)
        placebo = infer(_overall(group_time_att(cut, early, outcome=outcome), unit), alpha=alpha, seed=seed)
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
    table = _row("years", f"{half}-{years[-1]}", placebo)
    if placebo.p_value <= alpha:
        return Check(name=name, passed=False, reason="moved", facts=facts, table=table)
    if placebo.minimum_detectable_effect > abs(size):
        return Check(name=name, passed=None, reason="no_power", facts=facts, table=table)
    return Check(name=name, passed=True, reason="quiet", facts=facts, table=table)


def leave_one_out(panel: Panel, design: Design, *, outcome: str, seed: int, alpha: float) -> Check:
    """Does the result hang on one treated area?

    Each treated area is left out in turn. The check fails when the estimate changes sign or loses more than half
    of its size without one of them ("hangs_on_one"), or when the test at twice `alpha` no longer rejects
    ("beyond_chance_no_more"): one area fewer makes any test weaker.
    """
    if len(design.treated) < 2:
        return not_run("leave_one_out", "one_area")
    try:
        whole = infer(_overall(group_time_att(panel, design, outcome=outcome), None), alpha=alpha, seed=seed)
        rows = []
        for unit in design.treated:
            effects = group_time_att(panel, _without(design, unit), outcome=outcome)
            rows.append(_row("left_out", unit, infer(_overall(effects, None), alpha=alpha, seed=seed)))
    except MekevalError as error:
        return not_run("leave_one_out", "error", message=error.faults[0].what)
    table = pd.concat(rows, ignore_index=True)
    if whole.estimate == 0:
        return not_run("leave_one_out", "no_difference")
    ratio = table["estimate"] / whole.estimate
    worst = int(ratio.argmin())
    keeps_size = bool((ratio > 0.5).all())
    steady = keeps_size and bool((table["p_value"] <= 2 * alpha).all())
    if keeps_size:
        worst = int(table["p_value"].argmax())
    return Check(
        name="leave_one_out",
        passed=steady,
        reason="steady" if steady else "beyond_chance_no_more" if keeps_size else "hangs_on_one",
        facts={
            "unit": str(table["left_out"].iloc[worst]),
            "estimate": float(table["estimate"].iloc[worst]),
            "p_value": float(table["p_value"].iloc[worst]),
        },
        table=table,
    )


def _overall(effects: Effects, unit: str | None) -> Contrast:
    if unit is not None:
        return unit_contrast(effects, unit)
    return contrast(effects, aggregate(effects, by="simple").weights[0], label="all")


def _only(design: Design, unit: str | None) -> Design:
    if unit is None:
        return design
    path = design.path_of(unit)
    return replace(design, paths=(replace(path, units=(unit,)),))


def _without(design: Design, unit: str) -> Design:
    paths = (
        replace(path, units=tuple(other for other in path.units if other != unit)) for path in design.paths
    )
    return replace(design, paths=tuple(path for path in paths if path.units))


def _moved(design: Design, *, start: int, end: int) -> Design:
    """The same areas, as if the programme had run in earlier years."""
    paths = tuple(replace(path, name=f"{start}-{end}", spells=((start, end),)) for path in design.paths)
    return replace(design, paths=paths, partial_years=0, pre_years=None)


def _between(panel: Panel, first: int, last: int) -> Panel:
    keep = np.array([first <= year <= last for year in panel.periods])
    return replace(
        panel,
        periods=tuple(year for year in panel.periods if first <= year <= last),
        values={name: values[:, keep] for name, values in panel.values.items()},
        bases={name: values[:, keep] for name, values in panel.bases.items()},
        reasons={name: values[:, keep] for name, values in panel.reasons.items()},
    )


def _row(column: str, value: str, result: Inference) -> pd.DataFrame:
    return pd.DataFrame(
        {
            column: [value],
            "estimate": [result.estimate],
            "low": [result.low],
            "high": [result.high],
            "p_value": [result.p_value],
        }
    )
