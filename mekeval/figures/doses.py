"""Pictures of effect against dose: one point for each treated unit, and how little a line through them says.

In: `DoseResponse`. Out: `Picture`. Never: a whole line where no gradient could be shown.
"""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from ..errors import DesignError
from ..panel import Floats
from ..sensitivity.heterogeneity import DoseResponse
from ..tables import Table
from ..text import Texts
from .axes import MARGIN, OWN, change_scale, draw_estimates, place, room, to_points, value_axes
from .picture import INK, MUTED, Picture, headings, style
from .words import About, Words, words_for

#: Units with the same dose, or nearly, stand side by side, so many points apart.
_APART = 11.0


def plot_doses(
    response: DoseResponse,
    *,
    dose: str = "",
    dose_decimals: int = 0,
    texts: Texts | None = None,
    about: About | None = None,
) -> Picture:
    """Draw the effect of each treated unit against its dose, with intervals.

    Parameters
    ----------
    response : DoseResponse
    dose : str
        What the dose is and its unit, such as "EUR per inhabitant"; by default "dose".
    dose_decimals : int
        Digits of a dose after the decimal sign.
    texts : Texts, optional
        English by default.
    about : About, optional
        Name and unit of the outcome, names of the units, source of the data.

    Returns
    -------
    Picture
        Effects in the outcome's unit. The line is broken where no gradient could be shown. Units with equal doses
        stand side by side by their effects, and their names in one block, the highest first.

    Raises
    ------
    DesignError
        There is no line to draw: fewer than three units, or equal doses.
    """
    if response.slope is None:
        raise DesignError(
            "There is no line to draw.",
            where=response.outcome,
            found=response.reason,
            expected="at least three units and two different doses",
        )
    reach = [high - low for low, high in (ends for ends in response.intervals if ends is not None)]
    errors = np.array(reach if reach else [float(np.ptp(response.estimates))]) / 4
    words = words_for(texts, about, outcome=response.outcome, estimates=response.estimates, errors=errors)
    return doses_picture(response, words, dose=dose or words.say("doses.dose"), dose_decimals=dose_decimals)


def doses_picture(response: DoseResponse, words: Words, *, dose: str, dose_decimals: int) -> Picture:
    """Effect against dose in the words given."""
    texts = words.texts
    names = [words.area(unit) for unit in response.units]
    order = sorted(range(len(names)), key=lambda at: (response.doses[at], names[at]))
    k = len(names)
    rows, parts = [], []
    for at in order:
        ends = response.intervals[at]
        amount = texts.number(float(response.doses[at]), dose_decimals)
        effect = words.change(float(response.estimates[at]))
        interval = words.interval(*ends) if ends is not None else ""
        without = response.leave_one_out[at]
        slope = words.say("doses.no_slope")
        if without is not None:
            slope = words.change(without * float(np.ptp(response.doses)))
        rows.append((names[at], amount, effect, interval, slope))
        parts.append(words.say("doses.part", name=names[at], dose=amount, effect=effect))
    key = {"gradient": "gradient", "no_detectable_gradient": "none"}.get(response.verdict, "unknown")
    facts: dict[str, object] = {"dose": dose, "n": k}
    if response.minimum_detectable_difference is not None:
        facts["detectable"] = words.size(response.minimum_detectable_difference)
    elif key == "none":  # nor is it known what would have been found
        key = "unknown"
    if key == "gradient" and response.slope is not None:
        difference = response.slope * float(np.ptp(response.doses))
        facts["difference"] = words.change(difference, form="difference")
        headline = words.say(f"doses.gradient_{'up' if difference > 0 else 'down'}", **facts)
    else:
        headline = words.say(f"doses.{key}", **facts)
    percent = texts.short(100 * (1 - response.alpha))
    subtitle = words.say("doses.subtitle", level=percent, dose=dose)
    if any(ends is None for ends in response.intervals):
        subtitle += " " + words.say("doses.open_points")
    return words.picture(
        _doses(response, words, names, dose=dose),
        headline=headline,
        subtitle=f"{subtitle} {words.say('doses.line' if key == 'gradient' else 'doses.line_broken')}",
        alt=words.say("doses.alt", headline=headline, parts="; ".join(parts).rstrip(".")),
        data=Table(
            caption=words.say("doses.caption", dose=dose),
            columns=headings(
                words.say("column.area"),
                dose,
                words.say("column.estimate"),
                words.say("column.interval", level=percent),
                words.say("doses.without"),
            ),
            rows=tuple(rows),
            note=words.say("doses.note"),
        ),
    )


def _doses(response: DoseResponse, words: Words, names: list[str], *, dose: str) -> Figure:
    ends = np.array([(np.nan, np.nan) if one is None else one for one in response.intervals])
    low, high = ends.T
    shown = np.array([0.0, *response.estimates, *ends[np.isfinite(ends)]])
    with style():
        figure, axes = value_axes(
            words, *room(shown, above=0.16), unit=words.axis, right=MARGIN, bottom=0.52, sign=True
        )
        axes.set_xlim(room(response.doses, above=0.16, below=0.16))
        change_scale(axes, words, dose, sign=False)
        axes.axhline(0, color=INK, linewidth=0.8)
        point = float(np.ptp(axes.get_xlim())) / axes.bbox.width  # of dose
        groups = _close(response.doses, _APART * point)
        x = response.doses.copy()
        for group in groups:
            order = sorted(group, key=lambda at: (response.estimates[at], names[at]))
            x[order] = response.doses[group].mean()
            x[order] += (np.arange(len(order)) - (len(order) - 1) / 2) * _APART * point
        across = np.linspace(*axes.get_xlim(), 61)
        taken = to_points(axes, across, np.zeros(61))
        if response.slope is not None and response.intercept is not None:
            span = np.linspace(response.doses.min(), response.doses.max(), 41)
            line = response.intercept + response.slope * span
            dash = (0, None) if response.verdict == "gradient" else (0, (4, 3))
            axes.plot(span, line, color=MUTED, linewidth=1.2, linestyle=dash)
            taken = np.vstack([taken, to_points(axes, span, line)])
        draw_estimates(axes, x, response.estimates, low, high, OWN)
        bars = []
        for at, estimate in enumerate(response.estimates):
            foot, top = (low[at], high[at]) if np.isfinite(low[at]) else (estimate, estimate)
            bars.append(to_points(axes, np.full(31, x[at]), np.linspace(foot, top, 31)))
        for group in groups:
            own = np.vstack([bars[at] for at in group])
            others = [bars[at] for at in range(len(names)) if at not in group]
            highest_first = sorted(group, key=lambda at: (response.estimates[at], names[at]), reverse=True)
            near = to_points(axes, x[group], response.estimates[group])
            text = "\n".join(names[at] for at in highest_first)
            away = np.vstack([taken, *others])
            taken = np.vstack([taken, place(axes, text, INK, near=near, clear=own, away=away)])
    return figure


def _close(doses: Floats, apart: float) -> list[list[int]]:
    """Units whose doses are so close that their points would touch, from the least dose on."""
    groups: list[list[int]] = []
    for at in np.argsort(doses, kind="stable").tolist():
        if groups and doses[at] - doses[groups[-1][-1]] < apart:
            groups[-1].append(at)
        else:
            groups.append([at])
    return groups
