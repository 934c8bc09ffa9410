"""What a browser may do with a page: show it, with the one style sheet and the one script it holds, and follow links.

In: the texts of a page's style sheet and script, targets of links. Out: its content security policy, the targets that
may stand. Never: a permission to fetch, a link that would run code.
"""

from __future__ import annotations

import base64
import hashlib
import re
from urllib.parse import urlsplit

from ..errors import MekevalError

__all__ = ["content_policy", "link_fault", "safe_href"]

_LINK_SCHEMES = frozenset({"", "http", "https", "mailto", "tel"})


def content_policy(style: str, script: str = "") -> str:
    r"""The content security policy of a self-contained page.

    Nothing is fetched, framed, sent or run but the inline style sheet and script given here, each by its hash.
    Attributes such as ``style="..."`` and ``onclick="..."`` are blocked, in SVG too: use classes.

    Parameters
    ----------
    style, script : str
        Exactly what stands between the tags, line ends included; empty where the page has none.

    Returns
    -------
    str
        The ``content`` of ``<meta http-equiv="Content-Security-Policy">``, to stand before what it governs.

    Raises
    ------
    MekevalError
        A text would end its own element: the browser would hash, and run, something else than what was given.

    Notes
    -----
    A policy in the page cannot forbid that others frame it; a server can, with ``frame-ancestors 'none'``.

    References
    ----------
    W3C (2024). Content Security Policy Level 3, section 2.3.1 (hash-source).

    Examples
    --------
    >>> content_policy("")
    "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'"
    >>> content_policy("", "alert(1)").split("; ")[2]
    "script-src 'sha256-bhHHL3z2vDgxUt0W3dWQOrprscmda2Y5pLsLg4GF+pI='"
    """
    parts = ["default-src 'none'", "img-src data:"]
    for kind, text in (("style", style), ("script", script)):
        if not text:
            continue
        if re.search(rf"</{kind}|<!--", text, flags=re.IGNORECASE):
            raise MekevalError(
                "An inline text would end its own element.",
                where=f"the page's {kind}",
                expected=f"no </{kind} and no <!--",
            )
        # Browsers hash the text after the parser has made all line ends LF.
        text = re.sub(r"\r\n?", "\n", text)
        digest = base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
        parts.append(f"{kind}-src 'sha256-{digest}'")
    return "; ".join([*parts, "base-uri 'none'", "form-action 'none'"])


def safe_href(target: str) -> str:
    """Pass the target of a link through, or refuse one that would run code.

    Examples
    --------
    >>> safe_href("2024/hakunila.fi.html")
    '2024/hakunila.fi.html'
    """
    if (reason := link_fault(target)) is not None:
        raise MekevalError(
            "A link has a target that may not be published.",
            found=repr(target),
            expected="a relative address, http, https, mailto or tel",
            fix=reason,
        )
    return target


def link_fault(target: str) -> str | None:
    """How to mend the target of a link that may not be published; None for one that may."""
    if any(ord(character) < 32 for character in target):
        return "Remove the control characters."
    try:
        scheme = urlsplit(target.strip()).scheme
    except ValueError:
        return "Mend the address; it cannot be read."
    return None if scheme.lower() in _LINK_SCHEMES else "Link to a page or a file."
