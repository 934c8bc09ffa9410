"""What several notebooks of one run need, computed once: a store of results that lives as long as the run.

In: the key of a result and how it is computed. Out: the result, from the store where the run has put it there. Never: a
pickle from a folder that is not this run's own and private, or without the run's signature; a result of other inputs;
a failure because a store is gone. Without a run there is no store, and everything is computed.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import pickle
import secrets
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, cast

#: The variable of the environment by which a run tells its notebooks where its store is.
SHARED_VARIABLE = "MEKEVAL_SHARED"
_SIGNATURE = 32  # bytes
_YOUNG = 60  # seconds

Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True)
class Store:
    """A folder with the results of one run.

    Attributes
    ----------
    folder : Path
        Belongs to this user and is closed to all others (mode 0700), else nothing is read from it.
    token : str
        The secret of the run; what was not signed with it is not read.
    """

    folder: Path
    token: str

    def text(self) -> str:
        """The store as the value of `SHARED_VARIABLE`."""
        return f"{self.token}:{self.folder}"

    def take(self, other: Store) -> None:
        """Have what another store of this run has."""
        for key in other._keys():
            found = other.get(key)
            if found is not None:
                self.put(key, found)

    def _keys(self) -> list[str]:
        with contextlib.suppress(OSError):
            return sorted(
                path.name for path in self.folder.iterdir() if path.name[0] != "." and path.is_file()
            )
        return []

    def get(self, key: str) -> object | None:
        """What is stored under a key; None where there is nothing that can be trusted."""
        store, held = _HELD.get()
        if store == self and key in held:
            return held[key]
        try:
            if not self._private():
                return None
            content = (self.folder / key).read_bytes()
        except OSError:
            return None
        signature, body = content[:_SIGNATURE], memoryview(content)[_SIGNATURE:]
        if not hmac.compare_digest(signature, self._sign(key, body)):
            return None
        return cast("object", pickle.loads(body))

    def put(self, key: str, result: object) -> None:
        """Store a result, as a whole or not at all; a store that is full or gone keeps nothing."""
        with contextlib.suppress(OSError, pickle.PicklingError):
            if not self._private():
                return
            body = pickle.dumps(result, protocol=pickle.HIGHEST_PROTOCOL)
            handle, name = tempfile.mkstemp(dir=self.folder, prefix=".")
            try:
                with os.fdopen(handle, "wb") as stream:
                    stream.write(self._sign(key, memoryview(body)))
                    stream.write(body)
                Path(name).replace(self.folder / key)
            except OSError:
                Path(name).unlink()

    def _sign(self, key: str, body: memoryview) -> bytes:
        secret = hashlib.sha256(self.token.encode()).digest()
        signed = hashlib.blake2b(key=secret, digest_size=_SIGNATURE)
        signed.update(key.encode() + b"\0")
        signed.update(body)
        return signed.digest()

    def _private(self) -> bool:
        """Whether the folder is a folder of this user alone; of Windows, the user's own temporary folder is trusted."""
        found = self.folder.lstat()
        if not stat.S_ISDIR(found.st_mode):
            return False
        return os.name == "nt" or (found.st_uid == os.getuid() and not stat.S_IMODE(found.st_mode) & 0o077)


#: What this process was forked with, so that it need not read it.
_HELD: ContextVar[tuple[Store | None, Mapping[str, object]]] = ContextVar("held", default=(None, {}))


def hold(text: str) -> None:
    """Read everything that a store has now, for the processes that are forked from this one; forget any other store.

    Parameters
    ----------
    text : str
        As `Store.text` gives it; empty where there is none.
    """
    store = _read(text)
    if store is None or store == _HELD.get()[0]:
        return
    _HELD.set((store, {}))
    with contextlib.suppress(OSError, pickle.UnpicklingError):
        found = {key: store.get(key) for key in store._keys()}
        _HELD.set((store, {name: one for name, one in found.items() if one is not None}))


@contextlib.contextmanager
def run_store(place: Path | None = None) -> Iterator[Store]:
    """A new, empty store, removed at the end: a folder with a name that begins as `place`, or a temporary one."""
    prefix = "mekeval-shared-" if place is None else f"{place.name}."
    with scratch_folder(prefix, place and place.parent.resolve()) as folder:
        yield Store(folder=folder, token=secrets.token_hex(32))


@contextlib.contextmanager
def scratch_folder(prefix: str, parent: Path | None = None) -> Iterator[Path]:
    """A new folder, closed to others and removed at the end.

    A process that is killed leaves its folder behind. The next one removes those that nobody holds any more: whoever
    makes one has it locked for as long as it lives. In a folder that is given, sweeping is the giver's task.
    """
    if parent is None:
        _sweep(prefix)
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))  # mode 0700
    held = _hold(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if held is not None:
            os.close(held)


def _sweep(prefix: str) -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        with contextlib.suppress(OSError):
            found = folder.lstat()
            # One that is younger may not have been locked yet.
            old = stat.S_ISDIR(found.st_mode) and abs(time.time() - found.st_mtime) > _YOUNG
            if os.name == "nt" or not old or found.st_uid != os.getuid():
                continue
            held = _hold(folder)
            if held is not None:
                shutil.rmtree(folder, ignore_errors=True)
                os.close(held)


def _hold(folder: Path) -> int | None:
    """Lock a folder until the number is closed or this process ends; None where it is locked, or cannot be."""
    if os.name == "nt":
        return None
    import fcntl

    try:
        number = os.open(folder, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    except OSError:
        return None
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(number)
        return None
    return number


_FILLED: ContextVar[Store | None] = ContextVar("filled", default=None)


@contextlib.contextmanager
def filling(store: Store) -> Iterator[None]:
    """Within the block `shared` puts what it computes into the store."""
    before = _FILLED.set(store)
    try:
        yield
    finally:
        _FILLED.reset(before)


def filled() -> Store | None:
    """The store that `filling` names here."""
    return _FILLED.get()


def at_hand() -> bool:
    """Whether there is a store, so that a key is worth its computation."""
    return _FILLED.get() is not None or bool(os.environ.get(SHARED_VARIABLE))


def known(key: str) -> object | None:
    """What the run has computed already under a key; None where there is no run, or nothing."""
    store = _FILLED.get() or _named()
    return None if store is None else store.get(key)


def shared(key: str, compute: Callable[[], Result]) -> Result:
    """A result of this run, or computed now.

    Parameters
    ----------
    key : str
        Decides the result as a whole: a checksum of everything that it is computed from. Letters, digits, "-", "_".
    compute : callable
        Without arguments; its result can be pickled.

    Returns
    -------
    object
        What `compute` returns, or an equal copy. A notebook only reads the store; `filling` fills it.
    """
    found = known(key)
    if found is not None:
        return cast("Result", found)
    result = compute()
    store = _FILLED.get()
    if store is not None:
        store.put(key, result)
    return result


def _named() -> Store | None:
    """The store that the environment names."""
    return _read(os.environ.get(SHARED_VARIABLE, ""))


def _read(text: str) -> Store | None:
    """The store that `Store.text` gave as text."""
    token, colon, folder = text.partition(":")
    return Store(folder=Path(folder), token=token) if token and colon and folder else None
