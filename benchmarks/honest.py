"""HonestDiD: relative magnitudes and smoothness, beside moderndid and diff-diff.

Relative magnitudes at four values of Mbar with 5 coefficients before entry and 2 after, intervals and, on our side,
the breakdown value as well; each package in a fresh process with one thread of linear algebra. Ours is the median of
five runs (three with --quick). moderndid runs once, with --quick at one value of Mbar, scaled up. The rows of
differences say that peers and we answer the same question: an interval found by inverting a test on a grid is held
against one and a half steps of it, a fixed-length interval against rounding. Peers live in an environment of their own
(`make bench-env`, or MEKEVAL_BENCH_PYTHON); without it their columns stay empty.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from inference import peers_python
from rows import Row, arguments, row, seconds, show

# The peers' environment need not hold mekeval, so functions that measure ours import it themselves.

OFTEN, QUICK = 5, 3
MBAR, M = (0.5, 1.0, 1.5, 2.0), (0.0, 0.01, 0.02, 0.03)
N_PRE, N_POST = 5, 2
TIMES = (-6, -5, -4, -3, -2, 0, 1)


def coefficients() -> tuple[np.ndarray, np.ndarray]:
    """Small differences before entry, an effect of five standard errors after it."""
    rng = np.random.default_rng(4)
    root = rng.normal(size=(N_PRE + N_POST, 40)) + rng.normal(size=40)
    covariance = 8e-5 * root @ root.T / 80
    estimates = rng.multivariate_normal(np.zeros(N_PRE + N_POST), covariance / 4)
    estimates[N_PRE:] += (0.045, 0.07)
    return estimates, covariance


def ours_relative(repeat: int) -> dict[str, float]:
    """Four values of Mbar, and the breakdown value."""
    from mekeval.sensitivity.honest import honest_bounds

    estimates, covariance = coefficients()
    found = honest_bounds(estimates, covariance, TIMES, sizes=MBAR)
    spent = seconds(lambda: honest_bounds(estimates, covariance, TIMES, sizes=MBAR), repeat=repeat)
    ends = {f"{name}{at}": float(found.table[name].iloc[at]) for name in ("low", "high") for at in range(4)}
    return {"seconds": spent, "se": found.se, **ends}


def moderndid_relative(repeat: int) -> dict[str, float]:
    """The same intervals, without a breakdown value."""
    from moderndid.didhonest.sensitivity import create_sensitivity_results_rm

    estimates, covariance = coefficients()
    shown = MBAR if repeat == OFTEN else MBAR[:1]
    result: list[object] = []

    def run() -> None:
        result.append(
            create_sensitivity_results_rm(estimates, covariance, N_PRE, N_POST, m_bar_vec=list(shown))
        )

    spent = seconds(run, repeat=1) * len(MBAR) / len(shown)
    table = result[0]
    low, high = (np.asarray(table[name]) for name in ("lb", "ub"))  # type: ignore[index]
    ends = {f"low{at}": float(one) for at, one in enumerate(low)}
    return {"seconds": spent, **ends, **{f"high{at}": float(one) for at, one in enumerate(high)}}


def ours_smooth(repeat: int) -> dict[str, float]:
    """Four fixed-length intervals, and the breakdown value."""
    from mekeval.sensitivity.honest import honest_bounds

    estimates, covariance = coefficients()

    def run() -> object:
        return honest_bounds(estimates, covariance, TIMES, restriction="smoothness", sizes=M)

    table = honest_bounds(estimates, covariance, TIMES, restriction="smoothness", sizes=M).table
    ends = {f"{name}{at}": float(table[name].iloc[at]) for name in ("low", "high") for at in range(4)}
    return {"seconds": seconds(run, repeat=repeat), **ends}


def diff_diff_smooth(repeat: int) -> dict[str, float]:
    """The same intervals of diff-diff's own solver, which its `HonestDiD` calls."""
    from diff_diff.honest_did import _compute_optimal_flci

    estimates, covariance = coefficients()
    weights = np.array([1.0, 0.0])

    def run() -> list[tuple[float, float]]:
        return [
            _compute_optimal_flci(
                estimates[:N_PRE], estimates[N_PRE:], covariance, weights, N_PRE, N_POST, size
            )
            for size in M
        ]

    ends = {
        f"{name}{at}": float(pair[side])
        for at, pair in enumerate(run())
        for side, name in enumerate(("low", "high"))
    }
    return {"seconds": seconds(run, repeat=repeat), **ends}


PARTS: dict[str, Callable[[int], dict[str, float]]] = {
    "ours_relative": ours_relative,
    "moderndid_relative": moderndid_relative,
    "ours_smooth": ours_smooth,
    "diff_diff_smooth": diff_diff_smooth,
}


def alone(part: str, repeat: int, *, python: str = sys.executable) -> dict[str, float]:
    """What a part measures in a process of its own."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
    done = subprocess.run(
        [python, __file__, "--part", part, str(repeat)],
        env={**os.environ, **threads},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{part} failed\n{done.stderr[-2000:]}")
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def peer(part: str, repeat: int, needs: str) -> dict[str, float]:
    """What a part measures in the peers' environment; empty where the package is missing there."""
    python = peers_python()
    found = python and subprocess.run([python, "-c", f"import {needs}"], capture_output=True, check=False)
    if not found or found.returncode:
        print(f"{part}: {needs} not found, see `make bench-env`", file=sys.stderr)
        return {}
    return alone(part, repeat, python=python)


def apart(ours: dict[str, float], theirs: dict[str, float]) -> float:
    """Largest difference of an end that both have."""
    return max(abs(ours[name] - value) for name, value in theirs.items() if name != "seconds")


def measure(*, quick: bool, raw: Path | None) -> list[Row]:
    """All rows of this benchmark."""
    del raw  # all data are made up
    repeat = QUICK if quick else OFTEN
    size = f"{N_PRE} before, {N_POST} after"
    ours, theirs = alone("ours_relative", repeat), peer("moderndid_relative", repeat, "moderndid.didhonest")
    rows = [
        row("relative magnitudes, four Mbar and breakdown", size, ours["seconds"], "s", at_most=2.5),
        row(
            "relative magnitudes, four Mbar" + (" (scaled from one)" if quick else ""),
            size,
            ours["seconds"],
            "s",
            peer="moderndid",
            peer_value=theirs.get("seconds"),
        ),
    ]
    if theirs:
        step = 40 * ours["se"] / 999
        gap = apart(ours, theirs) / step
        rows.append(
            row(
                "relative magnitudes: difference of the ends",
                size,
                gap,
                "grid steps",
                peer="moderndid",
                at_most=1.5,
            )
        )
    ours, theirs = alone("ours_smooth", repeat), peer("diff_diff_smooth", repeat, "diff_diff.honest_did")
    rows.append(
        row(
            "smoothness, four M and breakdown",
            size,
            ours["seconds"],
            "s",
            peer="diff-diff, without breakdown",
            peer_value=theirs.get("seconds"),
        )
    )
    if theirs:
        rows.append(
            row(
                "smoothness: difference of the ends",
                size,
                apart(ours, theirs),
                "y",
                peer="diff-diff",
                at_most=1e-6,
            )
        )
    return rows


if __name__ == "__main__":
    if sys.argv[1:2] == ["--part"]:
        warnings.simplefilter("ignore")  # of the peers; a part prints one line
        print(json.dumps(PARTS[sys.argv[2]](int(sys.argv[3]))))
    else:
        options = arguments(__doc__ or "")
        show(measure(quick=options.quick, raw=options.raw), as_json=options.json)
