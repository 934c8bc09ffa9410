"""The plan, fixed before the outcomes are seen, and whether a study still keeps to it.

In: `study.toml` and the lists beside it. Out: `plan.lock`, and `PlanState`: what differs from it, and why. Never: a
lock that is replaced without being asked for, or one that leaves no trace of the one before; a deviation that nobody
explained passed over; a look at the raw data.

A lock is a record and no proof: whoever can write it can write another. What vouches for its day is the git commit.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import stat
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from ..areas import read_areas
from ..display import Shown
from ..errors import Fault, StudyError, closest
from ..shipped import version
from .consistency import cross_references
from .files import inside
from .planned import canonical, default_of, hash_of, missing_lists, only_grown, planned
from .reading import first, read_spec
from .schema import Plan, PlanDeviation, StudySpec, Words
from .treated import study_districts, treated_areas

LOCK = "plan.lock"
#: A plan of a hundred outcomes has some 100 kB.
MOST_BYTES = 2**20

State = Literal["unlocked", "kept", "explained", "changed"]
Role = Literal["primary", "secondary", "exploratory"]

#: Another repository than the one that the study lies in: git hooks set them.
_ELSEWHERE = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_PREFIX")


@dataclass(frozen=True, kw_only=True, repr=False)
class Deviation(Shown):
    """One place where a study differs from its locked plan.

    Attributes
    ----------
    key : str
        As in study.toml, for example "plan.primary".
    locked, now : str
        The values, as JSON; empty where the key is not there.
    reason : Words or None
        Of the entry of `[[plan.deviation]]` that names the key; None where nobody explained it.
    date : datetime.date or None
        Day of that decision, where it is given.
    """

    key: str
    locked: str
    now: str
    reason: Words | None
    date: datetime.date | None


@dataclass(frozen=True, kw_only=True, repr=False)
class PlanState(Shown):
    """Whether a study keeps to the plan that was locked.

    Attributes
    ----------
    state : str
        "unlocked" (no plan.lock), "kept", "explained" (it differs, and every difference has a reason) or "changed".
    date : datetime.date or None
        Day of the lock (UTC); None without one.
    commit : str
        The git commit that the study's folder stood at; empty where it lay in no repository.
    dirty : bool
        Whether the study's folder differed from that commit, or was not part of it.
    version : str
        The version of mekeval that locked it; empty without a lock.
    earlier : tuple of datetime.date
        Days of the locks that this one replaced, the oldest first.
    sha256 : str
        Of the plan as it is now.
    lock_sha256 : str
        Of the file plan.lock; empty without one.
    deviations : tuple of Deviation
    roles : mapping of str to str
        For each outcome of the plan "primary", "secondary" or "exploratory": the weaker of what it is now and what it
        was when the plan was locked. What was not in the locked plan is exploratory, with a reason or without.
    """

    state: State
    date: datetime.date | None
    commit: str
    dirty: bool
    version: str
    earlier: tuple[datetime.date, ...]
    sha256: str
    lock_sha256: str
    deviations: tuple[Deviation, ...]
    roles: Mapping[str, Role]

    @property
    def unexplained(self) -> tuple[str, ...]:
        """Keys that differ from the locked plan without a reason."""
        return tuple(one.key for one in self.deviations if one.reason is None)


class _Earlier(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    date: datetime.date
    commit: str
    sha256: str


class _Lock(BaseModel):
    """The contents of plan.lock; `sha256` is of all the others."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    date: datetime.date
    commit: str
    dirty: bool
    version: str
    earlier: tuple[_Earlier, ...]
    plan: dict[str, object]
    sha256: str

    def seal(self) -> str:
        return hash_of(self.model_dump(mode="json", exclude={"sha256"}))


def lock_plan(path: str | Path, *, again: bool = False) -> PlanState:
    """Write `plan.lock` beside study.toml: the plan, the day, the git commit if there is one, and a hash over them.

    The raw files need not be there, and are not looked at.

    Parameters
    ----------
    path : str or Path
        The folder of the study, or its `study.toml`.
    again : bool
        Whether a lock that is there already may be replaced; the new one then names the day of the old one.

    Returns
    -------
    PlanState

    Raises
    ------
    StudyError
        There is no study or no plan; the plan names what is not there; a list of areas is missing, or does not know an
        area of the programme; the plan is locked already, or its lock cannot be read; reasons for deviations are left
        over; the folder cannot be written.
    """
    file, _, spec = read_spec(path)
    folder = file.parent
    if spec.plan is None:
        raise StudyError("The study has no plan to lock.", where=str(file), expected="a table [plan]")
    faults = [*first(cross_references(spec, file.name), file.name), *missing_lists(folder, spec, file.name)]
    if not faults and spec.areas.file:  # areas that the data name are not known yet
        faults += _unknown_areas(spec, folder, file.name)
    if faults:
        raise StudyError.of(faults)
    found = _lock(folder)
    if found is not None and not again:
        raise StudyError(
            "The plan is locked already.",
            where=str(folder / LOCK),
            found=f"locked on {found[0].date}",
            fix="Explain what differs in [[plan.deviation]]. What is locked with --again is a new plan.",
        )
    if spec.plan.deviation:
        raise StudyError(
            "A plan that is being locked has nothing to deviate from.",
            where=f"{file.name}, plan.deviation",
            found=", ".join(one.key for one in spec.plan.deviation),
            fix="Take the entries out; the new lock names the day of the old one.",
        )
    earlier = found[0].earlier if found else ()
    if found:
        earlier += (_Earlier(date=found[0].date, commit=found[0].commit, sha256=found[0].sha256),)
    commit, dirty = commit_of(file)
    lock = _Lock(
        date=_today(),
        commit=commit,
        dirty=dirty,
        version=version(),
        earlier=earlier,
        plan=planned(folder, spec),
        sha256="",
    )
    lock = lock.model_copy(update={"sha256": lock.seal()})
    text = json.dumps(lock.model_dump(mode="json"), ensure_ascii=False, indent=2, sort_keys=True) + "\n"
    _write(folder / LOCK, text.encode())
    return plan_state(folder, spec)


def _unknown_areas(spec: StudySpec, folder: Path, where: str) -> list[Fault]:
    """What the lists of a study do not know of the areas that its programme names."""
    faults: list[Fault] = []
    path = inside(folder, spec.areas.file)
    try:
        areas = None if path is None else read_areas(path, unit=spec.areas.unit)
    except StudyError as error:
        return list(error.faults)
    districts, _ = study_districts(spec, folder, where, faults)
    if areas is not None and not faults:
        treated_areas(spec, areas, districts, where, faults)
    return faults


def plan_state(folder: Path, spec: StudySpec) -> PlanState:
    """Compare a study with its `plan.lock`.

    Parameters
    ----------
    folder : Path
        Of the study.
    spec : StudySpec

    Returns
    -------
    PlanState

    Raises
    ------
    StudyError
        The lock is no lock, or was edited: its hash does not fit its contents. An entry of `[[plan.deviation]]` has no
        reason, stands twice, or names a place where nothing differs: a reason that is not needed hides an error.
    """
    now, found = planned(folder, spec), _lock(folder)
    given = spec.plan.deviation if spec.plan else ()
    deviations: tuple[Deviation, ...] = ()
    if found is not None:
        deviations = tuple(_differences(found[0].plan, now, {one.key: one for one in given}))
    faults = list(_needless(given, deviations, locked=found is not None))
    if faults:
        raise StudyError.of(faults)
    state: State = "unlocked" if found is None else "kept"
    if deviations:
        state = "changed" if any(one.reason is None for one in deviations) else "explained"
    lock = found[0] if found else None
    return PlanState(
        state=state,
        date=lock.date if lock else None,
        commit=lock.commit if lock else "",
        dirty=lock.dirty if lock else False,
        version=lock.version if lock else "",
        earlier=tuple(one.date for one in lock.earlier) if lock else (),
        sha256=hash_of(now),
        lock_sha256=found[1] if found else "",
        deviations=deviations,
        roles=_roles(spec.plan, lock.plan if lock else now),
    )


def plan_record(state: PlanState) -> dict[str, object]:
    """A state as plain data, for the manifest of a run."""
    return {
        "state": state.state,
        "date": state.date.isoformat() if state.date else "",
        "commit": state.commit,
        "dirty": state.dirty,
        "earlier": [day.isoformat() for day in state.earlier],
        "sha256": state.sha256,
        "lock_sha256": state.lock_sha256,
        "roles": dict(state.roles),
        "deviations": [
            {
                "key": one.key,
                "locked": one.locked,
                "now": one.now,
                "reason": one.reason.model_dump() if one.reason else None,
                "date": one.date.isoformat() if one.date else "",
            }
            for one in state.deviations
        ],
    }


def _roles(plan: Plan | None, locked: Mapping[str, object]) -> dict[str, Role]:
    """Of each outcome the weaker of its role now and its role in the locked plan."""
    if plan is None:
        return {}
    order: tuple[Role, ...] = ("primary", "secondary", "exploratory")

    def rank(outcome: str, primary: object, secondary: object) -> int:
        lists = [part if isinstance(part, (list, tuple)) else () for part in (primary, secondary)]
        return next((at for at, part in enumerate(lists) if outcome in part), len(lists))

    before = locked.get("plan.primary"), locked.get("plan.secondary")
    return {
        outcome: order[max(rank(outcome, plan.primary, plan.secondary), rank(outcome, *before))]
        for outcome in plan.outcomes
    }


def _differences(
    locked: Mapping[str, object], now: Mapping[str, object], given: Mapping[str, PlanDeviation]
) -> Iterator[Deviation]:
    for key in sorted({*locked, *now}):
        before = canonical(locked[key]) if key in locked else ""
        after = canonical(now[key]) if key in now else ""
        if before == after or (key not in locked and after == default_of(key, locked)):
            continue
        if only_grown(key, locked.get(key), now.get(key)):
            continue
        table = key.rpartition(".")[0]
        # "plan" or "programme" as a whole would explain everything, also what is changed next year.
        reason = given.get(key) or (given.get(table) if "." in table else None)
        yield Deviation(
            key=key,
            locked=before,
            now=after,
            reason=reason.reason if reason else None,
            date=reason.date if reason else None,
        )


def _needless(
    given: Iterable[PlanDeviation], deviations: Iterable[Deviation], *, locked: bool
) -> Iterator[Fault]:
    """Entries of `[[plan.deviation]]` without a reason, twice, or for what does not differ."""
    keys = [one.key for one in deviations]
    places = [*keys, *(table for key in keys if "." in (table := key.rpartition(".")[0]))]
    seen: set[str] = set()
    for entry in given:
        where = f"study.toml, plan.deviation {entry.key!r}"
        if not entry.reason.own:
            yield Fault(what="A deviation from the plan has no reason.", where=where, expected="reason")
        if entry.key in seen:
            yield Fault(what="A deviation from the plan is explained twice.", where=where)
        elif not locked:
            yield Fault(
                what="A deviation is explained, and no plan is locked.",
                where=where,
                expected=LOCK,
                fix="Restore it, or take the entry out.",
            )
        elif entry.key not in places:
            yield Fault(
                what="A deviation is explained where nothing differs from the locked plan.",
                where=where,
                expected=closest(entry.key, places) if places else "no entry: the plan is kept",
                fix="Take the entry out, or name the place that differs.",
            )
        seen.add(entry.key)


def _lock(folder: Path) -> tuple[_Lock, str] | None:
    """The lock of a study and the hash of its file; None where there is none."""
    path = folder / LOCK
    if not os.path.lexists(path):
        return None
    try:
        if inside(folder, LOCK) is None or not stat.S_ISREG(path.stat().st_mode):
            raise ValueError("it is no file of the study's folder")
        with path.open("rb") as stream:
            text = stream.read(MOST_BYTES + 1)
        if len(text) > MOST_BYTES:
            raise ValueError("it is larger than any plan")
        lock = _Lock.model_validate_json(text.replace(b"\r\n", b"\n"))
        seal = lock.seal()
    except (OSError, ValueError, RecursionError) as cause:
        if isinstance(cause, ValidationError):
            error = cause.errors(include_url=False)[0]
            found = f"{'.'.join(map(str, error['loc']))}: {error['msg']}".removeprefix(": ")
        else:
            found = str(cause)
        raise StudyError(
            "plan.lock cannot be read.",
            where=str(path),
            found=" ".join(found.split())[:200],
            expected="the file that `mekeval plan lock` wrote",
            fix="Restore it.",
        ) from None
    if seal != lock.sha256:
        raise StudyError(
            "plan.lock was changed after it was written.",
            where=str(path),
            found="contents that its own sha256 does not fit",
            fix="Restore it; a change of plan belongs into [[plan.deviation]].",
        )
    days, today = [*(one.date for one in lock.earlier), lock.date], _today()
    # A clock elsewhere may be a little ahead of this one.
    if max(days) > today + datetime.timedelta(days=1) or days != sorted(days):
        raise StudyError(
            "The days of plan.lock cannot be right.",
            where=str(path),
            found=", ".join(map(str, days)),
            expected=f"one after the other, the last by {today}",
            fix="Restore it, or set this computer's clock.",
        )
    return lock, hashlib.sha256(text).hexdigest()


def _today() -> datetime.date:
    return datetime.datetime.now(datetime.UTC).date()


def _write(path: Path, text: bytes) -> None:
    """Write a file as a whole or not at all."""
    try:
        handle, name = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)
        new = Path(name)
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(text)
            new.chmod(0o644)  # mkstemp makes it private
            new.replace(path)
        finally:
            new.unlink(missing_ok=True)
    except OSError as cause:
        found = cause.strerror or str(cause)
        raise StudyError("The plan cannot be locked.", where=str(path), found=found) from None


def commit_of(file: Path) -> tuple[str, bool]:
    """The git commit that the study's folder stands at, and whether the folder differs from it; empty without one."""
    commit = _git(file.parent, "rev-parse", "--verify", "HEAD")
    if not commit:
        return "", False
    held = _git(file.parent, "ls-files", "--error-unmatch", "--", file.name) is not None
    changed = _git(file.parent, "status", "--porcelain", "--", ".")
    return commit, not held or changed != ""


def _git(folder: Path, *words: str) -> str | None:
    """What a git command says; None where it fails or there is no git."""
    try:
        done = subprocess.run(
            # A repository may name a program for git to run at each look; a look at a plan is none of its business.
            ["git", "-c", "core.fsmonitor=false", "-C", str(folder), *words],
            capture_output=True,
            check=False,
            encoding="utf-8",
            errors="replace",
            timeout=30,
            stdin=subprocess.DEVNULL,
            env={key: value for key, value in os.environ.items() if key not in _ELSEWHERE}
            | {"GIT_OPTIONAL_LOCKS": "0"},
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
