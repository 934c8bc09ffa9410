"""What the areas elsewhere are called with which a finding compares, and which areas it judges.

In: a study, a finding and a language. Out: words for pictures and reports. Never: "cities" where the references are
windows of neighbouring areas.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from ..evaluation import ALL, Evaluation
from ..findings import Finding
from ..sensitivity import RulePlacebo
from ..study import Study
from ..text import Texts

#: How the areas elsewhere were found: those that the rule chooses, those of the same rank, or some of each.
Matching = Literal["rule", "rank", "mixed"]


def neighbours(study: Study, texts: Texts) -> str:
    """What a reference is a group of, such as "36 neighbouring postal areas"; empty where it is a city."""
    spec = study.spec.reference
    if spec is None or spec.window is None:
        return ""
    key = f"elsewhere.unit.{study.areas.unit}"
    areas = texts(key if key in texts else "elsewhere.unit.area")
    return texts("elsewhere.neighbours", n=spec.window, areas=areas)


def references(form: str, groups_of: str, texts: Texts, *, n: str = "") -> str:
    """So many references in a form of the texts, as cities or as groups of `neighbours`."""
    return texts(f"elsewhere.{'window' if groups_of else 'city'}.{form}", n=n, neighbours=groups_of)


def matching(placebo: RulePlacebo) -> Matching:
    """How the counterparts of the treated areas were found."""
    ways = set(placebo.matched["matched_by"]) if len(placebo.matched) else {"rule"}
    if ways == {"rule"}:
        return "rule"
    return "rank" if ways == {"rank"} else "mixed"


def city_names(study: Study, language: str) -> dict[str, str]:
    """What cities are called in a language, by their first names, under which a rule placebo lists them."""
    names = {study.spec.areas.city.own: study.spec.areas.city.text(language)}
    listed = study.reference_areas
    if listed is not None:
        parents = set(listed.table["parent"].tolist())
        codes = [code for code in listed.table.index.tolist() if code in parents]
        names |= {listed.name(code, "fi"): listed.name(code, language) for code in codes}
    return names


def matching_of(findings: Iterable[Finding]) -> Matching | None:
    """How the counterparts were found in several findings; None where none has been compared with areas elsewhere."""
    ways = {matching(finding.placebo) for finding in findings if finding.placebo is not None}
    return ways.pop() if len(ways) == 1 else "mixed" if ways else None


def subject_name(evaluation: Evaluation, finding: Finding, texts: Texts) -> str:
    """Whom a finding judges: an area, all areas of the programme, or those of them that the rule placebo judges."""
    if finding.subject != ALL:
        return " ".join(evaluation.study.areas.name(finding.subject, texts.language).split())
    judged = set(finding.placebo.matched["area"]) if finding.placebo is not None else set()
    if not judged or judged == set(evaluation.design.treated):
        return texts("figure.all")
    study = evaluation.study
    waves = zip(study.programme.wave, study.wave_areas, strict=True)
    begun = [set(codes) for wave, codes in waves if wave.first <= evaluation.year]
    every = all(judged <= codes for codes in begun)
    return texts("elsewhere.every_wave" if every else "elsewhere.first_wave", n=len(judged))
