"""PDF files, read back with another library: tagged, titled, every picture in words, the same bytes."""

from __future__ import annotations

import base64
import io
import os
import socket
from collections.abc import Iterator

import nbformat.v4 as nb
import pytest
from pypdf import PdfReader
from pypdf.generic import ArrayObject, DictionaryObject

from mekeval import MekevalError, RunError
from mekeval.render import ReportPage, render_report
from mekeval.render.pdf import render_pdf
from mekeval.tables import Column, Table

try:
    import weasyprint  # noqa: F401
except OSError as cause:  # the package is there, the system's Pango is not
    if os.environ.get("CI") == "true":
        raise
    pytest.skip(f"PDF files need the Pango library: {cause}", allow_module_level=True)

SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="20"><rect width="40" height="20"/></svg>'
PICTURE = f"data:image/svg+xml;base64,{base64.b64encode(SVG.encode()).decode()}"
ALT = "Työttömyysaste laski 2,8 prosenttiyksikköä."
TABLE = Table(
    caption="Luvut",
    columns=(Column(label="Alue"), Column(label="%", numeric=True)),
    rows=(("Länsimäki", "13,6"), ("Mikkola", "9,1")),
)


def a_page(*pieces: str, language: str = "fi") -> str:
    page = ReportPage(
        title="Länsimäki 2025",
        language=language,
        description="Vaikuttiko ohjelma?",
        synthetic=True,
        siblings=(("fi", "x.fi.html"), ("sv", "x.sv.html")),
        index_href="../index.html",
        notebook_href="x.ipynb",
        programme="Ohjelma",
    )
    outputs = [nb.new_output("display_data", data={"text/html": piece}) for piece in pieces]
    cells = [nb.new_code_cell("x", outputs=[output]) for output in outputs]
    return render_report(nb.new_notebook(cells=cells), page=page)


WHOLE = (
    "<h1>Länsimäki</h1><h2>Tilanne</h2><p>Sanoja.</p>",
    f'<figure><img src="{PICTURE}" alt="{ALT}"><figcaption>Kuva</figcaption></figure>',
    f'<h2>Vaikutus</h2>{TABLE._repr_html_()}<p><a href="https://example.org/">Lähde</a></p>',
    "<details><summary>Luvut</summary><p>Piilossa</p></details>",
)


@pytest.fixture(scope="module")
def written() -> bytes:
    return render_pdf(a_page(*WHOLE), name="x.fi")


@pytest.fixture(scope="module")
def pdf(written: bytes) -> PdfReader:
    return PdfReader(io.BytesIO(written))


def elements(pdf: PdfReader) -> list[DictionaryObject]:
    """The structure of the document, from its root downwards."""

    def below(node: object) -> Iterator[DictionaryObject]:
        if isinstance(node, ArrayObject):
            for child in node:
                yield from below(child.get_object())
        elif isinstance(node, DictionaryObject):
            if "/S" in node:
                yield node
            if "/K" in node:
                yield from below(node["/K"])

    return list(below(pdf.trailer["/Root"]["/StructTreeRoot"]))


def test_the_file_is_tagged_and_bears_language_and_title(pdf: PdfReader) -> None:
    root = pdf.trailer["/Root"]
    assert root["/MarkInfo"]["/Marked"] == True  # noqa: E712 (an object of the file, not Python's own)
    assert root["/Lang"] == "fi"
    assert root["/ViewerPreferences"]["/DisplayDocTitle"] == True  # noqa: E712
    assert pdf.metadata is not None
    assert pdf.metadata.title == "Länsimäki 2025 – Ohjelma"
    assert pdf.metadata.subject == "Vaikuttiko ohjelma?"
    assert (
        b"<pdfuaid:part>1</pdfuaid:part>" in root["/Metadata"].get_data()
        or b'part="1"' in root["/Metadata"].get_data()
    )


def test_headings_are_bookmarks(pdf: PdfReader) -> None:
    first, below = pdf.outline
    assert first.title == "Länsimäki"
    assert [one.title for one in below] == ["Tilanne", "Vaikutus"]


def test_every_picture_is_said_in_words(pdf: PdfReader) -> None:
    said = [one["/Alt"] for one in elements(pdf) if one["/S"] == "/Figure"]
    assert said == [ALT]


def test_headings_of_tables_say_of_what(pdf: PdfReader) -> None:
    heads = [one["/A"]["/Scope"] for one in elements(pdf) if one["/S"] == "/TH"]
    assert heads == ["/Column", "/Column", "/Row", "/Row"]
    kinds = [one["/S"] for one in elements(pdf)]
    assert kinds.count("/TD") == 2 and kinds.count("/H1") == 1 and kinds.count("/H2") == 2


def test_the_words_are_there_and_what_is_folded_away_is_not(pdf: PdfReader) -> None:
    text = " ".join(page.extract_text() for page in pdf.pages)
    assert "Sanoja." in text and "13,6" in text and "Piilossa" not in text
    # Links to other files of the site lead nowhere from a file that was sent on; an address does.
    targets = [
        note["/A"]["/URI"]
        for page in pdf.pages
        for note in (one.get_object() for one in page.get("/Annots", []))
    ]
    assert set(targets) == {"https://example.org/"}


def test_fonts_are_in_the_file(pdf: PdfReader) -> None:
    for page in pdf.pages:
        for font in page["/Resources"].get("/Font", {}).values():
            described = font.get_object()["/DescendantFonts"][0].get_object()["/FontDescriptor"]
            assert {"/FontFile2", "/FontFile3"} & set(described.get_object())


def test_a_second_run_gives_the_same_bytes(written: bytes) -> None:
    assert render_pdf(a_page(*WHOLE), name="x.fi") == written


def test_a_drawing_says_what_it_is_called_or_the_words_beside_it() -> None:
    page = (
        '<html lang="en"><head><title>A</title></head><body><h1>A</h1>'
        '<p><span>−2.8 points</span> <svg aria-hidden="true" width="9" height="9"><rect width="9" height="9"/></svg>'
        "</p>"
        '<svg role="img" aria-label="Map of areas" width="9" height="9"><rect width="9" height="9"/></svg>'
        "<svg width='9' height='9'><title>Bars</title><rect width='9' height='9'/></svg></body></html>"
    )
    pdf = PdfReader(io.BytesIO(render_pdf(page)))
    said = [one["/Alt"] for one in elements(pdf) if one["/S"] == "/Figure"]
    assert said == ["−2.8 points", "Map of areas", "Bars"]


def test_every_picture_without_words_is_refused_with_its_place() -> None:
    page = (
        '<html lang="en"><head><title>A</title></head><body><h1>Situation</h1>'
        f'<img src="{PICTURE}" alt="A rise."><img src="{PICTURE}" alt=" "><h2>Effect</h2><svg></svg></body></html>'
    )
    with pytest.raises(RunError) as refused:
        render_pdf(page, name="2025/x.en")
    assert [fault.where for fault in refused.value.faults] == [
        "2025/x.en, picture 2, under 'Situation'",
        "2025/x.en, picture 3, under 'Effect'",
    ]


@pytest.mark.parametrize(
    ("page", "told"),
    [
        ("<html><head><title>A</title></head><body><h1>A</h1></body></html>", "does not say its language"),
        ('<html lang="x y"><head><title>A</title></head><body></body></html>', "does not say its language"),
        ('<html lang="fi"><head><title> </title></head><body><h1>A</h1></body></html>', "has no title"),
    ],
)
def test_a_page_without_language_or_title_is_refused(page: str, told: str) -> None:
    with pytest.raises(MekevalError, match=told):
        render_pdf(page)


@pytest.mark.parametrize(
    "source", ["https://example.org/x.png", "file:///etc/passwd", "x.png", "//example.org/x"]
)
def test_nothing_outside_the_page_is_read(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object, **_kwargs: object) -> None:
        raise AssertionError("a request to the outside")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    page = (
        f'<html lang="fi"><head><title>A</title></head><body><h1>A</h1><img src="{source}" alt="Kuva.">'
        "</body></html>"
    )
    with pytest.raises(RunError, match="cannot be in a PDF"):
        render_pdf(page, name="x")


def test_hostile_words_stay_words() -> None:
    attack = "</title><script>alert(1)</script> )] >> endobj /JS (x) \u202eabc"
    page = a_page("<h1>Alue</h1>", f"<p>{attack.replace('<', '&lt;')}</p>")
    written = render_pdf(page)
    pdf = PdfReader(io.BytesIO(written))
    assert not {"/OpenAction", "/AA"} & set(pdf.trailer["/Root"])
    assert set(pdf.trailer["/Root"].get("/Names", {})) <= {"/Dests"}  # no script, no file
    assert "endobj /JS" in " ".join(sheet.extract_text() for sheet in pdf.pages)
