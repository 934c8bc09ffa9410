"""The list of areas: codes, names, levels, size and place on the tile map.

In: `areas.csv` of a study, or labels of statistics. Out: `Areas`, which resolves what people and statistics call an
area to its code. Never: a guess; a name that fits no area or two areas is answered with the closest ones.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from ..definition import LANGUAGES
from ..display import Shown
from ..errors import Fault, Place, StudyError, closest
from .hierarchy import above, parent_faults
from .tables import NAMES as NAMES
from .tables import csv_lines, own_name, ragged

COLUMNS = ("code", "level", "parent", *NAMES, "population", "tile_row", "tile_col")
#: No area has more people than this, and no tile map more rows.
_MOST = 1_000_000_000
#: The code that a label begins with: digits in groups, and the letter by which twins differ ("091 201", "091201P").
_LEADING_CODE = re.compile(r"\s*(\d[\d ]*(?<=\d)[A-Za-z]?)(?=\s|$)")
#: Two spellings of a name are at least this alike; names of neighbouring areas are not.
_ALIKE = 0.75
_CODE = re.compile(r"[\w-]{1,40}")
_LONGEST_LABEL, _MOST_FAULTS = 500, 1_000


@lru_cache(maxsize=10_000)
def fold(name: str) -> str:
    """Reduce a name to what people agree on: no case, no marks on letters, no punctuation, no doubled spaces.

    Examples
    --------
    >>> fold("  LÄNSIMÄKI ") == fold("lansimaki")
    True
    """
    letters = unicodedata.normalize("NFKD", name.casefold())  # ä may be one character or a and a mark
    bare = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return " ".join(re.sub(r"[^\w ]", " ", bare).split())


@dataclass(frozen=True, kw_only=True, repr=False)
class Areas(Shown):
    """The areas of one study.

    Attributes
    ----------
    table : pandas.DataFrame
        Indexed by `code` (str), in the order of the file; the other columns of `COLUMNS`. `population` is in
        persons; `tile_row` and `tile_col` are whole numbers or <NA>. Do not change it.
    unit : str
        The level whose areas are compared with each other, for example "district".
    """

    table: pd.DataFrame
    unit: str

    @cached_property
    def units(self) -> tuple[str, ...]:
        """Codes of the areas that are compared, in the order of the file."""
        return tuple(self.table.index[self.table["level"] == self.unit])

    def name(self, code: str, language: str) -> str:
        """What an area is called in a language (fi, sv or en); its one name where it has none of its own in it."""
        return self._names[code][LANGUAGES.index(language)]

    def resolve(self, name: str) -> str:
        """The code of a unit from its code or its name in any language, with or without ä and ö.

        Raises
        ------
        MekevalError
            No unit, or more than one, is called so; the message names the closest.

        Examples
        --------
        >>> areas = areas_from_rows([{"code": "09291", "level": "district", "name_fi": "Länsimäki"}], unit="district")
        >>> areas.resolve("lansimaki")
        '09291'
        """
        text = name.strip()
        if text in self.units:
            return text
        codes = self._by_name(self.units).get(fold(text), ())
        if len(codes) == 1:
            return codes[0]
        names = [self.name(code, "fi") for code in self.units]
        if codes:
            raise StudyError(
                "Two areas have this name.",
                found=repr(name),
                expected="one of the codes " + ", ".join(codes),
                fix="Use the code instead of the name.",
            )
        raise StudyError(
            f"The study has no {self.unit} of this name.", found=repr(name), expected=closest(text, names)
        )

    @cached_property
    def _names(self) -> dict[str, list[str]]:
        rows = self.table[list(NAMES)].itertuples(name=None)
        return {code: [str(name or names[0]) for name in names] for code, *names in rows}

    def ancestors(self, code: str) -> tuple[str, ...]:
        """Codes of the listed areas that an area lies in, the nearest first.

        Examples
        --------
        >>> rows = [
        ...     {"code": "092", "level": "city", "name_fi": "Vantaa"},
        ...     {"code": "0925", "level": "major_area", "parent": "092", "name_fi": "Koivukylä"},
        ...     {"code": "09274", "level": "district", "parent": "0925", "name_fi": "Havukoski"},
        ... ]
        >>> areas = areas_from_rows(rows, unit="district")
        >>> areas.ancestors("09274"), areas.children("092"), areas.children("092", level="district")
        (('0925', '092'), ('0925',), ('09274',))
        """
        return above(self._listed(code), self.table["parent"])

    def children(self, code: str, *, level: str | None = None) -> tuple[str, ...]:
        """Codes of the areas whose parent this is, or of all areas of a level that lie in it at whatever depth."""
        parents = self.table["parent"]
        if level is None:
            return tuple(self.table.index[parents == self._listed(code)])
        self._listed(code)
        return tuple(one for one in self._on(level) if code in above(one, parents))

    def _listed(self, code: str) -> str:
        if code not in self.table.index:
            raise StudyError(
                "No area has this code.", found=repr(code), expected=closest(code, self.table.index)
            )
        return code

    def _on(self, level: str | None) -> list[str]:
        """Codes of one level, or all of them."""
        table = self.table if level is None else self.table[self.table["level"] == level]
        codes = [str(code) for code in table.index]
        if level is not None and not codes:
            raise StudyError(
                "No area is on this level.",
                found=repr(level),
                expected=closest(level, self.table["level"].unique()),
            )
        return codes

    def codes_of_labels(
        self, labels: Iterable[str], *, level: str | None = None, places: Mapping[str, Place] | None = None
    ) -> dict[str, str | None]:
        """Codes for area labels as statistics print them; None where the study has no such area.

        A label may be a code, a code and a name ("092 74 Havukoski", "01280 Länsimäki   (Vantaa )", "091201P") or a
        name. A code decides: names carry typos, and a postal area changes municipality for some releases. A name
        decides only between areas whose codes differ in a last letter: labels print them with the same number
        ("091 201 Ruoholahti" is 091201, "091 201 Reijolan peruspiiri" is 091201P).

        Parameters
        ----------
        labels : iterable of str
        level : str, optional
            The level of the areas that the labels speak of; areas of other levels are not looked at. Codes of
            districts and of postal areas are both of five digits.
        places : mapping of str to Place, optional
            Where each label stands, for messages.

        Raises
        ------
        StudyError
            No area is on the level; or all labels of these kinds: one without a code is the name of two areas; a
            number stands for several areas and the name does not say which; two with one number have names of
            different areas.
        """
        codes = self._on(level)
        known = set(codes)
        by_number: dict[str, tuple[str, ...]] = {}
        for code in codes:
            number = code.rstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
            by_number[number] = (*by_number.get(number, ()), code)
        found: dict[str, str | None] = {}
        by_name: dict[str, tuple[str, ...]] | None = None
        faults: list[Fault] = []
        place = (places or {}).get
        for label in dict.fromkeys(labels):
            match = _LEADING_CODE.match(label[:_LONGEST_LABEL])
            first = label.split(maxsplit=1)[0] if label.strip() else ""
            if match is None and first in known and any(letter.isdigit() for letter in first):
                found[label] = first  # a code that begins with a letter: "KU092 Vantaa"
            elif match is None:
                by_name = self._by_name(codes) if by_name is None else by_name
                both = by_name.get(fold(label.split("(")[0]), ())
                found[label] = both[0] if len(both) == 1 else None
                if len(both) > 1:
                    what = "Two areas have the name of this label."
                    fix = "Give the areas names that differ, the labels their codes, or the source its level."
                    faults.append(_unclear(label, what, both, place(label), fix))
            else:
                code = match.group(1).replace(" ", "")
                twins = by_number.get(code, ())
                name = _name_after(label, match.end())
                if code in known and (not name or len(twins) < 2):
                    found[label] = code
                    continue
                named = [twin for twin in twins if name in self._folded(twin)]
                found[label] = named[0] if len(named) == 1 else None
                if len(named) != 1 and len(twins) > 1:
                    what = "The number of this label stands for several areas, and its name for none of them."
                    fix = 'Take the codes of the source (`area_by = "code"`), or give the source its `level`.'
                    faults.append(_unclear(label, what, twins, place(label), fix))
        faults += _number_of_two(found, places or {})
        if len(faults) > _MOST_FAULTS:
            more = Fault(what=f"And {len(faults) - _MOST_FAULTS:,} more faults of the same kinds.")
            faults = [*faults[:_MOST_FAULTS], more]
        if faults:
            raise StudyError.of(faults)
        return found

    def _by_name(self, codes: Iterable[str]) -> dict[str, tuple[str, ...]]:
        known: dict[str, tuple[str, ...]] = {}
        for code in codes:
            for folded in self._folded(code):
                known[folded] = (*known.get(folded, ()), code)
        return known

    def _folded(self, code: str) -> set[str]:
        return {fold(name) for name in self._names[code]} - {""}


def _name_after(label: str, end: int) -> str:
    """The folded name of a label behind its code, without what stands in brackets."""
    return fold(label[end:_LONGEST_LABEL].split("(")[0])


def _number_of_two(found: Mapping[str, str | None], places: Mapping[str, Place]) -> Iterator[Fault]:
    """Labels with one number whose names are so unlike that they must be different areas."""
    labels: dict[str, dict[str, str]] = {}
    for label, code in found.items():
        match = _LEADING_CODE.match(label[:_LONGEST_LABEL])
        name = _name_after(label, match.end()) if match else ""
        if code is not None and name:
            labels.setdefault(code, {}).setdefault(name, label)
    for code, names in labels.items():
        first, *others = names
        unlike = [one for one in others if difflib.SequenceMatcher(None, first, one).ratio() < _ALIKE]
        if unlike:
            yield Fault(
                what="One number stands for two areas.",
                found=" and ".join(repr(names[name]) for name in (first, unlike[0])),
                expected=f"one name for {code}",
                fix='Take the codes of the source (`area_by = "code"`), or list both areas with their codes.',
                place=places.get(names[unlike[0]]),
            )


def _unclear(label: str, what: str, codes: tuple[str, ...], place: Place | None, fix: str) -> Fault:
    expected = "a label of one of the areas alone: " + ", ".join(codes)
    return Fault(what=what, found=repr(label), expected=expected, fix=fix, place=place)


def found_areas(labels: Iterable[str], pattern: str, level: str, *, where: str = "areas.found") -> Areas:
    """The areas that labels speak of, in the order of their codes; the last name of an area wins.

    Parameters
    ----------
    labels : iterable of str
        Of one source or of several, the oldest release first.
    pattern : str
        A regular expression with the group `code` and, where labels tell them, `name` (or `name_fi`, `name_sv`,
        `name_en`) and `parent`; labels that it does not fit are no areas.
    level : str
        The level of these areas.
    where : str
        What stands in messages as the place of the pattern.

    Raises
    ------
    StudyError
        The pattern is none, has no group `code` or fits no label; a code that is none.

    Examples
    --------
    >>> labels = ["01280 Lansimaki  (Vantaa)", "FINLAND", "01280 Länsimäki   (Vantaa )"]
    >>> found = found_areas(labels, r"(?P<code>\\d{5})\\s+(?P<name>[^(]*?)\\s*\\(", "postal_area")
    >>> found.units, found.name("01280", "fi")
    (('01280',), 'Länsimäki')
    """
    try:
        compiled = re.compile(pattern)
    except re.error as cause:
        raise StudyError(
            "The pattern of labels is no regular expression.",
            where=where,
            found=repr(pattern),
            expected=str(cause),
        ) from None
    groups = ("code", "name", *NAMES, "parent")
    unknown = sorted(set(compiled.groupindex) - set(groups))
    if "code" not in compiled.groupindex or unknown:
        raise StudyError(
            "The pattern of labels has not the groups that it may have.",
            where=where,
            found=repr(pattern),
            expected="(?P<code>…) and, where labels tell it, "
            + ", ".join(f"(?P<{name}>…)" for name in groups[1:]),
        )
    rows: dict[str, dict[str, str]] = {}
    first = ""
    for label in dict.fromkeys(labels):
        first = first or label
        match = compiled.match(label) if len(label) <= _LONGEST_LABEL else None
        if match is None or not match["code"]:
            continue
        parts = {name: text.strip() for name, text in match.groupdict().items() if text}
        code = parts["code"].replace(" ", "")
        name = parts.get("name_fi") or parts.get("name") or ""
        known = rows.pop(code, {"name_fi": code})  # so that the newest stands last
        rows[code] = known | {
            **{key: text for key, text in parts.items() if key in COLUMNS},
            "code": code,
            "level": level,
            **({"name_fi": name} if name else {}),
        }
    if not rows:
        raise StudyError(
            "The pattern fits no label.", where=where, found=repr(first), expected=f"a label like {pattern!r}"
        )
    return areas_from_rows([rows[code] for code in sorted(rows)], unit=level, where=where)


def join_areas(*lists: Areas, unit: str) -> Areas:
    """One list of several: areas that an earlier list has are not taken from a later one.

    Raises
    ------
    StudyError
        A code stands for areas of two levels; no area is on the level of the units.
    """
    joined = pd.concat([one.table for one in lists if len(one.table)] or [lists[0].table])
    levels = joined["level"].groupby(level=0).nunique()
    faults = [
        Fault(
            what="A code stands for areas of two levels.",
            found=f"{code}: {', '.join(dict.fromkeys(joined.loc[[code], 'level']))}",
            expected="a code for each area; of the two, one list must do without",
        )
        for code in levels.index[levels > 1]
    ]
    if faults:
        raise StudyError.of(faults[:20])
    table = joined.loc[~joined.index.duplicated()]
    if not (table["level"] == unit).any():
        raise StudyError(
            "No area is on the level of the units.",
            found=", ".join(map(repr, sorted(set(table["level"])))),
            expected=repr(unit),
        )
    return Areas(table=table, unit=unit)


def read_areas(path: Path, *, unit: str) -> Areas:
    """Read `areas.csv`.

    Parameters
    ----------
    path : Path
        A UTF-8 CSV with the columns of `COLUMNS`; all but code, level and name_fi may be empty. In the place of name_fi
        may stand `name`, or a name in another language; it is the name in every language without one of its own.
    unit : str
        The level of the areas that are compared.

    Raises
    ------
    StudyError
        All faults of the file at once: a missing column, a repeated code, a number that is none, a parent that
        is not listed, lies on its child's own level or below it, or goes round in a circle. In a list of one level
        parents stand for something outside of it and are not looked up.
    """
    lines = csv_lines(path, "The list of areas")
    header = [name.strip() for name in lines[0][1]] if lines else []
    _refuse_header(header, path.name)
    rows = [(line, dict(zip(header, row, strict=False))) for line, row in lines[1:]]
    return _build(rows, unit, path.name, ragged(lines, path.name))


def areas_from_rows(rows: Iterable[dict[str, str]], *, unit: str, where: str = "areas") -> Areas:
    """Build `Areas` from rows of text, one dictionary each; see `read_areas`."""
    numbered = list(enumerate(rows, start=2))
    _refuse_header(list(dict.fromkeys(str(key) for _, row in numbered for key in row)), where)
    return _build(numbered, unit, where, [])


def _refuse_header(header: list[str], where: str) -> None:
    faults = [
        Fault(what="Two columns have one name.", where=where, found=repr(name))
        for name in sorted({name for name in header if name in COLUMNS and header.count(name) > 1})
    ]
    if any(column not in header for column in ("code", "level", own_name(header))):
        faults.append(
            Fault(
                what="The list of areas lacks columns.",
                where=where,
                found=", ".join(header) or "no columns",
                expected=", ".join(COLUMNS) + "; or one column `name`",
            )
        )
    if faults:
        raise StudyError.of(faults)


def _build(rows: list[tuple[int, dict[str, str]]], unit: str, where: str, faults: list[Fault]) -> Areas:
    cells = {column: [(row.get(column) or "").strip() for _, row in rows] for column in COLUMNS}
    lines = [line for line, _ in rows]

    def at(row: int, column: str) -> Place:
        return Place(file=where, row=lines[row], column=column)

    own = own_name({column for _, row in rows for column in row})
    cells[NAMES[0]] = [(row.get(own) or "").strip() for _, row in rows]  # by which all else names an area
    for column, called in (("code", "code"), ("level", "level"), (NAMES[0], own)):
        faults += [
            Fault(what=f"An area has no {called}.", place=at(row, called), expected=called)
            for row, text in enumerate(cells[column])
            if not text
        ]
    first_of = {code: len(lines) - 1 - row for row, code in enumerate(reversed(cells["code"]))}
    faults += [
        Fault(what="An area is listed twice.", place=at(row, "code"), found=code)
        for row, code in enumerate(cells["code"])
        if code and first_of[code] != row
    ]
    faults += [
        Fault(
            what="A code may hold letters, digits, '-' and '_' only: it becomes part of file names.",
            place=at(row, "code"),
            found=repr(code[:60]),
        )
        for row, code in enumerate(cells["code"])
        if code and _CODE.fullmatch(code) is None
    ]
    counts = {}
    for column in ("population", "tile_row", "tile_col"):
        texts = np.array(cells[column], dtype=object)
        numbers = np.asarray(pd.to_numeric(texts, errors="coerce"), dtype=float)
        with np.errstate(invalid="ignore"):  # of an infinite number there is no remainder
            whole = (numbers % 1 == 0) & (numbers >= 0) & (numbers <= _MOST)
        bad = np.flatnonzero((texts != "") & ~whole)
        faults += [
            Fault(
                what=f"{column} is not a whole number.",
                place=at(row, column),
                found=repr(cells[column][row]),
                expected="a whole number of at least 0, or nothing",
            )
            for row in bad.tolist()
        ]
        counts[column] = pd.array(np.where(whole, numbers, np.nan), dtype="Int64")
    faults += parent_faults(cells, lines, where)
    if unit not in cells["level"]:
        faults.append(
            Fault(
                what="No area is on the level of the units.",
                where=where,
                found=", ".join(map(repr, sorted(set(cells["level"])))) or "no areas",
                expected=repr(unit),
            )
        )
    if faults:
        raise StudyError.of(faults)
    columns = {column: pd.Series(texts, dtype=str) for column, texts in cells.items()} | counts
    table = pd.DataFrame({column: columns[column] for column in COLUMNS})
    return Areas(table=table.set_index("code"), unit=unit)
