"""What all commands share: the group they belong to, options, plain messages, exit codes and signals.

In: what was typed. Out: a command that ends with a message and a documented exit code. Never: a traceback for a user's
mistake.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import click

from .. import __version__
from ..errors import MekevalError

P = ParamSpec("P")
Command = TypeVar("Command", bound=Callable[..., Any])

REFUSED = 2
#: A file or a folder.
PLACE = click.Path(path_type=Path)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="mekeval")
def main() -> None:
    """Did an area programme work? Evaluation reports from raw statistics."""


def raw_option(command: Command) -> Command:
    """`--raw`: where the raw data lie."""
    return click.option("--raw", type=PLACE, help="Folder of raw data that lie outside the study.")(command)


def data_options(command: Command) -> Command:
    """`--raw` and `--as-of`: which data of a study."""
    day_option = click.option(
        "--as-of", help="Only what was published by this day (2024-06-30) or year (2024)."
    )
    return raw_option(day_option(command))


def out_option(folder: str, what: str) -> Callable[[Command], Command]:
    """`--out`: the folder in which a set is published."""
    return click.option(
        "--out", type=PLACE, default=Path(folder), show_default=True, help=f"Folder for the {what}."
    )


def languages_option(
    which: str = "fi, sv or en, one of the study's", usual: str = "all of the study's"
) -> Callable[[Command], Command]:
    """`--language`: languages, as `languages`."""
    said = f"{which}; may be repeated. Default: {usual}."
    return click.option("--language", "languages", multiple=True, help=said)


def jobs_option(
    said: str = "Processes. Default: one for each processor.",
) -> Callable[[Command], Command]:
    """`--jobs`: how many at a time."""
    return click.option("--jobs", type=click.IntRange(min=1), help=said)


def limits_options(memory: str, time_limit: str) -> Callable[[Command], Command]:
    """`--memory` and `--time-limit`: what a job may use; None where nothing is said, and then as said here."""

    def given(command: Command) -> Command:
        least = click.option(
            "--memory",
            type=float,
            metavar="GB",
            help=f"Memory that the notebook of a job may use; 0: no limit. Held on Linux. Default: {memory}.",
        )
        longest = click.option(
            "--time-limit",
            type=float,
            metavar="SECONDS",
            help="Time that the notebook of a job may take; then it is ended and its job fails. 0: no limit. "
            f"Default: {time_limit}.",
        )
        return least(longest(command))

    return given


def plainly(command: Callable[P, None]) -> Callable[P, None]:
    """End with the message of a user's mistake and its exit code; clean up behind a signal."""
    done = {
        "fetch": "fetched",
        "lock": "locked",
        "show": "shown",
        "verify": "verified",
        "one": "run",
        "diff": "compared",
    }.get(command.__name__, "published")

    @wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            with signals():
                command(*args, **kwargs)
        except MekevalError as error:
            click.echo(f"Nothing was {done}. {error}", err=True)
            sys.exit(getattr(error, "exit_code", REFUSED))

    return wrapped


@contextlib.contextmanager
def signals() -> Iterator[None]:
    """Let SIGTERM and SIGINT end a command as an exception does, with code 128 and the signal's number."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {
        one: signal.signal(one, lambda number, _: sys.exit(128 + number))
        for one in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def day(text: str | None) -> str | None:
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
