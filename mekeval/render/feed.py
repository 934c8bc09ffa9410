"""The feed of new reports, for those who want to be told (Atom, RFC 4287).

In: names, times and words of reports. Out: one XML document, the same for the same reports. Never: the time of day at
which it was written, an identifier that changes with the address, or an address that was not given.
"""

from __future__ import annotations

import datetime
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

from ..text import visible

__all__ = ["FeedEntry", "atom_feed"]

#: Names of sets and reports are made identifiers in this space, whatever address they are published at.
_SPACE = uuid.UUID("6d656b65-7661-5c00-8000-736974650001")
#: What no XML 1.0 document may hold, even as a reference.
_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, kw_only=True)
class FeedEntry:
    """One report.

    Attributes
    ----------
    name : str
        Of the report within its set; its identifier follows from both, and never changes.
    title, summary : str
        Plain text.
    href : str
        Address of the report, relative to the feed.
    updated : datetime.datetime
        Since when the report has been as it is; with a time zone.
    """

    name: str
    title: str
    summary: str
    href: str
    updated: datetime.datetime


def atom_feed(
    entries: Sequence[FeedEntry],
    *,
    name: str,
    language: str,
    title: str,
    subtitle: str,
    author: str,
    href: str,
    page: str,
    updated: datetime.datetime,
    generator: str,
    base: str = "",
) -> str:
    """Write a feed.

    Parameters
    ----------
    entries : sequence of FeedEntry
        Shown newest first; reports of one second by name.
    name : str
        Of the set; with `language` it decides the feed's identifier.
    language : str
    title, subtitle, author : str
        Plain text; the subtitle is left out when empty.
    href, page : str
        Addresses of the feed and of the page it belongs to, relative to `base`.
    updated : datetime.datetime
        Of the feed when it has no entries; otherwise that of the newest entry counts.
    generator : str
        Version of mekeval.
    base : str
        Address of the folder, ending with a slash. Without it all addresses are relative, as RFC 4287 allows; many
        readers then show titles that lead nowhere.

    Returns
    -------
    str
        XML in UTF-8.

    References
    ----------
    Nottingham, M., and Sayre, R. (2005). The Atom Syndication Format. RFC 4287.

    Examples
    --------
    >>> import datetime
    >>> made = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC)
    >>> one = FeedEntry(name="2025/city.en", title="Vantaa 2025", summary="", href="2025/city.en.html", updated=made)
    >>> feed = atom_feed([one], name="mek", language="en", title="Reports", subtitle="", author="MEK",
    ...     href="feed.xml", page="index.html", updated=made, generator="1")
    >>> "<updated>2026-03-01T12:00:00Z</updated>" in feed
    True
    """
    ordered = sorted(entries, key=lambda entry: entry.name)
    ordered.sort(key=lambda entry: entry.updated, reverse=True)
    feed = ElementTree.Element("feed", {"xmlns": "http://www.w3.org/2005/Atom", "xml:lang": language})
    _text(feed, "id", _identifier(f"{name}\n{language}"))
    _text(feed, "title", title)
    if subtitle:
        _text(feed, "subtitle", subtitle)
    _text(feed, "updated", _moment(ordered[0].updated if ordered else updated))
    _text(_text(feed, "author", ""), "name", author)
    links = (("self", href, "application/atom+xml"), ("alternate", page, "text/html"))
    for relation, target, kind in links:
        ElementTree.SubElement(feed, "link", {"rel": relation, "type": kind, "href": base + target})
    _text(feed, "generator", "mekeval").set("version", generator)
    for one in ordered:
        entry = ElementTree.SubElement(feed, "entry")
        _text(entry, "id", _identifier(f"{name}\n{one.name}"))
        _text(entry, "title", one.title)
        _text(entry, "updated", _moment(one.updated))
        attributes = {"rel": "alternate", "type": "text/html", "hreflang": language, "href": base + one.href}
        ElementTree.SubElement(entry, "link", attributes)
        _text(entry, "summary", one.summary)
    ElementTree.indent(feed)
    body = ElementTree.tostring(feed, encoding="unicode", short_empty_elements=True)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{body}\n'


def _text(parent: ElementTree.Element, tag: str, text: str) -> ElementTree.Element:
    child = ElementTree.SubElement(parent, tag)
    child.text = _NO_XML.sub("\N{REPLACEMENT CHARACTER}", visible(text)) or None
    return child


def _identifier(name: str) -> str:
    return f"urn:uuid:{uuid.uuid5(_SPACE, name)}"


def _moment(time: datetime.datetime) -> str:
    """A second in UTC, as RFC 3339 writes it."""
    return time.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
