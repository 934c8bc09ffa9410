"""Pictures, each with a headline, an alternative text and the numbers behind it.

In: effects, inferences and tables of any analysis, or an evaluation and its subject. Out: `Picture`. Never: a picture
that hides a period without data, that needs colour to be read, or that changes the reader's own matplotlib settings.

The general pictures take results (`plot_event_study`, `plot_group_time`, `plot_synthetic`, `plot_placebo`,
`plot_forest`, `plot_check`, `plot_rule_placebo`, `plot_power`, `plot_selection_stability`); `About` says what the
numbers are. The pictures of reports take an evaluation (`plot_trend`, `plot_gap`, `plot_effects`, `plot_years`,
`plot_counterpart`, `plot_finding`, `plot_deciding`, `plot_breakdown`, `plot_verdicts`, `plot_outcomes`,
`plot_detectable`, `plot_tiles`; with boundaries `plot_map`).

`Picture.figure` is matplotlib's own: ``picture.figure.axes[0].set_title("Mine")`` changes what is shown and saved.
"""

from __future__ import annotations

from .against import plot_counterpart, plot_years
from .checks import plot_check, plot_deciding
from .doses import plot_doses
from .event_study import plot_event_study
from .honest import plot_honest
from .lines import plot_group_time
from .maps import plot_map
from .overview import plot_breakdown, plot_detectable, plot_outcomes
from .picture import Picture
from .rule import plot_power, plot_rule_placebo
from .segregation import plot_segregation
from .selection import plot_selection_stability
from .spread import plot_forest, plot_placebo
from .standing import plot_gap
from .study import plot_choice, plot_effects, plot_finding, plot_trend, plot_verdicts
from .synthetic import plot_synthetic
from .tiles import plot_tiles
from .words import About

__all__ = [
    "About",
    "Picture",
    "plot_breakdown",
    "plot_check",
    "plot_choice",
    "plot_counterpart",
    "plot_deciding",
    "plot_detectable",
    "plot_doses",
    "plot_effects",
    "plot_event_study",
    "plot_finding",
    "plot_forest",
    "plot_gap",
    "plot_group_time",
    "plot_honest",
    "plot_map",
    "plot_outcomes",
    "plot_placebo",
    "plot_power",
    "plot_rule_placebo",
    "plot_segregation",
    "plot_selection_stability",
    "plot_synthetic",
    "plot_tiles",
    "plot_trend",
    "plot_verdicts",
    "plot_years",
]
