"""Where the notebooks and the example study lie, in the wheel or in the checkout, and which version this is.

In: parts of a path. Out: the path. Never: the folder that the user stands in.
"""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

from .errors import RunError

_PACKAGE = Path(__file__).resolve().parent


def shipped(*parts: str) -> Path:
    """A file or folder that travels with the package, for example ``shipped("notebooks")``."""
    for root in (_PACKAGE / "share", _PACKAGE.parent):
        path = root.joinpath(*parts)
        if path.exists():
            return path
    raise RunError(
        "A part of the installation is missing.", found="/".join(parts), fix="Install mekeval again."
    )


def example_study() -> Path:
    """The folder of the embedded study: Vantaa's programme on synthetic data."""
    return shipped("data", "vantaa-mek")


def version() -> str:
    """Version of the installed package; "0+source" where it runs from a checkout that was never installed."""
    try:
        return metadata.version("mekeval")
    except metadata.PackageNotFoundError:
        return "0+source"
