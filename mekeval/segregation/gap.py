"""Did the city grow less apart than it would have without the programme?

In: an evaluation with reference cities, an outcome and a measure of how far areas lie apart. Out: `GapChange`: the
change here, the same change where no programme ran, and what remains. Never: the city's own change passed off as the
programme's doing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from ..display import Shown
from ..errors import DataError, DesignError, MekevalError, closest
from ..evaluation import ALL, Evaluation
from ..panel import Floats, Panel
from ..sensitivity.compare_cities import FEW_CITIES, FEWEST_CITIES
from ..sensitivity.reference_cities import SPARE_AREAS
from .indices import INDICES, two_group
from .measured import redrawn, shares_of
from .series import counts_of, is_share

#: The gap of the treated areas to the others, then the indices of the whole city. `ratio` and `cv` are left out:
#: where the lowest fifth nears zero they have no errors worth the name.
GAP_MEASURES = ("treated", *(name for name in INDICES if name not in ("ratio", "cv")))
_CITY_COLUMNS = ("name", "n_areas", "population", "before", "change", "se", "effect", "effect_se", "residual")
_DRAWS = 200  # only their variance is used


@dataclass(frozen=True, kw_only=True, repr=False)
class GapChange(Shown):
    """The change of a gap, and what of it is more than happened elsewhere.

    Attributes
    ----------
    outcome, measure : str
    pre, post : tuple of int
        Years before the programme and in it whose means are compared; empty where there are none.
    before, change : float or None
        Level before, and the change since, here. Shares from 0 to 1 are given in percentage points, as `treated`.
    counterfactual : float or None
        The change to expect without the programme: the weighted mean of the reference cities; of `treated` what
        equally disadvantaged areas elsewhere changed by, or 0 where the study has no reference cities: that the gap
        would have stayed.
    effect, low, high : float or None
        Change less counterfactual, with its interval.
    p_value : float or None
        Of `treated` that of its finding; of an index the share of all cities whose studentised change differs from
        the others' at least as much as this one's.
    smallest_p : float or None
        No smaller p-value is possible.
    n_cities : int
        Reference cities.
    cities : pandas.DataFrame
        The target first: `name`, `n_areas`, `population`, `before`, `change`, `se` (of drawing people), and each city
        against all others: `effect`, `effect_se`, `residual`. Empty where nothing was compared; of `treated` as in
        `RulePlacebo.cities`.
    left_out : tuple of (str, str)
        Cities that are no reference, each with the reason: "too_few_areas" (fewer than five with a value in every year)
        or "nobody_in_group". Of `treated` they stand in `RulePlacebo.left_out`.
    reason : str
        "" or why there is no effect: "not_a_share", "no_references", "no_years", "too_few_areas", "too_few_cities",
        or, of `treated`, the reason of its finding, or "district_only" where one district alone was evaluated.
    warnings : tuple of str
        "few_cities" (fewer than twelve); "level_beyond_references" (here the index lay outside those of all reference
        cities before, so none is its peer).
    alpha : float
    """

    outcome: str
    measure: str
    pre: tuple[int, ...]
    post: tuple[int, ...]
    before: float | None
    change: float | None
    counterfactual: float | None
    effect: float | None
    low: float | None
    high: float | None
    p_value: float | None
    smallest_p: float | None
    n_cities: int
    cities: pd.DataFrame
    left_out: tuple[tuple[str, str], ...]
    reason: str
    warnings: tuple[str, ...]
    alpha: float

    @property
    def identifiable(self) -> bool:
        """Whether there is anything to tell the programme from what happened elsewhere."""
        return self.reason == ""


def gap_change(evaluation: Evaluation, outcome: str, *, measure: str = "gap") -> GapChange:
    """Judge the aim of narrowing the differences between areas: the change of a gap against its counterfactual.

    Parameters
    ----------
    evaluation : Evaluation
    outcome : str
    measure : str
        One of `GAP_MEASURES`. "treated" is the gap of the treated areas to the others, whose change is the estimate of
        difference-in-differences; "gap" that of the highest to the lowest fifth of the people, "dissimilarity" and the
        others are indices of the whole city (`segregation_indices`).

    Returns
    -------
    GapChange
        Where there is nothing to compare with, its `reason` says so.

    Raises
    ------
    DataError
        The study has no such outcome.
    DesignError
        The measure is unknown.

    Notes
    -----
    An index of a whole city is one number a year. What it would have been can only be told from other cities, see
    `index_changes`. A programme in five of 36 areas moves such an index little, so an index is a weak test of a
    programme and a good account of a city. Areas are ranked anew every year: the highest fifth is not the same areas
    throughout, so a gap does not fall by areas returning to the mean.

    Examples
    --------
    >>> from mekeval import evaluate, example_study
    >>> evaluation = evaluate(example_study(), year=2021, district="Hakunila")
    >>> found = gap_change(evaluation, "low_income_rate", measure="dissimilarity")
    >>> found.identifiable, found.n_cities
    (True, 24)
    """
    study = evaluation.study
    if measure not in GAP_MEASURES:
        raise DesignError(
            "Unknown measure.", where="measure", found=repr(measure), expected=closest(measure, GAP_MEASURES)
        )
    if outcome not in study.plan.outcomes:
        raise DataError(
            "The plan has no such outcome.",
            found=repr(outcome),
            expected=closest(outcome, study.plan.outcomes),
        )
    if measure == "treated":
        return _of_treated(evaluation, outcome)
    if not is_share(study, outcome):
        return _unknown(evaluation, outcome, measure, "not_a_share")
    elsewhere = evaluation.elsewhere
    if elsewhere is None:
        return _unknown(evaluation, outcome, measure, "no_references")
    pre, post = _years(evaluation, outcome)
    if not pre or not post:
        return _unknown(evaluation, outcome, measure, "no_years", pre=pre, post=post)
    try:
        return index_changes(
            elsewhere.panel,
            outcome,
            measure=measure,
            pre=pre,
            post=post,
            city_of=elsewhere.city_of,
            target=elsewhere.target,
            alpha=study.plan.alpha,
            seed=study.spec.study.seed,
        )
    except MekevalError as error:
        key = "too_few_cities" if "reference cities" in error.faults[0].what else "too_few_areas"
        return _unknown(evaluation, outcome, measure, key, pre=pre, post=post)


def index_changes(
    panel: Panel,
    outcome: str,
    *,
    measure: str,
    pre: Sequence[int],
    post: Sequence[int],
    city_of: Mapping[str, str],
    target: str,
    alpha: float = 0.05,
    seed: int = 0,
) -> GapChange:
    r"""The change of an index in a city against its change in cities without a programme.

    Parameters
    ----------
    panel : Panel
        Rates in per cent and the persons behind them, of the areas of all cities.
    outcome : str
    measure : str
        An index of `GAP_MEASURES`, not "treated".
    pre, post : sequence of int
        Years whose means are compared.
    city_of : mapping of str to str
        The city of each area.
    target : str
        The city of the programme.
    alpha : float
    seed : int

    Returns
    -------
    GapChange

    Raises
    ------
    DataError
        The panel has no such outcome.
    DesignError
        Fewer than eight reference cities; fewer than five areas of the target with all years; the measure is unknown;
        a year is not in the panel, or the years before are not before those after.

    Notes
    -----
    In each city the index is that of the areas with a value in all of these years, corrected for small areas. The
    changes c of the references with sampling variances v are taken as a sample of cities: variance between them
    :math:`\tau^2` by DerSimonian and Laird, weights :math:`1 / (v + \tau^2)`, centre m. The effect is c - m with
    standard error :math:`\sqrt{\tau^2 + v_0 + se(m)^2}` and t(C - 2), a prediction interval. The p-value ranks the
    target's studentised change among those of all cities, each against all others, so no smaller one than
    1 / (C + 1) is possible. It takes cities as exchangeable but for their sampling errors; they are not where their
    levels differ much, which a warning says.

    References
    ----------
    DerSimonian, R. and Laird, N. (1986). Meta-analysis in clinical trials. Controlled Clinical Trials 7(3). Higgins,
    J. P. T., Thompson, S. G. and Spiegelhalter, D. J. (2009). A re-evaluation of random-effects meta-analysis. Journal
    of the Royal Statistical Society A 172(1).
    """
    if measure not in GAP_MEASURES[1:]:
        raise DesignError(
            "Unknown measure.",
            where="measure",
            found=repr(measure),
            expected=closest(measure, GAP_MEASURES[1:]),
        )
    if outcome not in panel.values:
        raise DataError(
            "The panel has no such outcome.", found=repr(outcome), expected=closest(outcome, panel.outcomes)
        )
    years = (*pre, *post)
    unknown = sorted({*years} - {*panel.periods})
    if unknown or not pre or not post or max(pre) >= min(post):
        raise DesignError(
            "The years do not lie in the panel, before and after.",
            where="pre, post",
            found=f"{list(pre)} and {list(post)}",
            expected="years of " + ", ".join(map(str, panel.periods)),
        )
    there = np.isfinite(panel.values[outcome][:, [panel.periods.index(year) for year in years]]).all(axis=1)
    rows: dict[str, list[str]] = {}
    for unit, known in zip(panel.units, np.asarray(there), strict=True):
        if known and unit in city_of:
            rows.setdefault(city_of[unit], []).append(unit)
    own = rows.get(target, [])
    if len(own) < SPARE_AREAS:
        raise DesignError(
            "The city has too few areas with a value in every year that is compared.",
            where=target,
            found=str(len(own)),
            expected=f"at least {SPARE_AREAS}",
        )
    few = [(name, "too_few_areas") for name, units in sorted(rows.items()) if len(units) < SPARE_AREAS]
    names = [target, *sorted(set(rows) - {target} - {name for name, _ in few})]
    table = _measured(panel, outcome, measure, {name: rows[name] for name in names}, (pre, post), seed)
    flat = ~(np.isfinite(table["change"]) & (table["se"] > 0)).to_numpy()
    if flat[0]:
        raise DesignError(
            "The index of the city cannot be told in every year: nobody, or everybody, is in the group.",
            where=target,
        )
    left_out = (*few, *((str(name), "nobody_in_group") for name in table.loc[flat, "name"]))
    table = table.loc[~flat].reset_index(drop=True)
    if len(table) - 1 < FEWEST_CITIES:
        raise DesignError(
            "Too few reference cities to tell what would have happened.",
            found=str(len(table) - 1),
            expected=f"at least {FEWEST_CITIES}, with {SPARE_AREAS} areas each",
        )
    table = table.assign(**against_others(table["change"].to_numpy(), table["se"].to_numpy() ** 2))
    n = len(table) - 1
    effect, se = float(table["effect"].iloc[0]), float(table["effect_se"].iloc[0])
    reach = float(stdtrit(n - 2, 1 - alpha / 2)) * se
    residual = table["residual"].abs().to_numpy()
    before = table["before"].to_numpy()
    warnings = {
        "few_cities": n < FEW_CITIES,
        "level_beyond_references": not before[1:].min() <= before[0] <= before[1:].max(),
    }
    return GapChange(
        outcome=outcome,
        measure=measure,
        pre=tuple(pre),
        post=tuple(post),
        before=float(before[0]),
        change=float(table["change"].iloc[0]),
        counterfactual=float(table["change"].iloc[0]) - effect,
        effect=effect,
        low=effect - reach,
        high=effect + reach,
        p_value=float(np.mean(residual >= residual[0] - 1e-12)),
        smallest_p=1 / (n + 1),
        n_cities=n,
        cities=table[list(_CITY_COLUMNS)],
        left_out=left_out,
        reason="",
        warnings=tuple(key for key, holds in warnings.items() if holds),
        alpha=alpha,
    )


def against_others(change: Floats, variance: Floats) -> dict[str, Floats]:
    """Each city's change against the centre of all others: `effect`, `effect_se` and their ratio `residual`.

    Row i of every (n, n) array is what the others of city i say.
    """
    n = len(change)
    others = ~np.eye(n, dtype=bool)

    def centre(weight: Floats) -> tuple[Floats, Floats]:
        total = weight.sum(axis=1)
        return weight @ change / total, total

    weight = np.where(others, 1 / variance, 0.0)
    middle, total = centre(weight)
    spread = (weight * (change - middle[:, None]) ** 2).sum(axis=1)
    between = np.maximum(0.0, (spread - (n - 2)) / (total - (weight**2).sum(axis=1) / total))
    middle, total = centre(np.where(others, 1 / (variance + between[:, None]), 0.0))
    effect, se = change - middle, np.sqrt(between + variance + 1 / total)
    return {"effect": effect, "effect_se": se, "residual": effect / se}


def _measured(
    panel: Panel,
    outcome: str,
    measure: str,
    cities: Mapping[str, Sequence[str]],
    years: tuple[Sequence[int], Sequence[int]],
    seed: int,
) -> pd.DataFrame:
    """Level before and change of an index in each city, in percentage points, all cities in one call."""
    pre, post = years
    known = sorted({*pre, *post})
    columns = [panel.periods.index(year) for year in known]
    row = {unit: at for at, unit in enumerate(panel.units)}
    counts = np.zeros((len(cities), len(known), max(map(len, cities.values())), 2))
    for at, units in enumerate(cities.values()):
        cells = np.ix_([row[unit] for unit in sorted(units)], columns)
        own = counts_of(panel.values[outcome][cells], panel.bases[outcome][cells])
        counts[at, :, : len(units)] = np.moveaxis(own, 0, 1)
    total = counts.sum(axis=-1)
    value = two_group(counts[..., 0], total, only=[measure])[0]
    people = np.rint(total).astype(np.int64)
    generator = np.random.default_rng(seed)
    draws = redrawn(generator, people, shares_of(counts), _DRAWS, only=[measure])[:, 0]
    corrected = 100 * (2 * value - draws.mean(axis=0))
    weights = np.array([(year in post) / len(post) - (year in pre) / len(pre) for year in known])
    return pd.DataFrame(
        {
            "name": list(cities),
            "n_areas": [len(units) for units in cities.values()],
            "population": total[:, known.index(max(pre))].sum(axis=-1),
            "before": corrected[:, np.isin(known, list(pre))].mean(axis=1),
            "change": corrected @ weights,
            "se": 100 * (draws @ weights).std(axis=0, ddof=1),
        }
    )


def _of_treated(evaluation: Evaluation, outcome: str) -> GapChange:
    """The change of the treated areas against the others, as their finding has it."""
    finding = evaluation.findings.get((outcome, ALL))
    result, placebo = (None, None) if finding is None else (finding.inference, finding.placebo)
    if finding is None or result is None:
        return _unknown(
            evaluation, outcome, "treated", "district_only" if finding is None else finding.reason
        )
    pre, post = finding.compared or ((), ())
    bias = 0.0 if placebo is None else placebo.bias
    return GapChange(
        outcome=outcome,
        measure="treated",
        pre=pre,
        post=post,
        before=None if placebo is None else float(placebo.cities["gap"].iloc[0]),
        change=result.estimate + bias,
        counterfactual=bias,
        effect=result.estimate,
        low=result.low,
        high=result.high,
        p_value=result.p_value,
        smallest_p=result.smallest_p,
        n_cities=0 if placebo is None else len(placebo.cities) - 1,
        cities=pd.DataFrame(columns=list(_CITY_COLUMNS)) if placebo is None else placebo.cities,
        left_out=(),
        reason="",
        warnings=() if placebo is None else placebo.warnings,
        alpha=result.alpha,
    )


def _years(evaluation: Evaluation, outcome: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Years with data in most areas, here and elsewhere: before any area was treated, and from the first full year."""
    elsewhere, design = evaluation.elsewhere, evaluation.design
    if elsewhere is None or outcome not in elsewhere.panel.values:
        return (), ()
    panel = elsewhere.panel
    there = np.isfinite(panel.values[outcome])
    own = np.array([elsewhere.city_of.get(unit) == elsewhere.target for unit in panel.units])
    rest = np.array([unit in elsewhere.city_of for unit in panel.units]) & ~own
    enough = (there[own].mean(axis=0) >= 0.5) & (there[rest].mean(axis=0) >= 0.5)
    known = [year for year, some in zip(panel.periods, enough, strict=True) if some]
    first = min(path.first for path in design.paths)
    reach = first - (design.pre_years or first)
    return (
        tuple(year for year in known if reach <= year < first),
        tuple(year for year in known if first + design.partial_years <= year <= evaluation.year),
    )


def _unknown(
    evaluation: Evaluation,
    outcome: str,
    measure: str,
    reason: str,
    *,
    pre: tuple[int, ...] = (),
    post: tuple[int, ...] = (),
) -> GapChange:
    return GapChange(
        outcome=outcome,
        measure=measure,
        pre=pre,
        post=post,
        before=None,
        change=None,
        counterfactual=None,
        effect=None,
        low=None,
        high=None,
        p_value=None,
        smallest_p=None,
        n_cities=0,
        cities=pd.DataFrame(columns=list(_CITY_COLUMNS)),
        left_out=(),
        reason=reason,
        warnings=(),
        alpha=evaluation.study.plan.alpha,
    )
