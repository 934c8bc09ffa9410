"""A study and a year -> everything that its reports say, computed once.

In: a study. Out: `Evaluation`: indicators, panel, design, and for every outcome the effects, tests, checks and
findings of the programme and of each district. Never: a word or a picture.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from pathlib import Path

import pandas as pd

from ..dates import AsOf, as_date
from ..design import Design, SelectionStability, study_design
from ..display import Shown
from ..errors import DataError, DesignError, Fault, MekevalError, StudyError
from ..estimate import Effects, aggregate, contrast, group_time_att, unit_contrast
from ..findings import Finding, allowing_for_many, conclude, findings_table
from ..indicators import Indicators, clean_indicators
from ..inference import Adjusted, Inference, adjust, infer
from ..panel import Panel, build_panel
from ..reference import ReferenceAreas, reference_areas
from ..sensitivity import CityQuestion, Surroundings, Thresholds, city_checks_of, selection
from ..store import at_hand, known, shared
from ..study import Study, read_study
from ..tables import Table
from .beside import PlainReading, in_every_wave, other_estimates, plain_readings
from .elsewhere import REASONS, Elsewhere, how_clear, judge, look_elsewhere, other_areas, speaks_of
from .sharing import evaluation_key, of_district

ALL = "all"


@dataclass(frozen=True, kw_only=True, repr=False)
class Evaluation(Shown):
    """A programme as of one year.

    Attributes
    ----------
    study : Study
    year : int
        No later year was used; later releases of earlier years are, up to `indicators.as_of` where that was given.
    indicators : Indicators
    panel : Panel
    design : Design
    effects : mapping of str to Effects
        By outcome; an outcome that cannot be estimated is missing here, and its findings say why.
    findings : mapping of (str, str) to Finding
        By outcome and subject: "all", or the code of a district.
    references : ReferenceAreas or None
        The areas of reference cities, where the study has such.
    elsewhere : Elsewhere or None
        The areas of all cities together, in which the rule was applied.
    choice : SelectionStability or None
        How clear the choice of the areas by the programme's rule was; None where that was not asked.
    adjusted : Adjusted or None
        The p-values of the programme as a whole, by outcome, adjusted for their number by Holm's method: primary
        outcomes as one family, secondary ones as another. None where nothing was tested or one district was asked for.
    after : mapping of (str, str) to Inference
        By outcome and district, for districts that have left: the mean of the years since then, beyond what the rule
        brings about elsewhere where the study has reference cities.
    plain : tuple of PlainReading
        Empty where only one district was asked for.
    others : mapping of str to pandas.DataFrame
        By outcome what the study's other estimators say, as `side_by_side` gives it; empty as `plain`.
    """

    study: Study
    year: int
    indicators: Indicators
    panel: Panel
    design: Design
    effects: Mapping[str, Effects]
    findings: Mapping[tuple[str, str], Finding]
    references: ReferenceAreas | None
    elsewhere: Elsewhere | None
    choice: SelectionStability | None
    adjusted: Adjusted | None
    after: Mapping[tuple[str, str], Inference]
    plain: tuple[PlainReading, ...]
    others: Mapping[str, pd.DataFrame]

    @cached_property
    def _key(self) -> str | None:
        """What decides this evaluation, as one checksum: `evaluation_key`, computed once."""
        return evaluation_key(self.study, year=self.year, as_of=self.indicators.as_of)

    def _shown(self) -> list[Table]:
        """Every finding in a row."""
        names = {code: self.study.areas.name(code, "en") for code in self.study.areas.table.index}
        caption = f"{self.study.name}: findings as of {self.year}"
        return [findings_table(self.findings.values(), names=names, caption=caption)]


def evaluate(
    study: Study | str | Path,
    *,
    year: int,
    district: str | None = None,
    raw: str | Path | None = None,
    as_of: AsOf = None,
) -> Evaluation:
    """Evaluate a programme as of a year.

    Parameters
    ----------
    study : Study, str or Path
        A study or its folder.
    year : int
        The year of the report; later years and later waves are not used, later releases of earlier years are.
    district : str, optional
        Code or name of one treated district, where only its findings are wanted.
    raw : str or Path, optional
        As in `read_study`.
    as_of : date, int or str, optional
        Only what was published by this day, or by the end of this year, here and in the reference cities: so what was
        found last year can be found again.

    Returns
    -------
    Evaluation

    Raises
    ------
    DataError
        The year has no data; the message names the years that have.
    DesignError
        Nobody, or not this district, is treated yet in that year.

    Examples
    --------
    >>> from mekeval import evaluate, example_study
    >>> evaluation = evaluate(example_study(), year=2025)
    >>> evaluation.findings["low_income_rate", "all"].verdict
    'no_detectable_effect'
    """
    study = study if isinstance(study, Study) else read_study(study, raw=raw)
    day = as_date(as_of)
    key = evaluation_key(study, year=year, as_of=day) if at_hand() else None
    if key is None:
        return _evaluate(study, year, district, day)
    if district is None:
        return replace(shared(key, lambda: _evaluate(study, year, None, day)), study=study)
    whole = known(key)
    if not isinstance(whole, Evaluation):
        return _evaluate(study, year, district, day)
    return of_district(replace(whole, study=study), _treated(study, whole.design, district))


def findings_alone(study: Study, indicators: Indicators, *, year: int) -> Evaluation:
    """As `evaluate` of all districts, without what stands beside findings (`choice`, `plain`, `others`); not stored."""
    return _evaluate(study, year, None, indicators.as_of, beside=False, indicators=indicators)


def _evaluate(
    study: Study,
    year: int,
    district: str | None,
    day: date | None,
    *,
    beside: bool = True,
    indicators: Indicators | None = None,
) -> Evaluation:
    indicators = clean_indicators(study, as_of=day) if indicators is None else indicators
    refuse_year(study, indicators, year)
    panel = build_panel(indicators.table, units=study.areas.units, last_period=year)
    design = study_design(study, last_period=year)
    references = reference_areas(study, as_of=day)
    by_rule = study.plan.comparison != "city"
    try:
        abroad = look_elsewhere(study, indicators, references, year=year)
    except StudyError:
        if by_rule:
            raise
        abroad = None  # the verdict rests on the city alone; only one of its checks looks beyond
    elsewhere = abroad if by_rule else None
    beside = beside and district is None
    subjects = (ALL, *design.treated) if district is None else (_treated(study, design, district),)
    effects: dict[str, Effects] = {}
    findings: dict[tuple[str, str], Finding] = {}
    plain: list[PlainReading] = []
    for outcome in study.plan.outcomes:
        try:
            effects[outcome] = group_time_att(panel, design, outcome=outcome)
        except MekevalError as error:
            for subject in subjects:
                findings[outcome, subject] = _not_tested(
                    study, outcome, subject, ("data", "incomplete"), message=error.faults[0].what
                )
            continue
        for subject in subjects:
            findings[outcome, subject] = _finding(
                study, panel, design, effects[outcome], outcome, subject, elsewhere, abroad, year
            )
        if beside:
            plain += plain_readings(study, panel, design, outcome, year)
    adjusted = _adjusted(study, findings)
    if adjusted is not None:
        corrected = dict(zip(adjusted.table["label"], adjusted.table["p_adjusted"], strict=True))
        for outcome in corrected:
            findings[outcome, ALL] = allowing_for_many(findings[outcome, ALL], float(corrected[outcome]))
    return Evaluation(
        study=study,
        year=year,
        indicators=indicators,
        panel=panel,
        design=design,
        effects=effects,
        findings=findings,
        references=references,
        elsewhere=elsewhere,
        choice=how_clear(elsewhere, seed=study.spec.study.seed) if elsewhere and beside else None,
        adjusted=adjusted,
        after=_after(study, design, effects, subjects, elsewhere, year),
        plain=tuple(plain),
        others=other_estimates(study, panel, design, effects) if beside else {},
    )


def _years_told(known: Iterable[int]) -> str:
    """What a message expects instead of a year.

    Examples
    --------
    >>> _years_told([2019, 2018, 2019])
    'one of 2018, 2019'
    >>> _years_told([])
    'a year with data; there is none'
    """
    years = sorted({int(year) for year in known})
    return "one of " + ", ".join(map(str, years)) if years else "a year with data; there is none"


def refuse_year(study: Study, indicators: Indicators, year: int) -> None:
    """Refuse a year that cannot be evaluated: no outcome has data, or a treated area has none before its treatment.

    An area that has no data at all for an outcome is not refused: its finding says so.

    Raises
    ------
    DataError
        All faults at once, with the outcome, the area, what was found and the years that were expected.
    """
    table = indicators.table
    planned = table.loc[(table["status"] == "ok") & table["indicator"].isin(study.plan.outcomes), "year"]
    years = sorted({int(known) for known in planned})
    if year not in years:
        raise DataError(
            "The year has no data.",
            where="year",
            found=str(year),
            expected=_years_told(years),
            fix="Evaluate the last year with data, or add its source to study.toml.",
        )
    good = table.loc[(table["status"] == "ok") & (table["year"] <= year)]
    faults = []
    rule = study.programme.rule
    for name, base in (rule.criteria if rule else {}).items():
        own = table.loc[(table["status"] == "ok") & (table["indicator"] == name), "year"]
        if base not in set(own):
            faults.append(
                Fault(
                    what="A criterion of the rule has no data in its base year.",
                    where=f"study.toml, programme.rule.criteria, {name}",
                    found=str(base),
                    expected=_years_told(own),
                    fix="Correct the base year, or add a source for it.",
                )
            )
    for path in study_design(study, last_period=year).paths:
        for unit in path.units:
            for outcome in study.plan.outcomes:
                own = good.loc[(good["area"] == unit) & (good["indicator"] == outcome), "year"]
                if len(own) and own.min() >= path.first:
                    faults.append(
                        Fault(
                            what="A treated area has no data before treatment.",
                            where=f"{outcome}, {study.areas.name(unit, 'fi')} ({unit})",
                            found=f"first value in {own.min()}, treated from {path.first}",
                            expected=f"a value in {path.first - study.plan.pre_years} to {path.first - 1}",
                            fix="Add a source for those years, or take the outcome out of the plan.",
                        )
                    )
    if faults:
        raise DataError.of(faults)


def _treated(study: Study, design: Design, district: str) -> str:
    code = study.resolve(district)
    if code not in design.treated:
        treated = [study.areas.name(unit, "fi") for unit in design.treated]
        raise DesignError(
            "The district is not in the programme, so far.",
            where="district",
            found=repr(district),
            expected="one of " + ", ".join(treated),
        )
    return code


def _finding(
    study: Study,
    panel: Panel,
    design: Design,
    effects: Effects,
    outcome: str,
    subject: str,
    elsewhere: Elsewhere | None,
    abroad: Elsewhere | None,
    year: int,
) -> Finding:
    alpha, seed = study.plan.alpha, study.spec.study.seed
    for unit, reason, period in effects.dropped:
        if unit == subject:
            return _not_tested(study, outcome, subject, ("data", "gap"), status=reason, year=period)
    problem = _problem(effects, design, subject)
    if problem is not None:
        return _not_tested(study, outcome, subject, problem)
    if subject == ALL:
        tested = contrast(effects, aggregate(effects, by="simple").weights[0], label=ALL)
    else:
        tested = unit_contrast(effects, subject)
    result = infer(tested, alpha=alpha, seed=seed)
    if elsewhere is not None and speaks_of(elsewhere, outcome):
        return _by_rule(study, design, elsewhere, outcome, subject, year, plain=result)
    question = CityQuestion(
        panel=panel,
        design=design,
        outcome=outcome,
        unit=None if subject == ALL else subject,
        alpha=alpha,
        seed=seed,
    )
    return conclude(
        result,
        (
            selection(design, design.treated if subject == ALL else (subject,)),
            *city_checks_of(question, result, _surroundings(study, outcome, abroad)),
        ),
        study.plan,
        outcome=outcome,
        subject=subject,
        higher_is=study.indicator(outcome).higher_is,
    )


def _by_rule(
    study: Study,
    design: Design,
    elsewhere: Elsewhere,
    outcome: str,
    subject: str,
    year: int,
    *,
    plain: Inference,
) -> Finding:
    """The finding where reference cities can tell the programme from the rule's own doing."""
    treated = in_every_wave(study, design, year) if subject == ALL else (subject,)
    higher_is = study.indicator(outcome).higher_is
    try:
        found = judge(
            elsewhere,
            design,
            outcome=outcome,
            treated=treated,
            label=subject,
            year=year,
            alpha=study.plan.alpha,
            about=_surroundings(study, outcome),
        )
    except MekevalError as error:
        return conclude(
            None,
            (),
            outcome=outcome,
            subject=subject,
            higher_is=higher_is,
            problem=("rule_placebo", REASONS.get(error.faults[0].what, "not_made")),
            problem_facts={"message": error.faults[0].what},
            plain=plain,
        )
    return conclude(
        found.inference,
        (selection(design, treated, compared=True), *found.checks),
        study.plan,
        outcome=outcome,
        subject=subject,
        higher_is=higher_is,
        plain=plain,
        placebo=found.placebo,
        compared=(found.pre, found.post),
    )


def _surroundings(study: Study, outcome: str, abroad: Elsewhere | None = None) -> Surroundings:
    """What the study knows besides the values: who borders on whom, parts of the city, other cities, breaks."""
    table = study.areas.table
    parents = {str(code): str(parent) for code, parent in table["parent"].items() if parent}
    return Surroundings(
        neighbours=study.neighbours,
        parent=parents,
        breaks=study.indicator(outcome).breaks,
        honest_size=study.plan.honest_size,
        thresholds=Thresholds(**study.plan.thresholds.model_dump()),
        elsewhere=abroad.panel if abroad else None,
        others=other_areas(abroad) if abroad else (),
    )


def _adjusted(study: Study, findings: Mapping[tuple[str, str], Finding]) -> Adjusted | None:
    """Holm's p-values of the programme as a whole."""
    plan = study.plan
    tested = {
        outcome: finding.inference
        for outcome in plan.outcomes
        if (finding := findings.get((outcome, ALL))) is not None and finding.inference is not None
    }
    if not tested:
        return None
    primary = [outcome for outcome in plan.primary if outcome in tested]
    return adjust(tested, method="holm", alpha=plan.alpha, primary=primary)


def _after(
    study: Study,
    design: Design,
    effects: Mapping[str, Effects],
    subjects: Sequence[str],
    elsewhere: Elsewhere | None,
    year: int,
) -> dict[tuple[str, str], Inference]:
    """The change of each district since it left, where it has; judged by the rule placebo where that leads."""
    found = {}
    alpha = study.plan.alpha
    for outcome, some in effects.items():
        for subject in subjects:
            if subject not in some.units:
                continue
            group = some.group[some.units.index(subject)]
            left = ((some.cells["phase"] == "after") & (some.cells["group"] == group)).to_numpy()
            if not left.any():
                continue
            if elsewhere is None or not speaks_of(elsewhere, outcome):
                tested = unit_contrast(some, subject, left / left.sum())
                found[outcome, subject] = infer(tested, alpha=alpha, seed=study.spec.study.seed)
                continue
            try:
                result = judge(
                    elsewhere,
                    design,
                    outcome=outcome,
                    treated=(subject,),
                    label=subject,
                    year=year,
                    alpha=alpha,
                    phase="after",
                )
            except MekevalError:
                continue  # no data elsewhere for these years, or no area like it: nothing to show
            if result.placebo.identifiable:
                found[outcome, subject] = result.inference
    return found


def _problem(effects: Effects, design: Design, subject: str) -> tuple[str, str] | None:
    """Why a subject cannot be tested: what decides and its reason, or None."""
    full = effects.cells["phase"] == "on"
    if subject != ALL:
        full &= effects.cells["path"] == design.path_of(subject).name
    if not full.any():
        return "too_early", "no_full_year"
    treated = int((effects.group >= 0).sum()) if subject == ALL else 1
    if int((effects.group == -1).sum()) < treated:
        return "design", "small_comparison"
    return None


def _not_tested(
    study: Study, outcome: str, subject: str, problem: tuple[str, str], **facts: float | str
) -> Finding:
    return conclude(
        None,
        (),
        outcome=outcome,
        subject=subject,
        higher_is=study.indicator(outcome).higher_is,
        problem=problem,
        problem_facts=facts,
    )
