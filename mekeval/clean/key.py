"""What decides about a cleaned set: its files, its code, its parameters; and whether a set stands for them already.

In: what was asked of `clean_study`. Out: `Question`, and the manifest of the set that answers it. Never: a set that was
changed, or made from other files, taken for what would be made now.

Nothing is parsed here but `study.toml`, once and as plain TOML: a set that stands was made from the same bytes,
which were checked then.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..definition import definition_file
from ..run.asked import OfStudy, damaged, outlined, read_sealed
from ..run.keys import packages, source_sha256, study_languages
from ..shipped import shipped

NOTEBOOK = "data_quality.ipynb"
KIND = "clean"


@dataclass(frozen=True, kw_only=True)
class Question(OfStudy):
    """What was asked of `clean_study`; `ask` makes it. Its `languages` are empty where the study's own are meant.

    Attributes
    ----------
    report : bool
    """

    report: bool

    @property
    def notebook(self) -> Path:
        """The notebook of the report."""
        return (self.notebooks or shipped("notebooks")) / NOTEBOOK

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
    outline, sha256 = outlined(file)
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


def languages_of(question: Question) -> tuple[str, ...]:
    """The languages of the report: those asked for, or the study's own."""
    return question.languages or study_languages(question.outline)


def standing(question: Question) -> Mapping[str, object] | None:
    """The manifest of the published set, where it answers this very question and is whole; None elsewhere."""
    try:
        manifest = read_sealed(question.set)
        before = manifest["made_from"]
        if not isinstance(before, dict):
            return None
        if before["parameters"] != parameters(question) or before["code"] != code(question):
            return None
        listed = before["inputs"]
        if before["packages"] != packages() or listed != question.inputs(listed):
            return None
        if damaged(question.set, manifest):
            return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return manifest


def published(question: Question, manifest: Mapping[str, object]) -> tuple[Path, tuple[Path, ...]]:
    """The folder of a published set and the pages of its report."""
    files = manifest["files"]
    pages = [f"data_quality_{language}.html" for language in languages_of(question)]
    return question.set, tuple(
        question.set / page for page in pages if isinstance(files, dict) and page in files
    )


def made_from(question: Question, listed: Iterable[str]) -> dict[str, object]:
    """Everything that decides about a set, for its manifest; `listed` as in `study_inputs`."""
    return {
        "parameters": parameters(question),
        "inputs": question.inputs(listed),
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


def code(question: Question) -> str:
    """sha256 of the library's own files and of the report's notebook."""
    whole = hashlib.sha256(source_sha256().encode())
    if question.report:
        whole.update(question.notebook.read_bytes())
    return whole.hexdigest()
