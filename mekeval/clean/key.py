"""What decides about a cleaned set: its files, its code, its parameters; and whether a set stands for them already.

Nothing is parsed here but `study.toml`, once and as plain TOML: a set that stands was made from the same bytes,
which were checked then.
"""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..dates import dated
from ..definition import definition_bytes, definition_file, definition_tables, raw_root
from ..errors import StudyError
from ..run.keys import (
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
from ..shipped import shipped

NOTEBOOK = "data_quality.ipynb"
KIND = "clean"


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
    return study_name(question.outline, question.folder)


def languages_of(question: Question) -> tuple[str, ...]:
    """The languages of the report: those asked for, or the study's own."""
    return question.languages or study_languages(question.outline)


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
        if any(sha256_of(folder / name) != found for name, found in files.items()):
            return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return manifest if isinstance(manifest, dict) else None


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
    return study_inputs(question.folder, question.raw, question.outline, listed)


def code(question: Question) -> str:
    """sha256 of the library's own files and of the report's notebook."""
    whole = hashlib.sha256(source_sha256().encode())
    if question.report:
        whole.update(question.notebook.read_bytes())
    return whole.hexdigest()
