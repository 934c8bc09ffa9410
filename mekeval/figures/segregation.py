"""How far the areas of a city lie apart, by year.

In: `Segregation`. Out: `Picture`. Never: a change called clear whose interval holds zero.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Collection, Mapping
from dataclasses import replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from ..errors import DesignError, closest
from ..panel import Floats
from ..segregation import INDICES, IndexChange, Segregation
from ..tables import Table
from ..text import Texts, visible
from .axes import (
    PATHS,
    Look,
    draw_line,
    end_values,
    place,
    room,
    shade_years,
    text_size,
    year_axes,
)
from .lines import spells_written, with_gaps, year_rows
from .picture import Picture, headings, style
from .words import About, Words, lower_first, words_for

#: Corrected value, low and high, by year.
Values = Mapping[int, tuple[float, float, float]]
#: Unit and digits of an index that is no share; "index" stands for percentage points here.
_AXES = {"percent": "axis.level.percent", "index": "axis.difference.percent"}
_UNITS = {"ratio": ("plain", 2), "cv": ("plain", 2), "gap": ("index", 1), "sd": ("index", 1)}
_NAME_WIDTH = 25  # letters of a line's name before it is broken


def plot_segregation(
    series: Segregation | Mapping[str, Segregation],
    *,
    index: str = "dissimilarity",
    years: Collection[int] = (),
    texts: Texts | None = None,
    about: About | None = None,
) -> Picture:
    """Draw an index of segregation by year, with its intervals.

    Parameters
    ----------
    series : Segregation or mapping of str to Segregation
        One group, which `about.outcome` names; or up to four by their names.
    index : str
        One of `mekeval.segregation.INDICES`.
    years : collection of int
        Years of the programme, which are shaded.
    texts : Texts, optional
        English by default.
    about : About, optional
        Name of the outcome, source of the data.

    Returns
    -------
    Picture
        Corrected values in per cent (`gap` and `sd` in percentage points, `ratio` and `cv` plain). The headline says
        in what the index rose or fell between the first and the last year; a change whose interval holds zero is no
        clear change. Years without data are crossed by a dotted line, and the band stops there.

    Raises
    ------
    DesignError
        No series or more than four; the index is unknown, was not measured, or has no value or interval in a year.
    """
    if index not in INDICES:
        raise DesignError(
            "Unknown index.", where="index", found=repr(index), expected=closest(index, INDICES)
        )
    words = words_for(texts, _about(about, index))
    named = {words.label: series} if isinstance(series, Segregation) else dict(series)
    if not 0 < len(named) <= len(PATHS):
        raise DesignError(
            "So many lines cannot be told apart.", found=str(len(named)), expected=f"1 to {len(PATHS)}"
        )
    scale = 1.0 if index in ("ratio", "cv") else 100.0
    drawn = {visible(name): _values(one, index, scale) for name, one in named.items()}
    changes = {visible(name): one.change(index) for name, one in named.items()}
    periods = sorted({year for values in drawn.values() for year in values})
    title = words.texts(f"segregation.index.{index}")
    level = words.texts.short(100 * (1 - next(iter(named.values())).alpha))
    headline = words.say("segregation.headline", index=title, parts=_parts(words, drawn, changes))
    with style():
        figure = _figure(words, drawn, periods, years)
    said = [
        words.say(
            "segregation.value",
            outcome=name,
            before=written(words, values[min(values)][0]),
            first=min(values),
            after=written(words, values[max(values)][0]),
            last=max(values),
        )
        for name, values in drawn.items()
    ]
    cells = [
        [_cell(words, values[year]) if year in values else words.say("no_data") for year in periods]
        for values in drawn.values()
    ]
    subtitle = f"{words.say(f'segregation.means.{index}')} {words.say('segregation.band', level=level)}"
    return words.picture(
        figure,
        headline=headline,
        subtitle=with_gaps(subtitle, periods, words),
        alt=words.say("segregation.alt", headline=headline, values=" ".join(said)),
        data=Table(
            caption=words.say("segregation.caption", index=title, level=level),
            columns=headings(words.say("column.year"), *drawn),
            rows=year_rows(periods, cells, words),
        ),
    )


def _figure(words: Words, drawn: Mapping[str, Values], periods: list[int], years: Collection[int]) -> Figure:
    ends = [
        (written(words, values[max(values)][0]), values[max(values)][0], look)
        for values, look in zip(drawn.values(), PATHS, strict=False)
        if max(values) == periods[-1]
    ]
    margin = (max((text_size(text)[0] for text, _, _ in ends), default=0.0) + 4) / 72
    reach = np.array([number for values in drawn.values() for one in values.values() for number in one])
    figure, axes = year_axes(
        words,
        periods,
        *room(reach, above=0.25, below=0.12),
        unit=words.say(_AXES[words.unit]) if words.unit in _AXES else "",
        right=margin,
    )
    shown = sorted(year for year in years if periods[0] <= year <= periods[-1])
    span = words.say("programme", years=spells_written([(shown[0], shown[-1])])) if shown else ""
    shade_years(axes, shown, span)
    short = _short(list(drawn))
    lines = []
    for (name, values), look in zip(drawn.items(), PATHS, strict=False):
        known = sorted(values)
        numbers = np.array([values[year] for year in known])
        _band(axes, known, numbers, look)
        line = draw_line(axes, known, numbers[:, 0], look)
        lines.append((textwrap.fill(_cut(short[name]), _NAME_WIDTH), look, line))
    end_values(axes, periods[-1], ends)
    # The broadest name first: it has the fewest places. As close to its own line as the others leave room, for
    # names in the gap between two lines are common here.
    lines.sort(key=lambda one: text_size(one[0])[0] * text_size(one[0])[1], reverse=True)
    taken, covered = np.vstack([line for _, _, line in lines]), np.empty((0, 2))
    for name, look, line in lines:
        covered = np.vstack([covered, place(axes, name, look.colour, near=line, clear=taken, away=covered)])
    return figure


def _cut(name: str) -> str:
    """A name of three lines at most."""
    return textwrap.shorten(name, 3 * _NAME_WIDTH, placeholder="\N{HORIZONTAL ELLIPSIS}")


def _short(names: list[str]) -> dict[str, str]:
    """Names up to what a comma or a bracket adds, where that still tells them apart; the headline has them whole."""
    cut = {name: re.split(r",| \(", name)[0] or name for name in names}
    return cut if len(set(cut.values())) == len(names) else {name: name for name in names}


def _band(axes: Axes, known: list[int], numbers: Floats, look: Look) -> None:
    """The intervals as a band that stops at years without data."""
    at = np.array(known, dtype=float)
    for run in np.split(np.arange(len(at)), np.flatnonzero(np.diff(at) > 1) + 1):
        pale, line = to_rgba(look.colour, 0.16), to_rgba(look.colour, 0.75)
        axes.fill_between(
            at[run],
            numbers[run, 1],
            numbers[run, 2],
            facecolor=pale,
            edgecolor=line,
            linewidth=0.5,
            zorder=1.2,
        )
        if len(run) == 1:  # a band over one year has no width
            axes.vlines(
                at[run],
                numbers[run, 1],
                numbers[run, 2],
                color=look.colour,
                linewidth=1.2,
                zorder=1.2,
            )


def _parts(words: Words, drawn: Mapping[str, Values], changes: Mapping[str, IndexChange]) -> str:
    """In what the index rose, fell or did neither."""
    way = {
        name: "same" if not change.clear else "up" if change.change > 0 else "down"
        for name, change in changes.items()
    }
    if len(drawn) == 1:
        (name, values), first, last = next(iter(drawn.items())), *_ends(next(iter(drawn.values())))
        return words.say(
            f"segregation.part.one_{way[name]}",
            before=written(words, values[first][0]),
            first=first,
            after=written(words, values[last][0]),
            last=last,
        )
    return "; ".join(
        words.say(
            f"segregation.part.{one}",
            outcomes=words.texts.join([lower_first(name) for name in drawn if way[name] == one]),
        )
        for one in ("up", "down", "same")
        if one in way.values()
    )


def _values(one: Segregation, index: str, scale: float) -> Values:
    """Corrected value with the ends of its interval, by year."""
    table = one.series(index)
    if not np.isfinite(table[["corrected", "low", "high"]].to_numpy()).all():
        raise DesignError(
            "The index has no value, or no interval, in a year.",
            where=index,
            found=", ".join(sorted(set(table["note"]) - {""})),
        )
    numbers = scale * table[["corrected", "low", "high"]].to_numpy(dtype=float)
    return {
        year: (float(at), float(low), float(high))
        for year, (at, low, high) in zip(one.periods, numbers, strict=True)
    }


def _ends(values: Values) -> tuple[int, int]:
    return min(values), max(values)


def _cell(words: Words, numbers: tuple[float, float, float]) -> str:
    estimate, low, high = (written(words, number) for number in numbers)
    return words.texts("segregation.interval", estimate=estimate, low=low, high=high)


def written(words: Words, value: float) -> str:
    """A value of the index: shares in per cent, differences of shares in percentage points."""
    return (
        words.level(value)
        if words.unit != "index"
        else words.texts("unit.percent.short", number=words.texts.number(value, words.decimals))
    )


def _about(about: About | None, index: str) -> About:
    """What the numbers are: an index has its own unit, not that of the outcome."""
    unit, decimals = _UNITS.get(index, ("percent", 1))
    return replace(about or About(), unit=unit, decimals=decimals)
