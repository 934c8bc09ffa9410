"""The areas of other cities, in which the programme's rule is applied although nothing was done there.

In: a study with a table `[reference]`. Out: `ReferenceAreas`: their indicators, and the city of each. Never: an area of
the study's own city among them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from .areas import Areas, areas_from_rows, fold
from .dates import AsOf, as_date
from .display import Shown
from .errors import StudyError
from .indicators import Indicators, clean_indicators
from .sources import read_source
from .study import Study


@dataclass(frozen=True, kw_only=True, repr=False)
class ReferenceAreas(Shown):
    """What is known of the areas of reference cities.

    Attributes
    ----------
    indicators : Indicators
        As of the study's own areas, from the sources whose scope is "reference" or "both".
    city_of : mapping of str to str
        The city of each area, in the order of the areas' codes; excluded cities are not in it.
    excluded : tuple of (str, int)
        Cities that are no reference, by the study's word, and how many areas they have.
    """

    indicators: Indicators
    city_of: Mapping[str, str]
    excluded: tuple[tuple[str, int], ...]


def reference_areas(study: Study, *, as_of: AsOf = None) -> ReferenceAreas | None:
    """Read the indicators of a study's reference cities.

    Parameters
    ----------
    study : Study
    as_of : date, int or str, optional
        As in `clean_indicators`.

    Returns
    -------
    ReferenceAreas or None
        None where the study has no table `[reference]`.

    Raises
    ------
    DataError
        As in `clean_indicators`.
    StudyError
        A city that is excluded is not there (an exclusion that is not needed hides an error); no area is left; the
        pattern `label` fits no label of `areas_from`.

    Examples
    --------
    >>> from mekeval import example_study, read_study
    >>> references = reference_areas(read_study(example_study()))
    >>> len(set(references.city_of.values()))
    24
    """
    spec = study.spec.reference
    if spec is None:
        return None
    areas, cities = _listed(study, study.reference_areas) if study.reference_areas else _found(study)
    own = {fold(name) for name in study.spec.areas.city.model_dump().values() if name}
    codes = set(study.areas.table.index)
    overlap = sorted(
        unit
        for unit, city in cities.items()
        if study.reference_areas and (unit in codes or fold(city) in own)
    )
    if overlap:
        raise StudyError(
            "A reference area lies in the study's own city.",
            where=spec.areas,
            found=", ".join(f"{unit} ({cities[unit]})" for unit in overlap[:6]),
            fix="Take it out of the list.",
        )
    cities = {unit: city for unit, city in cities.items() if unit not in codes and fold(city) not in own}
    excluded = []
    for exclusion in spec.exclude:
        members = [unit for unit, city in cities.items() if fold(city) == fold(exclusion.city)]
        if not members:
            raise StudyError(
                "An excluded city is not among the reference cities.",
                where="study.toml, reference.exclude",
                found=repr(exclusion.city),
                fix="Correct its name, or take the exclusion out.",
            )
        excluded.append((exclusion.city, len(members)))
    left = {fold(exclusion.city) for exclusion in spec.exclude}
    cities = {unit: cities[unit] for unit in sorted(cities) if fold(cities[unit]) not in left}
    if not cities:
        raise StudyError("No area of another city is left.", where="study.toml, reference")
    kept = areas.table.loc[areas.table.index.isin(list(cities))]
    chosen = [
        (source, path)
        for source, path in zip(study.spec.source, study.paths, strict=True)
        if source.scope != "city"
    ]
    view = replace(
        study,
        areas=Areas(table=kept, unit=areas.unit),
        spec=study.spec.model_copy(
            update={
                "source": tuple(
                    source.model_copy(update={"other_areas": "drop", "scope": "city"}) for source, _ in chosen
                )
            }
        ),
        paths=tuple(path for _, path in chosen),
    )
    return ReferenceAreas(
        indicators=clean_indicators(view, as_of=as_date(as_of), published=False),
        city_of=cities,
        excluded=tuple(excluded),
    )


def _listed(study: Study, areas: Areas) -> tuple[Areas, dict[str, str]]:
    """Areas and their cities from a list whose rows name their parent."""
    names = {str(code): str(name) for code, name in areas.table["name_fi"].items()}
    parents = {unit: str(areas.table.loc[unit, "parent"]) for unit in areas.units}
    lost = [unit for unit, parent in parents.items() if parent not in names]
    used = [names[code] for code in dict.fromkeys(parents.values()) if code in names]
    twice = sorted({fold(name) for name in used if [fold(one) for one in used].count(fold(name)) > 1})
    if twice:
        raise StudyError(
            "Two reference cities have one name.",
            where=study.spec.reference.areas if study.spec.reference else "",
            found=", ".join(twice),
            fix="Give them names that differ.",
        )
    if lost:
        raise StudyError(
            "A reference area has no city.",
            where=f"{study.spec.reference.areas if study.spec.reference else ''}, {lost[0]}",
            found=repr(parents[lost[0]]),
            expected="the code of a row of the list, in the column parent",
        )
    return areas, {unit: names[parent] for unit, parent in parents.items()}


def _found(study: Study) -> tuple[Areas, dict[str, str]]:
    """Areas and their cities from the area labels of a source."""
    spec = study.spec.reference
    if spec is None:
        raise StudyError("The study has no reference cities.", where="study.toml")
    at = [source.file for source in study.spec.source].index(spec.areas_from)
    source = study.spec.source[at]
    raw = read_source(study.paths[at], source, study.spec.labels(source))
    pattern = re.compile(spec.label)
    rows, cities = [], {}
    for label in raw.cells["area_label"].unique():
        match = pattern.match(str(label))
        if match and match["code"] and match["code"] not in cities:
            if not (match["city"] or "").strip():
                raise StudyError(
                    "A label names no city.",
                    where=f"study.toml, reference.label; {spec.areas_from}",
                    found=repr(str(label)),
                    expected=f"a label like {spec.label!r} with something in its group `city`",
                )
            cities[match["code"]] = match["city"].strip()
            rows.append({"code": match["code"], "level": study.areas.unit, "name_fi": str(label).strip()})
    if not rows:
        raise StudyError(
            "The pattern fits no label.",
            where=f"study.toml, reference.label; {spec.areas_from}",
            found=repr(str(raw.cells["area_label"].iloc[0])),
            expected=f"a label like {spec.label!r}",
        )
    return areas_from_rows(rows, unit=study.areas.unit, where=spec.areas_from), cities
