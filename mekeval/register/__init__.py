"""Register microdata -> area-year cells that may leave.

In: person-year Parquet or CSV files, wherever they lie, and measures. Out: a tidy table with the columns of
`Indicators.table`. Never: a row, a value or an identifier of a person, in the table, in a file or in an error.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ..errors import DataError, Fault
from .cells import (
    Register,
    looked_at_again,
    moved_cells,
    plain_cells,
    refuse_doubles,
    register_of,
    year_cells,
)
from .disclosure import statuses
from .engine import engine, run
from .files import Needs, find_files, literal, open_files, quote, refuse_changed
from .measures import Condition, RegisterMeasure, faults_of, role_of, writable

__all__ = ["Condition", "RegisterMeasure", "aggregate_register"]

_LEAST = 3  # with 2, each of two persons sees the other
_TEXTS = ("area", "indicator", "status", "source")
_PARTS = ("n", "k", "left", "total", "others", "low", "high", "median")


def aggregate_register(
    source: str | Path | Sequence[str | Path],
    *,
    area: str,
    year: str,
    measures: Sequence[RegisterMeasure],
    minimum_count: int,
    vintage: int,
    person: str | None = None,
    years: Collection[int] | None = None,
    decimal: str = ".",
    missing: Sequence[str] = (),
    within: str | Path | None = None,
    memory_mb: int = 800,
    threads: int = 2,
    spill: str | Path | None = None,
    out: str | Path | None = None,
) -> pd.DataFrame:
    r"""Turn person-years into area-year cells, after disclosure control.

    .. math:: \text{share}_{gt} = 100 \, k_{gt} / n_{gt}, \qquad \text{mean}_{gt} = \sum_i x_{it} / n_{gt}

    with :math:`n_{gt}` the persons of area g in year t whose value is known. Counts, shares and means are summed
    in one pass over each file. What needs persons side by side (deciles, medians, movers, persons that stand
    twice) is done one year at a time, on the files that hold the year: a file for each year is read fastest. Memory
    does not grow with the number of years.

    Parameters
    ----------
    source : str, Path, or a sequence of these
        Files or patterns (``registers/people_*.parquet``): Parquet, or CSV in UTF-8 with a header, gzipped or not.
        One row is one person in one year; a year may lie in several files and a file may hold several years.
    area, year : str
        Columns. The area is text (codes keep their zeros) or a whole number, the year a whole number.
    measures : sequence of RegisterMeasure
        What is wanted; see there.
    minimum_count : int
        The smallest group that may be shown, in persons; at least 3.
    vintage : int
        Year in which the register was extracted or published.
    person : str, optional
        Column of the person. Needed for "movers"; where it is given, a person may stand once for each year.
    years : collection of int, optional
        The years wanted; all by default.
    decimal : {".", ","}
        Decimal mark of numbers in CSV.
    missing : sequence of str
        Texts that mean "no value" in CSV, beside the empty one.
    within : str or Path, optional
        Where given, each file must lie in this folder, links followed.
    memory_mb : int
        Memory that DuckDB may use, in megabytes. The process as a whole takes a few hundred more.
    threads : int
        Threads that DuckDB may use.
    spill : str or Path, optional
        A protected folder in which DuckDB may put what does not fit into memory. It holds rows of persons while the
        call lasts (encrypted with weak keys, by a DuckDB that can) and is removed at its end; what a killed call left
        there, the next one removes. By default nothing is written.
    out : str or Path, optional
        A ``.csv`` or ``.parquet`` file for the table. It is there whole or not at all.

    Returns
    -------
    pandas.DataFrame
        One row for each measure, area and year in which the area has persons: `area` (str), `year` (int),
        `indicator`, `value` (persons, per cent, or the unit of the column), `numerator` and `denominator` (persons;
        of a mean or median only the denominator), `status`, `source` (names of the files) and `vintage`. `status` is
        "ok", "confidential", "missing" (nobody in the country has a value that year) or "not_applicable" (movers
        without the year before). Numbers stand only where it is "ok".

    Raises
    ------
    DataError
        All faults of the arguments, or of the columns, at once; rows without a year, texts where numbers are due,
        persons who stand twice: how many, never which; a file that changed meanwhile. DuckDB's own messages are not
        passed on.

    Notes
    -----
    *Missing values.* A person without an area belongs to the country (deciles) but to no cell. A NaN counts as
    missing, an infinite number is refused. "mean", "median" and "decile_share" leave out persons without a value.
    "share", and "count" with a condition, leave out persons for whom a column of the condition is missing. A person
    for whom a column of `among` is missing is not among them. "movers" looks at persons whose area is known in the
    year and in the year before; it counts arrivals, and a change of area codes counts as a move.

    *Deciles* are of the persons of the whole country in the year who have a value and are `among`. The bound of
    decile d is the smallest value that at least d tenths of them do not exceed; who has the value of a bound is in
    the lower decile, so equal values are never parted.

    *A cell is "confidential"* where

    - its base is under `minimum_count`, or `among` leaves out fewer than that (none is fewer too);
    - the numerator or its complement is under it: shares of 0 and 100 % are among these;
    - all values are alike, or fewer than that many differ from 0 (mean), or there are two values and one of them
      belongs to fewer than that (mean), or one half is under it (median: 2 `minimum_count` persons are needed);
    - one person has half of the sum of the amounts, or more (mean);
    - sums and differences of it and of earlier measures of the cell are the size of a group under it (persons over 64
      less those over 65; all less those of three languages); groups are told from the conditions alone;
    - in a year one area alone, or all hidden ones together, would follow from the national total: then the smallest
      other cell is hidden too.

    *Not covered:* dominance of two persons or more, differences between years, between calls and with tables
    published elsewhere on other areas, groups that nest in ways the conditions do not show, how many persons lack a
    value, and what many measures of many columns give away together: where they tell more than 12 kinds of persons
    apart, those of the same columns are looked at together, and each pair. A median may be the exact value of a
    person, though not whose. Persons are counted unweighted. With several threads the last digit of a mean may differ
    from run to run.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from mekeval.register import Condition, RegisterMeasure, aggregate_register
    >>> rows = [f"{area},2024,{age}" for area, persons in (("01360", 20), ("01380", 30)) for age in range(persons)]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "people.csv"
    ...     _ = path.write_text("\n".join(["postcode,year,age", *rows]) + "\n", encoding="utf-8")
    ...     children = Condition(column="age", operator="<", value=7)
    ...     cells = aggregate_register(
    ...         path,
    ...         area="postcode",
    ...         year="year",
    ...         measures=[RegisterMeasure(name="children", kind="share", condition=(children,))],
    ...         minimum_count=5,
    ...         vintage=2025,
    ...     )
    >>> cells[["area", "value", "numerator", "denominator", "status"]].to_dict("records")[0]
    {'area': '01360', 'value': 35.0, 'numerator': 7.0, 'denominator': 20.0, 'status': 'ok'}
    """
    wanted = None if years is None else frozenset(years)
    faults = [
        *faults_of(measures),
        *_argument_faults(
            area=area,
            year=year,
            person=person,
            measures=measures,
            minimum_count=minimum_count,
            vintage=vintage,
            years=wanted,
            decimal=decimal,
            missing=missing,
            memory_mb=memory_mb,
            threads=threads,
        ),
    ]
    if faults:
        raise DataError.of(faults)
    target = None if out is None else Path(out)
    paths = find_files(source, None if within is None else Path(within))
    _check_target(target, paths)
    needs = _needs(area, year, person, measures)
    with engine(memory_mb=memory_mb, threads=threads, spill=None if spill is None else Path(spill)) as con:
        extracts = open_files(con, paths, needs)
        register = register_of(con, extracts, needs, decimal=decimal, missing=missing)
        cells, files_of = _cells(register, measures, wanted, minimum_count)
        refuse_changed(extracts)
        table = _tidy(cells, measures, files_of, minimum_count, vintage)
        if target is not None:
            _write(table, target)
    return table


def _argument_faults(
    *,
    area: str,
    year: str,
    person: str | None,
    measures: Sequence[object],
    minimum_count: int,
    vintage: int,
    years: frozenset[object] | None,
    decimal: str,
    missing: Sequence[object],
    memory_mb: int,
    threads: int,
) -> list[Fault]:
    faults = []
    for name, number, least in (
        ("minimum_count", minimum_count, _LEAST),
        ("vintage", vintage, 1),
        ("memory_mb", memory_mb, 100),
        ("threads", threads, 1),
    ):
        if type(number) is not int or number < least:
            faults.append(
                Fault(
                    what=f"`{name}` is wrong.",
                    found=repr(number),
                    expected=f"a whole number of at least {least}",
                )
            )
    if decimal not in (".", ","):
        faults.append(Fault(what="`decimal` is wrong.", found=repr(decimal), expected="'.' or ','"))
    if isinstance(missing, str) or not all(isinstance(mark, str) and writable(mark) for mark in missing):
        faults.append(Fault(what="`missing` is wrong.", expected="a tuple of texts"))
    if years is not None and (not years or not all(type(one) is int for one in years)):
        faults.append(Fault(what="`years` is wrong.", expected="whole numbers, at least one"))
    good = [measure for measure in measures if isinstance(measure, RegisterMeasure)]
    used = [
        column
        for measure in good
        for column in (measure.column, *(getattr(one, "column", "") for one in _conditions(measure)))
    ]
    keys = [area, year, *([] if person is None else [person])]
    names: list[object] = [*keys, *filter(None, used)]
    for column in dict.fromkeys(names):
        if not isinstance(column, str) or not column or not writable(column):
            faults.append(Fault(what="A column has no usable name.", found=repr(column)))
    if len(set(keys)) < len(keys):
        faults.append(Fault(what="`area`, `year` and `person` are not three columns.", found=repr(keys)))
    if person is not None and person in used:
        faults.append(Fault(what="A measure of the column of the person would single persons out."))
    if person is None and any(measure.kind == "movers" for measure in good):
        faults.append(Fault(what="Movers need the column of the person.", fix="Give `person`."))
    return faults


def _conditions(measure: RegisterMeasure) -> tuple[Condition, ...]:
    return (*measure.condition, *measure.among)


def _needs(area: str, year: str, person: str | None, measures: Sequence[RegisterMeasure]) -> Needs:
    """Each column in each role once, under a name of ours."""
    roles: dict[tuple[str, str], str] = {}
    for measure in measures:
        asked = [(one.column, str(role_of(one))) for one in _conditions(measure)]
        for pair in [*asked, *([(measure.column, "number")] if measure.column else [])]:
            roles.setdefault(pair, f"c{len(roles)}")
    return Needs(area=area, year=year, person=person, others=roles)


def _cells(
    register: Register, measures: Sequence[RegisterMeasure], wanted: frozenset[int] | None, minimum: int
) -> tuple[pd.DataFrame, dict[int, list[str]]]:
    """The long table of cells, one row for each measure, area and year, and the files of each year."""
    moving = any(measure.kind == "movers" for measure in measures)
    read = wanted | {one - 1 for one in wanted} if wanted is not None and moving else wanted
    by_file, wide = plain_cells(register, measures, read)
    present = {path: set(cells["y"].dropna().astype(int)) for path, cells in by_file.items()}
    found = sorted(set().union(*present.values()))
    chosen = found if wanted is None else sorted(wanted)
    if absent := sorted(set(chosen) - set(found)):
        raise DataError("The register has no such year.", where="years", found=", ".join(map(str, absent)))
    files_of = {one: [path for path in by_file if one in present[path]] for one in found}
    wide = wide.loc[wide["a"].notna() & wide["y"].isin(chosen)].astype({"y": int})
    if wide.empty:
        raise DataError("The files hold no person with an area.", where=f"column {register.needs.area!r}")
    if wide["persons"].mean() < minimum:
        raise DataError(
            "On average a cell has fewer persons than may be shown.",
            where=f"column {register.needs.area!r}",
            expected=f"at least {minimum} persons",
            fix="Name a column of areas, not of persons or dwellings, or take larger areas.",
        )
    by_year: list[pd.DataFrame] = []
    moved: list[pd.DataFrame] = []
    for one in chosen:
        if register.needs.person is not None:
            refuse_doubles(register, files_of[one], one)
        cells = year_cells(register, files_of[one], measures, one)
        by_year += [] if cells is None else [cells]
        if moving and one - 1 in files_of:
            both = list(dict.fromkeys([*files_of[one - 1], *files_of[one]]))
            moved.append(moved_cells(register, both, measures, one))
    for parts in (by_year, moved):
        if parts:
            wide = wide.merge(pd.concat(parts, ignore_index=True), on=["y", "a"], how="left")
    if moved:
        # Nobody of the area was there before: a base of 0, unlike a year that has no year before.
        after = wide["y"].isin([one for one in chosen if one - 1 in files_of])
        names = [f"{part}_{i}" for i, one in enumerate(measures) if one.kind == "movers" for part in "nk"]
        wide.loc[after, names] = wide.loc[after, names].fillna(0)
    long = pd.concat([_one_measure(wide, i) for i in range(len(measures))], ignore_index=True)
    long["a"] = long["a"].astype(str)
    return _flag_exposed(long, register, measures, files_of, minimum), files_of


def _one_measure(wide: pd.DataFrame, i: int) -> pd.DataFrame:
    parts = {part: wide.get(f"{part}_{i}", np.nan) for part in _PARTS}
    return wide[["y", "a", "persons"]].assign(m=i, **parts).astype(dict.fromkeys(_PARTS, float))


def _flag_exposed(
    cells: pd.DataFrame,
    register: Register,
    measures: Sequence[RegisterMeasure],
    files_of: dict[int, list[str]],
    minimum: int,
) -> pd.DataFrame:
    """Mark means of two values of which one belongs to too few, and those of which one person holds half.

    If all values are the lowest or the highest, the mean says how many are the highest: ``(total - n low) /
    (high - low)``. Only where that is a whole number near an end is the register asked again. It is asked too where
    values of both signs may cancel out in the total.
    """
    span = cells["high"] - cells["low"]
    top = (cells["total"] - cells["n"] * cells["low"]) / span.where(span > 0)
    near = (top < minimum - 0.5) | (cells["n"] - top < minimum - 0.5)
    near &= (top - top.round()).abs() < 1e-6
    largest = cells[["low", "high"]].abs().max(axis=1)
    heavy = 2 * largest >= cells["total"].abs()
    mixed = (cells["low"] < 0) & (cells["high"] > 0)
    unsafe = heavy & ~mixed
    for m, few in cells.loc[(near | (heavy & mixed)) & (cells["n"] >= minimum)].groupby("m"):
        files = list(dict.fromkeys(path for one in few["y"].unique() for path in files_of[one]))
        between, weight = looked_at_again(register, files, measures[int(str(m))], few)
        unsafe[few.index] |= (near[few.index] & (between == 0)) | (2 * largest[few.index] >= weight)
    return cells.assign(exposed=unsafe)


def _tidy(
    cells: pd.DataFrame,
    measures: Sequence[RegisterMeasure],
    files_of: dict[int, list[str]],
    minimum: int,
    vintage: int,
) -> pd.DataFrame:
    """The table that leaves: numbers only where the status is "ok"."""
    cells = cells.sort_values(["m", "a", "y"], kind="stable").reset_index(drop=True)
    status = statuses(cells, measures, minimum)
    kinds = cells["m"].map({i: measure.kind for i, measure in enumerate(measures)})
    value = 100 * cells["k"] / cells["n"].where(cells["n"] > 0)
    for kind, figure in (
        ("count", cells["k"].fillna(cells["n"])),
        ("mean", cells["total"] / cells["n"].where(cells["n"] > 0)),
        ("median", cells["median"]),
    ):
        value = value.mask(kinds == kind, figure)
    good = status == "ok"
    names = {one: "; ".join(Path(path).name for path in paths) for one, paths in files_of.items()}
    return pd.DataFrame(
        {
            "area": cells["a"],
            "year": cells["y"],
            "indicator": cells["m"].map({i: measure.name for i, measure in enumerate(measures)}),
            "value": value.where(good),
            "numerator": cells["k"].where(good),
            "denominator": cells["n"].where(good),
            "status": status,
            "source": cells["y"].map(names),
            "vintage": vintage,
        }
    )


def _check_target(target: Path | None, paths: Sequence[Path]) -> None:
    if target is None:
        return
    if target.suffix.lower() not in (".csv", ".parquet"):
        raise DataError("The type of `out` is not known.", where=str(target), expected=".csv or .parquet")
    if target.resolve() in paths:
        raise DataError("`out` is one of the files of the register.", where=str(target))
    if not target.parent.is_dir():
        raise DataError("The folder of `out` does not exist.", where=str(target.parent))


def _write(table: pd.DataFrame, target: Path) -> None:
    """Write beside the target, flush, and rename: a reader sees the old file or the whole new one."""
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent)
    os.close(handle)
    fresh = Path(name)
    try:
        if target.suffix.lower() == ".csv":
            table.to_csv(fresh, index=False, lineterminator="\n")
        else:
            with engine(memory_mb=500, threads=1, spill=None) as con:
                # Texts as objects: older DuckDB does not know the text type of pandas 3.
                con.register("cells", table.astype(dict.fromkeys(_TEXTS, object)))
                columns = ", ".join(quote(column) for column in table.columns)
                run(
                    con,
                    f"COPY (SELECT {columns} FROM cells) TO {literal(name)} (FORMAT parquet)",
                    where=target.name,
                )
        with fresh.open("rb+") as file:
            os.fsync(file.fileno())
        fresh.chmod(0o644)
        fresh.replace(target)
    except OSError as cause:
        fresh.unlink(missing_ok=True)
        raise DataError(
            "The table cannot be written; what was there is as it was.",
            where=str(target),
            found=cause.strerror or "",
        ) from None
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
