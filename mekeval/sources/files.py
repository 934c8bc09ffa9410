"""Bytes and text of raw files: how large, how encoded, and whether they are data at all.

In: a path. Out: bytes or text with its encoding. Never: a file read before its size is known, or an encoding that
was declared and not looked at.
"""

from __future__ import annotations

import bz2
import codecs
import gzip
import json
import re
import zlib
from collections import Counter
from pathlib import Path

from ..errors import DataError, MekevalError

#: Text files of area statistics are a few megabytes; a larger one would fill the memory before its fault is seen.
MOST_BYTES = 64 * 2**20
#: JSON takes many times its size in memory, and how many times depends on what it holds.
MOST_JSON, MOST_JSON_MEMORY = 48 * 2**20, 300 * 2**20
#: The Finnish and Swedish letters (ä ö å Ä Ö Å) as UTF-8 writes them.
_UTF8_LETTER = re.compile(rb"\xc3[\xa4\xb6\xa5\x84\x96\x85]")


def checked_size(path: Path, file: str, most: int = MOST_BYTES) -> int:
    """The size of a file, which is looked at before anything is read."""
    size = path.stat().st_size
    if size > most:
        raise DataError(
            "The file is too large.", where=file, found=f"{size:,} bytes", expected=f"at most {most:,} bytes"
        )
    return size


def read_bytes(path: Path, file: str, most: int = MOST_BYTES) -> bytes:
    """The bytes of a text file: not empty, not a server's error page, without NUL, and not too large to hold.

    A file whose name ends with `.gz` or `.bz2` is unpacked.
    """
    checked_size(path, file, most)
    content = _unpacked(path, file, most)
    bare = (
        content[:4096].removeprefix(codecs.BOM_UTF8).strip() or content.removeprefix(codecs.BOM_UTF8).strip()
    )
    if not bare:
        raise DataError("The file is empty.", where=file)
    at = content.find(b"\x00")
    if at >= 0:
        wide = content[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) or at < 2
        raise DataError(
            "The file has a NUL byte: it is no text, or text in UTF-16."
            if wide
            else "The file has a NUL byte: it is no text.",
            where=f"{file}, row {content.count(bytes([10]), 0, at) + 1}",
            found=f"byte {at}",
            fix="Save it as UTF-8." if wide else "",
        )
    refuse_web_page(bare, file)
    return content


def _unpacked(path: Path, file: str, most: int) -> bytes:
    kind = path.suffix.lower()
    if kind not in (".gz", ".bz2"):
        return path.read_bytes()
    try:
        with gzip.open(path) if kind == ".gz" else bz2.open(path) as packed:
            content = packed.read(most + 1)
    except (OSError, EOFError, zlib.error) as cause:
        raise unreadable(f"a packed file ({kind})", file, cause) from None
    if len(content) > most:
        raise DataError(
            "The file unpacks to more than can be held.", where=file, expected=f"at most {most:,} bytes"
        )
    return content


def decoded(content: bytes, file: str) -> tuple[str, str]:
    """Text of an encoding that nobody declared: UTF-8 where the bytes are, else ISO-8859-1 or Windows-1252.

    Returns
    -------
    text, encoding : str
    """
    try:
        return content.decode("utf-8-sig"), "UTF-8"
    except UnicodeDecodeError as cause:
        # Letters of two bytes as UTF-8 writes them make no sense in the other two: this is UTF-8 with a fault.
        if _UTF8_LETTER.search(content):
            raise DataError(
                "The file is in UTF-8 but for some bytes.",
                where=f"{file}, row {content.count(bytes([10]), 0, cause.start) + 1}",
                found=f"byte {cause.start}: {content[cause.start : cause.start + 4]!r}",
                fix="Download it again, or save it anew in one encoding.",
            ) from None
        # 0x80-0x9F are control codes in ISO-8859-1 and letters in Windows-1252: their presence tells them apart.
        encoding = "windows-1252" if re.search(rb"[\x80-\x9f]", content) else "iso-8859-1"
        try:
            return content.decode(encoding), encoding.upper()
        except UnicodeDecodeError as cause:
            raise DataError("The encoding of the file is not known.", where=file, found=str(cause)) from None


def read_text(path: Path, file: str) -> tuple[str, str]:
    """A text file and its encoding; see `read_bytes` and `decoded`. UTF-16 is known by its mark."""
    checked_size(path, file)
    with path.open("rb") as stream:
        mark = stream.read(2)
    if mark not in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return decoded(read_bytes(path, file), file)
    try:
        text = path.read_bytes().decode("utf-16")
    except UnicodeDecodeError as cause:
        raise DataError("The file begins as UTF-16 and is not.", where=file, found=str(cause)) from None
    if not text.strip() or "\x00" in text:
        raise DataError(
            "The file is empty." if not text.strip() else "The file has a NUL character.", where=file
        )
    refuse_web_page(text[:200].encode(), file)
    return text, "UTF-16"


def refuse_web_page(content: bytes, file: str) -> None:
    """A server's error page under the name of a data file is told as what it is."""
    start = content.removeprefix(codecs.BOM_UTF8).lstrip()[:40]
    if start.lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        raise DataError(
            "The file is a web page, not data.",
            where=file,
            found=repr(start.decode("latin-1")),
            fix="Download it again; the server probably answered with an error page.",
        )


def unreadable(kind: str, file: str, cause: Exception) -> MekevalError:
    """The error for a file that is not of its declared form."""
    return DataError(
        f"The file is not {kind}.",
        where=file,
        found=f"{type(cause).__name__}: {cause}"[:200],
    )


def read_json(path: Path, file: str, kind: str, *, constants: bool = False) -> object:
    """Parsed JSON of bounded size, in which no key stands twice in one object.

    `constants` lets NaN and Infinity pass, which Python writes and JSON does not know.
    """
    content = read_bytes(path, file, MOST_JSON)
    # A list of two bytes takes 60 in memory and an object 200, whatever the file says that it holds.
    weight = 72 * content.count(b"[") + 240 * content.count(b"{") + 60 * content.count(b",")
    if weight > MOST_JSON_MEMORY:
        raise DataError(
            "The JSON holds more lists and objects than statistics do.",
            where=file,
            found=f"about {weight // 2**20:,} MB in memory",
            expected=f"at most {MOST_JSON_MEMORY // 2**20:,} MB",
        )
    text, _ = decoded(content, file)

    def refuse(word: str) -> object:
        raise ValueError(f"{word} is no number of JSON")

    def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        found = dict(pairs)
        if len(found) < len(pairs):
            twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
            raise ValueError(f"the key {twice[:200]!r} stands twice in one object")
        return found

    try:
        parsed: object = json.loads(
            text, parse_constant=float if constants else refuse, object_pairs_hook=once
        )
    except json.JSONDecodeError as cause:
        raise DataError(
            f"The file is not {kind}: it is not whole JSON, and may be cut off.",
            where=f"{file}, row {cause.lineno}",
            found=f"{cause.msg}, column {cause.colno}",
        ) from None
    except (ValueError, RecursionError) as cause:
        raise DataError(
            f"The file is not {kind}: it is not JSON that can be read.", where=file, found=str(cause)[:200]
        ) from None
    return parsed
