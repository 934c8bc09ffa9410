"""File calls that fail during a run: some of those that the benchmark fails one by one, and disks that fill up."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from mekeval.run.publish import PublicationError
from mekeval.run.verify import verify_set


@pytest.mark.parametrize(
    ("number", "forever", "some"),
    [(errno.ENOSPC, True, range(6, 200, 40)), (errno.EIO, False, range(1, 200, 30))],
)
def test_whichever_file_call_fails_the_published_set_is_whole(
    calls: ModuleType, tmp_path: Path, number: int, forever: bool, some: range
) -> None:
    met, faults = calls.fail_calls(tmp_path, number=number, forever=forever, only=some)
    assert faults == []
    # The run that met no failing call made these: so the calls are really seen.
    assert met["write"] > 10 and met["fsync"] > 10 and met["replace"] >= 2 and met["symlink"] == 1


@pytest.mark.parametrize("name", ["replace", "rename", "symlink", "fsync"])
def test_when_each_call_of_one_kind_fails_the_published_set_is_whole(
    calls: ModuleType, published: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    before = calls.contents(published / calls.SET)

    def fail(first: object, *args: object, **kwargs: object) -> None:
        raise OSError(errno.EIO, "Input/output error", str(first))

    with monkeypatch.context() as broken:
        broken.setattr(os, name, fail)
        if name == "rename":  # only a swap without links renames
            calls.publish(published.parent, calls.WORDS[1], published)
        else:
            with pytest.raises(PublicationError):
                calls.publish(published.parent, calls.WORDS[1], published)
            assert calls.contents(published / calls.SET) == before
    assert verify_set(published) == ()


def test_a_file_system_without_links_gets_the_set_by_two_renames(
    calls: ModuleType, published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "symlink", no_links)
    calls.publish(published.parent, calls.WORDS[1], published)
    folder = published / calls.SET
    assert folder.is_dir() and not folder.is_symlink()
    assert verify_set(published) == ()
    good = calls.contents(folder)

    # The second of the two renames fails: the first is taken back.
    rename = os.rename

    def fail(first: object, second: object, **_: object) -> None:
        if Path(str(second)) == folder and ".aside" not in str(first):
            raise OSError(errno.EIO, "Input/output error")
        rename(str(first), str(second))

    with monkeypatch.context() as broken:
        broken.setattr(os, "rename", fail)
        with pytest.raises(PublicationError):
            calls.publish(published.parent, calls.WORDS[0], published)
    assert calls.contents(folder) == good

    # A kill between the two renames: the next run begins by taking the first one back.
    folder.rename(published / ".store" / f"{calls.SET}.aside")
    calls.publish(published.parent, calls.WORDS[1], published)
    assert calls.contents(folder) == good
    monkeypatch.undo()


def _mounted(folder: Path, options: str) -> Iterator[Path]:
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"nothing may be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    if not shutil.which("mount"):
        pytest.skip("nothing can be mounted here")
    yield from _mounted(tmp_path / "disk", "size=1m")


def test_a_full_disk_keeps_the_published_set_and_room_made_finishes_it(
    calls: ModuleType, published: Path, small_disk: Path
) -> None:
    out = small_disk / "reports"
    shutil.copytree(published, out, symlinks=True)
    before = calls.contents(out / calls.SET)
    filler = small_disk / "filler"
    free = os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize
    filler.write_bytes(bytes(free - 60_000))  # room for a part of the new set
    with pytest.raises(PublicationError, match="No space left on device"):
        calls.publish(published.parent, calls.WORDS[1], out)
    assert calls.contents(out / calls.SET) == before
    assert verify_set(out) == ()
    filler.unlink()
    calls.publish(published.parent, calls.WORDS[1], out)
    assert calls.contents(out / calls.SET) != before
    assert calls.torn_files(out) == []


def test_a_limit_on_the_size_of_files_keeps_the_published_set(calls: ModuleType, published: Path) -> None:
    before = calls.contents(published / calls.SET)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (15_000, hard))  # an index has about 27,000 bytes
    try:
        with pytest.raises(PublicationError, match="File too large"):
            calls.publish(published.parent, calls.WORDS[1], published)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert calls.contents(published / calls.SET) == before
    assert calls.torn_files(published) == [f".store/{calls.SET}.work"]  # what was finished
    calls.publish(published.parent, calls.WORDS[1], published)
    assert calls.torn_files(published) == []
