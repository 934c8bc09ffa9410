"""study.toml: what is read, what is refused, and that all faults come at once."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from mekeval.begin import copy_example
from mekeval.cli import main
from mekeval.errors import MekevalError, StudyError
from mekeval.study import (
    RAW_VARIABLE,
    IndicatorSpec,
    Item,
    Study,
    checksum,
    read_spec,
    read_study,
    signed_terms,
    split_formula,
    terms,
)

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
    files = ("study.toml", "areas.csv", "reference_areas.csv", "neighbours.csv", "measures.csv")
    together = b"".join((example.folder / file).read_bytes() for file in files)
    together += hashlib.sha256((example.folder / "plan.lock").read_bytes()).hexdigest().encode()
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
    copy_example(tmp_path / "mine")
    for folder in (tmp_path, tmp_path / "mine"):
        assert str(tmp_path / "mine" / "data" / "vantaa-mek") in str(_refused(folder))
    odd = tmp_path / "odd"
    (odd / "a\x1b[31m").mkdir(parents=True)
    (odd / "a\x1b[31m" / "study.toml").touch()
    (odd / "b" / "study.toml").mkdir(parents=True)
    assert "such as" not in str(_refused(odd))


RATE = 'numerator = "low_income_persons"\ndenominator = "population"'
FOUND = 'found = [{ level = "postal_area", label = "(?P<code>[0-9]+)" }]\n'

CASES = [
    # what is changed, what the message must say
    (("partial_years = 1", "partail_years = 1"), ["'plan.partail_years'", "closest: 'partial_years'", "allowed"]),
    (("[programme.rule]", "[programme.rules]"), ["'programme.rules'", "wave, rule, measures"]),
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
    (('languages = ["fi", "sv", "en"]', 'languages = ["fi", "de"]'), ["study.languages[2]", "'de'"]),
    (('languages = ["fi", "sv", "en"]', 'languages = ["fi", "fi"]'), ["language 'fi' is named twice"]),
    (('labels = ["Asuntoväestö"]', 'labels = [" "]'), ["'item[1].labels[1]'", "found: ' '"]),
    (('labels = ["Asuntoväestö"]', 'labels = [3]'), ["'item[1].labels[1]'", "found: 3"]),
    (('labels = ["Asuntoväestö"]', 'labels = [{ text = "A", frist = 2015 }]'),
     ["Unknown key 'item[1].labels[1].frist'", "closest: 'first'", "allowed here: text, first, last"]),
    (('labels = ["Asuntoväestö"]', 'labels = [{ text = "A", first = "x" }]'), ["'item[1].labels[1].first'"]),
    (('labels = ["Asuntoväestö"]', 'labels = [{ first = 2015 }]'), ["'item[1].labels[1].text' is missing"]),
    ((RATE, 'formula = "low_income_persons / population / adults"'), ["'indicator[1].formula'", "one sum over"]),
    ((RATE, 'formula = "(low_income_persons / (population)) + adults"'), ["'indicator[1].formula'", "found:"]),
    ((RATE, 'formula = "((low_income_persons)) / population"'), ["'indicator[1].formula'"]),
    ((RATE, 'formula = "low_income_persons / 100"'), ["'indicator[1].formula'", "low_income_persons / 100"]),
    ((RATE, 'formula = "low_income_persons + adults / population"'), ["'indicator[1].formula'"]),
    ((RATE, 'formula = "low_income_person / population"'), ["Unknown item", "'low_income_person'", "closest"]),
    ((RATE, 'formula = "low_income_persons / (population + population)"'), ["has an item twice", "'population'"]),
    ((RATE, 'formula = "low_income_persons"'), ["either a rate or a value"]),
    ((RATE, RATE + '\nformula = "adults / population"'), ["defined twice", "adults / population"]),
    ((RATE, RATE + '\nproxy_for = "poverty"'), ["A proxy says", "`proxy_for` alone"]),
    ((RATE, RATE + '\nproxy_for = "a"\ncriterion = "b"\ndiffers.fi = "c"'), ["criterion or a proxy"]),
    (('vintage = 2026', 'vintage = 2026\npublished = 2025-12-31'), ["not published in the year", "2025-12-31"]),
    (('vintage = 2026', 'vintage = 2026\npublished = 2028-01-01'), ["not published in the year", "2028-01-01"]),
    (('vintage = 2026', 'vintage = 2026\npublished = 2026'), ["'source[1].published'", "found: 2026"]),
    (('vintage = 2026', 'vintage = 2026\nlevel = "distrct"'), ["a level that no area has", "closest: 'district'"]),
    (('file = "areas.csv"\n', ""), ["A study of a programme lists its areas"]),
    (('unit = "district"', FOUND + 'unit = "district"'), ["No source holds the areas that are to be found"]),
    (('unit = "district"', FOUND.replace("code", "cod") + 'unit = "district"'),
     ["'areas.found[1].label'", "(?P<code>"]),
    (('unit = "district"', FOUND.replace("+)", "+") + 'unit = "district"'), ["'areas.found[1].label'", "a pattern"]),
    (("seed = 20230101", "seed = 0x" + "f" * 5_000), ["'study.seed'", "too large to be shown"]),
    (("seed = 20230101", "seed = " + "9" * 5_000), ["not valid TOML"]),
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
    (('file = "areas.csv"', 'file = "area.csv"'), ["list of areas is not there", "area.csv"]),
    (("seed = 20230101", "seed = "), ["not valid TOML", "line"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "said"), CASES, ids=[f"{new or 'without ' + old}"[:80] for (old, new), _ in CASES]
)
def test_a_fault_is_named_with_what_was_expected(
    edit: Edit, change: tuple[str, str], said: list[str]
) -> None:
    error = _refused(edit(change))
    for words in said:
        assert words in str(error)
    assert "constrained" not in str(error)  # nothing of the machinery
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
        "Unknown outcome of the plan.",  # what it says matters is of the old name
        "A raw file is not the one that the study was written for.",
        "A raw file is missing.",
    ]
    assert str(error).startswith("6 faults:\n1. population")


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


def test_a_folder_or_a_pipe_is_no_raw_file(edit: Edit) -> None:
    folder = edit(('file = "raw/kieli.csv"', 'file = "raw"'), ('file = "raw/tulot.csv"', 'file = "raw/pipe"'))
    os.mkfifo(folder / "raw" / "pipe")
    assert [fault.what for fault in _refused(folder).faults] == ["A raw file is no file."] * 2


def test_a_raw_file_is_hashed_in_blocks(tmp_path: Path) -> None:
    file = tmp_path / "large"
    with file.open("wb") as stream:
        stream.truncate(64 * 2**20)
    tracemalloc.start()
    try:
        found = checksum(file)
        assert tracemalloc.get_traced_memory()[1] < 2**21
    finally:
        tracemalloc.stop()
    assert found == hashlib.sha256(bytes(64 * 2**20)).hexdigest()


def test_external_raw_data_need_their_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(RAW_VARIABLE, raising=False)
    message = str(_refused(REAL))
    assert "folder is not known" in message
    assert "statfi-paavo/" in message
    assert "--raw" in message
    assert RAW_VARIABLE in message
    assert "is no folder" in str(_refused(REAL, raw=tmp_path / "nothing"))
    missing = _refused(REAL, raw=tmp_path)
    assert {fault.what for fault in missing.faults} == {
        "A raw file is missing.",
        "The file of boundaries is missing.",
    }


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


def _cleaning_only(folder: Path, *, areas: str = 'file = "areas.csv"\n') -> Path:
    """The study without programme, plan and reference cities."""
    file = folder / "study.toml"
    tables = re.split(r"(?m)^(?=\[)", file.read_text("utf-8"))
    gone = ("[programme", "[[programme", "[plan", "[reference", "[[reference")
    kept = [table for table in tables if not table.startswith(gone) and 'scope = "reference"' not in table]
    file.write_text("".join(kept).replace('file = "areas.csv"\n', areas), "utf-8")
    return folder


def test_a_study_without_a_programme_can_be_read_and_says_what_it_lacks(edit: Edit) -> None:
    study = read_study(_cleaning_only(edit()))
    assert (study.spec.waves, study.spec.rule, study.spec.outcomes) == ((), None, ())
    assert (study.wave_areas, study.treated, study.discretionary) == ((), (), ())
    for lacking in ("programme", "plan"):
        with pytest.raises(StudyError, match=r"no \[programme\] and no \[plan\]: its data can be") as caught:
            getattr(study, lacking)
        assert "study.toml" in str(caught.value)


def test_a_run_of_a_study_without_a_programme_is_refused(edit: Edit, tmp_path: Path) -> None:
    folder = _cleaning_only(edit())
    out = tmp_path / "out"
    done = CliRunner().invoke(main, ["run", str(folder), "--year", "2024", "--out", str(out), "--quiet"])
    assert done.exit_code == 2
    assert "The study has no [programme] and no [plan]" in done.output
    assert not (out / "index.html").exists()


LEVEL = ("vintage = 2026", 'vintage = 2026\nlevel = "{}"')


def test_areas_may_be_found_instead_of_listed(edit: Edit) -> None:
    found = FOUND.replace("postal_area", "district")
    areas = read_study(_cleaning_only(edit((LEVEL[0], LEVEL[1].format("district"))), areas=found)).areas
    assert (areas.units, areas.unit) == ((), "district")
    assert areas.codes_of_labels(["09291 Länsimäki"]) == {"09291 Länsimäki": None}


TWICE = FOUND.replace("[{", '[{ level = "district", label = "(?P<code>x)" }, {').replace(
    "postal_area", "district"
)


@pytest.mark.parametrize(
    ("areas", "said"),
    [
        ("", ["The study has no areas."]),
        (FOUND, ["on the level of the units", "'district'", "'postal_area'"]),
        (TWICE, ["level of found areas 'district' is named twice"]),
    ],
)
def test_areas_that_are_found_are_of_the_units_level(edit: Edit, areas: str, said: list[str]) -> None:
    folder = _cleaning_only(edit((LEVEL[0], LEVEL[1].format("postal_area"))), areas=areas)
    for words in said:
        assert words in str(_refused(folder))


def test_a_programme_may_list_its_areas_and_find_others(edit: Edit) -> None:
    folder = edit(
        ('unit = "district"', FOUND + 'unit = "district"'), (LEVEL[0], LEVEL[1].format("postal_area"))
    )
    assert read_study(folder).spec.areas.found[0].level == "postal_area"


def test_a_release_may_be_published_again_in_the_next_year(edit: Edit) -> None:
    folder = edit(("vintage = 2026", "vintage = 2026\npublished = 2027-01-20"))
    assert str(read_study(folder).spec.source[0].published) == "2027-01-20"


INDICATOR = {"name": "rate", "label": {"fi": "Aste"}, "higher_is": "worse", "unit": "percent"}


@pytest.mark.parametrize(
    ("formula", "written"),
    [
        ("a / (a + b)", {"numerator": "a", "denominator": "a + b"}),
        ("(a-b)/c", {"numerator": "a-b", "denominator": "c"}),
        (" ( a + b ) / ( c - d ) ", {"numerator": "a + b", "denominator": "c - d"}),
        ("a - b", {"value": "a - b"}),
    ],
)
def test_both_notations_say_the_same(formula: str, written: dict[str, str]) -> None:
    one = IndicatorSpec.model_validate({**INDICATOR, "formula": formula})
    other = IndicatorSpec.model_validate({**INDICATOR, **written})
    for part in ("numerator", "denominator", "value", "base", "items"):
        assert getattr(one, part) == getattr(other, part), part
    assert IndicatorSpec.model_validate(one.model_dump()) == one


def test_signs_of_a_sum() -> None:
    assert signed_terms("adults - educated + unknown") == ((1, "adults"), (-1, "educated"), (1, "unknown"))
    assert split_formula("(a)") == ("a", "")


def test_a_label_may_be_of_some_releases_only() -> None:
    labels = ["always", {"text": "early", "last": 2016}, {"text": "late", "first": 2017, "last": 2019}]
    item = Item.model_validate({"name": "x", "labels": labels})
    assert item.spellings(2016) == ("always", "early")
    assert item.spellings(2017) == item.spellings(2019) == ("always", "late")
    assert item.spellings(2020) == ("always",)


@pytest.mark.parametrize(
    "text",
    [
        "a = " + "[" * 200_000,
        "a" + ".a" * 300_000 + " = 1",
        "[" + "a." * 300_000 + "a]",
        "a = " + "{ a = " * 100_000,
        '"' + "a" * 500_000 + '".' * 2,
        "a" * 900_000,
        '"a"' + ' . "b"' * 100_000 + " = 1",
        "# " + "x" * 2**20,
        "".join(f"key{number} = 1\n" for number in range(50_000)),
        "\0",
    ],
    ids=["arrays", "dotted", "header", "tables", "quoted", "long", "spaced", "large", "keys", "nul"],
)
def test_a_monstrous_study_is_refused_at_once(tmp_path: Path, text: str) -> None:
    (tmp_path / "study.toml").write_text(text, "utf-8")
    with pytest.raises(StudyError) as caught:
        read_spec(tmp_path)
    assert len(str(caught.value)) < 30_000
    assert len(caught.value.faults) <= 51


def test_words_with_dots_are_no_long_key(edit: Edit) -> None:
    folder = edit(('title.en = "Programme', 'title.en = "' + "a.b " * 40 + "Programme"))
    assert read_spec(folder)[2].study.title.en.startswith("a.b a.b")


@pytest.mark.parametrize("name", ["areas.csv", "reference_areas.csv"])
def test_a_pipe_or_a_flood_is_no_list(edit: Edit, name: str) -> None:
    folder = edit()
    (folder / name).unlink()
    os.mkfifo(folder / name)
    assert "A list of the study is no file" in str(_refused(folder))
    (folder / name).unlink()
    with (folder / name).open("wb") as stream:
        stream.truncate(2**30)
    assert "A list of the study is too large" in str(_refused(folder))


def test_a_pipe_is_no_study(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "study.toml")
    assert "There is no study here" in str(_refused(tmp_path))


def test_there_is_a_most_of_every_table(edit: Edit) -> None:
    many = "".join(f'[[item]]\nname = "item_{number}"\nlabels = ["x"]\n' for number in range(2_001))
    message = str(_refused(edit(("[[indicator]]", many + "[[indicator]]"))))
    assert "'item'" in message
    assert "at most 2000" in message


def test_of_very_many_faults_the_first_are_told(edit: Edit) -> None:
    wrong = ", ".join(f'"itm_{number}"' for number in range(500))
    error = _refused(edit(('items = ["adults", "median_income_eur"]', f"items = [{wrong}]")))
    assert len(error.faults) == 51
    assert error.faults[-1].what == "There are more faults."


def test_a_criterion_that_is_missing_names_a_known_wave(edit: Edit) -> None:
    """The morbidity index of the first wave is known to have been used and is in no data."""
    study = read_study(Path(__file__).parents[1] / "data" / "vantaa-mek")
    rule = study.programme.rule
    assert rule is not None
    assert [(one.wave, one.name.en) for one in rule.missing] == [("MEK 2019-2022", "a morbidity index")]
    assert study.plan_state.state == "kept"  # what cannot be looked at is no part of the plan
    fault = _refused(edit(('wave = "MEK 2019-2022"\nname.fi', 'wave = "MEK 2019-2021"\nname.fi'))).faults[0]
    assert (fault.what, fault.found) == ("Unknown wave.", "'MEK 2019-2021'")
