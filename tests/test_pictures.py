"""Every picture: its headline follows the data, everybody can see and read it, and its numbers can be taken along."""

from __future__ import annotations

import base64
import csv
import importlib
import io
import itertools
import pkgutil
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
import shapely
from fontTools.pens.recordingPen import RecordingPen
from fontTools.svgLib.path import parse_path
from matplotlib.artist import Artist
from matplotlib.collections import Collection, LineCollection, PathCollection
from matplotlib.colors import to_rgb, to_rgba
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.path import Path as Outline
from matplotlib.text import Text
from matplotlib.textpath import TextPath
from nbformat.v4 import new_code_cell, new_notebook, new_output

import mekeval.figures
from mekeval import (
    build_panel,
    callaway_santanna,
    design_from_cohorts,
    group_time_att,
    infer,
    make_design,
    synthetic_fit,
)
from mekeval.areas.boundaries import Boundaries
from mekeval.errors import DataError, DesignError, MekevalError
from mekeval.estimate import Effects, unit_contrast
from mekeval.evaluation import ALL, Evaluation
from mekeval.evaluation.elsewhere import how_clear
from mekeval.figures import (
    About,
    Picture,
    plot_breakdown,
    plot_check,
    plot_choice,
    plot_counterpart,
    plot_deciding,
    plot_detectable,
    plot_doses,
    plot_effects,
    plot_event_study,
    plot_finding,
    plot_forest,
    plot_gap,
    plot_group_time,
    plot_honest,
    plot_map,
    plot_outcomes,
    plot_placebo,
    plot_power,
    plot_rule_placebo,
    plot_segregation,
    plot_selection_stability,
    plot_synthetic,
    plot_tiles,
    plot_trend,
    plot_verdicts,
    plot_years,
)
from mekeval.figures import picture as colours
from mekeval.figures.axes import OWN, PATHS, REST
from mekeval.figures.coverage import plot_coverage
from mekeval.figures.monitoring import Answered, plot_answers, plot_events
from mekeval.figures.picture import relative_outline
from mekeval.figures.shares import plot_coverage_shares, plot_releases
from mekeval.figures.standing import together
from mekeval.findings import Finding
from mekeval.render.notebook import notebook_fragment
from mekeval.segregation import segregation_indices
from mekeval.sensitivity import Check, City, compare_with_cities, dose_response, honest_bounds, unit_effects
from mekeval.tables import csv_link
from mekeval.text import MINUS, Texts

OUTCOME, HAKUNILA, OTHER = "unemployment_rate", "09294", "09210"
EN, FI, SV = Texts("en"), Texts("fi"), Texts("sv")
RATE = About(outcome="Rate", unit="percent", decimals=2)
MIRRORED = {"improved": "worsened", "worsened": "improved"}


# --- every picture twice: of some data, and of other data


@pytest.fixture(scope="module")
def evaluation(evaluated: Callable[..., Evaluation]) -> Evaluation:
    found = evaluated(2025, "Hakunila")
    assert found.elsewhere is not None
    return replace(found, choice=how_clear(found.elsewhere, seed=1))


def mirrored_finding(finding: Finding) -> Finding:
    """The opposite of a finding: every effect has the other sign, and half of it could have been found."""
    result, placebo = finding.inference, finding.placebo
    if result is None or placebo is None:
        return finding
    inference = replace(
        result,
        estimate=-result.estimate,
        low=-result.high if result.high is not None else None,
        high=-result.low if result.low is not None else None,
        minimum_detectable_effect=2 * (result.minimum_detectable_effect or 1.0),
    )
    opposite = replace(
        placebo, effect=-placebo.effect, low=-placebo.high, high=-placebo.low, bias=-placebo.bias
    )
    checks = tuple(
        replace(check, facts={**check.facts, "breakdown": 2.5}, passed=not check.passed)
        for check in finding.checks
    )
    verdict = MIRRORED.get(finding.verdict, "fragile")
    return replace(finding, inference=inference, placebo=opposite, checks=checks, verdict=verdict)


@pytest.fixture(scope="module")
def mirrored(evaluation: Evaluation) -> Evaluation:
    """The same study with its levels turned upside down."""
    panel, outcome = evaluation.panel, evaluation.panel.values[OUTCOME]
    turned = np.nanmax(outcome) + np.nanmin(outcome) - outcome
    panel = replace(panel, values={**panel.values, OUTCOME: turned})
    effects = group_time_att(panel, evaluation.design, outcome=OUTCOME)
    choice = evaluation.choice
    assert choice is not None
    shares = choice.table.assign(share_chosen=np.where(choice.table["chosen"], 0.55, 0.33))
    return replace(
        evaluation,
        panel=panel,
        effects={**evaluation.effects, OUTCOME: effects},
        findings={key: mirrored_finding(one) for key, one in evaluation.findings.items()},
        choice=replace(choice, table=shares),
    )


def decided(evaluation: Evaluation) -> Finding:
    """A finding that one of its checks decided."""
    return replace(evaluation.findings[OUTCOME, HAKUNILA], because="one_year")


def squares(evaluation: Evaluation) -> Boundaries:
    """Boundaries as large as tiles; one has a hole."""
    places = evaluation.study.areas.table.loc[list(evaluation.panel.units), ["tile_row", "tile_col"]].astype(
        float
    )
    shapes = np.empty(len(places), dtype=object)
    shapes[:] = [
        shapely.box(24.0 + column / 50, 60.0 - row / 100, 24.02 + column / 50, 60.01 - row / 100)
        for row, column in places.to_numpy()
    ]
    shapes[0] = shapes[0].difference(shapes[0].centroid.buffer(0.002))
    codes = (*evaluation.panel.units, "beyond")
    shapes = np.append(shapes, shapely.box(30.0, 50.0, 31.0, 51.0))
    return Boundaries(file="areas.geojson", codes=codes, names=("",) * len(codes), shapes=shapes, plane="")


_ORDER = (ALL, HAKUNILA)
OF_STUDY: dict[str, Callable[[Evaluation, Texts], Picture]] = {
    "plot_trend": lambda one, texts: plot_trend(one, outcome=OUTCOME, subject=HAKUNILA, texts=texts),
    "plot_gap": lambda one, texts: plot_gap(one, outcome=OUTCOME, subject=HAKUNILA, texts=texts),
    "plot_effects": lambda one, texts: plot_effects(one, outcome=OUTCOME, subject=ALL, texts=texts),
    "plot_years": lambda one, texts: plot_years(one, outcome=OUTCOME, subject=HAKUNILA, texts=texts),
    "plot_counterpart": lambda one, texts: plot_counterpart(
        one, outcome=OUTCOME, subject=HAKUNILA, texts=texts
    ),
    "plot_finding": lambda one, texts: plot_finding(
        one.findings[OUTCOME, HAKUNILA], evaluation=one, texts=texts
    ),
    "plot_deciding": lambda one, texts: plot_deciding(decided(one), evaluation=one, texts=texts),
    "plot_breakdown": lambda one, texts: plot_breakdown(
        one.findings[OUTCOME, HAKUNILA], evaluation=one, texts=texts
    ),
    "plot_verdicts": lambda one, texts: plot_verdicts(
        one, outcome=OUTCOME, subject_order=_ORDER, texts=texts
    ),
    "plot_outcomes": lambda one, texts: plot_outcomes(one, subject=HAKUNILA, texts=texts),
    "plot_detectable": lambda one, texts: plot_detectable(
        one, outcome=OUTCOME, subject_order=_ORDER, texts=texts
    ),
    "plot_tiles": lambda one, texts: plot_tiles(one, outcome=OUTCOME, texts=texts),
    "plot_map": lambda one, texts: plot_map(one, outcome=OUTCOME, boundaries=squares(one), texts=texts),
    "plot_choice": lambda one, texts: plot_choice(one, texts=texts),
}


def effects_of(sign: float, waves: dict[int, int], never: int) -> Effects:
    """Callaway and Sant'Anna of units whose effect grows by `sign` a year."""
    rng = np.random.default_rng(4)
    first = [year for year, n in waves.items() for _ in range(n)] + [None] * never
    rows = [
        (f"u{unit:02d}", year, rng.normal() + sign * (max(0, year - start + 1) if start else 0))
        for unit, start in enumerate(first)
        for year in range(2001, 2009)
    ]
    panel = build_panel(
        pd.DataFrame(rows, columns=["unit", "year", "y"]), unit="unit", period="year", outcome=["y"]
    )
    return callaway_santanna(panel, design_from_cohorts(panel.units, first, last_period=2008), outcome="y")


def alone(sign: float) -> tuple[Effects, object]:
    """One treated unit of thirteen, and its synthetic counterpart."""
    rng = np.random.default_rng(2)
    units = [f"u{at:02d}" for at in range(13)]
    rows = [
        (unit, year, rng.normal() + sign * 4 * (unit == "u00") * (year > 2004))
        for unit in units
        for year in range(2000, 2009)
    ]
    panel = build_panel(
        pd.DataFrame(rows, columns=["unit", "year", "y"]), unit="unit", period="year", outcome=["y"]
    )
    design = make_design(units, [(2005, 2008, ["u00"])])
    fit = synthetic_fit(panel, design, outcome="y", method="synthetic_control")
    return group_time_att(panel, design, outcome="y"), fit


def cities(effect: float) -> object:
    rng = np.random.default_rng(8)

    def city(name: str, own: float) -> City:
        level = rng.normal(12, 3, 30)
        chosen = np.isin(np.arange(30), np.argsort(-level)[:3])
        change = rng.normal(0, 1, 30) + own * chosen
        return City(name=name, change=change, level=level, population=np.full(30, 3000.0), chosen=chosen)

    return compare_with_cities(city("Target", effect), [city(f"City {at}", 0.0) for at in range(20)])


def check_of(passed: bool) -> Check:
    table = pd.DataFrame(
        {"left_out": ["2019", "2020"], "estimate": [1.0, 1.4], "low": [0.2, 0.5], "high": 2.3}
    )
    return Check(name="one_year", passed=passed, reason="steady", facts={}, table=table)


def doses_of(values: list[float]) -> object:
    rest = np.random.default_rng(5).normal(size=31)
    names = [f"t{at}" for at in range(len(values))] + [f"c{at:02d}" for at in range(31)]
    rows = [(name, year, 0.0) for name in names for year in (1, 2)]
    rows += [(name, 3, value) for name, value in zip(names, [*values, *rest], strict=True)]
    panel = build_panel(
        pd.DataFrame(rows, columns=["unit", "year", "y"]), unit="unit", period="year", outcome=["y"]
    )
    design = make_design(names, [(3, 3, names[: len(values)])])
    found = unit_effects(group_time_att(panel, design, outcome="y"))
    return dose_response(found, {f"t{at}": float(at + 1) for at in range(len(values))})


def series(shares: tuple[float, float]) -> object:
    total = np.full((20, 2), 5000)
    own = np.stack([np.linspace(0.2 - one, 0.2 + one, 20) for one in shares], axis=1)
    return segregation_indices(np.rint(own * total), total, periods=[2018, 2019], draws=200)


def states(*of: str) -> pd.DataFrame:
    rows = [(f"a{at}", "x", 2020, status) for at, status in enumerate(of)]
    return pd.DataFrame(rows, columns=["area", "indicator", "year", "status"])


def releases(changed: int) -> pd.DataFrame:
    columns = ["indicator", "year", "vintage_old", "vintage_new", "areas", "changed"]
    return pd.DataFrame([("x", 2019, 2020, 2021, 10, changed)], columns=columns)


def quarters(first: int) -> pd.DataFrame:
    columns = ["area", "year", "quarter", "events", "running"]
    return pd.DataFrame([("a", 2023, 1, first, True), ("a", 2023, 2, 4, True)], columns=columns)


def answered(mean: float) -> Answered:
    return Answered(label="Fun", status="ok", n=30, mean=mean, low=mean - 0.3, high=mean + 0.3)


def shares(sure: float) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "area": list("ABCD"),
            "rank": range(1, 5),
            "chosen": [True, True, False, False],
            "share_chosen": [1.0, sure, 0.2, 0.0],
        }
    )


def forest(sign: int) -> pd.DataFrame:
    table = pd.DataFrame({"name": ["A", "B"], "estimate": [1.0, 0.5], "low": [0.2, -0.5], "high": [1.8, 1.5]})
    if sign > 0:
        return table
    return table.assign(estimate=-table["estimate"], low=-table["high"], high=-table["low"])


def bounds(effect: float) -> object:
    return honest_bounds([0.1, effect], np.diag([0.01, 0.01]), [-2, 0], sizes=[0, 1, 2, 4])


#: Each picture of given results, by a number that stands for the data; both of them must be drawn.
OF_RESULTS: dict[str, tuple[Callable[[float, Texts], Picture], float, float]] = {
    "plot_event_study": (
        lambda x, t: plot_event_study(effects_of(x, {2004: 12, 2006: 10}, 20), texts=t),
        1,
        -1,
    ),
    "plot_group_time": (
        lambda x, t: plot_group_time(effects_of(x, {2004: 12, 2006: 10}, 20), texts=t),
        1,
        -1,
    ),
    "plot_synthetic": (lambda x, t: plot_synthetic(alone(x)[1], texts=t), 1, -1),
    "plot_placebo": (
        lambda x, t: plot_placebo(infer(unit_contrast(alone(x)[0], "u00"), alpha=0.1), texts=t),
        1,
        0,
    ),
    "plot_rule_placebo": (lambda x, t: plot_rule_placebo(cities(x), texts=t), 1.2, -1.2),
    "plot_forest": (lambda x, t: plot_forest(forest(int(x)), texts=t, about=RATE), 1, -1),
    "plot_check": (lambda x, t: plot_check(check_of(x > 0), texts=t, about=RATE), 1, -1),
    "plot_power": (lambda x, t: plot_power([0, 1, 2], [0.05, x, 1.0], texts=t, about=RATE), 0.6, 0.9),
    "plot_selection_stability": (lambda x, t: plot_selection_stability(shares(x), texts=t), 0.9, 0.6),
    "plot_honest": (lambda x, t: plot_honest(bounds(x), texts=t, about=RATE), 1.0, 0.4),
    "plot_doses": (
        lambda x, t: plot_doses(doses_of([x * at for at in (10, 30, 40, 70, 90, 110)]), texts=t),
        1,
        -1,
    ),
    "plot_segregation": (
        lambda x, t: plot_segregation(series((0.05, 0.1) if x > 0 else (0.1, 0.05)), texts=t, about=RATE),
        1,
        -1,
    ),
    "plot_coverage": (
        lambda x, t: plot_coverage(states(*["ok"] * int(x), "missing"), indicator="x", texts=t),
        2,
        1,
    ),
    "plot_coverage_shares": (
        lambda x, t: plot_coverage_shares(states(*["ok"] * int(x), "missing"), labels={"x": "Rate"}, texts=t),
        2,
        1,
    ),
    "plot_releases": (lambda x, t: plot_releases(releases(int(x)), labels={"x": "Rate"}, texts=t), 4, 0),
    "plot_events": (lambda x, t: plot_events(quarters(int(x)), areas=["a"], year=2023, texts=t), 3, 9),
    "plot_answers": (
        lambda x, t: plot_answers([answered(x)], scale=(1, 5), period="2023", texts=t),
        4.2,
        2.1,
    ),
}
NAMES = [*OF_STUDY, *OF_RESULTS]
each = pytest.mark.parametrize("name", NAMES)


@pytest.fixture
def drawn(name: str, evaluation: Evaluation) -> Callable[[Texts], Picture]:
    if name in OF_STUDY:
        return lambda texts: OF_STUDY[name](evaluation, texts)
    draw, some, _ = OF_RESULTS[name]
    return lambda texts: draw(some, texts)


def test_no_picture_is_forgotten() -> None:
    modules = pkgutil.iter_modules(mekeval.figures.__path__, "mekeval.figures.")
    found = {
        name
        for module in modules
        for name in vars(importlib.import_module(module.name))
        if name.startswith("plot_")
    }
    assert found == set(NAMES)


@each
def test_headline_and_alternative_text_follow_the_data(
    name: str, evaluation: Evaluation, mirrored: Evaluation
) -> None:
    if name in OF_STUDY:
        one, other = (OF_STUDY[name](which, EN) for which in (evaluation, mirrored))
    else:
        draw, some, others = OF_RESULTS[name]
        one, other = (draw(which, EN) for which in (some, others))
    assert one.headline != other.headline
    assert one.alt != other.alt
    assert one.data.rows != other.data.rows or name in ("plot_check", "plot_deciding", "plot_breakdown")
    for picture in (one, other):
        assert picture.headline in picture.alt
        assert "{" not in picture.headline + picture.alt + picture.subtitle
        assert not re.search(r"\bnan\b", picture.headline + picture.alt, re.IGNORECASE)


# --- everybody can see it


def linear(colour: object) -> np.ndarray:
    shade = np.array(to_rgb(colour))  # type: ignore[arg-type]
    return np.where(shade <= 0.04045, shade / 12.92, ((shade + 0.055) / 1.055) ** 2.4)


def contrast(one: object, other: object) -> float:
    """Contrast of two colours by WCAG 2.1, from 1 to 21."""
    light = sorted(float(linear(colour) @ [0.2126, 0.7152, 0.0722]) + 0.05 for colour in (one, other))
    return light[1] / light[0]


def over(colour: object, ground: str = "white") -> tuple[float, ...]:
    """A colour on a ground, its transparency taken in."""
    red, green, blue, alpha = to_rgba(colour)  # type: ignore[arg-type]
    return tuple(
        alpha * one + (1 - alpha) * under
        for one, under in zip((red, green, blue), to_rgb(ground), strict=True)
    )


#: What dichromats see, severity 1.0: Machado, Oliveira and Fernandes (2009), A physiologically-based model for
#: simulation of color vision deficiency. IEEE Transactions on Visualization and Computer Graphics 15(6), table 1.
DICHROMATS = {
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def lab(light: np.ndarray) -> np.ndarray:
    """CIE 1976 L*a*b* of linear sRGB, white D65."""
    to_xyz = np.array(
        [
            [0.4124564, 0.3575761, 0.1804375],
            [0.2126729, 0.7151522, 0.0721750],
            [0.0193339, 0.1191920, 0.9503041],
        ]
    )
    x, y, z = (
        np.cbrt(one) if one > 216 / 24389 else (24389 / 27 * one + 16) / 116
        for one in to_xyz @ light / [0.95047, 1.0, 1.08883]
    )
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("vision", ["normal", *DICHROMATS])
def test_lines_are_told_apart_by_every_eye(vision: str) -> None:
    seen = np.array(DICHROMATS.get(vision, np.eye(3)))
    # The grey of what a line is compared with stands beside the first of them only.
    pairs = [*combinations([look.colour for look in PATHS], 2), (OWN.colour, REST.colour)]
    for one, other in [*pairs, (colours.VERMILION, colours.BAND)]:
        apart = lab(np.clip(seen @ linear(one), 0, 1)) - lab(np.clip(seen @ linear(other), 0, 1))
        assert np.linalg.norm(apart) > 10, (one, other)  # 2.3 is just noticeable


def test_lines_are_told_apart_without_colour() -> None:
    assert len({look.marker for look in PATHS}) == len({look.dash for look in PATHS}) == len(PATHS)


GROUNDS = {to_rgb(one) for one in ("white", colours.SHADE, colours.GRID, colours.PALE)}


def marks(picture: Picture) -> list[tuple[Artist, list[object]]]:
    """What is drawn but words, with the colours of its faces and edges; grids and grounds left out."""
    found: list[tuple[Artist, list[object]]] = []
    for axes in picture.figure.axes:
        if not axes.axison and not axes.collections and not axes.lines:
            continue
        for artist in (*axes.lines, *axes.patches, *axes.collections):
            seen: list[object] = []
            if isinstance(artist, Line2D):
                seen = [artist.get_color(), artist.get_markeredgecolor(), artist.get_markerfacecolor()]
            elif isinstance(artist, Patch):
                seen = [artist.get_facecolor(), *([artist.get_edgecolor()] if artist.get_linewidth() else [])]
            elif isinstance(artist, Collection):
                seen = [
                    *artist.get_facecolor(),
                    *(artist.get_edgecolor() if np.any(artist.get_linewidth()) else []),
                ]
            if isinstance(artist, PathCollection | LineCollection) or seen:
                found.append((artist, seen))
    return found


@each
def test_marks_and_words_have_contrast(name: str, drawn: Callable[[Texts], Picture]) -> None:
    picture = drawn(FI)
    # Tiles, the map and the grid of coverage are shaded by what they mean, and each cell has words or letters in it.
    if name not in ("plot_tiles", "plot_map", "plot_coverage"):
        for artist, seen in marks(picture):
            whole = {over(one) for one in seen if to_rgba(one)[3] > 0}  # type: ignore[arg-type]
            if whole and not whole <= GROUNDS:
                assert max(contrast(one, "white") for one in whole) >= 3, artist
    shaded = any(
        isinstance(artist, Patch) and to_rgb(artist.get_facecolor()) == to_rgb(colours.SHADE)
        for artist, _ in marks(picture)
    )
    ground = colours.SHADE if shaded else "white"
    for words in picture.figure.findobj(Text):
        if words.get_text().strip() and words.get_visible() and to_rgb(words.get_color()) != (1.0, 1.0, 1.0):
            if name == "plot_coverage" and len(words.get_text()) == 1:
                continue
            assert contrast(words.get_color(), ground) >= 4.5, words.get_text()


def test_words_on_tiles_and_letters_in_cells_have_contrast(evaluation: Evaluation) -> None:
    figure = plot_tiles(evaluation, outcome=OUTCOME, texts=FI).figure
    (tiles, *_) = figure.axes[0].collections
    boxes = [path.get_extents() for path in tiles.get_paths()]
    faces = tiles.get_facecolor()
    read = 0
    for words in figure.axes[0].texts:
        at = [row for row, box in enumerate(boxes) if box.contains(*words.get_position())]
        if at:
            assert contrast(words.get_color(), faces[at[0]]) >= 4.5, words.get_text()
            assert re.search(r"\n\d+,\d$", words.get_text())  # the value itself, not its colour alone
            read += 1
    assert read == len(boxes)
    from mekeval.figures.coverage import _MARKS

    for status, mark in _MARKS.items():
        assert status == "ok" or (mark.letter and contrast(mark.ink, mark.colour) >= 4.5), status
    letters = [mark.letter for mark in _MARKS.values()]
    assert len(set(letters)) == len(letters)


def test_contrast_by_hand() -> None:
    # WCAG's own example: #777777 on white is 4.48, just too little.
    assert contrast("#777777", "white") == pytest.approx(4.48, abs=0.01)
    assert contrast("black", "white") == pytest.approx(21)


# --- its numbers can be taken along, and it can be changed


class Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


@each
def test_numbers_of_every_picture_can_be_saved(name: str, drawn: Callable[[Texts], Picture]) -> None:
    picture = drawn(FI)
    reader = Reader()
    reader.feed(picture._repr_html_())
    (link,) = [given for tag, given in reader.tags if tag == "a"]
    start, content = str(link["href"]).split(",")
    assert start == "data:text/csv;charset=utf-8;base64"
    assert re.fullmatch(r"[a-z0-9][a-z0-9-]{0,79}\.csv", str(link["download"]))
    text = base64.b64decode(content).decode("utf-8-sig")
    rows = list(csv.reader(io.StringIO(text)))
    assert [len(row) for row in rows] == [len(picture.data.columns)] * (len(picture.data.rows) + 1)
    assert [cell.removeprefix("'") for row in rows[1:] for cell in row] == [
        cell for row in picture.data.rows for cell in row
    ]
    assert not [given for _, given in reader.tags if "style" in given]


def test_a_name_that_is_a_formula_is_text_in_the_file() -> None:
    table = forest(1).assign(name=["=HYPERLINK(1)", "@SUM(1)"], estimate=[-1.0, 0.5], low=-2.0, high=2.0)
    html = plot_forest(table, about=RATE)._repr_html_()
    content = re.search(r"base64,([A-Za-z0-9+/=]+)\" download", html)
    assert content is not None
    rows = list(csv.reader(io.StringIO(base64.b64decode(content[1]).decode("utf-8-sig"))))
    assert [row[0] for row in rows[1:]] == ["'=HYPERLINK(1)", "'@SUM(1)"]
    assert rows[1][1].startswith(MINUS)  # a negative number stays as it is


def fragment_of(html: str) -> str:
    output = new_output("execute_result", data={"text/html": html})
    return notebook_fragment(new_notebook(cells=[new_code_cell("1", outputs=[output])])).html


def test_a_page_lets_only_the_numbers_of_a_picture_through() -> None:
    link = csv_link(plot_forest(forest(1), about=RATE).data, label="Save", name="Rate")
    published = fragment_of(link)
    assert re.findall(r'href="([^"]+)"', published) == re.findall(r'href="([^"]+)"', link)
    assert 'download="rate.csv"' in published
    for bad in (
        link.replace(" download=", " title="),  # opened, not saved
        link.replace("text/csv", "text/html"),
        link.replace(";charset=utf-8", ""),
        link.replace("base64,", "base64,%3Cscript%3E"),
        '<a download="x.csv" href="javascript:alert(1)">x</a>',
    ):
        with pytest.raises(MekevalError, match="may not be in a report"):
            fragment_of(bad)


@each
def test_a_figure_can_be_restyled(name: str, drawn: Callable[[Texts], Picture]) -> None:
    picture = drawn(EN)
    before = picture.svg()
    assert picture.svg() == before
    axes = picture.figure.axes[0]
    axes.set_title("Mine")
    axes.title.set_fontsize(11)
    for line in axes.lines:
        line.set_color("black")
    picture.figure.set_facecolor("#eeeeee")
    picture.figure.set_dpi(200)
    after = picture.svg()
    assert after != before
    assert b"#eeeeee" in after
    assert picture.figure.get_dpi() == 200
    stream = io.BytesIO()
    picture.figure.savefig(stream, format="png", dpi=40)
    assert stream.getvalue().startswith(b"\x89PNG")


# --- what the new ones say


def test_gap_to_the_city_by_hand(evaluation: Evaluation) -> None:
    panel = evaluation.panel
    row = panel.units.index(HAKUNILA)
    levels, people = panel.values[OUTCOME], panel.bases[OUTCOME]

    def gap(year: int) -> float:
        column = panel.periods.index(year)
        there = ~np.isnan(levels[:, column]) & ~np.isnan(people[:, column])
        city = sum(levels[there, column] * people[there, column]) / sum(people[there, column])
        return float(levels[row, column] - city)

    before, after = float(np.mean([gap(year) for year in range(2014, 2019)])), gap(2025)
    assert before > after > 0
    picture = plot_gap(evaluation, outcome=OUTCOME, subject=HAKUNILA, texts=EN)
    assert f"{before:.1f} percentage points above the city" in picture.headline
    assert f"{after:.1f} percentage points above the city" in picture.headline
    assert picture.headline.endswith(f"the gap is {before - after:.1f} percentage points narrower.")
    city = together(panel, OUTCOME, panel.units)[-1]
    assert picture.data.rows[-1][-1] == f"{100 * levels[row, -1] / city:.1f}"
    assert together(panel, OUTCOME, [HAKUNILA])[-1] == pytest.approx(levels[row, -1])


def test_gap_says_when_it_changes_sides_or_not_at_all(evaluation: Evaluation) -> None:
    panel = evaluation.panel

    def with_levels(after: float) -> Evaluation:
        values = np.full_like(panel.values[OUTCOME], 10.0)
        values[panel.units.index(HAKUNILA)] = np.where(np.array(panel.periods) < 2019, 14.0, after)
        bases = np.ones_like(values)
        some = replace(panel, values={**panel.values, OUTCOME: values}, bases={**panel.bases, OUTCOME: bases})
        return replace(evaluation, panel=some)

    def said(after: float) -> str:
        return plot_gap(with_levels(after), outcome=OUTCOME, subject=HAKUNILA, texts=EN).headline

    assert said(4.0).endswith("it has changed sides.")
    assert said(14.0).endswith("the gap is as wide as before.")
    # 61 areas of one person each: 5 points above the others are 5 * 60/61 = 4.9 above the city, before 3.9.
    assert said(15.0).endswith("the gap is 1.0 percentage points wider.")
    assert "level with the city as a whole" in said(10.0)


def test_years_count_the_bands_that_leave_out_zero(evaluation: Evaluation) -> None:
    picture = plot_years(evaluation, outcome=OUTCOME, subject=HAKUNILA, texts=EN)
    counted = {True: [0, 0], False: [0, 0]}
    for row in picture.data.rows:
        time = int(row[0].replace(MINUS, "-"))
        if time == 0:
            continue  # a partial year
        low, high = (float(end.split()[0].replace(MINUS, "-")) for end in row[3].split(" to "))
        counted[time > 0][1] += 1
        counted[time > 0][0] += low > 0 or high < 0
    (n, m), (k, j) = counted[True], counted[False]
    assert f"leaves out 0 in {n} of {m} of these years, and in {k} of {j} years before" in picture.headline
    assert "The mark at the foot" in picture.subtitle
    assert "Base" in [words.get_text() for words in picture.figure.axes[0].texts]


def test_outcomes_are_counted_by_the_better_side(evaluation: Evaluation) -> None:
    picture = plot_outcomes(evaluation, subject=HAKUNILA, texts=EN)
    better = worse = 0
    for outcome in evaluation.study.plan.outcomes:
        result = evaluation.findings[outcome, HAKUNILA].inference
        up = evaluation.study.indicator(outcome).higher_is == "better"
        assert result is not None and result.low is not None and result.high is not None
        better += (result.low > 0) if up else (result.high < 0)
        worse += (result.high < 0) if up else (result.low > 0)
    assert f"{better} changed clearly for the better and {worse} clearly for the worse" in picture.headline
    first = evaluation.findings[evaluation.study.plan.outcomes[0], HAKUNILA].inference
    assert first is not None
    important = evaluation.study.plan.important[evaluation.study.plan.outcomes[0]]
    multiple = f"{-first.estimate / important:+.1f}".replace("-", MINUS)  # lower is better
    assert picture.data.rows[0][4] == multiple
    untold = evaluation.study.spec.model_copy(
        update={"plan": evaluation.study.spec.plan.model_copy(update={"important": {}})}
    )
    without = replace(evaluation, study=replace(evaluation.study, spec=untold))
    if not without.study.plan.important:
        assert "standard deviation" in plot_outcomes(without, subject=HAKUNILA, texts=EN).subtitle


def test_detectable_counts_the_estimates_beyond_it(evaluation: Evaluation, mirrored: Evaluation) -> None:
    for one in (evaluation, mirrored):
        result = one.findings[OUTCOME, HAKUNILA].inference
        assert result is not None and result.minimum_detectable_effect is not None
        found = abs(result.estimate) >= result.minimum_detectable_effect
        picture = plot_detectable(one, outcome=OUTCOME, subject_order=_ORDER, texts=EN)
        assert f"{int(found)} of 1 estimates are that large" in picture.headline
        assert f"at least {result.minimum_detectable_effect:.1f} percentage points" in picture.headline


def test_a_map_names_the_programme_and_refuses_missing_areas(evaluation: Evaluation) -> None:
    whole = squares(evaluation)
    picture = plot_map(evaluation, outcome=OUTCOME, boundaries=whole, texts=EN)
    tiles = plot_tiles(evaluation, outcome=OUTCOME, texts=EN)
    assert picture.data == tiles.data
    values = evaluation.panel.values[OUTCOME]
    last = values[:, np.flatnonzero(~np.isnan(values).all(axis=0))[-1]]
    names = [evaluation.study.areas.name(code, "en") for code in evaluation.panel.units]
    high, low = (names[int(at(last))] for at in (np.nanargmax, np.nanargmin))
    assert (
        f"highest in {high} ({np.nanmax(last):.1f}%), lowest in {low} ({np.nanmin(last):.1f}%)"
        in picture.headline
    )
    written = {words.get_text() for words in picture.figure.axes[0].texts}
    assert {evaluation.study.areas.name(code, "en") for code in evaluation.design.treated} <= written
    box = picture.figure.axes[0].collections[0].get_paths()[0].get_extents()
    middle = box.get_points().mean(axis=0)
    stream = io.BytesIO()
    picture.figure.savefig(stream, format="rgba", dpi=72)
    width, height = (round(72 * inches) for inches in picture.figure.get_size_inches())
    pixels = np.frombuffer(stream.getvalue(), dtype=np.uint8).reshape(-1, width, 4)
    assert abs(len(pixels) - height) <= 1
    assert pixels[int(middle[1]), int(middle[0])].tolist() == [255] * 4  # the hole
    assert pixels[int(box.y0) + 4, int(box.x0) + 4].tolist() != [255] * 4  # what is around it
    with pytest.raises(DataError, match="no boundary") as caught:
        plot_map(
            evaluation,
            outcome=OUTCOME,
            boundaries=replace(whole, codes=whole.codes[1:], shapes=whole.shapes[1:], names=whole.names[1:]),
            texts=EN,
        )
    assert evaluation.panel.units[0] in str(caught.value)


def test_letters_keep_their_outlines_when_told_from_point_to_point() -> None:
    """fontTools reads both forms of every letter that our pictures may use, and draws the same."""
    for letter in "abcdefghijklmnopqrstuvwxyzåäöABCÅÄÖ0123456789%&€²–−…":
        vertices = TextPath((0, 0), letter, size=2048, prop=FontProperties(family="DejaVu Sans"))
        whole = Outline(np.round(vertices.vertices), vertices.codes)
        outline = "".join(
            {1: "M", 2: "L", 3: "Q", 4: "C", 79: "z"}[int(code)]
            + ("" if code == 79 else " ".join(f"{int(one)}" for one in points))
            for points, code in whole.iter_segments(simplify=False, curves=True)
        )
        pens = RecordingPen(), RecordingPen()
        for pen, told in zip(pens, (outline, relative_outline(outline)), strict=True):
            parse_path(told, pen)
        assert pens[0].value == pens[1].value
        assert len(relative_outline(outline)) <= len(outline)


def test_a_hidden_value_has_no_shade_on_the_map_and_no_number_beside_it(evaluation: Evaluation) -> None:
    """The colour in the middle of each area is that of its own class; of hidden areas it is that of none."""
    values = evaluation.panel.values[OUTCOME].copy()
    column = int(np.flatnonzero(~np.isnan(values).all(axis=0))[-1])
    gone = [5, 20]
    assert not np.isnan(values[gone, column]).any()
    values[gone, column] = np.nan
    reasons = evaluation.panel.reasons[OUTCOME].copy()
    reasons[gone, column] = "suppressed"
    panel = replace(
        evaluation.panel,
        values={**evaluation.panel.values, OUTCOME: values},
        reasons={**evaluation.panel.reasons, OUTCOME: reasons},
    )
    picture = plot_map(
        replace(evaluation, panel=panel), outcome=OUTCOME, boundaries=squares(evaluation), texts=EN
    )
    for row in gone:
        assert picture.data.rows[row][1] == EN("status.suppressed")
    axes = picture.figure.axes[0]
    paths = axes.collections[0].get_paths()
    colours = [tuple(one) for one in axes.collections[0].get_facecolor().tolist()]
    shown = values[~np.isnan(values[:, column]), column]
    assert len(paths) == len(colours) == len(shown)
    # Classes are in order: a higher value never has a class of its own below that of a lower one.
    ordered = [colours[at] for at in np.argsort(shown, kind="stable")]
    assert len(set(ordered)) == 1 + sum(one != other for one, other in itertools.pairwise(ordered))
    hatched = [patch for patch in axes.patches if patch.get_hatch()]
    assert {patch.get_facecolor() for patch in hatched} == {(1.0, 1.0, 1.0, 1.0)}
    drawn = {tuple(np.round(path.get_extents().get_points().ravel(), 1)) for path in paths}
    outside = [tuple(np.round(patch.get_path().get_extents().get_points().ravel(), 1)) for patch in hatched]
    assert len(set(outside) - drawn) >= int(np.isnan(values[:, column]).sum())


def test_what_the_new_pictures_cannot_draw(evaluation: Evaluation) -> None:
    with pytest.raises(DataError, match="no such outcome"):
        plot_gap(evaluation, outcome="unemploymnt_rate", subject=HAKUNILA, texts=EN)
    with pytest.raises(DesignError, match="not treated"):
        plot_gap(evaluation, outcome=OUTCOME, subject=OTHER, texts=EN)
    with pytest.raises(DesignError, match="not treated"):
        plot_years(evaluation, outcome=OUTCOME, subject=OTHER, texts=EN)
    with pytest.raises(DesignError, match="of one area"):
        plot_counterpart(evaluation, outcome=OUTCOME, subject=ALL, texts=EN)
    with pytest.raises(DesignError, match="No outcome can be assessed"):
        plot_outcomes(evaluation, subject=OTHER, texts=EN)
    with pytest.raises(DesignError, match="No area has"):
        plot_detectable(evaluation, outcome=OUTCOME, subject_order=[OTHER], texts=EN)
    finding = evaluation.findings[OUTCOME, HAKUNILA]
    with pytest.raises(DesignError, match="not checked"):
        plot_breakdown(replace(finding, checks=()), evaluation=evaluation, texts=EN)
    empty = np.full_like(evaluation.panel.values[OUTCOME], np.nan)
    bare = replace(evaluation.panel, values={**evaluation.panel.values, OUTCOME: empty})
    with pytest.raises(DataError, match="no value"):
        plot_gap(replace(evaluation, panel=bare), outcome=OUTCOME, subject=HAKUNILA, texts=EN)
