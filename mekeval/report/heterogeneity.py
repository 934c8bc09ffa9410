"""Whether the districts of a programme differ, and whether more of it goes with more effect.

In: an evaluation. Out: sentences, a table and a picture for the city report. Never: a best district, or a relation
with money that is read as what money does.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from ..costs import money_by_district
from ..errors import MekevalError
from ..evaluation import ALL, Evaluation
from ..figures.doses import doses_picture
from ..figures.study import study_words
from ..inference.scaled import FEWEST_COMPARISON
from ..sensitivity.heterogeneity import (
    DoseResponse,
    EffectSpread,
    UnitEffects,
    dose_response,
    effect_spread,
    rescaled_by_share,
    unit_effects,
)
from ..tables import Column, Table
from ..text import Texts
from .dilution import diluted
from .parts import Part, heading, paragraph, ruled
from .planned import outcome_label
from .sentences import amount, p_value

Kind = Literal["money", "years", "share"]
#: For how much dose a slope is written.
_STEPS: Mapping[Kind, float] = {"money": 100.0, "years": 1.0, "share": 10.0}


@dataclass(frozen=True, kw_only=True)
class _Judged:
    """One outcome: its districts side by side, the spread of their effects, and the line for each dose."""

    outcome: str
    units: UnitEffects
    spread: EffectSpread
    lines: Mapping[Kind, DoseResponse]


def heterogeneity_parts(evaluation: Evaluation, texts: Texts) -> list[Part]:
    """The part of the city report on differences between districts; nothing where fewer than two are treated."""
    money = money_by_district(evaluation)
    doses = _doses(evaluation, money)
    own = money.loc[money["area"].isin(evaluation.design.treated), "basis"]
    split = bool(own.isin(["split_by_population", "measures_and_split"]).any())
    judged = [
        one
        for outcome in evaluation.study.plan.primary
        if (one := _judge(evaluation, outcome, doses)) is not None
    ]
    if not judged or len(evaluation.design.treated) < 2:
        return []
    parts: list[Part] = [
        *(_table(evaluation, one, doses, texts) for one in judged),
        heading(texts("heterogeneity.doses.heading"), 4),
        paragraph(texts("heterogeneity.doses.caveat"), css="warning"),
        paragraph(texts("heterogeneity.doses.method")),
    ]
    for kind in doses:
        parts += [paragraph(said) for said in _lines(evaluation, judged, kind, texts, split=split)]
    for one in judged:
        parts += _picture(evaluation, one, texts)
    return [
        heading(texts("heterogeneity.heading"), 3),
        paragraph(_introduction(evaluation, judged, texts)),
        *(paragraph(_spread(evaluation, one, texts)) for one in judged),
        f'<details class="more">\n<summary>{html.escape(texts("heterogeneity.fold"))}</summary>',
        *parts,
        "</details>",
    ]


def _judge(
    evaluation: Evaluation, outcome: str, doses: Mapping[Kind, Mapping[str, float | None]]
) -> _Judged | None:
    """The tests of one outcome; None where it could not be estimated for any district."""
    effects = evaluation.effects.get(outcome)
    if effects is None:
        return None
    study = evaluation.study
    persons = study.areas.table["population"].reindex(list(effects.units))
    sized = bool((persons.fillna(0) > 0).all()) and int((effects.group < 0).sum()) >= FEWEST_COMPARISON
    try:
        units = unit_effects(effects, population=persons.astype(float) if sized else None)
    except MekevalError:
        return None
    alpha, seed = study.plan.alpha, study.spec.study.seed
    lines: dict[Kind, DoseResponse] = {}
    for kind, given in doses.items():
        known = {unit: one for unit in units.units if (one := given.get(unit)) is not None}
        if len(known) == len(units.units):
            lines[kind] = dose_response(units, known, alpha=alpha, seed=seed)
    return _Judged(
        outcome=outcome, units=units, spread=effect_spread(units, alpha=alpha, seed=seed), lines=lines
    )


def _doses(evaluation: Evaluation, money: pd.DataFrame) -> dict[Kind, Mapping[str, float | None]]:
    """Doses of the treated areas up to the last year with effects; shares only where areas stand for districts.

    In whole numbers, as they are shown: sums that differ by cents are no different doses.
    """
    study, treated = evaluation.study, evaluation.design.treated
    last = _last(evaluation)
    money = money.loc[money["year"] <= last]
    spent: dict[str, float | None] = {}
    for unit in treated:
        own = money.loc[money["area"] == unit, "eur_per_inhabitant"]
        spent[unit] = None if own.empty or own.isna().any() else float(round(own.sum()))
    years: dict[str, float | None] = {
        unit: float(
            sum(max(0, min(end, last) - first + 1) for first, end in evaluation.design.path_of(unit).spells)
        )
        for unit in treated
    }
    found: dict[Kind, Mapping[str, float | None]] = {"money": spent, "years": years}
    if study.districts is not None:
        shares: dict[str, float | None] = {}
        for unit in treated:
            known = [one.share_of_people for one in diluted(evaluation, unit)]
            parts = [one for one in known if one is not None]
            shares[unit] = _whole_percent(sum(parts)) if known and len(parts) == len(known) else None
        found["share"] = shares
    return found


def _last(evaluation: Evaluation) -> int:
    """The last year that an effect of a primary outcome is of: what was spent later cannot show in it."""
    found = [evaluation.effects.get(outcome) for outcome in evaluation.study.plan.primary]
    cells = [one.cells.loc[one.cells["phase"] == "on", "period"] for one in found if one is not None]
    return max((int(periods.max()) for periods in cells if len(periods)), default=evaluation.year)


def _whole_percent(share: float) -> float:
    return float(min(max(round(100 * share), 1), 100))


def _introduction(evaluation: Evaluation, judged: Sequence[_Judged], texts: Texts) -> str:
    said = [texts("heterogeneity.intro")]
    if any(one.units.scaled for one in judged):
        said.append(texts("heterogeneity.sized"))
    if ruled(evaluation.findings[one.outcome, ALL] for one in judged):
        said.append(texts("heterogeneity.ruled"))
    return " ".join(said)


def _spread(evaluation: Evaluation, judged: _Judged, texts: Texts) -> str:
    """Whether the districts differ, and what could have been seen."""
    found, unit = judged.spread, evaluation.study.indicator(judged.outcome).unit
    label = outcome_label(evaluation.study, judged.outcome, texts)
    if found.reason:
        return texts(
            f"heterogeneity.spread.{found.reason}",
            outcome=label,
            n=found.n_comparison,
            smallest=p_value(texts, found.smallest_p),
        )

    def written(value: float | None) -> str:
        return texts("heterogeneity.table.unknown") if value is None else amount(texts, value, unit)

    parts = {
        "outcome": label,
        "sd": written(found.sd),
        "chance": written(found.noise_sd),
        "p": p_value(texts, found.p_value or 0.0),
    }
    apart = found.verdict == "difference"
    said = [texts(f"heterogeneity.spread.{'some' if apart else 'none'}", **parts)]
    if not apart and found.minimum_detectable_sd is not None:
        said.append(texts("heterogeneity.spread.power", detectable=written(found.minimum_detectable_sd)))
    level = texts.short(100 * (1 - found.alpha))
    if found.sd_high is None:
        said.append(texts("heterogeneity.spread.no_bound"))
    else:
        said.append(texts("heterogeneity.spread.bound", high=written(found.sd_high), level=level))
    return " ".join(said)


def _lines(
    evaluation: Evaluation,
    judged: Sequence[_Judged],
    kind: Kind,
    texts: Texts,
    *,
    split: bool,
) -> list[str]:
    """What one dose says, outcome by outcome, or once why it says nothing."""
    dose = texts(f"heterogeneity.dose.{kind}")
    lines = [(one, one.lines[kind]) for one in judged if kind in one.lines]
    if not lines:
        return [] if kind == "years" else [texts(f"heterogeneity.doses.{kind}_unknown")]
    said = []
    by_population = kind == "money" and split
    if by_population and any(line.reason != "equal_doses" for _, line in lines):
        said.append(texts("heterogeneity.doses.split_money", dose=_first_up(dose)))
    for one, line in lines:
        text = _line(evaluation, one, line, kind, dose, by_population, texts)
        if text not in said:
            said.append(text)
    return said


def _line(
    evaluation: Evaluation,
    judged: _Judged,
    line: DoseResponse,
    kind: Kind,
    dose: str,
    by_population: bool,
    texts: Texts,
) -> str:
    study, unit = evaluation.study, evaluation.study.indicator(judged.outcome).unit
    if not line.identifiable:
        key = "equal_money" if line.reason == "equal_doses" and by_population else line.reason
        return texts(
            f"heterogeneity.doses.{key}",
            dose=_first_up(dose),
            value=texts.number(float(line.doses[0])),
            n=len(line.units),
            distinct=line.n_distinct,
            arrangements=texts.number(line.n_arrangements),
            smallest=p_value(texts, line.smallest_p),
        )

    def written(slope: float | None, *, form: str = "difference") -> str:
        if slope is None:
            return texts("heterogeneity.table.unknown")
        return amount(texts, slope * _STEPS[kind], unit, form=form, sign=True, extra_digits=1)

    detectable, gradient = line.minimum_detectable_difference, line.verdict == "gradient"
    said = [
        texts(
            f"heterogeneity.doses.{'some' if gradient else 'none'}",
            outcome=outcome_label(study, judged.outcome, texts),
            dose=dose,
            slope=written(line.slope),
            step=texts(f"heterogeneity.step.{kind}"),
            low=written(line.low, form="short"),
            high=written(line.high, form="short"),
            p=p_value(texts, line.p_value or 0.0),
        )
    ]
    if not gradient and detectable is not None:
        least = amount(texts, detectable, unit)
        said.append(texts("heterogeneity.doses.power", n=len(line.units), detectable=least))
    if line.carried_by is not None:
        without = line.leave_one_out[line.units.index(line.carried_by)]
        area = study.areas.name(line.carried_by, texts.language)
        if without is None:
            said.append(texts("heterogeneity.doses.carried_none", area=area))
        elif gradient:  # where nothing could be shown, the picture's table says it
            said.append(texts("heterogeneity.doses.carried", area=area, without=written(without)))
    return " ".join(said)


def _table(
    evaluation: Evaluation,
    judged: _Judged,
    doses: Mapping[Kind, Mapping[str, float | None]],
    texts: Texts,
) -> Table:
    """The districts side by side: doses, estimates, the same pulled to the mean, and what they would be undiluted."""
    study, found = evaluation.study, judged.units
    indicator = study.indicator(judged.outcome)
    tested = {
        unit: result
        for unit in found.units
        if (result := evaluation.findings[judged.outcome, unit].inference) is not None
    }
    shares = {unit: None if one is None else one / 100 for unit, one in doses.get("share", {}).items()}
    rescaled = "share" in doses and bool(indicator.numerator) and bool(tested)
    undiluted = rescaled_by_share(tested, shares).set_index("unit") if rescaled else None
    kinds = list(doses)
    names = [*kinds, "estimate", *(["shrunken"] if judged.spread.shrunken is not None else [])]
    names += ["rescaled"] if rescaled else []
    unknown = texts("heterogeneity.table.unknown")
    rows = []
    for at, unit in enumerate(found.units):
        row = [study.areas.name(unit, texts.language)]
        for kind in kinds:
            dose = doses[kind].get(unit)
            number = unknown if dose is None else texts.number(dose)
            row.append(texts("unit.percent.level", number=number) if kind == "share" and dose else number)
        estimates = [found.estimates, judged.spread.shrunken]
        row += [
            amount(texts, float(one[at]), indicator.unit, form="short", sign=True)
            for one in estimates
            if one is not None
        ]
        if undiluted is not None:
            row.append(_undiluted(undiluted, unit, indicator.unit, texts) or unknown)
        rows.append(tuple(row))
    notes = [texts(f"heterogeneity.table.{name}_note") for name in names if name in ("shrunken", "rescaled")]
    return Table(
        caption=texts("heterogeneity.table.caption", outcome=outcome_label(study, judged.outcome, texts)),
        columns=(
            Column(label=texts("heterogeneity.table.area")),
            *(Column(label=texts(f"heterogeneity.table.{name}"), numeric=True) for name in names),
        ),
        rows=tuple(rows),
        note=" ".join(notes),
    )


def _undiluted(table: pd.DataFrame, unit: str, of: str, texts: Texts) -> str:
    """A rescaled effect with its interval; empty where it is not known."""
    own = table.loc[table.index == unit, ["rescaled", "rescaled_low", "rescaled_high"]]
    if own.empty or own.isna().to_numpy().any():
        return ""
    numbers = own.to_numpy(dtype=float)[0]
    ends = [amount(texts, float(one), of, form="short", sign=True) for one in numbers]
    return f"{ends[0]} ({ends[1]} … {ends[2]})"


def _picture(evaluation: Evaluation, judged: _Judged, texts: Texts) -> list[Part]:
    """Effect against the dose that differs most between the districts, where anything could be seen in it."""
    able = [(kind, line) for kind, line in judged.lines.items() if line.identifiable]
    if not able:
        return []
    kind, line = max(able, key=lambda one: one[1].n_distinct)
    words = study_words(evaluation, judged.outcome, ALL, texts)
    return [doses_picture(line, words, dose=texts(f"heterogeneity.dose.{kind}"), dose_decimals=0)]


def _first_up(text: str) -> str:
    return text[:1].upper() + text[1:]
