"""Which areas a rule chooses, how clearly, and which it would choose next.

In: a study with a rule. Out: `Targeting`. Never: a ranking without its margin, or a year that is not named.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from .design import Rule, Selection, SelectionStability, apply_rule, rule_criteria, selection_stability
from .display import Shown, frame_table, written
from .errors import DesignError, MekevalError
from .indicators import clean_indicators
from .panel import Floats, Panel, build_panel
from .study import Study, read_study
from .tables import Table

#: Spread of the logarithms of weights in the draws of stability: a third more or less, most of the time.
WEIGHT_SPREAD = 0.3


@dataclass(frozen=True, kw_only=True, repr=False)
class Targeting(Shown):
    """What a programme's rule chooses.

    Attributes
    ----------
    rule : Rule
        With the years that the study names for its criteria.
    selection : Selection
        By these years.
    table : pandas.DataFrame
        One row for each area, worst first: `area`, `name`, each criterion in its own unit, `score`, `rank`, `chosen`,
        `in_programme` (whether it ever was), `why_not`.
    stability : SelectionStability or None
        Under errors of counting and other weights; None where a criterion is no rate in per cent.
    agreement : pandas.DataFrame
        One row for each area that the rule or the programme chose: `area`, `name`, `rank`, `by_rule`, `in_programme`.
    alternatives : pandas.DataFrame
        One row for each other way to choose: `way`, `years` of the criteria, `chosen` (names, the worst off first),
        `shared` (how many areas are the same as by the rule), `margin` (in the unit of the score), `problem` where
        nothing could be chosen.
    next_rule : Rule
        The same rule with each criterion in its last year with data.
    next_selection : Selection
        Who it would choose: "which areas next?".
    next_table : pandas.DataFrame
        As `table`, by the last years; `was_chosen` says who was chosen by the study's years.
    """

    rule: Rule
    selection: Selection
    table: pd.DataFrame
    stability: SelectionStability | None
    agreement: pd.DataFrame
    alternatives: pd.DataFrame
    next_rule: Rule
    next_selection: Selection
    next_table: pd.DataFrame

    def _shown(self) -> list[Table]:
        margin = f"Margin between the last area chosen and the next: {written(self.selection.margin)}."
        next_one = (
            f"Margin: {written(self.next_selection.margin)}. Criteria: {written(self.next_rule.criteria)}."
        )
        return [
            frame_table(
                self.agreement, caption="Targeting: whom the rule and the programme chose", note=margin
            ),
            frame_table(
                self.next_table.loc[self.next_table["chosen"].astype(bool)],
                caption="Targeting: whom the same rule would choose by the last data",
                note=next_one,
            ),
        ]


def targeting(
    study: Study | str | Path,
    *,
    raw: str | Path | None = None,
    language: str = "en",
    year: int | None = None,
    seed: int | None = None,
) -> Targeting:
    """Apply the rule of a study, and ask how far the choice depends on indicators, years, weights and chance.

    Parameters
    ----------
    study : Study, str or Path
        A study with `[programme.rule]`, or its folder.
    raw : str or Path, optional
        As in `read_study`.
    language : {"fi", "sv", "en"}
        Of the areas' names.
    year : int, optional
        "Next" goes by data up to this year; by default the last year with data.
    seed : int, optional
        Of the draws of stability; the study's own by default.

    Returns
    -------
    Targeting

    Raises
    ------
    DesignError
        The study has no rule, or the rule can choose nobody.
    MekevalError
        As `read_study` and `clean_indicators`.

    Notes
    -----
    The size of an area is the number of persons behind the rule's population indicator in the year of its own
    criterion, or the last one before with a number; a way to choose that leaves this criterion out keeps that year.

    A ranking says who is worst off by these criteria. It does not say where a programme would do most good.

    Examples
    --------
    >>> from mekeval import example_study
    >>> found = targeting(example_study())
    >>> found.agreement[["name", "by_rule", "in_programme"]].head(3).to_dict("list")["in_programme"]
    [True, True, True]
    """
    known = study if isinstance(study, Study) else read_study(study, raw=raw)
    spec = known.programme.rule
    if spec is None:
        raise DesignError(
            "The study has no rule.",
            where="study.toml, programme",
            expected="a table [programme.rule] with the criteria and their years",
        )
    indicators = clean_indicators(known)
    panel = build_panel(indicators.table, units=known.areas.units, last_period=year)
    rule = Rule(
        criteria=dict(spec.criteria),
        choose=spec.choose,
        higher_is={name: "better" for name in spec.criteria if known.indicator(name).higher_is == "better"},
        minimum_population=spec.minimum_population,
    )
    names = {code: known.areas.name(code, language) for code in panel.units}
    treated = {code for wave in known.wave_areas for code in wave}
    latest = replace(rule, criteria={name: _last_year(panel, name) for name in rule.criteria})
    selection, following = (_apply(panel, one, spec.population) for one in (rule, latest))
    table = _named(panel, rule, selection, names, treated)
    return Targeting(
        rule=rule,
        selection=selection,
        table=table,
        stability=_stability(panel, rule, spec.population, known.spec.study.seed if seed is None else seed),
        agreement=_agreement(table),
        alternatives=_alternatives(panel, rule, spec.population, set(selection.chosen), names),
        next_rule=latest,
        next_selection=following,
        next_table=_named(panel, latest, following, names, treated).assign(
            was_chosen=lambda frame: frame["area"].isin(selection.chosen)
        ),
    )


def _last_year(panel: Panel, name: str) -> int:
    """The last year in which at least half of the areas have a value."""
    there = np.mean(~np.isnan(panel.values[name]), axis=0) >= 0.5
    if not there.any():
        raise DesignError("A criterion has no year with data of half of the areas.", found=repr(name))
    return int(np.asarray(panel.periods)[there].max())


def _sizes(panel: Panel, rule: Rule, population: str) -> Floats | None:
    """Persons in each area, shape (n_units,), by the year of the indicator that counts them; None where none does."""
    if not population:
        return None
    years = [int(str(base)) for base in rule.criteria.values()]
    base = int(str(rule.criteria.get(population, max(years))))
    counts = pd.DataFrame(panel.bases[population])[
        [at for at, year in enumerate(panel.periods) if year <= base]
    ]
    return counts.ffill(axis=1).iloc[:, -1].fillna(0).to_numpy(dtype=np.float64)


def _apply(panel: Panel, rule: Rule, population: str) -> Selection:
    return apply_rule(
        panel.units, rule_criteria(panel, rule), rule, population=_sizes(panel, rule, population)
    )


def _named(
    panel: Panel, rule: Rule, selection: Selection, names: Mapping[str, str], treated: set[str]
) -> pd.DataFrame:
    own = rule_criteria(panel, rule)
    table = selection.table
    levels = own.loc[table["area"]].reset_index(drop=True)
    return pd.DataFrame(
        {
            "area": table["area"],
            "name": table["area"].map(names),
            **{name: levels[name] for name in rule.criteria},
            "score": table["score"],
            "rank": table["rank"],
            "chosen": table["chosen"],
            "in_programme": table["area"].isin(treated),
            "why_not": table["why_not"],
        }
    )


def _agreement(table: pd.DataFrame) -> pd.DataFrame:
    either = table.loc[table["chosen"] | table["in_programme"]]
    kept = either[["area", "name", "rank", "chosen", "in_programme"]]
    return kept.rename(columns={"chosen": "by_rule"}).reset_index(drop=True)


def _stability(panel: Panel, rule: Rule, population: str, seed: int) -> SelectionStability | None:
    columns = {name: panel.periods.index(int(str(base))) for name, base in rule.criteria.items()}
    persons = pd.DataFrame(
        {name: panel.bases[name][:, column] for name, column in columns.items()}, index=panel.units
    )
    try:
        return selection_stability(
            panel.units,
            rule_criteria(panel, rule),
            rule,
            population=_sizes(panel, rule, population),
            persons=persons,
            weight_spread=WEIGHT_SPREAD if len(columns) > 1 else 0.0,
            seed=seed,
        )
    except MekevalError:  # an income has no error of counting
        return None


def _alternatives(
    panel: Panel, rule: Rule, population: str, chosen: set[str], names: Mapping[str, str]
) -> pd.DataFrame:
    rows = []
    for way, other in _ways(panel, rule):
        row: dict[str, object] = {
            "way": way,
            "years": ", ".join(f"{name} {base}" for name, base in other.criteria.items()),
            "chosen": "",
            "shared": pd.NA,
            "margin": pd.NA,
            "problem": "",
        }
        try:
            # the size of an area does not depend on which criteria are looked at
            sizes = _sizes(panel, replace(rule, criteria={**rule.criteria, **other.criteria}), population)
            found = apply_rule(panel.units, rule_criteria(panel, other), other, population=sizes)
        except MekevalError as error:
            row["problem"] = error.faults[0].what
        else:
            row["chosen"] = ", ".join(names[code] for code in found.chosen)
            row["shared"] = len(chosen & set(found.chosen))
            row["margin"] = found.margin
        rows.append(row)
    return pd.DataFrame(rows).astype({"shared": "Int64", "margin": "Float64"})


def _ways(panel: Panel, rule: Rule) -> Iterator[tuple[str, Rule]]:
    """Other ways to choose: ranks, each criterion alone and left out, and every year with data of each."""
    yield "by ranks", replace(rule, score="rank")
    if len(rule.criteria) > 1:
        for name, base in rule.criteria.items():
            yield f"{name} alone", _only(rule, {name: base})
        for name in rule.criteria:
            rest = {other: base for other, base in rule.criteria.items() if other != name}
            yield f"without {name}", _only(rule, rest)
    for name, base in rule.criteria.items():
        for year in _years(panel, name):
            if year != base:
                yield f"{name} of {year}", replace(rule, criteria={**rule.criteria, name: year})


def _only(rule: Rule, criteria: Mapping[str, int | tuple[int, ...]]) -> Rule:
    return replace(
        rule,
        criteria=criteria,
        higher_is={name: way for name, way in rule.higher_is.items() if name in criteria},
    )


def _years(panel: Panel, name: str) -> Sequence[int]:
    there = np.mean(~np.isnan(panel.values[name]), axis=0) >= 0.5
    return [int(year) for year, known in zip(panel.periods, there, strict=True) if known]
