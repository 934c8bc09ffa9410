"""How large deviations must be before zero is let in.

In: a `Problem` and sizes. Out: the size up to which zero is excluded. Never: all parts of the deviations asked where
one of them decides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from .engine import PartTest, Problem, by_inversion, first_stage, flci, grid, part_of
from .restrictions import n_parts

_DOUBLINGS, _HALVINGS = 16, 40
_PRECISION = 1e-5  # of a breakdown value, relative


def breakdown(
    given: Problem, sizes: npt.NDArray[np.float64], start: float, held: Mapping[float, bool] | None = None
) -> float:
    """The size up to which zero is excluded, by bisection; -inf where it is not even at 0, inf where it always is.

    Parameters
    ----------
    sizes : array
        Where intervals were computed: the first of them that includes zero is an upper end.
    start : float
        A size to begin with where none of `sizes` includes zero.
    held : mapping of float to bool, optional
        Whether the intervals of `sizes` include zero, where that is known.
    """
    begin: list[int] = []

    def excluded(size: float) -> bool:
        """Whether the interval leaves zero out; a part that lets it in at one size mostly does so at the next."""
        at = _lets_in_zero(given, size, begin, (held or {}).get(size))
        if at is not None:
            begin[:] = [at] if at >= 0 and given.corners.complete else []
        return at is None

    if not excluded(0.0):
        return -np.inf
    low, high = 0.0, np.inf
    for size in np.unique(sizes[sizes > 0]):
        if not excluded(float(size)):
            high = float(size)
            break
        low = float(size)
    step = max(start, low)
    for _ in range(_DOUBLINGS):
        if np.isfinite(high):
            break
        if excluded(2 * step):
            low = step = 2 * step
        else:
            high = 2 * step
    if not np.isfinite(high):
        return np.inf
    return _bisected(given, (low, high), excluded, begin)


def _bisected(
    given: Problem, ends: tuple[float, float], excluded: Callable[[float], bool], begin: Sequence[int]
) -> float:
    """The end of the sizes that are excluded, between one that is and one that is not.

    The part that let zero in last is asked alone, which is quick. Then all parts are asked at every size at which it
    rejects zero, as plain bisection would: a part that lets zero in at one size may reject it at a larger one. From the
    first size at which one lets zero in, bisection goes on.
    """
    (low, high), done = ends, 0
    while done < _HALVINGS and high - low > _PRECISION * high:
        if not begin:
            middle, done = (low + high) / 2, done + 1
            low, high = (middle, high) if excluded(middle) else (low, middle)
            continue
        least, most, at = low, high, begin[0]
        # Sizes at which this part rejects zero, and the halvings done by then.
        outside: list[tuple[float, int]] = []
        for halving in range(done, _HALVINGS):
            if most - least <= _PRECISION * most:
                break
            middle = (least + most) / 2
            if PartTest(given, part_of(given, middle, at), first_stage(given, middle)).rejects_zero():
                least = middle
                outside.append((middle, halving + 1))
            else:
                most = middle
        for size, halvings in outside:
            if not excluded(size):
                high, done = size, halvings
                break
            low = size
        else:
            return low
    return low


def _lets_in_zero(given: Problem, size: float, begin: Sequence[int], held: bool | None = None) -> int | None:
    """The place of a part that does not reject zero, or -1 where the interval holds it all the same; else None.

    One part decides, whichever it is: those at the places in `begin` are asked first. `held` says whether the interval
    holds zero, where that is known.
    """
    if given.method == "FLCI":
        low, high = flci(given, size)
        return -1 if low <= 0 <= high else None
    first = first_stage(given, size)
    tests: dict[int, PartTest] = {}
    places: list[int] = [*begin, *range(n_parts(given.times, given.restriction))]
    for at in dict.fromkeys(places):
        tests[at] = PartTest(given, part_of(given, size, at), first)
        if not tests[at].rejects_zero():
            return at
    if held is None:
        held = _holds_zero(given, list(tests.values()))
    return -1 if held else None


def _holds_zero(given: Problem, tests: list[PartTest]) -> bool:
    """Whether the interval of parts that all reject zero goes over it: one keeps a value below, and one a value above.

    The side on which the estimate does not lie is looked at first: mostly there is nothing, and that is the answer.
    """
    if not given.corners.complete:  # what programs find for some values is certain only at the ends of all
        low, high = by_inversion(given, tests)
        return low <= 0 <= high
    grids = [grid(given, test) for test in tests]
    side = -1.0 if float(given.weights @ given.estimates) > 0 else 1.0

    def kept(sign: float) -> bool:
        return any(
            bool(len(values)) and not bool(test.rejected(values).all())
            for test, values in zip(tests, (own[sign * own >= 0] for own in grids), strict=True)
        )

    return kept(side) and kept(-side)
