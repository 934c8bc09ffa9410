"""Downloads: the same bytes whatever the server does on the way; the old file stays until the new one is whole."""

from __future__ import annotations

import contextlib
import csv
import errno
import hashlib
import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import stamina
from click.testing import CliRunner
from pxweb_server import Replay, Table, made_up, recorded, serving

import mekeval
from mekeval import DataError, MekevalError, RunError, StudyError
from mekeval.cli import main
from mekeval.fetch import LOCK, Fetched, fetch_study
from mekeval.fetch.answers import Dimension, check_answer
from mekeval.fetch.pxweb import _plain as plain
from mekeval.fetch.pxweb import split
from mekeval.fetch.web import Answer
from mekeval.sources import read_source
from mekeval.study import read_spec

POSTAL = '["*"]'


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Retries without their waits; no proxy between this machine and itself."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with stamina.set_testing(True, attempts=6):
        yield


@pytest.fixture
def server() -> Iterator[Replay]:
    with serving(Replay(table=made_up())) as replay:
        yield replay


def study(
    folder: Path,
    url: str,
    *,
    file: str = "raw/paavo.csv",
    form: str = "json-stat2",
    items: str = "",
    years: str = '["*"]',
    extra: str = "",
    sha256: str = "",
    fetch: str | None = None,
) -> Path:
    """A study of one source with as little else as the schema allows."""
    folder.mkdir(parents=True, exist_ok=True)
    names = {
        "population": "Inhabitants, total (HE)",
        "income": 'Median "income", inhabitants (HR)',
        "real_income": "Median income of inhabitants (HR)",
        "births": "Syntyneet",
    }
    wanted = items or '["population", "income"]'
    item = "\n".join(f"[[item]]\nname = {name!r}\nlabels = [{label!r}]" for name, label in names.items())
    table = fetch or (
        f'[source.fetch]\nservice = "pxweb"\nurl = {url!r}\nformat = {form!r}\narea = "Postinumeroalue"\n{extra}\n'
        f'[source.fetch.select]\nPostinumeroalue = {POSTAL}\nTiedot = ["*"]\nVuosi = {years}'
    )
    (folder / "study.toml").write_text(
        f"""
[study]
name = "fetched"
seed = 1
minimum_base = 30
title.fi = "Haku"
attribution.fi = "Ei mitään"
[areas]
file = "areas.csv"
unit = "district"
city.fi = "Vantaa"
[programme]
title.fi = "Ohjelma"
wave = [{{ name = "1", first = 2022, last = 2022, areas = ["x"] }}]
{item}
[[indicator]]
name = "population"
value = "population"
base = "population"
higher_is = "neutral"
unit = "persons"
label.fi = "Väestö"
[plan]
primary = ["population"]
[[source]]
file = {file!r}
reader = "pxweb-csv"
vintage = 2024
sha256 = {sha256!r}
items = {wanted}
{table}
""",
        encoding="utf-8",
    )
    return folder


def raw_bytes(folder: Path) -> bytes:
    return (folder / "raw" / "paavo.csv").read_bytes()


def fetch(folder: Path, **words: object) -> Fetched:
    (result,) = fetch_study(folder, progress=False, **words)  # type: ignore[arg-type]
    return result


def expected(table: Table) -> bytes:
    """The file of a table, written here by other means: title, empty line, header, one row for each area and item."""
    (_, area_head, areas), (_, item_head, items), (_, _, years) = table.dimensions
    rows = [f'"{table.title}"', "", ",".join(f'"{each}"' for each in (area_head, item_head, *years))]
    for area, area_label in areas.items():
        for item, item_label in items.items():
            cells = [table.cells[area, item, year] for year in years]
            shown = [cell if cell[0].isdigit() or cell[0] == "-" else f'"{cell}"' for cell in cells]
            escaped = item_label.replace('"', '""')
            rows.append(",".join([f'"{area_label}"', f'"{escaped}"', *shown]))
    return ("\n".join(rows) + "\n").encode("utf-8")


def tree(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


# What comes out


def test_a_table_becomes_the_file_that_the_reader_takes(tmp_path: Path, server: Replay) -> None:
    folder = study(tmp_path / "s", server.url)
    result = fetch(folder)
    assert result.state == "new"
    assert raw_bytes(folder) == expected(server.table)
    assert result.sha256 == hashlib.sha256(expected(server.table)).hexdigest()
    assert f'sha256 = "{result.sha256}"' in result.message
    source = read_spec(folder)[2].source[0]
    cells = read_source(
        folder / source.file,
        source,
        {"population": ["Inhabitants, total (HE)"], "income": ['Median "income", inhabitants (HR)']},
    ).cells
    assert len(cells) == 6 * 2 * 2
    at = cells.set_index(["area_label", "item", "year"])
    first = "01200  Älyniemi 0 (Vantaa)"
    assert at.loc[(first, "population", 2021), "value"] == 120001.1
    assert at.loc[(first, "income", 2021), "status"] == "suppressed"
    assert at.loc[(first, "income", 2022), "status"] == "not_applicable"
    assert at.loc[("01202  Älyniemi 2 (Vantaa)", "population", 2021), "status"] == "missing"


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5, 8, 23, 24])
def test_the_limit_of_cells_does_not_show_in_the_file(tmp_path: Path, server: Replay, limit: int) -> None:
    server.max_cells = limit
    folder = study(tmp_path / "s", server.url)
    assert fetch(folder).state == "new"
    assert raw_bytes(folder) == expected(server.table)
    assert 403 not in server.statuses
    assert len(server.posts) >= 24 / limit


def test_a_lower_limit_than_announced_is_found_by_halving(tmp_path: Path, server: Replay) -> None:
    server.max_cells, server.announced_cells = 5, 1000
    folder = study(tmp_path / "s", server.url)
    assert fetch(folder).state == "new"
    assert raw_bytes(folder) == expected(server.table)
    assert 403 in server.statuses
    # 24 cells are refused, then 12, then 6 (of which whole areas fit in 4): what was learned holds for all later parts.
    assert server.statuses.count(403) <= 4


def test_a_limit_that_was_learned_holds_for_the_parts_to_come(tmp_path: Path, server: Replay) -> None:
    server.max_cells, server.announced_cells = 4, 8
    folder = study(tmp_path / "s", server.url)
    assert fetch(folder).state == "new"
    assert raw_bytes(folder) == expected(server.table)
    assert server.statuses.count(403) == 1
    assert len(server.posts) == 1 + 6  # one area at a time


def test_a_server_that_refuses_every_cell_is_told_as_such(tmp_path: Path, server: Replay) -> None:
    server.max_cells, server.announced_cells = 0, 1000
    result = fetch(study(tmp_path / "s", server.url))
    assert result.state == "failed"
    assert "refuses even one cell" in result.message
    assert len(server.posts) < 20


def test_a_server_without_config_gets_small_questions(
    tmp_path: Path, server: Replay, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.config = False
    for module in ("web", "pxweb"):
        monkeypatch.setattr(f"mekeval.fetch.{module}.time", Clock())
    monkeypatch.setattr("mekeval.fetch.pxweb._CELLS", 5)
    folder = study(tmp_path / "s", server.url)
    assert fetch(folder).state == "new"
    assert raw_bytes(folder) == expected(server.table)
    assert len(server.posts) == 6  # an area has four cells


def test_the_recorded_table_comes_back_row_by_row(tmp_path: Path, raw: Path) -> None:
    recorded_folder = raw / "statfi-paavo" / "pxweb-12f7-helsinki-2020-2023"
    with serving(Replay(table=recorded(recorded_folder), max_cells=3_000)) as replay:
        folder = study(tmp_path / "s", replay.url, years='["2022"]', items='["population", "real_income"]')
        assert fetch(folder).state == "new"
        assert len(replay.posts) == 3  # 84 areas x 107 items: 28 areas at a time
    ours = list(csv.reader(io.StringIO(raw_bytes(folder).decode("utf-8"))))
    text = (recorded_folder / "009_12f7_2022_all.csv").read_bytes().decode("iso-8859-1")
    assert ours == list(csv.reader(io.StringIO(text, newline="")))


def test_csv_answers_are_joined_too(tmp_path: Path, server: Replay) -> None:
    server.max_cells = 9  # two areas at a time
    folder = study(tmp_path / "s", server.url, form="csv")
    assert fetch(folder).state == "new"
    assert len(server.posts) == 3
    rows = list(csv.reader(io.StringIO(raw_bytes(folder).decode("utf-8"))))
    wanted = list(csv.reader(io.StringIO(expected(server.table).decode("utf-8"))))
    assert rows == wanted[2:]  # such answers have no title


def test_csv_cannot_be_cut_within_an_area(tmp_path: Path, server: Replay) -> None:
    server.max_cells = 3
    result = fetch(study(tmp_path / "s", server.url, form="csv"))
    assert result.state == "failed"
    assert "json-stat2" in result.message


def test_a_dimension_of_one_value_does_not_show_and_one_of_two_does(tmp_path: Path) -> None:
    base = made_up()
    sexes = {"S": "Total", "F": "Women"}
    table = replace(
        base,
        dimensions=[base.dimensions[2], ("Sex", "Sex", sexes), base.dimensions[1], base.dimensions[0]],
        cells={
            (y, s, i, a): value + s.replace("S", "1").replace("F", "2")
            for (a, i, y), value in base.cells.items()
            for s in sexes
            if value[0] != "."
        }
        | {(y, s, i, a): value for (a, i, y), value in base.cells.items() for s in sexes if value[0] == "."},
    )
    with serving(Replay(table=table, max_cells=3)) as replay:
        texts = {}
        for name, sex in (("one", '["F"]'), ("two", '["*"]')):
            extra = (
                f'[source.fetch.select]\nPostinumeroalue = ["*"]\nTiedot = ["*"]\nVuosi = ["*"]\nSex = {sex}'
            )
            words = (
                f'[source.fetch]\nservice = "pxweb"\nurl = "{replay.url}"\narea = "Postinumeroalue"\n{extra}'
            )
            items = '["population"]' if name == "one" else '["births"]'
            folder = study(tmp_path / name, replay.url, fetch=words, items=items)
            if name == "two":
                text = (folder / "study.toml").read_text(encoding="utf-8")
                text = text.replace("'Syntyneet'", "'Women, Inhabitants, total (HE)'")
                (folder / "study.toml").write_text(text, encoding="utf-8")
            assert fetch(folder).state == "new"
            texts[name] = raw_bytes(folder).decode("utf-8").splitlines()
    assert texts["one"][2] == '"Postal code area","Information","2021","2022"'
    assert texts["one"][3] == '"01200  Älyniemi 0 (Vantaa)","Inhabitants, total (HE)",120001.102,120002.102'
    assert texts["two"][2] == '"Postal code area","Sex, Information","2021","2022"'
    assert (
        texts["two"][5]
        == '"01200  Älyniemi 0 (Vantaa)","Women, Inhabitants, total (HE)",120001.102,120002.102'
    )


def test_questions_are_cut_into_whole_tables_that_cover_every_cell_once() -> None:
    codes = (tuple("abcde"), tuple("xyz"), tuple("12"))
    everything = {(a, b, c) for a in codes[0] for b in codes[1] for c in codes[2]}
    for limit in range(1, 40):
        cells = [(a, b, c) for part in split(codes, limit) for a in part[0] for b in part[1] for c in part[2]]
        assert len(cells) == 30
        assert set(cells) == everything
        assert all(len(a) * len(b) * len(c) <= limit for a, b, c in split(codes, limit))


# What goes wrong on the way


@pytest.mark.parametrize("fault", ["429", "429 after", "500", "cut", "cut chunked"])
def test_a_passing_fault_leaves_no_trace(tmp_path: Path, server: Replay, fault: str) -> None:
    server.max_cells = 4
    server.faults = ["", fault, fault, "", fault]
    folder = study(tmp_path / "s", server.url)
    assert fetch(folder).state == "new"
    assert raw_bytes(folder) == expected(server.table)
    assert len(server.posts) == 6 + 3


def test_silence_is_given_up_and_asked_again(tmp_path: Path, server: Replay) -> None:
    server.faults = ["slow"]
    folder = study(tmp_path / "s", server.url)
    assert fetch(folder, timeout=0.5).state == "new"
    assert raw_bytes(folder) == expected(server.table)
    assert len(server.posts) == 2


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("500", "fault that lasts"),
        ("429", "too busy"),
        ("cut", "breaks again and again"),
        ("huge wait", "86400 s"),
        ("html", "web page"),
        ("truncated", "not JSON"),
        ("empty", "not JSON"),
        ("short", "not what was asked for"),
        ("other codes", "other codes of Postinumeroalue"),
        ("moved", "http://127.0.0.1:9/elsewhere"),
    ],
)
def test_a_lasting_fault_keeps_the_old_file_and_what_has_come(
    tmp_path: Path, server: Replay, fault: str, words: str
) -> None:
    server.max_cells = 8
    folder = study(tmp_path / "s", server.url)
    (folder / "raw").mkdir()
    (folder / "raw" / "paavo.csv").write_bytes(b"yesterday")
    server.faults = ["", *[fault] * 6]
    result = fetch(folder)
    assert result.state == "failed"
    assert words in result.message
    assert raw_bytes(folder) == b"yesterday"
    assert not (folder / LOCK).exists()
    server.faults.clear()
    before = len(server.posts)
    assert fetch(folder).state == "changed"
    assert raw_bytes(folder) == expected(server.table)
    assert len(server.posts) - before == 2  # of three parts the first was kept


def test_a_file_that_the_reader_does_not_take_is_not_put_in_place(tmp_path: Path, server: Replay) -> None:
    folder = study(tmp_path / "s", server.url, items='["births"]')
    result = fetch(folder)
    assert result.state == "failed"
    assert "'births'" in result.message
    assert not (folder / "raw" / "paavo.csv").exists()


def waits(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The real waits between attempts, on a clock that does not run."""
    clock = Clock()
    monkeypatch.setattr("tenacity.nap.time", clock)
    stamina.set_testing(False)
    return clock


def test_the_time_that_a_busy_server_names_is_waited(
    tmp_path: Path, server: Replay, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = waits(monkeypatch)
    server.faults = ["429 after", "429 after"]
    assert fetch(study(tmp_path / "s", server.url)).state == "new"
    assert clock.sleeps == [1.0, 1.0]


def test_a_day_is_not_waited(tmp_path: Path, server: Replay, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = waits(monkeypatch)
    server.faults = ["huge wait"]
    assert fetch(study(tmp_path / "s", server.url)).state == "failed"
    assert clock.sleeps == []


def test_the_waits_between_attempts_grow(
    tmp_path: Path, server: Replay, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = waits(monkeypatch)
    server.faults = ["429", "500", "cut", "500", "429"]
    assert fetch(study(tmp_path / "s", server.url)).state == "new"
    assert [
        least <= wait <= least + 1 for least, wait in zip((1, 2, 4, 8, 16), clock.sleeps, strict=True)
    ] == [True] * 5


class Clock:
    """A clock that stands still but for sleep, and remembers each sleep."""

    def __init__(self) -> None:
        self.now, self.sleeps = 100.0, []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.sleeps.append(seconds)


@pytest.mark.parametrize(
    ("calls", "window", "pace"), [(30, 10.0, 1.1 * 10 / 30), (1, 100_000.0, 60.0), (None, 0.0, 0.55)]
)
def test_the_pace_that_the_server_asks_for_is_kept(
    tmp_path: Path,
    server: Replay,
    monkeypatch: pytest.MonkeyPatch,
    calls: int | None,
    window: float,
    pace: float,
) -> None:
    clock = Clock()
    for module in ("web", "pxweb"):
        monkeypatch.setattr(f"mekeval.fetch.{module}.time", clock)
    server.max_cells, server.max_calls, server.window, server.config = (
        4,
        calls or 1,
        window,
        calls is not None,
    )
    folder = study(tmp_path / "s", server.url)
    assert fetch(folder).state == "new"
    assert raw_bytes(folder) == expected(server.table)
    # Every question waits but the first; without a config the pace is ten questions in five seconds.
    assert clock.sleeps == pytest.approx([pace] * (len(server.asked) - 1))


# Again, and again


def test_unchanged_data_are_not_downloaded_again(tmp_path: Path, server: Replay) -> None:
    folder = study(tmp_path / "s", server.url)
    fetch(folder)
    lock, posts = (folder / LOCK).read_bytes(), len(server.posts)
    result = fetch(folder)
    assert result.state == "unchanged"
    assert len(server.posts) == posts
    assert (folder / LOCK).read_bytes() == lock
    assert fetch(folder, refresh=True).state == "unchanged"
    assert len(server.posts) == 2 * posts
    assert (folder / LOCK).read_bytes() == lock


def test_a_server_that_gives_no_time_of_update_is_asked_again(tmp_path: Path, server: Replay) -> None:
    server.lists_updates = False
    folder = study(tmp_path / "s", server.url)
    fetch(folder)
    server.table.cells["01203", "hr_mtu", "2022"] = "7"
    assert fetch(folder).state == "changed"
    assert raw_bytes(folder) == expected(server.table)


def test_changed_data_are_told_and_the_former_file_is_kept(tmp_path: Path, server: Replay) -> None:
    folder = study(tmp_path / "s", server.url)
    first = fetch(folder)
    old = raw_bytes(folder)
    text = (folder / "study.toml").read_text(encoding="utf-8")
    (folder / "study.toml").write_text(
        text.replace("sha256 = ''", f"sha256 = '{first.sha256}'"), encoding="utf-8"
    )
    assert "to do" not in fetch(folder).message
    server.table = made_up(update="2025-01-23T08:00:00")
    server.table.cells["01203", "hr_mtu", "2022"] = "7"
    result = fetch(folder)
    assert result.state == "changed"
    assert (
        "raw/paavo.csv: the data have CHANGED (updated 2025-01-23T08:00:00): rows that differ: 1"
        in result.message
    )
    assert "01203  Älyniemi 3 (Vantaa)" in result.message
    assert f'sha256 = "{result.sha256}"' in result.message
    assert raw_bytes(folder) == expected(server.table)
    kept = folder / ".cache" / "fetch" / "replaced" / f"{first.sha256}-paavo.csv"
    assert kept.read_bytes() == old
    with pytest.raises(MekevalError):  # until the study says so, it does not take the new data in
        from mekeval import read_study

        read_study(folder)


@pytest.mark.parametrize("fault", ["change", "change late"])
def test_a_release_in_the_middle_of_a_download_does_not_mix(
    tmp_path: Path, server: Replay, fault: str
) -> None:
    server.max_cells = 4
    server.changed = made_up(update="2025-01-23T08:00:00")
    for key, value in server.changed.cells.items():
        server.changed.cells[key] = value.replace("1", "9")
    at = 5 if fault == "change late" else 3
    server.faults = [""] * at + [fault]
    folder = study(tmp_path / "s", server.url)
    assert fetch(folder).state == "new"
    assert raw_bytes(folder) == expected(server.changed)


def test_answers_of_two_updates_do_not_mix_though_the_metadata_are_the_same(
    tmp_path: Path, server: Replay
) -> None:
    server.max_cells, server.lists_updates = 4, False
    server.changed = made_up(update="2025-01-23T08:00:00")
    for key, value in server.changed.cells.items():
        server.changed.cells[key] = value.replace("1", "9")
    server.faults = ["", "", "change"]
    folder = study(tmp_path / "s", server.url)
    assert fetch(folder).state == "new"
    assert raw_bytes(folder) == expected(server.changed)
    assert len(server.posts) == 6 + 6
    assert (
        json.loads((folder / LOCK).read_text())["sources"]["raw/paavo.csv"]["updated"]
        == server.changed.updated
    )


def test_new_metadata_between_parts_start_the_download_over(tmp_path: Path, server: Replay) -> None:
    server.max_cells, server.lists_updates = 4, False
    server.changed = made_up(areas=7, update="")
    server.table.updated = ""
    server.faults = ["", "", "change"]
    folder = study(tmp_path / "s", server.url)
    assert fetch(folder).state == "new"
    assert raw_bytes(folder) == expected(server.changed)


def test_a_table_that_never_rests_is_given_up(tmp_path: Path, server: Replay) -> None:
    folder = study(tmp_path / "s", server.url)

    class Restless(list[str]):
        def pop(self, _: object = 0) -> str:
            server.changed = made_up(update=f"update {len(server.posts)}")
            return "change late"

        def __bool__(self) -> bool:
            return True

    server.faults = Restless()
    result = fetch(folder)
    assert result.state == "failed"
    assert "kept changing" in result.message


def test_a_damaged_part_of_the_cache_is_fetched_again(tmp_path: Path, server: Replay) -> None:
    server.max_cells = 8
    folder = study(tmp_path / "s", server.url)
    fetch(folder)
    parts = [
        path
        for path in (folder / ".cache").rglob("*")
        if path.is_file() and b'"version": "2.0"' in path.read_bytes()
    ]
    assert len(parts) == 3
    parts[0].write_bytes(parts[0].read_bytes().replace(b"120", b"999"))
    parts[1].write_bytes(parts[1].read_bytes()[:-10])
    (joined,) = (folder / ".cache").rglob("joined")
    joined.write_bytes(joined.read_bytes()[:-1])
    (folder / "raw" / "paavo.csv").unlink()
    before = len(server.posts)
    assert fetch(folder).state == "new"
    assert len(server.posts) - before == 2
    assert raw_bytes(folder) == expected(server.table)


def test_known_pages_are_asked_for_by_their_etag(tmp_path: Path, server: Replay) -> None:
    server.etags = True
    folder = study(tmp_path / "s", server.url)
    fetch(folder)
    server.statuses.clear()
    assert fetch(folder).state == "unchanged"
    assert server.statuses == [200, 304, 304]  # config, metadata, list of tables


@pytest.mark.parametrize("kills", [2])
def test_a_killed_download_goes_on_to_the_same_bytes(tmp_path: Path, server: Replay, kills: int) -> None:
    server.max_cells = 4
    folder = study(tmp_path / "s", server.url)
    command = [sys.executable, "-m", "mekeval", "fetch", str(folder), "--quiet"]
    for kill in range(kills):
        server.held.clear()
        server.go.clear()
        server.stop_after = len(server.posts) + 1 + (kill == 0)
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        assert server.held.wait(30)
        process.kill()
        assert process.wait(30) != 0
        process.stderr.close()  # type: ignore[union-attr]
        assert not (folder / "raw" / "paavo.csv").exists()
    server.stop_after = None
    server.held.clear()
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    undisturbed = study(tmp_path / "other", server.url)
    posts = len(server.posts)
    fetch(undisturbed)
    assert raw_bytes(folder) == raw_bytes(undisturbed) == expected(server.table)
    assert posts == 6 + kills  # only the question that was cut off is put twice
    left = [name for name in tree(folder) if ".mekeval-part-" in name]
    assert not left


@pytest.mark.parametrize(
    ("name", "moment"),
    [("paavo.csv", "before"), ("paavo.csv", "after"), (LOCK, "before"), ("done", "before")],
)
def test_a_kill_while_files_are_put_in_place_costs_nothing(
    tmp_path: Path, server: Replay, name: str, moment: str
) -> None:
    folder = study(tmp_path / "s", server.url)
    fetch(folder)
    old = raw_bytes(folder)
    server.table = made_up(update="2025-01-23T08:00:00")
    server.table.cells["01203", "hr_mtu", "2022"] = "7"
    code = f"""
import os, pathlib
from mekeval.fetch import fetch_study
move = pathlib.Path.replace
def replace(self, target):
    hit = pathlib.Path(target).name == {name!r}
    if hit and {moment!r} == "before":
        os._exit(9)
    moved = move(self, target)
    if hit:
        os._exit(9)
    return moved
pathlib.Path.replace = replace
fetch_study({str(folder)!r}, progress=False)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 9
    assert raw_bytes(folder) == (
        expected(server.table) if (name, moment) in ((LOCK, "before"), ("paavo.csv", "after")) else old
    )
    result = fetch(folder)
    assert raw_bytes(folder) == expected(server.table)
    lock = json.loads((folder / LOCK).read_text(encoding="utf-8"))
    assert lock["sources"]["raw/paavo.csv"]["sha256"] == result.sha256
    assert not [left for left in tree(folder) if ".mekeval-part-" in left]
    former = hashlib.sha256(old).hexdigest()
    assert (folder / ".cache" / "fetch" / "replaced" / f"{former}-paavo.csv").read_bytes() == old


# Without a network


def unused_address() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/PXWeb/api/v1/en/x/12f7.px"


def test_without_a_server_the_cached_vintage_is_named(tmp_path: Path, server: Replay) -> None:
    folder = study(tmp_path / "s", server.url)
    first = fetch(folder)
    before = raw_bytes(folder)
    address = unused_address()
    study(folder, address, sha256=first.sha256)
    result = fetch(folder)
    assert result.state == "unreachable"
    assert "cannot be reached" in result.message
    assert f"vintage 2024 is there as it was, retrieved {first.retrieved}" in result.message
    assert raw_bytes(folder) == before
    done = CliRunner().invoke(main, ["fetch", str(folder), "--quiet"])
    assert done.exit_code == 1
    assert "vintage 2024" in done.output


def test_offline_asks_nobody(tmp_path: Path, server: Replay) -> None:
    folder = study(tmp_path / "s", server.url)
    assert fetch(folder, offline=True).state == "failed"
    assert server.asked == []
    first = fetch(folder)
    asked = len(server.asked)
    result = fetch(folder, offline=True)
    assert result.state == "cached"
    assert f"vintage 2024 is there as it was, retrieved {first.retrieved}" in result.message
    (folder / "raw" / "paavo.csv").write_bytes(b"something else")
    assert fetch(folder, offline=True).state == "failed"
    assert len(server.asked) == asked


# What a study may ask for


def test_the_lock_says_whence_and_when(tmp_path: Path, server: Replay) -> None:
    folder = study(tmp_path / "s", server.url)
    result = fetch(folder)
    text = (folder / LOCK).read_text(encoding="utf-8")
    content = json.loads(text)
    assert text == json.dumps(content, ensure_ascii=False, sort_keys=True, indent=2) + "\n"
    entry = content["sources"]["raw/paavo.csv"]
    assert entry["sha256"] == result.sha256
    assert entry["retrieved"] == result.retrieved
    assert entry["retrieved"].endswith("+00:00")
    assert (entry["url"], entry["updated"], entry["cells"], entry["parts"], entry["vintage"]) == (
        server.url,
        "2024-01-25T08:00:00",
        24,
        1,
        2024,
    )
    (folder / LOCK).write_text("{", encoding="utf-8")
    with pytest.raises(StudyError, match=r"sources\.lock cannot be read"):
        fetch(folder)


@pytest.mark.parametrize(
    "file",
    [
        "../out.csv",
        "/tmp/out.csv",
        "raw/../../out.csv",
        "C:/out.csv",
        "link/out.csv",
        "raw\\..\\..\\out.csv",
        "raw",
    ],
)
def test_a_file_outside_the_study_is_refused(tmp_path: Path, server: Replay, file: str) -> None:
    folder = study(tmp_path / "s", server.url, file=file)
    (tmp_path / "elsewhere").mkdir()
    (folder / "link").symlink_to(tmp_path / "elsewhere")
    (folder / "raw").mkdir()
    with pytest.raises(StudyError, match="must lie inside"):
        fetch(folder)
    assert server.asked == []
    assert tree(tmp_path) == {"s/study.toml"}


@pytest.mark.parametrize(
    "file", ["study.toml", "areas.csv", "AREAS.csv", "raw/../areas.csv", LOCK, ".cache/x.csv", "./study.toml"]
)
def test_the_study_s_own_files_are_not_overwritten(tmp_path: Path, server: Replay, file: str) -> None:
    folder = study(tmp_path / "s", server.url, file=file)
    with pytest.raises(StudyError):
        fetch(folder)
    assert tree(tmp_path) == {"s/study.toml"}


def test_a_cache_that_leads_elsewhere_is_refused(tmp_path: Path, server: Replay) -> None:
    folder = study(tmp_path / "s", server.url)
    (tmp_path / "elsewhere").mkdir()
    (folder / ".cache").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StudyError, match="cache leaves"):
        fetch(folder)
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_nothing_is_written_but_the_file_the_lock_and_the_cache(tmp_path: Path, server: Replay) -> None:
    folder = study(tmp_path / "s", server.url)
    fetch(folder)
    names = {name for name in tree(tmp_path) if not name.startswith("s/.cache/")}
    assert names == {"s/study.toml", "s/raw/paavo.csv", f"s/{LOCK}"}
    assert (folder / ".cache" / ".gitignore").read_text(encoding="utf-8") == "*\n"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('Vuosi = ["*"]', 'Vuosi = ["2020"]', ["no such code", "'2021'", "select.Vuosi"]),
        ('Tiedot = ["*"]', 'Tieto = ["*"]', ["no such dimension", "closest: 'Tiedot'", "cannot be left out"]),
        ('area = "Postinumeroalue"', 'area = "Alue"', ["no such dimension", "'Alue'"]),
    ],
)
def test_a_wrong_choice_is_told_with_what_there_is(
    tmp_path: Path, server: Replay, old: str, new: str, words: list[str]
) -> None:
    folder = study(tmp_path / "s", server.url)
    text = (folder / "study.toml").read_text(encoding="utf-8")
    assert old in text
    (folder / "study.toml").write_text(text.replace(old, new), encoding="utf-8")
    result = fetch(folder)
    assert result.state == "failed"
    assert all(word in result.message for word in words), result.message
    assert server.posts == []


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://x/y", "http://user:secret@127.0.0.1/x.px", "raw/x.px"]
)
def test_only_addresses_of_the_web_are_taken(tmp_path: Path, url: str) -> None:
    with pytest.raises(StudyError, match="url"):
        fetch(study(tmp_path / "s", url))


def test_an_address_that_is_no_table_is_told(tmp_path: Path, server: Replay) -> None:
    result = fetch(study(tmp_path / "s", server.address + "/PXWeb/api/v1/en/Postal/uusin/other.px"))
    assert result.state == "failed"
    assert "status 404: Parameter error" in result.message


def test_two_fetches_of_one_study_do_not_meet(tmp_path: Path, server: Replay) -> None:
    from filelock import FileLock

    folder = study(tmp_path / "s", server.url)
    (folder / ".cache" / "fetch").mkdir(parents=True)
    with (
        FileLock(folder / ".cache" / "fetch" / "lock"),
        pytest.raises(RunError, match="Another fetch"),
    ):
        fetch(folder)


def test_the_command_line(tmp_path: Path, server: Replay) -> None:
    folder = study(tmp_path / "s", server.url)
    done = CliRunner().invoke(main, ["fetch", str(folder)])
    assert done.exit_code == 0, done.output
    assert "raw/paavo.csv: fetched (updated 2024-01-25T08:00:00)." in done.output
    assert "1 of 1 sources in place, 0 failed" in done.output
    assert "cell" not in done.output  # no bar where there is no terminal
    done = CliRunner().invoke(main, ["fetch", str(folder), "--source", "raw/pavo.csv"])
    assert done.exit_code == 2
    assert "closest: 'raw/paavo.csv'" in done.output
    assert done.output.startswith("Nothing was fetched.")


def test_a_study_without_downloads_says_how_to_have_them(example: object) -> None:
    from mekeval import example_study

    with pytest.raises(StudyError, match=r"\[source\.fetch\]"):
        fetch_study(example_study(), progress=False)


def test_neither_the_library_nor_the_command_line_loads_the_web() -> None:
    code = "import sys, mekeval, mekeval.cli, mekeval.fetch; print(sorted({'requests', 'stamina'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_without_the_extra_it_is_named(tmp_path: Path, server: Replay) -> None:
    folder = study(tmp_path / "s", server.url)
    code = (
        "import sys; sys.modules['stamina'] = None; from mekeval.cli import main; "
        f"main(['fetch', {str(folder)!r}])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert 'pip install "mekeval[fetch]"' in done.stderr


def test_what_no_source_asks_for_any_more_leaves_the_cache(tmp_path: Path, server: Replay) -> None:
    folder = study(tmp_path / "s", server.url)
    fetch(folder)
    first = {path.name for path in (folder / ".cache" / "fetch").iterdir() if path.is_dir()}
    study(folder, server.url, years='["2022"]')
    assert fetch(folder).state == "changed"
    second = {path.name for path in (folder / ".cache" / "fetch").iterdir() if path.is_dir()}
    assert len(first) == 1
    assert second & first == set()
    assert second - {"replaced"}


# Sotkanet


@pytest.fixture
def sotkanet(server: Replay, monkeypatch: pytest.MonkeyPatch) -> Replay:
    monkeypatch.setattr("mekeval.fetch.sotkanet._INTERVAL", 0.01)

    def region(number: int, code: str, name: str, category: str = "KUNTA") -> dict[str, object]:
        return {
            "id": number,
            "code": code,
            "category": category,
            "title": {"fi": name, "sv": name, "en": name},
        }

    genders, years, numbers = ("total", "female"), (2021, 2022), (833, 334)
    server.sotkanet = {
        "regions": [
            region(833, "092", "Vantaa"),
            region(334, "049", "Espoo"),
            region(5, "049", "Muu", "MAAKUNTA"),
        ],
        "indicators": {
            "1": {"id": 1, "title": {"fi": "Syntyneet", "en": "Births"}, "data-updated": "2024-05-01"},
        },
        "rows": [
            {
                "indicator": 1,
                "region": number,
                "year": year,
                "gender": gender,
                "value": number + year / 10,
                "absValue": 1,
            }
            for number in (*numbers, 5)
            for year in years
            for gender in genders
            if (number, year) != (334, 2022)
        ],
    }
    return server


def sotkanet_study(folder: Path, address: str, select: str = 'category = ["KUNTA"]') -> Path:
    words = (
        f'[source.fetch]\nservice = "sotkanet"\nurl = "{address}/rest/1.1"\n'
        f'[source.fetch.select]\nindicator = ["1"]\nyear = ["2022", "2021"]\n{select}'
    )
    return study(folder, "", fetch=words, items='["births"]')


def test_sotkanet_becomes_a_file_of_the_same_form(tmp_path: Path, sotkanet: Replay) -> None:
    folder = sotkanet_study(tmp_path / "s", sotkanet.address)
    assert fetch(folder).state == "new"
    assert raw_bytes(folder).decode("utf-8").splitlines() == [
        '"Sotkanet 1"',
        "",
        '"Alue","Tieto","2021","2022"',
        '"049 Espoo","Syntyneet",536.1,""',  # 334 + 202.1; there is no row for 2022
        '"092 Vantaa","Syntyneet",1035.1,1035.2',
    ]
    asked = len(sotkanet.asked)
    assert fetch(folder).state == "unchanged"
    assert not [path for _, path, _ in sotkanet.asked[asked:] if "/json" in path]


def test_sotkanet_s_genders_tell_items_apart_and_faults_pass(tmp_path: Path, sotkanet: Replay) -> None:
    sotkanet.faults = ["500", "", "500", "500"]
    select = 'category = ["KUNTA"]\nregion = ["092"]\ngender = ["total", "female"]'
    folder = sotkanet_study(tmp_path / "s", sotkanet.address, select)
    text = (folder / "study.toml").read_text(encoding="utf-8")
    (folder / "study.toml").write_text(text.replace("'Syntyneet'", "'Syntyneet, female'"), encoding="utf-8")
    assert fetch(folder).state == "new"
    assert raw_bytes(folder).decode("utf-8").splitlines()[3:] == [
        '"092 Vantaa","Syntyneet, total",1035.1,1035.2',
        '"092 Vantaa","Syntyneet, female",1035.1,1035.2',
    ]


@pytest.mark.parametrize(
    ("select", "words"),
    [
        ('category = ["KUNTAA"]', ["no such category", "closest: 'KUNTA'"]),
        ('category = ["KUNTA"]\nregion = ["091"]', ["no such region", "closest: '092'"]),
        ('category = ["KUNTA"]\ngender = ["woman"]', ["no such value", "'woman'"]),
        ('categori = ["KUNTA"]', ["Unknown key", "closest: 'category'", "A key is missing"]),
        ('category = ["KUNTA", "MAAKUNTA"]', ["one category"]),
    ],
)
def test_sotkanet_s_wrong_choices_are_told(
    tmp_path: Path, sotkanet: Replay, select: str, words: list[str]
) -> None:
    result = fetch(sotkanet_study(tmp_path / "s", sotkanet.address, select))
    assert result.state == "failed"
    assert all(word in result.message for word in words), result.message


# What a stranger may send


@contextmanager
def answering(say: Callable[[socket.socket, bytes], None]) -> Iterator[str]:
    """A server that says whatever it likes, byte by byte, to any question; gives the address of a table."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                line, _ = listener.accept()
            except OSError:
                return
            with contextlib.suppress(OSError), line:
                say(line, line.recv(65536))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/PXWeb/api/v1/en/x/t.px"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10)


def endless(head: bytes) -> Callable[[socket.socket, bytes], None]:
    def say(line: socket.socket, _: bytes) -> None:
        line.sendall(head + b"\r\n\r\n")
        while True:
            line.sendall(b"[" * 10_000)

    return say


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (b"HTTP/1.1 302 Found\r\nLocation: http://[broken/\r\nContent-Length: 0", "cannot be read"),
        (
            b"HTTP/1.1 302 Found\r\nLocation: https://me:SECRET@x.fi/in?token=SECRET\r\nContent-Length: 0",
            "//x.fi/in",
        ),
        ("HTTP/1.1 429 Busy\r\nRetry-After: ²\r\nContent-Length: 0".encode("latin-1"), "too busy"),
        (b"HTTP/1.1 429 Busy\r\nRetry-After: " + b"9" * 400 + b"\r\nContent-Length: 0", "Try again later"),
        (
            b"HTTP/1.1 429 Busy\r\nRetry-After: Fri, 31 Dec 9999 23:59:59 -2359\r\nContent-Length: 0",
            "Try again later",
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 0", "is not JSON"),
        (b"no HTTP at all", "cannot be reached"),
    ],
)
def test_odd_heads_are_told_and_no_secret_in_them(tmp_path: Path, head: bytes, words: str) -> None:
    stamina.set_testing(True, attempts=2)
    with answering(lambda line, _: line.sendall(head + b"\r\n\r\n")) as url:
        result = fetch(study(tmp_path / "s", url))
    assert words in result.message
    assert "SECRET" not in result.message


@pytest.mark.parametrize(
    "head", [b"HTTP/1.1 200 OK", b"HTTP/1.1 302 Found\r\nLocation: /x", b"HTTP/1.1 500 Oh"]
)
def test_an_answer_without_an_end_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, head: bytes
) -> None:
    monkeypatch.setattr("mekeval.fetch.web._LARGEST", 2**20)
    with answering(endless(head + b"\r\nConnection: close")) as url:
        result = fetch(study(tmp_path / "s", url))
    assert "too large" in result.message


def test_a_trickle_meets_the_deadline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def say(line: socket.socket, _: bytes) -> None:
        line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 65536\r\n\r\n")
        while True:
            line.sendall(b" ")
            time.sleep(0.02)

    monkeypatch.setattr("mekeval.fetch.web._DEADLINE", 0.2)
    stamina.set_testing(True, attempts=2)
    with answering(say) as url:
        result = fetch(study(tmp_path / "s", url), timeout=30)
    assert "no whole answer" in result.message


def test_half_a_character_is_no_name(tmp_path: Path) -> None:
    body = b'{"title": "\\ud800", "variables": []}'
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
    with answering(lambda line, _: line.sendall(head + body)) as url:
        result = fetch(study(tmp_path / "s", url))
    assert "is not JSON" in result.message
    result.message.encode("utf-8")


@pytest.mark.parametrize(
    "proxy",
    ["http://me:SECRET@127.0.0.1:9", "me:SECRET@127.0.0.1:9", "foo://me:SECRET@x:1", "http://me:SECRET@"],
)
def test_the_password_of_a_proxy_is_not_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("http_proxy", proxy)
    result = fetch(study(tmp_path / "s", "http://nowhere.invalid/api/v1/en/x.px"))
    assert result.state in ("failed", "unreachable")
    assert "SECRET" not in result.message


def test_a_csv_answer_of_unknown_length_must_end_its_last_row(tmp_path: Path, server: Replay) -> None:
    """The last number of a cut answer would else be another number; a cut JSON answer is no JSON."""
    part = (
        (*server.table.dimensions[0][2],),
        (*server.table.dimensions[1][2],),
        (*server.table.dimensions[2][2],),
    )
    whole = re.sub(rb'"(\d[\d.]*)"', rb"\1", server.table.csv([list(codes) for codes in part]))
    chosen = [
        (
            Dimension(code=code, text=text, labels=labels, may_be_left_out=False, is_time=code == "Vuosi"),
            tuple(labels),
        )
        for code, text, labels in server.table.dimensions
    ]
    spec = read_spec(study(tmp_path / "s", server.url, form="csv"))[2].source[0].fetch
    assert spec is not None
    for body, sized, good in ((whole, False, True), (whole[:-5], False, False), (whole[:-2], True, True)):
        answer = Answer(status=200, kind="text/csv", charset="iso-8859-1", body=body, etag="", sized=sized)
        if good:
            check_answer(answer, spec, chosen, part, "x")
        else:
            with pytest.raises(DataError, match="cut off"):
                check_answer(answer, spec, chosen, part, "x")


def test_a_change_that_no_time_of_update_tells_is_seen(tmp_path: Path, server: Replay) -> None:
    server.max_cells, server.lists_updates = 9, False
    server.changed = made_up(update=server.table.updated)
    for key, value in server.changed.cells.items():
        server.changed.cells[key] = value.replace("1", "9")
    server.faults = ["", "change"]
    folder = study(tmp_path / "s", server.url, form="csv")
    assert fetch(folder).state == "new"
    rows = list(csv.reader(io.StringIO(raw_bytes(folder).decode("utf-8"))))
    assert rows == list(csv.reader(io.StringIO(expected(server.changed).decode("utf-8"))))[2:]


def test_an_address_may_end_in_a_slash(tmp_path: Path, server: Replay) -> None:
    folder = study(tmp_path / "s", server.url + "/")
    assert fetch(folder).state == "new"
    assert (
        json.loads((folder / LOCK).read_text())["sources"]["raw/paavo.csv"]["updated"] == server.table.updated
    )


def test_names_of_tables_are_compared_in_one_spelling() -> None:
    assert (
        plain("v%C3%A4est%C3%B6.px")
        == plain("Väestö.PX")
        == plain("va\N{COMBINING DIAERESIS}esto\N{COMBINING DIAERESIS}.px")
    )


# What a hand may have done to the folder


def test_links_in_the_cache_lead_nowhere(tmp_path: Path, server: Replay) -> None:
    folder = study(tmp_path / "s", server.url)
    fetch(folder)
    mine = tmp_path / "mine"
    (mine / "sub").mkdir(parents=True)
    for name in ("note", "sub/note"):
        (mine / name).write_text("mine", encoding="utf-8")
    (joined,) = (folder / ".cache").rglob("joined")
    (joined.parent / "done").unlink()
    joined.unlink()
    joined.symlink_to(mine / "note")
    assert fetch(folder).state == "unchanged"
    (place,) = (path for path in (folder / ".cache" / "fetch").iterdir() if path.is_dir())
    shutil.rmtree(place)
    place.symlink_to(mine)
    assert fetch(folder).state == "unchanged"
    assert {name: (mine / name).read_text() for name in tree(mine)} == {"note": "mine", "sub/note": "mine"}


def test_offline_writes_nothing_and_waits_for_nobody(tmp_path: Path, server: Replay) -> None:
    from filelock import FileLock

    folder = study(tmp_path / "s", server.url)
    fetch(folder, offline=True)
    assert tree(folder) == {"study.toml"}
    fetch(folder)
    with FileLock(folder / ".cache" / "fetch" / "lock"):
        assert fetch(folder, offline=True).state == "cached"


def test_a_cache_edited_by_hand_is_fetched_again(tmp_path: Path, server: Replay) -> None:
    folder = study(tmp_path / "s", server.url)
    fetch(folder)
    (folder / ".mekeval-part-x").mkdir()
    (done,) = (folder / ".cache").rglob("done")
    done.write_text(json.dumps(json.loads(done.read_text()) | {"cells": "many"}))
    for part in done.parent.iterdir():
        if part.name not in ("done", "joined"):
            part.write_bytes(b'{"retrieved": "2026-01-01T00:00:00+00:00"}\nx')
    before = len(server.posts)
    assert fetch(folder).state == "unchanged"
    assert len(server.posts) == before + 1


def test_a_full_disk_leaves_the_old_file(
    tmp_path: Path, server: Replay, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = study(tmp_path / "s", server.url)
    fetch(folder)
    old = raw_bytes(folder)
    server.table = made_up(update="2025-01-23T08:00:00")
    server.table.cells["01203", "hr_mtu", "2022"] = "7"
    real, room = os.fsync, [0]

    def full(handle: int) -> None:
        room[0] -= 1
        if room[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(handle)

    for writes in range(0, 12, 2):  # a file and its folder
        room[0] = writes
        monkeypatch.setattr(os, "fsync", full)
        with contextlib.suppress(RunError):
            fetch(folder)
        monkeypatch.setattr(os, "fsync", real)
        assert raw_bytes(folder) in (old, expected(server.table))
        assert not [name for name in tree(folder) if ".mekeval-part-" in name]
    fetch(folder)
    assert raw_bytes(folder) == expected(server.table)


def test_a_fetched_file_takes_no_name_that_the_study_uses(tmp_path: Path, server: Replay) -> None:
    folder = study(tmp_path / "s", server.url, file="raw/shares.csv")
    text = (folder / "study.toml").read_text(encoding="utf-8")
    (folder / "study.toml").write_text(
        text.replace('file = "areas.csv"', 'file = "areas.csv"\ncrosswalk = "raw/shares.csv"')
    )
    with pytest.raises(StudyError):
        fetch(folder)
    assert tree(folder) == {"study.toml"}


def test_a_reader_of_another_form_is_refused_before_the_download(tmp_path: Path, server: Replay) -> None:
    folder = study(tmp_path / "s", server.url)
    text = (folder / "study.toml").read_text(encoding="utf-8")
    (folder / "study.toml").write_text(
        text.replace('reader = "pxweb-csv"', 'reader = "json-stat"'), encoding="utf-8"
    )
    with pytest.raises(StudyError, match="one form of file"):
        fetch(folder)
    assert server.asked == []


def test_the_day_of_a_release_is_proposed(tmp_path: Path, server: Replay) -> None:
    assert "published = 2024-01-25, sha256" in fetch(study(tmp_path / "s", server.url)).message


def test_sotkanet_without_a_row_is_no_file_of_gaps(tmp_path: Path, sotkanet: Replay) -> None:
    sotkanet.sotkanet["rows"] = [row for row in sotkanet.sotkanet["rows"] if row["year"] != 2022]
    result = fetch(sotkanet_study(tmp_path / "s", sotkanet.address))
    assert result.state == "failed"
    assert "no rows for indicator 1 in 2022" in result.message


# From the server to indicators


def test_a_fetched_table_becomes_indicators(tmp_path: Path, raw: Path) -> None:
    """The recorded 12f7, fetched and cleaned with the shipped definitions, against the recorded rows by hand."""
    recorded_folder = raw / "statfi-paavo" / "pxweb-12f7-helsinki-2020-2023"
    folder = tmp_path / "s"
    folder.mkdir()
    with serving(Replay(table=recorded(recorded_folder), max_cells=30_000, etags=True)) as replay:
        text = PAAVO.replace("ADDRESS", replay.url)
        (folder / "study.toml").write_text(text, encoding="utf-8")
        result = fetch(folder)
        assert result.state == "new", result.message
        (folder / "study.toml").write_text(
            text.replace('sha256 = ""', f'sha256 = "{result.sha256}"'), encoding="utf-8"
        )
    table = mekeval.clean_indicators(mekeval.read_study(folder)).table
    kinds = {
        f"Inhabitants belonging to the {kind} income category (HR)": kind
        for kind in ("lowest", "middle", "highest")
    }
    for year in range(2020, 2024):
        by_area: dict[str, dict[str, str]] = {}
        lines = (recorded_folder / f"009_12f7_{year}_all.csv").read_bytes().decode("iso-8859-1")
        for row in csv.reader(io.StringIO(lines, newline="")):
            if len(row) == 3 and row[1] in kinds:
                by_area.setdefault(row[0][:5], {})[kinds[row[1]]] = row[2]
        rates = table.loc[(table["year"] == year) & (table["status"] == "ok")].set_index("area")["value"]
        by_hand = {
            area: 100 * int(parts["lowest"]) / sum(map(int, parts.values()))
            for area, parts in by_area.items()
            if all(part.isdigit() for part in parts.values()) and sum(map(int, parts.values())) > 0
        }
        assert len(by_area) == 84
        assert len(by_hand) > 70
        assert rates.to_dict() == pytest.approx(by_hand, rel=1e-12)


PAAVO = """
[study]
name = "paavo"
seed = 1
minimum_base = 30
title.fi = "Paavo"
attribution.fi = "Tilastokeskus, Paavo"
[areas]
unit = "postal"
city.fi = "Helsinki"
[[areas.found]]
level = "postal"
label = '(?P<code>\\d{5})\\s+(?P<name>.*?)\\s*\\((?P<parent>[^()]*)\\)?\\s*'
[catalogue]
use = ["paavo"]
indicators = ["low_income_rate"]
[[source]]
file = "raw/paavo_12f7.csv"
reader = "pxweb-csv"
vintage = 2025
level = "postal"
sha256 = ""
items = ["population", "low_income_adults", "middle_income_adults", "high_income_adults"]
[source.fetch]
service = "pxweb"
url = "ADDRESS"
area = "Postinumeroalue"
[source.fetch.select]
Postinumeroalue = ["*"]
Tiedot = ["*"]
Vuosi = ["*"]
"""


def test_the_documented_source_fits_the_schema(tmp_path: Path) -> None:
    page = (Path(__file__).parents[1] / "docs" / "fetching.md").read_text(encoding="utf-8")
    example = page.partition("```toml\n")[2].partition("```")[0]
    head = PAAVO.partition("[catalogue]")[0]
    (tmp_path / "study.toml").write_text(head + example, encoding="utf-8")
    source = read_spec(tmp_path)[2].source[0].fetch
    assert source is not None
    assert source.url.endswith("/uusin/paavo_pxt_12f7.px")
    with pytest.raises(StudyError, match="Download it with: mekeval fetch") as caught:
        mekeval.read_study(tmp_path)
    assert len(caught.value.faults) == 1
