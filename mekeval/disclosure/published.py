"""The attack and its defence on tidy tables: what stands in them, and in the tables that were published before.

In: a tidy table, its study and earlier tables. Out: `Attack`, and the table with more rows hidden. Never: a row shown
that was hidden.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..areas import Areas
from ..display import Shown
from ..errors import DataError
from ..study import IndicatorSpec, Study, StudySpec
from ..study.formula import signed_terms
from .hiding import rows_to_hide
from .intervals import intervals_of
from .system import HIDDEN, OPEN, SHOWN, Bools, Floats, Ints, Published

#: Plain values that are counts, so that those of the parts of an area add up to its own.
COUNTS = ("persons", "number")
CELL_COLUMNS = ("area", "year", "count", "low", "high", "threshold", "narrow", "pinned")
#: A base that is this many limits large needs no protection: an interval narrower than one limit shows that.
ENOUGH = 2
_NEEDED = ("area", "year", "indicator", "value", "status")
_SECRET = ("confidential", "suppressed")


@dataclass(frozen=True, kw_only=True, repr=False)
class Attack(Shown):
    """What an attacker finds out from a published table.

    Attributes
    ----------
    cells : pandas.DataFrame
        One row for each hidden count that the table does not give by itself: `area`, `year`, `count` (a sum of items),
        `low` and `high` (the least and the largest whole number that fits all that is published; infinite where nothing
        limits it), `threshold` (persons), `narrow` (whether high - low is less than the threshold) and `pinned`:
        whether it is narrow and nothing says that the people are many. What is hidden only to protect something else
        may be told again, as long as it does not tell that; what a producer hides may not, however large it is.
    contradictions : int
        Published relations that contradict each other, and were widened by as little as possible.
    """

    cells: pd.DataFrame
    contradictions: int

    @property
    def pinned(self) -> pd.DataFrame:
        """The small hidden counts whose interval is narrower than the threshold."""
        return self.cells.loc[self.cells["pinned"]].reset_index(drop=True)


def attack(
    table: pd.DataFrame,
    study: Study,
    *,
    areas: Areas | None = None,
    earlier: Sequence[pd.DataFrame] = (),
    other_formula: Iterable[tuple[str, int]] = (),
    decimals: int = 1,
) -> Attack:
    """Between which numbers each hidden count must lie, by everything that is published.

    The attacker knows the formulas of the study, that counts are not negative, that an area is the sum of its parts,
    and that a share whose plausible range ends at 100 is at most 100.

    Parameters
    ----------
    table : pandas.DataFrame
        The tidy table, as `Indicators.table`. Without the columns `numerator` and `denominator` the attacker knows the
        rates only, rounded to some decimals.
    study : Study
    areas : Areas, optional
        The areas with their parents; those of the study by default. `Indicators.areas` has those found in files too.
    earlier : sequence of pandas.DataFrame
        Tables that were published before: what they show stays known.
    other_formula : iterable of (str, int)
        Indicators and years that were made by the other formula; the log has them under `other_formula`.
    decimals : int
        Decimals of rates that are shown without their counts.

    Returns
    -------
    Attack

    Raises
    ------
    DataError
        A column is missing, or an area, indicator or status is unknown.

    References
    ----------
    Fischetti, M. and Salazar-González, J. J. (2001). Solving the cell suppression problem on tabular data with linear
    constraints. Management Science 47(7), 1008-1027: the attacker's two linear programs.

    Examples
    --------
    >>> from mekeval import clean_indicators, example_study, read_study
    >>> study = read_study(example_study())
    >>> found = attack(clean_indicators(study).table, study)
    >>> len(found.cells) > 100, len(found.pinned)
    (True, 0)
    """
    read = _Reading(study.spec, areas or study.areas, other_formula, decimals)
    published = read.published(table, earlier)
    found = intervals_of(published)
    cells = pd.DataFrame(
        {
            "area": [read.areas[at] for at in found.area.tolist()],
            "year": [read.years[at] for at in found.year.tolist()],
            "count": [read.sums[at] for at in found.sum_at.tolist()],
            "low": found.low,
            "high": found.high,
            "threshold": found.threshold,
            "narrow": found.narrow,
            "pinned": found.pinned,
        },
        columns=list(CELL_COLUMNS),
    )
    return Attack(cells=cells, contradictions=found.contradictions)


def secure(
    table: pd.DataFrame,
    study: Study,
    *,
    areas: Areas | None = None,
    earlier: Sequence[pd.DataFrame] = (),
    other_formula: Iterable[tuple[str, int]] = (),
) -> pd.DataFrame:
    """The table with further rows hidden, so that no hidden count can be told from it.

    Rows of the city as a whole go before rows of the areas that are compared, and small areas before large ones.
    `clean_indicators` has done this for its own releases; it is for tables that are published beside others.

    Parameters
    ----------
    table, study, areas, earlier, other_formula
        As in `attack`; the table has numerators and denominators.

    Returns
    -------
    pandas.DataFrame
        A copy; the further rows are "confidential".

    Raises
    ------
    DataError
        As in `attack`.
    """
    known = areas or study.areas
    read = _Reading(study.spec, known, other_formula, 1)
    published = read.published(table, earlier)
    base = np.concatenate(
        [table["denominator"].to_numpy(dtype=float), np.zeros(len(published.state) - len(table))]
    )
    cost = costs(np.isin(np.array(read.areas, dtype=object)[published.area], list(known.units)), base)
    gone = rows_to_hide(published, cost)[: len(table)]
    result = table.copy()
    result.loc[gone, ["value", "numerator", "denominator"]] = np.nan
    result.loc[gone, "status"] = "confidential"
    return result


def costs(compared: Bools, base: Floats) -> Floats:
    """What it costs to hide a row: far more among the areas that are compared, and there by the people behind it."""
    return np.where(compared, 1e9, 0.0) + np.nan_to_num(base) + 1.0


class SumsOfItems:
    """The sums of a study's items that its indicators show.

    Attributes
    ----------
    names : list of str
        The sums as text.
    """

    def __init__(self, spec: StudySpec) -> None:
        self._items = {item.name: at for at, item in enumerate(spec.item)}
        self._known: dict[frozenset[tuple[int, str]], int] = {}
        self.names: list[str] = []

    def number(self, expression: str) -> int:
        """The position of a sum; the order of its terms does not matter."""
        terms = frozenset(signed_terms(expression))
        if terms not in self._known:
            self._known[terms] = len(self.names)
            self.names.append(expression)
        return self._known[terms]

    def of(self, one: IndicatorSpec) -> tuple[int, int]:
        """The counts above and below the line of an indicator; -1 for a value that is no count."""
        below = self.number(one.denominator or one.base)
        counts = bool(one.numerator) or one.unit in COUNTS or one.value == one.base
        return (self.number(one.numerator or one.value) if counts else -1), below

    def matrix(self) -> Floats:
        """The sign of each item in each sum, shape (n_sums, n_items)."""
        matrix = np.zeros((len(self.names), len(self._items)))
        for terms, at in self._known.items():
            for sign, name in terms:
                matrix[at, self._items[name]] += sign
        return matrix


def is_share(one: IndicatorSpec) -> bool:
    """Whether everybody knows that a rate is at most 100: its plausible range ends there, or below."""
    return bool(one.numerator) and one.plausible is not None and one.plausible[1] <= 100


class _Reading:
    """The rows of tidy tables as `Published`."""

    def __init__(
        self, spec: StudySpec, areas: Areas, other_formula: Iterable[tuple[str, int]], decimals: int
    ) -> None:
        self.spec, self.half = spec, 0.5 * 10.0**-decimals
        self.other = set(other_formula)
        self.areas = [str(code) for code in areas.table.index]
        parent = areas.table["parent"].fillna("").astype(object)
        index = pd.Index(self.areas, dtype=object)
        self.parent = np.asarray(index.get_indexer(pd.Index(parent, dtype=object)))
        self.level = pd.factorize(areas.table["level"].fillna(""))[0]
        self.years: list[int] = []
        self.sums: list[str] = []

    def published(self, table: pd.DataFrame, earlier: Sequence[pd.DataFrame]) -> Published:
        frames = [table, *earlier]
        for number, frame in enumerate(frames):
            lacking = [name for name in _NEEDED if name not in frame]
            if lacking:
                raise DataError(
                    "A tidy table lacks a column.",
                    where="table" if number == 0 else f"earlier[{number - 1}]",
                    found=", ".join(map(str, frame.columns)) or "no column",
                    expected=", ".join(lacking),
                )
        whole = pd.concat(
            [frame.assign(_earlier=number > 0) for number, frame in enumerate(frames)], ignore_index=True
        )
        whole = whole.loc[~whole["_earlier"] | (whole["status"] == "ok")]
        known = {one.name: one for one in self.spec.indicator}
        area = pd.Index(self.areas, dtype=object).get_indexer(
            pd.Index(whole["area"].astype(str), dtype=object)
        )
        strange = sorted(set(whole.loc[area < 0, "area"].astype(str)) | set(whole["indicator"]) - set(known))
        if strange:
            raise DataError(
                "The table has an area or an indicator that the study does not know.",
                where="table",
                found=", ".join(map(repr, strange[:6])),
                expected="the areas and indicators of the study",
            )
        self.years = sorted({int(year) for year in whole["year"]})
        sums, (top, bottom) = SumsOfItems(self.spec), (np.full(len(whole), -1) for _ in range(2))
        at_most, least = np.zeros(len(whole), dtype=bool), np.zeros(len(whole), dtype=np.int64)
        limits = strictest_of(self.spec)
        name, year = whole["indicator"].to_numpy(dtype=object), whole["year"].to_numpy()
        for one in self.spec.indicator:
            own = name == one.name
            top[own], bottom[own] = sums.of(one)
            if (second := one.by_otherwise) is not None:
                other = own & np.isin(year, [when for which, when in self.other if which == one.name])
                top[other], bottom[other] = sums.of(second)
            at_most[own], least[own] = is_share(one), limits[one.name]
        self.sums = sums.names
        year_at = np.searchsorted(self.years, year)
        shown = {
            part: whole[part].to_numpy(dtype=float) if part in whole else np.full(len(whole), np.nan)
            for part in ("value", "numerator", "denominator")
        }
        rates = np.array([bool(one.numerator) for one in map(known.__getitem__, name)], dtype=bool)
        above = np.where(rates, shown["numerator"], np.where(top >= 0, shown["value"], np.nan))
        status = whole["status"].to_numpy(dtype=object)
        state = np.where(status == "ok", SHOWN, np.where(np.isin(status, _SECRET), HIDDEN, OPEN))
        nobody = nobody_in(status, area, year_at)
        rounded = (state == SHOWN) & rates & np.isnan(above)
        rate = np.where(rounded, shown["value"], np.nan)[:, None] + np.array([-self.half, self.half])
        return Published(
            matrix=sums.matrix(),
            top=top,
            bottom=bottom,
            area=area,
            year=year_at,
            state=np.where(nobody, SHOWN, state),
            earlier=whole["_earlier"].to_numpy(dtype=bool),
            fixed=whole["_earlier"].to_numpy(dtype=bool) | nobody,
            secret=status == "suppressed",
            aimed=~(shown["denominator"] >= ENOUGH * least),
            above=twice(np.where(nobody & (at_most | ~rates), 0.0, above)),
            below=twice(np.where(nobody, 0.0, shown["denominator"])),
            rate=rate,
            at_most=at_most,
            threshold=least,
            parent=self.parent,
            level=self.level,
        )


def threshold_of(spec: StudySpec, one: IndicatorSpec) -> int:
    """The least number of people behind a value of an indicator, whatever its sources ask for."""
    return max(spec.study.minimum_base, one.minimum_base or 0)


def strictest_of(spec: StudySpec) -> dict[str, int]:
    """The highest limit of each indicator: its own, those of its sources, and those of what has a base of it."""
    limits = {
        one.name: max(
            [threshold_of(spec, one)]
            + [source.minimum_base or 0 for source in spec.source if set(source.items) & set(one.items)]
        )
        for one in spec.indicator
    }
    bases = {one.name: frozenset(signed_terms(one.denominator or one.base)) for one in spec.indicator}
    return {name: max(limits[other] for other in limits if bases[other] == bases[name]) for name in limits}


def strictest(spec: StudySpec) -> int:
    """The highest limit that any part of a study asks for."""
    own = [one.minimum_base or 0 for one in spec.indicator]
    return max([spec.study.minimum_base, *own, *(one.minimum_base or 0 for one in spec.source)])


def twice(numbers: Floats) -> Floats:
    """Exact numbers as intervals."""
    return np.stack([numbers, numbers], axis=1)


def nobody_in(status: np.ndarray, area: Ints, year: Ints) -> Bools:
    """Rows that say that there is nobody: an empty area, or one in which nothing at all is applicable."""
    place = area.astype(np.int64) * (int(year.max(initial=0)) + 1) + year
    applies = ~np.isin(status, ["empty_area", "not_applicable"])
    nobody: Bools = ~applies & ((status == "empty_area") | ~np.isin(place, place[applies]))
    return nobody
