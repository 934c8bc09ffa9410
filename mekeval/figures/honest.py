"""How far the trend may deviate before a finding breaks.

In: `HonestBounds`. Out: `Picture`. Never: the interval of parallel trends drawn as if it were one of the others.
"""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from ..panel import Floats
from ..sensitivity.honest import HonestBounds
from ..tables import Table
from ..text import Texts
from .axes import BEFORE, MARGIN, OWN, draw_estimates, room, text_size, value_axes
from .picture import INK, MUTED, TEXT, Picture, headings, style
from .words import About, Words, words_for


def plot_honest(found: HonestBounds, *, texts: Texts | None = None, about: About | None = None) -> Picture:
    """Draw the intervals of an effect by the size of the deviation from parallel trends.

    Parameters
    ----------
    found : HonestBounds
    texts : Texts, optional
        English by default.
    about : About, optional
        Name and unit of the outcome, source of the data.

    Returns
    -------
    Picture
        In the outcome's unit. First, as a square, the estimate with its normal interval; then an interval for each
        size, around its middle. A dashed line marks the breakdown value where it lies among the sizes; the headline
        gives it.

    Examples
    --------
    >>> import numpy as np
    >>> from mekeval.sensitivity.honest import honest_bounds
    >>> found = honest_bounds([0.1, 1.0], np.diag([0.01, 0.01]), [-2, 0], sizes=[0, 1, 2, 4])
    >>> plot_honest(found, about=About(outcome="Rate")).headline.startswith("Rate: the finding holds up to Mbar = ")
    True
    """
    table = found.table
    low, high = (table[name].to_numpy(dtype=float, na_value=np.nan) for name in ("low", "high"))
    words = words_for(
        texts, about, outcome=found.outcome, estimates=np.array([found.estimate]), errors=np.array([found.se])
    )
    sizes = [words.texts.short(float(size)) for size in table["m"]]
    parts: dict[str, object] = {
        "size": "M" if found.restriction == "smoothness" else "Mbar",
        "level": words.texts.short(100 * (1 - found.alpha)),
        "breakdown": _breakdown(words, found),
    }
    case = "already" if found.breakdown is None else "breaks" if np.isfinite(found.breakdown) else "never"
    headline = words.say("honest.headline", finding=words.say(f"honest.{case}", **parts))
    subtitle = [
        words.say("honest.subtitle", bound=words.say(f"honest.bound.{found.restriction}"), **parts),
        *(words.say(f"honest.shape.{one}") for one in (found.bias, found.monotone) if one is not None),
        *([words.say("honest.few")] if found.covariance == "comparison" else []),
    ]
    said = [
        words.say("honest.part", m=size, low=words.change(one), high=words.change(two), **parts)
        for size, one, two in zip(sizes, low, high, strict=True)
        if np.isfinite([one, two]).all()
    ]
    return words.picture(
        _figure(words, found, sizes, low, high, parts),
        headline=headline,
        subtitle=" ".join(subtitle),
        alt=words.say("honest.alt", headline=headline, parts="; ".join(said)),
        data=_data(words, found, sizes, low, high, parts),
    )


def _figure(
    words: Words, found: HonestBounds, sizes: list[str], low: Floats, high: Floats, parts: dict[str, object]
) -> Figure:
    reach = np.concatenate([low, high, [0.0, found.original_low, found.original_high]])
    with style():
        limits = room(reach[np.isfinite(reach)], above=0.2)
        figure, axes = value_axes(words, *limits, unit=words.axis, right=MARGIN, bottom=0.52, sign=True)
        places = np.arange(1.0, len(sizes) + 1)
        axes.set_xlim(-0.7, len(sizes) + 0.6)
        axes.axhline(0, color=INK, linewidth=0.8, zorder=1.5)
        axes.axvline(0.5, color=MUTED, linewidth=0.8, zorder=1)
        for x, ends, look in (
            (np.zeros(1), (np.array([found.original_low]), np.array([found.original_high])), BEFORE),
            (places, (low, high), OWN),
        ):
            known = np.isfinite(ends[0])
            draw_estimates(
                axes, x[known], (ends[0] + ends[1])[known] / 2, ends[0][known], ends[1][known], look
            )
        for_each = axes.bbox.width / (len(sizes) + 1.3)
        every = max(1, int(np.ceil((max(text_size(size)[0] for size in sizes) + 7) / for_each)))
        axes.set_xticks([0, *places[::every]], [words.say("honest.original"), *sizes[::every]])
        axes.set_xlabel(words.say("honest.axis", **parts), color=MUTED, size=TEXT, labelpad=4)
        at = _place(found)
        if at is not None:
            axes.axvline(at, color=INK, linewidth=1.2, linestyle=(0, (4, 2)), zorder=1.6)
            left = at > len(sizes) / 2
            axes.annotate(
                words.say("honest.mark", **parts),
                (at, 1.0),
                xycoords=("data", "axes fraction"),
                xytext=(-5 if left else 5, -2),
                textcoords="offset points",
                ha="right" if left else "left",
                va="top",
                linespacing=1.15,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0},
                zorder=1.7,
            )
    return figure


def _place(found: HonestBounds) -> float | None:
    """Where the breakdown value lies among the sizes, which stand at even distances; None where it does not."""
    sizes = found.table["m"].to_numpy(dtype=float)
    broken = found.breakdown
    if broken is None or not np.isfinite(broken) or len(sizes) < 2 or not (np.diff(sizes) > 0).all():
        return None
    if not sizes[0] <= broken <= sizes[-1]:
        return None
    return float(np.interp(broken, sizes, np.arange(1, len(sizes) + 1)))


def _breakdown(words: Words, found: HonestBounds) -> str:
    """The breakdown value to three digits, as the language writes it; empty where there is none."""
    value = found.breakdown
    if value is None or not np.isfinite(value):
        return ""
    decimals = 2 if value == 0 else max(0, 2 - int(np.floor(np.log10(value))))
    return words.texts.number(value, decimals)


def _data(
    words: Words, found: HonestBounds, sizes: list[str], low: Floats, high: Floats, parts: dict[str, object]
) -> Table:
    none = words.say("honest.no_interval")
    sets = found.table[["set_low", "set_high"]].to_numpy(dtype=float, na_value=np.nan)
    first = (
        words.say("honest.original"),
        words.interval(found.original_low, found.original_high),
        words.change(found.estimate),
    )
    rows = [
        (size, words.interval(one, two) or none, words.interval(*ends) or none)
        for size, one, two, ends in zip(sizes, low, high, sets, strict=True)
    ]
    return Table(
        caption=words.say("honest.caption"),
        columns=headings(
            words.say("honest.column"),
            words.say("column.interval", **parts),
            words.say("honest.set_column"),
        ),
        rows=(first, *rows),
    )
