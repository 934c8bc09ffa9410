"""Aggregations of group-time effects, and the contrasts that inference works on.

In: `Effects`. Out: `Aggregation`, averages with their errors, and `Contrast`, one number with what each unit gives to
it. Never: an estimate made anew, or an error where one unit stands alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..display import Shown
from ..errors import DesignError
from ..panel import Floats
from ..tables import Table, table_latex
from .averages import mean_by_size, mean_of
from .effects import (
    FLAT,
    ONE_COMPARISON,
    ONE_TREATED,
    Effects,
    Notes,
    errors_with_reasons,
    is_rounding,
    notes_on,
    reasons_of,
    standard_errors,
    unit_changes,
    words,
)
from .inputs import check_word, is_whole
from .shown import checked_digits, estimates_table, keys_written

By = Literal["simple", "path", "cohort", "event_time", "calendar", "district", "after_leaving"]
_BYS: tuple[By, ...] = ("simple", "path", "cohort", "event_time", "calendar", "district", "after_leaving")
_HEADINGS: dict[By, str] = {
    "simple": "Average",
    "path": "Path",
    "cohort": "Cohort",
    "event_time": "Event time",
    "calendar": "Period",
    "district": "District",
    "after_leaving": "Path, after leaving",
}
#: What an average says of an effect in it that has no standard error.
_AMONG = {
    ONE_TREATED: "an effect of one treated unit is in it: no standard error exists",
    ONE_COMPARISON: "an effect against one comparison unit is in it: no standard error exists",
}


@dataclass(frozen=True, kw_only=True, repr=False)
class Aggregation(Shown):
    """Effects averaged in one way.

    Attributes
    ----------
    by : str
    effects : Effects
        What was averaged.
    table : pandas.DataFrame
        One row for each key: `key` (path, cohort, event time, year or unit), `att`, `se` (from the influence
        functions; missing where `se_note` says why), `n_treated` (units of its paths, each path by the most it has in
        one of the effects), `se_note`.
    weights : array, shape (n_keys, n_effects)
        Weight of each group-time effect in each key; for "district" of the district's own changes.
    influence : array, shape (n_units, n_keys), or None
    overall : float or None
        The one number of this aggregation; None where the keys are not meant to be averaged.
    overall_se : float or None
        None where `overall_se_note` says why, and where there is no overall number.
    overall_se_note : str
    """

    by: By
    effects: Effects
    table: pd.DataFrame
    weights: Floats
    influence: Floats | None
    overall: float | None
    overall_se: float | None
    overall_se_note: str

    def tidy(self) -> pd.DataFrame:
        """The table, as a copy, with the column `key` named after what it holds."""
        return self.table.rename(columns={"key": self.by})

    def to_latex(self, *, caption: str = "", label: str = "", decimals: int | None = None) -> str:
        """The averages as a LaTeX table, the overall one below a rule; parameters as `Effects.to_latex`."""
        table = self._table(caption=caption, decimals=checked_digits(decimals))
        return table_latex(table, label=label, rules_before=[len(self.table)])

    def _shown(self) -> list[Table]:
        return [self._table()]

    def _table(self, *, caption: str = "", decimals: int | None = None) -> Table:
        table = self.table
        keys, reasons = keys_written(table["key"]), list(table["se_note"])
        treated = [f"{int(count):,}" for count in table["n_treated"]]
        att = table["att"].to_numpy(dtype=float)
        errors = table["se"].to_numpy(dtype=float, na_value=np.nan)
        if self.overall is not None and self.by != "simple":
            error = np.nan if self.overall_se is None else self.overall_se
            att, errors = np.append(att, self.overall), np.append(errors, error)
            keys, treated = [*keys, "overall"], [*treated, ""]
            reasons.append(self.overall_se_note)
        title = f"{self.effects.outcome}: effect on the treated (ATT) by {words(self.by)}"
        return estimates_table(
            {_HEADINGS[self.by]: keys},
            att,
            errors,
            reasons,
            {"Treated": treated},
            caption=caption or f"{title}, {words(self.effects.estimator)}",
            notes=notes_on(self.effects),
            digits=decimals,
        )


@dataclass(frozen=True, kw_only=True, repr=False)
class Contrast(Shown):
    """One number to be tested: a weighted difference of mean changes between treated groups and comparison.

    Attributes
    ----------
    label : str
        What it is.
    att : float
        The estimate.
    units : tuple of str
        n_units units, treated and comparison.
    group : array of int, shape (n_units,)
        Treated group of each unit, -1 for the comparison.
    changes : array, shape (n_units, n_groups)
        Change of every unit over the window of each group.
    exposure : array, shape (n_units, n_groups)
        What a constant effect of 1 while treated adds to `changes`.
    group_weights : array, shape (n_groups,)
        They sum to 1.
    influence : array, shape (n_units,), or None
        With ``se = sqrt(sum(influence**2)) / n_units``.
    """

    label: str
    att: float
    units: tuple[str, ...]
    group: npt.NDArray[np.int64]
    changes: Floats
    exposure: Floats
    group_weights: Floats
    influence: Floats | None


def aggregate(effects: Effects, *, by: By, balanced: int | None = None) -> Aggregation:
    r"""Average group-time effects; weights of paths are their shares of the treated units, or of their weight.

    The influence functions carry the estimation of those shares, as in section 4 of the source: for weights
    :math:`w_k = p_{g(k)} / \sum_l p_{g(l)}` the term
    :math:`\sum_k ATT_k [(1\{G_i=g(k)\} - p_{g(k)}) / s - p_{g(k)} \sum_l (1\{G_i=g(l)\} - p_{g(l)}) / s^2]` with
    :math:`s = \sum_l p_{g(l)}` is added. With sampling weights :math:`w_i`, scaled to a mean of 1,
    :math:`w_i 1\{G_i=g\}` stands for :math:`1\{G_i=g\}`, as in did.

    Parameters
    ----------
    effects : Effects
    by : {"simple", "path", "cohort", "event_time", "calendar", "district", "after_leaving"}
        "simple": all effects while treated. "path": each path while treated; overall by the size of the paths.
        "cohort": the paths that enter in one year joined, by their size; overall as by path.
        "event_time": years since entry, while treated and before; overall the mean of the keys while treated.
        "calendar": each year; overall their mean. "district": each treated unit while treated. "after_leaving":
        each path after it left. Years of partial exposure are shown by event time and calendar year, and are not
        in any overall figure.
    balanced : int, optional
        With "event_time": only paths with an effect at least so many years after entry, and event times up to that one,
        so that all event times from entry on are averages over the same paths (`balance_e` of did). By default each
        event time takes all paths that reach it, and a course over time mixes effects with a change of paths.

    Returns
    -------
    Aggregation

    Raises
    ------
    DesignError
        No effect belongs to this aggregation; for example nobody has left yet. `balanced` is no whole number from 0,
        or comes with another aggregation.

    Notes
    -----
    An average has no standard error where one of its effects has none because a side of it is one unit, nor where none
    of its effects has one because the outcome does not vary; `se_note` and `overall_se_note` say which.

    References
    ----------
    Callaway, B. and Sant'Anna, P. (2021), sections 3 and 4; R package did, `aggte`.
    """
    check_word(by, "by", _BYS)
    if balanced is not None and (by != "event_time" or not is_whole(balanced) or balanced < 0):
        raise DesignError(
            "Only event times are balanced, to a whole number of years after entry.",
            where=f"balanced, by {by!r}",
            found=repr(balanced),
            expected="a whole number from 0, by 'event_time'",
        )
    if by == "district":
        return _by_district(effects)
    cells = effects.cells
    phase = cells["phase"]
    while_on = (phase == "on").to_numpy()
    shown = phase.isin(["on", "partial"]).to_numpy()
    members, units, estimates = (cells[name].to_numpy() for name in ("group", "n_treated", "att"))
    if by == "simple":
        keys, sets = ["simple"], [while_on]
    elif by in ("path", "after_leaving"):
        wanted = while_on if by == "path" else (phase == "after").to_numpy()
        keys = [name for name in dict.fromkeys(cells["path"]) if np.any(wanted & (cells["path"] == name))]
        sets = [wanted & (cells["path"] == name).to_numpy() for name in keys]
    else:
        column = {"event_time": "event_time", "calendar": "period", "cohort": "cohort"}[by]
        wanted = {"event_time": shown | (phase == "pre").to_numpy(), "calendar": shown, "cohort": while_on}[
            by
        ]
        if cells.loc[wanted, column].isna().any():
            raise DesignError(
                f"This estimator does not tell its effects by {column}.",
                where=f"{effects.outcome}, {effects.estimator}",
                fix="Aggregate by 'simple', or estimate by path and period.",
            )
        values = cells[column].to_numpy()
        if balanced is not None:
            reached = np.unique(members[shown & (values >= balanced)])
            wanted = wanted & np.isin(members, reached) & (values <= balanced)
        keys = sorted(set(values[wanted]))
        sets = [wanted & (values == key) for key in keys]
    if not sets or not any(chosen.any() for chosen in sets):
        raise DesignError(
            "No effect belongs to this aggregation.",
            where=f"{effects.outcome}, by {by!r}" + ("" if balanced is None else f", balanced {balanced}"),
            found="phases " + ", ".join(sorted(set(phase))),
        )
    columns = [_key(effects, by, members, estimates, chosen) for chosen in sets]
    influence = np.column_stack([psi for _, psi in columns])
    weights = np.vstack([weight for weight, _ in columns])
    inside = np.any(sets, axis=0)
    overall, of_overall = _overall(effects, by, members, estimates, sets, while_on)
    reasons, flat = reasons_of(effects), _flat(effects)
    averaged = inside & while_on if by in ("event_time", "calendar") else inside
    errors, (overall_note,) = errors_with_reasons(
        None if effects.influence is None else of_overall[:, None],
        np.array([_why(reasons, flat, averaged)], dtype=object),
        effects.scale,
    )
    return Aggregation(
        by=by,
        effects=effects,
        table=_table(
            effects,
            keys,
            weights @ estimates,
            influence,
            [_most_units(members[chosen], units[chosen]) for chosen in sets],
            [_why(reasons, flat, chosen) for chosen in sets],
        ),
        weights=weights,
        influence=None if effects.influence is None else influence,
        overall=overall,
        overall_se=None if overall is None or overall_note else float(errors[0]),
        overall_se_note="" if overall is None else str(overall_note),
    )


def contrast(effects: Effects, weights: Floats, *, label: str) -> Contrast:
    """The contrast behind a weighted sum of group-time effects, for a permutation test.

    Parameters
    ----------
    effects : Effects
    weights : array, shape (n_effects,)
        Summing to 1, for example a row of `Aggregation.weights`; taken as given.
    label : str

    Notes
    -----
    Its exposure is that of the years while treated. For other effects (after leaving, before entry) it is one for the
    treated units in their own window: the interval is then of an effect in that window.
    """
    changes, exposure = unit_changes(effects)
    group_of_cell = effects.cells["group"].to_numpy()
    groups = [index for index in dict.fromkeys(group_of_cell) if np.any(weights[group_of_cell == index])]
    total = np.array([weights[group_of_cell == index].sum() for index in groups])
    mix = np.column_stack([np.where(group_of_cell == index, weights, 0) for index in groups]) / total
    members = np.isin(effects.group, [-1, *groups])
    group = np.array([groups.index(index) if index in groups else -1 for index in effects.group])
    exposed = _own_window((exposure @ mix)[members], group[members])
    return Contrast(
        label=label,
        att=float(weights @ effects.cells["att"].to_numpy()),
        units=tuple(unit for unit, inside in zip(effects.units, members, strict=True) if inside),
        group=group[members].astype(np.int64),
        changes=(changes @ mix)[members],
        exposure=exposed,
        group_weights=total,
        influence=None
        if effects.influence is None
        else (effects.influence @ weights)[members] * (members.sum() / len(members)),
    )


def unit_contrast(effects: Effects, unit: str, weights: Floats | None = None) -> Contrast:
    """The contrast of one treated unit alone against the comparison.

    Parameters
    ----------
    effects : Effects
    unit : str
        A treated unit that entered the estimation.
    weights : array, shape (n_effects,), optional
        Over the effects of the unit's path; by default the mean of the years while treated.

    Raises
    ------
    DesignError
        The unit did not enter, or has no full year in the programme yet.
    """
    if unit not in effects.units or effects.group[effects.units.index(unit)] < 0:
        reasons = [f"{reason} in {period}" for dropped, reason, period in effects.dropped if dropped == unit]
        raise DesignError(
            "The area did not enter the estimation.",
            where=f"{effects.outcome}, {unit}",
            found=reasons[0] if reasons else "not treated",
            expected="a value in every year of " + ", ".join(map(str, sorted(set(effects.cells["period"])))),
        )
    row = effects.units.index(unit)
    if weights is None:
        chosen = (
            (effects.cells["phase"] == "on") & (effects.cells["group"] == effects.group[row])
        ).to_numpy()
        if not chosen.any():
            raise DesignError(
                "The area has no full year in the programme with data yet.", where=effects.outcome, found=unit
            )
        weights = chosen / chosen.sum()
    keep = effects.group == -1
    keep[row] = True
    all_changes, all_exposure = unit_changes(effects)
    changes = all_changes[keep] @ weights
    group = np.where(np.array(effects.units)[keep] == unit, 0, -1)
    rest = changes[group == -1]
    return Contrast(
        label=unit,
        att=float(changes[group == 0][0] - rest.mean()),
        units=tuple(one for one, inside in zip(effects.units, keep, strict=True) if inside),
        group=group.astype(np.int64),
        changes=changes[:, None],
        exposure=_own_window((all_exposure[keep] @ weights)[:, None], group),
        group_weights=np.ones(1),
        influence=np.where(group == -1, -len(changes) * (changes - rest.mean()) / len(rest), 0.0),
    )


def _own_window(exposure: Floats, group: npt.NDArray[np.int64]) -> Floats:
    """Exposure such that an effect of 1 moves the contrast by 1."""
    own = group[:, None] == np.arange(exposure.shape[1])
    return exposure if np.allclose(exposure[own], 1) else own.astype(float)


def _key(
    effects: Effects,
    by: By,
    members: npt.NDArray[np.int64],
    estimates: Floats,
    chosen: npt.NDArray[np.bool_],
) -> tuple[Floats, Floats]:
    """Weights of the chosen effects in one key, and its influence function."""
    if by != "cohort":
        return mean_of(effects, members, estimates, chosen, equal=by in ("path", "after_leaving"))
    paths = [chosen & (members == index) for index in dict.fromkeys(members[chosen])]
    return mean_by_size(effects, members, estimates, paths)


def _overall(
    effects: Effects,
    by: By,
    members: npt.NDArray[np.int64],
    estimates: Floats,
    sets: list[npt.NDArray[np.bool_]],
    while_on: npt.NDArray[np.bool_],
) -> tuple[float | None, Floats]:
    """The one number, None where no key is to be averaged, and its influence function."""
    if by == "simple":
        weights, influence = mean_of(effects, members, estimates, sets[0], equal=False)
    elif by in ("event_time", "calendar"):
        parts = [
            mean_of(effects, members, estimates, chosen & while_on, equal=False)
            for chosen in sets
            if (chosen & while_on).any()
        ]
        if not parts:
            return None, np.zeros(effects.n_units)
        weights = np.mean([weight for weight, _ in parts], axis=0)
        influence = np.mean([psi for _, psi in parts], axis=0)
    else:
        inside = np.any(sets, axis=0)
        paths = [inside & (members == index) for index in dict.fromkeys(members[inside])]
        weights, influence = mean_by_size(effects, members, estimates, paths)
    return float(weights @ estimates), influence


def _flat(effects: Effects) -> npt.NDArray[np.bool_]:
    """Which effects have an error that is rounding and no more."""
    if effects.influence is None:
        return np.zeros(len(effects.cells), dtype=bool)
    return is_rounding(standard_errors(effects.influence), effects.scale)


def _why(reasons: Notes, flat: npt.NDArray[np.bool_], chosen: npt.NDArray[np.bool_]) -> str:
    """Why an average of the chosen effects has no standard error; empty where nothing is known to stand against it."""
    lacking = [reason for reason in dict.fromkeys(reasons[chosen]) if reason]
    if lacking:
        return str(lacking[0] if np.count_nonzero(chosen) == 1 else _AMONG.get(lacking[0], lacking[0]))
    return FLAT if chosen.any() and flat[chosen].all() else ""


def _most_units(members: npt.NDArray[np.int64], n_treated: npt.NDArray[np.int64]) -> int:
    """Treated units behind some effects: of each path the most that one of them has."""
    return int(sum(n_treated[members == index].max() for index in np.unique(members)))


def _by_district(effects: Effects) -> Aggregation:
    rows = [row for row, group in enumerate(effects.group) if group >= 0]
    contrasts, weights = [], []
    for row in rows:
        chosen = (
            (effects.cells["phase"] == "on") & (effects.cells["group"] == effects.group[row])
        ).to_numpy()
        if chosen.any():
            contrasts.append(unit_contrast(effects, effects.units[row]))
            weights.append(chosen / chosen.sum())
    if not contrasts:
        raise DesignError("No effect belongs to this aggregation.", where=f"{effects.outcome}, by 'district'")
    influence = np.zeros((effects.n_units, len(contrasts)))
    for column, one in enumerate(contrasts):
        at = pd.Index(effects.units).get_indexer(pd.Index(one.units))
        if one.influence is not None:
            influence[at, column] = one.influence * effects.n_units / len(one.units)
    att = np.array([one.att for one in contrasts])
    return Aggregation(
        by="district",
        effects=effects,
        table=_table(
            effects,
            [one.label for one in contrasts],
            att,
            influence,
            [1] * len(contrasts),
            [ONE_TREATED] * len(contrasts),
        ),
        weights=np.vstack(weights),
        influence=influence,
        overall=None,
        overall_se=None,
        overall_se_note="",
    )


def _table(
    effects: Effects,
    keys: list[str] | list[int],
    att: Floats,
    influence: Floats,
    n_treated: list[int],
    reasons: list[str],
) -> pd.DataFrame:
    errors, notes = errors_with_reasons(
        None if effects.influence is None else influence,
        np.array(reasons, dtype=object),
        effects.scale,
    )
    return pd.DataFrame({"key": keys, "att": att, "se": errors, "n_treated": n_treated, "se_note": notes})
