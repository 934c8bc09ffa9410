"""What a plan fixes, by key: the contents of `plan.lock`.

In: `study.toml` and the lists beside it. Out: values that JSON has, the same for the same plan however it is written.
Never: the raw data.
"""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import BaseModel

from ..errors import Fault
from .files import MOST_LIST_BYTES, inside
from .formula import signed_terms
from .schema import About, AreasTable, IndicatorSpec, Plan, Reference, Rule, StudySpec, Wave

#: The tables whose keys a plan fixes: a key that a lock does not know counts as its default.
_TABLES: tuple[tuple[str, type[BaseModel]], ...] = (
    ("plan", Plan),
    ("study", About),
    ("areas", AreasTable),
    ("programme.wave", Wave),
    ("programme.rule", Rule),
    ("reference", Reference),
    ("indicator", IndicatorSpec),
)
_SUMS = ("numerator", "denominator", "value", "base")


def planned(folder: Path, spec: StudySpec) -> dict[str, object]:
    """What a plan fixes, by key.

    The table `[plan]`; who is treated when and by what rule; how the outcomes, and the indicators that the rule looks
    at, are defined; the seed; the areas and reference cities, by the contents of their lists. Not: the raw files,
    which grow every year and are hashed in every manifest; labels, titles and money; reasons, which come later.

    Returns
    -------
    dict of str to object
        Values that JSON has.
    """
    content: dict[str, object] = {
        "study.seed": spec.study.seed,
        "study.minimum_base": spec.study.minimum_base,
        "areas.unit": spec.areas.unit,
        "areas.comparison": spec.areas.comparison,
        "areas.file": _listed(folder, spec.areas.file),
        "areas.crosswalk": _listed(folder, spec.areas.crosswalk),
        "areas.neighbours": _listed(folder, spec.areas.neighbours),
    }
    if spec.plan is not None:
        content |= _dumped("plan", spec.plan, exclude={"deviation"})
    for wave in spec.waves:
        content |= _dumped(f"programme.wave.{wave.name}", wave, exclude={"name", "eur_per_year"})
    looked_at = set(spec.outcomes)
    if spec.rule is not None:
        content |= _dumped("programme.rule", spec.rule)
        looked_at |= {*spec.rule.criteria, spec.rule.population}
    if spec.reference is not None:
        content |= _dumped("reference", spec.reference)
        content["reference.areas"] = _listed(folder, spec.reference.areas)
        content["reference.exclude"] = sorted(one.city for one in spec.reference.exclude)
    for indicator in spec.indicator:
        if indicator.name in looked_at:
            place = f"indicator.{indicator.name}"
            content |= {f"{place}.{part}": _sum(getattr(indicator, part)) for part in _SUMS}
            kept = {"otherwise", "unit", "higher_is", "plausible", "breaks"}
            content |= _dumped(place, indicator, exclude=set(IndicatorSpec.model_fields) - kept)
    return content


def default_of(key: str, locked: Mapping[str, object]) -> str | None:
    """The value of a key before the library had it, in a table that the locked plan has; else None."""
    table, _, name = key.rpartition(".")
    if not any(one.startswith(f"{table}.") for one in locked):
        return None
    for prefix, model in _TABLES:
        if table == prefix or table.startswith(f"{prefix}."):
            field = model.model_fields.get(name)
            if field is not None and not field.is_required():
                return canonical(field.get_default(call_default_factory=True))
    return None


def missing_lists(folder: Path, spec: StudySpec, where: str) -> Iterator[Fault]:
    """Lists of areas that a plan fixes and that cannot be read."""
    for key, name in (
        ("areas.file", spec.areas.file),
        ("areas.crosswalk", spec.areas.crosswalk),
        ("areas.neighbours", spec.areas.neighbours),
        ("reference.areas", spec.reference.areas if spec.reference else ""),
    ):
        if name and not _digest(folder, name):
            yield Fault(
                what="A list that the plan fixes cannot be read.", where=f"{where}, {key}", found=name
            )


def _listed(folder: Path, name: str) -> object:
    """A list by its name and contents; the empty text where the study has no such list."""
    return {"file": name, "sha256": _digest(folder, name)} if name else ""


def _digest(folder: Path, name: str) -> str:
    """sha256 of a list, however its lines end; empty where it cannot be read, which its reader says."""
    path = inside(folder, name)
    try:
        if path is None or not stat.S_ISREG(path.stat().st_mode) or path.stat().st_size > MOST_LIST_BYTES:
            return ""
        return hashlib.sha256(path.read_bytes().replace(b"\r\n", b"\n")).hexdigest()
    except OSError:
        return ""


def _dumped(place: str, table: BaseModel, *, exclude: set[str] | None = None) -> dict[str, object]:
    """The keys of a table; names in the order of the alphabet, because theirs decides nothing."""
    found: dict[str, object] = {}
    for key, value in table.model_dump(mode="json", exclude=exclude).items():
        names = isinstance(value, list) and all(isinstance(one, str) for one in value)
        found[f"{place}.{key}"] = sorted(value) if names else value
    return found


def _sum(expression: str) -> str:
    """A sum of items in one notation, whatever the order of its parts."""
    if not expression:
        return ""
    parts = sorted(signed_terms(expression), key=lambda part: (-part[0], part[1]))
    return " ".join(f"{'+' if sign > 0 else '-'} {name}" for sign, name in parts).removeprefix("+ ")


def hash_of(content: object) -> str:
    """sha256 of the canonical form."""
    return hashlib.sha256(canonical(content).encode()).hexdigest()


def canonical(value: object) -> str:
    """JSON that is the same for the same content."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
