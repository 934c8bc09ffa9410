"""What a panel for exploring asks, and what the data say: estimated and tested anew for every choice.

In: a study, read and cleaned once (`Ready`), and a question. Out: an `Answer`. Never: a verdict, which needs checks, or
a choice that differs from the plan without a word.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

from ..dates import AsOf, as_date
from ..design import Design, study_design
from ..display import Shown, attribute_tables
from ..errors import DataError, DesignError, MekevalError, closest
from ..estimate import (
    ESTIMATORS,
    Effects,
    aggregate,
    callaway_santanna,
    contrast,
    group_time_att,
    side_by_side,
)
from ..evaluation.beside import in_every_wave
from ..evaluation.elsewhere import Elsewhere, judge, look_elsewhere, speaks_of
from ..indicators import clean_indicators
from ..inference import Inference, infer
from ..panel import Panel, balanced_block, build_panel
from ..reference import reference_areas
from ..sensitivity import RulePlacebo
from ..study import Study, read_study
from ..tables import Table

ALL: Final = "all"
NEVER: Final = "never_treated"
NOT_YET: Final = "not_yet_treated"
#: Whom the treated are compared with, or by which estimator. Synthetic difference-in-differences is left out: it takes
#: longer than a reader waits for a picture.
COMPARISONS: Mapping[str, Callable[..., Effects]] = {
    NEVER: group_time_att,
    NOT_YET: partial(callaway_santanna, comparison=NOT_YET),
    **{
        name: ESTIMATORS[name]
        for name in (
            "sun_abraham",
            "imputation",
            "extended_twfe",
            "twfe",
            "first_differences",
            "synthetic_control",
        )
    },
}


@dataclass(frozen=True, kw_only=True, repr=False)
class Ready(Shown):
    """A study with all that its questions have in common, computed once.

    Attributes
    ----------
    study : Study
    year : int
        The last year that may be asked about.
    panel : Panel
        Up to that year.
    elsewhere : Elsewhere or None
        The areas of all cities, where the plan judges by the rule applied elsewhere.
    """

    study: Study
    year: int
    panel: Panel
    elsewhere: Elsewhere | None


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One question.

    Attributes
    ----------
    outcome : str
    district : str
        Code of a treated district, or "all".
    comparison : str
        One of `COMPARISONS`.
    first, last : int
        Years that are used, inclusive.
    """

    outcome: str
    district: str
    comparison: str
    first: int
    last: int


@dataclass(frozen=True, kw_only=True, repr=False)
class Answer(Shown):
    """What the data say to one question. It is not a verdict: no check was made.

    Attributes
    ----------
    asked : Asked
    unplanned : tuple of str
        What differs from the plan, of "outcome", "comparison" and "years"; empty where nothing does.
    effects : Effects
        Of the district alone, or of all.
    estimate : float
        Mean of the years while treated, in the outcome's unit; where the rule applied elsewhere leads, what is left
        beyond it.
    inference : Inference or None
        None where nothing could be tested; `untested` says why.
    plain : Inference or None
        The same against the city's own areas, where the rule applied elsewhere leads.
    placebo : RulePlacebo or None
    untested : str
    """

    asked: Asked
    unplanned: tuple[str, ...]
    effects: Effects
    estimate: float
    inference: Inference | None
    plain: Inference | None
    placebo: RulePlacebo | None
    untested: str

    def _shown(self) -> list[Table]:
        tables = attribute_tables(self.asked, caption=f"Answer: {self.asked.outcome}, {self.asked.district}")
        where = "within the city alone" if self.placebo is None else "beyond what the rule does elsewhere"
        for one, beside in ((self.inference, where), (self.plain, "within the city alone")):
            if one is not None:
                tables += [replace(table, caption=f"{table.caption}, {beside}") for table in one._shown()]
        if self.inference is None:
            tables += attribute_tables(self, caption="Answer: not tested", only=("estimate", "untested"))
        return tables


def make_ready(
    study: Study | str | Path, *, year: int | None = None, raw: str | Path | None = None, as_of: AsOf = None
) -> Ready:
    """Read and clean what all questions to a study have in common.

    Parameters
    ----------
    study, raw, as_of
        As in `evaluate`.
    year : int, optional
        The last year that is used; by default the last one with data on an outcome of the plan.

    Returns
    -------
    Ready

    Raises
    ------
    DataError
        The year has no data.
    StudyError
        The study has no programme.

    Examples
    --------
    >>> from mekeval import example_study
    >>> ready = make_ready(example_study())
    >>> ready.year, ready.panel.periods[0]
    (2025, 2010)
    """
    study = study if isinstance(study, Study) else read_study(study, raw=raw)
    outcomes, day = study.plan.outcomes, as_date(as_of)
    indicators = clean_indicators(study, as_of=day)
    there = indicators.table["status"].eq("ok") & indicators.table["indicator"].isin(outcomes)
    years = sorted({int(known) for known in indicators.table.loc[there, "year"]})
    if not years or (year is not None and year not in years):
        raise DataError(
            "The year has no data.",
            where="year",
            found=str(year),
            expected=", ".join(map(str, years)) or "data",
        )
    last = years[-1] if year is None else year
    elsewhere = None
    if study.plan.comparison != "city":
        elsewhere = look_elsewhere(study, indicators, reference_areas(study, as_of=day), year=last)
    panel = build_panel(indicators.table, units=study.areas.units, last_period=last)
    return Ready(study=study, year=last, panel=panel, elsewhere=elsewhere)


def answer(ready: Ready, asked: Asked) -> Answer:
    """Estimate and test one question.

    Where the plan judges by the rule applied elsewhere and the comparison is that of the plan, so does the answer; with
    the plan's own choices it is the inference of `evaluate`, before the checks.

    Parameters
    ----------
    ready : Ready
    asked : Asked

    Returns
    -------
    Answer

    Raises
    ------
    MekevalError
        An outcome, a district or a comparison is not known; nothing can be estimated, and why.

    Examples
    --------
    >>> from mekeval import example_study
    >>> ready = make_ready(example_study())
    >>> asked = Asked(outcome="low_income_rate", district="all", comparison="never_treated", first=2010, last=2025)
    >>> found = answer(ready, asked)
    >>> round(found.estimate, 2), found.inference.method, found.unplanned
    (-0.22, 'rule_placebo', ())
    """
    for name, value, known in (
        ("outcome", asked.outcome, ready.panel.outcomes),
        ("comparison", asked.comparison, tuple(COMPARISONS)),
    ):
        if value not in known:
            raise DesignError(
                f"Unknown {name}.", where=name, found=repr(value), expected=closest(value, known)
            )
    study, alpha, seed = ready.study, ready.study.plan.alpha, ready.study.spec.study.seed
    panel = _within(ready.panel, asked)
    design = study_design(study, last_period=asked.last)
    effects, estimate, why = _estimated(panel, design, asked)
    plain: Inference | None = None
    if effects.changes is not None:
        weights = aggregate(effects, by="simple").weights[0]
        plain = infer(contrast(effects, weights, label=asked.district), alpha=alpha, seed=seed)
        estimate = plain.estimate
    elsewhere = ready.elsewhere
    unplanned = _unplanned(ready, asked)
    if asked.comparison != NEVER or elsewhere is None or not speaks_of(elsewhere, asked.outcome):
        return Answer(
            asked=asked,
            unplanned=unplanned,
            effects=effects,
            estimate=estimate,
            inference=plain,
            plain=None,
            placebo=None,
            untested="" if plain else why,
        )
    treated = in_every_wave(study, design, asked.last) if asked.district == ALL else (asked.district,)
    inference, placebo = None, None
    try:
        result = judge(
            replace(elsewhere, panel=_within(elsewhere.panel, asked)),
            design,
            outcome=asked.outcome,
            treated=treated,
            label=asked.district,
            year=asked.last,
            alpha=alpha,
            checked=False,
        )
        inference, placebo, why = result.inference, result.placebo, ""
    except MekevalError as error:
        why = error.faults[0].what
    return Answer(
        asked=asked,
        unplanned=unplanned,
        effects=effects,
        estimate=estimate if inference is None else inference.estimate,
        inference=inference,
        plain=plain,
        placebo=placebo,
        untested=why,
    )


def _estimated(panel: Panel, design: Design, asked: Asked) -> tuple[Effects, float, str]:
    """Effects, their mean while treated, and what was said of its error."""
    if asked.district == ALL:
        return _mean(panel, design, asked, _effects(panel, design, asked))
    if asked.district not in design.treated:
        raise DesignError(
            "The district is not in the programme, so far.",
            where="district",
            found=repr(asked.district),
            expected="one of " + ", ".join(design.treated),
        )
    own = replace(design.path_of(asked.district), units=(asked.district,))
    if asked.comparison == NOT_YET:  # the others stay: before their entry they are compared with
        own = replace(own, name=f"{own.name}, {asked.district}")
        rest = [
            replace(path, units=tuple(unit for unit in path.units if unit != asked.district))
            for path in design.paths
        ]
        design = replace(design, paths=(own, *(path for path in rest if path.units)))
        effects = _effects(panel, design, asked)
        own_effects = _of_path(effects, own.name)
        if not (own_effects.cells["phase"] == "on").any():
            raise _too_early(asked)
        means = aggregate(effects, by="path").table
        row = means.loc[means["key"] == own.name].iloc[0]
        return own_effects, float(row["att"]), _few(str(row["se_note"]))
    aside = tuple((unit, "in the programme too") for unit in design.treated if unit != asked.district)
    design = replace(design, paths=(own,), set_aside=(*design.set_aside, *aside))
    return _mean(panel, design, asked, _effects(panel, design, asked))


def _mean(panel: Panel, design: Design, asked: Asked, effects: Effects) -> tuple[Effects, float, str]:
    if not (effects.cells["phase"] == "on").any():
        raise _too_early(asked)
    if effects.changes is not None:
        return effects, math.nan, ""  # `infer` gives its mean
    row = side_by_side(
        panel, design, outcome=asked.outcome, estimators={"it": lambda *_, **__: effects}
    ).iloc[0]
    if math.isnan(float(row["estimate"])):
        raise DesignError(
            str(row["note"]) or "There is no mean of the years in the programme.", where=asked.outcome
        )
    return effects, float(row["estimate"]), _few(str(row["note"]))


def _few(note: str) -> str:
    """Why an estimate that is not made of unit changes is not tested."""
    few = "this estimator has no test for so few treated areas"
    return f"{few}; {note}" if note else few


def _effects(panel: Panel, design: Design, asked: Asked) -> Effects:
    """The estimator's effects; where it has none and the district has a gap, that is said."""
    try:
        effects = COMPARISONS[asked.comparison](panel, design, outcome=asked.outcome)
    except MekevalError:
        _refuse_gap(panel, asked)
        raise
    if asked.district != ALL and asked.district not in effects.units:
        _refuse_gap(panel, asked)
    return effects


def _refuse_gap(panel: Panel, asked: Asked) -> None:
    for unit, reason, period in balanced_block(panel, asked.outcome).dropped:
        if unit == asked.district:
            raise DesignError(
                "The district has no data for a year that is needed.",
                where=f"{asked.outcome}, {unit}",
                found=f"{reason} in {period}",
                fix="Choose other years, or another outcome.",
            ) from None


def _too_early(asked: Asked) -> DesignError:
    return DesignError(
        "No full year in the programme is among the years chosen.",
        where=f"{asked.outcome}, {asked.district}",
        found=f"{asked.first} to {asked.last}",
        fix="Choose a later last year.",
    )


def _of_path(effects: Effects, name: str) -> Effects:
    """The effects of one path."""
    keep = (effects.cells["path"] == name).to_numpy()
    return replace(
        effects,
        cells=effects.cells.loc[keep].reset_index(drop=True),
        influence=None if effects.influence is None else effects.influence[:, keep],
    )


def _within(panel: Panel, asked: Asked) -> Panel:
    """The panel in the years that were chosen."""
    keep = [asked.first <= period <= asked.last for period in panel.periods]
    if not any(keep):
        raise DesignError(
            "There are no data in these years.",
            where="years",
            found=f"{asked.first} to {asked.last}",
            expected=f"years from {panel.periods[0]} to {panel.periods[-1]}",
        )
    return replace(
        panel,
        periods=tuple(period for period, kept in zip(panel.periods, keep, strict=True) if kept),
        values={name: one[:, keep] for name, one in panel.values.items()},
        bases={name: one[:, keep] for name, one in panel.bases.items()},
        reasons={name: one[:, keep] for name, one in panel.reasons.items()},
    )


def _unplanned(ready: Ready, asked: Asked) -> tuple[str, ...]:
    differs = {
        "outcome": asked.outcome not in ready.study.plan.outcomes,
        "comparison": asked.comparison != NEVER,
        "years": (asked.first, asked.last) != (ready.panel.periods[0], ready.year),
    }
    return tuple(name for name, other in differs.items() if other)
