"""Every kind of page in every language before axe: no violation of WCAG 2.1 A and AA, and none left open."""

from __future__ import annotations

from collections.abc import Callable

from mekeval.text import LANGUAGES, Texts

from .conftest import EVERY
from .made_pages import Pages
from .opened import Opened

#: Alternative texts that programs give when nobody wrote one.
DEFAULTS = {
    "image",
    "picture",
    "figure",
    "chart",
    "plot",
    "kuva",
    "kuvio",
    "bild",
    "figur",
    "no description has been provided for this image",
}

OUTLINE = """() => ({
  language: document.documentElement.lang,
  headings: [...document.querySelectorAll('h1,h2,h3,h4,h5,h6')].map(one => Number(one.tagName[1])),
  empty: [...document.querySelectorAll('h1,h2,h3,h4,h5,h6,a,button,summary,caption,th[scope=col]')]
    .filter(one => !one.textContent.trim() && !one.getAttribute('aria-label')).map(one => one.outerHTML),
  alts: [...document.querySelectorAll('img')].map(one => one.getAttribute('alt')),
  drawings: [...document.querySelectorAll('svg')]
    .filter(one => one.getAttribute('aria-hidden') !== 'true')
    .map(one => one.getAttribute('aria-label') || one.querySelector('title')?.textContent || ''),
  unfolded: [...document.querySelectorAll('figure')].filter(one => one.querySelector('img'))
    .filter(one => !one.querySelector('details table')).length,
  heads: [...document.querySelectorAll('th')].filter(one => !one.scope).length,
  uncaptioned: [...document.querySelectorAll('table')].filter(one => !one.caption?.textContent.trim()).length,
  marks: [...document.querySelectorAll('.verdict, .verdict-mark')].map(one => ({
    code: [...one.classList].find(name => name.startsWith('verdict-') && name !== 'verdict-mark') ?? '',
    text: one.textContent.trim(),
    symbol: getComputedStyle(one, '::before').content,
  })),
})"""


@EVERY
def test_axe_finds_nothing_on_any_page(window: Opened, kind: str, language: str) -> None:
    # The languages share their colours, and a page with a map shares them with the one that has none.
    whole = language == LANGUAGES[0] and kind != "map"
    assert (window.violations() if whole else window.violations_by_look()) == []
    assert window.console == [] == window.requests


def test_a_single_faint_cell_of_hundreds_is_found(pages: Pages, opened: Callable[..., Opened]) -> None:
    window = opened(pages.path("city", "sv"))
    n_cells = window.page.evaluate("""() => {
      const cells = [...document.querySelectorAll('details td')].filter(one => /\\d/.test(one.textContent));
      cells[cells.length >> 1].style.color = 'rgb(190, 190, 190)';
      return cells.length;
    }""")
    assert n_cells > 500
    (fault,) = window.contrast_by_look()
    assert fault.startswith("color-contrast (1): <td")


@EVERY
def test_words_stand_for_every_picture_colour_and_part(window: Opened, kind: str, language: str) -> None:
    page = window.page.evaluate(OUTLINE)
    assert page["language"] == language
    assert page["headings"].count(1) == 1 and page["headings"][0] == 1
    steps = zip(page["headings"], page["headings"][1:], strict=False)
    assert all(after <= before + 1 for before, after in steps)
    assert page["empty"] == []
    said = [alt.strip() for alt in (*page["alts"], *page["drawings"])]
    # An alternative text tells a finding: a sentence with a number in it, or at least with several words.
    assert all(len(alt.split()) >= 3 and alt.lower().strip(".") not in DEFAULTS for alt in said), said
    assert page["unfolded"] == page["heads"] == page["uncaptioned"] == 0
    texts = Texts(language)
    for mark in page["marks"]:
        word = texts(f"verdict.{mark['code'].removeprefix('verdict-')}.word")
        assert word.lower() in mark["text"].lower(), mark
        assert mark["symbol"].strip('"') not in ("", "none", "normal"), mark
