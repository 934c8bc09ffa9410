"""The pictures of a study's reports: what an evaluation holds, drawn by the general pictures.

In: an evaluation, an outcome and a subject. Out: `Picture`. Never: a number that the evaluation does not hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..design import Path
from ..errors import DataError, DesignError, closest
from ..estimate import Effects, aggregate, unit_changes
from ..evaluation import ALL, Evaluation
from ..findings import VERDICTS, Finding
from ..tables import Table
from ..text import Texts, ranges
from .axes import (
    MARGIN,
    OWN,
    draw_line,
    mark_base,
    name_lines,
    place,
    room,
    shade_years,
    to_points,
    year_axes,
)
from .elsewhere import city_names, neighbours, subject_name
from .lines import Line, group_time_picture, levels_figure, spells_written, with_gaps, year_rows
from .picture import INK, MUTED, PALE, Picture, headings, style
from .rule import rule_placebo_picture
from .selection import Varied, plot_selection_stability
from .spread import forest_picture, placebo_picture
from .words import About, Words, lower_first


def study_words(evaluation: Evaluation, outcome: str, subject: str, texts: Texts) -> Words:
    """How an outcome and a subject of a study are written."""
    study, indicator = evaluation.study, evaluation.study.indicator(outcome)
    names = {code: study.areas.name(code, texts.language) for code in study.areas.units}
    names[ALL] = texts("figure.all")
    about = About(
        outcome=indicator.label.text(texts.language),
        unit=indicator.unit,
        subject=" ".join(names.get(subject, subject).split()),
        groups_of=neighbours(study, texts),
        names=names,
        source=study.spec.study.attribution.text(texts.language),
        synthetic=study.spec.study.synthetic,
    )
    decimals = 0 if indicator.unit in ("eur", "persons", "number") else 1
    return Words(texts=texts, about=about, decimals=decimals)


def plot_choice(evaluation: Evaluation, *, texts: Texts) -> Picture:
    """Draw how clear the rule's choice of areas was; see `plot_selection_stability`.

    Raises
    ------
    DesignError
        The study has no rule that can be applied again.
    """
    if evaluation.choice is None:
        raise DesignError("The study has no rule that can be applied again.", where=evaluation.study.name)
    about = study_words(evaluation, evaluation.study.plan.outcomes[0], ALL, texts).about
    choice = evaluation.choice
    varied: Varied = "data" if choice.weight_spread == 0 else "weights" if choice.error == "none" else "both"
    return plot_selection_stability(choice.table, varied=varied, texts=texts, about=about)


def plot_trend(evaluation: Evaluation, *, outcome: str, subject: str, texts: Texts) -> Picture:
    """Draw the yearly level of a district, or of all programme areas, against the comparison areas.

    Parameters
    ----------
    evaluation : Evaluation
    outcome : str
    subject : str
        Code of a treated district, or "all" for the mean of the treated areas.
    texts : Texts

    Returns
    -------
    Picture
        Levels in the outcome's unit. The headline gives the gap in the base years and in the last year.

    Raises
    ------
    DataError
        The outcome was not estimated.
    DesignError
        The subject is not treated or was left out, or there are no data since it entered.
    """
    effects, paths, chosen = entered(evaluation, outcome, subject)
    words = study_words(evaluation, outcome, subject, texts)
    first = min(paths, key=lambda path: path.first)
    base = base_years(evaluation, effects, first)
    # a base of one year has no change of its own, and so no row among the effects
    periods = sorted({*base, *(int(period) for period in effects.cells["period"])})
    rows = [evaluation.panel.units.index(unit) for unit in effects.units]
    columns = [evaluation.panel.periods.index(period) for period in periods]
    levels = evaluation.panel.values[outcome][np.ix_(rows, columns)]
    own, rest = levels[chosen].mean(axis=0), levels[effects.group == -1].mean(axis=0)
    if periods[-1] < first.first:
        raise DesignError(
            "There are no data since the programme began.",
            where=f"{outcome}, {words.name}",
            found=f"last year {periods[-1]}",
            expected=f"{first.first} or later",
        )
    gap = own - rest
    before = _gap(words, float(gap[np.isin(periods, base)].mean()), "")
    after = _gap(words, float(gap[-1]), "_short")
    headline = words.say("trend.headline", before=before, years=ranges(base), after=after, year=periods[-1])
    with style():
        figure, _ = levels_figure(
            words, periods, own, rest, words.say("comparison"), *programme_years(paths, periods, words)
        )
    said = [[words.level(value) for value in values] for values in (own, rest)]
    subtitle = words.say(
        "trend.subtitle_all" if subject == ALL else "trend.subtitle_one",
        n=int(np.sum(effects.group == -1)),
        treated=int(chosen.sum()),
    )
    return words.picture(
        figure,
        headline=headline,
        subtitle=with_gaps(subtitle, periods, words),
        alt=words.say("trend.alt", headline=headline, year=periods[-1], own=said[0][-1], rest=said[1][-1]),
        data=Table(
            caption=words.say("trend.caption"),
            columns=headings(
                words.say("column.year"), words.name, words.say("comparison"), words.say("column.difference")
            ),
            rows=year_rows(periods, [*said, [words.change(value) for value in gap]], words),
        ),
    )


def plot_effects(evaluation: Evaluation, *, outcome: str, subject: str, texts: Texts) -> Picture:
    """Draw the difference from the comparison areas by year, relative to the mean of the base years.

    Parameters
    ----------
    evaluation : Evaluation
    outcome : str
    subject : str
        Code of a treated district: its own line and the central 95 % of the same difference for single comparison
        areas, each against the other ones. Or "all": one line for each path.
    texts : Texts

    Returns
    -------
    Picture
        Differences in the outcome's unit. For a district the headline counts its full programme years within that
        range; for "all" it is the mean effect while treated.

    Raises
    ------
    DataError
        The outcome was not estimated.
    DesignError
        The subject is not treated or was left out, it has no full programme year yet, or there are too few
        comparison areas for a range.
    """
    effects, paths, chosen = entered(evaluation, outcome, subject)
    words = study_words(evaluation, outcome, subject, texts)
    if subject == ALL:
        return _effects_of_paths(words, evaluation, effects, paths)
    base = base_years(evaluation, effects, paths[0])
    return _effects_of_district(words, effects, paths[0], int(np.flatnonzero(chosen)[0]), base)


def _effects_of_district(
    words: Words, effects: Effects, path: Path, row: int, base: tuple[int, ...]
) -> Picture:
    mine = (effects.cells["group"] == effects.group[row]).to_numpy()
    periods = [int(period) for period in effects.cells.loc[mine, "period"]]
    full = (effects.cells.loc[mine, "phase"] == "on").to_numpy()
    changes, _ = unit_changes(effects)
    others = changes[np.ix_(effects.group == -1, mine)]
    if not full.any():
        raise DesignError(
            "The area has no full year in the programme with data yet.",
            where=effects.outcome,
            found=words.name,
        )
    if len(others) < 2:
        raise DesignError(
            "There are too few comparison areas for a range.", where=effects.outcome, found=str(len(others))
        )
    difference = changes[row, mine] - others.mean(axis=0)
    single = (
        (others - others.mean(axis=0)) * len(others) / (len(others) - 1)
    )  # each against the mean of the other ones
    low, high = np.quantile(single, [0.025, 0.975], axis=0)
    total, inside = int(full.sum()), int(np.sum((low <= difference) & (difference <= high) & full))
    case = ("one_inside" if inside else "one_outside") if total == 1 else "some" if inside else "none"
    headline = words.say(f"effects.{case}", inside=inside, total=total, year=int(np.array(periods)[full][0]))
    with style():
        limits = room(np.concatenate([difference, low, high, [0.0]]), above=0.2, below=0.16)
        figure, axes = year_axes(words, periods, *limits, unit=words.axis, right=MARGIN, sign=True)
        shade_years(axes, *programme_years([path], periods, words))
        axes.fill_between(periods, low, high, facecolor=PALE, edgecolor=MUTED, linewidth=0.6, zorder=1.2)
        axes.axhline(0, color=INK, linewidth=0.8, zorder=1.5)
        line = draw_line(axes, periods, difference, OWN, hollow=base)
        marked = mark_base(axes, base, words.say("effects.base", years=ranges(base)))
        fine = np.linspace(periods[0], periods[-1], 121)
        edges = [to_points(axes, fine, np.interp(fine, periods, edge)) for edge in (low, high)]
        zero = to_points(axes, fine, 0 * fine)
        band = np.vstack([*edges, zero])
        taken = name_lines(axes, [(words.name, OWN, line)], taken=np.vstack([band, marked]))
        place(
            axes,
            words.say("effects.band"),
            INK,
            near=band,
            clear=band,
            away=np.vstack([line, taken[len(band) :]]),
        )
    said = [[words.change(value) for value in values] for values in (difference, low, high)]
    subtitle = words.say("effects.subtitle_one", n=len(others), years=ranges(base))
    alt = words.say(
        "effects.alt_one",
        headline=headline,
        year=periods[-1],
        size=words.change(difference[-1], form="difference"),
        low=said[1][-1],
        high=said[2][-1],
    )
    names = ("difference", "low", "high")
    return words.picture(
        figure,
        headline=headline,
        subtitle=with_gaps(subtitle, periods, words),
        alt=alt,
        data=Table(
            caption=words.say("effects.caption"),
            columns=headings(words.say("column.year"), *(words.say(f"column.{name}") for name in names)),
            rows=year_rows(periods, said, words),
        ),
    )


def _effects_of_paths(
    words: Words, evaluation: Evaluation, effects: Effects, paths: Sequence[Path]
) -> Picture:
    overall = float(aggregate(effects, by="simple").weights[0] @ effects.cells["att"].to_numpy())
    case = "same" if words.is_zero(overall) else "higher" if overall > 0 else "lower"
    headline = words.say(f"effects.{case}", size=words.size(overall))
    lines = []
    for path in paths:
        group = evaluation.design.paths.index(path)
        cells = effects.cells.loc[effects.cells["group"] == group]
        att = cells["att"].to_numpy(dtype=float)
        span = spells_written(path.spells)
        lines.append(
            Line(
                name=words.say("effects.path", years=span, n=int(np.sum(effects.group == group))),
                heading=span,
                said=words.say("effects.path_text", years=span),
                periods=tuple(int(period) for period in cells["period"]),
                att=att,
                low=np.full(len(att), np.nan),
                high=np.full(len(att), np.nan),
                hollow=base_years(evaluation, effects, path),
                treated=programme_years([path], [int(period) for period in cells["period"]], words)[0],
            )
        )
    periods = sorted({period for line in lines for period in line.periods})
    return group_time_picture(
        words,
        lines,
        *programme_years(paths, periods, words),
        headline=headline,
        subtitle=words.say("effects.subtitle_all", n=int(np.sum(effects.group == -1))),
    )


def plot_finding(finding: Finding, *, evaluation: Evaluation, texts: Texts) -> Picture:
    """Draw what the test of a finding compared its estimate with; see `plot_rule_placebo` and `plot_placebo`.

    Parameters
    ----------
    finding : Finding
        Tested against the cities in which the rule was applied, or by permutation.
    evaluation : Evaluation
        The one that the finding comes from.
    texts : Texts

    Returns
    -------
    Picture

    Raises
    ------
    DesignError
        Nothing was tested, or by neither.
    """
    words = study_words(evaluation, finding.outcome, finding.subject, texts)
    if finding.placebo is not None:
        about = replace(
            words.about,
            subject=subject_name(evaluation, finding, texts),
            names={**words.about.names, **city_names(evaluation.study, texts.language)},
        )
        return rule_placebo_picture(finding.placebo, replace(words, about=about))
    if finding.inference is None:
        raise DesignError(
            "There are no alternatives to draw.",
            where=f"{finding.outcome}, {finding.subject}",
            found="nothing was tested",
        )
    return placebo_picture(finding.inference, words)


def plot_verdicts(
    evaluation: Evaluation, *, subject_order: Sequence[str], texts: Texts, outcome: str | None = None
) -> Picture:
    """Draw the estimates of one outcome with intervals and verdicts, one row for each subject.

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
    outcome = evaluation.study.plan.primary[0] if outcome is None else outcome
    estimated(evaluation, outcome)
    words = study_words(evaluation, outcome, ALL, texts)
    findings = [
        evaluation.findings[outcome, subject]
        for subject in subject_order
        if (outcome, subject) in evaluation.findings
    ]
    table = pd.DataFrame(
        [
            (
                subject_name(evaluation, finding, texts),
                *shown_interval(finding),
                finding.subject == ALL,
                verdict_word(words, finding),
            )
            for finding in findings
        ],
        columns=["name", "estimate", "low", "high", "whole", "remark"],
    )
    if table["estimate"].isna().all():
        raise DesignError(
            "No area can be assessed.", where=outcome, found=f"{len(findings)} findings without an estimate"
        )
    level = 100 * (1 - evaluation.study.plan.alpha)
    form = "_rule" if any(finding.placebo is not None for finding in findings) else ""
    return forest_picture(words, table, level=level, headline=_forest_headline(words, findings), form=form)


def shown_interval(finding: Finding) -> tuple[float, float, float]:
    """Estimate, low and high; no numbers where the design cannot say anything."""
    result = finding.inference
    if result is None or not result.identifiable or result.low is None or result.high is None:
        return (np.nan, np.nan, np.nan)
    return result.estimate, result.low, result.high


def verdict_word(words: Words, finding: Finding) -> str:
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
                    words.say("forest.count", verdict=lower_first(verdict_word(words, same[0])), n=len(same)),
                )
            )
    parts = []
    if whole:
        parts.append(words.say("forest.whole", verdict=lower_first(verdict_word(words, whole[0]))))
    if counts:
        ordered = [text for _, text in sorted(counts, key=lambda count: -count[0])]
        parts.append(words.say("forest.single", counts=words.texts.join(ordered)))
    return words.say("forest.headline", parts="; ".join(parts))


def _gap(words: Words, value: float, form: str) -> str:
    case = "level" if words.is_zero(value) else "above" if value > 0 else "below"
    return words.say(f"trend.{case}{form}", size=words.size(value))


def programme_years(paths: Sequence[Path], periods: Sequence[int], words: Words) -> tuple[list[int], str]:
    """The years in which any of the paths was in the programme, and how they are named."""
    years = sorted({year for path in paths for first, last in path.spells for year in range(first, last + 1)})
    years = [year for year in years if periods[0] <= year <= periods[-1]]
    if not years:
        return [], ""
    span = spells_written(paths[0].spells) if len(paths) == 1 else f"{years[0]}\N{EN DASH}{years[-1]}"
    return years, words.say("programme", years=span)


def estimated(evaluation: Evaluation, outcome: str) -> Effects:
    """The effects of an outcome, or a `DataError` that says why there are none."""
    if outcome in evaluation.effects:
        return evaluation.effects[outcome]
    reasons = {
        str(finding.facts.get("message", finding.because))
        for (name, _), finding in evaluation.findings.items()
        if name == outcome
    }
    if reasons:
        raise DataError(
            "The outcome could not be estimated.", where=outcome, found="; ".join(sorted(reasons))
        )
    raise DataError(
        "The outcome is not in the plan.", found=repr(outcome), expected=closest(outcome, evaluation.effects)
    )


def entered(
    evaluation: Evaluation, outcome: str, subject: str
) -> tuple[Effects, tuple[Path, ...], npt.NDArray[np.bool_]]:
    """Effects of an outcome, the subject's paths in them, and which of the units are the subject.

    Raises
    ------
    DataError
        The outcome was not estimated.
    DesignError
        The subject is not treated, or was left out for want of data.
    """
    effects, design = estimated(evaluation, outcome), evaluation.design
    if subject == ALL:
        paths = tuple(path for index, path in enumerate(design.paths) if np.any(effects.group == index))
        return effects, paths, effects.group >= 0
    path = design.path_of(subject)
    if subject not in effects.units:
        reasons = [f"{reason} in {period}" for unit, reason, period in effects.dropped if unit == subject]
        raise DesignError(
            "The area was left out of the estimation.",
            where=f"{outcome}, {subject}",
            found="; ".join(reasons),
        )
    return effects, (path,), np.array(effects.units) == subject


def base_years(evaluation: Evaluation, effects: Effects, path: Path) -> tuple[int, ...]:
    """The years that the changes of a path start from."""
    cells = effects.cells.loc[effects.cells["group"] == evaluation.design.paths.index(path), "base"]
    return tuple(int(year) for year in str(cells.iloc[-1]).split(", "))
