"""Mutations: the bytes of a file and a source of chance -> new bytes and what may come out of them."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import random
import re
import struct
import zipfile
from collections.abc import Callable, Mapping

from fault_cases import decode

#: New bytes and what may come out of them: "same", "subset", "one", "twice" or "bytes" (what the naive parser says).
Mutant = tuple[bytes, str]


def _flip(content: bytes, chance: random.Random) -> Mutant:
    broken = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 5))):
        broken[chance.randrange(len(broken))] ^= 1 << chance.randrange(8)
    return bytes(broken), "bytes"


def _cut(content: bytes, chance: random.Random) -> Mutant:
    return content[: chance.randrange(1, len(content))], "subset"


def _lines(content: bytes) -> list[bytes]:
    return content.splitlines(keepends=True)


def _line_deleted(content: bytes, chance: random.Random) -> Mutant:
    lines = _lines(content)
    del lines[chance.randrange(len(lines))]
    return b"".join(lines), "subset"


def _line_twice(content: bytes, chance: random.Random) -> Mutant:
    lines = _lines(content)
    at = chance.randrange(len(lines))
    return b"".join([*lines[:at], lines[at], *lines[at:]]), "twice"


def _lines_swapped(content: bytes, chance: random.Random) -> Mutant:
    lines = _lines(content)
    one, two = chance.randrange(len(lines)), chance.randrange(len(lines))
    lines[one], lines[two] = lines[two], lines[one]
    return b"".join(lines), "bytes"


def _columns(content: bytes, change: Callable[[list[str]], list[str]]) -> bytes:
    text = decode(content) or ""
    first = text.splitlines()[0]
    mark = max(",;", key=re.sub('"[^"]*"', "", first).count)
    grid = list(csv.reader(io.StringIO(text, newline=""), delimiter=mark))
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=mark, lineterminator="\n").writerows(
        change(line) if len(line) > 1 else line for line in grid
    )
    return out.getvalue().encode()


def _columns_swapped(content: bytes, chance: random.Random) -> Mutant:
    one, two = chance.randrange(1, 12), chance.randrange(1, 12)

    def change(line: list[str]) -> list[str]:
        if max(one, two) < len(line):
            line[one], line[two] = line[two], line[one]
        return line

    return _columns(content, change), "same"


def _column_deleted(content: bytes, chance: random.Random) -> Mutant:
    at = chance.randrange(12)
    return _columns(content, lambda line: line[:at] + line[at + 1 :]), "subset"


def _column_twice(content: bytes, chance: random.Random) -> Mutant:
    at = chance.randrange(8)
    return _columns(content, lambda line: [*line, line[min(at, len(line) - 1)]]), "same"


def _inserted(*pieces: bytes) -> Callable[[bytes, random.Random], Mutant]:
    def insert(content: bytes, chance: random.Random) -> Mutant:
        at = chance.randrange(len(content))
        return content[:at] + chance.choice(pieces) + content[at:], "bytes"

    return insert


def _html(content: bytes, chance: random.Random) -> Mutant:
    head = chance.choice(
        (b"<!DOCTYPE html><html><body>502 Bad Gateway", b"\n  <html>\n", b'<?xml version="1.0"?><e/>')
    )
    return (head, "refuse") if chance.random() < 0.5 else (head + content, "refuse")


def _separator(content: bytes, chance: random.Random) -> Mutant:
    first = content.splitlines()[0]
    old = b";" if first.count(b";") > first.count(b",") else b","
    return content.replace(old, chance.choice((b";", b",", b"\t", b"|", b" "))), "same"


def _encoding(content: bytes, chance: random.Random) -> Mutant:
    text = decode(content) or ""
    new = chance.choice(
        ("utf-8", "latin-1", "utf-8-sig", "utf-16", "utf-16-le", "cp1252", "iso8859-15", "cp850", "mac-roman")
    )
    return text.encode(new, "replace"), "values"


def _decimal(content: bytes, chance: random.Random) -> Mutant:
    old, new = chance.choice(
        ((rb"(\d)\.(\d)", rb"\1,\2"), (rb"(\d),(\d\d?)(?=\D)", rb"\1.\2"), (rb"(\d)(\d{3})(?=\D)", rb"\1 \2"))
    )
    return re.sub(old, new, content), "bytes"


def _block(content: bytes, chance: random.Random) -> Mutant:
    at, size = chance.randrange(len(content)), chance.choice((1, 5, 40, 400, 4000))
    return content[: at + size] + content[at : at + size] + content[at + size :], "bytes"


def _at_digit(content: bytes, chance: random.Random, new: bytes) -> bytes:
    start = chance.randrange(len(content))
    match = re.compile(rb"\d").search(content, start) or re.compile(rb"\d").search(content)
    assert match is not None  # noqa: S101 - every raw file holds digits
    return content[: match.start()] + new + content[match.end() :]


def _letter(content: bytes, chance: random.Random) -> Mutant:
    return _at_digit(content, chance, chance.choice((b"O", b"l", b"x", b"e", b"\xe4", b"#"))), "bytes"


def _digit(content: bytes, chance: random.Random) -> Mutant:
    return _at_digit(content, chance, str(chance.randrange(10)).encode()), "bytes"


def _header(content: bytes, chance: random.Random) -> Mutant:
    end = max(content.find(b"\n"), 60)
    at = chance.randrange(end)
    return content[:at] + bytes([chance.choice(b'abcXYZ019 ,;."()')]) + content[at + 1 :], "bytes"


def _structure(content: bytes, chance: random.Random) -> Mutant:
    """Numbers in the head or the foot of a binary file: counts, sizes, kinds."""
    broken = bytearray(content)
    at = chance.randrange(min(200, len(broken) - 4))
    at = at if chance.random() < 0.6 else len(broken) - 4 - at
    broken[at : at + 4] = chance.choice(
        (
            b"\xff\xff\xff\xff",
            b"\x7f\xff\xff\xff",
            bytes(4),
            struct.pack("<I", chance.randrange(2**32)),
            b"\0\0\0\1",
        )
    )
    return bytes(broken), "bytes"


def _inside_zip(content: bytes, chance: random.Random) -> Mutant:
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for part in old.namelist():
            data = old.read(part)
            if part.endswith("sheet1.xml") or chance.random() < 0.1:
                data, _ = chance.choice(
                    (_flip, _block, _digit, _letter, _inserted(b"<", b"/>", b'"', b"<f>1</f>"))
                )(data, chance)
            new.writestr(part, data)
    return out.getvalue(), "bytes"


def _inside_gzip(content: bytes, chance: random.Random) -> Mutant:
    plain = bz2.decompress(content) if content[:3] == b"BZh" else gzip.decompress(content)
    broken, _ = chance.choice((_flip, _cut, _block, _structure))(plain, chance)
    return gzip.compress(broken, 1), "bytes"


MUTATIONS: Mapping[str, Callable[[bytes, random.Random], Mutant]] = {
    "bytes flipped": _flip,
    "cut": _cut,
    "line deleted": _line_deleted,
    "line twice": _line_twice,
    "lines swapped": _lines_swapped,
    "columns swapped": _columns_swapped,
    "column deleted": _column_deleted,
    "column twice": _column_twice,
    "NUL inserted": _inserted(b"\x00", b"\x00\x00\x00"),
    "quote inserted": _inserted(b'"', b'""', b'"\n'),
    "HTML": _html,
    "separator": _separator,
    "encoding": _encoding,
    "decimal marks": _decimal,
    "block repeated": _block,
    "digit to letter": _letter,
    "digit to digit": _digit,
    "header words": _header,
    "structure": _structure,
    "inside the zip": _inside_zip,
    "inside the gzip": _inside_gzip,
}
