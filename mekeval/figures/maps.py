"""A map of areas with their boundaries, shaded by the level of an outcome (extra `geo`).

In: an evaluation and boundaries. Out: `Picture`. Never: a map in which an area of the study is silently missing.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path

from ..areas.boundaries import Boundaries, require_boundaries, shapely_module
from ..evaluation import Evaluation
from ..panel import Floats
from ..text import Texts
from .axes import mark_synthetic, text_size
from .picture import INK, MUTED, WIDTH, Picture, style
from .plain_axes import add_axes
from .tiles import HATCH, KEY, SMALL, TOP, key, latest, shades
from .words import Words

_POINTS = 72 * WIDTH
_TALLEST = 420.0  # points
_FINE = 0.4  # points: boundaries are drawn no finer than a reader can see


def plot_map(evaluation: Evaluation, *, outcome: str, boundaries: Boundaries, texts: Texts) -> Picture:
    """Draw the latest level of an outcome in every area on a map.

    Lines are drawn no finer than a reader can see, which keeps the picture of a city under 100 kB.

    Parameters
    ----------
    evaluation : Evaluation
    outcome : str
        Any indicator of the study, also one that the plan does not judge.
    boundaries : Boundaries
        As `read_boundaries` gives them, with the codes of the study's areas; others are left out.
    texts : Texts

    Returns
    -------
    Picture
        As `plot_tiles`: levels in classes, darker is higher; areas that are or were in the programme have a thick
        outline and their names, areas without a value in that year are hatched.

    Raises
    ------
    DataError
        The study has no such outcome, or no value of it; an area of the study has no boundary, or none at all has;
        shapely is missing.
    """
    found = latest(evaluation, outcome, texts)
    words, panel = found.words, evaluation.panel
    headline = words.say("map.headline", **found.parts)
    at = {code: row for row, code in enumerate(boundaries.codes)}
    require_boundaries(boundaries, panel.units)
    shapes = boundaries.shapes[[at[unit] for unit in panel.units]]
    names = [words.area(unit) for unit in panel.units]
    return words.picture(
        _map(words, names, found.values, shapes, found.treated, level=bool(boundaries.plane)),
        headline=headline,
        subtitle=words.say("map.subtitle", **found.parts),
        alt=words.say("map.alt", headline=headline, **found.parts),
        data=found.data,
    )


def _map(
    words: Words,
    names: list[str],
    values: Floats,
    shapes: npt.NDArray[np.object_],
    treated: npt.NDArray[np.bool_],
    *,
    level: bool,
) -> Figure:
    shapely = shapely_module()
    west, south, east, north = shapely.total_bounds(shapes)
    # Degrees of longitude are shorter than those of latitude by the cosine of the latitude; metres are not.
    narrow = 1.0 if level else float(np.cos(np.radians((south + north) / 2)))
    scale = min((_POINTS - 8) / ((east - west) * narrow), _TALLEST / (north - south))
    height = TOP + (north - south) * scale + 8 + KEY
    left = (_POINTS - (east - west) * narrow * scale) / 2

    def placed(points: Floats) -> Floats:
        return np.column_stack(
            [left + (points[:, 0] - west) * narrow * scale, TOP + (north - points[:, 1]) * scale]
        )

    drawn = shapely.transform(shapes, placed)
    paths = [_path(one) for one in shapely.simplify(drawn, _FINE)]
    with style():
        figure = Figure(figsize=(WIDTH, height / 72))
        axes = add_axes(figure, (0, 0, 1, 1))
        axes.set_axis_off()
        axes.set_xlim(0, _POINTS)
        axes.set_ylim(height, 0)
        mark_synthetic(figure, words)
        steps, labels, colours, _ = shades(words, values)
        known = ~np.isnan(values)
        some = [paths[row] for row in np.flatnonzero(known)]
        filled = PathCollection(
            some,
            facecolors=[colours[step] for step in steps],
            edgecolors=MUTED,
            linewidths=0.5,
            transform=axes.transData,
        )
        axes.add_collection(filled, autolim=False)
        for row in np.flatnonzero(~known):
            axes.add_artist(
                PathPatch(paths[row], facecolor="white", edgecolor=HATCH, hatch="////", linewidth=0.6)
            )
        outlines = [paths[row] for row in np.flatnonzero(treated)]
        axes.add_collection(
            PathCollection(
                outlines,
                facecolors="none",
                edgecolors=INK,
                linewidths=2.0,
                transform=axes.transData,
                zorder=3,
            ),
            autolim=False,
        )
        places = shapely.get_coordinates(shapely.point_on_surface(drawn))
        _named(axes, [names[row] for row in np.flatnonzero(treated)], places[treated])
        key(axes, words, labels, colours, left=5.0, top=height - KEY + 8, missing=bool((~known).any()))
    return figure


def _named(axes: Axes, names: list[str], places: Floats) -> None:
    """Names of the areas of the programme on a white ground, moved up where two would cover each other."""
    taken: list[tuple[float, float, float]] = []
    for name, (x, y) in sorted(zip(names, places, strict=True), key=lambda one: -one[1][1]):
        half = text_size(name, SMALL)[0] / 2 + 2
        at = min(max(float(x), half), _POINTS - half)
        level = float(y)
        while any(abs(at - other) < half + width and abs(level - one) < 12 for other, one, width in taken):
            level -= 2.0
        taken.append((at, level, half))
        axes.text(
            at,
            level,
            name,
            ha="center",
            va="center",
            size=SMALL,
            color=INK,
            zorder=5,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0},
        )


def _path(shape: object) -> Path:
    """Outlines and holes of a shape, wound in opposite directions, so that holes stay empty."""
    shapely = shapely_module()
    rings = []
    for polygon in shapely.get_parts(shape):
        turned = shapely.geometry.polygon.orient(polygon)
        rings += [np.asarray(ring.coords) for ring in (turned.exterior, *turned.interiors)]
    return Path.make_compound_path(*(Path(ring, closed=True) for ring in rings))
