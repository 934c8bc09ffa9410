"""The report of one district.

In: an evaluation and a district of the programme. Out: its sections. Never: the result of the whole programme shown as
that of the district.
"""

from __future__ import annotations

import numpy as np

from ..evaluation import Evaluation
from ..figures import plot_effects, plot_finding, plot_gap, plot_outcomes, plot_trend
from ..findings import Finding
from ..inference import Inference
from ..study import IndicatorSpec
from ..tables import Column, Table
from ..text import Texts
from .after import after_tables
from .costs import cost_part, measures_part
from .first import (
    MOST_POINTS,
    done_line,
    found_line,
    gap_points,
    key_figures,
    main_points,
    picture_section,
    verdict_rows,
)
from .parts import (
    Part,
    Report,
    Section,
    area_note,
    bullets,
    drawn,
    effect_caption,
    effect_intro,
    effect_table,
    folded_rule,
    heading,
    in_columns,
    level_of,
    paragraph,
    programme_section,
    section,
    trust_section,
)
from .planned import first_warnings, outcome_label, worded
from .provenance import method_section, quality_section
from .records import findings_payload
from .sentences import amount


def district_sections(evaluation: Evaluation, code: str, texts: Texts) -> Report:
    """Write the report of a treated district from its evaluation."""
    study = evaluation.study
    texts = worded(study, texts)
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
        picture=picture_section(evaluation, findings, texts),
        situation=_situation(evaluation, code, area, texts),
        programme=section(programme_section(evaluation, texts), *measures_part(evaluation, texts, code)),
        effect=section(
            heading(texts("report.effect.heading"), anchor="effect"),
            effect_intro(evaluation, texts),
            table,
            *folded_rule(evaluation, labelled, texts, texts("report.effect.outcome")),
            *after_tables(evaluation, (code,), texts),
            *in_columns(_pictures(evaluation, code, texts)),
            *cost_part(evaluation, findings, texts),
        ),
        trust=trust_section(evaluation, findings, texts),
        quality=quality_section(evaluation, texts),
        method=method_section(evaluation, findings, texts, after=_left(evaluation, code)),
        findings=findings_payload(evaluation, findings, title, description),
    )


def _summary(evaluation: Evaluation, code: str, area: str, findings: list[Finding], texts: Texts) -> Section:
    points = main_points(evaluation, findings, texts)
    points += gap_points(evaluation, (code,), texts)

    def standing(indicator: IndicatorSpec) -> tuple[int, float, float] | None:
        found = _standing(evaluation, indicator, code)
        return None if found is None else found[:3]

    candidate = evaluation.study.programme.hypothetical
    asked = "report.district.hypothetical" if candidate else "report.district.heading"
    found = {} if candidate else {"found": found_line(evaluation, findings, texts)}
    return section(
        heading(texts(asked, area=area, year=evaluation.year, **found), 1),
        *(paragraph(said, css="warning") for said in first_warnings(evaluation, texts)),
        '<div class="first">\n<div>',
        bullets(points[:MOST_POINTS]),
        "</div>\n<div>",
        *key_figures(evaluation, standing, area, texts),
        "</div>\n</div>",
        done_line(evaluation, texts, code),
        heading(texts("report.verdicts"), anchor="verdicts"),
        verdict_rows(evaluation, findings, texts),
        area_note(evaluation, texts, code),
    )


def _left(evaluation: Evaluation, code: str) -> list[Inference]:
    """The tests of the years since the district left."""
    return [result for (_, subject), result in evaluation.after.items() if subject == code]


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
    trends: list[Part] = []
    for outcome in study.plan.primary:
        if outcome != study.plan.primary[0]:  # that one is the picture above
            trends += drawn(plot_trend, evaluation, outcome=outcome, subject=code, texts=texts)
        trends += drawn(plot_gap, evaluation, outcome=outcome, subject=code, texts=texts)
    return section(heading(texts("report.situation.heading"), anchor="situation"), table, *in_columns(trends))


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


def _pictures(evaluation: Evaluation, code: str, texts: Texts) -> list[Part]:
    pictures: list[Part] = []
    pictures += drawn(plot_outcomes, evaluation, subject=code, texts=texts)
    for outcome in evaluation.study.plan.primary:
        pictures += drawn(plot_effects, evaluation, outcome=outcome, subject=code, texts=texts)
        finding = evaluation.findings[outcome, code]
        pictures += drawn(plot_finding, finding, evaluation=evaluation, texts=texts)
    return pictures
