"""Personal data in texts: e-mail addresses, Finnish personal identity codes and telephone numbers.

In: a text. Out: the kinds of personal data that it holds. Never: the data themselves, in a result or in a message.
"""

from __future__ import annotations

import datetime
import re
import unicodedata
from dataclasses import replace

from ..errors import Fault

#: What `personal_data` knows.
KINDS = ("an e-mail address", "a personal identity code", "a telephone number")
#: What a message shows in the place of a text with personal data in it.
WITHHELD = "a text with personal data, which is not repeated here"

_EMAIL, _CODE, _PHONE = KINDS
_CHECK = "0123456789ABCDEFHJKLMNPRSTUVWXY"
#: The century by its sign; since 2023 each of the last two has several (Digital and Population Data Services Agency).
_CENTURIES = {"+": 1800} | dict.fromkeys("-YXWVU", 1900) | dict.fromkeys("ABCDEF", 2000)

_DASHES = str.maketrans(dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212\ufe63\uff0d", "-"))
_UNSEEN = re.compile(r"[\u00ad\u200b-\u200f\u2060\ufeff]")
_AT = re.compile(
    r"[\w.+%'-]+\s?(?:@|[(\[{]\s?(?:at|ät)\s?[)\]}])\s?[\w-]+(?:\s?(?:\.|[(\[{]\s?(?:dot|piste)\s?[)\]}])\s?\w{2,})+",
    re.IGNORECASE,
)
_IDENTITY = re.compile(r"(?<![^\W_])(\d{6}) ?([-+YXWVUA-F]) ?(\d{3}) ?([0-9A-Z])(?![^\W_])", re.IGNORECASE)
#: The same without its sign, as forms store it: only with a letter at the end, or any number would do.
_BARE_IDENTITY = re.compile(r"(?<![^\W_])(\d{6})()(\d{3})([A-Z])(?![^\W_])", re.IGNORECASE)
_DATES = (
    re.compile(r"(?<!\d)(?P<d>\d{1,2})(?P<s>[./ -])(?P<m>\d{1,2})(?P=s)(?P<y>(?:19|20)\d\d)(?!\d)"),
    re.compile(r"(?<!\d)(?P<y>(?:19|20)\d\d)(?P<s>[./ -]?)(?P<m>\d\d)(?P=s)(?P<d>\d\d)(?!\d)"),
    re.compile(r"(?<!\d)(?P<d>\d\d)(?P<m>\d\d)(?P<y>20[0-4]\d)(?!\d)"),
)
_BUSINESS = re.compile(r"(?<!\d)(\d{7})-(\d)(?!\d)")
_DIALLED = re.compile(
    r"(?<![\w+])(?:"
    r"(?:\+|00)[1-9](?:[ ()/.-]{0,2}\d){6,13}"  # with the code of a country
    r"|\(?0(?:4\d|50|45\d|49\d)\)?(?:[ ./-]{0,2}\d){5,9}"  # mobile
    r"|\(?0[1-9]\d?\d?\)?[ /-]{1,2}\d(?:[ -]?\d){4,8}"  # an area code by itself, then the number
    r"|0[1-9]\d{5,10}"  # all in one
    r")(?!\d)"
)
_MONEY = re.compile(r"\s?(?:[.,]\d\d?\s?)?(?:€|eur\b|euro|%)", re.IGNORECASE)


def personal_data(text: str) -> tuple[str, ...]:
    """The kinds of personal data that a text holds.

    Parameters
    ----------
    text : str

    Returns
    -------
    tuple of str
        Some of `KINDS`, each once; empty where none was found.

    Notes
    -----
    Patterns find what has a form: addresses, codes and numbers, also written with blanks, other dashes or full-width
    digits. A name, a street or a story by which a neighbour is known has none; a person must look for these. What has
    the form of an identity code and the day of a date is taken for one even where its check character is wrong: a slip
    of the pen does not make it anonymous. Dates, amounts of money, postal codes and business identity codes pass.

    Examples
    --------
    >>> personal_data("Contact: maija (at) example.fi"), personal_data("13.10.2024, 5 000 EUR, 01300 Vantaa")
    (('an e-mail address',), ())
    >>> personal_data("131052-308T")  # the sample code of the authority
    ('a personal identity code',)
    """
    plain = _UNSEEN.sub("", unicodedata.normalize("NFKC", text)).translate(_DASHES)
    plain = re.sub(r"\s", " ", plain)
    found = []
    if _AT.search(plain):
        found.append(_EMAIL)
    coded = any(_is_code(*match) for match in _IDENTITY.findall(plain))
    if coded or any(_is_code(*match) for match in _BARE_IDENTITY.findall(plain)):
        found.append(_CODE)
    if _has_number(plain):
        found.append(_PHONE)
    return tuple(found)


def check_character(day: str, number: str) -> str:
    """The last character of a personal identity code: the remainder by 31 of its nine digits, as a sign.

    Examples
    --------
    >>> check_character("131052", "308")
    'T'
    """
    return _CHECK[int(day + number) % 31]


def withheld(text: str, *, most: int = 60) -> str:
    """A text as a message may show it: not where it holds personal data, else short."""
    if personal_data(text):
        return WITHHELD
    return repr(text if len(text) <= most else text[: most - 1] + "…")


def harmless(fault: Fault) -> Fault:
    """A fault of another module as it may be shown: without what it repeats of a row or a heading."""
    found = fault.found.partition(", the first ")[0]  # the beginning of a cell may be a part of an address
    told = {"found": found, "what": fault.what, "where": fault.where, "expected": fault.expected}
    clean = {name: WITHHELD if personal_data(one) else one for name, one in told.items()}
    place = fault.place
    if place is not None and personal_data(place.column):
        place = replace(place, column="")
        clean["where"] = str(place)
    return replace(fault, **clean, place=place)


def _is_code(day: str, sign: str, number: str, check: str) -> bool:
    century = _CENTURIES.get(sign.upper())
    years = (1900, 2000) if century is None else (century,)
    if not any(_is_day(int(day[:2]), int(day[2:4]), one + int(day[4:])) for one in years):
        return False
    return bool(sign) or check_character(day, number) == check.upper()


def _is_day(day: int, month: int, year: int) -> bool:
    try:
        datetime.date(year, month, day)
    except ValueError:
        return False
    return True


def _has_number(text: str) -> bool:
    for form in _DATES:
        text = form.sub(lambda m: " . " if _is_day(int(m["d"]), int(m["m"]), int(m["y"])) else m[0], text)
    text = _BUSINESS.sub(lambda m: " . " if _is_business(m[1], m[2]) else m[0], text)
    for match in _DIALLED.finditer(text):
        groups = re.findall(r"\d+", match[0])
        thousands = all(len(group) == 3 for group in groups) and re.search(r"\d[ .]$", text[: match.start()])
        if not thousands and not _MONEY.match(text, match.end()):
            return True
    return False


def _is_business(digits: str, check: str) -> bool:
    """Whether a Finnish business identity code has the check digit that its digits ask for."""
    rest = sum(int(one) * weight for one, weight in zip(digits, (7, 9, 10, 5, 8, 4, 2), strict=True)) % 11
    return rest != 1 and (11 - rest) % 11 == int(check)
