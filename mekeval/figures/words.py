"""How a picture speaks: of which outcome, in which unit and language, about whom, from which source.

In: `About`, or an evaluation and its texts. Out: `Words`. Never: a word that the texts of the language do not have.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from matplotlib.figure import Figure

from ..errors import DesignError, closest
from ..estimate.shown import digits_for
from ..panel import Floats
from ..tables import Table
from ..text import DIGITS, Texts, visible
from .picture import Picture

UNITS = ("plain", "percent", "eur", "persons", "number", "m2", "index", "log")


@dataclass(frozen=True, kw_only=True)
class About:
    """What the numbers of a picture are, for its words; all of it may be left out.

    Attributes
    ----------
    outcome : str
        Name of the outcome, as a reader knows it; by default what the estimates call it.
    unit : str
        One of `UNITS`.
    subject : str
        Who was treated; by default "the treated".
    names : mapping of str to str
        Names of units by their codes; a code without one is shown itself.
    source : str
        Where the data come from.
    synthetic : bool
        Whether the data are made up; the picture then says so.
    decimals : int or None
        Digits after the decimal sign; by default what suits the unit, of a plain number two digits of its error.
    groups_of : str
        What the references of a rule placebo are groups of, such as "36 neighbouring postal areas", where they are no
        cities.
    """

    outcome: str = ""
    unit: str = "plain"
    subject: str = ""
    names: Mapping[str, str] = field(default_factory=dict)
    source: str = ""
    synthetic: bool = False
    decimals: int | None = None
    groups_of: str = ""


def words_for(
    texts: Texts | None,
    about: About | None,
    *,
    outcome: str = "",
    estimates: Floats | None = None,
    errors: Floats | None = None,
) -> Words:
    """The words of a picture, with what the caller left out filled in.

    Parameters
    ----------
    texts : Texts, optional
        English by default.
    about : About, optional
    outcome : str
        What the estimates call their outcome.
    estimates, errors : array, optional
        By them a plain number gets its digits.

    Raises
    ------
    DesignError
        The unit is unknown.
    """
    texts, about = texts or Texts("en"), about or About()
    if about.unit not in UNITS:
        raise DesignError(
            "Unknown unit.", where="about.unit", found=repr(about.unit), expected=closest(about.unit, UNITS)
        )
    numbers = np.zeros(0) if estimates is None else estimates
    digits = digits_for(numbers, np.zeros(0) if errors is None else errors)
    return Words(
        texts=texts,
        about=replace(
            about,
            outcome=visible(about.outcome or outcome or texts("figure.outcome")),
            subject=visible(about.subject),
            source=visible(about.source),
        ),
        decimals=DIGITS.get(about.unit, digits) if about.decimals is None else about.decimals,
    )


@dataclass(frozen=True, kw_only=True)
class Words:
    """How one outcome and one subject are written in a language.

    Attributes
    ----------
    texts : Texts
    about : About
    decimals : int
        Digits after the decimal sign.
    """

    texts: Texts
    about: About
    decimals: int

    @property
    def unit(self) -> str:
        """Unit of the outcome."""
        return self.about.unit

    @property
    def label(self) -> str:
        """Name of the outcome."""
        return self.about.outcome

    @property
    def name(self) -> str:
        """Name of the subject."""
        return self.about.subject or self.texts("figure.treated")

    @property
    def axis(self) -> str:
        """Unit of a difference, in a word."""
        return self.texts(f"figure.axis.difference.{self.unit}")

    def area(self, code: str) -> str:
        """Name of an area."""
        return visible(" ".join(self.about.names.get(code, code).split()))

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

    def interval(self, low: float, high: float) -> str:
        """An interval of a difference; empty where it has no ends."""
        if not np.isfinite([low, high]).all():
            return ""
        return self.say("column.class", low=self.change(low), high=self.change(high))

    def percent(self, share: float) -> str:
        """A share as a whole number of per cent."""
        return self.texts("unit.percent.level", number=self.texts.number(100 * share))

    def most(self, share: float) -> str:
        """A share as a whole number of per cent, but never all or nothing where some draws say otherwise."""
        if 0 < share < 0.005 or 0.995 <= share < 1:
            case, bound = ("under", 0.01) if share < 0.5 else ("over", 0.99)
            return self.say(f"share.{case}", bound=self.percent(bound))
        return self.percent(share)

    def p_value(self, value: float, *, floor: bool = False) -> str:
        """A p-value for a sentence; "at most" where it stands at the least that the method can tell apart."""
        number = self.texts.number(value, 3 if value < 0.1 else 2)
        return self.texts("number.at_most", number=number) if floor else number

    def is_zero(self, value: float) -> bool:
        """Whether a difference is written as zero."""
        return self.size(value) == self.size(0.0)

    def picture(self, figure: Figure, *, headline: str, subtitle: str, alt: str, data: Table) -> Picture:
        """The picture, with the source of its data."""
        source = self.about.source
        if self.about.synthetic and self.say("mark").casefold() not in source.casefold():
            source = f"{source} {self.say('synthetic')}".strip()
        return Picture(
            figure=figure,
            headline=headline,
            subtitle=subtitle,
            alt=alt,
            source=self.say("source", source=source) if source else "",
            data=data,
            details=self.say("data"),
            download=self.say("download"),
            file=f"{self.label} {self.about.subject} {data.caption}",
        )


def lower_first(text: str) -> str:
    """A text for the middle of a sentence; an abbreviation keeps its capital.

    Examples
    --------
    >>> lower_first("Unemployment rate"), lower_first("EU citizens")
    ('unemployment rate', 'EU citizens')
    """
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]
