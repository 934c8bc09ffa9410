"""One notebook through papermill: in a kernel of its own, within limits, with everything volatile taken out.

In: a notebook, parameters, a folder to run in, limits. Out: the executed notebook. Never: a time, a path or a random
identifier in it; a limit that is met without a word on which cell met it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

import nbformat
import papermill
from nbclient.exceptions import DeadKernelError
from papermill.exceptions import PapermillExecutionError
from traitlets.config import Config

from ...errors import RunError
from ...store import scratch_folder
from ..limits import Limits
from .link import can_fork
from .provisioner import JobKernelManager

#: Seconds to wait for the outputs of a cell that has ended.
_PATIENCE = 60
#: What systems allow for the path of a socket, as far as a number is added to it (104 and 108 with the end, less one).
_LONGEST = 100
#: The file that IPython invents for a cell, which a warning names: its folder bears the number of the process.
_CELL_FILE = re.compile(r"[^\s'\"]*[/\\]ipykernel_\d+[/\\](\d+\.py)")
#: Bytes that a notebook may show: many times what a report does, and little beside the memory of a machine. What a
#: kernel shows is held by the process that waits for it, which no limit of the kernel's own memory reaches.
_MOST_SHOWN = 100_000_000
_OUT_OF_MEMORY = ("MemoryError", "_ArrayMemoryError", "ArrayMemoryError")


def run_notebook(
    notebook: Path,
    *,
    parameters: Mapping[str, object],
    folder: Path,
    environment: Mapping[str, str],
    limits: Limits,
) -> nbformat.NotebookNode:
    """Execute a notebook.

    Parameters
    ----------
    notebook : Path
    parameters : mapping
        For its cell tagged "parameters".
    folder : Path
        Where the kernel runs.
    environment : mapping of str to str
        Variables for the kernel, besides those of this process.
    limits : Limits

    Returns
    -------
    nbformat.NotebookNode
        Without times, paths and random identifiers.

    Raises
    ------
    RunError
        The kernel needed more memory or time than allowed, showed more than a page can hold, or died.
    papermill.exceptions.PapermillExecutionError
        A cell failed.
    """

    class Own(JobKernelManager):
        """Of this job alone, so that it can say why it ended."""

    with scratch_folder("mekeval-kernel-") as scratch:
        cells: list[str] = []
        manager = {
            # What the notebook leaves in its temporary folder goes with it, and not only when the run ends.
            "environment": {"TMPDIR": str(scratch), **environment},
            "fork": can_fork(limits.kernels),
            "memory": round(limits.memory * 1e9),
            "seconds": limits.seconds,
            "output": _MOST_SHOWN,
        }
        sockets = str(scratch / "kernel")
        if os.name != "nt" and len(os.fsencode(sockets)) <= _LONGEST:
            manager |= {
                "transport": "ipc",
                "ip": sockets,
            }  # instead of ports that anybody may call, with a key
        try:
            executed: nbformat.NotebookNode = papermill.execute_notebook(
                str(notebook),
                None,
                parameters=dict(parameters),
                kernel_name="python3",
                language="python",
                progress_bar=False,
                log_output=False,
                on_cell_start=lambda cell, cell_index: cells.append(str(cell.source)),
                kernel_manager_class=Own,
                # A kernel is done when its last cell is: nothing is gained by waiting until it takes leave.
                shutdown_kernel="immediate",
                # The outputs of a cell come on another channel than its end, and on a busy machine later. nbclient
                # would go on without them then, and a picture is missing from a report that looks whole.
                iopub_timeout=_PATIENCE,
                raise_on_iopub_timeout=True,
                # Not papermill's own `cwd`, which moves the whole process, and with it other threads.
                resources={"metadata": {"path": str(folder)}},
                config=Config(JobKernelManager=manager),
            )
        except PapermillExecutionError as cause:
            if limits.memory and cause.ename in _OUT_OF_MEMORY:
                raise _beyond("memory", f"{limits.memory:g} GB", cause.source) from None
            raise
        except RuntimeError as cause:
            cell = cells[-1] if cells else "(none was begun)"
            if Own.met == "time":
                raise _beyond("time", f"{limits.seconds:g} s", cell) from None
            if Own.met == "output":
                raise RunError(
                    f"The notebook shows more than a report may: {_MOST_SHOWN / 1e6:g} MB.\n\nin the cell:\n{cell}",
                    fix="Show less in this cell.",
                ) from None
            what = "The kernel died." if isinstance(cause, DeadKernelError) else str(cause)
            raise RunError(
                f"{what}\n\nin the cell:\n{cell}",
                fix="Often the memory was full: give the run fewer jobs at once, or the job more memory.",
            ) from None
    return _stable(executed)


def _beyond(what: str, limit: str, cell: str) -> RunError:
    return RunError(
        f"The notebook needs more {what} than it may have: {limit}.\n\nin the cell:\n{cell}",
        fix="Raise the limit (--memory, --time-limit), or mend the cell.",
    )


def _stable(executed: nbformat.NotebookNode) -> nbformat.NotebookNode:
    executed.metadata.pop("papermill", None)
    for number, cell in enumerate(executed.cells):
        cell.id = f"cell-{number}"
        for name in ("papermill", "execution"):
            cell.metadata.pop(name, None)
        for output in cell.get("outputs", []):
            if output.output_type == "stream":
                output.text = _CELL_FILE.sub(r"\1", output.text)
    return executed
