"""Boundaries of areas from GeoJSON and KML files (extra `geo`).

In: a file in degrees (WGS 84 or ETRS89), or in metres of a Finnish plane that it names. Out: `Boundaries`, codes and
polygons of its areas, checked one by one. Never: an XML entity, a polygon mended in silence, or metres for degrees.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from xml.parsers import expat

import numpy as np
from numpy.typing import NDArray

from ..display import Shown
from ..errors import DataError, Fault, Place, closest

_MOST_BYTES = 200_000_000
_MOST_POINTS = 5_000_000
_MOST_DEPTH = 40
_DEGREES = re.compile(r"CRS:?84|EPSG:{1,2}(?:[\d.]*:)?(?:4326|4258)$", re.IGNORECASE)
#: Planes of Finland: ETRS-TM35FIN and its neighbours, the same by UTM, ETRS-GKnFIN; east comes first.
_PLANES = re.compile(r"EPSG:{1,2}(?:[\d.]*:)?(304[678]|3067|2583[456]|38(?:7[3-9]|8[0-5]))$", re.IGNORECASE)
#: Least and greatest east and north of Finland on any of them, in metres.
_FINLAND = ((0.0, 6_500_000.0), (32_000_000.0, 7_900_000.0))
_NO_DEGREES = "degrees of longitude and latitude"
_SUFFIXES = {".geojson": "GeoJSON", ".json": "GeoJSON", ".kml": "KML"}

#: One ring as an array of points; the first ring of a polygon is its outline, the others are its holes.
_Ring = NDArray[np.float64]
_Polygons = list[list[_Ring]]


@dataclass(frozen=True, kw_only=True, repr=False)
class Boundaries(Shown):
    """Areas with their polygons.

    Attributes
    ----------
    file : str
        Name of the file, for messages.
    codes, names : tuple of str
        As the file spells them; a name may be empty.
    shapes : numpy.ndarray of shapely geometries, shape (n_areas,)
        Valid polygons or multipolygons, in degrees of longitude and latitude or in metres.
    plane : str
        The plane whose metres they are in, such as "EPSG:3067"; empty: degrees.
    """

    file: str
    codes: tuple[str, ...]
    names: tuple[str, ...]
    shapes: NDArray[np.object_]
    plane: str


def read_boundaries(
    path: str | Path, *, code: str | Sequence[str], name: str = "", repair: bool = False
) -> Boundaries:
    """Read the boundaries of areas.

    Parameters
    ----------
    path : str or Path
        A `.geojson`, `.json` or `.kml` file, in degrees; or GeoJSON in metres that names one of Finland's planes as
        its `crs`: EPSG 3046 to 3048, 3067, 25834 to 25836, 3873 to 3885. Altitudes are left out.
    code : str or sequence of str
        The property with the code of an area, or several that make it together: ``("KUNTA", "TILA")`` makes
        "09274" of "092" and "74". The first may not be empty; others are, where a city has no such level.
    name : str
        The property with its name; empty: none (of a KML file, the name of the placemark).
    repair : bool
        Mend polygons that cross themselves (`shapely.make_valid`) where they would be refused.

    Returns
    -------
    Boundaries

    Raises
    ------
    DataError
        All faults at once, each with its area: no code, a code twice, no polygon, a ring of fewer than four points
        or that is not closed, coordinates that are no degrees or not in Finland, a polygon that crosses itself; the
        file is too large, no JSON or XML, has a document type or entities, or is in other coordinates; shapely is
        missing.

    Notes
    -----
    Nothing in the file is fetched or expanded: a KML file with a document type is refused before its first element,
    which is where entities would be declared.
    """
    shapely = shapely_module()
    file = Path(path)
    kind = _SUFFIXES.get(file.suffix.lower())
    if kind is None:
        raise DataError(
            "Boundaries are read from GeoJSON and KML.",
            where=str(path),
            found=file.suffix or "no suffix",
            expected=", ".join(_SUFFIXES),
        )
    try:
        size = file.stat().st_size
        if size > _MOST_BYTES:
            raise DataError(
                "The file of boundaries is too large.",
                where=str(path),
                found=f"{size:,} bytes",
                expected=f"at most {_MOST_BYTES:,}",
                fix="Take a generalised version: the shares of areas hardly change.",
            )
        content = file.read_bytes()
    except OSError as cause:
        raise DataError(
            "The file of boundaries cannot be read.", where=str(path), found=cause.strerror or ""
        ) from None
    wanted = (code,) if isinstance(code, str) else tuple(code)
    if not wanted or not all(wanted):
        raise DataError("No property is named that holds the code.", where="code", found=repr(code))
    plane, features = _geojson(content, file.name) if kind == "GeoJSON" else ("", _kml(content, file.name))
    return _checked(features, wanted, name, file.name, repair, plane, shapely)


def require_boundaries(boundaries: Boundaries, codes: Iterable[str]) -> None:
    """Refuse boundaries in which one of these areas has none.

    Raises
    ------
    DataError
        Which ones have none.
    """
    there = set(boundaries.codes)
    lacking = [code for code in codes if code not in there]
    if lacking:
        raise DataError(
            "Areas of the study have no boundary.",
            where=boundaries.file,
            found=", ".join(lacking[:6]) + (f" and {len(lacking) - 6} more" if len(lacking) > 6 else ""),
            expected=f"a feature for each area, by its code in areas.csv; the file has {closest(lacking[0], there)}",
        )


def shapely_module() -> ModuleType:
    """Shapely, or what to install."""
    try:
        import shapely
    except ImportError:
        raise DataError(
            "Boundaries need another package.", fix='Install it with: pip install "mekeval[geo]"'
        ) from None
    return shapely


@dataclass(frozen=True, kw_only=True)
class _Feature:
    row: int
    properties: dict[str, str]
    polygons: _Polygons
    fault: str = ""


def _checked(
    features: Iterable[_Feature],
    wanted: tuple[str, ...],
    name: str,
    file: str,
    repair: bool,
    plane: str,
    shapely: ModuleType,
) -> Boundaries:
    codes: list[str] = []
    names, shapes, faults = [], [], []
    n_points = 0
    for feature in features:
        place = Place(file=file, row=feature.row)
        lacking = next(
            (key for key in (*wanted, *([name] if name else [])) if key not in feature.properties), None
        )
        if lacking is not None:
            known = (
                closest(lacking, feature.properties) if feature.properties else "a feature with properties"
            )
            what = "An area has no such property."
            faults.append(Fault(what=what, place=place, found=repr(lacking), expected=known))
            continue
        parts = [feature.properties[key] for key in wanted]
        code = "".join(parts)
        place = Place(file=file, row=feature.row, column=code)
        if not parts[0]:  # a level that a city does not have is empty: the parts before it are the code
            faults.append(Fault(what="An area has no code.", place=place, found=repr(parts)))
            continue
        n_points += sum(len(ring) for polygon in feature.polygons for ring in polygon)
        if n_points > _MOST_POINTS:
            raise DataError(
                "The boundaries have too many points.", where=str(place), expected=f"at most {_MOST_POINTS:,}"
            )
        wrong = feature.fault or _wrong_ring(feature.polygons, plane)
        if wrong:
            faults.append(Fault(what="The boundary of an area is broken.", place=place, found=wrong))
            continue
        polygons = [shapely.Polygon(rings[0], rings[1:]) for rings in feature.polygons]
        shape = polygons[0] if len(polygons) == 1 else shapely.MultiPolygon(polygons)
        if not shapely.is_valid(shape):
            reason = str(shapely.is_valid_reason(shape))
            if not repair:
                fix = "Mend the file, or read it with repair=True."
                faults.append(
                    Fault(what="The boundary of an area is broken.", place=place, found=reason, fix=fix)
                )
                continue
            shape = _polygons_of(shapely.make_valid(shape), shapely)
        if shapely.area(shape) == 0:
            faults.append(Fault(what="The boundary of an area holds nothing.", place=place))
            continue
        codes.append(code)
        names.append(feature.properties.get(name, "") if name else feature.properties.get("name", ""))
        shapes.append(shape)
    twice = sorted({code for code in codes if codes.count(code) > 1}) if len(set(codes)) < len(codes) else []
    faults += [
        Fault(
            what="An area stands twice.",
            place=Place(file=file, column=code),
            found=f"{codes.count(code)} features",
            expected="one feature with all its parts, or a property that tells them apart",
        )
        for code in twice
    ]
    if not codes and not faults:
        faults.append(Fault(what="The file has no areas.", where=file, expected="features with polygons"))
    if faults:
        raise DataError.of(faults[:50])
    array = np.empty(len(shapes), dtype=object)
    array[:] = shapes
    return Boundaries(file=file, codes=tuple(codes), names=tuple(names), shapes=array, plane=plane)


def _polygons_of(shape: object, shapely: ModuleType) -> object:
    """What of a mended shape has an area: lines and points that remain are left out."""
    parts = shapely.get_parts(shape)
    return shapely.union_all([part for part in parts if "Polygon" in part.geom_type])


def _wrong_ring(polygons: _Polygons, plane: str) -> str:
    if not polygons:
        return "no polygon"
    for polygon in polygons:
        for ring in polygon:
            if len(ring) < 4:
                return f"a ring of {len(ring)} points; a closed ring has at least four"
            if not np.isfinite(ring).all():
                return "a coordinate that is no number"
            least, most = _FINLAND if plane else ((-180.0, -90.0), (180.0, 90.0))
            outside = ((ring < least) | (ring > most)).any(axis=1)
            if outside.any():
                east, north = ring[outside][0]
                those = f"metres east and north in Finland by {plane}" if plane else _NO_DEGREES
                return f"a point at {east:g}, {north:g}, which are no {those}"
            if (ring[0] != ring[-1]).any():
                return "a ring that is not closed"
    return ""


def _geojson(content: bytes, file: str) -> tuple[str, Iterator[_Feature]]:
    """The plane of a file, and its features."""
    try:
        document = json.loads(content.decode("utf-8-sig"))
    except (UnicodeDecodeError, ValueError, RecursionError) as cause:
        raise DataError("The file is no GeoJSON.", where=file, found=str(cause)[:200]) from None
    if not isinstance(document, dict) or document.get("type") != "FeatureCollection":
        found = repr(document.get("type"))[:80] if isinstance(document, dict) else type(document).__name__
        raise DataError("The file is no GeoJSON.", where=file, found=found, expected="a FeatureCollection")
    plane = _plane(document.get("crs"), file)
    features = document.get("features")
    if not isinstance(features, list):
        raise DataError("The file is no GeoJSON.", where=file, expected="a list of features")
    return plane, _features(features)


def _features(features: Sequence[object]) -> Iterator[_Feature]:
    for row, feature in enumerate(features, start=1):
        properties = feature.get("properties") if isinstance(feature, dict) else None
        geometry = feature.get("geometry") if isinstance(feature, dict) else None
        texts = (
            {str(key): "" if value is None else str(value) for key, value in properties.items()}
            if isinstance(properties, dict)
            else {}
        )
        polygons, fault = _polygons_of_geojson(geometry)
        yield _Feature(row=row, properties=texts, polygons=polygons, fault=fault)


def _plane(crs: object, file: str) -> str:
    """The plane that a file names; nothing where it is in degrees."""
    if crs is None:
        return ""
    properties = crs.get("properties") if isinstance(crs, dict) else None
    found = str(properties.get("name", "")) if isinstance(properties, dict) else ""
    named = _PLANES.search(found)
    if named is None and not _DEGREES.search(found):
        raise DataError(
            "The boundaries are in coordinates that are not known here.",
            where=f"{file}, crs",
            found=repr(found or crs)[:120],
            expected="degrees (CRS84, EPSG:4326, EPSG:4258), or metres of a Finnish plane such as EPSG:3067 or 3879",
            fix="Export the file in WGS 84.",
        )
    return f"EPSG:{named[1]}" if named else ""


def _polygons_of_geojson(geometry: object) -> tuple[_Polygons, str]:
    kind = geometry.get("type") if isinstance(geometry, dict) else None
    if not isinstance(geometry, dict) or kind not in ("Polygon", "MultiPolygon"):
        return [], f"a geometry of type {kind!r}, not a polygon"
    nested = geometry.get("coordinates")
    polygons = [nested] if kind == "Polygon" else nested
    try:
        return [[_points(ring) for ring in polygon] for polygon in polygons if polygon], ""  # type: ignore[union-attr]
    except (TypeError, ValueError):
        return [], "coordinates that are no rings of points"


def _points(ring: Sequence[Sequence[float]]) -> _Ring:
    array = np.array(ring, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] not in (2, 3):
        raise ValueError("no points")
    return array[:, :2]


class _Kml:
    """What an XML parser calls while it walks through a KML file."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.features: list[_Feature] = []
        self.open: list[str] = []
        self.text: list[str] | None = None
        self.properties: dict[str, str] = {}
        self.polygons: _Polygons = []
        self.key = ""
        self.fault = ""

    def refuse(self, *_: object) -> None:
        raise DataError(
            "The file declares a document type or entities, which boundaries have no need of.",
            where=self.file,
            fix="Export it again; entities can be made to fill the memory or to read other files.",
        )

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        name = tag.rpartition(":")[2]
        self.open.append(name)
        if len(self.open) > _MOST_DEPTH:
            raise DataError(
                "The file is nested too deeply.", where=self.file, expected=f"at most {_MOST_DEPTH}"
            )
        if name == "Placemark":
            self.properties, self.polygons, self.fault = {}, [], ""
        elif name in ("SimpleData", "Data"):
            self.key = attributes.get("name", "")
        elif name == "Polygon":
            self.polygons.append([])
        if name in ("SimpleData", "value", "coordinates") or self.open[-2:] == ["Placemark", "name"]:
            self.text = []

    def data(self, text: str) -> None:
        if self.text is not None:
            self.text.append(text)

    def end(self, tag: str) -> None:
        name = self.open.pop()
        text, self.text = "".join(self.text or ()).strip(), None
        if name == "name" and self.open[-1:] == ["Placemark"]:
            self.properties.setdefault("name", text)
        elif name == "SimpleData" or (name == "value" and self.open[-1:] == ["Data"]):
            self.properties[self.key] = text
        elif name == "coordinates" and self.open[-1:] == ["LinearRing"] and self.polygons:
            try:
                ring = _kml_points(text)
            except ValueError:
                self.fault = "coordinates that are no points"
            else:
                outline = "outerBoundaryIs" in self.open
                polygon = self.polygons[-1]
                polygon.insert(0, ring) if outline else polygon.append(ring)
        elif name == "Placemark":
            polygons = [polygon for polygon in self.polygons if polygon]
            self.features.append(
                _Feature(
                    row=len(self.features) + 1,
                    properties=dict(self.properties),
                    polygons=polygons,
                    fault=self.fault,
                )
            )


def _kml_points(text: str) -> _Ring:
    points = text.split()
    if not points:
        return np.empty((0, 2))
    size = points[0].count(",") + 1
    if size not in (2, 3) or any(point.count(",") != size - 1 for point in points):
        raise ValueError("no points")
    array = np.array(",".join(points).split(","), dtype=np.float64).reshape(-1, size)
    if not all(map(math.isfinite, array[0])):
        raise ValueError("no points")
    return array[:, :2]


def _kml(content: bytes, file: str) -> list[_Feature]:
    walk = _Kml(file)
    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = walk.refuse
    parser.EntityDeclHandler = walk.refuse
    parser.StartElementHandler = walk.start
    parser.EndElementHandler = walk.end
    parser.CharacterDataHandler = walk.data
    parser.buffer_text = True
    try:
        parser.Parse(content, True)
    except (expat.ExpatError, UnicodeError, LookupError, ValueError) as cause:
        raise DataError("The file is no KML.", where=file, found=str(cause)) from None
    return walk.features
