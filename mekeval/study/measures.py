"""What the programme did: `measures.csv`, and what `[programme]` says of worth and events.

In: a list by hand. Out: `Measure`, one for each row. Never: money that nobody knows, a place taken for another, or the
first fault only.
"""

from __future__ import annotations

import datetime
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..areas import LEVELS, Areas, Districts, fold
from ..areas.listing import NAMES
from ..areas.tables import Listed, filled, read_listed
from ..definition import LANGUAGES
from ..display import Shown
from ..errors import Fault, MekevalError, Place, StudyError, closest
from .files import inside, refuse_no_list
from .schema import StudySpec, Wave, Words
from .treated import resolve

#: The columns of measures.csv, each with what it holds; `docs/study.md` shows this.
COLUMNS = {
    "wave": "Name of the wave, as in `[[programme.wave]]`. Needed.",
    "theme": "Theme that the programme puts the measure under, in Finnish; empty where it names none. Like the names "
    "below, in another language it needs a column only where the study has reports in that language.",
    "name_fi": "What the measure is called in Finnish; needed where the study has reports in Finnish.",
    "name_sv": "The same in Swedish; needed likewise.",
    "name_en": "The same in English; needed likewise.",
    "areas": (
        "Where: codes or names of areas (or of districts, in a study that has such), parted by semicolons; `city` for "
        "the whole city; empty where the source names no place. An area of another level is written with its level, "
        "`major_area:Korson suuralue`; where the study lists no areas of that level it is shown and not used."
    ),
    "start": "Year or day (`2023` or `2023-03-01`) of its start; empty where it is not known.",
    "end": "Year or day of its end, inclusive.",
    "eur": "Euros, in all and over its whole time; empty where it is not known. It needs `start` and `end`.",
    "source": "Who says so. Needed.",
}
#: Columns that may be left out.
OPTIONAL = {
    "theme_sv": "The theme in Swedish; needed where there is a theme and the study has reports in Swedish.",
    "theme_en": "The theme in English; needed likewise.",
    "kind": "`area_limited` or `service` (one that is improved for everybody); empty where the source does not say.",
    "outcomes": "Indicators that it is meant to change, parted by semicolons.",
}
CITY = "city"
Kind = Literal["", "area_limited", "service"]
_KINDS: tuple[Kind, ...] = ("", "area_limited", "service")
_YEAR = re.compile(r"[12]\d{3}", re.ASCII)
_DAY = re.compile(r"[12]\d{3}-\d{2}-\d{2}", re.ASCII)
_MONEY = re.compile(r"\d{1,13}(\.\d{1,2})?", re.ASCII)


@dataclass(frozen=True, kw_only=True, repr=False)
class Measure(Shown):
    """One measure of a programme: a row of `measures.csv`.

    Attributes
    ----------
    wave : str
        Name of its wave.
    theme : Words or None
        None where the programme puts it under no theme.
    name : Words
    areas : tuple of str
        Codes of the listed areas in which it took place, of any level; for a district whose figures another area
        stands for, that area.
    districts : tuple of str
        Codes of the districts that it names, where the study has a table of districts.
    elsewhere : tuple of str
        Places of a level that the study does not list, as they are written.
    city_wide : bool
    start, end : datetime.date or None
        First and last day, both inclusive; None where they are not known.
    eur : float or None
        Money over its whole time, EUR; None where it is not known.
    source : str
    kind : {"", "area_limited", "service"}
    outcomes : tuple of str
    row : int
        In the file, from 1.
    """

    wave: str
    theme: Words | None
    name: Words
    areas: tuple[str, ...]
    districts: tuple[str, ...]
    elsewhere: tuple[str, ...]
    city_wide: bool
    start: datetime.date | None
    end: datetime.date | None
    eur: float | None
    source: str
    kind: Kind
    outcomes: tuple[str, ...]
    row: int

    @property
    def eur_by_year(self) -> dict[int, float]:
        """Its money by calendar year, EUR: spread evenly, each year by the share of it that the measure ran.

        Whole years count alike, leap years too. Empty where the money is not known.
        """
        if self.eur is None or self.start is None or self.end is None:
            return {}
        shares = {}
        for year in range(self.start.year, self.end.year + 1):
            whole = datetime.date(year, 1, 1), datetime.date(year, 12, 31)
            first, last = max(self.start, whole[0]), min(self.end, whole[1])
            shares[year] = ((last - first).days + 1) / ((whole[1] - whole[0]).days + 1)
        total = sum(shares.values())
        return {year: self.eur * share / total for year, share in shares.items()}


def study_measures(
    spec: StudySpec,
    folder: Path,
    areas: Areas | None,
    districts: Districts | None,
    where: str,
    faults: list[Fault],
) -> tuple[tuple[Measure, ...], bytes]:
    """The measures of a study and the bytes of their list, where it names one; what is wrong is added to `faults`."""
    name = spec.programme.measures if spec.programme else ""
    faults += _programme_faults(spec, where)
    if not name or areas is None:
        return (), b""
    path = inside(folder, name)
    if path is None:
        what = "programme.measures leaves the study folder."
        faults.append(Fault(what=what, where=where, found=name))
        return (), b""
    try:
        refuse_no_list(path)
        return read_measures(path, spec, areas, districts), path.read_bytes()
    except MekevalError as error:
        faults += error.faults
        return (), b""


def read_measures(
    path: Path, spec: StudySpec, areas: Areas, districts: Districts | None = None
) -> tuple[Measure, ...]:
    """Read the list of measures of a programme.

    Parameters
    ----------
    path : Path
        A UTF-8 CSV with the columns of `mekeval.study.measures.COLUMNS`; more are allowed (`OPTIONAL`).
    spec : StudySpec
        The study: its waves and indicators.
    areas : Areas
    districts : Districts, optional

    Returns
    -------
    tuple of Measure
        In the order of the file.

    Raises
    ------
    StudyError
        All faults at once, with row and column: an unknown wave, area, level, outcome or kind; an empty name, wave or
        source; an end before the start; a year outside of the wave; money below zero, as text or without its years; a
        measure twice; more money in a year than the wave has.

    Examples
    --------
    >>> from mekeval import example_study, read_study
    >>> study = read_study(example_study())
    >>> first = read_measures(study.folder / "measures.csv", study.spec, study.areas)[0]
    >>> first.wave, first.name.en, first.eur
    ('MEK 2019-2022', 'Improving the quality of the environment', None)
    """
    faults: list[Fault] = []
    names = [f"name_{language}" for language in dict.fromkeys(spec.study.languages)]
    unspoken = [_theme(one) for one in LANGUAGES if one not in spec.study.languages]
    unspoken += [column for column in COLUMNS if column.startswith("name_") and column not in names]
    needed = [column for column in COLUMNS if column not in unspoken]
    listed = read_listed(path, needed, optional=tuple(dict.fromkeys((*unspoken, *OPTIONAL))), faults=faults)
    filled(listed, ("wave", *names, "source"), faults)
    waves = {wave.name: wave for wave in spec.waves}
    found = [_measure(listed, line, row, spec, waves, areas, districts, faults) for line, row in listed.rows]
    faults += _twice(found, listed.file, names[0])
    faults += _beyond_budget(found, waves, listed.file)
    if faults:
        raise StudyError.of(faults)
    return tuple(found)


def place_names(measure: Measure, areas: Areas, districts: Districts | None, language: str) -> list[str]:
    """What the places of a measure are called in a language."""
    named = () if districts is None else measure.districts
    names = [districts.name(code, language) for code in named] if districts is not None else []
    own = measure.areas if not named else ()
    return [*names, *(areas.name(code, language) for code in own), *measure.elsewhere]


def _measure(
    listed: Listed,
    line: int,
    row: dict[str, str],
    spec: StudySpec,
    waves: dict[str, Wave],
    areas: Areas,
    districts: Districts | None,
    faults: list[Fault],
) -> Measure:
    def fault(column: str, what: str, expected: str = "", found: str | None = None, fix: str = "") -> None:
        place = Place(file=listed.file, row=line, column=column)
        said = repr(row[column]) if found is None else found
        faults.append(Fault(what=what, place=place, found=said, expected=expected, fix=fix))

    wave = waves.get(row["wave"])
    if wave is None and row["wave"]:
        fault("wave", "The programme has no such wave.", closest(row["wave"], waves))
    start, end = _day(row["start"], last=False), _day(row["end"], last=True)
    for column, day in (("start", start), ("end", end)):
        if row[column] and day is None:
            fault(column, "This is no year and no day.", "a year (2023), a day (2023-03-01) or nothing")
        elif day is not None and wave is not None and not wave.first <= day.year <= wave.last:
            fault(column, "A measure lies outside the years of its wave.", f"{wave.first} to {wave.last}")
    if start is not None and end is not None and end < start:
        fault("end", "A measure ends before it begins.", f"{row['start']} or later")
    eur = float(row["eur"]) if _MONEY.fullmatch(row["eur"]) else None
    if row["eur"] and eur is None:
        fault("eur", "This is no sum of money.", "euros from 0 up, as 60000 or 60000.50, or an empty cell")
    elif eur is not None and not (row["start"] and row["end"]):
        fault("eur", "Money needs the years in which it was spent.", "`start` and `end`, or no money")
    kind = row.get("kind", "")
    if kind not in _KINDS:
        fault("kind", "Unknown kind of measure.", "area_limited, service or nothing")
    outcomes = _parts(row.get("outcomes", ""))
    known = [indicator.name for indicator in spec.indicator]
    for name in outcomes:
        if name not in known:
            fault("outcomes", "Unknown indicator.", closest(name, known), repr(name))
    codes: list[str] = []
    of: list[str] = []
    elsewhere: list[str] = []
    named: list[tuple[str, str, str]] = []
    places = _parts(row["areas"])
    city_wide = [fold(name) for name in places] == [CITY]
    for name in [] if city_wide else places:
        if fold(name) == CITY:
            fault("areas", "A measure of the whole city names areas, too.", "`city` alone, or the areas")
            continue
        try:
            code, district, other = _place(name, areas, districts)
        except MekevalError as error:
            first = error.faults[0]
            fault("areas", first.what, first.expected, repr(name), first.fix)
            continue
        named.append((code, district, fold(other)))
        codes += [code] if code else []
        of += [district] if district else []
        elsewhere += [other] if other else []
    if len(set(named)) < len(named):
        fault("areas", "A measure names a place twice.")
    theme = Words(**{one: row.get(_theme(one), "") for one in LANGUAGES})
    for language in spec.study.languages:
        if theme.own and not theme.has(language):
            fault(_theme(language), "A theme lacks its name in a language of the study.", "a name", "nothing")
    return Measure(
        wave=row["wave"],
        theme=theme if theme.own else None,
        name=Words(**{one: row.get(f"name_{one}", "") for one in LANGUAGES}),
        areas=tuple(dict.fromkeys(codes)),
        districts=tuple(dict.fromkeys(of)),
        elsewhere=tuple(dict.fromkeys(elsewhere)),
        city_wide=city_wide,
        start=start,
        end=end,
        eur=eur,
        source=row["source"],
        kind="area_limited" if kind == "area_limited" else "service" if kind == "service" else "",
        outcomes=tuple(outcomes),
        row=line,
    )


def _theme(language: str) -> str:
    """The column of a theme in a language."""
    return "theme" if language == "fi" else f"theme_{language}"


def _parts(cell: str) -> list[str]:
    """The names in a cell, parted by semicolons."""
    return [part.strip() for part in cell.split(";") if part.strip()]


def _day(cell: str, *, last: bool) -> datetime.date | None:
    """The day that a cell names, or the first or last day of the year; None where it names none."""
    try:
        if _YEAR.fullmatch(cell):
            return datetime.date(int(cell), 12, 31) if last else datetime.date(int(cell), 1, 1)
        return datetime.date.fromisoformat(cell) if _DAY.fullmatch(cell) else None
    except ValueError:
        return None


def _place(name: str, areas: Areas, districts: Districts | None) -> tuple[str, str, str]:
    """The area, the district or the words that a place is: one or two of them, the others empty."""
    level, colon, rest = (part.strip() for part in name.partition(":"))
    if not colon:
        return *resolve(areas, districts, name), ""
    levels = [str(one) for one in areas.table["level"].unique()]
    if level not in (*levels, *LEVELS):
        raise StudyError("Unknown level of areas.", expected=closest(level, [*levels, *LEVELS]))
    if not rest:
        raise StudyError("A level names no area.", expected="a code or a name after the colon")
    if level not in levels:
        return "", "", rest
    rows = areas.table.loc[areas.table["level"] == level]
    names = rows[list(NAMES)].map(lambda one: fold(str(one)) == fold(rest))
    codes = [rest] if rest in rows.index else list(rows.index[names.any(axis=1)])
    if len(codes) != 1:
        raise StudyError(
            f"{'Two areas' if codes else 'No area'} of this level {'have' if codes else 'has'} this name.",
            expected="one of the codes " + ", ".join(codes) if codes else closest(rest, rows["name_fi"]),
        )
    return str(codes[0]), "", ""


def _twice(measures: list[Measure], file: str, column: str) -> Iterator[Fault]:
    """Rows of one measure; parts of it in other places are no second row."""
    seen: dict[tuple[str, str], list[Measure]] = defaultdict(list)
    for one in measures:
        if not one.name.own:
            continue
        mine = _spots(one)
        for other in seen[one.wave, fold(one.name.own)]:
            if not mine or not _spots(other) or mine & _spots(other) or one.city_wide or other.city_wide:
                yield Fault(
                    what="A measure stands twice.",
                    place=Place(file=file, row=one.row, column=column),
                    found=f"{one.name.own!r}, as in row {other.row}",
                    expected="one row, or rows for different areas",
                )
                break
        seen[one.wave, fold(one.name.own)].append(one)


def _spots(measure: Measure) -> set[str]:
    return {*(measure.districts or measure.areas), *map(fold, measure.elsewhere)}


def _beyond_budget(measures: list[Measure], waves: dict[str, Wave], file: str) -> Iterator[Fault]:
    """Years in which the measures of a wave cost more than the wave."""
    spent: dict[tuple[str, int], float] = defaultdict(float)
    for one in measures:
        if one.start is not None and one.end is not None and one.end >= one.start:
            for year, eur in one.eur_by_year.items():
                spent[one.wave, year] += eur
    for (name, year), eur in sorted(spent.items()):
        budget = waves[name].eur_per_year if name in waves else None
        if budget is not None and eur > budget + 0.005:
            yield Fault(
                what="The measures of a wave cost more than the wave.",
                place=Place(file=file, column="eur"),
                found=f"{eur:,.0f} EUR in {year}",
                expected=f"at most {budget:,.0f}, the eur_per_year of {name!r}",
            )


def _programme_faults(spec: StudySpec, where: str) -> Iterator[Fault]:
    """Outcomes that worth and events speak of must be there."""
    if spec.programme is None:
        return
    known = [indicator.name for indicator in spec.indicator]
    named = [(f"programme.worth.{name}", name) for name in spec.programme.worth]
    for number, event in enumerate(spec.programme.event, start=1):
        named += [(f"programme.event[{number}].outcomes", name) for name in event.outcomes]
    for place, name in named:
        if name not in known:
            yield Fault(
                what="Unknown indicator.",
                where=f"{where}, {place}",
                found=repr(name),
                expected=closest(name, known),
            )
    for name, worth in spec.programme.worth.items():
        if not worth.source.own:
            yield Fault(
                what="A worth has no source.", where=f"{where}, programme.worth.{name}", expected="source"
            )
