"""What jupyter_client knows of the warm process: a provisioner, and the manager that papermill is given.

The provisioner is registered as `mekeval-fork` in the group `jupyter_client.kernel_provisioners`; any kernelspec may
name it. Where nothing can be forked, or the kernel is none of this Python's, it starts an ordinary process.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import os
import signal
import sys
from collections.abc import Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning.local_provisioner import LocalProvisioner
from traitlets import Bool, Dict, Float, Int

from .link import Forked, can_fork, own_warm

NAME = "mekeval-fork"
_GROUP = "jupyter_client.kernel_provisioners"
_LAUNCHER = "ipykernel_launcher"


class ForkProvisioner(LocalProvisioner):
    """Starts a kernel as a fork of the warm process; everything else is as with an ordinary one."""

    fork = Bool(True, help="Whether to fork at all.").tag(config=True)
    memory = Int(0, help="Bytes of data that the kernel may have; 0 for no limit.").tag(config=True)

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Start the kernel."""
        if self.fork and can_fork() and _forkable(cmd):
            with contextlib.suppress(OSError, EOFError):  # no warm process to be had: the ordinary way
                cwd = str(kwargs.get("cwd") or Path.cwd())
                env = dict(kwargs.get("env") or os.environ)
                process = own_warm().kernel(cmd[2:], env=env, cwd=cwd, memory=self.memory)
                self.process = process  # type: ignore[assignment]
                self.pid = self.pgid = process.pid
                self.cwd = cwd
                return self.connection_info
        info = await super().launch_kernel(cmd, **kwargs)
        if self.memory and self.pid and sys.platform.startswith("linux"):
            import resource

            resource.prlimit(self.pid, resource.RLIMIT_DATA, (self.memory, self.memory))
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


class JobKernelManager(AsyncKernelManager):
    """Starts the kernel of one job: in its environment, and within its limits."""

    environment = Dict(help="Variables besides those of this process.").tag(config=True)
    fork = Bool(True, help="Whether the kernel is forked where that can be.").tag(config=True)
    memory = Int(0, help="Bytes of data that the kernel may have; 0 for no limit.").tag(config=True)
    seconds = Float(0.0, help="Seconds after which the kernel is ended; 0 for no limit.").tag(config=True)
    _end: asyncio.TimerHandle | None = None
    _spec: KernelSpec | None = None

    @property
    def kernel_spec(self) -> KernelSpec | None:
        """The kernelspec, with the provisioner in its metadata."""
        if self._spec is None:
            spec = super().kernel_spec
            if spec is None or not entry_points(group=_GROUP, name=NAME):
                return spec  # a checkout that was never installed
            config = {"fork": self.fork, "memory": self.memory}
            self._spec = copy.copy(spec)
            named = {"provisioner_name": NAME, "config": config}
            self._spec.metadata = {**spec.metadata, "kernel_provisioner": named}
        return self._spec

    async def _async_pre_start_kernel(self, **kw: Any) -> tuple[list[str], dict[str, Any]]:
        kw["env"] = {**(kw.get("env") or os.environ), **self.environment}
        command: tuple[list[str], dict[str, Any]] = await super()._async_pre_start_kernel(**kw)
        return command

    async def _async_post_start_kernel(self, **kw: Any) -> None:
        await super()._async_post_start_kernel(**kw)
        if self.seconds:
            self._end = asyncio.get_running_loop().call_later(self.seconds, self._stop)

    async def _async_cleanup_resources(self, restart: bool = False) -> None:
        if self._end is not None:
            self._end.cancel()
        await super()._async_cleanup_resources(restart)

    cleanup_resources = _async_cleanup_resources

    def _stop(self) -> None:
        """End a kernel whose time is over; papermill notices that it is gone."""
        process = getattr(self.provisioner, "process", None)
        if process is not None:
            process.kill()


def _forkable(command: Sequence[str]) -> bool:
    """Whether the command starts an IPython kernel of this very Python."""
    return list(command[1:3]) == ["-m", _LAUNCHER] and command[0] == sys.executable
