"""p-values, intervals and the smallest effect that could have been seen, by a method that the design decides.

In: a contrast, effects, or a panel and a design. Out: `Inference`, which says which method was used and why. Never: a
cluster-robust or influence-function standard error for a handful of treated units that nobody asked for by name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ..design import Design
from ..errors import DesignError, closest
from ..estimate import Contrast, Effects, aggregate, contrast, group_time_att
from ..estimate.effects import standard_errors
from ..panel import Floats, Panel
from .bands import Bands, multiplier_draws, uniform_bands
from .cluster_robust import KINDS, cluster_robust
from .conformal import Conformal, conformal
from .few_groups import conley_taber, donald_lang
from .joint import JointBands, permutation_bands
from .multiple import Adjusted, adjust
from .permutation import MOST_SETS, plain_permutation
from .power import PowerCurve, power_curve
from .result import (
    MANY_COMPARISON,
    MANY_TREATED,
    POWER,
    WARNINGS,
    Inference,
    Method,
    as_sentences,
    comparison_units,
    from_draws,
    from_standard_error,
    not_testable,
    refuse_settings,
    shown,
    warnings_of_influence,
)
from .scaled import FEWEST_COMPARISON, Population, aligned_population, ferman_pinto, scaled_t
from .studentised import studentised_permutation
from .wild import wild_cluster_bootstrap

__all__ = [
    "MANY_COMPARISON",
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
    most_sets: int = MOST_SETS,
) -> Inference:
    """Test one effect and give its interval, by a method that suits the number of treated units.

    ===================  =============================================================================
    `method`             the test
    ===================  =============================================================================
    "auto"               20 or more treated and as many comparison units: "influence"; fewer treated: "scaled"
                         where populations are given and the comparison can carry it, else "permutation"
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
        See above. What rests on many units and is asked for by name with fewer than 20 treated or comparison units
        carries a warning.
    alpha : float
        One minus the coverage of the interval.
    seed, draws : int
        For what is drawn. Treated sets are all enumerated where there are at most ten million, of several windows
        50,000.
    population : mapping of unit to persons, pandas.Series by unit, or array in the order of the units, optional
        For "scaled" and "ferman_pinto".
    outcome : str, optional
        With a panel.
    most_sets : int
        "permutation" draws treated sets where there are more: fewer make it faster. Up to 50,000 are always enumerated.

    Returns
    -------
    Inference
        `method` and `because` say what was done and why.

    Raises
    ------
    DesignError
        `alpha`, `draws` or `seed` is out of range; the method is unknown, or lacks what it needs; the comparison is
        smaller than the treated set; a population is missing or not above zero; an estimator without unit changes has
        fewer than 20 treated units; influence functions of an estimate without a standard error (a path of one treated
        unit, or one comparison unit), or by "auto" with fewer than 20 comparison units.

    Notes
    -----
    Permutation assumes that areas are exchangeable. Where programme areas are larger than others it is conservative,
    and "scaled" is not. Areas chosen because they are the worst are not exchangeable at any size: every test here then
    rejects too often, and a verdict needs the rule placebo.

    *Few comparison units.* What the mean of m comparison units adds to the noise only those m show, so influence
    functions need as many of them as of treated units: with 40 treated units and normal changes they reject a true null
    in about three cases of four with one comparison unit, in more than 10 % with five and in fewer than 8 % with 20
    (simulated in `tests/test_inference.py`). Every other test needs at least as many comparison as treated units. So
    do "cr1", "cr2", "cr3" and "wild" here where the comparison is of fewer than 20; `cluster_robust` and
    `wild_cluster_bootstrap` themselves answer, as units not yet treated are a comparison too. "conformal" does not: it
    permutes the years of one mean, and one comparison unit will do.

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
    refuse_settings(alpha=alpha, draws=draws, seed=seed)
    if method not in METHODS:
        raise DesignError(
            "Unknown method.", where="method", found=repr(method), expected=closest(str(method), METHODS)
        )
    if method in _OF_PANELS:
        return _of_panel(tested, design, outcome, method, alpha, seed, draws)
    if isinstance(tested, Panel):
        panel, design, outcome = _whole(tested, design, outcome, method)
        tested = group_time_att(panel, design, outcome=outcome)
    if not isinstance(tested, (Contrast, Effects)):
        raise not_testable(tested, "a Contrast, Effects, or a Panel with design and outcome")
    missing = ""
    many = method == "auto" and int(np.sum(tested.group >= 0)) >= MANY_TREATED
    if many or method in _OF_INFLUENCE:
        part = _part(tested)
        missing = part.missing
        if many and not missing and part.n_comparison < MANY_COMPARISON:
            missing = (
                f"{part.n_comparison} comparison units: influence functions need {MANY_COMPARISON} or more"
            )
        if not missing:
            return _by_influence(part, method, alpha, seed, draws)
        # Where they were not asked for by name, treated sets can be permuted instead.
        permutable = 2 * part.n_treated <= len(part.units)
        if method in _OF_INFLUENCE or not permutable:
            raise DesignError(
                "Influence functions cannot test this.",
                where=part.label,
                found=missing,
                fix="Test it by permutation."
                if permutable
                else "Give more comparison units."
                if part.missing
                else "Give more comparison units, or name method='influence', which then carries a warning.",
            )
    if isinstance(tested, Effects):
        tested = contrast(tested, aggregate(tested, by="simple").weights[0], label=tested.outcome)
    n_treated = int(np.sum(tested.group >= 0))
    n_comparison = len(tested.group) - n_treated
    _refuse_small_comparison(tested.label, n_treated, n_comparison)
    because = f"{_NAMED}; {n_treated} treated"
    if method == "auto":
        method, because = _chosen(tested, population, n_treated, n_comparison)
        if missing:
            method, because = "permutation", f"{missing}; so treated sets are permuted"
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
    if method == "permutation":
        return plain_permutation(
            tested, alpha=alpha, seed=seed, draws=draws, because=because, most_sets=most_sets
        )
    judge: dict[str, Callable[..., Inference]] = {
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


@dataclass(frozen=True, kw_only=True)
class _Part:
    """What influence functions test: the estimate, psi of shape (n_units,), and why there is no error, if so."""

    label: str
    estimate: float
    influence: Floats
    units: tuple[str, ...]
    n_treated: int
    n_comparison: int
    missing: str


def _part(tested: Contrast | Effects) -> _Part:
    """Of effects the average while treated, with the shares of the paths estimated where they are."""
    n_treated = int(np.sum(tested.group >= 0))
    n_comparison = comparison_units(tested) if isinstance(tested, Effects) else len(tested.group) - n_treated
    influence, missing = tested.influence, ""
    if isinstance(tested, Effects):
        label, whole = tested.outcome, aggregate(tested, by="simple")
        estimate, missing = float(whole.table["att"].iloc[0]), str(whole.table["se_note"].iloc[0])
        influence = None if whole.influence is None else whole.influence[:, 0]
    else:
        label, estimate = tested.label, tested.att
        if np.bincount(tested.group[tested.group >= 0]).min() == 1:
            missing = "one treated unit has a window of its own: no standard error exists"
    if influence is None:
        raise DesignError("This estimate has no influence function.", where=label)
    if n_comparison == 1 and not missing:
        missing = "one comparison unit: no standard error exists"
    return _Part(
        label=label,
        estimate=estimate,
        influence=influence,
        units=tested.units,
        n_treated=n_treated,
        n_comparison=n_comparison,
        missing=missing,
    )


def _by_influence(part: _Part, method: str, alpha: float, seed: int, draws: int) -> Inference:
    warnings = warnings_of_influence(part.n_treated, part.n_comparison)
    because = (
        f"{part.n_treated} treated and {part.n_comparison} comparison units: {MANY_TREATED} or more of both, so "
        "influence functions hold"
    )
    if warnings:
        because = f"{_NAMED}; {as_sentences(warnings)}"
    by_error = from_standard_error(
        label=part.label,
        estimate=part.estimate,
        se=float(standard_errors(part.influence[:, None])[0]),
        df=None,
        alpha=alpha,
        method="influence",
        because=because,
        warnings=warnings,
        n_treated=part.n_treated,
        n_comparison=part.n_comparison,
    )
    if method != "multiplier":
        return by_error
    moves = multiplier_draws(
        part.influence[:, None], part.units, draws=draws, seed=seed, multiplier="mammen"
    )[:, 0]
    drawn = from_draws(
        moves,
        label=part.label,
        estimate=part.estimate,
        equal_tailed=False,
        scale=1e-12 * float(np.abs(moves).max()),
        alpha=alpha,
        method="multiplier",
        exact=False,
        because=because,
        warnings=warnings,
        n_treated=part.n_treated,
        n_comparison=part.n_comparison,
    )
    return replace(drawn, se=by_error.se)


def _refuse_small_comparison(label: str, n_treated: int, n_comparison: int) -> None:
    if n_comparison < n_treated:
        raise DesignError(
            "The comparison is smaller than the treated set.",
            where=label,
            found=f"{n_comparison} comparison units, {n_treated} treated",
        )


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
    if method == "conformal":
        return conformal(panel, design, outcome=outcome, draws=draws, alpha=alpha, seed=seed).average
    if method in ("wild", "wild_unrestricted"):
        found = wild_cluster_bootstrap(
            panel,
            design,
            outcome=outcome,
            restricted=method == "wild",
            draws=draws,
            alpha=alpha,
            seed=seed,
        )
    else:
        kind = next(one for one in KINDS if one == method)
        found = cluster_robust(panel, design, outcome=outcome, kind=kind, alpha=alpha)
    if found.n_comparison < MANY_COMPARISON:
        _refuse_small_comparison(f"{found.label}, method {method!r}", found.n_treated, found.n_comparison)
    return found
