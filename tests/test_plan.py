"""The locked plan: what it fixes, what differs from it and why, and that every report says so."""

from __future__ import annotations

import datetime
import hashlib
import html
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mekeval import example_study, read_study
from mekeval.cli import main
from mekeval.errors import MekevalError, StudyError
from mekeval.evaluation import Evaluation
from mekeval.findings import REQUIRED
from mekeval.report.city import city_sections
from mekeval.report.district import district_sections
from mekeval.report.parts import Report
from mekeval.study import (
    CHECKS,
    LOCK,
    REQUIRED_CHECKS,
    Catalogue,
    PlanState,
    catalogue,
    lock_plan,
    plan_record,
    plan_state,
    planned,
    read_spec,
)
from mekeval.text import Texts

Make = Callable[..., Path]
REAL = Path(__file__).parents[1] / "data" / "vantaa-mek-paavo"
HAKUNILA = "09294"
PRIMARY = 'primary = ["low_income_rate", "unemployment_rate"]'
SECONDARY = 'secondary = ["basic_education_25_44", "median_income"]'
EN, FI = Texts("en"), Texts("fi")


def edit(folder: Path, *changes: tuple[str, str], add: str = "") -> Path:
    file = folder / "study.toml"
    text = file.read_text("utf-8")
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    file.write_text(text + add, "utf-8")
    return folder


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A copy of the embedded study without its lock and its raw files, locked if asked."""

    def copy(*changes: tuple[str, str], lock: bool = True, raw: bool = False) -> Path:
        folder = tmp_path / "study"
        leave = shutil.ignore_patterns(LOCK, *([] if raw else ["raw"]))
        shutil.copytree(example_study(), folder, ignore=leave)
        edit(folder, *changes)
        if lock:
            lock_plan(folder)
        return folder

    return copy


def state_of(folder: Path) -> PlanState:
    return plan_state(folder, read_spec(folder)[2])


def deviation(key: str, fi: str = "Syy.", en: str = "A reason.", more: str = "") -> str:
    return f'\n[[plan.deviation]]\nkey = "{key}"\nreason.fi = "{fi}"\nreason.en = "{en}"\n{more}'


def refused(folder: Path) -> MekevalError:
    with pytest.raises(MekevalError) as caught:
        state_of(folder)
    return caught.value


def cli(*words: str | Path) -> Result:
    return CliRunner().invoke(main, ["plan", *map(str, words)])


# ---- what a plan fixes


def test_required_checks_are_those_of_the_rule() -> None:
    assert REQUIRED_CHECKS == REQUIRED  # the schema stands below the rule and cannot import it
    assert set(REQUIRED_CHECKS) < set(CHECKS)


def test_a_plan_fixes_outcomes_waves_rule_and_definitions(make: Make) -> None:
    folder = make(lock=False)
    fixed = planned(folder, read_spec(folder)[2])
    assert fixed["plan.alpha"] == 0.05
    assert fixed["plan.estimator"] == "group_time_att"
    assert fixed["plan.required"] == sorted(REQUIRED_CHECKS)
    assert fixed["programme.wave.MEK 2023-2025.last"] == 2025
    assert fixed["programme.rule.choose"] == 4
    assert fixed["indicator.median_income.base"] == "adults"
    assert "indicator.foreign_language_0_6.denominator" in fixed  # no outcome, but the rule looks at it
    assert fixed["areas.file"] == {
        "file": "areas.csv",
        "sha256": hashlib.sha256((folder / "areas.csv").read_bytes()).hexdigest(),
    }
    assert not [
        key for key in fixed if "label" in key.split(".")[2:] or "eur_per" in key or "deviation" in key
    ]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("eur_per_year = 2_000_000", "eur_per_year = 3_000_000"),
        ('label.en = "Unemployment rate"', 'label.en = "Jobless"'),
        (PRIMARY, 'primary = ["unemployment_rate", "low_income_rate"]'),
        ('numerator = "unemployed"', 'numerator = " unemployed "'),
        ("alpha = 0.05", "alpha = 5e-2"),
        ("vintage = 2026", "vintage = 2025"),
        ("alpha = 0.05", 'alpha = 0.05\ncomparison = "auto"'),  # the default, written out
        ('languages = ["fi", ', 'languages = ["en", "fi"] # '),
        (
            'labels = ["Työttömät"]',
            'labels = ["TYÖTTÖMÄT", "Työttömiä"]',
        ),  # a new release may spell it otherwise
        ('items = ["labour_force", "unemployed"]', 'items = ["unemployed", "labour_force", "population"]'),
    ],
)
def test_what_decides_nothing_is_no_deviation(make: Make, old: str, new: str) -> None:
    state = state_of(edit(make(), (old, new)))
    assert (state.state, state.deviations) == ("kept", ())


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("alpha = 0.05", "alpha = 0.1", "plan.alpha"),
        ("seed = 20230101", "seed = 7", "study.seed"),
        ("last = 2022", "last = 2021", "programme.wave.MEK 2019-2022.last"),
        ('"Martinlaakso"]', '"Korso"]', "programme.wave.MEK 2019-2022.areas"),
        ("choose = 4", "choose = 5", "programme.rule.choose"),
        ("plausible = [0, 60]", "plausible = [0, 50]", "indicator.unemployment_rate.plausible"),
        (
            'denominator = "labour_force"',
            'denominator = "labour_force"\notherwise = "unemployed / population"',
            "indicator.unemployment_rate.otherwise",
        ),
        ('denominator = "aged_0_6"', 'denominator = "adults"', "indicator.foreign_language_0_6.denominator"),
        ("minimum_population = 300", "minimum_population = 400", "reference.minimum_population"),
        ("alpha = 0.05", 'alpha = 0.05\ncomparison = "city"', "plan.comparison"),
        ("median_income = 500 }", "median_income = 300 }", "plan.important"),
        ("alpha = 0.05", 'alpha = 0.05\nrequired = ["selection"]', "plan.required"),
        ('labels = ["Työttömät"]', 'labels = ["Työlliset"]', "item.unemployed.labels"),
        (
            'labels = ["Työttömät"]',
            'labels = [{ text = "Työttömät", last = 2025 }, "Työlliset"]',
            "item.unemployed.labels",
        ),
        ('file = "raw/tyolliset.csv"', 'file = "raw/other.csv"', "source.raw/tyolliset.csv"),
        (
            'file = "raw/tyolliset.csv"',
            'file = "raw/tyolliset.csv"\nscope = "both"',
            "source.raw/tyolliset.csv",
        ),
        ('file = "raw/tyolliset.csv"', 'file = "raw/tyolliset.csv"\nyear = 2020', "source.raw/tyolliset.csv"),
    ],
)
def test_what_decides_is_a_deviation(make: Make, old: str, new: str, key: str) -> None:
    state = state_of(edit(make(), (old, new)))
    assert state.state == "changed"
    assert state.unexplained == (key,)
    assert state.deviations[0].locked != state.deviations[0].now


@pytest.mark.parametrize(
    ("name", "key"), [("areas.csv", "areas.file"), ("reference_areas.csv", "reference.areas")]
)
def test_a_changed_list_of_areas_is_a_deviation_and_its_line_ends_are_none(
    make: Make, name: str, key: str
) -> None:
    folder = make()
    path = folder / name
    path.write_bytes(path.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))
    lock = folder / LOCK
    lock.write_bytes(lock.read_bytes().replace(b"\n", b"\r\n"))  # as git on Windows may check it out
    assert state_of(folder).state == "kept"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    assert state_of(folder).unexplained == (key,)


def test_a_key_that_the_library_learns_later_counts_as_its_default(make: Make) -> None:
    """As if it had been locked before `honest_size` and `breaks` were keys."""
    folder = make()
    path = folder / LOCK
    content = json.loads(path.read_text("utf-8"))
    for key in [key for key in content["plan"] if key == "plan.honest_size" or key.endswith(".breaks")]:
        del content["plan"][key]
    path.write_text(sealed(content), "utf-8")
    assert state_of(folder).state == "kept"
    edit(folder, ("alpha = 0.05", "alpha = 0.05\nhonest_size = 0.5"))
    assert state_of(folder).unexplained == ("plan.honest_size",)


def sealed(content: dict[str, object]) -> str:
    """A lock whose hash fits, written without the library."""
    rest = {key: value for key, value in content.items() if key != "sha256"}
    text = json.dumps(rest, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return json.dumps({**rest, "sha256": hashlib.sha256(text.encode()).hexdigest()})


# ---- states


def test_without_a_lock_a_plan_is_unlocked(make: Make) -> None:
    state = state_of(make(lock=False))
    assert (state.state, state.date, state.commit, state.lock_sha256) == ("unlocked", None, "", "")
    assert state.roles == {
        "low_income_rate": "primary",
        "unemployment_rate": "primary",
        "basic_education_25_44": "secondary",
        "median_income": "secondary",
    }


def test_a_locked_plan_is_kept(make: Make) -> None:
    state = state_of(make())
    assert (state.state, state.deviations, state.earlier) == ("kept", (), ())
    today = datetime.datetime.now(datetime.UTC).date()
    assert state.date in (today, today - datetime.timedelta(days=1))


def test_a_deviation_with_a_reason_is_explained(make: Make) -> None:
    folder = edit(
        make(),
        ("alpha = 0.05", "alpha = 0.1"),
        ("last = 2025", "last = 2026"),
        add=deviation("plan.alpha", more="date = 2026-03-01")
        + deviation("programme.wave.MEK 2023-2025", "Jatkettu."),
    )
    state = state_of(folder)
    assert (state.state, state.unexplained) == ("explained", ())
    alpha, wave = state.deviations
    assert (alpha.locked, alpha.now, alpha.date) == ("0.05", "0.1", datetime.date(2026, 3, 1))
    assert wave.key == "programme.wave.MEK 2023-2025.last"
    assert wave.reason is not None
    assert wave.reason.fi == "Jatkettu."


def test_one_reason_does_not_explain_another_deviation(make: Make) -> None:
    folder = edit(
        make(),
        ("alpha = 0.05", "alpha = 0.1"),
        ("pre_years = 5", "pre_years = 4"),
        add=deviation("plan.alpha"),
    )
    state = state_of(folder)
    assert (state.state, state.unexplained) == ("changed", ("plan.pre_years",))


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (deviation("plan.pre_years"), ["where nothing differs", "'plan.alpha'"]),
        (deviation("plan"), ["where nothing differs"]),  # one reason for whatever may come
        (deviation("programme.wave"), ["where nothing differs"]),
        (deviation("plan.alpha", fi="  ", en=""), ["has no reason", "'plan.alpha'"]),
        (deviation("plan.alpha") + deviation("plan.alpha"), ["explained twice"]),
    ],
)
def test_a_needless_or_empty_deviation_is_a_fault(make: Make, entry: str, words: list[str]) -> None:
    error = refused(edit(make(), ("alpha = 0.05", "alpha = 0.1"), add=entry))
    for word in words:
        assert word in str(error)


def test_a_deviation_from_a_kept_plan_or_from_none_is_a_fault(make: Make) -> None:
    folder = edit(make(), add=deviation("plan.alpha"))
    assert "the plan is kept" in str(refused(folder))
    (folder / LOCK).unlink()
    assert "no plan is locked" in str(refused(folder))


def test_a_deviation_without_a_reason_breaks_the_schema(make: Make) -> None:
    folder = edit(make(), add='\n[[plan.deviation]]\nkey = "plan.alpha"\n')
    with pytest.raises(StudyError, match=r"'plan\.deviation\[1\]\.reason' is missing"):
        read_spec(folder)


def test_a_result_has_the_weaker_of_its_two_roles(make: Make) -> None:
    """One outcome moves up, one is new, one moves down; that is explained and changes nothing of what they were."""
    folder = make((SECONDARY, 'secondary = ["basic_education_25_44"]'), (", median_income = 500 }", " }"))
    edit(
        folder,
        (PRIMARY, 'primary = ["basic_education_25_44", "low_income_rate"]'),
        ('secondary = ["basic_education_25_44"]', 'secondary = ["unemployment_rate", "median_income"]'),
        add=deviation("plan.primary") + deviation("plan.secondary") + deviation("indicator.median_income"),
    )
    state = state_of(folder)
    assert state.state == "explained"
    assert state.roles == {
        "basic_education_25_44": "secondary",
        "low_income_rate": "primary",
        "unemployment_rate": "secondary",
        "median_income": "exploratory",
    }


def test_a_programme_or_plan_that_is_taken_out_is_a_change(make: Make) -> None:
    folder = make()
    text = (folder / "study.toml").read_text("utf-8")
    (folder / "study.toml").write_text(text[: text.index("[plan]")], "utf-8")
    state = state_of(folder)
    assert state.state == "changed"
    assert "plan.primary" in state.unexplained
    assert state.roles == {}


def test_a_catalogue_that_changes_after_the_lock_is_a_change(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = next(one for one in catalogue.read_catalogue("paavo").indicator if one.name == "employment_rate")
    items = ", ".join(f'"{name}"' for name in dict.fromkeys(["labour_force", "unemployed", *own.items]))
    folder = make(
        ("[programme]", '[catalogue]\nuse = ["paavo"]\nindicators = ["employment_rate"]\n\n[programme]'),
        (SECONDARY, 'secondary = ["employment_rate"]'),
        (", basic_education_25_44 = 1.3, median_income = 500 }", " }"),
        ('items = ["labour_force", "unemployed"]', f"items = [{items}]"),
    )
    assert state_of(folder).state == "kept"
    real = catalogue._catalogue

    def other(name: str) -> Catalogue:
        found = real(name)
        changed = tuple(
            one.model_copy(update={"denominator": one.denominator + " + students"})
            if one.name == "employment_rate"
            else one
            for one in found.indicator
        )
        return found.model_copy(update={"indicator": changed})

    monkeypatch.setattr(catalogue, "_catalogue", other)
    assert state_of(folder).unexplained == ("indicator.employment_rate.denominator",)


def test_new_raw_files_are_no_deviation_and_one_that_is_left_out_is(make: Make) -> None:
    """Data grow from year to year; what was locked may not fall away."""
    folder = make()
    text = (folder / "study.toml").read_text("utf-8")
    head, first, *others = text.split("[[source]]")
    new = first.replace("raw/pienituloiset.csv", "raw/pienituloiset_2027.csv")
    (folder / "study.toml").write_text("[[source]]".join([head, new, first, *others]), "utf-8")
    assert state_of(folder).state == "kept"
    (folder / "study.toml").write_text("[[source]]".join([head, *others]), "utf-8")
    assert state_of(folder).unexplained == ("source.raw/pienituloiset.csv",)
    more = deviation("source.raw/pienituloiset.csv")
    (folder / "study.toml").write_text("[[source]]".join([head, *others]) + more, "utf-8")
    assert state_of(folder).state == "explained"


def test_the_days_of_a_lock_are_in_order_and_not_to_come(make: Make) -> None:
    folder = make()
    lock_plan(folder, again=True)
    path, today = folder / LOCK, datetime.datetime.now(datetime.UTC).date()
    content = json.loads(path.read_text("utf-8"))
    for days, good in ((0, True), (1, True), (2, False), (30_000, False), (-1, False)):
        content["date"] = (today + datetime.timedelta(days=days)).isoformat()
        path.write_text(sealed(content), "utf-8")
        if good:
            assert state_of(folder).state == "kept"
        else:  # to come, or before the lock that it replaced
            assert refused(folder).faults[0].what == "The days of plan.lock cannot be right."
    assert "Traceback" not in cli("show", folder).output


# ---- a lock that is none


def test_a_tampered_lock_is_refused(make: Make) -> None:
    folder = make()
    path = folder / LOCK
    whole = path.read_text("utf-8")
    content = json.loads(whole)
    for old, new in (
        ('"plan.alpha": 0.05', '"plan.alpha": 0.1'),
        (f'"date": "{content["date"]}"', '"date": "2018-01-01"'),
        ('"commit": ""', '"commit": "0123456"'),
        ('"earlier": []', f'"earlier": [{{"commit": "", "date": "2018-01-01", "sha256": "{"0" * 64}"}}]'),
    ):
        assert old in whole, old
        path.write_text(whole.replace(old, new), "utf-8")
        error = refused(folder)
        assert error.faults[0].what == "plan.lock was changed after it was written."
    assert "plan.lock was changed" in cli("show", folder).output
    assert "plan.lock was changed" in cli("lock", folder, "--again").output


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"null",
        b"{}",
        b"[" * 200_000,
        b'{"plan":' * 50_000,
        b'{"plan": ' + b"1" * 20_000 + b"}",
        b" " * (2**20 + 1),
        b"\xff\xfe",
        b'{"date": "soon", "commit": "", "dirty": false, "version": "", "earlier": [], "plan": {}, "sha256": ""}',
        b'{"date": "2026-01-01", "commit": "", "dirty": false, "version": "", "earlier": [], "plan": {"a": NaN},'
        b' "sha256": ""}',
        b'{"date": "2026-01-01", "commit": "\\ud800", "dirty": false, "version": "", "earlier": [], "plan": {},'
        b' "sha256": ""}',
        b'{"date": "2026-01-01", "commit": "", "dirty": false, "version": "", "earlier": [], "plan": {"a": '
        + b"[" * 150
        + b"]" * 150
        + b'}, "sha256": ""}',
    ],
    ids=lambda text: text[:12].decode("latin-1") + str(len(text)),
)
def test_a_bomb_is_no_lock(make: Make, text: bytes) -> None:
    folder = make(lock=False)
    (folder / LOCK).write_bytes(text)
    error = refused(folder)
    assert isinstance(error, StudyError)
    assert error.faults[0].what.startswith("plan.lock ")
    assert len(str(error)) < 1000


def test_a_folder_a_pipe_or_a_link_is_no_lock(make: Make, tmp_path: Path) -> None:
    folder = make()
    path = folder / LOCK
    kept = tmp_path / "elsewhere.lock"
    path.rename(kept)
    path.mkdir()
    assert "no file of the study's folder" in str(refused(folder))
    path.rmdir()
    os.mkfifo(path)
    assert "no file of the study's folder" in str(refused(folder))
    path.unlink()
    for target in (kept, tmp_path / "gone.lock"):  # a link that leads nowhere is not "no lock"
        path.symlink_to(target)
        assert "plan.lock cannot be read" in str(refused(folder))
        path.unlink()


# ---- locking


def test_locking_twice_is_refused_and_again_leaves_a_trace(make: Make) -> None:
    folder = make()
    before = (folder / LOCK).read_bytes()
    edit(folder, ("alpha = 0.05", "alpha = 0.1"))
    with pytest.raises(StudyError, match="locked already"):
        lock_plan(folder)
    assert (folder / LOCK).read_bytes() == before
    state = lock_plan(folder, again=True)
    assert state.state == "kept"
    first = json.loads(before)
    assert state.earlier == (datetime.date.fromisoformat(first["date"]),)
    (trace,) = json.loads((folder / LOCK).read_text("utf-8"))["earlier"]
    assert trace == {"commit": first["commit"], "date": first["date"], "sha256": first["sha256"]}
    assert len(lock_plan(folder, again=True).earlier) == 2
    assert sorted(path.name for path in folder.glob("plan*")) == [LOCK]  # nothing half-written stays


def test_reasons_that_are_left_over_refuse_a_new_lock(make: Make) -> None:
    folder = edit(make(), ("alpha = 0.05", "alpha = 0.1"), add=deviation("plan.alpha"))
    before = (folder / LOCK).read_bytes()
    with pytest.raises(StudyError, match="nothing to deviate from"):
        lock_plan(folder, again=True)
    assert (folder / LOCK).read_bytes() == before


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ((PRIMARY, 'primary = ["low_income_raet"]'), ["Unknown indicator", "'low_income_rate'"]),
        (("alpha = 0.05", 'required = ["leave_one_ot"]'), ["Unknown check", "'leave_one_out'"]),
        (("alpha = 0.05", 'required = ["honest", "honest"]'), ["required check 'honest' is named twice"]),
        (
            ("median_income = 500 }", "foreign_language_0_6 = 1 }"),
            ["Unknown outcome of the plan", "'foreign_language_0_6'"],
        ),
        (
            ("median_income = 500 }", "median_income = 0 }"),
            ["plan.important.median_income", "greater than 0"],
        ),
        (("median_income = 500 }", "median_income = nan }"), ["plan.important.median_income"]),
        (("alpha = 0.05", "honest_size = 0"), ["plan.honest_size", "greater than 0"]),
        (("alpha = 0.05", 'estimator = "twfe"'), ["plan.estimator", "group_time_att"]),
        (("alpha = 0.05", 'comparison = "cities"'), ["plan.comparison", "rule_placebo"]),
        (('unit = "eur"', 'unit = "eur"\nbreaks = [2020, 2018]'), ["not in order", "2020, 2018"]),
        (
            ('file = "areas.csv"', 'file = "areas.scv"'),
            ["list that the plan fixes cannot be read", "areas.scv"],
        ),
        (('"Hakunila"', '"Hakunlia"'), ["programme.wave", "'Hakunlia'", "'Hakunila'"]),
    ],
)
def test_a_plan_with_a_fault_is_not_locked(make: Make, change: tuple[str, str], words: list[str]) -> None:
    folder = make(change, lock=False)
    with pytest.raises(StudyError) as caught:
        lock_plan(folder)
    for word in words:
        assert word in str(caught.value)
    assert not (folder / LOCK).exists()


def test_a_plan_without_a_programme_can_be_locked_and_a_study_without_a_plan_not(make: Make) -> None:
    folder = make(lock=False)
    text = (folder / "study.toml").read_text("utf-8")
    start, end = text.index("[programme]"), text.index("# An item is a raw quantity")
    head, *tables = (text[:start] + text[end:]).split("[[source]]")
    last, plan = tables[-1].split("[plan]")
    kept = [table for table in (*tables[:-1], last) if 'scope = "reference"' not in table]
    without = "[[source]]".join([head, *kept]) + "[plan]" + plan
    (folder / "study.toml").write_text(without, "utf-8")
    assert lock_plan(folder).state == "kept"
    (folder / LOCK).unlink()
    (folder / "study.toml").write_text(without[: without.index("[plan]")], "utf-8")
    for command in ("lock", "show"):
        result = cli(command, folder)
        assert result.exit_code == 2
        assert "no plan" in result.output
        assert "Traceback" not in result.output


def test_a_folder_that_cannot_be_written_is_told(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make(lock=False)

    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(StudyError, match="No space left"):
        lock_plan(folder)
    assert [path.name for path in folder.glob("plan*")] == []


# ---- git


def git(folder: Path, *words: str) -> str:
    own = ["-c", "user.name=A", "-c", "user.email=a@b.fi", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *own, *words], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_lock_knows_the_commit_and_whether_the_study_differed_from_it(make: Make) -> None:
    folder = make(lock=False)
    assert lock_plan(folder).commit == ""  # no repository
    git(folder.parent, "init", "--quiet")
    assert lock_plan(folder, again=True).commit == ""  # no commit yet
    (folder.parent / ".gitignore").write_text("study\n", "utf-8")
    git(folder.parent, "add", ".gitignore")
    git(folder.parent, "commit", "--quiet", "-m", "one")
    state = lock_plan(
        folder, again=True
    )  # a repository that does not hold the study, though nothing in it differs
    assert (state.commit, state.dirty) == (git(folder.parent, "rev-parse", "HEAD"), True)
    git(folder.parent, "add", "--force", "study")
    git(folder.parent, "commit", "--quiet", "-m", "two")
    state = lock_plan(folder, again=True)
    assert (state.commit, state.dirty) == (git(folder.parent, "rev-parse", "HEAD"), False)
    git(folder.parent, "commit", "--quiet", "-am", "three")
    (folder.parent / "other.txt").write_text("not the study's\n", "utf-8")
    assert not lock_plan(folder, again=True).dirty
    edit(folder, ("alpha = 0.05", "alpha = 0.1"))
    assert lock_plan(folder, again=True).dirty


def test_a_repository_named_by_a_variable_is_not_the_studys(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "--quiet")
    git(other, "commit", "--quiet", "--allow-empty", "-m", "one")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    assert lock_plan(make(lock=False)).commit == ""


def test_a_repository_cannot_make_locking_run_its_program(make: Make, tmp_path: Path) -> None:
    folder = make(lock=False)
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "one")
    hook, sign = tmp_path / "hook.sh", tmp_path / "ran"
    hook.write_text(f"#!/bin/sh\ntouch {sign}\n", "utf-8")
    hook.chmod(0o755)
    git(folder, "config", "core.fsmonitor", str(hook))
    git(folder, "status")
    assert sign.exists()  # what git would do by itself
    sign.unlink()
    assert lock_plan(folder).commit
    assert not sign.exists()


def test_without_git_a_plan_can_be_locked(
    make: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    state = lock_plan(make(lock=False))
    assert (state.commit, state.dirty, state.state) == ("", False, "kept")


# ---- the command line


def test_lock_and_show_say_one_thing_a_line(make: Make) -> None:
    folder = make(lock=False)
    shown = cli("show", folder)
    assert shown.exit_code == 0
    assert shown.output.splitlines()[-1] == "The plan is not locked."
    assert "plan.alpha: 0.05" in shown.output.splitlines()
    locked = cli("lock", folder)
    assert locked.exit_code == 0
    day = json.loads((folder / LOCK).read_text("utf-8"))["date"]
    assert locked.output.splitlines()[0].startswith(f"Locked on {day} by mekeval ")
    assert locked.output.splitlines()[1:] == ["The study keeps to it.", str(folder / LOCK)]
    twice = cli("lock", folder)
    assert twice.exit_code == 2
    assert twice.output.startswith("Nothing was locked. The plan is locked already.")
    edit(
        folder,
        ("alpha = 0.05", "alpha = 0.1"),
        ("pre_years = 5", "pre_years = 4"),
        add=deviation("plan.alpha", more="date = 2026-03-01"),
    )
    *_, whole, alpha, years = cli("show", folder).output.splitlines()
    assert whole == "The study differs from it without a reason: plan.pre_years."
    assert alpha == "differs: plan.alpha: 0.05 -> 0.1 (2026-03-01: Syy.)"
    assert years == "differs: plan.pre_years: 5 -> 4 (no reason given)"


def test_a_new_study_does_not_take_over_the_lock_of_the_example(tmp_path: Path) -> None:
    assert (example_study() / LOCK).exists()
    assert CliRunner().invoke(main, ["new", str(tmp_path / "own")]).exit_code == 0
    folder = tmp_path / "own" / "data" / "vantaa-mek"
    assert (folder / "study.toml").exists()
    assert not (folder / LOCK).exists()


# ---- the study


def test_the_lock_is_part_of_what_a_study_is(make: Make) -> None:
    folder = make(lock=False, raw=True)
    before = read_study(folder)
    lock_plan(folder)
    after = read_study(folder)
    assert before.plan_state.state == "unlocked"
    assert after.plan_state.state == "kept"
    assert before.sha256 != after.sha256
    edit(folder, ("alpha = 0.05", "alpha = 0.1"))
    assert read_study(folder).plan_state.state == "changed"  # is read, and said in every report
    (folder / LOCK).write_text("{}", "utf-8")
    edit(folder, ("choose = 4", "choose = 400"))
    with pytest.raises(MekevalError) as caught:
        read_study(folder)
    assert len(caught.value.faults) == 2  # the lock is no reason to keep quiet about the rest


def test_cleaning_needs_no_plan(make: Make, tmp_path: Path) -> None:
    folder = make(raw=True)
    text = (folder / "study.toml").read_text("utf-8")
    (folder / "study.toml").write_text(text[: text.index("[plan]")], "utf-8")
    words = ["clean", str(folder), "--no-report", "--out", str(tmp_path / "clean")]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output


def test_the_embedded_study_is_locked_and_keeps_to_it() -> None:
    state = state_of(example_study())
    assert state.state == "kept"
    assert state.commit


def test_the_study_whose_outcomes_were_seen_is_not_locked() -> None:
    assert state_of(REAL).state == "unlocked"


def test_neighbours_are_read_both_ways_and_hashed(make: Make) -> None:
    folder = make(lock=False, raw=True)
    table = folder / "neighbours.csv"
    table.write_text("area,neighbour\n09294,09282\n09294,09215\n", "utf-8")
    one = read_study(folder)
    assert one.neighbours == {"09294": ("09215", "09282"), "09215": ("09294",), "09282": ("09294",)}
    lock_plan(folder)
    locked = read_study(folder)
    table.write_text("area,neighbour\n09294,09282\n", "utf-8")
    two = read_study(folder)
    assert two.sha256 != locked.sha256
    assert two.plan_state.unexplained == ("areas.neighbours",)
    lock = (folder / LOCK).read_bytes()
    edit(folder, ('neighbours = "neighbours.csv"', ""))
    assert read_study(folder).neighbours == {}
    assert read_study(folder).plan_state.unexplained == ("areas.neighbours",)
    assert (folder / LOCK).read_bytes() == lock


@pytest.mark.parametrize(
    ("name", "rows", "words"),
    [
        ("neighbours.csv", "area,neighbour\n09294,99999\n", ["An area is not known", "99999", "row 2"]),
        ("neighbours.csv", "area,neighbour\n", ["The table has no pairs"]),
        ("../neighbours.csv", "area,neighbour\n09294,09282\n", ["areas.neighbours leaves the study folder"]),
        ("nowhere.csv", "", ["nowhere.csv"]),
    ],
)
def test_a_table_of_neighbours_with_a_fault_is_refused(
    make: Make, name: str, rows: str, words: list[str]
) -> None:
    folder = make(('neighbours = "neighbours.csv"', f'neighbours = "{name}"'), lock=False, raw=True)
    if rows:
        (folder / name).write_text(rows, "utf-8")
    with pytest.raises(MekevalError) as caught:
        read_study(folder)
    for word in words:
        assert word in str(caught.value)


# ---- reports


@pytest.fixture(scope="module")
def whole(evaluated: Callable[..., Evaluation]) -> Evaluation:
    return evaluated(2021)


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here is said in a picture or of the situation, and these take most of a report's time."""
    for module in ("city", "district", "first"):
        monkeypatch.setattr(f"mekeval.report.{module}.drawn", lambda *_, **__: [])
    monkeypatch.setattr("mekeval.report.city.segregation_parts", lambda *_, **__: [])


def with_state(evaluation: Evaluation, state: PlanState) -> Evaluation:
    return replace(evaluation, study=replace(evaluation.study, plan_state=state))


def text_of(report: Report, part: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", getattr(report, part).html)).split())


def reports(whole: Evaluation, state: PlanState, texts: Texts) -> list[Report]:
    """The city's report and that of a district, as if only it had been asked for."""
    known = with_state(whole, state)
    findings = {key: finding for key, finding in whole.findings.items() if key[1] == HAKUNILA}
    single = replace(known, findings=findings, adjusted=None, choice=None, plain=())
    return [city_sections(known, texts), district_sections(single, HAKUNILA, texts)]


@pytest.mark.parametrize(
    ("texts", "not_locked", "box"),
    [
        (EN, "The plan of this evaluation was not locked.", "was not locked before the results were seen"),
        (
            FI,
            "Arvioinnin suunnitelmaa ei ole lukittu.",
            "suunnitelmaa ei lukittu ennen kuin tulokset nähtiin",
        ),
    ],
)
def test_every_report_says_that_no_plan_was_locked(
    whole: Evaluation, make: Make, texts: Texts, not_locked: str, box: str
) -> None:
    for report in reports(whole, state_of(make(lock=False)), texts):
        assert not_locked in text_of(report, "method")
        assert re.search(rf'<p class="warning">[^<]*{box}', report.summary.html)


@pytest.mark.parametrize(
    ("texts", "day", "keeps"),
    [
        (EN, "on 3 February 2024", "The analysis keeps to the plan."),
        (FI, "3. helmikuuta 2024", "Analyysi noudattaa suunnitelmaa."),
    ],
)
def test_every_report_says_that_the_plan_is_kept_and_by_which_commit(
    whole: Evaluation, make: Make, texts: Texts, day: str, keeps: str
) -> None:
    state = replace(state_of(make()), date=datetime.date(2024, 2, 3), commit="0123456789abcdef")
    again = replace(state, dirty=True, earlier=(datetime.date(2023, 1, 2),))
    for report in reports(whole, state, texts):
        said = text_of(report, "method").replace("\N{NO-BREAK SPACE}", " ")
        assert day in said
        assert keeps in said
        assert "0123456789ab)" in said
        assert "warning" not in report.summary.html
    for report in reports(whole, again, texts):
        said = text_of(report, "method").replace("\N{NO-BREAK SPACE}", " ")
        assert "0123456789ab, " in said
        assert "2 January 2023" in said or "2. tammikuuta 2023" in said


@pytest.mark.parametrize(
    ("texts", "why", "none", "box"),
    [
        (EN, "A reason. (1 March 2026)", "no reason given", "changed after it was locked"),
        (FI, "Syy. (1. maaliskuuta 2026)", "syytä ei ole annettu", "muutettu sen jälkeen, kun se lukittiin"),
    ],
)
def test_every_report_shows_each_deviation_with_its_reason_and_warns_of_those_without(
    whole: Evaluation, make: Make, texts: Texts, why: str, none: str, box: str
) -> None:
    folder = edit(
        make(), ("alpha = 0.05", "alpha = 0.1"), add=deviation("plan.alpha", more="date = 2026-03-01")
    )
    early = replace(state_of(folder), date=datetime.date(2024, 2, 3))
    for report in reports(whole, early, texts):
        said = text_of(report, "method").replace("\N{NO-BREAK SPACE}", " ")
        assert f"plan.alpha 0.05 0.1 {why}" in said
        assert "warning" not in report.summary.html
    edit(folder, ("pre_years = 5", "pre_years = 4"))
    for report in reports(whole, state_of(folder), texts):
        assert f"plan.pre_years 5 4 {none}" in text_of(report, "method")
        assert re.search(rf'<p class="warning">[^<]*{box}[^<]*: plan\.pre_years\.', report.summary.html)


def test_what_is_written_into_a_reason_is_text(whole: Evaluation, make: Make) -> None:
    folder = edit(
        make(), ("alpha = 0.05", "alpha = 0.1"), add=deviation("plan.alpha", "<script>1</script>", "<b>x</b>")
    )
    for texts in (EN, FI):
        for report in reports(whole, state_of(folder), texts):
            assert "<script>" not in report.method.html
            assert "<b>x" not in report.method.html


@pytest.mark.parametrize(
    ("texts", "secondary", "exploratory"),
    [(EN, "secondary", "exploratory"), (FI, "toissijainen", "kartoittava")],
)
def test_results_that_are_not_primary_are_labelled_wherever_they_stand(
    whole: Evaluation, make: Make, texts: Texts, secondary: str, exploratory: str
) -> None:
    folder = make((SECONDARY, 'secondary = ["basic_education_25_44"]'), (", median_income = 500 }", " }"))
    edit(folder, ('secondary = ["basic_education_25_44"]', SECONDARY))
    state = state_of(folder)
    for report in reports(whole, state, texts):
        study = whole.study
        labels = {one.name: one.label.text(texts.language) for one in study.spec.indicator}
        for part in ("effect", "trust"):
            said = text_of(report, part)
            assert f"{labels['basic_education_25_44']} ({secondary})" in said
            assert f"{labels['median_income']} ({exploratory})" in said
            assert f"{labels['unemployment_rate']} (" not in said
        marks = re.findall(r"<strong>[^<]*</strong>", report.summary.html)
        assert sum(f"({secondary})." in mark for mark in marks) == 1
        assert sum(f"({exploratory})." in mark for mark in marks) == 1
        roles = {str(record["outcome"]): record["role"] for record in report.findings.records}
        assert roles == dict(state.roles)
        assert {record["plan"] for record in report.findings.records} == {"changed"}
        assert all(
            record["deviations"] == [one.key for one in state.deviations]
            for record in report.findings.records
        )
        assert "plan.secondary" in state.unexplained


@pytest.mark.parametrize(
    ("day", "said"),
    [
        (datetime.date(2024, 12, 31), "None of the 8 raw files with its outcomes had been published by then"),
        (datetime.date(2026, 1, 1), "All 8 raw files with its outcomes may have been public by then"),
    ],
)
def test_a_report_says_whether_outcomes_could_have_been_seen(
    whole: Evaluation, make: Make, day: datetime.date, said: str
) -> None:
    """Counted in study.toml: 4 files of the city and 4 of the reference cities hold an outcome, all of 2026."""
    state = replace(state_of(make()), date=day)
    late = "By then all figures of its outcomes may have been public"
    for report in reports(whole, state, EN):
        assert said in text_of(report, "method")
        assert (late in report.summary.html) == said.startswith("All")


@pytest.mark.parametrize(
    ("day", "version", "after_start", "other_version"),
    [
        (datetime.date(2018, 12, 31), "", False, False),
        (datetime.date(2019, 1, 1), "0.0.1", True, True),
    ],
)
def test_a_report_says_whether_the_programme_had_begun_and_another_version_locked_the_plan(
    whole: Evaluation, make: Make, day: datetime.date, version: str, after_start: bool, other_version: bool
) -> None:
    """The first wave began in 2019."""
    state = state_of(make())
    state = replace(state, date=day, version=version or state.version)
    for report in reports(whole, state, EN):
        said = text_of(report, "method")
        assert ("The programme had begun before that, in 2019." in said) == after_start
        assert ("It was locked with mekeval 0.0.1; this report was made with" in said) == other_version


def test_a_state_as_plain_data_names_every_deviation(make: Make) -> None:
    """The manifest of a run holds it: tests/test_run.py."""
    folder = edit(
        make(),
        ("alpha = 0.05", "alpha = 0.1"),
        ("pre_years = 5", "pre_years = 4"),
        add=deviation("plan.alpha", more="date = 2026-03-01"),
    )
    record = json.loads(json.dumps(plan_record(state_of(folder))))
    assert record["state"] == "changed"
    assert record["date"] == json.loads((folder / LOCK).read_text("utf-8"))["date"]
    assert record["lock_sha256"] == hashlib.sha256((folder / LOCK).read_bytes()).hexdigest()
    reason = {"fi": "Syy.", "sv": "", "en": "A reason."}
    assert record["deviations"] == [
        {"key": "plan.alpha", "locked": "0.05", "now": "0.1", "reason": reason, "date": "2026-03-01"},
        {"key": "plan.pre_years", "locked": "5", "now": "4", "reason": None, "date": ""},
    ]
