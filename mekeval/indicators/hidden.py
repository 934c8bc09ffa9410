"""The numbers that a study hides, for those who must look whether they stand anywhere.

In: a study. Out: the hidden cells with their numbers. Never: a file; these numbers are not kept.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ..dates import AsOf, as_date
from ..study import Study, StudySpec
from .cells import joined, newest
from .clean import clean_indicators
from .rates import Sources, formulas_of, framed, tidy
from .reading import read_files
from .result import Indicators, Log

_PLACE = ["area", "year", "indicator"]
_NUMBERS = ["value", "numerator", "denominator"]


def hidden_numbers(study: Study, *, as_of: AsOf = None, indicators: Indicators | None = None) -> pd.DataFrame:
    """The numbers of all "confidential" cells, as every release has them.

    They are for `mekeval.disclosure.check_outputs` and for nothing else: they must not be written anywhere. What a
    producer hides in its files is not known here either.

    Parameters
    ----------
    study : Study
    as_of : date, int or str, optional
        As in `clean_indicators`.
    indicators : Indicators, optional
        What `clean_indicators` gave, where it is known already.

    Returns
    -------
    pandas.DataFrame
        `area` (code), `year`, `indicator`, `value`, `numerator` and `denominator`, as in `Indicators.table`; one row
        for each cell and each set of numbers that a release has for it.

    Examples
    --------
    >>> from mekeval import example_study, read_study
    >>> hidden = hidden_numbers(read_study(example_study()))
    >>> sorted(set(hidden["indicator"]))
    ['basic_education_25_44', 'foreign_language_0_6']
    """
    day = as_date(as_of)
    known = indicators or clean_indicators(study, as_of=day)
    secret = known.table.loc[known.table["status"] == "confidential", _PLACE]
    if secret.empty:
        return pd.DataFrame(columns=[*_PLACE, *_NUMBERS])
    spec = _without_limits(study.spec)
    areas, read = read_files(study, day, Log())
    order = sorted(range(len(read)), key=lambda at: read[at].source.vintage)
    cells = joined([read[at].cells for at in order])
    sources = Sources(
        files=[file.source.file for file in read],
        vintages=np.array([file.source.vintage for file in read], dtype=np.int64),
        limits=np.zeros(len(read), dtype=np.int64),
    )
    everything = newest(cells, len(spec.item))
    level, _ = pd.factorize(areas.table["level"].reindex(cells.area_names).fillna(""))
    formulas = formulas_of(spec, everything, level)
    vintage = sources.vintages[cells.source]
    releases = [cells.take(vintage == one) for one in np.unique(vintage).tolist()]
    grids = [everything, *(newest(one, len(spec.item)) for one in releases if len(releases) > 1)]
    parts = [
        framed(tidy(spec, grid, sources, formulas, None), spec, cells.area_names, sources) for grid in grids
    ]
    numbers = pd.concat([part.loc[part["status"] == "ok", [*_PLACE, *_NUMBERS]] for part in parts])
    found = secret.merge(numbers.drop_duplicates(), on=_PLACE, how="inner")
    return found.reset_index(drop=True)


def _without_limits(spec: StudySpec) -> StudySpec:
    return spec.model_copy(
        update={
            "study": spec.study.model_copy(update={"minimum_base": 1}),
            "indicator": tuple(one.model_copy(update={"minimum_base": None}) for one in spec.indicator),
        }
    )
