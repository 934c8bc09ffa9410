"""Records of activities and feedback, as CSV or xlsx -> tables, with every fault at its row.

In: the files that developers fill in. Out: tidy frames. Never: a row that is not understood, a fault that hides
another, or personal data: neither in a frame nor in a message.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd
from babel import Locale

from ..areas import Areas
from ..areas.listing import fold
from ..errors import DataError, Fault, MekevalError, Place, StudyError, closest
from ..sources.table import Table, csv_table
from ..sources.workbook import xlsx_table
from ..study import SourceSpec
from .personal import harmless, personal_data, withheld
from .schema import ACTIVITY_COLUMNS, DEFINITION, EVENT, FEEDBACK_COLUMNS, Listed, MonitoringSpec

#: What parts several words of one cell: partners, languages, codes.
SEPARATOR = ";"
_ISO_DAY = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?)?"
)  # the time of a form is left out
_FINNISH_DAY = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})")
_WHOLE = re.compile(r"\d{1,7}", re.ASCII)
_AMOUNT = re.compile(r"(?:\d{1,3}(?:[ \N{NO-BREAK SPACE}]\d{3})+|\d{1,9})(?:[.,]\d{1,2})?", re.ASCII)
_NEGATIVE = re.compile(r"[-\N{MINUS SIGN}\N{EN DASH}]\s*\d")
_YES = {fold(word): True for word in ("yes", "kyllä", "ja", "true", "1", "x", "k")}
_NO = {fold(word): False for word in ("no", "ei", "nej", "false", "0", "e")}
_SPOKEN = frozenset(Locale("en").languages)
_REQUIRED = {"activities": ("date", "major_area", "type"), "feedback": ("date", "major_area")}


def read_activities(path: Path, spec: MonitoringSpec, areas: Areas) -> pd.DataFrame:
    """Read the events.

    Parameters
    ----------
    path : Path
        CSV or xlsx with the columns of `ACTIVITY_COLUMNS`, and `event` if wanted; date, major_area and type are
        filled in every row, what else is empty is not known.
    spec : MonitoringSpec
    areas : Areas

    Returns
    -------
    pandas.DataFrame
        One row for each event: `row` (in the file), `date` (datetime64), `year`, `quarter` (int), `area`, `district`
        (codes; empty where none), `type`, `theme` (names), `partner`, `languages` (several parted by ";", sorted),
        `participants` (Int64, persons), `accessible` (boolean), `cost` (Float64, EUR), `event` (text).

    Raises
    ------
    DataError
        Every fault of the file, with its row and column. Personal data are told by row, column and kind alone.
    """
    sheet = _sheet(path, spec, "activities", (*ACTIVITY_COLUMNS, EVENT), ACTIVITY_COLUMNS)
    columns: dict[str, Sequence[object]] = {"row": sheet.rows}
    columns["date"] = sheet.read("date", lambda text: _day(text, spec), _days_expected(spec))
    columns |= _areas_of(sheet, spec, areas)
    columns["type"] = sheet.read("type", *_word(spec.type))
    columns["theme"] = sheet.read("theme", *_word(spec.theme), empty="")
    columns["partner"] = sheet.read("partner", _several, "names parted by ;", empty="")
    columns["participants"] = sheet.read(
        "participants", lambda text: int(_match(_WHOLE, text)), "a whole number from 0 on; empty if not known"
    )
    columns["languages"] = sheet.read("languages", _languages, "codes such as fi; sv; so", empty="")
    columns["accessible"] = sheet.read("accessible", _yes_or_no, "yes, no, or empty if not known")
    columns["cost"] = sheet.read("cost", _amount, "EUR from 0 on, such as 120 or 85,50; empty if not known")
    columns[EVENT] = sheet.read(EVENT, str, "", empty="")
    frame = pd.DataFrame(columns)
    sheet.refuse_twins(
        frame,
        ["date", "area", "district", "type", "theme", "partner", EVENT],
        "The event is there twice.",
        f"Leave one out. Two events of one day are told apart in the column {EVENT!r}, as by their time.",
    )
    sheet.refuse()
    frame["date"] = pd.to_datetime(frame["date"])
    frame = frame.astype({"participants": "Int64", "accessible": "boolean", "cost": "Float64"})
    frame = frame.assign(year=frame["date"].dt.year, quarter=frame["date"].dt.quarter)
    order = ["date", "area", "district", "type", "theme", "partner", EVENT]
    frame = frame.sort_values(order, kind="stable", ignore_index=True)
    return frame[
        [
            "row",
            "date",
            "year",
            "quarter",
            *dict.fromkeys(frame.columns.drop(["row", "date", "year", "quarter"])),
        ]
    ]


def read_feedback(path: Path, spec: MonitoringSpec, areas: Areas) -> pd.DataFrame:
    """Read the answers; parameters and errors as `read_activities`.

    Returns
    -------
    pandas.DataFrame
        One row for each answer: `row`, `date`, `year`, `quarter`, `area`, `district`, `activity` (a type; empty where
        the answer is about no event), each item (Int64, on the scale; <NA> where it was not answered), `language`,
        `text` (for coding alone: it never leaves), `codes` and every column `codes_…` of another coder (names parted
        by ";"; "" where a coder found none, <NA> where the text was not coded).
    """
    items = [one.name for one in spec.item]
    sheet = _sheet(path, spec, "feedback", (*FEEDBACK_COLUMNS, *items), (*FEEDBACK_COLUMNS, *items))
    low, high = spec.scale.low, spec.scale.high
    columns: dict[str, Sequence[object]] = {"row": sheet.rows}
    columns["date"] = sheet.read("date", lambda text: _day(text, spec), _days_expected(spec))
    columns |= _areas_of(sheet, spec, areas)
    columns["activity"] = sheet.read("activity", *_word(spec.type), empty="")
    for item in items:
        columns[item] = sheet.read(
            item, lambda text: _answer(text, low, high), f"{low} to {high}; empty if not answered"
        )
    columns["language"] = sheet.read("language", _language, "a code such as fi", empty="")
    columns["text"] = sheet.read("text", str, "", empty="")
    known = {fold(form): one.name for one in spec.code for form in _forms(one)} | {"-": ""}
    expected = "names of the codebook parted by ;, or - for none"
    for name in sheet.coders:
        columns[name] = sheet.read(name, lambda text: _codes(text, known), expected)
    frame = pd.DataFrame(columns)
    nothing = frame[items].isna().all(axis=1) & (frame["text"] == "")
    for row in frame.loc[nothing, "row"]:
        sheet.fault("The answer has neither an item nor a text.", row, fix="Leave the row out.")
    for name in sheet.coders:
        for row in frame.loc[frame[name].notna() & (frame["text"] == ""), "row"]:
            sheet.fault("Codes stand beside an empty text.", row, name, expected="an empty cell")
    sheet.refuse()
    frame["date"] = pd.to_datetime(frame["date"])
    frame = frame.astype(dict.fromkeys(items, "Int64"))
    frame = frame.assign(year=frame["date"].dt.year, quarter=frame["date"].dt.quarter)
    first = ["row", "date", "year", "quarter"]
    frame = frame[[*first, *frame.columns.drop(first)]]
    order = ["date", "area", "district", "activity", *items, "language", "text"]
    return frame.sort_values(order, kind="stable", ignore_index=True)


def empty_feedback(spec: MonitoringSpec) -> pd.DataFrame:
    """The table of `read_feedback` without an answer, while nothing was asked yet."""
    kinds = {"row": "int64", "date": "datetime64[ns]", "year": "int64", "quarter": "int64"}
    names = ["area", "district", "activity", *(one.name for one in spec.item), "language", "text", "codes"]
    kinds |= {name: "Int64" if name in {one.name for one in spec.item} else "object" for name in names}
    return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in kinds.items()})


@dataclass
class _Sheet:
    """The cells of a file by our names of the columns, and the faults that were found so far."""

    file: str
    rows: Sequence[int]
    cells: dict[str, list[str]]
    headings: dict[str, str]
    required: Sequence[str]
    coders: tuple[str, ...]
    faults: list[Fault]
    withheld: set[tuple[int, str]] = field(default_factory=set)

    def fault(
        self, what: str, row: int, name: str = "", *, found: str = "", expected: str = "", fix: str = ""
    ) -> None:
        place = Place(file=self.file, row=row, column=self.headings.get(name, name))
        self.faults.append(Fault(what=what, place=place, found=found, expected=expected, fix=fix))

    def read(
        self, name: str, understand: Callable[[str], object], expected: str, *, empty: object = pd.NA
    ) -> list[object]:
        """The cells of a column as values; `understand` raises ValueError for what it does not understand."""
        out: list[object] = []
        values: dict[str, object] = {}  # most cells of a column are alike
        for row, text in zip(self.rows, self.cells.get(name, [""] * len(self.rows)), strict=True):
            if not text:
                if name in self.required:
                    self.fault("A cell is empty.", row, name, expected=expected)
                out.append(empty)
                continue
            if (row, name) in self.withheld:  # told already, by what it holds
                out.append(empty)
                continue
            try:
                if text not in values:
                    values[text] = understand(text)
                out.append(values[text])
            except ValueError as cause:
                what, _, more = str(cause).partition("|")
                self.fault(what, row, name, found=withheld(text), expected=more or expected)
                out.append(empty)
        return out

    def refuse_twins(self, frame: pd.DataFrame, key: list[str], what: str, fix: str) -> None:
        """A row that is like an earlier one in the columns of the key; rows without a date or an area are none."""
        whole = frame.dropna(subset=key)
        first = whole.groupby(key, sort=False)["row"].transform("min")
        for row, of in zip(whole["row"], first, strict=True):
            if row != of:
                self.fault(what, int(row), found=f"the same as row {of}", fix=fix)

    def refuse(self) -> None:
        if self.faults:
            raise DataError.of(sorted(self.faults, key=lambda one: (one.place.row or 0) if one.place else 0))


def _sheet(
    path: Path, spec: MonitoringSpec, kind: str, known: Sequence[str], wanted: Sequence[str]
) -> _Sheet:
    """The cells of a file, searched for personal data first: before anything of it could stand in a message."""
    table = _table(path, kind, getattr(spec.files, f"{kind}_sheet"))
    headings = {name: name for name in known} | dict(spec.columns.get(kind, {}))  # type: ignore[call-overload]
    ours = {fold(heading): name for name, heading in headings.items()}
    faults = [harmless(fault) for fault in table.faults]
    cells: dict[str, list[str]] = {}
    coders = ["codes"] if kind == "feedback" else []
    hidden: set[tuple[int, str]] = set()
    for heading, column in zip(table.names, table.columns, strict=True):
        name = ours.get(fold(heading), "")
        if not name and kind == "feedback" and re.fullmatch(r"codes_[a-z0-9]{1,20}", heading.strip()):
            name = heading.strip()
        if kind == "feedback" and name.startswith("codes_"):
            coders.append(name)
        headings.setdefault(name, heading)
        private = personal_data(heading)
        shown = "" if private else heading
        if private:
            faults.append(_private(path.name, 1, "", private))
        elif not name:
            faults.append(
                Fault(
                    what="The table has a column that nobody asked for.",
                    place=Place(file=path.name, row=1, column=shown),
                    expected=closest(heading, [headings[one] for one in known]),
                    fix="Leave it out: what is not needed is not collected.",
                )
            )
        texts = [text.strip() for text in column]
        kinds = {text: personal_data(text) for text in set(texts)}
        for row, text in zip(table.rows, texts, strict=True):
            if found := kinds[text]:
                faults.append(_private(path.name, row, shown, found))
                hidden.add((row, name))
        if name:
            cells[name] = texts
    lacking = [headings[name] for name in wanted if name not in cells]
    if lacking:
        faults.append(
            Fault(
                what="The table lacks columns.",
                place=Place(file=path.name, row=1),
                found=withheld(", ".join(table.names), most=300),
                expected=", ".join(lacking),
            )
        )
    return _Sheet(
        file=path.name,
        rows=list(table.rows),
        cells=cells,
        headings=headings,
        required=_REQUIRED[kind] if not lacking else (),
        coders=tuple(dict.fromkeys(coders)),
        faults=faults,
        withheld=hidden,
    )


def _private(file: str, row: int, column: str, kinds: Iterable[str]) -> Fault:
    return Fault(
        what=f"The cell holds personal data: {', '.join(kinds)}.",
        place=Place(file=file, row=row, column=column),
        fix="Remove them at the source, and from every copy of the file; they are not repeated here.",
    )


def _table(path: Path, kind: str, sheet: str) -> Table:
    source = SourceSpec(
        file=path.name, reader=path.suffix[1:], vintage=2000, sha256="", items=("x",), table=sheet
    )
    if not path.is_file():
        raise StudyError("A file is missing.", where=str(path))
    try:
        return (xlsx_table if path.suffix == ".xlsx" else csv_table)(path, source)
    except MekevalError as cause:
        raise DataError.of(_ours(harmless(fault), kind) for fault in cause.faults) from None


def _ours(fault: Fault, kind: str) -> Fault:
    """A fault of a sheet, told by the key of `monitoring.toml` instead of that of a study."""
    if not fault.where.startswith("study.toml"):
        return fault
    key = f"{kind}_sheet"
    expected = fault.expected.replace("table = ", f"{key} = ")
    return replace(fault, where=f"{DEFINITION}, files.{key}", expected=expected)


def _areas_of(sheet: _Sheet, spec: MonitoringSpec, areas: Areas) -> dict[str, Sequence[object]]:
    """Codes of the areas and districts; a district must lie in its area."""
    table, own = areas.table, spec.areas
    known = [*own.codes, own.city]
    districts = list(table.index[table["level"] == own.part])

    def understand(among: Sequence[str], what: str) -> Callable[[str], str]:
        by_name: dict[str, set[str]] = {}
        for code in among:
            for form in (code, *(str(table.loc[code, f"name_{one}"]) for one in ("fi", "sv", "en"))):
                by_name.setdefault(fold(form), set()).add(code)
        names = [str(table.loc[code, "name_fi"]) for code in among]

        def code_of(text: str) -> str:
            codes = by_name.get(fold(text), set())
            if len(codes) != 1:
                near = "" if personal_data(text) else closest(text, names)
                raise ValueError(
                    f"{what}|{near}" if not codes else f"Two areas have this name.|{sorted(codes)}"
                )
            return next(iter(codes))

        return code_of

    first = sheet.read("major_area", understand(known, "The area is not known."), "an area")
    second = sheet.read(
        "district", understand(districts, "The district is not known."), "a district", empty=""
    )
    for row, area, district in zip(sheet.rows, first, second, strict=True):
        if (
            district
            and isinstance(area, str)
            and area in own.codes
            and area not in areas.ancestors(str(district))
        ):
            sheet.fault(
                "The district lies in another area.",
                row,
                "district",
                found=str(table.loc[str(district), "name_fi"]),
                expected="a district of " + str(table.loc[str(area), "name_fi"]),
            )
    return {"area": first, "district": second}


def _days_expected(spec: MonitoringSpec) -> str:
    about = spec.monitoring
    return f"a day from {about.first} to {about.last}, as 2024-05-03 or 3.5.2024"


def _day(text: str, spec: MonitoringSpec) -> datetime.date:
    parts = None
    if iso := _ISO_DAY.fullmatch(text):
        parts = [int(one) for one in iso.groups()]
    elif own := _FINNISH_DAY.fullmatch(text):
        parts = [int(one) for one in reversed(own.groups())]
    try:
        day = datetime.date(*parts) if parts else None
    except ValueError:
        day = None
    if day is None:
        raise ValueError("This is no day.")
    if not spec.monitoring.first <= day <= spec.monitoring.last:
        raise ValueError("The day lies outside the programme.")
    return day


def _forms(one: Listed) -> list[str]:
    return [form for form in (one.name, one.label.fi, one.label.sv, one.label.en) if form]


def _word(listed: Sequence[Listed]) -> tuple[Callable[[str], str], str]:
    known = {fold(form): one.name for one in listed for form in _forms(one)}

    def understand(text: str) -> str:
        name = known.get(fold(text))
        if name is None:
            near = "" if personal_data(text) else closest(text, [one.name for one in listed])
            raise ValueError(f"The word is not in the list.|{near}")
        return name

    return understand, ", ".join(one.name for one in listed)


def _match(form: re.Pattern[str], text: str) -> str:
    if _NEGATIVE.match(text):
        raise ValueError("The number is below zero.")
    if not form.fullmatch(text):
        raise ValueError("Text where a number is due.")
    return text


def _amount(text: str) -> float:
    bare = re.sub(r"\s*(?:€|eur)$", "", text, flags=re.IGNORECASE)
    return float(re.sub(r"[ \N{NO-BREAK SPACE}]", "", _match(_AMOUNT, bare)).replace(",", "."))


def _answer(text: str, low: int, high: int) -> int:
    if not re.fullmatch(r"-?\d{1,3}", text, re.ASCII):
        raise ValueError("The answer is not on the scale.")
    if not low <= (number := int(text)) <= high:
        raise ValueError("The answer is not on the scale.")
    return number


def _several(text: str) -> str:
    return SEPARATOR.join(sorted({" ".join(one.split()) for one in text.split(SEPARATOR)} - {""}))


def _language(text: str) -> str:
    code = text.strip().lower()
    if code not in _SPOKEN:
        raise ValueError("This is no code of a language.")
    return code


def _languages(text: str) -> str:
    return SEPARATOR.join(sorted({_language(one) for one in re.split(r"[;,/]", text) if one.strip()}))


def _yes_or_no(text: str) -> bool:
    answer = (_YES | _NO).get(fold(text))
    if answer is None:
        raise ValueError("This is neither yes nor no.")
    return answer


def _codes(text: str, known: dict[str, str]) -> str:
    parts = [one.strip() for one in text.split(SEPARATOR) if one.strip()]
    if any((one if one == "-" else fold(one)) not in known for one in parts):
        raise ValueError("The code is not in the codebook.")
    return SEPARATOR.join(sorted({known[one if one == "-" else fold(one)] for one in parts} - {""}))
