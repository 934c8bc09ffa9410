"""PC-Axis files (`.px`): keywords with values in any language, then the cells of a cube.

In: bytes, and what the study says of them. Out: the rows of a source. Never: cells of a file that is cut off.

The keywords are read as text; the cells, which are most of a file, are read as numbers at once and only the few
that are no numbers are looked at one by one. Declared characters are not believed: files that say "ANSI" hold
ISO-8859-1, ISO-8859-15, Windows-1252 or UTF-8.
"""

from __future__ import annotations

import codecs
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ..errors import DataError
from ..study import SourceSpec
from .cells import PXWEB_SYMBOLS, Labelled, nearest
from .cube import Cube, Dimension, announced, checked_dimension, take_cells
from .files import decoded, read_bytes
from .labels import label_key
from .pxcells import read_numbers

#: (keyword, language, names in brackets) -> the text after "=".
_Words = Mapping[tuple[str, str, tuple[str, ...]], str]

#: Bytes of a file and of its keywords, and how many keywords there may be.
MOST_PX, MOST_HEADER, MOST_KEYWORDS = 24 * 2**20, 8 * 2**20, 50_000

_DATA = re.compile(rb"(?:^|[;\r\n])[ \t]*DATA[ \t]*=")
_KEY = re.compile(
    r'\s*+([A-Za-z][A-Za-z0-9_-]*+)\s*+(?:\[([^\]"\r\n]{1,20})\])?\s*+(?:\(((?:[^"()]++|"[^"]*+")*+)\))?\s*+='
)
_VALUE = re.compile(r'((?:[^";]++|"[^"]*+")*+);')
_BLANK = re.compile(r"\s*+")
_PART = re.compile(r'"([^"]*+)"|(,)|([^\s",]++)')
_ONCE = ("STUB", "HEADING", "VALUES", "CODES", "KEYS")
_NOTED = (
    "UNITS",
    "SOURCE",
    "LAST-UPDATED",
    "NOTEX",
    "NOTE",
    "VALUENOTEX",
    "VALUENOTE",
    "CELLNOTEX",
    "CELLNOTE",
)
_MOST_NOTE = 4000


def read_px(path: Path, source: SourceSpec, wanted: frozenset[str]) -> Labelled:
    """Read a PC-Axis file; dimensions and values are named as in the file, in any of its languages, or by code."""
    return take_cells(read_cube(read_bytes(path, source.file, MOST_PX), source), source, wanted)


def read_cube(content: bytes, source: SourceSpec) -> Cube:
    """All cells of a PC-Axis file.

    Raises
    ------
    DataError
        The file is cut off, a keyword is missing or stands twice, the cells are not as many as the product of
        the dimensions, or a cell is neither a number nor a known symbol.
    """
    file = source.file
    start, end = _data_at(content, file)
    if start > MOST_HEADER:
        raise DataError(
            "The keywords are more than those of a table of statistics.",
            where=file,
            found=f"{start:,} bytes before the cells",
            expected=f"at most {MOST_HEADER:,} bytes",
        )
    text, encoding = _header_text(content[:start], file)
    words = _keywords(text, file)
    stub, heading = _dimensions(words, file)
    sizes = [len(dimension.codes) for dimension in (*stub, *heading)]
    size = announced(sizes, file)
    first = content.count(b"\n", 0, start) + 1
    body = content[start:end]
    symbols = {**PXWEB_SYMBOLS, **source.symbols}
    notes = (encoding, "line ends " + ("CRLF" if b"\r\n" in content[:start] else "LF"), *_notes(words))
    if any(keyword == "KEYS" for keyword, _, _ in words):
        return _keyed(body, first, stub, heading, words, symbols, notes, file)
    width = math.prod(len(dimension.codes) for dimension in heading)
    values, status, rows = read_numbers(body, first, symbols, file, most=size, width=width)
    if values.size != size:
        raise DataError(
            "The cells are not as many as the dimensions say: the file may be cut off.",
            where=f"{file}, from row {first}",
            found=f"{values.size} cells",
            expected=f"{size} cells, {_product(sizes)}",
        )
    return Cube(
        dimensions=(*stub, *heading),
        titles=_titles(words),
        values=values,
        status=status,
        rows=rows,
        notes=notes,
    )


def _data_at(content: bytes, file: str) -> tuple[int, int]:
    """First byte of the cells and the byte of the semicolon that ends them."""
    quotes = last = 0
    for match in _DATA.finditer(content):
        quotes += content.count(b'"', last, match.start())
        last = match.start()
        if quotes % 2 == 0:  # else it stands in a text
            start = match.end()
            break
    else:
        raise DataError("The file is not a PC-Axis file.", where=file, expected="the keyword DATA")
    end = content.find(b";", start)
    if end < 0:
        raise DataError(
            "The cells do not end with a semicolon: the file is cut off.",
            where=f"{file}, row {content.count(bytes([10]), 0, len(content.rstrip())) + 1}",
        )
    rest = content[end + 1 :].strip(b" \t\r\n\x1a")
    if rest:
        raise DataError(
            "Something stands after the cells.",
            where=f"{file}, row {content.count(bytes([10]), 0, end) + 1}",
            found=repr(rest[:40]),
        )
    return start, end


def _header_text(header: bytes, file: str) -> tuple[str, str]:
    """Text of the keywords and how it was found, beside what the file says of itself."""
    said = {
        name: match.group(1).decode("ascii", "replace")
        for name in ("CODEPAGE", "CHARSET")
        if (match := re.search(name.encode() + rb'[ \t]*=[ \t]*"([^"]*)"', header))
    }
    text, found = decoded(header, file)
    page = said.get("CODEPAGE", "")
    try:
        declared = codecs.lookup(page).name if page else ""
    except LookupError:
        declared = ""
    if declared in ("utf-8", "utf-8-sig") and found != "UTF-8":
        raise DataError(
            "The file is not in the encoding that it declares.",
            where=file,
            found=f"{found}, beside CODEPAGE {page!r}",
            fix="Save the file as UTF-8, or correct its CODEPAGE.",
        )
    single = declared.startswith(("iso8859", "cp125"))
    if (
        single
        and not header.isascii()
        and found != "UTF-8"
        and not (found != "ISO-8859-1" and "iso" in declared)
    ):
        try:
            text, found = header.decode(declared), page.upper()
        except UnicodeDecodeError as cause:
            raise DataError(
                "The file is not in the encoding that it declares.", where=file, found=str(cause)
            ) from None
    declared_words = ", ".join(f"{name} {value!r}" for name, value in said.items())
    return text, found + (f" (the file says {declared_words})" if said else "")


def _keywords(text: str, file: str) -> _Words:
    words: dict[tuple[str, str, tuple[str, ...]], list[str]] = {}
    stop = text.rindex("DATA")
    at = count = 0
    while (start := _match_end(_BLANK, text, at, stop)) < stop:
        match = _KEY.match(text, start, stop)
        value = _VALUE.match(text, match.end(), stop) if match else None
        if match is None or value is None:
            raise DataError(
                "A keyword of a PC-Axis file cannot be read.",
                where=f"{file}, row {text.count(chr(10), 0, start) + 1}",
                found=repr(text[start : start + 60]),
                expected='KEYWORD="…";',
            )
        names = tuple(_strings(match.group(3) or ""))
        key = (match.group(1).upper(), match.group(2) or "", names)
        if key in words and key[0] in _ONCE:
            raise DataError(
                "A keyword stands twice.",
                where=f"{file}, row {text.count(chr(10), 0, start) + 1}",
                found=f"{key[0]}({', '.join(names)})",
            )
        words.setdefault(key, []).append(value.group(1))
        at = value.end()
        count += 1
        if count > MOST_KEYWORDS:
            raise DataError("The file has more keywords than a table of statistics.", where=file)
    return {key: " ".join(values) for key, values in words.items()}


def _match_end(pattern: re.Pattern[str], text: str, start: int, stop: int) -> int:
    match = pattern.match(text, start, stop)
    return match.end() if match else start


def _strings(text: str) -> list[str]:
    """Values parted by commas; strings that follow one another without a comma are one string."""
    found = _PART.findall(text)
    values: list[list[str]] = [[]] if found else []
    for string, comma, bare in found:
        if comma:
            values.append([])
        else:
            values[-1].append(string or bare)
    return ["".join(parts) for parts in values]


def _dimensions(words: _Words, file: str) -> tuple[tuple[Dimension, ...], tuple[Dimension, ...]]:
    languages = _languages(words)

    def named(keyword: str, language: str) -> list[str]:
        return _strings(words.get((keyword, language, ()), ""))

    items = named("CONTVARIABLE", "")
    found: dict[str, list[Dimension]] = {"STUB": [], "HEADING": []}
    for keyword, dimensions in found.items():
        for at, name in enumerate(named(keyword, "")):
            names, labels = [name], [_strings(words.get(("VALUES", "", (name,)), ""))]
            if not labels[0]:
                raise DataError("A dimension has no VALUES.", where=file, found=repr(name))
            codes = _strings(words.get(("CODES", "", (name,)), ""))
            for language in languages:
                others = named(keyword, language)
                if len(others) <= at:
                    continue
                values = _strings(words.get(("VALUES", language, (others[at],)), ""))
                names.append(others[at])
                labels += [values] if values else []
                codes = codes or _strings(words.get(("CODES", language, (others[at],)), ""))
            for kind, values in (("VALUES", each) for each in labels[1:]) if labels[1:] else ():
                _same_length(kind, values, labels[0], name, file)
            if codes:
                _same_length("CODES", codes, labels[0], name, file)
            time = words.get(("TIMEVAL", "", (name,)), "").replace(" ", "").upper()
            role = "item" if name in items else "year" if time.startswith("TLIST(A1") else ""
            if not role and ("MAP", "", (name,)) in words:
                role = "area"
            dimensions.append(checked_dimension(names, codes, labels, role=role, file=file))
    everything = [*found["STUB"], *found["HEADING"]]
    if not everything:
        raise DataError("The file names no dimensions.", where=file, expected="the keywords STUB and HEADING")
    names = [label_key(dimension.names[0]) for dimension in everything]
    if len(set(names)) < len(names):
        raise DataError("Two dimensions have one name.", where=file, found=", ".join(map(repr, names)))
    known = {name for dimension in everything for name in dimension.names}
    for keyword, _, names_in_brackets in words:
        if keyword in ("VALUES", "CODES") and not set(names_in_brackets) <= known:
            raise DataError(
                f"{keyword} speaks of a dimension that is neither in STUB nor in HEADING.",
                where=file,
                found=repr(", ".join(names_in_brackets)),
                expected=nearest(", ".join(names_in_brackets), known),
            )
    return tuple(found["STUB"]), tuple(found["HEADING"])


def _same_length(kind: str, values: Sequence[str], labels: Sequence[str], name: str, file: str) -> None:
    if len(values) != len(labels):
        raise DataError(
            f"{kind} and VALUES of a dimension are not equally many.",
            where=f"{file}, dimension {name!r}",
            found=f"{len(values)} and {len(labels)}",
        )


def _languages(words: _Words) -> tuple[str, ...]:
    """The languages beside the first one."""
    return tuple(dict.fromkeys(language for _, language, _ in words if language))


def _titles(words: _Words) -> tuple[str, ...]:
    """What the cells count, in every language, then the title of the table."""
    kinds = [key for kind in ("CONTENTS", "TITLE") for key in words if key[0] == kind and not key[2]]
    return tuple(" ".join("".join(_strings(words[key])).split()) for key in kinds) or ("",)


def _notes(words: _Words) -> list[str]:
    notes = []
    first = "".join(_strings(words.get(("LANGUAGE", "", ()), "")))
    languages = (*((first,) if first else ()), *_languages(words))
    if languages:
        notes.append("languages " + ", ".join(languages))
    decimals = [
        f"{keyword} {words[(keyword, '', ())].strip()}"
        for keyword in ("DECIMALS", "SHOWDECIMALS")
        if (keyword, "", ()) in words
    ]
    decimals += [
        f"PRECISION of {names[-1]!r} {value.strip()}"
        for (keyword, language, names), value in words.items()
        if keyword == "PRECISION" and not language and names
    ]
    notes += [", ".join(decimals)] if decimals else []
    for keyword in _NOTED:
        for (each, language, names), value in words.items():
            if each == keyword:
                name = (
                    keyword
                    + (f"[{language}]" if language else "")
                    + (f"({', '.join(names)})" if names else "")
                )
                said = " ".join("".join(_strings(value)).replace("#", " ").split())
                notes.append(f"{name}: {said[:_MOST_NOTE]}" + (" …" if len(said) > _MOST_NOTE else ""))
    return notes


def _product(sizes: Sequence[int]) -> str:
    return "the product of " + " x ".join(map(str, sizes))


def _keyed(
    body: bytes,
    first: int,
    stub: tuple[Dimension, ...],
    heading: tuple[Dimension, ...],
    words: _Words,
    symbols: Mapping[str, str],
    notes: tuple[str, ...],
    file: str,
) -> Cube:
    """Rows that begin with the values of the stub; a row that is not there holds zeros only."""
    known = []
    for dimension in stub:
        by = "".join(_strings(words.get(("KEYS", "", (dimension.names[0],)), ""))).upper()
        if by not in ("CODES", "VALUES"):
            raise DataError(
                "A dimension of the stub has no keys.",
                where=f"{file}, dimension {dimension.names[0]!r}",
                found=repr(by),
                expected="KEYS = CODES or VALUES",
            )
        known.append(
            {key: at for at, key in enumerate(dimension.codes if by == "CODES" else dimension.labels[0])}
        )
    keys = re.compile(rb'\s*+"([^"]*+)"[ \t]*+,?' * len(stub))
    width = math.prod(len(dimension.codes) for dimension in heading)
    height = math.prod(len(dimension.codes) for dimension in stub)
    encoding = "utf-8" if notes[0].startswith("UTF-8") else notes[0].split(" (")[0]
    lines = body.split(b"\n")
    places = np.full(len(lines), -1, dtype=np.intp)  # the row of the cube that a line holds
    for at, line in enumerate(lines):
        if not line.strip():
            continue
        match = keys.match(line)
        try:
            names = [group.decode(encoding) for group in match.groups()] if match else []
            place = 0
            for name, positions in zip(names, known, strict=True):
                place = place * len(positions) + positions[name]
        except (KeyError, ValueError) as cause:
            raise DataError(
                "A row does not begin with the keys of the stub.",
                where=f"{file}, row {first + at}",
                found=str(cause)
                if isinstance(cause, KeyError)
                else repr(line[:60].decode(encoding, "replace")),
            ) from None
        places[at] = place
        lines[at] = line[match.end() :] if match else line
    found, codes, rows = read_numbers(b"\n".join(lines), first, symbols, file, most=width * height + 10_000)
    if found.size > width * height + 10_000:
        raise DataError(
            "The cells are more than the dimensions say.",
            where=f"{file}, from row {first}",
            found=f"at least {found.size} cells",
            expected=f"at most {width * height} cells",
        )
    counts = np.bincount(rows(np.arange(found.size)) - first, minlength=len(lines))
    uneven = np.flatnonzero(counts != np.where(places < 0, 0, width))
    if uneven.size:
        raise DataError(
            "A row has not as many cells as the heading says.",
            where=f"{file}, row {first + uneven[0]}",
            found=f"{counts[uneven[0]]} cells",
            expected=f"{width} cells",
        )
    at_line = np.flatnonzero(places >= 0)
    filled = places[at_line]
    order = np.argsort(filled, kind="stable")
    again = order[1:][np.diff(filled[order]) == 0]
    if again.size:
        raise DataError("A row stands twice.", where=f"{file}, row {first + at_line[again.min()]}")
    values = np.zeros((height, width))
    status = np.zeros((height, width), dtype=np.int8)
    numbers_of_lines = np.full(height, first, dtype=np.intp)
    values[filled], status[filled] = found.reshape(-1, width), codes.reshape(-1, width)
    numbers_of_lines[filled] = at_line + first
    left_out = height - filled.size
    if left_out == height:
        raise DataError("The file holds no rows of data.", where=file)
    zeros = (f"{left_out} of {height} rows are left out of the file: zeros (KEYS)",) if left_out else ()
    return Cube(
        dimensions=(*stub, *heading),
        titles=_titles(words),
        values=values.ravel(),
        status=status.ravel(),
        rows=lambda at: numbers_of_lines[at // width],
        notes=(*notes, *zeros),
    )
