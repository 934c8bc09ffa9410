"""Runs: refused before they start, or whole; one failure does not stop the rest; a kill costs nothing."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pytest
from click.testing import CliRunner, Result

from mekeval import MekevalError, RunError, Study, example_study, run_study
from mekeval.cli import main
from mekeval.report.parts import FINDINGS_TYPE
from mekeval.run import plan_jobs
from mekeval.run.jobs import notebook_parameters
from mekeval.run.publish import canonical, publication
from mekeval.shipped import shipped
from mekeval.text import LANGUAGES


def tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


HEAD = 'study: str = "x"\ndistrict: str = "x"\nyear: int = 1\nlanguage: str = "fi"\nscale: float = 1.0'


def notebook(path: Path, head: str, code: str, tags: tuple[str, ...] = ("parameters",)) -> None:
    cells = [nbformat.v4.new_code_cell(head, metadata={"tags": list(tags)}), nbformat.v4.new_code_cell(code)]
    for number, cell in enumerate(cells):
        cell.id = f"cell-{number}"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)


def notebooks(
    folder: Path, district: str, *, tags: tuple[str, ...] = ("parameters",), head: str | None = None
) -> Path:
    """A folder with notebooks of our making: for the city one that says little."""
    folder.mkdir(parents=True)
    notebook(folder / "city_report.ipynb", HEAD.replace('district: str = "x"\n', ""), SAYS_LITTLE_OF_ALL)
    notebook(folder / "district_report.ipynb", head or HEAD, district, tags)
    return folder


SAYS_FINDING = f"""
found = {{"year": year, "subject": subject, "outcome": "low_income_rate", "verdict": "fragile"}}
display({{"{FINDINGS_TYPE}": {{"title": "t", "description": "d", "findings": [found]}}}}, raw=True)
"""


SAYS_LITTLE = (
    """
import mekeval as mk
from IPython.display import HTML, display
if district == "Mikkola":
    raise mk.DataError("The well ran dry.", where="Mikkola", fix="Dig.")
display(HTML(f"<h1>{district}</h1>"))
subject = {"Mikkola": "09282", "Hakunila": "09294"}[district]
"""
    + SAYS_FINDING
)


SAYS_LITTLE_OF_ALL = (
    """
from IPython.display import HTML, display
display(HTML("<h1>All</h1>"))
subject = "all"
"""
    + SAYS_FINDING
)


SAYS_NOTHING = f"""
from IPython.display import display
display({{"{FINDINGS_TYPE}": {{"title": "t", "description": "d", "findings": []}}}}, raw=True)
"""


class Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if name in ("href", "src") and value]


def links(path: Path) -> Iterator[str]:
    parser = Links()
    parser.feed(path.read_text(encoding="utf-8"))
    yield from parser.found


def test_a_run_publishes_pages_notebooks_findings_manifest_and_index(ran: Path) -> None:
    folder = ran / "vantaa-mek"
    names = set(tree(folder))
    stems = {
        f"{stem}.{language}"
        for stem in ("2025/changes", "2025/city", "2025/09291-lansimaki", "data_quality")
        for language in LANGUAGES
    }
    pages = {f"{stem}.{ending}" for stem in stems for ending in ("html", "ipynb")}
    assert names >= pages | {"index.html", "index.sv.html", "index.en.html", "findings.json", "manifest.json"}
    assert not [name for name in names - pages if name.startswith("2025/")]
    manifest = json.loads((folder / "manifest.json").read_text())
    assert set(manifest["files"]) == names - {"manifest.json"}
    findings = json.loads((folder / "findings.json").read_text())
    keys = [(one["year"], one["subject"], one["outcome"]) for one in findings]
    assert keys == sorted(set(keys))
    assert {one["subject"] for one in findings} >= {"all", "09291"}


def test_every_link_leads_somewhere_and_nothing_leads_outside(ran: Path) -> None:
    for page in (ran / "vantaa-mek").rglob("*.html"):
        for link in links(page):
            if link.startswith(("data:", "#")):
                continue
            assert not re.match(r"[a-z]+:|//", link), f"{page.name}: {link}"
            assert (page.parent / link.split("#")[0]).exists(), f"{page.name}: {link}"


def test_pages_say_their_language_and_that_the_data_are_synthetic(ran: Path) -> None:
    for language, word in (("fi", "keksittyjä"), ("sv", "påhittade"), ("en", "made up|invented|synthetic")):
        for name in (f"2025/city.{language}.html", f"2025/09291-lansimaki.{language}.html"):
            text = (ran / "vantaa-mek" / name).read_text(encoding="utf-8")
            assert f'<html lang="{language}"' in text
            assert re.search(word, text, flags=re.IGNORECASE)
            assert len(re.findall("<h1", text)) == 1


def test_nothing_published_names_this_machine(ran: Path) -> None:
    for name, content in tree(ran / "vantaa-mek").items():
        for secret in (str(Path.home()), str(ran), str(shipped("data")), os.uname().nodename):
            if len(secret) > 5:
                assert secret.encode() not in content, f"{name} holds {secret}"


def test_a_run_elsewhere_gives_the_same_bytes(ran: Path, tmp_path: Path) -> None:
    # Another hash seed, time zone, locale, number of threads and of processes, and another folder.
    elsewhere = {
        "PYTHONHASHSEED": "7",
        "TZ": "Asia/Tokyo",
        "LC_ALL": "C",
        "OMP_NUM_THREADS": "2",
        "OPENBLAS_NUM_THREADS": "2",
    }
    words = ["run", str(example_study()), "--year", "2025", "--district", "lansimaki", "--out", str(tmp_path)]
    command = [sys.executable, "-m", "mekeval", *words, "--jobs", "1", "--quiet"]
    subprocess.run(command, env=os.environ | elsewhere, check=True)
    first, second = (tree(folder / "vantaa-mek") for folder in (ran, tmp_path))
    assert first.keys() == second.keys()
    for name in first:
        if name != "manifest.json" and not name.endswith(".xml"):  # the manifest and the feeds hold times
            assert first[name] == second[name], name


def test_one_failure_keeps_the_last_good_report_and_the_rest_goes_on(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in ("asked", "going"):  # the checkout may be worked on between the two runs
        monkeypatch.setattr(f"mekeval.run.{place}.source_sha256", lambda: "the same")
    out = tmp_path / "reports"
    folder = notebooks(tmp_path / "good", SAYS_LITTLE.replace('== "Mikkola"', '== "nobody"'))
    chosen = ["Mikkola", "Hakunila"]
    kinds = ["city", "district"]
    good = run_study(
        small,
        years=[2025],
        districts=chosen,
        kinds=kinds,
        languages=["fi"],
        out=out,
        notebooks=folder,
        jobs=2,
    )
    assert not good.failed, good.errors
    kept = (out / "vantaa-mek" / "2025" / "09282-mikkola.fi.html").read_bytes()

    folder = notebooks(tmp_path / "bad", SAYS_LITTLE)
    arguments = [
        "run",
        str(small),
        "--year",
        "2025",
        "--district",
        "Mikkola",
        "--district",
        "Hakunila",
    ]
    arguments += ["--kind", "city", "--kind", "district", "--language", "fi"]
    arguments += ["--out", str(out), "--notebooks", str(folder), "--jobs", "2", "--quiet"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 1, result.output
    assert "1 report made, 1 unchanged, 1 failed" in result.output
    assert "The well ran dry." in result.output
    assert (out / "vantaa-mek" / "2025" / "09282-mikkola.fi.html").read_bytes() == kept
    error_page = (out / "vantaa-mek" / "2025" / "09282-mikkola.fi.error.html").read_text(encoding="utf-8")
    assert "The well ran dry." in error_page
    assert "Dig." in error_page
    index = (out / "vantaa-mek" / "index.html").read_text(encoding="utf-8")
    assert "2025/09282-mikkola.fi.error.html" in index
    assert "2025/09282-mikkola.fi.html" in index
    findings = json.loads((out / "vantaa-mek" / "findings.json").read_text())
    assert {one["subject"] for one in findings} >= {"09282", "09294", "all"}


def test_manifest_findings_and_index_say_whether_the_plan_was_kept(ran: Path) -> None:
    out, lock = ran / "vantaa-mek", example_study() / "plan.lock"
    plan = json.loads((out / "manifest.json").read_text("utf-8"))["plan"]
    assert (plan["state"], plan["deviations"]) == ("kept", [])
    assert plan["lock_sha256"] == hashlib.sha256(lock.read_bytes()).hexdigest()
    records = json.loads((out / "findings.json").read_text("utf-8"))
    assert {record["plan"] for record in records} == {"kept"}
    roles = {record["outcome"]: record["role"] for record in records}
    assert (roles["unemployment_rate"], roles["median_income"]) == ("primary", "secondary")
    for name, label in (
        ("index.en.html", "Median income of residents (secondary)"),
        ("index.html", "Asukkaiden mediaanitulo (toissijainen)"),
    ):
        assert label in (out / name).read_text("utf-8")


def test_a_run_of_another_year_keeps_the_reports_that_are_there(small: Path, tmp_path: Path) -> None:
    folder = notebooks(tmp_path / "notebooks", SAYS_NOTHING)
    notebook(folder / "city_report.ipynb", HEAD.replace('district: str = "x"\n', ""), SAYS_NOTHING)
    for year, kinds in ((2022, ["city", "district"]), (2024, ["city"])):
        run_study(
            small,
            years=[year],
            districts=["Hakunila"] if "district" in kinds else None,
            kinds=kinds,
            languages=["en"],
            out=tmp_path / "out",
            notebooks=folder,
        )
    names = set(tree(tmp_path / "out" / "vantaa-mek"))
    assert {"2022/city.en.html", "2024/city.en.html", "2022/09294-hakunila.en.html"} <= names


def cli(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["run", str(example_study()), *arguments])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--year", "2031"], ["The year has no data.", "2031", "2025"]),
        (["--year", "2025", "--district", "Hakunlia"], ["--district", "'Hakunlia'", "'Hakunila'"]),
        (["--year", "2025", "--district", "Korso"], ["not in the programme by 2025", "'Korso'"]),
        (["--year", "2020", "--district", "Myyrmäki"], ["not in the programme by 2020"]),
        (["--year", "2025", "--language", "de"], ["no texts in this language", "'de'", "fi"]),
        (["--year", "2025", "-p", "yaer=2024"], ["no such parameter", "'yaer'", "'year'"]),
        (["--year", "2025", "-p", "year=2024"], ["The run itself sets this parameter"]),
        (["--year", "2025", "-p", "year=late"], ["wrong type", "'late'", "int"]),
        (["--year", "2025", "-p", "scale"], ["has no value", "NAME=VALUE"]),
        (["--year", "2018"], ["No area is in the programme yet", "2019"]),
    ],
)
def test_a_wrong_run_is_refused_in_words_and_writes_nothing(
    tmp_path: Path, arguments: list[str], words: list[str]
) -> None:
    result = cli(*arguments, "--out", str(tmp_path / "reports"))
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    for word in words:
        assert word in result.output
    assert not (tmp_path / "reports" / "vantaa-mek").exists()


def test_all_faults_of_a_run_come_at_once(tmp_path: Path) -> None:
    result = cli("--year", "2031", "--year", "2018", "--out", str(tmp_path))
    assert "2 faults" in result.output


def test_a_treated_area_without_data_before_treatment_is_refused(tmp_path: Path) -> None:
    study = tmp_path / "vantaa-mek"
    shutil.copytree(example_study(), study)
    toml = (study / "study.toml").read_text(encoding="utf-8")
    for name in ("pienituloiset", "tulot"):  # theme layout: empty the cells of Havukoski up to 2018
        raw = study / "raw" / f"{name}.csv"
        lines = raw.read_text(encoding="latin-1").split("\n")
        at = next(number for number, line in enumerate(lines) if "Havukoski" in line)
        cells = lines[at].split(",")
        cells[1 : 1 + 2 * 9] = [".."] * 18
        lines[at] = ",".join(cells)
        old = hashlib.sha256(raw.read_bytes()).hexdigest()
        raw.write_bytes("\n".join(lines).encode("latin-1"))
        toml = toml.replace(old, hashlib.sha256(raw.read_bytes()).hexdigest())
    (study / "study.toml").write_text(toml, encoding="utf-8")
    result = CliRunner().invoke(main, ["run", str(study), "--year", "2025", "--out", str(tmp_path / "out")])
    assert result.exit_code == 2, result.output
    for word in (
        "no data before treatment",
        "low_income_rate, Havukoski",
        "first value in 2019",
        "2014 to 2018",
    ):
        assert word in result.output
    assert not (tmp_path / "out" / "vantaa-mek").exists()


def test_a_folder_that_is_no_study_is_answered_with_the_way_out(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["run", str(tmp_path), "--year", "2025"])
    assert result.exit_code == 2
    assert "mekeval new" in result.output


@pytest.mark.parametrize(
    ("head", "tags", "words"),
    [
        (None, (), ["one cell tagged 'parameters'", "0 such cells"]),
        ("year: int = 2025\nimport os", ("parameters",), ["only assign plain values", "import os"]),
        (
            "district: str = 'x'\nyear: int = 1\nlanguage: str = 'fi'",
            ("parameters",),
            ["no such parameter", "'study'"],
        ),
        (
            "study: str = 'x'\ndistrict: str = 'x'\nyear: str = '1'\nlanguage: str = 'fi'",
            ("parameters",),
            ["wrong type", "2025 (int)", "expected: str"],
        ),
    ],
)
def test_a_notebook_that_papermill_would_forgive_is_refused(
    tmp_path: Path, example: Study, head: str | None, tags: tuple[str, ...], words: list[str]
) -> None:
    folder = notebooks(tmp_path / "notebooks", "1", head=head, tags=tags)
    with pytest.raises(RunError) as caught:
        plan_jobs(example, years=[2025], notebooks=folder)
    for word in words:
        assert word in str(caught.value)


def test_a_notebook_that_is_no_notebook_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.ipynb").write_text("{", encoding="utf-8")
    with pytest.raises(RunError, match="cannot be read"):
        notebook_parameters(tmp_path / "x.ipynb")


def test_the_matrix_holds_the_areas_treated_so_far(example: Study) -> None:
    jobs = plan_jobs(example, years=[2021, 2024])
    by_year = {
        year: {job.subject for job in jobs if job.year == year and job.language == "fi"}
        for year in (2021, 2024)
    }
    assert len(by_year[2021]) == 1 + 5  # the city and the first wave
    assert len(by_year[2024]) == 1 + 6  # and Myyrmäki; Martinlaakso left, and is still followed
    assert {job.language for job in jobs} == set(LANGUAGES)
    assert len({job.name for job in jobs}) == len(jobs)


def test_a_killed_run_leaves_the_old_set_and_the_next_run_cleans_up(ran: Path, tmp_path: Path) -> None:
    published = Path(shutil.copytree(ran, tmp_path / "reports", symlinks=True))
    before = tree(published / "vantaa-mek")
    command = [
        sys.executable,
        "-m",
        "mekeval",
        "run",
        str(example_study()),
        "--year",
        "2024",
        "--out",
        str(published),
    ]
    for pause in (0.8, 3.0, 5.0):
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        time.sleep(pause)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert tree(published / "vantaa-mek") == before
    with publication(published, "vantaa-mek") as (new, old):
        assert old is not None
        assert tree(old) == before
        (new / "manifest.json").write_text(canonical({}), encoding="utf-8")
    # What the killed runs had finished waits for the next one; nothing else is left.
    left = {path.name for path in (published / ".store").iterdir() if path.is_dir()}
    assert left - {"vantaa-mek.work"} == {new.name}
    assert tree(published / "vantaa-mek") == {"manifest.json": b"{}\n"}


def test_a_publication_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with publication(tmp_path, "study") as (new, old):
        assert old is None
        (new / "a.txt").write_text("one", encoding="utf-8")
        (new / "manifest.json").write_text("{}", encoding="utf-8")
    with pytest.raises(KeyboardInterrupt), publication(tmp_path, "study") as (new, old):
        (new / "a.txt").write_text("half", encoding="utf-8")
        raise KeyboardInterrupt
    assert (tmp_path / "study" / "a.txt").read_text() == "one"
    assert len([path for path in (tmp_path / ".store").iterdir() if path.is_dir()]) == 1


def test_two_runs_of_one_study_do_not_mix(tmp_path: Path) -> None:
    with publication(tmp_path, "study") as (new, _):
        (new / "manifest.json").write_text("{}", encoding="utf-8")
        with pytest.raises(RunError, match="Another run"), publication(tmp_path, "study"):
            pass


def test_a_folder_that_is_not_ours_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "vantaa-mek").mkdir()
    (tmp_path / "vantaa-mek" / "thesis.txt").write_text("ten years of work", encoding="utf-8")
    with pytest.raises(MekevalError, match="Something else stands"), publication(tmp_path, "vantaa-mek"):
        pass
    assert (tmp_path / "vantaa-mek" / "thesis.txt").read_text() == "ten years of work"


def test_new_writes_a_study_that_reads(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["new", str(tmp_path / "mine")])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "mine" / "notebooks" / "district_report.ipynb").is_file()
    assert (tmp_path / "mine" / "data" / "vantaa-mek" / "study.toml").is_file()
    again = CliRunner().invoke(main, ["new", str(tmp_path / "mine")])
    assert again.exit_code == 2
    assert "not empty" in again.output
