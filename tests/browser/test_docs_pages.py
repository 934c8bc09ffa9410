"""The built docs site in a browser: readable by everybody, searchable, and nothing of it from the web.

`make docs-check` builds the site and runs this; MEKEVAL_DOCS names the folder. Elsewhere these tests are skipped.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator
from functools import cache, partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

import pytest
from playwright.sync_api import Browser, Page, Request, Route

import mekeval
from mekeval.cli import main

from .opened import AXE, CONTRAST, MARK_LOOKS, WCAG, _only_signs

SITE = Path(os.environ.get("MEKEVAL_DOCS") or "no site").resolve()
#: `make docs-check` builds the site and names it: a site that was named and is not there fails, in `.ci/run` too.
pytestmark = pytest.mark.skipif("MEKEVAL_DOCS" not in os.environ, reason="run by make docs-check")

#: One page of each kind that the site has.
KINDS = (
    "index.html",
    "tutorials/evaluate_your_programme.html",
    "explanation/few_treated_districts.html",
    "reference/costs.html",
    "reference/cli.html",
    "reference/schema.html",
    "gallery/index.html",
    "gallery/estimates.html",
    "study.html",
    "methods.html",
    "disclosure.html",
    "reference/segregation.html",
    "search.html",
    "genindex.html",
)
WIDTHS = (320, 1440)


class _Handler(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The site as a web server of this machine shows it."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, directory=str(SITE))) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[..., tuple[Page, list[str], list[str]]]]:
    """Open a page of the site: the page, what it asked for outside of the site, and what it complained of."""
    contexts = []

    def open_page(base: str, page: str, *, width: int = 1440, scheme: str = "light") -> Any:
        context = browser.new_context(
            viewport={"width": width, "height": 2400},  # side bars are seen whole
            color_scheme=scheme,  # type: ignore[arg-type]
            reduced_motion="reduce",
        )
        contexts.append(context)
        outside: list[str] = []
        console: list[str] = []

        def only_the_site(route: Route, request: Request) -> None:
            if request.url.startswith((base, "data:")):
                route.continue_()
            else:
                outside.append(request.url)
                route.abort()

        context.route("**/*", only_the_site)
        window = context.new_page()
        window.on(
            "console", lambda said: console.append(said.text) if said.type in ("error", "warning") else None
        )
        window.on("pageerror", lambda error: console.append(str(error)))
        window.goto(f"{base}/{page}")
        return window, outside, console

    yield open_page
    for context in contexts:
        context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("page", KINDS)
def test_axe_finds_nothing_and_nothing_comes_from_the_web(
    server: str, visit: Callable[..., Any], page: str, scheme: str
) -> None:
    window, outside, console = visit(server, page, scheme=scheme)
    assert window.evaluate("() => document.documentElement.dataset.theme") == scheme
    window.evaluate("() => document.querySelectorAll('details').forEach(one => { one.open = true; })")
    window.evaluate(AXE)
    window.evaluate(MARK_LOOKS)
    rules = {"type": "tag", "values": WCAG}
    if scheme == "dark":
        rules = {"type": "rule", "values": ["link-in-text-block"]}
    # Contrast takes nine tenths of axe's time: of all words that look alike it sees two.
    asked = (
        (None, {"runOnly": rules, "rules": {CONTRAST: {"enabled": False}}}),
        ("[data-look]", {"runOnly": {"type": "rule", "values": [CONTRAST]}}),
    )
    results = [
        window.evaluate(
            """([within, options]) => axe.run(within ? {include: [[within]]} : document,
              {...options, resultTypes: ['violations', 'incomplete'], preload: false})""",
            [within, options],
        )
        for within, options in asked
    ]
    # What axe cannot judge counts as well, but for the contrast of single signs in formulas.
    told = [
        f"{one['id']} ({len(one['nodes'])}): {one['nodes'][0]['html'][:200]}"
        for found in results
        for one in (*found["violations"], *(one for one in found["incomplete"] if not _only_signs(one)))
    ]
    assert told == []
    assert outside == [] == console


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("page", KINDS)
def test_nothing_is_wider_than_the_window(
    server: str, visit: Callable[..., Any], screens: Path, page: str, width: int
) -> None:
    window, _, _ = visit(server, page, width=width)
    window.screenshot(path=screens / f"docs-{page.removesuffix('.html').replace('/', '-')}-{width}.png")
    assert window.evaluate("() => document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("place", ["server", "file"])
def test_the_search_finds_a_function_a_command_and_a_key(
    server: str, visit: Callable[..., Any], place: str
) -> None:
    """Typed into the box that every page has; neither a server nor the web is needed."""
    base = server if place == "server" else SITE.as_uri()
    for words, page in (
        ("honest_bounds", "reference/sensitivity.html#mekeval.honest_bounds"),
        ("scheduler", "scheduling.html"),
        ("minimum_base", "study.html"),
    ):
        window, outside, _ = visit(base, "index.html")
        window.keyboard.press("Control+k")
        window.keyboard.type(words)
        window.keyboard.press("Enter")
        window.wait_for_selector("#search-results ul.search li a")
        window.wait_for_function(
            "() => /[0-9]/.test(document.querySelector('.search-summary')?.textContent ?? '')"
        )
        links = window.evaluate("() => [...document.querySelectorAll('ul.search li a')].map(one => one.href)")
        assert any(page in link for link in links), (words, links)
        assert outside == []


class _Read(HTMLParser):
    """Identifiers, links and loaded files of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.alts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.ids.update(filter(None, (given.get("id"), given.get("name"))))
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        elif tag == "img":
            self.alts.append(given.get("alt", ""))
        if tag in ("link", "use", "image"):
            self.loaded.append(given.get("href", ""))
        self.loaded += [given[name] for name in ("src", "poster", "data", "srcset") if name in given]


@cache
def _read(path: Path) -> _Read:
    read = _Read()
    read.feed(path.read_text(encoding="utf-8"))
    return read


def _pages() -> list[Path]:
    return sorted(SITE.rglob("*.html"))


def test_every_page_and_style_sheet_loads_files_of_the_site_alone() -> None:
    loaded = [(path.name, url) for path in _pages() for url in _read(path).loaded]
    for path in SITE.rglob("*.css"):
        css = re.sub(r"/\*.*?\*/", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        loaded += [(path.name, url.strip("'\" ")) for url in re.findall(r"url\(([^)]*)\)", css)]
        loaded += [(path.name, url) for url in re.findall(r"@import\s+[\"']([^\"']+)", css)]
    assert len(loaded) > 100
    assert [
        one for one in loaded if urlsplit(one[1]).netloc or urlsplit(one[1]).scheme not in ("", "data")
    ] == []


def test_every_link_within_the_site_leads_somewhere() -> None:
    broken, followed = [], 0
    for path in _pages():
        for link in _read(path).links:
            where = urlsplit(urljoin(path.as_uri(), link))
            if where.scheme != "file":
                continue
            target = Path(unquote(where.path))
            found = target.is_file() and (
                not where.fragment or target.suffix != ".html" or unquote(where.fragment) in _read(target).ids
            )
            followed += 1
            if not found and link != "#":
                broken.append(f"{path.relative_to(SITE)}: {link}")
    assert broken == []
    assert followed > 1000


def test_every_public_name_and_command_has_its_place() -> None:
    ids = {one for path in (SITE / "reference").glob("*.html") for one in _read(path).ids}
    assert {f"mekeval.{name}" for name in mekeval.__all__ if name != "__version__"} <= ids
    page = (SITE / "reference" / "cli.html").read_text(encoding="utf-8")
    shown = re.sub(r"<[^>]+>", "", page)
    commands = [
        *main.commands.items(),  # type: ignore[attr-defined]
        *((f"plan {name}", one) for name, one in main.commands["plan"].commands.items()),  # type: ignore[attr-defined]
    ]
    for name, command in commands:
        assert f"mekeval {name}" in shown
        for option in command.params:
            assert all(spelling in shown for spelling in option.opts if spelling.startswith("--")), (
                name,
                option,
            )


def test_every_figure_of_the_gallery_is_there_with_words_for_those_who_do_not_see_it() -> None:
    pages = [path for path in (SITE / "gallery").glob("*.html") if path.stem != "index"]
    alts = [alt for path in pages for alt in _read(path).alts]
    assert len(alts) >= sum(name.startswith("plot_") for name in mekeval.__all__)
    assert all(len(alt.split()) >= 8 for alt in alts)


def test_the_gallery_begins_with_every_figure_as_a_link_to_its_code() -> None:
    index = (SITE / "gallery" / "index.html").read_text(encoding="utf-8")
    links = re.findall(
        r'<li><a href="(\w+\.html)#([\w-]+)"><img alt="(\w[^"]+)" [^>]*src="([^"]+)"><span>(\w+)</span>',
        index,
    )
    assert sorted(name for *_, name in links) == [
        name for name in mekeval.__all__ if name.startswith("plot_")
    ]
    for page, place, kind, picture, name in links:
        shown = _read(SITE / "gallery" / page)
        assert place == name.replace("_", "-") and place in shown.ids
        assert any(alt.startswith(f"{kind}. ") for alt in shown.alts)
        assert (SITE / "gallery" / picture).read_bytes().startswith(b"<svg")


def test_formulas_are_in_the_page() -> None:
    page = (SITE / "methods.html").read_text(encoding="utf-8")
    assert page.count("<math") > 20
    assert "\\frac" not in page
