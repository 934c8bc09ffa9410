"""The pages of community work: a quarter of one area, which goes back to it, and a year of the whole programme.

In: `Monitoring`. Out: pages whose parts show themselves. Never: a record, or an answer of few people.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ..errors import StudyError
from ..figures.monitoring import plot_events
from ..monitoring import (
    ALL,
    Monitoring,
    activity_indicators,
    feedback_indicators,
    programme_periods,
    read_monitoring,
    response_rates,
)
from ..tables import Column, Table
from ..text import Texts
from .monitoring_parts import (
    Page,
    feedback_section,
    free_text_section,
    intensity_section,
    limits_section,
    missing,
    number,
    reported_section,
    row_of,
    share_of,
    warnings_of,
    written,
)
from .parts import Findings, Section, bullets, heading, paragraph, section

#: Indicators of a page, in order.
_ROWS = (
    "events",
    "network_meetings",
    "trainings",
    "workshops",
    "participants",
    "languages",
    "multilingual",
    "accessible_share",
    "partners",
    "partners_returned",
    "cost",
    "cost_per_participant",
)


@dataclass(frozen=True, kw_only=True)
class QuarterReport:
    """The page of one area and quarter; every attribute but the first three shows itself in a notebook cell.

    Attributes
    ----------
    title, description, language : str
    summary, activities, feedback, limits : Section
    findings : Findings
        No verdicts; title and description for the run that executes the notebook.
    """

    title: str
    description: str
    language: str
    summary: Section
    activities: Section
    feedback: Section
    limits: Section
    findings: Findings


@dataclass(frozen=True, kw_only=True)
class YearReport:
    """The page of a year; every attribute but the first three shows itself in a notebook cell.

    Attributes
    ----------
    title, description, language : str
    summary, activities, networks, feedback, free_text, reported, intensity, limits : Section
    findings : Findings
        As in `QuarterReport`.
    """

    title: str
    description: str
    language: str
    summary: Section
    activities: Section
    networks: Section
    feedback: Section
    free_text: Section
    reported: Section
    intensity: Section
    limits: Section
    findings: Findings


def community_quarter(
    monitoring: str | Path | Monitoring, *, area: str, year: int, quarter: int, language: str
) -> QuarterReport:
    """Write the page of an area and quarter.

    Parameters
    ----------
    monitoring : str, Path or Monitoring
        Records, or their folder.
    area : str
        Code or name of an area with a developer.
    year, quarter : int
        In the programme; the quarter from 1 to 4.
    language : str
        One of `mekeval.text.LANGUAGES`.

    Returns
    -------
    QuarterReport

    Raises
    ------
    MekevalError
        As `read_monitoring`; there is no such area, or the quarter is not in the programme.

    Examples
    --------
    >>> from mekeval.monitoring import example_monitoring
    >>> report = community_quarter(example_monitoring(), area="Korso", year=2024, quarter=4, language="en")
    >>> report.title
    'Korso, Q4 2024'
    """
    page = _page(monitoring, year, quarter, language)
    known, texts = page.known, page.texts
    code = known.resolve(area)
    table = activity_indicators(known.activities, known.spec, by="quarter")
    answers = feedback_indicators(known.feedback, known.spec, by="quarter")
    rates = response_rates(known.feedback, known.activities, known.spec, by="quarter")
    name = page.area(code)
    title = page.say("quarter.title", area=name, quarter=quarter, year=year)
    description = page.say("quarter.description", area=name, quarter=quarter, year=year)
    first = heading(title, 1)
    points = _points(page, table, answers, code)
    picture = plot_events(table, areas=[code], year=year, quarter=quarter, texts=texts, about=page.about)
    columns = [(page.period, _cells(page, table, code)), *_before(page, table, code)]
    columns.append((page.say("all"), _cells(page, table, ALL)))
    return QuarterReport(
        title=title,
        description=description,
        language=language,
        summary=section(first, paragraph(page.say("back")), *warnings_of(page), bullets(points)),
        activities=section(
            heading(page.say("activities.heading")),
            picture,
            Table(
                caption=page.say("activities.caption_quarter", area=name),
                columns=(
                    Column(label=page.say("activities.indicator")),
                    *(Column(label=label, numeric=True) for label, _ in columns),
                ),
                rows=tuple(
                    (page.say(f"activities.{key}"), *(cells[key] for _, cells in columns)) for key in _ROWS
                ),
                note=page.say("activities.note"),
            ),
        ),
        feedback=feedback_section(page, answers, rates, [code]),
        limits=limits_section(page),
        findings=Findings(records=(), title=title, description=description),
    )


def community_year(monitoring: str | Path | Monitoring, *, year: int, language: str) -> YearReport:
    """Write the page of a year of the whole programme; parameters and errors as `community_quarter`.

    Examples
    --------
    >>> from mekeval.monitoring import example_monitoring
    >>> community_year(example_monitoring(), year=2024, language="en").title
    "The community developers' unified indicators 2024"
    """
    page = _page(monitoring, year, 0, language)
    known, texts = page.known, page.texts
    yearly = activity_indicators(known.activities, known.spec, by="year")
    quarterly = activity_indicators(known.activities, known.spec, by="quarter")
    # The guard of small cells is that of the quarterly pages: both are published.
    answers = feedback_indicators(known.feedback, known.spec, by="quarter")
    rates = response_rates(known.feedback, known.activities, known.spec, by="quarter")
    title = page.say("year.title", title=known.spec.monitoring.title.text(language), year=year)
    description = page.say("year.description", year=year)
    codes = list(known.spec.areas.codes)
    picture = plot_events(quarterly, areas=codes, year=year, texts=texts, about=page.about)
    return YearReport(
        title=title,
        description=description,
        language=language,
        summary=section(
            heading(title, 1),
            paragraph(page.say("unified")),
            *warnings_of(page),
            bullets(_points(page, yearly, answers, ALL)),
        ),
        activities=section(heading(page.say("activities.heading")), picture, *_year_tables(page, yearly)),
        networks=section(
            heading(page.say("networks.heading")),
            paragraph(page.say("networks.intro")),
            _by_area(
                page, yearly, ("partners", "partners_returned"), page.say("networks.caption", year=year)
            ),
        ),
        feedback=feedback_section(page, answers, rates, [*page.areas]),
        free_text=free_text_section(page),
        reported=reported_section(page),
        intensity=intensity_section(page),
        limits=limits_section(page),
        findings=Findings(records=(), title=title, description=description),
    )


def _page(monitoring: str | Path | Monitoring, year: int, quarter: int, language: str) -> Page:
    texts = Texts(language)
    known = monitoring if isinstance(monitoring, Monitoring) else read_monitoring(monitoring)
    periods = programme_periods(known.spec, "quarter" if quarter else "year")
    if (year, quarter) not in periods:
        asked = f"Q{quarter} {year}" if quarter else str(year)
        raise StudyError(
            "The programme did not run then.",
            where="year, quarter" if quarter else "year",
            found=asked,
            expected=f"{known.spec.monitoring.first} to {known.spec.monitoring.last}",
        )
    return Page(known=known, texts=texts, year=year, quarter=quarter)


def _before(page: Page, table: pd.DataFrame, area: str) -> list[tuple[str, dict[str, str]]]:
    """The quarter before, where it lies in the programme."""
    last = (page.year, page.quarter - 1) if page.quarter > 1 else (page.year - 1, 4)
    if last not in programme_periods(page.known.spec, "quarter"):
        return []
    earlier = Page(known=page.known, texts=page.texts, year=last[0], quarter=last[1])
    return [(f"{page.say('activities.before')} ({earlier.period})", _cells(earlier, table, area))]


def _points(page: Page, table: pd.DataFrame, answers: pd.DataFrame, area: str) -> list[str]:
    row, texts, spec = row_of(page, table, area), page.texts, page.known.spec
    if not row["events"]:
        points = [page.say("point.events_none")]
    else:
        names = {"network": "network_meetings", "trainings": "trainings", "workshops": "workshops"}
        parts = {key: texts.number(number(row[name])) for key, name in names.items()}
        points = [page.say("point.events", n=texts.number(number(row["events"])), **parts)]
        points.append(page.say("point.participants", n=written(page, row, "participants", long=True)))
        partners = texts.number(number(row["partners"]))
        if missing(row["partners_returned"]):
            points.append(page.say("point.partners_first", n=partners))
        else:
            back = texts.number(number(row["partners_returned"]))
            points.append(page.say("point.partners", n=partners, back=back))
    found = [(one, row_of(page, answers, area, item=one.name)) for one in spec.item]
    shown = [(one, cell) for one, cell in found if cell["status"] == "ok"]
    for one, cell in shown:
        label = one.label.text(texts.language)
        n = texts.number(number(cell["n"]))
        points.append(
            page.say("point.feedback", item=label, n=n, share=share_of(page, cell), good=spec.scale.good)
        )
    if not shown:
        hidden = any(cell["status"] == "withheld" for _, cell in found)
        key = "point.withheld" if hidden else "point.no_feedback"
        points.append(page.say(key, minimum=spec.monitoring.minimum_answers))
    return points


def _by_area(page: Page, table: pd.DataFrame, names: Sequence[str], caption: str, note: str = "") -> Table:
    rows = [(page.area(code), row_of(page, table, code)) for code in page.areas]
    return Table(
        caption=caption,
        columns=(
            Column(label=page.say("activities.area")),
            *(Column(label=page.say(f"activities.{name}"), numeric=True) for name in names),
        ),
        rows=tuple((label, *(written(page, row, name) for name in names)) for label, row in rows),
        note=note,
    )


def _year_tables(page: Page, table: pd.DataFrame) -> list[Table]:
    caption = page.say("activities.caption_year", year=page.year)
    numbers = ("events", "network_meetings", "trainings", "workshops", "participants")
    reach = ("languages", "multilingual", "accessible_share", "cost", "cost_per_participant")
    note, budget = page.say("activities.note"), page.known.spec.budget
    if budget is not None:
        note += " " + page.say("activities.budget", n=page.texts.number(budget.eur_per_area_year))
    return [_by_area(page, table, numbers, caption), _by_area(page, table, reach, caption, note)]


def _cells(page: Page, table: pd.DataFrame, area: str) -> dict[str, str]:
    return {key: written(page, row_of(page, table, area), key) for key in _ROWS}
