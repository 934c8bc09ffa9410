"""Compute neighbours.csv: which postal areas of Vantaa border on each other, and for how many metres.

    python data/vantaa-mek-paavo/make_neighbours.py RAW

RAW is the folder that `study.toml` takes its raw files from; the boundaries are those of Paavo. Needs the extra `geo`.
Each pair stands once, the lower code first; borders of 25 metres or less count as corners.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

from mekeval.areas import neighbours, read_boundaries

POSTAL_AREAS = "statfi-paavo/vintage-2026/metro_neighborhoods.geojson"


def main(raw: Path) -> None:
    """Write neighbours.csv beside this file."""
    folder = Path(__file__).parent
    with (folder / "areas.csv").open(encoding="utf-8", newline="") as stream:
        own = {row["code"] for row in csv.DictReader(stream) if row["level"] == "postal_area"}
    table = neighbours(read_boundaries(raw / POSTAL_AREAS, code="postinumeroalue"))
    inside = table["area"].isin(own) & table["neighbour"].isin(own) & (table["area"] < table["neighbour"])
    with (folder / "neighbours.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["area", "neighbour", "border_m"])
        for row in table.loc[inside].itertuples(index=False):
            writer.writerow([row.area, row.neighbour, f"{row.border_m:.0f}"])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
