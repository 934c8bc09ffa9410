"""What decides about a cleaned set: its files, its code, its parameters; and whether a set stands for them already.

Nothing is parsed here but `study.toml`, as plain TOML: a set that stands was made from the same bytes, which were
checked then.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from ..shipped import shipped

MANIFEST = "manifest.json"
NOTEBOOK = "data_quality.ipynb"
KIND = "clean"
_RAW_VARIABLE = (
    "MEKEVAL_RAW"  # `mekeval.study.RAW_VARIABLE`, which costs pandas to import; a test compares them
)
_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")
_PACKAGES = ("numpy", "pandas", "matplotlib", "nbconvert", "papermill", "duckdb")
_CODE = (".py", ".toml", ".j2", ".css")


@dataclass(frozen=True, kw_only=True)
class Question:
    """What was asked of `clean_study`; `languages` is empty where the study's own are meant."""

    study: Path
    raw: Path | None
    as_of: datetime.date | None
    out: Path
    languages: tuple[str, ...]
    report: bool
    notebooks: Path | None

    @property
    def folder(self) -> Path:
        """The folder of the study."""
        return self.definition.parent

    @property
    def definition(self) -> Path:
        """The study's `study.toml`."""
        return self.study if self.study.suffix == ".toml" else self.study / "study.toml"

    @property
    def raw_folder(self) -> Path | None:
        """The folder of external raw data, as far as one is known."""
        given = os.environ.get(_RAW_VARIABLE)
        return self.raw or (Path(given) if given else None)

    @property
    def notebook(self) -> Path:
        """The notebook of the report."""
        return (self.notebooks or shipped("notebooks")) / NOTEBOOK


def name_of(question: Question) -> str:
    """The study's name, or that of its folder where `study.toml` does not tell."""
    about = _outline(question).get("study")
    name = about.get("name") if isinstance(about, dict) else None
    if isinstance(name, str) and _NAME.fullmatch(name):
        return name
    return re.sub(r"[^a-z0-9]+", "-", question.folder.resolve().name.lower()).strip("-") or "study"


def languages_of(question: Question) -> tuple[str, ...]:
    """The languages of the report: those asked for, or the study's own."""
    if question.languages:
        return question.languages
    about = _outline(question).get("study")
    own = about.get("languages", ["fi", "en"]) if isinstance(about, dict) else ()
    return tuple(map(str, own)) if isinstance(own, list) else ()


def standing(question: Question) -> Mapping[str, object] | None:
    """The manifest of the published set, where it answers this very question and is whole; None elsewhere."""
    folder = question.out / name_of(question)
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
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


def published(question: Question, manifest: Mapping[str, object]) -> tuple[Path, tuple[Path, ...]]:
    """The folder of a published set and the pages of its report."""
    folder = question.out / name_of(question)
    files = manifest["files"]
    pages = [f"data_quality_{language}.html" for language in languages_of(question)]
    return folder, tuple(folder / page for page in pages if isinstance(files, dict) and page in files)


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
        "as_of": question.as_of.isoformat() if question.as_of else "",
        "languages": list(languages_of(question)) if question.report else [],
        "report": question.report,
    }


def inputs(question: Question, listed: Iterable[str]) -> dict[str, str]:
    """sha256 of every file in the study's folder itself, and of those listed ("raw:" or "study:" and a name)."""
    external = isinstance(about := _outline(question).get("study"), dict) and about.get("raw") == "external"
    roots = {"study": question.folder, "raw": question.raw_folder if external else question.folder}
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
    """Versions of what the set is made with; empty where a package is not there."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = ""
    return found


def _outline(question: Question) -> Mapping[str, object]:
    """`study.toml` as it stands; empty where it cannot be read, which `read_study` then says."""
    try:
        return tomllib.loads(question.definition.read_bytes().decode("utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return {}


def _counts(path: Path) -> bool:
    return path.is_file() and not path.name.startswith(".")


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
