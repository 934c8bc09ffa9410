"""The parts of the pages of community work: numbers in words, feedback, codes, and what was reported.

In: tables with few people hidden already. Out: sections. Never: an unknown number written as zero.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..figures import About
from ..figures.monitoring import Answered, plot_answers
from ..monitoring import (
    ALL,
    Monitoring,
    activity_intensity,
    coded_answers,
    coder_agreement,
    compare_reported,
)
from ..monitoring.coding import FIRM, TENTATIVE
from ..monitoring.feedback import COUNTED_BELOW
from ..monitoring.reported import COST, EVENTS
from ..tables import Column, Table
from ..text import Texts
from .parts import Part, Section, bullets, heading, paragraph, section

_LEVEL = 0.95
_UNKNOWN = {
    "participants": "participants_unknown",
    "cost": "cost_unknown",
    "multilingual": "languages_unknown",
}


@dataclass(frozen=True, kw_only=True)
class Page:
    """What both pages speak of: one period, some areas, in one language."""

    known: Monitoring
    texts: Texts
    year: int
    quarter: int

    @property
    def period(self) -> str:
        key = "quarter" if self.quarter else "year"
        return self.texts(f"community.period.{key}", year=self.year, quarter=self.quarter)

    def say(self, key: str, **parts: object) -> str:
        return self.texts(f"community.{key}", **parts)

    def area(self, code: str) -> str:
        if code == ALL:
            return self.say("all")
        if code == self.known.spec.areas.city:
            return self.say("city_wide")
        return self.known.name(code, self.texts.language)

    @property
    def about(self) -> About:
        spec = self.known.spec
        codes = (*spec.areas.codes, spec.areas.city, ALL)
        return About(
            names={code: self.area(code) for code in codes},
            source=spec.monitoring.attribution.text(self.texts.language),
            synthetic=spec.monitoring.synthetic,
        )

    @property
    def areas(self) -> tuple[str, ...]:
        return (*self.known.spec.areas.codes, self.known.spec.areas.city, ALL)


def row_of(page: Page, table: pd.DataFrame, area: str, **other: object) -> Mapping[str, object]:
    chosen = {"area": area, "year": page.year, "quarter": page.quarter, **other}
    fits = np.logical_and.reduce([table[name].to_numpy() == value for name, value in chosen.items()])
    row = table.iloc[int(np.flatnonzero(fits)[0])]
    return {str(key): value for key, value in row.to_dict().items()}


def written(page: Page, row: Mapping[str, object], key: str, *, long: bool = False) -> str:
    """An indicator in words; what is not known is said beside it, in a table shortly."""
    value, texts = row[key], page.texts
    if missing(value) or not (row["running"] or row["events"]):
        return page.say("dash")
    if key == "accessible_share":
        known = int(number(row["accessibility_known"]))
        return _counted(page, int(number(row["accessible"])), known)
    if key == "cost_per_participant":
        return page.say("eur", n=texts.number(number(value), 2))
    unknown = int(number(row[_UNKNOWN[key]])) if key in _UNKNOWN else 0
    if unknown and unknown == row["events"]:
        return page.say("unknown.all")
    shown = texts.number(number(value))
    said = page.say("eur", n=shown) if key == "cost" else shown
    return with_unknown(page, said, unknown, long=long)


def with_unknown(page: Page, said: str, unknown: int, *, long: bool = False) -> str:
    """A number with how many events have none."""
    case = "none" if not unknown else "short" if not long else "some" if unknown > 1 else "one"
    return page.say(f"unknown.{case}", n=said, unknown=page.texts.number(unknown))


def _counted(page: Page, k: int, n: int) -> str:
    """A share of events as a count, with its percentage where there are enough of them."""
    count = f"{page.texts.number(k)}/{page.texts.number(n)}"
    if n < COUNTED_BELOW:
        return count
    return f"{page.texts('unit.percent.level', number=page.texts.number(100 * k / n))} ({count})"


def share_of(page: Page, row: Mapping[str, object]) -> str:
    low, high = (page.texts.number(100 * number(row[one])) for one in ("share_low", "share_high"))
    k, n = int(number(row["good"])), int(number(row["n"]))
    said = {"k": page.texts.number(k), "n": page.texts.number(n), "low": low, "high": high}
    if n < COUNTED_BELOW:
        return page.say("share.counted", **said)
    return page.say("share.percent", share=page.texts.number(100 * k / n), **said)


def _mean(page: Page, row: Mapping[str, object]) -> str:
    estimate = page.texts.number(number(row["mean"]), 1)
    if missing(row["mean_low"]):
        return page.say("interval_none", estimate=estimate)
    low, high = (page.texts.number(number(row[one]), 1) for one in ("mean_low", "mean_high"))
    return page.say("interval", estimate=estimate, low=low, high=high)


def feedback_section(page: Page, answers: pd.DataFrame, rates: pd.DataFrame, areas: Sequence[str]) -> Section:
    spec, texts = page.known.spec, page.texts
    scale = {"low": spec.scale.low, "high": spec.scale.high, "good": spec.scale.good}
    minimum = spec.monitoring.minimum_answers
    several = len(areas) > 1
    parts: list[Part] = [
        heading(page.say("feedback.heading")),
        paragraph(
            page.say("feedback.scale", **scale, level=texts.short(100 * _LEVEL), counted=COUNTED_BELOW)
        ),
        paragraph(page.say("feedback.steps")),
        paragraph(_response(page, row_of(page, rates, areas[-1]))),
    ]
    cells = [
        (area, one.label.text(texts.language), row_of(page, answers, area, item=one.name))
        for one in spec.item
        for area in areas
    ]
    drawn = [cell for cell in cells if cell[0] == areas[-1]]
    picture = plot_answers(
        [_answered(label, row) for _, label, row in drawn],
        scale=(spec.scale.low, spec.scale.high),
        period=f"{page.area(areas[-1])}, {page.period}",
        level=_LEVEL,
        texts=texts,
        about=page.about,
    )
    parts.append(picture)
    first = [Column(label=page.say("feedback.item"))]
    first += [Column(label=page.say("activities.area"))] if several else []
    rows = []
    for area, label, row in cells:
        named = (label, page.area(area)) if several else (label,)
        if row["status"] == "ok":
            n = texts.number(number(row["n"]))
            rows.append((*named, n, _mean(page, row), share_of(page, row)))
        else:
            rows.append((*named, page.say(str(row["status"])), "", ""))
    heads = [page.say("feedback.n"), page.say("feedback.mean", low=scale["low"], high=scale["high"])]
    heads.append(page.say("feedback.share"))
    parts.append(
        Table(
            caption=page.say("feedback.caption", period=page.period),
            columns=(*first, *(Column(label=label, numeric=True) for label in heads)),
            rows=tuple(rows),
            note=page.say("feedback.minimum", minimum=minimum),
        )
    )
    if several:
        parts.append(_rates(page, rates))
    return section(*parts)


def _answered(label: str, row: Mapping[str, object]) -> Answered:
    ok = row["status"] == "ok"
    numbers = {
        name: float("nan") if not ok or missing(row[key]) else number(row[key])
        for name, key in (("mean", "mean"), ("low", "mean_low"), ("high", "mean_high"))
    }
    return Answered(label=label, status=str(row["status"]), n=int(number(row["n"])) if ok else 0, **numbers)


def _response(page: Page, row: Mapping[str, object]) -> str:
    events = page.texts.number(number(row["events"]))
    if row["status"] == "withheld":
        return page.say("feedback.response_withheld", events=events)
    if row["status"] == "none":
        return page.say("feedback.response_none", events=events)
    return page.say(
        "feedback.response",
        answered=page.texts.number(number(row["events_answered"])),
        participants=page.texts.number(number(row["participants"])),
        answers=page.texts.number(number(row["answers"])),
        rate=page.texts.number(100 * number(row["rate"])),
        events=events,
    )


def _rates(page: Page, rates: pd.DataFrame) -> Table:
    rows = []
    for code in page.areas:
        row = row_of(page, rates, code)
        events = page.texts.number(number(row["events"]))
        if row["status"] != "ok":
            rows.append((page.area(code), events, page.say(str(row["status"])), "", ""))
            continue
        answered, answers, people = (
            page.texts.number(number(row[name])) for name in ("events_answered", "answers", "participants")
        )
        rate = page.texts("unit.percent.level", number=page.texts.number(100 * number(row["rate"])))
        rows.append((page.area(code), events, answered, answers, f"{rate} ({answers}/{people})"))
    heads = ("activities.events", "feedback.rates_events", "feedback.n", "feedback.rate")
    return Table(
        caption=page.say("feedback.rates_caption", year=page.year),
        columns=(
            Column(label=page.say("activities.area")),
            *(Column(label=page.say(key), numeric=True) for key in heads),
        ),
        rows=tuple(rows),
    )


def free_text_section(page: Page) -> Section:
    known, texts = page.known, page.texts
    table = coded_answers(known.feedback, known.spec, by="year")
    alphas = coder_agreement(known.feedback, known.spec).set_index("code")
    rows = []
    for one in known.spec.code:
        row, alpha = row_of(page, table, ALL, code=one.name), alphas.loc[one.name, "alpha"]
        given = (
            page.say(str(row["status"]))
            if row["status"] != "ok"
            else page.say(
                "texts.given_of",
                k=texts.number(number(row["given"])),
                n=texts.number(number(row["texts"])),
            )
        )
        agreed = page.say("dash") if missing(alpha) else texts.number(number(alpha), 2)
        label, when = (words.text(texts.language) for words in (one.label, one.definition))
        rows.append((label, when, given, agreed))
    parts: list[Part] = [heading(page.say("texts.heading")), paragraph(page.say("texts.intro"))]
    if rows:
        twice = int(alphas["texts"].iloc[0])
        enough = twice >= known.spec.monitoring.minimum_answers
        limits = {"firm": texts.number(FIRM, 2), "tentative": texts.number(TENTATIVE, 2)}
        note = page.say("texts.note", texts=twice, **limits) if enough else page.say("texts.note_none")
        columns = (
            Column(label=page.say("texts.code")),
            Column(label=page.say("texts.definition")),
            Column(label=page.say("texts.given"), numeric=True),
            Column(label=page.say("texts.alpha"), numeric=True),
        )
        caption = page.say("texts.caption", year=page.year)
        parts.append(Table(caption=caption, columns=columns, rows=tuple(rows), note=note))
    return section(*parts)


def _measure(page: Page, name: str) -> str:
    if name in (EVENTS, COST):
        return page.say(f"reported.{name}")
    label = next(one.label for one in page.known.spec.type if one.name == name)
    return label.text(page.texts.language)


def _spoken(page: Page, row: Mapping[str, object]) -> dict[str, str]:
    """A reported figure in words."""
    first, last = int(number(row["first"])), int(number(row["last"]))
    value = page.texts.number(number(row["value"]))
    qualifier = str(row["qualifier"])
    area = str(row["area"])
    whole = area == page.known.spec.areas.city
    return {
        "measure": _measure(page, str(row["measure"])),
        "area": page.known.name(area, page.texts.language) if whole else page.area(area),
        "years": str(first) if first == last else f"{first}\N{EN DASH}{last}",
        "value": page.say(f"reported.{qualifier}", n=value),
        "source": _source(page, row),
    }


def _source(page: Page, row: Mapping[str, object]) -> str:
    """The source in the language of the page, or as it is called in Finnish."""
    return str(row.get(f"source_{page.texts.language}") or row["source"])


def warnings_of(page: Page) -> list[str]:
    """What the source says in two ways: every page shows it."""
    reported = page.known.reported
    doubtful = reported.loc[reported["conflict"].astype(bool)]
    said = []
    for _, rows in doubtful.groupby(["measure", "area", "first", "last"], sort=False):
        spoken = [_spoken(page, row) for row in _records(rows)]
        claims = "; ".join(page.say("reported.claim", **one) for one in spoken)
        said.append(paragraph(page.say("reported.warning", **{**spoken[0], "claims": claims}), css="warning"))
    return said


def reported_section(page: Page) -> Section:
    known, texts = page.known, page.texts
    compared = compare_reported(known.activities, known.reported, known.spec)
    parts: list[Part] = [heading(page.say("reported.heading")), paragraph(page.say("reported.intro"))]
    if compared.empty:
        return section(*parts)
    rows = []
    for row in _records(compared):
        spoken = _spoken(page, row)
        unknown = int(number(row["unknown"]))
        recorded = with_unknown(page, texts.number(number(row["recorded"])), unknown)
        found = "open" if missing(row["agrees"]) else "agrees" if row["agrees"] else "differs"
        state = "conflict" if row["conflict"] else found
        difference = texts.number(number(row["difference"]), sign=True)
        shown = (spoken["measure"], spoken["area"], spoken["years"], recorded, spoken["value"], difference)
        rows.append((*shown, page.say(f"reported.{state}")))
    sure = compared.loc[~compared["conflict"].astype(bool), "agrees"]
    wrong, undecided = int((~sure).sum()), int(sure.isna().sum())
    said = page.say("reported.some_differ", n=wrong) if wrong else page.say("reported.all_agree")
    said = f"{said} {page.say('reported.some_open', n=undecided)}" if undecided else said
    labels = [page.say("reported.measure"), page.say("activities.area"), page.say("reported.years")]
    heads = [page.say(f"reported.{name}") for name in ("recorded", "value", "difference")]
    columns = (
        *(Column(label=label) for label in labels),
        *(Column(label=label, numeric=True) for label in heads),
        Column(label=page.say("reported.state")),
    )
    sources = "; ".join(dict.fromkeys(_source(page, row) for row in _records(compared)))
    note = page.say("reported.source", sources=sources)
    if known.spec.monitoring.synthetic:
        parts.append(paragraph(page.say("reported.synthetic"), css="warning"))
    parts += [paragraph(said), *warnings_of(page)]
    parts.append(Table(caption=page.say("reported.caption"), columns=columns, rows=tuple(rows), note=note))
    return section(*parts)


def intensity_section(page: Page) -> Section:
    known, texts = page.known, page.texts
    people = {code: number(known.areas.table.loc[code, "population"]) for code in known.spec.areas.codes}
    found = activity_intensity(
        known.activities, known.areas, people, level=known.spec.areas.level, years=[page.year]
    )
    by_area = {str(row["area"]): row for row in _records(found.table)}
    rows = []
    for code in known.spec.areas.codes:
        row = by_area[code]
        unknown = int(number(row["participants_unknown"]))
        visits = texts.number(number(row["participants_per_1000"]), 1)
        numbers = (texts.number(number(row["population"])), texts.number(number(row["events_per_1000"]), 2))
        rows.append((page.area(code), *numbers, with_unknown(page, visits, unknown)))
    heads = [page.say(f"intensity.{name}") for name in ("population", "events", "participants")]
    return section(
        heading(page.say("intensity.heading")),
        paragraph(page.say("intensity.limits"), css="warning"),
        Table(
            caption=page.say("intensity.caption", year=page.year),
            columns=(
                Column(label=page.say("activities.area")),
                *(Column(label=label, numeric=True) for label in heads),
            ),
            rows=tuple(rows),
            note=page.say("intensity.note", unplaced=found.unplaced),
        ),
    )


def limits_section(page: Page) -> Section:
    names = ("recorded", "visits", "answers", "cause", "personal")
    return section(heading(page.say("limits.heading")), bullets(page.say(f"limits.{name}") for name in names))


def _records(table: pd.DataFrame) -> Iterator[Mapping[str, object]]:
    """The rows of a table, one by one."""
    for row in table.to_dict("records"):
        yield {str(key): value for key, value in row.items()}


def number(value: object) -> float:
    return float(value)  # type: ignore[arg-type]


def missing(value: object) -> bool:
    return bool(pd.isna(value))  # type: ignore[call-overload]
