"""The schema of `study.toml`: what it may say, table by table."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
Year = Annotated[int, Field(strict=True, ge=1900, le=2200)]
Language = Literal["fi", "en"]
Text = Annotated[str, StringConstraints(pattern=r"\S")]
Whole = Annotated[int, Field(strict=True)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Words(_Table):
    """One text in several languages; Finnish is always there."""

    fi: str
    sv: str = ""
    en: str = ""

    def text(self, language: str) -> str:
        """The text in a language, or in Finnish where the study does not give it."""
        return {"fi": self.fi, "sv": self.sv, "en": self.en}[language] or self.fi


class About(_Table):
    """`[study]`: name, seed, whether the data are synthetic, languages, disclosure threshold."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    seed: Annotated[Whole, Field(ge=0)]
    minimum_base: Annotated[Whole, Field(ge=1)]
    title: Words
    attribution: Words
    synthetic: Annotated[bool, Field(strict=True)] = False
    languages: Annotated[tuple[Language, ...], Field(min_length=1)] = ("fi", "en")
    raw: Literal["study", "external"] = "study"


class AreasTable(_Table):
    """`[areas]`: the list of areas and who the treated are compared with."""

    file: Text
    unit: str
    city: Words
    note: Words | None = None  # what a reader must know of the areas; shown in every report
    comparison: Literal["never_treated"] = "never_treated"


class Wave(_Table):
    """`[[programme.wave]]`: years (inclusive), areas, money."""

    name: str
    first: Year
    last: Year
    areas: Annotated[tuple[str, ...], Field(min_length=1)]
    eur_per_year: Annotated[Number, Field(ge=0)] | None = None


class Rule(_Table):
    """`[programme.rule]`: how the areas were chosen; the criteria name indicators with their base years.

    `population` names the indicator whose base (the persons behind it) is the size of an area.
    """

    criteria: Annotated[dict[str, Year], Field(min_length=1)]
    choose: Annotated[Whole, Field(ge=1)]
    discretionary: tuple[str, ...] = ()
    population: str = ""
    minimum_population: Annotated[Number, Field(ge=0)] = 0


class Programme(_Table):
    """`[programme]`: title, waves and, where the areas were chosen by one, the rule."""

    title: Words
    wave: Annotated[tuple[Wave, ...], Field(min_length=1)]
    rule: Rule | None = None


class Item(_Table):
    """`[[item]]`: a raw quantity with every spelling that its sources use."""

    name: Name
    labels: Annotated[tuple[Text, ...], Field(min_length=1)]


class IndicatorSpec(_Table):
    """`[[indicator]]`: a rate from sums of items, or one item as it is with the base that stands behind it."""

    name: Name
    label: Words
    higher_is: Literal["better", "worse", "neutral"]
    unit: Literal["percent", "eur", "persons", "index"]
    numerator: str = ""
    denominator: str = ""
    value: str = ""
    base: str = ""
    note: Words | None = None  # a break in the definition, say; shown beside every verdict on it
    plausible: tuple[Number, Number] | None = None

    @property
    def items(self) -> tuple[str, ...]:
        """Names of the items it is made of."""
        parts = (self.numerator, self.denominator, self.value, self.base)
        return tuple(dict.fromkeys(name for part in parts if part for name in terms(part)))


class FetchSpec(_Table):
    """`[source.fetch]`: where a raw file is downloaded from, and which part of the table.

    PxWeb: `select` gives for each dimension, by its code, the codes wanted, or ["*"] for all; `area` and `time` are
    the codes of the dimensions of areas and years (the table itself may say which is time).
    Sotkanet: `select` has `indicator`, `year`, `category` (of regions, such as KUNTA) and, where not all are wanted,
    `region` (codes) and `gender`.
    """

    service: Literal["pxweb", "sotkanet"]
    url: Annotated[str, StringConstraints(pattern=r"^https?://[^\s/@]+/[^\s?#]*$")]
    select: Annotated[dict[str, Annotated[tuple[Text, ...], Field(min_length=1)]], Field(min_length=1)]
    area: str = ""
    time: str = ""
    format: Literal["json-stat2", "csv"] = "json-stat2"
    language: Literal["fi", "sv", "en"] = "fi"  # of Sotkanet's names; in PxWeb the address says it


class SourceSpec(_Table):
    """`[[source]]`: one raw file, how to read it, which items it must hold and which years they describe.

    `area_column`, `item_column`, `year_column` and `value_column` name columns of a table or dimensions of a cube;
    `take` gives the one value wanted of each other column or dimension ({ Sukupuoli = "Naiset" }), and `area_by`
    says whether areas of a cube are known by their code or by their label. `header_row` is the row of the first
    column names, `header_rows` how many rows of names there are. `decimal` and `thousands` are the marks in
    numbers, `symbols` what stands where a number does not ({ "-1" = "suppressed" }), `area_digits` the length to
    which codes that lost their leading zeros are filled. `table` names a sheet or a table inside the file.
    """

    file: Text
    reader: str
    vintage: Year
    sha256: Annotated[str, StringConstraints(pattern=r"^(?:[0-9a-f]{64})?$")]  # empty: not fetched yet
    items: Annotated[tuple[Name, ...], Field(min_length=1)]
    year: Year | None = None
    years: dict[str, Year] = {}
    area_column: str = ""
    table: str = ""
    item_column: str = ""
    year_column: str = ""
    value_column: str = ""
    area_by: Literal["", "code", "label"] = ""
    area_digits: Annotated[Whole, Field(ge=0, le=20)] = 0
    take: dict[Text, Text] = {}
    header_row: Annotated[Whole, Field(ge=1, le=1000)] = 1
    header_rows: Annotated[Whole, Field(ge=1, le=10)] = 1
    decimal: Literal[".", ","] = "."
    thousands: Literal["", " ", ".", ",", "'"] = ""
    symbols: dict[str, Literal["suppressed", "not_applicable", "missing"]] = {}
    other_areas: Literal["refuse", "drop"] = "refuse"
    scope: Literal["city", "reference", "both"] = "city"
    fetch: FetchSpec | None = None


class Exclusion(_Table):
    """`[[reference.exclude]]`: a city that is no reference, and why."""

    city: Text
    reason: Words


class Reference(_Table):
    """`[reference]`: areas of other cities, where the programme's rule is applied although nothing was done.

    They are listed in `areas` (a file like areas.csv; the city of an area is its `parent`), or found in the area labels
    of the source `areas_from` by the pattern `label` with the groups `code` and `city`. `window` joins so many
    neighbouring areas, by the order of their codes, to one city each, where municipalities are too few or too small.
    """

    areas: str = ""
    areas_from: str = ""
    label: str = ""
    window: Annotated[Whole, Field(ge=6)] | None = None
    minimum_population: Annotated[Number, Field(ge=0)] = 0
    exclude: tuple[Exclusion, ...] = ()


class Plan(_Table):
    """`[plan]`: outcomes, level of the tests and the years that are compared, fixed before outcomes are seen."""

    primary: Annotated[tuple[str, ...], Field(min_length=1)]
    secondary: tuple[str, ...] = ()
    alpha: Annotated[Number, Field(gt=0, lt=1)] = 0.05
    pre_years: Annotated[Whole, Field(ge=1)] = 5
    partial_years: Annotated[Whole, Field(ge=0)] = 0

    @property
    def outcomes(self) -> tuple[str, ...]:
        """Primary outcomes, then secondary ones."""
        return self.primary + self.secondary


class StudySpec(_Table):
    """The whole of `study.toml`."""

    study: About
    areas: AreasTable
    programme: Programme
    item: Annotated[tuple[Item, ...], Field(min_length=1)]
    indicator: Annotated[tuple[IndicatorSpec, ...], Field(min_length=1)]
    source: Annotated[tuple[SourceSpec, ...], Field(min_length=1)]
    plan: Plan
    reference: Reference | None = None


def terms(expression: str) -> tuple[str, ...]:
    """Names in a sum of items: "unemployed + employed" gives ("unemployed", "employed")."""
    return tuple(part.strip() for part in expression.split("+"))
