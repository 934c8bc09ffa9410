"""The report of the whole programme.

In: an evaluation. Out: its sections, from the first screen to provenance. Never: a number that is not in the
evaluation.
"""

from __future__ import annotations

from ..changes import Difference
from ..evaluation import ALL, Evaluation
from ..figures import (
    plot_choice,
    plot_effects,
    plot_finding,
    plot_gap,
    plot_map,
    plot_outcomes,
    plot_tiles,
    plot_trend,
    plot_verdicts,
)
from ..findings import Finding
from ..study import IndicatorSpec, study_boundaries
from ..tables import Column, Table
from ..text import Texts, ranges
from .after import after_tables
from .changes import changes_part
from .costs import cost_part, measures_part
from .dilution import dilution_table
from .first import (
    MOST_POINTS,
    city_level,
    done_line,
    found_line,
    gap_points,
    key_figures,
    main_points,
    picture_section,
    verdict_matrix,
    verdict_rows,
)
from .heterogeneity import heterogeneity_parts
from .others import others_section
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
    paragraph,
    programme_section,
    ruled,
    section,
    trust_section,
)
from .planned import first_warnings, outcome_label, worded
from .provenance import method_section, quality_section
from .records import findings_payload
from .segregation import segregation_parts
from .sentences import amount, p_value


def city_sections(evaluation: Evaluation, texts: Texts, *, since: Difference | None = None) -> Report:
    """Write the city's report from an evaluation of all districts; `since` says what changed since last year's."""
    study = evaluation.study
    texts = worded(study, texts)
    city = study.spec.areas.city.text(texts.language)
    programme = study.programme.title.text(texts.language)
    findings = [evaluation.findings[name, ALL] for name in study.plan.outcomes]
    title = texts("report.city.title", city=city, year=evaluation.year)
    description = texts("report.city.description", city=city, year=evaluation.year, programme=programme)
    every = [
        evaluation.findings[name, subject]
        for name in study.plan.outcomes
        for subject in (ALL, *evaluation.design.treated)
    ]
    return Report(
        title=title,
        description=description,
        language=texts.language,
        summary=_summary(evaluation, city, findings, texts),
        picture=picture_section(evaluation, findings, texts),
        situation=section(_situation(evaluation, texts), *segregation_parts(evaluation, texts)),
        programme=section(
            programme_section(evaluation, texts),
            *measures_part(evaluation, texts),
            *dilution_table(evaluation, texts),
            *_choice(evaluation, texts),
        ),
        effect=section(_effect(evaluation, findings, texts), *changes_part(evaluation, since, texts)),
        trust=section(
            trust_section(evaluation, findings, texts),
            _plain(evaluation, texts),
            others_section(evaluation, texts),
        ),
        quality=quality_section(evaluation, texts),
        method=method_section(evaluation, every, texts),
        findings=findings_payload(evaluation, every, title, description),
    )


def _summary(evaluation: Evaluation, city: str, findings: list[Finding], texts: Texts) -> Section:
    study = evaluation.study
    points = main_points(evaluation, findings, texts)
    points += gap_points(evaluation, evaluation.design.treated, texts, who=texts("figure.all"))

    def standing(indicator: IndicatorSpec) -> tuple[int, float, float] | None:
        return city_level(evaluation, indicator)

    candidates = study.programme.hypothetical
    asked = "report.city.hypothetical" if candidates else "report.city.heading"
    found = {} if candidates else {"found": found_line(evaluation, findings, texts)}
    return section(
        heading(texts(asked, city=city, year=evaluation.year, **found), 1),
        *(paragraph(said, css="warning") for said in first_warnings(evaluation, texts)),
        bullets(points[:MOST_POINTS]),
        done_line(evaluation, texts),
        heading(texts("report.verdicts"), anchor="verdicts"),
        verdict_matrix(evaluation, texts),
        heading(texts("first.whole"), 3),
        verdict_rows(evaluation, findings, texts),
        *key_figures(evaluation, standing, texts("figure.all"), texts),
        area_note(evaluation, texts),
    )


def _situation(evaluation: Evaluation, texts: Texts) -> Section:
    parts: list[Part] = [heading(texts("report.situation.heading"), anchor="situation")]
    pictures: list[Part] = []
    outlines = study_boundaries(evaluation.study, evaluation.panel.units)
    for outcome in evaluation.study.plan.primary:
        if outcome != evaluation.study.plan.outcomes[0]:  # that one is the picture above
            pictures += drawn(plot_trend, evaluation, outcome=outcome, subject=ALL, texts=texts)
        pictures += drawn(plot_tiles, evaluation, outcome=outcome, texts=texts)
        if outlines is not None:
            pictures += drawn(plot_map, evaluation, outcome=outcome, boundaries=outlines, texts=texts)
        pictures += drawn(plot_gap, evaluation, outcome=outcome, subject=ALL, texts=texts)
    return section(*parts, *in_columns(pictures))


def _choice(evaluation: Evaluation, texts: Texts) -> list[Part]:
    """How clear the choice of the areas was, where there is a rule that can be applied again."""
    if evaluation.choice is None:
        return []
    same = texts.number(100 * evaluation.choice.same_choice, 1)
    intro = texts("report.choice.intro", same=texts("unit.percent.level", number=same))
    picture = drawn(plot_choice, evaluation, texts=texts)
    own = [paragraph(text) for text in _own_choice(evaluation, texts)]
    lacking = [paragraph(text) for text in _not_looked_at(evaluation, texts)]
    return [heading(texts("report.choice.heading"), 3), paragraph(intro), *own, *lacking, *picture]


def _not_looked_at(evaluation: Evaluation, texts: Texts) -> list[str]:
    """Criteria that are known to have been used and are not in the data."""
    rule = evaluation.study.programme.rule
    return [
        texts(
            "report.choice.missing_wave" if one.wave else "report.choice.missing",
            criterion=one.name.text(texts.language),
            wave=one.wave,
            source=one.source.text(texts.language),
        )
        for one in (rule.missing if rule else ())
    ]


def _own_choice(evaluation: Evaluation, texts: Texts) -> list[str]:
    """In what the rule's own choice differs from the areas that the latest wave chose by the rule, if it does."""
    study, table = evaluation.study, evaluation.choice.table if evaluation.choice is not None else None
    begun = [
        codes
        for wave, codes in zip(study.programme.wave, study.wave_areas, strict=True)
        if wave.first <= evaluation.year
    ]
    if table is None or not begun:
        return []
    by_rule = [code for code in begun[-1] if evaluation.design.selected_by.get(code) == "rule"]
    would = [str(code) for code in table.loc[table["chosen"], "area"]]
    if set(would) == set(by_rule):
        return []

    def named(codes: list[str]) -> str:
        return texts.join([study.areas.name(code, texts.language) for code in codes])

    lacking = [code for code in by_rule if code not in would]
    years = evaluation.elsewhere.rule.criteria.values() if evaluation.elsewhere is not None else ()
    looked_at = ranges({int(str(year)) for year in years})
    said = texts("report.choice.differs", years=looked_at, would=named(would))
    return [f"{said} {texts('report.choice.lacking', areas=named(lacking))}" if lacking else said]


def _effect(evaluation: Evaluation, findings: list[Finding], texts: Texts) -> Section:
    study = evaluation.study
    labelled = [(outcome_label(study, finding.outcome, texts), finding) for finding in findings]
    parts: list[Part] = [
        heading(texts("report.effect.heading"), anchor="effect"),
        effect_intro(evaluation, texts),
        effect_table(
            evaluation, labelled, texts, effect_caption(findings, texts), texts("report.effect.outcome")
        ),
        *folded_rule(evaluation, labelled, texts, texts("report.effect.outcome")),
    ]
    pictures: list[Part] = []
    pictures += drawn(plot_outcomes, evaluation, subject=ALL, texts=texts)
    for outcome in study.plan.primary:
        pictures += drawn(plot_effects, evaluation, outcome=outcome, subject=ALL, texts=texts)
        finding = evaluation.findings[outcome, ALL]
        pictures += drawn(plot_finding, finding, evaluation=evaluation, texts=texts)
    parts += in_columns(pictures)
    parts += after_tables(evaluation, evaluation.design.treated, texts)
    parts += cost_part(evaluation, findings, texts)
    parts.append(heading(texts("report.effect.districts"), 3))
    for outcome in study.plan.primary:
        order = (ALL, *evaluation.design.treated)
        parts += drawn(plot_verdicts, evaluation, outcome=outcome, subject_order=order, texts=texts)
    for outcome in study.plan.outcomes:
        label = outcome_label(study, outcome, texts)
        rows = [
            (study.areas.name(code, texts.language), evaluation.findings[outcome, code])
            for code in evaluation.design.treated
        ]
        case = "_rule" if ruled(finding for _, finding in rows) else ""
        caption = texts(f"report.effect.districts_caption{case}", outcome=label)
        parts.append(effect_table(evaluation, rows, texts, caption, texts("report.effect.area")))
    return section(*parts, *heterogeneity_parts(evaluation, texts))


def _plain(evaluation: Evaluation, texts: Texts) -> Section:
    """The difference that slides show, with its warning."""
    study = evaluation.study
    if not evaluation.plain:
        return section("")
    first_wave = evaluation.plain[0].areas
    rows = []
    for reading in evaluation.plain:
        unit, result = study.indicator(reading.outcome).unit, reading.inference
        which = "first_wave" if len(reading.areas) >= len(first_wave) else "stayed"
        rows.append(
            (
                outcome_label(study, reading.outcome, texts),
                texts(f"report.plain.{which}", n=len(reading.areas)),
                f"{ranges(reading.pre)} → {ranges(reading.post)}",
                amount(texts, result.estimate, unit, form="short", sign=True, extra_digits=1),
                p_value(texts, result.p_value),
                texts.number(result.n_sets),
            )
        )
    columns = (
        Column(label=texts("report.effect.outcome")),
        Column(label=texts("report.plain.areas")),
        Column(label=texts("report.plain.years")),
        Column(label=texts("report.effect.estimate"), numeric=True),
        Column(label=texts("report.effect.p"), numeric=True),
        Column(label=texts("report.plain.sets"), numeric=True),
    )
    return section(
        heading(texts("report.plain.heading"), 3),
        paragraph(texts("report.plain.intro")),
        paragraph(texts("report.plain.warning"), css="warning"),
        Table(caption=texts("report.plain.caption"), columns=columns, rows=tuple(rows)),
    )
