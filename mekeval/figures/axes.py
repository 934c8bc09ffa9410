"""Axes in the one style of all pictures, and words in them that cover neither a line nor each other.

In: values and `Words`. Out: matplotlib axes. Never: a colour that alone tells two lines apart.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..panel import Floats
from ..text import Texts
from .picture import BLUE, GREEN, GRID, INK, MUTED, PURPLE, SHADE, TEXT, VERMILION, WIDTH
from .plain_axes import add_axes
from .svg import line_width
from .words import Words

_INCH = 72.0  # points
#: Inches left free beside and above the axes.
MARGIN, TOP = 0.14, 0.3
_HEIGHT = 2.95
_LEADING = 1.25
_CLEAR = 4.0  # points between words and lines


@dataclass(frozen=True, kw_only=True)
class Look:
    """How a line is drawn: told apart by marker and dash where colour is lost."""

    colour: str
    marker: str
    dash: tuple[float, tuple[float, ...] | None]
    width: float = 1.7


BEFORE = Look(colour=MUTED, marker="s", dash=(0, None), width=1.5)
OWN = Look(colour=BLUE, marker="o", dash=(0, None), width=2.2)
REST = Look(colour=MUTED, marker="s", dash=(0, None), width=1.2)
#: A line at zero that has a name.
ZERO = Look(colour=INK, marker="", dash=(0, None), width=1.2)
PATHS = (
    OWN,
    Look(colour=VERMILION, marker="s", dash=(0, (5, 1.5))),
    Look(colour=GREEN, marker="^", dash=(0, (7, 1.5, 1.5, 1.5))),
    Look(colour=PURPLE, marker="D", dash=(0, (3, 1))),
)


def text_size(text: str, size: float = TEXT) -> tuple[float, float]:
    """Width and height of a text in points."""
    lines = text.split("\n")
    return max(line_width(line, size) for line in lines) + 1, len(lines) * size * _LEADING


def room(values: Floats, *, above: float = 0.06, below: float = 0.06) -> tuple[float, float]:
    """Limits of an axis around values, with shares of their span left free above and below."""
    low, high = float(np.min(values)), float(np.max(values))
    span = high - low or abs(high) or 1.0
    return low - below * span, high + above * span


def ticks(
    low: float, high: float, texts: Texts, *, sign: bool = False, whole: bool = False, most: int = 6
) -> tuple[Floats, list[str]]:
    """Round values between two limits and how they are written, with no more digits than they need."""
    found = np.asarray(MaxNLocator(nbins=most, steps=[1, 2, 5, 10], integer=whole).tick_values(low, high))
    found = found[(found >= low) & (found <= high)]
    decimals = next(
        (digits for digits in range(6) if np.allclose(found.round(digits), found, rtol=0, atol=1e-9)), 6
    )
    return found, [texts.number(float(value), decimals, sign=sign) for value in found]


def value_axes(
    words: Words,
    low: float,
    high: float,
    *,
    unit: str,
    right: float,
    bottom: float = 0.3,
    sign: bool = False,
    whole: bool = False,
    below: float = 0.0,
) -> tuple[Figure, Axes]:
    """A figure with one pair of axes and its vertical scale.

    Parameters
    ----------
    right, bottom : float
        Margins in inches.
    below : float
        Inches that are left free under them for other axes.
    """
    height = _HEIGHT + below
    figure = Figure(figsize=(WIDTH, height))
    left = (value_width(low, high, words, sign=sign, whole=whole) + 7) / _INCH
    axes = inner_axes(figure, words, left=left, right=right, bottom=bottom + below)
    value_scale(axes, words, low, high, sign=sign, whole=whole)
    figure.text(2 / _INCH / WIDTH, 1 - 2 / _INCH / height, unit, va="top", color=MUTED)
    return figure, axes


def value_scale(
    axes: Axes,
    words: Words,
    low: float,
    high: float,
    *,
    sign: bool = False,
    whole: bool = False,
    most: int = 6,
) -> None:
    """The vertical scale between two limits."""
    axes.set_ylim(low, high)
    axes.set_yticks(*ticks(low, high, words.texts, sign=sign, whole=whole, most=most))
    axes.grid(axis="y", color=GRID, linewidth=0.7)


def value_width(low: float, high: float, words: Words, *, sign: bool = False, whole: bool = False) -> float:
    """Points that the numbers of a vertical scale need."""
    _, labels = ticks(low, high, words.texts, sign=sign, whole=whole)
    return max((text_size(label)[0] for label in labels), default=0.0)


def inner_axes(
    figure: Figure, words: Words, *, left: float, right: float, bottom: float, tall: float | None = None
) -> Axes:
    """Bare axes within margins in inches, up to the top where they are not `tall`.

    Synthetic data are marked above the axes that reach the top.
    """
    width, height = figure.get_size_inches()
    share = 1 - (bottom + TOP) / height if tall is None else tall / height
    axes = add_axes(figure, (left / width, bottom / height, 1 - (left + right) / width, share))
    axes.set_axisbelow(True)
    axes.spines[["left", "right", "top"]].set_visible(False)
    axes.tick_params(length=0, labelcolor=MUTED, labelsize=TEXT, pad=4)
    axes.tick_params(axis="x", length=3, color=MUTED, pad=3)
    if tall is None:
        mark_synthetic(figure, words)
    return axes


def mark_synthetic(figure: Figure, words: Words) -> None:
    """Say at the top right that the data are synthetic, where they are."""
    if words.about.synthetic:
        width, height = figure.get_size_inches()
        at = (1 - 2 / _INCH / width, 1 - 2 / _INCH / height)
        figure.text(*at, words.say("mark"), ha="right", va="top", color=MUTED, size=8, weight="bold")


def year_axes(
    words: Words,
    periods: Sequence[int],
    low: float,
    high: float,
    *,
    unit: str,
    right: float,
    sign: bool = False,
    below: float = 0.0,
) -> tuple[Figure, Axes]:
    """Axes over years."""
    figure, axes = value_axes(words, low, high, unit=unit, right=right, sign=sign, below=below)
    year_scale(axes, periods)
    return figure, axes


def year_scale(axes: Axes, periods: Sequence[int]) -> None:
    """The horizontal scale of years; as many of them are written as have room, the last one always."""
    axes.set_xlim(periods[0] - 0.5, periods[-1] + 0.5)
    for_each = axes.bbox.width / (periods[-1] - periods[0] + 1)
    step = int(np.ceil((max(text_size(str(year))[0] for year in periods) + 7) / for_each))
    shown = list(range(periods[-1], periods[0] - 1, -step))
    axes.set_xticks(shown, [str(year) for year in shown])


def change_scale(axes: Axes, words: Words, title: str, *, sign: bool = True) -> None:
    """A horizontal scale with a title, of a change with signs."""
    places, labels = ticks(*axes.get_xlim(), words.texts, sign=sign)
    axes.set_xticks(places, labels)
    axes.set_xlabel(title, color=MUTED, size=TEXT, labelpad=4)


def shade_years(axes: Axes, years: Collection[int], text: str) -> None:
    """Shade the years of treatment, and say at the top what they are; nothing where there are none."""
    if not years:
        return
    for first in sorted(year for year in years if year - 1 not in years):
        last = next(year for year in range(first, max(years) + 1) if year + 1 not in years)
        axes.axvspan(first - 0.5, last + 0.5, color=SHADE, linewidth=0, zorder=0)
    if text:
        words_at(axes, text, (min(years) + max(years)) / 2, 1.0, va="top", colour=MUTED)


def mark_base(axes: Axes, base: Sequence[int], text: str) -> Floats:
    """A bracket at the foot of the axes over the base years; gives the points that it covers."""
    height = axes.bbox.height
    transform = axes.get_xaxis_transform()
    axes.plot(
        [base[0] - 0.4, base[-1] + 0.4], [4 / height] * 2, transform=transform, color=MUTED, linewidth=2.5
    )
    return words_at(axes, text, (base[0] + base[-1]) / 2, 7 / height, va="bottom", colour=MUTED)


def words_at(axes: Axes, text: str, x: float, y: float, *, va: str, colour: str = INK) -> Floats:
    """Words centred on a value of x, moved so that they stay in the axes; y is a share of the height.

    Returns
    -------
    array, shape (n_points, 2)
        Points that the words cover.
    """
    width, height = text_size(text)
    half = (width / 2 + 2) / axes.bbox.width
    start, end = axes.get_xlim()
    at = min(max((x - start) / (end - start), half), max(1 - half, half))
    axes.text(at, y, text, transform=axes.transAxes, ha="center", va=va, color=colour, linespacing=1.15)
    middle = y * axes.bbox.height + (height / 2 if va == "bottom" else -height / 2)
    return _box_points(at * axes.bbox.width, middle, width, height)


def draw_line(
    axes: Axes, periods: Sequence[int], values: Floats, look: Look, *, hollow: Collection[int] = ()
) -> Floats:
    """A line with a marker at each value, dotted where it crosses years without data.

    Returns
    -------
    array, shape (n_points, 2)
        Points along it, from the lower left corner of the axes.
    """
    years = np.array(periods)
    breaks = np.flatnonzero(np.diff(years) > 1)
    for run in np.split(np.arange(len(years)), breaks + 1):
        axes.plot(
            years[run], values[run], color=look.colour, linewidth=look.width, linestyle=look.dash, zorder=2
        )
    for at in breaks:
        axes.plot(
            years[at : at + 2],
            values[at : at + 2],
            color=look.colour,
            linewidth=1.2,
            linestyle=(0, (1, 1.8)),
            zorder=2,
        )
    open_ones = np.isin(years, list(hollow))
    for chosen, face in ((open_ones, "white"), (~open_ones, look.colour)):
        if chosen.any():
            axes.plot(
                years[chosen],
                values[chosen],
                linestyle="none",
                marker=look.marker,
                markersize=4.8,
                markerfacecolor=face,
                markeredgecolor=look.colour,
                markeredgewidth=1.2,
                zorder=3,
                clip_on=False,
            )
    fine = np.linspace(years[0], years[-1], 121)
    return to_points(axes, fine, np.interp(fine, years, values))


def draw_estimates(
    axes: Axes, x: Floats, estimates: Floats, low: Floats, high: Floats, look: Look, *, size: float = 5.0
) -> None:
    """Points with the bars of their intervals; a point without one is open."""
    known = np.isfinite(low) & np.isfinite(high)
    axes.vlines(x[known], low[known], high[known], color=look.colour, linewidth=look.width, zorder=2.5)
    for chosen, face in ((known, look.colour), (~known, "white")):
        if chosen.any():
            axes.plot(
                x[chosen],
                estimates[chosen],
                linestyle="none",
                marker=look.marker,
                markersize=size,
                markerfacecolor=face,
                markeredgecolor=look.colour,
                markeredgewidth=1.2,
                zorder=3,
                clip_on=False,
            )


def to_points(axes: Axes, x: Floats, y: Floats) -> Floats:
    """Places in points from the lower left corner of the axes, shape (n, 2)."""
    return np.asarray(axes.transData.transform(np.column_stack([x, y])) - [axes.bbox.x0, axes.bbox.y0])


def name_lines(
    axes: Axes, named: Sequence[tuple[str, Look, Floats]], *, taken: Floats | None = None
) -> Floats:
    """Write the name of each line close to it; gives all points that words now cover."""
    covered = np.empty((0, 2)) if taken is None else taken
    for index, (text, look, line) in enumerate(named):
        others = [other for at, (_, _, other) in enumerate(named) if at != index]
        away = np.vstack([*others, covered, np.empty((0, 2))])
        covered = np.vstack([covered, place(axes, text, look.colour, near=line, clear=line, away=away)])
    return covered


def place(axes: Axes, text: str, colour: str, *, near: Floats, clear: Floats, away: Floats) -> Floats:
    """Write words as close as possible to some points, off others, and rather far from a third kind.

    Returns
    -------
    array, shape (n_points, 2)
        Points that the words cover.
    """
    width, height = text_size(text)
    x = np.arange(width / 2 + 3, max(axes.bbox.width - width / 2 - 2, width / 2 + 4), 6.0)
    # The top row belongs to the programme. Words that are higher than all the rest stand at the foot.
    y = np.arange(height / 2 + 3, max(axes.bbox.height - height / 2 - 14, height / 2 + 4), 2.0)

    def distance(points: Floats) -> Floats:
        """From words at each place of the grid to the nearest point, shape (n_y, n_x)."""
        across = np.maximum(np.abs(points[:, 0] - x[:, None]) - width / 2, 0) ** 2
        up = np.maximum(np.abs(points[:, 1] - y[:, None]) - height / 2, 0) ** 2
        nearest = [(up + one).min(axis=1, initial=np.inf) for one in across]
        return np.asarray(np.sqrt(np.stack(nearest, axis=1)))

    to_clear, to_away = distance(clear), distance(away)
    to_near = to_clear if near is clear else distance(near)
    free = np.minimum(to_clear, to_away)
    cost = to_near - 0.6 * np.minimum(to_away, 30) - 0.02 * x
    best = np.unravel_index(int(np.argmin(np.where(free >= _CLEAR, cost, 1e6 - free))), cost.shape)
    at_x, at_y = float(x[best[1]]), float(y[best[0]])
    axes.text(
        at_x / axes.bbox.width,
        at_y / axes.bbox.height,
        text,
        transform=axes.transAxes,
        ha="center",
        va="center",
        color=colour,
        linespacing=1.15,
        zorder=4,
    )
    return _box_points(at_x, at_y, width, height)


def _box_points(x: float, y: float, width: float, height: float) -> Floats:
    across, up = np.linspace(-0.5, 0.5, 17) * width, np.linspace(-0.5, 0.5, 5) * height
    return np.stack(np.meshgrid(x + across, y + up), axis=-1).reshape(-1, 2)


def end_values(axes: Axes, last: int, values: Sequence[tuple[str, float, Look]]) -> None:
    """Write the last value of each line at its right, kept apart from the others."""
    heights = to_points(axes, np.full(len(values), float(last)), np.array([value for _, value, _ in values]))[
        :, 1
    ]
    apart = TEXT * _LEADING
    order = np.argsort(heights)
    spread = heights[order].copy()
    for at in range(1, len(spread)):
        spread[at] = max(spread[at], spread[at - 1] + apart)
    spread -= (spread - heights[order]).mean()
    for at, height in zip(order, spread, strict=True):
        text, _, look = values[at]
        place_at = (1 + 2 / axes.bbox.width, height / axes.bbox.height)
        axes.text(*place_at, text, transform=axes.transAxes, va="center", color=look.colour)
