"""The boundaries of a study's areas: where the file lies, and that it has every area.

In: `[areas.boundaries]`. Out: a path that was checked, and `Boundaries`. Never: a map without one of the areas.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..areas import Boundaries, read_boundaries
from ..areas.boundaries import require_boundaries
from ..definition import raw_root
from ..errors import DataError, Fault, MekevalError, StudyError
from .files import checksum, inside, refuse_no_list
from .schema import StudySpec

if TYPE_CHECKING:
    from . import Study


def boundaries_path(
    spec: StudySpec, folder: Path, raw: str | Path | None, where: str, faults: list[Fault]
) -> tuple[Path | None, bytes]:
    """The file of boundaries and its checksum, where the study has one; what is wrong with it is added to `faults`.

    With a checksum it is a raw file; without one it belongs to the study, like areas.csv.
    """
    table = spec.areas.boundaries
    if table is None:
        return None, b""
    root = raw_root(spec.study.raw, folder, raw) if table.sha256 else folder
    if root is None:
        return None, b""  # the raw files are missed already
    place = f"{where}, areas.boundaries"
    path = inside(root, table.file)
    if path is None:
        faults.append(Fault(what="The file of boundaries leaves its folder.", where=place, found=table.file))
        return None, b""
    try:
        refuse_no_list(path)
        found = checksum(path)
    except StudyError as error:
        fix = "Take a generalised version: a map in a report needs a point for every 50 metres at most."
        faults += [Fault(what=one.what, where=one.where, found=one.found, fix=fix) for one in error.faults]
        return None, b""
    except OSError:
        other = "below the folder of raw data" if table.sha256 else "in the study's folder"
        faults.append(
            Fault(
                what="The file of boundaries is missing.",
                where=place,
                expected=f"{path}, {other}",
                fix="Bring it there, or leave [areas.boundaries] out: the report then has its tile map alone."
                if table.sha256
                else "Bring it there; of a file among the raw data give its sha256, too.",
            )
        )
        return None, b""
    if table.sha256 and found != table.sha256:
        faults.append(
            Fault(
                what="The file of boundaries is not the one that the study was written for.",
                where=place,
                found=f"sha256 {found}",
                expected=f"sha256 {table.sha256}",
                fix="Restore the file, or write the new sha256 in study.toml if it is meant.",
            )
        )
    return path, found.encode()


def study_boundaries(study: Study, units: Iterable[str] | None = None) -> Boundaries | None:
    """The boundaries of a study's areas, read and checked.

    Parameters
    ----------
    study : Study
    units : iterable of str, optional
        Areas that must have one; those that the study lists by default.

    Returns
    -------
    Boundaries or None
        None where the study has no `[areas.boundaries]`.

    Raises
    ------
    DataError
        As `read_boundaries`; an area has no boundary.
    """
    table = study.spec.areas.boundaries
    if table is None or study.boundaries is None:
        return None
    try:
        found = read_boundaries(study.boundaries, code=table.code, repair=table.repair)
        require_boundaries(found, study.areas.units if units is None else units)
    except MekevalError as error:
        raise DataError.of([_of_study(fault) for fault in error.faults]) from None
    return found


def _of_study(fault: Fault) -> Fault:
    """A fault of the file, with what to do about it in a study."""
    if not fault.fix.startswith("Mend the file"):
        return fault
    return replace(fault, fix="Mend the file, or write `repair = true` in [areas.boundaries].")
