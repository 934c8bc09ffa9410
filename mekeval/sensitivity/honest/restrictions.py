"""What is assumed of the deviations from parallel trends, as linear inequalities.

In: event times around a base, and the kind of restriction. Out: `Polyhedron`s whose union is the set of deviations that
are allowed. Never: an uneven spacing of the years taken for an even one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from ...panel import Floats

Restriction = Literal["smoothness", "relative_magnitudes", "relative_smoothness"]
Bias = Literal["positive", "negative"]
Monotone = Literal["increasing", "decreasing"]
RESTRICTIONS: tuple[Restriction, ...] = ("smoothness", "relative_magnitudes", "relative_smoothness")
BIASES: tuple[Bias, ...] = ("positive", "negative")
MONOTONES: tuple[Monotone, ...] = ("increasing", "decreasing")
_SHORT: dict[Restriction, str] = {
    "smoothness": "SD",
    "relative_magnitudes": "RM",
    "relative_smoothness": "SDRM",
}


@dataclass(frozen=True, kw_only=True)
class Times:
    """Event times of the coefficients, in their order, without the base, whose deviation is zero.

    Attributes
    ----------
    pre, post : array
        Times before and after the base, rising.
    base : float
    """

    pre: Floats
    post: Floats
    base: float

    @property
    def all(self) -> Floats:
        """All times, the base among them."""
        return np.concatenate([self.pre, [self.base], self.post])

    @cached_property
    def steps(self) -> Floats:
        """Change per unit of time between times that follow each other, shape (n_times - 1, n_coefficients)."""
        whole = np.diff(np.eye(len(self.all)), axis=0) / np.diff(self.all)[:, None]
        return np.delete(whole, len(self.pre), axis=1)

    @property
    def even(self) -> bool:
        """Whether every step is one."""
        return bool(np.all(np.diff(self.all) == 1))


@dataclass(frozen=True, kw_only=True)
class Polyhedron:
    """Deviations with rows @ deviations <= limits.

    Attributes
    ----------
    rows : array, shape (n_rows, n_coefficients)
        Over the times before and after the base.
    limits : array, shape (n_rows,)
    """

    rows: Floats
    limits: Floats


def delta_name(restriction: Restriction, bias: Bias | None, monotone: Monotone | None) -> str:
    """The name of the set in the source: "SD", "SDNB", "RMI" and so on."""
    ends = {"positive": "PB", "negative": "NB", "increasing": "I", "decreasing": "D", None: ""}
    return f"{_SHORT[restriction]}{ends[bias]}{ends[monotone]}"


def bends(times: Times) -> Floats:
    """Change of slope at each inner time per unit of time, shape (n_times - 2, n_coefficients)."""
    return np.asarray(np.diff(times.steps, axis=0) / knot_widths(times)[:, None])


def knot_widths(times: Times) -> Floats:
    """Half the distance between the neighbours of each inner time: 1 where the years follow each other."""
    gaps = np.diff(times.all)
    return np.asarray((gaps[1:] + gaps[:-1]) / 2)


def free_of(times: Times, restriction: Restriction) -> Floats:
    """The restricted quantity (step or bend) after the base by the effects there, invertible."""
    whole = times.steps if restriction == "relative_magnitudes" else bends(times)
    return whole[-len(times.post) :, len(times.pre) :]


def polyhedra(
    times: Times,
    restriction: Restriction,
    size: float,
    *,
    bias: Bias | None,
    monotone: Monotone | None,
    only: int | None = None,
) -> list[Polyhedron]:
    r"""The set of deviations as a union; of its parts `only` the one at a place.

    With relative restrictions there is one part for each step (bend) before entry that may be the largest, and for each
    of its signs: the others before are at most as large, those after at most `size` times as large.
    """
    quantity = times.steps if restriction == "relative_magnitudes" else bends(times)
    n_post = len(times.post)
    extra, zeros = _shape_rows(times, bias, monotone)
    if restriction == "smoothness":
        rows = np.vstack([quantity, -quantity, extra])
        return [Polyhedron(rows=rows, limits=np.r_[np.full(2 * len(quantity), size), zeros])]
    factor = np.r_[np.ones(len(quantity) - n_post), np.full(n_post, size)][:, None]
    found = []
    for at in range(n_parts(times, restriction)) if only is None else (only,):
        bound = factor * ((-1.0 if at % 2 else 1.0) * quantity[at // 2])
        rows = np.vstack([quantity - bound, -quantity - bound])
        rows = rows[np.abs(rows).max(axis=1) > 1e-12 * np.abs(quantity).max()]
        rows = np.vstack([rows, extra])
        found.append(Polyhedron(rows=rows, limits=np.zeros(len(rows))))
    return found


def n_parts(times: Times, restriction: Restriction) -> int:
    """How many parts `polyhedra` gives."""
    seen = {
        "smoothness": 0.5,
        "relative_magnitudes": len(times.pre),
        "relative_smoothness": len(times.pre) - 1,
    }
    return int(2 * seen[restriction])


def _shape_rows(times: Times, bias: Bias | None, monotone: Monotone | None) -> tuple[Floats, Floats]:
    rows = [np.zeros((0, len(times.pre) + len(times.post)))]
    if bias is not None:
        signs = np.eye(len(times.pre) + len(times.post))[len(times.pre) :]
        rows.append(-signs if bias == "positive" else signs)
    if monotone is not None:
        rows.append(-times.steps if monotone == "increasing" else times.steps)
    stacked = np.vstack(rows)
    return stacked, np.zeros(len(stacked))
