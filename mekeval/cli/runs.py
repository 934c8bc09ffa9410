"""`mekeval run`, `run-one`, `verify`, `environment` and `site`: reports, and what proves them.

In: what was typed. Out: a published set, a site, a list of packages, or what differs. Never: a calculation: the
library does the work.

A scheduler reads the exit codes of `run` and `run-one`:

0    every report is as it should be: made now, or unchanged
1    a report failed; its error page says why, its last good version stays, the others are published
2    refused: nothing was run or written; the message says what to mend
3    begun and not published: a full disk, a folder that is gone, a file that changed, a scheduler that was lost; the
     earlier set is as it was, and what was finished is kept for the next run
130  ended by SIGINT, 143 by SIGTERM: as 3

`verify` ends with 0 where all is as it was published, 1 where something differs, 2 where there is nothing to verify.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ..errors import MekevalError, RunError
from .common import (
    PLACE,
    data_options,
    day,
    jobs_option,
    languages_option,
    limits_options,
    main,
    out_option,
    plainly,
)


@main.command()
@click.argument("study", type=PLACE)
@click.option(
    "--year",
    "years",
    type=int,
    multiple=True,
    help="Year of the reports; may be repeated. Needed unless --only-failed.",
)
@click.option(
    "--district", "districts", multiple=True, help="Code or name; may be repeated. Default: all treated."
)
@languages_option()
@click.option(
    "--kind",
    "kinds",
    type=click.Choice(["city", "district", "changes", "quality"]),
    multiple=True,
    help="The city, its districts, what changed since last year, the quality of the data; may be repeated. Default: "
    "all.",
)
@data_options
@out_option("reports", "reports")
@jobs_option()
@click.option(
    "--scheduler",
    metavar="tcp://HOST:PORT",
    help="Run the jobs on the workers of this Dask scheduler; needs the extra cluster.",
)
@limits_options("no limit", "1800")
@click.option("--notebooks", type=PLACE, help="Folder with your own report notebooks.")
@click.option(
    "--parameter", "-p", "extra", multiple=True, metavar="NAME=VALUE", help="A parameter of your notebooks."
)
@click.option("--only-failed", is_flag=True, help="Only the reports that failed in the last run.")
@click.option("--dry-run", is_flag=True, help="Say what would be run and why; run nothing.")
@click.option(
    "--specs",
    type=PLACE,
    help="With --dry-run: write a file for each job, for `mekeval run-one`, into this folder.",
)
@click.option("--explain", is_flag=True, help="Say of each report why it was made.")
@click.option("--pdf", is_flag=True, help="Each page as PDF too; needs the extra pdf.")
@click.option("--quiet", is_flag=True, help="No progress bar and no table, for logs.")
@plainly
def run(
    study: Path,
    years: tuple[int, ...],
    districts: tuple[str, ...],
    languages: tuple[str, ...],
    kinds: tuple[str, ...],
    raw: Path | None,
    as_of: str | None,
    out: Path,
    jobs: int | None,
    scheduler: str | None,
    memory: float | None,
    time_limit: float | None,
    notebooks: Path | None,
    extra: tuple[str, ...],
    specs: Path | None,
    *,
    only_failed: bool,
    dry_run: bool,
    explain: bool,
    pdf: bool,
    quiet: bool,
) -> None:
    """Make the reports of STUDY: the city and each treated district, for each year and language, and on the data.

    A report that nothing has changed is taken from the last run. Ends with 0: all well; 1: a report failed; 2: refused;
    3: could not be published.
    """
    from ..run import run_study
    from ..run.limits import USUAL_SECONDS
    from ..run.status import status_table

    if not years and not only_failed and set(kinds) != {"quality"}:
        raise RunError("No year is given.", where="--year", fix="Add: --year 2025")
    parameters = {}
    if extra:
        from ..run import typed_parameters

        parameters = typed_parameters(extra, notebooks)
    result = run_study(
        study,
        years=years,
        districts=districts or None,
        languages=languages or None,
        kinds=kinds or None,
        raw=raw,
        as_of=day(as_of),
        out=out,
        jobs=jobs,
        scheduler=scheduler,
        memory=memory or 0.0,
        time_limit=USUAL_SECONDS if time_limit is None else time_limit,
        notebooks=notebooks,
        parameters=parameters,
        only_failed=only_failed,
        dry_run=dry_run,
        specs=specs,
        pdf=pdf,
        progress=not quiet,
    )
    if not quiet or explain:
        click.echo(status_table(result.states, why=explain or dry_run))
    for name, message in result.errors.items():
        click.echo(f"FAILED {name}: {message.splitlines()[0]}", err=True)
    counted = {
        state: sum(one.state == state for one in result.states)
        for state in ("would run", "unchanged", "found")
    }
    if dry_run:
        found = counted["found"]
        said = f", {found} made before and not yet published" if found else ""
        click.echo(f"{_reports(counted['would run'])} would be made, {counted['unchanged']} unchanged{said}")
        return
    made = len(result.done) - counted["unchanged"]
    click.echo(
        f"{_reports(made)} made, {counted['unchanged']} unchanged, {len(result.failed)} failed, {result.seconds:.0f} s"
    )
    click.echo(str(result.index))
    if result.failed:
        sys.exit(1)


def _reports(n: int) -> str:
    return "1 report" if n == 1 else f"{n} reports"


@main.command("run-one")
@click.argument("spec", type=PLACE)
@limits_options("that of the dry run", "that of the dry run")
@plainly
def one(spec: Path, memory: float | None, time_limit: float | None) -> None:
    """Run one job, as SPEC says, a file of `mekeval run --dry-run --specs`; the next `mekeval run` publishes it."""
    from ..run.one import run_one

    result = run_one(spec, memory=memory, time_limit=time_limit)
    if result.error:
        click.echo(f"FAILED {result.name}: {result.error}", err=True)
        sys.exit(1)
    click.echo(f"{result.name}: {result.state}, {result.seconds:.1f} s")


@main.command()
@click.argument("folder", type=PLACE)
@click.option(
    "--rerun",
    type=PLACE,
    metavar="STUDY",
    help="Make the reports again from this study, elsewhere, and compare them.",
)
@click.option("--raw", type=PLACE, help="With --rerun: folder of external raw data.")
@click.option("--notebooks", type=PLACE, help="With --rerun: your own report notebooks.")
@jobs_option("With --rerun: processes.")
@plainly
def verify(
    folder: Path, rerun: Path | None, raw: Path | None, notebooks: Path | None, jobs: int | None
) -> None:
    """Is every file in FOLDER as it was published? Ends with 1 where one is missing, changed or extra."""
    from ..run.verify import rerun_set, verify_set

    if rerun is None and (raw or notebooks or jobs):
        raise MekevalError("These options are for making reports again.", fix="Add: --rerun STUDY")
    if rerun is None:
        differences = verify_set(folder)
    else:
        differences = rerun_set(folder, rerun, raw=raw, notebooks=notebooks, jobs=jobs)
    for found in differences:
        click.echo(f"{found.what}: {found.name}")
    if differences:
        sys.exit(1)
    click.echo("Everything is as it was published." if rerun is None else "Everything came out the same.")


@main.command()
@click.argument("folder", type=PLACE)
@plainly
def environment(folder: Path) -> None:
    """Print what the set in FOLDER was made with, as lines for pip: every package with its version."""
    from ..run.environment import pinned_requirements

    click.echo(pinned_requirements(folder), nl=False)


@main.command()
@click.argument("folder", type=PLACE)
@click.option(
    "--out",
    type=PLACE,
    help="Publish the whole set here, under its name. Default: where it lies.",
)
@click.option("--base", default="", help="Address at which --out will be found, for the feeds: https://.../")
@plainly
def site(folder: Path, out: Path | None, base: str) -> None:
    """Make the pages of the reports in FOLDER again: of one study, or of several in one folder. Nothing is computed."""
    from ..run.site import build_site

    result = build_site(folder, out=out, base=base)
    for one in result.sets:
        click.echo(str(one))
    click.echo(str(result.index))
