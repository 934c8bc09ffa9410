"""What a check found, drawn as its table asks for it.

In: a `Check`. Out: `Picture`. Never: estimates in different units on one axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from ..errors import DesignError
from ..evaluation import Evaluation
from ..findings import Finding
from ..inference import Inference
from ..panel import Floats
from ..sensitivity import Check
from ..tables import Column, Table
from ..text import Texts
from .axes import text_size
from .elsewhere import city_names, subject_name
from .picture import Picture, headings
from .spread import forest_figure, histogram
from .study import study_words
from .words import About, Words, lower_first, words_for

#: More variants than this are not drawn: those that speak most against the result are.
MOST_ROWS = 12
_BINS = 15
#: Points.
_NAME_WIDTH = 250.0
_ANSWERS = {True: "passed", False: "failed", None: "open"}
#: What the rows of a check are called, where it is no name of their own.
_ROWS = {
    "left_out": "without",
    "comparison": "against",
    "form": "measured",
    "years": "before",
    "units": "bordering",
}


@dataclass(frozen=True, kw_only=True)
class _Row:
    """One row of a picture: numbers as drawn, NaN where there is none; `whole` is the result itself."""

    name: str
    estimate: float
    low: float = np.nan
    high: float = np.nan
    alpha: float = np.nan
    remark: str = ""
    whole: bool = False


def plot_check(
    check: Check,
    whole: Inference | None = None,
    *,
    said: str = "",
    texts: Texts | None = None,
    about: About | None = None,
) -> Picture:
    """Draw what a check found.

    Parameters
    ----------
    check : Check
    whole : Inference, optional
        The result that was checked; it is then drawn above its variants.
    said : str
        What was found in a sentence, for the subtitle, such as reports have it.
    texts : Texts, optional
        English by default.
    about : About, optional
        Name and unit of the outcome, names of the units, source of the data.

    Returns
    -------
    Picture
        By `Check.figure`. "variants" and "quiet": estimates with intervals, in the outcome's unit (of a trend, a year).
        "growth": per cent. "forms": each estimate in units of half its interval, as logarithms and ranks share no axis.
        "breakdown": the interval at each size of the deviation. "cities": how much the same rule changed elsewhere. Of
        more than twelve variants those that speak most against the result are drawn; the numbers are of all.

    Raises
    ------
    DesignError
        There is nothing to draw: the check was not made, or has no numbers.

    Examples
    --------
    >>> import pandas as pd
    >>> from mekeval.sensitivity import Check
    >>> table = pd.DataFrame({"left_out": ["2019", "2020"], "estimate": [1.0, 1.4], "low": [0.2, 0.5], "high": 2.3})
    >>> check = Check(name="one_year", passed=True, reason="steady", facts={}, table=table)
    >>> plot_check(check, about=About(outcome="Rate", unit="percent")).headline
    'Rate, each year left out in turn: holds.'
    """
    numbers = _numbers(check.table)
    words = words_for(texts, about, estimates=numbers[:, 0], errors=(numbers[:, 2] - numbers[:, 1]) / 4)
    return check_picture(check, whole, words, said=said)


def plot_deciding(finding: Finding, *, evaluation: Evaluation, texts: Texts, said: str = "") -> Picture:
    """Draw the check that decided a finding.

    Parameters
    ----------
    finding : Finding
    evaluation : Evaluation
        The one that the finding comes from.
    texts : Texts
    said : str
        What the check found, in a sentence.

    Raises
    ------
    DesignError
        No check decided, or it has nothing to draw.
    """
    deciding = [check for check in finding.checks if check.name == finding.because]
    if not deciding:
        raise DesignError(
            "No check decided.", where=f"{finding.outcome}, {finding.subject}", found=finding.because
        )
    words = study_words(evaluation, finding.outcome, finding.subject, texts)
    names = {**words.about.names, **city_names(evaluation.study, texts.language)}
    about = replace(words.about, subject=subject_name(evaluation, finding, texts), names=names)
    return check_picture(deciding[0], finding.inference, replace(words, about=about), said=said)


def check_picture(check: Check, whole: Inference | None, words: Words, *, said: str = "") -> Picture:
    """What a check found in the words given; see `plot_check`."""
    if check.figure is None or check.table.empty:
        raise DesignError(
            "This check has nothing to draw.",
            where=check.name,
            found=f"reason {check.reason!r}, {len(check.table)} rows",
            expected="a check with estimates",
        )
    numbers = _numbers(check.table)
    if check.figure in ("growth", "forms"):  # of these the outcome's unit says nothing
        words = replace(words, about=replace(words.about, unit="plain"), decimals=1)
    parts = {
        "outcome": words.label,
        "check": lower_first(
            words.texts(f"check.{check.name}") if f"check.{check.name}" in words.texts else check.name
        ),
        "answer": lower_first(words.texts(f"check.{_ANSWERS[check.passed]}")),
    }
    headline = words.texts("check.figure.headline", **parts)
    caption = words.texts("check.figure.caption", **parts)
    key = f"check.question.{check.name}"
    question = words.texts(key) if key in words.texts else check.question
    if check.figure == "cities":
        return _cities(check, words, headline=headline, caption=caption, question=question, said=said)
    rows = [*_whole(check, whole, words), *_rows(check, numbers, words)]
    drawn = _against(rows)
    subtitle = _subtitle(words, rows, question)
    if len(drawn) < len(rows):
        n, m = (sum(not row.whole for row in some) for some in (drawn, rows))
        subtitle += " " + words.texts("check.figure.weakest", n=n, m=m)
    if check.figure == "quiet" and "detectable" in check.facts:
        size = words.size(float(check.facts["detectable"]))
        subtitle += " " + words.texts("check.figure.heard", size=size)
    if check.figure == "forms":
        subtitle += " " + words.texts("check.figure.scaled")
    axis = {"growth": "axis_growth", "forms": "axis_scaled"}.get(
        check.figure, "axis_year" if check.name == "pre_trend" else "axis"
    )
    several = len({row.alpha for row in drawn if np.isfinite(row.alpha)}) > 1
    levels = [_level(words, row) if several else "" for row in drawn]
    shown = [
        {**vars(row), "name": _fitting(row.name), "remark": row.remark or level}
        for row, level in zip(drawn, levels, strict=True)
    ]
    frame = pd.DataFrame(shown)
    figure = forest_figure(
        words, frame, list(frame["remark"]), words.texts(f"check.figure.{axis}", unit=words.axis)
    )
    return words.picture(
        figure,
        headline=headline,
        subtitle=f"{subtitle} {said}".strip(),
        alt=words.texts(
            "check.figure.alt",
            headline=headline,
            parts="; ".join(_part(words, row) for row in drawn).rstrip("."),
        ),
        data=_data(words, rows, caption),
    )


def _numbers(table: pd.DataFrame) -> Floats:
    """Estimate, ends of the interval and its level, shape (n_rows, 4); NaN where there is none."""
    columns = [
        table[name].to_numpy(dtype=float, na_value=np.nan)
        if name in table.columns
        else np.full(len(table), np.nan)
        for name in ("estimate", "low", "high", "alpha")
    ]
    return np.column_stack(columns)


def _whole(check: Check, whole: Inference | None, words: Words) -> list[_Row]:
    """The result itself, where it is in the same unit."""
    if whole is None or check.figure in ("growth", "forms", "breakdown") or check.name == "pre_trend":
        return []
    low, high = (np.nan if end is None else end for end in (whole.low, whole.high))
    name = words.texts("check.figure.whole")
    return [_Row(name=name, estimate=whole.estimate, low=low, high=high, alpha=whole.alpha, whole=True)]


def _rows(check: Check, numbers: Floats, words: Words) -> list[_Row]:
    """The rows of a check's table, as drawn."""
    say = words.texts
    if check.figure == "breakdown":
        return [
            _Row(
                name=say("check.figure.parallel")
                if pd.isna(m)
                else say("check.figure.mbar", m=say.short(float(m))),
                estimate=np.nan,
                low=low,
                high=high,
            )
            for m, (_, low, high, _) in zip(check.table["m"], numbers, strict=True)
        ]
    if check.figure == "growth":
        numbers = np.column_stack([100 * np.expm1(numbers[:, :3]), numbers[:, 3]])
    if check.figure == "forms":
        half = (numbers[:, 2] - numbers[:, 1]) / 2
        scaled = np.divide(
            numbers[:, :3], half[:, None], out=np.full((len(half), 3), np.nan), where=half[:, None] > 0
        )
        numbers = np.column_stack([scaled, numbers[:, 3]])
    rows = [
        _Row(
            name=_name(check, str(label), words),
            estimate=estimate,
            low=low,
            high=high,
            alpha=alpha,
            remark="" if np.isfinite(estimate) else say("check.figure.unanswered"),
        )
        for label, (estimate, low, high, alpha) in zip(check.table.iloc[:, 0], numbers, strict=True)
    ]
    if "explaining" in check.facts:
        rows.append(_Row(name=say("check.figure.explaining"), estimate=float(check.facts["explaining"])))
    return rows


def _name(check: Check, label: str, words: Words) -> str:
    """What a row is called: a form or a pool in words, areas by their names, years with a dash."""
    say, column = words.texts, str(check.table.columns[0])
    if check.figure == "growth":
        return say("check.figure.dwellings" if check.name == "housing" else "check.figure.population")
    key = f"check.variant.{label}"
    named = say(key) if key in say else ", ".join(words.area(part) for part in label.split(", "))
    if column == "years":
        named = named.replace("-", "\N{EN DASH}")
        return say(
            "check.figure.a_year" if check.name == "pre_trend" else "check.figure.before", variant=named
        )
    row = _ROWS.get(column)
    return say(f"check.figure.{row}", variant=named) if row else named


def _against(rows: Sequence[_Row]) -> list[_Row]:
    """The rows to draw: all, or the result and those variants that speak most against it."""
    variants = [row for row in rows if not row.whole]
    if len(variants) <= MOST_ROWS:
        return list(rows)
    wholes = [row for row in rows if row.whole]
    known = [row.estimate for row in (wholes or variants) if np.isfinite(row.estimate)]
    side = -1.0 if known and float(np.median(known)) < 0 else 1.0
    order = sorted(variants, key=lambda row: (np.isfinite(row.estimate), side * row.estimate, row.name))
    return [*wholes, *order[:MOST_ROWS]]


def _subtitle(words: Words, rows: Sequence[_Row], question: str) -> str:
    levels = {round(100 * (1 - row.alpha), 6) for row in rows if np.isfinite(row.alpha)}
    if len(levels) == 1:
        return words.texts(
            "check.figure.with_intervals", question=question, level=words.texts.short(levels.pop())
        )
    return words.texts("check.figure.levels" if levels else "check.figure.intervals", question=question)


def _level(words: Words, row: _Row) -> str:
    """The level of an interval; empty where there is none."""
    if not np.isfinite(row.alpha):
        return ""
    return words.texts("check.figure.level", level=words.texts.short(round(100 * (1 - row.alpha), 6)))


def _fitting(name: str) -> str:
    """As much of a long name as has room beside a remark."""
    if text_size(name)[0] <= _NAME_WIDTH:
        return name
    length = next(n for n in range(len(name), -1, -1) if text_size(name[:n])[0] <= _NAME_WIDTH)
    return f"{name[:length].rstrip(', ')}\N{HORIZONTAL ELLIPSIS}"


def _part(words: Words, row: _Row) -> str:
    """A row in words."""
    interval = words.interval(row.low, row.high)
    estimate = words.change(row.estimate) if np.isfinite(row.estimate) else ""
    if not estimate:
        return f"{row.name}: {interval or row.remark}"
    if not interval:
        return words.texts("check.figure.part", name=row.name, estimate=estimate)
    return words.texts("check.figure.part_interval", name=row.name, estimate=estimate, interval=interval)


def _data(words: Words, rows: Sequence[_Row], caption: str) -> Table:
    levels = {row.alpha for row in rows if np.isfinite(row.alpha)}
    shown = []
    for row in rows:
        interval = words.interval(row.low, row.high)
        if interval and len(levels) > 1 and np.isfinite(row.alpha):
            interval = f"{interval} ({_level(words, row)})"
        estimate = words.change(row.estimate) if np.isfinite(row.estimate) else ""
        shown.append((row.name, estimate, interval, row.remark))
    level = words.texts.short(round(100 * (1 - min(levels)), 6)) if levels else "95"
    columns = (
        *headings(
            words.texts("check.figure.column"),
            words.say("column.estimate"),
            words.say("column.interval", level=level),
        ),
        Column(label=words.texts("check.figure.remark")),
    )
    width = len(columns) if any(row.remark for row in rows) else len(columns) - 1
    return Table(caption=caption, columns=columns[:width], rows=tuple(row[:width] for row in shown))


def _cities(check: Check, words: Words, *, headline: str, caption: str, question: str, said: str) -> Picture:
    """How much areas elsewhere changed, and where the target lies among them."""
    estimates = check.table["estimate"].to_numpy(dtype=float)
    here, bias = float(check.facts["plain"]), float(check.facts["bias"])
    far = np.zeros(len(estimates), dtype=bool)
    far[
        np.argsort(-check.table["residual"].abs().to_numpy(dtype=float), kind="stable")[
            : int(check.facts["n_as_large"])
        ]
    ] = True
    reach = 1.0001 * float(np.max(np.abs([*estimates, here]))) or 1.0
    edges = np.linspace(-reach, reach, _BINS + 1)
    inner, outer = (np.histogram(part, edges)[0].astype(float) for part in (estimates[~far], estimates[far]))
    unit = words.texts("check.figure.cities_unit")
    low, high = (words.change(float(end)) for end in (estimates.min(), estimates.max()))
    rows = tuple(
        (str(name), words.change(float(estimate)))
        for name, estimate in zip(check.table["name"], estimates, strict=True)
    )
    subtitle = words.texts("check.figure.cities", question=question)
    return words.picture(
        histogram(words, here, edges, inner, outer, unit=unit, whole=True),
        headline=headline,
        subtitle=f"{subtitle} {said}".strip(),
        alt=words.texts(
            "check.figure.cities_alt",
            headline=headline,
            here=words.change(here),
            low=low,
            high=high,
            bias=words.change(bias),
        ),
        data=Table(
            caption=caption,
            columns=headings(words.texts("check.figure.column"), words.say("column.estimate")),
            rows=rows,
        ),
    )
