"""Districts of a programme in data for other areas: which area stands for each, and how diluted it is there.

In: the shares by which districts and areas overlap. Out: `Districts`. Never: an area that stands for a district
without a word on how much of it is the district.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ..errors import Fault, Place, StudyError, closest
from .listing import fold
from .tables import filled, numbers, read_listed, refuse
from .weights import ROUNDING

COLUMNS = ("district", "name_fi", "area", "share_of_district", "share_of_area")
_OPTIONAL = ("name_sv", "name_en", "by")
_BY = ("area", "population")


@dataclass(frozen=True, kw_only=True)
class Dilution:
    """How a district shows in the figures of the area that stands for it.

    Attributes
    ----------
    district, area : str
        Codes.
    share_of_district : float
        Share of the district that lies in the area, 0 to 1.
    share_of_area : float
        Share of the area that is the district, 0 to 1; an effect in the district alone shows in figures of the area
        at about this share of its size.
    elsewhere : tuple of (str, float)
        Other areas that hold parts of the district, with the share of the district there, the largest first.
    others : tuple of (str, float)
        Other districts that lie in the area, with their share of it, the largest first.
    """

    district: str
    area: str
    share_of_district: float
    share_of_area: float
    elsewhere: tuple[tuple[str, float], ...]
    others: tuple[tuple[str, float], ...]


@dataclass(frozen=True, kw_only=True)
class Districts:
    """The districts of a study whose data are for other areas.

    Attributes
    ----------
    table : pandas.DataFrame
        One row for each district and area that overlap: `district`, `name_fi`, `name_sv`, `name_en`, `area`,
        `share_of_district`, `share_of_area` (0 to 1). Do not change it.
    by : str
        What the shares are shares of: "area" or "population".
    """

    table: pd.DataFrame
    by: str

    @property
    def codes(self) -> tuple[str, ...]:
        """Codes of the districts, in the order of the file."""
        return tuple(dict.fromkeys(self.table["district"]))

    def name(self, code: str, language: str) -> str:
        """What a district is called in a language (fi, sv or en); the Finnish name where it has no other."""
        row = self.table.loc[self.table["district"] == code].iloc[0]
        return str(row[f"name_{language}"] or row["name_fi"])

    def find(self, name: str) -> str | None:
        """The code of a district from its code or its name in any language; None where there is none.

        Raises
        ------
        StudyError
            Two districts are called so.
        """
        text = name.strip()
        if text in self.codes:
            return text
        rows = self.table.drop_duplicates("district")
        names = rows[["name_fi", "name_sv", "name_en"]].map(lambda one: fold(str(one)))
        found = rows.loc[(names == fold(text)).any(axis=1) & bool(fold(text)), "district"]
        if len(found) > 1:
            raise StudyError(
                "Two districts have this name.",
                found=repr(name),
                expected="one of the codes " + ", ".join(found),
                fix="Use the code instead of the name.",
            )
        return str(found.iloc[0]) if len(found) else None

    def dilution(self, code: str) -> Dilution:
        """The area that stands for a district, which is the one that holds most of it, and what that means.

        Raises
        ------
        StudyError
            There is no such district; the table does not say where most of it lies.
        """
        if code not in self.codes:
            raise StudyError(
                "There is no such district.", found=repr(code), expected=closest(code, self.codes)
            )
        own = self.table.loc[self.table["district"] == code]
        own = own.sort_values("share_of_district", ascending=False, kind="stable")
        first = own.iloc[0]
        unknown = 1 - float(own["share_of_district"].sum())
        if unknown > float(first["share_of_district"]):
            raise StudyError(
                "The table does not say where most of a district lies.",
                found=f"{self.name(code, 'fi')}: {first['share_of_district']:g} in {first['area']}",
                expected=f"the areas that hold the other {unknown:.2f}",
            )
        rest = self.table.loc[(self.table["area"] == first["area"]) & (self.table["district"] != code)]
        rest = rest.sort_values("share_of_area", ascending=False, kind="stable")
        return Dilution(
            district=code,
            area=str(first["area"]),
            share_of_district=float(first["share_of_district"]),
            share_of_area=float(first["share_of_area"]),
            elsewhere=_pairs(own.iloc[1:], "area", "share_of_district"),
            others=_pairs(rest, "district", "share_of_area"),
        )


def _pairs(rows: pd.DataFrame, name: str, share: str) -> tuple[tuple[str, float], ...]:
    return tuple((str(code), float(part)) for code, part in zip(rows[name], rows[share], strict=True))


def read_districts(path: Path) -> Districts:
    """Read how districts lie in the areas of the data.

    Parameters
    ----------
    path : Path
        A UTF-8 CSV with the columns `district` (code), `name_fi`, `area` (code), `share_of_district` and
        `share_of_area` (0 to 1), and, where wanted, `name_sv`, `name_en` and `by` ("area" or "population", the same
        in all rows; "area" without it). A row for each district and area that overlap; districts outside of the
        programme have rows where they lie in an area that stands for one.

    Raises
    ------
    StudyError
        All faults at once, with row and column: an empty cell, a share that is none, a pair twice, two names of a
        district, shares that sum to more than 1, two areas that hold as much of a district as each other.
    """
    faults: list[Fault] = []
    listed = read_listed(path, COLUMNS, optional=_OPTIONAL, faults=faults)
    filled(listed, ("district", "name_fi", "area"), faults)
    names = ("district", "name_fi", "name_sv", "name_en", "area")
    table = pd.DataFrame(
        [[row.get(name, "") for name in names] for _, row in listed.rows], columns=list(names), dtype=str
    )
    for name in ("share_of_district", "share_of_area"):
        table[name] = numbers(listed, name, lambda share: 0 <= share <= 1, "a share, 0 to 1", faults)
    lines = [line for line, _ in listed.rows]
    said = [row.get("by", "") or "area" for _, row in listed.rows]
    for line, by in zip(lines, said, strict=True):
        if by not in _BY or by != said[0]:
            expected = " or ".join(_BY) + ", the same in all rows"
            place = Place(file=listed.file, row=line, column="by")
            faults.append(
                Fault(what="Shares are of something else.", place=place, found=repr(by), expected=expected)
            )
    if not listed.rows and not faults:
        faults.append(Fault(what="The table has no districts.", where=listed.file))
    if not faults:
        faults += _contradictions(table, lines, listed.file)
    refuse(faults, StudyError)
    return Districts(table=table, by=said[0])


def _contradictions(table: pd.DataFrame, lines: list[int], file: str) -> list[Fault]:
    faults = [
        Fault(
            what="A district and an area stand together twice.",
            place=Place(file=file, row=lines[at]),
            found=f"{table['district'].iloc[at]} and {table['area'].iloc[at]}",
        )
        for at in np.flatnonzero(table.duplicated(["district", "area"]))
    ]
    for name in ("name_fi", "name_sv", "name_en"):
        first = table.groupby("district")[name].transform("first")
        faults += [
            Fault(
                what="A district has two names.",
                place=Place(file=file, row=lines[at], column=name),
                found=repr(table[name].iloc[at]),
                expected=repr(first.iloc[at]),
            )
            for at in np.flatnonzero(table[name] != first)
        ]
    for of, share in (("district", "share_of_district"), ("area", "share_of_area")):
        totals = table.groupby(of, sort=False)[share].sum()
        faults += [
            Fault(
                what=f"The shares of a{'n area' if of == 'area' else ' district'} sum to more than 1.",
                place=Place(file=file, column=share),
                found=f"{code}: {total:.4g}",
                expected="at most 1",
            )
            for code, total in totals[totals > 1 + ROUNDING].items()
        ]
    for code, rows in table.groupby("district", sort=False):
        most = rows.loc[rows["share_of_district"] == rows["share_of_district"].max(), "area"]
        if len(most) > 1:
            faults.append(
                Fault(
                    what="Two areas hold as much of a district as each other: neither stands for it.",
                    place=Place(file=file, column="share_of_district"),
                    found=f"{code}: {', '.join(most)}",
                    expected="one area that holds most of it",
                    fix="Give the shares with more digits.",
                )
            )
    return faults
