"""What changed between two reports and why, in words: a part of the city's report, and a page of its own.

In: a `Difference`. Out: sections. Never: a number that one of the two hides, or parts that do not add up as printed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

from ..changes import CAUSES, Difference, FindingChange, Told
from ..evaluation import ALL, Evaluation
from ..tables import Column, Table
from ..text import Texts, ranges
from .parts import Part, Section, bullets, heading, paragraph, section
from .sentences import amount, decimals_of

#: Lines of a list that a page shows; the rest is in the file beside it.
_LINES = 60
_MADE = ("made.what", "made.name", "made.old", "made.new")
_SHORTEST = 12
_LONGEST = 120
#: What the second table of a page tells of; the first one has the numbers.
_SAMPLE = ("certainty", "role", "method", "alpha", "n_treated", "n_comparison", "n_sets", "years", "dropped")


def changes_part(evaluation: Evaluation, found: Difference | None, texts: Texts) -> list[Part]:
    """A part of the city's report: last year's verdicts on primary outcomes beside this year's, and why they differ.

    Nothing where there is no report to compare with.
    """
    if found is None:
        return []
    ((old, new),) = found.years
    how, defined = compared_how(evaluation, found, texts)
    parts: list[Part] = [
        heading(texts("changes.heading"), anchor="changes"),
        paragraph(how),
        *_verdicts(found, texts),
        *beside_tables(found, (old, new), texts),
    ]
    if not _of_today(found):
        parts += [paragraph(one) for one in _revised_line(found, texts)]
    return [*parts, paragraph(defined)]


def compared_how(evaluation: Evaluation, found: Difference, texts: Texts) -> tuple[str, str]:
    """On which data and by which method the year before was computed again, and by which definition."""
    ((old, new),) = found.years
    day = {} if _of_today(found) or found.as_of[0] is None else {"date": texts.date(found.as_of[0])}
    deviations = [one.key for one in evaluation.study.plan_state.deviations]
    defined = texts("changes.definition.same")
    if deviations:
        defined += " " + texts("changes.definition.deviations", keys="; ".join(deviations))
    return texts("changes.then" if day else "changes.today", old=old, new=new, **day), defined


def _of_today(found: Difference) -> bool:
    """Whether the year before is known only as it is today."""
    return "same_data" in found.notes or found.as_of[0] is None


def revised_parts(found: Difference, texts: Texts) -> list[Part]:
    """Which values were revised; that it is not known where no earlier releases are."""
    if "same_data" in found.notes:
        return [paragraph(texts("changes.yearly.revised_unknown"))]
    return [*(paragraph(one) for one in _revised_line(found, texts)), *_revised_table(found, texts)]


def changes_page(found: Difference, texts: Texts) -> Section:
    """A whole page: everything that differs between two sets."""
    parts: list[Part] = [
        heading(texts("changes.title", title=found.title.get(texts.language, found.study)), 1),
        *(
            paragraph(texts(f"changes.note.{note}"), css="warning")
            for note in found.notes
            if note != "same_data"
        ),
        bullets(_points(found, texts)),
    ]
    for pair in found.years:
        key = "why_same" if pair[0] == pair[1] else "why_pair"
        parts.append(heading(_of_years(f"changes.{key}", pair, texts)))
        parts += beside_tables(found, pair, texts)
    if sample := sample_tables(found, texts):
        parts += [heading(texts("changes.sample.heading")), *sample]
    parts.append(heading(texts("changes.revised.heading")))
    parts += [paragraph(one) for one in _revised_line(found, texts)]
    parts += _revised_table(found, texts)
    parts.append(heading(texts("changes.made.heading")))
    return section(*parts, *(made_tables(found, texts) or [paragraph(texts("changes.made.same"))]))


def sample_tables(found: Difference, texts: Texts) -> list[Part]:
    """Samples, certainty and method as far as they differ."""
    sample = list(_sample_rows(found, texts))
    heads = ("sample.outcome", "column.area", "sample.what", "sample.old", "sample.new")
    return [_table("sample.caption", heads, sample, texts)] if sample else []


def made_tables(found: Difference, texts: Texts) -> list[Part]:
    """Data, definitions and versions as far as they differ."""
    made = list(_made_rows(found, texts))
    return [_table("made.caption", _MADE, made, texts)] if made else []


def _points(found: Difference, texts: Texts) -> list[str]:
    points = [texts("changes.compared", old=found.old, new=found.new)]
    for name, day in zip((found.old, found.new), found.as_of, strict=True):
        if day is not None:
            points.append(texts("changes.compared_as_of", name=name, date=texts.date(day)))
    points += [
        _of_years(f"changes.years_{'same' if old == new else 'pair'}", (old, new), texts)
        for old, new in found.years
    ]
    if not found.differs:
        return [*points, texts("changes.nothing")]
    n, changed = texts.number(len(found.findings)), texts.number(len(found.changed))
    return [*points, texts("changes.findings", n=n, changed=changed), *_verdict_lines(found, texts)]


def _of_years(key: str, pair: tuple[int, int], texts: Texts, **parts: object) -> str:
    given = {"year": pair[1]} if pair[0] == pair[1] else {"old": pair[0], "new": pair[1]}
    return texts(key, **given, **parts)


def _verdicts(found: Difference, texts: Texts) -> list[Part]:
    first, *lines = _verdict_lines(found, texts)
    return [paragraph(first), *([bullets(lines)] if lines else [])]


def _verdict_lines(found: Difference, texts: Texts) -> list[str]:
    """How many verdicts changed, and which."""
    moved = [
        texts(
            "changes.verdict_changed",
            outcome=outcome_called(found, one.outcome, texts),
            area=area_called(found, one, texts),
            old=texts(f"verdict.{one.old.verdict}.word"),
            new=texts(f"verdict.{one.new.verdict}.word"),
        )
        for one in found.findings
        if one.old is not None and one.new is not None and "verdict" in one.what
    ]
    if not moved:
        return [texts("changes.verdicts_none")]
    more = [texts("changes.verdict_more", n=len(moved) - _LINES)] if len(moved) > _LINES else []
    return [texts("changes.verdicts_some", n=texts.number(len(moved))), *moved[:_LINES], *more]


def beside_tables(found: Difference, pair: tuple[int, int], texts: Texts) -> list[Part]:
    """A table for each outcome, and how the change was taken apart; of one year beside itself what differs alone."""
    mine = [one for one in found.findings if (one.old_year, one.new_year) == pair]
    if pair[0] == pair[1]:
        mine = [one for one in mine if one.what]
        if not mine:
            return [paragraph(texts("changes.nothing"))]
    causes = sorted(
        {part.causes for one in mine for part in one.parts},
        key=lambda some: [CAUSES.index(one) for one in some],
    )
    tables: list[Part] = []
    for outcome in dict.fromkeys(one.outcome for one in mine):
        rows = [one for one in mine if one.outcome == outcome]
        tables.append(_outcome_table(found, outcome, rows, causes, pair, texts))
    if not causes:
        return tables
    order = ", ".join(cause_called(tuple(step.split("+")), texts) for step in found.steps)
    key = "parts_one" if len(causes) == 1 and len(found.steps) == 1 else "parts"
    return [*tables, paragraph(texts(f"changes.{key}", order=order), css="note")]


def _outcome_table(
    found: Difference,
    outcome: str,
    rows: Sequence[FindingChange],
    causes: Sequence[tuple[str, ...]],
    pair: tuple[int, int],
    texts: Texts,
) -> Table:
    """Verdicts and estimates of one outcome, a row for each area, with the parts of the change."""
    unit = found.units.get(outcome, "plain")
    why = any(one.unattributed and one.what for one in rows)
    cells = []
    for one in rows:
        sides = (one.old, one.new)
        absent = [texts("changes.appeared"), texts("changes.gone")]
        verdicts = [
            texts(f"verdict.{told.verdict}.word") if told is not None else absent[at]
            for at, told in enumerate(sides)
        ]
        numbers = [_estimate(told, unit, texts, hidden=one.hidden) for told in sides]
        shown = dict(printed_parts(one, unit))
        parts = [
            amount(texts, float(shown.get(some, 0)), unit, form="short", sign=True, extra_digits=1)
            if some in shown or one.parts or one.change == 0
            else ""
            for some in causes
        ]
        reason = texts(f"changes.unattributed.{one.unattributed}") if one.unattributed and one.what else ""
        cells.append(
            (area_called(found, one, texts), *verdicts, *numbers, *parts, *((reason,) if why else ()))
        )
    named = [
        ("column.verdict", "old"),
        ("column.verdict", "new"),
        ("column.estimate", "old"),
        ("column.estimate", "new"),
    ]
    if pair[0] == pair[1]:
        keys = ("column.verdict_old", "column.verdict_new", "column.old", "column.new")
        heads = [texts(f"changes.{key}") for key in keys]
    else:
        heads = [texts(f"changes.{key}_year", **{"year": pair[side == "new"]}) for key, side in named]
    columns = [Column(label=texts("changes.column.area"))]
    columns += [Column(label=head, numeric=at > 1) for at, head in enumerate(heads)]
    columns += [
        Column(label=texts("changes.cause.column", cause=cause_called(some, texts)), numeric=True)
        for some in causes
    ]
    columns += [Column(label=texts("changes.column.why"))] if why else []
    key = "caption_same" if pair[0] == pair[1] else "caption_pair"
    return Table(
        caption=_of_years(f"changes.{key}", pair, texts, outcome=outcome_called(found, outcome, texts)),
        columns=tuple(columns),
        rows=tuple(cells),
        note=texts("changes.rounded"),
    )


def printed_parts(one: FindingChange, unit: str) -> Iterator[tuple[tuple[str, ...], Decimal]]:
    """The parts as differences of rounded estimates, so that they add up as printed."""
    if one.old is None or one.old.estimate is None:
        return
    digits = Decimal(1).scaleb(-_digits(unit))
    level = Decimal(f"{one.old.estimate:.12g}")
    for part in one.parts:
        before, level = level, level + part.value
        yield part.causes, level.quantize(digits) - before.quantize(digits)


def _digits(unit: str) -> int:
    return decimals_of(unit) + 1 if decimals_of(unit) else 0


def _estimate(told: Told | None, unit: str, texts: Texts, *, hidden: bool) -> str:
    if told is None or told.estimate is None:
        if told is None:
            return "\N{EN DASH}"
        return texts("changes.hidden" if hidden else "changes.no_estimate")
    said = amount(texts, told.estimate, unit, form="short", sign=True, extra_digits=1)
    if told.low is None or told.high is None:
        return said
    low, high = (texts.number(end, _digits(unit), sign=True) for end in (told.low, told.high))
    return f"{said} ({low} … {high})"


def cause_called(causes: Sequence[str], texts: Texts) -> str:
    return f" {texts('changes.cause.or')} ".join(texts(f"changes.cause.{one}") for one in causes)


def outcome_called(found: Difference, name: str, texts: Texts) -> str:
    return found.outcomes.get(name, {}).get(texts.language) or name


def area_called(found: Difference, one: FindingChange, texts: Texts) -> str:
    if one.subject == ALL:
        return texts("figure.all")
    return found.areas.get(one.subject, {}).get(texts.language) or one.subject


def _sample_rows(found: Difference, texts: Texts) -> Iterator[tuple[str, ...]]:
    for one in found.changed:
        if one.old is None or one.new is None:
            continue
        for name in _SAMPLE:
            if name in one.what:
                sides = [_sample(told, name, texts) for told in (one.old, one.new)]
                if not all(sides):
                    continue  # nothing was tested on one side: its verdict says so
                label = outcome_called(found, one.outcome, texts)
                area = area_called(found, one, texts)
                if one.old_year != one.new_year:
                    area = f"{area}, {one.old_year} → {one.new_year}"
                yield (label, area, texts(f"changes.what.{name}"), *sides)


def _sample(told: Told, name: str, texts: Texts) -> str:
    placebo = told.rule_placebo
    if name == "years":
        return "" if placebo is None else f"{ranges(placebo.pre)} → {ranges(placebo.post)}"
    if name == "dropped":
        return "" if placebo is None else texts.number(sum(placebo.dropped.values()))
    value = getattr(told, name)
    if value is None:
        return ""
    if name == "certainty":
        return texts(f"changes.certainty.{value}") if f"changes.certainty.{value}" in texts else str(value)
    if name == "role":
        return texts(f"plan.role.{value}") if f"plan.role.{value}" in texts else str(value)
    if name == "method" and f"changes.method.{value}" in texts:
        return texts(f"changes.method.{value}")
    return texts.short(float(value)) if isinstance(value, int | float) else str(value)


def _revised_line(found: Difference, texts: Texts) -> list[str]:
    if not found.revisions_known:
        return [texts("changes.revised.unknown")]
    n = len(found.revisions)
    return [texts("changes.revised.some", n=texts.number(n)) if n else texts("changes.revised.none")]


def _revised_table(found: Difference, texts: Texts) -> list[Part]:
    """Revised values by indicator and year."""
    if found.revisions.empty:
        return []
    rows = []
    for (name, year), part in list(found.revisions.groupby(["indicator", "year"], sort=True))[:_LINES]:
        unit = found.units.get(str(name), "plain")
        largest = part.iloc[int(part["change"].abs().to_numpy().argmax())]
        area = found.areas.get(str(largest["area"]), {}).get(texts.language) or str(largest["area"])
        numbers = (float(part["change"].median()), float(largest["change"]))
        median, most = (amount(texts, one, unit, form="short", sign=True, extra_digits=1) for one in numbers)
        label = outcome_called(found, str(name), texts)
        rows.append((label, str(year), texts.number(len(part)), median, f"{most} ({area})"))
    heads = ("revised.indicator", "revised.year", "revised.n", "revised.median", "revised.largest")
    return [_table("revised.caption", heads, rows, texts, numeric=(2, 3))]


def _made_rows(found: Difference, texts: Texts) -> Iterator[tuple[str, ...]]:
    for one in found.made_from:
        short = one.kind in ("source", "file", "code")
        sides = []
        for value in (one.old, one.new):
            said = value[:_SHORTEST] if short else value
            said = said if len(said) <= _LONGEST else f"{said[: _LONGEST - 1]}\N{HORIZONTAL ELLIPSIS}"
            sides.append(said or texts("changes.made.absent"))
        yield (texts(f"changes.made.{one.kind}"), one.name, *sides)


def _table(
    caption: str,
    heads: Sequence[str],
    rows: Sequence[tuple[str, ...]],
    texts: Texts,
    numeric: Sequence[int] = (),
) -> Table:
    columns = tuple(
        Column(label=texts(f"changes.{head}"), numeric=at in numeric) for at, head in enumerate(heads)
    )
    return Table(caption=texts(f"changes.{caption}"), columns=columns, rows=tuple(rows))


def changes_lines(found: Difference, texts: Texts) -> Iterator[str]:
    """The same for a terminal: notes, main points, and each table as lines."""
    from ..display import shortened, table_text

    yield from (texts(f"changes.note.{note}") for note in found.notes if note != "same_data")
    yield from _points(found, texts)
    if not found.differs:
        return
    for pair in found.years:
        for table in beside_tables(found, pair, texts):
            if isinstance(table, Table):
                yield "\n" + table_text(shortened(table))
    yield ""
    yield from _revised_line(found, texts)
    made = list(_made_rows(found, texts))
    if made:
        yield "\n" + table_text(shortened(_table("made.caption", _MADE, made, texts)))
