"""The site of a study: a page in each language that joins all years and areas, a feed of new reports, a CSV file.

In: what a published set says of itself (`SetFacts`). Out: the texts of files, the same for the same set. Never: a
link to a file that is not there, a request to the outside, a script but the page's own, or a file written.
"""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cache
from urllib.parse import quote

import pandas as pd

from ..errors import MekevalError
from ..shipped import version
from ..tables import frame_csv
from ..text import LANGUAGES, Texts
from . import TEMPLATE_FOLDER, ReportPage, rendered
from .feed import FeedEntry, atom_feed
from .record import VERDICTS, Report, SetFacts
from .verdicts import SYMBOLS, SiteView

__all__ = ["findings_csv", "join_files", "page_name", "require_address", "site_files"]


def page_name(languages: Sequence[str], language: str) -> str:
    """`index.html` in the first language, `index.<language>.html` in the others."""
    return "index.html" if language == languages[0] else f"index.{language}.html"


def site_files(
    facts: SetFacts, *, name: str, base: str = "", anchors: Mapping[str, Collection[str]] | None = None
) -> dict[str, str]:
    """Make the pages and feeds of one set.

    Parameters
    ----------
    facts : SetFacts
    name : str
        Of the set: the study's, with the day where it is as of a day.
    base : str
        Address at which the set's folder will be found, for the feed; empty where it is not known.
    anchors : mapping of str to collection of str, optional
        By name of a report's page, the ids in it that a link may lead to.

    Returns
    -------
    dict of str to str
        By file name: a page and a feed for each language of the study.

    Raises
    ------
    MekevalError
        `base` is no address of a folder on the web.
    """
    require_address(base)
    files: dict[str, str] = {}
    for language in facts.study.languages:
        view = SiteView(facts, language, anchors or {})
        files[page_name(facts.study.languages, language)] = _page(view)
        files[_feed_name(facts.study.languages, language)] = _feed(view, name, base)
    return files


def require_address(base: str) -> None:
    """Refuse what is no address of a folder on the web; none is well."""
    if base and not re.fullmatch(r"https?://[^\s<>\"']+/", base):
        raise MekevalError(
            "The feed needs the address of a folder.",
            where="--base",
            found=repr(base)[:120],
            expected="such as https://example.org/reports/, with the slash at the end",
        )


def findings_csv(records: object, facts: SetFacts) -> str:
    r"""The findings as a table that no spreadsheet obeys: numbers in full, texts that look like a formula as text.

    Parameters
    ----------
    records : object
        The content of findings.json.
    facts : SetFacts
        Read from the same file; gives the names of areas and outcomes by language.

    Returns
    -------
    str
        One row for each finding, its columns the plain values of findings.json; lines end with LF.
    """
    rows = (
        [dict(record) for record in records if isinstance(record, Mapping)]
        if isinstance(records, list)
        else []
    )
    outcomes = {one.name: one.label for one in facts.study.outcomes}
    areas = {one.code: one.name for one in facts.study.areas}
    areas |= {one.subject: facts.study.city for one in facts.reports if one.kind == "city"}
    first = ["year", "subject", "area", "outcome"]
    for row in rows:
        for language in facts.study.languages:
            row[f"area_{language}"] = areas.get(str(row["subject"]), {}).get(language, row.get("area"))
            row[f"outcome_{language}"] = outcomes.get(str(row["outcome"]), {}).get(language, row["outcome"])
    plain = {
        name
        for row in rows
        for name, value in row.items()
        if not isinstance(value, (dict, list)) and name not in first
    }
    named = [f"{kind}_{language}" for kind in ("area", "outcome") for language in facts.study.languages]
    results = ["role", "verdict", "certainty", "size", "unit", "estimate", "low", "high", "alpha", "p_value"]
    ordered = [*first, *named, *results, *sorted(plain - {*named, *results})]
    return frame_csv(pd.DataFrame({name: _column([row.get(name) for row in rows]) for name in ordered}))


def _column(values: Sequence[object]) -> pd.Series:
    """Numbers as numbers, everything else as text."""
    given = [value for value in values if value is not None]
    if given and all(isinstance(value, int) and not isinstance(value, bool) for value in given):
        return pd.Series(values, dtype="Int64")
    if given and all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in given):
        return pd.Series([math.nan if value is None else value for value in values], dtype="float64")
    words = [value if value is None or isinstance(value, str) else str(value).lower() for value in values]
    return pd.Series(words, dtype="object")


def join_files(sets: Mapping[str, SetFacts]) -> dict[str, str]:
    """Make the pages that join several studies in one folder.

    Parameters
    ----------
    sets : mapping of str to SetFacts
        By name of the set's folder.

    Returns
    -------
    dict of str to str
        `index.html` in the first language of the first study, and a page for each other language.
    """
    ordered = sorted(sets.items())
    languages = list(dict.fromkeys(code for _, facts in ordered for code in facts.study.languages))
    pages = {}
    for language in languages:
        texts = Texts(language)
        rows = []
        for name, facts in ordered:
            own = facts.study.languages
            shown = language if language in own else own[0]
            plan = facts.plan.state if facts.plan else "unknown"
            rows.append(
                {
                    "href": f"{quote(name, safe='@')}/{page_name(own, shown)}",
                    "title": facts.study.title[shown],
                    "language": shown if shown != language else "",
                    "synthetic": facts.study.synthetic,
                    "as_of": texts("report.quality.as_of", date=texts.date(facts.as_of))
                    if facts.as_of
                    else "",
                    "years": ", ".join(
                        map(
                            str,
                            sorted(
                                {one.year for one in facts.reports if one.kind in ("city", "district")},
                                reverse=True,
                            ),
                        )
                    )
                    or texts("site.join.none"),
                    "plan": texts(f"site.plan.{plan}.word"),
                    "languages": [
                        (
                            code,
                            Texts(code)("page.language_name"),
                            f"{quote(name, safe='@')}/{page_name(own, code)}",
                        )
                        for code in own
                    ],
                }
            )
        page = ReportPage(
            title=texts("site.join.title"),
            language=language,
            description=texts("site.join.lead"),
            synthetic=all(facts.study.synthetic for _, facts in ordered),
            siblings=tuple((other, page_name(languages, other)) for other in languages if other != language),
            index_href="",
            notebook_href="",
            programme=texts("site.join.title"),
        )
        pages[page_name(languages, language)] = rendered(
            "join.html.j2", page=page, more_style=_styles(), rows=rows
        )
    return pages


def _page(view: SiteView) -> str:
    facts, texts, languages = view.facts, view.texts, view.facts.study.languages
    title = facts.study.title[view.language]  # type: ignore[index]
    page = ReportPage(
        title=title,
        language=view.language,
        description=texts("site.description", programme=title),
        synthetic=facts.study.synthetic,
        siblings=tuple((other, page_name(languages, other)) for other in languages if other != view.language),
        index_href="",
        notebook_href="",
        programme=title,
    )
    tables = tuple(view.tables())
    style = "\n".join([_styles(), *_filter_rules(view.years, len(view.outcomes))])
    mapped = any(table.maps for table in tables)
    return rendered(
        "site.html.j2",
        page=page,
        more_style=style,
        script=_script() if tables else "",
        facts=facts.study,
        as_of=texts("report.quality.as_of", date=texts.date(facts.as_of)) if facts.as_of else "",
        plan=view.plan(),
        tables=tables,
        outcomes=view.outcomes,
        histories=tuple(view.histories()),
        history_years=sorted(view.years),
        ground=view.ground() if mapped else ("", ""),
        size_note=view.size_note(),
        verdicts=VERDICTS,
        symbols=SYMBOLS,
        quality=view.quality(),
        downloads=_downloads(view),
        attribution=facts.study.attribution.get(view.language, ""),  # type: ignore[call-overload]
        feed_href=_feed_name(languages, view.language),
        feed_title=texts("site.feed", programme=title),
        language_names={code: Texts(code)("page.language_name") for code in LANGUAGES},
    )


def _feed(view: SiteView, name: str, base: str) -> str:
    """The reports in this language that are there."""
    facts, texts = view.facts, view.texts
    title = facts.study.title[view.language]  # type: ignore[index]
    entries = []
    for report in facts.reports:
        if report.language != view.language or (report.failed and not report.stale):
            continue
        said = [
            f"{outcome.label}: {texts(f'verdict.{cell.verdict}.word')}"
            for outcome in view.outcomes
            if report.kind in ("city", "district") and (cell := view.cell_of(report, outcome)).verdict
        ]
        entries.append(
            FeedEntry(
                name=report.name,
                title=_feed_title(view, report),
                summary="; ".join(said)
                or (texts("site.no_verdict") if report.kind in ("city", "district") else title),
                href=quote(f"{report.name}.html", safe="/@"),
                updated=_moment(report.made) or facts.ended,
            )
        )
    return atom_feed(
        entries,
        name=name,
        language=view.language,
        title=texts("site.feed", programme=title),
        subtitle=texts("page.synthetic") if facts.study.synthetic else "",
        author=title,
        href=_feed_name(facts.study.languages, view.language),
        page=page_name(facts.study.languages, view.language),
        updated=facts.ended,
        generator=version(),
        base=base,
    )


def _feed_title(view: SiteView, report: Report) -> str:
    if report.kind == "quality":
        return view.texts("site.quality")
    title = f"{view.area_of(report)} {report.year}"
    said = view.texts("site.changes")
    return f"{title}: {said[:1].lower()}{said[1:]}" if report.kind == "changes" else title


def _downloads(view: SiteView) -> list[tuple[str, str]]:
    wanted = (("csv", "findings.csv"), ("json", "findings.json"), ("manifest", "manifest.json"))
    found = [(kind, name) for kind, name in wanted if name in view.facts.files]
    return [*found, ("feed", _feed_name(view.facts.study.languages, view.language))]


def _feed_name(languages: Sequence[str], language: str) -> str:
    return "feed.xml" if language == languages[0] else f"feed.{language}.xml"


def _moment(text: str) -> datetime.datetime | None:
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)


def _filter_rules(years: Sequence[int], n_outcomes: int) -> Iterator[str]:
    """The filters work by these rules alone; a browser that does not know them shows everything."""
    for year in years:
        yield f"main:has(#year-{year}:checked) .year:not(#y{year}, :target) {{ display: none; }}"
    for at in range(n_outcomes):
        yield f"main:has(#outcome-{at}:checked) .o:not(.o{at}) {{ display: none; }}"


@cache
def _styles() -> str:
    source = (TEMPLATE_FOLDER / "site.css").read_text(encoding="utf-8")
    return re.sub(r"/\*.*?\*/\n?", "", source, flags=re.DOTALL).strip()


@cache
def _script() -> str:
    return (TEMPLATE_FOLDER / "site.js").read_text(encoding="utf-8").strip()
