"""p-values, intervals and the smallest effect that could have been seen, by a method that the design decides.

In: a contrast, effects, or a panel and a design. Out: `Inference`, which says which method was used and why. Never: a
cluster-robust or influence-function standard error for a handful of treated units that nobody asked for by name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ..design import Design
from ..errors import DesignError, closest
from ..estimate import Contrast, Effects, aggregate, contrast, group_time_att
from ..estimate.effects import standard_errors
from ..panel import Floats, Panel
from .bands import Bands, uniform_bands
from .cluster_robust import KINDS, cluster_robust
from .conformal import Conformal, conformal
from .few_groups import conley_taber, donald_lang
from .joint import JointBands, permutation_bands
from .multiple import Adjusted, adjust
from .permutation import plain_permutation
from .power import PowerCurve, power_curve
from .result import (
    MANY_TREATED,
    POWER,
    WARNINGS,
    Inference,
    Method,
    from_draws,
    from_standard_error,
    refuse_settings,
    shown,
)
from .scaled import FEWEST_COMPARISON, Population, aligned_population, ferman_pinto, scaled_t
from .studentised import studentised_permutation
from .wild import wild_cluster_bootstrap

__all__ = [
    "MANY_TREATED",
    "METHODS",
    "POWER",
    "WARNINGS",
    "Adjusted",
    "Bands",
    "Conformal",
    "Inference",
    "JointBands",
    "Method",
    "PowerCurve",
    "adjust",
    "aligned_population",
    "cluster_robust",
    "conformal",
    "infer",
    "permutation_bands",
    "power_curve",
    "shown",
    "uniform_bands",
    "wild_cluster_bootstrap",
]

_OF_CONTRASTS: tuple[Method, ...] = (
    "permutation",
    "studentised",
    "scaled",
    "ferman_pinto",
    "conley_taber",
    "donald_lang",
    "influence",
    "multiplier",
)
_OF_PANELS: tuple[Method, ...] = ("cr1", "cr2", "cr3", "wild", "wild_unrestricted", "conformal")
METHODS: tuple[str, ...] = ("auto", *_OF_CONTRASTS, *_OF_PANELS)
_OF_INFLUENCE = ("influence", "multiplier")
_NAMED = "asked for by name"


def infer(
    tested: Contrast | Effects | Panel,
    design: Design | None = None,
    *,
    method: str = "auto",
    alpha: float = 0.05,
    seed: int = 0,
    draws: int = 9_999,
    population: Population | None = None,
    outcome: str | None = None,
) -> Inference:
    """Test one effect and give its interval, by a method that suits the number of treated units.

    ===================  =============================================================================
    `method`             the test
    ===================  =============================================================================
    "auto"               20 or more treated: "influence"; fewer: "scaled" where populations are given and
                         the comparison can carry it, else "permutation"
    "permutation"        every treated set's estimate by its size; each keeps its timing
    "studentised"        the same over each set's own standard error
    "scaled"             adjusted for log population, t with a variance a + b/n from the comparison
    "ferman_pinto"       the same estimate, judged by scaled residuals of comparison units
    "conley_taber"       plain residuals of comparison units, equal-tailed
    "donald_lang"        t of the collapsed changes with the degrees of freedom of few groups
    "influence"          influence functions, normal limit
    "multiplier"         influence functions, multiplier bootstrap
    "cr1", "cr2", "cr3"  two-way fixed effects, clustered by unit: needs panel, design and outcome
    "wild",              the same by wild cluster bootstrap, with the null imposed or not
    "wild_unrestricted"
    "conformal"          synthetic control, permuting years: needs panel, design and outcome
    ===================  =============================================================================

    Parameters
    ----------
    tested : Contrast, Effects or Panel
        A contrast from `mekeval.contrast` or `mekeval.unit_contrast`; effects, of which the average while treated is
        tested; or a panel with `design` and `outcome`, whose group-time effects are.
    design : Design, optional
        With a panel.
    method : str
        See above. What rests on many treated units and is asked for by name with fewer than 20 carries a warning.
    alpha : float
        One minus the coverage of the interval.
    seed, draws : int
        For what is drawn. Treated sets are all enumerated where there are at most ten million, of several windows
        50,000.
    population : mapping of unit to persons, pandas.Series by unit, or array in the order of the units, optional
        For "scaled" and "ferman_pinto".
    outcome : str, optional
        With a panel.

    Returns
    -------
    Inference
        `method` and `because` say what was done and why.

    Raises
    ------
    DesignError
        `alpha` or `draws` is out of range; the method is unknown, or lacks what it needs; the comparison is smaller
        than the treated set; a population is missing or not above zero; an estimator without unit changes has fewer
        than 20 treated units.

    Notes
    -----
    Permutation assumes that areas are exchangeable. Where programme areas are larger than others it is conservative,
    and "scaled" is not. Areas chosen because they are the worst are not exchangeable at any size: every test here then
    rejects too often, and a verdict needs the rule placebo.

    References
    ----------
    Fisher, R. A. (1935). The Design of Experiments. Rosenbaum, P. (2002). Observational Studies, section 2. Ferman, B.
    and Pinto, C. (2019). Inference in differences-in-differences with few treated groups and heteroskedasticity.
    Review of Economics and Statistics 101, 452-467.

    Examples
    --------
    >>> import pandas as pd
    >>> from mekeval import build_panel, make_design
    >>> units = [f"u{number:02}" for number in range(21)]
    >>> frame = pd.DataFrame({"u": units * 2, "t": [1] * 21 + [2] * 21, "y": [0.0] * 21 + [30.0, *range(20)]})
    >>> panel = build_panel(frame, unit="u", period="t", outcome=["y"])
    >>> found = infer(panel, make_design(units, [(2, 2, ["u00"])]), outcome="y")
    >>> found.method, found.n_sets, round(found.p_value * 21, 9)
    ('permutation', 21, 1.0)
    """
    refuse_settings(alpha=alpha, draws=draws)
    if method not in METHODS:
        raise DesignError(
            "Unknown method.", where="method", found=repr(method), expected=closest(method, METHODS)
        )
    if method in _OF_PANELS:
        return _of_panel(tested, design, outcome, method, alpha, seed, draws)
    if isinstance(tested, Panel):
        panel, design, outcome = _whole(tested, design, outcome, method)
        tested = group_time_att(panel, design, outcome=outcome)
    if isinstance(tested, Effects):
        n_treated = int(np.sum(tested.group >= 0))
        many = method == "auto" and n_treated >= MANY_TREATED
        if many or method in _OF_INFLUENCE:
            return _of_effects(tested, method, alpha, seed, draws)
        tested = contrast(tested, aggregate(tested, by="simple").weights[0], label=tested.outcome)
    n_treated = int(np.sum(tested.group >= 0))
    n_comparison = len(tested.group) - n_treated
    if n_comparison < n_treated and method not in _OF_INFLUENCE:
        raise DesignError(
            "The comparison is smaller than the treated set.",
            where=tested.label,
            found=f"{n_comparison} comparison units, {n_treated} treated",
        )
    if method in _OF_INFLUENCE or (method == "auto" and n_treated >= MANY_TREATED):
        return _by_influence(
            tested.label,
            tested.att,
            tested.influence,
            tested.units,
            n_treated,
            method,
            alpha,
            seed,
            draws,
        )
    because = f"{_NAMED}; {n_treated} treated"
    if method == "auto":
        method, because = _chosen(tested, population, n_treated, n_comparison)
    if method in ("scaled", "ferman_pinto"):
        if population is None:
            raise DesignError(
                "This method needs the population of each unit.", where=f"{tested.label}, method {method!r}"
            )
        if method == "scaled":
            return scaled_t(tested, population, alpha=alpha, because=because)
        return ferman_pinto(tested, population, alpha=alpha, seed=seed, draws=draws, because=because)
    if method == "donald_lang":
        return donald_lang(tested, alpha=alpha, because=because)
    judge: dict[str, Callable[..., Inference]] = {
        "permutation": plain_permutation,
        "studentised": studentised_permutation,
        "conley_taber": conley_taber,
    }
    return judge[method](tested, alpha=alpha, seed=seed, draws=draws, because=because)


def _chosen(
    tested: Contrast, population: Population | None, n_treated: int, n_comparison: int
) -> tuple[str, str]:
    """The method for few treated units, and why."""
    few = f"{n_treated} treated: fewer than {MANY_TREATED}, so"
    if population is None:
        return "permutation", f"{few} treated sets are permuted"
    aligned_population(population, tested.units, where=tested.label)
    if n_comparison < FEWEST_COMPARISON:
        return (
            "permutation",
            f"{few} treated sets are permuted; {n_comparison} comparison units fit no variance",
        )
    rest = tested.changes[tested.group < 0]
    flat = np.ptp(rest, axis=0) <= 1e-9 * np.abs(tested.changes).max(initial=1e-300)
    if flat.any():
        return "permutation", f"{few} treated sets are permuted; the comparison does not vary"
    return "scaled", f"{few} the comparison's changes, scaled for population, judge the treated units"


def _of_effects(effects: Effects, method: str, alpha: float, seed: int, draws: int) -> Inference:
    """The average while treated by its influence function, the shares of the paths estimated where they are."""
    whole = aggregate(effects, by="simple")
    return _by_influence(
        effects.outcome,
        float(whole.table["att"].iloc[0]),
        None if whole.influence is None else whole.influence[:, 0],
        effects.units,
        int(np.sum(effects.group >= 0)),
        method,
        alpha,
        seed,
        draws,
    )


def _by_influence(
    label: str,
    estimate: float,
    influence: Floats | None,
    units: tuple[str, ...],
    n_treated: int,
    method: str,
    alpha: float,
    seed: int,
    draws: int,
) -> Inference:
    if influence is None:
        raise DesignError("This estimate has no influence function.", where=label)
    warnings: tuple[str, ...] = ()
    because = f"{n_treated} treated: {MANY_TREATED} or more, so influence functions hold"
    if n_treated < MANY_TREATED:
        warnings = ("one_treated", "few_treated") if n_treated == 1 else ("few_treated",)
        because = f"{_NAMED}; {WARNINGS[warnings[0]]}"
    n_comparison = len(units) - n_treated
    by_error = from_standard_error(
        label=label,
        estimate=estimate,
        se=float(standard_errors(influence[:, None])[0]),
        df=None,
        alpha=alpha,
        method="influence",
        because=because,
        warnings=warnings,
        n_treated=n_treated,
        n_comparison=n_comparison,
    )
    if method != "multiplier":
        return by_error
    from .bands import multiplier_draws

    moves = multiplier_draws(influence[:, None], units, draws=draws, seed=seed, multiplier="mammen")[:, 0]
    drawn = from_draws(
        moves,
        label=label,
        estimate=estimate,
        equal_tailed=False,
        scale=1e-12 * float(np.abs(moves).max()),
        alpha=alpha,
        method="multiplier",
        exact=False,
        because=because,
        warnings=warnings,
        n_treated=n_treated,
        n_comparison=n_comparison,
    )
    return replace(drawn, se=by_error.se)


def _whole(
    tested: object, design: Design | None, outcome: str | None, method: str
) -> tuple[Panel, Design, str]:
    if not isinstance(tested, Panel) or design is None or outcome is None:
        raise DesignError(
            "A panel, a design and an outcome are needed.",
            where=f"method {method!r}",
            found=type(tested).__name__,
            fix="infer(panel, design, outcome=..., method=...)",
        )
    return tested, design, outcome


def _of_panel(
    tested: object,
    design: Design | None,
    outcome: str | None,
    method: str,
    alpha: float,
    seed: int,
    draws: int,
) -> Inference:
    """The methods that run their own regression."""
    panel, design, outcome = _whole(tested, design, outcome, method)
    if method in ("cr1", "cr2", "cr3"):
        kind = next(one for one in KINDS if one == method)
        return cluster_robust(panel, design, outcome=outcome, kind=kind, alpha=alpha)
    if method in ("wild", "wild_unrestricted"):
        return wild_cluster_bootstrap(
            panel,
            design,
            outcome=outcome,
            restricted=method == "wild",
            draws=draws,
            alpha=alpha,
            seed=seed,
        )
    return conformal(panel, design, outcome=outcome, draws=draws, alpha=alpha, seed=seed).average
