"""The areas of a city: codes, names in three languages, levels, size and place on the tile map.

In: `areas.csv` of a study. Out: `Areas`, which resolves what people and statistics call an area to its code.
Never: a guess; a name that fits no area or two areas is answered with the closest ones.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ..errors import Fault, StudyError, closest

COLUMNS = ("code", "level", "parent", "name_fi", "name_sv", "name_en", "population", "tile_row", "tile_col")
#: No area has more people than this, and no tile map more rows.
_MOST = 1_000_000_000
_LEADING_CODE = re.compile(r"\s*(\d[\d ]*)(?=\s|$)")


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


@dataclass(frozen=True, kw_only=True)
class Areas:
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

    @property
    def units(self) -> tuple[str, ...]:
        """Codes of the areas that are compared, in the order of the file."""
        return tuple(self.table.index[self.table["level"] == self.unit])

    def name(self, code: str, language: str) -> str:
        """What an area is called in a language (fi, sv or en); the Finnish name where it has no other."""
        row = self.table.loc[code]
        return str(row[f"name_{language}"] or row["name_fi"])

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
        known = self._by_name(self.units)
        codes = known.get(fold(text), ())
        if len(codes) == 1:
            return codes[0]
        names = [str(self.table.loc[code, "name_fi"]) for code in self.units]
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

    def codes_of_labels(self, labels: Iterable[str]) -> dict[str, str | None]:
        """Codes for area labels as statistics print them; None where the study has no such area.

        A label may be a code, a code and a name ("092 74 Havukoski", "01280 Länsimäki   (Vantaa )") or a name.
        A code decides: names carry typos, and a postal area changes municipality for some releases.

        Raises
        ------
        StudyError
            A label without a code is the name of two areas, on whatever level.
        """
        distinct = list(dict.fromkeys(labels))
        leading = {label: _LEADING_CODE.match(label) for label in distinct}
        by_name = {} if all(leading.values()) else self._by_name([str(code) for code in self.table.index])
        found: dict[str, str | None] = {}
        for label, match in leading.items():
            if match is None:
                found[label] = self._code_of_name(label, by_name)
            else:
                code = match.group(1).replace(" ", "")
                found[label] = code if code in self.table.index else None
        return found

    def _code_of_name(self, label: str, by_name: dict[str, tuple[str, ...]]) -> str | None:
        codes = by_name.get(fold(label.split("(")[0]), ())
        if len(codes) > 1:
            raise StudyError(
                "Two areas have the name of this label.",
                found=repr(label),
                expected="a label with one of the codes " + ", ".join(codes),
                fix="Give the areas names that differ, or the labels their codes.",
            )
        return codes[0] if codes else None

    def _by_name(self, codes: Iterable[str]) -> dict[str, tuple[str, ...]]:
        known: dict[str, tuple[str, ...]] = {}
        columns = self.table.loc[list(codes), ["name_fi", "name_sv", "name_en"]]
        for code, *names in columns.itertuples(name=None):
            for folded in dict.fromkeys(fold(name) for name in dict.fromkeys(map(str, names))):
                if folded:
                    known[folded] = (*known.get(folded, ()), code)
        return known


def read_areas(path: Path, *, unit: str) -> Areas:
    """Read `areas.csv`.

    Parameters
    ----------
    path : Path
        A UTF-8 CSV with the columns of `COLUMNS`; all but code, level and name_fi may be empty.
    unit : str
        The level of the areas that are compared.

    Raises
    ------
    StudyError
        All faults of the file at once: a missing column, a repeated code, a number that is none.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            text = stream.read()
        if "\x00" in text:
            raise csv.Error("it has a NUL byte")
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        lines = [(reader.line_num, row) for row in reader if row]
    except (OSError, UnicodeDecodeError, csv.Error) as cause:
        raise StudyError("The list of areas cannot be read.", where=str(path), found=str(cause)) from None
    header = [name.strip() for name in lines[0][1]] if lines else []
    _refuse_header(header, path.name)
    faults = [
        Fault(
            what="A row has another number of cells than the header.",
            where=f"{path.name}, row {line}",
            found=f"{len(row)} cells, the first {row[0]!r}",
            expected=f"{len(header)} cells",
        )
        for line, row in lines[1:]
        if len(row) != len(header)
    ]
    rows = [(line, dict(zip(header, row, strict=False))) for line, row in lines[1:]]
    return _build(rows, unit, path.name, faults)


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
    if any(column not in header for column in ("code", "level", "name_fi")):
        faults.append(
            Fault(
                what="The list of areas lacks columns.",
                where=where,
                found=", ".join(header) or "no columns",
                expected=", ".join(COLUMNS),
            )
        )
    if faults:
        raise StudyError.of(faults)


def _build(rows: list[tuple[int, dict[str, str]]], unit: str, where: str, faults: list[Fault]) -> Areas:
    table = pd.DataFrame(
        [[(row.get(column) or "").strip() for column in COLUMNS] for _, row in rows],
        columns=list(COLUMNS),
        dtype=str,
    )
    lines = [line for line, _ in rows]
    for column in ("code", "level", "name_fi"):
        faults += [
            Fault(what=f"An area has no {column}.", where=f"{where}, row {lines[row]}", expected=column)
            for row in table.index[table[column] == ""]
        ]
    faults += [
        Fault(
            what="An area is listed twice.", where=f"{where}, row {lines[row]}", found=table["code"].iloc[row]
        )
        for row in table.index[table["code"].duplicated() & (table["code"] != "")]
    ]
    faults += [
        Fault(
            what="A code may hold letters, digits, '-' and '_' only: it becomes part of file names.",
            where=f"{where}, row {lines[row]}",
            found=repr(table["code"].iloc[row][:60]),
        )
        for row in table.index[(table["code"] != "") & ~table["code"].str.fullmatch(r"[\w-]{1,40}")]
    ]
    for column in ("population", "tile_row", "tile_col"):
        numbers = pd.to_numeric(table[column], errors="coerce").astype(float)
        bad = table.index[
            (table[column] != "") & (numbers.isna() | (numbers % 1 != 0) | ~numbers.between(0, _MOST))
        ]
        faults += [
            Fault(
                what=f"{column} is not a whole number.",
                where=f"{where}, row {lines[row]}",
                found=repr(table[column].iloc[row]),
                expected="a whole number of at least 0, or nothing",
            )
            for row in bad
        ]
        table[column] = numbers.where(~numbers.index.isin(bad)).astype("Int64")
    if not (table["level"] == unit).any():
        levels = sorted(set(table["level"]))
        faults.append(
            Fault(
                what="No area is on the level of the units.",
                where=where,
                found=", ".join(map(repr, levels)) or "no areas",
                expected=repr(unit),
            )
        )
    if faults:
        raise StudyError.of(faults)
    return Areas(table=table.set_index("code"), unit=unit)
