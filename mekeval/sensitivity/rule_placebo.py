"""The rule placebo: the programme's own selection rule, applied where and when no programme ran.

In: a panel and a rule. Out: `RulePlacebo` from other cities, `RulePlaceboInTime` from the same city's past, and
`RegressionToMean`, what the rule alone predicts. Never: few placebos told as if they were many.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from ..design import Rule
from ..display import Shown
from ..errors import DesignError
from ..panel import Floats, Panel
from .cities import City
from .compare_cities import (
    FEWEST_CITIES,
    Judgement,
    RulePlacebo,
    city_estimates,
    judged,
    variance_model,
)
from .reference_cities import cities_of, placebo_cities
from .rule_question import MOST_GROWTH, SMALLEST_AREA, RuleQuestion


@dataclass(frozen=True, kw_only=True, repr=False)
class RulePlaceboInTime(Shown):
    """The same rule at earlier years of the same city.

    Attributes
    ----------
    table : pandas.DataFrame
        The programme first, then one row for each earlier start, the latest first: `years_earlier` (0 for the
        programme), `pre` and `post` (tuples of years), `areas` (tuple: the treated, or those that the rule chose then),
        `estimate` (in the outcome's unit), `se` (of sampling, `sqrt(s2)`), `gap` (how much worse those areas were
        before).
    n : int
        Earlier starts.
    smallest_p : float
        1 / (n + 1): no test with them can give less.
    rank_p : float
        Share of all starts, the programme included, whose ``|estimate / se|`` is at least the programme's.
    left_out : pandas.DataFrame
        Earlier starts that could not be used: `years_earlier`, `reason` (as in `PlaceboCities.left_out`) and `note`.
    statement : str
        How many there are and what they can tell, in one English sentence.
    """

    table: pd.DataFrame
    n: int
    smallest_p: float
    rank_p: float
    left_out: pd.DataFrame
    statement: str


@dataclass(frozen=True, kw_only=True, repr=False)
class RegressionToMean(Shown):
    """How much of the chosen areas' change the rule alone predicts.

    Attributes
    ----------
    change : float
        Change of the treated areas against the others of their city, not corrected; in the outcome's unit.
    by_rule, by_rule_se : float or None
        What the same rule brings about in reference cities, where nothing was done; None without them.
    by_level, by_level_se : float
        What the comparison areas of the same city predict: the slope of their change on their level before, times the
        gap of the treated areas.
    slope : float
        That slope; -0.2 means that a fifth of a distance between areas is gone afterwards.
    gap : float
        Level of the treated areas before, minus that of the others.
    n_references : int
    """

    change: float
    by_rule: float | None
    by_rule_se: float | None
    by_level: float
    by_level_se: float
    slope: float
    gap: float
    n_references: int


def rule_placebo(
    panel: Panel,
    rule: Rule,
    *,
    outcome: str,
    pre: Sequence[int],
    post: Sequence[int],
    city_of: Mapping[str, str],
    target: str,
    treated: Sequence[str],
    population: str,
    discretionary: Sequence[str] = (),
    set_aside: Sequence[str] = (),
    exclude: Mapping[str, str] | None = None,
    smallest_area: float = SMALLEST_AREA,
    most_growth: float | None = MOST_GROWTH,
    variance: tuple[float, float] | None = None,
    alpha: float = 0.05,
) -> RulePlacebo:
    """Judge treated areas against those that the same rule chooses in cities without a programme.

    The rule is applied in every reference city (`placebo_cities`); the same difference, before and after, between
    chosen and other areas is estimated there; the target's is judged against theirs (`compare_with_cities`).

    Parameters
    ----------
    panel, rule, outcome, pre, post, city_of, target, treated, population, discretionary, set_aside, exclude, \
smallest_area, most_growth
        As in `placebo_cities`.
    variance, alpha
        As in `compare_with_cities`.

    Returns
    -------
    RulePlacebo
        With `matched`, `left_out`, `dropped` and the warnings of `PlaceboCities`. A treated area that was being built
        or emptied before the programme makes it not `identifiable`.

    Raises
    ------
    DesignError, DataError
        As `placebo_cities` and `compare_with_cities`; fewer than eight reference cities.

    Notes
    -----
    A permutation inside the city asks whether the treated areas moved more than others did; this asks whether they
    moved more than equally disadvantaged areas elsewhere. It needs areas elsewhere, and no programme there.

    References
    ----------
    Ferman, B. and Pinto, C. (2019). Inference in differences-in-differences with few treated groups and
    heteroskedasticity. Review of Economics and Statistics 101(3). Hartung, J. and Knapp, G. (2001). A refined method
    for the meta-analysis of controlled clinical trials. Statistics in Medicine 20(24).

    Examples
    --------
    >>> from mekeval import build_panel
    >>> from mekeval.design import Rule
    >>> rng = np.random.default_rng(7)
    >>> areas = [f"{city}{at}" for city in "abcdefghijklm" for at in range(20)]
    >>> frame = pd.DataFrame({"area": areas * 4, "year": np.repeat([1, 2, 3, 4], 260), "people": 4_000.0})
    >>> frame["rate"] = np.tile(rng.normal(15, 4, 260), 4) + rng.normal(0, 0.5, 1040)
    >>> panel = build_panel(frame, outcome=["rate", "people"])
    >>> worst = frame[(frame["year"] == 2) & frame["area"].str.startswith("a")].nlargest(2, "rate")["area"].tolist()
    >>> found = rule_placebo(
    ...     panel, Rule(criteria={"rate": 2}, choose=2), outcome="rate", pre=(1, 2), post=(3, 4),
    ...     city_of={area: area[0] for area in areas}, target="a", treated=worst, population="people",
    ... )
    >>> len(found.cities), found.low < 0 < found.high
    (13, True)
    """
    return ask(
        RuleQuestion(
            panel=panel,
            rule=rule,
            outcome=outcome,
            pre=tuple(pre),
            post=tuple(post),
            city_of=city_of,
            target=target,
            treated=tuple(treated),
            population=population,
            discretionary=tuple(discretionary),
            set_aside=tuple(set_aside),
            exclude=exclude or {},
            smallest_area=smallest_area,
            most_growth=most_growth,
            variance=variance,
            alpha=alpha,
        )
    )


def ask(question: RuleQuestion) -> RulePlacebo:
    """Put a question to `rule_placebo`."""
    applied = cities_of(question)
    found = judged(applied.areas, variance=question.variance, alpha=question.alpha)
    cities = applied.told()
    return found.told(
        [cities.target, *cities.references],
        matched=cities.matched,
        left_out=cities.left_out,
        dropped=cities.dropped,
        warnings=cities.warnings,
    )


def asked_quickly(question: RuleQuestion) -> Judgement:
    """The numbers of `ask`."""
    return judged(cities_of(question).areas, variance=question.variance, alpha=question.alpha)


def rule_placebo_in_time(
    panel: Panel,
    rule: Rule,
    *,
    outcome: str,
    pre: Sequence[int],
    post: Sequence[int],
    first: int,
    areas: Sequence[str],
    treated: Sequence[str],
    population: str,
    discretionary: Sequence[str] = (),
    set_aside: Sequence[str] = (),
    smallest_area: float = SMALLEST_AREA,
    most_growth: float | None = MOST_GROWTH,
) -> RulePlaceboInTime:
    """Apply the same rule at earlier base years of the same city.

    Every year, those of the criteria included, is moved back by the same number of years, as often as the panel has
    them all and the last year after stays before the programme's first. Each such start gives one placebo estimate.

    Parameters
    ----------
    panel, rule, outcome, pre, post, treated, population, discretionary, set_aside, smallest_area, most_growth
        As in `placebo_cities`.
    first : int
        The programme's first year.
    areas : sequence of str
        The city's areas.

    Returns
    -------
    RulePlaceboInTime

    Raises
    ------
    DesignError, DataError
        As `placebo_cities`.

    Notes
    -----
    Starts a few years apart share years and mostly the same areas, so they are no independent placebos, and there are
    rarely more than a handful: they show, they do not test. `rule_placebo` tests.
    """
    steps = range(1, max(panel.periods) - min(panel.periods) + 1)
    needed = {*pre, *post} | {
        year for years in rule.criteria.values() for year in ((years,) if isinstance(years, int) else years)
    }
    possible = [
        step
        for step in steps
        if max(post) - step < first and all(year - step in panel.periods for year in needed)
    ]
    # The city of an earlier start is a copy of it whose clock is put forward, so that the rule finds its own years.
    copies = {step: tuple(f"{step} years before {unit}" for unit in areas) for step in possible}
    rows = [panel.units.index(unit) for unit in areas if unit in panel.units]
    if len(rows) < len(areas):
        raise DesignError(
            "An area is not in the panel.",
            found=repr(next(unit for unit in areas if unit not in panel.units)),
        )
    values = {
        name: np.vstack([array[rows], *[_moved(array[rows], panel.periods, step) for step in possible]])
        for name, array in panel.values.items()
    }
    stacked = replace(
        panel,
        units=(*areas, *[unit for step in possible for unit in copies[step]]),
        values=values,
        bases={},
        reasons={},
    )
    own = dict.fromkeys(areas, "programme")
    name_of = {step: f"{step:04d} years earlier" for step in possible}
    cities = placebo_cities(
        stacked,
        rule,
        outcome=outcome,
        pre=pre,
        post=post,
        city_of=own | {unit: name_of[step] for step in possible for unit in copies[step]},
        target="programme",
        treated=treated,
        population=population,
        discretionary=discretionary,
        set_aside=set_aside,
        smallest_area=smallest_area,
        most_growth=most_growth,
    )
    step_of = {name: step for step, name in name_of.items()}
    every = [cities.target, *cities.references]
    parts = city_estimates(every, variance_model(every))
    earlier = [0, *[step_of[city.name] for city in cities.references]]
    code_of = {copy: unit for step in possible for copy, unit in zip(copies[step], areas, strict=True)}
    table = pd.DataFrame(
        {
            "years_earlier": earlier,
            "pre": [tuple(year - step for year in pre) for step in earlier],
            "post": [tuple(year - step for year in post) for step in earlier],
            "areas": [tuple(code_of.get(unit, unit) for unit in chosen) for chosen in parts["areas"]],
            "estimate": parts["estimate"],
            "se": np.sqrt(parts["s2"].to_numpy(dtype=float)),
            "gap": parts["gap"],
        }
    )
    n = len(cities.references)
    studentised = (table["estimate"] / table["se"]).abs().to_numpy()
    left_out = cities.left_out.assign(years_earlier=[step_of[name] for name in cities.left_out["city"]])
    return RulePlaceboInTime(
        table=table,
        n=n,
        smallest_p=1 / (n + 1),
        rank_p=float(np.mean(studentised >= studentised[0] - 1e-12)),
        left_out=left_out[["years_earlier", "reason", "note"]],
        statement=_statement(n),
    )


def regression_to_mean(target: City, placebo: RulePlacebo | None = None) -> RegressionToMean:
    r"""How much of the change of areas that were chosen as the worst the rule alone predicts.

    An area that stood out before, partly by chance, stands out less afterwards. Reference cities show how much less,
    the drift of such areas included (`placebo.bias`). Without them the city's own comparison areas tell something: with
    x the level before and w the change, the weighted regression of w on (1, log n, x) over them has the slope
    :math:`\beta`, and predicts :math:`\beta g` for a gap g.

    Parameters
    ----------
    target : City
    placebo : RulePlacebo, optional
        Of the same target; gives `by_rule` and the variance model.

    Returns
    -------
    RegressionToMean

    Raises
    ------
    DesignError
        Fewer than five comparison areas, levels that do not vary among them, or a placebo of another city.

    Notes
    -----
    `by_level` extrapolates from areas that were not chosen, and sees no drift that is peculiar to the worst ones: on
    real areas a level covariate leaves rejections at 9 to 11 % instead of 5. It shows a size; it corrects nothing.

    References
    ----------
    Galton, F. (1886). Regression towards mediocrity in hereditary stature. Journal of the Anthropological Institute 15.
    """
    if placebo is not None and placebo.target.name != target.name:
        raise DesignError("The placebo is of another city.", found=placebo.target.name, expected=target.name)
    rest = ~target.chosen
    level = target.level[rest]
    if rest.sum() < 5 or not np.ptp(level) > 0:
        raise DesignError(
            "The comparison areas cannot tell how levels return to the mean.",
            where=target.name,
            found=f"{int(rest.sum())} areas, levels from {level.min():g} to {level.max():g}"
            if rest.any()
            else "no area",
            expected="at least five areas whose levels differ",
        )
    variance = variance_model([target]) if placebo is None else placebo.variance
    parts = city_estimates([target], variance).iloc[0]
    v = variance[0] + variance[1] / target.population[rest]
    terms = np.column_stack([np.ones(len(v)), np.log(target.population[rest]), level])
    weighted = terms / v[:, None]
    inverse = np.linalg.pinv(weighted.T @ terms)
    coefficients = inverse @ (weighted.T @ target.change[rest])
    left = target.change[rest] - terms @ coefficients
    scale = float(np.sum(left**2 / v) / (len(v) - 3))
    gap = float(parts["gap"])
    return RegressionToMean(
        change=float(parts["estimate"]),
        by_rule=None if placebo is None else placebo.bias,
        by_rule_se=None if placebo is None else placebo.bias_se,
        by_level=float(coefficients[2] * gap),
        by_level_se=float(np.sqrt(scale * inverse[2, 2]) * abs(gap)),
        slope=float(coefficients[2]),
        gap=gap,
        n_references=0 if placebo is None else placebo.df + 1,
    )


def _moved(values: Floats, periods: Sequence[int], step: int) -> Floats:
    """Values as they were `step` years earlier; missing where that year is not a period."""
    moved = np.full(values.shape, np.nan)
    for at, year in enumerate(periods):
        if year - step in periods:
            moved[:, at] = values[:, periods.index(year - step)]
    return moved


def _statement(n: int) -> str:
    if n == 0:
        return (
            "The data hold no earlier start with all the years that are needed, so the past cannot be asked."
        )
    starts = "1 earlier start exists" if n == 1 else f"{n} earlier starts exist"
    if n + 1 < FEWEST_CITIES:
        return f"{starts}; no p-value below {1 / (n + 1):.2f} is possible, so this shows but cannot test."
    return f"{starts}, which share years; the smallest possible p-value is {1 / (n + 1):.2f}."
