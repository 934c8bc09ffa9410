"""Parts of a download on disk, so that a download that was broken off goes on where it stopped.

In: a folder inside the study's cache. Out: bytes that are whole. Never: half a file under the name of a whole one,
or a part whose bytes are not those that came.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

#: How the names of files begin that are still being written; a killed program leaves them behind.
UNFINISHED = ".mekeval-part-"


def digest(content: object) -> str:
    """sha256 of a value in the one form of JSON that it has."""
    text = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def now() -> datetime:
    """The time, to the second, in UTC."""
    return datetime.now(UTC).replace(microsecond=0)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees the old one or the new one, whenever the power goes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=UNFINISHED, dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    with contextlib.suppress(OSError):  # Windows cannot open a folder
        parent = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(parent)
        finally:
            os.close(parent)


def finish(folder: Path, **words: str | int) -> None:
    """Say that a download is finished: the checksum of its file `joined`, and what is to be known of it."""
    sha256 = hashlib.sha256((folder / "joined").read_bytes()).hexdigest()
    write_whole(folder / "done", json.dumps({**words, "sha256": sha256}, sort_keys=True).encode("utf-8"))


def finished(folder: Path) -> dict[str, str | int] | None:
    """The words on a finished download; None where it is not, or its file is not the one that was written."""
    try:
        words = json.loads((folder / "done").read_bytes())
        whole = hashlib.sha256((folder / "joined").read_bytes()).hexdigest() == words["sha256"]
        known = all(isinstance(words[name], str) for name in ("title", "updated"))
        known &= all(type(words[name]) is int for name in ("cells", "parts"))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return dict(words) if whole and known else None


def keep_only(folder: Path, here: Path) -> None:
    """Remove the folders of former releases."""
    for other in folder.iterdir():
        if other.is_dir() and other != here:
            shutil.rmtree(other, ignore_errors=True)


def sweep(folder: Path, *, deep: bool = False) -> None:
    """Remove what a killed program left half-written in a folder; nobody else may be writing there."""
    pattern = f"{UNFINISHED}*"
    for path in folder.rglob(pattern) if deep else folder.glob(pattern):
        if not path.is_dir() or path.is_symlink():
            path.unlink(missing_ok=True)


def refuse_links(folder: Path) -> None:
    """Remove every link in the cache: what is written or swept there must not be written or swept elsewhere."""
    for where, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(where, name)
            if path.is_symlink():
                path.unlink()


def keep(folder: Path, name: str, body: bytes, **words: str) -> None:
    """Keep a part with its checksum, the time and what else is to be known of it."""
    head = {**words, "retrieved": now().isoformat(), "sha256": hashlib.sha256(body).hexdigest()}
    write_whole(folder / name, json.dumps(head, sort_keys=True).encode("utf-8") + b"\n" + body)


def kept(folder: Path, name: str, *, newest: timedelta | None = None) -> tuple[bytes, dict[str, str]] | None:
    """A part and its words; None where there is none, it is damaged, or it is older than asked for."""
    try:
        head, _, body = (folder / name).read_bytes().partition(b"\n")
        words = {str(key): str(value) for key, value in json.loads(head).items()}
        young = newest is None or now() - datetime.fromisoformat(words["retrieved"]) <= newest
        whole = hashlib.sha256(body).hexdigest() == words["sha256"]
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return None
    return (body, words) if whole and young else None
