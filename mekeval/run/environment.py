"""The exact environment of a published set: every package that mekeval's reports can load, with its version.

In: what is installed, or a published set. Out: names and versions, or lines for pip. Never: an address, a path, or a
package that has nothing to do with mekeval.
"""

from __future__ import annotations

import json
import re
from importlib import metadata
from pathlib import Path

from ..errors import RunError
from .keys import MANIFEST

__all__ = ["pinned_requirements"]

#: Extras for work on the library, or to explore; no report loads them.
_BESIDE = frozenset({"bench", "docs", "lab", "mutants", "release", "test"})
#: What pandas and beautifulsoup4 load where it is there, without requiring it.
_TAKEN = ("bottleneck", "lxml", "numexpr", "pyarrow")
_REQUIRED = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[([^\]]*)\])?")
_EXTRA = re.compile(r"""extra\s*==\s*["']([^"']+)["']""")
_PINNED = re.compile(r"[a-z0-9][a-z0-9-]*"), re.compile(r"[A-Za-z0-9][A-Za-z0-9.!+_-]*")


def installed() -> dict[str, str]:
    """Versions by name of mekeval and all that it requires, directly or not, as far as it is installed."""
    found: dict[str, str] = {}
    seen: dict[str, frozenset[str]] = {}
    left = [("mekeval", frozenset({"*"})), *((name, frozenset[str]()) for name in _TAKEN)]
    while left:
        name, extras = left.pop()
        known = seen.get(name)
        if known is not None and extras <= known:
            continue
        seen[name] = extras | (known or frozenset())
        try:
            package = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue  # of an extra that is not there, or of another system
        found[name] = package.version
        for line in package.requires or ():
            left += _needed(line, extras)
    return dict(sorted(found.items()))


def _needed(line: str, extras: frozenset[str]) -> list[tuple[str, frozenset[str]]]:
    """What one line of a package's requirements asks for; nothing where it is for an extra that nobody wants."""
    wanted, _, marker = line.partition(";")
    of_extras = set(_EXTRA.findall(marker))
    own = "*" in extras
    if of_extras and not (of_extras - _BESIDE if own else of_extras & extras):
        return []
    match = _REQUIRED.match(wanted)
    if match is None:
        return []
    name = re.sub(r"[-_.]+", "-", match[1]).lower()
    return [] if name == "mekeval" else [(name, frozenset(re.findall(r"[\w.-]+", match[2] or "")))]


def pinned_requirements(folder: str | Path) -> str:
    """Lines for pip that install what a published set was made with.

    Parameters
    ----------
    folder : str or Path
        A set such as ``reports/vantaa-mek``.

    Returns
    -------
    str
        ``name==version`` by name, after comments that give the version of Python and, where the set was made from a
        checkout, its commit.

    Raises
    ------
    RunError
        There is no set, or its manifest does not say.

    Notes
    -----
    Reports that a later run took over unchanged were made with the same mekeval and the same packages that read,
    compute and draw, or they would not have been unchanged; other packages are those of the last run.
    """
    path = Path(folder) / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        manifest = None
    if not isinstance(manifest, dict):
        raise RunError(
            "There is no published set here.",
            where=str(folder),
            expected=f"a folder with a {MANIFEST}, such as reports/NAME",
        )
    packages = _packages_of(manifest.get("environment"))
    if not packages:
        raise RunError(
            "The set does not say in which environment it was made.",
            where=f"{path}, environment",
            fix="Make the set again: mekeval run STUDY",
        )
    machine = manifest.get("machine")
    python = str(machine.get("python", "")) if isinstance(machine, dict) else ""
    lines = [f"# Python {python}"] if _PINNED[1].fullmatch(python) else []
    git = manifest.get("git")
    own = git.get("mekeval") if isinstance(git, dict) else None
    if isinstance(own, dict) and re.fullmatch(r"[0-9a-f]{40,64}", str(own.get("commit", ""))):
        changed = ", with changes that were not committed" if own.get("dirty") else ""
        lines.append(f"# mekeval was a checkout of commit {own['commit']}{changed}")
    lines += [f"{name}=={version}" for name, version in sorted(packages.items())]
    return "\n".join(lines) + "\n"


def _packages_of(given: object) -> dict[str, str]:
    """Names and versions, if that is all there is: nothing that pip would take for another thing."""
    found = {str(name): str(value) for name, value in given.items()} if isinstance(given, dict) else {}
    known = all(_PINNED[0].fullmatch(name) and _PINNED[1].fullmatch(value) for name, value in found.items())
    return found if known else {}
