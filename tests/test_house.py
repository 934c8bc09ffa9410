"""What keeps the house in order: notebooks without logic, texts in step, light imports."""

from __future__ import annotations

import ast
import inspect
import json
import re
import string
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import mekeval
from mekeval.text import LANGUAGES, Texts, keys

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_hold_no_logic_and_no_outputs(path: Path) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    code = [cell for cell in content["cells"] if cell["cell_type"] == "code"]
    for cell in code:
        source = "".join(cell["source"])
        assert len(source.splitlines()) <= 10
        assert not cell["outputs"]
        assert cell["execution_count"] is None
        forbidden = (ast.FunctionDef, ast.ClassDef, ast.For, ast.While, ast.If, ast.Lambda, ast.With, ast.Try)
        for node in ast.walk(ast.parse(source)):
            assert not isinstance(node, forbidden), ast.unparse(node)
    assert [cell for cell in code if "parameters" in cell["metadata"].get("tags", [])] == code[:1]


@pytest.mark.parametrize("name", ["explore", "targeting"])
def test_a_notebook_to_explore_runs_from_its_own_folder(name: str, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "papermill",
        f"{name}.ipynb",
        str(tmp_path / "out.ipynb"),
        "--no-progress-bar",
    ]
    done = subprocess.run(command, cwd=ROOT / "notebooks", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def test_languages_have_the_same_keys_and_the_same_parts() -> None:
    first, *others = LANGUAGES
    for other in others:
        assert keys(first) == keys(other)
        for key in keys(first):
            parts = [
                {name for _, name, _, _ in string.Formatter().parse(Texts(language)._strings[key]) if name}
                for language in (first, other)
            ]
            assert parts[0] == parts[1], key


def test_numbers_have_the_form_of_the_language() -> None:
    assert Texts("fi").number(-1234.5, 1) == "\N{MINUS SIGN}1\N{NO-BREAK SPACE}234,5"
    assert Texts("en").number(-1234.5, 1) == "\N{MINUS SIGN}1,234.5"
    assert Texts("fi").number(-0.04, 1, sign=True) == "0,0"
    assert Texts("en").number(2.07, 2, sign=True) == "+2.07"


def test_a_missing_text_is_named() -> None:
    with pytest.raises(mekeval.MekevalError, match="text/fi, key"):
        Texts("fi")("report.situation.headin")


def test_import_is_light() -> None:
    heavy = ["papermill", "nbconvert", "nbformat", "matplotlib", "pandas"]
    code = f"import sys, mekeval; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_evaluating_and_reporting_load_only_what_they_need() -> None:
    heavy = ["papermill", "nbconvert", "nbformat", "matplotlib"]
    code = (
        "import sys, mekeval; mekeval.evaluate(mekeval.example_study(), year=2021, district='Hakunila');"
        f"print([name for name in {heavy} if name in sys.modules]);"
        "import mekeval.report; print('scipy.stats' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n") == ["[]", "False", ""]


def test_public_names_exist_are_documented_and_say_their_types() -> None:
    for name in mekeval.__all__:
        thing = getattr(mekeval, name)
        if inspect.isclass(thing) or inspect.isfunction(thing):
            assert inspect.getdoc(thing), name
        if inspect.isfunction(thing):
            annotations = inspect.get_annotations(thing)
            assert "return" in annotations, name
            assert set(inspect.signature(thing).parameters) <= set(annotations), name
            assert not any(re.search(r"\bAny\b", str(kind)) for kind in annotations.values()), name


def test_files_are_not_too_long() -> None:
    for path in (ROOT / "mekeval").rglob("*.py"):
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 500, path.name


def test_every_module_says_what_comes_in_what_goes_out_and_what_never_happens() -> None:
    whole = {ROOT / "mekeval" / name for name in ("__init__.py", "__main__.py")}
    for path in set((ROOT / "mekeval").rglob("*.py")) - whole:
        said = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        assert all(re.search(rf"\b{word}:\s", said) for word in ("In", "Out", "Never")), path


def test_the_repository_names_no_machine() -> None:
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("not a git checkout")
    machine = re.compile("/" + r"(work|root|home/\w+)/|file://" + "/opt")
    for name in done.stdout.split():
        path = ROOT / name
        if path.is_file() and path.suffix not in (".ipynb", ".csv"):
            assert not machine.search(path.read_text(encoding="utf-8", errors="replace")), name


def test_version_is_the_same_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == mekeval.__version__
    assert f"## {mekeval.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
