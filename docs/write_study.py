"""Write docs/study.md: every key of study.toml, from the schema and the texts that stand below its keys.

The docs site publishes the same as a JSON schema (`json_schema`).
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from mekeval.areas.listing import COLUMNS
from mekeval.sources import READERS
from mekeval.study import measures, schema

PAGE = Path(__file__).resolve().parents[1] / "docs" / "study.md"
INTRODUCTION = """# study.toml

A study is a folder: `study.toml`, `areas.csv`, `measures.csv` and raw files. This page holds every key of `study.toml`
(`make pages` writes it from `mekeval/study/schema.py`, `schema_data.py` and `measures.py`). A key that is not here is
refused with the closest that is. `mekeval new my-study` writes one that works; the shortest that can be cleaned (not
evaluated: that needs `[programme]` and `[plan]`) is of this form:

```toml
[study]
name = "my-study"
seed = 1
minimum_base = 30
title.fi = "Alueiden tunnusluvut"
attribution.fi = "Tilastokeskus, Paavo (CC BY 4.0)"

[areas]
file = "areas.csv"
unit = "postal_area"
city.fi = "Vantaa"

[catalogue]
use = ["paavo"]
indicators = ["unemployment_rate"]

[[source]]
file = "raw/Main_type_of_activity_2015.csv"
reader = "pxweb-csv"
vintage = 2018
items = ["employed", "unemployed"]
other_areas = "drop"
sha256 = "6c367600fb29f24de605f7d538a84607ef56f73bf79270932b521a41aa0967f2"
```

A table that no reader has seen is described in its source, and its items with the labels that stand in it. Finnish
headers in row 3, decimal commas, a blank between thousands, one row for each value:

```toml
[[item]]
name = "job_seekers"
labels = ["Työttömät"]

[[item]]
name = "labour_force"
labels = ["Työvoima"]

[[indicator]]
name = "job_seekers_rate"
label.fi = "Työttömien osuus työvoimasta"
higher_is = "worse"
unit = "percent"
formula = "job_seekers / labour_force"

[[source]]
file = "raw/taulu.csv"
reader = "csv"
vintage = 2025
header_row = 3
area_column = "Alue"
area_digits = 5
item_column = "Tieto"
year_column = "Vuosi"
value_column = "Arvo"
take = { Sukupuoli = "Yhteensä" }
decimal = ","
thousands = " "
symbols = { "-1" = "suppressed" }
items = ["job_seekers", "labour_force"]
sha256 = ""
```"""
#: In the order of a study.toml; `Words` last, because every title and label is one.
TABLES = (
    schema.StudySpec,
    schema.About,
    schema.AreasTable,
    schema.FoundAreas,
    schema.BoundariesFile,
    schema.CatalogueUse,
    schema.Item,
    schema.Spelling,
    schema.IndicatorSpec,
    schema.SourceSpec,
    schema.FetchSpec,
    schema.Programme,
    schema.Wave,
    schema.Rule,
    schema.MissingCriterion,
    schema.Worth,
    schema.Event,
    schema.Plan,
    schema.PlanThresholds,
    schema.PlanDeviation,
    schema.Reference,
    schema.Exclusion,
    schema.OtherEstimates,
    schema.Published,
    schema.Words,
)


def page() -> str:
    """The whole page."""
    readers = ", ".join(f"`{name}`" for name in READERS)
    return (
        "\n\n".join([INTRODUCTION, *map(_table, TABLES), _areas(), _measures(), f"## Readers\n\n{readers}."])
        + "\n"
    )


#: What stands in the columns of areas.csv.
AREAS = {
    "code": "Letters, digits, `-` and `_`. Needed.",
    "level": "What the area is: the level that `[areas] unit` names, or one above it. Needed.",
    "parent": "Code of the area that it lies in; empty where it lies in none. In a list of one level the code of a "
    "city or of another whole that is not listed.",
    "name_fi": "What it is called in Finnish. Needed, unless there is `name`, or a name in another language.",
    "name": "In the place of `name_fi`: one name for all languages.",
    "name_sv": "Its name in Swedish, where it has one of its own.",
    "name_en": "Its name in English, likewise.",
    "population": "People who live there. Without it an area cannot be weighed by its size, and its money not split.",
    "tile_row": "Row on the tile map, from 0.",
    "tile_col": "Column on the tile map, from 0.",
}


def _areas() -> str:
    """The columns of areas.csv."""
    if set(AREAS) != {*COLUMNS, "name"}:
        raise SystemExit("AREAS does not explain the columns of areas.csv")
    lines = [
        "## areas.csv",
        "The areas: `[areas] file` names it, a UTF-8 CSV with one row for each area; `[reference] areas` may name "
        "one of the same form. Columns that are not needed may be left out, and their cells empty.",
        "\n".join(
            ["| column | |", "| --- | --- |", *(f"| `{name}` | {said} |" for name, said in AREAS.items())]
        ),
    ]
    return "\n\n".join(lines)


def _measures() -> str:
    """The columns of measures.csv."""
    optional = {name: f"{said} May be left out." for name, said in measures.OPTIONAL.items()}
    rows = [f"| `{name}` | {said} |" for name, said in {**measures.COLUMNS, **optional}.items()]
    lines = [
        "## measures.csv",
        "What the programme did: `[programme] measures` names the file, a UTF-8 CSV with one row for each measure. A "
        "measure whose money is known in each of several places has a row for each. What the source does not say stays "
        "empty.",
        "\n".join(["| column | |", "| --- | --- |", *rows]),
    ]
    return "\n\n".join(lines)


def json_schema() -> dict[str, Any]:
    """The same as a JSON schema, for editors: each key with the text that stands below it."""
    whole: dict[str, Any] = schema.StudySpec.model_json_schema()
    whole["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    for model in TABLES:
        said = texts(model)
        table = whole if model is schema.StudySpec else whole["$defs"][model.__name__]
        for key, value in table["properties"].items():
            if said.get(key):
                value["description"] = said[key]
    return whole


def texts(model: type[BaseModel]) -> dict[str, str]:
    """What stands below each key of a table in the schema."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(model))).body[0]
    body = tree.body if isinstance(tree, ast.ClassDef) else []
    found = {}
    for key, text in pairwise(body):
        if isinstance(key, ast.AnnAssign) and isinstance(key.target, ast.Name) and isinstance(text, ast.Expr):
            found[key.target.id] = " ".join(str(ast.literal_eval(text.value)).split())
    return found


def _table(model: type[BaseModel]) -> str:
    summary, _, rest = (inspect.getdoc(model) or "").partition("\n\n")
    title, _, said = " ".join(summary.split()).partition(": ")
    if not title.startswith("`["):
        title, said = (
            {schema.StudySpec: "Tables", schema.Spelling: "A label with years"}.get(model, "Texts"),
            summary,
        )
    lines = [f"## {title}", said[:1].upper() + said[1:], " ".join(rest.split())]
    below = texts(model)
    rows = ["| key | value | default | |", "| --- | --- | --- | --- |"]
    for name, field in model.model_fields.items():
        kind = " or ".join(dict.fromkeys(_kinds(field.annotation)))
        default = "needed" if field.is_required() else _default(field.get_default(call_default_factory=True))
        rows.append(f"| `{name}` | {kind} | {default} | {below.get(name, '').replace('|', chr(92) + '|')} |")
    return "\n\n".join([*(line for line in lines if line), "\n".join(rows)])


def _kinds(annotation: object) -> Iterator[str]:
    """What a value may be, in words."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        yield ", ".join(f'`"{part}"`' for part in parts)
    elif origin is tuple:
        listed = parts[:1] if len(parts) == 2 and parts[1] is Ellipsis else dict.fromkeys(parts)
        yield ("list of " if len(parts) == 2 and parts[1] is Ellipsis else f"{len(parts)} of ") + " or ".join(
            dict.fromkeys(kind for part in listed for kind in _kinds(part))
        )
    elif origin is dict:
        yield "table of " + " or ".join(_kinds(parts[1]))
    elif isinstance(annotation, type):
        if issubclass(annotation, BaseModel):
            title = re.match(r"`\[+([\w.]+)\]+`", inspect.getdoc(annotation) or "")
            yield f"[{title.group(1)}]" if title else "texts" if annotation is schema.Words else "table"
        elif annotation is not type(None):
            names = {
                "str": "text",
                "int": "whole number",
                "float": "number",
                "bool": "true or false",
                "date": "day",
            }
            yield names[annotation.__name__]
    else:
        for part in parts:
            if isinstance(part, type) or get_origin(part) is not None:
                yield from _kinds(part)


def _default(value: object) -> str:
    if value in ((), "", None, {}) or value is PydanticUndefined:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "`[" + ", ".join(f'"{part}"' for part in value) + "]`"
    return f'`"{value}"`' if isinstance(value, str) else f"`{value}`"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
