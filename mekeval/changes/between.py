"""Two published sets or two evaluations -> `Difference`.

In: two folders or two evaluations of one study, and the data where they are at hand. Out: `Difference`. Never: sets of
different studies beside each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from ..errors import RunError
from ..evaluation import Evaluation
from ..study import Study, read_study
from .attribution import Behind, attributed, behind_evaluations, behind_sets, steps_of
from .compared import (
    findings_beside,
    is_reversed,
    made_from,
    no_revisions,
    pairs_of,
    refuse_unlike,
    revised_values,
)
from .difference import Difference, Replaced
from .sides import Side, side_of_evaluation, side_of_set


def changes_between(
    old: str | Path | Evaluation,
    new: str | Path | Evaluation,
    *,
    years: tuple[int, int] | None = None,
    study: str | Path | Study | None = None,
    old_study: str | Path | Study | None = None,
    raw: str | Path | None = None,
) -> Difference:
    """Compare two published sets, or two evaluations, and say why estimates changed where the data are at hand.

    Parameters
    ----------
    old, new : str, Path or Evaluation
        Folders of published sets, or evaluations; both of one study, and both of the same sort.
    years : (int, int), optional
        Year of the old and of the new findings. By default each year that both have is compared with itself, and the
        last year of the new side with the last year of the old side.
    study : str, Path or Study, optional
        With two sets: the study of the new one, with its raw files. Estimates are then found again in steps, each with
        one thing changed; without it no change of an estimate is explained.
    old_study : str, Path or Study, optional
        With two sets: the study as it was for the old one, where its definition was another one or its raw files were
        replaced since.
    raw : str or Path, optional
        As in `read_study`.

    Returns
    -------
    Difference

    Raises
    ------
    RunError
        A folder holds no set with findings, or one of another form; two studies; a year without findings.

    Notes
    -----
    The way leads from the old estimate to the new one: the method of today on the old data by the old definition, the
    old year with the data as they are known now, the new year, the new definition. Where the old definition is not at
    hand, the new one comes first, on the old data. The parts are differences of neighbouring estimates with their
    twelve published digits, so they add up exactly. Another order would give other parts.

    Examples
    --------
    >>> from mekeval import changes_between, evaluate, example_study, read_study
    >>> study = read_study(example_study())
    >>> then, now = (evaluate(study, year=year, district="Hakunila") for year in (2020, 2021))
    >>> found = changes_between(then, now)
    >>> change = found.findings[0]
    >>> [part.causes for part in change.parts], sum(part.value for part in change.parts) == change.change
    ([('new_year',)], True)
    """
    if isinstance(old, Evaluation) and isinstance(new, Evaluation):
        sides = side_of_evaluation(old), side_of_evaluation(new)
        return _difference(*sides, years, lambda: behind_evaluations(old, new))
    if isinstance(old, Evaluation) or isinstance(new, Evaluation):
        raise RunError(
            "A published set and an evaluation are not compared with each other.",
            expected="two folders, or two evaluations",
            fix="Publish the evaluation with `mekeval run`.",
        )
    if old_study is not None and study is None:
        raise RunError("The old study alone explains nothing.", where="old_study", fix="Add: study")
    first, second = side_of_set(Path(old)), side_of_set(Path(new))
    refuse_unlike(first, second)
    if study is None:
        return _difference(first, second, years, None)
    now = _study(study, raw, second.study)
    before = None if old_study is None else _study(old_study, raw, second.study)
    return _difference(first, second, years, lambda: behind_sets(first, second, now, before))


def _study(given: str | Path | Study, raw: str | Path | None, name: str) -> Study:
    study = given if isinstance(given, Study) else read_study(given, raw=raw)
    if study.name != name:
        raise RunError(
            "The study is not that of the sets.",
            where=study.folder.name,
            found=study.name,
            expected=name,
        )
    return study


def _difference(
    old: Side, new: Side, years: tuple[int, int] | None, at_hand: Callable[[], Behind | None] | None
) -> Difference:
    """Put two sides beside each other; `at_hand` finds what stands behind them, where that is needed."""
    refuse_unlike(old, new)
    pairs = pairs_of(old, new, years)
    findings = list(findings_beside(old, new, pairs))
    replaced = tuple(made_from(old, new))
    notes = list(_notes(old, new, pairs))
    moved = [one for one in findings if one.change and not one.hidden]
    behind = None
    if at_hand is not None and (
        moved or any(one.kind == "source" for one in replaced) or old.as_of != new.as_of
    ):
        behind = at_hand()
    steps: tuple[str, ...] = ()
    revisions = no_revisions()
    if behind is not None:
        findings = attributed(findings, behind, old, new)
        steps = tuple(dict.fromkeys("+".join(one.causes) for one in steps_of(behind, old, new, pairs[-1])))
        if not behind.same_data:
            units = behind.new.study.areas.units
            revisions = revised_values(behind.old.indicators, behind.new.indicators, units)
    else:
        findings = [replace(one, unattributed="raw_data") if one in moved else one for one in findings]
    return Difference(
        study=new.study,
        old=old.name,
        new=new.name,
        years=pairs,
        as_of=(old.as_of, new.as_of),
        findings=tuple(findings),
        made_from=replaced,
        revisions=revisions,
        revisions_known=behind is not None or not _other_data(old, new, replaced),
        steps=steps,
        notes=tuple(notes),
        title=new.title,
        city=new.city,
        outcomes={**old.outcomes, **new.outcomes},
        areas={**old.areas, **new.areas},
        units={**old.units, **new.units},
        synthetic=new.synthetic or old.synthetic,
    )


def _other_data(old: Side, new: Side, replaced: tuple[Replaced, ...]) -> bool:
    return old.as_of != new.as_of or any(one.kind == "source" for one in replaced)


def _notes(old: Side, new: Side, pairs: tuple[tuple[int, int], ...]) -> Iterator[str]:
    if is_reversed(old, new, pairs):
        yield "reversed"
    if set(old.languages) != set(new.languages):
        yield "languages"
    yield from (f"{name}_altered" for name, side in (("old", old), ("new", new)) if side.altered)
    if {outcome for _, _, outcome in old.findings} != {outcome for _, _, outcome in new.findings}:
        yield "outcomes"
    if old.definition != new.definition and (old.planned is None or new.planned is None):
        yield "definition_unknown"
