"""What every picture has: its words, its numbers, its source, and the style it is drawn in.

In: a matplotlib figure and what is said of it. Out: `Picture`. Never: a reader's own settings changed.
"""

from __future__ import annotations

import base64
import re
import string
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from types import MappingProxyType
from typing import Any

import matplotlib
from matplotlib import RcParams
from matplotlib.figure import Figure

from ..tables import Column, Table, csv_link
from .svg import line_width, written_svg

#: Inches. Narrow, so that its words can still be read where a telephone shrinks the picture.
WIDTH = 4.6
#: CSS pixels at which a page shows a picture where it has the room.
_SHOWN_WIDTH = 552
INK, MUTED, GRID, SHADE, BAND = "#1c2127", "#545d68", "#dfe3e8", "#e6f0f8", "#c3c9d0"
#: So pale that words of any of our colours can be read on it: what it fills has an outline.
PALE = "#eceff2"
#: Told apart also with a colour vision deficiency, and dark enough for words on white and on `SHADE`.
BLUE, VERMILION, GREEN, PURPLE = "#0068a6", "#b54a00", "#28784c", "#8f4378"
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


@lru_cache(maxsize=1)
def _settings() -> Any:
    """Our style on matplotlib's own defaults, checked by matplotlib once."""
    ours: Any = RcParams(
        {name: value for name, value in matplotlib.rcParamsDefault.items() if name.startswith(_TAKEN)}
    )
    ours.update(
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
    return MappingProxyType(dict(ours))


@contextmanager
def style() -> Iterator[None]:
    """Draw in our style on matplotlib's own defaults, whatever the reader has set, and leave his settings alone."""
    before = {name: value for name, value in dict.items(matplotlib.rcParams) if name.startswith(_TAKEN)}
    # All of them have been checked: to do so again, as matplotlib's own context does, takes longer than to draw.
    dict.update(matplotlib.rcParams, _settings())
    try:
        yield
    finally:
        dict.update(matplotlib.rcParams, before)


def warm_up() -> None:
    """Have letters, and the numbers that most scales have, at hand, for processes that are forked from this one."""
    line_width("0", TEXT)  # outside of our style the font is looked up by itself
    signed = [f"{sign}{number}" for sign in "+\N{MINUS SIGN}" for number in range(1, 11)]
    numbers = [*signed, *map(str, range(31)), *map(str, range(2008, 2031))]
    with style():
        figure = Figure(figsize=(1, 1))
        for weight in ("normal", "bold"):
            figure.text(0, 0, string.printable.strip() + "ÄÖÅäöå\N{MINUS SIGN}\N{EN DASH}", weight=weight)
            for size in (TEXT, 8, 7.5):
                figure.text(0, 0, "0", weight=weight, size=size)
        for number in numbers:
            figure.text(0, 0, number)
        _compact(written_svg(figure))


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
    download : str
        What the link to the numbers as CSV says; no link when empty.
    file : str
        From it the name of that file is made; from the headline when empty.

    Examples
    --------
    The figure is matplotlib's own and can be restyled before it is shown or saved:

    >>> import pandas as pd
    >>> from mekeval.figures import About, plot_forest
    >>> table = pd.DataFrame({"name": ["A", "B"], "estimate": [1.0, 2.0], "low": [-1.0, 1.0], "high": [3.0, 3.0]})
    >>> picture = plot_forest(table, about=About(outcome="Rate", unit="percent"))
    >>> axes = picture.figure.axes[0]
    >>> _ = axes.set_title("My title")
    >>> axes.set_facecolor("whitesmoke")
    >>> picture.figure.savefig("mine.pdf")  # doctest: +SKIP
    """

    figure: Figure
    headline: str
    subtitle: str
    alt: str
    source: str
    data: Table
    details: str = ""
    download: str = ""
    file: str = ""

    def svg(self) -> bytes:
        """The figure as SVG, the same bytes for the same figure; words are drawn as paths."""
        with style():
            drawn = written_svg(self.figure)
        return _compact(drawn[drawn.index("<svg") :]).encode("utf-8")

    def _repr_html_(self) -> str:
        width, height = self.figure.get_size_inches()
        link = ""
        if self.download:
            link = f"<p>{csv_link(self.data, label=self.download, name=self.file or self.headline)}</p>\n"
        source = f'<br>\n<span class="note">{escape(self.source)}</span>' if self.source else ""
        return (
            f'<figure>\n<img alt="{escape(self.alt)}" width="{_SHOWN_WIDTH}" '
            f'height="{round(_SHOWN_WIDTH * height / width)}" '
            f'src="data:image/svg+xml;base64,{base64.b64encode(self.svg()).decode("ascii")}">\n'
            f"<figcaption><strong>{escape(self.headline)}</strong>\n{escape(self.subtitle)}{source}</figcaption>\n"
            f"<details><summary>{escape(self.details or self.data.caption)}</summary>\n"
            f"{self.data._repr_html_()}\n{link}</details>\n</figure>"
        )


def _compact(svg: str) -> str:
    """The same picture in fewer characters: no line breaks or long names, places no finer than seen."""
    svg = re.sub(r"\s*<!--.*?-->|\n\s*", "", svg, flags=re.DOTALL)
    svg = svg.replace("DejaVuSans-", "g-").replace("<use xlink:href=", "<use href=")
    svg = re.sub(r'<g id="[^"]*"(/?)>', lambda found: "" if found.group(1) else "<g>", svg)
    svg = re.sub(
        r'(<use href="[^"]+") transform="translate\((\d+(?:\.\d)?)\d* 0\)"',
        lambda found: f'{found[1]} x="{found[2]}"',
        svg,
    )
    svg = re.sub(r' d="[^"]*"', _short_path, svg)
    svg = re.sub(r'style="[^"]*"', lambda found: re.sub(r"(?<=[:;]) ", "", found.group()), svg)
    svg = re.sub(r'(<image[^>]*?) id="[^"]*"', r"\1", svg)
    return re.sub(
        r"translate\((\d+(?:\.\d\d?)?)\d* (\d+(?:\.\d\d?)?)\d*\) scale", r"translate(\1 \2) scale", svg
    )


def _short_path(path: re.Match[str]) -> str:
    """An outline without needless spaces, and no finer than a hundredth of a point."""
    outline = path.group()[4:-1]
    if "." not in outline:  # a letter, in whole units of its font
        return f' d="{relative_outline(outline)}"'
    short = re.sub(r"(?<=\.\d\d)\d+|(?<=[A-Za-z]) | (?=[A-Za-z])", "", outline)
    return f' d="{short}"'


@lru_cache(maxsize=1024)
def relative_outline(outline: str) -> str:
    """The same outline with each point told from the one before, in a third fewer characters.

    Examples
    --------
    >>> relative_outline("M 1228 531 L 3431 531 L 3431 0 Q 1 2 3 4 z")
    'm1228 531l2203 0 0-531q-3430 2-3428 4z'
    """
    start, here, last, parts = (0, 0), (0, 0), "", []
    for command, numbers in re.findall(r"([A-Za-z])([-\d\s]*)", outline):
        if command not in "MLQCz":
            return outline
        values = [int(one) for one in numbers.split()]
        points = list(zip(values[::2], values[1::2], strict=True))
        steps = " ".join(f"{x - here[0]} {y - here[1]}" for x, y in points)
        repeated = command == last and command not in "Mz"
        parts.append((" " if repeated else command.lower()) + steps)
        here = points[-1] if points else start
        start = here if command == "M" else start
        last = command
    return "".join(parts).replace(" -", "-")


def headings(first: str, *numbers: str) -> tuple[Column, ...]:
    """Columns of a table whose first one names the row and whose others hold numbers."""
    return (Column(label=first), *(Column(label=label, numeric=True) for label in numbers))
