"""Pseudo-cities where municipalities are too few or too small: windows of neighbouring areas.

In: areas in an order in which neighbours are beside each other. Out: the city of each. Never: a window across the
target.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..errors import DesignError


def contiguous_windows(
    order: Sequence[str], size: int, *, target: Mapping[str, str] | None = None, offset: int = 0
) -> dict[str, str]:
    """Pseudo-cities: windows of areas that follow each other, such as by postal code.

    Parameters
    ----------
    order : sequence of str
        Areas, neighbours beside each other.
    size : int
        Areas in a window.
    target : mapping of str to str, optional
        City of the target's areas. They keep it, and no window reaches across them.
    offset : int
        Where the first window begins; other offsets give other windows.

    Returns
    -------
    dict of str to str
        City of each area: the target, or the first and last area of its window. A stretch that is shorter than a window
        is in none.

    Raises
    ------
    DesignError
        A window of fewer than two areas, an area listed twice, an offset that is negative.

    Examples
    --------
    >>> contiguous_windows(["1", "2", "3", "4", "5", "6"], 2, target={"3": "Here"})
    {'3': 'Here', '1': '1-2', '2': '1-2', '4': '4-5', '5': '4-5'}
    """
    listed = list(order)
    if size < 2 or offset < 0 or len(set(listed)) < len(listed):
        raise DesignError(
            "Windows need at least two areas, an offset of zero or more and areas that are listed once.",
            found=f"size {size}, offset {offset}, {len(listed) - len(set(listed))} listed again",
        )
    own = dict(target or {})
    city_of = {unit: own[unit] for unit in listed if unit in own}
    stretch: list[str] = []
    for unit in listed[offset:]:
        stretch = [] if unit in own else [*stretch, unit]
        if len(stretch) == size:
            city_of |= dict.fromkeys(stretch, f"{stretch[0]}-{stretch[-1]}")
            stretch = []
    return city_of
