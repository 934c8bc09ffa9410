"""Pictures of uncertainty: the estimate among its alternatives, and all estimates with their intervals.

In: an inference, or a table of estimates. Out: `Picture`. Never: an estimate without its interval.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ..errors import DataError, DesignError
from ..evaluation import ALL
from ..inference import Inference
from ..panel import Floats
from ..tables import Column, Table
from ..text import Texts
from .axes import MARGIN, change_scale, inner_axes, room, value_axes
from .picture import BAND, BLUE, GRID, INK, MUTED, VERMILION, WIDTH, Picture, headings, style
from .words import About, Words, lower_first, words_for

_BINS = 25
_ROW = 0.44  # inches


def plot_placebo(inference: Inference, *, texts: Texts | None = None, about: About | None = None) -> Picture:
    """Draw the reference distribution of a test, and the estimate in it.

    Parameters
    ----------
    inference : Inference
        With a reference distribution of other treated sets, or of draws without an effect.
    texts : Texts, optional
        English by default.
    about : About, optional
        Name and unit of the outcome, names of the units, source of the data. The subject is the label of the inference
        where none is given.

    Returns
    -------
    Picture
        Changes in the outcome's unit. After a permutation the headline counts the alternatives, without the real
        choice, that moved at least as much in either direction; after another test it gives the p-value.

    Raises
    ------
    DesignError
        The test has no reference distribution.
    """
    words = words_for(
        texts,
        about,
        estimates=np.array([inference.estimate]),
        errors=np.array([np.std(inference.reference) if len(inference.reference) else np.nan]),
    )
    if not words.about.subject:
        label = inference.label
        subject = words.say("all") if label == ALL else words.area(label)
        words = replace(words, about=replace(words.about, subject=subject))
    return placebo_picture(inference, words)


def placebo_picture(result: Inference, words: Words) -> Picture:
    """The reference distribution of a test in the words given."""
    if result.n_sets < 2 or len(result.reference) < 2:
        raise DesignError(
            "There are no alternatives to draw.",
            where=result.label,
            found=f"method {result.method!r}, {result.n_sets} sets",
            expected="a test by other treated sets or draws",
        )
    texts, permuted = words.texts, result.method == "permutation"
    single = permuted and result.n_treated == 1 and result.exact
    kind = "areas" if single else "sets" if permuted and result.exact else "drawn" if permuted else "noise"
    as_large, others = max(round(result.p_value * result.n_sets) - 1, 0), result.n_sets - 1
    headline = words.say(
        f"placebo.{kind}_{'some' if as_large else 'none'}",
        n=texts.number(as_large),
        m=texts.number(others),
        p=texts.number(max(result.p_value, 0.001), 3),
    )
    reference = result.reference
    if permuted and len(reference) == result.n_sets:  # all of them: take out the real one
        reference = np.delete(reference, np.argmin(np.abs(reference - result.estimate)))
    reach = 1.0001 * float(np.max(np.abs([*reference, result.estimate]))) or 1.0
    edges = np.linspace(-reach, reach, _BINS + 1)
    far = np.abs(reference) >= abs(result.estimate) - 1e-9 * reach
    counts = [np.histogram(part, edges)[0] for part in (reference[~far], reference[far])]
    inner, outer = (count * (1.0 if single else 100 / len(reference)) for count in counts)
    unit = words.say(f"placebo.unit_{kind}")
    low, high = (words.change(value) for value in np.quantile(reference, [0.025, 0.975]))
    digits = words.decimals + 1
    rows = tuple(
        (
            words.say(
                "column.class",
                low=texts.number(edges[at], digits, sign=True),
                high=texts.number(edges[at + 1], digits, sign=True),
            ),
            texts.number(inner[at] + outer[at], 0 if single else 1),
        )
        for at in range(_BINS)
    )
    return words.picture(
        histogram(words, result.estimate, edges, inner, outer, unit=unit, whole=single),
        headline=headline,
        subtitle=words.say("placebo.subtitle" if permuted else "placebo.subtitle_noise"),
        alt=words.say(
            "placebo.alt",
            headline=headline,
            estimate=words.change(result.estimate, form="difference"),
            low=low,
            high=high,
        ),
        data=Table(
            caption=words.say("placebo.caption"),
            columns=headings(f"{words.say('column.change')}, {words.axis}", unit),
            rows=rows,
        ),
    )


def histogram(
    words: Words, estimate: float, edges: Floats, inner: Floats, outer: Floats, *, unit: str, whole: bool
) -> Figure:
    with style():
        top = 1.36 * float((inner + outer).max())
        figure, axes = value_axes(words, 0.0, top, unit=unit, right=MARGIN, bottom=0.52, whole=whole)
        axes.set_xlim(1.05 * edges[0], 1.05 * edges[-1])
        change_scale(axes, words, words.say("placebo.axis", unit=words.axis))
        for heights, foot, colour in ((inner, 0 * inner, BAND), (outer, inner, VERMILION)):
            some = heights > 0
            axes.bar(
                edges[:-1][some],
                heights[some],
                edges[1] - edges[0],
                foot[some],
                align="edge",
                color=colour,
                edgecolor=MUTED if colour == BAND else INK,  # pale bars are seen by their outline
                linewidth=0.6,
            )
        axes.plot([estimate] * 2, [0, 0.84 * top], color=INK, linewidth=1.8, solid_capstyle="butt")
        axes.plot(estimate, 0.84 * top, color=INK, marker="v", markersize=6)
        left = estimate < 0
        axes.annotate(
            f"{words.name}\n{words.change(estimate, form='difference')}",
            (estimate, top),
            xytext=(-4 if left else 4, 0),
            textcoords="offset points",
            ha="left" if left else "right",
            va="top",
            linespacing=1.15,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5},
        )
    return figure


def plot_forest(
    table: pd.DataFrame,
    *,
    alpha: float = 0.05,
    texts: Texts | None = None,
    about: About | None = None,
) -> Picture:
    """Draw estimates with their intervals, one row for each.

    Parameters
    ----------
    table : pandas.DataFrame
        One row for each estimate, from top to bottom: `name`, `estimate`, `low`, `high`; where wanted also `remark` (a
        short text at the right) and `whole` (bool: the estimate of all together, with a diamond). Estimates
        without an interval are open points; rows without an estimate have their remark alone.
    alpha : float
        Of the intervals: 0.05 for those of 95 %.
    texts : Texts, optional
        English by default.
    about : About, optional
        Name and unit of the outcome, names of the units, source of the data.

    Returns
    -------
    Picture
        In the outcome's unit. The headline counts the intervals that exclude zero, by side.

    Raises
    ------
    DataError
        A column is missing, there is no estimate, or an interval does not hold its estimate.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"name": ["A", "B"], "estimate": [1.0, 2.0], "low": [-1.0, 1.0], "high": [3.0, 3.0]})
    >>> plot_forest(table, about=About(outcome="Rate", unit="percent")).headline
    'Rate: 1 of 2 intervals excludes 0 (above: 1, below: 0).'
    """
    lacking = [name for name in ("name", "estimate", "low", "high") if name not in table.columns]
    if lacking:
        raise DataError("A table of estimates lacks a column.", where="table", found=", ".join(lacking))
    numbers = table[["estimate", "low", "high"]].to_numpy(dtype=float, na_value=np.nan)
    estimate, low, high = numbers.T
    if not np.isfinite(estimate).any():
        raise DataError("There is no estimate to draw.", where="table, estimate")
    outside = (low > estimate) | (high < estimate)
    if outside.any():
        raise DataError(
            "An interval does not hold its estimate.",
            where="table",
            found=str(table["name"].iloc[int(np.flatnonzero(outside)[0])]),
        )
    words = words_for(texts, about, estimates=estimate, errors=(high - low) / 4)
    names = [words.area(str(name)) for name in table["name"]]
    drawn = table.assign(name=names, estimate=estimate, low=low, high=high)
    above, below = int(np.sum(low > 0)), int(np.sum(high < 0))
    known = int(np.sum(np.isfinite(low) & np.isfinite(high)))
    case = "general_one" if above + below == 1 else "general"
    headline = words.say(f"forest.{case}", n=above + below, m=known, above=above, below=below)
    return forest_picture(words, drawn, level=100 * (1 - alpha), headline=headline, form="_general")


def forest_picture(
    words: Words, table: pd.DataFrame, *, level: float, headline: str, form: str = ""
) -> Picture:
    """Estimates with intervals under a headline; columns as in `plot_forest`, names as shown.

    `form` picks the texts: of changes against the comparison areas, "_rule" beside those elsewhere too, or "_general".
    """
    remarks = list(table["remark"]) if "remark" in table.columns else [""] * len(table)
    rows, parts = [], []
    for (name, estimate, low, high), remark in zip(
        table[["name", "estimate", "low", "high"]].itertuples(index=False), remarks, strict=True
    ):
        if not np.isfinite(estimate):
            rows.append((name, "", "", remark))
            parts.append(f"{name}: {lower_first(remark)}" if remark else f"{name}: {words.say('no_data')}")
            continue
        said, interval = words.change(estimate), words.interval(low, high)
        rows.append((name, said, interval, remark))
        ends = (words.change(value) for value in (low, high))
        parts.append(
            words.say(
                "forest.part", subject=name, estimate=said, **dict(zip(("low", "high"), ends, strict=True))
            )
            if interval
            else f"{name} {said}"
        )
    percent = words.texts.short(level)
    columns = headings(
        words.say(f"forest.column{form}"),
        words.say("column.estimate"),
        words.say("column.interval", level=percent),
    )
    if any(remarks):
        columns = (*columns, Column(label=words.say(f"forest.remark{form}")))
    subtitle = words.say(f"forest.subtitle{form}", level=percent)
    if np.isnan(table.loc[table["estimate"].notna(), "low"].to_numpy(dtype=float)).any():
        subtitle += " " + words.say("open_points")
    return words.picture(
        forest_figure(words, table, remarks, words.say(f"forest.axis{form}", unit=words.axis)),
        headline=headline,
        subtitle=subtitle,
        alt=words.say("forest.alt", headline=headline, parts="; ".join(parts).rstrip(".")),
        data=Table(
            caption=words.say(f"forest.caption{form}"),
            columns=columns,
            rows=tuple(row[: len(columns)] for row in rows),
        ),
    )


def forest_figure(words: Words, table: pd.DataFrame, remarks: list[str], title: str) -> Figure:
    """Two lines for each subject: its name and remark, and below them the interval over the whole width."""
    numbers = table[["estimate", "low", "high"]].to_numpy(dtype=float)
    wholes = list(table["whole"]) if "whole" in table.columns else [False] * len(table)
    bottom = 0.52
    with style():
        figure = Figure(figsize=(WIDTH, _ROW * len(table) + bottom + 0.3))
        axes = inner_axes(figure, words, left=MARGIN, right=MARGIN, bottom=bottom)
        axes.set_xlim(room(np.array([0.0, *numbers[np.isfinite(numbers)]])))
        axes.set_ylim(len(table), 0)
        axes.set_yticks([])
        change_scale(axes, words, title)
        across = axes.get_yaxis_transform()
        for at, (name, (estimate, low, high)) in enumerate(zip(table["name"], numbers, strict=True)):
            if at:
                axes.axhline(at, color=GRID, linewidth=0.8)
            weight = "bold" if wholes[at] else "normal"
            axes.text(0.0, at + 0.32, name, transform=across, va="center", weight=weight)
            axes.text(1.0, at + 0.32, remarks[at], transform=across, va="center", ha="right", color=MUTED)
            axes.plot([0, 0], [at + 0.56, at + 0.92], color=INK, linewidth=0.8)
            known = bool(np.isfinite([low, high]).all())
            if known:
                axes.plot([low, high], [at + 0.74] * 2, color=BLUE, linewidth=2.2, solid_capstyle="butt")
            if np.isfinite(estimate):
                axes.plot(
                    estimate,
                    at + 0.74,
                    marker="D" if wholes[at] else "o",
                    markersize=7,
                    markerfacecolor=BLUE if known else "white",
                    markeredgecolor="white" if known else BLUE,
                )
    return figure
