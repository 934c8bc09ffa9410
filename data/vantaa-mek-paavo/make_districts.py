"""Compute districts.csv: how the districts of Vantaa lie in the postal areas of Paavo, by land and by people.

    python data/vantaa-mek-paavo/make_districts.py RAW

RAW is the folder that `study.toml` takes its raw files from; boundaries and residents lie below it. Needs the extra
`geo`. Rows by area: every district that touches an area which stands for a district of the programme, in every postal
area, from one hundredth of either on; borders drawn twice differ by less. Rows by population: the same districts in
the areas that stand for one. The residents of a district are known as a whole; each part of it is taken to hold as
much of them as of its land.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import pandas as pd

from mekeval.areas import district_rows, overlaps, read_boundaries
from mekeval.sources import read_counts
from mekeval.study.schema import SourceSpec

DISTRICTS = "aluesarjat/boundaries-kml/PKS_tilastoalue.kml"
POSTAL_AREAS = "statfi-paavo/vintage-2026/metro_neighborhoods.geojson"
RESIDENTS = "aluesarjat/px/C02S_VAN_Vakiluku1971.px"
YEAR = 2010  # on 1 January: the last year of the file
SOURCE = "Aluesarjat, C02S_VAN_Vakiluku1971"
PROGRAMME = ("09274", "09282", "09291", "09294", "09217", "09215")
SWEDISH = Path(__file__).parents[1] / "vantaa-mek" / "areas.csv"
JAKOMAKI = {"091506": "Jakobacka"}  # of Helsinki, and not in that list
LEAST = 0.01


def main(raw: Path) -> None:
    """Write districts.csv beside this file."""
    # Four polygons of the file cross themselves; none of them is a district of the programme.
    districts = read_boundaries(raw / DISTRICTS, code=("KUNTA", "TILA"), name="Nimi", repair=True)
    areas = read_boundaries(raw / POSTAL_AREAS, code="postinumeroalue")
    swedish = swedish_names()
    rows = district_rows(
        overlaps(districts, areas, least=LEAST),
        PROGRAMME,
        names={
            code: (name, swedish.get(code, ""))
            for code, name in zip(districts.codes, districts.names, strict=True)
        },
        people=residents(raw / RESIDENTS),
        year=YEAR,
        source=SOURCE,
    )
    path = Path(__file__).parent / "districts.csv"
    rows.to_csv(path, index=False, float_format="%.3f", lineterminator="\n")


def swedish_names() -> dict[str, str]:
    """The Swedish names of the districts that have one other than the Finnish."""
    with SWEDISH.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    return {row["code"]: row["name_sv"] for row in rows if row["name_sv"] != row["name_fi"]} | JAKOMAKI


def residents(path: Path) -> pd.Series:
    """Residents by code of district; hidden numbers of very small districts are left out."""
    spec = SourceSpec(
        file=RESIDENTS,
        reader="px",
        vintage=YEAR,
        sha256="",
        items=("residents",),
        area_column="Alue",
        item_column="Ikäryhmä",
        year_column="Vuosi",
        area_by="code",
    )
    return read_counts(path, spec, "Väestö yhteensä", year=YEAR)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
