"""The schema of `study.toml`, the part that speaks of data: items, indicators, sources; and the words of all tables.

In: tables of TOML. Out: parts of `StudySpec`. Never: a look at the data.

The text below a key is what `docs/study.md` says of it.
"""

from __future__ import annotations

import datetime
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    model_validator,
)

from ..definition import LANGUAGES
from ..definition import Language as Language
from ..errors import StudyError
from .formula import checked, split_formula, terms

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=80)]
Year = Annotated[int, Field(strict=True, ge=1900, le=2200)]
Day = Annotated[datetime.date, Field(strict=True)]
Text = Annotated[str, StringConstraints(pattern=r"\S")]
#: A whole number that fits the machine's own, as whatever is written or seeded with it expects.
Whole = Annotated[int, Field(strict=True, le=2**63 - 1)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Unit = Literal["percent", "eur", "persons", "number", "m2", "index", "log"]


class StudyTable(BaseModel):
    """A table of `study.toml`: a key that it does not know is a fault."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Words(StudyTable):
    """One text, in each of the languages that the study speaks."""

    fi: str = ""
    "Finnish."
    sv: str = ""
    "Swedish."
    en: str = ""
    "English."

    @property
    def own(self) -> str:
        """The text in the first language that it is there in, in the order of `LANGUAGES`: a name that all share."""
        return next((str(getattr(self, one)) for one in LANGUAGES if self.has(one)), "")

    def text(self, language: str) -> str:
        """The text in a language; where the study does not give it, an error and no other language."""
        if not self.has(language):
            raise StudyError(
                "A text of the study is missing in this language.",
                where="study.toml",
                found=f"{self.own[:80]!r}, nothing in {language!r}",
                fix="Write the text in this language beside the others.",
            )
        return str(getattr(self, language))

    def has(self, language: str) -> bool:
        """Whether the text is there in a language."""
        return bool(str(getattr(self, language)).strip())


class Spelling(StudyTable):
    """A label that an item has only in some releases."""

    text: Text
    "The label."
    first: Year | None = None
    "First release that uses it, by its `vintage`."
    last: Year | None = None
    "Last release that uses it, inclusive."


def _kind_of_label(label: object) -> str:
    return "<text>" if isinstance(label, str) else "<spelling>"


Label = Annotated[
    Annotated[Text, Tag("<text>")] | Annotated[Spelling, Tag("<spelling>")], Discriminator(_kind_of_label)
]


class Item(StudyTable):
    """`[[item]]`: a raw quantity with every spelling that its sources use."""

    name: Name
    "Its name in this study."
    labels: Annotated[tuple[Label, ...], Field(min_length=1, max_length=1000)]
    """What the files call it: texts, or `{ text, first, last }` where the same words mean something else in other
    releases. Case and doubled spaces do not matter; a year is left out (`Employed (PT)` for `Employed, 2015 (PT)`)."""

    def spellings(self, vintage: int) -> tuple[str, ...]:
        """The labels that a release of this year may use."""
        return tuple(
            label if isinstance(label, str) else label.text
            for label in self.labels
            if isinstance(label, str) or (label.first or vintage) <= vintage <= (label.last or vintage)
        )


class IndicatorSpec(StudyTable):
    """`[[indicator]]`: a rate from sums of items, or one item as it is with the base that stands behind it.

    Either `formula`, or `numerator` and `denominator`, or `value` and `base`. A sum is written with plus and minus
    signs: "adults - educated".
    """

    name: Name
    "Its name in this study and in every output."
    label: Words
    "What reports call it."
    higher_is: Literal["better", "worse", "neutral"]
    "Its direction; what is neutral is shown and not judged."
    unit: Unit
    "What it is measured in; a rate is 100 times numerator over denominator."
    numerator: str = ""
    "Sum of items above the line."
    denominator: str = ""
    "Sum of items below the line: the persons behind the rate."
    value: str = ""
    "Sum of items that is the value itself, such as a median income."
    base: str = ""
    "Sum of items that counts the persons (households, dwellings) behind a value."
    note: Words | None = None
    "A break in the definition, say; shown beside every verdict on it."
    plausible: tuple[Number, Number] | None = None
    "Lowest and highest value that is believed; what lies outside is reported and not used."
    formula: Annotated[str, AfterValidator(checked)] = ""
    """Numerator and denominator in one line, "unemployed / (unemployed + employed)"; without a line it is the value,
    and needs a base."""
    otherwise: Annotated[str, AfterValidator(checked)] = ""
    """The same quantity from other items, written as a formula: for the years in which no source gives all items of the
    first. The log names the years."""
    breaks: Annotated[tuple[Year, ...], Field(max_length=100)] = ()
    "First year of each new definition: a comparison across one compares two definitions."
    criterion: str = ""
    "The criterion of a programme that it is, by definition."
    proxy_for: str = ""
    "The criterion that it stands in for, where that cannot be had."
    differs: Words | None = None
    "How it differs from that criterion."
    minimum_base: Annotated[Whole, Field(ge=1)] | None = None
    "A higher limit than the study's for the people behind it; never a lower one."

    @model_validator(mode="before")
    @classmethod
    def _from_formula(cls, given: object) -> object:
        """Numerator and denominator from a formula, so that nothing else needs to know of it."""
        if not isinstance(given, dict) or any(
            given.get(key) for key in ("numerator", "denominator", "value")
        ):
            return given  # both are given: `consistency` compares them
        try:
            top, bottom = split_formula(given["formula"])
        except (KeyError, TypeError, ValueError, AttributeError):
            return given  # its own check says what is wrong
        return {**given, "numerator": top, "denominator": bottom} if bottom else {**given, "value": top}

    @property
    def items(self) -> tuple[str, ...]:
        """Names of the items it is made of."""
        parts = (self.numerator, self.denominator, self.value, self.base)
        return tuple(dict.fromkeys(name for part in parts if part for name in terms(part)))

    @property
    def by_otherwise(self) -> IndicatorSpec | None:
        """The same indicator by its other formula, where it has one."""
        if not self.otherwise:
            return None
        top, bottom = split_formula(self.otherwise)
        sums = {"numerator": top, "denominator": bottom} if bottom else {"value": top}
        return self.model_copy(update={"formula": "", "otherwise": "", **sums})

    @property
    def bases(self) -> tuple[str, ...]:
        """Names of the items that count the persons behind it, by either formula."""
        ways = (self, self.by_otherwise or self)
        return tuple(dict.fromkeys(name for one in ways for name in terms(one.denominator or one.base)))


class FetchSpec(StudyTable):
    """`[source.fetch]`: where a raw file is downloaded from, and which part of the table."""

    service: Literal["pxweb", "sotkanet"]
    "The kind of server."
    url: Annotated[str, StringConstraints(pattern=r"^https?://[^\s/@]+/[^\s?#]*$")]
    "The address of the table (PxWeb) or of the service (Sotkanet)."
    select: Annotated[dict[str, Annotated[tuple[Text, ...], Field(min_length=1)]], Field(min_length=1)]
    """PxWeb: for each dimension, by its code, the codes wanted, or ["*"] for all. Sotkanet: `indicator`, `year`,
    `category` (of regions, such as KUNTA) and, where not all are wanted, `region` (codes) and `gender`."""
    area: str = ""
    "PxWeb: code of the dimension of areas."
    time: str = ""
    "PxWeb: code of the dimension of years, where the table itself does not say it."
    format: Literal["json-stat2", "csv"] = "json-stat2"
    "The form that is asked for."
    language: Literal["fi", "sv", "en"] = "fi"
    "Of Sotkanet's names; in PxWeb the address says it."


class CatalogueUse(StudyTable):
    """`[catalogue]`: shipped definitions that the study uses (see docs/catalogue.md).

    Only items that its indicators or sources use are taken. An `[[item]]` of the same name adds its labels to the
    catalogue's; an `[[indicator]]` of the name of a taken one is a fault.
    """

    use: Annotated[tuple[Name, ...], Field(min_length=1, max_length=20)]
    "Catalogues by name: paavo, aluesarjat, sotkanet."
    indicators: Annotated[tuple[Name, ...], Field(max_length=500)] = ()
    "The indicators wanted of them."


class SourceSpec(StudyTable):
    """`[[source]]`: one raw file, how to read it, which items it must hold and which years they describe.

    Columns of a table and dimensions of a cube (`.px`, JSON-stat) are named alike. A key that the reader does not know
    is a fault.
    """

    file: Text
    "The file, below the folder of raw data."
    reader: str
    "Its format: one of the readers of `mekeval.sources.READERS`."
    vintage: Year
    "Year of publication; the statistics inside are older."
    sha256: Annotated[str, StringConstraints(pattern=r"^(?:[0-9a-f]{64})?$")]
    "Checksum of the file: another file is refused. Empty while it was not fetched yet."
    items: Annotated[tuple[Name, ...], Field(min_length=1, max_length=2000)]
    "Items that the file must hold."
    published: Day | None = None
    "Day of publication, where it is known: `2024-01-25`."
    level: str = ""
    "Level of the areas it speaks of, where the study has several whose codes could be mistaken for each other."
    year: Year | None = None
    "The year that the statistics describe, where neither a column nor the columns' names tell it."
    years: dict[str, Year] = {}
    "The same by item label or by group of columns: `{ HR = 2019, PT = 2018 }`."
    area_column: str = ""
    "Column of the areas."
    table: str = ""
    "A sheet, or a table inside the file."
    item_column: str = ""
    "Column of the items, where each row is one item; without it the items are columns."
    year_column: str = ""
    "Column of the years; the first and the last day of a year stand for it."
    value_column: str = ""
    "Column of the values, where each row is one value; beside `item_column` alone, columns are years."
    area_by: Literal["", "code", "label"] = ""
    "Whether areas of a cube are known by their code or by their label."
    area_digits: Annotated[Whole, Field(ge=0, le=20)] = 0
    "Length to which codes that lost their leading zeros are filled."
    take: dict[Text, Text] = {}
    'The one value wanted of each other column: `{ Sukupuoli = "Naiset" }`.'
    header_row: Annotated[Whole, Field(ge=1, le=1000)] = 1
    "Row of the first column names, from 1."
    header_rows: Annotated[Whole, Field(ge=1, le=10)] = 1
    "How many rows of names there are; upper names hold for the columns to their right until the next one."
    footer_rows: Annotated[Whole, Field(ge=0, le=1000)] = 0
    "How many rows of notes stand under the table; empty rows do not count."
    decimal: Literal[".", ","] = "."
    "The decimal mark."
    thousands: Literal["", " ", ".", ",", "'"] = ""
    "What parts thousands; a blank stands for every kind of blank."
    symbols: dict[str, Literal["suppressed", "not_applicable", "missing"]] = {}
    'What stands where a number does not: `{ "-1" = "suppressed" }`.'
    other_areas: Literal["refuse", "drop"] = "refuse"
    "What is done with areas that the study does not know."
    minimum_base: Annotated[Whole, Field(ge=1)] | None = None
    "A higher limit than the study's for the people behind what it tells, where its producer asks for one."
    scope: Literal["city", "reference", "both"] = "city"
    "Whether it speaks of the city, of the reference cities or of both."
    fetch: FetchSpec | None = None
    "Where it is downloaded from."
