"""The command line: `mekeval run`, `run-one`, `verify`, `site`, `diff`, `clean`, `monitor`, `fetch`, `plan` and `new`.

In: words. Out: files, one line for each thing done, and an exit code: 0 all well, 1 some of them failed, 2 refused,
3 begun and not published; see `runs`. Never: a traceback for a user's mistake.
"""

from __future__ import annotations

from . import data, differ, plans, runs
from .common import main

__all__ = ["data", "differ", "main", "plans", "runs"]
