"""What was done and what it cost, in the words of a report.

In: an evaluation. Out: lists and a table. Never: a cost where `mekeval.costs` gives none, or money without a word on
how it is known.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence

from ..costs import Cost, costs_beside_effects
from ..evaluation import Evaluation
from ..findings import Finding
from ..study import Event, Measure, Study, Wave, place_names
from ..tables import Column, Table
from ..text import NO_BREAK, Texts, ranges
from .dilution import treated_name
from .parts import Part, heading, paragraph
from .planned import outcome_label
from .sentences import amount

_DIGITS = 2


def cost_part(evaluation: Evaluation, findings: Sequence[Finding], texts: Texts) -> list[Part]:
    """Money beside the effect of each finding, with what it leaves out; nothing where no money is on record."""
    costs = costs_beside_effects(evaluation, [(one.outcome, one.subject) for one in findings])
    if not any(cost.eur is not None for cost in costs):
        return []
    codes = dict.fromkeys(area for cost in costs for area in cost.areas)
    names = texts.join([treated_name(evaluation, code, texts) for code in codes])
    level = texts.short(100 * (1 - evaluation.study.plan.alpha))
    columns = (
        Column(label=texts("costs.outcome")),
        Column(label=texts("costs.eur")),
        Column(label=texts("costs.each"), numeric=True),
        Column(label=texts("costs.effect", level=level), numeric=True),
        Column(label=texts("costs.cost")),
    )
    rows = tuple(_row(evaluation, cost, texts) for cost in costs)
    table = Table(
        caption=texts("costs.caption"),
        columns=columns,
        rows=rows,
        note=" ".join(_note(evaluation, costs, texts)),
    )
    limits = [texts("costs.whole"), texts("costs.not_counted")]
    if any("first_years" in cost.not_counted for cost in costs):
        limits.append(texts("costs.first_years"))
    return [
        heading(texts("costs.heading"), 3),
        paragraph(texts("costs.intro", areas=names)),
        table,
        paragraph(" ".join(limits)),
    ]


def measures_part(evaluation: Evaluation, texts: Texts, area: str | None = None) -> list[Part]:
    """The measures of the waves so far, by theme, and what happened beside the programme.

    Not those that begin after the year of the report. Of a district those of the waves that it was in, without what was
    done in other areas only.
    """
    study = evaluation.study
    parts: list[Part] = []
    for wave, codes in zip(study.programme.wave, study.wave_areas, strict=True):
        own = [
            one
            for one in study.measures
            if one.wave == wave.name and _concerns(study, one, area) and _begun(one, evaluation.year)
        ]
        if own and wave.first <= evaluation.year and (area is None or area in codes):
            parts += _wave(study, wave, own, texts)
    if parts:
        parts = [heading(texts("measures.heading"), 3), paragraph(texts("measures.intro")), *parts]
    events = [one for one in study.programme.event if one.date.year <= evaluation.year]
    if events:
        said = "".join(f"<li>{html.escape(_event(study, one, texts))}</li>" for one in events)
        parts += [
            heading(texts("measures.events"), 3),
            paragraph(texts("measures.events_intro")),
            f"<ul>{said}</ul>",
        ]
    return parts


def _row(evaluation: Evaluation, cost: Cost, texts: Texts) -> tuple[str, ...]:
    label = outcome_label(evaluation.study, cost.outcome, texts)
    money = each = change = ""
    if cost.eur is not None:
        money = texts("costs.eur_of", eur=_eur(cost.eur, texts, digits=3), years=ranges(cost.years))
    if cost.eur_per_inhabitant is not None:
        each = _eur(cost.eur_per_inhabitant, texts, digits=3)
    if cost.effect is not None:
        change = _people(cost.effect, texts)
        if cost.effect_low is not None and cost.effect_high is not None:
            low, high = _people(cost.effect_low, texts), _people(cost.effect_high, texts)
            change = texts("costs.interval", estimate=change, low=low, high=high)
    return label, money, each, change, _said(evaluation, cost, texts)


def _said(evaluation: Evaluation, cost: Cost, texts: Texts) -> str:
    """The cost of a unit, or why there is none and what can be said instead."""
    given = (cost.eur_per_unit, cost.eur_per_unit_low, cost.eur_per_unit_high)
    unit, low, high = (None if one is None else _eur(one, texts) for one in given)
    if unit is not None and low is not None and high is not None:
        said = texts("costs.said.given", cost=unit, low=low, high=high)
        said += "" if cost.break_even is None else "."
    elif cost.least_eur_per_unit is not None:
        said = texts("costs.said.least", least=_eur(cost.least_eur_per_unit, texts, down=True))
    else:
        why = cost.reasons["eur_per_unit"]
        if cost.verdict == "no_detectable_effect" and why == cost.verdict:
            why = cost.reasons["least_eur_per_unit"]
        said = texts(f"costs.said.{why}")
    if cost.break_even is None or cost.worth is None:
        return said
    change = amount(
        texts, cost.break_even, evaluation.study.indicator(cost.outcome).unit, sign=True, extra_digits=1
    )
    even = texts(
        f"costs.even.{cost.break_even_is or 'open'}", worth=_eur(cost.worth, texts, digits=6), change=change
    )
    return f"{said} {even}"


def _note(evaluation: Evaluation, costs: Sequence[Cost], texts: Texts) -> list[str]:
    """How the money is known, and what was taken for known."""
    bases = {basis for cost in costs for basis in cost.basis}
    named = bases & {"measures", "measures_and_split"}
    split = bases & {"split_by_population", "measures_and_split"}
    note = []
    if split:
        note.append(texts("costs.basis.some" if named else "costs.basis.split"))
    elif named:
        note.append(texts("costs.basis.measures"))
    if "measures_only" in bases:
        note.append(texts("costs.basis.only"))
    if evaluation.study.districts is not None:
        note.append(texts("costs.stands"))
    note += [texts("costs.population"), texts("costs.exact")]
    assumed = {year for cost in costs for year in cost.assumed_years}
    if assumed:
        note.append(texts("costs.assumed", years=ranges(assumed)))
    if any(cost.effect is not None and len(cost.areas) > 1 for cost in costs):
        note.append(texts("costs.alike"))
    for cost in costs:
        worth = evaluation.study.programme.worth.get(cost.outcome)
        if worth is not None and cost.break_even is not None:
            label = evaluation.study.indicator(cost.outcome).label.text(texts.language)
            source = worth.source.text(texts.language)
            eur = _eur(worth.eur, texts, digits=6)
            note.append(texts("costs.worth", outcome=label, eur=eur, source=source))
    return note


def _eur(value: float, texts: Texts, *, digits: int = _DIGITS, down: bool = False) -> str:
    """A sum of money with as many digits as it can carry; rounded down where it is said to be the least."""
    return amount(texts, _rounded(value, digits, down=down), "eur", form="level")


def _rounded(value: float, digits: int, *, down: bool) -> float:
    if not value:
        return value
    places = digits - 1 - math.floor(math.log10(abs(value)))
    near = round(value, places)
    return round(near - 10.0**-places, places) if down and near > value else near


def _people(value: float, texts: Texts) -> str:
    """Person-years, in tens from a hundred on."""
    return texts.number(round(value, -1) if abs(value) >= 100 else round(value), sign=True)


def _concerns(study: Study, measure: Measure, area: str | None) -> bool:
    """Whether a measure may have reached an area: it names the area or one around it, or no area that is known."""
    if area is None or not measure.areas:
        return True
    return bool({area, *study.areas.ancestors(area)} & set(measure.areas))


def _begun(measure: Measure, year: int) -> bool:
    """Whether a measure is not known to begin later."""
    return measure.start is None or measure.start.year <= year


def _wave(study: Study, wave: Wave, measures: Sequence[Measure], texts: Texts) -> list[Part]:
    """The measures of a wave: those without a theme one by one, the others by theme."""
    by_name: dict[tuple[str, str], list[Measure]] = {}
    for one in measures:
        theme = one.theme.text(texts.language) if one.theme else ""
        by_name.setdefault((theme, one.name.text(texts.language)), []).append(one)
    items, themes = [], dict.fromkeys(theme for theme, _ in by_name)
    for theme in themes:
        said = [_named(study, wave, name, some, texts) for (of, name), some in by_name.items() if of == theme]
        if not theme:
            items += said
        elif said == [theme]:
            items.append(theme)
        else:
            items.append(texts("measures.part", theme=theme, measures="; ".join(said)))
    counts = {"themes": sum(map(bool, themes)), "measures": sum(not theme for theme, _ in by_name)}
    counted = [
        texts(f"measures.{of}_one" if n == 1 else f"measures.{of}", n=n) for of, n in counts.items() if n
    ]
    title = texts("measures.wave", wave=wave.name, said=texts.join(counted))
    listed = "".join(f"<li>{html.escape(item)}</li>" for item in items)
    sources = dict.fromkeys(one.source for one in measures)
    source = texts("measures.source" if len(sources) == 1 else "measures.sources", source="; ".join(sources))
    note = " ".join([*_not_split(study, wave, texts), source])
    return [heading(title, 4), f'<ul class="measures">{listed}</ul>', paragraph(note, css="note")]


def _named(study: Study, wave: Wave, name: str, measures: Sequence[Measure], texts: Texts) -> str:
    """A measure with its places and its money, and its years where they are not those of the wave."""
    places = dict.fromkeys(
        place for one in measures for place in place_names(one, study.areas, study.districts, texts.language)
    )
    details = [texts.join(list(places))] if places else []
    if any(one.city_wide for one in measures):
        details.append(texts("measures.city"))
    known = [one.eur for one in measures if one.eur is not None]
    years = sorted({year for one in measures for year in one.eur_by_year})
    if known and len(known) == len(measures):
        eur = amount(texts, sum(known), "eur", form="level")
        details.append(texts("measures.eur", eur=eur, years=ranges(years)))
        return texts("measures.placed", name=name, details="; ".join(details))
    # Years are said where they hold for each of its places.
    spans = {
        (None if one.start is None else one.start.year, None if one.end is None else one.end.year)
        for one in measures
    }
    first, last = next(iter(spans)) if len(spans) == 1 else (None, None)
    if first is not None and last is not None:
        details += [ranges(range(first, last + 1))] if (first, last) != (wave.first, wave.last) else []
    elif first is not None and first > wave.first:
        details.append(texts("measures.from", year=first))
    return texts("measures.placed", name=name, details="; ".join(details)) if details else name


def _not_split(study: Study, wave: Wave, texts: Texts) -> Iterable[str]:
    """How much of a wave's money is on record by measure."""
    if wave.eur_per_year is None:
        return
    known = sum(one.eur for one in study.measures if one.wave == wave.name and one.eur is not None)
    if known:
        total = wave.eur_per_year * (wave.last - wave.first + 1)
        sums = {
            "total": amount(texts, total, "eur", form="level"),
            "eur": amount(texts, known, "eur", form="level"),
        }
        yield texts("measures.partly_split", **sums)
    else:
        yield texts("measures.not_split", eur=amount(texts, wave.eur_per_year, "eur", form="level"))


def _event(study: Study, event: Event, texts: Texts) -> str:
    outcomes = [study.indicator(name).label.text(texts.language) for name in event.outcomes]
    return texts(
        "measures.event",
        date=texts.date(event.date).replace(" ", NO_BREAK),
        name=event.name.text(texts.language),
        outcomes="; ".join(outcomes) or texts("measures.event_any"),
        source=event.source.text(texts.language),
    )
