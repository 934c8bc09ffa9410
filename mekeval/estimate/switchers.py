"""Effects of switching on and off, against units that have not switched (de Chaisemartin and D'Haultfoeuille).

In: a panel and a design whose paths may leave. Out: `Effects` of the first switch, or `SwitchAverage`, the effect in
the year of every switch. Never: a comparison of units with different histories, unless the docstring says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..design import Design
from ..display import Shown
from ..errors import DesignError
from ..panel import Floats, Panel
from .clean_controls import inverse_of
from .effects import ONE_TREATED, Effects, errors_with_reasons
from .inputs import check_word, scale_of
from .untreated import Sample, draw_sample

Switch = Literal["first", "in", "out"]
SWITCHES: tuple[Switch, ...] = ("first", "in", "out")
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, repr=False)
class SwitchAverage(Shown):
    """The effect of treatment in the period of a switch, averaged over all switches (DID_M).

    Attributes
    ----------
    outcome : str
    att : float
        In the outcome's unit: treated less untreated, whichever way units switched.
    se : float or None
        From `influence`; None, with the reason in `se_note`, where one switching unit carries the estimate.
    se_note : str
    table : pandas.DataFrame
        One row for each pair of periods and direction: `base`, `period`, `direction` ("in" or "out"), `att` (missing
        where `note` says why), `n_switchers`, `n_stayers`, `weight` (0 where missing), `note`.
    units : tuple of str
        n_units.
    influence : array, shape (n_units,)
        With ``se = sqrt(sum(influence**2)) / n_units``.
    dropped : tuple of (str, str, int)
        Units that did not enter, with reason and period.
    """

    outcome: str
    att: float
    se: float | None
    se_note: str
    table: pd.DataFrame
    units: tuple[str, ...]
    influence: Floats
    dropped: tuple[tuple[str, str, int], ...]


@dataclass(frozen=True, kw_only=True)
class _Event:
    """The switch of one path: its index, the position of its first switched period, its year, and its direction."""

    index: int
    at: int
    year: int
    sign: int


@dataclass(frozen=True, kw_only=True)
class _Slopes:
    """Coefficients of covariates among units that have not switched, shape (n_covariates,), and their influence.

    `influence`, shape (n_units, n_covariates), sums to the coefficients' error.
    """

    coefficients: Floats
    influence: Floats


def switchers(
    panel: Panel,
    design: Design,
    *,
    outcome: str,
    covariates: Sequence[str] | None = (),
    switch: Switch = "first",
    after_leaving: Literal["apart", "pooled"] = "apart",
) -> Effects:
    r"""Event study of the units that switch, in or out, against those that have not switched yet (DID_l).

    With F the first period in which path g has another status than before, b the period before it, and t from F on,

    .. math::
        DID_{g,t} = S_g \Bigl[ \bar Y_{g,t} - \bar Y_{g,b} - (\bar Y_{C(g,t),t} - \bar Y_{C(g,t),b}) \Bigr],

    where S is 1 for a switch in and -1 for a switch out, and :math:`C(g,t)` are the units whose status was the same as
    that of g in every period before F, and has stayed so up to t. The effect is always that of being in the programme.
    DID_l of the source is the mean of these over paths with their numbers of units, which `aggregate` takes; l counts
    from 1 there and is event time + 1. Placebos compare b with the l-th period before it, on the controls of the l-th
    effect, as the source asks; they exist where that effect does.

    The switch that counts:

    - "first": the first change from the status in the first period with data; units that are in from the start can only
      switch out. The design of the source for any treatment.
    - "in": the same, entries only. On designs without exit this is `group_time_att` with the last period before entry
      as its base and not-yet-treated controls.
    - "out": the first exit. Controls have the same history and are still in: for one that left after 2022, those that
      entered with it and stayed. The estimate says what staying was worth, effects that last included; it needs
      parallel trends between leavers and stayers, not between treated and untreated.

    Units that leave, for "first" and "in": the effect in later years is that of the whole history, against never
    having entered. By default those cells have phase "after", so that averages while treated leave them out, which is
    where this differs from the source; ``after_leaving="pooled"`` counts every period since the switch, as there.

    With covariates parallel trends need hold only given their changes: Y is replaced by :math:`Y - X'\hat\theta`, with
    :math:`\hat\theta` from the regression of first differences of Y on those of X and period effects among units that
    have not switched yet, before they do (for "out": among units of the same history up to entry, while they are in).
    There is one :math:`\hat\theta` for each status and history before the switch.

    Influence functions are centred within each path and within the controls of each cell, with sqrt(n / (n - 1)) for
    each side. A side of one unit is centred on the common mean of both sides: conservative, for its effect is in the
    deviation. Where no unit switches twice these are the standard errors of the authors' package
    (py-did-multiplegt-dyn 0.1.9). Where paths split after a common switch the package centres on all units that
    switched together, or, with ``less_conservative_se``, on those whose histories agree up to the period; here it is
    the path throughout, so an error of `aggregate` can lie on either side of the package's. With covariates the
    influence of :math:`\hat\theta` is in the influence functions. The package also adds to that of every unit what the
    covariates take out of the estimate, a constant that belongs to residuals not centred, which these are; it is left
    out here, so the package's errors are a little larger.

    Parameters
    ----------
    panel : Panel
    design : Design
    outcome : str
    covariates : sequence of str
        Other outcomes of the panel, by their changes. A unit without one of their values is left out, as one without an
        outcome is. One that treatment moves takes a part of the effect away; one that never changes is refused.
    switch : {"first", "in", "out"}
    after_leaving : {"apart", "pooled"}

    Returns
    -------
    Effects
        In the outcome's unit. For switches out the path's name ends in ", out", `cohort` is the first year out,
        `event_time` counts from it, and the phase is "pre" before it and "on" since: years of the contrast, not of
        treatment. Cells without controls are left out. `changes` is None: controls differ between cells.

    Raises
    ------
    DesignError
        No unit switches so, or none with a period before and with controls; a covariate is the outcome, or named twice,
        or collinear among the units that have not switched; these are too few for it.
    DataError
        The panel has no such outcome; a value is infinite.

    Notes
    -----
    Estimand: The effect of being in the programme t - F years after the first change of status, against the status
    before; averages over paths by number of units are DID_l.
    Assumptions: Parallel trends between units of one history as long as none of them switches (given changes of
    covariates); no anticipation; no spillover.
    Standard error: From influence functions, units independent, each side of a cell centred with n / (n - 1).
    Edge cases: Units in from the start serve as comparison for each other until they leave; cells without units of the
    same history are left out; units with gaps are left out and named; one treated unit has no standard error.
    Not covered: Treatments of more than two levels, effects per unit of treatment, sampling weights, unit trends, the
    cost-benefit average of the source.

    References
    ----------
    de Chaisemartin, C. and D'Haultfoeuille, X. (2024). Difference-in-differences estimators of intertemporal treatment
    effects. Review of Economics and Statistics. R package DIDmultiplegtDYN.

    Examples
    --------
    >>> from mekeval import build_panel, make_design
    >>> y = [1.0, 4, 5, 2, 4, 3, 0, 1, 1, 3, 3, 4]
    >>> frame = pd.DataFrame({"unit": list("aaabbbcccddd"), "year": [1, 2, 3] * 4, "y": y})
    >>> panel = build_panel(frame, unit="unit", period="year", outcome=["y"])
    >>> design = make_design("abcd", [(2, 3, ["a"]), (2, 2, ["b"])])
    >>> effects = switchers(panel, design, outcome="y", switch="out")
    >>> float(effects.cells["att"].iloc[-1])  # stayer a from 2 to 3, less leaver b: (5 - 4) - (3 - 4)
    2.0
    """
    check_word(switch, "switch", SWITCHES)
    check_word(after_leaving, "after_leaving", ("apart", "pooled"))
    sample = draw_sample(panel, design, outcome, covariates, "drop")
    status = _status(sample, design)
    rows, influence = [], []
    events = _events(sample, design, status, switch)
    known: dict[bytes, _Slopes] = {}  # by the history up to the spell that a switch ends
    for event in events:
        members, base = sample.group == event.index, event.at - 1
        same = (status[:, : event.at] == status[members][0, : event.at]).all(axis=1)
        for position in range(len(sample.periods)):
            # The l-th placebo uses the controls of the l-th effect: those unswitched as long after the base.
            until = position if position > base else 2 * base - position
            if position == base or until >= len(sample.periods):
                continue
            unswitched = (status[:, event.at : until + 1] == status[members][0, base]).all(axis=1)
            controls = same & unswitched & ~members
            if not controls.any():
                continue
            change = sample.values[:, position] - sample.values[:, base]
            moved = sample.covariates[:, position] - sample.covariates[:, base]
            slopes = _slopes(sample, status, status[members][0, : event.at], known)
            change = change - moved @ slopes.coefficients
            att = float(change[members].mean() - change[controls].mean())
            uneven = moved[members].mean(axis=0) - moved[controls].mean(axis=0)
            deviation = _centred(change, members, controls) - slopes.influence @ uneven
            influence.append(event.sign * len(sample.units) * deviation)
            rows.append(
                _row(sample, design, event, position, pooled=after_leaving == "pooled")
                | {
                    "att": event.sign * att,
                    "n_treated": int(members.sum()),
                    "n_comparison": int(controls.sum()),
                    # A control alone is centred on both sides' mean, so that it has a deviation to speak of.
                    "se_note": ONE_TREATED if members.sum() == 1 else "",
                }
            )
    if not any(row["phase"] != "pre" for row in rows):
        raise DesignError(
            "No switch can be compared with units that have not switched."
            if events
            else "No unit switches so, with data before and after.",
            where=f"{outcome}, switch={switch!r}",
            found="paths " + "; ".join(path.name for path in design.paths),
            expected=f"a switch within {sample.periods[0]} to {sample.periods[-1]}, and units of the same history",
        )
    return Effects(
        estimator="switchers",
        outcome=outcome,
        base_period="last period before the switch",
        cells=pd.DataFrame(rows),
        units=sample.units,
        group=sample.group,
        influence=np.column_stack(influence),
        changes=None,
        exposure=None,
        shares_estimated=False,
        unit_weights=None,
        scale=scale_of(sample.values),
        n_rows=sample.values.size,
        dropped=sample.dropped,
    )


def switch_average(panel: Panel, design: Design, *, outcome: str) -> SwitchAverage:
    r"""The effect of treatment in the period of the switch, over all units that switch in or out (DID_M).

    For each pair of consecutive periods with data,

    .. math::
        DID_{+,t} = \overline{\Delta Y}_{in} - \overline{\Delta Y}_{stay\ out}, \qquad
        DID_{-,t} = \overline{\Delta Y}_{stay\ in} - \overline{\Delta Y}_{out},

    and DID_M is their mean, weighted by the numbers of units that switch. A unit that enters, leaves and enters again
    counts each time. It uses one period after each switch and takes effects not to last: a stayer of long standing is a
    comparison for a leaver whatever came before (`switchers` asks for the same history instead). Units that leave are
    thus a source of the estimate here, not a nuisance.

    The influence function is centred as in `switchers` and takes the weights as given; the source has a bootstrap.
    Pairs without stayers have no estimate and no weight, with a note.

    Parameters
    ----------
    panel : Panel
    design : Design
        Years of partial exposure count as in.
    outcome : str

    Returns
    -------
    SwitchAverage

    Raises
    ------
    DesignError
        No unit switches between two periods with stayers to compare it with.
    DataError
        As in `switchers`.

    Notes
    -----
    Estimand: The effect of treatment in the first period of each change of status, over all switches in and out
    (DID_M).
    Assumptions: Parallel trends of neighbouring periods, of the untreated and of the treated status alike; effects
    that come and go at once; no anticipation; no spillover.
    Standard error: From influence functions, units independent, centred with n / (n - 1), weights taken as given; the
    source has a bootstrap.
    Edge cases: Pairs of periods without stayers have a note and no weight; where one unit carries all switches there
    is no standard error; units with gaps are left out and named.
    Not covered: Treatments of more than two levels, covariates, placebos, effects later than the switch (`switchers`).

    References
    ----------
    de Chaisemartin, C. and D'Haultfoeuille, X. (2020). Two-way fixed effects estimators with heterogeneous treatment
    effects. American Economic Review 110, 2964-2996.

    Examples
    --------
    >>> from mekeval import build_panel, make_design
    >>> y = [1.0, 4, 5, 2, 4, 3, 0, 1, 1, 3, 3, 4]
    >>> frame = pd.DataFrame({"unit": list("aaabbbcccddd"), "year": [1, 2, 3] * 4, "y": y})
    >>> panel = build_panel(frame, unit="unit", period="year", outcome=["y"])
    >>> design = make_design("abcd", [(2, 3, ["a"]), (2, 2, ["b"])])
    >>> average = switch_average(panel, design, outcome="y")  # in 2: (3 + 2) / 2 - (1 + 0) / 2; out in 3: 1 - (-1)
    >>> [float(att) for att in average.table["att"]], average.att
    ([2.0, 2.0], 2.0)
    """
    sample = draw_sample(panel, design, outcome, (), "drop")
    status = _status(sample, design)
    rows: list[dict[str, object]] = []
    influence = np.zeros(len(sample.units))
    total, n_switches, carriers = 0.0, 0, np.zeros(len(sample.units), dtype=bool)
    for at in range(1, len(sample.periods)):
        change = sample.values[:, at] - sample.values[:, at - 1]
        before, now = status[:, at - 1], status[:, at]
        for direction, sign, switching, staying in (
            ("in", 1, ~before & now, ~before & ~now),
            ("out", -1, before & ~now, before & now),
        ):
            if not switching.any():
                continue
            count, known = int(switching.sum()), bool(staying.any())
            att = sign * float(change[switching].mean() - change[staying].mean()) if known else None
            if att is not None:
                influence += sign * count * _centred(change, switching, staying)
                total, n_switches, carriers = total + count * att, n_switches + count, carriers | switching
            rows.append(
                {
                    "base": sample.periods[at - 1],
                    "period": sample.periods[at],
                    "direction": direction,
                    "att": pd.NA if att is None else att,
                    "n_switchers": count,
                    "n_stayers": int(staying.sum()),
                    "weight": float(count if known else 0),
                    "note": "" if known else "no unit keeps the status that these leave",
                }
            )
    if not n_switches:
        raise DesignError(
            "No unit switches between two periods with stayers to compare it with.",
            where=outcome,
            found="paths " + "; ".join(path.name for path in design.paths),
        )
    table = pd.DataFrame(rows).astype({"att": "Float64"})
    influence = influence * len(sample.units) / n_switches
    known_reason = np.array([ONE_TREATED if carriers.sum() == 1 else ""], dtype=object)
    errors, notes = errors_with_reasons(influence[:, None], known_reason, scale_of(sample.values))
    return SwitchAverage(
        outcome=outcome,
        att=total / n_switches,
        se=None if notes[0] else float(errors[0]),
        se_note=str(notes[0]),
        table=table.assign(weight=table["weight"] / n_switches),
        units=sample.units,
        influence=influence,
        dropped=sample.dropped,
    )


def _status(sample: Sample, design: Design) -> Mask:
    """Whether each unit is in, shape (n_units, n_periods)."""
    histories = [[path.phase(period) == "on" for period in sample.periods] for path in design.paths]
    return np.array([*histories, [False] * len(sample.periods)], dtype=bool)[sample.group]


def _events(sample: Sample, design: Design, status: Mask, switch: Switch) -> list[_Event]:
    """The switch of each path that has one, with at least one period before it."""
    events = []
    for index, path in enumerate(design.paths):
        rows = np.flatnonzero(sample.group == index)
        if len(rows) == 0:
            continue
        history = status[rows[0]]
        if switch == "out":
            changes = np.flatnonzero(history[:-1] & ~history[1:]) + 1
        else:
            changes = np.flatnonzero(history[1:] != history[:-1]) + 1
        if len(changes) == 0 or (switch == "in" and history[0]):
            continue
        at = int(changes[0])
        enters = bool(history[at])
        edges = [first if enters else last + 1 for first, last in path.spells]
        year = max(edge for edge in edges if edge <= sample.periods[at])
        events.append(_Event(index=index, at=at, year=year, sign=1 if enters else -1))
    return events


def _slopes(sample: Sample, status: Mask, history: Mask, known: dict[bytes, _Slopes]) -> _Slopes:
    """Slopes among the units that share a history up to its last spell, while they stay in that spell's status.

    `known` holds those of the histories met so far: paths that switch from the same spell share them.
    """
    n_units, _, k = sample.covariates.shape
    if k == 0:
        return _Slopes(coefficients=np.zeros(0), influence=np.zeros((n_units, 0)))
    turns = np.flatnonzero(history[1:] != history[:-1])
    since = int(turns[-1]) + 1 if len(turns) else 0
    key = history[: since + 1].tobytes()
    if key in known:
        return known[key]
    kin = (status[:, : since + 1] == history[: since + 1]).all(axis=1)
    staying = kin[:, None] & np.logical_and.accumulate(status[:, since:] == history[-1], axis=1)
    weight = staying[:, 1:].astype(float)
    counts = np.maximum(weight.sum(axis=0), 1)
    raw = np.diff(np.concatenate([sample.covariates, sample.values[..., None]], axis=2)[:, since:], axis=1)
    net = (raw - np.einsum("it,itk->tk", weight, raw) / counts[:, None]) * weight[..., None]
    used = weight.astype(bool)
    where = f"{sample.outcome}, units that have not switched"
    free = int(used.sum()) - int(used.any(axis=0).sum()) - k
    if free < 1:
        raise DesignError(
            "There are too few units that have not switched for the covariates.",
            where=where,
            found=f"{int(used.sum())} changes in {int(used.any(axis=0).sum())} periods, {k} covariates",
            fix="Fewer covariates.",
        )
    inverse = inverse_of(
        net[used][:, :k], raw[used][:, :k], sample.names, where=where, net_of="the period effects of changes"
    )
    coefficients = inverse @ (net[used][:, :k].T @ net[used][:, k])
    left = net[..., k] - net[..., :k] @ coefficients
    # A period's mean costs one of its units; a unit alone has no deviation to enlarge.
    factor = np.sqrt(counts / np.maximum(counts - 1, 1))
    influence = np.einsum("itk,it->ik", net[..., :k], left * factor) @ inverse
    known[key] = _Slopes(coefficients=coefficients, influence=influence)
    return known[key]


def _row(
    sample: Sample, design: Design, event: _Event, position: int, *, pooled: bool
) -> dict[str, str | int | float]:
    path, period = design.paths[event.index], sample.periods[position]
    since = "pre" if position < event.at else "on"
    phase = path.phase(period, partial_years=design.partial_years)
    return {
        "path": path.name if event.sign > 0 else f"{path.name}, out",
        "group": event.index,
        "cohort": event.year,
        "period": period,
        "event_time": period - event.year,
        "phase": since if event.sign < 0 or (pooled and phase == "after") else phase,
        "base": str(sample.periods[event.at - 1]),
    }


def _centred(change: Floats, members: Mask, controls: Mask) -> Floats:
    """Influence of a mean difference: each side about its mean, a side of one unit about the mean of both."""
    common = float(change[members | controls].mean())
    n_both = int(members.sum() + controls.sum())
    influence = np.zeros(len(change))
    for side, sign in ((members, 1), (controls, -1)):
        n = int(side.sum())
        centre, size = (float(change[side].mean()), n) if n > 1 else (common, n_both)
        influence += sign * side * (change - centre) / n * np.sqrt(size / (size - 1))
    return influence
