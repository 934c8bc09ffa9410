"""Inference: permutation, wild cluster bootstrap and rule placebo, beside diff-diff and pyfixest.

Each figure is the median of five runs (three with --quick) in a fresh process with one thread of linear algebra. A run
starts from the panel, so ours includes the estimate, while pyfixest's regression is fitted before its clock starts.
diff-diff permutes one wave only and fits a regression for each draw: it is run with fewer draws and scaled up. The rows
of p-values say that peers and we answer the same question: their difference is held against four Monte Carlo errors.
Peers live in an environment of their own (`make bench-env`, or MEKEVAL_BENCH_PYTHON); without it their columns stay
empty.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from rows import Row, arguments, peak_megabytes, row, seconds, show

# The peers' environment need not hold mekeval, so functions that measure ours import it themselves.

OFTEN, QUICK = 5, 3
DRAWS = 9_999
N_UNITS, N_PERIODS, FIRST, SECOND = 60, 15, 8, 11
TREATED, LATER = 6, 3
SCALED_FROM = {OFTEN: 299, QUICK: 99}  # draws of diff-diff


def panel_60(*, treated: int, effect: float = 0.5) -> pd.DataFrame:
    """60 units, 15 periods, the first units treated from the period FIRST on."""
    rng = np.random.default_rng(1)
    y = 0.3 * rng.normal(size=(N_UNITS, N_PERIODS)).cumsum(axis=1) + rng.normal(size=(N_UNITS, N_PERIODS))
    unit, period = np.divmod(np.arange(N_UNITS * N_PERIODS), N_PERIODS)
    on = (unit < treated) & (period >= FIRST)
    return pd.DataFrame(
        {
            "unit": unit,
            "period": period,
            "y": y.ravel() + effect * on,
            "d": on.astype(float),
            "treated": (unit < treated).astype(int),
            "post": (period >= FIRST).astype(int),
        }
    )


def all_sets(repeat: int) -> dict[str, float]:
    """Every set of 5 of 61 units."""
    from mekeval import build_panel, infer, make_design

    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"u": np.repeat(np.arange(61), 8), "t": np.tile(np.arange(8), 61)})
    frame["y"] = rng.normal(size=len(frame))
    panel = build_panel(frame, unit="u", period="t", outcome=["y"])
    design = make_design(panel.units, [(5, 7, panel.units[:5])])
    found = infer(panel, design, outcome="y", method="permutation")
    if found.n_sets != math.comb(61, 5) or not found.exact:
        raise SystemExit(f"{found.n_sets} sets, not all of them")
    spent = seconds(lambda: infer(panel, design, outcome="y", method="permutation"), repeat=repeat)
    return {"seconds": spent, "megabytes": peak_megabytes()}


def two_waves(repeat: int) -> dict[str, float]:
    """Drawn sets that keep two waves' timing."""
    from mekeval import build_panel, infer, make_design

    panel = build_panel(panel_60(treated=TREATED), unit="unit", period="period", outcome=["y"])
    waves = [
        (FIRST, N_PERIODS - 1, panel.units[:TREATED]),
        (SECOND, N_PERIODS - 1, panel.units[TREATED : TREATED + LATER]),
    ]
    design = make_design(panel.units, waves)
    seeds = iter(range(1, 1_000))  # a seed of its own for each run: nothing is kept from the last one

    def run() -> None:
        infer(panel, design, outcome="y", method="permutation", draws=DRAWS, seed=next(seeds))

    run()
    return {"seconds": seconds(run, repeat=repeat)}


def one_wave(repeat: int) -> dict[str, float]:
    """The permutation test that diff-diff has too; nothing is timed."""
    del repeat
    from mekeval import build_panel, infer, make_design

    panel = build_panel(panel_60(treated=TREATED), unit="unit", period="period", outcome=["y"])
    design = make_design(panel.units, [(FIRST, N_PERIODS - 1, panel.units[:TREATED])])
    found = infer(panel, design, outcome="y", method="permutation", draws=DRAWS)
    return {"estimate": found.estimate, "p_value": found.p_value}


def diff_diff_permutation(repeat: int) -> dict[str, float]:
    """diff-diff's permutation of one wave, seconds scaled to as many draws."""
    from diff_diff.diagnostics import permutation_test

    frame = panel_60(treated=TREATED)

    most = SCALED_FROM[repeat]

    def run(draws: int = most) -> object:
        return permutation_test(
            frame,
            outcome="y",
            treatment="treated",
            post="post",
            unit="unit",
            n_permutations=draws,
            seed=1,
        )

    run(9)
    spent = seconds(run, repeat=repeat)
    found = run()
    return {
        "seconds": spent * DRAWS / most,
        "estimate": float(found.original_effect),  # type: ignore[attr-defined]
        "p_value": float(found.p_value),  # type: ignore[attr-defined]
    }


def wild(repeat: int, *, restricted: bool) -> dict[str, float]:
    """The wild cluster bootstrap, regression and interval included."""
    from mekeval import build_panel, make_design
    from mekeval.inference.wild import wild_cluster_bootstrap

    panel = build_panel(panel_60(treated=20, effect=0.1), unit="unit", period="period", outcome=["y"])
    design = make_design(panel.units, [(FIRST, N_PERIODS - 1, panel.units[:20])])

    def run() -> float:
        return wild_cluster_bootstrap(
            panel, design, outcome="y", restricted=restricted, draws=DRAWS, seed=1
        ).p_value

    return {"p_value": run(), "seconds": seconds(run, repeat=repeat)}


def pyfixest_wild(repeat: int, *, restricted: bool) -> dict[str, float]:
    """pyfixest's wildboottest, its regression fitted beforehand."""
    import pyfixest
    import wildboottest  # noqa: F401  (pyfixest finds out too late that it is missing)

    fit = pyfixest.feols(
        "y ~ d | unit + period", data=panel_60(treated=20, effect=0.1), vcov={"CRV1": "unit"}
    )

    def run() -> float:
        return float(fit.wildboottest(param="d", reps=DRAWS, seed=1, impose_null=restricted)["Pr(>|t|)"])

    return {"p_value": run(), "seconds": seconds(run, repeat=repeat)}


def rule(repeat: int) -> dict[str, float]:
    """The rule placebo of ten outcomes over 100 reference cities of 36 areas."""
    from mekeval import build_panel, rule_placebo
    from mekeval.design import Rule

    rng = np.random.default_rng(5)
    years, cities, per_city, outcomes = (1, 2, 3, 4, 5), 101, 36, [f"y{at}" for at in range(10)]
    n_areas = cities * per_city
    areas = [f"{at // per_city:03d}-{at % per_city:02d}" for at in range(n_areas)]
    frame = pd.DataFrame({"area": areas * len(years), "year": np.repeat(years, n_areas)})
    people = rng.integers(500, 15_000, n_areas).astype(float)
    frame["people"] = np.tile(people, len(years))
    for name in outcomes:
        noise = rng.normal(size=(len(years), n_areas)) * np.sqrt(0.2 + 1_300 / people)
        frame[name] = (rng.normal(15, 4, n_areas) + noise).ravel()
    panel = build_panel(frame, outcome=[*outcomes, "people"])
    base = frame[(frame["year"] == 3) & frame["area"].str.startswith("000-")]
    worst = base.nlargest(5, outcomes[0])["area"].tolist()
    city_of = {area: area[:3] for area in areas}

    def run() -> int:
        return min(
            len(
                rule_placebo(
                    panel,
                    Rule(criteria={outcomes[0]: 3}, choose=5),
                    outcome=name,
                    pre=(1, 2, 3),
                    post=(4, 5),
                    city_of=city_of,
                    target="000",
                    treated=worst,
                    population="people",
                ).cities
            )
            for name in outcomes
        )

    if run() != cities:
        raise SystemExit("not every city entered")
    return {"seconds": seconds(run, repeat=repeat)}


PARTS: dict[str, Callable[[int], dict[str, float]]] = {
    "all_sets": all_sets,
    "two_waves": two_waves,
    "one_wave": one_wave,
    "diff_diff_permutation": diff_diff_permutation,
    "wild": lambda repeat: wild(repeat, restricted=True),
    "wild_unrestricted": lambda repeat: wild(repeat, restricted=False),
    "pyfixest_wild": lambda repeat: pyfixest_wild(repeat, restricted=True),
    "pyfixest_wild_unrestricted": lambda repeat: pyfixest_wild(repeat, restricted=False),
    "rule": rule,
}


def alone(part: str, repeat: int, *, python: str = sys.executable) -> dict[str, float]:
    """What a part measures in a process of its own."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
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


def peers_python() -> str:
    """The interpreter of the peers' environment, empty where there is none."""
    beside = Path(__file__).resolve().parents[1] / ".venv-bench" / "bin" / "python"
    python = os.environ.get("MEKEVAL_BENCH_PYTHON", str(beside))
    return python if Path(python).is_file() else ""


def peer(part: str, repeat: int, *needs: str) -> dict[str, float]:
    """What a part measures in the peers' environment; empty where a package is missing there."""
    python = peers_python()
    found = python and subprocess.run(
        [python, "-c", "import " + ", ".join(needs)], capture_output=True, check=False
    )
    if not found or found.returncode:
        print(f"{part}: {', '.join(needs)} not found, see `make bench-env`", file=sys.stderr)
        return {}
    return alone(part, repeat, python=python)


def same_p_value(task: str, size: str, ours: float, theirs: float, name: str, draws: tuple[int, int]) -> Row:
    """A row that holds the difference of two drawn p-values against four Monte Carlo errors."""
    middle = (ours + theirs) / 2
    error = math.sqrt(middle * (1 - middle) * sum(1 / one for one in draws))
    return row(task, size, abs(ours - theirs), "p", peer=name, at_most=round(4 * error, 4))


def measure(*, quick: bool, raw: Path | None) -> list[Row]:
    """All rows of this benchmark."""
    del raw  # all data are made up
    repeat = QUICK if quick else OFTEN
    sets = alone("all_sets", repeat)
    size = f"{math.comb(61, 5):,} sets"
    rows = [
        row("all treated sets of 5 of 61", size, sets["seconds"], "s", at_most=1),
        row("all treated sets of 5 of 61, peak memory", size, sets["megabytes"], "MB", at_most=300),
    ]
    panel = f"{DRAWS:,} draws, {N_UNITS} x {N_PERIODS}"
    waves, wave = alone("two_waves", repeat)["seconds"], alone("one_wave", repeat)
    theirs = peer("diff_diff_permutation", repeat, "diff_diff")
    rows += [
        row("permutation of two waves", panel, 1_000 * waves, "ms", at_most=25),
        row(
            f"permutation of two waves, diff-diff of one (scaled from {SCALED_FROM[repeat]} draws)",
            panel,
            waves,
            "s",
            peer="diff-diff",
            peer_value=theirs.get("seconds"),
            ratio_at_most=1 / 300,
        ),
    ]
    if theirs:
        rows += [
            row(
                "permutation of one wave: difference of the estimates",
                panel,
                abs(wave["estimate"] - theirs["estimate"]),
                "y",
                peer="diff-diff",
                at_most=1e-9,
            ),
            same_p_value(
                "permutation of one wave: difference of the p-values",
                panel,
                wave["p_value"],
                theirs["p_value"],
                "diff-diff",
                (DRAWS, SCALED_FROM[repeat]),
            ),
        ]
    for part, name in (("wild", "null imposed"), ("wild_unrestricted", "null not imposed")):
        ours, theirs = alone(part, repeat), peer(f"pyfixest_{part}", repeat, "pyfixest", "wildboottest")
        task = f"wild cluster bootstrap, {name}"
        rows.append(
            row(
                task,
                panel,
                ours["seconds"],
                "s",
                peer="pyfixest",
                peer_value=theirs.get("seconds"),
                ratio_at_most=0.3,
            )
        )
        if theirs:
            rows.append(
                same_p_value(
                    f"{task}: difference of the p-values",
                    panel,
                    ours["p_value"],
                    theirs["p_value"],
                    "pyfixest",
                    (DRAWS, DRAWS),
                )
            )
    rows.append(
        row(
            "rule placebo",
            "10 outcomes, 100 reference cities",
            alone("rule", repeat)["seconds"],
            "s",
            at_most=1,
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
