"""study.toml: what is read, what is refused, and that all faults come at once."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mekeval.errors import MekevalError, StudyError
from mekeval.study import RAW_VARIABLE, Study, read_study, terms

Edit = Callable[..., Path]
REAL = Path(__file__).parents[1] / "data" / "vantaa-mek-paavo"


@pytest.fixture
def edit(tmp_path: Path, example: Study) -> Edit:
    """Copy the embedded study and replace texts in its study.toml, each of which must stand there."""

    def copy(*changes: tuple[str, str]) -> Path:
        folder = tmp_path / "study"
        shutil.copytree(example.folder, folder)
        file = folder / "study.toml"
        text = file.read_text("utf-8")
        for old, new in changes:
            assert old in text, old
            text = text.replace(old, new, 1)
        file.write_text(text, "utf-8")
        return folder

    return copy


def _refused(folder: Path, **options: Path) -> MekevalError:
    with pytest.raises(MekevalError) as caught:
        read_study(folder, **options)
    return caught.value


def test_the_embedded_study_is_read(example: Study) -> None:
    names = [[example.areas.name(code, "fi") for code in codes] for codes in example.wave_areas]
    stayed = ["Hakunila", "Havukoski", "Länsimäki", "Mikkola"]
    assert names == [[*stayed, "Martinlaakso"], [*stayed, "Myyrmäki"]]
    assert [example.areas.name(code, "fi") for code in example.treated] == [
        *stayed,
        "Martinlaakso",
        "Myyrmäki",
    ]
    assert [example.areas.name(code, "fi") for code in example.discretionary] == ["Myyrmäki"]
    assert [path.name for path in example.paths] == [Path(source.file).name for source in example.spec.source]
    assert example.indicator("median_income").items == ("median_income_eur", "adults")


def test_the_folder_and_its_file_name_the_same_study(example: Study) -> None:
    again = read_study(example.folder / "study.toml")
    assert (again.sha256, again.paths) == (example.sha256, example.paths)
    files = ("study.toml", "areas.csv", "reference_areas.csv")
    together = b"".join((example.folder / file).read_bytes() for file in files)
    assert example.sha256 == hashlib.sha256(together).hexdigest()


def test_a_byte_order_mark_before_the_toml_is_no_fault(edit: Edit) -> None:
    folder = edit()
    file = folder / "study.toml"
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert read_study(folder).name == "vantaa-mek"


def test_districts_may_be_named_without_marks_or_by_code(edit: Edit) -> None:
    folder = edit(('"Länsimäki", "Mikkola", "Martinlaakso"', '"lansimaki", "MIKKOLA", "Martinlaakso"'))
    assert read_study(folder).wave_areas[0][2:] == ("09291", "09282", "09217")


def test_terms_of_a_sum() -> None:
    assert terms("employed + unemployed") == ("employed", "unemployed")
    assert terms("population") == ("population",)


def test_an_unknown_indicator_is_answered_with_the_closest(example: Study) -> None:
    with pytest.raises(StudyError, match="closest: 'low_income_rate'"):
        example.indicator("low_incme_rate")


def test_no_study_here(tmp_path: Path) -> None:
    assert "There is no study here" in str(_refused(tmp_path))
    assert "There is no study here" in str(_refused(tmp_path / "nothing"))


CASES = [
    # what is changed, what the message must say
    (("partial_years = 1", "partail_years = 1"), ["'plan.partail_years'", "closest: 'partial_years'", "allowed"]),
    (("[programme.rule]", "[programme.rules]"), ["'programme.rules'", "title, wave, rule"]),
    (("eur_per_year", "euro_per_year"), ["'programme.wave[1].euro_per_year'", "closest: 'eur_per_year'"]),
    (("minimum_base = 30", ""), ["'study.minimum_base' is missing"]),
    (("minimum_base = 30", "minimum_base = 0"), ["'study.minimum_base'", "found: 0"]),
    (("minimum_base = 30", 'minimum_base = "30"'), ["'study.minimum_base'", "'30'", "valid integer"]),
    (("minimum_base = 30", "minimum_base = true"), ["'study.minimum_base'", "found: True"]),
    (("seed = 20230101", "seed = -1"), ["'study.seed'", "found: -1"]),
    (("synthetic = true", 'synthetic = "yes"'), ["'study.synthetic'", "'yes'"]),
    (("alpha = 0.05", "alpha = nan"), ["'plan.alpha'", "nan"]),
    (("alpha = 0.05", "alpha = 5"), ["'plan.alpha'", "less than 1"]),
    (("first = 2019", 'first = "2019"'), ["'programme.wave[1].first'", "'2019'"]),
    (("first = 2019", "first = 19"), ["'programme.wave[1].first'", "1900"]),
    (("higher_is = \"worse\"", "higher_is = \"bad\""), ["'indicator[1].higher_is'", "'bad'", "'neutral'"]),
    (('languages = ["fi", "en"]', 'languages = ["fi", "de"]'), ["study.languages[2]", "'de'"]),
    (('languages = ["fi", "en"]', 'languages = ["fi", "fi"]'), ["language 'fi' is named twice"]),
    (('labels = ["Asuntoväestö"]', 'labels = [" "]'), ["'item[1].labels[1]'"]),
    (("last = 2022", "last = 2018"), ["ends before it begins", "2019 to 2018", "MEK 2019-2022"]),
    (('"Länsimäki"', '"Lansimakki"'), ["no district of this name", "'Lansimakki'", "'Länsimäki'"]),
    (('"Länsimäki"', '"hakunila"'), ["names an area twice", "Hakunila"]),
    (('discretionary = ["Myyrmäki"]', 'discretionary = ["Korso"]'), ["discretion to no wave", "Korso"]),
    (('numerator = "low_income_persons"', 'numerator = "low_income_person"'), ["Unknown item", "closest"]),
    (('numerator = "low_income_persons"', ""), ["either a rate or a value", "'low_income_rate'"]),
    (('value = "median_income_eur"', 'value = "median_income_eur"\nnumerator = "adults"'), ["either a rate"]),
    (("plausible = [0, 60]", "plausible = [60, 0]"), ["plausible range", "60 to 0"]),
    (('primary = ["low_income_rate"', 'primary = ["low_income"'), ["Unknown indicator", "'low_income'"]),
    (('"basic_education_25_44", "median_income"]', '"low_income_rate"]'), ["'low_income_rate' is named twice"]),
    (('secondary = [', 'secondary = ["foreign_language_0_6", '), ["has no direction", "neutral"]),
    (("criteria = { low_income_rate", "criteria = { low_incom_rate"), ["criteria", "'low_incom_rate'"]),
    (('name = "unemployed"', 'name = "labour_force"'), ["item 'labour_force' is named twice"]),
    (('items = ["adults", "median_income_eur"]', 'items = ["adults"]'), ["No source holds", "median_income_eur"]),
    (('items = ["adults"', 'items = ["adutls"'), ["Unknown item", "closest: 'adults'", "tulot.csv"]),
    (('unit = "district"', 'unit = "quarter"'), ["No area is on the level", "'quarter'", "'district'"]),
    (('file = "areas.csv"', 'file = "../areas.csv"'), ["areas.file leaves the study folder"]),
    (('file = "areas.csv"', 'file = "area.csv"'), ["list of areas cannot be read", "area.csv"]),
    (("seed = 20230101", "seed = "), ["not valid TOML", "line"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "said"), CASES, ids=[f"{new or 'without ' + old}" for (old, new), _ in CASES]
)
def test_a_fault_is_named_with_what_was_expected(
    edit: Edit, change: tuple[str, str], said: list[str]
) -> None:
    error = _refused(edit(change))
    for words in said:
        assert words in str(error)
    assert "study.toml" in str(error) or "areas" in str(error)


def test_all_faults_come_in_one_message(edit: Edit) -> None:
    folder = edit(
        ("last = 2022", "last = 2018"),
        ('"Länsimäki"', '"Länsmäki"'),
        ('primary = ["low_income_rate"', 'primary = ["low_income"'),
        ('sha256 = "f387', 'sha256 = "0000'),
        ('file = "raw/kieli.csv"', 'file = "raw/kielet.csv"'),
    )
    areas = folder / "areas.csv"
    areas.write_text(areas.read_text("utf-8").replace(",197600,", ",many,"), "utf-8")
    error = _refused(folder)
    whats = [fault.what for fault in error.faults]
    assert whats == [  # an area cannot be looked up in a list that has faults of its own
        "population is not a whole number.",
        "A wave ends before it begins.",
        "Unknown indicator.",
        "A raw file is not the one that the study was written for.",
        "A raw file is missing.",
    ]
    assert str(error).startswith("5 faults:\n1. population")


def test_all_wrong_keys_come_in_one_message(edit: Edit) -> None:
    error = _refused(edit(("seed = 20230101", "sed = 1"), ("alpha = 0.05", "alpha = 2"), ("choose = 4", "")))
    keys = [fault.what.split("'")[1] for fault in error.faults]
    assert keys == ["study.seed", "study.sed", "programme.rule.choose", "plan.alpha"]


def test_a_changed_raw_file_is_named_with_both_sums(edit: Edit) -> None:
    folder = edit()
    raw = folder / "raw" / "tulot.csv"
    expected = hashlib.sha256(raw.read_bytes()).hexdigest()
    raw.write_bytes(raw.read_bytes().replace(b"1", b"2", 1))
    fault = _refused(folder).faults[0]
    assert "raw/tulot.csv" in fault.where
    assert fault.found == "sha256 " + hashlib.sha256(raw.read_bytes()).hexdigest()
    assert fault.expected == "sha256 " + expected


@pytest.mark.parametrize(
    "name",
    [
        "../outside.csv", "raw/../../outside.csv", "/etc/hostname", "C:/outside.csv", "raw\\\\..\\\\..\\\\outside.csv",
        "raw/linked.csv", "linked/outside.csv", "raw/circle.csv", "raw/a\\u0000.csv",
    ],
)  # fmt: skip
def test_a_raw_file_outside_its_folder_is_refused(edit: Edit, tmp_path: Path, name: str) -> None:
    folder = edit(('file = "raw/kieli.csv"', f'file = "{name}"'))
    outside = tmp_path / "outside.csv"
    shutil.copy(folder / "raw" / "kieli.csv", outside)
    (folder / "raw" / "linked.csv").symlink_to(outside)
    (folder / "raw" / "circle.csv").symlink_to(folder / "raw" / "circle.csv")
    (folder / "linked").symlink_to(tmp_path, target_is_directory=True)
    error = _refused(folder)
    assert [fault.what for fault in error.faults] == ["A raw file must lie inside its folder."]
    assert "source[4]" in error.faults[0].where


def test_a_link_that_stays_inside_is_no_fault(edit: Edit) -> None:
    folder = edit(('file = "raw/kieli.csv"', 'file = "raw/linked.csv"'))
    (folder / "raw" / "linked.csv").symlink_to(folder / "raw" / "kieli.csv")
    assert read_study(folder).paths[3].name == "linked.csv"


def test_a_raw_file_that_is_a_folder_is_missing(edit: Edit) -> None:
    folder = edit(('file = "raw/kieli.csv"', 'file = "raw"'))
    assert [fault.what for fault in _refused(folder).faults] == ["A raw file is missing."]


def test_external_raw_data_need_their_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(RAW_VARIABLE, raising=False)
    message = str(_refused(REAL))
    assert "folder is not known" in message
    assert "statfi-paavo/" in message
    assert "--raw" in message
    assert RAW_VARIABLE in message
    assert "is no folder" in str(_refused(REAL, raw=tmp_path / "nothing"))
    missing = _refused(REAL, raw=tmp_path)
    assert {fault.what for fault in missing.faults} == {"A raw file is missing."}


def test_external_raw_data_are_found_by_argument_or_variable(
    edit: Edit, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = edit(("synthetic = true", 'synthetic = true\nraw = "external"'))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (folder / "raw").rename(elsewhere / "raw")
    monkeypatch.delenv(RAW_VARIABLE, raising=False)
    given = read_study(folder, raw=elsewhere)
    assert given.paths[0] == elsewhere / "raw" / "pienituloiset.csv"
    monkeypatch.setenv(RAW_VARIABLE, str(elsewhere))
    assert read_study(folder).paths == given.paths
    monkeypatch.setenv(RAW_VARIABLE, str(tmp_path / "nothing"))
    assert read_study(folder, raw=str(elsewhere)).paths == given.paths  # the argument wins
