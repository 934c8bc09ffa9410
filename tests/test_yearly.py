"""The comparison with last year's report: what it says, and when there is one."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from mekeval.changes import Difference, changes_between, require_earlier_year
from mekeval.errors import DesignError, RunError
from mekeval.evaluation import ALL, Evaluation
from mekeval.indicators import clean_indicators
from mekeval.report.yearly import changes_sections
from mekeval.run import plan_jobs
from mekeval.run.asked import ask
from mekeval.run.matrix import not_made
from mekeval.study import Study
from mekeval.text import Texts

PAIR = (2024, 2025)


@pytest.fixture(scope="module")
def now(evaluated: Callable[..., Evaluation]) -> Evaluation:
    return evaluated(year=PAIR[1])


@pytest.fixture(scope="module")
def found(evaluated: Callable[..., Evaluation], now: Evaluation) -> Difference:
    then = evaluated(year=PAIR[0])
    primary = now.study.plan.primary
    some = (
        replace(one, findings={key: it for key, it in one.findings.items() if key[0] in primary})
        for one in (then, now)
    )
    return changes_between(*some)


def told(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page))


def with_verdicts(found: Difference, n: int) -> Difference:
    """The same with the verdicts of the first `n` findings of both years changed, and of no other."""
    changed, left = [], n
    for one in found.findings:
        what = tuple(name for name in one.what if name != "verdict")
        old = one.old
        if old is not None and one.new is not None:
            other = "fragile" if one.new.verdict != "fragile" else "improved"
            old = old.model_copy(update={"verdict": other if left > 0 else one.new.verdict})
            what = ("verdict", *what) if left > 0 else what
            left -= 1
        changed.append(replace(one, old=old, what=what))
    return replace(found, findings=tuple(changed))


@pytest.mark.parametrize(
    ("n", "language", "said"),
    [
        (0, "en", "None of the {n} verdicts has changed."),
        (1, "en", "One of the {n} verdicts has changed."),
        (3, "en", "3 of the {n} verdicts have changed."),
        (0, "fi", "Yksikään {n} johtopäätöksestä ei ole muuttunut."),
        (3, "fi", "{n} johtopäätöksestä 3 on muuttunut."),
        (3, "sv", "3 av de {n} slutsatserna har ändrats."),
    ],
)
def test_the_first_line_counts_the_verdicts_that_changed(
    now: Evaluation, found: Difference, n: int, language: str, said: str
) -> None:
    report = changes_sections(now, with_verdicts(found, n), Texts(language))
    both = sum(one.old is not None and one.new is not None for one in found.findings)
    assert said.format(n=both) in told(report.summary.html)
    assert report.summary.html.count("&rarr;") == 0  # written as a letter
    arrows = len(re.findall(r'<span class="to">', report.summary.html))
    new = sum((one.old is None) != (one.new is None) for one in found.findings)
    assert arrows == n + new


def test_the_first_screen_says_by_how_much_and_why(now: Evaluation, found: Difference) -> None:
    words = told(changes_sections(now, found, Texts("en")).summary.html)
    for one in found.findings:
        if one.subject != ALL or one.old is None or one.new is None or not one.parts:
            continue
        assert one.old.estimate is not None
        assert one.new.estimate is not None
        then, later = (
            f"{value:+.2f}".replace("-", "\N{MINUS SIGN}") for value in (one.old.estimate, one.new.estimate)
        )
        if then == later and len(one.parts) == 1:
            assert re.search(
                rf"{re.escape(later)}\W+pp in 2025, at this precision the same as in 2024", words
            )
            continue
        assert re.search(rf"{re.escape(then)}\W+pp \(2024\) → {re.escape(later)}\W+pp \(2025\)", words)
    assert "Both are judged by the same definition." in words
    assert "{" not in words


def test_every_section_is_in_each_language_and_names_every_area(now: Evaluation, found: Difference) -> None:
    titles = {}
    for language in ("fi", "sv", "en"):
        report = changes_sections(now, found, Texts(language))
        titles[language] = report.title
        for name in ("summary", "why", "samples", "revised", "made"):
            html = getattr(report, name).html
            assert "{" not in told(html), (language, name)
        for code in now.design.treated:
            assert now.study.areas.name(code, language) in report.summary.html
            assert now.study.areas.name(code, language) in report.why.html
        assert report.findings.records == ()
    assert len(set(titles.values())) == 3
    assert all("2024" in title and "2025" in title for title in titles.values())


def test_names_from_the_data_are_text(now: Evaluation, found: Difference) -> None:
    bad = "<img src=x onerror=alert(1)>"
    areas = {code: dict.fromkeys(("fi", "sv", "en"), bad) for code in now.design.treated}
    outcomes = {name: dict.fromkeys(("fi", "sv", "en"), bad) for name in now.study.plan.primary}
    hurt = replace(with_verdicts(found, 20), areas=areas, outcomes=outcomes)
    report = changes_sections(now, hurt, Texts("fi"))
    for name in ("summary", "why", "samples", "revised"):
        assert "<img" not in getattr(report, name).html
    assert "&lt;img" in report.summary.html


def test_there_is_one_where_there_is_an_earlier_year_and_elsewhere_the_run_says_why(example: Study) -> None:
    asked = ask(example.folder, years=[2019, 2025], languages=["fi"], kinds=["changes"])
    jobs = plan_jobs(example, years=[2019, 2025], languages=["fi"], kinds=["changes"])
    assert [(job.name, job.kind, job.subject) for job in jobs] == [("2025/changes.fi", "changes", "all")]
    (lacking,) = not_made(asked, example)
    assert (lacking.name, lacking.state) == ("2019/changes.fi", "not made")
    assert "no area was in the programme by 2018" in lacking.why
    every = plan_jobs(example, years=[2025], languages=["fi"])
    assert [job.kind for job in every].count("changes") == 1
    with pytest.raises(RunError, match="No year"):
        plan_jobs(example, years=[], kinds=["changes"])


def test_one_year_only_has_nothing_to_compare_with(example: Study) -> None:
    indicators = clean_indicators(example)
    only = replace(indicators, table=indicators.table.loc[indicators.table["year"] == 2025])
    with pytest.raises(DesignError, match="no earlier report") as caught:
        require_earlier_year(example, only, 2025)
    assert "no data on a primary outcome" in str(caught.value)
    require_earlier_year(example, indicators, 2020)


@pytest.mark.parametrize("language", ["fi", "sv", "en"])
def test_no_sentence_ends_twice_and_the_heading_is_a_statement(
    now: Evaluation, found: Difference, language: str
) -> None:
    report = changes_sections(now, found, Texts(language))
    for part in (report.summary, report.why, report.samples, report.revised, report.made):
        assert ".." not in told(part.html)
    assert "?" not in report.title
