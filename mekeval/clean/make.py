"""Making a cleaned set: reading, tables, the report, and the one swap that publishes them.

In: a study and where its set is to stand. Out: the set. Never: half of one, or the old one lost.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import os
import shutil
from collections.abc import Hashable, Iterator, Mapping
from pathlib import Path

import pandas as pd

from ..disclosure import check_outputs
from ..errors import MekevalError, RunError
from ..indicators import Indicators, clean_indicators, compare_releases, failures_table, hidden_numbers
from ..render import ReportPage
from ..report.covered import published_coverage, seen_of, unit_coverage
from ..report.quality import CACHE_VARIABLE
from ..run.jobs import Job, check_parameters
from ..run.keys import MANIFEST, sealed
from ..run.publish import canonical, hashes, publication, read_manifest, write
from ..run.workers import execute_all
from ..study import Study, read_study, require_language
from ..tables import frame_csv
from ..text import Texts
from . import Cleaned
from .key import KIND, Question, languages_of, made_from, published

#: Where a fault is when it is one of the command line.
_ASKED = ("as_of", "--as-of", "--raw")


def make(question: Question) -> Cleaned:
    """Clean, write and publish; the parameters and errors of `mekeval.clean.clean_study`."""
    begun = datetime.datetime.now(datetime.UTC)
    for language in question.languages:
        Texts(language)
    with _refusing(question):
        study = read_study(question.definition, raw=question.raw)
    for language in question.languages:
        require_language(study.spec, language, "--language")
    listed = _listed(study)
    before = made_from(question, listed)
    own = f"study:{question.definition.name}"
    _refuse_changed({own: question.sha256}, {own: _sha256_of(question.definition)})
    jobs = _jobs(question, study)
    with publication(question.out, study.name, as_of=question.as_of) as (new, old):
        _refuse_other(old, question.set)
        with _cache(new) if jobs else contextlib.nullcontext() as cache:
            with _refusing(question):
                indicators = clean_indicators(study, as_of=question.as_of, cache=cache)
            outcomes = execute_all(jobs, jobs=None, executor=None, progress=False) if jobs else []
        broken = [outcome for outcome in outcomes if outcome.error]
        if broken:
            raise RunError("The report could not be made.", where=broken[0].job.name, found=broken[0].error)
        for name, table in tables_of(indicators).items():
            write(new, f"{name}.csv", frame_csv(table))
        _write_parquet(indicators.table, new / "indicators.parquet")
        for outcome in outcomes:
            write(new, f"{outcome.job.name}.html", outcome.html)
            write(new, f"{outcome.job.name}.ipynb", outcome.notebook)
        hidden = hidden_numbers(study, as_of=question.as_of, indicators=indicators)
        check_outputs(new, study, hidden, shown=indicators.table)
        _refuse_changed(before["inputs"], question.inputs(listed))
        manifest = sealed(_manifest(study, indicators, new, before, begun))
        write(new, MANIFEST, canonical(manifest))
    with contextlib.suppress(OSError):
        question.refusals.unlink(missing_ok=True)  # what was refused then stands no more
    folder, reports = published(question, manifest)
    warnings = indicators.log.loc[indicators.log["level"] == "warning"]
    counts = warnings.groupby("rule")["count"].sum().sort_values(ascending=False, kind="stable")
    return Cleaned(
        folder=folder,
        reports=reports,
        changed=True,
        files=tuple(map(_file_line, indicators.files.to_dict("records"))),
        warnings={str(rule): int(count) for rule, count in counts.items()},
        summary=_summary(indicators),
    )


def tables_of(indicators: Indicators) -> dict[str, pd.DataFrame]:
    """The tables of a cleaned set, by the name of their file."""
    return {
        "indicators": indicators.table,
        "releases": indicators.releases,
        "comparisons": compare_releases(indicators),
        "log": indicators.log.assign(
            **{name: pd.to_numeric(indicators.log[name]).astype("Int64") for name in ("row", "year", "count")}
        ),
        "failures": failures_table(indicators),
        "files": indicators.files,
        "coverage": published_coverage(indicators),
    }


@contextlib.contextmanager
def _refusing(question: Question) -> Iterator[None]:
    """Write the faults of the study and its files as a table beside the set; those of the command line are no table."""
    try:
        yield
    except MekevalError as error:
        asked = not question.sha256 or all(fault.where in _ASKED for fault in error.faults)
        if not asked and _write_refusal(question.refusals, failures_table(error)):
            error.add_note(f"As a table: {question.refusals}")
        raise


@contextlib.contextmanager
def _cache(new: Path) -> Iterator[Path]:
    """A folder in which the report's notebooks find what was cleaned here, so that nothing is read twice.

    It lies beside the new set, whose name its own begins with: the next run sweeps away what a killed one left.
    """
    folder = new.with_name(f"{new.name}.cache")
    folder.mkdir(mode=0o700)
    before = os.environ.get(CACHE_VARIABLE)
    os.environ[CACHE_VARIABLE] = str(folder.resolve())
    try:
        yield folder
    finally:
        os.environ.pop(CACHE_VARIABLE)
        if before is not None:
            os.environ[CACHE_VARIABLE] = before
        shutil.rmtree(folder, ignore_errors=True)


def _listed(study: Study) -> list[str]:
    """Every file that the study names, as the manifest does: "raw:" or "study:" and its place there."""
    areas, reference = study.spec.areas, study.spec.reference
    own = [areas.file, areas.crosswalk, reference.areas if reference else "", *study.spec.study.earlier]
    return [f"study:{file}" for file in own if file] + [f"raw:{one.file}" for one in study.spec.source]


def _jobs(question: Question, study: Study) -> list[Job]:
    if not question.report:
        return []
    languages = languages_of(question)
    folder = question.folder.resolve()
    own = question.definition.name
    place = folder.name if own == "study.toml" else f"{folder.name}/{own}"
    jobs = []
    for language in languages:
        title = study.spec.study.title.text(language)
        stem = f"data_quality_{language}"
        as_of = {"as_of": question.as_of.isoformat()} if question.as_of else {}
        jobs.append(
            Job(
                name=stem,
                kind="quality",
                year=question.as_of.year if question.as_of else 0,
                subject="all",
                area=title,
                language=language,
                notebook=question.notebook,
                parameters={"study": place, "language": language, **as_of},
                folder=folder.parent,
                raw=str(question.raw_folder.resolve()) if question.raw_folder else "",
                page=ReportPage(
                    title=title,
                    language=language,
                    description=title,
                    synthetic=study.spec.study.synthetic,
                    siblings=tuple(
                        (other, f"data_quality_{other}.html") for other in languages if other != language
                    ),
                    index_href="",
                    notebook_href=f"{stem}.ipynb",
                    programme=title,
                ),
            )
        )
    check_parameters(question.notebook, jobs[0].parameters)
    return jobs


def _refuse_changed(before: object, now: Mapping[str, str]) -> None:
    known = before if isinstance(before, dict) else {}
    if known != now:
        changed = sorted(name for name in known.keys() | now.keys() if known.get(name) != now.get(name))
        raise RunError(
            "A file changed while it was read.",
            where=", ".join(name.partition(":")[2] for name in changed[:6]),
            fix="Run the command again when the files are at rest.",
        )


def _sha256_of(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


def _refuse_other(old: Path | None, link: Path) -> None:
    if old is not None and read_manifest(old).get("kind") != KIND:
        raise RunError(
            "Reports of an evaluation stand where the cleaned data belong.",
            where=str(link),
            fix="Choose another --out.",
        )


def _write_parquet(table: pd.DataFrame, path: Path) -> None:
    """The tidy table with its types, where DuckDB is installed."""
    try:
        import duckdb
    except ImportError:
        return
    with duckdb.connect(":memory:", config={"threads": 1}) as con:
        con.register("indicators", table)
        target = str(path).replace("'", "''")
        con.execute(f"COPY (SELECT * FROM indicators) TO '{target}' (FORMAT PARQUET, COMPRESSION ZSTD)")


def _write_refusal(path: Path, table: pd.DataFrame) -> bool:
    """The faults as a table beside the published set, whole or not at all; False where the folder cannot be written."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with fresh.open("w", encoding="utf-8", newline="") as stream:
            stream.write(frame_csv(table))
            stream.flush()
            os.fsync(stream.fileno())
        fresh.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            fresh.unlink(missing_ok=True)
        return False
    return True


def _manifest(
    study: Study,
    indicators: Indicators,
    new: Path,
    before: Mapping[str, object],
    begun: datetime.datetime,
) -> dict[str, object]:
    """What produced what; its `made_from` is what a later call compares with."""
    return {
        "kind": KIND,
        "study": study.name,
        "synthetic": study.spec.study.synthetic,
        "definition_sha256": study.sha256,
        "as_of": indicators.as_of.isoformat() if indicators.as_of else "",
        "minimum_base": study.spec.study.minimum_base,
        "made_from": before,
        "sources": [
            {"file": one.file, "sha256": one.sha256, "reader": one.reader, "vintage": one.vintage}
            for one in study.spec.source
        ],
        "rows": {
            name: len(table) for name, table in (("indicators", indicators.table), ("log", indicators.log))
        },
        "begun": begun.isoformat(timespec="seconds"),
        "ended": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "files": hashes(new),
    }


def _file_line(row: Mapping[Hashable, object]) -> str:
    form = f", {row['form']}" if row["form"] else ""
    rows, cells = _many(row["rows"], "row"), _many(row["cells"], "cell")
    return f"{row['file']}: {rows}, {cells}, {row['years'] or 'no years'}{form}"


def _summary(indicators: Indicators) -> str:
    seen = seen_of(unit_coverage(indicators))
    share = "no cells" if seen.share is None else f"{100 * seen.share:.1f}% of cells"
    return (
        f"{seen.areas:,} of {_many(seen.listed, 'area')} {'has' if seen.areas == 1 else 'have'} a number, "
        f"{_many(seen.indicators, 'indicator')}, "
        f"{seen.years or 'no years'}; {share} (areas by indicators by the years with data of each)"
    )


def _many(number: object, word: str) -> str:
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"
