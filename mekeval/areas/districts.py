"""Districts of a programme in data for other areas: which area stands for each, and how diluted it is there.

In: the shares by which districts and areas overlap. Out: `Districts`. Never: an area that stands for a district
without a word on how much of it is the district.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ..display import Shown
from ..errors import DataError, Fault, Place, StudyError, closest
from .listing import fold
from .tables import NAMES, Listed, filled, numbers, own_name, read_listed, refuse
from .weights import ROUNDING

COLUMNS = ("district", "name_fi", "area", "share_of_district", "share_of_area")
_OPTIONAL = (*NAMES[1:], "by", "year", "source", "spread")
_BY = ("area", "population")
_OVERLAP = ("from_code", "to_code", "weight", "share_of_target")


@dataclass(frozen=True, kw_only=True, repr=False)
class Dilution(Shown):
    """How a district shows in the figures of the area that stands for it.

    Attributes
    ----------
    district, area : str
        Codes.
    share_of_district : float
        Share of the district that lies in the area, 0 to 1: of its people, or of its land where its people are known
        for it as a whole only.
    of_people : bool
        Whether `share_of_district` and `elsewhere` are shares of people that were counted, not of land.
    share_of_people : float or None
        Share of the people of the area that live in the district, 0 to 1; None where only land is known. A rate of the
        area is the mean of the rates of its parts, weighted by the people that the rate is of: an effect on a rate in
        the district alone shows in the area at this share of its size, if those people live as all do.
    share_of_land : float or None
        Share of the land of the area that is the district, 0 to 1; None where only people are known. It says nothing
        about how an effect shows.
    elsewhere : tuple of (str, float)
        Other areas that hold parts of the district, with the share of the district there, the largest first.
    others : tuple of (str, float)
        Other districts that lie in the area, with their share of its people, or of its land where `share_of_people`
        is None; the largest first.
    """

    district: str
    area: str
    share_of_district: float
    of_people: bool
    share_of_people: float | None
    share_of_land: float | None
    elsewhere: tuple[tuple[str, float], ...]
    others: tuple[tuple[str, float], ...]


@dataclass(frozen=True, kw_only=True, repr=False)
class Districts(Shown):
    """The districts of a study whose data are for other areas.

    Attributes
    ----------
    table : pandas.DataFrame
        One row for each district, area that it overlaps, and `by`: `district`, `name_fi`, `name_sv`, `name_en`,
        `area`, `share_of_district`, `share_of_area` (0 to 1) and `by`, what the shares are shares of: "area" (land)
        or "population". Do not change it.
    year : int or None
        Year of the shares of people; None where there are none.
    source : str
        Where the numbers of people come from; empty where there are none.
    spread : str
        "area" where the people of a district were shared among areas by its land, as if they lived evenly on it;
        empty where people were counted in each part.
    """

    table: pd.DataFrame
    year: int | None
    source: str
    spread: str

    @property
    def codes(self) -> tuple[str, ...]:
        """Codes of the districts, in the order of the file."""
        return tuple(dict.fromkeys(self.table["district"]))

    def name(self, code: str, language: str) -> str:
        """What a district is called in a language (fi, sv or en); its one name where it has none of its own in it."""
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
        names = rows[list(NAMES)].map(lambda one: fold(str(one)))
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
        by = {kind: self.table.loc[self.table["by"] == kind] for kind in _BY}
        own = {kind: rows.loc[rows["district"] == code] for kind, rows in by.items()}
        # People shared by land know no more of where a district lies than land does, and may be known in fewer areas.
        counted = not own["population"].empty and self.spread == ""
        lies = own["population"] if counted or own["area"].empty else own["area"]
        lies = lies.sort_values("share_of_district", ascending=False, kind="stable")
        first = lies.iloc[0]
        area = str(first["area"])
        unknown = 1 - float(lies["share_of_district"].sum())
        if unknown > float(first["share_of_district"]):
            raise StudyError(
                "The table does not say where most of a district lies.",
                found=f"{self.name(code, 'fi')}: {first['share_of_district']:g} in {area}",
                expected=f"the areas that hold the other {unknown:.2f}",
            )
        people, land = (_share(own[kind], area) for kind in ("population", "area"))
        rest = by["area" if people is None else "population"]
        rest = rest.loc[(rest["area"] == area) & (rest["district"] != code)]
        rest = rest.sort_values("share_of_area", ascending=False, kind="stable")
        return Dilution(
            district=code,
            area=area,
            share_of_district=float(first["share_of_district"]),
            of_people=counted,
            share_of_people=people,
            share_of_land=land,
            elsewhere=_pairs(lies.iloc[1:], "area", "share_of_district"),
            others=_pairs(rest, "district", "share_of_area"),
        )


def _share(rows: pd.DataFrame, area: str) -> float | None:
    """The share of an area that a district is, where it is known."""
    found = rows.loc[rows["area"] == area, "share_of_area"]
    return float(found.iloc[0]) if len(found) else None


def _pairs(rows: pd.DataFrame, name: str, share: str) -> tuple[tuple[str, float], ...]:
    return tuple((str(code), float(part)) for code, part in zip(rows[name], rows[share], strict=True))


def read_districts(path: Path) -> Districts:
    """Read how districts lie in the areas of the data.

    Parameters
    ----------
    path : Path
        A UTF-8 CSV with the columns `district` (code), `name_fi`, `area` (code), `share_of_district` and
        `share_of_area` (0 to 1), and, where wanted, `name_sv`, `name_en` and `by`: "area", shares of land, as without
        the column, or "population", shares of people. A row for each district and area that overlap; it may have a
        second row by population. In the place of `name_fi` may stand `name`, or a name in another language.
        Rows by population also have `year`, `source` (where the numbers of people come from) and `spread`: "area" where
        the people of a district were shared by its land, empty where they were counted; each the same in all of them.
        Districts outside of the programme have rows where they lie in an area that stands for one.

    Raises
    ------
    StudyError
        All faults at once, with row and column: an empty cell, a share that is none, a pair twice, two names of a
        district, shares that sum to more than 1, two areas that hold as much of a district as each other, shares of
        people without a year or a source.
    """
    faults: list[Fault] = []
    with_names = [one for one in COLUMNS if one != NAMES[0]]
    listed = read_listed(path, with_names, optional=("name", *NAMES, *_OPTIONAL), faults=faults)
    own = own_name(listed.header)
    filled(listed, ("district", own, "area"), faults)
    names = ("district", *NAMES, "area")
    table = pd.DataFrame(
        [[row.get(name, "") for name in names] for _, row in listed.rows], columns=list(names), dtype=str
    )
    table[NAMES[0]] = [row.get(own, "") for _, row in listed.rows]
    for name in ("share_of_district", "share_of_area"):
        table[name] = numbers(listed, name, lambda share: 0 <= share <= 1, "a share, 0 to 1", faults)
    lines = [line for line, _ in listed.rows]
    table["by"] = [row.get("by", "") or "area" for _, row in listed.rows]
    for line, by in zip(lines, table["by"], strict=True):
        if by not in _BY:
            place = Place(file=listed.file, row=line, column="by")
            expected = " or ".join(_BY)
            faults.append(
                Fault(what="Shares are of something else.", place=place, found=repr(by), expected=expected)
            )
    year, source, spread = _people(listed, faults)
    if not listed.rows and not faults:
        faults.append(Fault(what="The table has no districts.", where=listed.file))
    if not faults:
        faults += _contradictions(table, lines, listed.file)
    refuse(faults, StudyError)
    return Districts(table=table, year=int(year) if year else None, source=source, spread=spread)


def district_rows(
    overlap: pd.DataFrame,
    programme: Collection[str],
    *,
    names: Mapping[str, tuple[str, str]],
    people: pd.Series,
    year: int,
    source: str,
) -> pd.DataFrame:
    """The rows of a table of districts, as `read_districts` reads it, from maps and numbers of residents.

    Parameters
    ----------
    overlap : pandas.DataFrame
        What `overlaps` gives of the map of districts in the map of areas, over the whole of both maps.
    programme : collection of str
        Codes of the districts of the programme.
    names : mapping of str to (str, str)
        Finnish and Swedish name of each district by its code; the Swedish one may be empty.
    people : pandas.Series
        Residents by code of district, persons. A district that is missing here has no row by population: the shares of
        the others are then of the people who are known.
    year : int
        Of `people`.
    source : str
        Where `people` comes from.

    Returns
    -------
    pandas.DataFrame
        The columns of `read_districts` but `name_en`. By land: every district that touches an area which stands for a
        district of the programme, in every area. By population: the same districts in the areas that stand for one;
        each part of a district is taken to hold as much of its people as of its land.

    Raises
    ------
    DataError
        A district of the programme touches no area.

    Examples
    --------
    >>> overlap = pd.DataFrame(
    ...     {"from_code": ["A", "A", "B"], "to_code": ["1", "2", "1"], "weight": [0.8, 0.2, 1.0]}
    ... ).assign(share_of_target=[0.5, 0.1, 0.5])
    >>> named = {"A": ("Alku", ""), "B": ("Loppu", "")}
    >>> counted = pd.Series({"A": 1000.0, "B": 200.0})
    >>> rows = district_rows(overlap, ["A"], names=named, people=counted, year=2010, source="count")
    >>> rows.loc[rows["by"] == "population", ["district", "area", "share_of_area"]].to_dict("list")
    {'district': ['A', 'B'], 'area': ['1', '1'], 'share_of_area': [0.8, 0.2]}
    """
    own = overlap.loc[overlap["from_code"].isin(programme)].sort_values("weight", kind="stable")
    unknown = sorted(set(programme) - set(own["from_code"]))
    if unknown:
        raise DataError(
            "A district of the programme touches no area.",
            where="programme",
            found=", ".join(unknown),
            expected="codes of the map of districts",
        )
    standing = own.drop_duplicates("from_code", keep="last")["to_code"]
    touching = overlap.loc[overlap["to_code"].isin(standing), "from_code"]
    land = overlap.loc[overlap["from_code"].isin(touching)].sort_values(["from_code", "to_code"])
    part = land.loc[land["to_code"].isin(standing) & land["from_code"].isin(people.index)]
    number = part["weight"] * part["from_code"].map(people)
    counted = part.assign(share_of_target=number / number.groupby(part["to_code"]).transform("sum"))
    said = (("area", "", "", ""), ("population", str(year), source, "area"))
    rows = [
        (code, *names[code], area, weight, share, *words)
        for table, words in zip((land, counted), said, strict=True)
        for code, area, weight, share in table[list(_OVERLAP)].itertuples(index=False)
    ]
    columns = ["district", "name_fi", "name_sv", *COLUMNS[2:], "by", "year", "source", "spread"]
    return pd.DataFrame(rows, columns=columns)


def _people(listed: Listed, faults: list[Fault]) -> tuple[str, str, str]:
    """Year, source and spread of the rows by population; empty where there are none."""
    rows = [(line, row) for line, row in listed.rows if row.get("by") == "population"]
    if not rows:
        return "", "", ""
    first = {name: rows[0][1].get(name, "") for name in ("year", "source", "spread")}
    fits = {
        "year": ("a year, 1800 to 2300", r"1[89]\d\d|2[0-2]\d\d|2300"),
        "source": ("where the numbers of people come from", r".+"),
        "spread": ('"area" or nothing', r"(area)?"),
    }
    for line, row in rows:
        for name, (expected, pattern) in fits.items():
            text = row.get(name, "")
            if not re.fullmatch(pattern, text) or text != first[name]:
                faults.append(
                    Fault(
                        what="Shares of people do not say what they are, or not all the same.",
                        place=Place(file=listed.file, row=line, column=name),
                        found=repr(text),
                        expected=f"{expected}, the same in all rows by population",
                    )
                )
    return first["year"], first["source"], first["spread"]


def _contradictions(table: pd.DataFrame, lines: list[int], file: str) -> list[Fault]:
    faults = [
        Fault(
            what="A district and an area stand together twice.",
            place=Place(file=file, row=lines[at]),
            found=f"{table['district'].iloc[at]} and {table['area'].iloc[at]}",
        )
        for at in np.flatnonzero(table.duplicated(["district", "area", "by"]))
    ]
    for name in NAMES:
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
        totals = table.groupby([of, "by"], sort=False)[share].sum().rename("total").reset_index()
        faults += [
            Fault(
                what=f"The shares of a{'n area' if of == 'area' else ' district'} sum to more than 1.",
                place=Place(file=file, column=share),
                found=f"{code}, by {by}: {total:.4g}",
                expected="at most 1",
            )
            for code, by, total in totals.loc[totals["total"] > 1 + ROUNDING].itertuples(index=False)
        ]
    for (code, by), rows in table.groupby(["district", "by"], sort=False):
        most = rows.loc[rows["share_of_district"] == rows["share_of_district"].max(), "area"]
        if len(most) > 1:
            faults.append(
                Fault(
                    what="Two areas hold as much of a district as each other: neither stands for it.",
                    place=Place(file=file, column="share_of_district"),
                    found=f"{code}, by {by}: {', '.join(most)}",
                    expected="one area that holds most of it",
                    fix="Give the shares with more digits.",
                )
            )
    return faults
