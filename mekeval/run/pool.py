"""An executor whose workers are forked from the warm process: they start in no time, and one that dies costs one job.

In: functions, as any `concurrent.futures.Executor` takes them. Out: futures. Never: a worker that outlives the
executor, or a pool that is broken for good because one of its workers was killed.
"""

from __future__ import annotations

import contextlib
import pickle
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from ..errors import RunError
from ..store import scratch_folder
from .kernels import Warm, start_warm

Result = TypeVar("Result")
#: A worker is replaced after so many calls, so that nothing piles up in it.
_CALLS = 25


class WarmPool(Executor):
    """Workers forked from a warm process.

    Parameters
    ----------
    workers : int
    threads : int
        How many threads a linear algebra library may use in each of them.
    """

    def __init__(self, workers: int, *, threads: int = 1) -> None:
        self._each = threads
        with contextlib.ExitStack() as scratch:
            self._folder = scratch.enter_context(scratch_folder("mekeval-run-"))
            self._warm: Warm = start_warm(threads=threads, scratch=self._folder)
            self._scratch = scratch.pop_all()
        self._lock = threading.Lock()
        self._over = False
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="mekeval-worker")
        self._local = threading.local()

    def submit(self, function: Callable[..., Result], /, *args: Any, **kwargs: Any) -> Future[Result]:
        """Have a function called in one of the workers."""
        return self._threads.submit(self._call, function, args, kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the workers; those that still work are ended at once unless they are waited for."""
        if not wait:
            with self._lock:
                self._over = True
                self._warm.close()
        self._threads.shutdown(wait=True, cancel_futures=cancel_futures)
        self._warm.close()
        self._scratch.close()

    def _worker(self) -> Connection:
        """A new worker; a warm process that was killed, with all its workers, is replaced."""
        warm = self._warm
        try:
            return warm.worker()
        except (EOFError, OSError):
            with self._lock:
                if self._over:
                    raise
                if self._warm is warm:
                    warm.close()
                    self._warm = start_warm(threads=self._each, scratch=self._folder)
                return self._warm.worker()

    def _call(self, function: Callable[..., Result], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Result:
        """Call a function in this thread's own worker, and wait for what it returns."""
        worker, calls = getattr(self._local, "worker", (None, 0))
        self._local.worker = (None, 0)
        try:
            connection: Connection = worker or self._worker()
        except (EOFError, OSError):
            raise RunError("No worker can be started.", fix="Run again.") from None
        try:
            connection.send((function, args, kwargs))
            well, answer = pickle.loads(connection.recv_bytes())
        except (EOFError, OSError):
            connection.close()
            raise RunError(
                "The worker of this job was ended.",
                fix="Often the memory was full: run fewer jobs at once.",
            ) from None
        if calls + 1 < _CALLS:
            self._local.worker = (connection, calls + 1)
        else:
            connection.close()
        if not well:
            raise answer
        result: Result = answer
        return result
