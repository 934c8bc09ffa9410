"""Figures as SVG, with the words in them measured and outlined once in a process.

In: a figure. Out: SVG text. Never: another picture than the one that matplotlib itself would write; only the comments,
line breaks and indents between its elements are left out.
"""

from __future__ import annotations

import io
import re
import struct
import warnings
import zlib
from base64 import b64encode
from collections.abc import Mapping
from functools import lru_cache
from threading import Lock
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import numpy as np
import numpy.typing as npt
from matplotlib import rcParams
from matplotlib.backends.backend_svg import RendererSVG
from matplotlib.colors import rgb2hex
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextToPath, text_to_path

_SPECIAL = re.compile('[&<>"]')


def written_svg(figure: Figure) -> str:
    """A figure as matplotlib writes it, without a date or the name of a program."""
    stream = io.StringIO()
    resolution = figure.dpi
    width, height = 72 * figure.get_size_inches()
    renderer: Any = _Renderer(width, height, stream)
    try:
        figure.dpi = 72
        figure.draw(renderer)
    finally:
        figure.dpi = resolution
    renderer.finalize()
    return stream.getvalue()


def line_width(text: str, size: float) -> float:
    """Width of a line in points; the outlines of the letters would give nearly the same at a far higher cost."""
    return _measured(text, _font(size))[0] * (size / TextToPath.FONT_SCALE)


class _Renderer(RendererSVG):
    """matplotlib's own; but words come from a store: to outline each anew takes as long as all the rest."""

    def __init__(self, width: float, height: float, stream: io.StringIO) -> None:
        without: Any = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        super().__init__(width, height, stream, image_dpi=72, metadata=without)  # type: ignore[no-untyped-call]
        own: Any = self
        own.writer.comment("")  # ends the first tag
        own.writer = _Writer(stream)

    def get_text_width_height_descent(self, s: str, prop: FontProperties, ismath: Any) -> Any:
        """Size of a line in points."""
        if ismath:
            return super().get_text_width_height_descent(s, prop, ismath)  # type: ignore[no-untyped-call]
        scale = prop.get_size_in_points() / TextToPath.FONT_SCALE
        return tuple(one * scale for one in _measured(s, _Font(prop)))

    def draw_image(self, gc: Any, x: float, y: float, im: Any, transform: Any = None) -> None:
        """Write an image; one of few colours with a palette, which is a fifth of the bytes."""
        own: Any = self
        own.writer.image = small_png(im)
        super().draw_image(gc, x, y, im, transform)  # type: ignore[no-untyped-call]
        own.writer.image = b""

    def draw_text(
        self,
        gc: Any,
        x: float,
        y: float,
        s: str,
        prop: FontProperties,
        angle: float,
        ismath: Any = False,
        mtext: Any = None,
    ) -> None:
        """Write a line as outlines; what our pictures have not, matplotlib writes."""
        own: Any = self
        special = (
            ismath
            or rcParams["svg.fonttype"] != "path"
            or gc.get_url() is not None
            or own._get_clip_attrs(gc)
            or any(getattr(mtext, name, None) for name in ("_features", "_language"))
        )
        if special:
            super().draw_text(gc, x, y, s, prop, angle, ismath, mtext)  # type: ignore[no-untyped-call]
            return
        uses, names = _outlined(s, _Font(prop))
        colour, opacity = rgb2hex(gc.get_rgb()), gc.get_alpha() if gc.get_forced_alpha() else gc.get_rgb()[3]
        style = ([] if colour == "#000000" else [f"fill: {colour}"]) + (
            [] if opacity == 1 else [f"opacity: {_short(opacity)}"]
        )
        size = prop.get_size_in_points() / TextToPath.FONT_SCALE
        places = ([] if x == y == 0 else [f"translate({_short(x)} {_short(y)})"]) + (
            [] if angle == 0 else [f"rotate({_short(-angle)})"]
        )
        own.writer.start(
            "g",
            style="; ".join(style),
            transform=" ".join([*places, f"scale({_short(size)} {_short(-size)})"]),
        )
        fresh = [name for name in names if name not in own._glyph_map]
        if fresh:
            own.writer.start("defs")
            own.writer.raw("".join(_scribe().outlines[name] for name in fresh))
            own.writer.end("defs")
            own._glyph_map.update(dict.fromkeys(fresh))
        own.writer.raw(uses)
        own.writer.end("g")


def small_png(pixels: npt.NDArray[np.uint8]) -> bytes:
    """An opaque image of at most 16 colours as PNG with a palette; nothing for any other.

    Parameters
    ----------
    pixels : numpy.ndarray of uint8, shape (rows, columns, 4)
    """
    if pixels.ndim != 3 or pixels.shape[2] != 4 or not pixels.size or (pixels[..., 3] != 255).any():
        return b""
    packed = np.ascontiguousarray(pixels).view(np.uint32)[..., 0]
    colours, codes = np.unique(packed, return_inverse=True)
    if len(colours) > 16:
        return b""
    rows, columns = packed.shape
    nibbles = np.zeros((rows, columns + columns % 2), np.uint8)
    nibbles[:, :columns] = codes.reshape(packed.shape)
    lines = np.zeros((rows, 1 + nibbles.shape[1] // 2), np.uint8)  # each begins with 0: no filter
    lines[:, 1:] = nibbles[:, ::2] << 4 | nibbles[:, 1::2]
    palette = colours.view(np.uint8).reshape(-1, 4)[:, :3]
    head = struct.pack(">IIBBBBB", columns, rows, 4, 3, 0, 0, 0)
    parts = (
        (b"IHDR", head),
        (b"PLTE", palette.tobytes()),
        (b"IDAT", zlib.compress(lines.tobytes(), 9)),
        (b"IEND", b""),
    )
    chunks = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


class _Writer:
    """Writes what is within the first element: as matplotlib's own, with nothing between the elements.

    Attributes
    ----------
    image : bytes
        PNG to be written instead of the next image; that one where empty.
    """

    def __init__(self, stream: io.StringIO) -> None:
        self._write = stream.write
        self.flush = stream.flush
        self._tags = ["svg"]
        self.image = b""
        self._open = False

    def start(self, tag: str, attrib: Mapping[str, str] | None = None, **extra: str) -> int:
        """Open an element; gives how many are open around it."""
        given = {**attrib, **extra} if attrib else extra
        if self.image and tag == "image":
            given["xlink:href"] = f"data:image/png;base64,{b64encode(self.image).decode('ascii')}"
        said = "".join([f" {name}={_quoted(value)}" for name, value in given.items() if value])
        self._write(f"><{tag}{said}" if self._open else f"<{tag}{said}")
        self._open = True
        self._tags.append(tag)
        return len(self._tags) - 1

    def end(self, tag: str | None = None, indent: bool = True) -> None:
        """Close the last element."""
        del tag, indent
        last = self._tags.pop()
        self._write("/>" if self._open else f"</{last}>")
        self._open = False

    def raw(self, text: str) -> None:
        """Write what is SVG already."""
        self._write(f">{text}" if self._open else text)
        self._open = False

    def data(self, text: str) -> None:
        """Write text."""
        self.raw(escape(text))

    def comment(self, comment: str) -> None:
        """Write no comment."""
        del comment
        self.raw("")

    def element(
        self, tag: str, text: str | None = None, attrib: Mapping[str, str] | None = None, **extra: str
    ) -> None:
        """Write a whole element."""
        self.start(tag, attrib, **extra)
        if text:
            self.data(text)
        self.end()

    def close(self, number: int) -> None:
        """Close all elements but so many around them."""
        while len(self._tags) > number:
            self.end()


class _Font:
    """A face as the key of a store, whatever its size: matplotlib lets its properties be changed."""

    def __init__(self, prop: FontProperties) -> None:
        self.prop = prop
        self.face = (
            tuple(prop.get_family()),
            prop.get_style(),
            prop.get_variant(),
            prop.get_weight(),
            prop.get_stretch(),
            prop.get_file(),
        )

    def __hash__(self) -> int:
        return hash(self.face)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Font) and self.face == other.face

    def at_scale(self) -> FontProperties:
        """The face in the size in which matplotlib measures and outlines."""
        prop = self.prop.copy()
        prop.set_size(TextToPath.FONT_SCALE)
        return prop


class _Scribe:
    """Cuts lines of letters out of what matplotlib writes for them.

    Attributes
    ----------
    outlines : dict of str to str
        Each letter as SVG, by its name.
    """

    def __init__(self) -> None:
        self.outlines: dict[str, str] = {}
        self._stream = io.StringIO()
        self._renderer: Any = _Renderer(1.0, 1.0, self._stream)
        self._lock = Lock()

    def write(self, text: str, font: _Font) -> tuple[str, tuple[str, ...]]:
        """The letters of a line as SVG, each in its place; and their names."""
        with self._lock, warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph .* missing from font")
            self._stream.seek(0)
            self._stream.truncate()
            RendererSVG.draw_text(self._renderer, self._renderer.new_gc(), 0, 0, text, font.at_scale(), 0)  # type: ignore[no-untyped-call]
            found = re.search(
                r"<g[^>]*>(?:<defs>(.*)</defs>)?(.*)</g>", self._stream.getvalue(), flags=re.DOTALL
            )
        fresh, uses = found.groups() if found else ("", "")
        self.outlines |= {
            one.group(1): one.group() for one in re.finditer(r'<path id="([^"]*)"[^>]*>', fresh or "")
        }
        return uses, tuple(dict.fromkeys(re.findall(r'href="#([^"]*)"', uses)))


@lru_cache(maxsize=1)
def _scribe() -> _Scribe:
    return _Scribe()


@lru_cache(maxsize=16)
def _font(size: float) -> _Font:
    return _Font(FontProperties(family="DejaVu Sans", size=size))


@lru_cache(maxsize=4096)
def _measured(text: str, font: _Font) -> tuple[float, float, float]:
    """Width, height and depth of a line, by the font's own metrics in the size in which matplotlib measures."""
    with warnings.catch_warnings():  # a letter that the font lacks is drawn as an empty box
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        width, height, depth = text_to_path.get_text_width_height_descent(text, font.at_scale(), ismath=False)
    return float(width), float(height), float(depth)


@lru_cache(maxsize=4096)
def _outlined(text: str, font: _Font) -> tuple[str, tuple[str, ...]]:
    """A line of letters as SVG, and the names of its letters."""
    return _scribe().write(text, font)


def _quoted(value: str) -> str:
    return quoteattr(value) if _SPECIAL.search(value) else f'"{value}"'


def _short(value: float) -> str:
    """A number as short as matplotlib writes it."""
    return f"{value:f}".rstrip("0").rstrip(".")
