"""Persons -> cells: the sums that stand behind each figure, area by area and year by year.

In: files in normal form and measures. Out: a frame of cells with what disclosure control needs to know. Never: a
row of a person outside DuckDB, or persons of more than two years in memory at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..errors import DataError, Fault
from .engine import run
from .files import Extract, Needs, checked, literal, normal_form
from .measures import OPERATORS, Condition, RegisterMeasure, role_of, values_of

if TYPE_CHECKING:
    import duckdb

_MOST_CELLS = 3_000_000
_LARGEST = 1e290  # a hundred million of these can still be added
_KEY = ["y", "a"]


@dataclass(frozen=True, kw_only=True)
class Register:
    """An open register and how to read it.

    Attributes
    ----------
    con : duckdb.DuckDBPyConnection
        The engine.
    extracts : tuple of Extract
        The files.
    needs : Needs
        The columns.
    forms : mapping of str to str
        Path -> the query that gives the file in normal form.
    """

    con: duckdb.DuckDBPyConnection
    extracts: tuple[Extract, ...]
    needs: Needs
    forms: Mapping[str, str]


def register_of(
    con: duckdb.DuckDBPyConnection,
    extracts: Sequence[Extract],
    needs: Needs,
    *,
    decimal: str,
    missing: Sequence[str],
) -> Register:
    """Tie files and columns together."""
    forms = {
        str(extract.path): normal_form(extract, extracts, needs, decimal=decimal, missing=missing)
        for extract in extracts
    }
    return Register(con=con, extracts=tuple(extracts), needs=needs, forms=forms)


def plain_cells(
    register: Register, measures: Sequence[RegisterMeasure], years: frozenset[int] | None
) -> tuple[dict[str, pd.DataFrame], pd.DataFrame]:
    """Counts, shares and means, file by file in one pass over each, and the persons of each cell.

    Sums can be added, so no file is read once for each year and memory holds cells only.

    Returns
    -------
    by_file : dict of str to pandas.DataFrame
        Path -> its cells, for the years that each file holds.
    cells : pandas.DataFrame
        Columns `y`, `a`, `persons` and for measure i ``n_i`` and, where it has them, ``k_i``, ``total_i``,
        ``others_i`` (persons with a value other than 0), ``low_i``, ``high_i``, ``left_i`` (persons that `among`
        leaves out).
    """
    columns = [
        column for i, measure in enumerate(measures) for column in _plain_columns(i, measure, register)
    ]
    by_file: dict[str, pd.DataFrame] = {}
    faults: list[Fault] = []
    where = "" if years is None else f" WHERE y IS NULL OR y IN ({', '.join(map(str, sorted(years)))})"
    for extract in register.extracts:
        bad = [
            f"count(*) FILTER (bad_{alias}) AS bad_{alias}"
            for _, _, alias in checked(extract, register.needs)
        ]
        selected = ["y", "a", "count(*) AS persons", *columns, *bad]
        form = register.forms[str(extract.path)]
        query = f"SELECT {', '.join(selected)} FROM ({form}){where} GROUP BY y, a LIMIT {_MOST_CELLS + 1}"
        cells = run(register.con, query, where=extract.name)
        if len(cells) > _MOST_CELLS:
            raise DataError(
                "The column of the area has too many areas.",
                where=f"{extract.name}, column {register.needs.area!r}",
                expected=f"at most {_MOST_CELLS} cells of area and year in a file",
                fix="Name a column of areas, not of persons or dwellings.",
            )
        faults += _value_faults(cells, extract, register.needs)
        by_file[str(extract.path)] = cells.drop(
            columns=[name for name in cells.columns if name.startswith("bad_")]
        )
    if faults:
        raise DataError.of(faults)
    everything = pd.concat(by_file.values(), ignore_index=True)
    for i, measure in enumerate(measures):
        if measure.kind == "mean" and _overflows(everything[f"low_{i}"], everything[f"high_{i}"]):
            faults.append(
                Fault(
                    what="Numbers are too large to be added.",
                    where=f"column {measure.column!r}",
                    expected=f"numbers under {_LARGEST:g}",
                    fix="Look for a mark of a missing value among the numbers. They are not shown.",
                )
            )
    if faults:
        raise DataError.of(faults)
    how = {
        name: "min" if name.startswith("low_") else "max" if name.startswith("high_") else "sum"
        for name in everything.columns
        if name not in _KEY
    }
    return by_file, everything.groupby(_KEY, dropna=False, sort=True).agg(how).reset_index()


def _overflows(low: pd.Series, high: pd.Series) -> bool:
    return bool((low < -_LARGEST).any() or (high > _LARGEST).any())


def _plain_columns(i: int, measure: RegisterMeasure, register: Register) -> list[str]:
    among = _all_of(measure.among, register.needs)
    columns = [f"count(*) FILTER (({among}) IS NOT TRUE) AS left_{i}"] if among else []
    if measure.kind in ("count", "share"):
        known = " AND ".join(
            f"{_alias(one.column, role_of(one), register.needs)} IS NOT NULL" for one in measure.condition
        )
        columns.append(f"count(*){_filter(among, known)} AS n_{i}")
        if measure.condition:
            met = _all_of(measure.condition, register.needs)
            columns.append(f"count(*){_filter(among, met)} AS k_{i}")
    elif measure.kind == "mean":
        x, only = _alias(measure.column, "number", register.needs), _filter(among)
        columns += [
            f"count({x}){only} AS n_{i}",
            f"fsum({x}){only} AS total_{i}",
            f"count(*){_filter(among, f'{x} <> 0')} AS others_{i}",
            f"min({x}){only} AS low_{i}",
            f"max({x}){only} AS high_{i}",
        ]
    return columns


def year_cells(
    register: Register, files: Sequence[str], measures: Sequence[RegisterMeasure], year: int
) -> pd.DataFrame | None:
    """Medians and shares in national deciles of one year; None where neither is asked for."""
    persons = _union(register, files, [year])
    columns: list[str] = []
    for i, measure in enumerate(measures):
        if measure.kind not in ("median", "decile_share"):
            continue
        x, among = _alias(measure.column, "number", register.needs), _all_of(measure.among, register.needs)
        columns.append(f"count({x}){_filter(among)} AS n_{i}")
        if measure.kind == "median":
            columns += [
                f"{function}({x}){_filter(among)} AS {name}_{i}"
                for function, name in (("median", "median"), ("min", "low"), ("max", "high"))
            ]
            continue
        # Tenths as decimals: DuckDB then finds the rank with whole numbers, so that no bound slips by one person.
        tenths = ", ".join(f"0.{tenth}" for tenth in range(1, 10))
        query = (
            f"SELECT unnest(quantile_disc({x}, [{tenths}]){_filter(among)}) AS bound FROM ({persons}) WHERE {x} "
            "IS NOT NULL"
        )
        bounds = [-np.inf, *sorted(run(register.con, query, where=str(year))["bound"]), np.inf]
        inside = " OR ".join(
            f"({x} > {_number(bounds[decile - 1])} AND {x} <= {_number(bounds[decile])})"
            for decile in sorted(set(measure.deciles))
        )
        met = f"({inside})" if len(bounds) == 11 else "false"
        columns.append(f"count(*){_filter(among, met)} AS k_{i}")
    if not columns:
        return None
    return run(
        register.con,
        f"SELECT y, a, {', '.join(columns)} FROM ({persons}) GROUP BY y, a",
        where=str(year),
    )


def moved_cells(
    register: Register, files: Sequence[str], measures: Sequence[RegisterMeasure], year: int
) -> pd.DataFrame:
    """Persons of one year who stand in the year before too, and those of them whose area differs."""
    columns = []
    for i, measure in enumerate(measures):
        if measure.kind == "movers":
            among = _all_of(measure.among, register.needs)
            columns.append(f"count(*){_filter(among)} AS n_{i}")
            columns.append(f"count(*){_filter(among, 'a <> before')} AS k_{i}")
    query = (
        f"SELECT y, a, {', '.join(columns)} FROM (SELECT now.*, earlier.a AS before "
        f"FROM ({_union(register, files, [year])}) AS now JOIN (SELECT p, a FROM "
        f"({_union(register, files, [year - 1])})) AS earlier ON now.p = earlier.p "
        "WHERE now.a IS NOT NULL AND earlier.a IS NOT NULL) GROUP BY y, a"
    )
    return run(register.con, query, where=str(year))


def refuse_doubles(register: Register, files: Sequence[str], year: int) -> None:
    """A person stands once for a year; how many do not is said, who they are is not."""
    query = f"SELECT count(p) AS n, count(DISTINCT p) AS persons FROM ({_union(register, files, [year])})"
    found = run(register.con, query, where=str(year))
    surplus = int(found["n"].iloc[0] - found["persons"].iloc[0])
    if surplus:
        raise DataError(
            "Persons stand twice for one year.",
            where=f"year {year}, {len(files)} files" if len(files) > 1 else f"year {year}",
            found=f"{surplus} rows too many",
            expected=f"one row for each {register.needs.person!r} and year",
        )


def looked_at_again(
    register: Register, files: Sequence[str], measure: RegisterMeasure, cells: pd.DataFrame
) -> tuple[pd.Series, pd.Series]:
    """For a few cells (`y`, `a`, `low`, `high`): persons between their lowest and highest, and the sum of all amounts.

    The sum is that of the amounts without their signs.
    """
    x, among = _alias(measure.column, "number", register.needs), _all_of(measure.among, register.needs)
    persons = _union(register, files, sorted({int(year) for year in cells["y"]}))
    query = (
        f"SELECT y, CAST(a AS VARCHAR) AS a, count(*) FILTER ({x} <> low AND {x} <> high) AS between, "
        f"fsum(abs({x})) AS weight FROM "
        f"({persons}) JOIN few ON y = few_y AND CAST(a AS VARCHAR) = few_a"
        f"{' WHERE ' + among if among else ''} GROUP BY ALL"
    )
    few = (
        cells[["y", "a", "low", "high"]]
        .rename(columns={"y": "few_y", "a": "few_a"})
        .astype({"few_a": object})
    )
    register.con.register("few", few)
    found = run(register.con, query, where=measure.name)
    register.con.unregister("few")
    keys = pd.MultiIndex.from_arrays([cells["y"], cells["a"].astype(str)])
    there = found.set_index(["y", "a"]).reindex(keys).fillna(0).set_axis(cells.index)
    return there["between"], there["weight"]


def _union(register: Register, files: Sequence[str], years: Sequence[int]) -> str:
    which = ", ".join(map(str, years))
    parts = [f"SELECT * FROM ({register.forms[file]}) WHERE y IN ({which})" for file in files]
    return " UNION ALL BY NAME ".join(parts)


def _value_faults(cells: pd.DataFrame, extract: Extract, needs: Needs) -> list[Fault]:
    """Rows without a year, texts where numbers are due, numbers without an end: how many, never which."""
    faults = []
    nowhere = int(cells.loc[cells["y"].isna(), "persons"].sum())
    if nowhere:
        faults.append(
            Fault(
                what="Rows have no year.",
                where=f"{extract.name}, column {needs.year!r}",
                found=f"{nowhere} rows",
                expected="a year of four digits in each",
            )
        )
    if not cells["y"].dropna().between(1800, 2200).all():
        faults.append(
            Fault(
                what="The column of the year holds other numbers.",
                where=f"{extract.name}, column {needs.year!r}",
                expected="1800 to 2200",
                fix="Name the right column. The numbers are not shown.",
            )
        )
    for column, role, alias in checked(extract, needs):
        wrong = int(cells[f"bad_{alias}"].sum())
        if wrong:
            faults.append(
                Fault(
                    what=f"Something else stands where a {'finite number' if role == 'number' else 'truth value'} is "
                    "due.",
                    where=f"{extract.name}, column {column!r}",
                    found=f"{wrong} rows; what stands there is not shown",
                    fix="Look at `decimal` and `missing`, or correct the file.",
                )
            )
    return faults


def _alias(column: str, role: str, needs: Needs) -> str:
    return needs.others[column, role]


def _filter(*conditions: str) -> str:
    given = [f"({condition})" for condition in conditions if condition]
    return f" FILTER (WHERE {' AND '.join(given)})" if given else ""


def _all_of(conditions: Sequence[Condition], needs: Needs) -> str:
    """SQL that is true where all conditions hold; a missing value makes it NULL or false."""
    return " AND ".join(
        f"{_alias(one.column, role_of(one), needs)} {OPERATORS[one.operator]} {_value(one)}"
        for one in conditions
    )


def _value(condition: Condition) -> str:
    role = role_of(condition)
    texts = []
    for value in values_of(condition):
        if role == "number":
            texts.append(_number(float(value)))
        else:
            texts.append(literal(value) if isinstance(value, str) else str(bool(value)).lower())
    return f"({', '.join(texts)})" if isinstance(condition.value, tuple) else texts[0]


def _number(value: float) -> str:
    return f"CAST('{float(value)!r}' AS DOUBLE)"
