"""The other end of the warm process: starting it, asking it for kernels and workers, and being a worker.

In: commands, functions. Out: processes that look like those of `subprocess`, and connections to workers. Never: two
processes on one connection; a wait for somebody who is gone.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import pickle
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import cast

from ...errors import RunError, closest
from .wire import receive, send

#: Chooses the kernels where the caller does not: "auto", "fork" or "ordinary".
KERNELS_VARIABLE = "MEKEVAL_KERNELS"
KERNELS = ("auto", "fork", "ordinary")
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
_LINK = "_MEKEVAL_LINK"
_ROOT = str(Path(__file__).resolve().parents[3])
#: The first lines of every process of a run: this very mekeval, whatever lies in the folder where the process starts or
#: is installed beside it. It stands in front only while it is loaded, so that it hides no other package.
_OWN = (
    f"import os, sys; root = {_ROOT!r}; sys.path = [root, *(place for place in sys.path if place)]; import mekeval; "
    "del sys.path[0]; root in sys.path or sys.path.append(root); "
    "os.path.samefile(mekeval.__path__[0], os.path.join(root, 'mekeval')) or sys.exit('This is another mekeval.'); "
)
_START = _OWN + "from mekeval.run.kernels.warm import main; main(int(sys.argv[1]))"
#: What `python -m ipykernel_launcher` does, with this very mekeval.
#: It ends with the process that started it, also where an orphan's new parent is not the first process of the system,
#: which is what IPython itself looks for.
_ORDINARY = (
    _OWN
    + """
import threading, time
def watch(parent=int(os.environ.get("JPY_PARENT_PID") or os.getppid()), os=os, time=time):
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)
if os.name != "nt":
    threading.Thread(target=watch, daemon=True).start()
from ipykernel.kernelapp import launch_new_instance; launch_new_instance()
"""
)


def can_fork(kernels: str = "auto") -> bool:
    """Whether kernels and workers are forked.

    By default on Linux. macOS can fork but some of its libraries do not survive it: there it has to be asked for.
    """
    wanted = os.environ.get(KERNELS_VARIABLE) or "auto" if kernels == "auto" else kernels
    if wanted not in KERNELS:
        raise RunError(
            "There are no such kernels.",
            where=KERNELS_VARIABLE,
            found=repr(wanted),
            expected=closest(wanted, KERNELS),
        )
    if wanted == "ordinary" or not hasattr(os, "fork"):
        return False
    return wanted == "fork" or sys.platform.startswith("linux")


def ordinary(command: Sequence[str]) -> list[str]:
    """The command of an IPython kernel, as ``python -m ipykernel_launcher``, with the mekeval of this process."""
    return [command[0], "-c", _ORDINARY, *command[3:]]


def limit_memory(pid: int, memory: int) -> None:
    """Let a process have no more bytes of data than this, or than it may have now; 0: no limit. Only on Linux."""
    if memory and sys.platform.startswith("linux"):
        import resource

        _, most = resource.prlimit(pid, resource.RLIMIT_DATA)
        least = memory if most == resource.RLIM_INFINITY else min(memory, most)
        resource.prlimit(pid, resource.RLIMIT_DATA, (least, least))


class Forked:
    """A process that was forked elsewhere, with the methods of `subprocess.Popen` that jupyter_client uses."""

    stdin = stdout = stderr = None

    def __init__(self, warm: Warm, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._warm = warm

    def poll(self) -> int | None:
        """The exit code; None while it runs."""
        if self.returncode is None:
            self.returncode = self._code({"do": "poll", "pid": self.pid})
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end."""
        end = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if end is not None and time.monotonic() > end:
                raise subprocess.TimeoutExpired("kernel", timeout or 0.0)
            time.sleep(0.01)
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal to it and to what it started."""
        if self.poll() is None:
            for kill in (os.killpg, os.kill):
                with contextlib.suppress(ProcessLookupError):
                    kill(self.pid, number)
                    return

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it, with what it started, and wait for that."""
        if self.returncode is None:
            self.returncode = self._code({"do": "kill", "pid": self.pid})

    def _code(self, request: Mapping[str, object]) -> int | None:
        try:
            return cast("int | None", self._warm.ask(request)["code"])
        except (OSError, EOFError):  # the warm process is gone, and it takes its children with it
            return 1


class Warm:
    """A warm process, for one process that asks it; from several threads one question at a time."""

    def __init__(self, link: socket.socket, process: subprocess.Popen[bytes] | None = None) -> None:
        self._link = link
        self._process = process
        self.is_parent = process is None  # of this very process, which ends with it
        self._lock = threading.Lock()

    def ask(self, request: Mapping[str, object], file: int | None = None) -> dict[str, object]:
        """Send a request and wait for the answer; OSError or EOFError where nobody is there."""
        with self._lock:
            send(self._link, request, file)
            return receive(self._link)[0]

    def kernel(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: str,
        memory: int = 0,
        patience: float = 60,
    ) -> Forked:
        """Fork a kernel and wait until it listens.

        Parameters
        ----------
        command : sequence of str
            What stands behind ``python -m``.
        env : mapping of str to str
            Its whole environment.
        cwd : str
        memory : int
            Bytes of data at most; 0 for no limit.
        patience : float
            Seconds to wait at most.
        """
        ready, said = os.pipe()
        try:
            request = {
                "do": "kernel",
                "command": list(command),
                "env": dict(env),
                "cwd": cwd,
                "memory": memory,
            }
            try:
                pid = cast("int", self.ask(request, said)["pid"])
            finally:
                os.close(said)
            process = Forked(self, pid)
            if not select.select([ready], [], [], patience)[0] or not os.read(ready, 1):
                process.kill()
                raise RuntimeError("The kernel did not start.")
            return process
        finally:
            os.close(ready)

    def worker(self) -> Connection:
        """Fork a worker; what comes over the connection is for `work`."""
        ours, theirs = socket.socketpair()
        with ours, theirs:
            self.ask({"do": "worker"}, theirs.fileno())
            return Connection(ours.detach())

    def close(self) -> None:
        """End it and all its children."""
        with contextlib.suppress(OSError):
            self._link.shutdown(socket.SHUT_RDWR)
        self._link.close()
        if self._process is not None:
            try:
                self._process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


def start_warm(*, threads: int = 1, scratch: Path | None = None) -> Warm:
    """Start a warm process for this one; it answers as soon as it has loaded everything.

    Parameters
    ----------
    threads : int
        How many a linear algebra library may use in each child, unless the environment says so already.
    scratch : Path, optional
        Where its children put temporary files; whoever gives it removes it, since they may be ended at any time.
    """
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-c", _START, str(theirs.fileno())],
            pass_fds=(theirs.fileno(),),
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # an interrupt of the run is the run's to handle
            env={
                **dict.fromkeys(_THREADS, str(threads)),
                **os.environ,
                **({"TMPDIR": str(scratch)} if scratch else {}),
            },
        )
    return Warm(ours, process)


def own_warm() -> Warm:
    """The warm process of this one: the one it was forked from, or one that is started now and ends with it."""
    return _own_warm(os.getpid())


@functools.cache
def _own_warm(_pid: int) -> Warm:
    number = os.environ.pop(_LINK, "")
    if number:
        return Warm(socket.socket(fileno=int(number)))
    warm = start_warm()
    atexit.register(warm.close)
    return warm


def adopt(control: socket.socket) -> None:
    """Take a socket as the way to the process that this one was forked from."""
    os.environ[_LINK] = str(control.detach())
    own_warm()


def work(number: int) -> None:
    """Call the functions that come over a connection, and send back what they return or raise, until it is closed."""
    with Connection(number) as connection:
        while True:
            try:
                function, args, kwargs = connection.recv()
            except (EOFError, OSError):
                return
            try:
                answer: tuple[bool, object] = (True, function(*args, **kwargs))
            except Exception as error:
                answer = (False, error)
            try:
                sent = pickle.dumps(answer)
            except Exception as error:
                sent = pickle.dumps((False, RuntimeError(f"{type(error).__name__}: {error}")))
            try:
                connection.send_bytes(sent)
            except OSError:
                return
