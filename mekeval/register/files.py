"""The files of a register: found, checked against what is asked, and read as one normal form.

In: paths and the columns that are needed. Out: `Extract`, the SQL that reads one file under names of ours. Never:
a value of a person in an error, a name of a user inside SQL unquoted, or a file that the glob did not mean.
"""

from __future__ import annotations

import codecs
import csv
import glob
import gzip
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import DataError, Fault, closest
from .engine import run
from .measures import writable

if TYPE_CHECKING:
    import duckdb

_WHOLE = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER"}
_FLOATS = {"FLOAT", "DOUBLE"}
_CSV = (".csv", ".csv.gz", ".tsv", ".tsv.gz")
_DELIMITERS = ",;\t|"
#: Role of a column -> the kinds of column that can play it, in words.
_PLAYS = {
    "area": "text or whole numbers",
    "year": "whole numbers",
    "person": "text or whole numbers",
    "number": "numbers",
    "text": "text",
    "flag": "true or false",
}


@dataclass(frozen=True, kw_only=True)
class Needs:
    """The columns that are needed.

    Attributes
    ----------
    area, year : str
        Columns of the cell.
    person : str or None
        Column of the person.
    others : mapping of (str, str) to str
        (column, role) -> name of ours in the SQL.
    """

    area: str
    year: str
    person: str | None
    others: Mapping[tuple[str, str], str]

    @property
    def columns(self) -> list[tuple[str, str]]:
        """All columns with their roles."""
        first = [(self.area, "area"), (self.year, "year")]
        return first + ([(self.person, "person")] if self.person else []) + list(self.others)


@dataclass(frozen=True, kw_only=True)
class Extract:
    """One file in normal form.

    Attributes
    ----------
    name : str
        Name of the file, without its folder.
    path : Path
        The file.
    types : mapping of str to str
        Column -> type in the file.
    delimiter : str
        Of a CSV file; empty for Parquet.
    state : tuple of int
        What the file system says of the file: its number, size and time of change.
    """

    name: str
    path: Path
    types: Mapping[str, str]
    delimiter: str
    state: tuple[int, ...]


def find_files(source: str | Path | Sequence[str | Path], within: Path | None) -> list[Path]:
    """All files that paths and patterns name, in the order of their names.

    Raises
    ------
    DataError
        Nothing found, a file twice, a folder, a type that is neither Parquet nor CSV, or a file outside `within`.
    """
    given = [source] if isinstance(source, str | Path) else list(source)
    if not given:
        raise DataError("No file is given.", where="source")
    faults: list[Fault] = []
    files: dict[Path, str] = {}
    for one in given:
        text = os.fspath(one)
        found = [text] if Path(text).exists() else sorted(glob.glob(text, recursive=True))  # noqa: PTH207  (Path.glob refuses absolute patterns)
        if not found:
            parent = Path(text).parent
            beside = [entry.name for entry in sorted(parent.iterdir())[:200]] if parent.is_dir() else []
            expected = closest(Path(text).name, beside) if beside else "an existing folder"
            faults.append(Fault(what="There is no such file.", where="source", found=text, expected=expected))
        for name in found:
            real = Path(name).resolve()
            faults += _file_faults(name, real, within, again=real in files)
            files[real] = name
    if faults:
        raise DataError.of(faults)
    return sorted(files)


def _file_faults(name: str, real: Path, within: Path | None, *, again: bool) -> list[Fault]:
    if not writable(str(real)):
        return [
            Fault(what="The path holds a character that is no text.", where=ascii(name), fix="Rename it.")
        ]
    if real.is_dir():
        return [Fault(what="A folder is no file.", where=name, fix=f"Write {name}/*.parquet.")]
    if not real.is_file():
        return [Fault(what="This is no ordinary file.", where=name)]
    if again:
        fix = "Name it once; links count too."
        return [Fault(what="A file stands twice: its persons would count twice.", where=name, fix=fix)]
    if within is not None and not real.is_relative_to(within.resolve()):
        return [Fault(what="The file lies outside the folder.", where=name, expected=f"inside {within}")]
    if not real.name.lower().endswith((".parquet", *_CSV)):
        return [
            Fault(
                what="The type of the file is not known.",
                where=name,
                found=real.suffix or "no ending",
                expected=".parquet, " + ", ".join(_CSV),
            )
        ]
    return []


def open_files(con: duckdb.DuckDBPyConnection, paths: Sequence[Path], needs: Needs) -> list[Extract]:
    """Read the columns of each file and hold them against what is needed; all faults at once."""
    extracts: list[Extract] = []
    faults: list[Fault] = []
    for path in paths:
        try:
            extract = _open(con, path)
        except DataError as error:
            faults += error.faults
            continue
        faults += _column_faults(extract, needs)
        extracts.append(extract)
    if not faults and len({_is_whole(extract, needs.area) for extract in extracts}) > 1:
        faults.append(
            Fault(
                what="The area is text in some files and a number in others: 01360 and 1360 would be two areas.",
                where=f"column {needs.area!r}",
                found=", ".join(extract.name for extract in extracts if _is_whole(extract, needs.area))
                + " with numbers",
                fix="Write the area in one way in all files.",
            )
        )
    if faults:
        raise DataError.of(faults)
    return extracts


def _open(con: duckdb.DuckDBPyConnection, path: Path) -> Extract:
    state = _state(path)
    if path.stat().st_size == 0:
        raise DataError("The file is empty.", where=path.name)
    delimiter = ""
    if not path.name.lower().endswith(".parquet"):
        delimiter = _delimiter(path)
    reader = reader_of(path, delimiter, ())
    query = f"SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM {reader})"
    table = run(con, query, where=path.name)
    types = dict(zip(table["column_name"].astype(str), table["column_type"].astype(str), strict=True))
    return Extract(name=path.name, path=path, types=types, delimiter=delimiter, state=state)


def _state(path: Path) -> tuple[int, ...]:
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def refuse_changed(extracts: Sequence[Extract]) -> None:
    """Raise DataError for files that are not what they were: counts and medians would be of two registers."""
    faults = [
        Fault(
            what="The file changed while it was read.",
            where=extract.name,
            fix="Wait until nobody writes it, then try again.",
        )
        for extract in extracts
        if _state(extract.path) != extract.state
    ]
    if faults:
        raise DataError.of(faults)


def _delimiter(path: Path) -> str:
    """The separator of the first line; its fields must differ from one another."""
    line = b""
    try:
        packed = path.name.lower().endswith(".gz")
        with gzip.open(path, "rb") if packed else path.open("rb") as opened:
            line = opened.readline(1 << 20)
        text = line.removeprefix(codecs.BOM_UTF8).decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        text = "\0"
    except (OSError, EOFError):
        raise DataError("The file cannot be read.", where=path.name) from None
    if "\0" in text or len(line) == 1 << 20:
        raise DataError(
            "The first line is no line of UTF-8 text.",
            where=path.name,
            fix="Save the file as UTF-8, or as Parquet.",
        )
    delimiter = max(
        _DELIMITERS, key=lambda mark: len(next(csv.reader(io.StringIO(text), delimiter=mark), []))
    )
    names = next(csv.reader(io.StringIO(text), delimiter=delimiter), [])
    if len({name.casefold() for name in names}) < len(names):
        # The names are not shown: without a header they would be a person's values.
        raise DataError(
            "Two columns of the first line have one name, or the file has no header.",
            where=path.name,
            fix="Give each column a name of its own; upper and lower case do not count.",
        )
    return delimiter


def _column_faults(extract: Extract, needs: Needs) -> list[Fault]:
    """Columns that are not there, with the closest names; and columns of a type that cannot be used."""
    asked = list(dict.fromkeys(column for column, _ in needs.columns))
    # The first line of a CSV file without a header is a person: only a line that holds a name asked for is quoted.
    if extract.delimiter and not any(column in extract.types for column in asked):
        return [
            Fault(
                what="The first line of the file has none of the columns.",
                where=extract.name,
                expected=", ".join(map(repr, asked)),
                fix="Give the file a header, or correct the names. The line is not shown: it may be a person.",
            )
        ]
    faults = [
        Fault(
            what="The file has no such column.",
            where=extract.name,
            found=repr(column),
            expected=_alike(column, extract),
        )
        for column in asked
        if column not in extract.types
    ]
    if extract.delimiter:
        return faults  # all of it is text; what does not fit is counted when it is read
    for column, role in needs.columns:
        kind = extract.types.get(column)
        if kind is not None and not _fits(kind, role):
            faults.append(
                Fault(
                    what=f"The column {column!r} cannot be read as {_PLAYS[role]}.",
                    where=extract.name,
                    found=kind,
                    expected=_PLAYS[role],
                    fix="Use a share for true or false." if kind == "BOOLEAN" else "",
                )
            )
    return faults


def _alike(column: str, extract: Extract) -> str:
    """The name that is meant. Of a CSV file only one much like it is shown: the rest of the line may be a person."""
    if not extract.delimiter:
        return closest(column, extract.types)
    found = get_close_matches(column, extract.types, n=1, cutoff=0.7)
    return (
        f"closest: {found[0]!r}"
        if found
        else "a name of the first line; it is not shown, it may hold a person"
    )


def _fits(kind: str, role: str) -> bool:
    whole, text = kind in _WHOLE, kind == "VARCHAR" or kind.startswith("ENUM")
    return {
        "area": whole or text,
        "year": whole,
        "person": whole or text or kind == "UUID",
        "number": whole or kind in _FLOATS or kind.startswith("DECIMAL") or kind in ("HUGEINT", "UBIGINT"),
        "text": text,
        "flag": kind == "BOOLEAN",
    }[role]


def quote(name: str) -> str:
    """An identifier for SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text for SQL."""
    return "'" + text.replace("'", "''") + "'"


def reader_of(path: Path, delimiter: str, missing: Sequence[str]) -> str:
    """The SQL that reads one file; marks of a pattern in its name stand for themselves."""
    name = literal("".join(f"[{mark}]" if mark in "*?[" else mark for mark in str(path)))
    if not delimiter:
        return f"read_parquet({name}, hive_partitioning = false)"
    marks = ", ".join(map(literal, ["", *missing]))
    return (
        f"read_csv({name}, delim = {literal(delimiter)}, quote = '\"', escape = '\"', header = true, skip = 0, "
        f"all_varchar = true, comment = '', hive_partitioning = false, nullstr = [{marks}])"
    )


def normal_form(
    extract: Extract, all_files: Sequence[Extract], needs: Needs, *, decimal: str, missing: Sequence[str]
) -> str:
    """A query that gives one file as columns `y`, `a`, `p` and the names in `needs.others`.

    A column that may hold what is no finite number has a column ``bad_<name>`` beside it, true where it does.
    """
    text = bool(extract.delimiter)
    parts = [
        f"{_year(quote(needs.year)) if text else quote(needs.year)} AS y",
        f"{_key(needs.area, all_files)} AS a",
    ]
    if needs.person:
        parts.append(f"{_key(needs.person, all_files)} AS p")
    for (column, role), alias in needs.others.items():
        name = quote(column)
        if role == "text":
            parts.append(f"CAST({name} AS VARCHAR) AS {alias}")
        elif role == "flag":
            cast = f"TRY_CAST({name} AS BOOLEAN)" if text else name
            parts.append(f"{cast} AS {alias}")
            if text:
                parts.append(f"({name} IS NOT NULL AND {cast} IS NULL) AS bad_{alias}")
        elif text:
            plain = f"replace({name}, ',', '.')" if decimal == "," else name
            cast = f"TRY_CAST({plain} AS DOUBLE)"
            parts.append(f"nullif({cast}, 'nan'::DOUBLE) AS {alias}")
            wrong = f"{cast} IS NULL OR isinf({cast}) OR contains({name}, '_')"
            parts.append(f"({name} IS NOT NULL AND ({wrong})) AS bad_{alias}")
        elif extract.types[column] in _FLOATS:
            parts.append(f"nullif(CAST({name} AS DOUBLE), 'nan'::DOUBLE) AS {alias}")
            parts.append(f"isinf({name}) AS bad_{alias}")
        else:
            parts.append(f"CAST({name} AS DOUBLE) AS {alias}")
    reader = reader_of(extract.path, extract.delimiter, missing)
    return f"SELECT {', '.join(parts)} FROM {reader}"


def checked(extract: Extract, needs: Needs) -> list[tuple[str, str, str]]:
    """The columns with a `bad_` column beside them: (column, role, alias)."""
    return [
        (column, role, alias)
        for (column, role), alias in needs.others.items()
        if (role != "text" and extract.delimiter) or (role == "number" and extract.types[column] in _FLOATS)
    ]


def _is_whole(extract: Extract, column: str) -> bool:
    return extract.types[column] in _WHOLE


def _year(name: str) -> str:
    return f"CASE WHEN regexp_full_match({name}, '\\s*[0-9]{{4}}\\s*') THEN CAST({name} AS INTEGER) END"


def _key(column: str, all_files: Sequence[Extract]) -> str:
    """A column to group or join by: whole numbers stay numbers where all files have them; empty text is missing."""
    if all(_is_whole(extract, column) for extract in all_files):
        return f"CAST({quote(column)} AS BIGINT)"
    return f"nullif(CAST({quote(column)} AS VARCHAR), '')"
