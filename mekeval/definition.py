"""`study.toml` as bytes and as plain TOML, in bounded time and memory; what it means is for `study` to say.

In: a path. Out: its bytes, and the tables that stand in it. Never: a file whose keys are so long or deep that
reading them takes minutes. Nothing heavy is imported, so that an unchanged study can be recognised at once.
"""

from __future__ import annotations

import re
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path

from .errors import StudyError

#: A study of a hundred sources has some 50 kB.
MOST_BYTES = 2**20
#: Parts of a dotted key; the schema has four at most, and tomllib needs time with the square of them.
MOST_PARTS = 16

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
        raise StudyError(
            "There is no study here.",
            where=str(file),
            expected="a folder with a study.toml",
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
