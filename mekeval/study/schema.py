"""The schema of `study.toml`: what it may say, table by table.

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

from .formula import checked, found_pattern, split_formula, terms

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=80)]
Year = Annotated[int, Field(strict=True, ge=1900, le=2200)]
Day = Annotated[datetime.date, Field(strict=True)]
Language = Literal["fi", "en"]
Text = Annotated[str, StringConstraints(pattern=r"\S")]
#: A whole number that fits the machine's own, as whatever is written or seeded with it expects.
Whole = Annotated[int, Field(strict=True, le=2**63 - 1)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Unit = Literal["percent", "eur", "persons", "number", "m2", "index"]
#: Checks that a result must have passed, unless a plan names others (`mekeval.findings.REQUIRED`, which stands above).
REQUIRED_CHECKS = ("selection", "rule_placebo", "placebo_in_time", "leave_one_out")
#: Every check that a plan may require.
CHECKS = (
    *REQUIRED_CHECKS,
    "leave_one_comparison_out",
    "without_neighbours",
    "spillover",
    "comparison_changed",
    "one_year",
    "functional_form",
    "anticipation",
    "pre_trend",
    "composition",
    "definition_breaks",
    "honest",
)


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Words(_Table):
    """One text in several languages; Finnish is always there."""

    fi: str
    "Finnish."
    sv: str = ""
    "Swedish."
    en: str = ""
    "English."

    def text(self, language: str) -> str:
        """The text in a language, or in Finnish where the study does not give it."""
        return {"fi": self.fi, "sv": self.sv, "en": self.en}[language] or self.fi


class About(_Table):
    """`[study]`: what the study is called and the rules that hold for all of it."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=80)]
    "Short name, fit for a folder: small letters, digits and hyphens."
    seed: Annotated[Whole, Field(ge=0)]
    "Where all random numbers come from: the same seed, the same report."
    minimum_base: Annotated[Whole, Field(ge=1)]
    "No value with fewer people behind it reaches an output."
    title: Words
    "What the reports are called."
    attribution: Words
    "Who produced the data, and under which licence."
    synthetic: Annotated[bool, Field(strict=True)] = False
    "Whether the data are invented; every page and figure then says so."
    languages: Annotated[tuple[Language, ...], Field(min_length=1)] = ("fi", "en")
    "Languages of the reports."
    raw: Literal["study", "external"] = "study"
    "Whether the raw files lie in the study's folder, or in one that `--raw` or MEKEVAL_RAW names."


class FoundAreas(_Table):
    """`[[areas.found]]`: areas of one level that are not listed but found in the labels of the raw files.

    Sources of this `level` are searched. A study of a programme lists its areas: a list is fixed, and what a file
    holds is not.
    """

    level: Name
    "What these areas are: the word that `level` of a source names too."
    label: Annotated[Text, AfterValidator(found_pattern)]
    "A pattern (Python's `re`) with the group `code` and, where the labels tell it, `name`."
    prefix: Annotated[str, StringConstraints(pattern=r"^[\w-]{0,20}$")] = ""
    "Stands before each code, where another level has the same codes: postal areas and districts do."


class AreasTable(_Table):
    """`[areas]`: the areas, and who the treated are compared with."""

    file: str = ""
    "The list of areas, areas.csv; may be left out where areas are found."
    found: Annotated[tuple[FoundAreas, ...], Field(max_length=100)] = ()
    "Areas that are found in the raw files."
    crosswalk: str = ""
    """A table that says how much of each district lies in which area: waves may then name districts although the data
    are for other areas, and reports state the dilution."""
    unit: str
    "The level of the areas that are compared with each other."
    city: Words
    "What the city is called."
    note: Words | None = None
    "What a reader must know of the areas; shown in every report."
    comparison: Literal["never_treated"] = "never_treated"
    "Whom the treated areas are compared with."
    neighbours: str = ""
    "A table of pairs, neighbours.csv with the columns `area` and `neighbour`: for the checks of spillovers."


class Wave(_Table):
    """`[[programme.wave]]`: years, areas and money of one wave."""

    name: str
    "What it is called."
    first: Year
    "First year of the programme in these areas."
    last: Year
    "Last year, inclusive."
    areas: Annotated[tuple[str, ...], Field(min_length=1, max_length=10_000)]
    "Codes or names of the areas."
    eur_per_year: Annotated[Number, Field(ge=0)] | None = None
    "Money for a year, in euros."


class Rule(_Table):
    """`[programme.rule]`: how the areas were chosen."""

    criteria: Annotated[dict[str, Year], Field(min_length=1, max_length=100)]
    "Indicators with the year that was looked at: `{ unemployment_rate = 2019 }`."
    choose: Annotated[Whole, Field(ge=1)]
    "How many areas the rule chooses."
    discretionary: tuple[str, ...] = ()
    "Areas that were added by discretion and not by the rule."
    population: str = ""
    "The indicator whose base (the persons behind it) is the size of an area."
    minimum_population: Annotated[Number, Field(ge=0)] = 0
    "Smaller areas are not chosen: their rates are mostly noise."


class Programme(_Table):
    """`[programme]`: what is evaluated."""

    title: Words
    "What the programme is called."
    wave: Annotated[tuple[Wave, ...], Field(min_length=1, max_length=100)]
    "Its waves, in order."
    rule: Rule | None = None
    "How the areas were chosen, where it is known: the rule placebo applies it elsewhere."


class Spelling(_Table):
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


class Item(_Table):
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


class IndicatorSpec(_Table):
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


class FetchSpec(_Table):
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


class CatalogueUse(_Table):
    """`[catalogue]`: shipped definitions that the study uses (see docs/catalogue.md).

    Only items that its indicators or sources use are taken. An `[[item]]` of the same name adds its labels to the
    catalogue's; an `[[indicator]]` of the name of a taken one is a fault.
    """

    use: Annotated[tuple[Name, ...], Field(min_length=1, max_length=20)]
    "Catalogues by name: paavo, aluesarjat, sotkanet."
    indicators: Annotated[tuple[Name, ...], Field(max_length=500)] = ()
    "The indicators wanted of them."


class SourceSpec(_Table):
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
    scope: Literal["city", "reference", "both"] = "city"
    "Whether it speaks of the city, of the reference cities or of both."
    fetch: FetchSpec | None = None
    "Where it is downloaded from."


class Exclusion(_Table):
    """`[[reference.exclude]]`: a city that is no reference."""

    city: Text
    "The city."
    reason: Words
    "Why it is none; shown in the report."


class Reference(_Table):
    """`[reference]`: areas of other cities, where the programme's rule is applied although nothing was done.

    They are listed in `areas`, or found in the area labels of the source `areas_from` by the pattern `label`.
    """

    areas: str = ""
    "A file like areas.csv; the city of an area is its `parent`."
    areas_from: str = ""
    "The `file` of a source whose area labels name the areas and their cities."
    label: str = ""
    "A pattern for these labels with the groups `code` and `city`."
    window: Annotated[Whole, Field(ge=6)] | None = None
    "Joins so many neighbouring areas in the order of their codes to one city each, where cities are too few or small."
    minimum_population: Annotated[Number, Field(ge=0)] = 0
    "Smaller areas are left out."
    exclude: tuple[Exclusion, ...] = ()
    "Cities that are no reference."


class PlanDeviation(_Table):
    """`[[plan.deviation]]`: a place in which the study differs from its locked plan.

    Shown with its reason in every report. One that names a place in which nothing differs is a fault.
    """

    key: Text
    """The place: a key as `mekeval plan show` prints it, such as "plan.primary", or the table of one wave, indicator
    or rule, such as "programme.wave.MEK 2023-2025"."""
    reason: Words
    "Why it differs."
    date: Day | None = None
    "Day of the decision: `2026-03-01`."


class Plan(_Table):
    """`[plan]`: what is tested and how, fixed before outcomes are seen.

    `mekeval plan lock` writes it into `plan.lock`; every report then says whether the analysis keeps to it.
    """

    primary: Annotated[tuple[str, ...], Field(min_length=1, max_length=100)]
    "Indicators on which the verdict on the programme rests."
    secondary: Annotated[tuple[str, ...], Field(max_length=100)] = ()
    "Further indicators that are judged."
    alpha: Annotated[Number, Field(gt=0, lt=1)] = 0.05
    "Level of the tests."
    pre_years: Annotated[Whole, Field(ge=1)] = 5
    "The base of every change is the mean of the years at most this far before an area entered."
    partial_years: Annotated[Whole, Field(ge=0)] = 0
    "Years after entry that are neither before nor after."
    estimator: Literal["group_time_att"] = "group_time_att"
    "How effects in reports are estimated; there is one way so far. Notebooks have others."
    comparison: Literal["auto", "rule_placebo", "city"] = "auto"
    """What a verdict rests on: the rule placebo, the comparison within the city, or ("auto") the rule placebo where the
    study has reference cities."""
    required: Annotated[tuple[str, ...], Field(max_length=100)] = REQUIRED_CHECKS
    "Checks without whose answer nothing is called an effect; `selection` always is one."
    important: dict[str, Annotated[Number, Field(gt=0)]] = {}
    "For an outcome the smallest change that matters, in its unit: `{ unemployment_rate = 1.0 }`."
    honest_size: Annotated[Number, Field(gt=0)] = 1.0
    """How far the later years may depart from a common trend, in times the largest departure before (Mbar), with an
    effect still standing; for the check `honest`."""
    deviation: Annotated[tuple[PlanDeviation, ...], Field(max_length=1000)] = ()
    "What differs from the locked plan, and why."

    @property
    def outcomes(self) -> tuple[str, ...]:
        """Primary outcomes, then secondary ones."""
        return self.primary + self.secondary


class StudySpec(_Table):
    """The whole of `study.toml`. A study without a programme can be cleaned and not evaluated."""

    study: About
    "Name, seed, disclosure threshold."
    areas: AreasTable
    "The areas."
    programme: Programme | None = None
    "The programme; without it the study's data can be cleaned only."
    catalogue: CatalogueUse | None = None
    "Shipped definitions."
    item: Annotated[tuple[Item, ...], Field(max_length=2000)] = ()
    "Raw quantities, beside those of the catalogue."
    indicator: Annotated[tuple[IndicatorSpec, ...], Field(max_length=500)] = ()
    "Indicators, beside those of the catalogue."
    source: Annotated[tuple[SourceSpec, ...], Field(min_length=1, max_length=2000)]
    "Raw files."
    plan: Plan | None = None
    "The plan of the evaluation."
    reference: Reference | None = None
    "Cities without a programme, for the rule placebo."

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
