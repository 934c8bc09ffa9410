"""What a label says: the item, its group, the year; and what the study says of the year where the label is silent.

In: names of columns and texts of cells. Out: items and years. Never: a year that neither the file nor the study says.
"""

from __future__ import annotations

import re

from ..errors import DataError, Fault
from ..study import SourceSpec

_MOST_LABEL = 500
_YEAR_LABEL = re.compile(r"^(?P<item>.*?),?\s+(?P<year>(?:19|20)\d\d)\*?(?P<group>\s*\([A-Z]{2}\))?$")
#: The year first, as two rows of headings give it when the upper one holds the years.
_YEAR_FIRST = re.compile(r"^(?P<year>(?:19|20)\d\d)\*?,\s+(?P<item>.*\S)$")
#: A year as a text of its own; a star marks provisional figures.
YEAR = re.compile(r"((?:19|20)\d\d)\*?")
#: A year as a number of a sheet, or as its first or last day.
_WRITTEN = re.compile(
    r"(?P<plain>(?:19|20)\d\d)(?:\*|[.,]0+)?"
    r"|(?:(?P<first>0?1[./]0?1[./])|31[./]12[./])(?P<local>(?:19|20)\d\d)(?: 0?0[:.]00(?:[:.]00)?)?"
    r"|(?P<iso>(?:19|20)\d\d)-(?:(?P<january>01-01)|12-31)(?:[T ]00:00(?::00(?:\.0+)?)?)?"
)
_GROUP = re.compile(r"\(([A-Z]{2})\)$|^([a-z]{2})_")
#: Names of columns that hold years, whatever the rest of the file is.
YEAR_NAMES = frozenset({"vuosi", "tilastovuosi", "year", "år"})


def label_key(label: str) -> str:
    """The form in which labels are compared: spaces joined, case ignored."""
    return " ".join(label.split()).casefold()


def split_label(header: str) -> tuple[str, int | None]:
    """The item and the year in a column name.

    Examples
    --------
    >>> split_label("Median income of inhabitants, 2015 (HR)")
    ('Median income of inhabitants (HR)', 2015)
    >>> split_label("hr_mtu")
    ('hr_mtu', None)
    >>> split_label("2019, Inhabitants")
    ('Inhabitants', 2019)
    """
    header = header.strip()
    match = _YEAR_LABEL.match(header) if len(header) <= _MOST_LABEL else None
    if not match:
        first = _YEAR_FIRST.match(header)
        return (first["item"], int(first["year"])) if first else (header, None)
    group = (match["group"] or "").strip()
    return f"{match['item'].strip()} {group}".strip(), int(match["year"])


def group_of(label: str) -> str:
    """The group of statistics that a label names, as Paavo writes it; nothing where it names none.

    Examples
    --------
    >>> group_of("Median income of inhabitants (HR)"), group_of("hr_mtu"), group_of("income")
    ('HR', 'HR', '')
    """
    match = _GROUP.search(label)
    return (match.group(1) or match.group(2)).upper() if match else ""


def year_in(text: str) -> tuple[int, str] | None:
    """The year that a text is and the day by which it says so; None where it is none, or a day amid a year.

    The first and the last day of a year stand for the year that they lie in.

    Examples
    --------
    >>> year_in("2019*"), year_in("2019.0"), year_in("31.12.2019"), year_in("2020-01-01T00:00:00")
    ((2019, ''), (2019, ''), (2019, '31.12.'), (2020, '1.1.'))
    >>> year_in("30.6.2019"), year_in("2019-06")
    (None, None)
    """
    match = _WRITTEN.fullmatch(text.strip()) if len(text) < 60 else None
    if match is None:
        return None
    if match["plain"]:
        return int(match["plain"]), ""
    return int(match["local"] or match["iso"]), "1.1." if match["first"] or match["january"] else "31.12."


def year_of(label: str, source: SourceSpec) -> int:
    """The year that an item without a year in its name describes, from the study: by item, by group, or for all.

    Groups of one release describe different years (Paavo 2021: income of 2019, activity of 2018), so a release
    year minus two is never assumed.
    """
    group = group_of(label)
    years = {label_key(key): year for key, year in source.years.items()}
    for key in (label_key(label), label_key(group)):
        if key in years:
            return years[key]
    if source.year is not None:
        return source.year
    raise DataError(
        "The year of a column is not known.",
        where=f"{source.file}, column {label[:200]!r}",
        expected="a year in the column's name, or in study.toml `year = …`"
        + (f" or `years = {{ {group} = … }}`" if group else f" or `years = {{ {label} = … }}`"),
    )


def idle_year(source: SourceSpec, told: str) -> tuple[Fault, ...]:
    """The fault of a study that says a year although the file tells the year of every cell, and where it does."""
    return tuple(
        Fault(
            what=f"The study says a year, and the file tells it: `{key}` would be passed over.",
            where=f"study.toml, source {source.file!r}",
            found=f"{key} = {given}, and years in {told}",
            fix=f"Leave `{key}` out; or correct the items, if the study means others.",
        )
        for key, given in (("year", source.year), ("years", dict(source.years)))
        if given
    )
