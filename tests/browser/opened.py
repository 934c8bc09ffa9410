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
CONTRAST = "color-contrast"

#: The scroll shadows of tables are gradients in the colour of the page: axe cannot judge words on a gradient.
UNFOLD = """() => {
  document.querySelectorAll('details').forEach(one => { one.open = true; });
  document.querySelectorAll('.table-scroll').forEach(one => { one.style.background = 'none'; });
}"""

#: The contrast of words follows from how they look and from what lies behind them. Marks, of all words and fields that
#: look alike on the same backgrounds, the first and the longest.
MARK_LOOKS = """() => {
  const behind = new Map(), looks = new Map();
  const layers = one => {
    if (!one || one === document) return '';
    if (!behind.has(one)) {
      const style = getComputedStyle(one);
      const own = [style.backgroundColor, style.backgroundImage, style.opacity].join();
      behind.set(one, layers(one.parentNode) + (own === 'rgba(0, 0, 0, 0),none,1' ? '' : '|' + own));
    }
    return behind.get(one);
  };
  for (const one of document.querySelectorAll('body, body *')) {
    const words = [...one.childNodes].filter(part => part.nodeType === Node.TEXT_NODE)
      .map(part => part.textContent.trim()).join('');
    if (!words && !one.matches('input, select, textarea')) continue;
    const style = getComputedStyle(one);
    const look = [one.tagName, one.getAttribute('class'), style.color, style.fontSize, style.fontWeight,
      style.textShadow, layers(one)].join(';');
    const known = looks.get(look);
    if (!known) looks.set(look, {first: one, longest: one, length: words.length});
    else if (words.length > known.length) { known.longest = one; known.length = words.length; }
  }
  for (const {first, longest} of looks.values())
    [first, longest].forEach(one => one.setAttribute('data-look', ''));
}"""

#: The one without a head comes first: it takes half the time of a whole browser.
PROGRAMS = (
    "chromium-headless-shell",
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
)


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

    def violations(self, *rules: str) -> list[str]:
        """What axe finds wrong, or cannot judge, on the page with all parts unfolded."""
        return _faults(self.axe(*rules))

    def violations_by_look(self) -> list[str]:
        """The same, with the contrast of two of all words that look alike: nine tenths of axe's time go into it."""
        return _faults(self.axe(without=(CONTRAST,))) + self.contrast_by_look()

    def contrast_by_look(self) -> list[str]:
        """What axe finds too faint, or cannot judge, of two of all words that look alike."""
        self.page.evaluate(UNFOLD)  # words that are folded away have no look
        self.page.evaluate(MARK_LOOKS)
        return _faults(self.axe(CONTRAST, within="[data-look]"))

    def axe(
        self,
        *rules: str,
        tags: tuple[str, ...] = WCAG,
        without: tuple[str, ...] = (),
        within: str | None = None,
    ) -> dict[str, Any]:
        """What axe says by these rules, or else by those with these tags, of the page or of what a selector finds."""
        self.page.evaluate(UNFOLD)
        if not self.page.evaluate("() => 'axe' in window"):
            self.page.evaluate(AXE)
        only = {"type": "rule", "values": rules} if rules else {"type": "tag", "values": tags}
        options = {
            "runOnly": only,
            "rules": {rule: {"enabled": False} for rule in without},
            "resultTypes": ["violations", "incomplete"],
        }
        result: dict[str, Any] = self.page.evaluate(
            "([within, options]) => axe.run(within ? {include: [[within]]} : document, options)",
            [within, options],
        )
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


def _faults(found: dict[str, Any]) -> list[str]:
    open_ones = [one for one in found["incomplete"] if not _only_signs(one)]
    return [_told(one) for one in (*found["violations"], *open_ones)]


def _only_signs(one: dict[str, Any]) -> bool:
    """Whether axe could not judge the contrast of single signs alone: a symbol beside a word, in its colour."""
    reasons = {(check.get("data") or {}).get("messageKey") for node in one["nodes"] for check in node["any"]}
    return one["id"] == CONTRAST and reasons <= {"nonBmp", "shortTextContent"}


def _told(one: dict[str, Any]) -> str:
    """A fault in a line: the rule, how often, and its first place."""
    nodes = one["nodes"]
    why = " ".join(str(nodes[0].get("failureSummary", one["help"])).split())
    return f"{one['id']} ({len(nodes)}): {nodes[0]['html'][:200]} | {why[:300]}"
