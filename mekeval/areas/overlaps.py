"""How the areas of one map lie in those of another, and which areas are neighbours.

In: `Boundaries`. Out: weights by area for `crosswalk`, pairs of neighbours. Never: an area in square degrees.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..errors import DataError, Fault, Place, StudyError, closest
from .boundaries import Boundaries, shapely_module
from .tables import filled, numbers, read_listed, refuse

# WGS 84: the equatorial radius in metres and the first eccentricity.
_A = 6_378_137.0
_E = 0.081819190842622
_QP = 1 + (1 - _E**2) / (2 * _E) * np.log((1 + _E) / (1 - _E))
_WIDEST = 40.0  # degrees: beyond, distances near the border of the map are no longer distances


def overlaps(parts: Boundaries, wholes: Boundaries, *, least: float = 0.0) -> pd.DataFrame:
    """Which share of each area lies in which area of another map: weights by area for `crosswalk`.

    ``weight = area(part and whole) / area(part)``, ``share_of_target = area(part and whole) / area(whole)``

    Parameters
    ----------
    parts, wholes : Boundaries
        The map that data are carried from, and the one they are carried to.
    least : float
        Overlaps whose weight and share are both smaller are left out, such as slivers between two drawings of one
        border. Left-out overlaps are missing from the sum of the weights.

    Returns
    -------
    pandas.DataFrame
        `from_code`, `to_code`, `weight`, `share_of_target` (shares, 0 to 1), `area_km2` (of the overlap) and `by`
        ("area"), in the order of the codes.

    Raises
    ------
    DataError
        The maps are too far apart or too wide, or no area of one touches the other.

    Notes
    -----
    Areas are measured in the Lambert azimuthal equal-area projection of the ellipsoid WGS 84, with authalic latitudes,
    centred on the two maps together (Snyder 1987, eq. 3-11, 3-12 and 24-2 to 24-4): areas are exact wherever the
    centre is. Shares of area are shares of people only where people live evenly; where the population of small
    areas is known, weights by population are better.

    References
    ----------
    Snyder, J. P. (1987). Map Projections: A Working Manual. US Geological Survey Professional Paper 1395.
    """
    shapely = shapely_module()
    one, two = _projected(parts, wholes)
    tree = shapely.STRtree(two)
    left, right = tree.query(one, predicate="intersects")
    area = shapely.area(shapely.intersection(one[left], two[right]))
    weight, share = area / shapely.area(one)[left], area / shapely.area(two)[right]
    keep = (area > 0) & (np.maximum(weight, share) >= least)
    if not keep.any():
        raise DataError(
            "No area of one map lies in an area of the other.",
            where=f"{parts.file}, {wholes.file}",
            expected="maps of the same place",
        )
    table = pd.DataFrame(
        {
            "from_code": np.array(parts.codes, dtype=object)[left[keep]],
            "to_code": np.array(wholes.codes, dtype=object)[right[keep]],
            "weight": np.minimum(weight[keep], 1.0),
            "share_of_target": np.minimum(share[keep], 1.0),
            "area_km2": area[keep] / 1e6,
            "by": "area",
        }
    )
    return table.sort_values(["from_code", "to_code"], ignore_index=True)


def neighbours(boundaries: Boundaries, *, tolerance: float = 5.0, least: float = 25.0) -> pd.DataFrame:
    """Which areas share a border.

    Parameters
    ----------
    boundaries : Boundaries
    tolerance : float
        Borders that run this close count as one (metres): drawings of one border differ.
    least : float
        The shortest shared border that counts (metres); areas that only touch in a corner are no neighbours.

    Returns
    -------
    pandas.DataFrame
        `area`, `neighbour` and `border_m` (metres), each pair in both directions, in the order of the codes.

    Raises
    ------
    DataError
        A length that is none; a map that is too wide.
    """
    shapely = shapely_module()
    for name, value in (("tolerance", tolerance), ("least", least)):
        if not (np.isfinite(value) and value >= 0):
            raise DataError(
                "A length must be a number of metres of at least 0.", where=name, found=repr(value)
            )
    (shapes,) = _projected(boundaries)
    left, right = shapely.STRtree(shapes).query(shapes, predicate="dwithin", distance=tolerance)
    left, right = left[left != right], right[left != right]
    # A border within reach is as long as the part of one outline that runs along the other.
    lines = shapely.boundary(shapes)
    near = shapely.buffer(lines, max(tolerance, 0.01), cap_style="flat")
    border = shapely.length(shapely.intersection(lines[left], near[right]))
    codes = np.array(boundaries.codes, dtype=object)
    table = pd.DataFrame({"area": codes[left], "neighbour": codes[right], "border_m": border})
    # Of the two outlines one may be longer, round a bay say: what both have counts, for either direction alike.
    back = table.rename(columns={"area": "neighbour", "neighbour": "area"})
    both = table.merge(back, on=["area", "neighbour"], suffixes=("", "_back"))
    both["border_m"] = np.minimum(both["border_m"], both.pop("border_m_back"))
    both = both.loc[both["border_m"] > least]
    return both.sort_values(["area", "neighbour"], ignore_index=True)


def read_neighbours(path: str | Path, *, known: Collection[str] | None = None) -> pd.DataFrame:
    """Read pairs of neighbours from a CSV with the columns `area` and `neighbour`, and `border_m` if there is one.

    A pair may stand once or in both directions; it comes out in both.

    Parameters
    ----------
    path : str or Path
    known : collection of str, optional
        Codes that there are; others become faults.

    Raises
    ------
    StudyError
        All faults at once: an area that is its own neighbour or not known, a pair twice, a length that is none.
    """
    faults: list[Fault] = []
    listed = read_listed(Path(path), ("area", "neighbour"), optional=("border_m",), faults=faults)
    filled(listed, ("area", "neighbour"), faults)
    lengths = [float("nan")] * len(listed.rows)
    if "border_m" in listed.header:
        lengths = numbers(listed, "border_m", lambda length: length >= 0, "metres, at least 0", faults)
    pairs: dict[tuple[str, str], float] = {}
    for (line, row), length in zip(listed.rows, lengths, strict=True):
        pair = row["area"], row["neighbour"]
        for column in ("area", "neighbour") if known is not None else ():
            if row[column] and row[column] not in (known or ()):
                place = Place(file=listed.file, row=line, column=column)
                faults.append(
                    Fault(
                        what="An area is not known.",
                        place=place,
                        found=repr(row[column]),
                        expected=closest(row[column], known or ()),
                    )
                )
        place = Place(file=listed.file, row=line)
        if pair[0] == pair[1] and pair[0]:
            faults.append(Fault(what="An area is its own neighbour.", place=place, found=repr(pair[0])))
        if pair in pairs:
            faults.append(
                Fault(what="A pair of neighbours stands twice.", place=place, found=" and ".join(pair))
            )
        back = pairs.get((pair[1], pair[0]))
        if back is not None and back != length and not (np.isnan(back) and np.isnan(length)):
            what = "Two lengths of one border differ."
            faults.append(Fault(what=what, place=place, found=f"{length:g}", expected=f"{back:g}"))
        pairs[pair] = length
    if not listed.rows:
        faults.append(Fault(what="The table has no pairs.", where=listed.file, expected="rows of two codes"))
    refuse(faults, StudyError)
    for (area, other), length in list(pairs.items()):
        pairs.setdefault((other, area), length)
    table = pd.DataFrame(
        [(area, other, length) for (area, other), length in pairs.items()],
        columns=["area", "neighbour", "border_m"],
    )
    return table.sort_values(["area", "neighbour"], ignore_index=True)


def _projected(*maps: Boundaries) -> list[NDArray[np.object_]]:
    """The shapes of maps in metres on one plane, all around one centre."""
    shapely = shapely_module()
    if len({one.plane for one in maps}) > 1:
        raise DataError(
            "The maps are in different coordinates.",
            where=", ".join(one.file for one in maps),
            found=", ".join(one.plane or "degrees" for one in maps),
            fix="Export them in the same coordinates.",
        )
    if maps[0].plane:
        return [one.shapes for one in maps]
    bounds = np.array([shapely.total_bounds(one.shapes) for one in maps])
    west, south = bounds[:, :2].min(axis=0).tolist()
    east, north = bounds[:, 2:].max(axis=0).tolist()
    if east - west > _WIDEST or north - south > _WIDEST:
        raise DataError(
            "The maps are too wide or too far apart for one plane.",
            where=", ".join(one.file for one in maps),
            found=f"{west:.1f} to {east:.1f} degrees east, {south:.1f} to {north:.1f} degrees north",
            expected=f"at most {_WIDEST:g} degrees",
        )
    centre = (west + east) / 2, (south + north) / 2

    def plane(points: NDArray[np.float64]) -> NDArray[np.float64]:
        return equal_area(points, centre)

    return [np.asarray(shapely.transform(one.shapes, plane), dtype=object) for one in maps]


def equal_area(points: NDArray[np.float64], centre: tuple[float, float]) -> NDArray[np.float64]:
    """Degrees to metres on a plane on which areas are true: Lambert azimuthal, WGS 84.

    Parameters
    ----------
    points : array of shape (n, 2)
        Degrees of longitude and latitude.
    centre : tuple of float
        Longitude and latitude of the centre, where distances are true, too.

    Returns
    -------
    array of shape (n, 2)
        Metres to the east and to the north of the centre.

    Examples
    --------
    >>> equal_area(np.array([[25.0, 60.3]]), (25.0, 60.3)).tolist()
    [[0.0, 0.0]]
    """
    east = np.radians(points[:, 0] - centre[0])
    q, (q0,) = _authalic(points[:, 1]), _authalic(np.array([centre[1]]))
    sin, sin0 = q / _QP, q0 / _QP
    cos, cos0 = np.sqrt(np.maximum(1 - sin**2, 0)), np.sqrt(max(1 - sin0**2, 0.0))
    radius = _A * np.sqrt(_QP / 2)  # of the sphere of the same area
    stretch = radius * np.sqrt(2 / (1 + sin0 * sin + cos0 * cos * np.cos(east)))
    # Snyder's D makes distances true at the centre; dividing north by it keeps areas.
    phi = np.radians(centre[1])
    scale = _A * np.cos(phi) / np.sqrt(1 - (_E * np.sin(phi)) ** 2) / (radius * cos0) if cos0 else 1.0
    return np.column_stack(
        [
            stretch * scale * cos * np.sin(east),
            stretch / scale * (cos0 * sin - sin0 * cos * np.cos(east)),
        ]
    )


def _authalic(latitude: NDArray[np.float64]) -> NDArray[np.float64]:
    """Snyder's q: the sine of the authalic latitude times its value at the pole."""
    sine = np.sin(np.radians(latitude))
    return np.asarray(
        (1 - _E**2) * (sine / (1 - (_E * sine) ** 2) - np.log((1 - _E * sine) / (1 + _E * sine)) / (2 * _E))
    )
