"""What was asked of a run, and whether the published set answers it already.

In: the words of the command line. Out: `Asked`; the manifest of a set that is whole and was made from the same bytes.
Never: a set that was changed by hand taken for what a run made. Nothing heavy is imported.
"""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..dates import AsOf, as_date, dated
from ..definition import definition_bytes, definition_file, definition_tables, raw_root
from ..errors import MekevalError, RunError, StudyError, closest
from ..shipped import shipped
from .keys import (
    MANIFEST,
    packages,
    present,
    sealed,
    sha256_of,
    source_sha256,
    study_inputs,
    study_languages,
    study_name,
)

Value = str | int | float | bool

#: The notebook of each kind of report.
NOTEBOOKS: Mapping[str, str] = {
    "city": "city_report.ipynb",
    "district": "district_report.ipynb",
    "changes": "changes_report.ipynb",
    "quality": "data_quality.ipynb",
}
KIND = "run"


@dataclass(frozen=True, kw_only=True)
class OfStudy:
    """What was asked about a study, and what its definition says, read once and in bounded time.

    Attributes
    ----------
    definition : Path
        The study's `study.toml`, or another file in its place.
    raw : str, Path or None
        Folder of external raw data, as given.
    as_of : date or None
    out : Path
    languages : tuple of str
        Without repetition, in the order given.
    notebooks : Path or None
        Folder with notebooks of one's own.
    outline : mapping
        What stands in the definition, unchecked; empty where it cannot be read, which `read_study` then says.
    sha256 : str
        Of the definition when it was read; empty where it is not there.
    """

    definition: Path
    raw: str | Path | None
    as_of: datetime.date | None
    out: Path
    languages: tuple[str, ...]
    notebooks: Path | None
    outline: Mapping[str, object]
    sha256: str

    @property
    def folder(self) -> Path:
        """The folder of the study."""
        return self.definition.parent

    @property
    def name(self) -> str:
        """The study's name, or that of its folder where the definition does not tell."""
        return study_name(self.outline, self.folder)

    @property
    def set(self) -> Path:
        """Where the set appears."""
        return self.out / dated(self.name, self.as_of)

    @property
    def raw_folder(self) -> Path | None:
        """The folder of external raw data, as far as one is known."""
        return raw_root("external", self.folder, self.raw or None)

    def inputs(self, listed: Iterable[str]) -> dict[str, str]:
        """sha256 of every file in the study's folder itself, and of those listed, as in `study_inputs`."""
        return study_inputs(self.folder, self.raw or None, self.outline, listed)


def outlined(file: Path) -> tuple[Mapping[str, object], str]:
    """What stands in a definition, and its sha256; empty where it cannot be read, which `read_study` says."""
    try:
        text = definition_bytes(file)
    except StudyError:
        return {}, ""
    sha256 = hashlib.sha256(text).hexdigest()
    try:
        return definition_tables(text, where=str(file)), sha256
    except StudyError:
        return {}, sha256


@dataclass(frozen=True, kw_only=True)
class Asked(OfStudy):
    """What was asked of `run_study`; `ask` makes it. Its `languages` are those given, or the study's own.

    Attributes
    ----------
    years : tuple of int
        Without repetition, in the order given.
    districts : tuple of str or None
        None where all are meant.
    kinds : tuple of str
        In the order of `NOTEBOOKS`.
    parameters : mapping
        Further parameters of the notebooks.
    pdf : bool
    """

    years: tuple[int, ...]
    districts: tuple[str, ...] | None
    kinds: tuple[str, ...]
    parameters: Mapping[str, Value]
    pdf: bool

    def notebook(self, kind: str) -> Path:
        """The notebook of a kind of report: one's own, or the one that is shipped."""
        own = self.notebooks / NOTEBOOKS[kind] if self.notebooks else None
        return own if own is not None and own.is_file() else shipped("notebooks") / NOTEBOOKS[kind]

    def wanted(self) -> dict[str, object]:
        """What was asked, without a folder, for the manifest."""
        return {
            "years": list(self.years),
            "districts": None if self.districts is None else list(self.districts),
            "languages": list(self.languages),
            "kinds": list(self.kinds),
            "parameters": dict(self.parameters),
            "pdf": self.pdf,
            "notebooks": {kind: sha256_of(self.notebook(kind)) for kind in self.kinds},
        }


def ask(
    study: str | Path,
    *,
    years: Sequence[int],
    districts: Sequence[str] | None = None,
    languages: Sequence[str] | None = None,
    kinds: Sequence[str] | None = None,
    raw: str | Path | None = None,
    as_of: AsOf = None,
    out: str | Path = "reports",
    notebooks: str | Path | None = None,
    parameters: Mapping[str, Value] | None = None,
    pdf: bool = False,
) -> Asked:
    """The question, with the study's definition read once and in bounded time; parameters as in `run_study`."""
    chosen = tuple(NOTEBOOKS) if kinds is None else tuple(kinds)
    for kind in chosen:
        if kind not in NOTEBOOKS:
            raise RunError(
                "There is no such kind of report.",
                where="--kind",
                found=repr(kind),
                expected=closest(kind, NOTEBOOKS),
            )
    folder = Path(notebooks) if notebooks else None
    if folder is not None and not any((folder / name).is_file() for name in NOTEBOOKS.values()):
        raise RunError(
            "The folder holds none of the notebooks of a run.",
            where=str(folder),
            expected="one of: " + ", ".join(NOTEBOOKS.values()),
        )
    file = definition_file(Path(study))
    if Path(out).resolve() == file.parent.resolve():
        raise RunError(
            "The reports cannot lie among the files of the study: what is there decides about them.",
            where="--out",
            found=str(out),
            fix=f"Give another folder: --out {Path(out) / 'reports'}",
        )
    outline, sha256 = outlined(file)
    return Asked(
        definition=file,
        raw=raw,
        as_of=as_date(as_of, where="--as-of"),
        out=Path(out),
        years=tuple(dict.fromkeys(years)),
        districts=None if districts is None else tuple(dict.fromkeys(districts)),
        languages=tuple(dict.fromkeys(languages or study_languages(outline))),
        kinds=tuple(kind for kind in NOTEBOOKS if kind in chosen),
        parameters=dict(sorted((parameters or {}).items())),
        notebooks=folder,
        pdf=pdf,
        outline=outline,
        sha256=sha256,
    )


def made_from(asked: Asked, listed: Iterable[str]) -> dict[str, object]:
    """What all reports of a set are made from; `listed` as in `study_inputs`."""
    return {
        "as_of": asked.as_of.isoformat() if asked.as_of else "",
        "inputs": asked.inputs(listed),
        "code": source_sha256(),
        "packages": packages(),
    }


def standing(asked: Asked) -> Mapping[str, object] | None:
    """The manifest of the published set, where it is whole and answers this very question; None elsewhere."""
    try:
        manifest = read_sealed(asked.set)
        if manifest.get("kind") != KIND:
            return None
        before = manifest["made_from"]
        if not isinstance(before, dict) or before != made_from(asked, before["inputs"]):
            return None
        request = request_of(manifest, asked)
        reports, quality = manifest["reports"], manifest["quality"]
        if request is None or not isinstance(reports, list) or not isinstance(quality, list):
            return None
        failed = {one["name"] for one in [*reports, *quality] if one["failed"]}
        if failed.intersection(request["jobs"]) or damaged(asked.set, manifest):
            return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, MekevalError):
        return None
    return manifest


def request_of(manifest: Mapping[str, object], asked: Asked) -> Mapping[str, list[str]] | None:
    """What a manifest records of an equal question: its "jobs"; None where none was asked."""
    requests = manifest.get("requests")
    wanted = asked.wanted()
    for one in requests if isinstance(requests, list) else ():
        if one["asked"] == wanted:
            return dict(one)
    return None


def entries_named(manifest: Mapping[str, object], asked: Asked) -> tuple[str, ...]:
    """Names of the jobs that an equal question led to."""
    request = request_of(manifest, asked)
    return tuple(request["jobs"]) if request else ()


def read_sealed(folder: Path) -> Mapping[str, object]:
    """The manifest of a set, as it was written; empty where it was changed since.

    Raises
    ------
    OSError, ValueError
        It is not there or no JSON.
    """
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    return manifest if isinstance(manifest, dict) and manifest == sealed(manifest) else {}


def damaged(folder: Path, manifest: Mapping[str, object]) -> dict[str, str]:
    """Files of a set that are "missing", "changed" or "extra", by name; empty where it is as it was published."""
    files = manifest["files"]
    recorded: Mapping[str, str] = files if isinstance(files, dict) else {}
    there = present(folder)
    found = dict.fromkeys(sorted(there - recorded.keys()), "extra")
    for name, expected in sorted(recorded.items()):
        if name not in there:
            found[name] = "missing"
        elif sha256_of(folder / name) != expected:
            found[name] = "changed"
    return found
