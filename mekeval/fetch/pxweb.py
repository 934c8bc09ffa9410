"""PxWeb's API, version 1: what the table is, the question in parts that the server will answer, the parts joined.

In: a source's `[source.fetch]`. Out: a finished file beside the cache. Never: a part that answers another question,
or parts of two releases in one file.
"""

from __future__ import annotations

import csv
import json
import math
import re
import shutil
import time
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby
from pathlib import Path
from urllib.parse import unquote

import numpy as np
from tqdm import tqdm

from ..errors import DataError, Fault, RunError, StudyError, closest
from ..study import FetchSpec
from .answers import Chosen, Dimension, Part, as_list, as_mapping, check_answer, read_cells, read_csv_rows
from .cache import digest, finish, finished, keep, keep_only, kept
from .table import Block, Heads, area_label, refuse_twins, write_table, year_label
from .web import Answer, Line, ask, ask_once, json_content

#: Where a server does not say what it bears: cells in one answer, questions, and in how many seconds.
_CELLS, _CALLS, _SECONDS = 10_000, 10, 5.0
_MOST_CELLS = 250_000  # in one answer, whatever the server offers: it is held in memory
_SLOWEST = 60.0
_TOO_MANY = frozenset({403, 413})
#: What a server may say to a question whose answer is of use, but not needed.
_NOT_TOLD = frozenset({301, 302, 307, 308, 400, 403, 404, 405})
_STARTS = 3
_DAY = timedelta(days=1)


class ChangedError(Exception):
    """The table is not the one that the download began with."""


@dataclass(frozen=True, kw_only=True)
class Retrieved:
    """A finished download.

    Attributes
    ----------
    path : Path
        The file, not yet in its place.
    title, updated : str
        Of the table, as the server gives them; `updated` may be empty.
    cells, parts : int
    """

    path: Path
    title: str
    updated: str
    cells: int
    parts: int


@dataclass(frozen=True, kw_only=True)
class _Table:
    title: str
    dimensions: tuple[Dimension, ...]
    updated: str
    state: str  # the same for the same metadata and time of update


def retrieve(line: Line, spec: FetchSpec, folder: Path, *, file: str, progress: bool) -> Retrieved:
    """Download what a source asks for; `folder` is its place in the cache, `file` its name in messages.

    Raises
    ------
    StudyError
        The table has no such dimension or code.
    DataError
        An answer is not what was asked for.
    RunError
        The server refuses, cannot be reached, or the table changed again and again.
    """
    spec = spec.model_copy(update={"url": spec.url.rstrip("/")})
    limit = _obey(line, spec.url)
    for _ in range(_STARTS):
        table = _table(line, spec.url, folder, file)
        chosen = _choose(table, spec, file)
        here = folder / digest([table.state, spec.service, spec.url, spec.format, _codes(chosen)])[:32]
        ready = finished(here)
        if ready and table.updated:
            return retrieved(here, ready)
        if ready:
            shutil.rmtree(here)  # a server that does not say when it was updated has to be asked anew
        try:
            parts = _download(line, spec, table, chosen, limit, here, file, progress)
            if _table(line, spec.url, folder, file).state != table.state:
                raise ChangedError("the metadata or the time of update")
            words = _join(spec, table, chosen, parts, here, file)
            if not words["updated"] and len(parts) > 1:
                _ask_again(line, spec, chosen, parts[0], here)
        except ChangedError as cause:
            line.tell(f"{file}: the table changed during the download ({cause}); starting over")
            shutil.rmtree(here, ignore_errors=True)
            continue
        finish(here, **words)
        keep_only(folder, here)
        return retrieved(here, words)
    raise RunError(
        "The table kept changing while it was downloaded.",
        where=f"{file}, {spec.url}",
        found=f"{_STARTS} starts",
        fix="Try again later; the file of the study is as it was.",
    )


def retrieved(here: Path, words: Mapping[str, str | int]) -> Retrieved:
    """The finished download in a folder of the cache."""
    return Retrieved(
        path=here / "joined",
        title=str(words["title"]),
        updated=str(words["updated"]),
        cells=int(words["cells"]),
        parts=int(words["parts"]),
    )


def _obey(line: Line, url: str) -> int:
    """Ask the server what it bears; keep its pace, and return its limit of cells."""
    match = re.match(r"(.*?/api/v1/[A-Za-z-]+)(?:/|$)", url)
    answer = ask(line, (match[1] + "/" if match else url) + "?config", also=_NOT_TOLD)
    config: object = None
    if answer.status == 200:
        try:
            config = json.loads(answer.body)
        except (ValueError, RecursionError):
            config = None
    words = config if isinstance(config, Mapping) else {}

    def positive(name: str, otherwise: float) -> float:
        value = words.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e12:
            return float(value)
        return otherwise

    # A tenth more than the server asks for: its window also counts the question at its very edge.
    pace = 1.1 * positive("timeWindow", _SECONDS) / max(positive("maxCalls", _CALLS), 1.0)
    line.interval = min(pace, _SLOWEST)
    line.next_at = time.monotonic() + line.interval
    return min(max(1, int(positive("maxCells", _CELLS))), _MOST_CELLS)


def _table(line: Line, url: str, folder: Path, file: str) -> _Table:
    answer = ask_once(line, url, folder)
    content = json_content(answer, url)
    try:
        words = as_mapping(content)
        dimensions = tuple(_dimension(as_mapping(each), file) for each in as_list(words["variables"]))
        title = str(words.get("title", ""))
    except (KeyError, TypeError, ValueError) as cause:
        raise DataError(
            "The server's answer is not the metadata of a PxWeb table.",
            where=f"{file}, {url}",
            found=f"{type(cause).__name__}: {cause}"[:200],
            expected="a title and variables with codes and texts",
            fix="The `url` of the source must be that of a table in the API: …/api/v1/en/…/table.px",
        ) from None
    updated = _updated(line, url, folder)
    return _Table(title=title, dimensions=dimensions, updated=updated, state=digest([content, updated]))


def _dimension(words: Mapping[str, object], file: str) -> Dimension:
    code = str(words["code"])
    if words.get("values") is None:
        raise StudyError(
            "The server does not list the values of a dimension: there are too many.",
            where=file,
            found=repr(code),
            fix="Choose a table with fewer values.",
        )
    values, texts = list(map(str, as_list(words["values"]))), map(str, as_list(words["valueTexts"]))
    if len(set(values)) < len(values):
        raise ValueError(f"a code of {code} stands twice")
    return Dimension(
        code=code,
        text=str(words.get("text", code)),
        labels=dict(zip(values, texts, strict=True)),
        may_be_left_out=words.get("elimination") is True,
        is_time=words.get("time") is True,
    )


def _updated(line: Line, url: str, folder: Path) -> str:
    """When the table was updated, from the list of tables above it; nothing where there is no such list."""
    above, _, name = url.rpartition("/")
    name = _plain(name)
    answer = ask_once(line, above + "/", folder, also=_NOT_TOLD)
    if answer.status != 200:
        return ""
    try:
        content = json.loads(answer.body)
    except (ValueError, RecursionError):
        return ""
    for entry in content if isinstance(content, list) else []:
        if isinstance(entry, Mapping) and _plain(str(entry.get("id", ""))) == name:
            return str(entry.get("updated") or "")
    return ""


def _plain(name: str) -> str:
    """The name of a table in one spelling: an address may have its letters as %C3%A4, composed or not."""
    return unicodedata.normalize("NFC", unquote(name)).casefold()


def _choose(table: _Table, spec: FetchSpec, file: str) -> Chosen:
    """Dimensions in the order of the file (areas, others, years) with the codes wanted, in the table's order."""
    codes = [dimension.code for dimension in table.dimensions]
    where = f"study.toml, source {file!r}, fetch"
    time = spec.time or next((each.code for each in table.dimensions if each.is_time), "")
    faults = []
    for key, code in (("area", spec.area), ("time", time), *(("select", code) for code in spec.select)):
        if code not in codes:
            faults.append(
                Fault(
                    what="The table has no such dimension." if code else "A dimension is not named.",
                    where=f"{where}.{key}",
                    found=repr(code),
                    expected=closest(code, codes),
                )
            )
    chosen = []
    for dimension in table.dimensions:
        wanted = spec.select.get(dimension.code)
        if wanted is None:
            if not dimension.may_be_left_out or dimension.code in (spec.area, time):
                faults.append(
                    Fault(
                        what="Nothing is chosen from a dimension that cannot be left out.",
                        where=f"{where}.select",
                        found=repr(dimension.code),
                        expected='codes of it, or ["*"] for all',
                    )
                )
            continue
        known = list(dimension.labels)
        faults += [
            Fault(
                what="The dimension has no such code.",
                where=f"{where}.select.{dimension.code}",
                found=repr(code),
                expected=closest(code, known),
            )
            for code in wanted
            if code not in dimension.labels and wanted != ("*",)
        ]
        chosen.append((dimension, tuple(known if wanted == ("*",) else [c for c in known if c in wanted])))
    if faults:
        raise StudyError.of(faults)
    place = {spec.area: 0, time: 2}
    return tuple(sorted(chosen, key=lambda each: place.get(each[0].code, 1)))


def _codes(chosen: Chosen) -> list[list[object]]:
    return [[dimension.code, list(codes)] for dimension, codes in chosen]


def split(codes: Part, limit: int) -> list[Part]:
    """Cut a question along its first dimensions into parts of at most `limit` cells, in the order of the file.

    Examples
    --------
    >>> split((("a", "b", "c"), ("x", "y"), ("1",)), 4)
    [(('a', 'b'), ('x', 'y'), ('1',)), (('c',), ('x', 'y'), ('1',))]
    >>> split((("a",), ("x", "y"), ("1",)), 1)
    [(('a',), ('x',), ('1',)), (('a',), ('y',), ('1',))]
    """
    if math.prod(map(len, codes)) <= limit:
        return [codes]
    at = next((at for at, values in enumerate(codes) if len(values) > 1), None)
    if at is None:
        return [codes]
    step = max(1, limit // math.prod(map(len, codes[at + 1 :])))
    values = codes[at]
    parts = []
    for start in range(0, len(values), step):
        piece = (*codes[:at], values[start : start + step], *codes[at + 1 :])
        parts += split(piece, limit)
    return parts


def _question(chosen: Chosen, part: Part, form: str) -> bytes:
    query = [
        {"code": dimension.code, "selection": {"filter": "item", "values": list(codes)}}
        for (dimension, _), codes in zip(chosen, part, strict=True)
    ]
    return json.dumps({"query": query, "response": {"format": form}}, ensure_ascii=False).encode("utf-8")


def _download(
    line: Line,
    spec: FetchSpec,
    table: _Table,
    chosen: Chosen,
    limit: int,
    here: Path,
    file: str,
    progress: bool,
) -> list[Part]:
    """Every part into the cache; returns the parts in the order of the file."""
    whole: Part = tuple(codes for _, codes in chosen)
    waiting, done = split(whole, limit), []
    newest = None if table.updated else _DAY
    with tqdm(
        total=math.prod(map(len, whole)),
        desc=file,
        unit="cell",
        unit_scale=True,
        disable=None if progress else True,
        leave=False,
    ) as bar:
        while waiting:
            part = waiting.pop(0)
            question = _question(chosen, part, spec.format)
            name = digest(question.decode("utf-8"))
            if kept(here, name, newest=newest) is None:
                answer = ask(line, spec.url, body=question, also=_TOO_MANY)
                if answer.status in _TOO_MANY:
                    waiting = _smaller(part, answer, spec, file) + waiting
                    limit = math.prod(map(len, waiting[0]))
                    waiting = [piece for each in waiting for piece in split(each, limit)]
                    continue
                check_answer(answer, spec, chosen, part, file)
                keep(here, name, answer.body, charset=answer.charset)
            done.append(part)
            bar.update(math.prod(map(len, part)))
    return done


def _ask_again(line: Line, spec: FetchSpec, chosen: Chosen, part: Part, here: Path) -> None:
    """Hold the first part against what the server says at the end, where it does not tell when it was updated."""
    answer = ask(line, spec.url, body=_question(chosen, part, spec.format))
    if answer.body != _body(here, spec, chosen, part)[0]:
        raise ChangedError("the first part, asked for again")


def _smaller(part: Part, answer: Answer, spec: FetchSpec, file: str) -> list[Part]:
    cells = math.prod(map(len, part))
    if cells == 1:
        raise RunError(
            "The server refuses even one cell.",
            where=f"{file}, {spec.url}",
            found=f"status {answer.status}",
            fix="It may refuse this network. Open the address in a browser, or try again tomorrow.",
        )
    return split(part, cells // 2)


def _join(
    spec: FetchSpec,
    table: _Table,
    chosen: Chosen,
    parts: Sequence[Part],
    here: Path,
    file: str,
) -> dict[str, str | int]:
    path = here / "joined"
    seen: set[str] = set()
    if spec.format == "csv":
        cells = _join_csv(path, spec, chosen, parts, here, file)
    else:
        cells = write_table(
            path, _heads(table, chosen, spec, file), _blocks(spec, chosen, parts, here, file, seen)
        )
    updated = table.updated or next(iter(seen), "")
    return {"title": table.title, "updated": updated, "cells": cells, "parts": len(parts)}


def _body(here: Path, spec: FetchSpec, chosen: Chosen, part: Part) -> tuple[bytes, str]:
    found = kept(here, digest(_question(chosen, part, spec.format).decode("utf-8")))
    if found is None:
        raise ChangedError("a part in the cache")
    return found[0], found[1].get("charset", "")


def _heads(table: _Table, chosen: Chosen, spec: FetchSpec, file: str) -> Heads:
    (area, area_codes), *others, (time, years) = chosen
    # A dimension of which one value is wanted says nothing that tells rows apart; the selection is in the study.
    telling = [each for each in others if len(each[1]) > 1] or others[:1]
    items = [""]
    for dimension, codes in others:
        shown = any(dimension.code == each.code for each, _ in telling)
        texts = [" ".join(dimension.labels[code].split()) if shown else "" for code in codes]
        items = [", ".join(filter(None, (item, text))) for item in items for text in texts]
    where = f"{file}, {spec.url}"
    refuse_twins(items, "items", where)
    refuse_twins([area_label(code, area.labels[code]) for code in area_codes], "areas", where)
    labels = [year_label(code, time.labels[code], where) for code in years]
    refuse_twins(labels, "years", where)
    return Heads(
        title=table.title,
        area=area.text,
        item=", ".join(each.text for each, _ in telling) or "Information",
        items=tuple(items),
        years=tuple(labels),
    )


def _blocks(
    spec: FetchSpec,
    chosen: Chosen,
    parts: Sequence[Part],
    here: Path,
    file: str,
    seen: set[str],
) -> Iterator[Block]:
    area = chosen[0][0]
    inner = [codes for _, codes in chosen[1:]]
    at = [{code: place for place, code in enumerate(codes)} for codes in inner]
    for codes, group in groupby(parts, key=lambda part: part[0]):
        cube = np.full((len(codes), *map(len, inner)), None, dtype=object)
        for part in group:
            body, _ = _body(here, spec, chosen, part)
            cells, updated = read_cells(body, chosen, part, f"{file}, {spec.url}")
            seen.add(updated)
            if len(seen) > 1:
                raise ChangedError("the time of update")
            places = [[place[code] for code in wanted] for place, wanted in zip(at, part[1:], strict=True)]
            cube[np.ix_(range(len(codes)), *places)] = cells
        yield Block(
            areas=tuple(area_label(code, area.labels[code]) for code in codes),
            cells=cube.reshape(len(codes), -1, len(inner[-1])),
        )


def _join_csv(
    path: Path,
    spec: FetchSpec,
    chosen: Chosen,
    parts: Sequence[Part],
    here: Path,
    file: str,
) -> int:
    head: list[str] | None = None
    cells = 0
    with path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_MINIMAL)
        for part in parts:
            body, charset = _body(here, spec, chosen, part)
            header, rows = read_csv_rows(body, charset, chosen, part, spec, file)
            if head is None:
                head = header
                writer.writerow(header)
            elif head != header:
                raise ChangedError("the header of the answers")
            writer.writerows(rows)
            cells += math.prod(map(len, part))
    return cells
