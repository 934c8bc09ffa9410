"""An executed notebook becomes one HTML fragment that is safe to publish.

In: a notebook node whose code cells have run. Out: the HTML of its Markdown cells and of its results, without
code, streams or plain-text results. Never: a fragment with an error output, an image without alternative
text, a script, or anything that a browser would fetch; raw HTML in Markdown is shown as text, not obeyed.
"""

from __future__ import annotations

import base64
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from html import unescape
from html.parser import HTMLParser
from itertools import count
from typing import Any

from bs4 import BeautifulSoup
from jinja2 import pass_context
from jinja2.runtime import Context
from nbconvert import HTMLExporter, TemplateExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbformat import NotebookNode

from ..errors import Fault, RunError
from . import MAIN_ID, TEMPLATE_FOLDER
from .policy import link_fault

# fmt: off
_ELEMENTS = frozenset({
    "a", "abbr", "article", "aside", "b", "bdi", "bdo", "blockquote", "br", "caption", "cite", "code",
    "col", "colgroup", "data", "dd", "del", "details", "dfn", "div", "dl", "dt", "em", "figcaption",
    "figure", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "i", "img", "ins", "kbd", "li", "mark", "ol",
    "p", "pre", "q", "s", "samp", "section", "small", "span", "strong", "style", "sub", "summary",
    "sup", "table", "tbody", "td", "tfoot", "th", "thead", "time", "tr", "u", "ul", "var", "wbr",
    # of small drawings without words: shapes that neither fetch nor hold other documents
    "svg", "g", "rect", "line", "circle",
})
# fmt: on
_VOID = frozenset({"br", "col", "hr", "img", "wbr"})
_PLAIN_TAG = re.compile(r'<[a-z][a-z0-9]*(?: [a-z][a-z-]*="[^"<>]*")*>')
_PIECES = "pieces"
_IMAGE_SOURCES = tuple(f"data:image/{kind}" for kind in ("svg+xml", "png", "jpeg", "gif", "webp"))
#: The numbers of a picture, to be saved; no other address may hold its own content.
#: The beginning of a table as ours show themselves, and its name.
_REGION = re.compile(r'(<div class="table-scroll[^"]*" tabindex="0" role="region" aria-label=")([^"]*)"')
_CSV = re.compile(r"data:text/csv;charset=utf-8;base64,[A-Za-z0-9+/]*={0,2}")
_MOST_SHOWN = 80  # characters of a line of code in a message
_FETCHING_CSS = ("url(", "@import", "image-set(", "\\")


@dataclass(frozen=True, kw_only=True)
class Fragment:
    """The publishable content of a notebook.

    Attributes
    ----------
    html : str
        Checked HTML for the inside of the main element.
    has_heading : bool
        Whether it brings its own (one) level-1 heading.
    contents : tuple of (str, str)
        Id and text of each level-2 heading, in order; one without an id has got one.
    """

    html: str
    has_heading: bool
    contents: tuple[tuple[str, str], ...]


def notebook_fragment(notebook: NotebookNode) -> Fragment:
    """Turn an executed notebook into checked HTML.

    Shown are Markdown cells and, of each result of a code cell, the first of HTML, Markdown, SVG, PNG and
    JPEG. The alternative text of a bare image result comes from its output metadata (key ``alt``).

    Parameters
    ----------
    notebook : nbformat.NotebookNode
        Format 4, executed.

    Returns
    -------
    Fragment

    Raises
    ------
    MekevalError
        A cell failed, an image lacks alternative text, or the content may not be published as it stands.
    """
    _refuse_errors(notebook)
    html, resources = _exporter().from_notebook_node(notebook, {_PIECES: []})
    html, contents = _with_anchors(_numbered_regions(html))
    pieces: list[_Inspector] = resources[_PIECES]
    headings = sum(piece.elements["h1"] for piece in pieces)
    ids = sum((piece.ids for piece in pieces), Counter([MAIN_ID]))
    faults = [
        Fault(
            what="An id is used twice on the page.", where=f"id={name!r}", fix="Give each element its own id."
        )
        for name, uses in sorted(ids.items())
        if uses > 1
    ]
    if headings > 1:
        faults.append(
            Fault(
                what="The notebook has more than one level-1 heading.",
                found=f"{headings} h1 elements",
                expected="one, the title of the report",
                fix="Use ## and h2 for the parts.",
            )
        )
    if faults:
        raise RunError.of(faults)
    return Fragment(html=html.strip(), has_heading=headings == 1, contents=contents)


class _Exporter(HTMLExporter):
    """Without nbconvert's second reading of the whole page: it looks for what only its own pages have."""

    def from_notebook_node(  # type: ignore[override]
        self, nb: NotebookNode, resources: dict[str, Any] | None = None, **others: Any
    ) -> tuple[str, dict[str, Any]]:
        """Fill the template."""
        return TemplateExporter.from_notebook_node(self, nb, resources, **others)


@cache
def _exporter() -> _Exporter:
    return _Exporter(  # type: ignore[no-untyped-call]
        template_paths=[str(TEMPLATE_FOLDER)],
        template_file="notebook.html.j2",
        filters={"rendered": _markdown, "checked": _checked, "base64": _base64},
    )


def _numbered_regions(html: str) -> str:
    """The same HTML with a number behind each name of a table that an earlier one has: who hears only names tells them
    apart."""
    heard: Counter[str] = Counter()

    def numbered(found: re.Match[str]) -> str:
        heard[found[2]] += 1
        return found[0] if heard[found[2]] == 1 else f'{found[1]}{found[2]} ({heard[found[2]]})"'

    return _REGION.sub(numbered, html)


def _with_anchors(html: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    """The same HTML with an id on every level-2 heading, and the ids with the headings' texts."""
    contents: list[tuple[str, str]] = []

    def named(found: re.Match[str]) -> str:
        given, inside = found.group(1), found.group(2)
        anchor = given or next(
            name for at in count(len(contents) + 1) if f'id="{(name := f"part-{at}")}"' not in html
        )
        contents.append((unescape(anchor), unescape(re.sub(r"<[^>]*>", "", inside)).strip()))
        return f'<h2 id="{anchor}">{inside}</h2>'

    return re.sub(r'<h2(?: id="([^"]+)")?>(.*?)</h2>', named, html, flags=re.DOTALL), tuple(contents)


def _refuse_errors(notebook: NotebookNode) -> None:
    faults = [
        Fault(
            what="A cell of the notebook failed; no page is made of it.",
            where=_place(number, str(cell.source)),
            found=_first_line(f"{output.get('ename', 'error')}: {output.get('evalue', '')}"),
            fix="Mend the cause and run the notebook again.",
        )
        for number, cell in enumerate(notebook.cells, start=1)
        if cell.cell_type == "code"
        for output in cell.outputs
        if output.output_type == "error"
    ]
    if faults:
        raise RunError.of(faults)


def _place(number: int, source: str) -> str:
    first = _first_line(source)
    return f"cell {number} ({first})" if first else f"cell {number}"


def _first_line(text: str) -> str:
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return line if len(line) <= _MOST_SHOWN else line[: _MOST_SHOWN - 1] + "…"


class _PlainRenderer(IPythonRenderer):
    """Markdown without raw HTML; headings carry neither ids nor anchor links."""

    def heading(self, text: str, level: int, **_attrs: object) -> str:
        return f"<h{level}>{text}</h{level}>\n"

    def table_cell(self, text: str, align: str | None = None, head: bool = False) -> str:
        """A cell of a table: its place by a class, since the page's policy blocks style attributes."""
        tag = 'th scope="col"' if head else "td"
        css = ' class="num"' if align == "right" else ""
        return f"<{tag}{css}>{text}</{tag.split()[0]}>\n"


def _markdown(source: str) -> str:
    renderer = _PlainRenderer(escape=True, allow_harmful_protocols=False, exclude_anchor_links=True)
    return str(MarkdownWithMath(renderer=renderer).render(source))


def _base64(svg: str) -> str:
    return base64.b64encode(svg.encode("utf-8")).decode("ascii")


@pass_context
def _checked(context: Context, html: str, number: int, source: str) -> str:
    """Let one piece of HTML through, and note what it contains; or say what in it may not be published."""
    inspector = _Inspector()
    inspector.feed(html)
    inspector.close()
    context["resources"][_PIECES].append(inspector)
    if inspector.problems:
        place = _place(number, source)
        raise RunError.of(
            Fault(what=what, where=place, found=found, fix=fix) for what, found, fix in inspector.problems
        )
    # What a browser might read otherwise than we did is written anew, from what we read.
    return html if inspector.plain(html) else str(BeautifulSoup(html, features="html.parser"))


class _Inspector(HTMLParser):
    """Notes what a fragment contains and what of it may not be published."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: Counter[str] = Counter()
        self.ids: Counter[str] = Counter()
        self.problems: list[tuple[str, str, str]] = []
        self._in_style = False
        self._open: list[str] = []
        self._tags = 0
        self._plain = True

    def plain(self, html: str) -> bool:
        """Whether every tag is written in the plainest way and closed, so that nobody can read it otherwise."""
        return self._plain and not self._open and html.count("<") == self._tags

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.elements[tag] += 1
        self._in_style = tag == "style"
        self._tags += 1
        self._plain = self._plain and _PLAIN_TAG.fullmatch(self.get_starttag_text() or "") is not None
        if tag not in _VOID:
            self._open.append(tag)
        if tag not in _ELEMENTS:
            self._note(
                "An element may not be in a report.",
                self._shown(tag),
                "Use text elements, tables, figures and img.",
            )
        if not attrs and tag != "img":
            return
        given = {name: value or "" for name, value in attrs}
        for name, value in given.items():
            if name == "href" and tag == "a" and "download" in given and _CSV.fullmatch(value):
                continue  # a file that the page itself holds: a browser saves it and opens nothing
            if (check := _ATTRIBUTES.get(name)) is not None and (fix := check(value)) is not None:
                self._note("An attribute may not be in a report.", self._shown(tag), fix)
            if name.startswith("on"):
                self._note("A report holds no script.", self._shown(tag), f"Remove {name}.")
        if tag == "img" and not given.get("alt", "").strip():
            self._note(
                "An image has no alternative text.",
                self._shown(tag),
                "Say in alt what the picture shows, in one sentence.",
            )
        if "id" in given:
            self.ids[given["id"]] += 1

    def _shown(self, tag: str) -> str:
        return _first_line(self.get_starttag_text() or f"<{tag}>")

    def handle_endtag(self, tag: str) -> None:
        self._tags += 1
        if self._open and self._open[-1] == tag:
            self._open.pop()
        else:
            self._plain = False
        self._in_style = self._in_style and tag != "style"

    def handle_data(self, data: str) -> None:
        if self._in_style and (fix := _style_fault(data)) is not None:
            self._note("A style may not be in a report.", _first_line(data), fix)

    def handle_comment(self, data: str) -> None:
        self._refuse_declaration(data)

    def handle_decl(self, decl: str) -> None:
        self._refuse_declaration(decl)

    def handle_pi(self, data: str) -> None:
        self._refuse_declaration(data)

    def unknown_decl(self, data: str) -> None:
        self._refuse_declaration(data)

    def _refuse_declaration(self, data: str) -> None:  # parsers differ on where these end
        self._note("Comments and declarations may not be in a report.", _first_line(data), "Remove it.")

    def _note(self, what: str, found: str, fix: str) -> None:
        self.problems.append((what, found, fix))


def _style_fault(value: str) -> str | None:
    fetches = any(mark in value.lower() for mark in _FETCHING_CSS)
    return "Remove what a style would fetch (url, @import) and escapes." if fetches else None


def _source_fault(value: str) -> str | None:
    return None if value.startswith(_IMAGE_SOURCES) else "Embed the picture as a data:image address."


def _fetching_fault(_value: str) -> str | None:
    return "Remove it; a report fetches nothing."


_ATTRIBUTES: dict[str, Callable[[str], str | None]] = {
    "href": link_fault,
    "style": _style_fault,
    "src": _source_fault,
    **dict.fromkeys(
        ("srcset", "background", "poster", "ping", "xlink:href", "action", "formaction"), _fetching_fault
    ),
}
