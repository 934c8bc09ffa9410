"""The areas of a city: codes, names in three languages, levels, size and place on the tile map.

In: `areas.csv` of a study. Out: `Areas`, which resolves what people and statistics call an area to its code.
Never: a guess; a name that fits no area or two areas is answered with the closest ones.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from .errors import Fault, MekevalError, StudyError, closest

COLUMNS = ("code", "level", "parent", "name_fi", "name_sv", "name_en", "population", "tile_row", "tile_col")
_FOLD = str.maketrans("äöåé", "aoae")
_LEADING_CODE = re.compile(r"\s*(\d[\d ]*)(?=\s|$)")


def fold(name: str) -> str:
    """Reduce a name to what people agree on: no case, no ä or ö, no punctuation, no doubled spaces.

    Examples
    --------
    >>> fold("  LÄNSIMÄKI ") == fold("lansimaki")
    True
    """
    return " ".join(re.sub(r"[^\w ]", " ", name.casefold().translate(_FOLD)).split())


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
        known = self._units_by_name()
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
        raise StudyError(f"The study has no {self.unit} of this name.", found=repr(name), expected=closest(text, names))

    def codes_of_labels(self, labels: Iterable[str]) -> dict[str, str | None]:
        """Codes for area labels as statistics print them; None where the study has no such area.

        A label may be a code, a code and a name ("092 74 Havukoski", "01280 Länsimäki   (Vantaa )") or a name.
        A code decides: names carry typos, and a postal area changes municipality for some releases.
        """
        by_name = {
            fold(str(row[column])): str(code)
            for code, row in self.table.iloc[::-1].iterrows()
            for column in ("name_en", "name_sv", "name_fi")
            if row[column]
        }
        return {label: self._code_of_label(label, by_name) for label in dict.fromkeys(labels)}

    def _code_of_label(self, label: str, by_name: dict[str, str]) -> str | None:
        leading = _LEADING_CODE.match(label)
        if leading:
            code = leading.group(1).replace(" ", "")
            return code if code in self.table.index else None
        return by_name.get(fold(label.split("(")[0]))

    def _units_by_name(self) -> dict[str, tuple[str, ...]]:
        known: dict[str, tuple[str, ...]] = {}
        for code in self.units:
            names = {fold(str(self.table.loc[code, f"name_{language}"])) for language in ("fi", "sv", "en")}
            for folded in names - {""}:
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
            rows = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError) as cause:
        raise StudyError("The list of areas cannot be read.", where=str(path), found=str(cause)) from None
    return areas_from_rows(rows, unit=unit, where=path.name)


def areas_from_rows(rows: Iterable[dict[str, str]], *, unit: str, where: str = "areas") -> Areas:
    """Build `Areas` from rows of text, one dictionary each; see `read_areas`."""
    table = pd.DataFrame(list(rows), dtype=str).fillna("")
    missing = [column for column in ("code", "level", "name_fi") if column not in table.columns]
    if missing:
        raise StudyError(
            "The list of areas lacks columns.",
            where=where,
            found=", ".join(map(str, table.columns)) or "no columns",
            expected=", ".join(COLUMNS),
        )
    table = table.reindex(columns=list(COLUMNS), fill_value="").map(str.strip)
    faults = [
        Fault(what="An area is listed twice.", where=f"{where}, row {row + 2}", found=table["code"].iloc[row])
        for row in table.index[table["code"].duplicated()]
    ]
    for column in ("population", "tile_row", "tile_col"):
        numbers = pd.to_numeric(table[column].where(table[column] != ""), errors="coerce")
        bad = table.index[(table[column] != "") & (numbers.isna() | (numbers % 1 != 0) | (numbers < 0))]
        faults += [
            Fault(
                what=f"{column} is not a whole number.",
                where=f"{where}, row {row + 2}",
                found=repr(table[column].iloc[row]),
                expected="a whole number of at least 0, or nothing",
            )
            for row in bad
        ]
        table[column] = numbers.where(~numbers.index.isin(bad)).astype("Int64")
    if not (table["level"] == unit).any():
        levels = sorted(set(table["level"]))
        faults.append(
            Fault(what="No area is on the level of the units.", where=where, found=", ".join(levels), expected=repr(unit))
        )
    if faults:
        raise MekevalError.of(faults)
    return Areas(table=table.set_index("code"), unit=unit)
