"""The same jobs on the workers of a Dask scheduler: refused before anything runs, or brought back whole.

In: the address of a scheduler, and what the jobs are made from. Out: an executor. Never: a job on a worker with another
version of mekeval or of a package, or with other files than here; a run that waits for ever for a worker.

The workers must see the study and the raw data under the same path as this machine (a shared file system); each hashes
them before its first job, and again when one was touched. Nothing is written there. Whoever reaches the scheduler can
run code on the workers, so its port is for a closed network, or for TLS as Dask's own configuration sets it up.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from ..errors import Fault, RunError
from ..shipped import shipped, version
from .going import checked
from .jobs import Job, Outcome
from .keys import packages, sha256_of, source_sha256
from .publish import PublicationError

if TYPE_CHECKING:
    import distributed

Result = TypeVar("Result")
_ADDRESS = re.compile(r"(?:tcp|tls)://(?:\[[0-9A-Fa-f:.]+\]|[^\s/:\[\]]+):[0-9]{1,5}")


@dataclass(frozen=True, kw_only=True)
class Patience:
    """Seconds to wait at most.

    Attributes
    ----------
    scheduler : float
        For the scheduler's answer.
    workers : float
        For a first worker, and during the run for another one when none is left.
    beat : float
        Between two looks at whether workers are there.
    """

    scheduler: float = 10.0
    workers: float = 60.0
    beat: float = 2.0


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What must be on a worker as it is here.

    Attributes
    ----------
    mekeval, code : str
        Its version, and the sha256 of its files.
    packages : mapping of str to str
        Versions of packages, and of Python.
    files : mapping of str to (str, str)
        By the name that a message may say: absolute path and sha256.
    paths : tuple of str
        Folders that no output may name.
    """

    mekeval: str
    code: str
    packages: Mapping[str, str]
    files: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    paths: tuple[str, ...] = ()


def as_here(*, files: Mapping[str, tuple[str, str]] | None = None, paths: tuple[str, ...] = ()) -> Wanted:
    """What a worker must be like to do the work of this machine; attributes as in `Wanted`."""
    return Wanted(
        mekeval=version(), code=source_sha256(), packages=packages(), files=dict(files or {}), paths=paths
    )


@contextlib.contextmanager
def on_cluster(address: str, wanted: Wanted, *, patience: Patience | None = None) -> Iterator[Executor]:
    """An executor on the workers of a Dask scheduler; at the end of the block what still waits is taken back.

    Parameters
    ----------
    address : str
        ``tcp://host:port``, or ``tls://host:port``.
    wanted : Wanted
        What every worker is compared with, now, and again where a job begins: a worker may join later.
    patience : Patience, optional

    Yields
    ------
    concurrent.futures.Executor
        A call whose worker is lost is made again elsewhere, as often as the scheduler allows (its setting
        ``allowed-failures``, 3), and then once more as often, with no other call beside it: so the call that ends
        workers is told from those that only ran beside it.

    Raises
    ------
    RunError
        The extra is not there, nobody answers, there is no worker, or one is not as it must be.
    """
    waits = patience or Patience()
    if not _ADDRESS.fullmatch(address):
        raise RunError(
            "This is no address of a scheduler.",
            where="--scheduler",
            found=repr(address),
            expected="tcp://host:8786",
        )
    if find_spec("distributed") is None:
        raise RunError(
            "Dask needs an extra package.",
            where="--scheduler",
            expected="distributed",
            fix="pip install 'mekeval[cluster]'",
        )
    client = _connected(address, waits)
    try:
        _refuse_other_workers(client, wanted, waits)
        with _quiet():
            pool = _ClusterExecutor(client, wanted, waits)
            try:
                yield pool
            finally:
                pool.shutdown(wait=False, cancel_futures=True)
    finally:
        with _quiet(), contextlib.suppress(Exception):
            client.close(timeout=waits.scheduler)  # type: ignore[no-untyped-call]


def _connected(address: str, waits: Patience) -> distributed.Client:
    """A client of the scheduler."""
    import distributed

    found: list[distributed.Client] = []
    causes: list[str] = []

    def connect() -> None:
        try:
            client = distributed.Client(  # type: ignore[no-untyped-call]
                address, timeout=waits.scheduler, set_as_default=False, name="mekeval"
            )
            found.append(client)
        except Exception as cause:  # what another server than Dask's answers may be anything
            causes.append(type(cause).__name__)

    # In a thread of its own, since Dask waits for ever for a server that accepts and is silent.
    trial = threading.Thread(target=connect, name="mekeval-connect", daemon=True)
    with _quiet():
        trial.start()
        trial.join(waits.scheduler + 1)
    if not found:
        raise RunError(
            "The scheduler does not answer.",
            where="--scheduler",
            found=f"{address}: {causes[0] if causes else 'nothing'} in {waits.scheduler:g} s",
            expected="the address of a running `dask scheduler`, and its version of distributed",
        )
    return found[0]


def _refuse_other_workers(client: distributed.Client, wanted: Wanted, waits: Patience) -> None:
    """Refuse a cluster without workers, or with one that would make something else than this machine."""
    try:
        client.wait_for_workers(1, timeout=waits.workers)
        found = client.run(_differences, wanted, on_error="return")
    except TimeoutError:
        found = {}
    except OSError as cause:
        raise RunError("The scheduler was lost.", where="--scheduler", found=type(cause).__name__) from None
    if not found:
        raise RunError(
            "The scheduler has no worker.",
            where="--scheduler",
            found=f"none in {waits.workers:g} s",
            fix="Start one: dask worker ADDRESS --nthreads 1",
        )
    faults: list[Fault] = []
    for number, told in enumerate((found[worker] for worker in sorted(found)), start=1):
        where = f"worker {number} of {len(found)}, in the order of their addresses"
        if isinstance(told, Exception):  # no mekeval, or one that does not know this module
            told = (
                Fault(
                    what="A worker cannot run mekeval's jobs.",
                    found=type(told).__name__,
                    expected=f"mekeval {wanted.mekeval}, as here",
                    fix="Install the same versions on every worker.",
                ),
            )
        faults += [replace(fault, where=", ".join(filter(None, (where, fault.where)))) for fault in told]
    if faults:
        raise RunError.of(faults)


# On a worker


def _differences(wanted: Wanted) -> tuple[Fault, ...]:
    """In what this process is not as it must be."""
    code, there = _loaded()
    other = [f"mekeval {version()}"] if version() != wanted.mekeval else []
    other += ["mekeval's own code"] if code != wanted.code else []
    names = [name for name in sorted(wanted.packages) if there.get(name, "") != wanted.packages[name]]
    other += [f"{name} {there.get(name) or 'not there'}" for name in names]
    faults = []
    if other:
        right = [f"{name} {wanted.packages[name] or 'not there'}" for name in names]
        faults.append(
            Fault(
                what="A worker has another version of what makes the reports.",
                found=", ".join(other),
                expected=", ".join([f"mekeval {wanted.mekeval}", *right]) + ", as here",
                fix="Install the same versions on every worker, and start the workers again.",
            )
        )
    missing: list[str] = []
    changed: list[str] = []
    for name, (path, sha256) in wanted.files.items():
        hashed = _hash_of(path)
        if hashed != sha256:
            (changed if hashed else missing).append(name.partition(":")[2] or name)
    for names, what in ((missing, "does not see"), (changed, "sees other contents of")):
        if names:
            faults.append(
                Fault(
                    what=f"A worker {what} files of the study.",
                    found=", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else ""),
                    fix="Put the study and the raw data where all workers see them under the same path as here.",
                )
            )
    return tuple(faults)


@functools.cache
def _loaded() -> tuple[str, Mapping[str, str]]:
    """Code and packages of this process: as they were when it first was asked, whatever was installed since."""
    return source_sha256(), packages()


def _hash_of(path: str) -> str:
    """The sha256 of a file; empty where it is not there."""
    try:
        found = Path(path).stat()
        return _hash_at(path, found.st_size, found.st_mtime_ns)
    except OSError:
        return ""


@functools.lru_cache(maxsize=10_000)
def _hash_at(path: str, size: int, time_ns: int) -> str:
    del size, time_ns  # they decide whether the file has to be read again
    return sha256_of(Path(path))


def _call(wanted: Wanted, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call a function here, on a worker that is as it must be; no secret of this machine leaves with a report."""
    if faults := _differences(wanted):
        raise RunError.of(faults)
    result = function(*(_seen(one) for one in args), **kwargs)
    if not isinstance(result, Outcome):
        return result
    given = next(one for one in args if isinstance(one, Job))
    return replace(checked(result, wanted.paths), job=given)


def _seen(one: object) -> object:
    """A job whose notebook, where it is one of ours, is that of the package on this worker."""
    if isinstance(one, Job) and not one.notebook.is_file():
        own = shipped("notebooks") / one.notebook.name
        return replace(one, notebook=own) if own.is_file() else one
    return one


# On this machine


@dataclass(eq=False, kw_only=True)
class _Task:
    """A call on its way."""

    work: tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]
    given: Future[Any]
    alone: bool = False
    remote: Any = None


class _ClusterExecutor(Executor):
    """Calls on the workers of a client's scheduler."""

    def __init__(self, client: distributed.Client, wanted: Wanted, waits: Patience) -> None:
        self._client, self._wanted, self._waits = client, wanted, waits
        self._lock = threading.RLock()
        self._lost = ""
        self._going: set[_Task] = set()
        self._suspect: list[_Task] = []
        self._over = threading.Event()
        threading.Thread(target=self._watch, name="mekeval-cluster", daemon=True).start()

    def submit(self, function: Callable[..., Result], /, *args: Any, **kwargs: Any) -> Future[Result]:
        """Have a function called on one of the workers."""
        task = _Task(work=(function, args, kwargs), given=Future())
        with self._lock:
            if self._lost:
                raise _ended_early(self._lost)
            if self._over.is_set():
                raise RuntimeError("cannot schedule new futures after shutdown")
            self._start(task)
        return cast("Future[Result]", task.given)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls; with `cancel_futures` take back those that have not ended."""
        while wait and not cancel_futures and self._open():
            time.sleep(0.05)
        self._over.set()
        with self._lock:
            left = [*self._going, *self._suspect]
            self._going.clear()
            self._suspect.clear()
        for task in left:
            with contextlib.suppress(Exception):
                task.remote.cancel()
            task.given.cancel()

    def _open(self) -> bool:
        with self._lock:
            return bool(self._going or self._suspect)

    def _start(self, task: _Task) -> None:
        """Send a call off; the lock is held."""
        self._going.add(task)
        task.remote = self._client.submit(
            _call, self._wanted, *task.work, key=f"mekeval-{uuid.uuid4().hex}", pure=False
        )
        task.remote.add_done_callback(functools.partial(self._ended, task))

    def _ended(self, task: _Task, remote: Any) -> None:
        from distributed.scheduler import KilledWorker

        cause: BaseException | None = None
        result: Any = None
        try:
            result = remote.result()
        except Exception as error:
            cause = error
        if cause is not None and (remote.status == "cancelled" or self._client.status != "running"):
            if not self._over.is_set():  # not by us: the connection to the scheduler broke
                self._give_up("The scheduler was lost")
            return
        with self._lock:
            if task not in self._going:
                return
            self._going.discard(task)
            again = isinstance(cause, KilledWorker) and not task.alone
            if again:
                task.alone = True
                self._suspect.append(task)
        if not again:
            if isinstance(cause, KilledWorker):
                cause = RunError(
                    "Every worker that took this job was ended.",
                    found=f"{2 * (cause.allowed_failures + 1)} workers",
                    fix="Often the memory was full: give the workers more.",
                )
            _resolve(task.given, result, cause)
        with self._lock:
            if self._suspect and not self._going and not self._over.is_set():
                self._start(self._suspect.pop(0))

    def _watch(self) -> None:
        """End the run when the scheduler is gone, or nobody is left to work."""
        seen = time.monotonic()
        while not self._over.wait(self._waits.beat):
            lost = ""
            try:
                if self._client.status != "running":
                    lost = "The scheduler was lost"
                elif self._client.scheduler_info()["workers"] or not self._open():
                    seen = time.monotonic()
                elif time.monotonic() - seen > self._waits.workers:
                    lost = f"No worker was left for {self._waits.workers:g} s"
            except Exception:  # asked in the moment in which the connection broke
                lost = "The scheduler was lost"
            if lost:
                self._give_up(lost)
                return

    def _give_up(self, what: str) -> None:
        with self._lock:
            self._lost = what
            left = [*self._going, *self._suspect]
            self._going.clear()
            self._suspect.clear()
        for task in left:
            _resolve(task.given, None, _ended_early(what))


def _ended_early(what: str) -> PublicationError:
    return PublicationError(
        f"{what}; the earlier reports are as they were.",
        where="--scheduler",
        fix="Run again: what was finished before is kept.",
    )


def _resolve(future: Future[Any], result: Any, cause: BaseException | None) -> None:
    if not future.set_running_or_notify_cancel():
        return
    if cause is None:
        future.set_result(result)
    else:
        future.set_exception(cause)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep Dask's own log of lost connections, with its tracebacks, out of ours."""
    loggers = [logging.getLogger(name) for name in ("distributed", "distributed.client", "tornado")]
    before = [one.level for one in loggers]
    for one in loggers:
        one.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for one, level in zip(loggers, before, strict=True):
            one.setLevel(level)
