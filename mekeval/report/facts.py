"""What the log found and expected, and the form of a file, in the language of the report: the log has one language.

In: a fact as the log or a reader of files wrote it. Out: the same in the reader's language. Never: a fact lost: one of
no known form stays as it is.
"""

from __future__ import annotations

import re
from functools import partial

from ..text import Texts

_NUMBER = r"([+-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?)"
#: Key of the text and the form of the fact; the groups are its parts `a`, `b` and so on, in order. What each part is:
#: a value (with the unit), a number (without it), a year or a name as it stands.
_FORMS = tuple(
    (key, re.compile(form), parts)
    for key, form, parts in (
        ("number", _NUMBER, ("value",)),
        ("about", rf"about {_NUMBER}", ("value",)),
        ("about_percent", rf"about {_NUMBER} ?%", ("number",)),
        ("change", rf"{_NUMBER} from (\d{{4}}) to (\d{{4}}) in (\d+) areas", ("value", "", "", "number")),
        (
            "change_percent",
            rf"{_NUMBER} ?% from (\d{{4}}) to (\d{{4}}) in (\d+) areas",
            ("number", "", "", "number"),
        ),
        ("times", rf"{_NUMBER} times the value of (\d{{4}})", ("number", "")),
        ("times_areas", rf"{_NUMBER} times the value of (\d{{4}}) in (\d+) areas", ("number", "", "number")),
        ("same_size", r"values of about the same size", ()),
        ("at_least", r"at least 0 persons", ()),
        ("below_zero", r"a negative denominator", ()),
        ("top_at_least", r"a numerator of at least 0", ()),
        ("top_at_most", r"a numerator of at most the denominator", ()),
        ("of", rf"{_NUMBER} of {_NUMBER}", ("number", "number")),
        ("range", rf"{_NUMBER} to {_NUMBER}", ("number", "number")),
        ("revised", rf"{_NUMBER} -> {_NUMBER} \((.*)\)", ("number", "number", "")),
        ("hidden", r"not shown: too few people, or no value \((.*)\)", ("",)),
        ("same_row", r"the same as row (\d+)", ("",)),
        ("same_column", r"the same as column (.*)", ("",)),
        ("one_row", r"one row", ()),
    )
)
#: What readers say of the form of a file, each after a comma or at the start; keywords of the file itself stay.
_NOTES = tuple(
    (key, re.compile(rf"(?<![^ ]){form}"))
    for key, form in (
        ("separator", r"separator ('.+?')(?=,|$)"),
        ("line_ends", r"line ends (CRLF|CR|LF|mixed)\b"),
        ("says", r"\(the file says ([^)]*)\)"),
        ("languages", r"languages ((?:[\w-]+)(?:, [a-z]{2}\b)*)"),
        ("precision", r"PRECISION of ('[^']*') "),
        ("sheet", r"sheet ('.*?')(?=,|$)"),
        ("merged", r"merged headings (\w+:\w+(?:, \w+:\w+)*)"),
        ("aside", r"columns left aside: "),
        ("footer", r"(\d+) rows at the end left out, from row (\d+)"),
        ("no_end", r"the last line has no end: a cut inside its last cell would not be seen"),
        ("zeros", r"(\d+) of (\d+) rows are left out of the file: zeros \(KEYS\)"),
        ("sotkanet", r"areas are Sotkanet's own numbers of regions, unless the file was fetched with codes"),
        ("unit_of", r"unit of ('[^']*'): "),
        ("with_status", r"(\d+) values with status ('[^']*')"),
        ("area_is", r"area: dimension ('[^']*')"),
        ("item_is", r"item: dimension ('[^']*')"),
        ("year_is", r"year: dimension ('[^']*')"),
    )
)
_MOST_FORM = (
    240  # characters: a file may say more of itself than a table has room for; files.csv has all of it
)


def fact(text: str, texts: Texts, *, unit: str = "plain", change: bool = False) -> str:
    """A fact of the log as a reader writes it, with its unit; one of no known form as it stands.

    Parameters
    ----------
    text : str
    texts : Texts
    unit : str
        Of the values.
    change : bool
        Whether the values are differences: of percentages they are percentage points.

    Examples
    --------
    >>> fact("+11.4 from 2017 to 2020 in 83 areas", Texts("en"), unit="percent", change=True)
    '+11.4 pp from 2017 to 2020 in 83 areas'
    >>> fact("about 2.877e+04", Texts("en"), unit="eur")
    'about EUR 28,770'
    """
    for key, form, kinds in _FORMS:
        found = form.fullmatch(text)
        if found is None:
            continue
        parts = {
            name: _number(part, texts) if kind else part
            for name, part, kind in zip("abcd", found.groups(), kinds, strict=False)
        }
        if kinds[:1] == ("value",):
            parts["a"] = texts(f"unit.{unit}.{'short' if change else 'level'}", number=parts["a"])
        said = texts(f"quality.fact.{key}", **parts)
        return texts(f"unit.{unit}.level", number=said) if key == "range" else said
    return text


def form_of(text: str, texts: Texts) -> str:
    """The form of a file as the reader found it, in the language of the report.

    Examples
    --------
    >>> form_of("ISO-8859-1, separator ','", Texts("fi"))
    "ISO-8859-1, erotin ','"
    """
    for key, form in _NOTES:
        text = form.sub(partial(_note, key, texts), text)
    return text if len(text) <= _MOST_FORM else f"{text[:_MOST_FORM].rstrip()}…"


def _note(key: str, texts: Texts, found: re.Match[str]) -> str:
    return texts(f"quality.form.{key}", **dict(zip("ab", found.groups(), strict=False)))


def least_digits(value: float, decimals: int) -> int:
    """So many decimals, or as many more as a number needs that would be written as zero.

    Examples
    --------
    >>> least_digits(12.34, 1), least_digits(-0.0123, 1), least_digits(0.0, 1)
    (1, 2, 1)
    """
    more = range(decimals, 13)
    return next((digits for digits in more if round(abs(value), digits)), decimals) if value else decimals


def _number(part: str, texts: Texts) -> str:
    """A number in the language's form, with its sign and at most two decimals, more where it would be zero."""
    value = float(part)
    if not abs(value) < 1e12:
        return part
    given = 0 if "e" in part else len(part.partition(".")[2])
    decimals = 0 if abs(value) >= 1000 else min(given, 2) if abs(value) >= 0.1 else given
    return texts.number(value, least_digits(value, decimals), sign=part.startswith("+"))
