"""The areas that the waves of a programme name, and the areas that stand for its districts.

In: the names in `study.toml`. Out: codes, wave by wave. Never: a name that is taken for another.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ..areas import Areas, Districts, read_districts
from ..errors import Fault, MekevalError, StudyError, closest
from .files import inside, refuse_no_list
from .schema import StudySpec

_Codes = tuple[str, ...]


def study_districts(
    spec: StudySpec, folder: Path, where: str, faults: list[Fault]
) -> tuple[Districts | None, bytes]:
    """How districts lie in the areas of the data, and the bytes of the table, where the study has one."""
    if not spec.areas.crosswalk:
        return None, b""
    path = inside(folder, spec.areas.crosswalk)
    if path is None:
        what = "areas.crosswalk leaves the study folder."
        faults.append(Fault(what=what, where=where, found=spec.areas.crosswalk))
        return None, b""
    try:
        refuse_no_list(path)
        return read_districts(path), path.read_bytes()
    except MekevalError as error:
        faults += error.faults
        return None, b""


def treated_areas(
    spec: StudySpec, areas: Areas, districts: Districts | None, where: str, faults: list[Fault]
) -> tuple[tuple[_Codes, ...], tuple[_Codes, ...], _Codes]:
    """Codes of the areas of each wave, of the districts that it names, and of the areas added by discretion.

    Every area or district may be named once by a wave; two districts may have one area that stands for both.
    """
    waves, named = [], []
    for wave in spec.waves:
        place = f"{where}, programme.wave {wave.name!r}, areas"
        found = _resolved(areas, districts, wave.areas, place, faults)
        meant = [district or area for area, district in found]
        faults += [
            Fault(
                what="A wave names an area twice.",
                where=place,
                found=called(areas, districts, code),
            )
            for code in dict.fromkeys(meant)
            if meant.count(code) > 1
        ]
        waves.append(tuple(dict.fromkeys(area for area, _ in found)))
        named.append(tuple(dict.fromkeys(district for _, district in found if district)))
    rule = spec.rule
    if rule and rule.choose > len(areas.units):
        faults.append(
            Fault(
                what="The rule chooses more areas than there are.",
                where=f"{where}, programme.rule.choose",
                found=str(rule.choose),
                expected=f"at most {len(areas.units)}",
            )
        )
    place = f"{where}, programme.rule.discretionary"
    added = _resolved(areas, districts, rule.discretionary if rule else (), place, faults)
    treated = {code for codes in waves for code in codes}
    faults += [
        Fault(
            what="An area was added by discretion to no wave.",
            where=place,
            found=called(areas, districts, district or area),
        )
        for area, district in added
        if area not in treated
    ]
    return tuple(waves), tuple(named), tuple(dict.fromkeys(area for area, _ in added))


def called(areas: Areas, districts: Districts | None, code: str) -> str:
    """The Finnish name of a district or an area."""
    if districts is not None and code in districts.codes:
        return districts.name(code, "fi")
    return areas.name(code, "fi")


def resolve(areas: Areas, districts: Districts | None, name: str) -> tuple[str, str]:
    """The area that a name means, and the district that it stands for ("" where the name is that of an area).

    Raises
    ------
    StudyError
        The name is that of no district and no area; the area of a district is not listed.
    """
    if districts is None:
        return areas.resolve(name), ""
    district = districts.find(name)
    if district is None:
        try:
            return areas.resolve(name), ""
        except StudyError as error:
            known = [
                *(districts.name(code, "fi") for code in districts.codes),
                *(areas.name(code, "fi") for code in areas.units),
            ]
            if error.faults[0].expected.startswith("one of the codes"):
                raise
            raise StudyError(
                f"The study has no district and no {areas.unit} of this name.",
                found=repr(name),
                expected=closest(name, known),
            ) from None
    area = districts.dilution(district).area
    if area not in areas.units:
        raise StudyError(
            "The area that holds most of a district is not among the areas of the study.",
            found=f"{area} for {districts.name(district, 'fi')}",
            expected=closest(area, areas.units),
            fix="Add the area to areas.csv, or correct the table of districts.",
        )
    return area, district


def _resolved(
    areas: Areas, districts: Districts | None, names: _Codes, where: str, faults: list[Fault]
) -> list[tuple[str, str]]:
    found = []
    for name in names:
        try:
            found.append(resolve(areas, districts, name))
        except MekevalError as error:
            faults.append(replace(error.faults[0], where=where))
    return found
