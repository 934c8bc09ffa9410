"""Filling a new set: what was made, what is taken from the old one, error pages, index, findings and the manifest.

In: planned jobs and where their outcomes lie. Out: a folder ready to be published. Never: reports of two data states in
one set but in the place of a report that has just failed, or two findings that contradict each other.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..errors import RunError
from ..render.record import SITE, site_record
from ..shipped import version
from ..study import Study, plan_record, planned
from ..study.locking import commit_of
from .asked import KIND
from .environment import installed
from .jobs import Job, Outcome
from .keys import MANIFEST, sealed, sha256_of
from .publish import PublicationError, canonical, hashes, take, write
from .site import write_site
from .status import JobState, utc_now
from .work import Kept

Entry = dict[str, object]
FINDINGS = "findings.json"


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A job with its key, and what is to be done with it.

    Attributes
    ----------
    job : Job
    key : str
    parts : mapping of str to str
        Of the key.
    does : str
        "unchanged" (taken from the published set), "found" (made before, not published) or "run".
    why : str
        Why it is run; empty where it is not.
    """

    job: Job
    key: str
    parts: Mapping[str, str]
    does: Literal["unchanged", "found", "run"]
    why: str


def entries_of(manifest: Mapping[str, object]) -> dict[str, Entry]:
    """The reports that a manifest lists, by name: those on areas and those on the data."""
    found: dict[str, Entry] = {}
    for part in ("reports", "quality"):
        listed = manifest.get(part)
        found |= {str(entry["name"]): dict(entry) for entry in (listed if isinstance(listed, list) else ())}
    return found


def files_of(entry: Mapping[str, object]) -> Iterator[str]:
    """Names of the files of a report."""
    files = entry.get("files")
    yield from (str(name) for name in (files if isinstance(files, list) else ()))


def hurt_in(entry: Mapping[str, object], damaged: Mapping[str, str]) -> list[str]:
    """What a report has in a set that is not as it was published: its own files, and the findings of all."""
    told = (*files_of(entry), *((FINDINGS,) if entry["findings"] else ()))
    return [name for name in told if name in damaged]


def fill(
    study: Study,
    planned: Sequence[Planned],
    failures: Mapping[str, Outcome],
    *,
    new: Path,
    old: Path | None,
    manifest: Mapping[str, object],
    damaged: Mapping[str, str],
    basis: Mapping[str, object],
    begun: str,
    wanted: Mapping[str, object] | None,
    kept: Callable[[str], Kept | None],
) -> list[JobState]:
    """Fill the folder of a new set.

    Parameters
    ----------
    study : Study
    planned : sequence of Planned
    failures : mapping of str to Outcome
        Of the jobs that failed, by name.
    new, old : Path
        Folder of the new set, and of the one that is published now, if any.
    manifest, damaged : mapping
        Of the old set.
    basis : mapping
        What the new reports are made from.
    begun : str
        When the run began.
    wanted : mapping or None
        What was asked, for the manifest; None for a run of a part of what was asked before.
    kept : callable
        The kept outcome of a key.

    Returns
    -------
    list of JobState
        Of the planned jobs, then of those that left the set.
    """
    before = entries_of(manifest)
    findings = _Findings.read(old if manifest and FINDINGS not in damaged else None, before)
    entries: dict[str, Entry] = {}
    states: list[JobState] = []
    mine = {one.job.name for one in planned}
    same = manifest.get("made_from") == basis
    for name, entry in before.items():
        good = old is not None and not hurt_in(entry, damaged)
        if name not in mine and same and good and _taken(old, new, files_of(entry)):
            entries[name] = entry
        elif name not in mine:
            why = "" if same else "made from other data or code"
            states.append(
                JobState(name=name, state="dropped", why=why or "changed by another hand", seconds=0)
            )
    for one in planned:
        name, last = one.job.name, before.get(one.job.name)
        outcome = failures.get(name)
        if outcome is not None:
            entries[name] = _failed(one, outcome, last, new, old, damaged)
            stays = bool(entries[name]["stale"])
            states.append(
                JobState(
                    name=name,
                    state="kept" if stays else "failed",
                    why=outcome.error,
                    seconds=round(outcome.seconds, 3),
                )
            )
        elif one.does == "unchanged" and last is not None and _taken(old, new, files_of(last)):
            entries[name] = last
            states.append(JobState(name=name, state="unchanged", why="", seconds=0))
        else:
            content = kept(one.key)
            if content is None:
                raise PublicationError(
                    "What a job made is not there any more; the earlier reports are as they were.", where=name
                )
            for ending, file in content.files.items():
                write(new, f"{name}.{ending}", file)
            findings.add(name, content.findings)
            entries[name] = _entry(one, content)
            state: Literal["made", "found"] = "found" if one.does == "found" else "made"
            states.append(JobState(name=name, state=state, why=one.why, seconds=content.seconds))
    write(new, FINDINGS, canonical(findings.joined(entries)))
    write(new, SITE, canonical(site_record(study)))
    requests = _requests(manifest if same else {}, before, entries, wanted, [one.job.name for one in planned])
    said = _manifest(study, _dated(entries, new, manifest), basis, begun, requests)
    write_site(new, said)
    write(new, MANIFEST, canonical(sealed({**said, "files": hashes(new)})))
    dropped = [one for one in states if one.state == "dropped"]
    return [one for one in states if one.state != "dropped"] + dropped


def _entry(one: Planned, content: Kept) -> Entry:
    return {
        **_identity(one.job),
        "failed": False,
        "stale": False,
        "key": one.key,
        "tried": one.key,
        "parts": dict(one.parts),
        "made": content.made,
        "files": [f"{one.job.name}.{ending}" for ending in sorted(content.files)],
        "findings": [_mark(record) for record in content.findings],
        "verdicts": [
            [str(record["outcome"]), str(record.get("role", "primary")), str(record["verdict"])]
            for record in content.findings
            if record["subject"] == one.job.subject
        ],
    }


def _failed(
    one: Planned,
    outcome: Outcome,
    last: Entry | None,
    new: Path,
    old: Path | None,
    damaged: Mapping[str, str],
) -> Entry:
    """The entry of a failed job: its error page, beside the last good report where there is one."""
    page = f"{one.job.name}.error.html"
    good = [file for file in files_of(last or {}) if file != page]
    stays = last is not None and bool(good) and not set(hurt_in(last, damaged)) - {page}
    stays = stays and _taken(old, new, good)
    write(new, page, outcome.html)
    entry: Entry = {
        **_identity(one.job),
        "failed": True,
        "stale": stays,
        "key": last["key"] if last is not None and stays else "",
        "tried": one.key,
        "parts": last["parts"] if last is not None and stays else dict(one.parts),
        "made": last["made"] if last is not None and stays else utc_now(),
        "files": sorted([*(good if stays else ()), page]),
        "findings": last["findings"] if last is not None and stays else [],
        "verdicts": last["verdicts"] if last is not None and stays else [],
        "error": outcome.error.split("\n", 1)[0],
    }
    return entry


def _identity(job: Job) -> Entry:
    return {
        "name": job.name,
        "kind": job.kind,
        "year": job.year,
        "subject": job.subject,
        "area": job.area,
        "language": job.language,
        "notebook": job.notebook.name,
        "parameters": dict(job.parameters),
    }


def _taken(old: Path | None, new: Path, files: Iterable[str]) -> bool:
    return old is not None and all(take(old, new, file) for file in files)


def _mark(record: Mapping[str, object]) -> str:
    """What a finding is found by."""
    return f"{int(str(record['year'])):04d}/{record['subject']}/{record['outcome']}"


class _Findings:
    """The findings of a set, each once, by what they are found by."""

    def __init__(self, earlier: Mapping[str, Mapping[str, object]]) -> None:
        self._earlier = earlier
        self._new: dict[str, tuple[str, Mapping[str, object]]] = {}
        self._names: set[str] = set()

    @classmethod
    def read(cls, old: Path | None, entries: Mapping[str, Entry]) -> _Findings:
        """Those of the old set, as far as its reports have some."""
        if old is None or not any(entry["findings"] for entry in entries.values()):
            return cls({})
        records = json.loads((old / FINDINGS).read_text(encoding="utf-8"))
        return cls({_mark(record): record for record in records})

    def add(self, name: str, records: Iterable[Mapping[str, object]]) -> None:
        """Those of a new report; reports that contradict each other are an error."""
        self._names.add(name)
        for record in records:
            other = self._new.setdefault(_mark(record), (name, record))
            if other[1] != record:
                raise _disagree(_mark(record), other[0], name)

    def joined(self, entries: Mapping[str, Entry]) -> list[object]:
        """All that a report of the set has; those of this run before those of earlier ones."""
        marks: set[str] = set()
        for name, entry in sorted(entries.items()):
            listed = entry["findings"]
            marks.update(listed if isinstance(listed, list) else ())
            if name not in self._names and not entry["stale"]:
                self._refuse_other(name, listed if isinstance(listed, list) else ())
        return [
            self._new[mark][1] if mark in self._new else self._earlier[mark]
            for mark in sorted(marks)
            if mark in self._new or mark in self._earlier
        ]

    def _refuse_other(self, name: str, marks: Iterable[str]) -> None:
        """Refuse that a report of an earlier run stands beside new ones that say otherwise."""
        for mark in marks:
            if mark in self._new and self._earlier.get(mark) != self._new[mark][1]:
                raise _disagree(mark, name, self._new[mark][0])


def _disagree(mark: str, *names: str) -> RunError:
    return RunError("Two reports of one run disagree.", where=", ".join(names), found=mark.replace("/", " "))


def _requests(
    manifest: Mapping[str, object],
    before: Mapping[str, Entry],
    after: Mapping[str, Entry],
    wanted: Mapping[str, object] | None,
    names: Sequence[str],
) -> list[object]:
    """What this set answers: this run, and the earlier ones of whose jobs none has been made otherwise since."""
    earlier = manifest.get("requests")
    standing: list[object] = []
    for one in earlier if isinstance(earlier, list) else ():
        jobs = one["jobs"]
        whole = all(name in after and after[name]["tried"] == before[name]["tried"] for name in jobs)
        if whole and one["asked"] != wanted:
            standing.append(one)
    return [*standing, *([{"asked": dict(wanted), "jobs": list(names)}] if wanted is not None else [])]


def _dated(
    entries: Mapping[str, Entry], new: Path, manifest: Mapping[str, object]
) -> list[dict[str, object]]:
    """The entries by name; one whose page is the same, byte for byte, keeps the time since which it has been so."""
    before, files = entries_of(manifest), manifest.get("files")
    hashed = files if isinstance(files, dict) else {}
    dated = []
    for name, entry in sorted(entries.items()):
        page = new / f"{name}.html"
        last = before.get(name)
        same = last is not None and page.is_file() and hashed.get(f"{name}.html") == sha256_of(page)
        dated.append({**entry, "made": last["made"] if last is not None and same else entry["made"]})
    return dated


def _manifest(
    study: Study,
    listed: Sequence[Mapping[str, object]],
    basis: Mapping[str, object],
    begun: str,
    requests: Sequence[object],
) -> dict[str, object]:
    """What produced what: hashes of data, definition, notebooks and outputs; versions; seed; times. No findings."""
    return {
        "kind": KIND,
        "study": study.name,
        "synthetic": study.spec.study.synthetic,
        "as_of": basis["as_of"],
        "definition_sha256": study.sha256,
        "made_from": dict(basis),
        "sources": [
            {"file": one.file, "sha256": one.sha256, "reader": one.reader, "vintage": one.vintage}
            for one in study.spec.source
        ],
        "plan": plan_record(study.plan_state),
        "planned": planned(study.folder, study.spec),
        "seed": study.spec.study.seed,
        "mekeval": version(),
        "git": _commits(study),
        "machine": {
            "system": platform.system(),
            "processor": platform.machine(),
            "python": platform.python_version(),
            "implementation": platform.python_implementation(),
        },
        "environment": installed(),
        "begun": begun,
        "ended": utc_now(),
        "requests": list(requests),
        "reports": [entry for entry in listed if entry["kind"] != "quality"],
        "quality": [entry for entry in listed if entry["kind"] == "quality"],
    }


def _commits(study: Study) -> dict[str, object]:
    """The git commits of the study and, where it runs from a checkout, of mekeval; empty where there is none."""
    package = Path(__file__).resolve().parents[1]
    places = {"study": study.folder / "study.toml"}
    if (package.parent / ".git").exists():
        places["mekeval"] = package / "__init__.py"
    found: dict[str, object] = {}
    for name, file in places.items():
        commit, dirty = commit_of(file)
        if commit:
            found[name] = {"commit": commit, "dirty": dirty}
    return found
