"""Publishing a run as one set: a new folder, everything flushed to disk, then one atomic swap of a link.

In: a folder that is ready, and where it is to stand. Out: the published set. Never: half of a set, the loss of the old
one, or two runs of one study at a time.

A reader sees the whole old set or the whole new one, whenever a run is killed. ``OUT/<study>``, or
``OUT/<study>@<day>`` for what was known by a day, is a link into `OUT/.store`; where links are not to be had (Windows
without the right), the folder itself is renamed, and the swap is two renames instead of one.
"""

from __future__ import annotations

import contextlib
import datetime
import errno
import json
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from ..dates import dated
from ..errors import RunError
from .keys import MANIFEST, sha256_of, stamp_of
from .work import clear

_STORE = ".store"
#: What the folder of finished jobs of an unfinished run adds to the study's name.
_WORK = ".work"
#: What the earlier set's name ends with between the two renames of a swap without links.
_ASIDE = ".aside"
#: What a file system says that has no links.
_NO_LINKS = (errno.EPERM, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)


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
    from filelock import FileLock, Timeout  # here, so that an unchanged study is recognised without it

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
        here, made, old = _opened(link, store, study)
        try:
            yield made, old
            _flush(made)
            _refuse_replaced(store, here)
            _swap(made, link, store)
        except OSError as cause:
            raise PublicationError(
                "The reports cannot be written; the earlier ones are as they were.",
                where=str(out),
                found=cause.strerror or str(cause),
            ) from None
        finally:
            # However it ended, by an error or by a signal just behind the swap: what is published stays.
            if not _leads(link, made):
                shutil.rmtree(made, ignore_errors=True)
                with contextlib.suppress(OSError):
                    _pointer(made).unlink(missing_ok=True)
        _settle(link.parent)
        _sweep(store, study)
    finally:
        lock.release()


def _opened(link: Path, store: Path, study: str) -> tuple[tuple[int, int], Path, Path | None]:
    """What the store is, a new folder in it, and the published set; what killed runs left is put right."""
    try:
        here = _identity(store)
        _mend(store, study)
        old = _published(link, store)
        _sweep(store, study)
        return here, Path(tempfile.mkdtemp(prefix=f"{link.name}.", dir=store)), old
    except OSError as cause:
        raise RunError(
            "The output folder cannot be written.", where=str(store.parent), found=str(cause)
        ) from None


def tidy(out: Path, study: str, made_from: Mapping[str, object], keys: Collection[str]) -> None:
    """Remove what a run left that was killed just behind its swap: the earlier set, and outcomes that are published.

    Nothing is done while another run of the study goes on, or where nothing can be written.
    """
    from filelock import FileLock, Timeout

    store = out / _STORE
    with contextlib.suppress(OSError, Timeout), FileLock(store / f"{study}.lock", timeout=0):
        _mend(store, study)
        _sweep(store, study)
        clear(work_folder(out, study), stamp_of(made_from), keys)


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


def _leads(link: Path, new: Path) -> bool:
    try:
        return link.exists() and new.exists() and link.samefile(new)
    except OSError:  # nobody knows: the next run sweeps
        return True


def _identity(folder: Path) -> tuple[int, int]:
    found = folder.stat()
    return found.st_dev, found.st_ino


def _refuse_replaced(store: Path, here: tuple[int, int]) -> None:
    """Refuse to publish into a folder that was removed and made anew: the lock held the one that is gone."""
    if _identity(store) != here:
        raise PublicationError(
            "The output folder was removed during the run.", where=str(store.parent), fix="Run again."
        )


def _sweep(store: Path, study: str) -> None:
    """Remove what killed runs and earlier publications of a study left: whatever none of its links leads to."""
    links = [store.parent / study, *store.parent.glob(f"{study}@*")]
    kept = {link.resolve() for link in links if link.is_symlink()}
    for pattern in (f"{study}.*", f"{study}@*"):
        for path in store.glob(pattern):
            if path.name == f"{study}{_WORK}":
                continue  # what a killed run had finished, the next one need not make again
            if path.is_symlink():  # of a swap that was not done
                with contextlib.suppress(OSError):
                    path.unlink()
            elif path.is_dir() and path.resolve() not in kept:
                shutil.rmtree(path, ignore_errors=True)


def _flush(folder: Path) -> None:
    for path in folder.rglob("*"):
        _fsync(path)
    _fsync(folder)
    _fsync(folder.parent)


def _fsync(path: Path) -> None:
    if os.name == "nt" and path.is_dir():
        return  # folders cannot be flushed there
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _swap(new: Path, link: Path, store: Path) -> None:
    """Put the new set in the place of the old one; whatever fails, one of the two is there and whole."""
    new.chmod(0o755)  # mkdtemp makes it private
    fresh = _pointer(new)
    try:
        fresh.symlink_to(os.path.relpath(new, link.parent), target_is_directory=True)
    except OSError as cause:
        if os.name != "nt" and cause.errno not in _NO_LINKS:
            raise
        _exchange(new, link, store)
        return
    if link.is_dir() and not link.is_symlink():  # published where links were not to be had
        _exchange(fresh, link, store)
    else:
        fresh.replace(link)


def _exchange(new: Path, link: Path, store: Path) -> None:
    """Two renames; between them nothing is published, and `_mend` or the next line puts the old set back."""
    aside = store / f"{link.name}{_ASIDE}"
    there = link.exists() or link.is_symlink()
    if there:
        link.rename(aside)
    try:
        new.rename(link)
    except BaseException:
        if there and not link.exists():
            aside.rename(link)
        raise
    if aside.is_symlink():
        aside.unlink()
    else:
        shutil.rmtree(aside, ignore_errors=True)


def _mend(store: Path, study: str) -> None:
    """Put back what a kill between two renames left aside."""
    for name in (study, f"{study}@*"):
        for aside in store.glob(f"{name}{_ASIDE}"):
            link = store.parent / aside.name.removesuffix(_ASIDE)
            if not link.exists() and not link.is_symlink():
                aside.rename(link)


def _pointer(new: Path) -> Path:
    """The link to a new set, before it has the place of the old one."""
    return new.with_name(f"{new.name}.link")


def _settle(folder: Path) -> None:
    """Flush the folder that holds the link; a disk that cannot is no reason to doubt what is there and whole."""
    with contextlib.suppress(OSError):
        _fsync(folder)
