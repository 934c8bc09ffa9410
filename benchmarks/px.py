"""PC-Axis: a file of 1,209,600 cells, beside pyaxis in the same run.

pyaxis gives one row of text for each cell. Three of our rows stand beside it: all cells as numbers with statuses,
the cells that a study wants, and the same long table that pyaxis gives, with numbers and labels.
"""

from __future__ import annotations

import importlib.util
import random
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from rows import Row, arguments, peak_megabytes, row, seconds, show

from mekeval.errors import MekevalError
from mekeval.sources import read_source
from mekeval.sources.cells import STATUSES
from mekeval.sources.files import read_bytes
from mekeval.sources.px import read_cube
from mekeval.study import SourceSpec

_FILE = Path("aluesarjat", "px", "C01VAN_Astuot_hper_rahoitus_talotyyppi.px")
_SMALL = _FILE.with_name("C04S_VANS_Tyottomat_Sukupuoli.px")
_SOURCE = SourceSpec(
    file=_FILE.name,
    reader="px",
    vintage=2010,
    sha256="0" * 64,
    items=("dwellings",),
    area_column="Alue",
    item_column="Yksikkö",
    take=dict.fromkeys(("Talotyyppi", "Hallintaperuste", "Rahoitusmuoto", "Huoneistotyyppi"), "all"),
)


def long_table(path: Path) -> pd.DataFrame:
    """Every cell with its labels, its number and its status."""
    cube = read_cube(read_bytes(path, path.name), _SOURCE)
    sizes = [len(dimension.codes) for dimension in cube.dimensions]
    places = np.indices(sizes, dtype=np.int16).reshape(len(sizes), -1)
    columns = {
        dimension.names[0]: pd.Categorical.from_codes(place, dimension.labels[0])
        for dimension, place in zip(cube.dimensions, places, strict=True)
    }
    status = pd.Categorical.from_codes(cube.status, STATUSES)
    return pd.DataFrame({**columns, "value": cube.values, "status": status})


def mutants(path: Path, *, count: int) -> tuple[float, int]:
    """Seconds of the slowest of many damaged copies, and how many end in anything but numbers or a MekevalError."""
    whole, chance = path.read_bytes(), random.Random(20230101)
    source = _SOURCE.model_copy(update={"item_column": "Työttömyys", "take": {"Sukupuoli": "Naiset"}})
    slowest, other = 0.0, 0
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "file.px")
        for _ in range(count):
            broken = bytearray(whole)
            for _ in range(chance.randint(1, 4)):
                at = chance.randrange(len(broken))
                width = chance.choice((0, 1, 1, 3, 200))
                broken[at : at + width] = bytes(
                    chance.choices(b'";=,()[]\r\n\x00 .-0123456789e\xe4', k=chance.randint(0, 4))
                )
            if chance.random() < 0.1:
                del broken[chance.randrange(len(broken)) :]
            target.write_bytes(broken)
            started = time.perf_counter()
            try:
                cells = read_source(target, source, {"dwellings": ("Työttömät",)}).cells
                other += not (cells["value"].notna() == (cells["status"] == "ok")).all()
            except MekevalError:
                pass
            except Exception:
                other += 1
            slowest = max(slowest, time.perf_counter() - started)
    return slowest, other


def measure(*, quick: bool, raw: Path | None) -> list[Row]:
    """All rows of this benchmark; none without the real file."""
    if raw is None:
        return []
    path = raw / _FILE
    repeat = 3 if quick else 7
    peer, theirs = "", None
    if importlib.util.find_spec("pyaxis"):
        from pyaxis import pyaxis

        peer = "pyaxis"
        theirs = seconds(lambda: pyaxis.parse(str(path), encoding="ISO-8859-1"), repeat=repeat)
    size = f"{len(long_table(path)):,} cells"
    wanted = {"dwellings": ("Asuntojen lukumäärä",)}
    rows = []
    for task, work in (
        ("px, all cells as numbers", lambda: read_cube(read_bytes(path, path.name), _SOURCE)),
        ("px, the cells of a study", lambda: read_source(path, _SOURCE, wanted)),
        ("px, one long table with labels", lambda: long_table(path)),
    ):
        ours = seconds(work, repeat=repeat)
        rows.append(row(task, size, ours, "s", at_most=1.0))
        if theirs is not None:
            beside = row(
                f"{task}, beside the peer", size, ours, "s", peer=peer, peer_value=theirs, ratio_at_most=0.25
            )
            rows.append(beside)
    slowest, other = mutants(raw / _SMALL, count=200 if quick else 1000)
    rows.append(row("px, damaged files: the slowest", _SMALL.name, slowest, "s", at_most=5))
    rows.append(row("px, damaged files: neither read nor refused", _SMALL.name, other, "files", at_most=0))
    rows.append(row("px, peak memory of this run", size, peak_megabytes(), "MB"))
    return rows


if __name__ == "__main__":
    options = arguments(__doc__ or "")
    show(measure(quick=options.quick, raw=options.raw), as_json=options.json)
