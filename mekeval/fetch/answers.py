"""What PxWeb answers to a question: JSON-stat 2.0 or CSV, held against the question cell by cell.

In: the bytes of an answer and the question. Out: cells in the order of the file. Never: a cell by its position alone,
where the answer says itself what it is.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, StudyError
from ..study import FetchSpec
from .web import Answer, json_content, refuse_page

Part = tuple[tuple[str, ...], ...]  # the codes of each dimension


@dataclass(frozen=True, kw_only=True)
class Dimension:
    code: str
    text: str
    labels: Mapping[str, str]  # of each code, in the table's order
    may_be_left_out: bool
    is_time: bool


#: Dimensions in the order of the file (areas, others, years), each with the codes wanted.
Chosen = Sequence[tuple[Dimension, tuple[str, ...]]]


def check_answer(
    answer: Answer,
    spec: FetchSpec,
    chosen: Chosen,
    part: Part,
    file: str,
) -> None:
    if spec.format == "csv":
        refuse_page(answer, spec.url)
        read_csv_rows(answer.body, answer.charset, chosen, part, spec, file)
        if not answer.sized and not answer.body.endswith((b"\n", b"\r")):
            raise DataError(
                "An answer may be cut off: the server did not say how long it is, and its last row has no end.",
                where=f"{file}, {spec.url}",
                fix='Try again, or write format = "json-stat2".',
            )
    else:
        read_cells(answer.body, chosen, part, f"{file}, {spec.url}", answer)


def read_cells(
    body: bytes,
    chosen: Chosen,
    part: Part,
    where: str,
    answer: Answer | None = None,
) -> tuple[NDArray[np.object_], str]:
    """The cells of a JSON-stat answer in the order of the file, and when the table was updated."""
    came = answer or Answer(status=200, kind="application/json", charset="", body=body, etag="")
    content = json_content(came, where)
    try:
        data = as_mapping(content)
        data = as_mapping(data["dataset"]) if "dataset" in data else data
        ids = [str(each) for each in as_list(data["id"])]
        sizes = [int(str(each)) for each in as_list(data["size"])]
        names = [dimension.code for dimension, _ in chosen]
        if sorted(ids) != sorted(names):
            raise ValueError(f"dimensions {ids}, not {names}")
        dimensions = as_mapping(data["dimension"])
        wanted = {dimension.code: codes for (dimension, _), codes in zip(chosen, part, strict=True)}
        places = []
        for name, size in zip(ids, sizes, strict=True):
            index = as_mapping(as_mapping(dimensions[name])["category"]).get("index")
            if index is None:
                index = list(as_mapping(as_mapping(as_mapping(dimensions[name])["category"])["label"]))
            order = (
                {str(code): at for at, code in enumerate(index)}
                if isinstance(index, list)
                else {str(code): int(str(at)) for code, at in as_mapping(index).items()}
            )
            if (
                size != len(wanted[name])
                or set(order) != set(wanted[name])
                or sorted(order.values()) != list(range(size))
            ):
                raise ValueError(f"other codes of {name} than were asked for")
            places.append([order[code] for code in wanted[name]])
        flat = _flat(data.get("value"), data.get("status"), math.prod(sizes))
    except (KeyError, TypeError, ValueError, AttributeError) as cause:
        raise DataError(
            "An answer of the server is not what was asked for.",
            where=where,
            found=f"{type(cause).__name__}: {cause}"[:200],
            expected="JSON-stat 2.0 with the dimensions and the codes of the question",
        ) from None
    cube = flat.reshape(sizes)[np.ix_(*places)]
    return cube.transpose([ids.index(name) for name in names]), str(data.get("updated", ""))


def _flat(values: object, status: object, size: int) -> NDArray[np.object_]:
    """The cells as texts: numbers as they were sent, else the symbol that the server gives instead."""
    texts = np.full(size, "", dtype=object)
    for given, is_symbol in ((status, True), (values, False)):
        if given is None and is_symbol:
            continue
        if isinstance(given, str):
            pairs: Iterator[tuple[int, object]] = ((at, given) for at in range(size))
        elif isinstance(given, list):
            if len(given) != size:
                raise ValueError(f"{len(given)} cells, {size} announced")
            pairs = enumerate(given)
        else:
            pairs = ((int(at), each) for at, each in as_mapping(given).items())
        for at, each in pairs:
            if not 0 <= at < size:
                raise ValueError(f"a cell number {at} of {size}")
            if each is not None:
                if not isinstance(each, str):
                    raise TypeError(f"a cell is {type(each).__name__}")
                texts[at] = each
    return texts


def read_csv_rows(
    body: bytes,
    charset: str,
    chosen: Chosen,
    part: Part,
    spec: FetchSpec,
    file: str,
) -> tuple[list[str], list[list[str]]]:
    """Header and rows of a CSV answer; as many of both as the question has cells, cut along the areas alone."""
    where = f"{file}, {spec.url}"
    if any(len(codes) < len(all_codes) for codes, (_, all_codes) in zip(part[1:], chosen[1:], strict=True)):
        raise StudyError(
            "One area has more cells than the server gives in one answer; in CSV it cannot be cut further.",
            where=where,
            fix='Write format = "json-stat2", or choose less.',
        )
    try:
        text = body.decode(charset or "utf-8-sig")
    except (LookupError, ValueError):
        text = body.decode("iso-8859-1")
    try:
        rows = [
            row
            for row in csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
            if row
        ]
    except csv.Error as cause:
        raise DataError("The server's answer is not CSV.", where=where, found=str(cause)) from None
    sizes = {dimension.text: len(codes) for (dimension, _), codes in zip(chosen, part, strict=True)}
    header = rows[0] if rows else []
    stub = []
    for name in header:
        if name not in sizes:
            break
        stub.append(name)
    down = math.prod(sizes[name] for name in stub)
    across = math.prod(size for name, size in sizes.items() if name not in stub)
    if chosen[0][0].text not in stub:
        raise DataError("The areas are not in the rows of the answer.", where=where, found=repr(header[:4]))
    if len(rows) - 1 != down or any(len(row) != len(stub) + across for row in rows):
        raise DataError(
            "An answer of the server is not what was asked for.",
            where=where,
            found=f"{len(rows) - 1} rows of {len(header)} columns",
            expected=f"{down} rows of {len(stub) + across} columns",
        )
    return header, rows[1:]


def as_mapping(content: object) -> Mapping[str, object]:
    if not isinstance(content, Mapping):
        raise TypeError(f"{type(content).__name__} instead of an object")
    return content


def as_list(content: object) -> list[object]:
    if not isinstance(content, list):
        raise TypeError(f"{type(content).__name__} instead of a list")
    return content
