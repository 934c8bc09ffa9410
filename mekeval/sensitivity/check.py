"""What every check returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True, kw_only=True)
class Check:
    """One question put to a result.

    Attributes
    ----------
    name : str
        Such as "selection" or "placebo_in_time"; the texts of reports are found by it: `check.<name>`.
    passed : bool or None
        None when the check could not answer; then it never counts as passed.
    reason : str
        Key of the reason, for the texts of reports: `reason.<name>.<key>`.
    facts : mapping of str to float or str
        The numbers that the reason speaks of, all finite.
    table : pandas.DataFrame
        What was computed, one row for each variant; empty where nothing was.
    """

    name: str
    passed: bool | None
    reason: str
    facts: Mapping[str, float | str]
    table: pd.DataFrame


def not_run(name: str, reason: str, **facts: float | str) -> Check:
    """A check that could not answer, and why."""
    return Check(name=name, passed=None, reason=reason, facts=facts, table=pd.DataFrame())
