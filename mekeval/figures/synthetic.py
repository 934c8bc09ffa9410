"""A treated path beside the synthetic one that it is compared with, and what that one is made of.

In: `SyntheticFit`. Out: `Picture`. Never: the difference without how far the paths are apart before.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from matplotlib.figure import Figure

from ..errors import DesignError
from ..estimate import SyntheticFit
from ..tables import Table
from ..text import Texts
from .axes import MARGIN, inner_axes, text_size
from .coverage import cut
from .lines import levels_figure, path_written, with_gaps, year_rows
from .picture import BLUE, GRID, INK, MUTED, TEXT, Picture, headings, style
from .words import About, Words, words_for

_ROW = 0.19  # inches of one unit
_MOST_UNITS = 8
_NAME_WIDTH = 130.0  # points


def plot_synthetic(
    fit: SyntheticFit, *, at: int = 0, texts: Texts | None = None, about: About | None = None
) -> Picture:
    """Draw the path of the treated beside its synthetic counterpart, with the weights that it is made of.

    Parameters
    ----------
    fit : SyntheticFit
    at : int
        Which of its sets of treated units.
    texts : Texts, optional
        English by default.
    about : About, optional
        Name and unit of the outcome, names of the units, source of the data.

    Returns
    -------
    Picture
        Levels in the outcome's unit. The headline gives the mean difference while treated, and how far the paths are
        apart before. Below: the largest unit weights; the base years, where they have weights, are marked.

    Raises
    ------
    DesignError
        There is no such fit, or no treated period in it.
    """
    if not 0 <= at < len(fit.treated):
        raise DesignError(
            "There is no such fit.", where="at", found=str(at), expected=f"0 to {len(fit.treated) - 1}"
        )
    path = fit.setting.paths[fit.setting.fits[at][0]]
    periods = list(fit.periods)
    phases = [path.phase(year, partial_years=fit.setting.partial_years) for year in periods]
    full = np.array([phase == "on" for phase in phases])
    own, rest = fit.treated_path[at], fit.synthetic_path[at]
    if not full.any():
        raise DesignError("There is no treated period to draw.", where=f"{fit.outcome}, {path.name}")
    words = words_for(
        texts,
        about,
        outcome=fit.outcome,
        estimates=own - rest,
        errors=np.array([fit.pre_rmse[at]]),
    )
    names = [words.area(code) for code in fit.treated[at]]
    subject = (about.subject if about else "") or (words.texts.join(names) if len(names) <= 3 else words.name)
    words = replace(words, about=replace(words.about, subject=subject))
    effect = float((own - rest)[full].mean())
    order = np.argsort(-fit.unit_weights[at], kind="stable")
    weighted = [unit for unit in order if fit.unit_weights[at, unit] > 0]
    shown = [(words.area(fit.comparison[unit]), float(fit.unit_weights[at, unit])) for unit in weighted]
    parts: dict[str, object] = {
        "size": words.size(effect),
        "years": path_written(path.name),
        "apart": words.size(fit.pre_rmse[at]),
        "first": path.first,
        "n": len(weighted),
        "m": len(fit.comparison),
        "units": words.texts.join([f"{name} {words.percent(weight)}" for name, weight in shown[:3]]),
        "year": periods[-1],
        "own": words.level(own[-1]),
        "rest": words.level(rest[-1]),
    }
    case = "same" if words.is_zero(effect) else "above" if effect > 0 else "below"
    headline = words.say(f"synthetic_fit.{case}", **parts)
    based = [year for year, weight in zip(periods, fit.time_weights[at], strict=True) if weight > 0]
    in_base = 0 < len(based) < len([year for year in periods if year < path.first])
    with style():
        treated = [year for year, on in zip(periods, full, strict=True) if on]
        figure = _synthetic(words, fit, at, shown, treated, based if in_base else [])
    subtitle = words.say("synthetic_fit.subtitle", **parts)
    if in_base:
        subtitle += " " + words.say("synthetic_fit.base")
    said = [[words.level(value) for value in values] for values in (own, rest)]
    return words.picture(
        figure,
        headline=headline,
        subtitle=with_gaps(subtitle, periods, words),
        alt=words.say("synthetic_fit.alt", headline=headline, **parts),
        data=Table(
            caption=words.say("synthetic_fit.caption"),
            columns=headings(
                words.say("column.year"),
                words.name,
                words.say("synthetic_fit.name"),
                words.say("column.difference"),
            ),
            rows=year_rows(periods, [*said, [words.change(value) for value in own - rest]], words),
            note=words.say(
                "synthetic_fit.weights",
                units=", ".join(f"{name} {words.percent(one)}" for name, one in shown),
            ),
        ),
    )


def _synthetic(
    words: Words,
    fit: SyntheticFit,
    at: int,
    shown: list[tuple[str, float]],
    treated: list[int],
    based: list[int],
) -> Figure:
    """Both paths, and below them the largest weights as bars."""
    rows = [(name, weight, words.percent(weight)) for name, weight in shown[:_MOST_UNITS]]
    if len(shown) > _MOST_UNITS:
        rest = sum(weight for _, weight in shown[_MOST_UNITS:])
        rows.append(
            (words.say("synthetic_fit.others", n=len(shown) - _MOST_UNITS), rest, words.percent(rest))
        )
    tall = _ROW * len(rows)
    span = words.say("treated_years", years=f"{treated[0]}\N{EN DASH}{treated[-1]}")
    figure, axes = levels_figure(
        words,
        fit.periods,
        fit.treated_path[at],
        fit.synthetic_path[at],
        words.say("synthetic_fit.name"),
        range(treated[0], treated[-1] + 1),
        span,
        below=tall + 0.42,
    )
    foot = 4 / axes.bbox.height
    for year in based:
        axes.plot(
            [year - 0.4, year + 0.4],
            [foot, foot],
            transform=axes.get_xaxis_transform(),
            color=MUTED,
            linewidth=2.5,
        )
    rows = [(cut(name, _NAME_WIDTH, TEXT), weight, text) for name, weight, text in rows]
    left = (max(text_size(name)[0] for name, _, _ in rows) + 8) / 72
    right = (max(text_size(text)[0] for _, _, text in rows) + 8) / 72
    bars = inner_axes(figure, words, left=left, right=MARGIN + right, bottom=0.08, tall=tall)
    bars.set_ylim(len(rows) - 0.5, -0.5)
    bars.set_xlim(0, max(weight for _, weight, _ in rows))
    bars.set_xticks([])
    bars.set_yticks(range(len(rows)), [name for name, _, _ in rows])
    bars.tick_params(axis="y", labelcolor=INK)
    grouped = len(shown) > _MOST_UNITS
    for row, (_, weight, text) in enumerate(rows):
        other = grouped and row == len(rows) - 1
        bars.barh(row, weight, 0.62, color=GRID if other else BLUE, edgecolor=MUTED if other else BLUE)
        bars.annotate(
            text, (weight, row), xytext=(4, 0), textcoords="offset points", va="center", color=MUTED
        )
    bars.text(
        -left * 72 / bars.bbox.width,
        1 + 8 / bars.bbox.height,
        words.say("synthetic_fit.weights_title"),
        transform=bars.transAxes,
        color=MUTED,
        va="bottom",
    )
    return figure
