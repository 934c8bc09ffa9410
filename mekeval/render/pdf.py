"""A page on paper: an accessible PDF (PDF/UA-1) of the same HTML, tagged, titled, with bookmarks.

In: the HTML of a page. Out: the bytes of a PDF file, the same for the same page on the same machine. Never: a picture
without alternative text, a request to the outside, a link that leads nowhere, or a file written.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..errors import Fault, RunError

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

__all__ = ["render_pdf"]

_HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")
#: What a reader of the file can follow: a place in the document, or an address that does not depend on the page's own.
_FOLLOWED = re.compile(r"#.+|https?://.+|mailto:.+|tel:.+", flags=re.IGNORECASE)


def render_pdf(html: str, *, name: str = "") -> bytes:
    """Make the PDF of a page, accessible by PDF/UA-1.

    Parameters
    ----------
    html : str
        A whole page, as `render_report` makes it. Its print style sheet is used.
    name : str
        Of the page, for messages.

    Returns
    -------
    bytes
        A PDF 1.7 file with the page's structure as tags, its language, its title and description, and its headings as
        bookmarks. What the page folds away and its links to other files of the site are not in it.

    Raises
    ------
    RunError
        A picture has no alternative text, or the page no language or title: all such places. A part of the page
        could not be read. WeasyPrint, or the Pango library that it needs, is not there.

    Notes
    -----
    Made by WeasyPrint with the fonts of the machine: another machine may set other lines. The file bears no date and
    its identifier is made of the page, so that a second run gives the same bytes.

    References
    ----------
    ISO 14289-1:2014, Electronic document file format enhancement for accessibility (PDF/UA-1).

    Examples
    --------
    >>> page = '<html lang="en"><head><title>Areas</title></head><body><h1>Areas</h1><img src="data:,"></body></html>'
    >>> render_pdf(page, name="areas.en")
    Traceback (most recent call last):
    mekeval.errors.RunError: A picture has no alternative text.
      where: areas.en, picture 1, under 'Areas'
      to do: Say in alt what the picture shows, in one sentence.
    """
    weasyprint = _weasyprint()
    with _complaints() as complaints:
        page = weasyprint.HTML(string=html, url_fetcher=_fetcher(weasyprint), media_type="print")
        root: Element = page.etree_element
        if faults := list(_faults(root, name)):
            raise RunError.of(faults)
        _name_drawings(root)
        for element in root.iter():
            if _tag(element) == "a" and not _FOLLOWED.fullmatch(element.get("href", "#").strip()):
                element.attrib.pop("href")
            if _tag(element) == "link":  # an icon, or the page in another language
                element.attrib.pop("href", None)
        written: bytes = page.write_pdf(
            finisher=_scope_headings,
            pdf_variant="pdf/ua-1",
            pdf_identifier=hashlib.sha256(html.encode("utf-8")).digest()[:16],
        )
    if complaints:
        raise RunError.of(
            Fault(what="A part of the page cannot be in a PDF.", where=name, found=said)
            for said in complaints
        )
    return written


def _weasyprint() -> Any:
    """The library, or what to do where it or Pango is not there."""
    try:
        import weasyprint
    except ImportError:
        raise RunError("PDF files need WeasyPrint.", fix='pip install "mekeval[pdf]"') from None
    except OSError as cause:
        raise RunError(
            "PDF files need the Pango library.",
            found=str(cause).split("\n", maxsplit=1)[0][:200],
            fix="On Debian and Ubuntu: apt-get install libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0",
        ) from None
    return weasyprint


def _fetcher(weasyprint: Any) -> Any:
    """Reads what is embedded in the page and nothing else."""
    return weasyprint.urls.URLFetcher(allowed_protocols={"data"}, allow_redirects=False)


@contextmanager
def _complaints() -> Iterator[list[str]]:
    """What WeasyPrint could not read or tag; rules of style that paper does not know are no complaint."""
    said: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(re.sub(r"(data:[^,]{0,40},)\S{40,}", r"\1…", record.getMessage())[:300])

    logger, listener = logging.getLogger("weasyprint"), Listener(level=logging.ERROR)
    logger.addHandler(listener)
    try:
        yield said
    finally:
        logger.removeHandler(listener)


def _faults(root: Element, name: str) -> Iterator[Fault]:
    """What PDF/UA asks of a page and a program cannot add."""
    if not _LANGUAGE.fullmatch(root.get("lang", "")):
        yield Fault(
            what="The page does not say its language.",
            where=name,
            found=repr(root.get("lang", "")),
            expected='such as <html lang="fi">',
        )
    titles = [element for element in root.iter() if _tag(element) == "title"]
    if not any("".join(title.itertext()).strip() for title in titles):
        yield Fault(what="The page has no title.", where=name, fix="Give it one in <title>.")
    under, pictures, words = "", 0, _drawings(root)
    for element in root.iter():
        tag = _tag(element)
        if tag in _HEADINGS:
            under = " ".join("".join(element.itertext()).split())
        if tag not in ("img", "svg"):
            continue
        pictures += 1
        if not (element.get("alt", "") if tag == "img" else words.get(element, "")).strip():
            places = [name, f"picture {pictures}", f"under {under!r}" if under else ""]
            yield Fault(
                what="A picture has no alternative text.",
                where=", ".join(place for place in places if place),
                fix="Say in alt what the picture shows, in one sentence.",
            )


def _drawings(root: Element) -> dict[Element, str]:
    """Every drawing of the page, and what it shows in words: its own name, or the words that it stands beside.

    A screen reader passes over a drawing that is hidden from it, for those words say the same. In a PDF every drawing
    is read, so that it bears them.
    """
    said = {}
    for parent in root.iter():
        before = ""
        for child in parent:
            if _tag(child) == "svg":
                hidden = child.get("aria-hidden") == "true"
                titles = ("".join(one.itertext()) for one in child if _tag(one) == "title")
                said[child] = before if hidden else child.get("aria-label") or next(titles, "")
            else:
                before = " ".join("".join(child.itertext()).split()) or before
    return said


def _name_drawings(root: Element) -> None:
    """Put what a drawing shows where WeasyPrint looks for it: into its title."""
    for drawing, said in _drawings(root).items():
        for title in [child for child in drawing if _tag(child) == "title"]:
            drawing.remove(title)
        title = drawing.makeelement(f"{drawing.tag.removesuffix('svg')}title", {})
        title.text = said
        drawing.insert(0, title)


def _scope_headings(_document: Any, pdf: Any) -> None:
    """Say of each heading of a table whether it is of its column or of its row.

    WeasyPrint lists the headings of each cell; not every screen reader follows these lists.
    """
    objects: list[Any] = pdf.objects
    elements = {
        one.reference: one
        for one in objects
        if hasattr(one, "reference") and hasattr(one, "get") and one.get("S")
    }
    for one in elements.values():
        if one["S"] == "/TH":
            section = elements[elements[one["P"]]["P"]]
            one["A"]["Scope"] = "/Column" if section["S"] == "/THead" else "/Row"


def _tag(element: Element) -> str:
    """Name of an element without its name space; nothing for a comment."""
    return str(element.tag).rpartition("}")[2] if not callable(element.tag) else ""
