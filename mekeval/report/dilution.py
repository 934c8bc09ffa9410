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


def dilution_note(evaluation: Evaluation, texts: Texts, area: str | None) -> str:
    """What each district in an area comes to; for the city as a whole, the range and where the table is."""
    study, found = evaluation.study, diluted(evaluation, area)
    if not found or study.districts is None:
        return ""
    unit = f"report.dilution.figures.{study.areas.unit}"
    parts = [texts(unit if unit in texts else "report.dilution.figures.area")]
    shares = [one.share_of_area for one in found]
    if area is None and len(found) > 1:
        heading = texts("report.programme.heading")
        low, high = (_percent(share, texts) for share in (min(shares), max(shares)))
        parts.append(texts("report.dilution.city", low=low, high=high, heading=heading))
    else:
        parts += [_said(study, one, texts) for one in found]
    return " ".join([*parts, texts(f"report.dilution.by.{study.districts.by}")])


def dilution_table(evaluation: Evaluation, texts: Texts) -> list[Table]:
    """One row for each district: the area that stands for it and the shares; nothing for a study of its own areas."""
    study = evaluation.study
    rows = []
    for one in diluted(evaluation) if study.districts is not None else ():
        rows.append(
            (
                _district(study, one.district, texts),
                f"{study.areas.name(one.area, texts.language)} ({one.area})",
                _percent(one.share_of_district, texts),
                _percent(one.share_of_area, texts),
                _others(study, one, texts)
                or (texts("report.dilution.none") if one.share_of_area >= _NEARLY_ALL else ""),
                _times(one, texts),
            )
        )
    if not rows or study.districts is None:
        return []
    columns = (
        Column(label=texts("report.dilution.district")),
        Column(label=texts("report.dilution.area")),
        Column(label=texts("report.dilution.part"), numeric=True),
        Column(label=texts("report.dilution.whole"), numeric=True),
        Column(label=texts("report.dilution.holds")),
        Column(label=texts("report.dilution.shows"), numeric=True),
    )
    return [
        Table(
            caption=texts("report.dilution.caption"),
            columns=columns,
            rows=tuple(rows),
            note=f"{texts('report.dilution.note')} {texts(f'report.dilution.by.{study.districts.by}')}",
        )
    ]


def _by_area(study: Study, at: int) -> dict[str, tuple[str, ...]]:
    """The districts of a wave by the area that stands for them."""
    found: dict[str, tuple[str, ...]] = {}
    for code in study.wave_districts[at] if study.districts is not None else ():
        area = study.districts.dilution(code).area if study.districts is not None else ""
        found[area] = (*found.get(area, ()), code)
    return found


def _said(study: Study, one: Dilution, texts: Texts) -> str:
    """One district in words and numbers."""
    parts = [
        texts(
            "report.dilution.stands",
            district=_district(study, one.district, texts),
            area=study.areas.name(one.area, texts.language),
            code=one.area,
            part=_percent(one.share_of_district, texts),
            whole=_percent(one.share_of_area, texts),
        )
    ]
    others = _others(study, one, texts)
    if others:
        parts.append(texts("report.dilution.others", others=others))
    elif one.share_of_area >= _NEARLY_ALL:
        parts.append(texts("report.dilution.little"))
    elsewhere = [
        f"{study.areas.name(code, texts.language) if code in study.areas.units else code} ({_percent(share, texts)})"
        for code, share in one.elsewhere
        if share >= NAMED_FROM
    ]
    if elsewhere:
        parts.append(texts("report.dilution.elsewhere", elsewhere=texts.join(elsewhere)))
    return " ".join([*parts, texts("report.dilution.effect", times=_times(one, texts))])


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


def _percent(share: float, texts: Texts) -> str:
    return texts("unit.percent.level", number=texts.number(100 * share))


def _times(one: Dilution, texts: Texts) -> str:
    return texts.number(one.share_of_area, 2)
