"""What several test files need: the embedded study, its evaluations, and the reference data beside the checkout."""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from mapped_study import run_mapped

from mekeval import Evaluation, Study, evaluate, example_study, read_study, run_study
from mekeval.evaluation.sharing import of_district
from mekeval.store import Store, filling

# Collecting garbage as often as Python does takes a twelfth of the tests' time; what they make is small and soon gone.
gc.set_threshold(100_000, 50, 50)

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


def _beside(folder: str) -> Path:
    """A folder of data beside the checkout: its absence fails in CI and skips, visibly, elsewhere."""
    path = Path(os.environ.get("MEKEVAL_TEST_DATA", SHARED)) / folder
    if path.is_dir():
        return path
    reason = f"the data beside the checkout are not here: {folder} (set MEKEVAL_TEST_DATA)"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def raw() -> Path:
    return _beside("raw")


@pytest.fixture(scope="session")
def reference() -> Path:
    return _beside("reference")


@pytest.fixture(scope="session")
def example() -> Study:
    return read_study(example_study())


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded study with one outcome, so that evaluations and runs are quick."""
    folder = tmp_path_factory.mktemp("studies") / "vantaa-mek"
    shutil.copytree(example_study(), folder)
    text = (folder / "study.toml").read_text(encoding="utf-8")
    for old, new in (
        ('primary = ["low_income_rate", "unemployment_rate"]', 'primary = ["low_income_rate"]'),
        ('secondary = ["basic_education_25_44", "median_income"]', "secondary = []"),
        (
            "important = { low_income_rate = 1.0, unemployment_rate = 0.7, ",
            "important = { low_income_rate = 1.0 }  # ",
        ),
    ):
        assert old in text
        text = text.replace(old, new)
    (folder / "study.toml").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def evaluated(example: Study, evaluations: Store) -> Callable[..., Evaluation]:
    """`evaluate` for the embedded study as it is: computed once in a session, and another copy at each call."""

    def of_year(year: int, district: str | None = None) -> Evaluation:
        with FileLock(evaluations.folder / f"{year}.lock"), filling(evaluations):
            whole = evaluate(example, year=year)
        return whole if district is None else of_district(whole, example.resolve(district))

    return of_year


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], None]], Path]:
    """A folder that the first of all test processes makes, and the others wait for; tests only read it.

    To work on the tests of pages alone, keep such folders in one that MEKEVAL_TEST_PAGES names.
    """
    base = tmp_path_factory.getbasetemp()
    root = Path(
        os.environ.get("MEKEVAL_TEST_PAGES", base.parent if "PYTEST_XDIST_WORKER" in os.environ else base)
    )
    root.mkdir(parents=True, exist_ok=True)

    def make_once(name: str, make: Callable[[Path], None]) -> Path:
        with FileLock(root / f"{name}.lock"):
            if not (root / name / "made").exists():
                shutil.rmtree(root / name, ignore_errors=True)
                (root / name).mkdir(parents=True)
                make(root / name)
                (root / name / "made").touch()
        return root / name

    return make_once


@pytest.fixture(scope="session")
def ran(made_once: Callable[[str, Callable[[Path], None]], Path]) -> Path:
    """One real run: the city and one district of the embedded study in 2025, in every language."""

    def make(folder: Path) -> None:
        out = folder / "reports"
        result = run_study(example_study(), years=[2025], districts=["Länsimäki"], out=out, jobs=2)
        assert not result.failed, result.errors
        assert result.index == out / "vantaa-mek" / "index.html"

    return made_once("ran", make) / "reports"


@pytest.fixture(scope="session")
def mapped(made_once: Callable[[str, Callable[[Path], None]], Path]) -> Path:
    """The city of the embedded study with a map, in 2025, in every language."""

    def make(folder: Path) -> None:
        run_mapped(folder, year=2025)

    return made_once("mapped", make) / "reports"


@pytest.fixture(scope="session")
def bc(reference: Path) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients and covariance of Benzarti and Carloni, as the R package HonestDiD has them."""
    folder = reference / "honest_bc"
    return (
        np.loadtxt(folder / "betahat.csv", skiprows=1),
        np.loadtxt(folder / "sigma.csv", skiprows=1, delimiter=","),
    )
