"""Tables: accessible, escaped, rectangular, and harmless in a spreadsheet."""

from __future__ import annotations

import csv
import io
from html.parser import HTMLParser

import pytest

from mekeval.errors import MekevalError
from mekeval.tables import Column, Table, table_csv

HOSTILE = "<script>alert('x')</script>\"&"
COLUMNS = (Column(label="Area"), Column(label="Rate, %", numeric=True), Column(label="Verdict"))


def a_table(*rows: tuple[str, str, str], note: str = "", highlight: int | None = None) -> Table:
    return Table(
        caption="Rates",
        columns=COLUMNS,
        rows=rows or (("A", "1.0", "fragile"),),
        note=note,
        highlight=highlight,
    )


class Outline(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def test_html_is_accessible() -> None:
    outline = Outline(a_table(("A", "1.0", "x"), ("B", "2.0", "y"), note="Why", highlight=1)._repr_html_())
    (frame,) = outline.all("div")
    assert frame == {"class": "table-scroll", "tabindex": "0", "role": "region", "aria-label": "Rates"}
    assert len(outline.all("caption")) == 1
    assert [head.get("scope") for head in outline.all("th")] == ["col", "col", "col", "row", "row"]
    assert [head.get("class") for head in outline.all("th")][:3] == [None, "num", None]
    assert [cell.get("class") for cell in outline.all("td")] == ["num", None, "num", None]
    assert [row.get("class") for row in outline.all("tr")] == [None, None, "highlight"]
    assert outline.all("p") == [{"class": "note"}]


@pytest.mark.parametrize("where", ["caption", "label", "name", "cell", "note"])
def test_html_escapes_every_text(where: str) -> None:
    texts = {name: HOSTILE if name == where else "x" for name in ("caption", "label", "name", "cell", "note")}
    table = Table(
        caption=texts["caption"],
        columns=(Column(label=texts["label"]), Column(label="x")),
        rows=((texts["name"], texts["cell"]),),
        note=texts["note"],
    )
    outline = Outline(table._repr_html_())
    assert not outline.all("script")
    assert HOSTILE in outline.text
    assert all(None not in attributes.values() for _, attributes in outline.tags)


@pytest.mark.parametrize(
    "start", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠", " =", "\N{NO-BREAK SPACE}="]
)
def test_csv_disarms_formulas(start: str) -> None:
    content = table_csv(a_table((f"{start}1+1", f"{start}cmd|' /c calc'!A1", f"{start}A1")))
    _, cells = csv.reader(io.StringIO(content, newline=""))
    assert all(cell.startswith("'") for cell in cells)


def test_csv_disarms_headings() -> None:
    content = table_csv(Table(caption="", columns=(Column(label="=1+1", numeric=True),), rows=()))
    assert content == "'=1+1\r\n"


@pytest.mark.parametrize(
    "number", ["-2.5", "+1,234.5", "\N{MINUS SIGN}0,4 %-yks.", "12.5%", "1\N{NO-BREAK SPACE}234", ""]
)
def test_csv_leaves_numbers_alone(number: str) -> None:
    assert table_csv(a_table(("A", number, "x"))).splitlines()[1].replace('"', "") == f"A,{number},x"


def test_csv_disarms_a_formula_that_starts_like_a_number() -> None:
    for formula in ("-1+cmd|' /c calc'!A1", "+1+1", "-1+SUM(A:A)", "-1-A", "-2;=A1", "=1"):
        assert f"'{formula}" in table_csv(a_table(("A", formula, "x"))).replace('"', "")


def test_csv_quotes_separators() -> None:
    content = table_csv(a_table(('a,"b"', "1", "x\ny")))
    assert list(csv.reader(io.StringIO(content, newline="")))[1] == ['a,"b"', "1", "x\ny"]


def test_a_table_that_is_not_rectangular_is_refused() -> None:
    with pytest.raises(MekevalError, match="not rectangular") as caught:
        Table(caption="Rates", columns=COLUMNS, rows=(("A", "1", "x"), ("B", "2")))
    assert "row 2" in str(caught.value)
    with pytest.raises(MekevalError, match="not rectangular"):
        Table(caption="Rates", columns=(), rows=())


@pytest.mark.parametrize("highlight", [-1, 1])
def test_a_highlight_that_is_not_there_is_refused(highlight: int) -> None:
    with pytest.raises(MekevalError, match="highlight"):
        a_table(highlight=highlight)
