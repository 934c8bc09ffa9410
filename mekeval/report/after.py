"""The change of areas since they left the programme.

In: an evaluation. Out: a table, or nothing. Never: these years called years of the programme.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..evaluation import Evaluation
from ..figures.elsewhere import neighbours, references
from ..figures.words import lower_first
from ..tables import Column, Table
from ..text import Texts, ranges
from .parts import Part, interval_text
from .planned import outcome_label
from .sentences import amount, p_of


def after_tables(evaluation: Evaluation, codes: Sequence[str], texts: Texts) -> list[Part]:
    """The change since districts left, of those that have: the area is named where there is more than one."""
    rows: list[tuple[str, ...]] = []
    ways: dict[str, bool] = {}
    every = [(outcome, code) for outcome in evaluation.study.plan.outcomes for code in codes]
    for outcome, code in every:
        result = evaluation.after.get((outcome, code))
        if result is None:
            continue
        indicator = evaluation.study.indicator(outcome)
        label = outcome_label(evaluation.study, outcome, texts)
        ways[label] = ways.get(label, True) and result.method == "rule_placebo"
        cells = evaluation.effects[outcome].cells
        own = cells.loc[(cells["path"] == evaluation.design.path_of(code).name) & (cells["phase"] == "after")]
        area = evaluation.study.areas.name(code, texts.language)
        rows.append(
            (
                label if len(codes) == 1 else f"{label}, {area}",
                ranges([int(year) for year in own["period"]]),
                amount(texts, result.estimate, indicator.unit, form="short", sign=True),
                interval_text(result, indicator.unit, texts),
                p_of(texts, result),
            )
        )
    if not rows:
        return []
    level = texts.short(100 * (1 - evaluation.study.plan.alpha))
    columns = (
        Column(label=texts("report.effect.outcome")),
        Column(label=texts("report.effect.after_years"), numeric=True),
        Column(label=texts("report.effect.estimate"), numeric=True),
        Column(label=texts("report.effect.interval", level=level), numeric=True),
        Column(label=texts("report.effect.p"), numeric=True),
    )
    caption, note = texts("report.effect.after_caption"), texts("report.effect.after_note")
    if any(ways.values()):
        where = references("all", neighbours(evaluation.study, texts), texts)
        caption = texts("report.effect.after_caption_rule")
        note = texts("report.effect.after_note_rule", where=where)
        without = [lower_first(label) for label, ruled in ways.items() if not ruled]
        if without:
            note += " " + texts("report.effect.after_note_both", outcomes="; ".join(without))
    return [Table(caption=caption, columns=columns, rows=tuple(rows), note=note)]
