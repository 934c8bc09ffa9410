"""What the files of Paavo say of one municipality: its postal areas, their names, sizes and places.

In: the folder of raw data and a municipality. Out: `Municipality`. Never: an area that changed hands between releases
and is not named.
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
    name : str
        In Finnish.
    table : pandas.DataFrame
        One row for each area, in the order of the codes: `code`, `name_fi`, `name_sv`, `population`, `x`, `y` (metres,
        ETRS-TM35FIN; missing where the area is not in the release that has them).
    moved : tuple of (str, str, str)
        Areas that some releases give to another municipality: code, name, and what they say.
    """

    code: str
    name: str
    table: pd.DataFrame
    moved: tuple[tuple[str, str, str], ...]


def municipality(raw: Path, wanted: str) -> Municipality:
    """The postal areas of a municipality.

    Parameters
    ----------
    raw : Path
        The folder that holds `statfi-paavo`.
    wanted : str
        Its Finnish name, or its code of three digits.

    Raises
    ------
    RunError
        A file is missing, or there is no such municipality: with the closest names.
    """
    for file in (_NAMED.format(year=_NAMED_YEARS[-1]), _CODED):
        if not (raw / file).is_file():
            raise RunError(
                "A file of Paavo is missing.",
                where="--raw",
                found=str(raw),
                expected=f"a folder with {file}",
            )
    said = _labels(raw)
    coded = _coded(raw)
    latest = {code: list(cities)[-1] for code, cities in said.items()}
    code_of = _codes({code: latest[code][1] for code in latest}, coded["municipality"])
    name = _resolved(wanted, code_of)
    own = [code for code, (_, city) in sorted(latest.items()) if city == name]
    moved = tuple(
        (code, latest[code][0], "; ".join(f"{city} ({years})" for city, years in _spans(releases)))
        for code, releases in sorted(said.items())
        if len({city for _, city in releases}) > 1 and any(city == name for _, city in releases)
    )
    table = pd.DataFrame({"code": own, "name_fi": [latest[code][0] for code in own]})
    return Municipality(
        code=code_of[name],
        name=name,
        table=table.join(coded.drop(columns="municipality"), on="code").reset_index(drop=True),
        moved=moved,
    )


def _labels(raw: Path) -> dict[str, list[tuple[str, str]]]:
    """For each area its name and municipality in every release that names them, oldest first."""
    said: dict[str, list[tuple[str, str]]] = {}
    for year in _NAMED_YEARS:
        file = _NAMED.format(year=year)
        if not (raw / file).is_file():
            continue
        source = SourceSpec(
            file=file, reader="pxweb-csv", vintage=year + 2, items=("people",), sha256="0" * 64
        )
        cells = read_source(raw / file, source, {"people": ("Inhabitants, total (HE)",)}).cells
        for label in cells["area_label"].cat.categories:
            found = _LABEL.match(label)
            if found and found["city"]:
                said.setdefault(found["code"], []).append((found["name"], found["city"].strip()))
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
    by_name = {fold(name): name for name in code_of}
    name = by_code.get(wanted.strip().zfill(3)) or by_name.get(fold(wanted))
    if name is None:
        raise RunError(
            "There is no such municipality in the data.",
            where="--municipality",
            found=repr(wanted),
            expected=closest(wanted, [*by_name.values(), *by_code]),
        )
    return name


def _spans(releases: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Which municipality an area was in, with in how many releases."""
    counted = Counter(city for _, city in releases)
    return [(city, f"{n} of {len(releases)} releases") for city, n in counted.items()]
