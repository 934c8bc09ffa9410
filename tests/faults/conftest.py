"""Published sets to disturb: the file calls that fail, and a set beside the notebooks of another."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def planned_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What runs of the example study look up more than once, looked up once; kernels are real ones."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    for owner, name, stand_in in importlib.import_module("run_faults").stand_ins():
        monkeypatch.setattr(owner, name, stand_in)


@pytest.fixture(scope="session")
def stand_ins() -> tuple[tuple[object, str, object], ...]:
    """What every run of the example study would look up again, looked up once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        found: tuple[tuple[object, str, object], ...] = importlib.import_module("run_file_faults").stand_ins()
    return found


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch, stand_ins: tuple[tuple[object, str, object], ...]) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    module = importlib.import_module("run_file_faults")
    for owner, name, stand_in in (*stand_ins, *module.NO_KERNELS):
        monkeypatch.setattr(owner, name, stand_in)
    return module


@pytest.fixture
def published(calls: ModuleType, tmp_path: Path) -> Path:
    """The folder of a published set, beside the notebooks of another."""
    for word in calls.WORDS:
        calls.notebooks(tmp_path / word, word)
    calls.publish(tmp_path, calls.WORDS[0], tmp_path / "out")
    return tmp_path / "out"
