"""What a run says of itself: a table for people, `run.json` and a log in JSON lines for programs.

In: what became of each job. Out: the table and both files. Never: a run that ends because they cannot be written.

Both files stand beside the published set and not in it, since they hold times.
"""

from __future__ import annotations

import contextlib
import datetime
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from .whole import remove_torn, write_whole

State = Literal["made", "found", "unchanged", "failed", "kept", "dropped", "not made", "would run"]

#: What the states mean, in the words of the table.
STATES: Mapping[State, str] = {
    "made": "made now",
    "found": "made before, by a run that did not end or by run-one",
    "unchanged": "nothing that decides about it has changed",
    "failed": "failed; there is only an error page",
    "kept": "failed; the last good report stays, beside an error page",
    "dropped": "made from other data or code, so it left the set",
    "not made": "there is nothing that it could say",
    "would run": "a dry run makes nothing",
}

#: Whoever asked for a report, and does not get one, is told why.
_TOLD = ("failed", "kept", "dropped", "not made")


@dataclass(frozen=True, kw_only=True)
class JobState:
    """What became of a job.

    Attributes
    ----------
    name : str
        Path of the page without its ending, for example "2025/09294-hakunila.fi".
    state : str
        One of `STATES`.
    why : str
        Why it was run, or the first line of what went wrong.
    seconds : float
        Time that it took, 0 where it was not run.
    """

    name: str
    state: State
    why: str
    seconds: float


def status_table(states: Sequence[JobState], *, why: bool = True) -> str:
    """The table at the end of a run; without `why`, only what is not there says why.

    Examples
    --------
    >>> print(status_table([JobState(name="2025/city.fi", state="made", why="new", seconds=1.24)]))
    job           state    seconds  why
    2025/city.fi  made         1.2  new
    """
    rows = [("job", "state", "seconds", "why")]
    rows += [
        (
            one.name,
            one.state,
            f"{one.seconds:.1f}" if one.seconds else "",
            one.why.split("\n", 1)[0][:100] if why or one.state in _TOLD else "",
        )
        for one in states
    ]
    name, state = (max(len(row[at]) for row in rows) for at in (0, 1))
    width = max(state, 7)
    return "\n".join(f"{row[0]:<{name}}  {row[1]:<{width}}  {row[2]:>7}  {row[3]}".rstrip() for row in rows)


def write_run(folder: Path, content: Mapping[str, object], states: Sequence[JobState]) -> None:
    """Write `<set>.run.json` beside the set, whole or not at all; where it cannot be written, it is left out."""
    text = json.dumps(
        {**content, "jobs": [asdict(one) for one in states]}, ensure_ascii=False, sort_keys=True, indent=2
    )
    path = folder.with_name(f"{folder.name}.run.json")
    with contextlib.suppress(OSError):
        remove_torn(path.parent, path.name)
        write_whole(path, text + "\n", mode=0o644)


class Log:
    """Events of one run as JSON lines in `<set>.log.jsonl`; each line is on disk at once, so that a kill leaves them.

    Parameters
    ----------
    folder : Path
        The published set, beside which the log stands.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder.with_name(f"{folder.name}.log.jsonl")
        with contextlib.suppress(OSError):
            self._path.write_text("", encoding="utf-8")

    def __call__(self, event: str, **facts: object) -> None:
        """Add an event with its time (UTC); a log that cannot be written does not end a run."""
        line = json.dumps({"time": utc_now(), "event": event, **facts}, ensure_ascii=False)
        with contextlib.suppress(OSError), self._path.open("a", encoding="utf-8") as stream:
            stream.write(line + "\n")


def utc_now() -> str:
    """This second in UTC."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
