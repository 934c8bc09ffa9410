"""Event studies of clean 2 x 2 comparisons: stacked difference-in-differences and local projections.

In: a panel, a design and a window of event time. Out: `Effects`, pooled by event time or by path. Never: a unit
already treated in a comparison.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..design import Design
from ..errors import DesignError
from ..panel import Panel
from .clean_controls import (
    STACK_WEIGHTS,
    Mask,
    Stack,
    StackWeights,
    adjusted,
    check_window,
    cluster_factor,
    cohorts,
    corrective,
    entry_and_exit,
    path_effects,
    pooled_effects,
    stack_effects,
)
from .effects import Effects
from .fixed_effects import COMPARISONS, Comparison
from .inputs import check_word
from .untreated import draw_sample


def stacked(
    panel: Panel,
    design: Design,
    *,
    outcome: str,
    window: tuple[int, int],
    covariates: Sequence[str] | None = (),
    weights: StackWeights = "corrective",
    comparison: Comparison = "not_yet_treated",
    by_path: bool = False,
) -> Effects:
    r"""Event study on stacked sub-experiments, one for each cohort, with the corrective weights of Wing et al.

    Sub-experiment a holds the :math:`N^D_a` units that enter in year a and stay through the window, and the
    :math:`N^C_a` clean controls: not treated before the window ends. Cohorts whose window reaches beyond the data are
    trimmed, and an event time that any kept cohort lacks (a gap between years) is left out for all, so that the
    composition is the same at every event time. With :math:`\Delta_{ae}` the change from the base, the last kept event
    time before entry, to event time e,

    .. math:: \theta_e = \sum_a \omega_a \bigl(\bar\Delta^D_{ae} - \bar\Delta^C_{ae}\bigr).

    "corrective": :math:`\omega_a = N^D_a / N^D`, from the regression on treated, event time and their product in which
    a control weighs :math:`(N^D_a/N^D)/(N^C_a/N^C)`; the trimmed aggregate ATT. "none": the unweighted regression with
    sub-experiment x unit and sub-experiment x event-time effects of Cengiz et al., whose :math:`\omega_a` is
    proportional to :math:`N^D_a N^C_a / (N^D_a + N^C_a)`: a convex mixture that no one asked for, there to be held
    against the first.

    With covariates, each at its value in the base, those regressions have their products with event time as well: the
    regression of :math:`\Delta_{ae}` with the covariates in it, for trends that are parallel given them. Their slopes
    come from both sides, so the coefficient is the ATT only where effects do not differ with the covariates. With
    ``by_path=True`` each cell is the change of its path less what its own clean controls predict (regression
    adjustment, as in `callaway_santanna`), and the mean of those by `aggregate` is the trimmed aggregate ATT anyway.

    Influence functions are the scores of those regressions, summed over the copies of a unit, with fixest's factor
    :math:`\frac{G}{G-1}\frac{N-1}{N-K}` in them (N stacked rows; K = (2 + k) E, or (1 + S + k) E - 1 - k without
    weights, for E event times, S sub-experiments and k covariates), so that `tidy` prints the clustered standard errors
    of the papers.

    Compared with `group_time_att` and Callaway-Sant'Anna: the same 2 x 2 comparisons, but one fixed set of cohorts and
    of controls at all event times.

    Parameters
    ----------
    panel : Panel
    design : Design
        Units set aside by it (treated after the data end) do not serve as controls.
    outcome : str
    window : (int, int)
        First and last event time in years, for example (-3, 2).
    covariates : sequence of str
        Other outcomes of the panel, by their value in the base. A unit without one of their values in some period is
        left out, as one without an outcome is.
    weights : {"corrective", "none"}
    comparison : {"not_yet_treated", "never_treated"}
        Clean controls: not treated until the window has ended, or never treated.
    by_path : bool
        Instead of one row for each event time, one cell for each path and period: the 2 x 2 comparisons themselves,
        with `weights` left to `aggregate` (by shares, thus corrective), influence functions centred in each cell and no
        factor. Then units that leave within the window stay, with phase "after"; in the pooled rows they are left out
        ("leaves_in_window"), since their later years are not years of treatment.

    Returns
    -------
    Effects
        In the outcome's unit. Pooled rows carry the path "all" and no cohort or period; aggregate them by event time
        or simple (the mean of the event times). Trimmed units are named in `dropped`, also where they still serve as
        controls of earlier cohorts.

    Raises
    ------
    DesignError
        The window does not span entry; no cohort has it within the data and with clean controls; too few rows, or clean
        controls, for the coefficients; a covariate is the outcome, or named twice, or collinear.
    DataError
        The panel has no such outcome; a value is infinite.

    Notes
    -----
    Estimand: The trimmed ATT by event time: the mean over cohorts that have the whole window, by number of units
    ("corrective"); with "none" a convex mixture.
    Assumptions: Parallel trends within each sub-experiment over the window (given covariates, with one slope for both
    sides), no anticipation in the base, no spillover.
    Standard error: Clustered by unit over its copies, with fixest's factor on the stacked rows.
    Edge cases: Cohorts whose window leaves the data, or without clean controls, are trimmed and named in `dropped`,
    units always treated among them; no cohort left is refused; units with gaps are left out; one unit on a side has no
    standard error.
    Not covered: Balancing or matching on covariates within sub-experiments, sampling weights, clusters other than the
    unit, repeated entries.

    References
    ----------
    Wing, C., Freedman, S. and Hollingsworth, A. (2024). Stacked difference-in-differences. NBER 32054.
    Cengiz, D., Dube, A., Lindner, A. and Zipperer, B. (2019). The effect of minimum wages on low-wage jobs. Quarterly
    Journal of Economics 134, 1405-1454.

    Examples
    --------
    >>> import pandas as pd
    >>> from mekeval import build_panel, make_design
    >>> y = [1.0, 2, 5, 2, 4, 6, 0, 1, 1, 3, 3, 4]
    >>> frame = pd.DataFrame({"unit": list("aaabbbcccddd"), "year": [1, 2, 3] * 4, "y": y})
    >>> panel = build_panel(frame, unit="unit", period="year", outcome=["y"])
    >>> design = make_design("abcd", [(3, 3, ["a", "b"])])
    >>> effects = stacked(panel, design, outcome="y", window=(-2, 0))
    >>> [round(float(att), 12) for att in effects.cells["att"]]  # year 3: (3 + 2) / 2 - (0 + 1) / 2
    [-1.0, 2.0]
    """
    low, high = check_window(window)
    check_word(weights, "weights", STACK_WEIGHTS)
    check_word(comparison, "comparison", COMPARISONS)
    sample = draw_sample(panel, design, outcome, covariates, "drop")
    names = sample.names
    first, last = entry_and_exit(sample, design)
    periods = np.array(sample.periods)
    kept: dict[int, tuple[Mask, Mask]] = {}
    trimmed: list[tuple[str, str, int]] = []
    for cohort in cohorts(first):
        enters = first == cohort
        clean = first > cohort + high if comparison == "not_yet_treated" else np.isinf(first)
        leaves = enters & (last < min(cohort + high, periods[-1])) & (not by_path)
        inside = cohort + low >= periods[0] and cohort + high <= periods[-1]
        reasons = [
            (
                enters & (not inside),
                "window_not_in_data",
                cohort + (low if cohort + low < periods[0] else high),
            ),
            (enters & inside & (not clean.any()), "no_clean_controls", cohort),
            (enters & inside & clean.any() & leaves, "leaves_in_window", cohort + high),
        ]
        for rows, reason, year in reasons:
            trimmed += [(sample.units[row], reason, int(year)) for row in np.flatnonzero(rows)]
        if inside and clean.any() and np.any(enters & ~leaves):
            kept[cohort] = (enters & ~leaves, clean)
    events = [
        event for event in range(low, high + 1) if all(cohort + event in sample.periods for cohort in kept)
    ]
    if not kept or not any(event < 0 for event in events) or not any(event >= 0 for event in events):
        raise DesignError(
            "No cohort has clean controls and the whole window within the data.",
            where=f"{outcome}, window ({low}, {high})",
            found=f"cohorts {', '.join(map(str, cohorts(first)))}; data {periods[0]} to {periods[-1]}",
            fix="Narrow the window.",
        )
    base = max(event for event in events if event < 0)
    position = {period: place for place, period in enumerate(sample.periods)}
    used = [event for event in events if event != base]
    if by_path:
        chosen = [
            (index, position[path.first + base], position[path.first + event], kept[path.first][1])
            for index, path in enumerate(design.paths)
            if path.first in kept and np.any(sample.group == index)
            for event in used
        ]
        return path_effects("stacked", sample, design, chosen, names, comparison, tuple(trimmed))
    pooled = []
    for event in used:
        stacks = [
            Stack(
                change=sample.values[:, position[cohort + event]] - sample.values[:, position[cohort + base]],
                treated=treated,
                clean=clean,
                covariates=sample.covariates[:, position[cohort + base]],
            )
            for cohort, (treated, clean) in kept.items()
        ]
        where = f"{outcome}, event time {event}"
        pooled.append(
            corrective(stacks, names, where)
            if weights == "corrective"
            else stack_effects(stacks, [1.0] * len(stacks), names, where)
        )
    n_rows = len(events) * sum(int(treated.sum() + clean.sum()) for treated, clean in kept.values())
    n_parameters = (
        len(events) * (2 + len(names))
        if weights == "corrective"
        else len(events) * (1 + len(kept) + len(names)) - 1 - len(names)
    )
    inside_units = np.any([treated | clean for treated, clean in kept.values()], axis=0)
    factor = cluster_factor(outcome, int(inside_units.sum()), n_rows, n_parameters)
    return pooled_effects(
        "stacked", sample, design, used, pooled, [factor] * len(used), f"event time {base}", tuple(trimmed)
    )


def local_projection(
    panel: Panel,
    design: Design,
    *,
    outcome: str,
    window: tuple[int, int],
    covariates: Sequence[str] | None = (),
    reweight: bool = False,
    comparison: Comparison = "not_yet_treated",
    by_path: bool = False,
) -> Effects:
    r"""Event study by local projections on clean controls (Dube, Girardi, Jorda and Taylor).

    For each horizon h in years, least squares on entries and clean controls of all years t,

    .. math:: Y_{i,t+h} - Y_{i,b(t)} = \beta_h \Delta D_{it} + \delta_t + \varepsilon_{it},

    with b(t) the last period with data before t. Entries are units with first year t that are still in at t + h; clean
    controls have not entered by t + h (before entry: by t), or never do. The coefficient is

    .. math:: \beta_h = \sum_t \omega_{th} \bigl(\bar\Delta^D_{th} - \bar\Delta^C_{th}\bigr), \qquad
        \omega_{th} \propto N_{th} p_{th} (1 - p_{th}),

    where p is the share of entries among the N units of year t: positive weights, more for years with many of both
    sides. ``reweight=True`` weighs every entry alike (weights 1/(1 - p) in the regression), as `group_time_att` does.
    With one cohort both are the 2 x 2 comparison.

    With covariates, each at its value in b(t), trends need be parallel only given them. The regression has them as
    regressors, one slope for both sides and all years: right where effects do not differ with the covariates.
    ``reweight=True`` turns to regression adjustment, as the authors do: slopes and year effects from clean controls
    alone, and the mean over entries of the change less the predicted one, the ATT whatever effects do.

    Influence functions are the scores of the regression summed over the years of a unit, with the factor
    :math:`\frac{G}{G-1}\frac{N-1}{N-K}`, K = 1 + years + covariates, of that horizon in them: the clustered standard
    errors of reghdfe and fixest. Years without an entry count in N and K, except when reweighting, as in the authors'
    code. Those of regression adjustment have no factor, as in Stata's teffects.

    Compared with `stacked`, each horizon has its own controls and cohorts; compared with Callaway-Sant'Anna's
    "not_yet_treated", only the weights of cohorts and the standard errors differ.

    Parameters
    ----------
    panel : Panel
    design : Design
    outcome : str
    window : (int, int)
        First and last horizon in years, for example (-3, 2). Horizons without data are left out.
    covariates : sequence of str
        Other outcomes of the panel, by their value in b(t). A unit without one of their values in some period is left
        out, as one without an outcome is.
    reweight : bool
        Equal weights for entries instead of the regression's own.
    comparison : {"not_yet_treated", "never_treated"}
    by_path : bool
        One cell for each path and period instead of one row for each horizon; then `aggregate` weighs entries alike,
        and the influence functions are those of regression adjustment (each cell centred, no factor). Years after
        leaving are cells of phase "after" then; in the pooled rows a unit that has left takes no further part.

    Returns
    -------
    Effects
        In the outcome's unit. Pooled rows carry the path "all" and no cohort or period. With ``by_path`` and
        never-treated controls `changes` and `exposure` are there, so that treated sets can be permuted.

    Raises
    ------
    DesignError
        The window does not span entry; a path has no data before it; no horizon has entries and clean controls; too few
        rows, or clean controls, for the coefficients; a covariate is the outcome, or named twice, or collinear.
    DataError
        The panel has no such outcome; a value is infinite.

    Notes
    -----
    Estimand: The effect h years after entry: a positively weighted mean over years of entry, or the mean over entries
    (`reweight`).
    Assumptions: Parallel trends between entries and clean controls from the last period before entry (given
    covariates), no anticipation, no spillover; without `reweight` effects that do not differ with the covariates.
    Standard error: Clustered by unit with reghdfe's factor, for each horizon by itself; regression adjustment has no
    factor.
    Edge cases: A path without a period before entry is refused; horizons without data or controls are left out; a unit
    that has left takes no further part; units with gaps are left out and named; one unit on a side has no standard
    error.
    Not covered: Lags of the outcome's own changes as covariates, the mean of all years before entry as base, pooled
    horizons, one composition for all horizons, sampling weights, repeated entries.

    References
    ----------
    Dube, A., Girardi, D., Jorda, O. and Taylor, A. (2023). A local projections approach to difference-in-differences.
    NBER 31184; Journal of Applied Econometrics 40 (2025). Stata command lpdid.

    Examples
    --------
    >>> import pandas as pd
    >>> from mekeval import build_panel, make_design
    >>> y = [1.0, 2, 5, 2, 4, 6, 0, 1, 1, 3, 3, 4]
    >>> frame = pd.DataFrame({"unit": list("aaabbbcccddd"), "year": [1, 2, 3] * 4, "y": y})
    >>> panel = build_panel(frame, unit="unit", period="year", outcome=["y"])
    >>> design = make_design("abcd", [(3, 3, ["a", "b"])])
    >>> effects = local_projection(panel, design, outcome="y", window=(-2, 0))
    >>> [round(float(att), 12) for att in effects.cells["att"]]
    [-1.0, 2.0]
    """
    low, high = check_window(window)
    check_word(comparison, "comparison", COMPARISONS)
    sample = draw_sample(panel, design, outcome, covariates, "drop")
    names = sample.names
    first, last = entry_and_exit(sample, design)
    periods = np.array(sample.periods)
    for path in design.paths:
        if path.first <= periods[0] and np.any(first == path.first):
            raise DesignError(
                "A treated area has no data before treatment.",
                where=f"{outcome}, {', '.join(path.units)}",
                found=f"first period with data {periods[0]}, treated from {path.first}",
                expected=f"a period before {path.first}",
            )
    position = {period: place for place, period in enumerate(sample.periods)}

    def clean_at(year: int, horizon: int) -> Mask:
        return (
            np.isinf(first) if comparison == "never_treated" else np.asarray(first > year + max(horizon, 0))
        )

    def base_of(year: int) -> int:
        return int(np.searchsorted(periods, year)) - 1

    if by_path:
        chosen = []
        for index, path in enumerate(design.paths):
            for horizon in range(low, high + 1):
                place, base = position.get(path.first + horizon), base_of(path.first)
                clean = clean_at(path.first, horizon)
                if place is not None and place != base and clean.any() and np.any(sample.group == index):
                    chosen.append((index, base, place, clean))
        if chosen:
            return path_effects("local_projection", sample, design, chosen, names, comparison, ())
    years = sorted({*cohorts(first), *sample.periods[1:]})
    pooled, factors, used = [], [], []
    for horizon in [] if by_path else range(low, high + 1):
        stacks = []
        for year in years:
            at, base = position.get(year + horizon), base_of(year)
            if at is None or at == base:
                continue
            treated = (first == year) & ((horizon < 0) | (last >= year + horizon))
            clean = clean_at(year, horizon)
            if clean.any() and (treated.any() or not reweight):
                change = sample.values[:, at] - sample.values[:, base]
                at_base = sample.covariates[:, base]
                stacks.append(Stack(change=change, treated=treated, clean=clean, covariates=at_base))
        if not any(stack.treated.any() for stack in stacks):
            continue
        sizes = [(int(stack.treated.sum()), int(stack.clean.sum())) for stack in stacks]
        scheme = [(sum(size) / size[1]) if reweight else 1.0 for size in sizes]  # 1 / (1 - p), or 1
        n_rows = sum(map(sum, sizes))
        inside = int(np.any([stack.treated | stack.clean for stack in stacks], axis=0).sum())
        factor = cluster_factor(outcome, inside, n_rows, 1 + len(stacks) + len(names))
        adjusts = reweight and bool(names)
        factors.append(1.0 if adjusts else factor)
        where = f"{outcome}, horizon {horizon}"
        pooled.append(
            adjusted(stacks, names, where) if adjusts else stack_effects(stacks, scheme, names, where)
        )
        used.append(horizon)
    if not any(horizon >= 0 for horizon in used):
        raise DesignError(
            "No horizon from entry on has entries and clean controls.",
            where=f"{outcome}, window ({low}, {high})",
            found=f"cohorts {', '.join(map(str, cohorts(first)))}; data {periods[0]} to {periods[-1]}",
        )
    return pooled_effects(
        "local_projection", sample, design, used, pooled, factors, "last period before entry", ()
    )
