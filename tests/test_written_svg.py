"""Our own writer of SVG against matplotlib's: the same elements, attributes and outlines, whatever the text."""

from __future__ import annotations

import io
import random
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable

import pytest
from fontTools.ttLib import TTFont
from matplotlib import get_data_path
from matplotlib.figure import Figure

from mekeval.figures.picture import _compact, style
from mekeval.figures.svg import line_width, written_svg

Node = tuple[str, dict[str, str], str, list[object]]


def tree(svg: str) -> Node:
    """Everything that a browser reads of it; comments, line breaks and indents are left out."""

    def node(element: ET.Element) -> Node:
        return element.tag, dict(element.attrib), (element.text or "").strip(), [node(one) for one in element]

    return node(ET.fromstring(svg.encode()))


def as_matplotlib(figure: Figure) -> str:
    stream = io.StringIO()
    without = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(stream, format="svg", dpi=72, metadata=without)
    return stream.getvalue()


def plain(figure: Figure) -> None:
    figure.text(0.1, 0.5, "Havukoski 14,2\N{NO-BREAK SPACE}%")


def twice(figure: Figure) -> None:
    for height in (0.2, 0.6):
        figure.text(0.1, height, "Vertailualueet 2025")
    figure.text(0.1, 0.8, "Vertailu", size=7)


def lines(figure: Figure) -> None:
    for at, (va, ha) in enumerate(
        zip(
            ("top", "center", "bottom", "baseline", "center_baseline"),
            ("left", "center", "right", "left", "right"),
            strict=True,
        )
    ):
        figure.text(
            0.1 + 0.15 * at, 0.5, "Kaksi\nriviä,\n\nja gjpq", va=va, ha=ha, linespacing=1 + at / 4, size=6
        )


def rotated(figure: Figure) -> None:
    for angle, mode in ((90, "default"), (-30, "default"), (270, "anchor"), (12.34567, "anchor")):
        figure.text(
            0.5, 0.5, "Käännetty\nteksti", rotation=angle, rotation_mode=mode, ha="right", va="center"
        )


def clipped(figure: Figure) -> None:
    axes = figure.add_axes((0.3, 0.3, 0.4, 0.4))
    axes.set_axis_off()
    for at in (-0.2, 0.5, 1.0):
        axes.text(at, at, "cut at the border of its axes", clip_on=True)
        axes.text(at, 1 - at, "not cut")


def looks(figure: Figure) -> None:
    figure.text(0.1, 0.1, "bold", weight="bold", size=8)
    figure.text(0.1, 0.2, "colour", color="#b54a00")
    figure.text(0.1, 0.3, "see-through", color="#b54a00", alpha=0.4)
    figure.text(0.1, 0.4, "see-through colour", color=(0.1, 0.2, 0.3, 0.5))
    figure.text(0.1, 0.5, "slanted", style="italic")
    figure.text(0.1, 0.6, "another face", family="DejaVu Serif")
    figure.text(0.1, 0.7, "in a box", bbox={"facecolor": "white", "edgecolor": "#0068a6"})


def signs(figure: Figure) -> None:
    figure.text(0.1, 0.2, "<b>&amp; \"quoted\" 'and' </svg>")
    figure.text(0.1, 0.4, "$not$ mathematics, \\alpha_1")
    figure.text(0.1, 0.6, "−1,5 … ‑ ≥ ∞ Ž", url="https://example.org/?a=1&b=2")
    figure.text(0.1, 0.8, "", size=9)
    figure.text(0.1, 0.9, "  spaces   at both ends  ")


@pytest.mark.parametrize("draw", [plain, twice, lines, rotated, clipped, looks, signs])
def test_text_is_written_as_matplotlib_writes_it(draw: Callable[[Figure], None]) -> None:
    with style():
        figure = Figure(figsize=(4, 3))
        draw(figure)
        ours, theirs = tree(written_svg(figure)), tree(as_matplotlib(figure))
        again = tree(written_svg(figure))  # now the words are at hand
    assert ours == theirs
    assert again == theirs


def test_lines_markers_areas_and_scales_are_written_as_matplotlib_writes_them() -> None:
    with style():
        figure = Figure(figsize=(4, 3))
        axes = figure.add_axes((0.2, 0.2, 0.7, 0.7))
        axes.plot([1, 2, 3], [1.5, 4, 2.25], marker="D", dashes=(5, 1.5), markeredgecolor="white")
        axes.fill_between([1, 2, 3], [1, 2, 1], [2, 5, 3], alpha=0.3, hatch="//")
        axes.bar([1, 2], [0.5, 0.7], color="#28784c")
        axes.set_ylabel("Osuus, %")
        assert tree(written_svg(figure)) == tree(as_matplotlib(figure))
        assert figure.dpi == 72


def test_a_text_that_moves_is_another_picture() -> None:
    """The comparison above sees a change of a hundredth of a point."""
    with style():
        written = []
        for x in (0.1, 0.1 + 0.01 / (4 * 72)):
            figure = Figure(figsize=(4, 3))
            figure.text(x, 0.5, "Korso")
            written.append(tree(written_svg(figure)))
    assert written[0] != written[1]


@pytest.mark.parametrize("text", ["Havukoski", "14,2\N{NO-BREAK SPACE}%", "gjpq ÄÖÅ"])
def test_a_line_is_as_wide_as_its_letters(text: str) -> None:
    """The sum of the letters' advances in the font's own table, less what pairs of letters close up (two per cent)."""
    font = TTFont(get_data_path() + "/fonts/ttf/DejaVuSans.ttf")
    glyphs, advances = font.getBestCmap(), font["hmtx"].metrics
    total = sum(advances[glyphs[ord(letter)]][0] for letter in text) * 9 / font["head"].unitsPerEm
    assert line_width(text, 9) == pytest.approx(total, rel=0.02)
    assert line_width(text, 18) == pytest.approx(2 * line_width(text, 9))


def test_outlines_are_shortened_as_one_number_and_one_letter_after_the_other_would_be() -> None:
    drawn = random.Random(7)

    def number() -> str:
        return (
            drawn.choice(("", "-"))
            + drawn.choice(("0", "7", "31", "460"))
            + drawn.choice(("", ".5", ".25", ".123", ".4567", ".000001"))
        )

    for _ in range(300):
        steps = [
            f"{drawn.choice('MLQCz')} " + " ".join(number() for _ in range(drawn.choice((0, 2, 4))))
            for _ in range(drawn.randrange(1, 6))
        ]
        outline = drawn.choice((" ", "")).join(steps).strip() + f" L 0.125 {number()}"
        short = re.sub(r" ?([A-Za-z]) ?", lambda found: found[1], outline)  # a space each side of a letter
        short = re.sub(r"\d+\.\d+", lambda found: found[0][: found[0].index(".") + 3], short)
        assert _compact(f'<path d="{outline}"/>') == f'<path d="{short}"/>'
