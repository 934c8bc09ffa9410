"""The report on data quality: what it says agrees with the data; in every language; nothing hidden gets out."""

from __future__ import annotations

import base64
import hashlib
import html
import io
import itertools
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from PIL import Image
from test_clean import AREAS, NAMES, rows, small

from mekeval import Indicators, MekevalError, Study, clean_indicators, evaluate, quality_report, read_study
from mekeval.clean import clean_study
from mekeval.figures import About
from mekeval.figures.coverage import _MARKS, NAMED, plot_coverage
from mekeval.figures.shares import by_span, plot_coverage_shares, plot_releases
from mekeval.figures.svg import small_png
from mekeval.indicators import failures_table
from mekeval.reference import reference_areas
from mekeval.report import quality
from mekeval.report.covered import seen_of, unit_coverage
from mekeval.report.facts import _FORMS, fact, form_of
from mekeval.report.quality import quality_sections
from mekeval.run import plan_jobs
from mekeval.text import LANGUAGES, Texts, visible

EN, FI = Texts("en"), Texts("fi")
SECTIONS = ("summary", "coverage", "changes", "releases", "flags", "failures", "sources")


def plain(part: str) -> str:
    """The words of a piece of HTML."""
    text = re.sub(r"<[^>]+>", " ", re.sub(r'src="data:[^"]*"', "", part))
    return " ".join(html.unescape(text).split())


def whole(report: quality.QualityReport) -> str:
    return "\n".join(getattr(report, name).html for name in SECTIONS)


def grid(statuses: dict[str, list[str]], *, first: int = 2019, indicator: str = "x") -> pd.DataFrame:
    """Coverage of one indicator: the statuses of each area, year by year."""
    return pd.DataFrame(
        [
            (area, indicator, first + at, status)
            for area, some in statuses.items()
            for at, status in enumerate(some)
        ],
        columns=["area", "indicator", "year", "status"],
    )


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    files = {
        "old.csv": (2021, rows(2019) + rows(2020)),
        "new.csv": (2022, rows(2020, poor=25) + rows(2021, poor=70)),
    }
    return read_study(small(tmp_path_factory.mktemp("study"), files))


@pytest.fixture(scope="module")
def indicators(study: Study) -> Indicators:
    return clean_indicators(study)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_section_is_there_in_every_language(
    study: Study, indicators: Indicators, language: str
) -> None:
    report = quality_sections(study, indicators, Texts(language))
    for name in SECTIONS:
        assert "<h" in getattr(report, name).html, name
    assert report.title == Texts(language)(
        "quality.title", title={"fi": "Pieni", "sv": "Liten", "en": "Small"}[language]
    )
    bundle = report.findings._repr_mimebundle_()
    assert json.loads(json.dumps(bundle))["application/vnd.mekeval.findings+json"]["title"] == report.title


def test_the_main_points_count_right(study: Study, indicators: Indicators) -> None:
    # 10 areas in 3 years; area 010 is confidential throughout; 2021 is implausible everywhere else: 18 of 30.
    points = plain(quality_sections(study, indicators, EN).summary.html)
    assert (
        "2 raw files were read; there are numbers on 9 of 10 areas and on 1 indicator, for 2019–2020."
        in points
    )
    assert "60.0% of the cells have a number" in points
    # 12 cells without one: 9 implausible, 3 confidential.
    assert "implausible (75.0%), too few people (25.0%)" in points
    assert "Of 9 values that stand in two releases, the later one changed 9" in points
    assert "Values that failed a check and were left out: 9. They stand in the list of checks;" in points
    assert "lines for checking there: 0." in points
    assert quality_sections(study, indicators, EN).summary.html.count("<li>") <= 6


def test_a_year_counts_only_for_indicators_that_have_it(indicators: Indicators) -> None:
    late = indicators.table.loc[indicators.table["year"] > 2019].assign(indicator="late")
    both = pd.concat([indicators.table, late], ignore_index=True)
    found = unit_coverage(Indicators(**{**vars(indicators), "table": both}))
    years = found.groupby("indicator", observed=True)["year"].unique()
    assert {str(name): sorted(some) for name, some in years.items()} == {
        "poverty": [2019, 2020, 2021],
        "late": [2020, 2021],
    }


def test_a_year_of_the_base_alone_is_no_year_of_the_indicator(tmp_path: Path) -> None:
    """The file of 2021 has people and no poor: 10 areas in two years, of which area 010 has too few people."""
    study = small(tmp_path, {"a.csv": (2021, rows(2019) + rows(2020)), "b.csv": (2022, [])})
    content = "area,year,people\n" + "".join(f"{area},2021,100\n" for area in AREAS)
    (study / "raw" / "b.csv").write_text(content, encoding="utf-8")
    text = (study / "study.toml").read_text(encoding="utf-8")
    head, tail = text.rsplit("[[source]]", 1)
    tail = re.sub(r'sha256 = "[^"]*"', f'sha256 = "{hashlib.sha256(content.encode()).hexdigest()}"', tail)
    tail = re.sub(r"items = .*", 'items = ["people"]', tail)
    (study / "study.toml").write_text(f"{head}[[source]]{tail}", encoding="utf-8")
    known = read_study(study)
    indicators = clean_indicators(known)
    found = unit_coverage(indicators)
    assert sorted(found["year"].unique()) == [2019, 2020]
    assert seen_of(found).share == pytest.approx(18 / 20)
    report = quality_sections(known, indicators, EN)
    assert "90.0% of the cells have a number" in plain(report.summary.html)
    assert ">0%<" not in report.coverage.html


def test_what_has_no_number_is_counted_as_the_coverage_counts_it(tmp_path: Path) -> None:
    """Area 010 has no line in 2020, and area 009 none at all: brute force over areas and years."""
    lines = [line for line in rows(2019) + rows(2020) if not line.startswith(("009,", "010,2020"))]
    study = read_study(small(tmp_path, {"a.csv": (2021, lines)}))
    indicators = clean_indicators(study)
    there = {
        (area, year): status for area, year, status in indicators.table[["area", "year", "status"]].to_numpy()
    }
    cells = [there.get((area, year), "not_published") for area in AREAS for year in (2019, 2020)]
    table = quality_sections(study, indicators, EN).changes.html
    counted = dict(
        re.findall(r'<th scope="row">([^<]*)</th><td>[^<]*</td><td class="num">([^<]*)</td>', table)
    )
    told = {
        status: int(counted.get(EN(f"quality.name.{status}"), 0))
        for status in ("missing", "not_published", "confidential")
    }
    assert told == {status: cells.count(status) for status in told}
    assert sum(told.values()) == 2 + 2
    assert counted["Area without any number"] == "2"  # 009; and 010, which has too few people


def test_the_summary_counts_what_the_list_of_checks_holds(study: Study, indicators: Indicators) -> None:
    flagged = indicators.log.copy()
    flagged.loc[flagged["rule"] == "implausible", "rule"] = "outlier"
    only = Indicators(**{**vars(indicators), "log": flagged})
    for language, said in (("en", "No value was left out by a check"), ("fi", "Yhtään arvoa ei hylätty;")):
        report = quality_sections(study, only, Texts(language))
        assert said in plain(report.summary.html)
        lines = report.failures.html.count('<tr><th scope="row"')
        assert lines == len(failures_table(only)) > 0
        for part in (report.summary, report.failures):
            assert re.search(rf"\b{lines}\b", plain(part.html))
    assert "for checking" in plain(quality_sections(study, only, EN).failures.html)
    none = Indicators(**{**vars(indicators), "log": flagged.loc[flagged["rule"] != "outlier"]})
    report = quality_sections(study, none, EN)
    assert "No value failed a check, and none is for checking." in plain(report.summary.html)
    assert "No value failed a check, and none is for checking." in plain(report.failures.html)


def test_that_no_value_stands_in_two_releases_is_no_praise_of_the_later_one(tmp_path: Path) -> None:
    study = read_study(small(tmp_path, {"a.csv": (2021, rows(2019)), "b.csv": (2022, rows(2020))}))
    points = plain(quality_sections(study, clean_indicators(study), EN).summary.html)
    assert "No value stands in two releases" in points
    assert "later release" not in points
    both = read_study(small(tmp_path / "both", {"a.csv": (2021, rows(2019)), "b.csv": (2022, rows(2019))}))
    points = plain(quality_sections(both, clean_indicators(both), EN).summary.html)
    assert "all 9 values that stand in two releases are the same" in points


def test_a_small_change_is_not_written_as_none(study: Study, tmp_path: Path) -> None:
    """20 of 100 and 2001 of 10000 are 0.01 percentage points apart."""
    files = {
        "old.csv": (2021, [f"{area},2019,2000,10000" for area in AREAS]),
        "new.csv": (2022, [f"{area},2019,{2001 if area == '001' else 2000},10000" for area in AREAS]),
    }
    small_change = read_study(small(tmp_path, files))
    page = plain(quality_sections(small_change, clean_indicators(small_change), EN).releases.html)
    assert "+0.01 pp (" in page
    assert "0.0 pp" not in page


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a study with marks in its names that turn the rest of a line around."""
    place = tmp_path_factory.mktemp("published")
    folder = small(place, {"old.csv": (2021, rows(2019))})
    for name in ("areas.csv", "study.toml"):
        path = folder / name
        text = path.read_text(encoding="utf-8")
        text = text.replace(NAMES[0], "\u202eevil\u2066") if name == "areas.csv" else text
        path.write_text(text.replace('"Small"', '"Small \u202elive"'), encoding="utf-8")
    (page,) = clean_study(folder, out=place / "clean", languages=["en"]).reports
    return page


def test_controls_in_names_are_shown(published: Path) -> None:
    """A mark that turns the rest of a line around stands as an escape, in pages and pictures."""
    text = published.read_text(encoding="utf-8")
    assert not re.search(r"[\x00-\x08\u200b-\u200f\u2028-\u202e\u2066-\u2069]", text)
    assert "\\u202eevil\\u2066" in text
    assert "Small \\u202elive" in text
    assert visible("a\u202eb\u0007\u2028\ufeff") == "a\\u202eb\\u0007\\u2028\\ufeff"
    assert visible("Å\u00a0ö\t\n\u00ad–") == "Å\u00a0ö\t\n\u00ad–"
    picture = plot_coverage(grid({"a": ["ok"]}), indicator="x", about=About(names={"a": "\u202eevil"}))
    assert picture.data.rows[0][0] == "\\u202eevil"
    shares = plot_coverage_shares(grid({"a": ["ok"]}), labels={"x": "\u202erate"})
    assert shares.data.rows[0][0] == "\\u202erate"


def test_seen_counts_cells_with_a_number() -> None:
    table = pd.concat(
        [
            grid({"a": ["ok"], "b": ["missing"]}),
            grid({"a": ["ok", "ok"], "b": ["ok", "not_published"]}, indicator="y"),
        ]
    )
    seen = seen_of(table)
    # x: 1 of 2; y: 3 of 4.
    assert seen.share == pytest.approx(4 / 6)
    assert (seen.areas, seen.indicators, seen.years) == (2, 2, "2019–2020")
    assert seen.reasons == {"missing": 1, "not_published": 1}
    assert seen_of(table.iloc[:0]).share is None


def test_the_sums_of_a_city_are_no_areas_of_the_study(example: Study) -> None:
    found = unit_coverage(clean_indicators(example))
    assert set(found["area"]) == set(example.areas.units)


def test_hostile_names_stay_text(study: Study, indicators: Indicators) -> None:
    table = study.areas.table.copy()
    table.loc["001", ["name_fi", "name_en"]] = "<script>alert(1)</script>"
    areas = type(study.areas)(table=table, unit=study.areas.unit)
    log = indicators.log.copy()
    log.loc[0, ["rule", "file", "level"]] = ["implausible", "<b>.csv", "warning"]
    altered = Indicators(**{**vars(indicators), "areas": areas, "log": log})
    page = whole(quality_sections(study, altered, EN))
    assert "<script" not in page
    assert "<b>" not in page
    assert "&lt;b&gt;.csv" in page


def test_nothing_under_the_limit_gets_out(study: Study, tmp_path: Path) -> None:
    """Area 010 has 12 people; neither that nor what could be told from it stands anywhere."""
    files = {
        "old.csv": (2021, [*rows(2019)[:-1], "010,2019,8,23"]),
        "new.csv": (2022, [*rows(2019)[:-1], "010,2019,13,29"]),
    }
    folder = clean_study(small(tmp_path, files), out=tmp_path / "clean", report=False).folder
    for path in folder.glob("*.csv"):
        for line in path.read_text().splitlines():
            if re.search(r"\b010\b", line):
                assert not re.search(r"(?<![\d.])(8|23|13|29|34\.7\d*|44\.8\d*)(\.0)?(?![\d.])", line), (
                    path.name,
                    line,
                )
    page = plain(whole(quality_report(tmp_path / "small", language="en")))
    assert not re.search(r"\b(34\.[78]|44\.8)", page)


def test_a_long_list_ends_with_how_much_more_there_is(
    study: Study, indicators: Indicators, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quality, "_LINES", 4)
    failures = quality_sections(study, indicators, EN).failures.html
    assert failures.count('<tr><th scope="row"') == 4
    assert "Not shown here: 5 more lines; all of them are in failures.csv." in failures


def test_as_of_is_said_and_counts(study: Study) -> None:
    report = quality_report(study, language="en", as_of="2021-12-31")
    assert "As known on 31\N{NO-BREAK SPACE}December\N{NO-BREAK SPACE}2021" in report.summary.html
    assert "1 raw file was read; there are numbers on" in plain(report.summary.html)
    assert "2019–2020" in plain(report.summary.html)
    assert "31. joulukuuta 2021" in quality_report(study, language="fi", as_of=2021).summary.html.replace(
        "\N{NO-BREAK SPACE}", " "
    )
    with pytest.raises(MekevalError, match="no day"):
        quality_report(study, language="en", as_of="x")


def test_last_years_report_can_be_made_again(example: Study) -> None:
    """A source that was published later changes nothing of what was known before, here and elsewhere."""
    late = example.spec.source[0].model_copy(update={"vintage": 2030})
    spec = example.spec.model_copy(update={"source": (*example.spec.source, late)})
    more = Study(**{**vars(example), "spec": spec, "paths": (*example.paths, example.paths[0])})
    then = evaluate(more, year=2021, district="Hakunila", as_of="2029-06-30")
    now = evaluate(example, year=2021, district="Hakunila")
    assert str(then.indicators.as_of) == "2029-06-30"
    assert then.indicators.files["file"].tolist() == now.indicators.files["file"].tolist()
    tested = {key: one.inference.p_value for key, one in now.findings.items() if one.inference is not None}
    assert tested
    assert {key: then.findings[key].inference.p_value for key in tested} == tested
    with pytest.raises(MekevalError, match="No source was published"):
        reference_areas(example, as_of=1999)


def test_the_grid_says_why_there_is_no_number() -> None:
    table = grid({"b": ["ok", "ok"], "a": ["suppressed", "ok"], "c": ["missing", "not_applicable"]})
    picture = plot_coverage(table, indicator="x", texts=EN, about=About(outcome="Rate", names={"a": "Alpha"}))
    assert picture.headline == (
        "Rate: 50% of the cells have a number (3 areas, 2019–2020); 1 area has one in every year."
    )
    assert picture.alt.startswith("Grid of areas by years. Rate: 50%")
    assert "hidden by the producer 1" in picture.alt
    assert [row[0] for row in picture.data.rows] == ["Alpha", "b", "c"]
    assert picture.data.rows[0] == ("Alpha", "2020", "hidden by the producer 2019")
    assert picture.data.rows[2] == ("c", "", "not applicable 2020; missing 2019")


def test_a_year_that_nobody_published_is_no_gap() -> None:
    table = grid(
        {
            "a": ["ok", "not_published", "ok", "not_published"],
            "b": ["ok", "not_published", "ok", "not_published"],
        }
    )
    picture = plot_coverage(table, indicator="x")
    assert picture.headline == "x: every one of 2 areas has a number in every year with data (2019, 2021)."


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("states", [["ok", "ok"], ["ok", "missing"], ["missing", "missing"]])
def test_one_area_and_one_indicator_are_no_plural(language: str, states: list[str]) -> None:
    texts = Texts(language)
    one = plot_coverage(grid({"a": states}), indicator="x", texts=texts)
    shares = plot_coverage_shares(grid({"a": states}), labels={"x": "X"}, texts=texts)
    for headline in (one.headline, shares.headline):
        assert not re.search(r"(?<!\d)[01] (areas|indicators|aluetta|områden|indikatorer)\b|\(1\)", headline)
    three = plot_coverage(grid({"a": ["ok", "ok"], "b": states, "c": states}), indicator="x", texts=texts)
    assert not re.search(r"(?<!\d)1 (areas|aluetta|områden)\b", three.headline)


def test_nothing_there_and_nothing_known() -> None:
    none = grid({"a": ["missing"], "b": ["missing"]})
    assert plot_coverage(none, indicator="x").headline == "x: no area has a number (2 areas)."
    with pytest.raises(MekevalError, match="nothing to draw"):
        plot_coverage(grid({"a": ["ok"]}), indicator="y")
    with pytest.raises(MekevalError, match="nothing to draw"):
        plot_releases(pd.DataFrame(columns=["indicator"]), labels={})


@pytest.mark.parametrize("n", [NAMED, NAMED + 1, 3000])
def test_many_areas_are_an_image_with_shares(n: int) -> None:
    statuses = {f"{at:05d}": ["ok", "ok" if at % 4 else "suppressed"] for at in range(n)}
    picture = plot_coverage(grid(statuses), indicator="x", texts=EN)
    svg = picture.svg().decode()
    if n == NAMED:
        assert "<image" not in svg
        assert len(picture.data.rows) == n
    else:
        assert svg.count("<image") == 1
        assert len(svg) < 300_000
        expected = EN.number(-(-n // 4))  # every fourth area, the first among them
        assert picture.data.rows[1][-1] == expected
    assert svg == picture.svg().decode()
    assert all(float(height) < 900 for height in re.findall(r'height="(\d+(?:\.\d+)?)pt"', svg)) or n == NAMED


def test_an_image_of_many_areas_has_a_pixel_for_each_cell_and_is_small() -> None:
    """Pillow reads it: the colours are those of the cells, row by row."""
    names = ["ok", "suppressed", "missing"]
    chosen = np.random.default_rng(1).integers(0, 3, (3000, 13))
    statuses = {f"{at:05d}": [names[one] for one in row] for at, row in enumerate(chosen)}
    svg = plot_coverage(grid(statuses), indicator="x", texts=EN).svg()
    (png,) = re.findall(rb'"data:image/png;base64,([^"]*)"', svg)
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB"))
    assert pixels.shape == (3000, 13, 3)
    colours = np.array([[int(_MARKS[name].colour[at : at + 2], 16) for at in (1, 3, 5)] for name in names])
    assert (pixels == colours[chosen]).all()
    # Three states at random take log2(3) bits each: 7.7 kB; as base64 10.3 kB. The rest is words and lines.
    assert len(png) < 15_000 and len(svg) - len(png) < 25_000


@pytest.mark.parametrize("colours", [1, 2, 16])
@pytest.mark.parametrize("columns", [1, 4, 7])
def test_an_image_of_few_colours_is_the_same_with_a_palette(colours: int, columns: int) -> None:
    drawn = np.random.default_rng(colours).integers(0, 256, (colours, 3), dtype=np.uint8)
    rgb = drawn[np.random.default_rng(columns).integers(0, colours, (9, columns))]
    pixels = np.dstack([rgb, np.full(rgb.shape[:2], 255, np.uint8)])
    again = np.asarray(Image.open(io.BytesIO(small_png(pixels))).convert("RGB"))
    assert (again == rgb).all()
    clear = pixels.copy()
    clear[0, 0, 3] = 0
    many = np.dstack([np.arange(51, dtype=np.uint8).reshape(3, 17)] * 3 + [np.full((3, 17), 255, np.uint8)])
    assert small_png(clear) == small_png(many) == b""  # matplotlib writes those


def test_one_old_series_leaves_the_others_their_room() -> None:
    old = grid({"a": ["ok"] * 50, "b": ["ok"] * 50}, first=1960, indicator="old")
    new = grid({"a": ["ok", "missing"], "b": ["ok", "ok"]}, first=2018, indicator="new")
    table, labels = pd.concat([old, new]), {"old": "Old", "new": "New"}
    assert by_span(table, labels) == [{"new": "New"}, {"old": "Old"}]
    recent = plot_coverage_shares(table, labels={"new": "New"}, texts=EN)
    widths = {axes.get_xlim() for axes in recent.figure.axes}
    assert widths == {(2017.5, 2027.5)}  # ten years, not sixty
    assert "lowest for new in 2019: 50% of 2 areas" in recent.headline
    near = pd.concat([new, grid({"a": ["ok"]}, first=2012, indicator="old")])
    assert by_span(near, labels) == [labels]  # eight years need no second picture
    assert by_span(old, {"old": "Old"}) == [{"old": "Old"}]
    assert by_span(old, {"old": "Old"} | {f"none{at}": "None" for at in range(40)}) == [{"old": "Old"}]
    many = {f"x{at}": f"Rate {at}" for at in range(33)}
    groups = by_span(pd.concat([grid({"a": ["ok"]}, indicator=name) for name in many]), many)
    assert [len(one) for one in groups] == [
        11,
        11,
        11,
    ]  # 33 rows are three pictures that can be read on paper
    assert [name for one in groups for name in one] == list(many)


def test_a_row_of_bars_is_one_path_of_each_colour() -> None:
    table = pd.concat([grid({"a": ["ok", "missing"] * 20}, indicator=f"x{at}") for at in range(40)])
    picture = plot_coverage_shares(table, labels={f"x{at}": f"Rate {at}" for at in range(40)}, texts=EN)
    assert picture.svg().count(b"<path") < 40 * 2 + 60  # and not 40 rows of 40 years twice


def test_pictures_ask_nothing_of_the_web_and_the_frame_stays() -> None:
    table = grid({f"{at:05d}": ["ok", "missing"] for at in range(100)})
    before = table.copy()
    picture = plot_coverage(table, indicator="x")
    pd.testing.assert_frame_equal(table, before)
    addresses = re.findall(r'href="([^"]*)"', picture.svg().decode())
    assert addresses
    assert all(address.startswith(("#", "data:image/png;base64,")) for address in addresses)


def test_every_state_has_a_letter_of_its_own() -> None:
    from mekeval.figures.coverage import _MARKS
    from mekeval.indicators import STATUSES

    assert set(STATUSES) <= set(_MARKS)
    letters = [mark.letter for mark in _MARKS.values()]
    assert len(set(letters)) == len(letters)
    for texts in (EN, FI):
        assert all(texts(f"status.{status}") for status in _MARKS)
    # In an image there are no letters: two colours are at least a tenth of black to white apart.
    colours = [np.array(to_rgb(mark.colour)) for mark in _MARKS.values()]
    apart = [np.linalg.norm(one - other) / np.sqrt(3) for one, other in itertools.combinations(colours, 2)]
    assert min(apart) > 0.1


def test_every_rule_has_words() -> None:
    for texts in (EN, FI):
        for rule in (
            "read",
            "other_areas",
            "confirmed",
            "revised",
            "conflict",
            "mixed_releases",
            "split_releases",
            "older_release",
            "hidden_later",
            "other_formula",
            "absent",
            "not_published",
            "implausible",
            "level_break",
            "unit_break",
            "outlier",
            "duplicate_row",
            "interpolated",
            "suppressed",
            "missing",
            "not_applicable",
            "empty_area",
            "confidential",
        ):
            assert f"quality.name.{rule}" in texts
            assert f"quality.rule.{rule}" in texts


def test_shares_name_the_weakest_year() -> None:
    table = pd.concat(
        [
            grid({"a": ["ok", "ok"], "b": ["ok", "missing"]}),
            grid({"a": ["ok", "not_published"], "b": ["ok", "not_published"]}, indicator="y"),
        ]
    )
    picture = plot_coverage_shares(table, labels={"x": "Rate X", "y": "Rate Y"}, texts=EN)
    assert "lowest for rate X in 2020: 50% of 2 areas" in picture.headline
    assert picture.data.rows == (("Rate X", "100%", "50%"), ("Rate Y", "100%", ""))


def test_one_indicator_is_not_one_of_several() -> None:
    table = grid({"a": ["ok", "ok"], "b": ["ok", "missing"]})
    headline = plot_coverage_shares(table, labels={"x": "Rate X"}, texts=EN).headline
    assert "indicators" not in headline and "lowest for rate X in 2020: 50% of 2 areas" in headline


def test_the_areas_are_those_of_the_indicator_that_is_named() -> None:
    """Two areas have rate X and three others rate Y: 50% is of two areas, not of five."""
    table = pd.concat(
        [
            grid({"a": ["ok"], "b": ["missing"]}),
            grid({"c": ["ok"], "d": ["ok"], "e": ["suppressed"]}, indicator="y"),
        ]
    )
    labels = {"x": "Rate X", "y": "Rate Y"}
    assert "50% of 2 areas" in plot_coverage_shares(table, labels=labels, texts=EN).headline
    assert "2 areas" in plot_coverage(table, indicator="x", texts=EN).headline
    # The same share of different areas has no number of areas in common.
    alike = pd.concat(
        [
            grid({"a": ["ok"], "b": ["missing"]}),
            grid({"c": ["ok"], "d": ["ok"], "e": ["missing"], "f": ["missing"]}, indicator="y"),
        ]
    )
    headline = plot_coverage_shares(alike, labels=labels, texts=EN).headline
    assert "for rate X in 2019: 50% of 2 areas" in headline
    assert "each of 2 indicators" not in headline


def test_a_few_years_get_no_years_after_them() -> None:
    table = grid({"a": ["ok", "ok", "missing"], "b": ["ok", "ok", "ok"]}, first=2020)
    picture = plot_coverage_shares(table, labels={"x": "Rate"}, texts=EN)
    written = [
        tick.get_text() for axes in picture.figure.axes if axes.axison for tick in axes.get_xticklabels()
    ]
    assert [year for year in written if re.fullmatch(r"(19|20)\d\d", year)] == ["2020", "2021", "2022"]
    widths = {axes.get_xlim() for axes in picture.figure.axes}
    assert widths == {(2019.5, 2029.5)}  # and the bars do not become broad


def test_releases_are_compared_by_pair_and_year() -> None:
    columns = ["indicator", "year", "vintage_old", "vintage_new", "areas", "changed"]
    table = pd.DataFrame([("x", 2019, 2020, 2021, 10, 4), ("x", 2020, 2021, 2022, 10, 0)], columns=columns)
    picture = plot_releases(table, labels={"x": "Rate"}, texts=EN)
    assert picture.headline == "Later releases changed 4 of 20 values that stand in two releases (20%)."
    assert picture.data.rows == (("Rate: 2020 → 2021", "40%"),)  # where nothing was changed there is no row
    both = plot_releases(table.assign(changed=[4, 1]), labels={"x": "Rate"}, texts=EN)
    assert both.data.rows == (("Rate: 2020 → 2021", "40%", ""), ("Rate: 2021 → 2022", "", "10%"))
    same = plot_releases(table.assign(changed=0), labels={"x": "Rate"}, texts=FI)
    assert "vahvistivat kaikki 20 arvoa" in same.headline


def test_indicators_with_the_same_cells_share_a_picture(study: Study, indicators: Indicators) -> None:
    table = indicators.table
    twin = study.spec.indicator[0].model_copy(update={"name": "twin", "label": study.spec.study.title})
    spec = study.spec.model_copy(update={"indicator": (*study.spec.indicator, twin)})
    both = pd.concat([table, table.assign(indicator="twin")], ignore_index=True)
    report = quality_sections(
        Study(**{**vars(study), "spec": spec}), Indicators(**{**vars(indicators), "table": both}), EN
    )
    assert report.coverage.html.count("<figure>") == 2  # the shares, and one grid for both
    assert "The same for: Small." in plain(report.coverage.html)


def test_the_published_page_is_whole_and_says_that_the_data_are_made_up(published: Path) -> None:
    place = str(published.parents[2])
    text = published.read_text(encoding="utf-8")
    assert published.name == "data_quality_en.html"
    assert '<html lang="en">' in text
    assert "The figures are made up" in text
    assert place not in text
    notebook = published.with_suffix(".ipynb").read_text(encoding="utf-8")
    assert place not in notebook
    assert 'href="data_quality_en.ipynb"' in text
    assert "<title>Data quality: Small \\u202elive</title>" in text
    assert f"{len(AREAS) - 1} of {len(AREAS)} areas" in plain(text)
    for picture in re.findall(r'src="data:image/svg\+xml;base64,([^"]+)"', text):
        assert base64.b64decode(picture).startswith(b"<svg")
    assert len(re.findall(r"<img ", text)) == len(re.findall(r'<img alt="[^"]{20,}"', text))


@pytest.mark.parametrize(
    ("said", "english", "finnish"),
    [
        ("about 5.626", "about 5.63", "noin 5,63"),
        ("about 1.885e+04", "about 18,850", "noin 18 850"),
        ("50.1712", "50.17", "50,17"),
        ("-0.0123", "−0.0123", "−0,0123"),
        ("about -3.76", "about −3.76", "noin −3,76"),
        ("about +3.93 %", "about +3.93%", "noin +3,93 %"),
        (
            "-18.5 % from 2019 to 2024 in 2756 areas",
            "−18.5% from 2019 to 2024 in 2,756 areas",
            "−18,5 % vuodesta 2019 vuoteen 2024, alueita 2 756",
        ),
        (
            "9.86 times the value of 1972",
            "9.86 times the value of 1972",
            "9,86-kertainen vuoteen 1972 verrattuna",
        ),
        ("0 to 60", "0 to 60", "0–60"),
        ("2024", "2,024", "2 024"),
        ("30 of 20", "30 of 20", "30, kun nimittäjä on 20"),
        ("about 2.877e+04", "about 28,770", "noin 28 770"),
        ("12 -> 13.5 (raw/a.csv)", "12 → 13.5 (raw/a.csv)", "12 → 13,5 (raw/a.csv)"),
        ("something else 1.5", "something else 1.5", "something else 1.5"),
        ("", "", ""),
    ],
)
def test_facts_of_the_log_are_written_in_the_language(said: str, english: str, finnish: str) -> None:
    assert fact(said, EN) == english
    assert fact(said, FI).replace("\N{NO-BREAK SPACE}", " ") == finnish


@pytest.mark.parametrize(
    ("said", "unit", "change", "english", "finnish"),
    [
        ("about 2.877e+04", "eur", False, "about EUR 28,770", "noin 28 770 €"),
        ("50.1712", "percent", False, "50.17%", "50,17 %"),
        ("about +1.85", "percent", True, "about +1.85 pp", "noin +1,85 %‑yks."),
        (
            "-2.91 from 2016 to 2018 in 36 areas",
            "percent",
            True,
            "−2.91 pp from 2016 to 2018 in 36 areas",
            "−2,91 %‑yks. vuodesta 2016 vuoteen 2018, alueita 36",
        ),
        ("about +3.93 %", "eur", True, "about +3.93%", "noin +3,93 %"),
        ("0 to 60", "percent", False, "0 to 60%", "0–60 %"),
        ("0 to 60", "eur", False, "EUR 0 to 60", "0–60 €"),
    ],
)
def test_facts_have_the_unit_of_the_indicator(
    said: str, unit: str, change: bool, english: str, finnish: str
) -> None:
    assert fact(said, EN, unit=unit, change=change) == english
    assert fact(said, FI, unit=unit, change=change).replace("\N{NO-BREAK SPACE}", " ") == finnish


@pytest.mark.parametrize(
    ("said", "finnish"),
    [
        ("UTF-8, separator ';', line ends CRLF", "UTF-8, erotin ';', rivinvaihdot CRLF"),
        ("UTF-8, separator ','", "UTF-8, erotin ','"),
        ("UTF-8, separator '\\t'", "UTF-8, erotin '\\t'"),
        (
            "ISO-8859-1 (the file says CHARSET 'ANSI'), line ends LF, languages fi, sv, DECIMALS 1",
            "ISO-8859-1 (tiedoston mukaan CHARSET 'ANSI'), rivinvaihdot LF, kielet fi, sv, DECIMALS 1",
        ),
        ("sheet 'Taulu 1', merged headings B1:C1", "taulukko 'Taulu 1', yhdistetyt otsikot B1:C1"),
        ("", ""),
    ],
)
def test_the_form_of_a_file_is_told_in_the_language(said: str, finnish: str) -> None:
    assert form_of(said, FI) == finnish
    assert form_of(said, EN) == said


def test_every_fact_of_a_log_has_a_form(indicators: Indicators) -> None:
    """What the log of a study says about its values is told in Finnish, too."""
    lines = indicators.log.loc[
        indicators.log["rule"].isin(["implausible", "level_break", "outlier", "unit_break"])
    ]
    assert len(lines)
    for text in failures_table(indicators)["value"].tolist() + lines["expected"].dropna().tolist():
        assert any(form.fullmatch(text) for _, form, _ in _FORMS), text


def test_a_run_hands_the_day_to_every_report(example: Study) -> None:
    jobs = plan_jobs(example, years=[2021], as_of="2029")
    assert {job.parameters["as_of"] for job in jobs} == {"2029-12-31"}
    assert all("as_of" not in job.parameters for job in plan_jobs(example, years=[2021]))
    with pytest.raises(MekevalError, match="--as-of"):
        plan_jobs(example, years=[2021], as_of="soon")
