"""The command line: `mekeval run`, `mekeval fetch` and `mekeval new`.

In: words. Out: files, one line for each thing done, and an exit code: 0 all well, 1 some of them failed, 2 refused.
Never: a traceback for a user's mistake.
"""

from __future__ import annotations

import logging
import shutil
import signal
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import ParamSpec

import click

from . import __version__
from .errors import MekevalError, RunError

P = ParamSpec("P")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="mekeval")
def main() -> None:
    """Did an area programme work? Evaluation reports from raw statistics."""


def _plainly(command: Callable[P, None]) -> Callable[P, None]:
    """End with the message of a user's mistake and exit code 2."""
    done = "fetched" if command.__name__ == "fetch" else "published"

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
    "--language", "languages", multiple=True, help="fi or en; may be repeated. Default: the study's own."
)
@click.option("--raw", type=click.Path(path_type=Path), help="Folder of raw data that lie outside the study.")
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
    out: Path,
    jobs: int | None,
    notebooks: Path | None,
    extra: tuple[str, ...],
    *,
    quiet: bool,
) -> None:
    """Make the reports of STUDY: each treated district and the city, for each year and language."""
    from .run import run_study, typed_parameters

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the run cleans up behind itself
    result = run_study(
        study,
        years=years,
        districts=districts or None,
        languages=languages or None,
        raw=raw,
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
@click.argument("path", type=click.Path(path_type=Path))
@_plainly
def new(path: Path) -> None:
    """Write the example study and the notebooks into a new folder PATH, to start from."""

    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise RunError("The folder is not empty.", where=str(path), fix="Choose another one.")
    try:
        _copy_example(path)
    except OSError as cause:
        raise RunError("The folder cannot be written.", where=str(path), found=str(cause)) from None
    click.echo(f"A study on synthetic example data: {path / 'data' / 'vantaa-mek'}")
    click.echo(f"Notebooks: {path / 'notebooks'}")
    click.echo(f"Next: mekeval run {path / 'data' / 'vantaa-mek'} --year 2025 --out {path / 'reports'}")


def _copy_example(path: Path) -> None:
    from .shipped import example_study, shipped

    leave = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints")
    shutil.copytree(example_study(), path / "data" / "vantaa-mek", ignore=leave)
    shutil.copytree(shipped("notebooks"), path / "notebooks", ignore=leave)
