"""Write docs/catalogue.md: the shipped definitions of items and indicators, from the catalogue itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from mekeval.study import CATALOGUES, Catalogue, IndicatorSpec, Item, Words, criteria_table, read_catalogue
from mekeval.study.catalogue import written

PAGE = Path(__file__).resolve().parents[1] / "docs" / "catalogue.md"
INTRODUCTION = """# Catalogue of indicators

Indicators that are defined already, with their raw items (written by `make pages` from `mekeval/study/catalogue/`).
A study takes definitions from here:

```toml
[catalogue]
use = ["paavo"]
indicators = ["low_income_rate", "unemployment_rate"]
```

Only the items that these indicators or the study's sources use come with them. An `[[item]]` of the same name in the
study adds its labels to those here; an `[[indicator]]` of the name of a taken one is a fault. In Python:
`read_catalogue("paavo")`, `catalogue_table()` and `criteria_table()` of `mekeval.study`."""
UNITS = {"percent": "%", "eur": "EUR", "m2": "m²"}


def page() -> str:
    """The whole page."""
    parts = [
        INTRODUCTION,
        *_criteria(),
        *(line for name in CATALOGUES for line in _catalogue(read_catalogue(name))),
    ]
    return "\n\n".join(parts) + "\n"


def _criteria() -> Iterator[str]:
    yield "## The criteria of the MEK programme"
    yield (
        "By these four Vantaa chose the districts of its programme for 2023 to 2025 (City board, 10.10.2022, "
        "section 19). Where a criterion cannot be had, a proxy stands in for it, and says how it differs."
    )
    table = criteria_table("en")
    for _, group in table.groupby("criterion", sort=False):
        first = group.iloc[0]
        yield f"**{first['label']}** (`{first['criterion']}`): {first['definition']}"
        rows = [
            (
                row["catalogue"],
                f"`{row['indicator']}`" if row["indicator"] else "",
                {"criterion": "is the criterion", "proxy": "proxy", "none": "cannot be had"}[row["kind"]],
                row["differs"],
            )
            for row in group.to_dict("records")
        ]
        yield _table(("catalogue", "indicator", "", "how it differs"), rows)


def _catalogue(each: Catalogue) -> Iterator[str]:
    yield f"## {each.title.en} (`{each.name}`)"
    yield f"{each.attribution.en}. {each.note.en}"
    yield "### Indicators"
    for indicator in each.indicator:
        yield _indicator(indicator)
    if each.table:
        yield "### Tables\n\nKeys of a `[[source]]` for tables whose items are told apart by more than their names."
        rows = [
            (
                f"`{table.name}`",
                table.title.en,
                ", ".join(f"`{key} = {_toml(value)}`" for key, value in table.keys.items()),
                _items(table.items),
            )
            for table in each.table
        ]
        yield _table(("table", "", "keys", "items"), rows)
    yield "### Items"
    yield _table(("item", "labels"), [(f"`{item.name}`", _labels(item)) for item in each.item])


def _indicator(indicator: IndicatorSpec) -> str:
    direction = {"better": "higher is better", "worse": "higher is worse", "neutral": "no direction"}
    facts = [
        f"`{written(indicator)}`",
        UNITS.get(indicator.unit, indicator.unit),
        direction[indicator.higher_is],
    ]
    if indicator.plausible:
        facts.append(f"plausible {indicator.plausible[0]:,g} to {indicator.plausible[1]:,g}")
    lines = [f"#### {indicator.name}", _three(indicator.label), "; ".join(facts) + "."]
    if indicator.criterion:
        lines.append(f"Criterion: `{indicator.criterion}`.")
    if indicator.proxy_for and indicator.differs:
        lines.append(f"Proxy for `{indicator.proxy_for}`: {indicator.differs.en}")
    if indicator.note:
        lines.append(indicator.note.en)
    return "\n\n".join(lines)


def _three(words: Words) -> str:
    return " · ".join((words.en, words.fi, words.sv))


def _labels(item: Item) -> str:
    return ", ".join(
        f"`{label}`"
        if isinstance(label, str)
        else f"`{label.text}` (releases {label.first or '…'}–{label.last or '…'})"
        for label in item.labels
    )


def _items(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f'"{key}" = {_toml(each)}' for key, each in value.items()) + " }"
    return f'"{value}"' if isinstance(value, str) else str(value)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
