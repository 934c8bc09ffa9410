"""What was known when last year's report was made, and what changed since.

In: an evaluation. Out: the evaluation of the year before, as it was known before this year's figures came out. Never: a
release of a later day in the place of one that is there, or an estimate made from a value that is hidden now: beside
what is shown, it would give the value.
"""

from __future__ import annotations

import datetime
from dataclasses import replace

import numpy as np
import pandas as pd

from ..design import study_design
from ..errors import DesignError, MekevalError
from ..evaluation import Evaluation, findings_alone
from ..evaluation.sharing import evaluation_key
from ..indicators import Indicators, clean_indicators
from ..store import at_hand, known
from ..study import Study
from .between import changes_between
from .difference import Difference


def changes_since_last_year(evaluation: Evaluation) -> Difference | None:
    """What changed since the report of the year before, in the primary outcomes.

    Parameters
    ----------
    evaluation : Evaluation
        Of all districts.

    Returns
    -------
    Difference or None
        None where no year before can be evaluated: the programme began this year, or has no earlier data. It has the
        note "same_data" where the study has no releases from before this year's figures: the year before is then shown
        as it is known today.
    """
    earlier = earlier_evaluation(evaluation)
    if earlier is None:
        return None
    primary = evaluation.study.plan.primary
    mine = replace(
        evaluation, findings={key: one for key, one in evaluation.findings.items() if key[0] in primary}
    )
    found = changes_between(earlier, mine)
    if earlier.indicators.as_of == evaluation.indicators.as_of:
        return replace(found, notes=(*found.notes, "same_data"))
    return found


def earlier_evaluation(evaluation: Evaluation) -> Evaluation | None:
    """The evaluation of the year before, of the primary outcomes alone, as it was known at the time.

    The year before is the last one with data on a primary outcome. Known at the time is what was published before the
    first figure of this year on such an outcome; where the study has no such releases, what is known now. What is
    hidden now is hidden then, too.
    """
    study, primary = evaluation.study, evaluation.study.plan.primary
    before = _years_before(study, evaluation.indicators, evaluation.year)
    if not before:
        return None
    day = _day_before(evaluation, primary)
    now = evaluation.indicators.as_of
    for one in dict.fromkeys((day, now)):
        try:
            return _of_primary(study, max(before), one, evaluation.indicators)
        except MekevalError:
            continue  # too little was published by then; or nobody was in the programme
    return None


def require_earlier_year(study: Study, indicators: Indicators, year: int) -> None:
    """Refuse a year with no year before that can be evaluated, without evaluating anything.

    Raises
    ------
    DesignError
        There are no data on a primary outcome before, or nobody was in the programme.
    """
    before = _years_before(study, indicators, year)
    found = "no data on a primary outcome before it"
    if before:
        last = max(before)
        try:
            if study_design(study, last_period=last).treated:
                return
        except MekevalError:
            pass  # as where nobody is in the programme
        found = f"no area was in the programme by {last}"
    raise DesignError(
        "There is no earlier report to compare with.",
        where=f"year {year}",
        found=found,
        fix="Compare a later year, or two published sets with `mekeval diff`.",
    )


def _years_before(study: Study, indicators: Indicators, year: int) -> list[int]:
    """Earlier years with data on a primary outcome."""
    table = indicators.table
    good = (table["status"] == "ok") & table["indicator"].isin(study.plan.primary) & (table["year"] < year)
    return [int(one) for one in table.loc[good & table["area"].isin(study.areas.units), "year"].unique()]


def _of_primary(study: Study, year: int, day: datetime.date | None, now: Indicators) -> Evaluation:
    """The findings on primary outcomes: half of the work; those of another report of the run where it has made them."""
    primary = study.plan.primary
    plan = study.plan.model_copy(update={"secondary": ()})
    view = replace(study, spec=study.spec.model_copy(update={"plan": plan}))
    indicators = clean_indicators(view, as_of=day)
    safe = _hidden_as_now(indicators, now)
    key = evaluation_key(study, year=year, as_of=day) if at_hand() and safe is indicators else None
    whole = known(key) if key is not None else None
    if not isinstance(whole, Evaluation):
        whole = findings_alone(view, safe, year=year)
    findings = {found: one for found, one in whole.findings.items() if found[0] in primary}
    return replace(whole, study=study, findings=findings)


def _hidden_as_now(then: Indicators, now: Indicators) -> Indicators:
    """What was known then, without what is hidden now; the same object where nothing is."""
    place = ["indicator", "area", "year"]
    shown = then.table["status"].eq("ok")
    secret = now.table.loc[now.table["status"].isin(("confidential", "suppressed")), place]
    if then is now or secret.empty:
        return then
    gone = shown.to_numpy() & pd.MultiIndex.from_frame(then.table[place].astype(str)).isin(
        pd.MultiIndex.from_frame(secret.astype(str))
    )
    if not gone.any():
        return then
    table = then.table.copy()
    table.loc[gone, ["value", "numerator", "denominator"]] = np.nan
    table.loc[gone, "status"] = "confidential"
    return replace(then, table=table)


def _day_before(evaluation: Evaluation, outcomes: tuple[str, ...]) -> datetime.date | None:
    """The last day on which no figure of the evaluation's year on any outcome was out; None where none is known."""
    indicators, study = evaluation.indicators, evaluation.study
    out = set()
    for frame in (indicators.table, indicators.releases):
        of_year = frame["indicator"].isin(outcomes) & frame["area"].isin(study.areas.units)
        of_year &= (frame["year"] == evaluation.year) & (frame["status"] == "ok")
        out |= {int(vintage) for vintage in frame.loc[of_year, "vintage"]}
    if not out:
        return evaluation.indicators.as_of
    # Of a release whose day is not known, only the year is: what was out before is what the year before had.
    return min(
        one.published - datetime.timedelta(days=1)
        if one.published
        else datetime.date(one.vintage - 1, 12, 31)
        for one in study.spec.source
        if one.vintage == min(out)
    )
