"""All results of a subject, or of an outcome, in one picture: estimates, what could have been found, what would break.

In: an evaluation or a finding. Out: `Picture`. Never: outcomes in different units on one axis without saying in
multiples of what.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.figure import Figure

from ..errors import DesignError
from ..evaluation import ALL, Evaluation
from ..findings import Finding
from ..panel import Floats
from ..tables import Column, Table
from ..text import Texts
from .axes import MARGIN, change_scale, inner_axes, room, text_size
from .checks import check_picture
from .coverage import cut
from .elsewhere import city_names, subject_name
from .picture import BAND, BLUE, GRID, INK, MUTED, TEXT, WIDTH, Picture, headings, style
from .spread import forest_figure
from .study import estimated, shown_interval, study_words, verdict_word
from .words import Words, lower_first

_ROW, _FOOT = 0.44, 0.52  # inches


def plot_outcomes(evaluation: Evaluation, *, subject: str, texts: Texts) -> Picture:
    """Draw the estimates of all outcomes for one subject, in multiples of a change that matters.

    Parameters
    ----------
    evaluation : Evaluation
    subject : str
        Code of a treated district, or "all".
    texts : Texts

    Returns
    -------
    Picture
        One row for each outcome, with its interval and its verdict. 1 is the change that the plan calls important
        (`plan.important`); where it does not name one for every outcome drawn, it is the standard deviation of the
        areas' levels in the last year before the programme. Where every outcome has a better direction, better is to
        the right. The table has the numbers in their own units.

    Raises
    ------
    DesignError
        No outcome can be assessed.
    """
    study = evaluation.study
    findings = [
        evaluation.findings[outcome, subject]
        for outcome in study.plan.outcomes
        if (outcome, subject) in evaluation.findings
    ]
    known = [finding for finding in findings if np.isfinite(shown_interval(finding)[0])]
    if not known:
        raise DesignError(
            "No outcome can be assessed.",
            where=subject,
            found=f"{len(findings)} findings without an estimate",
        )
    important = all(finding.outcome in study.plan.important for finding in known)
    better = {finding.outcome: study.indicator(finding.outcome).higher_is for finding in findings}
    directed = "neutral" not in better.values()
    rows, said, cells, counts = [], [], [], {"better": 0, "worse": 0, "above": 0, "below": 0}
    for finding in findings:
        words = study_words(evaluation, finding.outcome, subject, texts)
        verdict = verdict_word(words, finding)
        numbers = np.array(shown_interval(finding))
        if not np.isfinite(numbers[0]):
            rows.append((words.label, *numbers, verdict))
            cells.append((words.label, "", "", "", "", verdict))
            said.append(f"{words.label}: {lower_first(verdict)}")
            continue
        unit = study.plan.important[finding.outcome] if important else _spread(evaluation, finding.outcome)
        side = -1.0 if directed and better[finding.outcome] == "worse" else 1.0
        scaled = side * numbers / unit
        low, high = sorted(scaled[1:])
        rows.append((words.label, scaled[0], low, high, verdict))
        if low > 0 or high < 0:
            counts[("better" if low > 0 else "worse") if directed else ("above" if low > 0 else "below")] += 1
        interval = words.interval(*numbers[1:])
        cells.append(
            (
                words.label,
                words.change(numbers[0]),
                interval,
                words.size(unit),
                texts.number(scaled[0], 1, sign=True),
                verdict,
            )
        )
        said.append(
            words.say(
                "forest.part",
                subject=words.label,
                estimate=words.change(numbers[0]),
                low=words.change(numbers[1]),
                high=words.change(numbers[2]),
            )
        )
    words = study_words(evaluation, known[0].outcome, subject, texts)
    case = "directed" if directed else "plain"
    parts = {name: str(count) for name, count in counts.items()}
    name = subject_name(evaluation, known[0], texts)
    level = texts.short(100 * (1 - study.plan.alpha))
    headline = words.say(f"overview.headline_{case}", name=name, m=len(known), level=level, **parts)
    table = pd.DataFrame(rows, columns=["name", "estimate", "low", "high", "remark"])
    form = "_rule" if any(finding.placebo is not None for finding in known) else ""
    scale = words.say(f"overview.scale_{'important' if important else 'spread'}")
    subtitle = [words.say(f"forest.subtitle{form}", level=level), scale]
    if directed:
        subtitle.append(words.say("overview.direction"))
    figure = forest_figure(
        words, _short_names(table), list(table["remark"]), words.say(f"overview.axis_{case}")
    )
    labels = ["estimate", "interval", "one", "multiple"]
    return words.picture(
        figure,
        headline=headline,
        subtitle=" ".join(subtitle),
        alt=words.say("forest.alt", headline=headline, parts="; ".join(said).rstrip(".")),
        data=Table(
            caption=words.say("overview.caption", name=name),
            columns=(
                Column(label=words.say("overview.outcome")),
                *(
                    Column(
                        label=words.say(
                            f"column.{one}" if one in ("estimate", "interval") else f"overview.{one}",
                            level=level,
                        ),
                        numeric=True,
                    )
                    for one in labels
                ),
                Column(label=words.say(f"forest.remark{form}")),
            ),
            rows=tuple(cells),
        ),
    )


def plot_detectable(
    evaluation: Evaluation, *, outcome: str, subject_order: Sequence[str], texts: Texts
) -> Picture:
    """Draw how large an effect had to be to be found, beside what was found.

    Parameters
    ----------
    evaluation : Evaluation
    outcome : str
    subject_order : sequence of str
        Codes of districts and "all", from top to bottom; those without a finding are passed over.
    texts : Texts

    Returns
    -------
    Picture
        In the outcome's unit. For each subject a bar of the effects that the test would find in less than 80 % of
        cases, in either direction, and the estimate as a point: filled where it is larger than that, open where it is
        not. The headline gives the range of the minimum detectable effects and counts the filled points.

    Raises
    ------
    DataError
        The outcome was not estimated.
    DesignError
        No subject has a minimum detectable effect.
    """
    estimated(evaluation, outcome)
    words = study_words(evaluation, outcome, ALL, texts)
    rows = []
    for subject in subject_order:
        finding = evaluation.findings.get((outcome, subject))
        if finding is None or finding.inference is None or not finding.inference.identifiable:
            continue
        least = finding.inference.minimum_detectable_effect
        if least is not None and np.isfinite(least):
            rows.append(
                (subject_name(evaluation, finding, texts), subject == ALL, finding.inference.estimate, least)
            )
    if not rows:
        raise DesignError("No area has a minimum detectable effect.", where=outcome)
    found = _Found(
        names=tuple(row[0] for row in rows),
        whole=tuple(row[1] for row in rows),
        estimates=np.array([row[2] for row in rows]),
        least=np.array([row[3] for row in rows]),
    )
    large = np.abs(found.estimates) >= found.least
    low, high = words.size(found.least.min()), words.size(found.least.max())
    parts: dict[str, object] = {"n": int(large.sum()), "m": len(rows), "low": low, "high": high}
    headline = words.say("detectable.one" if low == high else "detectable.headline", **parts)
    said = [
        words.say(
            "detectable.part",
            name=name,
            least=words.size(least),
            estimate=words.change(estimate, form="difference"),
        )
        for name, least, estimate in zip(found.names, found.least, found.estimates, strict=True)
    ]
    return words.picture(
        _detectable(words, found, large),
        headline=headline,
        subtitle=words.say("detectable.subtitle", **parts),
        alt=words.say("detectable.alt", headline=headline, parts="; ".join(said).rstrip(".")),
        data=Table(
            caption=words.say("detectable.caption"),
            columns=headings(
                words.say("forest.column"), words.say("detectable.least"), words.say("column.estimate")
            ),
            rows=tuple(
                (name, words.size(least), words.change(estimate))
                for name, least, estimate in zip(found.names, found.least, found.estimates, strict=True)
            ),
        ),
    )


def plot_breakdown(finding: Finding, *, evaluation: Evaluation, texts: Texts) -> Picture:
    """Draw how far trends may have been from parallel before a finding is lost.

    Parameters
    ----------
    finding : Finding
    evaluation : Evaluation
        The one that the finding comes from.
    texts : Texts

    Returns
    -------
    Picture
        The interval under parallel trends and under each size of deviation that was checked. The headline gives the
        breakdown value: the deviation, in multiples of the largest step before the programme, up to which the
        interval leaves out zero.

    Raises
    ------
    DesignError
        That check was not made.
    """
    made = [check for check in finding.checks if check.name == "honest" and len(check.table)]
    if not made:
        raise DesignError(
            "How far trends may have been from parallel was not checked.",
            where=f"{finding.outcome}, {finding.subject}",
        )
    check = made[0]
    words = study_words(evaluation, finding.outcome, finding.subject, texts)
    names = {**words.about.names, **city_names(evaluation.study, texts.language)}
    about = replace(words.about, subject=subject_name(evaluation, finding, texts), names=names)
    words = replace(words, about=about)
    picture = check_picture(check, finding.inference, words)
    if check.reason == "never_held":
        headline = words.say("breakdown.never")
    elif "breakdown" in check.facts:
        broken = float(check.facts["breakdown"])
        headline = words.say("breakdown.value", breakdown=texts.number(broken, 1 if broken >= 1 else 2))
    else:
        headline = words.say("breakdown.any")
    return words.picture(
        picture.figure,
        headline=headline,
        subtitle=f"{picture.subtitle} {words.say('breakdown.means')}",
        alt=picture.alt.replace(picture.headline, headline),
        data=picture.data,
    )


@dataclass(frozen=True, kw_only=True)
class _Found:
    """Estimates and minimum detectable effects of n_subjects, in the outcome's unit."""

    names: tuple[str, ...]
    whole: tuple[bool, ...]
    estimates: Floats
    least: Floats


def _detectable(words: Words, found: _Found, large: npt.NDArray[np.bool_]) -> Figure:
    n = len(found.names)
    with style():
        figure = Figure(figsize=(WIDTH, _ROW * n + _FOOT + 0.3))
        axes = inner_axes(figure, words, left=MARGIN, right=MARGIN, bottom=_FOOT)
        axes.set_xlim(room(np.concatenate([found.estimates, found.least, -found.least])))
        axes.set_ylim(n, 0)
        axes.set_yticks([])
        change_scale(axes, words, words.say("detectable.axis", unit=words.axis))
        across = axes.get_yaxis_transform()
        axes.hlines(range(1, n), *axes.get_xlim(), color=GRID, linewidth=0.8)
        places = np.arange(n) + 0.74
        axes.barh(places, 2 * found.least, 0.26, -found.least, color=BAND, edgecolor=MUTED, linewidth=0.7)
        axes.vlines(np.zeros(n), places - 0.18, places + 0.18, color=INK, linewidth=0.8, zorder=2)
        for at, (name, whole) in enumerate(zip(found.names, found.whole, strict=True)):
            axes.text(
                0.0, at + 0.32, name, transform=across, va="center", weight="bold" if whole else "normal"
            )
            least = words.say("detectable.mark", least=words.size(found.least[at]))
            axes.text(1.0, at + 0.32, least, transform=across, va="center", ha="right", color=MUTED)
        for chosen, face, edge in ((large, BLUE, "white"), (~large, "white", BLUE)):
            for wholes, marker in ((True, "D"), (False, "o")):
                some = chosen & (np.array(found.whole) == wholes)
                if some.any():
                    axes.plot(
                        found.estimates[some],
                        places[some],
                        linestyle="none",
                        marker=marker,
                        markersize=7,
                        markerfacecolor=face,
                        markeredgecolor=edge,
                        zorder=3,
                    )
    return figure


def _spread(evaluation: Evaluation, outcome: str) -> float:
    """Standard deviation of the areas' levels in the last year with data before the programme."""
    panel = evaluation.panel
    first = min(path.first for path in evaluation.design.paths)
    levels = panel.values[outcome][:, [year < first for year in panel.periods]]
    known = [column for column in range(levels.shape[1]) if np.isfinite(levels[:, column]).sum() > 1]
    return float(np.nanstd(levels[:, known[-1]], ddof=1)) if known else float("nan")


def _short_names(table: pd.DataFrame) -> pd.DataFrame:
    """Names that leave their remarks room on the line."""
    wide = 72 * (WIDTH - 2 * MARGIN) - 12
    names = [
        cut(name, wide - text_size(remark)[0], TEXT)
        for name, remark in table[["name", "remark"]].itertuples(index=False)
    ]
    return table.assign(name=names)
