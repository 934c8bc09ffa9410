"""Write docs/methods.md: what each estimator is, from its docstring, and its figures beside those of R.

The docstring gives the words: summary and equation, the labelled lines of its Notes, errors and references. The figures
come from `CASES` in tests/reference_cases.py, which the tests use too; they need the reference data that lie beside the
checkout. Where those are not, the tables of the page that is there are kept.
"""

from __future__ import annotations

import ast
import inspect
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path

from mekeval import estimate, rule_placebo
from mekeval.estimate import ESTIMATORS

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))
from reference_cases import CASES, TOLERANCE, Case, figures_of_r, study  # noqa: E402

PAGE = ROOT / "docs" / "methods.md"
LABELS = ("Estimand", "Assumptions", "Standard error", "Edge cases", "Not covered")
#: Functions of a panel and a design that are a view of an estimator above, not one of their own.
COMPANIONS = ("covariate_coefficients", "imputation_pretrend_test", "synthetic_fit")
#: What is no estimator of a panel and a design and stands here all the same.
BESIDES: Mapping[str, Callable[..., object]] = {"rule_placebo": rule_placebo}
INTRODUCTION = """# Methods

Every method with what it estimates, what it assumes, what it does not cover, its source, and every figure of R that the
tests compare with ours, to 1e-7 (R's are rounded to eight digits). One signature for every estimator,
`name(panel, design, *, outcome, ...) -> Effects`; average with `aggregate(effects, by=...)`, test with `infer`. A
standard error here is what the source of a method defines: with few treated units it is too small whatever the method
([why](explanation/few_treated_districts.md)), and for one it does not exist. `make methods` writes this page from the
docstrings and from `tests/reference_cases.py`."""


def registry() -> dict[str, Callable[..., object]]:
    """Estimators by name, then what else takes a panel and a design, then the rule placebo."""
    named = {function: name for name, function in ESTIMATORS.items()}
    functions: dict[str, Callable[..., object]] = dict(ESTIMATORS)
    for name in estimate.__all__:
        function = getattr(estimate, name)
        if not inspect.isfunction(function) or name in COMPANIONS or function in named:
            continue
        # Several estimators side by side are no method of their own.
        own = list(inspect.signature(function).parameters)
        if own[:2] == ["panel", "design"] and "estimators" not in own:
            functions[name] = function
    return {**functions, **BESIDES}


def sections(doc: str) -> dict[str, str]:
    """The parts of a numpydoc docstring; the text before the first heading is "Summary"."""
    parts: dict[str, list[str]] = {"Summary": []}
    name, lines = "Summary", doc.splitlines()
    for at, line in enumerate(lines):
        if at + 1 < len(lines) and line.strip() and re.fullmatch(r"-{3,}", lines[at + 1].strip()):
            name = line.strip()
            parts[name] = []
        elif not re.fullmatch(r"-{3,}", line.strip()):
            parts[name].append(line)
    return {name: "\n".join(body).strip() for name, body in parts.items()}


def labelled(notes: str) -> tuple[dict[str, str], str]:
    """The labelled lines of a docstring's Notes, and what else stands there.

    A line may have several labels, and goes on to the next label or empty line.
    """
    found: dict[str, list[str]] = {}
    rest: list[str] = []
    named: list[str] = []
    any_label = "|".join(LABELS)
    for line in notes.splitlines():
        match = re.match(rf"((?:{any_label})(?:, (?:{any_label}))*): (.*)", line)
        if match:
            named = match.group(1).split(", ")
            if twice := [name for name in named if name in found]:
                raise ValueError(f"{', '.join(twice)} stands there twice: {line.strip()}")
            found |= {name: [match.group(2).strip()] for name in named}
        elif not line.strip():
            named = []
            rest.append("")
        elif named:
            for name in named:
                found[name].append(line.strip())
        else:
            rest.append(line)
    return {name: " ".join(lines) for name, lines in found.items()}, "\n".join(rest).strip()


def markdown(text: str) -> str:
    """A docstring's text as Markdown: equations between dollars, the exceptions of Raises as a list."""
    lines: list[str] = []
    equation: list[str] | None = None
    for line in [*text.splitlines(), ""]:
        if equation is not None and (line.startswith(" ") or not line.strip()):
            equation.append(line.strip())
            if not line.strip() and any(equation):
                lines += ["$$", *filter(None, equation), "$$", ""]
                equation = None
        elif line.strip().startswith(".. math::"):
            equation = [line.strip().removeprefix(".. math::").strip()]
        elif re.fullmatch(r"\w+Error(, \w+Error)*", line):
            lines.append(f"- `{line}`:")
        else:
            lines.append(line)
    return re.sub(r":math:`([^`]*)`", r"$\1$", "\n".join(lines)).strip()


def signature(name: str, function: Callable[..., object]) -> str:
    """The call in its shortest form: names and defaults."""
    parts = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and "*" not in parts:
            parts.append("*")
        default = "" if parameter.default is parameter.empty else f"={parameter.default!r}"
        parts.append(parameter.name + default)
    return f"{getattr(function, '__name__', name)}({', '.join(parts)})"


@cache
def names_used() -> dict[str, frozenset[str]]:
    """The names that each test file uses."""
    return {
        path.name: frozenset(
            node.id
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Name)
        )
        for path in sorted((ROOT / "tests").glob("test_*.py"))
    }


def rows(case: Case, folder: Path) -> Iterator[tuple[str, str, float, float]]:
    """Quantity, what of it, R's figure and ours, for every figure that a case compares."""
    expected = figures_of_r().loc[case.case]
    for quantity, (estimated, error) in case.answer(*study(folder, case.data)).items():
        if quantity not in expected.index:
            continue
        for kind, column, ours in (("estimate", "estimate", estimated), ("standard error", "se", error)):
            if ours is not None:
                yield quantity, kind, float(expected.loc[quantity, column]), float(ours)


def table(case: Case, folder: Path) -> str:
    """The figures of a case as a table."""
    lines = ["| quantity | | R | here | difference |", "| --- | --- | ---: | ---: | ---: |"]
    for quantity, kind, theirs, ours in rows(case, folder):
        lines.append(f"| {quantity} | {kind} | {theirs:.8f} | {ours:.8f} | {abs(ours - theirs):.0e} |")
    return "\n".join(lines)


def key(case: Case) -> str:
    """How the page marks where the figures of a case stand."""
    return f"{case.estimator}, {case.case}"


def marked(name: str, body: str) -> str:
    return f"<!-- figures: {name} -->\n\n{body}\n\n<!-- end -->"


def kept(page: str) -> dict[str, str]:
    """The tables of a page, by their mark."""
    return dict(re.findall(r"<!-- figures: (.*?) -->\n\n(.*?)\n\n<!-- end -->", page, flags=re.DOTALL))


def figures(folder: Path | None, before: str) -> dict[str, str]:
    """The tables of all cases: computed where the data are, else those of the page before."""
    old = kept(before)
    return {
        key(case): table(case, folder)
        if folder is not None
        else old.get(key(case), "*Needs the reference data beside the checkout.*")
        for case in CASES
    }


def entry(name: str, function: Callable[..., object], tables: Mapping[str, str]) -> str:
    """What the page says of one function."""
    doc = sections(inspect.getdoc(function) or "")
    lines, rest = labelled(doc.get("Notes", ""))
    parts = [f"## {name}", f"`{signature(name, function)}`", markdown(doc["Summary"])]
    parts.append(
        "\n".join(
            f"- **{label}**: {markdown(lines[label][:1].upper() + lines[label][1:])}"
            for label in LABELS
            if label in lines
        )
    )
    parts.append(markdown(rest))
    for title in ("Raises", "References"):
        if doc.get(title):
            parts += [f"**{'Source' if title == 'References' else title}**", markdown(doc[title])]
    for case in CASES:
        if case.estimator == name:
            why = f" Estimates only: {case.why}." if case.why else ""
            parts.append(f"**{case.source}**, case `{case.case}`, to {TOLERANCE:g}: `{case.call}`.{why}")
            parts.append(marked(key(case), tables[key(case)]))
    called = getattr(function, "__name__", name)
    held = ", ".join(f"`tests/{file}`" for file, names in names_used().items() if called in names)
    parts.append(f"**Tests**: {held}" if held else "")
    return "\n\n".join(part for part in parts if part)


def text(tables: Mapping[str, str]) -> str:
    """The whole page."""
    entries = [entry(name, function, tables) for name, function in registry().items()]
    return "\n\n".join([INTRODUCTION, *entries]) + "\n"


def data_folder() -> Path | None:
    """Where the reference data lie, as tests/conftest.py has it; None where they do not."""
    beside = Path(os.environ.get("MEKEVAL_TEST_DATA", ROOT.parent / "shared" / "data")) / "reference"
    return beside if beside.is_dir() else None


if __name__ == "__main__":
    folder = data_folder()
    before = PAGE.read_text(encoding="utf-8") if PAGE.is_file() else ""
    PAGE.write_text(text(figures(folder, before)), encoding="utf-8")
    print(
        "docs/methods.md"
        + ("" if folder else ": without the reference data, so its tables stay as they were")
    )
