"""The embedded study with a map: a square of about a kilometre for each area, where its tile lies."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from mekeval import example_study, run_study
from mekeval.study import Study, read_study

TABLE = '[areas.boundaries]\nfile = "areas.geojson"\ncode = "district"\n'


def mapped_study(study: Study, folder: Path) -> Path:
    """Copy a study into a new folder of that name and give it a map."""
    shutil.copytree(study.folder, folder)
    definition = folder / "study.toml"
    text = definition.read_text(encoding="utf-8")
    definition.write_text(text.replace("\n[programme]\n", f"\n{TABLE}\n[programme]\n", 1), encoding="utf-8")
    write_map(study, folder / "areas.geojson")
    return folder


def run_mapped(folder: Path, *, year: int) -> Path:
    """The reports on the city of the embedded study with a map, in every language; the folder that they lie in."""
    study = mapped_study(read_study(example_study()), folder / "study" / "vantaa-mek")
    result = run_study(study, years=[year], kinds=["city"], out=folder / "reports", jobs=2)
    assert not result.failed, result.errors
    return folder / "reports"


def write_map(study: Study, path: Path, *, leave_out: str = "", open_ring: str = "") -> None:
    """Write the map, without an area or with one whose ring is open."""
    features = []
    for code, area in study.areas.table.loc[list(study.areas.units)].iterrows():
        if code == leave_out:
            continue
        x, y = 24.9 + int(area["tile_col"]) * 0.02, 60.4 - int(area["tile_row"]) * 0.01
        ring = [[x, y], [x + 0.02, y], [x + 0.02, y + 0.01], [x, y + 0.01], [x, y]]
        geometry = {"type": "Polygon", "coordinates": [ring[:4] + ([] if code == open_ring else ring[4:])]}
        if code == open_ring:
            geometry = {"type": "Polygon", "coordinates": [[*ring[:4], [x + 0.001, y]]]}
        features.append({"type": "Feature", "properties": {"district": code}, "geometry": geometry})
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}), encoding="utf-8")
