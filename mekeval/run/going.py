"""A run from its plan to its set: what is new is made, what is unchanged is taken, what failed does not stop the rest.

In: what was asked. Out: a published set and what became of each job. Never: a job made twice because a run was killed,
a report that says another data state than it was made from, or the loss of a good report to a failed one.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from ..dates import AsOf
from ..disclosure import check_outputs
from ..errors import MekevalError, RunError
from ..indicators import clean_indicators, hidden_numbers
from ..study import Study
from . import RunResult
from .asked import KIND, Asked, damaged, made_from, read_sealed
from .compose import Planned, entries_of, fill, hurt_in
from .jobs import Job, Outcome, failed
from .keys import digest, key_parts, said, source_sha256, stamp_of, study_files
from .kinds import index_name
from .leaks import machine_paths, redacted, refuse_leaks
from .limits import Limits
from .matrix import jobs_of, listed_files, not_made, read_asked
from .publish import (
    PublicationError,
    canonical,
    publication,
    published_set,
    read_manifest,
    tidy,
    work_folder,
)
from .status import JobState, Log, utc_now
from .work import Kept, find, keep
from .workers import execute_all


@dataclass(frozen=True, kw_only=True)
class Before:
    """The published set as it was found.

    Attributes
    ----------
    folder : Path or None
        None where there is none.
    manifest : mapping
        Empty where there is none, or it was changed by another hand.
    broken : mapping of str to str
        Files that are not as they were published.
    """

    folder: Path | None
    manifest: Mapping[str, object]
    broken: Mapping[str, str]

    @property
    def basis(self) -> Mapping[str, object]:
        """What it was made from."""
        found = self.manifest.get("made_from")
        return found if isinstance(found, dict) else {}


def make(
    asked: Asked,
    *,
    jobs: int | None,
    executor: Executor | None,
    scheduler: str | None = None,
    limits: Limits,
    progress: bool,
    only_failed: bool,
) -> RunResult:
    """Make what is not there yet and publish the set; parameters and errors as `run_study`."""
    started, begun = time.monotonic(), utc_now()
    study, chosen, basis, listed = _planned_from(asked, only_failed=only_failed)
    if not chosen:
        return _result(asked, study, [], started)
    stamp = stamp_of(basis)
    with (
        _on_cluster(scheduler, asked, basis, listed) if scheduler else nullcontext(executor) as pool,
        publication(asked.out, study.name, as_of=asked.as_of) as (new, old),
    ):
        log, work = Log(asked.set), work_folder(asked.out, study.name)
        log("begun", study=study.name, jobs=len(chosen))
        before = _before(old)
        planned = decide(chosen, basis, before, work)
        broken = _execute(
            [one for one in planned if one.does == "run"],
            _Going(asked=asked, basis=basis, work=work, log=log, listed=tuple(listed)),
            jobs=jobs,
            executor=pool,
            limits=limits,
            store_in=work.parent / study.name if scheduler else None,  # a killed run's is swept away
            progress=progress,
        )
        _refuse_changed(asked, basis, listed)
        code = basis["code"] if source_sha256() == basis["code"] else ""  # "": the next run makes all anew
        states = _filled(
            study,
            planned,
            broken,
            new=new,
            as_of=asked.as_of,
            old=before.folder,
            manifest=before.manifest,
            damaged=before.broken,
            basis={**basis, "code": code},
            begun=begun,
            wanted=None if only_failed else asked.wanted(),
            kept=lambda key: find(work, stamp, key),
        )
    # Under the lock, or not at all: another run of the study may have begun already.
    tidy(asked.out, study.name, basis, {one.key for one in planned})
    states += [] if only_failed else not_made(asked, study)
    log("published", jobs=len(chosen), failed=len(broken), seconds=round(time.monotonic() - started, 3))
    return _result(asked, study, states, started)


def _filled(study: Study, *args: Any, new: Path, as_of: AsOf, **kwargs: Any) -> list[JobState]:
    """Fill the new set as `fill` does, and refuse one that contradicts itself or gives a small count away."""
    try:
        states = fill(study, *args, new=new, **kwargs)
        indicators = clean_indicators(study, as_of=as_of)
        hidden = hidden_numbers(study, as_of=as_of, indicators=indicators)
        check_outputs(new, study, hidden, shown=indicators.table)
    except MekevalError as error:
        raise PublicationError.of(error.faults) from None
    return states


def rehearse(asked: Asked, *, only_failed: bool) -> tuple[Study, list[Planned], Mapping[str, object]]:
    """What a run would do, and what it would be made from; nothing is written."""
    study, chosen, basis, _ = _planned_from(asked, only_failed=only_failed)
    before = _before(published_set(asked.out, study.name, as_of=asked.as_of))
    return study, decide(chosen, basis, before, work_folder(asked.out, study.name)), basis


def decide(jobs: Sequence[Job], basis: Mapping[str, object], before: Before, work: Path) -> list[Planned]:
    """What is to be done with each job, and why."""
    entries = entries_of(before.manifest)
    planned = []
    for job in jobs:
        parts = parts_of(job, basis)
        key = digest(parts)
        entry = entries.get(job.name)
        hurt = [
            f"{name} is {before.broken[name]}" for name in (hurt_in(entry, before.broken) if entry else ())
        ]
        does: Literal["unchanged", "found", "run"] = "run"
        if entry is not None and not entry["failed"] and entry["key"] == key and not hurt:
            does = "unchanged"
        elif find(work, stamp_of(basis), key) is not None:
            does = "found"
        why = ""
        if does == "run" and entry is None:
            why = "new"
        elif does == "run" and entry is not None:
            changed = said(entry["parts"], parts, before.basis, basis)
            reasons = ["it failed last time"] if entry["failed"] else []
            reasons += [f"changed: {changed}"] if changed else []
            why = "; ".join(reasons + hurt)
        planned.append(Planned(job=job, key=key, parts=parts, does=does, why=why))
    return planned


def parts_of(job: Job, basis: Mapping[str, object]) -> dict[str, str]:
    """The parts of a job's key."""
    page = {name: getattr(job.page, name) for name in job.page.__dataclass_fields__}
    return key_parts(
        notebook=job.notebook_sha256,
        parameters=job.parameters,
        page={**page, "name": job.name, "pdf": job.pdf},
        basis=basis,
    )


def checked(outcome: Outcome, paths: Sequence[str]) -> Outcome:
    """An outcome that may leave: without secrets and folders of this machine, or failed for holding one."""
    job, error = outcome.job, outcome.error
    if not error:
        try:
            refuse_leaks({**outcome.files, "findings": canonical(outcome.findings).encode()}, paths)
            return outcome
        except (MekevalError, ValueError) as cause:  # ValueError: a finding that is no number
            error = str(cause)
    return replace(failed(job, redacted(error, paths)), seconds=outcome.seconds)


def paths_of(asked: Asked) -> tuple[str, ...]:
    """The folders that no output of a run may name."""
    return machine_paths(
        asked.folder, asked.folder.resolve().parent, asked.raw_folder, asked.out, asked.notebooks
    )


@dataclass(frozen=True, kw_only=True)
class _Going:
    """A run under way: what each finished job is checked against, and where it is kept."""

    asked: Asked
    basis: Mapping[str, object]
    work: Path
    log: Log
    listed: tuple[str, ...]


def _execute(
    planned: Sequence[Planned],
    going: _Going,
    *,
    jobs: int | None,
    executor: Executor | None,
    limits: Limits,
    store_in: Path | None,
    progress: bool,
) -> dict[str, Outcome]:
    """Run jobs and keep what they make; what failed is handed back, by name."""
    keys = {one.job.name: one.key for one in planned}
    paths, stamp = paths_of(going.asked), stamp_of(going.basis)
    watched = _state_of(going.asked, going.listed)

    def finished(outcome: Outcome) -> Outcome:
        good = checked(outcome, paths)
        name = good.job.name
        facts = {"job": name, "seconds": round(good.seconds, 3)}
        going.log("failed" if good.error else "made", **facts, error=good.error.split("\n", 1)[0])
        if good.error:
            return good
        if _state_of(going.asked, going.listed) != watched:
            _refuse_changed(going.asked, going.basis, going.listed)
        try:
            keep(going.work, stamp, kept_of(good, keys[name]))
        except OSError as cause:
            raise PublicationError(
                "What a job made cannot be written; the earlier reports are as they were.",
                where=str(going.asked.out),
                found=cause.strerror or str(cause),
                fix="Make room and run again: what was finished before is kept.",
            ) from None
        return replace(good, html="", notebook="", pdf=b"", findings=())  # it is on disk

    if not planned:
        return {}
    outcomes = execute_all(
        [one.job for one in planned],
        jobs=jobs,
        executor=executor,
        progress=progress,
        finished=finished,
        limits=limits,
        store_in=store_in,
    )
    return {one.job.name: one for one in outcomes if one.error}


def _on_cluster(
    scheduler: str, asked: Asked, basis: Mapping[str, object], listed: Sequence[str]
) -> AbstractContextManager[Executor]:
    """The workers of a scheduler, each with the files and the packages that this run is made from."""
    from .cluster import as_here, on_cluster  # Dask is an extra

    inputs = basis["inputs"]
    hashes: Mapping[str, str] = inputs if isinstance(inputs, dict) else {}
    places = study_files(asked.folder, asked.raw or None, asked.outline, listed)
    files = {name: (str(path.resolve()), hashes[name]) for name, path in places.items() if name in hashes}
    return on_cluster(scheduler, as_here(files=files, paths=paths_of(asked)))


def kept_of(outcome: Outcome, key: str) -> Kept:
    """A good outcome as it is kept."""
    return Kept(
        key=key,
        name=outcome.job.name,
        files=outcome.files,
        findings=outcome.findings,
        seconds=round(outcome.seconds, 3),
        made=utc_now(),
    )


def _planned_from(
    asked: Asked, *, only_failed: bool
) -> tuple[Study, list[Job], dict[str, object], list[str]]:
    """The study, its jobs, what they are made from, and the files that the study names.

    The files are hashed before the study is read and once it is, so that the two are of the same bytes; what changes
    while its data are cleaned and its jobs are planned, the run notices before it publishes.
    """
    try:
        before = asked.inputs(()) if asked.folder.is_dir() else {}
        study = read_asked(asked)
        listed = listed_files(study)
        basis = made_from(asked, listed)
    except OSError as cause:
        raise RunError(
            "A file of the study cannot be read.",
            where=Path(str(cause.filename)).name,
            found=cause.strerror or str(cause),
        ) from None
    before[f"study:{asked.definition.name}"] = asked.sha256
    inputs = basis["inputs"]
    if isinstance(inputs, dict):
        other = {name for name in inputs if name not in before and name not in listed}
        other |= {name for name, one in before.items() if inputs.get(name) != one}
        if other:
            raise _changed(sorted(other))
    chosen = _failed_jobs(asked, study, basis) if only_failed else jobs_of(asked, study)
    return study, chosen, basis, listed


def _failed_jobs(asked: Asked, study: Study, now: Mapping[str, object]) -> list[Job]:
    """The jobs that failed in the last run, among those asked for, as that run asked for them."""
    folder = published_set(asked.out, study.name, as_of=asked.as_of)
    before = _before(folder)
    if not before.manifest:
        raise RunError(
            "There is no earlier run.", where=str(asked.set), fix="Run without --only-failed first."
        )
    if before.basis != now:
        files = (before.basis.get("inputs"), now["inputs"])
        then, today = (one if isinstance(one, dict) else {} for one in files)
        names = sorted(name for name in then.keys() | today.keys() if then.get(name) != today.get(name))
        raise RunError(
            "Something has changed since the last run, so that all its reports are out of date.",
            where="--only-failed",
            found=", ".join(names) or "mekeval or a package",
            fix="Run without --only-failed.",
        )
    subjects = {study.resolve(one) for one in asked.districts or ()}
    broken: set[str] = {
        name
        for name, entry in entries_of(before.manifest).items()
        if entry["failed"]
        and (not asked.years or entry["year"] in asked.years or entry["kind"] == "quality")
        and entry["language"] in asked.languages
        and entry["kind"] in asked.kinds
        and (asked.districts is None or entry["subject"] in subjects)
    }
    jobs: dict[str, Job] = {}
    requests = before.manifest.get("requests")
    for one in reversed(requests) if isinstance(requests, list) else ():
        again = broken.intersection(one["jobs"]) - jobs.keys()
        if again:
            before_asked = replace(
                asked,
                years=tuple(one["asked"]["years"]),
                districts=None if one["asked"]["districts"] is None else tuple(one["asked"]["districts"]),
                languages=tuple(one["asked"]["languages"]),
                kinds=tuple(one["asked"]["kinds"]),
                parameters=one["asked"]["parameters"],
                pdf=one["asked"]["pdf"],
            )
            jobs |= {job.name: job for job in jobs_of(before_asked, study) if job.name in again}
    return list(jobs.values())


def _before(folder: Path | None) -> Before:
    """The published set, or nothing; cleaned data or pages of community work are no reports."""
    if folder is None:
        return Before(folder=None, manifest={}, broken={})
    kind = read_manifest(folder).get("kind", KIND)
    if kind != KIND:
        raise RunError(
            "Cleaned data stand where the reports belong."
            if kind == "clean"
            else "Pages of another kind stand where the reports belong.",
            where=folder.name.partition(".")[0],
            fix="Choose another --out.",
        )
    try:
        manifest = read_sealed(folder)
    except (OSError, ValueError):
        manifest = {}
    if manifest.get("kind") != KIND:
        manifest = {}
    return Before(folder=folder, manifest=manifest, broken=damaged(folder, manifest) if manifest else {})


def _state_of(asked: Asked, listed: Sequence[str]) -> list[tuple[str, int, int]]:
    """Size and time of the study's files: as long as they stay, nothing need be hashed again."""
    states = []
    for name, path in study_files(asked.folder, asked.raw or None, asked.outline, listed).items():
        found = path.stat()
        states.append((name, found.st_size, found.st_mtime_ns))
    return states


def _refuse_changed(asked: Asked, basis: Mapping[str, object], listed: Sequence[str]) -> None:
    try:
        now = asked.inputs(listed)
    except OSError as cause:
        raise _changed([Path(str(cause.filename)).name]) from None
    before = basis["inputs"]
    if now != before and isinstance(before, dict):
        raise _changed(
            sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
        )


def _changed(names: Sequence[str]) -> PublicationError:
    return PublicationError(
        "A file was changed during the run; the earlier reports are as they were.",
        where=", ".join(name.rpartition(":")[2] for name in names[:6]),
        fix="Run again when the files are at rest.",
    )


def _result(asked: Asked, study: Study, states: Sequence[JobState], started: float) -> RunResult:
    language = asked.languages[0]
    return RunResult(
        index=asked.set / index_name(study, language),
        done=tuple(one.name for one in states if one.state in ("made", "found", "unchanged")),
        failed=tuple(one.name for one in states if one.state in ("failed", "kept")),
        errors={one.name: one.why for one in states if one.state in ("failed", "kept")},
        states=tuple(states),
        seconds=time.monotonic() - started,
    )
