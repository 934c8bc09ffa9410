"""Weights: which share of each area goes to which other area; read, checked, and made whole.

In: a table of shares. Out: weights that sum to 1, or the faults that keep them from it. Never: a shortfall unseen.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
import pandas as pd

from ..errors import DataError, Fault, Place, StudyError
from .tables import filled, numbers, read_listed, refuse

#: Weights that people round to two digits sum to 1 within this.
ROUNDING = 0.011


def weight_totals(weights: pd.DataFrame) -> pd.DataFrame:
    """What the weights of each area sum to, and how much of it goes nowhere.

    Returns
    -------
    pandas.DataFrame
        `from_code`, `year` where the weights have one, `total` and `shortfall` (1 less the total, at least 0), the
        largest shortfall first.
    """
    refuse_columns(weights, ("from_code", "to_code", "weight"), "weights")
    key = weight_key(weights)
    total = weights.groupby(key, sort=True)["weight"].sum().rename("total").reset_index()
    total["shortfall"] = np.maximum(1 - total["total"], 0.0)
    return total.sort_values(["shortfall", *key], ascending=[False, *[True] * len(key)], ignore_index=True)


def read_weights(path: str | Path) -> pd.DataFrame:
    """Read weights from a CSV with the columns `from_code`, `to_code`, `weight` and, where wanted, `year`,
    `share_of_target` and `by` ("area" or "population").

    Raises
    ------
    StudyError
        All faults at once, with row and column: an empty code, a pair twice, a number that is none; the weights of
        an area sum to more than 1. A shortfall is for `crosswalk` to judge.
    """
    faults: list[Fault] = []
    optional = ("year", "share_of_target", "by")
    listed = read_listed(Path(path), ("from_code", "to_code", "weight"), optional=optional, faults=faults)
    filled(listed, ("from_code", "to_code"), faults)
    columns: dict[str, list[str] | list[float]] = {
        name: [row[name] for _, row in listed.rows] for name in ("from_code", "to_code")
    }
    shares = [name for name in ("weight", "share_of_target") if name in listed.header]
    for name in shares:
        columns[name] = numbers(listed, name, lambda share: 0 <= share <= 1, "a share, 0 to 1", faults)
    if "year" in listed.header:
        expected = "a year, 1800 to 2300"
        columns["year"] = numbers(
            listed, "year", lambda year: 1800 <= year <= 2300 and year % 1 == 0, expected, faults
        )
    if "by" in listed.header:
        columns["by"] = [row["by"] for _, row in listed.rows]
        faults += [
            Fault(
                what="Weights are shares of something else.",
                place=Place(file=listed.file, row=line, column="by"),
                found=repr(row["by"]),
                expected="area or population",
            )
            for line, row in listed.rows
            if row["by"] not in ("area", "population")
        ]
    table = pd.DataFrame(columns)
    if table.empty and not faults:
        faults.append(Fault(what="The table has no weights.", where=listed.file))
    lines = [line for line, _ in listed.rows]
    if not faults:
        if "year" in table:
            table["year"] = table["year"].astype(int)
        key = [*weight_key(table), "to_code"]
        faults += [
            Fault(
                what="A pair of areas stands twice.",
                place=Place(file=listed.file, row=lines[at]),
                found=" to ".join(map(str, table.loc[at, ["from_code", "to_code"]])),
            )
            for at in np.flatnonzero(table.duplicated(key))
        ]
        faults += _too_much(table, listed.file)
    refuse(faults, StudyError)
    return table


def complete_weights(weights: pd.DataFrame, remainder: str | None) -> pd.DataFrame:
    """The weights, checked, with sums of exactly 1."""
    refuse_columns(weights, ("from_code", "to_code", "weight"), "weights")
    wanted = [
        *weight_key(weights),
        "to_code",
        "weight",
        *(name for name in ("share_of_target", "begins") if name in weights),
    ]
    weights = weights.loc[:, wanted].reset_index(drop=True)
    faults = []
    for column in [column for column in wanted if column.endswith("_code")]:
        empty = weights[column].isna() | (weights[column].astype(str).str.strip() == "")
        faults += [
            Fault(what="A weight has no area.", place=Place(file="weights", row=int(row) + 1, column=column))
            for row in np.flatnonzero(empty)[:20]
        ]
    share = pd.to_numeric(weights["weight"], errors="coerce").astype(float)
    faults += [
        Fault(
            what="A weight is no share.",
            place=Place(file="weights", row=int(row) + 1, column="weight"),
            found=repr(weights["weight"].iloc[row]),
            expected="a number, 0 to 1",
        )
        for row in np.flatnonzero(~share.between(0, 1))[:20]
    ]
    faults += [
        Fault(
            what="A pair of areas stands twice.",
            place=Place(file="weights", row=int(row) + 1),
            found=" to ".join(map(str, weights.loc[row, ["from_code", "to_code"]])),
        )
        for row in np.flatnonzero(weights.duplicated([*weight_key(weights), "to_code"]))[:20]
    ]
    refuse(faults, DataError)
    if "begins" in weights:
        weights["begins"] = weights["begins"].eq(True).fillna(False).astype(bool)
    weights = weights.assign(
        weight=share, from_code=weights["from_code"].astype(str), to_code=weights["to_code"].astype(str)
    )
    faults += _too_much(weights, "weights")
    total = weights.groupby(weight_key(weights), sort=True)["weight"].sum()
    short = total[total < 1 - ROUNDING]
    if remainder is None:
        faults += [
            Fault(
                what="A part of an area goes nowhere: its weights sum to less than 1.",
                where=f"weights, {_named(key)}",
                found=f"{value:.4g}",
                expected="1",
                fix='Add the rest, or name where it goes: remainder="elsewhere".',
            )
            for key, value in short.head(20).items()
        ]
    refuse(faults, DataError)
    rounded = weights.merge(total.rename("total"), left_on=weight_key(weights), right_index=True, how="left")
    near = rounded["total"] >= 1 - ROUNDING
    weights = weights.assign(weight=np.where(near, rounded["weight"] / rounded["total"], rounded["weight"]))
    if remainder is not None and len(short):
        rest = short.rename("weight").reset_index()
        rest = rest.assign(weight=1 - rest["weight"], to_code=remainder)
        if "begins" in weights:
            rest["begins"] = rest[weight_key(weights)].merge(
                weights.groupby(weight_key(weights), as_index=False)["begins"].max(), how="left"
            )["begins"]
        weights = pd.concat([weights, rest], ignore_index=True)
        weights = weights.groupby([*weight_key(weights), "to_code"], sort=True, as_index=False).agg(
            {
                name: "sum" if name == "weight" else "max"
                for name in wanted
                if name in ("weight", "share_of_target", "begins")
            }
        )
    return weights.loc[weights["weight"] > 0]


def weight_key(weights: pd.DataFrame) -> list[str]:
    return ["from_code", "year"] if "year" in weights else ["from_code"]


def refuse_columns(frame: pd.DataFrame, columns: Collection[str], where: str) -> None:
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        raise DataError.of(
            Fault(
                what="A column is not there.",
                where=where,
                found=", ".join(map(str, frame.columns)),
                expected=repr(column),
            )
            for column in missing
        )


def _too_much(weights: pd.DataFrame, where: str) -> list[Fault]:
    totals = weights.groupby(weight_key(weights), sort=True)["weight"].sum()
    return [
        Fault(
            what="The weights of an area sum to more than 1.",
            where=f"{where}, {_named(key)}",
            found=f"{total:.4g}",
            expected="1",
        )
        for key, total in totals[totals > 1 + ROUNDING].head(20).items()
    ]


def _named(key: object) -> str:
    return ", ".join(map(str, key)) if isinstance(key, tuple) else str(key)
