"""The shipped catalogue: labels stand in real files, criteria say what they are, a study takes what it needs."""

from __future__ import annotations

import csv
import importlib.util
import json
import re
import shutil
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest

import mekeval.study.catalogue as home
from mekeval.errors import StudyError
from mekeval.sources import read_source
from mekeval.sources.cells import label_key, split_label
from mekeval.study import (
    CATALOGUES,
    SourceSpec,
    Study,
    Words,
    catalogue_table,
    criteria_table,
    read_study,
    schema,
)

ROOT = Path(__file__).resolve().parents[1]
CATALOGUE = {name: home.read_catalogue(name) for name in CATALOGUES}
ITEMS = {item.name: item for each in CATALOGUE.values() for item in each.item}
INDICATORS = {indicator.name: indicator for each in CATALOGUE.values() for indicator in each.indicator}
THEMES = "statfi-paavo/pxweb-themes-2012-2017"
#: Columns of Paavo that are no statistic.
PLACES = {"x coordinate", "y coordinate", "x coordinate in metres", "y coordinate in metres", "surface area"}
#: Short names of Statistics Finland's content description whose columns no release at hand has.
DESCRIBED = {"pt_tyovy", "pt_tyovu"}


def _script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _source(items: list[str], **keys: object) -> SourceSpec:
    return SourceSpec.model_validate({"file": "file", "sha256": "", "vintage": 2018, "items": items, **keys})


def _cells(path: Path, items: list[str], **keys: object) -> pd.DataFrame:
    """Values by area and year, one column for each item."""
    source = _source(items, **keys)
    labels = {name: item.spellings(source.vintage) for name, item in ITEMS.items()}
    cells = read_source(path, source, labels).cells
    return cells.pivot(index=["area_label", "year"], columns="item", values="value")


@pytest.mark.parametrize("kind", ["item", "indicator"])
def test_names_are_of_one_catalogue(kind: str) -> None:
    names = [one.name for each in CATALOGUE.values() for one in getattr(each, kind)]
    assert len(names) == len(set(names))


def _labels(name: str, vintage: int) -> list[tuple[str, str]]:
    return [
        (item.name, label_key(label)) for item in CATALOGUE[name].item for label in item.spellings(vintage)
    ]


@pytest.mark.parametrize("name", CATALOGUES)
def test_a_label_is_of_one_item_in_every_release(name: str) -> None:
    for vintage in range(2009, 2031):
        keys = [key for _, key in _labels(name, vintage)]
        assert len(keys) == len(set(keys)), vintage


@pytest.mark.parametrize("indicator", INDICATORS.values(), ids=list(INDICATORS))
def test_an_indicator_is_whole(indicator: schema.IndicatorSpec) -> None:
    own = next(name for name, each in CATALOGUE.items() if indicator in each.indicator)
    other = indicator.by_otherwise
    items = {*indicator.items, *(other.items if other else ())}
    assert items <= {item.name for item in CATALOGUE[own].item}
    assert bool(indicator.numerator and indicator.denominator) != bool(indicator.value and indicator.base)
    assert bool(indicator.proxy_for) == bool(indicator.differs)
    assert not (indicator.proxy_for and indicator.criterion)
    assert {indicator.proxy_for, indicator.criterion} - {""} <= set(criteria_table()["criterion"])
    assert indicator.plausible  # without one a share above 100 is refused, and self-sufficiency may be above
    assert indicator.plausible[0] < indicator.plausible[1]
    for words in (indicator.label, indicator.note, indicator.differs):
        assert words is None or all((words.fi, words.sv, words.en))


def test_every_item_is_somebodys() -> None:
    """An item that no indicator uses is there for studies; but a misspelt name in a formula would be one too."""
    used = {name for indicator in INDICATORS.values() for name in indicator.items}
    assert used <= set(ITEMS)
    assert {item for table in CATALOGUE["aluesarjat"].table for item in table.items} == {
        item.name for item in CATALOGUE["aluesarjat"].item
    }


def _headers(raw: Path) -> Iterator[tuple[str, int, set[str]]]:
    """Each file of Paavo with its release and its labels, read here without the readers."""
    releases = {"HE": 2, "KO": 3, "HR": 3, "TR": 3, "TE": 2, "RA": 2, "TP": 3, "PT": 3}
    for path in sorted((raw / THEMES).glob("*.csv")):
        with path.open(encoding="iso-8859-1", newline="") as stream:
            header = next(csv.reader(stream))[1:]
        group, year = re.search(r"\((\w\w)\)$", header[0]), int(path.stem[-4:])
        lag = releases[group.group(1)] if group else 2
        lag = 2 if group and group.group(1) == "KO" and year > 2015 else lag
        yield path.name, year + lag, {split_label(name)[0] for name in header}
    for path in sorted((raw / "statfi-paavo/pxweb-12f7-helsinki-2020-2023").glob("*.csv")):
        with path.open(encoding="iso-8859-1", newline="") as stream:
            rows = list(csv.reader(stream))[3:]
        yield path.name, 2024, {row[1] for row in rows if len(row) > 2}
    for name, release, separator in (
        ("vintage-2018/paavo_9_koko.csv", 2018, ";"),
        ("vintage-2026/paavo_master.csv", 2026, ","),
    ):
        with (raw / "statfi-paavo" / name).open(encoding="utf-8-sig", newline="") as stream:
            header = next(csv.reader(stream, delimiter=separator))
        words = ("Post", "Alueen")
        yield name, release, {split_label(each)[0] for each in header if not each.startswith(words)}
    content = (raw / "statfi-paavo/vintage-2019/pno_tilasto_2019.dbf").read_bytes()
    (size,) = struct.unpack_from("<H", content, 8)
    fields = {content[at : at + 11].split(b"\0")[0].decode() for at in range(32, size - 1, 32)}
    short = re.compile(r"(he|ko|hr|te|tr|ra|tp|pt)_")
    yield "pno_tilasto_2019.dbf", 2019, {field for field in fields if short.match(field)}
    for release in (2024, 2026):
        path = raw / f"statfi-paavo/vintage-{release}/metro_neighborhoods.geojson"
        properties = json.loads(path.read_bytes())["features"][0]["properties"]
        yield path.name, release, {name for name in properties if short.match(name)}


def test_every_column_of_paavo_is_an_item_and_every_label_is_a_column(raw: Path) -> None:
    seen: set[str] = set()
    files = 0
    for file, release, labels in _headers(raw):
        known = {key: item for item, key in _labels("paavo", release)}
        keys = {label_key(label) for label in labels} - PLACES
        assert keys <= set(known), (file, sorted(keys - set(known)))
        assert len({known[key] for key in keys}) == len(keys), f"{file}: two columns are one item"
        seen |= keys
        files += 1
    assert files == 41 + 4 + 2 + 1 + 2
    always = {
        label_key(one) for item in CATALOGUE["paavo"].item for one in item.labels if isinstance(one, str)
    }
    assert always - seen == DESCRIBED


def test_labels_of_one_release_only_are_of_the_data_frame_of_2021(raw: Path) -> None:
    pyreadr = pytest.importorskip("pyreadr")
    path = raw / "statfi-paavo/vintage-2021/pnro_data_20210304.RData"
    columns = set(pyreadr.read_r(str(path))["pnro.population"].columns)
    always = {key for _, key in _labels("paavo", 2020)}
    only = {key for _, key in _labels("paavo", 2021)} - always
    assert only == columns - {"pnro", "name", "municipality", "area_km2", "density_per_km2"}


def test_columns_of_the_data_frame_mean_what_the_catalogue_says(raw: Path) -> None:
    """Parts add up to their whole, and stocks of buildings are near those of the release of 2019."""
    pytest.importorskip("pyreadr")
    items = [
        "population",
        "educated_adults",
        "matriculated_adults",
        "vocational_or_lowest_tertiary_adults",
        "lower_university_adults",
    ]
    items += ["higher_tertiary_adults", "buildings", "other_buildings", "residential_buildings", "dwellings"]
    items += ["floor_area_per_person", "workplaces", "households"]
    keys = {"reader": "paavo-rdata", "table": "pnro.population", "area_column": "pnro", "year": 2019}
    path = raw / "statfi-paavo/vintage-2021/pnro_data_20210304.RData"
    new = _cells(path, items, vintage=2021, **keys).droplevel("year")
    parts = ["matriculated_adults", "vocational_or_lowest_tertiary_adults", "lower_university_adults"]
    parts.append("higher_tertiary_adults")
    whole = new.dropna(subset=[*parts, "educated_adults"])
    assert (whole[parts].sum(axis=1) == whole["educated_adults"]).all()
    assert len(whole) > 2_500
    built = new.dropna(subset=["buildings", "other_buildings", "residential_buildings"])
    assert (built["other_buildings"] + built["residential_buildings"] == built["buildings"]).mean() > 0.99
    path = raw / "statfi-paavo/vintage-2019/pno_tilasto_2019.dbf"
    dbf = {"reader": "paavo-dbf", "area_column": "posti_alue", "year": 2017, "vintage": 2019}
    old = _cells(path, items, **dbf).droplevel("year")
    for item in ("dwellings", "floor_area_per_person", "households", "buildings"):
        both = pd.concat([old[item], new[item]], axis=1, keys=["old", "new"]).dropna()
        both = both[both["old"] > 0]
        assert (both["new"] / both["old"]).median() == pytest.approx(1, abs=0.05), item


OLD_LEVELS = ("vocational_or_lowest_tertiary_adults", "lower_university_adults")
NEW_LEVELS = ("vocational_adults", "lower_tertiary_adults")


def test_the_lowest_level_of_tertiary_education_is_in_one_item_in_each_release() -> None:
    for vintage in range(2015, 2031):
        short = {ITEMS[name].name: ITEMS[name].spellings(vintage) for name in (*OLD_LEVELS, *NEW_LEVELS)}
        holds, other = (OLD_LEVELS, NEW_LEVELS) if vintage <= 2023 else (NEW_LEVELS, OLD_LEVELS)
        assert "ko_ammat" in short[holds[0]]
        assert "ko_al_kork" in short[holds[1]]
        assert not {"ko_ammat", "ko_al_kork"} & {*short[other[0]], *short[other[1]]}
        assert "Vocational diploma (KO)" in short[holds[0]]


def test_the_lowest_level_of_tertiary_education_moved_between_2019_and_2020(raw: Path) -> None:
    """Shares of adults in all Helsinki (codes 00): some 8 points go from vocational to the lower degrees, none before.

    The release of 2024 (short names) equals table 12f7 of 2025, whose label says both levels; the dBASE file of 2019
    equals the theme table, whose label says one.
    """
    pytest.importorskip("pyreadr")
    folder = raw / "statfi-paavo"
    old, new = ["higher_tertiary_adults", *OLD_LEVELS], ["higher_tertiary_adults", *NEW_LEVELS]
    adults = ["low_income_adults", "middle_income_adults", "high_income_adults"]
    rdata = {"reader": "paavo-rdata", "table": "pnro.population", "area_column": "pnro", "year": 2019}
    dbf = {"reader": "paavo-dbf", "area_column": "posti_alue", "year": 2017, "vintage": 2019}
    geo = {"reader": "paavo-geojson", "area_column": "postinumeroalue", "year": 2022, "vintage": 2024}
    theme = folder / "pxweb-themes-2012-2017/Educational_structure_2017.csv"
    wide = folder / "pxweb-12f7-helsinki-2020-2023"

    def helsinki(cells: pd.DataFrame, whole: list[str]) -> pd.DataFrame:
        cells = cells.set_axis(cells.index.get_level_values(0).str[:5])
        cells = cells[cells.index.str.startswith("00")].astype(float)
        cells = cells.assign(adults=cells[whole].sum(axis=1, skipna=False))
        return cells[(cells["adults"] >= 30) & cells.notna().all(axis=1)]

    one, frame = ["adults_education"], folder / "vintage-2021/pnro_data_20210304.RData"
    first = wide / "009_12f7_2020_all.csv"
    years = {
        2017: helsinki(_cells(theme, [*old, *one], reader="pxweb-csv", vintage=2019), one),
        2019: helsinki(_cells(frame, [*old, *adults], vintage=2021, **rdata), adults),
        2020: helsinki(_cells(first, [*new, *one], reader="pxweb-csv", vintage=2025), one),
    }
    lower, vocational = {}, {}
    for year, cells in years.items():
        levels = OLD_LEVELS if year < 2020 else NEW_LEVELS
        vocational[year], lower[year] = (
            float((100 * cells[name] / cells["adults"]).median()) for name in levels
        )
    assert abs(vocational[2019] - vocational[2017]) < 1
    assert abs(lower[2019] - lower[2017]) < 1.5
    assert vocational[2020] - vocational[2019] == pytest.approx(-8.4, abs=0.5)
    assert lower[2020] - lower[2019] == pytest.approx(8.6, abs=0.5)
    same = _cells(folder / "vintage-2019/pno_tilasto_2019.dbf", old, **dbf).droplevel("year")
    there = years[2017].index.intersection(same.index)
    assert (same.loc[there, old] == years[2017].loc[there, old]).all(axis=None)
    later = _cells(folder / "vintage-2024/metro_neighborhoods.geojson", new, **geo).droplevel("year")
    table = helsinki(
        _cells(wide / "009_12f7_2022_all.csv", [*new, *one], reader="pxweb-csv", vintage=2025), one
    )
    there = table.index.intersection(later.index)
    assert len(there) > 80
    assert (later.loc[there, new] == table.loc[there, new]).all(axis=1).mean() > 0.97  # README: 82 of 84


def test_jobs_of_the_release_of_2026_are_those_of_2024(raw: Path) -> None:
    """The note of `workplaces_total`: every cell of TP is the same, and hardly any other."""
    releases = []
    for release in (2024, 2026):
        features = json.loads(
            (raw / f"statfi-paavo/vintage-{release}/metro_neighborhoods.geojson").read_bytes()
        )
        rows = [feature["properties"] for feature in features["features"]]
        releases.append(pd.DataFrame(rows).set_index("postinumeroalue"))
    both = releases[0].index.intersection(releases[1].index)
    old, new = (each.loc[both].filter(regex="^(tp|he|pt)_") for each in releases)
    same = (old == new).mean()
    assert (same.filter(regex="^tp_") == 1).all()
    assert same[["he_vakiy", "pt_tyoll"]].max() < 0.05


def test_the_low_income_share_of_koivukyla_havukoski(raw: Path) -> None:
    """18.4 in 2012, 20.8 in 2019 and 25.3 in 2024: the figures that the README of the raw data gives."""
    items = ["low_income_adults", "middle_income_adults", "high_income_adults"]
    folder = raw / "statfi-paavo"
    rdata = {"reader": "paavo-rdata", "table": "pnro.population", "area_column": "pnro", "year": 2019}
    wide = {"reader": "paavo-wide", "area_column": "Postinumero", "year": 2024, "vintage": 2026}
    theme = raw / THEMES / "Inhabitants_disposable_monetary_income_2012.csv"
    for share, cells in (
        (18.4, _cells(theme, items, reader="pxweb-csv", vintage=2015)),
        (20.8, _cells(folder / "vintage-2021/pnro_data_20210304.RData", items, vintage=2021, **rdata)),
        (25.3, _cells(folder / "vintage-2026/paavo_master.csv", items, **wide)),
    ):
        (row,) = cells[cells.index.get_level_values(0).str.startswith("01360")].to_dict("records")
        assert 100 * row["low_income_adults"] / sum(row.values()) == pytest.approx(share, abs=0.05)


@pytest.mark.parametrize("table", CATALOGUE["aluesarjat"].table, ids=lambda table: table.name)
def test_tables_of_the_area_series_are_read_as_the_catalogue_says(raw: Path, table: home.Published) -> None:
    path = raw / "aluesarjat" / "px" / f"{table.name}.px"
    cells = _cells(path, list(table.items), vintage=2010, **table.keys)
    ages = [item for item in table.items if re.fullmatch(r"residents_\d+_\d+|residents_85_over", item)]
    known = cells.dropna()
    assert len(known) > 400
    if (
        ages
    ):  # they are the whole, and 65 and over is a sum of them; some sums of the years before 1997 are not
        late = known[known.index.get_level_values("year") >= 1997]
        old = ["residents_65_74", "residents_75_84", "residents_85_over"]
        for each, least in ((known, 0.98), (late, 1)):
            assert (each[ages].sum(axis=1) == each["residents_1_january"]).mean() >= least
            assert (each[old].sum(axis=1) == each["residents_65_over"]).mean() >= least
    elif "aged_25_44" in table.items:
        assert (known["any_qualification_25_44"] + known["no_post_basic_25_44"] == known["aged_25_44"]).all()
    elif "residents_swedish" in table.items:
        assert (known["residents_swedish"] <= known["residents_all_languages"]).all()
    elif "unemployed_31_december" in table.items:
        force = (
            known["unemployed_31_december"] / known["unemployment_rate_31_december"]
        )  # in hundreds of persons
        districts, city = force[force.index.get_level_values(0).str.len() == 5], force.xs("092")
        by_year = districts.groupby("year").sum()
        assert (by_year / city).between(0.9, 1.1).all()
    else:
        assert (known["completed_floor_area"] >= 10 * known["completed_dwellings"]).mean() > 0.95


def test_sotkanet_file_of_another_package(raw: Path) -> None:
    pytest.importorskip("pyreadr")
    (table,) = (each for each in CATALOGUE["sotkanet"].table if each.name.endswith(".rda"))
    path = raw / "sotkanet" / "sotkadata_population.rda"
    cells = _cells(path, list(table.items), vintage=2023, **table.keys)
    assert cells.loc[("092", 2020), "population_127"] == pytest.approx(237_000, rel=0.01)


def test_every_criterion_has_a_word_from_every_catalogue() -> None:
    table = criteria_table("fi")
    assert set(table["catalogue"]) == set(CATALOGUES)
    assert table.groupby("criterion")["catalogue"].nunique().eq(3).all()
    assert set(table["criterion"]) == {
        "low_income_rate", "basic_education_25_44", "unemployment_rate", "foreign_language_0_6",
    }  # fmt: skip
    assert (table["differs"].ne("") == table["kind"].eq("proxy")).all()
    assert (table["indicator"].eq("") == table["kind"].eq("none")).all()
    assert not table.isna().any().any()


def test_tables_for_a_researcher() -> None:
    assert list(catalogue_table("sotkanet", language="sv")["catalogue"].unique()) == ["sotkanet"]
    assert len(catalogue_table()) == len(INDICATORS)
    with pytest.raises(StudyError, match="closest: 'paavo'"):
        catalogue_table("pavo")
    with pytest.raises(StudyError, match="no texts in this language"):
        criteria_table("de")


Edit = Callable[..., Path]


@pytest.fixture
def take(tmp_path: Path, example: Study) -> Edit:
    """The embedded study with a table [catalogue], further text and changes."""

    def write(table: str, *changes: tuple[str, str]) -> Path:
        folder = tmp_path / "study"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(example.folder, folder)
        file = folder / "study.toml"
        text = file.read_text("utf-8")
        for old, new in changes:
            assert old in text, old
            text = text.replace(old, new)
        file.write_text(f"[catalogue]\n{table}\n{text}", "utf-8")
        return folder

    return write


INCOME = (  # the study's own definitions of the median income, which the catalogue has too
    ('items = ["adults", "median_income_eur"]', 'items = ["aged_18_over", "purse"]'),
    ('name = "adults"', 'name = "aged_18_over"'),
    ('name = "median_income_eur"', 'name = "purse"'),
    ('value = "median_income_eur"\nbase = "adults"', 'value = "purse"\nbase = "aged_18_over"'),
)


def test_a_study_takes_only_what_it_needs(take: Edit) -> None:
    study = read_study(
        take(
            'use = ["paavo"]\nindicators = ["pensioner_share"]',
            (
                'items = ["labour_force", "unemployed"]',
                'items = ["labour_force", "unemployed", "pensioners", "students"]',
            ),
            (
                'items = ["population", "low_income_persons"]',
                'items = ["population", "inhabitants_activity"]',
            ),
            ('items = ["adults"', 'items = ["low_income_persons", "adults"'),
        )
    )
    own = [item.name for item in study.spec.item]
    assert [name for name in own if name in ITEMS][-3:] == ["inhabitants_activity", "students", "pensioners"]
    assert "men" not in own  # what nothing uses is not taken
    assert [indicator.name for indicator in study.spec.indicator][:2] == [
        "pensioner_share",
        "low_income_rate",
    ]
    assert study.indicator("pensioner_share") == INDICATORS["pensioner_share"]


def test_an_item_of_the_study_adds_its_labels(take: Edit) -> None:
    folder = take('use = ["paavo"]')
    population = next(item for item in read_study(folder).spec.item if item.name == "population")
    assert population.labels == (*ITEMS["population"].labels, "Asuntoväestö")


def test_a_study_changes_with_the_definitions_that_it_takes(
    take: Edit, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = take('use = ["paavo"]')
    before = read_study(folder).sha256
    assert read_study(folder).sha256 == before
    paavo = CATALOGUE["paavo"]

    def changed(item: str) -> home.Catalogue:
        items = tuple(
            each.model_copy(update={"labels": (*each.labels, "new")}) if each.name == item else each
            for each in paavo.item
        )
        return paavo.model_copy(update={"item": items})

    monkeypatch.setattr(home, "_catalogue", lambda name: changed("population"))
    assert read_study(folder).sha256 != before
    monkeypatch.setattr(home, "_catalogue", lambda name: changed("men"))  # of no use to this study
    assert read_study(folder).sha256 == before


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('use = ["pavo"]', ["no such catalogue", "closest: 'paavo'", "study.toml"]),
        ('use = ["paavo"]\nindicators = ["pensioner_shar"]', ["no such indicator", "closest: 'pensioner_share'"]),
        ('use = ["sotkanet"]\nindicators = ["pensioner_share"]', ["no such indicator", "'pensioner_share'"]),
        ('use = ["paavo"]\nindicators = ["median_income"]', ["and defined in the study", "'median_income'"]),
        ('use = ["paavo"]\nindicators = ["rented_share", "rented_share"]', ["taken twice", "'rented_share'"]),
        ('use = []', ["'catalogue.use'"]),
        ('use = ["paavo"]\nindicator = ["rented_share"]', ["Unknown key 'catalogue.indicator'", "indicators"]),
        ('use = ["paavo"]\nindicators = ["rented_share"]', ["No source holds the item 'rented_households'"]),
    ],
)  # fmt: skip
def test_what_a_catalogue_has_not_is_refused(take: Edit, table: str, said: list[str]) -> None:
    with pytest.raises(StudyError) as caught:
        read_study(take(table))
    for words in said:
        assert words in str(caught.value)
    if "twice" in said[0]:
        assert len(caught.value.faults) == 1


def test_an_unknown_item_is_answered_from_the_catalogue_too(take: Edit) -> None:
    with pytest.raises(StudyError, match="closest: 'pensioners'"):
        read_study(take('use = ["paavo"]', ('items = ["adults"', 'items = ["pensionrs", "adults"')))


def test_a_catalogue_in_use_of_a_real_study(raw: Path, tmp_path: Path) -> None:
    """The real study's own items and indicators and those of the catalogue give the same numbers."""
    folder = tmp_path / "study"
    shutil.copytree(ROOT / "data" / "vantaa-mek-paavo", folder)
    file = folder / "study.toml"
    text = file.read_text("utf-8")
    own = read_study(ROOT / "data" / "vantaa-mek-paavo", raw=raw).spec
    assert own.catalogue is None  # else there would be nothing of its own to compare
    tables = re.split(r"(?m)^(?=\[)", text)
    kept = [  # dwellings are an item of the catalogue and no indicator of it
        each
        for each in tables
        if not each.startswith(("[[item]]", "[[indicator]]"))
        or 'name = "dwellings"' in each.split("label")[0]
    ]
    wanted = '["low_income_rate", "unemployment_rate", "basic_education", "median_income"]'
    file.write_text("".join([f'[catalogue]\nuse = ["paavo"]\nindicators = {wanted}\n', *kept]), "utf-8")
    taken = read_study(folder, raw=raw).spec
    both = [sorted(spec.indicator, key=lambda one: one.name) for spec in (own, taken)]
    assert [one.name for one in both[0]] == [one.name for one in both[1]]
    for mine, theirs in zip(*both, strict=True):
        assert (set(mine.items), mine.unit, mine.higher_is) == (
            set(theirs.items),
            theirs.unit,
            theirs.higher_is,
        )
    shipped = {item.name: item for item in taken.item}
    for item in own.item:
        for vintage in (2015, 2018, 2019, 2021, 2024, 2026):
            here, there = set(item.spellings(vintage)), set(shipped[item.name].spellings(vintage))
            assert here - there <= {
                "low_income",
                "mid_income",
                "hi_income",
                "median_income",
                "employed",
                "unemployed",
            }
        assert set(item.spellings(2021)) <= set(shipped[item.name].spellings(2021))


@pytest.mark.parametrize("name", ["write_catalogue", "write_study"])
def test_the_pages_are_what_the_definitions_say(name: str) -> None:
    script = _script(name)
    assert script.page() == script.PAGE.read_text(encoding="utf-8"), "run `make pages`"


def test_every_key_of_a_study_is_explained() -> None:
    script = _script("write_study")
    tables = {
        model
        for model in vars(schema).values()
        if isinstance(model, type) and issubclass(model, schema.StudyTable) and model is not schema.StudyTable
    }
    assert tables == set(script.TABLES)
    page = script.page()
    for model in script.TABLES:
        assert set(script.texts(model)) == set(model.model_fields), model
        assert all(re.search(rf"^\| `{key}` \| \S.* \|.*\w.* \|$", page, re.M) for key in model.model_fields)


def test_the_shortest_study_of_the_page_is_one(raw: Path, tmp_path: Path) -> None:
    """The first block of TOML in docs/study.md, with a real file under it."""
    script = _script("write_study")
    block = re.findall(r"```toml\n(.*?)```", script.page(), re.S)[0]
    (tmp_path / "raw").mkdir()
    shutil.copy(raw / THEMES / "Main_type_of_activity_2015.csv", tmp_path / "raw")
    (tmp_path / "areas.csv").write_text(
        "code,level,name_fi\n01360,postal_area,Koivukylä-Havukoski\n", "utf-8"
    )
    (tmp_path / "study.toml").write_text(block, "utf-8")
    study = read_study(tmp_path)
    assert [item.name for item in study.spec.item] == ["employed", "unemployed"]
    assert study.indicator("unemployment_rate").label == Words(
        fi="Työttömyysaste", sv="Arbetslöshetsgrad", en="Unemployment rate"
    )
