"""Write docs/methods.md from the docstrings of the estimators and from the tests that hold them against references."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd

from mekeval import rule_placebo
from mekeval.estimate import ESTIMATORS, bacon_decomposition, synthetic_placebos

ROOT = Path(__file__).resolve().parents[1]
OTHERS: dict[str, Callable[..., object]] = {
    "bacon_decomposition": bacon_decomposition,
    "synthetic_placebos": synthetic_placebos,
    "rule_placebo": rule_placebo,
}


def sections(doc: str) -> dict[str, str]:
    """The parts of a numpydoc docstring; the text before the first heading is "Summary"."""
    parts: dict[str, list[str]] = {"Summary": []}
    name, lines = "Summary", doc.splitlines()
    for at, line in enumerate(lines):
        underlined = at + 1 < len(lines) and re.fullmatch(r"-{3,}", lines[at + 1].strip())
        if underlined:
            name = line.strip()
            parts[name] = []
        elif not re.fullmatch(r"-{3,}", line.strip()):
            parts[name].append(line)
    return {name: "\n".join(body).strip() for name, body in parts.items()}


def references(function: str) -> Iterator[str]:
    """Test files that name a function, with the R cases and the tolerance that stand in them."""
    cases = sorted(set(pd.read_csv(ROOT / "reference" / "r_reference.csv")["case"]))
    for path in sorted((ROOT / "tests").glob("test_*.py")):
        text = path.read_text(encoding="utf-8")
        called = {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}
        if function not in called:
            continue
        used = [case for case in cases if case in text]
        tolerance = re.search(r"^[A-Z_]*TOLERANCE[A-Z_]* = (\S+)", text, flags=re.MULTILINE)
        where = f"`tests/{path.name}`"
        if used:
            where += ": R cases " + ", ".join(f"`{case}`" for case in used)
        if tolerance:
            where += f", to {tolerance.group(1)}"
        yield where


def page() -> str:
    """The whole registry."""
    parts = [
        "# Methods",
        "Written by `docs/write_methods.py` from the docstrings and the tests; do not edit. One signature for every "
        "estimator: `name(panel, design, *, outcome, ...) -> Effects`; aggregate with `aggregate(effects, by=...)`, "
        "test with `infer`.",
    ]
    for name, function in {**ESTIMATORS, **OTHERS}.items():
        doc = sections(inspect.getdoc(function) or "")
        parts += [f"## {name}", f"`{name}{inspect.signature(function)}`", doc["Summary"]]
        for title in ("Notes", "Raises", "References"):
            if doc.get(title):
                parts += [f"**{title}**", doc[title]]
        held = list(references(getattr(function, "__name__", name)))
        if held:
            parts.append("**Tests that use it**, with the R cases that stand in the same file")
            parts.append("\n".join(f"- {line}" for line in held))
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    (ROOT / "docs" / "methods.md").write_text(page(), encoding="utf-8")
    print("docs/methods.md")
