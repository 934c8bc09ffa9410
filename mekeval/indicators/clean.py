"""Raw tables -> one tidy table of indicators and an honest quality log.

In: a study whose files were checked. Out: `Indicators`. Never: a value that was filled, corrected or left out without a
line in the log.
"""

from __future__ import annotations

import datetime
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from ..areas import Areas
from ..dates import AsOf, as_date
from ..disclosure.earlier import earlier_table
from ..disclosure.published import strictest
from ..store import at_hand, shared
from ..study import Study, StudySpec
from .cache import available, key_of, load, save
from .cells import Grid, Ints, joined, newest
from .disclosure import parents_of, withheld
from .flags import breaks_of, far_values, units_of
from .rates import OTHER_FORMULA, Formulas, Rows, Sources, formulas_of, framed, place_of, tidy
from .reading import RawFile, read_files
from .result import FILE_COLUMNS, RELEASE_COLUMNS, STATUSES, Indicators, Log, spans
from .series import Known, series_of, within

_OK = STATUSES.index("ok")
#: Areas of a city from which it is searched for breaks by itself: of fewer areas the medians move by chance.
_CITY = 30


def clean_indicators(
    study: Study, *, as_of: AsOf = None, cache: Path | None = None, published: bool = True
) -> Indicators:
    """Read all sources of a study and build its indicators.

    Each value is of the newest release that has a number: a number that a later release changed is replaced
    (`revised`), one that a later release hides is kept (`hidden_later`), and a rate takes all its parts from one
    release, be it an older one (`older_release`); where none has them all, there is no rate (`split_releases`). The log
    has these words as its rules.

    A value with fewer people behind it than the study's `minimum_base` is "confidential", and so is one that would give
    such a number away: because it prints it, because what is shown of the area adds up to it (`indirect`), or because
    the value of an area less those of its parts does (`complementary`).

    Parameters
    ----------
    study : Study
    as_of : date, int or str, optional
        Read only what was published by this day, or by the end of this year: last year's report can be reproduced.
        A source without a day of publication counts as published on 31 December of its vintage.
    cache : Path, optional
        A folder for results; a second call on unchanged files, study and library reads them from there. It needs the
        extra `register` (DuckDB writes and reads Parquet); without it everything is read again.
    published : bool
        Whether values of single areas may leave. Where they do not, as of the areas of other cities, of which
        only estimates are shown, no attacker is tried on them.

    Returns
    -------
    Indicators

    Raises
    ------
    DataError
        All faults of all files at once: cells told in two ways, areas that the study does not list, missing
        columns, text where a number is due; nothing was published by `as_of`.

    Examples
    --------
    >>> from mekeval import example_study, read_study
    >>> indicators = clean_indicators(read_study(example_study()))
    >>> sorted(set(indicators.table["indicator"]))[:2]
    ['basic_education_25_44', 'foreign_language_0_6']
    >>> early = clean_indicators(read_study(example_study()), as_of=2026)
    >>> early.as_of
    datetime.date(2026, 12, 31)
    """
    day = as_date(as_of)
    if cache is None or not published or not available():
        return _once(study, day, published)
    key = key_of(study, day)
    known = load(Path(cache), key) if key else None
    if known is not None:
        return known
    result = _once(study, day, published)
    # A file that changed while it was read must not be kept under the checksum that it had before or after.
    if key is not None and key_of(study, day) == key:
        save(Path(cache), key, result)
    return result


def _once(study: Study, day: datetime.date | None, published: bool) -> Indicators:
    """The result of this run, where it has cleaned these data already; a plan changes nothing but what it names."""
    unplanned = replace(study, spec=study.spec.model_copy(update={"plan": None}))
    key = key_of(unplanned, day) if at_hand() else None
    if key is None:
        return _clean(study, day, published)
    found = shared(f"cleaned-{key}-{int(published)}", lambda: _clean(study, day, published))
    return replace(found, outcomes=study.spec.outcomes)


def _clean(study: Study, day: datetime.date | None, published: bool) -> Indicators:
    log = Log()
    spec = study.spec
    areas, read = read_files(study, day, log)
    # Oldest release first, in the order of the study within one: the newest is the last.
    order = sorted(range(len(read)), key=lambda at: read[at].source.vintage)
    everything = joined([read[at].cells for at in order])
    sources = Sources(
        files=[file.source.file for file in read],
        vintages=np.array([file.source.vintage for file in read], dtype=np.int64),
        limits=np.array([file.source.minimum_base or 0 for file in read], dtype=np.int64),
    )
    grid = newest(everything, len(spec.item))
    level, _ = pd.factorize(areas.table["level"].reindex(everything.area_names).fillna(""))
    formulas = formulas_of(spec, grid, level)
    older, replacing = _replaced(grid, sources, log)
    _log_hidden(grid, spec, sources, log)
    used = np.zeros(len(everything.year), dtype=bool)
    parents = parents_of(areas, everything.area_names)
    rows = tidy(spec, grid, sources, formulas, log, used)
    hunted = published and not spec.study.public
    told = earlier_table(study) if hunted else None
    rows = withheld(rows, spec, grid, formulas, parents, log, sources, told=told, attacked=hunted)
    # Where rates kept the older release, `older_release` has said so: the newer number is not used there.
    said = ~(used[older] & ~used[replacing])
    _log_changes(grid, older[said], replacing[said], rows, formulas, spec, sources, log)
    _log_gaps(rows, areas, everything.area_names, study, log)
    _log_flags(rows, grid, areas, spec, sources, log)
    files = pd.DataFrame([_file_row(file) for file in read], columns=list(FILE_COLUMNS))
    return Indicators(
        table=framed(rows, spec, everything.area_names, sources),
        log=log.frame(),
        areas=areas,
        files=files,
        releases=_releases(grid, rows, formulas, parents, spec, sources, attacked=hunted),
        as_of=day,
        outcomes=spec.outcomes,
    )


def _file_row(file: RawFile) -> dict[str, object]:
    cells, source = file.cells, file.source
    years = np.unique(cells.year).tolist()
    return {
        "file": source.file,
        "reader": source.reader,
        "vintage": source.vintage,
        "published": str(source.published or ""),
        "form": ", ".join(note for note in file.notes if not note.startswith("NOTE")),
        "rows": len(np.unique(cells.row)),
        "cells": len(cells.year),
        "areas": len(np.unique(cells.area)),
        "years": spans(years),
        "items": len(np.unique(cells.item)),
    }


def _replaced(grid: Grid, sources: Sources, log: Log) -> tuple[np.ndarray, np.ndarray]:
    """Cells whose number a later release changed, and the cells that hold now; the log counts the confirmed."""
    cells = grid.cells
    holds = grid.best.reshape(-1)[grid.key()]
    older = np.flatnonzero((cells.status == _OK) & (holds != np.arange(len(holds))))
    now = holds[older]
    same = cells.value[older] == cells.value[now]
    files = np.array(sources.files, dtype=object)
    pairs = pd.DataFrame(
        {"old": files[cells.source[older]], "new": files[cells.source[now]], "same": same.astype(int)}
    )
    counts = pairs.groupby(["old", "new"], sort=True)["same"].sum().reset_index()
    for line in counts.loc[counts["same"] > 0].to_dict("records"):
        log.note("info", "confirmed", file=line["old"], found=line["new"], count=int(line["same"]))
    changed = ~same
    older, now = older[changed], now[changed]
    order = pairs.loc[changed].assign(at=np.arange(len(older))).sort_values(["old", "new"], kind="stable")
    return older[order["at"]], now[order["at"]]


def _log_hidden(grid: Grid, spec: StudySpec, sources: Sources, log: Log) -> None:
    """Numbers that a later release hides or leaves open: the earlier one is kept, and a line counts them."""
    cells = grid.cells
    holds = grid.best.reshape(-1)[grid.key()]
    vintage = sources.vintages[cells.source]
    at = np.flatnonzero((cells.status != _OK) & (cells.status[holds] == _OK) & (vintage > vintage[holds]))
    names = ["file", "kept", "item", "year", "status"]
    those = np.stack(
        [cells.source[at], cells.source[holds[at]], cells.item[at], cells.year[at], cells.status[at]], axis=1
    )
    for line in pd.DataFrame(those, columns=names).value_counts(sort=False).reset_index().to_dict("records"):
        log.note(
            "warning",
            "hidden_later",
            file=sources.files[line["file"]],
            year=line["year"],
            subject=spec.item[line["item"]].name,
            found=f"{STATUSES[line['status']]} here, a number in {sources.files[line['kept']]}, which is kept",
            count=line["count"],
        )


def _log_changes(
    grid: Grid,
    older: np.ndarray,
    now: np.ndarray,
    rows: Rows,
    formulas: Formulas,
    spec: StudySpec,
    sources: Sources,
    log: Log,
) -> None:
    """A line for each number that another release replaced; the numbers only where nobody can be told from them.

    They stay out where an indicator of the item has no value there, and where a base is or was under the limit.
    """
    if not len(older):
        return
    cells = grid.cells
    # The lowest number that was ever replaced or put in its place, for each item, area and year.
    lowest = np.full(grid.best.shape, np.inf)
    np.minimum.at(lowest.reshape(-1), grid.key()[older], np.minimum(cells.value[older], cells.value[now]))
    position = {item.name: at for at, item in enumerate(spec.item)}
    public = np.zeros(grid.best.shape, dtype=bool)
    shown = np.zeros((len(spec.indicator), *grid.best.shape[1:]), dtype=bool)
    ok = rows.status == _OK
    shown[rows.indicator[ok], rows.area[ok], np.searchsorted(grid.years, rows.year[ok])] = True
    for item in spec.item:
        users = [at for at, indicator in enumerate(spec.indicator) if item.name in indicator.items]
        others = [
            at
            for at, indicator in enumerate(spec.indicator)
            if at not in users and (way := indicator.by_otherwise) is not None and item.name in way.items
        ]
        bases = {part for at in (*users, *others) for part in spec.indicator[at].bases}
        if bases:
            public[position[item.name]] = np.logical_and.reduce(
                [shown[at] for at in users]
                + [shown[at] | (formulas.which[at][formulas.level] != OTHER_FORMULA) for at in others]
                + [lowest[position[base]] >= strictest(spec) for base in bases]
            )
    told = public.reshape(-1)[grid.key()[older]]
    old_source, new_source = cells.source[older], cells.source[now]
    conflict = sources.vintages[old_source] == sources.vintages[new_source]
    lines = pd.DataFrame(
        {
            "level": "warning",
            "rule": np.where(conflict, "conflict", "revised"),
            "file": [sources.files[at] for at in old_source.tolist()],
            "row": cells.row[older],
            "column": [cells.columns[at] for at in cells.column[older].tolist()],
            "area": [cells.area_names[at] for at in cells.area[older].tolist()],
            "year": cells.year[older],
            "subject": [spec.item[at].name for at in cells.item[older].tolist()],
            "found": [
                f"{old:.15g} -> {new:.15g} ({sources.files[at]})"
                if public_
                else f"not shown: too few people, or no value ({sources.files[at]})"
                for old, new, at, public_ in zip(
                    cells.value[older].tolist(),
                    cells.value[now].tolist(),
                    new_source.tolist(),
                    told.tolist(),
                    strict=True,
                )
            ],
            "count": 1,
        }
    )
    log.parts.append(lines)


def _log_gaps(rows: Rows, areas: Areas, names: list[str], study: Study, log: Log) -> None:
    """Count what is not there, by indicator, year and reason, and name areas that never appear.

    Implausible values have a line each already, and rates of split releases one for each year.
    """
    spec = study.spec
    unit_at = pd.Index(list(areas.units), dtype=object).get_indexer(pd.Index(names, dtype=object))[rows.area]
    own = unit_at >= 0
    indicator, status, unit_at = rows.indicator[own].astype(np.int64), rows.status[own], unit_at[own]
    years, year_at = np.unique(rows.year[own], return_inverse=True)
    n_indicators, n_units, n_years = len(spec.indicator), len(areas.units), len(years)
    gone = ~np.isin(status, [STATUSES.index(name) for name in ("ok", "implausible", "split_releases")])
    size = (n_indicators, n_years, len(STATUSES))
    counts = np.bincount(
        np.ravel_multi_index((indicator[gone], year_at[gone], status[gone].astype(np.int64)), size),
        minlength=int(np.prod(size)),
    ).reshape(size)
    lines = [
        (spec.indicator[at].name, int(years[year]), STATUSES[reason], int(counts[at, year, reason]))
        for at, year, reason in zip(*np.nonzero(counts), strict=True)
    ]
    for subject, year, reason, count in sorted(lines):
        log.note("info", reason, year=year, subject=subject, count=count)
    present = np.zeros((n_indicators, n_units), dtype=bool)
    present[indicator, unit_at] = True
    published = np.bincount(indicator * n_years + year_at, minlength=n_indicators * n_years)
    units = np.array(areas.units, dtype=object)
    listed = np.isin(units, np.array(study.areas.units, dtype=object))
    levels = {item.name: {one.level for one in spec.source if item.name in one.items} for item in spec.item}
    for at, one in enumerate(spec.indicator):
        there = present[at]
        if not {"", areas.unit} & set().union(*(levels[name] for name in one.items)):
            continue  # its sources speak of areas of other levels
        # An area that was found is not expected to be in other statistics: a count says enough.
        log.lines("warning", "absent", {"area": units[listed & ~there], "subject": one.name, "count": 1})
        if lacking := int((~listed & ~there).sum()):
            log.note("info", "absent", subject=one.name, count=lacking)
        for year, number in zip(years.tolist(), published.reshape(n_indicators, n_years)[at], strict=True):
            if 0 < number < there.sum():
                log.note(
                    "info", "not_published", year=year, subject=one.name, count=int(there.sum() - number)
                )


def _log_flags(rows: Rows, grid: Grid, areas: Areas, spec: StudySpec, sources: Sources, log: Log) -> None:
    """What looks wrong and may be right: see `flags`."""
    at = np.flatnonzero(rows.status == _OK)
    names = grid.cells.area_names
    level, _ = pd.factorize(areas.table["level"].reindex(names))
    known = Known(
        row=at,
        area=rows.area[at],
        indicator=rows.indicator[at],
        source=rows.source[at],
        level=level[rows.area[at]],
        year=rows.year[at],
        value=rows.value[at],
        numerator=rows.numerator[at],
        denominator=rows.denominator[at],
        areas=names,
        indicators=[one.name for one in spec.indicator],
        sources=sources.files,
    )
    series = series_of(known)
    everywhere = breaks_of(series).to_dict("records")
    told = {(one["indicator"], one["year_before"], one["year"]) for one in everywhere}
    found = [("", one) for one in everywhere]
    # What jumps in one city and not in the country is a break of that city.
    for city, members in _cities(areas, names):
        own = breaks_of(series_of(within(known, members[known.area]))).to_dict("records")
        found += [
            (city, one) for one in own if (one["indicator"], one["year_before"], one["year"]) not in told
        ]
    for city, one in found:
        mark = " %" if one["scale"] == "percent" else ""
        log.note(
            "warning",
            "level_break",
            area=city or None,
            year=one["year"],
            subject=one["indicator"],
            found=f"{one['change']:+.3g}{mark} from {one['year_before']} to {one['year']} in {one['areas']} areas",
            expected=f"about {one['expected']:+.3g}{mark}",
            count=1,
        )
    for one in units_of(known, series).to_dict("records"):
        log.note(
            "warning",
            "unit_break",
            file=one["source"],
            area=one["area"] or None,
            year=one["year"],
            subject=one["indicator"],
            found=f"{one['ratio']:g} times the value of {one['year_before']} in {one['areas']} areas"
            if not one["area"]
            else f"{one['ratio']:g} times the value of {one['year_before']}",
            expected="values of about the same size",
            count=1,
        )
    far = far_values(series)
    row = at[far["at"].to_numpy(dtype=np.int64)]
    log.lines(
        "warning",
        "outlier",
        {
            **place_of(rows.cell[row], grid, sources),
            "area": [names[area] for area in rows.area[row].tolist()],
            "year": rows.year[row],
            "subject": [spec.indicator[one].name for one in rows.indicator[row].tolist()],
            "found": [f"{value:.6g}" for value in rows.value[row].tolist()],
            "expected": [f"about {value:.4g}" for value in far["expected"].tolist()],
            "count": 1,
        },
    )


def _cities(areas: Areas, names: list[str]) -> list[tuple[str, np.ndarray]]:
    """Parents of many areas of one level but not of all, and for each area of the cells whether it is theirs."""
    table = areas.table.reindex(names)[["level", "parent"]].fillna("")
    found = []
    for _, level in table.groupby("level", sort=True):
        for parent, own in level.groupby("parent", sort=True):
            if parent and _CITY <= len(own) < len(level):
                found.append((str(parent), table.index.isin(own.index)))
    return found


def _releases(
    grid: Grid,
    rows: Rows,
    formulas: Formulas,
    parents: Ints,
    spec: StudySpec,
    sources: Sources,
    *,
    attacked: bool,
) -> pd.DataFrame:
    """Each release by itself, where two or more speak of a value; see `Indicators.releases`."""
    cells = grid.cells
    vintage = sources.vintages[cells.source]
    # Only where two releases speak of one cell can two speak of one value.
    key = grid.key()
    first = np.full(grid.best.size, -1, dtype=np.int64)
    first[key[::-1]] = vintage[::-1]
    several = np.zeros(grid.best.size, dtype=bool)
    several[key[vintage != first[key]]] = True
    if not several.any():
        return pd.DataFrame(columns=list(RELEASE_COLUMNS))
    places = np.asarray(several.reshape(grid.best.shape).any(axis=0))
    at_place = places[cells.area, np.searchsorted(grid.years, cells.year)]
    # A value that is hidden now is hidden in every release: its base may have been let out by mistake.
    shape = (len(spec.indicator), *grid.best.shape[1:])
    hidden = np.zeros(shape, dtype=bool)
    small = rows.status == STATUSES.index("confidential")
    hidden[rows.indicator[small], rows.area[small], np.searchsorted(grid.years, rows.year[small])] = True
    parts, counts = [], np.zeros(shape, dtype=np.int16)
    for one in np.unique(vintage).tolist():
        own = cells.take(at_place & (vintage == one))
        if len(own.year):
            alone = newest(own, len(spec.item))
            release = tidy(spec, alone, sources, formulas, None)
            at = (release.indicator, release.area, np.searchsorted(grid.years, release.year))
            release = withheld(
                release, spec, alone, formulas, parents, None, sources, also=hidden[at], attacked=attacked
            )
            counts[at] += 1
            parts.append((one, release, at))
    frames = []
    for one, release, at in parts:
        kept = counts[at] > 1
        frame = framed(release, spec, cells.area_names, sources).assign(vintage=one, order=release.indicator)
        secret = hidden[at]
        frame["value"] = frame["value"].where(~secret)
        frame["status"] = frame["status"].where(~secret, "confidential")
        frames.append(frame.loc[kept])
    return (
        pd.concat(frames, ignore_index=True)
        .sort_values(["order", "area", "year", "vintage"], kind="stable")
        .reset_index(drop=True)
        .loc[:, list(RELEASE_COLUMNS)]
    )
