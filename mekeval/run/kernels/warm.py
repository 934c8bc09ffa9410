"""The warm process: it has loaded what its children need, computes nothing, and forks kernels and workers on request.

In: requests over a socket. Out: processes. Never: a thread, a kernel's socket or a random number of its own that a
child would inherit; a child that outlives the one who asked for it, or this process.

It ends, and all its children with it, as soon as the other end of its first socket is closed: however the run ends.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import signal
import socket
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import NoReturn, cast

from .wire import receive, send

#: Seconds between two looks at whether the run is still there, while everything is loaded.
_LOOK = 0.2
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of Linux's prctl


def main(number: int) -> NoReturn:
    """Load everything, then serve the socket of this number until it is closed."""
    link = socket.socket(fileno=number)
    link.set_inheritable(False)
    with _ending_with(link):
        _load()
    gc.collect()
    gc.freeze()  # what is loaded stays shared with the children
    Server(links=[link]).serve()


@contextlib.contextmanager
def _ending_with(link: socket.socket) -> Iterator[None]:
    """End this process soon after the other end of a socket is closed, also in a block that does not look at it.

    Loading takes seconds on a busy machine, and a run that is killed meanwhile must leave nobody behind.
    """
    watch = select.poll()
    watch.register(link, 0)  # only whether it is closed

    def look(_number: int, _frame: FrameType | None) -> None:
        if watch.poll(0):
            os._exit(0)

    signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, _LOOK, _LOOK)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)


def _load() -> None:
    """Import what kernels and workers need."""
    # IPython's debugger is loaded with the rest, and would warn of breakpoints that nobody sets here.
    os.environ["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"
    from . import preloaded

    preloaded.load()


def _hold(env: Mapping[str, str]) -> None:
    """Have in memory what the run has computed for its kernels: each of them would read it otherwise."""
    from ...store import SHARED_VARIABLE, hold

    with contextlib.suppress(Exception):  # a kernel can do without
        hold(env.get(SHARED_VARIABLE, ""))


@dataclass(kw_only=True)
class Server:
    """Forks for those who hold the other ends of its links.

    Attributes
    ----------
    links : list of socket
        The first is the run's; each worker gets one of its own.
    children : dict of int to socket
        Processes that were not yet seen to end, and the link over which each was asked for.
    """

    links: list[socket.socket]
    children: dict[int, socket.socket] = field(default_factory=dict)

    def serve(self) -> NoReturn:
        """Answer until the run is gone."""
        while True:
            ready, _, _ = select.select(self.links, [], [])
            for link in ready:
                try:
                    message, file = receive(link)
                    send(link, self._answer(link, message, file))
                except (EOFError, OSError):
                    self._leave(link)

    def _answer(self, link: socket.socket, message: dict[str, object], file: int | None) -> dict[str, object]:
        pid = cast("int", message.get("pid", 0))
        match message["do"]:
            case "kernel":
                _hold(cast("Mapping[str, str]", message["env"]))
                return {"pid": self._fork(link, message, file)}
            case "worker":
                return {"pid": self._fork(link, message, file)}
            case "poll":
                return {"code": self._poll(pid)}
            case "kill":
                return {"code": self._kill(pid)}
            case "threads":
                return {"threads": _threads()}
        return {}

    def _fork(self, link: socket.socket, message: dict[str, object], file: int | None) -> int:
        ours, theirs = socket.socketpair()
        parent = os.getpid()
        pid = os.fork()
        if pid:
            theirs.close()
            if message["do"] == "worker":
                self.links.append(ours)
            else:
                ours.close()
            if file is not None:
                os.close(file)
            self.children[pid] = link
            return pid
        try:
            for own in self.links:
                own.close()
            ours.close()
            _begin(parent)
            if message["do"] == "worker":
                _worker(theirs, cast("int", file))
            else:
                theirs.close()
                _kernel(message, file)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)

    def _poll(self, pid: int) -> int | None:
        """The exit code of a child; None while it lives."""
        if pid not in self.children:
            return 1
        try:
            ended, status = os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            ended, status = pid, 1 << 8
        if not ended:
            return None
        del self.children[pid]
        return os.waitstatus_to_exitcode(status)

    def _kill(self, pid: int) -> int:
        """End a child and what it started, and wait for it."""
        if pid not in self.children:
            return 1
        for kill in (os.killpg, os.kill):
            with contextlib.suppress(OSError):
                kill(pid, signal.SIGKILL)
        del self.children[pid]
        try:
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        except ChildProcessError:
            return 1

    def _leave(self, link: socket.socket) -> None:
        """End the children of one who is gone, and oneself where it was the run."""
        over = link is self.links[0]
        for pid in [pid for pid, asker in self.children.items() if over or asker is link]:
            self._kill(pid)
        self.links.remove(link)
        link.close()
        if over:
            os._exit(0)


def _begin(parent: int) -> None:
    """What every child does first: its own session, its own random numbers, and an end with its parent."""
    os.setsid()
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    # The module `random` seeds itself anew after a fork, and identifiers come from the system; numpy's old generator
    # would go on where its parent stood.
    import numpy as np

    np.random.seed()


def _kernel(message: dict[str, object], ready: int | None) -> None:
    """Be an IPython kernel, as `python -m ipykernel_launcher` would."""
    os.environ.clear()
    os.environ.update(cast("dict[str, str]", message["env"]))
    os.environ["JPY_PARENT_PID"] = str(os.getppid())  # IPython's own watch over its parent
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.chdir(cast("str", message["cwd"]))
    command = cast("Sequence[str]", message["command"])
    sys.argv = list(command)
    import tempfile
    import time

    from .link import limit_memory

    time.tzset()
    tempfile.tempdir = None  # the environment names a folder of this kernel's own
    limit_memory(os.getpid(), cast("int", message.get("memory") or 0))
    gc.set_threshold(100_000, 50, 100)  # a kernel does one report and is gone
    from ipykernel.kernelapp import IPKernelApp

    app = IPKernelApp.instance(parent_handle=os.getppid())
    # What a report's cells were is in the report; the person's own history of IPython is not ours to write.
    app.initialize([*command[1:], "--HistoryManager.enabled=False"])  # type: ignore[no-untyped-call]
    _draw_inline()
    if ready is not None:
        os.write(ready, b"1")
        os.close(ready)
    app.start()  # type: ignore[no-untyped-call]


def _draw_inline() -> None:
    """Let matplotlib, which is loaded already, draw where the environment of this kernel says."""
    matplotlib = sys.modules.get("matplotlib")
    if matplotlib is not None:
        matplotlib.rcParams["backend"] = os.environ["MPLBACKEND"]


def _worker(control: socket.socket, file: int) -> None:
    """Do jobs of the run, one after the other."""
    from . import link

    link.adopt(control)
    link.work(file)


def _threads() -> int:
    """Number of threads of this process, where the system tells."""
    try:
        return len(list(Path("/proc/self/task").iterdir()))
    except OSError:
        import threading

        return threading.active_count()
