"""A Sphinx directive: every picture of some pages, small, as a link to the code that draws it.

In: pages whose sections each end in a picture, named in the body of `{thumbnails}`. Out: a list of links, and the
pictures as files. Never: a picture that the page itself does not show.
"""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Iterator
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

#: A picture with the first words of its alternative text, which say of what kind it is.
PICTURE = re.compile(
    r'<img alt="([^".]+)[^"]*" width="(\d+)" height="(\d+)" src="data:image/svg\+xml;base64,([^"]+)"'
)
#: Below the pages, beside the pictures that Sphinx itself copies.
FOLDER = Path("_images") / "thumbnails"


class thumbnails(nodes.General, nodes.Element):  # noqa: N801 - docutils names its nodes so
    """Where the list is to stand."""


class Thumbnails(SphinxDirective):
    """The pages are named in the body, one in a line, from the folder of the page."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        folder = Path(self.env.docname).parent
        return [thumbnails(pages=[str(folder / line.strip()) for line in self.content if line.strip()])]


def _shown(app: Sphinx, doctree: nodes.document, page: str) -> None:
    for place in list(doctree.findall(thumbnails)):
        lists = []
        for named in place["pages"]:
            items = "".join(_items(app, page, named))
            title = html.escape(app.env.titles[named].astext())
            lists.append(f'<p class="thumbnails-of">{title}</p>\n<ul class="thumbnails">\n{items}</ul>\n')
        place.replace_self(nodes.raw("", "".join(lists), format="html"))


def _items(app: Sphinx, page: str, named: str) -> Iterator[str]:
    """A list item for the picture of each section, which is written as a file."""
    above = "../" * page.count("/")
    for section in app.env.get_doctree(named).findall(nodes.section):
        found = [match for raw in section.findall(nodes.raw) if (match := PICTURE.search(raw.astext()))]
        if not found or isinstance(section.parent, nodes.document):
            continue
        kind, width, height, content = found[-1].groups()
        picture = base64.b64decode(content)
        file = FOLDER / f"{section['ids'][0]}-{hashlib.sha256(picture).hexdigest()[:8]}.svg"
        (Path(app.outdir) / FOLDER).mkdir(parents=True, exist_ok=True)
        (Path(app.outdir) / file).write_bytes(picture)
        address = f"{app.builder.get_relative_uri(page, named)}#{section['ids'][0]}"
        yield (
            f'<li><a href="{address}"><img alt="{kind}" width="{width}" height="{height}" loading="lazy" '
            f'src="{above}{file.as_posix()}"><span>{html.escape(section[0].astext())}</span></a></li>\n'
        )


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_node(thumbnails)
    app.add_directive("thumbnails", Thumbnails)
    app.connect("doctree-resolved", _shown)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
