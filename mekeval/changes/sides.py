"""What is compared: a published set, or an evaluation, as plain facts.

In: a folder with `manifest.json`, `findings.json` and `site.json`, or evaluations. Out: `Side`. Never: a set that
is not whole, or one of another form, taken for a set; a name of a folder of this machine.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from ..display import Shown
from ..errors import Fault, RunError, closest
from ..evaluation import Evaluation
from ..findings import VERDICTS, Finding
from ..indicators.reading import known_at
from ..study import Study, checksum, planned

MANIFEST, FINDINGS, SITE = "manifest.json", "findings.json", "site.json"
#: A set of a hundred areas, outcomes and years has some 100 MB.
_MOST_BYTES = 2**28
_MOST_FAULTS = 20
_FIX = "Make the reports again with `mekeval run`."

_Code = Annotated[str, StringConstraints(min_length=1, max_length=200)]
_Number = Annotated[float, Field(allow_inf_nan=False)] | None
_Words = dict[str, str]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


_P = TypeVar("_P", bound=_Part)


class _Placebo(_Part):
    pre: tuple[int, ...] = ()
    post: tuple[int, ...] = ()
    dropped: dict[str, int] = {}


class Told(_Part):
    """One finding, as far as it is compared: as `findings.json` has it.

    Numbers are in the outcome's unit; None where nothing could be tested.
    """

    year: int
    subject: _Code
    outcome: _Code
    verdict: Literal["improved", "worsened", "no_detectable_effect", "fragile", "not_identifiable"]
    certainty: str = ""
    role: str = "primary"
    because: str = ""
    reason: str = ""
    area: str = ""
    unit: str = ""
    estimate: _Number = None
    low: _Number = None
    high: _Number = None
    p_value: _Number = None
    alpha: _Number = None
    method: str = ""
    n_treated: int | None = None
    n_comparison: int | None = None
    n_sets: int | None = None
    rule_placebo: _Placebo | None = None

    @property
    def hidden(self) -> bool:
        """Whether there is no number because the data have a gap: what another set shows may be what this one hides."""
        return self.estimate is None and self.because == "data"


class _MadeFrom(_Part):
    inputs: dict[str, str] = {}
    code: str = ""
    packages: dict[str, str] = {}


class _Language(_Part):
    language: str


class _Manifest(_Part):
    kind: str = "run"
    study: _Code
    as_of: datetime.date | Literal[""] = ""
    ended: str = ""
    mekeval: str = ""
    definition_sha256: str = ""
    made_from: _MadeFrom = _MadeFrom()
    planned: dict[str, object] | None = None
    reports: tuple[_Language, ...] = ()
    files: dict[str, str] = {}


class _Outcome(_Part):
    name: _Code
    unit: _Code
    label: _Words


class _Area(_Part):
    code: _Code
    name: _Words


class _Site(_Part):
    format: Literal[1]
    languages: tuple[str, ...]
    title: _Words
    city: _Words
    synthetic: bool = False
    outcomes: tuple[_Outcome, ...]
    areas: tuple[_Area, ...]


@dataclass(frozen=True, kw_only=True, repr=False)
class Side(Shown):
    """One of two things that are compared.

    Attributes
    ----------
    name : str
        Of the folder, or of the study.
    study : str
        Name of the study.
    years : tuple of int
        That have findings, in order.
    as_of : datetime.date or None
        Later releases were left out.
    ended : str
        When the set was made (ISO 8601); empty for an evaluation.
    version : str
        Of mekeval; empty for an evaluation.
    code : str
        sha256 of mekeval's own files; empty for an evaluation.
    definition : str
        sha256 of the study's definition.
    packages : mapping of str to str
        Versions; empty for an evaluation.
    inputs : mapping of str to str
        sha256 of the study's files, by "raw:" or "study:" and name.
    planned : mapping or None
        What the plan fixes, by key; None where the set does not say.
    languages : tuple of str
        Of the reports; of the study for an evaluation.
    altered : bool
        Whether `findings.json` is not as the manifest says it was published.
    findings : mapping of (int, str, str) to Told
        By year, subject and outcome.
    title, city : mapping of str to str
        By language.
    outcomes, areas : mapping of str to mapping
        Labels by language.
    units : mapping of str to str
        Of the outcomes.
    synthetic : bool
    """

    name: str
    study: str
    years: tuple[int, ...]
    as_of: datetime.date | None
    ended: str
    version: str
    code: str
    definition: str
    packages: Mapping[str, str]
    inputs: Mapping[str, str]
    planned: Mapping[str, object] | None
    languages: tuple[str, ...]
    altered: bool
    findings: Mapping[tuple[int, str, str], Told]
    title: Mapping[str, str]
    city: Mapping[str, str]
    outcomes: Mapping[str, Mapping[str, str]]
    areas: Mapping[str, Mapping[str, str]]
    units: Mapping[str, str]
    synthetic: bool


def side_of_set(folder: Path) -> Side:
    """Read a published set.

    Raises
    ------
    RunError
        There is no set, it has no findings, its files have another form, or a finding stands twice: all faults.
    """
    if not (folder / MANIFEST).is_file():
        raise RunError(
            "There is no published set here.",
            where=str(folder),
            expected=f"a folder with {MANIFEST}, {FINDINGS} and {SITE}, such as reports/NAME",
        )
    faults: list[Fault] = []
    made = _checked(_Manifest, _content(folder / MANIFEST, faults), folder / MANIFEST, faults)
    if made is not None and made.kind != "run":
        raise RunError(
            "Only sets of reports have findings that can be compared.",
            where=str(folder / MANIFEST),
            found=f"a set of the kind {made.kind!r}",
            expected="a set that `mekeval run` made",
        )
    records = _content(folder / FINDINGS, faults)
    site = _checked(_Site, _content(folder / SITE, faults), folder / SITE, faults)
    listed = _told(records, folder / FINDINGS, faults)
    if faults or made is None or site is None:
        raise RunError.of(faults[:_MOST_FAULTS])
    if not listed:
        raise RunError(
            "The set has no findings.",
            where=str(folder / FINDINGS),
            expected="reports of the city or of districts in it",
            fix=_FIX,
        )
    said = made.files.get(FINDINGS, "")
    return Side(
        name=folder.resolve().name if folder.name in ("", ".", "..") else folder.name,
        study=made.study,
        years=tuple(sorted({year for year, _, _ in listed})),
        as_of=made.as_of or None,
        ended=made.ended,
        version=made.mekeval,
        code=made.made_from.code,
        definition=made.definition_sha256,
        packages=made.made_from.packages,
        inputs=made.made_from.inputs,
        planned=made.planned,
        languages=tuple(dict.fromkeys(one.language for one in made.reports)) or site.languages,
        altered=bool(said) and said != hashlib.sha256((folder / FINDINGS).read_bytes()).hexdigest(),
        findings=listed,
        title=site.title,
        city=site.city,
        outcomes={one.name: one.label for one in site.outcomes},
        areas={one.code: one.name for one in site.areas},
        units={one.name: one.unit for one in site.outcomes},
        synthetic=site.synthetic,
    )


def side_of_evaluation(evaluation: Evaluation) -> Side:
    """The facts of an evaluation."""
    study, spec = evaluation.study, evaluation.study.spec
    languages = tuple(spec.study.languages)
    told = (told_of(evaluation, finding) for finding in evaluation.findings.values())
    return Side(
        name=study.name,
        study=study.name,
        years=(evaluation.year,),
        as_of=evaluation.indicators.as_of,
        ended="",
        version="",
        code="",
        definition=study.sha256,
        packages={},
        inputs=raw_inputs(study, evaluation.indicators.as_of),
        planned=planned(study.folder, spec),
        languages=languages,
        altered=False,
        findings={(one.year, one.subject, one.outcome): one for one in told},
        title={one: spec.study.title.text(one) for one in languages},
        city={one: spec.areas.city.text(one) for one in languages},
        outcomes={one.name: {to: one.label.text(to) for to in languages} for one in spec.indicator},
        areas={code: {to: study.areas.name(code, to) for to in languages} for code in study.areas.units},
        units={one.name: one.unit for one in spec.indicator},
        synthetic=spec.study.synthetic,
    )


def told_of(evaluation: Evaluation, finding: Finding) -> Told:
    """A finding as `findings.json` would have it, numbers with twelve digits."""
    result, study = finding.inference, evaluation.study
    numbers: dict[str, object] = {}
    if result is not None:
        names = ("estimate", "low", "high", "p_value", "alpha")
        numbers = {name: twelve(getattr(result, name)) for name in names}
        numbers |= {name: getattr(result, name) for name in ("method", "n_treated", "n_comparison", "n_sets")}
    if finding.placebo is not None and finding.compared is not None:
        dropped = finding.placebo.dropped
        counts = dropped["n"].groupby(dropped["reason"]).sum()
        numbers["rule_placebo"] = _Placebo(
            pre=finding.compared[0],
            post=finding.compared[1],
            dropped={str(key): int(n) for key, n in counts.items()},
        )
    return Told.model_validate(
        {
            "year": evaluation.year,
            "subject": finding.subject,
            "outcome": finding.outcome,
            "verdict": finding.verdict,
            "certainty": finding.certainty,
            "role": study.plan_state.roles.get(finding.outcome, "exploratory"),
            "because": finding.because,
            "reason": finding.reason,
            "unit": study.indicator(finding.outcome).unit,
            **numbers,
        }
    )


def twelve(value: float | None) -> float | None:
    """A number with twelve digits, as findings are published; None where it is none."""
    return float(f"{value:.12g}") if value is not None and math.isfinite(value) else None


def raw_inputs(study: Study, day: datetime.date | None) -> dict[str, str]:
    """sha256 of the raw files that a study reads as of a day, by "raw:" and name."""
    return {
        f"raw:{source.file}": source.sha256 or checksum(path)
        for path, source in zip(study.paths, study.spec.source, strict=True)
        if known_at(source, day)
    }


def _content(path: Path, faults: list[Fault]) -> object:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError("it is larger than any set")
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        faults.append(
            Fault(what="A file of the set is missing.", where=str(path.parent), expected=path.name, fix=_FIX)
        )
    except (OSError, ValueError, RecursionError) as cause:
        found = " ".join(str(cause).split())[:120]
        faults.append(Fault(what="The file is no JSON.", where=str(path), found=found, fix=_FIX))
    return None


def _checked(kind: type[_P], content: object, path: Path, faults: list[Fault]) -> _P | None:
    if content is None:
        return None
    try:
        return kind.model_validate(content)
    except ValidationError as cause:
        faults += _shape_faults(cause, str(path))
        return None


def _shape_faults(cause: ValidationError, where: str) -> Iterator[Fault]:
    for error in cause.errors(include_url=False)[:_MOST_FAULTS]:
        place = ".".join(map(str, error["loc"]))[:120]
        if place == "format":
            yield Fault(
                what="The set was made by another version of mekeval, in a form that this one does not know.",
                where=where,
                found=f"format {error.get('input')!r}"[:80],
                expected="format 1",
                fix="Make the reports again, or compare with the version that made them.",
            )
            continue
        yield Fault(
            what="The file does not hold what a run writes.",
            where=f"{where}, {place}" if place else where,
            found=error["msg"]
            if error["type"] == "missing"
            else f"{error['msg']}: {error.get('input')!r}"[:200],
            fix=_FIX,
        )


def _told(records: object, path: Path, faults: list[Fault]) -> dict[tuple[int, str, str], Told]:
    if records is None:
        return {}
    if not isinstance(records, list):
        faults.append(
            Fault(
                what="The file does not hold what a run writes.", where=str(path), expected="a list", fix=_FIX
            )
        )
        return {}
    found: dict[tuple[int, str, str], Told] = {}
    for number, record in enumerate(records):
        said = record.get("verdict") if isinstance(record, dict) else None
        if isinstance(said, str) and said not in VERDICTS:
            faults.append(
                Fault(
                    what="There is no such verdict.",
                    where=f"{path}, [{number}]",
                    found=repr(said)[:80],
                    expected=closest(said, VERDICTS),
                )
            )
            continue
        one = _checked(
            Told, record if record is not None else {}, path.with_name(f"{path.name}[{number}]"), faults
        )
        if one is None:
            continue
        key = (one.year, one.subject, one.outcome)
        if key in found:
            faults.append(
                Fault(
                    what="A finding stands twice.",
                    where=str(path),
                    found=f"{one.year} {one.subject} {one.outcome}",
                )
            )
        found[key] = one
    return found
