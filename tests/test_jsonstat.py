"""JSON-stat 2.0 and Sotkanet's JSON: the forms that are read and those that are refused."""

from __future__ import annotations

import copy
import json
import random
import warnings
from pathlib import Path

import pytest

from mekeval.errors import MekevalError
from mekeval.sources import RawTable, read_source
from mekeval.study import SourceSpec

LABELS = {"people": ["Asuntoväestö", "127"], "income": ["Mediaanitulot", "hr_mtu"]}

#: Written by hand after https://json-stat.org/full/: 2 measures x 2 areas x 2 years x 1 sex.
DATASET = {
    "version": "2.0",
    "class": "dataset",
    "label": "Paavo",
    "source": "Tilastokeskus",
    "updated": "2024-01-26T06:00:00Z",
    "id": ["Tiedot", "Postinumeroalue", "Vuosi", "sex"],
    "size": [2, 2, 2, 1],
    "role": {"time": ["Vuosi"], "geo": ["Postinumeroalue"], "metric": ["Tiedot"]},
    "dimension": {
        "Tiedot": {
            "label": "Tiedot",
            "category": {
                "index": ["he_vakiy", "hr_mtu"],
                "label": {"he_vakiy": "Asuntoväestö", "hr_mtu": "Mediaanitulot"},
                "unit": {"hr_mtu": {"base": "euro"}},
            },
        },
        "Postinumeroalue": {
            "label": "Postinumeroalue",
            "category": {"index": {"01280": 1, "01200": 0}, "label": {"01200": "Hakunila", "01280": "Länsimäki"}},
        },
        "Vuosi": {"category": {"index": ["2019", "2020"]}},
        "sex": {"label": "Sukupuoli", "category": {"label": {"total": "Yhteensä"}}},
    },
    "value": [1, 2, 3, 4, 20500.5, None, None, 8],
    "status": {"5": "..", "6": ".", "7": "p"},
    "extension": {"px": {"decimals": 0}},
}  # fmt: skip
EXPECTED = {
    ("01200", "people", 2019): 1.0,
    ("01200", "people", 2020): 2.0,
    ("01280", "people", 2019): 3.0,
    ("01280", "people", 2020): 4.0,
    ("01200", "income", 2019): 20500.5,
    ("01200", "income", 2020): "suppressed",
    ("01280", "income", 2019): "not_applicable",
    ("01280", "income", 2020): 8.0,
}
RECORDS = [
    {"indicator": 127, "region": 92, "year": 2019, "gender": "total", "value": 233775, "absValue": 233775},
    {"indicator": 127, "region": 92, "year": 2019, "gender": "male", "value": 115000.5, "absValue": 115000},
    {"indicator": 127, "region": 91, "year": 2019, "gender": "total", "value": None},
    {"indicator": 5, "region": 91, "year": 2019, "gender": "total", "value": 7.5},
]


def _read(folder: Path, content: object, reader: str = "json-stat", **given: object) -> RawTable:
    path = folder / "file.json"
    if not isinstance(content, bytes):
        content = (content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)).encode()
    path.write_bytes(content)
    words: dict[str, object] = {
        "file": "raw/file.json", "reader": reader, "vintage": 2024, "sha256": "0" * 64, "items": ("people", "income")
    }  # fmt: skip
    return read_source(path, SourceSpec.model_validate(words | given), LABELS)


def _cells(table: RawTable) -> dict[tuple[str, str, int], float | str]:
    return {
        (row["area_label"], row["item"], row["year"]): row["value"]
        if row["status"] == "ok"
        else row["status"]
        for row in table.cells.to_dict("records")
    }


def _refused(folder: Path, content: object, reader: str = "json-stat", **given: object) -> str:
    with pytest.raises(MekevalError) as caught:
        _read(folder, content, reader, **given)
    assert "raw/file.json" in str(caught.value)
    return str(caught.value)


def _with(**changes: object) -> dict[str, object]:
    return copy.deepcopy(DATASET) | changes


def test_a_dataset_by_its_own_roles(tmp_path: Path) -> None:
    table = _read(tmp_path, DATASET)
    assert _cells(table) == EXPECTED
    rows = table.cells.set_index(["item", "area_label", "year"])["row"]
    assert rows["income", "01280", 2019] == 7  # the seventh value, from 1
    said = " | ".join(table.notes)
    for words in (
        "JSON-stat 2.0",
        "source: Tilastokeskus",
        "updated: 2024",
        "euro",
        "1 values with status 'p'",
    ):
        assert words in said


def test_values_and_statuses_as_arrays_objects_or_one_word(tmp_path: Path) -> None:
    sparse = {"0": 1, "1": 2, "2": 3, "3": 4, "4": 20500.5, "7": 8}
    listed = [None, None, None, None, "", "..", ".", "p"]
    for changes in ({"value": sparse}, {"status": listed}, {"value": sparse, "status": listed}):
        assert _cells(_read(tmp_path, _with(**changes))) == EXPECTED
    silent = _cells(_read(tmp_path, _with(status=None)))
    assert silent["01200", "income", 2020] == "missing"
    hidden = _cells(_read(tmp_path, _with(value=[None] * 8, status="..")))
    assert set(hidden.values()) == {"suppressed"}
    nil = _cells(_read(tmp_path, _with(status={"5": "-", "6": "."})))
    assert nil["01200", "income", 2020] == 0  # "-" is a true zero


def test_dimensions_named_by_the_study(tmp_path: Path) -> None:
    content = _with(role={})
    given = {"area_column": "postinumeroalue", "item_column": "Tiedot", "year_column": "Vuosi"}
    assert _cells(_read(tmp_path, content, **given)) == EXPECTED
    labelled = _cells(_read(tmp_path, content, **given, area_by="label"))
    assert labelled["Hakunila", "people", 2019] == 1
    assert _cells(_read(tmp_path, content, **given, take={"Sukupuoli": "total"})) == EXPECTED


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"class": "collection"}, ["class \"dataset\"", "'collection'"]),
        ({"value": [1, 2, 3]}, ["3 cells", "8 cells"]),
        ({"value": {"8": 1}}, ["outside the cells", "'8'", "0 to 7"]),
        ({"value": {"x": 1}}, ["outside the cells"]),
        ({"value": [1, 2, 3, 4, 5, 6, 7, "8"]}, ["row 8", "no number"]),
        ({"value": [1, 2, 3, 4, 5, 6, 7, True]}, ["row 8", "no number"]),
        ({"value": [1, 2, 3, 4, 5, 6, 7, 10**400]}, ["too large"]),
        ({"value": 5}, ["array or an object"]),
        ({"status": {"5": "??", "6": "."}}, ["row 6", "found: ??", "nobody explained"]),
        ({"status": {"0": "..", "5": ".."}}, ["there and marked as missing"]),
        ({"status": ["p"]}, ["status", "1 cells"]),
        ({"size": [2, 2, 2]}, ["id and size"]),
        ({"size": [2, 2, 2, True]}, ["id and size"]),
        ({"size": [2, 2, 1, 2]}, ["'Vuosi'"]),
        ({"size": [2**10, 2**10, 2**10, 2**10]}, ["too many cells"]),
        ({"id": ["Tiedot", "Tiedot", "Vuosi", "sex"]}, ["id and size"]),
        ({"dimension": {}}, ["'Tiedot'"]),
        ({"role": {}}, ["areas is not known"]),
        ({"role": {"geo": ["Postinumeroalue"]}}, ["'Tiedot' is left undecided", "'Asuntoväestö'"]),
    ],
)  # fmt: skip
def test_a_broken_dataset_is_refused(tmp_path: Path, changes: dict[str, object], said: list[str]) -> None:
    message = _refused(tmp_path, _with(**changes))
    for words in said:
        assert words in message


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"<html>", "web page"),
        (b"[1]", "dataset"),
        (b'{"class": "dataset", "class": "dataset"}', "twice"),
        (b'{"class":\n"data', "row 2"),
        (b'{"value": [NaN]}', "NaN"),
        (b"[" * 100_000, "JSON"),
        (b'{"a": \x00}', "NUL"),
        (b'{"dataset": {"value": []}}', "older version"),
        (b'{"a": ' + b"9" * 5000 + b"}", "JSON"),
    ],
)
def test_what_is_no_dataset_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    assert said in _refused(tmp_path, content)


def test_an_index_must_count_from_zero(tmp_path: Path) -> None:
    for index in (
        {"2019": 0, "2020": 2},
        {"2019": 0, "2020": 0},
        {"2019": 0, "2020": True},
        ["2019"],
        [2019, 2020],
    ):
        content = _with()
        content["dimension"]["Vuosi"]["category"]["index"] = index  # type: ignore[index]
        assert "'Vuosi'" in _refused(tmp_path, content)


# --- Sotkanet


def test_sotkanet_json(tmp_path: Path) -> None:
    given = {"items": ("people",), "take": {"gender": "total"}, "area_digits": 3}
    table = _read(tmp_path, RECORDS, "sotkanet-json", **given)
    assert _cells(table) == {("092", "people", 2019): 233775.0, ("091", "people", 2019): "missing"}
    assert sorted(table.cells["row"]) == [1, 3]
    men = _cells(
        _read(
            tmp_path,
            RECORDS,
            "sotkanet-json",
            items=("people",),
            take={"gender": "male"},
            value_column="absValue",
        )
    )
    assert men == {("92", "people", 2019): 115000.0}


def test_sotkanet_json_is_refused_where_the_gender_is_open(tmp_path: Path) -> None:
    message = _refused(tmp_path, RECORDS, "sotkanet-json", items=("people",))
    assert "'gender': 'total', 'male'" in message
    for content, said in (
        ([], "no rows"),
        ([1], "list of records"),
        ({"a": 1}, "list of records"),
        ([RECORDS[0] | {"value": [1]}], "row 1"),
        ([RECORDS[0] | {"value": "many"}], "found: many"),
        ([RECORDS[0] | {"year": "kesä"}], "a year"),
        ([{"indicator": 127, "region": 92, "year": 2019}], "value_column"),
    ):
        assert said in _refused(tmp_path, content, "sotkanet-json", items=("people",))


def test_damaged_files_are_read_or_refused(tmp_path: Path) -> None:
    chance = random.Random(20230101)
    outcomes = set()
    wholes = {"json-stat": json.dumps(DATASET).encode(), "sotkanet-json": json.dumps(RECORDS).encode()}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for count in range(600):
            reader = ("json-stat", "sotkanet-json")[count % 2]
            whole = bytearray(wholes[reader])
            for _ in range(chance.randint(1, 2)):
                at = chance.randrange(len(whole))
                whole[at : at + chance.randint(0, 3)] = bytes(
                    chance.choices(b'"[]{}:,0123459.-etnul \x00\xff', k=2)
                )
            given = {} if reader == "json-stat" else {"items": ("people",), "take": {"gender": "total"}}
            try:
                cells = _read(tmp_path, bytes(whole), reader, **given).cells
            except MekevalError as error:
                assert "raw/file.json" in str(error)
                outcomes.add("refused")
            else:
                assert (cells["value"].notna() == (cells["status"] == "ok")).all()
                outcomes.add("read")
    assert outcomes == {"read", "refused"}
