"""Running the jobs side by side: in workers of our own, or in any executor that is handed in.

In: jobs, and an executor where one is given. Out: an `Outcome` for each job. Never: a job that fails because what it
shares with others could not be prepared.

What several jobs need is prepared before them, in the same workers; the jobs of a year wait for it, and no others.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ..errors import MekevalError
from ..store import Store, filled, run_store
from .jobs import Job, Outcome, execute, failed
from .kernels import can_fork
from .limits import USUAL, Limits, within
from .pool import WarmPool
from .prepared import Preparation, preparations, prepare
from .publish import PublicationError


def execute_all(
    planned: list[Job],
    *,
    jobs: int | None,
    executor: Executor | None,
    progress: bool,
    finished: Callable[[Outcome], Outcome] | None = None,
    limits: Limits = USUAL,
    share: bool = True,
    store_in: Path | None = None,
) -> list[Outcome]:
    """Run the jobs, in the order given, whatever order they end in.

    `finished` sees each outcome at once, here and not in the worker, and what it returns stands in the list: so a long
    run keeps on disk what it has made, and not in memory. What it raises ends the run. `limits` hold for each job; jobs
    are given what the store that is being filled here has; without `share` each computes everything itself. `store_in`
    is where to put what jobs share, as in `run_store`, where the workers do not see this machine's temporary folder.
    """
    workers = max(1, min(jobs or os.cpu_count() or 1, len(planned)))
    pool = executor or _own_pool(workers, limits)
    results: dict[int, Outcome] = {}
    with (
        run_store(store_in) as store,
        tqdm(total=len(planned), disable=not progress, unit="report", file=sys.stderr) as bar,
    ):
        try:
            work = _Work(pool=pool, planned=planned, limits=limits, store=store, share=share)
            for at, outcome in work.outcomes():
                results[at] = finished(outcome) if finished else outcome
                bar.update()
        except BaseException:
            if executor is None:  # nobody writes into the store any more when it is removed
                _end(pool)
            raise
        if executor is None:
            pool.shutdown()
    return [results[at] for at in range(len(planned))]


class _Work:
    """Jobs and what they wait for, on their way through an executor."""

    def __init__(
        self, *, pool: Executor, planned: list[Job], limits: Limits, store: Store, share: bool
    ) -> None:
        self._pool, self._planned, self._limits = pool, planned, limits
        self._waiting: dict[Future[None], tuple[Store, tuple[int, ...]]] = {}
        self._running: dict[Future[Outcome], tuple[int, Store | None]] = {}
        self._left: dict[Store, int] = {}
        planning = filled() if share else None
        if planning is not None:
            store.take(planning)
        free = dict.fromkeys(range(len(planned)))
        for number, (needed, places) in enumerate(preparations(planned).items() if share else ()):
            part = Store(folder=store.folder / str(number), token=store.token)
            part.folder.mkdir(mode=0o700)
            part.take(store)
            self._waiting[pool.submit(_prepare, needed, part, limits.seconds)] = (part, places)
            self._left[part] = len(places)
            for at in places:
                del free[at]
        for at in free:
            self._start(at, planning and store)

    def outcomes(self) -> Iterator[tuple[int, Outcome]]:
        """Each job's place and outcome, as they come."""
        while self._waiting or self._running:
            open_ones: list[Future[Any]] = [*self._waiting, *self._running]
            done, _ = wait(open_ones, return_when=FIRST_COMPLETED)
            del open_ones
            for future in done:
                if future in self._waiting:
                    # What could not be prepared, the jobs compute themselves, and say what is wrong.
                    part, places = self._waiting.pop(future)
                    for at in places:
                        self._start(at, part)
                else:
                    # A future holds its result for as long as it is held.
                    at, read = self._running.pop(future)
                    yield at, self._outcome(at, future)
                    self._release(read)
            del done, future

    def _start(self, at: int, store: Store | None) -> None:
        call = partial(execute, limits=self._limits, store=store)
        self._running[self._pool.submit(call, self._planned[at])] = (at, store)

    def _outcome(self, at: int, future: Future[Outcome]) -> Outcome:
        try:
            return future.result()
        except PublicationError:  # nobody is left to do the jobs
            raise
        except MekevalError as cause:
            return failed(self._planned[at], str(cause))
        except Exception as cause:  # a worker that was killed: its report fails, the others stand
            return failed(self._planned[at], f"{type(cause).__name__}: {cause}")

    def _release(self, part: Store | None) -> None:
        """Remove what was prepared once its last job is done."""
        if part in self._left:
            self._left[part] -= 1
            if not self._left[part]:
                shutil.rmtree(part.folder, ignore_errors=True)


def _prepare(needed: Preparation, store: Store, seconds: float) -> None:
    """Prepare what jobs share, in no more time than each of them has: then they compute it themselves, and say so."""
    with within(seconds):
        prepare(needed, store)


def _own_pool(workers: int, limits: Limits) -> Executor:
    threads = max(1, (os.cpu_count() or 1) // workers)
    if can_fork(limits.kernels):
        return WarmPool(workers, threads=threads)
    return ProcessPoolExecutor(
        max_workers=workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_one_of_several,
        initargs=(threads,),
    )


def _end(pool: Executor) -> None:
    """End workers at once, whatever they do; those that were not forked know no such word themselves."""
    started = list((getattr(pool, "_processes", None) or {}).values())
    pool.shutdown(wait=False, cancel_futures=True)
    for process in started:
        process.terminate()
    for process in started:
        process.join(timeout=10)


def _one_of_several(threads: int) -> None:
    """Kernels of parallel jobs share the processors; a worker does not outlive the run that started it."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, str(threads))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
