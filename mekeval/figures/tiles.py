"""The tile map: a city as one square for each area.

In: an evaluation, places of areas. Out: `Picture`. Never: a shade for an area whose value is hidden.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
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
from .plain_axes import add_axes
from .study import study_words
from .words import Words

SMALL = 8.0
_VOWELS = "aeiouyäöå"
#: Last parts of Swedish names of places: such a name is broken before them, Tavast-by and not Ta-vastby.
_PLACES = re.compile(
    r"(?:by|böle|backa|backen|berga?|bro|dal|dalen|gård|gärde|hagen|holm|holmen|kulla|mans|näs|sand|skog|sta|sund|sundom"
    r"|torp|vik|ås)$"
)
_POINTS = 72 * WIDTH
HATCH = "#75808c"
_WITH_VALUE = 31.0  # points of a tile's side from which on its value has room under its name
KEY = 74.0  # points of height under the tiles
TOP = 20.0


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
    found = latest(evaluation, outcome, texts)
    placed = areas.table.loc[list(panel.units), ["tile_row", "tile_col"]]
    if placed.isna().any(axis=None):
        lacking = [str(code) for code in placed.index[placed.isna().any(axis=1)]]
        raise DesignError(
            "Areas have no place on the tile map.",
            where="areas.csv, tile_row and tile_col",
            found=", ".join(lacking[:6]),
        )
    words = found.words
    every = found.parts["n"] == found.parts["m"] and found.parts["m"] != 1
    headline = words.say("tiles.headline_all" if every else "tiles.headline", **found.parts)
    places = placed.to_numpy(dtype=float)
    return words.picture(
        _tiles(words, [words.area(unit) for unit in panel.units], found.values, places, found.treated),
        headline=headline,
        subtitle=words.say("tiles.subtitle", **found.parts),
        alt=words.say("tiles.alt", headline=headline, **found.parts),
        data=found.data,
    )


@dataclass(frozen=True, kw_only=True)
class Latest:
    """The latest level of an outcome in every area, and what is said of it.

    Attributes
    ----------
    words : Words
    values : array, shape (n_areas,)
        In the outcome's unit; NaN where there is none.
    treated : array of bool, shape (n_areas,)
        In the programme now or earlier.
    parts : mapping of str to object
        For the texts: how many areas of the programme lie above the median, the highest and the lowest.
    data : Table
    """

    words: Words
    values: Floats
    treated: npt.NDArray[np.bool_]
    parts: Mapping[str, object]
    data: Table


def latest(evaluation: Evaluation, outcome: str, texts: Texts) -> Latest:
    """The latest level of an outcome in every area.

    Raises
    ------
    DataError
        The study has no such outcome, or no value of it.
    """
    panel = evaluation.panel
    if outcome not in panel.values:
        raise DataError(
            "The study has no such outcome.", found=repr(outcome), expected=closest(outcome, panel.outcomes)
        )
    known = np.flatnonzero((~np.isnan(panel.values[outcome])).any(axis=0))
    if len(known) == 0:
        raise DataError("There is no value to draw.", where=outcome)
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
    reasons = panel.reasons[outcome][:, known[-1]]
    rows = tuple(
        (
            words.area(unit),
            texts(f"status.{reasons[at]}") if np.isnan(values[at]) else words.level(values[at]),
            words.say("tiles.yes" if treated[at] else "tiles.no"),
        )
        for at, unit in enumerate(panel.units)
    )
    columns = (
        Column(label=words.say("column.area")),
        Column(label=words.label, numeric=True),
        Column(label=words.say("tiles.treated_column")),
    )
    data = Table(caption=words.say("tiles.caption", **parts), columns=columns, rows=rows)
    return Latest(words=words, values=values, treated=treated, parts=parts, data=data)


def _tiles(
    words: Words, names: Sequence[str], values: Floats, places: Floats, treated: npt.NDArray[np.bool_]
) -> Figure:
    places = places - places.min(axis=0)
    n_rows, n_columns = (int(size) + 1 for size in places.max(axis=0))
    side = min((_POINTS - 6) / n_columns, 46.0)
    left = (_POINTS - side * n_columns) / 2
    height = TOP + side * n_rows + KEY
    with style():
        figure = Figure(figsize=(WIDTH, height / 72))
        axes = add_axes(figure, (0, 0, 1, 1))
        axes.set_axis_off()
        axes.set_xlim(0, _POINTS)
        axes.set_ylim(height, 0)  # points from the top left corner
        mark_synthetic(figure, words)
        steps, labels, colours, dark = shades(words, values)
        corners = np.array([left, TOP]) + side * places[:, ::-1]
        known = ~np.isnan(values)
        # A white line inside the outline keeps it visible on dark tiles.
        insets = np.where(treated, 2.4, 1.0)
        boxes = _squares((corners + insets[:, None])[known], (side - 2 * insets)[known])
        axes.add_collection(
            PolyCollection(boxes, facecolors=[colours[step] for step in steps], linewidths=0, clip_on=False),
            autolim=False,
        )
        for at in map(int, np.flatnonzero(~known)):
            x, y = corners[at] + insets[at]
            _hatched(axes, float(x), float(y), float(side - 2 * insets[at]))
        axes.add_collection(_outlines(_squares(corners[treated] + 0.5, side - 1)), autolim=False)
        numbers = [
            f"\n{words.texts.number(value, words.decimals)}" if there and side >= _WITH_VALUE else ""
            for value, there in zip(values, known, strict=True)
        ]
        for at, (x, y) in enumerate(corners + side / 2):
            axes.text(
                x,
                y,
                tile_name(names[at], side - 3) + numbers[at],
                ha="center",
                va="center",
                size=SMALL,
                color="white" if dark[at] else INK,
                linespacing=1.1,
                bbox=None if known[at] else {"facecolor": "white", "edgecolor": "none", "pad": 0.6},
            )
        key(
            axes,
            words,
            labels,
            colours,
            left=left + 1,
            top=TOP + side * n_rows + 8,
            missing=bool(np.isnan(values).any()),
        )
    return figure


def shades(
    words: Words, values: Floats
) -> tuple[npt.NDArray[np.intp], list[str], list[str], npt.NDArray[np.bool_]]:
    """Class of each known value, bounds of the classes as written, their colours, and where words must be white."""
    bounds, labels, colours = _classes(words, values)
    known = ~np.isnan(values)
    steps = np.minimum(np.searchsorted(bounds, values[known], side="right") - 1, len(colours) - 1)
    dark = np.zeros(len(values), dtype=bool)
    dark[known] = np.array([_luminance(np.array(to_rgb(one))) < 0.2 for one in colours])[steps]
    return steps, labels, colours, dark


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


def key(
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
    half = text_size(labels[0], SMALL)[0] / 2
    width = min((_POINTS - 2 * left - half - 40) / len(colours), 46.0)
    feet = np.column_stack([left + half + width * np.arange(len(colours)), np.full(len(colours), top)])
    classes = PolyCollection(
        _squares(feet, width, 10.0), facecolors=list(colours), edgecolors=MUTED, linewidths=0.5, clip_on=False
    )
    axes.add_collection(classes, autolim=False)
    for at, label in enumerate(labels):
        axes.text(left + half + at * width, top + 13, label, ha="center", va="top", size=SMALL, color=MUTED)
    unit = words.say(f"axis.level.{words.unit}")
    axes.text(left + half + len(colours) * width + 14, top + 5, unit, va="center", color=MUTED)
    x, y = left, top + 36
    entries = [(words.say("tiles.treated"), _outlined), (words.say("no_data"), _hatched)]
    for text, mark in entries if missing else entries[:1]:
        mark(axes, x, y, 14)
        axes.text(x + 19, y + 7, text, va="center", color=INK)
        x += 19 + text_size(text)[0] + 16


def _outlined(axes: Axes, x: float, y: float, side: float) -> None:
    axes.add_collection(_outlines(_squares(np.array([[x, y]]), side)), autolim=False)


def _outlines(boxes: list[Floats]) -> PolyCollection:
    return PolyCollection(
        boxes, facecolors="none", edgecolors=INK, linewidths=2.0, joinstyle="miter", zorder=3, clip_on=False
    )


def _squares(corners: Floats, width: float | Floats, height: float | Floats | None = None) -> list[Floats]:
    """Corners of boxes, each of shape (4, 2), whose first corners are given."""
    across = np.broadcast_to(width, len(corners))
    up = across if height is None else np.broadcast_to(height, len(corners))
    steps = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
    return list(corners[:, None, :] + steps * np.stack([across, up], axis=-1)[:, None, :])


def _hatched(axes: Axes, x: float, y: float, side: float) -> None:
    look = Rectangle((x, y), side, side, facecolor="white", edgecolor=HATCH, hatch="////", linewidth=0.6)
    axes.add_artist(look)
    look.set_clip_path(None)  # everything lies inside: a smaller file


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
        return text_size(text, SMALL)[0] <= width

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
