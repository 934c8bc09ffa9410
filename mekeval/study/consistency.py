"""What one part of study.toml takes from another must be there, and only once.

In: a study.toml that fits the schema. Out: faults. Never: a look at a raw file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from ..errors import Fault, closest
from .catalogue import offered_items, written
from .formula import pattern, signed_terms, split_formula
from .schema import CHECKS, IndicatorSpec, SourceSpec, StudySpec


def cross_references(spec: StudySpec, where: str) -> Iterator[Fault]:
    """Names that one part of study.toml takes from another must be there, and only once."""
    items = [item.name for item in spec.item]
    indicators = [indicator.name for indicator in spec.indicator]
    offered = offered_items(spec)
    for kind, names in (
        ("item", items),
        ("indicator", indicators),
        ("wave", [wave.name for wave in spec.waves]),
        ("outcome of the plan", list(spec.outcomes)),
        ("required check", list(spec.plan.required) if spec.plan else []),
        ("language", [str(language) for language in spec.study.languages]),
        ("level of found areas", [found.level for found in spec.areas.found]),
    ):
        for name in sorted(name for name, times in Counter(names).items() if times > 1):
            yield Fault(what=f"The {kind} {name!r} is named twice.", where=where)
    yield from _area_faults(spec, where)
    if not indicators:
        yield Fault(
            what="The study has no indicator.",
            where=where,
            fix="Define one, [[indicator]], or take one from a catalogue: [catalogue] use and indicators.",
        )
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
        yield from _sum_faults(indicator, place)
        yield from _proxy_faults(indicator, place)
        yield from _unknown(indicator.items, items, "item", place, offered)
        if (other := indicator.by_otherwise) is not None:
            lacking = [name for name in other.items if name not in indicator.items]
            yield from _unknown(lacking, items, "item", f"{place}, otherwise", offered)
        yield from _limit_faults(indicator.minimum_base, spec, place)
        if indicator.plausible and indicator.plausible[0] > indicator.plausible[1]:
            yield Fault(
                what="A plausible range ends before it begins.",
                where=place,
                found=f"{indicator.plausible[0]:g} to {indicator.plausible[1]:g}",
            )
        if list(indicator.breaks) != sorted(set(indicator.breaks)):
            yield Fault(
                what="Breaks of an indicator are not in order, or one stands twice.",
                where=place,
                found=", ".join(map(str, indicator.breaks)),
                expected="each year once, the earliest first",
            )
    for number, source in enumerate(spec.source, start=1):
        place = f"{where}, source[{number}] {source.file!r}"
        yield from _unknown(source.items, items, "item", place, offered)
        yield from _limit_faults(source.minimum_base, spec, place)
        yield from _source_faults(source, place)
    rule = spec.rule
    if rule:
        yield from _unknown(rule.criteria, indicators, "indicator", f"{where}, programme.rule.criteria")
        waves, named = [wave.name for wave in spec.waves], [one.wave for one in rule.missing if one.wave]
        yield from _unknown(named, waves, "wave", f"{where}, programme.rule.missing")
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
    if spec.plan and spec.plan.comparison == "rule_placebo" and spec.reference is None:
        yield Fault(
            what="The plan compares with reference cities, and the study has none.",
            where=f"{where}, plan.comparison",
            found="'rule_placebo'",
            expected="a table [reference]; or 'auto' or 'city'",
        )
    yield from _unknown(spec.outcomes, indicators, "indicator", f"{where}, plan")
    if spec.plan:
        yield from _unknown(spec.plan.required, list(CHECKS), "check", f"{where}, plan.required")
        yield from _unknown(
            spec.plan.important, list(spec.outcomes), "outcome of the plan", f"{where}, plan.important"
        )
    if spec.other_estimates:
        published, place = spec.other_estimates.published, f"{where}, other_estimates.published"
        outcomes = [one.outcome for one in published]
        yield from _unknown(outcomes, list(spec.outcomes), "outcome of the plan", place)
        named = [one.estimator for one in published]
        yield from _unknown(named, list(spec.other_estimates.estimators), "estimator of the list", place)
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
    known = set(items)
    for outcome in spec.indicator:
        for name in outcome.items:
            if name in known and name not in supplied:
                yield Fault(
                    what=f"No source holds the item {name!r}.",
                    where=f"{where}, indicator {outcome.name!r}",
                    fix="Name the item in `items` of the source that has it.",
                )


def _limit_faults(limit: int | None, spec: StudySpec, where: str) -> Iterator[Fault]:
    """A limit of its own may be higher than the study's and never lower."""
    if limit is not None and limit < spec.study.minimum_base:
        yield Fault(
            what="A limit for the people behind a value is lower than the study's.",
            where=f"{where}, minimum_base",
            found=str(limit),
            expected=f"at least {spec.study.minimum_base}, the study's own minimum_base",
        )


def level_faults(spec: StudySpec, listed: Iterable[str], where: str) -> Iterator[Fault]:
    """Levels that a source or the units name must be levels of listed or of found areas."""
    found = [each.level for each in spec.areas.found]
    if not spec.areas.file and spec.areas.unit not in found:
        yield Fault(
            what="No area is on the level of the units.",
            where=f"{where}, areas.unit",
            found=repr(spec.areas.unit),
            expected=closest(spec.areas.unit, found) if found else "a list of areas, or areas that are found",
        )
    levels = dict.fromkeys([*found, *listed])
    for number, source in enumerate(spec.source, start=1):
        if levels and source.level and source.level not in levels:
            yield Fault(
                what="A source speaks of a level that no area has.",
                where=f"{where}, source[{number}] {source.file!r}, level",
                found=repr(source.level),
                expected=closest(source.level, levels),
            )


def _area_faults(spec: StudySpec, where: str) -> Iterator[Fault]:
    """Areas are listed or found; those of a programme are listed."""
    if spec.programme and not spec.areas.file:
        yield Fault(
            what="A study of a programme lists its areas.",
            where=f"{where}, areas",
            found="areas that are found in the data" if spec.areas.found else "no areas",
            expected='file = "areas.csv"',
            fix="A list is fixed; what a file holds is not.",
        )
    elif not spec.areas.file and not spec.areas.found:
        yield Fault(
            what="The study has no areas.", where=f"{where}, areas", expected="`file`, or [[areas.found]]"
        )
    used = {source.level for source in spec.source}
    for found in spec.areas.found:
        if found.level not in used:
            yield Fault(
                what="No source holds the areas that are to be found.",
                where=f"{where}, areas.found",
                found=repr(found.level),
                fix=f'Give a source level = "{found.level}".',
            )


def _sum_faults(indicator: IndicatorSpec, where: str) -> Iterator[Fault]:
    """A formula says the same as the sums beside it, and no sum counts an item twice."""
    if indicator.formula:
        top, bottom = split_formula(indicator.formula)
        if (indicator.numerator, indicator.denominator, indicator.value) != (
            (top, bottom, "") if bottom else ("", "", top)
        ):
            yield Fault(
                what="An indicator is defined twice.",
                where=where,
                found=f"formula = {indicator.formula!r} and {written(indicator)!r}",
                expected="a formula, or numerator and denominator, or value and base",
            )
    other = indicator.by_otherwise
    if other is not None and bool(indicator.numerator) != bool(split_formula(indicator.otherwise)[1]):
        yield Fault(
            what="The two formulas of an indicator are a rate and a value.",
            where=where,
            found=f"otherwise = {indicator.otherwise!r} and {written(indicator)!r}",
            expected="two rates, or two values",
        )
        other = None
    sums = [(one.numerator, one.denominator, one.value, one.base) for one in (indicator, other) if one]
    for part in dict.fromkeys(part for each in sums for part in each):
        counts = Counter(name for _, name in signed_terms(part)) if part else Counter()
        for name in (name for name, times in counts.items() if times > 1):
            yield Fault(what="A sum has an item twice.", where=where, found=f"{name!r} in {part!r}")


def _proxy_faults(indicator: IndicatorSpec, where: str) -> Iterator[Fault]:
    if bool(indicator.proxy_for) != bool(indicator.differs):
        yield Fault(
            what="A proxy says what it stands for and how it differs.",
            where=where,
            found="`proxy_for` alone" if indicator.proxy_for else "`differs` alone",
            expected="`proxy_for` and `differs`",
        )
    if indicator.proxy_for and indicator.criterion:
        yield Fault(
            what="An indicator is a criterion or a proxy for one.",
            where=where,
            found=f"criterion = {indicator.criterion!r}, proxy_for = {indicator.proxy_for!r}",
        )


def _source_faults(source: SourceSpec, where: str) -> Iterator[Fault]:
    """What a source says of its own columns and marks must fit together, and when it was published."""
    if source.published and not source.vintage <= source.published.year <= source.vintage + 1:
        yield Fault(
            what="A source was not published in the year of its vintage.",
            where=where,
            found=f"published = {source.published}, vintage = {source.vintage}",
            expected=f"a day of {source.vintage}, or of {source.vintage + 1} where it was published again",
        )
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
            pattern(reference.label, "code", "city")
        except ValueError as cause:
            yield Fault(
                what="The pattern `label` lacks a group."
                if "(?P<" in str(cause)
                else "`label` is no pattern.",
                where=place,
                found=repr(reference.label),
                expected=str(cause),
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
    names: Iterable[str], known: list[str], kind: str, where: str, offered: Iterable[str] = ()
) -> Iterator[Fault]:
    there = set(known)
    for name in names:
        if name not in there:
            near = closest(name, [*known, *offered])
            yield Fault(what=f"Unknown {kind}.", where=where, found=repr(name), expected=near)
