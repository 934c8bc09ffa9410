"""What the warm process loads, and uses once, so that no kernel and no worker does it again.

In: nothing. Out: caches that forks inherit: compiled templates, fonts, number forms. Never: what depends on a study,
on the user's language or on a random number.
"""

from __future__ import annotations

import contextlib
import importlib

import nbformat

from ... import report as report  # with all that reports are made with
from ...figures.picture import warm_up
from ...indicators.cache import code_checksum
from ...render.notebook import notebook_fragment
from ...text import LANGUAGES, Texts
from .. import prepared as prepared  # with the jobs
from . import notebook as notebook  # with papermill

#: What a kernel imports while it starts and while it shows its first results. One that another release of IPython does
#: not have is left out.
_KERNEL = (
    "IPython.core.completerlib",
    "IPython.core.debugger",
    "IPython.core.oinspect",
    "IPython.core.pylabtools",
    "IPython.extensions.storemagic",
    "ipykernel.debugger",
    "ipykernel.ipkernel",
    "ipykernel.kernelapp",
    "ipykernel.zmqshell",
)


def load() -> None:
    """Warm up what is slow on its first use; importing this module has loaded the rest."""
    for name in _KERNEL:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    content = [
        nbformat.v4.new_markdown_cell("# 0"),  # type: ignore[no-untyped-call]
        nbformat.v4.new_code_cell("0"),  # type: ignore[no-untyped-call]
    ]
    notebook_fragment(nbformat.v4.new_notebook(cells=content))  # type: ignore[no-untyped-call]
    warm_up()
    code_checksum()
    for language in LANGUAGES:
        Texts(language).number(0.5)
