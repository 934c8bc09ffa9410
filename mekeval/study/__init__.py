"""A study is a folder: `study.toml` says what is evaluated, with which data, by which plan.

In: the folder of a study. Out: `Study`, checked as a whole. Never: a guess for a missing key, a raw file that
has changed unnoticed, or the first fault only.
"""

from __future__ import annotations

import hashlib
import os
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import get_args

from pydantic import BaseModel, ValidationError

from ..areas import Areas, read_areas
from ..errors import Fault, MekevalError, StudyError, closest
from .consistency import cross_references
from .schema import (
    About,
    AreasTable,
    FetchSpec,
    IndicatorSpec,
    Item,
    Plan,
    Programme,
    Reference,
    Rule,
    SourceSpec,
    StudySpec,
    Wave,
    Words,
    terms,
)

__all__ = [
    "RAW_VARIABLE",
    "About",
    "AreasTable",
    "FetchSpec",
    "IndicatorSpec",
    "Item",
    "Plan",
    "Programme",
    "Reference",
    "Rule",
    "SourceSpec",
    "Study",
    "StudySpec",
    "Wave",
    "Words",
    "inside",
    "read_spec",
    "read_study",
    "terms",
]

RAW_VARIABLE = "MEKEVAL_RAW"


@dataclass(frozen=True, kw_only=True)
class Study:
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
    discretionary : tuple of str
        Codes of areas that were added by discretion and not by the rule.
    paths : tuple of Path
        The raw files, in the order of `spec.source`.
    reference_areas : Areas or None
        The listed areas of reference cities; None where the study has none, or finds them in a source.
    sha256 : str
        Of `study.toml`, `areas.csv` and the list of reference areas, if there is one, together.
    """

    folder: Path
    spec: StudySpec
    areas: Areas
    wave_areas: tuple[tuple[str, ...], ...]
    discretionary: tuple[str, ...]
    paths: tuple[Path, ...]
    reference_areas: Areas | None
    sha256: str

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
        if self.spec.programme is None:
            raise _no_table("programme", self.folder)
        return self.spec.programme

    @property
    def plan(self) -> Plan:
        """The plan of the evaluation.

        Raises
        ------
        StudyError
            The study has none: its data can be cleaned and not evaluated.
        """
        if self.spec.plan is None:
            raise _no_table("plan", self.folder)
        return self.spec.plan

    @property
    def treated(self) -> tuple[str, ...]:
        """Codes of all areas that any wave treats, in order of entry."""
        return tuple(dict.fromkeys(code for wave in self.wave_areas for code in wave))

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


def _no_table(name: str, folder: Path) -> StudyError:
    return StudyError(
        f"The study has no [{name}]: its data can be cleaned, not evaluated.",
        where=str(folder / "study.toml"),
        expected=f"a table [{name}]",
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
    areas_path = inside(folder, spec.areas.file)
    if areas_path is None:
        raise StudyError("areas.file leaves the study folder.", where=str(file), found=spec.areas.file)
    faults: list[Fault] = []
    areas = None
    try:
        areas = read_areas(areas_path, unit=spec.areas.unit)
    except MekevalError as error:
        faults += error.faults
    reference_areas, listed = _reference_areas(spec, folder, file.name, faults)
    wave_areas, discretionary = _treated_areas(spec, areas, file.name, faults) if areas else ((), ())
    faults += cross_references(spec, file.name)
    paths = tuple(_raw_paths(spec, folder, raw, file.name, faults))
    if faults or areas is None:
        raise StudyError.of(faults)
    return Study(
        folder=folder,
        spec=spec,
        areas=areas,
        wave_areas=wave_areas,
        discretionary=discretionary,
        paths=paths,
        reference_areas=reference_areas,
        sha256=hashlib.sha256(text + areas_path.read_bytes() + listed).hexdigest(),
    )


def read_spec(path: str | Path) -> tuple[Path, bytes, StudySpec]:
    """Read `study.toml` alone: its place, its bytes and what it says; the files that it names may not be there yet.

    Raises
    ------
    StudyError
        There is no study, or its `study.toml` breaks the schema.
    """
    folder = Path(path)
    file = folder if folder.suffix == ".toml" else folder / "study.toml"
    try:
        text = file.read_bytes()
    except OSError:
        raise StudyError(
            "There is no study here.",
            where=str(file),
            expected="a folder with a study.toml",
            fix="Name the folder of a study, or write one with: mekeval new my-study",
        ) from None
    return file, text, _parse(text, where=str(file))


def _parse(text: bytes, *, where: str) -> StudySpec:
    try:
        content = tomllib.loads(text.decode("utf-8-sig"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as cause:
        raise StudyError(
            "study.toml is not valid TOML.", where=where, found=str(cause), expected="UTF-8 text in TOML form"
        ) from None
    try:
        return StudySpec.model_validate(content)
    except ValidationError as cause:
        raise StudyError.of(
            _fault_of(error["type"], error["loc"], error["msg"], error.get("input"), where)
            for error in cause.errors(include_url=False)
        ) from None


def _fault_of(kind: str, place: tuple[int | str, ...], message: str, found: object, where: str) -> Fault:
    key = "".join(f"[{part + 1}]" if isinstance(part, int) else f".{part}" for part in place).lstrip(".")
    if kind == "extra_forbidden":
        allowed = _allowed_keys(place[:-1])
        near = closest(str(place[-1]), allowed)
        return Fault(
            what=f"Unknown key {key!r}.",
            where=where,
            expected=f"{near}; allowed here: {', '.join(allowed)}",
        )
    if kind == "missing":
        return Fault(what=f"The key {key!r} is missing.", where=where)
    return Fault(
        what=f"The key {key!r} has a wrong value.", where=where, found=repr(found)[:80], expected=message
    )


def _allowed_keys(place: tuple[int | str, ...]) -> list[str]:
    model: type[BaseModel] = StudySpec
    for part in place:
        if isinstance(part, int):
            continue
        annotation = model.model_fields[part].annotation
        candidates = [annotation, *get_args(annotation)]
        model = next(c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel))
    return list(model.model_fields)


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
    try:
        return read_areas(path, unit=spec.areas.unit), path.read_bytes()
    except MekevalError as error:
        faults += error.faults
        return None, b""


def _treated_areas(
    spec: StudySpec, areas: Areas, where: str, faults: list[Fault]
) -> tuple[tuple[tuple[str, ...], ...], tuple[str, ...]]:
    """Codes of the areas of each wave, and of those added by discretion; every one named once and treated."""
    waves = []
    for wave in spec.waves:
        place = f"{where}, programme.wave {wave.name!r}, areas"
        codes = _codes(areas, wave.areas, place, faults)
        faults += [
            Fault(what="A wave names an area twice.", where=place, found=areas.name(code, "fi"))
            for code in dict.fromkeys(codes)
            if codes.count(code) > 1
        ]
        waves.append(codes)
    rule = spec.rule
    if rule and rule.choose > len(areas.units):
        faults.append(
            Fault(
                what="The rule chooses more areas than there are.",
                where=f"{where}, programme.rule.choose",
                found=str(rule.choose),
                expected=f"at most {len(areas.units)}",
            )
        )
    place = f"{where}, programme.rule.discretionary"
    discretionary = _codes(areas, rule.discretionary if rule else (), place, faults)
    treated = {code for codes in waves for code in codes}
    faults += [
        Fault(what="An area was added by discretion to no wave.", where=place, found=areas.name(code, "fi"))
        for code in discretionary
        if code not in treated
    ]
    return tuple(waves), discretionary


def _codes(areas: Areas, names: tuple[str, ...], where: str, faults: list[Fault]) -> tuple[str, ...]:
    codes = []
    for name in names:
        try:
            codes.append(areas.resolve(name))
        except MekevalError as error:
            faults.append(replace(error.faults[0], where=where))
    return tuple(codes)


def _raw_paths(
    spec: StudySpec, folder: Path, raw: str | Path | None, where: str, faults: list[Fault]
) -> Iterator[Path]:
    root = folder
    if spec.study.raw == "external":
        given = raw if raw is not None else os.environ.get(RAW_VARIABLE)
        root = Path(given or "")
        if not given or not root.is_dir():
            faults.append(
                Fault(
                    what="The raw data of this study lie outside it, and their folder is not known.",
                    where="--raw",
                    found=repr(str(given)) + ", which is no folder" if given else "nothing",
                    expected="the folder that holds " + PurePosixPath(spec.source[0].file).parts[0] + "/",
                    fix=f"Give --raw FOLDER, or set {RAW_VARIABLE}.",
                )
            )
            return
    for number, source in enumerate(spec.source, start=1):
        place = f"{where}, source[{number}] {source.file!r}"
        path = inside(root, source.file)
        if path is None:
            faults.append(
                Fault(
                    what="A raw file must lie inside its folder.",
                    where=place,
                    found=repr(source.file),
                    expected="a relative path without '..' that no link leads out of the folder",
                )
            )
            continue
        try:
            found = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError:
            fix = "Download it with: mekeval fetch" if source.fetch else ""
            faults.append(Fault(what="A raw file is missing.", where=place, expected=str(path), fix=fix))
            continue
        if found != source.sha256:
            faults.append(
                Fault(
                    what="A raw file is not the one that the study was written for.",
                    where=place,
                    found=f"sha256 {found}",
                    expected=f"sha256 {source.sha256}",
                    fix="Restore the file, or write the new sha256 and vintage in study.toml if it is meant.",
                )
            )
        yield path


def inside(root: Path, file: str) -> Path | None:
    """The file below its folder, or None where the name would leave it (absolute, '..', a link)."""
    if re.match(r"^([/\\]|[A-Za-z]:)", file) or ".." in PurePosixPath(file.replace("\\", "/")).parts:
        return None
    path = root / file
    try:
        if path.is_symlink():
            path.stat()  # Python 3.13 resolves a link to itself without complaint
        return path if path.resolve().is_relative_to(root.resolve()) else None
    except (OSError, RuntimeError, ValueError):  # a link to itself, a NUL in the name
        return None
