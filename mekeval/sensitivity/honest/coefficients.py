"""Event-study coefficients against one base, with a covariance that can be answered for.

In: a vector and a covariance from anywhere, or `Effects`. Out: `Coefficients`. Never: coefficients of several bases
taken for those of one, or influence functions of a handful of treated units that nobody asked for by name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
from scipy.special import ndtri, stdtrit

from ...errors import DesignError, Fault
from ...estimate import Aggregation, Effects, aggregate
from ...estimate.effects import unit_changes
from ...inference import MANY_COMPARISON, MANY_TREATED
from ...panel import Floats
from .restrictions import Restriction, Times

Covariance = Literal["given", "influence", "comparison"]
LVec = Sequence[float] | Mapping[int, float] | Floats | Literal["first", "average"]
_ROUNDING, _TINY = 1e-8, 1e-100
#: Share of alpha that the first stage of a hybrid test uses, as in the source.
FIRST_STAGE = 0.1
#: How local projections name the base of every path.
_LAST = "last period before entry"
#: Bases of estimators whose effects are gaps to a prediction, before entry of another kind than after it.
_PREDICTED = ("untreated", "none", "time_weighted")


@dataclass(frozen=True, kw_only=True)
class Coefficients:
    """Estimates before and after the base, in the order of `times`.

    Attributes
    ----------
    estimates : array, shape (n_coefficients,)
    covariance : array, shape (n_coefficients, n_coefficients)
    times : Times
    post : array, shape (n_post,)
        Effects after the base as they were estimated, against the base of the estimator.
    post_covariance : array, shape (n_post, n_post)
    source : str
        "given", "influence" or "comparison".
    outcome : str
    n_treated, n_comparison : int or None
    df : float or None
        Degrees of freedom of the covariance; None where it is taken for known.
    notes : tuple of str
    """

    estimates: Floats
    covariance: Floats
    times: Times
    post: Floats
    post_covariance: Floats
    source: Covariance
    outcome: str
    n_treated: int | None
    n_comparison: int | None
    df: float | None
    notes: tuple[str, ...]


def from_vector(
    estimates: object, covariance: object, event_times: object, base: float, df: float | None
) -> Coefficients:
    """Coefficients that a user brings; all faults at once."""
    vector = _numbers(estimates, "estimates", 1)
    matrix = _numbers(covariance, "covariance", 2)
    times = _numbers(event_times, "event_times", 1)
    faults: list[Fault] = []
    n = len(vector)
    if matrix.shape != (n, n):
        faults.append(
            Fault(
                what="The covariance does not belong to the estimates.",
                where="covariance",
                found=f"shape {matrix.shape}",
                expected=f"({n}, {n}), a row and a column for each of the {n} estimates",
            )
        )
    if len(times) != n:
        faults.append(
            Fault(
                what="There are not as many event times as estimates.",
                where="event_times",
                found=f"{len(times)} times, {n} estimates",
                expected="one time for each estimate, the base left out",
            )
        )
    for name, values in (("estimates", vector), ("covariance", matrix), ("event_times", times)):
        if not np.isfinite(values).all():
            place = tuple(int(one) for one in np.argwhere(~np.isfinite(values))[0])
            faults.append(
                Fault(
                    what="A number is missing or infinite.",
                    where=f"{name}, position {', '.join(map(str, place))} from 0",
                    found=str(values[place]),
                    fix="Leave out what was not estimated, such as the base, in all three.",
                )
            )
    if faults:
        raise DesignError.of(faults)
    at_base = times == base
    if at_base.any():
        if vector[at_base].any() or matrix[at_base].any():
            raise DesignError(
                "The coefficient of the base is not zero, so the coefficients are not measured against it.",
                where=f"event time {base:g}",
                found=f"{vector[at_base][0]:g}",
                fix="Name the event time that was left out as `base`; or subtract the base's coefficient from all.",
            )
        vector, times = vector[~at_base], times[~at_base]
        matrix = matrix[np.ix_(~at_base, ~at_base)]
    if len(set(times)) < len(times):
        twice = next(time for time in times if np.sum(times == time) > 1)
        raise DesignError("An event time is given twice.", where="event_times", found=f"{twice:g}")
    order = np.argsort(times, kind="stable")
    vector, times = vector[order], times[order]
    matrix = _checked(matrix[np.ix_(order, order)])
    after = times > base
    return Coefficients(
        estimates=vector,
        covariance=matrix,
        times=_checked_times(times, base),
        post=vector[after],
        post_covariance=matrix[np.ix_(after, after)],
        source="given",
        outcome="",
        n_treated=None,
        n_comparison=None,
        df=df,
        notes=(),
    )


def from_effects(tested: Effects | Aggregation, source: str) -> Coefficients:
    """Coefficients by event time of any estimator whose effects have one base."""
    effects = tested.effects if isinstance(tested, Aggregation) else tested
    rebased, base, notes = _against_one_base(effects, aggregated=isinstance(tested, Aggregation))
    given = tested if isinstance(tested, Aggregation) else aggregate(effects, by="event_time")
    whole = given if rebased is effects else aggregate(rebased, by="event_time")
    n_treated = int(np.sum(effects.group >= 0))
    n_comparison = int(np.sum(effects.group < 0))
    chosen, why = _covariance_source(effects, given, source, n_treated, n_comparison)
    if why:
        notes.append(why)
    made = _influence_covariance if chosen == "influence" else _comparison_covariance
    times = whole.table["key"].to_numpy(dtype=float)
    given_times = given.table["key"].to_numpy(dtype=float)
    covariance = _checked(made(whole))
    if np.linalg.matrix_rank(covariance, hermitian=True) < len(times):
        raise DesignError(
            "The units are too few for the covariance of so many event times.",
            where=effects.outcome,
            found=f"{len(times)} event times, {n_comparison} comparison units",
            fix="Give more comparison units or fewer years.",
        )
    after = given_times > base
    return Coefficients(
        estimates=whole.table["att"].to_numpy(dtype=float),
        covariance=covariance,
        times=_checked_times(times, base),
        post=given.table["att"].to_numpy(dtype=float)[after],
        post_covariance=made(given)[np.ix_(after, after)],
        source=chosen,
        outcome=effects.outcome,
        n_treated=n_treated,
        n_comparison=n_comparison,
        df=n_comparison - 1.0 if chosen == "comparison" else None,
        notes=tuple(notes),
    )


def widened(given: Coefficients, restriction: Restriction, alpha: float) -> Floats:
    r"""The covariance made as much larger as its own estimation calls for.

    With :math:`\nu` degrees of freedom a quantile of the t distribution takes the place of the normal one; in a hybrid
    test with relative restrictions that of its first stage, the one further out. The weights of a fixed-length interval
    are besides chosen for the small variance that the estimated covariance gives them. With k of them free that is on
    average :math:`(\nu - k) / \nu` of the variance that it estimates, the true variance of the weighted sum
    :math:`(\nu - 1) / (\nu - k - 1)` of the smallest there is, and :math:`\nu - k` degrees of freedom are left, as for
    predictions by a regression on k variables.
    """
    if given.df is None:
        return given.covariance
    smooth = restriction == "smoothness"
    free = len(given.times.pre) - 1 if smooth else 0
    left = given.df - free
    if left < 2:
        raise DesignError(
            "The degrees of freedom are too few for so many coefficients before the base.",
            where="df",
            found=f"{given.df:g} degrees of freedom, {len(given.times.pre)} coefficients",
            expected=f"{free + 2} or more",
        )
    tail = alpha / 2 if smooth else FIRST_STAGE * alpha / 2
    factor = float(stdtrit(left, 1 - tail) / ndtri(1 - tail)) ** 2
    if smooth:
        factor *= given.df / left * (given.df - 1) / (left - 1)
    return np.asarray(given.covariance * factor)


def weights_of(l_vec: LVec, times: Times) -> Floats:
    """Weights of the effects after the base, shape (n_post,)."""
    post = times.post
    if isinstance(l_vec, str):
        if l_vec not in ("first", "average"):
            raise DesignError(
                "Unknown weights.", where="l_vec", found=repr(l_vec), expected="'first', 'average' or numbers"
            )
        first = np.eye(len(post))[0]
        return np.full(len(post), 1 / len(post)) if l_vec == "average" else np.asarray(first)
    if isinstance(l_vec, Mapping):
        unknown = [time for time in l_vec if time not in set(post)]
        if unknown:
            raise DesignError(
                "A weight is for an event time without an effect.",
                where="l_vec",
                found=str(unknown[0]),
                expected=", ".join(f"{time:g}" for time in post),
            )
        weights = np.array([float(l_vec.get(time, 0.0)) for time in post])
    else:
        weights = _numbers(l_vec, "l_vec", 1)
    if len(weights) != len(post):
        raise DesignError(
            "There are not as many weights as event times after the base.",
            where="l_vec",
            found=f"{len(weights)} weights",
            expected=f"{len(post)}, for event times " + ", ".join(f"{time:g}" for time in post),
        )
    if not np.isfinite(weights).all() or not (np.abs(weights) > _TINY).any():
        raise DesignError(
            "The weights single out no effect.",
            where="l_vec",
            found=str(weights.tolist()),
            expected=f"finite numbers, one of them beyond {_TINY:g}",
        )
    return weights


def _numbers(values: object, name: str, ndim: int) -> Floats:
    try:
        array = np.asarray(values, dtype=float)
    except (TypeError, ValueError) as error:
        raise DesignError(
            "This is not an array of numbers.", where=name, found=type(values).__name__
        ) from error
    if array.ndim != ndim:
        raise DesignError(
            "The array has the wrong number of dimensions.",
            where=name,
            found=f"shape {array.shape}",
            expected="a vector" if ndim == 1 else "a square matrix",
        )
    return array


def _checked(covariance: Floats) -> Floats:
    """The covariance made exactly symmetric; an error where it is none."""
    scale = float(np.abs(covariance).max(initial=0.0))
    gap = float(np.abs(covariance - covariance.T).max(initial=0.0))
    if gap > _ROUNDING * scale:
        raise DesignError(
            "The covariance is not symmetric.",
            where="covariance",
            found=f"entries across the diagonal that differ by up to {gap:g}",
            fix="Take rows and columns in the same order, that of the estimates.",
        )
    covariance = (covariance + covariance.T) / 2
    smallest = float(np.linalg.eigvalsh(covariance)[0]) if len(covariance) else 0.0
    if smallest < -_ROUNDING * scale:
        raise DesignError(
            "The covariance is not positive semi-definite, so it is no covariance.",
            where="covariance",
            found=f"smallest eigenvalue {smallest:g}",
            expected="0 or more",
        )
    still = np.flatnonzero(np.diag(covariance) <= 1e-14 * scale)
    if len(still):
        raise DesignError(
            "A coefficient has no variance, so there is nothing to test.",
            where=f"covariance, position {still[0]} from 0",
            found=f"{np.diag(covariance)[still[0]]:g}",
            fix="Leave out what was not estimated, such as the base, in all three.",
        )
    return covariance


def _checked_times(times: Floats, base: float) -> Times:
    found = Times(pre=times[times < base], post=times[times > base], base=float(base))
    for side, name in ((found.pre, "before"), (found.post, "after")):
        if len(side) == 0:
            raise DesignError(
                f"There is no coefficient {name} the base.",
                where=f"base at event time {base:g}",
                found="event times " + ", ".join(f"{time:g}" for time in times),
                fix="What happened before entry is what the deviations afterwards are judged by: estimate with more "
                "periods before."
                if name == "before"
                else "",
            )
    return found


def _against_one_base(effects: Effects, *, aggregated: bool) -> tuple[Effects, float, list[str]]:
    """The effects against the last period before entry, the event time of that, and what had to be done."""
    cells = effects.cells
    used = cells["phase"].isin(["pre", "on", "partial"]).to_numpy()
    where = f"{effects.outcome}, {effects.estimator}, base {effects.base_period!r}"
    last: dict[int, float] = {}
    averaged: list[int] = []
    for group in dict.fromkeys(cells["group"][used]):
        mine = cells.loc[used & (cells["group"] == group).to_numpy()]
        bases = set(mine["base"].astype(str))
        words = next(iter(bases)).removeprefix("event time ")
        if words == _LAST and mine["event_time"].eq(-2).any() and not mine["event_time"].eq(-1).any():
            words = "-1"  # of its own cohort; a gap before entry would have taken -2 as well
            bases = {"event time -1"}
        years = [int(part) for part in words.split(", ")] if _is_years(words) else []
        if len(bases) != 1 or not years or effects.base_period in _PREDICTED:
            raise DesignError(
                "The effects are not measured against one period, so there is no path from before entry to after it.",
                where=where,
                found="what was predicted"
                if effects.base_period in _PREDICTED
                else "bases " + "; ".join(sorted(bases)[:4]),
                fix="Estimate against one period, by base_period='universal' or reference=-1.",
            )
        cohort = int(mine["cohort"].iloc[0]) if pd.notna(mine["cohort"].iloc[0]) else 0
        relative = [year if words not in bases else year - cohort for year in years]
        if len(relative) > 1:
            averaged.append(int(group))
        last[int(group)] = float(max(relative))
    times = set(last.values())
    if len(times) > 1:
        raise DesignError(
            "The base lies at another event time in one path than in another.",
            where=where,
            found="event times " + ", ".join(f"{time:g}" for time in sorted(times)),
            fix="Take one path at a time.",
        )
    base = times.pop()
    if not averaged:
        return effects, base, []
    if aggregated:
        raise DesignError(
            "Averages against the mean of several periods cannot be turned to one base any more.",
            where=where,
            fix="Give the effects, or estimate with base_period='universal'.",
        )
    return (
        _rebased(effects, base, averaged, where),
        base,
        [
            f"The effects were estimated against the mean of several periods. The restrictions are on changes, which "
            f"need one base: all effects were measured anew against event time {base:g}, path by path."
        ],
    )


def _is_years(words: str) -> bool:
    return all(part.lstrip("-").isdigit() for part in words.split(", "))


def _rebased(effects: Effects, base: float, paths: Sequence[int], where: str) -> Effects:
    """Each effect of these paths less that at the base; the mean that was the base before drops out."""
    cells = effects.cells
    group, time = cells["group"].to_numpy(), cells["event_time"].to_numpy(dtype=float)
    n = len(cells)
    change, kept = np.eye(n), np.ones(n, dtype=bool)
    for of in paths:
        at = np.flatnonzero((group == of) & (time == base))
        if len(at) == 0:
            raise DesignError(
                "The effect at the last period before entry is missing, so there is no base to measure against.",
                where=where,
                found=f"no effect at event time {base:g}",
                fix="Estimate against one period, by base_period='universal' or reference=-1.",
            )
        change[at[0], group == of] -= 1
        kept[at[0]] = False
    change = change[:, kept]

    def moved(values: Floats | None) -> Floats | None:
        return None if values is None else values @ change

    att = cells["att"].to_numpy(dtype=float) @ change
    return replace(
        effects,
        cells=cells.loc[kept].assign(att=att).reset_index(drop=True),
        influence=moved(effects.influence),
        changes=moved(effects.changes),
        exposure=moved(effects.exposure),
    )


def _covariance_source(
    effects: Effects, given: Aggregation, source: str, n_treated: int, n_comparison: int
) -> tuple[Covariance, str]:
    """Where the covariance comes from, and why."""
    lacking = [str(note) for note in given.table["se_note"] if note]
    few = n_treated < MANY_TREATED or n_comparison < MANY_COMPARISON
    if source == "influence" or (
        source == "auto" and not few and not lacking and effects.influence is not None
    ):
        if effects.influence is None or lacking:
            raise DesignError(
                "Influence functions give no covariance of these effects.",
                where=effects.outcome,
                found=lacking[0] if lacking else "the estimator has none",
                fix="Give covariance='comparison'.",
            )
        warning = (
            f"{n_treated} treated and {n_comparison} comparison units: with fewer than {MANY_TREATED} of either, "
            "influence functions make the covariance too small; asked for by name."
        )
        return "influence", warning if few else ""
    if source not in ("auto", "comparison"):
        raise DesignError(
            "Unknown covariance.",
            where="covariance",
            found=repr(source),
            expected="'auto', 'influence' or 'comparison' with effects, a matrix with a vector",
        )
    return "comparison", (
        f"{n_treated} treated and {n_comparison} comparison units: the covariance is that of the reference "
        "distribution, the changes of the comparison units at all event times together. It takes the treated units to "
        "vary as they do, and means of few changes to be normal."
    )


def _influence_covariance(found: Aggregation) -> Floats:
    influence = np.zeros((1, len(found.table))) if found.influence is None else found.influence
    return np.asarray(influence.T @ influence / len(influence) ** 2)


def _comparison_covariance(found: Aggregation) -> Floats:
    """Covariance of the averages if every treated unit changed as a comparison unit drawn at random."""
    effects = found.effects
    changes, _ = unit_changes(effects)
    rest = changes[effects.group < 0]
    if len(rest) < 2:
        raise DesignError(
            "One comparison unit shows no variation.",
            where=effects.outcome,
            fix="Give more comparison units.",
        )
    spread = np.cov(rest, rowvar=False, ddof=1).reshape(changes.shape[1], changes.shape[1])
    of_effect = effects.cells["group"].to_numpy()
    total = found.weights @ spread @ found.weights.T / len(rest)
    for group in dict.fromkeys(of_effect):
        mine = np.where(of_effect == group, found.weights, 0.0)
        total = total + mine @ spread @ mine.T / int(np.sum(effects.group == group))
    return np.asarray(total)
