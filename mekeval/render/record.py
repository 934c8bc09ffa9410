"""What a site is made of: the study's texts, the reports, the findings and the state of the plan, as plain data.

In: a study, or the files of a published set. Out: `SetFacts`, checked as a whole. Never: a guess for what is not there,
a file name that leads out of the folder, or raw data: a site is built from what was published.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Annotated, Literal, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from ..definition import Language
from ..errors import Fault, RunError, closest
from ..study import Study
from ..text import DIGITS, LANGUAGES, Texts

__all__ = ["SITE", "VERDICTS", "SetFacts", "parsed", "read_facts", "site_record"]

SITE = "site.json"
"""The file of a published set that holds the study's texts for its site."""
VERDICTS = ("improved", "worsened", "no_detectable_effect", "fragile", "not_identifiable")
"""The verdict codes, in the order of the legend."""

#: What no text of a page says, so that an older file is told from a broken one.
_FORMAT = 1
_MOST_FAULTS = 20

_Line = Annotated[str, StringConstraints(max_length=2000)]
_Code = Annotated[str, StringConstraints(min_length=1, max_length=100)]
_Words = dict[Language, _Line]
_Number = Annotated[float, Field(allow_inf_nan=False)]
#: A file of the folder, or of one of its years: nothing that leads elsewhere or that an address would read otherwise.
_Name = Annotated[
    str,
    StringConstraints(pattern=r"^([0-9]{1,4}/)?[^./\\\x00-\x20:?#%&\"'<>][^/\\\x00-\x20:?#%&\"'<>]{0,200}$"),
]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class OutcomeFacts(_Part):
    """An outcome: its unit, the decimals of its amounts, its name by language."""

    name: _Code
    unit: _Code
    decimals: Annotated[int, Field(ge=0, le=9)]
    label: _Words


class AreaFacts(_Part):
    """An area: its name by language and its place on the tile map, None where it has none."""

    code: _Code
    name: _Words
    row: Annotated[int, Field(ge=0, le=1000)] | None
    col: Annotated[int, Field(ge=0, le=1000)] | None


class StudyFacts(_Part):
    """The texts of a study, as `site_record` writes them."""

    format: Literal[1]
    study: _Code
    synthetic: bool
    hypothetical: bool
    languages: Annotated[tuple[Language, ...], Field(min_length=1)]
    title: _Words
    city: _Words
    attribution: _Words
    outcomes: tuple[OutcomeFacts, ...]
    areas: tuple[AreaFacts, ...]
    order: tuple[_Code, ...]


class Report(_Part):
    """One report of a set: of the city, of a district, on what changed, or (without a year) on the quality of the data.

    `made` is the second (UTC) since which it has been as it is, empty where it is not known.
    """

    name: _Name
    kind: Literal["city", "district", "changes", "quality"]
    year: Annotated[int, Field(ge=0, le=9999)]
    subject: _Code
    area: _Line
    language: Language
    failed: bool
    stale: bool
    made: str = ""


class Found(_Part):
    """One finding, as far as a site shows it."""

    year: Annotated[int, Field(ge=1, le=9999)]
    subject: _Code
    outcome: _Code
    verdict: str
    role: Literal["primary", "secondary", "exploratory"] = "primary"
    estimate: _Number | None = None
    low: _Number | None = None
    high: _Number | None = None
    alpha: Annotated[float, Field(gt=0, lt=1)] | None = None


class Departure(_Part):
    """A place in which the study differs from its locked plan; no reason is None."""

    key: _Line
    reason: dict[str, str | None] | None = None


class PlanFacts(_Part):
    """Whether the study keeps to its locked plan."""

    state: Literal["unlocked", "kept", "explained", "changed"]
    date: datetime.date | Literal[""] = ""
    deviations: tuple[Departure, ...] = ()


class _Manifest(_Part):
    study: _Code
    as_of: datetime.date | Literal[""] = ""
    ended: AwareDatetime
    plan: PlanFacts | None = None
    reports: tuple[Report, ...]
    quality: tuple[Report, ...] = ()


class _Listed(_Part):
    found: tuple[Found, ...]


_P = TypeVar("_P", bound=_Part)


@dataclass(frozen=True, kw_only=True)
class SetFacts:
    """Everything that the site of one published set shows.

    Attributes
    ----------
    study : StudyFacts
    reports : tuple of Report
    found : tuple of Found
    plan : PlanFacts or None
        None where the set does not say.
    as_of : datetime.date or None
        The day that the set is as of, where later releases were left out.
    ended : datetime.datetime
        When the set was made.
    files : frozenset of str
        Names of the files in the set, with forward slashes.
    """

    study: StudyFacts
    reports: tuple[Report, ...]
    found: tuple[Found, ...]
    plan: PlanFacts | None
    as_of: datetime.date | None
    ended: datetime.datetime
    files: frozenset[str]


def site_record(study: Study) -> dict[str, object]:
    """The texts of a study that its site needs, as plain data for `SITE`: no statistic is among them.

    Parameters
    ----------
    study : Study

    Returns
    -------
    dict
        The same for the same study.
    """
    spec, areas = study.spec, study.areas
    languages = list(spec.study.languages)

    def whole(value: object) -> int | None:
        return int(str(value)) if str(value).isdigit() else None

    return {
        "format": _FORMAT,
        "study": study.name,
        "synthetic": spec.study.synthetic,
        "hypothetical": study.programme.hypothetical,
        "languages": languages,
        "title": {language: spec.study.title.text(language) for language in languages},
        "city": {language: spec.areas.city.text(language) for language in languages},
        "attribution": {language: spec.study.attribution.text(language) for language in languages},
        "outcomes": [
            {
                "name": one.name,
                "unit": one.unit,
                "decimals": DIGITS[one.unit],
                "label": {language: one.label.text(language) for language in languages},
            }
            for one in spec.indicator
        ],
        "areas": [
            {
                "code": code,
                "name": {language: areas.name(code, language) for language in languages},
                "row": whole(areas.table.loc[code, "tile_row"]),
                "col": whole(areas.table.loc[code, "tile_col"]),
            }
            for code in areas.units
        ],
        "order": list(study.treated),
    }


def read_facts(
    record: object, manifest: object, findings: object, *, files: Collection[str], where: str
) -> SetFacts:
    """Check the three files of a published set, and join them.

    Parameters
    ----------
    record, manifest, findings : object
        The contents of `SITE`, ``manifest.json`` and ``findings.json``.
    files : collection of str
        Names of the files in the set, with forward slashes.
    where : str
        The folder, for messages.

    Returns
    -------
    SetFacts

    Raises
    ------
    RunError
        A file does not hold what a run writes, a verdict or a unit is unknown, or a report is not there: all faults.
    """
    faults: list[Fault] = []
    study = _checked(StudyFacts, record, f"{where}/{SITE}", faults)
    made = _checked(_Manifest, manifest, f"{where}/manifest.json", faults)
    listed = _checked(_Listed, {"found": findings}, f"{where}/findings.json", faults)
    if study is None or made is None or listed is None:
        raise RunError.of(faults)
    found = listed.found
    faults = [*_study_faults(study, where), *_report_faults(made, files, where), *_found_faults(found, where)]
    if faults:
        raise RunError.of(faults)
    return SetFacts(
        study=study,
        reports=(*made.reports, *made.quality),
        found=found,
        plan=made.plan,
        as_of=made.as_of or None,
        ended=made.ended,
        files=frozenset(files),
    )


def _checked(kind: type[_P], content: object, where: str, faults: list[Fault]) -> _P | None:
    """A file by its schema; None where it breaks it, and why."""
    try:
        return kind.model_validate(content)
    except ValidationError as cause:
        faults += _shape_faults(cause, where)
        return None


def _shape_faults(cause: ValidationError, where: str) -> Iterator[Fault]:
    errors = cause.errors(include_url=False)
    for error in errors[:_MOST_FAULTS]:
        place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error["loc"])
        yield Fault(
            what="The file does not hold what a run writes.",
            where=f"{where}{', ' if place else ''}{place.lstrip('.')[:120]}",
            found=f"{error['msg']}: {error.get('input')!r}"[:200],
            fix="Make the reports again with `mekeval run`.",
        )


def _study_faults(study: StudyFacts, where: str) -> Iterator[Fault]:
    known = Texts(LANGUAGES[0])
    for one in study.outcomes:
        if f"unit.{one.unit}.short" not in known:
            yield Fault(
                what="There is no such unit.",
                where=f"{where}/{SITE}, {one.name}",
                found=repr(one.unit),
            )
    texts = [
        ("title", study.title),
        ("city", study.city),
        *((f"outcome {one.name}", one.label) for one in study.outcomes),
    ]
    texts += [(f"area {one.code}", one.name) for one in study.areas]
    for name, words in texts:
        lacking = [language for language in study.languages if not words.get(language, "").strip()]
        if lacking:
            yield Fault(
                what="A text of the study is missing in a language.",
                where=f"{where}/{SITE}, {name}",
                found=f"nothing in {', '.join(lacking)}",
            )


def _report_faults(manifest: _Manifest, files: Collection[str], where: str) -> Iterator[Fault]:
    seen: set[str] = set()
    for report in (*manifest.reports, *manifest.quality):
        if report.name in seen:
            yield Fault(what="A report stands twice.", where=f"{where}/manifest.json", found=report.name)
        seen.add(report.name)
        wanted = f"{report.name}.error.html" if report.failed else f"{report.name}.html"
        lacking = [wanted] if wanted not in files else []
        if report.failed and report.stale and f"{report.name}.html" not in files:
            lacking.append(f"{report.name}.html")
        for name in lacking:
            yield Fault(
                what="A report of the set is not there.",
                where=f"{where}/{name}",
                expected="the file that manifest.json names",
                fix="Bring it back, or make it again with `mekeval run`.",
            )


def _found_faults(found: tuple[Found, ...], where: str) -> Iterator[Fault]:
    seen: set[tuple[int, str, str]] = set()
    for one in found:
        place = f"{where}/findings.json, {one.subject} {one.year}, {one.outcome}"
        if one.verdict not in VERDICTS:
            yield Fault(
                what="There is no such verdict.",
                where=place,
                found=repr(one.verdict)[:120],
                expected=closest(one.verdict, VERDICTS),
            )
        key = (one.year, one.subject, one.outcome)
        if key in seen:
            yield Fault(what="A finding stands twice.", where=place)
        seen.add(key)


def parsed(text: str, where: str) -> object:
    """The content of a JSON file; one that is none is an error that names the place."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as cause:
        raise RunError(
            "The file is no JSON.",
            where=where,
            found=str(cause)[:120],
            fix="Make the reports again with `mekeval run`.",
        ) from None
