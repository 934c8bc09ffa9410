"""Is the city growing apart? How unevenly people live in its areas, and whether a programme changed that.

In: persons of a group and all persons by area and year, as arrays or from a study. Out: indices with what chance adds
to them and their intervals, their changes, and the change of a gap against its counterfactual. Never: the noise of
small areas told as segregation, or a return to the mean as catching up.
"""

from __future__ import annotations

from .gap import GAP_MEASURES, GapChange, gap_change, index_changes
from .indices import INDICES, MULTIGROUP_INDICES
from .means import MEAN_INDICES, AreaInequality, Convergence, area_inequality, convergence
from .measured import IndexChange, Segregation, multigroup_segregation, segregation_indices
from .series import is_share, panel_segregation, study_segregation

__all__ = [
    "GAP_MEASURES",
    "INDICES",
    "MEAN_INDICES",
    "MULTIGROUP_INDICES",
    "AreaInequality",
    "Convergence",
    "GapChange",
    "IndexChange",
    "Segregation",
    "area_inequality",
    "convergence",
    "gap_change",
    "index_changes",
    "is_share",
    "multigroup_segregation",
    "panel_segregation",
    "segregation_indices",
    "study_segregation",
]
