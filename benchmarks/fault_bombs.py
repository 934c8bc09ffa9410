"""Files made to exhaust the reader that believes them: vast, deep, packed, or announcing what they do not hold."""

from __future__ import annotations

import bz2
import gzip
import io
import re
import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

READERS = (
    *("pxweb-csv", "paavo-wide", "paavo-geojson", "paavo-dbf", "paavo-rdata", "px", "json-stat"),
    *("sotkanet-csv", "sotkanet-json", "csv", "xlsx", "parquet", "rdata"),
)
#: Name, reader, the study's words on the source, and what writes the file.
Bomb = tuple[str, str, Mapping[str, object], Callable[[Path], object]]

_PX = b'STUB="A";HEADING="V";VALUES("A")="1";VALUES("V")="2020";DATA='
_R = b"RDX2\nX\n" + struct.pack(">iii", 2, 0, 0)
_R_NAMED = _R + struct.pack(">iiii", 2 | 1024, 1, 9 | 64 << 12, 1) + b"t"
_DBF = (
    b"\x03\x7a\x01\x01"
    + struct.pack("<IHH", 4_000_000_000, 65, 6)
    + bytes(20)
    + b"a".ljust(11, b"\0")
    + b"C\0\0\0\0\x05"
    + bytes(15)
    + b"\x0d"
)


def _bytes(make: Callable[[], bytes]) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(make())


def _sparse(path: Path) -> None:
    """Two gigabytes in one line, which take no place on the disk."""
    with path.open("wb") as file:
        file.truncate(2**31)


def _wide() -> bytes:
    names = b",".join(b"c%d" % n for n in range(1_000_000))
    return b"a," + names + b"\n" + b"1," * 1_000_000 + b"1\n"


def _bad_cells() -> bytes:
    return b"a;Asukkaat\n" + b"".join(b"%d;x%d\n" % (n, n) for n in range(1_600_000))


def _dimensions() -> bytes:
    values = ",".join(f'"{n}"' for n in range(900))
    many = "".join(f'VALUES("D{n}")={values};' for n in range(1500))
    names = ",".join(f'"D{n}"' for n in range(1500))
    return f'STUB={names};HEADING="E";VALUES("E")="1";{many}DATA=1;'.encode()


def _sizes() -> bytes:
    digits = b"9" * 4000
    return b'{"class":"dataset","id":["a","b"],"size":[' + digits + b"," + digits + b'],"dimension":{}}'


def _announced() -> bytes:
    index = b'{"a":{"category":{"index":[]}}}'
    return b'{"class":"dataset","id":["a"],"size":[30000000],"dimension":' + index + b',"value":{}}'


def _packed() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as book:
        book.writestr("xl/worksheets/sheet1.xml", bytes([32]) * 300_000_000)
    return out.getvalue()


def _shared(book: bytes) -> bytes:
    """One text of 900 kilobytes that 60,000 cells name."""
    cells = "".join(f'<row r="{n}"><c r="A{n}" t="s"><v>0</v></c></row>' for n in range(1, 60_000)).encode()
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(book)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for part in old.namelist():
            whole = b"<sheetData>" + cells + b"</sheetData>"
            new.writestr(part, re.sub(rb"<sheetData>.*</sheetData>", whole, old.read(part)))
        new.writestr("xl/sharedStrings.xml", "<sst><si><t>" + "x" * 900_000 + "</t></si></sst>")
    return out.getvalue()


def _parquet(query: str) -> Callable[[Path], object]:
    def write(path: Path) -> None:
        import duckdb

        with duckdb.connect() as link:
            link.execute(f"COPY ({query}) TO '{path}' (FORMAT parquet, COMPRESSION zstd)")

    return write


def bombs(book: bytes) -> list[Bomb]:
    """All of them; `book` is a small workbook."""
    table: dict[str, object] = {"area_column": "a", "year": 2020}
    cube: dict[str, object] = {"area_column": "A"}
    found: list[Bomb] = [("2 GB in one line", reader, table, _sparse) for reader in READERS]
    found += [
        ("a million columns", reader, table, _bytes(_wide))
        for reader in ("pxweb-csv", "paavo-wide", "csv", "sotkanet-csv")
    ]
    for reader in ("json-stat", "sotkanet-json", "paavo-geojson"):
        found += [
            ("lists 100,000 deep", reader, table, _bytes(lambda: b"[" * 100_000 + b"]" * 100_000)),
            (
                "objects 100,000 deep",
                reader,
                table,
                _bytes(lambda: b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
            ),
            ("16 million empty lists", reader, table, _bytes(lambda: b"[" + b"[]," * 16_000_000 + b"[]]")),
            ("5 million objects", reader, table, _bytes(lambda: b"[" + b'{"a":1},' * 5_000_000 + b"{}]")),
            ("lists up to the limit", reader, table, _bytes(lambda: b"[" + b"[]," * 2_300_000 + b"[]]")),
        ]
    r_zeros = b"RDX3\nX\n" + bytes(400_000_000)
    return [
        *found,
        (
            "a name of 100,000 blanks",
            "paavo-wide",
            table,
            _bytes(lambda: b"a,x" + b" " * 100_000 + b"y 201\n1,2\n"),
        ),
        ("20 million cells", "csv", table, _bytes(lambda: b"a,b\n" + b"1,2\n" * 10_000_000)),
        ("a quote that never ends", "csv", table, _bytes(lambda: b'a,b\n1,"' + b"x\n" * 20_000_000)),
        ("1.6 million bad cells", "csv", {**table, "items": ("people",)}, _bytes(_bad_cells)),
        ("dimensions of 10^4400 cells", "px", table, _bytes(_dimensions)),
        ("a million keywords", "px", table, _bytes(lambda: b'A="";' * 1_000_000 + b"DATA=1;")),
        ("4 million quoted symbols", "px", cube, _bytes(lambda: _PX + b'"..",' * 4_000_000 + b";")),
        ("11 million cells for one", "px", cube, _bytes(lambda: _PX + b"1 " * 11_000_000 + b";")),
        ("11 million letters for one", "px", cube, _bytes(lambda: _PX + b"x " * 11_000_000 + b";")),
        ("sizes of 4,000 digits", "json-stat", table, _bytes(_sizes)),
        ("30 million announced cells", "json-stat", table, _bytes(_announced)),
        ("4 billion records", "paavo-dbf", table, _bytes(lambda: _DBF)),
        ("gzip of 400 MB", "rdata", table, _bytes(lambda: gzip.compress(r_zeros, 1))),
        ("gzip of 400 MB", "paavo-rdata", table, _bytes(lambda: gzip.compress(r_zeros, 1))),
        ("bzip2 of 400 MB", "rdata", table, _bytes(lambda: bz2.compress(r_zeros))),
        ("a list 50,000 deep", "rdata", table, _bytes(lambda: _R_NAMED + struct.pack(">ii", 19, 1) * 50_000)),
        (
            "a vector of 2 billion",
            "rdata",
            table,
            _bytes(lambda: _R_NAMED + struct.pack(">ii", 14, 2**31 - 1)),
        ),
        (
            "20 million objects",
            "rdata",
            table,
            _bytes(lambda: _R_NAMED + struct.pack(">ii", 19, 10**7) + bytes(4) * 10**7),
        ),
        ("zip of 300 MB", "xlsx", table, _bytes(_packed)),
        ("one text in 60,000 cells", "xlsx", table, _bytes(lambda: _shared(book))),
        ("300 million rows", "parquet", table, _parquet("SELECT 1 AS a, 2 AS b FROM range(300000000)")),
        (
            "texts of 1 MB in 200,000 rows",
            "parquet",
            table,
            _parquet("SELECT repeat('x', 1000000) AS a, 2 AS b FROM range(200000)"),
        ),
    ]
