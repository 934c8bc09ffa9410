"""Free text as codes: how often each was given, and whether two coders see the same.

In: texts that people coded by a codebook. Out: counts by code, and Krippendorff's alpha. Never: the texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..errors import DataError, DesignError, closest
from .activities import ALL, Period
from .feedback import all_periods, guarded_cells, withheld_cells
from .intake import SEPARATOR
from .schema import MonitoringSpec

#: From here on conclusions may be drawn; below the second not even tentative ones (Krippendorff 2004, p. 241).
FIRM, TENTATIVE = 0.800, 0.667
_LEVELS = ("nominal", "ordinal")


def krippendorff_alpha(
    ratings: NDArray[np.float64] | Sequence[Sequence[float]],
    *,
    level: Literal["nominal", "ordinal"] = "nominal",
) -> float | None:
    """Krippendorff's alpha of several coders.

    Parameters
    ----------
    ratings : array of float, shape (n_coders, n_units)
        What each coder gave each unit, as numbers; NaN where a coder did not code it.
    level : {"nominal", "ordinal"}
        Whether values are names, or steps of a scale in their order.

    Returns
    -------
    float or None
        1 for perfect agreement, 0 for what chance gives, below 0 for less; None where it cannot be computed: no unit
        was coded twice, or all values that can be paired are alike.

    Raises
    ------
    DataError
        The package krippendorff is not there; it belongs to the extra `monitoring`.
    DesignError
        The level is unknown, or the ratings are no table of at least two coders.

    Notes
    -----
    Computed by the package krippendorff.

    References
    ----------
    Krippendorff, K. (2011). Computing Krippendorff's alpha-reliability. University of Pennsylvania.

    Examples
    --------
    >>> krippendorff_alpha([[0, 1, 0, 0, 0, 0, 0, 0, 1, 0], [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]])  # doctest: +ELLIPSIS
    0.095...
    """
    if level not in _LEVELS:
        raise DesignError(
            "There is no such level of measurement.", found=repr(level), expected=closest(level, _LEVELS)
        )
    table = np.asarray(ratings, dtype=float)
    if table.ndim != 2 or len(table) < 2:
        raise DesignError(
            "Agreement needs at least two coders.", where="ratings", found=f"shape {table.shape}"
        )
    twice = table[:, (~np.isnan(table)).sum(axis=0) > 1]
    if len(np.unique(twice[~np.isnan(twice)])) < 2:
        return None
    try:
        import krippendorff
    except ImportError:
        raise DataError(
            "Agreement of coders needs another package.",
            where="krippendorff_alpha",
            fix='Install it with: pip install "mekeval[monitoring]"',
        ) from None
    return float(krippendorff.alpha(reliability_data=twice, level_of_measurement=level))


def coder_agreement(feedback: pd.DataFrame, spec: MonitoringSpec) -> pd.DataFrame:
    """How far the coders agree on each code of the codebook.

    Parameters
    ----------
    feedback : pandas.DataFrame
        As in `Monitoring.feedback`; `codes` and every column `codes_…` are one coder each.
    spec : MonitoringSpec

    Returns
    -------
    pandas.DataFrame
        One row for each code: `code`, `texts` (that at least two coders coded), `coders`, `alpha` (nominal: given or
        not given; <NA> where it cannot be computed or `texts` is under the minimum).

    Raises
    ------
    DataError
        As `krippendorff_alpha`.
    """
    coders = [name for name in feedback.columns if name == "codes" or name.startswith("codes_")]
    texts = feedback.loc[feedback[coders].notna().sum(axis=1) > 1, coders]
    enough = len(coders) > 1 and len(texts) >= spec.monitoring.minimum_answers
    rows = []
    for name in (one.name for one in spec.code):
        given = np.array([[_gave(cell, name) for cell in texts[coder]] for coder in coders])
        alpha = krippendorff_alpha(given) if enough else None
        rows.append((name, len(texts), len(coders), alpha))
    frame = pd.DataFrame(rows, columns=["code", "texts", "coders", "alpha"])
    return frame.astype({"alpha": "Float64"})


def coded_answers(feedback: pd.DataFrame, spec: MonitoringSpec, *, by: Period) -> pd.DataFrame:
    """How many texts were given each code, by area and period; small numbers withheld.

    Parameters
    ----------
    feedback, spec, by
        As in `feedback_indicators`; the column `codes` counts.

    Returns
    -------
    pandas.DataFrame
        One row for each area and ``"all"``, period and code: `area`, `year`, `quarter`, `code`, `status` ("ok", "none"
        or "withheld"), `given`, `texts` (coded ones). A text may have several codes.
    """
    periods = all_periods(spec)
    areas = [*spec.areas.codes, spec.areas.city, ALL]
    minimum = spec.monitoring.minimum_answers
    coded = feedback.loc[feedback["codes"].notna()]
    texts = _counted(coded, areas, periods)
    guarded = withheld_cells(texts, periods, minimum, also=guarded_cells(feedback, spec, periods))
    rows = []
    for name in (one.name for one in spec.code):
        mine = coded["codes"].map(lambda cell, name=name: bool(_gave(cell, name)))
        given = _counted(coded.loc[mine.astype(bool)], areas, periods)
        # A code that only a few were given would point at these few.
        hidden = withheld_cells(given, periods, minimum, also=guarded)
        for at, area in enumerate(areas):
            for p, (year, quarter) in enumerate(periods):
                if quarter and by == "year":
                    continue
                status = "withheld" if hidden[at, p] else "ok" if texts[at, p] else "none"
                numbers = (int(given[at, p]), int(texts[at, p])) if status == "ok" else (pd.NA, pd.NA)
                rows.append((area, year, quarter, name, status, *numbers))
    names = ["area", "year", "quarter", "code", "status", "given", "texts"]
    return pd.DataFrame(rows, columns=names).astype({"given": "Int64", "texts": "Int64"})


def _gave(cell: object, name: str) -> float:
    return float(name in cell.split(SEPARATOR)) if isinstance(cell, str) else np.nan


def _counted(frame: pd.DataFrame, areas: list[str], periods: list[tuple[int, int]]) -> NDArray[np.int64]:
    dated = pd.concat([frame[["area", "year", "quarter"]], frame[["area", "year"]].assign(quarter=0)])
    dated = pd.concat([dated, dated.assign(area=ALL)])
    sizes = dated.groupby(["area", "year", "quarter"]).size()
    grid = pd.MultiIndex.from_tuples([(area, *period) for area in areas for period in periods])
    counts = sizes.reindex(grid, fill_value=0).to_numpy().astype(np.int64)
    return np.asarray(counts.reshape(len(areas), len(periods)))
