"""Is a published set what was published, and does the study still lead to it?

In: a folder. Out: every file that is missing, changed or extra; after a rerun, every file that comes out otherwise, and
what the two were made from. Never: a word of trust in a manifest that was changed itself.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..display import Shown
from ..errors import RunError
from .asked import KIND, damaged
from .keys import MANIFEST, sealed

__all__ = ["Mismatch", "rerun_set", "verify_set"]


@dataclass(frozen=True, kw_only=True, repr=False)
class Mismatch(Shown):
    """One thing that is not as it was published.

    Attributes
    ----------
    name : str
        Of a file, or of what the set was made from.
    what : {"missing", "changed", "extra", "made otherwise", "not made", "made from"}
        "made otherwise" and "not made" are of a rerun; "made from" names an input or a package that is another one now.
    """

    name: str
    what: Literal["missing", "changed", "extra", "made otherwise", "not made", "made from"]


def verify_set(folder: str | Path) -> tuple[Mismatch, ...]:
    """Compare a published set, or all sets in a folder, with what their manifests say.

    Parameters
    ----------
    folder : str or Path
        A set such as ``reports/vantaa-mek``, or the folder of several.

    Returns
    -------
    tuple of Mismatch
        Empty where every file is as it was published.

    Raises
    ------
    RunError
        There is no set.
    """
    place = Path(folder)
    sets = sets_in(place)
    found = []
    for one in sets:
        before = "" if one == place else f"{one.name}/"
        try:
            manifest = json.loads((one / MANIFEST).read_text(encoding="utf-8"))
            whole = isinstance(manifest, dict) and isinstance(manifest.get("files"), dict)
        except (OSError, ValueError):
            whole, manifest = False, {}
        if not whole or ("sha256" in manifest and manifest != sealed(manifest)):
            found.append(Mismatch(name=f"{before}{MANIFEST}", what="changed"))
        if whole:
            for name, what in damaged(one, manifest).items():
                if what == "missing":
                    found.append(Mismatch(name=before + name, what="missing"))
                else:
                    found.append(Mismatch(name=before + name, what="extra" if what == "extra" else "changed"))
    return tuple(found)


def sets_in(folder: Path) -> list[Path]:
    """The published sets that a folder is or holds.

    Raises
    ------
    RunError
        There is none.
    """
    if (folder / MANIFEST).is_file():
        return [folder]
    sets = sorted(path.parent for path in folder.glob(f"[!.]*/{MANIFEST}"))
    if not sets:
        raise RunError(
            "There is no published set here.",
            where=str(folder),
            expected=f"a folder with a {MANIFEST}, such as reports/NAME",
        )
    return sets


def rerun_set(
    folder: str | Path,
    study: str | Path,
    *,
    raw: str | Path | None = None,
    notebooks: str | Path | None = None,
    jobs: int | None = None,
    progress: bool = False,
) -> tuple[Mismatch, ...]:
    """Make a published set of reports again, elsewhere, and compare.

    Parameters
    ----------
    folder : str or Path
        The set.
    study : str or Path
        The study it was made from.
    raw, notebooks, jobs, progress
        As in `run_study`.

    Returns
    -------
    tuple of Mismatch
        First what the two are made from, as far as it differs, then files; the manifest, which holds times, is not
        compared, nor are feeds.

    Raises
    ------
    MekevalError
        There is no set, it is no set of reports, or the study cannot be run.
    """
    from . import run_study

    place = Path(folder)
    manifest = _reports(place)
    requests = manifest["requests"]
    differences: list[Mismatch] = list(verify_set(place))
    with tempfile.TemporaryDirectory(prefix="mekeval-verify-") as scratch:
        for one in requests if isinstance(requests, list) else ():
            asked = one["asked"]
            run_study(
                study,
                years=asked["years"],
                districts=asked["districts"],
                languages=asked["languages"],
                kinds=asked["kinds"],
                parameters=asked["parameters"],
                pdf=asked["pdf"],
                raw=raw,
                as_of=str(manifest["as_of"]) or None,
                out=scratch,
                notebooks=notebooks,
                jobs=jobs,
                progress=progress,
            )
        again = _reports(next(iter(sets_in(Path(scratch)))))
    differences += _made_from(manifest, again)
    files, others = manifest["files"], again["files"]
    if isinstance(files, dict) and isinstance(others, dict):
        for name in sorted(files.keys() | others.keys()):
            if name.endswith(".xml"):
                continue  # feeds hold times
            if name not in others:
                differences.append(Mismatch(name=name, what="not made"))
            elif files.get(name) != others[name]:
                differences.append(Mismatch(name=name, what="made otherwise"))
    return tuple(differences)


def _reports(folder: Path) -> Mapping[str, object]:
    manifest = json.loads((sets_in(folder)[0] / MANIFEST).read_text(encoding="utf-8"))
    if len(sets_in(folder)) > 1 or manifest.get("kind") != KIND or not manifest.get("requests"):
        raise RunError(
            "Only one set of reports at a time can be made again.",
            where=str(folder),
            expected="the folder of a set that `mekeval run` made",
        )
    return dict(manifest)


def _made_from(manifest: Mapping[str, object], again: Mapping[str, object]) -> list[Mismatch]:
    """Inputs, code and packages in which two sets differ."""
    then, now = (_flat(one) for one in (manifest, again))
    return [
        Mismatch(name=name, what="made from")
        for name in sorted(then.keys() | now.keys())
        if then.get(name) != now.get(name)
    ]


def _flat(manifest: Mapping[str, object]) -> dict[str, object]:
    basis = manifest["made_from"]
    flat: dict[str, object] = {}
    for name, value in (basis if isinstance(basis, dict) else {}).items():
        if isinstance(value, dict):
            flat |= {f"{name}: {one}": found for one, found in value.items()}
        else:
            flat[name] = value
    for report in manifest["reports"] if isinstance(manifest["reports"], list) else ():
        flat[f"notebook: {report['notebook']}"] = report["parts"]["notebook"]
    return flat
