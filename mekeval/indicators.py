"""Raw tables -> one tidy table of indicators and an honest quality log.

In: a study and its raw files. Out: `Indicators`. Never: a missing value filled, a value changed without a line in
the log, or a value with too few people behind it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from .areas import Areas
from .errors import DataError, Fault, MekevalError, closest
from .sources import RawTable, read_source
from .study import IndicatorSpec, Study, terms

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
    labels = {item.name: item.labels for item in study.spec.item}
    log: list[dict[str, object]] = []
    faults: list[Fault] = []
    parts = []
    for path, source in zip(study.paths, study.spec.source, strict=True):
        try:
            raw = read_source(path, source, labels)
            parts.append(_placed(raw, study.areas, log, drop_others=source.other_areas == "drop"))
        except MekevalError as error:
            faults += error.faults
    if faults:
        raise DataError.of(faults)
    items = _newest(pd.concat(parts, ignore_index=True), log)
    tables = [
        _indicator(indicator, items, minimum_base=study.spec.study.minimum_base, log=log)
        for indicator in study.spec.indicator
    ]
    table = pd.concat(tables, ignore_index=True)
    _log_gaps(table, study.areas.units, log)
    return Indicators(table=table, log=pd.DataFrame(log, columns=list(LOG_COLUMNS)))


def _note(log: list[dict[str, object]], level: str, rule: str, **facts: object) -> None:
    log.append({"level": level, "rule": rule, **facts})


def _placed(raw: RawTable, areas: Areas, log: list[dict[str, object]], *, drop_others: bool) -> pd.DataFrame:
    """The cells of one file with area codes; rows that stand twice and areas nobody listed are faults."""
    cells = raw.cells
    _note(log, "info", "read", file=raw.file, found=", ".join(raw.notes), count=len(cells))
    codes = areas.codes_of_labels(cells["area_label"].unique())
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
    twice = cells.duplicated(["area", "item", "year"], keep=False)
    if twice.any():
        raise DataError.of(
            Fault(
                what="An area stands twice for one year.",
                where=f"{raw.file}, rows {', '.join(map(str, group['row']))}",
                found=f"area {area}, item {item!r}, year {year}: {', '.join(map(str, group['value']))}",
                expected="one row",
                fix="Keep the right one, and write the file's new sha256 in study.toml.",
            )
            for (area, item, year), group in list(cells.loc[twice].groupby(["area", "item", "year"], sort=False))[:10]
        )
    return cells


def _newest(cells: pd.DataFrame, log: list[dict[str, object]]) -> pd.DataFrame:
    """One cell for each area, item and year: the newest release that has a number.

    A later release that hides or lacks a number does not erase an earlier one; a later number replaces it, and
    the log counts how many were confirmed and how many changed.
    """
    cells = cells.assign(has_number=cells["status"] == "ok")
    ordered = cells.sort_values(["has_number", "vintage"], kind="stable")
    key = ["area", "item", "year"]
    newest = ordered.drop_duplicates(key, keep="last")
    older = ordered.loc[ordered["has_number"] & ordered.duplicated(key, keep="last")]
    pairs = older.merge(newest, on=key, suffixes=("_old", "_new"))
    for (file_old, file_new), group in pairs.groupby(["file_old", "file_new"], sort=True):
        changed = group.loc[group["value_old"] != group["value_new"]]
        _note(log, "info", "confirmed", file=file_old, found=file_new, count=len(group) - len(changed))
        same_vintage = bool((group["vintage_old"] == group["vintage_new"]).all())
        for row in changed.to_dict("records"):
            _note(
                log,
                "warning",
                "conflict" if same_vintage else "revised",
                file=file_old,
                row=row["row_old"],
                area=row["area"],
                year=row["year"],
                subject=row["item"],
                found=f"{row['value_old']:g} -> {row['value_new']:g} ({file_new})",
                count=1,
            )
    return newest


def _indicator(
    indicator: IndicatorSpec, cells: pd.DataFrame, *, minimum_base: int, log: list[dict[str, object]]
) -> pd.DataFrame:
    """One indicator from its items, wherever at least one of them was published."""
    cells = cells.loc[cells["item"].isin(indicator.items)]
    wide = cells.pivot(index=["area", "year"], columns="item", values=["value", "status", "file", "vintage"])
    wide = wide.reindex(columns=pd.MultiIndex.from_product([wide.columns.levels[0], indicator.items]))
    values = wide["value"].astype(float)
    statuses = wide["status"].fillna("missing")

    top = terms(indicator.numerator or indicator.value)
    bottom = terms(indicator.denominator or indicator.base)
    numerator = values[list(top)].sum(axis=1, skipna=False)
    denominator = values[list(bottom)].sum(axis=1, skipna=False)
    status = _worst(statuses)
    status[(status == "ok") & (denominator == 0)] = "empty_area"
    # A release that writes 0 where nobody lives also writes a median income of 0 there.
    if indicator.value:
        status[(status == "ok") & (numerator == 0)] = "empty_area"
    status[(status == "ok") & (denominator < minimum_base)] = "confidential"
    value = 100 * numerator / denominator.where(denominator > 0) if indicator.numerator else numerator
    if indicator.plausible:
        low, high = indicator.plausible
        outside = (status == "ok") & ~value.between(low, high)
        for (area, year), wrong in value[outside].items():
            _note(
                log,
                "warning",
                "implausible",
                area=area,
                year=year,
                subject=indicator.name,
                found=f"{wrong:g}, expected {low:g} to {high:g}",
                count=1,
            )
        status[outside] = "implausible"
    good = status == "ok"
    return pd.DataFrame(
        {
            "area": wide.index.get_level_values("area").astype(str),
            "year": wide.index.get_level_values("year").astype(int),
            "indicator": indicator.name,
            "value": value.where(good).to_numpy(),
            "numerator": (numerator if indicator.numerator else np.nan * numerator).where(good).to_numpy(),
            "denominator": denominator.where(good).to_numpy(),
            "status": status.to_numpy(),
            "source": wide["file"].bfill(axis=1).iloc[:, 0].to_numpy(),
            "vintage": wide["vintage"].max(axis=1).astype(int).to_numpy(),
        }
    )


def _worst(statuses: pd.DataFrame) -> pd.Series:
    """The status of a row of items: "ok" if all are, else the first reason in the order of `STATUSES`."""
    status = pd.Series("ok", index=statuses.index, dtype=object)
    for reason in reversed(STATUSES[1:5]):
        status[(statuses == reason).any(axis=1)] = reason
    return status


def _log_gaps(table: pd.DataFrame, units: Sequence[str], log: list[dict[str, object]]) -> None:
    """Count what is not there, by indicator, year and reason, and name areas that never appear."""
    table = table.loc[table["area"].isin(units)]
    gaps = table.loc[table["status"] != "ok"].groupby(["indicator", "year", "status"], sort=True).size()
    for (indicator, year, status), count in gaps.items():
        _note(log, "info", status, year=year, subject=indicator, count=int(count))
    for indicator, part in table.groupby("indicator", sort=True):
        for area in _absent(units, part["area"]):
            _note(log, "warning", "absent", area=area, subject=indicator, count=1)


def _absent(units: Iterable[str], present: pd.Series) -> list[str]:
    there = set(present)
    return [unit for unit in units if unit not in there]
