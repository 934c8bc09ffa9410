"""The parts that all reports share.

In: findings, tables and texts. Out: `Section`s of escaped HTML, and `Report`, which holds them in order. Never: markup
from a name or a note.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ParamSpec, Protocol

import numpy as np
import pandas as pd

from ..design import Path
from ..errors import MekevalError
from ..evaluation import ALL, Evaluation
from ..figures import (
    Picture,
    plot_breakdown,
    plot_counterpart,
    plot_deciding,
    plot_detectable,
    plot_years,
)
from ..figures.elsewhere import matching_of, neighbours, references, subject_name
from ..figures.words import lower_first
from ..findings import Finding
from ..inference import Inference
from ..study import IndicatorSpec
from ..tables import Column, Table
from ..text import Texts, ranges
from .dilution import dilution_note, figures_are_for, wave_names
from .planned import outcome_label
from .sentences import amount, at_floor, decimals_of, p_of, p_value, reason

#: The media type under which a report hands its findings to the run that executes its notebook.
FINDINGS_TYPE = "application/vnd.mekeval.findings+json"

P = ParamSpec("P")


class _AsHtml(Protocol):
    """Anything that shows itself as HTML in a notebook cell."""

    def _repr_html_(self) -> str: ...


#: What a section is joined from: HTML that is escaped already, or a picture, a table, another section.
Part = str | _AsHtml


@dataclass(frozen=True, kw_only=True)
class Section:
    """A piece of a report.

    Attributes
    ----------
    html : str
        Escaped HTML.
    """

    html: str = field(repr=False)  # a notebook keeps what is printed beside what is shown: the same again

    def _repr_html_(self) -> str:
        return self.html


@dataclass(frozen=True, kw_only=True)
class Findings:
    """The findings of a report as data; showing it hands them to the run."""

    records: tuple[Mapping[str, object], ...]
    title: str
    description: str

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, object]:
        content = {"title": self.title, "description": self.description, "findings": list(self.records)}
        return {FINDINGS_TYPE: content, "text/plain": f"{len(self.records)} findings"}


@dataclass(frozen=True, kw_only=True)
class Report:
    """A report in one language; every attribute but the first three shows itself in a notebook cell.

    Attributes
    ----------
    title, description, language : str
    summary : Section
        The first screen, and behind folds the reasons of each verdict.
    picture : Section
        The one picture that everybody should see.
    situation, programme, effect, trust, quality, method : Section
    findings : Findings
    """

    title: str
    description: str
    language: str
    summary: Section
    picture: Section
    situation: Section
    programme: Section
    effect: Section
    trust: Section
    quality: Section
    method: Section
    findings: Findings


def heading(text: str, level: int = 2, *, anchor: str = "") -> str:
    """A heading; `anchor` is what a link in the page calls it."""
    name = f' id="{html.escape(anchor)}"' if anchor else ""
    return f"<h{level}{name}>{html.escape(text)}</h{level}>"


def paragraph(text: str, *, css: str = "") -> str:
    """A paragraph of plain text."""
    return f'<p class="{css}">{html.escape(text)}</p>' if css else f"<p>{html.escape(text)}</p>"


def bullets(points: Iterable[str]) -> str:
    """The main points."""
    return (
        '<ul class="main-points">' + "".join(f"<li>{html.escape(point)}</li>" for point in points) + "</ul>"
    )


def section(*parts: Part) -> Section:
    """Join texts, tables and pictures."""
    return Section(html="\n".join(part if isinstance(part, str) else part._repr_html_() for part in parts))


def in_columns(pictures: Sequence[Part]) -> list[Part]:
    """Pictures in two columns, where there is room; one alone as it is."""
    return ['<div class="figures">', *pictures, "</div>"] if len(pictures) > 1 else list(pictures)


def folded(said: str, *parts: Part, css: str = "more") -> str:
    """Parts that a reader may open; printed open."""
    inside = section(*parts).html
    return f'<details class="{css}">\n<summary>{html.escape(said)}</summary>\n{inside}\n</details>'


def area_note(evaluation: Evaluation, texts: Texts, area: str | None = None) -> str:
    """What a reader must know of the areas: the study's own note, and how far they are the programme's districts."""
    note = evaluation.study.spec.areas.note
    said = [note.text(texts.language) if note else "", dilution_note(evaluation, texts, area)]
    notes = [paragraph(one, css="note") for one in said if one]
    return folded(figures_are_for(evaluation, texts), *notes) if notes else ""


def indicator_notes(indicator: IndicatorSpec, texts: Texts) -> list[str]:
    """What the study says a reader must know of an indicator, and how it differs from what it stands for."""
    notes = [one.text(texts.language) for one in (indicator.note, indicator.differs) if one]
    return list(dict.fromkeys(notes))


def verdict_word(finding: Finding, texts: Texts) -> str:
    """The verdict in a word, for a table."""
    return texts(f"verdict.{finding.verdict}.word")


def level_of(evaluation: Evaluation, outcome: str, column: int, units: Sequence[str]) -> float:
    """Level of several areas together in one period: their mean by the people behind each value.

    For a rate this is the rate of all their people, because each value is a share of its base.
    """
    panel = evaluation.panel
    rows = [panel.units.index(unit) for unit in units]
    levels, people = panel.values[outcome][rows, column], panel.bases[outcome][rows, column]
    there = ~np.isnan(levels) & ~np.isnan(people)
    return float(np.sum(levels[there] * people[there]) / np.sum(people[there]))


def drawn(plot: Callable[P, Picture], *args: P.args, **kwargs: P.kwargs) -> list[Part]:
    """A picture, or nothing where the data do not allow one: the verdict of the outcome says why."""
    try:
        return [plot(*args, **kwargs)]
    except MekevalError:
        return []


def years_text(path: Path, texts: Texts) -> str:
    """The years of a path as a reader writes them."""
    return texts.join(
        [f"{first}\N{EN DASH}{last}" if first != last else str(first) for first, last in path.spells]
    )


def effect_table(
    evaluation: Evaluation, findings: Sequence[tuple[str, Finding]], texts: Texts, caption: str, first: str
) -> Table:
    """Estimates with intervals, one row for each finding; the first column is given.

    Results for the programme as a whole show the p-value that allows for the number of outcomes, too.
    """
    tested = [finding for _, finding in findings]
    corrected = _corrected(evaluation, tested, texts)
    rows = []
    for label, finding in findings:
        result, unit = finding.inference, evaluation.study.indicator(finding.outcome).unit
        if result is None:
            rows.append((label, *[""] * (5 if corrected else 4), verdict_word(finding, texts)))
            continue
        detectable = (
            amount(texts, result.minimum_detectable_effect, unit, form="short")
            if result.minimum_detectable_effect is not None
            else texts("report.effect.smallest", p=p_value(texts, result.smallest_p))
        )
        rows.append(
            (
                label,
                amount(texts, result.estimate, unit, form="short", sign=True),
                interval_text(result, unit, texts),
                p_of(texts, result),
                *((corrected[finding.outcome],) if corrected else ()),
                detectable,
                verdict_word(finding, texts),
            )
        )
    level = texts.short(100 * (1 - evaluation.study.plan.alpha))
    columns = (
        Column(label=first),
        Column(label=texts("report.effect.estimate"), numeric=True),
        Column(label=texts("report.effect.interval", level=level), numeric=True),
        Column(label=texts("report.effect.p"), numeric=True),
        *((Column(label=texts("report.effect.p_adjusted"), numeric=True),) if corrected else ()),
        Column(label=texts("report.effect.detectable"), numeric=True),
        Column(label=texts("report.effect.verdict")),
    )
    return Table(
        caption=caption, columns=columns, rows=tuple(rows), note=_effect_note(evaluation, tested, texts)
    )


def _effect_note(evaluation: Evaluation, findings: Sequence[Finding], texts: Texts) -> str:
    """What the columns of a table of effects are, and which areas the programme as a whole means."""
    way = matching_of(findings)
    if way is None:
        return texts("report.effect.note")
    where = references("all", neighbours(evaluation.study, texts), texts)
    note = texts("report.effect.note_rule", likes=texts(f"elsewhere.likes.{way}"), where=where)
    whole = [finding for finding in findings if finding.subject == ALL and finding.placebo is not None]
    for finding in whole[:1]:
        judged = finding.placebo.matched["area"] if finding.placebo is not None else ()
        areas = texts.join([evaluation.study.areas.name(code, texts.language) for code in judged])
        name = lower_first(subject_name(evaluation, finding, texts))
        note += " " + texts("report.effect.note_whole", name=name, areas=areas)
    return note


def rule_table(
    evaluation: Evaluation, findings: Sequence[tuple[str, Finding]], texts: Texts, first: str
) -> list[Part]:
    """The change here, what the same rule did elsewhere, and what remains; nothing without the rule placebo."""
    rows, uneven = [], False
    for label, finding in findings:
        placebo, result = finding.placebo, finding.inference
        if placebo is None or result is None:
            continue
        unit = evaluation.study.indicator(finding.outcome).unit
        numbers = (placebo.effect + placebo.bias, placebo.bias, placebo.effect)
        plain, bias, effect = (amount(texts, one, unit, form="short", sign=True) for one in numbers)
        shown = [round(one, decimals_of(unit)) for one in numbers]
        uneven |= abs(shown[0] - shown[1] - shown[2]) > 10 ** -decimals_of(unit) / 2
        facts = next(check.facts for check in finding.checks if check.name == "rule_placebo")
        years = " \N{RIGHTWARDS ARROW} ".join(ranges(some) for some in finding.compared or ())
        rows.append((label, years, plain, bias, effect, str(facts["n_cities"]), str(facts["n_as_large"])))
    way = matching_of(finding for _, finding in findings)
    if way is None:
        return []
    case = "" if way == "rule" else f"_{way}"
    groups_of, said = neighbours(evaluation.study, texts), texts(f"report.effect.rule_bias{case}")
    numeric = [texts("report.effect.rule_plain"), said, texts("report.effect.rule_effect")]
    numeric += [references("columns", groups_of, texts), texts("report.effect.rule_rank")]
    likes, where = texts(f"elsewhere.likes.{way}"), references("all", groups_of, texts)
    note = texts("report.effect.rule_note", bias=said, likes=likes, where=where)
    return [
        Table(
            caption=texts(f"report.effect.rule_caption{case}"),
            columns=(
                Column(label=first),
                Column(label=texts("report.effect.rule_years")),
                *(Column(label=label, numeric=True) for label in numeric),
            ),
            rows=tuple(rows),
            note=f"{note} {texts('report.effect.rounded')}" if uneven else note,
        )
    ]


def folded_rule(
    evaluation: Evaluation, findings: Sequence[tuple[str, Finding]], texts: Texts, first: str
) -> list[Part]:
    """`rule_table` behind a fold: its numbers stand behind those of the table of effects."""
    tables = rule_table(evaluation, findings, texts, first)
    return [folded(texts("report.effect.rule_fold"), *tables)] if tables else []


def _corrected(evaluation: Evaluation, findings: Sequence[Finding], texts: Texts) -> dict[str, str]:
    """The adjusted p-value of each outcome, where the findings are of the programme as a whole.

    Where one of the p-values stands at the least that its method can tell apart, so does what is made of it.
    """
    if not has_adjusted(evaluation, findings):
        return {}
    table = evaluation.adjusted.table if evaluation.adjusted is not None else pd.DataFrame()
    results = {finding.outcome: finding.inference for finding in findings}
    floored = np.array([at_floor(results.get(str(label))) for label in table["label"]], dtype=bool)
    said = {}
    for label, family, value in table[["label", "family", "p_adjusted"]].itertuples(index=False):
        same = table.loc[floored & (table["family"] == family), "p_adjusted"].astype(float)
        least = float(value) if np.isclose(same, float(value), rtol=1e-9).any() else 0.0
        said[str(label)] = p_value(texts, float(value), least=least)
    return said


def has_adjusted(evaluation: Evaluation, findings: Sequence[Finding]) -> bool:
    """Whether a table of these findings has adjusted p-values: that of the programme as a whole does."""
    return evaluation.adjusted is not None and all(finding.subject == ALL for finding in findings)


def interval_text(result: Inference, unit: str, texts: Texts) -> str:
    """An interval for a table; nothing where it has no end."""
    if result.low is None or result.high is None:
        return ""
    low, high = (amount(texts, end, unit, form="short", sign=True) for end in (result.low, result.high))
    return f"{low} … {high}"


def effect_intro(evaluation: Evaluation, texts: Texts) -> str:
    """What the estimate is."""
    years = evaluation.study.plan.partial_years
    key = "none" if years == 0 else "one" if years == 1 else "several"
    partial = texts(f"report.effect.partial.{key}", n=years)
    way = matching_of(evaluation.findings.values())
    if way is None:
        return paragraph(texts("report.effect.intro", partial=partial).strip())
    where = references("all", neighbours(evaluation.study, texts), texts)
    baseline = texts(f"report.effect.baseline.{way}", where=where)
    return paragraph(" ".join(texts("report.effect.intro_rule", partial=partial, baseline=baseline).split()))


def ruled(findings: Iterable[Finding]) -> bool:
    """Whether the rule placebo leads in any of the findings."""
    return any(finding.placebo is not None for finding in findings)


def effect_caption(findings: Iterable[Finding], texts: Texts) -> str:
    """What a table of effects holds."""
    way = matching_of(findings)
    return texts("report.effect.caption" if way is None else f"report.effect.caption_{way}")


def trust_section(evaluation: Evaluation, findings: Sequence[Finding], texts: Texts) -> Section:
    """The checks of each finding, and a picture of the one that decided it; the rule placebo has its own elsewhere."""
    rows, pictures = [], []
    for finding in findings:
        label = outcome_label(evaluation.study, finding.outcome, texts)
        for check in finding.checks:
            answer = {True: "passed", False: "failed", None: "open"}[check.passed]
            found = reason(evaluation, finding, check.name, check.reason, check.facts, texts)
            rows.append((label, texts(f"check.{check.name}"), texts(f"check.{answer}"), found))
            if check.name == finding.because != "rule_placebo":
                said = f"{found[:1].upper()}{found[1:]}."
                pictures += drawn(plot_deciding, finding, evaluation=evaluation, texts=texts, said=said)
    parts: list[Part] = [heading(texts("check.heading"), anchor="trust")]
    asked = {
        check.reason for f in findings for check in f.checks if check.name == "selection" and not check.passed
    }
    if "worst_areas" in asked:
        parts.append(paragraph(texts("report.warning.selection"), css="warning"))
    elif asked:
        parts.append(paragraph(texts("report.warning.unknown"), css="warning"))
    names = ("outcome", "name", "answer", "reason")
    columns = tuple(Column(label=texts(f"check.{name}")) for name in names)
    if rows:
        parts.append(Table(caption=texts("check.caption"), columns=columns, rows=tuple(rows)))
    else:
        parts.append(paragraph(texts("check.none")))
    return section(*parts, *in_columns([*pictures, *_doubts(evaluation, findings, texts)]))


def _doubts(evaluation: Evaluation, findings: Sequence[Finding], texts: Texts) -> list[Part]:
    """Of the first primary outcome: year by year with joint bands, what would break it, and what could be found."""
    outcome = evaluation.study.plan.primary[0]
    pictures: list[Part] = []
    for finding in findings:
        if finding.outcome != outcome:
            continue
        subject = finding.subject
        pictures += drawn(plot_years, evaluation, outcome=outcome, subject=subject, texts=texts)
        pictures += drawn(plot_breakdown, finding, evaluation=evaluation, texts=texts)
        if subject == ALL:
            order = (ALL, *evaluation.design.treated)
            pictures += drawn(plot_detectable, evaluation, outcome=outcome, subject_order=order, texts=texts)
        else:
            pictures += drawn(plot_counterpart, evaluation, outcome=outcome, subject=subject, texts=texts)
    return pictures


def programme_section(evaluation: Evaluation, texts: Texts) -> Section:
    """The waves up to the year of the report."""
    study = evaluation.study
    rows = []
    for at, wave in enumerate(study.programme.wave):
        if wave.first <= evaluation.year:
            money = texts("report.programme.unknown")
            if wave.eur_per_year is not None:
                money = texts.number(wave.eur_per_year)
            areas = ", ".join(wave_names(study, at, texts.language))
            rows.append((wave.name, f"{wave.first}\N{EN DASH}{wave.last}", areas, money))
    columns = (
        Column(label=texts("report.programme.wave")),
        Column(label=texts("report.programme.years")),
        Column(label=texts("report.programme.areas")),
        Column(label=texts("report.programme.money"), numeric=True),
    )
    return section(
        heading(texts("report.programme.heading"), anchor="programme"),
        Table(
            caption=texts("report.programme.caption", year=evaluation.year),
            columns=columns,
            rows=tuple(rows),
            note="" if study.measures else texts("report.programme.note"),
        ),
    )
