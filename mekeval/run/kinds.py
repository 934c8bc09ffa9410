"""One job of each kind: its name, its notebook, its parameters, and the page around its report.

In: what was asked, the study, and whose report it is. Out: a job. Never: a parameter of the run that somebody else set.

A job's key (`keys`) holds all raw files of the study, and not only those with the outcomes of its report. All of them
are cleaned before any report: a newer release in one replaces cells of another, and a cell that is withheld in one
withholds cells of others. A finer key would call a report unchanged that is not, and a file that changes is nearly
always a new release of all. So it is with the files in the study's folder: a notebook of one's own may read any.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

from ..areas import fold
from ..errors import MekevalError, RunError
from ..evaluation import ALL
from ..render import ReportPage
from ..study import Study
from .asked import Asked
from .jobs import Job, Value, notebook_parameters

QUALITY = "data_quality"
CHANGES = "changes"


def area_job(asked: Asked, study: Study, year: int, subject: str, language: str) -> Job:
    """The report of a year on the city, or on one district."""
    name = study.spec.areas.city.text(language) if subject == ALL else study.areas.name(subject, language)
    if subject == ALL:
        return _job(asked, study, "city", stem="city", year=year, area=name, language=language)
    finnish = study.areas.name(subject, "fi")
    slug = re.sub(r"[^a-z0-9]+", "-", fold(finnish))[:60]
    return _job(
        asked,
        study,
        "district",
        stem=f"{subject}-{slug}".rstrip("-"),
        year=year,
        area=name,
        language=language,
        subject=subject,
        own={"district": finnish if _unique(study, subject) else subject},
    )


def changes_job(asked: Asked, study: Study, year: int, language: str) -> Job:
    """What changed in the city since the year before."""
    area = study.spec.areas.city.text(language)
    return _job(asked, study, CHANGES, stem=CHANGES, year=year, area=area, language=language)


def quality_job(asked: Asked, study: Study, language: str) -> Job:
    """The report on the data."""
    title = study.spec.study.title.text(language)
    year = asked.as_of.year if asked.as_of else 0
    return _job(asked, study, "quality", stem=QUALITY, year=year, area=title, language=language)


def _job(
    asked: Asked,
    study: Study,
    kind: str,
    *,
    stem: str,
    year: int,
    area: str,
    language: str,
    subject: str = ALL,
    own: Mapping[str, Value] | None = None,
) -> Job:
    """A job with the parameters of every job, its own, and those of `asked` that its notebook has.

    Its report lies in the folder of its year; that on the data, which has no year, beside those folders.
    """
    clash = sorted({"study", "year", "language", "district", "as_of", "raw"} & set(asked.parameters))
    if clash:
        raise RunError("The run itself sets this parameter.", where="--parameter", found=clash[0])
    notebook = asked.notebook(kind)
    try:
        content = notebook.read_bytes()
    except OSError as cause:
        raise RunError("The notebook cannot be read.", where=notebook.name, found=str(cause)) from None
    known = notebook_parameters(notebook)
    raw = asked.raw_folder
    of_year = kind != "quality"
    title = f"{area} {year}" if of_year else area
    parameters: dict[str, Value] = {"study": _place(asked)}
    if of_year:
        parameters["year"] = year
    parameters["language"] = language
    if asked.as_of is not None:
        parameters["as_of"] = asked.as_of.isoformat()
    parameters |= own or {}
    parameters |= {one: asked.parameters[one] for one in asked.parameters if one in known}
    return Job(
        name=f"{year}/{stem}.{language}" if of_year else f"{stem}.{language}",
        kind=kind,
        year=year,
        subject=subject,
        area=area,
        language=language,
        notebook=notebook,
        parameters=parameters,
        folder=asked.folder.resolve().parent,
        raw=str(raw.resolve()) if raw else "",
        page=ReportPage(
            title=title,
            language=language,
            description=title,
            synthetic=study.spec.study.synthetic,
            siblings=_siblings(asked, stem, language),
            index_href=("../" if of_year else "") + index_name(study, language),
            notebook_href=f"{stem}.{language}.ipynb",
            programme=study.spec.study.title.text(language),
        ),
        notebook_sha256=hashlib.sha256(content).hexdigest(),
        pdf=asked.pdf,
    )


def _siblings(asked: Asked, stem: str, language: str) -> tuple[tuple[str, str], ...]:
    return tuple((other, f"{stem}.{other}.html") for other in asked.languages if other != language)


def _place(asked: Asked) -> str:
    """The study as its notebooks name it, from the folder above it."""
    folder = asked.folder.resolve().name
    return folder if asked.definition.name == "study.toml" else f"{folder}/{asked.definition.name}"


def index_name(study: Study, language: str) -> str:
    """`index.html` in the study's first language, `index.<language>.html` in the others."""
    return "index.html" if language == study.spec.study.languages[0] else f"index.{language}.html"


def _unique(study: Study, code: str) -> bool:
    try:
        return study.areas.resolve(study.areas.name(code, "fi")) == code
    except MekevalError:
        return False
