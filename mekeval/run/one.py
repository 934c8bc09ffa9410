"""One job by itself: what Airflow, SLURM or cron runs, and the dry run that writes what they are given.

In: the specification of a job, a JSON file. Out: the job's outcome, kept where the next `mekeval run` of the same
output folder finds it. Never: a job whose notebook, data or package is another one than when it was planned.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from ..definition import definition_bytes, definition_tables
from ..display import Shown
from ..errors import Fault, RunError
from ..render import ReportPage
from ..shipped import version
from . import RunResult
from .asked import NOTEBOOKS, Asked, made_from
from .going import checked, kept_of, parts_of, paths_of, rehearse
from .jobs import Job, check_parameters, execute
from .keys import PARTS, differing, digest, stamp_of
from .kinds import index_name
from .limits import Limits, limits_of
from .matrix import listed_files, not_made
from .publish import PublicationError, canonical, work_folder
from .status import JobState
from .work import find, keep


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _Page(_Strict):
    title: str
    language: str
    description: str
    synthetic: bool
    siblings: list[tuple[str, str]]
    index_href: str
    notebook_href: str
    programme: str


class _Spec(_Strict):
    """A job as a file: what it is, where its study and its output folder lie, and the parts of its key."""

    format: Literal[1]
    mekeval: str
    name: str
    kind: str
    year: int
    subject: str
    area: str
    language: str
    notebook: str
    notebook_sha256: str
    parameters: dict[str, str | int | float | bool]
    pdf: bool
    page: _Page
    study: str
    raw: str
    as_of: str
    out: str
    set: str
    listed: list[str]
    memory: float
    seconds: float
    parts: dict[str, str]


@dataclass(frozen=True, kw_only=True, repr=False)
class OneResult(Shown):
    """What `run_one` did.

    Attributes
    ----------
    name : str
        Of the job.
    state : str
        "made", "found" (it had been made already) or "failed".
    error : str
        The message of a failed job.
    seconds : float
    """

    name: str
    state: Literal["made", "found", "failed"]
    error: str
    seconds: float


def rehearsed(
    asked: Asked, *, only_failed: bool, limits: Limits, specs: Path | None, started: float
) -> RunResult:
    """What a run would do; the specifications of its jobs are written into a folder."""
    study, planned, _ = rehearse(asked, only_failed=only_failed)
    states = tuple(
        JobState(
            name=one.job.name,
            state="would run" if one.does == "run" else one.does,
            why=one.why,
            seconds=0,
        )
        for one in planned
    )
    states += () if only_failed else tuple(not_made(asked, study))
    if specs is not None:
        listed = listed_files(study)
        try:
            specs.mkdir(parents=True, exist_ok=True)
            for path in specs.glob("[0-9][0-9][0-9][0-9]-*.json"):
                path.unlink()  # of an earlier dry run
            for number, one in enumerate((one for one in planned if one.does == "run"), start=1):
                name = re.sub(r"[^A-Za-z0-9._-]+", "-", one.job.name)
                content = _spec(asked, study.name, one.job, one.parts, listed, limits).model_dump(mode="json")
                (specs / f"{number:04d}-{name}.json").write_text(canonical(content), encoding="utf-8")
        except OSError as cause:
            raise RunError(
                "The specifications cannot be written.", where=str(specs), found=str(cause)
            ) from None
    return RunResult(
        index=asked.set / index_name(study, asked.languages[0]),
        done=(),
        failed=(),
        errors={},
        states=states,
        seconds=time.monotonic() - started,
    )


def run_one(spec: str | Path, *, memory: float | None = None, time_limit: float | None = None) -> OneResult:
    """Run one job and keep what it made for the next `run_study` of the same output folder, which publishes it.

    Parameters
    ----------
    spec : str or Path
        A file that ``mekeval run --dry-run --specs FOLDER`` wrote.
    memory, time_limit : float, optional
        Limits of the job as in `run_study`; by default those of the run that wrote the file.

    Returns
    -------
    OneResult

    Raises
    ------
    MekevalError
        It is no specification, or the notebook, the data, mekeval or a package is another one than when it was written.
    PublicationError
        What was made cannot be written.
    """
    started = time.monotonic()
    said = _read(Path(spec))
    limits = limits_of(
        memory=said.memory if memory is None else memory,
        time_limit=said.seconds if time_limit is None else time_limit,
    )
    if said.mekeval != version():
        raise RunError(
            "This job was planned with another mekeval.",
            where=str(spec),
            found=said.mekeval,
            expected=version(),
            fix="Write the specifications again: mekeval run --dry-run --specs",
        )
    definition = Path(said.study)
    content = definition_bytes(definition)
    asked = Asked(
        definition=definition,
        raw=said.raw or None,
        as_of=date.fromisoformat(said.as_of) if said.as_of else None,
        out=Path(said.out),
        years=(said.year,),
        districts=None,
        languages=(said.language,),
        kinds=(said.kind,),
        parameters={},
        notebooks=Path(said.notebook).parent,
        pdf=said.pdf,
        outline=definition_tables(content, where=str(definition)),
        sha256="",
    )
    job = Job(
        **_same(said),
        notebook=Path(said.notebook),
        parameters=said.parameters,
        folder=definition.resolve().parent.parent,
        page=ReportPage(**{**said.page.model_dump(), "siblings": tuple(said.page.siblings)}),
    )
    if job.kind not in NOTEBOOKS or job.name.startswith("/") or ".." in Path(job.name).parts:
        raise RunError(
            "The specification of a job is wrong.", where=str(spec), found=f"{job.kind}, {job.name}"
        )
    check_parameters(job.notebook, job.parameters)
    try:
        basis = made_from(asked, said.listed)
    except OSError as cause:
        raise RunError("A file of the study cannot be read.", where=str(spec), found=str(cause)) from None
    parts = parts_of(job, basis)
    if other := differing(said.parts, parts):
        raise RunError(
            "This is not what the job was planned with.",
            where=str(spec),
            found=", ".join(PARTS[part] for part in other) + " changed",
            fix="Write the specifications again: mekeval run --dry-run --specs",
        )
    key, stamp, work = digest(parts), stamp_of(basis), work_folder(asked.out, said.set)
    if find(work, stamp, key) is not None:
        return OneResult(name=job.name, state="found", error="", seconds=time.monotonic() - started)
    outcome = checked(execute(job, limits=limits), paths_of(asked))
    seconds = time.monotonic() - started
    if outcome.error:
        return OneResult(name=job.name, state="failed", error=outcome.error, seconds=seconds)
    if asked.inputs(said.listed) != basis["inputs"]:
        raise PublicationError("A file was changed during the job.", where=str(spec), fix="Run it again.")
    try:
        keep(work, stamp, kept_of(outcome, key))
    except OSError as cause:
        raise PublicationError(
            "What the job made cannot be written.", where=said.out, found=cause.strerror or str(cause)
        ) from None
    return OneResult(name=job.name, state="made", error="", seconds=seconds)


def _same(one: Job | _Spec) -> dict[str, Any]:
    """What a job and its specification have in common, word for word."""
    names = ("name", "kind", "year", "subject", "area", "language", "notebook_sha256", "raw", "pdf")
    return {name: getattr(one, name) for name in names}


def _spec(
    asked: Asked, study: str, job: Job, parts: Mapping[str, str], listed: list[str], limits: Limits
) -> _Spec:
    return _Spec(
        format=1,
        mekeval=version(),
        **_same(job),
        notebook=str(job.notebook.resolve()),
        parameters=dict(job.parameters),
        page=_Page(**{**asdict(job.page), "siblings": list(job.page.siblings)}),
        study=str(asked.definition.resolve()),
        as_of=asked.as_of.isoformat() if asked.as_of else "",
        out=str(asked.out.resolve()),
        set=study,
        listed=listed,
        memory=limits.memory,
        seconds=limits.seconds,
        parts=dict(parts),
    )


def _read(path: Path) -> _Spec:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(content, dict) and isinstance(content.get("page"), dict):
            content["page"]["siblings"] = [tuple(one) for one in content["page"].get("siblings", [])]
        return _Spec.model_validate(content)
    except ValidationError as cause:
        raise RunError.of(
            Fault(
                what="The specification of a job is wrong.",
                where=f"{path.name}, {'.'.join(map(str, error['loc']))}",
                found=str(error.get("input"))[:100],
                expected=error["msg"],
                fix="Write the specifications again: mekeval run --dry-run --specs",
            )
            for error in cause.errors(include_url=False)
        ) from None
    except (OSError, ValueError, TypeError) as cause:
        raise RunError(
            "The specification of a job cannot be read.",
            where=str(path),
            found=str(cause)[:200],
            fix="Write it: mekeval run --dry-run --specs FOLDER",
        ) from None
