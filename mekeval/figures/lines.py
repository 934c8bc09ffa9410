"""Pictures of years: the level of an area and of its comparison, and the difference between them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..design import Path
from ..errors import DesignError
from ..estimate import Effects, aggregate, unit_changes
from ..evaluation import ALL, Evaluation
from ..tables import Table
from ..text import Texts
from .axes import (
    OWN,
    PATHS,
    REST,
    draw_line,
    end_values,
    mark_base,
    name_lines,
    place,
    room,
    shade_programme,
    text_size,
    to_points,
    year_axes,
)
from .picture import BAND, INK, Picture, Words, base_years, entered, headings, ranges, spells, style

_MARGIN = 0.14  # inches


def plot_trend(evaluation: Evaluation, *, outcome: str, subject: str, texts: Texts) -> Picture:
    """Draw the yearly level of a district, or of all programme areas, against the comparison areas.

    Parameters
    ----------
    evaluation : Evaluation
    outcome : str
    subject : str
        Code of a treated district, or "all" for the mean of the treated areas.
    texts : Texts

    Returns
    -------
    Picture
        Levels in the outcome's unit. The headline gives the gap in the base years and in the last year.

    Raises
    ------
    DataError
        The outcome was not estimated.
    DesignError
        The subject is not treated or was left out, or there are no data since it entered.
    """
    effects, paths, chosen = entered(evaluation, outcome, subject)
    words = Words(evaluation=evaluation, outcome=outcome, subject=subject, texts=texts)
    periods = sorted({int(period) for period in effects.cells["period"]})
    rows = [evaluation.panel.units.index(unit) for unit in effects.units]
    columns = [evaluation.panel.periods.index(period) for period in periods]
    levels = evaluation.panel.values[outcome][np.ix_(rows, columns)]
    own, rest = levels[chosen].mean(axis=0), levels[effects.group == -1].mean(axis=0)
    first = min(paths, key=lambda path: path.first)
    if periods[-1] < first.first:
        raise DesignError(
            "There are no data since the programme began.",
            where=f"{outcome}, {words.name}",
            found=f"last year {periods[-1]}",
            expected=f"{first.first} or later",
        )
    base = base_years(evaluation, effects, first)
    gap = own - rest
    before = _gap(words, float(gap[np.isin(periods, base)].mean()), "")
    after = _gap(words, float(gap[-1]), "_short")
    headline = words.say("trend.headline", before=before, years=ranges(base), after=after, year=periods[-1])
    last = [(words.level(values[-1]), float(values[-1]), look) for values, look in ((rest, REST), (own, OWN))]
    with style():
        margin = (max(text_size(text)[0] for text, _, _ in last) + 4) / 72
        limits = room(np.concatenate([own, rest]), above=0.2)
        figure, axes = year_axes(
            words, periods, *limits, unit=words.say(f"axis.level.{words.unit}"), right=margin
        )
        shade_programme(axes, paths, periods, words)
        lines = [draw_line(axes, periods, values, look) for values, look in ((rest, REST), (own, OWN))]
        end_values(axes, periods[-1], last)
        name_lines(axes, [(words.name, OWN, lines[1]), (words.say("comparison"), REST, lines[0])])
    said = [[words.level(value) for value in values] for values in (own, rest)]
    subtitle = words.say(
        "trend.subtitle_all" if subject == ALL else "trend.subtitle_one",
        n=int(np.sum(effects.group == -1)),
        treated=int(chosen.sum()),
    )
    return words.picture(
        figure,
        headline=headline,
        subtitle=_with_gaps(subtitle, periods, words),
        alt=words.say("trend.alt", headline=headline, year=periods[-1], own=said[0][-1], rest=said[1][-1]),
        data=Table(
            caption=words.say("trend.caption"),
            columns=headings(
                words.say("column.year"), words.name, words.say("comparison"), words.say("column.difference")
            ),
            rows=_year_rows(periods, [*said, [words.change(value) for value in gap]], words),
        ),
    )


def plot_effects(evaluation: Evaluation, *, outcome: str, subject: str, texts: Texts) -> Picture:
    """Draw the difference from the comparison areas by year, relative to the mean of the base years.

    Parameters
    ----------
    evaluation : Evaluation
    outcome : str
    subject : str
        Code of a treated district: its own line and the central 95 % of the same difference for single comparison
        areas, each against the other ones. Or "all": one line for each path.
    texts : Texts

    Returns
    -------
    Picture
        Differences in the outcome's unit. For a district the headline counts its full programme years within that
        range; for "all" it is the mean effect while treated.

    Raises
    ------
    DataError
        The outcome was not estimated.
    DesignError
        The subject is not treated or was left out, it has no full programme year yet, or there are too few
        comparison areas for a range.
    """
    effects, paths, chosen = entered(evaluation, outcome, subject)
    words = Words(evaluation=evaluation, outcome=outcome, subject=subject, texts=texts)
    if subject == ALL:
        return _effects_of_paths(words, effects, paths)
    return _effects_of_district(words, effects, paths[0], int(np.flatnonzero(chosen)[0]))


def _effects_of_district(words: Words, effects: Effects, path: Path, row: int) -> Picture:
    mine = (effects.cells["group"] == effects.group[row]).to_numpy()
    periods = [int(period) for period in effects.cells.loc[mine, "period"]]
    full = (effects.cells.loc[mine, "phase"] == "on").to_numpy()
    changes, _ = unit_changes(effects)
    others = changes[np.ix_(effects.group == -1, mine)]
    if not full.any():
        raise DesignError(
            "The area has no full year in the programme with data yet.", where=words.outcome, found=words.name
        )
    if len(others) < 2:
        raise DesignError(
            "There are too few comparison areas for a range.", where=words.outcome, found=str(len(others))
        )
    difference = changes[row, mine] - others.mean(axis=0)
    single = (
        (others - others.mean(axis=0)) * len(others) / (len(others) - 1)
    )  # each against the mean of the other ones
    low, high = np.quantile(single, [0.025, 0.975], axis=0)
    total, inside = int(full.sum()), int(np.sum((low <= difference) & (difference <= high) & full))
    case = ("one_inside" if inside else "one_outside") if total == 1 else "some" if inside else "none"
    headline = words.say(f"effects.{case}", inside=inside, total=total, year=int(np.array(periods)[full][0]))
    base = base_years(words.evaluation, effects, path)
    with style():
        limits = room(np.concatenate([difference, low, high, [0.0]]), above=0.2, below=0.16)
        figure, axes = year_axes(words, periods, *limits, unit=words.axis, right=_MARGIN, sign=True)
        shade_programme(axes, [path], periods, words)
        axes.fill_between(periods, low, high, color=BAND, linewidth=0, zorder=1.2)
        axes.axhline(0, color=INK, linewidth=0.8, zorder=1.5)
        line = draw_line(axes, periods, difference, OWN, hollow=base)
        marked = mark_base(axes, base, words, words.say("effects.base", years=ranges(base)))
        fine = np.linspace(periods[0], periods[-1], 121)
        edges = [to_points(axes, fine, np.interp(fine, periods, edge)) for edge in (low, high)]
        zero = to_points(axes, fine, 0 * fine)
        band = np.vstack([*edges, zero])
        taken = name_lines(axes, [(words.name, OWN, line)], taken=np.vstack([band, marked]))
        place(
            axes,
            words.say("effects.band"),
            INK,
            near=band,
            clear=band,
            away=np.vstack([line, taken[len(band) :]]),
        )
    said = [[words.change(value) for value in values] for values in (difference, low, high)]
    subtitle = words.say("effects.subtitle_one", n=len(others), years=ranges(base))
    alt = words.say(
        "effects.alt_one",
        headline=headline,
        year=periods[-1],
        size=words.change(difference[-1], form="difference"),
        low=said[1][-1],
        high=said[2][-1],
    )
    names = ("difference", "low", "high")
    return words.picture(
        figure,
        headline=headline,
        subtitle=_with_gaps(subtitle, periods, words),
        alt=alt,
        data=Table(
            caption=words.say("effects.caption"),
            columns=headings(words.say("column.year"), *(words.say(f"column.{name}") for name in names)),
            rows=_year_rows(periods, said, words),
        ),
    )


def _effects_of_paths(words: Words, effects: Effects, paths: Sequence[Path]) -> Picture:
    overall = float(aggregate(effects, by="simple").weights[0] @ effects.cells["att"].to_numpy())
    case = "same" if words.is_zero(overall) else "higher" if overall > 0 else "lower"
    headline = words.say(f"effects.{case}", size=words.size(overall))
    periods = sorted({int(period) for period in effects.cells["period"]})
    index = [words.evaluation.design.paths.index(path) for path in paths]
    cells = [effects.cells.loc[effects.cells["group"] == group] for group in index]
    att = [dict(zip(part["period"].astype(int), part["att"].astype(float), strict=True)) for part in cells]
    with style():
        limits = room(np.array([0.0, *(value for line in att for value in line.values())]), above=0.2)
        figure, axes = year_axes(words, periods, *limits, unit=words.axis, right=_MARGIN, sign=True)
        shade_programme(axes, paths, periods, words)
        axes.axhline(0, color=INK, linewidth=0.8, zorder=1.5)
        named = []
        for at, (path, line) in enumerate(zip(paths, att, strict=True)):
            look = PATHS[at % len(PATHS)]
            base = base_years(words.evaluation, effects, path)
            drawn = draw_line(axes, list(line), np.array(list(line.values())), look, hollow=base)
            n_units = int(np.sum(effects.group == index[at]))
            named.append((words.say("effects.path", years=spells(path), n=n_units), look, drawn))
        fine = np.linspace(periods[0], periods[-1], 121)
        name_lines(axes, named, taken=to_points(axes, fine, 0 * fine))
    said = [[words.change(line[year]) if year in line else "" for year in periods] for line in att]
    parts = [
        f"{words.say('effects.path_text', years=spells(path))} {words.change(line[max(line)], form='difference')}"
        for path, line in zip(paths, att, strict=True)
    ]
    subtitle = words.say("effects.subtitle_all", n=int(np.sum(effects.group == -1)))
    return words.picture(
        figure,
        headline=headline,
        subtitle=_with_gaps(subtitle, periods, words),
        alt=words.say("effects.alt_all", headline=headline, year=periods[-1], parts="; ".join(parts)),
        data=Table(
            caption=words.say("effects.caption"),
            columns=headings(words.say("column.year"), *(spells(path) for path in paths)),
            rows=_year_rows(periods, said, words),
        ),
    )


def _gap(words: Words, value: float, form: str) -> str:
    case = "level" if words.is_zero(value) else "above" if value > 0 else "below"
    return words.say(f"trend.{case}{form}", size=words.size(value))


def _with_gaps(subtitle: str, periods: Sequence[int], words: Words) -> str:
    has_gap = len(periods) < periods[-1] - periods[0] + 1
    return f"{subtitle} {words.say('gaps')}" if has_gap else subtitle


def _year_rows(
    periods: Sequence[int], columns: Sequence[Sequence[str]], words: Words
) -> tuple[tuple[str, ...], ...]:
    """One row for each calendar year; a year without data says so."""
    rows = {period: cells for period, *cells in zip(periods, *columns, strict=True)}
    none = [words.say("no_data")] * len(columns)
    return tuple((str(year), *rows.get(year, none)) for year in range(periods[0], periods[-1] + 1))
