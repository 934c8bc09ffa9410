"""A study is a folder: `study.toml` says what is evaluated, with which data, by which plan.

In: the folder of a study. Out: `Study`, checked as a whole. Never: a guess for a missing key, a raw file that
has changed unnoticed, or the first fault only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pandas as pd

from ..areas import COLUMNS, Areas, Districts, read_areas, read_neighbours
from ..definition import RAW_VARIABLE
from ..display import Shown, facts_table, rows_table, written
from ..errors import Fault, MekevalError, StudyError, closest
from ..tables import Table as ShownTable
from .catalogue import CATALOGUES, Catalogue, catalogue_table, criteria_table, fingerprint, read_catalogue
from .consistency import cross_references, level_faults
from .files import checksum, inside, published_before, raw_paths, refuse_no_list
from .formula import signed_terms, split_formula, terms
from .languages import language_faults, require_language
from .locking import LOCK, Deviation, PlanState, lock_plan, plan_record, plan_state
from .measures import Measure, place_names, read_measures, study_measures
from .outlines import boundaries_path, study_boundaries
from .planned import planned
from .reading import first, read_spec
from .schema import (
    CHECKS,
    REQUIRED_CHECKS,
    About,
    AreasTable,
    CatalogueUse,
    Event,
    FetchSpec,
    FoundAreas,
    IndicatorSpec,
    Item,
    Plan,
    PlanDeviation,
    Programme,
    Published,
    Reference,
    Rule,
    SourceSpec,
    Spelling,
    StudySpec,
    Wave,
    Words,
    Worth,
)
from .treated import resolve, study_districts, treated_areas

__all__ = [
    "CATALOGUES",
    "CHECKS",
    "LOCK",
    "RAW_VARIABLE",
    "REQUIRED_CHECKS",
    "About",
    "AreasTable",
    "Catalogue",
    "CatalogueUse",
    "Deviation",
    "Event",
    "FetchSpec",
    "FoundAreas",
    "IndicatorSpec",
    "Item",
    "Measure",
    "Plan",
    "PlanDeviation",
    "PlanState",
    "Programme",
    "Published",
    "Reference",
    "Rule",
    "SourceSpec",
    "Spelling",
    "Study",
    "StudySpec",
    "Wave",
    "Words",
    "Worth",
    "catalogue_table",
    "checksum",
    "criteria_table",
    "inside",
    "lock_plan",
    "place_names",
    "plan_record",
    "plan_state",
    "planned",
    "read_catalogue",
    "read_measures",
    "read_spec",
    "read_study",
    "require_language",
    "signed_terms",
    "split_formula",
    "study_boundaries",
    "terms",
]

Table = TypeVar("Table", Programme, Plan)


@dataclass(frozen=True, kw_only=True, repr=False)
class Study(Shown):
    """A study that was read and checked.

    Attributes
    ----------
    folder : Path
        Where it lies.
    spec : StudySpec
        The contents of `study.toml`.
    areas : Areas
    wave_areas : tuple of tuple of str
        Codes of the treated areas, wave by wave.
    districts : Districts or None
        How districts lie in the areas; None where the study is of its areas themselves.
    wave_districts : tuple of tuple of str
        Codes of the districts that each wave names; the areas in `wave_areas` stand for them.
    discretionary : tuple of str
        Codes of areas that were added by discretion and not by the rule.
    paths : tuple of Path
        The raw files, in the order of `spec.source`.
    reference_areas : Areas or None
        The listed areas of reference cities; None where the study has none, or finds them in a source.
    neighbours : mapping of str to tuple of str
        For each area the codes of its neighbours, in order; empty where the study has no table of neighbours.
    measures : tuple of Measure
        What the programme did, in the order of its list; empty where the study has none.
    boundaries : Path or None
        The file with the boundaries of the areas, which `study_boundaries` reads.
    plan_state : PlanState
        Whether the study keeps to the plan that was locked.
    sha256 : str
        Of `study.toml`, `areas.csv`, the list of reference areas, the tables of districts and of neighbours, the
        boundaries, the list of measures, what it takes from a catalogue and plan.lock, as far as it has them, together.
    """

    folder: Path
    spec: StudySpec
    areas: Areas
    wave_areas: tuple[tuple[str, ...], ...]
    districts: Districts | None
    wave_districts: tuple[tuple[str, ...], ...]
    discretionary: tuple[str, ...]
    paths: tuple[Path, ...]
    reference_areas: Areas | None
    neighbours: Mapping[str, tuple[str, ...]]
    measures: tuple[Measure, ...]
    boundaries: Path | None
    plan_state: PlanState
    sha256: str

    def _shown(self) -> list[ShownTable]:
        spec = self.spec
        facts = [
            ("areas compared", len(self.areas.units)),
            ("sources", len(spec.source)),
            ("outcomes of the plan", None if spec.plan is None else spec.plan.outcomes),
            ("plan", self.plan_state.state),
            ("synthetic", spec.study.synthetic),
        ]
        shown = [facts_table(facts, caption=f"Study {self.name}")]
        waves = () if spec.programme is None else spec.programme.wave
        rows = [
            (
                wave.name,
                wave.first,
                wave.last,
                written([f"{self.areas.name(one, 'en')} ({one})" for one in codes]),
            )
            for wave, codes in zip(waves, self.wave_areas, strict=True)
        ]
        if rows:
            wave_heads = ("wave", "first", "last", "areas")
            shown.append(rows_table(wave_heads, rows, caption=f"Study {self.name}: waves"))
        rates = [(one.name, one.unit, one.higher_is) for one in spec.indicator]
        heads = ("indicator", "unit", "higher_is")
        return [*shown, rows_table(heads, rates, caption=f"Study {self.name}: indicators")]

    @property
    def name(self) -> str:
        """Short name, fit for a folder."""
        return self.spec.study.name

    @property
    def programme(self) -> Programme:
        """The programme that is evaluated.

        Raises
        ------
        StudyError
            The study has none: its data can be cleaned and not evaluated.
        """
        return self._evaluated(self.spec.programme)

    @property
    def plan(self) -> Plan:
        """The plan of the evaluation; raises as `programme`."""
        return self._evaluated(self.spec.plan)

    def _evaluated(self, table: Table | None) -> Table:
        if table is None:
            raise _not_evaluated(self.spec, self.folder)
        return table

    @property
    def treated(self) -> tuple[str, ...]:
        """Codes of all areas that any wave treats, in order of entry."""
        return tuple(dict.fromkeys(code for wave in self.wave_areas for code in wave))

    def resolve(self, name: str) -> str:
        """The code of a unit from its code or name, or those of a district that it stands for; see `Areas.resolve`."""
        return resolve(self.areas, self.districts, name)[0]

    def indicator(self, name: str) -> IndicatorSpec:
        """The definition of an indicator.

        Raises
        ------
        StudyError
            The study does not define it; the message names the closest.
        """
        for indicator in self.spec.indicator:
            if indicator.name == name:
                return indicator
        names = [indicator.name for indicator in self.spec.indicator]
        raise StudyError("The study has no such indicator.", found=repr(name), expected=closest(name, names))


def _not_evaluated(spec: StudySpec, folder: Path) -> StudyError:
    lacking = [
        name for name, table in (("[programme]", spec.programme), ("[plan]", spec.plan)) if table is None
    ]
    return StudyError(
        f"The study has no {' and no '.join(lacking)}: its data can be cleaned, not evaluated.",
        where=str(folder / "study.toml"),
        expected=f"tables {' and '.join(lacking)}",
    )


def read_study(path: str | Path, *, raw: str | Path | None = None) -> Study:
    """Read a study and check it as a whole.

    Parameters
    ----------
    path : str or Path
        The folder of the study, or its `study.toml`.
    raw : str or Path, optional
        Where the raw files lie for a study with `raw = "external"`; else the variable MEKEVAL_RAW.

    Returns
    -------
    Study

    Raises
    ------
    MekevalError
        Every fault at once: unknown keys with the allowed ones, areas nobody knows with the closest names, raw
        files that are missing, lie outside their folder or have changed since their checksum was written.

    Examples
    --------
    >>> from mekeval import example_study
    >>> study = read_study(example_study())
    >>> study.spec.study.synthetic, len(study.treated)
    (True, 6)
    """
    file, text, spec = read_spec(path)
    folder = file.parent
    faults: list[Fault] = []
    areas, own = _own_areas(spec, folder, file, faults)
    reference_areas, listed = _reference_areas(spec, folder, file.name, faults)
    districts, shares = study_districts(spec, folder, file.name, faults)
    wave_areas, wave_districts, discretionary = (
        treated_areas(spec, areas, districts, file.name, faults) if areas else ((), (), ())
    )
    faults += first(cross_references(spec, file.name), file.name)
    faults += language_faults(spec, spec.study.languages, file.name)
    faults += level_faults(spec, () if areas is None else areas.table["level"], file.name)
    neighbours, pairs = _neighbours(spec, folder, areas, file.name, faults)
    measures, done = study_measures(spec, folder, areas, districts, file.name, faults)
    paths = tuple(raw_paths(spec, folder, raw, file.name, faults))
    outlines, drawn = boundaries_path(spec, folder, raw, file.name, faults)
    told = published_before(spec, folder, file.name, faults)
    state = None
    try:
        state = plan_state(folder, spec)
    except MekevalError as error:
        faults += error.faults
    if faults or areas is None or state is None:
        raise StudyError.of(faults)
    definition = text + own + listed + shares + pairs + done + drawn + told + fingerprint(spec)
    return Study(
        folder=folder,
        spec=spec,
        areas=areas,
        wave_areas=wave_areas,
        districts=districts,
        wave_districts=wave_districts,
        discretionary=discretionary,
        paths=paths,
        reference_areas=reference_areas,
        neighbours=neighbours,
        measures=measures,
        boundaries=outlines,
        plan_state=state,
        sha256=hashlib.sha256(definition + state.lock_sha256.encode()).hexdigest(),
    )


def _own_areas(spec: StudySpec, folder: Path, file: Path, faults: list[Fault]) -> tuple[Areas | None, bytes]:
    """The listed areas and the bytes of the list; no areas and no bytes where all of them are found in the data."""
    if not spec.areas.file:
        table = pd.DataFrame(columns=list(COLUMNS), dtype=str)
        numbers = dict.fromkeys(("population", "tile_row", "tile_col"), "Int64")
        return Areas(table=table.astype(numbers).set_index("code"), unit=spec.areas.unit), b""
    path = inside(folder, spec.areas.file)
    if path is None:
        raise StudyError("areas.file leaves the study folder.", where=str(file), found=spec.areas.file)
    return _listed(path, spec, faults)


def _reference_areas(
    spec: StudySpec, folder: Path, where: str, faults: list[Fault]
) -> tuple[Areas | None, bytes]:
    """The list of reference areas and its bytes, where the study has such a list."""
    if spec.reference is None or not spec.reference.areas:
        return None, b""
    path = inside(folder, spec.reference.areas)
    if path is None:
        faults.append(
            Fault(what="reference.areas leaves the study folder.", where=where, found=spec.reference.areas)
        )
        return None, b""
    return _listed(path, spec, faults)


def _listed(path: Path, spec: StudySpec, faults: list[Fault]) -> tuple[Areas | None, bytes]:
    try:
        refuse_no_list(path)
        return read_areas(path, unit=spec.areas.unit), path.read_bytes()
    except MekevalError as error:
        faults += error.faults
        return None, b""


def _neighbours(
    spec: StudySpec, folder: Path, areas: Areas | None, where: str, faults: list[Fault]
) -> tuple[dict[str, tuple[str, ...]], bytes]:
    """The neighbours of each area and the bytes of their table, where the study has one."""
    if not spec.areas.neighbours or areas is None:
        return {}, b""
    path = inside(folder, spec.areas.neighbours)
    if path is None:
        what = "areas.neighbours leaves the study folder."
        faults.append(Fault(what=what, where=where, found=spec.areas.neighbours))
        return {}, b""
    try:
        refuse_no_list(path)
        known = list(areas.table.index) if spec.areas.file else None  # areas that are found are not known yet
        table = read_neighbours(path, known=known)
        found = {
            str(area): tuple(sorted(map(str, others))) for area, others in table.groupby("area")["neighbour"]
        }
        return found, path.read_bytes()
    except MekevalError as error:
        faults += error.faults
        return {}, b""
