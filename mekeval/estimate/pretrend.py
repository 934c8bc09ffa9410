"""The pre-trend test on untreated observations alone, which goes with imputation.

In: a panel and a design. Out: `PretrendTest`. Never: a treated observation in the fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from scipy.special import fdtrc

from ..design import Design
from ..display import Shown
from ..errors import DesignError
from ..panel import Floats, Panel
from .untreated import check_leads, draw_sample, fit_untreated, untreated_periods


@dataclass(frozen=True, kw_only=True, repr=False)
class PretrendTest(Shown):
    """The joint test that outcomes of later treated units do not move before treatment.

    Attributes
    ----------
    outcome : str
    table : pandas.DataFrame
        One row for each lead: `lead` (-1 is the last period before entry), `coef` (in the outcome's unit), `se`,
        `n_treated` (units whose period this is).
    covariance : array, shape (n_leads, n_leads)
        Clustered by unit, with the small-sample factor.
    statistic : float
        F = coef' covariance^-1 coef / n_leads.
    df : tuple of (int, int)
        n_leads, and units less one.
    p_value : float
        From the F distribution.
    n_units, n_rows : int
        Units and untreated unit-period cells in the regression.
    """

    outcome: str
    table: pd.DataFrame
    covariance: Floats
    statistic: float
    df: tuple[int, int]
    p_value: float
    n_units: int
    n_rows: int


def imputation_pretrend_test(
    panel: Panel,
    design: Design,
    *,
    outcome: str,
    leads: int,
    covariates: Sequence[str] | None = (),
    incomplete: Literal["drop", "keep"] = "drop",
) -> PretrendTest:
    r"""Test for pre-trends on untreated observations alone, as Borusyak, Jaravel and Spiess propose.

    Least squares on the observations before any entry,

    .. math:: Y_{it} = \alpha_i + \lambda_t + X_{it}'\beta + \sum_{p=1}^{P} \gamma_p 1\{i \text{ enters in } p
        \text{ periods}\} + \varepsilon_{it},

    and a joint test of :math:`\gamma_1 = \ldots = \gamma_P = 0`. As no treated observation enters, passing it does not
    distort the estimates that follow, unlike a test on the leads of an event-study regression.
    Covariance clustered by unit with the factor :math:`\frac{G}{G-1}\frac{N-1}{N-K}`, K counting leads, covariates and
    periods (unit effects are nested in the clusters), as fixest does.

    Parameters
    ----------
    panel, design, outcome, covariates, incomplete
        As in `imputation`. Years after leaving do not enter.
    leads : int
        P, counted in observed periods; gaps between years do not matter. Few leads make a stronger test.

    Returns
    -------
    PretrendTest

    Raises
    ------
    DesignError
        No treated unit has a period before its leads, so that they cannot be told from its level; a lead rests on one
        treated unit, which leaves no variance to test with; the clusters are fewer than the leads need.
    DataError
        As in `imputation`.

    References
    ----------
    Borusyak, K., Jaravel, X. and Spiess, J. (2024), as in `imputation`. Stata command did_imputation, option pretrends.

    Examples
    --------
    >>> from mekeval import build_panel, make_design
    >>> y = [1.0, 2, 5, 2, 4, 6, 0, 1, 1, 3, 3, 4, 1, 1, 2]
    >>> frame = pd.DataFrame({"unit": list("aaabbbcccdddeee"), "year": [1, 2, 3] * 5, "y": y})
    >>> panel = build_panel(frame, unit="unit", period="year", outcome=["y"])
    >>> design = make_design("abcde", [(3, 3, ["a", "b"])])
    >>> test = imputation_pretrend_test(panel, design, outcome="y", leads=1)
    >>> round(float(test.table["coef"].iloc[0]), 12)  # ((2 - 1) + (4 - 2)) / 2 - (1 + 0 + 0) / 3
    1.166666666667
    """
    leads = check_leads(leads, "leads", least=1)
    sample = draw_sample(panel, design, outcome, covariates, incomplete)
    masks = untreated_periods(sample, design, after_leaving="impute")
    fitted = masks[sample.group] & sample.there
    dummies = np.zeros((*sample.values.shape, leads))
    earlier = np.zeros(len(design.paths), dtype=bool)
    for index in range(len(design.paths)):
        before = np.flatnonzero(masks[index])
        rows = sample.group == index
        earlier[index] = len(before) > leads and bool(rows.any())
        for lead, position in enumerate(before[::-1][:leads]):
            dummies[rows, position, lead] = 1
    if not earlier.any():
        raise DesignError(
            "No treated unit has a period before the leads, so nothing tells them from its level.",
            where=f"{outcome}, leads",
            found=f"{leads} leads",
            fix="Test fewer leads, or add earlier years.",
        )
    n_treated = np.sum((dummies * fitted[:, :, None]).any(axis=1), axis=0)
    if np.any(n_treated < 2):
        raise DesignError(
            "A lead rests on fewer than two treated units, so its variance cannot be estimated.",
            where=f"{outcome}, lead -{int(np.flatnonzero(n_treated < 2)[0]) + 1}",
            found=f"{int(n_treated.min())} treated units",
            fix="Use a placebo in time, which permutes areas.",
        )
    names = (*sample.names, *(f"lead -{lead + 1}" for lead in range(leads)))
    fit = fit_untreated(sample, fitted, np.concatenate([sample.covariates, dummies], axis=2), names)
    n_rows, n_units = int(fitted.sum()), len(sample.units)
    n_parameters = len(names) + int(fitted.any(axis=0).sum())
    if n_rows <= n_parameters:
        raise DesignError(
            "There are too few untreated observations for so many leads.",
            where=outcome,
            found=f"{n_rows} observations, {n_parameters} parameters",
        )
    coef = fit.coefficients[-leads:]
    scores = (fit.scores @ fit.inverse)[:, -leads:]
    covariance = scores.T @ scores * n_units / (n_units - 1) * (n_rows - 1) / (n_rows - n_parameters)
    spread = np.linalg.eigvalsh(covariance)
    if spread[0] <= 1e-10 * spread[-1]:
        raise DesignError(
            "The leads have no covariance of full rank.",
            where=outcome,
            found=f"{leads} leads, {n_units} units",
            fix="Test fewer leads; an outcome that is constant or fitted without error cannot be tested.",
        )
    statistic = float(coef @ np.linalg.solve(covariance, coef)) / leads
    return PretrendTest(
        outcome=outcome,
        table=pd.DataFrame(
            {
                "lead": -np.arange(1, leads + 1),
                "coef": coef,
                "se": np.sqrt(np.diag(covariance)),
                "n_treated": n_treated,
            }
        ),
        covariance=covariance,
        statistic=statistic,
        df=(leads, n_units - 1),
        p_value=float(fdtrc(leads, n_units - 1, statistic)),
        n_units=n_units,
        n_rows=n_rows,
    )
