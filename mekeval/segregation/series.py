"""A study, an evaluation or a panel -> the segregation of one of its outcomes, by year.

In: rates in per cent with the people behind them. Out: `Segregation`. Never: an outcome that is no share of people.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import DataError, DesignError, closest
from ..evaluation import Evaluation
from ..indicators import clean_indicators
from ..panel import Floats, Panel, build_panel
from ..study import Study, read_study
from .cells import Missing
from .measured import Segregation, measure

_ROUNDING = 1e-6  # persons: a count that went through a rate in per cent


def study_segregation(
    study: Evaluation | Study | str | Path,
    outcome: str,
    *,
    raw: str | Path | None = None,
    year: int | None = None,
    missing: Missing = "balanced",
    draws: int = 1000,
    alpha: float | None = None,
    seed: int | None = None,
) -> Segregation:
    """How unevenly those whom an indicator counts live in the areas of a study, by year.

    Parameters
    ----------
    study : Evaluation, Study, str or Path
        An evaluation (its years, nothing later), a study or its folder.
    outcome : str
        An indicator in per cent that is a share of people: it has a numerator.
    raw : str or Path, optional
        As in `read_study`.
    year : int, optional
        Nothing after it; of an evaluation its own year.
    missing, draws
        As in `segregation_indices`.
    alpha, seed : optional
        Those of the study by default.

    Returns
    -------
    Segregation

    Raises
    ------
    DesignError
        The indicator is no share of people.
    DataError, StudyError
        As `segregation_indices`, `read_study` and `clean_indicators`.

    Examples
    --------
    >>> from mekeval import example_study
    >>> found = study_segregation(example_study(), "low_income_rate", year=2025)
    >>> found.periods[0], found.periods[-1], len(found.areas)
    (2010, 2025, 57)
    """
    if isinstance(study, Evaluation):
        known, panel = study.study, study.panel
        if year is not None and year != study.year:
            raise DesignError(
                "An evaluation has a year of its own.",
                where="year",
                found=str(year),
                expected=str(study.year),
            )
    else:
        known = study if isinstance(study, Study) else read_study(study, raw=raw)
        panel = build_panel(clean_indicators(known).table, units=known.areas.units, last_period=year)
    if not is_share(known, outcome):
        raise DesignError(
            "Segregation is measured of a group of people, and the indicator is no share of people.",
            where=outcome,
            found=f"unit {known.indicator(outcome).unit!r}",
            expected="an indicator in per cent with a numerator and a denominator",
            fix="For means of areas use `area_inequality`.",
        )
    return panel_segregation(
        panel,
        outcome,
        missing=missing,
        draws=draws,
        alpha=known.plan.alpha if alpha is None else alpha,
        seed=known.spec.study.seed if seed is None else seed,
    )


def panel_segregation(
    panel: Panel,
    outcome: str,
    *,
    units: Sequence[str] | None = None,
    periods: Sequence[int] | None = None,
    missing: Missing = "balanced",
    draws: int = 1000,
    alpha: float = 0.05,
    seed: int = 0,
) -> Segregation:
    """How unevenly those whom a rate counts live in the areas of a panel.

    Parameters
    ----------
    panel : Panel
        With rates in per cent and the persons behind them (`bases`).
    outcome : str
    units, periods : sequence, optional
        All by default.
    missing, draws, alpha, seed
        As in `segregation_indices`.

    Returns
    -------
    Segregation
        Its `dropped` give the panel's own reasons.

    Raises
    ------
    DataError
        The panel has no such outcome, unit or period; a rate is no share in per cent, or has no people behind it.
    DesignError
        As `segregation_indices`.
    """
    for what, wanted, there in (
        ("outcome", [outcome], panel.values),
        ("unit", list(units or ()), panel.units),
        ("period", list(periods or ()), panel.periods),
    ):
        for one in wanted:
            if one not in there:
                raise DataError(
                    f"The panel has no such {what}.", found=repr(one), expected=closest(one, map(str, there))
                )
    names = tuple(panel.units if units is None else units)
    years = tuple(panel.periods if periods is None else periods)
    cells = np.ix_([panel.units.index(name) for name in names], [panel.periods.index(one) for one in years])
    rate, base = panel.values[outcome][cells], panel.bases[outcome][cells]
    for said, bad in (
        ("A rate is no share in per cent.", (rate < 0) | (rate > 100 + 1e-9)),
        ("A rate has no people behind it.", ~np.isnan(rate) & ~(base > 0)),
    ):
        if bad.any():
            row, column = np.argwhere(bad)[0]
            raise DataError(
                said,
                where=f"{outcome}, {names[row]} in {years[column]}"
                + (f", and {bad.sum() - 1} more" if bad.sum() > 1 else ""),
                found=f"{rate[row, column]:g} %, {base[row, column]:g} people",
            )
    return measure(
        counts_of(rate, base),
        names=names,
        years=years,
        several=False,
        missing=missing,
        draws=draws,
        alpha=alpha,
        seed=seed,
        reasons=panel.reasons[outcome][cells],
    )


def counts_of(rate: Floats, base: Floats) -> Floats:
    """Persons in the group and the rest, shape (..., 2), of rates in per cent."""
    group = np.minimum(rate * base / 100, base)
    whole = np.rint(group)
    group = np.where(np.abs(group - whole) < _ROUNDING * np.maximum(1, whole), whole, group)
    return np.stack([group, base - group], axis=-1)


def is_share(study: Study, outcome: str) -> bool:
    """Whether an indicator is a share of people in per cent."""
    indicator = study.indicator(outcome)
    return indicator.unit == "percent" and bool(indicator.numerator)
