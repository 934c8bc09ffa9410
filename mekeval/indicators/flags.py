"""What looks wrong in a series and may be right: jumps of level, changes of unit, values unlike their own past.

In: the tidy table. Out: one row for each flag, with its numbers. Never: a value changed; a flag is a question to the
producer, not an answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import nnls

from .series import (
    Block,
    Floats,
    Ints,
    Known,
    Steps,
    known_medians,
    known_values,
    median,
    medians_of,
    series_of,
)

_MAD = 1.4826  # a median absolute deviation of normal values, times this, is their standard deviation
_MEDIAN = 1.2533  # the standard error of a median is that of a mean, times this
#: Iglewicz and Hoaglin's limit for a robust score.
_FAR = 3.5
#: A jump matters if it is this part of the spread between areas, this share of the areas takes part in it, and it is so
#: many times as far as every other step but one.
_MATTERS, _COMMON, _ALONE = 0.1, 0.8, 2.0
_LEAST_AREAS, _LEAST_STEPS = 8, 4
#: Scores from which a value is called an outlier: seen from both neighbours, or from one where it has no other.
_SPIKE, _END = 7.0, 14.0
_FEW, _FEW_SHARE = 6, 0.004
_BINS = 12

BREAK_COLUMNS = (
    "indicator",
    "year_before",
    "year",
    "areas",
    "change",
    "expected",
    "score",
    "share",
    "scale",
)
UNIT_COLUMNS = ("indicator", "year_before", "year", "source_before", "source", "area", "areas", "ratio")
OUTLIER_COLUMNS = ("area", "year", "indicator", "value", "expected", "score", "source")


def level_breaks(table: pd.DataFrame, *, levels: Mapping[str, str] | None = None) -> pd.DataFrame:
    r"""Find years at which most areas jump together, out of line with the rest of their series.

    Between two known years that follow each other, :math:`g` years apart, the common change :math:`c` is the median
    over areas. The other steps of the same areas, :math:`c_j` over :math:`g_j` years, give a drift
    :math:`\mu = \mathrm{med}(c_j / g_j)` and a scale
    :math:`s = 1.4826\, \mathrm{med}\,|c_j - g_j \mu| / \sqrt{g_j}`, and

    .. math:: z = \frac{c - g \mu}{s \sqrt{g + 1.57\, g^2 / m}},

    where the second term under the root is the error of the drift, from :math:`m` other steps. A break is a step with
    :math:`|z| > 3.5` (Iglewicz and Hoaglin) whose excess :math:`|c - g\mu|`

    - is at least a tenth of the spread between areas (1.4826 times the median absolute deviation of their levels),
      times :math:`\sqrt g`,
    - is at least twice as far as that of every other step but one, by years as above, and
    - is shared by four fifths of the areas.

    The scale is never below the standard error of the common change itself, so that a quiet series does not cry.

    Parameters
    ----------
    table : pandas.DataFrame
        As `Indicators.table`; only rows of status "ok" are looked at.
    levels : mapping of str to str, optional
        The level of each area: areas of different levels are not mixed.

    Returns
    -------
    pandas.DataFrame
        Columns `BREAK_COLUMNS`: `indicator`, `year_before` and `year` (the step), `areas` (how many), `change` and
        `expected` (in the indicator's unit, or in percent where `scale` is "percent"), `score` (z), and the `share` of
        areas beyond the expected change.

    Notes
    -----
    It needs eight areas and four other steps of the same areas. A change of the definition and an event (a recession,
    a pandemic) look alike: the producer's notes tell them apart. A break that a gap of several years hides in ordinary
    drift is not found, nor one of a few cities in a whole country: `clean_indicators` looks at each city of 30 areas or
    more by itself as well, where the areas have a `parent`.

    References
    ----------
    Iglewicz, B. and Hoaglin, D. C. (1993). How to Detect and Handle Outliers. ASQC Quality Press.

    Examples
    --------
    >>> rows = [
    ...     {"area": str(area), "year": year, "indicator": "share", "value": 20.0 + area + (3 if year > 2017 else 0),
    ...      "numerator": 20.0 + area, "denominator": 100.0, "status": "ok", "source": "a.csv"}
    ...     for area in range(10) for year in range(2012, 2022)
    ... ]
    >>> level_breaks(pd.DataFrame(rows))[["year_before", "year", "change"]].to_dict("records")
    [{'year_before': 2017, 'year': 2018, 'change': 3.0}]
    """
    return breaks_of(series_of(known_values(table, levels)))


def breaks_of(series: list[tuple[Block, Steps]]) -> pd.DataFrame:
    """`level_breaks` of blocks."""
    rows: list[dict[str, object]] = []
    for block, steps in series:
        if len(block.at) < _LEAST_AREAS or len(block.years) < _LEAST_STEPS + 2:
            continue
        ratios = block.kind == "positive"
        values = np.log(block.value) if ratios else block.value
        change = values[steps.area, steps.after] - values[steps.area, steps.before]
        middle = known_medians(values)
        spread = _MAD * median(known_medians(np.abs(values - middle)))
        rows += [
            {
                "indicator": block.indicator,
                "year_before": int(block.years[steps.before[one.first]]),
                "year": int(block.years[steps.after[one.first]]),
                "areas": one.areas,
                "change": _told(one.change, ratios),
                "expected": _told(one.expected, ratios),
                "score": one.score,
                "share": one.share,
                "scale": "percent" if ratios else "unit",
            }
            for one in _jumps(steps, change, spread, len(block.at))
        ]
    return pd.DataFrame(rows, columns=list(BREAK_COLUMNS))


def _told(change: float, ratios: bool) -> float:
    return round(100 * float(np.expm1(change)) if ratios else change, 10)


@dataclass(frozen=True, kw_only=True)
class _Jump:
    """A step of most areas that is out of line; `first` is one of its steps."""

    first: int
    areas: int
    change: float
    expected: float
    score: float
    share: float


@dataclass(frozen=True, kw_only=True, eq=False)
class _Shared:
    """The changes of n steps, each in ascending order over the areas, and which areas take part in each.

    Attributes
    ----------
    member : array of bool, shape (n_steps, n_areas)
    order : array of int, shape (n_steps, n_areas)
        Areas by their change; those that take no part are last.
    ordered : array, shape (n_steps, n_areas)
        Their changes.
    found : dict
        What `medians` found, by the areas.
    """

    member: npt.NDArray[np.bool_]
    order: npt.NDArray[np.intp]
    ordered: Floats
    found: dict[bytes, tuple[Floats, Ints]]

    @classmethod
    def of(cls, groups: list[npt.NDArray[np.intp]], steps: Steps, change: Floats, n_areas: int) -> _Shared:
        held = np.full((len(groups), n_areas), np.nan)
        for number, group in enumerate(groups):
            held[number, steps.area[group]] = change[group]
        order = np.argsort(held, axis=1)
        return cls(
            member=~np.isnan(held),
            order=order,
            ordered=np.take_along_axis(held, order, axis=1),
            found={},
        )

    def medians(self, number: int) -> tuple[Floats, Ints]:
        """Of every step the median change of the areas that take part in this one as well, and how many they are."""
        own = self.member[number]
        key = own.tobytes()
        if key not in self.found:
            count = np.cumsum(own[self.order] & ~np.isnan(self.ordered), axis=1)
            size = count[:, -1]
            row = np.arange(len(count))
            upper, lower = (
                self.ordered[row, np.argmax(count >= place[:, None], axis=1)]
                for place in (size // 2 + 1, (size + 1) // 2)
            )
            self.found[key] = np.where(size % 2, upper, (lower + upper) / 2), size
        return self.found[key]


def _jumps(steps: Steps, change: Floats, spread: float, n_areas: int) -> Iterator[_Jump]:
    """The steps of one block that are out of line; see `level_breaks`."""
    order = np.argsort(steps.pair, kind="stable")
    split = np.split(order, np.flatnonzero(np.diff(steps.pair[order])) + 1)
    groups = [group for group in split if len(group) >= _LEAST_AREAS]
    if not groups:
        return
    common_to = _Shared.of(groups, steps, change, n_areas)
    gap_of = np.array([float(steps.gap[group[0]]) for group in groups])
    for number, group in enumerate(groups):
        gap = float(gap_of[number])
        common = median(change[group])
        those, size = common_to.medians(number)
        beside = size >= max(_LEAST_AREAS, len(group) / 2)
        beside[number] = False
        medians, gaps = those[beside], gap_of[beside]
        if len(medians) < _LEAST_STEPS:
            continue
        drift = median(medians / gaps)
        far = np.sort(np.abs(medians - gaps * drift) / np.sqrt(gaps))
        excess = common - gap * drift
        noise = _MEDIAN * _MAD * median(np.abs(change[group] - common)) / np.sqrt(len(group))
        scale = _MAD * median(far) * np.sqrt(gap + (_MEDIAN * gap) ** 2 / len(medians))
        scale = max(scale, noise, 1e-12)
        share = float(np.mean((change[group] - gap * drift) * np.sign(excess) > 0))
        if (
            abs(excess) > _FAR * scale
            and abs(excess) >= _MATTERS * spread * np.sqrt(gap)
            and abs(excess) >= _ALONE * far[-2] * np.sqrt(gap)
            and share >= _COMMON
        ):
            yield _Jump(
                first=int(group[0]),
                areas=len(group),
                change=common,
                expected=gap * drift,
                score=float(np.clip(excess / scale, -1e6, 1e6)),
                share=share,
            )


def unit_breaks(table: pd.DataFrame, *, levels: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Find changes of unit: from one known year to the next, values near ten, a hundred or a thousand times as large.

    The ratio of an area's values at both ends of a step is compared with the powers of ten. For each pair of years and
    of files the median ratio of at least eight areas must lie within a quarter (10 to the power of 0.1) of a power
    other than one, and four fifths of the areas within a factor 1.6 of it. A single area, where its neighbours do no
    such thing, must lie within 2 % of the power; only quantities are looked at so, not rates of counted people, which
    jump by themselves where few people live. A share among percentages is a hundred, euros among thousands a thousand.

    Parameters
    ----------
    table, levels
        As in `level_breaks`.

    Returns
    -------
    pandas.DataFrame
        Columns `UNIT_COLUMNS`: `indicator`, `year_before`, `year`, the files `source_before` and `source`, `area` (the
        code of a single area, else empty), `areas` (how many) and `ratio` (after / before).

    Examples
    --------
    >>> rows = [
    ...     {"area": str(area), "year": year, "indicator": "income", "value": 20e3 / (1000 if year > 2017 else 1),
    ...      "numerator": np.nan, "denominator": 100.0, "status": "ok", "source": f"{year}.csv"}
    ...     for area in range(10) for year in range(2016, 2020)
    ... ]
    >>> unit_breaks(pd.DataFrame(rows))[["year", "source", "areas", "ratio"]].to_dict("records")
    [{'year': 2018, 'source': '2018.csv', 'areas': 10, 'ratio': 0.001}]
    """
    known = known_values(table, levels)
    return units_of(known, series_of(known))


def units_of(known: Known, series: list[tuple[Block, Steps]]) -> pd.DataFrame:
    """`unit_breaks` of blocks."""
    rows: list[dict[str, object]] = []
    source, files = known.source, known.sources
    for block, steps in series:
        first = block.value[steps.area, steps.before]
        last = block.value[steps.area, steps.after]
        there = np.flatnonzero((first > 0) & (last > 0))
        if not there.size:
            continue
        power = np.log10(last[there] / first[there])
        far = np.abs(power) > 0.8
        if not far.any():
            continue
        key = (steps.pair[there].astype(np.int64) * len(files) + source[steps.start[there]]) * len(
            files
        ) + source[steps.stop[there]]
        for one in np.unique(key[far]).tolist():
            group = np.flatnonzero(key == one)
            middle = float(np.median(power[group]))
            whole = round(middle)
            step = int(there[group[0]])
            fact = {
                "indicator": block.indicator,
                "year_before": int(block.years[steps.before[step]]),
                "year": int(block.years[steps.after[step]]),
                "source_before": str(files[source[steps.start[step]]]),
                "source": str(files[source[steps.stop[step]]]),
            }
            near = np.mean(np.abs(power[group] - whole) < 0.2)
            if len(group) >= _LEAST_AREAS and whole and abs(middle - whole) < 0.1 and near >= 0.8:
                rows.append({**fact, "area": "", "areas": len(group), "ratio": float(f"{10**middle:.4g}")})
                continue
            if not np.isnan(block.numerator).all():
                continue
            net = power[group] - middle
            for at in np.flatnonzero((np.round(net) != 0) & (np.abs(net - np.round(net)) < 0.0086)).tolist():
                area = known.areas[int(known.area[steps.stop[there[group[at]]]])]
                rows.append(
                    {**fact, "area": area, "areas": 1, "ratio": float(f"{10 ** power[group[at]]:.4g}")}
                )
    return pd.DataFrame(rows, columns=list(UNIT_COLUMNS))


def outliers(table: pd.DataFrame, *, levels: Mapping[str, str] | None = None) -> pd.DataFrame:
    r"""Find single values that leave their own series and come back, as typing errors do.

    The change of an area from one known year to its next is taken net of the median change of all areas between these
    years, :math:`e`; shares on the scale :math:`\arcsin\sqrt p`, quantities as logarithms. Small areas move more: over
    classes of size the squared scale :math:`(1.4826\, \mathrm{med}\,|e|)^2` is fitted by

    .. math:: \sigma^2 = a g + b \left(\frac{1}{n_0} + \frac{1}{n_1}\right), \qquad a, b \ge 0,

    with :math:`g` years between them and :math:`n_0, n_1` people behind the two values. A value is an outlier if the
    step into it and the step out of it have scores :math:`e / \sigma` beyond 7 with opposite signs; the first and the
    last value of an area, which have one step, need 14.

    Parameters
    ----------
    table, levels
        As in `level_breaks`.

    Returns
    -------
    pandas.DataFrame
        Columns `OUTLIER_COLUMNS`: `area`, `year`, `indicator`, `value`, `expected` (from the neighbouring years and the
        common change), `score` (the smaller of the two, with the sign of the deviation) and `source`. The index gives
        the rows of `table`.

    Notes
    -----
    It needs eight areas with a step between the same two years. A swap of neighbouring digits deep in a number changes
    it less than a year does, and nobody can find it so. In all of Paavo as published (``benchmarks/cleaning.py --raw``)
    it flags 0.3 of 1,000 values; of errors planted there it finds 92 % of numbers ten times as large, 59 % of those
    whose first two digits were swapped and 39 % of those with any two neighbouring digits swapped.
    """
    known = known_values(table, levels)
    found = far_values(series_of(known))
    rows = table.iloc[known.row[found["at"].to_numpy(dtype=np.int64)]].assign(
        expected=found["expected"].to_numpy(dtype=float), score=found["score"].to_numpy(dtype=float)
    )
    return pd.DataFrame(rows, columns=list(OUTLIER_COLUMNS))


def far_values(series: list[tuple[Block, Steps]]) -> pd.DataFrame:
    """`outliers` of blocks: position `at` in `Known`, `expected` and `score`."""
    parts = [
        _far_values(block, steps)
        for block, steps in series
        if len(block.at) >= _LEAST_AREAS and len(block.years) >= 2 and len(steps.area)
    ]
    empty = pd.DataFrame({"at": [], "expected": [], "score": []})
    return pd.concat(parts, ignore_index=True) if parts else empty


def _far_values(block: Block, steps: Steps) -> pd.DataFrame:
    there, back = _KINDS[block.kind]
    values = there(block.value)
    change = values[steps.area, steps.after] - values[steps.area, steps.before]
    common, size = medians_of(change, steps.pair)
    net = np.where(size[steps.pair] >= _LEAST_AREAS, change - common[steps.pair], np.nan)
    people = 1 / block.denominator[steps.area, steps.before] + 1 / block.denominator[steps.area, steps.after]
    people = np.where(np.isfinite(people), people, 0.0)
    score = net / _scale(net, steps.gap, people)
    known = np.flatnonzero(np.isfinite(score))
    shape = block.at.shape
    into, out = np.full(shape, np.nan), np.full(shape, np.nan)
    net_into, net_out = np.full(shape, np.nan), np.full(shape, np.nan)
    into[steps.area[known], steps.after[known]] = score[known]
    out[steps.area[known], steps.before[known]] = -score[known]
    net_into[steps.area[known], steps.after[known]] = net[known]
    net_out[steps.area[known], steps.before[known]] = -net[known]
    both = np.isfinite(into) & np.isfinite(out)
    with np.errstate(invalid="ignore"):
        spike = both & (np.sign(into) == np.sign(out)) & (np.minimum(np.abs(into), np.abs(out)) > _SPIKE)
        one = np.where(np.isfinite(into), into, out)
        end = ~both & (np.abs(one) > _END)
        # Of an area's only two values the later one is told: nobody knows which is wrong.
        end &= ~((np.isfinite(into).sum(axis=1) == 1)[:, None] & np.isnan(into))
        # The far value makes the step of its neighbour far, too: where that one is told, the neighbour is not.
        end &= ~_beside(spike, block.at >= 0)
    score_of = np.where(both, np.sign(into) * np.minimum(np.abs(into), np.abs(out)), one)
    deviation = np.where(both, (net_into + net_out) / 2, np.where(np.isfinite(into), net_into, net_out))
    area, year = np.nonzero(spike | end)
    return pd.DataFrame(
        {
            "at": block.at[area, year],
            "expected": back(values[area, year] - deviation[area, year]),
            "score": score_of[area, year],
        }
    )


def _angle(percent: Floats) -> Floats:
    return np.asarray(np.arcsin(np.sqrt(percent / 100)))


def _from_angle(angle: Floats) -> Floats:
    return np.asarray(100 * np.sin(np.clip(angle, 0, np.pi / 2)) ** 2)


#: How values of each kind are made comparable, and back.
_KINDS: dict[str, tuple[Callable[[Floats], Floats], Callable[[Floats], Floats]]] = {
    "share": (_angle, _from_angle),
    "positive": (lambda values: np.asarray(np.log(values)), lambda logs: np.asarray(np.exp(logs))),
    "plain": (np.asarray, np.asarray),
}


def _scale(net: Floats, gap: Floats, people: Floats) -> Floats:
    """Standard deviations of steps, from robust ones by class of size; see `outliers`."""
    known = np.flatnonzero(np.isfinite(net))
    if known.size < _LEAST_AREAS:
        return np.full(len(net), np.inf)
    # Where most values never change, the changes of the others say how far one goes.
    moved = known[np.abs(net[known]) > 1e-12]
    known = moved if moved.size >= _LEAST_AREAS else known
    order = known[np.lexsort((people[known], gap[known]))]
    n_bins = int(np.clip(known.size // 50, 1, _BINS))
    bins = np.array_split(order, n_bins)
    squares = np.array([(_MAD * np.median(np.abs(net[one]))) ** 2 for one in bins])
    causes = np.array([[gap[one].mean(), people[one].mean()] for one in bins])
    floor = max(float(np.median(squares)) * 1e-4, 1e-18)
    weight = 1 / np.maximum(squares, floor)  # errors of a variance grow with it
    causes_scale = np.maximum(causes.max(axis=0), 1e-300)
    fitted, _ = nnls((causes / causes_scale) * weight[:, None], squares * weight)
    a, b = fitted / causes_scale
    scale = np.sqrt(np.maximum(a * gap + b * people, floor))
    # What many areas do is no typing error: beyond a few, or four in a thousand steps, the scale gives way.
    scores = np.sort(np.abs(net[known]) / scale[known])
    few = max(_FEW, int(_FEW_SHARE * known.size))
    return np.asarray(scale * max(1.0, float(scores[-few - 1]) / _SPIKE) if known.size > few else scale)


def _beside(spike: npt.NDArray[np.bool_], there: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Values whose nearest known neighbour, before or after, is a spike."""
    beside = np.zeros_like(spike)
    for area in np.flatnonzero(spike.any(axis=1)).tolist():
        years = np.flatnonzero(there[area])
        far = spike[area, years]
        near = np.zeros_like(far)
        near[1:] |= far[:-1]
        near[:-1] |= far[1:]
        beside[area, years] = near
    return beside
