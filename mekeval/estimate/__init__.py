"""Average effects on the treated (ATT) by path and period, and their aggregations.

In: a balanced block and a design. Out: `Effects` with influence functions, and from them everything that is
asked later: aggregations and the contrasts that a permutation test needs. Never: anything estimated twice.
A new estimator is one function ``(panel, design, *, outcome) -> Effects`` in `ESTIMATORS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from .aggregate import Aggregation, Contrast, aggregate, contrast, unit_contrast
from .effects import Effects, unit_changes
from .group_time import group_time_att

__all__ = [
    "ESTIMATORS",
    "Aggregation",
    "Contrast",
    "Effects",
    "aggregate",
    "contrast",
    "group_time_att",
    "unit_changes",
    "unit_contrast",
]

ESTIMATORS: Mapping[str, Callable[..., Effects]] = {"group_time": group_time_att}
