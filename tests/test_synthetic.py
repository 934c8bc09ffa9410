"""The embedded example: its bytes come out the same, and its known effects are what its README says."""

from __future__ import annotations

import csv
import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from mekeval.indicators import clean_indicators
from mekeval.shipped import example_study
from mekeval.study import Study

FOLDER = example_study()
PATHS = {"2019-2025": (2019, 2025), "2019-2022": (2019, 2022), "2023-2025": (2023, 2025)}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("example")
    subprocess.run(
        [sys.executable, str(FOLDER / "make_example.py"), str(folder)], check=True, capture_output=True
    )
    return folder


@pytest.fixture(scope="module")
def truth() -> list[dict[str, str]]:
    with (FOLDER / "truth.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_the_script_writes_the_committed_bytes(made: Path) -> None:
    written = {path.relative_to(made) for path in made.rglob("*") if path.is_file()}
    committed = {path.relative_to(FOLDER) for path in (FOLDER / "raw").iterdir()}
    committed |= {Path("truth.csv"), Path("reference_areas.csv"), Path("neighbours.csv")}
    assert written == committed
    for name in written:
        assert (made / name).read_bytes() == (FOLDER / name).read_bytes(), name


def test_the_checksums_of_the_study_are_those_of_the_files(made: Path, example: Study) -> None:
    listed = {source.file: source.sha256 for source in example.spec.source}
    assert set(listed) == {f"raw/{path.name}" for path in (made / "raw").iterdir()}
    for file, expected in listed.items():
        assert hashlib.sha256((made / file).read_bytes()).hexdigest() == expected


def test_the_files_are_as_a_statistics_service_writes_them() -> None:
    cells: set[str] = set()
    for path in sorted((FOLDER / "raw").iterdir()):
        content = path.read_bytes()
        with pytest.raises(UnicodeDecodeError):
            content.decode("utf-8")
        assert "ä" in content.decode("iso-8859-1")
        cells.update(cell for row in csv.reader(content.decode("iso-8859-1").splitlines()) for cell in row)
    assert {"..", "."} <= cells


def _expected(indicator: str, path: str, year: int) -> float:
    """The table "Known effects" of the README."""
    first, last = PATHS[path]
    if indicator == "unemployment_rate":
        return -1.0 if year == first else -2.5 if year <= last else -1.2
    if indicator == "median_income":
        return 350.0 if first < year <= last else 0.0
    return 0.0


def test_the_known_effects_are_those_of_the_readme(truth: list[dict[str, str]]) -> None:
    rows = [(row["indicator"], row["path"], int(row["year"]), float(row["effect"])) for row in truth]
    years = sum(2025 - first + 1 for first, _ in PATHS.values())
    assert len(rows) == len(set(rows)) == 5 * years
    for indicator, path, year, effect in rows:
        assert effect == _expected(indicator, path, year), (indicator, path, year)
    zero = {"low_income_rate", "basic_education_25_44", "foreign_language_0_6"}
    assert {indicator for indicator, _, _, effect in rows if effect} == {"unemployment_rate", "median_income"}
    assert zero == {indicator for indicator, _, _, _ in rows} - {"unemployment_rate", "median_income"}


def test_the_paths_of_the_truth_are_those_of_the_study(example: Study, truth: list[dict[str, str]]) -> None:
    assert {row["path"] for row in truth} == set(PATHS)
    waves = [(wave.first, wave.last) for wave in example.spec.programme.wave]
    assert waves == [(2019, 2022), (2023, 2025)]
    assert example.spec.study.synthetic


def test_the_rule_picks_the_four_districts(example: Study) -> None:
    """The worst by the mean z-score of the criteria, each in its base year, among districts of 1000 people or more."""
    table = clean_indicators(example).table
    rule = example.spec.programme.rule
    assert rule is not None
    sizes = example.areas.table["population"]
    large = [code for code in example.areas.units if sizes[code] >= 1000]
    scores = dict.fromkeys(large, 0.0)
    for name, year in rule.criteria.items():
        part = table[(table["indicator"] == name) & (table["year"] == year)].set_index("area")["value"]
        values = [float(part[code]) for code in large]
        mean = sum(values) / len(values)
        spread = (sum((value - mean) ** 2 for value in values) / (len(values) - 1)) ** 0.5
        for code, value in zip(large, values, strict=True):
            scores[code] += (value - mean) / spread
    worst = sorted(scores, key=lambda code: -scores[code])[: rule.choose]
    assert {example.areas.name(code, "fi") for code in worst} == {
        "Hakunila",
        "Havukoski",
        "Länsimäki",
        "Mikkola",
    }


def test_the_naive_difference_of_the_readme(example: Study) -> None:
    """2020-2025 less 2014-2018, the four that stayed against districts never treated, with values in all 16 years."""
    table = clean_indicators(example).table
    stayed = [code for code in example.wave_areas[0] if code in example.wave_areas[1]]
    readme = {  # indicator: naive difference, never-treated districts
        "low_income_rate": (1.62, 51), "unemployment_rate": (-1.52, 51), "basic_education_25_44": (0.66, 50),
        "foreign_language_0_6": (4.30, 43), "median_income": (-638, 51),
    }  # fmt: skip
    before, after = range(2014, 2019), range(2020, 2026)
    for name, (naive, districts) in readme.items():
        part = table[(table["indicator"] == name) & (table["status"] == "ok")]
        wide = part[part["area"].isin(example.areas.units)].pivot_table(
            index="area", columns="year", values="value"
        )
        wide = wide[list(range(2010, 2026))].dropna()
        change = wide[list(after)].mean(axis=1) - wide[list(before)].mean(axis=1)
        rest = change.drop(index=[code for code in example.treated if code in change.index])
        assert len(rest) == districts, name
        difference = change[stayed].mean() - rest.mean()
        assert round(difference, 0 if name == "median_income" else 2) == naive, name
