"""Raw tables -> one tidy table of indicators and an honest quality log.

In: a study and its raw files. Out: `Indicators`. Never: a missing value filled, a value changed without a line in
the log, or a value with too few people behind it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from ..areas import Areas
from ..errors import DataError, Fault, MekevalError, closest
from ..sources import RawTable, read_source
from ..study import IndicatorSpec, Study, terms

#: Why a value is not there. The first four come from the producer; "empty_area" is a zero of an area without
#: people; "confidential" is our own disclosure threshold; "implausible" lies outside the study's plausible range.
STATUSES = (
    "ok",
    "suppressed",
    "not_applicable",
    "missing",
    "overflow",
    "empty_area",
    "confidential",
    "implausible",
)
LOG_COLUMNS = ("level", "rule", "file", "row", "area", "year", "subject", "found", "count")


@dataclass(frozen=True, kw_only=True)
class Indicators:
    """The tidy table of a study and what was noticed on the way.

    Attributes
    ----------
    table : pandas.DataFrame
        One row for each area, year and indicator that a source speaks of: `area` (code), `year`, `indicator`,
        `value` (in the indicator's unit; missing where `status` is not "ok"), `numerator`, `denominator`
        (persons; for a plain value the base that stands behind it is `denominator`), `status` (one of
        `STATUSES`), `source` (file) and `vintage` (year of publication). Rates are
        ``100 * numerator / denominator``.
    log : pandas.DataFrame
        Columns `LOG_COLUMNS`: level ("info" or "warning"), rule, place, what was found, how many cells.
    """

    table: pd.DataFrame
    log: pd.DataFrame

    @property
    def years(self) -> tuple[int, ...]:
        """Years with at least one value."""
        return tuple(int(year) for year in np.unique(self.table.loc[self.table["status"] == "ok", "year"]))


def clean_indicators(study: Study) -> Indicators:
    """Read all sources of a study and build its indicators.

    Parameters
    ----------
    study : Study

    Returns
    -------
    Indicators

    Raises
    ------
    DataError
        All faults of the files at once: rows that stand twice, areas that the study does not list, missing
        columns, text where a number is due.

    Examples
    --------
    >>> from mekeval import example_study, read_study
    >>> indicators = clean_indicators(read_study(example_study()))
    >>> sorted(set(indicators.table["indicator"]))[:2]
    ['basic_education_25_44', 'foreign_language_0_6']
    """
    log: list[dict[str, object]] = []
    faults: list[Fault] = []
    parts = []
    for path, source in zip(study.paths, study.spec.source, strict=True):
        if source.scope == "reference":
            continue  # `reference_areas` reads it
        try:
            raw = read_source(path, source, study.spec.labels(source))
            parts.append(_placed(raw, study.areas, log, drop_others=source.other_areas == "drop"))
        except MekevalError as error:
            faults += error.faults
    if faults:
        raise DataError.of(faults)
    items, changes = _newest(pd.concat(parts, ignore_index=True), log)
    tables = [
        _indicator(indicator, items, minimum_base=study.spec.study.minimum_base, log=log)
        for indicator in study.spec.indicator
    ]
    table = pd.concat(tables, ignore_index=True)
    _log_changes(changes, table, study, log)
    _log_gaps(table, study, log)
    return Indicators(table=table, log=pd.DataFrame(log, columns=list(LOG_COLUMNS)))


def _note(log: list[dict[str, object]], level: str, rule: str, **facts: object) -> None:
    log.append({"level": level, "rule": rule, **facts})


def _placed(raw: RawTable, areas: Areas, log: list[dict[str, object]], *, drop_others: bool) -> pd.DataFrame:
    """The cells of one file with area codes; rows that stand twice and areas nobody listed are faults."""
    cells = raw.cells
    _note(log, "info", "read", file=raw.file, found=", ".join(raw.notes), count=len(cells))
    try:
        codes = areas.codes_of_labels(cells["area_label"].unique())
    except MekevalError as error:
        raise DataError.of(replace(fault, where=raw.file) for fault in error.faults) from None
    cells = cells.assign(area=cells["area_label"].map(codes), file=raw.file, vintage=raw.vintage)
    others = cells.loc[cells["area"].isna()].drop_duplicates("area_label")
    if drop_others:
        _note(log, "info", "other_areas", file=raw.file, count=len(others))
    elif len(others):
        known = [str(name) for name in areas.table["name_fi"]]
        raise DataError.of(
            Fault(
                what="The data have an area that the study does not list.",
                where=f"{raw.file}, row {row}",
                found=repr(label),
                expected=closest(label.lstrip("0123456789 "), known),
                fix='Add it to areas.csv, correct the label, or set `other_areas = "drop"` for this source.',
            )
            for label, row in zip(others["area_label"][:10], others["row"][:10], strict=True)
        )
    cells = cells.loc[cells["area"].notna()]
    if cells.empty:
        raise DataError(
            "The file speaks of no area of the study.",
            where=raw.file,
            found=", ".join(repr(label) for label in others["area_label"][:3]),
            expected="codes or names as in areas.csv, for example " + repr(str(areas.units[0])),
            fix="Look at `area_column` of the source in study.toml.",
        )
    twice = cells.duplicated(["area", "item", "year"], keep=False)
    if twice.any():
        raise DataError.of(
            Fault(
                what="An area stands twice for one year.",
                where=f"{raw.file}, rows {', '.join(map(str, group['row']))}, "
                f"column {' and '.join(map(repr, dict.fromkeys(group['column'])))}",
                found=f"area {area}, item {item!r}, year {year}",
                expected="one row",
                fix="Keep the right one, and write the file's new sha256 in study.toml.",
            )
            for (area, item, year), group in list(
                cells.loc[twice].groupby(["area", "item", "year"], sort=False)
            )[:10]
        )
    return cells


def _newest(cells: pd.DataFrame, log: list[dict[str, object]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One cell for each area, item and year: the newest release that has a number; and the numbers it replaced.

    A later release that hides or lacks a number does not erase an earlier one; a later number replaces it, and
    the log counts how many were confirmed.
    """
    cells = cells.assign(has_number=cells["status"] == "ok")
    ordered = cells.sort_values(["has_number", "vintage"], kind="stable")
    key = ["area", "item", "year"]
    newest = ordered.drop_duplicates(key, keep="last")
    older = ordered.loc[ordered["has_number"] & ordered.duplicated(key, keep="last")]
    pairs = older.merge(newest, on=key, suffixes=("_old", "_new"))
    for (file_old, file_new), group in pairs.groupby(["file_old", "file_new"], sort=True):
        same = int((group["value_old"] == group["value_new"]).sum())
        _note(log, "info", "confirmed", file=file_old, found=file_new, count=same)
    return newest, pairs.loc[pairs["value_old"] != pairs["value_new"]].sort_values(["file_old", "file_new"])


def _log_changes(
    changes: pd.DataFrame, table: pd.DataFrame, study: Study, log: list[dict[str, object]]
) -> None:
    """A line for each number that another release replaced; the numbers only where nobody can be told from them.

    They stay out where an indicator of the item has no value there, and where a base is or was under the limit.
    """
    least = study.spec.study.minimum_base
    users = {
        item.name: [indicator for indicator in study.spec.indicator if item.name in indicator.items]
        for item in study.spec.item
    }
    shown = table.loc[table["status"] == "ok"]
    ok = set(zip(shown["indicator"], shown["area"], shown["year"], strict=True))
    earlier = {
        (row["area"], row["year"], row["item"]): min(row["value_old"], row["value_new"])
        for row in changes.sort_values("value_old", ascending=False).to_dict("records")
    }
    for row in changes.to_dict("records"):
        area, year, item = row["area"], row["year"], row["item"]
        bases = {part for indicator in users[item] for part in terms(indicator.denominator or indicator.base)}
        public = (
            bool(bases)
            and all((indicator.name, area, year) in ok for indicator in users[item])
            and all(earlier.get((area, year, base), least) >= least for base in bases)
        )
        _note(
            log,
            "warning",
            "conflict" if row["vintage_old"] == row["vintage_new"] else "revised",
            file=row["file_old"],
            row=row["row_old"],
            area=area,
            year=year,
            subject=item,
            found=f"{row['value_old']:.15g} -> {row['value_new']:.15g} ({row['file_new']})"
            if public
            else f"not shown: too few people, or no value ({row['file_new']})",
            count=1,
        )


def _indicator(
    indicator: IndicatorSpec, cells: pd.DataFrame, *, minimum_base: int, log: list[dict[str, object]]
) -> pd.DataFrame:
    """One indicator from its items, wherever at least one of them was published."""
    items = list(indicator.items)
    cells = cells.loc[cells["item"].isin(items)].set_index(["area", "year", "item"]).sort_index()
    values = cells["value"].unstack("item").reindex(columns=items)
    statuses = cells["status"].unstack("item").reindex(columns=items).fillna("missing")
    newest = cells.reset_index("item").sort_values("vintage", kind="stable").groupby(["area", "year"])
    origin = newest[["file", "vintage"]].last()

    top = terms(indicator.numerator or indicator.value)
    bottom = terms(indicator.denominator or indicator.base)
    numerator = values[list(top)].sum(axis=1, skipna=False)
    denominator = values[list(bottom)].sum(axis=1, skipna=False)
    status = _worst(statuses)
    # No number of persons is negative; a sum would carry such a cell along unseen.
    persons = terms(indicator.denominator or indicator.base) + (top if indicator.numerator else ())
    below = (status == "ok") & (values[list(persons)] < 0).any(axis=1)
    _log_implausible(values.loc[below].min(axis=1), "at least 0 persons", indicator.name, log)
    status[below] = "implausible"
    status[(status == "ok") & (denominator == 0)] = "empty_area"
    # A release that writes 0 where nobody lives also writes a median income of 0 there.
    if indicator.unit == "eur":
        status[(status == "ok") & (numerator == 0)] = "empty_area"
    status[(status == "ok") & (denominator < minimum_base)] = "confidential"
    value = 100 * numerator / denominator.where(denominator > 0) if indicator.numerator else numerator
    if indicator.plausible:
        low, high = indicator.plausible
        outside = (status == "ok") & ~value.between(low, high)
        _log_implausible(value[outside], f"{low:g} to {high:g}", indicator.name, log)
        status[outside] = "implausible"
    good = status == "ok"
    mixed = good & (newest["vintage"].nunique() > 1).reindex(status.index)
    if mixed.any():
        _note(log, "warning", "mixed_releases", subject=indicator.name, count=int(mixed.sum()))
    return pd.DataFrame(
        {
            "area": values.index.get_level_values("area").astype(str),
            "year": values.index.get_level_values("year").astype(int),
            "indicator": indicator.name,
            "value": value.where(good).to_numpy(),
            "numerator": (numerator if indicator.numerator else np.nan * numerator).where(good).to_numpy(),
            "denominator": denominator.where(good).to_numpy(),
            "status": status.to_numpy(),
            "source": origin["file"].to_numpy(),
            "vintage": origin["vintage"].to_numpy(),
        }
    )


def _log_implausible(values: pd.Series, expected: str, subject: str, log: list[dict[str, object]]) -> None:
    for wrong in values.rename("value").reset_index().to_dict("records"):
        _note(
            log,
            "warning",
            "implausible",
            area=wrong["area"],
            year=wrong["year"],
            subject=subject,
            found=f"{wrong['value']:g}, expected {expected}",
            count=1,
        )


def _worst(statuses: pd.DataFrame) -> pd.Series:
    """The status of a row of items: "ok" if all are, else the first reason in the order of `STATUSES`."""
    status = pd.Series("ok", index=statuses.index, dtype=object)
    for reason in reversed(STATUSES[1:5]):
        status[(statuses == reason).any(axis=1)] = reason
    return status


def _log_gaps(table: pd.DataFrame, study: Study, log: list[dict[str, object]]) -> None:
    """Count what is not there, by indicator, year and reason, and name areas that never appear.

    Implausible values have a line each already.
    """
    units = study.areas.units
    table = table.loc[table["area"].isin(units)]
    gone = table.loc[~table["status"].isin(["ok", "implausible"])]
    for gap in (
        gone.groupby(["indicator", "year", "status"], sort=True)
        .size()
        .reset_index(name="n")
        .to_dict("records")
    ):
        _note(log, "info", gap["status"], year=gap["year"], subject=gap["indicator"], count=int(gap["n"]))
    for indicator in study.spec.indicator:
        part = table.loc[table["indicator"] == indicator.name]
        present = set(part["area"])
        for area in units:
            if area not in present:
                _note(log, "warning", "absent", area=area, subject=indicator.name, count=1)
        for year, number in part.groupby("year", sort=True)["area"].nunique().items():
            if number < len(present):
                _note(
                    log,
                    "info",
                    "not_published",
                    year=year,
                    subject=indicator.name,
                    count=len(present) - number,
                )
