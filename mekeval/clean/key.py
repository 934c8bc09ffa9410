"""What decides about a cleaned set: its files, its code, its parameters; and whether a set stands for them already.

Nothing is parsed here but `study.toml`, once and as plain TOML: a set that stands was made from the same bytes,
which were checked then.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import platform
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from ..dates import dated
from ..definition import definition_bytes, definition_file, definition_tables, raw_root, spoken
from ..errors import StudyError
from ..shipped import shipped

MANIFEST = "manifest.json"
NOTEBOOK = "data_quality.ipynb"
KIND = "clean"
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,79}")
#: What reads, checks, computes, draws and writes; a set made with another version of one may differ.
_PACKAGES = (
    "babel",
    "duckdb",
    "ipykernel",
    "jinja2",
    "matplotlib",
    "nbconvert",
    "nbformat",
    "numpy",
    "pandas",
    "papermill",
    "pydantic",
    "python-calamine",
    "scipy",
    "shapely",
)
_SEAL = "sha256"
_CODE = (".py", ".toml", ".j2", ".css")


@dataclass(frozen=True, kw_only=True)
class Question:
    """What was asked of `clean_study`; `ask` makes it.

    Attributes
    ----------
    definition : Path
        The study's `study.toml`, or another file in its place.
    raw : Path or None
        Folder of external raw data, as given.
    as_of : date or None
    out : Path
    languages : tuple of str
        Empty where the study's own are meant.
    report : bool
    notebooks : Path or None
    outline : mapping
        What stands in the definition, unchecked; empty where it cannot be read, which `read_study` then says.
    sha256 : str
        Of the definition when it was read; empty where it is not there.
    """

    definition: Path
    raw: Path | None
    as_of: datetime.date | None
    out: Path
    languages: tuple[str, ...]
    report: bool
    notebooks: Path | None
    outline: Mapping[str, object]
    sha256: str

    @property
    def folder(self) -> Path:
        """The folder of the study."""
        return self.definition.parent

    @property
    def raw_folder(self) -> Path | None:
        """The folder of external raw data, as far as one is known."""
        return raw_root("external", self.folder, self.raw)

    @property
    def notebook(self) -> Path:
        """The notebook of the report."""
        return (self.notebooks or shipped("notebooks")) / NOTEBOOK

    @property
    def set(self) -> Path:
        """Where the set appears."""
        return self.out / dated(name_of(self), self.as_of)

    @property
    def refusals(self) -> Path:
        """Where the faults stand, when there are any."""
        return self.set.with_name(f"{self.set.name}.failures.csv")


def ask(
    study: str | Path,
    *,
    raw: str | Path | None = None,
    as_of: datetime.date | None = None,
    out: str | Path,
    languages: Iterable[str] = (),
    report: bool = True,
    notebooks: str | Path | None = None,
) -> Question:
    """The question, with the study's definition read once and in bounded time; parameters as in `clean_study`."""
    file = definition_file(Path(study))
    outline: Mapping[str, object] = {}
    sha256 = ""
    try:
        text = definition_bytes(file)
        sha256 = hashlib.sha256(text).hexdigest()
        outline = definition_tables(text, where=str(file))
    except StudyError:
        pass  # `read_study` says it
    return Question(
        definition=file,
        raw=None if raw is None else Path(raw),
        as_of=as_of,
        out=Path(out),
        languages=tuple(dict.fromkeys(languages)),
        report=report,
        notebooks=None if notebooks is None else Path(notebooks),
        outline=outline,
        sha256=sha256,
    )


def name_of(question: Question) -> str:
    """The study's name, or that of its folder where `study.toml` does not tell."""
    name = _about(question).get("name")
    if isinstance(name, str) and _NAME.fullmatch(name):
        return name
    folder = re.sub(r"[^a-z0-9]+", "-", question.folder.resolve().name.lower())
    return folder.strip("-")[:80] or "study"


def languages_of(question: Question) -> tuple[str, ...]:
    """The languages of the report: those asked for, or the study's own."""
    if question.languages:
        return question.languages
    about = _about(question)
    own = about.get("languages", spoken(about.get("title")))
    return tuple(map(str, own)) if isinstance(own, list) else ()


def standing(question: Question) -> Mapping[str, object] | None:
    """The manifest of the published set, where it answers this very question and is whole; None elsewhere."""
    folder = question.set
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if manifest != sealed(manifest) or present(folder) != manifest["files"].keys():
            return None
        before, files = manifest["made_from"], manifest["files"]
        if before["parameters"] != parameters(question) or before["code"] != code(question):
            return None
        listed = before["inputs"]
        if before["packages"] != packages() or listed != inputs(question, listed):
            return None
        if any(_sha256(folder / name) != found for name, found in files.items()):
            return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return manifest if isinstance(manifest, dict) else None


def sealed(manifest: Mapping[str, object]) -> dict[str, object]:
    """A manifest with the sha256 of all that it says, so that a change in it is noticed."""
    said = {name: value for name, value in manifest.items() if name != _SEAL}
    text = json.dumps(said, ensure_ascii=False, sort_keys=True, allow_nan=False)
    return {**said, _SEAL: hashlib.sha256(text.encode()).hexdigest()}


def present(folder: Path) -> set[str]:
    """Names of all files below a published folder but its manifest."""
    found = {
        (Path(place) / name).relative_to(folder).as_posix()
        for place, _, names in os.walk(folder)
        for name in names
    }
    return found - {MANIFEST}


def published(question: Question, manifest: Mapping[str, object]) -> tuple[Path, tuple[Path, ...]]:
    """The folder of a published set and the pages of its report."""
    files = manifest["files"]
    pages = [f"data_quality_{language}.html" for language in languages_of(question)]
    return question.set, tuple(
        question.set / page for page in pages if isinstance(files, dict) and page in files
    )


def made_from(question: Question, listed: Iterable[str]) -> dict[str, object]:
    """Everything that decides about a set, for its manifest; `listed` as in `inputs`."""
    return {
        "parameters": parameters(question),
        "inputs": inputs(question, listed),
        "code": code(question),
        "packages": packages(),
    }


def parameters(question: Question) -> dict[str, object]:
    """What was asked for."""
    return {
        "definition": {"file": question.definition.name, "sha256": question.sha256},
        "as_of": question.as_of.isoformat() if question.as_of else "",
        "languages": list(languages_of(question)) if question.report else [],
        "report": question.report,
    }


def inputs(question: Question, listed: Iterable[str]) -> dict[str, str]:
    """sha256 of every file in the study's folder itself, and of those listed ("raw:" or "study:" and a name)."""
    kind = str(_about(question).get("raw", "study"))
    roots = {"study": question.folder, "raw": raw_root(kind, question.folder, question.raw)}
    names = {f"study:{path.name}" for path in question.folder.iterdir() if _counts(path)}
    found = {}
    for name in sorted(names.union(listed)):
        kind, _, file = name.partition(":")
        root = roots[kind]
        if root is not None:
            found[name] = _sha256(root / file)
    return found


def code(question: Question) -> str:
    """sha256 of the library's own files and of the report's notebook."""
    root = Path(__file__).resolve().parents[1]
    whole = hashlib.sha256()
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in ("__pycache__", "share"))
        for name in sorted(files):
            if name.endswith(_CODE):
                path = Path(folder) / name
                whole.update(f"{path.relative_to(root).as_posix()}\0{path.stat().st_size}\0".encode())
                whole.update(path.read_bytes())
    if question.report:
        whole.update(question.notebook.read_bytes())
    return whole.hexdigest()


def packages() -> dict[str, str]:
    """Versions of what the set is made with, Python's too; empty where a package is not there."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = ""
    return found


def _about(question: Question) -> Mapping[str, object]:
    """The table `[study]` as it stands; empty where there is none."""
    about = question.outline.get("study")
    return about if isinstance(about, dict) else {}


def _counts(path: Path) -> bool:
    return path.is_file() and not path.name.startswith(".")


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
