"""The tile map: a city as one square for each area."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from ..errors import DataError, DesignError, closest
from ..evaluation import ALL, Evaluation
from ..panel import Floats
from ..tables import Column, Table
from ..text import Texts
from .axes import mark_synthetic, text_size
from .picture import INK, MUTED, WIDTH, Picture, style
from .study import study_words
from .words import Words

_SMALL = 8.0
_VOWELS = "aeiouyäöå"
#: Last parts of Swedish names of places: such a name is broken before them, Tavast-by and not Ta-vastby.
_PLACES = re.compile(
    r"(?:by|böle|backa|backen|berga?|bro|dal|dalen|gård|gärde|hagen|holm|holmen|kulla|mans|näs|sand|skog|sta|sund|sundom"
    r"|torp|vik|ås)$"
)
_POINTS = 72 * WIDTH
_KEY = 74.0  # points of height under the tiles
_TOP = 20.0


def plot_tiles(evaluation: Evaluation, *, outcome: str, texts: Texts) -> Picture:
    """Draw the latest level of an outcome in every area, placed roughly as on a map.

    Parameters
    ----------
    evaluation : Evaluation
    outcome : str
        Any indicator of the study, also one that the plan does not judge.
    texts : Texts

    Returns
    -------
    Picture
        Levels in classes, darker is higher; areas that are or were in the programme have a thick outline, areas
        without a value in that year are hatched.

    Raises
    ------
    DataError
        The study has no such outcome, or no value of it.
    DesignError
        The areas have no places on the tile map.
    """
    panel, areas = evaluation.panel, evaluation.study.areas
    if outcome not in panel.values:
        raise DataError(
            "The study has no such outcome.", found=repr(outcome), expected=closest(outcome, panel.outcomes)
        )
    known = np.flatnonzero((~np.isnan(panel.values[outcome])).any(axis=0))
    placed = areas.table.loc[list(panel.units), ["tile_row", "tile_col"]]
    if len(known) == 0:
        raise DataError("There is no value to draw.", where=outcome)
    if placed.isna().any(axis=None):
        lacking = [str(code) for code in placed.index[placed.isna().any(axis=1)]]
        raise DesignError(
            "Areas have no place on the tile map.",
            where="areas.csv, tile_row and tile_col",
            found=", ".join(lacking[:6]),
        )
    words = study_words(evaluation, outcome, ALL, texts)
    year, values = panel.periods[known[-1]], panel.values[outcome][:, known[-1]]
    treated = np.isin(panel.units, evaluation.design.treated)
    median = float(np.nanmedian(values))
    highest, lowest = int(np.nanargmax(values)), int(np.nanargmin(values))
    parts: dict[str, object] = {
        "year": year,
        "n": int(np.sum(values[treated] > median)),
        "m": int(np.sum(~np.isnan(values[treated]))),
        "median": words.level(median),
        "high_area": words.area(panel.units[highest]),
        "high": words.level(values[highest]),
        "low_area": words.area(panel.units[lowest]),
        "low": words.level(values[lowest]),
    }
    headline = words.say("tiles.headline", **parts)
    reasons = panel.reasons[outcome][:, known[-1]]
    rows = tuple(
        (
            words.area(unit),
            texts(f"status.{reasons[at]}") if np.isnan(values[at]) else words.level(values[at]),
            words.say("tiles.yes" if treated[at] else "tiles.no"),
        )
        for at, unit in enumerate(panel.units)
    )
    places = placed.to_numpy(dtype=float)
    return words.picture(
        _tiles(words, [words.area(unit) for unit in panel.units], values, places, treated),
        headline=headline,
        subtitle=words.say("tiles.subtitle", **parts),
        alt=words.say("tiles.alt", headline=headline, **parts),
        data=Table(
            caption=words.say("tiles.caption", **parts),
            columns=(
                Column(label=words.say("column.area")),
                Column(label=words.label, numeric=True),
                Column(label=words.say("tiles.treated_column")),
            ),
            rows=rows,
        ),
    )


def _tiles(
    words: Words, names: Sequence[str], values: Floats, places: Floats, treated: npt.NDArray[np.bool_]
) -> Figure:
    places = places - places.min(axis=0)
    n_rows, n_columns = (int(size) + 1 for size in places.max(axis=0))
    side = min((_POINTS - 6) / n_columns, 46.0)
    left = (_POINTS - side * n_columns) / 2
    height = _TOP + side * n_rows + _KEY
    with style():
        figure = Figure(figsize=(WIDTH, height / 72))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.set_xlim(0, _POINTS)
        axes.set_ylim(height, 0)  # points from the top left corner
        mark_synthetic(figure, words)
        bounds, labels, colours = _classes(words, values)
        for at, (row, column) in enumerate(places):
            x, y = left + column * side, _TOP + row * side
            inset = (
                2.4 if treated[at] else 1.0
            )  # a white line inside the outline keeps it visible on dark tiles
            dark = False
            if np.isnan(values[at]):
                _hatched(axes, x + inset, y + inset, side - 2 * inset)
            else:
                step = min(int(np.searchsorted(bounds, values[at], side="right")) - 1, len(colours) - 1)
                corner, size = (x + inset, y + inset), side - 2 * inset
                _draw(axes, Rectangle(corner, size, size, facecolor=colours[step], linewidth=0))
                dark = _luminance(np.array(to_rgb(colours[step]))) < 0.2
            if treated[at]:
                _outlined(axes, x + 0.5, y + 0.5, side - 1)
            text = tile_name(names[at], side - 3)
            under = {"facecolor": "white", "edgecolor": "none", "pad": 0.6} if np.isnan(values[at]) else None
            colour = "white" if dark else INK
            axes.text(
                x + side / 2,
                y + side / 2,
                text,
                ha="center",
                va="center",
                size=_SMALL,
                color=colour,
                linespacing=1.1,
                bbox=under,
            )
        _key(
            axes,
            words,
            labels,
            colours,
            left=left + 1,
            top=_TOP + side * n_rows + 8,
            missing=bool(np.isnan(values).any()),
        )
    return figure


def _classes(words: Words, values: Floats) -> tuple[Floats, list[str], list[str]]:
    """Bounds of the classes, how they are written, and the colours between them from light to dark."""
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    bounds = np.asarray(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]).tick_values(low, high))
    bounds = bounds[
        max(np.searchsorted(bounds, low, side="right") - 1, 0) : np.searchsorted(bounds, high) + 1
    ]
    decimals = 0 if np.allclose(bounds.round(), bounds) else words.decimals
    labels = [words.texts.number(float(bound), decimals) for bound in bounds]
    shades = matplotlib.colormaps["YlGnBu"](np.linspace(0.06, 0.92, len(bounds) - 1))
    return bounds, labels, [_readable(shade) for shade in shades]


def _readable(shade: Floats) -> str:
    """A colour on which either black or white words have a contrast of 4.5, made darker where it has neither."""
    while 0.183 < _luminance(shade) < 0.245:
        shade = shade * [0.97, 0.97, 0.97, 1.0]
    return to_hex((float(shade[0]), float(shade[1]), float(shade[2])))


def _luminance(shade: Floats) -> float:
    """Relative luminance of red, green and blue between 0 and 1."""
    linear = np.where(shade[:3] <= 0.04045, shade[:3] / 12.92, ((shade[:3] + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def _key(
    axes: Axes,
    words: Words,
    labels: Sequence[str],
    colours: Sequence[str],
    *,
    left: float,
    top: float,
    missing: bool,
) -> None:
    """A bar of the classes with their bounds, and what outline and hatching mean."""
    half = text_size(labels[0], _SMALL)[0] / 2
    width = min((_POINTS - 2 * left - half - 40) / len(colours), 46.0)
    for at, colour in enumerate(colours):
        _draw(
            axes,
            Rectangle(
                (left + half + at * width, top), width, 10, facecolor=colour, edgecolor=MUTED, linewidth=0.5
            ),
        )
    for at, label in enumerate(labels):
        axes.text(left + half + at * width, top + 13, label, ha="center", va="top", size=_SMALL, color=MUTED)
    unit = words.say(f"axis.level.{words.unit}")
    axes.text(left + half + len(colours) * width + 14, top + 5, unit, va="center", color=MUTED)
    x, y = left, top + 36
    entries = [(words.say("tiles.treated"), _outlined), (words.say("no_data"), _hatched)]
    for text, mark in entries if missing else entries[:1]:
        mark(axes, x, y, 14)
        axes.text(x + 19, y + 7, text, va="center", color=INK)
        x += 19 + text_size(text)[0] + 16


def _outlined(axes: Axes, x: float, y: float, side: float) -> None:
    _draw(
        axes,
        Rectangle((x, y), side, side, fill=False, edgecolor=INK, linewidth=2.0, joinstyle="miter", zorder=3),
    )


def _hatched(axes: Axes, x: float, y: float, side: float) -> None:
    look = Rectangle((x, y), side, side, facecolor="white", edgecolor="#8b96a3", hatch="////", linewidth=0.6)
    _draw(axes, look)


def _draw(axes: Axes, patch: Rectangle) -> None:
    axes.add_patch(patch)
    patch.set_clip_path(None)  # everything lies inside: saves a third of the file


def tile_name(name: str, width: float) -> str:
    """A name in at most two lines that fit a tile, broken between syllables as Finnish does, cut with a full stop.

    A Swedish compound is broken between its parts where the first of them fits.

    Examples
    --------
    >>> tile_name("Hakunila", 40.0)
    'Hakunila'
    >>> tile_name("Martinlaakso", 32.0)
    'Martin-\\nlaakso'
    >>> tile_name("Tavastby", 32.0)
    'Tavast-\\nby'
    """

    def fits(text: str) -> bool:
        return text_size(text, _SMALL)[0] <= width

    if fits(name):
        return name
    folded = name.lower()
    place = _PLACES.search(folded)
    if place and place.start() > 2 and " " not in name and fits(first := name[: place.start()] + "-"):
        return f"{first}\n{name[place.start() :]}"
    options: list[tuple[int, int, int, str]] = []
    for at in range(2, len(name) - 1):
        at_word = name[at - 1] in " -"
        syllable = folded[at] not in _VOWELS + " -" and folded[at + 1] in _VOWELS
        first = name[:at].rstrip(" ") + ("" if at_word else "-")
        if not (at_word or syllable) or not fits(first):
            continue
        rest = name[at:]
        second = _shortened(rest, fits)
        lost = 0 if second == rest else len(rest) - len(second) + 1
        options.append((lost, abs(len(first) - len(second)), -at, f"{first}\n{second}"))
    return min(options)[3] if options else _shortened(name, fits)


def _shortened(text: str, fits: Callable[[str], bool]) -> str:
    if fits(text):
        return text
    return next(
        (text[:end].rstrip(" -") + "." for end in range(len(text) - 1, 0, -1) if fits(text[:end] + ".")),
        text[:1],
    )
