"""The comparison with last year's report: what changed, in one line, and why.

In: an evaluation, and what changed since the year before. Out: `ChangesReport`. Never: a cause that was guessed, or a
comparison with a year that there is not.
"""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..changes import Difference, FindingChange, Told, require_earlier_year
from ..dates import AsOf
from ..errors import DesignError, MekevalError
from ..evaluation import ALL, Evaluation, evaluate
from ..figures.words import lower_first
from ..study import Study
from ..text import Texts
from .changes import (
    area_called,
    beside_tables,
    cause_called,
    compared_how,
    made_tables,
    outcome_called,
    printed_parts,
    revised_parts,
    sample_tables,
)
from .first import MOST_POINTS
from .once import changes_of
from .opened import opened
from .parts import Findings, Section, bullets, heading, paragraph, section
from .planned import first_warnings
from .sentences import amount, reason

#: Lines of the first screen on verdicts that changed.
_MOST_MOVES = 2
#: Verdicts that a check, or a lack, has decided; the others follow from the estimate.
_WITH_REASON = ("fragile", "not_identifiable")


@dataclass(frozen=True, kw_only=True)
class ChangesReport:
    """A comparison with last year in one language; every attribute but the first three shows itself in a notebook cell.

    Attributes
    ----------
    title, description, language : str
    summary : Section
        The first screen: how many verdicts changed, why, and the verdicts of both years beside each other.
    why : Section
        The estimates of both years and the parts of their differences.
    samples, revised, made : Section
        Samples and method; revised values; what both were made from.
    findings : Findings
        No verdicts: those are in the reports of the city and the districts.
    """

    title: str
    description: str
    language: str
    summary: Section
    why: Section
    samples: Section
    revised: Section
    made: Section
    findings: Findings


def changes_report(
    study: str | Path | Study,
    *,
    year: int,
    language: str,
    raw: str | Path | None = None,
    as_of: AsOf = None,
) -> ChangesReport:
    """Compare the report of a year with that of the year before, as it was known then, and say why it differs.

    Parameters
    ----------
    study : str, Path or Study
        A study or its folder.
    year : int
        The year of the report.
    language : str
        One of `mekeval.text.LANGUAGES`.
    raw : str or Path, optional
        As in `read_study`.
    as_of : date, int or str, optional
        Only what was published by this day, or by the end of this year.

    Returns
    -------
    ChangesReport

    Raises
    ------
    MekevalError
        As `read_study` and `evaluate`; the language has no texts, or is none of the study's; there is no earlier year
        to compare with: no data, or the programme began in this one.

    Notes
    -----
    It speaks of primary outcomes, as `changes_since_last_year` does. Two published sets are compared by `mekeval diff`.

    Examples
    --------
    >>> from mekeval import changes_report, example_study
    >>> changes_report(example_study(), year=2019, language="en")
    Traceback (most recent call last):
    mekeval.errors.DesignError: There is no earlier report to compare with.
      where: year 2019
      found: no area was in the programme by 2018
      to do: Compare a later year, or two published sets with `mekeval diff`.
    """
    known, texts = opened(study, language, raw)
    evaluation = evaluate(known, year=year, as_of=as_of)
    require_earlier_year(known, evaluation.indicators, year)
    found = changes_of(evaluation)
    if found is None:
        raise DesignError("There is no earlier report to compare with.", where=f"year {year}")
    return changes_sections(evaluation, found, texts)


def changes_sections(evaluation: Evaluation, found: Difference, texts: Texts) -> ChangesReport:
    """Write the report from what changed."""
    city = evaluation.study.spec.areas.city.text(texts.language)
    ((old, new),) = found.years
    named = {"city": city, "old": old, "new": new}
    title = texts("changes.yearly.title", **named)
    description = texts("changes.yearly.description", **named)
    sample = sample_tables(found, texts)
    made = made_tables(found, texts)
    return ChangesReport(
        title=title,
        description=description,
        language=texts.language,
        summary=_summary(evaluation, found, title, texts),
        why=section(
            heading(texts("changes.yearly.why", **named), anchor="why"),
            *beside_tables(found, (old, new), texts),
        ),
        samples=section(
            heading(texts("changes.sample.heading"), anchor="samples"),
            *(sample or [paragraph(texts("changes.sample.same"))]),
        ),
        revised=section(
            heading(texts("changes.revised.heading"), anchor="revised"), *revised_parts(found, texts)
        ),
        made=section(
            heading(texts("changes.made.heading"), anchor="made"),
            *(made or [paragraph(texts("changes.made.same"))]),
        ),
        findings=Findings(records=(), title=title, description=description),
    )


def _summary(evaluation: Evaluation, found: Difference, title: str, texts: Texts) -> Section:
    both = [one for one in found.findings if one.old is not None and one.new is not None]
    moved = [one for one in both if "verdict" in one.what]
    key = {0: "none", 1: "one"}.get(len(moved), "several")
    n, k = texts.number(len(both)), texts.number(len(moved))
    said = texts(f"changes.yearly.verdicts.{key}", n=n, k=k)
    points = [
        *list(_moves(evaluation, found, moved, texts))[:_MOST_MOVES],
        *_sizes(evaluation, found, texts),
        *_others(found, texts),
    ]
    how, defined = compared_how(evaluation, found, texts)
    deviates = bool(evaluation.study.plan_state.deviations)
    return section(
        heading(title, 1),
        *(paragraph(one, css="warning") for one in first_warnings(evaluation, texts)),
        paragraph(" ".join([said, *_main_cause(both, texts)]), css="lead"),
        bullets(points[:MOST_POINTS]),
        heading(texts("changes.yearly.matrix_heading"), anchor="verdicts"),
        _matrix(evaluation, found, texts),
        *(paragraph(one, css="note") for one in (how, *([defined] if deviates else []))),
    )


def _moves(
    evaluation: Evaluation, found: Difference, moved: list[FindingChange], texts: Texts
) -> Iterator[str]:
    """Which verdicts became which, the most frequent change first, and why."""
    groups: dict[tuple[str, str, str], list[FindingChange]] = {}
    for one in moved:
        if one.old is not None and one.new is not None:
            why = _plain_reason(one.old, texts) if one.old.verdict == "not_identifiable" else ""
            groups.setdefault((one.old.verdict, one.new.verdict, why), []).append(one)
    for (old, new, why), ones in sorted(groups.items(), key=lambda item: -len(item[1])):
        words = {"old": texts(f"verdict.{old}.word").lower(), "new": texts(f"verdict.{new}.word").lower()}
        first = ones[0]
        if len(ones) == 1:
            outcome = lower_first(outcome_called(found, first.outcome, texts))
            said = texts(
                "changes.yearly.move", area=area_called(found, first, texts), outcome=outcome, **words
            )
            finding = evaluation.findings.get((first.outcome, first.subject))
            if not why and finding is not None and finding.verdict in _WITH_REASON:
                now = reason(evaluation, finding, finding.because, finding.reason, finding.facts, texts)
                said += " " + texts("changes.yearly.move_now", reason=now)
        else:
            said = texts("changes.yearly.moves", n=texts.number(len(ones)), **words)
        if why:
            said += " " + texts("changes.yearly.move_then", year=first.old_year, reason=why)
        yield said


def _plain_reason(told: Told, texts: Texts) -> str:
    """The reason of an earlier verdict, where it says itself without the numbers of its finding."""
    key = f"reason.{told.because}.{told.reason}"
    try:
        return texts(key) if key in texts else ""
    except MekevalError:
        return ""


def _main_cause(both: list[FindingChange], texts: Texts) -> Iterator[str]:
    """Which cause most often has the largest part of the change of an estimate."""
    largest = [
        max(one.parts, key=lambda part: abs(part.value)).causes for one in both if one.parts and one.change
    ]
    if not largest:
        return
    causes, k = Counter(largest).most_common(1)[0]
    every = k == len(largest)
    yield texts(
        "changes.yearly.cause_all" if every else "changes.yearly.cause",
        cause=cause_called(causes, texts),
        k=texts.number(k),
        m=texts.number(len(largest)),
    )


def _sizes(evaluation: Evaluation, found: Difference, texts: Texts) -> Iterator[str]:
    """The estimate of the programme as a whole, then and now, with the parts of its change."""
    for one in found.findings:
        if one.subject != ALL or one.old is None or one.new is None:
            continue
        if one.old.estimate is None or one.new.estimate is None:
            continue
        unit = evaluation.study.indicator(one.outcome).unit
        then, now = (
            amount(texts, told.estimate, unit, form="short", sign=True, extra_digits=1)
            for told in (one.old, one.new)
            if told.estimate is not None
        )
        printed = [(causes, value) for causes, value in printed_parts(one, unit) if value]
        parts = [
            texts(
                "changes.yearly.part",
                cause=cause_called(causes, texts),
                size=amount(texts, float(value), unit, form="short", sign=True, extra_digits=1),
            )
            for causes, value in printed
        ]
        if len(printed) == 1:  # it is the whole difference, which stands before it
            parts = [cause_called(printed[0][0], texts)]
        name = lower_first(outcome_called(found, one.outcome, texts))
        yield texts(
            f"changes.yearly.size{'' if parts else '_same' if then == now else '_only'}",
            outcome=name,
            old=then,
            new=now,
            old_year=one.old_year,
            new_year=one.new_year,
            parts="; ".join(parts),
        )


def _others(found: Difference, texts: Texts) -> Iterator[str]:
    """Areas that are new or gone, definitions, revised values."""
    for key, side in (("came", "old"), ("left", "new")):
        areas = dict.fromkeys(
            area_called(found, one, texts) for one in found.findings if getattr(one, side) is None
        )
        if areas:
            yield texts(f"changes.yearly.{key}", areas=texts.join(list(areas)))
    changed = any(one.kind == "definition" for one in found.made_from)
    yield texts("changes.yearly.definition_changed" if changed else "changes.definition.same")
    if "same_data" in found.notes:
        yield texts("changes.yearly.revised_unknown")
    else:
        n = len(found.revisions)
        yield texts("changes.revised.some", n=texts.number(n)) if n else texts("changes.revised.none")


def _matrix(evaluation: Evaluation, found: Difference, texts: Texts) -> str:
    """The verdicts of both years: a row for each area, a column for each primary outcome."""
    outcomes = list(dict.fromkeys(one.outcome for one in found.findings))
    told = {(one.outcome, one.subject): one for one in found.findings}
    order = {code: at for at, code in enumerate((ALL, *evaluation.design.treated))}
    subjects = sorted(
        dict.fromkeys(one.subject for one in found.findings), key=lambda one: order.get(one, 99)
    )
    heads = "".join(
        f'<th scope="col">{html.escape(outcome_called(found, one, texts))}</th>' for one in outcomes
    )
    rows = []
    for subject in subjects:
        row = [told.get((outcome, subject)) for outcome in outcomes]
        name = area_called(found, next(one for one in row if one is not None), texts)
        css = ' class="total"' if subject == ALL else ""
        cells = "".join(f"<td>{_pair(one, texts)}</td>" for one in row)
        rows.append(f'<tr{css}><th scope="row">{html.escape(name)}</th>{cells}</tr>')
    ((old, new),) = found.years
    caption = html.escape(texts("changes.yearly.matrix", old=old, new=new))
    body = "\n".join(rows)
    return (
        f'<div class="table-scroll matrix" tabindex="0" role="region" aria-label="{caption}">\n<table>\n'
        f'<caption class="visually-hidden">{caption}</caption>\n'
        f'<thead>\n<tr><th scope="col">{html.escape(texts("changes.column.area"))}</th>{heads}</tr>\n</thead>\n'
        f"<tbody>\n{body}\n</tbody>\n</table>\n</div>"
    )


def _pair(one: FindingChange | None, texts: Texts) -> str:
    """The verdicts of one finding: once where they are the same, else the old one and the new one."""
    if one is None:
        return ""
    marks = [
        html.escape(texts(f"changes.yearly.{absent}"))
        if told is None
        else f'<span class="verdict-mark verdict-{told.verdict}">'
        f"{html.escape(texts(f'verdict.{told.verdict}.word'))}</span>"
        for told, absent in ((one.old, "not_then"), (one.new, "not_now"))
    ]
    if one.old is not None and one.new is not None and "verdict" not in one.what:
        return f"{marks[1]} <small>{html.escape(texts('changes.yearly.same'))}</small>"
    return f'{marks[0]} <span class="to">\N{RIGHTWARDS ARROW}</span> {marks[1]}'
