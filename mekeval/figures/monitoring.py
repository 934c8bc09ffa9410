"""Community work as pictures: events by quarter, and what people answered with how uncertain it is.

In: tables of `mekeval.monitoring`, few people hidden already. Out: `Picture`. Never: a mean that is withheld.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ..errors import DataError
from ..tables import Table
from ..text import Texts, visible
from .axes import mark_synthetic, text_size
from .coverage import cut
from .picture import BAND, BLUE, GRID, INK, MUTED, TEXT, WIDTH, Picture, headings, style
from .plain_axes import add_axes
from .words import About, Words, words_for

_INCH = 72.0
_SMALL = 8.0
_EMPTY = "\N{EN DASH}"  # the work had not begun
_ROW = 46.0  # points for the bars of an area


@dataclass(frozen=True, kw_only=True)
class Answered:
    """One row of a picture of answers.

    Attributes
    ----------
    label : str
        Item or area, as a reader knows it.
    status : str
        "ok", "none" or "withheld".
    n : int
        Answers; 0 where they are not shown.
    mean, low, high : float
        On the scale; NaN where there is none.
    """

    label: str
    status: str
    n: int
    mean: float
    low: float
    high: float


def plot_events(
    indicators: pd.DataFrame,
    *,
    areas: Sequence[str],
    year: int,
    quarter: int = 0,
    texts: Texts | None = None,
    about: About | None = None,
) -> Picture:
    """Draw the events of each area by quarter, those of one year or quarter dark.

    Parameters
    ----------
    indicators : pandas.DataFrame
        By quarter, as `mekeval.monitoring.activity_indicators` gives them.
    areas : sequence of str
        Codes, a row for each; `about` has their names.
    year, quarter : int
        What the headline speaks of; all quarters of the year where the quarter is 0.
    texts : Texts, optional
        English by default.
    about : About, optional

    Returns
    -------
    Picture

    Raises
    ------
    DataError
        There is nothing by quarter to draw.
    """
    words = words_for(texts, about)
    rows = indicators.loc[indicators["area"].isin(areas) & (indicators["quarter"] > 0)]
    if rows.empty:
        raise DataError("There is nothing to draw.", where="indicators", expected="events by quarter")
    table = rows.pivot_table(index="area", columns=["year", "quarter"], values="events", aggfunc="sum")
    table = table.loc[list(areas)].astype(int)
    begun = rows.pivot_table(index="area", columns=["year", "quarter"], values="running", aggfunc="all")
    idle = ~begun.loc[list(areas)].to_numpy(dtype=bool) & (table.to_numpy() == 0)
    periods = [(int(at[0]), int(at[1])) for at in table.columns.to_list()]
    chosen = np.array([one == year and quarter in (0, part) for one, part in periods])
    period = words.texts(
        "community.period.quarter" if quarter else "community.period.year", year=year, quarter=quarter
    )
    own = table.to_numpy()[:, chosen].sum(axis=1)
    if own.sum() == 0:
        headline = words.say("community_events.headline_none", period=period)
    elif len(areas) == 1:
        headline = words.say(
            "community_events.headline_one",
            area=words.area(areas[0]),
            n=words.texts.number(own[0]),
            period=period,
        )
    else:
        most = int(np.argmax(own))
        headline = words.say(
            "community_events.headline_many",
            n=words.texts.number(int(own.sum())),
            period=period,
            most=words.area(areas[most]),
            m=words.texts.number(int(own[most])),
        )
    names = [words.texts("community.period.quarter", year=one, quarter=part) for one, part in periods]
    counts = [
        [_EMPTY if none else words.texts.number(int(value)) for value, none in zip(row, nothing, strict=True)]
        for row, nothing in zip(table.to_numpy(), idle, strict=True)
    ]
    parts = "; ".join(
        words.say(
            "community_events.part",
            area=words.area(code),
            counts=words.texts.number(int(total)),
        )
        for code, total in zip(areas, own, strict=True)
    )
    return words.picture(
        _event_rows(words, [words.area(code) for code in areas], table.to_numpy(), counts, periods, chosen),
        headline=headline,
        subtitle=words.say("community_events.subtitle", period=period),
        alt=words.say("community_events.alt", headline=headline, parts=parts),
        data=Table(
            caption=words.say("community_events.caption"),
            columns=headings(words.say("community_events.quarter"), *(words.area(code) for code in areas)),
            rows=tuple((name, *(row[at] for row in counts)) for at, name in enumerate(names)),
        ),
    )


def _event_rows(
    words: Words,
    names: Sequence[str],
    counts: NDArray[np.int64],
    written: Sequence[Sequence[str]],
    periods: Sequence[tuple[int, int]],
    chosen: NDArray[np.bool_],
) -> Figure:
    top = 16.0 if words.about.synthetic else 2.0
    foot = 16.0
    height = top + _ROW * len(names) + foot
    most = max(int(counts.max()), 1)
    points = WIDTH * _INCH
    with style():
        figure = Figure(figsize=(WIDTH, height / _INCH))
        if words.about.synthetic:
            mark_synthetic(figure, words)
        for at, name in enumerate(names):
            base = height - top - _ROW * (at + 1) + 2
            axes = add_axes(figure, (4 / points, base / height, 1 - 8 / points, (_ROW - 16) / height))
            axes.set_xlim(-0.6, len(periods) - 0.4)
            axes.set_ylim(0, most * 1.45)
            axes.axis("off")
            figure.text(4 / points, (base + _ROW - 15) / height, name, va="bottom", color=INK, weight="bold")
            colours = [BLUE if one else BAND for one in chosen]
            axes.bar(
                range(len(periods)), counts[at], width=0.78, color=colours, edgecolor=MUTED, linewidth=0.6
            )
            axes.axhline(0, color=MUTED, linewidth=0.8)
            for x, value in enumerate(counts[at]):
                axes.text(
                    x,
                    value + most * 0.05,
                    written[at][x],
                    ha="center",
                    va="bottom",
                    size=_SMALL,
                    color=INK if chosen[x] else MUTED,
                )
        _quarter_names(figure, periods, foot / height, points)
    return figure


def _quarter_names(figure: Figure, periods: Sequence[tuple[int, int]], foot: float, points: float) -> None:
    """The year under its first quarter; which quarter it is, by its number above."""
    axes = add_axes(figure, (4 / points, 0, 1 - 8 / points, foot))
    axes.set_xlim(-0.6, len(periods) - 0.4)
    axes.set_ylim(0, 1)
    axes.axis("off")
    for at, (year, quarter) in enumerate(periods):
        label = str(year) if quarter == 1 or at == 0 else f"/{quarter}"
        axes.text(at, 0.9, label, ha="center", va="top", size=_SMALL, color=MUTED)


def plot_answers(
    rows: Sequence[Answered],
    *,
    scale: tuple[int, int],
    period: str,
    level: float = 0.95,
    texts: Texts | None = None,
    about: About | None = None,
) -> Picture:
    """Draw means of answers with their intervals, a row for each; what is withheld is said.

    Parameters
    ----------
    rows : sequence of Answered
    scale : (int, int)
        First and last step.
    period : str
        As a reader knows it.
    level : float
        Of the intervals.
    texts, about
        As in `plot_events`.

    Raises
    ------
    DataError
        There is no row.
    """
    words = words_for(texts, about)
    if not rows:
        raise DataError("There is nothing to draw.", where="rows")
    shown = [row for row in rows if row.status == "ok"]
    if shown:
        best = max(shown, key=lambda row: (row.mean, row.label))
        headline = words.say(
            "community_feedback.headline",
            label=visible(best.label),
            estimate=_mean(words, best.mean),
            n=best.n,
        )
    else:
        headline = words.say("community_feedback.headline_none")
    said = [
        words.say("community_feedback.n", estimate=_mean(words, row.mean), n=words.texts.number(row.n))
        if row.status == "ok"
        else words.say(f"community_feedback.{row.status}")
        for row in rows
    ]
    parts = "; ".join(
        words.say("community_feedback.part", label=visible(row.label), value=value)
        for row, value in zip(rows, said, strict=True)
    )
    heads = [words.say(f"community_feedback.{name}") for name in ("mean", "low", "high", "answers")]
    return words.picture(
        _answer_rows(words, rows, said, scale),
        headline=headline,
        subtitle=words.say(
            "community_feedback.subtitle",
            low=scale[0],
            high=scale[1],
            level=words.texts.short(100 * level),
            period=period,
        ),
        alt=words.say("community_feedback.alt", headline=headline, parts=parts),
        data=Table(
            caption=words.say("community_feedback.caption"),
            columns=headings(words.say("community_feedback.row"), *heads),
            rows=tuple(_data_row(words, row) for row in rows),
        ),
    )


def _data_row(words: Words, row: Answered) -> tuple[str, ...]:
    if row.status != "ok":
        return (visible(row.label), words.say(f"community_feedback.{row.status}"), "", "", "")
    ends = [_mean(words, one) if np.isfinite(one) else "" for one in (row.low, row.high)]
    return (visible(row.label), _mean(words, row.mean), *ends, words.texts.number(row.n))


def _mean(words: Words, value: float) -> str:
    return words.texts.number(value, 1)


def _answer_rows(
    words: Words, rows: Sequence[Answered], said: Sequence[str], scale: tuple[int, int]
) -> Figure:
    top = 16.0 if words.about.synthetic else 2.0
    each, foot = 33.0, 30.0
    height = top + each * len(rows) + foot
    points = WIDTH * _INCH
    with style():
        figure = Figure(figsize=(WIDTH, height / _INCH))
        if words.about.synthetic:
            mark_synthetic(figure, words)
        axes = add_axes(figure, (8 / points, foot / height, 1 - 16 / points, each * len(rows) / height))
        axes.set_xlim(scale[0] - 0.05, scale[1] + 0.05)
        axes.set_ylim(each * len(rows), 0)
        axes.spines[["left", "right", "top"]].set_visible(False)
        axes.set_yticks([])
        steps = range(scale[0], scale[1] + 1)
        axes.set_xticks(steps, [str(step) for step in steps])
        axes.tick_params(length=3, color=MUTED, labelcolor=MUTED, labelsize=TEXT)
        axes.set_xlabel(words.say("community_feedback.axis"), color=MUTED, size=TEXT, labelpad=1)
        for at, (row, text) in enumerate(zip(rows, said, strict=True)):
            line = at * each + 25
            axes.axhline(line, color=GRID, linewidth=0.7, zorder=1)
            name = cut(visible(row.label), points - 32 - text_size(text)[0])
            axes.text(scale[0] - 0.05, at * each + 15, name, va="bottom", color=INK)
            axes.text(scale[1] + 0.05, at * each + 15, text, va="bottom", ha="right", color=MUTED)
            if row.status == "ok":
                known = np.isfinite(row.low) and np.isfinite(row.high)
                if known:
                    axes.hlines(line, row.low, row.high, color=BLUE, linewidth=2.2, zorder=2)
                face = BLUE if known else "white"
                axes.plot(
                    row.mean,
                    line,
                    marker="o",
                    markersize=6,
                    color=BLUE,
                    markerfacecolor=face,
                    clip_on=False,
                    zorder=3,
                )
    return figure
