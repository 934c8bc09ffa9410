"""What the jobs of an unfinished run have made: one file for each, under the job's key and what it was made from.

In: outcomes of jobs. Out: those that a later run may take. Never: an outcome under the key of another job, or one whose
bytes have changed.

A run that was killed, or jobs that ran one by one elsewhere, leave their outcomes here; the next run takes them instead
of making them again, and clears them away when its set is published. A file is whole or it is not there.
"""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from .keys import sealed
from .whole import remove_torn, write_whole

_ENDING = ".json"
#: What a job's files end with.
_ENDINGS = frozenset({"html", "ipynb", "pdf"})
_SHORT = 16


@dataclass(frozen=True, kw_only=True)
class Kept:
    """The outcome of one job, as it is kept.

    Attributes
    ----------
    key : str
        The job's key.
    name : str
        The job's name.
    files : mapping of str to bytes
        By ending.
    findings : tuple of mappings
    seconds : float
        Time that it took.
    made : str
        The second (UTC) when it was done.
    """

    key: str
    name: str
    files: Mapping[str, bytes]
    findings: tuple[Mapping[str, object], ...]
    seconds: float
    made: str


def keep(folder: Path, basis: str, kept: Kept) -> None:
    """Write an outcome, whole or not at all.

    Raises
    ------
    OSError
    """
    content = sealed(
        {
            "key": kept.key,
            "name": kept.name,
            "files": {ending: base64.b64encode(one).decode() for ending, one in kept.files.items()},
            "findings": list(kept.findings),
            "seconds": kept.seconds,
            "made": kept.made,
        }
    )
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_whole(_place(folder, basis, kept.key), json.dumps(content, ensure_ascii=False, allow_nan=False))


def find(folder: Path, basis: str, key: str) -> Kept | None:
    """The outcome of a job; None where it is not there or not as it was written."""
    try:
        content = json.loads(_place(folder, basis, key).read_text(encoding="utf-8"))
        if content != sealed(content) or content["key"] != key or not _ENDINGS.issuperset(content["files"]):
            return None
        return Kept(
            key=key,
            name=content["name"],
            files={ending: base64.b64decode(one) for ending, one in content["files"].items()},
            findings=tuple(content["findings"]),
            seconds=content["seconds"],
            made=content["made"],
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def clear(folder: Path, basis: str, keys: Collection[str]) -> None:
    """Remove what is published now, what was made from other files or code, and what a kill tore."""
    for path in folder.glob(f"*{_ENDING}"):
        of, _, key = path.name.removesuffix(_ENDING).partition(".")
        if of != basis[:_SHORT] or key in keys:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        remove_torn(folder, "*")
        folder.rmdir()


def _place(folder: Path, basis: str, key: str) -> Path:
    return folder / f"{basis[:_SHORT]}.{key}{_ENDING}"
