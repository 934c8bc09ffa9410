"""Raw files from their producers: `mekeval fetch`.

In: a study whose sources have `[source.fetch]`. Out: its raw files, and `sources.lock`, which says whence, when and
with which checksum they came. Never: a raw file that is replaced before the new one is complete and a reader has
taken it, a changed release that a study takes in unnoticed, or a byte outside the study's folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path, PurePosixPath
from typing import Literal

from filelock import FileLock, Timeout
from tqdm import tqdm

from ..display import Shown
from ..errors import Fault, MekevalError, RunError, StudyError, closest
from ..sources import read_source
from ..study import FetchSpec, SourceSpec, StudySpec, inside, read_spec
from .cache import digest, now, refuse_links, sweep, write_whole

__all__ = ["LOCK", "Fetched", "fetch_study"]

#: The file in the study's folder that says where its raw files came from.
LOCK = "sources.lock"
_CACHE = ".cache/fetch"
_LINK_FAULT = "a relative path without '..' that no link leads out of the folder"


@dataclass(frozen=True, kw_only=True, repr=False)
class Fetched(Shown):
    """What became of one source.

    Attributes
    ----------
    file : str
        Name of the raw file as the study gives it.
    state : str
        "new", "unchanged", "changed" (the file is replaced, the former one is in the cache), "cached" (not asked
        for: offline), "unreachable" or "failed" (the file is as it was).
    message : str
        What happened and what is to be done, in words.
    sha256 : str
        Of the raw file as it is now; empty where there is none.
    retrieved : str
        When the data of the file came, as `sources.lock` says; empty where it says nothing.
    """

    file: str
    state: Literal["new", "unchanged", "changed", "cached", "unreachable", "failed"]
    message: str
    sha256: str
    retrieved: str


def fetch_study(
    path: str | Path,
    *,
    files: Iterable[str] = (),
    offline: bool = False,
    refresh: bool = False,
    timeout: float = 120.0,
    progress: bool = True,
) -> tuple[Fetched, ...]:
    """Download the raw files of a study, or go on with a download that was broken off.

    Parameters
    ----------
    path : str or Path
        The folder of the study, or its `study.toml`.
    files : iterable of str
        Names of the raw files to fetch; none means all that have `[source.fetch]`.
    offline : bool
        Ask no server; only say what is there.
    refresh : bool
        Leave what is in the cache unused.
    timeout : float
        Seconds without a byte after which an attempt is given up.
    progress : bool
        Show a bar, where there is a terminal.

    Returns
    -------
    tuple of Fetched
        One for each source, in the order of the study. A source that failed does not stop the others.

    Raises
    ------
    StudyError
        `study.toml` breaks the schema, names a file outside the study or nothing to fetch.
    RunError
        Another fetch of the study is going on, the extra `fetch` is not installed, or the cache cannot be written.

    Notes
    -----
    Parts are kept in `.cache/fetch` in the study's folder, named by a hash of their question. A finished download is
    asked for anew only when the server's metadata or time of update differ from those it was made of, or when the
    server does not say when the table was updated. The same data give the same bytes, whatever the server's limit of
    cells and however often the download was broken off.
    """
    study, _, spec = read_spec(path)
    folder = study.parent
    sources = _sources(spec, folder, tuple(files), study.name)
    if offline:  # nothing is written, not even where another fetch would wait for it
        return tuple(_offline(source, folder) for source, _ in sources)
    _need_packages()
    try:
        cache = _cache_folder(folder)
        with FileLock(cache / "lock").acquire(timeout=0):
            _forget(cache, spec)
            sweep(cache, deep=True)
            sweep(cache.parent)
            for left in {folder, *((folder / source.file).parent for source, _ in sources)}:
                sweep(left)
            return tuple(
                _fetched(
                    source,
                    fetch,
                    spec,
                    folder,
                    cache,
                    refresh=refresh,
                    timeout=timeout,
                    progress=progress,
                )
                for source, fetch in sources
            )
    except Timeout:
        raise RunError(
            "Another fetch of this study is going on.", where=str(folder), fix="Wait for it."
        ) from None
    except OSError as cause:
        raise RunError(
            "The study's folder cannot be written.",
            where=str(cause.filename or folder),
            found=cause.strerror or str(cause),
        ) from None


def _sources(
    spec: StudySpec, folder: Path, files: tuple[str, ...], where: str
) -> list[tuple[SourceSpec, FetchSpec]]:
    """The sources to fetch, after every one of them was looked at."""
    all_sources = [(source, source.fetch) for source in spec.source if source.fetch is not None]
    if not all_sources:
        raise StudyError(
            "No source of the study says where it is fetched from.",
            where=where,
            expected="a [source.fetch] table with service, url and select after a [[source]]",
        )
    if spec.study.raw != "study":
        raise StudyError(
            "The raw data of this study lie outside it, and fetch writes in the study's folder alone.",
            where=f"{where}, study.raw",
            found=repr(spec.study.raw),
            expected="'study'",
        )
    names = [source.file for source, _ in all_sources]
    faults = [
        Fault(
            what="No such source is to be fetched.",
            where="--source",
            found=repr(file),
            expected=closest(file, names),
        )
        for file in files
        if file not in names
    ]
    taken = {_spelled(name) for name in (where, LOCK, *_texts(spec.model_dump(exclude={"source"}))) if name}
    taken |= {_spelled(source.file) for source in spec.source if source.fetch is None}
    for source, _ in all_sources:
        place = f"{where}, source {source.file!r}"
        path = inside(folder, source.file)
        if path is None or path.is_dir():
            faults.append(
                Fault(
                    what="A raw file must lie inside the study's folder.",
                    where=place,
                    found=repr(source.file),
                    expected=_LINK_FAULT,
                )
            )
        elif source.reader != "pxweb-csv":
            faults.append(
                Fault(
                    what="What is fetched is kept as one form of file, whatever the service.",
                    where=f"{place}, reader",
                    found=repr(source.reader),
                    expected="'pxweb-csv'",
                )
            )
        elif _spelled(source.file) in taken or _spelled(source.file).startswith(".cache/"):
            faults.append(
                Fault(
                    what="A raw file has the name of another file of the study.",
                    where=place,
                    found=repr(source.file),
                    expected="a name of its own, such as raw/paavo.csv",
                )
            )
        taken.add(_spelled(source.file))
    if faults:
        raise StudyError.of(faults)
    return [pair for pair in all_sources if not files or pair[0].file in files]


def _texts(content: object) -> Iterator[str]:
    """Every text of a study: some of them name its files, and a raw file takes the name of none."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, Mapping):
        named = (
            each for key, each in content.items() if not str(key).endswith("_from")
        )  # these name sources
        yield from (text for each in named for text in _texts(each))
    elif isinstance(content, tuple | list):
        yield from (text for each in content for text in _texts(each))


def _spelled(file: str) -> str:
    """A name in the one spelling in which names are compared; some file systems ignore case."""
    return PurePosixPath(os.path.normpath(file.replace("\\", "/"))).as_posix().casefold()


def _cache_folder(folder: Path) -> Path:
    cache = inside(folder, _CACHE)
    if cache is None:
        raise StudyError("The cache leaves the study folder.", where=_CACHE, expected=_LINK_FAULT)
    cache.mkdir(parents=True, exist_ok=True)
    refuse_links(cache)
    ignore = cache.parent / ".gitignore"
    if not ignore.exists():
        write_whole(ignore, b"*\n")
    return cache


def _need_packages() -> None:
    try:
        from . import web  # noqa: F401  (loaded here to say plainly what is missing)
    except ImportError as cause:
        raise RunError(
            "Downloads need other packages.",
            found=str(cause),
            fix='Install them with: pip install "mekeval[fetch]"',
        ) from None


def _key(source: SourceSpec, fetch: FetchSpec) -> str:
    """The name of a source's folder in the cache: another question has another folder."""
    return digest([source.file, fetch.model_dump(mode="json")])[:32]


def _forget(cache: Path, spec: StudySpec) -> None:
    """Remove from the cache what no source of the study asks for any more."""
    wanted = {_key(source, source.fetch) for source in spec.source if source.fetch} | {"replaced"}
    for folder in cache.iterdir():
        if folder.is_dir() and not folder.is_symlink() and folder.name not in wanted:
            shutil.rmtree(folder, ignore_errors=True)


def _fetched(
    source: SourceSpec,
    fetch: FetchSpec,
    spec: StudySpec,
    folder: Path,
    cache: Path,
    *,
    refresh: bool,
    timeout: float,
    progress: bool,
) -> Fetched:
    lock = _read_lock(folder)
    try:
        return _download(
            source, fetch, spec, folder, cache, refresh=refresh, timeout=timeout, progress=progress
        )
    except MekevalError as error:
        from .web import UnreachableError

        unreachable = isinstance(error, UnreachableError)
        return _as_it_was(source, folder, lock, "unreachable" if unreachable else "failed", str(error))


def _offline(source: SourceSpec, folder: Path) -> Fetched:
    try:
        lock = _read_lock(folder)
        state: Literal["cached", "failed"] = "cached" if _there(source, folder, lock) else "failed"
        return _as_it_was(source, folder, lock, state, "Offline: no server was asked.")
    except OSError as cause:
        raise RunError(
            "The study's folder cannot be read.",
            where=str(cause.filename or folder),
            found=cause.strerror or str(cause),
        ) from None


def _download(
    source: SourceSpec,
    fetch: FetchSpec,
    spec: StudySpec,
    folder: Path,
    cache: Path,
    *,
    refresh: bool,
    timeout: float,
    progress: bool,
) -> Fetched:
    from . import pxweb, sotkanet
    from .web import open_line

    place = cache / _key(source, fetch)
    if refresh:
        shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True, exist_ok=True)
    target = folder / source.file
    line = open_line(timeout=timeout, tell=_tell if progress else _tell_nothing)
    retrieve = pxweb.retrieve if fetch.service == "pxweb" else sotkanet.retrieve
    with line.session:
        result = retrieve(line, fetch, place, file=source.file, progress=progress)
    content = result.path.read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    old = target.read_bytes() if target.is_file() else None
    if old != content:  # else a reader has taken it before
        read_source(result.path, source, spec.labels(source))
    lock = _read_lock(folder)
    entry: dict[str, object] = {
        "cells": result.cells,
        "parts": result.parts,
        "query": digest(fetch.model_dump(mode="json")),
        "retrieved": now().isoformat(),
        "service": fetch.service,
        "sha256": sha256,
        "title": result.title,
        "updated": result.updated,
        "url": fetch.url,
        "vintage": source.vintage,
    }
    known = lock.get(source.file, {})
    if all(known.get(name) == entry[name] for name in ("query", "sha256", "updated")):
        entry |= {name: known[name] for name in ("parts", "retrieved") if name in known}  # nothing new came
    if old is not None and old != content:
        former = hashlib.sha256(old).hexdigest()
        write_whole(cache / "replaced" / f"{former}-{target.name}", old)
    if old != content:
        write_whole(target, content)
    names = {each.file for each in spec.source}
    _write_lock(folder, {name: words for name, words in lock.items() if name in names} | {source.file: entry})
    return Fetched(
        file=source.file,
        state="new" if old is None else "unchanged" if old == content else "changed",
        message=_message(source, old, content, sha256, result.updated),
        sha256=sha256,
        retrieved=str(entry["retrieved"]),
    )


def _message(source: SourceSpec, old: bytes | None, new: bytes, sha256: str, updated: str) -> str:
    release = f" (updated {updated})" if updated else ""
    if old is None:
        told = f"{source.file}: fetched{release}."
    elif old == new:
        told = f"{source.file}: unchanged{release}."
    else:
        count, first = _difference(old, new)
        former = hashlib.sha256(old).hexdigest()
        told = (
            f"{source.file}: the data have CHANGED{release}: rows that differ: {count}, the first {first}.\n"
            f"  The former file is kept: {_CACHE}/replaced/{former}-{PurePosixPath(source.file).name}"
        )
    if source.sha256 == sha256:
        return told
    return (
        f"{told}\n  to do: {'Look at what changed. ' if old is not None and old != new else ''}"
        f"If these are the data that the study is to use, write them in study.toml, source {source.file!r}: "
        f'vintage = (the year of the release), {_published(updated)}sha256 = "{sha256}"'
    ) + ("\n  To go on with the former data, copy the former file back." if old not in (None, new) else "")


def _published(updated: str) -> str:
    day = re.match(r"(?:19|20)\d\d-\d\d-\d\d(?=T|$)", updated)
    return f"published = {day[0]}, " if day else ""


def _difference(old: bytes, new: bytes) -> tuple[int, str]:
    """How many rows differ, and the first of them, before and after."""
    before, after = (content.decode("utf-8", "replace").splitlines() for content in (old, new))
    if len(before) == len(after):
        pairs = [(a, b) for a, b in zip_longest(before, after, fillvalue="") if a != b]
        return len(
            pairs
        ), f"{pairs[0][0][:100]!r}, now {pairs[0][1][:100]!r}" if pairs else "an end of a line"
    gone, come = set(before) - set(after), set(after) - set(before)
    first = next((row for row in after if row in come), next((row for row in before if row in gone), ""))
    return len(gone) + len(come), repr(first[:100])


def _there(source: SourceSpec, folder: Path, lock: Mapping[str, Mapping[str, object]]) -> bool:
    path = folder / source.file
    expected = source.sha256 or lock.get(source.file, {}).get("sha256")
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == expected


def _as_it_was(
    source: SourceSpec,
    folder: Path,
    lock: Mapping[str, Mapping[str, object]],
    state: Literal["cached", "unreachable", "failed"],
    why: str,
) -> Fetched:
    """The words on a file that was not fetched: what is there, of which vintage, and whether it is the study's."""
    path = folder / source.file
    entry = lock.get(source.file, {})
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
    retrieved = str(entry.get("retrieved", "")) if entry.get("sha256") == sha256 else ""
    if not sha256:
        rest = "There is no earlier file."
    else:
        vintage = entry.get("vintage", source.vintage) if retrieved else source.vintage
        rest = f"The file of vintage {vintage} is there as it was"
        rest += f", retrieved {retrieved}" if retrieved else f"; {LOCK} does not say when it came"
        rest += ", and speaks of another file" if entry and not retrieved else ""
        if source.sha256 and sha256 != source.sha256:
            rest += ", but it is NOT the one whose sha256 study.toml gives"
        rest += "."
    return Fetched(
        file=source.file,
        state=state,
        message=f"{source.file}: {why}\n  {rest}",
        sha256=sha256,
        retrieved=retrieved,
    )


def _read_lock(folder: Path) -> dict[str, dict[str, object]]:
    path = folder / LOCK
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {str(name): dict(words) for name, words in content["sources"].items()}
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as cause:
        raise StudyError(
            f"{LOCK} cannot be read.",
            where=str(path),
            found=f"{type(cause).__name__}: {cause}"[:200],
            fix="Restore it, or delete it; the next fetch writes it anew.",
        ) from None


def _write_lock(folder: Path, sources: Mapping[str, Mapping[str, object]]) -> None:
    content = {"format": 1, "sources": sources}
    text = json.dumps(content, ensure_ascii=False, sort_keys=True, indent=2) + "\n"
    path = folder / LOCK
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        write_whole(path, text.encode("utf-8"))


def _tell(text: str) -> None:
    tqdm.write(text, file=sys.stderr)


def _tell_nothing(text: str) -> None:
    """For callers who want no words."""
