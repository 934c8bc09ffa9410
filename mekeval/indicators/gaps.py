"""Values between two known years, where somebody asks for them; nothing else ever fills a gap.

In: `Indicators`. Out: new ones with rows of status "interpolated". Never: a value beyond the known years.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from ..errors import DataError, Fault, closest
from .result import Indicators

#: A gap of one of these kinds may be filled. Nobody lives in an empty area; a confidential value is known and hidden.
_GAPS = ("suppressed", "missing", "overflow", "implausible", "split_releases")


def interpolate(
    indicators: Indicators,
    indicator: str,
    *,
    years: Sequence[int] | None = None,
    areas: Sequence[str] | None = None,
    allow_outcome: bool = False,
) -> Indicators:
    r"""Fill gaps of one indicator on the straight line between the nearest known years of the same area.

    .. math:: \hat x_t = x_s + (x_u - x_s) \frac{t - s}{u - s}, \qquad s < t < u

    Parameters
    ----------
    indicators : Indicators
        It is not changed.
    indicator : str
    years : sequence of int, optional
        The years to fill; by default every year that the table has.
    areas : sequence of str, optional
        Codes; by default every area that has the indicator.
    allow_outcome : bool
        An outcome of the plan is refused without it: a line between two years hides the very change that an evaluation
        looks for, and makes its standard errors too small.

    Returns
    -------
    Indicators
        With rows of status "interpolated" (no numerator or denominator, the source empty, the vintage the newer of the
        two) and one line in the log for each. `build_panel` leaves them out unless it is asked for them.

    Raises
    ------
    DataError
        The indicator is an outcome of the plan, is not there, or a year that was asked for lies before the first or
        after the last known year of every area: nothing is carried beyond the ends.

    Examples
    --------
    >>> from mekeval import clean_indicators, example_study, read_study
    >>> indicators = clean_indicators(read_study(example_study()))
    >>> filled = interpolate(indicators, "foreign_language_0_6")
    >>> int((filled.table["status"] == "interpolated").sum())
    0
    """
    table = indicators.table
    own = table.loc[table["indicator"] == indicator]
    if own.empty:
        raise DataError(
            "The table has no such indicator.",
            found=repr(indicator),
            expected=closest(indicator, table["indicator"].unique()),
        )
    if indicator in indicators.outcomes and not allow_outcome:
        raise DataError(
            "An outcome of the plan is not interpolated.",
            where=indicator,
            fix="Leave the gap; or say allow_outcome=True, and say so in the report.",
        )
    wanted_years = np.unique(table["year"] if years is None else np.asarray(years)).astype(int)
    known_areas = list(dict.fromkeys(own["area"]))
    wanted = known_areas if areas is None else list(dict.fromkeys(areas))
    unknown = [area for area in wanted if area not in set(known_areas)]
    if unknown:
        raise DataError.of(
            Fault(
                what="The indicator has no such area.", found=repr(area), expected=closest(area, known_areas)
            )
            for area in unknown
        )
    ok = own.loc[(own["status"] == "ok") & own["area"].isin(wanted)].sort_values(["area", "year"])
    place = own.set_index(["area", "year"])["status"]
    rows: list[dict[str, object]] = []
    lines: list[dict[str, object]] = []
    inside: set[int] = set()
    for area, part in ok.groupby("area", sort=False):
        there, values = part["year"].to_numpy(), part["value"].to_numpy()
        vintages = part["vintage"].to_numpy()
        after = np.searchsorted(there, wanted_years)
        for year, at in zip(wanted_years.tolist(), after.tolist(), strict=True):
            if at < len(there) and there[at] == year:
                inside.add(year)
                continue
            if at in (0, len(there)):
                continue
            inside.add(year)
            status = str(place.get((area, year), "not_published"))
            if status not in (*_GAPS, "not_published"):
                continue
            share = (year - there[at - 1]) / (there[at] - there[at - 1])
            value = float(values[at - 1] + share * (values[at] - values[at - 1]))
            rows.append(
                {
                    "area": area,
                    "year": year,
                    "indicator": indicator,
                    "value": value,
                    "numerator": np.nan,
                    "denominator": np.nan,
                    "status": "interpolated",
                    "source": "",
                    "vintage": int(max(vintages[at - 1], vintages[at])),
                }
            )
            lines.append(
                {
                    "level": "warning",
                    "rule": "interpolated",
                    "area": area,
                    "year": year,
                    "subject": indicator,
                    "found": f"{status}; {value:g} written, between {there[at - 1]} and {there[at]}",
                    "count": 1,
                }
            )
    beyond = [year for year in wanted_years.tolist() if year not in inside]
    if years is not None and beyond:
        raise DataError(
            "Nothing is carried beyond the first or last known year.",
            where=indicator,
            found=", ".join(map(str, beyond)),
            expected=f"years between {int(ok['year'].min())} and {int(ok['year'].max())}"
            if len(ok)
            else "an indicator with values",
        )
    if not rows:
        return indicators
    new = pd.DataFrame(rows, columns=list(table.columns)).astype(table.dtypes.to_dict())
    filled = pd.MultiIndex.from_frame(new[["area", "year"]])
    gone = (table["indicator"] == indicator).to_numpy() & pd.MultiIndex.from_frame(
        table[["area", "year"]]
    ).isin(filled)
    # An indicator stays together, and its rows in the order of areas and years.
    position = {name: at for at, name in enumerate(dict.fromkeys(table["indicator"]))}
    joined = pd.concat([table.loc[~gone], new], ignore_index=True)
    order = joined.assign(indicator=joined["indicator"].map(position)).sort_values(
        ["indicator", "area", "year"], kind="stable"
    )
    added = pd.DataFrame(lines, columns=list(indicators.log.columns)).astype(indicators.log.dtypes.to_dict())
    log = pd.concat([indicators.log, added], ignore_index=True)
    return replace(
        indicators,
        table=joined.loc[order.index].reset_index(drop=True),
        log=log,
    )
