"""What several test files need: the embedded study, and the reference data that lie beside the checkout."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from mekeval import Study, example_study, read_study

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
def bc(reference: Path) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients and covariance of Benzarti and Carloni, as the R package HonestDiD has them."""
    folder = reference / "honest_bc"
    return (
        np.loadtxt(folder / "betahat.csv", skiprows=1),
        np.loadtxt(folder / "sigma.csv", skiprows=1, delimiter=","),
    )
