"""Every kind of page in every language: its size, what axe-core finds in Chromium, and how long it takes to make.

axe: violations of WCAG 2.1 A and AA with everything unfolded, light and dark; and, without a goal, of axe's best
practices. Seconds, median of three in a process that has made a page before: computing and drawing the sections from
a finished evaluation with what a run computes once for all languages; rendering them as a page; both together. PDF: the
same page by WeasyPrint.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from dataclasses import fields
from functools import partial
from pathlib import Path

import nbformat
import nbformat.v4 as nb
from rows import Row, arguments, row, seconds, show

from mekeval import example_study, run_study
from mekeval.evaluation import Evaluation, evaluate
from mekeval.render import ReportPage, render_report
from mekeval.render.pdf import render_pdf
from mekeval.report import Report, compute_once
from mekeval.report.city import city_sections
from mekeval.report.district import district_sections
from mekeval.report.once import changes_of
from mekeval.report.parts import Section
from mekeval.store import filling, run_store
from mekeval.text import LANGUAGES, Texts

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

DISTRICT, YEAR = "09291", 2025


def looked_at(root: Path) -> Iterator[Row]:
    """Sizes and axe, in the browser."""
    from browser.made_pages import KINDS, Pages, make_pages
    from browser.opened import Opened, find_browser
    from mapped_study import run_mapped
    from playwright.sync_api import sync_playwright

    out, made = root / "reports", root / "pages"
    result = run_study(example_study(), years=[YEAR], districts=[DISTRICT], out=out, jobs=2)
    if result.failed:
        raise SystemExit("\n".join(result.errors.values()))
    made.mkdir()
    make_pages(made, reports=out, mapped=run_mapped(root / "with-map", year=YEAR))
    pages = Pages(root=made)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=["--no-sandbox"])
        for kind in KINDS:
            for language in LANGUAGES:
                path = pages.path(kind, language)
                size = path.stat().st_size
                yield row(f"size, {kind}", language, size / 1e6, "MB", at_most=1.5)
                wrong, advice = 0, 0
                for scheme in ("light", "dark"):
                    window = Opened(browser, path, scheme=scheme)
                    wrong += len(window.axe()["violations"])
                    if scheme == "light":
                        advice = len(window.axe(tags=("best-practice",))["violations"])
                    window.close()
                yield row(f"axe WCAG 2.1 AA, {kind}", language, wrong, "violations", at_most=0)
                yield row(f"axe best practice, {kind}", language, advice, "rules")
        browser.close()


def sections(evaluation: Evaluation, kind: str, language: str) -> Report:
    """A report's sections, from the evaluation."""
    texts = Texts(language)
    if kind == "city":
        return city_sections(evaluation, texts, since=changes_of(evaluation))
    return district_sections(evaluation, DISTRICT, texts)


def executed(report: Report) -> tuple[nbformat.NotebookNode, ReportPage]:
    """The sections as a notebook that has run, and what the page of it needs."""
    parts = [getattr(report, one.name) for one in fields(report)]
    outputs = [
        nb.new_output("display_data", data={"text/html": part._repr_html_()})
        for part in parts
        if isinstance(part, Section)
    ]
    page = ReportPage(
        title=report.title,
        language=report.language,
        description=report.description,
        synthetic=True,
        siblings=(),
        index_href="",
        notebook_href="",
        programme="MEK",
    )
    return nb.new_notebook(cells=[nb.new_code_cell("", outputs=[output]) for output in outputs]), page


def drawn(evaluation: Evaluation, kind: str, language: str) -> tuple[nbformat.NotebookNode, ReportPage]:
    """Everything but the page itself: computed, in words and in pictures."""
    return executed(sections(evaluation, kind, language))


def made(evaluation: Evaluation, kind: str, language: str) -> str:
    """A report's page, from the evaluation."""
    notebook, page = drawn(evaluation, kind, language)
    return render_report(notebook, page=page)


def timed() -> Iterator[Row]:
    """Seconds from the evaluation to the page, with what a run has computed before, and to the PDF."""
    with run_store() as store, filling(store):
        evaluation = evaluate(example_study(), year=YEAR)
        compute_once(evaluation)
        for kind in ("district", "city"):
            for language in LANGUAGES:
                html = made(evaluation, kind, language)
                notebook, page = drawn(evaluation, kind, language)
                work = seconds(partial(drawn, evaluation, kind, language), repeat=3)
                alone = seconds(partial(render_report, notebook, page=page), repeat=3)
                both = seconds(partial(made, evaluation, kind, language), repeat=3)
                yield row(f"sections (computing and drawing), {kind}", language, work, "s")
                yield row(f"render, {kind}", language, alone, "s", at_most=0.4)
                yield row(f"sections and render, {kind}", language, both, "s", at_most=0.4)
                size = f"{language}, {len(render_pdf(html, name=kind)) / 1e6:.2f} MB"
                yield row(f"PDF, {kind}", size, seconds(partial(render_pdf, html), repeat=1), "s")


if __name__ == "__main__":
    options = arguments(__doc__ or "")
    rows = list(timed())
    if not options.quick:  # the browser looks at 27 pages twice
        with tempfile.TemporaryDirectory() as folder:
            rows += looked_at(Path(folder))
    show(rows, as_json=options.json)
