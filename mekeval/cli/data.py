"""`mekeval clean`, `fetch` and `monitor`: raw data, and the records of community work.

In: what was typed. Out: a published set, downloaded files, pages. Never: a calculation: the library does the work.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import click

from ..errors import Fault, MekevalError
from .common import (
    PLACE,
    data_options,
    day,
    jobs_option,
    languages_option,
    main,
    out_option,
    plainly,
    signals,
)


@main.command()
@click.argument("study", type=PLACE)
@data_options
@out_option("clean", "cleaned data")
@languages_option()
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
    from ..clean import clean_study

    try:
        with signals():
            result = clean_study(
                study, raw=raw, as_of=day(as_of), out=out, languages=languages or None, report=not no_report
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
@click.argument("study", type=PLACE)
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
@plainly
def fetch(
    study: Path, files: tuple[str, ...], timeout: float, *, offline: bool, refresh: bool, quiet: bool
) -> None:
    """Download the raw files of STUDY that have a [source.fetch], or go on where a download broke off."""
    from ..fetch import fetch_study

    # What is tried again is told by the fetch itself.
    logging.getLogger("stamina").addHandler(logging.NullHandler())
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
@click.argument("folder", type=PLACE)
@click.option("--year", type=int, required=True, help="Year of the programme.")
@click.option(
    "--quarter",
    type=click.IntRange(1, 4),
    help="The pages of the areas in this quarter. Default: the page of the year.",
)
@click.option(
    "--area", "areas", multiple=True, help="Code or name; may be repeated. Default: all with a developer."
)
@languages_option("fi, sv or en", "the folder's own")
@out_option("monitoring", "pages")
@jobs_option()
@plainly
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
    from ..monitor import publish_monitoring

    result = publish_monitoring(
        folder, year=year, quarter=quarter, areas=areas, languages=languages, out=out, jobs=jobs
    )
    if result.synthetic:
        click.echo("The records are SYNTHETIC.")
    for page in result.pages:
        click.echo(str(page))
