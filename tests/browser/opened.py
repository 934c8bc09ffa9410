"""A page in a window of the browser, with all that it said, asked for or tried."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import axe_playwright_python
from playwright.sync_api import Browser, ConsoleMessage, Dialog, Request, Route

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
WCAG = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa")

#: The scroll shadows of tables are gradients in the colour of the page: axe cannot judge words on a gradient.
UNFOLD = """most => {
  [...document.querySelectorAll('details')].slice(0, most).forEach(one => { one.open = true; });
  document.querySelectorAll('.table-scroll').forEach(one => { one.style.background = 'none'; });
}"""


PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find_browser() -> str | None:
    """The system's Chromium, or the program that MEKEVAL_BROWSER names; None where it is missing."""
    named = os.environ.get("MEKEVAL_BROWSER")
    return shutil.which(named) if named else next(filter(None, map(shutil.which, PROGRAMS)), None)


class Opened:
    """A file in a window; nothing but the file itself is let through.

    Attributes
    ----------
    page : playwright.sync_api.Page
    console : list of str
        Warnings and errors, those of the content security policy among them.
    requests : list of str
        What the page asked for, apart from files that it was led to by a link.
    dialogs : list of str
    """

    def __init__(
        self,
        browser: Browser,
        path: Path,
        *,
        width: int = 1440,
        height: int = 900,
        scheme: str = "light",
        javascript: bool = True,
    ) -> None:
        self.console: list[str] = []
        self.requests: list[str] = []
        self.dialogs: list[str] = []
        self._context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=scheme,  # type: ignore[arg-type]
            java_script_enabled=javascript,
            reduced_motion="reduce",
        )
        self._context.route("**/*", self._only_files)
        self.page = self._context.new_page()
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.console.append(f"error: {error}"))
        self.page.on("dialog", self._asked)
        self.page.goto(path.resolve().as_uri())

    def close(self) -> None:
        self._context.close()

    def violations(self, *rules: str, unfolded: int = 1000) -> list[str]:
        """What axe finds wrong, or cannot judge, on the page with its first parts unfolded."""
        found = self.axe(*rules, unfolded=unfolded)
        open_ones = [one for one in found["incomplete"] if not _only_signs(one)]
        return [_told(one) for one in (*found["violations"], *open_ones)]

    def axe(self, *rules: str, tags: tuple[str, ...] = WCAG, unfolded: int = 1000) -> dict[str, Any]:
        self.page.evaluate(UNFOLD, unfolded)
        if not self.page.evaluate("() => 'axe' in window"):
            self.page.evaluate(AXE)
        only = {"type": "rule", "values": rules} if rules else {"type": "tag", "values": tags}
        options = {"runOnly": only, "resultTypes": ["violations", "incomplete"]}
        result: dict[str, Any] = self.page.evaluate("options => axe.run(document, options)", options)
        return result

    def _only_files(self, route: Route, request: Request) -> None:
        if request.url.startswith("file:") and request.is_navigation_request():
            route.continue_()
        else:
            self.requests.append(request.url[:200])
            route.abort()

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.console.append(f"{message.type}: {message.text}")

    def _asked(self, dialog: Dialog) -> None:
        self.dialogs.append(dialog.message)
        dialog.dismiss()


def _only_signs(one: dict[str, Any]) -> bool:
    """Whether axe could not judge the contrast of single signs alone: a symbol beside a word, in its colour."""
    reasons = {(check.get("data") or {}).get("messageKey") for node in one["nodes"] for check in node["any"]}
    return one["id"] == "color-contrast" and reasons <= {"nonBmp", "shortTextContent"}


def _told(one: dict[str, Any]) -> str:
    """A fault in a line: the rule, how often, and its first place."""
    nodes = one["nodes"]
    why = " ".join(str(nodes[0].get("failureSummary", one["help"])).split())
    return f"{one['id']} ({len(nodes)}): {nodes[0]['html'][:200]} | {why[:300]}"
