"""Pictures of any result, without a study: the headline says what the numbers say, in every language."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from dataclasses import replace

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb

from mekeval import (
    Design,
    Effects,
    Panel,
    Texts,
    aggregate,
    build_panel,
    callaway_santanna,
    design_from_cohorts,
    group_time_att,
    make_design,
    sun_abraham,
    synthetic_fit,
    twfe,
    twfe_event_study,
)
from mekeval.errors import DataError, DesignError
from mekeval.estimate import SyntheticFit
from mekeval.figures import (
    About,
    Picture,
    plot_event_study,
    plot_forest,
    plot_group_time,
    plot_power,
    plot_rule_placebo,
    plot_selection_stability,
    plot_synthetic,
)
from mekeval.figures import axes as axes_module
from mekeval.inference import permutation_bands, uniform_bands
from mekeval.sensitivity import City, RulePlacebo, compare_with_cities
from mekeval.text import MINUS

EN, FI, SV = Texts("en"), Texts("fi"), Texts("sv")
RATE = About(outcome="Rate", unit="percent", decimals=2)
HOSTILE = "<script>alert('$x$')</script>\"&"


def a_panel(cohorts: dict[int, int], never: int, periods: range, seed: int = 4) -> tuple[Panel, Design]:
    """Units named by number, a cohort for each first year, an effect that grows by 1 a year."""
    rng = np.random.default_rng(seed)
    first = [year for year, n in cohorts.items() for _ in range(n)] + [None] * never
    rows = [
        (f"u{unit:03d}", year, rng.normal() + (max(0, year - start + 1) if start else 0))
        for unit, start in enumerate(first)
        for year in periods
    ]
    frame = pd.DataFrame(rows, columns=["unit", "year", "y"])
    panel = build_panel(frame, unit="unit", period="year", outcome=["y"])
    return panel, design_from_cohorts(panel.units, first, last_period=periods[-1])


@pytest.fixture(scope="module")
def many() -> tuple[Panel, Design]:
    return a_panel({2004: 20, 2006: 30}, 40, range(2001, 2009))


@pytest.fixture(scope="module")
def few() -> tuple[Panel, Design]:
    return a_panel({2004: 1, 2006: 3}, 12, range(2001, 2009))


@pytest.fixture(scope="module")
def fit(few: tuple[Panel, Design]) -> SyntheticFit:
    panel, _ = few
    design = make_design(panel.units, [(2005, 2008, ["u000"])])
    return synthetic_fit(panel, design, outcome="y", method="synthetic_did")


@pytest.fixture(scope="module")
def placebo() -> RulePlacebo:
    rng = np.random.default_rng(8)

    def city(name: str, effect: float) -> City:
        n = int(rng.integers(20, 60))
        level = rng.normal(12, 3, n)
        chosen = np.isin(np.arange(n), np.argsort(-level)[:3])
        change = rng.normal(0.0, 1.0, n) + 0.2 * (level - 12) + effect * chosen
        return City(
            name=name, change=change, level=level, population=np.exp(rng.normal(8, 0.5, n)), chosen=chosen
        )

    return compare_with_cities(city("Target", 1.2), [city(f"City {at}", 0.0) for at in range(20)])


def share_table() -> pd.DataFrame:
    names = [HOSTILE, "B", "C", "D", "E", "F"]
    return pd.DataFrame(
        {
            "area": names,
            "rank": range(1, 7),
            "chosen": [True] * 3 + [False] * 3,
            "share_chosen": [1.0, 0.93, 0.6, 0.41, 0.05, 0.01],
        }
    )


def forest_table() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "name": [HOSTILE, "B", "C", "D"],
            "estimate": [1.0, -2.0, 0.5, 3.0],
            "low": [0.2, -3.0, -0.5, np.nan],
            "high": [1.8, -1.0, 1.5, np.nan],
        }
    )


Draw = Callable[[pytest.FixtureRequest, Texts], Picture]


def _effects(request: pytest.FixtureRequest, which: str = "many") -> Effects:
    return callaway_santanna(*request.getfixturevalue(which), outcome="y")


DRAWN: dict[str, Draw] = {
    "event_study": lambda request, texts: plot_event_study(
        _effects(request), texts=texts, about=replace(RATE, outcome=HOSTILE)
    ),
    "event_study_bands": lambda request, texts: plot_event_study(
        _effects(request),
        bands=uniform_bands(aggregate(_effects(request), by="event_time"), draws=99),
        texts=texts,
        about=replace(RATE, outcome=HOSTILE),
    ),
    "group_time": lambda request, texts: plot_group_time(
        _effects(request), texts=texts, about=replace(RATE, outcome=HOSTILE)
    ),
    "synthetic": lambda request, texts: plot_synthetic(
        request.getfixturevalue("fit"), texts=texts, about=replace(RATE, names={"u000": HOSTILE})
    ),
    "forest": lambda _, texts: plot_forest(forest_table(), texts=texts, about=RATE),
    "rule_placebo": lambda request, texts: plot_rule_placebo(
        request.getfixturevalue("placebo"), texts=texts, about=replace(RATE, names={"Target": HOSTILE})
    ),
    "power": lambda _, texts: plot_power(
        [0, 1, 2], [0.05, 0.6, 0.9], texts=texts, about=replace(RATE, outcome=HOSTILE)
    ),
    "stability": lambda _, texts: plot_selection_stability(share_table(), texts=texts),
}
every = pytest.mark.parametrize("draw", DRAWN.values(), ids=DRAWN)


def main_axes(picture: Picture) -> Axes:
    return picture.figure.axes[0]


def markers(picture: Picture, face: str) -> int:
    """Points drawn with a face of this colour."""
    return sum(
        len(np.atleast_1d(line.get_xdata()))
        for line in main_axes(picture).lines
        if line.get_marker() in ("o", "s") and to_rgb(line.get_markerfacecolor()) == to_rgb(face)
    )


def test_headline_of_the_event_study_gives_the_mean_and_counts_the_years_before(
    many: tuple[Panel, Design],
) -> None:
    effects = callaway_santanna(*many, outcome="y")
    found = aggregate(effects, by="event_time")
    assert found.overall is not None
    assert found.overall_se is not None
    reach = 1.959964 * found.overall_se
    table = found.table.loc[found.table["key"] < 0]
    out = int((np.abs(table["att"]) > 1.959964 * table["se"].astype(float)).sum())
    picture = plot_event_study(effects, about=RATE)
    assert picture.headline == (
        f"Rate: on average +{found.overall:.2f} percentage points while treated (95% interval "
        f"+{found.overall - reach:.2f} pp to +{found.overall + reach:.2f} pp); before entry "
        + (
            f"{out} of {len(table)} intervals exclude 0."
            if out
            else f"none of {len(table)} intervals excludes 0."
        )
    )
    assert plot_event_study(found, about=RATE).headline == picture.headline
    assert len(picture.data.rows) == len(found.table)
    assert "base" not in [row[2] for row in picture.data.rows]  # a varying base has no time of its own


def test_the_level_of_an_event_study_follows_alpha(many: tuple[Panel, Design]) -> None:
    effects = callaway_santanna(*many, outcome="y")
    found = aggregate(effects, by="event_time")
    assert found.overall is not None
    assert found.overall_se is not None
    headline = plot_event_study(effects, alpha=0.1, about=RATE).headline
    assert f"(90% interval +{found.overall - 1.644854 * found.overall_se:.2f} pp" in headline


@pytest.mark.parametrize("estimator", [sun_abraham, twfe_event_study])
def test_the_base_of_an_event_study_is_a_cross_at_zero(
    many: tuple[Panel, Design], estimator: Callable[..., Effects]
) -> None:
    picture = plot_event_study(estimator(*many, outcome="y"), about=RATE)
    (cross,) = [line for line in main_axes(picture).lines if line.get_marker() == "X"]
    assert list(cross.get_xdata()) == [-1]
    assert list(cross.get_ydata()) == [0]
    assert picture.subtitle.endswith(f"Base (cross): time {MINUS}1.")
    assert (f"{MINUS}1", "0.00 pp", "base", "") in picture.data.rows


def test_uniform_bands_decide_in_the_headline(many: tuple[Panel, Design]) -> None:
    effects = sun_abraham(*many, outcome="y")
    found = aggregate(effects, by="event_time")
    att = found.table["att"].to_numpy()
    bands = pd.DataFrame(
        {
            "key": found.table["key"],
            "low": att - 0.01,
            "high": att + 0.01,
            "low_uniform": att - 50,
            "high_uniform": att + 50,
        }
    )
    before = int((found.table["key"] < 0).sum())
    assert f"the joint band holds 0 throughout ({before} estimates)" in (
        plot_event_study(effects, bands=bands, about=RATE).headline
    )
    narrow = plot_event_study(effects, bands=bands.drop(columns=["low_uniform", "high_uniform"]), about=RATE)
    out = int(np.sum(np.abs(att[:before]) > 0.01))
    assert f"{out} of {before} intervals exclude 0" in narrow.headline
    assert len(narrow.data.columns) + 1 == len(plot_event_study(effects, bands=bands).data.columns)
    shuffled = bands.sample(frac=1, random_state=1)
    assert plot_event_study(effects, bands=shuffled, about=RATE).data.rows == (
        plot_event_study(effects, bands=bands, about=RATE).data.rows
    )


def test_bands_bring_their_own_level(many: tuple[Panel, Design]) -> None:
    effects = callaway_santanna(*many, outcome="y")
    bands = uniform_bands(aggregate(effects, by="event_time"), alpha=0.2, draws=99)
    picture = plot_event_study(effects, bands=bands, about=RATE)
    assert "80% interval" in picture.headline
    row = bands.table.iloc[0]
    said = f"{row['low_uniform']:+.2f} pp to {row['high_uniform']:+.2f} pp".replace("-", MINUS)
    assert picture.data.rows[0][3] == said


def test_effects_without_an_error_are_open_points_with_a_note(few: tuple[Panel, Design]) -> None:
    effects = group_time_att(*few, outcome="y")
    table = aggregate(effects, by="event_time").table
    lacking = int(table["se"].isna().sum())
    assert 0 < lacking < len(table)
    picture = plot_event_study(effects, about=RATE)
    assert markers(picture, "white") == lacking
    assert "Open points have no standard error." in picture.subtitle
    assert "With fewer than 20 treated units these intervals are too narrow." in picture.subtitle
    assert (
        "interval" not in picture.headline.split(";")[0]
    )  # no normal interval of the mean with four treated
    assert "Avoimilla pisteillä" in plot_event_study(effects, texts=FI).subtitle


def test_permutation_bands_stand_in_for_normal_intervals(few: tuple[Panel, Design]) -> None:
    effects = group_time_att(*few, outcome="y", base_period="universal")
    bands = permutation_bands(effects, alpha=0.1, draws=499)
    picture = plot_event_study(effects, bands=bands, about=RATE)
    assert "too narrow" not in picture.subtitle
    assert "joint band" in picture.headline


def test_estimates_of_a_synthetic_comparison_have_no_error(fit: SyntheticFit) -> None:
    picture = plot_event_study(fit.effects(), about=RATE)
    assert "without a standard error; nothing before entry was tested" in picture.headline
    assert "0 is the synthetic comparison." in picture.subtitle
    assert markers(picture, "white") == len(fit.periods)


def test_event_study_refuses_what_it_cannot_draw(many: tuple[Panel, Design]) -> None:
    effects = callaway_santanna(*many, outcome="y")
    keys = aggregate(effects, by="event_time").table["key"]
    with pytest.raises(DesignError, match="event_time"):
        plot_event_study(twfe(*many, outcome="y"))
    with pytest.raises(DesignError, match="by event time"):
        plot_event_study(aggregate(effects, by="calendar"))
    with pytest.raises(DesignError, match="lack a column"):
        plot_event_study(effects, bands=pd.DataFrame({"key": keys}))
    with pytest.raises(DesignError, match="not of these event times"):
        plot_event_study(effects, bands=pd.DataFrame({"key": keys + 1, "low": 0.0, "high": 1.0}))
    with pytest.raises(DesignError, match="alpha"):
        plot_event_study(effects, alpha=1.5)
    with pytest.raises(DesignError, match="unit"):
        plot_event_study(effects, about=About(unit="per cent"))


def test_headline_of_group_time_gives_the_range_and_counts_the_intervals(many: tuple[Panel, Design]) -> None:
    effects = callaway_santanna(*many, outcome="y")
    table = effects.tidy().query("phase == 'on'")
    least, most = table.loc[table["att"].idxmin()], table.loc[table["att"].idxmax()]
    reach = 1.959964 * table["se"].astype(float)
    above, below = int((table["att"] > reach).sum()), int((table["att"] < -reach).sum())
    headline = plot_group_time(effects, about=RATE).headline
    assert f"run from {least['att']:+.2f} pp (".replace("-", MINUS) in headline
    assert f"to {most['att']:+.2f} percentage points (2004–2008, {most['period']})" in headline
    assert (
        f"; {above + below} of {len(table)} intervals exclude 0 (above: {above}, below: {below})." in headline
    )


def test_many_paths_get_axes_of_their_own() -> None:
    panel = a_panel(dict.fromkeys(range(2003, 2009), 3), 10, range(2001, 2010))
    effects = group_time_att(*panel, outcome="y")
    assert len(plot_group_time(effects).figure.axes) == 6
    assert (
        len(
            plot_group_time(
                callaway_santanna(*a_panel({2003: 3, 2005: 3}, 8, range(2001, 2008)), outcome="y")
            ).figure.axes
        )
        == 1
    )


def test_group_time_needs_periods(many: tuple[Panel, Design]) -> None:
    with pytest.raises(DesignError, match="by period"):
        plot_group_time(twfe_event_study(*many, outcome="y"))


def test_headline_of_a_synthetic_fit_gives_the_mean_gap_and_the_fit(fit: SyntheticFit) -> None:
    on = np.array(fit.periods) >= 2005
    gap = float((fit.treated_path[0] - fit.synthetic_path[0])[on].mean())
    side = "above" if gap > 0 else "below"
    picture = plot_synthetic(fit, about=RATE)
    assert f"u000, rate: on average {abs(gap):.2f} percentage points {side} the synthetic" in picture.headline
    assert f"typically {fit.pre_rmse[0]:.2f} percentage points apart" in picture.headline
    largest = fit.comparison[int(np.argmax(fit.unit_weights[0]))]
    assert f"Largest weights: {largest} {100 * fit.unit_weights[0].max():.0f}%" in picture.alt
    mirrored = replace(fit, treated_path=2 * fit.synthetic_path - fit.treated_path)
    other = {"above": "below", "below": "above"}[side]
    assert f"{other} the synthetic" in plot_synthetic(mirrored, about=RATE).headline
    with pytest.raises(DesignError, match="no such fit"):
        plot_synthetic(fit, at=3)


def test_headline_of_the_forest_counts_the_intervals() -> None:
    picture = plot_forest(forest_table(), about=RATE)
    assert picture.headline == "Rate: 2 of 3 intervals exclude 0 (above: 1, below: 1)."
    assert "Open points have no standard error." in picture.subtitle
    assert [row[2] for row in picture.data.rows][-1] == ""
    with pytest.raises(DataError, match="lacks a column"):
        plot_forest(forest_table().drop(columns="low"))
    with pytest.raises(DataError, match="no estimate"):
        plot_forest(forest_table().assign(estimate=np.nan))
    with pytest.raises(DataError, match="hold its estimate"):
        plot_forest(forest_table().assign(estimate=9.0))


def test_headline_of_the_rule_placebo_agrees_with_its_rank(placebo: RulePlacebo) -> None:
    picture = plot_rule_placebo(placebo, about=RATE)
    n = round(placebo.rank_p * 21) - 1  # the rank counts the target too
    assert f"; {n or 'none'} of 20 other cities moved" in picture.headline
    assert (
        f"Target, rate: {placebo.effect:+.2f} percentage points against".replace("-", MINUS)
        in picture.headline
    )
    assert f"interval {placebo.low:+.2f} pp to {placebo.high:+.2f} pp".replace("-", MINUS) in picture.headline
    assert f"elsewhere changed by {placebo.bias:+.2f}".replace("-", MINUS) in picture.alt
    dark = main_axes(picture).collections[1]
    assert len(dark.get_offsets()) == n
    distance = np.abs(dark.get_offsets()[:, 0] - placebo.bias)
    own = abs(placebo.cities["estimate"].iloc[0] - placebo.bias)
    assert (distance >= own - 1e-9).all()
    pale = np.abs(main_axes(picture).collections[0].get_offsets()[:, 0] - placebo.bias)
    assert (pale < own).all()


def test_dots_of_the_rule_placebo_show_the_weights(placebo: RulePlacebo) -> None:
    drawn = main_axes(plot_rule_placebo(placebo)).collections
    sizes = np.sort(np.concatenate([one.get_sizes() for one in drawn]))
    weights = np.sort(placebo.cities["weight"].to_numpy()[1:])
    assert np.allclose(sizes / sizes[-1], weights / weights[-1])


def test_a_target_beyond_all_cities_says_none(placebo: RulePlacebo) -> None:
    cities = placebo.cities.copy()
    cities.loc[0, "residual"] = 99.0
    assert "; none of 20 other cities" in plot_rule_placebo(replace(placebo, cities=cities)).headline
    warned = replace(placebo, warnings=("few_cities", "gap_beyond_references"))
    assert "There are few of them" in plot_rule_placebo(warned).subtitle
    assert "as far behind" in plot_rule_placebo(warned).subtitle


@pytest.mark.parametrize(
    ("effect", "power", "said"),
    [
        # 0.6 at 1 and 0.9 at 2: 0.8 is two thirds of the way.
        ([0, 1, 2], [0.05, 0.6, 0.9], "an effect of at least 1.67 percentage points would be found"),
        # It dips below again at 2, so only what comes after counts: half-way from 2 to 3.
        ([0, 1, 2, 3], [0.05, 0.85, 0.7, 0.9], "an effect of at least 2.50 percentage points would"),
        ([0, 1], [0.05, 0.6], "no effect up to 1.00 percentage points would be found"),
        ([-2, 0, 1], [0.8, 0.05, 0.8], "at least 2.00 percentage points in either direction"),
        ([-2, 0, 1], [0.8, 0.05, 0.3], f"only in one direction, from {MINUS}2.00 percentage points on"),
    ],
)
def test_headline_of_the_power_curve_is_where_it_crosses(
    effect: list[float], power: list[float], said: str
) -> None:
    assert said in plot_power(effect, power, about=RATE).headline


@pytest.mark.parametrize(
    ("effect", "power"),
    [([0, 1], [0.1]), ([1], [0.1]), ([1, 0], [0.1, 0.2]), ([0, np.nan], [0.1, 0.2]), ([0, 1], [0.1, 1.2])],
)
def test_a_power_curve_that_is_none_is_refused(effect: list[float], power: list[float]) -> None:
    with pytest.raises(DataError):
        plot_power(effect, power)
    with pytest.raises(DesignError, match="alpha"):
        plot_power([0, 1], [0.1, 0.2], alpha=0)


@pytest.mark.parametrize(("share", "said"), [(0.996, "over 99%"), (1.0, "100%"), (0.994, "99%")])
def test_a_share_of_draws_is_all_only_where_it_is_all(share: float, said: str) -> None:
    table = share_table()
    table.loc[table["rank"] == 1, "share_chosen"] = share
    assert plot_selection_stability(table).data.rows[0][2] == said
    table.loc[table["rank"] == table["rank"].max(), "share_chosen"] = 1 - share
    assert (
        plot_selection_stability(table).data.rows[-1][2]
        == {"over 99%": "under 1%", "100%": "0%", "99%": "1%"}[said]
    )


def test_headline_of_the_stability_counts_and_names_the_margin() -> None:
    table = share_table()
    picture = plot_selection_stability(
        table.sample(frac=1, random_state=2), about=About(names={"C": "Korso"})
    )
    assert picture.headline == (
        "2 of the 3 chosen areas are chosen in at least 90% of the draws; Korso, chosen last, in 60%, and D, the "
        "first not chosen, in 41%."
    )
    assert "Not shown" not in picture.subtitle
    more = pd.DataFrame(
        {"area": [f"x{at}" for at in range(9)], "rank": range(7, 16), "chosen": False, "share_chosen": 0.02}
    )
    assert "Not shown: 4 more areas, each chosen in at most 2% of the draws." in (
        plot_selection_stability(pd.concat([table, more], ignore_index=True)).subtitle
    )


@pytest.mark.parametrize(
    "fault",
    [
        {"chosen": True},
        {"chosen": False},
        {"share_chosen": 1.2},
        {"share_chosen": np.nan},
        {"rank": 1},
        {"chosen": [False, True, True, False, False, False]},
    ],
)
def test_a_selection_that_is_none_is_refused(fault: dict[str, object]) -> None:
    with pytest.raises(DataError):
        plot_selection_stability(share_table().assign(**fault))
    with pytest.raises(DataError, match="lacks a column"):
        plot_selection_stability(share_table().drop(columns="rank"))


@every
def test_every_picture_is_whole_in_every_language(request: pytest.FixtureRequest, draw: Draw) -> None:
    english, finnish, swedish = draw(request, EN), draw(request, FI), draw(request, SV)
    assert len({english.alt, finnish.alt, swedish.alt}) == 3
    for picture in (english, finnish, swedish):
        said = picture.headline + picture.alt + picture.subtitle
        assert picture.headline in picture.alt
        assert len(picture.alt) > len(picture.headline) + 30
        assert ".." not in said
        assert "{" not in said
        assert not re.search(r"\bnan\b", said)
        assert picture.source == ""
        html = picture._repr_html_()
        assert "<script" not in html
        assert "&lt;script&gt;" in html
    svg = english.svg()
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "black"}):
        assert draw(request, EN).svg() == svg
    ElementTree.fromstring(svg)
    assert len(svg) < 80_000


def contrast_of(one: object, other: object) -> float:
    """Contrast of two colours by WCAG 2, from 1 to 21."""
    light = []
    for colour in (one, other):
        shade = np.array(to_rgb(colour))
        linear = np.where(shade <= 0.04045, shade / 12.92, ((shade + 0.055) / 1.055) ** 2.4)
        light.append(float(linear @ [0.2126, 0.7152, 0.0722]) + 0.05)
    return max(light) / min(light)


def test_what_colour_says_is_also_said_in_grey(placebo: RulePlacebo, many: tuple[Panel, Design]) -> None:
    pale, dark = (dots.get_facecolor()[0][:3] for dots in main_axes(plot_rule_placebo(placebo)).collections)
    assert contrast_of(pale, dark) > 2
    bars = main_axes(plot_selection_stability(share_table())).patches
    assert [bar.get_hatch() or "" for bar in bars] == [""] * 3 + ["////"] * 3
    drawn = main_axes(plot_event_study(callaway_santanna(*many, outcome="y"))).lines
    assert {"s", "o"} <= {line.get_marker() for line in drawn}
    looks = [(look.marker, look.dash) for look in axes_module.PATHS]
    assert len(set(looks)) == len(looks)


def test_synthetic_data_and_sources_are_said(placebo: RulePlacebo) -> None:
    picture = plot_rule_placebo(placebo, about=replace(RATE, synthetic=True, source="Paavo"))
    assert picture.source == "Source: Paavo Synthetic example data."
    assert "SYNTHETIC" in [text.get_text() for text in picture.figure.texts]
    assert "Paavo" in picture._repr_html_()


def test_plain_numbers_get_two_digits_of_their_error(many: tuple[Panel, Design]) -> None:
    panel, design = many
    scaled = replace(panel, values={"y": panel.values["y"] * 1e-3})
    row = plot_event_study(callaway_santanna(scaled, design, outcome="y")).data.rows[0]
    assert len(row[1].partition(".")[2]) == 5
    row = plot_event_study(callaway_santanna(panel, design, outcome="y"), about=About(decimals=0)).data.rows[
        0
    ]
    assert "." not in row[1]
