"""Mutants of the code that decides: do the tests notice when one operator, number or word of it is another?

Mutmut makes the mutants and runs, for each, the tests that came through its function, until one fails. This works in a
copy of the checkout (build/mutants). Docstrings are left out of the copy: each mutant would have its own. So are
caches: what they hold from the tests before would answer in place of the mutant. A sample is drawn from a seed where
all are too many. What survives stands, as a difference, in build/mutants/survivors.diff, to be judged by hand in
docs/mutants.md: it changes nothing that can be seen, or a test is missing.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
WORK = ROOT / "build" / "mutants"
COPIED = ("tests", "data", "notebooks", "reference", "docs", "benchmarks", "conftest.py")

#: The test files that are about each part; which of their tests concern a function is found by running them once.
#: Not test_shown.py, which asks functions for their types: those of a mutant stand elsewhere.
TESTS = {
    "disclosure": ("disclosure", "disclosure_numbers", "disclosure_reading", "published"),
    "estimate": (
        "aggregate", "bacon", "callaway_santanna", "cross_sections", "differences", "estimate", "estimate_corners",
        "estimate_told", "heterogeneity", "imputation", "inputs", "regression", "regression_cases", "stacked",
        "switchers", "synthetic_control", "triple", "without_error",
    ),
    "findings": ("findings",),
    "inference": (
        "bands", "cluster_robust", "conformal", "inference", "inference_corners", "inference_refusals", "multiple",
        "power", "scaled", "wild",
    ),
}  # fmt: skip

CONFIG = """

[tool.mutmut]
source_paths = ["mekeval"]
only_mutate = {files}
also_copy = {copied}
pytest_add_cli_args = ["-q", "-p", "no:xdist", "-p", "no:cacheprovider"]
pytest_add_cli_args_test_selection = {tests}
track_dependencies = false
use_git_change_detection = false
timeout_multiplier = 4.0
timeout_constant = 10.0
"""


def to_be_mutated(source: str) -> str:
    """A module whose functions and methods have no docstrings and no caches; all else stays as it is written."""
    lines = source.splitlines(keepends=True)
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.FunctionDef):
            continue
        gone: list[ast.expr | ast.stmt] = [one for one in node.decorator_list if "cache" in ast.unparse(one)]
        if len(node.body) > 1 and ast.get_docstring(node) is not None:
            gone.append(node.body[0])
        for one in gone:
            first, last = one.lineno - 1, one.end_lineno or one.lineno
            lines[first:last] = ["\n"] * (last - first)
    return "".join(lines)


def prepare(names: list[str]) -> None:
    """A copy of the checkout that is set up for these modules or packages."""
    files = []
    for name in names:
        path = ROOT.joinpath(*name.split("."))
        files += sorted(path.glob("*.py")) if path.is_dir() else [path.with_suffix(".py")]
    parts = sorted({name.split(".")[1] for name in names})
    tests = [f"tests/test_{stem}.py" for part in parts for stem in TESTS[part]]
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    for name in ("mekeval", *COPIED):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, WORK / name)
    relative = [path.relative_to(ROOT) for path in files]
    for path in relative:
        (WORK / path).write_text(to_be_mutated((ROOT / path).read_text("utf-8")), "utf-8")
    config = CONFIG.format(
        files=json.dumps([path.as_posix() for path in relative]),
        copied=json.dumps(list(COPIED)),
        tests=json.dumps(tests),
    )
    (WORK / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text("utf-8") + config, "utf-8")


def mutmut(*words: str) -> str:
    """What a command of mutmut says."""
    own = {"MEKEVAL_TEST_DATA": str(ROOT.parent / "shared" / "data"), "OMP_NUM_THREADS": "1"}
    command = [str(Path(sys.executable).with_name("mutmut")), *words]
    done = subprocess.run(
        command,
        cwd=WORK,
        env=own | os.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.stdout


def only_quick_tests(longest: float) -> None:
    """Leave out the tests that take long: what a simulation may notice is to be noticed by a number known exactly."""
    path = WORK / "mutants" / "mutmut-stats.json"
    held = json.loads(path.read_text("utf-8"))
    slow = {name for name, seconds in held["duration_by_test"].items() if seconds > longest}
    of_function = held["tests_by_mangled_function_name"]
    held["tests_by_mangled_function_name"] = {
        name: [test for test in tests if test not in slow] for name, tests in of_function.items()
    }
    path.write_text(json.dumps(held), "utf-8")


def mutants() -> dict[str, str]:
    """What became of each mutant."""
    lines = (line.strip().rpartition(": ") for line in mutmut("results", "--all", "true").splitlines())
    return {name: state for name, _, state in lines if "__mutmut_" in name}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "names", nargs="+", help="modules or packages: mekeval.findings, mekeval.estimate, ..."
    )
    parser.add_argument("--sample", type=int, default=0, help="so many at random; all where it is 0")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--longest", type=float, default=3.0, help="seconds; longer tests are not run")
    options = parser.parse_args()
    prepare(options.names)
    # No mutant has this name: they are made, and the tests run once, to learn which concern which function.
    said = mutmut("run", "--max-children", str(options.jobs), "none")
    names = sorted(mutants())
    if not names or "nothing matches" not in said:
        sys.exit(said[-3000:])
    only_quick_tests(options.longest)
    chosen = names
    if 0 < options.sample < len(names):
        rng = np.random.default_rng(options.seed)
        chosen = [names[at] for at in sorted(rng.choice(len(names), size=options.sample, replace=False))]
    mutmut("run", "--max-children", str(options.jobs), *chosen)
    states = mutants()
    left = [name for name in chosen if states[name] not in ("killed", "timeout")]
    (WORK / "survivors.diff").write_text("\n".join(mutmut("show", name) for name in left), "utf-8")
    print("| module | mutants | tried | killed | survived | no test | other |\n|---|--:|--:|--:|--:|--:|--:|")
    modules = sorted({name.rpartition(".")[0] for name in chosen})
    for module in modules:
        every = sum(name.rpartition(".")[0] == module for name in names)
        found = Counter(states[name] for name in chosen if name.rpartition(".")[0] == module)
        found["killed"] += found.pop("timeout", 0)  # an endless loop is noticed
        counts = [found[state] for state in ("killed", "survived", "no tests")]
        print(f"| {module} | {every} | {found.total()} | " + " | ".join(map(str, counts)), end="")
        print(f" | {found.total() - sum(counts)} |")
    print(f"\nTo be judged: {(WORK / 'survivors.diff').relative_to(ROOT)}")


if __name__ == "__main__":
    main()
