"""What a release consists of, in `dist/`: sdist, wheel, lock file, SBOM and their checksums.

    python release/artefacts.py [--commit HEAD] [--out dist]

Everything is made from a commit, not from the working tree. sdist and wheel are built twice, in folders of different
names, and must be the same bytes; the wheel is built from the sdist. The lock file pins every package with its hashes
for all supported versions of Python. The SBOM (CycloneDX) lists what an installation of the wheel with the lock file
holds; it is validated against its schema. Nothing here names a registry, a machine or a path.

Needs git, the extra `release` and a package registry. `--builds-only` needs no registry.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
#: What reports can need; the others are for work on the library.
EXTRAS = ("fetch", "geo", "monitoring", "pdf", "register", "xlsx")
#: A place that has nothing to do with what is released: an address of a registry, a path of a machine.
PLACE = re.compile(r"(?:https?|file|ssh)://|/(?:home|root|tmp|usr|var|Users)/|[A-Za-z]:\\\\")


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--commit", default="HEAD")
    words.add_argument("--out", type=Path, default=ROOT / "dist")
    words.add_argument("--builds-only", action="store_true", help="sdist and wheel only")
    asked = words.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        made = built_twice(asked.commit, Path(scratch))
        if not asked.builds_only:
            project = Path(scratch) / "one" / "source" / "pyproject.toml"
            lock = locked(Path(scratch), project, wheel=made[1])
            made += [lock, bill_of_materials(Path(scratch), project, wheel=made[1], lock=lock)]
        asked.out.mkdir(parents=True, exist_ok=True)
        for path in made:
            shutil.copy(path, asked.out)
    sums = "".join(f"{sha256(path)}  {path.name}\n" for path in (asked.out / one.name for one in made))
    (asked.out / "SHA256SUMS").write_text(sums, encoding="utf-8")
    sys.stdout.write(sums)


def built_twice(commit: str, scratch: Path) -> list[Path]:
    """sdist and wheel of a commit, the same from two folders."""
    when = said(["git", "log", "-1", "--format=%ct", commit], cwd=ROOT).strip()
    first, again = (built(commit, scratch / place, when) for place in ("one", "another/and-deeper"))
    for path, other in zip(first, again, strict=True):
        if (path.name, sha256(path)) != (other.name, sha256(other)):
            sys.exit(f"{path.name} is not reproducible: two builds of {commit} differ.")
    return first


def built(commit: str, folder: Path, when: str) -> list[Path]:
    """sdist of a commit, and the wheel of that sdist."""
    source = folder / "source"
    source.mkdir(parents=True)
    archive = folder / "source.tar"
    said(["git", "archive", "--format=tar", f"--output={archive}", commit], cwd=ROOT)
    with tarfile.open(archive) as content:
        content.extractall(source, filter="data")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder / "out"), str(source)]
    said(command, cwd=folder, env={**os.environ, "SOURCE_DATE_EPOCH": when})
    (sdist,) = (folder / "out").glob("*.tar.gz")
    (wheel,) = (folder / "out").glob("*.whl")
    return [sdist, wheel]


def locked(scratch: Path, project: Path, *, wheel: Path) -> Path:
    """Every package that reports can need, pinned with hashes, for all supported versions of Python."""
    target = scratch / f"{stem(wheel)}.lock.txt"
    command = [*uv(), "pip", "compile", str(project), "--universal", "--generate-hashes"]
    command += [part for extra in EXTRAS for part in ("--extra", extra)]
    command += ["--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links", "--quiet"]
    said([*command, "--output-file", str(target)], cwd=scratch)
    nowhere(target)
    return target


def bill_of_materials(scratch: Path, project: Path, *, wheel: Path, lock: Path) -> Path:
    """A CycloneDX list of what an installation holds, validated."""
    place, target = scratch / "installed", scratch / f"{stem(wheel)}.cdx.json"
    said([*uv(), "venv", "--quiet", "--python", sys.executable, str(place)], cwd=scratch)
    python = str(place / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))
    into = [*uv(), "pip", "install", "--quiet", "--python", python]
    said([*into, "--require-hashes", "--requirements", str(lock)], cwd=scratch)
    said([*into, "--no-deps", str(wheel)], cwd=scratch)
    command = [sys.executable, "-m", "cyclonedx_py", "environment", python, "--output-reproducible"]
    command += ["--pyproject", str(project), "--mc-type", "library", "--validate"]
    said([*command, "--output-format", "JSON", "--output-file", str(target)], cwd=scratch)
    content = without_places(json.loads(target.read_text(encoding="utf-8")))
    target.write_text(
        json.dumps(content, ensure_ascii=False, indent=1, sort_keys=True) + "\n", encoding="utf-8"
    )
    validated(target)
    nowhere(target, but="$schema")
    return target


def without_places(part: object) -> object:
    """Names, versions, licences and hashes stay; addresses of pages and files go."""
    if isinstance(part, dict):
        kept = {name: value for name, value in part.items() if name not in ("externalReferences", "url")}
        return {name: without_places(value) for name, value in kept.items()}
    if isinstance(part, list):
        return [without_places(value) for value in part]
    return part


def validated(path: Path) -> None:
    """Refuse an SBOM that does not follow the schema of its own version."""
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    text = path.read_text(encoding="utf-8")
    wrong = JsonStrictValidator(SchemaVersion.from_version(json.loads(text)["specVersion"])).validate_str(
        text
    )
    if wrong is not None:
        sys.exit(f"{path.name} is not valid CycloneDX: {wrong}")


def nowhere(path: Path, *, but: str = "\0") -> None:
    """Refuse a file that names a registry, a machine or a path."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if PLACE.search(line) and but not in line:
            sys.exit(f"{path.name}, line {number}, names a place: {line.strip()[:80]}")


def stem(wheel: Path) -> str:
    """mekeval-1.2.3 of mekeval-1.2.3-py3-none-any.whl."""
    return "-".join(wheel.name.split("-")[:2])


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def uv() -> list[str]:
    return [sys.executable, "-m", "uv"]


def said(command: Sequence[str], *, cwd: Path, env: dict[str, str] | None = None) -> str:
    """What a command prints; its failure is ours."""
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command[:6])} ... failed:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
    return done.stdout


if __name__ == "__main__":
    main()
