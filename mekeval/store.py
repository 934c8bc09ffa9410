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
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, cast

#: The variable of the environment by which a run tells its notebooks where its store is.
SHARED_VARIABLE = "MEKEVAL_SHARED"
_SIGNATURE = 32  # bytes

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

    def get(self, key: str) -> object | None:
        """What is stored under a key; None where there is nothing that can be trusted."""
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


@contextlib.contextmanager
def run_store() -> Iterator[Store]:
    """A new, empty store, removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="mekeval-shared-"))  # mode 0700
    try:
        yield Store(folder=folder, token=secrets.token_hex(32))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


_FILLED: ContextVar[Store | None] = ContextVar("filled", default=None)


@contextlib.contextmanager
def filling(store: Store) -> Iterator[None]:
    """Within the block `shared` puts what it computes into the store."""
    before = _FILLED.set(store)
    try:
        yield
    finally:
        _FILLED.reset(before)


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
    token, colon, folder = os.environ.get(SHARED_VARIABLE, "").partition(":")
    return Store(folder=Path(folder), token=token) if token and colon and folder else None
