"""The studentised comparison of a target city with reference cities, on arrays.

In: changes, levels and sizes of the areas of a target city and of reference cities, with the areas that the rule
chooses in each. Out: `RulePlacebo`. Never: a p-value below 0.01, or one from fewer than eight reference cities.

Areas chosen because they are the worst drift for reasons of their own and fall back for others. So the same rule
is applied in cities without a programme, the same estimate is made there, and the target is judged against those.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import compress

import numpy as np
import pandas as pd
from scipy.optimize import nnls
from scipy.special import stdtr, stdtrit

from ..display import Shown
from ..errors import DataError, DesignError, Fault
from ..inference.ordered import quantile_of
from ..panel import Floats
from .cities import City, CityAreas
from .reference_cities import SPARE_AREAS

#: Fewer references: nothing can be identified. Fewer than the second: a warning.
FEWEST_CITIES, FEW_CITIES = 8, 12
#: At nominal 1 % the true size is 1.3 to 2.4 %, so no smaller p-value is quoted.
SMALLEST_P = 0.01
#: A target with more areas than so many times those of the largest reference has no peer: the worst of many areas are
#: more extreme than the worst of few. Of Finland's cities only Helsinki is such a one.
LARGEST = 1.5
_PRIOR = 10.0  # pseudo-areas that pull a city's residual scale towards that of all cities
_ROUNDS = 8
_CLIP = (0.001, 0.999)
_SAME_SIZE = 1e-12  # areas whose log populations vary by less have no slope in them
_ROUNDING = 1e-12  # a standard error below this share of the largest level is rounding
POWER = 0.8


@dataclass(frozen=True, kw_only=True, repr=False)
class RulePlacebo(Shown):
    """The effect in the target city, judged by what the same rule finds where nothing was done.

    Attributes
    ----------
    effect : float
        Difference of the chosen areas from the others, minus `bias`; in the outcome's unit.
    se, low, high : float
        Standard error and confidence interval from t with `df` degrees of freedom.
    df : int
        Reference cities less one.
    bias, bias_se : float
        What equally disadvantaged areas elsewhere changed by, against the others of their cities, and its standard
        error.
    p_value : float
        Two-sided. Quote it through `quotable_p`.
    rank_p : float
        Share of all cities whose studentised residual is at least as large as the target's.
    minimum_detectable_effect : float
        Found with a power of 0.8 at `alpha`.
    alpha : float
    cities : pandas.DataFrame
        One row for each city, the target first: `name`, `areas` (tuple of the chosen ones; empty where codes are not
        known), `population` (persons in all its areas), `n_areas`, `n_chosen`, `estimate`, `s2` (its sampling
        variance), `gap` (how much worse the chosen areas were before), `phi` (residual scale), `variance` (of the
        estimate, drift included), `weight` (in `bias`; 0 for the target); and, each city in turn judged against all
        others, `effect`, `se` and `residual` (their ratio: leave-one-out, studentised).
    target : City
    variance : tuple of float
        The variance model (a, b) that was used.
    matched, left_out, dropped : pandas.DataFrame
        As in `PlaceboCities`; empty where cities were given as arrays.
    warnings : tuple of str
        Keys: "few_cities" (fewer than twelve), "gap_beyond_references" (the treated areas were further from the rest of
        their city than those of any reference), "larger_than_references" (the target has more than 1.5 times the areas
        of the largest reference: not identifiable), and those of `PlaceboCities`.
    """

    effect: float
    se: float
    low: float
    high: float
    df: int
    bias: float
    bias_se: float
    p_value: float
    rank_p: float
    minimum_detectable_effect: float
    alpha: float
    cities: pd.DataFrame
    target: City
    variance: tuple[float, float]
    matched: pd.DataFrame
    left_out: pd.DataFrame
    dropped: pd.DataFrame
    warnings: tuple[str, ...]

    @property
    def identifiable(self) -> bool:
        """Whether areas elsewhere can stand for the treated ones.

        Not where one of those was being built or emptied, or where the rule had far more areas to choose from.
        """
        return not {"treated_rebuilt", "larger_than_references"} & set(self.warnings)

    @property
    def quotable_p(self) -> float:
        """The p-value, but never less than the method can tell apart."""
        return max(self.p_value, SMALLEST_P)

    @property
    def rejects(self) -> bool:
        """Whether both the t test and the rank agree that this is more than the rule brings about by itself."""
        return self.quotable_p <= self.alpha and self.rank_p <= max(0.10, 1 / len(self.cities))

    @property
    def estimates(self) -> Floats:
        """That of each city, the target first."""
        return self.cities["estimate"].to_numpy(dtype=float)


#: What a `Judgement` has that a `RulePlacebo` has not, or has in another form.
_OWN = ("names", "columns", "warnings")


@dataclass(frozen=True, kw_only=True, eq=False)
class Judgement:
    """The numbers of a `RulePlacebo`, before its tables are made.

    Attributes
    ----------
    effect, se, low, high, df, bias, bias_se, p_value, rank_p, minimum_detectable_effect, alpha, variance, warnings
        As in `RulePlacebo`; warnings are those of the comparison alone.
    names : tuple of str
        The cities, the target first.
    columns : mapping of str to array, shape (n_cities,)
        The numbers of `RulePlacebo.cities`.
    """

    effect: float
    se: float
    low: float
    high: float
    df: int
    bias: float
    bias_se: float
    p_value: float
    rank_p: float
    minimum_detectable_effect: float
    alpha: float
    variance: tuple[float, float]
    warnings: tuple[str, ...]
    names: tuple[str, ...]
    columns: Mapping[str, Floats]

    @property
    def quotable_p(self) -> float:
        """As `RulePlacebo.quotable_p`."""
        return max(self.p_value, SMALLEST_P)

    @property
    def estimates(self) -> Floats:
        """As `RulePlacebo.estimates`."""
        return self.columns["estimate"]

    def told(
        self,
        cities: Sequence[City],
        *,
        matched: pd.DataFrame,
        left_out: pd.DataFrame,
        dropped: pd.DataFrame,
        warnings: Sequence[str] = (),
    ) -> RulePlacebo:
        """With the tables; `warnings` are further ones."""
        return RulePlacebo(
            **{one.name: getattr(self, one.name) for one in fields(self) if one.name not in _OWN},
            cities=_table(cities, self.columns),
            target=cities[0],
            matched=matched,
            left_out=left_out,
            dropped=dropped,
            warnings=(*warnings, *self.warnings),
        )


def compare_with_cities(
    target: City,
    references: Sequence[City],
    *,
    variance: tuple[float, float] | None = None,
    alpha: float = 0.05,
) -> RulePlacebo:
    r"""Judge the target's chosen areas against those that the same rule chooses in reference cities.

    With w the change, n the population and x the level of an area, v = a + b/n its variance, T the chosen areas of a
    city and C the others, the estimate in a city is the mean residual of T from the weighted regression of w on
    (1, log n) over C; its sampling variance is

    .. math:: s_c^2 = \phi_c [\sum_T v_i / k^2 + \sum_C h_i^2 v_i]

    and, because drift grows with how extreme the chosen areas are (their gap g in x),
    :math:`V_c = s_c^2 + \frac12 \frac{median(s^2)}{mean(g^2)} g_c^2`. The references give the centre m (weights 1/V)
    and the spread q of the estimates; the effect is :math:`a_0 - m` with standard error
    :math:`\sqrt{q (V_0 + 1 / \sum 1/V_c)}` and t(C - 1).

    Parameters
    ----------
    target : City
    references : sequence of City
        Cities without a programme of the kind; the target is not among them.
    variance : (a, b), optional
        The variance model; fitted to all cities by default (`variance_model`).
    alpha : float

    Returns
    -------
    RulePlacebo

    Raises
    ------
    DataError
        A city has values that are not finite or arrays of different lengths.
    DesignError
        Fewer than eight reference cities, a city with too few areas, the target among the references, an area in two
        cities, alpha out of range.

    Notes
    -----
    Measured on Finnish postal areas where no programme ran: rejects a true null in 4.8 to 6.3 % with one to five worst
    areas, where a size-scaled test rejects in 9 to 16 % (`docs/benchmarks.md`, "calibration"). A city without a peer
    is not covered by that.
    """
    if not 0 < alpha < 1:
        raise DesignError(
            "alpha is out of range.", where="alpha", found=repr(alpha), expected="between 0 and 1"
        )
    _refuse(target, references)
    if variance is not None and not (np.shape(variance) == (2,) and np.min(variance) >= 0 < np.max(variance)):
        raise DesignError(
            "The variance model is no pair of numbers of which one is above zero.",
            where="variance",
            found=repr(variance),
        )
    cities = [target, *references]
    return _judge(CityAreas.of(cities), variance, alpha).told(
        cities,
        matched=pd.DataFrame(columns=["area", "rank", "n_eligible", "by_rule", "matched_by"]),
        left_out=pd.DataFrame(columns=["city", "reason", "note"]),
        dropped=pd.DataFrame(columns=["city", "reason", "n"]),
    )


def judged(
    areas: CityAreas, *, variance: tuple[float, float] | None = None, alpha: float = 0.05
) -> Judgement:
    """`compare_with_cities` of areas as the rule was applied to them, the target first."""
    k = areas.sums(areas.chosen.astype(float))
    numbers = np.concatenate([areas.change, areas.level, areas.population])
    enough = len(areas.n) > FEWEST_CITIES and (k > 0).all() and (areas.n >= k + SPARE_AREAS).all()
    if not (0 < alpha < 1 and enough and np.isfinite(numbers).all() and (areas.population > 0).all()):
        target, *references = areas.cities()
        compare_with_cities(target, references, variance=variance, alpha=alpha)  # says what is wrong
    return _judge(areas, variance, alpha)


def _judge(areas: CityAreas, variance: tuple[float, float] | None, alpha: float) -> Judgement:
    a, b = _variance_model(areas) if variance is None else variance
    parts, bias, bias_se = _among_others(_estimates(areas, (a, b)))
    effect, se = float(parts["effect"][0]), float(parts["se"][0])
    scale = float(max(np.abs(areas.level).max(), np.abs(areas.change).max()))
    if not (np.isfinite(parts["se"]).all() and (parts["se"] > _ROUNDING * scale).all()):
        raise DesignError(
            "The reference cities do not differ, so nothing can be told from chance.",
            found="a standard error of zero",
            fix="Is the outcome constant, or rounded away?",
        )
    n = len(areas.n) - 1
    df = n - 1
    residuals = parts["residual"]
    quantile = float(stdtrit(df, 1 - alpha / 2))
    warnings = ["few_cities"] if n < FEW_CITIES else []
    gap = np.abs(parts["gap"])
    if gap[0] > gap[1:].max():
        warnings.append("gap_beyond_references")
    if areas.n[0] > LARGEST * areas.n[1:].max():
        warnings.append("larger_than_references")
    return Judgement(
        effect=effect,
        se=se,
        low=effect - quantile * se,
        high=effect + quantile * se,
        df=df,
        bias=bias,
        bias_se=bias_se,
        p_value=float(2 * stdtr(df, -abs(effect / se))),
        rank_p=float(np.mean(np.abs(residuals) >= abs(residuals[0]) - 1e-12)),
        minimum_detectable_effect=float((quantile + stdtrit(df, POWER)) * se),
        alpha=alpha,
        variance=(a, b),
        warnings=tuple(warnings),
        names=areas.names,
        columns=parts,
    )


def variance_model(cities: Sequence[City]) -> tuple[float, float]:
    """Fit v = a + b/n to the squared deviations of changes from their city's mean, all cities pooled.

    Deviations are from the population-weighted mean and clipped at the 0.1 and 99.9 % quantiles; non-negative least
    squares with weights 1 / fit^2, eight rounds.

    Returns
    -------
    a, b : float
        In the squared unit of the outcome, and that times persons.
    """
    return _variance_model(CityAreas.of(cities))


def _variance_model(flat: CityAreas) -> tuple[float, float]:
    centre = flat.sums(flat.change * flat.population) / flat.sums(flat.population)
    deviation = flat.change - np.repeat(centre, flat.n)
    least, most = (quantile_of(deviation, share) for share in _CLIP)
    deviation = np.clip(deviation, least, most)
    terms = np.column_stack([np.ones(len(deviation)), 1 / flat.population])
    fit = np.ones(len(deviation))
    coefficients = np.zeros(2)
    for _ in range(_ROUNDS):
        coefficients, _ = nnls(terms / fit[:, None], deviation**2 / fit)
        fit = terms @ coefficients
        if not np.all(fit > 0):
            raise DesignError(
                "The changes do not vary.", found="a variance of zero", fix="Is the outcome constant?"
            )
    return float(coefficients[0]), float(coefficients[1])


def city_estimates(cities: Sequence[City], variance: tuple[float, float]) -> pd.DataFrame:
    """Estimate, sampling variance, gap and residual scale of each city; columns as in `RulePlacebo.cities`."""
    return _table(cities, _estimates(CityAreas.of(cities), variance))


def _table(cities: Sequence[City], columns: Mapping[str, Floats]) -> pd.DataFrame:
    names = [city.name for city in cities]
    areas = [tuple(compress(city.areas, city.chosen)) for city in cities]
    return pd.DataFrame({"name": names, "areas": areas, **columns})


def _estimates(flat: CityAreas, variance: tuple[float, float]) -> dict[str, Floats]:
    """The numbers of `city_estimates`, all cities at once."""
    v = variance[0] + variance[1] / flat.population
    chosen = flat.chosen.astype(float)
    weight = (1 - chosen) / v
    k, precision = flat.sums(chosen), flat.sums(weight)
    # Weighted least squares on (1, log n), both taken from their means over the comparison areas of each city.
    size, change = (
        values - np.repeat(flat.sums(weight * values) / precision, flat.n)
        for values in (np.log(flat.population), flat.change)
    )
    spread = flat.sums(weight * size**2)
    varies = spread > _SAME_SIZE * precision
    per_size = np.divide(1.0, spread, out=np.zeros(len(spread)), where=varies)
    residual = change - np.repeat(flat.sums(weight * size * change) * per_size, flat.n) * size
    away = flat.sums(chosen * size) / k * per_size
    leverage = weight * (np.repeat(1 / precision, flat.n) + np.repeat(away, flat.n) * size)
    phi = (flat.sums(residual**2 * weight) + _PRIOR) / (flat.n - k - 2 + _PRIOR)
    return {
        "population": flat.sums(flat.population),
        "n_areas": flat.n,
        "n_chosen": k.astype(int),
        "estimate": flat.sums(chosen * residual) / k,
        "s2": phi * (flat.sums(chosen * v) / k**2 + flat.sums(leverage**2 * v)),
        "gap": flat.sums(chosen * flat.level) / k - flat.sums(weight * flat.level) / precision,
        "phi": phi,
    }


def _among_others(parts: Mapping[str, Floats]) -> tuple[dict[str, Floats], float, float]:
    """Each city against all others, and the target's bias with its standard error.

    Row i of every (n, n) array holds what the others of city i say of each city.
    """
    s2, gap, estimate = parts["s2"], parts["gap"], parts["estimate"]
    n, gap2 = len(s2), gap**2
    others = ~np.eye(n, dtype=bool)
    mean_gap2 = (gap2.sum() - gap2) / (n - 1)
    median_s2 = _medians_of_others(s2)
    drift = np.divide(median_s2, mean_gap2, out=np.zeros(n), where=mean_gap2 > 0)
    variance = s2 + drift[:, None] * gap2 / 2
    precision = np.where(others, 1 / variance, 0.0)
    total = precision.sum(axis=1)
    bias = precision @ estimate / total
    spread = (precision * (estimate - bias[:, None]) ** 2).sum(axis=1) / (n - 2)
    se = np.sqrt(spread * (variance.diagonal() + 1 / total))
    effect = estimate - bias
    columns = {
        **parts,
        "variance": variance[0],
        "weight": precision[0] / total[0],
        "effect": effect,
        "se": se,
        "residual": effect / se,
    }
    return columns, float(bias[0]), float(np.sqrt(spread[0] / total[0]))


def _medians_of_others(values: Floats) -> Floats:
    """For each of n values the median of all others, shape (n,)."""
    order = np.argsort(values)
    ordered, place = values[order], np.empty(len(values), dtype=np.intp)
    place[order] = np.arange(len(values))
    # What comes after the one that is left out moves down by one place.
    low, high = (at + (place <= at) for at in ((len(values) - 2) // 2, (len(values) - 1) // 2))
    return np.asarray((ordered[low] + ordered[high]) / 2)


def _refuse(target: City, references: Sequence[City]) -> None:
    if len(references) < FEWEST_CITIES:
        raise DesignError(
            "Too few reference cities: nothing can be told apart from the rule's own doing.",
            found=f"{len(references)} cities",
            expected=f"at least {FEWEST_CITIES}",
        )
    faults = []
    if target.name in [city.name for city in references]:
        faults.append(Fault(what="The target is among its own references.", found=repr(target.name)))
    names = Counter(city.name for city in references)
    faults += [
        Fault(what="A reference city is given twice.", found=repr(name)) for name, n in names.items() if n > 1
    ]
    own = set(target.areas)
    elsewhere = [area for city in references for area in city.areas]
    if not own.isdisjoint(elsewhere):
        faults += [
            Fault(
                what="A reference city overlaps the target.",
                where=city.name,
                found=", ".join(sorted(own & set(city.areas))),
            )
            for city in references
            if own & set(city.areas)
        ]
    once = len(set(elsewhere)) == len(elsewhere)
    twice = [] if once else sorted(area for area, n in Counter(elsewhere).items() if n > 1)
    if twice:
        faults.append(Fault(what="Reference cities overlap each other.", found=", ".join(twice[:12])))
    for city in (target, *references):
        arrays = (city.change, city.level, city.population)
        if any(len(array) != len(city.chosen) for array in arrays):
            raise DataError("A city's arrays have different lengths.", where=city.name)
        if np.asarray(city.chosen).dtype != np.bool_:
            raise DataError(
                "The chosen areas of a city are marked by True and False.",
                where=city.name,
                found=str(np.asarray(city.chosen).dtype),
            )
        if city.areas and len(city.areas) != len(city.chosen):
            raise DataError("A city's areas are not as many as its values.", where=city.name)
        if not all(np.isfinite(array).all() for array in arrays) or not (city.population > 0).all():
            raise DataError("A city has values that are missing or not finite.", where=city.name)
        k, n = int(city.chosen.sum()), len(city.chosen)
        if k == 0 or n < k + SPARE_AREAS:
            faults.append(
                Fault(
                    what="A city has too few areas for the rule.",
                    where=city.name,
                    found=f"{n} areas, {k} chosen",
                    expected=f"at least 1 chosen and {SPARE_AREAS} more",
                )
            )
    if faults:
        raise DesignError.of(faults)
