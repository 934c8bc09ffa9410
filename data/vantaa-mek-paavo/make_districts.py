"""Compute districts.csv: how the districts of Vantaa lie in the postal areas of Paavo, by area.

    python data/vantaa-mek-paavo/make_districts.py RAW

RAW is the folder that `study.toml` takes its raw files from; the boundaries lie below it. Needs the extra `geo`.
Rows: every district that touches an area which stands for a district of the programme, in every postal area, from
one hundredth of either on; borders drawn twice differ by less.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

from mekeval.areas import overlaps, read_boundaries

DISTRICTS = "aluesarjat/boundaries-kml/PKS_tilastoalue.kml"
POSTAL_AREAS = "statfi-paavo/vintage-2026/metro_neighborhoods.geojson"
PROGRAMME = ("09274", "09282", "09291", "09294", "09217", "09215")
SWEDISH = {"09291": "Västerkulla", "09294": "Håkansböle", "09215": "Myrbacka", "09217": "Mårtensdal"}
LEAST = 0.01


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
    with (Path(__file__).parent / "districts.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(
            ["district", "name_fi", "name_sv", "area", "share_of_district", "share_of_area", "by"]
        )
        for row in rows.itertuples(index=False):
            code = row.from_code
            shares = (f"{row.weight:.3f}", f"{row.share_of_target:.3f}")
            writer.writerow([code, names[code], SWEDISH.get(code, ""), row.to_code, *shares, row.by])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
