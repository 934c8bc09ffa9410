"""How pages look: dark, narrow, wide and on paper; pictures of them are kept for people, under build/screens."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from pypdf import PdfReader

from mekeval.text import LANGUAGES

from .conftest import EVERY
from .made_pages import KINDS, Pages
from .opened import Opened

SHOWN = ("district", "city", "index", "quality")
WIDTHS = (320, 1440)
#: What stands out of the window, but for what a reader can scroll to within a part of the page.
WIDE_PARTS = """width => [...document.querySelectorAll('body *')]
  .filter(one => one.getBoundingClientRect().right > width + 1)
  .filter(one => {
    for (let at = one.parentElement; at; at = at.parentElement)
      if (['auto', 'scroll'].includes(getComputedStyle(at).overflowX)) return false;
    return !one.closest('.visually-hidden, .skip');
  })
  .map(one => one.outerHTML.slice(0, 120))"""


@EVERY
def test_nothing_is_wider_than_the_window(window: Opened, screens: Path, kind: str, language: str) -> None:
    page = window.page
    for width in WIDTHS if kind in SHOWN else ():
        page.set_viewport_size({"width": width, "height": 800})
        page.screenshot(path=screens / f"{kind}-{language}-{width}.png")
    page.evaluate("() => document.querySelectorAll('details').forEach(one => { one.open = true; })")
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("() => document.documentElement.scrollWidth") <= width
        assert page.evaluate(WIDE_PARTS, width) == []


@EVERY
def test_contrast_is_enough_on_dark_pages(window: Opened, kind: str, language: str) -> None:
    window.page.emulate_media(color_scheme="dark")
    assert window.page.evaluate("() => matchMedia('(prefers-color-scheme: dark)').matches")
    assert window.contrast_by_look() == []
    assert window.violations("link-in-text-block") == []
    assert window.console == [] == window.requests


@pytest.mark.parametrize("kind", KINDS)
def test_words_twice_as_large_still_fit(pages: Pages, opened: Callable[..., Opened], kind: str) -> None:
    """WCAG 1.4.4: a reader who doubles the size of the words loses nothing."""
    window = opened(pages.path(kind, "fi"), width=1280)
    window.page.evaluate("() => { document.documentElement.style.fontSize = '212.5%'; }")
    assert window.page.evaluate("() => document.documentElement.scrollWidth") <= 1280


@pytest.mark.parametrize(("kind", "most"), [("district", 30), ("city", 60), ("index", 4), ("quality", 40)])
def test_a_page_prints_on_so_many_sheets(
    pages: Pages, opened: Callable[..., Opened], kind: str, most: int
) -> None:
    window = opened(pages.path(kind, "fi"))
    printed = PdfReader(io.BytesIO(window.page.pdf(format="A4", prefer_css_page_size=True)))
    texts = [sheet.extract_text() for sheet in printed.pages]
    assert 1 <= len(texts) <= most
    assert all(text.strip() for text in texts)  # no sheet is empty


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", KINDS)
def test_pages_are_light(pages: Pages, kind: str, language: str) -> None:
    assert pages.path(kind, language).stat().st_size < 1_500_000
