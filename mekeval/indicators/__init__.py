"""Raw tables -> one tidy table of indicators and an honest quality log.

In: a study and its raw files. Out: `Indicators`. Never: a missing value filled, a value changed without a line in
the log, or a value with too few people behind it.
"""

from __future__ import annotations

from .clean import clean_indicators
from .flags import level_breaks, outliers, unit_breaks
from .gaps import interpolate
from .hidden import hidden_numbers
from .quality import compare_releases, coverage, failures_table
from .result import LOG_COLUMNS, STATUSES, Indicators

__all__ = [
    "LOG_COLUMNS",
    "STATUSES",
    "Indicators",
    "clean_indicators",
    "compare_releases",
    "coverage",
    "failures_table",
    "hidden_numbers",
    "interpolate",
    "level_breaks",
    "outliers",
    "unit_breaks",
]
