"""Placebo tests of synthetic comparisons: the same estimate where comparison units stand in for the treated.

In: what `synthetic_fit` takes. Out: the distribution of placebo estimates, its standard error and p-values.
Never: a standard error that hides how few assignments there are.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..design import Design
from ..display import Shown
from ..errors import DesignError
from ..panel import Floats, Panel
from .synthetic import SyntheticFit, synthetic_fit
from .synthetic_weights import Rows, Solver, SyntheticMethod, solve_units, windows


@dataclass(frozen=True, kw_only=True, repr=False)
class SyntheticPlacebos(Shown):
    """Placebo estimates of a synthetic comparison.

    Attributes
    ----------
    fit : SyntheticFit
        The fit to the treated, by the solver of the placebos.
    att : float
        Its effect while treated, averaged over treated unit-periods, in the outcome's unit.
    placebos : array, shape (n_draws,)
        The same where comparison units stand in for the treated.
    cells : pandas.DataFrame
        The effects of the fit with `se` and `p_value` of each.
    cell_placebos : array, shape (n_draws, n_effects)
    assignments : tuple of tuple of str
        For each placebo the units that stood in, in the order of the treated units of the fit.
    n_possible : int
        How many different assignments there are.
    enumerated : bool
        Whether all of them were used.
    se : float
        Standard deviation of the placebos (divided by their number, as R's synthdid does).
    p_value : float
        Two-sided: the share of placebos, the estimate among them, at least as far from zero as the estimate.
    rmse_ratio : float
        Root mean squared effect while treated over that before entry, pooled over the fits; infinite where the fit
        before entry is perfect.
    rmse_ratios : array, shape (n_draws,)
    rmse_ratio_p_value : float
        The share of placebos, the estimate among them, with a ratio at least as large (Abadie, Diamond and
        Hainmueller): it does not punish a placebo for a bad fit.
    """

    fit: SyntheticFit
    att: float
    placebos: Floats
    cells: pd.DataFrame
    cell_placebos: Floats
    assignments: tuple[tuple[str, ...], ...]
    n_possible: int
    enumerated: bool
    se: float
    p_value: float
    rmse_ratio: float
    rmse_ratios: Floats
    rmse_ratio_p_value: float


def synthetic_placebos(
    panel: Panel,
    design: Design,
    *,
    outcome: str,
    method: SyntheticMethod = "synthetic_did",
    draws: int = 200,
    seed: int = 0,
    unit: str | None = None,
    covariates: Sequence[str] | None = (),
    pooled: bool = True,
    solver: Solver = "exact",
) -> SyntheticPlacebos:
    r"""Estimate with comparison units in the place of the treated, again and again.

    Each placebo takes as many comparison units as are treated, path by path, fits them against the comparison units
    that remain (penalties and weights anew; the treated are out), and averages their effects as those of the
    treated. Where there are no more than `draws` assignments, each is used once: with one treated unit every
    comparison unit in turn. Otherwise `draws` different ones are drawn. With B placebos :math:`\hat\tau_b`

    .. math::
        p = \frac{1 + \#\{b: |\hat\tau_b| \ge |\hat\tau|\}}{1 + B}, \qquad
        se = \sqrt{\tfrac1B \sum_b (\hat\tau_b - \bar\tau)^2}.

    Both stand on the treated being exchangeable with the comparison; areas that differ in size, or were chosen
    because they were the worst, are not. The smallest p-value there can be is 1 / (1 + B). R's synthdid draws with
    replacement (so with one treated unit its figure depends on the seed) and keeps the penalty of the estimate.

    All placebos are solved at once as arrays, by the exact solver by default.

    Parameters
    ----------
    panel, design, outcome, unit, covariates, pooled, method
        As in `synthetic_fit`. The part of the covariates is taken out once, not for each placebo.
    draws : int
    seed : int
    solver : {"exact", "frank_wolfe"}
        Of the placebos and of the fit they are compared with.

    Returns
    -------
    SyntheticPlacebos

    Raises
    ------
    DesignError
        Fewer than one placebo is asked for, there are not more comparison units than treated ones, or no path has
        a full year in the programme yet; and what `synthetic_did` raises.

    Notes
    -----
    Estimand: The distribution of the estimate where nobody was treated, over assignments of comparison units.
    Assumptions: The treated are exchangeable with the comparison units, in size and in how they were chosen.
    Standard error: Standard deviation of the placebo estimates, divided by their number as in R's synthdid.
    Edge cases: No more assignments than `draws`: all of them, each once; not more comparison units than treated ones
    is refused; a perfect fit before entry makes the ratio of errors infinite.
    Not covered: Placebos stratified by size or by selection rule (`rule_placebo`), the jackknife and bootstrap of the
    source.

    References
    ----------
    Arkhangelsky et al. (2021), algorithm 4; Abadie, Diamond and Hainmueller (2010), section 3.4.

    Examples
    --------
    >>> from mekeval import build_panel, make_design
    >>> frame = pd.DataFrame({"unit": list("aaabbbcccddd"), "year": [1, 2, 3] * 4})
    >>> frame["y"] = [5.0, 6.0, 9.0, 1.0, 2.0, 3.0, 1.0, 4.0, 7.0, 2.0, 2.0, 4.0]
    >>> panel = build_panel(frame, unit="unit", period="year", outcome=["y"])
    >>> result = synthetic_placebos(panel, make_design("abcd", [(3, 3, ["a"])]), outcome="y")
    >>> result.assignments, result.enumerated
    ((('b',), ('c',), ('d',)), True)
    """
    if draws < 1:
        raise DesignError("At least one placebo must be drawn.", where="draws", found=str(draws))
    fit = synthetic_fit(
        panel,
        design,
        outcome=outcome,
        method=method,
        unit=unit,
        covariates=covariates,
        pooled=pooled,
        solver=solver,
    )
    setting, cells = fit.setting, fit.effects().cells
    on = (cells["phase"] == "on").to_numpy()
    if not on.any():
        raise DesignError("Nobody has a full year in the programme with data yet.", where=outcome)
    sizes = [len(rows) for _, rows in setting.fits]
    n_comparison = len(setting.comparison)
    if n_comparison <= sum(sizes):
        raise DesignError(
            "Too few comparison units for a placebo: one must remain to compare with.",
            where=outcome,
            found=f"{n_comparison} comparison units, {sum(sizes)} treated",
            expected=f"at least {sum(sizes) + 1} comparison units",
        )
    picks, n_possible = _assignments(n_comparison, sizes, draws, np.random.default_rng(seed))
    gaps = _placebo_gaps(fit, picks, sizes)
    own = [(fit.treated_path - fit.synthetic_path)[at][None, :] for at in range(len(sizes))]
    weights = np.where(on, cells["n_treated"].to_numpy(), 0.0)
    weights /= weights.sum()
    cell_placebos, effects = _by_cell(fit, gaps, sizes), cells["att"].to_numpy()
    placebos, att = cell_placebos @ weights, float(effects @ weights)
    ratios, ratio = _rmse_ratios(fit, gaps, sizes), float(_rmse_ratios(fit, own, sizes)[0])
    names = np.array(fit.comparison, dtype=object)
    return SyntheticPlacebos(
        fit=fit,
        att=att,
        placebos=placebos,
        cells=cells.assign(se=cell_placebos.std(axis=0), p_value=_p_values(effects, cell_placebos)),
        cell_placebos=cell_placebos,
        assignments=tuple(tuple(row) for row in names[picks]),
        n_possible=n_possible,
        enumerated=len(picks) == n_possible,
        se=float(placebos.std()),
        p_value=float(_p_values(np.array([att]), placebos[:, None])[0]),
        rmse_ratio=ratio,
        rmse_ratios=ratios,
        rmse_ratio_p_value=float(_p_values(np.array([ratio]), ratios[:, None])[0]),
    )


def _placebo_gaps(fit: SyntheticFit, picks: Rows, sizes: Sequence[int]) -> list[Floats]:
    """Treated less synthetic of every placebo, for each fit an array of shape (n_draws, n_periods)."""
    setting = fit.setting
    stays = np.ones((len(picks), len(setting.comparison)), dtype=bool)
    np.put_along_axis(stays, picks, False, axis=1)
    donors = setting.comparison[np.nonzero(stays)[1].reshape(len(picks), -1)]
    stood_in = np.split(setting.comparison[picks], np.cumsum(sizes)[:-1], axis=1)
    gaps = []
    for (index, _), treated in zip(setting.fits, stood_in, strict=True):
        solved = solve_units(
            setting.block.values,
            treated,
            donors,
            *windows(setting, index),
            method=fit.method,
            solver=fit.solver,
        )
        gaps.append(solved.treated - solved.synthetic)
    return gaps


def _by_cell(fit: SyntheticFit, gaps: Sequence[Floats], sizes: Sequence[int]) -> Floats:
    """Placebo effects in the order of the cells of `SyntheticFit.effects`, shape (n_draws, n_effects)."""
    parts = []
    for path in dict.fromkeys(index for index, _ in fit.setting.fits):
        chosen = [at for at, (index, _) in enumerate(fit.setting.fits) if index == path]
        share = np.array([sizes[at] for at in chosen]) / sum(sizes[at] for at in chosen)
        parts.append(np.tensordot(share, np.stack([gaps[at] for at in chosen]), axes=1))
    return np.hstack(parts)


def _rmse_ratios(fit: SyntheticFit, gaps: Sequence[Floats], sizes: Sequence[int]) -> Floats:
    """Root mean squared effect inside over that before entry, shape (n_draws,)."""
    inside_sum, before_sum = np.zeros(len(gaps[0])), np.zeros(len(gaps[0]))
    inside_count, before_count = 0, 0
    for (index, _), gap, size in zip(fit.setting.fits, gaps, sizes, strict=True):
        before, inside = windows(fit.setting, index)
        inside_sum += size * np.sum(gap[:, inside] ** 2, axis=1)
        before_sum += size * np.sum(gap[:, before] ** 2, axis=1)
        inside_count += size * int(inside.sum())
        before_count += size * int(before.sum())
    squared = np.divide(
        inside_sum / inside_count,
        before_sum / before_count,
        out=np.where(inside_sum > 0, np.inf, 0.0),
        where=before_sum > 0,
    )
    return np.sqrt(squared)


def _p_values(estimates: Floats, placebos: Floats) -> Floats:
    """Share of placebos, with the estimate among them, at least as far from zero; ties within rounding count."""
    reach = np.abs(estimates) * (1 - 1e-9)
    return np.asarray((1 + np.sum(np.abs(placebos) >= reach, axis=0)) / (1 + len(placebos)))


def _assignments(n: int, sizes: Sequence[int], draws: int, rng: np.random.Generator) -> tuple[Rows, int]:
    """Different assignments of `sizes` out of n units, shape (n_draws, sum of sizes), and how many there are."""
    possible, left = 1, n
    for size in sizes:
        possible *= math.comb(left, size)
        left -= size
    if possible <= 2 * draws:
        everything = np.array(list(_all(tuple(range(n)), tuple(sizes))), dtype=np.intp)
        if possible <= draws:
            return everything, possible
        return everything[np.sort(rng.choice(possible, draws, replace=False))], possible
    chosen: dict[tuple[int, ...], None] = {}
    cuts = np.cumsum(sizes)
    while len(chosen) < draws:
        drawn = rng.permuted(np.broadcast_to(np.arange(n), (draws, n)), axis=1)[:, : cuts[-1]]
        drawn = np.hstack([np.sort(part, axis=1) for part in np.split(drawn, cuts[:-1], axis=1)])
        chosen.update(dict.fromkeys(map(tuple, drawn.tolist())))
    return np.array(list(chosen)[:draws], dtype=np.intp), possible


def _all(units: tuple[int, ...], sizes: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    if not sizes:
        yield ()
        return
    for first in itertools.combinations(units, sizes[0]):
        rest = tuple(unit for unit in units if unit not in first)
        for others in _all(rest, sizes[1:]):
            yield first + others
