"""Every public result shows itself: accessible, escaped, short, and with the numbers that it holds."""

from __future__ import annotations

import dataclasses
import datetime
import inspect
import re
import types
import typing
from collections.abc import Callable, Mapping
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import mekeval as mk
from mekeval.display import MOST_ROWS, Shown, frame_table, shortened, table_text, written
from mekeval.lab import Asked, Ready, answer, make_ready
from mekeval.tables import Column, Table

HOSTILE = "<script>alert('x')</script>\"&\x1b[2J"
VOID = {"br", "img", "hr", "meta", "link", "input"}
#: Documents and pictures, which are made of sections of their own, and what a caller writes down and hands in.
OTHERS = {"About", "ChangesReport", "Picture", "Report", "QualityReport", "QuarterReport", "YearReport"} | {
    "Condition",
    "RegisterMeasure",
    "Thresholds",
    "Catalogue",
    "StudySpec",
}
N_ROWS = 2 * MOST_ROWS


class Outline(HTMLParser):
    """The tables of a piece of HTML; a tag that is not closed, or closed by another, is a fault."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.tables: list[list[list[str]]] = []
        self.captions: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
        elif tag == "caption":
            self.captions.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.open and self.open[-1] in ("td", "th"):
            self.tables[-1][-1][-1] += data
        elif self.open and self.open[-1] == "caption":
            self.captions[-1] += data


def checked(shown: object) -> Outline:
    """What any result must be as HTML, as text and in short."""
    html = shown._repr_html_()  # type: ignore[attr-defined]
    outline = Outline(html)
    assert outline.tables
    assert len(outline.captions) == len(outline.tables)
    assert all(outline.captions)
    assert not any("style" in attributes for _, attributes in outline.tags)
    assert not {"script", "b", "i"} & {tag for tag, _ in outline.tags}
    assert all(attributes.get("scope") in ("col", "row") for tag, attributes in outline.tags if tag == "th")
    for head, *rows in outline.tables:
        assert len(rows) <= MOST_ROWS
        assert all(len(row) == len(head) for row in rows)
        assert all(head)
    text, brief = str(shown), repr(shown)
    assert all(line.isprintable() for line in text.splitlines())
    assert len(brief) < 4_000
    assert "\n" not in brief
    assert brief.isprintable()
    assert brief.startswith(type(shown).__name__)
    for caption in outline.captions:
        assert " ".join(caption.replace("\x1b", " ").split()) in text
    return outline


def results() -> dict[str, type]:
    """Every public class of results, and what public functions return."""
    found: dict[str, type] = {}

    def note(kind: object) -> None:
        for part in typing.get_args(kind):
            note(part)
        if (
            inspect.isclass(kind)
            and kind.__module__.startswith("mekeval.")
            and dataclasses.is_dataclass(kind)
        ):
            found[kind.__name__] = kind

    for name in mk.__all__:
        thing = getattr(mk, name)
        note(thing)
        if inspect.isfunction(thing):
            returned = types.SimpleNamespace(__annotations__={"return": thing.__annotations__["return"]})
            note(typing.get_type_hints(returned, thing.__globals__)["return"])
    return {name: kind for name, kind in sorted(found.items()) if name not in OTHERS}


def made(kind: object) -> object:
    """A value of a type: texts are hostile, tables long, numbers known."""
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return made(next(part for part in parts if part is not type(None)))
    if origin is typing.Literal:
        return parts[0]
    if origin is tuple:
        return (made(parts[0]),) * 20 if parts[-1] is Ellipsis else tuple(map(made, parts))
    if origin in (dict, Mapping):
        return {f"{HOSTILE}{number}": made(parts[1]) for number in range(20)}
    if kind is pd.DataFrame:
        return pd.DataFrame(
            {
                HOSTILE: [HOSTILE] * N_ROWS,
                "number": pd.array([0.123456, None] * MOST_ROWS, dtype="Float64"),
                "yes": [True] * N_ROWS,
            }
        )
    plain = {
        str: HOSTILE,
        int: 12_345,
        float: -0.0123456,
        bool: True,
        Path: Path("a") / HOSTILE.replace("/", ""),
        datetime.date: datetime.date(2026, 1, 31),
        object: HOSTILE,
    }
    if kind in plain:
        return plain[kind]  # type: ignore[index]
    if dataclasses.is_dataclass(kind):
        return filled(kind)  # type: ignore[arg-type]
    return np.zeros((3, 40))


def filled(kind: type) -> object:
    hints = typing.get_type_hints(kind, vars(inspect.getmodule(kind)))
    return kind(**{one.name: made(hints[one.name]) for one in dataclasses.fields(kind)})


@pytest.fixture(scope="module")
def evaluation(evaluated: Callable[..., mk.Evaluation]) -> mk.Evaluation:
    return evaluated(2025)


@pytest.fixture(scope="module")
def real(evaluation: mk.Evaluation) -> dict[str, object]:
    """Results that say themselves what they show, from the example study."""
    effects = evaluation.effects["unemployment_rate"]
    finding = evaluation.findings["unemployment_rate", "all"]
    ready = make_ready(evaluation.study)
    asked = Asked(
        outcome="median_income", district="09294", comparison="never_treated", first=2012, last=2025
    )
    assert finding.inference is not None
    found = [
        evaluation,
        evaluation.study,
        evaluation.indicators,
        evaluation.panel,
        evaluation.design,
        effects,
        mk.aggregate(effects, by="path"),
        finding,
        finding.inference,
        finding.checks[1],
        mk.targeting(evaluation.study),
        answer(ready, asked),
        mk.changes_between(evaluation, evaluation),
    ]
    return {type(one).__name__: one for one in found}


def says_itself(kind: type) -> bool:
    return kind._shown is not Shown._shown  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", [*results().values(), Ready], ids=lambda kind: kind.__name__)
def test_every_public_result_shows_itself(kind: type, real: dict[str, object]) -> None:
    assert issubclass(kind, Shown)
    if says_itself(kind):
        checked(real[kind.__name__])
        return
    shown = filled(kind)
    outline = checked(shown)
    names = {row[0]: row[1] for row in outline.tables[0][1:]}
    for one in dataclasses.fields(kind):
        value = getattr(shown, one.name)
        if one.repr and not isinstance(value, pd.DataFrame):
            assert one.name in names, one.name
        if isinstance(value, str) and value == HOSTILE:
            assert names[one.name] == HOSTILE
        if isinstance(value, float):
            assert names[one.name] == "\N{MINUS SIGN}0.01235"
        if type(value) is int:
            assert names[one.name] == "12,345"
        if isinstance(value, pd.DataFrame) and one.repr:
            assert f"And {N_ROWS - MOST_ROWS} more." in outline.text


def test_results_that_say_themselves_are_all_shown_here(real: dict[str, object]) -> None:
    own = {name for name, kind in results().items() if says_itself(kind)}
    assert own <= set(real)


def number(text: str) -> float:
    return float(text.replace("\N{MINUS SIGN}", "-").replace(",", ""))


def close(text: str, value: float) -> bool:
    return number(text) == pytest.approx(value, rel=5e-4)


def test_an_inference_shows_its_own_numbers(real: dict[str, object]) -> None:
    found = typing.cast("mk.Inference", real["Inference"])
    rows = dict(row for row in checked(found).tables[0][1:])
    for name in ("estimate", "low", "high", "p_value", "alpha", "smallest_p", "minimum_detectable_effect"):
        assert close(rows[name], getattr(found, name)), name
    assert rows["method"] == found.method
    plain = dataclasses.replace(found, warnings=("one_treated",), smallest_p=0.2)
    text = checked(plain).text
    assert "One treated unit: this error holds nothing" in text
    assert "not identifiable" in text


def test_a_finding_shows_verdict_reason_and_checks(real: dict[str, object]) -> None:
    found = typing.cast("mk.Finding", real["Finding"])
    first, second = checked(found).tables
    rows = dict(row for row in first[1:])
    assert [rows[name] for name in ("verdict", "certainty", "because", "reason")] == [
        found.verdict,
        found.certainty,
        found.because,
        found.reason,
    ]
    assert found.inference is not None
    assert close(rows["inference.estimate"], found.inference.estimate)
    answers = {True: "yes", False: "no", None: "none"}
    assert [row[:3] for row in second[1:]] == [
        [check.name, answers[check.passed], check.reason] for check in found.checks
    ]
    nothing = dataclasses.replace(found, inference=None, checks=(), outcome=HOSTILE, reason=HOSTILE)
    outline = checked(nothing)
    assert len(outline.tables) == 1
    assert outline.text.count(HOSTILE) == 2


def test_an_evaluation_shows_a_row_for_each_finding(real: dict[str, object]) -> None:
    found = typing.cast("mk.Evaluation", real["Evaluation"])
    rows = checked(found).tables[0][1:]
    assert len(rows) == len(found.findings)
    for row, finding in zip(rows, found.findings.values(), strict=True):
        assert (row[0], row[2]) == (finding.outcome, finding.verdict)
        assert finding.inference is not None
        assert close(row[4], finding.inference.estimate)
        assert close(row[7], finding.inference.p_value)


def test_a_panel_shows_its_coverage(real: dict[str, object]) -> None:
    panel = typing.cast("mk.Panel", real["Panel"])
    head, *rows = checked(panel).tables[0]
    assert head[1:] == [str(period) for period in panel.periods]
    assert [row[0] for row in rows] == list(panel.values)
    for name, *counts in rows:
        assert [int(count) for count in counts] == (~np.isnan(panel.values[name])).sum(axis=0).tolist()
    hostile = dataclasses.replace(
        panel,
        **{name: {HOSTILE: getattr(panel, name)[rows[0][0]]} for name in ("values", "bases", "reasons")},
    )
    assert HOSTILE in checked(hostile).text


def test_a_design_shows_who_is_treated_when_and_against_whom() -> None:
    units = [f"u{number:03}" for number in range(200)]
    waves = [(2019, 2022, ["u000", "u001"]), (2023, 2025, ["u000", "u002"]), (2027, 2028, ["u003"])]
    design = mk.make_design(units, waves, last_period=2025, selected_by={"u000": "rule"})
    rows = {row[0]: row[1:] for row in checked(design).tables[0][1:]}
    assert rows["2019-2025"] == ["2019", "1", "u000 (rule)"]
    assert rows["2019-2022"] == ["2019", "1", "u001 (unknown)"]
    assert rows["2023-2025"] == ["2023", "1", "u002 (unknown)"]
    assert rows["never treated"][:2] == ["never", "196"]
    assert rows["never treated"][2].endswith("and 188 more")
    (aside,) = [row for name, row in rows.items() if name.startswith("set aside")]
    assert aside[1:] == ["1", "u003"]


def test_indicators_show_no_value_of_an_area(real: dict[str, object]) -> None:
    found = typing.cast("mk.Indicators", real["Indicators"])
    head, *rows = checked(found).tables[0]
    assert head == ["indicator", "areas", "first", "last", "values", "without a value"]
    for name, *counts in rows:
        own = found.table.loc[found.table["indicator"] == name]
        there = int(own["value"].notna().sum())
        expected = [own["area"].nunique(), own["year"].min(), own["year"].max(), there, len(own) - there]
        assert [number(count) for count in counts] == expected


def test_what_a_class_keeps_from_messages_is_not_shown(tmp_path: Path) -> None:
    monitoring = mk.read_monitoring(mk.example_monitoring())
    secret = next(
        str(text)
        for text in monitoring.feedback.select_dtypes(include=["object", "string", "category"]).stack()
        if len(str(text)) > 20
    )
    outline = checked(monitoring)
    for said in (outline.text, str(monitoring), repr(monitoring)):
        assert secret not in said
    rows = dict(row for row in outline.tables[0][1:])
    assert rows["feedback"].startswith(f"{len(monitoring.feedback):,} rows")


def test_a_hostile_name_of_an_area_stays_text(real: dict[str, object]) -> None:
    study = typing.cast("mk.Study", real["Study"])
    table = study.areas.table.assign(name_fi=HOSTILE, name_sv=HOSTILE, name_en=HOSTILE)
    hostile = dataclasses.replace(study, areas=dataclasses.replace(study.areas, table=table))
    assert HOSTILE in checked(hostile).text
    evaluation = dataclasses.replace(typing.cast("mk.Evaluation", real["Evaluation"]), study=hostile)
    assert HOSTILE in checked(evaluation).text


def test_a_check_without_an_answer_says_so() -> None:
    check = mk.Check(
        name=HOSTILE, passed=None, reason="error", facts={HOSTILE: HOSTILE}, table=pd.DataFrame()
    )
    outline = checked(check)
    assert len(outline.tables) == 1
    assert outline.captions == [f"{HOSTILE}: not answered"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.float64(0.5), "0.5"),
        (np.int64(-3), "\N{MINUS SIGN}3"),
        (np.bool_(False), "no"),
        (-0.0, "0"),
        (9999.4, "9999"),
        (9999.6, "10,000"),
        (float("-inf"), "\N{MINUS SIGN}inf"),
        (pd.NA, "none"),
        (pd.NaT, "none"),
        ("", "none"),
        (("a", None, 1.5), "a, none, 1.5"),
        ((("a", 1), ("b", 2)), "(a, 1), (b, 2)"),
        (np.array([1.0, np.nan]), "1, none"),
        (np.zeros((2, 3)), "2 x 3 values"),
        (pd.DataFrame({"a": [1]}), "1 rows, 1 columns"),
        (datetime.date(2026, 1, 31), "2026-01-31"),
    ],
)
def test_values_are_written_plainly(value: object, text: str) -> None:
    assert written(value) == text


def test_a_long_text_is_cut() -> None:
    assert len(written("x" * 1_000)) == 300
    assert written("x" * 1_000).endswith("…")


def test_a_frame_keeps_its_named_index_and_the_order_of_its_columns() -> None:
    frame = pd.DataFrame({"b": [1.0], "a": ["x"]}, index=pd.Index(["091"], name="code"))
    table = frame_table(frame, caption="C", note="N.")
    assert [column.label for column in table.columns] == ["code", "b", "a"]
    assert [column.numeric for column in table.columns] == [False, True, False]
    assert table.rows == (("091", "1", "x"),)
    assert table.note == "N."


def test_a_cut_table_loses_a_highlight_that_is_cut_away() -> None:
    rows = tuple((str(number),) for number in range(3))
    table = Table(caption="", columns=(Column(label="A"),), rows=rows, highlight=2)
    assert shortened(table, most=2).highlight is None
    assert shortened(table, most=3) is table


def test_text_stands_in_columns() -> None:
    columns = (Column(label="Area"), Column(label="Rate", numeric=True))
    table = Table(caption="Rates\x1b[2J", columns=columns, rows=(("A\nB", "1"), ("C", "10.5")), note="Note.")
    assert table_text(table).splitlines() == [
        "Rates [2J",
        "Area  Rate",
        "----  ----",
        "A B      1",
        "C     10.5",
        "Note.",
    ]


def test_the_same_result_shows_the_same_and_changes_nothing(real: dict[str, object]) -> None:
    panel = typing.cast("mk.Panel", real["Panel"])
    before = {name: one.copy() for name, one in panel.values.items()}
    assert panel._repr_html_() == panel._repr_html_()
    for name, one in before.items():
        np.testing.assert_array_equal(panel.values[name], one)
    assert not re.search(r"0x[0-9a-f]{6}", "".join(map(repr, real.values())))
