"""What a report says where its figures are for other areas than the districts of the programme.

In: a study with a table of districts. Out: sentences and a table. Never: a figure of an area passed off as one of
the district that it stands for.
"""

from __future__ import annotations

from ..areas import Dilution
from ..evaluation import Evaluation
from ..study import Study
from ..tables import Column, Table
from ..text import Texts

#: Other districts and areas with less than this share are not named.
NAMED_FROM = 0.05
#: An area that is the district to at least this share holds little else.
_NEARLY_ALL = 0.85


def wave_names(study: Study, at: int, language: str) -> list[str]:
    """What a wave treats: the names of its districts, or of its areas where it names no districts."""
    of = {} if study.districts is None else _by_area(study, at)
    names = []
    for area in study.wave_areas[at]:
        districts = of.get(area, ())
        if study.districts is None or not districts:
            names.append(study.areas.name(area, language))
        else:
            names += [study.districts.name(code, language) for code in districts]
    return names


def treated_name(evaluation: Evaluation, area: str, texts: Texts) -> str:
    """What was treated in an area: its districts of the programme, or the area itself."""
    names = [_district(evaluation.study, one.district, texts) for one in diluted(evaluation, area)]
    return texts.join(names) or evaluation.study.areas.name(area, texts.language)


def diluted(evaluation: Evaluation, area: str | None = None) -> tuple[Dilution, ...]:
    """The districts of the waves that have begun, in the order of entry; or those that one area stands for."""
    study = evaluation.study
    if study.districts is None:
        return ()
    codes = dict.fromkeys(
        code
        for wave, named in zip(study.programme.wave, study.wave_districts, strict=True)
        if wave.first <= evaluation.year
        for code in named
    )
    every = tuple(study.districts.dilution(code) for code in codes)
    return tuple(one for one in every if area is None or one.area == area)


def figures_are_for(evaluation: Evaluation, texts: Texts) -> str:
    """Of which areas the figures are, in a sentence; a title where they are the districts themselves."""
    if not diluted(evaluation):
        return texts("report.dilution.about")
    unit = f"report.dilution.figures.{evaluation.study.areas.unit}"
    return texts(unit if unit in texts else "report.dilution.figures.area")


def dilution_note(evaluation: Evaluation, texts: Texts, area: str | None) -> str:
    """What each district in an area comes to; for the city as a whole, the range and where the table is."""
    study, found = evaluation.study, diluted(evaluation, area)
    if not found or study.districts is None:
        return ""
    parts = [figures_are_for(evaluation, texts)]
    known = [one.share_of_people for one in found if one.share_of_people is not None]
    if area is None and len(found) > 1:
        parts.append(texts("report.dilution.city"))
        if known:
            low, high = (_percent(share, texts) for share in (min(known), max(known)))
            parts.append(texts("report.dilution.city_people", low=low, high=high))
        unknown = [_district(study, one.district, texts) for one in found if one.share_of_people is None]
        if unknown:
            parts.append(texts("report.dilution.city_unknown", districts=texts.join(unknown)))
        parts.append(texts("report.dilution.city_table", heading=texts("report.programme.heading")))
    else:
        parts += [_said(study, one, texts) for one in found]
        if known:
            parts += _not_rates(study, texts)
    return " ".join([*parts, *_basis(study, found, texts)])


def dilution_table(evaluation: Evaluation, texts: Texts) -> list[Table]:
    """One row for each district: the area that stands for it and the shares; nothing for a study of its own areas."""
    study, found = evaluation.study, diluted(evaluation)
    if not found or study.districts is None:
        return []
    rows = tuple(
        (
            _district(study, one.district, texts),
            f"{study.areas.name(one.area, texts.language)} ({one.area})",
            _percent(one.share_of_district, texts),
            _percent(one.share_of_land, texts),
            _percent(one.share_of_people, texts),
            _others(study, one, texts) or (texts("report.dilution.none") if _nearly_all(one) else ""),
            _times(one, texts),
        )
        for one in found
    )
    parts = "population" if all(one.of_people for one in found) else "area"
    columns = (
        Column(label=texts("report.dilution.district")),
        Column(label=texts("report.dilution.area")),
        Column(label=texts(f"report.dilution.part.{parts}"), numeric=True),
        Column(label=texts("report.dilution.whole_area"), numeric=True),
        Column(label=texts("report.dilution.whole_population"), numeric=True),
        Column(label=texts("report.dilution.holds")),
        Column(label=texts("report.dilution.shows"), numeric=True),
    )
    known = any(one.share_of_people is not None for one in found)
    note = [
        *([texts("report.dilution.note")] if known else []),
        *(_not_rates(study, texts) if known else []),
        *([texts("report.dilution.note_land")] if known else []),
        texts("report.dilution.named"),
        *_basis(study, found, texts),
    ]
    return [Table(caption=texts("report.dilution.caption"), columns=columns, rows=rows, note=" ".join(note))]


def _basis(study: Study, found: tuple[Dilution, ...], texts: Texts) -> list[str]:
    """Of which year and source the shares of people are, and what was assumed."""
    said = []
    of = study.districts
    if of is not None and any(one.share_of_people is not None for one in found):
        said.append(texts("report.dilution.by.population", year=of.year, source=of.source))
        said += [texts("report.dilution.spread")] if of.spread else []
        said.append(texts("report.dilution.others_than_all"))
    if any(one.share_of_people is None for one in found):
        said.append(texts("report.dilution.by.area"))
    return said


def _not_rates(study: Study, texts: Texts) -> list[str]:
    """That the factor is for rates, where the study has outcomes that are none."""
    named = [study.indicator(name) for name in study.plan.outcomes]
    named = [one for one in named if not one.numerator]
    labels = texts.join([one.label.text(texts.language) for one in named])
    return [texts("report.dilution.effect_not", outcomes=labels)] if named else []


def _by_area(study: Study, at: int) -> dict[str, tuple[str, ...]]:
    """The districts of a wave by the area that stands for them."""
    found: dict[str, tuple[str, ...]] = {}
    for code in study.wave_districts[at] if study.districts is not None else ():
        area = study.districts.dilution(code).area if study.districts is not None else ""
        found[area] = (*found.get(area, ()), code)
    return found


def _said(study: Study, one: Dilution, texts: Texts) -> str:
    """One district in words and numbers."""
    stands = "report.dilution.stands." + ("population" if one.of_people else "area")
    parts = [
        texts(
            stands,
            district=_district(study, one.district, texts),
            area=study.areas.name(one.area, texts.language),
            code=one.area,
            part=_percent(one.share_of_district, texts),
        )
    ]
    by = "area" if one.share_of_people is None else "population"
    if one.share_of_people is not None:
        parts.append(texts("report.dilution.people", share=_percent(one.share_of_people, texts)))
    others = _others(study, one, texts)
    if others:
        parts.append(texts(f"report.dilution.others.{by}", others=others))
    elif _nearly_all(one):
        parts.append(texts(f"report.dilution.little.{by}"))
    if one.share_of_land is not None:
        parts.append(texts("report.dilution.land", share=_percent(one.share_of_land, texts)))
    elsewhere = [
        f"{_area(study, code, texts)} ({_percent(share, texts)})"
        for code, share in one.elsewhere
        if share >= NAMED_FROM
    ]
    if elsewhere:
        parts.append(texts("report.dilution.elsewhere", elsewhere=texts.join(elsewhere)))
    if one.share_of_people is None:
        parts.append(texts("report.dilution.effect_unknown"))
    else:
        parts.append(texts("report.dilution.effect", times=_times(one, texts)))
        if any(study.indicator(name).unit == "percent" for name in study.plan.outcomes):
            parts.append(texts("report.dilution.effect_percent", times=_times(one, texts)))
    return " ".join(parts)


def _area(study: Study, code: str, texts: Texts) -> str:
    """An area by its name; one that the study does not have, by its code and a word that it is none of the study's."""
    if code in study.areas.units:
        return study.areas.name(code, texts.language)
    return texts("report.dilution.outside", code=code)


def _district(study: Study, code: str, texts: Texts) -> str:
    return study.districts.name(code, texts.language) if study.districts is not None else code


def _others(study: Study, one: Dilution, texts: Texts) -> str:
    """The other districts of an area that are large enough to be named."""
    return texts.join(
        [
            f"{_district(study, code, texts)} ({_percent(share, texts)})"
            for code, share in one.others
            if share >= NAMED_FROM
        ]
    )


def _nearly_all(one: Dilution) -> bool:
    share = one.share_of_land if one.share_of_people is None else one.share_of_people
    return share is not None and share >= _NEARLY_ALL


def _percent(share: float | None, texts: Texts) -> str:
    if share is None:
        return texts("report.dilution.unknown")
    return texts("unit.percent.level", number=texts.number(100 * share))


def _times(one: Dilution, texts: Texts) -> str:
    if one.share_of_people is None:
        return texts("report.dilution.unknown")
    return texts.number(one.share_of_people, 2)
