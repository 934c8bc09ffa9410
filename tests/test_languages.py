"""Three languages, each whole: no text in two files, no words of another language, none that is not listed."""

from __future__ import annotations

import datetime
import re
import shutil
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import pandas as pd
import pytest

import mekeval.text
from mekeval import (
    StudyError,
    city_report,
    district_report,
    example_monitoring,
    example_study,
    quality_report,
    read_monitoring,
    read_study,
)
from mekeval.areas import areas_from_rows, read_areas
from mekeval.clean import clean_study
from mekeval.figures.elsewhere import city_names
from mekeval.figures.tiles import tile_name
from mekeval.run import plan_jobs
from mekeval.study.languages import _texts
from mekeval.text import LANGUAGES, NO_BREAK, Texts, keys

FOLDER = Path(mekeval.text.__file__).parent


def written(table: Mapping[str, object], prefix: str = "") -> Iterator[str]:
    """Every key of a TOML table, dotted."""
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from written(value, f"{prefix}{name}.")
        else:
            yield prefix + name


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_key_stands_in_two_files(language: str) -> None:
    files = sorted((FOLDER / language).glob("*.toml"))
    found = Counter(key for file in files for key in written(tomllib.loads(file.read_text(encoding="utf-8"))))
    assert [key for key, times in found.items() if times > 1] == []
    assert set(found) == keys(language)


def test_every_language_has_the_same_files() -> None:
    names = [{file.name for file in (FOLDER / language).glob("*.toml")} for language in LANGUAGES]
    assert all(one == names[0] for one in names)
    assert {folder.name for folder in FOLDER.iterdir() if (folder / "words.toml").is_file()} == set(LANGUAGES)


#: What a verdict says, by verdict and certainty, in the languages: its verb is the certainty. Written by hand.
VERBS = {
    "improved.high.plain": ("ohjelma paransi", "programmet förbättrade läget", "the programme improved it"),
    "improved.moderate.plain": (
        "todennäköisesti paransi",
        "förbättrade sannolikt läget",
        "probably improved it",
    ),
    "worsened.high.plain": ("ohjelma heikensi", "programmet försämrade läget", "the programme made it worse"),
    "worsened.moderate.plain": (
        "todennäköisesti heikensi",
        "försämrade sannolikt läget",
        "probably made it worse",
    ),
    "no_detectable_effect.moderate": (
        "todennäköisesti muutti tilannetta vain vähän tai ei lainkaan",
        "ändrade sannolikt läget föga eller inte alls",
        "probably made little or no difference",
    ),
    "no_detectable_effect.low": ("ei voitu osoittaa", "kunde inte påvisas", "could not be shown"),
    "fragile.low.improved.plain": (
        "on saattanut parantaa tilannetta, mutta",
        "kan ha förbättrat läget, men",
        "may have improved it, but",
    ),
    "fragile.low.worsened.plain": (
        "on saattanut heikentää tilannetta, mutta",
        "kan ha försämrat läget, men",
        "may have made it worse, but",
    ),
    "fragile.very_low": (
        "ei voi lukea ohjelman vaikutukseksi",
        "kan inte tolkas som en effekt av programmet",
        "cannot be read as an effect of the programme",
    ),
    "not_identifiable.very_low": ("ei voida arvioida", "kan inte bedömas", "cannot be assessed"),
}


@pytest.mark.parametrize("case", VERBS)
def test_the_verb_of_a_verdict_says_how_certain_it_is(case: str) -> None:
    for language, verb in zip(("fi", "sv", "en"), VERBS[case], strict=True):
        said = Texts(language)(f"sentence.{case}", outcome="X")
        assert verb in said, f"{language}: {said}"


def test_only_a_high_certainty_goes_without_a_reservation() -> None:
    reserved = {
        "fi": "todennäköisesti|saattanut|ei voi",
        "sv": "sannolikt|kan ha|inte",
        "en": "probably|may|not",
    }
    for language, words in reserved.items():
        for key in keys(language):
            if re.match(
                r"sentence\.(improved|worsened|fragile|no_detectable_effect|not_identifiable)\.", key
            ):
                said = Texts(language)(key, outcome="X")
                assert bool(re.search(words, said)) == (".high." not in key), f"{language} {key}: {said}"


def test_no_text_is_that_of_another_language() -> None:
    """Of texts of two words or more: signs and parts are the same everywhere, and so are a few terms."""
    texts = {language: Texts(language) for language in LANGUAGES}
    for key in keys("sv"):
        said = {
            language: " ".join(re.findall(r"[^\W\d_]{3,}", re.sub(r"\{\w+\}", "", one._strings[key])))
            for language, one in texts.items()
        }
        if " " in said["sv"]:
            assert said["sv"] not in (said["fi"], said["en"]), key


def test_percent_signs_and_euros_follow_a_space_that_does_not_break() -> None:
    for language in ("fi", "sv"):
        for key in keys(language):
            said = Texts(language)._strings[key]
            assert not re.search(r"[\w}][%€]", said), key
            if language == "sv":
                assert not re.search(r"[\d}] [%€]", said), key


def test_a_part_that_ends_in_a_full_stop_ends_the_sentence() -> None:
    texts = Texts("fi")
    size = texts("unit.percent.short", number="+2,3")
    assert size.endswith("yks.")
    said = texts("sentence.change_alone_rule", baseline="muu", estimate=size)
    assert said.endswith("+2,3\N{NO-BREAK SPACE}%\N{NON-BREAKING HYPHEN}yks.") and ".." not in said
    assert Texts("en")("sentence.change_alone_rule", baseline="a.", estimate="b").endswith("was b.")


def test_swedish_in_finland_writes_numbers_days_and_lists_so() -> None:
    texts = Texts("sv")
    assert texts.number(1234.5, 1) == f"1{NO_BREAK}234,5"
    assert texts.number(-2_000_000) == f"\N{MINUS SIGN}2{NO_BREAK}000{NO_BREAK}000"
    assert texts.number(2.07, 2, sign=True) == "+2,07"
    assert texts("unit.percent.level", number=texts.number(12.3, 1)) == f"12,3{NO_BREAK}%"
    assert texts.date(datetime.date(2024, 6, 30)) == f"30{NO_BREAK}juni{NO_BREAK}2024"
    assert texts.join(["Hakunila", "Mikkola", "Myrbacka"]) == "Hakunila, Mikkola och Myrbacka"


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """The example study without the Swedish texts of its title, a label and the programme."""
    folder = tmp_path / "study"
    shutil.copytree(example_study(), folder, copy_function=shutil.copyfile)
    file = folder / "study.toml"
    text = file.read_text(encoding="utf-8")
    for line in (
        'title.sv = "Verksamhetsprogrammet för positiv särbehandling"\n',
        'title.sv = "MEK-programmet"\n',
        'label.sv = "Arbetslöshetsgrad"\n',
    ):
        assert text.count(line) == 1
        text = text.replace(line, "")
    file.write_text(text, encoding="utf-8")
    return folder


def change(folder: Path, old: str, new: str) -> None:
    file = folder / "study.toml"
    text = file.read_text(encoding="utf-8")
    assert text.count(old) == 1
    file.write_text(text.replace(old, new), encoding="utf-8")


def test_all_missing_texts_of_a_language_are_named_at_once(bare: Path) -> None:
    with pytest.raises(StudyError) as caught:
        read_study(bare)
    (fault,) = caught.value.faults
    assert "Swedish" in fault.what
    assert fault.found == (
        "3 missing: study.title.sv, programme.title.sv, indicator['unemployment_rate'].label.sv"
    )
    assert 'take "sv" out of languages' in fault.fix


def test_a_study_that_does_not_list_a_language_may_lack_its_texts(bare: Path) -> None:
    change(bare, 'languages = ["fi", "sv", "en"]', 'languages = ["fi", "en"]')
    study = read_study(bare)
    assert {job.language for job in plan_jobs(study, years=[2021])} == {"fi", "en"}
    for ask in (
        lambda: plan_jobs(study, years=[2021], languages=["sv"]),
        lambda: district_report(study, district="Hakunila", year=2021, language="sv"),
        lambda: city_report(study, year=2021, language="sv"),
        lambda: quality_report(study, language="sv"),
        lambda: clean_study(bare, out=bare.parent / "clean", languages=["sv"]),
    ):
        with pytest.raises(StudyError, match="no reports in Swedish") as caught:
            ask()
        assert caught.value.faults[0].expected == "'fi' or 'en'"
        assert 'Add "sv" to languages' in caught.value.faults[0].fix
    assert not (bare.parent / "clean" / "vantaa-mek").exists()
    with pytest.raises(StudyError, match="missing in this language"):
        study.indicator("unemployment_rate").label.text("sv")
    assert study.indicator("unemployment_rate").label.text("en") == "Unemployment rate"


def test_without_a_list_a_study_speaks_the_languages_of_its_title(bare: Path) -> None:
    change(bare, 'languages = ["fi", "sv", "en"]\n', "")
    assert read_study(bare).spec.study.languages == ("fi", "en")
    change(bare, 'title.en = "Programme of positive special treatment"\n', "")
    assert read_study(bare).spec.study.languages == ("fi",)


def test_labels_are_no_part_of_the_plan(bare: Path) -> None:
    change(bare, 'languages = ["fi", "sv", "en"]', 'languages = ["en"]')
    state = read_study(bare).plan_state
    assert state == read_study(example_study()).plan_state


def without_finnish(folder: Path) -> Path:
    """The example study as an English city would write it: no Finnish or Swedish word, and lists with one name."""
    file = folder / "study.toml"
    text = re.sub(r"^[\w.]+\.(fi|sv) = .*\n", "", file.read_text("utf-8"), flags=re.M)
    text = re.sub(r"(?<=[{,])\s*\w+\.(fi|sv) = \"[^\"]*\",?", "", text)
    file.write_text(re.sub(r"^languages = .*$", 'languages = ["en"]', text, flags=re.M), "utf-8")
    for name in ("areas.csv", "reference_areas.csv", "measures.csv"):
        table = pd.read_csv(folder / name, dtype=str, keep_default_na=False)
        if "name_fi" in table and "wave" not in table:
            table = table.rename(columns={"name_fi": "name"})
        foreign = [one for one in table if one in ("theme", "theme_sv", "name_sv") or one == "name_fi"]
        table.drop(columns=foreign).to_csv(folder / name, index=False)
    return folder


def test_a_study_in_one_language_needs_no_word_of_another(bare: Path) -> None:
    study = read_study(without_finnish(bare))
    own = read_study(example_study())
    assert study.spec.study.languages == ("en",)
    assert not any(words.fi or words.sv for _, words in _texts(study.spec, ""))
    assert [study.areas.name(code, "en") for code in study.treated] == [
        own.areas.name(code, "fi") for code in own.treated
    ]
    assert [one.name.own for one in study.measures] == [one.name.en for one in own.measures]
    assert [one.theme and one.theme.own for one in study.measures] == [
        one.theme and one.theme.en for one in own.measures
    ]
    changed = {one.key for one in study.plan_state.deviations}
    assert changed == {"areas.file", "reference.areas"}  # two files are others; no word is part of the plan
    assert city_names(study, "en")[study.spec.areas.city.own] == "Vantaa"
    assert quality_report(study, language="en").title.startswith("Data quality")


def test_a_language_that_the_study_speaks_is_needed_whichever_it_is(bare: Path) -> None:
    without_finnish(bare)
    change(bare, 'languages = ["en"]', 'languages = ["fi"]')
    with pytest.raises(StudyError) as caught:
        read_study(bare)
    said = str(caught.value)
    assert "Reports are wanted in Finnish" in said
    assert "study.title.fi" in said
    assert "name_fi" in said  # of measures.csv


@pytest.mark.parametrize("language", LANGUAGES)
def test_records_of_community_work_say_all_in_their_languages(tmp_path: Path, language: str) -> None:
    folder = tmp_path / "work"
    shutil.copytree(example_monitoring(), folder, copy_function=shutil.copyfile)
    file = folder / "monitoring.toml"
    lines = file.read_text("utf-8").splitlines()
    title = next(line for line in lines if line.startswith(f"title.{language} = "))
    file.write_text("\n".join(line for line in lines if line != title), "utf-8")
    with pytest.raises(StudyError) as caught:
        read_monitoring(folder)
    (fault,) = caught.value.faults
    assert fault.found == f"1 missing: monitoring.title.{language}"
    assert "out of languages in [monitoring]" in fault.fix


@pytest.mark.parametrize("column", ["name_fi", "name", "name_sv", "name_en"])
def test_an_area_has_one_name_whatever_its_column(tmp_path: Path, column: str) -> None:
    file = tmp_path / "areas.csv"
    file.write_text(f"code,level,{column}\n1,district,Mill Hill\n", "utf-8")
    areas = read_areas(file, unit="district")
    assert {areas.name("1", one) for one in LANGUAGES} == {"Mill Hill"}
    assert areas.resolve("mill hill") == "1"
    file.write_text(f"code,level,{column}\n1,district,\n", "utf-8")
    with pytest.raises(StudyError, match=f"An area has no {column}"):
        read_areas(file, unit="district")


def test_a_name_in_a_language_stands_before_the_one_name() -> None:
    rows = [{"code": "1", "level": "district", "name": "Mill Hill", "name_sv": "Kvarnbacken"}]
    areas = areas_from_rows(rows, unit="district")
    assert [areas.name("1", one) for one in ("fi", "sv", "en")] == ["Mill Hill", "Kvarnbacken", "Mill Hill"]


def test_an_area_without_a_swedish_name_keeps_its_own() -> None:
    areas = read_study(example_study()).areas
    assert [areas.name(code, "sv") for code in ("09294", "09274")] == ["Håkansböle", "Havukoski"]


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("Tavastby", "Tavast-\nby"),  # and not Ta-vastby: the parts of the compound
        ("Tavastberga", "Tavast-\nberga"),
        ("Fagersta", "Fager-\nsta"),
        ("Björkhagen", "Björk-\nhagen"),
        ("Vandadalen", "Vanda-\ndalen"),
        ("Råby", "Råby"),
        ("Leppäkorpi", "Leppä-\nkorpi"),  # Finnish: between syllables
    ],
)
def test_a_swedish_name_is_broken_between_its_parts(name: str, written: str) -> None:
    assert tile_name(name, 32.0) == written
