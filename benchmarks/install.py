"""What `pip install mekeval` brings, without extras: packages and megabytes on disk, with bytecode.

The wheel is built and installed with the newest versions that are allowed, into a fresh environment without pip;
everything there is counted, mekeval too. Needs a package registry and uv (extra `release`).
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from rows import Row, arguments, row, show

ROOT = Path(__file__).resolve().parents[1]
UV = (sys.executable, "-m", "uv")


def done(command: list[str]) -> str:
    """What a command prints."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def measured() -> Iterator[Row]:
    """Build, install, count."""
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch) / "fresh"
        done([*UV, "build", "--wheel", "--out-dir", scratch, str(ROOT)])
        (wheel,) = Path(scratch).glob("*.whl")
        done([*UV, "venv", "--python", sys.executable, str(place)])
        python = str(place / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))
        done(
            [
                *UV,
                "pip",
                "install",
                "--python",
                python,
                "--link-mode",
                "copy",
                "--compile-bytecode",
                str(wheel),
            ]
        )
        packages = Path(
            done([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]).strip()
        )
        count = len(list(packages.glob("*.dist-info")))
        size = sum(path.stat().st_size for path in packages.rglob("*") if path.is_file()) / 1e6
    version = f"Python {sys.version_info.major}.{sys.version_info.minor}"
    yield row("installed packages", version, count, "packages", at_most=85)
    yield row("on disk, with bytecode", version, size, "MB", at_most=680)


if __name__ == "__main__":
    asked = arguments(__doc__ or "")
    show(list(measured()), as_json=asked.json)
