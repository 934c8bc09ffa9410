"""What a job may use: memory and time. Nothing heavy is imported.

In: what was asked for. Out: `Limits`. Never: a scheduled run that waits for ever for one notebook.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType

from ..errors import Fault, RunError

#: Seconds that a job may take where nobody says otherwise: many times what a report takes on a slow machine.
USUAL_SECONDS = 1800.0
#: Gigabytes without which no kernel starts, and more than any machine has.
_LEAST_MEMORY, _MOST_MEMORY = 0.5, 1e6
#: Three years: systems cannot count to any number of seconds.
_MOST_SECONDS = 1e8


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a job may use.

    Attributes
    ----------
    memory : float
        Gigabytes (10^9 bytes) of data of its kernel; 0 for no limit. Held on Linux.
    seconds : float
        Time for the whole notebook, by the clock; 0 for no limit.
    kernels : str
        "auto" (forked on Linux, unless the variable MEKEVAL_KERNELS says otherwise), "fork" or "ordinary".
    """

    memory: float = 0.0
    seconds: float = 0.0
    kernels: str = "auto"


NO_LIMITS = Limits()
USUAL = Limits(seconds=USUAL_SECONDS)


def limits_of(*, memory: float, time_limit: float) -> Limits:
    """The limits that were asked for.

    Parameters
    ----------
    memory : float
        Gigabytes for each job; 0 for no limit.
    time_limit : float
        Seconds for each job; 0 for no limit.

    Returns
    -------
    Limits

    Raises
    ------
    RunError
        One is negative, no number or too large, or no kernel starts with so little memory.
    """
    faults = []
    if memory != 0 and not _LEAST_MEMORY <= memory <= _MOST_MEMORY:  # nan is neither
        faults.append(
            Fault(
                what="This cannot be the memory of a job.",
                where="--memory",
                found=f"{memory:g} GB",
                expected=f"{_LEAST_MEMORY:g} to {_MOST_MEMORY:.0f} GB, or 0 for no limit",
            )
        )
    if not 0 <= time_limit <= _MOST_SECONDS:
        faults.append(
            Fault(
                what="This cannot be the time of a job.",
                where="--time-limit",
                found=f"{time_limit:g} s",
                expected=f"seconds, at most {_MOST_SECONDS:.0f}, or 0 for no limit",
            )
        )
    if faults:
        raise RunError.of(faults)
    return Limits(memory=float(memory), seconds=float(time_limit))


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    """Raise TimeoutError in a block that takes longer, by the clock; 0 for no limit.

    Only a process's first thread can be interrupted like this, and not on Windows: elsewhere nothing is limited.
    """
    timed = seconds > 0 and hasattr(signal, "setitimer")
    if not timed or threading.current_thread() is not threading.main_thread():
        yield
        return

    def over(_number: int, _frame: FrameType | None) -> None:
        raise TimeoutError(f"more than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
