"""R data files (`.RData`, `.rda`, `.rds`): the data frames in them, read here and within bounds.

In: bytes. Out: a data frame. Never: code of R, or more memory than the bounds.

The format is R's serialisation (R Internals, "Serialization Formats"), in its XDR form, as `save` and `saveRDS` write
it. A package that reads it in native code takes a damaged length at its word; here every length is held against
what is left of the file, and a compressed file is unpacked only so far.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import math
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np

from ..errors import DataError
from .cells import MOST_TABLE_CELLS, nearest, refuse_wide
from .files import MOST_BYTES, checked_size, refuse_web_page, unreadable

#: What an R data file may hold when it is unpacked, how many objects, and how deep they may lie in each other.
MOST_UNPACKED, MOST_OBJECTS, MOST_DEPTH = 96 * 2**20, 1_500_000, 60

_MISSING_INT, _MISSING_LONG = -(2**31), -(2**63)
_SYMBOL, _PAIRS, _ENVIRONMENT, _CHARACTERS = 1, 2, 4, 9
_LOGICAL, _INTEGER, _REAL, _COMPLEX, _STRINGS, _LIST, _EXPRESSION, _RAW, _S4 = (
    10,
    13,
    14,
    15,
    16,
    19,
    20,
    24,
    25,
)
_WIDTH = {_LOGICAL: 4, _INTEGER: 4, _REAL: 8, _COMPLEX: 16, _RAW: 1}
_FORM = {_LOGICAL: ">i4", _INTEGER: ">i4", _REAL: ">f8"}
#: Objects without content: the empty environment, the base and the global one, NULL, the missing argument.
_CONSTANTS = {241, 242, 247, 251, 252, 253, 254}
_REFERENCE, _NAMESPACE, _PACKAGE, _ALTERNATIVE = 255, 249, 250, 238
_FUNCTIONS = {3, 5, 6}  # closures, promises and calls are built as pairs are
_WITH_ATTRIBUTES = {239: 6, 240: 2}


@dataclass(frozen=True, kw_only=True)
class Frame:
    """A data frame: names, columns of Python values (None where there is none), and the number of rows.

    A column of another kind (a list, a matrix, a shape) is None.
    """

    names: tuple[str, ...]
    columns: tuple[list[object] | None, ...]
    size: int


@dataclass(frozen=True, kw_only=True)
class _Thing:
    """An object of R with its attributes: an array, a list of texts, or a list of things."""

    kind: int
    content: object
    attributes: Mapping[str, _Thing]


_NULL = _Thing(kind=254, content=None, attributes={})


def read_frame(path: Path, name: str, file: str) -> Frame:
    """The data frame of this name; the one of an `.rds` file has none.

    Raises
    ------
    DataError
        The file is too large, packed or unpacked, damaged, of a form that `save` does not write by itself, or
        without this data frame.
    """
    content = _unpacked(path, file)
    try:
        found = _top(content, name)
        frames = {key: thing for key, thing in found.items() if "data.frame" in _texts(thing, "class")}
        if name in frames:
            return _frame(frames[name], file)
    except (
        ValueError,
        struct.error,
        IndexError,
        KeyError,
        TypeError,
        AttributeError,
        OverflowError,
    ) as cause:
        raise unreadable("an R data file", file, cause) from None
    raise DataError(
        "The R data file has no such table.", where=file, found=repr(name), expected=nearest(name, frames)
    )


def _unpacked(path: Path, file: str) -> bytes:
    checked_size(path, file, MOST_BYTES)
    content = path.read_bytes()
    if not content:
        raise DataError("The file is empty.", where=file)
    refuse_web_page(content[:4096], file)
    try:
        if content.startswith(b"\x1f\x8b"):
            plain = gzip.GzipFile(fileobj=io.BytesIO(content)).read(MOST_UNPACKED + 1)
        elif content.startswith(b"BZh"):
            plain = bz2.BZ2File(io.BytesIO(content)).read(MOST_UNPACKED + 1)
        elif content.startswith(b"\xfd7zXZ"):
            reader = lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=256 * 2**20)
            plain = reader.decompress(content, MOST_UNPACKED + 1)
            if not reader.eof and len(plain) <= MOST_UNPACKED:
                raise EOFError("the compressed file is cut off")
        else:
            return content
    except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError) as cause:
        raise unreadable("an R data file", file, cause) from None
    if len(plain) > MOST_UNPACKED:
        raise DataError(
            "The file unpacks to more than a table of statistics holds.",
            where=file,
            found=f"{len(content):,} bytes",
            expected=f"at most {MOST_UNPACKED:,} bytes unpacked",
        )
    return plain


def _top(content: bytes, wanted: str) -> dict[str, _Thing]:
    """The objects of a file by name, up to the one that is wanted; the one object of an `.rds` file has no name."""
    at, single = (0, True) if content[:2] == b"X\n" else (5, False)
    if not single and (content[:5] not in (b"RDX2\n", b"RDX3\n") or content[5:7] != b"X\n"):
        raise ValueError(f"it begins with {content[:7]!r}; R's save() writes RDX2 or RDX3")
    at += 2
    version, _, _ = struct.unpack_from(">iii", content, at)
    at += 12
    if version == 3:
        (length,) = struct.unpack_from(">i", content, at)
        if not 0 <= length <= 64:
            raise ValueError("the name of the encoding is too long")
        at += 4 + length
    elif version != 2:
        raise ValueError(f"version {version}")
    reader = _Reader(content=content, at=at)
    if single:
        return {"": reader.item(0)}
    found: dict[str, _Thing] = {}
    while (flags := reader.int4()) & 0xFF == _PAIRS:
        if flags & 0x200:
            reader.item(0)
        tag = reader.item(0).content if flags & 0x400 else None
        if not isinstance(tag, str):
            raise ValueError("an object has no name")
        found[tag] = reader.item(0)
        if tag == wanted:
            return found
    if flags & 0xFF not in _CONSTANTS or reader.at != len(content):
        raise ValueError(f"{len(content) - reader.at} bytes stand after the last object")
    return found


class _Reader:
    """A place in the bytes, and the symbols and environments that later ones refer to."""

    def __init__(self, *, content: bytes, at: int) -> None:
        self.content, self.at = content, at
        self.known: list[_Thing] = []
        self.count = 0

    def int4(self) -> int:
        (value,) = struct.unpack_from(">i", self.content, self.at)
        self.at += 4
        return int(value)

    def length(self, width: int) -> int:
        """A number of elements that the rest of the file can hold."""
        count = self.int4()
        if count < 0 or count * width > len(self.content) - self.at:
            raise ValueError(
                f"byte {self.at}: {count} elements, {len(self.content) - self.at} bytes are left"
            )
        return count

    def item(self, depth: int) -> _Thing:
        """One object, and all that it holds."""
        flags = self.int4()
        kind = flags & 0xFF
        self.count += 1
        if self.count > MOST_OBJECTS or depth > MOST_DEPTH:
            raise ValueError("more objects than data frames of statistics hold, or too deep in each other")
        if kind in _CONSTANTS:
            return _NULL
        if kind == _REFERENCE:
            at = flags >> 8 or self.int4()
            if not 0 < at <= len(self.known):
                raise ValueError(f"byte {self.at}: a reference to nothing")
            return self.known[at - 1]
        if kind == _SYMBOL:
            return self._remember(_Thing(kind=kind, content=self.item(depth + 1).content, attributes={}))
        if kind in _WITH_ATTRIBUTES or kind in _FUNCTIONS or kind == _PAIRS:
            return self._pairs(flags, depth)
        if kind in (_NAMESPACE, _PACKAGE):
            self.int4()
            for _ in range(self.length(4)):
                self.item(depth + 1)
            return self._remember(_NULL)
        if kind == _ENVIRONMENT:
            self.int4()
            self._remember(_NULL)
            for _ in range(4):
                self.item(depth + 1)
            return _NULL
        if kind == _ALTERNATIVE:
            return self._alternative(depth)
        if kind == _S4:
            return _Thing(kind=kind, content=None, attributes=self._attributes(flags, depth))
        if kind == _CHARACTERS:
            text = self._characters(flags)
            if flags & 0x200:
                self.item(depth + 1)
            return _Thing(kind=kind, content=text, attributes={})
        content = self._vector(kind, depth)
        return _Thing(kind=kind, content=content, attributes=self._attributes(flags, depth))

    def _remember(self, thing: _Thing) -> _Thing:
        self.known.append(thing)
        return thing

    def _attributes(self, flags: int, depth: int) -> Mapping[str, _Thing]:
        if not flags & 0x200:
            return {}
        pairs = self.item(depth + 1)
        return dict(pairs.content) if isinstance(pairs.content, list) and pairs.kind == _PAIRS else {}

    def _pairs(self, flags: int, depth: int) -> _Thing:
        """Pairs of a tag and an object, one after the other; a call and a function are written alike."""
        pairs: list[tuple[str, _Thing]] = []
        while True:
            kind = flags & 0xFF
            if kind in _WITH_ATTRIBUTES or flags & 0x200:
                self.item(depth + 1)
            tag = self.item(depth + 1).content if kind in _WITH_ATTRIBUTES or flags & 0x400 else ""
            pairs.append((tag if isinstance(tag, str) else "", self.item(depth + 1)))
            flags = self.int4()
            self.count += 1
            if flags & 0xFF not in {_PAIRS, *_FUNCTIONS, *_WITH_ATTRIBUTES}:
                self.at -= 4
                self.item(depth + 1)
                return _Thing(kind=_PAIRS, content=pairs, attributes={})
            if self.count > MOST_OBJECTS:
                raise ValueError("more objects than data frames of statistics hold")

    def _alternative(self, depth: int) -> _Thing:
        """A vector that R writes in short: a run of whole numbers, or another vector in a wrapper."""
        info, state, _ = self.item(depth + 1), self.item(depth + 1), self.item(depth + 1)
        if not isinstance(info.content, list):
            raise ValueError(f"byte {self.at}: a vector of no known class")
        name = info.content[0][1].content
        if name in ("compact_intseq", "compact_realseq") and isinstance(state.content, np.ndarray):
            count, first, step = (int(each) for each in state.content[:3])
            if not 0 <= count <= MOST_TABLE_CELLS or step not in (1, -1):
                raise ValueError(f"byte {self.at}: a run of {count} numbers")
            values = np.arange(first, first + step * count, step).astype(
                ">f8" if "real" in str(name) else ">i4"
            )
            return _Thing(kind=_REAL if "real" in str(name) else _INTEGER, content=values, attributes={})
        if name in ("wrap_integer", "wrap_real", "wrap_logical", "wrap_string", "wrap_list"):
            inner = state.content
            first_of = inner[0] if isinstance(inner, list) and inner else None
            thing = first_of[1] if isinstance(first_of, tuple) else first_of
            if isinstance(thing, _Thing):
                return thing
        if name == "deferred_string" and isinstance(state.content, list) and state.content:
            first_pair = state.content[0]
            source = first_pair[1] if isinstance(first_pair, tuple) else None
            if isinstance(source, _Thing) and isinstance(source.content, np.ndarray):
                return _Thing(
                    kind=_STRINGS, content=[_plain(each) for each in _values(source) or []], attributes={}
                )
        raise ValueError(f"byte {self.at}: a vector of the class {name!r}")

    def _characters(self, flags: int) -> str | None:
        count = self.int4()
        if count == -1:
            return None
        if not 0 <= count <= len(self.content) - self.at:
            raise ValueError(f"byte {self.at}: a text of {count} bytes")
        data = self.content[self.at : self.at + count]
        self.at += count
        if data.isascii():
            return data.decode("ascii")
        return data.decode("latin-1" if flags >> 12 & 4 else "utf-8")

    def _vector(self, kind: int, depth: int) -> object:
        if kind in _WIDTH:
            count = self.length(_WIDTH[kind])
            data = self.content[self.at : self.at + count * _WIDTH[kind]]
            self.at += len(data)
            return np.frombuffer(data, dtype=_FORM[kind]) if kind in _FORM else None
        if kind == _STRINGS:
            texts: list[str | None] = []
            for _ in range(self.length(8)):
                flags = self.int4()
                if flags & 0xFF != _CHARACTERS or flags & 0x200:
                    raise ValueError(f"byte {self.at}: no text where one is due")
                texts.append(self._characters(flags))
            self.count += len(texts)
            return texts
        if kind in (_LIST, _EXPRESSION):
            return [self.item(depth + 1) for _ in range(self.length(4))]
        raise ValueError(f"byte {self.at}: an object of kind {kind}")


def _texts(thing: _Thing, attribute: str) -> Sequence[str]:
    content = thing.attributes.get(attribute, _NULL).content
    return [text or "" for text in content] if isinstance(content, list) else []


def _frame(thing: _Thing, file: str) -> Frame:
    names = tuple(_texts(thing, "names"))
    parts = thing.content
    if not isinstance(parts, list) or len(names) != len(parts):
        raise ValueError("a data frame has not as many names as columns")
    refuse_wide(len(names), file)
    columns = [_values(part) for part in parts]
    sizes = {len(column) for column in columns if column is not None}
    if len(sizes) > 1:
        raise ValueError("the columns of a data frame are not equally long")
    size = sizes.pop() if sizes else 0
    if size * len(columns) > MOST_TABLE_CELLS:
        raise ValueError(f"{size} rows of {len(columns)} columns are more than a table of statistics has")
    return Frame(names=names, columns=tuple(columns), size=size)


def _values(thing: _Thing) -> list[object] | None:
    """A column as Python values: factors by their levels, days as days, whole numbers as such."""
    classes, content = _texts(thing, "class"), thing.content
    if "dim" in thing.attributes:
        return None
    if thing.kind == _STRINGS and isinstance(content, list):
        return list(content)
    if not isinstance(content, np.ndarray):
        return None
    if thing.kind == _REAL and "integer64" in classes:
        return [None if each == _MISSING_LONG else each for each in content.view(">i8").tolist()]
    values = content.tolist()
    if thing.kind == _REAL:
        if "Date" in classes:
            start = date(1970, 1, 1)
            return [None if math.isnan(each) else start + timedelta(days=math.floor(each)) for each in values]
        return [None if math.isnan(each) else each for each in values]
    if "factor" in classes:
        levels = _texts(thing, "levels")
        if any(each != _MISSING_INT and not 0 < each <= len(levels) for each in values):
            raise ValueError("a factor has a code beyond its levels")
        return [None if each == _MISSING_INT else levels[each - 1] for each in values]
    found: list[object] = [None if each == _MISSING_INT else each for each in values]
    return [each if each is None else bool(each) for each in found] if thing.kind == _LOGICAL else found


def _plain(value: object) -> str | None:
    """A number as R writes it as text."""
    if value is None:
        return None
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
