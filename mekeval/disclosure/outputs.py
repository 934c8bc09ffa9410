"""The last look at a folder before it is published: does a file tell a number that the study hides?

In: the folder and the hidden numbers. Out: nothing, or an error. Never: the number itself in the error.
"""

from __future__ import annotations

import bisect
import functools
import math
import re
from collections.abc import Callable, Iterable, Iterator, Set
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, get_args

import pandas as pd

from ..errors import DataError, Fault, RunError
from ..study import Study
from ..study.schema_data import Language
from .published import threshold_of
from .said import Said, said_in, words_of

CELL_COLUMNS = ("area", "year", "indicator", "value", "numerator", "denominator")
#: A number that stands by itself: the 13 of an area D13 is none.
_NUMBER = re.compile(
    r"(?<![\w])((?:\d{1,3}(?:[ \u00a0\u202f.,]\d{3})+(?:[.,]\d+)?(?!\d)|\d+(?:[.,]\d+)?(?:e[+-]?\d+)?))"
    r"(?=([ \u00a0\u202f]?%)?)"
)
#: What parts thousands.
_PARTED = re.compile(r"(?<=\d)[ \u00a0\u202f.,](?=\d{3}(?!\d))")
#: Numbers with whatever may stand between their digits.
_DIGITS = re.compile(r"\d[\d \u00a0\u202f.,]*(?:e[+-]?\d+)?")
_POWER = re.compile(r"\d(?:\.\d+)?e[+-]?\d\d?(?!\d)")
_YEAR = re.compile(r"(?<![\d.,])(?:19|20|21)\d\d(?![\d])")
_MOST_FAULTS = 20
#: Columns that hold the codes of areas.
_NAMES = ("area", "code")
_Found = TypeVar("_Found", str, int)
_LANGUAGES: tuple[str, ...] = get_args(Language)


@dataclass(frozen=True, kw_only=True)
class _Secret:
    """A hidden cell: its indicator, its counts, and its value where few people stand behind it."""

    indicator: str
    counts: tuple[int, ...]
    value: float
    rate: bool


def check_outputs(
    folder: str | Path, study: Study, cells: pd.DataFrame, *, shown: pd.DataFrame | None = None
) -> int:
    """Refuse a folder in which any file tells a hidden number of the study.

    A number is told where a cell of a table, a field of a record or a sentence names its area and its year, by itself
    or by its headers, caption, heading or page, and shows the count, or the rate to as many decimals as it has. Where
    it also names an indicator, it must be the one of the hidden cell; where it names none, it must not be a number
    that is shown of the same area and year.

    Parameters
    ----------
    folder : str or Path
        Everything below it is read, also what is embedded: pictures and downloads in pages, outputs of notebooks.
    study : Study
    cells : pandas.DataFrame
        The hidden numbers, as `mekeval.indicators.hidden_numbers` gives them: `area` (code), `year`, `indicator`,
        `value`, `numerator` and `denominator`.
    shown : pandas.DataFrame, optional
        The tidy table that is published, `Indicators.table`.

    Returns
    -------
    int
        How many files were read.

    Raises
    ------
    RunError
        A file tells a hidden number; the message names file and place and not the number. Or a file cannot be read, or
        the folder has none.
    DataError
        The table of hidden numbers lacks a column, or speaks of an area or an indicator that the study does not have.

    Examples
    --------
    >>> from mekeval import example_study, read_study
    >>> from mekeval.indicators import hidden_numbers
    >>> study = read_study(example_study())
    >>> check_outputs("reports/vantaa-mek", study, hidden_numbers(study))  # doctest: +SKIP
    61
    """
    folder = Path(folder)
    search = _Search(study, cells, shown)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    if not files:
        raise RunError("The folder that was to be looked through has no files.", where=str(folder))
    faults: list[Fault] = []
    for path in files:
        if path.is_symlink():
            raise RunError("A link stands where a file belongs.", where=path.relative_to(folder).as_posix())
        name = path.relative_to(folder).as_posix()
        if not search.may_stand_in(words_of(path), name):
            continue
        for place in search.found(said_in(path, name)):
            faults.append(
                Fault(
                    what="A number that the study hides stands in a file that was to be published.",
                    where=f"{name}, {place}",
                    found="not repeated here",
                    fix="Take it out: a notebook of your own uses only `Indicators.table`. If it is another number "
                    "that is the same by chance, name its indicator beside it.",
                )
            )
            if len(faults) >= _MOST_FAULTS:
                break
    if faults:
        raise RunError.of(dict.fromkeys(faults))
    return len(files)


class _Search:
    """The hidden numbers by area and year, and the words that name areas and indicators."""

    def __init__(self, study: Study, cells: pd.DataFrame, shown: pd.DataFrame | None = None) -> None:
        lacking = [name for name in CELL_COLUMNS if name not in cells]
        specs = {one.name: one for one in study.spec.indicator}
        strange = sorted(set(cells["indicator"]) - set(specs)) if not lacking else []
        if lacking or strange:
            raise DataError(
                "The table of hidden numbers does not belong to the study.",
                found=", ".join(map(repr, strange)) if strange else f"no column {', '.join(lacking)}",
                expected=", ".join(CELL_COLUMNS),
            )
        self._secrets: dict[tuple[str, int], list[_Secret]] = {}
        for row in cells.to_dict("records"):
            spec = specs[str(row["indicator"])]
            below = float(row["denominator"])
            few = not math.isnan(below) and below < threshold_of(study.spec, spec)
            counts = [float(row["denominator"]), float(row["numerator"])]
            if spec.unit in ("persons", "number"):
                counts.append(float(row["value"]))
            whole = tuple(int(one) for one in counts if one == one and one > 0)
            # The rate of a large area that is hidden for the sake of a part is that of the parts that are shown.
            value = float(row["value"]) if few else math.nan
            one = _Secret(indicator=spec.name, counts=whole, value=value, rate=bool(spec.numerator))
            self._secrets.setdefault((str(row["area"]), int(row["year"])), []).append(one)
        table = study.areas.table
        names: dict[str, set[str]] = {}
        for code in {*map(str, table.index), *map(str, cells["area"])}:
            names.setdefault(code, set()).add(code)
        for language in _LANGUAGES:
            for code in map(str, table.index):
                names.setdefault(study.areas.name(code, language), set()).add(code)
        for language in _LANGUAGES:
            if study.spec.areas.city.has(language):
                tops = [str(code) for code, parent in table["parent"].fillna("").items() if not parent]
                names.setdefault(study.spec.areas.city.text(language), set()).update(tops[:1])
        labels: dict[str, set[str]] = {}
        for name, spec in specs.items():
            for word in [name, *(spec.label.text(one) for one in _LANGUAGES if spec.label.has(one))]:
                labels.setdefault(word, set()).add(name)
        every = [secret for cell in self._secrets.values() for secret in cell]
        self._counts = {count for secret in every for count in secret.counts}
        self._rates = sorted(secret.value for secret in every if secret.value == secret.value)
        # For the quick look: the first words of the names of each area of which a number is hidden.
        self._first_words: dict[str, set[str]] = {area: set() for area, _ in self._secrets}
        for spelled, codes in names.items():
            for code in codes & self._first_words.keys():
                self._first_words[code].add(spelled.casefold().split(maxsplit=1)[0])
        own = {name: codes & self._first_words.keys() for name, codes in names.items()}
        self._hidden_areas = _Words({name: codes for name, codes in own.items() if codes})
        self._areas, self._labels = _Words(names), _Words(labels)
        self._years = {year for _, year in self._secrets}
        self._shown: dict[tuple[str, int], set[float]] = {}
        if shown is not None and self._secrets:
            there = shown.loc[shown["status"].eq("ok") & shown["year"].isin(self._years)]
            for name in ("value", "numerator", "denominator"):
                for area, year, value in zip(there["area"], there["year"], there[name], strict=True):
                    if (area, year) in self._secrets and value == value:
                        self._shown.setdefault((area, year), set()).add(float(value))

    def may_stand_in(self, words: str | None, name: str) -> bool:
        """Whether a file names an area of which it has a number; one that cannot be told so must be taken apart."""
        if words is None:
            return True
        years = {year for year in self._years if str(year) in words or str(year) in name}
        text = f"{words} {name}"
        low = text.casefold()
        areas = {area for area, names in self._first_words.items() if any(one in low for one in names)}
        places = [place for place in self._secrets if place[0] in areas and place[1] in years]
        if not places:
            return False
        numbers: set[int] = set().union(*map(_whole_numbers, set(_DIGITS.findall(words))))
        told = {
            area
            for area, year in places
            for secret in self._secrets[area, year]
            if secret.value == secret.value or not numbers.isdisjoint(secret.counts)
        }
        return bool(told) and bool(told & self._hidden_areas.named(text))

    def found(self, pieces: Iterable[Said]) -> Iterator[str]:
        """The places of the pieces that tell a hidden number."""
        for one in pieces:
            if self._secrets and self._tells(one):
                yield one.place

    def _tells(self, one: Said) -> bool:
        if one.record and (one.near.split(" | ")[0] in _NAMES or one.place.endswith(".area")):
            return False  # the area's own code
        values = {value for number in _NUMBER.findall(one.text) for value in _read(number)}
        if not any(self._possible(*value) for value in values):
            return False
        years = self._first(_years, one)
        if not years & self._years:
            return False
        areas = self._first(self._areas.named, one)
        places = [(area, year) for area in areas for year in years if (area, year) in self._secrets]
        if not places:
            return False
        named = self._labels.named(one.near) or self._labels.named(one.around)
        close = bool(self._areas.named(one.near)) and bool(_years(one.near))
        if not named and not one.record and not close:
            return False
        for place in places:
            told = [value for value in values if value[0] not in years]
            if not named:
                told = [value for value in told if not _is_shown(value, self._shown.get(place, ()))]
            secrets = [secret for secret in self._secrets[place] if not named or secret.indicator in named]
            if any(_matches(secret, told, one.record) for secret in secrets):
                return True
        return False

    def _possible(self, value: float, decimals: int, percent: bool) -> bool:
        """Whether a number can be any of the hidden ones: most are not, and nothing else need be asked of them."""
        if value in self._counts and not percent:
            return True
        for one in (value, 100 * value):
            half = 51.0 * 10.0**-decimals if one != value else 0.51 * 10.0**-decimals
            half = max(half, 1e-8 * max(abs(one), 1.0))
            at = bisect.bisect_left(self._rates, one - half)
            if at < len(self._rates) and self._rates[at] <= one + half:
                return True
        return False

    @staticmethod
    def _first(find: Callable[[str], Set[_Found]], one: Said) -> Set[_Found]:
        return find(one.near) or find(one.around) or find(one.far)


@functools.lru_cache(maxsize=20_000)
def _years(text: str) -> frozenset[int]:
    return frozenset(int(year) for year in _YEAR.findall(text))


@functools.lru_cache(maxsize=100_000)
def _whole_numbers(digits: str) -> frozenset[int]:
    """All whole numbers that may be read in digits with what stands between them."""
    texts = re.findall(r"\d+", digits) + re.findall(r"\d+", _PARTED.sub("", digits))
    texts = [one for one in texts if len(one) < 16]
    powers = [round(float(one)) for one in _POWER.findall(digits)]
    return frozenset([*map(int, texts), *powers])


#: A number with its decimals, and whether a percent sign follows it.
_Number = tuple[float, int, bool]


@functools.lru_cache(maxsize=100_000)
def _read(number: tuple[str, str]) -> tuple[_Number, ...]:
    return tuple((*one, bool(number[1])) for one in _meanings(number[0]))


def _meanings(number: str) -> Iterator[tuple[float, int]]:
    """What a number may mean in any of the languages, with its decimals."""
    plain = re.sub(r"[ \u00a0\u202f]", "", number)
    if "e" in plain:
        yield float(plain.replace(",", ".")), 15
        return
    marks = re.findall(r"[.,]", plain)
    if not marks:
        yield float(plain), 0
        return
    last = max(plain.rfind("."), plain.rfind(","))
    whole, rest = re.sub(r"[.,]", "", plain[:last]), plain[last + 1 :]
    yield float(f"{whole or 0}.{rest}"), len(rest)
    if len(rest) == 3:
        yield float(whole + rest), 0


def _is_shown(number: _Number, shown: Iterable[float]) -> bool:
    value, decimals, _ = number
    half = 0.5 * 10.0**-decimals * (1 + 1e-9)
    return any(abs(value - one) <= max(half, 1e-9 * abs(one)) for one in shown)


def _matches(secret: _Secret, values: list[_Number], record: bool) -> bool:
    for value, decimals, percent in values:
        if value in secret.counts and not percent:
            return True
        if secret.value != secret.value or (decimals == 0 and not record and secret.rate):
            continue
        half = max(0.5 * 10.0**-decimals, 1e-9 * abs(secret.value)) * (1 + 1e-9)
        if abs(value - secret.value) <= half and (value > 0 or record):
            return True
        if secret.rate and decimals >= 3 and abs(100 * value - secret.value) <= 100 * half:
            return True
    return False


class _Words:
    """Names, and which of them a text holds; the longest name at each place counts."""

    def __init__(self, names: dict[str, set[str]]) -> None:
        self._of = {" ".join(name.split()).casefold(): codes for name, codes in names.items() if name.strip()}
        longest = sorted(self._of, key=len, reverse=True)
        self._pattern = (
            re.compile(r"(?<![\w])(?:" + "|".join(map(_pattern, longest)) + ")") if longest else None
        )
        self._known: dict[str, set[str]] = {}

    def named(self, text: str) -> set[str]:
        """What the text names."""
        if text not in self._known:
            found = self._pattern.findall(" ".join(text.split()).casefold()) if self._pattern else []
            if len(self._known) > 20_000:
                self._known.clear()
            self._known[text] = set().union(*(self._of[name] for name in found))
        return self._known[text]


def _pattern(name: str) -> str:
    """A name with whatever ending a language puts to it; a code or a short name as it is."""
    return re.escape(name) + (r"(?![\w])" if len(name) < 5 or name[-1].isdigit() else "")
