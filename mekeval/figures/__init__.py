"""Pictures, each with a headline, an alternative text and the numbers behind it.

In: effects, inferences and tables of any analysis, or an evaluation and its subject. Out: `Picture`. Never: a picture
that hides a period without data, that needs colour to be read, or that changes the reader's own matplotlib settings.

The general pictures take results (`plot_event_study`, `plot_group_time`, `plot_synthetic`, `plot_placebo`,
`plot_forest`, `plot_check`, `plot_rule_placebo`, `plot_power`, `plot_selection_stability`); `About` says what the
numbers are. The pictures of reports take an evaluation (`plot_trend`, `plot_effects`, `plot_finding`, `plot_deciding`,
`plot_verdicts`, `plot_tiles`).
"""

from __future__ import annotations

from .checks import plot_check, plot_deciding
from .doses import plot_doses
from .event_study import plot_event_study
from .honest import plot_honest
from .lines import plot_group_time
from .picture import Picture
from .rule import plot_power, plot_rule_placebo
from .segregation import plot_segregation
from .selection import plot_selection_stability
from .spread import plot_forest, plot_placebo
from .study import plot_choice, plot_effects, plot_finding, plot_trend, plot_verdicts
from .synthetic import plot_synthetic
from .tiles import plot_tiles
from .words import About

__all__ = [
    "About",
    "Picture",
    "plot_check",
    "plot_choice",
    "plot_deciding",
    "plot_doses",
    "plot_effects",
    "plot_event_study",
    "plot_finding",
    "plot_forest",
    "plot_group_time",
    "plot_honest",
    "plot_placebo",
    "plot_power",
    "plot_rule_placebo",
    "plot_segregation",
    "plot_selection_stability",
    "plot_synthetic",
    "plot_tiles",
    "plot_trend",
    "plot_verdicts",
]
