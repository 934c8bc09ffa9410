"""`study.toml` as bytes -> what it says, checked against the schema.

In: a path. Out: `StudySpec` with the catalogue's definitions in it. Never: a fault that stops the search for others.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import get_args

from pydantic import BaseModel, ValidationError

from ..definition import definition_bytes, definition_file, definition_tables
from ..errors import Fault, StudyError, closest
from .catalogue import with_catalogue
from .schema import StudySpec

#: So many faults are told at once; a file with more is not a study.
MOST_FAULTS = 50
_TAG = re.compile(r"<\w+>")  # names that the schema gives the sides of a union


def read_spec(path: str | Path) -> tuple[Path, bytes, StudySpec]:
    """Read `study.toml` alone: its place, its bytes and what it says; the files that it names may not be there yet.

    Definitions that it takes from a shipped catalogue are in it, as if they stood there.

    Raises
    ------
    StudyError
        There is no study, or its `study.toml` breaks the schema, or it asks a catalogue for what is not there.
    """
    file = definition_file(Path(path))
    text = definition_bytes(file)
    return file, text, with_catalogue(_parse(text, where=str(file)), str(file))


def _parse(text: bytes, *, where: str) -> StudySpec:
    content = definition_tables(text, where=where)
    try:
        return StudySpec.model_validate(content)
    except ValidationError as cause:
        errors = cause.errors(include_url=False)
        raise StudyError.of(
            first(
                (
                    _fault_of(error["type"], error["loc"], error["msg"], error.get("input"), where)
                    for error in errors
                ),
                where,
                len(errors),
            )
        ) from None
    except RecursionError:
        raise StudyError("study.toml is nested too deeply.", where=where) from None


def first(faults: Iterable[Fault], where: str, known: int | None = None) -> Iterator[Fault]:
    """The first `MOST_FAULTS` faults, and one that says that there are more."""
    each = iter(faults)
    yield from islice(each, MOST_FAULTS)
    if (known is not None and known > MOST_FAULTS) or (known is None and next(each, None) is not None):
        number = "" if known is None else f"{known - MOST_FAULTS} "
        yield Fault(what=f"There are {number}more faults.", where=where, fix="Mend these first.")


def _fault_of(kind: str, place: tuple[int | str, ...], message: str, found: object, where: str) -> Fault:
    place = tuple(part for part in place if not (isinstance(part, str) and _TAG.fullmatch(part)))
    parts = (f"[{part + 1}]" if isinstance(part, int) else f".{part[:80]}" for part in place)
    key = "".join(parts).lstrip(".")
    if kind == "extra_forbidden":
        allowed = _allowed_keys(place[:-1])
        near = closest(str(place[-1])[:80], allowed)
        return Fault(
            what=f"Unknown key {key!r}.",
            where=where,
            expected=f"{near}; allowed here: {', '.join(allowed)}",
        )
    if kind == "missing":
        return Fault(what=f"The key {key!r} is missing.", where=where)
    return Fault(
        what=f"The key {key!r} has a wrong value.",
        where=where,
        found=_shown(found),
        expected=message.removeprefix("Value error, "),
    )


def _shown(found: object) -> str:
    try:
        return repr(found)[:80]
    except (ValueError, RecursionError):  # a number of thousands of digits, tables in tables
        return f"a {type(found).__name__} too large to be shown"


def _allowed_keys(place: tuple[int | str, ...]) -> list[str]:
    model: type[BaseModel] = StudySpec
    for part in place:
        if isinstance(part, str):
            model = next(_models(model.model_fields[part].annotation))
    return list(model.model_fields)


def _models(annotation: object) -> Iterator[type[BaseModel]]:
    """The tables that an annotation names, wherever in it they stand."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)
