"""Tables: accessible, escaped, rectangular, and harmless in a spreadsheet."""

from __future__ import annotations

import csv
import io
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from mekeval import Effects, aggregate, build_panel, group_time_att, make_design, twfe
from mekeval.display import MOST_ROWS
from mekeval.errors import MekevalError
from mekeval.estimate.shown import digits_for
from mekeval.tables import Column, Table, latex_text, table_csv, table_latex

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


def balanced(latex: str) -> bool:
    """Whether every environment and every group is closed by its own end, in order."""
    open_ones = []
    for begin, end in re.findall(r"\\begin\{(\w+)\}|\\end\{(\w+)\}", latex):
        if begin:
            open_ones.append(begin)
        elif not open_ones or open_ones.pop() != end:
            return False
    depth = 0
    for brace in re.findall(r"(?<!\\)[{}]", latex):
        depth += 1 if brace == "{" else -1
        if depth < 0:
            return False
    return not open_ones and depth == 0


def cells(latex: str) -> list[list[str]]:
    """Rows between the rules of a table, headings first."""
    body = latex[latex.index("\\toprule") : latex.index("\\bottomrule")]
    lines = [line for line in body.splitlines() if line.endswith(r"\\")]
    return [re.split(r"(?<!\\)&", line.removesuffix(r"\\")) for line in lines]


LATEX_HOSTILE = r"\input{/etc/passwd} \\ 50 % & $x$ #1 ~ ^ _a_ } \end{table} [b] *"


@pytest.mark.parametrize("where", ["caption", "label", "name", "cell", "note"])
def test_latex_escapes_every_text(where: str) -> None:
    texts = {
        name: LATEX_HOSTILE if name == where else "x" for name in ("caption", "label", "name", "cell", "note")
    }
    latex = table_latex(
        Table(
            caption=texts["caption"],
            columns=(Column(label=texts["label"]), Column(label="x")),
            rows=((texts["name"], texts["cell"]),),
            note=texts["note"],
        )
    )
    assert balanced(latex)
    assert r"\input" not in latex
    assert latex.count(r"\end{table}") == 1
    assert latex.endswith(r"\end{table}")
    assert [len(row) for row in cells(latex)] == [2, 2]
    assert r"\textbackslash{}input\{/etc/passwd\}" in latex
    assert r"50 \% \& \$x\$ \#1 \textasciitilde{} \textasciicircum{} \_a\_ \}" in latex


@pytest.mark.parametrize("start", ["[2pt]", "*", "%", "&", "\\", "\n\n"])
def test_a_row_may_start_with_anything(start: str) -> None:
    latex = table_latex(a_table((start + "A", "1.0", "x"), ("B", "2.0", "y")))
    first, second = cells(latex)[1:]
    assert not re.match(r"\s*[\[*%&\n]", first[0])
    assert first[0].strip().endswith("A")
    assert second[0].strip() == "B"


def test_latex_has_rules_a_label_and_notes() -> None:
    table = a_table(("A", "\N{MINUS SIGN}1.0", "x"), ("B", "2.0", "y"), note="Why", highlight=1)
    latex = table_latex(table, label="tab:one", rules_before=[1])
    assert latex.splitlines()[:5] == [
        r"\begin{table}[htbp]",
        r"\centering",
        r"\caption{Rates}",
        r"\label{tab:one}",
        r"\begin{tabular}{lrl}",
    ]
    assert [latex.count(rule) for rule in (r"\toprule", r"\midrule", r"\bottomrule")] == [1, 2, 1]
    assert r"A & $-$1.0 & x \\" in latex
    assert r"\textbf{B} & \textbf{2.0} & \textbf{y} \\" in latex
    assert r"\textit{Notes:} Why" in latex
    assert "Notes" not in table_latex(a_table())
    with pytest.raises(MekevalError, match="label"):
        table_latex(table, label="tab}one")


def test_latex_text_has_no_line_breaks() -> None:
    assert latex_text("a\n\n\x00b") == "a   b"
    assert latex_text("Länsimäki\N{NO-BREAK SPACE}5") == "Länsimäki~5"


def an_effects(units: str = "abcdef", treated: str = "ab") -> Effects:
    """Two periods: a and b change by 4 and 2, c to f by 0, 1, 0 and 1."""
    change = dict(zip(units, [4.0, 2.0, 0.0, 1.0, 0.0, 1.0], strict=True))
    frame = pd.DataFrame(
        [(unit, year, change[unit] * (year == 2)) for unit in units for year in (1, 2)],
        columns=["unit", "year", "y_1"],
    )
    panel = build_panel(frame, unit="unit", period="year", outcome=["y_1"])
    return group_time_att(panel, make_design(units, [(2, 2, list(treated))]), outcome="y_1")


def test_effects_are_printed_as_papers_do() -> None:
    # ATT 3 - 0.5 = 2.5. Variance sum(psi^2) / n^2: treated (1/2)^2 * (1 + 1) = 0.5, comparison (1/4)^2 * 4 * 0.25.
    error = np.sqrt(0.5 + 0.0625)
    latex = an_effects().to_latex(label="tab:effects")
    assert balanced(latex)
    rows = [[cell.strip() for cell in row] for row in cells(latex)]
    assert rows[0] == ["Path", "Period", "Event time", "ATT", "Std. error", "Treated", "Comparison"]
    assert rows[1] == ["2-2", "2", "0", "2.50", f"({error:.2f})", "2", "4"]
    assert r"y\_1: effect on the treated" in latex
    for said in (
        "6 units (2 treated), 12 unit-periods.",
        "Estimator: group time.",
        "Base: pre mean.",
        "too small",
    ):
        assert said in latex
    assert "& 2.5000 & (0.7500) &" in an_effects().to_latex(decimals=4)
    assert r"\caption{50 \%}" in an_effects().to_latex(caption="50 %")


def test_a_missing_error_says_why() -> None:
    effects = an_effects(treated="a")
    latex, html = effects.to_latex(), effects._repr_html_()
    assert [row[4].strip() for row in cells(latex)[1:]] == ["{[}a]"]
    assert "{[}a] one treated unit: no standard error exists." in latex
    assert "[a] one treated unit: no standard error exists." in html
    overall = aggregate(effects, by="event_time").to_latex()
    assert "{[}a] one treated unit: no standard error exists." in overall


def test_aggregations_end_with_the_overall_row() -> None:
    found = aggregate(an_effects(), by="event_time")
    latex = found.to_latex()
    assert balanced(latex)
    rows = [[cell.strip() for cell in row] for row in cells(latex)]
    assert rows[0] == ["Event time", "ATT", "Std. error", "Treated"]
    assert [row[0] for row in rows[1:]] == ["0", "overall"]
    assert rows[-1][1:] == ["2.50", "(0.75)", ""]
    assert latex.count(r"\midrule") == 2
    assert found.tidy().columns[0] == "event_time"
    assert "event_time" not in found.table
    simple = aggregate(an_effects(), by="simple").to_latex()
    assert [row[0].strip() for row in cells(simple)[1:]] == ["simple"]


def test_effects_show_themselves_escaped_and_rounded() -> None:
    effects = an_effects()
    hostile = type(effects)(
        **{**vars(effects), "outcome": HOSTILE, "cells": effects.cells.assign(path=HOSTILE)}
    )
    for shown in (hostile, aggregate(hostile, by="path")):
        outline = Outline(shown._repr_html_())
        assert not outline.all("script")
        assert HOSTILE in outline.text
        assert len(outline.all("caption")) == 1
        assert "2.50" in outline.text
        assert "6 units (2 treated)" in outline.text
        assert balanced(shown.to_latex())


def test_what_an_estimator_does_not_tell_has_no_column() -> None:
    frame = pd.DataFrame({"unit": list("aabbcc"), "year": [1, 2] * 3, "y": [0.0, 3, 0, 1, 0, 0]})
    panel = build_panel(frame, unit="unit", period="year", outcome=["y"])
    latex = twfe(panel, make_design("abc", [(2, 2, ["a"])]), outcome="y").to_latex()
    assert [cell.strip() for cell in cells(latex)[0]] == [
        "Path",
        "ATT",
        "Std. error",
        "Treated",
        "Comparison",
    ]


def test_a_long_table_is_cut_in_a_notebook_and_nowhere_else() -> None:
    effects = an_effects()
    long = type(effects)(
        **{
            **vars(effects),
            "cells": pd.concat([effects.cells] * 300, ignore_index=True),
            "influence": np.tile(effects.influence, 300),
        }
    )
    outline = Outline(long._repr_html_())
    assert len(outline.all("tr")) == 1 + MOST_ROWS
    assert f"And {300 - MOST_ROWS} more." in outline.text
    assert len(cells(long.to_latex())) == 301


@pytest.mark.parametrize(
    ("estimates", "errors", "digits"),
    [
        ([1.0], [0.5], 2),  # 0.50
        ([1.0], [12.0], 0),  # 12
        ([0.01], [0.00123], 4),  # 0.0012
        ([250.0], [np.nan], 0),
        ([0.5], [np.nan], 3),  # 0.500
        ([0.0], [0.0], 2),
        ([], [], 2),
    ],
)
def test_a_typical_error_has_two_digits(estimates: list[float], errors: list[float], digits: int) -> None:
    assert digits_for(np.array(estimates, dtype=float), np.array(errors, dtype=float)) == digits
