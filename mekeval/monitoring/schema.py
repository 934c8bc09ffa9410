"""The schema of `monitoring.toml`: what is recorded, in which words, and how little of it may leave.

In: `monitoring.toml`. Out: `MonitoringSpec`, or all its faults at once. Never: what stands in a wrong cell, which may
be personal.
"""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from ..definition import definition_bytes, definition_tables
from ..errors import Fault, StudyError
from ..study.languages import language_faults
from ..study.schema import Words
from .personal import personal_data, withheld

DEFINITION = "monitoring.toml"
ACTIVITY_COLUMNS = (
    "date",
    "major_area",
    "district",
    "type",
    "theme",
    "partner",
    "participants",
    "languages",
    "accessible",
    "cost",
)
#: Of two events that are alike in everything else, this tells them apart: a time of day or a number.
EVENT = "event"
FEEDBACK_COLUMNS = ("date", "major_area", "district", "activity", "language", "text", "codes")
#: What an event is counted as beside being an event.
KINDS = ("network", "training", "workshop", "other")

_Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=40)]
_File = Annotated[str, StringConstraints(pattern=r"^[^/\\:]+\.(?:csv|xlsx)$", max_length=120)]
_Money = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_Day = Annotated[datetime.date, Field(strict=True)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class About(_Table):
    """`[monitoring]`: what is followed, when, and the rules that hold for all of it."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=80)]
    title: Words
    attribution: Words
    first: _Day
    "First day of the programme: what lies before it is no part of it."
    last: _Day
    "Last day of the programme."
    minimum_answers: Annotated[int, Field(strict=True, ge=3, le=1000)]
    "Feedback of fewer answers leaves neither alone nor as the difference of two others."
    synthetic: bool = False
    "Whether activities and feedback are made up; every page and picture then says so."
    languages: Annotated[tuple[Literal["fi", "sv", "en"], ...], Field(min_length=1)] = ("fi", "en")


class AreasTable(_Table):
    """`[areas]`: the list of areas and the levels of it that records speak of."""

    file: _File = "areas.csv"
    level: _Name = "major_area"
    part: _Name = "district"
    city: str
    "Code of the whole city, for what belongs to no area alone."
    codes: Annotated[tuple[str, ...], Field(min_length=1, max_length=100)]
    "Codes of the areas in which there is a developer."
    since: Mapping[str, _Day] = {}
    "First day of the work in an area by its code, where it began later than the programme: before it, nothing is zero."


class Files(_Table):
    """`[files]`: what is read, and the sheets of workbooks that have several."""

    activities: _File = "activities.csv"
    feedback: _File | Literal[""] = "feedback.csv"
    "Empty while nothing was asked yet."
    reported: _File | Literal[""] = ""
    activities_sheet: str = ""
    feedback_sheet: str = ""


class Scale(_Table):
    """`[scale]`: the answers that items may have."""

    low: Annotated[int, Field(strict=True, ge=-10, le=10)] = 1
    high: Annotated[int, Field(strict=True, ge=-10, le=20)] = 5
    good: Annotated[int, Field(strict=True, ge=-10, le=20)] = 4
    "Answers from here on are counted as agreeing."

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.low < self.good <= self.high:
            raise ValueError("low, good and high must ascend")
        return self


class Listed(_Table):
    """A word of one of the lists: its name in the files, and what a reader sees."""

    name: _Name
    label: Words


class ItemSpec(Listed):
    """`[[item]]`: a statement that is answered on the scale; its name is the heading of its column."""


class TypeSpec(Listed):
    """`[[type]]`: a type of activity, and what it is counted as."""

    kind: Literal["network", "training", "workshop", "other"] = "other"


class CodeSpec(Listed):
    """`[[code]]`: an entry of the codebook for free text."""

    definition: Words
    "When a coder gives this code."


class Budget(_Table):
    """`[budget]`: what an area may spend in a year."""

    eur_per_area_year: _Money


class MonitoringSpec(_Table):
    """All of `monitoring.toml`."""

    monitoring: About
    areas: AreasTable
    files: Files = Files()
    scale: Scale = Scale()
    budget: Budget | None = None
    columns: Mapping[Literal["activities", "feedback"], Mapping[str, str]] = {}
    'Headings of the files by our names, where they differ: `[columns.activities]`, `date = "Päivä"`.'
    item: Annotated[tuple[ItemSpec, ...], Field(min_length=1, max_length=30)]
    type: Annotated[tuple[TypeSpec, ...], Field(min_length=1, max_length=100)]
    theme: Annotated[tuple[Listed, ...], Field(max_length=100)] = ()
    code: Annotated[tuple[CodeSpec, ...], Field(max_length=100)] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        wrong = list(self._faults())
        if wrong:
            raise ValueError("; ".join(wrong))
        return self

    def _faults(self) -> Iterator[str]:
        if self.monitoring.first > self.monitoring.last:
            yield "the programme ends before it begins"
        names = (self.files.activities, self.files.feedback, self.files.reported, self.areas.file)
        if any(personal_data(name) for name in names):
            yield "a name of a file holds personal data, which the manifest would repeat"
        for key in ("item", "type", "theme", "code"):
            counts = Counter(one.name for one in getattr(self, key))
            twice = [name for name, count in counts.items() if count > 1]
            if twice:
                yield f"{key}: twice {', '.join(twice)}"
        taken = {*FEEDBACK_COLUMNS, EVENT}
        clash = [one.name for one in self.item if one.name in taken or one.name.startswith("codes")]
        if clash:
            yield f"item: names of other columns: {', '.join(clash)}"
        for key, known in (
            ("activities", {*ACTIVITY_COLUMNS, EVENT}),
            ("feedback", {*FEEDBACK_COLUMNS, *(one.name for one in self.item)}),
        ):
            headings = self.columns.get(key, {})  # type: ignore[call-overload]
            odd = [name for name in headings if name not in known and not name.startswith("codes_")]
            if odd:
                yield f"columns.{key}: no column is called {', '.join(odd)}"


def read_spec(folder: str | Path) -> tuple[Path, bytes, MonitoringSpec]:
    """Read `monitoring.toml`: its place, its bytes and what it says.

    Raises
    ------
    StudyError
        It is not there, or breaks the schema; all faults at once.
    """
    path = Path(folder)
    file = path if path.suffix == ".toml" else path / DEFINITION
    if not file.is_file():
        raise StudyError(
            "There is no monitoring here.", where=str(file), expected=f"a folder with a {DEFINITION}"
        )
    content = definition_bytes(file)
    tables = definition_tables(content, where=str(file))
    try:
        spec = MonitoringSpec.model_validate(tables)
    except ValidationError as cause:
        raise StudyError.of(
            Fault(
                what=f"The key {'.'.join(map(str, error['loc'])) or DEFINITION!r} has a wrong value."
                if error["type"] not in ("missing", "extra_forbidden")
                else f"The key {'.'.join(map(str, error['loc']))!r} "
                + ("is missing." if error["type"] == "missing" else "is not known."),
                where=str(file),
                found="" if error["type"] in ("missing", "value_error") else withheld(str(error["input"])),
                expected=error["msg"].removeprefix("Value error, "),
            )
            for error in cause.errors(include_url=False)
        ) from None
    if faults := list(language_faults(spec, spec.monitoring.languages, str(file), table="monitoring")):
        raise StudyError.of(faults)
    return file, content, spec
