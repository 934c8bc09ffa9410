"""Personal data in texts: e-mail addresses, Finnish personal identity codes and telephone numbers.

In: a text. Out: the kinds of personal data that it holds. Never: the data themselves, in a result or in a message.
"""

from __future__ import annotations

import datetime
import html
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

_ALIKE = str.maketrans(
    dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212\ufe63\uff0d", "-") | {"\u00b7": "."}
)
_UNSEEN = re.compile(r"[\u00ad\u200b-\u200f\u2060\ufeff]")
_DOT = r"(?:\.| \. ?|\. (?=(?:fi|com|net|org|eu|se)\b)|\s?[(\[{]\s?(?:dot|piste)\s?[)\]}]\s?)"
_ADDRESSES = (
    re.compile(
        rf"[\w.+%'-]\s?(?:@|[(\[{{]\s?(?:at?|ät|miukumauku)\s?[)\]}}])\s?[\w-]+(?:{_DOT}\w{{2,}})+",
        re.IGNORECASE,
    ),
    re.compile(r"\w[ _](?:miukumauku|at|ät)[ _][\w-]+(?: (?:dot|piste) \w{2,})+", re.IGNORECASE),
    re.compile(r"\w(?:_at_|[ _]miukumauku[ _])[\w-]+(?:\.\w{2,})+", re.IGNORECASE),
)
_IDENTITY = re.compile(r"(?<![^\W_])(\d{6}) ?([-+YXWVUA-F]) ?(\d{3}) ?([0-9A-Z])(?![^\W_])", re.IGNORECASE)
#: In a word, without its sign or with others, as forms and pens have it: only with the right letter at the end, or
#: any number would do.
_HIDDEN_IDENTITIES = (
    re.compile(r"(?<!\d)(\d{6}) ?[-+YXWVUA-F]? ?(\d{3})([A-Y])", re.IGNORECASE),
    re.compile(
        r"(?<!\d)(\d ?\d[ .]?\d ?\d[ .]?(?:19|20)?\d ?\d)"  # the day
        r"(?: |[-+_/=.()]|[YXWVUA-F](?![^\W\d])){0,4}(\d ?\d ?\d)[ -]?([A-Y])(?![^\W_])",
        re.IGNORECASE,
    ),
)
_DATES = (
    re.compile(r"(?<!\d)(?P<d>\d{1,2})(?P<s>[./ -])(?P<m>\d{1,2})(?P=s)(?P<y>(?:19|20)\d\d)(?!\d)"),
    re.compile(r"(?<!\d)(?P<y>(?:19|20)\d\d)(?P<s>[./ -]?)(?P<m>\d\d)(?P=s)(?P<d>\d\d)(?!\d)"),
    re.compile(r"(?<!\d)(?P<d>\d\d)(?P<m>\d\d)(?P<y>20[0-4]\d)(?!\d)"),
)
_BUSINESS = re.compile(r"(?<!\d)(\d{7})-(\d)(?!\d)")
#: Of a telephone number; an identity code has more.
_FEWEST_DIGITS = 7
_ISBN = re.compile(r"(?<!\d)97[89](?:[ -]?\d){10}(?!\d)")
_DIALLED = re.compile(
    r"(?<![\d+])(?<!\d[.,])(?:"
    r"(?:(?:\+|00)[1-9]|358(?=\D{0,3}0?\D{0,2}(?:4|50)))(?:[ ()/._-]{0,3}\d){6,13}"  # with the code of a country
    r"|\(?0\)?(?:4\d|50)\)?(?:[ ./_-]{0,3}\d){5,9}"  # mobile
    r"|(?<!\w)(?:\(0[1-9]\d?\)|0[1-9]\d?(?=[ /-]))[ /-]{0,3}[1-9](?:[ -]?\d){4,8}"  # an area code by itself
    r"|(?<!\w)0[1-9]\d{5,10}"  # all in one
    r")(?!\d)"
)
#: A mobile number as a spreadsheet has it that took it for a number: alone in its cell, without the zero.
_UNSIGNED = re.compile(r"(?:4\d|50)\d{7}")
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
    plain = _UNSEEN.sub("", unicodedata.normalize("NFKC", html.unescape(text))).translate(_ALIKE)
    plain = re.sub(r"\s+", " ", plain).replace("%40", "@")
    found = []
    if any(form.search(plain) for form in _ADDRESSES):
        found.append(_EMAIL)
    if sum(map(str.isdecimal, plain)) < _FEWEST_DIGITS:
        return tuple(found)
    if _has_code(plain):
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


def _has_code(text: str) -> bool:
    for day, sign, _, _ in _IDENTITY.findall(text):
        if _is_birthday(day, (_CENTURIES[sign.upper()],)):
            return True
    for form in _HIDDEN_IDENTITIES:
        for written, number, check in form.findall(text):
            digits = re.sub(r"\D", "", written)
            day = digits[:4] + digits[-2:]
            right = check_character(day, number.replace(" ", "")) == check.upper()
            if right and _is_birthday(day, (1800, 1900, 2000)):
                return True
    return False


def _is_birthday(day: str, centuries: tuple[int, ...]) -> bool:
    return any(_is_day(int(day[:2]), int(day[2:4]), one + int(day[4:])) for one in centuries)


def _is_day(day: int, month: int, year: int) -> bool:
    try:
        datetime.date(year, month, day)
    except ValueError:
        return False
    return True


def _has_number(text: str) -> bool:
    for form in _DATES:
        text = form.sub(lambda m: " . " if _is_day(int(m["d"]), int(m["m"]), int(m["y"])) else m[0], text)
    text = _ISBN.sub(" . ", text)
    text = _BUSINESS.sub(lambda m: " . " if _is_business(m[1], m[2]) else m[0], text)
    if _UNSIGNED.fullmatch(text.strip()):
        return True
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
