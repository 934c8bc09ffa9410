"""Runs that are killed or ended by a signal while real forked kernels work; the long form is the benchmark itself."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

BENCHMARK = Path(__file__).resolve().parents[2] / "benchmarks" / "run_faults.py"


def test_after_a_kill_a_resume_gives_the_same_bytes_and_nothing_is_left() -> None:
    done = subprocess.run(
        [sys.executable, str(BENCHMARK), "--quick", "--json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    rows = json.loads(done.stdout)
    assert {row["task"].partition(":")[0] for row in rows} == {
        "killed, without kernels",
        "killed, real kernels",
        "a signal while a kernel works",
    }
    assert [row["task"] for row in rows if row["ours"]] == [], done.stderr[-3000:]
