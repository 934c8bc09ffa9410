"""What the data cover: areas by years, and why there is no number.

In: a table of areas, years and status. Out: `Picture`. Never: an empty cell without its reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path

from ..errors import DataError, closest
from ..panel import Floats
from ..tables import Column, Table
from ..text import Texts, ranges
from .axes import TOP, inner_axes, text_size, year_scale
from .picture import BLUE, GREEN, GRID, INK, MUTED, PURPLE, SHADE, VERMILION, WIDTH, Picture, headings, style
from .plain_axes import add_axes
from .words import About, Words, words_for

_INCH = 72.0
POINTS = _INCH * WIDTH
SMALL = 8.0
#: Up to so many areas each has a row with its name; more of them are an image.
NAMED = 80
_ROW, _IMAGE, _STRIP, _GAP, AXIS, _LINE = 11.5, 330.0, 26.0, 8.0, 20.0, 15.0  # points

ABSENT = "not_published"


@dataclass(frozen=True, kw_only=True)
class _Mark:
    """How a status is drawn: by its colour alone in an image; elsewhere its letter tells it apart, too."""

    colour: str
    letter: str = ""
    ink: str = INK


_MARKS: Mapping[str, _Mark] = {
    "ok": _Mark(colour=BLUE),
    "interpolated": _Mark(colour=GREEN, letter="i", ink="white"),
    "suppressed": _Mark(colour="#eda63a", letter="c"),
    "confidential": _Mark(colour="#f9dc9c", letter="d"),
    "not_applicable": _Mark(colour="#a9b9c9", letter="z"),
    "empty_area": _Mark(colour="#dde2e6", letter="e"),
    "missing": _Mark(colour="#2f353b", letter="x", ink="white"),
    "overflow": _Mark(colour=PURPLE, letter="o", ink="white"),
    "implausible": _Mark(colour=VERMILION, letter="!", ink="white"),
    "split_releases": _Mark(colour="#cda2d8", letter="s"),
    ABSENT: _Mark(colour="#ffffff", letter="\N{MIDDLE DOT}", ink=MUTED),
}


def plot_coverage(
    coverage: pd.DataFrame, *, indicator: str, texts: Texts | None = None, about: About | None = None
) -> Picture:
    """Draw for each area and year whether there is a number, and why not.

    Parameters
    ----------
    coverage : pandas.DataFrame
        Columns area, indicator, year and status, as `mekeval.indicators.coverage` gives them.
    indicator : str
    texts : Texts, optional
        English by default.
    about : About, optional
        Label of the indicator, names of the areas, source.

    Returns
    -------
    Picture
        Up to `NAMED` areas each have a row with a name, and every state but a number has a letter; more areas are an
        image in the order of their codes. Above it the share of areas with a number, by year.

    Raises
    ------
    DataError
        Nothing is known of the indicator.

    Examples
    --------
    >>> rows = [("A", "rate", 2020, "ok"), ("A", "rate", 2021, "missing")]
    >>> table = pd.DataFrame(rows, columns=["area", "indicator", "year", "status"])
    >>> plot_coverage(table, indicator="rate").headline
    'rate: 50% of the cells have a number (1 area, 2020–2021).'
    """
    words = words_for(texts, about, outcome=indicator)
    part = coverage.loc[coverage["indicator"] == indicator].astype({"area": str, "status": str})
    if part.empty:
        known = [str(name) for name in coverage["indicator"].unique()]
        raise DataError(
            "There is nothing to draw for this indicator.",
            found=repr(indicator),
            expected=closest(indicator, known),
        )
    areas = tuple(sorted(str(area) for area in part["area"].unique()))
    spoken = part.loc[part["status"] != ABSENT, "year"]
    spoken = spoken if len(spoken) else part["year"]
    years = tuple(range(int(spoken.min()), int(spoken.max()) + 1))
    found = part.pivot(index="area", columns="year", values="status").reindex(
        index=list(areas), columns=list(years)
    )
    grid = found.fillna(ABSENT).to_numpy(dtype=str)
    there = grid == "ok"
    published = [at for at, year in enumerate(years) if (grid[:, at] != ABSENT).any()]
    full = int(there[:, published].all(axis=1).sum()) if published else 0
    share = float(there[:, published].mean()) if published else 0.0
    said = {
        "n": words.texts.number(len(areas)),
        "years": ranges(years[at] for at in published),
        "share": words.most(share),
        "full": words.texts.number(full),
    }
    key = "all" if published and share == 1 else "some" if there.any() else "none"
    if len(areas) == 1:
        key += "_one"
    elif key == "some" and full == 1:
        key = "some_full_one"
    headline = words.say(f"coverage.{key}", **said)
    kind = "named" if len(areas) <= NAMED else "image"
    return words.picture(
        _grid(words, areas, years, grid),
        headline=headline,
        subtitle=words.say(f"coverage.subtitle_{kind}"),
        alt=words.say("coverage.alt", headline=headline, parts=_counted(words, grid[:, published])),
        data=_area_table(words, areas, years, grid)
        if kind == "named"
        else _year_table(words, years, grid, published),
    )


def _counted(words: Words, grid: npt.NDArray[np.str_]) -> str:
    """How many cells have each status, the most frequent first."""
    names, counts = np.unique(grid, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return "; ".join(f"{words.texts(f'status.{names[at]}')} {words.texts.number(counts[at])}" for at in order)


def _area_table(
    words: Words, areas: Sequence[str], years: Sequence[int], grid: npt.NDArray[np.str_]
) -> Table:
    rows = []
    for at, area in enumerate(areas):
        with_number = [year for year, status in zip(years, grid[at], strict=True) if status == "ok"]
        others = []
        for status in _MARKS:
            lacking = [year for year, one in zip(years, grid[at], strict=True) if one == status]
            if lacking and status not in ("ok", ABSENT):
                others.append(f"{words.texts(f'status.{status}')} {ranges(lacking)}")
        rows.append((words.area(area), ranges(with_number), "; ".join(others)))
    columns = (
        Column(label=words.say("column.area")),
        Column(label=words.say("coverage.with_number")),
        Column(label=words.say("coverage.without")),
    )
    return Table(caption=words.say("coverage.caption"), columns=columns, rows=tuple(rows))


def _year_table(
    words: Words, years: Sequence[int], grid: npt.NDArray[np.str_], published: Sequence[int]
) -> Table:
    statuses = [status for status in _MARKS if (grid[:, published] == status).any()]
    rows = tuple(
        (
            str(years[at]),
            words.most(float((grid[:, at] == "ok").mean())),
            *(words.texts.number(int((grid[:, at] == status).sum())) for status in statuses),
        )
        for at in published
    )
    labels = [words.texts(f"status.{status}") for status in statuses]
    columns = headings(words.say("column.year"), words.say("coverage.share"), *labels)
    return Table(caption=words.say("coverage.caption"), columns=columns, rows=rows)


def _grid(words: Words, areas: Sequence[str], years: Sequence[int], grid: npt.NDArray[np.str_]) -> Figure:
    """A row for each area or an image of all, a strip of shares above, years and a key below."""
    named = len(areas) <= NAMED
    with style():
        ticks = range(len(areas)) if named else np.linspace(0, len(areas) - 1, 9).round().astype(int)
        names = [cut(words.area(areas[at]) if named else areas[at], 112.0) for at in ticks]
        left = max(text_size(name, SMALL)[0] for name in names) + 6
        tall = _ROW * len(areas) if named else _IMAGE
        statuses = [status for status in _MARKS if (grid == status).any()]
        entries = [(status, words.texts(f"status.{status}")) for status in statuses]
        lines = _flow([text for _, text in entries])
        foot = AXIS + 6 + _LINE * len(lines)
        height = foot + tall + _GAP + _STRIP + TOP * _INCH
        figure = Figure(figsize=(WIDTH, height / _INCH))
        inches = {"left": left / _INCH, "right": 5 / _INCH}
        axes = inner_axes(figure, words, bottom=foot / _INCH, tall=tall / _INCH, **inches)
        axes.set_xlim(years[0] - 0.5, years[-1] + 0.5)
        axes.set_ylim(len(areas) - 0.5, -0.5)
        if named:
            _cells(axes, years, grid)
        else:
            _image(axes, years, grid)
        axes.spines["bottom"].set_visible(False)
        axes.set_yticks([])
        for row, name in zip(ticks, names, strict=True):
            axes.text(
                years[0] - 0.5, row, f"{name} ", ha="right", va="center_baseline", color=INK, size=SMALL
            )
        year_scale(axes, years)
        strip = inner_axes(figure, words, bottom=(foot + tall + _GAP) / _INCH, **inches)
        strip.set_xlim(axes.get_xlim())
        shares = np.where((grid != ABSENT).any(axis=0), (grid == "ok").mean(axis=0), np.nan)
        bars(strip, years, shares)
        strip.set_xticks([])
        strip.text(
            0,
            1,
            words.say("coverage.strip"),
            transform=figure.transFigure,
            va="top",
            color=MUTED,
            size=SMALL,
        )
        _key(figure, entries, lines, top=foot - AXIS - 6)
    return figure


def _cells(axes: Axes, years: Sequence[int], grid: npt.NDArray[np.str_]) -> None:
    """Coloured runs under a white lattice, and a letter in each cell that has no number."""
    boxes: dict[str, list[list[tuple[float, float]]]] = {}
    for row, statuses in enumerate(grid):
        starts = [0, *(np.flatnonzero(statuses[1:] != statuses[:-1]) + 1), len(statuses)]
        for start, end in pairwise(starts):
            left, right = years[0] + start - 0.5, years[0] + end - 0.5
            box = [(left, row - 0.5), (right, row - 0.5), (right, row + 0.5), (left, row + 0.5)]
            boxes.setdefault(_mark(statuses[start]).colour, []).append(box)
    for colour, same in boxes.items():
        _fill(axes, same, colour)
    axes.vlines([year + 0.5 for year in years[:-1]], -0.5, len(grid) - 0.5, color="white", linewidth=1.2)
    axes.hlines(np.arange(len(grid) - 1) + 0.5, years[0] - 0.5, years[-1] + 0.5, color="white", linewidth=1.2)
    narrow = axes.bbox.width / len(years) < 7
    for row, column in np.argwhere(grid != "ok"):
        mark = _mark(grid[row, column])
        if not (narrow and grid[row, column] == ABSENT):
            axes.text(
                years[column],
                row,
                mark.letter,
                ha="center",
                va="center_baseline",
                color=mark.ink,
                size=6.5 if narrow else 7.5,
            )


def _image(axes: Axes, years: Sequence[int], grid: npt.NDArray[np.str_]) -> None:
    """A pixel for each cell: the picture says that whoever enlarges it keeps the edges sharp."""
    names, codes = np.unique(grid, return_inverse=True)
    palette = np.array([to_rgb(_mark(name).colour) for name in names])
    pixels = (palette * 255).round().astype(np.uint8)[codes.reshape(grid.shape)]
    extent = (years[0] - 0.5, years[-1] + 0.5, len(grid) - 0.5, -0.5)
    axes.imshow(pixels, extent=extent, aspect="auto", interpolation="none")
    axes.add_patch(
        Rectangle(
            (extent[0], -0.5),
            len(years),
            len(grid),
            fill=False,
            edgecolor=MUTED,
            linewidth=0.6,
            clip_on=False,
        )
    )


def bars(axes: Axes, years: Sequence[int], shares: Floats) -> None:
    """A bar for each year in a frame that is full at 100 per cent."""
    axes.set_ylim(0, 1)
    axes.set_yticks([])
    known = [(year, float(share)) for year, share in zip(years, shares, strict=True) if not np.isnan(share)]
    for colour, tops in ((SHADE, [1.0] * len(known)), (BLUE, [share for _, share in known])):
        boxes = [_box(year, top) for (year, _), top in zip(known, tops, strict=True) if top > 0]
        _fill(axes, boxes, colour)


def _fill(axes: Axes, boxes: Sequence[Sequence[tuple[float, float]]], colour: str) -> None:
    """Boxes of one colour as one path: an element for each would be most of a page's size."""
    if boxes:
        whole = Path.make_compound_path(*(Path([*box, box[0]], closed=True) for box in boxes))
        axes.add_artist(PathPatch(whole, facecolor=colour, linewidth=0, clip_on=False))


def _box(year: int, top: float) -> list[tuple[float, float]]:
    left, right = year - 0.45, year + 0.45
    return [(left, 0.0), (right, 0.0), (right, top), (left, top)]


def _key(figure: Figure, entries: Sequence[tuple[str, str]], lines: Sequence[int], *, top: float) -> None:
    """What the colours and letters mean, in as many lines as they need."""
    axes = add_axes(figure, (0, 0, 1, top / _INCH / figure.get_size_inches()[1]))
    axes.set_axis_off()
    axes.set_xlim(0, POINTS)
    axes.set_ylim(top, 0)
    at = 0
    for line, number in enumerate(lines):
        x, y = 2.0, line * _LINE + 3
        for status, text in entries[at : at + number]:
            mark = _mark(status)
            axes.add_patch(Rectangle((x, y), 10, 10, facecolor=mark.colour, edgecolor=MUTED, linewidth=0.5))
            axes.text(x + 5, y + 5, mark.letter, ha="center", va="center_baseline", color=mark.ink, size=7.5)
            axes.text(x + 14, y + 5, text, va="center", color=MUTED, size=SMALL)
            x += 14 + text_size(text, SMALL)[0] + 10
        at += number


def _flow(texts: Sequence[str]) -> list[int]:
    """How many entries of a key go on each line."""
    lines, x = [0], 2.0
    for text in texts:
        width = 24 + text_size(text, SMALL)[0]
        if x + width > POINTS and lines[-1]:
            lines.append(0)
            x = 2.0
        lines[-1] += 1
        x += width
    return lines


def _mark(status: str) -> _Mark:
    return _MARKS.get(status, _Mark(colour=GRID, letter="?"))


def cut(text: str, width: float, size: float = SMALL) -> str:
    """As much of a text as has room in so many points."""
    if text_size(text, size)[0] <= width:
        return text
    return next(
        (
            f"{text[:end].rstrip()}…"
            for end in range(len(text) - 1, 0, -1)
            if text_size(f"{text[:end].rstrip()}…", size)[0] <= width
        ),
        text[:1],
    )
