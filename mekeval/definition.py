"""`study.toml` as bytes and as plain TOML, in bounded time and memory; what it means is for `study` to say.

In: a path. Out: its bytes, the tables that stand in it, and the folder in which its raw files lie. Never: a file whose
keys are so long or deep that reading them takes minutes. Nothing heavy is imported, so that an unchanged study can be
recognised at once.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import tomllib
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, get_args

from .errors import StudyError

#: The languages of studies and reports. docs/howto/add_a_language.md says where else a new one is named.
Language = Literal["fi", "sv", "en"]
LANGUAGES: tuple[Language, ...] = get_args(Language)

#: A study of a hundred sources has some 50 kB.
MOST_BYTES = 2**20
#: Parts of a dotted key; the schema has four at most, and tomllib needs time with the square of them.
MOST_PARTS = 16

#: The variable of the environment that names the folder of external raw data.
RAW_VARIABLE = "MEKEVAL_RAW"
#: How the key `raw` names a Python package that brings the data.
PACKAGE = "package:"

_PART = r"""(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')"""
_LONG_KEY = re.compile(rf"(?<![\w-]){_PART}(?:[ \t]*+\.[ \t]*+{_PART}){{{MOST_PARTS},}}+")


def definition_file(study: Path) -> Path:
    """The `study.toml` of a study that is named by its folder or by this file."""
    return study if study.suffix == ".toml" else study / "study.toml"


def definition_bytes(file: Path) -> bytes:
    """The bytes of a `study.toml`.

    Raises
    ------
    StudyError
        It is not there, is no regular file, cannot be read, or is too large to be one.
    """
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            raise OSError("no regular file")  # a pipe would wait for a writer for ever
        with file.open("rb") as stream:
            text = stream.read(MOST_BYTES + 1)
    except (OSError, ValueError):
        near = _study_below(file.parent)
        raise StudyError(
            "There is no study here.",
            where=str(file.absolute()),
            expected=f"a folder with a study.toml{near and f', such as {near}'}",
            fix="Name the folder of a study, or write one with: mekeval new my-study",
        ) from None
    if len(text) > MOST_BYTES:
        raise StudyError(
            "study.toml is too large to be one.",
            where=str(file),
            expected=f"at most {MOST_BYTES} bytes",
            fix="Data belong in the raw files.",
        )
    return text


def _study_below(folder: Path) -> str:
    """A study up to three folders further down, as `mekeval new` lays it; empty where none is found."""
    with contextlib.suppress(OSError, ValueError):
        for pattern in ("*", "data/*", "*/data/*"):
            for one in sorted(folder.glob(f"{pattern}/study.toml")):
                name = str(one.parent)
                if name.isprintable() and one.is_file():  # a name may hold what moves the cursor
                    return name
    return ""


def definition_tables(text: bytes, *, where: str) -> Mapping[str, object]:
    """What stands in a `study.toml`, unchecked.

    Raises
    ------
    StudyError
        It is not TOML, or a key in it has more parts than `MOST_PARTS`.
    """
    try:
        decoded = text.decode("utf-8-sig")
        if long := _LONG_KEY.search(decoded):
            line = decoded.count("\n", 0, long.start()) + 1
            raise ValueError(f"a key of more than {MOST_PARTS} parts in line {line}")
        return tomllib.loads(decoded)
    except (
        ValueError,
        RecursionError,
    ) as cause:  # TOMLDecodeError, UnicodeDecodeError, a number of 5,000 digits
        raise StudyError(
            "study.toml is not valid TOML.",
            where=where,
            found=str(cause)[:300],
            expected="UTF-8 text in TOML form",
        ) from None


def raw_root(kind: str, folder: Path, raw: str | Path | None) -> Path | None:
    """The folder that raw files are named from, or None where it is not known.

    Parameters
    ----------
    kind : str
        The study's key `raw`: "study", "external" or "package:" and the name of an installed Python package.
    folder : Path
        The study's own folder.
    raw : str or Path or None
        The folder of external data; None asks the variable MEKEVAL_RAW.
    """
    if kind == "study":
        return folder
    if kind == "external":
        given = raw if raw is not None else os.environ.get(RAW_VARIABLE)
        return Path(given) if given else None
    spec = find_spec(kind.removeprefix(PACKAGE))  # which finds a package and does not run it
    places = spec.submodule_search_locations if spec else None
    return Path(next(iter(places))) if places else None


def spoken(title: object) -> list[str]:
    """The languages in which a title is written, which are those of a study that names none."""
    words = title if isinstance(title, dict) else {}
    return [language for language in LANGUAGES if words.get(language)] or ["fi"]
