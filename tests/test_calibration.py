"""The calibration benchmark: what it counts, what a seed moves, and how it refuses."""

from __future__ import annotations

import importlib
import runpy
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from mekeval import DataError, build_panel

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture
def calibration(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("calibration")


def test_a_seed_moves_the_windows(calibration: ModuleType) -> None:
    units = [f"{at:03}" for at in range(200)]
    data = SimpleNamespace(panel=SimpleNamespace(units=units), municipality=dict.fromkeys(units, "Town"))
    one, two = (calibration.city_maps(data, 36, 4, seed) for seed in (1, 2))
    # four places nine areas apart; seed 2 begins each of them seven areas further on
    assert [min(city_of) for city_of in one] == ["000", "009", "018", "027"]
    assert [min(city_of) for city_of in two] == ["007", "016", "025", "034"]
    starts = {min(calibration.city_maps(data, 36, 1, seed)[0]) for seed in range(1, 37)}
    assert len(starts) == 36
    assert calibration.city_maps(data, 0, 4, 1) == calibration.city_maps(data, 0, 4, 2)  # nothing to move


def rows(refused: bool) -> pd.DataFrame:
    """Three cities asked about two outcomes, from windows at two places: three targets share no area."""
    made = [
        {
            "kind": 36,
            "offset": offset,
            "outcome": outcome,
            "selection": "own level",
            "k": 1,
            "method": "m",
            "name": name,
        }
        for offset in (0, 1)
        for outcome in ("a", "b")
        for name in ("x", "y", "z")
    ]
    return pd.DataFrame(made).assign(p=[0.01, *[0.5] * 11], refused=refused)


def test_independent_targets_are_not_draws(calibration: ModuleType) -> None:
    found = calibration._row(rows(False), "pooled", "worst", 1, "m", "windows of 36", most=7.5)
    assert (found.draws, found.independent, found.rejection, found.met) == (12, 3, 8.3, False)
    assert "3 (12.6)" in calibration._cells(found)  # sqrt(0.05 * 0.95 / 3) = 0.126
    drawn = pd.DataFrame({"p": [0.5] * 50, "refused": False, "disjoint": 20})
    assert calibration.independent(drawn) == 20


def test_where_all_are_refused_no_goal_is_met(calibration: ModuleType) -> None:
    found = calibration._row(rows(True), "pooled", "worst", 1, "m", "windows of 36", most=7.5)
    assert (found.rejection, found.met, found.note, found.refused) == (None, None, "all refused", 12)
    assert calibration._cells(found)[:3] == ["all refused", "at most 7.5 %", ""]


def test_quick_says_what_it_leaves_out(
    calibration: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(DataError):
        calibration.measure(quick=True, raw=tmp_path)
    said = capsys.readouterr().err
    assert "400 of 2000 draws" in said
    assert "higher_education, rented, high_income, employment" in said


def test_the_closed_forms_are_those_of_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    closed_forms = importlib.import_module("closed_forms")
    rng = np.random.default_rng(3)
    table = pd.DataFrame(
        [
            (f"{at:02}", name, year, value)
            for at in range(45)
            for year in range(2012, 2017)
            for name, value in (("low_income", rng.normal(20, 3)), ("population", 500.0 + 97 * at))
        ],
        columns=["area", "indicator", "year", "value"],
    )
    data = SimpleNamespace(panel=build_panel(table), years={"low_income": ((2012, 2013, 2014), (2015, 2016))})
    assert closed_forms.checked(data, 5) < 1e-10
    monkeypatch.setattr(closed_forms, "permutation_p", lambda W, T, sets: np.array([2.0]))
    assert closed_forms.checked(data, 5) > 1  # the permutation is among what is compared


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--draws", "0"], "--draws must be 1 or more"),
        (["--seed", "-1"], "--seed must be 0 or more"),
        ([], "theme files are not there"),
    ],
)
def test_a_refusal_is_one_message_and_no_traceback(
    options: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.setattr(sys, "argv", ["calibration.py", "--raw", str(tmp_path), *options])
    with pytest.raises(SystemExit) as ended:  # any other error would be a traceback
        runpy.run_path(str(FOLDER / "calibration.py"), run_name="__main__")
    assert ended.value.code == 2
    assert words in capsys.readouterr().err
