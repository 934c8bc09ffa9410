"""The schema of `study.toml`: what it may say, table by table."""

from __future__ import annotations

import datetime
import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

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


class FoundAreas(_Table):
    """`[[areas.found]]`: areas of one level that are not listed but found in the labels of the raw files.

    `label` is a pattern with the group `code` and, where the labels tell it, `name`; sources of this `level` are
    searched. A study of a programme lists its areas: a list is fixed, and what a file holds is not.
    """

    level: Name
    label: Text


class AreasTable(_Table):
    """`[areas]`: the list of areas and who the treated are compared with.

    `crosswalk` names a table that says how much of each district lies in which area (see `mekeval.areas`): waves may
    then name districts although the data are for other areas, and reports state the dilution.
    """

    file: str = ""
    found: tuple[FoundAreas, ...] = ()
    crosswalk: str = ""
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


class Spelling(_Table):
    """A label that an item has only in some releases, `first` to `last` (years of publication, inclusive)."""

    text: Text
    first: Year | None = None
    last: Year | None = None


class Item(_Table):
    """`[[item]]`: a raw quantity with every spelling that its sources use."""

    name: Name
    labels: Annotated[tuple[Text | Spelling, ...], Field(min_length=1)]

    def spellings(self, vintage: int) -> tuple[str, ...]:
        """The labels that a release of this year may use."""
        return tuple(
            label if isinstance(label, str) else label.text
            for label in self.labels
            if isinstance(label, str) or (label.first or vintage) <= vintage <= (label.last or vintage)
        )


class IndicatorSpec(_Table):
    """`[[indicator]]`: a rate from sums of items, or one item as it is with the base that stands behind it.

    `formula = "unemployed / (unemployed + employed)"` says numerator and denominator in one line. `proxy_for` names
    the criterion that it stands in for, and `differs` says how it differs from it.
    """

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
    formula: str = ""
    proxy_for: str = ""
    differs: Words | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_formula(cls, given: object) -> object:
        """Numerator and denominator from a formula, so that nothing else needs to know of it."""
        if not isinstance(given, dict) or not isinstance(given.get("formula"), str) or not given["formula"]:
            return given
        if given.get("numerator") or given.get("denominator") or given.get("value"):
            raise ValueError("a formula, or numerator and denominator, or value and base")
        top, bottom = split_formula(given["formula"])
        if not bottom:
            return {**given, "value": top}
        return {**given, "numerator": top, "denominator": bottom}

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


class CatalogueUse(_Table):
    """`[catalogue]`: shipped definitions that the study uses: catalogues by name, and the indicators wanted of them."""

    use: Annotated[tuple[Name, ...], Field(min_length=1)]
    indicators: tuple[Name, ...] = ()


class SourceSpec(_Table):
    """`[[source]]`: one raw file, how to read it, which items it must hold and which years they describe.

    `vintage` is the year of publication and `published` the day, where it is known; `level` is the level of the
    areas it speaks of, where the study has several whose codes could be mistaken for each other.

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
    published: datetime.date | None = None
    level: str = ""
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
    """The whole of `study.toml`. A study without a programme can be cleaned and not evaluated."""

    study: About
    areas: AreasTable
    programme: Programme | None = None
    catalogue: CatalogueUse | None = None
    item: tuple[Item, ...] = ()
    indicator: tuple[IndicatorSpec, ...] = ()
    source: Annotated[tuple[SourceSpec, ...], Field(min_length=1)]
    plan: Plan | None = None
    reference: Reference | None = None

    @property
    def waves(self) -> tuple[Wave, ...]:
        """The waves of the programme; none where the study has no programme."""
        return self.programme.wave if self.programme else ()

    @property
    def rule(self) -> Rule | None:
        """The rule that chose the areas, where there is one."""
        return self.programme.rule if self.programme else None

    @property
    def outcomes(self) -> tuple[str, ...]:
        """The outcomes of the plan; none where the study has no plan."""
        return self.plan.outcomes if self.plan else ()

    def labels(self, source: SourceSpec) -> dict[str, tuple[str, ...]]:
        """For each item the spellings that a source of this vintage may use."""
        return {item.name: item.spellings(source.vintage) for item in self.item}


def terms(expression: str) -> tuple[str, ...]:
    """Names in a sum of items: "unemployed + employed" gives ("unemployed", "employed")."""
    return tuple(name for _, name in signed_terms(expression))


def signed_terms(expression: str) -> tuple[tuple[int, str], ...]:
    """Signs and names in a sum: "adults - educated" gives ((1, "adults"), (-1, "educated"))."""
    parts = re.split(r"([+-])", expression)
    signs = [1, *(1 if mark == "+" else -1 for mark in parts[1::2])]
    return tuple((sign, part.strip()) for sign, part in zip(signs, parts[::2], strict=True))


def split_formula(formula: str) -> tuple[str, str]:
    """The sums above and below the line of a formula; nothing below where it has no line.

    Raises
    ------
    ValueError
        It is more than one sum, or one sum over another.

    Examples
    --------
    >>> split_formula("unemployed / (unemployed + employed)")
    ('unemployed', 'unemployed + employed')
    """
    sums = [part.strip() for part in formula.split("/")]
    bare = [part[1:-1].strip() if part.startswith("(") and part.endswith(")") else part for part in sums]
    one = r"[a-z][a-z0-9_]*"
    if (
        len(bare) > 2
        or not all(re.fullmatch(rf"{one}(?:\s*[+-]\s*{one})*", part) for part in bare)
        or any("-" in part or "+" in part for part in sums if not part.startswith("(") and len(sums) == 2)
    ):
        raise ValueError("a sum of items, or one sum over another: (a + b) / (c - d)")
    return bare[0], bare[1] if len(bare) == 2 else ""
