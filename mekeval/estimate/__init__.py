"""Average effects on the treated (ATT) by path and period, and their aggregations.

In: a panel and a design. Out: `Effects` with influence functions, and from them everything that is asked later:
aggregations and the contrasts that a permutation test needs. Never: anything estimated twice.
A new estimator is one function ``(panel, design, *, outcome) -> Effects`` in `ESTIMATORS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from .aggregate import Aggregation, Contrast, aggregate, contrast, unit_contrast
from .bacon import Decomposition, bacon_decomposition
from .callaway_santanna import callaway_santanna
from .cross_sections import repeated_cross_sections
from .differences import first_differences
from .effects import Effects, unit_changes
from .group_time import group_time_att
from .imputation import imputation, two_stage
from .pretrend import PretrendTest, imputation_pretrend_test
from .regression import (
    CovariateCoefficients,
    covariate_coefficients,
    extended_twfe,
    sun_abraham,
    twfe,
    twfe_event_study,
)
from .side_by_side import known_estimators, side_by_side
from .stacked import local_projection, stacked
from .switchers import SwitchAverage, switch_average, switchers
from .synthetic import SyntheticFit, synthetic_control, synthetic_did, synthetic_fit
from .synthetic_placebos import SyntheticPlacebos, synthetic_placebos
from .triple import triple_difference

__all__ = [
    "ESTIMATORS",
    "Aggregation",
    "Contrast",
    "CovariateCoefficients",
    "Decomposition",
    "Effects",
    "PretrendTest",
    "SwitchAverage",
    "SyntheticFit",
    "SyntheticPlacebos",
    "aggregate",
    "bacon_decomposition",
    "callaway_santanna",
    "contrast",
    "covariate_coefficients",
    "extended_twfe",
    "first_differences",
    "group_time_att",
    "imputation",
    "imputation_pretrend_test",
    "known_estimators",
    "local_projection",
    "repeated_cross_sections",
    "side_by_side",
    "stacked",
    "sun_abraham",
    "switch_average",
    "switchers",
    "synthetic_control",
    "synthetic_did",
    "synthetic_fit",
    "synthetic_placebos",
    "triple_difference",
    "twfe",
    "twfe_event_study",
    "two_stage",
    "unit_changes",
    "unit_contrast",
]

#: Every estimator that needs no more than a panel, a design and an outcome. `stacked` and `local_projection` need a
#: window as well.
ESTIMATORS: Mapping[str, Callable[..., Effects]] = {
    "group_time": group_time_att,
    "callaway_santanna": callaway_santanna,
    "repeated_cross_sections": repeated_cross_sections,
    "twfe": twfe,
    "twfe_event_study": twfe_event_study,
    "sun_abraham": sun_abraham,
    "extended_twfe": extended_twfe,
    "imputation": imputation,
    "two_stage": two_stage,
    "switchers": switchers,
    "first_differences": first_differences,
    "synthetic_control": synthetic_control,
    "synthetic_did": synthetic_did,
}
