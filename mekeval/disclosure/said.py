"""What the files of a folder say, piece by piece: cells of tables, sentences, records, each with its surroundings.

In: a file. Out: `Said`s. Never: a part of a file passed over in silence: what cannot be read is an error.
"""

from __future__ import annotations

import base64
import binascii
import csv
import functools
import html
import io
import json
import re
import shutil
import subprocess
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from ..errors import RunError

_HEADINGS = frozenset(("h1", "h2", "h3", "h4", "h5", "h6"))
_BLOCKS = _HEADINGS | {
    "p",
    "li",
    "dt",
    "dd",
    "figcaption",
    "summary",
    "caption",
    "title",
    "text",
    "desc",
    "div",
    "section",
}
_SPOKEN = ("alt", "title", "aria-label", "content", "value", "data-label")
_DATA = re.compile(r"data:([\w.+/-]*)((?:;[\w=.+-]+)*?)(;base64)?,([^\"'\s<>)]*)")
_DATA_START = re.compile(r"data:([\w.+/-]*)((?:;[\w=.+-]+)*?)(;base64),")
_LONG = 1_000
_MOST = 200 * 2**20
_PARQUET = 5_000_000


@dataclass(frozen=True, kw_only=True)
class Said:
    """A piece of text with numbers.

    Attributes
    ----------
    text : str
        Where the numbers are looked for.
    near, around, far : str
        What may name the area, the year and the indicator: the piece itself with its headers, then its caption, heading
        or block, then the page.
    place : str
        Where it stands in the file.
    record : bool
        A cell of a table or a field of a record, whose headers say what it is; else a sentence.
    """

    text: str
    near: str
    around: str
    far: str
    place: str
    record: bool


def said_in(path: Path, name: str) -> Iterator[Said]:
    """All that a file says.

    Raises
    ------
    RunError
        Its kind is not known, or it cannot be read.
    """
    ending = path.suffix.lower()
    try:
        if path.stat().st_size > _MOST:
            raise ValueError("too large")
        if ending == ".pdf":
            yield from said_in_text(_pdf(path), name)
        elif ending == ".parquet":
            yield from _parquet(path, name)
        elif ending in _KINDS:
            yield from _KINDS[ending](path.read_text(encoding="utf-8"), name)
        else:
            raise ValueError("a kind of file that is not known")
    except (OSError, ValueError, RecursionError, csv.Error) as cause:
        raise RunError(
            "A file of the set cannot be read, so that nobody knows whether it tells a small number.",
            where=name,
            found=type(cause).__name__ if isinstance(cause, UnicodeError) else str(cause)[:80],
            expected="HTML, SVG, XML, JSON, a notebook, CSV, text, Parquet (with DuckDB) or PDF (with pdftotext)",
            fix="Leave it out of the set, or write it in one of these forms; draw pictures as SVG.",
        ) from None


def words_of(path: Path) -> str | None:
    """All words of a file of text in one string, what is embedded in it too, whatever their order; None for others.

    It is for a quick look: a file that does not name an area need not be taken apart.
    """
    ending = path.suffix.lower()
    if ending not in _KINDS:
        return None
    try:
        text = path.read_text(encoding="utf-8")
        if ending in (".json", ".ipynb"):
            content = json.loads(text)
            if ending == ".ipynb":
                _cells_of(content)
            text = "\n".join(_strings(content))
        inside: list[str] = []

        def embedded(match: re.Match[str]) -> str:
            inside.append(_words_inside(*match.groups()))
            return " "

        # Most of a page is its pictures; what stands in quotes is found sooner without an expression.
        plain = []
        for piece in text.split('"'):
            start = _DATA_START.match(piece) if len(piece) > _LONG and piece.startswith("data:") else None
            if start is None:
                plain.append(piece)
            else:
                inside.append(_words_inside(*start.groups(), piece[start.end() :]))
        text = _DATA.sub(embedded, '"'.join(plain))
    except (OSError, ValueError, RecursionError):
        return None  # `said_in` tells what is wrong with it
    return html.unescape("\n".join([text, *inside]))


@functools.lru_cache(maxsize=64)
def _words_inside(kind: str, more: str, coded: str | None, content: str) -> str:
    """The words of what a data: address holds; a page and its notebook hold the same pictures."""
    text = _content(kind, coded, content)
    return "\n".join(_words_of_svg(text)) if "svg" in kind else text


def _strings(content: object) -> Iterator[str]:
    if isinstance(content, dict):
        for key, one in content.items():
            yield str(key)
            yield from _strings(one)
    elif isinstance(content, list):
        if content and all(isinstance(one, str) for one in content):
            yield "".join(content)
        else:
            for one in content:
                yield from _strings(one)
    else:
        yield str(content)


def _content(kind: str, coded: str | None, content: str) -> str:
    """The text of a data: address; fonts have none."""
    try:
        raw = base64.b64decode(content, validate=False) if coded else urllib.parse.unquote_to_bytes(content)
        return "" if kind.startswith("font/") else raw.decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        raise ValueError(f"{kind or 'data'} inside it") from None


def said_in_page(text: str, far: str) -> Iterator[Said]:
    """A page: its tables cell by cell, its sentences, the texts of attributes, and what is embedded."""
    page = _Page(far)
    page.feed(_DATA.sub(page.embedded, text))
    page.close()
    page.end_block()
    yield from page.said
    for kind, content, around in page.inside:
        yield from _embedded(kind, content, far, around)


def said_in_text(text: str, far: str, around: str = "", place: str = "text") -> Iterator[Said]:
    """Sentences, line by line; the block that a line belongs to stands around it."""
    for block in re.split(r"\n\s*\n", text):
        whole = f"{around} {block}"
        for line in block.splitlines():
            for sentence in re.split(r"(?<=[.!?;])\s+", line):
                if any(letter.isdigit() for letter in sentence):
                    yield Said(text=sentence, near=sentence, around=whole, far=far, place=place, record=False)


def said_in_csv(text: str, far: str, around: str = "") -> Iterator[Said]:
    """A table: each cell with the other cells of its row and the name of its column."""
    first = text.lstrip("\ufeff").split("\n", 1)[0]
    mark = max(",;\t", key=first.count)
    limit = csv.field_size_limit(_MOST)
    try:
        rows = list(csv.reader(io.StringIO(text.lstrip("\ufeff")), delimiter=mark))
    finally:
        csv.field_size_limit(limit)  # it holds for the whole process
    yield from _rows(rows[:1], rows[1:], far, around, "row")


def said_in_json(text: str, far: str) -> Iterator[Said]:
    """Each number of each object, with the texts beside it; lists of one length side by side are rows."""
    yield from _walk(json.loads(text), far, "", "")


def said_in_notebook(text: str, far: str) -> Iterator[Said]:
    """Cells and outputs in all their forms."""
    for number, cell in enumerate(_cells_of(json.loads(text)), start=1):
        yield from said_in_text(_joined(cell.get("source", "")), far, place=f"cell {number}")
        for output in cell.get("outputs", []):
            yield from said_in_text(_joined(output.get("text", "")), far, place=f"cell {number}, output")
            for line in output.get("traceback", []):
                yield from said_in_text(line, far, place=f"cell {number}, output")
            for kind, content in output.get("data", {}).items():
                given = json.dumps(content) if kind.endswith("json") else _joined(content)
                yield from _embedded(kind, given, far, "")


def _cells_of(notebook: object) -> list[dict[str, Any]]:
    cells = notebook.get("cells") if isinstance(notebook, dict) else None
    if not isinstance(cells, list) or not all(isinstance(cell, dict) for cell in cells):
        raise ValueError("a notebook without cells")
    return cells


def said_in_feed(text: str, far: str) -> Iterator[Said]:
    """The entries of a feed; markup inside them is read as a page."""
    for entry in re.split(
        r"<(?=item\b|entry\b)", re.sub(r"<!\[CDATA\[(.*?)\]\]>", r"\1", text, flags=re.DOTALL)
    ):
        inner = html.unescape(entry)
        plain = " ".join(re.sub(r"<[^>]*>", " ", html.unescape(inner)).split())
        yield from said_in_text(plain, far, plain, "entry")
        if "<td" in inner or "<img" in inner:
            yield from said_in_page(inner, far)


def _svg(text: str, far: str, around: str = "") -> Iterator[Said]:
    """The texts of a picture, each with its neighbours, and the words that describe it."""
    pieces = _words_of_svg(text)
    for at, piece in enumerate(pieces):
        if any(letter.isdigit() for letter in piece):
            near = " | ".join(pieces[max(at - 1, 0) : at + 2])
            yield Said(text=piece, near=near, around=around, far=far, place="picture", record=False)
    yield from said_in_text(" ".join(re.findall(r"<metadata>(.*?)</metadata>", text, re.DOTALL)), far, around)


def _words_of_svg(text: str) -> list[str]:
    spoken = r"<(?:text|tspan|title|desc)\b[^>]*>([^<]*)|aria-label=\"([^\"]*)\"|<!--(.*?)-->"
    words = [html.unescape("".join(found)).strip() for found in re.findall(spoken, text, re.DOTALL)]
    return [word for word in words if word]


def _embedded(kind: str, content: str, far: str, around: str) -> Iterator[Said]:
    kind = kind.lower()
    if kind.endswith("json"):
        yield from _walk(json.loads(content), far, around, "")
    elif "svg" in kind:
        yield from _svg(content, far, around)
    elif kind == "text/csv":
        yield from said_in_csv(content, far, around)
    elif kind in ("text/html", "application/xhtml+xml"):
        yield from said_in_page(content, far)
    elif kind.startswith("text/") or not kind or "javascript" in kind:
        yield from said_in_text(content, far, around)
    elif not kind.startswith(("font/", "application/font")):
        raise ValueError(f"{kind} inside it")


def _joined(text: object) -> str:
    return "".join(map(str, text)) if isinstance(text, list) else str(text)


def _rows(heads: list[list[str]], rows: list[list[str]], far: str, around: str, word: str) -> Iterator[Said]:
    width = max(map(len, [*heads, *rows]), default=0)
    names = [" ".join(head[at] for head in heads if at < len(head)) for at in range(width)]
    for number, row in enumerate(rows, start=1):
        others = " | ".join(row)
        for at, cell in enumerate(row):
            if any(letter.isdigit() for letter in cell):
                near = f"{names[at]} | {others}" if len(cell) < 60 else f"{names[at]} | {cell}"
                yield Said(
                    text=cell, near=near, around=around, far=far, place=f"{word} {number}", record=True
                )


def _walk(content: object, far: str, around: str, place: str) -> Iterator[Said]:
    if isinstance(content, dict):
        texts = [f"{key}: {one}" for key, one in content.items() if isinstance(one, (str, int, float))]
        near = " | ".join(texts)
        for key, one in content.items():
            where = f"{place}.{key}".lstrip(".")
            if isinstance(one, (int, float)) and not isinstance(one, bool):
                yield Said(text=repr(one), near=near, around=around, far=far, place=where, record=True)
            elif isinstance(one, str):
                yield from said_in_text(one, far, f"{around} {near}", where)
            else:
                yield from _walk(one, far, f"{around} {near}", where)
        series = {key: one for key, one in content.items() if isinstance(one, list) and one and _flat(one)}
        for length in {len(one) for one in series.values()}:
            names = [key for key, one in series.items() if len(one) == length]
            if len(names) > 1:
                rows = [[str(series[name][at]) for name in names] for at in range(length)]
                yield from _rows([names], rows, far, f"{around} {near}", f"{place} element".strip())
        columns, data = content.get("columns"), content.get("data")
        if (
            isinstance(columns, list)
            and isinstance(data, list)
            and all(isinstance(row, list) for row in data)
        ):
            rows = [[str(cell) for cell in row] for row in data]
            yield from _rows([[str(one) for one in columns]], rows, far, around, f"{place} row".strip())
    elif isinstance(content, list):
        if content and _flat(content):
            yield from said_in_text(" | ".join(map(str, content)), far, around, place)
        for number, one in enumerate(content):
            if isinstance(one, (dict, list)):
                yield from _walk(one, far, around, f"{place}[{number}]")
    elif isinstance(content, str):
        yield from said_in_text(content, far, around, place)


def _flat(content: list[object]) -> bool:
    return not any(isinstance(one, (dict, list)) for one in content)


def _pdf(path: Path) -> str:
    program = shutil.which("pdftotext")
    if program is None:
        raise ValueError("a PDF, and pdftotext (poppler-utils) is not installed")
    done = subprocess.run(
        [program, "-layout", "-enc", "UTF-8", str(path), "-"], capture_output=True, check=False, timeout=120
    )
    if done.returncode:
        raise ValueError("a PDF that pdftotext cannot read")
    return done.stdout.decode("utf-8", "replace")


def _parquet(path: Path, name: str) -> Iterator[Said]:
    try:
        import duckdb
    except ImportError:
        raise ValueError("Parquet, and DuckDB is not installed") from None
    with duckdb.connect(":memory:", config={"threads": 1}) as con:
        try:
            found = con.execute("SELECT * FROM read_parquet(?) LIMIT ?", [str(path), _PARQUET + 1])
            names, rows = [column[0] for column in found.description or ()], found.fetchall()
        except duckdb.Error:
            raise ValueError("Parquet that DuckDB cannot read") from None
    if len(rows) > _PARQUET:
        raise ValueError("too many rows")
    texts = [["" if cell is None else str(cell) for cell in row] for row in rows]
    yield from _rows([names], texts, name, "", "row")


class _Page(HTMLParser):
    """The pieces of a page, in their order."""

    def __init__(self, far: str) -> None:
        super().__init__(convert_charrefs=True)
        self.far, self.said = far, list[Said]()
        self.inside: list[tuple[str, str, str]] = []
        self._block: list[str] = []
        self._heading = self._caption = self._title = ""
        self._skip = self._script = ""
        self._tables: list[list[list[tuple[bool, str]]]] = []
        self._cell: list[str] | None = None

    def embedded(self, match: re.Match[str]) -> str:
        """Keep what a data: address holds, and leave its kind."""
        kind, _, coded, content = match.groups()
        text = _content(kind, coded, content)
        if text:
            self.inside.append((kind, text, ""))
        return f"data:{len(self.inside) - 1 if text else ''}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        spoken = [given[name] for name in _SPOKEN if given.get(name)]
        for name in ("src", "href"):
            number = given.get(name, "")
            if re.fullmatch(r"data:\d+", number):
                kind, content, _ = self.inside[int(number[5:])]
                words = " ".join([self._heading, self._caption, *spoken, given.get("download", "")])
                self.inside[int(number[5:])] = (kind, content, words)
        for text in spoken:
            self._sentences(text, text, f"attribute of <{tag}>")
        if tag in ("style", "script"):
            self._skip, self._script = tag, given.get("type", "") if tag == "script" else "text/css"
        elif tag == "table":
            self.end_block()
            self._tables.append([])
            self._caption = ""
        elif tag == "tr" and self._tables:
            self._tables[-1].append([])
        elif tag in ("td", "th") and self._tables:
            self._close_cell()
            if not self._tables[-1]:
                self._tables[-1].append([])
            self._cell = []
            self._tables[-1][-1].append((tag == "th", ""))
        elif tag in _BLOCKS and self._cell is None:
            self.end_block()

    def handle_endtag(self, tag: str) -> None:
        if tag == self._skip:
            self._skip = ""
        elif tag in ("td", "th"):
            self._close_cell()
        elif tag == "table" and self._tables:
            self._close_cell()
            self._end_table(self._tables.pop())
        elif tag in _BLOCKS and self._cell is None:
            self.end_block(tag)

    def handle_data(self, data: str) -> None:
        if self._skip:
            if self._skip == "script" and data.strip():
                kind = "application/json" if "json" in self._script else "text/plain"
                self.inside.append((kind, data, self._heading))
        elif self._cell is not None:
            self._cell.append(data)
        else:
            self._block.append(data)

    def handle_comment(self, data: str) -> None:
        self._sentences(data, data, "comment")

    def _close_cell(self) -> None:
        if self._cell is not None and self._tables and self._tables[-1] and self._tables[-1][-1]:
            head, _ = self._tables[-1][-1][-1]
            self._tables[-1][-1][-1] = (head, " ".join("".join(self._cell).split()))
        self._cell = None

    def end_block(self, tag: str = "") -> None:
        """Take the text since the last block as one."""
        text = " ".join("".join(self._block).split())
        self._block = []
        if tag in _HEADINGS:
            self._heading = text
            self._title = self._title if tag != "h1" else f"{self._title} {text}"
        elif tag == "title":
            self._title = f"{text} {self._title}"
        elif tag == "caption":
            self._caption = text
        if text:
            self._sentences(text, text, "text")

    def _sentences(self, text: str, block: str, place: str) -> None:
        far = f"{self._title} {self.far}"
        self.said.extend(said_in_text(text, far, f"{self._heading} {block}", place))

    def _end_table(self, rows: list[list[tuple[bool, str]]]) -> None:
        heads = [row for row in rows if row and all(head for head, _ in row)]
        body = [[text for _, text in row] for row in rows if row not in heads]
        far, around = f"{self._title} {self.far}", f"{self._caption} {self._heading}"
        place = f"table {self._caption[:60]!r}, row"
        self.said.extend(_rows([[text for _, text in row] for row in heads], body, far, around, place))


_KINDS = {
    ".html": said_in_page,
    ".htm": said_in_page,
    ".xhtml": said_in_page,
    ".svg": _svg,
    ".xml": said_in_feed,
    ".rss": said_in_feed,
    ".atom": said_in_feed,
    ".json": said_in_json,
    ".geojson": said_in_json,
    ".ipynb": said_in_notebook,
    ".csv": said_in_csv,
    ".tsv": said_in_csv,
    ".txt": said_in_text,
    ".md": said_in_text,
    ".tex": said_in_text,
    ".css": said_in_text,
    ".js": said_in_text,
}
