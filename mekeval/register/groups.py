"""What figures say about groups of persons when they are put together.

In: measures. Out: sums and differences of their figures that are the size of one group. Never: a look at data; a
group follows from the conditions alone, and who lacks a value is left out of account.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from math import prod
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from .measures import Condition, RegisterMeasure, role_of, values_of

#: Position of a measure, "n" (its base) or "k" (its group), and what it is multiplied by.
Term: TypeAlias = tuple[int, str, float]
_Axis: TypeAlias = tuple[object, ...]

_MOST_KINDS = 12  # of persons that are told apart at once: every union of them is tried
_MOST_ATOMS = 20_000
_OTHER = object()  # a text that no condition names
_COMPARE: Mapping[str, Callable[..., bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True, kw_only=True)
class Deduction:
    """A group whose size follows from figures.

    Attributes
    ----------
    terms : tuple of (int, str, float)
        The size is the sum of these figures times their factors.
    asked_by : tuple of int
        Positions of other measures whose own group, or whose own rest, lies in it.
    """

    terms: tuple[Term, ...]
    asked_by: tuple[int, ...]


def families(measures: Sequence[RegisterMeasure], m: int) -> list[list[int]]:
    """The earlier measures to look at together with measure m: all at once if they tell few kinds of persons apart.

    Else those that speak of the same columns are looked at together, and besides each pair.
    """
    earlier = list(range(m))
    if not earlier:
        return []
    if _told_apart(measures, [*earlier, m], _MOST_KINDS) is not None:
        return [earlier]
    axes = {j: set(_axes([measures[j]])) for j in (*earlier, m)}
    alike = [j for j in earlier if axes[j] in (axes[m], set())]
    return [alike, *([j] for j in earlier)] if len(alike) > 1 else [[j] for j in earlier]


def deductions(measures: Sequence[RegisterMeasure], m: int, visible: Sequence[int]) -> list[Deduction]:
    """The smallest groups whose size follows from the figures of measure m and of the visible ones.

    Sizes of larger groups are sums of these.
    """
    asked = [j for j in range(len(measures)) if j != m and j not in visible]
    axes = set(_axes([measures[j] for j in (*visible, m)]))
    asked = [j for j in asked if set(_axes([measures[j]])) <= axes]
    used = [*visible, m]
    found = _told_apart(measures, [*used, *asked], _MOST_KINDS)
    if found is None:
        asked = []
        found = _told_apart(measures, used, _MOST_KINDS)
    if found is None:
        return _what_is_left(measures, m, visible)
    figures, table = found
    # Of figures that count the same persons that of measure m is taken, else the first.
    first: dict[bytes, int] = {}
    for at in sorted(range(len(figures)), key=lambda at: figures[at][0] != m):
        if figures[at][0] in used and table[at].any():
            first.setdefault(table[at].tobytes(), at)
    names, rows = [figures[at] for at in first.values()], table[list(first.values())].astype(float)
    kinds = rows.shape[1]
    unions = (np.arange(1, 2**kinds)[:, None] >> np.arange(kinds)) & 1
    factors = unions @ np.linalg.pinv(rows)
    follows = np.flatnonzero(np.abs(factors @ rows - unions).max(axis=1) < 1e-9)
    at_of = {figure: at for at, figure in enumerate(figures)}
    own = []
    for j in asked:
        group, base = table[at_of[j, "k"]], table[at_of[j, "n"]]
        own += [(j, one) for one in (group, base & ~group) if one.any()]
    result: list[Deduction] = []
    smallest: list[int] = []
    for row in sorted(follows.tolist(), key=lambda row: (int(row + 1).bit_count(), row)):
        if any((row + 1) & one == one for one in smallest):
            continue
        smallest.append(row + 1)
        terms = tuple(
            (*name, float(factor))
            for name, factor in zip(names, factors[row], strict=True)
            if abs(factor) > 1e-9
        )
        outside = ~unions[row].astype(bool)
        whose = dict.fromkeys(j for j, one in own if not (one & outside).any())
        result.append(Deduction(terms=terms, asked_by=tuple(whose)))
    return result


def _what_is_left(measures: Sequence[RegisterMeasure], m: int, visible: Sequence[int]) -> list[Deduction]:
    """Where there are too many kinds: the base less every group in it that shares no person with another."""
    found = _told_apart(measures, [*visible, m], None)
    if found is None:
        return []
    figures, table = found
    at_of = {figure: at for at, figure in enumerate(figures)}
    left = table[at_of[m, "n"]] & ~table[at_of[m, "k"]]
    terms: list[Term] = [(m, "n", 1.0), (m, "k", -1.0)]
    for j in visible:
        group = table[at_of[j, "k"]]
        if group.any() and not (group & ~left).any():
            left = left & ~group
            terms.append((j, "k", -1.0))
    return [Deduction(terms=tuple(terms), asked_by=())] if left.any() else []


def _told_apart(
    measures: Sequence[RegisterMeasure], positions: Sequence[int], most: int | None
) -> tuple[list[tuple[int, str]], NDArray[np.bool_]] | None:
    """Figures x kinds of persons: whether a figure counts the kind. None where there are too many kinds.

    A kind is what the figures tell apart: the classes into which the conditions cut each column, crossed.
    """
    axes = _axes([measures[j] for j in positions])
    sizes = [len(values) for values in axes.values()]
    if prod(sizes) > _MOST_ATOMS:
        return None
    places = dict(zip(axes, np.indices(sizes).reshape(len(sizes), -1), strict=True)) if sizes else {}
    everybody = np.ones(prod(sizes), dtype=bool)

    def those(axis: _Axis, holds: Callable[[object], bool]) -> NDArray[np.bool_]:
        return np.array([holds(value) for value in axes[axis]], dtype=bool)[places[axis]]

    def where(conditions: Sequence[Condition]) -> NDArray[np.bool_]:
        group = everybody
        for one in conditions:
            group = group & those((role_of(one), one.column), partial(_holds, one))
        return group

    figures, rows = [], []
    for j in positions:
        measure = measures[j]
        base = where(measure.among)
        group = base & where(measure.condition) if measure.condition else ~everybody
        if measure.kind == "decile_share":
            tenths = frozenset(measure.deciles)
            group = base & those(_decile_axis(measure), tenths.__contains__)
        elif measure.kind == "movers":
            group = base & those(("moved",), bool)
        figures += [(j, "n"), (j, "k")]
        rows += [base, group]
    table = np.unique(np.array(rows), axis=1)
    table = table[:, table.any(axis=0)]
    return None if most is not None and table.shape[1] > most else (figures, table)


def _axes(measures: Sequence[RegisterMeasure]) -> dict[_Axis, list[object]]:
    """What persons are told apart by, with one value for each class into which the conditions cut it."""
    named: dict[_Axis, set[object]] = {}
    axes: dict[_Axis, list[object]] = {}
    for measure in measures:
        for one in (*measure.condition, *measure.among):
            named.setdefault((role_of(one), one.column), set()).update(values_of(one))
        if measure.kind == "decile_share":
            axes[_decile_axis(measure)] = list(range(1, 11))
        elif measure.kind == "movers":
            axes["moved",] = [True, False]
    for axis, values in named.items():
        if axis[0] == "flag":
            axes[axis] = [True, False]
        elif axis[0] == "text":
            axes[axis] = [*sorted(map(str, values)), _OTHER]
        else:
            marks = sorted({float(value) for value in values if isinstance(value, int | float)})
            between = [(low + high) / 2 for low, high in pairwise(marks)]
            axes[axis] = [*sorted([*marks, *between]), -np.inf, np.inf]
    return axes


def _decile_axis(measure: RegisterMeasure) -> _Axis:
    return ("decile", measure.column, measure.among)


def _holds(condition: Condition, value: object) -> bool:
    if condition.operator in ("in", "not in"):
        return (value in values_of(condition)) == (condition.operator == "in")
    return _COMPARE[condition.operator](value, condition.value)
