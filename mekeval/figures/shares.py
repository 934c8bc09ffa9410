"""Shares by year as rows of bars: of areas with a number, and of values that a later release changed.

In: tables of coverage, or of compared releases. Out: `Picture`. Never: an area by its name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ..errors import DataError
from ..tables import Table
from ..text import Texts, visible
from .axes import mark_synthetic, text_size, year_scale
from .coverage import ABSENT, AXIS, POINTS, SMALL, bars, cut
from .picture import INK, MUTED, WIDTH, Picture, headings, style
from .plain_axes import add_axes
from .words import About, Words, lower_first, words_for

_FEW = 10  # so many years at least have room: fewer of them do not become broad
_RECENT = 25  # years
_MOST = 16  # rows: on paper, where a picture is at most 16 cm high, more cannot be read
_WRITTEN = (
    8  # rows: under more of them numbers are a wall, and most of the picture's size; the table has them
)
_EDGE = 10.0  # points: half of a year's number has room beside the first and last bar


def plot_coverage_shares(
    coverage: pd.DataFrame,
    *,
    labels: Mapping[str, str],
    texts: Texts | None = None,
    about: About | None = None,
) -> Picture:
    """Draw the share of areas with a number, for each indicator by year.

    Parameters
    ----------
    coverage : pandas.DataFrame
        As in `plot_coverage`.
    labels : mapping of str to str
        Names of indicators as a reader knows them; the order of the rows.
    """
    words = words_for(texts, about)
    good = coverage.loc[coverage["indicator"].isin(list(labels))]
    good = good.assign(there=(good["status"] == "ok").astype(float))
    some = (
        (good["status"] != ABSENT).groupby([good["indicator"], good["year"]], observed=True).transform("any")
    )
    good = good.loc[some.astype(bool)]
    shares = good.groupby(["indicator", "year"], observed=True)["there"].mean()
    names = [name for name in labels if name in set(good["indicator"])]
    if not names:
        raise DataError("There is nothing to draw.", found="no indicator with a label")
    years = tuple(range(int(good["year"].min()), int(good["year"].max()) + 1))
    rows = [
        (visible(labels[name]), {int(year): float(share) for year, share in shares[name].items()})
        for name in names
    ]
    areas = good.groupby("indicator", observed=True)["area"].nunique()
    known = [
        (share, label, year, int(areas[name]))
        for name, (label, cells) in zip(names, rows, strict=True)
        for year, share in cells.items()
        if share > 0
    ]
    said: dict[str, object] = {"n": len(names)}
    key = "none"
    if known:
        share, label, year, n = min(known)
        alike = share == max(known)[0] and len({one[3] for one in known}) == 1
        key = "all" if share == 1 else "even" if alike else "some"
        said |= {"share": words.most(share), "least": lower_first(label), "year": year}
        said["areas"] = words.texts.number(n)
    if len(names) == 1:
        key += "_one"
    headline = words.say(f"coverage_shares.{key}", **said)
    return _shares_picture(words, "coverage_shares", headline, rows, years)


def by_span(coverage: pd.DataFrame, labels: Mapping[str, str]) -> list[dict[str, str]]:
    """Indicators in groups, each for a picture of its own: one old series would leave the others no room.

    Parameters
    ----------
    coverage, labels
        As in `plot_coverage_shares`.

    Returns
    -------
    list of dict
        Those with data of the last 25 years only before those whose data go further back, where this gives their years
        at least twice the room; and at most 16 in a group.
    """
    said = coverage.loc[coverage["status"] != ABSENT]
    years = said.groupby(said["indicator"].astype(str))["year"].agg(["min", "max"])
    last = years["max"].max()
    recent = [name for name in labels if name in years.index and years["min"][name] > last - _RECENT]
    older = [name for name in labels if name in years.index and name not in recent]
    parts = [[name for name in labels if name in years.index] or list(labels)]
    if recent and older:
        own = max(last - years["min"][recent].min() + 1, _FEW)
        parts = [recent, older] if last - years["min"].min() + 1 >= 2 * own else parts
    groups = []
    for names in parts:
        pieces = -(-len(names) // _MOST)
        cuts = [len(names) * at // pieces for at in range(pieces + 1)]
        groups += [{name: labels[name] for name in names[one:two]} for one, two in pairwise(cuts)]
    return groups


def plot_releases(
    compared: pd.DataFrame,
    *,
    labels: Mapping[str, str],
    texts: Texts | None = None,
    about: About | None = None,
) -> Picture:
    """Draw the share of values that a later release changed, for each indicator and pair of releases by year.

    Parameters
    ----------
    compared : pandas.DataFrame
        Columns indicator, year, vintage_old, vintage_new, areas and changed, as
        `mekeval.indicators.compare_releases` gives them.
    labels : mapping of str to str
        As in `plot_coverage_shares`.

    Returns
    -------
    Picture
        Indicators and releases of which nothing was changed have no row where others have one.
    """
    words = words_for(texts, about)
    if compared.empty:
        raise DataError("There is nothing to draw.", found="no value that stands in two releases")
    moved = compared.groupby(["indicator", "vintage_old", "vintage_new"])["changed"].transform("sum") > 0
    shown = compared.loc[moved] if moved.any() else compared
    rows = []
    for (name, old, new), part in shown.groupby(["indicator", "vintage_old", "vintage_new"], sort=True):
        label = visible(words.say("releases.row", outcome=labels.get(str(name), str(name)), old=old, new=new))
        shares = part["changed"] / part["areas"]
        rows.append((label, {int(y): float(s) for y, s in zip(part["year"], shares, strict=True)}))
    years = tuple(range(int(shown["year"].min()), int(shown["year"].max()) + 1))
    changed, total = int(compared["changed"].sum()), int(compared["areas"].sum())
    said = {
        "changed": words.texts.number(changed),
        "total": words.texts.number(total),
        "share": words.most(changed / total) if total else words.percent(0.0),
    }
    headline = words.say("releases.some" if changed else "releases.none", **said)
    return _shares_picture(words, "releases", headline, rows, years)


def _shares_picture(
    words: Words,
    key: str,
    headline: str,
    rows: Sequence[tuple[str, Mapping[int, float]]],
    years: Sequence[int],
) -> Picture:
    columns = headings(words.say(f"{key}.first"), *(str(year) for year in years))
    body = tuple(
        (label, *(words.most(cells[year]) if year in cells else "" for year in years))
        for label, cells in rows
    )
    return words.picture(
        _share_rows(words, rows, years),
        headline=headline,
        subtitle=words.say(f"{key}.subtitle"),
        alt=words.say(f"{key}.alt", headline=headline),
        data=Table(caption=words.say(f"{key}.caption"), columns=columns, rows=body),
    )


def _share_rows(
    words: Words, rows: Sequence[tuple[str, Mapping[int, float]]], years: Sequence[int]
) -> Figure:
    """A row of bars under each label, with its percentage under each bar where there is room."""
    # Few years do not become broad: the scale goes on, but no year is written where the data have none.
    scale = range(years[0], max(years[-1], years[0] + _FEW - 1) + 1)
    width = (POINTS - 2 * _EDGE) / len(scale)
    written = len(rows) <= _WRITTEN and width >= text_size("100", SMALL)[0] + 3
    each = 13 + 16 + (11 if written else 0) + 7
    top = 16.0 if words.about.synthetic else 2.0
    height = top + each * len(rows) + AXIS
    with style():
        figure = Figure(figsize=(WIDTH, height * WIDTH / POINTS))
        if words.about.synthetic:
            mark_synthetic(figure, words)
        for number, (label, cells) in enumerate(rows):
            above = height - top - number * each
            text = cut(label, POINTS - 4)
            figure.text(2 / POINTS, above / height, text, va="top", color=INK, size=SMALL)
            place = (_EDGE / POINTS, (above - 29) / height, 1 - 2 * _EDGE / POINTS, 16 / height)
            axes = add_axes(figure, place)
            axes.set_axis_off()
            axes.set_xlim(scale[0] - 0.5, scale[-1] + 0.5)
            bars(axes, years, np.array([cells.get(year, np.nan) for year in years]))
            for year, share in cells.items() if written else ():
                text = words.texts.number(_whole(100 * share))
                axes.text(year, -0.12, text, ha="center", va="top", color=MUTED, size=7.5, clip_on=False)
        base = add_axes(figure, (_EDGE / POINTS, (AXIS - 4) / height, 1 - 2 * _EDGE / POINTS, 0.5 / height))
        base.spines[["left", "right", "top", "bottom"]].set_visible(False)
        base.set_yticks([])
        base.tick_params(length=0, labelcolor=MUTED, labelsize=SMALL, pad=1)
        year_scale(base, scale)
        if len(scale) > len(years):
            base.set_xticks(years, [str(year) for year in years])
    return figure


def _whole(percent: float) -> float:
    """Whole per cents; 0 and 100 only where it is none or all."""
    return percent if percent in (0.0, 100.0) else min(max(round(percent), 1), 99)
