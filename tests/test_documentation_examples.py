"""README and the pages of docs/tutorials, docs/howto and docs/explanation do what they say.

Each page runs in a folder of its own, block by block, and shares names and files as its reader would. What counts:

- ```` ```python ```` runs; its last expression is shown as in a notebook.
- ```` ```sh ```` runs with `sh -eu`.
- ```` ```text ```` right after either is what it shows; "…" stands for anything.
- A block whose first line is `# file NAME` is that file; `# in NAME` puts its tables into a TOML file that is there
  already, in the place of those of the same name; `# patch NAME` holds pairs of lines, `- ` old and `+ ` new.

Stand-ins: `mekeval` is answered by this process, where all is loaded; `make`, `pip` and `git` only say whether what is
asked of them exists.
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
import os
import re
import shutil
import socketserver
import subprocess
import sys
import tempfile
import threading
import tomllib
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from unittest.mock import patch

import pytest
import yaml
from click.testing import CliRunner

from mekeval import __version__
from mekeval.cli import main
from mekeval.store import Store, filling

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = [
    ROOT / "README.md",
    *(one for part in ("tutorials", "howto", "explanation") for one in sorted((DOCS / part).glob("*.md"))),
]
PAGES = [page for page in PAGES if page.name != "index.md"]
#: Pages that go on where another ends.
AFTER = {"read_a_report.md": "evaluate_your_programme.md", "publish.md": "evaluate_your_programme.md"}
#: Pages that are tried on a copy of the library.
ON_A_COPY = {"add_a_format.md", "add_a_language.md", "add_an_estimator.md"}
ELISION = "…"
#: What the stand-in of `mekeval`, which is this process, must know as well.
KEPT = ("MEKEVAL_RAW",)
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="shell blocks are for POSIX systems")

COMMAND = """#!{python} -IS
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as link:
    link.connect({address!r})
    link.sendall(json.dumps([os.path.basename(sys.argv[0]), os.getcwd(), sys.argv[1:]]).encode() + b"\\n")
    answer = json.loads(link.makefile().read())
sys.stdout.write(answer["said"])
sys.exit(answer["code"])
"""


@dataclass(frozen=True, kw_only=True)
class Block:
    """A block of a page: its language, its text, the line at which it begins, and what it is to show."""

    language: str
    text: str
    line: int
    shows: str | None


def blocks(page: Path) -> list[Block]:
    found: list[Block] = []
    lines = page.read_text("utf-8").splitlines()
    at, just_ended = 0, False
    while at < len(lines):
        opened = re.fullmatch(r"(`{3,})(\w*)", lines[at])
        if opened is None:
            just_ended = just_ended and not lines[at].strip()
            at += 1
            continue
        end = lines.index(opened[1], at + 1)
        text = "\n".join(lines[at + 1 : end]) + "\n"
        if opened[2] != "text":
            found.append(Block(language=opened[2], text=text, line=at + 1, shows=None))
        elif just_ended:
            found[-1] = replace(found[-1], shows=text)
        just_ended = opened[2] != "text"
        at = end + 1
    return found


def fits(said: str, shown: str) -> bool:
    """Whether a text is what a page shows; white space at the ends of lines does not count."""

    def tidy(text: str) -> str:
        return "\n".join(line.rstrip() for line in text.strip().splitlines())

    pattern = ".*?".join(re.escape(part) for part in tidy(shown).split(ELISION))
    return re.fullmatch(pattern, tidy(said), re.S) is not None


def test_blocks_and_what_they_show_are_told_apart(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("a\n\n```sh\necho 1\n```\n\n```text\n1\n```\n\nb\n\n```text\nfree\n```\n", "utf-8")
    assert blocks(page) == [Block(language="sh", text="echo 1\n", line=3, shows="1\n")]
    assert fits("one 12 s\ntwo  \n", "one … s\ntwo\n")
    assert not fits("one\nthree\n", "one\ntwo\n")


def test_tables_and_lines_are_put_in_their_place() -> None:
    text = "[a]\nx = 1\n\n[[b]]\ny = 1\n"
    assert put_tables(text, "[a]\nx = 2\n\n[[b]]\ny = 2\n") == "[a]\nx = 2\n\n[[b]]\ny = 1\n\n[[b]]\ny = 2\n"
    assert patched("one\ntwo\n", "- two\n+ two\n+ three\n") == "one\ntwo\nthree\n"
    with pytest.raises(AssertionError):
        patched("one\n", "- two\n+ three\n")


class Server(socketserver.ThreadingUnixStreamServer):
    """Answers the stand-ins of commands."""

    daemon_threads = True


class Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        name, folder, words = json.loads(self.rfile.readline())
        said, code = {"mekeval": mekeval, "make": make, "pip": pip, "git": git}[name](words, Path(folder))
        self.wfile.write(json.dumps({"said": said, "code": code}).encode())


def mekeval(words: list[str], folder: Path) -> tuple[str, int]:
    with contextlib.chdir(folder):
        result = CliRunner().invoke(main, words)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        return "".join(traceback.format_exception(result.exception)), 1
    # A progress bar goes to the terminal's other stream.
    return result.stdout + (result.stderr if result.exit_code else ""), result.exit_code


def make(words: list[str], _: Path) -> tuple[str, int]:
    """Whether the target is there; nothing is made."""
    done = subprocess.run(["make", "-n", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stderr, done.returncode


def pip(words: list[str], _: Path) -> tuple[str, int]:
    """Whether the extras that are asked for are there."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    known = set(project["optional-dependencies"])
    asked = {one for word in words for part in re.findall(r"\[(.+)\]", word) for one in part.split(",")}
    return ("", 0) if words[:1] == ["install"] and asked <= known else (f"unknown: {asked - known}", 1)


def git(words: list[str], _: Path) -> tuple[str, int]:
    return "", 0 if words[0] in ("clone", "add", "commit") else 1


@pytest.fixture(scope="module")
def tools() -> Iterator[Path]:
    """A folder with the stand-ins."""
    with tempfile.TemporaryDirectory(prefix="mk-") as short:  # the name of a socket has to be short
        folder = Path(short)
        for name in ("mekeval", "make", "pip", "git"):
            script = folder / name
            script.write_text(COMMAND.format(python=sys.executable, address=f"{short}/s"), "utf-8")
            script.chmod(0o755)
        with Server(f"{short}/s", Handler) as server:
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
            yield folder
            server.shutdown()


def put_tables(text: str, tables: str) -> str:
    """A TOML text with the tables of another in the place of its own of the same name, or at its end."""
    for part in re.split(r"(?m)^(?=\[)", tables):
        head = part.split("\n", 1)[0].split("#")[0].strip()
        if not head.startswith("["):
            continue
        own = re.search(rf"(?ms)^{re.escape(head)}.*?(?=^\[|\Z)", text)
        if head.startswith("[[") or own is None:
            text = text.rstrip("\n") + "\n\n" + part
        else:
            text = text[: own.start()] + part.rstrip("\n") + "\n\n" + text[own.end() :]
    tomllib.loads(text)
    return text


def patched(text: str, changes: str) -> str:
    """A text with lines replaced: each `- ` line must be there once."""
    for old, new in re.findall(r"(?m)^- (.*)\n((?:\+ .*\n)+)", changes):
        assert text.count(old) == 1, (text.count(old), old)
        text = text.replace(old, re.sub(r"(?m)^\+ ", "", new).rstrip("\n"))
    return text


@dataclass(frozen=True, kw_only=True)
class Reader:
    """Somebody who does what a page says, in a folder."""

    folder: Path
    names: dict[str, object]
    environment: dict[str, str]

    def do(self, block: Block) -> str | None:
        """What a block shows; None where it is no code."""
        with patch.dict(os.environ, {key: self.environment[key] for key in KEPT if key in self.environment}):
            return self._do(block)

    def _do(self, block: Block) -> str | None:
        kind, _, name = block.text.partition("\n")[0].removeprefix("# ").partition(" ")
        rest = block.text.partition("\n")[2]
        if kind in ("file", "in", "patch") and re.fullmatch(r"[\w./-]+", name):
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if kind == "file":
                path.write_text(rest, "utf-8")
            elif kind == "in":
                path.write_text(put_tables(path.read_text("utf-8"), rest), "utf-8")
            else:
                path.write_text(patched(path.read_text("utf-8"), rest), "utf-8")
            return None
        if block.language == "python":
            return self.python(block.text)
        if block.language == "sh":
            done = subprocess.run(
                ["sh", "-eu", "-c", block.text],
                cwd=self.folder,
                env=self.environment,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stdout + done.stderr
            return done.stdout
        return None

    def python(self, text: str) -> str:
        """Run as a cell of a notebook is."""
        tree = ast.parse(text)
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        said = io.StringIO()
        with contextlib.chdir(self.folder), contextlib.redirect_stdout(said):
            exec(compile(tree, "<page>", "exec"), self.names)
            if last is not None:
                assert isinstance(last, ast.Expr)
                value = eval(compile(ast.Expression(last.value), "<page>", "eval"), self.names)
                if value is not None:
                    print(str(value) if type(value).__module__.startswith("mekeval") else repr(value))
        return said.getvalue()


#: Folder in which a page was read, for those that go on there.
FOLDERS: dict[str, Reader] = {}


@pytest.fixture
def read(
    tools: Path, tmp_path_factory: pytest.TempPathFactory, evaluations: Store, request: pytest.FixtureRequest
) -> Callable[[Path], None]:
    def page_read(page: Path) -> None:
        first = AFTER.get(page.name)
        if first is not None and first not in FOLDERS:
            page_read(DOCS / "tutorials" / first)
        reader = FOLDERS[first] if first else new_reader(page)
        if page.name in FOLDERS:
            return
        FOLDERS[page.name] = reader
        for block in blocks(page):
            where = f"{page.relative_to(ROOT)}, line {block.line}"
            try:
                with filling(evaluations):
                    said = reader.do(block)
            except Exception as error:
                raise AssertionError(f"{where}: {error}") from error
            if block.shows is not None and said is not None:
                assert fits(said, block.shows), f"{where} shows\n{said}\nand not\n{block.shows}"

    def new_reader(page: Path) -> Reader:
        folder = tmp_path_factory.mktemp(page.stem)
        environment = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "PYTHONWARNINGS": "error"}
        if "MEKEVAL_RAW" in page.read_text("utf-8"):
            environment["MEKEVAL_RAW"] = str(request.getfixturevalue("raw"))
        if page.name in ON_A_COPY:
            skip = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / "mekeval", folder / "mekeval", ignore=skip)
            shutil.copytree(ROOT / "data" / "vantaa-mek", folder / "data" / "vantaa-mek", ignore=skip)
            shutil.copytree(ROOT / "notebooks", folder / "notebooks")
            environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
        return Reader(folder=folder, names={"__name__": "page"}, environment=environment)

    return page_read


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_does_what_it_says(page: Path, read: Callable[[Path], None]) -> None:
    read(page)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_is_plain_markdown_and_its_links_lead_somewhere(page: Path) -> None:
    text = page.read_text("utf-8")
    prose = re.sub(r"(?ms)^(`{3,}).*?^\1$", "", text)
    assert text.startswith("# ")
    assert len(re.findall(r"(?m)^# ", prose)) == 1
    assert not re.search(r"</?(div|img|p|br|table|a)\b", prose)
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", prose):
        if "://" not in target:
            assert (page.parent / target).exists(), target
    for language in re.findall(r"(?m)^```(\w*)$", text):
        assert language in ("python", "sh", "text", "toml", "csv", "diff", "yaml", "")


def table_rows(text: str) -> Iterator[dict[str, str]]:
    """Rows of the tables of a page that have a column "k", by column."""
    header: list[str] = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")] if line.startswith("|") else []
        if "k" in cells:
            header = cells
        elif not cells:
            header = []
        elif header and not set(line) <= set("|- :"):
            yield dict(zip(header, cells, strict=True))


def test_the_figures_on_few_areas_are_those_of_the_benchmarks() -> None:
    """Of docs/benchmarks.md, which `make bench` writes from real data."""
    written = (DOCS / "benchmarks.md").read_text("utf-8")
    known = {
        (row["selection"], row["cities"], row["k"]): {
            name.removesuffix(", %"): cell for name, cell in row.items()
        }
        for row in table_rows(written)
        if row["selection"] in ("random", "worst")
    }
    page = (DOCS / "explanation" / "few_treated_districts.md").read_text("utf-8")
    rows = list(table_rows(page))
    assert len(rows) == 9
    for row in rows:
        theirs = known[row["selection"], row["cities"], row["k"]]
        assert row.items() <= theirs.items(), (row, theirs)
    power = next(row for row in table_rows(written) if row.get("method") == "rule placebo, power")
    assert f"in {float(power['found, %']):.0f} % of cases" in page
    (largest,) = (
        row
        for row in table_rows(written)
        if row["selection"] == "worst, nine largest cities" and row["k"] == "5"
    )
    assert f"in {largest['rule placebo, %']} %" in page
    naive = re.search(r"Naive: .*?: (\S+) points, exact permutation p = ([\d.]+)\.\n", written)
    assert naive is not None
    assert f"{naive[1]} points, exact permutation p = {naive[2]} " in page
    wave = re.search(r"\| municipalities \| 2016 \|  \| \d+ \| (.*)", written)
    assert wave is not None
    effect, interval, p, _, elsewhere, plain, *_ = wave[1].split(" | ")
    low, _, high = interval.replace("-", "\N{MINUS SIGN}").partition(" to ")
    assert f"| {effect} (95 % interval {low} to {high}), p = {p} |" in page
    assert f"| {elsewhere} |" in page
    assert f"| {plain} |" in page


def test_the_rates_of_verdicts_are_those_of_the_simulations() -> None:
    written = (DOCS / "verdicts.md").read_text("utf-8")
    rows = dict(
        re.findall(
            r"(?m)^\| ([\w ,:]+) \| ([\d. |]+) \|", written.split("## Studies whose truth is known")[1]
        )
    )
    improved, worsened = (float(one) for one in rows["no effect, drifting worst areas"].split(" | ")[:2])
    page = (DOCS / "explanation" / "verdict_rules.md").read_text("utf-8")
    assert f"in {improved + worsened:g} % of cases" in page
    assert f"found in {float(rows['twice the minimum detectable effect'].split(' | ')[0]):g} %" in page
    fragile = [
        float(rows[name].split(" | ")[3])
        for name in ("one outlier district", "anticipation", "spillover", "composition")
    ]
    assert f"*fragile* in {min(fragile):g} to {max(fragile):g} %" in page


def test_the_two_commands_are_those_of_the_checks() -> None:
    """README's first block is what .ci/run does in a fresh clone."""
    first = blocks(ROOT / "README.md")[0].text
    assert re.findall(r"(?m)^make \w+", first) == ["make report", "make test"]
    done = (ROOT / ".ci" / "run").read_text("utf-8")
    assert {"make report", "make test"} <= set(re.findall(r"(?m)^make [\w-]+$", done))


def test_the_picture_is_small_and_its_text_says_that_the_data_are_synthetic() -> None:
    for alternative, name in re.findall(r"!\[(.*?)\]\((.*?)\)", (ROOT / "README.md").read_text("utf-8")):
        assert "synthetic" in alternative
        assert (ROOT / name).stat().st_size < 200_000


def test_the_citation_keeps_to_its_format_and_names_this_version() -> None:
    file = ROOT / "CITATION.cff"
    checked = subprocess.run(
        [
            Path(sys.executable).parent / "check-jsonschema",
            "--builtin-schema",
            "vendor.citation-file-format",
            file,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout
    cited = yaml.safe_load(file.read_text("utf-8"))
    assert cited["version"] == __version__
    assert [one.get("name") for one in cited["authors"]] == ["mekeval contributors"]
