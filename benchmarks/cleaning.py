"""Cleaning: raw files to tidy indicators, beside a bare pandas script that checks nothing.

The peer reads the same files with pandas.read_csv, reshapes them and divides; it verifies no checksum, keeps no
missing symbols apart, finds no duplicates and writes no log. It is the floor, not a rival.
"""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd
from rows import Row, arguments, peak_megabytes, row, seconds, show

from mekeval import Study, clean_indicators, example_study, read_study, reference_areas

_MISSING = ["..", "."]


def bare_pandas(study: Study) -> pd.DataFrame:
    """The embedded study's rates with nothing but pandas."""
    frames = []
    for path in study.paths:
        text = path.read_text(encoding="latin-1")
        if text.startswith('"Alue"'):
            wide = pd.read_csv(io.StringIO(text), na_values=_MISSING).melt(id_vars="Alue")
            wide[["item", "year"]] = wide["variable"].str.rsplit(", ", n=1, expand=True)
            frames.append(wide.drop(columns="variable"))
        else:
            long = pd.read_csv(io.StringIO(text), skiprows=2, na_values=_MISSING)
            frames.append(
                long.melt(id_vars=["Alue", "Tiedot"], var_name="year").rename(columns={"Tiedot": "item"})
            )
    table = pd.concat(frames).pivot_table(index=["Alue", "year"], columns="item", values="value")
    return pd.DataFrame(
        {
            "low_income_rate": 100 * table["Pienituloiset"] / table["Asuntoväestö"],
            "unemployment_rate": 100 * table["Työttömät"] / table["Työvoima"],
        }
    )


def both(study: Study) -> list[pd.DataFrame]:
    """Our tables of the study's own areas and of its reference cities: all files, as the peer reads them."""
    references = reference_areas(study)
    return [clean_indicators(study).table] + ([references.indicators.table] if references else [])


def measure(*, quick: bool, raw: Path | None) -> list[Row]:
    """All rows of this benchmark."""
    repeat = 3 if quick else 9
    study = read_study(example_study())
    cells = f"{len(study.paths)} files, {sum(len(table) for table in both(study))} values"
    ours = seconds(lambda: both(read_study(example_study())), repeat=repeat)
    bare = seconds(lambda: bare_pandas(study), repeat=repeat)
    rows = [row("embedded study, cleaned", cells, ours, "s", peer="bare pandas", peer_value=bare)]
    if raw is not None:
        folder = Path(__file__).resolve().parents[1] / "data" / "vantaa-mek-paavo"
        real = read_study(folder, raw=raw)
        size = f"{len(real.paths)} files, {sum(path.stat().st_size for path in real.paths) / 1e6:.0f} MB"
        once = seconds(lambda: clean_indicators(read_study(folder, raw=raw)), repeat=1 if quick else 3)
        rows.append(row("Paavo 2012-2024, cleaned", size, once, "s", at_most=4))
        rows.append(row("Paavo 2012-2024, peak memory", size, peak_megabytes(), "MB", at_most=600))
    return rows


if __name__ == "__main__":
    options = arguments(__doc__ or "")
    show(measure(quick=options.quick, raw=options.raw), as_json=options.json)
