"""Two sides beside each other: which findings stand beside which, what differs, and what both were made from.

In: two sides. Out: pairs of years, findings with what differs, replaced files, keys and versions. Never: a number
that a side hides.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from ..errors import Fault, RunError
from ..evaluation import ALL
from ..indicators import Indicators
from ..study.planned import canonical, default_of, only_grown
from .difference import COMPARED, NUMBERS, REVISION_COLUMNS, FindingChange, Replaced
from .sides import Side, Told

#: Files of a study that decide something: not what explains it.
_DECIDE = (".toml", ".csv", ".lock")


def refuse_unlike(old: Side, new: Side) -> None:
    """Refuse two studies that have nothing to do with each other."""
    if old.study != new.study:
        raise RunError(
            "These are two different studies.",
            where=f"{old.name} and {new.name}",
            found=f"{old.study} and {new.study}",
            expected="two sets of one study",
        )


def pairs_of(old: Side, new: Side, years: tuple[int, int] | None) -> tuple[tuple[int, int], ...]:
    """Which years stand beside which: those asked for; else each shared one beside itself, then the last ones."""
    if years is not None:
        faults = [
            Fault(
                what="There are no findings of this year.",
                where=side.name,
                found=str(year),
                expected="one of " + ", ".join(map(str, side.years)),
            )
            for side, year in zip((old, new), years, strict=True)
            if year not in side.years
        ]
        if faults:
            raise RunError.of(faults)
        return (years,)
    shared = [(year, year) for year in old.years if year in new.years]
    last = (old.years[-1], new.years[-1])
    return (*shared, *([last] if last[0] != last[1] else []))


def is_reversed(old: Side, new: Side, pairs: tuple[tuple[int, int], ...]) -> bool:
    """Whether the old side is the newer one: of a later year, of later releases, or made later."""
    if pairs[-1][0] != pairs[-1][1]:
        return pairs[-1][0] > pairs[-1][1]
    days = [side.as_of or datetime.date.max for side in (old, new)]
    if days[0] != days[1]:
        return days[0] > days[1]
    return bool(old.ended and new.ended) and old.ended > new.ended


def findings_beside(old: Side, new: Side, pairs: tuple[tuple[int, int], ...]) -> Iterator[FindingChange]:
    """Every finding of either side, in the order of the new side's outcomes and subjects."""
    for old_year, new_year in pairs:
        here = [(subject, outcome) for year, subject, outcome in new.findings if year == new_year]
        gone = [(subject, outcome) for year, subject, outcome in old.findings if year == old_year]
        order = {name: at for at, name in enumerate(dict.fromkeys([*new.outcomes, *old.outcomes]))}
        every = sorted(
            dict.fromkeys([*here, *gone]), key=lambda one: (order.get(one[1], len(order)), one[0] != ALL)
        )
        for subject, outcome in every:
            yield _beside(
                old.findings.get((old_year, subject, outcome)),
                new.findings.get((new_year, subject, outcome)),
                (outcome, subject, old_year, new_year),
            )


def _beside(old: Told | None, new: Told | None, key: tuple[str, str, int, int]) -> FindingChange:
    hidden = any(one is not None and one.hidden for one in (old, new))
    if hidden:
        old, new = _without_numbers(old), _without_numbers(new)
    outcome, subject, old_year, new_year = key
    both = None if old is None or new is None else (old, new)
    unattributed = "hidden" if hidden else ""
    if not hidden and both is not None and any(one.estimate is None for one in both):
        unattributed = "no_estimate"
    return FindingChange(
        outcome=outcome,
        subject=subject,
        old_year=old_year,
        new_year=new_year,
        old=old,
        new=new,
        hidden=hidden,
        what=tuple(_what(*both)) if both else ("appeared" if old is None else "gone",),
        parts=(),
        unattributed=unattributed,
    )


def _without_numbers(one: Told | None) -> Told | None:
    if one is None:
        return None
    numbers = [*NUMBERS, "n_treated", "n_comparison", "n_sets", "rule_placebo"]
    return one.model_copy(update=dict.fromkeys(numbers))


def _what(old: Told, new: Told) -> Iterator[str]:
    yield from (name for name in COMPARED if getattr(old, name) != getattr(new, name))
    before, now = old.rule_placebo, new.rule_placebo
    if before is None or now is None:
        return
    since = set(range(old.year + 1, new.year + 1))  # a year that is new is no other choice of years
    if (set(before.pre), set(before.post)) != (set(now.pre), set(now.post) - since):
        yield "years"
    if before.dropped != now.dropped:
        yield "dropped"


def made_from(old: Side, new: Side) -> Iterator[Replaced]:
    """Files, keys of the plan, packages and code in which two sides differ."""
    for kind, start in (("source", "raw:"), ("file", "study:")):
        then, now = (_files(side.inputs, start) for side in (old, new))
        if start == "study:" and not (then and now):
            continue  # an evaluation does not say which files it was read from
        for name in _differing(then, now):
            yield Replaced(
                kind="source" if kind == "source" else "file",
                name=name,
                old=then.get(name, ""),
                new=now.get(name, ""),
            )
    for key, before, after in definitions(old.planned, new.planned):
        yield Replaced(kind="definition", name=key, old=before, new=after)
    if old.version and new.version:
        versions = ({"mekeval": side.version, **side.packages} for side in (old, new))
        then, now = versions
        for name in _differing(then, now):
            yield Replaced(kind="package", name=name, old=then.get(name, ""), new=now.get(name, ""))
        if old.code != new.code:
            yield Replaced(kind="code", name="mekeval", old=old.code, new=new.code)


def definitions(
    old: Mapping[str, object] | None, new: Mapping[str, object] | None
) -> Iterator[tuple[str, str, str]]:
    """Keys that a plan fixes and that differ, with both values as JSON; a new release is no difference."""
    if old is None or new is None:
        return
    for key in sorted({*old, *new}):
        before = canonical(old[key]) if key in old else ""
        after = canonical(new[key]) if key in new else ""
        if before == after or (key not in old and after == default_of(key, old)):
            continue
        if not only_grown(key, old.get(key), new.get(key)):
            yield key, before, after


def revised_values(old: Indicators, new: Indicators, units: tuple[str, ...]) -> pd.DataFrame:
    """Values of the study's areas that both sides show and that differ by more than rounding."""
    place = ["indicator", "area", "year"]
    then, now = (
        one.table.loc[(one.table["status"] == "ok") & one.table["area"].isin(units), [*place, "value"]]
        for one in (old, new)
    )
    then, now = (one.astype({"indicator": str, "area": str, "year": "int64"}) for one in (then, now))
    both = then.merge(now, on=place, suffixes=("_old", "_new"), validate="one_to_one")
    before, after = (both[f"value_{side}"].to_numpy(dtype=float) for side in ("old", "new"))
    # A share of two unchanged numbers is the same to the last digits but a few.
    moved = np.abs(after - before) > 1e-9 * np.maximum(1.0, np.abs(before))
    frame = pd.DataFrame(
        {
            **{name: both.loc[moved, name] for name in place},
            "old": before[moved],
            "new": after[moved],
            "change": (after - before)[moved],
        },
        columns=list(REVISION_COLUMNS),
    )
    return frame.sort_values(place, kind="stable").reset_index(drop=True)


def no_revisions() -> pd.DataFrame:
    """A table of revised values without a row."""
    return pd.DataFrame({name: [] for name in REVISION_COLUMNS})


def _files(inputs: Mapping[str, str], start: str) -> dict[str, str]:
    return {
        name.removeprefix(start): sha
        for name, sha in inputs.items()
        if name.startswith(start) and (start == "raw:" or name.endswith(_DECIDE))
    }


def _differing(then: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    return sorted(name for name in {*then, *now} if then.get(name, "") != now.get(name, ""))
