"""How stable the choice of areas by a rule is.

In: a table of areas, ranks and shares of draws. Out: `Picture`. Never: the choice without its margin.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ..errors import DataError
from ..panel import Floats
from ..tables import Table
from ..text import Texts
from .axes import MARGIN, TOP, change_scale, inner_axes, text_size
from .coverage import cut
from .picture import BLUE, INK, MUTED, TEXT, WIDTH, Picture, headings, style
from .words import About, Words, words_for

#: What differs between the draws.
Varied = Literal["data", "weights", "both"]
_ROW = 0.2  # inches
_NAME_WIDTH = 130.0  # points
_MOST_AFTER = 8
_SURE = 0.9


def plot_selection_stability(
    table: pd.DataFrame, *, varied: Varied = "both", texts: Texts | None = None, about: About | None = None
) -> Picture:
    """Draw how often each area would be chosen if the data or the weights of the rule were a little different.

    Parameters
    ----------
    table : pandas.DataFrame
        One row for each eligible area: `area`, `rank` (1 is the worst off), `chosen` (bool) and `share_chosen` (share
        of the draws in which it is chosen, between 0 and 1).
    varied : {"data", "weights", "both"}
        What differs between the draws: by `SelectionStability`, its `error` and its `weight_spread` say.
    texts : Texts, optional
        English by default.
    about : About, optional
        Names of the areas, source of the data.

    Returns
    -------
    Picture
        Areas by rank, the chosen ones above the margin. The headline counts the chosen areas that are chosen in at
        least 90 % of the draws, and names both areas beside the margin.

    Raises
    ------
    DataError
        A column is missing, no area or every area is chosen, a share is no probability, a rank stands twice, or an area
        is chosen before one of a better rank.
    """
    _refuse(table)
    ordered = table.sort_values("rank", kind="stable")
    words = words_for(texts, about)
    names = [words.area(str(area)) for area in ordered["area"]]
    share = ordered["share_chosen"].to_numpy(dtype=float)
    k = int(ordered["chosen"].sum())
    parts: dict[str, object] = {
        "n": int(np.sum(share[:k] >= _SURE)),
        "k": k,
        "sure": words.percent(_SURE),
        "last": names[k - 1],
        "last_share": words.most(share[k - 1]),
        "next": names[k],
        "next_share": words.most(share[k]),
        "varied": words.say(f"stability.varied.{varied}"),
    }
    shown = min(len(names), k + _MOST_AFTER)
    subtitle = words.say("stability.subtitle", **parts)
    if shown < len(names):
        highest = float(share[shown:].max())
        most = words.most(highest)
        if most == words.percent(highest) and highest > 0:
            most = words.say("stability.at_most", share=most)
        subtitle += " " + words.say("stability.rest", n=len(names) - shown, most=most)
    headline = words.say("stability.headline", **parts)
    said = "; ".join(f"{name} {words.most(one)}" for name, one in zip(names[:shown], share, strict=False))
    return words.picture(
        _stability(words, names[:shown], share[:shown], k),
        headline=headline,
        subtitle=subtitle,
        alt=words.say("stability.alt", headline=headline, parts=said),
        data=Table(
            caption=words.say("stability.caption", **parts),
            columns=headings(
                words.say("column.area"),
                words.say("stability.rank"),
                words.say("stability.share"),
                words.say("stability.chosen"),
            ),
            rows=tuple(
                (name, str(rank), words.most(one), words.say("tiles.yes" if at < k else "tiles.no"))
                for at, (name, rank, one) in enumerate(zip(names, ordered["rank"], share, strict=True))
            ),
        ),
    )


def _refuse(table: pd.DataFrame) -> None:
    lacking = [name for name in ("area", "rank", "chosen", "share_chosen") if name not in table.columns]
    if lacking:
        raise DataError("The table of a selection lacks a column.", where="table", found=", ".join(lacking))
    share = table["share_chosen"].to_numpy(dtype=float, na_value=np.nan)
    ranks, chosen = table["rank"], table["chosen"].to_numpy(dtype=bool)
    if not ((share >= 0) & (share <= 1)).all():
        raise DataError("A share must lie between 0 and 1.", where="table, share_chosen")
    if ranks.isna().any() or ranks.duplicated().any():
        raise DataError("Each area needs a rank of its own.", where="table, rank")
    if chosen.all() or not chosen.any():
        raise DataError(
            "Stability needs areas on both sides of the margin.",
            where="table, chosen",
            found=f"{chosen.sum()} chosen",
        )
    if ranks[chosen].max() > ranks[~chosen].min():
        raise DataError(
            "The chosen areas are not those of the first ranks.",
            where="table, rank",
            fix="Leave out areas that were chosen by discretion.",
        )


def _stability(words: Words, names: Sequence[str], share: Floats, k: int) -> Figure:
    """A bar for each area by rank; a line between the last chosen and the first that was not."""
    said = [words.most(one) for one in share]
    names = [cut(name, _NAME_WIDTH, TEXT) for name in names]
    left = (max(text_size(name)[0] for name in names) + 8) / 72
    right = (max(text_size(text)[0] for text in said) + 8) / 72
    tall = _ROW * len(names) + 0.2  # the margin has a row of its own
    with style():
        figure = Figure(figsize=(WIDTH, tall + TOP + 0.5))
        axes = inner_axes(figure, words, left=left, right=MARGIN + right, bottom=0.5)
        rows = np.arange(len(names)) + (np.arange(len(names)) >= k)
        axes.set_ylim(len(names) + 0.5, -0.5)
        axes.set_xlim(0, 100)
        axes.set_yticks(rows, names)
        axes.tick_params(axis="y", labelcolor=INK)
        change_scale(axes, words, words.say("stability.axis"), sign=False)
        axes.axvline(0, color=MUTED, linewidth=0.8)
        for at, (row, one) in enumerate(zip(rows, share, strict=True)):
            chosen = at < k
            axes.barh(
                row,
                100 * one,
                0.66,
                facecolor=BLUE if chosen else "white",
                edgecolor=BLUE if chosen else MUTED,
                hatch="" if chosen else "////",
                linewidth=0.8,
            )
            axes.annotate(
                said[at],
                (100 * one, row),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                color=INK if chosen else MUTED,
                annotation_clip=False,
            )
        axes.plot(
            [-left * 72 / axes.bbox.width, 1 + right * 72 / axes.bbox.width],
            [k, k],
            transform=axes.get_yaxis_transform(),
            color=INK,
            linewidth=1.2,
            linestyle=(0, (4, 2)),
            clip_on=False,
        )
        axes.text(
            1 + right * 72 / axes.bbox.width,
            k - 0.06,
            words.say("stability.margin"),
            transform=axes.get_yaxis_transform(),
            ha="right",
            va="center",
            color=INK,
            size=8,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0},
        )
    return figure
