"""Cities whose areas are compared, one by one and all at once.

In: changes, levels and sizes of areas, and which of them were chosen. Out: `City`, and `CityAreas`, the form in which
hundreds of comparisons are computed. Never: an area in two cities.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..display import Shown
from ..panel import Floats

Rows = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, repr=False)
class City(Shown):
    """One city, with the areas that the rule chooses in it.

    Attributes
    ----------
    name : str
    change : array, shape (n_areas,)
        Mean after minus mean before, of each area, in the outcome's unit.
    level : array, shape (n_areas,)
        Mean before.
    population : array, shape (n_areas,)
        Persons in the last year before.
    chosen : array of bool, shape (n_areas,)
        The areas that the rule chooses; in the target the treated ones.
    areas : tuple of str
        n_areas codes; empty where they are not known.
    """

    name: str
    change: Floats
    level: Floats
    population: Floats
    chosen: Mask
    areas: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class CityAreas:
    """The areas of several cities, one city after the other.

    Attributes
    ----------
    names : tuple of str
        n_cities names.
    change, level, population, chosen : array, shape (n_areas,)
        As in `City`.
    n : array of int, shape (n_cities,)
        Areas of each city.
    codes : array of str, shape (n_areas,); or (0,) where they are not known
    """

    names: tuple[str, ...]
    change: Floats
    level: Floats
    population: Floats
    chosen: Mask
    n: Rows
    codes: npt.NDArray[np.object_]

    @classmethod
    def of(cls, cities: Sequence[City]) -> CityAreas:
        """Cities put one after the other."""
        return cls(
            names=tuple(city.name for city in cities),
            change=np.concatenate([city.change for city in cities]),
            level=np.concatenate([city.level for city in cities]),
            population=np.concatenate([city.population for city in cities]),
            chosen=np.concatenate([city.chosen for city in cities]),
            n=np.array([len(city.chosen) for city in cities]),
            codes=np.array([], dtype=object),
        )

    def sums(self, values: Floats) -> Floats:
        """Sums over the areas of each city, shape (n_cities, ...)."""
        return np.asarray(np.add.reduceat(values, np.cumsum(self.n) - self.n, axis=0))

    def cities(self) -> list[City]:
        """Each city by itself."""
        ends = np.cumsum(self.n).tolist()
        parts = [slice(end - n, end) for end, n in zip(ends, self.n.tolist(), strict=True)]
        return [
            City(
                name=name,
                change=self.change[part],
                level=self.level[part],
                population=self.population[part],
                chosen=self.chosen[part],
                areas=tuple(self.codes[part]),
            )
            for name, part in zip(self.names, parts, strict=True)
        ]

    def without(self, name: str) -> CityAreas:
        """The other cities."""
        others = np.array([one != name for one in self.names])
        kept = np.repeat(others, self.n)
        return CityAreas(
            names=tuple(one for one in self.names if one != name),
            change=self.change[kept],
            level=self.level[kept],
            population=self.population[kept],
            chosen=self.chosen[kept],
            n=self.n[others],
            codes=self.codes[kept] if len(self.codes) else self.codes,
        )
