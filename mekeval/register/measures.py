"""What is asked of a register: conditions and measures, as data that a person can write down.

In: nothing. Out: `Condition` and `RegisterMeasure`, and the faults in them. Never: a piece of SQL from a user.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from ..errors import Fault, closest

Scalar: TypeAlias = str | int | float | bool
Kind: TypeAlias = Literal["count", "share", "mean", "median", "decile_share", "movers"]
Role: TypeAlias = Literal["number", "text", "flag"]

KINDS: tuple[Kind, ...] = ("count", "share", "mean", "median", "decile_share", "movers")
#: Operator as a person writes it -> as SQL has it.
OPERATORS = {
    "==": "=",
    "!=": "<>",
    "<": "<",
    "<=": "<=",
    ">": ">",
    ">=": ">=",
    "in": "IN",
    "not in": "NOT IN",
}
_ORDER = ("<", "<=", ">", ">=")
_EXACT = 2**53  # beyond it not every whole number is a floating-point number
_NEEDS_COLUMN = ("mean", "median", "decile_share")


@dataclass(frozen=True, kw_only=True)
class Condition:
    """One comparison of a column with a value.

    Attributes
    ----------
    column : str
        Name of the column as the file has it.
    operator : str
        "==", "!=", "<", "<=", ">", ">=", "in" or "not in". Texts and truth values have no order.
    value : str, int, float, bool, or a tuple of one of these
        What to compare with; a tuple for "in" and "not in". Its type says how the column is read: a number, a
        text (a code with leading zeros, for example) or a truth value.

    Examples
    --------
    >>> Condition(column="age", operator=">=", value=25)
    Condition(column='age', operator='>=', value=25)
    """

    column: str
    operator: str
    value: Scalar | tuple[Scalar, ...]


@dataclass(frozen=True, kw_only=True)
class RegisterMeasure:
    """One figure of a cell of a register.

    Attributes
    ----------
    name : str
        Name of the indicator.
    kind : str
        "count" (persons; with `condition` those who meet it), "share" (per cent of the persons who meet
        `condition`), "mean" and "median" (of `column`), "decile_share" (per cent of the persons whose `column`
        lies in the national `deciles`), "movers" (per cent of the persons who lived in another area the year
        before).
    column : str
        Column of numbers for "mean", "median" and "decile_share"; empty for the others.
    condition : tuple of Condition
        For "share" (at least one) and "count": all must hold.
    among : tuple of Condition
        The persons who are looked at: all must hold. Empty is everybody.
    deciles : tuple of int
        For "decile_share": deciles from 1 (lowest) to 10.

    Examples
    --------
    >>> working_age = (Condition(column="age", operator=">=", value=18),)
    >>> RegisterMeasure(name="low_income", kind="decile_share", column="income", deciles=(1,)).kind
    'decile_share'
    """

    name: str
    kind: Kind
    column: str = ""
    condition: tuple[Condition, ...] = ()
    among: tuple[Condition, ...] = ()
    deciles: tuple[int, ...] = ()


def values_of(condition: Condition) -> tuple[Scalar, ...]:
    """All values of a condition, one or several."""
    return condition.value if isinstance(condition.value, tuple) else (condition.value,)


def role_of(condition: Condition) -> Role:
    """How the column of a condition is read, from the type of its value."""
    first = values_of(condition)[0]
    if isinstance(first, bool):
        return "flag"
    return "text" if isinstance(first, str) else "number"


def writable(text: str) -> bool:
    """Whether a text can stand in a file and in SQL: no NUL, no half of a character."""
    return "\0" not in text and not any("\ud800" <= mark <= "\udfff" for mark in text)


def faults_of(measures: Sequence[object]) -> list[Fault]:
    """Everything that is wrong with the measures themselves, before a file is looked at."""
    if not measures:
        return [Fault(what="No measure is asked for.", where="measures", fix="Give at least one.")]
    faults: list[Fault] = []
    seen: set[str] = set()
    for position, measure in enumerate(measures, start=1):
        if not isinstance(measure, RegisterMeasure):
            faults.append(
                Fault(
                    what="A measure is of another type.",
                    where=f"measures, number {position}",
                    found=type(measure).__name__,
                    expected="RegisterMeasure",
                )
            )
            continue
        where = f"measures, {measure.name!r}"
        if not str(measure.name).strip():
            faults.append(Fault(what="A measure has no name.", where=f"measures, number {position}"))
        elif measure.name in seen:
            faults.append(Fault(what="Two measures have one name.", where=where))
        seen.add(measure.name)
        faults += _shape_faults(measure, where)
        for condition in (*measure.condition, *measure.among):
            faults += _condition_faults(condition, where)
    return faults


def _shape_faults(measure: RegisterMeasure, where: str) -> list[Fault]:
    """A kind that is not known, and parts that the kind lacks or does not take."""
    kind = measure.kind
    if kind not in KINDS:
        return [
            Fault(
                what="No such kind of measure.",
                where=where,
                found=repr(kind),
                expected=closest(str(kind), KINDS),
            )
        ]
    faults = []
    for part, given, wanted, allowed in (
        ("column", bool(measure.column), kind in _NEEDS_COLUMN, kind in _NEEDS_COLUMN),
        ("condition", bool(measure.condition), kind == "share", kind in ("share", "count")),
        ("deciles", bool(measure.deciles), kind == "decile_share", kind == "decile_share"),
    ):
        if wanted and not given:
            faults.append(Fault(what=f"A {kind} needs `{part}`.", where=where))
        if given and not allowed:
            faults.append(Fault(what=f"A {kind} takes no `{part}`.", where=where, fix=f"Leave `{part}` out."))
    whole = all(type(decile) is int and 1 <= decile <= 10 for decile in measure.deciles)
    if measure.deciles and (not whole or len(set(measure.deciles)) in (0, 10)):
        faults.append(
            Fault(
                what="The deciles are wrong.",
                where=where,
                found=repr(measure.deciles),
                expected="one to nine of the whole numbers 1 to 10",
            )
        )
    return faults


def _condition_faults(condition: object, where: str) -> list[Fault]:
    """An operator that is not known, or a value that it cannot be used with."""
    if not isinstance(condition, Condition):
        found = type(condition).__name__
        return [Fault(what="A condition is of another type.", where=where, found=found, expected="Condition")]
    where = f"{where}, condition on {condition.column!r}"
    if condition.operator not in OPERATORS:
        return [
            Fault(
                what="No such operator.",
                where=where,
                found=repr(condition.operator),
                expected=", ".join(map(repr, OPERATORS)),
            )
        ]
    several = condition.operator in ("in", "not in")
    if several != isinstance(condition.value, tuple) or condition.value == ():
        expected = "a tuple of values" if several else "one value"
        return [Fault(what="The operator needs another value.", where=where, expected=expected)]
    values = values_of(condition)
    given: tuple[object, ...] = values
    if not all(isinstance(value, str | int | float) for value in given):
        return [
            Fault(what="The value is of another type.", where=where, expected="text, number, True or False")
        ]
    if len({isinstance(value, bool) + 2 * isinstance(value, str) for value in values}) > 1:
        return [Fault(what="The values are of several types.", where=where, expected="one type")]
    role = role_of(condition)
    # A comparison with NaN is false, so that NaN falls through to the fault.
    if role == "number" and not all(
        -_EXACT <= value <= _EXACT for value in values if not isinstance(value, str)
    ):
        return [Fault(what="The value is no finite number, or beyond 2**53.", where=where)]
    if role == "text" and not all(writable(str(value)) for value in values):
        return [Fault(what="The value holds a character that no file can hold.", where=where)]
    if role != "number" and condition.operator in _ORDER:
        return [
            Fault(what="Only numbers have an order here.", where=where, expected="a number, or '==' and 'in'")
        ]
    return []
