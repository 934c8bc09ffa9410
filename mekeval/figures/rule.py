"""An effect beside what the same rule brings about elsewhere, and the power to see one.

In: a `RulePlacebo`, or a power curve. Out: `Picture`. Never: the target without the cities that it is judged against.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..errors import DataError, DesignError
from ..panel import Floats
from ..sensitivity import RulePlacebo
from ..tables import Table
from ..text import Texts
from .axes import MARGIN, TOP, change_scale, inner_axes, room, text_size, value_axes
from .elsewhere import Matching, matching, references
from .picture import BAND, BLUE, GRID, INK, MUTED, VERMILION, WIDTH, Picture, headings, style
from .words import About, Words, words_for

POWER = 0.8
_SWARM = 1.9  # inches
_MOST_MARKERS = 25


def plot_rule_placebo(
    placebo: RulePlacebo, *, texts: Texts | None = None, about: About | None = None
) -> Picture:
    """Draw the target city among the cities in which the same rule chose areas, or areas of the same rank were taken.

    Each city's departure from what the other cities lead one to expect is put on the target's scale: its studentised
    residual times the target's standard error, from the weighted mean m of the references. So a dot that lies further
    from m than the target is a city that departs more than the target does, as in the rank test.

    Parameters
    ----------
    placebo : RulePlacebo
    texts : Texts, optional
        English by default.
    about : About, optional
        Name and unit of the outcome, names of the cities or what they are groups of, source of the data.

    Returns
    -------
    Picture
        One dot for each reference city, its area the city's weight in m; dark where it departs at least as much as the
        target. The headline gives the effect with its interval and the count of the dark dots; m is marked. The
        table holds the plain estimates.
    """
    texts = texts or Texts("en")
    numbers = placebo.cities["estimate"].to_numpy(dtype=float)
    words = words_for(texts, about, estimates=numbers, errors=np.array([placebo.se]))
    if not words.about.subject:
        name = words.area(str(placebo.cities["name"].iloc[0]))
        words = replace(words, about=replace(words.about, subject=name))
    return rule_placebo_picture(placebo, words)


def rule_placebo_picture(placebo: RulePlacebo, words: Words) -> Picture:
    """The target among the reference cities in the words given."""
    elsewhere, target = placebo.cities.iloc[1:], placebo.cities.iloc[0]
    residuals = elsewhere["residual"].to_numpy(dtype=float)
    weights = elsewhere["weight"].to_numpy(dtype=float)
    far = np.abs(residuals) >= abs(float(target["residual"])) - 1e-12
    scaled = placebo.bias + residuals * placebo.se
    own = float(target["estimate"])
    groups_of, texts = words.about.groups_of, words.texts
    way = matching(placebo)
    parts: dict[str, object] = {
        "likes": words.say(f"rule_placebo.likes.{way}"),
        "of": references("of", groups_of, texts, n=str(len(elsewhere))),
        "one": references("one", groups_of, texts),
        "how": words.say(f"rule_placebo.how.{way}"),
        "effect": words.change(placebo.effect, form="difference"),
        "low": words.change(placebo.low),
        "high": words.change(placebo.high),
        "level": words.texts.short(100 * (1 - placebo.alpha)),
        "bias": words.change(placebo.bias, form="difference"),
        "estimate": words.change(own, form="difference"),
        "n": int(far.sum()),
        "p": words.p_value(placebo.quotable_p, floor=placebo.p_value < placebo.quotable_p),
        "rank_p": words.p_value(placebo.rank_p),
        "detectable": words.size(placebo.minimum_detectable_effect),
    }
    headline = words.say(f"rule_placebo.{'some' if far.any() else 'none'}", **parts)
    rows = [(words.name, words.change(own), words.change(placebo.effect), "")]
    rows += [
        (
            words.area(str(elsewhere["name"].iloc[at])),
            words.change(float(elsewhere["estimate"].iloc[at])),
            words.change(residuals[at] * placebo.se),
            words.texts("unit.percent.level", number=words.texts.number(100 * weights[at], 1)),
        )
        for at in np.argsort(-np.abs(residuals), kind="stable")
    ]
    subtitle = words.say("rule_placebo.subtitle", **parts)
    for warning in placebo.warnings:
        if f"figure.rule_placebo.warning.{warning}" in words.texts:
            subtitle += " " + words.say(f"rule_placebo.warning.{warning}", **parts)
    return words.picture(
        _rule_placebo(words, own, placebo.bias, scaled, weights, far, way),
        headline=headline,
        subtitle=subtitle,
        alt=words.say("rule_placebo.alt", headline=headline, **parts),
        data=Table(
            caption=words.say("rule_placebo.caption", **parts),
            columns=headings(
                references("column", groups_of, texts),
                words.say("column.change"),
                words.say("rule_placebo.departure"),
                words.say("rule_placebo.weight"),
            ),
            rows=tuple(rows),
            highlight=0,
        ),
    )


def _rule_placebo(
    words: Words,
    own: float,
    bias: float,
    estimates: Floats,
    weights: Floats,
    far: npt.NDArray[np.bool_],
    way: Matching,
) -> Figure:
    bottom = 0.52
    with style():
        figure = Figure(figsize=(WIDTH, _SWARM + bottom + TOP + 0.3))
        axes = inner_axes(figure, words, left=MARGIN, right=MARGIN, bottom=bottom)
        axes.set_xlim(room(np.array([own, bias, 0.0, *estimates])))
        width, height = axes.bbox.width, axes.bbox.height
        axes.set_ylim(0, height)
        axes.set_yticks([])
        axis = "rule_placebo.axis_window" if words.about.groups_of else "rule_placebo.axis"
        change_scale(axes, words, words.say(axis, unit=words.axis))
        start, end = axes.get_xlim()
        x = (estimates - start) / (end - start) * width
        floor = height - 78  # room for two texts of two lines above the dots
        radius = np.sqrt(weights / weights.max()) * min(9.0, 44.0 / np.sqrt(len(x)))
        radius = np.maximum(radius, 1.8)
        y = _swarm(x, radius)
        y *= min(1.0, (floor / 2 - radius.max()) / max(float(np.abs(y).max()), 1e-9))
        middle = floor / 2
        axes.plot([0, 0], [0, floor + 4], color=GRID, linewidth=1.0, zorder=0)
        own_text = f"{words.name}\n{words.change(own, form='difference')}"
        mean_text = words.say(f"rule_placebo.mean.{way}", bias=words.change(bias))
        # The lower words must not cross the other line, which goes on to the upper ones.
        mean_low = _clear(axes, bias, own, mean_text) or not _clear(axes, own, bias, own_text)
        tops = {True: height - 38, False: height}
        dashes = (0, (4, 2))
        axes.plot([bias] * 2, [0, tops[mean_low] - 2], color=INK, linewidth=1.2, linestyle=dashes, zorder=1)
        axes.plot([own] * 2, [0, tops[not mean_low] - 4], color=INK, linewidth=1.8, zorder=1)
        for chosen, colour, edge in ((~far, BAND, MUTED), (far, VERMILION, INK)):
            axes.scatter(
                estimates[chosen],
                middle + y[chosen],
                s=(2 * radius[chosen]) ** 2,
                facecolor=colour,
                edgecolor=edge,
                linewidth=0.7,
                zorder=2,
            )
        axes.plot(own, middle, marker="D", markersize=8, color=INK, markeredgecolor="white", zorder=4)
        _beside(axes, own, tops[not mean_low], own_text, off=bias)
        _beside(axes, bias, tops[mean_low], mean_text, off=own)
    return figure


def _clear(axes: Axes, x: float, off: float, text: str) -> bool:
    """Whether words have room on a side of a vertical line without crossing another."""
    start, end = axes.get_xlim()
    at, other = ((one - start) / (end - start) * axes.bbox.width for one in (x, off))
    width = text_size(text)[0] + 8
    right = axes.bbox.width - at >= width and not at < other < at + width
    left = at >= width and not at - width < other < at
    return right or left


def _beside(axes: Axes, x: float, y: float, text: str, *, off: float) -> None:
    """Words beside a vertical line, below a height: where they have room, off another line if they can."""
    start, end = axes.get_xlim()
    at, other = ((one - start) / (end - start) * axes.bbox.width for one in (x, off))
    width = text_size(text)[0] + 8
    rooms = {True: axes.bbox.width - at, False: at}
    clear = {True: other - at if other > at else np.inf, False: at - other if other < at else np.inf}
    right = max((True, False), key=lambda side: (rooms[side] >= width, clear[side] >= width, rooms[side]))
    axes.annotate(
        text,
        (x, y),
        xytext=(5 if right else -5, 0),
        textcoords="offset points",
        ha="left" if right else "right",
        va="top",
        linespacing=1.15,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0},
        zorder=3,
    )


def _swarm(x: Floats, radius: Floats) -> Floats:
    """Heights at which circles do not overlap, the largest ones in the middle; all in points."""
    y = np.zeros(len(x))
    placed: list[int] = []
    for at in np.argsort(-radius, kind="stable"):
        near = [other for other in placed if abs(x[other] - x[at]) < radius[other] + radius[at]]
        heights = [0.0]
        for other in near:
            rise = float(np.sqrt((radius[other] + radius[at] + 0.6) ** 2 - (x[other] - x[at]) ** 2))
            heights += [y[other] + rise, y[other] - rise]
        free = [
            height
            for height in heights
            if all(
                np.hypot(x[other] - x[at], y[other] - height) >= radius[other] + radius[at] for other in near
            )
        ]
        y[at] = min(free, key=lambda height: (abs(height), height))
        placed.append(int(at))
    return y


def plot_power(
    effect: Sequence[float] | Floats,
    power: Sequence[float] | Floats,
    *,
    alpha: float = 0.05,
    texts: Texts | None = None,
    about: About | None = None,
) -> Picture:
    """Draw how probably an effect of each size would be found.

    Parameters
    ----------
    effect : array, shape (n,)
        In the outcome's unit, rising; negative ones too where both directions are wanted.
    power : array, shape (n,)
        Probability, between 0 and 1, that the test at `alpha` finds each.
    alpha : float
    texts : Texts, optional
        English by default.
    about : About, optional
        Name and unit of the outcome, source of the data.

    Returns
    -------
    Picture
        The headline gives the size from which on the power is at least 80 %, interpolated linearly, in both directions
        where both are given; or it says that no size reaches it.

    Raises
    ------
    DataError
        The arrays have different lengths or fewer than two values, effects do not rise, powers are
        not probabilities.
    DesignError
        `alpha` is out of range.

    Examples
    --------
    >>> plot_power([0, 1, 2], [0.05, 0.6, 1.0], about=About(outcome="Rate", unit="percent")).headline
    'Rate: an effect of at least 1.5 percentage points would be found with a probability of 80% or more.'
    """
    if not 0 < alpha < 1:
        raise DesignError(
            "alpha is out of range.", where="alpha", found=repr(alpha), expected="between 0 and 1"
        )
    sizes, found = np.asarray(effect, dtype=float), np.asarray(power, dtype=float)
    if sizes.shape != found.shape or sizes.ndim != 1 or len(sizes) < 2:
        raise DataError(
            "A power curve needs as many powers as effects, at least two.",
            found=f"shapes {sizes.shape} and {found.shape}",
        )
    if not np.isfinite(sizes).all() or not (np.diff(sizes) > 0).all():
        raise DataError("The effects of a power curve must rise.", where="effect")
    if not ((found >= 0) & (found <= 1)).all():
        raise DataError(
            "A power must lie between 0 and 1.",
            where="power",
            found=str(found[~((found >= 0) & (found <= 1))][0]),
        )
    words = words_for(texts, about, estimates=sizes, errors=sizes[-1:] / 10)
    sides = [
        (sign, _first_enough(sign * sizes[mine][::sign], found[mine][::sign]))
        for sign, mine in ((1, sizes >= 0), (-1, sizes <= 0))
        if np.any(sizes[mine] != 0)
    ]
    enough = [sign * size for sign, size in sides if size is not None]
    parts: dict[str, object] = {
        "largest": words.size(float(np.abs(sizes).max())),
        "level": words.percent(alpha) if round(100 * alpha) >= 1 else words.texts.short(alpha),
        "lowest": words.percent(found.min()),
        "highest": words.percent(found.max()),
    }
    if not enough:
        headline = words.say("power.never", **parts)
    elif len(enough) < len(sides):
        headline = words.say("power.one_side", size=words.change(enough[0], form="difference"), **parts)
    else:
        case = "found" if len(sides) == 1 else "found_both"
        headline = words.say(f"power.{case}", size=words.size(max(map(abs, enough))), **parts)
    return words.picture(
        _power(words, sizes, found, alpha, enough),
        headline=headline,
        subtitle=words.say("power.subtitle", **parts),
        alt=words.say("power.alt", headline=headline, **parts),
        data=Table(
            caption=words.say("power.caption"),
            columns=headings(words.say("power.effect"), words.say("power.power")),
            rows=tuple(
                (_amount(words, size), words.percent(share)) for size, share in zip(sizes, found, strict=True)
            ),
        ),
    )


def _first_enough(sizes: Floats, power: Floats) -> float | None:
    """The size from which on the power stays at 80 % or more, between two sizes by a straight line."""
    below = np.flatnonzero(power < POWER)
    if len(below) == 0:
        return float(sizes[0])
    last = int(below[-1])
    if last == len(sizes) - 1:
        return None
    share = (POWER - power[last]) / (power[last + 1] - power[last])
    return float(sizes[last] + share * (sizes[last + 1] - sizes[last]))


def _power(words: Words, sizes: Floats, power: Floats, alpha: float, enough: Sequence[float]) -> Figure:
    with style():
        figure, axes = value_axes(words, 0.0, 104.0, unit=words.say("power.unit"), right=MARGIN, bottom=0.52)
        axes.set_xlim(room(sizes, above=0.02, below=0.02 if sizes[0] < 0 else 0.0))
        change_scale(axes, words, words.say("power.axis", unit=words.axis), sign=bool(sizes[0] < 0))
        for height, dash in ((100 * POWER, (0, (4, 2))), (100 * alpha, (0, (1, 1.6)))):
            axes.axhline(height, color=INK, linewidth=0.9, linestyle=dash, zorder=1.5)
        end = sizes[-1]
        axes.text(end, 100 * alpha + 2, words.say("power.by_chance"), ha="right", va="bottom", color=MUTED)
        marker = "o" if len(sizes) <= _MOST_MARKERS else ""
        axes.plot(sizes, 100 * power, color=BLUE, linewidth=2.2, marker=marker, markersize=4.4, clip_on=False)
        for at in enough:
            axes.plot([at] * 2, [0, 100 * POWER], color=INK, linewidth=1.2, zorder=1.6)
            axes.plot(at, 100 * POWER, marker="D", markersize=8, color=INK, markeredgecolor="white", zorder=4)
        if enough:
            text = words.say("power.mark", size=words.size(max(map(abs, enough))))
            both, left = len(enough) > 1, enough[0] < (sizes[0] + end) / 2
            axes.annotate(
                text,
                (sum(enough) / len(enough), 100 * POWER),
                xytext=(0, -5) if both else (7 if left else -7, -9),
                textcoords="offset points",
                ha="center" if both else "left" if left else "right",
                va="top",
                linespacing=1.15,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0},
                zorder=1.8,
            )
    return figure


def _amount(words: Words, size: float) -> str:
    """A size, or with its sign where it is negative."""
    return words.size(size) if size >= 0 else words.change(size, form="difference")
