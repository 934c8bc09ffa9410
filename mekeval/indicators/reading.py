"""Every file of a study that was known at a day, on the areas of the study; every fault of every file.

In: a study. Out: areas, listed and found, and the cells of each file. Never: a file passed over, or the first fault
only.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..areas import Areas, found_areas, join_areas
from ..errors import DataError, Fault, MekevalError, Place, closest
from ..sources import read_source
from ..sources.cells import MOST_FAULTS, counted
from ..study import SourceSpec, Study
from .cells import Cells, compact, placed
from .result import Log


@dataclass(frozen=True, kw_only=True)
class RawFile:
    """One source that was read: its words in the study, what was found out about the file, and its cells."""

    source: SourceSpec
    notes: tuple[str, ...]
    cells: Cells


def known_at(source: SourceSpec, day: datetime.date | None) -> bool:
    """Whether a source was published by a day; one without a day of publication at the end of its year."""
    return day is None or (source.published or datetime.date(source.vintage, 12, 31)) <= day


def read_files(study: Study, day: datetime.date | None, log: Log) -> tuple[Areas, list[RawFile]]:
    """Read every source that was known at the day.

    Raises
    ------
    DataError
        All faults of all files at once.
    """
    chosen = [
        (path, source)
        for path, source in zip(study.paths, study.spec.source, strict=True)
        if source.scope != "reference" and known_at(source, day)  # `reference_areas` reads the others
    ]
    if not chosen:
        raise DataError(
            "No source was published by this day.",
            where="as_of",
            found=str(day),
            expected="a later day: the first source is of "
            + str(
                min(one.published or datetime.date(one.vintage, 12, 31) for one in study.spec.source)
                if study.spec.source
                else "no year"
            ),
        )
    faults: dict[int, list[Fault]] = {number: [] for number in range(len(chosen))}
    files: dict[int, RawFile] = {}
    for number, (path, source) in enumerate(chosen):
        try:
            raw = read_source(path, source, study.spec.labels(source))
            files[number] = RawFile(
                source=source, notes=raw.notes, cells=compact(raw, study.spec, number=number)
            )
        except MekevalError as error:
            faults[number] += [
                fault if fault.where else replace(fault, where=source.file) for fault in error.faults
            ]
    try:
        areas, codes = _found(study, list(files.values()))
    except MekevalError:
        if day is not None and not any(file.source.level == study.areas.unit for file in files.values()):
            raise DataError(
                f"No source of the level {study.areas.unit!r} was published by this day.",
                where="as_of",
                found=str(day),
                expected="a later day: the areas that are compared are found in such sources",
            ) from None
        raise
    for number, file in files.items():
        try:
            codes_here = _codes(areas, codes, file, log)
            cells = placed(file.cells, codes_here, file.source.file, study.spec, log)
            files[number] = replace(file, cells=cells)
        except MekevalError as error:
            faults[number] += error.faults
    every = [fault for number in sorted(faults) for fault in faults[number]]
    if every:
        raise DataError.of(every)
    return areas, list(files.values())


def _found(study: Study, files: Sequence[RawFile]) -> tuple[Areas, dict[str, dict[str, str | None]]]:
    """The listed areas and those found in labels; for each level with patterns the code of each label.

    Raises
    ------
    StudyError
        A pattern fits nothing, or a code stands for areas of two levels.
    """
    codes: dict[str, dict[str, str | None]] = {}
    lists = [study.areas]
    for number, found in enumerate(study.spec.areas.found, start=1):
        by_age = sorted(
            (file for file in files if file.source.level == found.level), key=lambda file: file.source.vintage
        )
        labels = list(dict.fromkeys(label for file in by_age for label in file.cells.area_names))
        if not labels:
            continue
        where = f"study.toml, areas.found[{number}]"
        own = found_areas(labels, found.label, found.level, where=where)
        if found.prefix:
            own = replace(own, table=own.table.set_axis(found.prefix + own.table.index).rename_axis("code"))
        lists.append(own)
        compiled = re.compile(found.label)
        known = codes.setdefault(found.level, {})
        for label in labels:
            match = compiled.match(label)
            if match and match["code"]:
                known.setdefault(label, found.prefix + match["code"].replace(" ", ""))
    if len(lists) == 1:
        return study.areas, codes
    return join_areas(*lists, unit=study.areas.unit), codes


def _codes(
    areas: Areas, by_pattern: dict[str, dict[str, str | None]], file: RawFile, log: Log
) -> dict[str, str | None]:
    """The code of each label of a file; labels that are no areas of the study are dropped or refused.

    Raises
    ------
    DataError
        Labels that name two areas, areas that nobody listed, or none that somebody did.
    """
    source, labels = file.source, file.cells.area_names
    log.note("info", "read", file=source.file, found=", ".join(file.notes), count=len(file.cells.year))
    if source.level in by_pattern:
        known = by_pattern[source.level]
        codes = {label: known.get(label) for label in labels}
    else:
        try:
            codes = areas.codes_of_labels(labels, level=source.level or None, places=_places(file))
        except MekevalError as error:
            raise DataError.of(
                fault if fault.place else replace(fault, where=source.file) for fault in error.faults
            ) from None
    strangers = [at for at, label in enumerate(labels) if codes[label] is None]
    if source.other_areas == "drop":
        log.note("info", "other_areas", file=source.file, count=len(strangers))
    elif strangers:
        names, places = [str(name) for name in areas.table["name_fi"]], _places(file)
        shown = [
            Fault(
                what="The data have an area that the study does not list.",
                place=places[labels[at]],
                found=repr(labels[at]),
                expected=closest(labels[at].lstrip("0123456789 "), names),
                fix='Add it to areas.csv, correct the label, or set `other_areas = "drop"` for this source.',
            )
            for at in strangers[:MOST_FAULTS]
        ]
        raise DataError.of(counted(shown, source.file, more=len(strangers) - MOST_FAULTS))
    if len(strangers) == len(labels):
        raise DataError(
            "The file speaks of no area of the study.",
            where=source.file,
            found=", ".join(map(repr, labels[:3])),
            expected="codes or names as in areas.csv, for example " + repr(str(areas.units[0])),
            fix="Look at `area_column` of the source in study.toml.",
        )
    return codes


def _places(file: RawFile) -> dict[str, Place]:
    """Where each label of a file stands first."""
    labels = file.cells.area_names
    first = np.zeros(len(labels), dtype=np.int64)
    first[file.cells.area[::-1]] = file.cells.row[::-1]
    rows = first.tolist()
    return {label: Place(file=file.source.file, row=row) for label, row in zip(labels, rows, strict=True)}
