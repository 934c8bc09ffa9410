"""The sources of the docs site: no public name, figure, page or key of a study is left out of it."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import mekeval

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
GALLERY = sorted(path for path in (DOCS / "gallery").glob("*.md") if path.stem != "index")
CELL = re.compile(r"^```\{code-cell\} ipython3\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)


def test_every_public_name_stands_in_the_reference_once() -> None:
    pages = [path.read_text(encoding="utf-8") for path in (DOCS / "reference").glob("*.md")]
    lists = [found for page in pages for found in re.findall(r"^```\{api\}\n(.*?)^```$", page, re.M | re.S)]
    said = Counter(" ".join(lists).split())
    assert said == Counter(name for name in mekeval.__all__ if name != "__version__")


def test_every_figure_stands_in_the_gallery_below_its_name() -> None:
    """Each section draws with the function that it is named after, as the last thing that it does."""
    drawn = []
    for path in GALLERY:
        for section in re.split(r"^## ", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
            (code,) = CELL.findall(section)
            last = ast.parse(code).body[-1]
            assert isinstance(last, ast.Expr) and isinstance(last.value, ast.Call), code
            assert ast.unparse(last.value.func) == f"mk.{section.split()[0]}"
            drawn.append(section.split()[0])
    assert sorted(drawn) == [name for name in mekeval.__all__ if name.startswith("plot_")]


@pytest.mark.parametrize("path", GALLERY, ids=lambda path: path.stem)
def test_the_gallery_holds_short_cells_and_says_that_its_data_are_synthetic(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert "synthetic" in text.split("```")[0]
    assert all(len(code.strip().splitlines()) <= 10 for code in CELL.findall(text))


def test_the_example_of_the_start_page_is_that_of_the_readme() -> None:
    """The README's runs in the tests, with what it shows."""
    start, readme = ((ROOT / name).read_text(encoding="utf-8") for name in ("docs/index.md", "README.md"))
    (example,) = re.findall(
        r"^```python\n.*?^```\n\n```text\n.*?^```$", start, flags=re.MULTILINE | re.DOTALL
    )
    assert example in readme


def test_no_docstring_loses_what_stands_in_angle_brackets() -> None:
    """In single backticks the site takes `name.<key>` for a link to "key" with the words "name."."""
    lost = [
        (path.name, found)
        for path in (ROOT / "mekeval").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        for found in re.findall(r"(?<!`)`[^`<>\n]*<[^`\n]*>`(?!`)", ast.get_docstring(node) or "")
    ]
    assert lost == []


def _json_schema() -> dict[str, Any]:
    where = importlib.util.spec_from_file_location("write_study", DOCS / "write_study.py")
    assert where is not None and where.loader is not None
    script = importlib.util.module_from_spec(where)
    where.loader.exec_module(script)
    schema: dict[str, Any] = script.json_schema()
    return schema


def test_the_json_schema_takes_every_study_here_and_no_key_that_is_misspelt() -> None:
    schema = _json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    studies = sorted((ROOT / "data").glob("*/study.toml"))
    assert len(studies) > 3
    for path in studies:
        # Days and times of TOML are texts in JSON.
        study = json.loads(json.dumps(tomllib.loads(path.read_text(encoding="utf-8")), default=str))
        assert [error.message for error in validator.iter_errors(study)] == [], path.parent.name
        study["study"]["sead"] = study["study"].pop("seed")
        assert len([*validator.iter_errors(study)]) == 2  # one that is not there, one that is not known


def test_the_json_schema_says_what_its_keys_mean() -> None:
    schema = _json_schema()
    assert "file" in schema["$defs"]["SourceSpec"]["properties"]
    said = [
        key.get("description")
        for name in ("About", "AreasTable", "SourceSpec", "Plan", "Wave")
        for key in schema["$defs"][name]["properties"].values()
    ]
    assert sum(map(bool, said)) > len(said) / 2
