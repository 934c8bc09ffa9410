"""What every picture has: its words, its numbers, its source, and the style it is drawn in."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from ..design import Path
from ..errors import DataError, DesignError, closest
from ..estimate import Effects
from ..evaluation import ALL, Evaluation
from ..tables import Column, Table
from ..text import Texts

#: Inches. Narrow, so that its words can still be read where a telephone shrinks the picture.
WIDTH = 4.6
#: CSS pixels at which a page shows a picture where it has the room.
_SHOWN_WIDTH = 552
INK, MUTED, GRID, SHADE, BAND = "#1c2127", "#545d68", "#dfe3e8", "#e6f0f8", "#c3c9d0"
BLUE, VERMILION, GREEN, PURPLE = (
    "#0072b2",
    "#d55e00",
    "#007a5a",
    "#9a4f7d",
)  # Okabe and Ito; the last two darker
TEXT = 9.0
"""Size of the words in a picture, in points."""
_TAKEN = (
    "axes.",
    "figure.",
    "font.",
    "hatch.",
    "lines.",
    "patch.",
    "path.",
    "savefig.",
    "svg.",
    "text.",
    "xtick.",
    "ytick.",
)


@contextmanager
def style() -> Iterator[None]:
    """Draw in our style on matplotlib's own defaults, whatever the reader has set, and leave his settings alone."""
    with matplotlib.rc_context():
        for name, value in matplotlib.rcParamsDefault.items():
            if name.startswith(_TAKEN):
                matplotlib.rcParams[name] = value
        matplotlib.rcParams.update(
            {
                "font.family": "DejaVu Sans",
                "font.size": TEXT,
                "text.parse_math": False,
                "text.color": INK,
                "axes.edgecolor": MUTED,
                "hatch.linewidth": 0.8,
                "svg.fonttype": "path",
                "svg.hashsalt": "mekeval",
                "figure.dpi": 72.0,  # a pixel is a point: words can be measured against places in the axes
                "savefig.facecolor": "white",
            }
        )
        yield


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A figure with everything that a reader needs beside it; in a notebook it shows itself.

    Attributes
    ----------
    figure : matplotlib.figure.Figure
        `WIDTH` inches wide, without a title: the headline stands under it.
    headline : str
        The finding in one sentence.
    subtitle : str
        What is drawn.
    alt : str
        The finding and its key numbers, for those who do not see the picture.
    source : str
        Where the data come from; it says so where they are synthetic.
    data : Table
        The numbers behind the picture.
    details : str
        What the fold-out with the numbers is called; the caption of `data` when empty.
    """

    figure: Figure
    headline: str
    subtitle: str
    alt: str
    source: str
    data: Table
    details: str = ""

    def svg(self) -> bytes:
        """The figure as SVG, the same bytes for the same figure; words are drawn as paths."""
        stream = io.BytesIO()
        metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        with style():
            self.figure.savefig(stream, format="svg", metadata=metadata)
        drawn = stream.getvalue().decode("utf-8")
        return _compact(drawn[drawn.index("<svg") :]).encode("utf-8")

    def _repr_html_(self) -> str:
        width, height = self.figure.get_size_inches()
        return (
            f'<figure>\n<img alt="{escape(self.alt)}" width="{_SHOWN_WIDTH}" '
            f'height="{round(_SHOWN_WIDTH * height / width)}" '
            f'src="data:image/svg+xml;base64,{base64.b64encode(self.svg()).decode("ascii")}">\n'
            f"<figcaption><strong>{escape(self.headline)}</strong>\n{escape(self.subtitle)}<br>\n"
            f'<span class="note">{escape(self.source)}</span></figcaption>\n'
            f"<details><summary>{escape(self.details or self.data.caption)}</summary>\n"
            f"{self.data._repr_html_()}\n</details>\n</figure>"
        )


def _compact(svg: str) -> str:
    """The same picture in fewer characters: no comments, line breaks or long names, places to a tenth of a unit."""
    svg = re.sub(r"\s*<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r"\n\s*", "", svg).replace("DejaVuSans-", "g-")
    svg = re.sub(r'<g id="[^"]*">', "<g>", svg)
    return re.sub(r'(<use xlink:href="[^"]+" transform="translate\(\d+(?:\.\d)?)\d* 0\)', r"\1)", svg)


@dataclass(frozen=True, kw_only=True)
class Words:
    """How one outcome and one subject are written in a language.

    Attributes
    ----------
    evaluation : Evaluation
    outcome : str
    subject : str
        Code of an area, or "all".
    texts : Texts
    """

    evaluation: Evaluation
    outcome: str
    subject: str
    texts: Texts

    @property
    def unit(self) -> str:
        """Unit of the outcome."""
        return self.evaluation.study.indicator(self.outcome).unit

    @property
    def label(self) -> str:
        """Name of the outcome."""
        return self.evaluation.study.indicator(self.outcome).label.text(self.texts.language)

    @property
    def name(self) -> str:
        """Name of the subject."""
        return self.area(self.subject)

    @property
    def decimals(self) -> int:
        """Digits after the decimal sign."""
        return 0 if self.unit in ("eur", "persons") else 1

    @property
    def axis(self) -> str:
        """Unit of a difference, in a word."""
        return self.texts(f"figure.axis.difference.{self.unit}")

    def area(self, subject: str) -> str:
        """Name of an area, or of all programme areas."""
        if subject == ALL:
            return self.texts("figure.all")
        return " ".join(self.evaluation.study.areas.name(subject, self.texts.language).split())

    def say(self, key: str, **parts: object) -> str:
        """A text of the section for pictures; it may name the subject and the outcome."""
        names = {"subject": self.name, "outcome": self.label, "outcome_lower": lower_first(self.label)}
        return self.texts(f"figure.{key}", **{**names, **parts})

    def level(self, value: float) -> str:
        """A level with its unit."""
        return self.texts(f"unit.{self.unit}.level", number=self.texts.number(value, self.decimals))

    def size(self, value: float) -> str:
        """The size of a difference with its unit, without a sign."""
        return self.texts(f"unit.{self.unit}.difference", number=self.texts.number(abs(value), self.decimals))

    def change(self, value: float, *, form: str = "short") -> str:
        """A difference with sign and unit, in a `form` of the texts: "short" or "difference"."""
        return self.texts(
            f"unit.{self.unit}.{form}", number=self.texts.number(value, self.decimals, sign=True)
        )

    def is_zero(self, value: float) -> bool:
        """Whether a difference is written as zero."""
        return self.size(value) == self.size(0.0)

    def picture(self, figure: Figure, *, headline: str, subtitle: str, alt: str, data: Table) -> Picture:
        """The picture, with the study's source."""
        about = self.evaluation.study.spec.study
        source = about.attribution.text(self.texts.language)
        if about.synthetic and self.say("mark").casefold() not in source.casefold():
            source = f"{source} {self.say('synthetic')}"
        return Picture(
            figure=figure,
            headline=headline,
            subtitle=subtitle,
            alt=alt,
            source=self.say("source", source=source),
            data=data,
            details=self.say("data"),
        )


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


def lower_first(text: str) -> str:
    """A text for the middle of a sentence; an abbreviation keeps its capital.

    Examples
    --------
    >>> lower_first("Unemployment rate"), lower_first("EU citizens")
    ('unemployment rate', 'EU citizens')
    """
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]


def ranges(years: Sequence[int]) -> str:
    """Years as a reader writes them.

    Examples
    --------
    >>> ranges([2012, 2013, 2014, 2018])
    '2012–2014, 2018'
    """
    runs: list[list[int]] = []
    for year in sorted(years):
        if runs and year == runs[-1][-1] + 1:
            runs[-1].append(year)
        else:
            runs.append([year])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}\N{EN DASH}{run[-1]}" for run in runs)


def spells(path: Path) -> str:
    """The years of a path in the programme."""
    return ", ".join(
        str(first) if first == last else f"{first}\N{EN DASH}{last}" for first, last in path.spells
    )


def headings(first: str, *numbers: str) -> tuple[Column, ...]:
    """Columns of a table whose first one names the row and whose others hold numbers."""
    return (Column(label=first), *(Column(label=label, numeric=True) for label in numbers))
