"""Names, labels and notes that attack are words: on every page, and in files for spreadsheets and notebooks."""

from __future__ import annotations

import ast
import base64
import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import unquote_to_bytes
from xml.etree import ElementTree

import nbformat.v4 as nb
import pytest

from mekeval.render import ReportPage, render_failure, render_report
from mekeval.tables import Column, Table

from .hostile_study import ATTACKS, Attacker
from .made_pages import STUDY, YEAR, Pages
from .made_site import make_site
from .opened import Opened

#: More than 500 strings, each attack at least four times.
STRINGS = [attack.format(n=number) for number in range(5) for attack in ATTACKS]
ELEMENTS = "() => document.querySelectorAll('*').length"
HACKED = "() => [window.__hacked ?? null, document.title.length > 0]"
#: What a spreadsheet may take for a formula, also behind spaces.
FORMULA = re.compile(
    r"\s*[=+\-@\N{FULLWIDTH EQUALS SIGN}\N{FULLWIDTH PLUS SIGN}\N{FULLWIDTH HYPHEN-MINUS}]|[\t\r\n]"
)
NUMBER = re.compile(r"[+\-\N{MINUS SIGN}]?\d[\d\s.,]*(e[+\-]?\d+)?\D{0,12}")


def provoked(window: Opened) -> None:
    """Point at, focus and unfold everything, so that what waits for it runs."""
    window.page.evaluate("""() => {
      document.querySelectorAll('details').forEach(one => { one.open = true; });
      document.querySelectorAll('body *').forEach(one => {
        one.dispatchEvent(new MouseEvent('mouseover', {bubbles: true})); one.focus?.();
      });
    }""")


def unharmed(window: Opened, elements: int) -> None:
    provoked(window)
    assert window.page.evaluate(HACKED) == [None, True]
    assert window.page.evaluate(ELEMENTS) == elements
    assert window.dialogs == [] == window.requests == window.console


def is_formula(cell: str) -> bool:
    return bool(FORMULA.match(cell)) and not NUMBER.fullmatch(cell.strip())


def formulas(text: str) -> list[str]:
    return [cell for row in csv.reader(io.StringIO(text)) for cell in row if is_formula(cell)]


def a_report(texts: list[str]) -> str:
    """A page whose every place for a text has one of these."""
    rows = tuple((text, text) for text in texts)
    table = Table(
        caption=texts[0],
        columns=(Column(label=texts[1]), Column(label=texts[2], numeric=True)),
        rows=rows,
        note=texts[3],
    )
    page = ReportPage(
        title=texts[4],
        language="fi",
        description=texts[5],
        synthetic=True,
        siblings=(("sv", "x.sv.html"),),
        index_href="index.html",
        notebook_href="x.ipynb",
        programme=texts[6],
    )
    output = nb.new_output("display_data", data={"text/html": table._repr_html_()})
    return render_report(nb.new_notebook(cells=[nb.new_code_cell("x", outputs=[output])]), page=page)


def test_the_study_holds_more_than_500_attacks(hostile_pages: Pages) -> None:
    attacker = Attacker()
    for text in map(str, range(len(STRINGS))):
        attacker(text)
    assert len(set(attacker.given.values())) == len(STRINGS) > 500
    listed = (hostile_pages.root / "study" / STUDY / "areas.csv").read_text(encoding="utf-8")
    assert listed.count("__hacked") > 50


def test_a_table_of_attacks_is_a_table_of_words(opened: Callable[..., Opened], tmp_path: Path) -> None:
    path, plain = tmp_path / "hostile.html", tmp_path / "plain.html"
    path.write_text(a_report(STRINGS), encoding="utf-8")
    plain.write_text(a_report([f"Alue {at}" for at in range(len(STRINGS))]), encoding="utf-8")
    unharmed(opened(path), opened(plain).page.evaluate(ELEMENTS))


def test_an_error_page_of_attacks_is_a_page_of_words(opened: Callable[..., Opened], tmp_path: Path) -> None:
    def page(text: Callable[[str], str]) -> str:
        around = ReportPage(
            title=text("title"),
            language="en",
            description=text("description"),
            synthetic=False,
            siblings=(),
            index_href="index.html",
            notebook_href="",
            programme=text("programme"),
        )
        given = {f"p{at}": text(f"value {at}") for at in range(len(ATTACKS))}
        return render_failure(page=around, job=text("job"), message=text("message"), parameters=given)

    path, plain = tmp_path / "hostile.html", tmp_path / "plain.html"
    path.write_text(page(Attacker()), encoding="utf-8")
    plain.write_text(page(str), encoding="utf-8")
    unharmed(opened(path), opened(plain).page.evaluate(ELEMENTS))


@pytest.mark.parametrize("language", ["fi", "en"])
def test_a_site_of_attacks_has_the_parts_of_a_harmless_one(
    opened: Callable[..., Opened], tmp_path: Path, language: str
) -> None:
    """200 areas with a name in each language, and every label and note of the study."""
    attacker = Attacker()
    hostile, plain = make_site(tmp_path / "a", attacker, n_areas=200), make_site(tmp_path / "b", n_areas=200)
    assert len(attacker.given) > 500
    name = "index.html" if language == "fi" else f"index.{language}.html"
    unharmed(opened(hostile / name), opened(plain / name).page.evaluate(ELEMENTS))
    feed = "feed.xml" if language == "fi" else f"feed.{language}.xml"
    found, expected = (len(list(ElementTree.parse(folder / feed).iter())) for folder in (hostile, plain))
    assert found == expected


@pytest.mark.parametrize("kind", ["city", "district", "index", "quality"])
def test_a_run_of_attacks_has_the_parts_of_a_harmless_one(
    hostile_pages: Pages, pages: Pages, opened: Callable[..., Opened], kind: str
) -> None:
    window = opened(hostile_path(hostile_pages, kind))
    provoked(window)
    assert window.page.evaluate(HACKED) == [None, True]
    assert window.dialogs == [] == window.requests == window.console
    if kind in ("city", "district"):  # the harmless set has the other two languages and no more
        plain = opened(pages.path(kind, "en")).page
        count = "tag => document.querySelectorAll(`main ${tag}`).length"
        for tag in ("*", "script", "img", "a", "table", "tr", "td", "th", "li", "details", "style", "svg"):
            assert window.page.evaluate(count, tag) == plain.evaluate(count, tag), tag


def hostile_path(pages: Pages, kind: str) -> Path:
    """The hostile study has English pages alone, so that its index is the first one."""
    reports = pages.root / "reports" / STUDY
    if kind == "district":
        return next((reports / str(YEAR)).glob("09291-*.en.html"))
    return reports / "index.html" if kind == "index" else pages.path(kind, "en")


def published(pages: Pages) -> Iterator[Path]:
    for folder in ("reports", "clean"):
        yield from (path for path in (pages.root / folder / STUDY).resolve().rglob("*") if path.is_file())


def test_no_cell_of_any_file_is_a_formula(hostile_pages: Pages) -> None:
    tables = [path for path in published(hostile_pages) if path.suffix == ".csv"]
    assert {"indicators.csv", "log.csv"} <= {path.name for path in tables}
    found = {path.name: formulas(path.read_text(encoding="utf-8")) for path in tables}
    assert {name: cells for name, cells in found.items() if cells} == {}


@pytest.mark.parametrize("kind", ["city", "district"])
def test_no_cell_of_a_download_in_a_page_is_a_formula(hostile_pages: Pages, kind: str) -> None:
    page = hostile_path(hostile_pages, kind).read_text(encoding="utf-8")
    links = re.findall(r'href="data:text/csv[^,"]*,([^"]*)"', page)
    for link in links:
        content = unquote_to_bytes(link)
        if re.search(r'href="data:text/csv[^,"]*;base64,' + re.escape(link[:40]), page):
            content = base64.b64decode(content)
        assert formulas(content.decode("utf-8-sig")) == []


def test_the_escape_can_fail() -> None:
    assert formulas('a,"=1+1"\r\n') == ["=1+1"] and formulas("a,@x\r\n-2.5,+3\r\n'=1,x\r\n") == ["@x"]


def test_no_name_is_a_path_or_a_command(hostile_pages: Pages) -> None:
    names = [path.name for path in published(hostile_pages)]
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9_.\-]*", name) for name in names), names
    assert not Path("/tmp/mekeval-hacked").exists()
    notebooks = [path for path in published(hostile_pages) if path.suffix == ".ipynb"]
    assert notebooks
    for path in notebooks:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        given = [cell for cell in cells if "injected-parameters" in cell["metadata"].get("tags", [])]
        assert len(given) == 1
        for cell in cells:
            source = "".join(cell["source"])
            if cell["cell_type"] == "code":
                ast.parse(source)  # no line that is a command of the notebook's own
            assert "__hacked" not in source and "mekeval-hacked" not in source
            # A letter that no font has is no reason for a warning, which would name a folder of this machine.
            assert [one for one in cell.get("outputs", []) if one["output_type"] == "stream"] == []
        for statement in ast.parse("".join(given[0]["source"])).body:
            assert isinstance(statement, ast.Assign | ast.AnnAssign)
            assert ast.literal_eval(statement.value) is not None  # type: ignore[arg-type]


def test_letters_that_turn_words_around_are_shown(hostile_pages: Pages) -> None:
    hiding = re.compile("[\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069]")
    for kind in ("city", "district", "index"):
        text = hostile_path(hostile_pages, kind).read_text(encoding="utf-8")
        assert not hiding.search(text), kind
