"""What the tests in a real browser share: the browser, the pages, and a page that tells what it did.

The browser is the system's Chromium, without a head where there is such a one, or the program that MEKEVAL_BROWSER
names. Where it is missing these tests are skipped with that reason, and fail in CI. Pages are made once for all test
processes (`made_once`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from mekeval.text import LANGUAGES

from .made_pages import KINDS, Pages, make_hostile, make_pages
from .opened import Opened, find_browser

#: Every kind of page in every language, opened once for all tests of a module that look at it.
EVERY = pytest.mark.parametrize(
    ("window", "kind", "language"),
    [pytest.param((kind, one), kind, one, id=f"{kind}-{one}") for kind in KINDS for one in LANGUAGES],
    indirect=["window"],
    scope="module",
)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    program = find_browser()
    if program is None:
        reason = "no Chromium here (apt-get install chromium-headless-shell, or set MEKEVAL_BROWSER)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        # Debian's Chromium run by root, as in CI, has no sandbox; it opens nothing but our own files.
        running = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture
def opened(browser: Browser) -> Iterator[Callable[..., Opened]]:
    """Open a file in a window of its own; it is closed with the test."""
    windows: list[Opened] = []

    def open_file(path: Path, **settings: object) -> Opened:
        windows.append(Opened(browser, path, **settings))
        return windows[-1]

    yield open_file
    for window in windows:
        window.close()


@pytest.fixture(scope="module")
def window(request: pytest.FixtureRequest, pages: Pages, browser: Browser) -> Iterator[Opened]:
    """A page that several tests look at."""
    window = Opened(browser, pages.path(*request.param))
    yield window
    window.close()


@pytest.fixture(scope="session")
def pages(made_once: Callable[[str, Callable[[Path], None]], Path], ran: Path, mapped: Path) -> Pages:
    """The pages of the embedded study and of the embedded records of community work."""
    return Pages(root=made_once("browser-pages", partial(make_pages, reports=ran, mapped=mapped)))


@pytest.fixture(scope="session")
def hostile_pages(made_once: Callable[[str, Callable[[Path], None]], Path]) -> Pages:
    """The same study, each of whose names, labels and notes attacks."""
    return Pages(root=made_once("hostile-pages", make_hostile))


@pytest.fixture(scope="session")
def screens() -> Path:
    """Where pictures of the pages are kept for people to look at."""
    folder = Path(__file__).resolve().parents[2] / "build" / "screens"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
