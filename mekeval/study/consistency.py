"""What one part of study.toml takes from another must be there, and only once."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from ..errors import Fault, closest
from .schema import SourceSpec, StudySpec


def cross_references(spec: StudySpec, where: str) -> Iterator[Fault]:
    """Names that one part of study.toml takes from another must be there, and only once."""
    items = [item.name for item in spec.item]
    indicators = [indicator.name for indicator in spec.indicator]
    for kind, names in (
        ("item", items),
        ("indicator", indicators),
        ("wave", [wave.name for wave in spec.waves]),
        ("outcome of the plan", list(spec.outcomes)),
        ("language", [str(language) for language in spec.study.languages]),
    ):
        for name in sorted({name for name in names if names.count(name) > 1}):
            yield Fault(what=f"The {kind} {name!r} is named twice.", where=where)
    for wave in spec.waves:
        if wave.last < wave.first:
            yield Fault(
                what="A wave ends before it begins.",
                where=f"{where}, programme.wave {wave.name!r}",
                found=f"{wave.first} to {wave.last}",
            )
    for indicator in spec.indicator:
        place = f"{where}, indicator {indicator.name!r}"
        rate, plain = (indicator.numerator, indicator.denominator), (indicator.value, indicator.base)
        if not (all(rate) and not any(plain)) and not (all(plain) and not any(rate)):
            yield Fault(
                what="An indicator is either a rate or a value.",
                where=place,
                expected="numerator and denominator, or value and base",
            )
        yield from _unknown(indicator.items, items, "item", place)
        if indicator.plausible and indicator.plausible[0] > indicator.plausible[1]:
            yield Fault(
                what="A plausible range ends before it begins.",
                where=place,
                found=f"{indicator.plausible[0]:g} to {indicator.plausible[1]:g}",
            )
    for number, source in enumerate(spec.source, start=1):
        place = f"{where}, source[{number}] {source.file!r}"
        yield from _unknown(source.items, items, "item", place)
        yield from _source_faults(source, place)
    rule = spec.rule
    if rule:
        yield from _unknown(rule.criteria, indicators, "indicator", f"{where}, programme.rule.criteria")
        if rule.population:
            place = f"{where}, programme.rule.population"
            yield from _unknown((rule.population,), indicators, "indicator", place)
        elif rule.minimum_population:
            yield Fault(
                what="A minimum population needs to know what the population is.",
                where=f"{where}, programme.rule",
                expected="population = the name of the indicator whose base counts the residents",
            )
    yield from _reference_faults(spec, where)
    yield from _unknown(spec.outcomes, indicators, "indicator", f"{where}, plan")
    for indicator in spec.indicator:
        if indicator.higher_is == "neutral" and indicator.name in spec.outcomes:
            yield Fault(
                what="An outcome of the plan has no direction.",
                where=f"{where}, indicator {indicator.name!r}",
                found='higher_is = "neutral"',
                expected='"better" or "worse"',
                fix="Give it a direction, or take it out of the plan: it is then shown and not judged.",
            )
    supplied = {name for source in spec.source if source.scope != "reference" for name in source.items}
    for outcome in spec.indicator:
        for name in outcome.items:
            if name in items and name not in supplied:
                yield Fault(
                    what=f"No source holds the item {name!r}.",
                    where=f"{where}, indicator {outcome.name!r}",
                    fix="Name the item in `items` of the source that has it.",
                )


def _source_faults(source: SourceSpec, where: str) -> Iterator[Fault]:
    """What a source says of its own columns and marks must fit together."""
    if source.thousands == source.decimal:
        yield Fault(
            what="One mark cannot part decimals and thousands.",
            where=where,
            found=f"decimal = {source.decimal!r}, thousands = {source.thousands!r}",
        )
    named = [
        name
        for name in (
            source.area_column,
            source.item_column,
            source.year_column,
            source.value_column,
            *source.take,
        )
        if name
    ]
    for name in sorted({name for name in named if named.count(name) > 1}):
        yield Fault(what="A column has two parts to play.", where=where, found=repr(name))


def _reference_faults(spec: StudySpec, where: str) -> Iterator[Fault]:
    """What `[reference]` and the scopes of the sources must have in common."""
    reference, rule = spec.reference, spec.rule
    supplied = [source.file for source in spec.source if source.scope != "city"]
    if reference is None:
        if supplied:
            yield Fault(
                what="A source is for reference cities, and the study has none.",
                where=f"{where}, source {supplied[0]!r}",
                expected="a table [reference]",
            )
        return
    place = f"{where}, reference"
    if bool(reference.areas) == bool(reference.areas_from):
        yield Fault(
            what="Reference areas come from a list or from a source.",
            where=place,
            found="both" if reference.areas else "neither",
            expected="`areas`, or `areas_from` with `label`",
        )
    if reference.areas and reference.label:
        yield Fault(what="`label` belongs to `areas_from`; a list needs none.", where=place)
    for exclusion in reference.exclude:
        if not exclusion.reason.fi.strip():
            yield Fault(what="An exclusion has no reason.", where=place, found=repr(exclusion.city))
        if [one.city for one in reference.exclude].count(exclusion.city) > 1:
            yield Fault(what="A city is excluded twice.", where=place, found=repr(exclusion.city))
    if reference.areas_from and reference.areas_from not in supplied:
        yield Fault(
            what="`areas_from` names no source of the reference cities.",
            where=place,
            found=repr(reference.areas_from),
            expected=closest(reference.areas_from, supplied),
            fix='Name the `file` of a source with scope = "reference" or "both".',
        )
    if reference.areas_from:
        try:
            groups = set(re.compile(reference.label).groupindex)
        except re.error as cause:
            yield Fault(
                what="`label` is no pattern.", where=place, found=repr(reference.label), expected=str(cause)
            )
        else:
            if not {"code", "city"} <= groups:
                yield Fault(
                    what="The pattern `label` lacks a group.",
                    where=place,
                    found=repr(reference.label),
                    expected="a pattern with (?P<code>…) and (?P<city>…)",
                )
    if rule is None or not rule.population:
        yield Fault(
            what="Reference cities need the rule that is applied in them, and the size of areas.",
            where=place,
            expected="[programme.rule] with `criteria`, `choose` and `population`",
        )
    if not supplied:
        yield Fault(
            what="No source speaks of the reference cities.",
            where=place,
            fix='Give a source scope = "reference" or "both".',
        )
        return
    items = {name for source in spec.source if source.scope != "city" for name in source.items}
    for indicator in spec.indicator:
        if rule and indicator.name in (*rule.criteria, rule.population):
            for lacking in sorted(set(indicator.items) - items):
                yield Fault(
                    what=f"No source of the reference cities holds the item {lacking!r}, which the rule needs.",
                    where=f"{where}, indicator {indicator.name!r}",
                    fix='Give a source that holds it scope = "reference" or "both".',
                )


def _unknown(
    names: tuple[str, ...] | Mapping[str, int], known: list[str], kind: str, where: str
) -> Iterator[Fault]:
    for name in names:
        if name not in known:
            yield Fault(what=f"Unknown {kind}.", where=where, found=repr(name), expected=closest(name, known))
