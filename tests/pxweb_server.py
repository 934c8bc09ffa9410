"""A server on this machine that speaks PxWeb's API version 1 and Sotkanet's REST 1.1, with the faults real ones have.

PxWeb: `?config`; GET of a table (metadata) and of the folder above it (names and times of update); POST of a query,
answered in JSON-stat 2.0 or CSV; 403 "Too many values selected" above the limit of cells; 404 "Parameter error" for
codes that are not there.
"""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

API = "/PXWeb/api/v1/en"
FOLDER = f"{API}/Postal/uusin"
TABLE = f"{FOLDER}/paavo_pxt_12f7.px"


@dataclass
class Table:
    """Dimensions (code, text, {code: label}) in the table's order and the text of each cell."""

    title: str
    dimensions: list[tuple[str, str, dict[str, str]]]
    cells: dict[tuple[str, ...], str]
    updated: str = "2024-01-25T08:00:00"
    time: str = "Vuosi"
    heading: tuple[str, ...] = ("Vuosi",)
    may_be_left_out: tuple[str, ...] = ()

    def metadata(self) -> dict[str, Any]:
        variables = []
        for code, text, labels in self.dimensions:
            variable = {
                "code": code,
                "text": text,
                "values": list(labels),
                "valueTexts": list(labels.values()),
            }
            if code in self.may_be_left_out:
                variable["elimination"] = True
            if code == self.time:
                variable["time"] = True
            variables.append(variable)
        return {"title": self.title, "variables": variables}

    def json_stat(self, chosen: list[list[str]]) -> bytes:
        values, status = [], {}
        for at, key in enumerate(itertools.product(*chosen)):
            text = self.cells[key]
            number = re.fullmatch(r"-?\d+(\.\d+)?", text)
            values.append(text if number else "null")
            if not number:
                status[str(at)] = text
        dimension = {
            code: {
                "label": text,
                "category": {
                    "index": {value: at for at, value in enumerate(wanted)},
                    "label": {value: labels[value] for value in wanted},
                },
            }
            for (code, text, labels), wanted in zip(self.dimensions, chosen, strict=True)
        }
        head = {
            "version": "2.0",
            "class": "dataset",
            "label": self.title,
            "source": "made for a test",
            "updated": self.updated,
            "id": [code for code, _, _ in self.dimensions],
            "size": [len(wanted) for wanted in chosen],
            "dimension": dimension,
            "role": {"time": [self.time]},
        }
        if status:
            head["status"] = status
        # The numbers are put in as they are written: a float of Python would lose a trailing zero.
        return (json.dumps(head)[:-1] + ', "value": [' + ",".join(values) + "]}").encode("utf-8")

    def csv(self, chosen: list[list[str]]) -> bytes:
        out = io.StringIO()
        writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
        wanted = {code: values for (code, _, _), values in zip(self.dimensions, chosen, strict=True)}
        stub = [each for each in self.dimensions if each[0] not in self.heading]
        across = list(itertools.product(*(wanted[code] for code in self.heading)))
        labels = {code: names for code, _, names in self.dimensions}
        names = [" ".join(labels[c][v] for c, v in zip(self.heading, key, strict=True)) for key in across]
        writer.writerow([text for _, text, _ in stub] + names)
        for key in itertools.product(*(wanted[code] for code, _, _ in stub)):
            place = dict(zip((code for code, _, _ in stub), key, strict=True))
            row = [labels[code][value] for code, value in place.items()]
            for head in across:
                full = place | dict(zip(self.heading, head, strict=True))
                row.append(self.cells[tuple(full[code] for code, _, _ in self.dimensions)])
            writer.writerow(row)
        return out.getvalue().encode("iso-8859-1")


@dataclass
class Replay:
    """What the server holds, does wrong and has been asked.

    `faults` are taken one for each question for data: "429", "429 after", "500", "cut", "cut chunked", "html",
    "truncated", "other codes", "short", "slow", "huge wait", "change", "change late", "moved", "empty"; "" is none.
    """

    table: Table
    max_cells: int = 100_000
    announced_cells: int | None = None
    max_calls: int = 1000
    window: float = 1.0
    config: bool = True
    lists_updates: bool = True
    etags: bool = False
    faults: list[str] = field(default_factory=list)
    changed: Table | None = None
    sotkanet: dict[str, Any] = field(default_factory=dict)
    asked: list[tuple[str, str, bytes]] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    stop_after: int | None = None  # then the server holds its answers back until `go`
    held: threading.Event = field(default_factory=threading.Event)
    go: threading.Event = field(default_factory=threading.Event)
    guard: threading.Lock = field(default_factory=threading.Lock)
    address: str = ""

    @property
    def url(self) -> str:
        return self.address + TABLE

    @property
    def posts(self) -> list[bytes]:
        return [body for method, _, body in self.asked if method == "POST"]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # header and body are two small writes
    replay: Replay

    def log_message(self, *_: object) -> None:
        """Silence."""

    def do_GET(self) -> None:
        replay = self.replay
        with replay.guard:
            replay.asked.append(("GET", self.path, b""))
        parts = urlsplit(self.path)
        if parts.path.startswith("/rest/1.1"):
            self._sotkanet(parts.path.removeprefix("/rest/1.1"), parse_qs(parts.query))
        elif parts.query == "config":
            if not replay.config:
                self._page(404)
                return
            cells = replay.announced_cells or replay.max_cells
            limits = {"maxValues": 10_000, "maxCells": cells, "maxCalls": replay.max_calls, "CORS": True}
            self._json(limits | {"timeWindow": replay.window})
        elif parts.path == TABLE:
            self._json(replay.table.metadata())
        elif parts.path.rstrip("/") == FOLDER:
            entry = {"id": "paavo_pxt_12f7.px", "type": "t", "text": replay.table.title}
            if replay.lists_updates:
                entry["updated"] = replay.table.updated
            self._json([entry])
        else:
            self._json({"error": "Parameter error"}, 404)

    def do_POST(self) -> None:
        replay = self.replay
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with replay.guard:
            replay.asked.append(("POST", self.path, body))
            fault = replay.faults.pop(0) if replay.faults else ""
            if replay.stop_after is not None and len(replay.posts) > replay.stop_after:
                replay.held.set()
        if replay.held.is_set() and not replay.go.wait(30):
            return
        self._answer(json.loads(body), fault)

    def _answer(self, query: dict[str, Any], fault: str) -> None:
        table, replay = self.replay.table, self.replay
        if fault == "change" and replay.changed is not None:
            replay.table = table = replay.changed
        if fault == "500":
            self._json({"error": "Internal"}, 500)
            return
        if fault.startswith(("429", "huge")):
            wait = {"429": {}, "429 after": {"Retry-After": "1"}, "huge wait": {"Retry-After": "86400"}}[
                fault
            ]
            self._json({"error": "429 - Too many requests"}, 429, wait)
            return
        if fault == "html":
            self._page(200)
            return
        if fault == "moved":
            self._json({}, 302, {"Location": "http://127.0.0.1:9/elsewhere"})
            return
        if fault == "slow":
            time.sleep(3)
        chosen = []
        asked = {each["code"]: each["selection"]["values"] for each in query["query"]}
        for code, _, labels in table.dimensions:
            wanted = asked.get(code, [])
            if not wanted or any(value not in labels for value in wanted):
                self._json({"error": "Parameter error"}, 404)
                return
            chosen.append([value for value in labels if value in wanted])
        cells = 1
        for wanted in chosen:
            cells *= len(wanted)
        if cells > replay.max_cells:
            self._json({"error": "Too many values selected"}, 403)
            return
        form = query["response"]["format"]
        if fault == "other codes":
            chosen[0] = [
                *chosen[0][1:],
                next(code for code in table.dimensions[0][2] if code not in chosen[0]),
            ]
        body = table.csv(chosen) if form == "csv" else table.json_stat(chosen)
        if fault == "truncated":
            body = body[: len(body) // 2]
        if fault == "short":
            body = re.sub(rb'("value": \[)[^,\]]*,', rb"\1", body)
        if fault == "empty":
            body = b""
        kind = "text/csv; charset=iso-8859-1" if form == "csv" else "application/json"
        self._send(200, body, kind, {}, cut=fault)
        if fault == "change late" and replay.changed is not None:
            replay.table = replay.changed

    def _sotkanet(self, path: str, query: dict[str, list[str]]) -> None:
        data = self.replay.sotkanet
        if path.startswith("/json"):
            fault = self.replay.faults.pop(0) if self.replay.faults else ""
            if fault == "500":
                self._json({}, 500)
                return
            rows = [
                row
                for row in data["rows"]
                if [str(row["indicator"])] == query["indicator"]
                and str(row["year"]) in query["years"]
                and row["gender"] in query["genders"]
            ]
            self._json(rows)
        elif path == "/regions":
            self._json(data["regions"])
        elif path.rpartition("/")[2] in data["indicators"]:
            self._json(data["indicators"][path.rpartition("/")[2]])
        else:
            self._json({}, 404)

    def _json(self, content: object, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self._send(
            status, json.dumps(content).encode("utf-8"), "application/json; charset=utf-8", headers or {}
        )

    def _page(self, status: int) -> None:
        self._send(status, b"<!DOCTYPE html><html><body>Huoltokatko</body></html>", "text/html", {})

    def _send(self, status: int, body: bytes, kind: str, headers: dict[str, str], *, cut: str = "") -> None:
        tag = '"' + hashlib.sha256(body).hexdigest()[:16] + '"'
        if self.replay.etags and self.command == "GET" and status == 200:
            headers = {**headers, "ETag": tag}
            if self.headers.get("If-None-Match") == tag:
                status, body = 304, b""
        with self.replay.guard:
            self.replay.statuses.append(status)
        self.send_response(status)
        self.send_header("Content-Type", kind)
        for name, value in headers.items():
            self.send_header(name, value)
        if cut == "cut chunked":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            half = body[: len(body) // 2]
            self.wfile.write(f"{len(half):x}\r\n".encode() + half + b"\r\n")
        else:
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if cut == "cut" else body)
        if cut.startswith("cut"):
            self.close_connection = True


@contextmanager
def serving(replay: Replay) -> Iterator[Replay]:
    """Run the server in a thread on a free port of this machine."""
    handler = type("Handler", (_Handler,), {"replay": replay})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    server.block_on_close = False
    server.handle_error = lambda *_: None  # a killed client breaks its line
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    replay.address = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield replay
    finally:
        replay.go.set()
        server.shutdown()
        server.server_close()
        thread.join()


def made_up(*, areas: int = 6, update: str = "2024-01-25T08:00:00") -> Table:
    """Areas x two items x two years; every cell says by its digits which one it is, three have no number."""
    postal = {f"0{1200 + at}": f"0{1200 + at}  Älyniemi {at} (Vantaa)" for at in range(areas)}
    items = {"he_vakiy": "Inhabitants, total (HE)", "hr_mtu": 'Median "income", inhabitants (HR)'}
    years = {"2021": "2021", "2022": "2022"}
    cells = {
        (area, item, year): f"{area[1:]}{list(items).index(item)}{year[-1]}.10"
        for area in postal
        for item in items
        for year in years
    }
    first = next(iter(postal))
    cells[first, "hr_mtu", "2021"] = ".."
    cells[first, "hr_mtu", "2022"] = "."
    cells["01202", "he_vakiy", "2021"] = "..."
    return Table(
        title="12f7 -- made up",
        dimensions=[
            ("Postinumeroalue", "Postal code area", postal),
            ("Tiedot", "Information", items),
            ("Vuosi", "Year", years),
        ],
        cells=cells,
        updated=update,
    )


def recorded(folder: Path) -> Table:
    """Table 12f7 as it was recorded: 84 areas of Helsinki, 107 items, 2020-2023."""
    postal: dict[str, str] = {}
    items: dict[str, str] = {}
    cells: dict[tuple[str, ...], str] = {}
    title, years = "", ("2020", "2021", "2022", "2023")
    codes: dict[str, str] = {}
    for year in years:
        text = (folder / f"009_12f7_{year}_all.csv").read_bytes().decode("iso-8859-1")
        (title,), _, _, *rows = csv.reader(io.StringIO(text, newline=""))
        for area, item, value in rows:
            code = codes.setdefault(item, f"item{len(codes)}")
            items[code] = item
            postal[area[:5]] = area
            cells[area[:5], code, year] = value
    return Table(
        title=title,
        dimensions=[
            ("Postinumeroalue", "Postal code area", postal),
            ("Tiedot", "Information", items),
            ("Vuosi", "Year", {year: year for year in years}),
        ],
        cells=cells,
    )
