"""Notebooks executed by papermill in kernels that start in no time, within limits of memory and time.

In: a notebook, its parameters and limits. Out: the executed notebook. Never: a kernel that outlives its run, or shares
random numbers with another.

`warm` is the process from which kernels and workers are forked; `link` speaks with it; `provisioner` is what
jupyter_client knows of it (entry point `mekeval-fork`); `notebook` calls papermill. Where processes cannot be forked,
or `MEKEVAL_KERNELS` is "ordinary", kernels start as they always do.
"""

from __future__ import annotations

from ..limits import NO_LIMITS, Limits
from .link import Warm, can_fork, own_warm, start_warm
from .notebook import run_notebook

__all__ = ["NO_LIMITS", "Limits", "Warm", "can_fork", "own_warm", "run_notebook", "start_warm"]
