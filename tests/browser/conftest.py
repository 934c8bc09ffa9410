"""What the tests in a real browser share: the browser, the pages, and a page that tells what it did.

The browser is the system's Chromium (or the program that MEKEVAL_BROWSER names). Where it is missing these tests are
skipped with that reason, and fail in CI. Pages are made once for all test processes; to work on the tests alone, keep
them in a folder that MEKEVAL_TEST_PAGES names.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from filelock import FileLock
from playwright.sync_api import Browser, sync_playwright

from .made_pages import Pages, make_hostile, make_pages
from .opened import Opened, find_browser


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    program = find_browser()
    if program is None:
        reason = "no Chromium here (apt-get install chromium, or set MEKEVAL_BROWSER)"
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


def _shared(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """A folder that the first of all test processes makes, and the others wait for."""
    base = factory.getbasetemp()
    root = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    root = Path(os.environ.get("MEKEVAL_TEST_PAGES", root))
    root.mkdir(parents=True, exist_ok=True)
    with FileLock(root / f"{name}.lock"):
        if not (root / name / "made").exists():
            shutil.rmtree(root / name, ignore_errors=True)
            (root / name).mkdir(parents=True)
            make(root / name)
            (root / name / "made").touch()
    return root / name


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Pages:
    """The pages of the embedded study and of the embedded records of community work."""
    return Pages(root=_shared(tmp_path_factory, "browser-pages", make_pages))


@pytest.fixture(scope="session")
def hostile_pages(tmp_path_factory: pytest.TempPathFactory) -> Pages:
    """The same study, each of whose names, labels and notes attacks."""
    return Pages(root=_shared(tmp_path_factory, "hostile-pages", make_hostile))


@pytest.fixture(scope="session")
def screens() -> Path:
    """Where pictures of the pages are kept for people to look at."""
    folder = Path(__file__).resolve().parents[2] / "build" / "screens"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
