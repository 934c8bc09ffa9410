"""A panel to explore a study in a notebook: choose, and the picture and the test are there at once.

In: a study. Out: a widget that redraws by itself. Never: a verdict, or a traceback in place of what is wrong.
"""

from __future__ import annotations

from html import escape
from importlib import import_module
from pathlib import Path

from ..dates import AsOf
from ..design import study_design
from ..errors import MekevalError
from ..figures import About, Picture, plot_group_time
from ..figures.words import words_for
from ..study import Study
from ..text import Texts
from .answers import ALL, COMPARISONS, Answer, Asked, Ready, answer, make_ready

__all__ = ["COMPARISONS", "Answer", "Asked", "Ready", "answer", "answer_html", "explore", "make_ready"]

_LEAST_P = 0.001


def explore(
    study: Study | str | Path,
    *,
    year: int | None = None,
    raw: str | Path | None = None,
    as_of: AsOf = None,
    language: str = "en",
) -> object:
    """A panel that chooses outcome, district, comparison and years, and redraws at once.

    It says so where the choices are not those of the plan: what is found by looking around is no finding. Data are read
    and cleaned once, every choice is estimated anew.

    Parameters
    ----------
    study, year, raw, as_of
        As in `evaluate`; by default the last year with data.
    language : {"en", "fi", "sv"}
        Of labels and pictures; errors are in English.

    Returns
    -------
    ipywidgets.VBox
        It shows itself in a notebook.

    Raises
    ------
    MekevalError
        The extra `lab` is not installed; the study cannot be read, has no programme, or has no data in the year.

    Notes
    -----
    Needs ``pip install "mekeval[lab]"``.
    """
    try:
        widgets = import_module("ipywidgets")
    except ImportError:
        raise MekevalError(
            "The panel needs a package that is not installed.",
            found="no module ipywidgets",
            fix='Install the extra "lab": pip install "mekeval[lab]".',
        ) from None
    texts = Texts(language)
    ready = make_ready(study, year=year, raw=raw, as_of=as_of)
    design = study_design(ready.study, last_period=ready.year)
    planned = ready.study.plan.outcomes
    outcomes = [*planned, *(name for name in ready.panel.outcomes if name not in planned)]
    names = [(ready.study.indicator(name).label.text(language), name) for name in outcomes]
    districts = [(ready.study.areas.name(code, language), code) for code in design.treated]
    wide = widgets.Layout(width="max-content")
    made = {"layout": wide, "style": {"description_width": "initial"}}
    outcome = widgets.Dropdown(options=names, description=texts("lab.outcome"), **made)
    district = widgets.Dropdown(
        options=[(texts("figure.all"), ALL), *districts], description=texts("lab.district"), **made
    )
    comparison = widgets.Dropdown(
        options=[(_called(name, texts), name) for name in COMPARISONS],
        description=texts("lab.comparison"),
        **made,
    )
    periods = ready.panel.periods
    years = widgets.SelectionRangeSlider(
        options=periods,
        index=(0, len(periods) - 1),
        description=texts("lab.years"),
        continuous_update=False,
        style={"description_width": "initial"},
    )
    shown = widgets.HTML()

    def redraw(_: object = None) -> None:
        first, last = years.value
        asked = Asked(
            outcome=outcome.value,
            district=district.value,
            comparison=comparison.value,
            first=first,
            last=last,
        )
        shown.value = answer_html(ready, asked, texts)

    for control in (outcome, district, comparison, years):
        control.observe(redraw, names="value")
    redraw()
    return widgets.VBox([outcome, district, comparison, years, shown])


def answer_html(ready: Ready, asked: Asked, texts: Texts) -> str:
    """An answer as part of a page: in words, as a picture, as numbers; or what is wrong, in words as well.

    Parameters
    ----------
    ready : Ready
    asked : Asked
    texts : Texts

    Returns
    -------
    str
        HTML in which every text is escaped.
    """
    try:
        found = answer(ready, asked)
        first, *rest = _in_words(ready, found, texts)
        parts = [f"<p><strong>{escape(first)}</strong></p>", *(f"<p>{escape(line)}</p>" for line in rest)]
        picture = _picture(ready, found, texts)
        parts += [] if picture is None else [picture._repr_html_()]
        parts.append(found._repr_html_())
    except MekevalError as error:
        lines = "<br>".join(map(escape, str(error).splitlines()))
        return f'<div role="alert"><p><strong>{escape(texts("lab.wrong"))}</strong></p><p>{lines}</p></div>'
    return f'<div role="status">{"".join(parts)}</div>'


def _about(ready: Ready, asked: Asked, texts: Texts) -> About:
    """What the picture of an answer is called, in the language of the texts."""
    study = ready.study
    indicator = study.indicator(asked.outcome)
    names = {code: study.areas.name(code, texts.language) for code in study.areas.units}
    return About(
        outcome=indicator.label.text(texts.language),
        unit=indicator.unit,
        subject=names.get(asked.district, texts("figure.all")),
        names=names,
        source=study.spec.study.attribution.text(texts.language),
        synthetic=study.spec.study.synthetic,
    )


def _picture(ready: Ready, found: Answer, texts: Texts) -> Picture | None:
    """The effects by year; None for an estimator that has one number for all years."""
    if found.effects.cells["period"].isna().any():
        return None
    said = _about(ready, found.asked, texts)
    return plot_group_time(found.effects, alpha=ready.study.plan.alpha, texts=texts, about=said)


def _in_words(ready: Ready, found: Answer, texts: Texts) -> list[str]:
    """Whether it was planned, what was found, and what the comparison cannot tell; a sentence or two each."""
    what = texts.join([texts(f"lab.what.{name}") for name in found.unplanned])
    lines = [texts("lab.unplanned", what=what) if what else texts("lab.planned")]
    words = words_for(texts, _about(ready, found.asked, texts))
    tested = found.inference
    parts: dict[str, object] = {
        "outcome": words.label,
        "subject": words.name,
        "estimate": words.change(found.estimate, form="difference"),
    }
    if tested is None:
        return [*lines, texts("lab.untested", why=found.untested, **parts)]
    if not tested.identifiable or tested.low is None or tested.high is None:
        return [*lines, texts("lab.unidentifiable", p=words.p_value(tested.smallest_p), **parts)]
    parts |= {
        "level": texts("figure.column.interval", level=texts.number(100 * (1 - tested.alpha))),
        "interval": words.interval(tested.low, tested.high),
        "p": words.p_value(max(tested.p_value, _LEAST_P), floor=tested.p_value < _LEAST_P),
    }
    lines.append(texts("lab.found" if tested.p_value <= tested.alpha else "lab.chance", **parts))
    if found.placebo is not None:
        lines.append(texts("lab.by_rule", n=texts.number(len(found.placebo.cities) - 1)))
    else:
        ways = study_design(ready.study, last_period=found.asked.last).selected_by
        subject = found.asked.district
        chosen = [way for unit, way in ways.items() if subject in (ALL, unit) and way != "discretion"]
        lines += [texts("lab.chosen")] if chosen else []
    return lines


def _called(comparison: str, texts: Texts) -> str:
    key = f"lab.against.{comparison}"
    return texts(key) if key in texts else texts(f"others.name.{comparison}")
