"""Pictures of uncertainty: the estimate among its alternatives, and all estimates with their intervals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from ..errors import DesignError
from ..evaluation import ALL, Evaluation
from ..findings import VERDICTS, Finding
from ..tables import Column, Table
from ..text import Texts
from .axes import change_scale, inner_axes, room, value_axes
from .picture import (
    BAND,
    BLUE,
    GRID,
    INK,
    MUTED,
    VERMILION,
    WIDTH,
    Picture,
    Words,
    estimated,
    headings,
    lower_first,
    style,
)

_BINS = 25
_ROW = 0.44  # inches
_MARGIN = 0.14


def plot_placebo(finding: Finding, *, evaluation: Evaluation, texts: Texts) -> Picture:
    """Draw what the same arithmetic gives for other choices of areas, and the real estimate among it.

    Parameters
    ----------
    finding : Finding
        Tested by permutation.
    evaluation : Evaluation
        The one that the finding comes from.
    texts : Texts

    Returns
    -------
    Picture
        Changes in the outcome's unit. The headline counts the alternatives, without the real choice, that moved at
        least as much in either direction.

    Raises
    ------
    DesignError
        Nothing was tested, or not by permutation.
    """
    result = finding.inference
    if result is None or result.method != "permutation" or result.n_sets < 2:
        raise DesignError(
            "There are no alternatives to draw.",
            where=f"{finding.outcome}, {finding.subject}",
            found="nothing was tested"
            if result is None
            else f"method {result.method!r}, {result.n_sets} sets",
            expected="a test by permutation",
        )
    words = Words(evaluation=evaluation, outcome=finding.outcome, subject=finding.subject, texts=texts)
    single = result.n_treated == 1 and result.exact
    kind = "areas" if single else "sets" if result.exact else "drawn"
    as_large, others = max(round(result.p_value * result.n_sets) - 1, 0), result.n_sets - 1
    headline = words.say(
        f"placebo.{kind}_{'some' if as_large else 'none'}", n=texts.number(as_large), m=texts.number(others)
    )
    reference = result.reference
    if len(reference) == result.n_sets:  # all of them: take out the real one
        reference = np.delete(reference, np.argmin(np.abs(reference - result.estimate)))
    reach = 1.0001 * float(np.max(np.abs([*reference, result.estimate]))) or 1.0
    edges = np.linspace(-reach, reach, _BINS + 1)
    far = np.abs(reference) >= abs(result.estimate) - 1e-9 * reach
    counts = [np.histogram(part, edges)[0] for part in (reference[~far], reference[far])]
    inner, outer = (count * (1.0 if single else 100 / len(reference)) for count in counts)
    estimate = words.change(result.estimate, form="difference")
    with style():
        top = 1.36 * float((inner + outer).max())
        unit = words.say(f"placebo.unit_{kind}")
        figure, axes = value_axes(words, 0.0, top, unit=unit, right=_MARGIN, bottom=0.52, whole=single)
        axes.set_xlim(-1.05 * reach, 1.05 * reach)
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
                edgecolor="white",
                linewidth=0.6,
            )
        axes.plot([result.estimate] * 2, [0, 0.84 * top], color=INK, linewidth=1.8, solid_capstyle="butt")
        axes.plot(result.estimate, 0.84 * top, color=INK, marker="v", markersize=6)
        left = result.estimate < 0
        axes.annotate(
            f"{words.name}\n{estimate}",
            (result.estimate, top),
            xytext=(-4 if left else 4, 0),
            textcoords="offset points",
            ha="left" if left else "right",
            va="top",
            linespacing=1.15,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5},
        )
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
        figure,
        headline=headline,
        subtitle=words.say("placebo.subtitle"),
        alt=words.say("placebo.alt", headline=headline, estimate=estimate, low=low, high=high),
        data=Table(
            caption=words.say("placebo.caption"),
            columns=headings(f"{words.say('column.change')}, {words.axis}", unit),
            rows=rows,
        ),
    )


def plot_forest(
    evaluation: Evaluation, *, subject_order: Sequence[str], texts: Texts, outcome: str | None = None
) -> Picture:
    """Draw the estimates of one outcome with their intervals, one row for each subject.

    Parameters
    ----------
    evaluation : Evaluation
    subject_order : sequence of str
        Codes of districts and "all", from top to bottom; those without a finding are passed over.
    texts : Texts
    outcome : str, optional
        The first primary outcome of the plan by default.

    Returns
    -------
    Picture
        Changes in the outcome's unit. A subject that cannot be assessed has a text in the place of its mark.

    Raises
    ------
    DataError
        The outcome was not estimated.
    DesignError
        No subject can be assessed.
    """
    outcome = evaluation.study.spec.plan.primary[0] if outcome is None else outcome
    estimated(evaluation, outcome)
    words = Words(evaluation=evaluation, outcome=outcome, subject=ALL, texts=texts)
    findings = [
        evaluation.findings[outcome, subject]
        for subject in subject_order
        if (outcome, subject) in evaluation.findings
    ]
    if all(_interval(finding) is None for finding in findings):
        raise DesignError(
            "No area can be assessed.", where=outcome, found=f"{len(findings)} findings without an estimate"
        )
    headline = _forest_headline(words, findings)
    level = texts.short(100 * (1 - evaluation.study.spec.plan.alpha))
    rows, parts = [], []
    for finding in findings:
        name, verdict, interval = words.area(finding.subject), _verdict(words, finding), _interval(finding)
        if interval is None:
            rows.append((name, "", "", verdict))
            parts.append(f"{name}: {lower_first(verdict)}")
            continue
        low, estimate, high = (words.change(value) for value in interval)
        rows.append((name, estimate, words.say("column.class", low=low, high=high), verdict))
        parts.append(words.say("forest.part", subject=name, estimate=estimate, low=low, high=high))
    numbers = (words.say("column.estimate"), words.say("column.interval", level=level))
    return words.picture(
        _forest(words, findings),
        headline=headline,
        subtitle=words.say("forest.subtitle", level=level),
        alt=words.say("forest.alt", headline=headline, parts="; ".join(parts)),
        data=Table(
            caption=words.say("forest.caption"),
            columns=(
                *headings(words.say("column.area"), *numbers),
                Column(label=words.say("column.verdict")),
            ),
            rows=tuple(rows),
        ),
    )


def _forest(words: Words, findings: Sequence[Finding]) -> Figure:
    """Two lines for each subject: its name and verdict, and below them the interval over the whole width."""
    intervals = [_interval(finding) for finding in findings]
    bottom = 0.52
    with style():
        figure = Figure(figsize=(WIDTH, _ROW * len(findings) + bottom + 0.3))
        axes = inner_axes(figure, words, left=_MARGIN, right=_MARGIN, bottom=bottom)
        axes.set_xlim(
            room(np.array([0.0, *(value for interval in intervals if interval for value in interval)]))
        )
        axes.set_ylim(len(findings), 0)
        axes.set_yticks([])
        change_scale(axes, words, words.say("forest.axis", unit=words.axis))
        across = axes.get_yaxis_transform()
        for at, (finding, interval) in enumerate(zip(findings, intervals, strict=True)):
            whole = finding.subject == ALL
            if at:
                axes.axhline(at, color=GRID, linewidth=0.8)
            weight = "bold" if whole else "normal"
            axes.text(
                0.0, at + 0.32, words.area(finding.subject), transform=across, va="center", weight=weight
            )
            verdict = _verdict(words, finding)
            axes.text(1.0, at + 0.32, verdict, transform=across, va="center", ha="right", color=MUTED)
            axes.plot([0, 0], [at + 0.56, at + 0.92], color=INK, linewidth=0.8)
            if interval is not None:
                low, estimate, high = interval
                axes.plot([low, high], [at + 0.74] * 2, color=BLUE, linewidth=2.2, solid_capstyle="butt")
                marker = "D" if whole else "o"
                axes.plot(
                    estimate, at + 0.74, color=BLUE, marker=marker, markersize=7, markeredgecolor="white"
                )
    return figure


def _interval(finding: Finding) -> tuple[float, float, float] | None:
    """Low, estimate and high, where the design can say anything."""
    result = finding.inference
    if result is None or not result.identifiable or result.low is None or result.high is None:
        return None
    return result.low, result.estimate, result.high


def _verdict(words: Words, finding: Finding) -> str:
    return words.texts(f"verdict.{finding.verdict}.word")


def _forest_headline(words: Words, findings: Sequence[Finding]) -> str:
    single = [finding for finding in findings if finding.subject != ALL]
    whole = [finding for finding in findings if finding.subject == ALL]
    counts = []
    for verdict in VERDICTS:
        same = [finding for finding in single if finding.verdict == verdict]
        if same:
            counts.append(
                (
                    len(same),
                    words.say("forest.count", verdict=lower_first(_verdict(words, same[0])), n=len(same)),
                )
            )
    parts = []
    if whole:
        parts.append(words.say("forest.whole", verdict=lower_first(_verdict(words, whole[0]))))
    if counts:
        ordered = [text for _, text in sorted(counts, key=lambda count: -count[0])]
        parts.append(words.say("forest.single", counts=words.texts.join(ordered)))
    return words.say("forest.headline", parts="; ".join(parts))
