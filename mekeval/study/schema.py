"""The schema of `study.toml`: what it may say, table by table.

In: the tables of a TOML file. Out: `StudySpec`. Never: a look at the data.

The text below a key is what `docs/study.md` says of it.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)

from ..definition import spoken
from .formula import found_pattern
from .schema_data import (
    CatalogueUse,
    Day,
    FetchSpec,
    IndicatorSpec,
    Item,
    Language,
    Name,
    Number,
    SourceSpec,
    Spelling,
    StudyTable,
    Text,
    Whole,
    Words,
    Year,
)

__all__ = [
    "CHECKS",
    "REQUIRED_CHECKS",
    "About",
    "AreasTable",
    "BoundariesFile",
    "CatalogueUse",
    "Event",
    "Exclusion",
    "FetchSpec",
    "FoundAreas",
    "IndicatorSpec",
    "Item",
    "Name",
    "Plan",
    "PlanDeviation",
    "Programme",
    "Reference",
    "Rule",
    "SourceSpec",
    "Spelling",
    "StudySpec",
    "Wave",
    "Words",
    "Worth",
]

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
    "housing",
    "definition_breaks",
    "honest",
)


def _one_or_several(given: object) -> object:
    """One text as a list of one."""
    return [given] if isinstance(given, str) else given


class About(StudyTable):
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
    languages: Annotated[tuple[Language, ...], Field(min_length=1)] = ()
    """Languages of the reports, in each of which every text of the study must be there; `index.html` is in the first.
    Left out: those in which the title is written."""
    raw: Annotated[str, StringConstraints(pattern=r"^(study|external|package:[A-Za-z]\w*)$")] = "study"
    """Where the raw files lie: in the study's folder ("study"), in one that `--raw` or MEKEVAL_RAW names ("external"),
    or in an installed Python package ("package:NAME")."""
    public: Annotated[bool, Field(strict=True)] = False
    """Whether all raw numbers are published as they are, by producers who have hidden what must be: an attacker has
    them whatever the study leaves out, and only what is under `minimum_base`, or gives that away exactly, is hidden."""
    earlier: Annotated[tuple[Text, ...], Field(max_length=50)] = ()
    """Tables that were published before, as `indicators.csv` of `mekeval clean` is, in the study's folder: what they
    show stays known, and no small number may be had from them and the new ones together."""

    @model_validator(mode="before")
    @classmethod
    def _spoken(cls, table: object) -> object:
        """A study that does not say in which languages it speaks does so in those of its title."""
        if isinstance(table, dict) and "languages" not in table:
            return {**table, "languages": spoken(table.get("title"))}
        return table


class FoundAreas(StudyTable):
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


class BoundariesFile(StudyTable):
    """`[areas.boundaries]`: the outlines of the areas, for a map in the city's report; needs the extra `geo`.

    GeoJSON or KML in degrees (WGS 84, ETRS89), or GeoJSON in metres that names one of Finland's planes as its `crs`
    (EPSG:3067, 3879 and their like). Every area of the study must be in it; others are left out.
    """

    file: Text
    "The file, in the study's folder; with `sha256` below the folder of raw data. At most 64 MB."
    code: Annotated[
        tuple[Text, ...],
        BeforeValidator(_one_or_several),
        Field(min_length=1, max_length=5),
        WithJsonSchema(
            {"type": ["string", "array"], "items": {"type": "string"}, "minItems": 1, "maxItems": 5}
        ),
    ]
    """The property that holds the code of an area as areas.csv has it; or several that make it together:
    `["KUNTA", "TILA"]`."""
    sha256: Annotated[str, StringConstraints(pattern=r"^(?:[0-9a-f]{64})?$")] = ""
    "Checksum of the file, where it is one of the raw files: another file is refused."
    repair: Annotated[bool, Field(strict=True)] = False
    "Whether outlines that cross themselves are mended; otherwise they are refused."


class AreasTable(StudyTable):
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
    boundaries: BoundariesFile | None = None
    "The outlines of the areas: the city's report then has a map beside the tile map."


class Wave(StudyTable):
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


class MissingCriterion(StudyTable):
    """`[[programme.rule.missing]]`: something the areas were chosen by that is not in the data; reports say so."""

    name: Words
    "The criterion."
    wave: str = ""
    "Name of the wave that was chosen by it; left out: all waves."
    source: Words
    "Who says so."


class Rule(StudyTable):
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
    missing: Annotated[tuple[MissingCriterion, ...], Field(max_length=100)] = ()
    "Criteria that are known to have been used and are not in the data."


class Worth(StudyTable):
    """`[programme.worth.OUTCOME]`: what a unit of an outcome is worth to society or to the city."""

    eur: Annotated[Number, Field(gt=0)]
    "Euros for one person and one year."
    source: Words
    "Who says so; shown wherever the value is used."


class Event(StudyTable):
    """`[[programme.event]]`: something beside the programme that may have changed an outcome; shown in every report.

    It is recorded, and no figure is corrected for it.
    """

    date: Day
    "The day: `2023-01-01`."
    name: Words
    "What happened."
    outcomes: Annotated[tuple[str, ...], Field(max_length=100)] = ()
    "Indicators that it may have changed; left out: any."
    source: Words
    "Who says so."


class Programme(StudyTable):
    """`[programme]`: what is evaluated."""

    title: Words
    "What the programme is called."
    hypothetical: Annotated[bool, Field(strict=True)] = False
    "Whether the areas are only those that a rule would choose and nothing was done; every report then says so."
    wave: Annotated[tuple[Wave, ...], Field(min_length=1, max_length=100)]
    "Its waves, in order."
    rule: Rule | None = None
    "How the areas were chosen, where it is known: the rule placebo applies it elsewhere."
    measures: str = ""
    "The list of what was done, measures.csv: themes, places, years, money, sources. See `mekeval.study.Measure`."
    worth: dict[str, Worth] = Field(default_factory=dict, max_length=100)
    """For an outcome what one person and year of it is worth: `worth.unemployment_rate = { eur = 20_000, source.fi =
    "…" }`. Reports then say what effect would have paid for the programme."""
    event: Annotated[tuple[Event, ...], Field(max_length=1000)] = ()
    "What happened beside the programme."


class Exclusion(StudyTable):
    """`[[reference.exclude]]`: a city that is no reference."""

    city: Text
    "The city."
    reason: Words
    "Why it is none; shown in the report."


class Reference(StudyTable):
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


class PlanThresholds(StudyTable):
    """`[plan.thresholds]`: where the checks draw their lines; what a result must stand is fixed before it is seen."""

    share_kept: Annotated[Number, Field(gt=0, lt=1)] = 0.5
    "Share of a result's size that must be left when an area, a comparison or a year is left out."
    level: Annotated[Number, Field(ge=1, le=10)] = 2.0
    "Level of the test of such an altered question, in times alpha: one area fewer makes any test weaker."
    quiet: Annotated[Number, Field(ge=1, le=100)] = 5.0
    """By what alpha is divided where silence is the right answer (placebo in time, anticipation, pre-trend, spillover,
    population), so that all of them together raise a false alarm no more often than one test does."""


class PlanDeviation(StudyTable):
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


class Plan(StudyTable):
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
    important: dict[str, Annotated[Number, Field(gt=0)]] = Field(default_factory=dict)
    "For an outcome the smallest change that matters, in its unit: `{ unemployment_rate = 1.0 }`."
    honest_size: Annotated[Number, Field(gt=0)] = 1.0
    """How far the later years may depart from a common trend, in times the largest departure before (Mbar), with an
    effect still standing; for the check `honest`."""
    thresholds: PlanThresholds = PlanThresholds()
    "Where the checks draw their lines."
    deviation: Annotated[tuple[PlanDeviation, ...], Field(max_length=1000)] = ()
    "What differs from the locked plan, and why."

    @property
    def outcomes(self) -> tuple[str, ...]:
        """Primary outcomes, then secondary ones."""
        return self.primary + self.secondary


class Published(StudyTable):
    """`[[other_estimates.published]]`: a published figure that the study's data should give again."""

    outcome: str
    "An outcome of the plan."
    estimator: str
    "The estimator by which it was published, one of `other_estimates.estimators`."
    estimate: Number
    "The figure, in the outcome's unit, as printed."
    se: Annotated[Number, Field(gt=0)]
    "Its standard error, as printed."
    decimals: Annotated[Whole, Field(ge=0, le=8)]
    "Digits after the decimal sign as printed."
    source: Words
    "Who published it, and where."


class OtherEstimates(StudyTable):
    """`[other_estimates]`: what other estimators say of the outcomes, shown beside; no verdict rests on it."""

    estimators: Annotated[tuple[str, ...], Field(min_length=1, max_length=30)]
    "Names of `mekeval.ESTIMATORS`."
    published: Annotated[tuple[Published, ...], Field(max_length=100)] = ()
    "Published figures."


class StudySpec(StudyTable):
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
    other_estimates: OtherEstimates | None = None
    "Estimators whose answers the report shows beside the one that the verdict rests on."
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
