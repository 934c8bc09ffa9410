"""The panel for exploring: seconds from a choice to its answer with the picture as SVG, on the example study.

Every choice is estimated, tested and drawn anew; what is read and cleaned once is a row of its own. A choice is made by
setting the value of the panel's control of districts, as a reader does.
"""

from __future__ import annotations

import time

from rows import Row, arguments, row, seconds, show

from mekeval import example_study, explore
from mekeval.lab import COMPARISONS

AT_MOST = 0.3


def measured(*, quick: bool) -> list[Row]:
    """One row for each comparison: of all outcomes and districts the slowest, each the median of three."""
    started = time.perf_counter()
    outcome, district, comparison, *_ = explore(example_study()).children  # type: ignore[attr-defined]
    found = [
        row("panel: read, clean, first answer", "61 areas, 16 years", time.perf_counter() - started, "s")
    ]
    outcomes = [name for _, name in outcome.options][: 1 if quick else None]
    codes = [code for _, code in district.options]
    for name in COMPARISONS:
        comparison.value = name
        slowest = 0.0
        for one in outcomes:
            outcome.value = one
            for code, other in zip(codes, codes[1:] + codes[:1], strict=True):
                # Two choices at a time: to another district and back.
                both = seconds(lambda: _choose(district, (other, code)), repeat=3)  # noqa: B023
                slowest = max(slowest, both / 2)
        size = f"{len(codes)} districts, {len(outcomes)} outcomes"
        found.append(row(f"panel: a choice redrawn, {name}", size, slowest, "s", at_most=AT_MOST))
    return found


def _choose(control: object, values: tuple[str, str]) -> None:
    for value in values:
        control.value = value  # type: ignore[attr-defined]


if __name__ == "__main__":
    given = arguments(__doc__ or "")
    show(measured(quick=given.quick), as_json=given.json)
