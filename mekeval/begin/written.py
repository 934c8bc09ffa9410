"""The files of a new study, as text.

In: a municipality, its sources, a rule and its choice. Out: the text of study.toml, areas.csv and README.md. Never: a
file.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from ..design import Rule, Selection
from ..tables import frame_csv
from .paavo import Municipality

#: Where programmes of this kind are known to have run; they are no reference.
_WITH_PROGRAMMES = {
    "Helsinki": (
        "Helsingillä on oma alueellisen yhdenvertaisuuden rahoituksensa ja Mukana-ohjelma",
        "Helsingfors har egen finansiering för jämlikhet mellan områden och programmet Mukana",
        "Helsinki has area-based funding and the Mukana programme of its own",
    ),
    "Vantaa": (
        "Vantaalla on positiivisen erityiskohtelun toimintaohjelma",
        "Vanda har verksamhetsprogrammet för positiv särbehandling",
        "Vantaa has its programme of positive special treatment",
    ),
}
#: The file whose areas are those of the rest of the country.
REFERENCES = "statfi-paavo/pxweb-themes-2012-2017/Inhabitants_disposable_monetary_income_2016.csv"
#: Groups of fewer neighbouring areas than this are no city.
_SMALLEST_WINDOW = 12


def areas_csv(about: Municipality) -> str:
    """The list of areas, with the places of tiles by their coordinates."""
    table = about.table
    row, column = _tiles(table["x"].to_numpy(dtype=float), table["y"].to_numpy(dtype=float))
    own = pd.DataFrame(
        {
            "code": table["code"],
            "level": "postal_area",
            "parent": about.code,
            "name_fi": table["name_fi"],
            "name_sv": table["name_sv"].fillna(table["name_fi"]),
            "name_en": table["name_fi"],
            "population": table["population"],
            "tile_row": row,
            "tile_col": column,
        }
    )
    city = pd.DataFrame(
        {
            "code": [about.code],
            "level": ["city"],
            "parent": [""],
            "name_fi": [about.name],
            "name_sv": [about.name_sv],
            "name_en": [about.name],
            "population": [table["population"].sum()],
            "tile_row": [pd.NA],
            "tile_col": [pd.NA],
        }
    )
    return frame_csv(pd.concat([city, own], ignore_index=True).astype({"population": "Int64"}))


def _tiles(x: np.ndarray, y: np.ndarray) -> tuple[list[int], list[int]]:
    """Rows and columns of tiles that keep who lies north and who west of whom, as far as a full grid can.

    The areas are cut into rows from north to south, each row is laid out from west to east; an area without a place
    comes last.
    """
    width = math.ceil(math.sqrt(len(x)))
    order = np.lexsort((np.arange(len(x)), np.nan_to_num(-y, nan=np.inf)))
    rows, columns = np.zeros(len(x), dtype=int), np.zeros(len(x), dtype=int)
    for at, start in enumerate(range(0, len(x), width)):
        part = order[start : start + width]
        part = part[np.argsort(np.nan_to_num(x[part], nan=np.inf), kind="stable")]
        rows[part], columns[part] = at, np.arange(len(part))
    return rows.tolist(), columns.tolist()


def study_toml(
    about: Municipality,
    indicators: Sequence[str],
    sources: Sequence[Mapping[str, object]],
    *,
    name: str,
    programme: str = "",
) -> str:
    """The definition of the study; without a programme it can be cleaned only."""
    listed = ", ".join(map(_value, indicators))
    head = f"""# {about.name} by postal area, from Statistics Finland's Paavo (CC BY 4.0). Written by `mekeval new`.
# The raw files are not here: name their folder with --raw or MEKEVAL_RAW; the checksums say which ones are meant.

[study]
name = {_value(name)}
seed = 1
raw = "external"
languages = ["fi", "sv", "en"]
minimum_base = 30 # Paavo's own limit; no value with fewer people behind it reaches an output
public = true # Statistics Finland has published every number, and hidden what must be
title.fi = "{about.name} postinumeroalueittain"
title.sv = "{about.name_sv} efter postnummerområde"
title.en = "{about.name} by postal area"
attribution.fi = "Tilastokeskus, Paavo – postinumeroalueittainen avoin tieto (CC BY 4.0)"
attribution.sv = "Statistikcentralen, Paavo – öppna data efter postnummerområde (CC BY 4.0)"
attribution.en = "Statistics Finland, Paavo – open data by postal code area (CC BY 4.0)"

[areas]
file = "areas.csv"
unit = "postal_area"
comparison = "never_treated"
city.fi = {_value(about.name)}
city.sv = {_value(about.name_sv)}
city.en = {_value(about.name)}

[catalogue]
use = ["paavo"]
indicators = [{listed}]
"""
    tables = [
        "[[source]]\n" + "".join(f"{key} = {_value(each)}\n" for key, each in one.items()) for one in sources
    ]
    return "\n".join([head, *([programme] if programme else []), *tables])


def programme_toml(
    about: Municipality,
    rule: Rule,
    *,
    indicators: Sequence[str],
    areas: Sequence[str],
    first: int,
    last: int,
    known: bool,
    files: Sequence[str],
) -> str:
    """The programme, the reference areas and the plan: what a person must look at."""
    head = f"""title.fi = {_value("Ohjelma" if known else "ehdokasalueet (ei ohjelmaa)")}
title.sv = {_value("Programmet" if known else "kandidatområden (inget program)")}
title.en = {_value("The programme" if known else "candidate areas (no programme)")}
"""
    if not known:
        head += "hypothetical = true # take this away when the areas below are the programme's own\n"
    names = dict(zip(about.table["code"], about.table["name_fi"], strict=True))
    excluded = "\n".join(
        f"[[reference.exclude]]\ncity = {_value(city)}\n"
        + "".join(
            f"reason.{language} = {_value(text)}\n"
            for language, text in zip(("fi", "sv", "en"), reason, strict=True)
        )
        for city, reason in _WITH_PROGRAMMES.items()
        if city != about.name
    )
    reference = f"""[reference] # postal areas of the rest of the country, where the rule is applied too
areas_from = {_value(REFERENCES)}
label = '^(?P<code>\\d{{5}})\\s.*\\(\\s*(?P<city>[^()]*?)\\s*\\)?\\s*$'
window = {max(_SMALLEST_WINDOW, len(about.table))} # so many neighbouring postal areas stand for a city of this size
minimum_population = 240 # adults, about 300 residents

{excluded}
"""
    criteria = ", ".join(f"{name} = {year}" for name, year in rule.criteria.items())
    return f"""[programme] # FILL IN: its name
{head}
[[programme.wave]] # FILL IN: the years and the areas of the real programme
name = "{first}-{last}"
first = {first}
last = {last}
areas = [{", ".join(map(_value, areas))}] # {", ".join(names[code] for code in areas)}

[programme.rule] # FILL IN: how the areas were chosen; here the worst off by these criteria, each in its base year
criteria = {{ {criteria} }}
choose = {rule.choose}
population = "low_income_rate" # the adults behind this rate are the size of an area
minimum_population = {rule.minimum_population:g} # about 1,000 residents

{reference if REFERENCES in files else ""}[plan] # FILL IN before looking at results, then: mekeval plan lock
primary = [{_value(indicators[0])}, {_value(indicators[1])}]
secondary = [{", ".join(map(_value, indicators[2:]))}]
alpha = 0.05
pre_years = 7
partial_years = 1 # the first programme year is neither before nor after
"""


def readme(
    about: Municipality, candidates: Selection, *, name: str, areas: Sequence[str], first: int, year: int
) -> str:
    """What was found, what was assumed, and what to do next."""
    names = dict(zip(about.table["code"], about.table["name_fi"], strict=True))
    ranked = "\n".join(f"{at}. {names[code]} ({code})" for at, code in enumerate(candidates.chosen, start=1))
    own = ", ".join(f"{names[code]} ({code})" for code in areas)
    assumed = (
        f"""The programme ran from {first} to {year} in the areas that you named: {own}.
They are taken as chosen by a rule, the worst off by low income, unemployment and basic education. That many areas
would be, by this rule:"""
        if areas
        else f"""The areas that the rule would choose stand for a programme from {first} to {year}. Every report
says that they are candidates and that no programme is known. The worst off by low income, unemployment and basic
education:"""
    )
    return f"""# {about.name} by postal area

{len(about.table)} postal areas, from Statistics Finland's Paavo (CC BY 4.0).

## What is assumed until you fill it in

{assumed}

{ranked}

The rates are of all adults of an area, students among them: an area of student homes ranks high by income and may need
another programme, or none.
{_moved(about)}
## Next

In `study.toml`, at each `FILL IN`:

1. `[[programme.wave]]`: name, years and areas (codes, or names as in `areas.csv`) of the programme; a second wave is a
   second table.{"" if areas else " Then take `hypothetical = true` away."}
2. `[programme.rule]`: how the areas were chosen. Where they were not chosen by figures, delete this table,
   `[reference]` and every `[[reference.exclude]]`: the areas are then compared with the rest of {about.name} only.
3. `[[reference.exclude]]`: other municipalities known to have had such a programme in these years.
4. `[plan]`: the indicators that the programme was to change (`primary`) before you look at any result.

Then, in the folder that holds `data`, with FOLDER the one that holds `statfi-paavo`:

    mekeval plan lock data/{name}
    mekeval run data/{name} --raw FOLDER --year {year}
"""


def moved_areas(about: Municipality) -> list[str]:
    """Areas that changed hands, one text for all that did alike: whether they are in the list, when, and which."""
    own = set(about.table["code"])
    alike: dict[tuple[str, str], list[str]] = {}
    for code, name, said in about.moved:
        state = "in areas.csv" if code in own else "not in areas.csv"
        alike.setdefault((said, state), []).append(f"{code} {name}")
    return [f"{said} ({state}): {', '.join(areas)}" for (said, state), areas in alike.items()]


def _moved(about: Municipality) -> str:
    listed = "\n".join(f"- {line}" for line in moved_areas(about))
    if not listed:
        return ""
    return f"""
## Areas that changed municipality in the data

{listed}

`areas.csv` goes by the last year. Add or delete a row where that is wrong: an area that is yours may lie on the border.
"""


def _value(value: object) -> str:
    """A value as TOML writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_value(str(key))} = {_value(each)}" for key, each in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, int | float):
        return str(value)
    return json.dumps(str(value), ensure_ascii=False)
