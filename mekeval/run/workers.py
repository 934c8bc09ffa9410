"""Running the jobs side by side: in processes of our own, or in any executor that is handed in."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from concurrent.futures import Executor, Future, ProcessPoolExecutor, as_completed

from tqdm import tqdm

from .jobs import Job, Outcome, execute, failed


def execute_all(
    planned: list[Job], *, jobs: int | None, executor: Executor | None, progress: bool
) -> list[Outcome]:
    """Run the jobs, in the order given, whatever order they end in."""
    own = executor is None
    workers = min(jobs or os.cpu_count() or 1, len(planned))
    pool = executor or ProcessPoolExecutor(
        max_workers=workers, mp_context=multiprocessing.get_context("spawn"), initializer=_one_thread
    )
    try:
        futures: dict[Future[Outcome], int] = {
            pool.submit(execute, job): at for at, job in enumerate(planned)
        }
        results: dict[int, Outcome] = {}
        with tqdm(total=len(planned), disable=not progress, unit="report", file=sys.stderr) as bar:
            for future in as_completed(futures):
                at = futures[future]
                try:
                    results[at] = future.result()
                except Exception as cause:  # a worker that was killed: its reports fail, the others stand
                    results[at] = failed(planned[at], f"{type(cause).__name__}: {cause}")
                bar.update()
    finally:
        if own:
            pool.shutdown(cancel_futures=True)
    return [results[at] for at in range(len(planned))]


def _one_thread() -> None:
    """Kernels of parallel jobs share the processors; a worker does not outlive the run that started it."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
