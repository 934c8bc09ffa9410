"""Run all benchmarks and write their tables to docs/benchmarks.md.

Each runs in a process of its own, started from this small one: Linux hands the peak memory of a parent on to its child.
Its section is written when it is measured, so that one that fails costs nothing; sections that are not asked for stay.
"""

from __future__ import annotations

import argparse
import ast
import json
import platform
import re
import subprocess
import sys
from datetime import date
from importlib import metadata
from pathlib import Path

from rows import Row, markdown

HERE = Path(__file__).resolve().parent
TARGET = HERE.parent / "docs" / "benchmarks.md"
#: These print their own tables.
OWN_TABLE = ("calibration", "first_wave")
#: These need the real data, and these take none.
REAL = (*OWN_TABLE, "national")
WITHOUT = ("run_faults", "run_file_faults")
#: In the order of the page.
NAMES = (
    *OWN_TABLE,
    "estimators",
    "inference",
    "honest",
    "apart",
    "checks",
    "cleaning",
    "px",
    "faults",
    "register",
    "runs",
    "run_faults",
    "run_file_faults",
    "national",
    "exploring",
    "pages",
    "install",
)
INTRODUCTION = "A ratio is ours / peer's, smaller is faster. Rows that miss their goal stay."


def sections() -> dict[str, str]:
    """The page as it is, by section."""
    if not TARGET.exists():
        return {}
    parts = re.split(r"^## (\w+)\n", TARGET.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {name: text.strip() for name, text in zip(parts[1::2], parts[2::2], strict=True)}


def measured(name: str, *, raw: Path | None, quick: bool) -> str:
    """Docstring and table of one benchmark."""
    script = HERE / f"{name}.py"
    about = ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))) or ""
    if name in REAL and raw is None:
        return f"{about}\n\nNeeds the real data: `make bench RAW=DIR`."
    command = [sys.executable, str(script), *(() if name in OWN_TABLE else ("--json",))]
    command += ["--quick"] if quick and name != "first_wave" else []
    command += ["--raw", str(raw)] if raw and name not in WITHOUT else []
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    table = done.stdout.strip()
    if name not in OWN_TABLE:
        table = markdown([Row(**one) for one in json.loads(table)])
    return f"{about}\n\n{table}"


def page(found: dict[str, str]) -> str:
    """The whole page."""
    packages = ", ".join(f"{name} {metadata.version(name)}" for name in ("numpy", "pandas", "papermill"))
    head = f"Written by `make bench` on {date.today().isoformat()}: Python {platform.python_version()}, {packages}."
    parts = ["# Benchmarks", head, INTRODUCTION]
    parts += [f"## {name}\n\n{found[name]}" for name in NAMES if name in found]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="each ends in under 60 s")
    parser.add_argument("--raw", type=Path, help="folder of the real raw data")
    parser.add_argument("--only", default=",".join(NAMES), help="names, with commas; the other sections stay")
    options = parser.parse_args()
    for name in options.only.split(","):
        found = sections()
        found[name] = measured(name, raw=options.raw, quick=options.quick)
        TARGET.write_text(page(found), encoding="utf-8")
        print(name)
