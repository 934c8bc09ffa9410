"""File calls that fail: the 1st, the 2nd, ... of a run, until a run meets none; what was published stays whole.

A set is published; a run that would publish another meets one failing call (or all calls fail from one on, as on a full
disk), with EIO or ENOSPC. Right is: an error in words or none; the old set or the new one, whole; and a resume that
gives the new one, byte for byte, and leaves nothing behind. No kernels run here, only what reads and writes.
"""

from __future__ import annotations

import argparse
import builtins
import contextlib
import errno
import io
import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from rows import Row, row, show
from run_faults import NO_KERNELS, SET, WORDS, contents, notebooks, stand_ins, torn_files

from mekeval.errors import MekevalError
from mekeval.run import run_study
from mekeval.run.verify import verify_set
from mekeval.shipped import example_study

_CALLS = ("open", "fsync", "mkdir", "link", "replace", "symlink", "rename", "unlink", "rmdir", "chmod")
_OPEN, _OS = io.open, {name: getattr(os, name) for name in _CALLS}


class Failing:
    """Within the block the calls below a folder are counted, and one, or all from one on, fail.

    Parameters
    ----------
    folder : Path
        Calls elsewhere are neither counted nor failed.
    at : int
        The first call that fails, from 1.
    number : int
        Of the error.
    forever : bool
        Whether all later calls fail too.
    """

    def __init__(self, folder: Path, *, at: int, number: int, forever: bool) -> None:
        self.folder, self.at, self.number, self.forever = str(folder), at, number, forever
        self.calls: list[str] = []
        self.met = False

    def __enter__(self) -> Failing:
        for name in _CALLS:
            setattr(os, name, self._failing(name, _OS[name]))
        io.open = builtins.open = self._open  # type: ignore[assignment]
        return self

    def __exit__(self, *_: object) -> None:
        for name in _CALLS:
            setattr(os, name, _OS[name])
        io.open = builtins.open = _OPEN  # type: ignore[assignment]

    def count(self, name: str, place: object) -> None:
        """Count a call, or fail it."""
        if isinstance(place, int):  # an open file: a pipe lies nowhere
            there = os.readlink(f"/proc/self/fd/{place}")  # noqa: PTH115
        else:
            there = os.path.abspath(os.fsdecode(os.fspath(place)))  # type: ignore[call-overload]  # noqa: PTH100
        if not there.startswith(self.folder):
            return
        self.calls.append(name)
        if len(self.calls) == self.at or (self.forever and len(self.calls) > self.at):
            self.met = True
            raise OSError(self.number, os.strerror(self.number), str(place))

    def _failing(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(first: Any, *args: Any, **kwargs: Any) -> Any:
            target = args[0] if name == "symlink" else first  # where the link is made, not where it leads
            if kwargs.get("dir_fd") is None:
                self.count(name, target)
            return call(first, *args, **kwargs)

        return counted

    def _open(self, file: Any, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        self.count("open", file)
        stream = _OPEN(file, mode, *args, **kwargs)
        return _Written(stream, self) if set(mode) & set("wax+") else stream


class _Written:
    """An open file whose writes are counted."""

    def __init__(self, stream: Any, failing: Failing) -> None:
        self._stream, self._failing = stream, failing

    def write(self, content: Any) -> int:
        try:
            self._failing.count("write", self._stream.fileno())
        except OSError:
            self._stream.write(content[: len(content) // 2])  # a disk that fills up leaves a half
            raise
        return int(self._stream.write(content))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __enter__(self) -> _Written:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()


# --- one attempt


def publish(folder: Path, word: str, out: Path) -> None:
    """A run of one job, which shows a word."""
    run_study(
        example_study(),
        years=[2025],
        kinds=["city"],
        languages=["fi"],
        notebooks=folder / word,
        out=out,
        jobs=1,
    )


def attempt(folder: Path, failing: Failing, good: dict[str, dict[str, bytes]]) -> Iterator[str]:
    """Faults of one run that meets a failing call, and of the run after it.

    Raises
    ------
    StopCalls
        It met none.
    """
    old, new = WORDS
    out = folder / "out"
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(folder / "before", out, symlinks=True)
    said = ""
    try:
        with failing as calls:
            publish(folder, new, out)
    except MekevalError as error:
        said = str(error)
    except OSError as error:
        yield f"no words, but {error!r}"
    name = calls.calls[calls.at - 1] if calls.met else "none"
    now = _set(out)
    if verify_set(out) or now not in (good[old], good[new]):
        yield f"call {calls.at} ({name}): the set is neither the old one nor the new one"
    elif not said and now != good[new]:
        yield f"call {calls.at} ({name}): all well, it says, and the old set is there"
    elif "as they were" in said and now != good[old]:
        yield f"call {calls.at} ({name}): it says that the old set is there, and it is not"
    publish(folder, new, out)
    if _set(out) != good[new] or verify_set(out):
        yield f"call {calls.at} ({name}): the next run gives something else"
    if torn_files(out):  # what could not be removed: the next runs that publish do it
        publish(folder, old, out)
        publish(folder, new, out)
    if torn := torn_files(out):
        yield f"call {calls.at} ({name}): left behind: {torn}"
    if not calls.met:
        raise StopCalls(calls.calls)


class StopCalls(Exception):  # noqa: N818
    """A run met no failing call: there are no more."""


def _set(out: Path) -> dict[str, bytes]:
    return contents(out / SET) if (out / SET).exists() else {}


def fail_calls(
    folder: Path, *, number: int = errno.ENOSPC, forever: bool = False, only: Iterable[int] | None = None
) -> tuple[Counter[str], list[str]]:
    """Fail each call in turn, or only some; the calls of a run that met none, by name, and all faults."""
    for word in WORDS:
        if not (folder / word).exists():
            notebooks(folder / word, word)
    good = {}
    for word in (*WORDS, WORDS[0]):
        publish(folder, word, folder / "before")
        good[word] = _set(folder / "before")
    faults: list[str] = []
    at = 0
    wanted = iter(only) if only is not None else None
    while True:
        at = at + 1 if wanted is None else next(wanted, 10**9)
        try:
            faults.extend(
                attempt(folder, Failing(folder / "out", at=at, number=number, forever=forever), good)
            )
        except StopCalls as end:
            return Counter(end.args[0]), faults


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON list")
    parser.add_argument("--quick", action="store_true", help="every seventh call only")
    chosen = parser.parse_args()
    for module, name, stand_in in (*stand_ins(), *NO_KERNELS):
        setattr(module, name, stand_in)
    rows: list[Row] = []
    for number in (errno.ENOSPC, errno.EIO):
        for forever in (False, True):
            with tempfile.TemporaryDirectory(prefix="run-faults-") as place:
                with contextlib.redirect_stdout(sys.stderr):
                    only = range(1, 400, 7) if chosen.quick else None
                    calls, faults = fail_calls(Path(place), number=number, forever=forever, only=only)
                for fault in faults:
                    print(fault, file=sys.stderr)
            which = "all calls from one on" if forever else "one call"
            task = f"{which} fails with {errno.errorcode[number]}"
            size = ", ".join(f"{name} {count}" for name, count in sorted(calls.items()))
            rows.append(row(task, f"{sum(calls.values())} calls: {size}", len(faults), "faults", at_most=0))
    show(rows, as_json=chosen.json)


if __name__ == "__main__":
    main()
