"""Pages for readers: a report, the error page of a failed job; `site` makes the pages that join the reports.

In: an executed notebook, or the facts of a failure, and the names around them.
Out: one self-contained accessible HTML page as text, the same for the same input. Never: a request to the
outside, a script from the content, a page of a notebook that failed, an unescaped name, a date of its own,
or a file written.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ..shipped import version
from ..text import Texts, visible
from .policy import content_policy, safe_href

if TYPE_CHECKING:
    from nbformat import NotebookNode

TEMPLATE_FOLDER = Path(__file__).parent / "template"
MAIN_ID = "content"
"""The id of the page's main element, target of the skip link; notebook content may not use it."""

#: Letters of a text at the head of a sheet of paper.
_LONGEST_HEAD = 80

__all__ = ["ReportPage", "render_failure", "render_report", "rendered"]


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
    from .notebook import notebook_fragment  # the notebook tools, which other pages do without

    fragment = notebook_fragment(notebook)
    return rendered(
        "report.html.j2",
        page=page,
        content=Markup(fragment.html),
        has_heading=fragment.has_heading,
        contents=fragment.contents,
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
    return rendered("failure.html.j2", page=page, job=job, message=message.strip(), parameters=rows)


def rendered(
    template: str, *, page: ReportPage, more_style: str = "", script: str = "", **parts: object
) -> str:
    """Fill a template of this folder, under a policy that lets nothing but its style sheet and script work.

    Parameters
    ----------
    template : str
    page : ReportPage
    more_style : str
        What follows the style sheet that all pages have.
    script : str
        The page's one script; none when empty.
    **parts : object
        What the template asks for.

    Returns
    -------
    str
        A whole HTML document.
    """
    style = "\n".join(filter(None, (_style(), more_style, _paper(page))))
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
            style=Markup(style),
            script=Markup(script),
            policy=content_policy(f"\n{style}\n", f"\n{script}\n" if script else ""),
            version=version(),
            main_id=MAIN_ID,
            **parts,
        )
    )
    return html.strip() + "\n"


def _paper(page: ReportPage) -> str:
    """Head and foot of the sheets of paper: the page's title, the programme, and the number of the sheet.

    The words stand in the style sheet, since no browser takes them from the page: each sign that could mean something
    there is written as its number.
    """

    def quoted(words: str) -> str:
        short = (
            words if len(words) <= _LONGEST_HEAD else f"{words[: _LONGEST_HEAD - 1]}\N{HORIZONTAL ELLIPSIS}"
        )
        plain = " ".join(visible(short).split())
        return '"' + re.sub(r"[^\w .,:-]", lambda sign: f"\\{ord(sign[0]):06x} ", plain) + '"'

    texts = Texts(page.language)
    before, between = texts("page.sheet", n="\0", m="\0").split("\0")[:2]
    number = f'{quoted(before)[:-1]} " counter(page) " {quoted(between.strip())[1:-1]} " counter(pages)'
    heads = (
        f"@top-left {{ content: {quoted(page.title)}; }} @top-right {{ content: {quoted(page.programme)}; }}"
    )
    return (
        f"@media print {{ @page {{ {heads} @bottom-right {{ content: {number}; }} }}\n"
        "@page :first { @top-left { content: none; } @top-right { content: none; } } }"
    )


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
