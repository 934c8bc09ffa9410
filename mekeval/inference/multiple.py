"""Several outcomes: p-values that hold for all of them together.

In: contrasts or inferences, one for each outcome. Out: `Adjusted`. Never: a p-value that gets smaller by looking at
more outcomes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import pandas as pd

from ..display import Shown
from ..errors import DesignError, closest
from ..estimate import Contrast
from ..panel import Floats
from .joint import joint_of_contrasts, root_mean_square
from .permutation import comparison_draws
from .result import Inference, as_sentences, note_of, refuse_others, refuse_settings
from .scaled import Population, scaled_draws, scaled_estimate, size_warnings

Adjustment = Literal["romano_wolf", "holm", "bonferroni"]
_ROUNDING = 1e-9


@dataclass(frozen=True, kw_only=True, repr=False)
class Adjusted(Shown):
    """p-values adjusted for the number of outcomes.

    Attributes
    ----------
    table : pandas.DataFrame
        One row for each outcome, in the order given: `label`, `family` ("primary", "secondary", or "all"), `estimate`
        (in the outcome's unit), `p_value`, `p_adjusted` (at least `p_value`), `rejected` (adjusted p at most alpha),
        `note` (every warning of the outcome's test as a sentence; why nothing can be concluded).
    method : str
        "romano_wolf", "holm" or "bonferroni".
    alpha : float
        Probability of any false rejection within a family.
    exact : bool
        Whether all treated sets were enumerated.
    n_sets : int
        Sets or draws behind a step-down, the real one included; 0 where there are none.
    """

    table: pd.DataFrame
    method: Adjustment
    alpha: float
    exact: bool
    n_sets: int


def adjust(
    tested: Mapping[str, Contrast | Inference] | Sequence[Contrast | Inference],
    *,
    method: Adjustment = "romano_wolf",
    alpha: float = 0.05,
    seed: int = 0,
    draws: int = 9_999,
    population: Population | None = None,
    primary: Collection[str] | None = None,
) -> Adjusted:
    r"""Adjust the p-values of several outcomes so that no false rejection among them is more likely than alpha.

    Romano and Wolf's step-down permutes the treated sets of all outcomes together, so that it knows how they go
    together. With :math:`t_{Sm} = |a_{Sm}| / \sigma_m`, outcomes in falling order of their own :math:`t_m`,

    .. math:: p_m = \max\bigl(p_{m-1}, \tfrac1{n} \#\{S : \max_{l \ge m} t_{Sl} \ge t_m\}\bigr).

    Holm multiplies the m-th smallest of M p-values by M - m + 1 and keeps them rising; Bonferroni by M.

    Parameters
    ----------
    tested : mapping of label to Contrast or Inference, or sequence of them
        One for each outcome. Romano-Wolf needs contrasts, with the same treated units.
    method : {"romano_wolf", "holm", "bonferroni"}
    alpha, seed, draws
        As in `infer`. All sets are listed where there are few enough, as in `permutation_bands`.
    population : mapping of unit to persons, pandas.Series by unit, optional
        With it estimates and draws are those of `infer` with "ferman_pinto": the same comparison units' scaled
        residuals stand in for the treated ones in all outcomes.
    primary : collection of str, optional
        Labels that were primary by the plan. They are a family of their own, and the others another.

    Returns
    -------
    Adjusted

    Raises
    ------
    DesignError
        Nothing to adjust, a label that stands twice, a primary label that is not there, inferences for Romano-Wolf,
        contrasts of different treated units, alpha, draws or seed out of range, an unknown method.

    Notes
    -----
    Romano-Wolf is never less powerful than Holm over the same draws, apart from ties, and gains where outcomes are
    related. The bounds hold for exchangeable areas; worst areas are not.

    References
    ----------
    Romano, J. and Wolf, M. (2005). Exact and approximate stepdown methods for multiple hypothesis testing. Journal of
    the American Statistical Association 100, 94-108. Holm, S. (1979). A simple sequentially rejective multiple test
    procedure. Scandinavian Journal of Statistics 6, 65-70. Clarke, D., Romano, J. and Wolf, M. (2020). The Romano-Wolf
    multiple-hypothesis correction in Stata. Stata Journal 20, 812-843.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03])  # 3 x 0.01; then 2 x 0.03, which the largest may not undercut
    array([0.03, 0.06, 0.06])
    """
    refuse_settings(alpha=alpha, draws=draws, seed=seed)
    if method not in get_args(Adjustment):
        raise DesignError(
            "Unknown method.",
            where="method",
            found=repr(method),
            expected=closest(str(method), get_args(Adjustment)),
        )
    each = list(tested.values()) if isinstance(tested, Mapping) else tested
    refuse_others(each, (Contrast, Inference), "a contrast or an inference for each outcome")
    named = dict(tested) if isinstance(tested, Mapping) else _by_label(tested)
    labels = list(named)
    if not labels:
        raise DesignError("There is nothing to adjust.", where="tested")
    for label in primary or ():
        if label not in named:
            raise DesignError(
                "A primary outcome is not there.", found=repr(label), expected=closest(label, labels)
            )
    families = ["all" if primary is None else "primary" if one in primary else "secondary" for one in labels]
    exact, n_sets = True, 0
    if method == "romano_wolf":
        statistics, own, estimates, exact = _statistics(named, population, seed, draws)
        n_sets = len(statistics)
        raw = np.mean(statistics >= own * (1 - _ROUNDING), axis=0)
        notes = [_note(one, population, n_sets, alpha) for one in named.values()]
    else:
        found = [_inference(one, alpha, seed, draws, population) for one in named.values()]
        raw = np.array([one.p_value for one in found])
        estimates = np.array([one.estimate for one in found])
        notes = [note_of(one) for one in found]
        statistics, own, exact = np.empty((0, len(raw))), raw, all(one.exact for one in found)
    adjusted = np.empty(len(labels))
    for family in dict.fromkeys(families):
        at = np.flatnonzero([one == family for one in families])
        if method == "romano_wolf":
            adjusted[at] = step_down(statistics[:, at], own[at])
        else:
            adjusted[at] = holm(raw[at]) if method == "holm" else np.minimum(raw[at] * len(at), 1.0)
    return Adjusted(
        table=pd.DataFrame(
            {
                "label": labels,
                "family": families,
                "estimate": estimates,
                "p_value": raw,
                "p_adjusted": adjusted,
                "rejected": adjusted <= alpha + _ROUNDING,
                "note": notes,
            }
        ),
        method=method,
        alpha=alpha,
        exact=exact,
        n_sets=n_sets,
    )


def holm(p_values: Sequence[float] | Floats) -> Floats:
    """Holm's adjusted p-values, in the order given."""
    values = np.asarray(p_values, dtype=float)
    order = np.argsort(values, kind="stable")
    stepped = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    adjusted = np.empty(len(values))
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted


def step_down(statistics: Floats, own: Floats) -> Floats:
    """Adjusted p-values by the largest statistics of each set.

    Parameters
    ----------
    statistics : array, shape (n_sets, n)
        Sizes, the real set among them.
    own : array, shape (n,)
        Those of the real set.
    """
    order = np.argsort(-own, kind="stable")
    largest = np.zeros(len(statistics))
    shares = np.empty(len(own))
    for at in order[::-1]:  # the least striking first: each step takes one more outcome into the maximum
        np.maximum(largest, statistics[:, at], out=largest)
        shares[at] = np.mean(largest >= own[at] * (1 - _ROUNDING))
    adjusted = np.empty(len(own))
    adjusted[order] = np.maximum.accumulate(shares[order])
    return adjusted


def _by_label(tested: Sequence[Contrast | Inference]) -> dict[str, Contrast | Inference]:
    labels = [one.label for one in tested]
    if len(set(labels)) < len(labels):
        twice = next(label for label in labels if labels.count(label) > 1)
        raise DesignError(
            "A label stands twice.", found=repr(twice), fix="Give a mapping from outcome to contrast."
        )
    return dict(zip(labels, tested, strict=True))


def _inference(
    one: Contrast | Inference, alpha: float, seed: int, draws: int, population: Population | None
) -> Inference:
    from . import infer  # it stands above this module

    if isinstance(one, Inference):
        return one
    return infer(one, alpha=alpha, seed=seed, draws=draws, population=population)


def _note(one: Contrast | Inference, population: Population | None, n_sets: int, alpha: float) -> str:
    """What must be said of a contrast under the draws of a step-down."""
    sized = isinstance(one, Contrast) and population is not None
    notes = [as_sentences(size_warnings(one, population))] if sized else []  # type: ignore[arg-type]
    if 1 / n_sets > alpha:
        notes.append(f"not identifiable: the smallest p-value of {n_sets} sets is {1 / n_sets:.3g}")
    return "; ".join(note for note in notes if note)


def _statistics(
    named: Mapping[str, Contrast | Inference], population: Population | None, seed: int, draws: int
) -> tuple[Floats, Floats, Floats, bool]:
    """Sizes over their spread for each set and outcome, those of the real set, the estimates, and whether all sets."""
    contrasts = [one for one in named.values() if isinstance(one, Contrast)]
    if len(contrasts) < len(named):
        raise DesignError(
            "Romano-Wolf permutes treated sets, so it needs contrasts.",
            where=", ".join(label for label, one in named.items() if isinstance(one, Inference)),
            fix="Give contrasts, or use method='holm'.",
        )
    if population is None:
        joint = joint_of_contrasts(contrasts, seed=seed, draws=draws)
        spread = root_mean_square(joint.statistics)
        return np.abs(joint.statistics) / spread, np.abs(joint.att) / spread, joint.att, joint.exact
    return _scaled_statistics(contrasts, population, seed, draws)


def _scaled_statistics(
    contrasts: Sequence[Contrast], population: Population, seed: int, draws: int
) -> tuple[Floats, Floats, Floats, bool]:
    """The same with scaled residuals of comparison units that all outcomes have."""
    treated = [
        {unit: int(of) for unit, of in zip(one.units, one.group, strict=True) if of >= 0} for one in contrasts
    ]
    for one, of in zip(contrasts, treated, strict=True):
        if of != treated[0]:
            raise DesignError(
                "The contrasts do not have the same treated units and groups, so they share no draws.",
                where=one.label,
                found=", ".join(of),
                expected=", ".join(treated[0]),
            )
    rests = [
        sorted(unit for unit, of in zip(one.units, one.group, strict=True) if of < 0) for one in contrasts
    ]
    common = sorted(set.intersection(*map(set, rests)))
    k = len(treated[0])
    if len(common) < k:
        raise DesignError(
            "The comparison units that all outcomes have are fewer than the treated.",
            found=f"{len(common)} comparison units, {k} treated",
        )
    positions, exact = comparison_draws(len(common), np.ones(k, dtype=np.intp), seed=seed, draws=draws)
    found = [scaled_estimate(one, population) for one in contrasts]
    sizes, own = [], []
    for fitted, rest in zip(found, rests, strict=True):
        place = np.searchsorted(rest, common)
        noise = np.abs(scaled_draws(fitted, place[positions])) / fitted.se
        mine = abs(fitted.estimate) / fitted.se
        sizes.append(np.append(mine, noise))
        own.append(mine)
    return np.column_stack(sizes), np.array(own), np.array([fitted.estimate for fitted in found]), exact
