"""What a report says of how far the areas of the city lie apart.

In: an evaluation. Out: sentences, one table and one picture. Never: a change of the city passed off as the
programme's doing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import MekevalError
from ..evaluation import Evaluation
from ..figures.elsewhere import neighbours, references
from ..figures.segregation import plot_segregation
from ..figures.study import study_words
from ..segregation import Segregation, is_share
from ..tables import Column, Table
from ..text import Texts, ranges
from .once import gap_of, segregation_of
from .parts import Part, drawn, folded, heading, level_of, paragraph
from .sentences import amount, p_value

#: What the table shows of each outcome; with the unit of its values and of its changes.
_MEASURES = {"gap": "short", "ratio": "", "dissimilarity": "level"}
_MOST = 4  # lines that a picture can tell apart


def segregation_parts(evaluation: Evaluation, texts: Texts) -> list[Part]:
    """Whether the areas grow apart; nothing where no outcome is a share of people that can be measured in two years."""
    study = evaluation.study
    found: dict[str, Segregation] = {}
    for outcome in study.plan.outcomes:
        if not is_share(study, outcome):
            continue
        try:
            measured = segregation_of(evaluation, outcome)
            for measure in ("gap", "dissimilarity"):
                measured.change(measure)  # refuses where an interval cannot be had
        except MekevalError:
            continue  # too few areas, or nobody in the group: the quality section says what is missing
        if len(measured.periods) > 1:
            found[outcome] = measured
    if not found:
        return []
    labels = {outcome: study.indicator(outcome).label.text(texts.language) for outcome in found}
    years = {
        year
        for path in evaluation.design.paths
        for first, last in path.spells
        for year in range(first, last + 1)
    }
    about = study_words(evaluation, next(iter(found)), "all", texts).about
    groups = [list(found)[at : at + _MOST] for at in range(0, len(found), _MOST)]
    pictures: list[Part] = []
    for group in groups:
        some = {labels[outcome]: found[outcome] for outcome in group}
        pictures += drawn(plot_segregation, some, years=years, texts=texts, about=about)
    return [
        heading(texts("segregation.heading"), 3),
        paragraph(texts("segregation.intro", areas=_areas(evaluation, texts))),
        *(paragraph(_said(evaluation, outcome, found[outcome], labels[outcome], texts)) for outcome in found),
        *pictures,
        _table(found, ("gap", "dissimilarity"), labels, texts, alpha=study.plan.alpha),
        *_ratios(found, labels, texts, alpha=study.plan.alpha),
        *_elsewhere(evaluation, labels, texts),
        paragraph(_limits(evaluation, found, texts), css="note"),
    ]


def _areas(evaluation: Evaluation, texts: Texts) -> str:
    key = f"segregation.areas.{evaluation.study.areas.unit}"
    return texts(key if key in texts else "segregation.areas.area")


def _said(evaluation: Evaluation, outcome: str, found: Segregation, label: str, texts: Texts) -> str:
    """What happened to the gap in a sentence, and whether it was the level or the spread that changed."""
    gap, spread = found.change("gap"), found.change("dissimilarity")
    way = "same" if not gap.clear else "up" if gap.change > 0 else "down"
    values = found.series("gap")["corrected"]
    said = texts(
        f"segregation.said.{way}",
        outcome=label,
        before=_written(values.iloc[0], "gap", texts),
        first=gap.first,
        after=_written(values.iloc[-1], "gap", texts),
        last=gap.last,
    )
    if way == "same" and spread.clear:
        said += " " + texts(f"segregation.said.spread_{'up' if spread.change > 0 else 'down'}")
    elif way != "same" and not spread.clear:
        periods = evaluation.panel.periods
        before, after = (
            level_of(evaluation, outcome, periods.index(year), found.areas) for year in (gap.first, gap.last)
        )
        levels = [amount(texts, level, "percent", form="level") for level in (before, after)]
        along = (after - before) * gap.change > 0 and levels[0] != levels[1]
        said += " " + (
            texts("segregation.said.level", from_level=levels[0], to_level=levels[1])
            if along
            else texts("segregation.said.steady")
        )
    elif way != "same" and spread.change * gap.change < 0:
        said += " " + texts("segregation.said.against")
    return said


def _ratios(
    found: dict[str, Segregation], labels: dict[str, str], texts: Texts, *, alpha: float
) -> list[Part]:
    """The ratios behind a fold; nothing where none can be had."""
    table = _table(found, ("ratio",), labels, texts, alpha=alpha)
    return [folded(texts("segregation.fold"), table)] if table.rows else []


def _table(
    found: dict[str, Segregation],
    measures: Sequence[str],
    labels: dict[str, str],
    texts: Texts,
    *,
    alpha: float,
) -> Table:
    firsts, lasts = ({one.periods[at] for one in found.values()} for at in (0, -1))
    alike = len(firsts) == len(lasts) == 1
    rows = []
    for outcome, one in found.items():
        for measure in measures:
            ends = [_end(one, measure, at, texts, named=not alike) for at in (0, -1)]
            if not all(ends):
                continue  # the lowest fifth holds nobody of the group, so there is no ratio
            change = one.change(measure)
            moved = [_changed(number, measure, texts) for number in (change.change, change.low, change.high)]
            interval = texts("segregation.interval", estimate=moved[0], low=moved[1], high=moved[2])
            rows.append((labels[outcome], texts(f"segregation.index.{measure}"), *ends, interval))
    columns = (
        Column(label=texts("segregation.outcome")),
        Column(label=texts("segregation.measure")),
        Column(label=ranges(firsts), numeric=True),
        Column(label=ranges(lasts), numeric=True),
        Column(label=texts("segregation.change", level=texts.short(100 * (1 - alpha))), numeric=True),
    )
    return Table(caption=texts("segregation.caption"), columns=columns, rows=tuple(rows))


def _end(one: Segregation, measure: str, at: int, texts: Texts, *, named: bool) -> str:
    """A value at one end of the years, with its year where that differs between rows; empty where there is none."""
    value = float(one.series(measure)["corrected"].iloc[at])
    if not np.isfinite(value):
        return ""
    said = _written(value, measure, texts)
    return texts("segregation.at", value=said, year=one.periods[at]) if named else said


def _elsewhere(evaluation: Evaluation, labels: dict[str, str], texts: Texts) -> list[Part]:
    """The gap's change against the same gap elsewhere, of each outcome for which there is such a thing."""
    said: list[Part] = []
    for outcome, label in labels.items():
        found = gap_of(evaluation, outcome)
        if found.effect is None or found.low is None or found.high is None or found.p_value is None:
            continue
        n_all = found.n_cities + 1
        numbers = (found.change, found.counterfactual, found.effect, found.low, found.high)
        moved = [amount(texts, number or 0.0, "percent", form="short", sign=True) for number in numbers]
        parts = [
            texts(
                "segregation.elsewhere.said",
                outcome=label,
                pre=ranges(found.pre),
                post=ranges(found.post),
                change=moved[0],
                expected=moved[1],
                effect=moved[2],
                low=moved[3],
                high=moved[4],
                n_as_large=texts.number(round(found.p_value * n_all)),
                n_all=texts.number(n_all),
                p=p_value(texts, found.p_value),
            )
        ]
        apart, ranked = not found.low <= 0 <= found.high, found.p_value <= max(found.alpha, 1 / n_all)
        case = ("wider" if found.effect > 0 else "narrower") if apart and ranked else "none"
        parts.append(texts(f"segregation.elsewhere.{'disagree' if apart != ranked else case}"))
        if "level_beyond_references" in found.warnings:
            parts.append(texts("segregation.elsewhere.peer"))
        if "few_cities" in found.warnings:
            parts.append(texts("segregation.elsewhere.few"))
        said.append(paragraph(" ".join(parts)))
    if not said:
        return []
    where = references("all", neighbours(evaluation.study, texts), texts)
    intro = paragraph(texts("segregation.elsewhere.intro", where=where))
    return [heading(texts("segregation.elsewhere.heading"), 3), intro, *said]


def _limits(evaluation: Evaluation, found: dict[str, Segregation], texts: Texts) -> str:
    """What the figures cannot tell, and which areas they leave out."""
    chance = np.mean([one.series("dissimilarity")["by_chance"].mean() for one in found.values()])
    said = [texts("segregation.limits", chance=_written(float(chance), "dissimilarity", texts))]
    lost = {area for one in found.values() for area, _, _ in one.dropped}
    if lost:
        names = [evaluation.study.areas.name(area, texts.language) for area in sorted(lost)]
        said.append(texts("segregation.dropped", areas=texts.join(names)))
    return " ".join(said)


def _written(value: float, measure: str, texts: Texts) -> str:
    """A value of an index: a share in per cent, a difference of shares in percentage points, a ratio as it is."""
    form = _MEASURES[measure]
    return amount(texts, 100 * value, "percent", form=form) if form else texts.number(value, 2)


def _changed(value: float, measure: str, texts: Texts) -> str:
    """A change of an index."""
    if not _MEASURES[measure]:
        return texts.number(value, 2, sign=True)
    return amount(texts, 100 * value, "percent", form="short", sign=True)
