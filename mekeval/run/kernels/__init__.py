"""Notebooks executed by papermill in kernels that start in no time, within limits of memory and time.

In: a notebook, its parameters and limits. Out: the executed notebook. Never: a kernel that outlives its run, or shares
random numbers with another.

`warm` is the process from which kernels and workers are forked; `link` speaks with it; `provisioner` is what
jupyter_client knows of it (entry point `mekeval-fork`); `notebook` calls papermill. Where processes cannot be forked,
or `MEKEVAL_KERNELS` is "ordinary", kernels start as they always do.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from ..limits import NO_LIMITS, Limits
from .link import Warm, can_fork, own_warm, start_warm

if TYPE_CHECKING:
    from .notebook import run_notebook

__all__ = ["NO_LIMITS", "Limits", "Warm", "can_fork", "own_warm", "run_notebook", "start_warm"]


def __getattr__(name: str) -> object:
    if name == "run_notebook":  # papermill, which only a process that executes a notebook itself needs
        return import_module(f"{__name__}.notebook").run_notebook
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
