"""What the last look at a folder reads in each kind of file: every piece with its surroundings, worked by hand."""

from __future__ import annotations

import base64
import csv
import json
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import duckdb
import pytest

from mekeval.disclosure import said
from mekeval.disclosure.said import (
    Said,
    said_in,
    said_in_csv,
    said_in_feed,
    said_in_json,
    said_in_notebook,
    said_in_page,
    said_in_text,
    words_of,
)
from mekeval.errors import RunError

Piece = tuple[str, str, str, str, str, bool]


def _pieces(found: Iterable[Said]) -> list[Piece]:
    return [(one.text, one.near, one.around, one.far, one.place, one.record) for one in found]


def _data(kind: str, text: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(text.encode()).decode()}"


def test_a_text_is_told_sentence_by_sentence_with_its_block() -> None:
    text = "In A 12. None here! And 13?\nB: 14\n\nAnother block; of 15"
    first = " In A 12. None here! And 13?\nB: 14"
    assert _pieces(said_in_text(text, "file")) == [
        ("In A 12.", "In A 12.", first, "file", "text", False),
        ("And 13?", "And 13?", first, "file", "text", False),
        ("B: 14", "B: 14", first, "file", "text", False),
        ("of 15", "of 15", " Another block; of 15", "file", "text", False),
    ]
    (one,) = _pieces(said_in_text("n 1", "file", "head", "here"))
    assert one == ("n 1", "n 1", "head n 1", "file", "here", False)


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_a_table_is_told_cell_by_cell_with_its_row_and_the_name_of_its_column(mark: str) -> None:
    text = "\ufeffarea|n|m\nA|12|\nB|x|3|4\n".replace("|", mark)
    assert _pieces(said_in_csv(text, "t.csv")) == [
        ("12", "n | A | 12 | ", "", "t.csv", "row 1", True),
        ("3", "m | B | x | 3 | 4", "", "t.csv", "row 2", True),
        ("4", " | B | x | 3 | 4", "", "t.csv", "row 2", True),
    ]


def test_a_long_cell_stands_by_itself_and_a_very_long_one_is_read() -> None:
    edge, long = "1" + "x" * 58, "1" + "x" * 59
    found = _pieces(said_in_csv(f"a,b\n{edge},{long}\n", "t.csv", "about"))
    assert found == [
        (edge, f"a | {edge} | {long}", "about", "t.csv", "row 1", True),
        (long, f"b | {long}", "about", "t.csv", "row 1", True),
    ]
    limit = csv.field_size_limit()
    wide = "1" * (limit + 1)
    assert [one.text for one in said_in_csv(f"a\n{wide}\n", "t.csv")] == [wide]
    assert csv.field_size_limit() == limit


def test_a_record_is_told_field_by_field_with_the_texts_beside_it() -> None:
    content = {"area": "C", "n": 12, "sure": True, "note": "of 7", "more": {"m": 0.5}}
    beside = "area: C | n: 12 | sure: True | note: of 7"
    assert _pieces(said_in_json(json.dumps(content), "f.json")) == [
        ("12", beside, "", "f.json", "n", True),
        ("of 7", "of 7", f" {beside} of 7", "f.json", "note", False),
        ("0.5", "m: 0.5", f" {beside}", "f.json", "more.m", True),
    ]


def test_lists_of_one_length_side_by_side_are_rows() -> None:
    content = {"k": "r", "years": [2019, 2020], "n": [1, 12], "other": [5, 6, 7]}
    found = _pieces(said_in_json(json.dumps({"s": content}), "f.json"))
    rows = [one for one in found if one[5]]
    assert rows == [
        ("2019", "years | 2019 | 1", "  k: r", "f.json", "s element 1", True),
        ("1", "n | 2019 | 1", "  k: r", "f.json", "s element 1", True),
        ("2020", "years | 2020 | 12", "  k: r", "f.json", "s element 2", True),
        ("12", "n | 2020 | 12", "  k: r", "f.json", "s element 2", True),
    ]
    lists = [one for one in found if not one[5]]
    assert [(one[0], one[2], one[4]) for one in lists] == [
        ("2019 | 2020", "  k: r 2019 | 2020", "s.years"),
        ("1 | 12", "  k: r 1 | 12", "s.n"),
        ("5 | 6 | 7", "  k: r 5 | 6 | 7", "s.other"),
    ]


def test_a_frame_as_columns_and_data_is_a_table() -> None:
    content = {"columns": ["area", "n"], "data": [["C", 12], ["D", None]]}
    found = [one for one in _pieces(said_in_json(json.dumps(content), "f.json")) if one[5]]
    assert found == [("12", "n | C | 12", "", "f.json", "row 1", True)]
    (row, *_) = [
        one
        for one in _pieces(said_in_json(json.dumps({"t": content}), "f.json"))
        if one[5] and one[0] == "12"
    ]
    assert row[2:] == (" ", "f.json", "t row 1", True)
    # Neither of these is a frame; what they hold is read all the same.
    for odd in ({"columns": ["n"], "data": "of 12"}, {"columns": 1, "data": [[12]]}):
        assert "12" in "".join(one.text for one in said_in_json(json.dumps(odd), "f.json"))


def test_objects_in_a_list_are_told_with_their_position() -> None:
    found = _pieces(said_in_json('[{"n": 1}, ["of 2"], 3]', "f.json"))
    assert [(one[0], one[4]) for one in found] == [("1", "[0].n"), ("of 2", "[1]")]
    assert _pieces(said_in_json('"of 5"', "f.json")) == [("of 5", "of 5", " of 5", "f.json", "", False)]


def test_a_notebook_is_told_by_cells_and_outputs() -> None:
    outputs = [
        {"text": ["line 1\n", "line 2"]},
        {"traceback": ["error 3"]},
        {"data": {"text/plain": ["of ", "4"], "application/json": {"n": 5}, "text/html": "<p>of 6</p>"}},
    ]
    book = {"cells": [{"source": "no number"}, {"source": ["of ", "7"], "outputs": outputs}, {}]}
    found = _pieces(said_in_notebook(json.dumps(book), "b.ipynb"))
    assert [(one[0], set(one[2].split()), one[3].strip(), one[4]) for one in found] == [
        ("of 7", {"of", "7"}, "b.ipynb", "cell 2"),
        ("line 1", {"line", "1", "2"}, "b.ipynb", "cell 2, output"),
        ("line 2", {"line", "1", "2"}, "b.ipynb", "cell 2, output"),
        ("error 3", {"error", "3"}, "b.ipynb", "cell 2, output"),
        ("of 4", {"of", "4"}, "b.ipynb", "text"),
        ("5", set(), "b.ipynb", "n"),
        ("of 6", {"of", "6"}, "b.ipynb", "text"),
    ]
    assert found[5] == ("5", "n: 5", "", "b.ipynb", "n", True)


def test_entries_of_a_feed_are_told_apart_and_their_markup_is_read() -> None:
    text = (
        "<rss><item><title>A 2020</title><description><![CDATA[<b>r:</b>\n12]]></description></item>"
        "<entry><p>B &amp;amp; 13</p></entry>"
        "<item><![CDATA[<table><tr><td>14</td></tr></table>]]></item></rss>"
    )
    found = _pieces(said_in_feed(text, "f.xml"))
    assert [(one[0], one[4]) for one in found] == [
        ("item> A 2020 r: 12", "entry"),
        ("entry> B & 13", "entry"),
        ("item> 14", "entry"),
        ("14", "table '', row 1"),
    ]
    assert found[0][1:4] == ("item> A 2020 r: 12", "item> A 2020 r: 12 item> A 2020 r: 12", "f.xml")


def test_a_picture_is_told_text_by_text_with_its_neighbours(tmp_path: Path) -> None:
    picture = (
        '<svg aria-label="of 9"><!-- drawn\n8 --><title>C</title><text x="1">2020</text><text>12</text>'
        "<text>D</text><text>&#49;3</text><metadata>a\nof 5</metadata></svg>"
    )
    (tmp_path / "p.SVG").write_text(picture, "utf-8")
    found = _pieces(said_in(tmp_path / "p.SVG", "p.svg"))
    assert [one[:2] for one in found] == [
        ("of 9", "of 9 | drawn\n8"),
        ("drawn\n8", "of 9 | drawn\n8 | C"),
        ("2020", "C | 2020 | 12"),
        ("12", "2020 | 12 | D"),
        ("13", "D | 13"),
        ("of 5", "of 5"),
    ]
    assert {one[2:] for one in found[:-1]} == {("", "p.svg", "picture", False)}


def test_a_page_is_told_with_its_headings_captions_and_titles() -> None:
    text = (
        "<html><head><title>Report</title><style>p { top: 3px }</style></head><body><h1>City 2020</h1>"
        "<!-- kept: 4 --><p>In A 12.</p><h2>Rates</h2>"
        "<table><caption>By area</caption><tr><th>Area</th><th>n</th></tr><tr><th>A</th><td>5 <b>6</b></td></tr>"
        "<tr><th>B</th><td title='7'>-</td></tr></table>after 8<h3>End</h3>last 9</body></html>"
    )
    found = list(said_in_page(text, "page"))
    assert {one.far for one in found} == {"Report  City 2020 page"}
    assert [
        (one.text.strip(), one.near.strip(), set(one.around.split()), one.place, one.record) for one in found
    ] == [
        ("City 2020", "City 2020", {"City", "2020"}, "text", False),
        ("kept: 4", "kept: 4", {"City", "2020", "kept:", "4"}, "comment", False),
        ("In A 12.", "In A 12.", {"City", "2020", "In", "A", "12."}, "text", False),
        ("7", "7", {"Rates", "7"}, "attribute of <td>", False),
        ("5 6", "n | A | 5 6", {"By", "area", "Rates"}, "table 'By area', row 1", True),
        ("after 8", "after 8", {"Rates", "after", "8"}, "text", False),
        ("last 9", "last 9", {"End", "last", "9"}, "text", False),
    ]


def test_what_is_embedded_in_a_page_is_told_with_the_words_beside_it() -> None:
    picture = _data("image/svg+xml", "<svg><text>12</text></svg>")
    table = _data("text/csv;charset=utf-8", "area,n\nC,13")
    text = (
        f'<h1>City</h1><img src="{picture}" alt="of C"><a href="{table}" download="rates.csv">CSV</a>'
        '<script type="application/json">{"n": 14}</script><script>let n = 15;</script>'
        '<a href="data:,of%2016">x</a><style>@font-face { src: url(data:font/woff2;base64,AAEC) }</style>'
    )
    assert [(one.text, one.near, one.around, one.far, one.record) for one in said_in_page(text, "page")] == [
        ("12", "12", "City  of C ", "page", False),
        ("13", "n | C | 13", "City  rates.csv", "page", True),
        ("of 16", "of 16", "City   of 16", "page", False),
        ("14", "n: 14", "City", "page", True),
        ("let n = 15;", "let n = 15;", "City let n = 15;", "page", False),
    ]


@pytest.mark.parametrize(
    ("kind", "content", "told"),
    [
        ("TEXT/HTML", "<h1>In A</h1><p>of 1</p>", "of 1"),
        ("application/xhtml+xml", "<p>of 1</p>", "of 1"),
        ("application/javascript", "of 1", "of 1"),
        ("application/geo+json", '{"n": 1}', "1"),
        ("text/csv", "n\n1", "1"),
    ],
)
def test_each_kind_of_what_is_embedded_is_read(kind: str, content: str, told: str) -> None:
    (one,) = said_in_page(f'<p><a href="{_data(kind, content)}">x</a></p>', "page")
    assert (one.text, one.far.strip() in ("page", "In A page")) == (told, True)


def test_a_parquet_file_is_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.parquet"
    with duckdb.connect(":memory:") as con:
        con.execute(f"COPY (SELECT 'C' AS area, 12 AS n, NULL AS m) TO '{path}' (FORMAT parquet)")
    assert _pieces(said_in(path, "t.parquet")) == [("12", "n | C | 12 | ", "", "t.parquet", "row 1", True)]
    path.write_bytes(b"PAR1")
    with pytest.raises(RunError) as caught:
        list(said_in(path, "t.parquet"))
    assert caught.value.faults[0].found == "Parquet that DuckDB cannot read"
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(RunError) as caught:
        list(said_in(path, "t.parquet"))
    assert caught.value.faults[0].found == "Parquet, and DuckDB is not installed"


def test_more_rows_than_can_be_read_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.parquet"
    with duckdb.connect(":memory:") as con:
        con.execute(f"COPY (SELECT range AS n FROM range(3)) TO '{path}' (FORMAT parquet)")
    monkeypatch.setattr(said, "_PARQUET", 3)
    assert [one.text for one in said_in(path, "t.parquet")] == ["0", "1", "2"]
    monkeypatch.setattr(said, "_PARQUET", 2)
    with pytest.raises(RunError) as caught:
        list(said_in(path, "t.parquet"))
    assert caught.value.faults[0].found == "too many rows"


def test_a_pdf_is_read_by_a_program_in_utf_8(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program is replaced by one that says what it was asked, and then by none."""
    asked: list[list[str]] = []

    def run(command: list[str], **given: object) -> subprocess.CompletedProcess[bytes]:
        asked.append(command)
        assert given["capture_output"]
        return subprocess.CompletedProcess(command, int(len(asked) > 1), "Länsi 12".encode(), b"")

    path = tmp_path / "a.pdf"
    path.write_bytes(b"%PDF")
    monkeypatch.setattr(shutil, "which", {"pdftotext": "/bin/pdftotext"}.get)
    monkeypatch.setattr(subprocess, "run", run)
    assert [one.text for one in said_in(path, "a.pdf")] == ["Länsi 12"]
    assert asked == [["/bin/pdftotext", "-layout", "-enc", "UTF-8", str(path), "-"]]
    with pytest.raises(RunError) as caught:
        list(said_in(path, "a.pdf"))
    assert caught.value.faults[0].found == "a PDF that pdftotext cannot read"
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(RunError) as caught:
        list(said_in(path, "a.pdf"))
    assert caught.value.faults[0].found == "a PDF, and pdftotext (poppler-utils) is not installed"


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("a.xlsx", b"PK", "a kind of file that is not known"),
        ("a.txt", b"\xff", "UnicodeDecodeError"),
        ("a.ipynb", b"{}", "a notebook without cells"),
        ("a.html", b'<img src="data:image/png;base64,iVBORw0KGgo=">', "image/png inside it"),
        ("a.html", b'<img src="data:;base64,/w==">', "data inside it"),
        ("a.html", b'<img src="data:image/png;base64,AAAA">', "image/png inside it"),
    ],
)
def test_what_cannot_be_read_is_told_with_the_reason(
    tmp_path: Path, name: str, content: bytes, found: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RunError) as caught:
        list(said_in(tmp_path / name, name))
    (fault,) = caught.value.faults
    assert (fault.where, fault.found) == (name, found)
    assert fault.what.startswith("A file of the set cannot be read")
    assert "CSV" in str(fault.expected)
    assert "SVG" in str(fault.fix)


def test_a_file_that_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.txt").write_text("of 12", "utf-8")
    monkeypatch.setattr(said, "_MOST", 5)
    assert [one.text for one in said_in(tmp_path / "a.txt", "a.txt")] == ["of 12"]
    monkeypatch.setattr(said, "_MOST", 4)
    with pytest.raises(RunError) as caught:
        list(said_in(tmp_path / "a.txt", "a.txt"))
    assert caught.value.faults[0].found == "too large"


def test_the_words_of_a_file_hold_what_is_embedded_in_it(tmp_path: Path) -> None:
    """The quick look: short and long embedded pictures, entities, and the strings of a record however deep."""
    page = tmp_path / "a.html"
    for filling in ("", "x" * 2000):
        picture = _data("image/svg+xml", f"<svg><path d='{filling}'/><text>Itäala</text></svg>")
        page.write_text(f'<p>A &amp; B</p><img src="{picture}">', "utf-8")
        words = words_of(page)
        assert words is not None
        assert "A & B" in words
        assert "Itäala" in words
        assert "base64" not in words
        assert filling not in words or not filling
    record = tmp_path / "a.json"
    record.write_text('{"one": [{"deep": ["It\\u00e4", "ala"]}, 12, null]}', "utf-8")
    assert words_of(record) == "one\ndeep\nItäala\n12\nNone"
    (tmp_path / "a.ipynb").write_text('{"no": "cells"}', "utf-8")
    (tmp_path / "a.pdf").write_bytes(b"%PDF")
    (tmp_path / "a.css").write_bytes(b"\xff")
    assert [words_of(tmp_path / name) for name in ("a.ipynb", "a.pdf", "a.css")] == [None, None, None]
