"""Cleaning: raw files to tidy indicators, beside a bare pandas script that checks nothing.

The peer reads the same files with pandas.read_csv, reshapes them and divides; it verifies no checksum, keeps no
missing symbols apart, finds no duplicates and writes no log. It is the floor, not a rival.
"""

from __future__ import annotations

import io
import multiprocessing
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from rows import Row, arguments, peak_megabytes, row, seconds, show

from mekeval import Study, clean_indicators, example_study, read_study, reference_areas
from mekeval.indicators import Indicators, level_breaks, outliers

_MISSING = ["..", "."]
_NATIONAL = Path(__file__).resolve().parents[1] / "data" / "finnish-area-statistics"


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


def national(raw: Path) -> Study:
    """All files of Paavo, all postal areas of the country: the other source of the study is left out."""
    study = read_study(_NATIONAL, raw=raw)
    chosen = [at for at, source in enumerate(study.spec.source) if source.file.startswith("statfi-paavo/")]
    levels = {study.spec.source[at].level for at in chosen}
    areas = study.spec.areas.model_copy(
        update={"found": tuple(one for one in study.spec.areas.found if one.level in levels)}
    )
    sources = tuple(study.spec.source[at] for at in chosen)
    held = {name for source in sources for name in source.items}
    indicators = tuple(one for one in study.spec.indicator if set(one.items) <= held)
    spec = study.spec.model_copy(update={"source": sources, "areas": areas, "indicator": indicators})
    return replace(study, spec=spec, paths=tuple(study.paths[at] for at in chosen))


def _once(
    raw: Path, cache: Path | None, answers: multiprocessing.Queue[tuple[float, float, int, int]]
) -> None:
    """One cleaning in a process of its own: seconds, peak megabytes, rows and cells."""
    study = national(raw)
    started = time.perf_counter()
    result = clean_indicators(study, cache=cache)
    took = time.perf_counter() - started
    answers.put((took, peak_megabytes(), len(result.table), int(result.files["cells"].sum())))


def in_own_process(raw: Path, cache: Path | None = None) -> tuple[float, float, int, int]:
    """Seconds, peak megabytes, rows of the table and cells of one cleaning, with nothing of an earlier one about."""
    context = multiprocessing.get_context("spawn")
    answers: multiprocessing.Queue[tuple[float, float, int, int]] = context.Queue()
    process = context.Process(target=_once, args=(raw, cache, answers))
    process.start()
    answer = answers.get()
    process.join()
    return answer


def swapped(number: float, at: int) -> float:
    """A whole number with two neighbouring digits swapped, as fingers do; itself where they are the same."""
    digits = f"{abs(number):.0f}"
    if at + 1 >= len(digits):
        return number
    return float(digits[:at] + digits[at + 1] + digits[at] + digits[at + 2 :])


def planted(result: Indicators, kind: str, *, seed: int, share: float = 0.002) -> tuple[float, int]:
    """The share of planted typing errors that are found, and how many were planted.

    One in five hundred values gets an error in its numerator, or in the value where it has none: ten times as large,
    its first two digits swapped, or two neighbouring digits anywhere. A rate beyond 100 is found by its range.
    """
    draws = np.random.default_rng(seed)
    table = result.table.reset_index(drop=True)
    numerator, value = table["numerator"].to_numpy().copy(), table["value"].to_numpy().copy()
    known = np.flatnonzero((table["status"] == "ok") & (value > 0))
    chosen = np.sort(draws.choice(known, size=int(share * len(known)), replace=False))
    wrong = []
    for at in chosen.tolist():
        rate = not np.isnan(numerator[at])
        before = numerator[at] if rate else value[at]
        digits = len(f"{before:.0f}")
        first = 0 if kind == "first digits swapped" else int(draws.integers(0, max(1, digits - 1)))
        after = 10 * before if kind == "ten times" else swapped(before, first)
        if after == before or before < 10:
            continue
        if rate:
            numerator[at], value[at] = after, value[at] * after / before
        else:
            value[at] = after
        wrong.append(at)
    beyond = (
        ~np.isnan(numerator)
        & (numerator > table["denominator"].to_numpy())
        & np.isin(np.arange(len(table)), wrong)
    )
    broken = table.assign(numerator=numerator, value=value)
    broken.loc[beyond, "status"] = "implausible"
    levels = {str(code): str(level) for code, level in result.areas.table["level"].items()}
    found = set(outliers(broken, levels=levels).index)
    return float(np.mean([at in found or bool(beyond[at]) for at in wrong])), len(wrong)


def flags(result: Indicators) -> list[Row]:
    """What is flagged in the national table as it is, and how many of planted errors are found."""
    levels = {str(code): str(level) for code, level in result.areas.table["level"].items()}
    ok = int((result.table["status"] == "ok").sum())
    far, breaks = outliers(result.table, levels=levels), level_breaks(result.table, levels=levels)
    n_series = result.table["indicator"].nunique()
    rows = [
        row(
            "outliers flagged in Paavo as published", f"{ok} values", 1000 * len(far) / ok, "per 1000 values"
        ),
        row("level breaks flagged in Paavo as published", f"{n_series} indicators", len(breaks), "flags"),
    ]
    for kind in ("ten times", "first digits swapped", "any two digits swapped"):
        share, n = planted(result, kind, seed=20261122)
        rows.append(row(f"planted typing errors found: {kind}", f"{n} errors", 100 * share, "percent"))
    return rows


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
        rows += _national(raw)
    return rows


def _national(raw: Path) -> list[Row]:
    """The national table: time and memory of a first and of a second run, and what is flagged in it."""
    study = national(raw)
    megabytes = sum(path.stat().st_size for path in study.paths) / 1e6
    with tempfile.TemporaryDirectory() as folder:
        took, peak, n_rows, n_cells = in_own_process(raw)
        in_own_process(raw, Path(folder))
        again, _, _, _ = in_own_process(raw, Path(folder))
    size = f"{len(study.paths)} files, {megabytes:.0f} MB, {n_cells} cells, {n_rows} rows"
    return [
        row("all of Paavo, all of Finland, cleaned", size, took, "s", at_most=4),
        row("all of Paavo, all of Finland, peak memory", size, peak, "MB", at_most=600),
        row("all of Paavo, all of Finland, second run", size, again, "s", at_most=0.5),
        *flags(clean_indicators(study)),
    ]


if __name__ == "__main__":
    options = arguments(__doc__ or "")
    show(measure(quick=options.quick, raw=options.raw), as_json=options.json)
