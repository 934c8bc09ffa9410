"""One set of indicators of community work: what was done, for how many, and what they said of it.

In: a folder with `monitoring.toml`, records of events and of feedback, and figures reported elsewhere. Out:
`Monitoring`, and indicators by area and period. Never: personal data, a small cell of feedback, an unknown number
counted as zero, or a contradiction of sources that nobody sees.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from ..areas import Areas, read_areas
from ..display import Shown
from ..errors import DataError, Fault, MekevalError, Place, StudyError
from ..shipped import shipped
from .activities import ALL, Intensity, activity_indicators, activity_intensity, programme_periods
from .coding import coded_answers, coder_agreement, krippendorff_alpha
from .feedback import Interval, bootstrap_mean, feedback_indicators, response_rates, wilson_interval
from .intake import empty_feedback, read_activities, read_feedback
from .personal import personal_data, withheld
from .reported import SOURCES, compare_reported, read_reported
from .schema import MonitoringSpec, read_spec

__all__ = [
    "ALL",
    "Intensity",
    "Interval",
    "Monitoring",
    "MonitoringSpec",
    "activity_indicators",
    "activity_intensity",
    "bootstrap_mean",
    "coded_answers",
    "coder_agreement",
    "compare_reported",
    "example_monitoring",
    "feedback_indicators",
    "krippendorff_alpha",
    "personal_data",
    "programme_periods",
    "read_monitoring",
    "response_rates",
    "wilson_interval",
]


@dataclass(frozen=True, kw_only=True, repr=False)
class Monitoring(Shown):
    """The records of a programme of community work.

    Attributes
    ----------
    spec : MonitoringSpec
    folder : Path
    areas : Areas
    activities : pandas.DataFrame
        One row for each event, as `mekeval.monitoring.intake.read_activities` gives it. Do not change it.
    feedback : pandas.DataFrame
        One row for each answer, as `mekeval.monitoring.intake.read_feedback` gives it: not to be published.
    reported : pandas.DataFrame
        Figures reported elsewhere, as `mekeval.monitoring.reported.read_reported` gives them; empty where none are.
    sha256 : mapping of str to str
        Of each file that was read.
    """

    spec: MonitoringSpec
    folder: Path
    areas: Areas
    activities: pd.DataFrame = field(repr=False)
    feedback: pd.DataFrame = field(repr=False)  # no text of an answer in a message or a notebook
    reported: pd.DataFrame = field(repr=False)
    sha256: Mapping[str, str]

    def name(self, code: str, language: str) -> str:
        """What an area is called."""
        return self.areas.name(code, language)

    def resolve(self, area: str) -> str:
        """The code of an area with a developer, from its code or its name.

        Raises
        ------
        StudyError
            There is none of this name.
        """
        code = self.areas.resolve(area)
        if code not in self.spec.areas.codes:
            raise StudyError(
                "There is no developer in this area.",
                where="area",
                found=repr(area),
                expected=", ".join(self.name(one, "fi") for one in self.spec.areas.codes),
            )
        return code


def example_monitoring() -> Path:
    """The folder of the shipped example: figures of a report, and SYNTHETIC records that agree with them."""
    return shipped("data", "vantaa-community-developers")


def read_monitoring(path: str | Path) -> Monitoring:
    """Read a folder of records, and check all of it.

    Parameters
    ----------
    path : str or Path
        The folder, or its `monitoring.toml`.

    Returns
    -------
    Monitoring

    Raises
    ------
    StudyError
        `monitoring.toml` or the list of areas is wrong, or a file is missing.
    DataError
        All faults of all files, with file, row and column. Personal data are refused and never repeated.

    Examples
    --------
    >>> known = read_monitoring(example_monitoring())
    >>> known.spec.monitoring.synthetic, int(known.reported["conflict"].sum())
    (True, 2)
    """
    file, content, spec = read_spec(path)
    folder, names = file.parent, spec.files
    areas = _areas(folder, spec)
    faults: list[Fault] = []
    frames: dict[str, pd.DataFrame] = {}
    readers = [("activities", read_activities), ("feedback", read_feedback), ("reported", read_reported)]
    for kind, read in readers:
        name = getattr(names, kind)
        if not name:
            continue
        try:
            frames[kind] = read(folder / name, spec, areas)
        except MekevalError as error:
            faults += error.faults
    if not names.feedback:
        frames["feedback"] = empty_feedback(spec)
    if "activities" in frames and "feedback" in frames:
        faults += _unmatched(frames["activities"], frames["feedback"], spec)
    if faults:
        raise DataError.of(faults)
    none = pd.DataFrame(
        columns=["row", "measure", "area", "first", "last", "value", "qualifier", *SOURCES, "conflict"]
    )
    known = [one for one in (names.activities, names.feedback, names.reported, spec.areas.file) if one]
    sums = {one: hashlib.sha256((folder / one).read_bytes()).hexdigest() for one in known}
    return Monitoring(
        spec=spec,
        folder=folder,
        areas=areas,
        activities=frames["activities"],
        feedback=frames["feedback"],
        reported=frames.get("reported", none),
        sha256={file.name: hashlib.sha256(content).hexdigest()} | sums,
    )


def _areas(folder: Path, spec: MonitoringSpec) -> Areas:
    areas = read_areas(folder / spec.areas.file, unit=spec.areas.level)
    unknown = [code for code in spec.areas.codes if code not in areas.units]
    unknown += [code for code in spec.areas.since if code not in spec.areas.codes]
    if spec.areas.city not in areas.table.index:
        unknown.append(spec.areas.city)
    if unknown:
        raise StudyError(
            "An area of monitoring.toml is not in the list.",
            where=f"{spec.areas.file}, level {spec.areas.level}",
            found=withheld(", ".join(unknown)),
        )
    return areas


def _unmatched(activities: pd.DataFrame, feedback: pd.DataFrame, spec: MonitoringSpec) -> list[Fault]:
    """Answers about events that nobody recorded, and more answers than participants."""
    key = ["date", "area", "type"]
    held = activities.groupby(key)["participants"].agg(lambda some: some.sum(min_count=len(some)))
    given = feedback.loc[feedback["activity"] != ""].rename(columns={"activity": "type"})
    counts = given.groupby(key)["row"].agg(["size", "min"])
    faults = []
    for date, area, kind, answers, row in counts.reset_index().itertuples(index=False, name=None):
        place = Place(file=spec.files.feedback, row=int(row), column="activity")
        event = f"{date:%Y-%m-%d}, {area}, {kind}"
        if (date, area, kind) not in held.index:
            faults.append(
                Fault(
                    what="There is no such event among the activities.",
                    place=place,
                    found=event,
                    fix="Correct the day, the area or the activity; leave the activity empty if it is about none.",
                )
            )
        elif not pd.isna(people := held.loc[(date, area, kind)]) and answers > people:
            faults.append(
                Fault(
                    what="An event has more answers than participants.",
                    place=place,
                    found=f"{event}: {answers} answers",
                    expected=f"at most {people}",
                    fix="Correct the number of participants, or leave it empty if it is not known.",
                )
            )
    return faults
