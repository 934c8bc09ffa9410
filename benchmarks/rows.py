"""What every benchmark shares: one row for each measurement, printed as a table or as JSON."""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Row:
    """One task, measured for us and for a peer in the same run. `ratio` is ours / peer; smaller is faster."""

    task: str
    size: str
    ours: float
    peer: str
    peer_value: float | None
    unit: str
    ratio: float | None
    goal: str
    met: bool | None


def row(
    task: str,
    size: str,
    ours: float,
    unit: str,
    *,
    peer: str = "",
    peer_value: float | None = None,
    at_most: float | None = None,
    ratio_at_most: float | None = None,
) -> Row:
    """A row with its ratio, and whether its goal (a value or a ratio) is met; None without a goal."""
    ratio = None if not peer_value else ours / peer_value
    goal, met = "", None
    if at_most is not None:
        goal, met = f"at most {at_most:g} {unit}", ours <= at_most
    if ratio_at_most is not None and ratio is not None:
        goal, met = f"ratio at most {ratio_at_most:g}", ratio <= ratio_at_most
    return Row(
        task=task,
        size=size,
        ours=round(ours, 4),
        peer=peer,
        peer_value=None if peer_value is None else round(peer_value, 4),
        unit=unit,
        ratio=None if ratio is None else round(ratio, 3),
        goal=goal,
        met=met,
    )


def seconds(work: Callable[[], object], *, repeat: int) -> float:
    """Median wall-clock seconds."""
    times = []
    for _ in range(repeat):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def peak_megabytes() -> float:
    """Largest resident size of this process so far (Linux counts in KiB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def arguments(description: str) -> argparse.Namespace:
    """--json, --quick and --raw."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", action="store_true", help="print one JSON list")
    parser.add_argument("--quick", action="store_true", help="end in under 60 s")
    parser.add_argument("--raw", type=Path, help="folder of the real raw data")
    return parser.parse_args()


def show(rows: list[Row], *, as_json: bool) -> None:
    """Print the rows."""
    if as_json:
        print(json.dumps([asdict(one) for one in rows], indent=1))
        return
    print(markdown(rows))


def markdown(rows: list[Row]) -> str:
    """The rows as a Markdown table."""
    lines = [
        "| task | size | ours | peer | peer's | unit | ratio | goal | met |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for one in rows:
        cells = [
            one.task,
            one.size,
            f"{one.ours:g}",
            one.peer,
            "" if one.peer_value is None else f"{one.peer_value:g}",
            one.unit,
            "" if one.ratio is None else f"{one.ratio:g}",
            one.goal,
            {True: "yes", False: "no", None: ""}[one.met],
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
