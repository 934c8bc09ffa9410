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

from mekeval.areas import overlaps, read_boundaries
from mekeval.sources import read_source
from mekeval.study.schema import SourceSpec

DISTRICTS = "aluesarjat/boundaries-kml/PKS_tilastoalue.kml"
POSTAL_AREAS = "statfi-paavo/vintage-2026/metro_neighborhoods.geojson"
RESIDENTS = "aluesarjat/px/C02S_VAN_Vakiluku1971.px"
YEAR = 2010  # on 1 January: the last year of the file
SOURCE = "Aluesarjat, C02S_VAN_Vakiluku1971"
PROGRAMME = ("09274", "09282", "09291", "09294", "09217", "09215")
SWEDISH = {"09291": "Västerkulla", "09294": "Håkansböle", "09215": "Myrbacka", "09217": "Mårtensdal"}
LEAST = 0.01
HEAD = (
    "district",
    "name_fi",
    "name_sv",
    "area",
    "share_of_district",
    "share_of_area",
    "by",
    "year",
    "source",
    "spread",
)


def main(raw: Path) -> None:
    """Write districts.csv beside this file."""
    # Four polygons of the file cross themselves; none of them is a district of the programme.
    districts = read_boundaries(raw / DISTRICTS, code=("KUNTA", "TILA"), name="Nimi", repair=True)
    areas = read_boundaries(raw / POSTAL_AREAS, code="postinumeroalue")
    table = overlaps(districts, areas, least=LEAST)
    own = table.loc[table["from_code"].isin(PROGRAMME)].sort_values("weight")
    standing = own.drop_duplicates("from_code", keep="last")["to_code"]
    touching = table.loc[table["to_code"].isin(standing), "from_code"]
    rows = table.loc[table["from_code"].isin(touching)].sort_values(["from_code", "to_code"])
    names = dict(zip(districts.codes, districts.names, strict=True))
    people = by_people(rows.loc[rows["to_code"].isin(standing)], residents(raw / RESIDENTS))
    with (Path(__file__).parent / "districts.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow([*HEAD])
        for table, said in ((rows, ("area", "", "", "")), (people, ("population", YEAR, SOURCE, "area"))):
            for row in table.itertuples(index=False):
                code = row.from_code
                shares = (f"{row.weight:.3f}", f"{row.share_of_target:.3f}")
                writer.writerow([code, names[code], SWEDISH.get(code, ""), row.to_code, *shares, *said])


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
    cells = read_source(path, spec, {"residents": ["Väestö yhteensä"]}).cells
    cells = cells.loc[(cells["item"] == "residents") & (cells["year"] == YEAR) & (cells["status"] == "ok")]
    return pd.Series(cells["value"].to_numpy(), index=cells["area_label"].astype(str))


def by_people(rows: pd.DataFrame, number: pd.Series) -> pd.DataFrame:
    """The same rows with shares of the people of each postal area; districts without a number are left out."""
    rows = rows.loc[rows["from_code"].isin(number.index)]
    part = rows["weight"] * rows["from_code"].map(number)
    return rows.assign(share_of_target=part / part.groupby(rows["to_code"]).transform("sum"))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
