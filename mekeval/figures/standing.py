"""How far a district stands from its city, by year.

In: an evaluation. Out: `Picture`. Never: a city that is the mean of its areas where their people are known.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import DataError, DesignError, closest
from ..evaluation import ALL, Evaluation
from ..panel import Floats, Panel
from ..tables import Table
from ..text import Texts, ranges
from .axes import MARGIN, OWN, ZERO, draw_line, mark_base, name_lines, room, shade_years, to_points, year_axes
from .lines import with_gaps, year_rows
from .picture import INK, Picture, headings, style
from .study import programme_years, study_words

_ENOUGH = 0.5  # share of areas with a value from which on a year stands for the city


def plot_gap(evaluation: Evaluation, *, outcome: str, subject: str, texts: Texts) -> Picture:
    """Draw how far a district, or the programme's areas together, are from the city as a whole, by year.

    Parameters
    ----------
    evaluation : Evaluation
    outcome : str
        Any indicator of the study, also one that the plan does not judge.
    subject : str
        Code of a treated district, or "all" for the treated areas together.
    texts : Texts

    Returns
    -------
    Picture
        Differences in the outcome's unit; 0 is the city, its own areas included, each area counted by the people
        behind its value. The headline gives the gap before the programme and in the last year, and whether it is
        wider. The table has the levels and the index with the city = 100.

    Raises
    ------
    DataError
        The study has no such outcome, or no value of it for the subject.
    DesignError
        The subject is not treated; there is no year before it entered, or none after.
    """
    panel, design = evaluation.panel, evaluation.design
    if outcome not in panel.values:
        raise DataError(
            "The study has no such outcome.", found=repr(outcome), expected=closest(outcome, panel.outcomes)
        )
    paths = design.paths if subject == ALL else (design.path_of(subject),)
    units = design.treated if subject == ALL else (subject,)
    words = study_words(evaluation, outcome, subject, texts)
    own, city = together(panel, outcome, units), together(panel, outcome, panel.units)
    known = np.isfinite(own) & (np.isfinite(panel.values[outcome]).mean(axis=0) >= _ENOUGH)
    periods = [year for year, one in zip(panel.periods, known, strict=True) if one]
    own, city = own[known], city[known]
    if not periods:
        raise DataError("There is no value to draw.", where=f"{outcome}, {words.name}")
    first = min(path.first for path in paths)
    reach = first - (design.pre_years or first)
    base = [year for year in periods if reach <= year < first]
    if not base or periods[-1] < first:
        raise DesignError(
            "A gap needs a year before the programme and one since.",
            where=f"{outcome}, {words.name}",
            found=f"{periods[0]} to {periods[-1]}",
            expected=f"years before {first} and after",
        )
    gap = own - city
    before, after = float(gap[np.isin(periods, base)].mean()), float(gap[-1])
    wider = abs(after) - abs(before)
    way = (
        "crossed"
        if before * after < 0 and not words.is_zero(before) and not words.is_zero(after)
        else "same"
        if words.is_zero(wider)
        else "wider"
        if wider > 0
        else "narrower"
    )
    ends = {
        name: words.say(
            f"standing.{'level' if words.is_zero(value) else 'above' if value > 0 else 'below'}",
            size=words.size(value),
        )
        for name, value in (("before", before), ("after", after))
    }
    headline = words.say(
        "standing.headline",
        years=ranges(base),
        year=periods[-1],
        way=words.say(f"standing.{way}", size=words.size(wider)),
        **ends,
    )
    with style():
        reaching = room(np.array([0.0, *gap]), above=0.22, below=0.18)
        figure, axes = year_axes(words, periods, *reaching, unit=words.axis, right=MARGIN, sign=True)
        shade_years(axes, *programme_years(paths, periods, words))
        axes.axhline(0, color=INK, linewidth=1.2, zorder=1.5)
        line = draw_line(axes, periods, gap, OWN, hollow=base)
        marked = mark_base(axes, base, words.say("effects.base", years=ranges(base)))
        fine = np.linspace(periods[0], periods[-1], 121)
        zero = to_points(axes, fine, 0 * fine)
        city_name = evaluation.study.spec.areas.city.text(texts.language)
        named = [(words.name, OWN, line), (words.say("standing.zero", city=city_name), ZERO, zero)]
        name_lines(axes, named, taken=marked)
    said = [[words.level(value) for value in values] for values in (own, city)]
    index = [
        texts.number(100 * mine / whole, 1) if whole > 0 else ""
        for mine, whole in zip(own, city, strict=True)
    ]
    return words.picture(
        figure,
        headline=headline,
        subtitle=with_gaps(words.say("standing.subtitle", n=len(panel.units)), periods, words),
        alt=words.say(
            "standing.alt",
            headline=headline,
            year=periods[-1],
            own=said[0][-1],
            rest=said[1][-1],
            city=city_name,
        ),
        data=Table(
            caption=words.say("standing.caption", city=city_name),
            columns=headings(
                words.say("column.year"),
                words.name,
                city_name,
                words.say("column.difference"),
                words.say("standing.index", city=city_name),
            ),
            rows=year_rows(periods, [*said, [words.change(value) for value in gap], index], words),
        ),
    )


def together(panel: Panel, outcome: str, units: Sequence[str]) -> Floats:
    """Level of several areas together by period, shape (n_periods,): their mean by the people behind each value.

    NaN where none of them has a value; of one area it is its own level.
    """
    rows = [panel.units.index(unit) for unit in units]
    levels, people = panel.values[outcome][rows], panel.bases[outcome][rows]
    there = np.isfinite(levels) & np.isfinite(people)
    weights = np.where(there, people, 0.0)
    total = weights.sum(axis=0)
    summed = (np.where(there, levels, 0.0) * weights).sum(axis=0)
    return np.asarray(np.divide(summed, total, out=np.full(len(panel.periods), np.nan), where=total > 0))
