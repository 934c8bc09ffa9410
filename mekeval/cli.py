"""The command line: `mekeval run`, `clean`, `monitor`, `fetch`, `plan` and `new`.

In: words. Out: files, one line for each thing done, and an exit code: 0 all well, 1 some of them failed, 2 refused.
Never: a traceback for a user's mistake.
"""

from __future__ import annotations

import json
import logging
import signal
import sys
from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec

import click

from . import __version__
from .errors import Fault, MekevalError, RunError, StudyError

if TYPE_CHECKING:
    from .study import PlanState

P = ParamSpec("P")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="mekeval")
def main() -> None:
    """Did an area programme work? Evaluation reports from raw statistics."""


def _plainly(command: Callable[P, None]) -> Callable[P, None]:
    """End with the message of a user's mistake and exit code 2."""
    done = {"fetch": "fetched", "lock": "locked", "show": "shown"}.get(command.__name__, "published")

    @wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except MekevalError as error:
            click.echo(f"Nothing was {done}. {error}", err=True)
            sys.exit(2)

    return wrapped


@main.command()
@click.argument("study", type=click.Path(path_type=Path))
@click.option(
    "--year", "years", type=int, multiple=True, required=True, help="Year of the reports; may be repeated."
)
@click.option(
    "--district", "districts", multiple=True, help="Code or name; may be repeated. Default: all treated."
)
@click.option(
    "--language",
    "languages",
    multiple=True,
    help="fi, sv or en, one of the study's; may be repeated. Default: all of the study's.",
)
@click.option("--raw", type=click.Path(path_type=Path), help="Folder of raw data that lie outside the study.")
@click.option("--as-of", help="Only what was published by this day (2024-06-30) or year (2024).")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("reports"),
    show_default=True,
    help="Folder for the reports.",
)
@click.option("--jobs", type=click.IntRange(min=1), help="Processes. Default: one for each processor.")
@click.option("--notebooks", type=click.Path(path_type=Path), help="Folder with your own report notebooks.")
@click.option(
    "--parameter", "-p", "extra", multiple=True, metavar="NAME=VALUE", help="A parameter of your notebooks."
)
@click.option("--quiet", is_flag=True, help="No progress bar.")
@_plainly
def run(
    study: Path,
    years: tuple[int, ...],
    districts: tuple[str, ...],
    languages: tuple[str, ...],
    raw: Path | None,
    as_of: str | None,
    out: Path,
    jobs: int | None,
    notebooks: Path | None,
    extra: tuple[str, ...],
    *,
    quiet: bool,
) -> None:
    """Make the reports of STUDY: each treated district and the city, for each year and language."""
    from .run import run_study, typed_parameters

    as_of = _day(as_of)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the run cleans up behind itself
    result = run_study(
        study,
        years=years,
        districts=districts or None,
        languages=languages or None,
        raw=raw,
        as_of=as_of,
        out=out,
        jobs=jobs,
        notebooks=notebooks,
        parameters=typed_parameters(extra, notebooks),
        progress=not quiet,
    )
    for name, message in result.errors.items():
        click.echo(f"FAILED {name}: {message.splitlines()[0]}", err=True)
    click.echo(f"{len(result.done)} reports made, {len(result.failed)} failed, {result.seconds:.0f} s")
    click.echo(str(result.index))
    if result.failed:
        sys.exit(1)


@main.command()
@click.argument("study", type=click.Path(path_type=Path))
@click.option("--raw", type=click.Path(path_type=Path), help="Folder of raw data that lie outside the study.")
@click.option("--as-of", help="Only what was published by this day (2024-06-30) or year (2024).")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("clean"),
    show_default=True,
    help="Folder for the cleaned data.",
)
@click.option(
    "--language",
    "languages",
    multiple=True,
    help="fi, sv or en, one of the study's; may be repeated. Default: all of the study's.",
)
@click.option("--no-report", is_flag=True, help="The tables only, no report on their quality.")
def clean(
    study: Path,
    raw: Path | None,
    as_of: str | None,
    out: Path,
    languages: tuple[str, ...],
    *,
    no_report: bool,
) -> None:
    """Read and clean the raw files of STUDY: tidy tables, a log, and a report on their quality."""
    from .clean import clean_study

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        result = clean_study(
            study, raw=raw, as_of=_day(as_of), out=out, languages=languages or None, report=not no_report
        )
    except MekevalError as error:
        click.echo(_grouped(error), err=True)
        sys.exit(2)
    for line in result.files:
        click.echo(line)
    if result.warnings:
        said = ", ".join(f"{rule} {count:,}" for rule, count in result.warnings.items())
        click.echo(f"{sum(result.warnings.values()):,} warnings: {said}")
    elif result.changed:
        click.echo("No warnings.")
    click.echo(result.summary)
    for path in result.reports or (result.folder,):
        click.echo(str(path))


def _day(text: str | None) -> str | None:
    """A day as it was given; an empty one, from a variable that is not set, must not mean "no limit"."""
    if text is not None and not text.strip():
        raise MekevalError(
            "This is no day.",
            where="--as-of",
            found=repr(text),
            expected="2024-06-30, or a year such as 2024",
            fix="Leave the option out where everything counts.",
        )
    return text


def _grouped(error: MekevalError, *, kinds: int = 12, each: int = 5) -> str:
    """Every kind of fault with its first places, and where all of them stand."""
    faults: dict[str, list[Fault]] = {}
    for fault in error.faults:
        faults.setdefault(fault.what, []).append(fault)
    if len(error.faults) == 1:
        lines = [f"Nothing was published. {error}"]
    else:
        lines = [f"Nothing was published. {len(error.faults):,} faults:"]
        for what, some in list(faults.items())[:kinds]:
            lines.append(f"{what} ({len(some):,})" if len(some) > 1 else what)
            for fault in some[:each]:
                facts = (("", fault.where), ("found ", fault.found), ("expected ", fault.expected))
                lines.append("  " + "; ".join(f"{name}{value}" for name, value in facts if value))
            if len(some) > each:
                lines.append(f"  and {len(some) - each:,} more")
            fixes = list(dict.fromkeys(fault.fix for fault in some if fault.fix))
            lines += [f"  to do: {fix}" for fix in fixes[:2]]
        if len(faults) > kinds:
            lines.append(f"and {len(faults) - kinds:,} more kinds of faults")
    return "\n".join([*lines, *getattr(error, "__notes__", ())])


@main.command()
@click.argument("study", type=click.Path(path_type=Path))
@click.option("--source", "files", multiple=True, help="A raw file's name; may be repeated. Default: all.")
@click.option("--offline", is_flag=True, help="Ask no server; say which files are there, of which vintage.")
@click.option("--refresh", is_flag=True, help="Download everything anew, also what is in the cache.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=1),
    default=120,
    show_default=True,
    help="Seconds of silence after which an attempt is given up.",
)
@click.option("--quiet", is_flag=True, help="No progress bar.")
@_plainly
def fetch(
    study: Path, files: tuple[str, ...], timeout: float, *, offline: bool, refresh: bool, quiet: bool
) -> None:
    """Download the raw files of STUDY that have a [source.fetch], or go on where a download broke off."""
    from .fetch import fetch_study

    # What is tried again is told by the fetch itself.
    logging.getLogger("stamina").addHandler(logging.NullHandler())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    results = fetch_study(
        study, files=files, offline=offline, refresh=refresh, timeout=timeout, progress=not quiet
    )
    failed = [result for result in results if result.state in ("failed", "unreachable")]
    for result in results:
        click.echo(result.message, err=result in failed)
    click.echo(f"{len(results) - len(failed)} of {len(results)} sources in place, {len(failed)} failed")
    if failed:
        sys.exit(1)


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--year", type=int, required=True, help="Year of the programme.")
@click.option(
    "--quarter",
    type=click.IntRange(1, 4),
    help="The pages of the areas in this quarter. Default: the page of the year.",
)
@click.option(
    "--area", "areas", multiple=True, help="Code or name; may be repeated. Default: all with a developer."
)
@click.option(
    "--language", "languages", multiple=True, help="fi, sv or en; may be repeated. Default: the folder's own."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("monitoring"),
    show_default=True,
    help="Folder for the pages.",
)
@click.option("--jobs", type=click.IntRange(min=1), help="Processes. Default: one for each processor.")
@_plainly
def monitor(
    folder: Path,
    year: int,
    quarter: int | None,
    areas: tuple[str, ...],
    languages: tuple[str, ...],
    out: Path,
    jobs: int | None,
) -> None:
    """Make the pages of community work from the records in FOLDER: of a year, or of each area in a quarter."""
    from .monitor import publish_monitoring

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    result = publish_monitoring(
        folder, year=year, quarter=quarter, areas=areas, languages=languages, out=out, jobs=jobs
    )
    if result.synthetic:
        click.echo("The records are SYNTHETIC.")
    for page in result.pages:
        click.echo(str(page))


@main.group()
def plan() -> None:
    """Fix the plan of a study before its outcomes are seen, and see whether the study keeps to it."""


@plan.command()
@click.argument("study", type=click.Path(path_type=Path))
@click.option("--again", is_flag=True, help="Replace the lock; the new one names the day of the old one.")
@_plainly
def lock(study: Path, *, again: bool) -> None:
    """Write plan.lock beside the study.toml of STUDY; the raw files need not be there."""
    from .study import LOCK, lock_plan, read_spec

    state = lock_plan(study, again=again)
    for line in _locked(state):
        click.echo(line)
    click.echo(str(read_spec(study)[0].parent / LOCK))


@plan.command()
@click.argument("study", type=click.Path(path_type=Path))
@_plainly
def show(study: Path) -> None:
    """Show what the plan of STUDY fixes, whether it is locked, and what differs from the lock."""
    from .study import plan_state, planned, read_spec

    file, _, spec = read_spec(study)
    if spec.plan is None:
        raise StudyError("The study has no plan.", where=str(file), expected="a table [plan]")
    state = plan_state(file.parent, spec)
    for key, value in sorted(planned(file.parent, spec).items()):
        click.echo(f"{key}: {json.dumps(value, ensure_ascii=False)}")
    for line in _locked(state):
        click.echo(line)
    for one in state.deviations:
        day = f"{one.date}: " if one.date else ""
        why = f"{day}{' '.join(one.reason.fi.split())}" if one.reason else "no reason given"
        click.echo(f"differs: {one.key}: {one.locked or 'not there'} -> {one.now or 'not there'} ({why})")


def _locked(state: PlanState) -> Iterator[str]:
    """Whether and when a plan was locked, and whether the study keeps to it."""
    if state.date is None:
        yield "The plan is not locked."
        return
    commit = f"git commit {state.commit}" if state.commit else "no git commit"
    if state.dirty:
        commit += ", from which the study's folder differed"
    yield f"Locked on {state.date} by mekeval {state.version}, {commit}."
    if state.earlier:
        yield f"Locked before on {', '.join(map(str, state.earlier))}."
    yield {
        "kept": "The study keeps to it.",
        "explained": "The study differs from it; every difference has a reason.",
    }.get(state.state, f"The study differs from it without a reason: {', '.join(state.unexplained)}.")


@main.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--from", "source", type=click.Choice(["paavo"]), help="National data to make a study of.")
@click.option("--municipality", default="", help="With --from: its Finnish name, or its code, such as 853.")
@click.option(
    "--area", "areas", multiple=True, help="With --from: an area of the real programme; may be repeated."
)
@click.option("--first", type=int, help="With --from: first year of the programme.")
@click.option("--raw", type=click.Path(path_type=Path), help="With --from: folder that holds statfi-paavo.")
@_plainly
def new(
    path: Path,
    source: str | None,
    municipality: str,
    areas: tuple[str, ...],
    first: int | None,
    raw: Path | None,
) -> None:
    """Write a study and the notebooks into a new folder PATH, to start from: the example, or one's own municipality."""
    from .begin import copy_example, moved_areas, new_study

    if source is None:
        if municipality or areas or first or raw:
            raise RunError("These options make a study of national data.", fix="Add: --from paavo")
        folder = copy_example(path)
        click.echo(f"A study on synthetic example data: {folder}")
        click.echo(f"Notebooks: {path / 'notebooks'}")
        click.echo(f"Next: mekeval run {folder} --year 2025 --out {path / 'reports'}")
        return
    if not municipality:
        raise RunError("Which municipality?", fix="Add: --municipality NAME")
    made = new_study(path, municipality_of=municipality, raw=raw, areas=areas, first=first)
    names = dict(zip(made.municipality.table["code"], made.municipality.table["name_fi"], strict=True))
    click.echo(
        f"{made.municipality.name}: {len(names)} postal areas, {len(made.files)} raw files, last year {made.year}."
    )
    click.echo("The rule would choose: " + ", ".join(names[code] for code in made.candidates.chosen) + ".")
    for line in moved_areas(made.municipality):
        click.echo(f"Look at: {line}.")
    if made.left_out:
        click.echo("Raw files not there or not the ones known: " + ", ".join(made.left_out) + ".")
    click.echo(f"Study: {made.folder} (its README says what is assumed and what to fill in)")
    click.echo(f"Notebooks: {path / 'notebooks'}")
    given = f" --raw {raw}" if raw else ""
    click.echo(f"Next: mekeval run {made.folder}{given} --year {made.year} --out {path / 'reports'}")
