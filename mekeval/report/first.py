"""The first screen of a report: main points, a line for each verdict, what was done, and key figures.

In: an evaluation and its findings. Out: HTML and short sentences. Never: a number that the sections below do not
hold, or a sentence that needs a second one to be understood.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from itertools import groupby

import numpy as np

from ..costs import money_by_district
from ..evaluation import ALL, Evaluation
from ..figures import plot_effects, plot_trend
from ..figures.elsewhere import matching_of, neighbours, references, subject_name
from ..figures.words import lower_first
from ..findings import VERDICTS, Finding
from ..study import IndicatorSpec, Study
from ..tables import Column, Table
from ..text import NO_BREAK, Texts, ranges
from .dilution import wave_names
from .parts import (
    Part,
    Section,
    drawn,
    heading,
    indicator_notes,
    level_of,
    paragraph,
    section,
    verdict_word,
    years_text,
)
from .planned import marked, outcome_label
from .sentences import People, amount, decimals_of, headline, people_of, sentence

#: At most so many main points, and rows of key figures: more is no first screen.
MOST_POINTS, MOST_FIGURES = 6, 6
#: Up to so many letters a heading names the outcomes; beyond, it counts them.
_HEADING = 90
#: Units whose level can be set against that of the city as an index.
_WITH_INDEX = ("percent", "eur", "persons", "number", "m2")
_WIDTH, _HEIGHT, _EDGE = 170.0, 24.0, 6.0

#: Level of the areas that a report is about and of the city, and the year of both; None where one of them is not known.
Standing = Callable[[IndicatorSpec], "tuple[int, float, float] | None"]


def found_line(evaluation: Evaluation, findings: Sequence[Finding], texts: Texts) -> str:
    """The verdicts on the primary outcomes for a heading: each verdict with the outcomes, or with how many they are."""
    study = evaluation.study
    primary = [finding for finding in findings if finding.outcome in study.plan.primary]
    ordered = sorted(primary, key=lambda finding: VERDICTS.index(finding.verdict))
    groups = [list(some) for _, some in groupby(ordered, key=lambda finding: finding.verdict)]
    said = ""
    for counted in (False, True):
        parts = []
        for group in groups:
            labels = [lower_first(study.indicator(one.outcome).label.text(texts.language)) for one in group]
            n = len(group)
            told = texts("first.found_one") if n == 1 else texts("first.found_many", n=texts.number(n))
            word = verdict_word(group[0], texts).lower()
            parts.append(
                texts("first.others_part", word=word, outcomes=told if counted else "; ".join(labels))
            )
        if len(said := "; ".join(parts)) <= _HEADING:
            break
    return said


def main_points(evaluation: Evaluation, findings: Sequence[Finding], texts: Texts) -> list[str]:
    """The verdicts on the primary outcomes, one sentence each, and one sentence on the others."""
    study = evaluation.study
    primary = [finding for finding in findings if finding.outcome in study.plan.primary]
    others = [finding for finding in findings if finding.outcome not in study.plan.primary]
    points = [
        headline(evaluation, finding, texts, label=outcome_label(study, finding.outcome, texts))
        for finding in primary
    ]
    if len(points) > MOST_POINTS - 1:  # the table below names each
        points = [*points[: MOST_POINTS - 1], texts("first.more", n=len(points) - MOST_POINTS + 1)]
    if others and len(points) < MOST_POINTS:
        ordered = sorted(others, key=lambda finding: finding.verdict)
        said = []
        for _, some in groupby(ordered, key=lambda finding: finding.verdict):
            group = list(some)
            labels = [lower_first(study.indicator(one.outcome).label.text(texts.language)) for one in group]
            word = verdict_word(group[0], texts)
            said.append(texts("first.others_part", word=lower_first(word), outcomes="; ".join(labels)))
        points.append(texts("first.others", parts=", ".join(said)))
    return points


def verdict_rows(evaluation: Evaluation, findings: Sequence[Finding], texts: Texts) -> str:
    """A line for each verdict, with its long reasons folded away, and what the lines show."""
    rows = "\n".join(_row(evaluation, finding, texts) for finding in findings)
    tested = [one for one in findings if one.inference is not None and one.inference.low is not None]
    said = []
    if tested:
        level = texts.short(100 * (1 - evaluation.study.plan.alpha))
        important = any(one.outcome in evaluation.study.plan.important for one in tested)
        said = [texts("first.bars_important" if important else "first.bars", level=level)]
    way = matching_of(findings)
    if way is not None:
        n = max(len(one.placebo.cities) - 1 for one in findings if one.placebo is not None)
        where = references("in", neighbours(evaluation.study, texts), texts, n=texts.number(n))
        said = [texts("first.beyond", baseline=texts(f"sentence.baseline.{way}", where=where)), *said]
    proxies = []
    for finding in findings:
        indicator = evaluation.study.indicator(finding.outcome)
        if indicator.differs:
            label, differs = (one.text(texts.language) for one in (indicator.label, indicator.differs))
            proxies.append(paragraph(texts("first.proxy", outcome=label, differs=differs), css="note wide"))
    on_screen = f'<span class="on-screen">{html.escape(texts("first.fold"))}</span>'  # on paper all is open
    note = f'<p class="note wide">{html.escape(" ".join(said))} {on_screen}</p>'
    return f'<div class="findings">\n{rows}\n</div>\n{note}{"".join(proxies)}'


def _row(evaluation: Evaluation, finding: Finding, texts: Texts) -> str:
    study, result = evaluation.study, finding.inference
    indicator = study.indicator(finding.outcome)
    word = html.escape(marked(study, finding.outcome, verdict_word(finding, texts), texts))
    label = html.escape(indicator.label.text(texts.language))
    estimate = bar = people = ""
    if result is not None and finding.verdict != "not_identifiable":
        change = html.escape(amount(texts, result.estimate, indicator.unit, form="short", sign=True))
        if result.low is not None and result.high is not None:
            digits = decimals_of(indicator.unit)
            low, high = (texts.number(end, digits, sign=True) for end in (result.low, result.high))
            estimate = f"{change} <small>({low} … {high})</small>"
        else:
            estimate = change
        bar = interval_bar(
            result.estimate, result.low, result.high, study.plan.important.get(finding.outcome, 0.0)
        )
        said = people_of(evaluation, finding, result, texts)
        if said is not None:
            people = html.escape(_people_in_short(said, texts))
    notes = "".join(paragraph(note, css="note") for note in indicator_notes(indicator, texts))
    return (
        f'<details class="finding verdict-{finding.verdict}" id="outcome-{html.escape(finding.outcome)}">\n'
        f'<summary><strong>{word}.</strong> <span class="of">{label}</span> '
        f'<span class="estimate">{estimate}</span> {bar} <span class="people">{people}</span></summary>\n'
        f'<div class="why">{paragraph(sentence(evaluation, finding, texts))}{notes}</div>\n</details>'
    )


def _people_in_short(said: People, texts: Texts) -> str:
    """A size in people; its range where zero lies inside, since one number would be read as an effect."""
    if said.ends is not None and said.ends[0] < 0 < said.ends[1]:
        low, high = (texts.number(end, 0, sign=True) for end in said.ends)
        return texts("first.people_range", low=low, high=high)
    way = "few" if said.number == 0 else "more" if said.number > 0 else "fewer"
    return texts(f"first.people_{way}", n=texts.number(abs(said.number)))


def interval_bar(estimate: float, low: float | None, high: float | None, important: float = 0.0) -> str:
    """An interval as a small picture: zero in the middle, what is too small to matter shaded; not for screen readers.

    Its numbers stand beside it. Nothing where the interval has no end.

    Examples
    --------
    >>> interval_bar(-2.0, -3.0, -1.0, 1.0).count("<rect")
    1
    >>> interval_bar(-2.0, None, None)
    ''
    """
    if low is None or high is None or not np.isfinite([estimate, low, high]).all():
        return ""
    reach = max(abs(low), abs(high), 1.25 * important) or 1.0
    middle, scale = _WIDTH / 2, (_WIDTH / 2 - _EDGE) / reach

    def at(value: float) -> str:
        return f"{middle + scale * value:.1f}"

    shade = ""
    if important > 0:
        shade = (
            f'<rect class="small" x="{at(-important)}" y="1" width="{2 * important * scale:.1f}" '
            f'height="{_HEIGHT - 2:g}" fill="currentColor" fill-opacity="0.13"></rect>'
        )
    y = f"{_HEIGHT / 2:g}"
    return (
        f'<svg class="interval" width="{_WIDTH:g}" height="{_HEIGHT:g}" viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" '
        f'aria-hidden="true" focusable="false">{shade}'
        f'<line class="zero" x1="{at(0)}" x2="{at(0)}" y1="0" y2="{_HEIGHT:g}" stroke="currentColor"></line>'
        f'<line class="ends" x1="{at(low)}" x2="{at(high)}" y1="{y}" y2="{y}" stroke="currentColor" '
        f'stroke-width="4"></line><circle class="point" cx="{at(estimate)}" cy="{y}" r="5.5" '
        f'fill="currentColor"></circle></svg>'
    )


def key_figures(evaluation: Evaluation, standing: Standing, who: str, texts: Texts) -> list[Part]:
    """Levels beside the city's, and as an index with the city = 100; nothing where none is known."""
    study = evaluation.study
    ordered = dict.fromkeys([*study.plan.outcomes, *(one.name for one in study.spec.indicator)])
    rows, years = [], []
    for name in ordered:
        indicator = study.indicator(name)
        found = standing(indicator)
        if found is None:
            continue
        year, level, city = found
        index = ""
        if indicator.unit in _WITH_INDEX and city > 0:
            index = texts.number(100 * level / city)
        years.append(year)
        rows.append(
            (
                indicator.label.text(texts.language),
                amount(texts, level, indicator.unit, form="level"),
                amount(texts, city, indicator.unit, form="level"),
                index,
            )
        )
    if not rows:
        return [paragraph(texts("first.no_figures"), css="note")]
    rows, years = rows[:MOST_FIGURES], years[:MOST_FIGURES]
    if len(set(years)) > 1:
        rows = [(f"{row[0]} ({year})", *row[1:]) for row, year in zip(rows, years, strict=True)]
    city_name = study.spec.areas.city.text(texts.language)
    when = str(years[0]) if len(set(years)) == 1 else ""
    caption = texts("first.figures" if when else "first.figures_years", city=city_name, year=when)
    return [
        Table(
            caption=caption,
            columns=(
                Column(label=texts("report.situation.indicator")),
                Column(label=who, numeric=True),
                Column(label=city_name, numeric=True),
                Column(label=texts("first.index"), numeric=True),
            ),
            rows=tuple(rows),
            note=texts("first.figures_note"),
        )
    ]


def city_level(evaluation: Evaluation, indicator: IndicatorSpec) -> tuple[int, float, float] | None:
    """`Standing` of all areas that are or were in the programme."""
    panel, treated = evaluation.panel, evaluation.design.treated
    if indicator.name not in panel.values:
        return None
    values, bases = panel.values[indicator.name], panel.bases[indicator.name]
    rows = [panel.units.index(unit) for unit in treated]
    known = ~np.isnan(values) & (bases > 0)
    whole = np.flatnonzero(known[rows].all(axis=0))  # without one of them it would be the level of others
    if len(whole) == 0:
        return None
    column = int(whole[-1])
    own, city = (level_of(evaluation, indicator.name, column, units) for units in (treated, panel.units))
    return panel.periods[column], own, city


def gap_points(evaluation: Evaluation, codes: Sequence[str], texts: Texts, *, who: str = "") -> list[str]:
    """How far areas stood from the city before the programme, and how far they stand now, by primary outcome."""
    study, panel, design = evaluation.study, evaluation.panel, evaluation.design
    first = min(design.path_of(code).first for code in codes)
    reach = first - (design.pre_years or first)
    points = []
    for name in study.plan.primary:
        if name not in panel.values:
            continue
        rows = [panel.units.index(code) for code in codes]
        known = (~np.isnan(panel.values[name][rows]) & (panel.bases[name][rows] > 0)).all(axis=0)
        there = [int(at) for at in np.flatnonzero(known) if panel.periods[at] >= reach]
        before = [at for at in there if panel.periods[at] < first]
        if not before or panel.periods[there[-1]] < first:
            continue

        def gap(at: int, name: str = name) -> float:
            own, city = (level_of(evaluation, name, at, units) for units in (codes, panel.units))
            return own - city

        unit, label = study.indicator(name).unit, study.indicator(name).label.text(texts.language)
        sizes = (gap(there[-1]), float(np.mean([gap(at) for at in before])))
        now, then = (amount(texts, size, unit, form="short", sign=True) for size in sizes)
        points.append(
            texts(
                "first.gap",
                outcome=f"{label}, {lower_first(who)}" if who else label,
                city=study.spec.areas.city.text(texts.language),
                now=now,
                year=panel.periods[there[-1]],
                before=then,
                years=ranges(panel.periods[at] for at in before),
            )
        )
    return points


def done_line(evaluation: Evaluation, texts: Texts, code: str | None = None) -> str:
    """What was done and for how much, in one line: of the programme, or of one area."""
    study = evaluation.study
    if study.programme.hypothetical:
        return _strong(texts("first.done"), texts("first.done_nothing"))
    said = []
    if code is None:
        said.append(_running(evaluation, texts))
    else:
        said.append(texts("first.done_years", years=years_text(evaluation.design.path_of(code), texts)))
    counted = _counted(study, evaluation.year, code, texts)
    said += [counted] if counted else []
    said.append(_money(evaluation, code, texts))
    return _strong(texts("first.done"), "; ".join(said) + ".")


def _running(evaluation: Evaluation, texts: Texts) -> str:
    """The districts of the wave that runs in the year of the report, or when the last one ended."""
    study, year = evaluation.study, evaluation.year
    begun = [(at, wave) for at, wave in enumerate(study.programme.wave) if wave.first <= year]
    at, wave = begun[-1]
    if wave.last < year:
        return texts("first.done_ended", first=begun[0][1].first, last=max(one.last for _, one in begun))
    return texts("first.done_areas", year=year, areas=texts.join(wave_names(study, at, texts.language)))


def _counted(study: Study, year: int, code: str | None, texts: Texts) -> str:
    """How many themes and measures are known to have begun: of all areas, or those that may have reached one."""
    around = set() if code is None else {code, *study.areas.ancestors(code)}
    waves = {
        wave.name
        for wave, codes in zip(study.programme.wave, study.wave_areas, strict=True)
        if wave.first <= year and (code is None or code in codes)
    }
    listed = {
        (one.wave, one.theme.own if one.theme else "", "" if one.theme else one.name.own)
        for one in study.measures
        if one.wave in waves
        and (one.start is None or one.start.year <= year)
        and (code is None or not one.areas or around & set(one.areas))
    }
    counts = {"themes": sum(bool(theme) for _, theme, _ in listed)}
    counts["measures"] = len(listed) - counts["themes"]
    return texts.join(
        [texts(f"measures.{of}_one" if n == 1 else f"measures.{of}", n=n) for of, n in counts.items() if n]
    )


def _money(evaluation: Evaluation, code: str | None, texts: Texts) -> str:
    """The money so far, and how it is known."""
    money = money_by_district(evaluation)
    own = money if code is None else money.loc[money["area"] == code]
    if own.empty or own["eur"].isna().any() or not float(own["eur"].sum()):
        return texts("first.money_unknown")
    total = float(own["eur"].sum())
    digits = -(len(str(int(total))) - 2) if code is not None else 0
    eur = amount(texts, round(total, min(digits, 0)), "eur", form="level").replace(" ", NO_BREAK)
    split = own["basis"].isin(["split_by_population", "measures_and_split"]).any()
    return texts(
        "first.money_split" if split and code is not None else "first.money", eur=eur, year=evaluation.year
    )


def _strong(name: str, said: str) -> str:
    return f'<p class="done"><strong>{html.escape(name)}</strong> {html.escape(said)}</p>'


def verdict_matrix(evaluation: Evaluation, texts: Texts) -> str:
    """The verdicts of all areas, a column for each outcome, with the programme as a whole in the first row."""
    study = evaluation.study
    outcomes = study.plan.outcomes
    heads = ""
    for name in outcomes:
        unit = texts(f"unit.{study.indicator(name).unit}.short", number="").strip()
        of = f" <small>({html.escape(unit)})</small>" if unit else ""
        heads += f'<th scope="col">{html.escape(outcome_label(study, name, texts))}{of}</th>'
    rows = []
    for subject in (ALL, *evaluation.design.treated):
        found = [evaluation.findings[name, subject] for name in outcomes]
        names = dict.fromkeys(subject_name(evaluation, finding, texts) for finding in found)
        name = " / ".join(names)
        css = ' class="total"' if subject == ALL else ""
        cells = "".join(f"<td>{_mark(evaluation, finding, texts)}</td>" for finding in found)
        rows.append(f'<tr{css}><th scope="row">{html.escape(name)}</th>{cells}</tr>')
    caption = html.escape(texts("first.matrix", year=evaluation.year))
    body = "\n".join(rows)
    return (
        f'<div class="table-scroll matrix" tabindex="0" role="region" aria-label="{caption}">\n<table>\n'
        f'<caption class="visually-hidden">{caption}</caption>\n'
        f'<thead>\n<tr><th scope="col">{html.escape(texts("report.effect.area"))}</th>{heads}</tr>\n</thead>\n'
        f"<tbody>\n{body}\n</tbody>\n</table>\n</div>"
    )


def _mark(evaluation: Evaluation, finding: Finding, texts: Texts) -> str:
    word, result = html.escape(verdict_word(finding, texts)), finding.inference
    mark = f'<span class="verdict-mark verdict-{finding.verdict}">{word}</span>'
    if result is None or finding.verdict == "not_identifiable":
        return mark
    digits = decimals_of(evaluation.study.indicator(finding.outcome).unit)
    return f"{mark} <small>{html.escape(texts.number(result.estimate, digits, sign=True))}</small>"


def picture_section(evaluation: Evaluation, findings: Sequence[Finding], texts: Texts) -> Section:
    """The one picture that a reader should see: of the first primary outcome, by years."""
    finding = findings[0]
    outcome, subject = finding.outcome, finding.subject
    parts: list[Part] = []
    for plot in (plot_trend, plot_effects):
        parts = parts or drawn(plot, evaluation, outcome=outcome, subject=subject, texts=texts)
    label = lower_first(evaluation.study.indicator(outcome).label.text(texts.language))
    none = [] if parts else [paragraph(texts("first.no_picture", outcome=label))]
    named = heading(texts("first.picture"), anchor="picture")
    return section(named, '<div class="main-picture">', *parts, *none, "</div>")
