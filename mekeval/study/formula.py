"""Sums of items, formulas and patterns: the little languages inside study.toml.

In: text. Out: names, signs, patterns. Never: anything evaluated.
"""

from __future__ import annotations

import re


def terms(expression: str) -> tuple[str, ...]:
    """Names in a sum of items: "unemployed + employed" gives ("unemployed", "employed")."""
    return tuple(name for _, name in signed_terms(expression))


def signed_terms(expression: str) -> tuple[tuple[int, str], ...]:
    """Signs and names in a sum: "adults - educated" gives ((1, "adults"), (-1, "educated"))."""
    parts = re.split(r"([+-])", expression)
    signs = [1, *(1 if mark == "+" else -1 for mark in parts[1::2])]
    return tuple((sign, part.strip()) for sign, part in zip(signs, parts[::2], strict=True))


def split_formula(formula: str) -> tuple[str, str]:
    """The sums above and below the line of a formula; nothing below where it has no line.

    Raises
    ------
    ValueError
        It is more than one sum, or one sum over another.

    Examples
    --------
    >>> split_formula("unemployed / (unemployed + employed)")
    ('unemployed', 'unemployed + employed')
    """
    sums = [part.strip() for part in formula.split("/")]
    bare = [part[1:-1].strip() if part.startswith("(") and part.endswith(")") else part for part in sums]
    one = r"[a-z][a-z0-9_]*"
    if (
        len(bare) > 2
        or not all(re.fullmatch(rf"{one}(?:\s*[+-]\s*{one})*", part) for part in bare)
        or any("-" in part or "+" in part for part in sums if not part.startswith("(") and len(sums) == 2)
    ):
        raise ValueError("a sum of items, or one sum over another: (a + b) / (c - d)")
    return bare[0], bare[1] if len(bare) == 2 else ""


def checked(text: str) -> str:
    """A formula that can be split, or none."""
    if text:
        split_formula(text)
    return text


def found_pattern(text: str) -> str:
    """A pattern that can be compiled and has the group `code`."""
    return pattern(text, "code")


def pattern(text: str, *groups: str) -> str:
    """A pattern that can be compiled and has these groups.

    Raises
    ------
    ValueError
        It cannot, or lacks one.
    """
    try:
        known = set(re.compile(text).groupindex)
    except (re.error, OverflowError, RecursionError) as cause:
        raise ValueError(f"a pattern; {cause}") from None
    if not set(groups) <= known:
        raise ValueError("a pattern with " + " and ".join(f"(?P<{group}>…)" for group in groups))
    return text
