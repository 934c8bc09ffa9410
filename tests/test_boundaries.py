"""Boundaries: what is read, what is refused, and areas measured against the ellipsoid and published shares."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import quad

from mekeval.areas import Boundaries, neighbours, overlaps, read_boundaries, read_neighbours
from mekeval.areas.overlaps import equal_area
from mekeval.errors import DataError, StudyError

pytest.importorskip("shapely")
Ring = list[list[float]]
#: About a metre in degrees at 60.3 degrees north, to the east and to the north.
EAST, NORTH = 1 / 55_300, 1 / 111_400
LON, LAT = 25.0, 60.3


def box(west: float, south: float, width: float, height: float) -> Ring:
    """A rectangle in metres from the corner of the map."""
    x0, y0 = LON + west * EAST, LAT + south * NORTH
    x1, y1 = x0 + width * EAST, y0 + height * NORTH
    return [[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]]


def feature(code: object, *rings: Ring, name: str = "") -> dict[str, object]:
    geometry = {"type": "Polygon", "coordinates": list(rings)}
    return {"type": "Feature", "properties": {"code": code, "name": name}, "geometry": geometry}


def geojson(folder: Path, *features: dict[str, object], file: str = "map.geojson", **more: object) -> Path:
    path = folder / file
    path.write_text(
        json.dumps({"type": "FeatureCollection", "features": list(features), **more}), encoding="utf-8"
    )
    return path


def kml(folder: Path, body: str, head: str = "") -> Path:
    path = folder / "map.kml"
    path.write_text(
        f'<?xml version="1.0" encoding="UTF-8"?>{head}<kml xmlns="http://www.opengis.net/kml/2.2"><Document>'
        f"{body}</Document></kml>",
        encoding="utf-8",
    )
    return path


def placemark(code: str, *rings: Ring) -> str:
    text = [" ".join(f"{x},{y},0" for x, y in ring) for ring in rings]
    inner = "".join(
        f"<innerBoundaryIs><LinearRing><coordinates>{one}</coordinates></LinearRing></innerBoundaryIs>"
        for one in text[1:]
    )
    return (
        f'<Placemark><name>Area {code}</name><ExtendedData><SchemaData><SimpleData name="K">09</SimpleData>'
        f'<SimpleData name="T">{code}</SimpleData></SchemaData></ExtendedData><MultiGeometry><Polygon>'
        f"{inner}<outerBoundaryIs><LinearRing><coordinates>\n{text[0]}\n</coordinates></LinearRing>"
        "</outerBoundaryIs></Polygon></MultiGeometry></Placemark>"
    )


def test_both_formats_give_the_same_shapes(tmp_path: Path) -> None:
    hole = box(20, 20, 40, 40)
    one = read_boundaries(
        geojson(tmp_path, feature("0974", box(0, 0, 100, 100), hole, name="N")), code="code", name="name"
    )
    two = read_boundaries(kml(tmp_path, placemark("74", box(0, 0, 100, 100), hole)), code=("K", "T"))
    assert one.codes == two.codes == ("0974",)
    assert (one.names, two.names) == (("N",), ("Area 74",))
    assert one.shapes[0].equals(two.shapes[0])
    whole = read_boundaries(geojson(tmp_path, feature("1", box(0, 0, 100, 100))), code="code")
    share = overlaps(one, whole)
    assert share["share_of_target"].iloc[0] == pytest.approx(1 - 0.4 * 0.4, abs=1e-6)  # the hole is left out


# --- areas are true


def cell_area(south: float, north: float, width: float) -> float:
    """Square metres of the ellipsoid between two parallels and two meridians, by quadrature of M N cos(phi)."""
    a, f = 6_378_137.0, 1 / 298.257223563
    e2 = f * (2 - f)

    def strip(phi: float) -> float:
        w = 1 - e2 * np.sin(phi) ** 2
        return float(a * (1 - e2) / w**1.5 * a / np.sqrt(w) * np.cos(phi))

    return float(quad(strip, np.radians(south), np.radians(north))[0] * np.radians(width))


@pytest.mark.parametrize("centre", [(25.0, 60.3), (20.0, 62.0), (25.0, 0.0)])
@pytest.mark.parametrize(("west", "south"), [(25.0, 60.2), (21.0, 65.0)])
def test_the_projection_keeps_areas_wherever_its_centre_is(
    centre: tuple[float, float], west: float, south: float
) -> None:
    step = np.linspace(0, 0.2, 400)
    edges = [
        np.column_stack([west + step, np.full(400, south)]),
        np.column_stack([np.full(400, west + 0.2), south + step]),
        np.column_stack([west + step[::-1], np.full(400, south + 0.2)]),
        np.column_stack([np.full(400, west), south + step[::-1]]),
    ]
    x, y = equal_area(np.vstack(edges), centre).T
    shoelace = abs(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1))) / 2
    assert shoelace == pytest.approx(cell_area(south, south + 0.2, 0.2), rel=1e-6)


def test_distances_are_true_near_the_centre() -> None:
    x, y = equal_area(np.array([[LON + 0.001, LAT], [LON, LAT + 0.001]]), (LON, LAT)).T
    a, e2, phi = 6_378_137.0, 0.00669437999014, np.radians(LAT)
    w = 1 - e2 * np.sin(phi) ** 2
    assert x[0] == pytest.approx(np.radians(0.001) * a * np.cos(phi) / np.sqrt(w), rel=1e-6)
    assert y[1] == pytest.approx(np.radians(0.001) * a * (1 - e2) / w**1.5, rel=1e-4)


def test_shares_of_rectangles(tmp_path: Path) -> None:
    parts = geojson(
        tmp_path, feature("A", box(0, 0, 300, 100)), feature("B", box(300, 0, 100, 100)), file="a.geojson"
    )
    wholes = geojson(
        tmp_path, feature("X", box(0, 0, 100, 100)), feature("Y", box(100, 0, 300, 100)), file="b.geojson"
    )
    table = overlaps(*(read_boundaries(path, code="code") for path in (parts, wholes)), least=0.001)
    found = {(f, t): (w, s) for f, t, w, s in table.iloc[:, :4].itertuples(index=False)}
    third = pytest.approx(1 / 3, abs=1e-4)
    assert found == {
        ("A", "X"): (third, pytest.approx(1, abs=1e-4)),
        ("A", "Y"): (pytest.approx(2 / 3, abs=1e-4), pytest.approx(2 / 3, abs=1e-4)),
        ("B", "Y"): (pytest.approx(1, abs=1e-4), third),
    }
    assert table["area_km2"].sum() == pytest.approx(0.04, rel=0.01)


#: The tables of README.md beside the raw data: share of the district in the postal area, and of that in the district.
VANTAA = {
    ("09274", "01360"): (0.95, 0.48),
    ("09270", "01360"): (None, 0.20),
    ("09275", "01360"): (None, 0.19),
    ("09266", "01360"): (None, 0.07),
    ("09291", "01280"): (0.65, 0.54),
    ("09291", "00970"): (0.15, None),
    ("09291", "01200"): (0.15, None),
    ("09295", "01280"): (None, 0.40),
    ("09293", "01280"): (None, 0.05),
    ("09294", "01200"): (1.00, 0.16),
    ("09298", "01200"): (None, 0.51),
    ("09292", "01200"): (None, 0.15),
    ("09290", "01200"): (None, 0.10),
    ("09282", "01480"): (0.87, 0.27),
    ("09282", "01400"): (0.13, None),
    ("09285", "01480"): (None, 0.46),
    ("09283", "01480"): (None, 0.19),
    ("09280", "01480"): (None, 0.05),
    ("09215", "01600"): (0.90, 0.94),
}
HELSINKI = {
    ("091703473", "00970"): (0.75, 0.50),
    ("091703471", "00940"): (0.78, 0.35),
    ("091704544", "00980"): (0.53, 0.18),
    ("091503381", "00700"): (0.89, 0.13),
    ("091503382", "00700"): (0.89, 0.45),
    ("091205331", "00420"): (0.98, 0.65),
    ("091205333", "00410"): (0.74, 0.96),
}


@pytest.fixture(scope="module")
def postal(raw: Path) -> Boundaries:
    path = raw / "statfi-paavo" / "vintage-2026" / "metro_neighborhoods.geojson"
    return read_boundaries(path, code="postinumeroalue", name="nimi")


@pytest.mark.parametrize(
    ("file", "code", "expected"),
    [
        ("PKS_tilastoalue.kml", ("KUNTA", "TILA"), VANTAA),
        ("PKS_pienalue.kml", ("KUNTA", "TILA", "PIEN"), HELSINKI),
    ],
)
def test_real_districts_lie_in_postal_areas_as_recorded(
    raw: Path,
    postal: Boundaries,
    file: str,
    code: tuple[str, ...],
    expected: dict[tuple[str, str], tuple[float | None, float | None]],
) -> None:
    districts = read_boundaries(
        raw / "aluesarjat" / "boundaries-kml" / file, code=code, name="Nimi", repair=True
    )
    table = overlaps(districts, postal).set_index(["from_code", "to_code"])
    for pair, (part, whole) in expected.items():
        row = table.loc[pair]
        if part is not None:
            assert round(row["weight"], 2) == part, pair
        if whole is not None:
            assert round(row["share_of_target"], 2) == whole, pair


def test_the_table_of_the_paavo_study_is_what_its_boundaries_give(raw: Path, postal: Boundaries) -> None:
    path = raw / "aluesarjat" / "boundaries-kml" / "PKS_tilastoalue.kml"
    districts = read_boundaries(path, code=("KUNTA", "TILA"), repair=True)
    table = overlaps(districts, postal).set_index(["from_code", "to_code"])
    folder = Path(__file__).parents[1] / "data" / "vantaa-mek-paavo"
    listed = pd.read_csv(folder / "districts.csv", dtype={"district": str, "area": str})
    land = listed.loc[listed["by"] == "area"]
    assert len(land) > 50
    for row in land.to_dict("records"):
        found = table.loc[(row["district"], row["area"])]
        assert row["share_of_district"] == pytest.approx(found["weight"], abs=0.00051)
        assert row["share_of_area"] == pytest.approx(found["share_of_target"], abs=0.00051)


def test_the_shares_of_people_of_the_paavo_study_are_residents_by_land(raw: Path, postal: Boundaries) -> None:
    path = raw / "aluesarjat" / "boundaries-kml" / "PKS_tilastoalue.kml"
    table = overlaps(read_boundaries(path, code=("KUNTA", "TILA"), repair=True), postal)
    # The first of the 14 lines of 40 years of a district counts all residents; the last number is of 1.1.2010.
    text = (raw / "aluesarjat" / "px" / "C02S_VAN_Vakiluku1971.px").read_text(encoding="latin-1")
    codes = text.split('CODES("Alue")=')[1].split(";")[0].replace("\n", "").replace('"', "").split(",")
    cells = text.split("DATA=")[1].replace(";", " ").split()
    last = {code: cells[at * 14 * 40 + 39] for at, code in enumerate(codes)}
    residents = {code: float(cell) for code, cell in last.items() if cell.isdigit()}
    assert residents["09294"] == 11170
    assert "09292" not in residents  # Ojanko's few are hidden
    folder = Path(__file__).parents[1] / "data" / "vantaa-mek-paavo"
    listed = pd.read_csv(folder / "districts.csv", dtype={"district": str, "area": str})
    listed = listed.loc[listed["by"] == "population"]
    assert set(listed["area"]) == {"01200", "01280", "01360", "01480", "01600", "01620"}
    assert (set(listed["year"]), set(listed["spread"])) == ({2010}, {"area"})
    for area, rows in listed.groupby("area"):
        part = {
            row["from_code"]: row["weight"] * residents[row["from_code"]]
            for row in table.loc[table["to_code"] == area].to_dict("records")
            if row["from_code"] in residents
            and max(row["weight"], row["share_of_target"]) >= 0.01  # less is two drawings of one border
        }
        assert set(rows["district"]) == set(part)
        for row in rows.to_dict("records"):
            share = part[row["district"]] / sum(part.values())
            assert row["share_of_area"] == pytest.approx(share, abs=0.00051)


def test_real_counts_of_areas_and_broken_polygons_are_named(raw: Path, postal: Boundaries) -> None:
    assert len(postal.codes) == 330
    path = raw / "aluesarjat" / "boundaries-kml" / "PKS_tilastoalue.kml"
    with pytest.raises(DataError, match="Self-intersection") as caught:
        read_boundaries(path, code=("KUNTA", "TILA"))
    broken = {fault.place.column for fault in caught.value.faults if fault.place}
    assert broken == {"04942", "091401", "091505", "09251"}
    districts = read_boundaries(path, code=("KUNTA", "TILA"), repair=True)
    assert len(districts.codes) == 125
    assert sum(code.startswith("092") for code in districts.codes) == 61


# --- neighbours


def grid(folder: Path, gap: float = 0.0) -> Boundaries:
    """Nine squares of 100 m, with gaps between them."""
    cells = [
        feature(f"{row}{column}", box(column * 100 + gap / 2, row * 100 + gap / 2, 100 - gap, 100 - gap))
        for row in range(3)
        for column in range(3)
    ]
    return read_boundaries(geojson(folder, *cells), code="code")


@pytest.mark.parametrize("gap", [0.0, 3.0])
def test_squares_that_share_a_side_are_neighbours_and_corners_are_not(tmp_path: Path, gap: float) -> None:
    table = neighbours(grid(tmp_path, gap))
    found = {(a, b) for a, b in table[["area", "neighbour"]].itertuples(index=False)}
    expected = {
        (f"{r}{c}", f"{r + dr}{c + dc}")
        for r in range(3)
        for c in range(3)
        for dr, dc in ((0, 1), (1, 0), (0, -1), (-1, 0))
        if 0 <= r + dr < 3 and 0 <= c + dc < 3
    }
    assert found == expected
    assert table["border_m"].between(90, 115).all()


def test_a_wide_gap_is_no_border(tmp_path: Path) -> None:
    assert neighbours(grid(tmp_path, 12.0)).empty
    assert len(neighbours(grid(tmp_path, 12.0), tolerance=15)) == 24
    with pytest.raises(DataError, match="number of metres"):
        neighbours(grid(tmp_path), tolerance=-1)


def test_real_neighbours_are_mutual_and_those_of_the_map(postal: Boundaries) -> None:
    table = neighbours(postal)
    pairs = set(table[["area", "neighbour"]].itertuples(index=False, name=None))
    assert pairs == {(b, a) for a, b in pairs}
    beside = set(table.loc[table["area"] == "01360", "neighbour"])
    assert {"01400", "01420", "01350", "01370"} <= beside  # Rekola, Päiväkumpu, Hiekkaharju, Jokiniemi
    assert not beside & {"01200", "01600", "01480"}


def test_neighbours_from_a_table(tmp_path: Path) -> None:
    path = tmp_path / "n.csv"
    path.write_text("area,neighbour,border_m\nA,B,10\nB,C,20\nC,B,20\n", encoding="utf-8")
    table = read_neighbours(path)
    assert table.values.tolist() == [["A", "B", 10], ["B", "A", 10], ["B", "C", 20], ["C", "B", 20]]
    path.write_text("area,neighbour,border_m\nA,A,1\nA,D,x\nA,B,1\nA,B,1\nB,A,2\n,B,3\n", encoding="utf-8")
    with pytest.raises(StudyError) as caught:
        read_neighbours(path, known=["A", "B"])
    found = [(fault.place.row, fault.what) for fault in caught.value.faults if fault.place]
    assert (2, "An area is its own neighbour.") in found
    assert (3, "border_m is not what it must be.") in found
    assert (3, "An area is not known.") in found
    assert (5, "A pair of neighbours stands twice.") in found
    assert (6, "Two lengths of one border differ.") in found
    assert (7, "A cell is empty.") in found


# --- bad input


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (feature("A", [[25, 60], [25.1, 60], [25, 60]]), "at least four"),
        (feature("A", box(0, 0, 10, 10)[:-1]), "not closed"),
        (feature("A", [[25, 60], [25.1, 60.1], [25.1, 60], [25, 60.1], [25, 60]]), "Self-intersection"),
        (feature("A", [[385_000, 6_672_000]] * 4), "no degrees"),
        (feature("A", [[25, float("nan")]] * 4), "no number"),
        (feature("A", [[25, "x"]] * 4), "no rings of points"),  # type: ignore[list-item]
        (feature("A", [[25]] * 4), "no rings of points"),
        (feature("A", [[25, 60]] * 5), "broken|holds nothing"),
        (feature(None, box(0, 0, 10, 10)), "no code"),
        ({"type": "Feature", "properties": {"koodi": "A"}, "geometry": None}, "no such property"),
        ({"type": "Feature", "properties": {"code": "A"}, "geometry": None}, "not a polygon"),
        (
            {
                "type": "Feature",
                "properties": {"code": "A"},
                "geometry": {"type": "Point", "coordinates": [25, 60]},
            },
            "not a polygon",
        ),
    ],
)
def test_broken_boundaries_are_named(tmp_path: Path, made: dict[str, object], said: str) -> None:
    with pytest.raises(DataError, match=said) as caught:
        read_boundaries(geojson(tmp_path, feature("good", box(50, 50, 10, 10)), made), code="code")
    place = caught.value.faults[0].place
    assert place is not None
    assert place.row == 2


def test_a_polygon_that_crosses_itself_can_be_mended(tmp_path: Path) -> None:
    bow = [[25, 60], [25.1, 60.1], [25.1, 60], [25, 60.1], [25, 60]]
    mended = read_boundaries(geojson(tmp_path, feature("A", bow)), code="code", repair=True)
    assert mended.shapes[0].is_valid
    assert mended.shapes[0].area == pytest.approx(0.1 * 0.1 / 2)  # two triangles


def test_one_code_twice_and_nothing_at_all_are_refused(tmp_path: Path) -> None:
    twin = [feature("A", box(at, 0, 10, 10)) for at in (0, 20)]
    with pytest.raises(DataError, match="stands twice"):
        read_boundaries(geojson(tmp_path, *twin), code="code")
    with pytest.raises(DataError, match="no areas"):
        read_boundaries(geojson(tmp_path), code="code")
    with pytest.raises(DataError, match="No property"):
        read_boundaries(geojson(tmp_path), code=())


def of(plane: str) -> dict[str, object]:
    return {"type": "name", "properties": {"name": plane}}


def square(east: float, north: float, side: float) -> Ring:
    there = [[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]
    return [[east + side * x, north + side * y] for x, y in there]


@pytest.mark.parametrize(
    ("name", "plane", "east"),
    [("urn:ogc:def:crs:EPSG::3067", "EPSG:3067", 385_000), ("EPSG:3879", "EPSG:3879", 25_496_000)],
)
def test_a_plane_of_finland_is_read_in_its_metres(tmp_path: Path, name: str, plane: str, east: int) -> None:
    two = [feature(code, square(east + at, 6_680_000, 100)) for code, at in (("A", 0), ("B", 100))]
    found = read_boundaries(geojson(tmp_path, *two, crs=of(name)), code="code")
    assert found.plane == plane
    assert [shape.area for shape in found.shapes] == [10_000, 10_000]
    assert neighbours(found, tolerance=0)["border_m"].tolist() == pytest.approx([100, 100], abs=0.05)
    with pytest.raises(DataError, match=f"no metres east and north in Finland by {plane}"):
        turned = feature("A", [[y, x] for x, y in square(east, 6_680_000, 100)])
        read_boundaries(geojson(tmp_path, turned, crs=of(name)), code="code")
    with pytest.raises(DataError, match="no metres"):
        read_boundaries(geojson(tmp_path, feature("A", box(0, 0, 9, 9)), crs=of(name)), code="code")
    degrees = read_boundaries(geojson(tmp_path, feature("A", box(0, 0, 9, 9))), code="code")
    with pytest.raises(DataError, match="different coordinates"):
        overlaps(found, degrees)


def test_other_coordinates_are_refused(tmp_path: Path) -> None:
    for name in ("urn:ogc:def:crs:EPSG::3857", "EPSG:30670", "EPSG:2393", ""):
        with pytest.raises(DataError, match="coordinates that are not known"):
            read_boundaries(geojson(tmp_path, feature("A", box(0, 0, 9, 9)), crs=of(name)), code="code")
    for name in ("urn:ogc:def:crs:OGC:1.3:CRS84", "EPSG:4326", "urn:ogc:def:crs:EPSG::4258"):
        crs = {"type": "name", "properties": {"name": name}}
        assert read_boundaries(
            geojson(tmp_path, feature("A", box(0, 0, 9, 9)), crs=crs), code="code"
        ).codes == ("A",)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'{"type": "Topology"}', b"<html></html>", b"\xff\xfe", b'{"type":' * 100_000],
)
def test_what_is_no_geojson_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "map.geojson"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"no GeoJSON"):
        read_boundaries(path, code="code")


BOMB = '<!DOCTYPE kml [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;">]>'
OUTSIDE = '<!DOCTYPE kml SYSTEM "file:///etc/hostname">'


@pytest.mark.parametrize("head", [BOMB, OUTSIDE, "<!DOCTYPE kml>"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_entities_are_refused_before_they_are_expanded(tmp_path: Path, head: str, encoding: str) -> None:
    path = kml(tmp_path, placemark("74", box(0, 0, 10, 10)).replace("Area 74", "&c;"), head)
    text = path.read_text(encoding="utf-8").replace('encoding="UTF-8"', f'encoding="{encoding}"')
    path.write_bytes(text.encode(encoding))
    with pytest.raises(DataError, match="document type or entities"):
        read_boundaries(path, code=("K", "T"))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("<Folder>" * 60 + "</Folder>" * 60, "nested too deeply"),
        ("<Placemark>", "no KML"),
        ("&amp;&nothing;", "no KML"),
        (placemark("74", [[25, 60], [25, 61]]), "at least four"),
        (placemark("74", box(0, 0, 10, 10)).replace(",0 ", ",0,7 "), "no points"),
        (
            placemark("74", box(0, 0, 10, 10))
            .replace("<Polygon>", "<Line>")
            .replace("</Polygon>", "</Line>"),
            "no polygon",
        ),
        (placemark("74", box(0, 0, 10, 10)) * 2, "stands twice"),
    ],
)
def test_what_is_no_kml_of_areas_is_refused(tmp_path: Path, body: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        read_boundaries(kml(tmp_path, body), code=("K", "T"))


def test_a_file_of_another_kind_or_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="GeoJSON and KML"):
        read_boundaries(tmp_path / "map.shp", code="code")
    with pytest.raises(DataError, match="cannot be read"):
        read_boundaries(tmp_path / "map.kml", code="code")


def test_maps_of_different_places_have_no_shares(tmp_path: Path) -> None:
    near = read_boundaries(geojson(tmp_path, feature("A", box(0, 0, 10, 10))), code="code")
    far = read_boundaries(geojson(tmp_path, feature("B", box(900, 0, 10, 10))), code="code")
    with pytest.raises(DataError, match="No area of one map"):
        overlaps(near, far)
    other = read_boundaries(
        geojson(tmp_path, feature("C", [[-70, 40], [-69, 40], [-69, 41], [-70, 40]])), code="code"
    )
    with pytest.raises(DataError, match="too wide or too far apart"):
        overlaps(near, other)
