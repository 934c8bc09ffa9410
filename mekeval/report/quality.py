"""The report on the data: what they cover, what was found wrong, what was changed, and where they come from.

In: a study, cleaned. Out: `QualityReport`. Never: a value that is hidden.
"""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ..dates import AsOf, as_date
from ..figures import About
from ..figures.coverage import plot_coverage
from ..figures.shares import by_span, plot_coverage_shares, plot_releases
from ..indicators import STATUSES, Indicators, clean_indicators, compare_releases, failures_table
from ..shipped import version
from ..study import Study
from ..tables import Column, Table
from ..text import DIGITS, Texts
from .covered import Seen, seen_of, unit_coverage
from .facts import fact, form_of, least_digits
from .opened import opened
from .parts import Findings, Part, Section, bullets, heading, paragraph, section

#: A folder in which `quality_report` finds what was cleaned before; `mekeval clean` sets it for its notebooks.
CACHE_VARIABLE = "MEKEVAL_CACHE"
_FLAGS = ("unit_break", "level_break", "outlier")
#: Reasons why a cell has no number, counted over the cells of the coverage.
_CELLS = tuple(one for one in (*STATUSES, "not_published") if one not in ("ok", "implausible"))
#: Lines of a list that a page shows; the rest is in the files beside it.
_LINES = 60


@dataclass(frozen=True, kw_only=True)
class QualityReport:
    """A report on the data in one language; every attribute but the first three shows itself in a notebook cell.

    Attributes
    ----------
    title, description, language : str
    summary, coverage, changes, releases, flags, failures, sources : Section
    findings : Findings
        No verdicts; title and description for the run that executes the notebook.
    """

    title: str
    description: str
    language: str
    summary: Section
    coverage: Section
    changes: Section
    releases: Section
    flags: Section
    failures: Section
    sources: Section
    findings: Findings


def quality_report(
    study: str | Path | Study, *, language: str, raw: str | Path | None = None, as_of: AsOf = None
) -> QualityReport:
    """Clean a study and write the report on its data.

    Parameters
    ----------
    study : str, Path or Study
        A study or its folder; it needs no programme.
    language : str
        One of `mekeval.text.LANGUAGES`.
    raw : str or Path, optional
        As in `read_study`; an empty text counts as not given.
    as_of : date, int or str, optional
        Only what was published by this day, or by the end of this year.

    Returns
    -------
    QualityReport

    Raises
    ------
    MekevalError
        As `read_study` and `clean_indicators`; the language has no texts, or is none of the study's.

    Examples
    --------
    >>> from mekeval import example_study
    >>> report = quality_report(example_study(), language="en")
    >>> report.title
    'Data quality: Programme of positive special treatment'
    """
    day = as_date(as_of)
    known, texts = opened(study, language, raw or None)
    cache = os.environ.get(CACHE_VARIABLE)
    return quality_sections(
        known, clean_indicators(known, as_of=day, cache=Path(cache) if cache else None), texts
    )


def quality_sections(study: Study, indicators: Indicators, texts: Texts) -> QualityReport:
    """Write the report from what was cleaned."""
    name = study.spec.study.title.text(texts.language)
    title = texts("quality.title", title=name)
    description = texts("quality.description", title=name)
    grid, compared = unit_coverage(indicators), compare_releases(indicators)
    seen = seen_of(grid)
    return QualityReport(
        title=title,
        description=description,
        language=texts.language,
        summary=_summary(indicators, seen, compared, title, texts),
        coverage=_coverage(study, indicators, grid, texts),
        changes=_changes(indicators, seen, texts),
        releases=_releases(study, indicators, compared, texts),
        flags=_flags(study, indicators, texts),
        failures=_failures(study, indicators, texts),
        sources=_sources(study, indicators, texts),
        findings=Findings(records=(), title=title, description=description),
    )


def _summary(indicators: Indicators, seen: Seen, compared: pd.DataFrame, title: str, texts: Texts) -> Section:
    counts = _lines_by_rule(indicators.log)
    files = _several("files", len(indicators.files), texts)
    if seen.share is None or not seen.areas:
        points = [texts("quality.point.size_none", files=files)]
    else:
        said = {
            "areas": texts.number(seen.areas),
            "listed": texts.number(seen.listed),
            "indicators": _several("indicators", seen.indicators, texts),
        }
        points = [texts("quality.point.size", files=files, years=seen.years, **said)]
        case = "share_all" if seen.share == 1 else "share"
        points.append(texts(f"quality.point.{case}", share=_percent(seen.share, texts)))
    if seen.reasons:
        total = sum(seen.reasons.values())
        most = [
            f"{texts(f'status.{status}')} ({_percent(count / total, texts)})"
            for status, count in list(seen.reasons.items())[:3]
        ]
        points.append(texts("quality.point.reasons", reasons=", ".join(most)))
    changed, total = int(compared["changed"].sum()), int(compared["areas"].sum())
    points.append(
        texts("quality.point.revised", total=texts.number(total), changed=texts.number(changed))
        if changed
        else texts("quality.point.revised_none", total=texts.number(total))
        if total
        else texts("quality.releases.none")
    )
    breaks = counts.get("level_break", 0) + counts.get("unit_break", 0)
    outliers = counts.get("outlier", 0)
    points.append(
        texts("quality.point.flags", breaks=texts.number(breaks), outliers=texts.number(outliers))
        if breaks or outliers
        else texts("quality.point.flags_none")
    )
    failed, listed = _failed(indicators)
    case = "failed" if failed else "failed_none" if listed else "failed_nothing"
    points.append(texts(f"quality.point.{case}", n=texts.number(failed), rest=texts.number(listed - failed)))
    return section(heading(title, 1), *_as_of(indicators, texts), bullets(points))


def _as_of(indicators: Indicators, texts: Texts) -> list[str]:
    if indicators.as_of is None:
        return []
    return [paragraph(texts("quality.as_of", date=texts.date(indicators.as_of)), css="warning")]


def _coverage(study: Study, indicators: Indicators, grid: pd.DataFrame, texts: Texts) -> Section:
    labels = _labels(study, texts)
    about = _about(study, indicators, texts)
    least = texts.number(study.spec.study.minimum_base)
    parts: list[Part] = [
        heading(texts("quality.coverage.heading")),
        paragraph(texts("quality.coverage.intro")),
        paragraph(texts("quality.coverage.disclosure", n=least)),
    ]
    if grid.empty:
        return section(*parts)
    for some in by_span(grid, labels):
        parts.append(plot_coverage_shares(grid, labels=some, texts=texts, about=about))
    for names in _alike(grid, labels):
        own = About(
            outcome=labels[names[0]], names=about.names, source=about.source, synthetic=about.synthetic
        )
        parts.append(heading(labels[names[0]], 3))
        if len(names) > 1:
            others = texts.join([labels[name] for name in names[1:]])
            parts.append(paragraph(texts("quality.coverage.same", labels=others)))
        parts.append(plot_coverage(grid, indicator=names[0], texts=texts, about=own))
    return section(*parts)


def _alike(grid: pd.DataFrame, labels: Mapping[str, str]) -> list[list[str]]:
    """Indicators in the study's order, those whose cells are all alike together."""
    groups: dict[tuple[bytes, ...], list[str]] = {}
    parts = dict(iter(grid.groupby("indicator", sort=False, observed=True)))
    for name in labels:
        if name in parts:
            part = parts[name].sort_values(["area", "year"], kind="stable")
            cells = (part["area"].cat.codes, part["year"], part["status"].cat.codes)
            groups.setdefault(tuple(one.to_numpy().tobytes() for one in cells), []).append(name)
    return list(groups.values())


def _failed(indicators: Indicators) -> tuple[int, int]:
    """Values that failed a check and were left out, and all lines of the list in which they stand."""
    table = failures_table(indicators)
    return int((table["rule"] == "implausible").sum()), len(table)


def _changes(indicators: Indicators, seen: Seen, texts: Texts) -> Section:
    """Every kind of line in the log, warnings first, with what was done about it.

    Cells without a number are those of the coverage: the log counts them for the areas of the study only, and those
    that nobody speaks of by another rule. A value that failed a check has a line in the list of checks, and counts so.
    """
    log = indicators.log
    levels = {str(rule): str(level) for rule, level in zip(log["rule"], log["level"], strict=True)}
    counted = log.loc[~log["rule"].isin([*_CELLS, "absent"])]
    counted = counted.groupby(["level", "rule"])["count"].sum().reset_index()
    gone = {rule: seen.reasons.get(rule, 0) for rule in _CELLS} | {"absent": seen.listed - seen.areas}
    lines = [(levels.get(rule, "info"), rule, count) for rule, count in gone.items() if count]
    if lines:
        counted = pd.concat([counted, pd.DataFrame(lines, columns=list(counted.columns))], ignore_index=True)
    counted["first"] = counted["level"] != "warning"
    counted = counted.sort_values(["first", "count"], ascending=[True, False], kind="stable")
    rows = tuple(
        (
            _rule(row["rule"], texts),
            texts(f"quality.level.{row['level']}"),
            texts.number(float(row["count"])),
            texts(key if (key := f"quality.rule.{row['rule']}") in texts else "quality.rule.other"),
        )
        for row in counted.to_dict("records")
    )
    head = heading(texts("quality.changes.heading"))
    if not rows:
        return section(head, paragraph(texts("quality.changes.none")))
    columns = _columns(texts, "changes", ("what", "level", "count", "why"), numeric=("count",))
    return section(head, Table(caption=texts("quality.changes.caption"), columns=columns, rows=rows))


def _releases(study: Study, indicators: Indicators, compared: pd.DataFrame, texts: Texts) -> Section:
    head = heading(texts("quality.releases.heading"))
    if compared.empty:
        return section(head, paragraph(texts("quality.releases.none")))
    labels = _labels(study, texts)
    units = _units(study)
    moved = compared.loc[compared["changed"] > 0]
    rows = []
    for row in moved.head(_LINES).to_dict("records"):
        unit, change = units.get(str(row["indicator"]), "plain"), float(row["largest_change"])
        number = texts.number(change, least_digits(change, DIGITS.get(unit, 1)), sign=True)
        largest = texts(f"unit.{unit}.short", number=number)
        if row.get("largest_area"):
            largest = f"{largest} ({_area(indicators, row['largest_area'], texts)})"
        rows.append(
            (
                labels.get(str(row["indicator"]), str(row["indicator"])),
                str(row["year"]),
                f"{row['vintage_old']} \N{RIGHTWARDS ARROW} {row['vintage_new']}",
                texts.number(row["areas"]),
                texts.number(row["changed"]),
                largest,
            )
        )
    parts: list[Part] = [head, paragraph(texts("quality.releases.intro"))]
    picture = plot_releases(compared, labels=labels, texts=texts, about=_about(study, indicators, texts))
    parts.append(picture if len(moved) else paragraph(picture.headline))
    names = ("indicator", "year", "vintages", "areas", "changed", "largest")
    columns = _columns(texts, "releases", names, numeric=("areas", "changed"))
    if rows:
        caption = texts("quality.releases.caption")
        note = _more(len(moved), "comparisons.csv", texts)
        parts.append(Table(caption=caption, columns=columns, rows=tuple(rows), note=note))
    return section(*parts)


def _flags(study: Study, indicators: Indicators, texts: Texts) -> Section:
    lines = indicators.log.loc[indicators.log["rule"].isin(_FLAGS)]
    lines = lines.assign(order=lines["rule"].map(_FLAGS.index)).sort_values("order", kind="stable")
    head = heading(texts("quality.flags.heading"))
    if lines.empty:
        return section(head, paragraph(texts("quality.flags.none")))
    labels, units = _labels(study, texts), _units(study)
    rows = tuple(
        (
            _rule(line["rule"], texts),
            labels.get(str(line["subject"]), str(line["subject"])),
            _area(indicators, line["area"], texts),
            _plain(line["year"]),
            *_facts(line, line["found"], units, texts),
        )
        for line in lines.head(_LINES).to_dict("records")
    )
    names = ("what", "indicator", "area", "year", "found", "expected")
    table = Table(
        caption=texts("quality.flags.caption"),
        columns=_columns(texts, "flags", names),
        rows=rows,
        note=_more(len(lines), "log.csv", texts),
    )
    return section(head, paragraph(texts("quality.flags.intro")), table)


def _failures(study: Study, indicators: Indicators, texts: Texts) -> Section:
    table = failures_table(indicators)
    order = {rule: at for at, rule in enumerate(("implausible", "conflict", *_FLAGS))}
    table = table.assign(order=table["rule"].map(order).fillna(len(order)))
    table = table.sort_values("order", kind="stable")
    labels, units = _labels(study, texts), _units(study)
    head = heading(texts("quality.failures.heading"))
    if table.empty:
        return section(head, paragraph(texts("quality.failures.none")))
    rows = tuple(
        (
            _plain(line["file"]) or "\N{EN DASH}",  # found in many areas at once
            _plain(line["row"]),
            _plain(line["column"]),
            (facts := _facts(line, line["value"], units, texts))[0],
            _rule(line["rule"], texts),
            facts[1],
            ", ".join(
                filter(
                    None,
                    (
                        labels.get(str(line["subject"]), _plain(line["subject"])),
                        _area(indicators, line["area"], texts),
                        _plain(line["year"]),
                    ),
                )
            ),
            texts(key) if (key := f"quality.fix.{line['rule']}") in texts else _plain(line["fix"]),
        )
        for line in table.head(_LINES).to_dict("records")
    )
    names = ("file", "row", "column", "value", "rule", "expected", "about", "fix")
    shown = Table(
        caption=texts("quality.failures.caption"),
        columns=_columns(texts, "failures", names, numeric=("row",)),
        rows=rows,
        note=_more(len(table), "failures.csv", texts),
    )
    failed, listed = _failed(indicators)
    said = texts("quality.failures.intro", n=texts.number(failed), rest=texts.number(listed - failed))
    return section(head, paragraph(said), shown)


def _sources(study: Study, indicators: Indicators, texts: Texts) -> Section:
    sums = {source.file: source.sha256 for source in study.spec.source}
    last = [Path(file).name for file in sums]
    # Folders make the table wide; a name that two files share needs them.
    shown = {file: name if last.count(name) == 1 else file for file, name in zip(sums, last, strict=True)}
    rows = tuple(
        (
            shown[str(row["file"])],
            _plain(row["published"]) or str(row["vintage"]),
            ", ".join(filter(None, (str(row["reader"]), form_of(_plain(row["form"]), texts)))),
            texts.number(float(row["rows"])),
            texts.number(float(row["cells"])),
            texts.number(float(row["areas"])),
            _plain(row["years"]).replace("-", "\N{EN DASH}"),
            sums.get(str(row["file"]), "")[:12],
        )
        for row in indicators.files.to_dict("records")
    )
    names = ("file", "vintage", "form", "rows", "cells", "areas", "years", "sha256")
    columns = _columns(texts, "sources", names, numeric=("rows", "cells", "areas"))
    attribution = study.spec.study.attribution.text(texts.language).rstrip(".")
    made = texts("quality.sources.made", study=study.name, hash=study.sha256[:12], version=version())
    return section(
        '<section class="provenance">',
        heading(texts("quality.sources.heading")),
        paragraph(texts("quality.sources.from", source=attribution)),
        Table(caption=texts("quality.sources.caption"), columns=columns, rows=rows),
        paragraph(made),
        "</section>",
    )


def _about(study: Study, indicators: Indicators, texts: Texts) -> About:
    areas = indicators.areas
    return About(
        names={str(code): areas.name(str(code), texts.language) for code in areas.table.index},
        source=study.spec.study.attribution.text(texts.language),
        synthetic=study.spec.study.synthetic,
    )


def _labels(study: Study, texts: Texts) -> dict[str, str]:
    return {one.name: one.label.text(texts.language) for one in study.spec.indicator}


def _units(study: Study) -> dict[str, str]:
    return {one.name: one.unit for one in study.spec.indicator}


def _facts(
    line: Mapping[Hashable, object], found: object, units: Mapping[str, str], texts: Texts
) -> tuple[str, str]:
    """What a line of the log found and expected, with the unit of its indicator."""
    expected = _plain(line["expected"])
    unit = "plain" if expected == "at least 0 persons" else units.get(str(line["subject"]), "plain")
    change = line["rule"] == "level_break"
    return (
        fact(_plain(found), texts, unit=unit, change=change),
        fact(expected, texts, unit=unit, change=change),
    )


def _lines_by_rule(log: pd.DataFrame) -> dict[str, int]:
    return {str(rule): int(count) for rule, count in log["rule"].value_counts().items()}


def _rule(rule: object, texts: Texts) -> str:
    """A rule of the log in a word."""
    for key in (f"quality.name.{rule}", f"status.{rule}"):
        if key in texts:
            return texts(key)
    return str(rule)


def _area(indicators: Indicators, code: object, texts: Texts) -> str:
    """Name of an area; nothing where none is meant, the code where it has no name."""
    if not _plain(code):
        return ""
    known = str(code) in indicators.areas.table.index
    return indicators.areas.name(str(code), texts.language) if known else str(code)


def _plain(value: object) -> str:
    """A fact of the log as text; nothing where there is none."""
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value)


def _percent(share: float, texts: Texts) -> str:
    """A share in per cent with one digit; 0 and 100 only where it is none or all."""
    percent = 100 * share
    shown = percent if share in (0.0, 1.0) else min(max(percent, 0.1), 99.9)
    return texts("unit.percent.level", number=texts.number(shown, 0 if share in (0.0, 1.0) else 1))


def _several(key: str, n: int, texts: Texts) -> str:
    return texts(f"quality.{key}.{'one' if n == 1 else 'many'}", n=texts.number(n))


def _columns(
    texts: Texts, key: str, names: Iterable[str], *, numeric: Sequence[str] = ()
) -> tuple[Column, ...]:
    return tuple(Column(label=texts(f"quality.{key}.{name}"), numeric=name in numeric) for name in names)


def _more(n: int, file: str, texts: Texts) -> str:
    return texts("quality.more", n=texts.number(n - _LINES), file=file) if n > _LINES else ""
