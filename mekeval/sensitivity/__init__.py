"""The same question under altered assumptions.

In: a panel and a design. Out: `Check`s, each with what it asked and what it found. Never: a check that could not
be run counted as passed.
"""

from __future__ import annotations

from .check import Check, Thresholds
from .checks import Surroundings, city_checks_of, rule_checks_of
from .cities import City
from .city_checks import leave_one_out, placebo_in_time, selection
from .compare_cities import RulePlacebo, compare_with_cities, variance_model
from .heterogeneity import (
    DoseResponse,
    EffectSpread,
    UnitEffects,
    dose_response,
    effect_spread,
    rescaled_by_share,
    unit_effects,
)
from .honest import HonestBounds, honest_bounds
from .questions import CityQuestion, answer
from .reference_cities import PlaceboCities, placebo_cities
from .rule_checks import (
    rule_leave_one_out,
    rule_placebo_before,
    rule_placebo_check,
    rule_placebo_inference,
)
from .rule_placebo import (
    RegressionToMean,
    RulePlaceboInTime,
    ask,
    regression_to_mean,
    rule_placebo,
    rule_placebo_in_time,
)
from .rule_question import RuleQuestion
from .windows import contiguous_windows

__all__ = [
    "Check",
    "City",
    "CityQuestion",
    "DoseResponse",
    "EffectSpread",
    "HonestBounds",
    "PlaceboCities",
    "RegressionToMean",
    "RulePlacebo",
    "RulePlaceboInTime",
    "RuleQuestion",
    "Surroundings",
    "Thresholds",
    "UnitEffects",
    "answer",
    "ask",
    "city_checks_of",
    "compare_with_cities",
    "contiguous_windows",
    "dose_response",
    "effect_spread",
    "honest_bounds",
    "leave_one_out",
    "placebo_cities",
    "placebo_in_time",
    "regression_to_mean",
    "rescaled_by_share",
    "rule_checks_of",
    "rule_leave_one_out",
    "rule_placebo",
    "rule_placebo_before",
    "rule_placebo_check",
    "rule_placebo_in_time",
    "rule_placebo_inference",
    "selection",
    "unit_effects",
    "variance_model",
]
