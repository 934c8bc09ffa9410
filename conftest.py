"""What tests and the examples of docstrings share: evaluations, computed once in a session for all its workers."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from _pytest.doctest import DoctestItem

from mekeval.store import Store, filling


@pytest.fixture(scope="session")
def evaluations(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Evaluations of this test session, of all its workers, as a run shares them between its reports."""
    base = tmp_path_factory.getbasetemp()
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    folder = (base.parent if worker else base) / "evaluations"
    folder.mkdir(mode=0o700, exist_ok=True)
    return Store(folder=folder, token=os.environ.get("PYTEST_XDIST_TESTRUNUID", "alone"))


@pytest.fixture(autouse=True)
def examples_share(request: pytest.FixtureRequest) -> Iterator[None]:
    """An example that evaluates the embedded study takes what another has computed; a test asks for it by name."""
    if not isinstance(request.node, DoctestItem):
        yield
        return
    with filling(request.getfixturevalue("evaluations")):
        yield
