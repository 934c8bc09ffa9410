"""What a report was made from: the data, what is missing in them, and how the results were computed.

In: an evaluation, its findings. Out: sections. Never: a path or a name of this machine.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..evaluation import ALL, Evaluation
from ..evaluation.elsewhere import rule_before
from ..figures.elsewhere import city_names, matching_of, neighbours, references
from ..figures.words import lower_first
from ..findings import Finding
from ..inference import Inference
from ..shipped import version
from ..tables import Column, Table
from ..text import Texts, ranges
from .parts import Part, Section, has_adjusted, heading, paragraph, section
from .planned import deviation_table, outcome_label, plan_paragraphs


def quality_section(evaluation: Evaluation, texts: Texts) -> Section:
    """Years with data, areas left out, and what was noticed while reading."""
    study, panel = evaluation.study, evaluation.panel
    rows = []
    for indicator in study.spec.indicator:
        if indicator.name not in panel.values:
            continue
        there = ~np.isnan(panel.values[indicator.name])
        years = [year for year, share in zip(panel.periods, there.mean(axis=0), strict=True) if share > 0]
        rows.append(
            (
                indicator.label.text(texts.language),
                ranges(years),
                _left_out(evaluation, indicator.name, texts),
            )
        )
    columns = (
        Column(label=texts("report.situation.indicator")),
        Column(label=texts("report.quality.years")),
        Column(label=texts("report.quality.missing")),
    )
    log = evaluation.indicators.log
    counts = log.loc[log["year"].isna() | (log["year"] <= evaluation.year)].groupby("rule")["count"].sum()
    noticed = []
    for rule, count in counts.items():
        key = f"report.rule.{rule}" if f"report.rule.{rule}" in texts else f"status.{rule}"
        noticed.append((texts(key), texts.number(float(count))))
    aside = [study.areas.name(unit, texts.language) for unit, _ in evaluation.design.set_aside]
    known = evaluation.indicators.as_of
    parts: list[Part] = [
        heading(texts("report.quality.heading"), anchor="data"),
        *([paragraph(texts("report.quality.as_of", date=texts.date(known)), css="warning")] if known else []),
        Table(caption=texts("report.quality.years_caption"), columns=columns, rows=tuple(rows)),
    ]
    if aside:
        parts.append(paragraph(texts("report.quality.set_aside", areas=texts.join(aside)), css="note"))
    parts.append(
        Table(
            caption=texts("report.quality.log_caption"),
            columns=(
                Column(label=texts("report.quality.rule")),
                Column(label=texts("report.quality.count"), numeric=True),
            ),
            rows=tuple(noticed),
        )
    )
    return section(*parts)


def method_section(
    evaluation: Evaluation, findings: Sequence[Finding], texts: Texts, *, after: Sequence[Inference] = ()
) -> Section:
    """How it was estimated and what it was made from; `after` are the tests of the years since leaving."""
    study = evaluation.study
    seed = study.spec.study.seed
    tested = [finding for finding in findings if finding.inference is not None]
    exact = [finding for finding in tested if finding.placebo is None]
    left = [result for result in after if result.method != "rule_placebo"]
    lines = [
        texts("report.method.estimator"),
        *_references(evaluation, findings, after, texts),
        *([texts("report.method.inference_exact", seed=seed)] if exact or left or evaluation.plain else []),
        " ".join(_tests(evaluation, findings, len(tested) + len(after), texts)),
    ]
    provenance = [
        texts("report.method.source", source=study.spec.study.attribution.text(texts.language).rstrip(".")),
        texts("report.method.files", n=len(study.paths)),
        texts(
            "report.method.provenance",
            study=study.name,
            hash=study.sha256[:12],
            version=version(),
            seed=seed,
        ),
    ]
    parts: list[Part] = [
        '<section class="provenance">',
        heading(texts("report.method.heading"), anchor="method"),
        *map(paragraph, lines),
    ]
    if tested:
        parts.append(_made_from(evaluation, tested, texts))
    plan: list[Part] = [
        heading(texts("plan.heading"), 3),
        *map(paragraph, plan_paragraphs(evaluation, texts)),
        *deviation_table(evaluation, texts),
    ]
    return section(*parts, *map(paragraph, provenance), *plan, "</section>")


def _tests(evaluation: Evaluation, findings: Sequence[Finding], n: int, texts: Texts) -> list[str]:
    """The level, how many differences are tested at it, and what is done about their number."""
    study, plan = evaluation.study, evaluation.study.plan
    primary = [lower_first(study.indicator(name).label.text(texts.language)) for name in plan.primary]
    lines = [texts("report.method.alpha", alpha=texts.short(plan.alpha), primary="; ".join(primary))]
    if n == 0:
        lines.append(texts("report.method.tests_none"))
    elif n == 1:
        lines.append(texts("report.method.tests_one", expected=texts.short(100 * plan.alpha)))
    else:
        lines.append(texts("report.method.tests", n=n, expected=texts.number(plan.alpha * n, 1)))
    if has_adjusted(evaluation, [finding for finding in findings if finding.subject == ALL] or findings):
        lines.append(texts("report.method.adjusted"))
    return lines


def _references(
    evaluation: Evaluation, findings: Sequence[Finding], after: Sequence[Inference], texts: Texts
) -> list[str]:
    """How the rule was applied elsewhere, and what is no reference; nothing where it was not applied."""
    study, elsewhere = evaluation.study, evaluation.elsewhere
    compared = [finding for finding in findings if finding.placebo is not None]
    numbers = [len(finding.placebo.cities) - 1 for finding in compared if finding.placebo is not None]
    left = [result.n_comparison for result in after if result.method == "rule_placebo"]
    if elsewhere is None or not [*numbers, *left]:
        return []
    numbers += left
    criteria = [
        f"{lower_first(study.indicator(name).label.text(texts.language))} ({year})"
        for name, year in rule_before(elsewhere, evaluation.design.paths[0].first).criteria.items()
    ]
    least, most = texts.number(min(numbers)), texts.number(max(numbers))
    n = least if least == most else f"{least}\N{EN DASH}{most}"
    groups_of = neighbours(study, texts)
    where = references("in", groups_of, texts, n=n)
    lines = [texts("report.method.rule", where=where, criteria="; ".join(criteria))]
    if groups_of:
        lines.append(texts("report.method.window", neighbours=groups_of))
    if left or matching_of(compared) != "rule":
        lines.append(texts("report.method.rank"))
    named = city_names(study, texts.language)
    left_out = [
        f"{named.get(exclusion.city, exclusion.city)} ({exclusion.reason.text(texts.language)})"
        for exclusion in (study.spec.reference.exclude if study.spec.reference else ())
    ]
    if left_out:
        lines.append(texts("report.method.excluded", cities="; ".join(left_out)))
    return lines


def _left_out(evaluation: Evaluation, indicator: str, texts: Texts) -> str:
    if indicator not in evaluation.effects:
        return NOT_ESTIMATED
    left_out = [
        f"{evaluation.study.areas.name(unit, texts.language)} ({texts(f'status.{why}')} {year})"
        for unit, why, year in evaluation.effects[indicator].dropped
    ]
    # All of them: "and 4 more" beside an area of which a 4 is hidden would be taken for that number.
    return ", ".join(left_out) or texts("report.quality.none")


#: In the place of areas left out, for an indicator that is shown and not judged.
NOT_ESTIMATED = "\N{EN DASH}"


def _bases(evaluation: Evaluation, finding: Finding) -> list[str]:
    """The base years of a finding within the city, once for each that its paths have."""
    cells = evaluation.effects[finding.outcome].cells
    if finding.subject != ALL:
        cells = cells.loc[cells["path"] == evaluation.design.path_of(finding.subject).name]
    return [ranges([int(year) for year in str(base).split(", ")]) for base in dict.fromkeys(cells["base"])]


def _made_from(evaluation: Evaluation, tested: Sequence[Finding], texts: Texts) -> Table:
    """Base years, comparison and treated sets of each result."""
    rows = []
    for finding in tested:
        result = finding.inference
        if result is None:
            continue
        if finding.placebo is not None and finding.compared is not None:
            own = finding.placebo.cities.iloc[0]
            bases = [ranges(finding.compared[0])]
            n_comparison = int(own["n_areas"] - own["n_chosen"])
            beside = references(
                "short", neighbours(evaluation.study, texts), texts, n=texts.number(result.n_sets)
            )
        else:
            bases, n_comparison = _bases(evaluation, finding), result.n_comparison
            key = "exact" if result.exact else "drawn"
            beside = texts(f"report.method.{key}", n=texts.number(result.n_sets))
        label = outcome_label(evaluation.study, finding.outcome, texts)
        if finding.subject != ALL and len({one.subject for one in tested}) > 1:
            label = f"{label}, {evaluation.study.areas.name(finding.subject, texts.language)}"
        rows.append((label, "; ".join(bases), texts.number(n_comparison), beside))
    return Table(
        caption=texts("report.method.caption"),
        columns=(
            Column(label=texts("report.effect.outcome")),
            Column(label=texts("report.method.base")),
            Column(label=texts("report.method.comparison"), numeric=True),
            Column(label=texts("report.method.sets")),
        ),
        rows=tuple(rows),
    )
