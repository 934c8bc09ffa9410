"""The files that are damaged: real ones, and formats without a real one made from real figures.

Each has a second parser beside ours, naive and written without the library, which says what damaged bytes say.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
import os
import re
import struct
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree
from xml.sax.saxutils import escape

_PXWEB = {"..": "suppressed", ".": "not_applicable", "...": "missing", "": "missing"}

#: (area, item, year, number or status) -> how often.
Cells = Counter[tuple[str, str, int, float | str]]


#: Which mutations fit which kind of file; their names are in `fault_mutations`.
_BYTES = ("bytes flipped", "cut", "NUL inserted", "HTML", "block repeated", "structure")
_TEXT = (
    "bytes flipped",
    "cut",
    "line deleted",
    "line twice",
    "lines swapped",
    "NUL inserted",
    "quote inserted",
    "HTML",
    "encoding",
    "decimal marks",
    "block repeated",
    "digit to letter",
    "digit to digit",
    "header words",
)
_CSV = (*_TEXT, "columns swapped", "column deleted", "column twice", "separator")


@dataclass(frozen=True, kw_only=True)
class Case:
    """A file and its naive parser, which gives None where it understands nothing."""

    name: str
    content: bytes
    given: Mapping[str, object]
    labels: Mapping[str, Sequence[str]]
    truth: Callable[[bytes], Cells | None]
    mutations: tuple[str, ...]


# --- naive parsers, written without the library


def decode(content: bytes) -> str | None:
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16", "replace")
    for encoding in ("utf-8-sig", "windows-1252" if re.search(rb"[\x80-\x9f]", content) else "latin-1"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    return None


def _grid(content: bytes, separator: str) -> list[list[str]] | None:
    """Lines and cells; None where a quote runs over a line's end."""
    text = decode(content)
    if text is None or "\x00" in text:
        return None
    cell = re.compile(rf'(?:^|{re.escape(separator)})("(?:[^"]|"")*"|[^{re.escape(separator)}]*)')
    grid = []
    for line in re.split(r"\r\n|\r|\n", text):
        if '"' not in line:
            grid.append(line.split(separator))
            continue
        if line.count('"') % 2:
            return None
        # A leading empty cell is matched once too often by the pattern's first branch.
        found = [
            part[1:-1].replace('""', '"') if part.startswith('"') else part for part in cell.findall(line)
        ]
        grid.append(found)
    return grid


def _outcome(
    text: str, symbols: Mapping[str, str], decimal: str = ".", thousands: str = ""
) -> float | str | None:
    text = text.strip(" \t\xa0")
    if text in symbols:
        return symbols[text]
    if text == "-" and ".." in symbols:
        return 0.0
    if text and not text.strip("*"):
        return "overflow"
    if thousands and re.fullmatch(rf"-?\d{{1,3}}({thousands}\d{{3}})+({re.escape(decimal)}\d+)?", text):
        text = text.replace(thousands, "")
    if not re.fullmatch(rf"[-+]?\d+({re.escape(decimal)}\d+)?([eE][-+]?\d+)?", text):
        return None
    return float(text.replace(decimal, "."))


def _theme(
    content: bytes, separator: str, area: int, items: Mapping[str, tuple[str, int]], *, hidden: bool
) -> Cells | None:
    """Wide tables: items gives (item, year) by header."""
    grid = _grid(content, separator)
    if not grid:
        return None
    header = grid[0]
    cells: Cells = Counter()
    for line in grid[1:]:
        if line == [""]:
            continue
        if len(line) != len(header):
            return None
        for at, name in enumerate(header):
            if name in items:
                value = _outcome(line[at], _PXWEB)
                if value is None:
                    return None
                item, year = items[name]
                cells[line[area], item, year, "suppressed" if hidden and value == -1 else value] += 1
    return cells


def _long(content: bytes, items: Mapping[str, str]) -> Cells | None:
    grid = _grid(content, ",")
    if not grid:
        return None
    body = [line for line in grid if len(line) > 1]
    if not body or not body[0][2].isdecimal():
        return None
    cells: Cells = Counter()
    for line in body[1:]:
        if len(line) != len(body[0]):
            return None
        if line[1].strip() in items:
            for at in range(2, len(line)):
                value = _outcome(line[at], _PXWEB)
                if value is None:
                    return None
                cells[line[0], items[line[1].strip()], int(body[0][at]), value] += 1
    return cells


def _records(
    records: Sequence[Mapping[str, object]] | None, area: str, items: Mapping[str, str], year: int
) -> Cells | None:
    if records is None:
        return None
    cells: Cells = Counter()
    for record in records:
        for name, item in items.items():
            given = record.get(name)
            text = "" if given is None or given != given else str(given)
            value = _outcome(text, {"": "missing"})
            if value is None:
                return None
            cells[str(record[area]), item, year, "suppressed" if value == -1 else value] += 1
    return cells


def _geojson(content: bytes) -> list[dict[str, object]] | None:
    try:
        return [dict(feature["properties"]) for feature in json.loads(content)["features"]]
    except (ValueError, KeyError, TypeError):
        return None


def _dbf(content: bytes) -> list[dict[str, object]] | None:
    try:
        count, start, size = struct.unpack_from("<IHH", content, 4)
        fields, at = [], 1
        for offset in range(32, start - 1, 32):
            name = content[offset : offset + 11].split(b"\0")[0].decode()
            fields.append((name, at, content[offset + 16]))
            at += content[offset + 16]
        lines = [content[start + n * size : start + (n + 1) * size] for n in range(count)]
        return [
            {name: line[a : a + w].decode("utf-8", "replace").strip(" \0") for name, a, w in fields}
            for line in lines
            if line[:1] != b"*"
        ]
    except (struct.error, IndexError, ValueError):
        return None


def _px(content: bytes, item: str, take: Mapping[str, str], items: Mapping[str, str]) -> Cells | None:
    text = decode(content)
    if text is None or "DATA=" not in text:
        return None
    head, _, body = text.partition("DATA=")
    named = {
        (kind, name): re.findall(r'"([^"]*)"', values)
        for kind, name, values in re.findall(r'(VALUES|CODES)\("([^"]*)"\)=((?:"[^"]*"[,\s]*)+);', head)
    }
    order = [
        name
        for kind in ("STUB", "HEADING")
        for found in re.findall(rf'{kind}=((?:"[^"]*"[,\s]*)+);', head)
        for name in re.findall(r'"([^"]*)"', found)
    ]
    tokens = body.replace(";", " ").split()
    try:
        values = [named["VALUES", name] for name in order]
        cells: Cells = Counter()
        for at, place in enumerate(itertools.product(*map(range, map(len, values)))):
            words = {name: values[n][place[n]] for n, name in enumerate(order)}
            if words[item] in items and all(words[name] == value for name, value in take.items()):
                value = _outcome(tokens[at].strip('"'), _PXWEB)
                if value is None:
                    return None
                code = named.get(("CODES", "Alue"), named["VALUES", "Alue"])[place[order.index("Alue")]]
                cells[code, items[words[item]], int(words["Vuosi"]), value] += 1
        return cells if len(tokens) == len(list(itertools.product(*map(range, map(len, values))))) else None
    except (KeyError, IndexError, ValueError):
        return None


def _jsonstat(content: bytes, items: Mapping[str, str]) -> Cells | None:
    try:
        found = json.loads(content)
        if found["id"] != ["Tiedot", "Alue", "Vuosi"]:
            return None
        categories = [found["dimension"][name]["category"] for name in found["id"]]
        orders = [sorted(each["index"], key=each["index"].get) for each in categories]
        cells: Cells = Counter()
        for at, (name, area, year) in enumerate(itertools.product(*orders)):
            label = categories[0]["label"].get(name, name)
            item = items.get(label, items.get(name))
            if item:
                value = found["value"][at]
                cells[
                    area,
                    item,
                    int(year),
                    _PXWEB[(found["status"].get(str(at)) or "")] if value is None else float(value),
                ] += 1
        return cells
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        return None


def _sheet(content: bytes) -> list[list[str]] | None:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as book:
            tree = ElementTree.fromstring(book.read("xl/worksheets/sheet1.xml"))
    except Exception:  # zipfile and zlib have many kinds
        return None
    space = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
    grid = []
    for line in tree.iter(f"{space}row"):
        cells = []
        for cell in line.iter(f"{space}c"):
            text = cell.find(f"{space}is/{space}t")
            number = cell.find(f"{space}v")
            node = text if text is not None else number
            cells.append("" if node is None else node.text or "")
        grid.append(cells)
    return grid


def _table(grid: list[list[str]] | None, items: Mapping[str, str]) -> Cells | None:
    """A long table: Alue, vuosi and items as columns; decimal comma, blanks as thousands, ".." suppressed."""
    if not grid:
        return None
    header, cells = grid[0], Counter()
    for line in grid[1:]:
        if line in ([""], []):
            continue
        try:
            for name, item in items.items():
                value = _outcome(line[header.index(name)], {"": "missing", "..": "suppressed"}, ",", " ")
                if value is None:
                    value = _outcome(line[header.index(name)], {}, ".")
                if value is None or not re.fullmatch(r"(19|20)\d\d", line[header.index("vuosi")]):
                    return None
                cells[line[header.index("Alue")], item, int(line[header.index("vuosi")]), value] += 1
        except (ValueError, IndexError):
            return None
    return cells


# --- the cases


def workbook(grid: Sequence[Sequence[str]]) -> bytes:
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    lines = []
    for at, line in enumerate(grid, start=1):
        cells = "".join(
            f'<c r="{chr(65 + n)}{at}"><v>{cell}</v></c>'
            if re.fullmatch(r"[1-9]\d*(\.\d+)?", cell) and n
            else f'<c r="{chr(65 + n)}{at}" t="inlineStr"><is><t>{escape(cell)}</t></is></c>'
            for n, cell in enumerate(line)
        )
        lines.append(f'<row r="{at}">{cells}</row>')
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types"/>',
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships">'
        f'<Relationship Id="a" Type="{office}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{office}">'
        '<sheets><sheet name="one" sheetId="1" r:id="r1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}/relationships">'
        f'<Relationship Id="r1" Type="{office}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{main}"><sheetData>{"".join(lines)}</sheetData></worksheet>',
    }
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as book:
        for name, text in parts.items():
            book.writestr(name, text)
    return out.getvalue()


def cases(raw: Path, folder: Path) -> list[Case]:
    """Real files, and the formats of which there is no real one made from their figures."""
    paavo, series = raw / "statfi-paavo", raw / "aluesarjat" / "px"
    people, income = "Inhabitants, total, 2016 (HE)", "Median income of inhabitants, 2015 (HR)"
    labels = {
        "people": [
            "Inhabitants, total (HE)",
            "he_vakiy",
            "Asukkaat yhteensä (HE)",
            "Työttömät",
            "Asukkaat",
            "127",
        ],
        "income": [
            "Median income of inhabitants (HR)",
            "hr_mtu",
            "Asukkaiden mediaanitulot (HR)",
            "Työttömyysaste",
            "Tulot",
        ],
    }
    theme = (paavo / "pxweb-themes-2012-2017" / "Population_structure_2016.csv").read_bytes()
    koko = (paavo / "vintage-2018" / "paavo_9_koko.csv").read_bytes()
    long = (paavo / "pxweb-12f7-helsinki-2020-2023" / "009_12f7_2020_all.csv").read_bytes()
    master = (paavo / "vintage-2026" / "paavo_master.csv").read_bytes()
    header = next(csv.reader(io.StringIO(master.decode("utf-8-sig"))))
    geo = (paavo / "vintage-2024" / "metro_neighborhoods.geojson").read_bytes()
    dbf = (paavo / "vintage-2019" / "pno_tilasto_2019.dbf").read_bytes()
    unemployed = (series / "C04S_VANS_Tyottomat_Sukupuoli.px").read_bytes()
    codes = {"he_vakiy": "people", "hr_mtu": "income"}
    records = _geojson(geo) or []
    table = [["Alue", "vuosi", "Asukkaat", "Tulot", "Nimi"]]
    for record in records:
        earned = float(str(record["hr_mtu"] or 0))
        table.append(
            [
                str(record["postinumeroalue"]),
                "2022",
                str(record["he_vakiy"]),
                f"{earned / 7:,.2f}".replace(",", " ").replace(".", ",") if earned > 0 else "..",
                str(record.get("nimi", "")),
            ]
        )
    text = "\n".join(";".join(line) for line in table) + "\n"
    typed = [
        [cell.replace(" ", "").replace(",", ".") if n == 3 else cell for n, cell in enumerate(line)]
        for line in table
    ]
    described = {
        "area_column": "Alue",
        "year_column": "vuosi",
        "decimal": ",",
        "thousands": " ",
        "symbols": {"..": "suppressed"},
    }
    own = {"Asukkaat": "people", "Tulot": "income"}
    return [
        Case(
            name="pxweb-csv, theme",
            content=theme,
            given={"items": ("people",)},
            labels=labels,
            mutations=_CSV,
            truth=lambda content: _theme(content, ",", 0, {people: ("people", 2016)}, hidden=False),
        ),
        Case(
            name="pxweb-csv, 9_koko",
            content=b"".join(koko.splitlines(keepends=True)[:600]),
            given={},
            labels=labels,
            mutations=_CSV,
            truth=lambda content: _theme(
                content, ";", 0, {people: ("people", 2016), income: ("income", 2015)}, hidden=False
            ),
        ),
        Case(
            name="pxweb-csv, 12f7",
            content=long,
            given={},
            labels=labels,
            mutations=_TEXT,
            truth=lambda content: _long(content, {labels[item][0]: item for item in labels}),
        ),
        Case(
            name="paavo-wide",
            content=b"".join(master.splitlines(keepends=True)[:600]),
            given={"area_column": "Postinumero", "year": 2024},
            labels=labels,
            mutations=_CSV,
            truth=lambda content: _theme(
                content,
                ",",
                header.index("Postinumero"),
                {labels[item][2]: (item, 2024) for item in labels},
                hidden=True,
            ),
        ),
        Case(
            name="paavo-geojson",
            content=geo,
            given={"area_column": "postinumeroalue", "year": 2022},
            labels=labels,
            mutations=_TEXT,
            truth=lambda content: _records(_geojson(content), "postinumeroalue", codes, 2022),
        ),
        Case(
            name="paavo-dbf",
            content=dbf,
            given={"area_column": "posti_alue", "year": 2017},
            labels=labels,
            mutations=(*_BYTES, "digit to letter", "digit to digit"),
            truth=lambda content: _records(_dbf(content), "posti_alue", codes, 2017),
        ),
        Case(
            name="px",
            content=unemployed,
            labels=labels,
            mutations=_TEXT,
            given={"area_column": "Alue", "item_column": "Työttömyys", "take": {"Sukupuoli": "Naiset"}},
            truth=lambda content: _px(
                content,
                "Työttömyys",
                {"Sukupuoli": "Naiset"},
                {"Työttömät": "people", "Työttömyysaste": "income"},
            ),
        ),
        Case(
            name="json-stat",
            content=_as_jsonstat(records),
            given={},
            labels=labels,
            mutations=_TEXT,
            truth=lambda content: _jsonstat(
                content, {"Asukkaat": "people", "Tulot": "income", "he_vakiy": "people", "hr_mtu": "income"}
            ),
        ),
        Case(
            name="sotkanet-json",
            content=json.dumps(_sotkanet(records), indent=0).encode(),
            given={"items": ("people",), "take": {"gender": "total"}},
            labels=labels,
            mutations=_TEXT,
            truth=_sotkanet_truth,
        ),
        Case(
            name="sotkanet-csv",
            given={"items": ("people",), "take": {"gender": "total"}},
            labels=labels,
            mutations=_CSV,
            content=(
                "indicator;region;year;gender;value;absValue\n"
                + "".join(";".join(map(str, record.values())) + "\n" for record in _sotkanet(records))
            ).encode(),
            truth=_sotkanet_csv_truth,
        ),
        Case(
            name="csv",
            content=text.encode(),
            given=described,
            labels=labels,
            mutations=_CSV,
            truth=lambda content: _table(_grid(content, ";"), own),
        ),
        Case(
            name="xlsx",
            content=workbook(typed),
            given=described,
            labels=labels,
            mutations=(*_BYTES, "inside the zip", "inside the zip"),
            truth=lambda content: _table(_sheet(content), own),
        ),
        Case(
            name="parquet",
            content=_parquet(typed, folder),
            given=described,
            labels=labels,
            mutations=_BYTES,
            truth=lambda content: _table(_of_parquet(content, folder), own),
        ),
        Case(
            name="rdata",
            content=(raw / "sotkanet" / "sotkadata_population.rda").read_bytes(),
            labels={"people": ["primary.value"]},
            given={
                "items": ("people",),
                "table": "sotkadata_population",
                "area_column": "municipality_code",
                "year_column": "year",
                "value_column": "primary.value",
            },
            mutations=(*_BYTES, "inside the gzip", "inside the gzip"),
            truth=lambda content: _of_rdata(content, folder),
        ),
        Case(
            name="paavo-rdata",
            content=(raw / "sotkanet" / "sotkadata_population.rda").read_bytes(),
            labels={"people": ["primary.value"]},
            given={
                "items": ("people",),
                "table": "sotkadata_population",
                "area_column": "municipality_code",
                "year": 2020,
            },
            mutations=(*_BYTES, "inside the gzip", "inside the gzip"),
            truth=lambda content: _of_rdata(content, folder, year=2020),
        ),
    ]


def _as_jsonstat(records: Sequence[Mapping[str, object]]) -> bytes:
    areas = [str(record["postinumeroalue"]) for record in records]
    values = [
        record[name] if record[name] != -1 else None for name in ("he_vakiy", "hr_mtu") for record in records
    ]
    return json.dumps(
        {
            "version": "2.0",
            "class": "dataset",
            "label": "Paavo",
            "id": ["Tiedot", "Alue", "Vuosi"],
            "size": [2, len(areas), 1],
            "role": {"time": ["Vuosi"], "geo": ["Alue"], "metric": ["Tiedot"]},
            "dimension": {
                "Tiedot": {
                    "category": {
                        "index": {"he_vakiy": 0, "hr_mtu": 1},
                        "label": {"he_vakiy": "Asukkaat", "hr_mtu": "Tulot"},
                    }
                },
                "Alue": {"category": {"index": {area: at for at, area in enumerate(areas)}}},
                "Vuosi": {"category": {"index": {"2022": 0}}},
            },
            "value": values,
            "status": {str(at): ".." for at, value in enumerate(values) if value is None},
        },
        indent=0,
    ).encode()


def _sotkanet(records: Sequence[Mapping[str, object]]) -> list[dict[str, object]]:
    return [
        {
            "indicator": 127,
            "region": int(str(record["postinumeroalue"])),
            "year": 2022,
            "gender": gender,
            "value": record["he_vakiy"],
            "absValue": 0,
        }
        for record in records
        for gender in ("total", "female")
    ]


def _sotkanet_truth(content: bytes) -> Cells | None:
    try:
        cells: Cells = Counter()
        for record in json.loads(content):
            if record.get("gender") == "total" and record["indicator"] == 127:
                value = "missing" if record.get("value") is None else float(record["value"])
                cells[str(record["region"]), "people", int(record["year"]), value] += 1
        return cells
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _sotkanet_csv_truth(content: bytes) -> Cells | None:
    grid = _grid(content, ";")
    if not grid or any(len(line) not in (1, len(grid[0])) for line in grid):
        return None
    cells: Cells = Counter()
    for line in grid[1:]:
        record = dict(zip(grid[0], line, strict=False))
        if record.get("gender", "").strip().casefold() == "total" and record.get("indicator") == "127":
            value = _outcome(record.get("value", "?"), {"": "missing"})
            if value is None:
                return None
            cells[record["region"].strip(), "people", int(record["year"]), value] += 1
    return cells


def _parquet(grid: Sequence[Sequence[str]], folder: Path) -> bytes:
    import duckdb

    rows = [
        (line[0], int(line[1]), int(line[2]), float(line[3]) if line[3] != ".." else None)
        for line in grid[1:]
    ]
    with duckdb.connect() as link:
        link.execute('CREATE TABLE t ("Alue" VARCHAR, "vuosi" INTEGER, "Asukkaat" INTEGER, "Tulot" DOUBLE)')
        link.executemany("INSERT INTO t VALUES (?, ?, ?, ?)", rows)
        link.execute(f"COPY t TO '{folder / 'made.parquet'}' (FORMAT parquet, COMPRESSION zstd)")
    return (folder / "made.parquet").read_bytes()


def _of_parquet(content: bytes, folder: Path) -> list[list[str]] | None:
    """Read by the same engine, so only our part is checked: Parquet has no sums of its own over its pages here."""
    import duckdb

    path = folder / f"truth-{os.getpid()}.parquet"
    path.write_bytes(content)
    try:
        with duckdb.connect() as link:
            found = link.execute("SELECT * FROM read_parquet(?)", [str(path)])
            names = [str(each[0]) for each in found.description]
            return [
                names,
                *([("" if cell is None else str(cell)) for cell in line] for line in found.fetchall()),
            ]
    except duckdb.Error:
        return None
    finally:
        path.unlink()


def _of_rdata(content: bytes, folder: Path, year: int | None = None) -> Cells | None:
    """Read by pyreadr, where it is there."""
    try:
        import pyreadr
    except ImportError:
        return None
    path = folder / f"truth-{os.getpid()}.rda"
    path.write_bytes(content)
    try:
        frame = pyreadr.read_r(str(path))["sotkadata_population"]
        cells: Cells = Counter()
        for area, value, own in zip(
            frame["municipality_code"], frame["primary.value"], frame["year"], strict=True
        ):
            text = "" if area != area or area is None else str(int(area))
            number = "missing" if value != value else "suppressed" if year and value == -1 else float(value)
            cells[text, "people", year or int(own), number] += 1
        return cells
    except Exception:  # pyreadr raises kinds of its own
        return None
    finally:
        path.unlink()
