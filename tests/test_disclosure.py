"""Nothing that is published gives a small count away: the attacker, the defence, the last look at a folder."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mekeval import clean_indicators, example_study, read_study, run_study
from mekeval.disclosure import attack, check_outputs, secure
from mekeval.errors import DataError, MekevalError, RunError
from mekeval.indicators import hidden_numbers
from mekeval.run import going
from mekeval.run.jobs import Job, Outcome
from mekeval.study import Study

Make = Callable[..., Study]
AREAS = "code,level,parent,name_fi\nT,city,,Kaupunki\nA,district,T,Akala\nB,district,T,Bekala\nC,district,T,Cekala\n"


def _definition(indicators: str, items: str, limit: int = 30) -> str:
    words = "".join(f'[[item]]\nname = "{item}"\nlabels = ["{item}"]\n' for item in items.split())
    return (
        f'[study]\nname = "small"\nseed = 1\nminimum_base = {limit}\ntitle.fi = "t"\nattribution.fi = "a"\n'
        f'[areas]\nfile = "areas.csv"\nunit = "district"\ncity.fi = "Kaupunki"\n{words}{indicators}'
    )


def _count(name: str, value: str) -> str:
    return (
        f'[[indicator]]\nname = "{name}"\nvalue = "{value}"\nbase = "{value}"\nhigher_is = "neutral"\n'
        f'unit = "persons"\nlabel.fi = "{name}"\n'
    )


def _rate(name: str, top: str, bottom: str, more: str = "") -> str:
    return (
        f'[[indicator]]\nname = "{name}"\nnumerator = "{top}"\ndenominator = "{bottom}"\nhigher_is = "worse"\n'
        f'unit = "percent"\nplausible = [0, 100]\nlabel.fi = "{name}"\n{more}'
    )


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A study from its definition and its files, by year of publication."""

    def build(
        definition: str, files: dict[int, str] | None = None, areas: str = AREAS, more: str = ""
    ) -> Study:
        items = [line.split('"')[1] for line in definition.split("[[item]]\n")[1:]]
        usual = (
            "area," + ",".join(f'"{item}, 2020"' for item in items) + "\nAkala" + ",50" * len(items) + "\n"
        )
        for vintage, text in (files or {2021: usual}).items():
            (tmp_path / f"{vintage}.csv").write_text(text, "utf-8")
            total = hashlib.sha256(text.encode()).hexdigest()
            definition += (
                f'[[source]]\nfile = "{vintage}.csv"\nreader = "pxweb-csv"\nvintage = {vintage}\n'
                f'sha256 = "{total}"\nitems = {json.dumps(items)}\n{more}'
            )
        (tmp_path / "areas.csv").write_text(areas, "utf-8")
        (tmp_path / "study.toml").write_text(definition, "utf-8")
        return read_study(tmp_path)

    return build


def _table(rows: list[tuple[str, str, float | None]]) -> pd.DataFrame:
    """A tidy table of counts of one year; None is hidden."""
    return pd.DataFrame(
        [
            {
                "area": area,
                "year": 2020,
                "indicator": name,
                "value": np.nan if value is None else value,
                "numerator": np.nan,
                "denominator": np.nan if value is None else value,
                "status": "confidential" if value is None else "ok",
            }
            for area, name, value in rows
        ]
    )


# --- the attacker


def _investments(hidden: set[tuple[str, str]]) -> pd.DataFrame:
    """An example by hand: counts by activity and area, with their totals."""
    numbers = {
        "one": (20, 50, 10, 80),
        "two": (8, 19, 22, 49),
        "three": (17, 32, 12, 61),
        "total": (45, 101, 44, 190),
    }
    return _table(
        [
            (area, name, None if (area, name) in hidden else value)
            for name, row in numbers.items()
            for area, value in zip("ABCT", row, strict=True)
        ]
    )


def _table_study(make: Make) -> Study:
    parts = "".join(_count(name, item) for name, item in (("one", "i"), ("two", "j"), ("three", "k")))
    return make(_definition(parts + _count("total", "i + j + k"), "i j k", 10))


def test_two_hidden_areas_of_two_activities(make: Make) -> None:
    """Hidden: activities two and three in regions A and C. By hand, with b = two in C: two gives a + b = 49 - 19 = 30,
    region A a + c = 45 - 20 = 25, region C b + d = 44 - 10 = 34; a = 30 - b lies in 0..25, so that b lies in 5..30."""
    hidden = {("A", "two"), ("C", "two"), ("A", "three"), ("C", "three")}
    found = attack(_investments(hidden), _table_study(make)).cells.set_index(["area", "count"])
    assert found.loc[("C", "j"), ["low", "high"]].tolist() == [5, 30]
    assert found.loc[("A", "j"), ["low", "high"]].tolist() == [0, 25]
    assert found.loc[("A", "k"), ["low", "high"]].tolist() == [0, 25]
    assert found.loc[("C", "k"), ["low", "high"]].tolist() == [4, 29]
    assert not found["pinned"].any()


def test_a_cell_hidden_alone_is_pinned_and_secure_hides_what_tells_it(make: Make) -> None:
    study, table = _table_study(make), _investments({("C", "two"), ("C", "total")})
    table["status"] = table["status"].replace("confidential", "suppressed")
    found = attack(table, study)
    # 49 - 8 - 19, and 190 - 45 - 101.
    assert found.pinned[["area", "low", "high"]].to_numpy().tolist() == [["C", 22, 22], ["C", 44, 44]]
    before = table.copy()
    safe = secure(table, study)
    pd.testing.assert_frame_equal(table, before)
    assert attack(safe, study).pinned.empty
    again = safe["status"] != "ok"
    assert (again | (table["status"] == "ok")).all()
    assert safe.loc[~again].equals(table.loc[~again])


def test_a_large_count_that_only_protects_may_be_told_again(make: Make) -> None:
    """The same, hidden by us: 22 and 44 are not under the limit of 10, and need no protection. 8 in their place do."""
    study, hidden = _table_study(make), {("C", "two"), ("C", "total")}
    found = attack(_investments(hidden), study)
    assert found.cells["narrow"].all()
    assert found.pinned.empty
    few = _investments(hidden)
    few["value"] = few["value"].where(~((few["area"] == "T") & (few["indicator"] == "two")), 35.0)
    few["denominator"] = few["value"]
    found = attack(few, study)
    # 35 - 8 - 19 = 8; the other numbers do not know of it, and are widened.
    assert found.pinned[["area", "count", "low"]].to_numpy().tolist() == [["C", "j", 8]]


def test_a_small_count_above_a_line_matters_where_few_are_below_it(make: Make) -> None:
    """Of A, 3 are told by subtraction: 5 + 10 + 3 = 18 in the city. Of 500 persons that is a rate like any other."""

    def table(low: float) -> pd.DataFrame:
        counts = {"T": (18.0, 1000.0 + low), "A": (np.nan, np.nan), "B": (5.0, 600.0), "C": (10.0, 400.0)}
        rows = [
            {
                "area": area,
                "year": 2020,
                "indicator": "r",
                "value": 1.0,
                "numerator": top,
                "denominator": bottom,
            }
            for area, (top, bottom) in counts.items()
        ]
        frame = pd.DataFrame(rows)
        return frame.assign(status=np.where(frame["numerator"].isna(), "confidential", "ok"))

    study = make(_definition(_rate("r", "n", "d"), "n d"))
    assert attack(table(500.0), study).pinned.empty
    assert attack(table(12.0), study).pinned["count"].tolist() == ["d", "n"]
    hidden = secure(table(12.0), study).set_index("area")["status"]
    assert hidden["T"] == "confidential"
    assert (secure(table(500.0), study)["status"] == "ok").sum() == 3


@pytest.mark.parametrize("seed", range(6))
def test_the_intervals_are_those_of_all_tables_that_fit(make: Make, seed: int) -> None:
    """Brute force: every table of small whole numbers with the shown numbers and totals, one by one."""
    rng = np.random.default_rng(seed)
    study = make(_definition(_count("one", "i") + _count("two", "j") + _count("both", "i + j"), "i j", 3))
    true = rng.integers(0, 5, (2, 3))
    names = ("one", "two", "both")
    rows = np.vstack([true, true.sum(axis=0)])
    whole = np.hstack([rows, rows.sum(axis=1, keepdims=True)])
    hide = rng.random(whole.shape) < 0.45
    hide[0, 0] = True
    table = _table(
        [
            (area, name, None if hide[at, column] else float(whole[at, column]))
            for at, name in enumerate(names)
            for column, area in enumerate("ABCT")
        ]
    )
    one = np.array(list(itertools.product(range(8), repeat=6))).reshape(-1, 2, 3)
    some = np.concatenate([one, one.sum(axis=1, keepdims=True)], axis=1)
    every = np.concatenate([some, some.sum(axis=2, keepdims=True)], axis=2)
    seen = every[(every == whole)[:, ~hide].all(axis=1)]
    sums = {"i": 0, "j": 1, "i + j": 2}
    checked = 0
    for cell in attack(table, study).cells.to_dict("records"):
        values = seen[:, sums[cell["count"]], "ABCT".index(cell["area"])]
        assert cell["low"] <= values.min()
        if np.isfinite(cell["high"]) and cell["high"] < 8:
            # Sums along two directions: the ends of the linear program are whole numbers that some table has.
            assert (cell["low"], cell["high"]) == (values.min(), values.max())
            checked += 1
        else:
            assert values.max() >= min(7, cell["low"])
    assert checked or not np.isfinite(attack(table, study).cells["high"]).all()


def test_rounded_rates_alone_leave_room(make: Make) -> None:
    """A rate of 12.5 of a hidden part: nothing limits its base, and with the base of the city shown, that does."""
    study = make(_definition(_rate("r", "n", "d"), "n d"))
    table = pd.DataFrame(
        {
            "area": ["T", "A", "B", "C"],
            "year": 2020,
            "indicator": "r",
            "value": [10.0, 12.5, 9.0, np.nan],
            "status": ["ok", "ok", "ok", "confidential"],
        }
    )
    found = attack(table, study)
    assert set(found.cells["area"]) == {"C"}
    assert found.cells["high"].tolist() == [np.inf, np.inf]


def test_what_was_published_before_stays_known(make: Make) -> None:
    study = make(_definition(_count("one", "i"), "i"))
    now = _table([("T", "one", None), ("A", "one", 100), ("B", "one", 200), ("C", "one", None)])
    assert attack(now, study).pinned.empty
    then = _table([("T", "one", 312)])
    found = attack(now, study, earlier=[then])
    assert found.pinned.set_index("area").loc["C", ["low", "high"]].tolist() == [12, 12]
    safe = secure(now, study, earlier=[then])
    # 12 and the 100 of A, the smaller of the two, are 112 together.
    assert safe.set_index("area")["status"].to_dict() == {
        "T": "confidential",
        "A": "confidential",
        "B": "ok",
        "C": "confidential",
    }
    told = attack(now, study, earlier=[_table([("C", "one", 12)])])
    # Once told, always told; the 312 of the city are no secret, and may be had again.
    assert told.pinned[["area", "low"]].to_numpy().tolist() == [["C", 12]]
    assert told.cells.loc[told.cells["narrow"], "area"].tolist() == ["T", "C"]


def test_numbers_that_contradict_each_other_are_widened(make: Make) -> None:
    study = make(_definition(_count("one", "i"), "i"))
    table = _table([("T", "one", 290), ("A", "one", 100), ("B", "one", 200), ("C", "one", None)])
    found = attack(table, study)
    assert found.contradictions == 1
    assert found.pinned["area"].tolist() == ["C"]


@pytest.mark.parametrize("column", ["area", "status", "value"])
def test_a_table_without_a_column_is_refused(make: Make, column: str) -> None:
    study = make(_definition(_count("one", "i"), "i"))
    with pytest.raises(DataError, match="lacks a column"):
        attack(_table([("A", "one", 1)]).drop(columns=column), study)
    with pytest.raises(DataError, match="does not know"):
        attack(_table([("X", "one", 1)]), study)


# --- cleaning

TWO = 'area,"d, 2020","n, 2020"\nKaupunki,1017,130\nAkala,1000,110\nBekala,5,1\nCekala,12,3\n'


def test_two_hidden_parts_that_are_few_together_hide_the_city(make: Make) -> None:
    """1017 less 1000 are 17 persons in B and C: neither can have more, and 17 is under the limit."""
    study = make(_definition(_rate("r", "n", "d"), "n d"), {2021: TWO})
    table = clean_indicators(study).table.set_index("area")["status"]
    assert table.to_dict() == {"A": "ok", "B": "confidential", "C": "confidential", "T": "confidential"}
    # Parts of 20 and 25 persons are 45 together, more than the limit, and so are their numerators; the city stays.
    wide = (
        TWO.replace("1017,130", "1045,150")
        .replace("Bekala,5,1", "Bekala,20,18")
        .replace("Cekala,12,3", "Cekala,25,22")
    )
    table = clean_indicators(make(_definition(_rate("r", "n", "d"), "n d"), {2021: wide})).table
    assert table.set_index("area")["status"]["T"] == "ok"


def test_limits_of_their_own_are_only_higher(make: Make) -> None:
    text = 'area,"d, 2020","n, 2020"\nAkala,40,4\nBekala,80,8\n'
    own = make(_definition(_rate("r", "n", "d", "minimum_base = 50\n"), "n d"), {2021: text})
    assert clean_indicators(own).table["status"].tolist() == ["confidential", "ok"]
    source = make(_definition(_rate("r", "n", "d"), "n d"), {2021: text}, more="minimum_base = 100\n")
    assert clean_indicators(source).table["status"].tolist() == ["confidential", "confidential"]
    with pytest.raises(MekevalError, match="lower than the study's"):
        make(_definition(_rate("r", "n", "d", "minimum_base = 29\n"), "n d"), {2021: text})
    with pytest.raises(MekevalError, match="lower than the study's"):
        make(_definition(_rate("r", "n", "d"), "n d"), {2021: text}, more="minimum_base = 29\n")


def test_what_last_year_showed_is_not_given_away_by_this_year(make: Make, tmp_path: Path) -> None:
    """1412 in the city, as last year said, less 1000 in A and 400 in B, as this year says, are the 12 of C."""
    text = 'area,"d, 2020","n, 2020"\nKaupunki,1412,180\nAkala,1000,110\nBekala,400,67\nCekala,12,3\n'
    definition = _definition(_rate("r", "n", "d"), "n d")
    without = clean_indicators(make(definition, {2021: text})).table
    assert without.set_index("area")["status"].to_dict() == {
        "A": "ok",
        "B": "ok",
        "C": "confidential",
        "T": "confidential",
    }
    before = without.loc[without["area"] == "T"].assign(
        value=100 * 180 / 1412, numerator=180.0, denominator=1412.0, status="ok"
    )
    before.to_csv(tmp_path / "last.csv", index=False)
    named = definition.replace("seed = 1", 'seed = 1\nearlier = ["last.csv"]')
    study = make(named, {2021: text})
    table = clean_indicators(study).table
    assert len(attack(without, study, earlier=[before]).pinned) == 2
    assert attack(table, study, earlier=[before]).pinned.empty
    # Of A and B, which would both help, the one with fewer people is hidden.
    assert table.set_index("area")["status"].to_dict() == {
        "A": "ok",
        "B": "confidential",
        "C": "confidential",
        "T": "confidential",
    }
    (tmp_path / "last.csv").write_text("area,year\nT,2020\n", "utf-8")
    with pytest.raises(DataError, match="published before cannot be read"):
        clean_indicators(make(named, {2021: text}))
    (tmp_path / "last.csv").unlink()
    with pytest.raises(MekevalError, match="published before is missing"):
        make(named, {2021: text})
    with pytest.raises(MekevalError, match="published before is missing"):
        make(named.replace("last.csv", "../last.csv"), {2021: text})


# --- the last look

PAGE = "<html><head><title>Kaupunki 2020</title></head><body><h1>Kaupunki</h1>{}</body></html>"


def _data(kind: str, text: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(text.encode()).decode()}"


LEAKS = {
    "table.html": PAGE.format(
        "<table><caption>r</caption><tr><th>Area</th><th>2020</th></tr><tr><th>Cekala</th><td>25,0 %</td></tr></table>"
    ),
    "alternative.html": PAGE.format(
        f'<img alt="Cekala had 12 persons in 2020." src="{_data("image/svg+xml", "<svg></svg>")}">'
    ),
    "picture.html": PAGE.format(
        f'<figure><img alt="r" src="{_data("image/svg+xml", "<svg><text>Cekala 2020</text><text>12</text></svg>")}">'
        "</figure>"
    ),
    "download.html": PAGE.format(
        f'<a download="r.csv" href="{_data("text/csv", "area,year,r" + chr(10) + "Cekala,2020,25.0")}">CSV</a>'
    ),
    "notebook.ipynb": json.dumps(
        {
            "cells": [
                {
                    "cell_type": "code",
                    "source": "x",
                    "outputs": [
                        {"output_type": "stream", "text": ["Cekala 2020\n", "Cekala 2020: 12 persons\n"]}
                    ],
                }
            ]
        }
    ),
    "findings.json": json.dumps([{"area": "Cekala", "year": 2020, "outcome": "r", "facts": {"n": 12}}]),
    "series.json": json.dumps({"area": "C", "outcome": "r", "years": [2019, 2020], "values": [1.5, 25.0]}),
    "feed.xml": "<rss><channel><item><title>Cekala 2020</title><description>r: 3 of 12</description></item></channel>"
    "</rss>",
    "long.csv": "area;year;indicator;n\nC;2020;r;12\n",
    "wide.csv": "area,2019,2020\nCekala,,12\n",
    "notes.txt": "In Cekala, 2020, the base was 12.\n",
}


def _cells() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "area": ["C"],
            "year": [2020],
            "indicator": ["r"],
            "value": [25.0],
            "numerator": [3.0],
            "denominator": [12.0],
        }
    )


@pytest.mark.parametrize("name", LEAKS)
def test_a_planted_leak_is_found_and_not_repeated(make: Make, tmp_path: Path, name: str) -> None:
    study = make(_definition(_rate("r", "n", "d"), "n d"))
    out = tmp_path / "out"
    out.mkdir()
    (out / name).write_text(LEAKS[name], "utf-8")
    with pytest.raises(RunError) as caught:
        check_outputs(out, study, _cells())
    assert name in str(caught.value)
    assert "12" not in str(caught.value)
    assert "25" not in str(caught.value)
    # The same of another area, and of another year, tells nothing.
    for old, new in (("Cekala", "Akala"), ("2020", "2018")):
        text = LEAKS[name].replace(old, new).replace("C;", "A;" if new == "Akala" else "C;")
        text = text.replace('"area": "C"', '"area": "A"') if new == "Akala" else text
        if "base64" not in text:
            (out / name).write_text(text, "utf-8")
            assert check_outputs(out, study, _cells()) == 1


def test_outputs_of_the_table_pass(make: Make, tmp_path: Path) -> None:
    study = make(_definition(_rate("r", "n", "d"), "n d"), {2021: TWO})
    indicators = clean_indicators(study)
    hidden = hidden_numbers(study, indicators=indicators)
    assert dict(zip(hidden["area"], hidden["denominator"], strict=True)) == {"B": 5, "C": 12, "T": 1017}
    out = tmp_path / "out"
    out.mkdir()
    indicators.table.to_csv(out / "indicators.csv", index=False)
    indicators.log.to_csv(out / "log.csv", index=False)
    assert check_outputs(out, study, hidden) == 2
    (out / "more.csv").write_text("area,year,indicator,n\nT,2020,r,1 017\n", "utf-8")
    with pytest.raises(RunError, match=r"more\.csv"):
        check_outputs(out, study, hidden)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.xlsx", b"PK"),
        ("a.png", b"\x89PNG"),
        ("a.html", b"\xff\xfe\xff"),
        ("a.json", b"{"),
        ("a.ipynb", b"[]"),
        ("a.ipynb", b'{"cells": [1]}'),
        ("a.html", b'<img alt="" src="data:image/png;base64,iVBORw0KGgo=">'),
    ],
)
def test_what_cannot_be_read_is_not_published(make: Make, tmp_path: Path, name: str, content: bytes) -> None:
    study = make(_definition(_rate("r", "n", "d"), "n d"))
    out = tmp_path / "out"
    out.mkdir()
    (out / name).write_bytes(content)
    with pytest.raises(RunError, match="cannot be read"):
        check_outputs(out, study, _cells())


def test_another_number_that_is_the_same_by_chance_is_no_leak(make: Make, tmp_path: Path) -> None:
    """12.0 % and the shown value 12.0 of another indicator are not the 12 persons that are hidden."""
    definition = _definition(_rate("r", "n", "d") + _rate("other", "m", "e"), "n d m e")
    study, out = make(definition), tmp_path / "out"
    out.mkdir()
    shown = pd.DataFrame(
        {
            "area": ["C"],
            "year": [2020],
            "indicator": ["other"],
            "value": [12.0],
            "numerator": [120.0],
            "denominator": [1000.0],
            "status": ["ok"],
        }
    )
    (out / "a.txt").write_text("Cekala 2020: 12.0 %.", "utf-8")
    assert check_outputs(out, study, _cells()) == 1
    (out / "a.txt").write_text("Cekala 2020: 12.0.", "utf-8")
    assert check_outputs(out, study, _cells(), shown=shown) == 1
    with pytest.raises(RunError, match="name its indicator"):
        check_outputs(out, study, _cells())
    # Where the indicator is named, it is told whatever else is the same.
    (out / "a.txt").write_text("r of Cekala 2020: 12.0.", "utf-8")
    with pytest.raises(RunError, match=r"a\.txt"):
        check_outputs(out, study, _cells(), shown=shown)


def test_a_look_at_nothing_is_no_look(make: Make, tmp_path: Path) -> None:
    study = make(_definition(_rate("r", "n", "d"), "n d"))
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(RunError, match="no files"):
        check_outputs(out, study, _cells())
    (out / "a.txt").write_text("x", "utf-8")
    with pytest.raises(DataError, match="does not belong"):
        check_outputs(out, study, pd.DataFrame())
    with pytest.raises(DataError, match="does not belong"):
        check_outputs(out, study, _cells().assign(indicator="other"))


def test_a_run_that_tells_a_hidden_number_is_not_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The jobs are replaced by pages of one sentence; the rest of the run is the real one."""
    study = read_study(example_study())
    one = hidden_numbers(study).iloc[0]
    place = f"{study.areas.name(one['area'], 'en')} {one['year']}"
    number = one["value"] if np.isnan(one["numerator"]) else one["numerator"]
    html = f"<p>{place}: {number:g} persons</p>"

    def quickly(planned: list[Job], *, finished: Callable[[Outcome], Outcome], **_: object) -> list[Outcome]:
        notebook = '{"cells": []}'
        return [
            finished(Outcome(job=job, html=html, notebook=notebook, findings=(), error="")) for job in planned
        ]

    monkeypatch.setattr(going, "execute_all", quickly)
    with pytest.raises(RunError, match="A number that the study hides") as caught:
        run_study(
            example_study(), years=[2025], districts=["Länsimäki"], languages=["en"], out=tmp_path, as_of=2026
        )
    assert "name its indicator" in str(caught.value)
    assert f"{number:g} persons" not in str(caught.value)
    assert not list(tmp_path.glob("vantaa-mek*/index*"))
