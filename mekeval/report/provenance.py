"""What a report was made from: the data, what is missing in them, and how the results were computed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..evaluation import ALL, Evaluation
from ..findings import Finding
from ..shipped import version
from ..tables import Column, Table
from ..text import Texts, ranges
from .parts import Section, Shown, heading, paragraph, section


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
    parts: list[str | Shown] = [
        heading(texts("report.quality.heading")),
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


def method_section(evaluation: Evaluation, findings: Sequence[Finding], texts: Texts) -> Section:
    """How it was estimated and what it was made from."""
    study = evaluation.study
    plan, seed = study.spec.plan, study.spec.study.seed
    tested = [finding for finding in findings if finding.inference is not None]
    primary = texts.join([study.indicator(name).label.text(texts.language) for name in plan.primary])
    lines = [
        texts("report.method.estimator"),
        *_reference_cities(evaluation, findings, texts),
        texts("report.method.inference_exact", seed=seed),
        texts(
            "report.method.alpha",
            alpha=texts.short(plan.alpha),
            primary=primary,
            n=len(tested),
            expected=texts.number(plan.alpha * len(tested), 1),
        ),
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
    parts: list[str | Shown] = [
        '<section class="provenance">',
        heading(texts("report.method.heading")),
        *map(paragraph, lines),
    ]
    if tested:
        parts.append(_made_from(evaluation, tested, texts))
    return section(*parts, *map(paragraph, provenance), "</section>")


def _reference_cities(evaluation: Evaluation, findings: Sequence[Finding], texts: Texts) -> list[str]:
    """How the rule was applied elsewhere, and which cities are no reference; nothing where it was not."""
    study, elsewhere = evaluation.study, evaluation.elsewhere
    numbers = [
        finding.inference.n_comparison for finding in findings if finding.placebo and finding.inference
    ]
    if elsewhere is None or not numbers:
        return []
    criteria = [
        f"{study.indicator(name).label.text(texts.language)} ({year})"
        for name, year in elsewhere.rule.criteria.items()
    ]
    least, most = texts.number(min(numbers)), texts.number(max(numbers))
    n = least if least == most else f"{least}\N{EN DASH}{most}"
    lines = [texts("report.method.rule", n=n, criteria=texts.join(criteria))]
    left_out = [
        f"{exclusion.city} ({exclusion.reason.text(texts.language)})"
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
    shown = ", ".join(left_out[:4]) + (f" + {len(left_out) - 4}" if len(left_out) > 4 else "")
    return shown or texts("report.quality.none")


#: In the place of areas left out, for an indicator that is shown and not judged.
NOT_ESTIMATED = "\N{EN DASH}"


def _made_from(evaluation: Evaluation, tested: Sequence[Finding], texts: Texts) -> Table:
    """Base years, comparison and treated sets of each result."""
    rows = []
    for finding in tested:
        result = finding.inference
        if result is None:
            continue
        cells = evaluation.effects[finding.outcome].cells
        if finding.subject != ALL:
            cells = cells.loc[cells["path"] == evaluation.design.path_of(finding.subject).name]
        bases = [
            ranges([int(year) for year in str(base).split(", ")]) for base in dict.fromkeys(cells["base"])
        ]
        key = "cities" if finding.placebo is not None else "exact" if result.exact else "drawn"
        label = evaluation.study.indicator(finding.outcome).label.text(texts.language)
        if finding.subject != ALL and len({one.subject for one in tested}) > 1:
            label = f"{label}, {evaluation.study.areas.name(finding.subject, texts.language)}"
        rows.append(
            (
                label,
                "; ".join(bases),
                texts.number((finding.plain or result).n_comparison),
                texts(f"report.method.{key}", n=texts.number(result.n_sets)),
            )
        )
    return Table(
        caption=texts("report.method.caption"),
        columns=(
            Column(label=texts("report.effect.outcome")),
            Column(label=texts("report.method.base")),
            Column(label=texts("report.method.comparison"), numeric=True),
            Column(label=texts("report.method.sets"), numeric=True),
        ),
        rows=tuple(rows),
    )
