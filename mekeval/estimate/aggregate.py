"""Aggregations of group-time effects, and the contrasts that inference works on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import DesignError, closest
from ..panel import Floats
from ..tables import Table, table_latex
from .effects import Effects, errors_with_reasons, notes_on, standard_errors, unit_changes, words
from .shown import estimates_table, keys_written, shortened

By = Literal["simple", "path", "event_time", "calendar", "district", "after_leaving"]
_BYS: tuple[By, ...] = ("simple", "path", "event_time", "calendar", "district", "after_leaving")
_HEADINGS: dict[By, str] = {
    "simple": "Average",
    "path": "Path",
    "event_time": "Event time",
    "calendar": "Period",
    "district": "District",
    "after_leaving": "Path, after leaving",
}
_ALONE_AMONG = "a path of one treated unit is in it: no standard error exists"


@dataclass(frozen=True, kw_only=True)
class Aggregation:
    """Effects averaged in one way.

    Attributes
    ----------
    by : str
    effects : Effects
        What was averaged.
    table : pandas.DataFrame
        One row for each key: `key` (path, event time, year or unit), `att`, `se` (from the influence functions;
        missing where `se_note` says why), `n_treated` (units), `se_note`.
    weights : array, shape (n_keys, n_effects)
        Weight of each group-time effect in each key; for "district" of the district's own changes.
    influence : array, shape (n_units, n_keys), or None
    overall : float or None
        The one number of this aggregation; None where the keys are not meant to be averaged.
    overall_se : float or None
    """

    by: By
    effects: Effects
    table: pd.DataFrame
    weights: Floats
    influence: Floats | None
    overall: float | None
    overall_se: float | None

    def tidy(self) -> pd.DataFrame:
        """The table, as a copy, with the column `key` named after what it holds."""
        return self.table.rename(columns={"key": self.by})

    def to_latex(self, *, caption: str = "", label: str = "", decimals: int | None = None) -> str:
        """The averages as a LaTeX table, the overall one below a rule; parameters as `Effects.to_latex`."""
        table = self._table(caption=caption, decimals=decimals)
        return table_latex(table, label=label, rules_before=[len(self.table)])

    def _repr_html_(self) -> str:
        return shortened(self._table())._repr_html_()

    def _table(self, *, caption: str = "", decimals: int | None = None) -> Table:
        table = self.table
        keys, reasons = keys_written(table["key"]), list(table["se_note"])
        treated = [f"{int(count):,}" for count in table["n_treated"]]
        att = table["att"].to_numpy(dtype=float)
        errors = table["se"].to_numpy(dtype=float, na_value=np.nan)
        if self.overall is not None and self.by != "simple":
            error = np.nan if self.overall_se is None else self.overall_se
            without = reasons[-1] if self.effects.influence is None else _ALONE_AMONG
            att, errors = np.append(att, self.overall), np.append(errors, error)
            keys, treated = [*keys, "overall"], [*treated, ""]
            reasons.append("" if self.overall_se is not None else without)
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


@dataclass(frozen=True, kw_only=True)
class Contrast:
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


def aggregate(effects: Effects, *, by: By) -> Aggregation:
    r"""Average group-time effects; weights of paths are their shares of the treated units, or of their weight.

    The influence functions carry the estimation of those shares, as in section 4 of the source: for weights
    :math:`w_k = p_{g(k)} / \sum_l p_{g(l)}` the term
    :math:`\sum_k ATT_k [(1\{G_i=g(k)\} - p_{g(k)}) / s - p_{g(k)} \sum_l (1\{G_i=g(l)\} - p_{g(l)}) / s^2]` with
    :math:`s = \sum_l p_{g(l)}` is added. With sampling weights :math:`w_i`, scaled to a mean of 1,
    :math:`w_i 1\{G_i=g\}` stands for :math:`1\{G_i=g\}`, as in did.

    Parameters
    ----------
    effects : Effects
    by : {"simple", "path", "event_time", "calendar", "district", "after_leaving"}
        "simple": all effects while treated. "path": each path while treated; overall by the size of the paths.
        "event_time": years since entry, while treated and before; overall the mean of the keys while treated.
        "calendar": each year; overall their mean. "district": each treated unit while treated. "after_leaving":
        each path after it left. Years of partial exposure are shown by event time and calendar year, and are not
        in any overall figure.

    Returns
    -------
    Aggregation

    Raises
    ------
    DesignError
        No effect belongs to this aggregation; for example nobody has left yet.

    References
    ----------
    Callaway, B. and Sant'Anna, P. (2021), sections 3 and 4; R package did, `aggte`.
    """
    if by not in _BYS:
        raise DesignError("Unknown aggregation.", where="by", found=repr(by), expected=closest(by, _BYS))
    if by == "district":
        return _by_district(effects)
    cells = effects.cells
    phase = cells["phase"]
    while_on = (phase == "on").to_numpy()
    shown = phase.isin(["on", "partial"]).to_numpy()
    if by == "simple":
        keys, sets, equal = ["simple"], [while_on], False
    elif by in ("path", "after_leaving"):
        wanted = while_on if by == "path" else (phase == "after").to_numpy()
        keys = [name for name in dict.fromkeys(cells["path"]) if np.any(wanted & (cells["path"] == name))]
        sets, equal = [wanted & (cells["path"] == name).to_numpy() for name in keys], True
    else:
        column = "event_time" if by == "event_time" else "period"
        wanted = shown | (phase == "pre").to_numpy() if by == "event_time" else shown
        if cells.loc[wanted, column].isna().any():
            raise DesignError(
                f"This estimator does not tell its effects by {column}.",
                where=f"{effects.outcome}, {effects.estimator}",
                fix="Aggregate by 'simple', or estimate by path and period.",
            )
        keys = sorted(set(cells.loc[wanted, column]))
        values = cells[column].to_numpy()
        sets, equal = [wanted & (values == key) for key in keys], False
    if not sets or not any(chosen.any() for chosen in sets):
        raise DesignError(
            "No effect belongs to this aggregation.",
            where=f"{effects.outcome}, by {by!r}",
            found="phases " + ", ".join(sorted(set(phase))),
        )
    members, units, estimates = (cells[name].to_numpy() for name in ("group", "n_treated", "att"))
    columns = [_weighted(effects, members, estimates, chosen, equal=equal) for chosen in sets]
    weights = np.vstack([weight for weight, _ in columns])
    influence = np.column_stack([psi for _, psi in columns])
    att = weights @ estimates
    groups = [units[chosen][np.unique(members[chosen], return_index=True)[1]] for chosen in sets]
    n_treated = [int(sizes.sum()) for sizes in groups]
    smallest = [int(sizes.min()) for sizes in groups]
    overall, overall_influence = _overall(effects, by, cells, sets, att, influence)
    known = effects.influence is not None
    alone = (
        bool((cells.loc[while_on, "n_treated"] == 1).any()) if by != "after_leaving" else min(smallest) == 1
    )
    return Aggregation(
        by=by,
        effects=effects,
        table=_table(keys, att, influence if known else None, n_treated, smallest),
        weights=weights,
        influence=influence if known else None,
        overall=overall,
        overall_se=None
        if overall_influence is None or not known or alone
        else float(standard_errors(overall_influence[:, None])[0]),
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


def _weighted(
    effects: Effects,
    members: npt.NDArray[np.int64],
    estimates: Floats,
    chosen: npt.NDArray[np.bool_],
    *,
    equal: bool,
) -> tuple[Floats, Floats]:
    """Weights of the chosen effects, and the influence function of their weighted mean; `members` and `estimates` are
    the columns `group` and `att` of the cells."""
    at = np.flatnonzero(chosen)
    if equal:
        weights = chosen / chosen.sum()
        return weights, _influence(effects) @ weights
    share, of_shares = _shares(effects, members[at], estimates[at])
    weights = np.zeros(len(chosen))
    weights[at] = share
    if effects.influence is None:
        return weights, of_shares
    return weights, effects.influence[:, at] @ share + of_shares


def _influence(effects: Effects) -> Floats:
    """Influence functions, or zeros in their place; without them no standard error leaves this module."""
    if effects.influence is None:
        return np.zeros((effects.n_units, len(effects.cells)))
    return effects.influence


def _shares(effects: Effects, groups: npt.NDArray[np.int64], att: Floats) -> tuple[Floats, Floats]:
    """Weights of estimates by the size of their group, shape (k,), summing to 1; and what the estimation of the sizes
    adds to the influence function of the weighted mean, shape (n_units,). Sizes count units, or their weights."""
    weight = np.ones(effects.n_units)
    if effects.unit_weights is not None:
        weight = effects.unit_weights / effects.unit_weights.mean()
    size = np.bincount(effects.group + 1, weights=weight, minlength=int(groups.max()) + 2)[groups + 1]
    total = size.sum()
    if not effects.shares_estimated:
        return size / total, np.zeros(effects.n_units)
    # The term above, summed over the estimates of each group: it is the same for all units of a group.
    of_group = np.bincount(
        groups + 1, weights=att - att @ size / total, minlength=int(effects.group.max()) + 2
    )
    return size / total, weight * of_group[effects.group + 1] * (effects.n_units / total)


def _overall(
    effects: Effects,
    by: By,
    cells: pd.DataFrame,
    sets: list[npt.NDArray[np.bool_]],
    att: Floats,
    influence: Floats,
) -> tuple[float | None, Floats | None]:
    if by == "simple":
        return float(att[0]), influence[:, 0]
    if by in ("event_time", "calendar"):
        full = (cells["phase"] == "on").to_numpy()
        members, estimates = cells["group"].to_numpy(), cells["att"].to_numpy()
        parts = [
            _weighted(effects, members, estimates, chosen & full, equal=False)
            for chosen in sets
            if (chosen & full).any()
        ]
        if not parts:
            return None, None
        weights = np.mean([weight for weight, _ in parts], axis=0)
        return float(weights @ cells["att"].to_numpy()), np.mean([psi for _, psi in parts], axis=0)
    groups = np.array([cells.loc[chosen, "group"].iloc[0] for chosen in sets])
    share, of_shares = _shares(effects, groups, att)
    return float(att @ share), influence @ share + of_shares


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
            [one.label for one in contrasts], att, influence, [1] * len(contrasts), [1] * len(contrasts)
        ),
        weights=np.vstack(weights),
        influence=influence,
        overall=None,
        overall_se=None,
    )


def _table(
    keys: list[str] | list[int],
    att: Floats,
    influence: Floats | None,
    n_treated: list[int],
    smallest: list[int],
) -> pd.DataFrame:
    errors, notes = errors_with_reasons(influence, np.array(smallest))
    return pd.DataFrame(
        {
            "key": keys,
            "att": att,
            "se": errors,
            "n_treated": n_treated,
            "se_note": notes,
        }
    )
