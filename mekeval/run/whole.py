"""A file that is whole or not there, whoever is killed while it is written; and what such a kill left.

In: a path and its content. Out: the file. Never: a part of a file under its name.

Only the standard library is imported: a run in which nothing has changed says so at once.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import TextIO

_TORN = ".torn-"


def write_whole(path: Path, text: str, *, mode: int = 0o600) -> None:
    """Write a text beside its place, flush it to the disk, and rename it into its place.

    Raises
    ------
    OSError
        What stood in its place stands there as before.
    """
    handle, fresh = _held(path)
    with contextlib.ExitStack() as failed:
        failed.callback(_forget, fresh)
        with _opened(handle) as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
            fresh.chmod(mode)
            if os.name != "nt":  # still locked, so that nobody takes it for torn
                fresh.replace(path)
        if os.name == "nt":
            fresh.replace(path)
        failed.pop_all()


def remove_torn(folder: Path, name: str) -> None:
    """Remove what a kill left of files of this name, or pattern; what is being written now stays."""
    for path in folder.glob(f"{_TORN}{name}.*"):
        with contextlib.suppress(OSError), path.open("rb") as stream:
            if _lock(stream.fileno(), wait=False):
                path.unlink(missing_ok=True)
        if os.name == "nt":
            _forget(path)  # an open file cannot be removed there


def _held(path: Path) -> tuple[int, Path]:
    """A new locked file beside a place; once more where another process took it for torn before it was locked."""
    while True:
        handle, name = tempfile.mkstemp(prefix=f"{_TORN}{path.name}.", dir=path.parent)
        _lock(handle, wait=True)
        if os.name == "nt" or os.fstat(handle).st_nlink:
            return handle, Path(name)
        os.close(handle)


def _opened(handle: int) -> TextIO:
    try:
        return os.fdopen(handle, "w", encoding="utf-8")
    except BaseException:
        os.close(handle)
        raise


def _lock(handle: int, *, wait: bool) -> bool:
    """Lock an open file until it is closed; False where another holds it, or the system has no such locks."""
    try:
        import fcntl
    except ImportError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _forget(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
