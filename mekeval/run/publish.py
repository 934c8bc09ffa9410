"""Publishing a run as one set: a new folder, everything flushed to disk, then one atomic swap of a link.

A reader sees the whole old set or the whole new one, whenever a run is killed. `OUT/<study>`, or `OUT/<study>@<day>`
for what was known by a day, is a link into `OUT/.store`; where links are not to be had (Windows without the right), the
folder itself is renamed, and the swap is two renames instead of one.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from filelock import FileLock, Timeout

from ..dates import dated
from ..errors import RunError
from .keys import MANIFEST, sha256_of

_STORE = ".store"
#: What the folder of finished jobs of an unfinished run adds to the study's name.
_WORK = ".work"


class PublicationError(RunError):
    """A run was accepted and its set could not be written: a full disk, a folder that is gone. It ends with code 3."""

    exit_code = 3


@contextlib.contextmanager
def publication(
    out: Path, study: str, *, as_of: datetime.date | None = None
) -> Iterator[tuple[Path, Path | None]]:
    """Hand out a new folder, and publish it when the block ends without an exception.

    What is known as of a day is a set of its own, ``out/<study>@<day>``; one lock holds for all sets of a study.

    Yields
    ------
    new : Path
        An empty folder to fill.
    old : Path or None
        The set that is published now, to take unchanged files from.

    Raises
    ------
    RunError
        Another run of the study is going on, the folder cannot be written, or something else stands in its place.
    PublicationError
        The folder could be written at first and no more.
    """
    name = dated(study, as_of)
    store, link = out / _STORE, out / name
    try:
        store.mkdir(parents=True, exist_ok=True)
        lock = FileLock(store / f"{study}.lock")
        lock.acquire(timeout=0)
    except Timeout:
        raise RunError(
            "Another run of this study is going on.",
            where=str(link),
            fix="Wait for it, or choose another --out.",
        ) from None
    except OSError as cause:
        raise RunError("The output folder cannot be written.", where=str(out), found=str(cause)) from None
    try:
        old = _published(link, store)
        _sweep(store, study)
        try:
            new = Path(tempfile.mkdtemp(prefix=f"{name}.", dir=store))
        except OSError as cause:
            raise RunError("The output folder cannot be written.", where=str(out), found=str(cause)) from None
        try:
            yield new, old
            _flush(new)
            _swap(new, link, store)
        except OSError as cause:
            shutil.rmtree(new, ignore_errors=True)
            raise PublicationError(
                "The reports cannot be written; the earlier ones are as they were.",
                where=str(out),
                found=cause.strerror or str(cause),
            ) from None
        except BaseException:
            shutil.rmtree(new, ignore_errors=True)
            raise
        _sweep(store, study)
    finally:
        lock.release()


def published_set(out: Path, study: str, *, as_of: datetime.date | None = None) -> Path | None:
    """The folder of the set that is published now, for a look; None where there is none."""
    return _published(out / dated(study, as_of), out / _STORE)


def work_folder(out: Path, study: str) -> Path:
    """Where the finished jobs of a run that is not published yet are kept."""
    return out / _STORE / f"{study}{_WORK}"


def take(old: Path, new: Path, name: str) -> bool:
    """Take a file of the old set into the new one; False where it is not there."""
    source, target = old / name, new / name
    if not source.is_file():
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    return True


def write(folder: Path, name: str, content: str | bytes) -> None:
    """Write a file below a folder; a text in UTF-8 with LF."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)


def canonical(content: object) -> str:
    """JSON that is the same for the same content: sorted keys, two spaces, no escapes, no NaN."""
    return json.dumps(content, ensure_ascii=False, sort_keys=True, indent=2, allow_nan=False) + "\n"


def hashes(folder: Path) -> dict[str, str]:
    """sha256 of every file below a folder but the manifest, by name."""
    return {
        path.relative_to(folder).as_posix(): sha256_of(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != MANIFEST
    }


def read_manifest(folder: Path | None) -> Mapping[str, object]:
    """The manifest of a published set; empty where there is none or it cannot be read."""
    if folder is None:
        return {}
    try:
        content = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _published(link: Path, store: Path) -> Path | None:
    if link.is_symlink():
        target = link.resolve()
        return target if target.is_dir() and target.parent == store.resolve() else None
    if not link.exists():
        return None
    if link.is_dir() and (link / MANIFEST).is_file():
        return link
    raise RunError(
        "Something else stands where the reports belong.",
        where=str(link),
        expected="nothing, or reports of an earlier run",
        fix="Move it away, or choose another --out.",
    )


def _sweep(store: Path, study: str) -> None:
    """Remove what killed runs and earlier publications of a study left: whatever none of its links leads to."""
    links = [store.parent / study, *store.parent.glob(f"{study}@*")]
    kept = {link.resolve() for link in links if link.is_symlink()}
    for pattern in (f"{study}.*", f"{study}@*"):
        for path in store.glob(pattern):
            if path.name == f"{study}{_WORK}":
                continue  # what a killed run had finished, the next one need not make again
            if path.is_dir() and not path.is_symlink() and path.resolve() not in kept:
                shutil.rmtree(path, ignore_errors=True)


def _flush(folder: Path) -> None:
    for path in folder.rglob("*"):
        _fsync(path)
    _fsync(folder)


def _fsync(path: Path) -> None:
    if os.name == "nt" and path.is_dir():
        return  # folders cannot be flushed there
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _swap(new: Path, link: Path, store: Path) -> None:
    new.chmod(0o755)  # mkdtemp makes it private
    fresh = store / f"{new.name}.link"
    try:
        fresh.symlink_to(os.path.relpath(new, link.parent), target_is_directory=True)
        if link.is_dir() and not link.is_symlink():
            link.rename(store / f"{new.name}.old")
        fresh.replace(link)
    except OSError:
        fresh.unlink(missing_ok=True)
        if link.exists():
            link.rename(store / f"{new.name}.old")
        new.rename(link)
    _fsync(link.parent)
