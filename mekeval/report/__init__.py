"""What a report says, section by section, in one language.

In: an evaluation. Out: `Report`, whose sections show themselves in a notebook cell and carry the findings for the
run that executes the notebook. Never: a number that the evaluation does not hold, or an unescaped name.
"""

from __future__ import annotations

from pathlib import Path

from ..dates import AsOf
from ..evaluation import evaluate
from ..study import Study
from .city import city_sections
from .district import district_sections
from .monitoring import QuarterReport, YearReport, community_quarter, community_year
from .once import changes_of, compute_once
from .opened import opened
from .parts import FINDINGS_TYPE, Report, Section
from .quality import QualityReport, quality_report
from .yearly import ChangesReport, changes_report

__all__ = [
    "FINDINGS_TYPE",
    "ChangesReport",
    "QualityReport",
    "QuarterReport",
    "Report",
    "Section",
    "YearReport",
    "changes_report",
    "city_report",
    "community_quarter",
    "community_year",
    "compute_once",
    "district_report",
    "quality_report",
]


def district_report(
    study: str | Path | Study,
    *,
    district: str,
    year: int,
    language: str,
    raw: str | Path | None = None,
    as_of: AsOf = None,
) -> Report:
    """Evaluate one district and write its report.

    Parameters
    ----------
    study : str, Path or Study
        A study or its folder.
    district : str
        Code or name of a treated area.
    year : int
        The year of the report.
    language : str
        One of `mekeval.text.LANGUAGES`.
    raw : str or Path, optional
        As in `read_study`.
    as_of : date, int or str, optional
        Only what was published by this day, or by the end of this year: so last year's report can be made again.

    Returns
    -------
    Report

    Raises
    ------
    MekevalError
        As `read_study` and `evaluate`; the language has no texts, or is none of the study's.

    Examples
    --------
    >>> from mekeval import example_study
    >>> report = district_report(example_study(), district="Hakunila", year=2021, language="en")
    >>> report.title
    'Hakunila 2021'
    """
    known, texts = opened(study, language, raw)
    code = known.resolve(district)
    return district_sections(evaluate(known, year=year, district=code, as_of=as_of), code, texts)


def city_report(
    study: str | Path | Study,
    *,
    year: int,
    language: str,
    raw: str | Path | None = None,
    as_of: AsOf = None,
) -> Report:
    """Evaluate the whole programme and write the city's report; parameters and errors as `district_report`."""
    known, texts = opened(study, language, raw)
    evaluation = evaluate(known, year=year, as_of=as_of)
    return city_sections(evaluation, texts, since=changes_of(evaluation))
