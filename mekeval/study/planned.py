"""What a plan fixes, by key: the contents of `plan.lock`.

In: `study.toml` and the lists beside it. Out: values that JSON has, the same for the same plan however it is written.
Never: the raw data.
"""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from pydantic import BaseModel

from ..errors import Fault
from .files import MOST_LIST_BYTES, inside
from .formula import signed_terms
from .schema import About, AreasTable, IndicatorSpec, Plan, Reference, Rule, Spelling, StudySpec, Wave

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
#: What a source says of its release and where it comes from, and not of how its figures are read.
_RELEASE = {"file", "vintage", "published", "sha256", "fetch"}


def planned(folder: Path, spec: StudySpec) -> dict[str, object]:
    """What a plan fixes, by key.

    The table `[plan]`; who is treated when and by what rule; how the outcomes, and the indicators that the rule looks
    at, are defined, down to the labels of their items in the raw files; the sources and how each is read; the seed; the
    areas and reference cities, by the contents of their lists (names too: rows of raw files are known by them). Not:
    what the raw files hold, which grows every year and is hashed in every manifest; what indicators are called, titles,
    languages and money; reasons, which come later.

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
        "areas.found": [found.model_dump(mode="json") for found in spec.areas.found],
    }
    if spec.plan is not None:
        content |= _dumped("plan", spec.plan, exclude={"deviation"})
    for wave in spec.waves:
        content |= _dumped(f"programme.wave.{wave.name}", wave, exclude={"name", "eur_per_year"})
    looked_at = set(spec.outcomes)
    if spec.rule is not None:
        content |= _dumped("programme.rule", spec.rule, exclude={"missing"})
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
    return content | _read_as(spec, looked_at)


def _read_as(spec: StudySpec, looked_at: Collection[str]) -> dict[str, object]:
    """Under which labels the items are found that the outcomes and the rule need, and how each source is read."""
    ways = [way for one in spec.indicator if one.name in looked_at for way in (one, one.by_otherwise) if way]
    items = {name for way in ways for name in way.items}
    content: dict[str, object] = {
        f"item.{item.name}.labels": sorted(map(_label, item.labels))
        for item in spec.item
        if item.name in items
    }
    files: dict[str, list[dict[str, object]]] = {}
    for source in spec.source:
        read = source.model_dump(mode="json", exclude=_RELEASE, exclude_defaults=True)
        files.setdefault(source.file, []).append(read | {"items": sorted(source.items)})
    return content | {f"source.{file}": sorted(some, key=canonical) for file, some in files.items()}


def _label(label: str | Spelling) -> str:
    """A label of an item without the case and the doubled spaces that do not matter, with its releases."""
    spelling = Spelling(text=label) if isinstance(label, str) else label
    years = f" [{spelling.first or ''}-{spelling.last or ''}]" if spelling.first or spelling.last else ""
    return " ".join(spelling.text.split()).casefold() + years


def only_grown(key: str, before: object, after: object) -> bool:
    """Whether a place has what it had and more of it, as new releases bring: that is no deviation.

    Labels of an item may be added as long as the locked ones stay, items of a source too, and sources: what was locked
    is then read as it was. `before` or `after` is None where the place was not there, or is not.
    """
    if key.startswith("item."):
        # An item that nothing needs any more shows in the definition that no longer names it.
        return before is None or after is None or set(_names(before)) <= set(_names(after))
    if key.startswith("source."):
        return before is None or all(
            any(_covers(now, then) for now in _parts(after)) for then in _parts(before)
        )
    return False


def _covers(now: Mapping[str, object], then: Mapping[str, object]) -> bool:
    """Whether a source is read as it was, if not for more items."""
    more = set(_names(then.get("items"))) <= set(_names(now.get("items")))
    return more and {**now, "items": None} == {**then, "items": None}


def _names(value: object) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list) else []


def _parts(value: object) -> list[Mapping[str, object]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def default_of(key: str, locked: Mapping[str, object]) -> str | None:
    """The value of a key before the library had it, in a table that the locked plan has; else None."""
    table, _, name = key.rpartition(".")
    if not any(one.startswith(f"{table}.") for one in locked):
        return None
    for prefix, model in _TABLES:
        if table == prefix or table.startswith(f"{prefix}."):
            field = model.model_fields.get(name)
            if field is not None and not field.is_required():
                value = field.get_default(call_default_factory=True)
                return canonical(value.model_dump(mode="json") if isinstance(value, BaseModel) else value)
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
