"""Sotkanet's REST interface, version 1.1: indicators by region, year and gender.

In: a source's `[source.fetch]`. Out: a finished file beside the cache, in the layout of the PxWeb downloads. Never:
a region by its internal number, which Sotkanet alone knows.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ..errors import DataError, Fault, RunError, StudyError, closest
from ..study import FetchSpec
from .answers import as_list, as_mapping
from .cache import digest, finish, finished, keep, keep_only, kept
from .pxweb import Retrieved, retrieved
from .table import Block, Heads, area_label, refuse_twins, write_table, year_label
from .web import Answer, Line, ask, ask_once, json_content

_KEYS = ("indicator", "year", "gender", "category", "region")
_GENDERS = ("total", "male", "female")
_INTERVAL = 0.5  # no limit is published; two questions a second are few enough
_STARTS = 3
_DAY = timedelta(days=1)
_HEADS = {"fi": ("Alue", "Tieto"), "sv": ("Område", "Uppgift"), "en": ("Region", "Information")}


def retrieve(line: Line, spec: FetchSpec, folder: Path, *, file: str, progress: bool) -> Retrieved:
    """Download what a source asks for; as `pxweb.retrieve`.

    Raises
    ------
    StudyError
        `select` has an unknown key, gender, category or region.
    DataError
        An answer is not what was asked for.
    RunError
        The server refuses, cannot be reached, or the data changed again and again.
    """
    line.interval = max(line.interval, _INTERVAL)
    url = spec.url.rstrip("/")
    _refuse_keys(spec, file)
    for _ in range(_STARTS):
        indicators, state, updated = _indicators(line, spec, url, folder, file)
        regions, region_state = _regions(line, spec, url, folder, file)
        here = folder / digest([state, region_state, spec.model_dump(mode="json")])[:32]
        ready = finished(here)
        if ready and updated:
            return retrieved(here, ready)
        if ready:
            shutil.rmtree(here)
        bodies = _download(line, spec, url, here, file, progress=progress, newest=None if updated else _DAY)
        if _indicators(line, spec, url, folder, file)[1] != state:
            line.tell(f"{file}: the data changed during the download; starting over")
            shutil.rmtree(here, ignore_errors=True)
            continue
        path = here / "joined"
        genders = _genders(spec)
        items = [
            title if len(genders) == 1 else f"{title}, {gender}"
            for title in indicators.values()
            for gender in genders
        ]
        areas = [area_label(code, name) for _, code, name in regions]
        where = f"{file}, {url}"
        refuse_twins(items, "items", where)
        refuse_twins(areas, "areas", where)
        years = tuple(year_label(year, year, where) for year in _years(spec))
        area, item = _HEADS[spec.language]
        title = f"Sotkanet {', '.join(indicators)}"
        heads = Heads(title=title, area=area, item=item, items=tuple(items), years=years)
        block = _block(bodies, regions, list(indicators), genders, _years(spec), tuple(areas), where)
        cells = write_table(path, heads, block)
        words: dict[str, str | int] = {
            "title": title,
            "updated": updated,
            "cells": cells,
            "parts": len(bodies),
        }
        finish(here, **words)
        keep_only(folder, here)
        return retrieved(here, words)
    raise RunError(
        "The data kept changing while they were downloaded.",
        where=f"{file}, {url}",
        found=f"{_STARTS} starts",
        fix="Try again later; the file of the study is as it was.",
    )


def _genders(spec: FetchSpec) -> tuple[str, ...]:
    return spec.select.get("gender", ("total",))


def _years(spec: FetchSpec) -> tuple[str, ...]:
    return tuple(sorted(set(spec.select["year"])))


def _refuse_keys(spec: FetchSpec, file: str) -> None:
    where = f"study.toml, source {file!r}, fetch.select"
    faults = [
        Fault(what="Unknown key.", where=where, found=repr(key), expected=closest(key, _KEYS))
        for key in spec.select
        if key not in _KEYS
    ]
    faults += [
        Fault(what="A key is missing.", where=where, expected=repr(key))
        for key in ("indicator", "year", "category")
        if key not in spec.select
    ]
    for key, allowed in (
        ("indicator", str.isdecimal),
        ("year", str.isdecimal),
        ("gender", _GENDERS.__contains__),
    ):
        faults += [
            Fault(
                what="Sotkanet has no such value.",
                where=f"{where}.{key}",
                found=repr(value),
                expected=closest(value, _GENDERS) if key == "gender" else "digits",
            )
            for value in spec.select.get(key, ())
            if not allowed(value)
        ]
    if spec.format != "json-stat2":
        faults.append(
            Fault(what="Sotkanet has one form: leave `format` out.", where=where, found=spec.format)
        )
    if faults:
        raise StudyError.of(faults)


def _indicators(
    line: Line, spec: FetchSpec, url: str, folder: Path, file: str
) -> tuple[dict[str, str], str, str]:
    """Title of each indicator, a digest of their metadata, and when the newest of them was updated."""
    titles, states, updates = {}, [], []
    for number in spec.select["indicator"]:
        content = json_content(ask_once(line, f"{url}/indicators/{number}", folder), url)
        try:
            words = as_mapping(content)
            title = _name(words["title"], spec.language)
            if str(words["id"]) != number:
                raise ValueError(f"indicator {words['id']} came for {number}")
        except (KeyError, TypeError, ValueError) as cause:
            raise _unlike(f"{file}, {url}/indicators/{number}", cause) from None
        titles[number] = title
        states.append(content)
        updates.append(str(words.get("data-updated", "")))
    return titles, digest(states), max(updates) if all(updates) else ""


def _regions(
    line: Line, spec: FetchSpec, url: str, folder: Path, file: str
) -> tuple[list[tuple[str, str, str]], str]:
    """Internal number, code and name of each region wanted, by code."""
    content = json_content(ask_once(line, f"{url}/regions", folder), url)
    try:
        all_regions = [as_mapping(each) for each in as_list(content)]
        categories = sorted({str(each["category"]) for each in all_regions})
        of_category = {
            str(each["code"]): (str(each["id"]), str(each["code"]), _name(each["title"], spec.language))
            for each in all_regions
            if str(each["category"]) in spec.select["category"]
        }
    except (KeyError, TypeError, ValueError) as cause:
        raise _unlike(f"{file}, {url}/regions", cause) from None
    where = f"study.toml, source {file!r}, fetch.select"
    faults = [
        Fault(
            what="Sotkanet has no such category of regions.",
            where=where,
            found=repr(name),
            expected=closest(name, categories),
        )
        for name in spec.select["category"]
        if name not in categories
    ]
    wanted = spec.select.get("region", ("*",))
    if wanted != ("*",) and not faults:
        faults = [
            Fault(
                what="The category has no such region.",
                where=where,
                found=repr(code),
                expected=closest(code, of_category),
            )
            for code in wanted
            if code not in of_category
        ]
    if len(spec.select["category"]) > 1:
        faults.append(
            Fault(
                what="One source holds one category of regions.",
                where=where,
                found=str(len(spec.select["category"])),
            )
        )
    if faults:
        raise StudyError.of(faults)
    chosen = [region for code, region in sorted(of_category.items()) if wanted == ("*",) or code in wanted]
    return chosen, digest([list(region) for region in chosen])


def _download(
    line: Line,
    spec: FetchSpec,
    url: str,
    here: Path,
    file: str,
    *,
    progress: bool,
    newest: timedelta | None,
) -> list[tuple[str, str, list[Mapping[str, object]]]]:
    """Indicator, year and the rows of each part; a part is one indicator in one year."""
    questions = [(indicator, year) for indicator in spec.select["indicator"] for year in _years(spec)]
    bodies = []
    for indicator, year in tqdm(
        questions, desc=file, unit="part", disable=None if progress else True, leave=False
    ):
        params = (("indicator", indicator), ("years", year), *(("genders", each) for each in _genders(spec)))
        name = digest([list(pair) for pair in params])
        found = kept(here, name, newest=newest)
        if found is None:
            answer = ask(line, f"{url}/json", params=params)
            rows = _rows(answer, spec, indicator, year, f"{file}, {url}/json")
            keep(here, name, answer.body)
        else:
            answer = Answer(status=200, kind="application/json", charset="", body=found[0], etag="")
            rows = _rows(answer, spec, indicator, year, f"{file}, {url}/json")
        bodies.append((indicator, year, rows))
    return bodies


def _rows(
    answer: Answer, spec: FetchSpec, indicator: str, year: str, where: str
) -> list[Mapping[str, object]]:
    content = json_content(answer, where)
    try:
        rows = [as_mapping(each) for each in as_list(content)]
        for row in rows:
            if (str(row["indicator"]), str(row["year"])) != (indicator, year) or row[
                "gender"
            ] not in _genders(spec):
                raise ValueError(f"indicator {row['indicator']}, {row['year']}, {row['gender']}")
            if not isinstance(row["region"], str) or not isinstance(row.get("value", ""), str | None):
                raise TypeError("a region or a value is no number")
    except (KeyError, TypeError, ValueError) as cause:
        raise _unlike(where, cause) from None
    if not rows:
        raise DataError(
            "Sotkanet has nothing of this indicator and year.",
            where=where,
            found=f"no rows for indicator {indicator} in {year}",
            fix="Leave the year out of `select`, or try again tomorrow: an update may be going on.",
        )
    return rows


def _block(
    bodies: Sequence[tuple[str, str, list[Mapping[str, object]]]],
    regions: Sequence[tuple[str, str, str]],
    indicators: Sequence[str],
    genders: Sequence[str],
    years: Sequence[str],
    areas: tuple[str, ...],
    where: str,
) -> Iterator[Block]:
    """All regions in one block; what Sotkanet has no row for is empty, for it does not say why."""
    cube = np.full((len(regions), len(indicators), len(genders), len(years)), "", dtype=object)
    place = {number: at for at, (number, _, _) in enumerate(regions)}
    for indicator, year, rows in bodies:
        for row in rows:
            at = place.get(str(row["region"]))
            if at is None:
                continue
            cell = (at, indicators.index(indicator), genders.index(str(row["gender"])), years.index(year))
            text = "" if row.get("value") is None else str(row["value"])
            if cube[cell] not in ("", text):
                raise DataError(
                    "Two rows of one answer contradict each other.", where=where, found=str(dict(row))
                )
            cube[cell] = text
    yield Block(areas=areas, cells=cube.reshape(len(regions), -1, len(years)))


def _name(words: object, language: str) -> str:
    texts = as_mapping(words)
    return " ".join(str(texts.get(language) or texts["fi"]).split())


def _unlike(where: str, cause: Exception) -> DataError:
    return DataError(
        "An answer of Sotkanet is not what was asked for.",
        where=where,
        found=f"{type(cause).__name__}: {cause}"[:200],
        fix="The `url` of the source must be that of the interface: https://sotkanet.fi/rest/1.1",
    )
