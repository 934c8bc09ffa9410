"""What decides about an output: files, code, packages; hashed, so that an unchanged job is recognised by its key.

In: paths. Out: hashes, the key of a job and its parts, and which part of two keys differs. Never: anything heavy
imported: a run in which nothing has changed must know it at once.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path

from ..definition import raw_root, spoken

MANIFEST = "manifest.json"
#: The file of a locked plan, as in `study.LOCK`, which is too heavy to import here.
PLAN_LOCK = "study:plan.lock"
#: What reads, checks, computes, draws and writes; an output made with another version of one may differ.
PACKAGES = (
    "babel",
    "duckdb",
    "ipykernel",
    "jinja2",
    "jupyter-client",
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
    "weasyprint",
)
#: The parts of a job's key, and what a reader calls them.
PARTS: Mapping[str, str] = {
    "notebook": "the notebook",
    "parameters": "the parameters",
    "data": "the raw data",
    "definition": "the study's definition",
    "plan": "the plan's lock",
    "code": "mekeval's own code",
    "packages": "the versions of packages",
    "page": "the page around the report",
}
_SEAL = "sha256"
_CODE = (".py", ".toml", ".j2", ".css", ".js", ".csv")
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,79}")


def sha256_of(path: Path) -> str:
    """The sha256 of a file, read in blocks."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def digest(content: object) -> str:
    """The sha256 of plain data, whatever the order of its keys."""
    text = json.dumps(content, ensure_ascii=False, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def stamp_of(basis: Mapping[str, object]) -> str:
    """What outcomes are made from, as one hash, under which they are kept; the day is a parameter of the jobs."""
    return digest({name: value for name, value in basis.items() if name != "as_of"})


def sealed(manifest: Mapping[str, object]) -> dict[str, object]:
    """A manifest with the sha256 of all that it says, so that a change in it is noticed."""
    said = {name: value for name, value in manifest.items() if name != _SEAL}
    return {**said, _SEAL: digest(said)}


def present(folder: Path) -> set[str]:
    """Names of all files below a published folder but its manifest."""
    found = {
        (Path(place) / name).relative_to(folder).as_posix()
        for place, _, names in os.walk(folder)
        for name in names
    }
    return found - {MANIFEST}


def source_sha256() -> str:
    """sha256 of the library's own files, so that a checkout under work is noticed under an unchanged version."""
    root = Path(__file__).resolve().parents[1]
    whole = hashlib.sha256()
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in ("__pycache__", "share"))
        for name in sorted(files):
            if name.endswith(_CODE):
                path = Path(folder) / name
                content = path.read_bytes()
                whole.update(f"{path.relative_to(root).as_posix()}\0{len(content)}\0".encode())
                whole.update(content)
    return whole.hexdigest()


def packages() -> dict[str, str]:
    """Versions of what outputs are made with, Python's too; empty where a package is not there."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = ""
    return found


def study_files(
    folder: Path, raw: str | Path | None, outline: Mapping[str, object], listed: Iterable[str]
) -> dict[str, Path]:
    """Every file in the study's folder itself, and those listed, by "raw:" or "study:" and a name.

    Parameters
    ----------
    folder : Path
        Of the study.
    raw : str or Path or None
        Folder of external raw data, as given.
    outline : mapping
        What stands in `study.toml`, unchecked.
    listed : iterable of str
        Further files.
    """
    kind = str(about(outline).get("raw", "study"))
    roots = {"study": folder, "raw": raw_root(kind, folder, raw)}
    names = {
        f"study:{path.name}" for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")
    }
    found = {}
    for name in sorted(names.union(listed)):
        kind, _, file = name.partition(":")
        root = roots[kind]
        if root is not None:
            found[name] = root / file
    return found


def study_inputs(
    folder: Path, raw: str | Path | None, outline: Mapping[str, object], listed: Iterable[str]
) -> dict[str, str]:
    """sha256 of the files that `study_files` names."""
    return {name: sha256_of(path) for name, path in study_files(folder, raw, outline, listed).items()}


def about(outline: Mapping[str, object]) -> Mapping[str, object]:
    """The table `[study]` as it stands; empty where there is none."""
    table = outline.get("study")
    return table if isinstance(table, dict) else {}


def study_name(outline: Mapping[str, object], folder: Path) -> str:
    """The study's name, or that of its folder where `study.toml` does not tell."""
    name = about(outline).get("name")
    if isinstance(name, str) and _NAME.fullmatch(name):
        return name
    found = re.sub(r"[^a-z0-9]+", "-", folder.resolve().name.lower())
    return found.strip("-")[:80] or "study"


def study_languages(outline: Mapping[str, object]) -> tuple[str, ...]:
    """The study's own languages, as `study.toml` has them."""
    own = about(outline).get("languages", spoken(about(outline).get("title")))
    return tuple(map(str, own)) if isinstance(own, list) else ()


def key_parts(
    *, notebook: str, parameters: Mapping[str, object], page: object, basis: Mapping[str, object]
) -> dict[str, str]:
    """The parts of a job's key, by the names in `PARTS`.

    Parameters
    ----------
    notebook : str
        sha256 of the notebook.
    parameters : mapping
    page : object
        What else decides about the files: the page around the report, and whether there is a PDF.
    basis : mapping
        What all jobs of a set are made from, as in its manifest: "inputs", "code" and "packages".
    """
    inputs = basis["inputs"]
    files: Mapping[str, str] = inputs if isinstance(inputs, dict) else {}
    return {
        "notebook": notebook,
        "parameters": digest(dict(parameters)),
        "data": digest({name: found for name, found in files.items() if name.startswith("raw:")}),
        "definition": digest(
            {name: one for name, one in files.items() if not name.startswith("raw:") and name != PLAN_LOCK}
        ),
        "plan": files.get(PLAN_LOCK, ""),
        "code": str(basis["code"]),
        "packages": digest(basis["packages"]),
        "page": digest(page),
    }


def differing(old: object, new: Mapping[str, str]) -> tuple[str, ...]:
    """The parts in which two keys differ, in the order of `PARTS`; all of them where there is no old one."""
    before: Mapping[str, object] = old if isinstance(old, dict) else {}
    return tuple(name for name in PARTS if before.get(name) != new.get(name))


def said(
    old: object, new: Mapping[str, str], before: Mapping[str, object], basis: Mapping[str, object]
) -> str:
    """In words which parts of a key differ, with the files and packages where they are known.

    Parameters
    ----------
    old, new : mapping
        Parts of a key.
    before, basis : mapping
        What the sets are made from, then and now.
    """
    words = []
    for part in differing(old, new):
        kind = {"data": "inputs", "definition": "inputs", "packages": "packages"}.get(part, "")
        then, now = (one if isinstance(one, dict) else {} for one in (before.get(kind), basis.get(kind)))
        names = sorted(name for name in then.keys() | now.keys() if then.get(name) != now.get(name))
        if kind == "inputs":
            names = [name.partition(":")[2] for name in names if name.startswith("raw:") == (part == "data")]
        shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        words.append(PARTS[part] + (f" ({shown})" if shown else ""))
    return ", ".join(words)
