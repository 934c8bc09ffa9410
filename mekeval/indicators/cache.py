"""Results on disk, so that a second run on unchanged files is quick: Parquet, written and read by DuckDB.

In: a study, a day and a folder. Out: `Indicators`, or nothing where the folder has none that is whole. Never: a result
of other files, another study or another version of the library; a damaged file believed, or one that stops a run.
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import hashlib
import importlib.util
import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..areas import Areas
from ..study import Study
from .result import Indicators

if TYPE_CHECKING:
    import duckdb

_TABLES = ("table", "log", "files", "releases", "areas")
#: The packages of the library whose code a result depends on.
_CODE = ("areas", "dates.py", "disclosure", "errors.py", "indicators", "sources", "study")
_FORMAT = 1
_KEPT = 20  # results in one folder


def available() -> bool:
    """Whether DuckDB is installed."""
    return importlib.util.find_spec("duckdb") is not None


@functools.cache
def code_checksum() -> str:
    """The checksum of the code that makes a result."""
    root = Path(__file__).resolve().parents[1]
    total = hashlib.sha256()
    for name in _CODE:
        path = root / name
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.suffix in (".py", ".toml"):
                total.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return total.hexdigest()


def key_of(study: Study, day: datetime.date | None) -> str | None:
    """What a result depends on, as one checksum: study, lists of areas, raw files, code, day; None if a file is gone.

    The raw files are read again: that they were whole when the study was read says nothing of now.
    """
    words = {
        "format": _FORMAT,
        "code": code_checksum(),
        "pandas": pd.__version__,
        "study": study.sha256,
        "spec": study.spec.model_dump_json(),  # a view of a study has its checksum and not its words
        "areas": [words_of(study.areas.table), study.areas.unit],
        "day": str(day),
    }
    total = hashlib.sha256(json.dumps(words, sort_keys=True).encode())
    try:
        for path in study.paths:
            with path.open("rb") as stream:
                total.update(hashlib.file_digest(stream, "sha256").digest())
    except OSError:
        return None
    return total.hexdigest()


def words_of(table: pd.DataFrame) -> dict[str, list[str]]:
    """All that a table holds, by column: for a checksum of it, in a fraction of the time that CSV takes."""
    held = {str(name): column for name, column in table.items()} | {"\0index": table.index}
    return {name: list(map(str, column.tolist())) for name, column in held.items()}


def load(folder: Path, key: str) -> Indicators | None:
    """The result of a key; None where there is none, or none that is whole."""
    place = folder / f"indicators-{key[:32]}"
    try:
        first, _, body = (place / "facts.json").read_text("utf-8").partition("\n")
        if hashlib.sha256(body.encode()).hexdigest() != first:
            return None
        facts = json.loads(body)
        if facts["key"] != key:
            return None
        sums = {
            name: hashlib.sha256((place / f"{name}.parquet").read_bytes()).hexdigest() for name in _TABLES
        }
        if sums != facts["sha256"]:
            return None
        with _engine() as con:
            frames = {
                name: _read(con, place / f"{name}.parquet", facts["dtypes"][name], facts["words"][name])
                for name in _TABLES
            }
        return Indicators(
            table=frames["table"],
            log=frames["log"],
            areas=Areas(table=frames["areas"].set_index("code"), unit=facts["unit"]),
            files=frames["files"],
            releases=frames["releases"],
            as_of=datetime.date.fromisoformat(facts["as_of"]) if facts["as_of"] else None,
            outcomes=tuple(facts["outcomes"]),
        )
    except Exception:  # whatever is wrong with a cache, the files are still there to be read
        return None


def _engine() -> duckdb.DuckDBPyConnection:
    """A connection in memory."""
    import duckdb

    con = duckdb.connect(":memory:", config={"threads": 2})
    con.execute("SET enable_progress_bar = false")
    return con


def _read(
    con: duckdb.DuckDBPyConnection, path: Path, dtypes: dict[str, str], words: dict[str, list[str]]
) -> pd.DataFrame:
    columns = con.execute("SELECT * FROM read_parquet(?)", [str(path)]).fetchnumpy()
    frame = {}
    for name, kind in dtypes.items():
        if name in words:
            at = np.asarray(columns[name])
            known = pd.Series(words[name], dtype=pd.api.types.pandas_dtype(kind))
            if len(at) and at.min() >= 0:
                frame[name] = pd.Series(known.array.take(at), copy=False)
            else:  # -1 is no position: a gap
                frame[name] = known.reindex(at).reset_index(drop=True)
        else:
            numbers = columns[name]
            if isinstance(numbers, np.ma.MaskedArray) and kind.startswith("float"):
                numbers = numbers.filled(np.nan)
            frame[name] = pd.Series(numbers, copy=False).astype(pd.api.types.pandas_dtype(kind))
    return pd.DataFrame(frame, copy=False)


def _coded(frame: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, list[str]]]:
    """Columns of text as positions in lists: of 600,000 rows few are different, and numbers are read in no time."""
    words: dict[str, list[str]] = {}
    columns: dict[str, object] = {}
    for name, column in frame.items():
        if pd.api.types.is_numeric_dtype(column.dtype):
            columns[str(name)] = column
        else:
            codes, found = pd.factorize(column)
            columns[str(name)] = codes.astype(np.int32)
            words[str(name)] = list(map(str, found))
    return pd.DataFrame(columns), words


def save(folder: Path, key: str, result: Indicators) -> None:
    """Keep a result; a folder that cannot be written keeps nothing."""
    with contextlib.suppress(Exception):
        _save(folder, key, result)


def _prune(folder: Path) -> None:
    """Only the newest results stay."""
    known = sorted(folder.glob("indicators-*"), key=lambda place: place.stat().st_mtime, reverse=True)
    for place in known[_KEPT:]:
        shutil.rmtree(place, ignore_errors=True)


def _save(folder: Path, key: str, result: Indicators) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=".mekeval-part-", dir=folder))
    try:
        frames = {
            "table": result.table,
            "log": result.log,
            "files": result.files,
            "releases": result.releases,
            "areas": result.areas.table.reset_index(),
        }
        sums, words = {}, {}
        with _engine() as con:
            for name, frame in frames.items():
                path = unfinished / f"{name}.parquet"
                coded, words[name] = _coded(frame)
                con.register("frame", coded)
                con.execute(f"COPY frame TO '{str(path).replace(chr(39), chr(39) * 2)}' (FORMAT parquet)")
                con.unregister("frame")
                sums[name] = hashlib.sha256(path.read_bytes()).hexdigest()
        facts = {
            "key": key,
            "sha256": sums,
            "dtypes": {
                name: {column: str(kind) for column, kind in frame.dtypes.items()}
                for name, frame in frames.items()
            },
            "words": words,
            "unit": result.areas.unit,
            "as_of": str(result.as_of or ""),
            "outcomes": list(result.outcomes),
        }
        body = json.dumps(facts)
        total = hashlib.sha256(body.encode()).hexdigest()
        (unfinished / "facts.json").write_text(f"{total}\n{body}", "utf-8")
        place = folder / f"indicators-{key[:32]}"
        shutil.rmtree(place, ignore_errors=True)
        unfinished.replace(place)
        _prune(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
