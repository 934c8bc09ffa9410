"""Compute districts.csv: how the districts of Helsinki lie in the postal areas of Paavo, by land and by people.

    python data/helsinki-mukana-paavo/make_districts.py RAW

RAW is the folder that `study.toml` takes its raw files from; boundaries and residents lie below it. Needs the extra
`geo`. What the rows are: `mekeval.areas.district_rows`.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import shapely

from mekeval.areas import Boundaries, district_rows, overlaps, read_boundaries
from mekeval.sources import read_counts
from mekeval.study.schema import SourceSpec

DISTRICTS = "aluesarjat/boundaries-kml/PKS_pienalue.kml"
POSTAL_AREAS = "statfi-paavo/vintage-2026/metro_neighborhoods.geojson"
RESIDENTS = {"091": "A02S_HKI_Vakiluku1962", "092": "C02S_VAN_Vakiluku1971"}
YEAR = 2010  # on 1 January: the last year of both files
LEAST = 0.01
MALMI = "091381-382"  # Ylä-Malmi and Ala-Malmi: the programme says Malmi
PARTS = {"091381": MALMI, "091382": MALMI}
PROGRAMME = ("091473", "091471", "091544", MALMI, "091331", "091333")
SPELLED = {"Malmin Lentokenttä": "Malmin lentokenttä", "Nordsjön Kartano": "Nordsjön kartano"}
SWEDISH = {
    "Aurinkolahti": "Solvik",
    "Hakuninmaa": "Håkansåker",
    "Kallahti": "Kallvik",
    "Kannelmäki": "Gamlas",
    "Keski-Vuosaari": "Mellersta Nordsjö",
    "Kivikko": "Stensböle",
    "Kontula": "Gårdsbacka",
    "Kuninkaantammi": "Kungseken",
    "Kurkimäki": "Tranbacka",
    "Lassila": "Lassas",
    "Länsimäki": "Västerkulla",
    "Malmi": "Malm",
    "Malmin lentokenttä": "Malms flygfält",
    "Malminkartano": "Malmgård",
    "Maununneva": "Magnuskärr",
    "Mellunmäki": "Mellungsbacka",
    "Meri-Rastila": "Havsrastböle",
    "Mustavuori": "Svarta backen",
    "Myyrmäki": "Myrbacka",
    "Niinisaari": "Bastö",
    "Nordsjön kartano": "Nordsjö gård",
    "Rastila": "Rastböle",
    "Tapanila": "Mosabacka",
    "Tapaninvainio": "Staffansslätten",
    "Tattariharju": "Tattaråsen",
    "Vartiosaari": "Vårdö",
    "Vesala": "Ärvings",
}


def main(raw: Path) -> None:
    """Write districts.csv beside this file."""
    areas = read_boundaries(raw / POSTAL_AREAS, code="postinumeroalue")
    districts = map_of_districts(raw / DISTRICTS, shapely.union_all(areas.shapes))
    rows = district_rows(
        overlaps(districts, areas, least=LEAST),
        PROGRAMME,
        names={
            code: (name, SWEDISH.get(name, ""))
            for code, name in zip(districts.codes, districts.names, strict=True)
        },
        people=pd.concat([residents(raw, city) for city in RESIDENTS]).rename(PARTS).groupby(level=0).sum(),
        year=YEAR,
        source="Aluesarjat, " + ", ".join(RESIDENTS.values()),
    )
    path = Path(__file__).parent / "districts.csv"
    rows.to_csv(path, index=False, float_format="%.3f", lineterminator="\n")


def map_of_districts(path: Path, land: shapely.Geometry) -> Boundaries:
    """The map with the codes that the tables of residents have, the parts of Malmi as one, without open water.

    Districts reach far out into the sea, postal areas do not: half of Meri-Rastila is water, where nobody lives.
    """
    found = read_boundaries(path, code=("KUNTA", "TILA", "PIEN"), name="Nimi", repair=True)
    # Helsinki: "091", a group of districts (three digits), the district.
    codes = [code[:3] + code[6:].lstrip("0") if code.startswith("091") else code for code in found.codes]
    names = {code: SPELLED.get(name, name) for code, name in zip(codes, found.names, strict=True)}
    shapes = dict(zip(codes, shapely.intersection(found.shapes, land), strict=True))
    names[MALMI] = "Malmi"
    shapes[MALMI] = shapely.union_all([shapes.pop(part) for part in PARTS])
    kept = [code for code, shape in shapes.items() if shape.area > 0]
    return replace(
        found,
        codes=tuple(kept),
        names=tuple(names[code] for code in kept),
        shapes=np.array([shapes[code] for code in kept], dtype=object),
    )


def residents(raw: Path, city: str) -> pd.Series:
    """Residents of a city by code of district; hidden numbers of very small districts are left out."""
    file = f"aluesarjat/px/{RESIDENTS[city]}.px"
    spec = SourceSpec(
        file=file,
        reader="px",
        vintage=YEAR,
        sha256="",
        items=("residents",),
        area_column="Alue",
        item_column="Ikäryhmä",
        year_column="Vuosi",
        area_by="code",
    )
    return read_counts(raw / file, spec, "Väestö yhteensä", year=YEAR)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
