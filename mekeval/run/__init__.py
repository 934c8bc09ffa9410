"""The matrix of districts, years and languages through papermill: refused before it starts, or run to the end.

In: a study and the years wanted. Out: a published set of reports, an index, `findings.json` and `manifest.json`.
Never: a report of the default district under another name, a half-written set, or one failure that stops the rest.
"""

from __future__ import annotations

import os
import platform
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import UTC, date, datetime
from importlib import metadata
from pathlib import Path

from ..areas import fold
from ..dates import AsOf, as_date, dated
from ..design import study_design
from ..errors import DesignError, Fault, MekevalError, RunError, closest
from ..evaluation import ALL, refuse_year
from ..evaluation.elsewhere import look_elsewhere
from ..indicators import clean_indicators
from ..reference import reference_areas
from ..render import IndexEntry, ReportPage, render_index
from ..shipped import shipped
from ..study import RAW_VARIABLE, Study, plan_record, read_study, require_language
from ..text import Texts
from .jobs import Job, Outcome, Value, check_parameters, typed
from .publish import MANIFEST, canonical, hashes, publication, read_manifest, take, write
from .workers import execute_all

__all__ = ["RunResult", "plan_jobs", "run_study", "typed_parameters"]

_NOTEBOOKS: Mapping[str, str] = {"city": "city_report.ipynb", "district": "district_report.ipynb"}
_PACKAGES = (
    "mekeval",
    "numpy",
    "pandas",
    "scipy",
    "matplotlib",
    "papermill",
    "nbconvert",
    "nbformat",
    "ipykernel",
)


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """What a run did.

    Attributes
    ----------
    index : Path
        The page that joins the reports.
    done, failed : tuple of str
        Names of the jobs.
    errors : mapping of str to str
        Message of each failed job.
    seconds : float
    """

    index: Path
    done: tuple[str, ...]
    failed: tuple[str, ...]
    errors: Mapping[str, str]
    seconds: float


def run_study(
    study: str | Path,
    *,
    years: Sequence[int],
    districts: Sequence[str] | None = None,
    languages: Sequence[str] | None = None,
    raw: str | Path | None = None,
    as_of: AsOf = None,
    out: str | Path = "reports",
    jobs: int | None = None,
    notebooks: str | Path | None = None,
    parameters: Mapping[str, Value] | None = None,
    executor: Executor | None = None,
    progress: bool = False,
) -> RunResult:
    """Make the reports of a study for some years.

    Parameters
    ----------
    study : str or Path
        Folder of the study.
    years : sequence of int
        Years of the reports.
    districts : sequence of str, optional
        Codes or names; all areas treated so far by default. The city's report is always made.
    languages : sequence of str, optional
        The study's own by default.
    raw : str or Path, optional
        Folder of external raw data.
    as_of : date, int or str, optional
        Only what was published by this day, or by the end of this year, as in `evaluate`.
    out : str or Path
        Folder for the reports; they appear in ``out/<name of the study>``; as of a day, in
        ``out/<name of the study>@<day>``.
    jobs : int, optional
        Processes; the number of processors by default.
    notebooks : str or Path, optional
        Folder with other `district_report.ipynb` and `city_report.ipynb`.
    parameters : mapping, optional
        Further parameters of these notebooks.
    executor : concurrent.futures.Executor, optional
        Where to run the jobs instead of own processes.
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    RunResult

    Raises
    ------
    MekevalError
        Nothing was run: a wrong district, year, language, parameter, notebook, raw file or output folder.

    Examples
    --------
    >>> from mekeval import example_study, run_study
    >>> result = run_study(example_study(), years=[2025], out="reports")  # doctest: +SKIP
    """
    started = time.monotonic()
    begun = datetime.now(UTC)
    known = read_study(study, raw=raw)
    planned = plan_jobs(
        known,
        years=years,
        districts=districts,
        languages=languages,
        raw=raw,
        as_of=as_of,
        notebooks=notebooks,
        parameters=parameters,
    )
    day = as_date(as_of, where="--as-of")
    with publication(Path(out), known.name, as_of=day) as (new, old):
        outcomes = execute_all(planned, jobs=jobs, executor=executor, progress=progress)
        index = _compose(known, outcomes, new, old, begun=begun, as_of=day)
    return RunResult(
        index=Path(out) / dated(known.name, day) / index,
        done=tuple(outcome.job.name for outcome in outcomes if not outcome.error),
        failed=tuple(outcome.job.name for outcome in outcomes if outcome.error),
        errors={outcome.job.name: outcome.error for outcome in outcomes if outcome.error},
        seconds=time.monotonic() - started,
    )


def plan_jobs(
    study: Study,
    *,
    years: Sequence[int],
    districts: Sequence[str] | None = None,
    languages: Sequence[str] | None = None,
    raw: str | Path | None = None,
    as_of: AsOf = None,
    notebooks: str | Path | None = None,
    parameters: Mapping[str, Value] | None = None,
) -> list[Job]:
    """The jobs of a run, refused as a whole where one of them cannot be; parameters as in `run_study`.

    Returns
    -------
    list of Job
        Year by year; the city first, then the districts; language by language.

    Raises
    ------
    MekevalError
        All faults at once.
    """
    if not years:
        raise RunError("No year is given.", where="--year")
    tongues = tuple(dict.fromkeys(languages or study.spec.study.languages))
    for language in tongues:
        Texts(language)
        require_language(study.spec, language, "--language")
    folder = Path(notebooks) if notebooks else shipped("notebooks")
    raw = raw or os.environ.get(RAW_VARIABLE)
    day = as_date(as_of, where="--as-of")
    indicators = clean_indicators(study, as_of=day)
    references = reference_areas(study, as_of=day)
    faults: list[Fault] = []
    jobs: list[Job] = []
    for year in dict.fromkeys(years):
        try:
            refuse_year(study, indicators, year)
            look_elsewhere(study, indicators, references, year=year)
            subjects = _subjects(study, year, districts)
        except MekevalError as error:
            faults += error.faults
            continue
        jobs += [
            _job(study, folder, raw, day, year, subject, language, tongues, parameters or {})
            for subject in subjects
            for language in tongues
        ]
    for kind, parameters_of in {job.kind: job.parameters for job in jobs}.items():
        try:
            check_parameters(folder / _NOTEBOOKS[kind], parameters_of)
        except MekevalError as error:
            faults += error.faults
    if faults:
        raise RunError.of(dict.fromkeys(faults))
    return jobs


def typed_parameters(given: Sequence[str], notebooks: str | Path | None) -> dict[str, Value]:
    """Parameters given as NAME=VALUE, by the types that the notebooks declare.

    Raises
    ------
    RunError
        A text without an equals sign, a name that no notebook has, or a value of another type.
    """
    folder = Path(notebooks) if notebooks else shipped("notebooks")
    parameters: dict[str, Value] = {}
    for text in given:
        name, sign, value = text.partition("=")
        if not sign:
            raise RunError(
                "A parameter has no value.", where="--parameter", found=repr(text), expected="NAME=VALUE"
            )
        parameters[name] = typed(folder / _NOTEBOOKS["district"], name, value)
    return parameters


def _subjects(study: Study, year: int, districts: Sequence[str] | None) -> list[str]:
    """The city and the districts of one year's reports."""
    treated = study_design(study, as_of=year).treated
    if districts is None:
        return [ALL, *treated]
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
    return [ALL, *dict.fromkeys(codes)]


def _job(
    study: Study,
    notebooks: Path,
    raw: str | Path | None,
    day: date | None,
    year: int,
    subject: str,
    language: str,
    languages: Sequence[str],
    parameters: Mapping[str, Value],
) -> Job:
    kind = "city" if subject == ALL else "district"
    city = study.spec.areas.city
    area = city.text(language) if subject == ALL else study.areas.name(subject, language)
    stem = "city"
    if subject != ALL:
        slug = re.sub(r"[^a-z0-9]+", "-", fold(study.areas.name(subject, "fi")))[:60]
        stem = f"{subject}-{slug}".rstrip("-")
    own: dict[str, Value] = {"study": study.folder.resolve().name, "year": year, "language": language}
    if day is not None:
        own["as_of"] = day.isoformat()
    if subject != ALL:
        own["district"] = study.areas.name(subject, "fi") if _unique(study, subject) else subject
    clash = sorted(set(own) & set(parameters))
    if clash:
        raise RunError("The run itself sets this parameter.", where="--parameter", found=clash[0])
    return Job(
        name=f"{year}/{stem}.{language}",
        kind=kind,
        year=year,
        subject=subject,
        area=area,
        language=language,
        notebook=notebooks / _NOTEBOOKS[kind],
        parameters={**own, **parameters},
        folder=study.folder.resolve().parent,
        raw=str(Path(raw).resolve()) if raw else "",
        page=ReportPage(
            title=f"{area} {year}",
            language=language,
            description=f"{area} {year}",
            synthetic=study.spec.study.synthetic,
            siblings=tuple((other, f"{stem}.{other}.html") for other in languages if other != language),
            index_href=f"../{_index_name(study, language)}",
            notebook_href=f"{stem}.{language}.ipynb",
            programme=study.spec.study.title.text(language),
        ),
    )


def _unique(study: Study, code: str) -> bool:
    try:
        return study.areas.resolve(study.areas.name(code, "fi")) == code
    except MekevalError:
        return False


def _compose(
    study: Study, outcomes: list[Outcome], new: Path, old: Path | None, *, begun: datetime, as_of: date | None
) -> str:
    """Fill the new folder: this run's reports, what stays of earlier ones, index, findings, manifest."""
    before = read_manifest(old)
    earlier = _entries_of(before)
    if before.get("kind") == "clean":
        raise RunError(
            "Cleaned data stand where the reports belong.", where=study.name, fix="Choose another --out."
        )
    # A set holds one definition, one data state and one package: reports made from another one do not stay in it,
    # except in the place of a report that has just failed.
    made_with = _made_with(study, as_of)
    if {name: before.get(name, "") for name in made_with} != made_with:
        gone = {outcome.job.name for outcome in outcomes if outcome.error}
        earlier = {name: entry for name, entry in earlier.items() if name in gone}
    entries: dict[str, dict[str, object]] = {}
    for name, entry in earlier.items():
        if old is not None and all(take(old, new, file) for file in _files(entry)):
            entries[name] = entry
    for outcome in outcomes:
        name = outcome.job.name
        if not outcome.error:
            for ending, text in (("html", outcome.html), ("ipynb", outcome.notebook)):
                # A hard link to the old set may stand here.
                (new / f"{name}.{ending}").unlink(missing_ok=True)
                write(new, f"{name}.{ending}", text)
            (new / f"{name}.error.html").unlink(missing_ok=True)
            entries[name] = _entry(outcome.job, failed=False, stale=False, findings=outcome.findings)
            continue
        stale = name in entries and not (entries[name]["failed"] and not entries[name]["stale"])
        (new / f"{name}.error.html").unlink(missing_ok=True)
        write(new, f"{name}.error.html", outcome.html)
        kept = entries[name]["findings"] if stale else ()
        entries[name] = _entry(outcome.job, failed=True, stale=stale, findings=kept)
    for name in ("findings.json", MANIFEST):
        (new / name).unlink(missing_ok=True)
    write(new, "findings.json", canonical(_findings(entries)))
    languages = dict.fromkeys(
        [*study.spec.study.languages, *(str(entry["language"]) for entry in entries.values())]
    )
    for language in languages:
        write(new, _index_name(study, language), _index(study, entries, language, list(languages), as_of))
    write(new, MANIFEST, canonical(_manifest(study, entries, new, begun, as_of)))
    return _index_name(study, outcomes[0].job.language)


def _entry(job: Job, *, failed: bool, stale: bool, findings: object) -> dict[str, object]:
    return {
        "name": job.name,
        "kind": job.kind,
        "year": job.year,
        "subject": job.subject,
        "area": job.area,
        "language": job.language,
        "parameters": dict(job.parameters),
        "failed": failed,
        "stale": stale,
        "findings": findings,
    }


def _entries_of(manifest: Mapping[str, object]) -> dict[str, dict[str, object]]:
    reports = manifest.get("reports")
    if not isinstance(reports, list):
        return {}
    return {str(entry["name"]): entry for entry in reports if isinstance(entry, dict) and "name" in entry}


def _files(entry: Mapping[str, object]) -> Iterator[str]:
    name = entry["name"]
    if entry["failed"]:
        yield f"{name}.error.html"
    if not entry["failed"] or entry["stale"]:
        yield f"{name}.html"
        yield f"{name}.ipynb"


def _findings(entries: Mapping[str, Mapping[str, object]]) -> list[object]:
    """All findings once, by year, subject and outcome; reports that contradict each other are an error."""
    found: dict[tuple[int, str, str], object] = {}
    for entry in sorted(entries.values(), key=lambda entry: str(entry["name"])):
        records = entry["findings"]
        for record in records if isinstance(records, (list, tuple)) else ():
            key = (int(record["year"]), str(record["subject"]), str(record["outcome"]))
            if not entry["stale"] and found.setdefault(key, record) != record:
                raise RunError(
                    "Two reports of one run disagree.",
                    where=str(entry["name"]),
                    found=" ".join(map(str, key)),
                )
            found.setdefault(key, record)
    return [found[key] for key in sorted(found)]


def _index(
    study: Study,
    entries: Mapping[str, Mapping[str, object]],
    language: str,
    languages: Sequence[str],
    as_of: date | None,
) -> str:
    order = {code: at for at, code in enumerate((ALL, *study.treated))}
    chosen = [entry for entry in entries.values() if entry["language"] == language]
    chosen.sort(key=lambda entry: (-int(str(entry["year"])), order.get(str(entry["subject"]), len(order))))
    return render_index(
        [_index_entry(study, entry, language) for entry in chosen],
        title=study.spec.study.title.text(language),
        language=language,
        synthetic=study.spec.study.synthetic,
        programme=study.spec.study.title.text(language),
        attribution=study.spec.study.attribution.text(language),
        siblings=tuple((other, _index_name(study, other)) for other in languages if other != language),
        downloads=(("findings.json", "findings.json"), (MANIFEST, MANIFEST)),
        as_of=as_of,
    )


def _index_entry(study: Study, entry: Mapping[str, object], language: str) -> IndexEntry:
    records, texts = entry["findings"], Texts(language)
    labels = {one.name: one.label.text(language) for one in study.spec.indicator}
    verdicts = []
    for record in records if isinstance(records, (list, tuple)) else ():
        if record["subject"] == entry["subject"]:
            outcome, role = str(record["outcome"]), str(record.get("role", "primary"))
            label = labels.get(outcome, outcome)
            if role != "primary":
                label = texts("plan.labelled", said=label, role=texts(f"plan.role.{role}"))
            verdicts.append((label, str(record["verdict"])))
    return IndexEntry(
        year=int(str(entry["year"])),
        area=str(entry["area"]),
        kind="city" if entry["kind"] == "city" else "district",
        href=f"{entry['name']}.html",
        verdicts=tuple(verdicts),
        failed=bool(entry["failed"]),
        stale=bool(entry["stale"]),
        error_href=f"{entry['name']}.error.html" if entry["failed"] else "",
    )


def _made_with(study: Study, as_of: date | None) -> dict[str, object]:
    """What decides about the content of a report: definition, data, the day up to which they count, and packages."""
    return {
        "as_of": as_of.isoformat() if as_of else "",
        "definition_sha256": study.sha256,
        "sources": [{"file": source.file, "sha256": source.sha256} for source in study.spec.source],
        "packages": {name: metadata.version(name) for name in _PACKAGES},
    }


def _manifest(
    study: Study, entries: Mapping[str, Mapping[str, object]], new: Path, begun: datetime, as_of: date | None
) -> dict[str, object]:
    """What produced what: hashes of data, definition, notebooks and outputs; versions; seed; times."""
    return {
        **_made_with(study, as_of),
        "study": study.name,
        "plan": plan_record(study.plan_state),
        "seed": study.spec.study.seed,
        "python": platform.python_version(),
        "system": platform.system(),
        "begun": begun.isoformat(timespec="seconds"),
        "ended": datetime.now(UTC).isoformat(timespec="seconds"),
        "reports": [entries[name] for name in sorted(entries)],
        "files": hashes(new),
    }


def _index_name(study: Study, language: str) -> str:
    """`index.html` in the study's first language, `index.<language>.html` in the others."""
    return "index.html" if language == study.spec.study.languages[0] else f"index.{language}.html"
