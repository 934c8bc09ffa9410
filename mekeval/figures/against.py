"""A programme against its comparison, year by year: with bands that hold for all years, and against a synthetic area.

In: an evaluation, an outcome and a subject. Out: `Picture`. Never: an estimate that is not of the evaluation's own
panel and design.
"""

from __future__ import annotations

from dataclasses import replace

from ..errors import DesignError
from ..estimate import Effects, aggregate, group_time_att, synthetic_fit
from ..evaluation import ALL, Evaluation
from ..inference import JointBands, permutation_bands
from ..sensitivity.questions import only
from ..text import Texts
from .event_study import plot_event_study
from .picture import Picture
from .study import entered, study_words
from .synthetic import plot_synthetic


def plot_years(evaluation: Evaluation, *, outcome: str, subject: str, texts: Texts) -> Picture:
    """Draw the event study of a district or of the programme, with intervals and with joint bands.

    Parameters
    ----------
    evaluation : Evaluation
    outcome : str
    subject : str
        Code of a treated district, or "all".
    texts : Texts

    Returns
    -------
    Picture
        As `plot_event_study`, with the bands of `permutation_bands`: which areas were chosen is permuted over the
        treated and the comparison areas, all years together. The base years are marked at the foot. These are
        differences from the comparison areas; what the rule brings about elsewhere is not taken away from them.

    Raises
    ------
    DataError
        The outcome was not estimated.
    DesignError
        The subject is not treated or was left out; the comparison is too small for bands.
    """
    effects, _, _ = entered(evaluation, outcome, subject)
    if subject != ALL:
        effects = group_time_att(evaluation.panel, only(evaluation.design, subject), outcome=outcome)
    plan = evaluation.study.plan
    bands = permutation_bands(effects, alpha=plan.alpha, seed=evaluation.study.spec.study.seed)
    words = study_words(evaluation, outcome, subject, texts)
    drawn = plot_event_study(
        effects, bands=bands, texts=texts, about=replace(words.about, decimals=words.decimals)
    )
    headline = words.say(
        "years.headline",
        estimate=words.change(_mean(effects), form="difference"),
        level=texts.short(100 * (1 - plan.alpha)),
        **_counted(effects, bands),
    )
    counted = words.say(
        "years.n", treated=int((effects.group >= 0).sum()), n=int((effects.group == -1).sum())
    )
    return replace(
        drawn,
        headline=headline,
        subtitle=f"{drawn.subtitle} {counted}",
        alt=drawn.alt.replace(drawn.headline, headline),
    )


def _mean(effects: Effects) -> float:
    """The mean effect while treated."""
    return float(aggregate(effects, by="simple").weights[0] @ effects.cells["att"].to_numpy(dtype=float))


def _counted(effects: Effects, bands: JointBands) -> dict[str, int]:
    """Times in the programme and before it, and how many of their joint bands leave out zero."""
    table = bands.table
    out = ((table["low_uniform"] > 0) | (table["high_uniform"] < 0)).fillna(False).to_numpy(dtype=bool)
    known = (table["low_uniform"].notna() & table["high_uniform"].notna()).to_numpy()
    full = set(effects.cells.loc[effects.cells["phase"] == "on", "event_time"])
    inside = table["key"].isin(full).to_numpy() & known
    before = (table["key"] < 0).to_numpy() & known
    return {
        "n": int((out & inside).sum()),
        "m": int(inside.sum()),
        "k": int((out & before).sum()),
        "j": int(before.sum()),
    }


def plot_counterpart(evaluation: Evaluation, *, outcome: str, subject: str, texts: Texts) -> Picture:
    """Draw the path of a district beside a synthetic one, with the weights of the areas that it is made of.

    Parameters
    ----------
    evaluation : Evaluation
    outcome : str
    subject : str
        Code of a treated district.
    texts : Texts

    Returns
    -------
    Picture
        As `plot_synthetic`, by synthetic control around the means before entry: a constant difference in level is
        allowed, as districts chosen for being worse off lie beyond the reach of the others.

    Raises
    ------
    DataError
        The outcome was not estimated.
    DesignError
        The subject is not one treated district, was left out, or has too few years before it entered.
    """
    if subject == ALL:
        raise DesignError(
            "A synthetic counterpart is that of one area.",
            where="subject",
            found=repr(subject),
            expected="a code",
        )
    entered(evaluation, outcome, subject)
    words = study_words(evaluation, outcome, subject, texts)
    fit = synthetic_fit(
        evaluation.panel,
        evaluation.design,
        outcome=outcome,
        unit=subject,
        method="demeaned_synthetic_control",
    )
    return plot_synthetic(fit, texts=texts, about=replace(words.about, decimals=words.decimals))
