"""The matrix of a run: year by year the city and its districts, and the report on the data; each in each language.

In: a study and what was asked. Out: jobs, all of which can be made, or all reasons why one cannot. Never: a parameter
that no notebook has, a value outside its list, or a report of the default district under another name.

Which jobs there are stands here; what a job of a kind is, in `kinds`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

from ..changes import require_earlier_year
from ..dates import AsOf
from ..design import study_design
from ..errors import DesignError, Fault, MekevalError, RunError, StudyError, closest
from ..evaluation import ALL, refuse_year
from ..evaluation.elsewhere import look_elsewhere
from ..indicators import Indicators, clean_indicators
from ..reference import reference_areas
from ..shipped import shipped
from ..study import Study, read_study, require_language, study_boundaries
from ..text import Texts
from .asked import NOTEBOOKS, Asked, ask
from .jobs import Job, Value, check_parameters, notebook_parameters, typed
from .kinds import CHANGES, area_job, changes_job, quality_job
from .leaks import refuse_secret
from .status import JobState


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """What a parameter of a notebook may be.

    Attributes
    ----------
    name : str
    kind : type
        str, int, float or bool.
    default : value
    allowed : tuple of values
        All that a run may give it; empty where any value of the type will do.
    """

    name: str
    kind: type
    default: Value
    allowed: tuple[Value, ...]


def plan_jobs(
    study: Study,
    *,
    years: Sequence[int],
    districts: Sequence[str] | None = None,
    languages: Sequence[str] | None = None,
    kinds: Sequence[str] | None = None,
    raw: str | Path | None = None,
    as_of: AsOf = None,
    notebooks: str | Path | None = None,
    parameters: Mapping[str, Value] | None = None,
    pdf: bool = False,
) -> list[Job]:
    """The jobs of a run, refused as a whole where one of them cannot be; parameters as in `run_study`.

    Returns
    -------
    list of Job
        Year by year; the city first, then the districts, then the comparison with the year before, where there is one;
        language by language; the report on the data last.

    Raises
    ------
    MekevalError
        All faults at once.
    """
    asked = ask(
        study.folder,
        years=years,
        districts=districts,
        languages=languages or study.spec.study.languages,
        kinds=kinds,
        raw=raw,
        as_of=as_of,
        notebooks=notebooks,
        parameters=parameters,
        pdf=pdf,
    )
    return jobs_of(asked, study)


def jobs_of(asked: Asked, study: Study) -> list[Job]:
    """The jobs that were asked for; as `plan_jobs`."""
    if not asked.years and asked.kinds != ("quality",):
        raise RunError("No year is given.", where="--year")
    if asked.pdf and find_spec("weasyprint") is None:
        raise RunError(
            "PDF needs an extra package.",
            where="--pdf",
            expected="WeasyPrint",
            fix="pip install 'mekeval[pdf]'",
        )
    refused: list[MekevalError] = []
    for language in asked.languages:
        try:
            Texts(language)
            require_language(study.spec, language, "--language")
        except MekevalError as error:
            refused.append(error)
    if refused:
        by_study = all(isinstance(error, StudyError) for error in refused)
        raise (StudyError if by_study else RunError).of(
            [replace(fault, where="--language") for error in refused for fault in error.faults]
        )
    faults: list[Fault] = []
    indicators = clean_indicators(study, as_of=asked.as_of)
    jobs: list[Job] = []
    if asked.kinds != ("quality",):
        references = reference_areas(study, as_of=asked.as_of)
        if "city" in asked.kinds:
            try:
                study_boundaries(study)
            except MekevalError as error:
                faults += error.faults
        for year in asked.years:
            try:
                refuse_year(study, indicators, year)
                look_elsewhere(study, indicators, references, year=year)
                subjects = _subjects(study, year, asked.districts, asked.kinds)
            except MekevalError as error:
                faults += error.faults
                continue
            jobs += [
                area_job(asked, study, year, one, tongue) for one in subjects for tongue in asked.languages
            ]
            if "changes" in asked.kinds and not _without_earlier(study, indicators, year):
                jobs += [changes_job(asked, study, year, language) for language in asked.languages]
    if "quality" in asked.kinds:
        jobs += [quality_job(asked, study, language) for language in asked.languages]
    faults += _parameter_faults(asked, study, indicators, jobs)
    if faults:
        raise RunError.of(dict.fromkeys(faults))
    return jobs


def not_made(asked: Asked, study: Study) -> list[JobState]:
    """The reports that were asked for and have nothing to say: a comparison without an earlier year, and why."""
    if "changes" not in asked.kinds:
        return []
    indicators = clean_indicators(study, as_of=asked.as_of)
    whys = {year: _without_earlier(study, indicators, year) for year in asked.years}
    return [
        JobState(name=f"{year}/{CHANGES}.{language}", state="not made", why=why, seconds=0)
        for year, why in whys.items()
        for language in asked.languages
        if why
    ]


def _without_earlier(study: Study, indicators: Indicators, year: int) -> str:
    """Why a year cannot be compared with an earlier one; empty where it can."""
    try:
        require_earlier_year(study, indicators, year)
    except MekevalError as error:
        return f"no earlier report to compare with: {error.faults[0].found}"
    return ""


def specification(
    notebook: Path, study: Study, indicators: Indicators, *, languages: Sequence[str]
) -> dict[str, Parameter]:
    """What the parameters of a notebook may be, by its own `parameters` cell and by the study.

    Parameters
    ----------
    notebook : Path
    study : Study
    indicators : Indicators
        The cleaned data of the study.
    languages : sequence of str
        Those of the study.

    Returns
    -------
    dict of str to Parameter
        `district` is one of the treated areas, by code or by any of their names; `year` one with data; `language`
        one of the study's.
    """
    table = indicators.table
    planned = table.loc[(table["status"] == "ok") & table["indicator"].isin(study.plan.outcomes), "year"]
    names = {study.areas.name(code, language) for code in study.treated for language in ("fi", "sv", "en")}
    allowed: Mapping[str, tuple[Value, ...]] = {
        "district": tuple(sorted({*study.treated, *names})),
        "year": tuple(sorted({int(year) for year in planned})),
        "language": tuple(languages),
    }
    return {
        name: Parameter(name=name, kind=kind, default=default, allowed=allowed.get(name, ()))
        for name, (kind, default) in notebook_parameters(notebook).items()
    }


def typed_parameters(given: Sequence[str], notebooks: str | Path | None) -> dict[str, Value]:
    """Parameters given as NAME=VALUE, by the types that the notebooks declare.

    Raises
    ------
    RunError
        A text without an equals sign, a secret, a name that no notebook has, or a value of another type.
    """
    folder = Path(notebooks) if notebooks else shipped("notebooks")
    places = [
        own if own.is_file() else shipped("notebooks") / name
        for name in NOTEBOOKS.values()
        for own in [folder / name]
    ]
    parameters: dict[str, Value] = {}
    for text in given:
        name, sign, value = text.partition("=")
        refuse_secret(name, where="--parameter")
        if not sign:
            raise RunError(
                "A parameter has no value.", where="--parameter", found=repr(text), expected="NAME=VALUE"
            )
        if name in parameters:
            raise RunError("A parameter is given twice.", where="--parameter", found=repr(name))
        declared = {path: notebook_parameters(path) for path in places}
        having = [path for path, known in declared.items() if name in known]
        if not having:
            raise _unknown(name, declared)
        read = {path: typed(path, name, value) for path in having}
        if len({type(one) for one in read.values()}) > 1:
            raise RunError(
                "The notebooks declare this parameter with different types.",
                where="--parameter",
                found=", ".join(f"{path.name}: {type(one).__name__}" for path, one in read.items()),
            )
        parameters[name] = read[having[0]]
    return parameters


def _unknown(name: str, declared: Mapping[Path, Mapping[str, object]]) -> RunError:
    known = {other for parameters in declared.values() for other in parameters}
    return RunError(
        "The notebook has no such parameter.",
        where=", ".join(path.name for path in declared),
        found=repr(name),
        expected=closest(name, sorted(known)),
    )


def _parameter_faults(asked: Asked, study: Study, indicators: Indicators, jobs: Sequence[Job]) -> list[Fault]:
    """What is wrong with the parameters of the jobs, and with those that no job takes."""
    faults: list[Fault] = []
    first = {job.kind: job for job in jobs}
    try:
        declared = {job.notebook: notebook_parameters(job.notebook) for job in first.values()}
        for name in asked.parameters:
            refuse_secret(name, where="--parameter")
            if declared and not any(name in known for known in declared.values()):
                raise _unknown(name, declared)
    except MekevalError as error:
        return list(error.faults)
    specifications = {
        kind: specification(job.notebook, study, indicators, languages=study.spec.study.languages)
        for kind, job in first.items()
    }
    for job in jobs:
        try:
            check_parameters(job.notebook, job.parameters)
        except MekevalError as error:
            faults += error.faults
            continue
        faults += value_faults(job.parameters, specifications[job.kind], where=job.notebook.name)
    return list(dict.fromkeys(faults))


def value_faults(
    parameters: Mapping[str, Value], specified: Mapping[str, Parameter], *, where: str
) -> list[Fault]:
    """Values outside their list, and numbers that are none."""
    faults = []
    for name, value in parameters.items():
        allowed = specified[name].allowed
        if allowed and value not in allowed:
            faults.append(
                Fault(
                    what="A parameter has a value that it cannot have.",
                    where=f"{where}, {name}",
                    found=repr(value),
                    expected=closest(value, map(str, allowed)),
                )
            )
        elif isinstance(value, float) and not math.isfinite(value):
            faults.append(
                Fault(what="A parameter is no number.", where=f"{where}, {name}", found=repr(value))
            )
    return faults


def _subjects(study: Study, year: int, districts: Sequence[str] | None, kinds: Sequence[str]) -> list[str]:
    """The city and the districts of one year's reports, as far as their kinds are asked for."""
    treated = study_design(study, last_period=year).treated
    city = [ALL] if "city" in kinds else []
    if "district" not in kinds:
        return city
    if districts is None:
        return [*city, *treated]
    codes = []
    faults: list[Fault] = []
    for district in districts:
        try:
            code = study.resolve(district)
        except MekevalError as error:
            fault = error.faults[0]
            faults.append(
                Fault(what=fault.what, where="--district", found=fault.found, expected=fault.expected)
            )
            continue
        if code not in treated:
            names = [study.areas.name(unit, "fi") for unit in treated]
            faults.append(
                Fault(
                    what=f"The district was not in the programme by {year}.",
                    where="--district",
                    found=repr(district),
                    expected=closest(district, names),
                )
            )
        codes.append(code)
    if faults:
        raise DesignError.of(faults)
    return [*city, *dict.fromkeys(codes)]


def read_asked(asked: Asked) -> Study:
    """The study of a question, read and checked."""
    return read_study(asked.definition, raw=asked.raw or None)


def listed_files(study: Study) -> list[str]:
    """Every file that a study names, as the manifest does: "raw:" or "study:" and its place there."""
    areas, reference, programme = study.spec.areas, study.spec.reference, study.spec.programme
    own = [areas.file, areas.crosswalk, areas.neighbours, reference.areas if reference else ""]
    own += [programme.measures if programme else "", *study.spec.study.earlier]
    outlines = [f"{'raw' if one.sha256 else 'study'}:{one.file}" for one in [areas.boundaries] if one]
    return [f"study:{file}" for file in own if file] + [
        *outlines,
        *(f"raw:{one.file}" for one in study.spec.source),
    ]
