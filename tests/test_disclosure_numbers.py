"""Which numbers tell a hidden one, and what an attacker makes of years, shares, rounded rates and two ways to cut."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import OptimizeResult

from mekeval import read_study
from mekeval.disclosure import attack, check_outputs, intervals, secure
from mekeval.disclosure.earlier import earlier_table
from mekeval.errors import DataError, MekevalError, RunError
from mekeval.study import Study

Make = Callable[..., Study]
AREAS = (
    "code,level,parent,name_fi\nT,city,,Kaupunki\nA,district,T,Ikalanmäki\nB,district,T,Oma\nC,district,T,Ikala\n"
    "P,postal,T,Posti\nQ,postal,T,Perälä\n"
)
RATE = (
    '[[indicator]]\nname = "r"\nnumerator = "n"\ndenominator = "d"\nhigher_is = "worse"\nunit = "percent"\n'
    'plausible = [0, 100]\nlabel.fi = "osuus"\n'
)


def _count(name: str, item: str) -> str:
    return (
        f'[[indicator]]\nname = "{name}"\nvalue = "{item}"\nbase = "{item}"\nhigher_is = "neutral"\n'
        f'unit = "persons"\nlabel.fi = "{name}"\n'
    )


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A study of these indicators of the items n and d, and tables that it published before."""

    def build(indicators: str, earlier: str = "[]") -> Study:
        text = 'area,"d, 2020","n, 2020"\nIkala,50,20\n'
        items = "".join(f'[[item]]\nname = "{item}"\nlabels = ["{item}"]\n' for item in "dn")
        (tmp_path / "a.csv").write_text(text, "utf-8")
        (tmp_path / "areas.csv").write_text(AREAS, "utf-8")
        (tmp_path / "study.toml").write_text(
            f'[study]\nname = "t"\nseed = 1\nminimum_base = 30\ntitle.fi = "t"\nattribution.fi = "a"\n'
            f'earlier = {earlier}\n[areas]\nfile = "areas.csv"\nunit = "district"\ncity.fi = "Kaupunki"\n'
            f'{items}{indicators}[[source]]\nfile = "a.csv"\nreader = "pxweb-csv"\nvintage = 2021\n'
            f'items = ["d", "n"]\nsha256 = "{hashlib.sha256(text.encode()).hexdigest()}"\n',
            "utf-8",
        )
        return read_study(tmp_path)

    return build


def _rows(*rows: tuple[str, int, str, float | None], hidden: str = "confidential") -> pd.DataFrame:
    """A tidy table without numerators and denominators; None is hidden."""
    frame = pd.DataFrame(rows, columns=["area", "year", "indicator", "value"]).astype({"value": float})
    return frame.assign(status=np.where(frame["value"].isna(), hidden, "ok"))


def _ends(
    table: pd.DataFrame, study: Study, **given: object
) -> dict[tuple[str, int, str], tuple[float, float]]:
    cells = attack(table, study, **given).cells  # type: ignore[arg-type]
    places = zip(cells["area"], cells["year"], cells["count"], strict=True)
    return dict(zip(places, zip(cells["low"], cells["high"], strict=True), strict=True))


# --- the attacker


def test_each_year_has_its_own_numbers(make: Make) -> None:
    """112 - 60 - 40 = 12 in one year, 135 - 70 - 45 = 20 in the other; the third has no city, and no limit."""
    numbers = {2020: (112, 60, 40, None), 2021: (135, 70, 45, None), 2022: (None, 71, 46, None)}
    rows = [
        (area, year, "people", value)
        for year, row in numbers.items()
        for area, value in zip("TABC", row, strict=True)
    ]
    assert _ends(_rows(*rows), make(_count("people", "d"))) == {
        ("C", 2020, "d"): (12, 12),
        ("C", 2021, "d"): (20, 20),
        ("C", 2022, "d"): (0, np.inf),
        ("T", 2022, "d"): (117, np.inf),
    }


@pytest.mark.parametrize("indicators", [RATE + _count("poor", "n"), _count("poor", "n") + RATE])
def test_a_share_is_at_most_all_whichever_indicator_comes_first(make: Make, indicators: str) -> None:
    """40 people live in C; how many of them are poor is hidden: at most 40. Of a ratio that would not be known."""
    table = _rows(("C", 2020, "people", 40), ("C", 2020, "r", None), ("C", 2020, "poor", None))
    study = make(indicators + _count("people", "d"))
    assert _ends(table, study) == {("C", 2020, "n"): (0, 40)}
    ratio = make((indicators + _count("people", "d")).replace("plausible = [0, 100]\n", ""))
    assert _ends(table, ratio) == {("C", 2020, "n"): (0, np.inf)}


@pytest.mark.parametrize(("decimals", "ends"), [(1, (25, 25)), (0, (24, 26))])
def test_a_rounded_rate_of_a_known_base_tells_the_count(
    make: Make, decimals: int, ends: tuple[int, int]
) -> None:
    """12.5 of 200: 12.45 to 12.55 per cent are 24.9 to 25.1, 12.0 to 13.0 per cent are 24 to 26."""
    table = _rows(("C", 2020, "people", 200), ("C", 2020, "r", 12.5), ("C", 2020, "poor", None))
    study = make(RATE + _count("poor", "n") + _count("people", "d"))
    assert _ends(table, study, decimals=decimals) == {("C", 2020, "n"): ends}


def test_a_city_that_is_cut_in_two_ways_is_hidden_in_both(make: Make) -> None:
    """300 in the city, hidden by the producer: of the districts the smallest goes, and of the postal areas."""
    table = _rows(
        ("T", 2020, "people", None),
        ("A", 2020, "people", 120),
        ("B", 2020, "people", 80),
        ("C", 2020, "people", 100),
        ("P", 2020, "people", 140),
        ("Q", 2020, "people", 160),
        hidden="suppressed",
    ).assign(numerator=np.nan)
    table["denominator"] = table["value"]
    study = make(_count("people", "d"))
    assert _ends(table, study)["T", 2020, "d"] == (300, 300)
    safe = secure(table, study)
    assert set(safe.loc[safe["status"] != "ok", "area"]) == {"T", "B", "P"}
    assert attack(safe, study).pinned.empty


def test_a_solver_that_fails_is_an_error_and_no_answer(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    table = _rows(("T", 2020, "people", 90), ("A", 2020, "people", None), ("B", 2020, "people", None))
    study = make(_count("people", "d"))
    answers = [OptimizeResult(status=0), OptimizeResult(status=4, message="numbers too large")]
    monkeypatch.setattr(intervals, "linprog", lambda *_, **__: answers.pop(0))
    with pytest.raises(MekevalError, match="has no solution") as caught:
        attack(table, study)
    (fault,) = caught.value.faults
    assert (fault.found, fault.fix) == ("numbers too large", "Look for numbers that contradict each other.")
    answers += [OptimizeResult(status=4, message="one"), OptimizeResult(status=4, message="two")]
    with pytest.raises(MekevalError, match="has no solution") as caught:
        attack(table, study)
    assert caught.value.faults[0].found == "two"


# --- what was published before


def test_years_of_an_earlier_table_are_whole_numbers_however_they_are_written(
    make: Make, tmp_path: Path
) -> None:
    head = "area,year,indicator,value,numerator,denominator,status\n"
    (tmp_path / "last.csv").write_text(
        head + "C,2020.0,r,12.5,3,24,ok\nC,2019.0,r,,,,confidential\nC,2018,old,1,1,9,ok\n", "utf-8"
    )
    study = make(RATE, earlier='["last.csv", "last.csv"]')
    (row,) = earlier_table(study).to_dict("records")
    assert row == {
        "area": "C", "year": 2020, "indicator": "r", "value": 12.5, "numerator": 3, "denominator": 24, "status": "ok"
    }  # fmt: skip
    assert earlier_table(study)["year"].dtype == np.int64
    (tmp_path / "last.csv").write_text(head + f"C,{'y' * 200},r,1,1,1,ok\n", "utf-8")
    with pytest.raises(DataError) as caught:
        earlier_table(study)
    fault = caught.value.faults[0]
    assert (len(str(fault.found)), fault.where) == (120, "study.toml, study.earlier, 'last.csv'")


# --- the last look

CELLS = pd.DataFrame(
    [
        ("C", 2020, "r", 12.5, 3.0, 24.0),
        ("B", 2020, "r", 100 / 14, 1.0, 14.0),
        ("T", 2020, "r", 100 * 131 / 1017, 131.0, 1017.0),
    ],
    columns=["area", "year", "indicator", "value", "numerator", "denominator"],
)


def _refused(folder: Path, study: Study, name: str, text: str, shown: pd.DataFrame | None = None) -> bool:
    out = folder / "out"
    out.mkdir(exist_ok=True)
    for old in out.iterdir():
        old.unlink()
    (out / name).write_text(text, "utf-8")
    try:
        assert check_outputs(out, study, CELLS, shown=shown) == 1
    except RunError:
        return True
    return False


def test_a_number_is_told_however_it_is_written_and_no_other(make: Make, tmp_path: Path) -> None:
    """3 of 24 in C are 12.5 %, 1 of 14 in B are 7.14 %; of the city's 1017 the rate is no secret, they are many."""
    told = {
        "C": "24 3 2.4e1 2,4e1 240e-1 24.0 0.3e+1 12.5_% 12,5_% 12.50 0.125 0,125",
        "B": "14 7.1_% 7,143 0.071",
        "T": "1017 1_017 1.017 1,017 1\u00a0017 131",
    }
    free = {
        "C": "25 14 24_% 24.5 12.4_% 12.6 12_% 13_% 13 0.124 0.126 0.13 24_000 124 D24 1017",
        "B": "24 7.0_% 7.2_% 0.072 0.07 7_%",
        "T": "12.9_% 12.88 10_17 1_0170 3 24",
    }
    study = make(RATE)
    names = {"B": "Oma", "C": "Ikala", "T": "Kaupunki"}
    for expected, texts in ((True, told), (False, free)):
        for area, numbers in texts.items():
            for number in numbers.split(" "):
                text = f"r, {names[area]}, 2020: {number.replace('_', ' ')}"
                assert _refused(tmp_path, study, "a.txt", text) == expected, text


def test_a_record_is_told_by_a_rounded_rate_too(make: Make, tmp_path: Path) -> None:
    study = make(RATE)
    for number, expected in ((12, True), (13, True), (11, False), (14, False), (12.5, True), (12.4, False)):
        text = json.dumps({"area": "C", "year": 2020, "indicator": "r", "shown": number})
        assert _refused(tmp_path, study, "a.json", text) == expected, number


def test_a_long_name_may_have_an_ending_and_a_short_one_not(make: Make, tmp_path: Path) -> None:
    """Five letters take endings; three are a word of their own; the longest name at a place is meant."""
    study = make(RATE)
    for text, expected in (
        ("r Ikalassa 2020: 24", True),
        ("r Ikalanmäki 2020: 24", False),
        ("r Oma 2020: 14", True),
        ("r Omassa 2020: 14", False),
        ("osuus IKALA 2020: 24", True),
    ):
        assert _refused(tmp_path, study, "a.txt", text) == expected, text


def test_a_number_that_is_shown_rounded_is_no_leak(make: Make, tmp_path: Path) -> None:
    """Without an indicator's name beside it 24.0 may be the 24.04 that is shown, and not a 24.06."""
    study = make(RATE)
    for value, expected in ((24.04, False), (24.06, True)):
        shown = CELLS.head(1).assign(value=value, numerator=np.nan, denominator=900.0, status="ok")
        assert _refused(tmp_path, study, "a.txt", "Ikala 2020: 24.0", shown) == expected


def test_the_refusal_says_where_and_what_to_do(make: Make, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "deep").mkdir(parents=True)
    (out / "deep" / "a.csv").write_text("area,year,indicator,n\nA,2020,r,24\nC,2020,r,24\n", "utf-8")
    with pytest.raises(RunError) as caught:
        check_outputs(out, make(RATE), CELLS)
    (fault,) = caught.value.faults
    assert (fault.where, fault.found) == ("deep/a.csv, row 2", "not repeated here")
    assert str(fault.fix).startswith(
        "Take it out: a notebook of your own uses only `Indicators.table`. If it is"
    )
