"""The raw files of a study: where they lie, and whether they are the ones that the study was written for.

In: what study.toml says of them, and the folder of raw data. Out: paths, or faults. Never: a file outside of its
folder, or one with another checksum than the study has.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from ..definition import PACKAGE, RAW_VARIABLE, raw_root
from ..errors import Fault, StudyError
from .schema import StudySpec

#: A list of all areas of a country has some 500 kB.
MOST_LIST_BYTES = 2**26


def raw_paths(
    spec: StudySpec, folder: Path, raw: str | Path | None, where: str, faults: list[Fault]
) -> Iterator[Path]:
    """The raw files in the order of the sources; what is wrong with one is added to `faults`."""
    root = raw_root(spec.study.raw, folder, raw)
    if root is None or not root.is_dir():
        faults.append(_no_root(spec, raw))
        return
    sums: dict[Path, str] = {}  # several sources may speak of one file
    for number, source in enumerate(spec.source, start=1):
        place = f"{where}, source[{number}] {source.file!r}"
        path = inside(root, source.file)
        if path is None:
            faults.append(
                Fault(
                    what="A raw file must lie inside its folder.",
                    where=place,
                    found=repr(source.file),
                    expected="a relative path without '..' that no link leads out of the folder",
                )
            )
            continue
        try:
            if path not in sums:
                sums[path] = checksum(path)
        except IsADirectoryError:
            faults.append(
                Fault(what="A raw file is no file.", where=place, found=str(path), expected="a regular file")
            )
            continue
        except OSError:
            fix = "Download it with: mekeval fetch" if source.fetch else ""
            faults.append(Fault(what="A raw file is missing.", where=place, expected=str(path), fix=fix))
            continue
        if sums[path] != source.sha256:
            faults.append(
                Fault(
                    what="A raw file is not the one that the study was written for.",
                    where=place,
                    found=f"sha256 {sums[path]}",
                    expected=f"sha256 {source.sha256}",
                    fix="Restore the file, or write the new sha256 and vintage in study.toml if it is meant.",
                )
                if source.sha256
                else Fault(
                    what="A raw file has no checksum in study.toml yet.",
                    where=place,
                    found=f"sha256 {sums[path]}",
                    fix="Look at the file; if it is the one that you mean, write its checksum into study.toml.",
                )
            )
        yield path


def _no_root(spec: StudySpec, raw: str | Path | None) -> Fault:
    kind = spec.study.raw
    if kind.startswith(PACKAGE):
        name = kind.removeprefix(PACKAGE)
        return Fault(
            what="The raw data of this study come with a Python package that is not installed.",
            where="study.toml, study.raw",
            found=f"no package {name!r}",
            fix=f"pip install {name}",
        )
    given = raw if raw is not None else os.environ.get(RAW_VARIABLE)
    return Fault(
        what="The raw data of this study lie outside it, and their folder is not known.",
        where="--raw",
        found=repr(str(given)) + ", which is no folder" if given else "nothing",
        expected="the folder that holds " + (PurePosixPath(spec.source[0].file).parts or ("",))[0] + "/",
        fix=f"Give --raw FOLDER, or set {RAW_VARIABLE}.",
    )


def checksum(path: Path) -> str:
    """The sha256 of a file, read in blocks.

    Raises
    ------
    IsADirectoryError
        It is a folder, or a pipe or device that might never end.
    OSError
        It cannot be read.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise IsADirectoryError(str(path))
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def published_before(spec: StudySpec, folder: Path, where: str, faults: list[Fault]) -> bytes:
    """The checksums of the tables that were published before; what is wrong with one is added to `faults`."""
    sums = []
    for file in spec.study.earlier:
        path = inside(folder, file)
        try:
            if path is None:
                raise OSError("it lies outside the study's folder")
            sums.append(checksum(path))
        except OSError as cause:
            faults.append(
                Fault(
                    what="A table that was published before is missing.",
                    where=f"{where}, study.earlier {file!r}",
                    found=cause.strerror or str(cause),
                    expected="a CSV in the study's folder",
                )
            )
    return "".join(sums).encode()


def refuse_no_list(path: Path) -> None:
    """A list of the study must be a regular file of bounded size; whether it is there, its reader says.

    Raises
    ------
    StudyError
        It is a folder, a pipe or a device, or too large.
    """
    try:
        state = path.stat()
    except OSError:
        return
    if not stat.S_ISREG(state.st_mode):
        raise StudyError("A list of the study is no file.", where=str(path), expected="a regular file")
    if state.st_size > MOST_LIST_BYTES:
        raise StudyError(
            "A list of the study is too large.",
            where=str(path),
            found=f"{state.st_size} bytes",
            expected=f"at most {MOST_LIST_BYTES} bytes",
        )


def inside(root: Path, file: str) -> Path | None:
    """The file below its folder, or None where the name would leave it (absolute, '..', a link)."""
    if re.match(r"^([/\\]|[A-Za-z]:)", file) or ".." in PurePosixPath(file.replace("\\", "/")).parts:
        return None
    path = root / file
    try:
        if path.is_symlink():
            path.stat()  # Python 3.13 resolves a link to itself without complaint
        return path if path.resolve().is_relative_to(root.resolve()) else None
    except (OSError, RuntimeError, ValueError):  # a link to itself, a NUL in the name
        return None
