"""What no source gives, what a later release takes back, and which formula holds in which year."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from mekeval.errors import StudyError
from mekeval.indicators import Indicators, clean_indicators, compare_releases, coverage, interpolate
from mekeval.study import Study, read_study

#: Name of the file, its vintage, its text.
File = tuple[str, int, str]
Make = Callable[..., Study]
AREAS = "code,level,parent,name_fi,population\n" + "".join(
    f"{code},{level},,{code}x,1000\n"
    for code, level in (("A1", "district"), ("A2", "district"), ("B1", "quarter"))
)


def _rate(name: str, numerator: str, denominator: str, more: str = "") -> str:
    return (
        f'[[indicator]]\nname = "{name}"\nnumerator = "{numerator}"\ndenominator = "{denominator}"\n'
        f'higher_is = "worse"\nunit = "percent"\nlabel.fi = "x"\n{more}\n'
    )


def _value(name: str, value: str, base: str, unit: str = "number") -> str:
    return (
        f'[[indicator]]\nname = "{name}"\nvalue = "{value}"\nbase = "{base}"\n'
        f'higher_is = "worse"\nunit = "{unit}"\nlabel.fi = "x"\n'
    )


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A study of files whose columns after `area` and `year` are the items that they hold."""

    def build(files: Sequence[File], indicators: str) -> Study:
        held: dict[str, None] = {}
        sources = ""
        for name, vintage, text in files:
            (tmp_path / name).write_text(text, "utf-8")
            items = text.partition("\n")[0].split(",")[2:]
            held |= dict.fromkeys(items)
            sources += (
                f'[[source]]\nfile = "{name}"\nreader = "csv"\nvintage = {vintage}\n'
                f'area_column = "area"\nyear_column = "year"\nitems = {items}\n'
                'symbols = { ".." = "suppressed" }\n'
                f'sha256 = "{hashlib.sha256(text.encode()).hexdigest()}"\n'
            )
        items = "".join(f'[[item]]\nname = "{one}"\nlabels = ["{one}"]\n' for one in held)
        (tmp_path / "areas.csv").write_text(AREAS, "utf-8")
        (tmp_path / "study.toml").write_text(
            '[study]\nname = "t"\nseed = 1\nminimum_base = 30\ntitle.fi = "t"\nattribution.fi = "t"\n'
            f'[areas]\nfile = "areas.csv"\nunit = "district"\ncity.fi = "X"\n{items}{indicators}{sources}',
            "utf-8",
        )
        return read_study(tmp_path)

    return build


def _at(indicators: Indicators, indicator: str, area: str, year: int) -> dict[str, object]:
    table = indicators.table
    own = (table["indicator"] == indicator) & (table["area"] == area) & (table["year"] == year)
    (row,) = table[own].to_dict("records")
    return row


def _lines(indicators: Indicators, rule: str) -> list[dict[str, object]]:
    return indicators.log[indicators.log["rule"] == rule].to_dict("records")


# --- the second formula

FIRST = "area,year,basic,adults\nA1,2017,20,100\nA2,2017,50,200\n"
SECOND = "area,year,low,rest,educated\nA1,2019,40,60,85\nA2,2019,10,70,..\nA1,2017,1,1,1\n"
OTHERWISE = 'otherwise = "(low + rest - educated) / (low + rest)"'


def test_the_second_formula_holds_where_no_source_gives_the_first(make: Make) -> None:
    files = [("a.csv", 2019, FIRST), ("b.csv", 2021, SECOND)]
    found = clean_indicators(make(files, _rate("basic", "basic", "adults", OTHERWISE)))
    row = _at(found, "basic", "A1", 2019)
    assert (row["numerator"], row["denominator"], row["value"]) == (15.0, 100.0, 15.0)  # 40 + 60 - 85
    assert (row["source"], row["vintage"]) == ("b.csv", 2021)
    assert _at(found, "basic", "A2", 2019)["status"] == "suppressed"
    assert _at(found, "basic", "A1", 2017)["value"] == 20.0  # and not of the items of b.csv
    (line,) = _lines(found, "other_formula")
    assert (line["subject"], line["year"], line["count"]) == ("basic", 2019, 1)
    assert line["found"] == "(low + rest - educated) / (low + rest)"
    assert found.table["area"].tolist() == ["A1", "A1", "A2", "A2"]  # by area and year, as ever
    assert found.table["year"].tolist() == [2017, 2019, 2017, 2019]


def test_one_area_with_the_first_formula_is_enough_for_its_year(make: Make) -> None:
    """Two definitions are never mixed in one year: who lacks the first has no value."""
    both = "area,year,basic,adults,low,rest,educated\nA1,2017,20,100,50,50,80\nA2,2017,,,50,50,70\n"
    found = clean_indicators(make([("a.csv", 2019, both)], _rate("basic", "basic", "adults", OTHERWISE)))
    assert _at(found, "basic", "A2", 2017)["status"] == "missing"
    assert not _lines(found, "other_formula")


def test_items_of_the_second_formula_need_no_source(make: Make) -> None:
    items = "".join(f'[[item]]\nname = "{one}"\nlabels = ["{one}"]\n' for one in ("low", "rest", "educated"))
    study = make([("a.csv", 2019, FIRST)], items + _rate("basic", "basic", "adults", OTHERWISE))
    assert _at(clean_indicators(study), "basic", "A2", 2017)["value"] == 25.0


def test_releases_by_themselves_keep_the_formula_of_the_year(make: Make) -> None:
    """Of one year two releases: neither is computed by the second formula, because the first can be followed."""
    later = "area,year,basic,adults,low,rest,educated\nA1,2017,22,110,1,99,50\n"
    files = [("a.csv", 2019, FIRST), ("b.csv", 2020, later)]
    found = clean_indicators(make(files, _rate("basic", "basic", "adults", OTHERWISE)))
    assert found.releases["value"].tolist() == [20.0, 20.0]
    assert compare_releases(found)["changed"].tolist() == [0]


@pytest.mark.parametrize(
    ("formula", "words"),
    [
        ("(low + rest - educated)", "rate and a value"),
        ("(low + low) / adults", "twice"),
        ("lwo / adults", "Unknown item"),
        ("low / / adults", "otherwise"),
    ],
)
def test_a_second_formula_that_is_none_is_refused(make: Make, formula: str, words: str) -> None:
    with pytest.raises(StudyError, match=words):
        make(
            [("a.csv", 2019, FIRST), ("b.csv", 2021, SECOND)],
            _rate("basic", "basic", "adults", f'otherwise = "{formula}"'),
        )


# --- what nobody published


def test_a_year_in_which_a_whole_part_lacks_is_not_published_and_nobody_is_blamed(make: Make) -> None:
    files = [
        ("a.csv", 2020, "area,year,all\nA1,2018,100\nA2,2018,100\nA1,2019,100\nA2,2019,100\n"),
        ("b.csv", 2021, "area,year,single\nA1,2019,40\n"),
    ]
    found = clean_indicators(make(files, _rate("single", "single", "all") + _value("all", "all", "all")))
    statuses = coverage(found).set_index(["indicator", "area", "year"])["status"]
    assert statuses["single", "A1", 2018] == statuses["single", "A2", 2018] == "not_published"
    assert statuses["single", "A2", 2019] == "missing"  # the statistic is there, and this area is not in it
    (line,) = (line for line in _lines(found, "not_published") if line["found"])
    assert (line["subject"], line["found"], line["count"]) == (
        "single",
        "no source gives single in 2018",
        2,
    )


def test_a_statistic_of_another_level_does_not_make_a_gap(make: Make) -> None:
    """Dwellings of Vantaa's districts say nothing of Helsinki's: their residents alone are no indicator."""
    files = [
        ("a.csv", 2020, "area,year,people\nA1,2018,100\nB1,2018,100\n"),
        ("b.csv", 2020, "area,year,built\nA1,2018,7\n"),
    ]
    found = clean_indicators(make(files, _value("built", "built", "people")))
    assert found.table["area"].tolist() == ["A1"]


# --- zeros


@pytest.mark.parametrize(
    ("people", "status"),
    [("", "not_applicable"), (",0", "empty_area"), (",12", "suppressed"), (",90", "not_applicable")],
)
def test_a_base_that_counts_something_else_makes_no_empty_area(make: Make, people: str, status: str) -> None:
    """Nobody is unemployed in A1: whether anybody lives there, the residents say, where they are known."""
    text = f"area,year,unemployed,percent{',people' if people else ''}\nA1,2018,0,0{people}\n"
    more = _value("people", "people", "people", "persons") if people else ""
    found = clean_indicators(
        make([("a.csv", 2020, text)], _value("rate", "percent", "unemployed", "percent") + more)
    )
    assert _at(found, "rate", "A1", 2018)["status"] == status


def test_jobs_do_not_make_residents(make: Make) -> None:
    """An industrial area: 600 jobs, 0 residents, 0 adults."""
    text = "area,year,people,poor,adults,shops,jobs\nA1,2018,0,0,0,60,600\n"
    rates = _rate("poor", "poor", "adults") + _rate("shops", "shops", "jobs")
    found = clean_indicators(
        make([("a.csv", 2020, text)], rates + _value("people", "people", "people", "persons"))
    )
    assert _at(found, "poor", "A1", 2018)["status"] == "empty_area"
    assert _at(found, "shops", "A1", 2018)["value"] == 10.0


# --- releases


def test_a_number_that_a_later_release_hides_is_kept_with_a_warning(make: Make) -> None:
    files = [
        ("a.csv", 2021, "area,year,n,d\nA1,2020,10,100\nA2,2020,20,100\n"),
        ("b.csv", 2022, "area,year,n,d\nA1,2020,..,..\nA2,2020,22,110\n"),
    ]
    found = clean_indicators(make(files, _rate("r", "n", "d")))
    row = _at(found, "r", "A1", 2020)
    assert (row["value"], row["vintage"]) == (10.0, 2021)
    lines = _lines(found, "hidden_later")
    assert [(line["file"], line["subject"], line["year"], line["count"]) for line in lines] == [
        ("b.csv", "n", 2020, 1),
        ("b.csv", "d", 2020, 1),
    ]
    assert {line["level"] for line in lines} == {"warning"}
    assert lines[0]["found"] == "suppressed here, a number in a.csv, which is kept"
    assert not _lines(found, "confirmed")  # nothing was: no line says 0


def test_an_earlier_release_that_hides_is_no_warning(make: Make) -> None:
    files = [
        ("a.csv", 2021, "area,year,n,d\nA1,2020,..,..\n"),
        ("b.csv", 2022, "area,year,n,d\nA1,2020,22,110\n"),
    ]
    assert not _lines(clean_indicators(make(files, _rate("r", "n", "d"))), "hidden_later")


def test_a_rate_that_keeps_the_older_release_says_so_and_not_that_it_was_revised(make: Make) -> None:
    files = [
        ("a.csv", 2021, "area,year,n,d\nA1,2020,10,100\n"),
        ("b.csv", 2022, "area,year,n\nA1,2020,15\n"),
    ]
    found = clean_indicators(make(files, _rate("r", "n", "d")))
    assert _at(found, "r", "A1", 2020)["value"] == 10.0
    assert not _lines(found, "revised")
    (line,) = _lines(found, "older_release")
    assert (line["level"], line["subject"], line["year"], line["count"]) == ("warning", "r", 2020, 1)
    # A value that does use the newer number is revised.
    found = clean_indicators(make(files, _rate("r", "n", "d") + _value("v", "n", "d")))
    (line,) = _lines(found, "revised")
    assert line["found"] == "10 -> 15 (b.csv)"


def test_split_releases_are_a_status_and_are_counted_once(make: Make) -> None:
    files = [
        ("a.csv", 2021, "area,year,n\nA1,2020,10\nA1,2019,10\nA1,2021,10\n"),
        ("b.csv", 2022, "area,year,d\nA1,2020,100\n"),
        ("c.csv", 2023, "area,year,n,d\nA1,2019,10,100\nA1,2021,30,100\n"),
    ]
    found = clean_indicators(make(files, _rate("r", "n", "d")))
    row = _at(found, "r", "A1", 2020)
    assert row["status"] == "split_releases"
    assert row["value"] != row["value"]
    (line,) = _lines(found, "split_releases")
    assert (line["level"], line["year"], line["count"]) == ("warning", 2020, 1)
    filled = interpolate(found, "r")
    assert _at(filled, "r", "A1", 2020)["value"] == 20.0  # between 10 and 30


# --- numbers of few people in other rows

JOBS = _rate("shops", "shops", "jobs") + _rate("self_sufficiency", "jobs", "employed")
JOBS += _rate("employment", "employed", "adults")


def test_a_small_base_is_not_printed_as_the_numerator_of_another_indicator(make: Make) -> None:
    text = "area,year,shops,jobs,employed,adults\nA1,2020,3,12,400,900\nA2,2020,3,30,400,900\n"
    found = clean_indicators(make([("a.csv", 2021, text)], JOBS))
    for name, status in (
        ("shops", "confidential"),
        ("self_sufficiency", "confidential"),
        ("employment", "ok"),
    ):
        row = _at(found, name, "A1", 2020)
        assert row["status"] == status
        assert np.isnan([row["value"], row["numerator"], row["denominator"]]).tolist() == [status != "ok"] * 3
        assert _at(found, name, "A2", 2020)["status"] == "ok"  # 30 is the limit
    (line,) = _lines(found, "indirect")
    assert (line["level"], line["subject"], line["year"], line["count"]) == (
        "info",
        "self_sufficiency",
        2020,
        1,
    )


def test_a_small_base_is_not_the_difference_of_two_numbers_that_are_shown(make: Make) -> None:
    """50 in the labour force less 30 unemployed are 20 employed, who are the base of another rate."""
    text = "area,year,jobs,employed,unemployed\nA1,2020,5,20,30\nA2,2020,5,30,30\n"
    rates = _rate("jobless", "unemployed", "employed + unemployed") + _rate("jobs", "jobs", "employed")
    found = clean_indicators(make([("a.csv", 2021, text)], rates))
    assert _at(found, "jobless", "A1", 2020)["status"] == "confidential"
    assert _at(found, "jobless", "A2", 2020)["numerator"] == 30.0


@pytest.mark.parametrize(("old", "new"), [(12, 40), (40, 12)])
def test_a_small_base_is_not_in_the_rates_of_its_release_either(make: Make, old: int, new: int) -> None:
    text = "area,year,shops,jobs,employed,adults\nA1,2020,3,{},400,900\n"
    files = [("a.csv", 2021, text.format(old)), ("b.csv", 2022, text.format(new))]
    found = clean_indicators(make(files, JOBS))
    status = found.releases.set_index(["indicator", "vintage"])["status"]
    hidden = [2021] if new >= 30 else [2021, 2022]  # what is hidden now is hidden in every release
    for vintage in (2021, 2022):
        expected = "confidential" if vintage in hidden else "ok"
        assert status["shops", vintage] == status["self_sufficiency", vintage] == expected
        assert status["employment", vintage] == "ok"
    assert f"{old} ->" not in found.log["found"].str.cat(sep=" ")


def test_no_small_base_adds_up_from_what_is_shown(make: Make) -> None:
    """By elimination: a hidden base that is no combination of the shown sums raises the rank of their matrix."""
    items = ("a", "b", "c", "d", "e")
    sums = {
        "one": ("a", "a + b + c"),
        "two": ("b", "a + b"),
        "three": ("d", "c"),
        "four": ("c", "d + e"),
        "five": ("a + d", "a + b + c + d"),
        "six": ("e", "b"),
    }
    rng = np.random.default_rng(20260101)
    years = range(1960, 2020)
    lines = [",".join(map(str, ("A1", year, *rng.integers(0, 60, len(items))))) for year in years]
    text = "\n".join(["area,year," + ",".join(items), *lines]) + "\n"
    numbers = {int(line.split(",")[1]): np.array(line.split(",")[2:], dtype=float) for line in lines}
    rates = "".join(_rate(name, *parts) for name, parts in sums.items())
    found = clean_indicators(make([("x.csv", 2021, text)], rates))

    def vector(expression: str) -> list[float]:
        return [float(item in expression.split(" + ")) for item in items]

    bases = {bottom for _, bottom in sums.values()}
    kept = gone = 0
    for year in years:
        rows = {name: _at(found, name, "A1", year) for name in sums}
        shown = [vector(part) for name in sums if rows[name]["status"] == "ok" for part in sums[name]]
        small = [base for base in bases if 0 < np.dot(vector(base), numbers[year]) < 30]
        for base in small if shown else ():
            both = np.linalg.matrix_rank(np.array([*shown, vector(base)]))
            assert both > np.linalg.matrix_rank(np.array(shown)), (year, base)
        gone += len(small) > 0
        if not small:
            kept += 1
            assert "confidential" not in {row["status"] for row in rows.values()}
    assert min(kept, gone) > 3


# --- what is no count, and what stands twice


def test_a_fraction_of_a_person_is_no_person(make: Make) -> None:
    """1.234 is 1,234 people with a point, and would be one: the share of it would look like any other."""
    text = "area,year,poor,people,income\nA1,2020,40.5,1000,20000.5\nA2,2020,40,1000.25,20000.5\n"
    study = make(
        [("a.csv", 2021, text)], _rate("poor", "poor", "people") + _value("income", "income", "people")
    )
    found = clean_indicators(study)
    assert _at(found, "income", "A1", 2020)["value"] == 20000.5  # an average may have decimals
    wrong = [("poor", "A1"), ("poor", "A2"), ("income", "A2")]
    assert {_at(found, *place, 2020)["status"] for place in wrong} == {"implausible"}
    assert [(line["subject"], line["area"], line["found"]) for line in _lines(found, "implausible")] == [
        ("poor", "A1", "40.5, expected a whole number of persons"),
        ("poor", "A2", "1000.25, expected a whole number of persons"),
        ("income", "A2", "1000.25, expected a whole number of persons"),
    ]
