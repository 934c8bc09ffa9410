"""The registry of methods says what the docstrings say, and its figures are those of R."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from reference_cases import CASES, TOLERANCE, Case, figures_of_r, study

ROOT = Path(__file__).resolve().parents[1]


def _script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("write_methods", ROOT / "docs" / "write_methods.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


WRITER = _script()
REGISTRY = WRITER.registry()


def _doc(name: str) -> dict[str, str]:
    return WRITER.sections(WRITER.inspect.getdoc(REGISTRY[name]) or "")


@pytest.mark.parametrize("name", [name for name in REGISTRY if name not in WRITER.BESIDES])
def test_every_method_says_what_a_referee_asks(name: str) -> None:
    doc = _doc(name)
    lines, _ = WRITER.labelled(doc.get("Notes", ""))
    missing = [label for label in WRITER.LABELS if label not in lines]
    assert not missing, f"the Notes of {name} need lines that begin with: {', '.join(missing)}"
    assert list(lines) == list(WRITER.LABELS), "in this order"
    for label, line in lines.items():
        assert line.endswith("."), (label, line)
        assert len(line) <= 700, (label, "crisp")
    assert doc.get("References"), "a source"


def test_every_estimator_is_in_the_registry_once() -> None:
    functions = list(REGISTRY.values())
    assert len(functions) == len(set(functions))
    assert set(WRITER.ESTIMATORS.values()) <= set(functions)
    assert {case.estimator for case in CASES} <= set(REGISTRY)


def test_the_page_is_what_the_docstrings_say() -> None:
    page = WRITER.PAGE.read_text(encoding="utf-8")
    assert WRITER.text(WRITER.figures(None, page)) == page, "run `make methods`"
    assert set(WRITER.kept(page)) == {WRITER.key(case) for case in CASES}
    assert "Needs the reference data" not in page


def test_a_label_ends_at_an_empty_line_and_others_stay_text() -> None:
    lines, rest = WRITER.labelled("First.\n\nEstimand: a\n  b.\nEdge cases, Not covered: c.\n\nLast: d.")
    assert lines == {"Estimand": "a b.", "Edge cases": "c.", "Not covered": "c."}
    assert rest.split() == ["First.", "Last:", "d."]


def test_tables_outlive_a_page_written_without_the_data() -> None:
    page = WRITER.marked("imputation, mpdta_imputation", "| a | b |")
    assert WRITER.figures(None, page)["imputation, mpdta_imputation"] == "| a | b |"


def test_every_figure_of_the_reference_has_a_call() -> None:
    """Quantities are checked with the data; here that no case of the reference is left out."""
    assert {case.case for case in CASES} == set(figures_of_r().index.get_level_values("case"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.estimator}-{case.case}")
def test_every_figure_is_that_of_r(case: Case, reference: Path) -> None:
    compared = list(WRITER.rows(case, reference))
    assert compared
    for quantity, kind, theirs, ours in compared:
        assert ours == pytest.approx(theirs, abs=TOLERANCE), (quantity, kind)
    if not case.why:  # then the whole case is repeated, errors included
        expected = WRITER.figures_of_r().loc[case.case]
        assert {quantity for quantity, _, _, _ in compared} == set(expected.index)
        assert len(compared) == 2 * len(expected)


def test_every_quantity_of_the_reference_is_compared(reference: Path) -> None:
    found = {
        (case.case, quantity) for case in CASES for quantity in case.answer(*study(reference, case.data))
    }
    assert set(WRITER.figures_of_r().index) <= found


def test_the_figures_of_the_page_are_those_of_the_code(reference: Path) -> None:
    page = WRITER.kept(WRITER.PAGE.read_text(encoding="utf-8"))
    for case in CASES:
        written = [line.split(" | ") for line in page[WRITER.key(case)].splitlines()[2:]]
        computed = list(WRITER.rows(case, reference))
        assert [(cells[0].strip("| "), cells[1]) for cells in written] == [row[:2] for row in computed]
        for cells, (_, _, theirs, ours) in zip(written, computed, strict=True):
            assert float(cells[2]) == pytest.approx(theirs, abs=1e-12)
            assert float(cells[3]) == pytest.approx(ours, abs=2e-8)  # written with eight digits
