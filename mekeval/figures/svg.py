"""Figures as SVG, with the words in them measured and outlined once in a process.

In: a figure. Out: SVG text. Never: bytes that differ from those that matplotlib itself would write.
"""

from __future__ import annotations

import io
import warnings
from functools import lru_cache
from typing import Any

from matplotlib.backends.backend_svg import RendererSVG
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextToPath, text_to_path


def written_svg(figure: Figure) -> str:
    """A figure as matplotlib writes it, without a date or the name of a program."""
    stream = io.StringIO()
    width, height = 72 * figure.get_size_inches()
    resolution = figure.dpi
    without: Any = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    renderer: Any = RendererSVG(width, height, stream, image_dpi=72, metadata=without)  # type: ignore[no-untyped-call]
    renderer._text2path = (
        _Letters()
    )  # matplotlib measures and outlines each word anew: as long as all the rest takes
    try:
        figure.dpi = 72
        figure.draw(renderer)
    finally:
        figure.dpi = resolution
    renderer.finalize()
    return stream.getvalue()


def line_width(text: str, size: float) -> float:
    """Width of a line in points; the outlines of the letters would give nearly the same at a far higher cost."""
    return _measured(text, _Font(_font(size)))[0]


class _Letters(TextToPath):
    """What matplotlib asks for each word that it draws, from a store."""

    def get_text_width_height_descent(self, s: str, prop: FontProperties, ismath: Any) -> Any:
        if ismath:
            return super().get_text_width_height_descent(s, prop, ismath)
        return _measured(s, _Font(prop))

    def get_glyphs_with_font(
        self,
        font: Any,
        s: str,
        glyph_map: Any = None,
        return_new_glyphs_only: bool = False,
        **others: Any,
    ) -> Any:
        if glyph_map is None or not return_new_glyphs_only or any(others.values()):
            return super().get_glyphs_with_font(font, s, glyph_map, return_new_glyphs_only, **others)
        places, outlines = _laid_out(font, s)
        return places, {name: one for name, one in outlines.items() if name not in glyph_map}, []


class _Font:
    """A font as the key of a store: matplotlib lets its properties be changed, so these are a copy."""

    def __init__(self, prop: FontProperties) -> None:
        self.prop = prop.copy()
        self._hash = hash(prop)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Font) and self.prop == other.prop


@lru_cache(maxsize=16)
def _font(size: float) -> FontProperties:
    return FontProperties(family="DejaVu Sans", size=size)


@lru_cache(maxsize=4096)
def _measured(text: str, font: _Font) -> tuple[float, float, float]:
    """Width, height and depth of a line in points, by the font's own metrics."""
    with warnings.catch_warnings():  # a letter that the font lacks is drawn as an empty box
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        width, height, depth = text_to_path.get_text_width_height_descent(text, font.prop, ismath=False)
    return float(width), float(height), float(depth)


@lru_cache(maxsize=1024)
def _laid_out(font: Any, text: str) -> tuple[Any, dict[str, Any]]:
    """Where the letters of a line stand, and their outlines."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        places, outlines, _ = text_to_path.get_glyphs_with_font(font, text)
    return places, dict(outlines)
