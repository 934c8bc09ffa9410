"""The site of a published set, made with a run or again later: pages, feeds and a CSV file beside the reports.

In: the folder of a set, or of several. Out: the same folder, published anew with one swap. Never: a set that is half
old and half new, a number that is not in findings.json, or earlier output lost to a bad file.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from ..dates import dated
from ..display import Shown
from ..errors import Fault, MekevalError, RunError
from ..render.record import SITE, SetFacts, parsed, read_facts
from ..render.site import findings_csv, join_files, require_address, site_files
from .asked import damaged
from .keys import MANIFEST, sealed
from .publish import canonical, hashes, publication, take, write

__all__ = ["BuiltSite", "build_site", "write_site"]

FINDINGS = "findings.json"
#: What the site itself writes: it may be missing, or of an older version.
_PAGE = re.compile(r"(?:index|feed)(?:\.[a-z]{2})?\.(?:html|xml)|findings\.csv")
_ANCHOR = re.compile(r'\sid="(outcome-[^"<>]{1,200})"')


@dataclass(frozen=True, kw_only=True, repr=False)
class BuiltSite(Shown):
    """What `build_site` made.

    Attributes
    ----------
    index : Path
        The page to open first.
    sets : tuple of Path
        Folder of each study's site.
    """

    index: Path
    sets: tuple[Path, ...]


def build_site(folder: str | Path, *, out: str | Path | None = None, base: str = "") -> BuiltSite:
    """Make the pages of published reports again, without data and without computing anything.

    Parameters
    ----------
    folder : str or Path
        A published set such as ``reports/vantaa-mek``, or a folder of several such as ``reports``: it then gets a page
        that joins them.
    out : str or Path, optional
        Folder in which the whole set is published, reports and all, under its name; by default where it lies.
    base : str
        Address at which `out` will be found, with a slash at the end; feeds then hold whole addresses.

    Returns
    -------
    BuiltSite

    Raises
    ------
    RunError
        There is no set, or a file of it is missing or broken. All sets are read before anything is written.

    Examples
    --------
    >>> from mekeval import build_site
    >>> build_site("reports/vantaa-mek").index  # doctest: +SKIP
    PosixPath('reports/vantaa-mek/index.html')
    """
    require_address(base)
    folder = Path(folder).absolute()  # the link itself, not what it leads to
    alone = (folder / MANIFEST).is_file()
    found = [folder] if alone else _sets(folder)
    target = Path(out) if out is not None else folder.parent if alone else folder
    read = {one: _read(one, base) for one in found}
    for one, made in read.items():
        if out is None and one.name != made.name:
            raise RunError(
                "The folder has another name than its reports.",
                where=str(one),
                expected=made.name,
                fix="Rename it, or choose a folder with --out.",
            )
    if len({made.name for made in read.values()}) != len(read):
        raise RunError(
            "Two folders hold reports of one study.", where=str(folder), found=", ".join(map(str, found))
        )
    for one, made in read.items():
        with publication(target, made.facts.study.study, as_of=made.facts.as_of) as (new, _):
            if _whole(one) != made.manifest:  # another run has published since
                made = _read(one, base)
            for name in _recorded(made.manifest):
                if not _PAGE.fullmatch(name):
                    take(one, new, name)
            _put_all(new, made.files)
            write(new, MANIFEST, canonical(sealed({**made.manifest, "files": hashes(new)})))
    sets = tuple(target / made.name for made in read.values())
    if not alone:
        for name, text in join_files({made.name: made.facts for made in read.values()}).items():
            _put(target / name, text)
    return BuiltSite(index=(sets[0] if alone else target) / "index.html", sets=sets)


def write_site(folder: Path, manifest: Mapping[str, object], *, base: str = "") -> None:
    """Write pages, feeds and `findings.csv` into a folder that holds a whole set but for its manifest.

    Parameters
    ----------
    folder : Path
        With reports, `findings.json` and `SITE`.
    manifest : mapping
        What the manifest will say, but for the hashes of files.
    base : str
        As in `build_site`.

    Raises
    ------
    RunError
        The files contradict each other.
    """
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    _put_all(folder, _made(folder, manifest, files, base).files)


def _sets(folder: Path) -> list[Path]:
    found = sorted(one.parent for one in folder.glob(f"*/{MANIFEST}") if not one.parent.name.startswith("."))
    found = [one for one in found if (one / FINDINGS).is_file()]
    if not found:
        raise RunError(
            "There are no reports here.",
            where=str(folder),
            expected=f"a published set with {MANIFEST} and {FINDINGS}, or a folder of such sets",
            fix="Make reports with `mekeval run`.",
        )
    return found


@dataclass(frozen=True, kw_only=True)
class _Made:
    """A set's site, ready to be written."""

    name: str
    manifest: Mapping[str, object]
    facts: SetFacts
    files: Mapping[str, str]


def _read(folder: Path, base: str) -> _Made:
    manifest = _whole(folder)
    return _made(folder, manifest, _recorded(manifest), base)


def _made(folder: Path, manifest: Mapping[str, object], files: Collection[str], base: str) -> _Made:
    findings = _content(folder, FINDINGS)
    there = {*files, MANIFEST, "findings.csv"}
    facts = read_facts(_content(folder, SITE), manifest, findings, files=there, where=str(folder))
    name = dated(facts.study.study, facts.as_of)
    pages = site_files(
        facts, name=name, base=base and f"{base}{quote(name, safe='@')}/", anchors=_anchors(folder, facts)
    )
    texts = {**pages, "findings.csv": findings_csv(findings, facts)}
    return _Made(name=name, manifest=manifest, facts=facts, files=texts)


def _put_all(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        (folder / name).unlink(missing_ok=True)  # a hard link to the old set may stand here
        write(folder, name, text)


def _whole(folder: Path) -> dict[str, object]:
    """The manifest of a set whose files, but for the site's own, are as they were published."""
    manifest = _content(folder, MANIFEST)
    if not isinstance(manifest, dict) or manifest != sealed(manifest):
        raise RunError(
            "The manifest is not as it was published.",
            where=str(folder / MANIFEST),
            fix="Make the reports again with `mekeval run`.",
        )
    faults = [
        Fault(
            what=f"A file of the set is {state}.",
            where=str(folder / name),
            expected="the file as it was published",
            fix="Bring it back, or make it again with `mekeval run`.",
        )
        for name, state in damaged(folder, manifest).items()
        if state != "extra" and not _PAGE.fullmatch(name)
    ]
    if faults:
        raise RunError.of(faults)
    return manifest


def _recorded(manifest: Mapping[str, object]) -> set[str]:
    files = manifest.get("files")
    return set(files) if isinstance(files, dict) else set()


def _content(folder: Path, name: str) -> object:
    path = folder / name
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise RunError(
            "A file of the set is not there.",
            where=str(path),
            fix="Make the reports again with `mekeval run`.",
        ) from None
    except (OSError, UnicodeDecodeError) as cause:
        raise RunError("A file of the set cannot be read.", where=str(path), found=str(cause)[:120]) from None
    return parsed(text, str(path))


def _anchors(folder: Path, facts: SetFacts) -> dict[str, frozenset[str]]:
    """Of each report's page the places of its outcomes."""
    found = {}
    for report in facts.reports:
        with suppress(OSError):
            page = (folder / f"{report.name}.html").read_text(encoding="utf-8", errors="replace")
            found[f"{report.name}.html"] = frozenset(_ANCHOR.findall(page))
    return found


def _put(path: Path, text: str) -> None:
    """Write a file beside the sets: the whole new one, or the old one as it was."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(text.encode("utf-8"))
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except OSError as cause:
        Path(name).unlink(missing_ok=True)
        raise MekevalError("The page cannot be written.", where=str(path), found=str(cause)) from None
