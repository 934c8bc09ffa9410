"""The areas of a city: codes, names, levels, boundaries, and how the areas of one list lie in those of another.

In: the lists of a study, tables of shares, boundary files. Out: `Areas`, weights and tables carried from one list of
areas to another. Never: a guess; a name that fits no area or two areas is answered with the closest ones.
"""

from .boundaries import Boundaries, read_boundaries
from .changes import change_weights, read_changes
from .crosswalk import crosswalk
from .districts import Dilution, Districts, district_rows, read_districts
from .hierarchy import LEVELS, hierarchy_rows, read_hierarchy
from .listing import COLUMNS, Areas, areas_from_rows, fold, found_areas, join_areas, read_areas
from .overlaps import neighbours, overlaps, read_neighbours
from .weights import read_weights, weight_totals

__all__ = [
    "COLUMNS",
    "LEVELS",
    "Areas",
    "Boundaries",
    "Dilution",
    "Districts",
    "areas_from_rows",
    "change_weights",
    "crosswalk",
    "district_rows",
    "fold",
    "found_areas",
    "hierarchy_rows",
    "join_areas",
    "neighbours",
    "overlaps",
    "read_areas",
    "read_boundaries",
    "read_changes",
    "read_districts",
    "read_hierarchy",
    "read_neighbours",
    "read_weights",
    "weight_totals",
]
