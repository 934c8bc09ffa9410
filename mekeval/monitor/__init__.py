"""`mekeval monitor`: records of community work -> one published set: pages by notebook, and the tables behind them.

In: a folder of records, and a year or a quarter. Out: a folder that appears as a whole, or not at all. Never: a page
from records with a fault, an answer by itself, or the loss of yesterday's set.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ..areas.listing import fold
from ..display import Shown
from ..errors import RunError
from ..monitoring import (
    Monitoring,
    activity_indicators,
    coded_answers,
    coder_agreement,
    compare_reported,
    feedback_indicators,
    programme_periods,
    read_monitoring,
    response_rates,
)
from ..render import ReportPage
from ..run.jobs import Job, Value, check_parameters
from ..run.keys import MANIFEST
from ..run.publish import canonical, hashes, publication, read_manifest, write
from ..run.workers import execute_all
from ..shipped import shipped, version
from ..tables import frame_csv
from ..text import Texts

__all__ = ["MonitoringSet", "publish_monitoring"]

KIND = "monitoring"
YEAR, QUARTER = "community_year.ipynb", "community_quarter.ipynb"


@dataclass(frozen=True, kw_only=True, repr=False)
class MonitoringSet(Shown):
    """What `publish_monitoring` published.

    Attributes
    ----------
    folder : Path
        The set: pages and their notebooks, activities.csv, feedback.csv, responses.csv, codes.csv, agreement.csv,
        reported.csv and manifest.json. No table has a row for an answer or an event.
    pages : tuple of Path
    synthetic : bool
        Whether the records are made up.
    """

    folder: Path
    pages: tuple[Path, ...]
    synthetic: bool


def publish_monitoring(
    monitoring: str | Path,
    *,
    year: int,
    quarter: int | None = None,
    areas: Sequence[str] = (),
    languages: Sequence[str] = (),
    out: str | Path = "monitoring",
    notebooks: str | Path | None = None,
    jobs: int | None = None,
) -> MonitoringSet:
    """Make the page of a year, or those of the areas in a quarter.

    Parameters
    ----------
    monitoring : str or Path
        Folder of the records.
    year : int
    quarter : int, optional
        1 to 4: the pages of the areas, to go back to them. Without it the yearly page of the whole programme.
    areas : sequence of str, optional
        Codes or names; with a quarter only. All areas with a developer by default.
    languages : sequence of str, optional
        Those of `monitoring.toml` by default.
    out : str or Path
        The set appears in ``out/<name>/<year>`` or ``out/<name>/<year>-q<quarter>``; of some areas alone with their
        codes behind it, so that it takes the place of no other.
    notebooks : str or Path, optional
        Folder with other notebooks of the same names.
    jobs : int, optional
        Processes; one for each processor by default.

    Returns
    -------
    MonitoringSet

    Raises
    ------
    MekevalError
        All faults of the records; areas without a quarter; a period outside the programme; a notebook that failed.
        Nothing was published, and what was published before is as it was.
    """
    known = read_monitoring(monitoring)
    spec = known.spec
    spoken = tuple(dict.fromkeys(languages)) or spec.monitoring.languages
    for language in spoken:
        Texts(language)
    if (year, quarter or 0) not in programme_periods(spec, "year" if quarter is None else "quarter"):
        raise RunError(
            "The programme did not run then.",
            where="--year" if quarter is None else "--year, --quarter",
            found=str(year) if quarter is None else f"{year}, quarter {quarter}",
            expected=f"{spec.monitoring.first} to {spec.monitoring.last}",
        )
    if areas and quarter is None:
        raise RunError(
            "The page of a year is of all areas.",
            where="--area",
            found=", ".join(areas),
            fix="Name a quarter too: --quarter 1",
        )
    chosen = tuple(dict.fromkeys(known.resolve(area) for area in areas))
    name = str(year) if quarter is None else f"{year}-q{quarter}"
    name = "-".join([name, *sorted(chosen)])
    planned = _jobs(known, year, quarter, chosen or spec.areas.codes, spoken, notebooks)
    place = Path(out) / spec.monitoring.name
    with publication(place, name) as (new, old):
        if old is not None and read_manifest(old).get("kind") != KIND:
            raise RunError("Something else stands where the pages belong.", where=str(place / name))
        outcomes = execute_all(planned, jobs=jobs, executor=None, progress=False)
        broken = [outcome for outcome in outcomes if outcome.error]
        if broken:
            raise RunError("A page could not be made.", where=broken[0].job.name, found=broken[0].error)
        for outcome in outcomes:
            write(new, f"{outcome.job.name}.html", outcome.html)
            write(new, f"{outcome.job.name}.ipynb", outcome.notebook)
        for stem, table in tables_of(known).items():
            write(new, f"{stem}.csv", frame_csv(table))
        if read_monitoring(monitoring).sha256 != known.sha256:
            raise RunError(
                "A file changed while it was read.", fix="Run the command again when the files are at rest."
            )
        write(new, MANIFEST, canonical(_manifest(known, year, quarter, chosen, new)))
    pages = tuple(place / name / f"{job.name}.html" for job in planned)
    return MonitoringSet(folder=place / name, pages=pages, synthetic=spec.monitoring.synthetic)


def tables_of(known: Monitoring) -> dict[str, pd.DataFrame]:
    """What may leave of the records, by the name of its file; each row says whether it is synthetic."""
    spec = known.spec
    tables = {
        "activities": activity_indicators(known.activities, spec, by="quarter"),
        "feedback": feedback_indicators(known.feedback, spec, by="quarter"),
        "responses": response_rates(known.feedback, known.activities, spec, by="quarter"),
        "codes": coded_answers(known.feedback, spec, by="year"),
        "agreement": coder_agreement(known.feedback, spec),
        "reported": compare_reported(known.activities, known.reported, spec),
    }
    return {name: table.assign(synthetic=spec.monitoring.synthetic) for name, table in tables.items()}


def _jobs(
    known: Monitoring,
    year: int,
    quarter: int | None,
    areas: Sequence[str],
    languages: Sequence[str],
    notebooks: str | Path | None,
) -> list[Job]:
    about, folder = known.spec.monitoring, known.folder.resolve()
    notebook = (Path(notebooks) if notebooks else shipped("notebooks")) / (
        YEAR if quarter is None else QUARTER
    )
    jobs = []
    for code in ("all",) if quarter is None else areas:
        for language in languages:
            area = about.title.text(language) if quarter is None else known.name(code, language)
            stem = "year" if quarter is None else f"{code}-{fold(known.name(code, 'fi')).replace(' ', '-')}"
            where: dict[str, Value] = {} if quarter is None else {"area": code, "quarter": quarter}
            jobs.append(
                Job(
                    name=f"{stem}.{language}",
                    kind=KIND,
                    year=year,
                    subject=code,
                    area=area,
                    language=language,
                    notebook=notebook,
                    parameters={"study": folder.name, "year": year, "language": language, **where},
                    folder=folder.parent,
                    raw="",
                    page=ReportPage(
                        title=area,
                        language=language,
                        description=area,
                        synthetic=about.synthetic,
                        siblings=tuple((one, f"{stem}.{one}.html") for one in languages if one != language),
                        index_href="",
                        notebook_href=f"{stem}.{language}.ipynb",
                        programme=about.title.text(language),
                    ),
                )
            )
    check_parameters(notebook, jobs[0].parameters)
    return jobs


def _manifest(
    known: Monitoring, year: int, quarter: int | None, areas: Sequence[str], new: Path
) -> dict[str, object]:
    return {
        "kind": KIND,
        "name": known.spec.monitoring.name,
        "synthetic": known.spec.monitoring.synthetic,
        "year": year,
        "quarter": quarter,
        "areas": list(areas or known.spec.areas.codes),
        "minimum_answers": known.spec.monitoring.minimum_answers,
        "inputs": dict(known.sha256),
        "version": version(),
        "ended": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "files": hashes(new),
    }
