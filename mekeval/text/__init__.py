"""The words and number forms of the reports, a folder of TOML files for each language.

In: a language code and a key. Out: text. Never: a fallback to another language; a missing key is an error.
"""

from __future__ import annotations

import datetime
import re
import tomllib
from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import cache
from importlib import resources

from babel import Locale
from babel.dates import format_date
from babel.numbers import get_decimal_symbol, get_group_symbol

from ..definition import LANGUAGES as LANGUAGES
from ..errors import MekevalError, closest

MINUS = "\N{MINUS SIGN}"
NO_BREAK = "\N{NO-BREAK SPACE}"
#: Digits after the decimal sign that suit a unit.
DIGITS = {"percent": 1, "eur": 0, "persons": 0, "number": 0, "m2": 1, "index": 1, "log": 3}
_LOCALES = {"fi": "fi_FI", "sv": "sv_FI", "en": "en_GB"}
#: Controls but tab and line ends, marks of direction, what has no width, separators of lines, halves of characters.
_HIDING = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u180e\u200b\u200e\u200f\u2028-\u202e"
    r"\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)


class Texts:
    """The strings of one language.

    Parameters
    ----------
    language : str
        One of `LANGUAGES`.

    Raises
    ------
    MekevalError
        The language has no texts.

    Examples
    --------
    >>> texts = Texts("en")
    >>> texts.number(-1234.5, 1)
    '−1,234.5'
    >>> Texts("fi").number(1234.5, 1)
    '1\\xa0234,5'
    """

    def __init__(self, language: str) -> None:
        if language not in LANGUAGES:
            raise MekevalError(
                "There are no texts in this language.",
                where="language",
                found=repr(language),
                expected=closest(language, LANGUAGES),
            )
        self.language = language
        self._strings = _strings(language)

    def __call__(self, key: str, **parts: object) -> str:
        """Fill the string of a key; a missing key or part is an error that names it.

        After a part that ends in a full stop, such as "%-enh.", the sentence's own is left out.
        """
        try:
            string = self._strings[key]
            said = string.format_map(parts)
        except KeyError as missing:
            raise MekevalError(
                "A text or a part of it is missing.",
                where=f"text/{self.language}, key {key!r}",
                found=f"no {missing}",
                expected=closest(key, self._strings) if key not in self._strings else ", ".join(parts),
            ) from None
        if ".." in said:
            for name, part in parts.items():
                if f"{{{name}}}." in string and str(part).endswith("."):
                    said = said.replace(f"{part}.", str(part))
        return said

    def __contains__(self, key: str) -> bool:
        return key in self._strings

    def number(self, value: float, decimals: int = 0, *, sign: bool = False) -> str:
        """A number in the language's form, with a true minus sign and no-break spaces.

        Parameters
        ----------
        value : float
        decimals : int
            Digits after the decimal sign, always shown.
        sign : bool
            Whether a positive number carries a plus sign.
        """
        # As Babel's pattern "#,##0.00" does it, in a tenth of the time.
        digits = Decimal(str(abs(value)))
        text = "\N{INFINITY}"
        if not digits.is_infinite():
            text = f"{digits.quantize(Decimal((0, (1,), -decimals))):,f}".translate(_signs(self.language))
        rounds_to_zero = not any(digit in text for digit in "123456789")
        if value < 0 and not rounds_to_zero:
            return MINUS + text
        return "+" + text if sign and not rounds_to_zero else text

    def short(self, value: float) -> str:
        """A number with the decimals it has, at most six."""
        digits = f"{value:.6f}".rstrip("0").partition(".")[2]
        return self.number(value, len(digits))

    def date(self, day: datetime.date) -> str:
        """A day as the language writes it: "30 June 2024"."""
        return str(format_date(day, format="long", locale=_LOCALES[self.language])).replace(" ", NO_BREAK)

    def join(self, words: list[str]) -> str:
        """Join words as the language does: "a, b and c"."""
        if len(words) < 2:
            return "".join(words)
        return f"{', '.join(words[:-1])} {self('list.and')} {words[-1]}"


def ranges(years: Iterable[int]) -> str:
    """Years as a reader writes them, runs joined.

    Examples
    --------
    >>> ranges([2012, 2013, 2014, 2018])
    '2012–2014, 2018'
    """
    runs: list[list[int]] = []
    for year in sorted(years):
        if runs and year == runs[-1][-1] + 1:
            runs[-1].append(year)
        else:
            runs.append([year])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}\N{EN DASH}{run[-1]}" for run in runs)


def visible(text: str) -> str:
    r"""A text whose control characters are shown: none turns the words after it around, or hides.

    White space stays as it is, and so do a soft hyphen and the joiners of letters.

    Examples
    --------
    >>> visible("\u202ekatu")
    '\\u202ekatu'
    """
    return _HIDING.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def keys(language: str) -> frozenset[str]:
    """All keys of a language, dotted."""
    return frozenset(_strings(language))


@cache
def _signs(language: str) -> dict[int, str]:
    """What stands in the language for the signs of a plain number: between thousands, before decimals."""
    locale = Locale.parse(_LOCALES[language])
    return str.maketrans(
        {",": get_group_symbol(locale).replace(" ", NO_BREAK), ".": get_decimal_symbol(locale)}
    )


@cache
def _strings(language: str) -> Mapping[str, str]:
    flat: dict[str, str] = {}

    def walk(prefix: str, node: Mapping[str, object]) -> None:
        for name, value in node.items():
            if isinstance(value, Mapping):
                walk(f"{prefix}{name}.", value)
            else:
                flat[prefix + name] = str(value)

    for part in resources.files(__package__).joinpath(language).iterdir():
        walk("", tomllib.loads(part.read_text(encoding="utf-8")))
    return flat
