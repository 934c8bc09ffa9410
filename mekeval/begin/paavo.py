"""What the files of Paavo say of one municipality: its postal areas, their names, sizes and places.

In: the folder of raw data and a municipality. Out: `Municipality`. Never: an area that changed hands between releases
and is not named, or a list made of a file that is not the one known.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ..areas import fold
from ..errors import RunError, closest
from ..sources import read_source
from ..study import SourceSpec
from ..study.files import checksum
from .swedish import SWEDISH_NAMES

#: The releases whose labels name the municipality, oldest first, by the column of all inhabitants.
_NAMED = "statfi-paavo/pxweb-themes-2012-2017/Population_structure_{year}.csv"
_NAMED_YEARS = (2013, 2014, 2015, 2016, 2017)
#: The release that has Swedish names, the code of the municipality and the place of each area.
_CODED = "statfi-paavo/vintage-2019/pno_tilasto_2019.dbf"
_LABEL = re.compile(r"^(?P<code>\d{5})\s+(?P<name>.+?)\s*(?:\(\s*(?P<city>[^()]*?)\s*\)?)?$")


@dataclass(frozen=True, kw_only=True)
class Municipality:
    """The postal areas of a municipality.

    Attributes
    ----------
    code : str
        Three digits, such as "853".
    name, name_sv : str
        In Finnish and in Swedish.
    table : pandas.DataFrame
        One row for each area of the last release that names municipalities, in the order of the codes: `code`,
        `name_fi`, `name_sv`, `population`, `x`, `y` (metres, ETRS-TM35FIN; missing where the area is not in the release
        that has them).
    moved : tuple of (str, str, str)
        Areas that some releases give to another municipality, or that the last one no longer has: code, name, and what
        was said in which years.
    """

    code: str
    name: str
    name_sv: str
    table: pd.DataFrame
    moved: tuple[tuple[str, str, str], ...]


def municipality(raw: Path, wanted: str, known: Mapping[str, str]) -> Municipality:
    """The postal areas of a municipality.

    Parameters
    ----------
    raw : Path
        The folder that holds `statfi-paavo`.
    wanted : str
        Its Finnish or Swedish name, or its code of three digits.
    known : mapping of str to str
        The sha256 of each file of Paavo that may be read.

    Raises
    ------
    RunError
        A file is missing or is not the one known, or there is no such municipality: with the closest names.
    """
    for file in (_NAMED.format(year=_NAMED_YEARS[-1]), _CODED):
        state = state_of(raw / file, known[file])
        if state:
            raise RunError(
                f"A file of Paavo {state}.",
                where="--raw",
                found=str(raw),
                expected=f"a folder with {file}, sha256 {known[file]}",
            )
    said = _labels(raw, known)
    coded = _coded(raw)
    last = {code: releases[-1] for code, releases in said.items() if releases[-1][0] == _NAMED_YEARS[-1]}
    code_of = _codes({code: city for code, (_, _, city) in last.items()}, coded["municipality"])
    name = _resolved(wanted, code_of)
    own = [code for code, (_, _, city) in sorted(last.items()) if city == name]
    moved = tuple(
        (code, releases[-1][1], _spans(releases))
        for code, releases in sorted(said.items())
        if (len({city for _, _, city in releases}) > 1 or code not in last)
        and any(city == name for _, _, city in releases)
    )
    table = pd.DataFrame({"code": own, "name_fi": [last[code][1] for code in own]})
    return Municipality(
        code=code_of[name],
        name=name,
        name_sv=SWEDISH_NAMES.get(name, name),
        table=table.join(coded.drop(columns="municipality"), on="code").reset_index(drop=True),
        moved=moved,
    )


def state_of(path: Path, sha256: str) -> str:
    """What is wrong with a raw file, or nothing."""
    try:
        return "" if checksum(path) == sha256 else "is not the one known"
    except IsADirectoryError:
        return "is no file"
    except OSError:
        return "is missing or cannot be read"


def _labels(raw: Path, known: Mapping[str, str]) -> dict[str, list[tuple[int, str, str]]]:
    """For each area the year, its name and its municipality in every release that names them, oldest first."""
    said: dict[str, list[tuple[int, str, str]]] = {}
    for year in _NAMED_YEARS:
        file = _NAMED.format(year=year)
        if state_of(raw / file, known[file]):
            continue
        source = SourceSpec(
            file=file, reader="pxweb-csv", vintage=year + 2, items=("people",), sha256=known[file]
        )
        cells = read_source(raw / file, source, {"people": ("Inhabitants, total (HE)",)}).cells
        for label in cells["area_label"].cat.categories:
            found = _LABEL.match(label)
            if found and found["city"]:
                said.setdefault(found["code"], []).append((year, found["name"], found["city"].strip()))
    return said


def _coded(raw: Path) -> pd.DataFrame:
    """By postal code: Swedish name, population, place and municipality, of the release that has them."""
    labels = {"people": ("he_vakiy",), "municipality": ("kunta",), "x": ("euref_x",), "y": ("euref_y",)}

    def table(column: str) -> pd.DataFrame:
        source = SourceSpec(
            file=_CODED,
            reader="paavo-dbf",
            vintage=2019,
            items=tuple(labels),
            area_column=column,
            year=2017,
            sha256="0" * 64,
        )
        return read_source(raw / _CODED, source, labels).cells

    cells = table("posti_alue")
    swedish = table("namn").drop_duplicates("row").set_index("row")["area_label"].astype(str)
    wide = cells.pivot(index="row", columns="item", values="value")
    codes = cells.drop_duplicates("row").set_index("row")["area_label"].astype(str)
    return pd.DataFrame(
        {
            "name_sv": swedish.reindex(wide.index).to_numpy(),
            "population": wide["people"].round().astype("Int64").to_numpy(),
            "x": wide["x"].to_numpy(),
            "y": wide["y"].to_numpy(),
            "municipality": wide["municipality"].to_numpy(),
        },
        index=codes.reindex(wide.index).to_numpy(),
    )


def _codes(city_of: Mapping[str, str], code_of: pd.Series) -> dict[str, str]:
    """The code of each municipality by its name: the one that most of its areas have."""
    votes: dict[str, Counter[str]] = {}
    for area, city in city_of.items():
        if area in code_of.index and not np.isnan(code_of[area]):
            votes.setdefault(city, Counter())[f"{int(code_of[area]):03d}"] += 1
    return {city: counted.most_common(1)[0][0] for city, counted in votes.items()}


def _resolved(wanted: str, code_of: Mapping[str, str]) -> str:
    by_code = {code: name for name, code in code_of.items()}
    by_name = {fold(SWEDISH_NAMES[name]): name for name in code_of if name in SWEDISH_NAMES}
    by_name |= {fold(name): name for name in code_of}
    name = by_code.get(wanted.strip().zfill(3)) or by_name.get(fold(wanted))
    if name is None:
        raise RunError(
            "There is no such municipality in the data.",
            where="--municipality",
            found=repr(wanted),
            expected=closest(wanted, [*by_name.values(), *SWEDISH_NAMES.values(), *by_code]),
        )
    return name


def _spans(releases: list[tuple[int, str, str]]) -> str:
    """Which municipality an area was in, with the years of each stretch: "Vantaa 2013; Sipoo 2014-2017"."""
    stretches: list[tuple[str, int, int]] = []
    for year, _, city in releases:
        if stretches and stretches[-1][0] == city:
            stretches[-1] = (city, stretches[-1][1], year)
        else:
            stretches.append((city, year, year))
    parts = [
        f"{city} {first}" if first == last else f"{city} {first}-{last}" for city, first, last in stretches
    ]
    return "; ".join(parts if releases[-1][0] == _NAMED_YEARS[-1] else [*parts, "then no area of its own"])
