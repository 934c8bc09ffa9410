"""The report of one district."""

from __future__ import annotations

import numpy as np

from ..evaluation import Evaluation
from ..figures import plot_effects, plot_finding, plot_trend
from ..figures.elsewhere import neighbours, references
from ..figures.words import lower_first
from ..findings import Finding
from ..inference import Inference
from ..study import IndicatorSpec
from ..tables import Column, Table
from ..text import Texts, ranges
from .costs import cost_part, measures_part
from .dilution import treated_name
from .parts import (
    Report,
    Section,
    Shown,
    area_note,
    bullets,
    drawn,
    effect_caption,
    effect_intro,
    effect_table,
    findings_payload,
    heading,
    interval_text,
    level_of,
    paragraph,
    programme_points,
    programme_section,
    rule_table,
    section,
    trust_section,
    verdict_line,
    verdict_point,
    years_text,
)
from .planned import first_warnings, outcome_label
from .provenance import method_section, quality_section
from .sentences import amount, p_of


def district_sections(evaluation: Evaluation, code: str, texts: Texts) -> Report:
    """Write the report of a treated district from its evaluation."""
    study = evaluation.study
    area = study.areas.name(code, texts.language)
    programme = study.programme.title.text(texts.language)
    findings = [evaluation.findings[name, code] for name in study.plan.outcomes]
    title = texts("report.district.title", area=area, year=evaluation.year)
    description = texts("report.district.description", area=area, year=evaluation.year, programme=programme)
    labelled = [(outcome_label(study, finding.outcome, texts), finding) for finding in findings]
    table = effect_table(
        evaluation, labelled, texts, effect_caption(findings, texts), texts("report.effect.outcome")
    )
    return Report(
        title=title,
        description=description,
        language=texts.language,
        summary=_summary(evaluation, code, area, findings, texts),
        situation=_situation(evaluation, code, area, texts),
        programme=section(programme_section(evaluation, texts), *measures_part(evaluation, texts, code)),
        effect=section(
            heading(texts("report.effect.heading")),
            effect_intro(evaluation, texts),
            table,
            *rule_table(evaluation, labelled, texts, texts("report.effect.outcome")),
            *_after(evaluation, code, texts),
            *_pictures(evaluation, code, texts),
            *cost_part(evaluation, findings, texts),
        ),
        trust=trust_section(evaluation, findings, texts),
        quality=quality_section(evaluation, texts),
        method=method_section(evaluation, findings, texts, after=_left(evaluation, code)),
        findings=findings_payload(evaluation, findings, title, description),
    )


def _summary(evaluation: Evaluation, code: str, area: str, findings: list[Finding], texts: Texts) -> Section:
    study = evaluation.study
    primary = [finding for finding in findings if finding.outcome in study.plan.primary]
    points = [verdict_point(evaluation, finding, texts) for finding in primary]  # they answer the heading
    for name in study.plan.primary:
        standing = _standing(evaluation, study.indicator(name), code)
        if standing is not None:
            year, level, city, _, _ = standing
            indicator = study.indicator(name)
            points.append(
                texts(
                    "report.point.level",
                    outcome=indicator.label.text(texts.language),
                    area=area,
                    year=year,
                    level=amount(texts, level, indicator.unit, form="level"),
                    city=study.spec.areas.city.text(texts.language),
                    city_level=amount(texts, city, indicator.unit, form="level"),
                )
            )
    points.append(
        texts(
            "report.point.programme",
            area=treated_name(evaluation, code, texts),
            years=years_text(evaluation.design.path_of(code), texts),
        )
    )
    points += programme_points(evaluation, texts)[-1:]  # the city's report names the areas
    candidate = evaluation.study.programme.hypothetical
    asked = "report.district.hypothetical" if candidate else "report.district.heading"
    return section(
        heading(texts(asked, area=area, year=evaluation.year), 1),
        *(paragraph(said, css="warning") for said in first_warnings(evaluation, texts)),
        bullets(points[:6]),
        heading(texts("report.verdicts")),
        *(verdict_line(evaluation, finding, texts) for finding in findings),
        area_note(evaluation, texts, code),
    )


def _left(evaluation: Evaluation, code: str) -> list[Inference]:
    """The tests of the years since the district left."""
    return [result for (_, subject), result in evaluation.after.items() if subject == code]


def _after(evaluation: Evaluation, code: str, texts: Texts) -> list[str | Shown]:
    """The change since the district left, where it has."""
    rows, ways = [], {}
    for outcome in evaluation.study.plan.outcomes:
        result = evaluation.after.get((outcome, code))
        if result is None:
            continue
        indicator = evaluation.study.indicator(outcome)
        label = outcome_label(evaluation.study, outcome, texts)
        ways[label] = result.method == "rule_placebo"
        cells = evaluation.effects[outcome].cells
        own = cells.loc[(cells["path"] == evaluation.design.path_of(code).name) & (cells["phase"] == "after")]
        rows.append(
            (
                label,
                ranges([int(year) for year in own["period"]]),
                amount(texts, result.estimate, indicator.unit, form="short", sign=True),
                interval_text(result, indicator.unit, texts),
                p_of(texts, result),
            )
        )
    if not rows:
        return []
    level = texts.short(100 * (1 - evaluation.study.plan.alpha))
    columns = (
        Column(label=texts("report.effect.outcome")),
        Column(label=texts("report.effect.after_years"), numeric=True),
        Column(label=texts("report.effect.estimate"), numeric=True),
        Column(label=texts("report.effect.interval", level=level), numeric=True),
        Column(label=texts("report.effect.p"), numeric=True),
    )
    caption, note = texts("report.effect.after_caption"), texts("report.effect.after_note")
    if any(ways.values()):
        where = references("all", neighbours(evaluation.study, texts), texts)
        caption = texts("report.effect.after_caption_rule")
        note = texts("report.effect.after_note_rule", where=where)
        without = [lower_first(label) for label, ruled in ways.items() if not ruled]
        if without:
            note += " " + texts("report.effect.after_note_both", outcomes="; ".join(without))
    return [Table(caption=caption, columns=columns, rows=tuple(rows), note=note)]


def _situation(evaluation: Evaluation, code: str, area: str, texts: Texts) -> Section:
    study = evaluation.study
    rows = []
    for indicator in study.spec.indicator:
        standing = _standing(evaluation, indicator, code)
        if standing is None:
            continue
        year, level, city, rank, n = standing
        rows.append(
            (
                indicator.label.text(texts.language),
                str(year),
                amount(texts, level, indicator.unit, form="level"),
                amount(texts, city, indicator.unit, form="level"),
                amount(texts, level - city, indicator.unit, form="short", sign=True),
                texts("report.situation.rank_of", rank=rank, n=n) if indicator.higher_is != "neutral" else "",
                _change(evaluation, indicator, code, level, texts),
            )
        )
    city_name = study.spec.areas.city.text(texts.language)
    columns = (
        Column(label=texts("report.situation.indicator")),
        Column(label=texts("report.situation.year"), numeric=True),
        Column(label=texts("report.situation.area", area=area), numeric=True),
        Column(label=texts("report.situation.city", city=city_name), numeric=True),
        Column(label=texts("report.situation.gap"), numeric=True),
        Column(label=texts("report.situation.rank"), numeric=True),
        Column(label=texts("report.situation.change"), numeric=True),
    )
    table = Table(
        caption=texts("report.situation.caption", area=area, city=city_name),
        columns=columns,
        rows=tuple(rows),
        note=texts("report.situation.note"),
    )
    trends: list[str | Shown] = []
    for outcome in study.plan.primary:
        trends += drawn(plot_trend, evaluation, outcome=outcome, subject=code, texts=texts)
    return section(heading(texts("report.situation.heading")), table, *trends)


def _standing(
    evaluation: Evaluation, indicator: IndicatorSpec, code: str
) -> tuple[int, float, float, int, int] | None:
    """Latest year, the area's level, the city's level, the area's rank from the least favourable, and how many."""
    panel = evaluation.panel
    if indicator.name not in panel.values:
        return None
    values = panel.values[indicator.name]
    row = panel.units.index(code)
    known = np.flatnonzero(~np.isnan(values[row]))
    if len(known) == 0:
        return None
    column = int(known[-1])
    levels = values[:, column]
    there = ~np.isnan(levels)
    city = level_of(evaluation, indicator.name, column, panel.units)
    worse = levels[there] < levels[row] if indicator.higher_is == "better" else levels[there] > levels[row]
    return panel.periods[column], float(levels[row]), city, int(np.sum(worse)) + 1, int(np.sum(there))


def _change(evaluation: Evaluation, indicator: IndicatorSpec, code: str, level: float, texts: Texts) -> str:
    design, panel = evaluation.design, evaluation.panel
    first = design.path_of(code).first
    reach = first - (design.pre_years or first)
    columns = [at for at, year in enumerate(panel.periods) if reach <= year < first]
    before = panel.values[indicator.name][panel.units.index(code), columns]
    before = before[~np.isnan(before)]
    if len(before) == 0:
        return ""
    return amount(texts, level - float(before.mean()), indicator.unit, form="short", sign=True)


def _pictures(evaluation: Evaluation, code: str, texts: Texts) -> list[str | Shown]:
    pictures: list[str | Shown] = []
    for outcome in evaluation.study.plan.primary:
        pictures += drawn(plot_effects, evaluation, outcome=outcome, subject=code, texts=texts)
        finding = evaluation.findings[outcome, code]
        pictures += drawn(plot_finding, finding, evaluation=evaluation, texts=texts)
    return pictures
