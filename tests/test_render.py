"""Pages: accessible, self-contained, escaped, the same every time, and never made of a broken notebook."""

from __future__ import annotations

import re
import string
from html.parser import HTMLParser
from pathlib import Path

import nbformat.v4 as nb
import pytest
from nbformat import NotebookNode

import mekeval.render
from mekeval.errors import MekevalError
from mekeval.render import ReportPage, render_failure, render_report
from mekeval.render.notebook import notebook_fragment
from mekeval.render.record import VERDICTS
from mekeval.tables import Column, Table
from mekeval.text import LANGUAGES, Texts, keys

PIXEL = "data:image/png;base64,iVBORw0KGgo="
STYLE = (Path(mekeval.render.__file__).parent / "template" / "style.css").read_text(encoding="utf-8")
HOSTILE = "\"><script>alert('x')</script>&amp;{{ 7 * 7 }}"


def a_page(**changes: object) -> ReportPage:
    facts: dict[str, object] = {
        "title": "Hakunila 2024",
        "language": "fi",
        "description": "Vaikuttiko ohjelma?",
        "synthetic": False,
        "siblings": (("fi", "hakunila.fi.html"), ("en", "hakunila.en.html")),
        "index_href": "index.fi.html",
        "notebook_href": "hakunila.ipynb",
        "programme": "Ohjelma",
    }
    return ReportPage(**(facts | changes))  # type: ignore[arg-type]


def a_result(data: dict[str, str], metadata: dict[str, object] | None = None) -> NotebookNode:
    return nb.new_output("display_data", data=data, metadata=metadata or {})


def a_notebook(*pieces: str | NotebookNode) -> NotebookNode:
    """A notebook whose code cells give these pieces of HTML, or these outputs."""
    outputs = [a_result({"text/html": piece}) if isinstance(piece, str) else piece for piece in pieces]
    return nb.new_notebook(cells=[nb.new_code_cell("secret_code()", outputs=[output]) for output in outputs])


class Page(HTMLParser):
    """The elements of a page, with their attributes, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.pieces: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.pieces.append(data)

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attrs for name, attrs in self.found if name == tag]

    @property
    def text(self) -> str:
        return " ".join("".join(self.pieces).split())


def every_page(language: str = "fi", *, synthetic: bool = False) -> dict[str, str]:
    page = a_page(language=language, synthetic=synthetic)
    table = '<h1>Hakunila</h1><table><tr><th scope="col">a</th></tr></table>'
    return {
        "report": render_report(a_notebook(table), page=page),
        "failure": render_failure(page=page, job="hakunila-2024", message="no", parameters={"year": 2024}),
    }


KINDS = ("report", "failure")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_page_is_well_built(kind: str, language: str) -> None:
    html = every_page(language)[kind]
    page = Page(html)
    assert html.startswith("<!doctype html>\n<html lang=")
    assert page.all("html") == [{"lang": language}]
    assert {"charset": "utf-8"} in page.all("meta")
    named = {meta["name"]: meta["content"] for meta in page.all("meta") if "name" in meta}
    assert {"viewport", "description"} <= set(named)
    assert named["generator"].startswith("mekeval ")
    policy = next(meta["content"] for meta in page.all("meta") if "http-equiv" in meta)
    assert policy.startswith("default-src 'none';")
    for once in ("title", "h1", "header", "main", "footer"):
        assert len(page.all(once)) == 1, once
    skip = page.all("a")[0]
    assert skip["class"] == "skip"
    assert skip["href"] == "#" + page.all("main")[0]["id"]
    ids = [attrs["id"] for _, attrs in page.found if "id" in attrs]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("kind", KINDS)
def test_page_fetches_nothing(kind: str) -> None:
    html = every_page(synthetic=True)[kind]
    page = Page(html)
    assert not page.all("script")
    for tag, attrs in page.found:
        for name in ("src", "srcset", "xlink:href"):
            assert attrs.get(name, "data:").startswith("data:"), (tag, attrs)
        assert not attrs.get("href", "").startswith(("http", "//")), (tag, attrs)
        assert not any(name.startswith("on") for name in attrs)
    style = html[html.index("<style>") : html.index("</style>")]
    assert not re.search(r"url\(|@import|https?:|/\*", style)


@pytest.mark.parametrize("kind", KINDS)
def test_page_says_first_that_data_are_synthetic(kind: str) -> None:
    warned, plain = (every_page(synthetic=synthetic)[kind] for synthetic in (True, False))
    notes = [attrs for _, attrs in Page(warned).found if attrs.get("role") == "note"]
    assert len(notes) == 1
    assert warned.index('role="note"') < warned.index('class="programme"')
    assert Texts("fi")("page.synthetic") in Page(warned).text
    assert 'role="note"' not in plain


@pytest.mark.parametrize("kind", KINDS)
def test_page_is_the_same_every_time(kind: str) -> None:
    assert every_page()[kind] == every_page()[kind]


def test_other_languages_are_linked_in_their_own_words() -> None:
    page = Page(every_page()["report"])
    alternates = [link for link in page.all("link") if link["rel"] == "alternate"]
    assert alternates == [{"rel": "alternate", "hreflang": "en", "href": "hakunila.en.html"}]
    assert {"href": "hakunila.en.html", "hreflang": "en", "lang": "en"} in page.all("a")
    assert "English" in page.text


def test_report_shows_results_and_hides_the_rest() -> None:
    stream = nb.new_output("stream", name="stderr", text="a warning to the programmer")
    plain = a_result({"text/plain": "<object at 0x7f>"})
    both = a_result({"text/html": "<p>rich</p>", "text/markdown": "poor", "text/plain": "poorest"})
    markdown = a_result({"text/markdown": "it is **so**"})
    notebook = a_notebook("<h1>Title</h1>", stream, plain, both, markdown)
    notebook.cells.append(nb.new_markdown_cell("## A part\n\n- point"))
    before = notebook.copy()
    html = render_report(notebook, page=a_page())
    assert notebook == before
    for shown in (
        "<h1>Title</h1>",
        "<p>rich</p>",
        "<strong>so</strong>",
        '<h2 id="part-1">A part</h2>',
        "<li>point</li>",
    ):
        assert shown in html
    for hidden in ("secret_code", "programmer", "0x7f", "poor"):
        assert hidden not in html


def test_tables_of_one_name_are_told_apart_by_those_who_only_hear_it() -> None:
    tables = [
        Table(caption=name, columns=(Column(label="x"),), rows=(("1",),)) for name in ("A", "B", "A", "A")
    ]
    html = render_report(a_notebook(*(table._repr_html_() for table in tables)), page=a_page())
    regions = [attrs["aria-label"] for tag, attrs in Page(html).found if attrs.get("role") == "region"]
    assert regions == ["A", "B", "A (2)", "A (3)"]
    assert html.count("<caption>A</caption>") == 3  # what is seen stays


def test_result_images_take_the_alternative_text_of_their_metadata() -> None:
    svg = a_result({"image/svg+xml": "<svg></svg>"}, {"image/svg+xml": {"alt": 'Rose "most" in Hakunila'}})
    png = a_result({"image/png": "iVBO\nRw0KGgo=\n"}, {"alt": "Fell"})
    images = Page(render_report(a_notebook(svg, png), page=a_page())).all("img")
    assert [image["alt"] for image in images] == ['Rose "most" in Hakunila', "Fell"]
    assert images[0]["src"] == "data:image/svg+xml;base64,PHN2Zz48L3N2Zz4="
    assert images[1]["src"] == PIXEL


def test_title_is_the_heading_where_the_notebook_has_none() -> None:
    html = render_report(a_notebook("<h2>Part</h2>"), page=a_page())
    assert "<h1>Hakunila 2024</h1>" in html


@pytest.mark.parametrize(
    ("piece", "told"),
    [
        (f'<img src="{PIXEL}">', "alternative text"),
        (f'<img src="{PIXEL}" alt=" ">', "alternative text"),
        (a_result({"image/png": "iVBORw0KGgo="}), "alternative text"),
        (a_result({"text/markdown": f"![]({PIXEL})"}), "alternative text"),
        ('<img src="https://example.org/a.png" alt="a">', "data:image"),
        ('<img src="a.png" alt="a">', "data:image"),
        (f'<img src="{PIXEL}" srcset="https://example.org/a.png" alt="a">', "fetches nothing"),
        ("<script>alert(1)</script>", "element"),
        ('<iframe src="https://example.org"></iframe>', "element"),
        ('<svg onload="alert(1)"></svg>', "script"),
        ('<p onclick="alert(1)">a</p>', "script"),
        ('<a href="javascript:alert(1)">a</a>', "target|attribute"),
        ('<a href=" java\nscript:alert(1)">a</a>', "control"),
        ('<p style="background: URL(https://example.org)">a</p>', "style would fetch"),
        ("<style>@import 'https://example.org';</style>", "style would fetch"),
        ("</main><main>", "element"),
        ("<!-- a --><!--><p>a</p>-->", "Comments"),
        ("<![CDATA[<script>alert(1)</script>]]>", "Comments"),
        ("<?php x ?>", "Comments"),
        ('<meta http-equiv="refresh" content="0">', "element"),
    ],
)
def test_unpublishable_content_is_refused_and_its_cell_named(piece: str | NotebookNode, told: str) -> None:
    with pytest.raises(MekevalError, match=told) as caught:
        render_report(a_notebook("<h1>Fine</h1>", piece), page=a_page())
    assert "cell 2 (secret_code())" in str(caught.value)


def test_failed_notebook_is_never_published() -> None:
    error = nb.new_output("error", ename="ValueError", evalue="no 2031", traceback=[])
    with pytest.raises(MekevalError, match="failed") as caught:
        render_report(a_notebook("<h1>Fine</h1>", error), page=a_page())
    assert "cell 2 (secret_code())" in str(caught.value)
    assert "ValueError: no 2031" in str(caught.value)


def test_two_headings_or_a_repeated_id_are_refused() -> None:
    with pytest.raises(MekevalError, match="more than one level-1 heading"):
        render_report(a_notebook("<h1>a</h1>", "<h1>b</h1>"), page=a_page())
    with pytest.raises(MekevalError, match="id is used twice"):
        render_report(a_notebook('<p id="a">a</p>', '<p id="a">b</p>'), page=a_page())
    with pytest.raises(MekevalError, match="id is used twice"):
        render_report(a_notebook('<p id="content">the page has it</p>'), page=a_page())


def test_markdown_never_carries_html() -> None:
    result = a_result({"text/markdown": "a <script>alert(1)</script> [b](javascript:alert(1))"})
    page = Page(render_report(a_notebook(result), page=a_page()))
    assert not page.all("script")
    assert "<script>alert(1)</script>" in page.text
    assert not any("javascript" in link["href"] for link in page.all("a"))


def test_hostile_names_are_escaped_everywhere() -> None:
    page = a_page(title=HOSTILE, description=HOSTILE, programme=HOSTILE, synthetic=True)
    notebook = a_notebook("<h2>a</h2>")
    notebook.metadata["title"] = HOSTILE
    for html in (
        render_report(notebook, page=page),
        render_failure(page=page, job=HOSTILE, message=HOSTILE, parameters={HOSTILE: HOSTILE}),
    ):
        parsed = Page(html)
        assert not parsed.all("script")
        assert len(parsed.all("main")) == 1
        assert HOSTILE in "".join(parsed.pieces)
        assert "49" not in parsed.text


@pytest.mark.parametrize(
    "target", ["javascript:alert(1)", "data:text/html,x", "JaVaScript:x", "java\tscript:x"]
)
def test_link_targets_that_run_code_are_refused(target: str) -> None:
    with pytest.raises(MekevalError, match="target"):
        render_report(a_notebook("<h1>a</h1>"), page=a_page(index_href=target))


def test_failure_page_tells_what_failed() -> None:
    page = Page(
        render_failure(
            page=a_page(notebook_href=""),
            job="hakunila-2031",
            message="no data\n  found: <2031>\n",
            parameters={"year": 2031, "district": "Hakunila"},
        )
    )
    for part in ("hakunila-2031", "no data found: <2031>", "year2031", "districtHakunila"):
        assert part in page.text
    assert Texts("fi")("page.failure.last_good") in page.text
    assert {"name": "robots", "content": "noindex"} in page.all("meta")
    assert {"href": "index.fi.html"} in page.all("a")


def test_a_title_names_the_programme_once() -> None:
    notebook = a_notebook("<h2>a</h2>")
    assert "<title>Ohjelma</title>" in render_report(notebook, page=a_page(title="Ohjelma"))
    assert "<title>Hakunila 2024 – Ohjelma</title>" in render_report(notebook, page=a_page())


def test_texts_of_pages_agree_between_languages() -> None:
    def parts(language: str, key: str) -> set[str]:
        raw = Texts(language)._strings[key]
        return {name for _, name, _, _ in string.Formatter().parse(raw) if name}

    ours = {key for key in keys("en") if key.split(".")[0] in {"page", "site", "verdict"}}
    assert {f"verdict.{code}.{form}" for code in VERDICTS for form in ("word", "legend")} <= ours
    for language in LANGUAGES:
        assert ours <= keys(language)
        assert {key: parts(language, key) for key in ours} == {key: parts("en", key) for key in ours}


def test_verdicts_never_claim_that_there_is_no_effect() -> None:
    texts = Texts("en")
    for form in ("word", "legend"):
        assert "no effect" not in texts(f"verdict.no_detectable_effect.{form}").lower().replace(
            "no effect detected", ""
        )


def test_every_verdict_has_a_symbol_of_its_own() -> None:
    symbols = [
        re.search(rf'^\.verdict-{code} .*--symbol: "([^"]+)"', STYLE, flags=re.MULTILINE) for code in VERDICTS
    ]
    assert all(symbols)
    assert len({found.group(1) for found in symbols if found}) == len(VERDICTS)


def _luminance(colour: str) -> float:
    channels = (int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5))
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, other: str) -> float:
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark", "print"])
def test_contrast_is_enough_for_small_text(scheme: str) -> None:
    blocks = re.findall(r":root \{(.*?)\}", STYLE, flags=re.DOTALL)
    light, dark, printed = (dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block)) for block in blocks)
    colours = {"light": light, "dark": light | dark, "print": light | dark | printed}[scheme]
    tones = ("improved", "worsened", "neutral", "fragile", "unknown")
    pairs = [(ink, paper) for ink in ("ink", "muted", "link") for paper in ("paper", "tint", "warning-tint")]
    pairs += [(ink, f"{tone}-tint") for tone in tones for ink in ("ink", "link", tone)]
    pairs += [(tone, ground) for tone in tones for ground in ("paper", "tint")] + [
        ("fragile", "warning-tint")
    ]
    poor = {pair: round(_contrast(*(colours[name] for name in pair)), 2) for pair in pairs}
    assert {pair: ratio for pair, ratio in poor.items() if ratio < 4.5} == {}
    drawn = ("rule-strong", "warning-rule") if scheme == "print" else ("focus", "rule-strong", "warning-rule")
    lines = {name: _contrast(colours[name], colours["paper"]) for name in drawn}
    assert {name: ratio for name, ratio in lines.items() if ratio < 3} == {}


@pytest.mark.parametrize(
    ("html", "shown"),
    [
        ("<p>a <b>b</p>", "<p>a <b>b</b></p>"),  # not closed
        ("<p title=a>a</p>", '<p title="a">a</p>'),
        ("<p>1 < 2</p>", "<p>1 &lt; 2</p>"),
        ('<p title="a">a &lt; b</p>', '<p title="a">a &lt; b</p>'),
    ],
)
def test_what_could_be_read_in_two_ways_is_written_anew(html: str, shown: str) -> None:
    output = nb.new_output("display_data", data={"text/html": html})
    cell = nb.new_code_cell("x", outputs=[output])
    assert notebook_fragment(nb.new_notebook(cells=[cell])).html == shown
