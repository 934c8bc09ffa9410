"""What jupyter_client knows of the warm process: a provisioner, and the manager that papermill is given.

In: the command of a kernel, and its limits. Out: its process, forked or ordinary. Never: a kernel that goes on beyond a
limit, or one that another Python runs because it is registered under a known name.

The provisioner is registered as `mekeval-fork` in the group `jupyter_client.kernel_provisioners`; any kernelspec may
name it. The kernels of a run need no name: what is registered depends on how and when mekeval was installed. Where
nothing can be forked, or the kernel is none of this Python's, it starts an ordinary process.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jupyter_client.channels import AsyncZMQSocketChannel
from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning.local_provisioner import LocalProvisioner
from traitlets import Bool, Dict, Float, Int

from .link import Forked, Warm, can_fork, limit_memory, ordinary, own_warm

_LAUNCHER = "ipykernel_launcher"
_INLINE = "module://matplotlib_inline.backend_inline"


class ForkProvisioner(LocalProvisioner):
    """Starts a kernel as a fork of the warm process; everything else is as with an ordinary one."""

    fork = Bool(True, help="Whether to fork at all.").tag(config=True)
    memory = Int(0, help="Bytes of data that the kernel may have; 0 for no limit.").tag(config=True)

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Start the kernel."""
        if self.fork and can_fork() and _forkable(cmd):
            cwd = str(kwargs.get("cwd") or Path.cwd())
            env = dict(kwargs.get("env") or os.environ)
            process = _forked(cmd[2:], env=env, cwd=cwd, memory=self.memory)
            if process is not None:
                self.process = process  # type: ignore[assignment]
                self.pid = self.pgid = process.pid
                self.cwd = cwd
                return self.connection_info
        info = await super().launch_kernel(ordinary(cmd) if _forkable(cmd) else cmd, **kwargs)
        if self.pid:
            try:
                limit_memory(self.pid, self.memory)
            except BaseException:
                await self.kill()  # nobody would know of it
                raise
        return info

    async def send_signal(self, signum: int) -> None:
        """Send a signal; none to interrupt a kernel that is about to be ended, which would only say so."""
        if signum != signal.SIGINT or not getattr(self.parent, "shutting_down", False):
            await super().send_signal(signum)

    async def kill(self, restart: bool = False) -> None:
        """End the kernel at once, with what it started."""
        process: object = self.process
        if isinstance(process, Forked):
            process.kill()
        else:
            await super().kill(restart)


def _forked(command: Sequence[str], *, env: Mapping[str, str], cwd: str, memory: int) -> Forked | None:
    """A forked kernel; None where there is no warm process to be had: then the ordinary way.

    A process that was forked from the warm one is about to end with it. What it started now would be left behind.
    """
    warm: Warm | None = None
    try:
        warm = own_warm()
        return warm.kernel(command, env=env, cwd=cwd, memory=memory)
    except (OSError, EOFError):
        if warm is not None and warm.is_parent:
            raise RuntimeError("The process that kernels are forked from has ended.") from None
        return None


class _Counted(AsyncZMQSocketChannel):
    """What a kernel shows, up to a number of bytes; then `over` is awaited."""

    left: int
    over: Callable[[], Awaitable[None]]

    async def _recv(self, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]  # as in the class above
        parts = await self.socket.recv_multipart(**kwargs)
        self.left -= sum(map(len, parts))
        if self.left < 0:
            await self.over()
        _, message = self.session.feed_identities(parts)
        return self.session.deserialize(message)


class JobKernelManager(AsyncKernelManager):
    """Starts the kernel of one job: in its environment, and within its limits; `met` names the one that ended it."""

    environment = Dict(help="Variables besides those of this process.").tag(config=True)
    fork = Bool(True, help="Whether the kernel is forked where that can be.").tag(config=True)
    memory = Int(0, help="Bytes of data that the kernel may have; 0 for no limit.").tag(config=True)
    seconds = Float(0.0, help="Seconds after which the kernel is ended; 0 for no limit.").tag(config=True)
    output = Int(0, help="Bytes that the kernel may show; 0 for no limit.").tag(config=True)
    met = ""
    _end: asyncio.TimerHandle | None = None
    _spec: KernelSpec | None = None

    @property
    def kernel_spec(self) -> KernelSpec | None:
        """This Python's own kernel, whatever kernels are registered on this machine, and how it is started."""
        if self._spec is None:
            command = [sys.executable, "-m", _LAUNCHER, "-f", "{connection_file}"]
            self._spec = KernelSpec(argv=command, display_name="Python 3", language="python")
        return self._spec

    async def _async_pre_start_kernel(self, **kw: Any) -> tuple[list[str], dict[str, Any]]:
        # IPython's debugger would warn of breakpoints that nobody sets here. Where a person's own environment says how
        # matplotlib draws (a server exports MPLBACKEND=agg), a notebook's pictures would be missing from the report.
        given = {**(kw.get("env") or os.environ), "MPLBACKEND": _INLINE}
        kw["env"] = {"PYDEVD_DISABLE_FILE_VALIDATION": "1", **given, **self.environment}
        if self.provisioner is None:
            # Not by its name: where that is not registered, as in an installation older than it, every kernel would be
            # an ordinary one, and a run half as fast.
            self.kernel_id = self.kernel_id or kw.pop("kernel_id", str(uuid.uuid4()))
            self.provisioner = ForkProvisioner(
                kernel_id=self.kernel_id,
                kernel_spec=self.kernel_spec,
                parent=self,
                fork=self.fork,
                memory=self.memory,
            )
        command: tuple[list[str], dict[str, Any]] = await super()._async_pre_start_kernel(**kw)
        return command

    async def _async_post_start_kernel(self, **kw: Any) -> None:
        await super()._async_post_start_kernel(**kw)
        if self.seconds:
            self._end = asyncio.get_running_loop().call_later(self.seconds, self._stop, "time")

    async def _async_cleanup_resources(self, restart: bool = False) -> None:
        if self._end is not None:
            self._end.cancel()
        await super()._async_cleanup_resources(restart)

    cleanup_resources = _async_cleanup_resources

    def client(self, **kwargs: Any) -> Any:
        """Who speaks with the kernel; what it shows is counted, since it is held in memory here."""
        client: Any = super().client(**kwargs)
        if self.output:
            client.iopub_channel_class = type(
                "Counted", (_Counted,), {"left": self.output, "over": self._over}
            )
        return client

    async def _over(self) -> None:
        """End the kernel, and take nothing more of what it has shown until papermill notices."""
        self._stop("output")
        await asyncio.Event().wait()

    def _stop(self, limit: str) -> None:
        """End a kernel that has met a limit; papermill notices that it is gone."""
        type(self).met = limit
        process = getattr(self.provisioner, "process", None)
        if process is None:
            return
        if not isinstance(process, Forked) and hasattr(os, "killpg"):
            with contextlib.suppress(OSError):  # with what it started, as a forked one
                os.killpg(process.pid, signal.SIGKILL)
        process.kill()


def _forkable(command: Sequence[str]) -> bool:
    """Whether the command starts an IPython kernel of this very Python."""
    return list(command[1:3]) == ["-m", _LAUNCHER] and command[0] == sys.executable
