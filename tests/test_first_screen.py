"""The first screen of a report and the page around it: short, true to the numbers, whole whatever the data are."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from itertools import pairwise

import nbformat.v4 as nb
import numpy as np
import pytest

from mekeval import MekevalError, StudyError, example_study, read_study
from mekeval.evaluation import ALL, Evaluation, evaluate
from mekeval.figures.words import lower_first
from mekeval.findings import VERDICTS
from mekeval.render import ReportPage, render_report
from mekeval.report.after import after_tables
from mekeval.report.city import city_sections
from mekeval.report.district import district_sections
from mekeval.report.first import MOST_POINTS, found_line, interval_bar, verdict_matrix, verdict_rows
from mekeval.report.parts import Report
from mekeval.store import Store, filling
from mekeval.study.schema_data import Words
from mekeval.tables import Table
from mekeval.text import LANGUAGES, Texts

HAKUNILA = "09294"
RATE, LOW_INCOME = "unemployment_rate", "low_income_rate"
Both = Callable[[str], "tuple[Report, Report]"]
PARTS = ("summary", "picture", "situation", "programme", "effect", "trust", "quality", "method")


@pytest.fixture(scope="module")
def evaluation(evaluated: Callable[..., Evaluation]) -> Evaluation:
    return evaluated(2021)


class Elements(HTMLParser):
    """The elements of a page, and which texts stand in which."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, dict[str, str]]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attrs for name, attrs in self.found if name == tag]


def plain(text: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", text)).split())


def page_of(report: Report) -> str:
    cells = [
        nb.new_code_cell(
            "report.part",
            outputs=[nb.new_output("display_data", data={"text/html": getattr(report, part)._repr_html_()})],
        )
        for part in PARTS
    ]
    page = ReportPage(
        title=report.title,
        language=report.language,
        description=report.description,
        synthetic=True,
        siblings=(),
        index_href="",
        notebook_href="",
        programme="Programme",
    )
    return render_report(nb.new_notebook(cells=cells), page=page)


def points_of(report: Report) -> list[str]:
    listed = re.search(r'<ul class="main-points">(.*?)</ul>', report.summary.html, flags=re.S)
    assert listed is not None
    return [plain(one) for one in re.findall(r"<li>(.*?)</li>", listed[1], flags=re.S)]


@pytest.fixture(scope="module")
def both(evaluation: Evaluation, evaluations: Store) -> Callable[[str], tuple[Report, Report]]:
    """The city's report and a district's, made once for each language, with what languages share made once."""

    @cache
    def made(language: str) -> tuple[Report, Report]:
        texts = Texts(language)
        with filling(evaluations):
            return city_sections(evaluation, texts), district_sections(evaluation, HAKUNILA, texts)

    return made


def made_of(evaluation: Evaluation, texts: Texts) -> tuple[Report, Report]:
    return city_sections(evaluation, texts), district_sections(evaluation, HAKUNILA, texts)


def untested(evaluation: Evaluation) -> Evaluation:
    """As if no outcome could be judged."""
    findings = {
        key: replace(
            one,
            verdict="not_identifiable",
            certainty="very_low",
            because="data",
            reason="incomplete",
            facts={},
            inference=None,
            plain=None,
            placebo=None,
            compared=None,
            checks=(),
            size="unknown",
        )
        for key, one in evaluation.findings.items()
    }
    return replace(evaluation, findings=findings, adjusted=None, plain=(), after={}, effects={}, others={})


@pytest.mark.parametrize("language", LANGUAGES)
def test_main_points_are_few_and_one_sentence_each(evaluation: Evaluation, both: Both, language: str) -> None:
    for report in both(language):
        points = points_of(report)
        assert 2 <= len(points) <= MOST_POINTS == 6
        for point in points:
            assert point.endswith("."), point
            # Within, a full stop ends an abbreviation (fi "%-yks.", sv "%-enh."), never a sentence.
            rest = re.sub(r"%.(yks|enh)\.", "%", point)
            assert not re.search(r"[.!?]\s", rest), point
        assert len(set(points)) == len(points)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_heading_states_each_primary_verdict(evaluation: Evaluation, both: Both, language: str) -> None:
    """Each verdict's word, and in brackets after it exactly the primary outcomes that have it."""
    texts, study = Texts(language), evaluation.study
    for report, subject in zip(both(language), (ALL, HAKUNILA), strict=True):
        (heading,) = re.findall(r"<h1[^>]*>(.*?)</h1>", report.summary.html, flags=re.S)
        said = plain(heading)
        assert "2021: " in said and "?" not in said
        told = dict(re.findall(r"([^;:(]+) \(([^)]*)\)", said.partition(": ")[2]))
        assert set(told) and Counter(
            {(word.strip(), label) for word, some in told.items() for label in some.split("; ")}
        ) == Counter(
            (
                texts(f"verdict.{evaluation.findings[outcome, subject].verdict}.word").lower(),
                lower_first(study.indicator(outcome).label.text(language)),
            )
            for outcome in study.plan.primary
        )


def test_a_heading_of_many_or_long_outcomes_counts_them(evaluation: Evaluation) -> None:
    plan = evaluation.study.plan
    findings = [evaluation.findings[outcome, ALL] for outcome in plan.outcomes]
    every = plan.model_copy(update={"primary": plan.outcomes, "secondary": ()})
    spec = evaluation.study.spec.model_copy(update={"plan": every})
    of_four = replace(evaluation, study=replace(evaluation.study, spec=spec))
    same = [replace(one, verdict="fragile") for one in findings]
    assert found_line(of_four, same, Texts("en")) == f"fragile ({len(same)} primary outcomes)"
    mixed = [*same[:-1], replace(same[-1], verdict="improved")]
    assert found_line(of_four, mixed, Texts("fi")) == (
        f"parani (1 ensisijainen tunnusluku); epävarma ({len(same) - 1} ensisijaista tunnuslukua)"
    )


def test_each_verdict_has_its_line_with_the_numbers_of_its_finding(
    evaluation: Evaluation, both: Both
) -> None:
    report = both("en")[1]
    rows = re.findall(
        r'<details class="finding verdict-(\w+)" id="[^"]*">\n<summary>(.*?)</summary>', report.summary.html
    )
    plan = evaluation.study.plan
    assert len(rows) == len(plan.outcomes)
    for outcome, (verdict, row) in zip(plan.outcomes, rows, strict=True):
        finding = evaluation.findings[outcome, HAKUNILA]
        assert verdict == finding.verdict in VERDICTS
        said = plain(row)
        assert said.startswith(Texts("en")(f"verdict.{verdict}.word"))
        result = finding.inference
        assert result is not None
        assert result.low is not None
        assert result.high is not None
        if outcome in (RATE, LOW_INCOME):
            numbers = [f"{value:+.1f}".replace("-", "\N{MINUS SIGN}") for value in (result.low, result.high)]
            numbers = [re.sub(r"^[+\N{MINUS SIGN}](0\.0)$", r"\1", one) for one in numbers]
            assert f"({numbers[0]} … {numbers[1]})" in said
        drawn = re.search(r'class="point" cx="([\d.]+)"', row)
        assert drawn is not None
        assert (float(drawn[1]) < 85) == (result.estimate < 0)  # the picture is 170 wide, zero in its middle


def test_a_size_in_people_is_a_range_where_zero_lies_inside(evaluation: Evaluation) -> None:
    one = evaluation.findings[RATE, HAKUNILA]
    result, (before, now) = one.inference, one.compared or ((), ())
    assert result is not None and before and now
    columns = [evaluation.panel.periods.index(year) for year in now]
    base = evaluation.panel.bases[RATE][evaluation.panel.units.index(HAKUNILA), columns].mean()

    def shown(low: float, high: float) -> str:
        altered = replace(one, inference=replace(result, estimate=-1.0, low=low, high=high))
        line = verdict_rows(evaluation, [altered], Texts("en"))
        return plain(line.split('class="people">')[1].split("</span>")[0])

    def tens(points: float) -> str:
        return f"{abs(round(points / 100 * base, -1)):,.0f}"

    assert shown(-2.0, -0.5) == f"{tens(-1.0)} fewer people"
    assert shown(-3.0, 1.0) == f"\N{MINUS SIGN}{tens(-3.0)} … +{tens(1.0)} people"


def test_an_interval_is_drawn_to_scale() -> None:
    """By hand: the farthest end (3) stands 6 from the edge of 170, so one unit is (85 - 6) / 3 = 26.33 wide."""
    drawn = interval_bar(-2.0, -3.0, -1.0, 1.0)
    assert 'class="zero" x1="85.0" x2="85.0"' in drawn
    assert 'class="ends" x1="6.0" x2="58.7"' in drawn  # 85 - 26.33
    assert 'class="point" cx="32.3"' in drawn  # 85 - 2 * 26.33
    assert 'class="small" x="58.7" y="1" width="52.7"' in drawn  # from -1 to 1
    assert "style=" not in drawn
    # What matters reaches farther than the interval: 1.25 * 4 = 5 sets the scale, 79 / 5 = 15.8.
    assert 'class="ends" x1="69.2" x2="100.8"' in interval_bar(0.0, -1.0, 1.0, 4.0)
    for given in ((1.0, None, 2.0), (1.0, 0.0, float("inf")), (float("nan"), 0.0, 1.0)):
        assert interval_bar(*given) == ""
    assert 'cx="85.0"' in interval_bar(0.0, 0.0, 0.0)


def test_key_figures_are_an_index_with_the_city_at_100(evaluation: Evaluation, both: Both) -> None:
    panel = evaluation.panel
    values, people = panel.values[RATE][:, -1], panel.bases[RATE][:, -1]
    there = ~np.isnan(values) & ~np.isnan(people)
    city = (values[there] * people[there]).sum() / people[there].sum()
    own = values[panel.units.index(HAKUNILA)]
    report = both("en")[1]
    assert f"Unemployment rate {own:.1f}% {city:.1f}% {100 * own / city:.0f}" in plain(report.summary.html)
    rows = [panel.units.index(code) for code in evaluation.design.treated]
    whole = (values[rows] * people[rows]).sum() / people[rows].sum()
    said = plain(both("en")[0].summary.html)
    assert f"Unemployment rate {whole:.1f}% {city:.1f}% {100 * whole / city:.0f}" in said


def test_the_gap_before_and_now_is_that_of_the_panel(evaluation: Evaluation, both: Both) -> None:
    panel = evaluation.panel
    row = panel.units.index(HAKUNILA)

    def gap(year: int) -> float:
        column = panel.periods.index(year)
        values, people = panel.values[RATE][:, column], panel.bases[RATE][:, column]
        there = ~np.isnan(values) & ~np.isnan(people)
        return float(values[row] - (values[there] * people[there]).sum() / people[there].sum())

    before = np.mean([gap(year) for year in range(2014, 2019)])
    (said,) = [one for one in points_of(both("en")[1]) if one.startswith("Unemployment rate: gap")]
    assert f"{gap(2021):+.1f} pp in 2021, {before:+.1f} pp before the programme (2014–2018)" in said


def test_what_was_done_is_one_line_with_the_money(evaluation: Evaluation, both: Both) -> None:
    """2 million a year since 2019, so 6 by 2021; the first wave has 24 measures (study.toml, measures.csv)."""
    city, district = (plain(one.summary.html).replace("\N{NO-BREAK SPACE}", " ") for one in both("en"))
    assert "24 measures; EUR 6,000,000 by 2021." in city
    assert "in the programme 2019–2021; 24 measures; about EUR" in district.replace("2019–2022", "2019–2021")


def test_the_matrix_has_every_area_and_outcome_and_the_whole_first(
    evaluation: Evaluation, both: Both
) -> None:
    text = both("en")[0].summary.html
    table = re.search(r'<div class="table-scroll matrix".*?</table>', text, flags=re.S)
    assert table is not None
    rows = re.findall(r"<tr.*?</tr>", table[0], flags=re.S)
    assert len(rows) == 2 + len(evaluation.design.treated)
    assert 'class="total"' in rows[1]
    for subject, row in zip((ALL, *evaluation.design.treated), rows[1:], strict=True):
        marks = re.findall(r"verdict-mark verdict-(\w+)", row)
        assert marks == [
            evaluation.findings[name, subject].verdict for name in evaluation.study.plan.outcomes
        ]
    heads = re.findall(r"<th scope=\"(\w+)\"", table[0])
    assert Counter(heads)["row"] == len(rows) - 1


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_is_well_built(evaluation: Evaluation, both: Both, language: str) -> None:
    for report in both(language):
        text = page_of(report)
        assert len(text.encode()) < 1_500_000
        page = Elements(text)
        levels = [int(tag[1]) for tag, _ in page.found if re.fullmatch("h[1-6]", tag)]
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(after <= before + 1 for before, after in pairwise(levels))
        ids = [attrs["id"] for _, attrs in page.found if "id" in attrs]
        assert len(set(ids)) == len(ids)
        links = [attrs["href"] for attrs in page.all("a") if attrs["href"].startswith("#")]
        assert {link[1:] for link in links} <= set(ids)
        order = ["verdicts", "picture", "situation", "programme", "effect", "trust", "data", "method"]
        assert [link[1:] for link in links if link != "#content"] == order
        assert not any("style" in attrs for _, attrs in page.found)
        assert all(attrs.get("scope") in ("col", "row") for attrs in page.all("th"))
        assert len(page.all("caption")) == len(page.all("table"))
        regions = [attrs for attrs in page.all("div") if "table-scroll" in attrs.get("class", "")]
        assert len(regions) == len(page.all("table"))
        assert all(attrs["tabindex"] == "0" and attrs["role"] == "region" for attrs in regions)
        style = text[text.index("<style>") + 7 : text.index("</style>")]
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        (policy,) = [attrs["content"] for attrs in page.all("meta") if "http-equiv" in attrs]
        assert f"style-src 'sha256-{digest}'" in policy
        assert "unsafe" not in policy


def words_of(study_label: str) -> Words:
    return Words(fi=study_label, sv=study_label, en=study_label)


def relabelled(evaluation: Evaluation, label: Words) -> Evaluation:
    spec = evaluation.study.spec
    named = tuple(
        one.model_copy(update={"label": label}) if one.name == RATE else one for one in spec.indicator
    )
    return replace(
        evaluation, study=replace(evaluation.study, spec=spec.model_copy(update={"indicator": named}))
    )


def renamed(evaluation: Evaluation, name: str) -> Evaluation:
    areas = evaluation.study.areas
    table = areas.table.copy()
    for column in [one for one in table.columns if one.startswith("name")]:
        table.loc[HAKUNILA, column] = name
    return replace(evaluation, study=replace(evaluation.study, areas=replace(areas, table=table)))


def elements(report: Report) -> Iterator[str]:
    """Names of elements and classes, in order: what a name may not change."""
    for part in PARTS:
        for tag, attrs in Elements(getattr(report, part).html).found:
            yield f"{tag}.{attrs.get('class', '')}"


def test_a_name_with_markup_is_a_name(evaluation: Evaluation) -> None:
    hostile = '<img src=x onerror="alert(1)">{7*7}</summary>'
    harmless = district_sections(renamed(evaluation, "Anybody"), HAKUNILA, Texts("en"))
    report = district_sections(renamed(evaluation, hostile), HAKUNILA, Texts("en"))
    assert list(elements(report)) == list(elements(harmless))
    matrix = verdict_matrix(renamed(evaluation, hostile), Texts("en"))
    assert "&lt;img" in matrix
    assert "<img" not in matrix
    if report:
        assert hostile in plain(report.summary.html.replace("&lt;", "\ue000")).replace("\ue000", "<")
        assert "onerror" not in {name for _, attrs in Elements(page_of(report)).found for name in attrs}


def test_a_label_of_300_characters_stays_on_the_page(evaluation: Evaluation) -> None:
    label = "Share of those who " + "and so on " * 30
    label = label[:300]
    assert len(label) == 300
    report = district_sections(relabelled(evaluation, words_of(label)), HAKUNILA, Texts("fi"))
    assert label.strip() in plain(page_of(report))
    assert len(points_of(report)) <= MOST_POINTS


def test_a_missing_translation_is_named(evaluation: Evaluation) -> None:
    lacking = relabelled(evaluation, Words(fi="Työttömyysaste", sv="", en=""))
    with pytest.raises(StudyError, match="missing in this language"):
        district_sections(lacking, HAKUNILA, Texts("sv"))
    with pytest.raises(MekevalError, match="A text or a part of it is missing") as caught:
        Texts("sv")("first.nothing_of_the_kind")
    assert "text/sv" in str(caught.value)


def test_without_any_verdict_the_page_says_so(evaluation: Evaluation) -> None:
    for report in made_of(untested(evaluation), Texts("en")):
        said = plain(page_of(report))
        assert "whether the programme changed it cannot be assessed" in points_of(report)[0]
        assert "Cannot be assessed" in said
        assert 'class="interval"' not in report.summary.html
        assert "nan" not in said.lower().split()


def test_an_outcome_that_is_hidden_everywhere_leaves_a_whole_page(evaluation: Evaluation) -> None:
    panel = evaluation.panel
    gone = {name: np.full_like(values, np.nan) for name, values in panel.values.items()}
    hidden = replace(untested(evaluation), panel=replace(panel, values=gone))
    for report in made_of(hidden, Texts("en")):
        assert "No key figures can be shown" in plain(report.summary.html)
        assert "No picture can be drawn of low-income rate" in plain(report.picture.html)
        assert "<figure" not in report.picture.html
        assert "Cannot be assessed" in plain(page_of(report))


def test_one_year_of_a_programme_is_a_page_and_none_is_an_error() -> None:
    study = read_study(example_study())
    first = evaluate(study, year=2019, district=HAKUNILA)  # the one year so far is the partial one
    report = district_sections(first, HAKUNILA, Texts("en"))
    assert "no full programme year" in plain(report.summary.html)
    assert "Cannot be assessed" in plain(page_of(report))
    with pytest.raises(MekevalError) as caught:
        evaluate(study, year=2018, district=HAKUNILA)
    assert "2018" in str(caught.value) or "2019" in str(caught.value)


@pytest.mark.parametrize(
    ("language", "programme_areas", "candidates"),
    [
        ("en", "programme areas", "candidate areas"),
        ("fi", "ohjelman alueet", "ehdokasalueet"),
        ("sv", "programområdena", "kandidatområdena"),
    ],
)
def test_areas_of_a_study_without_a_programme_are_candidates(
    evaluation: Evaluation, language: str, programme_areas: str, candidates: str
) -> None:
    spec = evaluation.study.spec
    assert spec.programme is not None
    programme = spec.programme.model_copy(update={"hypothetical": True})
    study = replace(evaluation.study, spec=spec.model_copy(update={"programme": programme}))
    report = district_sections(replace(evaluation, study=study), HAKUNILA, Texts(language))
    said = plain(page_of(report)).lower()
    assert candidates in said
    assert programme_areas not in said
    assert Texts(language)("first.done") not in plain(report.summary.html)
    for finding in report.findings.records:
        point = Texts(language)(f"sentence.candidate.{finding['verdict']}", outcome="X")
        if finding["outcome"] == RATE and finding["subject"] == report.findings.records[0]["subject"]:
            assert point[1:] in " ".join(points_of(report))


def test_a_proxy_says_on_the_first_screen_how_it_differs(evaluation: Evaluation) -> None:
    spec = evaluation.study.spec
    differs = words_of("Of all ages and not the young.")
    named = tuple(
        one.model_copy(update={"differs": differs, "proxy_for": "young"}) if one.name == RATE else one
        for one in spec.indicator
    )
    study = replace(evaluation.study, spec=spec.model_copy(update={"indicator": named}))
    report = district_sections(replace(evaluation, study=study), HAKUNILA, Texts("en"))
    assert "Unemployment rate stands for something else. Of all ages" in plain(report.summary.html)


def test_the_city_shows_what_became_of_areas_that_left(evaluation: Evaluation) -> None:
    effects = evaluation.effects[RATE]
    cells = effects.cells.copy()
    cells["phase"] = np.where(cells["period"] == 2021, "after", cells["phase"])
    result = evaluation.findings[RATE, HAKUNILA].inference
    assert result is not None
    left = replace(
        evaluation,
        effects={**evaluation.effects, RATE: replace(effects, cells=cells)},
        after={(RATE, HAKUNILA): result},
    )
    (table,) = after_tables(left, left.design.treated, Texts("en"))
    assert isinstance(table, Table)
    (row,) = table.rows
    assert row[:2] == ("Unemployment rate, Hakunila", "2021")
    assert after_tables(evaluation, evaluation.design.treated, Texts("en")) == []
    assert after_tables(left, (HAKUNILA,), Texts("en"))[0].rows[0][0] == "Unemployment rate"  # type: ignore[union-attr]
