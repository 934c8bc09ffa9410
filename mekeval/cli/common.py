"""What all commands share: the group they belong to, plain messages, exit codes and signals."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from functools import wraps
from typing import ParamSpec

import click

from .. import __version__
from ..errors import MekevalError

P = ParamSpec("P")

REFUSED = 2


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="mekeval")
def main() -> None:
    """Did an area programme work? Evaluation reports from raw statistics."""


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
