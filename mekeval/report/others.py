"""What other estimators say of the same outcomes, and published figures beside them.

In: an evaluation. Out: a section, or nothing. Never: a verdict.
"""

from __future__ import annotations

import pandas as pd

from ..evaluation import Evaluation
from ..study import Published
from ..tables import Column, Table
from ..text import NO_BREAK, Texts
from .parts import Part, Section, bullets, heading, paragraph, section
from .planned import outcome_label
from .sentences import decimals_of


def others_section(evaluation: Evaluation, texts: Texts) -> Section:
    """A table for each outcome and, where figures were published, whether these data give them again."""
    wanted = evaluation.study.spec.other_estimates
    if wanted is None or not evaluation.others:
        return section("")
    parts: list[Part] = [
        heading(texts("others.heading"), 3),
        paragraph(texts("others.intro")),
        *(_table(evaluation, name, table, texts) for name, table in evaluation.others.items()),
    ]
    published = [one for one in wanted.published if one.outcome in evaluation.others]
    if published:
        parts.append(bullets([_again(evaluation, one, texts) for one in published]))
    return section(*parts)


def _table(evaluation: Evaluation, outcome: str, table: pd.DataFrame, texts: Texts) -> Table:
    decimals = decimals_of(evaluation.study.indicator(outcome).unit) + 1
    none = texts("others.none")

    def number(value: object, digits: int, *, sign: bool = False) -> str:
        return texts.number(float(value), digits, sign=sign) if isinstance(value, int | float) else none

    rows = [
        (
            texts(f"others.name.{row['estimator']}"),
            number(row["estimate"], decimals, sign=True),
            number(row["se"], decimals),
            number(row["n_units"], 0),
            texts(f"others.asks.{row['estimator']}"),
        )
        for row in table.astype(object).to_dict("records")
    ]
    return Table(
        caption=texts("others.caption", outcome=outcome_label(evaluation.study, outcome, texts)),
        columns=(
            Column(label=texts("others.estimator")),
            Column(label=texts("report.effect.estimate"), numeric=True),
            Column(label=texts("others.se"), numeric=True),
            Column(label=texts("others.units"), numeric=True),
            Column(label=texts("others.asks.heading")),
        ),
        rows=tuple(rows),
    )


def _again(evaluation: Evaluation, published: Published, texts: Texts) -> str:
    """Whether the data give a published figure again, to the digits that were printed."""
    table = evaluation.others[published.outcome].astype(object).set_index("estimator")
    found = [table.loc[published.estimator, name] for name in ("estimate", "se")]

    def figure(estimate: object, se: object) -> str:
        if not isinstance(estimate, float) or not isinstance(se, float):
            return texts("others.none")
        said = texts.number(estimate, published.decimals, sign=True)
        return f"{said}{NO_BREAK}({texts.number(se, published.decimals)})"

    printed, here = figure(published.estimate, published.se), figure(*found)
    return texts(
        "others.same" if here == printed else "others.differs",
        source=published.source.text(texts.language).rstrip("."),
        printed=printed,
        here=here,
        estimator=texts(f"others.name.{published.estimator}"),
    )
