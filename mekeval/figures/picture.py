"""What every picture has: its words, its numbers, its source, and the style it is drawn in."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape

import matplotlib
from matplotlib.figure import Figure

from ..tables import Column, Table

#: Inches. Narrow, so that its words can still be read where a telephone shrinks the picture.
WIDTH = 4.6
#: CSS pixels at which a page shows a picture where it has the room.
_SHOWN_WIDTH = 552
INK, MUTED, GRID, SHADE, BAND = "#1c2127", "#545d68", "#dfe3e8", "#e6f0f8", "#c3c9d0"
BLUE, VERMILION, GREEN, PURPLE = (
    "#0072b2",
    "#d55e00",
    "#007a5a",
    "#9a4f7d",
)  # Okabe and Ito; the last two darker
TEXT = 9.0
"""Size of the words in a picture, in points."""
_TAKEN = (
    "axes.",
    "figure.",
    "font.",
    "hatch.",
    "lines.",
    "patch.",
    "path.",
    "savefig.",
    "svg.",
    "text.",
    "xtick.",
    "ytick.",
)


@contextmanager
def style() -> Iterator[None]:
    """Draw in our style on matplotlib's own defaults, whatever the reader has set, and leave his settings alone."""
    with matplotlib.rc_context():
        for name, value in matplotlib.rcParamsDefault.items():
            if name.startswith(_TAKEN):
                matplotlib.rcParams[name] = value
        matplotlib.rcParams.update(
            {
                "font.family": "DejaVu Sans",
                "font.size": TEXT,
                "text.parse_math": False,
                "text.color": INK,
                "axes.edgecolor": MUTED,
                "hatch.linewidth": 0.8,
                "svg.fonttype": "path",
                "svg.hashsalt": "mekeval",
                "figure.dpi": 72.0,  # a pixel is a point: words can be measured against places in the axes
                "savefig.facecolor": "white",
            }
        )
        yield


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A figure with everything that a reader needs beside it; in a notebook it shows itself.

    Attributes
    ----------
    figure : matplotlib.figure.Figure
        `WIDTH` inches wide, without a title: the headline stands under it.
    headline : str
        The finding in one sentence.
    subtitle : str
        What is drawn.
    alt : str
        The finding and its key numbers, for those who do not see the picture.
    source : str
        Where the data come from; it says so where they are synthetic. Left out when empty.
    data : Table
        The numbers behind the picture.
    details : str
        What the fold-out with the numbers is called; the caption of `data` when empty.
    """

    figure: Figure
    headline: str
    subtitle: str
    alt: str
    source: str
    data: Table
    details: str = ""

    def svg(self) -> bytes:
        """The figure as SVG, the same bytes for the same figure; words are drawn as paths."""
        stream = io.BytesIO()
        metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        with style():
            self.figure.savefig(stream, format="svg", metadata=metadata)
        drawn = stream.getvalue().decode("utf-8")
        return _compact(drawn[drawn.index("<svg") :]).encode("utf-8")

    def _repr_html_(self) -> str:
        width, height = self.figure.get_size_inches()
        source = f'<br>\n<span class="note">{escape(self.source)}</span>' if self.source else ""
        return (
            f'<figure>\n<img alt="{escape(self.alt)}" width="{_SHOWN_WIDTH}" '
            f'height="{round(_SHOWN_WIDTH * height / width)}" '
            f'src="data:image/svg+xml;base64,{base64.b64encode(self.svg()).decode("ascii")}">\n'
            f"<figcaption><strong>{escape(self.headline)}</strong>\n{escape(self.subtitle)}{source}</figcaption>\n"
            f"<details><summary>{escape(self.details or self.data.caption)}</summary>\n"
            f"{self.data._repr_html_()}\n</details>\n</figure>"
        )


def _compact(svg: str) -> str:
    """The same picture in fewer characters: no comments, line breaks or long names, places to a tenth of a unit."""
    svg = re.sub(r"\s*<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r"\n\s*", "", svg).replace("DejaVuSans-", "g-")
    svg = re.sub(r'<g id="[^"]*">', "<g>", svg)
    return re.sub(r'(<use xlink:href="[^"]+" transform="translate\(\d+(?:\.\d)?)\d* 0\)', r"\1)", svg)


def headings(first: str, *numbers: str) -> tuple[Column, ...]:
    """Columns of a table whose first one names the row and whose others hold numbers."""
    return (Column(label=first), *(Column(label=label, numeric=True) for label in numbers))
