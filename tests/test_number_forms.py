"""Numbers as reports write them, against Babel's own decimal patterns."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from babel.numbers import format_decimal

from mekeval.text import Texts

MINUS = "\N{MINUS SIGN}"
LOCALES = {"fi": "fi_FI", "sv": "sv_FI", "en": "en_GB"}
DECIMALS = range(6)


def by_babel(value: float, decimals: int, language: str, *, sign: bool) -> str:
    """Babel's number of the size, and the sign by the rule: a true minus, and none of what is rounded to zero."""
    pattern = "#,##0" + ("." + "0" * decimals if decimals else "")
    size = format_decimal(Decimal(str(abs(value))), format=pattern, locale=LOCALES[language])
    if not any(digit in size for digit in "123456789\N{INFINITY}"):
        return str(size)
    return (MINUS if value < 0 else "+" if sign else "") + str(size)


@pytest.mark.parametrize("language", LOCALES)
def test_numbers_of_every_size_are_written_as_babel_writes_them(language: str) -> None:
    texts, generator = Texts(language), np.random.default_rng(1)
    sizes = 10.0 ** generator.uniform(-7, 13, 600) * generator.choice([-1.0, 1.0], 600)
    rounded = np.round(generator.normal(scale=200, size=300), 2)
    for value in (*sizes.tolist(), *rounded.tolist()):
        for decimals in DECIMALS:
            for sign in (False, True):
                expected = by_babel(value, decimals, language, sign=sign)
                assert texts.number(value, decimals, sign=sign) == expected, (value, decimals, sign)


@pytest.mark.parametrize("language", LOCALES)
@pytest.mark.parametrize(
    "value",
    [
        0.0,
        -0.0,
        0.5,
        1.5,
        2.5,
        -2.5,
        0.05,
        0.15,
        0.25,
        2.675,
        1.005,
        999.5,
        999.9999999,
        1000.0,
        1e6,
        1e15,
        1e16,
        1.5e21,
        1e-7,
        -0.04,
        -0.0499999,
        9.995,
        12345678.9,
    ],
)
def test_halves_borders_and_zeros_are_written_as_babel_writes_them(language: str, value: float) -> None:
    texts = Texts(language)
    for decimals in DECIMALS:
        for sign in (False, True):
            expected = by_babel(value, decimals, language, sign=sign)
            assert texts.number(value, decimals, sign=sign) == expected


def test_the_signs_of_a_language_by_hand() -> None:
    """The forms that the languages' own style guides give: 1 234,5 and 1,234.5."""
    gap = "\N{NO-BREAK SPACE}"
    assert Texts("fi").number(-1234.5, 1) == f"{MINUS}1{gap}234,5"
    assert Texts("sv").number(1234567.0) == f"1{gap}234{gap}567"
    assert Texts("en").number(1234.5, 1, sign=True) == "+1,234.5"
