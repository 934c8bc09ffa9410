"""Pictures over years: effects by path and year, and the levels of two sides.

In: `Effects`, or levels by year. Out: `Picture`. Never: a line drawn through a year without data.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..errors import DataError, DesignError
from ..estimate import Effects
from ..panel import Floats
from ..tables import Table
from ..text import Texts
from .axes import (
    MARGIN,
    OWN,
    PATHS,
    REST,
    TOP,
    Look,
    draw_estimates,
    draw_line,
    end_values,
    inner_axes,
    mark_synthetic,
    name_lines,
    room,
    shade_years,
    text_size,
    to_points,
    value_scale,
    value_width,
    year_axes,
    year_scale,
)
from .event_study import (
    base_sentence,
    base_times,
    counted,
    few_treated,
    shown_how,
    with_interval,
    with_intervals,
)
from .picture import INK, MUTED, WIDTH, Picture, headings, style
from .words import About, Words, words_for

_PANEL = 0.95  # inches


@dataclass(frozen=True, kw_only=True)
class Line:
    """The effects of one path.

    Attributes
    ----------
    name, heading, said : str
        In the picture, over its column, and in the alternative text.
    periods : tuple of int
        n_periods of them.
    att, low, high : array, shape (n_periods,)
        In the outcome's unit; NaN where there is no interval.
    hollow, treated : collection of int
        Periods whose markers are open, and those in which the path is treated.
    """

    name: str
    heading: str
    said: str
    periods: tuple[int, ...]
    att: Floats
    low: Floats
    high: Floats
    hollow: Collection[int]
    treated: Collection[int]


def plot_group_time(
    effects: Effects, *, alpha: float = 0.05, texts: Texts | None = None, about: About | None = None
) -> Picture:
    """Draw the effects of any estimator by path and calendar year, with pointwise intervals.

    Parameters
    ----------
    effects : Effects
        Told apart by period; up to four paths are drawn as lines, more of them each in axes of its own.
    alpha : float
        Of the intervals, which are normal and hold for one effect at a time.
    texts : Texts, optional
        English by default.
    about : About, optional
        Name and unit of the outcome, source of the data.

    Returns
    -------
    Picture
        In the outcome's unit. The headline gives the smallest and the largest effect while treated and, where there
        are standard errors, how many of their intervals exclude zero. Effects without a standard error are open
        points.

    Raises
    ------
    DesignError
        The effects are not told apart by period, or none is of a treated period; `alpha` is out of range.
    """
    table = effects.tidy()
    if table["period"].isna().any():
        raise DesignError(
            "This estimator does not tell its effects by period.",
            where=f"{effects.outcome}, {effects.estimator}",
            fix="Draw them by time since entry (plot_event_study).",
        )
    full = table.loc[table["phase"] == "on"]
    if full.empty:
        raise DesignError("There is no effect while treated to draw.", where=effects.outcome)
    table = with_intervals(table, alpha)
    words = words_for(
        texts,
        about,
        outcome=effects.outcome,
        estimates=table["att"].to_numpy(),
        errors=table["se"].to_numpy(),
    )
    lines = []
    for name, cells in table.groupby("path", sort=False):
        span, n = path_written(str(name)), int(cells["n_treated"].max())
        low, high = cells["low"].to_numpy(), cells["high"].to_numpy()
        periods = tuple(int(period) for period in cells["period"])
        lines.append(
            Line(
                name=words.say("effects.path", years=span, n=n),
                heading=span,
                said=span,
                periods=periods,
                att=cells["att"].to_numpy(),
                low=low,
                high=high,
                hollow=[period for period, known in zip(periods, np.isfinite(low), strict=True) if not known],
                treated=treated_years(cells),
            )
        )
    full = table.loc[table["phase"] == "on"]
    least, most = (full.iloc[int(at(full["att"]))] for at in (np.argmin, np.argmax))
    parts: dict[str, object] = {
        "low": words.change(least["att"]),
        "low_where": f"{path_written(least['path'])}, {least['period']}",
        "high": words.change(most["att"], form="difference"),
        "high_where": f"{path_written(most['path'])}, {most['period']}",
        "counted": counted(words, full),
        "level": words.texts.short(100 * (1 - alpha)),
    }
    subtitle = [words.say("group_time.subtitle", estimator=effects.estimator.replace("_", " "), **parts)]
    subtitle += shown_how(words, table, parts, few=few_treated(effects))
    subtitle.append(base_sentence(words, effects, base_times(effects), crossed=False))
    treated = treated_years(effects.cells)
    return group_time_picture(
        words,
        lines,
        treated,
        words.say("treated_years", years=f"{min(treated)}\N{EN DASH}{max(treated)}"),
        headline=words.say("group_time.headline", **parts),
        subtitle=" ".join(subtitle),
    )


def group_time_picture(
    words: Words, lines: Sequence[Line], years: Collection[int], span: str, *, headline: str, subtitle: str
) -> Picture:
    """Effects by path and year, with the years of treatment shaded."""
    periods = sorted({period for line in lines for period in line.periods})
    with style():
        if len(lines) <= len(PATHS):
            figure = _one_for_all(words, lines, periods, years, span)
        else:
            figure = _one_for_each(words, lines, periods)
    said = [
        {
            period: with_interval(words, att, low, high)
            for period, att, low, high in zip(line.periods, line.att, line.low, line.high, strict=True)
        }
        for line in lines
    ]
    parts = [
        f"{line.said} {words.change(line.att[-1], form='difference')}"
        if line.periods[-1] == periods[-1]
        else f"{line.said} {words.change(line.att[-1], form='difference')} ({line.periods[-1]})"
        for line in lines
    ]
    return words.picture(
        figure,
        headline=headline,
        subtitle=with_gaps(subtitle, periods, words),
        alt=words.say(
            "effects.alt_all", headline=headline, year=periods[-1], parts="; ".join(parts).rstrip(".")
        ),
        data=Table(
            caption=words.say("effects.caption"),
            columns=headings(words.say("column.year"), *(line.heading for line in lines)),
            rows=year_rows(periods, [[cell.get(year, "") for year in periods] for cell in said], words),
        ),
    )


def _one_for_all(
    words: Words, lines: Sequence[Line], periods: Sequence[int], years: Collection[int], span: str
) -> Figure:
    limits = room(_reach(lines), above=0.2)
    figure, axes = year_axes(words, periods, *limits, unit=words.axis, right=MARGIN, sign=True)
    shade_years(axes, years, span)
    axes.axhline(0, color=INK, linewidth=0.8, zorder=1.5)
    named, ends = [], []
    for at, line in enumerate(lines):
        x = np.array(line.periods) + 0.16 * (at - (len(lines) - 1) / 2)
        if np.isfinite(line.low).any():
            drawn = _bars(axes, x, line, PATHS[at])
            for share in np.linspace(0, 1, 9):
                ends.append(to_points(axes, x, line.low + share * (line.high - line.low)))
        else:
            drawn = draw_line(axes, line.periods, line.att, PATHS[at], hollow=line.hollow)
        named.append((line.name, PATHS[at], drawn))
    fine = np.linspace(periods[0], periods[-1], 121)
    taken = np.vstack(
        [to_points(axes, fine, 0 * fine), *(points[~np.isnan(points[:, 1])] for points in ends)]
    )
    name_lines(axes, named, taken=taken)
    return figure


def _one_for_each(words: Words, lines: Sequence[Line], periods: Sequence[int]) -> Figure:
    low, high = room(_reach(lines), above=0.3)
    height = _PANEL * len(lines) + TOP + 0.16
    figure = Figure(figsize=(WIDTH, height))
    left = (value_width(low, high, words, sign=True) + 7) / 72
    for at, line in enumerate(lines):
        bottom = height - TOP - _PANEL * (at + 1) + 0.12
        axes = inner_axes(figure, words, left=left, right=MARGIN, bottom=bottom, tall=_PANEL - 0.12)
        value_scale(axes, words, low, high, sign=True, most=3)
        year_scale(axes, periods)
        if at < len(lines) - 1:
            axes.tick_params(axis="x", labelbottom=False)
        axes.axhline(0, color=INK, linewidth=0.8, zorder=1.5)
        shade_years(axes, line.treated, "")
        _bars(axes, np.array(line.periods, dtype=float), line, OWN)
        axes.text(0.01, 0.98, line.name, transform=axes.transAxes, va="top", color=OWN.colour)
    figure.text(2 / 72 / WIDTH, 1 - 2 / 72 / height, words.axis, va="top", color=MUTED)
    mark_synthetic(figure, words)
    return figure


def _bars(axes: Axes, x: Floats, line: Line, look: Look) -> Floats:
    axes.plot(x, line.att, color=look.colour, linewidth=0.9, linestyle=look.dash, zorder=2)
    draw_estimates(axes, x, line.att, line.low, line.high, look, size=4.4)
    fine = np.linspace(x[0], x[-1], 121)
    return to_points(axes, fine, np.interp(fine, x, line.att))


def _reach(lines: Sequence[Line]) -> Floats:
    every = np.concatenate([[0.0], *(np.r_[line.att, line.low, line.high] for line in lines)])
    return np.asarray(every[np.isfinite(every)])


def levels_figure(
    words: Words,
    periods: Sequence[int],
    own: Floats,
    rest: Floats,
    rest_name: str,
    years: Collection[int],
    span: str,
    *,
    below: float = 0.0,
) -> tuple[Figure, Axes]:
    """The levels of the subject and of what it is compared with; `below` inches are left free under the axes."""
    if not all(np.isfinite(values).any() for values in (own, rest)):
        raise DataError("There is no value to draw.", where=words.name)
    last = [(words.level(values[-1]), float(values[-1]), look) for values, look in ((rest, REST), (own, OWN))]
    margin = (max(text_size(text)[0] for text, _, _ in last) + 4) / 72
    limits = room(np.concatenate([own, rest]), above=0.2)
    unit = words.say(f"axis.level.{words.unit}")
    figure, axes = year_axes(words, periods, *limits, unit=unit, right=margin, below=below)
    shade_years(axes, years, span)
    lines = [draw_line(axes, periods, values, look) for values, look in ((rest, REST), (own, OWN))]
    end_values(axes, periods[-1], last)
    name_lines(axes, [(words.name, OWN, lines[1]), (rest_name, REST, lines[0])])
    return figure, axes


def treated_years(cells: pd.DataFrame) -> list[int]:
    """Years in which any path is treated, also those without data between two that have."""
    years: set[int] = set()
    for _, one in cells.groupby("path"):
        own = one.sort_values("period")
        inside = own["phase"].isin(["on", "partial"]).to_numpy()
        period = own["period"].to_numpy(dtype=int)
        years.update(int(year) for year in period[inside])
        for at in np.flatnonzero(inside[1:] & inside[:-1]):
            years.update(range(int(period[at]), int(period[at + 1])))
    return sorted(years)


def spells_written(spells: Sequence[tuple[int, int]]) -> str:
    """Stretches of years as a reader writes them."""
    return ", ".join(str(first) if first == last else f"{first}\N{EN DASH}{last}" for first, last in spells)


def path_written(name: str) -> str:
    """The name of a path as a reader writes its years.

    Examples
    --------
    >>> path_written("2019-2022, 2024-2024")
    '2019–2022, 2024'
    """
    return re.sub(
        r"\b(\d+)-(\d+)\b",
        lambda years: years[1] if years[1] == years[2] else f"{years[1]}\N{EN DASH}{years[2]}",
        name,
    )


def with_gaps(subtitle: str, periods: Sequence[int], words: Words) -> str:
    """The subtitle, with what a dotted line means where there is one."""
    has_gap = len(periods) < periods[-1] - periods[0] + 1
    return f"{subtitle} {words.say('gaps')}" if has_gap else subtitle


def year_rows(
    periods: Sequence[int], columns: Sequence[Sequence[str]], words: Words
) -> tuple[tuple[str, ...], ...]:
    """One row for each calendar year; a year without data says so."""
    rows = {period: cells for period, *cells in zip(periods, *columns, strict=True)}
    none = [words.say("no_data")] * len(columns)
    return tuple((str(year), *rows.get(year, none)) for year in range(periods[0], periods[-1] + 1))
