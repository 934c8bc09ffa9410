"""Figures: what they say agrees with the numbers, in every language; the same bytes every time; nothing leaks."""

from __future__ import annotations

import base64
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser

import matplotlib
import numpy as np
import pytest

from mekeval.errors import DataError, DesignError, MekevalError
from mekeval.estimate import aggregate, contrast, unit_contrast
from mekeval.evaluation import ALL, Evaluation
from mekeval.figures import (
    About,
    Picture,
    plot_effects,
    plot_finding,
    plot_placebo,
    plot_tiles,
    plot_trend,
    plot_verdicts,
)
from mekeval.figures.axes import text_size
from mekeval.figures.picture import WIDTH
from mekeval.figures.tiles import tile_name
from mekeval.inference import Inference, infer
from mekeval.text import MINUS, Texts

OUTCOME = "unemployment_rate"
HAKUNILA, MYYRMAKI = "09294", "09215"
HOSTILE = "<script>alert('$x$')</script>\"&"
EN, FI, SV = Texts("en"), Texts("fi"), Texts("sv")
Draw = Callable[[Evaluation, Texts], Picture]
DRAWN: dict[str, Draw] = {
    "trend": lambda evaluation, texts: plot_trend(evaluation, outcome=OUTCOME, subject=HAKUNILA, texts=texts),
    "trend_all": lambda evaluation, texts: plot_trend(evaluation, outcome=OUTCOME, subject=ALL, texts=texts),
    "effects": lambda evaluation, texts: plot_effects(
        evaluation, outcome=OUTCOME, subject=HAKUNILA, texts=texts
    ),
    "effects_all": lambda evaluation, texts: plot_effects(
        evaluation, outcome=OUTCOME, subject=ALL, texts=texts
    ),
    "placebo": lambda evaluation, texts: plot_finding(
        evaluation.findings[OUTCOME, HAKUNILA], evaluation=evaluation, texts=texts
    ),
    "placebo_all": lambda evaluation, texts: plot_finding(
        evaluation.findings[OUTCOME, ALL], evaluation=evaluation, texts=texts
    ),
    "forest": lambda evaluation, texts: plot_verdicts(
        evaluation, outcome=OUTCOME, subject_order=(ALL, *evaluation.design.treated), texts=texts
    ),
    "tiles": lambda evaluation, texts: plot_tiles(evaluation, outcome=OUTCOME, texts=texts),
}
every = pytest.mark.parametrize("draw", DRAWN.values(), ids=DRAWN)


@pytest.fixture(scope="module")
def evaluation(evaluated: Callable[..., Evaluation]) -> Evaluation:
    return evaluated(2025)


def renamed(evaluation: Evaluation, code: str, name: str) -> Evaluation:
    table = evaluation.study.areas.table.copy()
    table.loc[code, ["name_fi", "name_en"]] = name
    areas = replace(evaluation.study.areas, table=table)
    return replace(evaluation, study=replace(evaluation.study, areas=areas))


def shifted(evaluation: Evaluation, code: str, by: float, years: range) -> Evaluation:
    """The same evaluation with other levels in one area; effects and findings stay."""
    panel = evaluation.panel
    values = panel.values[OUTCOME].copy()
    values[panel.units.index(code), np.isin(panel.periods, list(years))] += by
    return replace(evaluation, panel=replace(panel, values={**panel.values, OUTCOME: values}))


def gap(evaluation: Evaluation, years: list[int]) -> float:
    """Hakunila's level minus the mean of the comparison areas that are complete."""
    panel, design = evaluation.panel, evaluation.design
    levels = panel.values[OUTCOME]
    rest = [panel.units.index(unit) for unit in design.comparison]
    rest = [row for row in rest if not np.isnan(levels[row]).any()]
    columns = [panel.periods.index(year) for year in years]
    return float(
        np.mean(levels[panel.units.index(HAKUNILA), columns] - levels[np.ix_(rest, columns)].mean(axis=0))
    )


def test_headline_of_the_trend_gives_the_gap(evaluation: Evaluation) -> None:
    before, after = gap(evaluation, list(range(2014, 2019))), gap(evaluation, [2025])
    headline = DRAWN["trend"](evaluation, EN).headline
    assert headline == (
        f"Hakunila, unemployment rate: {before:.1f} percentage points above the comparison areas before the programme "
        f"(2014–2018), {after:.1f} percentage points above in 2025."
    )


def test_headline_of_the_trend_follows_the_data(evaluation: Evaluation) -> None:
    sunk = shifted(evaluation, HAKUNILA, -9.0, range(2025, 2026))
    below = -gap(sunk, [2025])
    assert below > 0
    assert f"{below:.1f} percentage points below in 2025" in DRAWN["trend"](sunk, EN).headline
    level = shifted(evaluation, HAKUNILA, -gap(evaluation, [2025]), range(2025, 2026))
    assert DRAWN["trend"](level, FI).headline.endswith("vuonna 2025 sama.")


@pytest.mark.parametrize("subject", [HAKUNILA, "09274", MYYRMAKI])
def test_headline_of_the_effects_counts_the_years_within_the_range(
    evaluation: Evaluation, subject: str
) -> None:
    effects = evaluation.effects[OUTCOME]
    path = evaluation.design.path_of(subject)
    cells = effects.cells.loc[(effects.cells["path"] == path.name) & (effects.cells["phase"] == "on")]
    inside = 0
    for column in cells.index:
        changes = effects.changes[:, column]
        rest = changes[effects.group == -1]
        single = np.array([value - np.delete(rest, at).mean() for at, value in enumerate(rest)])
        low, high = np.quantile(single, [0.025, 0.975])
        inside += low <= changes[effects.units.index(subject)] - rest.mean() <= high
    headline = plot_effects(evaluation, outcome=OUTCOME, subject=subject, texts=EN).headline
    assert (
        f"within the central 95% of areas without a programme in {inside} of {len(cells)} full" in headline
        or (
            inside == 0
            and f"outside the central 95% of areas without a programme in all {len(cells)} full" in headline
        )
    )


def test_headline_of_the_effects_of_all_is_the_mean_effect(evaluation: Evaluation) -> None:
    cells = evaluation.effects[OUTCOME].cells
    full = cells.loc[cells["phase"] == "on"]
    # Each path-year counts by the units of its path.
    mean = float(np.average(full["att"], weights=full["n_treated"]))
    assert mean < 0
    headline = DRAWN["effects_all"](evaluation, EN).headline
    assert f"on average {abs(mean):.1f} percentage points lower" in headline


def permuted(evaluation: Evaluation, outcome: str, subject: str) -> Inference:
    effects = evaluation.effects[outcome]
    tested = (
        contrast(effects, aggregate(effects, by="simple").weights[0], label=ALL)
        if subject == ALL
        else unit_contrast(effects, subject)
    )
    return infer(tested, method="permutation", seed=1)


@pytest.mark.parametrize(
    "outcome", ["unemployment_rate", "low_income_rate", "basic_education_25_44", "median_income"]
)
def test_headline_of_the_placebo_counts_the_alternatives(evaluation: Evaluation, outcome: str) -> None:
    for subject in evaluation.design.treated:
        result = permuted(evaluation, outcome, subject)
        reference = list(result.reference)
        reference.remove(min(reference, key=lambda value: abs(value - result.estimate)))
        larger = sum(abs(value) >= abs(result.estimate) - 1e-9 for value in reference)
        picture = plot_placebo(result)
        assert f": {larger or 'none'} of {len(reference)} comparison areas moved" in picture.headline
        assert sum(int(row[1]) for row in picture.data.rows) == len(reference)
        assert picture.headline.startswith(subject)


def test_headline_of_the_placebo_of_all_counts_draws(evaluation: Evaluation) -> None:
    result = permuted(evaluation, "basic_education_25_44", ALL)
    count = round(result.p_value * result.n_sets) - 1
    assert count > 0
    headline = plot_placebo(result, texts=EN, about=About(outcome="Rate", unit="percent")).headline
    assert (
        headline == f"Programme areas, rate: {count} of 9,999 random draws of areas moved at least as much."
    )


def test_a_finding_without_reference_cities_is_drawn_by_its_permutation(evaluation: Evaluation) -> None:
    result = permuted(evaluation, OUTCOME, HAKUNILA)
    finding = replace(evaluation.findings[OUTCOME, HAKUNILA], placebo=None, inference=result)
    about = About(subject="Hakunila", outcome="Unemployment rate", unit="percent")
    general = plot_placebo(result, about=about)
    own = plot_finding(finding, evaluation=evaluation, texts=EN)
    assert (own.headline, own.data.rows) == (general.headline, general.data.rows)


def test_a_test_without_sets_has_no_placebo_picture(evaluation: Evaluation) -> None:
    with pytest.raises(DesignError, match="no alternatives"):
        plot_placebo(replace(permuted(evaluation, OUTCOME, HAKUNILA), method="cr2", n_sets=0))


@pytest.mark.parametrize("subject", [ALL, HAKUNILA])
def test_headline_of_a_finding_counts_the_cities_that_departed_as_much(
    evaluation: Evaluation, subject: str
) -> None:
    finding = evaluation.findings["low_income_rate", subject]
    assert finding.placebo is not None
    residual = finding.placebo.cities["residual"].abs().to_numpy()
    larger = int(np.sum(residual[1:] >= residual[0]))
    picture = plot_finding(finding, evaluation=evaluation, texts=EN)
    assert f"; {larger or 'none'} of 24 other cities moved" in picture.headline
    assert f"{finding.placebo.effect:+.1f}".replace("-", MINUS) in picture.headline
    assert len(picture.data.rows) == 25


def test_headline_of_the_verdicts_counts_them(evaluation: Evaluation) -> None:
    order = (ALL, *evaluation.design.treated)
    verdicts = [evaluation.findings["low_income_rate", code].verdict for code in order]
    picture = plot_verdicts(evaluation, outcome="low_income_rate", subject_order=order, texts=EN)
    word = EN(f"verdict.{verdicts[0]}.word").lower()
    assert f"programme as a whole: {word}" in picture.headline
    for verdict in set(verdicts[1:]):
        word = EN(f"verdict.{verdict}.word").lower()
        assert f"{word} ({verdicts[1:].count(verdict)})" in picture.headline


def test_forest_says_what_cannot_be_assessed(evaluation: Evaluation) -> None:
    finding = replace(evaluation.findings[OUTCOME, HAKUNILA], verdict="not_identifiable", inference=None)
    findings = {**evaluation.findings, (OUTCOME, HAKUNILA): finding}
    picture = DRAWN["forest"](replace(evaluation, findings=findings), FI)
    assert picture.data.rows[1] == ("Hakunila", "", "", "Ei arvioitavissa")
    assert "Hakunila: ei arvioitavissa" in picture.alt
    assert "ei arvioitavissa (1)" in picture.headline


def test_headline_of_the_tiles_counts_the_programme_areas(evaluation: Evaluation) -> None:
    panel = evaluation.panel
    latest = panel.values[OUTCOME][:, -1]
    treated = latest[[panel.units.index(code) for code in evaluation.design.treated]]
    picture = DRAWN["tiles"](evaluation, EN)
    n = int(np.sum(treated > np.nanmedian(latest)))
    said = "all 6 programme areas are" if n == 6 else f"{n} of 6 programme areas are"
    assert f"{said} above the median" in picture.headline
    highest = evaluation.study.areas.name(panel.units[int(np.nanargmax(latest))], "en")
    assert f"Highest: {highest} ({np.nanmax(latest):.1f}%)" in picture.alt
    lowered = shifted(evaluation, HAKUNILA, -12.0, range(2025, 2026))
    assert "5 of 6" in DRAWN["tiles"](lowered, EN).headline


def test_tiles_draw_an_outcome_that_is_not_judged_and_say_why_a_value_is_missing(
    evaluation: Evaluation,
) -> None:
    outcome = "foreign_language_0_6"
    assert outcome not in evaluation.effects
    picture = plot_tiles(evaluation, outcome=outcome, texts=EN)
    missing = np.isnan(evaluation.panel.values[outcome][:, -1])
    assert missing.any()
    reasons = {row[1] for row, gone in zip(picture.data.rows, missing, strict=True) if gone}
    assert reasons <= {EN("status.suppressed"), EN("status.not_applicable"), EN("status.confidential")}


def test_years_without_data_stay_visible(evaluation: Evaluation) -> None:
    effects = evaluation.effects[OUTCOME]
    kept = (~effects.cells["period"].isin([2020, 2021])).to_numpy()
    holed = replace(effects, cells=effects.cells[kept], changes=effects.changes[:, kept])
    gappy = replace(evaluation, effects={OUTCOME: holed})
    for name in ("trend", "effects"):
        picture = DRAWN[name](gappy, EN)
        assert [row[1] for row in picture.data.rows if row[0] in ("2020", "2021")] == ["no data"] * 2
        assert picture.subtitle.endswith("A dotted line crosses years without data.")
        assert "dotted" not in DRAWN[name](evaluation, EN).subtitle


@every
def test_alternative_text_states_the_finding_in_the_language(evaluation: Evaluation, draw: Draw) -> None:
    english, finnish = draw(evaluation, EN), draw(evaluation, FI)
    assert english.alt != finnish.alt
    for picture in (english, finnish):
        assert picture.headline in picture.alt
        assert len(picture.alt) > len(picture.headline) + 30
        assert ".." not in picture.alt
        assert "{" not in picture.alt + picture.subtitle + picture.source


@every
def test_synthetic_data_are_marked(evaluation: Evaluation, draw: Draw) -> None:
    for texts, word in ((EN, "SYNTHETIC"), (FI, "SYNTEETTINEN")):
        picture = draw(evaluation, texts)
        assert word.casefold() in picture.source.casefold()
        assert word in [text.get_text() for text in picture.figure.texts]
    about = evaluation.study.spec.study.model_copy(update={"synthetic": False})
    real = replace(evaluation.study, spec=evaluation.study.spec.model_copy(update={"study": about}))
    assert "SYNTHETIC" not in [
        text.get_text() for text in draw(replace(evaluation, study=real), EN).figure.texts
    ]


@every
def test_svg_is_the_same_every_time_small_and_without_text(evaluation: Evaluation, draw: Draw) -> None:
    picture = draw(evaluation, FI)
    first = picture.svg()
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "black", "svg.fonttype": "none"}):
        assert draw(evaluation, FI).svg() == first == picture.svg()
    tree = ElementTree.fromstring(first)
    assert not [element for element in tree.iter() if element.tag.endswith(("text", "image", "metadata"))]
    assert len(first) < 80_000
    assert picture.figure.get_size_inches()[0] == WIDTH <= 6.5


@every
def test_the_readers_settings_and_frames_are_left_alone(evaluation: Evaluation, draw: Draw) -> None:
    settings = dict(matplotlib.rcParams)
    effects, panel = evaluation.effects[OUTCOME], evaluation.panel
    frames = [effects.cells.copy(), evaluation.study.areas.table.copy()]
    arrays = [effects.changes.copy(), panel.values[OUTCOME].copy()]
    draw(evaluation, EN)._repr_html_()
    assert dict(matplotlib.rcParams) == settings
    assert frames[0].equals(effects.cells)
    assert frames[1].equals(evaluation.study.areas.table)
    assert np.array_equal(arrays[0], effects.changes)
    assert np.array_equal(arrays[1], panel.values[OUTCOME], equal_nan=True)


@every
def test_html_is_whole_and_escapes_names(evaluation: Evaluation, draw: Draw) -> None:
    html = draw(renamed(evaluation, HAKUNILA, HOSTILE), EN)._repr_html_()
    tags: list[tuple[str, dict[str, str | None]]] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            tags.append((tag, dict(attrs)))

    Reader().feed(html)
    names = [tag for tag, _ in tags]
    assert "script" not in names
    assert [names.count(tag) for tag in ("figure", "img", "figcaption", "details", "summary", "table")] == [
        1
    ] * 6
    image = dict(tags)["img"]
    assert image["alt"]
    source = str(image["src"])
    assert source.startswith("data:image/svg+xml;base64,")
    assert b"<script" not in base64.b64decode(source.split(",")[1])
    assert not re.search(r"""(?:href|src)="(?!data:(?:image/|text/csv;))""", html)


def test_hostile_names_are_shown_as_they_are(evaluation: Evaluation) -> None:
    picture = DRAWN["trend"](renamed(evaluation, HAKUNILA, HOSTILE), EN)
    assert picture.headline.startswith(HOSTILE)
    assert "&lt;script&gt;" in picture._repr_html_()


@pytest.mark.parametrize("plot", [plot_trend, plot_effects])
def test_what_cannot_be_drawn_says_why(evaluation: Evaluation, plot: Callable[..., Picture]) -> None:
    with pytest.raises(DataError, match="not in the plan"):
        plot(evaluation, outcome="unemploymnt_rate", subject=HAKUNILA, texts=EN)
    with pytest.raises(DesignError, match="not treated"):
        plot(evaluation, outcome=OUTCOME, subject="09210", texts=EN)
    effects = evaluation.effects[OUTCOME]
    kept = np.array(effects.units) != HAKUNILA
    without = replace(
        effects,
        units=tuple(np.array(effects.units)[kept]),
        group=effects.group[kept],
        changes=effects.changes[kept],
        dropped=((HAKUNILA, "suppressed", 2012),),
    )
    with pytest.raises(DesignError, match="left out") as caught:
        plot(replace(evaluation, effects={OUTCOME: without}), outcome=OUTCOME, subject=HAKUNILA, texts=EN)
    assert "suppressed in 2012" in str(caught.value)


def test_an_untested_finding_is_not_drawn(evaluation: Evaluation) -> None:
    untested = replace(evaluation.findings[OUTCOME, HAKUNILA], inference=None, placebo=None)
    with pytest.raises(DesignError, match="no alternatives"):
        plot_finding(untested, evaluation=evaluation, texts=EN)
    findings = {key: replace(finding, inference=None) for key, finding in evaluation.findings.items()}
    with pytest.raises(DesignError, match="No area can be assessed"):
        DRAWN["forest"](replace(evaluation, findings=findings), EN)
    with pytest.raises(MekevalError, match="no such outcome"):
        plot_tiles(evaluation, outcome="unemploymnt_rate", texts=EN)


def test_a_district_without_a_full_year_has_no_effects(evaluation: Evaluation) -> None:
    effects = evaluation.effects[OUTCOME]
    cells = effects.cells.assign(phase=effects.cells["phase"].replace("on", "partial"))
    early = replace(evaluation, effects={OUTCOME: replace(effects, cells=cells)})
    for subject in (HAKUNILA, ALL):
        with pytest.raises(DesignError):
            plot_effects(early, outcome=OUTCOME, subject=subject, texts=EN)


def test_euros_are_written_as_euros(evaluation: Evaluation) -> None:
    picture = plot_trend(evaluation, outcome="median_income", subject=HAKUNILA, texts=EN)
    assert re.search(r"EUR [\d,]+ below the comparison areas", picture.headline)
    assert re.search(
        r"\d euroa pienempi",
        plot_trend(evaluation, outcome="median_income", subject=HAKUNILA, texts=FI).headline,
    )


@pytest.mark.parametrize(
    "name", ["Koivukylä", "Helsingin pitäjän kirkonkylä", "Itä-Hakkila", "X", "Bbbbbbbbbbbbbbbb"]
)
def test_names_fit_their_tiles(name: str) -> None:
    lines = tile_name(name, 30.0).split("\n")
    assert len(lines) <= 2
    assert all(text_size(line, 8.0)[0] <= 30.0 for line in lines)


@pytest.mark.parametrize("texts", [EN, FI, SV], ids=["en", "fi", "sv"])
def test_words_beside_the_lines_of_a_finding_cross_no_line(evaluation: Evaluation, texts: Texts) -> None:
    for outcome in evaluation.study.plan.outcomes:
        for subject in (ALL, *evaluation.design.treated):
            finding = evaluation.findings[outcome, subject]
            figure = plot_finding(finding, evaluation=evaluation, texts=texts).figure
            figure.canvas.draw()
            axes = next(one for one in figure.axes if one.collections)
            lines = [
                axes.transData.transform(line.get_xydata())
                for line in axes.lines
                if len(line.get_xdata()) == 2 and line.get_linewidth() > 1
            ]
            assert len(lines) == 2
            for text in axes.texts:
                box = text.get_window_extent()
                for (x, _), (_, top) in lines:
                    assert top < box.y0 or not box.x0 < x < box.x1, (outcome, subject, text.get_text())
