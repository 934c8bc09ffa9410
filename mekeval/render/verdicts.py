"""What the pages of a site show: verdicts by area and outcome, tile maps, and each area's verdicts over the years.

In: `SetFacts` and a language. Out: plain values for a template, already in words. Never: a number that is not in
findings.json, a verdict of a report that is not there, or a size beside a verdict that says there is none to be told.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import quote

from ..text import NO_BREAK, Texts
from .record import VERDICTS, AreaFacts, Departure, Found, OutcomeFacts, Report, SetFacts

__all__ = ["SYMBOLS", "SiteView"]

#: The same signs that the style sheet puts before a verdict; none looks like another in grey.
SYMBOLS: Mapping[str, str] = {
    "improved": "\N{BLACK UP-POINTING TRIANGLE}",
    "worsened": "\N{BLACK DOWN-POINTING TRIANGLE}",
    "no_detectable_effect": "\N{WHITE CIRCLE}",
    "fragile": "\N{WHITE DIAMOND}",
    "not_identifiable": "?",
}
#: Units of the drawing for one tile, and for the gap between two.
_TILE, _GAP = 10, 1


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """An outcome as it is shown; `at` decides its class in the page."""

    at: int
    name: str
    label: str


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A verdict with its size and interval, and where it is explained; all empty where nothing was assessed."""

    verdict: str
    href: str
    size: str
    interval: str


@dataclass(frozen=True, kw_only=True)
class Row:
    """An area in one year; `number` is its key on the tile map, `language` the report's where it is not the page's."""

    area: str
    city: bool
    number: int | None
    href: str
    language: str
    lost: bool
    stale: bool
    error_href: str
    cells: tuple[Cell, ...]
    files: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Tile:
    """An area with a verdict on a tile map."""

    x: int
    y: int
    number: int
    verdict: str


@dataclass(frozen=True, kw_only=True)
class TileMap:
    """The verdicts on one outcome in one year, and the same in words."""

    outcome: Outcome
    alt: str
    tiles: tuple[Tile, ...]


@dataclass(frozen=True, kw_only=True)
class YearTable:
    """One year."""

    year: int
    rows: tuple[Row, ...]
    maps: tuple[TileMap, ...]


@dataclass(frozen=True, kw_only=True)
class History:
    """The verdicts on one outcome: for each area its name, whether it is the city, and a cell for each year."""

    outcome: Outcome
    rows: tuple[tuple[str, bool, tuple[Cell, ...]], ...]


class SiteView:
    """What one language of a set's site shows.

    Parameters
    ----------
    facts : SetFacts
    language : str
    anchors : mapping of str to collection of str
        By name of a report's page, the ids in it that a link may lead to.
    """

    def __init__(self, facts: SetFacts, language: str, anchors: Mapping[str, Collection[str]]) -> None:
        self.facts, self.language, self.texts, self.anchors = facts, language, Texts(language), anchors
        self.found = {(one.year, one.subject, one.outcome): one for one in facts.found}
        self.known = {one.name: one for one in facts.study.outcomes}
        self.areas = {one.code: one for one in facts.study.areas}
        self._cells: dict[tuple[str, str], Cell] = {}
        self.reports = self._chosen()
        self.years = sorted({year for year, _ in self.reports}, reverse=True)
        self.outcomes = self._outcomes()
        mapped = self._mapped()
        numbered = [code for code in self._subjects() if code in self.areas and mapped]
        self.numbers = {code: number for number, code in enumerate(numbered, start=1)}

    def _mapped(self) -> bool:
        """Whether every area has its own place on the tile map."""
        places = [(area.row, area.col) for area in self.facts.study.areas]
        return bool(places) and all(None not in place for place in places) and len(set(places)) == len(places)

    @property
    def _order(self) -> dict[str, int]:
        """Languages, the page's own first."""
        return {
            code: at for at, code in enumerate(dict.fromkeys([self.language, *self.facts.study.languages]))
        }

    def _chosen(self) -> dict[tuple[int, str], Report]:
        """Of each year and area the report in the page's language, else in the study's first that has one."""
        order = self._order
        chosen: dict[tuple[int, str], Report] = {}
        yearly = [report for report in self.facts.reports if report.kind in ("city", "district")]
        for report in sorted(yearly, key=lambda one: (order.get(one.language, 99), one.name)):
            chosen.setdefault((report.year, report.subject), report)
        return chosen

    def _subjects(self) -> list[str]:
        """The city, then the areas as the study orders them, then any other."""
        order = {code: at for at, code in enumerate(self.facts.study.order)}
        kinds = {subject: report.kind for (_, subject), report in self.reports.items()}
        return sorted(kinds, key=lambda code: (kinds[code] != "city", order.get(code, len(order)), code))

    def _outcomes(self) -> tuple[Outcome, ...]:
        """What was judged, primary outcomes first, in the study's order."""
        roles = {one.outcome: one.role for one in sorted(self.facts.found, key=lambda one: one.year)}
        order = {one.name: at for at, one in enumerate(self.facts.study.outcomes)}
        ranks = ("primary", "secondary", "exploratory")
        names = sorted(roles, key=lambda name: (ranks.index(roles[name]), order.get(name, len(order)), name))
        outcomes = []
        for at, name in enumerate(names):
            label = self.known[name].label[self.language] if name in self.known else name  # type: ignore[index]
            if roles[name] != "primary":
                label = self.texts("plan.labelled", said=label, role=self.texts(f"plan.role.{roles[name]}"))
            outcomes.append(Outcome(at=at, name=name, label=label))
        return tuple(outcomes)

    def area_of(self, report: Report) -> str:
        """What its area is called in the page's language."""
        if report.kind in ("city", "changes"):
            return self.facts.study.city[self.language]  # type: ignore[index]
        area = self.areas.get(report.subject)
        return area.name[self.language] if area else report.area  # type: ignore[index]

    def cell_of(self, report: Report, outcome: Outcome) -> Cell:
        """The verdict of a report on an outcome."""
        key = (report.name, outcome.name)
        if key not in self._cells:
            self._cells[key] = self._new_cell(report, outcome)
        return self._cells[key]

    def _new_cell(self, report: Report, outcome: Outcome) -> Cell:
        found = self.found.get((report.year, report.subject, outcome.name))
        if found is None or (report.failed and not report.stale):
            return Cell(verdict="", href="", size="", interval="")
        href = quote(f"{report.name}.html", safe="/@")
        if (anchor := f"outcome-{outcome.name}") in self.anchors.get(f"{report.name}.html", ()):
            href += f"#{quote(anchor)}"
        size, interval = self._size(found, self.known.get(outcome.name))
        return Cell(verdict=found.verdict, href=href, size=size, interval=interval)

    def _size(self, found: Found, outcome: OutcomeFacts | None) -> tuple[str, str]:
        """The difference and its interval in short; empty where the verdict says that there is none to be told."""
        if found.verdict == "not_identifiable" or found.estimate is None:
            return "", ""
        interval = ""
        if found.low is not None and found.high is not None:
            low, high = (self._amount(value, outcome, bare=True) for value in (found.low, found.high))
            interval = self.texts("site.interval", low=low, high=high)
        return self._amount(found.estimate, outcome), interval

    def _amount(self, value: float, outcome: OutcomeFacts | None, *, bare: bool = False) -> str:
        decimals, unit = (outcome.decimals, outcome.unit) if outcome else (2, "plain")
        number = self.texts.number(value, decimals, sign=True)
        return number if bare else self.texts(f"unit.{unit}.short", number=number).replace(" ", NO_BREAK)

    def row_of(self, report: Report) -> Row:
        files = self.facts.files
        endings = (("notebook", "ipynb"), ("pdf", "pdf"))
        lost = report.failed and not report.stale
        return Row(
            area=self.area_of(report),
            city=report.kind == "city",
            number=self.numbers.get(report.subject),
            href=quote(f"{report.name}.html", safe="/@"),
            language=report.language if report.language != self.language else "",
            lost=lost,
            stale=report.stale,
            error_href=quote(f"{report.name}.error.html", safe="/@") if report.failed else "",
            cells=tuple(self.cell_of(report, outcome) for outcome in self.outcomes),
            files=self._changes(report)
            if lost
            else (
                *self._changes(report),
                *(
                    (kind, quote(f"{report.name}.{ending}", safe="/@"))
                    for kind, ending in endings
                    if f"{report.name}.{ending}" in files
                ),
            ),
        )

    def _changes(self, report: Report) -> tuple[tuple[str, str], ...]:
        """Beside the city's report the page on what changed, in the page's language or the report's."""
        pages = {
            one.language: one.name
            for one in self.facts.reports
            if report.kind == "city"
            and one.kind == "changes"
            and one.year == report.year
            and not (one.failed and not one.stale)
        }
        name = next((pages[code] for code in (*self._order, report.language) if code in pages), "")
        return (("changes", quote(f"{name}.html", safe="/@")),) if name else ()

    def tables(self) -> Iterator[YearTable]:
        for year in self.years:
            reports = [self.reports[year, code] for code in self._subjects() if (year, code) in self.reports]
            rows = tuple(self.row_of(report) for report in reports)
            maps = tuple(self._maps(year, reports)) if any(row.number for row in rows) else ()
            yield YearTable(year=year, rows=rows, maps=maps)

    def _maps(self, year: int, reports: Sequence[Report]) -> Iterator[TileMap]:
        top, left, _, _ = self._bounds()
        for outcome in self.outcomes:
            tiles, said = [], {code: [] for code in VERDICTS}  # type: tuple[list[Tile], dict[str, list[str]]]
            for report in reports:
                area, verdict = self.areas.get(report.subject), self.cell_of(report, outcome).verdict
                if area is None or not verdict:
                    continue
                said[verdict].append(self.area_of(report))
                x, y = _corner(area, top, left)
                tiles.append(Tile(x=x, y=y, number=self.numbers[report.subject], verdict=verdict))
            if not tiles:
                continue
            groups = " ".join(
                self.texts(
                    "site.map.group", verdict=self.texts(f"verdict.{code}.word"), areas=self.texts.join(names)
                )
                for code, names in said.items()
                if names
            )
            alt = self.texts("site.map.alt", outcome=outcome.label, year=year, said=groups)
            yield TileMap(outcome=outcome, alt=alt, tiles=tuple(tiles))

    def _bounds(self) -> tuple[int, int, int, int]:
        rows = [area.row or 0 for area in self.facts.study.areas]
        cols = [area.col or 0 for area in self.facts.study.areas]
        return min(rows), min(cols), max(rows), max(cols)

    def ground(self) -> tuple[str, str]:
        """The drawing area and one path of all tiles."""
        top, left, bottom, right = self._bounds()
        side = _TILE - _GAP
        corners = [_corner(area, top, left) for area in self.facts.study.areas]
        path = "".join(f"M{x} {y}h{side}v{side}h-{side}z" for x, y in corners)
        box = f"-{_GAP} -{_GAP} {(right - left + 1) * _TILE + _GAP} {(bottom - top + 1) * _TILE + _GAP}"
        return box, path

    def histories(self) -> Iterator[History]:
        years = sorted(self.years)
        for outcome in self.outcomes if len(years) > 1 else ():
            rows = []
            for code in self._subjects():
                reports = [self.reports.get((year, code)) for year in years]
                cells = tuple(
                    self.cell_of(report, outcome)
                    if report
                    else Cell(verdict="", href="", size="", interval="")
                    for report in reports
                )
                if any(cell.verdict for cell in cells):
                    one = next(report for report in reports if report)
                    rows.append((self.area_of(one), one.kind == "city", cells))
            yield History(outcome=outcome, rows=tuple(rows))

    def plan(self) -> dict[str, object]:
        plan, texts = self.facts.plan, self.texts
        state = plan.state if plan and (plan.date or plan.state == "unlocked") else "unknown"
        locked = plan.date if plan and isinstance(plan.date, datetime.date) else None
        day = texts.date(locked) if locked else ""
        said = texts(f"site.plan.{state}.said", date=day)
        years = [report.year for report in self.facts.reports if report.year]
        if locked and years and locked.year > max(years):  # a lock after the fact proves no foresight
            said += " " + texts("site.plan.late")
        return {
            "state": state,
            "word": texts(f"site.plan.{state}.word"),
            "said": said,
            "departures": [(one.key, self._reason(one)) for one in (plan.deviations if plan else ())],
        }

    def _reason(self, departure: Departure) -> str:
        given = departure.reason or {}
        said = (given.get(code) for code in self._order)
        return next((one for one in said if one), self.texts("plan.no_reason"))

    def quality(self) -> Row | None:
        """The report on the data, where there is one, as a row without verdicts."""
        reports = [report for report in self.facts.reports if report.kind == "quality"]
        reports.sort(key=lambda one: (self._order.get(one.language, 99), one.name))
        return replace(self.row_of(reports[0]), cells=()) if reports else None

    def size_note(self) -> str:
        levels = {one.alpha for one in self.facts.found if one.alpha is not None}
        if len(levels) != 1:
            return self.texts("site.size_note_plain")
        share = self.texts.short(100 * (1 - levels.pop()))
        return self.texts("site.size_note", level=self.texts("unit.percent.level", number=share))


def _corner(area: AreaFacts, top: int, left: int) -> tuple[int, int]:
    return ((area.col or 0) - left) * _TILE, ((area.row or 0) - top) * _TILE
