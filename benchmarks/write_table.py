"""Run all benchmarks and write their tables to docs/benchmarks.md."""

from __future__ import annotations

import platform
from datetime import date
from importlib import metadata
from pathlib import Path

import calibration
import cleaning
import estimators
import first_wave
import inference
import px
import register
import runs
from rows import arguments, markdown

if __name__ == "__main__":
    options = arguments(__doc__ or "")
    packages = ", ".join(
        f"{name} {metadata.version(name)}" for name in ("numpy", "pandas", "papermill", "nbconvert")
    )
    parts = [
        "# Benchmarks",
        f"Written by `make bench` on {date.today().isoformat()}: Python {platform.python_version()}, {packages}.",
        "A ratio is ours / peer's, smaller is faster. Rows that miss their goal stay.",
    ]
    for module in (estimators, inference, runs, cleaning, px, register):
        parts += [
            f"## {module.__name__}",
            (module.__doc__ or "").strip(),
            markdown(module.measure(quick=options.quick, raw=options.raw)),
        ]
    if options.raw is not None:
        rows = calibration.measure(quick=options.quick, raw=options.raw)
        parts += ["## calibration", (calibration.__doc__ or "").strip(), calibration.summary(rows)]
        parts += ["## first wave, real data", first_wave.markdown(first_wave.first_wave(options.raw))]
    else:
        parts += ["## calibration", "Needs the real data: `python benchmarks/write_table.py --raw DIR`."]
    target = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"
    target.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    print(target.name)
