"""Pictures for reports, each with a headline, an alternative text and the numbers behind it.

In: an evaluation, an outcome and a subject. Out: `Picture`. Never: a picture that hides a year without data, that
needs colour to be read, or that changes the reader's own matplotlib settings.
"""

from __future__ import annotations

from .lines import plot_effects, plot_trend
from .picture import Picture
from .spread import plot_forest, plot_placebo
from .tiles import plot_tiles

__all__ = ["Picture", "plot_effects", "plot_forest", "plot_placebo", "plot_tiles", "plot_trend"]
