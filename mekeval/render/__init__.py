"""Pages for readers: a report, the error page of a failed job, and the index that joins the reports.

In: an executed notebook, or the facts of a failure or of a year's reports, and the names around them.
Out: one self-contained accessible HTML page as text, the same for the same input. Never: a request to the
outside, a script, a page of a notebook that failed, an unescaped name, a date of its own, or a file written.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Literal

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from nbformat import NotebookNode

from ..errors import MekevalError, closest
from ..shipped import version
from ..text import Texts, visible
from .notebook import MAIN_ID, TEMPLATE_FOLDER, notebook_fragment, safe_href

__all__ = ["VERDICTS", "IndexEntry", "ReportPage", "render_failure", "render_index", "render_report"]

VERDICTS = ("improved", "worsened", "no_detectable_effect", "fragile", "not_identifiable")
"""The verdict codes, in the order of the legend."""


@dataclass(frozen=True, kw_only=True)
class ReportPage:
    """What stands around the content of a report.

    Attributes
    ----------
    title : str
        Of the browser window; also the page's heading when the notebook brings none.
    language : str
        Code of the page's language, one of `mekeval.text.LANGUAGES`.
    description : str
        One sentence for search engines.
    synthetic : bool
        Whether the data are made up; the page then says so first.
    siblings : tuple of (str, str)
        Language code and relative address of the same page in the other languages.
    index_href, notebook_href : str
        Relative addresses; the link is left out when empty.
    programme : str
        Name of the programme, in the page header.
    """

    title: str
    language: str
    description: str
    synthetic: bool
    siblings: tuple[tuple[str, str], ...]
    index_href: str
    notebook_href: str
    programme: str


@dataclass(frozen=True, kw_only=True)
class IndexEntry:
    """One area in one year, a row of the index.

    Attributes
    ----------
    year : int
    area : str
        Name as shown.
    kind : {"city", "district"}
        The city's row comes first.
    href : str
        Relative address of the report; not used when `failed` and not `stale`.
    verdicts : tuple of (str, str)
        Outcome as shown, and its verdict, one of `VERDICTS`.
    failed : bool
        Whether this run failed.
    stale : bool
        Whether `href` is the last good report of an earlier run, because this run failed.
    error_href : str
        Relative address of the error page; the link is left out when empty.
    """

    year: int
    area: str
    kind: Literal["city", "district"]
    href: str
    verdicts: tuple[tuple[str, str], ...]
    failed: bool
    stale: bool
    error_href: str = ""


def render_report(notebook: NotebookNode, *, page: ReportPage) -> str:
    """Make the page of an executed notebook.

    Code, printed text and plain-text results are left out; Markdown cells and results in HTML, Markdown or as
    an image with alternative text are shown. HTML classes with a look: see ``template/style.css``.

    Parameters
    ----------
    notebook : nbformat.NotebookNode
        Executed; it is not changed.
    page : ReportPage

    Returns
    -------
    str
        A whole HTML document.

    Raises
    ------
    MekevalError
        The notebook holds an error, an image without alternative text, more than one level-1 heading, a
        script, or anything else that may not be published; the cell is named.

    Examples
    --------
    >>> from nbformat.v4 import new_markdown_cell, new_notebook
    >>> page = ReportPage(
    ...     title="Hakunila 2024",
    ...     language="en",
    ...     description="Did the programme work in Hakunila?",
    ...     synthetic=False,
    ...     siblings=(("fi", "hakunila.fi.html"),),
    ...     index_href="index.en.html",
    ...     notebook_href="hakunila.ipynb",
    ...     programme="Positive discrimination programme",
    ... )
    >>> html = render_report(new_notebook(cells=[new_markdown_cell("# Hakunila")]), page=page)
    >>> "<h1>Hakunila</h1>" in html
    True
    """
    fragment = notebook_fragment(notebook)
    return _render(
        "report.html.j2",
        page=page,
        content=Markup(fragment.html),
        has_heading=fragment.has_heading,
    )


def render_failure(*, page: ReportPage, job: str, message: str, parameters: Mapping[str, object]) -> str:
    """Make the error page of a failed job.

    Parameters
    ----------
    page : ReportPage
        As for the report that failed.
    job : str
        Name of the job, as the run's log has it.
    message : str
        What went wrong, shown as it is, escaped.
    parameters : mapping of str to object
        What the job was run with, shown in this order.

    Returns
    -------
    str
        A whole HTML document.

    Examples
    --------
    >>> page = ReportPage(
    ...     title="Hakunila 2031",
    ...     language="en",
    ...     description="Error page",
    ...     synthetic=False,
    ...     siblings=(),
    ...     index_href="index.en.html",
    ...     notebook_href="",
    ...     programme="Positive discrimination programme",
    ... )
    >>> html = render_failure(
    ...     page=page, job="hakunila-2031", message="no data < 2031", parameters={"year": 2031}
    ... )
    >>> "no data &lt; 2031" in html
    True
    """
    rows = [(name, str(value)) for name, value in parameters.items()]
    return _render("failure.html.j2", page=page, job=job, message=message.strip(), parameters=rows)


def render_index(
    entries: Sequence[IndexEntry],
    *,
    title: str,
    language: str,
    synthetic: bool,
    programme: str,
    attribution: str,
    siblings: Sequence[tuple[str, str]],
    downloads: Sequence[tuple[str, str]],
    as_of: date | None = None,
) -> str:
    """Make the index page of one language.

    Parameters
    ----------
    entries : sequence of IndexEntry
        Shown by year, newest first; within a year the city first, then in the order given. Outcomes are
        columns in the order of their first appearance.
    title, language, synthetic, programme
        As in `ReportPage`; the title is the page's heading.
    attribution : str
        Where the data come from, as their licences ask; left out when empty.
    siblings : sequence of (str, str)
        Language code and relative address of the index in the other languages.
    downloads : sequence of (str, str)
        Name as shown, and relative address.
    as_of : date, optional
        The day that the reports are as of, where later releases were left out.

    Returns
    -------
    str
        A whole HTML document.

    Raises
    ------
    MekevalError
        A verdict is not one of `VERDICTS`.

    Examples
    --------
    >>> entry = IndexEntry(
    ...     year=2024,
    ...     area="Hakunila",
    ...     kind="district",
    ...     href="2024/hakunila.en.html",
    ...     verdicts=(("Unemployment rate", "fragile"),),
    ...     failed=False,
    ...     stale=False,
    ... )
    >>> html = render_index(
    ...     [entry],
    ...     title="Did the programme work?",
    ...     language="en",
    ...     synthetic=False,
    ...     programme="Positive discrimination programme",
    ...     attribution="Statistics Finland, CC BY 4.0",
    ...     siblings=[("fi", "index.fi.html")],
    ...     downloads=[("findings.json", "findings.json")],
    ... )
    >>> "verdict-fragile" in html
    True
    """
    texts = Texts(language)
    page = ReportPage(
        title=title,
        language=language,
        description=texts("index.description", programme=programme),
        synthetic=synthetic,
        siblings=tuple(siblings),
        index_href="",
        notebook_href="",
        programme=programme,
    )
    years = sorted({entry.year for entry in entries}, reverse=True)
    tables = [_year_table(year, [entry for entry in entries if entry.year == year]) for year in years]
    return _render(
        "index.html.j2",
        page=page,
        tables=tables,
        verdicts=VERDICTS,
        attribution=attribution,
        downloads=list(downloads),
        as_of=texts("report.quality.as_of", date=texts.date(as_of)) if as_of else "",
    )


@dataclass(frozen=True, kw_only=True)
class _YearTable:
    year: int
    outcomes: tuple[str, ...]
    rows: tuple[tuple[IndexEntry, tuple[str | None, ...]], ...]  # the verdicts stand under their outcomes


def _year_table(year: int, entries: Sequence[IndexEntry]) -> _YearTable:
    for entry in entries:
        for outcome, verdict in entry.verdicts:
            if verdict not in VERDICTS:
                raise MekevalError(
                    "There is no such verdict.",
                    where=f"index, {entry.area} {year}, {outcome}",
                    found=repr(verdict),
                    expected=closest(verdict, VERDICTS),
                )
    ordered = sorted(entries, key=lambda entry: entry.kind != "city")
    outcomes = tuple(dict.fromkeys(outcome for entry in ordered for outcome, _ in entry.verdicts))
    rows = tuple(
        (entry, tuple(verdicts.get(outcome) for outcome in outcomes))
        for entry, verdicts in ((entry, dict(entry.verdicts)) for entry in ordered)
    )
    return _YearTable(year=year, outcomes=outcomes, rows=rows)


def _render(template: str, *, page: ReportPage, **parts: object) -> str:
    others = [
        (code, Texts(code)("page.language_name"), href)
        for code, href in page.siblings
        if code != page.language
    ]
    html = (
        _environment()
        .get_template(template)
        .render(
            page=page,
            others=others,
            text=Texts(page.language),
            style=Markup(_style()),
            version=version(),
            main_id=MAIN_ID,
            **parts,
        )
    )
    return html.strip() + "\n"


def _visible(value: object) -> object:
    """A value of a template; a text, be it markup, without characters that hide or turn others around."""
    return type(value)(visible(value)) if isinstance(value, str) else value


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATE_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["href"] = safe_href
    return environment


@cache
def _style() -> str:
    """The style sheet without its comments."""
    source = (TEMPLATE_FOLDER / "style.css").read_text(encoding="utf-8")
    return re.sub(r"\n{2,}", "\n", re.sub(r"/\*.*?\*/", "", source, flags=re.DOTALL)).strip()
