"""The site by keyboard and by its filters, with and without a script; nothing of it needs a server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from mekeval.text import LANGUAGES

from .made_pages import Pages
from .made_site import OUTCOMES, YEARS, make_site
from .opened import Opened

#: Every control that can be seen, in the order of the page; of buttons that exclude each other only the chosen one.
CONTROLS = """() => [...document.querySelectorAll(
    'a[href], button, input, select, textarea, summary, [tabindex="0"]')]
  .filter(one => one.checkVisibility({visibilityProperty: true}) && !one.disabled)
  .filter(one => one.type !== 'radio' || one.checked)
  .map((one, at) => { one.dataset.stop = at; return one.outerHTML.slice(0, 90); })"""
FOCUSED = """() => {
  const one = document.activeElement;
  if (!one || one === document.body) return null;
  const box = one.getBoundingClientRect();
  const ring = at => { const style = getComputedStyle(at);
    return style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2; };
  const labelled = one.type === 'radio' && one.nextElementSibling;
  const shown = labelled ? [one, one.nextElementSibling, one.parentElement] : [one];
  return {
    stop: Number(one.dataset.stop),
    html: one.outerHTML.slice(0, 90),
    ring: shown.some(ring),
    inside: box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth,
  };
}"""
SEEN = """selector => [...document.querySelectorAll(selector)].filter(one => one.checkVisibility()).length"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_site(tmp_path_factory.mktemp("site"))


def index(site: Path, language: str) -> Path:
    return site / ("index.html" if language == "fi" else f"index.{language}.html")


def walk(page: Page) -> tuple[list[str], list[dict[str, Any]]]:
    """All controls, and those that the tab key comes to, one after the other."""
    controls = page.evaluate(CONTROLS)
    stops = []
    for _ in range(len(controls) + 5):
        page.keyboard.press("Tab")
        stop = page.evaluate(FOCUSED)
        if stop is None:
            break
        stops.append(stop)
    return controls, stops


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_on_a_site_of_two_years(
    site: Path, opened: Callable[..., Opened], language: str, scheme: str
) -> None:
    window = opened(index(site, language), scheme=scheme)
    assert window.violations() == []
    assert window.console == [] == window.requests
    assert window.page.evaluate("() => document.documentElement.lang") == language


@pytest.mark.parametrize("width", [320, 1440])
def test_the_tab_key_reaches_every_control_in_order_and_shows_where_it_is(
    site: Path, opened: Callable[..., Opened], width: int
) -> None:
    controls, stops = walk(opened(index(site, "fi"), width=width).page)
    assert len(controls) > 20
    assert [stop["stop"] for stop in stops] == list(range(len(controls)))
    assert [stop["html"] for stop in stops if not stop["ring"] or not stop["inside"]] == []


@pytest.mark.parametrize("kind", ["district", "city", "quality", "community_quarter"])
def test_the_tab_key_reaches_every_control_of_a_report(
    pages: Pages, opened: Callable[..., Opened], kind: str
) -> None:
    controls, stops = walk(opened(pages.path(kind, "fi")).page)
    assert len(controls) > 5
    assert [stop["stop"] for stop in stops] == list(range(len(controls)))
    assert [stop["html"] for stop in stops if not stop["ring"] or not stop["inside"]] == []


@pytest.mark.parametrize("kind", ["site", "district"])
def test_the_first_control_skips_to_the_content(
    site: Path, pages: Pages, opened: Callable[..., Opened], kind: str
) -> None:
    page = opened(index(site, "fi") if kind == "site" else pages.path(kind, "fi")).page
    page.keyboard.press("Tab")
    first = page.evaluate(FOCUSED)
    assert 'class="skip"' in first["html"] and first["inside"]
    page.keyboard.press("Enter")
    assert page.evaluate("() => document.activeElement.id") == "content"
    page.keyboard.press("Tab")
    assert page.evaluate("() => !!document.activeElement.closest('main')")


def test_a_fold_out_opens_by_keyboard(pages: Pages, opened: Callable[..., Opened]) -> None:
    page = opened(pages.path("district", "fi")).page
    page.evaluate("() => document.querySelector('figure details > summary').focus()")
    assert page.evaluate(SEEN, "figure details table") == 0
    page.keyboard.press("Enter")
    assert page.evaluate(SEEN, "figure details table") == 1


@pytest.mark.parametrize("javascript", [True, False])
def test_filters_choose_a_year_and_an_outcome(
    site: Path, opened: Callable[..., Opened], *, javascript: bool
) -> None:
    """By the keyboard alone, and without a script too."""
    page = opened(index(site, "en"), javascript=javascript).page
    years, heads = page.locator("section.year"), page.locator(".site-matrix thead th.o:visible")
    # The newest year and all outcomes come first.
    assert [one.is_visible() for one in years.all()] == [True, False]
    assert heads.count() == len(OUTCOMES)
    page.locator(f"#year-{max(YEARS)}").focus()
    page.keyboard.press("ArrowDown")
    assert page.locator(f"#year-{min(YEARS)}").is_checked()
    assert [one.is_visible() for one in years.all()] == [False, True]
    page.keyboard.press("ArrowDown")
    assert page.locator("#year-all").is_checked()
    assert [one.is_visible() for one in years.all()] == [True, True]
    page.locator("#outcome-all").focus()
    page.keyboard.press("ArrowDown")
    assert [one.text_content() for one in heads.all()] == [f"Outcome {OUTCOMES[0]} en"] * len(YEARS)
    assert page.locator("figure.map:visible").count() == len(YEARS)


def test_what_was_chosen_is_told_and_goes_along_to_the_other_language(
    site: Path, opened: Callable[..., Opened]
) -> None:
    window = opened(index(site, "en"))
    page = window.page
    # A city and four areas a year; the rows that a reader sees are counted.
    assert "5" in (page.locator("#shown").text_content() or "")
    page.locator("#year-all").check()
    assert "10" in (page.locator("#shown").text_content() or "")
    page.locator("#outcome-1").check()
    page.locator("nav a[hreflang=sv]").click()
    page.wait_for_function("() => document.documentElement.lang === 'sv'")
    assert page.locator("#year-all").is_checked() and page.locator("#outcome-1").is_checked()
    assert window.console == [] == window.requests


def test_an_address_leads_to_a_year(site: Path, opened: Callable[..., Opened]) -> None:
    page = opened(index(site, "fi")).page
    page.goto(f"{index(site, 'fi').as_uri()}#y{min(YEARS)}")
    page.reload()
    assert page.locator(f"#y{min(YEARS)}").is_visible()


def test_areas_that_failed_are_told_from_those_of_an_earlier_run(
    site: Path, opened: Callable[..., Opened]
) -> None:
    page = opened(index(site, "en")).page
    page.locator("#year-all").check()
    lost, stale = (page.locator(f"#y{min(YEARS)} tbody tr").nth(at) for at in (3, 4))
    assert lost.locator("th a").count() == 1  # to the error page alone
    assert stale.locator("th a").count() == 2
