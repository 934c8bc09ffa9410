"""What the log found and expected, in the language of the report: the log itself has one language and plain numbers."""

from __future__ import annotations

import re

from ..text import Texts

_NUMBER = r"([+-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?)"
#: Key of the text and the form of the fact; the groups are its parts `a`, `b` and so on, in order.
_FORMS = tuple(
    (key, re.compile(form))
    for key, form in (
        ("number", _NUMBER),
        ("about", rf"about {_NUMBER}"),
        ("about_percent", rf"about {_NUMBER} ?%"),
        ("change", rf"{_NUMBER} from (\d{{4}}) to (\d{{4}}) in (\d+) areas"),
        ("change_percent", rf"{_NUMBER} ?% from (\d{{4}}) to (\d{{4}}) in (\d+) areas"),
        ("times", rf"{_NUMBER} times the value of (\d{{4}})"),
        ("times_areas", rf"{_NUMBER} times the value of (\d{{4}}) in (\d+) areas"),
        ("same_size", r"values of about the same size"),
        ("at_least", r"at least 0 persons"),
        ("below_zero", r"a negative denominator"),
        ("range", rf"{_NUMBER} to {_NUMBER}"),
        ("revised", rf"{_NUMBER} -> {_NUMBER} \((.*)\)"),
        ("hidden", r"not shown: too few people, or no value \((.*)\)"),
        ("one_row", r"one row"),
    )
)


def fact(text: str, texts: Texts) -> str:
    """A fact of the log as a reader writes it; one of no known form as it stands.

    Examples
    --------
    >>> fact("+11.4 from 2017 to 2020 in 83 areas", Texts("en"))
    '+11.4 from 2017 to 2020 in 83 areas'
    >>> fact("-0.5", Texts("en"))
    '−0.5'
    """
    for key, form in _FORMS:
        found = form.fullmatch(text)
        if found:
            parts = {name: _written(part, texts) for name, part in zip("abcd", found.groups(), strict=False)}
            return texts(f"quality.fact.{key}", **parts)
    return text


def _written(part: str, texts: Texts) -> str:
    """A number in the language's form, with its sign and at most two decimals; a year and a name as they are."""
    if not re.fullmatch(_NUMBER, part) or re.fullmatch(r"(?:19|20)\d\d", part):
        return part
    value = float(part)
    if not abs(value) < 1e12:
        return part
    given = 0 if "e" in part else len(part.partition(".")[2])
    decimals = 0 if abs(value) >= 1000 else min(given, 2) if abs(value) >= 0.1 else given
    return texts.number(value, decimals, sign=part.startswith("+"))
